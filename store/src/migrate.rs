//! Bringing a database to this version's schema: forward only, each step in one transaction.

use std::path::Path;

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};

use crate::error::{Result, StoreError};

/// In order; `user_version` counts those applied.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

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
