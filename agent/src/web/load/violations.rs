//! Violations: list with facets, and one with all there is to know about it.

use std::collections::BTreeMap;

use anchor::record::JudgementRecord;
use model::verdict::Severity;
use model::violation::{SECOND_JUDGEMENT_RULE, ViolationState};
use store::{Cursor, Page, Verb, ViolationCounts, ViolationFilter, ViolationRow};

use super::{LoadError, evidence, item, judgement_evidence, judgements, last_round, rules};
use crate::web::filter::{FACETS, Facet, Filter, SEVERITIES, STATES};
use crate::web::shown::clock;
use crate::web::site::Site;
use crate::web::view::{FacetOption, FacetView, HistoryEntry, ViolationItem, ViolationView, ViolationsView};

/// Values of a facet that are offered; whoever needs another one searches.
const OPTIONS: usize = 12;
/// Rows that a page may have more than asked for, so that what one read found of one attribute stays together.
const TAIL: u32 = 200;
/// Violations on the same object that are shown beside one.
const BESIDE: u32 = 10;

fn filter_of(filter: &Filter) -> ViolationFilter {
    ViolationFilter {
        states: filter.states.clone(),
        severities: filter.severities.clone(),
        rule: filter.rule.clone(),
        authorisation: filter.authorisation.clone(),
        element: filter.element.clone(),
        operator: filter.operator.clone(),
        text: filter.text.clone(),
        ..ViolationFilter::default()
    }
}

/// Which part of the list.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// The cursor that the page before gave.
    pub before: Option<&'a str>,
    pub limit: u32,
    /// Go on to the end of the read that the last row comes from.
    pub whole_reads: bool,
}

/// One page of the list.
pub async fn violations(site: &Site, filter: Filter, slice: Slice<'_>) -> Result<ViolationsView, LoadError> {
    let bad_cursor =
        |_| LoadError::Bad("before: not the place of a page; hint: take it from the page before".into());
    let cursor: Option<Cursor> = slice.before.map(str::parse).transpose().map_err(bad_cursor)?;
    let mut page = site.store.violations(&filter_of(&filter), cursor.as_ref(), slice.limit).await?;
    if slice.whole_reads {
        complete(site, &filter, &mut page).await?;
    }
    let (facets, total) = facets(site, &filter).await?;
    let rows: Vec<ViolationItem> = page.rows.into_iter().map(item).collect();
    Ok(ViolationsView {
        facets,
        total,
        requests: super::nearest_requests(site, &rows).await?,
        rows,
        next: page.next.map(|cursor| cursor.to_string()),
        is_later_page: slice.before.is_some(),
        last_round: last_round(site).await?,
        filter,
    })
}

/// Adds what the last row's read found besides.
async fn complete(site: &Site, filter: &Filter, page: &mut Page) -> Result<(), LoadError> {
    let Some(cursor) = &page.next else { return Ok(()) };
    let more = site.store.violations(&filter_of(filter), Some(cursor), TAIL).await?;
    let whole = more.rows.len();
    let same = |row: &ViolationRow| row.violation.first_seen.read == cursor.first_seen;
    let tail: Vec<_> = more.rows.into_iter().take_while(same).collect();
    let Some(last) = tail.last() else { return Ok(()) };
    let end = Cursor { first_seen: last.violation.first_seen.read, id: last.violation.id.clone() };
    page.next = if tail.len() == whole { more.next } else { Some(end) };
    page.rows.extend(tail);
    Ok(())
}

/// Each facet counts what the others leave, so that its values can be compared; with the number of all matches.
async fn facets(site: &Site, filter: &Filter) -> Result<(Vec<FacetView>, u64), LoadError> {
    let all = site.store.violation_counts(&filter_of(filter)).await?;
    let mut views = Vec::new();
    for facet in FACETS {
        let others = filter.without(facet);
        let counts = match facet {
            Facet::Element => {
                let limit = u32::try_from(OPTIONS).unwrap_or(u32::MAX);
                let found = site.store.violations_by_element(&filter_of(&others), limit).await?;
                found.into_iter().map(|(element, n)| (element.to_string(), n)).collect()
            }
            _ if facet != Facet::State && filter.value(facet).is_none() => by(facet, &all),
            _ => by(facet, &site.store.violation_counts(&filter_of(&others)).await?),
        };
        views.push(FacetView { facet, options: options(filter, facet, counts) });
    }
    views.retain(|view| !view.options.is_empty());
    Ok((views, all.total))
}

fn by(facet: Facet, counts: &ViolationCounts) -> BTreeMap<String, u64> {
    match facet {
        Facet::State => counts.by_state.clone(),
        Facet::Severity => counts.by_severity.clone(),
        Facet::Authorisation => counts.by_authorisation.clone(),
        Facet::Rule => counts.by_rule.clone(),
        Facet::Operator => counts.by_operator.clone(),
        Facet::Element => BTreeMap::new(),
    }
}

/// States and severities in their own order, the others by number.
fn options(filter: &Filter, facet: Facet, counts: BTreeMap<String, u64>) -> Vec<FacetOption> {
    let ordered: Vec<(String, u64)> = match facet {
        Facet::State => in_order(STATES.map(ViolationState::as_str), &counts),
        Facet::Severity => in_order(SEVERITIES.map(Severity::as_str), &counts),
        _ => {
            let mut found: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 0).collect();
            found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            found.truncate(OPTIONS);
            found
        }
    };
    let chosen_value = filter.value(facet);
    let option = |(value, count): (String, u64)| {
        let chosen = chosen_value.as_ref() == Some(&value);
        let address = filter.address_with(facet, (!chosen).then_some(value.as_str()));
        FacetOption { chosen, address, value, count }
    };
    ordered.into_iter().map(option).collect()
}

fn in_order<const N: usize>(names: [&'static str; N], counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    names.iter().map(|name| ((*name).to_owned(), counts.get(*name).copied().unwrap_or(0))).collect()
}

pub async fn violation(site: &Site, id: &str) -> Result<ViolationView, LoadError> {
    let missing = || LoadError::Missing { what: "violation", id: id.to_owned() };
    let row = site.store.violation(id).await?.ok_or_else(missing)?;
    let same_object =
        ViolationFilter { object: Some(row.violation.object.clone()), ..ViolationFilter::default() };
    let beside = site.store.violations(&same_object, None, BESIDE + 1).await?.rows;
    let beside = beside.into_iter().filter(|other| other.violation.id != id).map(item);
    let rule = rules::find(site, &row.violation.rule).await?;
    let beside: Vec<ViolationItem> = beside.collect();
    let mut requests = super::nearest_requests(site, &beside).await?;
    let considered =
        row.violation.verdict.iter().flat_map(|v| v.considered.iter().map(|c| c.request.clone()));
    requests.extend(super::requests_among(site, considered.collect()).await?);
    let (judgements, disputes) = judgements::of_violation(site, &row.violation).await?;
    let evidence = match site.is_foreign() {
        true if row.violation.rule == SECOND_JUDGEMENT_RULE => {
            let round = row.violation.first_seen.round;
            judgement_evidence(site, &JudgementRecord::summary_id(&site.origin, round)).await?
        }
        true => judgement_evidence(site, &JudgementRecord::violation_id(id)).await?,
        false => evidence(site, "violation", id, id.to_owned()).await?,
    };
    Ok(ViolationView {
        rule_description: rule.and_then(|rule| rule.description),
        evidence,
        judgements,
        disputes,
        history: history(site, &row.violation).await?,
        beside,
        requests,
        item: item(row),
    })
}

/// From first sight on; what rounds did to it they noted themselves.
async fn history(site: &Site, violation: &model::Violation) -> Result<Vec<HistoryEntry>, LoadError> {
    let first = HistoryEntry {
        at: violation.first_seen.read,
        verb: "seen".into(),
        by: None,
        detail: None,
        reason: String::new(),
        round: Some(violation.first_seen.round),
    };
    let mut entries = vec![first];
    for row in site.store.actions_on(&violation.id).await? {
        let resolved = row.after == ViolationState::Resolved && row.before != ViolationState::Resolved;
        let verb = if resolved { "resolved" } else { row.action.verb.name() };
        let (round, by, detail) = match &row.action.verb {
            Verb::Round { round } => (Some(*round), None, None),
            Verb::Assign { to } => (None, Some(row.action.by), Some(to.clone())),
            Verb::Waive { waiver } => (None, Some(row.action.by), Some(clock(waiver.expires))),
            _ => (None, Some(row.action.by), None),
        };
        let (at, reason, verb) = (row.action.at, row.action.reason, verb.to_owned());
        entries.push(HistoryEntry { at, verb, by, detail, reason, round });
    }
    let noted = entries.iter().any(|entry| entry.verb == "resolved");
    if let (false, Some(resolved)) = (noted, &violation.resolved) {
        entries.push(HistoryEntry {
            at: resolved.read,
            verb: "resolved".into(),
            by: None,
            detail: None,
            reason: String::new(),
            round: Some(resolved.round),
        });
    }
    Ok(entries)
}
