//! The judge of a round: from complete reads to edits, moves of the approved state, violations and progress.
//!
//! It is the same for the operator that read the stations and for a peer to whom they were disclosed; where they sit
//! differs: a [`Seat`] has its own memory of what was approved and what was violated. Nothing but the seat and the reads
//! decides, no clock and no configuration, so that two honest judges come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use model::change::Progress;
use model::violation::Sighting;
use model::{
    ApprovedState, ChangeRequest, Difference, Dn, Edit, RequestView, Snapshot, Station, Timestamp, Value,
    Violation,
};
use policies::{Case, HOST_KEY, Judgement, Known, Mode, NetworkIndex, Requests};
use store::{
    Advance, RequestProgress, RequestRow, Respelling, RoundEdit, StationMemory, Store, StoredSnapshot,
};

use super::memory::{Memory, Remembered};
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
    /// Stations of the other operators' inventories, as far as an upgrade waits for any.
    pub others: &'a [Station],
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
    /// Requests whose station was read behind its new host key, with the station.
    pub swapped: Vec<(String, Dn)>,
    /// Differences that an approval ratified, which had been seen before it.
    pub ratified: BTreeSet<Place>,
    /// Objects that do not keep a rule which only counts, by rule; every such rule is there.
    pub audited: BTreeMap<String, u64>,
}

/// What the judging of a round needs of every station alike.
struct Bench<'a> {
    seat: &'a Seat<'a>,
    /// Requests with their bodies that were proposed by the seat's height, and the same as they stood then.
    rows: Vec<&'a RequestRow>,
    views: &'a [RequestView],
    requests: Requests<'a>,
    /// Requests for new hardware, by station.
    swaps: BTreeMap<&'a Dn, Vec<&'a RequestView>>,
    index: &'a NetworkIndex,
}

/// Judges every complete read of a round. `previous` are the newest snapshots before it, those of stations that were not
/// read now included: they are the neighbours, and stale. `memory` spares work and decides nothing: an empty one comes to
/// the same.
pub(crate) async fn judge(
    seat: &Seat<'_>,
    memory: &mut Memory,
    previous: &BTreeMap<Dn, StoredSnapshot>,
    reads: &[CompleteRead],
) -> Result<Found> {
    memory.turn_to(seat.in_force);
    index(&mut memory.index, previous, reads);
    let views = seat.requests.iter().filter_map(|row| Some((row, row.view_at(seat.height)?)));
    let (rows, views): (_, Vec<RequestView>) = views.unzip();
    let requests = Requests::new(&views);
    let mut swaps: BTreeMap<&Dn, Vec<&RequestView>> = BTreeMap::new();
    for view in &views {
        if let Some(swap) = &view.request.swap {
            swaps.entry(&swap.element).or_default().push(view);
        }
    }
    let bench = Bench { seat, rows, views: &views, requests, swaps, index: &memory.index };
    let mut found = Found { audited: audits(seat.in_force), ..Found::default() };
    for together in reads.chunks(TOGETHER) {
        let held = |read: &CompleteRead| memory.stations.get(&read.element).map(|known| known.version);
        let elements: Vec<_> = together.iter().map(|read| (&read.element, held(read))).collect();
        let since = together.iter().map(day_before).min().unwrap_or_default();
        let mut stored = seat.store.memory_of(&elements, since).await?;
        for read in together {
            let last = previous.get(&read.element).map(|stored| &*stored.snapshot);
            let (stored, known) = (stored.remove(&read.element), memory.stations.remove(&read.element));
            let left = station(&bench, read, last, stored.unwrap_or_default(), known, &mut found);
            memory.stations.insert(read.element.clone(), left);
        }
    }
    found.requests = progress(&bench, &found, &memory.stations);
    Ok(found)
}

/// The rules that only count, of which nothing is counted yet.
fn audits(in_force: &InForce) -> BTreeMap<String, u64> {
    let rules = in_force.policies.rules().iter().filter(|rule| rule.mode == Mode::Audit);
    rules.map(|rule| (rule.name.clone(), 0)).collect()
}

/// Brings the index to what this round knows.
fn index(index: &mut NetworkIndex, previous: &BTreeMap<Dn, StoredSnapshot>, reads: &[CompleteRead]) {
    let complete: BTreeSet<&Dn> = reads.iter().map(|r| &r.element).collect();
    index.retain(|element| previous.contains_key(element) || complete.contains(element));
    for (element, stored) in previous.iter().filter(|(element, _)| !complete.contains(element)) {
        index.update(element, Arc::clone(&stored.snapshot), true);
    }
    for read in reads {
        index.update(&read.element, Arc::clone(&read.current), false);
    }
}

/// Judges one station, adds what it found, and gives what is to be remembered of it.
fn station(
    bench: &Bench<'_>,
    read: &CompleteRead,
    last: Option<&Snapshot>,
    stored: StationMemory,
    remembered: Option<Remembered>,
    found: &mut Found,
) -> Remembered {
    let (seat, element) = (bench.seat, &read.element);
    let mut known: BTreeMap<Place, Known> = stored.known_differences().into_iter().map(remember).collect();
    let recent = stored.recent_changes(day_before(read));
    let StationMemory { approved, approved_version: version, open, carried_out, last_read, .. } = stored;
    // The store leaves out only what is remembered.
    let held = remembered.as_ref().map(|known| Arc::clone(&known.approved));
    let mut approved = approved.map(Arc::new).or(held).unwrap_or_default();
    let Reread { previous, edits, respellings } = reread(read, last, &mut approved, &mut known);
    let respelt = !respellings.is_empty();
    found.respellings.extend(respellings);
    let in_sight = in_sight(seat, &approved).map(Arc::new);
    let approved_seen = in_sight.as_ref().unwrap_or(&approved);
    let before = match (last, &remembered) {
        (Some(last), Some(known)) if !respelt && in_sight.is_none() => known.differences(last, version),
        _ => None,
    };
    let after = last_read.or(read.after);
    let sighting = Sighting { round: seat.round, opened: seat.opened, after, read: read.read };
    let case = Case {
        agreement: &seat.in_force.agreement,
        element,
        collector: seat.origin,
        previous: previous.as_deref(),
        current: &read.current,
        edits: &edits,
        approved: Some(approved_seen),
        before,
        requests: &bench.requests,
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
        index: bench.index,
        element,
        current: &read.current,
        previous: case.previous,
        approved: approved_seen,
        edits: &edits,
        sighting: &sighting,
    };
    found.swapped.extend(swapped(bench, &sighting, element));
    let rules = context.rules(remembered.as_ref().map(|known| &known.rules));
    found.violations.extend(violations::update(&context, open, &judgement, &rules));
    for counted in rules.results().filter(|result| result.shown().is_none()) {
        *found.audited.entry(counted.rule.clone()).or_default() += 1;
    }
    found.ratified.extend(ratified(&judgement, &known));
    let differences = (!respelt && in_sight.is_none()).then(|| standing(&judgement)).flatten();
    take(found, element, judgement);
    Remembered { snapshot: Arc::clone(&read.current), approved, version, differences, rules }
}

/// Where what is approved and what is there differ after this judgement, if nothing was advanced: what is approved then is
/// what it was.
fn standing(judgement: &Judgement) -> Option<Vec<Difference>> {
    let open = judgement.differences.iter();
    let open = open.map(|d| Difference { edit: d.edit.clone(), approved_by: d.approved_by.clone() });
    (judgement.advances.is_empty() && !judgement.unbaselined).then(|| open.collect())
}

/// Differences that were known and are approved as they are.
fn ratified(judgement: &Judgement, known: &BTreeMap<Place, Known>) -> Vec<Place> {
    let places = judgement.advances.iter().filter_map(|advance| {
        let place = (advance.edit.object.clone(), advance.edit.attribute.clone());
        known.get(&place).is_some_and(|known| known.new == advance.edit.new).then_some(place)
    });
    places.collect()
}

fn day_before(read: &CompleteRead) -> Timestamp {
    read.read.plus_millis(-DAY)
}

fn remember((place, known): (Place, store::Known)) -> (Place, Known) {
    (place, Known { new: known.new, verdict: known.verdict, first_seen: known.first_seen })
}

/// Approved state without what the judge is not told, if that is anything: a value that is withheld is not a value that is
/// gone.
fn in_sight(seat: &Seat<'_>, approved: &ApprovedState) -> Option<ApprovedState> {
    let member = seat.sight.filter(|_| !seat.in_force.agreement.visibility.is_empty())?;
    let mut seen = ApprovedState::default();
    for (object, attributes) in approved.objects() {
        seen.insert_object(object.clone());
        for (attribute, value) in attributes {
            if seat.in_force.agreement.may_see(object, attribute, member) {
                seen.insert(object.clone(), attribute.clone(), value.clone());
            }
        }
    }
    Some(seen)
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

/// Requests for new hardware that the read of a station shows carried out.
fn swapped(bench: &Bench<'_>, sighting: &Sighting, element: &Dn) -> Vec<(String, Dn)> {
    let Some(swaps) = bench.swaps.get(element) else { return vec![] };
    let mut stations = bench.seat.in_force.inventory.stations.iter();
    let Some(station) = stations.find(|station| station.element == *element) else { return vec![] };
    let swapped = swaps.iter().filter(|view| policies::is_swapped(view, station, sighting));
    swapped.map(|view| (view.request.id.clone(), element.clone())).collect()
}

/// How far each approved request has come, of those that this round moved or whose progress is another one now. What is
/// complete stays so: a station that an inventory gets later is not one that the request was for.
fn progress(bench: &Bench<'_>, found: &Found, remembered: &BTreeMap<Dn, Remembered>) -> Vec<RequestProgress> {
    let Seat { in_force, others, finished, .. } = bench.seat;
    let stations: Vec<&Station> = in_force.inventory.stations.iter().chain(*others).collect();
    let mut observed: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for Advance { request, edit, .. } in &found.advances {
        let place = (edit.object.clone(), edit.attribute.clone());
        observed.entry(request).or_default().push(place);
    }
    for (request, element) in &found.swapped {
        observed.entry(request).or_default().push((element.clone(), HOST_KEY.to_owned()));
    }
    let mut out = Vec::new();
    for (row, view) in bench.rows.iter().zip(bench.views) {
        let before: BTreeSet<Place> =
            row.observed.iter().map(|o| (o.object.clone(), o.attribute.clone())).collect();
        let mut observed = observed.remove(view.request.id.as_str()).unwrap_or_default();
        observed.retain(|place| !before.contains(place));
        let seen = before.into_iter().chain(observed.iter().cloned()).collect();
        let progress = match row.progress {
            Some(Progress::Complete) => Some(Progress::Complete),
            _ => {
                let met = met(&view.request, &stations, remembered);
                policies::progress(view, &stations, &seen, &met, *finished)
            }
        };
        let Some(progress) = progress else { continue };
        if !observed.is_empty() || row.progress != Some(progress) {
            out.push(RequestProgress { request: view.request.id.clone(), progress, observed });
        }
    }
    out
}

/// Where an upgrade has nothing left to do: the station runs the new software, and that is approved, by whichever request.
fn met(
    request: &ChangeRequest,
    stations: &[&Station],
    remembered: &BTreeMap<Dn, Remembered>,
) -> BTreeSet<Place> {
    let Some(upgrade) = &request.upgrade else { return BTreeSet::new() };
    let runs = |(element, attribute): &Place| {
        remembered.get(element).is_some_and(|known| {
            let is = known.snapshot.value(element, attribute);
            let approved = known.approved.value(element, attribute);
            let wanted = Some(upgrade.to.as_str());
            is.as_ref().and_then(Value::as_text) == wanted
                && approved.as_ref().and_then(Value::as_text) == wanted
        })
    };
    policies::software_places(request, stations).filter(runs).collect()
}
