//! One read of many stations: bounded, and no station's trouble is another's.
//!
//! [`sweep`] gives exactly one [`StationRead`] per station it was given, whatever happens; [`sweep_into`]
//! hands them over as they come. A station whose reply equals the previous one is not parsed again, nor validated again
//! unless its schema changed. One that
//! seems to have lost much of its configuration is read twice before it is believed.

mod station;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use model::{Digest, Dn, Outcome, Profile, Snapshot, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::reader::{Earlier, Pieces, ReadLimits};
use crate::session::{Limits, Target};
use crate::validation::{self, Schemas};

pub use station::raw_document;

/// Gives the time; tests choose it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What was read before, kept by whoever has a store.
pub trait Replies: Send + Sync {
    /// The reply of a station's last complete read, as [`Collected::raw`] gave it; `None` if it is not kept.
    fn last<'a>(&'a self, element: &'a Dn) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>>;
}

/// One station to read.
#[derive(Debug, Clone)]
pub struct StationPlan {
    /// The station's name in the inventory; all its objects are named below it.
    pub element: Dn,
    /// Where and how it is reached.
    pub target: Target,
    /// How it is read.
    pub profile: Arc<Profile>,
    /// What the last complete read gave, if there was one.
    pub previous: Option<Previous>,
}

/// What is remembered of a station's last complete read.
#[derive(Debug, Clone)]
pub struct Previous {
    /// What it was read to.
    pub snapshot: Arc<Snapshot>,
    /// [`Collected::raw_digest`].
    pub raw_digest: Digest,
    /// A reply of before, where the caller keeps one in memory: only what differs from it is read.
    pub reply: Option<Arc<LastReply>>,
}

impl Previous {
    /// Schemas were asked for and there was none for it: it may go on so.
    fn is_schemaless(&self) -> bool {
        self.snapshot.findings().iter().any(validation::is_schemaless)
    }

    /// Validation had something to say of it.
    fn has_validation_findings(&self) -> bool {
        self.snapshot.findings().iter().any(validation::found)
    }
}

/// A reply that was read before.
#[derive(Debug)]
pub struct LastReply {
    /// [`Collected::raw`].
    pub bytes: Arc<Vec<u8>>,
    /// [`Collected::raw_digest`].
    pub digest: Digest,
    /// What it was read to.
    pub snapshot: Arc<Snapshot>,
    /// [`Collected::pieces`].
    pub pieces: Pieces,
}

impl LastReply {
    /// For [`read_xml_again`](crate::reader::read_xml_again).
    pub fn earlier(&self) -> Earlier<'_> {
        Earlier { bytes: &self.bytes, pieces: &self.pieces }
    }
}

/// When a read lacks so much of the previous one that a second must confirm it (`DESIGN.md` §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MassDeletion {
    /// More than this share of the objects, in percent.
    pub percent: usize,
    /// And at least so many.
    pub at_least: usize,
}

impl Default for MassDeletion {
    fn default() -> MassDeletion {
        MassDeletion { percent: 25, at_least: 10 }
    }
}

impl MassDeletion {
    pub(crate) fn applies(&self, vanished: usize, previous: usize) -> bool {
        vanished >= self.at_least && vanished.saturating_mul(100) > previous.saturating_mul(self.percent)
    }
}

/// How a sweep goes about it.
#[derive(Clone)]
pub struct SweepOptions {
    /// Stations read at the same time.
    pub concurrency: usize,
    /// Deadline and reply size of one poll of one station; a station read twice has the deadline twice.
    pub limits: Limits,
    /// What reading one reply may cost.
    pub read: ReadLimits,
    /// Key of the hashes that stand for secrets.
    pub secret_key: Option<[u8; 32]>,
    /// When to read twice; `None` believes the first read.
    pub mass_deletion: Option<MassDeletion>,
    /// What replies are read by and validated against; `None`: nothing.
    pub schemas: Option<Arc<Schemas>>,
    /// Where a station's last reply lies: under another interpretation it is read again. `None`: it cannot be, and such
    /// a station has no history in that round.
    pub replies: Option<Arc<dyn Replies>>,
}

impl Default for SweepOptions {
    fn default() -> SweepOptions {
        SweepOptions {
            concurrency: 64,
            limits: Limits::default(),
            read: ReadLimits::default(),
            secret_key: None,
            mass_deletion: Some(MassDeletion::default()),
            schemas: None,
            replies: None,
        }
    }
}

impl fmt::Debug for SweepOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepOptions")
            .field("concurrency", &self.concurrency)
            .field("limits", &self.limits)
            .field("secret_key", &self.secret_key.map(|_| "hidden"))
            .field("mass_deletion", &self.mass_deletion)
            .field("schemas", &self.schemas)
            .field("replies", &self.replies.is_some())
            .finish_non_exhaustive()
    }
}

/// What became of one station.
#[derive(Debug, Clone)]
pub struct StationRead {
    /// The station's name in the inventory.
    pub element: Dn,
    /// Before the first packet.
    pub started: Timestamp,
    /// After the last.
    pub finished: Timestamp,
    /// What it gave.
    pub reading: Reading,
}

impl StationRead {
    /// What the round records.
    pub fn outcome(&self) -> Outcome {
        match &self.reading {
            Reading::Collected(_) => Outcome::Collected,
            Reading::Unchanged { .. } => Outcome::Unchanged,
            Reading::Failed { reason, detail } => {
                Outcome::Failed { reason: reason.clone(), detail: detail.clone() }
            }
            Reading::Skipped { reason } => Outcome::Skipped { reason: reason.clone() },
        }
    }
}

/// What a station gave.
#[derive(Debug, Clone)]
pub enum Reading {
    /// A configuration that differs from the previous one, or the first.
    Collected(Box<Collected>),
    /// The configuration of the previous read.
    Unchanged {
        /// Of this reply.
        raw_digest: Digest,
        /// The reply, if it differs from the previous one in bytes or was validated anew: volatile values and
        /// findings may be new.
        fresh: Option<Box<Collected>>,
    },
    /// Nothing that may be used.
    Failed {
        /// Stable word, such as `unreachable`, `host-key-mismatch`, `malformed`, `internal`.
        reason: String,
        /// One line for people, without credentials or values.
        detail: String,
    },
    /// Not tried.
    Skipped {
        /// Stable word.
        reason: String,
    },
}

/// A complete read.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The configuration.
    pub snapshot: Snapshot,
    /// The content of `<data>` as it came, wrapped so that it can be read again: see [`raw_document`].
    /// Secrets stand in it as sent.
    pub raw: Arc<Vec<u8>>,
    /// Digest of `raw`.
    pub raw_digest: Digest,
    /// What to read the next reply by.
    pub pieces: Pieces,
    /// Remarks the station made, of severity warning.
    pub warnings: Vec<String>,
    /// Whether much was gone and a second read confirmed it.
    pub confirmed_deletion: bool,
    /// The last reply, read again under this interpretation, where it stood under another one.
    pub before: Option<Snapshot>,
}

/// Reads all stations; the results stand in the order of the plans.
///
/// After `cancel` no further station is begun: those are `skipped`, those under way `failed`, both with the
/// reason `cancelled`.
pub async fn sweep(
    stations: Vec<StationPlan>,
    options: SweepOptions,
    clock: Clock,
    cancel: CancellationToken,
) -> Vec<StationRead> {
    let order: HashMap<Dn, usize> =
        stations.iter().enumerate().map(|(index, plan)| (plan.element.clone(), index)).collect();
    let (sink, mut source) = mpsc::channel(options.concurrency.max(1));
    let gather = async {
        let mut reads = Vec::with_capacity(order.len());
        while let Some(read) = source.recv().await {
            reads.push(read);
        }
        reads
    };
    let ((), mut reads) = tokio::join!(sweep_into(stations, options, clock, cancel, sink), gather);
    reads.sort_by_key(|read: &StationRead| order.get(&read.element).copied());
    reads
}

/// Reads all stations and hands each result over as it comes; a full `sink` slows the sweep down, a closed
/// one ends it.
pub async fn sweep_into(
    stations: Vec<StationPlan>,
    options: SweepOptions,
    clock: Clock,
    cancel: CancellationToken,
    sink: mpsc::Sender<StationRead>,
) {
    let options = Arc::new(options);
    let mut running = Running { tasks: JoinSet::new(), known: HashMap::new(), clock: Arc::clone(&clock) };
    let mut waiting = stations.into_iter();
    let mut stopping = false;
    loop {
        while !stopping && running.tasks.len() < options.concurrency.max(1) {
            let Some(plan) = waiting.next() else { break };
            running.start(plan, Arc::clone(&options));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !stopping => {
                stopping = true;
                running.tasks.abort_all();
            }
            read = running.next() => match read {
                None => break,
                // Nobody listens any more; dropping the set ends what is under way.
                Some(read) => if sink.send(read).await.is_err() { return },
            },
        }
    }
    for plan in waiting {
        let now = clock();
        let reading = Reading::Skipped { reason: "cancelled".to_owned() };
        let read = StationRead { element: plan.element, started: now, finished: now, reading };
        if sink.send(read).await.is_err() {
            return;
        }
    }
}

/// Stations under way.
struct Running {
    tasks: JoinSet<(Timestamp, Reading)>,
    known: HashMap<Id, (Dn, Timestamp)>,
    clock: Clock,
}

impl Running {
    fn start(&mut self, plan: StationPlan, options: Arc<SweepOptions>) {
        let entry = (plan.element.clone(), (self.clock)());
        let clock = Arc::clone(&self.clock);
        let task = self.tasks.spawn(async move {
            let reading = station::read(&plan, &options).await;
            (clock(), reading)
        });
        self.known.insert(task.id(), entry);
    }

    /// The next station to end, `None` when none is under way.
    async fn next(&mut self) -> Option<StationRead> {
        loop {
            let (id, finished, reading) = match self.tasks.join_next_with_id().await? {
                Ok((id, (finished, reading))) => (id, finished, reading),
                Err(error) => (error.id(), (self.clock)(), crashed(&error)),
            };
            // Every task is entered when it starts.
            if let Some((element, started)) = self.known.remove(&id) {
                return Some(StationRead { element, started, finished, reading });
            }
        }
    }
}

fn crashed(error: &JoinError) -> Reading {
    let (reason, detail) = if error.is_cancelled() {
        ("cancelled", "the sweep was stopped while this station was read")
    } else {
        (
            "internal",
            "the collector itself failed on this station; hint: its log says where, please report it",
        )
    };
    Reading::Failed { reason: reason.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mass_deletion_needs_both_share_and_number() {
        let rule = MassDeletion::default();
        assert!(rule.applies(10, 39));
        assert!(!rule.applies(10, 40));
        assert!(!rule.applies(9, 9));
        assert!(rule.applies(1347, 1347));
    }
}
