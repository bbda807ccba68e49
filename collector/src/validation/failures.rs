//! What workers failed on, and when each of it is tried again.
//!
//! A crash, a kill and a time limit may come from a machine that is short of memory or busy as well as from the text of a
//! module. So each is tried again, but after a wait that doubles: a text that is made to use up a worker's time gets ever
//! less of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Digest;

/// Wait after the first failure: a round in between goes without.
const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);

/// Longest wait. A worker's whole time limit in six hours is half a percent of one worker.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// Schemas, and beside them stations, whose failures are remembered. One more takes the place of the one that would be
/// tried again first.
const MAX_REMEMBERED: usize = 4096;

/// What is asked of a worker, by schema set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Compile([u8; 32]),
    Table([u8; 32]),
    /// To validate what the station of this name says, whatever that is: one that says something else each time would
    /// wait for nothing.
    Validate([u8; 32], Digest),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Before then it is not tried again.
    pub(super) again: Instant,
}

/// Leave to try something: how it went is told with it.
#[derive(Debug)]
#[must_use]
pub(super) struct Leave {
    work: Work,
    /// When its wait was over, if it had failed before.
    waited: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Failures {
    schemas: Mutex<Memory>,
    /// Apart from those, because there may be many and all of their own making: they take no schema's wait away.
    stations: Mutex<Memory>,
}

type Memory = HashMap<Work, Remembered>;

#[derive(Debug)]
struct Remembered {
    failure: Failure,
    wait: Duration,
}

impl Failures {
    /// Whether something may be tried now. Whoever may is the only one until the wait is over once more: several workers
    /// are not spent on one text at the same time.
    pub(super) fn may_try(&self, work: Work, now: Instant) -> Result<Leave, Failure> {
        match self.remembered(work).get_mut(&work) {
            None => Ok(Leave { work, waited: None }),
            Some(Remembered { failure, .. }) if failure.again > now => Err(failure.clone()),
            Some(Remembered { failure, wait }) => {
                let waited = Some(std::mem::replace(&mut failure.again, now + *wait));
                Ok(Leave { work, waited })
            }
        }
    }

    /// Notes that it failed, `now` at its end, so that the wait is free of the work itself.
    pub(super) fn failed(&self, leave: Leave, why: String, now: Instant) -> Failure {
        let mut remembered = self.remembered(leave.work);
        let last = remembered.get(&leave.work).map(|last| last.wait);
        let wait = last.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
        if remembered.len() >= MAX_REMEMBERED && last.is_none() {
            let first = remembered.iter().min_by_key(|(_, known)| known.failure.again).map(|(work, _)| *work);
            first.and_then(|work| remembered.remove(&work));
        }
        let failure = Failure { why, again: now + wait };
        remembered.insert(leave.work, Remembered { failure: failure.clone(), wait });
        failure
    }

    /// Forgets what went well.
    pub(super) fn succeeded(&self, leave: Leave) {
        self.remembered(leave.work).remove(&leave.work);
    }

    /// Notes that it was not tried at all: whoever comes next may.
    pub(super) fn not_tried(&self, leave: Leave) {
        if let Some(known) = self.remembered(leave.work).get_mut(&leave.work)
            && let Some(waited) = leave.waited
        {
            known.failure.again = waited;
        }
    }

    /// Whether it failed, and has not gone well since.
    pub(super) fn stands(&self, work: Work) -> bool {
        self.remembered(work).contains_key(&work)
    }

    fn remembered(&self, work: Work) -> MutexGuard<'_, Memory> {
        let memory = match work {
            Work::Compile(_) | Work::Table(_) => &self.schemas,
            Work::Validate(..) => &self.stations,
        };
        memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if all waits were over.
    #[cfg(test)]
    pub(super) fn let_time_pass(&self) {
        for memory in [&self.schemas, &self.stations] {
            for known in memory.lock().unwrap().values_mut() {
                known.failure.again = Instant::now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work::Compile([1; 32]);

    fn fails(failures: &Failures, work: Work, now: Instant) -> Instant {
        let leave = failures.may_try(work, now).unwrap();
        failures.failed(leave, "crashed".to_owned(), now).again
    }

    #[test]
    fn waits_double_up_to_a_cap_and_begin_anew_after_a_success() {
        let (failures, mut now, mut waits) = (Failures::default(), Instant::now(), vec![]);
        for _ in 0..10 {
            let again = fails(&failures, WORK, now);
            waits.push((again - now).as_secs() / 60);
            assert_eq!(failures.may_try(WORK, again - Duration::from_secs(1)).unwrap_err().why, "crashed");
            now = again;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360, 360]);
        drop(failures.may_try(Work::Table([1; 32]), now).unwrap());
        let leave = failures.may_try(WORK, now).unwrap();
        failures.succeeded(leave);
        assert_eq!(fails(&failures, WORK, now) - now, FIRST_WAIT);
    }

    #[test]
    fn one_tries_again_and_the_others_wait_for_it() {
        let (failures, now) = (Failures::default(), Instant::now());
        let again = fails(&failures, WORK, now);
        let leave = failures.may_try(WORK, again).unwrap();
        let other = failures.may_try(WORK, again).unwrap_err();
        assert_eq!((other.why.as_str(), other.again - again), ("crashed", FIRST_WAIT));
        failures.not_tried(leave);
        assert_eq!(fails(&failures, WORK, again) - again, FIRST_WAIT * 2, "the next one may at once");
    }

    #[test]
    fn leave_of_before_the_first_failure_ends_no_wait() {
        let (failures, now) = (Failures::default(), Instant::now());
        let leave = failures.may_try(WORK, now).unwrap();
        fails(&failures, WORK, now);
        failures.not_tried(leave);
        assert!(failures.may_try(WORK, now).is_err());
    }

    #[test]
    fn whoever_fails_often_makes_only_the_shortest_wait_be_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        let station = |n: usize| Work::Validate([1; 32], Digest::of(&n.to_be_bytes()));
        fails(&failures, WORK, now);
        let second = Duration::from_secs(1);
        for n in 0..=MAX_REMEMBERED {
            // The second one is at its end soonest.
            let at = if n == 1 { now } else { now + second };
            fails(&failures, station(n), at);
        }
        assert_eq!(failures.remembered(station(0)).len(), MAX_REMEMBERED);
        assert!(failures.stands(WORK), "schemas have room of their own");
        for n in 0..=MAX_REMEMBERED {
            assert_eq!(failures.may_try(station(n), now + second).is_ok(), n == 1, "{n}");
        }
    }
}
