//! A peer that speaks the network's language and keeps no rule: it hears what is published, and publishes what it
//! likes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anchor::{Block, Genesis, Hash, SigningKey};
use arc_malachitebft_app::metrics::SharedRegistry;
use arc_malachitebft_app::types::Keypair;
use arc_malachitebft_network as network;
use arc_malachitebft_network::handle::CtrlHandle;
use arc_malachitebft_network::{Bytes, Channel, Event, Multiaddr};

use super::world::PATIENCE;

pub struct Mallory {
    control: CtrlHandle,
    pub log: Arc<Mutex<Log>>,
}

/// What has happened to it, bounded.
#[derive(Default)]
pub struct Log {
    pub connected: usize,
    pub disconnected: usize,
    pub heard: Vec<(Channel, Bytes)>,
    pub served: usize,
}

pub fn identity(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

/// What others list to let it in.
pub fn name(identity: &Keypair, listen: SocketAddr) -> String {
    format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", listen.port(), identity.public().to_peer_id())
}

fn config(genesis: &Genesis, listen: SocketAddr, peers: &[String]) -> network::Config {
    let prefix = format!("/ranproof/{}", genesis.hash().short());
    let mut names = network::ProtocolNames::default();
    let all = [&mut names.consensus, &mut names.discovery_kad, &mut names.discovery_regres, &mut names.sync];
    for name in all.into_iter().chain([&mut names.validator_proof]) {
        *name = format!("{prefix}{name}");
    }
    let discovery =
        network::DiscoveryConfig { enabled: false, max_connections_per_ip: 100, ..Default::default() };
    network::Config {
        listen_addr: format!("/ip4/127.0.0.1/tcp/{}", listen.port()).parse().unwrap(),
        persistent_peers: peers.iter().map(|peer| peer.parse::<Multiaddr>().unwrap()).collect(),
        persistent_peers_only: false,
        discovery,
        idle_connection_timeout: Duration::from_secs(60),
        transport: network::TransportProtocol::Tcp,
        gossipsub: network::GossipSubConfig::default(),
        pubsub_protocol: network::PubSubProtocol::GossipSub,
        channel_names: network::ChannelNames::default(),
        rpc_max_size: 10 << 20,
        pubsub_max_size: 4 << 20,
        pubsub_max_size_per_topic: Default::default(),
        sync_request_timeout: Duration::from_secs(10),
        sync_max_request_size: 1 << 20,
        sync_parallel_requests: 5,
        enable_consensus: true,
        enable_sync: true,
        protocol_names: names,
    }
}

impl Mallory {
    pub async fn start(
        genesis: &Genesis,
        identity: Keypair,
        listen: SocketAddr,
        peers: &[String],
    ) -> Mallory {
        let identity = network::NetworkIdentity::new("mallory".into(), identity, None);
        // Its figures are nobody's.
        let registry = SharedRegistry::new(Default::default(), None);
        let handle = network::spawn(identity, config(genesis, listen, peers), registry).await.unwrap();
        let (mut events, control) = handle.split();
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = log.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let mut log = shared.lock().unwrap();
                match event {
                    Event::PeerConnected(_) => log.connected += 1,
                    Event::PeerDisconnected(_) => log.disconnected += 1,
                    Event::ConsensusMessage(channel, _, _, bytes) if log.heard.len() < 20_000 => {
                        log.heard.push((channel, bytes));
                    }
                    Event::Sync(_) => log.served += 1,
                    _ => {}
                }
            }
        });
        Mallory { control, log }
    }

    pub async fn publish(&self, channel: Channel, bytes: impl Into<Bytes>) {
        self.control.publish(channel, bytes.into()).await.unwrap();
    }

    /// What it has heard on a channel.
    pub fn heard(&self, channel: Channel) -> Vec<Bytes> {
        let log = self.log.lock().unwrap();
        log.heard.iter().filter(|(on, _)| *on == channel).map(|(_, bytes)| bytes.clone()).collect()
    }

    pub async fn until(&self, what: &str, wanted: impl Fn(&Log) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.log.lock().unwrap()) {
            assert!(Instant::now() < deadline, "not so: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn stop(self) {
        self.control.wait_shutdown().await.unwrap();
    }
}

/// A message of the proposal channel, as the nodes write it: stream, sequence, then a part of this kind.
fn part(stream: &[u8], sequence: u64, kind: u8, content: &impl borsh::BorshSerialize) -> Vec<u8> {
    borsh::to_vec(&(stream, sequence, 0u8, kind, content)).unwrap()
}

pub fn transactions(batch: &[Vec<u8>]) -> Vec<u8> {
    part(b"transactions", 0, 3, &batch)
}

pub fn block_part(stream: &[u8], sequence: u64, bytes: &[u8]) -> Vec<u8> {
    part(stream, sequence, 1, &bytes)
}

/// What the holder of `key` asks at a start: what votes of it the others know.
pub fn question(genesis: &Hash, key: &SigningKey, nonce: [u8; 16]) -> Vec<u8> {
    let question = (nonce, key.public().address().0);
    let mut signed = b"ranproof/memory-question/2\n".to_vec();
    borsh::to_writer(&mut signed, &(genesis, &question)).unwrap();
    part(b"memory", 0, 4, &(0u8, question, key.sign(&signed).0))
}

/// The messages that carry a block which the holder of `key` proposes in `round`.
pub fn proposal(genesis: &Hash, key: &SigningKey, round: u32, block: &Block) -> Vec<Vec<u8>> {
    let value = block.header.hash();
    let init = (block.header.height, (1u8, round), 0u8, key.public().address().0, value.0);
    let mut signed = b"ranproof/proposal-parts/2\n".to_vec();
    borsh::to_writer(&mut signed, &(genesis, &init)).unwrap();
    let stream = &value.0[..];
    vec![
        part(stream, 0, 0, &init),
        part(stream, 1, 1, &block.encode()),
        part(stream, 2, 2, &key.sign(&signed).0),
        borsh::to_vec(&(stream, 3u64, 1u8)).unwrap(),
    ]
}

/// The transactions in a message of the proposal channel, if it is such a message.
pub fn batch_of(message: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (_, _, content, kind, batch): (Vec<u8>, u64, u8, u8, Vec<Vec<u8>>) =
        borsh::from_slice(message).ok()?;
    (content == 0 && kind == 3).then_some(batch)
}
