//! The chain as this agent sees it, stations, and the readings of metrics.

use std::collections::BTreeMap;

use anchor::record::JudgementVerdict;
use anchor::transaction::SubjectKind;
use store::{BlockRow, ForkKind, ForkRow, JudgementRow, SubjectRow};

use super::{LoadError, approvals, at};
use crate::federation::DisputeView;
use crate::metrics::Readings;
use crate::web::site::Site;
use crate::web::view::{BlockView, ChainView, ForkView, LogView, MemberView, RegisteredView, StationView};

/// Blocks on the page.
const BLOCKS: u32 = 15;
/// Disputes whose violation is looked for.
const DISPUTES: usize = 50;

pub async fn chain(site: &Site) -> Result<ChainView, LoadError> {
    let log = site.main.log_state().await?;
    let anchored = site.main.chain_anchor(&site.operator).await?;
    let mut blocks = Vec::new();
    for block in site.main.blocks(None, BLOCKS).await? {
        blocks.push(block_view(site, &block).await?);
    }
    let mut registered = Vec::new();
    for (kind, name) in [
        (SubjectKind::Agreement, "agreement"),
        (SubjectKind::PolicySet, "policy-set"),
        (SubjectKind::Inventory, "inventory"),
    ] {
        registered.extend(versions(name, &site.main.subjects(kind).await?));
    }
    let status = (site.chain)();
    Ok(ChainView {
        logs: logs(site, &status.members).await?,
        disputed: disputed(site, &status.federation.disputes).await?,
        status,
        blocks,
        log_size: log.size,
        log_waiting: log.waiting + log.staged.map_or(0, |staged| staged.saturating_sub(log.size)),
        anchored: anchored.as_ref().map(|anchor| at(anchor.at)),
        anchored_root: anchored.map(|anchor| anchor.root.to_string()),
        registered,
    })
}

/// Every member's log that has a checkpoint on the chain, this operator's first.
pub async fn logs(site: &Site, members: &[MemberView]) -> Result<Vec<LogView>, LoadError> {
    let mut logs = Vec::new();
    for member in members {
        let own = member.id == *site.operator;
        let anchor = site.main.chain_anchor(&member.id).await?;
        let mirror = if own { None } else { Some(site.main.mirror(&member.id).await?) };
        let held = mirror.map(|mirror| mirror.head.map_or(0, |head| head.size));
        let forks = site.main.forks_of(&member.id).await?;
        if anchor.is_none() && forks.is_empty() {
            continue;
        }
        logs.push(LogView {
            size: anchor.as_ref().map_or(0, |anchor| anchor.size),
            anchored: anchor.map(|anchor| at(anchor.at)),
            mirrored: held,
            cosigned: super::cosigned(site, &member.id, 0).await?,
            forks: forks.into_iter().map(fork).collect(),
            origin: member.id.clone(),
        });
    }
    logs.sort_by_key(|log| log.mirrored.is_some());
    Ok(logs)
}

fn fork(row: ForkRow) -> ForkView {
    let kind = match row.kind {
        ForkKind::Notes => "notes",
        ForkKind::Prefix => "prefix",
        ForkKind::Leaves => "leaves",
    };
    ForkView { size: row.size, kind: kind.to_owned(), seen: row.seen }
}

/// Which violation each dispute is about, as far as its judgement is known here.
async fn disputed(site: &Site, disputes: &[DisputeView]) -> Result<BTreeMap<String, String>, LoadError> {
    let mut known = BTreeMap::new();
    for dispute in disputes.iter().take(DISPUTES) {
        let rows = site.main.round_judgements(&dispute.origin, dispute.round).await?;
        let found = rows.into_iter().find(|row| row.commitment.to_string() == dispute.judgement);
        // What only another judge found has no page here.
        let here =
            |row: &JudgementRow| row.verdict != JudgementVerdict::Extra || *row.judge == *site.operator;
        let found = found.filter(here);
        known.extend(found.and_then(|row| row.violation).map(|violation| (dispute.id.clone(), violation)));
    }
    Ok(known)
}

async fn block_view(site: &Site, block: &BlockRow) -> Result<BlockView, LoadError> {
    let mut actions: Vec<(String, u64)> = Vec::new();
    if block.transactions > 0 {
        for transaction in site.main.transactions_at(block.height).await? {
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
    let log = site.main.log_state().await?;
    let last = site.store.last_round().await?;
    let finished = last.as_ref().filter(|row| row.finished.is_some());
    let failures = match finished {
        Some(row) => site.store.failure_reasons(row.start.round).await?,
        None => BTreeMap::new(),
    };
    let outbox = site.main.pending_transactions().await?;
    let mut unjudged_rounds = BTreeMap::new();
    for (origin, second) in (site.seconds)() {
        let judged = second.last_second().await?.map_or(0, |last| last.round);
        unjudged_rounds.insert(origin.clone(), site.main.attested_after(&origin, judged).await?);
    }
    Ok(Readings {
        logs: logs(site, &status.members).await?,
        second_judgements: site.main.judgement_counts().await?,
        unjudged_rounds,
        unopened_rounds: site.main.unopened_rounds().await?,
        accounting: last.and_then(|row| row.finished.map(|finished| (row.accounting, finished))),
        failures,
        violations: site.store.violation_tally().await?,
        height: status.height,
        block_time: status.time,
        mempool: status.pending,
        node_running: status.stopped.is_none(),
        log_size: log.size,
        log_waiting: log.waiting + log.staged.map_or(0, |staged| staged.saturating_sub(log.size)),
        anchored: site.main.chain_anchor(&site.operator).await?.map(|anchor| anchor.at.time),
        outbox: outbox.len(),
        outbox_oldest: outbox.iter().map(|transaction| transaction.staged).min(),
        federation: Some(status.federation),
    })
}
