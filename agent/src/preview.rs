//! What a change request would do before anybody approves it: whose approval it needs, whether it still fits, which
//! rules the planned configuration would break.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use model::{Agreement, ApprovedState, ChangeRequest, Dn, Edit, OBJECT, Snapshot, Value, apply};
use policies::{NetworkIndex, PolicySet, RuleCase};
use serde_json::{Value as Json, json};

use crate::api::types::{ExpectedObject, Preview, PreviewEdit, RequiredApproval};
use crate::app::App;
use crate::statements;

/// Works the request out on the newest snapshots and the approved state.
pub async fn preview(app: &App, request: &ChangeRequest) -> Result<Preview> {
    let in_force = app.in_force(app.ledger.next_height()).await?;
    let agreement = &in_force.agreement;
    let mut index = NetworkIndex::default();
    let newest = app.store.newest_snapshots().await?;
    for stored in &newest {
        index.update(&stored.element, Arc::clone(&stored.snapshot), false);
    }
    let mut preview = Preview {
        id: request.id.clone(),
        required: required(request, agreement),
        edits: vec![],
        would_violate: vec![],
        expected: vec![],
    };
    let mut by_station: BTreeMap<Dn, Vec<Edit>> = BTreeMap::new();
    for expected in &request.edits {
        let edit = Edit::between(
            &expected.object,
            &expected.attribute,
            expected.old.as_ref(),
            expected.new.as_ref(),
        );
        let element = expected.object.ancestor("ManagedElement");
        if let (Some(edit), Some(element)) = (edit, element) {
            by_station.entry(element).or_default().push(edit);
        }
    }
    for (element, edits) in by_station {
        let Some(stored) = newest.iter().find(|s| s.element == element) else {
            preview
                .edits
                .extend(edits.iter().map(|e| status(e, "unknown-object", "the station was never read")));
            continue;
        };
        let approved = app.store.approved_state(&element).await?;
        let judged = edits.iter().map(|edit| fit(edit, request, agreement, &approved, &stored.snapshot));
        preview.edits.extend(judged);
        let planned = apply(&stored.snapshot, &edits);
        let rules = Rules { policies: &in_force.policies, agreement, approved: &approved };
        let before = rules.broken(&stored.snapshot, &index);
        index.update(&element, Arc::new(planned.clone()), false);
        let after = rules.broken(&planned, &index);
        preview
            .would_violate
            .extend(after.into_iter().filter(|(key, _)| !before.contains_key(key)).map(|(_, v)| v));
        let touched: BTreeSet<&Dn> = edits.iter().map(|e| &e.object).collect();
        preview.expected.extend(touched.into_iter().filter_map(|dn| planned.object(dn)).map(|object| {
            ExpectedObject { object: object.dn().to_string(), digest: object.digest().to_string() }
        }));
    }
    Ok(preview)
}

fn required(request: &ChangeRequest, agreement: &Agreement) -> Vec<RequiredApproval> {
    let concerns = |member: &str| {
        let edits = request.edits.iter();
        edits.filter(|e| agreement.must_approve(&e.object, &e.attribute).contains(member)).count()
    };
    statements::required_approvers(request, agreement)
        .into_iter()
        .map(|member| RequiredApproval { edits: concerns(&member), member })
        .collect()
}

fn fit(
    edit: &Edit,
    request: &ChangeRequest,
    agreement: &Agreement,
    approved: &ApprovedState,
    current: &Snapshot,
) -> PreviewEdit {
    let (object, attribute) = (&edit.object, edit.attribute.as_str());
    if !agreement.may_change(object, attribute).contains(&request.proposer) {
        return status(edit, "no-right", &format!("{} may not change this", request.proposer));
    }
    let now = current
        .object(object)
        .and_then(|o| if attribute == OBJECT { Some(o.as_value()) } else { o.attribute(attribute).cloned() });
    if now != edit.old {
        return status(edit, "current-differs", &format!("it is {} now", shown(&now)));
    }
    let agreed = approved.value(object, attribute);
    if agreed != edit.old {
        return status(edit, "approved-differs", &format!("{} is approved", shown(&agreed)));
    }
    status(edit, "ready", "")
}

fn shown(value: &Option<Value>) -> String {
    value.as_ref().map_or("absent".to_owned(), ToString::to_string)
}

fn status(edit: &Edit, status: &str, note: &str) -> PreviewEdit {
    PreviewEdit {
        object: edit.object.to_string(),
        attribute: edit.attribute.clone(),
        status: status.to_owned(),
        note: note.to_owned(),
    }
}

struct Rules<'a> {
    policies: &'a PolicySet,
    agreement: &'a Agreement,
    approved: &'a ApprovedState,
}

impl Rules<'_> {
    fn broken(&self, snapshot: &Snapshot, index: &NetworkIndex) -> BTreeMap<(String, String), Json> {
        let mut out = BTreeMap::new();
        for object in snapshot.objects() {
            let case = RuleCase {
                agreement: self.agreement,
                object,
                previous: None,
                approved: self.approved.objects().get(object.dn()),
                neighbours: index,
            };
            for result in self.policies.evaluate(&case) {
                let Some(severity) = result.shown() else { continue };
                let shown = json!({
                    "rule": result.rule,
                    "object": result.object,
                    "attribute": result.attribute,
                    "severity": severity,
                    "message": result.message.en,
                });
                out.insert((result.rule, result.object.to_string()), shown);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Interpretation, Object};

    use super::*;

    #[test]
    fn a_rule_that_only_counts_is_not_foretold_and_one_that_warns_is_a_warning() {
        let agreement: Agreement = serde_json::from_value(json!({
            "format": Agreement::FORMAT, "id": "bj", "version": 1, "title": "",
            "parties": [
                { "id": "telecom", "name": "", "kind": "operator" }, { "id": "unicom", "name": "", "kind": "operator" },
            ],
            "districts": [{ "scope": "", "master_operator": "telecom" }],
            "sharing": [], "rights": [], "key_attributes": [],
            "collection": { "period_minutes": 1, "attest_within_minutes": 1 }, "map_secret": "09".repeat(32),
        }))
        .unwrap();
        let attributes = vec![("nRPCI".to_owned(), Value::from("9"))];
        let cell = Object::new("ManagedElement=1,NRCellDU=1".parse().unwrap(), attributes, vec![]);
        let interpretation = Interpretation::new("none", &Digest::of(b"p"));
        let snapshot = Snapshot::new(interpretation, vec![cell], vec![]);
        for (mode, severity) in [("enforce", Some("major")), ("warn", Some("warning")), ("audit", None)] {
            let rule = format!(
                "format: ranproof/policy/1\nname: pci\ndescription: x\nseverity: major\nmode: {mode}\n\
                 scope: NRCellDU\nattribute: nRPCI\nexpression: object.nRPCI < 5\nmessage: x\n"
            );
            let policies = PolicySet::load(&[("pci.yaml".to_owned(), rule)]).unwrap();
            let approved = ApprovedState::default();
            let rules = Rules { policies: &policies, agreement: &agreement, approved: &approved };
            let broken = rules.broken(&snapshot, &NetworkIndex::default());
            let shown: Vec<_> = broken.values().map(|told| told["severity"].as_str().unwrap()).collect();
            assert_eq!(shown, severity.into_iter().collect::<Vec<_>>(), "{mode}");
        }
    }
}
