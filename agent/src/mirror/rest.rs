//! When something that was not there is looked for again.

use std::time::{Duration, Instant};

/// The first waits, while it may come any moment; then they double up to the longest.
const FIRST: Duration = Duration::from_millis(200);
const AT_FIRST: u32 = 10;
const LONGEST: Duration = Duration::from_secs(5);

/// Rest after failures in a row.
#[derive(Debug, Default)]
pub(super) struct Rest {
    failures: u32,
    until: Option<Instant>,
}

impl Rest {
    pub fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    pub fn failed(&mut self, now: Instant) {
        let doublings = self.failures.saturating_sub(AT_FIRST).min(16);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + FIRST.saturating_mul(1 << doublings).min(LONGEST));
    }

    pub fn over(&mut self) {
        *self = Rest::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_short_at_first_and_bounded_for_ever() {
        let (mut rest, mut now, begun) = (Rest::default(), Instant::now(), Instant::now());
        assert!(rest.is_over(now));
        for _ in 0..AT_FIRST {
            rest.failed(now);
            assert!(!rest.is_over(now) && rest.is_over(now + FIRST));
            now += FIRST;
        }
        assert!(now.duration_since(begun) < Duration::from_secs(3));
        (0..1_000).for_each(|_| rest.failed(now));
        assert!(rest.is_over(now + LONGEST));
        rest.over();
        assert!(rest.is_over(now));
    }
}
