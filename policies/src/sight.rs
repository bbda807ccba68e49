//! What all objects of a station can see around them, and whether it is to rules what it was.

use std::sync::Arc;

use model::Snapshot;

use crate::expression::Attributes;
use crate::network::{Layout, look_alike};

/// The newest snapshots of a station and of those that its relations refer to. Snapshots share what they have in common, so
/// that one that is older than the newest costs little more than what differs.
#[derive(Debug, Clone)]
pub struct Sight {
    own: Seen,
    /// In the order of the layout's stations; `None`: it is not in sight.
    others: Vec<Option<Seen>>,
}

/// A station that is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub snapshot: Arc<Snapshot>,
    pub layout: Arc<Layout>,
    pub stale: bool,
}

impl Sight {
    pub(crate) fn new(own: Seen, others: Vec<Option<Seen>>) -> Sight {
        Sight { own, others }
    }

    /// The places of objects around which something may have changed in these attributes; `None`: it may be any of them.
    /// `of_cells`: nothing but cells and their units looks at neighbours.
    pub(crate) fn touched(
        &self,
        then: &Sight,
        attributes: &Attributes,
        of_cells: bool,
    ) -> Option<Vec<usize>> {
        if !self.own.is_like(&then.own, attributes) {
            return None;
        }
        // Of one layout, the others are the same stations in the same order.
        let is_like = |(now, then): (&Option<Seen>, &Option<Seen>)| match (now, then) {
            (Some(now), Some(then)) => now.is_like(then, attributes),
            (None, None) => true,
            _ => false,
        };
        let alike: Vec<bool> = self.others.iter().zip(&then.others).map(is_like).collect();
        if alike.iter().all(|alike| *alike) {
            return Some(Vec::new());
        }
        let layout = &self.own.layout;
        let changed = |stations: &Vec<usize>| stations.iter().any(|one| alike.get(*one) != Some(&true));
        let changed: Vec<bool> = layout.units_see.iter().map(changed).collect();
        let touched = |(_, unit): &&(usize, usize)| changed.get(*unit) != Some(&false);
        of_cells.then(|| layout.sees.iter().filter(touched).map(|(place, _)| *place).collect())
    }
}

impl Seen {
    fn is_like(&self, other: &Seen, attributes: &Attributes) -> bool {
        let same = Arc::ptr_eq(&self.snapshot, &other.snapshot);
        self.stale == other.stale
            && Arc::ptr_eq(&self.layout, &other.layout)
            && (same || look_alike(&self.snapshot, &other.snapshot, attributes))
    }
}
