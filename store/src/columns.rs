//! Between SQLite's five types and ours, checked in both directions; and inserting many rows at once.

use std::str::FromStr;

use anchor::Hash;
use model::{Digest, Dn, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, QueryBuilder, Row as _, Sqlite, Type};

use crate::database::Link;
use crate::error::{Result, StoreError};

/// An unsigned number as SQLite holds it.
pub(crate) fn int(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| StoreError::OutOfRange(number))
}

pub(crate) fn opt_int(number: Option<u64>) -> Result<Option<i64>> {
    number.map(int).transpose()
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Unreadable { column: "json", why: format!("cannot be written: {e}") })
}

/// JSON of a column that came in a packed row, as the text that it is there: packed as JSON a damaged value would pass for a
/// fault of the statement, and a deep one would be too deep.
pub(crate) fn parse<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| bad(column, e))
}

/// A digest in hexadecimal, as packed rows have it.
#[derive(Deserialize)]
#[serde(from = "Hash")]
pub(crate) struct Hex(pub Digest);

impl From<Hash> for Hex {
    fn from(hash: Hash) -> Hex {
        Hex(Digest(hash.0))
    }
}

/// The name under which an enum of ours appears in JSON, as filters and columns use it.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("only unit variants with names are stored as words, not {other:?}"),
    }
}

fn bad(column: &'static str, why: impl ToString) -> StoreError {
    StoreError::Unreadable { column, why: why.to_string() }
}

/// Reading a row's columns by name.
pub(crate) trait Columns {
    fn raw<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &'static str) -> Result<T>;

    fn text(&self, column: &'static str) -> Result<String> {
        self.raw(column)
    }
    fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        self.raw(column)
    }
    fn blob(&self, column: &'static str) -> Result<Vec<u8>> {
        self.raw(column)
    }
    fn opt_blob(&self, column: &'static str) -> Result<Option<Vec<u8>>> {
        self.raw(column)
    }
    fn id(&self, column: &'static str) -> Result<i64> {
        self.raw(column)
    }
    fn opt_id(&self, column: &'static str) -> Result<Option<i64>> {
        self.raw(column)
    }
    fn number(&self, column: &'static str) -> Result<u64> {
        u64::try_from(self.id(column)?).map_err(|e| bad(column, e))
    }
    fn small(&self, column: &'static str) -> Result<u32> {
        u32::try_from(self.id(column)?).map_err(|e| bad(column, e))
    }
    fn opt_number(&self, column: &'static str) -> Result<Option<u64>> {
        self.opt_id(column)?.map(|n| u64::try_from(n).map_err(|e| bad(column, e))).transpose()
    }
    fn opt_small(&self, column: &'static str) -> Result<Option<u32>> {
        self.opt_id(column)?.map(|n| u32::try_from(n).map_err(|e| bad(column, e))).transpose()
    }
    fn time(&self, column: &'static str) -> Result<Timestamp> {
        Ok(Timestamp(self.id(column)?))
    }
    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.opt_id(column)?.map(Timestamp))
    }
    fn bytes32(&self, column: &'static str) -> Result<[u8; 32]> {
        self.blob(column)?.try_into().map_err(|_| bad(column, "not 32 bytes"))
    }
    fn hash(&self, column: &'static str) -> Result<Hash> {
        self.bytes32(column).map(Hash)
    }
    fn opt_hash(&self, column: &'static str) -> Result<Option<Hash>> {
        let bytes = self.opt_blob(column)?;
        bytes.map(|b| b.try_into().map(Hash).map_err(|_| bad(column, "not 32 bytes"))).transpose()
    }
    fn digest(&self, column: &'static str) -> Result<Digest> {
        self.bytes32(column).map(Digest)
    }
    fn opt_digest(&self, column: &'static str) -> Result<Option<Digest>> {
        Ok(self.opt_hash(column)?.map(|h| Digest(h.0)))
    }
    fn dn(&self, column: &'static str) -> Result<Dn> {
        self.parsed(column)
    }
    fn parsed<T: FromStr<Err: ToString>>(&self, column: &'static str) -> Result<T> {
        self.text(column)?.parse().map_err(|e: T::Err| bad(column, e))
    }
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        parse(column, &self.text(column)?)
    }
    fn opt_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        let text = self.opt_text(column)?;
        text.map(|t| parse(column, &t)).transpose()
    }
    /// An enum stored by its name.
    fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let name = serde_json::Value::String(self.text(column)?);
        serde_json::from_value(name).map_err(|e| bad(column, e))
    }
}

impl Columns for SqliteRow {
    fn raw<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &'static str) -> Result<T> {
        self.try_get(column).map_err(|e| bad(column, e))
    }
}

/// Rows in one statement: fewer gain little less, more gain nothing.
const ROWS: usize = 64;

pub(crate) type Tuple<'a> = Separated<'a, Sqlite, &'static str>;

/// `head` is `INSERT INTO t (a, b) `, `tail` an `ON CONFLICT` clause or empty; `bind` pushes one row's columns.
pub(crate) async fn insert_many<R>(
    link: &mut Link,
    head: &'static str,
    tail: &'static str,
    rows: &[R],
    mut bind: impl FnMut(&mut Tuple<'_>, &R),
) -> Result<u64> {
    let mut changed = 0;
    for chunk in rows.chunks(ROWS) {
        let mut builder = QueryBuilder::<Sqlite>::new(head);
        builder.push_values(chunk, |mut tuple, row| bind(&mut tuple, row));
        builder.push(tail);
        // Only the full statement is worth a place among the prepared ones.
        let statement = builder.build().persistent(chunk.len() == ROWS);
        changed += link.execute(statement).await?;
    }
    Ok(changed)
}
