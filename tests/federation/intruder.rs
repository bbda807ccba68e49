//! A stranger who knows where everybody is, and has the genesis file: agents tell it nothing, nodes do not keep it, and it is
//! noticed.

use std::time::Duration;

use agent::cli::node::load_genesis;
use agent::cli::output::talk;
use agent::config::PeerEntry;
use agent::machine::{Machine, SharedContract};
use agent::peer::{self, Identity, Patience, Peers};
use anchor::SigningKey;
use chain::{Node, NodeConfig};

use crate::alone::alone;
use crate::impostor::nodes_known_to;
use crate::network::{HUB, Watch};
use crate::seed;
use crate::world::{MEMBERS, TELECOM, WITNESS, World};

/// Long enough for a member's node to be connected and to have fetched the whole chain.
const VISIT: Duration = Duration::from_secs(6);

#[test]
fn a_stranger_gets_nothing_from_agents_is_not_kept_by_nodes_and_is_counted() {
    alone("intruder::a_stranger_gets_nothing_from_agents_is_not_kept_by_nodes_and_is_counted", || {
        let mut world = World::build(seed());
        at_the_agents(&world);
        at_the_nodes(&world);
        world.finalize("CR-after-visit");
        world.check();
    });
}

/// With a certificate that nobody pinned.
fn at_the_agents(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::create(folder.path()).unwrap();
    let genesis = load_genesis(&world.dir.join("genesis.json")).unwrap();
    let entries: Vec<PeerEntry> = (0..MEMBERS.len())
        .map(|member| PeerEntry {
            member: MEMBERS[member].into(),
            address: world.places[member].peer.to_string(),
            node: None,
        })
        .collect();
    let stranger = Peers::new(&identity, peer::pins(&genesis), &entries, Patience::default()).unwrap();
    let before = strangers(world);
    for member in MEMBERS {
        let answer = world.runtime.block_on(stranger.get(member, "/peer/v1/status", 1 << 20));
        let failure = answer.expect_err("a stranger was answered");
        talk(&format!("{member} answers a stranger: {failure:#}"));
    }
    let after = strangers(world);
    for (member, (before, after)) in MEMBERS.iter().zip(before.iter().zip(&after)) {
        assert!(after > before, "{member} did not count the stranger: {before} → {after}");
    }
}

/// How many strangers each agent's metrics tell of.
fn strangers(world: &World) -> [f64; 4] {
    std::array::from_fn(|member| {
        let text = world.client(member).get_bytes("/metrics").unwrap();
        let text = String::from_utf8(text).unwrap();
        let is_count = |line: &&str| line.starts_with(STRANGERS) && line.contains(r#"why="stranger""#);
        let counts = text.lines().filter(is_count);
        counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    })
}

const STRANGERS: &str = "ranproof_peer_refused_connections{";

/// With a peer id that nobody lists, and a consensus key that is no validator's.
fn at_the_nodes(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = load_genesis(&world.dir.join("genesis.json")).unwrap();
    let watch = Watch::visits_to(TELECOM, world.places[TELECOM].node.port());
    let mut config = NodeConfig::new(folder.path(), genesis.clone(), SigningKey::from_seed(&[66; 32]));
    config.listen = (HUB, 9_000).into();
    config.peers = nodes_known_to(world, WITNESS);
    let contract = SharedContract::from_genesis(&genesis).unwrap();
    let reached = world.runtime.block_on(async {
        let node = Node::start(config, Box::new(Machine::new(genesis, contract))).await.unwrap();
        tokio::time::sleep(VISIT).await;
        let reached = node.tip().height;
        node.shutdown().await;
        reached
    });
    assert!(watch.packets() > 0, "the stranger's node did not knock");
    let tip = world.tip(TELECOM);
    talk(&format!("the stranger's node has {reached} of {tip} blocks"));
    assert!(tip > 3, "there was something to get");
    // Who it is shows only once it has said so: what it asked before that may have been answered (docs/threat-model.md). A
    // member's node has all of them by now.
    assert!(reached < tip, "a stranger's node got the whole chain: {reached} of {tip} blocks");
}
