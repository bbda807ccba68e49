//! How far a request has been carried out, over all of its stations.

use std::collections::BTreeSet;

use model::change::{ChangeKind, Progress, Standing};
use model::violation::Sighting;
use model::{ChangeRequest, Dn, RequestView, Station, Timestamp};

use crate::timing::{Observed, Order, Timing};
use crate::upgrade;

/// Stands for an attribute where a swap's station was read behind its new host key.
pub const HOST_KEY: &str = "@host-key";

/// Object and attribute.
type Place = (Dn, String);

/// How far a request has come by `now`, the end of a round. `stations` are those of all operators' inventories, `seen` the
/// places where it was seen carried out, in that round and before, `met` those where nothing is left to be done. `None` for
/// a request that was never approved: nothing is to be expected of it.
///
/// A request that was withdrawn after its approval is over, as one whose window has closed.
pub fn progress(
    view: &RequestView,
    stations: &[&Station],
    seen: &BTreeSet<Place>,
    met: &BTreeSet<Place>,
    now: Timestamp,
) -> Option<Progress> {
    let withdrawn = match view.standing {
        Standing::Approved { .. } => false,
        Standing::Withdrawn { approved: Some(_), .. } => true,
        _ => return None,
    };
    let request = &view.request;
    if request.kind == ChangeKind::Baseline {
        return Some(Progress::Complete);
    }
    let mut expected = expected(request, stations).peekable();
    let is_expected = expected.peek().is_some();
    Some(match () {
        () if is_expected && expected.all(|place| seen.contains(&place) || met.contains(&place)) => {
            Progress::Complete
        }
        () if withdrawn || now >= request.window.to => Progress::Lapsed,
        () if seen.is_empty() => Progress::Pending,
        () => Progress::Partial,
    })
}

/// Where an upgrade sets the software version: on each of these stations that lies in its scope.
pub fn software_places<'a>(
    request: &'a ChangeRequest,
    stations: &'a [&'a Station],
) -> impl Iterator<Item = Place> + 'a {
    let upgraded = request.upgrade.iter().filter(|_| request.kind == ChangeKind::Upgrade);
    let upgraded = upgraded.flat_map(move |_| stations).map(|station| &station.element);
    let software = upgraded.filter(|element| request.scope.covers(element));
    software.map(|element| (element.clone(), upgrade::SOFTWARE.to_owned()))
}

/// Where a request must be seen carried out: its edits, for an upgrade the software version of each station in its scope,
/// and for a swap the new host key, which no edit can show. What else an upgrade may set it need not set.
fn expected<'a>(request: &'a ChangeRequest, stations: &'a [&'a Station]) -> impl Iterator<Item = Place> + 'a {
    let edits = request.edits.iter().map(|edit| (edit.object.clone(), edit.attribute.clone()));
    let software = software_places(request, stations);
    let swap = request.swap.iter().filter(|_| request.kind == ChangeKind::Swap);
    let host_key = swap.map(|swap| (swap.element.clone(), HOST_KEY.to_owned()));
    edits.chain(software).chain(host_key)
}

/// Whether a complete read of `station` shows that a swap was carried out: the agreed inventory names the new host key, so
/// that nothing else could have answered, its approval came before the round and stands, and the read before does not lie past
/// the window. A swap without edits is complete by that alone.
pub fn is_swapped(view: &RequestView, station: &Station, sighting: &Sighting) -> bool {
    let request = &view.request;
    let (swap, observed) =
        (request.swap.as_ref().filter(|_| request.kind == ChangeKind::Swap), Observed::by(sighting));
    swap.is_some_and(|swap| {
        swap.element == station.element
            && key(&swap.new_host_key).eq(key(&station.host_key))
            && matches!(observed.order(view), Order::Before { .. })
            && observed.timing(&request.window) == Timing::Inside
    })
}

/// Type and key of an OpenSSH public key, without its comment.
fn key(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().take(2)
}
