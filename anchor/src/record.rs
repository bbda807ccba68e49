//! What stands in a log: envelopes with ids and commitments, and the records that are disclosed to open them.
//!
//! A leaf is the canonical JSON of an [`Envelope`]; it never holds a value. A [`Record`] holds values and a random
//! nonce; its hash is the envelope's `commitment`, so the holder of the record can show it to whom it likes.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::commitment::Nonce;
use crate::hash::Hash;
use crate::json::{self, JsonError};
pub use crate::judgement::{
    JudgedViolation, JudgementCounts, JudgementEnvelope, JudgementLeafFormat, JudgementRecord,
    JudgementRecordFormat, JudgementVerdict,
};
use crate::transaction::MemberId;
use crate::tree;

const RECORD_DOMAIN: &[u8] = b"ranproof/record/1\n";

/// The pseudo-attribute that stands for a whole object created or deleted.
pub const OBJECT: &str = "@object";

/// Declares a type that is always one text: the version line of a format. Any other text is refused.
macro_rules! format_line {
    ($(#[$doc:meta])* $type:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $type;

        impl $type {
            pub const TEXT: &'static str = $text;
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                if text == $text {
                    return Ok($type);
                }
                let found: String = text.chars().take(60).collect();
                Err(serde::de::Error::custom(format_args!("format is `{found}`, this version reads `{}`", $text)))
            }
        }
    };
}
pub(crate) use format_line;

format_line!(ChangeLeafFormat, "ranproof/leaf/change/1");
format_line!(ViolationLeafFormat, "ranproof/leaf/violation/1");
format_line!(AttestationFormat, "ranproof/attestation/1");
format_line!(ChangeRecordFormat, "ranproof/record/change/1");
format_line!(ViolationRecordFormat, "ranproof/record/violation/1");

/// A leaf of an origin's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// An observed change that a request, a right or a standing permission covers.
    Change(ChangeEnvelope),
    Violation(ViolationEnvelope),
    /// A round's attestation, whole.
    Round(Box<Attestation>),
    /// A second judgement of another member's round.
    Judgement(JudgementEnvelope),
}

/// Leaf of an executed change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeEnvelope {
    pub format: ChangeLeafFormat,
    pub chain: String,
    pub origin: MemberId,
    pub round: u64,
    pub id: String,
    /// [`Record::commitment`] of the change record.
    pub commitment: Hash,
}

/// Leaf of a violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolationEnvelope {
    pub format: ViolationLeafFormat,
    pub chain: String,
    pub origin: MemberId,
    /// The round that saw it first.
    pub round: u64,
    pub id: String,
    /// [`Record::commitment`] of the violation record.
    pub commitment: Hash,
}

/// A version of a registered document, by the hash of its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentVersion {
    pub id: String,
    pub version: u32,
    pub body: Hash,
}

/// A version of the origin's inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryVersion {
    pub version: u32,
    pub root: Hash,
    pub count: u64,
}

/// What became of the stations of a round. `expected` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub expected: u64,
    pub collected: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    /// Whether every expected station is accounted for exactly once.
    pub fn balance(&self) -> bool {
        let outcomes = [self.collected, self.unchanged, self.failed, self.skipped];
        outcomes.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)) == Some(self.expected)
    }
}

/// What the collector commits to after a round. Its [`Attestation::hash`] is what `AttestRound` carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    pub format: AttestationFormat,
    pub chain: String,
    pub origin: MemberId,
    pub round: u64,
    /// Height at which `OpenRound` is final; null for a round that the chain did not open.
    pub opened: Option<u64>,
    pub agreement: DocumentVersion,
    pub policy_set: DocumentVersion,
    pub inventory: InventoryVersion,
    /// Hash of the collection profile.
    pub profile: Hash,
    /// First and last moment of the sweep, milliseconds since 1970 UTC by the collector's clock.
    pub started: u64,
    pub finished: u64,
    pub counts: Counts,
    /// [`crate::Map`] root: [`crate::commitment::MapSecret::station_key`] → [`crate::commitment::outcome_hash`].
    pub outcomes_root: Hash,
    pub outcomes_count: u64,
    /// [`crate::Map`] root: [`crate::commitment::MapSecret::attribute_key`] →
    /// [`crate::commitment::Opening::commitment`], one entry for each key attribute and each object (`@object`) as
    /// last read.
    pub attributes_root: Hash,
    /// [`crate::Map`] root: id → [`Record::commitment`] of the violations first seen in this round.
    pub violations_root: Hash,
    pub violations_count: u64,
    /// [`crate::Map`] root: id → [`Record::commitment`] of the changes seen in this round.
    pub changes_root: Hash,
    pub changes_count: u64,
    /// [`Attestation::hash`] of the origin's previous round; null for the first.
    pub previous: Option<Hash>,
}

impl Attestation {
    /// The bytes of its leaf: its canonical JSON.
    pub fn encode(&self) -> Result<Vec<u8>, JsonError> {
        json::encode(self)
    }

    /// SHA-256 of the leaf's bytes, which `AttestRound` carries.
    pub fn hash(&self) -> Result<Hash, JsonError> {
        Ok(Hash::of(&self.encode()?))
    }
}

impl Envelope {
    /// The leaf's bytes. Fails only on numbers over 53 bits.
    pub fn encode(&self) -> Result<Vec<u8>, JsonError> {
        json::encode(self)
    }

    /// Reads a leaf, which must be canonical.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, JsonError> {
        json::decode(bytes)
    }

    /// Hash of the leaf in the log's tree.
    pub fn leaf_hash(&self) -> Result<Hash, JsonError> {
        Ok(tree::leaf_hash(&self.encode()?))
    }

    pub fn chain(&self) -> &str {
        match self {
            Envelope::Change(leaf) => &leaf.chain,
            Envelope::Violation(leaf) => &leaf.chain,
            Envelope::Round(attestation) => &attestation.chain,
            Envelope::Judgement(leaf) => &leaf.chain,
        }
    }

    /// In whose log it stands.
    pub fn origin(&self) -> &str {
        match self {
            Envelope::Change(leaf) => &leaf.origin,
            Envelope::Violation(leaf) => &leaf.origin,
            Envelope::Round(attestation) => &attestation.origin,
            Envelope::Judgement(leaf) => &leaf.origin,
        }
    }

    /// The round it tells of; for a second judgement one of the judged origin.
    pub fn round(&self) -> u64 {
        match self {
            Envelope::Change(leaf) => leaf.round,
            Envelope::Violation(leaf) => leaf.round,
            Envelope::Round(attestation) => attestation.round,
            Envelope::Judgement(leaf) => leaf.round,
        }
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Envelope::Change(leaf) => leaf.serialize(serializer),
            Envelope::Violation(leaf) => leaf.serialize(serializer),
            Envelope::Round(attestation) => attestation.serialize(serializer),
            Envelope::Judgement(leaf) => leaf.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (format, value) = formatted(deserializer)?;
        match format.as_str() {
            ChangeLeafFormat::TEXT => content(value).map(Envelope::Change),
            ViolationLeafFormat::TEXT => content(value).map(Envelope::Violation),
            AttestationFormat::TEXT => content(value).map(Envelope::Round),
            JudgementLeafFormat::TEXT => content(value).map(Envelope::Judgement),
            _ => Err(D::Error::custom(format_args!("`{format}` is not a leaf format of this version"))),
        }
    }
}

/// A disclosed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Change(Box<ChangeRecord>),
    Violation(Box<ViolationRecord>),
    Judgement(Box<JudgementRecord>),
}

/// What a judge said of a difference: the names of `model`'s authorisations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorisation {
    Restored,
    Exact,
    ByRight,
    Standing,
    Undetermined,
    NoRight,
    Late,
    Early,
    Expired,
    Stale,
    Exceeded,
    Deviating,
    WrongObject,
    Unapproved,
    Unbaselined,
}

impl Authorisation {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Authorisation::Restored => "restored",
            Authorisation::Exact => "exact",
            Authorisation::ByRight => "by-right",
            Authorisation::Standing => "standing",
            Authorisation::Undetermined => "undetermined",
            Authorisation::NoRight => "no-right",
            Authorisation::Late => "late",
            Authorisation::Early => "early",
            Authorisation::Expired => "expired",
            Authorisation::Stale => "stale",
            Authorisation::Exceeded => "exceeded",
            Authorisation::Deviating => "deviating",
            Authorisation::WrongObject => "wrong-object",
            Authorisation::Unapproved => "unapproved",
            Authorisation::Unbaselined => "unbaselined",
        }
    }

    /// The authorisation of that name.
    pub fn of_name(name: &str) -> Option<Authorisation> {
        serde_json::from_value(Value::from(name)).ok()
    }
}

/// What an edit did to its attribute or object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Create,
    Replace,
    Delete,
}

/// One observed edit. Values are JSON as `model` writes them; null stands for absence and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEdit {
    pub dn: String,
    pub attribute: String,
    pub operation: Operation,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// The change request that a change rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestReference {
    pub id: String,
    /// SHA-256 of the request's canonical JSON body.
    pub body: Hash,
    /// [`crate::transaction::statement_hash`] of the proposal.
    pub statement: Hash,
}

/// An executed change, as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    pub format: ChangeRecordFormat,
    pub id: String,
    pub origin: MemberId,
    /// The round that saw it first.
    pub round: u64,
    /// Null where no request is claimed (`by-right`, `standing`, `restored`).
    pub request: Option<RequestReference>,
    /// Sorted by DN and attribute, each once.
    pub edits: Vec<RecordedEdit>,
    pub authorisation: Authorisation,
    pub nonce: Nonce,
}

/// Where a violation was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    pub round: u64,
    /// Height at which the round's opening is final; null for an unopened round.
    pub height: Option<u64>,
}

/// Why one request did not authorise a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Considered {
    pub request: String,
    pub verdict: Authorisation,
    pub why: String,
}

/// A violation at first sight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolationRecord {
    pub format: ViolationRecordFormat,
    pub id: String,
    pub origin: MemberId,
    pub dn: String,
    pub attribute: String,
    pub rule: String,
    pub severity: String,
    /// For the rule `authorisation`; null for a CEL rule, which carries none.
    pub authorisation: Option<Authorisation>,
    /// The approved value, or for a CEL rule the previous one; null for absence or where nothing is claimed.
    pub old: Option<Value>,
    /// The value seen; null for absence.
    pub new: Option<Value>,
    pub first_seen: Sighting,
    /// `open` at first sight.
    pub state: String,
    pub considered: Vec<Considered>,
    pub nonce: Nonce,
}

impl Record {
    /// SHA-256(`ranproof/record/1\n` ‖ canonical JSON of the record, nonce included).
    pub fn commitment(&self) -> Result<Hash, JsonError> {
        Ok(Hash::of_parts(&[RECORD_DOMAIN, &json::encode(self)?]))
    }

    pub fn id(&self) -> &str {
        match self {
            Record::Change(record) => &record.id,
            Record::Violation(record) => &record.id,
            Record::Judgement(record) => &record.id,
        }
    }

    /// In whose log the leaf stands that commits to it: for a judgement the judge's.
    pub fn origin(&self) -> &str {
        match self {
            Record::Change(record) => &record.origin,
            Record::Violation(record) => &record.origin,
            Record::Judgement(record) => &record.judge,
        }
    }

    /// The round that first saw what the record tells, or the one that was judged.
    pub fn round(&self) -> u64 {
        match self {
            Record::Change(record) => record.round,
            Record::Violation(record) => record.first_seen.round,
            Record::Judgement(record) => record.round,
        }
    }

    /// The leaf that commits to this record on `chain`.
    pub fn envelope(&self, chain: &str) -> Result<Envelope, JsonError> {
        let (chain, origin) = (chain.to_owned(), self.origin().to_owned());
        let (round, id, commitment) = (self.round(), self.id().to_owned(), self.commitment()?);
        Ok(match self {
            Record::Change(_) => {
                let format = ChangeLeafFormat;
                Envelope::Change(ChangeEnvelope { format, chain, origin, round, id, commitment })
            }
            Record::Violation(_) => {
                let format = ViolationLeafFormat;
                Envelope::Violation(ViolationEnvelope { format, chain, origin, round, id, commitment })
            }
            Record::Judgement(_) => {
                let format = JudgementLeafFormat;
                Envelope::Judgement(JudgementEnvelope { format, chain, origin, round, id, commitment })
            }
        })
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Record::Change(record) => record.serialize(serializer),
            Record::Violation(record) => record.serialize(serializer),
            Record::Judgement(record) => record.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (format, value) = formatted(deserializer)?;
        match format.as_str() {
            ChangeRecordFormat::TEXT => content(value).map(Record::Change),
            ViolationRecordFormat::TEXT => content(value).map(Record::Violation),
            JudgementRecordFormat::TEXT => content(value).map(Record::Judgement),
            _ => Err(D::Error::custom(format_args!("`{format}` is not a record format of this version"))),
        }
    }
}

/// The object and the text of its field `format`.
fn formatted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(String, Value), D::Error> {
    let value = Value::deserialize(deserializer)?;
    let format = value.get("format").and_then(Value::as_str).unwrap_or_default().chars().take(60).collect();
    Ok((format, value))
}

fn content<T: DeserializeOwned, E: serde::de::Error>(value: Value) -> Result<T, E> {
    serde_json::from_value(value).map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violation() -> Record {
        Record::Violation(Box::new(ViolationRecord {
            format: ViolationRecordFormat,
            id: "V-1".into(),
            origin: "telecom".into(),
            dn: "A=1".into(),
            attribute: "x".into(),
            rule: "authorisation".into(),
            severity: "major".into(),
            authorisation: Some(Authorisation::NoRight),
            old: Some(json!("1")),
            new: None,
            first_seen: Sighting { round: 3, height: None },
            state: "open".into(),
            considered: vec![],
            nonce: Nonce([1; 32]),
        }))
    }

    #[test]
    fn leaves_and_records_round_trip_and_never_confuse_formats() {
        let record = violation();
        let bytes = json::encode(&record).unwrap();
        assert_eq!(json::decode::<Record>(&bytes).unwrap(), record);
        let leaf = record.envelope("net").unwrap();
        assert_eq!(Envelope::decode(&leaf.encode().unwrap()).unwrap(), leaf);
        assert_eq!((leaf.origin(), leaf.round(), leaf.chain()), ("telecom", 3, "net"));
        assert!(Envelope::decode(&bytes).is_err());
        let newer = String::from_utf8(bytes).unwrap().replace("violation/1", "violation/2");
        let error = json::decode::<Record>(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("ranproof/record/violation/2"), "{error}");
    }

    #[test]
    fn leaf_shows_no_value_and_the_nonce_blinds_it() {
        let record = violation();
        let leaf = String::from_utf8(record.envelope("net").unwrap().encode().unwrap()).unwrap();
        assert!(!leaf.contains("no-right") && !leaf.contains("A=1"), "{leaf}");
        let Record::Violation(mut other) = record.clone() else { unreachable!() };
        other.nonce = Nonce([2; 32]);
        assert_ne!(Record::Violation(other).commitment().unwrap(), record.commitment().unwrap());
    }

    #[test]
    fn names_of_authorisations_are_their_json() {
        for name in ["by-right", "no-right", "wrong-object", "unbaselined", "exact"] {
            assert_eq!(Authorisation::of_name(name).unwrap().as_str(), name);
        }
        assert_eq!(Authorisation::of_name("fine"), None);
    }

    #[test]
    fn counts_balance_without_overflow() {
        let counts = Counts { expected: 4, collected: 1, unchanged: 1, failed: 1, skipped: 1 };
        assert!(counts.balance());
        assert!(!Counts { skipped: 2, ..counts }.balance());
        assert!(!Counts { skipped: u64::MAX, ..counts }.balance());
    }
}
