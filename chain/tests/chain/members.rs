//! Several validators on loopback, each with its folder and address.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anchor::Genesis;
use ranproof_chain::{Node, NodeConfig, NodeStatus};
use tempfile::TempDir;

use super::world::{PATIENCE, genesis, key, start};

pub struct Federation {
    folder: TempDir,
    pub configs: Vec<NodeConfig>,
}

impl Federation {
    pub fn new(powers: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = genesis(powers);
        let addresses = free_addresses(powers.len());
        let configs = addresses.iter().enumerate().map(|(n, address)| {
            let mut config =
                NodeConfig::new(folder.path().join(n.to_string()), genesis.clone(), key(n as u8 + 1));
            config.moniker = format!("n{n}");
            config.listen = *address;
            config
        });
        let mut federation = Federation { configs: configs.collect(), folder };
        let names: Vec<_> = federation.configs.iter().map(name).collect();
        for (n, config) in federation.configs.iter_mut().enumerate() {
            config.peers =
                names.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, name)| name.clone()).collect();
        }
        federation
    }

    pub fn genesis(&self) -> &Genesis {
        &self.configs[0].genesis
    }

    /// A folder that nobody uses.
    pub fn folder(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Another node, listed by all others and listing all others.
    pub fn add(&mut self, moniker: &str, seed: u8) -> NodeConfig {
        let mut config = NodeConfig::new(self.folder(moniker), self.genesis().clone(), key(seed));
        config.moniker = moniker.into();
        config.listen = free_addresses(1)[0];
        config.peers = self.configs.iter().map(name).collect();
        self.list(&name(&config));
        config
    }

    /// Everybody lists this peer too.
    pub fn list(&mut self, name: &str) {
        self.configs.iter_mut().for_each(|config| config.peers.push(name.into()));
    }

    pub async fn start(&self) -> Vec<Node> {
        let mut nodes = vec![];
        for config in &self.configs {
            nodes.push(start(config).await);
        }
        nodes
    }
}

/// Addresses that were free a moment ago: all bound at once, so that they differ.
pub fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|l| l.local_addr().unwrap()).collect()
}

/// What others list.
pub fn name(config: &NodeConfig) -> String {
    let peer_id = ranproof_chain::peer_id(&config.data_dir).unwrap();
    format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer_id}", config.listen.port())
}

pub async fn reach(node: &Node, height: u64) {
    tokio::time::timeout(PATIENCE, async {
        let mut subscription = node.subscribe_from(height);
        subscription.next().await.unwrap();
    })
    .await
    .unwrap_or_else(|_| panic!("stuck at {:?}", node.status()));
}

/// Waits until the node's status is as wanted.
pub async fn until(node: &Node, what: &str, wanted: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = node.status();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "not so: {what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Same block at each height that both have.
pub async fn agree(a: &Node, b: &Node) {
    for height in 1..=a.tip().height.min(b.tip().height) {
        let (a, b) = (a.final_block(height).await.unwrap(), b.final_block(height).await.unwrap());
        assert_eq!(a.unwrap().block, b.unwrap().block);
    }
}

pub async fn stop(nodes: &[Node]) {
    for node in nodes {
        node.shutdown().await;
    }
}
