//! What a verifier trusts: its own `trust.yaml`. Nothing in a bundle adds to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::certificate::{Validator, ValidatorSet};
use crate::commitment::MapSecret;
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::note::{NoteKey, NoteKeyKind, is_key_name};
use crate::transaction::MemberId;

/// Longest trust file that is read, in bytes.
pub const MAX_TRUST_BYTES: usize = 1024 * 1024;

/// A verifier's trust, checked: keys are distinct, names are possible, whoever is required has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    file: TrustFile,
    validators: ValidatorSet,
    cosigners: Vec<(MemberId, NoteKey)>,
}

/// The text of `trust.yaml`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// `ranproof/trust/1`.
    pub format: String,
    pub chain_id: String,
    /// [`Genesis::hash`] of the genesis file that these keys were copied from. Every vote is signed for it, so a
    /// bundle of a chain that was founded anew under the same id and keys does not verify.
    pub genesis: Hash,
    /// In genesis' order: its hash stands in every header.
    pub validators: Vec<Validator>,
    pub origins: Vec<TrustedOrigin>,
    #[serde(default)]
    pub cosigners: Vec<TrustedCosigner>,
    /// Approval key of each member.
    pub approval_keys: BTreeMap<MemberId, PublicKey>,
    /// Agreements that the verifier knows, and whom each binds. A claim under another one is refused. With none
    /// named, claims stay incomplete: an origin could agree with itself alone.
    #[serde(default)]
    pub agreements: Vec<TrustedAgreement>,
    /// Secrets of the agreements that the verifier is a party of. Without it a claim that opens
    /// values stays incomplete: only the secret tells under which map key an attribute's value stands.
    #[serde(default)]
    pub map_secrets: Vec<TrustedMapSecret>,
    /// Whose cosignatures and second judgements a claim needs.
    #[serde(default)]
    pub require: Requirements,
}

/// A log and who keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedOrigin {
    /// First line of its checkpoints, `<chain id>/<member>`.
    pub origin: String,
    pub member: MemberId,
    pub log_key: PublicKey,
}

/// A cosigner and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedCosigner {
    /// Key name in its signature lines.
    pub name: String,
    pub member: MemberId,
    pub key: PublicKey,
}

/// An agreement by its id, and members who are known to be among its parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedAgreement {
    pub id: String,
    pub parties: Vec<MemberId>,
}

/// The map secret of one version of an agreement, from its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedMapSecret {
    pub agreement: String,
    pub version: u32,
    /// 64 hexadecimal digits.
    pub secret: MapSecret,
}

/// For each kind of claim the members whose cosignature it needs, and whose second judgement a violation needs. A
/// claim's own origin is left out: the accused's signature proves nothing, and its silence blocks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    #[serde(default)]
    pub change: Vec<MemberId>,
    #[serde(default)]
    pub violation: Vec<MemberId>,
    #[serde(default)]
    pub round: Vec<MemberId>,
    #[serde(default)]
    pub judgement: Vec<MemberId>,
}

/// Why a trust file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("trust file of {0} bytes is over the limit of {MAX_TRUST_BYTES}")]
    TooLarge(usize),
    #[error("trust file is not UTF-8; hint: is it the bundle?")]
    NotText,
    #[error("trust file, line {line}, column {column}: {reason}; hint: compare with examples/trust.yaml")]
    Yaml { line: u64, column: u64, reason: String },
    #[error("trust file: {what}; hint: {hint}")]
    Content { what: String, hint: &'static str },
}

impl TrustFile {
    pub const FORMAT: &'static str = "ranproof/trust/1";

    /// A trust file for `genesis` that knows every member's log, cosigner and approval key and requires nobody's
    /// cosignature. The caller adds requirements and agreements.
    pub fn from_genesis(genesis: &Genesis) -> TrustFile {
        let origins = genesis.members.iter().map(|member| TrustedOrigin {
            origin: genesis.origin(&member.id),
            member: member.id.clone(),
            log_key: member.log_key,
        });
        let cosigners = genesis.members.iter().map(|member| TrustedCosigner {
            name: genesis.origin(&member.id),
            member: member.id.clone(),
            key: member.cosigner_key,
        });
        TrustFile {
            format: Self::FORMAT.to_owned(),
            chain_id: genesis.chain_id.clone(),
            genesis: genesis.hash(),
            validators: genesis.validators.clone(),
            origins: origins.collect(),
            cosigners: cosigners.collect(),
            approval_keys: genesis.members.iter().map(|m| (m.id.clone(), m.approval_key)).collect(),
            agreements: vec![],
            map_secrets: vec![],
            require: Requirements::default(),
        }
    }

    /// The file as YAML.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a trust file holds nothing but texts, numbers, lists and maps")
    }

    fn check(&self) -> Result<(), TrustError> {
        if self.format != Self::FORMAT {
            let what = format!("format is `{}`", self.format);
            return Err(fault(what, "this version reads `ranproof/trust/1`"));
        }
        if self.validators.is_empty() || self.validators.iter().any(|v| v.power == 0) {
            return Err(fault("no validators, or one without power", "copy `validators` from genesis"));
        }
        distinct("validator key", self.validators.iter().map(|v| v.key.to_string()))?;
        distinct("origin", self.origins.iter().map(|o| o.origin.clone()))?;
        distinct("member of an origin", self.origins.iter().map(|o| o.member.clone()))?;
        distinct("log key", self.origins.iter().map(|o| o.log_key.to_string()))?;
        distinct("cosigner", self.cosigners.iter().map(|c| c.name.clone()))?;
        distinct("cosigner key", self.cosigners.iter().map(|c| c.key.to_string()))?;
        distinct("approval key", self.approval_keys.values().map(|k| k.to_string()))?;
        distinct("agreement", self.agreements.iter().map(|a| a.id.clone()))?;
        let secrets = self.map_secrets.iter().map(|s| format!("{} v{}", s.agreement, s.version));
        distinct("map secret", secrets)?;
        if let Some(origin) = self.origins.iter().find(|o| !is_key_name(&o.origin)) {
            let what = format!("origin `{}` cannot be a key name", origin.origin);
            return Err(fault(what, "not empty, no white space, no `+`"));
        }
        let required = [&self.require.change, &self.require.violation, &self.require.round];
        for member in required.into_iter().flatten() {
            if !self.cosigners.iter().any(|c| c.member == *member) {
                let what = format!("the cosignature of `{member}` is required but it has no cosigner");
                return Err(fault(what, "add it to `cosigners`, or take it out of `require`"));
            }
        }
        for member in &self.require.judgement {
            if !self.origins.iter().any(|o| o.member == *member) {
                let what = format!("the judgement of `{member}` is required but its log is not known");
                return Err(fault(what, "add it to `origins`, or take it out of `require`"));
            }
        }
        Ok(())
    }
}

impl Trust {
    /// Reads a trust file.
    pub fn parse(bytes: &[u8]) -> Result<Trust, TrustError> {
        if bytes.len() > MAX_TRUST_BYTES {
            return Err(TrustError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TrustError::NotText)?;
        let file: TrustFile = serde_saphyr::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            let location = error.location();
            let (line, column) = location.map_or((1, 1), |l| (l.line(), l.column()));
            let reason = error.to_string().lines().next().unwrap_or("unreadable").to_owned();
            // The parser appends the place that stands in front here.
            let place = format!(" at line {line}, column {column}");
            let reason = reason.strip_suffix(&place).unwrap_or(&reason).to_owned();
            TrustError::Yaml { line, column, reason }
        })?;
        Trust::new(file)
    }

    pub fn new(file: TrustFile) -> Result<Trust, TrustError> {
        file.check()?;
        let cosigners = file.cosigners.iter().map(|cosigner| {
            let key = NoteKey::new(&cosigner.name, NoteKeyKind::Cosignature, cosigner.key);
            let key = key.map_err(|e| fault(e.to_string(), "correct the cosigner's name"))?;
            Ok((cosigner.member.clone(), key))
        });
        let cosigners = cosigners.collect::<Result<Vec<_>, TrustError>>()?;
        let validators = ValidatorSet(file.validators.clone());
        Ok(Trust { file, validators, cosigners })
    }

    pub fn file(&self) -> &TrustFile {
        &self.file
    }

    pub fn chain_id(&self) -> &str {
        &self.file.chain_id
    }

    /// What the trusted chain began with: every vote names it.
    pub fn genesis(&self) -> &Hash {
        &self.file.genesis
    }

    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    pub fn origin(&self, origin: &str) -> Option<&TrustedOrigin> {
        self.file.origins.iter().find(|o| o.origin == origin)
    }

    pub fn log_key(&self, member: &str) -> Option<PublicKey> {
        self.file.origins.iter().find(|o| o.member == member).map(|o| o.log_key)
    }

    /// The member who approves with `key`.
    pub fn approver(&self, key: &PublicKey) -> Option<&str> {
        self.file.approval_keys.iter().find(|(_, k)| *k == key).map(|(member, _)| member.as_str())
    }

    /// Cosigner keys with the members they belong to.
    pub fn cosigners(&self) -> &[(MemberId, NoteKey)] {
        &self.cosigners
    }

    /// Of `members` (one list of `require`) those whom a claim of `origin` still needs: all but itself.
    pub fn required<'a>(&self, members: &'a [MemberId], origin: &str) -> Vec<&'a MemberId> {
        members.iter().filter(|member| *member != origin).collect()
    }

    /// The agreements that claims may rest on; `None` if the file names none.
    pub fn agreements(&self) -> Option<&[TrustedAgreement]> {
        Some(self.file.agreements.as_slice()).filter(|named| !named.is_empty())
    }

    pub fn map_secret(&self, agreement: &str, version: u32) -> Option<MapSecret> {
        let mut secrets = self.file.map_secrets.iter();
        let found = secrets.find(|s| s.agreement == agreement && s.version == version)?;
        Some(found.secret.clone())
    }
}

fn fault(what: impl Into<String>, hint: &'static str) -> TrustError {
    TrustError::Content { what: what.into(), hint }
}

fn distinct(what: &str, mut items: impl Iterator<Item = String>) -> Result<(), TrustError> {
    let mut seen = BTreeSet::new();
    match items.find(|item| !seen.insert(item.clone())) {
        Some(twice) => Err(fault(format!("{what} `{twice}` appears twice"), "each has its own")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32]).public()
    }

    fn sample() -> TrustFile {
        TrustFile {
            format: TrustFile::FORMAT.into(),
            chain_id: "net".into(),
            genesis: Hash::of(b"genesis"),
            validators: vec![Validator { key: key(1), power: 3, member: "telecom".into() }],
            origins: vec![TrustedOrigin {
                origin: "net/telecom".into(),
                member: "telecom".into(),
                log_key: key(2),
            }],
            cosigners: vec![TrustedCosigner {
                name: "net/unicom".into(),
                member: "unicom".into(),
                key: key(3),
            }],
            approval_keys: BTreeMap::from([("telecom".into(), key(4)), ("unicom".into(), key(5))]),
            agreements: vec![TrustedAgreement { id: "bj".into(), parties: vec!["telecom".into()] }],
            map_secrets: vec![TrustedMapSecret {
                agreement: "bj".into(),
                version: 1,
                secret: MapSecret([6; 32]),
            }],
            require: Requirements { change: vec!["unicom".into()], ..Requirements::default() },
        }
    }

    #[test]
    fn file_round_trips_through_yaml() {
        let yaml = sample().to_yaml();
        let trust = Trust::parse(yaml.as_bytes()).unwrap();
        assert_eq!(trust.file(), &sample(), "{yaml}");
        assert_eq!(trust.approver(&key(5)), Some("unicom"));
        assert_eq!(trust.log_key("telecom"), Some(key(2)));
        assert_eq!(trust.map_secret("bj", 1), Some(MapSecret([6; 32])));
        assert_eq!(trust.map_secret("bj", 2), None);
    }

    #[test]
    fn hexadecimal_without_quotes_stays_text() {
        let hash = Hash::of(b"genesis").to_string();
        for digits in ["0".repeat(64), "1e".repeat(32), "12".repeat(32), format!("0x{}", "1".repeat(62))] {
            let yaml = sample().to_yaml().replace(&hash, &digits);
            let trust = Trust::parse(yaml.as_bytes());
            assert_eq!(trust.is_ok(), !digits.contains('x'), "{digits}: {trust:?}");
        }
    }

    #[test]
    fn faults_of_yaml_name_line_and_hint() {
        let yaml = sample().to_yaml();
        let line = yaml.lines().position(|l| l.starts_with("genesis")).unwrap() as u64 + 1;
        for (text, at) in [
            (yaml.replace("genesis:", "genesys:"), line),
            (yaml.replace(&Hash::of(b"genesis").to_string(), "12"), line),
            (yaml.replace("chain_id: ", "chain_id: [\n"), 3),
        ] {
            let error = Trust::parse(text.as_bytes()).unwrap_err();
            let TrustError::Yaml { line, .. } = error else { panic!("{error}") };
            assert!(line.abs_diff(at) <= 1, "{error} at {at}");
            assert!(error.to_string().contains("hint:"), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            assert_eq!(error.to_string().matches("line ").count(), 1, "{error}");
        }
        assert_eq!(Trust::parse(&[0xff]), Err(TrustError::NotText));
    }

    #[test]
    fn faults_of_content_are_named() {
        let faulty = |change: fn(&mut TrustFile)| {
            let mut file = sample();
            change(&mut file);
            Trust::new(file).unwrap_err().to_string()
        };
        assert!(faulty(|f| f.format = "ranproof/trust/2".into()).contains("trust/2"));
        assert!(faulty(|f| f.validators.clear()).contains("no validators"));
        assert!(faulty(|f| f.validators[0].power = 0).contains("without power"));
        assert!(faulty(|f| f.validators.push(f.validators[0].clone())).contains("twice"));
        assert!(faulty(|f| f.require.round.push("tower".into())).contains("`tower`"));
        assert!(faulty(|f| f.require.judgement.push("unicom".into())).contains("log is not known"));
        assert!(faulty(|f| f.cosigners[0].name = "a b".into()).contains("key name"));
        assert!(faulty(|f| f.origins[0].origin = "a b".into()).contains("key name"));
    }
}
