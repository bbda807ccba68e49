//! What rules see around one object, and whether it is to them what it was.

use std::sync::Arc;

use model::{Digest, Dn, Object};

use crate::expression::Attributes;
use crate::network::{NeighbourRef, Neighbourhood};
use crate::rule::Reads;

/// What a rule can see around an object.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    cell: Option<Looks>,
    /// `None`: the relations are not in sight.
    neighbours: Option<Vec<Near>>,
}

#[derive(Debug, Clone)]
struct Near {
    dn: Dn,
    cell: Option<Looks>,
    /// Whether that is an old read.
    stale: bool,
}

/// An object as it was, to be known again.
#[derive(Debug, Clone, Copy)]
struct Looks {
    digest: Digest,
    /// Of what rules read of it.
    read: Digest,
}

impl Looks {
    /// `then`: how what stood there looked before, most often the same.
    fn of(object: &Object, then: Option<&Looks>, attributes: &Attributes) -> Looks {
        match then {
            Some(then) if then.digest == *object.digest() => *then,
            _ => Looks { digest: *object.digest(), read: attributes.digest(object) },
        }
    }
}

/// How what is around an object now compares with what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    Same,
    /// Something changed that no rule reads.
    Alike,
    Other,
}

impl Likeness {
    fn of(now: Option<&Object>, then: Option<&Looks>, attributes: &Attributes) -> Likeness {
        match (now, then) {
            (None, None) => Likeness::Same,
            (Some(now), Some(then)) if *now.digest() == then.digest => Likeness::Same,
            (Some(now), Some(then)) if attributes.digest(now) == then.read => Likeness::Alike,
            _ => Likeness::Other,
        }
    }
}

/// The same, to be looked at.
pub(crate) struct View<'a> {
    cell: Option<&'a Object>,
    pub neighbours: Option<Vec<NeighbourRef<'a>>>,
}

impl<'a> View<'a> {
    pub fn of(object: &'a Object, reads: Reads, neighbourhood: &'a dyn Neighbourhood) -> Option<View<'a>> {
        if !reads.around() {
            return None;
        }
        let cell = reads.cell.then(|| neighbourhood.cell_of(object)).flatten();
        Some(View {
            cell,
            neighbours: reads.neighbours.then(|| neighbourhood.relations_of(object)).flatten(),
        })
    }

    fn around(&self, before: Option<&Around>, attributes: &Attributes) -> Around {
        let then = before.and_then(|before| before.neighbours.as_deref()).unwrap_or_default();
        let near = |(place, one): (usize, &NeighbourRef<'_>)| {
            let then = then.get(place).and_then(|then| then.cell.as_ref());
            let cell = one.cell.map(|cell| Looks::of(cell, then, attributes));
            Near { dn: one.dn.clone(), cell, stale: one.stale }
        };
        let neighbours = self.neighbours.as_ref().map(|all| all.iter().enumerate().map(near).collect());
        let then = before.and_then(|before| before.cell.as_ref());
        Around { cell: self.cell.map(|cell| Looks::of(cell, then, attributes)), neighbours }
    }

    fn likeness(&self, around: &Around, attributes: &Attributes) -> Likeness {
        let near =
            |(now, then): (&NeighbourRef<'_>, &Near)| match now.stale == then.stale && now.dn == then.dn {
                true => Likeness::of(now.cell, then.cell.as_ref(), attributes),
                false => Likeness::Other,
            };
        let cell = Likeness::of(self.cell, around.cell.as_ref(), attributes);
        match (&self.neighbours, &around.neighbours) {
            (Some(now), Some(then)) if now.len() == then.len() => {
                now.iter().zip(then).map(near).fold(cell, Likeness::max)
            }
            (None, None) => cell,
            _ => Likeness::Other,
        }
    }
}

/// How an object's surroundings compare with those before, and what to know them by the next time.
pub(crate) fn compare(
    view: Option<&View<'_>>,
    before: Option<&Arc<Around>>,
    attributes: &Attributes,
) -> (Likeness, Option<Arc<Around>>) {
    let Some(view) = view else { return (Likeness::Same, None) };
    let likeness = before.map_or(Likeness::Other, |before| view.likeness(before, attributes));
    let kept = before.filter(|_| likeness == Likeness::Same).cloned();
    let anew = || Arc::new(view.around(before.map(|before| &**before), attributes));
    (likeness, Some(kept.unwrap_or_else(anew)))
}
