//! From what was read to what is stored: every station judged, its rules evaluated, its commitments renewed, and the
//! round attested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use anchor::record::Record;
use anyhow::{Context as _, Result};
use collector::sweep::{Collected, Reading, StationRead};
use model::change::{ChangeKind, Progress, Standing};
use model::violation::Sighting;
use model::{Accounting, Dn, Edit, RequestView, Snapshot, Timestamp, Violation, diff};
use policies::{Case, Judgement, Known, NetworkIndex};
use store::{
    Advance, CommittedAttribute, RequestFilter, RequestProgress, RequestRow, RoundCommit, RoundEdit,
    StationResult, StationSnapshot, StoredOpening, StoredSnapshot,
};

use super::attestation::{self, Parts};
use super::commitments::{self, Recommitted};
use super::opening::Opening;
use super::{records, violations};
use crate::app::App;
use crate::clock;

/// A day in milliseconds: standing permissions count changes over it.
const DAY: i64 = 86_400_000;

/// What the judging of a round needs of every station alike.
struct Bench<'a> {
    app: &'a App,
    opening: &'a Opening,
    requests: Vec<RequestRow>,
    views: Vec<RequestView>,
    index: NetworkIndex,
    openings: Vec<StoredOpening>,
}

/// One station's complete read.
struct Seen<'a> {
    element: &'a Dn,
    read: Timestamp,
    previous: Option<&'a StoredSnapshot>,
    current: &'a Snapshot,
}

/// Everything a round stores.
pub async fn judge(
    app: &App,
    opening: &Opening,
    previous: &BTreeMap<Dn, StoredSnapshot>,
    results: Vec<StationResult>,
    reads: Vec<StationRead>,
) -> Result<RoundCommit> {
    let bench = prepare(app, opening, previous, &reads).await?;
    let mut commit = empty(opening.start.round, results);
    let mut ratified = BTreeSet::new();
    for read in &reads {
        let seen =
            seen(read, previous).with_context(|| format!("station {} has no snapshot", read.element))?;
        ratified.extend(station(&bench, &seen, &mut commit).await?);
    }
    commit.requests = progress(&bench, &commit.advances);
    commit.snapshots = reads.into_iter().filter_map(into_snapshot).collect();
    attest(&bench, &mut commit, &ratified).await?;
    Ok(commit)
}

fn empty(round: u64, stations: Vec<StationResult>) -> RoundCommit {
    RoundCommit {
        round,
        finished: clock::now(),
        stations,
        snapshots: vec![],
        edits: vec![],
        advances: vec![],
        violations: vec![],
        requests: vec![],
        leaves: vec![],
        attestation: None,
        openings: vec![],
        closed: vec![],
    }
}

async fn prepare<'a>(
    app: &'a App,
    opening: &'a Opening,
    previous: &BTreeMap<Dn, StoredSnapshot>,
    reads: &[StationRead],
) -> Result<Bench<'a>> {
    let filter = RequestFilter { agreement: Some(app.config.agreement.clone()), ..RequestFilter::default() };
    let requests = app.store.requests(&filter).await?;
    let views: Vec<_> = requests.iter().filter_map(RequestRow::view).collect();
    let mut index = NetworkIndex::default();
    let complete: BTreeSet<&Dn> = reads.iter().map(|r| &r.element).collect();
    for (element, stored) in previous {
        index.update(element, Arc::new(stored.snapshot.clone()), !complete.contains(element));
    }
    for read in reads {
        if let Some(collected) = fresh(read) {
            index.update(&read.element, Arc::new(collected.snapshot.clone()), false);
        }
    }
    let openings = app.store.openings_at(opening.start.round.saturating_sub(1)).await?;
    Ok(Bench { app, opening, requests, views, index, openings })
}

/// What was parsed anew; nothing for a reply that equals the last one.
fn fresh(read: &StationRead) -> Option<&Collected> {
    match &read.reading {
        Reading::Collected(collected) => Some(collected),
        Reading::Unchanged { fresh, .. } => fresh.as_deref(),
        _ => None,
    }
}

fn seen<'a>(read: &'a StationRead, previous: &'a BTreeMap<Dn, StoredSnapshot>) -> Option<Seen<'a>> {
    let before = previous.get(&read.element);
    let current = fresh(read).map(|c| &c.snapshot).or(before.map(|b| &b.snapshot))?;
    Some(Seen { element: &read.element, read: read.finished, previous: before, current })
}

/// A collected reply is stored; an unchanged one only where it was read under another interpretation.
fn into_snapshot(read: StationRead) -> Option<StationSnapshot> {
    let Reading::Collected(collected) = read.reading else { return None };
    let Collected { snapshot, raw, .. } = *collected;
    Some(StationSnapshot { element: read.element, read: read.finished, snapshot, raw })
}

/// Object and attribute.
type Place = (Dn, String);

/// Judges one station and adds what it found to the commit. Returns the differences that an approval ratified, which
/// had been seen before it.
async fn station(bench: &Bench<'_>, seen: &Seen<'_>, commit: &mut RoundCommit) -> Result<Vec<Place>> {
    let store = &bench.app.store;
    let edits = edits(seen);
    let approved = store.approved_state(seen.element).await?;
    let known = store.known_differences(seen.element).await?;
    let known: BTreeMap<_, _> = known
        .into_iter()
        .map(|(key, k)| (key, Known { new: k.new, verdict: k.verdict, first_seen: k.first_seen }))
        .collect();
    let recent = store.recent_changes(seen.element, seen.read.plus_millis(-DAY)).await?;
    let carried_out = store.carried_out(seen.element).await?;
    let last_read = store.station(seen.element).await?.and_then(|row| row.last_read);
    let sighting = Sighting {
        round: bench.opening.start.round,
        opened: bench.opening.start.opened,
        after: last_read.map(|read| read.read),
        read: seen.read,
    };
    let case = Case {
        agreement: &bench.opening.in_force.agreement,
        element: seen.element,
        collector: bench.app.origin(),
        previous: seen.previous.map(|p| &p.snapshot),
        current: seen.current,
        edits: &edits,
        approved: Some(&approved),
        requests: &bench.views,
        sighting: sighting.clone(),
        known: &known,
        recent_changes: &recent,
        carried_out: &carried_out,
    };
    let judgement = policies::judge(&case);
    let open = store.open_violations(seen.element).await?;
    let context = violations::Context {
        origin: bench.app.origin(),
        agreement: case.agreement,
        policies: &bench.opening.in_force.policies,
        index: &bench.index,
        element: seen.element,
        current: seen.current,
        previous: case.previous,
        approved: &approved,
        edits: &edits,
        sighting: &sighting,
    };
    commit.violations.extend(violations::update(&context, open, &judgement));
    let mut ratified = Vec::new();
    for advance in &judgement.advances {
        let place = (advance.edit.object.clone(), advance.edit.attribute.clone());
        if known.get(&place).is_some_and(|known| known.new == advance.edit.new) {
            ratified.push(place);
        }
    }
    take(commit, seen.element, judgement);
    let standing: Vec<_> = bench.openings.iter().filter(|o| o.element == *seen.element).collect();
    let round = bench.opening.start.round;
    let again =
        commitments::recommit(round, seen.element, seen.current, &standing, case.agreement, &bench.app.epoch);
    let Recommitted { openings, closed } = again;
    commit.openings.extend(openings);
    commit.closed.extend(closed);
    Ok(ratified)
}

/// Edits from the previous to the current snapshot. Another interpretation gives none: those two are never compared.
fn edits(seen: &Seen<'_>) -> Vec<Edit> {
    let Some(previous) = seen.previous else { return vec![] };
    match diff(&previous.snapshot, seen.current) {
        Ok(edits) => edits,
        Err(error) => {
            tracing::warn!(target.id = %seen.element, "No history for `{}` in this round: {error}", seen.element);
            vec![]
        }
    }
}

fn take(commit: &mut RoundCommit, element: &Dn, judgement: Judgement) {
    commit.edits.extend(judgement.edits.into_iter().map(|(edit, verdict)| RoundEdit {
        element: element.clone(),
        edit,
        authorisation: Some(verdict.authorisation),
        request: verdict.request,
    }));
    commit.advances.extend(judgement.advances.into_iter().map(|advance| Advance {
        element: element.clone(),
        edit: advance.edit,
        request: advance.request,
        height: advance.height,
    }));
}

/// How far each request with edits has come, for those this round moved or whose window has closed.
fn progress(bench: &Bench<'_>, advances: &[Advance]) -> Vec<RequestProgress> {
    let mut out = Vec::new();
    for row in &bench.requests {
        let Some(view) = row.view() else { continue };
        let request = &view.request;
        let Standing::Approved { .. } = view.standing else { continue };
        let observed: Vec<(Dn, String)> = advances
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
            _ if request.window.to <= clock::now() => Progress::Lapsed,
            _ if !seen.is_empty() => Progress::Partial,
            _ => Progress::Pending,
        };
        if !observed.is_empty() || row.progress != Some(progress) {
            out.push(RequestProgress { request: request.id.clone(), progress, observed });
        }
    }
    out
}

/// Records of the round, and its attestation over everything in the commit.
async fn attest(bench: &Bench<'_>, commit: &mut RoundCommit, ratified: &BTreeSet<Place>) -> Result<()> {
    let Opening { start, in_force, .. } = bench.opening;
    let origin = bench.app.origin();
    let new = |v: &&Violation| v.first_seen.round == start.round && v.resolved.is_none();
    let violations = commit.violations.iter().filter(new).map(|v| records::violation(v, origin));
    let violations = violations.collect::<Result<Vec<Record>>>()?;
    let rows: BTreeMap<String, &RequestRow> =
        bench.requests.iter().map(|row| (row.subject.subject.id.clone(), row)).collect();
    // A ratified difference was not allowed when it was seen: no record may call it exact.
    let allowed = commit.advances.iter();
    let allowed = allowed.filter(|a| !ratified.contains(&(a.edit.object.clone(), a.edit.attribute.clone())));
    let changes = records::changes(allowed, &rows, &in_force.agreement, origin, start.round)?;
    let chain = &bench.app.ledger.genesis().chain_id;
    for record in violations.iter().chain(&changes) {
        commit.leaves.push(records::leaf(record, chain)?);
    }
    let standing = standing_openings(&bench.openings, commit, start.round);
    let accounting = Accounting::count(start.expected, commit.stations.iter().map(|s| &s.outcome));
    let previous = bench.app.store.last_round().await?.and_then(|row| row.attestation);
    commit.finished = clock::now();
    let parts = Parts {
        chain,
        start,
        finished: commit.finished,
        in_force,
        accounting,
        outcomes: &attestation::outcomes(&commit.stations, &in_force.map_secret),
        attributes: &attestation::attributes(&standing, &in_force.map_secret),
        violations: &attestation::records(&violations)?,
        changes: &attestation::records(&changes)?,
        previous: previous.map(|bytes| Hash::of(&bytes)),
    };
    let (_, bytes) = attestation::attest(&parts)?;
    commit.attestation = Some(bytes);
    Ok(())
}

/// The openings that stand once this commit is stored.
fn standing_openings(before: &[StoredOpening], commit: &RoundCommit, round: u64) -> Vec<StoredOpening> {
    let mut standing: BTreeMap<(String, String), StoredOpening> =
        before.iter().map(|o| ((o.opening.dn.clone(), o.opening.attribute.clone()), o.clone())).collect();
    for (_, dn, attribute) in &commit.closed {
        standing.remove(&(dn.to_string(), attribute.clone()));
    }
    for CommittedAttribute { element, version, opening } in &commit.openings {
        let stored = StoredOpening {
            element: element.clone(),
            version: *version,
            commitment: opening.commitment(),
            opening: opening.clone(),
            since: round,
            until: None,
        };
        standing.insert((opening.dn.clone(), opening.attribute.clone()), stored);
    }
    standing.into_values().collect()
}
