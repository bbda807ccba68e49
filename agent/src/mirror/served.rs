//! Checkpoints as their origin serves them, held against what the chain anchored.
//!
//! The leaves that are mirrored gave the anchored root. So a served checkpoint of that size or a smaller one fits, or
//! its origin has signed another story; a larger one waits until the chain has got that far.

use anchor::{Checkpoint, UnverifiedCheckpoint};
use model::Timestamp;
use store::{ForkKind, ForkRow, MirrorHead, ServedNote, Store};

use super::Log;
use super::pull::{MirrorError, Source};

/// Where an origin's newest checkpoint is asked for.
pub(crate) const PATH: &str = "/peer/v1/log/checkpoint";

/// What the chain says of a log.
pub(crate) trait Chain {
    /// The checkpoint of exactly this size that it anchored, if it did.
    fn note(
        &self,
        origin: &str,
        size: u64,
    ) -> impl Future<Output = Result<Option<String>, MirrorError>> + Send;

    /// Whether somebody handed in that its origin signed two stories.
    fn convicts(&self, origin: &str) -> bool;
}

/// Asks the origin for its newest checkpoint and compares it, and those that waited, with what was mirrored up to
/// `head`. Returns the forks that were not on record before.
pub(crate) async fn compare(
    store: &Store,
    source: &impl Source,
    chain: &impl Chain,
    log: &Log,
    head: &MirrorHead,
    now: Timestamp,
) -> Result<Vec<ForkRow>, MirrorError> {
    let served = ask(source, log, head).await?;
    let mut found = Vec::new();
    if served.head().size > head.size {
        store.keep_served_note(&waiting(&served, log, now)).await?;
    } else {
        found.extend(judge(store, chain, &served, head, now).await?);
    }
    for note in store.served_notes(&log.member, head.size).await? {
        let checkpoint = log.verified(note.note.as_bytes()).ok_or_else(|| log.damaged())?;
        found.extend(judge(store, chain, &checkpoint, head, now).await?);
        // A crash here: it is compared again, and the fork is on record already.
        store.drop_served_note(&note).await?;
    }
    Ok(found)
}

async fn ask(source: &impl Source, log: &Log, head: &MirrorHead) -> Result<Checkpoint, MirrorError> {
    let bytes = source.get(PATH, anchor::note::MAX_NOTE_BYTES).await?;
    let path = PATH.to_owned();
    let withheld =
        || MirrorError::Withheld { origin: log.member.clone(), path: path.clone(), size: head.size };
    let bytes = bytes.ok_or_else(withheld)?;
    let verified = UnverifiedCheckpoint::parse(&bytes).and_then(|note| note.verify(&log.name, log.key));
    let why = |e: anchor::checkpoint::CheckpointError| MirrorError::NotUnderstood {
        member: log.member.clone(),
        path: path.clone(),
        why: e.to_string(),
    };
    Ok(verified.map_err(why)?.without_cosignatures())
}

/// `served` is not larger than `head`. Returns the fork if there is one that was not on record.
async fn judge(
    store: &Store,
    chain: &impl Chain,
    served: &Checkpoint,
    head: &MirrorHead,
    now: Timestamp,
) -> Result<Option<ForkRow>, MirrorError> {
    let (size, root) = (served.head().size, served.head().root);
    let expected = store.mirror_root(&head.origin, size).await?;
    let expected = expected.ok_or_else(|| MirrorError::Damaged(head.origin.clone()))?;
    if expected == root {
        return Ok(None);
    }
    let same_size = match size == head.size {
        true => Some(head.note.clone()),
        false => chain.note(&head.origin, size).await?,
    };
    let fork = ForkRow {
        origin: head.origin.clone(),
        size,
        kind: if same_size.is_some() { ForkKind::Notes } else { ForkKind::Prefix },
        anchored_note: same_size.unwrap_or_else(|| head.note.clone()),
        anchored_root: expected,
        served_root: root,
        served_note: Some(served.to_string()),
        seen: now,
    };
    Ok(store.record_fork(&fork).await?.then_some(fork))
}

fn waiting(served: &Checkpoint, log: &Log, now: Timestamp) -> ServedNote {
    ServedNote {
        origin: log.member.clone(),
        size: served.head().size,
        root: served.head().root,
        note: served.to_string(),
        served: now,
    }
}
