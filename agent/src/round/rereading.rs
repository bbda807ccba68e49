//! A station that is read under another interpretation than before: the same configuration in other spellings, and what
//! changed beside it.
//!
//! What changed keeps its old spelling on the old side of its edit, in which it was committed to, approved and named in
//! requests. What did not is approved in its new spelling from now on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ApprovedState, Dn, Edit, OBJECT, Snapshot, diff, respell, respellings, spelt_alike};
use policies::Known;
use store::Respelling;

use super::judging::{CompleteRead, Place};

/// What the judge goes by.
pub(super) struct Reread<'a> {
    /// The last configuration under the interpretation of the current one.
    pub previous: Option<Cow<'a, Snapshot>>,
    pub edits: Vec<Edit>,
    pub respellings: Vec<Respelling>,
}

/// Compares a read with the last one, and brings what was approved and what is known to the spelling of now.
pub(super) fn reread<'a>(
    read: &CompleteRead,
    last: Option<&'a Snapshot>,
    approved: &mut Arc<ApprovedState>,
    known: &mut BTreeMap<Place, Known>,
) -> Reread<'a> {
    let Some(last) = last else { return Reread { previous: None, edits: vec![], respellings: vec![] } };
    let now = read.current.interpretation();
    if last.interpretation() == now {
        let edits = compared(last, &read.current);
        return Reread { previous: Some(Cow::Borrowed(last)), edits, respellings: vec![] };
    }
    let previous = respell(last, &read.respellings, now);
    let mut edits = compared(&previous, &read.current);
    for edit in &mut edits {
        let old = last.value(&edit.object, &edit.attribute);
        if let Some(as_it_was) = Edit::between(&edit.object, &edit.attribute, old.as_ref(), edit.new.as_ref())
        {
            *edit = as_it_was;
        }
    }
    let respellings = kept(read, ApprovedState::clone(approved));
    let changed: BTreeSet<(&Dn, &str)> = edits.iter().map(|e| (&e.object, e.attribute.as_str())).collect();
    // Of an object that is gone every attribute is.
    let has_changed =
        |e: &&Edit| [e.attribute.as_str(), OBJECT].iter().any(|name| changed.contains(&(&e.object, *name)));
    let unchanged = read.respellings.iter().filter(|e| !has_changed(e));
    Arc::make_mut(approved).respell(&unchanged.cloned().collect::<Vec<_>>());
    for ((object, attribute), known) in known {
        // A difference stays known if what it was judged for has only another spelling now.
        if known.new == last.value(object, attribute) {
            known.new = previous.value(object, attribute);
        }
    }
    Reread { previous: Some(Cow::Owned(previous)), edits, respellings }
}

/// Both are under the interpretation of now, so that there is nothing to refuse.
fn compared(previous: &Snapshot, current: &Snapshot) -> Vec<Edit> {
    diff(previous, current).unwrap_or_default()
}

/// The respellings with what they move of the approved state once the round is over.
fn kept(read: &CompleteRead, mut approved: ApprovedState) -> Vec<Respelling> {
    let moved = approved.respell(&read.respellings).into_iter();
    let mut moved: BTreeMap<Place, (String, u64)> =
        moved.map(|(edit, request, height)| ((edit.object, edit.attribute), (request, height))).collect();
    let respelling = |edit: &Edit| Respelling {
        element: read.element.clone(),
        edit: edit.clone(),
        approved: moved.remove(&(edit.object.clone(), edit.attribute.clone())),
    };
    read.respellings.iter().map(respelling).collect()
}

/// Where the last reply reads otherwise under the interpretation of `current`. Without that reply the pairs of values that
/// may be spellings of one count as such: nothing tells more. An object that has another name is another object.
pub(crate) fn respellings_of(last: &Snapshot, again: Option<&Snapshot>, current: &Snapshot) -> Vec<Edit> {
    if last.interpretation() == current.interpretation() {
        return vec![];
    }
    let mut edits = respellings(last, again.unwrap_or(current));
    edits.retain(|edit| match (&edit.old, &edit.new) {
        _ if edit.attribute == OBJECT => false,
        (Some(old), Some(new)) => again.is_some() || spelt_alike(old, new).is_some(),
        _ => again.is_some(),
    });
    edits
}
