//! Step `approvals`: the request that is claimed, the edits it names, and who approved it, by their own signatures.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bundle::{Bundle, Role};
use crate::hash::Hash;
use crate::json;
use crate::record::Authorisation;
use crate::transaction::{
    Action, Decision, MemberId, ProposalStatement, Subject, SubjectKind, statement_hash,
};
use crate::trust::Trust;

use super::chain::{Chain, Proven};
use super::record::{Claim, Edit};
use super::report::{Finding, Gaps, Refuted, StepResult, refuted};
use super::standing::{Shown, shown};

/// A request whose approvals were checked.
#[derive(Debug)]
pub(super) struct Request {
    pub statement: ProposalStatement,
    /// What the record says of it.
    pub verdict: Authorisation,
    /// Height at which the last approval it needs is final; `None` if one is missing.
    pub approved: Option<u64>,
    /// Where it stood later; `None` if that is not shown.
    pub standing: Option<Shown>,
}

pub(super) fn request(
    bundle: &Bundle,
    claim: &Claim<'_>,
    chain: &Chain,
    trust: &Trust,
) -> StepResult<Option<Request>> {
    let Some(proposal) = chain.only(Role::Propose) else { return without_proposal(bundle, claim) };
    let Action::Propose(statement) = &proposal.transaction.action else {
        return refuted("the proposal is no Propose");
    };
    let id = &statement.id;
    let Some(verdict) = claim.verdict_on(id) else {
        return refuted(format!("the record does not speak of the proposed request `{id}`"));
    };
    let statement_hash = statement_hash(&proposal.transaction.action);
    check_reference(claim, statement, statement_hash)?;
    if trust.approver(&proposal.sender()).is_none() {
        return refuted(format!("request `{id}` is not proposed under a known approval key"));
    }
    let mut gaps = Gaps::default();
    check_body(bundle, claim, statement, verdict, &mut gaps)?;
    let subject = Subject { kind: SubjectKind::Change, id: id.clone(), version: 1 };
    let approved = approvals(chain, &subject, statement_hash, &statement.required, trust, &mut gaps)?;
    let standing = shown(bundle, chain, id, statement_hash, approved)?;
    if verdict == Authorisation::Exact && standing.is_none() {
        gaps.add(format!(
            "that `{id}` was not withdrawn before the change is not shown: its standing is missing"
        ));
    }
    check_verdict(claim, &mut gaps);
    let finding = gaps.finding(|| {
        let members = statement.required.join(", ");
        let standing = match &standing {
            Some(shown) => format!("its standing shown as of {}", shown.height),
            None => "that it was not withdrawn later is not shown here".to_owned(),
        };
        format!(
            "request `{id}` approved by {members}; {standing}; only the agreement's minimal approvers were checked, \
             not whom its rights name besides (`must_approve`)"
        )
    });
    Ok((Some(Request { statement: statement.clone(), verdict, approved, standing }), finding))
}

/// Of the verdicts on a change only `exact` and `late` follow from what a bundle shows.
fn check_verdict(claim: &Claim<'_>, gaps: &mut Gaps) {
    if let Claim::Change(record) = claim
        && !matches!(record.authorisation, Authorisation::Exact | Authorisation::Late)
    {
        gaps.add(unchecked(record.authorisation));
    }
}

fn unchecked(verdict: Authorisation) -> String {
    let verdict = verdict.as_str();
    format!("that the change is `{verdict}` is the origin's word: nothing in a bundle checks it")
}

fn without_proposal(bundle: &Bundle, claim: &Claim<'_>) -> StepResult<Option<Request>> {
    if bundle.request.is_some() {
        return refuted("a request body without its proposal: nothing authenticates it");
    }
    if bundle.chain.standing.is_some() {
        return refuted("a request's standing without its proposal");
    }
    match claim {
        Claim::Change(record) if record.request.is_some() => {
            Ok((None, Finding::Incomplete("the claimed request's proposal is missing".into())))
        }
        Claim::Change(record) if record.authorisation == Authorisation::Exact => {
            refuted("`exact` is claimed without a request")
        }
        Claim::Change(record) => Ok((None, Finding::Incomplete(unchecked(record.authorisation)))),
        _ => Ok((None, Finding::Skipped("no request is claimed".into()))),
    }
}

/// The change record names exactly this proposal. A violation names requests by id alone.
fn check_reference(claim: &Claim<'_>, statement: &ProposalStatement, hash: Hash) -> Result<(), Refuted> {
    let Claim::Change(record) = claim else { return Ok(()) };
    let matches = record.request.as_ref().is_some_and(|r| r.statement == hash && r.body == statement.body);
    if matches { Ok(()) } else { refuted("the record rests on another proposal than the one on chain") }
}

/// The disclosed body is the one proposed and, for `exact`, names every edit of the record.
fn check_body(
    bundle: &Bundle,
    claim: &Claim<'_>,
    statement: &ProposalStatement,
    verdict: Authorisation,
    gaps: &mut Gaps,
) -> Result<(), Refuted> {
    let Some(body) = &bundle.request else {
        if verdict == Authorisation::Exact {
            gaps.add("the request's body is missing: that it names these edits is not shown");
        }
        return Ok(());
    };
    let encoded = json::to_canonical(body).map_err(|e| Refuted(e.to_string()))?;
    if Hash::of(&encoded) != statement.body {
        return refuted("the request's body does not hash to what was proposed");
    }
    if verdict != Authorisation::Exact {
        return Ok(());
    }
    let expected = ExpectedEdits::of(body);
    match claim.edits().iter().find(|edit| !expected.name(edit)) {
        Some(edit) => {
            refuted(format!("the approved request does not name this edit of {} {}", edit.dn, edit.attribute))
        }
        None => Ok(()),
    }
}

type OldAndNew<'b> = (Option<&'b Value>, Option<&'b Value>);

/// The `edits` of a request's body (object, attribute, old, new; absent means no value), by object and attribute.
struct ExpectedEdits<'b> {
    edits: BTreeMap<(&'b str, &'b str), OldAndNew<'b>>,
    /// The request approves its own inverse.
    rollback: bool,
}

impl<'b> ExpectedEdits<'b> {
    fn of(body: &'b Value) -> ExpectedEdits<'b> {
        let edits = body.get("edits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let edits = edits.iter().filter_map(|edit| {
            let text = |name: &str| edit.get(name).and_then(Value::as_str);
            let value = |name: &str| edit.get(name).filter(|v| !v.is_null());
            Some(((text("object")?, text("attribute")?), (value("old"), value("new"))))
        });
        let rollback = body.get("rollback").and_then(Value::as_bool).unwrap_or(false);
        ExpectedEdits { edits: edits.collect(), rollback }
    }

    fn name(&self, edit: &Edit<'_>) -> bool {
        self.edits.get(&(edit.dn, edit.attribute)).is_some_and(|&(old, new)| {
            let forward = (old, new) == (edit.old, edit.new);
            let inverse = (new, old) == (edit.old, edit.new);
            forward || (self.rollback && inverse)
        })
    }
}

/// The height at which the last of `required` approved `subject`, each with its own approval key over exactly
/// `statement`. Missing ones are gaps and make it `None`.
pub(super) fn approvals(
    chain: &Chain,
    subject: &Subject,
    statement: Hash,
    required: &[MemberId],
    trust: &Trust,
    gaps: &mut Gaps,
) -> Result<Option<u64>, Refuted> {
    let mut members = BTreeSet::new();
    let mut last = 0;
    for approval in chain.approvals() {
        let Some(member) = approver(approval, subject, statement, trust)? else { continue };
        if !members.insert(member) {
            return refuted(format!("`{member}` approves {subject} twice"));
        }
        last = last.max(approval.height);
    }
    let missing: Vec<_> = required.iter().filter(|m| !members.contains(m.as_str())).cloned().collect();
    if missing.is_empty() {
        return Ok(Some(last));
    }
    gaps.add(format!("{subject} lacks the approval of {}", missing.join(", ")));
    Ok(None)
}

/// Who approves with this transaction; `None` if it is about another subject.
fn approver<'t>(
    approval: &Proven,
    subject: &Subject,
    statement: Hash,
    trust: &'t Trust,
) -> Result<Option<&'t str>, Refuted> {
    let Action::Approve(decided) = &approval.transaction.action else { return Ok(None) };
    if decided.subject != *subject {
        return Ok(None);
    }
    if decided.decision != Decision::Approve {
        return refuted(format!("a decision about {subject} is a rejection"));
    }
    if decided.statement != statement {
        return refuted(format!("an approval of {subject} is of another text"));
    }
    match trust.approver(&approval.sender()) {
        Some(member) => Ok(Some(member)),
        None => refuted(format!("an approval of {subject} is under an approval key that is not known")),
    }
}
