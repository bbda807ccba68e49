//! When a difference was seen, against a request's window and its place in the chain's order.

use model::change::{Standing, Window};
use model::violation::Sighting;
use model::{RequestView, Timestamp};

/// When a difference came about, as far as reads tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The change happened after this, `None` if nothing was read before.
    pub after: Option<Timestamp>,
    /// The change happened at or before this.
    pub read: Timestamp,
    /// Opening height of the round that saw it; `None` if its place in the order is unknown.
    pub opened: Option<u64>,
    /// Whether `opened` is unknown because the value was already there at the read before.
    pub seen_before: bool,
}

impl Observed {
    pub fn by(sighting: &Sighting) -> Observed {
        let Sighting { opened, after, read, .. } = *sighting;
        Observed { after, read, opened, seen_before: false }
    }

    /// For a value that the read before already had: an earlier round saw it, which one is not known here.
    pub fn before(sighting: &Sighting) -> Observed {
        let read = sighting.after.unwrap_or(sighting.read);
        Observed { after: None, read, opened: None, seen_before: true }
    }

    pub fn timing(&self, window: &Window) -> Timing {
        if self.read <= window.from {
            Timing::Early
        } else if self.after.is_some_and(|after| after >= window.to) {
            Timing::Over
        } else {
            Timing::Inside
        }
    }

    pub fn order<'a>(&self, view: &'a RequestView) -> Order<'a> {
        match &view.standing {
            Standing::Proposed { missing, .. } => Order::Pending { missing },
            Standing::Rejected { by, height } => Order::Rejected { by, height: *height },
            Standing::Approved { height } => self.order_of(*height),
            Standing::Withdrawn { height, approved: None } => {
                Order::Withdrawn { height: *height, approved: false }
            }
            // At the opening's own height the order inside the block is not looked at: it counts as gone.
            Standing::Withdrawn { height, approved: Some(approved) } => match self.opened {
                Some(opened) if *height <= opened => Order::Withdrawn { height: *height, approved: true },
                _ => self.order_of(*approved),
            },
        }
    }

    /// An approval counts if it is final strictly before the opening of the round that saw the change.
    fn order_of(&self, height: u64) -> Order<'static> {
        match self.opened {
            None => Order::Unknown { height },
            Some(opened) if height < opened => Order::Before { height },
            Some(_) => Order::After { height },
        }
    }
}

/// The interval of observation (after, read] against a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Wholly before it.
    Early,
    Inside,
    /// Wholly after it.
    Over,
}

/// A request's decision against the round that saw the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order<'a> {
    Pending { missing: &'a [String] },
    Rejected { by: &'a str, height: u64 },
    Before { height: u64 },
    After { height: u64 },
    Unknown { height: u64 },
    Withdrawn { height: u64, approved: bool },
}

impl Order<'_> {
    /// The height of approval, if it was approved at all.
    pub fn height(&self) -> Option<u64> {
        match self {
            Order::Before { height } | Order::After { height } | Order::Unknown { height } => Some(*height),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(after: Option<i64>, read: i64) -> Observed {
        Observed { after: after.map(Timestamp), read: Timestamp(read), opened: Some(5), seen_before: false }
    }

    #[test]
    fn only_an_interval_wholly_outside_the_window_is_outside() {
        let window = Window { from: Timestamp(10), to: Timestamp(20) };
        for (after, read, timing) in [
            (Some(0), 10, Timing::Early),
            (Some(0), 11, Timing::Inside),
            (Some(0), 99, Timing::Inside),
            (Some(19), 25, Timing::Inside),
            (Some(20), 25, Timing::Over),
            (None, 25, Timing::Inside),
            (None, 5, Timing::Early),
        ] {
            assert_eq!(observed(after, read).timing(&window), timing, "({after:?}, {read}]");
        }
    }

    #[test]
    fn an_approval_at_the_opening_s_own_height_is_not_before_it() {
        assert_eq!(observed(None, 1).order_of(4), Order::Before { height: 4 });
        assert_eq!(observed(None, 1).order_of(5), Order::After { height: 5 });
    }
}
