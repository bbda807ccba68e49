//! Four validators on loopback: gossip, proposals in parts, and what they tell about themselves.

use std::time::{Duration, Instant};

use anchor::Hash;

use super::members::{Federation, agree, reach, stop, until};
use super::world::{PATIENCE, check_chain, finalize, key, start};

#[tokio::test]
async fn four_validators_agree_and_one_that_was_away_catches_up() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = federation.start().await;
    // Each hears of each other's: all are connected.
    for n in 0..4u8 {
        finalize(&nodes[usize::from(n)], &[b'f', n]).await;
        for node in &nodes {
            node.wait_final(&Hash::of(&[b'f', n]), PATIENCE).await.unwrap();
        }
    }
    let connected = nodes[0].tip().height;
    let mut times = vec![];
    for n in 0..8u8 {
        let node = &nodes[usize::from(n) % 4];
        tokio::time::sleep(Duration::from_millis(150)).await;
        let begun = Instant::now();
        finalize(node, &[b'a', n]).await;
        times.push(begun.elapsed());
    }
    times.sort();
    println!("four validators, idle finality: median {:?}, worst {:?}", times[4], times[7]);
    assert!(times[7] < Duration::from_millis(1_500), "{times:?}");
    let blocks = check_chain(&nodes[0], federation.genesis()).await;
    let empty =
        blocks.iter().filter(|b| b.block.header.height > connected && b.block.transactions.is_empty());
    println!("{} blocks, {} of them empty", blocks.len() as u64 - connected, empty.count());

    let away = nodes.pop().unwrap();
    away.shutdown().await;
    let left_at = nodes[0].tip().height;
    for n in 0..12u8 {
        finalize(&nodes[1], &[b'b', n]).await;
    }
    let tip = nodes[1].tip().height;
    assert!(tip >= left_at + 10);
    nodes.push(start(&federation.configs[3]).await);
    reach(&nodes[3], tip).await;
    finalize(&nodes[3], b"back again").await;
    let id = Hash::of(b"back again");
    for node in &nodes {
        node.wait_final(&id, PATIENCE).await.unwrap();
        check_chain(node, federation.genesis()).await;
        agree(&nodes[0], node).await;
    }
    stop(&nodes).await;
}

#[tokio::test]
async fn large_blocks_travel_in_parts() {
    let federation = Federation::new(&[1, 1, 1, 1]);
    let nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    let mut ids = vec![];
    for n in 0..12u8 {
        ids.push(nodes[usize::from(n) % 4].submit(vec![n; 200_000]).await.unwrap());
    }
    for node in &nodes {
        for id in &ids {
            node.wait_final(id, PATIENCE).await.unwrap();
        }
        agree(&nodes[0], node).await;
    }
    check_chain(&nodes[0], federation.genesis()).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn many_transactions_travel_in_few_messages_and_all_become_final() {
    let federation = Federation::new(&[1, 1, 1, 1]);
    let nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    let begun = Instant::now();
    let mut ids = vec![];
    for n in 0..1_000u32 {
        ids.push(nodes[n as usize % 4].submit([&n.to_be_bytes()[..], &[7; 300]].concat()).await.unwrap());
    }
    for node in &nodes {
        for id in &ids {
            node.wait_final(id, PATIENCE).await.unwrap();
        }
    }
    println!("1000 transactions at four nodes of one process: {:?}", begun.elapsed());
    check_chain(&nodes[3], federation.genesis()).await;
    for node in &nodes {
        agree(&nodes[0], node).await;
        let refused = node.status().refused;
        assert_eq!((refused.flooded, refused.transactions), (0, 0), "{refused:?}");
    }
    stop(&nodes).await;
}

#[tokio::test]
async fn status_tells_who_is_connected_who_signed_and_who_was_heard() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = federation.start().await;
    for n in 0..4u8 {
        finalize(&nodes[0], &[n]).await;
    }
    let address = |n: u8| key(n + 1).public().address();
    let status = until(&nodes[0], "three validators are connected and heard", |status| {
        let connected =
            (1..4).all(|n| status.connected.iter().any(|peer| peer.validator == Some(address(n))));
        connected && status.heard.len() == 3
    })
    .await;
    assert!(status.votes && !status.abstains && !status.asks);
    assert_eq!(status.height, status.tip.height + 1);
    assert!(status.connected.iter().all(|peer| peer.moniker.starts_with('n')));
    assert!(status.connected.iter().any(|peer| peer.peer_id == nodes[1].peer_id()));
    assert!((1..4).all(|n| status.heard.iter().any(|vote| vote.address == address(n) && vote.at > 0)));
    until(&nodes[0], "it idles", |status| status.idle && status.pending == 0).await;

    let status = nodes[0].status();
    let last = status.last.unwrap();
    let block = nodes[0].final_block(last.height).await.unwrap().unwrap();
    assert_eq!((last.height, last.time), (status.tip.height, status.tip.time));
    let signers: Vec<_> = block.certificate.signatures.iter().map(|s| s.address).collect();
    assert_eq!(last.signers, signers);
    let turn = (last.height - 1 + u64::from(last.round)) % 4;
    assert_eq!(last.proposer, Some(address(turn as u8)));

    let gone = nodes.pop().unwrap();
    gone.shutdown().await;
    until(&nodes[0], "one is gone", |status| status.connected.len() == 2).await;
    let before = nodes[0].status();
    nodes[0].shutdown().await;
    nodes[0] = start(&federation.configs[0]).await;
    assert_eq!(nodes[0].status().last, before.last, "read back after a restart");
    stop(&nodes).await;
}
