//! Telling of a log that told two stories: to people once, to the chain where its origin's own signatures prove it.

use anchor::transaction::EvidenceStatement;
use anchor::{Action, Hash, SignedTransaction};
use anyhow::{Context as _, Result, bail};
use store::{ForkKind, ForkRow, Store};

use super::Log;
use super::pull::MirrorError;
use crate::app::App;

/// One line in the log of this agent.
pub(super) fn tell(fork: &ForkRow) {
    let ForkRow { origin, size, served_root, anchored_root, .. } = fork;
    let how = match fork.kind {
        ForkKind::Notes => "signed two checkpoints of one size",
        ForkKind::Prefix => "signed a checkpoint that its anchored log does not begin with",
        ForkKind::Leaves => "served leaves that do not give its anchored checkpoint",
    };
    tracing::error!(
        peer = %origin, checkpoint.size = size, served = %served_root, anchored = %anchored_root,
        "`{origin}` {how}, at {size} leaves; it is not cosigned and the evidence is on record"
    );
}

/// Hands in every pair of checkpoints that the member signed and that contradict each other. Safe to do twice.
pub(super) async fn report(app: &App, log: &Log) -> Result<()> {
    let known = app.ledger.contract().read().evidence();
    for fork in app.store.forks_of(&log.member).await? {
        if known.iter().any(|(origin, size, _)| (origin, *size) == (&fork.origin, fork.size)) {
            continue;
        }
        let Some(statement) = statement(&app.store, log, &fork).await? else { continue };
        let purpose = format!("evidence/{}/{}", fork.origin, fork.size);
        match app.send(&purpose, Action::Evidence(statement)).await {
            Ok(_) => {}
            // Another member was first.
            Err(error) if error.says_done() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What convicts the log's origin before anybody, with a proof from the leaves held here where the two checkpoints are
/// of different sizes. `None` where nothing but our word does.
pub(super) async fn statement(
    store: &Store,
    log: &Log,
    fork: &ForkRow,
) -> Result<Option<EvidenceStatement>, MirrorError> {
    let Some(first) = fork.served_note.clone().filter(|_| fork.kind.is_signed()) else { return Ok(None) };
    let second = log.verified(fork.anchored_note.as_bytes()).ok_or_else(|| log.damaged())?;
    let proof = store.mirror_consistency(&fork.origin, fork.size, second.head().size).await?;
    Ok(Some(EvidenceStatement {
        origin: fork.origin.clone(),
        first,
        second: fork.anchored_note.clone(),
        root: fork.anchored_root,
        consistency: proof.ok_or_else(|| log.damaged())?,
    }))
}

/// The checkpoint that a final transaction anchored.
pub(super) async fn anchored_note(app: &App, transaction: &Hash) -> Result<String> {
    let node = app.ledger.node();
    let chain::Status::Final(finality) = node.status_of(transaction).await? else {
        bail!("transaction {transaction} is not final");
    };
    let block = node.final_block(finality.height).await?;
    let block = block.with_context(|| format!("block {} is not in the store", finality.height))?;
    let bytes = block.block.transactions.get(usize::try_from(finality.index)?);
    let signed = SignedTransaction::decode(bytes.context("the block has no such transaction")?)?;
    match signed.transaction.action {
        Action::AnchorCheckpoint(statement) => Ok(statement.checkpoint),
        other => bail!("transaction {transaction} is {} and anchors nothing", other.name()),
    }
}
