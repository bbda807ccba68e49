//! Taking back: the proposer only, a registration before it is final, a change request at any time.

use anchor::transaction::{SubjectKind, WithdrawStatement};

use crate::approve::standing;
use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key;
use crate::state::Writes;

/// A registration in force binds all its parties; one of them alone cannot end it, only a new version that
/// all approve. A change request is its proposer's: withdrawn when final, it is `expired` from this height.
pub(crate) fn withdraw(call: &Call<'_>, statement: &WithdrawStatement) -> Result<Writes, Refusal> {
    let subject = &statement.subject;
    let mut standing = standing(call, subject)?;
    if standing.proposer != *call.author_id() {
        let reason =
            format!("{subject} was proposed by `{}`, not by `{}`", standing.proposer, call.author_id());
        return Err(Refusal::new(code::NOT_PROPOSER, reason));
    }
    if standing.withdrawn.is_some() {
        return Err(Refusal::new(code::DUPLICATE, format!("{subject} was withdrawn before")));
    }
    if standing.rejected.is_some() {
        return Err(Refusal::new(code::REJECTED, format!("{subject} was rejected")));
    }
    if standing.finalized.is_some() && subject.kind != SubjectKind::Change {
        let reason = format!("{subject} has all its approvals; hint: register a new version");
        return Err(Refusal::new(code::FINAL, reason));
    }
    standing.withdrawn = Some(call.now);
    let mut writes = Writes::default();
    writes.put(&key::standing(subject), &standing);
    Ok(writes)
}
