//! An operator's own account of its round: what its judge found, the commitments renewed, the records, the attestation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use anchor::commitment::{EpochSecret, Nonce, Opening};
use anchor::map::Map;
use anchor::record::Record;
use anyhow::{Context as _, Result};
use collector::sweep::{Collected, Reading, StationRead};
use collector::validation;
use model::{Accounting, Dn, Finding, Snapshot, Station, Timestamp, Violation};
use store::{
    CommittedAttribute, RequestFilter, RequestRow, RoundCommit, RoundStart, StationResult, StationSnapshot,
    Store, StoredOpening, StoredSnapshot,
};

use super::attestation::{self, Parts};
use super::commitments::{self, Recommitted, Touched};
use super::judging::{self, CompleteRead, Found, Seat};
use super::memory::Memory;
use super::opening::Opening as Opened;
use super::records;
use super::rereading::respellings_of;
use crate::app::App;
use crate::pins::InForce;
use crate::{clock, keys};

/// What an operator's account of a round rests on, beside what was read.
pub(crate) struct Own<'a> {
    pub store: &'a Store,
    pub chain: &'a str,
    pub start: &'a RoundStart,
    pub in_force: &'a InForce,
    /// The chain's word on requests and baselines counts up to this height.
    pub height: u64,
    pub requests: &'a [RequestRow],
    /// See [`Seat::others`].
    pub others: &'a [Station],
    pub epoch: &'a EpochSecret,
    pub finished: Timestamp,
}

/// What a round comes to.
#[derive(Debug)]
pub(crate) struct Account {
    /// Everything it stores.
    pub commit: RoundCommit,
    /// See [`Found::audited`].
    pub audited: BTreeMap<String, u64>,
}

/// The account of a round that was swept. `height`: see [`App::hold_baselines`].
pub(crate) async fn judge(
    app: &App,
    memory: &mut Memory,
    opening: &Opened,
    height: u64,
    previous: &BTreeMap<Dn, StoredSnapshot>,
    results: Vec<StationResult>,
    reads: Vec<StationRead>,
) -> Result<Account> {
    let filter = RequestFilter { agreement: Some(app.config.agreement.clone()), ..RequestFilter::default() };
    let requests = app.store.requests(&filter).await?;
    let own = Own {
        store: &app.store,
        chain: &app.ledger.genesis().chain_id,
        start: &opening.start,
        in_force: &opening.in_force,
        height,
        requests: &requests,
        others: &app.other_stations(&opening.start.origin, height, &requests).await?,
        epoch: &app.epoch,
        finished: clock::now(),
    };
    let (mut complete, mut snapshots) = (Vec::with_capacity(reads.len()), Vec::new());
    for read in reads {
        let (one, stored) = take(read, memory, previous)?;
        complete.push(one);
        snapshots.extend(stored);
    }
    own.account(memory, previous, results, &complete, snapshots).await
}

/// A complete read for the judge and, where it was collected, for the store; both see one snapshot.
fn take(
    read: StationRead,
    memory: &mut Memory,
    previous: &BTreeMap<Dn, StoredSnapshot>,
) -> Result<(CompleteRead, Option<StationSnapshot>)> {
    let before = previous.get(&read.element).map(|stored| Arc::clone(&stored.snapshot));
    let (element, finished) = (read.element, read.finished);
    let mut again = None;
    let (current, raw) = match read.reading {
        Reading::Collected(collected) => {
            let Collected { snapshot, raw, raw_digest, pieces, before, .. } = *collected;
            memory.keep_pieces(&element, pieces);
            again = before;
            (Some(Arc::new(snapshot)), Some((raw, raw_digest)))
        }
        Reading::Unchanged { fresh: Some(fresh), .. } => {
            let Collected { snapshot, raw, raw_digest, .. } = *fresh;
            // Its objects are those of before; a new word on its validity is stored all the same.
            let other = before.as_ref().is_some_and(|before| says_otherwise(before, &snapshot));
            (Some(Arc::new(snapshot)), other.then_some((raw, raw_digest)))
        }
        // A reply that equals the last one is not even parsed.
        _ => (before.clone(), None),
    };
    let current = current.with_context(|| format!("station {element} has no snapshot"))?;
    let respellings = before.as_deref().map(|last| respellings_of(last, again.as_ref(), &current));
    let stored = raw.map(|(raw, raw_digest)| StationSnapshot {
        element: element.clone(),
        read: finished,
        snapshot: Arc::clone(&current),
        base: before,
        raw,
        raw_digest,
        held: memory.held(&element),
    });
    let respellings = respellings.unwrap_or_default();
    Ok((CompleteRead { element, read: finished, after: None, current, respellings }, stored))
}

/// Whether two snapshots differ in what validation found.
fn says_otherwise(before: &Snapshot, now: &Snapshot) -> bool {
    let validated = |snapshot: &'_ Snapshot| -> Vec<Finding> {
        snapshot.findings().iter().filter(|finding| validation::found(finding)).cloned().collect()
    };
    validated(before) != validated(now)
}

/// What becomes of the commitments in a round.
struct Commitments {
    openings: Vec<CommittedAttribute>,
    closed: Vec<(Dn, Dn, String)>,
    /// Of attributes to those that stand then.
    map: Map,
}

impl Own<'_> {
    /// The round judged, committed to, recorded and attested.
    pub(crate) async fn account(
        &self,
        memory: &mut Memory,
        previous: &BTreeMap<Dn, StoredSnapshot>,
        results: Vec<StationResult>,
        reads: &[CompleteRead],
        snapshots: Vec<StationSnapshot>,
    ) -> Result<Account> {
        let seat = Seat {
            store: self.store,
            origin: &self.start.origin,
            round: self.start.round,
            opened: self.start.opened,
            in_force: self.in_force,
            others: self.others,
            height: self.height,
            requests: self.requests,
            sight: None,
            finished: self.finished,
        };
        memory.turn_to(self.in_force);
        let commitments = self.commitments(memory, reads).await?;
        let found = judging::judge(&seat, memory, previous, reads).await?;
        let Commitments { openings, closed, map } = commitments;
        let Found { edits, respellings, advances, violations, requests, ratified, audited, .. } = found;
        let mut commit = RoundCommit {
            round: self.start.round,
            finished: self.finished,
            height: self.height,
            stations: results,
            snapshots,
            edits,
            respellings,
            advances,
            violations,
            requests,
            leaves: vec![],
            attestation: None,
            openings,
            closed,
        };
        self.attest(&mut commit, &map, &ratified).await?;
        memory.keep_attributes(self.start.round, map);
        Ok(Account { commit, audited })
    }

    /// The commitments as they stand after the reads. Those of a station that says what it said under the same agreement
    /// stand as they are.
    async fn commitments<'r>(
        &self,
        memory: &'r mut Memory,
        reads: &'r [CompleteRead],
    ) -> Result<Commitments> {
        let last = self.store.last_round().await?.map_or(0, |row| row.start.round);
        let Some(map) = memory.attributes_after(last) else {
            let before = self.store.openings_at(last).await?;
            let all = reads.iter().map(|read| (read, Touched::All)).collect();
            let Recommitted { openings, closed } = self.recommit(all, &before);
            let standing = standing(&before, &openings, &closed);
            let map = attestation::attributes(standing, &self.in_force.map_secret);
            return Ok(Commitments { openings, closed, map });
        };
        let memory: &Memory = memory;
        let touched = |read: &'r CompleteRead| {
            let last = memory.judged(&read.element);
            (read, last.map_or(Touched::All, |last| Touched::between(last, &read.current)))
        };
        let changed: Vec<(&CompleteRead, Touched<'_>)> =
            reads.iter().filter(|read| !memory.has_judged(read)).map(touched).collect();
        let (mut stations, mut objects) = (Vec::new(), Vec::new());
        for (read, touched) in &changed {
            match touched {
                Touched::All => stations.push(&read.element),
                some => objects.extend(some.names().map(|name| (&read.element, name))),
            }
        }
        let mut before = self.store.openings_at_stations(last, &stations).await?;
        before.extend(self.store.openings_at_objects(last, &objects).await?);
        let Recommitted { openings, closed } = self.recommit(changed, &before);
        let map = attestation::renewed(map, &openings, &closed, &self.in_force.map_secret);
        Ok(Commitments { openings, closed, map })
    }

    fn recommit(&self, reads: Vec<(&CompleteRead, Touched<'_>)>, before: &[StoredOpening]) -> Recommitted {
        let mut standing: BTreeMap<&Dn, Vec<&StoredOpening>> = BTreeMap::new();
        for opening in before {
            standing.entry(&opening.element).or_default().push(opening);
        }
        let (round, agreement) = (self.start.round, &self.in_force.agreement);
        let mut all = Recommitted::default();
        for (read, touched) in reads {
            let standing = standing.get(&read.element).map(Vec::as_slice).unwrap_or_default();
            let of = (&read.element, &*read.current, &touched);
            let again = commitments::recommit(round, of, standing, agreement, self.epoch);
            all.openings.extend(again.openings);
            all.closed.extend(again.closed);
        }
        all
    }

    /// Records of the round, and its attestation over everything in the commit.
    async fn attest(
        &self,
        commit: &mut RoundCommit,
        attributes: &Map,
        ratified: &BTreeSet<judging::Place>,
    ) -> Result<()> {
        let Own { start, in_force, chain, .. } = self;
        let origin = &start.origin;
        let new = |v: &&Violation| v.first_seen.round == start.round && v.resolved.is_none();
        let nonce = || keys::random_bytes::<32>().map(Nonce);
        let violations = commit.violations.iter().filter(new);
        let violations =
            violations.map(|v| records::violation(v, origin, nonce()?)).collect::<Result<Vec<Record>>>()?;
        let rows: BTreeMap<String, &RequestRow> =
            self.requests.iter().map(|row| (row.subject.subject.id.clone(), row)).collect();
        // A ratified difference was not allowed when it was seen: no record may call it exact.
        let allowed = commit.advances.iter();
        let allowed =
            allowed.filter(|a| !ratified.contains(&(a.edit.object.clone(), a.edit.attribute.clone())));
        let changes = records::changes(allowed, &rows, &in_force.agreement, origin, start.round)?;
        for record in violations.iter().chain(&changes) {
            commit.leaves.push(records::leaf(record, chain)?);
        }
        let previous = self.store.last_round().await?.and_then(|row| row.attestation);
        let parts = Parts {
            chain,
            start,
            finished: commit.finished,
            in_force,
            accounting: Accounting::count(start.expected, commit.stations.iter().map(|s| &s.outcome)),
            outcomes: &attestation::outcomes(&commit.stations, &in_force.map_secret),
            attributes,
            violations: &attestation::records(&violations)?,
            changes: &attestation::records(&changes)?,
            previous: previous.map(|bytes| Hash::of(&bytes)),
        };
        let (_, bytes) = attestation::attest(&parts)?;
        commit.attestation = Some(bytes);
        Ok(())
    }
}

/// Attributes and commitments that stand once these are made and those places are gone.
fn standing<'a>(
    before: &'a [StoredOpening],
    openings: &'a [CommittedAttribute],
    closed: &'a [(Dn, Dn, String)],
) -> impl Iterator<Item = (&'a Opening, Hash)> {
    let made = openings.iter().map(|made| (made.opening.dn.as_str(), made.opening.attribute.as_str()));
    let gone = closed.iter().map(|(_, dn, attribute)| (dn.as_str(), attribute.as_str()));
    let other: BTreeSet<(&str, &str)> = made.chain(gone).collect();
    let stands =
        move |o: &&StoredOpening| !other.contains(&(o.opening.dn.as_str(), o.opening.attribute.as_str()));
    let stay = before.iter().filter(stands).map(|stored| (&stored.opening, stored.commitment));
    stay.chain(openings.iter().map(|made| (&made.opening, made.opening.commitment())))
}
