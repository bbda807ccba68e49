//! Our side: from the reply's bytes to the rows of a committed round, as a round does it.
//!
//! Not in it: the session with the station, the salted commitments, and the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use anyhow::{Result, bail};
use collector::reader::{Pieces, ReadContext, read_xml_again};
use collector::sweep::{LastReply, raw_document};
use collector::wire::{Reply, parse_envelope};
use model::violation::Sighting;
use model::{
    Agreement, ApprovedState, ApprovedValue, Difference, Digest, Dn, Edit, Outcome, Profile, Snapshot,
    Violation, diff,
};
use policies::{Case, Evaluated, JudgedDifference, Judgement, NetworkIndex, PolicySet, Requests, judge};
use store::{
    HeldReply, RoundCommit, RoundEdit, RoundPins, RoundStart, StationResult, StationSnapshot, Store,
    StoreConfig,
};

use super::documents::{Documents, MESSAGE_ID};
use super::folder::Folder;
use super::meter::Meter;
use super::{Measured, ORIGIN, minute};
use crate::config::parse_yaml;
use crate::round::violations;

/// What was read of one station last, and what is approved of it.
struct Station {
    element: Dn,
    last: Arc<Snapshot>,
    /// The reply that gave it.
    reply: LastReply,
    approved: Arc<ApprovedState>,
    /// Where the two differ.
    differences: Vec<Difference>,
    /// What the rules said of it; `None` before the first judgement.
    rules: Option<Evaluated>,
}

/// A station's reply on its way through a round.
struct Work {
    raw: Vec<u8>,
    current: Arc<Snapshot>,
    pieces: Pieces,
    edits: Vec<Edit>,
    judgement: Judgement,
    violations: Vec<Violation>,
    rules: Option<Evaluated>,
}

/// A network whose first round is stored and approved.
pub struct Ours<'a> {
    documents: &'a Documents,
    folder: Folder,
    store: Store,
    agreement: Agreement,
    policies: PolicySet,
    profile: Profile,
    index: NetworkIndex,
    stations: Vec<Station>,
    rounds: usize,
}

impl<'a> Ours<'a> {
    /// Stores the first round, outside every figure.
    pub async fn prepare(documents: &'a Documents) -> Result<Ours<'a>> {
        let folder = Folder::create()?;
        let store = Store::open(StoreConfig::new(folder.path().join("bench.db"))).await?;
        let rules: Vec<_> =
            policies::packs::NR.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let policies = match PolicySet::load(&rules) {
            Ok(policies) => policies,
            Err(faults) => bail!("the shipped rules do not load: {faults:?}"),
        };
        let agreement = parse_yaml(include_str!("../../../../examples/agreement.yaml"), "agreement.yaml")?;
        let (profile, index) = (Profile::plain("plain"), NetworkIndex::default());
        let (stations, rounds) = (Vec::new(), 0);
        let mut side =
            Ours { documents, folder, store, agreement, policies, profile, index, stations, rounds };
        let mut commit = side.begin().await?;
        for number in 0..documents.stations() {
            let element: Dn = format!("SubNetwork=bj-east,ManagedElement=gnb-{:04}", number + 1).parse()?;
            let (raw, last, pieces) = side.read(documents.previous(number), &element, None)?;
            let raw = Arc::new(raw);
            let (bytes, digest) = (Arc::clone(&raw), Digest::of(&raw));
            let reply = LastReply { bytes, digest, snapshot: Arc::clone(&last), pieces };
            side.index.update(&element, Arc::clone(&last), false);
            take(&mut commit, &element, raw, &last, None);
            let (approved, differences, rules) = (Arc::new(approve(&last)), vec![], None);
            side.stations.push(Station { element, last, reply, approved, differences, rules });
        }
        side.store.commit_round(&commit).await?;
        Ok(side)
    }

    /// Objects of one station.
    pub fn objects(&self) -> usize {
        self.stations.first().map_or(0, |station| station.last.objects().len())
    }

    /// One round over all stations, each with another reply than before. Step by step over all of them, as a round does it.
    pub async fn round(&mut self) -> Result<Measured> {
        let count = self.stations.len();
        let replies: Vec<_> = (0..count).map(|n| self.documents.current(n, self.rounds)).collect();
        let mut meter = Meter::start();
        let mut commit = self.begin().await?;
        let sighting = sighting(commit.round);
        let mut work = Vec::with_capacity(count);
        for (reply, station) in replies.into_iter().zip(&self.stations) {
            let (raw, current, pieces) = self.read(reply, &station.element, Some(&station.reply))?;
            let (edits, judgement, violations, rules) = Default::default();
            work.push(Work { raw, current, pieces, edits, judgement, violations, rules });
        }
        meter.step("read");
        for (work, station) in work.iter_mut().zip(&self.stations) {
            work.edits = diff(&station.last, &work.current)?;
        }
        meter.step("diff");
        for (work, station) in work.iter_mut().zip(&self.stations) {
            work.judgement = self.judge(station, work, &sighting);
        }
        meter.step("judge");
        for (work, station) in work.iter().zip(&self.stations) {
            self.index.update(&station.element, Arc::clone(&work.current), false);
        }
        for (work, station) in work.iter_mut().zip(&self.stations) {
            self.rules(station, work, &sighting);
        }
        meter.step("rules");
        for (work, station) in work.into_iter().zip(&mut self.stations) {
            take(&mut commit, &station.element, work.raw.into(), &work.current, Some(station));
            commit.violations.extend(work.violations);
            station.differences = work.judgement.differences.iter().map(difference).collect();
            commit.edits.extend(rows(&station.element, work.judgement));
            station.reply.pieces = work.pieces;
            (station.last, station.rules) = (work.current, work.rules);
        }
        self.store.commit_round(&commit).await?;
        for (read, station) in commit.snapshots.into_iter().zip(&mut self.stations) {
            let reply = &mut station.reply;
            (reply.bytes, reply.digest, reply.snapshot) = (read.raw, read.raw_digest, read.snapshot);
        }
        meter.step("store");
        Ok(meter.finish(count, commit.edits.len(), commit.violations.len()))
    }

    fn judge(&self, station: &Station, work: &Work, sighting: &Sighting) -> Judgement {
        judge(&Case {
            agreement: &self.agreement,
            element: &station.element,
            collector: ORIGIN,
            previous: Some(&station.last),
            current: &work.current,
            edits: &work.edits,
            approved: Some(&station.approved),
            before: Some(&station.differences),
            requests: &Requests::default(),
            sighting: sighting.clone(),
            known: &BTreeMap::new(),
            recent_changes: &BTreeMap::new(),
            carried_out: &BTreeSet::new(),
        })
    }

    fn rules(&self, station: &Station, work: &mut Work, sighting: &Sighting) {
        let context = violations::Context {
            origin: ORIGIN,
            agreement: &self.agreement,
            policies: &self.policies,
            index: &self.index,
            element: &station.element,
            current: &work.current,
            previous: Some(&station.last),
            approved: &station.approved,
            edits: &work.edits,
            sighting,
        };
        let rules = context.rules(station.rules.as_ref());
        work.violations = violations::update(&context, vec![], &work.judgement, &rules);
        work.rules = Some(rules);
    }

    /// The reply as it is stored, its objects, and what to read the next one by.
    fn read(
        &self,
        reply: Vec<u8>,
        element: &Dn,
        last: Option<&LastReply>,
    ) -> Result<(Vec<u8>, Arc<Snapshot>, Pieces)> {
        let Reply::Data(data) = parse_envelope(reply, MESSAGE_ID)? else { bail!("a reply without data") };
        let raw = raw_document(data);
        let context = ReadContext::new(&self.profile, element);
        let (snapshot, pieces) = read_xml_again(&raw, &context, last.map(LastReply::earlier))?;
        Ok((raw, Arc::new(snapshot), pieces))
    }

    async fn begin(&mut self) -> Result<RoundCommit> {
        self.rounds += 1;
        let round = self.rounds as u64;
        let pin = Hash::of(b"bench");
        let pins = RoundPins { agreement: pin, policy_set: pin, inventory: pin, profile: pin };
        let (started, expected) = (minute(round), self.documents.stations() as u64);
        let start = RoundStart { origin: ORIGIN.into(), round, opened: None, started, pins, expected };
        self.store.begin_round(&start).await?;
        Ok(RoundCommit {
            round,
            finished: minute(round + 1),
            height: 0,
            stations: vec![],
            snapshots: vec![],
            edits: vec![],
            respellings: vec![],
            advances: vec![],
            violations: vec![],
            requests: vec![],
            leaves: vec![],
            attestation: None,
            openings: vec![],
            closed: vec![],
        })
    }

    /// Closes the database and removes its folder.
    pub async fn finish(self) {
        self.store.close().await;
        drop(self.folder);
    }
}

fn sighting(round: u64) -> Sighting {
    Sighting { round, opened: None, after: Some(minute(round - 1)), read: minute(round) }
}

fn difference(open: &JudgedDifference) -> Difference {
    Difference { edit: open.edit.clone(), approved_by: open.approved_by.clone() }
}

fn rows(element: &Dn, judgement: Judgement) -> impl Iterator<Item = RoundEdit> {
    judgement.edits.into_iter().map(|(edit, verdict)| RoundEdit {
        element: element.clone(),
        edit,
        authorisation: Some(verdict.authorisation),
        request: verdict.request,
    })
}

fn take(
    commit: &mut RoundCommit,
    element: &Dn,
    raw: Arc<Vec<u8>>,
    snapshot: &Arc<Snapshot>,
    before: Option<&Station>,
) {
    let read = minute(commit.round);
    let (outcome, duration_ms) = (Outcome::Collected, 0);
    commit.stations.push(StationResult { element: element.clone(), outcome, read, duration_ms });
    commit.snapshots.push(StationSnapshot {
        element: element.clone(),
        read,
        snapshot: Arc::clone(snapshot),
        base: before.map(|station| Arc::clone(&station.last)),
        held: before
            .map(|Station { reply, .. }| HeldReply { bytes: Arc::clone(&reply.bytes), digest: reply.digest }),
        raw_digest: Digest::of(&raw),
        raw,
    });
}

fn approve(snapshot: &Snapshot) -> ApprovedState {
    let mut state = ApprovedState::default();
    for object in snapshot.objects() {
        state.insert_object(object.dn().clone());
        for (name, value) in object.attributes() {
            let approved = ApprovedValue { value: value.clone(), request: "BL-1".into(), height: 1 };
            state.insert(object.dn().clone(), name.clone(), approved);
        }
    }
    state
}
