//! Agreements, policy sets and inventories: proposed by one party, in force one height after the last
//! approval of all.

use anchor::MemberRole;
use anchor::transaction::{
    AgreementStatement, InventoryStatement, MemberId, PolicySetStatement, Subject, SubjectKind,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key::{self, Key};
use crate::record::{AgreementVersion, Standing, Versions};
use crate::state::Writes;

/// A new version needs the parties it names *and* those of the version it replaces: nobody is written out
/// of an agreement, or bound to one, by others.
pub(crate) fn agreement(call: &Call<'_>, statement: &AgreementStatement) -> Result<Writes, Refusal> {
    let subject =
        Subject { kind: SubjectKind::Agreement, id: statement.id.clone(), version: statement.version };
    let entry = key::agreement(&statement.id, statement.version);
    first_time(call, &entry, statement, &subject)?;
    call.author_is_no_witness()?;
    for party in &statement.parties {
        if call.member(party)?.role == MemberRole::Witness {
            let reason = format!("`{party}` is a witness and cannot be a party");
            return Err(Refusal::new(code::ROLE, reason));
        }
    }
    let versions = next_version(call, &subject)?;
    let mut required = statement.parties.clone();
    if let Some(base) = call.view.get(&key::agreement(&statement.id, versions.newest_final)) {
        required.extend(base.parties);
        required.sort();
        required.dedup();
    }
    call.author_is_among(&required, &statement.id)?;
    Ok(Registration { subject, versions, required, under: None }.writes(call, &entry, statement))
}

pub(crate) fn policy_set(call: &Call<'_>, statement: &PolicySetStatement) -> Result<Writes, Refusal> {
    let subject =
        Subject { kind: SubjectKind::PolicySet, id: statement.id.clone(), version: statement.version };
    let entry = key::policy_set(&statement.id, statement.version);
    first_time(call, &entry, statement, &subject)?;
    let (under, parties) = parties_in_force(call, &statement.agreement)?;
    let versions = next_version(call, &subject)?;
    if let Some(base) = call.view.get(&key::policy_set(&statement.id, versions.newest_final))
        && base.agreement != statement.agreement
    {
        let reason = format!("policy set `{}` belongs to agreement `{}`", statement.id, base.agreement);
        return Err(Refusal::new(code::CONFLICT, reason));
    }
    let registration = Registration { subject, versions, required: parties, under: Some(under) };
    Ok(registration.writes(call, &entry, statement))
}

pub(crate) fn inventory(call: &Call<'_>, statement: &InventoryStatement) -> Result<Writes, Refusal> {
    let id = format!("{}/{}", statement.agreement, statement.origin);
    let subject = Subject { kind: SubjectKind::Inventory, id, version: statement.version };
    let entry = key::inventory(&statement.agreement, &statement.origin, statement.version);
    first_time(call, &entry, statement, &subject)?;
    let (under, parties) = parties_in_force(call, &statement.agreement)?;
    if call.member(&statement.origin)?.role != MemberRole::Operator {
        let reason = format!("`{}` is not an operator and has no stations", statement.origin);
        return Err(Refusal::new(code::ROLE, reason));
    }
    call.is_among(&statement.origin, &parties, &statement.agreement)?;
    let versions = next_version(call, &subject)?;
    let registration = Registration { subject, versions, required: parties, under: Some(under) };
    Ok(registration.writes(call, &entry, statement))
}

/// The agreement's version in force and its parties, the author among them.
fn parties_in_force(call: &Call<'_>, id: &str) -> Result<(AgreementVersion, Vec<MemberId>), Refusal> {
    call.author_is_no_witness()?;
    let in_force = call.view.in_force(SubjectKind::Agreement, id, call.now.height);
    let agreement = in_force.and_then(|version| call.view.get(&key::agreement(id, version)));
    let Some(agreement) = agreement else {
        let reason = format!("no version of agreement `{id}` is in force at height {}", call.now.height);
        return Err(Refusal::new(code::NOT_IN_FORCE, reason));
    };
    call.author_is_among(&agreement.parties, id)?;
    Ok((AgreementVersion { id: agreement.id, version: agreement.version }, agreement.parties))
}

/// Refuses a name that is taken: by the same statement as `duplicate`, by another as `conflict`.
pub(crate) fn first_time<S>(
    call: &Call<'_>,
    entry: &Key<S>,
    statement: &S,
    subject: &Subject,
) -> Result<(), Refusal>
where
    S: BorshDeserialize + PartialEq,
{
    match call.view.get(entry) {
        None => Ok(()),
        Some(earlier) if earlier == *statement => {
            Err(Refusal::new(code::DUPLICATE, format!("{subject} was proposed before, with the same words")))
        }
        Some(_) => Err(Refusal::new(code::CONFLICT, format!("{subject} was proposed before, differently"))),
    }
}

/// The version counter, or a refusal where `subject` is not the next version.
fn next_version(call: &Call<'_>, subject: &Subject) -> Result<Versions, Refusal> {
    let versions = call.view.versions(subject.kind, &subject.id);
    if versions.registered.checked_add(1) == Some(subject.version) {
        return Ok(versions);
    }
    Err(Refusal::new(
        code::VERSION,
        format!("{subject} does not follow version {}, the last registered", versions.registered),
    ))
}

/// An accepted registration, before it is written.
struct Registration {
    subject: Subject,
    versions: Versions,
    required: Vec<MemberId>,
    under: Option<AgreementVersion>,
}

impl Registration {
    fn writes<S: BorshSerialize>(self, call: &Call<'_>, entry: &Key<S>, statement: &S) -> Writes {
        let standing = Standing {
            statement: call.statement_hash(),
            proposer: call.author_id().clone(),
            required: self.required,
            base: self.versions.newest_final,
            under: self.under,
            window_to: None,
            transaction: call.transaction,
            proposed: call.now,
            finalized: None,
            rejected: None,
            withdrawn: None,
        };
        let versions = Versions { registered: self.subject.version, ..self.versions };
        let mut writes = Writes::default();
        writes.put(entry, statement);
        writes.put(&key::versions(self.subject.kind, &self.subject.id), &versions);
        writes.put(&key::standing(&self.subject), &standing);
        writes
    }
}
