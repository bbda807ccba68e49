//! A sweep over stations that behave, and over many that do not.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;
#[path = "sweep/validation.rs"]
mod validation;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::{Accounting, Dn, Outcome, Profile, Timestamp};
use ranproof_collector::session::{Limits, Target};
use ranproof_collector::sweep::{
    Clock, Collected, LastReply, Previous, Reading, StationPlan, StationRead, SweepOptions, sweep, sweep_into,
};
use support::{Script, Server, Step, data, key, limits};
use tokio_util::sync::CancellationToken;

const NS: &str = "urn:3gpp:sa5:_3gpp-common-managed-element";

fn clock() -> Clock {
    let now = AtomicI64::new(1000);
    Arc::new(move || Timestamp::from_millis(now.fetch_add(1, Ordering::SeqCst)))
}

fn options() -> SweepOptions {
    SweepOptions { concurrency: 4, limits: limits(), ..SweepOptions::default() }
}

fn name(n: usize) -> Dn {
    format!("SubNetwork=bj,ManagedElement=g{n}").parse().unwrap()
}

fn plan(n: usize, target: Target) -> StationPlan {
    StationPlan { element: name(n), target, profile: Arc::new(Profile::plain("p")), previous: None }
}

/// A station of `cells` cells of power `power`.
fn station(cells: usize, power: u32) -> String {
    let cells: String = (0..cells)
        .map(|n| format!("<NRCellDU><id>{n}</id><attributes><power>{power}</power></attributes></NRCellDU>"))
        .collect();
    format!("<ManagedElement xmlns=\"{NS}\"><id>g0</id><attributes/>{cells}</ManagedElement>")
}

fn answering(content: &str) -> Script {
    Script { answer: vec![Step::Reply(data(content))], ..Script::default() }
}

async fn one(plan: StationPlan, options: SweepOptions) -> StationRead {
    let mut reads = sweep(vec![plan], options, clock(), CancellationToken::new()).await;
    assert_eq!(reads.len(), 1);
    reads.remove(0)
}

fn collected(read: StationRead) -> Collected {
    match read.reading {
        Reading::Collected(collected) => *collected,
        other => panic!("{other:?}"),
    }
}

fn previous_of(collected: &Collected) -> Previous {
    let snapshot = Arc::new(collected.snapshot.clone());
    let (bytes, pieces) = (Arc::clone(&collected.raw), collected.pieces.clone());
    let digest = collected.raw_digest;
    Previous {
        raw_digest: collected.raw_digest,
        reply: Some(Arc::new(LastReply { bytes, digest, snapshot: Arc::clone(&snapshot), pieces })),
        snapshot,
    }
}

#[tokio::test]
async fn each_station_is_accounted_for_and_none_disturbs_another() {
    let good = Server::start(answering(&station(3, 10))).await;
    let garbage =
        Server::start(Script { answer: vec![Step::Message(b"\xff garbage".to_vec())], ..Script::default() })
            .await;
    let unreadable = Server::start(answering("<a xmlns=\"urn:a\"><x:b/></a>")).await;
    let silent = Server::start(Script { answer: vec![], ..Script::default() }).await;
    let cut =
        Server::start(Script { answer: vec![Step::Raw(b"\n#9x\n".to_vec())], ..Script::default() }).await;
    let slow = Step::Drip(b"\n#1\n ".to_vec(), Duration::from_millis(50));
    let dripping = Server::start(Script { answer: vec![slow], ..Script::default() }).await;
    let swapped = Server::start(Script { host_keys: vec![key(9)], ..answering("") }).await;
    let mut pinned = swapped.target();
    pinned.host_key = good.target().host_key;
    let mut gone = good.target();
    gone.address.port = 1;
    let targets = [
        good.target(),
        garbage.target(),
        unreadable.target(),
        silent.target(),
        dripping.target(),
        cut.target(),
        pinned,
        gone,
        good.target_by_fingerprint(0),
    ];
    let plans: Vec<_> = targets.into_iter().enumerate().map(|(n, target)| plan(n, target)).collect();
    let options =
        SweepOptions { limits: Limits { deadline: Duration::from_millis(1500), ..limits() }, ..options() };
    let reads = sweep(plans, options, clock(), CancellationToken::new()).await;
    let outcomes: Vec<_> = reads.iter().map(StationRead::outcome).collect();
    let words: Vec<_> = outcomes.iter().map(|o| o.reason().unwrap_or(o.name())).collect();
    let expected = [
        "collected",
        "not-utf8",
        "malformed",
        "timeout",
        "timeout",
        "framing",
        "host-key-mismatch",
        "unreachable",
        "collected",
    ];
    assert_eq!(words, expected, "{outcomes:?}");
    assert!(Accounting::count(9, &outcomes).balances());
    assert!(
        reads.iter().enumerate().all(|(n, read)| read.element == name(n) && read.started < read.finished)
    );
    let Outcome::Failed { detail, .. } = &outcomes[2] else { panic!() };
    assert!(detail.contains("undeclared prefix `x`") && detail.contains("hint: "), "{detail}");
    assert_eq!(swapped.auth_attempts(), 0);
}

#[tokio::test]
async fn an_equal_reply_is_unchanged_and_a_reprinted_one_too() {
    let server = Server::start(answering(&station(3, 10))).await;
    let first = collected(one(plan(0, server.target()), options()).await);
    assert_eq!(first.snapshot.objects().len(), 4);
    let again = StationPlan { previous: Some(previous_of(&first)), ..plan(0, server.target()) };
    let read = one(again.clone(), options()).await;
    assert!(
        matches!(read.reading, Reading::Unchanged { raw_digest, fresh: None } if raw_digest == first.raw_digest)
    );

    let other = Server::start(answering(&station(3, 10).replace("<NRCellDU>", "\n <NRCellDU>"))).await;
    let moved = StationPlan { target: other.target(), ..again.clone() };
    let Reading::Unchanged { raw_digest, fresh: Some(fresh) } = one(moved, options()).await.reading else {
        panic!("not unchanged");
    };
    assert_ne!(raw_digest, first.raw_digest);
    assert_eq!(fresh.snapshot.root(), first.snapshot.root());

    let mut profile = Profile::plain("another");
    profile.volatile.clear();
    let reread = StationPlan { profile: Arc::new(profile), ..again };
    assert!(matches!(one(reread, options()).await.reading, Reading::Collected(_)));
}

#[tokio::test]
async fn the_raw_document_reads_back_to_the_same_digest() {
    let content =
        station(2, 10).replace(&format!(" xmlns=\"{NS}\""), "").replace("<", "<v:").replace("<v:/", "</v:");
    let reply = format!(
        "<rpc-reply xmlns:v=\"{NS}\" xmlns=\"{}\" message-id=\"{{id}}\"><data>{content}</data></rpc-reply>",
        support::BASE
    );
    let server = Server::start(Script { answer: vec![Step::Reply(reply)], ..Script::default() }).await;
    let read = collected(one(plan(0, server.target()), options()).await);
    let (profile, element) = (Profile::plain("p"), name(0));
    let context = ranproof_collector::reader::ReadContext::new(&profile, &element);
    let snapshot = ranproof_collector::reader::read_xml(&read.raw, &context).unwrap();
    assert_eq!(snapshot.root(), read.snapshot.root());
    assert_eq!(snapshot.objects().len(), 3);
}

#[tokio::test]
async fn a_large_reply_is_parsed_beside_the_tasks() {
    let server = Server::start(answering(&station(2000, 10))).await;
    let read = collected(one(plan(0, server.target()), options()).await);
    assert!(read.raw.len() > 100_000);
    assert_eq!(read.snapshot.objects().len(), 2001);
}

#[tokio::test]
async fn much_gone_is_believed_when_two_reads_agree() {
    let full = Server::start(answering(&station(40, 10))).await;
    let previous = Some(previous_of(&collected(one(plan(0, full.target()), options()).await)));
    let few = Server::start(answering(&station(5, 10))).await;
    let shrunk = StationPlan { previous: previous.clone(), ..plan(0, few.target()) };
    let read = collected(one(shrunk.clone(), options()).await);
    assert!(read.confirmed_deletion);
    assert_eq!(few.seen.connections.load(Ordering::SeqCst), 2);
    let once = SweepOptions { mass_deletion: None, ..options() };
    assert!(!collected(one(shrunk, once).await).confirmed_deletion);

    let most = Server::start(answering(&station(35, 10))).await;
    let read = collected(one(StationPlan { previous, ..plan(0, most.target()) }, options()).await);
    assert!(!read.confirmed_deletion);
    assert_eq!(most.seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn much_gone_is_not_believed_when_two_reads_differ() {
    let full = Server::start(answering(&station(40, 10))).await;
    let previous = Some(previous_of(&collected(one(plan(0, full.target()), options()).await)));
    let few = Server::start(answering(&station(5, 10))).await;
    let (port, _proxy) = flapping_proxy(few.address.port, full.address.port).await;
    let mut target = few.target();
    target.address.port = port;
    let read = one(StationPlan { previous, ..plan(0, target) }, options()).await;
    let Outcome::Failed { reason, detail } = read.outcome() else { panic!("{read:?}") };
    assert_eq!(reason, "unstable");
    assert!(detail.contains("35 of 41 objects"), "{detail}");
}

/// A port whose first connection leads to one server and whose others lead to another.
async fn flapping_proxy(first: u16, then: u16) -> (u16, tokio::task::JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        let mut to = first;
        while let Ok((mut near, _)) = listener.accept().await {
            let target = std::mem::replace(&mut to, then);
            connections.spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn a_cancelled_sweep_still_accounts_for_all() {
    let silent = Server::start(Script { answer: vec![], ..Script::default() }).await;
    let plans: Vec<_> = (0..6).map(|n| plan(n, silent.target())).collect();
    let cancel = CancellationToken::new();
    let options = SweepOptions { concurrency: 2, ..options() };
    let running = tokio::spawn(sweep(plans, options, clock(), cancel.clone()));
    tokio::time::timeout(Duration::from_secs(20), async {
        while silent.seen.requests.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    cancel.cancel();
    let reads = running.await.unwrap();
    silent.wait_for_ended(2).await;
    let words: Vec<_> =
        reads.iter().map(|r| (r.outcome().name(), r.outcome().reason() == Some("cancelled"))).collect();
    assert_eq!(
        words,
        [
            ("failed", true),
            ("failed", true),
            ("skipped", true),
            ("skipped", true),
            ("skipped", true),
            ("skipped", true)
        ]
    );
}

#[tokio::test]
async fn a_panic_is_one_stations_failure() {
    let server = Server::start(answering(&station(1, 10))).await;
    let calls = AtomicI64::new(0);
    // The task takes the time once, after the read; of two stations the first to end panics.
    let clock: Clock = Arc::new(move || {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        assert_ne!(call, 1, "a panic for the test");
        Timestamp::from_millis(call)
    });
    let plans = (0..2).map(|n| plan(n, server.target())).collect();
    let options = SweepOptions { concurrency: 1, ..options() };
    let reads = sweep(plans, options, clock, CancellationToken::new()).await;
    let words: Vec<_> = reads.iter().map(|r| r.outcome().reason().unwrap_or("fine").to_owned()).collect();
    assert_eq!(words, ["internal", "fine"]);
}

#[tokio::test]
async fn a_closed_sink_ends_the_sweep() {
    let server = Server::start(answering(&station(1, 10))).await;
    let plans = (0..20).map(|n| plan(n, server.target())).collect();
    let (sink, mut source) = tokio::sync::mpsc::channel(1);
    let running = tokio::spawn(sweep_into(plans, options(), clock(), CancellationToken::new(), sink));
    assert!(source.recv().await.is_some());
    drop(source);
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
}
