//! Why the store could not do what it was asked.

use std::path::PathBuf;

use model::Accounting;

/// Named by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Stop acknowledging, exit, start again. Every later call on this handle returns it too.
    #[error(
        "the database {path} can no longer be trusted after an error below it: {why}; hint: check the disk, start again, then run `ranproof fsck`"
    )]
    Fatal { path: PathBuf, why: String },
    /// Nothing of this step was written; it may be tried again when there is room.
    #[error("no room left for the database, nothing of this step was written; hint: free space, then repeat")]
    Full,
    /// Another process holds the database.
    #[error("the database is busy; hint: see which other process writes to it")]
    Busy,
    #[error("cannot open the database {path}; hint: its folder must exist and be writable")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("{0} is an SQLite file of another program; hint: name ranproof's own data folder")]
    Foreign(PathBuf),
    #[error(
        "{path} was written by a newer version (schema {found}, this one knows {known}); hint: update ranproof"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{path} was written by an earlier version (schema {found}, this one checks {known}) and is left as it is; hint: check it with the version that wrote it, or start the agent, which brings it up to date"
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    /// What is stored is not what was written.
    #[error("{table} {key} is damaged: {why}; hint: run `ranproof fsck`")]
    Damaged { table: &'static str, key: String, why: String },
    #[error("column {column} holds what this version cannot read: {why}; hint: run `ranproof fsck`")]
    Unreadable { column: &'static str, why: String },
    /// Apply the blocks between first.
    #[error("block {found} does not follow the last applied block {applied}; hint: apply the blocks between")]
    Gap { applied: u64, found: u64 },
    #[error(
        "round {round} does not balance: expected {} but collected {} + unchanged {} + failed {} + skipped {}",
        .accounting.expected, .accounting.collected, .accounting.unchanged, .accounting.failed, .accounting.skipped
    )]
    Unbalanced { round: u64, accounting: Accounting },
    /// It contradicts what is stored.
    #[error("{what} {key} contradicts what is stored: {why}")]
    Conflict { what: &'static str, key: String, why: String },
    #[error("there is no {what} {key}")]
    Missing { what: &'static str, key: String },
    #[error("number {0} is too large to be stored")]
    OutOfRange(u64),
    /// A statement was refused; a fault of ours.
    #[error("a database statement failed")]
    Statement(#[source] sqlx::Error),
}

impl StoreError {
    pub(crate) fn conflict(what: &'static str, key: impl ToString, why: impl Into<String>) -> StoreError {
        StoreError::Conflict { what, key: key.to_string(), why: why.into() }
    }

    pub(crate) fn missing(what: &'static str, key: impl ToString) -> StoreError {
        StoreError::Missing { what, key: key.to_string() }
    }

    pub(crate) fn damaged(table: &'static str, key: impl ToString, why: impl Into<String>) -> StoreError {
        StoreError::Damaged { table, key: key.to_string(), why: why.into() }
    }
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;
