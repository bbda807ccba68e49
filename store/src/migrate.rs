//! Bringing a database to this version's schema: forward only, each step in one transaction.

use std::path::Path;

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};

use crate::error::{Result, StoreError};

/// In order; `user_version` counts those applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_logs_between_members.sql"),
    include_str!("../migrations/0003_second_judgement.sql"),
    include_str!("../migrations/0004_respellings.sql"),
    include_str!("../migrations/0005_approved_versions.sql"),
    include_str!("../migrations/0006_replies_over_replies.sql"),
    include_str!("../migrations/0007_copies.sql"),
    include_str!("../migrations/0008_edits_of_stations.sql"),
];

/// `RANP`, set by the first migration.
const APPLICATION_ID: i64 = 1_380_011_600;

/// A crash between two steps leaves the schema of the first; the next start goes on from there.
pub(crate) async fn run(writer: &SqlitePool, path: &Path) -> Result<()> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let mut version = check(writer, path).await?;
    while let Some(step) = usize::try_from(version).ok().and_then(|v| MIGRATIONS.get(v)) {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Another process may have taken the step while this one waited.
        if number(&mut transaction, "PRAGMA user_version").await.map_err(failed)? == version {
            sqlx::raw_sql(*step).execute(&mut *transaction).await.map_err(failed)?;
            let mark = format!("PRAGMA user_version = {}", version + 1);
            sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        version += 1;
    }
    Ok(())
}

/// That the schema is this version's; nothing is written.
pub(crate) async fn expect_current(pool: &SqlitePool, path: &Path) -> Result<()> {
    let (found, known) = (check(pool, path).await?, MIGRATIONS.len() as i64);
    if found < known { Err(StoreError::Older { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// The schema's version; refuses files of other programs and of newer versions.
async fn check(writer: &SqlitePool, path: &Path) -> Result<i64> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let mut transaction = writer.begin().await.map_err(failed)?;
    let version = number(&mut transaction, "PRAGMA user_version").await.map_err(failed)?;
    let application = number(&mut transaction, "PRAGMA application_id").await.map_err(failed)?;
    let tables = number(&mut transaction, "SELECT count(*) FROM sqlite_schema").await.map_err(failed)?;
    let fresh = version == 0 && application == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(version)
}

async fn number(link: &mut Transaction<'static, Sqlite>, statement: &'static str) -> sqlx::Result<i64> {
    sqlx::query(statement).fetch_one(&mut **link).await?.try_get(0)
}

#[cfg(test)]
mod tests {
    use model::Digest;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;
    use crate::{Store, StoreConfig};

    /// A database as the version before second judgements left it, with a leaf and one that waits.
    async fn before(path: &Path) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        for step in &MIGRATIONS[..2] {
            sqlx::raw_sql(*step).execute(&pool).await.unwrap();
        }
        let hash = format!("x'{}'", anchor::tree::leaf_hash(b"leaf"));
        let fill = format!(
            "PRAGMA user_version = 2;
             INSERT INTO rounds (round, origin, started_at, agreement, policy_set, inventory, profile, expected)
                 VALUES (1, 'telecom', 0, zeroblob(32), zeroblob(32), zeroblob(32), zeroblob(32), 0);
             INSERT INTO log_leaves (leaf, round, kind, subject, envelope, hash) VALUES
                 (0, 1, 'violation', 'V-1', cast('leaf' AS BLOB), {hash});
             INSERT INTO outbox (round, kind, subject, envelope) VALUES (1, 'violation', 'V-2', x'00');"
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&pool).await.unwrap();
        let columns = "round, kind, subject, envelope";
        for (table, columns) in [
            ("log_leaves", format!("leaf, {columns}, hash, record")),
            ("outbox", format!("place, {columns}, record")),
        ] {
            let quoted: Vec<_> = columns.split(", ").map(|column| format!("quote({column})")).collect();
            let query = format!("SELECT {} FROM {table}", quoted.join(" || ',' || "));
            let content: String =
                sqlx::query(AssertSqlSafe(query)).fetch_one(&pool).await.unwrap().try_get(0).unwrap();
            let seal = Digest::of(content.as_bytes());
            let update = format!("UPDATE {table} SET seal = x'{seal}'");
            sqlx::raw_sql(AssertSqlSafe(update)).execute(&pool).await.unwrap();
        }
        pool.close().await;
    }

    #[tokio::test]
    async fn a_check_leaves_an_earlier_schema_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranproof.db");
        before(&path).await;
        let bytes = std::fs::read(&path).unwrap();
        let refused = Store::open_to_check(StoreConfig::new(&path)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Older { found: 2, .. }), "{refused}");
        assert!(std::fs::read(&path).unwrap() == bytes, "the file is another one");
        Store::open(StoreConfig::new(&path)).await.unwrap().close().await;
        let checked = Store::open_to_check(StoreConfig::new(&path)).await.unwrap();
        assert!(checked.put_body("agreement", b"{}", model::Timestamp(1)).await.is_err(), "it writes");
    }

    #[tokio::test]
    async fn leaves_keep_their_seals_and_places_when_their_round_becomes_optional() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ranproof.db");
        before(&path).await;
        let store = Store::open(StoreConfig::new(&path)).await.unwrap();
        let leaf = store.leaf_of("violation", "V-1").await.unwrap().unwrap();
        assert_eq!((leaf.index, leaf.round, leaf.envelope), (0, Some(1), b"leaf".to_vec()));
        assert_eq!(store.log_state().await.unwrap().waiting, 1);
        let faults = store.fsck().await.unwrap().faults;
        let moved: Vec<_> =
            faults.iter().filter(|f| ["log_leaves", "outbox"].contains(&f.table.as_str())).collect();
        assert!(moved.is_empty(), "{moved:?}");
    }
}
