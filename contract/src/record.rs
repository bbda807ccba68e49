//! What the entries of the state map hold, in borsh. Statements are stored as they were signed.

use anchor::Hash;
pub use anchor::standing::{AgreementVersion, Moment, Standing, Status};
use anchor::transaction::{
    AttestRoundStatement, Decision, DisputeOutcome, DisputeStatement, EvidenceStatement, MemberId,
    OpenRoundStatement,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Which chain this is the state of.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainRecord {
    pub chain_id: String,
    /// [`anchor::Genesis::hash`].
    pub genesis: Hash,
    pub rules_version: u32,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Duty {
    /// `OpenRound`, `AttestRound`, `AnchorCheckpoint`, `Dispute`, `Evidence`. Held by the node.
    Log,
    /// `Register*`, `Propose`, `Approve`, `Withdraw`, `Respond`, `Resolve`. Held by people.
    Approval,
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyHolder {
    pub member: MemberId,
    pub duty: Duty,
}

/// The versions of one registered thing. The final ones form a chain through [`Standing::base`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Versions {
    /// The last version registered, final or not.
    pub registered: u32,
    /// The newest version with all its approvals, 0 for none.
    pub newest_final: u32,
}

/// One member's decision.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ApprovalRecord {
    pub decision: Decision,
    pub at: Moment,
    pub transaction: Hash,
}

/// A round as it was opened.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Pins agreement, policy set, inventory and profile.
    pub statement: OpenRoundStatement,
    pub at: Moment,
    /// The last block time at which an attestation is in time, milliseconds since 1970 UTC.
    pub deadline: u64,
    /// Number of stations in the pinned inventory.
    pub expected: u64,
    pub transaction: Hash,
}

/// A round's attestation.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AttestationRecord {
    pub statement: AttestRoundStatement,
    pub at: Moment,
    /// It came past the deadline; the round's [`Missed`] stays on record.
    pub late: bool,
    pub transaction: Hash,
}

/// A round that had no attestation when its deadline passed. Never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Missed {
    /// The first block past the deadline.
    pub at: Moment,
    pub deadline: u64,
}

/// The last checkpoint of an origin that the chain accepted.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AnchoredCheckpoint {
    /// Number of leaves.
    pub size: u64,
    pub root: Hash,
    /// The signed checkpoint as it was anchored.
    pub checkpoint: String,
    pub at: Moment,
    pub transaction: Hash,
}

/// A dispute and what became of it. Never removed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DisputeRecord {
    pub statement: DisputeStatement,
    /// Who opened it.
    pub disputer: MemberId,
    pub at: Moment,
    pub transaction: Hash,
    /// The accused's answer.
    pub response: Option<Response>,
    /// How the disputer ended it; none while it is open.
    pub resolution: Option<Resolution>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Response {
    /// SHA-256 of the answer's body.
    pub body: Hash,
    pub at: Moment,
    pub transaction: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Resolution {
    pub outcome: DisputeOutcome,
    pub at: Moment,
    pub transaction: Hash,
}

/// That an origin signed two stories of one beginning of its log. Never removed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceRecord {
    pub statement: EvidenceStatement,
    /// Who handed it in.
    pub by: MemberId,
    pub at: Moment,
    pub transaction: Hash,
}
