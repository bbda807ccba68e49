//! How a round begins: opened on the chain before its sweep, resumed after a crash, or unopened while the chain is out
//! of reach.

use anchor::Action;
use anchor::transaction::OpenRoundStatement;
use anyhow::{Context as _, Result};
use contract::code;
use store::RoundStart;

use crate::app::App;
use crate::clock;
use crate::pins::InForce;
use crate::sending::SendError;

/// A round that may sweep.
#[derive(Debug)]
pub struct Opening {
    pub start: RoundStart,
    pub in_force: InForce,
    /// Its deadline passed while the agent was down: nothing is read any more, all is skipped.
    pub lapsed: bool,
}

/// Opens the next round, or continues the one that a crash left open.
pub async fn open(app: &App) -> Result<Opening> {
    if let Some(start) = app.store.open_round().await? {
        return resume(app, start).await;
    }
    let opened_by_chain = app.ledger.contract().read().open_round(app.origin());
    let next = app.store.next_round().await?;
    // A crash between the opening's finality and the first row here: the chain knows the round, the store does not.
    if let Some(round) = opened_by_chain.filter(|round| *round >= next) {
        return begin(app, round, opened_at(app, round)).await;
    }
    let last = app.ledger.contract().read().last_round(app.origin());
    let round = next.max(last.saturating_add(1));
    let in_force = app.in_force(app.ledger.next_height()).await?;
    let opened = match app.send(&format!("open/{round}"), open_action(app, round, &in_force)).await {
        Ok((_, height)) => Some(height),
        Err(SendError::OutOfReach(error)) => {
            tracing::warn!(round.id = round, "Round {round} goes on unopened: {error}");
            None
        }
        Err(SendError::Refused { code, reason }) if code == code::ROUND_OPEN => {
            tracing::warn!(round.id = round, "Round {round} goes on unopened: {reason}");
            None
        }
        Err(error) => return Err(error).with_context(|| format!("round {round} cannot be opened")),
    };
    begin(app, round, opened).await
}

fn open_action(app: &App, round: u64, in_force: &InForce) -> Action {
    Action::OpenRound(OpenRoundStatement {
        origin: app.origin().to_owned(),
        round,
        agreement: in_force.agreement.id.clone(),
        agreement_version: in_force.agreement.version,
        policy_set: in_force.policy_id.clone(),
        policy_set_version: in_force.policy_version,
        inventory_version: in_force.inventory.version,
        profile: in_force.profile,
    })
}

fn opened_at(app: &App, round: u64) -> Option<u64> {
    app.ledger.contract().read().round(app.origin(), round).map(|state| state.opening.at.height)
}

async fn begin(app: &App, round: u64, opened: Option<u64>) -> Result<Opening> {
    app.settle().await?;
    let in_force = app.in_force(opened.unwrap_or_else(|| app.ledger.next_height())).await?;
    let start = RoundStart {
        origin: app.origin().to_owned(),
        round,
        opened,
        started: clock::now(),
        pins: in_force.pins(),
        expected: in_force.inventory.stations.len() as u64,
    };
    app.store.begin_round(&start).await?;
    Ok(Opening { start, in_force, lapsed: false })
}

/// Past the opening a crash leaves a begun round: it is swept again under its number until its deadline.
async fn resume(app: &App, start: RoundStart) -> Result<Opening> {
    let height = start.opened.unwrap_or_else(|| app.ledger.next_height());
    let in_force = app.in_force(height).await?;
    // An idle chain may not have made the block yet that notes a missed deadline.
    let state = app.ledger.contract().read().round(app.origin(), start.round);
    let lapsed = state.is_some_and(|s| s.missed.is_some() || clock::now().to_unsigned() > s.opening.deadline);
    tracing::info!(round.id = start.round, "Continuing round {} after a restart", start.round);
    Ok(Opening { start, in_force, lapsed })
}
