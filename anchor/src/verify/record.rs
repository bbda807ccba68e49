//! Step `record`: the leaf is what it says, and commits to exactly the record that is disclosed.

use crate::bundle::{Bundle, SubjectKind};
use crate::hash::Hash;
use crate::record::{
    Attestation, Authorisation, ChangeRecord, Envelope, Operation, Record, RecordedEdit, ViolationRecord,
};

use super::report::{Finding, Refuted, StepResult, refuted};

/// What the bundle claims, with kind of subject, leaf and record in agreement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim<'a> {
    Change(&'a ChangeRecord),
    Violation(&'a ViolationRecord),
    Round(&'a Attestation),
}

impl<'a> Claim<'a> {
    /// The attributes that the record speaks of: DN, attribute, old value, new value.
    pub(super) fn edits(&self) -> Vec<Edit<'a>> {
        match self {
            Claim::Change(record) => record.edits.iter().map(Edit::of).collect(),
            Claim::Violation(record) => vec![Edit {
                dn: &record.dn,
                attribute: &record.attribute,
                old: record.old.as_ref(),
                new: record.new.as_ref(),
            }],
            Claim::Round(_) => vec![],
        }
    }

    /// The round that first saw what is claimed.
    pub(super) fn round(&self) -> u64 {
        match self {
            Claim::Change(record) => record.round,
            Claim::Violation(record) => record.first_seen.round,
            Claim::Round(attestation) => attestation.round,
        }
    }

    /// The verdict that rests on the request `id`, if the record speaks of it.
    pub(super) fn verdict_on(&self, id: &str) -> Option<Authorisation> {
        match self {
            Claim::Change(record) => {
                record.request.as_ref().filter(|r| r.id == id).map(|_| record.authorisation)
            }
            Claim::Violation(record) => record.considered.iter().find(|c| c.request == id).map(|c| c.verdict),
            Claim::Round(_) => None,
        }
    }
}

/// One attribute before and after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit<'a> {
    pub dn: &'a str,
    pub attribute: &'a str,
    pub old: Option<&'a serde_json::Value>,
    pub new: Option<&'a serde_json::Value>,
}

impl<'a> Edit<'a> {
    fn of(edit: &'a RecordedEdit) -> Edit<'a> {
        let (old, new) = (edit.old.as_ref(), edit.new.as_ref());
        Edit { dn: &edit.dn, attribute: &edit.attribute, old, new }
    }
}

pub(super) fn check(bundle: &Bundle) -> StepResult<Claim<'_>> {
    let subject = &bundle.subject;
    match (subject.kind, &bundle.leaf, &bundle.record) {
        (SubjectKind::Round, Envelope::Round(attestation), None) => round(bundle, attestation),
        (SubjectKind::Change, Envelope::Change(leaf), Some(Record::Change(record))) => {
            commits(bundle, &leaf.id, leaf.commitment, leaf.round)?;
            check_edits(&record.edits)?;
            let sentence = format!(
                "the leaf commits to this change of {} edits, judged {}",
                record.edits.len(),
                record.authorisation.as_str()
            );
            Ok((Claim::Change(record), Finding::Pass(sentence)))
        }
        (SubjectKind::Violation, Envelope::Violation(leaf), Some(Record::Violation(record))) => {
            commits(bundle, &leaf.id, leaf.commitment, leaf.round)?;
            let verdict = record.authorisation.map_or("-", Authorisation::as_str);
            let sentence = format!(
                "the leaf commits to this violation of rule {} on {} {}, judged {verdict}",
                record.rule, record.dn, record.attribute
            );
            Ok((Claim::Violation(record), Finding::Pass(sentence)))
        }
        (kind, ..) => refuted(format!("leaf and record are not those of a {}", kind.as_str())),
    }
}

fn round<'a>(bundle: &'a Bundle, attestation: &'a Attestation) -> StepResult<Claim<'a>> {
    if bundle.before.is_some() || bundle.after.is_some() || bundle.request.is_some() {
        return refuted("a round's bundle opens no values and no request");
    }
    if bundle.subject.id != attestation.round.to_string() {
        return refuted(format!("the attestation is of round {}", attestation.round));
    }
    let sentence = format!("the leaf is the attestation of round {} itself", attestation.round);
    Ok((Claim::Round(attestation), Finding::Pass(sentence)))
}

/// Subject, leaf and record name the same thing, and the record hashes to the leaf's commitment.
fn commits(bundle: &Bundle, id: &str, commitment: Hash, round: u64) -> Result<(), Refuted> {
    let record = bundle.record.as_ref().ok_or_else(|| Refuted("no record".into()))?;
    let computed = record.commitment().map_err(|e| Refuted(e.to_string()))?;
    if computed != commitment {
        return refuted("the record does not hash to the commitment in the leaf");
    }
    if bundle.subject.id != id || record.id() != id {
        return refuted("subject, leaf and record have different ids");
    }
    if bundle.leaf.origin() != record.origin() || record.round() != round {
        return refuted("leaf and record name different origins or rounds");
    }
    Ok(())
}

fn check_edits(edits: &[RecordedEdit]) -> Result<(), Refuted> {
    let key = |e: &RecordedEdit| (e.dn.clone(), e.attribute.clone());
    if edits.is_empty() || !edits.is_sorted_by(|a, b| key(a) < key(b)) {
        return refuted("the record's edits are none, or not sorted by DN and attribute, each once");
    }
    for edit in edits {
        let operation = match (&edit.old, &edit.new) {
            (None, Some(_)) => Some(Operation::Create),
            (Some(_), None) => Some(Operation::Delete),
            (Some(old), Some(new)) if old != new => Some(Operation::Replace),
            _ => None,
        };
        if operation != Some(edit.operation) {
            let what = format!("{} {}", edit.dn, edit.attribute);
            return refuted(format!("old and new value of {what} do not make the named operation"));
        }
    }
    Ok(())
}
