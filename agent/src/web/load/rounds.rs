//! Rounds: the account of every expected station, and what was seen.

use anchor::Hash;
use anchor::record::JudgementRecord;
use model::Outcome;
use store::{EditRow, RoundRow, StationResult, Store, StoreError, ViolationFilter, log};

use super::{LoadError, at, evidence, item, judgement_evidence, judgements};
use crate::web::site::Site;
use crate::web::view::{
    Changes, DifferenceView, FailureView, FindingView, PinView, RoundItem, RoundView, StationResultView,
    ViolationItem,
};

/// Violations of one round that are shown in each of its two lists.
const VIOLATIONS: u32 = 200;

/// Rounds below number `before`, newest first, and the number to continue before.
pub async fn rounds(
    site: &Site,
    before: Option<u64>,
    limit: u32,
) -> Result<(Vec<RoundItem>, Option<u64>), LoadError> {
    let mut rows = site.store.rounds(before, limit.saturating_add(1)).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(with_failures(site, row).await?);
    }
    let next = items.last().filter(|_| more).map(|item| item.round);
    Ok((items, next))
}

/// The newest finished round.
pub async fn last_round(site: &Site) -> Result<Option<RoundItem>, LoadError> {
    match site.store.last_round().await? {
        Some(row) => Ok(Some(with_failures(site, row).await?)),
        None => Ok(None),
    }
}

async fn with_failures(site: &Site, row: RoundRow) -> Result<RoundItem, LoadError> {
    let mut item = round_item(&row);
    if site.is_foreign() {
        let chain = site.main.chain_round(&site.origin, item.round).await?;
        item.attested = chain.and_then(|chain| chain.attested).map(|moment| moment.height);
    }
    if item.accounting.failed + item.accounting.skipped > 0 {
        let failed = site.store.failures(item.round).await?;
        item.failures = failed.into_iter().map(|f| failure(f.element, &f.outcome)).collect();
    }
    Ok(item)
}

fn failure(element: model::Dn, outcome: &Outcome) -> FailureView {
    let detail = match outcome {
        Outcome::Failed { detail, .. } => detail.clone(),
        _ => String::new(),
    };
    FailureView { element, reason: outcome.reason().unwrap_or_default().to_owned(), detail }
}

fn round_item(row: &RoundRow) -> RoundItem {
    RoundItem {
        round: row.start.round,
        opened: row.start.opened,
        started: row.start.started,
        finished: row.finished,
        accounting: row.accounting,
        balances: row.accounting.balances(),
        changes: Changes {
            observed: row.changes.observed,
            authorised: row.changes.authorised,
            unauthorised: row.changes.unauthorised,
        },
        violations_opened: row.violations_opened,
        violations_resolved: row.violations_resolved,
        attested: row.attested.map(|(height, _)| height),
        failures: vec![],
    }
}

pub async fn round(site: &Site, number: u64) -> Result<RoundView, LoadError> {
    let missing = || LoadError::Missing { what: "round", id: number.to_string() };
    let row = site.store.round(number).await?.ok_or_else(missing)?;
    let chain = site.main.chain_round(&site.origin, number).await?;
    let first = ViolationFilter { first_round: Some(number), ..ViolationFilter::default() };
    let resolved = ViolationFilter { resolved_round: Some(number), ..ViolationFilter::default() };
    let pins = &row.start.pins;
    let (judgements, disputes) = judgements::of_round(site, number).await?;
    let mut stations = site.store.station_results(number).await?;
    stations.sort_by_key(|s| (rank(&s.outcome), s.element.clone()));
    let differences: Vec<_> = site.store.edits(number).await?.into_iter().map(difference).collect();
    let opened_violations = listed(site, &first, row.violations_opened).await?;
    let resolved_violations = listed(site, &resolved, row.violations_resolved).await?;
    let nearest = opened_violations.iter().chain(&resolved_violations).filter_map(|v| v.nearest.clone());
    let named = differences.iter().filter_map(|d| d.request.clone()).chain(nearest).collect();
    Ok(RoundView {
        opening: chain.as_ref().map(|c| at(c.opened)),
        attestation: chain.as_ref().and_then(|c| c.attested).map(at),
        late: chain.as_ref().is_some_and(|c| c.late),
        missed: chain.as_ref().and_then(|c| c.missed).map(at),
        deadline: chain.as_ref().map(|c| c.deadline),
        stations: stations.into_iter().map(station).collect(),
        requests: super::requests_among(site, named).await?,
        differences,
        opened_violations,
        resolved_violations,
        findings: findings(&site.store, number).await?,
        pins: vec![
            pin("agreement", &pins.agreement),
            pin("policy-set", &pins.policy_set),
            pin("inventory", &pins.inventory),
            pin("profile", &pins.profile),
        ],
        evidence: match site.is_foreign() {
            true => judgement_evidence(site, &JudgementRecord::summary_id(&site.origin, number)).await?,
            false => {
                evidence(site, log::ATTESTATION, &format!("round/{number}"), format!("round-{number}"))
                    .await?
            }
        },
        judgements,
        disputes,
        next: site.store.round(number.saturating_add(1)).await?.is_some(),
        item: with_failures(site, row).await?,
    })
}

/// Stations whose findings are shown, and how many of each.
const FINDINGS: (u32, usize) = (500, 50);

/// What was noticed of the configurations that a round read.
pub async fn findings(store: &Store, round: u64) -> Result<Vec<FindingView>, StoreError> {
    let stations = store.findings(round, FINDINGS.0).await?;
    let views = stations.into_iter().flat_map(|(element, findings)| {
        findings.into_iter().take(FINDINGS.1).map(move |finding| FindingView {
            element: element.clone(),
            code: finding.code,
            place: finding.place,
            message: finding.message,
        })
    });
    Ok(views.collect())
}

async fn listed(site: &Site, filter: &ViolationFilter, any: u64) -> Result<Vec<ViolationItem>, LoadError> {
    if any == 0 {
        return Ok(vec![]);
    }
    Ok(site.store.violations(filter, None, VIOLATIONS).await?.rows.into_iter().map(item).collect())
}

fn pin(subject: &'static str, hash: &Hash) -> PinView {
    PinView { subject, hash: hash.to_string() }
}

/// What failed comes first.
fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Failed { .. } => 0,
        Outcome::Skipped { .. } => 1,
        Outcome::Collected => 2,
        Outcome::Unchanged => 3,
    }
}

fn station(result: StationResult) -> StationResultView {
    StationResultView {
        element: result.element,
        outcome: result.outcome,
        read: result.read,
        duration_ms: result.duration_ms,
    }
}

fn difference(row: EditRow) -> DifferenceView {
    let edit = row.edit.edit;
    DifferenceView {
        object: edit.object,
        attribute: edit.attribute,
        operation: edit.operation,
        old: edit.old,
        new: edit.new,
        authorisation: row.edit.authorisation.map(|a| a.as_str()),
        request: row.edit.request,
    }
}
