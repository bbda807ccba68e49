//! Bodies by their SHA-256: what the chain knows only by hash.

use anchor::Hash;
use model::Timestamp;

use crate::Store;
use crate::columns::Columns as _;
use crate::error::{Result, StoreError};

/// A body as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBody {
    pub hash: Hash,
    /// What it is, for people: `agreement`, `policy-set`, `inventory`, `change`, `profile`.
    pub kind: String,
    pub bytes: Vec<u8>,
    pub stored: Timestamp,
}

impl Store {
    /// Keeps `bytes` under their SHA-256, which is returned. The same bytes again change nothing.
    pub async fn put_body(&self, kind: &str, bytes: &[u8], now: Timestamp) -> Result<Hash> {
        let hash = Hash::of(bytes);
        let mut link = self.writer().await?;
        let insert =
            "INSERT INTO bodies (hash, kind, bytes, stored_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(hash.0.to_vec()).bind(kind).bind(bytes).bind(now.0);
        link.execute(insert).await?;
        link.commit().await?;
        Ok(hash)
    }

    /// The body with this hash, hashed again: damaged bytes are an error, never an answer.
    pub async fn body(&self, hash: &Hash) -> Result<Option<StoredBody>> {
        let mut link = self.reader().await?;
        let query =
            sqlx::query("SELECT kind, bytes, stored_at FROM bodies WHERE hash = ?").bind(hash.0.to_vec());
        let Some(row) = link.row(query).await? else { return Ok(None) };
        let bytes = row.blob("bytes")?;
        if Hash::of(&bytes) != *hash {
            return Err(StoreError::damaged("bodies", hash, "the bytes have another SHA-256"));
        }
        Ok(Some(StoredBody { hash: *hash, kind: row.text("kind")?, bytes, stored: row.time("stored_at")? }))
    }

    /// Whether the body is here. Its bytes are not looked at.
    pub async fn has_body(&self, hash: &Hash) -> Result<bool> {
        let query = sqlx::query("SELECT 1 AS found FROM bodies WHERE hash = ?").bind(hash.0.to_vec());
        Ok(self.reader().await?.row(query).await?.is_some())
    }

    /// All bodies of one kind, newest first, each hashed again.
    pub async fn bodies_of_kind(&self, kind: &str) -> Result<Vec<StoredBody>> {
        let query =
            sqlx::query("SELECT hash FROM bodies WHERE kind = ? ORDER BY stored_at DESC, hash").bind(kind);
        let rows = self.reader().await?.rows(query).await?;
        let mut bodies = Vec::with_capacity(rows.len());
        for row in rows {
            bodies.extend(self.body(&row.hash("hash")?).await?);
        }
        Ok(bodies)
    }

    /// Notes that `reader` was shown the body; an agent refuses to approve a body nobody has read. The first time
    /// stays. [`StoreError::Missing`] if the body is not here.
    pub async fn mark_read(&self, hash: &Hash, reader: &str, now: Timestamp) -> Result<()> {
        let mut link = self.writer().await?;
        let known = sqlx::query("SELECT 1 AS found FROM bodies WHERE hash = ?").bind(hash.0.to_vec());
        if link.row(known).await?.is_none() {
            return Err(StoreError::missing("body", hash));
        }
        let insert =
            "INSERT INTO body_readings (hash, reader, read_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        link.execute(sqlx::query(insert).bind(hash.0.to_vec()).bind(reader).bind(now.0)).await?;
        link.commit().await
    }

    /// When `reader` first read the body.
    pub async fn read_at(&self, hash: &Hash, reader: &str) -> Result<Option<Timestamp>> {
        let mut link = self.reader().await?;
        let query = "SELECT read_at FROM body_readings WHERE hash = ? AND reader = ?";
        let row = link.row(sqlx::query(query).bind(hash.0.to_vec()).bind(reader)).await?;
        row.map(|r| r.time("read_at")).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::scratch;

    #[tokio::test]
    async fn a_body_is_found_by_its_hash_and_needs_no_second_copy() {
        let (store, _folder) = scratch().await;
        let hash = store.put_body("agreement", b"{}", Timestamp(5)).await.unwrap();
        assert_eq!(hash, Hash::of(b"{}"));
        assert_eq!(store.put_body("other", b"{}", Timestamp(9)).await.unwrap(), hash);
        let body = store.body(&hash).await.unwrap().unwrap();
        assert_eq!(
            (body.kind.as_str(), body.bytes.as_slice(), body.stored),
            ("agreement", &b"{}"[..], Timestamp(5))
        );
        assert_eq!(store.body(&Hash::of(b"x")).await.unwrap(), None);
        assert!(store.has_body(&hash).await.unwrap());
        assert!(!store.has_body(&Hash::of(b"x")).await.unwrap());
    }

    #[tokio::test]
    async fn the_first_reading_stays_and_an_absent_body_cannot_be_read() {
        let (store, _folder) = scratch().await;
        let hash = store.put_body("change", b"[]", Timestamp(1)).await.unwrap();
        assert_eq!(store.read_at(&hash, "unicom").await.unwrap(), None);
        store.mark_read(&hash, "unicom", Timestamp(2)).await.unwrap();
        store.mark_read(&hash, "unicom", Timestamp(3)).await.unwrap();
        assert_eq!(store.read_at(&hash, "unicom").await.unwrap(), Some(Timestamp(2)));
        assert_eq!(store.read_at(&hash, "tower").await.unwrap(), None);
        let absent = store.mark_read(&Hash::of(b"x"), "unicom", Timestamp(2)).await;
        assert!(matches!(absent, Err(StoreError::Missing { .. })));
    }
}
