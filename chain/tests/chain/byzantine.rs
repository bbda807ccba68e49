//! Members that are wrong or lie. Each test asserts that the fault happened, and that the chain is none the worse.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anchor::{Block, Hash, Header, tree};
use arc_malachitebft_network::Channel;
use ranproof_chain::{Clock, Node};

use super::mallory::{self, Mallory, batch_of};
use super::members::{Federation, agree, free_addresses, reach, stop, until};
use super::toy::Toy;
use super::world::{PATIENCE, check_chain, finalize, key, show_logs, start};

#[tokio::test]
async fn a_proposer_whose_clock_is_an_hour_off_gets_no_vote_and_gives_none() {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let system = Clock::system();
    federation.configs[2].clock = Clock::from_fn(move || system.now() + 3_600_000);
    let nodes = federation.start().await;
    let begun = Clock::system().now();
    let deadline = Instant::now() + PATIENCE;
    for n in 0u32.. {
        finalize(&nodes[0], &n.to_be_bytes()).await;
        if n >= 8 && nodes[0].status().refused.blocks > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "none of its blocks arrived");
    }
    let blocks = check_chain(&nodes[0], federation.genesis()).await;
    let latest = begun + 1_800_000;
    assert!(blocks.iter().all(|b| b.block.header.time < latest), "a block from the future is final");
    assert!(blocks.iter().any(|b| b.certificate.round > 0), "its turn to propose never came");
    let wrong = key(3).public().address();
    let signed = |b: &ranproof_chain::FinalBlock| b.certificate.signatures.iter().any(|s| s.address == wrong);
    assert!(!blocks.iter().any(signed), "it has voted for a time that is not its own");
    // It knows what the others have made final, all the same.
    reach(&nodes[2], nodes[0].tip().height).await;
    agree(&nodes[0], &nodes[2]).await;
    until(&nodes[2], "it has voted against the others' time", |status| status.refused.blocks > 0).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn a_proposer_whose_state_differs_gets_no_vote() {
    let federation = Federation::new(&[1, 1, 1, 1]);
    show_logs();
    let mut nodes = vec![];
    for (n, config) in federation.configs.iter().enumerate() {
        let machine = Toy::salted(config.genesis.validator_set(), if n == 1 { 7 } else { 0 });
        nodes.push(Node::start(config.clone(), Box::new(machine)).await.unwrap());
    }
    for n in 0..6u8 {
        finalize(&nodes[0], &[n]).await;
    }
    let blocks = check_chain(&nodes[0], federation.genesis()).await;
    assert!(blocks.iter().any(|b| b.certificate.round > 0), "its turn to propose never came");
    until(&nodes[1], "it has met the others' blocks", |status| {
        status.refused.blocks + status.refused.synced > 0
    })
    .await;
    assert_eq!(nodes[1].tip().height, 0, "the one that is wrong must not have made anything final");
    reach(&nodes[3], nodes[0].tip().height).await;
    agree(&nodes[0], &nodes[3]).await;
    stop(&nodes).await;
}

/// A block after the tip of `node` that looks right and costs an execution to refute.
fn poisoned(genesis: &anchor::Genesis, node: &Node, n: u32) -> Block {
    let (tip, set) = (node.tip(), genesis.validator_set().hash());
    let transactions = vec![[&b"poison"[..], &n.to_be_bytes()].concat()];
    let header = Header {
        chain_id: genesis.chain_id.clone(),
        height: tip.height + 1,
        time: Clock::system().now(),
        previous: tip.header,
        txs_root: tree::root(&transactions),
        receipts_root: Hash::ZERO,
        state_root: Hash::ZERO,
        history_root: Hash::ZERO,
        valset: set,
        next_valset: set,
        rules_version: 1,
    };
    Block { header, transactions }
}

/// Proposes many bad blocks in one round, as the fourth validator, whose key it holds.
async fn propose_poison(mallory: &Mallory, genesis: &anchor::Genesis, node: &Node, count: u32) {
    let turn = (0u32..4).find(|round| (node.tip().height + u64::from(*round)) % 4 == 3).unwrap();
    for n in 0..count {
        let block = poisoned(genesis, node, n);
        for message in mallory::proposal(&genesis.hash(), &key(4), turn, &block) {
            mallory.publish(Channel::ProposalParts, message).await;
        }
    }
}

#[tokio::test]
async fn a_proposer_of_a_thousand_bad_blocks_has_a_few_of_them_executed() {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let (identity, listen) = (mallory::identity(55), free_addresses(1)[0]);
    federation.list(&mallory::name(&identity, listen));
    let (mut nodes, mut executed) = (vec![], vec![]);
    for config in &federation.configs[..3] {
        let machine = Toy::new(config.genesis.validator_set());
        executed.push(machine.poisoned.clone());
        nodes.push(Node::start(config.clone(), Box::new(machine)).await.unwrap());
    }
    finalize(&nodes[0], b"first").await;
    reach(&nodes[1], nodes[0].tip().height).await;
    // Two of four decide nothing, so that the height lasts as long as the flood.
    nodes.pop().unwrap().shutdown().await;
    let id = nodes[0].submit(b"waits".to_vec()).await.unwrap();
    until(&nodes[1], "it has a vote of the height that cannot end", |status| {
        status.heard.iter().any(|vote| vote.height > status.tip.height)
    })
    .await;
    let mallory = Mallory::start(federation.genesis(), identity, listen, &[]).await;
    mallory.until("it is let in", |log| log.connected >= 2).await;
    propose_poison(&mallory, federation.genesis(), &nodes[0], 1_000).await;
    for (node, executed) in nodes.iter().zip(&executed) {
        let status = until(node, "the flood has come", |status| {
            status.refused.proposals + status.refused.blocks >= 900
        })
        .await;
        let executed = executed.load(Ordering::Relaxed);
        println!("executed {executed}: {:?}", status.refused);
        assert!((1..=4).contains(&executed), "{executed} bad blocks of one round were executed");
    }
    nodes.push(start(&federation.configs[2]).await);
    nodes[0].wait_final(&id, PATIENCE).await.unwrap();
    finalize(&nodes[2], b"and on").await;
    check_chain(&nodes[0], federation.genesis()).await;
    mallory.stop().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn a_validator_that_votes_twice_is_seen_and_nothing_forks() {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let twin = federation.add("twin", 4);
    for config in &mut federation.configs {
        config.propose_timeout = Duration::from_millis(500);
    }
    let mut twin_config = twin.clone();
    // Where the twin hears of votes that it has not cast, it abstains; after this time it votes again.
    twin_config.max_clock_difference = Duration::from_secs(1);
    let twin = start(&twin_config).await;
    let nodes = federation.start().await;
    let double = key(4).public().address();
    let deadline = Instant::now() + PATIENCE;
    for n in 0u32.. {
        finalize(&nodes[n as usize % 3], &n.to_be_bytes()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if nodes[..3].iter().any(|node| !node.status().equivocations.is_empty()) {
            break;
        }
        assert!(Instant::now() < deadline, "nobody saw two votes: {:?}", nodes[0].status());
    }
    for node in &nodes[..3] {
        let status = node.status();
        for found in &status.equivocations {
            println!("seen: {found:?}");
            assert_eq!(found.address, double);
            assert!(found.height <= status.height && found.what.starts_with("two "));
        }
    }
    finalize(&nodes[0], b"and on").await;
    reach(&nodes[2], nodes[0].tip().height).await;
    for node in &nodes[..3] {
        agree(&nodes[0], node).await;
    }
    // Whatever the twin calls final is the same, if it calls anything final.
    agree(&nodes[0], &twin).await;
    check_chain(&nodes[0], federation.genesis()).await;
    twin.shutdown().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn old_messages_said_again_change_nothing() {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let (identity, listen) = (mallory::identity(77), free_addresses(1)[0]);
    federation.list(&mallory::name(&identity, listen));
    let nodes = federation.start().await;
    let mallory = Mallory::start(federation.genesis(), identity, listen, &[]).await;
    mallory.until("it is let in", |log| log.connected >= 4).await;
    for n in 0..12u8 {
        finalize(&nodes[usize::from(n) % 4], &[b'r', n]).await;
    }
    let (votes, parts) = (mallory.heard(Channel::Consensus), mallory.heard(Channel::ProposalParts));
    assert!(votes.len() > 50 && parts.len() > 30, "{} {}", votes.len(), parts.len());
    assert!(
        parts.iter().any(|message| batch_of(message).is_some_and(|batch| batch.contains(&vec![b'r', 3])))
    );
    for _ in 0..3 {
        for message in &votes {
            mallory.publish(Channel::Consensus, message.clone()).await;
        }
        for message in &parts {
            mallory.publish(Channel::ProposalParts, message.clone()).await;
        }
        finalize(&nodes[0], &Hash::of(&[votes.len() as u8]).0).await;
    }
    for node in &nodes {
        until(node, "the replayed transactions and proposals have come", |status| {
            status.refused.repeated > 0 && status.refused.proposals > 0
        })
        .await;
    }
    finalize(&nodes[1], b"after the replays").await;
    for node in &nodes {
        node.wait_final(&Hash::of(b"after the replays"), PATIENCE).await.unwrap();
        // No transaction stands in two blocks.
        check_chain(node, federation.genesis()).await;
        agree(&nodes[0], node).await;
        assert!(node.status().equivocations.is_empty(), "a vote said twice is one vote");
    }
    mallory.stop().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn an_intruder_is_turned_away_and_cannot_follow() {
    let federation = Federation::new(&[1, 1, 1, 1]);
    let nodes = federation.start().await;
    finalize(&nodes[0], b"among us").await;
    let names: Vec<_> = federation.configs.iter().map(super::members::name).collect();
    let identity = mallory::identity(66);
    let peer_id = identity.public().to_peer_id().to_string();
    let intruder = Mallory::start(federation.genesis(), identity, free_addresses(1)[0], &names).await;
    intruder.until("every node has hung up on it", |log| log.connected >= 4 && log.disconnected >= 4).await;
    for n in 0..6u8 {
        finalize(&nodes[usize::from(n) % 4], &[b'i', n]).await;
        intruder.publish(Channel::ProposalParts, mallory::transactions(&[vec![b'x', n]])).await;
    }
    for node in &nodes {
        let status = node.status();
        assert!(status.connected.iter().all(|peer| peer.peer_id != peer_id), "{status:?}");
        let blocks = check_chain(node, federation.genesis()).await;
        let foreign = blocks.iter().flat_map(|b| &b.block.transactions).any(|t| t.starts_with(b"x"));
        assert!(!foreign, "its transaction was taken");
    }
    // The engine hangs up once a peer has said who it is; until then gossip may reach it. Each block takes eight votes.
    let (heard, votes) = (intruder.log.lock().unwrap().heard.len(), 8 * nodes[0].tip().height as usize);
    assert!(heard * 8 < votes, "it heard {heard} messages while {votes} votes were said");
    intruder.stop().await;
    stop(&nodes).await;
    // The same one is let in where it is listed: the test above does not pass for another reason.
    let mut federation = Federation::new(&[1]);
    let (identity, listen) = (mallory::identity(66), free_addresses(1)[0]);
    federation.list(&mallory::name(&identity, listen));
    let node = start(&federation.configs[0]).await;
    let names: Vec<_> = federation.configs.iter().map(super::members::name).collect();
    let listed = Mallory::start(federation.genesis(), identity, listen, &names).await;
    until(&node, "it is connected", |status| status.connected.iter().any(|peer| peer.peer_id == peer_id))
        .await;
    finalize(&node, b"heard by it").await;
    listed.until("it hears", |log| !log.heard.is_empty()).await;
    listed.stop().await;
    node.shutdown().await;
}
