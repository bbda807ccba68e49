//! Seals: a BLAKE3 digest of a row's other columns, for rows that no digest of their own protects.
//!
//! A seal finds a disk's or an editor's mistakes. It proves nothing against somebody who computes it anew: that is
//! what the log on the chain is for.

use model::Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite};

use crate::columns::Columns as _;
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

/// Seals the rows of `tables` that were written or changed in this transaction: whoever inserts leaves the seal at
/// its default, whoever updates sets it to `zeroblob(32)`.
pub(crate) async fn seal(link: &mut Link, tables: &[&'static str]) -> Result<()> {
    for table in tables {
        let content = Content::of(link, table).await?;
        let unsealed = format!(
            "SELECT json_group_array(json_array(rowid, {})) AS packed FROM {table} WHERE seal = zeroblob(32) \
             GROUP BY rowid / {TOGETHER}",
            content.columns
        );
        let rows: Vec<(i64, String)> = link.packed(sqlx::query(AssertSqlSafe(unsealed))).await?;
        for rows in rows.chunks(TOGETHER) {
            let seals: Vec<(i64, Digest)> =
                rows.iter().map(|(row, content)| (*row, Digest::of(content.as_bytes()))).collect();
            let mut update = QueryBuilder::<Sqlite>::new("");
            update.push(format!("UPDATE {table} SET seal = made.column2 FROM ("));
            update.push_values(&seals, |mut tuple, (row, seal)| {
                tuple.push_bind(*row).push_bind(seal.0.to_vec());
            });
            update.push(format!(") AS made WHERE {table}.rowid = made.column1"));
            link.execute(update.build().persistent(rows.len() == TOGETHER)).await?;
        }
    }
    Ok(())
}

/// Rows sealed by one statement.
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
