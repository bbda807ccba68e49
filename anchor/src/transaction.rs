//! What the chain orders: signed transactions. The rules that accept them live in `contract`.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

pub use crate::dispute::{
    DisputeKind, DisputeOutcome, DisputeStatement, EvidenceStatement, ResolveStatement, RespondStatement,
};
use crate::hash::Hash;
use crate::key::{PublicKey, Signature, SigningKey};

/// The first bytes of what is signed; a change of the encoding changes this line.
pub const TRANSACTION_DOMAIN: &[u8] = b"ranproof/transaction/2\n";

/// Upper bound of an encoded signed transaction, in bytes. Larger ones are refused before decoding.
pub const MAX_TRANSACTION_BYTES: usize = 64 * 1024;

/// A member's short name in genesis (`telecom`), the same everywhere.
pub type MemberId = String;

/// A transaction before its signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transaction {
    /// The chain it is meant for: a transaction of one chain is worthless on another.
    pub chain_id: String,
    /// The signing key. Which member it belongs to, and what it may sign, stands in the contract's state.
    pub sender: PublicKey,
    /// Starts at 1 for each key and grows by one; a gap or repetition is refused.
    pub sequence: u64,
    pub action: Action,
}

/// A transaction with its sender's signature over [`Transaction::signed_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedTransaction {
    pub transaction: Transaction,
    pub signature: Signature,
}

/// Bytes that are not a signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error("transaction of {0} bytes is over the limit of {MAX_TRANSACTION_BYTES}")]
    TooLarge(usize),
    #[error("not a transaction of this version: {0}")]
    Malformed(String),
    #[error("signature of transaction does not verify under its sender {0}")]
    BadSignature(PublicKey),
}

impl Transaction {
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = TRANSACTION_DOMAIN.to_vec();
        bytes.extend(borsh::to_vec(self).expect("writing to memory does not fail"));
        bytes
    }

    /// Signs with `key`, which must be the `sender`'s.
    pub fn sign(self, key: &SigningKey) -> SignedTransaction {
        debug_assert_eq!(key.public(), self.sender);
        let signature = key.sign(&self.signed_bytes());
        SignedTransaction { transaction: self, signature }
    }
}

impl SignedTransaction {
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    /// Decodes without checking the signature; see [`SignedTransaction::verify`].
    pub fn decode(bytes: &[u8]) -> Result<SignedTransaction, TransactionError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge(bytes.len()));
        }
        borsh::from_slice(bytes).map_err(|e| TransactionError::Malformed(e.to_string()))
    }

    pub fn verify(&self) -> Result<(), TransactionError> {
        let transaction = &self.transaction;
        if transaction.sender.verifies(&transaction.signed_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(TransactionError::BadSignature(transaction.sender))
        }
    }

    /// The transaction's name everywhere: SHA-256 of its encoding.
    pub fn id(&self) -> Hash {
        transaction_id(&self.encode())
    }
}

/// The id of an encoded signed transaction.
pub fn transaction_id(encoded: &[u8]) -> Hash {
    Hash::of(encoded)
}

/// Everything a member can ask of the contract. The order of variants is part of the encoding: append only.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    RegisterAgreement(AgreementStatement),
    RegisterPolicySet(PolicySetStatement),
    RegisterInventory(InventoryStatement),
    Propose(ProposalStatement),
    Approve(ApprovalStatement),
    Withdraw(WithdrawStatement),
    OpenRound(OpenRoundStatement),
    AttestRound(AttestRoundStatement),
    AnchorCheckpoint(AnchorCheckpointStatement),
    Dispute(DisputeStatement),
    Respond(RespondStatement),
    Resolve(ResolveStatement),
    Evidence(EvidenceStatement),
}

impl Action {
    pub fn name(&self) -> &'static str {
        match self {
            Action::RegisterAgreement(_) => "RegisterAgreement",
            Action::RegisterPolicySet(_) => "RegisterPolicySet",
            Action::RegisterInventory(_) => "RegisterInventory",
            Action::Propose(_) => "Propose",
            Action::Approve(_) => "Approve",
            Action::Withdraw(_) => "Withdraw",
            Action::OpenRound(_) => "OpenRound",
            Action::AttestRound(_) => "AttestRound",
            Action::AnchorCheckpoint(_) => "AnchorCheckpoint",
            Action::Dispute(_) => "Dispute",
            Action::Respond(_) => "Respond",
            Action::Resolve(_) => "Resolve",
            Action::Evidence(_) => "Evidence",
        }
    }
}

/// A sharing agreement's version. Its body stays with its parties; only its hash is on chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AgreementStatement {
    pub id: String,
    /// Starts at 1; each registration is the previous one plus one.
    pub version: u32,
    /// SHA-256 of the agreement's canonical JSON body.
    pub body: Hash,
    /// Every member that the agreement binds, sorted. All of them must approve it.
    pub parties: Vec<MemberId>,
    /// Who must at least approve a change request under this agreement, sorted; the agreement's rights may ask for more.
    pub change_approvers: Vec<MemberId>,
    /// The longest time from the opening of a round to its attestation, in milliseconds.
    pub attest_within: u64,
}

/// A policy set's version under an agreement.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PolicySetStatement {
    pub agreement: String,
    pub id: String,
    pub version: u32,
    /// SHA-256 of the policy set's canonical JSON body (`docs/formats.md`, policy set).
    pub body: Hash,
}

/// The stations that one master operator undertakes to read.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct InventoryStatement {
    pub agreement: String,
    /// The master operator whose log and rounds cover these stations.
    pub origin: MemberId,
    pub version: u32,
    /// Root of the inventory's map: keyed hash of DN → commitment to gNB id and host key.
    pub root: Hash,
    /// Number of stations.
    pub count: u64,
    /// SHA-256 of the inventory's canonical JSON body.
    pub body: Hash,
}

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalKind {
    Change,
    Baseline,
    Upgrade,
    Swap,
    Emergency,
}

/// A change request: ids and commitments, never values.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ProposalStatement {
    pub id: String,
    pub kind: ProposalKind,
    pub agreement: String,
    pub agreement_version: u32,
    /// SHA-256 of the request's canonical JSON body, which carries a random 256-bit nonce.
    pub body: Hash,
    /// Members whose approval is needed, sorted; at least the agreement's `change_approvers`.
    pub required: Vec<MemberId>,
    /// Start of the window, milliseconds since 1970 UTC.
    pub window_from: u64,
    /// End of the window, exclusive, milliseconds since 1970 UTC.
    pub window_to: u64,
}

/// What an approval is about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    Agreement,
    PolicySet,
    Inventory,
    Change,
}

/// The thing approved or withdrawn, by name. A change request has version 1.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Subject {
    pub kind: SubjectKind,
    /// Agreement id, policy set id, `agreement/origin` for an inventory, or change id.
    pub id: String,
    pub version: u32,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SubjectKind::Agreement => "agreement",
            SubjectKind::PolicySet => "policy-set",
            SubjectKind::Inventory => "inventory",
            SubjectKind::Change => "change",
        };
        write!(f, "{kind} {} v{}", self.id, self.version)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Approve,
    Reject,
}

/// One member's decision, bound to exactly what was proposed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ApprovalStatement {
    pub subject: Subject,
    /// [`statement_hash`] of the registration or proposal.
    pub statement: Hash,
    pub decision: Decision,
}

/// The proposer takes a proposal or registration back.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct WithdrawStatement {
    pub subject: Subject,
}

/// A round begins: what is in force now is what it is judged by.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct OpenRoundStatement {
    pub origin: MemberId,
    /// Grows with each round of an origin; numbers left out are rounds that the chain did not open.
    pub round: u64,
    pub agreement: String,
    pub agreement_version: u32,
    pub policy_set: String,
    pub policy_set_version: u32,
    pub inventory_version: u32,
    /// Hash of the collection profile (what is read, what is volatile, secret, mapped).
    pub profile: Hash,
}

/// A round's account, by digest and counts. The attestation itself is a leaf of the origin's log.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AttestRoundStatement {
    pub origin: MemberId,
    pub round: u64,
    /// SHA-256 of the attestation's canonical JSON, which is a leaf of the log.
    pub attestation: Hash,
    /// Index of that leaf in the origin's log; below the anchored size.
    pub leaf_index: u64,
    /// Stations expected, from the agreed inventory.
    pub expected: u64,
    pub collected: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub skipped: u64,
}

/// Compare-and-swap on the origin's last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct AnchorCheckpointStatement {
    pub origin: MemberId,
    /// Size of the last anchored tree, 0 for the first.
    pub old_size: u64,
    /// The signed checkpoint (C2SP tlog-checkpoint), UTF-8.
    pub checkpoint: String,
    /// RFC 9162 §2.1.4 consistency proof from `old_size`; empty for the first.
    pub consistency: Vec<Hash>,
}

/// What an approval signs: the hash of a registration's or proposal's action encoding.
pub fn statement_hash(action: &Action) -> Hash {
    Hash::of_parts(&[
        b"ranproof/statement/1\n",
        &borsh::to_vec(action).expect("writing to memory does not fail"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &SigningKey) -> Transaction {
        Transaction {
            chain_id: "test".into(),
            sender: key.public(),
            sequence: 1,
            action: Action::Withdraw(WithdrawStatement {
                subject: Subject { kind: SubjectKind::Change, id: "CR-1".into(), version: 1 },
            }),
        }
    }

    #[test]
    fn any_changed_byte_is_malformed_or_badly_signed() {
        let key = SigningKey::from_seed(&[3; 32]);
        let encoded = sample(&key).sign(&key).encode();
        SignedTransaction::decode(&encoded).unwrap().verify().unwrap();
        for index in 0..encoded.len() {
            let mut changed = encoded.clone();
            changed[index] ^= 1;
            let accepted = SignedTransaction::decode(&changed).is_ok_and(|t| t.verify().is_ok());
            assert!(!accepted, "byte {index} changed and still accepted");
        }
    }

    #[test]
    fn oversized_bytes_are_refused_before_decoding() {
        let error = SignedTransaction::decode(&vec![0; MAX_TRANSACTION_BYTES + 1]).unwrap_err();
        assert_eq!(error, TransactionError::TooLarge(MAX_TRANSACTION_BYTES + 1));
    }
}
