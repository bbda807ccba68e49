//! The names of the entries of the state map: readable ASCII, one family per record type.
//!
//! | Key | Record |
//! |---|---|
//! | `chain` | [`ChainRecord`] |
//! | `validators` | [`ValidatorSet`] |
//! | `member/<member>` | [`Member`] |
//! | `key/<public key>` | [`KeyHolder`] |
//! | `sequence/<public key>` | `u64`, the last sequence number used |
//! | `agreement/<id>/<version>` | [`AgreementStatement`] |
//! | `policy-set/<id>/<version>` | [`PolicySetStatement`] |
//! | `inventory/<agreement>/<origin>/<version>` | [`InventoryStatement`] |
//! | `change/<id>/<version>` (version 1) | [`ProposalStatement`] |
//! | `versions/<agreement, policy-set or inventory path>` | [`Versions`] |
//! | `standing/<subject path>/<version>` | [`Standing`] |
//! | `approval/<subject path>/<version>/<member>` | [`ApprovalRecord`] |
//! | `rounds/<origin>` | `u64`, the last round opened |
//! | `open/<origin>` | `u64`, the round neither attested nor missed yet; absent when there is none |
//! | `round/<origin>/<round>` | [`Opening`] |
//! | `attestation/<origin>/<round>` | [`AttestationRecord`] |
//! | `missed/<origin>/<round>` | [`Missed`] |
//! | `checkpoint/<origin>` | [`AnchoredCheckpoint`] |
//! | `dispute/<id>` | [`DisputeRecord`] |
//! | `evidence/<origin>/<size>` | [`EvidenceRecord`] |
//!
//! Versions are ten decimal digits, rounds and sizes twenty, so that the order of keys is the order of numbers.
//! Ids hold no `/`, so that a key splits in one way only.

use std::fmt;
use std::marker::PhantomData;

use anchor::transaction::{
    AgreementStatement, InventoryStatement, PolicySetStatement, ProposalStatement, Subject, SubjectKind,
};
use anchor::{Member, PublicKey, ValidatorSet};
use borsh::BorshDeserialize;

use crate::form::is_id;
use crate::record::{
    AnchoredCheckpoint, ApprovalRecord, AttestationRecord, ChainRecord, DisputeRecord, EvidenceRecord,
    KeyHolder, Missed, Opening, Standing, Versions,
};

/// The name of an entry that holds an `R`.
pub struct Key<R> {
    text: String,
    record: PhantomData<fn() -> R>,
}

impl<R> Key<R> {
    fn new(text: String) -> Key<R> {
        Key { text, record: PhantomData }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<R> fmt::Debug for Key<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

impl<R> fmt::Display for Key<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub fn chain() -> Key<ChainRecord> {
    Key::new("chain".into())
}

pub fn validators() -> Key<ValidatorSet> {
    Key::new("validators".into())
}

pub fn member(id: &str) -> Key<Member> {
    Key::new(format!("member/{id}"))
}

pub fn holder(key: &PublicKey) -> Key<KeyHolder> {
    Key::new(format!("key/{key}"))
}

pub fn sequence(key: &PublicKey) -> Key<u64> {
    Key::new(format!("sequence/{key}"))
}

pub fn agreement(id: &str, version: u32) -> Key<AgreementStatement> {
    Key::new(format!("agreement/{id}/{version:010}"))
}

pub fn policy_set(id: &str, version: u32) -> Key<PolicySetStatement> {
    Key::new(format!("policy-set/{id}/{version:010}"))
}

pub fn inventory(agreement: &str, origin: &str, version: u32) -> Key<InventoryStatement> {
    Key::new(format!("inventory/{agreement}/{origin}/{version:010}"))
}

pub fn change(id: &str) -> Key<ProposalStatement> {
    Key::new(format!("change/{id}/{:010}", 1))
}

/// `agreement/<id>`, `policy-set/<id>`, `inventory/<agreement>/<origin>` or `change/<id>`.
pub fn path(kind: SubjectKind, id: &str) -> String {
    format!("{}/{id}", kind_word(kind))
}

pub fn versions(kind: SubjectKind, id: &str) -> Key<Versions> {
    Key::new(format!("versions/{}", path(kind, id)))
}

pub fn standing(subject: &Subject) -> Key<Standing> {
    Key::new(format!("standing/{}/{:010}", path(subject.kind, &subject.id), subject.version))
}

pub fn approval(subject: &Subject, member: &str) -> Key<ApprovalRecord> {
    Key::new(format!("{}{member}", approval_prefix(subject)))
}

pub fn approval_prefix(subject: &Subject) -> String {
    format!("approval/{}/{:010}/", path(subject.kind, &subject.id), subject.version)
}

pub fn last_round(origin: &str) -> Key<u64> {
    Key::new(format!("rounds/{origin}"))
}

pub fn open_round(origin: &str) -> Key<u64> {
    Key::new(format!("open/{origin}"))
}

pub fn opening(origin: &str, round: u64) -> Key<Opening> {
    Key::new(format!("round/{origin}/{round:020}"))
}

pub fn attestation(origin: &str, round: u64) -> Key<AttestationRecord> {
    Key::new(format!("attestation/{origin}/{round:020}"))
}

pub fn missed(origin: &str, round: u64) -> Key<Missed> {
    Key::new(format!("missed/{origin}/{round:020}"))
}

pub fn checkpoint(origin: &str) -> Key<AnchoredCheckpoint> {
    Key::new(format!("checkpoint/{origin}"))
}

pub fn dispute(id: &str) -> Key<DisputeRecord> {
    Key::new(format!("dispute/{id}"))
}

pub fn evidence(origin: &str, size: u64) -> Key<EvidenceRecord> {
    Key::new(format!("evidence/{origin}/{size:020}"))
}

fn kind_word(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Agreement => "agreement",
        SubjectKind::PolicySet => "policy-set",
        SubjectKind::Inventory => "inventory",
        SubjectKind::Change => "change",
    }
}

/// Whether `key` is a name that this version writes and `value` decodes as its record, so that what was
/// restored can be read later without doubt.
pub(crate) fn is_well_formed(key: &[u8], value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(key) else { return false };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["chain"] => decodes::<ChainRecord>(value),
        ["validators"] => decodes::<ValidatorSet>(value),
        ["member", id] => is_id(id) && decodes::<Member>(value),
        ["key", hex] => is_key(hex) && decodes::<KeyHolder>(value),
        ["sequence", hex] => is_key(hex) && decodes::<u64>(value),
        ["agreement", id, version] => {
            is_id(id) && is_version(version) && decodes::<AgreementStatement>(value)
        }
        ["policy-set", id, version] => {
            is_id(id) && is_version(version) && decodes::<PolicySetStatement>(value)
        }
        ["inventory", agreement, origin, version] => {
            is_id(agreement) && is_id(origin) && is_version(version) && decodes::<InventoryStatement>(value)
        }
        ["change", id, version] => is_id(id) && is_version(version) && decodes::<ProposalStatement>(value),
        ["versions", path @ ..] => is_path(path) && decodes::<Versions>(value),
        ["standing", path @ .., version] => {
            is_path(path) && is_version(version) && decodes::<Standing>(value)
        }
        ["approval", path @ .., version, member] => {
            is_path(path) && is_version(version) && is_id(member) && decodes::<ApprovalRecord>(value)
        }
        ["rounds" | "open", origin] => is_id(origin) && decodes::<u64>(value),
        ["round", origin, round] => is_id(origin) && is_round(round) && decodes::<Opening>(value),
        ["attestation", origin, round] => {
            is_id(origin) && is_round(round) && decodes::<AttestationRecord>(value)
        }
        ["missed", origin, round] => is_id(origin) && is_round(round) && decodes::<Missed>(value),
        ["checkpoint", origin] => is_id(origin) && decodes::<AnchoredCheckpoint>(value),
        ["dispute", id] => is_id(id) && decodes::<DisputeRecord>(value),
        ["evidence", origin, size] => is_id(origin) && is_round(size) && decodes::<EvidenceRecord>(value),
        _ => false,
    }
}

fn decodes<R: BorshDeserialize>(value: &[u8]) -> bool {
    borsh::from_slice::<R>(value).is_ok()
}

fn is_path(path: &[&str]) -> bool {
    match path {
        ["agreement" | "policy-set" | "change", id] => is_id(id),
        ["inventory", agreement, origin] => is_id(agreement) && is_id(origin),
        _ => false,
    }
}

fn is_key(hex: &str) -> bool {
    hex.parse::<PublicKey>().is_ok()
}

fn is_version(digits: &str) -> bool {
    digits.len() == 10 && is_digits(digits) && digits.parse::<u32>().is_ok()
}

fn is_round(digits: &str) -> bool {
    digits.len() == 20 && is_digits(digits) && digits.parse::<u64>().is_ok()
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_keys_is_the_order_of_numbers() {
        assert!(agreement("a", 9).as_str() < agreement("a", 10).as_str());
        assert!(opening("telecom", 99).as_str() < opening("telecom", 100).as_str());
        assert!(evidence("telecom", 99).as_str() < evidence("telecom", 100).as_str());
        assert!(opening("telecom", 10).as_str() < opening("telecom", u64::MAX).as_str());
    }

    #[test]
    fn verifiers_look_for_a_standing_where_it_is() {
        let subject = Subject { kind: SubjectKind::Change, id: "CR-1".into(), version: 1 };
        assert_eq!(standing(&subject).as_str(), anchor::standing::change_key("CR-1"));
    }

    #[test]
    fn foreign_keys_and_values_are_not_well_formed() {
        let five = borsh::to_vec(&5u64).unwrap();
        assert!(is_well_formed(last_round("telecom").as_bytes(), &five));
        for key in ["", "rounds", "rounds/", "rounds/a/b", "rounds/a b", "other/telecom", "sequence/telecom"]
        {
            assert!(!is_well_formed(key.as_bytes(), &five), "{key}");
        }
        assert!(!is_well_formed(last_round("telecom").as_bytes(), &five[..7]));
        assert!(!is_well_formed(opening("telecom", 1).as_bytes(), &five));
        assert!(!is_well_formed(b"rounds/\xff", &five));
        assert!(!is_well_formed(b"missed/telecom/+0000000000000000001", &five));
    }
}
