//! What the federation's people write before anything runs: keys, genesis, agreement, the agents' configurations.

use std::path::{Path, PathBuf};

use agent::config::parse_yaml;
use anyhow::{Context as _, Result, ensure};
use model::{Agreement, Inventory, Station};
use serde_json::{Value as Json, json};

use crate::network::Place;
use crate::process::ranproof;
use crate::world::{MEMBERS, POWERS, ROLES, TELECOM};

/// Transactions wait so long for finality before their sender is told that it is not known.
pub const FINALITY_SECONDS: u64 = 6;

pub const CHAIN_ID: &str = "four";

/// Draws everybody's keys and makes the genesis file of them; returns each member's peer id.
pub fn genesis(dir: &Path) -> [String; 4] {
    let mut members = Vec::new();
    let peers = std::array::from_fn(|n| {
        let (entry, peer) = member(dir, n);
        members.push(entry);
        peer
    });
    write(&dir.join("members.json"), &json!({ "members": members }));
    let (from, to) = (text(dir, "members.json"), text(dir, "genesis.json"));
    run(&["node", "genesis", "--members", &from, "--chain-id", CHAIN_ID, "--output", &to]).unwrap();
    peers
}

fn member(dir: &Path, number: usize) -> (Json, String) {
    let id = MEMBERS[number];
    let approval = run(&["node", "key", &text(dir, &format!("people/{id}/approval.key"))]).unwrap();
    let public = run(&["node", "init", "--data", &text(dir, &format!("{id}/data")), "--json"]).unwrap();
    let public: Json = serde_json::from_str(&public).unwrap();
    let entry = json!({
        "id": id,
        "name": id,
        "role": ROLES[number],
        "power": POWERS[number],
        "approval_key": approval.trim(),
        "log_key": public["log_key"],
        "cosigner_key": public["cosigner_key"],
        "tls": public["tls"],
        "consensus_key": public["consensus_key"],
    });
    (entry, public["peer_id"].as_str().unwrap().to_owned())
}

/// Everybody's `agent.yaml`.
pub fn agents(dir: &Path, places: &[Place; 4], peers: &[String; 4]) {
    for (number, id) in MEMBERS.iter().enumerate() {
        let others = (0..MEMBERS.len()).filter(|other| *other != number).map(|other| {
            let node = places[other].node;
            json!({
                "member": MEMBERS[other],
                "address": places[other].peer.to_string(),
                "node": format!("/ip4/{}/tcp/{}/p2p/{}", node.ip(), node.port(), peers[other]),
            })
        });
        let mut config = json!({
            "format": "ranproof/agent/1",
            "operator": id,
            "data": "data",
            "genesis": "../genesis.json",
            "agreement": "bj-east",
            "listen": places[number].page.to_string(),
            "collection": { "deadline_seconds": 20 },
            "node": { "listen": places[number].node.to_string(), "finality_seconds": FINALITY_SECONDS },
            "peers": { "listen": places[number].peer.to_string(), "members": others.collect::<Vec<_>>() },
        });
        if number == TELECOM {
            config["targets"] = json!("targets.json");
        }
        write(&dir.join(id).join("agent.yaml"), &config);
    }
}

/// The agreement of the examples, with a secret of its own.
pub fn agreement() -> Agreement {
    let mut agreement: Agreement =
        parse_yaml(include_str!("../../examples/agreement.yaml"), "agreement.yaml").unwrap();
    agreement.map_secret = "5e".repeat(32);
    agreement
}

/// The inventory, and Telecom's targets for it.
pub fn inventory(dir: &Path, known: &sim::Inventory) -> Inventory {
    let stations = known.stations.iter().map(|station| Station {
        element: station.element.parse().unwrap(),
        gnb_id: station.gnb_id.to_string(),
        host_key: station.host_key.clone(),
        profile: "plain".into(),
    });
    let targets = known.stations.iter().map(|station| {
        json!({
            "element": station.element,
            "host": station.address.ip().to_string(),
            "port": station.address.port(),
            "credential": "reader",
        })
    });
    let key = dir.join("stations").join(&known.collector.key_file);
    let reader = json!({ "user": known.collector.user, "private_key_file": key });
    let targets = json!({ "credentials": { "reader": reader }, "stations": targets.collect::<Vec<_>>() });
    write(&dir.join("telecom/targets.json"), &targets);
    Inventory {
        format: Inventory::FORMAT.into(),
        agreement: "bj-east".into(),
        origin: "telecom".into(),
        version: 1,
        stations: stations.collect(),
    }
}

/// Runs a command that must succeed and returns what it printed.
pub fn run(arguments: &[&str]) -> Result<String> {
    let output = ranproof(arguments).output().context("cannot run ranproof")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {words}");
    Ok(String::from_utf8(output.stdout)?)
}

pub fn text(dir: &Path, name: &str) -> String {
    dir.join(name).to_string_lossy().into_owned()
}

pub fn write(path: &PathBuf, content: &Json) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_json::to_string_pretty(content).unwrap()).unwrap();
}
