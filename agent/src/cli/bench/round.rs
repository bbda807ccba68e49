//! `ranproof bench round`: a whole round over many stations, from their replies to the committed round with its
//! commitments, records and attestation, by the code that runs rounds.
//!
//! Not in it: the sessions (`ranproof bench poll`) and the chain (`ranproof bench chain`).

use std::sync::Arc;
use std::time::Instant;

use anchor::Hash;
use anchor::commitment::EpochSecret;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use collector::reader::{ReadContext, read_xml_again};
use collector::sweep::{LastReply, raw_document};
use collector::wire::{Reply, parse_envelope};
use model::change::BaselineObject;
use model::{Agreement, Digest, Dn, Inventory, Outcome, Profile, Station};
use policies::PolicySet;
use serde::Serialize;
use store::{
    BaselineStation, RoundStart, StationResult, StationSnapshot, Store, StoreConfig, StoredSnapshot,
};

use super::documents::{Documents, MESSAGE_ID};
use super::folder::Folder;
use super::meter::Meter;
use super::{Measured, ORIGIN, minute};
use crate::cli::output::{Exit, print, print_json, talk};
use crate::config::parse_yaml;
use crate::pins::InForce;
use crate::round::account::Own;
use crate::round::judging::CompleteRead;
use crate::round::memory::Memory;
use crate::statements;

/// One station in so many differs in the round in which few do.
const FEW: usize = 100;

#[derive(Debug, Args)]
pub struct RoundArgs {
    /// Stations of the network.
    #[arg(long, default_value_t = 1_000)]
    pub stations: usize,
    /// Cells of each.
    #[arg(long, default_value_t = 3)]
    pub cells: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    stations: usize,
    /// Size of one reply.
    bytes: usize,
    /// Objects of one station.
    objects: usize,
    /// Nothing is known before.
    first: Timed,
    /// Every reply is the one of before.
    quiet: Timed,
    /// One station in a hundred differs.
    few: Timed,
    /// Every station differs.
    all: Timed,
}

/// A round, and how long it took by the clock.
#[derive(Debug, Serialize)]
struct Timed {
    #[serde(flatten)]
    measured: Measured,
    seconds: f64,
}

pub fn run(args: &RoundArgs, json: bool) -> Result<Exit> {
    ensure!(args.stations > 0 && args.cells > 0, "nothing to measure: --stations and --cells begin at 1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("cannot start the runtime")?.block_on(measure(args))?;
    if json {
        print_json(&report)?
    } else {
        print(&describe(&report))?
    }
    Ok(Exit::Clean)
}

async fn measure(args: &RoundArgs) -> Result<Report> {
    let documents = Documents::with_cells(args.stations, args.cells);
    let mut network = Network::open(&documents).await?;
    let unchanged = |n: usize| documents.previous(n);
    talk("first round");
    let first = network.round(unchanged).await?;
    network.approve().await?;
    talk("nothing changed");
    let quiet = network.round(unchanged).await?;
    talk("few stations changed");
    let few =
        network.round(|n| if n % FEW == 0 { documents.current(n, 1) } else { documents.previous(n) }).await?;
    talk("all stations changed");
    let all = network.round(|n| documents.current(n, 2)).await?;
    let objects = network.objects().await?;
    let (stations, bytes) = (args.stations, documents.previous(0).len());
    network.close().await;
    Ok(Report { stations, bytes, objects, first, quiet, few, all })
}

/// What an operator's agent keeps of its network.
struct Network {
    folder: Folder,
    store: Store,
    in_force: InForce,
    epoch: EpochSecret,
    profile: Profile,
    memory: Memory,
    round: u64,
}

impl Network {
    async fn open(documents: &Documents) -> Result<Network> {
        let folder = Folder::create()?;
        let store = Store::open(StoreConfig::new(folder.path().join("bench.db"))).await?;
        let epoch = EpochSecret(crate::keys::random_bytes()?);
        let (in_force, profile) = (in_force(documents.stations())?, Profile::plain("plain"));
        Ok(Network { folder, store, in_force, epoch, profile, memory: Memory::new(4_096), round: 0 })
    }

    /// One round over all stations, whose replies `reply` gives.
    async fn round(&mut self, reply: impl Fn(usize) -> Vec<u8>) -> Result<Timed> {
        self.round += 1;
        let start = self.start();
        let stations: Vec<Dn> = self.in_force.inventory.stations.iter().map(|s| s.element.clone()).collect();
        let replies: Vec<Vec<u8>> = (0..stations.len()).map(reply).collect();
        let (mut meter, clock) = (Meter::start(), Instant::now());
        self.store.begin_round(&start).await?;
        let previous = self.store.newest_snapshots_beside(self.memory.take_newest()).await?;
        meter.step("load");
        let mut taken = Taken::default();
        for (element, reply) in stations.iter().zip(replies) {
            self.read(element, reply, previous.get(element), &mut taken)?;
        }
        meter.step("read");
        let own = Own {
            store: &self.store,
            chain: "bench",
            start: &start,
            in_force: &self.in_force,
            height: self.round * 10 + 1,
            requests: &[],
            others: &[],
            epoch: &self.epoch,
            finished: minute(self.round + 1),
        };
        let Taken { results, reads, snapshots } = taken;
        let account = own.account(&mut self.memory, &previous, results, &reads, snapshots).await?;
        let commit = account.commit;
        meter.step("judge");
        self.store.commit_round(&commit).await?;
        self.memory.keep(previous, &commit);
        meter.step("store");
        let measured = meter.finish(stations.len(), commit.edits.len(), commit.violations.len());
        Ok(Timed { measured, seconds: clock.elapsed().as_secs_f64() })
    }

    fn start(&self) -> RoundStart {
        RoundStart {
            origin: ORIGIN.into(),
            round: self.round,
            opened: Some(self.round * 10),
            started: minute(self.round),
            pins: self.in_force.pins(),
            expected: self.in_force.inventory.stations.len() as u64,
        }
    }

    /// As the sweep reads: an equal reply is not parsed.
    fn read(
        &mut self,
        element: &Dn,
        reply: Vec<u8>,
        previous: Option<&StoredSnapshot>,
        taken: &mut Taken,
    ) -> Result<()> {
        let Reply::Data(data) = parse_envelope(reply, MESSAGE_ID)? else { bail!("a reply without data") };
        let raw = raw_document(data);
        let read = minute(self.round);
        let raw_digest = Digest::of(&raw);
        let same = previous.filter(|stored| stored.raw == raw_digest);
        let (outcome, current) = match same {
            Some(stored) => (Outcome::Unchanged, Arc::clone(&stored.snapshot)),
            None => {
                let (context, reply) = (ReadContext::new(&self.profile, element), self.memory.reply(element));
                let (snapshot, pieces) =
                    read_xml_again(&raw, &context, reply.as_deref().map(LastReply::earlier))?;
                self.memory.keep_pieces(element, pieces);
                (Outcome::Collected, Arc::new(snapshot))
            }
        };
        if outcome == Outcome::Collected {
            taken.snapshots.push(StationSnapshot {
                element: element.clone(),
                read,
                snapshot: Arc::clone(&current),
                base: previous.map(|stored| Arc::clone(&stored.snapshot)),
                raw: raw.into(),
                raw_digest,
                held: self.memory.held(element),
            });
        }
        taken.results.push(StationResult { element: element.clone(), outcome, read, duration_ms: 0 });
        let (element, respellings) = (element.clone(), vec![]);
        taken.reads.push(CompleteRead { element, read, after: None, current, respellings });
        Ok(())
    }

    /// Everything that was read becomes the approved state.
    async fn approve(&self) -> Result<()> {
        let object = |object: &Arc<model::Object>| BaselineObject {
            object: object.dn().clone(),
            attributes: object.attributes().iter().cloned().collect(),
        };
        let newest = self.store.newest_snapshots().await?.into_iter();
        let stations = newest.map(|stored| BaselineStation {
            objects: stored.snapshot.objects().iter().map(object).collect(),
            element: stored.element,
        });
        self.store.apply_baseline("BL-1", self.round * 10 + 5, &stations.collect::<Vec<_>>()).await?;
        Ok(())
    }

    /// Of the first station.
    async fn objects(&self) -> Result<usize> {
        let first = self.in_force.inventory.stations.first().context("a network of no stations")?;
        let stored = self.store.newest_snapshot(&first.element).await?;
        Ok(stored.map_or(0, |stored| stored.snapshot.objects().len()))
    }

    async fn close(self) {
        self.store.close().await;
        drop(self.folder);
    }
}

/// What a sweep gives.
#[derive(Default)]
struct Taken {
    results: Vec<StationResult>,
    reads: Vec<CompleteRead>,
    snapshots: Vec<StationSnapshot>,
}

/// The agreement of the examples and the rules that ship with the product, for so many stations.
fn in_force(stations: usize) -> Result<InForce> {
    let agreement: Agreement =
        parse_yaml(include_str!("../../../../examples/agreement.yaml"), "agreement.yaml")?;
    let rules: Vec<_> =
        policies::packs::NR.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let policies = match PolicySet::load(&rules) {
        Ok(policies) => policies,
        Err(faults) => bail!("the shipped rules do not load: {faults:?}"),
    };
    let station = |n: usize| {
        let element: Dn = format!("SubNetwork=bj-east,ManagedElement=gnb-{n:04}").parse()?;
        let host_key = format!("ssh-ed25519 {n}");
        Ok(Station { element, gnb_id: n.to_string(), host_key, profile: "plain".into() })
    };
    let body = Hash::of(b"bench");
    Ok(InForce {
        map_secret: statements::map_secret(&agreement)?,
        inventory: Inventory {
            format: Inventory::FORMAT.into(),
            agreement: agreement.id.clone(),
            origin: ORIGIN.into(),
            version: 1,
            stations: (1..=stations).map(station).collect::<Result<Vec<_>>>()?,
        },
        agreement,
        agreement_body: body,
        policies: Arc::new(policies),
        policy_id: "nr-shared".into(),
        policy_version: 1,
        policy_body: body,
        inventory_root: body,
        profile: body,
    })
}

fn describe(report: &Report) -> String {
    let Report { stations, bytes, objects, first, quiet, few, all } = report;
    let mut text = format!(
        "{stations} stations, {objects} objects and {bytes} bytes each; milliseconds of CPU for one station\n"
    );
    let rounds =
        [("first round", first), ("nothing changed", quiet), ("1 in 100 changed", few), ("all changed", all)];
    for (name, Timed { measured, seconds }) in rounds {
        let steps: Vec<String> = ["load", "read", "judge", "store"]
            .iter()
            .map(|s| format!("{s} {:.3}", measured.steps_ms[*s]))
            .collect();
        text.push_str(&format!(
            "{name:<18} {:.3}  ({}), {seconds:.1} s by the clock\n",
            measured.cpu_ms_per_station,
            steps.join(", ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_round_does_what_it_is_said_to_do() {
        let report = measure(&RoundArgs { stations: 4, cells: 2 }).await.unwrap();
        let found = |timed: &Timed| (timed.measured.diffs, timed.measured.violations > 0);
        assert_eq!(found(&report.quiet), (0, false));
        assert_eq!(found(&report.all), (3, true));
        assert!(report.objects > 10 && report.few.measured.diffs < 3, "{report:?}");
        assert!(describe(&report).contains("nothing changed"));
    }
}
