//! The files that the demo's people write before anything runs.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result};
use model::{Agreement, Inventory, Station};
use serde_json::{Value as Json, json};

use crate::cli::node::load_genesis;
use crate::config::parse_yaml;
use crate::keys;

/// The agreement of the examples, with a map secret of its own and tracking areas for so many stations.
pub fn agreement(path: &Path, stations: usize) -> Result<Agreement> {
    let mut agreement: Agreement =
        parse_yaml(include_str!("../../../examples/agreement.yaml"), "agreement.yaml")?;
    // The simulator gives every eight stations a tracking area.
    let codes: Vec<String> = (0..=stations / 8).map(|area| (4601 + area).to_string()).collect();
    agreement.tracking_areas.iter_mut().for_each(|plan| plan.codes.clone_from(&codes));
    agreement.map_secret = hex::encode(keys::random_bytes::<32>()?);
    write(path, &serde_json::to_string_pretty(&agreement)?)?;
    Ok(agreement)
}

/// The rules that ship with the product.
pub fn policies(dir: &Path) -> Result<()> {
    for (name, text) in policies::packs::NR {
        write(&dir.join(name), text)?;
    }
    Ok(())
}

/// The agreed inventory and the agent's targets, from what the simulator says of its stations.
pub fn stations(dir: &Path, known: &sim::Inventory, inventory: &Path, targets: &Path) -> Result<()> {
    let stations = known.stations.iter().map(|station| {
        Ok(Station {
            element: station.element.parse()?,
            gnb_id: station.gnb_id.to_string(),
            host_key: station.host_key.clone(),
            profile: "plain".into(),
        })
    });
    let agreed = Inventory {
        format: Inventory::FORMAT.into(),
        agreement: "bj-east".into(),
        origin: "telecom".into(),
        version: 1,
        stations: stations.collect::<Result<_>>()?,
    };
    write(inventory, &serde_json::to_string_pretty(&agreed)?)?;
    let key = dir.join(&known.collector.key_file);
    let key = key.canonicalize().with_context(|| format!("cannot find {}", key.display()))?;
    let entries = known.stations.iter().map(|station| {
        json!({
            "element": station.element,
            "host": station.address.ip().to_string(),
            "port": station.address.port(),
            "credential": "reader",
        })
    });
    let targets_file = json!({
        "credentials": { "reader": { "user": known.collector.user, "private_key_file": key } },
        "stations": entries.collect::<Vec<_>>(),
    });
    write(targets, &serde_json::to_string_pretty(&targets_file)?)
}

/// Keys of the three members and the genesis file made of them, by commands that `run` runs. One validator: Telecom.
pub fn federation(dir: &Path, run: impl Fn(&[&str]) -> Result<String>) -> Result<()> {
    let mut members = Vec::new();
    for (id, name, role) in
        [("telecom", "Telecom", "operator"), ("unicom", "Unicom", "operator"), ("tower", "Tower", "tower")]
    {
        let approval = run(&["node", "key", &text(&dir.join(format!("people/{id}/approval.key")))])?;
        let data = dir.join(format!("{id}/data"));
        let public: Json = serde_json::from_str(&run(&["node", "init", "--data", &text(&data), "--json"])?)?;
        let power = if id == "telecom" { 3 } else { 0 };
        members.push(json!({
            "id": id,
            "name": name,
            "role": role,
            "log_key": public["log_key"],
            "approval_key": approval.trim(),
            "consensus_key": public["consensus_key"],
            "power": power,
        }));
    }
    let file = dir.join("members.json");
    write(&file, &serde_json::to_string_pretty(&json!({ "members": members }))?)?;
    let genesis = text(&dir.join("genesis.json"));
    run(&["node", "genesis", "--members", &text(&file), "--chain-id", "demo", "--output", &genesis])?;
    Ok(())
}

/// The trust file of a party: the federation's keys and the agreement's secret.
pub fn trust(genesis: &Path, agreement: &Agreement, path: &Path) -> Result<()> {
    let trust = crate::statements::trust(&load_genesis(genesis)?, agreement)?;
    write(path, &trust.to_yaml())
}

/// The agent's configuration on two ports; 0 takes a free one at each start.
pub fn agent(path: &Path, page: u16, node: u16) -> Result<()> {
    let config = json!({
        "format": "ranproof/agent/1",
        "operator": "telecom",
        "data": "data",
        "genesis": "../genesis.json",
        "agreement": "bj-east",
        "targets": "targets.json",
        "listen": format!("127.0.0.1:{page}"),
        "title": "ranproof demo: Telecom",
        "collection": { "every_minutes": 0, "deadline_seconds": 20 },
        "node": { "listen": format!("127.0.0.1:{node}") },
    });
    write(path, &serde_json::to_string_pretty(&config)?)
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
