//! A station's rules judged again: what neither an object nor its surroundings changed is not evaluated anew.
//!
//! What a rule says of an object follows from the object, the agreement and what else the rule reads; nothing counts
//! across objects, and each evaluation has a budget of its own. So what it said of the same object stands as long as what
//! it reads is the same: the object, its cell and its neighbours are compared by the attributes that rules of its class
//! name, and a rule that reads the read before is evaluated every time. Where nothing around a station has changed, nor what is
//! approved, only the objects that did are looked at; not under a set with a rule that reads the read before.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use model::{Agreement, ApprovedState, Dn, Object, Snapshot};

use crate::around::{Around, Likeness, View, compare};
use crate::expression::{Evaluation, Inputs};
use crate::network::Neighbourhood;
use crate::rule::{Reads, Rule, RuleResult};
use crate::set::{About, PolicySet};
use crate::sight::Sight;

/// One station as its rules see it.
#[derive(Clone, Copy)]
pub struct StationCase<'a> {
    pub agreement: &'a Agreement,
    pub current: &'a Arc<Snapshot>,
    /// The read before.
    pub previous: Option<&'a Snapshot>,
    pub approved: Option<&'a Arc<ApprovedState>>,
    pub neighbours: &'a dyn Neighbourhood,
}

/// What the rules said of a station, kept to judge its next read by.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Of what.
    snapshot: Arc<Snapshot>,
    /// By what is approved.
    approved: Option<Arc<ApprovedState>>,
    /// With what around it, where that can be told and is kept.
    sight: Option<Sight>,
    /// Objects of which there is more to be kept than that they keep all rules, sorted by name.
    kept: Vec<Arc<Kept>>,
}

#[derive(Debug)]
struct Kept {
    dn: Dn,
    around: Option<Arc<Around>>,
    /// Rules that it does not keep, or that cannot be judged on it, in the order of the set.
    results: Vec<RuleResult>,
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
        let sight = case.neighbours.sight_of(case.current);
        let approved_stands = last.is_some_and(|last| last.is_of(case.approved));
        let station = Station { case, approved_stands, evaluation: None };
        let kept = match last.and_then(|last| Some((last, self.touched(sight.as_ref()?, &station, last)?))) {
            Some((last, touched)) => self.evaluate_changed(station, last, &touched),
            None => self.evaluate_all(station, last),
        };
        Evaluated { snapshot: Arc::clone(case.current), approved: case.approved.cloned(), sight, kept }
    }

    /// The places of objects that may see something else than the last time, where it is not all of them.
    fn touched(&self, sight: &Sight, station: &Station<'_>, last: &Evaluated) -> Option<Vec<usize>> {
        let before = self.reads.previous || (self.reads.approved && !station.approved_stands);
        let then = last.sight.as_ref().filter(|_| !before)?;
        sight.touched(then, &self.attributes_around, self.neighbours_of_cells)
    }

    fn evaluate_all<'a>(&'a self, mut station: Station<'a>, last: Option<&Evaluated>) -> Vec<Arc<Kept>> {
        let mut walk = last.map(Walk::new);
        let mut kept = Vec::new();
        for object in station.case.current.objects() {
            let about = self.about(object);
            if !about.is_empty() {
                let known = walk.as_mut().and_then(|walk| walk.known(object));
                kept.extend(self.evaluate_object(&mut station, object, about, known));
            }
        }
        kept
    }

    /// The same where only objects at these places may see something else around them, and all have the places that they had.
    fn evaluate_changed<'a>(
        &'a self,
        mut station: Station<'a>,
        last: &Evaluated,
        touched: &[usize],
    ) -> Vec<Arc<Kept>> {
        let mut kept = last.kept.clone();
        let mut touched = touched.iter().copied().peekable();
        let pairs = last.snapshot.objects().iter().zip(station.case.current.objects());
        for (place, (before, object)) in pairs.enumerate() {
            let is_touched = touched.next_if_eq(&place).is_some();
            if !is_touched && Arc::ptr_eq(before, object) {
                continue;
            }
            let about = self.about(object);
            if about.is_empty() {
                continue;
            }
            let at = kept.binary_search_by(|kept| kept.dn.cmp(object.dn()));
            let of_before = at.ok().and_then(|at| kept.get(at)).cloned();
            let known = Known { object: before, kept: of_before.as_ref() };
            match (at, self.evaluate_object(&mut station, object, about, Some(known))) {
                (Ok(at), Some(one)) => kept[at] = one,
                (Ok(at), None) => drop(kept.remove(at)),
                (Err(at), Some(one)) => kept.insert(at, one),
                (Err(_), None) => {}
            }
        }
        kept
    }

    /// What is to be kept of one object.
    fn evaluate_object<'a>(
        &'a self,
        station: &mut Station<'a>,
        object: &'a Object,
        about: &'a About,
        known: Option<Known<'_>>,
    ) -> Option<Arc<Kept>> {
        let view = View::of(object, about.reads, station.case.neighbours);
        let before = known.and_then(|known| known.kept?.around.as_ref());
        let (likeness, around) = compare(view.as_ref(), before, &about.attributes_around);
        let seen_alike = likeness != Likeness::Other;
        let approved_stands = station.approved_stands;
        let same = known.is_some_and(|known| known.object.digest() == object.digest());
        let stands = |rule: &Rule| {
            let known = known.filter(|known| same || rule.attributes.alike(known.object, object));
            known.filter(|_| rule.reads.allow(seen_alike, approved_stands))
        };
        let mut anew = self.rules_of(about).filter(|rule| stands(rule).is_none()).peekable();
        if anew.peek().is_some() {
            station.turn_to(object, view.filter(|_| about.reads.neighbours));
        } else if likeness == Likeness::Same {
            return known.and_then(|known| known.kept).cloned();
        }
        let mut results = Vec::new();
        for rule in self.rules_of(about) {
            match stands(rule) {
                Some(Known { kept, .. }) => {
                    let before = kept.map_or(&[][..], |kept| &kept.results);
                    results.extend(before.iter().find(|result| result.rule == rule.name).cloned());
                }
                None => results.extend(station.evaluate(rule)),
            }
        }
        let anything = around.is_some() || !results.is_empty();
        anything.then(|| Arc::new(Kept { dn: object.dn().clone(), around, results }))
    }
}

/// An object as it was judged before.
#[derive(Clone, Copy)]
struct Known<'a> {
    object: &'a Object,
    /// `None`: it keeps all rules, and there is nothing around it to be known by.
    kept: Option<&'a Arc<Kept>>,
}

impl Evaluated {
    /// Lets go of the snapshots around it: the station is then walked as a whole the next time.
    pub fn forget_sight(&mut self) {
        self.sight = None;
    }

    fn is_of(&self, approved: Option<&Arc<ApprovedState>>) -> bool {
        match (&self.approved, approved) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Reads {
    /// Whether what was said of an unchanged object stands, whose surroundings are the same or not, and what is approved.
    fn allow(self, seen_alike: bool, approved_stands: bool) -> bool {
        !self.previous && (approved_stands || !self.approved) && (seen_alike || !self.around())
    }
}

/// An evaluation that goes from object to object.
struct Station<'a> {
    case: &'a StationCase<'a>,
    /// What is approved is what it was.
    approved_stands: bool,
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
    kept: &'a [Arc<Kept>],
}

impl<'a> Walk<'a> {
    fn new(last: &'a Evaluated) -> Walk<'a> {
        Walk { objects: last.snapshot.objects(), kept: &last.kept }
    }

    /// The object of this name.
    fn known(&mut self, object: &Arc<Object>) -> Option<Known<'a>> {
        let before = loop {
            let (before, rest) = self.objects.split_first()?;
            let order =
                if Arc::ptr_eq(before, object) { Ordering::Equal } else { before.dn().cmp(object.dn()) };
            match order {
                Ordering::Less => self.objects = rest,
                Ordering::Equal => {
                    self.objects = rest;
                    break before;
                }
                Ordering::Greater => return None,
            }
        };
        while let Some((first, rest)) = self.kept.split_first() {
            match first.dn.cmp(object.dn()) {
                Ordering::Less => self.kept = rest,
                Ordering::Equal => return Some(Known { object: before, kept: Some(first) }),
                Ordering::Greater => break,
            }
        }
        Some(Known { object: before, kept: None })
    }
}
