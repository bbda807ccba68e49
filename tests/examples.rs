//! What lies in `examples/` is what the programs read: every file loads by the code that reads it, and
//! `agent.yaml` has every key with its default. And the small bodies of `docs/formats.md` hash as it says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::config::{AgentConfig, PeerEntry, Targets, parse_yaml, read_yaml};
use agent::statements::{self, PolicyBody, PolicyFile};
use anchor::commitment::MapSecret;
use anchor::transaction::statement_hash;
use anchor::{Action, Genesis, Hash, Trust};
use model::{Agreement, ChangeRequest, Inventory, Profile};
use policies::PolicySet;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// Keys that have no default.
const REQUIRED: [&str; 5] = ["format", "operator", "data", "genesis", "agreement"];

/// Left out by default, but shown.
const SHOWN: [&str; 1] = ["targets"];

#[test]
fn the_agents_example_has_every_key_with_its_default() {
    let written: Value = read_yaml(&example("agent.yaml")).unwrap();
    let given = REQUIRED.iter().chain(&SHOWN);
    let required: serde_json::Map<String, Value> =
        given.map(|key| ((*key).to_owned(), written[*key].clone())).collect();
    let minimal = Value::Object(required).to_string();
    let defaults: AgentConfig = parse_yaml(&minimal, "the required keys alone").unwrap();
    assert_same("", &serde_json::to_value(&defaults).unwrap(), &written);
}

/// Compares key by key, so that a difference is named by its place.
fn assert_same(place: &str, default: &Value, written: &Value) {
    match (default, written) {
        (Value::Object(default), Value::Object(written)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(default), keys(written), "keys of the section `{place}`");
            for (key, value) in default {
                assert_same(&format!("{place}/{key}"), value, &written[key]);
            }
        }
        _ => assert_eq!(default, written, "{place}: left the default, right examples/agent.yaml"),
    }
}

#[test]
fn a_required_key_left_out_is_named() {
    let written: Value = read_yaml(&example("agent.yaml")).unwrap();
    for key in REQUIRED {
        let mut without = written.clone();
        without.as_object_mut().unwrap().remove(key);
        let error = parse_yaml::<AgentConfig>(&without.to_string(), "agent.yaml").unwrap_err();
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
}

#[test]
fn the_agents_example_shows_every_key_of_a_peer() {
    let text = fs::read_to_string(example("agent.yaml")).unwrap();
    let shown = text.lines().find_map(|line| line.trim().strip_prefix("# - ")).unwrap();
    let entry: PeerEntry = parse_yaml(shown, "the peer that agent.yaml shows").unwrap();
    let written: Value = parse_yaml(shown, "the peer that agent.yaml shows").unwrap();
    assert_same("peers/members", &serde_json::to_value(&entry).unwrap(), &written);
}

#[test]
fn an_address_without_a_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.yaml");
    let text = fs::read_to_string(example("agent.yaml")).unwrap();
    let with = "members: [{ member: unicom, address: unicom.example }]";
    fs::write(&path, text.replace("members: []", with)).unwrap();
    let error = AgentConfig::load(&path).unwrap_err().to_string();
    assert!(error.contains("`unicom.example`") && error.contains("hint: host:port"), "{error}");
}

#[test]
fn every_example_is_tested_here_and_listed() {
    let tested: BTreeSet<&str> = [
        "README.md",
        "agent.yaml",
        "agreement.yaml",
        "change.yaml",
        "members.yaml",
        "policy.yaml",
        "targets.yaml",
        "trust.yaml",
    ]
    .into();
    let list = fs::read_to_string(example("README.md")).unwrap();
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(tested.contains(name.as_str()), "no test loads examples/{name}");
        assert!(
            name == "README.md" || list.contains(&format!("`{name}`")),
            "examples/README.md lacks {name}"
        );
    }
}

#[test]
fn the_agents_configuration_and_its_targets_load() {
    let config = AgentConfig::load(&example("agent.yaml")).unwrap();
    assert_eq!(config.targets, Some(example("targets.yaml")));
    let targets = Targets::load(&config.targets.unwrap()).unwrap();
    assert_eq!(targets.stations[1].port, 830, "the port that RFC 6242 assigns is the default");
}

#[test]
fn the_request_fits_the_agreement_and_asks_both_operators() {
    let agreement: Agreement = read_yaml(&example("agreement.yaml")).unwrap();
    let (statement, _) = statements::agreement(&agreement).unwrap();
    assert_eq!(statement.parties, ["telecom", "tower", "unicom"]);
    let mut request: Value = read_yaml(&example("change.yaml")).unwrap();
    assert_eq!(request.get("nonce"), None, "`change propose` draws it");
    request["nonce"] = Value::from("00".repeat(32));
    let request: ChangeRequest = parse_yaml(&request.to_string(), "change.yaml").unwrap();
    let (statement, _) = statements::proposal(&request, &agreement).unwrap();
    assert_eq!(statement.required, ["telecom", "unicom"]);
}

#[test]
fn the_programs_read_agreement_members_and_policy() {
    let program = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ranproof")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let path = |name: &str| example(name).to_str().unwrap().to_owned();
    program(&["agreement", "check", &path("agreement.yaml")]);
    let folder = tempfile::tempdir().unwrap();
    let genesis = folder.path().join("genesis.json");
    let output = genesis.to_str().unwrap();
    program(&[
        "node",
        "genesis",
        "--members",
        &path("members.yaml"),
        "--chain-id",
        "example",
        "--output",
        output,
    ]);
    let genesis: Genesis = read_yaml(&genesis).unwrap();
    assert_eq!(genesis.validators.len(), 1);
    fs::copy(example("policy.yaml"), folder.path().join("policy.yaml")).unwrap();
    program(&["policy", "check", folder.path().to_str().unwrap()]);
}

#[test]
fn the_trust_file_and_the_rule_load() {
    Trust::parse(&fs::read(example("trust.yaml")).unwrap()).unwrap();
    let rule = fs::read_to_string(example("policy.yaml")).unwrap();
    PolicySet::load(&[("policy.yaml".to_owned(), rule)]).unwrap();
}

/// A body with its canonical text and hash, as `docs/formats.md` tells.
fn body<T: serde::Serialize>(of: &T) -> Value {
    let bytes = statements::canonical(of).unwrap();
    json!({ "sha256": Hash::of(&bytes), "canonical": String::from_utf8(bytes).unwrap() })
}

/// The least that makes an agreement.
fn agreement() -> Agreement {
    let text = json!({
        "format": "ranproof/agreement/1", "id": "bj", "version": 1, "title": "Shared",
        "parties": [
            { "id": "telecom", "name": "Telecom", "kind": "operator", "plmns": ["460-11"] },
            { "id": "unicom", "name": "Unicom", "kind": "operator", "plmns": ["460-01"] },
        ],
        "districts": [{ "scope": "SubNetwork=bj", "master_operator": "telecom" }],
        "sharing": [{ "scope": "SubNetwork=bj", "plmns": ["460-11", "460-01"] }],
        "rights": [], "key_attributes": ["NRCellDU.*"],
        "collection": { "period_minutes": 15, "attest_within_minutes": 60 },
        "map_secret": "09".repeat(32),
    });
    parse_yaml(&text.to_string(), "the smallest agreement").unwrap()
}

fn inventory() -> Inventory {
    let text = json!({
        "format": "ranproof/inventory/1", "agreement": "bj", "origin": "telecom", "version": 1,
        "stations": [{
            "element": "SubNetwork=bj,ManagedElement=g1", "gnb_id": "1",
            "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            "profile": "plain",
        }],
    });
    parse_yaml(&text.to_string(), "the smallest inventory").unwrap()
}

fn request() -> ChangeRequest {
    let text = json!({
        "format": "ranproof/change/1", "id": "CR-1", "kind": "change", "agreement": "bj", "agreement_version": 1,
        "proposer": "telecom", "title": "New PCI", "scope": "SubNetwork=bj,ManagedElement=g1",
        "window": { "from": "2026-11-22T02:00:00+08:00", "to": "2026-11-22T05:00:00.5Z" },
        "edits": [{
            "object": "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRCellDU=1", "attribute": "nRPCI",
            "old": "101", "new": "102",
        }],
        "nonce": "77".repeat(32),
    });
    parse_yaml(&text.to_string(), "the smallest request").unwrap()
}

/// With `RANPROOF_UPDATE_VECTORS=1` the file is written anew; read the difference before it is committed.
#[test]
fn body_vectors() {
    let (agreement, inventory, request) = (agreement(), inventory(), request());
    let policy_set = PolicyBody {
        format: PolicyBody::FORMAT.to_owned(),
        id: "core".to_owned(),
        version: 1,
        files: vec![PolicyFile { name: "a.yaml".to_owned(), text: "format: ranproof/policy/1\n".to_owned() }],
    };
    let (registered, _) = statements::agreement(&agreement).unwrap();
    let registered = Action::RegisterAgreement(registered);
    let (stations, _) = statements::inventory(&inventory, &agreement).unwrap();
    let (proposal, _) = statements::proposal(&request, &agreement).unwrap();
    let plain = Profile::plain("plain");
    let found = json!({
        "agreement": body(&agreement),
        "agreement_statement": { "action": hex::encode(borsh::to_vec(&registered).unwrap()), "hash": statement_hash(&registered) },
        "inventory": body(&inventory),
        "station": body(&inventory.stations[0]),
        "station_key": MapSecret([9; 32]).station_key("SubNetwork=bj,ManagedElement=g1"),
        "inventory_root": stations.root,
        "policy_set": body(&policy_set),
        "profiles": body(&BTreeMap::from([("plain", &plain)])),
        "request": body(&request),
        "proposal": proposal,
    });
    let path = root().join("tests/vectors/bodies.json");
    let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("RANPROOF_UPDATE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap();
    assert_eq!(text, stored, "tests/vectors/bodies.json differs; if meant, set RANPROOF_UPDATE_VECTORS=1");
}
