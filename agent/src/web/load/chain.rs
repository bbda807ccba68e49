//! The chain as this agent sees it, stations, and the readings of metrics.

use std::collections::BTreeMap;

use anchor::transaction::SubjectKind;
use store::{BlockRow, SubjectRow, ViolationFilter};

use super::{LoadError, approvals, at};
use crate::metrics::Readings;
use crate::web::filter::STATES;
use crate::web::site::Site;
use crate::web::view::{BlockView, ChainView, RegisteredView, StationView};

/// Blocks on the page.
const BLOCKS: u32 = 15;

pub async fn chain(site: &Site) -> Result<ChainView, LoadError> {
    let log = site.store.log_state().await?;
    let anchored = site.store.chain_anchor(&site.operator).await?;
    let mut blocks = Vec::new();
    for block in site.store.blocks(None, BLOCKS).await? {
        blocks.push(block_view(site, &block).await?);
    }
    let mut registered = Vec::new();
    for (kind, name) in [
        (SubjectKind::Agreement, "agreement"),
        (SubjectKind::PolicySet, "policy-set"),
        (SubjectKind::Inventory, "inventory"),
    ] {
        registered.extend(versions(name, &site.store.subjects(kind).await?));
    }
    Ok(ChainView {
        status: (site.chain)(),
        blocks,
        log_size: log.size,
        log_waiting: log.waiting + log.staged.map_or(0, |staged| staged.saturating_sub(log.size)),
        anchored: anchored.as_ref().map(|anchor| at(anchor.at)),
        anchored_root: anchored.map(|anchor| anchor.root.to_string()),
        registered,
    })
}

async fn block_view(site: &Site, block: &BlockRow) -> Result<BlockView, LoadError> {
    let mut actions: Vec<(String, u64)> = Vec::new();
    if block.transactions > 0 {
        for transaction in site.store.transactions_at(block.height).await? {
            match actions.iter_mut().find(|(name, _)| *name == transaction.action) {
                Some((_, n)) => *n += 1,
                None => actions.push((transaction.action, 1)),
            }
        }
    }
    Ok(BlockView {
        height: block.height,
        time: block.time,
        header: block.header.to_string(),
        transactions: block.transactions,
        actions,
    })
}

/// For each id the version in force and whatever came after it, newest first.
fn versions(kind: &'static str, rows: &[SubjectRow]) -> Vec<RegisteredView> {
    let mut in_force: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.finalized.is_some() && row.withdrawn.is_none()) {
        let newest = in_force.entry(&row.subject.id).or_default();
        *newest = row.subject.version.max(*newest);
    }
    let current = |row: &&SubjectRow| {
        in_force.get(row.subject.id.as_str()).is_none_or(|version| row.subject.version >= *version)
    };
    let mut views: Vec<RegisteredView> = rows
        .iter()
        .filter(current)
        .map(|row| RegisteredView {
            kind,
            id: row.subject.id.clone(),
            version: row.subject.version,
            body: row.body.map(|hash| hash.to_string()),
            standing: row.standing(),
            in_force: in_force.get(row.subject.id.as_str()) == Some(&row.subject.version),
            approvals: approvals(row),
        })
        .collect();
    views.sort_by(|a, b| a.id.cmp(&b.id).then(b.version.cmp(&a.version)));
    views
}

pub async fn stations(site: &Site) -> Result<Vec<StationView>, LoadError> {
    let rows = site.store.stations().await?;
    let view = |row: store::StationRow| StationView {
        element: row.element,
        last_round: row.last_round,
        last_outcome: row.last_outcome,
        failed_in_a_row: row.failed_in_a_row,
        read_round: row.last_read.as_ref().map(|read| read.round),
        read: row.last_read.map(|read| read.read),
    };
    Ok(rows.into_iter().map(view).collect())
}

/// What `/metrics` reads at each scrape.
pub async fn readings(site: &Site) -> Result<Readings, LoadError> {
    let status = (site.chain)();
    let log = site.store.log_state().await?;
    let last = site.store.last_round().await?;
    let mut violations = BTreeMap::new();
    for state in STATES {
        let only = ViolationFilter { states: vec![state], ..ViolationFilter::default() };
        for (severity, n) in site.store.violation_counts(&only).await?.by_severity {
            violations.insert((state.as_str().to_owned(), severity), n);
        }
    }
    Ok(Readings {
        accounting: last.and_then(|row| row.finished.map(|finished| (row.accounting, finished))),
        violations,
        height: status.height,
        block_time: status.time,
        mempool: status.pending,
        node_running: status.stopped.is_none(),
        log_size: log.size,
        log_waiting: log.waiting + log.staged.map_or(0, |staged| staged.saturating_sub(log.size)),
        anchored: site.store.chain_anchor(&site.operator).await?.map(|anchor| anchor.at.time),
        outbox: site.store.pending_transactions().await?.len(),
    })
}
