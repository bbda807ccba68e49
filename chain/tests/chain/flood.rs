//! A listed peer that sends more than anybody needs: bounded room, bounded work, and the others get their turn.

use std::time::{Duration, Instant};

use arc_malachitebft_network::Channel;

use super::mallory::{self, Mallory};
use super::members::{Federation, agree, free_addresses, stop, until};
use super::world::{check_chain, finalize, key, start};

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

async fn flooded() -> (Federation, Vec<ranproof_chain::Node>, Mallory) {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let (identity, listen) = (mallory::identity(88), free_addresses(1)[0]);
    federation.list(&mallory::name(&identity, listen));
    for config in &mut federation.configs {
        config.mempool.sender_transactions = 100;
    }
    let nodes = federation.start().await;
    let mallory = Mallory::start(federation.genesis(), identity, listen, &[]).await;
    mallory.until("it is let in", |log| log.connected >= 4).await;
    (federation, nodes, mallory)
}

#[tokio::test]
async fn junk_transactions_are_cut_off_and_honest_ones_become_final() {
    let (federation, nodes, mallory) = flooded().await;
    finalize(&nodes[0], b"@hfirst").await;
    let begun = Instant::now();
    for batch in 0..200u32 {
        let junk = |n: u32| [&b"bad"[..], &batch.to_be_bytes(), &n.to_be_bytes()].concat();
        let junk: Vec<_> = (0..256).map(junk).collect();
        mallory.publish(Channel::ProposalParts, mallory::transactions(&junk)).await;
        if batch % 50 == 25 {
            let submitted = Instant::now();
            finalize(&nodes[batch as usize % 4], &[&b"@h"[..], &batch.to_be_bytes()].concat()).await;
            println!("honest transaction within {:?} of the flood", submitted.elapsed());
            assert!(submitted.elapsed() < Duration::from_secs(10));
        }
    }
    // One message with more transactions than anybody sends.
    let many: Vec<_> = (0..20_000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    mallory.publish(Channel::ProposalParts, mallory::transactions(&many)).await;
    for node in &nodes {
        let status = until(node, "it has cut off the flood", |status| {
            status.refused.flooded > 20_000 && status.refused.transactions > 1_000
        })
        .await;
        println!("{:?} after {:?}", status.refused, begun.elapsed());
        until(node, "none of it waits", |status| status.pending == 0).await;
    }
    finalize(&nodes[2], b"@hlast").await;
    check_chain(&nodes[0], federation.genesis()).await;
    mallory.stop().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn one_sender_fills_only_its_own_room() {
    let (federation, nodes, mallory) = flooded().await;
    // Three more down, so that nothing leaves the mempool while it is filled.
    stop(&nodes[1..]).await;
    for batch in 0..6u32 {
        let spam = |n: u32| [&b"@m"[..], &batch.to_be_bytes(), &n.to_be_bytes()].concat();
        let spam: Vec<_> = (0..256).map(spam).collect();
        mallory.publish(Channel::ProposalParts, mallory::transactions(&spam)).await;
    }
    let status = until(&nodes[0], "its room is full", |status| status.refused.transactions > 1_000).await;
    assert_eq!(status.pending, 100, "{status:?}");
    nodes[0].submit(b"@hhonest".to_vec()).await.unwrap();
    let own = nodes[0].submit(b"@mone more".to_vec()).await;
    assert_eq!(own, Err(ranproof_chain::SubmitError::SenderFull));
    assert_eq!(nodes[0].pending(), 101);
    mallory.stop().await;
    nodes[0].shutdown().await;
    drop(federation);
}

/// Sends 40 MiB that begin 200 blocks and end none, with honest transactions in between. Returns what the process
/// holds when all of it has come.
async fn wave(n: u8, nodes: &[ranproof_chain::Node], mallory: &Mallory) -> usize {
    let part = vec![7; 200 << 10];
    for m in 0..200u8 {
        let stream = [&b"junk"[..], &[n, m]].concat();
        mallory.publish(Channel::ProposalParts, mallory::block_part(&stream, 1, &part)).await;
        if m % 100 == 50 {
            let submitted = Instant::now();
            finalize(&nodes[usize::from(m) % 4], &[b'@', b'h', n, m]).await;
            assert!(submitted.elapsed() < Duration::from_secs(10), "{:?}", submitted.elapsed());
        }
    }
    // Behind all of it, in order: when this has come, all has.
    let last = vec![b'@', b'm', n];
    mallory.publish(Channel::ProposalParts, mallory::transactions(std::slice::from_ref(&last))).await;
    for node in nodes {
        node.wait_final(&anchor::Hash::of(&last), super::world::PATIENCE).await.unwrap();
    }
    // The network keeps what it has passed on for five heartbeats, so that peers may ask for it again.
    tokio::time::sleep(Duration::from_secs(6)).await;
    resident_bytes() >> 20
}

#[tokio::test]
async fn parts_of_blocks_that_never_end_take_bounded_memory() {
    let (federation, nodes, mallory) = flooded().await;
    finalize(&nodes[0], b"@hfirst").await;
    let first = wave(0, &nodes, &mallory).await;
    let mut last = first;
    for n in 1..4 {
        last = wave(n, &nodes, &mallory).await;
        println!(
            "after {} MiB of junk at each of 4 nodes: {last} MiB (other tests included)",
            40 * (u32::from(n) + 1)
        );
    }
    // Kept, three waves at four nodes would be 480 MiB more.
    assert!(last < first + 300, "{first} MiB, then {last} MiB");
    for node in &nodes {
        agree(&nodes[0], node).await;
    }
    check_chain(&nodes[0], federation.genesis()).await;
    mallory.stop().await;
    stop(&nodes).await;
}

/// Whether a message carries an answer to a question of this validator.
fn names(message: &[u8], address: &[u8]) -> bool {
    let stream = borsh::to_vec(&b"memory"[..]).unwrap();
    message.starts_with(&stream) && message.windows(address.len()).any(|part| part == address)
}

#[tokio::test]
async fn one_that_asks_without_end_keeps_nobody_from_starting() {
    let (federation, mut nodes, mallory) = flooded().await;
    finalize(&nodes[0], b"@hfirst").await;
    nodes.pop().unwrap().shutdown().await;
    let (genesis, log) = (federation.genesis().hash(), mallory.log.clone());
    let flood = tokio::spawn(async move {
        // It holds the third validator's key.
        for n in 0u128.. {
            let question = mallory::question(&genesis, &key(3), n.to_be_bytes());
            mallory.publish(Channel::ProposalParts, question).await;
            if n % 4 == 0 {
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
        }
    });
    let begun = Instant::now();
    let fourth = start(&federation.configs[3]).await;
    until(&fourth, "it votes", |status| status.votes).await;
    println!("it votes {:?} after its start, through the flood", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(!flood.is_finished(), "the flood has ended");
    // Its questions are understood: it is answered as well.
    let address = key(3).public().address().0;
    while !log.lock().unwrap().heard.iter().any(|(_, bytes)| names(bytes, &address)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it has no answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    flood.abort();
    finalize(&fourth, b"@hlast").await;
    fourth.shutdown().await;
    stop(&nodes).await;
}
