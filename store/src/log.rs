//! The operator's log and its anchoring: outbox → stage → compare-and-swap on the chain → apply.
//!
//! The steps, each safe to repeat, and what a crash after it leaves:
//! 1. [`crate::Store::commit_round`]: leaves wait in the outbox, without indices. Staged by the next attempt.
//! 2. [`crate::Store::stage_growth`]: the leaves have their indices for ever. The next attempt gets the same growth.
//! 3. [`crate::Store::save_checkpoint`]: the signed note is kept before anybody sees it. The next attempt gets the same
//!    note; a second root for its size is refused, so that this log cannot split its own story.
//! 4. [`crate::Store::stage_transaction`] with purpose `anchor/<size>`: sent (again) by the next attempt.
//! 5. The chain accepts: the commit point. [`crate::Store::mark_anchored`] repeats what the chain says.
//! 6. [`crate::Store::apply_anchored`]: the leaves count as anchored and attestations among them may be sent.

use anchor::Hash;
use anchor::tree::leaf_hash;
use model::Accounting;
use serde_json::Value as Json;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json, opt_int};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::rounds::RoundCommit;
use crate::seal::{insert_sealed, seal};

/// Kind of the leaf that is a round's attestation; its subject is `round/<number>`.
pub const ATTESTATION: &str = "attestation";

/// Most leaves that one growth takes; the rest waits for the next.
const MAX_GROWTH: i64 = 65_536;

/// A record on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxLeaf {
    /// What sort of record, such as `violation` or `change`.
    pub kind: String,
    /// Id of what it records.
    pub subject: String,
    /// The leaf's bytes, as peers see them: ids and commitments, never values.
    pub envelope: Vec<u8>,
    /// What discloses it (values, nonces); stays here and in bundles.
    pub record: Option<Json>,
}

/// A leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLeaf {
    pub index: u64,
    /// The round of this operator that wrote it; `None` for a second judgement of somebody else's.
    pub round: Option<u64>,
    pub kind: String,
    pub subject: String,
    pub envelope: Vec<u8>,
    /// RFC 9162 leaf hash of `envelope`.
    pub hash: Hash,
    /// What discloses it.
    pub record: Option<Json>,
}

/// Growth that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedGrowth {
    /// Anchored size before it.
    pub old_size: u64,
    pub new_size: u64,
    /// The signed checkpoint of `new_size`, once saved.
    pub checkpoint: Option<SavedCheckpoint>,
    /// Height and index of the transaction that anchored it, once marked.
    pub anchored: Option<(u64, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCheckpoint {
    pub size: u64,
    pub root: Hash,
    /// The signed note, UTF-8.
    pub note: String,
}

/// A checkpoint that was signed, and where the chain accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    pub checkpoint: SavedCheckpoint,
    pub anchored: Option<(u64, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    /// Anchored leaves.
    pub size: u64,
    /// The anchored checkpoint; `None` before the first.
    pub checkpoint: Option<SavedCheckpoint>,
    /// Size when the growth under way is done; `None` without one.
    pub staged: Option<u64>,
    /// Leaves in the outbox, without an index yet.
    pub waiting: u64,
}

/// An attestation whose leaf is anchored and which is not known to be final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendableAttestation {
    pub round: u64,
    /// Canonical JSON.
    pub attestation: Vec<u8>,
    pub leaf_index: u64,
    pub accounting: Accounting,
    /// Height of the round's opening; an unopened round's attestation is anchored and never sent.
    pub opened: Option<u64>,
}

impl Store {
    /// Gives the leaves in the outbox their indices, in outbox order, or returns the growth that is under way.
    /// `None`: nothing waits.
    pub async fn stage_growth(&self) -> Result<Option<StagedGrowth>> {
        let mut link = self.writer().await?;
        if let Some(growth) = growth(&mut link).await? {
            return Ok(Some(growth));
        }
        let size = log_size(&mut link).await?;
        let query = sqlx::query("SELECT * FROM outbox ORDER BY place LIMIT ?").bind(MAX_GROWTH);
        let waiting = link.rows(query).await?;
        let Some(last) = waiting.last() else { return Ok(None) };
        let last = last.id("place")?;
        let mut leaves = Vec::with_capacity(waiting.len());
        for (row, index) in waiting.iter().zip(size..) {
            leaves.push(leaf_from(row, index)?);
        }
        write_leaves(&mut link, &leaves).await?;
        link.execute(sqlx::query("DELETE FROM outbox WHERE place <= ?").bind(last)).await?;
        let new_size = size + leaves.len() as u64;
        let insert = sqlx::query("INSERT INTO growth (id, old_size, new_size) VALUES (1, ?, ?)");
        link.execute(insert.bind(int(size)?).bind(int(new_size)?)).await?;
        link.commit().await?;
        Ok(Some(StagedGrowth { old_size: size, new_size, checkpoint: None, anchored: None }))
    }

    /// Keeps the signed checkpoint of the growth under way. If one of this size and root stands already, that note
    /// is returned: only it may be published.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if `size` is not that of the growth, or another root was signed for it.
    pub async fn save_checkpoint(&self, size: u64, root: &Hash, note: &str) -> Result<SavedCheckpoint> {
        let mut link = self.writer().await?;
        if let Some(saved) = saved(&mut link, size).await? {
            if saved.checkpoint.root != *root {
                let why = format!("its root {} was signed, not {root}", saved.checkpoint.root);
                return Err(StoreError::conflict("checkpoint of size", size, why));
            }
            return Ok(saved.checkpoint);
        }
        let staged = growth(&mut link).await?.map(|g| g.new_size);
        if staged != Some(size) {
            let why = format!("the growth under way is {staged:?}");
            return Err(StoreError::conflict("checkpoint of size", size, why));
        }
        let insert = sqlx::query("INSERT INTO checkpoints (size, root, note) VALUES (?, ?, ?)");
        link.execute(insert.bind(int(size)?).bind(root.0.to_vec()).bind(note)).await?;
        seal(&mut link, &["checkpoints"]).await?;
        link.commit().await?;
        Ok(SavedCheckpoint { size, root: *root, note: note.to_owned() })
    }

    /// Notes where the chain accepted the checkpoint of `size`. The first note stays.
    pub async fn mark_anchored(&self, size: u64, height: u64, index: u32) -> Result<()> {
        let mut link = self.writer().await?;
        if saved(&mut link, size).await?.is_none() {
            return Err(StoreError::missing("checkpoint of size", size));
        }
        let update = "UPDATE checkpoints SET height = ?, place = ?, seal = zeroblob(32) WHERE size = ? AND height IS NULL";
        link.execute(sqlx::query(update).bind(int(height)?).bind(i64::from(index)).bind(int(size)?)).await?;
        seal(&mut link, &["checkpoints"]).await?;
        link.commit().await
    }

    /// Ends the growth under way if the chain accepted it: its leaves count as anchored, and the attestations among
    /// them may be sent. Returns it; `None` if there was nothing to end.
    pub async fn apply_anchored(&self) -> Result<Option<StagedGrowth>> {
        let mut link = self.writer().await?;
        let Some(growth) = growth(&mut link).await?.filter(|g| g.anchored.is_some()) else { return Ok(None) };
        let update = sqlx::query("UPDATE checkpoints SET applied = 1, seal = zeroblob(32) WHERE size = ?");
        link.execute(update.bind(int(growth.new_size)?)).await?;
        let update = "UPDATE rounds SET leaf_index = l.leaf, seal = zeroblob(32) FROM log_leaves l \
                      WHERE l.leaf >= ? AND l.leaf < ? AND l.kind = ? AND rounds.round = l.round";
        let update = sqlx::query(update).bind(int(growth.old_size)?).bind(int(growth.new_size)?);
        link.execute(update.bind(ATTESTATION)).await?;
        link.execute(sqlx::query("DELETE FROM growth")).await?;
        seal(&mut link, &["checkpoints", "rounds"]).await?;
        link.commit().await?;
        Ok(Some(growth))
    }

    pub async fn log_state(&self) -> Result<LogState> {
        let mut link = self.reader().await?;
        let anchored = "SELECT * FROM checkpoints WHERE applied = 1 ORDER BY size DESC LIMIT 1";
        let checkpoint = link.row(sqlx::query(anchored)).await?;
        let checkpoint = checkpoint.as_ref().map(checkpoint_row).transpose()?.map(|row| row.checkpoint);
        let staged = link.row(sqlx::query("SELECT new_size FROM growth")).await?;
        let staged = staged.map(|row| row.number("new_size")).transpose()?;
        let waiting = link.row(sqlx::query("SELECT count(*) AS n FROM outbox")).await?;
        let waiting = waiting.map_or(Ok(0), |row| row.number("n"))?;
        Ok(LogState { size: checkpoint.as_ref().map_or(0, |c| c.size), checkpoint, staged, waiting })
    }

    /// The checkpoint signed for a size.
    pub async fn checkpoint(&self, size: u64) -> Result<Option<CheckpointRow>> {
        saved(&mut self.reader().await?, size).await
    }

    /// Anchored checkpoints, newest first.
    pub async fn checkpoints(&self, limit: u32) -> Result<Vec<CheckpointRow>> {
        let query = "SELECT * FROM checkpoints WHERE applied = 1 ORDER BY size DESC LIMIT ?";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(i64::from(limit))).await?;
        rows.iter().map(checkpoint_row).collect()
    }

    /// The leaf at `index`, anchored or staged.
    pub async fn leaf(&self, index: u64) -> Result<Option<LogLeaf>> {
        let query = sqlx::query("SELECT * FROM log_leaves WHERE leaf = ?").bind(int(index)?);
        self.reader().await?.row(query).await?.as_ref().map(leaf_row).transpose()
    }

    /// The newest leaf of this kind about this subject.
    pub async fn leaf_of(&self, kind: &str, subject: &str) -> Result<Option<LogLeaf>> {
        let query = "SELECT * FROM log_leaves WHERE kind = ? AND subject = ? ORDER BY leaf DESC LIMIT 1";
        let row = self.reader().await?.row(sqlx::query(query).bind(kind).bind(subject)).await?;
        row.as_ref().map(leaf_row).transpose()
    }

    /// All leaves that a round wrote and that have an index.
    pub async fn leaves_of_round(&self, round: u64) -> Result<Vec<LogLeaf>> {
        let query = sqlx::query("SELECT * FROM log_leaves WHERE round = ? ORDER BY leaf").bind(int(round)?);
        self.reader().await?.rows(query).await?.iter().map(leaf_row).collect()
    }

    /// Leaf hashes of `from .. to`, staged ones too; fewer where the log is shorter.
    pub async fn leaf_hashes(&self, from: u64, to: u64) -> Result<Vec<Hash>> {
        let query = "SELECT hash FROM log_leaves WHERE leaf >= ? AND leaf < ? ORDER BY leaf";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(from)?).bind(int(to)?)).await?;
        rows.iter().map(|row| row.hash("hash")).collect()
    }

    /// The bytes of leaves `from .. to`, staged ones too; fewer where the log is shorter.
    pub async fn leaf_envelopes(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
        let query = "SELECT envelope FROM log_leaves WHERE leaf >= ? AND leaf < ? ORDER BY leaf";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(from)?).bind(int(to)?)).await?;
        rows.iter().map(|row| row.blob("envelope")).collect()
    }

    /// Attestations of opened rounds whose leaf is anchored and that are not final yet, oldest first.
    pub async fn sendable_attestations(&self) -> Result<Vec<SendableAttestation>> {
        let query = "SELECT * FROM rounds WHERE leaf_index IS NOT NULL AND attested_height IS NULL \
                     AND opened_height IS NOT NULL ORDER BY round";
        self.reader().await?.rows(sqlx::query(query)).await?.iter().map(sendable_row).collect()
    }

    /// Notes where the chain accepted a round's attestation. The first note stays.
    pub async fn mark_attested(&self, round: u64, height: u64, index: u32) -> Result<()> {
        let mut link = self.writer().await?;
        let update = "UPDATE rounds SET attested_height = ?, attested_place = ?, seal = zeroblob(32) \
                      WHERE round = ? AND attested_height IS NULL";
        link.execute(sqlx::query(update).bind(int(height)?).bind(i64::from(index)).bind(int(round)?)).await?;
        seal(&mut link, &["rounds"]).await?;
        link.commit().await
    }
}

/// Puts a round's records and its attestation into the outbox. Part of the round's one transaction.
pub(crate) async fn enqueue(link: &mut Link, commit: &RoundCommit) -> Result<()> {
    let attestation = commit.attestation.iter().map(|envelope| OutboxLeaf {
        kind: ATTESTATION.to_owned(),
        subject: format!("round/{}", commit.round),
        envelope: envelope.clone(),
        record: None,
    });
    let leaves: Vec<_> = commit.leaves.iter().cloned().chain(attestation).collect();
    put(link, Some(commit.round), &leaves).await
}

/// Leaves that no round of this operator wrote. One whose kind and subject wait, or have an index, is passed over.
pub(crate) async fn enqueue_others(link: &mut Link, leaves: &[OutboxLeaf]) -> Result<()> {
    let known = "SELECT 1 AS found FROM outbox WHERE kind = ?1 AND subject = ?2 \
                 UNION ALL SELECT 1 FROM log_leaves WHERE kind = ?1 AND subject = ?2 LIMIT 1";
    let mut new = Vec::new();
    for leaf in leaves {
        let query = sqlx::query(known).bind(leaf.kind.as_str()).bind(leaf.subject.as_str());
        if link.row(query).await?.is_none() {
            new.push(leaf.clone());
        }
    }
    put(link, None, &new).await
}

async fn put(link: &mut Link, round: Option<u64>, leaves: &[OutboxLeaf]) -> Result<()> {
    let round = opt_int(round)?;
    // A place is never given twice, also after all leaves have left.
    let last = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'";
    let first = link.row(sqlx::query(last)).await?.map_or(Ok(0), |row| row.id("seq"))? + 1;
    let mut rows = Vec::with_capacity(leaves.len());
    for (leaf, place) in leaves.iter().zip(first..) {
        rows.push([
            place.into(),
            round.into(),
            leaf.kind.as_str().into(),
            leaf.subject.as_str().into(),
            leaf.envelope.clone().into(),
            leaf.record.as_ref().map(json).transpose()?.into(),
        ]);
    }
    let columns = ["place", "round", "kind", "subject", "envelope", "record"];
    insert_sealed(link, "outbox", columns, rows).await
}

async fn write_leaves(link: &mut Link, leaves: &[LogLeaf]) -> Result<()> {
    let mut rows = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        rows.push([
            int(leaf.index)?.into(),
            opt_int(leaf.round)?.into(),
            leaf.kind.as_str().into(),
            leaf.subject.as_str().into(),
            leaf.envelope.clone().into(),
            leaf.hash.0.into(),
            leaf.record.as_ref().map(json).transpose()?.into(),
        ]);
    }
    let columns = ["leaf", "round", "kind", "subject", "envelope", "hash", "record"];
    insert_sealed(link, "log_leaves", columns, rows).await
}

async fn growth(link: &mut Link) -> Result<Option<StagedGrowth>> {
    let Some(row) = link.row(sqlx::query("SELECT * FROM growth")).await? else { return Ok(None) };
    let (old_size, new_size) = (row.number("old_size")?, row.number("new_size")?);
    let saved = saved(link, new_size).await?;
    let anchored = saved.as_ref().and_then(|s| s.anchored);
    Ok(Some(StagedGrowth { old_size, new_size, checkpoint: saved.map(|s| s.checkpoint), anchored }))
}

async fn log_size(link: &mut Link) -> Result<u64> {
    let query = "SELECT coalesce(max(leaf) + 1, 0) AS size FROM log_leaves";
    link.row(sqlx::query(query)).await?.map_or(Ok(0), |row| row.number("size"))
}

async fn saved(link: &mut Link, size: u64) -> Result<Option<CheckpointRow>> {
    let query = sqlx::query("SELECT * FROM checkpoints WHERE size = ?").bind(int(size)?);
    link.row(query).await?.as_ref().map(checkpoint_row).transpose()
}

fn checkpoint_row(row: &SqliteRow) -> Result<CheckpointRow> {
    let checkpoint =
        SavedCheckpoint { size: row.number("size")?, root: row.hash("root")?, note: row.text("note")? };
    let anchored = match (row.opt_number("height")?, row.opt_small("place")?) {
        (Some(height), Some(index)) => Some((height, index)),
        _ => None,
    };
    Ok(CheckpointRow { checkpoint, anchored })
}

fn leaf_from(row: &SqliteRow, index: u64) -> Result<LogLeaf> {
    let envelope = row.blob("envelope")?;
    Ok(LogLeaf {
        index,
        round: row.opt_number("round")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        hash: leaf_hash(&envelope),
        envelope,
        record: row.opt_json("record")?,
    })
}

fn leaf_row(row: &SqliteRow) -> Result<LogLeaf> {
    let leaf = leaf_from(row, row.number("leaf")?)?;
    if leaf.hash != row.hash("hash")? {
        return Err(StoreError::damaged("log_leaves", leaf.index, "the envelope has another leaf hash"));
    }
    Ok(leaf)
}

fn sendable_row(row: &SqliteRow) -> Result<SendableAttestation> {
    Ok(SendableAttestation {
        round: row.number("round")?,
        attestation: row.blob("attestation")?,
        leaf_index: row.number("leaf_index")?,
        accounting: accounting_row(row)?,
        opened: row.opt_number("opened_height")?,
    })
}

pub(crate) fn accounting_row(row: &SqliteRow) -> Result<Accounting> {
    Ok(Accounting {
        expected: row.number("expected")?,
        collected: row.number("collected")?,
        unchanged: row.number("unchanged")?,
        failed: row.number("failed")?,
        skipped: row.number("skipped")?,
    })
}
