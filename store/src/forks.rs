//! Logs that tell two stories: checkpoints as they were served, and what did not fit the chain.

use anchor::Hash;
use anchor::transaction::MemberId;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, word};
use crate::database::Link;
use crate::error::Result;
use crate::seal::seal;

/// Most served checkpoints of one origin that wait for the chain: an honest one never has any.
const MAX_SERVED: i64 = 64;

/// Most forks of one origin on record. The first ones convict it; a liar cannot fill the disk with more.
const MAX_FORKS: i64 = 64;

/// How strong the evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForkKind {
    /// Two signed checkpoints of one size and different roots: proof to anybody.
    Notes,
    /// A signed checkpoint that the anchored log does not begin with: proof to anybody with [`Store::mirror_consistency`].
    Prefix,
    /// Leaves that do not give the anchored root: our word.
    Leaves,
}

impl ForkKind {
    /// Whether the origin's own signature convicts it.
    pub fn is_signed(self) -> bool {
        self != ForkKind::Leaves
    }
}

/// Where an origin told another story than the anchored one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkRow {
    pub origin: MemberId,
    pub size: u64,
    pub kind: ForkKind,
    /// The anchored checkpoint of `size`, for [`ForkKind::Prefix`] of a larger size.
    pub anchored_note: String,
    /// The root that it means for `size`.
    pub anchored_root: Hash,
    pub served_root: Hash,
    /// The served checkpoint; none for [`ForkKind::Leaves`].
    pub served_note: Option<String>,
    pub seen: Timestamp,
}

/// A checkpoint that an origin signed and served, and that cannot be compared yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedNote {
    pub origin: MemberId,
    pub size: u64,
    pub root: Hash,
    pub note: String,
    pub served: Timestamp,
}

impl Store {
    /// Puts a fork on record. Returns whether it is new.
    pub async fn record_fork(&self, fork: &ForkRow) -> Result<bool> {
        let mut link = self.writer().await?;
        let new = record(&mut link, fork).await?;
        seal(&mut link, &["forks"]).await?;
        link.commit().await?;
        Ok(new)
    }

    /// All forks on record, newest first.
    pub async fn forks(&self) -> Result<Vec<ForkRow>> {
        let query = sqlx::query("SELECT * FROM forks ORDER BY seen_at DESC, origin, size, kind");
        self.reader().await?.rows(query).await?.iter().map(fork_row).collect()
    }

    /// Forks of one origin's log, newest first.
    pub async fn forks_of(&self, origin: &str) -> Result<Vec<ForkRow>> {
        let query = "SELECT * FROM forks WHERE origin = ? ORDER BY seen_at DESC, size, kind";
        self.reader().await?.rows(sqlx::query(query).bind(origin)).await?.iter().map(fork_row).collect()
    }

    /// Keeps a served checkpoint until the chain has got that far. Past [`MAX_SERVED`] of one origin the largest is let go:
    /// the chain reaches the small ones first, and made-up sizes that it never reaches must not keep them out.
    pub async fn keep_served_note(&self, note: &ServedNote) -> Result<()> {
        let mut link = self.writer().await?;
        let evict = "DELETE FROM served_notes WHERE (SELECT count(*) FROM served_notes WHERE origin = ?1) >= ?3 AND rowid = \
                     (SELECT rowid FROM served_notes WHERE origin = ?1 AND size > ?2 ORDER BY size DESC LIMIT 1)";
        let evict = sqlx::query(evict).bind(note.origin.as_str()).bind(int(note.size)?).bind(MAX_SERVED);
        link.execute(evict).await?;
        let insert = "INSERT INTO served_notes (origin, size, root, note, served_at) SELECT ?1, ?2, ?3, ?4, ?5 \
                      WHERE (SELECT count(*) FROM served_notes WHERE origin = ?1) < ?6 ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(note.origin.as_str())
            .bind(int(note.size)?)
            .bind(note.root.0.to_vec())
            .bind(note.note.as_str())
            .bind(note.served.0)
            .bind(MAX_SERVED);
        link.execute(insert).await?;
        seal(&mut link, &["served_notes"]).await?;
        link.commit().await
    }

    /// Served checkpoints of `origin` of at most `size` leaves that still wait.
    pub async fn served_notes(&self, origin: &str, size: u64) -> Result<Vec<ServedNote>> {
        let query = "SELECT * FROM served_notes WHERE origin = ? AND size <= ? ORDER BY size, root";
        let query = sqlx::query(query).bind(origin).bind(int(size)?);
        let note = |row: &SqliteRow| {
            Ok(ServedNote {
                origin: row.text("origin")?,
                size: row.number("size")?,
                root: row.hash("root")?,
                note: row.text("note")?,
                served: row.time("served_at")?,
            })
        };
        self.reader().await?.rows(query).await?.iter().map(note).collect()
    }

    /// It was compared; what came of it stands elsewhere.
    pub async fn drop_served_note(&self, note: &ServedNote) -> Result<()> {
        let mut link = self.writer().await?;
        let delete = "DELETE FROM served_notes WHERE origin = ? AND size = ? AND root = ?";
        let delete = sqlx::query(delete).bind(note.origin.as_str()).bind(int(note.size)?);
        link.execute(delete.bind(note.root.0.to_vec())).await?;
        link.commit().await
    }
}

/// Part of a transaction that seals `forks`.
pub(crate) async fn record(link: &mut Link, fork: &ForkRow) -> Result<bool> {
    let insert = "INSERT INTO forks (origin, size, kind, anchored_note, anchored_root, served_root, served_note, \
                  seen_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 \
                  WHERE (SELECT count(*) FROM forks WHERE origin = ?1) < ?9 ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(fork.origin.as_str())
        .bind(int(fork.size)?)
        .bind(word(&fork.kind))
        .bind(fork.anchored_note.as_str())
        .bind(fork.anchored_root.0.to_vec())
        .bind(fork.served_root.0.to_vec())
        .bind(fork.served_note.as_deref())
        .bind(fork.seen.0)
        .bind(MAX_FORKS);
    Ok(link.execute(insert).await? > 0)
}

fn fork_row(row: &SqliteRow) -> Result<ForkRow> {
    Ok(ForkRow {
        origin: row.text("origin")?,
        size: row.number("size")?,
        kind: row.word("kind")?,
        anchored_note: row.text("anchored_note")?,
        anchored_root: row.hash("anchored_root")?,
        served_root: row.hash("served_root")?,
        served_note: row.opt_text("served_note")?,
        seen: row.time("seen_at")?,
    })
}
