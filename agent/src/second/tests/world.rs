//! Two operators, two stations of the first; the second judges.

use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::commitment::EpochSecret;
use anchor::map::Map;
use anchor::standing;
use anchor::transaction::{Decision, ProposalKind, Subject, SubjectKind};
use anchor::tree::Tree;
use anchor::{Hash, json};
use model::change::{BaselineObject, ChangeRequest, Window};
use model::{
    Agreement, Digest, Dn, Interpretation, Inventory, Object, Outcome, Snapshot, Station, Timestamp, Value,
};
use policies::PolicySet;
use serde_json::json;
use store::{
    BaselineStation, DecisionRow, Moment, RequestRow, RequestTerms, RoundCommit, RoundStart, SecondRound,
    StationResult, StationSnapshot, Store, StoreConfig, StoredSnapshot, SubjectRow,
};
use tempfile::TempDir;

use crate::pins::InForce;
use crate::round::account::{Account, Own};
use crate::round::judging::CompleteRead;
use crate::round::memory::Memory;
use crate::round::rereading::respellings_of;
use crate::second::checking::{self, Before, Checked, Heights, NeedsWhole};
use crate::second::disclosing::{self, Sight};
use crate::second::disclosure::Disclosure;
use crate::second::judging::{self, Case, Delivery, Judge, Judged};
use crate::statements;

pub const ORIGIN: &str = "telecom";
pub const JUDGE: &str = "unicom";
const HOUR: i64 = 3_600_000;

/// Object → attribute → value.
pub type Objects = BTreeMap<String, BTreeMap<String, String>>;

pub struct World {
    pub origin: Store,
    pub judge: Store,
    pub in_force: InForce,
    /// What the stations hold.
    pub stations: BTreeMap<Dn, Objects>,
    /// The schema that they are read by.
    pub schema: &'static str,
    /// What their last replies say under it, where that was another one.
    pub again: BTreeMap<Dn, Snapshot>,
    /// What the origin and the judge know of requests; the same, unless a test says otherwise.
    pub requests: Vec<RequestRow>,
    pub judge_requests: Vec<RequestRow>,
    /// Stations of a third operator.
    pub others: Vec<Station>,
    pub round: u64,
    pub last: Option<SecondRound>,
    pub map: Option<Map>,
    /// What the origin's rounds keep in memory: the judge, who keeps nothing, must come to the same.
    pub memory: Memory,
    /// What rules that only count said in the origin's last round.
    pub audited: BTreeMap<String, u64>,
    pub folder: TempDir,
}

pub fn dn(text: &str) -> Dn {
    text.parse().unwrap()
}

pub fn element(n: u32) -> Dn {
    dn(&format!("SubNetwork=bj,ManagedElement=g{n}"))
}

pub fn cell(n: u32) -> Dn {
    element(n).child("GNBDUFunction", "1").child("NRCellDU", "1")
}

fn agreement(visibility: serde_json::Value) -> Agreement {
    let agreement: Agreement = serde_json::from_value(json!({
        "format": Agreement::FORMAT, "id": "bj", "version": 1, "title": "",
        "parties": [
            { "id": ORIGIN, "name": "", "kind": "operator" }, { "id": JUDGE, "name": "", "kind": "operator" },
        ],
        "districts": [{ "scope": "SubNetwork=bj", "master_operator": ORIGIN }],
        "sharing": [], "rights": [], "key_attributes": ["NRCellDU.*"], "visibility": visibility,
        "collection": { "period_minutes": 1, "attest_within_minutes": 1 },
        "map_secret": "09".repeat(32),
    }))
    .unwrap();
    agreement.check().unwrap();
    agreement
}

fn policies(mode: &str) -> PolicySet {
    let text = "format: ranproof/policy/1\nname: period\ndescription: { en: x }\nseverity: minor\nscope: NRCellDU\n\
                attribute: ssbPeriodicity\nexpression: object.ssbPeriodicity <= 160\nmessage: { en: x, zh: x }\n";
    PolicySet::load(&[("period.yaml".into(), format!("{text}mode: {mode}\n"))]).unwrap()
}

fn in_force(visibility: serde_json::Value) -> InForce {
    let agreement = agreement(visibility);
    let stations = [1, 2].map(|n| model::Station {
        element: element(n),
        gnb_id: n.to_string(),
        host_key: format!("ssh-ed25519 {n}"),
        profile: "plain".into(),
    });
    InForce {
        map_secret: statements::map_secret(&agreement).unwrap(),
        agreement,
        agreement_body: Hash::of(b"agreement"),
        policies: Arc::new(policies("enforce")),
        policy_id: "p".into(),
        policy_version: 1,
        policy_body: Hash::of(b"policies"),
        inventory: Inventory {
            format: Inventory::FORMAT.into(),
            agreement: "bj".into(),
            origin: ORIGIN.into(),
            version: 1,
            stations: stations.to_vec(),
        },
        inventory_root: Hash::of(b"inventory"),
        profile: Hash::of(b"profile"),
    }
}

fn station(n: u32) -> Objects {
    let values =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    BTreeMap::from([
        (element(n).to_string(), values(&[("userLabel", "a")])),
        (cell(n).to_string(), values(&[("nRPCI", "1"), ("ssbPeriodicity", "20")])),
    ])
}

fn snapshot(schema: &str, objects: &Objects) -> Snapshot {
    let objects = objects.iter().map(|(name, attributes)| {
        let attributes = attributes.iter().map(|(n, v)| (n.clone(), Value::from(v.as_str()))).collect();
        Object::new(dn(name), attributes, vec![])
    });
    Snapshot::new(Interpretation::new(schema, &Digest::of(b"plain")), objects.collect(), vec![])
}

/// Milliseconds at which a round reads.
fn read_at(round: u64) -> Timestamp {
    Timestamp(HOUR * i64::try_from(round).unwrap())
}

/// Height at which a round is open.
pub fn opened(round: u64) -> u64 {
    round * 10
}

/// A change of one PCI, approved by both at `height`.
pub fn request(id: &str, station: u32, new: &str, height: u64) -> RequestRow {
    let request = ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.into(),
        kind: model::change::ChangeKind::Change,
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: ORIGIN.into(),
        title: String::new(),
        ticket: String::new(),
        scope: model::Scope::default(),
        window: Window { from: Timestamp(0), to: Timestamp(1_000 * HOUR) },
        edits: vec![model::change::ExpectedEdit {
            object: cell(station),
            attribute: "nRPCI".into(),
            old: Some("1".into()),
            new: Some(new.into()),
        }],
        rollback: false,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce: "00".repeat(32),
    };
    let at = |height| Moment { height, time: Timestamp(0) };
    let decided = |member: &str| DecisionRow {
        member: member.into(),
        decision: Decision::Approve,
        at: at(height),
        transaction: Hash::ZERO,
    };
    let subject = SubjectRow {
        subject: Subject { kind: SubjectKind::Change, id: id.into(), version: 1 },
        action: vec![],
        statement: Hash::of(id.as_bytes()),
        body: Some(Hash::of(b"body")),
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: ORIGIN.into(),
        required: vec![ORIGIN.into(), JUDGE.into()],
        request: Some(RequestTerms {
            kind: ProposalKind::Change,
            window_from: request.window.from,
            window_to: request.window.to,
        }),
        transaction: Hash::ZERO,
        proposed: at(1),
        finalized: Some(at(height)),
        rejected: None,
        withdrawn: None,
        decisions: vec![decided(ORIGIN), decided(JUDGE)],
    };
    RequestRow { subject, request: Some(request), unfit: None, progress: None, observed: vec![] }
}

impl World {
    pub async fn new() -> World {
        World::seeing(json!([])).await
    }

    /// With lines of visibility in the agreement.
    pub async fn seeing(visibility: serde_json::Value) -> World {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(StoreConfig::new(folder.path().join(name)));
        let (origin, judge) = (open("origin.db").await.unwrap(), open("judge.db").await.unwrap());
        let stations: BTreeMap<Dn, Objects> = [1, 2].map(|n| (element(n), station(n))).into();
        let world = World {
            origin,
            judge,
            in_force: in_force(visibility),
            stations,
            schema: "none",
            again: BTreeMap::new(),
            requests: vec![],
            judge_requests: vec![],
            others: vec![],
            round: 0,
            last: None,
            map: None,
            memory: Memory::new(100),
            audited: BTreeMap::new(),
            folder,
        };
        world.approve_all("BL-1").await;
        world
    }

    /// Both approved what the stations hold now.
    pub async fn approve_all(&self, baseline: &str) {
        for store in [&self.origin, &self.judge] {
            self.approve(store, baseline).await;
        }
    }

    async fn approve(&self, store: &Store, baseline: &str) {
        let whole = |(element, objects): (&Dn, &Objects)| BaselineStation {
            element: element.clone(),
            objects: snapshot(self.schema, objects)
                .objects()
                .iter()
                .map(|o| BaselineObject {
                    object: o.dn().clone(),
                    attributes: o.attributes().iter().cloned().collect(),
                })
                .collect(),
        };
        let stations: Vec<_> = self.stations.iter().map(whole).collect();
        store.apply_baseline(baseline, 2, &stations).await.unwrap();
    }

    /// From now on the rule about `ssbPeriodicity` has this mode.
    pub fn agree_on_mode(&mut self, mode: &str) {
        self.in_force.policies = Arc::new(policies(mode));
        self.in_force.policy_body = Hash::of(mode.as_bytes());
    }

    pub fn approve_change(&mut self, row: RequestRow) {
        self.requests.push(row.clone());
        self.judge_requests.push(row);
    }

    pub fn set(&mut self, object: &Dn, attribute: &str, value: &str) {
        let element = object.ancestor("ManagedElement").unwrap();
        let objects = self.stations.get_mut(&element).unwrap();
        objects.entry(object.to_string()).or_default().insert(attribute.into(), value.into());
    }

    /// From now on the stations are read by another schema, under which their last replies have these values.
    pub fn read_by(&mut self, schema: &'static str, values: &[(&Dn, &str, &str)]) {
        self.schema = schema;
        for (object, attribute, value) in values {
            self.set(object, attribute, value);
        }
        self.again =
            self.stations.iter().map(|(e, objects)| (e.clone(), snapshot(schema, objects))).collect();
    }

    /// The origin runs a round; stations in `failing` are not read.
    pub async fn origin_round(&mut self, failing: &[u32]) -> RoundCommit {
        self.round += 1;
        let round = self.round;
        let held = self.memory.take_newest();
        let previous = self.origin.newest_snapshots_beside(held).await.unwrap();
        let (mut results, mut reads, mut snapshots) = (vec![], vec![], vec![]);
        for (element, objects) in &self.stations {
            let current = snapshot(self.schema, objects);
            let same = previous.get(element).is_some_and(|p| p.snapshot.root() == current.root());
            let outcome = match (failing.iter().any(|n| super::world::element(*n) == *element), same) {
                (true, _) => Outcome::Failed { reason: "timeout".into(), detail: "no answer".into() },
                (false, true) => Outcome::Unchanged,
                (false, false) => Outcome::Collected,
            };
            if !matches!(outcome, Outcome::Failed { .. }) {
                let current = Arc::new(current.clone());
                let last = previous.get(element).map(|stored| &*stored.snapshot);
                let again = self.again.get(element);
                let respellings = last.map_or(vec![], |last| respellings_of(last, again, &current));
                reads.push(CompleteRead {
                    element: element.clone(),
                    read: read_at(round),
                    after: None,
                    current,
                    respellings,
                });
            }
            if outcome == Outcome::Collected {
                let (element, read) = (element.clone(), read_at(round));
                snapshots.push(StationSnapshot {
                    base: previous.get(&element).map(|p| Arc::clone(&p.snapshot)),
                    snapshot: Arc::new(current),
                    raw: b"<x/>".to_vec().into(),
                    held: None,
                    raw_digest: Digest::of(b"<x/>"),
                    element,
                    read,
                });
            }
            results.push(StationResult {
                element: element.clone(),
                outcome,
                read: read_at(round),
                duration_ms: 1,
            });
        }
        let start = self.start();
        let own = Own {
            store: &self.origin,
            chain: "net",
            start: &start,
            in_force: &self.in_force,
            height: opened(round) + 1,
            requests: &self.requests,
            others: &self.others,
            epoch: &EpochSecret([7; 32]),
            finished: read_at(round).plus_millis(1_000),
        };
        let account = own.account(&mut self.memory, &previous, results, &reads, snapshots).await.unwrap();
        let Account { commit, audited } = account;
        self.audited = audited;
        self.origin.begin_round(&start).await.unwrap();
        self.origin.commit_round(&commit).await.unwrap();
        self.memory.keep(previous, &commit);
        anchor(&self.origin).await;
        commit
    }

    fn start(&self) -> RoundStart {
        RoundStart {
            origin: ORIGIN.into(),
            round: self.round,
            opened: Some(opened(self.round)),
            started: read_at(self.round),
            pins: self.in_force.pins(),
            expected: 2,
        }
    }

    pub async fn disclosure(&self, whole: bool) -> Disclosure {
        let attestation = disclosing::attestation(&self.origin, self.round).await.unwrap().unwrap();
        let sight = Sight { agreement: &self.in_force.agreement, reader: JUDGE };
        let told = disclosing::disclose(&self.origin, attestation, sight, &self.in_force.map_secret, whole);
        let told = told.await.unwrap();
        let bytes = json::encode(&told).unwrap();
        assert_eq!(json::decode::<Disclosure>(&bytes).unwrap(), told, "it survives the wire");
        told
    }

    pub async fn check(&self, disclosure: &Disclosure) -> Result<Checked, NeedsWhole> {
        let openings = self.judge.openings_at(self.round - 1).await.unwrap().into_iter();
        let before = Before {
            attestation: self.last.as_ref().map(|last| last.attestation),
            map: self.map.as_ref(),
            openings: &openings.map(|o| ((o.opening.dn.clone(), o.opening.attribute.clone()), o)).collect(),
            snapshots: &newest(&self.judge).await,
        };
        let block = |height, time: Timestamp| standing::Moment { height, time: time.to_unsigned() };
        let read = read_at(self.round);
        let heights = Heights {
            opened: Some(block(opened(self.round), read)),
            attested: block(opened(self.round) + 5, read.plus_millis(2_000)),
            since: None,
        };
        checking::check(disclosure, &self.in_force, JUDGE, &before, heights)
    }

    /// The judge takes a disclosure, and keeps what it found.
    pub async fn take(&mut self, disclosure: &Disclosure) -> Judged {
        let checked = self.check(disclosure).await.unwrap();
        self.take_checked(disclosure, checked).await
    }

    pub async fn take_checked(&mut self, disclosure: &Disclosure, checked: Checked) -> Judged {
        let map = checked.map.clone();
        let case = Case {
            judge: Judge { member: JUDGE, epoch: &EpochSecret([8; 32]) },
            store: &self.judge,
            in_force: &self.in_force,
            others: &self.others,
            requests: &self.judge_requests,
            previous: &newest(&self.judge).await,
            disclosure,
            began: self.last.is_none() && disclosure.attestation.previous.is_some(),
            attested: true,
        };
        let judged = judging::judge(&case, checked).await.unwrap();
        let kept = self.judge.commit_second(&judged.start, &judged.commit, &judged.second, &judged.map);
        assert_eq!(kept.await.unwrap(), store::Committed::Now);
        (self.last, self.map) = (Some(judged.second.clone()), map);
        judged
    }

    /// A round of the origin, honestly told and taken.
    pub async fn honest_round(&mut self) -> Judged {
        self.origin_round(&[]).await;
        let told = self.disclosure(self.last.is_none()).await;
        self.take(&told).await
    }
}

pub fn delivery(judged: &Judged) -> Delivery {
    serde_json::from_value(judged.second.delivery.clone().unwrap()).unwrap()
}

async fn newest(store: &Store) -> BTreeMap<Dn, StoredSnapshot> {
    store.newest_snapshots().await.unwrap().into_iter().map(|s| (s.element.clone(), s)).collect()
}

/// The log takes what waits, as if the chain had accepted it.
pub async fn anchor(store: &Store) {
    let Some(growth) = store.stage_growth().await.unwrap() else { return };
    let mut tree = Tree::default();
    for hash in store.leaf_hashes(0, growth.new_size).await.unwrap() {
        tree.push(hash);
    }
    store.save_checkpoint(growth.new_size, &tree.root(), "note").await.unwrap();
    store.mark_anchored(growth.new_size, 1, 0).await.unwrap();
    store.apply_anchored().await.unwrap();
}
