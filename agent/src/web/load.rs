//! From what the store holds to what the pages show. Every question here is a read; nothing is decided.

mod chain;
mod changes;
mod judgements;
mod rounds;
mod rules;
mod violations;

pub use chain::{chain, logs, readings, stations};
pub use changes::{change, changes};
pub use rounds::{findings, last_round, round, rounds};
pub use rules::rule;
pub use violations::{Slice, violation, violations};

use std::collections::BTreeSet;
use std::sync::Arc;

use anchor::transaction::SubjectKind;
use anyhow::Result;
use store::{CosignatureRow, DecisionRow, Moment, RequestFilter, SubjectRow, ViolationRow};

use super::site::Site;
use super::units::Units;
use super::view::{ApprovalView, At, CosignedView, Evidence, ViolationItem};

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The question names what cannot be.
    #[error("{0}")]
    Bad(String),
    #[error("there is no {what} `{id}`; hint: see the list")]
    Missing { what: &'static str, id: String },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<store::StoreError> for LoadError {
    fn from(error: store::StoreError) -> LoadError {
        LoadError::Failed(error.into())
    }
}

fn at(moment: Moment) -> At {
    At { height: moment.height, time: moment.time }
}

fn item(row: ViolationRow) -> ViolationItem {
    ViolationItem::new(row.violation, row.assignee)
}

/// Which of these names are change requests: a verdict may rest on a standing permission as well.
async fn requests_among(site: &Site, names: BTreeSet<String>) -> Result<BTreeSet<String>, LoadError> {
    if names.is_empty() {
        return Ok(names);
    }
    let filter = RequestFilter { ids: names.into_iter().collect(), ..RequestFilter::default() };
    Ok(site.main.requests(&filter).await?.into_iter().map(|row| row.subject.subject.id).collect())
}

/// Which of the names nearest to these violations are change requests.
async fn nearest_requests(site: &Site, rows: &[ViolationItem]) -> Result<BTreeSet<String>, LoadError> {
    requests_among(site, rows.iter().filter_map(|item| item.nearest.clone()).collect()).await
}

/// The units of the newest agreement that all approved; none while there is none.
pub async fn units(site: &Site) -> Result<Arc<Units>, LoadError> {
    let versions = site.main.subjects(SubjectKind::Agreement).await?;
    let in_force = versions.iter().filter(|row| row.subject.id == *site.agreement);
    let in_force = in_force.filter(|row| row.finalized.is_some() && row.withdrawn.is_none());
    let Some(hash) = in_force.max_by_key(|row| row.subject.version).and_then(|row| row.body) else {
        return Ok(Arc::default());
    };
    if let Some(units) = site.units.get(&hash) {
        return Ok(units);
    }
    let Some(body) = site.main.body(&hash).await? else { return Ok(Arc::default()) };
    let agreement = serde_json::from_slice(&body.bytes)
        .map_err(|e| anyhow::anyhow!("the agreement's body {hash} is not understood: {e}"))?;
    let units = Arc::new(Units::of(agreement));
    site.units.put(hash, Arc::clone(&units));
    Ok(units)
}

/// Checkpoints looked through for the one that first held a leaf.
const CHECKPOINTS: u32 = 200;

/// Where the record of `subject` stands; `bundle` is the name under which its bundle is asked for.
async fn evidence(site: &Site, kind: &str, subject: &str, bundle: String) -> Result<Evidence> {
    let Some(leaf) = site.main.leaf_of(kind, subject).await? else { return Ok(Evidence::default()) };
    let state = site.main.log_state().await?;
    if leaf.index >= state.size {
        return Ok(Evidence { leaf: Some(leaf.index), ..Evidence::default() });
    }
    let anchors = site.main.chain_anchors(&site.operator, CHECKPOINTS).await?;
    let first = anchors.iter().filter(|anchor| anchor.size > leaf.index).min_by_key(|anchor| anchor.size);
    Ok(Evidence {
        leaf: Some(leaf.index),
        anchored_size: Some(first.map_or(state.size, |anchor| anchor.size)),
        anchored: first.map(|anchor| at(anchor.at)),
        bundle: Some(bundle),
        cosigned: cosigned(site, &site.operator, leaf.index).await?,
        of_judgement: false,
    })
}

/// Evidence about another origin's violation or round: the leaf of this agent's own judgement. The record itself, and
/// its bundle, are with that origin.
async fn judgement_evidence(site: &Site, id: &str) -> Result<Evidence> {
    let evidence = evidence(site, store::judgements::JUDGEMENT, id, String::new()).await?;
    Ok(Evidence { bundle: None, of_judgement: true, ..evidence })
}

/// Members' newest cosignatures over a log that are larger than `leaf`, by member.
async fn cosigned(site: &Site, origin: &str, leaf: u64) -> Result<Vec<CosignedView>> {
    let rows = site.main.cosignatures(origin).await?.into_iter().filter(|row| row.size > leaf);
    let view = |row: CosignatureRow| CosignedView { member: row.member, size: row.size, time: row.time };
    let mut views: Vec<CosignedView> = rows.map(view).collect();
    let own = site.main.vouched(origin).await?.filter(|own| own.size > leaf);
    if let (Some(own), false) = (own, views.iter().any(|view| *view.member == *site.operator)) {
        views.push(CosignedView { member: site.operator.to_string(), size: own.size, time: own.signed });
    }
    views.sort_by(|a, b| a.member.cmp(&b.member));
    Ok(views)
}

/// The required members in their order, then whoever else decided.
fn approvals(subject: &SubjectRow) -> Vec<ApprovalView> {
    let view = |member: &str, decision: Option<&DecisionRow>, required| ApprovalView {
        member: member.to_owned(),
        decision: decision.map(|d| match d.decision {
            anchor::transaction::Decision::Approve => "approve".to_owned(),
            anchor::transaction::Decision::Reject => "reject".to_owned(),
        }),
        at: decision.map(|d| at(d.at)),
        required,
    };
    let decided = |member: &str| subject.decisions.iter().find(|d| d.member == member);
    let others = subject.decisions.iter().filter(|d| !subject.required.contains(&d.member));
    let required = subject.required.iter().map(|member| view(member, decided(member), true));
    required.chain(others.map(|d| view(&d.member, Some(d), false))).collect()
}
