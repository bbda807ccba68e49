//! What agents ask of the committed state.

use anchor::transaction::{
    AgreementStatement, InventoryStatement, MemberId, PolicySetStatement, ProposalStatement, Subject,
    SubjectKind,
};
use anchor::{Hash, Member, PublicKey, ValidatorSet};
use borsh::BorshDeserialize;

use crate::contract::Contract;
use crate::envelope;
use crate::key::{self, Key};
use crate::record::{
    AnchoredCheckpoint, ApprovalRecord, AttestationRecord, ChainRecord, DisputeRecord, EvidenceRecord,
    KeyHolder, Missed, Opening, Standing,
};

/// A registration or change request with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered<S> {
    pub statement: S,
    pub standing: Standing,
}

/// All that the chain knows of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundState {
    pub opening: Opening,
    pub attestation: Option<AttestationRecord>,
    /// Set if the deadline passed without an attestation, even if a late one came.
    pub missed: Option<Missed>,
}

/// The chain and its members.
impl Contract {
    pub fn chain(&self) -> ChainRecord {
        self.view().get(&key::chain()).expect("genesis sets the chain")
    }

    pub fn chain_id(&self) -> String {
        self.chain().chain_id
    }

    pub fn genesis_hash(&self) -> Hash {
        self.chain().genesis
    }

    pub fn rules_version(&self) -> u32 {
        self.chain().rules_version
    }

    /// The validators of the next block.
    pub fn validators(&self) -> ValidatorSet {
        self.view().get(&key::validators()).expect("genesis sets the validators")
    }

    pub fn member(&self, id: &str) -> Option<Member> {
        self.view().get(&key::member(id))
    }

    /// In the order of their ids.
    pub fn members(&self) -> Vec<Member> {
        self.suffixes(key::member("").as_str()).filter_map(|id| self.member(id)).collect()
    }

    /// Whose a key is, and for what.
    pub fn member_by_key(&self, key: &PublicKey) -> Option<KeyHolder> {
        self.view().get(&key::holder(key))
    }

    /// The sequence number for the key's next transaction; 1 for one that was never used, none when all 2^64
    /// are used up.
    pub fn next_sequence(&self, key: &PublicKey) -> Option<u64> {
        envelope::next_sequence(self.view(), key)
    }
}

/// Registrations and change requests.
impl Contract {
    pub fn agreement(&self, id: &str, version: u32) -> Option<Registered<AgreementStatement>> {
        let subject = Subject { kind: SubjectKind::Agreement, id: id.into(), version };
        self.registered(&key::agreement(id, version), &subject)
    }

    pub fn policy_set(&self, id: &str, version: u32) -> Option<Registered<PolicySetStatement>> {
        let subject = Subject { kind: SubjectKind::PolicySet, id: id.into(), version };
        self.registered(&key::policy_set(id, version), &subject)
    }

    pub fn inventory(
        &self,
        agreement: &str,
        origin: &str,
        version: u32,
    ) -> Option<Registered<InventoryStatement>> {
        let id = format!("{agreement}/{origin}");
        let subject = Subject { kind: SubjectKind::Inventory, id, version };
        self.registered(&key::inventory(agreement, origin, version), &subject)
    }

    pub fn change(&self, id: &str) -> Option<Registered<ProposalStatement>> {
        let subject = Subject { kind: SubjectKind::Change, id: id.into(), version: 1 };
        self.registered(&key::change(id), &subject)
    }

    /// The agreement's version in force in the block at `height`, the newest whose last approval lies before.
    pub fn agreement_in_force(&self, id: &str, height: u64) -> Option<Registered<AgreementStatement>> {
        let version = self.view().in_force(SubjectKind::Agreement, id, height)?;
        self.agreement(id, version)
    }

    pub fn policy_set_in_force(&self, id: &str, height: u64) -> Option<Registered<PolicySetStatement>> {
        let version = self.view().in_force(SubjectKind::PolicySet, id, height)?;
        self.policy_set(id, version)
    }

    /// All policy sets in force under an agreement, by id.
    pub fn policy_sets_in_force(&self, agreement: &str, height: u64) -> Vec<Registered<PolicySetStatement>> {
        self.ids(SubjectKind::PolicySet)
            .iter()
            .filter_map(|id| self.policy_set_in_force(id, height))
            .filter(|found| found.statement.agreement == agreement)
            .collect()
    }

    pub fn inventory_in_force(
        &self,
        agreement: &str,
        origin: &str,
        height: u64,
    ) -> Option<Registered<InventoryStatement>> {
        let id = format!("{agreement}/{origin}");
        let version = self.view().in_force(SubjectKind::Inventory, &id, height)?;
        self.inventory(agreement, origin, version)
    }

    /// The last registered version, final or not; 0 for none. The next registration is this plus one.
    pub fn last_version(&self, kind: SubjectKind, id: &str) -> u32 {
        self.view().versions(kind, id).registered
    }

    /// Ids of all agreements, policy sets, inventories (`agreement/origin`) or change requests, sorted.
    pub fn ids(&self, kind: SubjectKind) -> Vec<String> {
        match kind {
            SubjectKind::Change => {
                let prefix = key::path(kind, "");
                self.suffixes(&prefix)
                    .filter_map(|rest| rest.split_once('/'))
                    .map(|(id, _)| id.into())
                    .collect()
            }
            _ => self.suffixes(key::versions(kind, "").as_str()).map(str::to_owned).collect(),
        }
    }

    pub fn standing(&self, subject: &Subject) -> Option<Standing> {
        self.view().get(&key::standing(subject))
    }

    /// Who decided, how and at which height, by member.
    pub fn approvals(&self, subject: &Subject) -> Vec<(MemberId, ApprovalRecord)> {
        self.suffixes(&key::approval_prefix(subject))
            .filter_map(|member| Some((member.to_owned(), self.view().get(&key::approval(subject, member))?)))
            .collect()
    }

    fn registered<S: BorshDeserialize>(&self, entry: &Key<S>, subject: &Subject) -> Option<Registered<S>> {
        Some(Registered { statement: self.view().get(entry)?, standing: self.standing(subject)? })
    }
}

/// Rounds and logs.
impl Contract {
    pub fn round(&self, origin: &str, round: u64) -> Option<RoundState> {
        Some(RoundState {
            opening: self.view().get(&key::opening(origin, round))?,
            attestation: self.view().get(&key::attestation(origin, round)),
            missed: self.view().get(&key::missed(origin, round)),
        })
    }

    /// The origin's last opened round, 0 before the first.
    pub fn last_round(&self, origin: &str) -> u64 {
        self.view().get(&key::last_round(origin)).unwrap_or(0)
    }

    /// The round that is neither attested nor past its deadline.
    pub fn open_round(&self, origin: &str) -> Option<u64> {
        self.view().get(&key::open_round(origin))
    }

    /// Rounds whose deadline passed without an attestation, those attested late included, ascending.
    pub fn missed_rounds(&self, origin: &str) -> Vec<(u64, Missed)> {
        self.suffixes(&format!("missed/{origin}/"))
            .filter_map(|digits| digits.parse().ok())
            .filter_map(|round| Some((round, self.view().get(&key::missed(origin, round))?)))
            .collect()
    }

    pub fn last_checkpoint(&self, origin: &str) -> Option<AnchoredCheckpoint> {
        self.view().get(&key::checkpoint(origin))
    }
}

/// Disputes and evidence.
impl Contract {
    /// All disputes, ended ones included, by id.
    pub fn disputes(&self) -> Vec<(String, DisputeRecord)> {
        self.suffixes(key::dispute("").as_str())
            .filter_map(|id| Some((id.to_owned(), self.dispute(id)?)))
            .collect()
    }

    pub fn dispute(&self, id: &str) -> Option<DisputeRecord> {
        self.view().get(&key::dispute(id))
    }

    /// Logs that told two stories: origin, size and the two notes, by origin and size.
    pub fn evidence(&self) -> Vec<(MemberId, u64, EvidenceRecord)> {
        self.suffixes("evidence/")
            .filter_map(|rest| rest.split_once('/'))
            .filter_map(|(origin, digits)| Some((origin, digits.parse().ok()?)))
            .filter_map(|(origin, size)| {
                Some((origin.to_owned(), size, self.view().get(&key::evidence(origin, size))?))
            })
            .collect()
    }
}
