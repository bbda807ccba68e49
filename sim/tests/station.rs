//! Stations collected by the collector, edited by the manager, disturbed by faults and restarted.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use collector::session::{Credential, Limits, PollError, Selection, Session, Target, poll};
use collector::wire::ReplyError;
use collector::wire::framing::Framing;
use collector::wire::rpc::SubtreeFilter;
use ranproof_sim::control::{self, ControlReply, ControlRequest, StationFault};
use ranproof_sim::manager::{self, Edit, Manager, ManagerError, Value};
use ranproof_sim::schema::{MANAGED_ELEMENT, NR};
use ranproof_sim::store::read_journal;
use ranproof_sim::{Fault, Inventory, Versions, World, WorldError, WorldSpec, serve_stations};

const CELL: &str = "SubNetwork=bj-east,ManagedElement=gnb-0001,GNBDUFunction=1,NRCellDU=1";

fn spec(dir: &Path, stations: usize) -> WorldSpec {
    WorldSpec::new(dir, stations, 3, 11)
}

fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), max_reply_bytes: 4 << 20 }
}

fn account(world: &World, dir: &Path, station: usize, user: &str) -> Target {
    let entry = &world.inventory().stations[station - 1];
    manager::target(dir, entry, user).unwrap()
}

async fn running(target: &Target) -> String {
    let poll = poll(target, &limits(), &Selection::default()).await.unwrap();
    String::from_utf8(poll.reply.content().to_vec()).unwrap()
}

fn entry(mnc: &str) -> Vec<(String, String)> {
    [("mcc", "460"), ("mnc", mnc), ("sst", "1"), ("sd", "FFFFFF")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn refused(error: ManagerError) -> String {
    let ManagerError::Reply(ReplyError::Refused { errors, .. }) = error else { panic!("{error}") };
    errors[0].tag.clone()
}

#[tokio::test]
async fn collector_reads_a_station_by_key_and_by_password() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 2)).await.unwrap();
    let by_key = account(&world, dir.path(), 1, "collector");
    let password = std::fs::read_to_string(dir.path().join("collector.password")).unwrap();
    let by_password = Target { credential: Credential::Password(password), ..by_key.clone() };
    let first = running(&by_key).await;
    assert_eq!(first, running(&by_password).await);
    assert!(first.contains(&format!("<ManagedElement xmlns=\"{MANAGED_ELEMENT}\">")));
    assert_eq!(first.matches("<NRCellDU ").count() + first.matches("<NRCellDU>").count(), 3);
    assert_ne!(first, running(&account(&world, dir.path(), 2, "collector")).await);
    let mut stranger = by_key.clone();
    stranger.user = "root".into();
    assert_eq!(
        poll(&stranger, &limits(), &Selection::default()).await.unwrap_err().reason(),
        "authentication"
    );
}

#[tokio::test]
async fn old_stations_and_filters_work() {
    let dir = tempfile::tempdir().unwrap();
    let world =
        serve_stations(&WorldSpec { versions: Versions::OnlyOld, ..spec(dir.path(), 1) }).await.unwrap();
    let mut session =
        Session::connect(&account(&world, dir.path(), 1, "collector"), &limits()).await.unwrap();
    assert_eq!(session.framing(), Framing::EndOfMessage);
    let filter = format!(
        "<ManagedElement xmlns=\"{MANAGED_ELEMENT}\"><GNBDUFunction xmlns=\"{NR}\"><NRCellDU><id>2</id></NRCellDU></GNBDUFunction></ManagedElement>"
    );
    let selection = Selection { filter: SubtreeFilter::new(filter).ok(), with_defaults: None };
    let reply = session.get_config(&selection).await.unwrap();
    let text = String::from_utf8(reply.content().to_vec()).unwrap();
    assert!(text.contains("<cellLocalId>2</cellLocalId>") && !text.contains("<cellLocalId>1</cellLocalId>"));
    session.close().await;
}

#[tokio::test]
async fn manager_edits_and_the_journal_tells() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 1)).await.unwrap();
    let target = account(&world, dir.path(), 1, "manager");
    let carrier = CELL.replace("NRCellDU", "NRSectorCarrier");
    let operator = CELL.replace("NRCellDU", "OperatorDU=unicom,NROperatorCellDU");
    let edits = [
        Edit::set(&carrier, "configuredMaxTxPower", "240000"),
        Edit::set(CELL, "pLMNInfoList", Value::Entries(vec![entry("01"), entry("11"), entry("03")])),
        Edit::set(CELL, "pLMNInfoList", Value::Entries(vec![entry("11"), entry("01")])),
        Edit::set(CELL, "prachRootSequenceIndex", "500"),
        Edit::lock(&operator),
        Edit::Create {
            object: CELL.replace("DU=1", "DU=4"),
            attributes: vec![("nRPCI".into(), "900".into())],
        },
        Edit::delete(&CELL.replace("DU=1", "DU=3")),
        Edit::Unset { object: CELL.to_owned(), attribute: "ssbOffset".into() },
    ];
    manager::edit(&target, &edits).await.unwrap();
    let text = running(&target).await;
    assert!(text.contains("<configuredMaxTxPower>240000<") && text.contains(">500</prachRootSequenceIndex>"));
    assert!(text.contains("<id>4</id>") && !text.contains("<nRPCI>\n"));
    let journal = read_journal(dir.path(), 1).unwrap();
    let first: Vec<_> =
        journal.iter().map(|e| (e.changes[0].attribute.as_str(), e.changes[0].operation.as_str())).collect();
    assert_eq!(
        first,
        [
            ("configuredMaxTxPower", "replace"),
            ("pLMNInfoList", "replace"),
            ("pLMNInfoList", "replace"),
            ("prachRootSequenceIndex", "replace"),
            ("administrativeState", "replace"),
            ("@object", "create"),
            ("@object", "delete"),
            ("ssbOffset", "delete"),
        ]
    );
    let order = |at: usize| -> Vec<String> {
        let list = journal[at].changes[0].new.as_ref().unwrap().as_array().unwrap();
        list.iter().map(|entry| entry["mnc"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (order(1), order(2)),
        (vec!["01".into(), "11".into(), "03".into()], vec!["11".into(), "01".into()])
    );
    assert!(journal.iter().all(|entry| entry.user == "manager"));
}

#[tokio::test]
async fn wrong_edits_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 1)).await.unwrap();
    let target = account(&world, dir.path(), 1, "manager");
    let before = running(&target).await;
    for (edit, tag) in [
        (Edit::set(CELL, "nRPCI", "1008"), "invalid-value"),
        (Edit::delete(&CELL.replace("DU=1", "DU=9")), "data-missing"),
        (Edit::Create { object: CELL.to_owned(), attributes: vec![] }, "data-exists"),
        (Edit::set(CELL, "pLMNInfoList", Value::Text("460-11".into())), "invalid-value"),
    ] {
        assert_eq!(refused(manager::edit(&target, &[edit]).await.unwrap_err()), tag);
    }
    let odd = manager::edit(&target, &[Edit::set(CELL, "colour", "red")]).await.unwrap_err();
    assert!(matches!(odd, ManagerError::Edit(_)));
    let collector = account(&world, dir.path(), 1, "collector");
    let denied = manager::edit(&collector, &[Edit::set(CELL, "nRPCI", "5")]).await.unwrap_err();
    assert_eq!(refused(denied), "access-denied");
    assert_eq!(before, running(&target).await);
    assert!(read_journal(dir.path(), 1).unwrap().is_empty());
}

#[tokio::test]
async fn each_fault_gives_its_reason_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    for versions in [Versions::Both, Versions::OnlyOld] {
        let dir = dir.path().join(format!("{versions:?}"));
        let world = serve_stations(&WorldSpec { versions, ..spec(&dir, 2) }).await.unwrap();
        let (healthy, target) =
            (account(&world, &dir, 1, "collector"), account(&world, &dir, 2, "collector"));
        for (fault, reason) in [
            (Fault::Unreachable, "unreachable"),
            (Fault::Garbage, "not-xml"),
            (Fault::Truncated, "framing"),
            (Fault::Oversized, "too-large"),
            (Fault::BadUtf8, "not-utf8"),
            (Fault::HostKey, "host-key-mismatch"),
            (Fault::RpcError, "rpc-error"),
            (Fault::Slow, "timeout"),
        ] {
            assert!(world.set_fault(2, fault));
            let patience = if fault == Fault::Slow { Duration::from_millis(800) } else { limits().deadline };
            let limits = Limits { deadline: patience, ..limits() };
            let error = poll_until(&target, &limits, |outcome| outcome.is_err()).await.unwrap_err();
            assert_eq!(error.reason(), reason, "{fault:?}: {}", error.full_message());
            running(&healthy).await;
            world.set_fault(2, Fault::None);
            poll_until(&target, &limits, |outcome| outcome.is_ok()).await.unwrap();
        }
        assert!(!world.set_fault(3, Fault::Slow));
    }
}

/// Polls until the station has taken up a fault, which it does on its own task.
async fn poll_until(
    target: &Target,
    limits: &Limits,
    wanted: impl Fn(&Result<(), PollError>) -> bool,
) -> Result<(), PollError> {
    for _ in 0..200 {
        let outcome = poll(target, limits, &Selection::default()).await.map(|_| ());
        // A session that was open while the fault changed ends with `closed`.
        let settled = !matches!(&outcome, Err(error) if matches!(error.reason(), "closed" | "ssh"));
        if settled && wanted(&outcome) {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the fault had no effect");
}

#[tokio::test]
async fn restart_keeps_edits_ports_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 2)).await.unwrap();
    let inventory = world.inventory().clone();
    let target = account(&world, dir.path(), 1, "manager");
    manager::edit(&target, &[Edit::set(CELL, "nRPCI", "1007")]).await.unwrap();
    let before = running(&target).await;
    drop(world);
    let only = WorldSpec { only: Some(1), ..spec(dir.path(), 2) };
    let world = serve_stations(&only).await.unwrap();
    assert_eq!((world.inventory(), world.stations().len()), (&inventory, 1));
    assert_eq!(Inventory::read(dir.path()).unwrap(), inventory);
    assert_eq!(running(&target).await, before);
    let other = serve_stations(&WorldSpec { seed: 12, ..only }).await.unwrap_err();
    assert!(matches!(other, WorldError::Other { .. }), "{other}");
}

#[tokio::test]
async fn faults_are_taken_over_the_control_socket() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 2)).await.unwrap();
    let path = control::socket_path(dir.path(), None);
    let serving = tokio::spawn(control::serve(control::listen(&path).unwrap(), world.stations().to_vec()));
    let set = ControlRequest::Set { station: 2, fault: Fault::Garbage };
    assert!(control::request(&path, &set).await.unwrap().ok);
    let list = control::request(&path, &ControlRequest::List { list: true }).await.unwrap();
    let expected = vec![
        StationFault { station: 1, fault: Fault::None },
        StationFault { station: 2, fault: Fault::Garbage },
    ];
    assert_eq!(list, ControlReply { ok: true, error: None, stations: Some(expected) });
    let absent = ControlRequest::Set { station: 9, fault: Fault::Slow };
    assert!(!control::request(&path, &absent).await.unwrap().ok);
    let target = account(&world, dir.path(), 2, "collector");
    let error = poll_until(&target, &limits(), |outcome| outcome.is_err()).await.unwrap_err();
    assert_eq!(error.reason(), "not-xml");
    serving.abort();
}

#[tokio::test]
async fn many_sessions_at_once_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 4)).await.unwrap();
    let mut polls = tokio::task::JoinSet::new();
    for at in 0..40 {
        let target = account(&world, dir.path(), at % 4 + 1, "collector");
        polls.spawn(async move { running(&target).await.len() });
    }
    let sizes: Vec<usize> = polls.join_all().await;
    assert!(sizes.iter().all(|size| *size > 5_000));
}

#[tokio::test]
async fn whole_edit_config_messages_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let world = serve_stations(&spec(dir.path(), 1)).await.unwrap();
    let mut session = Manager::connect(&account(&world, dir.path(), 1, "manager"), &limits()).await.unwrap();
    let before = session.configuration().await.unwrap();
    let config = format!(
        "<config xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><ManagedElement xmlns=\"{MANAGED_ELEMENT}\"><id>gnb-0001</id>\
         <attributes><swVersion>N-25.1.0</swVersion><userLabel nc:operation=\"remove\"/></attributes></ManagedElement></config>"
    );
    session.edit_config(&config).await.unwrap();
    let after = session.configuration().await.unwrap();
    let attributes = after[0].child("attributes").unwrap();
    assert_eq!(attributes.child_text("swVersion"), Some("N-25.1.0"));
    assert!(attributes.child("userLabel").is_none() && before != after);
    session.close().await.unwrap();
}
