//! Change requests: proposed by a party of the agreement in force, approved by each member they require.

use anchor::MemberRole;
use anchor::transaction::{MemberId, ProposalKind, ProposalStatement, Subject, SubjectKind};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::form::is_subset;
use crate::key;
use crate::record::{AgreementVersion, Standing};
use crate::register::first_time;
use crate::state::Writes;

/// The proposer's signature is no approval: where it is among `required`, its approval key decides too.
pub(crate) fn propose(call: &Call<'_>, statement: &ProposalStatement) -> Result<Writes, Refusal> {
    let subject = Subject { kind: SubjectKind::Change, id: statement.id.clone(), version: 1 };
    let entry = key::change(&statement.id);
    first_time(call, &entry, statement, &subject)?;
    call.author_is_no_witness()?;
    check_agreement(call, statement)?;
    if call.now.time >= statement.window_to {
        let reason = format!("the window of change `{}` is over at the block's time", statement.id);
        return Err(Refusal::new(code::WINDOW, reason));
    }
    let standing = Standing {
        statement: call.statement_hash(),
        proposer: call.author_id().clone(),
        required: statement.required.clone(),
        base: 0,
        under: Some(AgreementVersion {
            id: statement.agreement.clone(),
            version: statement.agreement_version,
        }),
        window_to: Some(statement.window_to),
        transaction: call.transaction,
        proposed: call.now,
        finalized: None,
        rejected: None,
        withdrawn: None,
    };
    let mut writes = Writes::default();
    writes.put(&entry, statement);
    writes.put(&key::standing(&subject), &standing);
    Ok(writes)
}

/// The named version is in force, the author and all required are its parties, and nobody whom it names is
/// left out.
fn check_agreement(call: &Call<'_>, statement: &ProposalStatement) -> Result<(), Refusal> {
    let (id, version) = (&statement.agreement, statement.agreement_version);
    let in_force = call.view.in_force(SubjectKind::Agreement, id, call.now.height);
    let agreement = call.view.get(&key::agreement(id, version));
    let Some(agreement) = agreement.filter(|_| in_force == Some(version)) else {
        let reason = format!("agreement `{id}` v{version} is not in force at height {}", call.now.height);
        return Err(Refusal::new(code::NOT_IN_FORCE, reason));
    };
    call.author_is_among(&agreement.parties, id)?;
    if !is_subset(&statement.required, &agreement.parties) {
        let reason = format!("`required` names a member that is not a party of agreement `{id}` v{version}");
        return Err(Refusal::new(code::APPROVERS, reason));
    }
    if !is_subset(&agreement.change_approvers, &statement.required) {
        let reason = format!("`required` lacks an approver whom agreement `{id}` v{version} names");
        return Err(Refusal::new(code::APPROVERS, reason));
    }
    check_operators(call, statement, &agreement.parties)
}

/// A baseline, swap or upgrade speaks of whole stations: every operator of the agreement must be asked.
fn check_operators(
    call: &Call<'_>,
    statement: &ProposalStatement,
    parties: &[MemberId],
) -> Result<(), Refusal> {
    if matches!(statement.kind, ProposalKind::Change | ProposalKind::Emergency) {
        return Ok(());
    }
    for party in parties {
        if call.member(party)?.role == MemberRole::Operator && !statement.required.contains(party) {
            let reason = format!("`required` lacks operator `{party}`, whom a request of this kind needs");
            return Err(Refusal::new(code::APPROVERS, reason));
        }
    }
    Ok(())
}
