//! What is wrong with what people and machines hand in is said in one line, with its place and a hint; it changes
//! nothing, and nothing else suffers from it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/federation.rs"]
mod federation;
#[path = "support/process.rs"]
mod process;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agent::api::types::{ChainInfo, KeyInfo};
use anchor::transaction::{Subject, SubjectKind, WithdrawStatement};
use anchor::{Action, Transaction};
use federation::{Agent, Federation, run};
use process::PROGRAM;
use serde_json::{Value as Json, json};

/// An example file with `from` replaced by `to`, under another name in `dir`.
fn spoiled(dir: &Path, example: &str, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(Path::new("examples").join(example)).unwrap();
    assert!(text.contains(from), "examples/{example} has no `{from}`");
    write(dir, example, text.replacen(from, to, 1).as_bytes())
}

fn write(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn ranproof(args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    for variable in ["RANPROOF_AGENT", "RANPROOF_TOKEN_FILE", "RANPROOF_KEY"] {
        command.env_remove(variable);
    }
    command.args(args).output().unwrap()
}

/// Exit code 2, nothing on standard output, one line `error: …` that has all of `parts`; returns the words.
#[track_caller]
fn refused(args: &[&str], parts: &[&str]) -> String {
    let output = ranproof(args);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
    assert!(output.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    let errors: Vec<&str> = words.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors.as_slice() else { panic!("{args:?}: {words}") };
    assert_eq!(words.lines().last(), Some(*error), "{words}");
    for part in parts.iter().chain(&["hint: "]) {
        assert!(error.contains(part), "{args:?}: no `{part}` in: {error}");
    }
    words
}

/// The same, where nothing else is said.
#[track_caller]
fn refused_in_one_line(args: &[&str], parts: &[&str]) {
    let words = refused(args, parts);
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[test]
fn an_agreement_names_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let check = |from: &str, to: &str, parts: &[&str]| {
        let file = spoiled(folder.path(), "agreement.yaml", from, to);
        refused_in_one_line(&["agreement", "check", file.to_str().unwrap()], parts);
    };
    check("version: 1", "version: [1", &["agreement.yaml:5:"]);
    check("version: 1", "versoin: 1", &["agreement.yaml:5:1: unknown field `versoin`"]);
    check("version: 1", "version: 1\nversion: 2", &["agreement.yaml:6:1: duplicate mapping key: version"]);
    check("id: bj-east\n", "", &["agreement.yaml", "missing field `id`"]);
    check(
        "master_operator: telecom",
        "master_operator: telcom",
        &["agreement.yaml: districts[0]", "`telcom`"],
    );
    check("\"460-11\"] }", "\"4601-1\"] }", &["agreement.yaml: party telecom", "`4601-1`", "mcc-mnc"]);
    check("plmns: [\"460-01\"]", "plmns: [460.01]", &["agreement.yaml"]);
    let file = write(folder.path(), "latin1.yaml", b"format: ranproof/agreement/1\nid: caf\xe9\n");
    refused_in_one_line(&["agreement", "check", file.to_str().unwrap()], &["latin1.yaml:2:8: not UTF-8"]);
}

#[test]
fn each_fault_of_a_policy_folder_has_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let good = std::fs::read_to_string("examples/policy.yaml").unwrap();
    write(folder.path(), "a.yaml", good.replace(">= 5 &&", ">= 5 && &&").as_bytes());
    write(
        folder.path(),
        "b.yaml",
        good.replace("object.ssbPeriodicity >=", "object.ssbPeriodicty >=").as_bytes(),
    );
    let words = refused(&["policy", "check", dir], &["2 faults"]);
    let faults: Vec<&str> = words.lines().filter(|line| !line.starts_with("error: ")).collect();
    assert!(faults[0].starts_with("a.yaml:12:"), "{faults:?}");
    assert!(faults[1].starts_with("b.yaml:12:9: NRCellDU has no attribute `ssbPeriodicty`"), "{faults:?}");
    assert!(faults[1].contains("hint: did you mean `ssbPeriodicity`?"), "{faults:?}");
    assert_eq!(faults.len(), 2, "{faults:?}");
    refused(&["policy", "test", dir], &["2 faults"]);

    let output = ranproof(&["policy", "check", "--json", dir]);
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report["faults"].as_array().unwrap().len()), (Some(2), 2));

    write(folder.path(), "a.yaml", b"format: ranproof/policy/1\nname: [");
    let words = refused(&["policy", "check", dir], &["2 faults"]);
    assert!(words.lines().any(|line| line.starts_with("a.yaml:2:")), "{words}");
}

#[test]
fn a_change_request_names_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let check = |from: &str, to: &str, parts: &[&str]| {
        let file = spoiled(folder.path(), "change.yaml", from, to);
        // Nobody listens there: the file is refused before anybody is asked.
        let args = ["change", "preview", file.to_str().unwrap(), "--agent", "http://127.0.0.1:1"];
        refused_in_one_line(&args, parts);
    };
    check(
        "  - object: \"SubNetwork=bj-east,ManagedElement=gnb-0001",
        "  - object: \"SubNetwork=bj-east,ManagedElement=gnb-0002",
        &["change.yaml: edits[0]", "gnb-0002", "outside the request's scope"],
    );
    check("T05:00:00Z", "X05:00:00Z", &["change.yaml:12:", "2026-11-22X05:00:00Z", "RFC 3339"]);
    check("rollback: true", "rollback: yes", &["change.yaml:18:"]);
    check("    old: \"180000\"", "    old: \"160000\"", &["change.yaml: edits[0]"]);
    let text = std::fs::read_to_string("examples/change.yaml").unwrap();
    let (before, _) = text.split_once("edits:").unwrap();
    let file = write(folder.path(), "none.yaml", format!("{before}edits: []\n").as_bytes());
    let args = ["change", "preview", file.to_str().unwrap(), "--agent", "http://127.0.0.1:1"];
    refused_in_one_line(&args, &["none.yaml", "at least one edit"]);
}

#[test]
fn files_of_a_federation_name_their_faults() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let output = output.to_str().unwrap();
    let members = |from: &str, to: &str, parts: &[&str]| {
        let file = spoiled(folder.path(), "members.yaml", from, to);
        let args =
            ["node", "genesis", "--members", file.to_str().unwrap(), "--chain-id", "x", "--output", output];
        refused_in_one_line(&args, parts);
    };
    members(&"02".repeat(32), "zz", &["members.yaml:8:", "not a public key"]);
    members(&"02".repeat(32), &"01".repeat(32), &["members.yaml", "twice"]);
    members("role: operator", "role: operater", &["members.yaml:6:"]);
    assert!(!Path::new(output).exists(), "nothing is written of what is refused");

    let good = folder.path().join("genesis.json");
    let args = ["node", "genesis", "--members", "examples/members.yaml", "--chain-id", "x", "--output"];
    run(Command::new(PROGRAM).args(args).arg(&good)).unwrap();
    let text = std::fs::read_to_string(&good).unwrap();
    let twice = text.replacen("\"chain_id\"", "\"chain_id\": \"y\",\n  \"chain_id\"", 1);
    let file = write(folder.path(), "twice.json", twice.as_bytes());
    let args = ["node", "trust", "--genesis", file.to_str().unwrap(), "--output", output];
    refused_in_one_line(&args, &["twice.json:4:", "duplicate mapping key: chain_id"]);
    refused_in_one_line(
        &["inventory", "check", write(folder.path(), "i.json", b"{\"stations\": []}").to_str().unwrap()],
        &["i.json:1:", "missing field `format`"],
    );
}

#[test]
fn what_cannot_be_compared_names_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let whole = b"<data xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">\n <ManagedElement xmlns=\"urn:x\"><id>1</id>\
        <attributes><userLabel>a</userLabel></attributes></ManagedElement></data>";
    let good = write(folder.path(), "good.xml", whole);
    let diff = |name: &str, content: &[u8], parts: &[&str]| {
        let file = write(folder.path(), name, content);
        let args = ["diff", good.to_str().unwrap(), file.to_str().unwrap()];
        refused_in_one_line(&args, &[&[name], parts].concat());
    };
    diff("truncated.xml", &whole[..100], &["line 2, column"]);
    diff("latin1.xml", b"<data>\xe9</data>", &["not UTF-8 at byte 6", "line 1, column 7"]);
    diff("cut.json", b"{\"a\": [1,2", &["line 1"]);
    diff("garbage", b"\x00\x01\x02", &["neither XML nor JSON"]);
    diff("empty", b"", &["empty"]);
    let profile =
        write(folder.path(), "profile.json", b"{\"format\": \"ranproof/profile/9\", \"id\": \"p\"}");
    let file = good.to_str().unwrap();
    refused_in_one_line(
        &["diff", file, file, "--profile", profile.to_str().unwrap()],
        &["profile.json: format is `ranproof/profile/9`", "hint: this version reads ranproof/profile/1"],
    );
    let same = ranproof(&["diff", good.to_str().unwrap(), good.to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(0));
}

#[test]
fn evidence_and_trust_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |bundle: &[u8], trust: &Path, parts: &[&str]| {
        let bundle = write(folder.path(), "bundle.json", bundle);
        refused_in_one_line(&["verify", bundle.to_str().unwrap(), "--trust", trust.to_str().unwrap()], parts);
    };
    let trust = Path::new("examples/trust.yaml");
    for bundle in
        [b"{}".as_slice(), b"hello", b"\xff\xfe", b"", b"[[[[[[[[", b"{\"format\":\"ranproof/bundle/9\"}"]
    {
        verify(bundle, trust, &["bundle.json: refused at step format: "]);
    }
    let spoiled = spoiled(folder.path(), "trust.yaml", "chain_id:", "surprise: 1\nchain_id:");
    verify(b"{}", &spoiled, &["trust.yaml", "line 4, column 1", "unknown field `surprise`"]);
}

/// A federation without stations, for an agent that is only asked.
fn federation(dir: &Path) -> Federation {
    let (federation, _) = Federation::found(dir);
    write(dir, "telecom/targets.json", b"{\"credentials\": {}, \"stations\": []}");
    federation
}

#[test]
fn an_agent_does_not_start_on_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(folder.path());
    let config = federation.path("telecom/agent.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let start = |from: &str, to: &str, parts: &[&str]| {
        assert!(text.contains(from), "{text}");
        let file = write(folder.path(), "telecom/spoiled.yaml", text.replacen(from, to, 1).as_bytes());
        refused(&["agent", "--config", file.to_str().unwrap()], parts);
    };
    start("\"operator\"", "\"opreator\"", &["spoiled.yaml:3:", "unknown field `opreator`"]);
    start("\"telecom\"", "\"mobile\"", &["`mobile`", "genesis.json"]);
    // Telecom's folder under Unicom's name.
    start("\"telecom\"", "\"unicom\"", &["telecom/data", "`unicom`"]);
    start("\"../genesis.json\"", "\"../agreement.yaml\"", &["agreement.yaml:"]);
    let targets = |credentials: &str, parts: &[&str]| {
        let content = format!(
            "credentials: {credentials}\nstations:\n  - {{ element: \"ManagedElement=1\", host: 192.0.2.1, credential: reader }}\n"
        );
        write(folder.path(), "telecom/targets.json", content.as_bytes());
        refused(&["agent", "--config", &config], parts);
    };
    targets("{}", &["targets.json", "ManagedElement=1", "`reader`"]);
    targets("{ reader: { user: r } }", &["targets.json", "`reader`", "private_key_file"]);
}

#[test]
fn a_second_agent_leaves_the_first_alone() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(folder.path());
    let mut agent = Agent::start(&federation, "agent.log");
    let config = federation.path("telecom/agent.yaml");
    refused(&["agent", "--config", &config], &["another process uses", "telecom/data"]);
    let chain: ChainInfo = agent.client().get("/api/v1/chain").unwrap();
    assert_eq!(chain.chain_id, "demo");
    agent.process.stop();
}

/// Sends `request` as it is and returns status and body of the answer.
fn http(url: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn an_agent_refuses_what_it_may_not_or_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(folder.path());
    let mut agent = Agent::start(&federation, "agent.log");
    let token = std::fs::read_to_string(&agent.token_file).unwrap();
    let post = |path: &str, token: &str, length: usize, body: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json"
        );
        let request =
            format!("{head}\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}");
        http(&agent.url, &request)
    };
    let problem = |(status, body): (u16, String)| {
        let problem: Json = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        (status, problem["error"].as_str().unwrap().to_owned())
    };
    for path in ["transactions", "bodies", "rounds", "baselines", "changes/preview", "violations/V-1/ack"] {
        for wrong in ["", "00", token.trim().to_uppercase().as_str()] {
            let (status, error) = problem(post(&format!("/api/v1/{path}"), wrong, 2, "{}"));
            assert_eq!(status, 401, "{path}");
            assert!(error.contains("hint: --token-file"), "{error}");
        }
    }
    let (status, _) = post("/api/v1/bodies", token.trim(), 300 << 20, "{}");
    assert_eq!(status, 413);
    for path in ["/api/v1/nothing", "/api/v1/violations/V-0", "/api/v1/rounds/99"] {
        let (status, error) = problem(http(
            &agent.url,
            &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"),
        ));
        assert_eq!(status, 404, "{path}: {error}");
    }
    for body in ["", "{", "{\"elements\": 1}", "{\"surprise\": 1}", "{\"elements\": [\"no dn\"]}"] {
        let (status, error) = problem(post("/api/v1/rounds", token.trim(), body.len(), body));
        assert!((400..500).contains(&status), "{body}: {status} {error}");
    }
    let (status, error) = problem(http(
        &agent.url,
        "GET /api/v1/chain HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
    ));
    assert_eq!(status, 421, "a page whose name was made to point here reads nothing: {error}");
    // No agreement is in force: a round cannot be opened, and says why.
    let (status, error) = problem(post("/api/v1/rounds", token.trim(), 2, "{}"));
    assert!(status >= 400 && error.contains("agreement `bj-east` is not in force"), "{status} {error}");
    agent.process.stop();
}

#[test]
fn a_transaction_with_a_wrong_signature_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(folder.path());
    let mut agent = Agent::start(&federation, "agent.log");
    let client = agent.client();
    let chain: ChainInfo = client.get("/api/v1/chain").unwrap();
    let key = agent::keys::load(&folder.path().join("people/telecom/approval.key")).unwrap();
    let path = format!("/api/v1/keys/{}", key.public());
    let sequence = client.get::<KeyInfo>(&path).unwrap().next_sequence;
    let subject = Subject { kind: SubjectKind::Change, id: "CR-1".into(), version: 1 };
    let action = Action::Withdraw(WithdrawStatement { subject });
    let signed =
        Transaction { chain_id: chain.chain_id, sender: key.public(), sequence, action }.sign(&key).encode();
    let submit = |bytes: &[u8]| {
        client.post::<Json>("/api/v1/transactions", &json!({ "transaction": hex::encode(bytes) }))
    };
    for position in 0..signed.len() {
        let mut wrong = signed.clone();
        wrong[position] ^= 1;
        let error = submit(&wrong).unwrap_err().to_string();
        assert!(error.starts_with("the contract refuses the transaction: "), "byte {position}: {error}");
    }
    submit(&signed[..signed.len() - 1]).unwrap_err();
    submit(b"").unwrap_err();
    assert!(client.post::<Json>("/api/v1/transactions", &json!({ "transaction": "xyz" })).is_err());
    assert_eq!(client.get::<KeyInfo>(&path).unwrap().next_sequence, sequence, "a refusal used the number");
    // The right one still comes through, up to the contract's own no.
    let result = submit(&signed).unwrap();
    assert_eq!(result["refused"]["code"], "unknown-subject", "{result}");
    assert_eq!(client.get::<KeyInfo>(&path).unwrap().next_sequence, sequence + 1);
    agent.process.stop();
}
