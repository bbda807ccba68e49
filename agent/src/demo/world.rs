//! The demo's world: its folder, its processes, its people, and what they can do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use model::change::ExpectedEdit;
use model::{Dn, Value};
use serde_json::Value as Json;
use sim::control::{self, ControlRequest};
use sim::manager;

pub use sim::Fault;

use super::DemoOptions;
use super::children::{Running, wait_until};
use super::command::{self, Person};
use super::files::{self, text};
use crate::api::types::RoundSummary;
use crate::cli::output::talk;
use crate::client::{AgentOptions, Client, percent};

/// From how many stations on they share one process.
const OWN_PROCESS: usize = 64;

/// A running world.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    known: sim::Inventory,
    processes: Vec<Running>,
    /// Whether each station is a process of its own.
    apart: bool,
    client: Client,
    runtime: tokio::runtime::Runtime,
    pub telecom: Person,
    unicom: Person,
    tower: Person,
}

/// Marks a folder as a demo's, which a later demo may replace.
const MARK: &str = "this-is-a-ranproof-demo";

impl World {
    /// Makes folder and keys, starts stations and agent, and waits until both answer.
    pub fn build(options: &DemoOptions) -> Result<World> {
        let dir = fresh(&options.dir)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        talk(&format!("Starting {} stations (NETCONF over SSH on 127.0.0.1)", options.stations));
        let apart = options.stations <= OWN_PROCESS;
        let mut processes = start_stations(&dir, options, apart)?;
        let stations = dir.join("stations");
        wait_until("the stations' start", &mut processes, || sim::Inventory::read(&stations).is_ok())?;
        let known = sim::Inventory::read(&stations)?;
        wait_until("the stations' start", &mut processes, || {
            known.stations.iter().all(|s| std::net::TcpStream::connect(s.address).is_ok())
        })?;
        talk("Drawing keys, writing agreement, inventory and policies");
        files::federation(&dir, command::run)?;
        let agreement = files::agreement(&dir.join("agreement.yaml"), options.stations)?;
        files::policies(&dir.join("policies"))?;
        files::stations(&stations, &known, &dir.join("inventory.yaml"), &dir.join("telecom/targets.json"))?;
        files::trust(&dir.join("genesis.json"), &agreement, &dir.join("trust.yaml"))?;
        let (page, node) = (files::free_port()?, files::free_port()?);
        files::agent(&dir.join("telecom/agent.yaml"), page, node)?;
        talk("Starting Telecom's agent with its chain node");
        let config = text(&dir.join("telecom/agent.yaml"));
        let args = ["agent", "--config", &config, "--until-stdin-closes"];
        processes.push(Running::start("telecom's agent", &args, &dir.join("logs/telecom.log"))?);
        let url = format!("http://127.0.0.1:{page}");
        let token_file = dir.join("telecom/data/api.token");
        let reader = AgentOptions { url: url.clone(), token_file: None };
        let client = Client::new(&reader)?;
        wait_until("the agent's start", &mut processes, || client.get_bytes("/api/v1/chain").is_ok())?;
        let person = |member: &str| Person {
            key: dir.join(format!("people/{member}/approval.key")),
            agent: url.clone(),
            token_file: token_file.clone(),
        };
        let (telecom, unicom, tower) = (person("telecom"), person("unicom"), person("tower"));
        Ok(World { dir, known, processes, apart, client, runtime, telecom, unicom, tower })
    }

    pub fn say(&self, line: &str) {
        talk(&format!("  {line}"));
    }

    /// A path in the world's folder.
    pub fn path(&self, name: &str) -> String {
        text(&self.dir.join(name))
    }

    pub fn people(&self) -> [&Person; 3] {
        [&self.telecom, &self.unicom, &self.tower]
    }

    pub fn stations(&self) -> usize {
        self.known.stations.len()
    }

    /// Address of the agent's page.
    pub fn page(&self) -> String {
        format!("{}/", self.telecom.agent)
    }

    /// Runs a round and waits for it.
    pub fn round(&self) -> Result<RoundSummary> {
        self.telecom.ask(&["collect", "--once"])
    }

    /// Both operators approve a request.
    pub fn approve(&self, id: &str) -> Result<()> {
        for person in [&self.telecom, &self.unicom] {
            person.run(&["change", "approve", id])?;
        }
        Ok(())
    }

    /// The DN of an object of station `number`, given below its ManagedElement.
    pub fn object(&self, number: usize, below: &str) -> Result<Dn> {
        let station = self.station(number)?;
        Ok(format!("{},{below}", station.element).parse()?)
    }

    fn station(&self, number: usize) -> Result<&sim::StationEntry> {
        self.known
            .stations
            .iter()
            .find(|s| s.station == number)
            .with_context(|| format!("no station {number}"))
    }

    fn read(&self, object: &Dn) -> Result<Json> {
        self.client.get(&format!("/api/v1/objects/{}", percent(object.as_str())))
    }

    /// An edit from the value as last read to `new`.
    pub fn expect(&self, object: &Dn, attribute: &str, new: Value) -> Result<ExpectedEdit> {
        let old = self.read(object)?.pointer(&format!("/attributes/{attribute}")).cloned();
        let old = old.with_context(|| format!("{object} has no {attribute}"))?;
        Ok(ExpectedEdit {
            object: object.clone(),
            attribute: attribute.to_owned(),
            old: Some(serde_json::from_value(old)?),
            new: Some(new),
        })
    }

    /// The approved value of an attribute.
    pub fn approved(&self, object: &Dn, attribute: &str) -> Result<Value> {
        let value = self.read(object)?.pointer(&format!("/approved/{attribute}/value")).cloned();
        Ok(serde_json::from_value(value.with_context(|| format!("{object} has no approved {attribute}"))?)?)
    }

    /// The first relation of a station's first cell.
    pub fn first_relation(&self, number: usize) -> Result<Dn> {
        let cell = self.object(number, "GNBCUCPFunction=1,NRCellCU=1")?;
        let contained =
            self.read(&cell)?.get("contains").and_then(Json::as_array).cloned().unwrap_or_default();
        let first = contained.first().and_then(Json::as_str).context("the cell has no relation")?;
        Ok(first.parse()?)
    }

    /// Sets one attribute by a management session.
    pub fn set(&self, object: &Dn, attribute: &str, value: &Value) -> Result<()> {
        let value = value.as_text().context("only texts are set here")?;
        self.edit(object, manager::Edit::set(object.as_str(), attribute, value))
    }

    /// Turns a list of structures round.
    pub fn reorder(&self, object: &Dn, attribute: &str) -> Result<()> {
        let value = self.read(object)?.pointer(&format!("/attributes/{attribute}")).cloned();
        let entries = value.as_ref().and_then(Json::as_array).context("the attribute is no list")?;
        let entry = |entry: &Json| {
            let fields = entry.as_object().into_iter().flatten();
            fields.filter_map(|(name, v)| Some((name.clone(), v.as_str()?.to_owned()))).collect()
        };
        let turned = manager::Value::Entries(entries.iter().rev().map(entry).collect());
        self.edit(object, manager::Edit::set(object.as_str(), attribute, turned))
    }

    pub fn delete(&self, object: &Dn) -> Result<()> {
        self.edit(object, manager::Edit::delete(object.as_str()))
    }

    fn edit(&self, object: &Dn, edit: manager::Edit) -> Result<()> {
        let element = object.ancestor("ManagedElement").context("the object is of no station")?;
        let station = self.known.stations.iter().find(|s| s.element == element.as_str());
        let station = station.with_context(|| format!("no station {element}"))?;
        let target = manager::target(&self.dir.join("stations"), station, &self.known.manager.user)?;
        self.runtime
            .block_on(manager::edit(&target, &[edit]))
            .with_context(|| format!("cannot edit {object}"))
    }

    /// Makes a station misbehave.
    pub fn fault(&self, number: usize, fault: Fault) -> Result<()> {
        let path = control::socket_path(&self.dir.join("stations"), self.apart.then_some(number));
        let request = ControlRequest::Set { station: number, fault };
        let reply = self.runtime.block_on(control::request(&path, &request))?;
        ensure!(reply.ok, "station {number} takes no fault: {}", reply.error.unwrap_or_default());
        Ok(())
    }

    /// All violations, in whatever state.
    pub fn violations(&self) -> Result<Vec<Json>> {
        let mut out = Vec::new();
        for state in ["open", "acknowledged", "waived", "resolved"] {
            let page: Json = self.telecom.ask(&["violation", "list", "--state", state])?;
            let rows = page.get("violations").and_then(Json::as_array).cloned().unwrap_or_default();
            out.extend(rows.into_iter().map(with_both_values));
        }
        Ok(out)
    }

    /// How far a request has been carried out.
    pub fn progress(&self, id: &str) -> Result<String> {
        let change: Json = self.telecom.ask(&["change", "show", id])?;
        Ok(change.get("progress").and_then(Json::as_str).unwrap_or_default().to_owned())
    }

    /// Waits for Ctrl-C, or for a process that ends by itself.
    pub fn stay(&mut self) -> Result<()> {
        let World { runtime, processes, .. } = self;
        runtime.block_on(async {
            let mut look = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => return pressed.context("cannot wait for Ctrl-C"),
                    _ = look.tick() => processes.iter_mut().try_for_each(Running::check_alive)?,
                }
            }
        })
    }

    /// Ends all processes, the agent first.
    pub fn stop(&mut self) -> Result<()> {
        self.processes.iter_mut().rev().try_for_each(Running::stop)
    }
}

/// The API leaves a value out that is not there, as after a deletion; the report's keys are always the same.
fn with_both_values(mut violation: Json) -> Json {
    if let Some(fields) = violation.as_object_mut() {
        for name in ["old", "new"] {
            fields.entry(name).or_insert(Json::Null);
        }
    }
    violation
}

/// An empty folder with the mark; an earlier demo in it is removed, anything else is left alone.
fn fresh(dir: &Path) -> Result<PathBuf> {
    if dir.exists() {
        let empty =
            dir.read_dir().with_context(|| format!("cannot read {}", dir.display()))?.next().is_none();
        if !dir.join(MARK).exists() && !empty {
            bail!("{} holds something that is no demo; hint: --dir another", dir.display());
        }
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    for folder in ["logs", "bundles", "stations"] {
        std::fs::create_dir_all(dir.join(folder))
            .with_context(|| format!("cannot create {}", dir.display()))?;
    }
    std::fs::write(dir.join(MARK), "").with_context(|| format!("cannot write to {}", dir.display()))?;
    Ok(dir.to_owned())
}

fn start_stations(dir: &Path, options: &DemoOptions, apart: bool) -> Result<Vec<Running>> {
    let (count, seed, folder) =
        (options.stations.to_string(), options.seed.to_string(), text(&dir.join("stations")));
    let common = [
        "sim",
        "--stations",
        &count,
        "--cells",
        "3",
        "--seed",
        &seed,
        "--dir",
        &folder,
        "--until-stdin-closes",
    ];
    if !apart {
        return Ok(vec![Running::start("the stations", &common, &dir.join("logs/stations.log"))?]);
    }
    (1..=options.stations)
        .map(|number| {
            let only = number.to_string();
            let args = [&common[..], &["--only", &only]].concat();
            Running::start(
                &format!("station {number}"),
                &args,
                &dir.join(format!("logs/station-{number:04}.log")),
            )
        })
        .collect()
}
