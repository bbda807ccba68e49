//! Decisions: each required member decides once, about exactly what was proposed.

use anchor::transaction::{ApprovalStatement, Decision, Subject, SubjectKind};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::{ApprovalRecord, Standing, Versions};
use crate::state::Writes;

/// One rejection is the end; the last approval makes the subject final at this height.
pub(crate) fn approve(call: &Call<'_>, statement: &ApprovalStatement) -> Result<Writes, Refusal> {
    let subject = &statement.subject;
    let mut standing = standing(call, subject)?;
    if standing.statement != statement.statement {
        let reason = format!("the decision is about another text of {subject} than the one proposed");
        return Err(Refusal::new(code::STATEMENT, reason));
    }
    call.author_is_no_witness()?;
    if !standing.required.contains(call.author_id()) {
        let reason = format!("{subject} does not need the approval of `{}`", call.author_id());
        return Err(Refusal::new(code::NOT_REQUIRED, reason));
    }
    check_undecided(call, statement)?;
    check_open(call, subject, &standing)?;

    let mut writes = Writes::default();
    let record = ApprovalRecord { decision: statement.decision, at: call.now, transaction: call.transaction };
    writes.put(&key::approval(subject, call.author_id()), &record);
    match statement.decision {
        Decision::Reject => standing.rejected = Some(call.now),
        Decision::Approve if is_last_approval(call, subject, &standing) => {
            standing.finalized = Some(call.now);
            if subject.kind != SubjectKind::Change {
                let versions = call.view.versions(subject.kind, &subject.id);
                let versions = Versions { newest_final: subject.version, ..versions };
                writes.put(&key::versions(subject.kind, &subject.id), &versions);
            }
        }
        Decision::Approve => {}
    }
    writes.put(&key::standing(subject), &standing);
    Ok(writes)
}

pub(crate) fn standing(call: &Call<'_>, subject: &Subject) -> Result<Standing, Refusal> {
    call.view
        .get(&key::standing(subject))
        .ok_or_else(|| Refusal::new(code::UNKNOWN_SUBJECT, format!("{subject} was never proposed")))
}

fn check_undecided(call: &Call<'_>, statement: &ApprovalStatement) -> Result<(), Refusal> {
    let (subject, author) = (&statement.subject, call.author_id());
    match call.view.get(&key::approval(subject, author)) {
        None => Ok(()),
        Some(earlier) if earlier.decision == statement.decision => {
            let reason = format!("`{author}` has decided about {subject} before, the same way");
            Err(Refusal::new(code::DUPLICATE, reason))
        }
        Some(_) => {
            let reason = format!("`{author}` has decided about {subject} before, the other way");
            Err(Refusal::new(code::DECIDED, reason))
        }
    }
}

/// Refuses decisions about what has ended, by its own doing or by what became final beside it.
fn check_open(call: &Call<'_>, subject: &Subject, standing: &Standing) -> Result<(), Refusal> {
    if standing.withdrawn.is_some() {
        return Err(Refusal::new(code::WITHDRAWN, format!("{subject} was withdrawn")));
    }
    if standing.rejected.is_some() {
        return Err(Refusal::new(code::REJECTED, format!("{subject} was rejected")));
    }
    if is_superseded(call, subject, standing) {
        let reason =
            format!("what {subject} rests on was replaced since it was proposed; hint: propose anew");
        return Err(Refusal::new(code::SUPERSEDED, reason));
    }
    if standing.window_to.is_some_and(|end| call.now.time >= end) {
        let reason = format!("the window of {subject} is over at the block's time");
        return Err(Refusal::new(code::WINDOW, reason));
    }
    Ok(())
}

/// Compare-and-swap of versions. Whose approval is needed was read from the base version or the agreement at
/// the time of proposal; were either replaced since, others might have to be asked.
fn is_superseded(call: &Call<'_>, subject: &Subject, standing: &Standing) -> bool {
    let own_moved = subject.kind != SubjectKind::Change
        && call.view.versions(subject.kind, &subject.id).newest_final != standing.base;
    let agreement_moved = standing.under.as_ref().is_some_and(|under| {
        call.view.versions(SubjectKind::Agreement, &under.id).newest_final != under.version
    });
    own_moved || agreement_moved
}

/// Whether everybody required but the author has approved.
fn is_last_approval(call: &Call<'_>, subject: &Subject, standing: &Standing) -> bool {
    standing.required.iter().filter(|member| *member != call.author_id()).all(|member| {
        let earlier = call.view.get(&key::approval(subject, member));
        earlier.is_some_and(|record| record.decision == Decision::Approve)
    })
}
