//! Disputes: opened by an operator who could not follow another's round, answered once by the accused, ended once by
//! the one who opened it. Neither waits for the other: silence is on record and blocks nothing.

use anchor::MemberRole;
use anchor::transaction::{DisputeStatement, ResolveStatement, RespondStatement};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::{DisputeRecord, Resolution, Response};
use crate::state::Writes;

/// The log key opens it, because the agent that judged does. That the judgement stands in the disputer's log is for
/// those who hold the log: the chain knows its commitment.
pub(crate) fn open(call: &Call<'_>, statement: &DisputeStatement) -> Result<Writes, Refusal> {
    check_id(call, statement)?;
    let entry = key::dispute(&statement.id);
    match call.view.get(&entry) {
        Some(earlier) if earlier.statement == *statement && earlier.disputer == *call.author_id() => {
            let reason = format!("dispute `{}` was opened before, with the same words", statement.id);
            return Err(Refusal::new(code::DUPLICATE, reason));
        }
        Some(_) => {
            let reason = format!("dispute `{}` was opened before, differently", statement.id);
            return Err(Refusal::new(code::CONFLICT, reason));
        }
        None => {}
    }
    check_disputer(call, statement)?;
    check_attestation(call, statement)?;
    let record = DisputeRecord {
        statement: statement.clone(),
        disputer: call.author_id().clone(),
        at: call.now,
        transaction: call.transaction,
        response: None,
        resolution: None,
    };
    let mut writes = Writes::default();
    writes.put(&entry, &record);
    Ok(writes)
}

/// Ids are one namespace for all. If each could be chosen freely, the accused could take those of its accuser first.
fn check_id(call: &Call<'_>, statement: &DisputeStatement) -> Result<(), Refusal> {
    let DisputeStatement { id, origin, round, kind, .. } = statement;
    let own = DisputeStatement::id_of(call.author_id(), origin, *round, *kind);
    if *id == own {
        return Ok(());
    }
    let reason = format!("`{}` cannot open dispute `{id}`; hint: its id must be `{own}`", call.author_id());
    Err(Refusal::new(code::DISPUTE_ID, reason))
}

/// Another operator among the parties of the agreement that the round pinned.
fn check_disputer(call: &Call<'_>, statement: &DisputeStatement) -> Result<(), Refusal> {
    let (origin, round) = (&statement.origin, statement.round);
    call.member(origin)?;
    if call.author_id() == origin {
        return Err(Refusal::new(
            code::OWN_ROUND,
            format!("`{origin}` cannot dispute its own round {round}"),
        ));
    }
    if call.member(call.author_id())?.role != MemberRole::Operator {
        let reason = format!("`{}` is not an operator and judges no rounds", call.author_id());
        return Err(Refusal::new(code::ROLE, reason));
    }
    let Some(opening) = call.view.get(&key::opening(origin, round)) else {
        let reason = format!("round {round} of `{origin}` was never opened");
        return Err(Refusal::new(code::UNKNOWN_ROUND, reason));
    };
    let (id, version) = (&opening.statement.agreement, opening.statement.agreement_version);
    let agreement = call.view.get(&key::agreement(id, version));
    let parties = agreement.map(|agreement| agreement.parties).unwrap_or_default();
    call.author_is_among(&parties, id)
}

fn check_attestation(call: &Call<'_>, statement: &DisputeStatement) -> Result<(), Refusal> {
    let (origin, round) = (&statement.origin, statement.round);
    let reason = match call.view.get(&key::attestation(origin, round)) {
        Some(found) if found.statement.attestation == statement.attestation => return Ok(()),
        Some(_) => format!("round {round} of `{origin}` has another attestation than the disputed one"),
        None => format!("round {round} of `{origin}` has no attestation to dispute"),
    };
    Err(Refusal::new(code::ATTESTATION, reason))
}

/// The accused may answer once, also after the dispute has ended: nobody is cut short.
pub(crate) fn respond(call: &Call<'_>, statement: &RespondStatement) -> Result<Writes, Refusal> {
    let mut record = find(call, &statement.id)?;
    if record.statement.origin != *call.author_id() {
        let reason = format!("dispute `{}` accuses `{}`", statement.id, record.statement.origin);
        return Err(Refusal::new(code::NOT_CONCERNED, reason));
    }
    if let Some(earlier) = &record.response {
        return Err(repeated(&statement.id, "answered", earlier.body == statement.body));
    }
    record.response = Some(Response { body: statement.body, at: call.now, transaction: call.transaction });
    Ok(put(&statement.id, &record))
}

pub(crate) fn resolve(call: &Call<'_>, statement: &ResolveStatement) -> Result<Writes, Refusal> {
    let mut record = find(call, &statement.id)?;
    if record.disputer != *call.author_id() {
        let reason = format!("dispute `{}` was opened by `{}`", statement.id, record.disputer);
        return Err(Refusal::new(code::NOT_CONCERNED, reason));
    }
    if let Some(earlier) = &record.resolution {
        return Err(repeated(&statement.id, "resolved", earlier.outcome == statement.outcome));
    }
    let outcome = statement.outcome;
    record.resolution = Some(Resolution { outcome, at: call.now, transaction: call.transaction });
    Ok(put(&statement.id, &record))
}

fn find(call: &Call<'_>, id: &str) -> Result<DisputeRecord, Refusal> {
    call.view
        .get(&key::dispute(id))
        .ok_or_else(|| Refusal::new(code::UNKNOWN_DISPUTE, format!("dispute `{id}` was never opened")))
}

fn repeated(id: &str, what: &str, same: bool) -> Refusal {
    if same {
        Refusal::new(code::DUPLICATE, format!("dispute `{id}` was {what} before, the same way"))
    } else {
        Refusal::new(code::DECIDED, format!("dispute `{id}` was {what} before, the other way"))
    }
}

fn put(id: &str, record: &DisputeRecord) -> Writes {
    let mut writes = Writes::default();
    writes.put(&key::dispute(id), record);
    writes
}
