//! A small shared network for the judge: one station of telecom's district, with a part of unicom's.

use std::collections::{BTreeMap, BTreeSet};

use model::change::{ChangeKind, ExpectedEdit, Standing, Window};
use model::violation::Sighting;
use model::{
    Agreement, ApprovedState, ApprovedValue, ChangeRequest, Difference, Digest, Dn, Edit, Interpretation,
    Object, RequestView, Snapshot, Timestamp, Value,
};
use ranproof_policies::{Case, Judgement, Known, Requests, judge};

pub const STATION: &str = "SubNetwork=bj,ManagedElement=g1";
pub const CARRIER: &str = "SubNetwork=bj,ManagedElement=g1,NRSectorCarrier=1";
pub const OTHER_CARRIER: &str = "SubNetwork=bj,ManagedElement=g1,NRSectorCarrier=2";
pub const CELL: &str = "SubNetwork=bj,ManagedElement=g1,NRCellDU=1";
pub const UNICOM_CELL: &str = "SubNetwork=bj,ManagedElement=g1,OperatorDU=unicom,NROperatorCellDU=1";
pub const POWER: &str = "configuredMaxTxPower";

pub fn dn(text: &str) -> Dn {
    text.parse().unwrap()
}

pub fn agreement() -> Agreement {
    let agreement: Agreement = serde_json::from_value(serde_json::json!({
        "format": "ranproof/agreement/1", "id": "bj", "version": 1, "title": "Beijing",
        "parties": [
            {"id": "telecom", "name": "Telecom", "kind": "operator", "plmns": ["460-11"]},
            {"id": "unicom", "name": "Unicom", "kind": "operator", "plmns": ["460-01"]},
            {"id": "tower", "name": "Tower", "kind": "tower"}],
        "districts": [{"scope": "SubNetwork=bj", "master_operator": "telecom"}],
        "ownership": [{"scope": "SubNetwork=bj,ManagedElement=*,OperatorDU=unicom", "party": "unicom"}],
        "sharing": [{"scope": "SubNetwork=bj", "plmns": ["460-11", "460-01"]}],
        "rights": [
            {"attributes": ["NROperatorCellDU.*"], "change": ["owner"], "approve": []},
            {"attributes": ["NRSectorCarrier.configuredMaxTxPower"], "change": ["mop"], "approve": ["pops", "tower"]},
            {"attributes": ["NRCellDU.userLabel"], "change": ["mop"], "approve": []},
            {"attributes": ["NRCellDU.tuning"], "change": ["mop"], "approve": ["pops"]}],
        "key_attributes": [],
        "standing": [{"id": "SP-1", "attributes": ["NRSectorCarrier.sleep"], "min": "0", "max": "3", "changes_per_day": 2}],
        "collection": {"period_minutes": 60, "attest_within_minutes": 30},
        "map_secret": "00".repeat(32),
    }))
    .unwrap();
    agreement.check().unwrap();
    agreement
}

pub type Objects = BTreeMap<String, BTreeMap<String, String>>;

pub fn objects(list: &[(&str, &[(&str, &str)])]) -> Objects {
    let pairs = |attributes: &[(&str, &str)]| {
        attributes.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    list.iter().map(|(name, attributes)| ((*name).to_owned(), pairs(attributes))).collect()
}

pub fn snapshot(objects: &Objects) -> Snapshot {
    let objects = objects.iter().map(|(name, attributes)| {
        let attributes = attributes.iter().map(|(n, v)| (n.clone(), Value::from(v.as_str()))).collect();
        Object::new(dn(name), attributes, vec![])
    });
    Snapshot::new(Interpretation::new("none", &Digest::of(b"p")), objects.collect(), vec![])
}

pub fn approved(objects: &Objects) -> ApprovedState {
    let mut state = ApprovedState::default();
    for (name, attributes) in objects {
        state.insert_object(dn(name));
        for (attribute, value) in attributes {
            let value = ApprovedValue { value: value.as_str().into(), request: "BL-1".into(), height: 3 };
            state.insert(dn(name), attribute.clone(), value);
        }
    }
    state
}

pub fn edit(object: &str, attribute: &str, old: &str, new: &str) -> ExpectedEdit {
    let value = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    ExpectedEdit { object: dn(object), attribute: attribute.into(), old: value(old), new: value(new) }
}

/// A request approved by everybody at height 10, its window from minute 100 to 200.
pub fn request(id: &str, edits: Vec<ExpectedEdit>) -> RequestView {
    RequestView {
        request: ChangeRequest {
            format: ChangeRequest::FORMAT.into(),
            id: id.into(),
            kind: ChangeKind::Change,
            agreement: "bj".into(),
            agreement_version: 1,
            proposer: "telecom".into(),
            title: "tune".into(),
            ticket: String::new(),
            scope: "SubNetwork=bj".parse().unwrap(),
            window: Window { from: minute(100), to: minute(200) },
            edits,
            rollback: false,
            baseline: vec![],
            upgrade: None,
            swap: None,
            nonce: "00".repeat(32),
        },
        standing: Standing::Approved { height: 10 },
        approved_by: ["telecom", "unicom", "tower"].map(str::to_owned).to_vec(),
        decided_at: None,
    }
}

pub fn minute(n: i64) -> Timestamp {
    Timestamp(n * 60_000)
}

/// Round 7, opened at height 20, reading at minute 150 after minute 120.
pub fn sighting() -> Sighting {
    Sighting { round: 7, opened: Some(20), after: Some(minute(120)), read: minute(150) }
}

/// Everything a case is built from, owned.
#[derive(Debug, Clone)]
pub struct World {
    pub agreement: Agreement,
    pub approved: Objects,
    pub previous: Objects,
    pub current: Objects,
    pub requests: Vec<RequestView>,
    pub sighting: Sighting,
    pub known: BTreeMap<(Dn, String), Known>,
    pub recent: BTreeMap<(Dn, String), u32>,
    pub carried_out: BTreeSet<(String, Dn, String)>,
    pub state: Option<ApprovedState>,
}

impl World {
    pub fn new() -> World {
        let start = objects(&[
            (STATION, &[("swVersion", "5.1")]),
            (CARRIER, &[(POWER, "15"), ("sleep", "0")]),
            (OTHER_CARRIER, &[(POWER, "15"), ("sleep", "0")]),
            (CELL, &[("nRPCI", "100"), ("userLabel", "a"), ("tuning", "1")]),
            (UNICOM_CELL, &[("administrativeState", "UNLOCKED")]),
        ]);
        World {
            agreement: agreement(),
            approved: start.clone(),
            previous: start.clone(),
            current: start,
            requests: vec![],
            sighting: sighting(),
            known: BTreeMap::new(),
            recent: BTreeMap::new(),
            carried_out: BTreeSet::new(),
            state: None,
        }
    }

    pub fn set(mut self, object: &str, attribute: &str, value: &str) -> World {
        self.current.entry(object.into()).or_default().insert(attribute.into(), value.into());
        self
    }

    pub fn with(mut self, requests: impl IntoIterator<Item = RequestView>) -> World {
        self.requests.extend(requests);
        self
    }

    pub fn approved_state(&self) -> ApprovedState {
        self.state.clone().unwrap_or_else(|| approved(&self.approved))
    }

    pub fn edits(&self) -> Vec<Edit> {
        model::diff(&snapshot(&self.previous), &snapshot(&self.current)).unwrap()
    }

    pub fn judge(&self) -> Judgement {
        self.judge_after(None)
    }

    pub fn judge_after(&self, before: Option<&[Difference]>) -> Judgement {
        let (previous, current) = (snapshot(&self.previous), snapshot(&self.current));
        let (edits, approved) = (self.edits(), self.approved_state());
        judge(&Case {
            agreement: &self.agreement,
            element: &dn(STATION),
            collector: "telecom",
            previous: Some(&previous),
            current: &current,
            edits: &edits,
            approved: Some(&approved),
            before,
            requests: &Requests::new(&self.requests),
            sighting: self.sighting.clone(),
            known: &self.known,
            recent_changes: &self.recent,
            carried_out: &self.carried_out,
        })
    }

    /// The next round: what was judged becomes known, approved state moves, `current` becomes `previous`.
    pub fn next(mut self) -> World {
        let judgement = self.judge();
        let mut state = self.approved_state();
        for advance in &judgement.advances {
            state.advance(&advance.edit, &advance.request, advance.height);
            let edit = &advance.edit;
            self.carried_out.insert((advance.request.clone(), edit.object.clone(), edit.attribute.clone()));
        }
        self.state = Some(state);
        self.known = judgement
            .differences
            .into_iter()
            .map(|d| {
                let known = Known { new: d.edit.new, verdict: d.verdict, first_seen: d.first_seen };
                ((d.edit.object, d.edit.attribute), known)
            })
            .collect();
        self.previous = self.current.clone();
        let Sighting { round, opened, read, .. } = self.sighting;
        self.sighting = Sighting {
            round: round + 1,
            opened: opened.map(|height| height + 10),
            after: Some(read),
            read: read.plus_millis(60_000),
        };
        self
    }
}
