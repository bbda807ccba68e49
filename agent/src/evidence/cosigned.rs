//! On which anchored checkpoint of the own log a bundle stands: the newest that covers its leaves and carries the most
//! cosignatures, waited for a little after an anchoring.

use std::time::{Duration, Instant};

use anchor::transaction::MemberId;
use anchor::{Checkpoint, UnverifiedCheckpoint};
use anyhow::{Context as _, Result};

use crate::app::App;
use crate::mirror::cosign::add_all;

/// How long after a checkpoint was first asked for its cosignatures are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A checkpoint with more than `last` leaves, with the cosignatures that are here; `None` while the chain has none.
///
/// Whom a verifier asks for stands in its own trust file, so that all other members' cosignatures are wanted; whoever
/// cannot be reached is not waited for.
pub(super) async fn choose(app: &App, last: u64) -> Result<Option<Checkpoint>> {
    let newest = app.store.log_state().await?.checkpoint.filter(|checkpoint| checkpoint.size > last);
    let Some(newest) = newest else { return Ok(None) };
    let wanted = others(app);
    let deadline = app.mirrors.first_asked(newest.size) + PATIENCE;
    let best = loop {
        let best = app.store.best_cosigned(app.origin(), last, &wanted).await?;
        let count = best.map_or(0, |(_, count)| count);
        if count >= expected(app, wanted.len() as u64) || Instant::now() >= deadline {
            break best;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let size = best.map_or(newest.size, |(size, _)| size);
    let saved = app.store.checkpoint(size).await?;
    let saved = saved.with_context(|| format!("the checkpoint of {size} leaves is not in the store"))?;
    let genesis = app.ledger.genesis();
    let name = genesis.origin(app.origin());
    let note = UnverifiedCheckpoint::parse(saved.checkpoint.note.as_bytes())?;
    let mut checkpoint = note.verify(&name, app.log_key.public())?;
    add_all(&mut checkpoint, &app.store, genesis, app.origin()).await?;
    Ok(Some(checkpoint))
}

fn others(app: &App) -> Vec<MemberId> {
    let members = app.ledger.genesis().members.iter().map(|member| member.id.clone());
    members.filter(|id| id != app.origin()).collect()
}

/// How many cosignatures may still come: everybody's who answers.
fn expected(app: &App, wanted: u64) -> u64 {
    let reachable = app.peers.statuses().iter().filter(|peer| peer.reachable).count();
    wanted.min(reachable as u64)
}
