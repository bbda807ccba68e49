//! Where a chain begins: its members, their keys, its first validators.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::certificate::{Validator, ValidatorSet};
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::transaction::MemberId;

const GENESIS_DOMAIN: &[u8] = b"ranproof/genesis/2\n";

/// What a member is to the federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    /// Shares the network; may be master operator in some districts and participating operator in others.
    Operator,
    /// Owns passive equipment; approves agreement, policy set and inventory.
    Tower,
    /// Neutral; validates and cosigns, approves nothing.
    Witness,
}

/// A member and its keys. Separate keys for separate duties, so that a node never holds a person's approval.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub id: MemberId,
    pub name: String,
    pub role: MemberRole,
    /// Signs `OpenRound`, `AttestRound`, `AnchorCheckpoint`, `Dispute`, `Evidence` and the member's checkpoints.
    pub log_key: PublicKey,
    /// Signs `Register*`, `Propose`, `Approve`, `Withdraw`, `Respond`, `Resolve`. Held by people.
    pub approval_key: PublicKey,
    /// Cosigns the checkpoints of other members' logs, and no transaction.
    pub cosigner_key: PublicKey,
    /// SHA-256 of the DER certificate by which other members' agents know this member's.
    pub tls: Hash,
}

/// The first state of a chain. All nodes and verifiers of a chain hold the same file.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// `ranproof/genesis/2`.
    pub format: String,
    pub chain_id: String,
    /// Milliseconds since 1970 UTC.
    pub time: u64,
    pub rules_version: u32,
    pub members: Vec<Member>,
    pub validators: Vec<Validator>,
}

impl Genesis {
    pub const FORMAT: &'static str = "ranproof/genesis/2";

    pub fn hash(&self) -> Hash {
        let encoded = borsh::to_vec(self).expect("writing to memory does not fail");
        Hash::of_parts(&[GENESIS_DOMAIN, &encoded])
    }

    pub fn validator_set(&self) -> ValidatorSet {
        ValidatorSet(self.validators.clone())
    }

    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// The name in the checkpoints of a member's log, `<chain id>/<member id>`; also the name of its cosigner, whose
    /// key id differs by the algorithm.
    pub fn origin(&self, member: &str) -> String {
        format!("{}/{member}", self.chain_id)
    }
}
