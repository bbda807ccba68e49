//! What this agent's cosigner vouched for, and cosignatures of everybody.
//!
//! A cosigner that signs two roots of one size is as false as a log that does. So [`crate::Store::vouch`] commits the
//! intention first, and only what it returns may be signed: after a crash the same call returns the same intention, from
//! which the same bytes are made.

use anchor::Hash;
use anchor::transaction::MemberId;
use model::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::seal::seal;

/// Cosignatures among which the best head is looked for.
const LOOK_BACK: i64 = 1_024;

/// A head that the cosigner may sign, durably on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    pub origin: MemberId,
    pub size: u64,
    pub root: Hash,
    /// The time that the signature must carry.
    pub signed: Timestamp,
}

/// A cosignature that was verified before it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignatureRow {
    /// Whose log.
    pub origin: MemberId,
    pub size: u64,
    pub root: Hash,
    /// Who vouches.
    pub member: MemberId,
    /// The signature line, `— name base64`, without its line feed.
    pub line: String,
    /// The time that it carries.
    pub time: Timestamp,
}

impl Store {
    /// Puts on record that the cosigner vouches for a mirrored head, before it signs. What stands already is
    /// returned as it stands.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if no such head was checked, another root of this size or a larger size was vouched
    /// for: nothing may be signed.
    pub async fn vouch(&self, origin: &str, size: u64, root: &Hash, now: Timestamp) -> Result<Vouched> {
        let mut link = self.writer().await?;
        let refused = |why: String| StoreError::conflict("cosigned head", format!("{origin} {size}"), why);
        if let Some(standing) = standing(&mut link, origin, size).await? {
            return match standing.root == *root {
                true => Ok(standing),
                false => Err(refused(format!("its root {} was vouched for, not {root}", standing.root))),
            };
        }
        if let Some(last) = last(&mut link, origin).await?.filter(|last| last.size > size) {
            return Err(refused(format!("{} leaves were vouched for", last.size)));
        }
        let head = sqlx::query("SELECT root FROM mirror_heads WHERE origin = ? AND size = ?");
        let head = link.row(head.bind(origin).bind(int(size)?)).await?;
        if head.map(|row| row.hash("root")).transpose()? != Some(*root) {
            return Err(refused("the leaves held here do not vouch for it".to_owned()));
        }
        let insert = "INSERT INTO cosigned (origin, size, root, signed_at) VALUES (?, ?, ?, ?)";
        let insert = sqlx::query(insert).bind(origin).bind(int(size)?).bind(root.0.to_vec()).bind(now.0);
        link.execute(insert).await?;
        seal(&mut link, &["cosigned"]).await?;
        link.commit().await?;
        Ok(Vouched { origin: origin.to_owned(), size, root: *root, signed: now })
    }

    /// The newest head of an origin that the cosigner vouches for.
    pub async fn vouched(&self, origin: &str) -> Result<Option<Vouched>> {
        last(&mut self.reader().await?, origin).await
    }

    /// Keeps a verified cosignature; the first one of a member over a head stays.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the member's cosignature over another root of this size is here.
    pub async fn add_cosignature(&self, row: &CosignatureRow) -> Result<()> {
        let mut link = self.writer().await?;
        let insert = "INSERT INTO cosignatures (origin, size, root, member, line, signed_at) \
                      VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(row.origin.as_str())
            .bind(int(row.size)?)
            .bind(row.root.0.to_vec())
            .bind(row.member.as_str())
            .bind(row.line.as_str())
            .bind(row.time.0);
        if link.execute(insert).await? == 0 {
            let query =
                sqlx::query("SELECT root FROM cosignatures WHERE origin = ? AND size = ? AND member = ?");
            let query = query.bind(row.origin.as_str()).bind(int(row.size)?).bind(row.member.as_str());
            let root = link.row(query).await?.map(|found| found.hash("root")).transpose()?;
            if root != Some(row.root) {
                let key = format!("{} over {} {}", row.member, row.origin, row.size);
                return Err(StoreError::conflict("cosignature of", key, "it was over another root"));
            }
            return Ok(());
        }
        seal(&mut link, &["cosignatures"]).await?;
        link.commit().await
    }

    /// The newest cosignature of each member over an origin's log, by member.
    pub async fn cosignatures(&self, origin: &str) -> Result<Vec<CosignatureRow>> {
        let query = "SELECT c.* FROM cosignatures c JOIN (SELECT member, max(size) AS size FROM cosignatures \
                     WHERE origin = ?1 GROUP BY member) n USING (member, size) WHERE origin = ?1 ORDER BY member";
        self.reader()
            .await?
            .rows(sqlx::query(query).bind(origin))
            .await?
            .iter()
            .map(cosignature_row)
            .collect()
    }

    /// All cosignatures over an origin's head of this size, by member.
    pub async fn cosignatures_at(&self, origin: &str, size: u64) -> Result<Vec<CosignatureRow>> {
        let query = "SELECT * FROM cosignatures WHERE origin = ? AND size = ? ORDER BY member";
        let query = sqlx::query(query).bind(origin).bind(int(size)?);
        self.reader().await?.rows(query).await?.iter().map(cosignature_row).collect()
    }

    /// The size above `above` that the most of `members` cosigned, the newest of several, and how many they are. Only
    /// the newest few hundred heads are looked at.
    pub async fn best_cosigned(
        &self,
        origin: &str,
        above: u64,
        members: &[MemberId],
    ) -> Result<Option<(u64, u64)>> {
        let query = "SELECT size, count(*) AS n FROM (SELECT size, member FROM cosignatures WHERE origin = ? \
                     AND size > ? ORDER BY size DESC LIMIT ?) WHERE member IN (SELECT value FROM json_each(?)) \
                     GROUP BY size ORDER BY n DESC, size DESC LIMIT 1";
        let query = sqlx::query(query).bind(origin).bind(int(above)?).bind(LOOK_BACK).bind(json(members)?);
        let row = self.reader().await?.row(query).await?;
        row.map(|row| Ok((row.number("size")?, row.number("n")?))).transpose()
    }
}

async fn standing(link: &mut Link, origin: &str, size: u64) -> Result<Option<Vouched>> {
    let query = sqlx::query("SELECT * FROM cosigned WHERE origin = ? AND size = ?");
    link.row(query.bind(origin).bind(int(size)?)).await?.as_ref().map(vouched_row).transpose()
}

async fn last(link: &mut Link, origin: &str) -> Result<Option<Vouched>> {
    let query = sqlx::query("SELECT * FROM cosigned WHERE origin = ? ORDER BY size DESC LIMIT 1");
    link.row(query.bind(origin)).await?.as_ref().map(vouched_row).transpose()
}

fn vouched_row(row: &SqliteRow) -> Result<Vouched> {
    Ok(Vouched {
        origin: row.text("origin")?,
        size: row.number("size")?,
        root: row.hash("root")?,
        signed: row.time("signed_at")?,
    })
}

fn cosignature_row(row: &SqliteRow) -> Result<CosignatureRow> {
    Ok(CosignatureRow {
        origin: row.text("origin")?,
        size: row.number("size")?,
        root: row.hash("root")?,
        member: row.text("member")?,
        line: row.text("line")?,
        time: row.time("signed_at")?,
    })
}
