//! Change requests: what was asked, who approved, what was seen of it.

use anchor::transaction::ProposalKind;
use model::change::Window;
use store::{RequestFilter, RequestRow, ViolationFilter};

use super::{LoadError, approvals, at, evidence, item};
use crate::web::site::Site;
use crate::web::view::{ChangeItem, ChangeView, ExpectedEditView, ViolationItem};

/// Violations looked through for those that were weighed against a request.
const WEIGHED: u32 = 100;

pub async fn changes(site: &Site) -> Result<Vec<ChangeItem>, LoadError> {
    let rows = site.main.requests(&RequestFilter::default()).await?;
    Ok(rows.iter().map(change_item).collect())
}

pub async fn change(site: &Site, id: &str) -> Result<ChangeView, LoadError> {
    let only = RequestFilter { ids: vec![id.to_owned()], ..RequestFilter::default() };
    let missing = || LoadError::Missing { what: "change request", id: id.to_owned() };
    let row = site.main.requests(&only).await?.into_iter().next().ok_or_else(missing)?;
    let item = change_item(&row);
    let (subject, request) = (&row.subject, row.request.as_ref());
    let observed = |object: &model::Dn, attribute: &str| {
        row.observed.iter().find(|o| o.object == *object && o.attribute == attribute).map(|o| o.round)
    };
    let expected = request.map_or(&[][..], |r| &r.edits).iter().map(|edit| ExpectedEditView {
        object: edit.object.clone(),
        attribute: edit.attribute.clone(),
        old: edit.old.clone(),
        new: edit.new.clone(),
        observed: observed(&edit.object, &edit.attribute),
    });
    let violations = weighed(site, id).await?;
    Ok(ChangeView {
        agreement: subject.agreement.clone(),
        agreement_version: subject.agreement_version,
        has_body: request.is_some(),
        scope: request.map(|r| r.scope.to_string()),
        rollback: request.is_some_and(|r| r.rollback),
        approvals: approvals(subject),
        expected: expected.collect(),
        baseline_objects: request.map_or(0, |r| r.baseline.len()),
        statement: subject.statement.to_string(),
        body: subject.body.map(|hash| hash.to_string()),
        transaction: subject.transaction.to_string(),
        evidence: evidence(site, "change", id, id.to_owned()).await?,
        requests: super::nearest_requests(site, &violations).await?,
        violations,
        item,
    })
}

fn change_item(row: &RequestRow) -> ChangeItem {
    let (subject, request) = (&row.subject, row.request.as_ref());
    let terms = subject.request.as_ref();
    let edits = request.map_or(0, |r| r.edits.len());
    let observed = request.map_or(0, |r| {
        let seen = |e: &&model::change::ExpectedEdit| {
            row.observed.iter().any(|o| o.object == e.object && o.attribute == e.attribute)
        };
        r.edits.iter().filter(seen).count()
    });
    ChangeItem {
        id: subject.subject.id.clone(),
        title: request.map_or_else(String::new, |r| r.title.clone()),
        ticket: request.map_or_else(String::new, |r| r.ticket.clone()),
        kind: terms.map_or("change", |t| kind(t.kind)).to_owned(),
        proposer: subject.proposer.clone(),
        standing: subject.standing(),
        progress: row.progress,
        window: terms.map(|t| Window { from: t.window_from, to: t.window_to }),
        edits,
        observed,
        proposed: at(subject.proposed),
    }
}

fn kind(kind: ProposalKind) -> &'static str {
    match kind {
        ProposalKind::Change => "change",
        ProposalKind::Baseline => "baseline",
        ProposalKind::Upgrade => "upgrade",
        ProposalKind::Swap => "swap",
        ProposalKind::Emergency => "emergency",
    }
}

/// Violations whose verdict names the request.
async fn weighed(site: &Site, id: &str) -> Result<Vec<ViolationItem>, LoadError> {
    let mentions = ViolationFilter { text: Some(id.to_owned()), ..ViolationFilter::default() };
    let page = site.store.violations(&mentions, None, WEIGHED).await?;
    let named = page.rows.into_iter().filter(|row| {
        row.violation.verdict.as_ref().is_some_and(|verdict| {
            verdict.request.as_deref() == Some(id) || verdict.considered.iter().any(|c| c.request == id)
        })
    });
    Ok(named.map(item).collect())
}
