//! The requests of a round, found by what they touch.

use std::collections::{BTreeMap, BTreeSet};

use model::change::{BaselineObject, ChangeKind, ExpectedEdit, Standing};
use model::{Difference, Dn, RequestView};

use crate::case::Case;
use crate::upgrade;
use crate::weigh::{self, Question, Use, Weight};

/// A request and one of its edits.
pub(crate) type Naming<'a> = (&'a RequestView, &'a ExpectedEdit);

/// The requests that may concern the stations of a round: expected edits by the attribute they name and by the kind of
/// attribute, approved baselines by their objects. Made once for all stations.
#[derive(Debug, Clone, Default)]
pub struct Requests<'a> {
    views: &'a [RequestView],
    by_attribute: BTreeMap<&'a Dn, BTreeMap<&'a str, Vec<Naming<'a>>>>,
    by_class: BTreeMap<(&'a str, &'a str), Vec<Naming<'a>>>,
    baselines: Vec<Baseline<'a>>,
}

/// An approved baseline.
#[derive(Debug, Clone)]
pub(crate) struct Baseline<'a> {
    pub view: &'a RequestView,
    /// Since when.
    pub height: u64,
    /// Sorted by name.
    objects: Vec<&'a BaselineObject>,
    stations: BTreeSet<Dn>,
}

impl<'a> Baseline<'a> {
    fn of(view: &'a RequestView) -> Option<Baseline<'a>> {
        let Standing::Approved { height } = view.standing else { return None };
        let mut objects: Vec<&BaselineObject> = view.request.baseline.iter().collect();
        objects.sort_by(|a, b| a.object.cmp(&b.object));
        let mut stations: BTreeSet<Dn> = BTreeSet::new();
        let mut last: Option<Dn> = None;
        for object in objects.iter().map(|b| &b.object) {
            if last.as_ref().is_none_or(|station| !object.is_within(station)) {
                last = object.ancestor("ManagedElement");
                stations.extend(last.clone());
            }
        }
        Some(Baseline { view, height, objects, stations })
    }

    /// Whether it speaks of the station.
    pub fn covers(&self, element: &Dn) -> bool {
        self.stations.contains(element)
    }

    pub fn object(&self, object: &Dn) -> Option<&'a BaselineObject> {
        let past = self.objects.partition_point(|held| held.object <= *object);
        self.objects[..past].last().copied().filter(|held| held.object == *object)
    }
}

impl<'a> Requests<'a> {
    /// In any order.
    pub fn new(views: &'a [RequestView]) -> Requests<'a> {
        let mut requests = Requests { views, ..Requests::default() };
        for view in views {
            for edit in &view.request.edits {
                let attribute = edit.attribute.as_str();
                let of_object = requests.by_attribute.entry(&edit.object).or_default();
                of_object.entry(attribute).or_default().push((view, edit));
                requests.by_class.entry((edit.object.class(), attribute)).or_default().push((view, edit));
            }
        }
        let baselines = views.iter().filter(|view| view.request.kind == ChangeKind::Baseline);
        requests.baselines = baselines.filter_map(Baseline::of).collect();
        requests
    }

    /// Approved baselines of a station.
    pub(crate) fn baselines_of<'b>(&'b self, element: &'b Dn) -> impl Iterator<Item = &'b Baseline<'a>> {
        self.baselines.iter().filter(|baseline| baseline.covers(element))
    }

    /// Requests that name the attribute, with their edit of it.
    pub(crate) fn naming(&self, object: &Dn, attribute: &str) -> &[Naming<'a>] {
        let of_object = self.by_attribute.get(object);
        of_object.and_then(|attributes| attributes.get(attribute)).map_or(&[], Vec::as_slice)
    }

    /// Every request that touches the difference or makes the same edit elsewhere, nearest first.
    pub(crate) fn weigh(&self, case: &Case<'_>, question: &Question<'_>) -> Vec<Weight> {
        let edit = &question.difference.edit;
        let naming = self.naming(&edit.object, &edit.attribute);
        let mut weights: Vec<Weight> = naming
            .iter()
            .map(|(view, expected)| {
                weigh::weigh(question, view, expected, use_of(case, view, question.difference))
            })
            .collect();
        let names = |view: &RequestView| naming.iter().any(|(v, _)| v.request.id == view.request.id);
        for view in self.views.iter().filter(|view| !names(view)) {
            let used = use_of(case, view, question.difference);
            weights.extend(upgrade::weigh(question, view, case.element, case.current, used));
        }
        let mut elsewhere: BTreeMap<&str, Weight> = BTreeMap::new();
        let same = self.by_class.get(&(edit.object.class(), edit.attribute.as_str()));
        for (view, expected) in same.into_iter().flatten().filter(|(view, _)| !names(view)) {
            if expected.old == edit.old
                && expected.new == edit.new
                && let Some(weight) = weigh::weigh_elsewhere(question, view, expected)
            {
                // A request for many objects is told of once, by the same object whatever the order.
                let told = elsewhere.entry(&view.request.id).or_insert_with(|| weight.clone());
                if weight.rank() < told.rank() {
                    *told = weight;
                }
            }
        }
        weights.extend(elsewhere.into_values());
        weights.sort_by(|a, b| a.rank().cmp(&b.rank()));
        weights
    }
}

pub(crate) fn use_of(case: &Case<'_>, view: &RequestView, difference: &Difference) -> Use {
    let (id, edit) = (&view.request.id, &difference.edit);
    let key = (id.clone(), edit.object.clone(), edit.attribute.clone());
    Use {
        carried_out: case.carried_out.contains(&key),
        in_force: difference.approved_by.as_ref() == Some(id),
    }
}
