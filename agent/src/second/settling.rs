//! What is left of a judged round once it is kept: its records into the main store, their leaves into the log, disputes on
//! the chain. Each step can be done again.

use anchor::Action;
use anchor::record::{JudgementRecord, Record};
use anchor::transaction::DisputeStatement;
use anyhow::{Context as _, Result};
use serde_json::Value as Json;
use store::judgements::JUDGEMENT;
use store::{OutboxLeaf, SecondRound, Store};

use super::Progress;
use super::judging::{Carried, Delivery};
use crate::app::App;
use crate::round::records;
use crate::sending::SendError;
use crate::{anchoring, clock};

/// Delivers and disputes what waits in a second store. A crash anywhere leaves what the next call continues.
pub(super) async fn settle(app: &App, second: &Store) -> Result<Progress> {
    let waiting = second.unfinished_seconds().await?;
    for round in waiting.iter().filter(|round| round.delivery.is_some()) {
        deliver(app, round).await?;
        // A crash here delivers again, which adds nothing.
        second.mark_delivered(round.round).await?;
    }
    for round in &waiting {
        if let Some(disputes) = &round.disputes {
            if let waits @ Progress::Waits(_) = dispute(app, disputes).await? {
                return Ok(waits);
            }
            second.mark_disputed(round.round).await?;
        }
    }
    Ok(Progress::Done)
}

async fn deliver(app: &App, round: &SecondRound) -> Result<()> {
    let Some(delivery) = &round.delivery else { return Ok(()) };
    let delivery: Delivery = serde_json::from_value(delivery.clone())
        .context("what a second store has to deliver is unreadable")?;
    let chain = &app.ledger.genesis().chain_id;
    let leaf = |record: &JudgementRecord| records::leaf(&Record::Judgement(Box::new(record.clone())), chain);
    let leaves: Vec<OutboxLeaf> = delivery.records.iter().map(leaf).collect::<Result<_>>()?;
    let requests: Vec<_> = delivery.requests.into_iter().map(Carried::progress).collect();
    app.store.add_own_judgements(round.round, &delivery.records, &leaves, &requests, clock::now()).await?;
    Ok(())
}

/// Anchors what waits, unless a round of this operator is under way, which will.
pub(super) async fn anchor(app: &App) -> Result<Progress> {
    let state = app.store.log_state().await?;
    if state.waiting == 0 && state.staged.is_none() {
        return Ok(Progress::Done);
    }
    let Ok(_turn) = app.turn.try_lock() else { return Ok(Progress::Done) };
    anchoring::advance(app).await?;
    Ok(Progress::Done)
}

/// Puts disputes on the chain whose record's leaf is anchored.
async fn dispute(app: &App, disputes: &Json) -> Result<Progress> {
    let disputes: Vec<DisputeStatement> =
        serde_json::from_value(disputes.clone()).context("a dispute that waits is unreadable")?;
    for statement in disputes {
        let id = statement.id.clone();
        let summary = JudgementRecord::summary_id(&statement.origin, statement.round);
        let leaf = app.store.leaf_of(JUDGEMENT, &summary).await?;
        let anchored = app.store.log_state().await?.size;
        if leaf.is_none_or(|leaf| leaf.index >= anchored) {
            return Ok(Progress::Waits(format!("the judgement behind {id} is not anchored yet")));
        }
        match app.send(&format!("dispute/{id}"), Action::Dispute(statement)).await {
            Ok((_, height)) => tracing::warn!("Opened dispute `{id}` at height {height}"),
            Err(error) if error.says_done() => {}
            Err(SendError::Refused { code, reason }) => {
                tracing::error!("The chain refuses dispute `{id}`: {reason} ({code})");
            }
            Err(error) => return Err(error).with_context(|| format!("dispute {id} is not on the chain")),
        }
    }
    Ok(Progress::Done)
}
