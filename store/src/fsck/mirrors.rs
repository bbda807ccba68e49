//! Mirrored logs: leaves without a gap, each with its hash, and every head over them; cosignatures fit the chain.

use std::collections::BTreeMap;

use anchor::tree::{Frontier, leaf_hash};
use sqlx::AssertSqlSafe;

use super::{FsckReport, PAGE};
use crate::columns::{Columns as _, int};
use crate::database::Link;
use crate::error::Result;
use crate::mirrors::{MirrorHead, head_row};

pub(super) async fn check(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let query = "SELECT origin FROM mirror_leaves UNION SELECT origin FROM mirror_heads";
    for row in link.rows(sqlx::query(query)).await? {
        let part = mirror(link, report, &row.text("origin")?).await;
        report.unreadable("mirror_leaves", part)?;
    }
    against_the_chain(link, report, "mirror_heads").await?;
    against_the_chain(link, report, "cosignatures").await
}

async fn mirror(link: &mut Link, report: &mut FsckReport, origin: &str) -> Result<()> {
    let mut heads = heads(link, report, origin).await?;
    let mut frontier = Frontier::default();
    loop {
        let page = "SELECT leaf, envelope, hash FROM mirror_leaves WHERE origin = ? AND leaf >= ? ORDER BY leaf LIMIT ?";
        let page = sqlx::query(page).bind(origin).bind(int(frontier.size())?).bind(int(PAGE)?);
        let rows = link.rows(page).await?;
        report.count("mirror_leaves", rows.len());
        for row in &rows {
            let index = row.number("leaf")?;
            if index != frontier.size() {
                report.fault("mirror_leaves", format!("{origin} {}", frontier.size()), "the leaf is missing");
                return Ok(());
            }
            let hash = leaf_hash(&row.blob("envelope")?);
            if hash != row.hash("hash")? {
                report.fault(
                    "mirror_leaves",
                    format!("{origin} {index}"),
                    "the envelope has another leaf hash",
                );
            }
            frontier.push(hash);
            if let Some((head, kept)) = heads.remove(&frontier.size())
                && (head.root != frontier.root() || kept != frontier)
            {
                report.fault(
                    "mirror_heads",
                    format!("{origin} {}", head.size),
                    "the leaves have another root",
                );
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    for size in heads.keys() {
        report.fault("mirror_heads", format!("{origin} {size}"), "leaves below it are missing");
    }
    Ok(())
}

/// Heads with the frontiers kept beside them, by size.
async fn heads(
    link: &mut Link,
    report: &mut FsckReport,
    origin: &str,
) -> Result<BTreeMap<u64, (MirrorHead, Frontier)>> {
    let mut heads = BTreeMap::new();
    let query = sqlx::query("SELECT * FROM mirror_heads WHERE origin = ?").bind(origin);
    for row in link.rows(query).await? {
        let size = row.number("size")?;
        match head_row(&row) {
            Ok(found) => drop(heads.insert(size, found)),
            Err(error) => report.fault("mirror_heads", format!("{origin} {size}"), error),
        }
    }
    Ok(heads)
}

/// What was vouched for has the root that the chain anchored, as far as the chain's projection reaches.
async fn against_the_chain(link: &mut Link, report: &mut FsckReport, table: &'static str) -> Result<()> {
    let query = format!(
        "SELECT t.origin, t.size FROM {table} t JOIN chain_anchors a USING (origin, size) WHERE t.root <> a.root"
    );
    for row in link.rows(sqlx::query(AssertSqlSafe(query))).await? {
        let key = format!("{} {}", row.text("origin")?, row.number("size")?);
        report.fault(table, key, "the chain anchored another root of this size");
    }
    Ok(())
}
