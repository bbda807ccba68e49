//! A station's rules judged again: what neither an object nor its surroundings changed is not evaluated anew.
//!
//! What a rule says of an object follows from the object, the agreement and what else the rule reads; nothing counts
//! across objects, and each evaluation has a budget of its own. So what it said of the same object stands as long as what
//! it reads is the same: the object, its cell and its neighbours are compared by the attributes that rules of its class
//! name, and a rule that reads the read before or what is approved is evaluated every time.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use model::{Agreement, ApprovedState, Digest, Dn, Object, Snapshot};

use crate::expression::{Attributes, Evaluation, Inputs};
use crate::network::{NeighbourRef, Neighbourhood};
use crate::rule::{Reads, Rule, RuleResult};
use crate::set::{About, PolicySet};

/// One station as its rules see it.
#[derive(Clone, Copy)]
pub struct StationCase<'a> {
    pub agreement: &'a Agreement,
    pub current: &'a Arc<Snapshot>,
    /// The read before.
    pub previous: Option<&'a Snapshot>,
    pub approved: Option<&'a ApprovedState>,
    pub neighbours: &'a dyn Neighbourhood,
}

/// What the rules said of a station, kept to judge its next read by.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Of what.
    snapshot: Arc<Snapshot>,
    /// Objects of which there is more to be kept than that they keep all rules, sorted by name.
    kept: Vec<Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    dn: Dn,
    around: Option<Arc<Around>>,
    /// Rules that it does not keep, or that cannot be judged on it, in the order of the set.
    results: Vec<RuleResult>,
}

/// What a rule can see around an object.
#[derive(Debug, Clone)]
struct Around {
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
enum Likeness {
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
struct View<'a> {
    cell: Option<&'a Object>,
    neighbours: Option<Vec<NeighbourRef<'a>>>,
}

impl<'a> View<'a> {
    fn of(object: &'a Object, reads: Reads, neighbourhood: &'a dyn Neighbourhood) -> Option<View<'a>> {
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

    fn compare(&self, around: &Around, attributes: &Attributes) -> Likeness {
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

impl fmt::Debug for StationCase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StationCase").field("objects", &self.current.objects().len()).finish_non_exhaustive()
    }
}

impl Evaluated {
    /// The rules that objects do not keep, and those that cannot be judged on them, by object and rule.
    pub fn results(&self) -> impl Iterator<Item = &RuleResult> {
        self.kept.iter().flat_map(|kept| &kept.results)
    }
}

impl PolicySet {
    /// [`PolicySet::evaluate`] over every object of a station. What the rules ask of an object, or of the agreement, again
    /// and again is looked up once. `last` is what this set said of the station under the same agreement.
    pub fn evaluate_station(&self, case: &StationCase<'_>, last: Option<&Evaluated>) -> Evaluated {
        let mut walk = last.map(Walk::new);
        let mut station = Station { case, evaluation: None };
        let mut kept = Vec::new();
        for object in case.current.objects() {
            let about = self.about(object);
            if about.is_empty() {
                continue;
            }
            let known = walk.as_mut().and_then(|walk| walk.unchanged(object, about));
            let view = View::of(object, about.reads, case.neighbours);
            let before = known.and_then(|known| known?.around.as_ref());
            let (likeness, around) = surroundings(view.as_ref(), before, &about.attributes_around);
            let seen_alike = known.is_some() && likeness != Likeness::Other;
            let stands = |rule: &Rule| known.filter(|_| rule.reads.allow(seen_alike));
            let mut results = Vec::new();
            if self.rules_of(about).any(|rule| stands(rule).is_none()) {
                station.turn_to(object, view.filter(|_| about.reads.neighbours));
            }
            for rule in self.rules_of(about) {
                match stands(rule) {
                    Some(known) => {
                        let before = known.map_or(&[][..], |known| &known.results);
                        results.extend(before.iter().find(|result| result.rule == rule.name).cloned());
                    }
                    None => results.extend(station.evaluate(rule)),
                }
            }
            if around.is_some() || !results.is_empty() {
                kept.push(Kept { dn: object.dn().clone(), around, results });
            }
        }
        Evaluated { snapshot: Arc::clone(case.current), kept }
    }
}

/// How an object's surroundings compare with those before, and what to know them by the next time.
fn surroundings(
    view: Option<&View<'_>>,
    before: Option<&Arc<Around>>,
    attributes: &Attributes,
) -> (Likeness, Option<Arc<Around>>) {
    let Some(view) = view else { return (Likeness::Same, None) };
    let likeness = before.map_or(Likeness::Other, |before| view.compare(before, attributes));
    let kept = before.filter(|_| likeness == Likeness::Same).cloned();
    let anew = || Arc::new(view.around(before.map(|before| &**before), attributes));
    (likeness, Some(kept.unwrap_or_else(anew)))
}

impl Reads {
    /// Whether what was said of an unchanged object stands, whose surroundings are the same or not.
    fn allow(self, seen_alike: bool) -> bool {
        !self.before && (seen_alike || !self.around())
    }
}

/// An evaluation that goes from object to object.
struct Station<'a> {
    case: &'a StationCase<'a>,
    evaluation: Option<Evaluation<'a>>,
}

impl<'a> Station<'a> {
    fn turn_to(&mut self, object: &'a Object, view: Option<View<'a>>) {
        let case = self.case;
        let inputs = Inputs {
            agreement: case.agreement,
            object,
            previous: case.previous.and_then(|snapshot| snapshot.object(object.dn())),
            approved: case.approved.and_then(|state| state.objects().get(object.dn())),
            neighbours: case.neighbours,
        };
        let evaluation = match &mut self.evaluation {
            Some(evaluation) => {
                evaluation.turn_to(inputs);
                evaluation
            }
            none => none.insert(Evaluation::new(inputs)),
        };
        if let Some(view) = view {
            evaluation.give_neighbours(view.neighbours);
        }
    }

    fn evaluate(&mut self, rule: &'a Rule) -> Option<RuleResult> {
        rule.evaluate_in(self.evaluation.as_mut()?)
    }
}

/// What was evaluated before, walked in step with what is now; both are sorted by name.
struct Walk<'a> {
    objects: &'a [Arc<Object>],
    kept: &'a [Kept],
}

impl<'a> Walk<'a> {
    fn new(last: &'a Evaluated) -> Walk<'a> {
        Walk { objects: last.snapshot.objects(), kept: &last.kept }
    }

    /// What is kept of the object, `Some(None)` where it keeps all rules, if it is what it was to them.
    fn unchanged(&mut self, object: &Arc<Object>, about: &About) -> Option<Option<&'a Kept>> {
        let same = loop {
            let (before, rest) = self.objects.split_first()?;
            if Arc::ptr_eq(before, object) {
                self.objects = rest;
                break true;
            }
            match before.dn().cmp(object.dn()) {
                Ordering::Less => self.objects = rest,
                Ordering::Equal => {
                    self.objects = rest;
                    break before.digest() == object.digest() || about.attributes.alike(before, object);
                }
                Ordering::Greater => break false,
            }
        };
        if !same {
            return None;
        }
        while let Some((first, rest)) = self.kept.split_first() {
            match first.dn.cmp(object.dn()) {
                Ordering::Less => self.kept = rest,
                Ordering::Equal => return Some(Some(first)),
                Ordering::Greater => break,
            }
        }
        Some(None)
    }
}
