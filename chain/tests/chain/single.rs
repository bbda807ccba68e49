//! One validator: finality, idling, the mempool's answers, time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anchor::{Hash, ReceiptOutcome};
use ranproof_chain::{
    Clock, MAX_TRANSACTION_BYTES, MempoolLimits, Node, StartError, Status, SubmitError, WaitError,
};

use super::world::{PATIENCE, alone, check_chain, finalize, start, toy};

fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn lone_transaction_from_idle_is_final_soon() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    finalize(&node, b"first").await;
    let mut times = vec![];
    for n in 0..10u8 {
        // Longer than any step of the engine takes: the chain idles again.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        finalize(&node, &[b'i', n]).await;
        times.push(begun.elapsed());
    }
    times.sort();
    println!("idle finality: median {:?}, worst {:?}", times[5], times[9]);
    assert!(times[9] < Duration::from_millis(1_500), "{times:?}");
    let blocks = check_chain(&node, &config.genesis).await;
    assert!(blocks[1..].iter().all(|b| !b.block.transactions.is_empty()), "an empty block was made");
    node.shutdown().await;
}

#[tokio::test]
async fn busy_chain_finalizes_in_order_and_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    finalize(&node, b"first").await;
    let begun = Instant::now();
    let mut times = vec![];
    let mut ids = vec![];
    for round in 0..50u32 {
        let submitted = Instant::now();
        for n in 0..20u32 {
            ids.push(node.submit([round.to_be_bytes(), n.to_be_bytes()].concat()).await.unwrap());
        }
        node.wait_final(ids.last().unwrap(), PATIENCE).await.unwrap();
        times.push(submitted.elapsed());
    }
    times.sort();
    let blocks = check_chain(&node, &config.genesis).await;
    println!(
        "busy finality: median {:?}, p95 {:?}; 1000 transactions in {:?}, {} blocks",
        times[25],
        times[47],
        begun.elapsed(),
        blocks.len()
    );
    let ordered: Vec<_> = blocks.iter().flat_map(|b| &b.block.transactions).map(|t| Hash::of(t)).collect();
    assert_eq!(ordered[1..], ids[..]);
    assert_eq!(node.pending(), 0);
    node.shutdown().await;
}

#[tokio::test]
async fn idle_chain_makes_one_empty_block_per_heartbeat() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    config.heartbeat = Duration::from_millis(700);
    let node = start(&config).await;
    let mut subscription = node.subscribe_from(1);
    subscription.next().await.unwrap();
    let (begun, ticks) = (Instant::now(), cpu_ticks());
    for _ in 0..4 {
        assert!(subscription.next().await.unwrap().block.transactions.is_empty());
    }
    let elapsed = begun.elapsed();
    println!(
        "idle: 4 heartbeats of 0.7 s in {elapsed:?}, {} ticks of CPU (other tests included)",
        cpu_ticks() - ticks
    );
    assert!(elapsed >= 4 * Duration::from_millis(690), "{elapsed:?}");
    node.shutdown().await;
}

#[tokio::test]
async fn every_submission_gets_its_honest_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    config.mempool = MempoolLimits { transactions: 10, bytes: MAX_TRANSACTION_BYTES, ..Default::default() };
    let node = start(&config).await;

    let refused = node.submit(b"bad".to_vec()).await.unwrap_err();
    assert_eq!(refused, SubmitError::Refused { code: "bad".into(), reason: "it says so itself".into() });
    let large = vec![0; MAX_TRANSACTION_BYTES + 1];
    assert_eq!(node.submit(large).await, Err(SubmitError::TooLarge { bytes: MAX_TRANSACTION_BYTES + 1 }));
    let unknown = Hash::of(b"never");
    assert_eq!(node.status_of(&unknown).await.unwrap(), Status::Unknown);
    let within = Duration::from_millis(50);
    assert_eq!(node.wait_final(&unknown, within).await, Err(WaitError::Deadline { id: unknown, within }));

    let id = node.submit(b"once".to_vec()).await.unwrap();
    assert_eq!(node.submit(b"once".to_vec()).await.unwrap(), id);
    let finality = node.wait_final(&id, PATIENCE).await.unwrap();
    assert_eq!(node.submit(b"once".to_vec()).await.unwrap(), id);
    assert_eq!(node.status_of(&id).await.unwrap(), Status::Final(finality.clone()));
    assert!(finality.receipt.is_accepted());

    let odd = node.submit(b"odd".to_vec()).await.unwrap();
    let receipt = node.wait_final(&odd, PATIENCE).await.unwrap().receipt;
    assert!(matches!(receipt.outcome, ReceiptOutcome::Refused { code, .. } if code == "odd"));

    // No block can hold this one: it is dropped, and the others go on.
    let poison = node.submit(b"poison".to_vec()).await.unwrap();
    finalize(&node, b"after the poison").await;
    assert_eq!(node.status_of(&poison).await.unwrap(), Status::Unknown);
    check_chain(&node, &config.genesis).await;
    node.shutdown().await;
}

#[tokio::test]
async fn full_mempool_refuses_and_later_takes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    config.mempool = MempoolLimits { transactions: 10, bytes: 8, ..Default::default() };
    let node = start(&config).await;
    assert_eq!(node.submit(b"nine byte".to_vec()).await, Err(SubmitError::MempoolFull));
    finalize(&node, b"8 bytes!").await;
    finalize(&node, b"8 bytes.").await;
    node.shutdown().await;
}

#[tokio::test]
async fn time_moves_on_when_the_clock_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    let hands = Arc::new(AtomicU64::new(1_800_000_000_000));
    let clock = hands.clone();
    config.clock = Clock::from_fn(move || clock.load(Ordering::Relaxed));
    let node = start(&config).await;
    finalize(&node, b"a").await;
    let before = node.tip().time;
    assert!(before >= 1_800_000_000_000);
    hands.store(1_700_000_000_001, Ordering::Relaxed);
    finalize(&node, b"b").await;
    finalize(&node, b"c").await;
    let after = node.tip().time;
    assert!(after > before && after < before + 10, "{before} {after}");
    check_chain(&node, &config.genesis).await;
    node.shutdown().await;
}

#[tokio::test]
async fn nothing_is_answered_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    let id = node.submit(b"a".to_vec()).await.unwrap();
    node.wait_final(&id, PATIENCE).await.unwrap();
    let mut subscription = node.subscribe_from(node.tip().height + 1);
    let waiting = tokio::spawn(async move { subscription.next().await });
    let stopped = node.shutdown().await;
    assert_eq!(node.submit(b"b".to_vec()).await, Err(SubmitError::Stopped(stopped.clone())));
    assert_eq!(node.status_of(&id).await, Err(stopped.clone()));
    assert_eq!(node.final_block(1).await, Err(stopped.clone()));
    assert_eq!(waiting.await.unwrap().unwrap_err(), stopped);
    assert_eq!(node.shutdown().await, stopped);
}

#[tokio::test]
async fn a_panic_in_the_contract_stops_the_node_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    finalize(&node, b"before").await;
    let id = node.submit(b"panic".to_vec()).await.unwrap();
    let Err(WaitError::Stopped(stopped)) = node.wait_final(&id, PATIENCE).await else {
        panic!("it is final")
    };
    assert!(stopped.why.contains("the contract has a bug"), "{stopped}");
    assert_eq!(node.shutdown().await, stopped);
    let node = start(&config).await;
    finalize(&node, b"after").await;
    check_chain(&node, &config.genesis).await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_taken_address_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = alone(folder.path());
    config.listen = taken.local_addr().unwrap();
    let error = Node::start(config.clone(), toy(&config)).await.unwrap_err();
    assert!(matches!(error, StartError::Engine(_)), "{error}");
    drop(taken);
    start(&config).await.shutdown().await;
}

#[tokio::test]
async fn a_peer_without_an_identity_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    for peer in ["/ip4/127.0.0.1/tcp/1", "127.0.0.1:26656"] {
        config.peers = vec![peer.into()];
        let error = Node::start(config.clone(), toy(&config)).await.unwrap_err();
        assert!(error.to_string().contains(peer), "{error}");
    }
}
