//! Members that are away: the chain goes on without one operator, halts without two thirds, and never forks.

use std::time::{Duration, Instant};

use super::members::{Federation, agree, reach, stop};
use super::world::{PATIENCE, check_chain, finalize, start};

#[tokio::test]
async fn each_height_takes_less_than_five_seconds_with_one_operator_down() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = federation.start().await;
    finalize(&nodes[0], b"all there").await;
    nodes.remove(1).shutdown().await;
    let mut slowest = Duration::ZERO;
    let mut rounds = vec![];
    for n in 0..10u8 {
        let begun = Instant::now();
        let height = finalize(&nodes[usize::from(n) % 3], &[b'd', n]).await;
        slowest = slowest.max(begun.elapsed());
        rounds.push(nodes[0].final_block(height).await.unwrap().map(|b| b.certificate.round));
    }
    println!("one operator of 3:3:3:1 down: slowest {slowest:?}");
    assert!(
        rounds.iter().any(|round| round.is_some_and(|round| round > 0)),
        "its turn never came: {rounds:?}"
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    check_chain(&nodes[0], federation.genesis()).await;
    for node in &nodes {
        agree(&nodes[0], node).await;
    }
    stop(&nodes).await;
}

#[tokio::test]
async fn operator_and_witness_down_halt_the_chain_and_it_goes_on_when_one_is_back() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    for node in nodes.split_off(2) {
        node.shutdown().await;
    }
    let id = nodes[0].submit(b"into the void".to_vec()).await.unwrap();
    let tip = nodes[0].tip().height;
    assert!(nodes[0].wait_final(&id, Duration::from_secs(3)).await.is_err());
    assert!(nodes.iter().all(|node| node.tip().height <= tip + 1), "6 of 10 must not decide");
    let status = nodes[0].status();
    assert!(!status.idle && status.pending == 1, "it tries: {status:?}");
    // The witness is enough: 7 of 10.
    nodes.push(start(&federation.configs[3]).await);
    nodes[0].wait_final(&id, PATIENCE).await.unwrap();
    nodes.push(start(&federation.configs[2]).await);
    finalize(&nodes[3], b"all back").await;
    let tip = nodes[0].tip().height;
    for node in &nodes {
        reach(node, tip).await;
        agree(&nodes[0], node).await;
    }
    check_chain(&nodes[0], federation.genesis()).await;
    stop(&nodes).await;
}
