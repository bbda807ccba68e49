//! The second judgement: rounds of other operators, as they disclose them, judged again by what this one approved.
//!
//! An operator keeps one more [`store::Store`] for each other operator, with that one's stations as they were disclosed
//! and what was approved and violated there *as judged here* ([`crate::app::App::seconds`]). The judge is the one that
//! judges this operator's own rounds, in another seat ([`crate::round::judging`]).
//!
//! One round, and what a crash leaves after each step:
//! 1. The disclosure is fetched and checked against the attestation on the chain ([`checking`]), then judged
//!    ([`judging`]). Nothing is stored.
//! 2. One transaction in the second store: the round, the mirror of the attribute map, and the judgement's records and
//!    disputes, waiting. They are continued with.
//! 3. Records and leaves go into the main store, by id; then they no longer wait.
//! 4. The leaves are anchored as any are. Disputes go on the chain once the leaf of their record is anchored.
//!
//! Others' judgements are pulled once they are anchored and mirrored ([`gathering`]).

pub(crate) mod checking;
pub(crate) mod comparing;
pub(crate) mod disclosing;
pub mod disclosure;
pub(crate) mod finding;
pub mod gathering;
pub(crate) mod judging;
mod settling;
mod taking;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anchor::transaction::MemberId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use gathering::Gathered;
use taking::Memory;

/// How often the chain is looked at for news.
const EVERY: Duration = Duration::from_millis(500);

/// How long what failed is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Judges what other operators attest and gathers what others judged, until the agent ends. Each origin on its own:
/// one that answers slowly holds up no other, and neither anchoring nor gathering.
pub async fn run(app: Arc<App>) {
    if !app.is_operator() {
        return;
    }
    let mut tasks = JoinSet::new();
    for origin in app.seconds.keys() {
        tasks.spawn(follow(app.clone(), origin.clone()));
    }
    tasks.spawn(keep(app));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!("A second judgement ended abnormally: {error}");
        }
    }
}

/// Judges the rounds of one origin.
async fn follow(app: Arc<App>, origin: MemberId) {
    let mut stopping = app.stopping.subscribe();
    let (mut memory, mut patience) = (Memory::default(), Patience::default());
    let what = format!("rounds of {origin}");
    loop {
        if patience.is_over() {
            patience.note(&what, taking::advance(&app, &origin, &mut memory).await);
        }
        if !pause(&mut stopping).await {
            return;
        }
    }
}

/// Anchors what was judged and gathers what others judged.
async fn keep(app: Arc<App>) {
    let mut stopping = app.stopping.subscribe();
    let (mut anchoring, mut gathering, mut gathered) =
        (Patience::default(), Patience::default(), Gathered::default());
    loop {
        if anchoring.is_over() {
            anchoring.note("anchoring", settling::anchor(&app).await);
        }
        if gathering.is_over() {
            gathering.note("others' judgements", gathering::advance(&app, &mut gathered).await);
        }
        if !pause(&mut stopping).await {
            return;
        }
    }
}

/// Until the chain is looked at again; false when the agent ends.
async fn pause(stopping: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(EVERY) => true,
        _ = stopping.wait_for(|stop| *stop) => false,
    }
}

/// What failed is left alone for a while, and the same trouble is logged once until it is over.
#[derive(Debug, Default)]
struct Patience {
    until: Option<Instant>,
    told: Option<String>,
}

impl Patience {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }

    fn note(&mut self, what: &str, outcome: anyhow::Result<Progress>) {
        self.until = None;
        let words = match outcome {
            Ok(Progress::Done) => None,
            Ok(Progress::Waits(why)) => Some(why),
            Err(error) => {
                self.until = Some(Instant::now() + PATIENCE);
                Some(format!("{error:#}"))
            }
        };
        if let Some(words) = words.as_ref().filter(|words| self.told.as_ref() != Some(words)) {
            if self.until.is_some() {
                tracing::warn!("Second judgement, {what}: {words}");
            } else {
                tracing::info!("Second judgement, {what} wait: {words}");
            }
        }
        self.told = words;
    }
}

/// How far a step came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is no more to do now.
    Done,
    /// Something is not here yet; it will be tried again.
    Waits(String),
}
