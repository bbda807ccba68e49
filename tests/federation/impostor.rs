//! Nodes of this test in a member's place: the member's keys and address, and a mind of their own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use agent::cli::node::load_genesis;
use agent::keys;
use agent::machine::{Machine, SharedContract};
use anchor::{Genesis, Hash, ValidatorSet};
use arc_malachitebft_app::types::Keypair;
use arc_malachitebft_network::{Bytes, Channel};
use chain::{BlockInput, InvalidBlock, Node, NodeConfig, Outcome, Refusal, RestoreError, StateMachine};
use tokio::runtime::Runtime;

use crate::mallory::Mallory;
use crate::network;
use crate::world::{MEMBERS, World};

/// A node in a member's place.
pub struct Impostor {
    node: Node,
    runtime: Runtime,
    _folder: Option<tempfile::TempDir>,
}

impl Impostor {
    /// The member's own node as somebody rebuilt it: same folder, same keys, another machine.
    pub fn start(world: &World, member: usize, machine: Box<dyn StateMachine>) -> Impostor {
        let folder = world.dir.join(MEMBERS[member]).join("data");
        let mut config = config(world, member, &folder.join("node"));
        config.consensus_key = keys::load(&folder.join("keys/consensus.key")).unwrap();
        Impostor::run(member, config, machine, None)
    }

    /// A second node with `of`'s consensus key, where `place` used to be and under its peer identity.
    pub fn start_double(world: &World, of: usize, place: usize) -> Impostor {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        let identity = world.dir.join(MEMBERS[place]).join("data/node/keys/p2p.key");
        std::fs::copy(identity, folder.path().join("keys/p2p.key")).unwrap();
        let mut config = config(world, place, folder.path());
        let key = world.dir.join(MEMBERS[of]).join("data/keys/consensus.key");
        config.consensus_key = keys::load(&key).unwrap();
        // Its folder is not that of a new validator. It abstains, and after this time it votes.
        config.rejoin = true;
        config.max_clock_difference = Duration::from_secs(1);
        Impostor::run(place, config, honest(world), Some(folder))
    }

    fn run(
        member: usize,
        config: NodeConfig,
        machine: Box<dyn StateMachine>,
        folder: Option<tempfile::TempDir>,
    ) -> Impostor {
        let runtime = network::runtime(MEMBERS[member]);
        let started = runtime.spawn(async move { Node::start(config, machine).await.unwrap() });
        let node = runtime.block_on(started).unwrap();
        Impostor { node, runtime, _folder: folder }
    }

    pub fn stop(self) {
        self.runtime.block_on(self.node.shutdown());
    }
}

fn genesis(world: &World) -> Genesis {
    load_genesis(&world.dir.join("genesis.json")).unwrap()
}

fn config(world: &World, member: usize, folder: &Path) -> NodeConfig {
    let unset = anchor::SigningKey::from_seed(&[0; 32]);
    let mut config = NodeConfig::new(folder, genesis(world), unset);
    config.moniker = MEMBERS[member].into();
    config.listen = world.places[member].node;
    config.peers = nodes_known_to(world, member);
    config
}

/// The other members' nodes, as this member's agent is told of them.
pub fn nodes_known_to(world: &World, member: usize) -> Vec<String> {
    let file = world.dir.join(MEMBERS[member]).join("agent.yaml");
    let listed: serde_json::Value = agent::config::read_yaml(&file).unwrap();
    let peers = listed["peers"]["members"].as_array().unwrap().iter();
    peers.map(|peer| peer["node"].as_str().unwrap().to_owned()).collect()
}

fn honest(world: &World) -> Box<dyn StateMachine> {
    let genesis = genesis(world);
    let contract = SharedContract::from_genesis(&genesis).unwrap();
    Box::new(Machine::new(genesis, contract))
}

/// A contract that tells the truth about others' blocks and lies about its own: so it keeps up, and has its turns.
pub struct Crooked {
    honest: Box<dyn StateMachine>,
    /// It is asked for a block of its own.
    proposing: AtomicBool,
    lies: Arc<AtomicU64>,
}

impl Crooked {
    /// With the count of its lies.
    pub fn of(world: &World) -> (Box<dyn StateMachine>, Arc<AtomicU64>) {
        let lies = Arc::new(AtomicU64::new(0));
        let crooked =
            Crooked { honest: honest(world), proposing: AtomicBool::new(false), lies: lies.clone() };
        (Box::new(crooked), lies)
    }
}

impl StateMachine for Crooked {
    fn restore(&mut self, height: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError> {
        self.honest.restore(height, entries)
    }

    fn check(&self, transaction: &[u8]) -> Result<(), Refusal> {
        self.honest.check(transaction)
    }

    fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        self.honest.sender(transaction)
    }

    fn select(&self, waiting: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.proposing.store(true, Ordering::Relaxed);
        self.honest.select(waiting)
    }

    fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock> {
        let mut outcome = self.honest.execute(input)?;
        if self.proposing.swap(false, Ordering::Relaxed) {
            outcome.state_root = Hash::of(b"what never happened");
            self.lies.fetch_add(1, Ordering::Relaxed);
        }
        Ok(outcome)
    }

    fn commit(&mut self, outcome: Outcome) {
        self.honest.commit(outcome);
    }

    fn state_root(&self) -> Hash {
        self.honest.state_root()
    }

    fn validators(&self) -> ValidatorSet {
        self.honest.validators()
    }

    fn rules_version(&self) -> u32 {
        self.honest.rules_version()
    }
}

/// A member's place on the network without a node: it hears what is published, and publishes what it is told.
pub struct Parrot {
    mallory: Mallory,
    runtime: Runtime,
}

impl Parrot {
    /// Let in by everybody under the member's peer identity.
    pub fn start(world: &World, member: usize) -> Parrot {
        let file = world.dir.join(MEMBERS[member]).join("data/node/keys/p2p.key");
        let mut seed = [0; 32];
        hex::decode_to_slice(std::fs::read_to_string(file).unwrap().trim(), &mut seed).unwrap();
        let identity = Keypair::ed25519_from_bytes(seed).unwrap();
        let (genesis, peers) = (genesis(world), nodes_known_to(world, member));
        let listen = world.places[member].node;
        let runtime = network::runtime(MEMBERS[member]);
        let started = runtime.spawn(async move {
            let mallory = Mallory::start(&genesis, identity, listen, &peers).await;
            mallory.until("it is let in", |log| log.connected >= MEMBERS.len() - 1).await;
            mallory
        });
        let mallory = runtime.block_on(started).unwrap();
        Parrot { mallory, runtime }
    }

    pub fn heard(&self, channel: Channel) -> Vec<Bytes> {
        self.mallory.heard(channel)
    }

    pub fn publish(&self, channel: Channel, messages: &[Bytes]) {
        self.runtime.block_on(async {
            for message in messages {
                self.mallory.publish(channel, message.clone()).await;
            }
        });
    }

    pub fn stop(self) {
        self.runtime.block_on(self.mallory.stop());
    }
}
