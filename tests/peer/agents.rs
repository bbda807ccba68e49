//! Whole agents: Telecom's with the only validator, a tower company's and a witness's that follow it. Unicom, and one
//! that gives wrong bytes in Telecom's name, are played here.

use std::path::Path;
use std::time::{Duration, Instant};

use agent::api::types::{ChainInfo, KeyInfo};
use agent::cli::node::load_genesis;
use agent::client::{AgentOptions, Client};
use agent::config::PeerEntry;
use agent::demo::files::{self, Founder, Ports, Seat};
use agent::peer::status::StatusBody;
use agent::peer::{self, Identity, Limits, Patience, Peers};
use anchor::transaction::{
    AgreementStatement, ApprovalStatement, Decision, Subject, SubjectKind, statement_hash,
};
use anchor::{Action, Hash, Transaction};
use axum::Router;
use axum::extract::Path as UrlPath;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::process::{PATIENCE, Process, ranproof};

const fn founder(id: &'static str, name: &'static str, role: &'static str, power: u64) -> Founder {
    Founder { id, name, role, power }
}

const MEMBERS: [Founder; 4] = [
    founder("telecom", "Telecom", "operator", 3),
    founder("unicom", "Unicom", "operator", 0),
    founder("tower", "Tower", "tower", 0),
    founder("witness", "Witness", "witness", 0),
];

/// A federation's folder with everybody's configuration.
struct Federation {
    folder: tempfile::TempDir,
    seats: Vec<Seat>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

impl Federation {
    fn found() -> Federation {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| command(ranproof(args));
        let public = files::federation(folder.path(), &MEMBERS, run).unwrap();
        let free = files::free_ports(3 * MEMBERS.len()).unwrap();
        let seat = |(founder, ports): (&Founder, &[u16])| Seat {
            founder: *founder,
            ports: Ports { page: ports[0], node: ports[1], peer: ports[2] },
            peer_id: public[founder.id]["peer_id"].as_str().unwrap().to_owned(),
            collects: false,
        };
        let seats: Vec<Seat> = MEMBERS.iter().zip(free.chunks(3)).map(seat).collect();
        files::agents(folder.path(), &seats, 15).unwrap();
        files::agreement(&folder.path().join("agreement.yaml"), 12).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Federation { folder, seats, runtime, stop: watch::Sender::new(false) }
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> String {
        files::text(&self.dir().join(name))
    }

    fn seat(&self, id: &str) -> &Seat {
        self.seats.iter().find(|seat| seat.founder.id == id).unwrap()
    }

    /// What `member`'s agent would be to the others, without its process: it knows Telecom's.
    fn played(&self, member: &str) -> Peers {
        let entry = PeerEntry {
            member: "telecom".into(),
            address: format!("127.0.0.1:{}", self.seat("telecom").ports.peer),
            node: None,
        };
        let identity = Identity::load(&self.dir().join(member).join("data/keys")).unwrap();
        let pins = peer::pins(&load_genesis(&self.dir().join("genesis.json")).unwrap());
        Peers::new(&identity, pins, &[entry], Patience::default()).unwrap()
    }

    /// Answers in `member`'s name, with its certificate, until the end of the test.
    fn answer_as(&self, member: &str, port: u16, router: Router) {
        let server = self.played(member).server(router, Limits::default()).unwrap();
        let listener = self.runtime.block_on(TcpListener::bind(("127.0.0.1", port))).unwrap();
        self.runtime.spawn(server.serve(listener, self.stop.subscribe()));
    }

    /// Has `member` ask for Telecom's bodies elsewhere than at Telecom's.
    fn mislead(&self, member: &str, port: u16) {
        let path = self.dir().join(member).join("agent.yaml");
        let mut config: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let entries = config["peers"]["members"].as_array_mut().unwrap();
        let telecom = entries.iter_mut().find(|entry| entry["member"] == "telecom").unwrap();
        telecom["address"] = format!("127.0.0.1:{port}").into();
        std::fs::write(&path, config.to_string()).unwrap();
    }

    fn start(&self, member: &str) -> Agent {
        let config = self.path(&format!("{member}/agent.yaml"));
        let log = self.dir().join(format!("{member}.log"));
        let mut process = Process::start(ranproof(&["agent", "--config", &config]), log);
        process.wait_for_words("Pages at ");
        Agent {
            process,
            url: format!("http://127.0.0.1:{}", self.seat(member).ports.page),
            token_file: self.path(&format!("{member}/data/api.token")),
            log: self.path(&format!("{member}.log")),
        }
    }

    /// Runs a command as somebody of `member` at `agent`.
    fn command(&self, member: &str, agent: &Agent, args: &[&str]) -> anyhow::Result<String> {
        let mut ran = ranproof(args);
        ran.env("RANPROOF_AGENT", &agent.url)
            .env("RANPROOF_TOKEN_FILE", &agent.token_file)
            .env("RANPROOF_KEY", self.path(&format!("people/{member}/approval.key")));
        command(ran)
    }
}

struct Agent {
    process: Process,
    url: String,
    token_file: String,
    log: String,
}

impl Agent {
    fn client(&self) -> Client {
        let token_file = Some(self.token_file.clone().into());
        Client::new(&AgentOptions { url: self.url.clone(), token_file }).unwrap()
    }

    fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Status and JSON of `POST path` with the token.
    fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let token = std::fs::read_to_string(&self.token_file).unwrap();
        let http = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let request = http
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json");
        let mut response = request.send(body.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    }
}

fn command(mut command: std::process::Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {words}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until `ready` gives something.
fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn body_path(hash: &Hash) -> String {
    format!("/peer/v1/body/{hash}")
}

#[test]
fn bodies_come_to_whom_they_concern_and_nobody_approves_unread() {
    let federation = Federation::found();
    let liar = files::free_ports(20).unwrap()[19];
    federation.mislead("tower", liar);
    let lie = Router::new().route("/peer/v1/body/{hash}", get(|| async { "something else" }));
    federation.answer_as("telecom", liar, lie);

    let mut telecom = federation.start("telecom");
    let mut tower = federation.start("tower");
    let mut witness = federation.start("witness");
    let nobodys = hex::encode(borsh::to_vec(&Action::RegisterAgreement(unknown_agreement())).unwrap());
    let (status, answer) = approve_unread(&federation, &tower, &nobodys);
    assert_eq!(
        (status, &answer["code"]),
        (409, &json!("body-unread")),
        "of what is not registered: {answer}"
    );
    federation
        .command("telecom", &telecom, &["agreement", "register", &federation.path("agreement.yaml")])
        .unwrap();
    let agreement = wait("agreement at the tower company's agent", || {
        tower.client().subject(SubjectKind::Agreement, "bj-east").ok()
    });
    let body = agreement.body.unwrap();

    // The tower company was given wrong bytes by whoever proposed, and nobody else had the body.
    tower.process.wait_for("words about wrong bytes", || {
        tower_words(&federation).contains("that have another SHA-256").then_some(())
    });
    let (status, answer) = approve_unread(&federation, &tower, &agreement.action);
    assert_eq!((status, &answer["code"]), (409, &json!("body-unread")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("is not here"), "{answer}");

    // Unicom has it from Telecom and gives it: the tower company's agent takes it from there.
    let unicom = federation.played("unicom");
    let bytes =
        federation.runtime.block_on(unicom.get("telecom", &body_path(&body), 1 << 20)).unwrap().unwrap();
    assert_eq!(Hash::of(&bytes), body);
    let honest = move |UrlPath(hash): UrlPath<String>| async move {
        if hash == body.to_string() { Ok(bytes.clone()) } else { Err(StatusCode::NOT_FOUND) }
    };
    let honest = Router::new().route("/peer/v1/body/{hash}", get(honest));
    federation.answer_as("unicom", federation.seat("unicom").ports.peer, honest);
    wait("body at the tower company's agent", || tower.client().body(&body, None).ok());
    assert!(tower.words().contains("from `unicom`"), "{}", tower.words());

    // It is there but nobody has read it; who reads it may approve it.
    let (status, answer) = approve_unread(&federation, &tower, &agreement.action);
    assert_eq!((status, &answer["code"]), (409, &json!("body-unread")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("tower has not read"), "{answer}");
    let without_token = Client::new(&AgentOptions { url: tower.url.clone(), token_file: None })
        .unwrap()
        .body(&body, Some("tower"));
    assert!(
        without_token.unwrap_err().to_string().contains("token"),
        "reading is remembered for the token's holder"
    );
    federation.command("tower", &tower, &["agreement", "approve", "bj-east"]).unwrap();
    for member in ["telecom", "unicom"] {
        federation.command(member, &telecom, &["agreement", "approve", "bj-east"]).unwrap();
    }

    visibility(&federation, &telecom, &body);
    strangers_to_stations(&tower, &witness);
    let told = tower.words().matches("that have another SHA-256").count();
    assert_eq!(told, 1, "{}", tower.words());
    for agent in [&mut telecom, &mut tower, &mut witness] {
        agent.process.stop();
    }
    federation.stop.send_replace(true);
}

fn tower_words(federation: &Federation) -> String {
    std::fs::read_to_string(federation.path("tower.log")).unwrap_or_default()
}

/// Signs an approval as the tower company would and hands it to its agent, without reading anything.
fn approve_unread(federation: &Federation, agent: &Agent, action: &str) -> (u16, Json) {
    let key = agent::keys::load(&federation.dir().join("people/tower/approval.key")).unwrap();
    let client = agent.client();
    let chain: ChainInfo = client.get("/api/v1/chain").unwrap();
    let info: KeyInfo = client.get(&format!("/api/v1/keys/{}", key.public())).unwrap();
    let action: Action = borsh::from_slice(&hex::decode(action).unwrap()).unwrap();
    let approval = ApprovalStatement {
        subject: Subject { kind: SubjectKind::Agreement, id: "bj-east".into(), version: 1 },
        statement: statement_hash(&action),
        decision: Decision::Approve,
    };
    let transaction = Transaction {
        chain_id: chain.chain_id,
        sender: key.public(),
        sequence: info.next_sequence,
        action: Action::Approve(approval),
    };
    let signed = hex::encode(transaction.sign(&key).encode());
    agent.post("/api/v1/transactions", &json!({ "transaction": signed }))
}

fn unknown_agreement() -> AgreementStatement {
    AgreementStatement {
        id: "bj-east".into(),
        version: 1,
        body: Hash::of(b"x"),
        parties: vec!["telecom".into(), "tower".into()],
        change_approvers: vec!["telecom".into()],
        attest_within: 60_000,
    }
}

/// Who may read an agreement, and who a change request.
fn visibility(federation: &Federation, telecom: &Agent, agreement: &Hash) {
    let now = agent::clock::now();
    let request = json!({
        "format": "ranproof/change/1", "id": "CR-1", "kind": "change", "agreement": "bj-east",
        "agreement_version": 1, "proposer": "telecom", "title": "New PCI",
        "scope": "SubNetwork=bj-east,ManagedElement=gnb-0001",
        "window": { "from": now, "to": now.plus_millis(3_600_000) },
        "edits": [{
            "object": "SubNetwork=bj-east,ManagedElement=gnb-0001,GNBDUFunction=1,NRCellDU=1",
            "attribute": "nRPCI", "old": "101", "new": "102",
        }],
    });
    let file = federation.dir().join("change.json");
    std::fs::write(&file, request.to_string()).unwrap();
    federation.command("telecom", telecom, &["change", "propose", &files::text(&file)]).unwrap();
    let change = telecom.client().subject(SubjectKind::Change, "CR-1").unwrap().body.unwrap();
    for (member, agreement_concerns, change_concerns) in
        [("unicom", true, true), ("tower", true, false), ("witness", false, false)]
    {
        let peers = federation.played(member);
        let gets = |hash: &Hash| {
            let (peers, path) = (&peers, body_path(hash));
            // The agent looks at a block once it is final: what concerns somebody may take a moment.
            federation
                .runtime
                .block_on(async move { peers.get("telecom", &path, 1 << 20).await.unwrap().is_some() })
        };
        if change_concerns {
            wait("the change request's body", || gets(&change).then_some(()));
        }
        assert_eq!(gets(agreement), agreement_concerns, "{member} and the agreement");
        assert_eq!(gets(&change), change_concerns, "{member} and the change request");
        assert!(!gets(&Hash::of(b"nothing")), "what is not there looks the same");
    }
    let status =
        federation.runtime.block_on(federation.played("witness").get("telecom", "/peer/v1/status", 4096));
    let status: StatusBody = serde_json::from_slice(&status.unwrap().unwrap()).unwrap();
    let chain: ChainInfo = telecom.client().get("/api/v1/chain").unwrap();
    assert_eq!((status.member.as_str(), status.genesis), ("telecom", chain.genesis));
    assert!(status.height > 0 && status.time.abs_diff(now.millis()) < 60_000, "{status:?}");
}

/// Members without stations follow the chain, show their pages, and complain of nothing.
fn strangers_to_stations(tower: &Agent, witness: &Agent) {
    for agent in [tower, witness] {
        let (status, answer) = agent.post("/api/v1/rounds", &json!({}));
        assert_eq!((status, &answer["code"]), (409, &json!("no-rounds")), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("hint:"), "{answer}");
        wait("the change request on the chain", || agent.client().subject(SubjectKind::Change, "CR-1").ok());
        for page in [
            "/",
            "/violations",
            "/changes",
            "/changes/CR-1",
            "/rounds",
            "/chain",
            "/api/v1/stations",
            "/metrics",
        ] {
            agent.client().get_bytes(page).unwrap_or_else(|e| panic!("{page}: {e}"));
        }
        let words = agent.words();
        // Unicom's agent and one of the four are away: each is told once.
        let complaints: Vec<&str> =
            words.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        assert!(complaints.len() <= 8, "{complaints:#?}");
        assert!(!words.contains("ERROR"), "{words}");
    }
}
