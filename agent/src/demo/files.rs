//! The files that the demo's people write before anything runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anchor::trust::Requirements;
use anyhow::{Context as _, Result, ensure};
use model::{Agreement, Dn, Inventory, Station};
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

/// One operator's part of the agreed inventory, and its agent's targets, from what the simulator says of its stations:
/// those of the districts that it manages.
pub fn stations(
    dir: &Path,
    known: &sim::Inventory,
    (operator, agreement): (&str, &Agreement),
    inventory: &Path,
    targets: &Path,
) -> Result<usize> {
    let mut agreed = Vec::new();
    let mut entries = Vec::new();
    for station in &known.stations {
        let element: Dn = station.element.parse()?;
        if agreement.master_operator(&element) != Some(operator) {
            continue;
        }
        entries.push(json!({
            "element": station.element,
            "host": station.address.ip().to_string(),
            "port": station.address.port(),
            "credential": "reader",
        }));
        let (gnb_id, host_key) = (station.gnb_id.to_string(), station.host_key.clone());
        agreed.push(Station { element, gnb_id, host_key, profile: "plain".into() });
    }
    let count = agreed.len();
    let agreed = Inventory {
        format: Inventory::FORMAT.into(),
        agreement: agreement.id.clone(),
        origin: operator.to_owned(),
        version: 1,
        stations: agreed,
    };
    write(inventory, &serde_json::to_string_pretty(&agreed)?)?;
    let key = dir.join(&known.collector.key_file);
    let key = key.canonicalize().with_context(|| format!("cannot find {}", key.display()))?;
    let targets_file = json!({
        "credentials": { "reader": { "user": known.collector.user, "private_key_file": key } },
        "stations": entries,
    });
    write(targets, &serde_json::to_string_pretty(&targets_file)?)?;
    Ok(count)
}

/// Somebody who founds a federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Founder {
    /// Member id, and the name of its folder.
    pub id: &'static str,
    pub name: &'static str,
    /// `operator`, `tower` or `witness`.
    pub role: &'static str,
    /// Voting power of its node; 0 for none.
    pub power: u64,
}

const fn founder(id: &'static str, name: &'static str, role: &'static str, power: u64) -> Founder {
    Founder { id, name, role, power }
}

/// The federation of the demo. Any one of the first three may fail; two of them may not.
pub const FEDERATION: &[Founder] = &[
    founder("telecom", "Telecom", "operator", 3),
    founder("unicom", "Unicom", "operator", 3),
    founder("tower", "Tower", "tower", 3),
    founder("witness", "Witness", "witness", 1),
];

/// Telecom validates alone and its agent is the only one, as in tests of a single agent.
pub const ALONE: &[Founder] = &[
    founder("telecom", "Telecom", "operator", 3),
    founder("unicom", "Unicom", "operator", 0),
    founder("tower", "Tower", "tower", 0),
];

/// Keys of the founders and the genesis file made of them, by commands that `run` runs. What each agent's `node init`
/// said of itself comes back by member.
pub fn federation(
    dir: &Path,
    founders: &[Founder],
    run: impl Fn(&[&str]) -> Result<String>,
) -> Result<BTreeMap<&'static str, Json>> {
    let mut members = Vec::new();
    let mut all = BTreeMap::new();
    for Founder { id, name, role, power } in founders {
        let approval = run(&["node", "key", &text(&dir.join(format!("people/{id}/approval.key")))])?;
        let data = dir.join(format!("{id}/data"));
        let public: Json = serde_json::from_str(&run(&["node", "init", "--data", &text(&data), "--json"])?)?;
        let mut member = json!({
            "id": id,
            "name": name,
            "role": role,
            "approval_key": approval.trim(),
            "power": power,
        });
        for key in MEMBER_KEYS {
            let value = public.get(key).with_context(|| format!("`ranproof node init` gave no {key}"))?;
            member[*key] = value.clone();
        }
        members.push(member);
        all.insert(*id, public);
    }
    let file = dir.join("members.json");
    write(&file, &serde_json::to_string_pretty(&json!({ "members": members }))?)?;
    let genesis = text(&dir.join("genesis.json"));
    run(&["node", "genesis", "--members", &text(&file), "--chain-id", "demo", "--output", &genesis])?;
    Ok(all)
}

/// What `ranproof node init` says of an agent and a members' file takes.
const MEMBER_KEYS: &[&str] = &["log_key", "consensus_key", "cosigner_key", "tls"];

/// The trust file of a party: the federation's keys, the agreement's secret, and what its claims need.
pub fn trust(
    genesis: &Path,
    agreement: &Agreement,
    require: impl FnOnce(&mut Requirements),
    path: &Path,
) -> Result<()> {
    let mut trust = crate::statements::trust(&load_genesis(genesis)?, agreement)?;
    require(&mut trust.require);
    write(path, &trust.to_yaml())
}

/// Where an agent listens on loopback; 0 takes a free port at each start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    pub page: u16,
    pub node: u16,
    /// For the other agents.
    pub peer: u16,
}

/// One agent of a federation whose agents know each other.
#[derive(Debug, Clone)]
pub struct Seat {
    pub founder: Founder,
    pub ports: Ports,
    /// Of its node.
    pub peer_id: String,
    /// Whether it collects: its targets lie beside its configuration then.
    pub collects: bool,
}

/// The configurations of all agents of a federation, `<member>/agent.yaml`.
pub fn agents(dir: &Path, seats: &[Seat], finality_seconds: u64) -> Result<()> {
    for seat in seats {
        let others = seats.iter().filter(|other| other.founder.id != seat.founder.id).map(|other| {
            json!({
                "member": other.founder.id,
                "address": format!("127.0.0.1:{}", other.ports.peer),
                "node": format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", other.ports.node, other.peer_id),
            })
        });
        let mut config = agent_config(&seat.founder, seat.ports);
        config["node"]["finality_seconds"] = finality_seconds.into();
        config["peers"] = json!({
            "listen": format!("127.0.0.1:{}", seat.ports.peer),
            "members": others.collect::<Vec<_>>(),
        });
        if seat.collects {
            config["targets"] = "targets.json".into();
            config["collection"]["schemas"] = json!({ "from": "device" });
        }
        write_config(dir, &seat.founder, &config)?;
    }
    Ok(())
}

/// The configuration of an agent that knows no other, `<member>/agent.yaml`. It collects.
pub fn lone_agent(dir: &Path, founder: &Founder, ports: Ports) -> Result<()> {
    let mut config = agent_config(founder, ports);
    config["targets"] = "targets.json".into();
    write_config(dir, founder, &config)
}

fn agent_config(founder: &Founder, ports: Ports) -> Json {
    json!({
        "format": "ranproof/agent/1",
        "operator": founder.id,
        "data": "data",
        "genesis": "../genesis.json",
        "agreement": "bj-east",
        "listen": format!("127.0.0.1:{}", ports.page),
        "title": format!("ranproof demo: {}", founder.name),
        "collection": { "every_minutes": 0, "deadline_seconds": 20 },
        "node": { "listen": format!("127.0.0.1:{}", ports.node) },
    })
}

fn write_config(dir: &Path, founder: &Founder, config: &Json) -> Result<()> {
    write(&dir.join(founder.id).join("agent.yaml"), &serde_json::to_string_pretty(config)?)
}

/// Where free ports are looked for: below the simulator's, and below those that systems take for outgoing connections,
/// so that an agent that was away finds its own free.
const PORTS: std::ops::Range<u16> = 10_000..15_000;

/// Ports that nobody listens on now, all different. Another process begins to look elsewhere.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let span = u32::from(PORTS.end - PORTS.start);
    let begin = std::process::id().wrapping_mul(16) % span;
    let candidates = (0..span).filter_map(|step| u16::try_from((begin + step) % span).ok());
    let held: Vec<TcpListener> = candidates
        .filter_map(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + offset)).ok())
        .take(count)
        .collect();
    ensure!(held.len() == count, "no {count} free ports between {} and {}", PORTS.start, PORTS.end);
    held.iter().map(|listener| Ok(listener.local_addr().context("no free port")?.port())).collect()
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
