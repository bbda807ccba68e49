//! The requests of a case, found by what they touch.

use std::collections::BTreeMap;

use model::change::{BaselineObject, ChangeKind, ExpectedEdit};
use model::{Difference, Dn, RequestView};

use crate::case::Case;
use crate::upgrade;
use crate::weigh::{self, Question, Use, Weight};

/// A request and one of its edits.
pub(crate) type Naming<'a> = (&'a RequestView, &'a ExpectedEdit);

/// Expected edits by the attribute they name and by the kind of attribute.
#[derive(Debug)]
pub(crate) struct RequestIndex<'a> {
    views: &'a [RequestView],
    by_attribute: BTreeMap<&'a Dn, BTreeMap<&'a str, Vec<Naming<'a>>>>,
    by_class: BTreeMap<(&'a str, &'a str), Vec<Naming<'a>>>,
    /// Approved baselines of the station, with its objects.
    pub baselines: Vec<(&'a RequestView, BTreeMap<&'a Dn, &'a BaselineObject>)>,
}

impl<'a> RequestIndex<'a> {
    pub fn new(views: &'a [RequestView], element: &Dn) -> RequestIndex<'a> {
        let mut index = RequestIndex {
            views,
            by_attribute: BTreeMap::new(),
            by_class: BTreeMap::new(),
            baselines: Vec::new(),
        };
        for view in views {
            for edit in &view.request.edits {
                let attribute = edit.attribute.as_str();
                let of_object = index.by_attribute.entry(&edit.object).or_default();
                of_object.entry(attribute).or_default().push((view, edit));
                index.by_class.entry((edit.object.class(), attribute)).or_default().push((view, edit));
            }
            if view.request.kind == ChangeKind::Baseline {
                let objects = view.request.baseline.iter().filter(|b| b.object.is_within(element));
                let objects: BTreeMap<_, _> = objects.map(|b| (&b.object, b)).collect();
                if !objects.is_empty() {
                    index.baselines.push((view, objects));
                }
            }
        }
        index
    }

    /// Requests that name the attribute, with their edit of it.
    pub fn naming(&self, object: &Dn, attribute: &str) -> &[Naming<'a>] {
        let of_object = self.by_attribute.get(object);
        of_object.and_then(|attributes| attributes.get(attribute)).map_or(&[], Vec::as_slice)
    }

    /// Every request that touches the difference or makes the same edit elsewhere, nearest first.
    pub fn weigh(&self, case: &Case<'_>, question: &Question<'_>) -> Vec<Weight> {
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
