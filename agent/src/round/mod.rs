//! A round: open on the chain → inventory → sweep → diff → judge → one store transaction → anchor → publish.
//!
//! Beside each step stands what a crash there leaves. A failed station is an entry, never an error of the round.

pub(crate) mod account;
mod attestation;
mod commitments;
pub(crate) mod judging;
pub(crate) mod memory;
mod opening;
pub(crate) mod records;
pub(crate) mod rereading;
mod stations;
pub(crate) mod violations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use collector::sweep::{Reading, StationRead, sweep};
use model::{Accounting, Dn, Outcome};
use store::{Committed, RoundCommit, StationResult, StoredSnapshot};
use tokio_util::sync::CancellationToken;

use crate::anchoring;
use crate::api::types::{ChangeCounts, FailedStation, RoundSummary};
use crate::app::App;
use crate::clock;
use crate::evidence;
use crate::web::load;

pub(crate) use attestation::{attributes as attribute_map, records as record_map};
pub(crate) use commitments::committed_values;

use account::Account;
use memory::Memory;
use opening::Opening;

/// What a member without stations is told.
pub(crate) const NO_ROUNDS: &str =
    "this member has no stations and runs no rounds; hint: rounds are for operators, ask one of their agents";

/// Why there is no round.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// Asked for a station that nobody agreed on: nothing was begun.
    #[error("station {station} is not in the agreed inventory; hint: such as {such_as}")]
    Unknown { station: Dn, such_as: String },
    /// It did not come to its commit, or it stands and cannot be told: the error says which.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Runs one round, or finishes the one that a crash left open. `only` restricts it to some stations; the others are
/// skipped, and attested as such.
///
/// # Errors
/// [`RoundError`].
pub async fn run(app: &App, only: &[Dn]) -> Result<RoundSummary, RoundError> {
    known(app, only).await?;
    let mut turn = app.turn.lock().await;
    let clock = std::time::Instant::now();
    // Of a round that does not come to its commit nothing is kept.
    let nothing = turn.emptied();
    let mut memory = std::mem::replace(&mut *turn, nothing);
    let stored = match in_turn(app, &mut memory, only).await {
        Ok(stored) => stored,
        Err(error) => {
            app.metrics.round_broken();
            return Err(error.into());
        }
    };
    // From here on the round stands, whatever fails.
    *turn = memory;
    let round = stored.commit.round;
    let summary = tell(app, &stored).await;
    let summary = summary.with_context(|| format!("round {round} is stored, but cannot be told"))?;
    tracing::info!(
        round.id = round,
        duration_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        "Round {round}: {} expected = {} collected + {} unchanged + {} failed + {} skipped",
        summary.expected,
        summary.collected,
        summary.unchanged,
        summary.failed,
        summary.skipped
    );
    Ok(summary)
}

/// Finishes what a crash left between a round's commit and its bundles. A round that was not committed waits for the
/// next [`run`], which is a sweep.
pub async fn recover(app: &App) -> Result<()> {
    let _turn = app.turn.lock().await;
    anchoring::advance_or_say(app).await;
    evidence::publish(app).await.map(drop)
}

/// A round that was stored.
#[derive(Debug)]
struct Stored {
    opening: Opening,
    commit: RoundCommit,
}

/// A round up to its commit.
async fn in_turn(app: &App, memory: &mut Memory, only: &[Dn]) -> Result<Stored> {
    // What an earlier round left in the outbox goes first: the contract opens no round before the last is attested.
    anchoring::advance_or_say(app).await;
    // A crash after this leaves a round that is open on the chain, and perhaps begun here: it is continued.
    let opening = opening::open(app).await?;
    let previous = app.store.newest_snapshots_beside(memory.take_newest()).await?;
    // A crash during the sweep leaves nothing of it: the round is swept again.
    let (results, reads) = collect(app, memory, &opening, only, &previous).await;
    // Baselines that become final from here on count from the next round on: see `App::hold_baselines`.
    let held = app.hold_baselines().await?;
    let account = account::judge(app, memory, &opening, held.height, &previous, results, reads).await?;
    let Account { commit, audited } = account;
    // One transaction: a crash before it leaves the round open, after it everything, with the outbox to be anchored.
    let committed = app.store.commit_round(&commit).await.context("the round cannot be stored")?;
    drop(held);
    count(app, &opening, &commit);
    // A round over some stations says nothing of the others.
    if only.is_empty() {
        app.metrics.audited(&audited);
    }
    match committed {
        Committed::Now => memory.keep(previous, &commit),
        // What stands is another sweep's.
        Committed::AlreadyCommitted => *memory = memory.emptied(),
    }
    Ok(Stored { opening, commit })
}

/// What follows a commit. A crash during it leaves staged or anchored leaves, or bundles unwritten: the next round, or the
/// next start, continues.
async fn tell(app: &App, Stored { opening, commit }: &Stored) -> Result<RoundSummary> {
    anchoring::advance_or_say(app).await;
    let round = commit.round;
    let bundles = evidence::publish(app).await.unwrap_or_else(|error| {
        tracing::error!(round.id = round, "Round {round} stands, but no bundle is written: {error:#}");
        vec![]
    });
    summarise(app, opening, commit, bundles).await
}

/// Puts a stored round into the metrics.
fn count(app: &App, opening: &Opening, commit: &RoundCommit) {
    let outcomes = commit.stations.iter().map(|station| &station.outcome);
    let accounting = Accounting::count(opening.start.expected, outcomes);
    app.metrics.round_finished(&accounting, opening.start.started, commit.finished);
    let opened =
        commit.violations.iter().filter(|v| v.first_seen.round == commit.round && v.resolved.is_none());
    app.metrics.violations_opened(opened.map(|v| v.severity));
    app.metrics.changes_observed(commit.edits.iter().filter_map(|edit| edit.authorisation));
}

/// Refuses a restriction to stations that nobody agreed on, before anything is begun.
async fn known(app: &App, only: &[Dn]) -> Result<(), RoundError> {
    if only.is_empty() {
        return Ok(());
    }
    let in_force = app.in_force(app.ledger.next_height()).await?;
    let agreed: BTreeSet<&Dn> = in_force.inventory.stations.iter().map(|s| &s.element).collect();
    match only.iter().find(|dn| !agreed.contains(dn)) {
        Some(stranger) => Err(RoundError::Unknown {
            station: stranger.clone(),
            such_as: agreed.first().map_or_else(String::new, ToString::to_string),
        }),
        None => Ok(()),
    }
}

/// Reads all stations of the round; those that cannot be tried have their results at once.
async fn collect(
    app: &App,
    memory: &Memory,
    opening: &Opening,
    only: &[Dn],
    previous: &BTreeMap<Dn, StoredSnapshot>,
) -> (Vec<StationResult>, Vec<StationRead>) {
    let inventory = &opening.in_force.inventory.stations;
    if opening.lapsed {
        return (inventory.iter().map(|s| stations::skipped(&s.element, "restart")).collect(), vec![]);
    }
    let plans = stations::plan(app, memory, inventory, only, previous);
    let cancel = CancellationToken::new();
    let mut stopping = app.stopping.subscribe();
    let watcher = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            if stopping.wait_for(|stop| *stop).await.is_ok() {
                cancel.cancel();
            }
        }
    });
    let reads = sweep(plans.plans, stations::options(app), Arc::new(clock::now), cancel).await;
    watcher.abort();
    let mut results = plans.not_tried;
    results.extend(reads.iter().map(|read| StationResult {
        element: read.element.clone(),
        outcome: read.outcome(),
        read: read.finished,
        duration_ms: u64::try_from(read.finished.since(read.started)).unwrap_or(0),
    }));
    let complete =
        |read: &StationRead| matches!(read.reading, Reading::Collected(_) | Reading::Unchanged { .. });
    (results, reads.into_iter().filter(complete).collect())
}

async fn summarise(
    app: &App,
    opening: &Opening,
    commit: &RoundCommit,
    bundles: Vec<String>,
) -> Result<RoundSummary> {
    let row = app.store.round(commit.round).await?.context("the round that was just stored is gone")?;
    let Accounting { expected, collected, unchanged, failed, skipped } = row.accounting;
    let failures = commit.stations.iter().filter_map(|station| match &station.outcome {
        Outcome::Failed { reason, detail } => Some(FailedStation {
            element: station.element.to_string(),
            reason: reason.clone(),
            detail: detail.clone(),
        }),
        _ => None,
    });
    let baselined: BTreeSet<Dn> = app.store.baselined().await?.into_iter().map(|b| b.element).collect();
    let read = |station: &&StationResult| matches!(station.outcome, Outcome::Collected | Outcome::Unchanged);
    let unbaselined = commit.stations.iter().filter(read).filter(|s| !baselined.contains(&s.element)).count();
    Ok(RoundSummary {
        unbaselined: unbaselined as u64,
        round: commit.round,
        opened: opening.start.opened,
        expected,
        collected,
        unchanged,
        failed,
        skipped,
        failures: failures.collect(),
        findings: load::findings(&app.store, commit.round).await?,
        changes: ChangeCounts {
            observed: row.changes.observed,
            authorised: row.changes.authorised,
            unauthorised: row.changes.unauthorised,
        },
        violations_opened: row.violations_opened,
        violations_resolved: row.violations_resolved,
        anchored: app.store.log_state().await?.checkpoint.map(|c| c.size),
        bundles,
    })
}
