//! Four validators on loopback: gossip, proposals in parts, value sync, and members that are wrong.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anchor::Hash;
use ranproof_chain::{Clock, Node, NodeConfig};
use tempfile::TempDir;

use super::toy::Toy;
use super::world::{PATIENCE, check_chain, finalize, genesis, key, show_logs, start};

struct Federation {
    _folder: TempDir,
    configs: Vec<NodeConfig>,
}

impl Federation {
    fn new(powers: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // All bound at once, so that they differ; free again before the nodes start.
        let held: Vec<_> = powers.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> = held.iter().map(|l| l.local_addr().unwrap()).collect();
        let folders: Vec<_> = (0..powers.len()).map(|n| folder.path().join(n.to_string())).collect();
        let names = folders.iter().zip(&addresses).map(|(folder, address)| {
            format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", address.port(), ranproof_chain::peer_id(folder).unwrap())
        });
        let names: Vec<_> = names.collect();
        let configs = (0..powers.len()).map(|n| {
            let mut config = NodeConfig::new(&folders[n], genesis(powers), key(n as u8 + 1));
            config.moniker = format!("n{n}");
            config.listen = addresses[n];
            config.peers =
                names.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, name)| name.clone()).collect();
            config
        });
        Federation { _folder: folder, configs: configs.collect() }
    }

    async fn start(&self) -> Vec<Node> {
        let mut nodes = vec![];
        for config in &self.configs {
            nodes.push(start(config).await);
        }
        nodes
    }
}

async fn reach(node: &Node, height: u64) {
    tokio::time::timeout(PATIENCE, async {
        let mut subscription = node.subscribe_from(height);
        subscription.next().await.unwrap();
    })
    .await
    .unwrap_or_else(|_| panic!("stuck at {:?}", node.tip()));
}

/// Same header at each height that both have.
async fn agree(a: &Node, b: &Node) {
    for height in 1..=a.tip().height.min(b.tip().height) {
        let (a, b) = (a.final_block(height).await.unwrap(), b.final_block(height).await.unwrap());
        assert_eq!(a.unwrap().block, b.unwrap().block);
    }
}

async fn stop(nodes: &[Node]) {
    for node in nodes {
        node.shutdown().await;
    }
}

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
    let blocks = check_chain(&nodes[0], &federation.configs[0].genesis).await;
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
        check_chain(node, &federation.configs[0].genesis).await;
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
    check_chain(&nodes[0], &federation.configs[0].genesis).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn a_proposer_whose_clock_is_wrong_gets_no_vote() {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let system = Clock::system();
    federation.configs[2].clock = Clock::from_fn(move || system.now() + 60_000);
    let nodes = federation.start().await;
    let begun = Clock::system().now();
    for n in 0..8u8 {
        finalize(&nodes[0], &[n]).await;
    }
    let blocks = check_chain(&nodes[0], &federation.configs[0].genesis).await;
    let latest = begun + 50_000;
    assert!(blocks.iter().all(|b| b.block.header.time < latest), "a block from the future is final");
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
    check_chain(&nodes[0], &federation.configs[0].genesis).await;
    assert_eq!(nodes[1].tip().height, 0, "the one that is wrong must not have made anything final");
    reach(&nodes[3], nodes[0].tip().height).await;
    agree(&nodes[0], &nodes[3]).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn fewer_than_two_thirds_halt_instead_of_forking() {
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    for node in nodes.split_off(2) {
        node.shutdown().await;
    }
    let id = nodes[0].submit(b"into the void".to_vec()).await.unwrap();
    assert!(nodes[0].wait_final(&id, Duration::from_secs(3)).await.is_err());
    nodes.push(start(&federation.configs[2]).await);
    nodes[0].wait_final(&id, PATIENCE).await.unwrap();
    agree(&nodes[0], &nodes[2]).await;
    stop(&nodes).await;
}
