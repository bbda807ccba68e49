//! `ranproof bench chain`: four validators on this machine, and what they do with signed approvals
//!
//! Each validator is a process of its own with mempool, consensus and contract. The load, which signs every
//! transaction, runs on the same machine and takes its share of it.

mod federation;
mod link;
mod load;
mod report;
mod validator;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
pub use validator::ValidatorArgs;

use super::meter::cpu_ms_of;
use crate::cli::output::{Exit, print, print_json, talk};
use federation::Federation;
use link::Link;
use load::Load;
use report::{CatchUp, ChainReport, Down, Idle, Latency, Stretch};

const CHAIN_ID: &str = "bench";

/// The seat of the operator that is down for a while, and of the validator that comes late.
const UNICOM: usize = 1;
const WITNESS: usize = 3;

/// Blocks that the late validator missed.
const MISSED: u64 = 100;

/// So long a chain must have had nothing to do to be idle: longer than any round, shorter than the heartbeat.
const PAUSE: Duration = Duration::from_millis(1_700);

#[derive(Debug, Args)]
pub struct ChainArgs {
    /// Length of each stretch under load.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Change requests under way at the same time in the busiest stretch, each with three approvals.
    #[arg(long, default_value_t = 96)]
    pub requests: usize,
    /// Change requests under way at the same time in the other stretches.
    #[arg(long, default_value_t = 4)]
    pub few_requests: usize,
    /// Single transactions sent to an idle chain.
    #[arg(long, default_value_t = 12)]
    pub singles: usize,
    /// How long the idle chain is watched.
    #[arg(long, default_value_t = 30)]
    pub idle_seconds: u64,
    /// Exit with 1 where a figure falls short of its target.
    #[arg(long)]
    pub strict: bool,
}

pub fn run(args: &ChainArgs, json: bool) -> Result<Exit> {
    ensure!(
        args.seconds > 0 && args.requests > 0 && args.few_requests > 0 && args.singles > 0,
        "nothing to measure: --seconds, --requests, --few-requests and --singles begin at 1"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("cannot start the runtime")?.block_on(measure(args))?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
    }
    let short = report.targets.iter().any(|target| !target.met);
    Ok(if args.strict && short { Exit::Found } else { Exit::Clean })
}

pub fn validate(args: &ValidatorArgs) -> Result<Exit> {
    validator::run(args)?;
    Ok(Exit::Clean)
}

async fn measure(args: &ChainArgs) -> Result<ChainReport> {
    let length = Duration::from_secs(args.seconds);
    let mut federation = Federation::start().await?;
    let load = Load::agree(&federation.signers).await?;

    talk(&format!("{} single transactions from idle …", args.singles));
    let idle_single = singles(&load, args.singles).await?;
    talk(&format!("{} seconds of idleness …", args.idle_seconds));
    let idle = idle(&federation, Duration::from_secs(args.idle_seconds)).await?;

    talk(&format!("{} change requests at a time for {} s …", args.requests, args.seconds));
    let busy = stretch(&federation, &load, args.requests, length).await?;
    talk(&format!("{} change requests at a time for {} s …", args.few_requests, args.seconds));
    let steady = stretch(&federation, &load, args.few_requests, length).await?;

    talk("The witness is down …");
    let left = federation.link(WITNESS)?.tip().await?;
    federation.stop(WITNESS).await?;
    while federation.link(0)?.tip().await? < left + MISSED {
        load.run(args.few_requests, Duration::from_secs(1)).await?;
    }
    let late_node = catch_up(&mut federation).await?;

    talk("One operator is down …");
    federation.stop(UNICOM).await?;
    let load_then = stretch(&federation, &load, args.few_requests, length).await?;
    let one_operator_down = Down::of(load_then);
    federation.restart(UNICOM).await?;
    Ok(ChainReport::new(busy, steady, idle_single, one_operator_down, late_node, idle))
}

/// One transaction after the other, each on a chain that has nothing else to do.
async fn singles(load: &Load, count: usize) -> Result<Latency> {
    let mut seconds = Vec::new();
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        seconds.push(load.propose_one().await?);
    }
    Latency::of(seconds)
}

/// What each validator takes of a core while nothing happens but heartbeats.
async fn idle(federation: &Federation, length: Duration) -> Result<Idle> {
    tokio::time::sleep(PAUSE).await;
    let times = || {
        let of = |(member, process): (&'static str, u32)| Ok((member, cpu_ms_of(&process.to_string())?));
        federation.processes().into_iter().map(of).collect::<Result<Vec<_>>>()
    };
    let (link, begun, before) = (federation.link(0)?, Instant::now(), times()?);
    let first = link.tip().await?;
    tokio::time::sleep(length).await;
    let (after, heights, seconds) = (times()?, link.tip().await? - first, begun.elapsed().as_secs_f64());
    let share = |((member, before), (_, after)): (&(&'static str, f64), &(_, f64))| {
        ((*member).to_owned(), (after - before) / 10.0 / seconds)
    };
    Ok(Idle { seconds, heights, cpu_percent: before.iter().zip(&after).map(share).collect() })
}

/// The chain under load, with its heights watched at the first member's validator.
async fn stretch(federation: &Federation, load: &Load, requests: usize, length: Duration) -> Result<Stretch> {
    let watch = tokio::spawn(heights(federation.link(0)?, Instant::now() + length));
    let finished = load.run(requests, length).await?;
    let seen = watch.await.context("the watch over the heights ended")??;
    Stretch::of(requests, length.as_secs_f64(), finished, &seen)
}

/// When which height was first seen, until the end.
async fn heights(link: Arc<Link>, end: Instant) -> Result<Vec<(Instant, u64)>> {
    let mut seen = vec![(Instant::now(), link.tip().await?)];
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let height = link.tip().await?;
        if seen.last().is_none_or(|(_, last)| height > *last) {
            seen.push((Instant::now(), height));
        }
    }
    Ok(seen)
}

/// Starts the witness, which was away, and times how it fetches what it missed.
async fn catch_up(federation: &mut Federation) -> Result<CatchUp> {
    let goal = federation.link(0)?.tip().await?;
    let link = federation.restart(WITNESS).await?;
    let (begun, first) = (Instant::now(), link.tip().await?);
    while link.tip().await? < goal {
        if begun.elapsed() > Duration::from_secs(120) {
            bail!("the late node is at {} of {goal} after two minutes", link.tip().await?);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(CatchUp::of(goal - first, begun.elapsed().as_secs_f64()))
}
