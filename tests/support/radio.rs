//! A small network for tests of crashes: stations in one process, Telecom's agent in another, both restartable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent::api::types::RoundSummary;
use agent::client::{Client, percent};
use agent::demo::files;
use collector::session::Limits;
use model::change::{ExpectedEdit, Window};
use model::{ChangeKind, ChangeRequest, Dn, Value};
use serde_json::{Value as Json, json};
use sim::manager::{self, Edit, Manager, ManagerError};
use store::{Store, StoreConfig};
use tokio::runtime::Runtime;

use crate::federation::{Agent, Federation, run};
use crate::process::{Process, ranproof};

pub const STATIONS: usize = 4;
const CELLS: usize = 3;

/// A running network, agreed on and baselined.
pub struct World {
    pub federation: Federation,
    pub known: sim::Inventory,
    pub runtime: Runtime,
    seed: u64,
    /// How often something was started, for the names of logs.
    starts: usize,
    pub stations: Process,
    pub agent: Agent,
    // Last, so that the folder goes after the processes that use it.
    _folder: tempfile::TempDir,
}

/// Writes `collection.schemas`, which the next agent goes by.
pub fn read_by(federation: &Federation, schemas: Json) {
    let path = federation.path("telecom/agent.yaml");
    let mut config: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["collection"]["schemas"] = schemas;
    std::fs::write(&path, config.to_string()).unwrap();
}

impl World {
    /// Founds the federation, agrees on everything, reads the stations once and approves what was read.
    pub fn build(seed: u64) -> World {
        World::build_with(seed, None)
    }

    /// The same with this for `collection.schemas`.
    pub fn build_with(seed: u64, schemas: Option<Json>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        std::fs::create_dir(dir.join("stations")).unwrap();
        let (stations, known) = start_stations(dir.join("stations"), seed, dir.join("stations-0.log"));
        let (federation, agreement) = Federation::found(dir);
        if let Some(schemas) = schemas {
            read_by(&federation, schemas);
        }
        files::policies(&dir.join("policies")).unwrap();
        let (inventory, targets) = (dir.join("inventory.yaml"), dir.join("telecom/targets.json"));
        let telecom = ("telecom", &agreement);
        files::stations(&dir.join("stations"), &known, telecom, &inventory, &targets).unwrap();
        let agent = Agent::start(&federation, "agent-0.log");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World { federation, known, runtime, seed, starts: 0, stations, agent, _folder: folder };
        world.agree();
        let first = world.round();
        assert_eq!(first.collected, STATIONS as u64, "{:?}", first.failures);
        let baseline = world.federation.path("baseline.json");
        world.command("telecom", &["change", "baseline", "--id", "BL-1", "--output", &baseline]);
        world.command("telecom", &["change", "propose", &baseline]);
        world.approve("BL-1");
        world
    }

    fn agree(&self) {
        self.command("telecom", &["agreement", "register", &self.federation.path("agreement.yaml")]);
        for member in ["telecom", "unicom", "tower"] {
            self.command(member, &["agreement", "approve", "bj-east"]);
        }
        let policies = self.federation.path("policies");
        let set = ["--id", "nr-shared", "--set-version", "1", "--agreement", "bj-east"];
        self.command("telecom", &[&["policy", "register", &policies], &set[..]].concat());
        self.command("telecom", &["inventory", "register", &self.federation.path("inventory.yaml")]);
        for member in ["telecom", "unicom", "tower"] {
            self.command(member, &["policy", "approve", "nr-shared"]);
            self.command(member, &["inventory", "approve", "bj-east/telecom"]);
        }
    }

    /// Runs a command as somebody of `member`.
    pub fn command(&self, member: &str, args: &[&str]) -> String {
        let mut command = ranproof(args);
        command
            .env("RANPROOF_AGENT", &self.agent.url)
            .env("RANPROOF_TOKEN_FILE", &self.agent.token_file)
            .env("RANPROOF_KEY", self.federation.path(&format!("people/{member}/approval.key")));
        run(&mut command).unwrap()
    }

    fn approve(&self, id: &str) {
        for member in ["telecom", "unicom"] {
            self.command(member, &["change", "approve", id]);
        }
    }

    /// Proposes and has approved exactly this change of one attribute.
    pub fn agree_on(&self, id: &str, object: &Dn, attribute: &str, new: &str) {
        let now = agent::clock::now();
        let minutes = |n: i64| now.plus_millis(n * 60_000);
        let old = self.approved(object, attribute);
        let edit = ExpectedEdit {
            object: object.clone(),
            attribute: attribute.into(),
            old: Some(old),
            new: Some(Value::from(new)),
        };
        let request = ChangeRequest {
            format: ChangeRequest::FORMAT.into(),
            id: id.into(),
            kind: ChangeKind::Change,
            agreement: "bj-east".into(),
            agreement_version: 1,
            proposer: "telecom".into(),
            title: format!("{attribute} to {new}"),
            ticket: String::new(),
            scope: object.ancestor("ManagedElement").unwrap().to_string().parse().unwrap(),
            window: Window { from: minutes(-5), to: minutes(120) },
            edits: vec![edit],
            rollback: false,
            baseline: vec![],
            upgrade: None,
            swap: None,
            nonce: "07".repeat(32),
        };
        let file = self.federation.path(&format!("{id}.json"));
        std::fs::write(&file, serde_json::to_string(&request).unwrap()).unwrap();
        self.command("telecom", &["change", "propose", &file]);
        self.approve(id);
    }

    pub fn client(&self) -> Client {
        self.agent.client()
    }

    /// Number of the round that comes next: a new one, or the one that a kill left open.
    pub fn next_round(&self) -> u64 {
        let rounds: Json = self.client().get("/api/v1/rounds?limit=1").unwrap();
        let newest = &rounds["rounds"][0];
        newest["round"].as_u64().unwrap() + u64::from(!newest["finished"].is_null())
    }

    /// Runs a round to its end.
    pub fn round(&self) -> RoundSummary {
        self.client().post("/api/v1/rounds", &json!({})).unwrap()
    }

    /// An object of a station, named below its managed element.
    pub fn object(&self, station: usize, below: &str) -> Dn {
        format!("{},{below}", self.known.stations[station - 1].element).parse().unwrap()
    }

    /// An object as last read, and what is approved of it.
    pub fn read(&self, object: &Dn) -> Json {
        self.client().get(&format!("/api/v1/objects/{}", percent(object.as_str()))).unwrap()
    }

    pub fn approved(&self, object: &Dn, attribute: &str) -> Value {
        let value = self.read(object)["approved"][attribute]["value"].clone();
        serde_json::from_value(value).unwrap()
    }

    /// Makes one edit in a management session.
    pub fn edit(&self, object: &Dn, edit: Edit) {
        let target = self.target(object);
        self.runtime.block_on(manager::edit(&target, &[edit])).unwrap();
    }

    fn target(&self, object: &Dn) -> collector::session::Target {
        let element = object.ancestor("ManagedElement").unwrap();
        let station = self.known.stations.iter().find(|s| s.element == element.as_str()).unwrap();
        manager::target(&self.stations_dir(), station, &self.known.manager.user).unwrap()
    }

    /// Sets an attribute to one value after the other in a session of its own until the station is gone; returns
    /// the values that it acknowledged.
    pub fn edits_until_the_end(
        &self,
        object: Dn,
        attribute: &'static str,
        from: u64,
    ) -> impl FnOnce() -> Vec<u64> + use<> {
        let target = self.target(&object);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut acknowledged = Vec::new();
            let limits = Limits { deadline: Duration::from_secs(20), ..Limits::default() };
            let edits = async {
                let mut session = Manager::connect(&target, &limits).await?;
                for value in from.. {
                    session.edit(&Edit::set(object.as_str(), attribute, value.to_string().as_str())).await?;
                    acknowledged.push(value);
                }
                Ok::<(), ManagerError>(())
            };
            runtime.block_on(edits).unwrap_err();
            acknowledged
        }
    }

    pub fn stations_dir(&self) -> PathBuf {
        self.federation.dir.join("stations")
    }

    pub fn restart_agent(&mut self) {
        self.starts += 1;
        self.agent = Agent::start(&self.federation, &format!("agent-{}.log", self.starts));
    }

    pub fn restart_stations(&mut self) {
        self.starts += 1;
        let log = self.federation.dir.join(format!("stations-{}.log", self.starts));
        (self.stations, self.known) = start_stations(self.stations_dir(), self.seed, log);
    }

    /// Telecom's database. The agent may have it open too.
    pub fn store(&self) -> Store {
        let path = self.federation.dir.join("telecom/data/ranproof.db");
        self.runtime.block_on(Store::open(StoreConfig::new(path))).unwrap()
    }

    /// The database as a killed agent left it, looked at in a copy: whoever opens the files first recovers them,
    /// and that is to be the next agent.
    pub fn store_as_left(&self) -> (Store, tempfile::TempDir) {
        let copy = tempfile::tempdir().unwrap();
        for name in ["ranproof.db", "ranproof.db-wal"] {
            let file = self.federation.dir.join("telecom/data").join(name);
            if file.exists() {
                std::fs::copy(file, copy.path().join(name)).unwrap();
            }
        }
        let store = self.runtime.block_on(Store::open(StoreConfig::new(copy.path().join("ranproof.db"))));
        (store.unwrap(), copy)
    }

    /// The last value that each attribute got by an acknowledged edit or one under way, as the stations' journals
    /// tell: by object and attribute.
    pub fn journalled(&self) -> BTreeMap<(String, String), Json> {
        let journals = (1..=STATIONS).map(|n| sim::store::read_journal(&self.stations_dir(), n).unwrap());
        let changes = journals.flatten().flat_map(|entry| entry.changes);
        changes.filter_map(|c| Some(((c.object, c.attribute), c.new?))).collect()
    }
}

fn start_stations(dir: PathBuf, seed: u64, log: PathBuf) -> (Process, sim::Inventory) {
    let (count, cells, number) = (STATIONS.to_string(), CELLS.to_string(), seed.to_string());
    let folder = files::text(&dir);
    let args = ["sim", "--stations", &count, "--cells", &cells, "--seed", &number, "--dir", &folder];
    let mut process = Process::start(ranproof(&args), log);
    process.wait_for_words("\"ready\":true");
    (process, sim::Inventory::read(&dir).unwrap())
}
