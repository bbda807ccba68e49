//! Other members' logs, leaf by leaf, and the heads that the chain anchored and the leaves gave.
//!
//! The steps, each safe to repeat, and what a crash after it leaves:
//! 1. [`crate::Store::append_mirror`]: leaves stand past the newest head. Nobody vouches for them; the next attempt goes on
//!    behind them.
//! 2. [`crate::Store::check_mirror`]: they gave the anchored root and are kept for good under a head, or they did not,
//!    are dropped again, and the fork is on record. Either happens in one transaction.

use anchor::transaction::MemberId;
use anchor::tree::leaf_hash;
use anchor::{Frontier, Hash, Tree};
use model::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, insert_many, int};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::forks::{self, ForkKind, ForkRow};
use crate::seal::seal;

/// Hashes looked at in one statement.
const PAGE: u64 = 4_096;

/// A head of another member's log that the chain anchored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorHead {
    pub origin: MemberId,
    /// At least 1.
    pub size: u64,
    pub root: Hash,
    /// The anchored checkpoint, UTF-8.
    pub note: String,
    /// The transaction that anchored it.
    pub transaction: Hash,
    /// When the leaves here were found to give it.
    pub checked: Timestamp,
}

/// How far another member's log is held here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirror {
    /// The newest head; `None` before the first.
    pub head: Option<MirrorHead>,
    /// Leaves held, those past the head included.
    pub held: u64,
}

/// What the leaves of a mirror said of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadCheck {
    /// They give it. It is kept.
    Fits,
    /// They give another root. They are dropped, and this stands on record; `new`: since now.
    Forked { fork: ForkRow, new: bool },
}

impl Store {
    pub async fn mirror(&self, origin: &str) -> Result<Mirror> {
        let mut link = self.reader().await?;
        let head = newest(&mut link, origin, u64::MAX).await?.map(|(head, _)| head);
        Ok(Mirror { head, held: held(&mut link, origin).await? })
    }

    /// Keeps leaves `first ..` as they were served. Those that are held already are passed over, whatever they say:
    /// the next check of a head tells. Returns how many are held then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there would be a gap.
    pub async fn append_mirror(&self, origin: &str, first: u64, envelopes: &[Vec<u8>]) -> Result<u64> {
        let mut link = self.writer().await?;
        let held = held(&mut link, origin).await?;
        if first > held {
            let why = format!("{held} leaves are held");
            return Err(StoreError::conflict("mirrored leaf", format!("{origin} {first}"), why));
        }
        let mut rows = Vec::with_capacity(envelopes.len());
        for (envelope, index) in envelopes.iter().zip(first..).filter(|(_, index)| *index >= held) {
            rows.push((int(index)?, envelope));
        }
        let head = "INSERT INTO mirror_leaves (origin, leaf, envelope, hash) ";
        let added = insert_many(&mut link, head, "", &rows, |tuple, (index, envelope)| {
            tuple.push_bind(origin.to_owned()).push_bind(*index).push_bind((*envelope).clone());
            tuple.push_bind(leaf_hash(envelope).0.to_vec());
        })
        .await?;
        link.commit().await?;
        Ok(held + added)
    }

    /// Compares the first `head.size` leaves with an anchored head, and keeps it if they give its root. If not, the
    /// leaves past the last head are dropped and the fork is put on record.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if fewer leaves are held, or a larger head was checked and this one was not.
    pub async fn check_mirror(&self, head: &MirrorHead) -> Result<HeadCheck> {
        let mut link = self.writer().await?;
        let (origin, size) = (head.origin.as_str(), head.size);
        let last = newest(&mut link, origin, u64::MAX).await?;
        if let Some((last, _)) = &last
            && (last.size > size || (last.size == size && last.root != head.root))
        {
            let why = format!("the head of {} leaves with root {} was checked", last.size, last.root);
            return Err(StoreError::conflict("head of", format!("{origin} {size}"), why));
        }
        if last.as_ref().is_some_and(|(last, _)| last.size == size) {
            return Ok(HeadCheck::Fits);
        }
        let checked = last.as_ref().map_or(0, |(last, _)| last.size);
        let frontier = grown(&mut link, origin, last.map(|(_, f)| f).unwrap_or_default(), size).await?;
        if frontier.size() != size {
            let why = format!("only {} leaves are held", frontier.size());
            return Err(StoreError::conflict("head of", format!("{origin} {size}"), why));
        }
        let outcome = if frontier.root() == head.root {
            insert_head(&mut link, head, &frontier).await?;
            HeadCheck::Fits
        } else {
            drop_leaves(&mut link, origin, checked).await?;
            let fork = fork_of(head, frontier.root());
            let new = forks::record(&mut link, &fork).await?;
            HeadCheck::Forked { fork, new }
        };
        seal(&mut link, &["mirror_heads", "forks"]).await?;
        link.commit().await?;
        Ok(outcome)
    }

    /// Root of the first `size` leaves of the mirror, whether or not the chain anchored that size; `None` if no head
    /// covers them.
    pub async fn mirror_root(&self, origin: &str, size: u64) -> Result<Option<Hash>> {
        let mut link = self.reader().await?;
        let covered = newest(&mut link, origin, u64::MAX).await?.is_some_and(|(head, _)| head.size >= size);
        if !covered {
            return Ok(None);
        }
        let below = newest(&mut link, origin, size).await?.map(|(_, frontier)| frontier);
        let frontier = grown(&mut link, origin, below.unwrap_or_default(), size).await?;
        Ok(Some(frontier.root()).filter(|_| frontier.size() == size))
    }

    /// That the first `new` leaves of the mirror begin with its first `old` (RFC 9162 §2.1.4); `None` if no head covers
    /// them. Reads every leaf hash: for the rare case that a log has to be convicted.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if `old` is more than `new`.
    pub async fn mirror_consistency(&self, origin: &str, old: u64, new: u64) -> Result<Option<Vec<Hash>>> {
        let mut link = self.reader().await?;
        if newest(&mut link, origin, u64::MAX).await?.is_none_or(|(head, _)| head.size < new) {
            return Ok(None);
        }
        let mut tree = Tree::default();
        while tree.size() < new {
            let (from, to) = (tree.size(), new.min(tree.size() + PAGE));
            let page = hashes(&mut link, origin, from, to).await?;
            if page.is_empty() {
                return Ok(None);
            }
            for hash in page {
                tree.push(hash);
            }
        }
        let proof = tree.consistency(old, new);
        proof
            .map(Some)
            .map_err(|e| StoreError::conflict("proof over", format!("{origin} {new}"), e.to_string()))
    }

    /// The head of exactly this size.
    pub async fn mirror_head(&self, origin: &str, size: u64) -> Result<Option<MirrorHead>> {
        let newest = newest(&mut self.reader().await?, origin, size).await?;
        Ok(newest.map(|(head, _)| head).filter(|head| head.size == size))
    }

    /// The bytes of one leaf below the newest head, as its origin logged them.
    pub async fn mirror_leaf(&self, origin: &str, index: u64) -> Result<Option<Vec<u8>>> {
        let query = "SELECT envelope, hash FROM mirror_leaves WHERE origin = ? AND leaf = ? \
                     AND leaf < (SELECT max(size) FROM mirror_heads WHERE origin = mirror_leaves.origin)";
        let query = sqlx::query(query).bind(origin).bind(int(index)?);
        let Some(row) = self.reader().await?.row(query).await? else { return Ok(None) };
        let envelope = row.blob("envelope")?;
        if leaf_hash(&envelope) != row.hash("hash")? {
            let key = format!("{origin} {index}");
            return Err(StoreError::damaged("mirror_leaves", key, "the envelope has another leaf hash"));
        }
        Ok(Some(envelope))
    }

    /// Where a leaf with this [`leaf_hash`] stands below the newest head; the last place if there are several.
    pub async fn mirror_index(&self, origin: &str, hash: &Hash) -> Result<Option<u64>> {
        let query = "SELECT max(leaf) AS leaf FROM mirror_leaves WHERE origin = ? AND hash = ? \
                     AND leaf < (SELECT max(size) FROM mirror_heads WHERE origin = mirror_leaves.origin)";
        let query = sqlx::query(query).bind(origin).bind(hash.0.to_vec());
        let row = self.reader().await?.row(query).await?;
        row.map_or(Ok(None), |row| row.opt_number("leaf"))
    }

    /// Leaf hashes of `from .. to` of a mirror; fewer where fewer are held.
    pub async fn mirror_hashes(&self, origin: &str, from: u64, to: u64) -> Result<Vec<Hash>> {
        hashes(&mut self.reader().await?, origin, from, to).await
    }
}

/// The newest head of at most `size` leaves, with its frontier.
async fn newest(link: &mut Link, origin: &str, size: u64) -> Result<Option<(MirrorHead, Frontier)>> {
    let query = "SELECT * FROM mirror_heads WHERE origin = ? AND size <= ? ORDER BY size DESC LIMIT 1";
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let row = link.row(sqlx::query(query).bind(origin).bind(size)).await?;
    row.as_ref().map(head_row).transpose()
}

pub(crate) fn head_row(row: &SqliteRow) -> Result<(MirrorHead, Frontier)> {
    let head = MirrorHead {
        origin: row.text("origin")?,
        size: row.number("size")?,
        root: row.hash("root")?,
        note: row.text("note")?,
        transaction: row.hash("tx")?,
        checked: row.time("checked_at")?,
    };
    let frontier: Frontier = borsh::from_slice(&row.blob("frontier")?)
        .map_err(|e| StoreError::Unreadable { column: "frontier", why: e.to_string() })?;
    if frontier.size() != head.size || frontier.root() != head.root {
        let key = format!("{} {}", head.origin, head.size);
        return Err(StoreError::damaged("mirror_heads", key, "the frontier is of another head"));
    }
    Ok((head, frontier))
}

async fn held(link: &mut Link, origin: &str) -> Result<u64> {
    let query = "SELECT coalesce(max(leaf) + 1, 0) AS held FROM mirror_leaves WHERE origin = ?";
    link.row(sqlx::query(query).bind(origin)).await?.map_or(Ok(0), |row| row.number("held"))
}

async fn hashes(link: &mut Link, origin: &str, from: u64, to: u64) -> Result<Vec<Hash>> {
    let query = "SELECT hash FROM mirror_leaves WHERE origin = ? AND leaf >= ? AND leaf < ? ORDER BY leaf";
    let query = sqlx::query(query).bind(origin).bind(int(from)?).bind(int(to)?);
    link.rows(query).await?.iter().map(|row| row.hash("hash")).collect()
}

/// `frontier` with the leaves held that follow it, up to `size`.
async fn grown(link: &mut Link, origin: &str, mut frontier: Frontier, size: u64) -> Result<Frontier> {
    while frontier.size() < size {
        let (from, to) = (frontier.size(), size.min(frontier.size().saturating_add(PAGE)));
        let page = hashes(link, origin, from, to).await?;
        if page.is_empty() {
            break;
        }
        page.into_iter().for_each(|hash| frontier.push(hash));
    }
    Ok(frontier)
}

async fn insert_head(link: &mut Link, head: &MirrorHead, frontier: &Frontier) -> Result<()> {
    let frontier = borsh::to_vec(frontier).expect("writing to memory does not fail");
    let insert = "INSERT INTO mirror_heads (origin, size, root, note, tx, frontier, checked_at) \
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert)
        .bind(head.origin.as_str())
        .bind(int(head.size)?)
        .bind(head.root.0.to_vec())
        .bind(head.note.as_str())
        .bind(head.transaction.0.to_vec())
        .bind(frontier)
        .bind(head.checked.0);
    link.execute(insert).await.map(drop)
}

async fn drop_leaves(link: &mut Link, origin: &str, from: u64) -> Result<()> {
    let delete = sqlx::query("DELETE FROM mirror_leaves WHERE origin = ? AND leaf >= ?");
    link.execute(delete.bind(origin).bind(int(from)?)).await.map(drop)
}

fn fork_of(head: &MirrorHead, served_root: Hash) -> ForkRow {
    ForkRow {
        origin: head.origin.clone(),
        size: head.size,
        kind: ForkKind::Leaves,
        anchored_note: head.note.clone(),
        anchored_root: head.root,
        served_root,
        served_note: None,
        seen: head.checked,
    }
}
