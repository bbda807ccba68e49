//! What the entries of the state map hold, in borsh. Statements are stored as they were signed.

use anchor::Hash;
use anchor::transaction::{AttestRoundStatement, Decision, MemberId, OpenRoundStatement};
use borsh::{BorshDeserialize, BorshSerialize};

/// The block in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Moment {
    pub height: u64,
    /// The block's time, milliseconds since 1970 UTC.
    pub time: u64,
}

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
    /// `OpenRound`, `AttestRound`, `AnchorCheckpoint`. Held by the node.
    Log,
    /// `Register*`, `Propose`, `Approve`, `Withdraw`. Held by people.
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

/// Where a registration or change request stands.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// [`anchor::transaction::statement_hash`] of the action; approvals are bound to it.
    pub statement: Hash,
    pub proposer: MemberId,
    /// Members whose approval is needed, sorted.
    pub required: Vec<MemberId>,
    /// The version that this one replaces, final when it was registered; 0 for none and for change requests.
    pub base: u32,
    /// The agreement and its version on which `required` rests; none for an agreement itself.
    pub under: Option<AgreementVersion>,
    /// End of a change request's window, exclusive, milliseconds since 1970 UTC.
    pub window_to: Option<u64>,
    /// The transaction that registered or proposed it.
    pub transaction: Hash,
    pub proposed: Moment,
    /// When the last approval it needed landed.
    pub finalized: Option<Moment>,
    /// When the first rejection landed.
    pub rejected: Option<Moment>,
    /// When the proposer took it back; for a change request also after it was final.
    pub withdrawn: Option<Moment>,
}

impl Standing {
    /// One word of it; the moments tell more.
    pub fn status(&self) -> Status {
        if self.withdrawn.is_some() {
            Status::Withdrawn
        } else if self.rejected.is_some() {
            Status::Rejected
        } else if self.finalized.is_some() {
            Status::Final
        } else {
            Status::Pending
        }
    }

    /// Whether all approvals had landed in a block before `height`, and it was not withdrawn in one.
    pub fn in_force(&self, height: u64) -> bool {
        let before = |moment: Option<Moment>| moment.is_some_and(|m| m.height < height);
        before(self.finalized) && !before(self.withdrawn)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Approvals are missing.
    Pending,
    /// All approvals are there.
    Final,
    /// A required member said no.
    Rejected,
    /// The proposer took it back.
    Withdrawn,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AgreementVersion {
    pub id: String,
    pub version: u32,
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
