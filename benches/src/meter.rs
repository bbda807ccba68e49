//! Races: contestants that do the same in turns, measured in CPU time.

use std::time::Duration;

use cpu_time::ProcessTime;

/// What is done once.
pub type Work<'a> = Box<dyn FnMut() + 'a>;

/// One way to do it.
pub struct Contestant<'a> {
    pub name: &'static str,
    /// What it leaves out that ours does, or does that ours does not.
    pub note: &'static str,
    pub work: Work<'a>,
    /// Fewest times our CPU time that are expected of it anywhere.
    pub at_least: Option<f64>,
}

impl<'a> Contestant<'a> {
    pub fn new(name: &'static str, note: &'static str, work: impl FnMut() + 'a) -> Contestant<'a> {
        Contestant { name, note, work: Box::new(work), at_least: None }
    }

    /// A ratio that only a fault would undo, loose enough for other machines.
    pub fn at_least(self, ratio: f64) -> Contestant<'a> {
        Contestant { at_least: Some(ratio), ..self }
    }
}

/// How a figure is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Megabytes per second, of so many bytes.
    Throughput(usize),
    /// Microseconds each.
    Micros,
    /// Nanoseconds each, of so many in one go.
    Nanos(usize),
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Throughput(_) => "MB/s",
            Unit::Micros => "µs",
            Unit::Nanos(_) => "ns",
        }
    }

    /// The figure for one go that took so many seconds.
    pub fn figure(self, seconds: f64) -> f64 {
        match self {
            Unit::Throughput(bytes) => bytes as f64 / seconds / 1e6,
            Unit::Micros => seconds * 1e6,
            Unit::Nanos(count) => seconds * 1e9 / count as f64,
        }
    }
}

/// Contestants for the same work; ours comes first.
pub struct Race<'a> {
    pub name: String,
    pub unit: Unit,
    pub contestants: Vec<Contestant<'a>>,
}

impl Race<'_> {
    /// CPU seconds of one go for each contestant: the median of so many turns of about this length.
    pub fn run(&mut self, passes: usize, turn: Duration) -> Vec<f64> {
        let goes: Vec<u32> = self.contestants.iter_mut().map(|c| goes_in(&mut c.work, turn)).collect();
        let mut turns = vec![Vec::with_capacity(passes); self.contestants.len()];
        for _ in 0..passes {
            for ((contestant, goes), turns) in self.contestants.iter_mut().zip(&goes).zip(&mut turns) {
                let begun = ProcessTime::now();
                for _ in 0..*goes {
                    (contestant.work)();
                }
                turns.push(begun.elapsed().as_secs_f64() / f64::from(*goes));
            }
        }
        turns.into_iter().map(median).collect()
    }
}

/// How often it can be done in one turn; it has been done once before, so that caches are warm.
fn goes_in(work: &mut Work<'_>, turn: Duration) -> u32 {
    work();
    let begun = ProcessTime::now();
    let mut goes = 0;
    while begun.elapsed() < turn {
        work();
        goes += 1;
    }
    goes
}

/// The middle of at least one.
fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn contestants_take_turns_and_more_work_costs_more() {
        let spin = |rounds: u64| {
            move || {
                std::hint::black_box((0..rounds).map(std::hint::black_box).sum::<u64>());
            }
        };
        let order = Cell::new(0u32);
        let mut race = Race {
            name: "spin".into(),
            unit: Unit::Micros,
            contestants: vec![
                Contestant::new("little", "", spin(1_000)),
                Contestant::new("much", "", spin(100_000)),
                Contestant::new("counted", "", || order.set(order.get() + 1)),
            ],
        };
        let seconds = race.run(3, Duration::from_millis(5));
        assert!(seconds[1] > 3.0 * seconds[0], "{seconds:?}");
        drop(race);
        assert!(order.get() >= 3, "each pass has a turn of each");
    }

    #[test]
    fn figures_are_told_in_their_unit() {
        assert_eq!(Unit::Throughput(2_000_000).figure(0.5), 4.0);
        assert_eq!(Unit::Micros.figure(0.5), 500_000.0);
        assert_eq!(Unit::Nanos(10).figure(0.5), 50_000_000.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }
}
