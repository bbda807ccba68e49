//! The handle: one file, one writing connection, a few reading ones, and whether they can still be trusted.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use crate::columns::Columns as _;
use crate::error::{Result, StoreError};
use crate::migrate;

/// Where the database lies and how much of it is kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The file, `<data>/ranproof.db`. SQLite keeps `-wal` and `-shm` beside it.
    pub path: PathBuf,
    /// How many raw replies of each station are kept at least, newest first; 1 or more. Up to seven older ones stay for as long
    /// as these are stored over them (`replies.rs`).
    pub keep_raw: u32,
    /// Reading connections.
    pub readers: u32,
    /// Pages of the write-ahead log after which a commit folds it into the file.
    pub fold_pages: u32,
}

impl StoreConfig {
    /// The newest two raw replies of each station at least (the present one and the one it is compared with), four readers, and
    /// a log of 32 MiB.
    pub fn new(path: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig { path: path.into(), keep_raw: 2, readers: 4, fold_pages: FOLD_PAGES }
    }
}

/// All that one operator's agent remembers. Cheap to clone; clones share the connections and their health.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: StoreConfig,
    writer: SqlitePool,
    readers: SqlitePool,
    health: Health,
}

/// Set once by the first error after which SQLite's word is worth nothing.
#[derive(Debug, Default)]
struct Health {
    fatal: OnceLock<String>,
    /// Extended result code that the statement after so many more ones fails with.
    #[cfg(test)]
    inject: std::sync::Mutex<Option<(u32, i32)>>,
}

const BUSY: Duration = Duration::from_secs(10);

/// 32 MiB. Folding writes each page of the log a second time, once however many rounds changed it, and SQLite's 1000 pages are
/// less than a few large rounds write. The price: one commit in many waits for that much to be written, the next start after
/// a crash has that much to read, and a full disk shows only once the log itself cannot grow.
const FOLD_PAGES: u32 = 8192;

/// Bytes that the log's file keeps after a fold: a large round, or a reader that held it up, may have made it longer.
const LOG_LIMIT: &str = "33554432";

/// The writer's pages in memory: 16 MiB, in KiB with the sign that says so. At SQLite's 2 MiB a round reads the inner pages of its
/// trees from the files again and again.
const WRITER_CACHE: &str = "-16384";

/// What holds for every connection.
fn options(config: &StoreConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .busy_timeout(BUSY)
        .pragma("trusted_schema", "OFF")
        // A sort that is spilled into a temporary folder that cannot be written would pass for a failed database. What is
        // sorted here is held in memory anyway.
        .pragma("temp_store", "MEMORY")
        .pragma("cell_size_check", "ON")
}

fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(size)
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(60))
        .idle_timeout(None)
        .max_lifetime(None)
}

impl Store {
    /// Opens the database, creating it if there is none, and brings it to this version's schema. What a crash left
    /// in the write-ahead log is recovered by SQLite here.
    pub async fn open(config: StoreConfig) -> Result<Store> {
        let failed = |source| StoreError::Open { path: config.path.clone(), source };
        let options = options(&config)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit that was acknowledged survives a power cut, not only a crash of the process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let writing = options
            .clone()
            .pragma("wal_autocheckpoint", config.fold_pages.to_string())
            .pragma("journal_size_limit", LOG_LIMIT)
            .pragma("cache_size", WRITER_CACHE);
        let writer = pool(1).connect_with(writing).await.map_err(failed)?;
        migrate::run(&writer, &config.path).await?;
        let readers = options.pragma("query_only", "ON");
        let readers = pool(config.readers.max(1)).connect_with(readers).await.map_err(failed)?;
        Ok(Store::of(config, writer, readers))
    }

    /// Opens a database only to read it: neither its schema nor anything else in it changes, whoever else has it open.
    ///
    /// # Errors
    /// [`StoreError::Older`] where its schema is an earlier one than this version's.
    pub async fn open_to_check(config: StoreConfig) -> Result<Store> {
        let failed = |source| StoreError::Open { path: config.path.clone(), source };
        let options = options(&config).pragma("query_only", "ON");
        let connect = || pool(1).connect_with(options.clone());
        let (writer, readers) = (connect().await.map_err(failed)?, connect().await.map_err(failed)?);
        migrate::expect_current(&writer, &config.path).await?;
        Ok(Store::of(config, writer, readers))
    }

    fn of(config: StoreConfig, writer: SqlitePool, readers: SqlitePool) -> Store {
        Store { inner: Arc::new(Inner { config, writer, readers, health: Health::default() }) }
    }

    /// Waits for the connections to end and folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// [`StoreError::Fatal`] once an I/O error was seen; for readiness probes.
    pub fn check_health(&self) -> Result<()> {
        match self.inner.health.fatal.get() {
            None => Ok(()),
            Some(why) => Err(StoreError::Fatal { path: self.inner.config.path.clone(), why: why.clone() }),
        }
    }

    pub fn config(&self) -> &StoreConfig {
        &self.inner.config
    }

    /// A consistent view of the database, for as long as the link lives.
    pub(crate) async fn reader(&self) -> Result<Link> {
        self.check_health()?;
        let begun = self.inner.readers.begin().await;
        let transaction = begun.map_err(|e| self.judge(e))?;
        Ok(Link { transaction, store: self.clone() })
    }

    /// The one writer. Dropped without [`Link::commit`] it leaves nothing.
    pub(crate) async fn writer(&self) -> Result<Link> {
        self.check_health()?;
        let begun = self.inner.writer.begin_with("BEGIN IMMEDIATE").await;
        let transaction = begun.map_err(|e| self.judge(e))?;
        Ok(Link { transaction, store: self.clone() })
    }

    /// What an SQLite error means for the handle. An I/O error, a corrupt or vanished file, a medium that became
    /// read-only and a dead worker are fatal: after a failed fsync the kernel may have dropped the pages that
    /// SQLite believes written, and SQLite acknowledges the next commits.
    fn judge(&self, error: sqlx::Error) -> StoreError {
        let code = match &error {
            sqlx::Error::Database(e) => e.code().and_then(|c| c.parse::<i32>().ok()).unwrap_or(0),
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => return self.poison(error.to_string()),
            sqlx::Error::PoolTimedOut => return StoreError::Busy,
            _ => return StoreError::Statement(error),
        };
        self.judge_code(code, error)
    }

    fn judge_code(&self, code: i32, error: sqlx::Error) -> StoreError {
        // The low byte of an extended code is the primary one (sqlite.org/rescode.html).
        match code & 0xff {
            SQLITE_IOERR | SQLITE_CORRUPT | SQLITE_NOTADB | SQLITE_READONLY | SQLITE_CANTOPEN => {
                self.poison(error.to_string())
            }
            SQLITE_FULL => StoreError::Full,
            SQLITE_BUSY | SQLITE_LOCKED => StoreError::Busy,
            _ => StoreError::Statement(error),
        }
    }

    fn poison(&self, why: String) -> StoreError {
        if self.inner.health.fatal.set(why.clone()).is_ok() {
            tracing::error!(path = %self.inner.config.path.display(), "The database failed: {why}");
        }
        StoreError::Fatal { path: self.inner.config.path.clone(), why }
    }

    /// Makes the statement after `skip` more ones fail with `code`, as if SQLite had returned it.
    #[cfg(test)]
    pub(crate) fn inject(&self, skip: u32, code: i32) {
        *self.inner.health.inject.lock().unwrap() = Some((skip, code));
    }

    #[cfg(test)]
    fn injected(&self) -> Result<()> {
        let mut plan = self.inner.health.inject.lock().unwrap();
        match plan.take() {
            Some((0, code)) => Err(self.judge_code(code, sqlx::Error::Protocol("injected".into()))),
            later => {
                *plan = later.map(|(skip, code)| (skip - 1, code));
                Ok(())
            }
        }
    }
}

const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;

pub(crate) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// An open transaction. Every statement of this room passes through it, so that no error escapes judgement.
pub(crate) struct Link {
    transaction: Transaction<'static, Sqlite>,
    store: Store,
}

impl Link {
    /// Number of rows changed.
    pub async fn execute(&mut self, statement: Statement<'_>) -> Result<u64> {
        self.before()?;
        let done = statement.execute(&mut *self.transaction).await;
        Ok(done.map_err(|e| self.store.judge(e))?.rows_affected())
    }

    pub async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<SqliteRow>> {
        self.before()?;
        statement.fetch_all(&mut *self.transaction).await.map_err(|e| self.store.judge(e))
    }

    /// The rows of a statement that packs many into one, as JSON in a column `packed`: each row is handed from SQLite's thread to
    /// ours, which costs more than what stands in a small one.
    pub async fn packed<T: DeserializeOwned>(&mut self, statement: Statement<'_>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for row in self.rows(statement).await? {
            all.extend(row.json::<Vec<T>>("packed")?);
        }
        Ok(all)
    }

    pub async fn row(&mut self, statement: Statement<'_>) -> Result<Option<SqliteRow>> {
        self.before()?;
        statement.fetch_optional(&mut *self.transaction).await.map_err(|e| self.store.judge(e))
    }

    /// After an error here the transaction may or may not stand: do the step again, it is safe to do twice.
    pub async fn commit(mut self) -> Result<()> {
        self.before()?;
        self.transaction.commit().await.map_err(|e| self.store.judge(e))
    }

    /// Nothing new is done on a connection that another one proved unsound.
    fn before(&mut self) -> Result<()> {
        #[cfg(test)]
        self.store.injected()?;
        self.store.check_health()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use anchor::Hash;
    use model::Timestamp;

    /// A store in a folder of its own, which must outlive it.
    pub(crate) async fn scratch() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(folder.path().join("ranproof.db"))).await.unwrap();
        (store, folder)
    }

    /// Extended codes, as SQLite gives them.
    const IOERR_FSYNC: i32 = 1034;
    const IOERR_WRITE: i32 = 778;

    #[tokio::test]
    async fn after_one_io_error_at_any_statement_every_call_is_fatal() {
        for code in [IOERR_FSYNC, IOERR_WRITE, SQLITE_READONLY, SQLITE_CORRUPT] {
            for skip in 0..2 {
                let (store, _folder) = scratch().await;
                store.put_body("a", b"before", Timestamp(1)).await.unwrap();
                store.inject(skip, code);
                let first = store.put_body("a", b"during", Timestamp(1)).await;
                assert!(matches!(first, Err(StoreError::Fatal { .. })), "{first:?}");
                assert!(matches!(store.check_health(), Err(StoreError::Fatal { .. })));
                let later = store.put_body("a", b"after", Timestamp(1)).await;
                assert!(matches!(later, Err(StoreError::Fatal { .. })));
                let read = store.clone().body(&Hash::of(b"before")).await;
                assert!(matches!(read, Err(StoreError::Fatal { .. })), "clones share the poison");
            }
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_one_step_and_the_next_goes_on() {
        let (store, _folder) = scratch().await;
        store.inject(1, SQLITE_FULL);
        assert!(matches!(store.put_body("a", b"x", Timestamp(1)).await, Err(StoreError::Full)));
        store.check_health().unwrap();
        assert_eq!(store.body(&Hash::of(b"x")).await.unwrap(), None);
        store.put_body("a", b"x", Timestamp(1)).await.unwrap();
    }
}
