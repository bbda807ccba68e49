//! The demo's radio network: the simulator's processes, and what a management session can do to a station.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use model::{Dn, Value};
use serde_json::Value as Json;
use sim::control::{self, ControlRequest};
use sim::manager;

pub use sim::Fault;

use super::DemoOptions;
use super::children::{Running, wait_for};
use super::files::text;

/// From how many stations on they share one process.
const OWN_PROCESS: usize = 64;

/// The stations, running.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
    pub known: sim::Inventory,
    processes: Vec<Running>,
    /// Whether each station is a process of its own.
    apart: bool,
    runtime: tokio::runtime::Runtime,
    /// How many stations, the first ones, lie in Telecom's district; the others in Unicom's.
    pub east: usize,
}

impl Network {
    /// Starts the stations in `dir` and waits until all accept sessions.
    pub fn start(dir: &Path, logs: &Path, options: &DemoOptions) -> Result<Network> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let apart = options.stations <= OWN_PROCESS;
        let west = options.stations / 4;
        let processes = start(dir, logs, options, west, apart)?;
        let alive = || processes.iter().try_for_each(Running::check_alive);
        let known = wait_for("the stations' start", alive, || Ok(Some(sim::Inventory::read(dir)?)))?;
        wait_for("the stations' start", alive, || {
            let open = known.stations.iter().all(|s| std::net::TcpStream::connect(s.address).is_ok());
            Ok(open.then_some(()))
        })?;
        let east = options.stations - west;
        Ok(Network { dir: dir.to_owned(), known, processes, apart, runtime, east })
    }

    pub fn check_alive(&self) -> Result<()> {
        self.processes.iter().try_for_each(Running::check_alive)
    }

    /// The DN of an object of station `number`, given below its ManagedElement.
    pub fn object(&self, number: usize, below: &str) -> Result<Dn> {
        let station = self.known.stations.iter().find(|s| s.station == number);
        let station = station.with_context(|| format!("no station {number}"))?;
        Ok(format!("{},{below}", station.element).parse()?)
    }

    /// Sets one attribute by a management session.
    pub fn set(&self, object: &Dn, attribute: &str, value: &Value) -> Result<()> {
        let value = value.as_text().context("only texts are set here")?;
        self.edit(object, manager::Edit::set(object.as_str(), attribute, value))
    }

    /// Sets an attribute to a list of structures, turned round.
    pub fn reorder(&self, object: &Dn, attribute: &str, entries: &[Json]) -> Result<()> {
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
        let target = manager::target(&self.dir, station, &self.known.manager.user)?;
        self.runtime
            .block_on(manager::edit(&target, &[edit]))
            .with_context(|| format!("cannot edit {object}"))
    }

    pub fn stop(&mut self) -> Result<()> {
        self.processes.iter().for_each(Running::dismiss);
        self.processes.iter_mut().try_for_each(Running::stop)
    }

    /// Makes a station misbehave.
    pub fn fault(&self, number: usize, fault: Fault) -> Result<()> {
        let path = control::socket_path(&self.dir, self.apart.then_some(number));
        let request = ControlRequest::Set { station: number, fault };
        let reply = self.runtime.block_on(control::request(&path, &request))?;
        ensure!(reply.ok, "station {number} takes no fault: {}", reply.error.unwrap_or_default());
        Ok(())
    }
}

fn start(dir: &Path, logs: &Path, options: &DemoOptions, west: usize, apart: bool) -> Result<Vec<Running>> {
    let (count, seed, folder) = (options.stations.to_string(), options.seed.to_string(), text(dir));
    let west = west.to_string();
    let network = ["sim", "--stations", &count, "--west", &west, "--cells", "3", "--seed", &seed];
    let common = [&network[..], &["--dir", &folder, "--until-stdin-closes"]].concat();
    if !apart {
        return Ok(vec![Running::start("the stations", &common, &logs.join("stations.log"))?]);
    }
    (1..=options.stations)
        .map(|number| {
            let only = number.to_string();
            let args = [&common[..], &["--only", &only]].concat();
            let log = logs.join(format!("station-{number:04}.log"));
            Running::start(&format!("station {number}"), &args, &log)
        })
        .collect()
}
