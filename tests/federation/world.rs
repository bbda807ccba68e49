//! Four members, each with an agent in a process of its own that can be killed, stopped and started again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use agent::api::types::RoundSummary;
use agent::client::{AgentOptions, Client};
use agent::statements;
use anchor::transaction::{Subject, SubjectKind};
use anchor::{Action, Hash};
use model::{Agreement, Timestamp};
use serde_json::{Value as Json, json};
use store::{ForkRow, Store, StoreConfig, Vouched};
use tokio::runtime::Runtime;

use crate::alone;
use crate::check::Seen;
use crate::files;
use crate::network::{self, Place};
use crate::person::{Acknowledged, Person};
use crate::process::Process;

pub const MEMBERS: [&str; 4] = ["telecom", "unicom", "tower", "witness"];
pub const ROLES: [&str; 4] = ["operator", "operator", "tower", "witness"];
pub const POWERS: [u64; 4] = [3, 3, 3, 1];
pub const TELECOM: usize = 0;
pub const UNICOM: usize = 1;
pub const TOWER: usize = 2;
pub const WITNESS: usize = 3;

/// Telecom's stations.
pub const STATIONS: usize = 2;

/// Longest wait for something that the chain is to reach.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Where a member's agent answers people.
#[derive(Debug, Clone)]
pub struct Desk {
    member: &'static str,
    url: String,
    token_file: PathBuf,
}

impl Desk {
    pub fn member(&self) -> &'static str {
        self.member
    }

    pub fn client(&self) -> Client {
        let options = AgentOptions { url: self.url.clone(), token_file: Some(self.token_file.clone()) };
        Client::new(&options).unwrap()
    }
}

/// The running federation.
pub struct World {
    pub dir: PathBuf,
    pub places: [Place; 4],
    pub agreement: Agreement,
    pub runtime: Runtime,
    pub agents: [Option<Process>; 4],
    _stations: Process,
    /// How often something was started, for the names of logs.
    starts: usize,
    /// Every transaction that an agent said is final.
    pub acknowledged: Mutex<Vec<Acknowledged>>,
    /// What was seen so far and must stay so.
    pub seen: Seen,
    /// Whose logs told two stories and are not cosigned any more.
    pub convicted: BTreeSet<&'static str>,
    // Last, so that the folder goes after the processes that use it.
    _folder: tempfile::TempDir,
}

impl World {
    /// Founds the federation, starts everybody, and has agreement, rules and inventory agreed.
    pub fn build(seed: u64) -> World {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let places = network::build();
        let peers = files::genesis(&dir);
        files::agents(&dir, &places, &peers);
        let (stations, known) = stations(&dir, seed);
        let inventory = files::inventory(&dir, &known);
        let mut world = World {
            dir,
            places,
            agreement: files::agreement(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            agents: [None, None, None, None],
            _stations: stations,
            starts: 0,
            acknowledged: Mutex::default(),
            seen: Seen::default(),
            convicted: BTreeSet::new(),
            _folder: folder,
        };
        world.start_all();
        world.agree(&inventory);
        world
    }

    pub fn start_all(&mut self) {
        for member in 0..MEMBERS.len() {
            self.launch(member);
        }
        for member in 0..MEMBERS.len() {
            self.await_start(member);
        }
    }

    /// Starts a member's agent and waits until it answers.
    pub fn start(&mut self, member: usize) {
        self.launch(member);
        self.await_start(member);
    }

    /// The same, with a clock that differs from everybody's by `offset`, such as `+3600s`.
    pub fn start_with_clock(&mut self, member: usize, offset: &str) {
        let library = alone::wrong_clock().expect("looked for before the test began");
        let clock = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME", offset),
            // Only the time of day is wrong: pauses stay as long as they are.
            ("DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.launch_with(member, &clock);
        self.await_start(member);
    }

    fn launch(&mut self, member: usize) {
        self.launch_with(member, &[]);
    }

    fn launch_with(&mut self, member: usize, environment: &[(&str, &str)]) {
        self.starts += 1;
        let name = MEMBERS[member];
        let log = self.dir.join(format!("{name}-{}.log", self.starts));
        let config = self.dir.join(name).join("agent.yaml");
        let mut command = network::program(name);
        command.args(["agent", "--config"]).arg(config).envs(environment.iter().copied());
        self.agents[member] = Some(Process::start(command, log));
    }

    fn await_start(&mut self, member: usize) {
        self.agents[member].as_mut().unwrap().wait_for_words("Pages at ");
    }

    /// Ends an agent as `kill -9` does, and asserts that this is what ended it.
    pub fn kill(&mut self, member: usize) {
        let mut process = self.agents[member].take().expect("it runs");
        assert_eq!(process.kill(), Some(9), "{} did not die of the kill", MEMBERS[member]);
    }

    /// Ends all agents as their members would.
    pub fn stop_all(&mut self) {
        for process in self.agents.iter_mut().flatten() {
            process.stop();
        }
        self.agents = [None, None, None, None];
    }

    pub fn desk(&self, member: usize) -> Desk {
        let name = MEMBERS[member];
        let token_file = self.dir.join(name).join("data/api.token");
        Desk { member: name, url: format!("http://{}", self.places[member].page), token_file }
    }

    pub fn client(&self, member: usize) -> Client {
        self.desk(member).client()
    }

    /// Somebody of this member at its own agent.
    pub fn person(&self, member: usize) -> Person {
        let key = self.dir.join(format!("people/{}/approval.key", MEMBERS[member]));
        Person::sit_down(&key, self.desk(member))
    }

    /// Height of the newest block that is final for this member.
    pub fn tip(&self, member: usize) -> u64 {
        let chain: Json = self.client(member).get("/api/v1/chain").unwrap();
        chain["height"].as_u64().unwrap()
    }

    /// Waits until this member has the block at `height`; tells how long that took.
    pub fn reach(&self, member: usize, height: u64) -> Duration {
        let begun = Instant::now();
        self.wait_for(&format!("{} at height {height}", MEMBERS[member]), || {
            (self.tip(member) >= height).then_some(())
        });
        begun.elapsed()
    }

    /// Waits until `ready` gives something.
    pub fn wait_for<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = ready() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what} in time\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One proposal of Telecom, final; how long that took.
    pub fn finalize(&self, id: &str) -> Duration {
        let begun = Instant::now();
        let (action, _, body) = crate::person::change_request(&self.agreement, id);
        let mut person = self.person(TELECOM);
        person.propose(&action, &body, &AtomicBool::new(false)).unwrap();
        self.note(&person);
        begun.elapsed()
    }

    /// One round of Telecom.
    pub fn collect(&self) -> RoundSummary {
        self.client(TELECOM).post("/api/v1/rounds", &json!({})).unwrap()
    }

    /// Keeps what the person's agent acknowledged.
    pub fn note(&self, person: &Person) {
        self.acknowledged.lock().unwrap().extend(person.acknowledged.iter().cloned());
    }

    /// A member's database. Its agent may have it open too.
    pub fn store(&self, member: usize) -> Store {
        let path = self.dir.join(MEMBERS[member]).join("data/ranproof.db");
        self.runtime.block_on(Store::open(StoreConfig::new(path))).unwrap()
    }

    /// The largest head of an origin's log that the member's cosigner vouched for.
    pub fn vouched(&self, member: usize, origin: usize) -> Option<Vouched> {
        let store = self.store(member);
        self.runtime.block_on(async {
            let head = store.vouched(MEMBERS[origin]).await.unwrap();
            store.close().await;
            head
        })
    }

    /// What the member has on record against another's log.
    pub fn forks(&self, member: usize, origin: usize) -> Vec<ForkRow> {
        let store = self.store(member);
        self.runtime.block_on(async {
            let forks = store.forks_of(MEMBERS[origin]).await.unwrap();
            store.close().await;
            forks
        })
    }

    /// Heights and times of all final blocks, as the member has them.
    pub fn block_times(&self, member: usize) -> Vec<(u64, Timestamp)> {
        let store = self.store(member);
        self.runtime.block_on(async {
            let blocks = store.blocks(None, u32::MAX).await.unwrap();
            store.close().await;
            blocks.into_iter().map(|block| (block.height, block.time)).collect()
        })
    }

    fn agree(&self, inventory: &model::Inventory) {
        let (agreement, body) = statements::agreement(&self.agreement).unwrap();
        self.agree_on(SubjectKind::Agreement, "bj-east", &Action::RegisterAgreement(agreement), &body);
        let files = policies::packs::NR
            .iter()
            .map(|(name, text)| statements::PolicyFile { name: (*name).into(), text: (*text).into() });
        let policies = statements::PolicyBody {
            format: statements::PolicyBody::FORMAT.into(),
            id: "nr-shared".into(),
            version: 1,
            files: files.collect(),
        };
        let (statement, body) = statements::policy_set(&policies, "bj-east").unwrap();
        self.agree_on(SubjectKind::PolicySet, "nr-shared", &Action::RegisterPolicySet(statement), &body);
        let (statement, body) = statements::inventory(inventory, &self.agreement).unwrap();
        let register = Action::RegisterInventory(statement);
        self.agree_on(SubjectKind::Inventory, "bj-east/telecom", &register, &body);
        // In force one height after the last approval.
        self.finalize("CR-first");
    }

    /// Telecom registers it, and each party approves at its own agent, which fetched the body.
    fn agree_on(&self, kind: SubjectKind, id: &str, register: &Action, body: &[u8]) {
        let (subject, go_on) = (Subject { kind, id: id.into(), version: 1 }, AtomicBool::new(false));
        let mut telecom = self.person(TELECOM);
        telecom.propose(register, body, &go_on).unwrap();
        self.note(&telecom);
        for member in [TELECOM, UNICOM, TOWER] {
            let mut person = self.person(member);
            person.approve(&subject, register, Hash::of(body), &go_on).unwrap();
            self.note(&person);
        }
    }

    /// The ends of the agents' logs, for a test that fails.
    pub fn last_words(&self) -> String {
        let mut logs: Vec<PathBuf> =
            std::fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort_by_key(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok());
        logs.iter().rev().take(MEMBERS.len()).map(|path| tail(path)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            agent::cli::output::talk(&self.last_words());
        }
    }
}

fn tail(log: &Path) -> String {
    let words = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = words.lines().collect();
    let last = &lines[lines.len().saturating_sub(25)..];
    format!("--- {}\n{}\n", log.file_name().unwrap_or_default().to_string_lossy(), last.join("\n"))
}

/// Telecom's stations run where Telecom is.
fn stations(dir: &Path, seed: u64) -> (Process, sim::Inventory) {
    let folder = dir.join("stations");
    std::fs::create_dir(&folder).unwrap();
    let mut command = network::program(MEMBERS[TELECOM]);
    command.args(["sim", "--cells", "1", "--stations", &STATIONS.to_string()]);
    command.args(["--seed", &seed.to_string(), "--dir"]).arg(&folder);
    let mut process = Process::start(command, dir.join("stations.log"));
    process.wait_for_words("\"ready\":true");
    (process, sim::Inventory::read(&folder).unwrap())
}
