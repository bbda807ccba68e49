//! Where a registration or change request stands in the contract's state: the one entry of it that bundles prove.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::hash::Hash;
use crate::transaction::MemberId;

/// The block in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Moment {
    pub height: u64,
    /// The block's time, milliseconds since 1970 UTC.
    pub time: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AgreementVersion {
    pub id: String,
    pub version: u32,
}

/// Where a registration or change request stands.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// [`crate::transaction::statement_hash`] of the action; approvals are bound to it.
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

/// Bytes that are no standing of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a standing of this version: {0}")]
pub struct MalformedStanding(String);

impl Standing {
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<Standing, MalformedStanding> {
        borsh::from_slice(bytes).map_err(|e| MalformedStanding(e.to_string()))
    }

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

/// Key of a change request's standing in the state map.
pub fn change_key(id: &str) -> String {
    format!("standing/change/{id}/0000000001")
}
