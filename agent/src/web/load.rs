//! From what the store holds to what the pages show. Every question here is a read; nothing is decided.

mod chain;
mod changes;
mod rounds;
mod rules;
mod violations;

pub use chain::{chain, readings, stations};
pub use changes::{change, changes};
pub use rounds::{last_round, round, rounds};
pub use rules::rule;
pub use violations::{violation, violations};

use std::collections::BTreeSet;

use anyhow::Result;
use store::{DecisionRow, Moment, RequestFilter, SubjectRow, ViolationRow};

use super::site::Site;
use super::view::{ApprovalView, At, Evidence, ViolationItem};

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
    Ok(site.store.requests(&filter).await?.into_iter().map(|row| row.subject.subject.id).collect())
}

/// Checkpoints looked through for the one that first held a leaf.
const CHECKPOINTS: u32 = 200;

/// Where the record of `subject` stands; `bundle` is the name under which its bundle is asked for.
async fn evidence(site: &Site, kind: &str, subject: &str, bundle: String) -> Result<Evidence> {
    let Some(leaf) = site.store.leaf_of(kind, subject).await? else { return Ok(Evidence::default()) };
    let state = site.store.log_state().await?;
    if leaf.index >= state.size {
        return Ok(Evidence { leaf: Some(leaf.index), ..Evidence::default() });
    }
    let anchors = site.store.chain_anchors(&site.operator, CHECKPOINTS).await?;
    let first = anchors.iter().filter(|anchor| anchor.size > leaf.index).min_by_key(|anchor| anchor.size);
    Ok(Evidence {
        leaf: Some(leaf.index),
        anchored_size: Some(first.map_or(state.size, |anchor| anchor.size)),
        anchored: first.map(|anchor| at(anchor.at)),
        bundle: Some(bundle),
    })
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
