//! How far requests have been carried out on a station.

use model::change::{ExpectedEdit, Progress, Standing};
use model::{ApprovedState, RequestView};

use crate::case::{Advance, Case, RequestProgress};
use crate::upgrade;

/// Progress of every request that expects edits of this station and was not turned down, sorted by id.
pub(crate) fn progress(
    case: &Case<'_>,
    approved: &ApprovedState,
    advances: &[Advance],
) -> Vec<RequestProgress> {
    let mut out: Vec<_> =
        case.requests.iter().filter_map(|view| progress_of(case, approved, advances, view)).collect();
    out.sort_by(|a, b| a.request.cmp(&b.request));
    out
}

fn progress_of(
    case: &Case<'_>,
    approved: &ApprovedState,
    advances: &[Advance],
    view: &RequestView,
) -> Option<RequestProgress> {
    let request = &view.request;
    let was_approved = match view.standing {
        Standing::Rejected { .. } | Standing::Withdrawn { approved: None, .. } => return None,
        Standing::Proposed { .. } => false,
        Standing::Approved { .. } | Standing::Withdrawn { approved: Some(_), .. } => true,
    };
    let software = request.upgrade.as_ref().filter(|_| request.scope.covers(case.element));
    let software = software.map(|upgrade| upgrade::software_edit(upgrade, case.element));
    let here = request.edits.iter().filter(|e| e.object.is_within(case.element)).chain(&software);
    let (mut observed, mut expected) = (0, 0);
    for edit in here {
        expected += 1;
        observed += usize::from(was_approved && is_observed(case, approved, advances, &request.id, edit));
    }
    if expected == 0 {
        return None;
    }
    let over = case.sighting.read >= request.window.to || matches!(view.standing, Standing::Withdrawn { .. });
    let progress = match observed {
        n if n == expected => Progress::Complete,
        _ if over => Progress::Lapsed,
        0 => Progress::Pending,
        _ => Progress::Partial,
    };
    Some(RequestProgress { request: request.id.clone(), progress, observed, expected })
}

fn is_observed(
    case: &Case<'_>,
    approved: &ApprovedState,
    advances: &[Advance],
    request: &str,
    edit: &ExpectedEdit,
) -> bool {
    let key = (request.to_owned(), edit.object.clone(), edit.attribute.clone());
    case.carried_out.contains(&key)
        || approved.get(&edit.object, &edit.attribute).is_some_and(|value| value.request == request)
        || advances.iter().any(|advance| {
            advance.request == request
                && advance.edit.object == edit.object
                && advance.edit.attribute == edit.attribute
        })
}
