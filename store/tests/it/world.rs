//! A small radio network and what a round says of it.

use anchor::Hash;
use anchor::commitment::{Opening, Salt};
use model::verdict::{Authorisation, AuthorisationVerdict};
use model::violation::{AUTHORISATION_RULE, ActorClass, Responsibility, RuleOutcome, Sighting};
use model::{
    Digest, Dn, Edit, Interpretation, Object, Outcome, Severity, Snapshot, Text, Timestamp, Value, Violation,
    ViolationState,
};
use store::{
    CommittedAttribute, OutboxLeaf, Respelling, RoundCommit, RoundPins, RoundStart, StationMemory,
    StationResult, StationSnapshot, Store, StoreConfig,
};

pub async fn scratch() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()).await, folder)
}

pub async fn open(folder: &std::path::Path) -> Store {
    Store::open(StoreConfig::new(folder.join("ranproof.db"))).await.unwrap()
}

/// A connection beside the store's own, for what no store does: damage, and looks at rows.
pub async fn beside(folder: &std::path::Path) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("ranproof.db"));
    sqlx::ConnectOptions::connect(&options).await.unwrap()
}

pub fn element(station: u32) -> Dn {
    format!("SubNetwork=bj,ManagedElement=g{station}").parse().unwrap()
}

pub fn cell(station: u32, cell: u32) -> Dn {
    element(station).child("GNBDUFunction", "1").child("NRCellDU", &cell.to_string())
}

pub fn interpretation() -> Interpretation {
    Interpretation::new("none", &Digest::of(b"profile"))
}

/// A station of `cells` cells; `pci` is the first cell's.
pub fn snapshot(station: u32, cells: u32, pci: u64) -> Snapshot {
    let objects = (1..=cells).map(|n| {
        let pci = if n == 1 { pci } else { u64::from(n) };
        let filler = (0..20).map(|i| (format!("attribute{i:02}"), Value::text(format!("value {n} {i}"))));
        let attributes = filler.chain([("nRPCI".to_owned(), Value::text(pci.to_string()))]).collect();
        let volatile = vec![("operationalState".to_owned(), Value::from("ENABLED"))];
        Object::new(cell(station, n), attributes, volatile)
    });
    Snapshot::new(interpretation(), objects.collect(), vec![])
}

/// What is left of a snapshot once volatile attributes are dropped.
pub fn lasting(snapshot: &Snapshot) -> Snapshot {
    let objects = snapshot.objects().iter();
    let objects = objects.map(|o| Object::new(o.dn().clone(), o.attributes().to_vec(), vec![]));
    Snapshot::new(snapshot.interpretation(), objects.collect(), snapshot.findings().to_vec())
}

pub fn start(round: u64, expected: u64) -> RoundStart {
    RoundStart {
        origin: "telecom".into(),
        round,
        opened: Some(100 + round),
        started: Timestamp(1_000 * round as i64),
        pins: RoundPins {
            agreement: Hash::of(b"agreement"),
            policy_set: Hash::of(b"policies"),
            inventory: Hash::of(b"inventory"),
            profile: Hash::of(b"profile"),
        },
        expected,
    }
}

pub fn sighting(round: u64) -> Sighting {
    let read = Timestamp(1_000 * round as i64 + 500);
    Sighting { round, opened: Some(100 + round), after: Some(Timestamp(read.0 - 1_000)), read }
}

/// An empty commit, to be filled.
pub fn commit(round: u64) -> RoundCommit {
    RoundCommit {
        round,
        finished: Timestamp(1_000 * round as i64 + 900),
        height: 101 + round,
        stations: vec![],
        snapshots: vec![],
        edits: vec![],
        respellings: vec![],
        advances: vec![],
        violations: vec![],
        requests: vec![],
        leaves: vec![],
        attestation: None,
        openings: vec![],
        closed: vec![],
    }
}

pub fn result(station: u32, outcome: Outcome, round: u64) -> StationResult {
    StationResult {
        element: element(station),
        outcome,
        read: Timestamp(1_000 * round as i64 + 500),
        duration_ms: 12,
    }
}

/// Adds a station that was read.
pub fn collect(commit: &mut RoundCommit, station: u32, snapshot: Snapshot) {
    let round = commit.round;
    commit.stations.push(result(station, Outcome::Collected, round));
    let read = Timestamp(1_000 * round as i64 + 500);
    let raw = format!("<reply station='{station}'>{:?}</reply>", snapshot.root()).into_bytes();
    let snapshot = snapshot.into();
    commit.snapshots.push(StationSnapshot {
        element: element(station),
        read,
        snapshot,
        base: None,
        raw_digest: model::Digest::of(&raw),
        raw: raw.into(),
        held: None,
    });
}

pub fn edit(object: Dn, attribute: &str, old: Option<&str>, new: Option<&str>) -> Edit {
    let (old, new) = (old.map(Value::from), new.map(Value::from));
    Edit::between(&object, attribute, old.as_ref(), new.as_ref()).unwrap()
}

pub fn verdict(authorisation: Authorisation) -> AuthorisationVerdict {
    AuthorisationVerdict {
        authorisation,
        request: None,
        request_height: None,
        why: Text::new("nobody approved it", "无人批准"),
        considered: vec![],
    }
}

/// An unapproved PCI on the station's first cell.
pub fn violation(station: u32, attribute: &str, round: u64) -> Violation {
    let object = cell(station, 1);
    Violation {
        id: Violation::derive_id("telecom", &object, attribute, AUTHORISATION_RULE, round),
        element: element(station),
        object,
        attribute: attribute.into(),
        rule: AUTHORISATION_RULE.into(),
        severity: Severity::Major,
        outcome: RuleOutcome::Violated,
        verdict: Some(verdict(Authorisation::Unapproved)),
        old: Some("1".into()),
        new: Some("2".into()),
        message: Text::new("PCI is 2, approved is 1", "PCI 为 2"),
        responsibility: Responsibility { accountable: "telecom".into(), cause: ActorClass::Unknown },
        first_seen: sighting(round),
        last_seen: sighting(round),
        state: ViolationState::Open,
        resolved: None,
    }
}

pub fn leaf(kind: &str, subject: &str) -> OutboxLeaf {
    OutboxLeaf {
        kind: kind.into(),
        subject: subject.into(),
        envelope: format!("envelope of {kind} {subject}").into_bytes(),
        record: Some(serde_json::json!({ "id": subject })),
    }
}

pub fn opening(station: u32, version: u64, value: &str) -> CommittedAttribute {
    let opening = Opening {
        dn: cell(station, 1).to_string(),
        attribute: "nRPCI".into(),
        value: format!("\"{value}\""),
        salt: Salt([version as u8; 32]),
    };
    CommittedAttribute { element: element(station), version, opening }
}

/// Begins and commits a round in which `stations` stations of three cells were read, with a leaf, an opening and
/// an attestation.
pub async fn full_round(store: &Store, round: u64, stations: u32) {
    store.begin_round(&start(round, u64::from(stations))).await.unwrap();
    store.commit_round(&full_commit(round, stations)).await.unwrap();
}

pub fn full_commit(round: u64, stations: u32) -> RoundCommit {
    let mut commit = commit(round);
    for station in 1..=stations {
        collect(&mut commit, station, snapshot(station, 3, round));
        commit.openings.push(opening(station, round, &round.to_string()));
        let edit = edit(cell(station, 1), "nRTAC", Some("01"), Some("1"));
        commit.respellings.push(Respelling { element: element(station), edit, approved: None });
    }
    commit.leaves.push(leaf("violation", &format!("V-{round}")));
    commit.attestation = Some(format!("{{\"round\":{round}}}").into_bytes());
    commit
}

/// What the store remembers of a station; nothing of one that it never saw.
pub async fn memory_of(store: &Store, station: u32, since: Timestamp) -> StationMemory {
    let memory =
        store.memory_of(&[(&element(station), None)], since).await.unwrap().remove(&element(station));
    memory.unwrap_or_default()
}
