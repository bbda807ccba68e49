//! Seals: a BLAKE3 digest of a row's other columns, for rows that no digest of their own protects.
//!
//! A seal finds a disk's or an editor's mistakes. It proves nothing against somebody who computes it anew: that is
//! what the log on the chain is for.

use model::Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite};

use crate::columns::{Columns as _, Tuple};
use crate::database::Link;
use crate::error::Result;

/// Tables with a column `seal`.
pub(crate) const SEALED: &[&str] = &[
    "blocks",
    "chain_transactions",
    "subjects",
    "decisions",
    "chain_rounds",
    "chain_anchors",
    "outgoing",
    "rounds",
    "snapshots",
    "edits",
    "respellings",
    "violations",
    "violation_actions",
    "waivers",
    "outbox",
    "log_leaves",
    "checkpoints",
    "bundles",
    "mirror_heads",
    "cosigned",
    "cosignatures",
    "served_notes",
    "forks",
    "judgements",
    "second_rounds",
];

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Cell {
    /// Appends the value as SQLite's `quote()` writes it.
    fn quote(&self, to: &mut String) {
        match self {
            Cell::Null => to.push_str("NULL"),
            Cell::Int(number) => to.push_str(&number.to_string()),
            Cell::Text(text) => {
                // `quote()` ends at a NUL, too.
                let mut parts = text.split('\0').next().unwrap_or_default().split('\'');
                to.extend(["'", parts.next().unwrap_or_default()]);
                for part in parts {
                    to.extend(["''", part]);
                }
                to.push('\'');
            }
            Cell::Blob(bytes) => to.extend(["X'", &hex::encode_upper(bytes), "'"]),
        }
    }

    /// About how many bytes [`Cell::quote`] appends.
    fn quoted_length(&self) -> usize {
        match self {
            Cell::Null | Cell::Int(_) => 12,
            Cell::Text(text) => text.len() + 8,
            Cell::Blob(bytes) => 2 * bytes.len() + 3,
        }
    }

    fn bind(self, tuple: &mut Tuple<'_>) {
        match self {
            Cell::Null => tuple.push_bind(None::<i64>),
            Cell::Int(number) => tuple.push_bind(number),
            Cell::Text(text) => tuple.push_bind(text),
            Cell::Blob(bytes) => tuple.push_bind(bytes),
        };
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Int(number)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<[u8; 32]> for Cell {
    fn from(bytes: [u8; 32]) -> Cell {
        Cell::Blob(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Cell {
        Cell::Blob(bytes)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

/// The seal of a row whose columns but the seal hold `cells`, in the order of the schema.
fn seal_of(cells: &[Cell]) -> Digest {
    // Made as large as it gets, not moved as it grows: a violation is kilobytes.
    let mut content = String::with_capacity(cells.iter().map(|cell| cell.quoted_length() + 1).sum());
    for (n, cell) in cells.iter().enumerate() {
        content.push_str(if n > 0 { "," } else { "" });
        cell.quote(&mut content);
    }
    Digest::of(content.as_bytes())
}

/// Inserts rows with their seals: sealing them afterwards would write each of them twice. `columns` must be all columns
/// but the seal, in the order of the schema: over others [`check`] finds no seal right.
pub(crate) async fn insert_sealed<const N: usize>(
    link: &mut Link,
    table: &'static str,
    columns: [&'static str; N],
    rows: Vec<[Cell; N]>,
) -> Result<()> {
    write_sealed(link, table, columns, "", rows).await
}

/// The same, over rows that have the same `key`.
pub(crate) async fn upsert_sealed<const N: usize>(
    link: &mut Link,
    table: &'static str,
    key: &'static str,
    columns: [&'static str; N],
    rows: Vec<[Cell; N]>,
) -> Result<()> {
    let set: Vec<String> = columns
        .iter()
        .chain(&["seal"])
        .filter(|name| **name != key)
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let over = format!(" ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "));
    write_sealed(link, table, columns, &over, rows).await
}

async fn write_sealed<const N: usize>(
    link: &mut Link,
    table: &'static str,
    columns: [&'static str; N],
    tail: &str,
    rows: Vec<[Cell; N]>,
) -> Result<()> {
    let head = format!("INSERT INTO {table} ({}, seal) ", columns.join(", "));
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut builder = QueryBuilder::<Sqlite>::new(head.as_str());
        let mut count = 0;
        builder.push_values(rows.by_ref().take(TOGETHER), |mut tuple, row| {
            let seal = seal_of(&row);
            row.into_iter().for_each(|cell| cell.bind(&mut tuple));
            tuple.push_bind(seal.0.to_vec());
            count += 1;
        });
        builder.push(tail);
        // Only the full statement is worth a place among the prepared ones.
        link.execute(builder.build().persistent(count == TOGETHER)).await?;
    }
    Ok(())
}

/// Seals the rows of `tables` that were written or changed in this transaction: whoever inserts leaves the seal at
/// its default, whoever updates sets it to `zeroblob(32)`.
pub(crate) async fn seal(link: &mut Link, tables: &[&'static str]) -> Result<()> {
    for table in tables {
        let content = Content::of(link, table).await?;
        let unsealed = format!(
            "SELECT json_group_array(json_array(row, content)) AS packed FROM (SELECT rowid AS row, {} AS content \
             FROM {table} WHERE seal = zeroblob(32) LIMIT {TOGETHER})",
            content.columns
        );
        loop {
            let rows: Vec<(i64, String)> = link.packed(sqlx::query(AssertSqlSafe(unsealed.clone()))).await?;
            if rows.is_empty() {
                break;
            }
            let seals: Vec<(i64, Digest)> =
                rows.iter().map(|(row, content)| (*row, Digest::of(content.as_bytes()))).collect();
            let mut update = QueryBuilder::<Sqlite>::new("");
            update.push(format!("UPDATE {table} SET seal = made.column2 FROM ("));
            update.push_values(&seals, |mut tuple, (row, seal)| {
                tuple.push_bind(*row).push_bind(seal.0.to_vec());
            });
            update.push(format!(") AS made WHERE {table}.rowid = made.column1"));
            link.execute(update.build().persistent(rows.len() == TOGETHER)).await?;
            if rows.len() < TOGETHER {
                break;
            }
        }
    }
    Ok(())
}

/// Rows written by one statement.
const TOGETHER: usize = 64;
/// Rows looked at in one statement.
const PAGE: i64 = 4_096;

/// Number of rows of `table`, and the keys of those whose seal does not fit.
pub(crate) async fn check(link: &mut Link, table: &'static str) -> Result<(u64, Vec<String>)> {
    let content = Content::of(link, table).await?;
    let page = format!(
        "SELECT rowid AS row, {} AS name, seal, {} AS content FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT {PAGE}",
        content.key, content.columns
    );
    let (mut count, mut broken, mut last) = (0, Vec::new(), i64::MIN);
    loop {
        let rows = link.rows(sqlx::query(AssertSqlSafe(page.clone())).bind(last)).await?;
        let Some(end) = rows.last() else { return Ok((count, broken)) };
        last = end.id("row")?;
        count += rows.len() as u64;
        for row in &rows {
            if row.blob("seal")? != digest(row)?.0 {
                broken.push(row.text("name")?);
            }
        }
    }
}

fn digest(row: &SqliteRow) -> Result<Digest> {
    Ok(Digest::of(row.text("content")?.as_bytes()))
}

/// SQL expressions over a table's columns, which come from the schema: no column can be forgotten.
struct Content {
    /// All columns but the seal as SQL literals, joined by commas: unambiguous, because literals are quoted.
    columns: String,
    /// The primary key, for people.
    key: String,
}

impl Content {
    async fn of(link: &mut Link, table: &'static str) -> Result<Content> {
        let columns = sqlx::query("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid").bind(table);
        let (mut all, mut key) = (Vec::new(), Vec::new());
        for row in link.rows(columns).await? {
            let name = row.text("name")?;
            if name == "seal" {
                continue;
            }
            all.push(format!("quote({name})"));
            if row.id("pk")? > 0 {
                key.push(format!("iif(typeof({name}) = 'blob', lower(hex({name})), {name})"));
            }
        }
        Ok(Content { columns: all.join(" || ',' || "), key: key.join(" || ' ' || ") + " || ''" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::database::tests::scratch;

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            "[ -~\u{0}'é\u{1F4E1}]{0,12}".prop_map(Cell::Text),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Cell::Blob),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_row_that_is_sealed_as_it_is_inserted_has_the_seal_that_the_check_computes(
            rows in prop::collection::vec([cell(), cell(), cell()], 1..70)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (store, _folder) = scratch().await;
                let mut link = store.writer().await.unwrap();
                let table = "CREATE TABLE things (id INTEGER PRIMARY KEY, a, b, c, seal BLOB DEFAULT (zeroblob(32)))";
                link.execute(sqlx::query(table)).await.unwrap();
                let count = rows.len();
                let numbered = rows.into_iter().zip(1..).map(|([a, b, c], n)| [Cell::Int(n), a, b, c]).collect();
                insert_sealed(&mut link, "things", ["id", "a", "b", "c"], numbered).await.unwrap();
                assert_eq!(check(&mut link, "things").await.unwrap(), (count as u64, vec![]));
                // And what is sealed afterwards has the same.
                let clear = "UPDATE things SET seal = zeroblob(32)";
                link.execute(sqlx::query(clear)).await.unwrap();
                assert_eq!(check(&mut link, "things").await.unwrap().1.len(), count);
                seal(&mut link, &["things"]).await.unwrap();
                assert_eq!(check(&mut link, "things").await.unwrap().1, Vec::<String>::new());
            });
        }
    }
}
