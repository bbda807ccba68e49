//! `ranproof bench poll`: a round's reading of many stations over SSH, beside ncclient on some of the same.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use collector::session::{Credential, Limits, Target};
use collector::sweep::{Previous, Reading, StationPlan, StationRead, SweepOptions, sweep};
use model::{Dn, Profile};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sim::Inventory;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::meter::cpu_ms;
use crate::cli::output::{Exit, print, print_json, talk};
use crate::clock;
use crate::demo::children::{Running, wait_for};

#[derive(Debug, Args)]
pub struct PollArgs {
    /// Stations, simulated by another process on this machine.
    #[arg(long, default_value_t = 1_000)]
    pub stations: usize,
    /// Cells of each.
    #[arg(long, default_value_t = 3)]
    pub cells: usize,
    /// Stations read at the same time.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Stations that the peer reads: it takes much longer for one.
    #[arg(long, default_value_t = 20)]
    pub peer_stations: usize,
    /// The Python script; it is left out where it or its interpreter is absent.
    #[arg(long, default_value = "benches/peers/poll.py")]
    pub peer: PathBuf,
    /// A Python with ncclient; `./check` sets this one up.
    #[arg(long, default_value = "target/tools/venv/bin/python")]
    pub python: PathBuf,
}

/// All stations read once.
#[derive(Debug, Serialize)]
struct Round {
    /// User and system time of this process, milliseconds for one station.
    cpu_ms_per_station: f64,
    /// From the first packet to the last answer.
    seconds: f64,
    collected: usize,
    unchanged: usize,
}

/// What the peer printed.
#[derive(Debug, Serialize, Deserialize)]
struct Peer {
    cpu_ms_per_station: f64,
    /// Of a reply, on average.
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    stations: usize,
    /// Of a reply's data, on average.
    bytes: usize,
    /// Of a station, on average.
    objects: usize,
    /// Every station for the first time.
    first: Round,
    /// Every station again, none of them changed.
    again: Round,
    peer: Option<Peer>,
    /// How many times as much CPU the peer takes as the first round.
    ratio: Option<f64>,
}

pub fn run(args: &PollArgs, json: bool) -> Result<Exit> {
    ensure!(args.stations > 0 && args.peer_stations > 0, "nothing to measure: --stations begins at 1");
    let folder = Folder::create()?;
    let dir = folder.path().join("stations");
    let _simulator = simulate(args, &dir, folder.path())?;
    let inventory = Inventory::read(&dir)?;
    let plans = plans(&inventory, &dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    talk(&format!("{} stations for the first time …", args.stations));
    let (first, reads) = runtime.block_on(round(args, plans.clone()))?;
    talk("again, none of them changed …");
    let (again, _) = runtime.block_on(round(args, remembering(plans, &reads)))?;
    let collected: Vec<_> = reads.iter().filter_map(collected).collect();
    let mean = |sum: usize| sum / collected.len().max(1);
    let peer = peer(args, &inventory, &dir)?;
    let report = Report {
        stations: args.stations,
        bytes: mean(collected.iter().map(|(_, bytes)| bytes).sum()),
        objects: mean(collected.iter().map(|(previous, _)| previous.snapshot.objects().len()).sum()),
        ratio: peer.as_ref().map(|peer| peer.cpu_ms_per_station / first.cpu_ms_per_station),
        first,
        again,
        peer,
    };
    if json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Exit::Clean)
}

/// The network as a process of its own, when the last of its stations listens.
fn simulate(args: &PollArgs, dir: &Path, logs: &Path) -> Result<Running> {
    let [stations, cells] = [args.stations, args.cells].map(|number| number.to_string());
    let place = dir.to_str().context("the temporary folder's name is not UTF-8")?;
    let arguments =
        ["sim", "--stations", &stations, "--cells", &cells, "--dir", place, "--until-stdin-closes"];
    let simulator = Running::start("the simulator", &arguments, &logs.join("sim.log"))?;
    wait_for(
        "the start of all stations",
        || simulator.check_alive(),
        || {
            let inventory = Inventory::read(dir)?;
            TcpStream::connect(inventory.stations.last().context("no stations yet")?.address)?;
            Ok(Some(()))
        },
    )?;
    Ok(simulator)
}

fn plans(inventory: &Inventory, dir: &Path) -> Result<Vec<StationPlan>> {
    let path = dir.join(&inventory.collector.key_file);
    let key = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (credential, profile) = (Credential::private_key(&key)?, Arc::new(Profile::plain("bench")));
    let plan = |station: &sim::StationEntry| {
        let target = Target {
            address: station.address.to_string().parse()?,
            user: inventory.collector.user.clone(),
            host_key: station.host_key.parse()?,
            credential: credential.clone(),
        };
        let element: Dn = station.element.parse()?;
        Ok(StationPlan { element, target, profile: Arc::clone(&profile), previous: None })
    };
    inventory.stations.iter().map(plan).collect()
}

async fn round(args: &PollArgs, plans: Vec<StationPlan>) -> Result<(Round, Vec<StationRead>)> {
    let limits = Limits { deadline: std::time::Duration::from_secs(60), ..Limits::default() };
    let options = SweepOptions { concurrency: args.concurrency, limits, ..SweepOptions::default() };
    let (begun, cpu) = (Instant::now(), cpu_ms());
    let reads = sweep(plans, options, Arc::new(clock::now), CancellationToken::new()).await;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_ms() - cpu);
    let count = |wanted: fn(&Reading) -> bool| reads.iter().filter(|read| wanted(&read.reading)).count();
    let collected = count(|reading| matches!(reading, Reading::Collected(_)));
    let unchanged = count(|reading| matches!(reading, Reading::Unchanged { .. }));
    if let Some(other) =
        reads.iter().find(|read| !matches!(read.reading, Reading::Collected(_) | Reading::Unchanged { .. }))
    {
        bail!("{} was not read: {:?}", other.element, other.reading);
    }
    let round = Round { cpu_ms_per_station: cpu / args.stations as f64, seconds, collected, unchanged };
    Ok((round, reads))
}

/// What is remembered of a first read, and the size of its reply.
fn collected(read: &StationRead) -> Option<(Previous, usize)> {
    let Reading::Collected(collected) = &read.reading else { return None };
    let snapshot = Arc::new(collected.snapshot.clone());
    let previous = Previous { snapshot, raw_digest: collected.raw_digest, reply: None };
    Some((previous, collected.raw.len()))
}

fn remembering(plans: Vec<StationPlan>, reads: &[StationRead]) -> Vec<StationPlan> {
    let known = plans.into_iter().zip(reads);
    let plan = |(plan, read)| StationPlan { previous: collected(read).map(|(previous, _)| previous), ..plan };
    known.map(plan).collect()
}

/// `None` where the script or its interpreter is absent.
fn peer(args: &PollArgs, inventory: &Inventory, dir: &Path) -> Result<Option<Peer>> {
    if !args.python.exists() || !args.peer.exists() {
        return Ok(None);
    }
    talk("and ncclient …");
    let stations = inventory.stations.iter().take(args.peer_stations).map(|station| {
        let host_key = station.host_key.split_whitespace().nth(1).unwrap_or_default();
        json!({"host": station.address.ip().to_string(), "port": station.address.port(), "host_key": host_key})
    });
    let account = &inventory.collector;
    let plan = json!({
        "user": account.user, "key_file": dir.join(&account.key_file), "stations": stations.collect::<Vec<_>>(),
    });
    let child =
        Command::new(&args.python).arg(&args.peer).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", args.peer.display()))?;
    let mut input = child.stdin.take().context("the peer has no standard input")?;
    input.write_all(plan.to_string().as_bytes()).context("the peer does not read")?;
    drop(input);
    let output = child.wait_with_output().context("cannot wait for the peer")?;
    ensure!(output.status.success(), "{} failed ({})", args.peer.display(), output.status);
    let printed = serde_json::from_slice(&output.stdout);
    printed.map(Some).with_context(|| format!("{} printed no JSON as agreed", args.peer.display()))
}

fn describe(report: &Report) -> String {
    let line = |name: &str, round: &Round| {
        let Round { cpu_ms_per_station, seconds, collected, unchanged } = round;
        format!(
            "{name:9} {cpu_ms_per_station:8.2} ms CPU per station, {seconds:.1} s, {collected} collected, {unchanged} unchanged\n"
        )
    };
    let head =
        format!("{} stations, each {} objects in {} bytes\n", report.stations, report.objects, report.bytes);
    let mut text = [head, line("first", &report.first), line("again", &report.again)].concat();
    match (&report.peer, report.ratio) {
        (Some(peer), Some(ratio)) => text.push_str(&format!(
            "ncclient  {:8.2} ms CPU per station\nratio     {ratio:8.1}\n",
            peer.cpu_ms_per_station
        )),
        _ => text.push_str("ncclient  not run: ./check sets up what it needs\n"),
    }
    text
}
