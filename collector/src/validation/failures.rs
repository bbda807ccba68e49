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

/// Failures that are remembered; one more forgets them all, and they are found again.
const MAX_REMEMBERED: usize = 1024;

/// What is asked of a worker, by schema set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Compile([u8; 32]),
    Table([u8; 32]),
    /// To validate this document.
    Validate([u8; 32], Digest),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Before then it is not tried again.
    pub(super) again: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Work, Remembered>>);

#[derive(Debug)]
struct Remembered {
    failure: Failure,
    wait: Duration,
}

impl Failures {
    /// Whether something may be tried now. Whoever may is the only one until the wait is over once more: several workers
    /// are not spent on one text at the same time.
    pub(super) fn may_try(&self, work: Work, now: Instant) -> Result<(), Failure> {
        match self.remembered().get_mut(&work) {
            None => Ok(()),
            Some(Remembered { failure, .. }) if failure.again > now => Err(failure.clone()),
            Some(Remembered { failure, wait }) => {
                failure.again = now + *wait;
                Ok(())
            }
        }
    }

    /// Notes that it failed, `now` at its end, so that the wait is free of the work itself.
    pub(super) fn failed(&self, work: Work, why: String, now: Instant) -> Failure {
        let mut remembered = self.remembered();
        let last = remembered.get(&work).map(|last| last.wait);
        let wait = last.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
        if remembered.len() >= MAX_REMEMBERED && last.is_none() {
            remembered.clear();
        }
        let failure = Failure { why, again: now + wait };
        remembered.insert(work, Remembered { failure: failure.clone(), wait });
        failure
    }

    /// Whether it failed, and has not gone well since.
    pub(super) fn stands(&self, work: Work) -> bool {
        self.remembered().contains_key(&work)
    }

    /// Forgets what went well.
    pub(super) fn succeeded(&self, work: Work) {
        self.remembered().remove(&work);
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Work, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if all waits were over.
    #[cfg(test)]
    pub(super) fn let_time_pass(&self) {
        for remembered in self.remembered().values_mut() {
            remembered.failure.again = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work::Compile([1; 32]);

    #[test]
    fn waits_double_up_to_a_cap_and_begin_anew_after_a_success() {
        let (failures, mut now, mut waits) = (Failures::default(), Instant::now(), vec![]);
        for _ in 0..10 {
            failures.may_try(WORK, now).unwrap();
            let again = failures.failed(WORK, "crashed".to_owned(), now).again;
            waits.push((again - now).as_secs() / 60);
            assert_eq!(failures.may_try(WORK, again - Duration::from_secs(1)).unwrap_err().why, "crashed");
            now = again;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360, 360]);
        failures.may_try(Work::Table([1; 32]), now).unwrap();
        failures.may_try(WORK, now).unwrap();
        failures.succeeded(WORK);
        assert_eq!(failures.failed(WORK, "crashed".to_owned(), now).again - now, FIRST_WAIT);
    }

    #[test]
    fn one_tries_again_and_the_others_wait_for_it() {
        let (failures, now) = (Failures::default(), Instant::now());
        let again = failures.failed(WORK, "crashed".to_owned(), now).again;
        failures.may_try(WORK, again).unwrap();
        let other = failures.may_try(WORK, again).unwrap_err();
        assert_eq!((other.why.as_str(), other.again - again), ("crashed", FIRST_WAIT));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..=MAX_REMEMBERED {
            let document = Digest::of(&n.to_be_bytes());
            failures.failed(Work::Validate([1; 32], document), String::new(), now);
        }
        assert_eq!(failures.remembered().len(), 1);
    }
}
