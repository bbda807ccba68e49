//! The records of a round: one for each violation at first sight, one for each request carried out.

use std::collections::{BTreeMap, BTreeSet};

use anchor::commitment::Nonce;
use anchor::record::{
    Authorisation as RecordedAuthorisation, ChangeRecord, ChangeRecordFormat, Considered,
    Operation as RecordedOperation, Record, RecordedEdit, RequestReference, Sighting, ViolationRecord,
    ViolationRecordFormat,
};
use anyhow::{Context as _, Result};
use model::change::ExpectedEdit;
use model::{Agreement, Authorisation, Edit, Operation, Value, Violation};
use store::{Advance, OutboxLeaf, RequestRow};

use crate::keys;

/// The record of a violation first seen in this round.
pub fn violation(violation: &Violation, origin: &str, nonce: Nonce) -> Result<Record> {
    let verdict = violation.verdict.as_ref();
    let considered = verdict.map(|v| v.considered.as_slice()).unwrap_or_default();
    let considered = considered.iter().map(|c| {
        Ok(Considered {
            request: c.request.clone(),
            verdict: recorded(c.authorisation)?,
            why: c.why.en.clone(),
        })
    });
    Ok(Record::Violation(Box::new(ViolationRecord {
        format: ViolationRecordFormat,
        id: violation.id.clone(),
        origin: origin.to_owned(),
        dn: violation.object.to_string(),
        attribute: violation.attribute.clone(),
        rule: violation.rule.clone(),
        severity: violation.severity.to_string(),
        authorisation: verdict.map(|v| recorded(v.authorisation)).transpose()?,
        old: json(violation.old.as_ref())?,
        new: json(violation.new.as_ref())?,
        first_seen: Sighting { round: violation.first_seen.round, height: violation.first_seen.opened },
        state: "open".into(),
        considered: considered.collect::<Result<_>>()?,
        nonce,
    })))
}

/// One record for each request that edits of this round rest on; edits of attributes that are not committed to
/// stay out of it, since nobody could check them.
pub fn changes<'a>(
    advances: impl Iterator<Item = &'a Advance>,
    requests: &BTreeMap<String, &RequestRow>,
    agreement: &Agreement,
    origin: &str,
    round: u64,
) -> Result<Vec<Record>> {
    let mut by_request: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for advance in advances {
        let edit = &advance.edit;
        if agreement.is_key_attribute(edit.object.class(), &edit.attribute) {
            by_request.entry(&advance.request).or_default().push(edit);
        }
    }
    let mut out = Vec::new();
    for (request, edits) in by_request {
        let Some(row) = requests.get(request) else { continue };
        let Some(expected) = &row.request else { continue };
        let body = row.subject.body.context("a change request without a body hash")?;
        // In part, or beside what it names, as an upgrade may: then it is one of several.
        let id = match are_all(&edits, &expected.edits) {
            true => request.to_owned(),
            false => format!("{request}.r{round}"),
        };
        let mut edits = edits.into_iter().map(recorded_edit).collect::<Result<Vec<_>>>()?;
        edits.sort_by(|a, b| (&a.dn, &a.attribute).cmp(&(&b.dn, &b.attribute)));
        out.push(Record::Change(Box::new(ChangeRecord {
            format: ChangeRecordFormat,
            id,
            origin: origin.to_owned(),
            round,
            request: Some(RequestReference {
                id: request.to_owned(),
                body,
                statement: row.subject.statement,
            }),
            edits,
            authorisation: RecordedAuthorisation::Exact,
            nonce: nonce()?,
        })));
    }
    Ok(out)
}

/// Whether edits are at the places that a request names, all of them and no others.
fn are_all(edits: &[&Edit], expected: &[ExpectedEdit]) -> bool {
    let named: BTreeSet<_> = expected.iter().map(|edit| (&edit.object, &*edit.attribute)).collect();
    let found: BTreeSet<_> = edits.iter().map(|edit| (&edit.object, &*edit.attribute)).collect();
    found == named
}

/// A record as it waits for its index in the log.
pub fn leaf(record: &Record, chain: &str) -> Result<OutboxLeaf> {
    let envelope =
        record.envelope(chain).and_then(|e| e.encode()).context("a record has no canonical form")?;
    Ok(OutboxLeaf {
        kind: match record {
            Record::Change(_) => "change".into(),
            Record::Violation(_) => "violation".into(),
            Record::Judgement(_) => "judgement".into(),
        },
        subject: record.id().to_owned(),
        envelope,
        record: Some(serde_json::to_value(record).context("a record has no JSON")?),
    })
}

fn recorded_edit(edit: &Edit) -> Result<RecordedEdit> {
    Ok(RecordedEdit {
        dn: edit.object.to_string(),
        attribute: edit.attribute.clone(),
        operation: match edit.operation {
            Operation::Create => RecordedOperation::Create,
            Operation::Replace => RecordedOperation::Replace,
            Operation::Delete => RecordedOperation::Delete,
        },
        old: json(edit.old.as_ref())?,
        new: json(edit.new.as_ref())?,
    })
}

pub(crate) fn recorded(authorisation: Authorisation) -> Result<RecordedAuthorisation> {
    RecordedAuthorisation::of_name(authorisation.as_str()).context("an authorisation without a recorded name")
}

fn json(value: Option<&Value>) -> Result<Option<serde_json::Value>> {
    value.map(serde_json::to_value).transpose().context("a value has no JSON")
}

fn nonce() -> Result<Nonce> {
    Ok(Nonce(keys::random_bytes::<32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_request_s_own_name_only_if_it_tells_of_every_place_that_the_request_names() {
        let expected = |places: &[(&str, &str)]| -> Vec<ExpectedEdit> {
            let edit = |(object, attribute): &(&str, &str)| ExpectedEdit {
                object: object.parse().unwrap(),
                attribute: (*attribute).into(),
                old: None,
                new: Some("5".into()),
            };
            places.iter().map(edit).collect()
        };
        let observed = |places: &[(&str, &str)]| -> Vec<Edit> {
            let edit = |expected: ExpectedEdit| {
                Edit::between(&expected.object, &expected.attribute, None, expected.new.as_ref()).unwrap()
            };
            expected(places).into_iter().map(edit).collect()
        };
        let named = [("A=1", "x"), ("A=1", "y"), ("A=2", "x")];
        for (found, all) in [
            (&named[..], true),
            (&named[..2], false),
            // As many, but others: what an upgrade moves beside what it names.
            (&[("A=1", "x"), ("A=1", "y"), ("A=3", "x")], false),
            (&[("A=1", "x"), ("A=1", "y"), ("A=2", "x"), ("A=3", "x")], false),
        ] {
            let edits = observed(found);
            assert_eq!(are_all(&edits.iter().collect::<Vec<_>>(), &expected(&named)), all, "{found:?}");
        }
    }
}
