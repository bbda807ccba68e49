//! What is asked of rounds in vain, and what fails after them, over a running agent.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/federation.rs"]
#[expect(dead_code, reason = "shared with tests that do more")]
mod federation;
#[path = "support/process.rs"]
#[expect(dead_code, reason = "shared with tests that do more")]
mod process;
#[path = "support/radio.rs"]
#[expect(dead_code, reason = "shared with tests that do more")]
mod radio;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use radio::{STATIONS, World};
use serde_json::{Value as Json, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

const POWER: &str = "GNBDUFunction=1,NRSectorCarrier=1";

/// Status and answer, whatever they are.
fn ask(world: &World, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let token = std::fs::read_to_string(&world.agent.token_file).unwrap();
    let (token, body) = (token.trim(), body.to_string());
    let mut stream = TcpStream::connect(world.agent.url.trim_start_matches("http://")).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close");
    let kind = format!("authorization: Bearer {token}\r\ncontent-type: application/json");
    write!(stream, "{head}\r\n{kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or_else(|_| json!({ "error": body })))
}

/// The same for what is refused: status and words.
fn refused(world: &World, method: &str, path: &str, body: &Json) -> (u16, String) {
    let (status, answer) = ask(world, method, path, body);
    (status, answer["error"].as_str().unwrap_or_default().to_owned())
}

/// Rounds by how they ended.
fn rounds(world: &World, result: &str) -> u64 {
    let text = String::from_utf8(world.client().get_bytes("/metrics").unwrap()).unwrap();
    let line = format!("ranproof_rounds_total{{result=\"{result}\"");
    let line = text.lines().find(|l| l.starts_with(&line)).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Names a table of the running agent's database otherwise.
fn rename(world: &World, table: &str, name: &str) {
    let path = world.federation.path("telecom/data/ranproof.db");
    world.runtime.block_on(async {
        let mut link = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        // Rows that refer to it go on naming the table that is away.
        let rename = format!("PRAGMA legacy_alter_table = 1; ALTER TABLE {table} RENAME TO {name};");
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut link).await.unwrap();
        link.close().await.unwrap();
    });
}

#[test]
fn a_station_that_nobody_agreed_on_is_refused_before_anything_is_begun() {
    let world = World::build(7);
    let asked = json!({ "elements": ["SubNetwork=nowhere,ManagedElement=1"] });
    let next = world.next_round();
    let (status, words) = refused(&world, "POST", "/api/v1/rounds", &asked);
    assert_eq!(status, 400, "{words}");
    assert!(words.contains("not in the agreed inventory; hint: such as "), "{words}");
    assert_eq!((rounds(&world, "error"), world.next_round()), (0, next));

    // A round stands when the database fails after it, and so do its figures.
    let complete = rounds(&world, "complete");
    rename(&world, "bundles", "away");
    let summary = world.round();
    assert_eq!((summary.unchanged, summary.bundles.len()), (STATIONS as u64, 0));
    assert_eq!((rounds(&world, "error"), rounds(&world, "complete")), (0, complete + 1));
    rename(&world, "away", "bundles");
    world.round();
}

#[test]
fn what_is_missing_what_has_to_wait_and_what_is_broken_are_told_apart() {
    let world = World::build(8);
    let bundle = |id: &str| refused(&world, "GET", &format!("/api/v1/bundles/{id}"), &json!({}));
    assert_eq!(bundle("round-1").0, 200);
    assert_eq!(bundle("round-99").0, 404);
    assert_eq!(bundle("V-0").0, 404);
    let carrier = world.object(1, POWER);
    world.agree_on("CR-1", &carrier, "configuredMaxTxPower", "19999");
    let (status, words) = bundle("CR-1");
    assert_eq!(status, 409, "{words}");
    assert!(words.contains("no round of this operator saw CR-1 carried out; hint:"), "{words}");

    let draft = |elements: &[&str]| {
        refused(&world, "POST", "/api/v1/baselines", &json!({ "id": "BL-2", "elements": elements }))
    };
    let (status, words) = draft(&[]);
    assert_eq!(status, 409, "{words}");
    assert_eq!(draft(&["SubNetwork=nowhere,ManagedElement=1"]).0, 400);
    rename(&world, "log_leaves", "away");
    rename(&world, "baseline_stations", "gone");
    assert_eq!((bundle("round-1").0, draft(&[]).0), (500, 500));
    rename(&world, "away", "log_leaves");
    rename(&world, "gone", "baseline_stations");

    let verb =
        |path: &str, words: Json| refused(&world, "POST", &format!("/api/v1/violations/V-0/{path}"), &words);
    for (path, words, status) in [
        ("comment", json!({ "by": "li", "comment": " " }), 400),
        ("assign", json!({ "by": "li", "to": "" }), 400),
        ("ack", json!({ "by": "l".repeat(81) }), 400),
        ("resolve", json!({ "by": "li", "comment": "x".repeat(4_001) }), 400),
        ("close", json!({ "by": "li" }), 404),
        ("ack", json!({ "by": "li" }), 404),
        ("ack?origin=", json!({ "by": "li" }), 404),
        ("ack?origin=nobody", json!({ "by": "li" }), 404),
    ] {
        let (answered, told) = verb(path, words);
        assert_eq!(answered, status, "{path}: {told}");
        assert_eq!(told.contains("judged here"), path.ends_with("nobody"), "{path}: {told}");
    }
}

#[test]
fn every_command_that_does_something_says_so_in_json_where_it_is_asked_to() {
    let world = World::build(9);
    let json = |args: &[&str]| -> Json {
        let printed = world.command("telecom", &[&["--json"], args].concat());
        serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{args:?}: {e}: {printed}"))
    };
    let file = |name: &str| world.federation.path(name);
    let inventory = json(&["inventory", "check", &file("inventory.yaml")]);
    assert_eq!((&inventory["origin"], &inventory["stations"]), (&json!("telecom"), &json!(STATIONS)));
    let key = json(&["node", "key", &file("new.key")]);
    assert!(key["key"].as_str().is_some_and(|key| key.len() > 40), "{key}");
    let trust = ["node", "trust", "--genesis", &file("genesis.json"), "--output", &file("mine.yaml")];
    assert_eq!(json(&trust)["file"], file("mine.yaml"));
    let baseline = ["change", "baseline", "--id", "BL-2", "--output", &file("again.json"), "--element"];
    let station = world.known.stations[0].element.to_string();
    assert_eq!(json(&[&baseline[..], &[&station]].concat())["id"], "BL-2");
    let set = ["--id", "nr-shared", "--set-version", "2", "--agreement", "bj-east"];
    let registered = json(&[&["policy", "register", &file("policies")], &set[..]].concat());
    assert!(registered["height"].is_u64(), "{registered}");

    let carrier = world.object(1, POWER);
    let power = world.approved(&carrier, "configuredMaxTxPower").to_string();
    world.agree_on("CR-1", &carrier, "configuredMaxTxPower", &format!("{power}1"));
    assert!(json(&["change", "withdraw", "CR-1"])["height"].is_u64());
    assert_eq!(json(&["bundle", "round-1", "--output", &file("round.json")])["id"], "round-1");

    world.edit(&carrier, sim::manager::Edit::set(carrier.as_str(), "configuredMaxTxPower", "12345"));
    world.round();
    let violations: Json = world.client().get("/api/v1/violations?state=open").unwrap();
    let id = violations["violations"][0]["id"].as_str().unwrap_or_else(|| panic!("{violations}")).to_owned();
    for (verb, more, state) in [
        ("ack", None, "acknowledged"),
        ("assign", Some(["--to", "field-east"]), "acknowledged"),
        ("comment", Some(["--comment", "asked"]), "acknowledged"),
        ("resolve", None, "resolved"),
    ] {
        let args = [&["violation", verb, &id, "--by", "li"][..], more.as_ref().map_or(&[], |m| &m[..])];
        let done = json(&args.concat());
        assert_eq!((&done["id"], &done["state"]), (&json!(id), &json!(state)), "{done}");
    }
}
