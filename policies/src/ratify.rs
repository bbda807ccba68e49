//! Ratification: all concerned accept afterwards what nobody had approved before.

use model::change::{ChangeKind, Standing};
use model::violation::Sighting;
use model::{ApprovedState, Dn, Edit, OBJECT, RequestView, Text, Value};

use crate::case::{Advance, Case};
use crate::fit::Fit;
use crate::requests::{Requests, use_of};
use crate::sentence;
use crate::weigh::{self, Question};

/// The move of the approved state by an emergency request or a newer baseline that holds exactly this difference.
pub(crate) fn ratification(
    case: &Case<'_>,
    approved: &ApprovedState,
    requests: &Requests<'_>,
    question: &Question<'_>,
    first_seen: &Sighting,
) -> Option<Advance> {
    let emergencies = by_emergency(case, requests, question);
    let baselines = by_baseline(case.element, approved, requests, question, first_seen);
    let (height, view) = emergencies
        .chain(baselines)
        .filter(|(_, view)| weigh::does_not_count(question, view).is_none())
        .min_by_key(|(height, view)| (*height, &view.request.id))?;
    let (edit, id) = (&question.difference.edit, &view.request.id);
    let change = sentence::edit(edit);
    let why = Text::new(
        format!("{id} ratified {} at height {height}.", change.en),
        format!("{id} 于高度 {height} 追认 {}。", change.zh),
    );
    Some(Advance { edit: edit.clone(), request: id.clone(), height, why })
}

fn final_height(view: &RequestView) -> Option<u64> {
    match view.standing {
        Standing::Approved { height } => Some(height),
        _ => None,
    }
}

fn by_emergency<'a>(
    case: &Case<'_>,
    requests: &Requests<'a>,
    question: &Question<'_>,
) -> impl Iterator<Item = (u64, &'a RequestView)> {
    let edit = &question.difference.edit;
    requests.naming(&edit.object, &edit.attribute).iter().filter_map(|(view, expected)| {
        let ratifies = view.request.kind == ChangeKind::Emergency
            && Fit::of(expected, edit, false) == Fit::Exact
            && !use_of(case, view, question.difference).is_spent();
        Some((final_height(view)?, *view)).filter(|_| ratifies)
    })
}

/// A baseline accepts the state as found, so it must be newer than the approved value and than first sight:
/// an old baseline that happens to hold the value says nothing about this change.
fn by_baseline<'a, 'b>(
    element: &'b Dn,
    approved: &ApprovedState,
    requests: &'b Requests<'a>,
    question: &Question<'_>,
    first_seen: &Sighting,
) -> impl Iterator<Item = (u64, &'a RequestView)> {
    let edit = &question.difference.edit;
    let since = approved_height(approved, edit);
    requests.baselines_of(element).filter_map(move |baseline| {
        let (view, height) = (baseline.view, baseline.height);
        let newer = height > since && first_seen.opened.is_none_or(|opened| height >= opened);
        let object = newer.then(|| baseline.object(&edit.object)).flatten();
        let value = match (edit.attribute.as_str(), object) {
            (OBJECT, Some(object)) => Some(Value::Fields(object.attributes.clone())),
            (OBJECT, None) => None,
            (name, Some(object)) => object.attributes.get(name).cloned(),
            (_, None) => return None,
        };
        Some((height, view)).filter(|_| newer && value == edit.new)
    })
}

/// Height of the approval that the difference departs from; of an absent value, the newest around it.
fn approved_height(approved: &ApprovedState, edit: &Edit) -> u64 {
    if let Some(value) = approved.get(&edit.object, &edit.attribute) {
        return value.height;
    }
    let newest = |values: &mut dyn Iterator<Item = u64>| values.max();
    let of_object = approved.objects().get(&edit.object);
    of_object
        .and_then(|attributes| newest(&mut attributes.values().map(|v| v.height)))
        .or_else(|| newest(&mut approved.objects().values().flat_map(|a| a.values()).map(|v| v.height)))
        .unwrap_or_default()
}
