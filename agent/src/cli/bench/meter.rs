//! CPU time of this process, step by step.

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, clock_gettime};

use super::Measured;

/// Milliseconds in one tick of the kernel's accounting: its interface always counts hundredths of a second.
const TICK_MS: f64 = 10.0;

/// CPU by step since its start.
#[derive(Debug)]
pub struct Meter {
    last: f64,
    steps: Vec<(&'static str, f64)>,
}

impl Meter {
    pub fn start() -> Meter {
        Meter { last: cpu_ms(), steps: Vec::new() }
    }

    /// Ends a step: what was used since the last one is its.
    pub fn step(&mut self, name: &'static str) {
        let now = cpu_ms();
        self.steps.push((name, now - self.last));
        self.last = now;
    }

    /// The figures for one of `stations`, of the differences and violations of all.
    pub fn finish(self, stations: usize, diffs: usize, violations: usize) -> Measured {
        let each = |(name, ms): &(&str, f64)| ((*name).to_owned(), ms / stations as f64);
        Measured {
            cpu_ms_per_station: self.steps.iter().map(|(_, ms)| ms).sum::<f64>() / stations as f64,
            diffs: diffs / stations,
            violations: violations / stations,
            steps_ms: self.steps.iter().map(each).collect(),
        }
    }
}

/// User and system time of this process so far, all threads, to the microsecond and finer.
pub fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The same of another process by its number, in steps of [`TICK_MS`].
pub fn cpu_ms_of(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    let stat = stat.with_context(|| format!("cannot read the times of process {process}"))?;
    // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field (proc(5)).
    let (_, rest) = stat.rsplit_once(')').context("no times in /proc/self/stat")?;
    let ticks: Vec<f64> = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    let [user, system] = ticks.as_slice() else { bail!("no times in /proc/self/stat") };
    Ok((user + system) * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_in_the_step_that_did_it() {
        let mut meter = Meter::start();
        let other = || cpu_ms_of("self").unwrap();
        let before = other();
        // Until the kernel has counted it in its coarse account too: how long that takes depends on the machine.
        while other() < before + 3.0 * TICK_MS {
            std::hint::black_box((0..10_000u64).sum::<u64>());
        }
        meter.step("work");
        let measured = meter.finish(2, 6, 8);
        assert!(measured.steps_ms["work"] >= TICK_MS, "{measured:?}");
        assert_eq!((measured.diffs, measured.violations), (3, 4));
    }
}
