//! A small world in a store: three operators, twelve stations, three rounds, requests that match and miss.

use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::Hash;
use anchor::record::{
    JudgedViolation, JudgementCounts, JudgementRecord, JudgementRecordFormat, JudgementVerdict, Record,
};
use anchor::transaction::{
    AttestRoundStatement, Decision, OpenRoundStatement, ProposalKind, Subject, SubjectKind,
};
use model::change::{ChangeKind, ChangeRequest, ExpectedEdit, Progress, Window};
use model::verdict::{Authorisation, AuthorisationVerdict, Considered, Severity, Text};
use model::violation::{
    AUTHORISATION_RULE, ActorClass, Responsibility, RuleOutcome, SECOND_JUDGEMENT_RULE, Sighting, Violation,
    ViolationState,
};
use model::{Digest, Dn, Edit, Finding, Interpretation, OBJECT, Outcome, Snapshot, Timestamp, Value};
use serde_json::json;
use store::{
    CosignatureRow, Event, ForkKind, ForkRow, OutboxLeaf, ProjectedBlock, ProjectedTransaction, Registration,
    RequestProgress, RequestTerms, RoundCommit, RoundEdit, RoundPins, RoundStart, StationResult,
    StationSnapshot, Store, StoreConfig,
};

use crate::evidence::BundleError;
use crate::federation::tests::four;
use crate::federation::{At, DisputeView, Federation};
use crate::metrics::Metrics;
use crate::statements::{PolicyBody, PolicyFile};
use crate::web::session::Sessions;
use crate::web::site::Site;
use crate::web::view::{ChainStatus, MemberView};

/// What a person types to act.
pub const TOKEN: &str = "5e5510";
pub const START: i64 = 1_795_312_800_000; // 2026-11-22T02:00:00Z
pub const NOW: i64 = START + 47 * 60_000;
const STATIONS: usize = 12;

/// A site over a fresh store with the whole story in it; the folder goes with the guard.
pub async fn site() -> (Site, tempfile::TempDir) {
    let (site, folder) = empty().await;
    let mut world = World { store: site.store.clone(), height: 0, time: START };
    world.registrations().await;
    world.round(1, vec![], |c| c).await;
    world.requests().await;
    world.round(2, second_edits(), |commit| RoundCommit { requests: vec![done()], ..commit }).await;
    world.round(3, third_edits(), |commit| RoundCommit { violations: violations(), ..commit }).await;
    world.block(vec![]).await;
    (site, folder)
}

/// A site over an empty store.
pub async fn empty() -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(folder.path().join("ranproof.db"))).await.unwrap();
    let site = Site {
        network: "Beijing East shared network".into(),
        operator: "telecom".into(),
        agreement: "bj-2026".into(),
        origin: "telecom".into(),
        main: store.clone(),
        seconds: Arc::new(BTreeMap::new),
        sessions: Sessions::new("telecom", Some(TOKEN.into())),
        units: Default::default(),
        store,
        metrics: Metrics::new("telecom").unwrap(),
        chain: Arc::new(status),
        bundle: Arc::new(|id| {
            let known = Violation::is_id(&id);
            let made = known.then(|| format!("{{\"subject\":\"{id}\"}}").into_bytes());
            let why = match id.as_str() {
                "round-3" => BundleError::NotYet { what: format!("{id} is not anchored yet"), hint: "wait" },
                "round-1" => BundleError::Failed(anyhow::anyhow!("database disk image is malformed")),
                _ => BundleError::Missing(id),
            };
            Box::pin(async move { made.ok_or(why) })
        }),
        now: || Timestamp(NOW),
    };
    (site, folder)
}

fn status() -> ChainStatus {
    let federation = Federation { disputes: vec![dispute()], ..four() };
    let members = federation.nodes.iter();
    ChainStatus {
        chain_id: "ranproof-bj".into(),
        genesis: Hash::of(b"genesis").to_string(),
        rules_version: 1,
        engine: "malachite".into(),
        height: 17,
        time: Timestamp(NOW - 4_000),
        header: Hash::of(b"header").to_string(),
        stopped: None,
        pending: 0,
        members: members.map(|n| MemberView { id: n.member.clone(), name: n.name.clone() }).collect(),
        federation,
    }
}

/// Unicom's agent found another verdict on the PLMN list.
fn dispute() -> DisputeView {
    let judgement = judgement("unicom", "telecom", &violations()[1].id, JudgementVerdict::Differs);
    DisputeView {
        id: "D-unicom-telecom-3-verdict".into(),
        disputer: "unicom".into(),
        origin: "telecom".into(),
        round: 3,
        kind: "verdict".into(),
        judgement: Record::Judgement(Box::new(judgement)).commitment().unwrap().to_string(),
        state: "open".into(),
        opened: At { height: 17, time: Timestamp(NOW - 4_000) },
        answered: None,
        answer: None,
        ended: None,
    }
}

fn judgement(judge: &str, origin: &str, violation: &str, verdict: JudgementVerdict) -> JudgementRecord {
    let own = if verdict == JudgementVerdict::Same { "unapproved" } else { "late" };
    let read = |name: &str| serde_json::from_value(json!(name)).unwrap();
    JudgementRecord {
        format: JudgementRecordFormat,
        id: JudgementRecord::violation_id(violation),
        judge: judge.into(),
        origin: origin.into(),
        round: 3,
        attestation: Hash::of(b"attestation"),
        violation: Some(JudgedViolation {
            id: violation.into(),
            commitment: Hash::of(violation.as_bytes()),
            dn: "NRCellDU=1".into(),
            attribute: "pLMNInfoList".into(),
            rule: "authorisation".into(),
        }),
        verdict,
        theirs: Some(read("unapproved")),
        own: Some(read(own)),
        why: format!("{judge} finds {own}, {origin} found unapproved."),
        counts: None,
        nonce: anchor::commitment::Nonce([7; 32]),
    }
}

fn summary(judge: &str, origin: &str) -> JudgementRecord {
    let counts = JudgementCounts {
        changes: 8,
        opened: 7,
        unopened: 1,
        undisclosed: 0,
        same: 1,
        differing: 1,
        unjudged: 0,
    };
    JudgementRecord {
        id: JudgementRecord::summary_id(origin, 3),
        violation: None,
        theirs: None,
        own: None,
        counts: Some(counts),
        why: format!("{judge} judged 2 violations of round 3 of {origin}."),
        ..judgement(judge, origin, "", JudgementVerdict::Differs)
    }
}

/// The story as a member of a federation sees it: Unicom's stations judged here, Unicom's judgements of ours,
/// cosignatures, a log that forked.
pub async fn federated() -> (Site, tempfile::TempDir) {
    let (site, folder) = site().await;
    let second = Store::open(StoreConfig::new(folder.path().join("unicom.db"))).await.unwrap();
    let mut world = World { store: second.clone(), height: 0, time: START };
    world.round(1, vec![], |c| c).await;
    world.round(2, third_edits(), |commit| RoundCommit { violations: foreign_violations(), ..commit }).await;
    let ours = violations();
    let judged = [
        (judgement("unicom", "telecom", &ours[0].id, JudgementVerdict::Same), 4),
        (judgement("unicom", "telecom", &ours[1].id, JudgementVerdict::Differs), 5),
        (summary("unicom", "telecom"), 6),
        (judgement("telecom", "unicom", &foreign_violations()[0].id, JudgementVerdict::Same), 7),
    ];
    site.main.add_judgements(&judged, Timestamp(NOW)).await.unwrap();
    let root = site.main.chain_anchor("telecom").await.unwrap().unwrap();
    for (member, size) in [("unicom", root.size - 1), ("witness", root.size)] {
        let row = CosignatureRow {
            origin: "telecom".into(),
            size,
            root: root.root,
            member: member.into(),
            line: format!("— ranproof-bj/{member} AAAA"),
            time: Timestamp(NOW - 9_000),
        };
        site.main.add_cosignature(&row).await.unwrap();
    }
    let fork = ForkRow {
        origin: "unicom".into(),
        size: 6,
        kind: ForkKind::Notes,
        anchored_note: "ranproof-bj/unicom\n6\n".into(),
        anchored_root: Hash::of(b"a"),
        served_root: Hash::of(b"b"),
        served_note: Some("ranproof-bj/unicom\n6\n".into()),
        seen: Timestamp(NOW - 60_000),
    };
    site.main.record_fork(&fork).await.unwrap();
    let seconds = BTreeMap::from([("unicom".to_owned(), second)]);
    (Site { seconds: Arc::new(move || seconds.clone()), ..site }, folder)
}

/// What this agent finds at Unicom's stations.
pub fn foreign_violations() -> Vec<Violation> {
    let ours = violations();
    let foreign = |v: &Violation| {
        let element: Dn = v.element.to_string().replace("bj-east", "bj-west").parse().unwrap();
        let object: Dn = v.object.to_string().replace("bj-east", "bj-west").parse().unwrap();
        let id = Violation::derive_id("unicom", &object, &v.attribute, &v.rule, 2);
        let responsibility = Responsibility { accountable: "unicom".into(), cause: ActorClass::Unknown };
        Violation { id, element, object, responsibility, ..v.clone() }
    };
    let mut all: Vec<Violation> = ours.iter().take(2).map(foreign).collect();
    let unopened = Violation {
        verdict: None,
        old: None,
        new: None,
        rule: SECOND_JUDGEMENT_RULE.into(),
        message: Text::new("what was disclosed of nRPCI does not open the commitment", ""),
        ..foreign(&ours[3])
    };
    all.push(foreign(&unopened));
    all
}

struct World {
    store: Store,
    height: u64,
    time: i64,
}

fn subject(kind: SubjectKind, id: &str) -> Subject {
    Subject { kind, id: id.into(), version: 1 }
}

impl World {
    async fn block(&mut self, transactions: Vec<(&str, &str, Vec<Event>)>) {
        self.height += 1;
        self.time += 60_000;
        let transactions =
            transactions.into_iter().enumerate().map(|(n, (member, action, events))| ProjectedTransaction {
                id: Hash::of(format!("{}/{n}", self.height).as_bytes()),
                sender: anchor::PublicKey([7; 32]),
                member: Some(member.to_owned()),
                action: action.to_owned(),
                refused: None,
                events,
            });
        let block = ProjectedBlock {
            height: self.height,
            time: Timestamp(self.time),
            header: Hash::of(&self.height.to_be_bytes()),
            transactions: transactions.collect(),
            missed: vec![],
        };
        self.store.apply_block(&block).await.unwrap();
    }

    async fn registrations(&mut self) {
        let text = "rules:\n- name: pci-in-range\n  description: {en: The PCI is in the agreed pool and differs from every neighbour on the frequency., zh: PCI 在商定范围内。}\n  severity: major\n  scope: NRCellDU\n  expression: \"int(cell.nRPCI) < 504\"\n";
        let body = PolicyBody {
            format: PolicyBody::FORMAT.into(),
            id: "mocn".into(),
            version: 1,
            files: vec![PolicyFile { name: "pci.yaml".into(), text: text.into() }],
        };
        let bytes = crate::statements::canonical(&body).unwrap();
        let policy = self.store.put_body("policy-set", &bytes, Timestamp(START)).await.unwrap();
        let mut agreed: model::Agreement =
            crate::config::parse_yaml(include_str!("../../../../examples/agreement.yaml"), "agreement")
                .unwrap();
        agreed.id = "bj-2026".into();
        let bytes = crate::statements::canonical(&agreed).unwrap();
        let agreement = self.store.put_body("agreement", &bytes, Timestamp(START)).await.unwrap();
        let three = ["telecom", "unicom", "tower"];
        let subjects = [
            (subject(SubjectKind::Agreement, "bj-2026"), agreement, "RegisterAgreement"),
            (subject(SubjectKind::PolicySet, "mocn"), policy, "RegisterPolicySet"),
            (subject(SubjectKind::Inventory, "bj-2026/telecom"), Hash::of(b"inventory"), "RegisterInventory"),
        ];
        let register = |(subject, body, action): &(Subject, Hash, &'static str)| {
            let event = Event::Registered(registration(subject.clone(), *body, &three, None));
            ("telecom", *action, vec![event])
        };
        self.block(subjects.iter().map(register).collect()).await;
        let mut approvals = vec![];
        for member in three {
            for (subject, ..) in &subjects {
                approvals.push((member, "Approve", decided(subject, member, member == "tower")));
            }
        }
        self.block(approvals).await;
    }

    async fn requests(&mut self) {
        let carrier = carrier(3, 1);
        let requests = [
            request(
                "CR-1001",
                "Raise power of gnb-0003 sector 1",
                "CHG-88123",
                -10,
                50,
                &carrier,
                "100000",
                "200000",
            ),
            request("CR-1002", "Retune PCI on gnb-0005", "CHG-88140", 60, 120, &cell(5, 2), "117", "121"),
            request("CR-1003", "Swap PLMN order on gnb-0007", "CHG-88151", 0, 60, &cell(7, 1), "0", "1"),
        ];
        for (n, request) in requests.iter().enumerate() {
            let bytes = crate::statements::canonical(request).unwrap();
            let body = self.store.put_body("change", &bytes, Timestamp(self.time)).await.unwrap();
            let subject = subject(SubjectKind::Change, &request.id);
            let terms = RequestTerms {
                kind: ProposalKind::Change,
                window_from: request.window.from,
                window_to: request.window.to,
            };
            let made = registration(subject.clone(), body, &["telecom", "unicom"], Some(terms));
            self.block(vec![("telecom", "Propose", vec![Event::Registered(made)])]).await;
            let mut approvals = vec![("telecom", "Approve", decided(&subject, "telecom", false))];
            if n < 2 {
                approvals.push(("unicom", "Approve", decided(&subject, "unicom", true)));
            }
            self.block(approvals).await;
        }
    }

    async fn round(
        &mut self,
        round: u64,
        edits: Vec<RoundEdit>,
        adjust: impl FnOnce(RoundCommit) -> RoundCommit,
    ) {
        let opening = OpenRoundStatement {
            origin: "telecom".into(),
            round,
            agreement: "bj-2026".into(),
            agreement_version: 1,
            policy_set: "mocn".into(),
            policy_set_version: 1,
            inventory_version: 1,
            profile: Hash::of(b"profile"),
        };
        let deadline = Timestamp(self.time + 900_000);
        let opened = Event::RoundOpened { statement: opening, deadline, expected: STATIONS as u64 };
        self.block(vec![("telecom", "OpenRound", vec![opened])]).await;
        let start = RoundStart {
            origin: "telecom".into(),
            round,
            opened: Some(self.height),
            started: Timestamp(self.time + 300),
            pins: RoundPins {
                agreement: Hash::of(b"agreement"),
                policy_set: Hash::of(b"policy"),
                inventory: Hash::of(b"inventory"),
                profile: Hash::of(b"profile"),
            },
            expected: STATIONS as u64,
        };
        self.store.begin_round(&start).await.unwrap();
        let commit = adjust(commit(round, self.time, edits));
        self.store.commit_round(&commit).await.unwrap();
        self.anchor(round, &commit).await;
    }

    async fn anchor(&mut self, round: u64, commit: &RoundCommit) {
        let growth = self.store.stage_growth().await.unwrap().unwrap();
        let root = Hash::of(&growth.new_size.to_be_bytes());
        self.store.save_checkpoint(growth.new_size, &root, "note").await.unwrap();
        let anchored = Event::Anchored { origin: "telecom".into(), size: growth.new_size, root };
        self.block(vec![("telecom", "AnchorCheckpoint", vec![anchored])]).await;
        self.store.mark_anchored(growth.new_size, self.height, 0).await.unwrap();
        self.store.apply_anchored().await.unwrap();
        let failed = commit.stations.iter().filter(|s| s.outcome.name() == "failed").count() as u64;
        let statement = AttestRoundStatement {
            origin: "telecom".into(),
            round,
            attestation: Hash::of(b"attestation"),
            leaf_index: growth.new_size - 1,
            expected: STATIONS as u64,
            collected: 3,
            unchanged: STATIONS as u64 - 3 - failed,
            failed,
            skipped: 0,
        };
        self.block(vec![("telecom", "AttestRound", vec![Event::RoundAttested { statement, late: false }])])
            .await;
        self.store.mark_attested(round, self.height, 0).await.unwrap();
    }
}

fn registration(
    subject: Subject,
    body: Hash,
    required: &[&str],
    request: Option<RequestTerms>,
) -> Registration {
    Registration {
        statement: Hash::of(subject.id.as_bytes()),
        subject,
        action: vec![1],
        body: Some(body),
        agreement: "bj-2026".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        required: required.iter().map(|m| (*m).to_owned()).collect(),
        request,
    }
}

fn decided(subject: &Subject, member: &str, last: bool) -> Vec<Event> {
    let decision = Decision::Approve;
    let mut events = vec![Event::Decided { subject: subject.clone(), member: member.into(), decision }];
    if last {
        events.push(Event::Finalized { subject: subject.clone() });
    }
    events
}

#[expect(clippy::too_many_arguments, reason = "a line of the story per request")]
fn request(
    id: &str,
    title: &str,
    ticket: &str,
    from: i64,
    to: i64,
    object: &Dn,
    old: &str,
    new: &str,
) -> ChangeRequest {
    let attribute = if object.class() == "NRSectorCarrier" { "configuredMaxTxPower" } else { "nRPCI" };
    ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.into(),
        kind: ChangeKind::Change,
        agreement: "bj-2026".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        title: title.into(),
        ticket: ticket.into(),
        scope: "SubNetwork=bj-east".parse().unwrap(),
        window: Window { from: Timestamp(NOW + from * 60_000), to: Timestamp(NOW + to * 60_000) },
        edits: vec![ExpectedEdit {
            object: object.clone(),
            attribute: attribute.into(),
            old: Some(old.into()),
            new: Some(new.into()),
        }],
        rollback: true,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce: "00".repeat(32),
    }
}

pub fn element(n: usize) -> Dn {
    format!("SubNetwork=bj-east,ManagedElement=gnb-{n:04}").parse().unwrap()
}

pub fn cell(station: usize, n: usize) -> Dn {
    element(station).child("GNBDUFunction", "1").child("NRCellDU", &n.to_string())
}

fn carrier(station: usize, n: usize) -> Dn {
    element(station).child("GNBDUFunction", "1").child("NRSectorCarrier", &n.to_string())
}

fn commit(round: u64, time: i64, edits: Vec<RoundEdit>) -> RoundCommit {
    let read = Timestamp(time + 2_400);
    let outcome = |n: usize| match (round, n) {
        (3, 9) => Outcome::Failed {
            reason: "unreachable".into(),
            detail: "cannot connect to 10.20.1.9 port 830: connection refused; hint: is the station up?"
                .into(),
        },
        (3, 10) => Outcome::Failed {
            reason: "not-xml".into(),
            detail: "the reply is not XML at byte 17; hint: look at the stored reply".into(),
        },
        (3, 11) => Outcome::Failed {
            reason: "host-key-mismatch".into(),
            detail: "the station shows another host key than the agreed one, no credential was sent".into(),
        },
        (1, _) => Outcome::Collected,
        (_, 3 | 5 | 7) => Outcome::Collected,
        _ => Outcome::Unchanged,
    };
    let stations: Vec<StationResult> = (1..=STATIONS)
        .map(|n| StationResult {
            element: element(n),
            outcome: outcome(n),
            read,
            duration_ms: 180 + 37 * n as u64,
        })
        .collect();
    let collected = stations.iter().filter(|s| s.outcome == Outcome::Collected);
    let snapshots = collected.map(|s| StationSnapshot {
        element: s.element.clone(),
        read,
        snapshot: Snapshot::new(
            Interpretation::new("none", &Digest::of(b"p")),
            vec![],
            vec![Finding {
                code: "not-validated".into(),
                place: "/m:ManagedElement[id='1']/m:attributes/userLabel".into(),
                message: format!("first fault (line 3): {HOSTILE}"),
            }],
        )
        .into(),
        base: None,
        raw_digest: Digest::of(format!("{}{round}", s.element).as_bytes()),
        raw: format!("{}{round}", s.element).into_bytes().into(),
        held: None,
    });
    let leaf = |v: &Violation| OutboxLeaf {
        kind: "violation".into(),
        subject: v.id.clone(),
        envelope: v.id.clone().into_bytes(),
        record: None,
    };
    let leaves = if round == 3 { violations().iter().take(4).map(leaf).collect() } else { vec![] };
    let attestation = json!({ "round": round }).to_string().into_bytes();
    RoundCommit {
        round,
        finished: Timestamp(time + 6_100),
        height: 0,
        snapshots: snapshots.collect(),
        stations,
        edits,
        respellings: vec![],
        advances: vec![],
        violations: vec![],
        requests: vec![],
        leaves,
        attestation: Some(attestation),
        openings: vec![],
        closed: vec![],
    }
}

fn done() -> RequestProgress {
    let edit = (carrier(3, 1), "configuredMaxTxPower".to_owned());
    RequestProgress { request: "CR-1001".into(), progress: Progress::Complete, observed: vec![edit] }
}

fn edit(object: Dn, attribute: &str, old: Option<Value>, new: Option<Value>) -> Edit {
    Edit::between(&object, attribute, old.as_ref(), new.as_ref()).unwrap()
}

fn round_edit(edit: Edit, authorisation: Authorisation, request: Option<&str>) -> RoundEdit {
    let element = edit.object.ancestor("ManagedElement").unwrap();
    RoundEdit { element, edit, authorisation: Some(authorisation), request: request.map(str::to_owned) }
}

fn second_edits() -> Vec<RoundEdit> {
    let power = edit(carrier(3, 1), "configuredMaxTxPower", Some("100000".into()), Some("200000".into()));
    vec![round_edit(power, Authorisation::Exact, Some("CR-1001"))]
}

fn third_edits() -> Vec<RoundEdit> {
    let of = |v: Violation| {
        let authorisation = v.verdict?.authorisation;
        Some(round_edit(edit(v.object, &v.attribute, v.old, v.new), authorisation, None))
    };
    violations().into_iter().filter_map(of).collect()
}

pub fn plmn_list(mncs: &[&str]) -> Value {
    let fields =
        |pairs: Vec<(&str, Value)>| Value::Fields(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect());
    let plmn = |mnc: &&str| {
        let id = fields(vec![("mcc", "460".into()), ("mnc", (*mnc).into())]);
        let slice = fields(vec![("sst", "1".into()), ("sd", "000001".into())]);
        fields(vec![("pLMNId", id), ("sNSSAI", slice)])
    };
    Value::Sequence(mncs.iter().map(plmn).collect())
}

/// Text of a device that would like to be markup.
pub const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\"'&";

pub fn violations() -> Vec<Violation> {
    let object = Value::Fields([("nRPCI".into(), "12".into()), ("nRTAC".into(), "4321".into())].into());
    let tilt = |n: u32| Value::text(format!("{}{n}", "sector profile with a long vendor text, ".repeat(8)));
    vec![
        violation(
            3,
            carrier(3, 1),
            "configuredMaxTxPower",
            Some("200000".into()),
            Some("400000".into()),
            Authorisation::Exceeded,
            Severity::Critical,
            "configuredMaxTxPower of NRSectorCarrier=1 on gnb-0003 was raised from 200000 to 400000 mW; CR-1001 approved 100000 → 200000",
            "gnb-0003 的 NRSectorCarrier=1 的 configuredMaxTxPower 由 200000 升至 400000 mW；CR-1001 批准的是 100000 → 200000",
        ),
        violation(
            7,
            cell(7, 1),
            "pLMNInfoList",
            Some(plmn_list(&["11", "01", "15"])),
            Some(plmn_list(&["01", "11", "15"])),
            Authorisation::Unapproved,
            Severity::Critical,
            "pLMNInfoList of NRCellDU=1 on gnb-0007 was reordered; its first entry forms the NCGI, and no request covers it",
            "gnb-0007 的 NRCellDU=1 的 pLMNInfoList 顺序被改动；首项构成 NCGI，没有申请涉及",
        ),
        violation(
            5,
            element(5)
                .child("GNBDUFunction", "1")
                .child("OperatorDU", "unicom")
                .child("NROperatorCellDU", "2"),
            "administrativeState",
            Some("UNLOCKED".into()),
            Some("LOCKED".into()),
            Authorisation::NoRight,
            Severity::Major,
            "administrativeState of Unicom's NROperatorCellDU=2 on gnb-0005 was locked; only unicom may change it",
            "gnb-0005 上联通的 NROperatorCellDU=2 被锁定；只有 unicom 有权变更",
        ),
        violation(
            5,
            cell(5, 2),
            "nRPCI",
            Some("117".into()),
            Some("121".into()),
            Authorisation::Early,
            Severity::Major,
            "nRPCI of NRCellDU=2 on gnb-0005 was changed from 117 to 121 before the window of CR-1002 opened",
            "gnb-0005 的 NRCellDU=2 的 nRPCI 在 CR-1002 时间窗开始前由 117 改为 121",
        ),
        violation(
            7,
            cell(7, 3),
            OBJECT,
            Some(object),
            None,
            Authorisation::Unapproved,
            Severity::Major,
            "NRCellDU=3 on gnb-0007 was deleted; no request covers it",
            "",
        ),
        violation(
            3,
            cell(3, 2),
            "pLMNInfoList",
            Some(plmn_list(&["11", "01"])),
            Some(plmn_list(&["11", "15"])),
            Authorisation::Late,
            Severity::Minor,
            "pLMNInfoList of NRCellDU=2 on gnb-0003 changed before CR-1003 was approved",
            "",
        ),
        violation(
            3,
            cell(3, 3),
            "vendorProfile",
            Some(tilt(1)),
            Some(tilt(2)),
            Authorisation::Unapproved,
            Severity::Warning,
            "vendorProfile of NRCellDU=3 on gnb-0003 was changed; no request covers it",
            "",
        ),
        violation(
            7,
            cell(7, 2),
            "userLabel",
            Some("east".into()),
            Some(HOSTILE.into()),
            Authorisation::Deviating,
            Severity::Warning,
            &format!("userLabel of NRCellDU=2 on gnb-0007 became {HOSTILE}"),
            "",
        ),
        by_rule(
            violation(
                5,
                cell(5, 1),
                "nRPCI",
                Some("118".into()),
                Some("611".into()),
                Authorisation::Unapproved,
                Severity::Major,
                "nRPCI 611 of NRCellDU=1 on gnb-0005 is outside the agreed pool 0 to 503",
                "",
            ),
            "pci-in-range",
        ),
        by_rule(
            violation(
                7,
                cell(7, 1),
                "pLMNInfoList",
                None,
                Some(plmn_list(&["01", "11", "15"])),
                Authorisation::Unapproved,
                Severity::Major,
                "The cell broadcasts PLMNs [460-01, 460-11, 460-15], agreed are [460-11, 460-01, 460-15] in this order.",
                "",
            ),
            "plmn-list-order",
        ),
    ]
}

fn by_rule(violation: Violation, rule: &str) -> Violation {
    let id = Violation::derive_id("telecom", &violation.object, &violation.attribute, rule, 3);
    Violation { id, rule: rule.into(), verdict: None, outcome: RuleOutcome::Violated, ..violation }
}

#[expect(clippy::too_many_arguments, reason = "a line of the story per violation")]
fn violation(
    station: usize,
    object: Dn,
    attribute: &str,
    old: Option<Value>,
    new: Option<Value>,
    authorisation: Authorisation,
    severity: Severity,
    en: &str,
    zh: &str,
) -> Violation {
    let considered = |request: &str, authorisation, en: &str| Considered {
        request: request.into(),
        authorisation,
        why: Text::new(en, ""),
    };
    let considered = match authorisation {
        Authorisation::Exceeded => vec![
            considered(
                "CR-1001",
                Authorisation::Exceeded,
                "approved 100000 → 200000, seen 400000: 200000 beyond it in the approved direction",
            ),
            considered("CR-1002", Authorisation::WrongObject, "names NRCellDU=2 on gnb-0005"),
        ],
        Authorisation::Early => {
            vec![considered(
                "CR-1002",
                Authorisation::Early,
                "its window opens at 2026-11-22T03:47:00Z, seen at 02:14:02Z",
            )]
        }
        _ => vec![],
    };
    let seen = Sighting {
        round: 3,
        opened: Some(14),
        after: Some(Timestamp(START + 12 * 60_000)),
        read: Timestamp(START + 14 * 60_000 + 2_400 + station as i64),
    };
    Violation {
        id: Violation::derive_id("telecom", &object, attribute, AUTHORISATION_RULE, 3),
        element: element(station),
        object,
        attribute: attribute.into(),
        rule: AUTHORISATION_RULE.into(),
        severity,
        outcome: RuleOutcome::Violated,
        verdict: Some(AuthorisationVerdict {
            authorisation,
            request: considered.first().map(|c| c.request.clone()),
            request_height: considered.first().map(|_| 6),
            why: Text::new(format!("{}; {} requests were weighed.", en, considered.len()), zh),
            considered,
        }),
        old,
        new,
        message: Text::new(en, zh),
        responsibility: Responsibility { accountable: "telecom".into(), cause: ActorClass::Unknown },
        first_seen: seen.clone(),
        last_seen: seen,
        state: ViolationState::Open,
        resolved: None,
    }
}
