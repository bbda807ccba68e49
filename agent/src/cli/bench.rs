//! `ranproof bench`: what the work on one station and its session cost, beside what others would pay for it; what the
//! chain does

mod chain;
mod documents;
mod folder;
mod meter;
mod ours;
mod peer;
mod poll;
mod round;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use model::Timestamp;
use serde::Serialize;

use super::output::{Exit, print, print_json, talk};
use documents::{Change, Documents};
use ours::Ours;

/// Rounds of our side in one pass.
const ROUNDS: usize = 12;

/// Whose stations they are.
const ORIGIN: &str = "telecom";

/// The clock of what is measured.
fn minute(n: u64) -> Timestamp {
    Timestamp::from_unsigned(n * 60_000)
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// CPU per station from the reply's bytes to the stored rows, beside a Python pipeline in the same run
    Station(StationArgs),
    /// Four validators on this machine: signed approvals per second, their latency, a member down, catching up, idling
    Chain(chain::ChainArgs),
    /// CPU per station of whole rounds over many stations, from their replies to the committed round
    Round(round::RoundArgs),
    /// CPU per station of reading many simulated stations over SSH, first and again, beside ncclient in the same run
    Poll(poll::PollArgs),
    /// One of the validators that `bench chain` starts
    #[command(hide = true)]
    Validator(chain::ValidatorArgs),
}

#[derive(Debug, Args)]
pub struct StationArgs {
    /// Stations in a round. Above 59 the simulated network has more cells than there are PCIs, and collisions.
    #[arg(long, default_value_t = 50)]
    pub stations: usize,
    /// Which leaves change from round to round.
    #[arg(long, value_enum, default_value_t)]
    pub change: Change,
    /// Passes; both sides take turns in each, and the median counts.
    #[arg(long, default_value_t = 3)]
    pub passes: usize,
    /// The Python pipeline; it is left out where it or its interpreter is absent.
    #[arg(long, default_value = "benches/peers/station.py")]
    pub peer: PathBuf,
    /// A Python with xmltodict, DeepDiff and jsonschema; `./check` sets this one up.
    #[arg(long, default_value = "target/tools/venv/bin/python")]
    pub python: PathBuf,
}

/// What one side did for one station.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Measured {
    /// User and system time of the process, milliseconds for one station.
    pub cpu_ms_per_station: f64,
    /// Differences found.
    pub diffs: usize,
    /// Violations found.
    pub violations: usize,
    /// The same milliseconds by step.
    pub steps_ms: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    change: Change,
    /// Size of the reply.
    bytes: usize,
    objects: usize,
    changed_leaves: usize,
    ranproof: Measured,
    peer: Option<Measured>,
    /// How many times as much CPU the peer takes.
    ratio: Option<f64>,
}

pub fn run(command: &BenchCommand, json: bool) -> Result<Exit> {
    let args = match command {
        BenchCommand::Station(args) => args,
        BenchCommand::Chain(args) => return chain::run(args, json),
        BenchCommand::Poll(args) => return poll::run(args, json),
        BenchCommand::Round(args) => return round::run(args, json),
        BenchCommand::Validator(args) => return chain::validate(args),
    };
    let report = station(args)?;
    if json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Exit::Clean)
}

fn station(args: &StationArgs) -> Result<Report> {
    ensure!(args.stations > 0 && args.passes > 0, "nothing to measure: --stations and --passes begin at 1");
    let documents = Documents::generate(args.stations, args.change);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let mut side = runtime.block_on(Ours::prepare(&documents))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for pass in 1..=args.passes {
        let rounds = (0..ROUNDS).map(|_| runtime.block_on(side.round())).collect::<Result<Vec<_>>>()?;
        let measured = mean(rounds);
        talk(&format!("pass {pass}: ranproof {:.3} ms per station", measured.cpu_ms_per_station));
        ours.push(measured);
        if let Some(measured) = peer::measure(args, &documents)? {
            talk(&format!("pass {pass}: peer {:.3} ms per station", measured.cpu_ms_per_station));
            theirs.push(measured);
        }
    }
    let objects = side.objects();
    runtime.block_on(side.finish());
    let ranproof = median(ours).context("at least one pass")?;
    let peer = median(theirs);
    let ratio = peer.as_ref().map(|peer| peer.cpu_ms_per_station / ranproof.cpu_ms_per_station);
    let (bytes, changed_leaves) = (documents.previous(0).len(), documents::CHANGED);
    Ok(Report { change: args.change, bytes, objects, changed_leaves, ranproof, peer, ratio })
}

/// The mean of a pass's rounds; what was found is the last one's.
fn mean(rounds: Vec<Measured>) -> Measured {
    let count = rounds.len() as f64;
    let mut sum = Measured::default();
    for round in rounds {
        sum.cpu_ms_per_station += round.cpu_ms_per_station / count;
        for (step, ms) in round.steps_ms {
            *sum.steps_ms.entry(step).or_default() += ms / count;
        }
        (sum.diffs, sum.violations) = (round.diffs, round.violations);
    }
    sum
}

/// The pass in the middle by its CPU.
fn median(mut passes: Vec<Measured>) -> Option<Measured> {
    passes.sort_by(|a, b| a.cpu_ms_per_station.total_cmp(&b.cpu_ms_per_station));
    let middle = passes.len() / 2;
    passes.into_iter().nth(middle)
}

fn describe(report: &Report) -> String {
    let line = |name: &str, side: &Measured| {
        format!(
            "{name:9} {:8.3} ms CPU per station, {} differences, {} violations ({})\n",
            side.cpu_ms_per_station,
            side.diffs,
            side.violations,
            side.steps_ms.iter().map(|(step, ms)| format!("{step} {ms:.2}")).collect::<Vec<_>>().join(", ")
        )
    };
    let mut text = format!(
        "One station: {} bytes, {} objects, {} changed leaves\n{}",
        report.bytes,
        report.objects,
        report.changed_leaves,
        line("ranproof", &report.ranproof)
    );
    match (&report.peer, report.ratio) {
        (Some(peer), Some(ratio)) => {
            text.push_str(&line("peer", peer));
            text.push_str(&format!("ratio     {ratio:8.0}\n"));
        }
        _ => text.push_str("peer      not run: ./check sets up what it needs\n"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_round_finds_the_changed_leaves_and_the_broken_rule_at_each_station() {
        // Each changed leaf is unauthorised, and the power is out of its range besides.
        for (change, broken) in [(Change::Numbers, 0), (Change::Identities, 1)] {
            let documents = Documents::generate(2, change);
            let mut side = Ours::prepare(&documents).await.unwrap();
            for _ in 0..2 {
                let measured = side.round().await.unwrap();
                assert_eq!(measured.diffs, documents::CHANGED);
                assert_eq!(measured.violations, documents::CHANGED + broken, "{measured:?}");
            }
            side.finish().await;
        }
    }

    #[test]
    fn rounds_are_averaged_and_the_pass_in_the_middle_counts() {
        let pass = |ms| Measured {
            cpu_ms_per_station: ms,
            steps_ms: BTreeMap::from([("read".to_owned(), ms / 2.0)]),
            ..Measured::default()
        };
        let average = mean(vec![pass(1.0), pass(3.0)]);
        assert_eq!((average.cpu_ms_per_station, average.steps_ms["read"]), (2.0, 1.0));
        assert_eq!(median(vec![pass(9.0), pass(1.0), pass(2.0)]).unwrap().cpu_ms_per_station, 2.0);
        assert!(median(vec![]).is_none());
    }
}
