//! Step `agreement`: each round was opened and attested by its origin, under agreement, policy set and inventory
//! that its parties approved.

use crate::bundle::{Bundle, Role};
use crate::hash::Hash;
use crate::proof::TlogProof;
use crate::record::{Attestation, Counts};
use crate::transaction::{
    Action, AgreementStatement, AttestRoundStatement, MemberId, OpenRoundStatement, Subject, SubjectKind,
    statement_hash,
};
use crate::trust::Trust;

use super::approvals::{Request, approvals};
use super::chain::{Chain, Proven};
use super::record::Claim;
use super::report::{Gaps, Refuted, StepResult, refuted};

/// A round as the chain has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round<'a> {
    pub attestation: &'a Attestation,
    /// Height of its opening; `None` if unopened or not shown.
    pub opened: Option<u64>,
    /// Height of its `AttestRound`.
    pub attested: Option<u64>,
    /// Times of these two blocks.
    pub opened_at: Option<u64>,
    pub attested_at: Option<u64>,
}

/// The rounds that the claim rests on.
#[derive(Debug)]
pub(super) struct Rounds<'a> {
    pub before: Option<Round<'a>>,
    /// The round itself, or the one that first saw what is claimed; `None` if the bundle lacks it.
    pub after: Option<Round<'a>>,
    /// The agreement's longest time from opening to attestation, in milliseconds.
    pub attest_within: Option<u64>,
    /// The agreement's parties; `None` if its registration is missing.
    pub parties: Option<Vec<MemberId>>,
}

pub(super) fn check<'a>(
    bundle: &'a Bundle,
    claim: &Claim<'a>,
    chain: &Chain,
    request: &Option<Request>,
    origin: &str,
    trust: &Trust,
) -> StepResult<Rounds<'a>> {
    let mut gaps = Gaps::default();
    let context = Context { chain, trust, origin };
    let before = match &bundle.before {
        Some(o) => {
            Some(context.round(&o.attestation, o.index, [Role::OpenBefore, Role::AttestBefore], &mut gaps)?)
        }
        None => context.unused([Role::OpenBefore, Role::AttestBefore]).map(|()| None)?,
    };
    let after = match (claim, &bundle.after) {
        (Claim::Round(attestation), _) => Some((*attestation, leaf_index(bundle)?)),
        (_, Some(o)) => Some((&o.attestation, o.index)),
        (_, None) => None,
    };
    let Some((attestation, index)) = after else {
        gaps.add("the attestation of the round that first saw it is missing");
        let rounds = Rounds { before, after: None, attest_within: None, parties: None };
        return Ok((rounds, gaps.finding(String::new)));
    };
    let after = context.round(attestation, index, [Role::Open, Role::Attest], &mut gaps)?;
    let agreement = context.documents(&after, request, &mut gaps)?;
    context.every_approval_is_needed(&after, request)?;
    if trust.agreements().is_none() {
        let id = &attestation.agreement.id;
        gaps.add(format!(
            "the trust file names no agreement: whether {id} is one that counts is not checked; hint: `agreements`"
        ));
    }
    let attest_within = agreement.as_ref().map(|a| a.attest_within);
    let parties = agreement.as_ref().map(|a| a.parties.clone());
    let rounds = Rounds { before, after: Some(after), attest_within, parties };
    let finding = gaps.finding(|| {
        let (id, set) = (&attestation.agreement, &attestation.policy_set);
        let parties = agreement.as_ref().map(|a| a.parties.join(", ")).unwrap_or_default();
        let (inventory, count) = (attestation.inventory.version, attestation.inventory.count);
        format!(
            "agreement {} v{}, policy set {} v{}, inventory v{inventory} of {count} stations, approved by its \
             parties {parties}",
            id.id, id.version, set.id, set.version
        )
    });
    Ok((rounds, finding))
}

fn leaf_index(bundle: &Bundle) -> Result<u64, Refuted> {
    TlogProof::parse(bundle.proof.as_bytes()).map(|p| p.index).map_err(|e| Refuted(e.to_string()))
}

struct Context<'c> {
    chain: &'c Chain,
    trust: &'c Trust,
    origin: &'c str,
}

impl Context<'_> {
    fn unused(&self, roles: [Role; 2]) -> Result<(), Refuted> {
        match roles.into_iter().find(|role| self.chain.only(*role).is_some()) {
            Some(role) => refuted(format!("the bundle has no attestation for its {}", role.as_str())),
            None => Ok(()),
        }
    }

    /// Matches an attestation with its opening and its `AttestRound`.
    fn round<'a>(
        &self,
        attestation: &'a Attestation,
        index: u64,
        roles: [Role; 2],
        gaps: &mut Gaps,
    ) -> Result<Round<'a>, Refuted> {
        let round = attestation.round;
        if !attestation.counts.balance() || attestation.outcomes_count != attestation.counts.expected {
            return refuted(format!("the account of round {round} does not balance"));
        }
        let mut found =
            Round { attestation, opened: None, attested: None, opened_at: None, attested_at: None };
        if attestation.opened.is_none() {
            self.unused(roles)?;
            gaps.add(format!("round {round} was not opened on chain: its order is undetermined"));
            return Ok(found);
        }
        let [open, attest] = roles.map(|role| self.chain.only(role));
        match open {
            Some(open) => {
                self.check_open(attestation, open)?;
                found.opened = Some(open.height);
                found.opened_at = self.chain.time(open.height);
            }
            None => gaps.add(format!("the opening of round {round} is missing")),
        }
        match attest {
            Some(attest) => {
                self.check_attest(attestation, index, attest)?;
                found.attested = Some(attest.height);
                found.attested_at = self.chain.time(attest.height);
            }
            None => gaps.add(format!("the AttestRound of round {round} is missing")),
        }
        Ok(found)
    }

    fn check_open(&self, attestation: &Attestation, open: &Proven) -> Result<(), Refuted> {
        let Action::OpenRound(statement) = &open.transaction.action else {
            return refuted("the opening is no OpenRound");
        };
        self.sent_by_origin(open)?;
        let pinned = OpenRoundStatement {
            origin: attestation.origin.clone(),
            round: attestation.round,
            agreement: attestation.agreement.id.clone(),
            agreement_version: attestation.agreement.version,
            policy_set: attestation.policy_set.id.clone(),
            policy_set_version: attestation.policy_set.version,
            inventory_version: attestation.inventory.version,
            profile: attestation.profile,
        };
        if *statement != pinned || attestation.opened != Some(open.height) {
            let round = attestation.round;
            return refuted(format!("round {round} was not opened at this height with what it attests"));
        }
        Ok(())
    }

    fn check_attest(&self, attestation: &Attestation, index: u64, attest: &Proven) -> Result<(), Refuted> {
        let Action::AttestRound(statement) = &attest.transaction.action else {
            return refuted("the attestation's transaction is no AttestRound");
        };
        self.sent_by_origin(attest)?;
        let Counts { expected, collected, unchanged, failed, skipped } = attestation.counts;
        let hash = attestation.hash().map_err(|e| Refuted(e.to_string()))?;
        let (origin, round) = (attestation.origin.clone(), attestation.round);
        let same = AttestRoundStatement {
            origin,
            round,
            attestation: hash,
            leaf_index: index,
            expected,
            collected,
            unchanged,
            failed,
            skipped,
        };
        if *statement == same {
            Ok(())
        } else {
            refuted(format!("round {round} was attested differently on chain"))
        }
    }

    fn sent_by_origin(&self, proven: &Proven) -> Result<(), Refuted> {
        if self.trust.log_key(self.origin) == Some(proven.sender()) {
            return Ok(());
        }
        refuted(format!("{} is not signed by the log key of `{}`", proven.role.as_str(), self.origin))
    }

    /// The documents that the round pinned are those that the parties approved, before it was opened.
    fn documents(
        &self,
        round: &Round<'_>,
        request: &Option<Request>,
        gaps: &mut Gaps,
    ) -> Result<Option<AgreementStatement>, Refuted> {
        let Some(registered) = self.chain.only(Role::RegisterAgreement) else {
            gaps.add("the agreement's registration is missing");
            return Ok(None);
        };
        let Action::RegisterAgreement(agreement) = &registered.transaction.action else {
            return refuted("the agreement's registration is no RegisterAgreement");
        };
        let pinned = &round.attestation.agreement;
        let same =
            agreement.id == pinned.id && agreement.version == pinned.version && agreement.body == pinned.body;
        if !same {
            return refuted("the registered agreement is not the one that the round attests");
        }
        self.check_known(agreement)?;
        self.in_force(registered, &agreement.parties, round, gaps)?;
        self.check_request(agreement, request)?;
        for role in [Role::RegisterPolicySet, Role::RegisterInventory] {
            match self.chain.only(role) {
                Some(registered) => {
                    self.check_document(registered, round.attestation)?;
                    self.in_force(registered, &agreement.parties, round, gaps)?;
                }
                None => gaps.add(format!("{} is missing", role.as_str())),
            }
        }
        Ok(Some(agreement.clone()))
    }

    /// An origin could agree with itself alone; the verifier's file says which agreements count.
    fn check_known(&self, agreement: &AgreementStatement) -> Result<(), Refuted> {
        let Some(named) = self.trust.agreements() else { return Ok(()) };
        let Some(known) = named.iter().find(|a| a.id == agreement.id) else {
            return refuted(format!("agreement {} is not named in the trust file", agreement.id));
        };
        match known.parties.iter().find(|party| !agreement.parties.contains(party)) {
            Some(party) => refuted(format!("agreement {} does not bind `{party}`", agreement.id)),
            None => Ok(()),
        }
    }

    fn check_document(&self, registered: &Proven, attestation: &Attestation) -> Result<(), Refuted> {
        let same = match &registered.transaction.action {
            Action::RegisterPolicySet(s) => {
                let pinned = &attestation.policy_set;
                let versions = s.agreement == attestation.agreement.id && s.version == pinned.version;
                versions && s.id == pinned.id && s.body == pinned.body
            }
            Action::RegisterInventory(s) => {
                let pinned = &attestation.inventory;
                let counted = s.count == pinned.count && s.count == attestation.counts.expected;
                let versions = s.agreement == attestation.agreement.id && s.version == pinned.version;
                versions && counted && s.origin == attestation.origin && s.root == pinned.root
            }
            _ => false,
        };
        if same {
            return Ok(());
        }
        refuted(format!("{} is not of what the round attests", registered.role.as_str()))
    }

    /// All `parties` approved the registration, in blocks before the opening.
    fn in_force(
        &self,
        registered: &Proven,
        parties: &[MemberId],
        round: &Round<'_>,
        gaps: &mut Gaps,
    ) -> Result<(), Refuted> {
        let Some(subject) = subject(&registered.transaction.action) else {
            return refuted("not a registration");
        };
        let hash: Hash = statement_hash(&registered.transaction.action);
        let approved = approvals(self.chain, &subject, hash, parties, self.trust, gaps)?;
        if let (Some(approved), Some(opened)) = (approved, round.opened)
            && approved >= opened
        {
            return refuted(format!(
                "{subject} was approved at {approved}, not before the opening at {opened}"
            ));
        }
        Ok(())
    }

    fn check_request(
        &self,
        agreement: &AgreementStatement,
        request: &Option<Request>,
    ) -> Result<(), Refuted> {
        let Some(Request { statement, .. }) = request else { return Ok(()) };
        if statement.agreement != agreement.id {
            return refuted(format!("request `{}` is under another agreement", statement.id));
        }
        let asked = |member| statement.required.contains(member);
        if statement.agreement_version == agreement.version && !agreement.change_approvers.iter().all(asked) {
            return refuted(format!("request `{}` did not ask whom the agreement names", statement.id));
        }
        Ok(())
    }

    /// No approval rides along without being checked.
    fn every_approval_is_needed(&self, round: &Round<'_>, request: &Option<Request>) -> Result<(), Refuted> {
        let roles = [Role::RegisterAgreement, Role::RegisterPolicySet, Role::RegisterInventory];
        let registered = roles.into_iter().filter_map(|role| self.chain.only(role));
        let mut subjects: Vec<_> = registered.filter_map(|r| subject(&r.transaction.action)).collect();
        subjects.extend(request.iter().map(|r| Subject {
            kind: SubjectKind::Change,
            id: r.statement.id.clone(),
            version: 1,
        }));
        let idle = self.chain.approvals().find_map(|approval| match &approval.transaction.action {
            Action::Approve(decided) if !subjects.contains(&decided.subject) => Some(&decided.subject),
            _ => None,
        });
        match idle {
            Some(subject) => {
                let round = round.attestation.round;
                refuted(format!("an approval of {subject} has no part in round {round} or the request"))
            }
            None => Ok(()),
        }
    }
}

/// What an approval of this registration names.
fn subject(action: &Action) -> Option<Subject> {
    let (kind, id, version) = match action {
        Action::RegisterAgreement(s) => (SubjectKind::Agreement, s.id.clone(), s.version),
        Action::RegisterPolicySet(s) => (SubjectKind::PolicySet, s.id.clone(), s.version),
        Action::RegisterInventory(s) => {
            (SubjectKind::Inventory, format!("{}/{}", s.agreement, s.origin), s.version)
        }
        _ => return None,
    };
    Some(Subject { kind, id, version })
}
