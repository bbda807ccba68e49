//! Our side: from the reply's bytes to the rows of a committed round, as a round does it.
//!
//! Not in it: the session with the station, the salted commitments, and the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anchor::Hash;
use anyhow::{Context as _, Result, bail};
use collector::reader::{ReadContext, read_xml};
use collector::sweep::raw_document;
use collector::wire::{Reply, parse_reply};
use model::violation::Sighting;
use model::{Agreement, ApprovedState, ApprovedValue, Dn, Outcome, Profile, Snapshot, Timestamp, diff};
use policies::{Case, NetworkIndex, PolicySet, judge};
use store::{
    RoundCommit, RoundEdit, RoundPins, RoundStart, StationResult, StationSnapshot, Store, StoreConfig,
};

use super::Measured;
use super::documents::{Documents, MESSAGE_ID};
use crate::config::parse_yaml;
use crate::round::violations;

const ORIGIN: &str = "telecom";

/// Milliseconds in one tick of the kernel's accounting: its interface always counts hundredths of a second.
const TICK_MS: f64 = 10.0;

/// What was read of one station last, and what is approved of it.
struct Station {
    element: Dn,
    last: Arc<Snapshot>,
    approved: ApprovedState,
}

/// A network of equal stations whose first round is stored and approved.
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
    pub async fn prepare(documents: &'a Documents, stations: usize) -> Result<Ours<'a>> {
        let folder = Folder::create()?;
        let store = Store::open(StoreConfig::new(folder.0.join("bench.db"))).await?;
        let rules: Vec<_> =
            policies::packs::NR.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let policies = match PolicySet::load(&rules) {
            Ok(policies) => policies,
            Err(faults) => bail!("the shipped rules do not load: {faults:?}"),
        };
        let agreement = parse_yaml(include_str!("../../../../examples/agreement.yaml"), "agreement.yaml")?;
        let (profile, index) = (Profile::plain("plain"), NetworkIndex::default());
        let stations_known = Vec::with_capacity(stations);
        let mut side = Ours {
            documents,
            folder,
            store,
            agreement,
            policies,
            profile,
            index,
            stations: stations_known,
            rounds: 0,
        };
        let reply = documents.previous();
        let mut commit = side.begin(stations).await?;
        for number in 1..=stations {
            let element: Dn = format!("SubNetwork=bj-east,ManagedElement=gnb-{number:04}").parse()?;
            let (raw, last) = side.read(&reply, &element)?;
            side.index.update(&element, Arc::clone(&last), false);
            take(&mut commit, &element, raw, &last);
            side.stations.push(Station { element, approved: approve(&last), last });
        }
        side.store.commit_round(&commit).await?;
        Ok(side)
    }

    /// Objects of one station.
    pub fn objects(&self) -> usize {
        self.stations.first().map_or(0, |station| station.last.objects().len())
    }

    /// One round over all stations, each with another reply than before.
    pub async fn round(&mut self) -> Result<Measured> {
        let reply = self.documents.current(self.rounds);
        let before = cpu_ms()?;
        let mut commit = self.begin(self.stations.len()).await?;
        for number in 0..self.stations.len() {
            self.station(number, &reply, &mut commit)?;
        }
        self.store.commit_round(&commit).await?;
        let count = self.stations.len();
        Ok(Measured {
            cpu_ms_per_station: (cpu_ms()? - before) / count as f64,
            diffs: commit.edits.len() / count,
            violations: commit.violations.len() / count,
        })
    }

    /// Read, compare, judge, rules: what a round does with a reply that came.
    fn station(&mut self, number: usize, reply: &[u8], commit: &mut RoundCommit) -> Result<()> {
        let element = self.stations[number].element.clone();
        let (raw, current) = self.read(reply, &element)?;
        self.index.update(&element, Arc::clone(&current), false);
        let station = &self.stations[number];
        let edits = diff(&station.last, &current)?;
        let sighting = self.sighting(commit.round);
        let (known, recent, carried_out) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let judgement = judge(&Case {
            agreement: &self.agreement,
            element: &element,
            collector: ORIGIN,
            previous: Some(&station.last),
            current: &current,
            edits: &edits,
            approved: Some(&station.approved),
            requests: &[],
            sighting: sighting.clone(),
            known: &known,
            recent_changes: &recent,
            carried_out: &carried_out,
        });
        let context = violations::Context {
            origin: ORIGIN,
            agreement: &self.agreement,
            policies: &self.policies,
            index: &self.index,
            element: &element,
            current: &current,
            previous: Some(&station.last),
            approved: &station.approved,
            edits: &edits,
            sighting: &sighting,
        };
        commit.violations.extend(violations::update(&context, vec![], &judgement));
        commit.edits.extend(judgement.edits.into_iter().map(|(edit, verdict)| RoundEdit {
            element: element.clone(),
            edit,
            authorisation: Some(verdict.authorisation),
            request: verdict.request,
        }));
        take(commit, &element, raw, &current);
        self.stations[number].last = current;
        Ok(())
    }

    /// The reply as it is stored, and its objects.
    fn read(&self, reply: &[u8], element: &Dn) -> Result<(Vec<u8>, Arc<Snapshot>)> {
        let Reply::Data(data) = parse_reply(reply.to_vec(), MESSAGE_ID)? else { bail!("a reply without data") };
        let raw = raw_document(&data);
        let snapshot = read_xml(&raw, &ReadContext::new(&self.profile, element))?;
        Ok((raw, Arc::new(snapshot)))
    }

    async fn begin(&mut self, expected: usize) -> Result<RoundCommit> {
        self.rounds += 1;
        let round = self.rounds as u64;
        let pin = Hash::of(b"bench");
        let pins = RoundPins { agreement: pin, policy_set: pin, inventory: pin, profile: pin };
        let (started, expected) = (minute(round), expected as u64);
        let start = RoundStart { origin: ORIGIN.into(), round, opened: None, started, pins, expected };
        self.store.begin_round(&start).await?;
        Ok(RoundCommit {
            round,
            finished: minute(round + 1),
            stations: vec![],
            snapshots: vec![],
            edits: vec![],
            advances: vec![],
            violations: vec![],
            requests: vec![],
            leaves: vec![],
            attestation: None,
            openings: vec![],
            closed: vec![],
        })
    }

    fn sighting(&self, round: u64) -> Sighting {
        Sighting { round, opened: None, after: Some(minute(round - 1)), read: minute(round) }
    }

    /// Closes the database and removes its folder.
    pub async fn finish(self) {
        self.store.close().await;
        drop(self.folder);
    }
}

fn take(commit: &mut RoundCommit, element: &Dn, raw: Vec<u8>, snapshot: &Snapshot) {
    let read = minute(commit.round);
    let (outcome, duration_ms) = (Outcome::Collected, 0);
    commit.stations.push(StationResult { element: element.clone(), outcome, read, duration_ms });
    commit.snapshots.push(StationSnapshot { element: element.clone(), read, snapshot: snapshot.clone(), raw });
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

fn minute(n: u64) -> Timestamp {
    Timestamp::from_unsigned(n * 60_000)
}

/// User and system time of this process so far, all threads.
fn cpu_ms() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read this process's times")?;
    // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field (proc(5)).
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).context("no times in /proc")?;
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks.as_slice() else { bail!("no times in /proc/self/stat") };
    Ok((user + system) * TICK_MS)
}

/// A folder of this process's own that vanishes with it.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Folder> {
        let mark = hex::encode(crate::keys::random_bytes::<6>()?);
        let path = std::env::temp_dir().join(format!("ranproof-bench-{mark}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
