//! Anchoring: the outbox becomes leaves (stage), the chain takes the checkpoint by compare-and-swap (commit point), the
//! leaves count as anchored (apply), and the rounds among them are attested. Recovery is the same call.

use std::sync::Arc;

use anchor::transaction::{AnchorCheckpointStatement, AttestRoundStatement};
use anchor::tree::Tree;
use anchor::{Action, Checkpoint, Hash};
use anyhow::{Context as _, Result, ensure};
use store::{SavedCheckpoint, SendableAttestation, StagedGrowth};

use crate::app::App;
use crate::sending::SendError;

/// Anchors all that waits. While the chain is out of reach everything stays staged, and the next call continues.
pub async fn advance(app: &App) -> Result<()> {
    // A crash before: transactions that were signed and perhaps sent. They are sent again as they are.
    app.resend().await?;
    while let Some(growth) = app.store.stage_growth().await? {
        // A crash here: indices are assigned, nothing is signed. The same growth is returned again.
        let checkpoint = sign(app, &growth).await?;
        // A crash here: the checkpoint is signed and kept. The same one is sent.
        let (height, index) = anchor_checkpoint(app, &growth, &checkpoint).await?;
        // A crash here: the chain has it, the store does not know. The chain answers that nothing is to be done.
        app.store.mark_anchored(growth.new_size, height, index).await?;
        app.store.apply_anchored().await?;
    }
    for attestation in app.store.sendable_attestations().await? {
        // A crash here: anchored and not attested. The next call finds it again.
        attest(app, &attestation).await?;
    }
    if let Some(attestation) = opened_too_late(app).await? {
        attest(app, &attestation).await?;
    }
    app.settle().await
}

/// The attestation of a round that went on unopened, and whose opening the chain took after all, later. It says that
/// the round had no opening when it swept, and stays what it is; sending it spares the origin a missed round, behind
/// which no other could be opened until the deadline.
async fn opened_too_late(app: &App) -> Result<Option<SendableAttestation>> {
    let open = app.ledger.contract().read().open_round(app.origin());
    let Some(round) = open else { return Ok(None) };
    let row =
        app.store.round(round).await?.filter(|row| row.start.opened.is_none() && row.attested.is_none());
    let ready = row.and_then(|row| {
        let (attestation, leaf_index) = (row.attestation?, row.leaf_index?);
        Some(SendableAttestation { round, attestation, leaf_index, accounting: row.accounting, opened: None })
    });
    Ok(ready)
}

/// [`advance`], with a failure logged: whoever calls has done its own work durably.
pub async fn advance_or_say(app: &App) {
    if let Err(error) = advance(app).await {
        tracing::warn!("Anchoring waits: {error:#}");
    }
}

/// The log's tree with at least `size` leaves: kept and grown, never made anew.
pub(crate) async fn tree(app: &App, size: u64) -> Result<Arc<Tree>> {
    app.trees.own(&app.store, size).await
}

async fn sign(app: &App, growth: &StagedGrowth) -> Result<SavedCheckpoint> {
    if let Some(saved) = &growth.checkpoint {
        return Ok(saved.clone());
    }
    let root = tree(app, growth.new_size).await?.root_at(growth.new_size)?;
    let origin = app.ledger.genesis().origin(app.origin());
    let checkpoint = Checkpoint::sign(&origin, growth.new_size, root, &app.log_key)?;
    Ok(app.store.save_checkpoint(growth.new_size, &root, &checkpoint.to_string()).await?)
}

async fn anchor_checkpoint(
    app: &App,
    growth: &StagedGrowth,
    checkpoint: &SavedCheckpoint,
) -> Result<(u64, u32)> {
    if let Some(place) = growth.anchored {
        return Ok(place);
    }
    let consistency = match growth.old_size {
        0 => vec![],
        old => tree(app, growth.new_size).await?.consistency(old, growth.new_size)?,
    };
    let action = Action::AnchorCheckpoint(AnchorCheckpointStatement {
        origin: app.origin().to_owned(),
        old_size: growth.old_size,
        checkpoint: checkpoint.note.clone(),
        consistency,
    });
    match app.send(&format!("anchor/{}", growth.new_size), action).await {
        Ok((id, _)) => place(app, &id).await,
        Err(error) if error.says_done() => {
            let anchored = app.ledger.contract().read().last_checkpoint(app.origin());
            let anchored = anchored.context("the chain knows no checkpoint that it says it has")?;
            ensure!(anchored.size == checkpoint.size && anchored.root == checkpoint.root, "{error}");
            place(app, &anchored.transaction).await
        }
        Err(error) => Err(error).context("the checkpoint is not anchored"),
    }
}

async fn place(app: &App, id: &Hash) -> Result<(u64, u32)> {
    match app.ledger.node().status_of(id).await? {
        chain::Status::Final(finality) => Ok((finality.height, finality.index)),
        other => anyhow::bail!("transaction {id} was final and is {other:?}"),
    }
}

async fn attest(app: &App, ready: &SendableAttestation) -> Result<()> {
    let accounting = &ready.accounting;
    let action = Action::AttestRound(AttestRoundStatement {
        origin: app.origin().to_owned(),
        round: ready.round,
        attestation: Hash::of(&ready.attestation),
        leaf_index: ready.leaf_index,
        expected: accounting.expected,
        collected: accounting.collected,
        unchanged: accounting.unchanged,
        failed: accounting.failed,
        skipped: accounting.skipped,
    });
    let id = match app.send(&format!("attest/{}", ready.round), action).await {
        Ok((id, _)) => id,
        Err(error @ SendError::Refused { .. }) if error.says_done() => {
            let state = app.ledger.contract().read().round(app.origin(), ready.round);
            let attested =
                state.and_then(|s| s.attestation).context("the chain lacks an attestation it says it has")?;
            attested.transaction
        }
        Err(error) => return Err(error).with_context(|| format!("round {} is not attested", ready.round)),
    };
    let (height, index) = place(app, &id).await?;
    Ok(app.store.mark_attested(ready.round, height, index).await?)
}
