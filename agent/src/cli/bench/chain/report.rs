//! The figures of `ranproof bench chain`, beside what they should be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::load::Finished;

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
}

/// Milliseconds from submission to finality, without the sender's own queue.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub samples: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
}

/// Some seconds under load.
#[derive(Debug, Clone, Serialize)]
pub struct Stretch {
    /// Change requests under way at a time: a proposal, then three approvals.
    pub requests: usize,
    pub seconds: f64,
    pub approvals_per_second: f64,
    /// Proposals included.
    pub transactions_per_second: f64,
    pub approval: Latency,
    pub heights: u64,
    pub seconds_per_height: f64,
    /// The longest time between two heights.
    pub worst_height_seconds: f64,
}

/// The chain without one of its operators.
#[derive(Debug, Serialize)]
pub struct Down {
    pub seconds_per_height: f64,
    pub worst_height_seconds: f64,
    pub stretch: Stretch,
}

/// A validator that was away.
#[derive(Debug, Serialize)]
pub struct CatchUp {
    pub blocks: u64,
    pub seconds: f64,
    pub blocks_per_second: f64,
}

/// Nothing but heartbeats.
#[derive(Debug, Serialize)]
pub struct Idle {
    pub seconds: f64,
    pub heights: u64,
    /// Of one core, by member.
    pub cpu_percent: BTreeMap<String, f64>,
}

/// A figure that was promised.
#[derive(Debug, Serialize)]
pub struct Target {
    pub what: &'static str,
    pub wanted: String,
    pub measured: f64,
    pub met: bool,
}

#[derive(Debug, Serialize)]
pub struct ChainReport {
    pub machine: Machine,
    pub busy: Stretch,
    pub steady: Stretch,
    pub idle_single: Latency,
    pub one_operator_down: Down,
    pub late_node: CatchUp,
    pub idle: Idle,
    pub targets: Vec<Target>,
}

impl Machine {
    fn here() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl Latency {
    pub fn of(mut seconds: Vec<f64>) -> Result<Latency> {
        seconds.sort_by(f64::total_cmp);
        let worst = seconds.last().context("nothing became final in time")?;
        let (p50, p99) = (percentile(&seconds, 0.5), percentile(&seconds, 0.99));
        Ok(Latency { samples: seconds.len(), p50_ms: p50 * 1e3, p99_ms: p99 * 1e3, worst_ms: worst * 1e3 })
    }
}

/// The smallest of the sorted values that so large a share of them does not exceed.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

impl Stretch {
    pub fn of(requests: usize, seconds: f64, finished: Finished, seen: &[(Instant, u64)]) -> Result<Stretch> {
        let (first, last) = seen.first().zip(seen.last()).context("no height was seen")?;
        let heights = last.1 - first.1;
        let gaps = seen.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0).as_secs_f64());
        let approvals = finished.approvals.len() as f64;
        Ok(Stretch {
            requests,
            seconds,
            approvals_per_second: approvals / seconds,
            transactions_per_second: (approvals + finished.proposals.len() as f64) / seconds,
            approval: Latency::of(finished.approvals)?,
            heights,
            seconds_per_height: seconds / heights.max(1) as f64,
            worst_height_seconds: gaps.fold(0.0, f64::max),
        })
    }
}

impl Down {
    pub fn of(stretch: Stretch) -> Down {
        let Stretch { seconds_per_height, worst_height_seconds, .. } = stretch;
        Down { seconds_per_height, worst_height_seconds, stretch }
    }
}

impl CatchUp {
    pub fn of(blocks: u64, seconds: f64) -> CatchUp {
        CatchUp { blocks, seconds, blocks_per_second: blocks as f64 / seconds }
    }
}

impl ChainReport {
    pub fn new(
        busy: Stretch,
        steady: Stretch,
        idle_single: Latency,
        one_operator_down: Down,
        late_node: CatchUp,
        idle: Idle,
    ) -> ChainReport {
        let most_cpu = idle.cpu_percent.values().copied().fold(0.0, f64::max);
        let targets = vec![
            at_least("approvals per second, busy", busy.approvals_per_second, 500.0),
            at_most("p99 of an approval, busy, ms", busy.approval.p99_ms, 1_000.0),
            at_most("p50 of a single transaction, steady load, ms", steady.approval.p50_ms, 100.0),
            at_most("p50 of a single transaction from idle, ms", idle_single.p50_ms, 1_500.0),
            at_most("worst height with one operator down, s", one_operator_down.worst_height_seconds, 5.0),
            at_least("blocks per second of a late node", late_node.blocks_per_second, 20.0),
            at_most("CPU of an idle validator, % of a core", most_cpu, 2.0),
        ];
        let machine = Machine::here();
        ChainReport { machine, busy, steady, idle_single, one_operator_down, late_node, idle, targets }
    }
}

fn at_least(what: &'static str, measured: f64, wanted: f64) -> Target {
    Target { what, wanted: format!("≥ {wanted}"), measured, met: measured >= wanted }
}

fn at_most(what: &'static str, measured: f64, wanted: f64) -> Target {
    Target { what, wanted: format!("≤ {wanted}"), measured, met: measured <= wanted }
}

impl fmt::Display for ChainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, cores, kernel } = &self.machine;
        writeln!(f, "Four validators (3:3:3:1) on {processor}, {cores} cores, Linux {kernel}")?;
        for (name, stretch) in
            [("busy", &self.busy), ("steady", &self.steady), ("one down", &self.one_operator_down.stretch)]
        {
            let Stretch { requests, approvals_per_second, approval, seconds_per_height, .. } = stretch;
            writeln!(
                f,
                "{name:9} {requests:4} requests at a time: {approvals_per_second:6.0} approvals/s, p50 {:.0} ms, \
                 p99 {:.0} ms, a height every {:.0} ms (worst {:.0} ms)",
                approval.p50_ms,
                approval.p99_ms,
                seconds_per_height * 1e3,
                stretch.worst_height_seconds * 1e3,
            )?;
        }
        let (late, idle) = (&self.late_node, &self.idle);
        writeln!(f, "late node {} blocks in {:.1} s", late.blocks, late.seconds)?;
        let cpu: Vec<_> =
            idle.cpu_percent.iter().map(|(member, cpu)| format!("{member} {cpu:.1} %")).collect();
        writeln!(f, "idle      {} heights in {:.0} s, CPU {}", idle.heights, idle.seconds, cpu.join(", "))?;
        for Target { what, wanted, measured, met } in &self.targets {
            let mark = if *met { "met  " } else { "SHORT" };
            writeln!(f, "{mark}     {what}: {measured:.1} (wanted {wanted})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let latency = Latency::of((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!((latency.p50_ms, latency.p99_ms, latency.worst_ms), (100e3, 198e3, 200e3));
        assert_eq!(Latency::of(vec![0.5]).unwrap().p99_ms, 500.0);
        assert!(Latency::of(vec![]).is_err());
    }

    #[test]
    fn targets_say_whether_they_are_met() {
        assert!(at_least("x", 500.0, 500.0).met && !at_least("x", 499.9, 500.0).met);
        assert!(at_most("x", 1.5, 1.5).met && !at_most("x", 1.6, 1.5).met);
    }
}
