//! What an operator tells another of one of its rounds, `ranproof/disclosure/2`: enough to judge it again.
//!
//! Nothing in it is taken on trust that the attestation commits to: outcomes, the attribute map, the records. Read times,
//! values of attributes that the agreement does not commit to, and which values a schema fills in, are what the origin says.

use std::collections::BTreeMap;

use anchor::Hash;
use anchor::commitment::Salt;
use anchor::record::{Attestation, Record};
use anchor::transaction::MemberId;
use model::{Dn, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// Longest disclosure taken, in bytes. The first round of some thousand stations comes whole in one answer: an origin with
/// more would have to send it in parts.
pub const MAX_DISCLOSURE: usize = 128 << 20;

/// One round, for one reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// [`Disclosure::FORMAT`].
    pub format: String,
    /// For whom it is: the agreement may withhold values from some.
    pub to: MemberId,
    pub attestation: Attestation,
    /// Chain height up to which the origin's judge took requests and baselines into account.
    pub height: u64,
    /// Stations and map as they were in this round, not what the round changed.
    pub whole: bool,
    /// Every station of the agreed inventory, by element.
    pub stations: Vec<DisclosedStation>,
    /// By key.
    pub attributes: Vec<DisclosedAttribute>,
    /// By id.
    pub violations: Vec<DisclosedRecord>,
    pub changes: Vec<DisclosedRecord>,
}

/// What became of a station, and what a complete read found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedStation {
    pub element: Dn,
    /// `collected`, `unchanged`, `failed` or `skipped`.
    pub outcome: String,
    /// Of a failure or skip; empty otherwise.
    pub reason: String,
    /// When it was read, or tried, by the origin's clock.
    pub read: Timestamp,
    /// The complete read before; null before the first.
    pub after: Option<Timestamp>,
    /// Id of the interpretation, hexadecimal; null where no objects are told.
    pub interpretation: Option<String>,
    /// `objects` are all of the station's, not those that changed.
    pub whole: bool,
    /// By DN, each with all of its attributes that the reader may see.
    pub objects: Vec<DisclosedObject>,
    /// Objects that are no more, by DN.
    pub gone: Vec<Dn>,
    /// Attributes whose value before reads otherwise under this interpretation, if it is not that of the read before. No
    /// changes of the station.
    pub respellings: Vec<DisclosedRespelling>,
}

/// What a value before is under another interpretation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedRespelling {
    pub dn: Dn,
    pub attribute: String,
    /// Null where only the interpretation before filled in a default.
    pub value: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedObject {
    pub dn: Dn,
    /// Non-volatile attributes.
    pub attributes: BTreeMap<String, Value>,
}

/// An entry of the attribute map that is new, changed or gone; of a whole disclosure every entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedAttribute {
    /// [`anchor::commitment::MapSecret::attribute_key`] of the next two.
    pub key: Hash,
    pub dn: String,
    pub attribute: String,
    /// Null for an entry that is gone.
    pub commitment: Option<Hash>,
    /// Null for an entry that is gone, or whose value the reader may not see.
    pub opening: Option<DisclosedOpening>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedOpening {
    /// Canonical JSON text.
    pub value: String,
    pub salt: Salt,
}

/// A record of the round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedRecord {
    pub id: String,
    pub commitment: Hash,
    /// Null if it tells a value that the reader may not see.
    pub record: Option<Record>,
}

/// Answer of `GET /peer/v1/disclosures?after=N`: rounds past N that can be asked for, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedRounds {
    pub rounds: Vec<DisclosedRound>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedRound {
    pub round: u64,
    /// Hash of its attestation.
    pub attestation: Hash,
}

impl Disclosure {
    pub const FORMAT: &'static str = "ranproof/disclosure/2";
}
