//! The station as the product sees it: swept, compared with what was approved, judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use collector::session::Selection;
use collector::sweep::{Clock, Collected, LastReply, Previous, Reading, StationPlan, SweepOptions, sweep};
use collector::validation::Schemas;
use collector::wire::rpc::SubtreeFilter;
use model::change::{ExpectedEdit, Standing, Window};
use model::profile::{FilterElement, WithDefaults};
use model::violation::Sighting;
use model::{
    Agreement, ApprovedState, ApprovedValue, ChangeKind, ChangeRequest, Dn, Edit, Profile, RequestView,
    Snapshot, Timestamp,
};
use policies::{Case, Judgement, Requests, judge};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::LIMITS;
use crate::server::Netconfd;

const NAMESPACE: &str = sim::schema::MANAGED_ELEMENT;
const STATION: &str = "SubNetwork=bj,ManagedElement=gnb-101";
pub const CARRIER: &str = "SubNetwork=bj,ManagedElement=gnb-101,GNBDUFunction=1,NRSectorCarrier=2";
pub const CELL: &str = "SubNetwork=bj,ManagedElement=gnb-101,GNBDUFunction=1,NRCellDU=1";
pub const POWER: &str = "configuredMaxTxPower";

/// netconfd has configuration of its own beside the radio network's.
pub fn selection() -> Selection {
    let filter = SubtreeFilter::new(format!("<ManagedElement xmlns=\"{NAMESPACE}\"/>")).expect("balanced");
    Selection { filter: Some(filter), with_defaults: None }
}

/// How the station is read.
#[derive(Clone, Default)]
pub struct How {
    /// What replies are validated against.
    pub schemas: Option<Arc<Schemas>>,
    /// The mode of defaults that is asked for.
    pub with_defaults: Option<WithDefaults>,
}

/// A station that was read once; what it held then is approved.
pub struct Scene {
    how: How,
    first: Collected,
    agreement: Agreement,
    approved: ApprovedState,
    clock: Clock,
}

impl Scene {
    pub async fn first_read(server: &Netconfd) -> Scene {
        Scene::first_read_as(server, How::default()).await
    }

    pub async fn first_read_as(server: &Netconfd, how: How) -> Scene {
        let now = AtomicI64::new(0);
        let clock: Clock = Arc::new(move || Timestamp::from_millis(now.fetch_add(60_000, Ordering::SeqCst)));
        let first = collected(read(server, &how, &clock, None).await);
        assert!(first.snapshot.findings().is_empty(), "{:?}", first.snapshot.findings());
        assert_eq!(first.snapshot.objects().len(), 8, "every object of edits/station.xml");
        let approved = approve(&first.snapshot);
        Scene { how, first, agreement: agreement(), approved, clock }
    }

    pub fn first(&self) -> &Snapshot {
        &self.first.snapshot
    }

    /// Reads again, as the next round would.
    pub async fn read(&mut self, server: &Netconfd) -> Reading {
        let first = &self.first;
        let snapshot = Arc::new(first.snapshot.clone());
        let (bytes, digest, pieces) = (Arc::clone(&first.raw), first.raw_digest, first.pieces.clone());
        let reply = Some(Arc::new(LastReply { bytes, digest, snapshot: Arc::clone(&snapshot), pieces }));
        let previous = Previous { snapshot, raw_digest: first.raw_digest, reply };
        read(server, &self.how, &self.clock, Some(previous)).await
    }

    /// Judges in a round opened at height 20, read between the minutes 10 and 20.
    pub fn judge(&self, current: &Snapshot, edits: &[Edit], requests: &[RequestView]) -> Judgement {
        judge(&Case {
            agreement: &self.agreement,
            element: &station(),
            collector: "telecom",
            previous: Some(self.first()),
            current,
            edits,
            approved: Some(&self.approved),
            before: None,
            requests: &Requests::new(requests),
            sighting: Sighting { round: 2, opened: Some(20), after: Some(minute(10)), read: minute(20) },
            known: &BTreeMap::new(),
            recent_changes: &BTreeMap::new(),
            carried_out: &BTreeSet::new(),
        })
    }

    /// A request for exactly these edits, final at height 10, its window from minute 5 to 30.
    pub fn request_for(&self, edits: &[Edit]) -> RequestView {
        let expected = |edit: &Edit| ExpectedEdit {
            object: edit.object.clone(),
            attribute: edit.attribute.clone(),
            old: edit.old.clone(),
            new: edit.new.clone(),
        };
        RequestView {
            request: ChangeRequest {
                format: ChangeRequest::FORMAT.into(),
                id: "CR-1".into(),
                kind: ChangeKind::Change,
                agreement: self.agreement.id.clone(),
                agreement_version: self.agreement.version,
                proposer: "telecom".into(),
                title: "more power".into(),
                ticket: String::new(),
                scope: "SubNetwork=bj".parse().expect("a scope"),
                window: Window { from: minute(5), to: minute(30) },
                edits: edits.iter().map(expected).collect(),
                rollback: false,
                baseline: vec![],
                upgrade: None,
                swap: None,
                nonce: "00".repeat(32),
            },
            standing: Standing::Approved { height: 10 },
            approved_by: vec!["telecom".into(), "unicom".into()],
            decided_at: None,
        }
    }
}

async fn read(server: &Netconfd, how: &How, clock: &Clock, previous: Option<Previous>) -> Reading {
    let filter = vec![FilterElement { namespace: NAMESPACE.into(), element: "ManagedElement".into() }];
    let with_defaults = how.with_defaults;
    let profile = Arc::new(Profile { filter, with_defaults, ..Profile::plain("netconfd") });
    let plan = StationPlan { element: station(), target: server.target(), profile, previous };
    let schemas = how.schemas.clone();
    let options = SweepOptions { limits: LIMITS, schemas, ..SweepOptions::default() };
    let mut reads = sweep(vec![plan], options, Arc::clone(clock), CancellationToken::new()).await;
    reads.pop().expect("one read per station").reading
}

pub fn collected(reading: Reading) -> Collected {
    match reading {
        Reading::Collected(collected) => *collected,
        other => panic!("not a new configuration: {other:?}"),
    }
}

pub fn is_unchanged(reading: &Reading) -> bool {
    matches!(reading, Reading::Unchanged { .. })
}

fn approve(snapshot: &Snapshot) -> ApprovedState {
    let mut state = ApprovedState::default();
    for object in snapshot.objects() {
        state.insert_object(object.dn().clone());
        for (name, value) in object.attributes() {
            let value = ApprovedValue { value: value.clone(), request: "BL-1".into(), height: 3 };
            state.insert(object.dn().clone(), name.clone(), value);
        }
    }
    state
}

fn agreement() -> Agreement {
    let agreement: Agreement = serde_json::from_value(json!({
        "format": Agreement::FORMAT, "id": "bj", "version": 1, "title": "Beijing",
        "parties": [
            {"id": "telecom", "name": "Telecom", "kind": "operator", "plmns": ["460-11"]},
            {"id": "unicom", "name": "Unicom", "kind": "operator", "plmns": ["460-01"]}],
        "districts": [{"scope": "SubNetwork=bj", "master_operator": "telecom"}],
        "ownership": [],
        "sharing": [{"scope": "SubNetwork=bj", "plmns": ["460-11", "460-01"]}],
        "rights": [{"attributes": ["*.*"], "change": ["mop"], "approve": ["operators"]}],
        "key_attributes": [],
        "collection": {"period_minutes": 60, "attest_within_minutes": 30},
        "map_secret": "00".repeat(32),
    }))
    .expect("the fields of an agreement");
    agreement.check().expect("a consistent agreement");
    agreement
}

fn station() -> Dn {
    STATION.parse().expect("a DN")
}

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}
