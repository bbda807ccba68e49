//! Which evidence bundles were written, and of what. The files lie beside the database.

use model::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::Columns as _;
use crate::error::Result;
use crate::seal::seal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// What it proves: id of a change, violation or round.
    pub subject: String,
    /// File name inside the bundle folder.
    pub file: String,
    pub created: Timestamp,
    /// Name of the trust file with which it was checked after it was written.
    pub trust: String,
}

impl Store {
    /// Notes a bundle file; one written again replaces its note.
    pub async fn add_bundle(&self, bundle: &BundleRow) -> Result<()> {
        let mut link = self.writer().await?;
        let upsert = "INSERT INTO bundles (file, subject, created_at, trust) VALUES (?, ?, ?, ?) \
                      ON CONFLICT (file) DO UPDATE SET subject = excluded.subject, \
                      created_at = excluded.created_at, trust = excluded.trust, seal = zeroblob(32)";
        let upsert = sqlx::query(upsert).bind(bundle.file.as_str()).bind(bundle.subject.as_str());
        link.execute(upsert.bind(bundle.created.0).bind(bundle.trust.as_str())).await?;
        seal(&mut link, &["bundles"]).await?;
        link.commit().await
    }

    /// What anchored leaves of this kind are about and no bundle was written of yet, in the order of the log.
    pub async fn subjects_without_bundle(&self, kind: &str) -> Result<Vec<String>> {
        let query = "SELECT subject FROM log_leaves l WHERE kind = ? \
                     AND leaf < (SELECT coalesce(max(size), 0) FROM checkpoints WHERE applied = 1) \
                     AND NOT EXISTS (SELECT 1 FROM bundles b WHERE b.subject = l.subject) \
                     GROUP BY subject ORDER BY min(leaf)";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(kind)).await?;
        rows.iter().map(|row| row.text("subject")).collect()
    }

    /// All bundles, newest first.
    pub async fn bundles(&self) -> Result<Vec<BundleRow>> {
        let query = sqlx::query("SELECT * FROM bundles ORDER BY created_at DESC, file");
        self.reader().await?.rows(query).await?.iter().map(bundle_row).collect()
    }

    /// Bundles of one subject, newest first.
    pub async fn bundles_of(&self, subject: &str) -> Result<Vec<BundleRow>> {
        let query = sqlx::query("SELECT * FROM bundles WHERE subject = ? ORDER BY created_at DESC, file");
        self.reader().await?.rows(query.bind(subject)).await?.iter().map(bundle_row).collect()
    }
}

fn bundle_row(row: &SqliteRow) -> Result<BundleRow> {
    Ok(BundleRow {
        subject: row.text("subject")?,
        file: row.text("file")?,
        created: row.time("created_at")?,
        trust: row.text("trust")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::scratch;

    #[tokio::test]
    async fn bundles_are_found_by_subject_and_a_rewritten_file_is_one_bundle() {
        let (store, _folder) = scratch().await;
        let bundle = |subject: &str, file: &str, at| BundleRow {
            subject: subject.into(),
            file: file.into(),
            created: Timestamp(at),
            trust: "trust.yaml".into(),
        };
        for row in [bundle("CR-1", "a", 1), bundle("V-1", "b", 2), bundle("CR-1", "a", 3)] {
            store.add_bundle(&row).await.unwrap();
        }
        assert_eq!(store.bundles().await.unwrap(), [bundle("CR-1", "a", 3), bundle("V-1", "b", 2)]);
        assert_eq!(store.bundles_of("V-1").await.unwrap(), [bundle("V-1", "b", 2)]);
    }
}
