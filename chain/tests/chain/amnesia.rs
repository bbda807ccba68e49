//! A validator that has forgotten votes does not vote until they are out of date, however it came to forget, and then
//! votes again by itself. One that is only new votes at once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anchor::key::Address;
use ranproof_chain::{Clock, Node, NodeConfig};

use super::members::{Federation, agree, reach, stop, until};
use super::world::{PATIENCE, check_chain, finalize, key, start};

/// Four validators with a small Δ, so that votes are soon out of date.
fn hasty() -> Federation {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    for config in &mut federation.configs {
        config.max_clock_difference = Duration::from_secs(2);
        config.propose_timeout = Duration::from_millis(300);
    }
    federation
}

fn address(n: u8) -> Address {
    key(n + 1).public().address()
}

/// The newest height for which `node` has heard a vote of the fourth validator since it started.
fn heard(node: &Node) -> u64 {
    node.status().heard.iter().find(|vote| vote.address == address(3)).map_or(0, |vote| vote.height)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Everything but the identity among peers, which its members would otherwise have to list anew. Returns how it may start.
async fn forget_all(config: &NodeConfig) -> NodeConfig {
    let folder = &config.data_dir;
    fs::remove_file(folder.join("chain.redb")).unwrap();
    fs::remove_dir_all(folder.join("wal")).unwrap();
    assert!(Node::start(config.clone(), super::world::toy(config)).await.is_err(), "not without being told");
    NodeConfig { rejoin: true, ..config.clone() }
}

/// The same, so that nothing shows it: as where an administrator made the folder anew, with the old name.
fn forget_all_unseen(config: &NodeConfig) {
    let folder = &config.data_dir;
    fs::remove_file(folder.join("chain.redb")).unwrap();
    fs::remove_dir_all(folder.join("wal")).unwrap();
    fs::write(folder.join("unused"), "").unwrap();
}

/// The fourth, started again after it forgot, abstains while the chain goes on, and then votes again.
async fn abstains_and_returns(federation: &Federation, others: &[Node], config: &NodeConfig) -> Node {
    let fourth = start(config).await;
    until(&fourth, "it abstains", |status| status.abstains).await;
    let began = heard(&others[0]);
    let mut abstained = 0;
    for n in 0u32.. {
        let height = finalize(&others[n as usize % 3], &[&b"go on "[..], &n.to_be_bytes()].concat()).await;
        if fourth.votes() {
            break;
        }
        assert_eq!(heard(&others[0]), began, "it votes while it abstains");
        abstained = height;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(abstained > 0, "it never abstained");
    // Its vote counts again.
    for n in 0u32.. {
        finalize(&fourth, &[&b"voice "[..], &n.to_be_bytes()].concat()).await;
        if heard(&others[0]) > abstained {
            break;
        }
        assert!(n < 100, "it does not vote again");
    }
    reach(&fourth, others[0].tip().height).await;
    agree(&others[0], &fourth).await;
    check_chain(&fourth, federation.genesis()).await;
    fourth
}

#[tokio::test]
async fn a_first_start_of_four_begins_at_once() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let nodes = federation.start().await;
    let begun = Instant::now();
    for node in &nodes {
        until(node, "it votes", |status| status.votes).await;
    }
    finalize(&nodes[3], b"first").await;
    println!("first start: all vote and the first transaction is final after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    stop(&nodes).await;
}

#[tokio::test]
async fn a_validator_that_first_starts_when_the_chain_is_old_votes_at_once() {
    let federation = hasty();
    let mut nodes = vec![];
    for config in &federation.configs[..3] {
        nodes.push(start(config).await);
    }
    for n in 0..5u8 {
        finalize(&nodes[0], &[n]).await;
    }
    nodes.push(start(&federation.configs[3]).await);
    let status = until(&nodes[3], "it votes", |status| !status.asks).await;
    assert!(status.votes && !status.abstains, "nobody has heard a vote of it: {status:?}");
    finalize(&nodes[3], b"four").await;
    stop(&nodes).await;
}

#[tokio::test]
async fn one_that_lost_its_whole_folder_abstains_and_returns() {
    let federation = hasty();
    let mut nodes = federation.start().await;
    for n in 0..6u8 {
        finalize(&nodes[usize::from(n) % 4], &[n]).await;
    }
    until(&nodes[0], "the fourth is heard", |status| status.heard.len() == 3).await;
    nodes.pop().unwrap().shutdown().await;
    let config = forget_all(&federation.configs[3]).await;
    let fourth = abstains_and_returns(&federation, &nodes, &config).await;
    fourth.shutdown().await;
    // What it has cast since is remembered: the next start asks and votes.
    let fourth = start(&federation.configs[3]).await;
    let status = until(&fourth, "it votes", |status| !status.asks).await;
    assert!(status.votes, "{status:?}");
    fourth.shutdown().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn one_restored_from_an_old_copy_abstains_and_returns() {
    let federation = hasty();
    let mut nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    let config = &federation.configs[3];
    nodes.pop().unwrap().shutdown().await;
    let old = federation.folder("old");
    copy(&config.data_dir, &old);
    nodes.push(start(config).await);
    for n in 0..8u8 {
        finalize(&nodes[usize::from(n) % 4], &[n]).await;
    }
    let tip = nodes[3].tip().height;
    until(&nodes[0], "the fourth is heard", |_| heard(&nodes[0]) > 4).await;
    reach(&nodes[0], tip).await;
    nodes.pop().unwrap().shutdown().await;
    fs::remove_dir_all(&config.data_dir).unwrap();
    copy(&old, &config.data_dir);
    // The others' memory outlasts their own restart.
    for (node, config) in nodes.iter_mut().zip(&federation.configs) {
        node.shutdown().await;
        *node = start(config).await;
    }
    let fourth = abstains_and_returns(&federation, &nodes, config).await;
    fourth.shutdown().await;
    stop(&nodes).await;
}

#[tokio::test]
async fn one_that_was_told_to_rejoin_abstains_and_returns_through_live_blocks() {
    let federation = hasty();
    let mut nodes = federation.start().await;
    for n in 0..6u8 {
        finalize(&nodes[usize::from(n) % 4], &[n]).await;
    }
    nodes.pop().unwrap().shutdown().await;
    let mut config = federation.configs[3].clone();
    fs::remove_file(config.data_dir.join("wal/consensus.wal")).unwrap();
    assert!(Node::start(config.clone(), super::world::toy(&config)).await.is_err(), "not without being told");
    config.rejoin = true;
    let fourth = abstains_and_returns(&federation, &nodes, &config).await;
    fourth.shutdown().await;
    stop(&nodes).await;
}

/// Starts the fourth again with a clock that is an hour slow, so that blocks which are older than votes it forgot look new
/// to it. It gets no signer before it is past those votes.
async fn returns_above_what_it_forgot(others: &[Node], mut config: NodeConfig) {
    let system = Clock::system();
    config.clock = Clock::from_fn(move || system.now() - 3_600_000);
    let forgotten = heard(&others[0]);
    let fourth = start(&config).await;
    let deadline = Instant::now() + PATIENCE;
    let mut low = u64::MAX;
    let mut status = fourth.status();
    for n in 0u32.. {
        assert!(Instant::now() < deadline, "it does not vote again: {status:?}");
        if n % 40 == 0 {
            others[n as usize % 3].submit([&b"on"[..], &n.to_be_bytes()].concat()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        status = fourth.status();
        if status.abstains {
            low = low.min(status.tip.height);
        }
        if status.votes {
            break;
        }
    }
    assert!(low < forgotten, "it had nothing to catch up with");
    assert!(status.tip.height > forgotten, "it may contradict votes up to {forgotten}: {status:?}");
    for n in 0u32.. {
        finalize(&others[0], &[&b"heard "[..], &n.to_be_bytes()].concat()).await;
        if heard(&others[0]) > status.tip.height {
            break;
        }
        assert!(n < 100, "it does not vote again");
    }
    agree(&others[0], &fourth).await;
    fourth.shutdown().await;
}

#[tokio::test]
async fn a_slow_clock_does_not_end_the_abstention_of_one_that_lost_everything() {
    let federation = hasty();
    let mut nodes = federation.start().await;
    for n in 0..12u8 {
        finalize(&nodes[usize::from(n) % 4], &[n]).await;
    }
    until(&nodes[0], "the fourth is heard", |_| heard(&nodes[0]) > 8).await;
    nodes.pop().unwrap().shutdown().await;
    forget_all_unseen(&federation.configs[3]);
    returns_above_what_it_forgot(&nodes, federation.configs[3].clone()).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn a_slow_clock_does_not_end_the_abstention_of_an_old_copy_that_was_told_to_rejoin() {
    let federation = hasty();
    let mut nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    let mut config = federation.configs[3].clone();
    nodes.pop().unwrap().shutdown().await;
    let old = federation.folder("old");
    copy(&config.data_dir, &old);
    nodes.push(start(&config).await);
    for n in 0..12u8 {
        finalize(&nodes[usize::from(n) % 4], &[n]).await;
    }
    until(&nodes[0], "the fourth is heard", |_| heard(&nodes[0]) > 8).await;
    nodes.pop().unwrap().shutdown().await;
    fs::remove_dir_all(&config.data_dir).unwrap();
    copy(&old, &config.data_dir);
    fs::remove_file(config.data_dir.join("wal/consensus.wal")).unwrap();
    config.rejoin = true;
    returns_above_what_it_forgot(&nodes, config).await;
    stop(&nodes).await;
}

/// Height and round of the newest vote of the fourth validator that `node` has heard.
fn heard_round(node: &Node) -> (u64, u32) {
    node.status()
        .heard
        .iter()
        .find(|vote| vote.address == address(3))
        .map_or((0, 0), |vote| (vote.height, vote.round))
}

#[tokio::test]
async fn an_old_copy_of_a_height_that_does_not_end_abstains_and_the_real_folder_votes() {
    let mut federation = hasty();
    // One validator is away, and one finds every block out of time: the others answer and vote, round after round.
    let (system, slow_by) = (Clock::system(), Arc::new(AtomicU64::new(3_600_000)));
    let slow = slow_by.clone();
    federation.configs[1].clock = Clock::from_fn(move || system.now() - slow.load(Ordering::Relaxed));
    let (config, old) = (&federation.configs[3], federation.folder("old"));
    let nodes = [start(&federation.configs[0]).await, start(&federation.configs[1]).await];
    let fourth = start(config).await;
    nodes[0].submit(b"waits".to_vec()).await.unwrap();
    until(&nodes[0], "rounds go by", |_| heard_round(&nodes[0]) >= (1, 1)).await;
    fourth.shutdown().await;
    copy(&config.data_dir, &old);
    let copied = heard_round(&nodes[0]).1;

    let fourth = start(config).await;
    let status = until(&fourth, "it knows", |status| !status.asks).await;
    assert!(status.votes, "its log holds every vote that it has cast: {status:?}");
    until(&nodes[0], "it votes on", |_| heard_round(&nodes[0]) > (1, copied + 1)).await;
    fourth.shutdown().await;

    fs::remove_dir_all(&config.data_dir).unwrap();
    copy(&old, &config.data_dir);
    let fourth = start(config).await;
    let status = until(&fourth, "it knows", |status| !status.asks).await;
    assert!(status.abstains && status.tip.height == 0, "it may contradict its later rounds: {status:?}");
    slow_by.store(0, Ordering::Relaxed);
    let third = start(&federation.configs[2]).await;
    let deadline = Instant::now() + PATIENCE;
    for n in 0u32.. {
        finalize(&nodes[0], &n.to_be_bytes()).await;
        if fourth.votes() {
            break;
        }
        assert!(Instant::now() < deadline, "it does not vote again: {:?}", fourth.status());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    agree(&nodes[0], &fourth).await;
    stop(&[fourth, third]).await;
    stop(&nodes).await;
}
