//! A station's rules judged again: what neither an object nor its surroundings changed is not evaluated anew.
//!
//! What a rule says of an object follows from the object, the agreement and what else the rule reads; nothing counts
//! across objects, and each evaluation has a budget of its own. So what it said of the same object stands as long as what
//! it reads is the same: its cell and its neighbours are compared, and a rule that reads the read before or what is
//! approved is evaluated every time.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use model::{Agreement, ApprovedState, Digest, Dn, Object, Snapshot};

use crate::expression::{Evaluation, Inputs};
use crate::network::{NeighbourRef, Neighbourhood};
use crate::rule::{Reads, Rule, RuleResult};
use crate::set::PolicySet;

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
#[derive(Debug, Clone, PartialEq, Eq)]
struct Around {
    cell: Option<Digest>,
    /// Name, what is there, and whether that is an old read. `None`: the relations are not in sight.
    neighbours: Option<Vec<(Dn, Option<Digest>, bool)>>,
}

/// The same, to be looked at.
struct View<'a> {
    cell: Option<&'a Object>,
    neighbours: Option<Vec<NeighbourRef<'a>>>,
}

impl<'a> View<'a> {
    fn of(object: &'a Object, reads: Reads, neighbourhood: &'a dyn Neighbourhood) -> Option<View<'a>> {
        if !reads.cell && !reads.neighbours {
            return None;
        }
        let cell = reads.cell.then(|| neighbourhood.cell_of(object)).flatten();
        Some(View {
            cell,
            neighbours: reads.neighbours.then(|| neighbourhood.relations_of(object)).flatten(),
        })
    }

    fn around(&self) -> Around {
        let near = |one: &NeighbourRef<'_>| (one.dn.clone(), one.cell.map(|cell| *cell.digest()), one.stale);
        let neighbours = self.neighbours.as_ref().map(|all| all.iter().map(near).collect());
        Around { cell: self.cell.map(|cell| *cell.digest()), neighbours }
    }
}

impl PartialEq<Around> for View<'_> {
    fn eq(&self, around: &Around) -> bool {
        let near = |(one, (dn, cell, stale)): (&NeighbourRef<'_>, &(Dn, Option<Digest>, bool))| {
            one.stale == *stale && one.cell.map(Object::digest) == cell.as_ref() && one.dn == *dn
        };
        let neighbours = match (&self.neighbours, &around.neighbours) {
            (Some(now), Some(then)) => now.len() == then.len() && now.iter().zip(then).all(near),
            (None, None) => true,
            _ => false,
        };
        neighbours && self.cell.map(Object::digest) == around.cell.as_ref()
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
            let known = walk.as_mut().and_then(|walk| walk.unchanged(object));
            let view = View::of(object, about.reads, case.neighbours);
            let before = known.and_then(|known| known?.around.as_ref());
            let alike = before.filter(|before| view.as_ref().is_some_and(|view| *view == ***before));
            let seen_alike = known.is_some() && (view.is_none() || alike.is_some());
            let around = alike.cloned().or_else(|| view.as_ref().map(|view| Arc::new(view.around())));
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

impl Reads {
    /// Whether what was said of an unchanged object stands, whose surroundings are the same or not.
    fn allow(self, seen_alike: bool) -> bool {
        !self.before && (seen_alike || !(self.cell || self.neighbours))
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

    /// What is kept of the object, `Some(None)` where it keeps all rules, if it is what it was.
    fn unchanged(&mut self, object: &Arc<Object>) -> Option<Option<&'a Kept>> {
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
                    break before.digest() == object.digest();
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
