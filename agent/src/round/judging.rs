//! The judge of a round: from complete reads to edits, moves of the approved state, violations and progress.
//!
//! It is the same for the operator that read the stations and for a peer to whom they were disclosed; where they sit
//! differs: a [`Seat`] has its own memory of what was approved and what was violated. Nothing but the seat and the reads
//! decides, no clock and no configuration, so that two honest judges come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use model::change::{ChangeKind, Progress, Standing};
use model::violation::Sighting;
use model::{ApprovedState, Dn, Edit, RequestView, Snapshot, Timestamp, Violation};
use policies::{Case, Judgement, Known, NetworkIndex};
use store::{
    Advance, RequestProgress, RequestRow, Respelling, RoundEdit, StationMemory, Store, StoredSnapshot,
};

use super::rereading::{Reread, reread};
use super::violations;
use crate::pins::InForce;

/// A day in milliseconds: standing permissions count changes over it.
const DAY: i64 = 86_400_000;

/// Stations of which the store is asked in one go.
const TOGETHER: usize = 256;

/// Where a judge sits.
pub(crate) struct Seat<'a> {
    /// Snapshots, approved state and violations of the stations as this judge knows them.
    pub store: &'a Store,
    /// Whose round it is: the operator who alone can act on the stations.
    pub origin: &'a str,
    pub round: u64,
    /// Height at which the round's opening is final; `None` for an unopened one.
    pub opened: Option<u64>,
    pub in_force: &'a InForce,
    /// The chain's word on requests counts up to this height.
    pub height: u64,
    pub requests: &'a [RequestRow],
    /// The member whose sight bounds what is judged; `None`: everything is seen.
    pub sight: Option<&'a str>,
    /// The end of the round: windows that are over by then have lapsed.
    pub finished: Timestamp,
}

/// One station's complete read.
#[derive(Debug, Clone)]
pub(crate) struct CompleteRead {
    pub element: Dn,
    pub read: Timestamp,
    /// The complete read before, for a judge who does not remember one.
    pub after: Option<Timestamp>,
    pub current: Arc<Snapshot>,
    /// Where the last reply reads otherwise under the interpretation of `current`; empty if that is the last one's.
    pub respellings: Vec<Edit>,
}

/// Object and attribute.
pub(crate) type Place = (Dn, String);

/// What a judge found in a round.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub edits: Vec<RoundEdit>,
    pub respellings: Vec<Respelling>,
    pub advances: Vec<Advance>,
    pub violations: Vec<Violation>,
    pub requests: Vec<RequestProgress>,
    /// Differences that an approval ratified, which had been seen before it.
    pub ratified: BTreeSet<Place>,
}

/// What the judging of a round needs of every station alike.
struct Bench<'a> {
    seat: &'a Seat<'a>,
    views: Vec<RequestView>,
    index: NetworkIndex,
}

/// Judges every complete read of a round. `previous` are the newest snapshots before it, those of stations that were not
/// read now included: they are the neighbours, and stale.
pub(crate) async fn judge(
    seat: &Seat<'_>,
    previous: &BTreeMap<Dn, StoredSnapshot>,
    reads: &[CompleteRead],
) -> Result<Found> {
    let views = seat.requests.iter().filter_map(|row| row.view_at(seat.height)).collect();
    let bench = Bench { seat, views, index: index(previous, reads) };
    let mut found = Found::default();
    for together in reads.chunks(TOGETHER) {
        let elements: Vec<&Dn> = together.iter().map(|read| &read.element).collect();
        let since = together.iter().map(day_before).min().unwrap_or_default();
        let mut memory = seat.store.memory_of(&elements, since).await?;
        for read in together {
            let last = previous.get(&read.element).map(|stored| &*stored.snapshot);
            let memory = memory.remove(&read.element).unwrap_or_default();
            station(&bench, read, last, memory, &mut found);
        }
    }
    found.requests = progress(&bench, &found.advances);
    Ok(found)
}

fn index(previous: &BTreeMap<Dn, StoredSnapshot>, reads: &[CompleteRead]) -> NetworkIndex {
    let mut index = NetworkIndex::default();
    let complete: BTreeSet<&Dn> = reads.iter().map(|r| &r.element).collect();
    for (element, stored) in previous.iter().filter(|(element, _)| !complete.contains(element)) {
        index.update(element, Arc::clone(&stored.snapshot), true);
    }
    for read in reads {
        index.update(&read.element, read.current.clone(), false);
    }
    index
}

/// Judges one station and adds what it found.
fn station(
    bench: &Bench<'_>,
    read: &CompleteRead,
    last: Option<&Snapshot>,
    memory: StationMemory,
    found: &mut Found,
) {
    let (seat, element) = (bench.seat, &read.element);
    let mut known: BTreeMap<Place, Known> = memory.known_differences().into_iter().map(remember).collect();
    let recent = memory.recent_changes(day_before(read));
    let StationMemory { mut approved, open, carried_out, last_read, .. } = memory;
    let Reread { previous, edits, respellings } = reread(read, last, &mut approved, &mut known);
    found.respellings.extend(respellings);
    let approved = in_sight(seat, approved);
    let after = last_read.or(read.after);
    let sighting = Sighting { round: seat.round, opened: seat.opened, after, read: read.read };
    let case = Case {
        agreement: &seat.in_force.agreement,
        element,
        collector: seat.origin,
        previous: previous.as_deref(),
        current: &read.current,
        edits: &edits,
        approved: Some(&approved),
        requests: &bench.views,
        sighting: sighting.clone(),
        known: &known,
        recent_changes: &recent,
        carried_out: &carried_out,
    };
    let judgement = policies::judge(&case);
    let context = violations::Context {
        origin: seat.origin,
        agreement: case.agreement,
        policies: &seat.in_force.policies,
        index: &bench.index,
        element,
        current: &read.current,
        previous: case.previous,
        approved: &approved,
        edits: &edits,
        sighting: &sighting,
    };
    found.violations.extend(violations::update(&context, open, &judgement));
    for advance in &judgement.advances {
        let place = (advance.edit.object.clone(), advance.edit.attribute.clone());
        if known.get(&place).is_some_and(|known| known.new == advance.edit.new) {
            found.ratified.insert(place);
        }
    }
    take(found, element, judgement);
}

fn day_before(read: &CompleteRead) -> Timestamp {
    read.read.plus_millis(-DAY)
}

fn remember((place, known): (Place, store::Known)) -> (Place, Known) {
    (place, Known { new: known.new, verdict: known.verdict, first_seen: known.first_seen })
}

/// Approved state without what the judge is not told: a value that is withheld is not a value that is gone.
fn in_sight(seat: &Seat<'_>, approved: ApprovedState) -> ApprovedState {
    let Some(member) = seat.sight.filter(|_| !seat.in_force.agreement.visibility.is_empty()) else {
        return approved;
    };
    let mut seen = ApprovedState::default();
    for (object, attributes) in approved.objects() {
        seen.insert_object(object.clone());
        for (attribute, value) in attributes {
            if seat.in_force.agreement.may_see(object, attribute, member) {
                seen.insert(object.clone(), attribute.clone(), value.clone());
            }
        }
    }
    seen
}

fn take(found: &mut Found, element: &Dn, judgement: Judgement) {
    found.edits.extend(judgement.edits.into_iter().map(|(edit, verdict)| RoundEdit {
        element: element.clone(),
        edit,
        authorisation: Some(verdict.authorisation),
        request: verdict.request,
    }));
    found.advances.extend(judgement.advances.into_iter().map(|advance| Advance {
        element: element.clone(),
        edit: advance.edit,
        request: advance.request,
        height: advance.height,
    }));
}

/// How far each request with edits has come, for those this round moved or whose window has closed.
fn progress(bench: &Bench<'_>, advances: &[Advance]) -> Vec<RequestProgress> {
    let mut out = Vec::new();
    for row in bench.seat.requests {
        let Some(view) = row.view_at(bench.seat.height) else { continue };
        let request = &view.request;
        let Standing::Approved { .. } = view.standing else { continue };
        let observed: Vec<Place> = advances
            .iter()
            .filter(|advance| advance.request == request.id)
            .map(|advance| (advance.edit.object.clone(), advance.edit.attribute.clone()))
            .collect();
        let seen: BTreeSet<_> = row
            .observed
            .iter()
            .map(|o| (o.object.clone(), o.attribute.clone()))
            .chain(observed.iter().cloned())
            .collect();
        let progress = match request.kind {
            ChangeKind::Baseline => Progress::Complete,
            _ if !request.edits.is_empty() && seen.len() >= request.edits.len() => Progress::Complete,
            _ if request.window.to <= bench.seat.finished => Progress::Lapsed,
            _ if !seen.is_empty() => Progress::Partial,
            _ => Progress::Pending,
        };
        if !observed.is_empty() || row.progress != Some(progress) {
            out.push(RequestProgress { request: request.id.clone(), progress, observed });
        }
    }
    out
}
