//! What the pages show and the API answers: plain data, without a word of either language.

use std::collections::BTreeSet;

use model::change::{Progress, Standing, Window};
use model::verdict::Text;
use model::violation::{RuleOutcome, Violation, ViolationState};
use model::{Accounting, Dn, Operation, Outcome, Timestamp, Value};
use serde::Serialize;

use super::filter::{FACETS, Facet, Filter};

/// The block in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct At {
    pub height: u64,
    pub time: Timestamp,
}

/// One violation in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViolationItem {
    #[serde(flatten)]
    pub violation: Violation,
    /// Null for rules written in CEL.
    pub authorisation: Option<&'static str>,
    pub assignee: Option<String>,
}

impl ViolationItem {
    pub fn new(violation: Violation, assignee: Option<String>) -> ViolationItem {
        let authorisation = violation.verdict.as_ref().map(|v| v.authorisation.as_str());
        ViolationItem { violation, authorisation, assignee }
    }

    pub fn is_open(&self) -> bool {
        self.violation.state == ViolationState::Open
    }

    pub fn is_resolved(&self) -> bool {
        self.violation.state == ViolationState::Resolved
    }

    /// Its rule could not be evaluated.
    pub fn is_indeterminate(&self) -> bool {
        self.violation.outcome == RuleOutcome::Indeterminate
    }
}

/// One value of a facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetOption {
    pub value: String,
    pub count: u64,
    pub chosen: bool,
    /// Chooses it; frees the facet if it is chosen.
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetView {
    pub facet: Facet,
    pub options: Vec<FacetOption>,
}

/// `/violations`
#[derive(Debug, Clone, PartialEq)]
pub struct ViolationsView {
    pub filter: Filter,
    pub facets: Vec<FacetView>,
    pub total: u64,
    pub rows: Vec<ViolationItem>,
    /// Address of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later_page: bool,
    /// What the last finished round looked at, so that an empty list can say what it means.
    pub last_round: Option<RoundItem>,
}

impl ViolationsView {
    /// What the search form must carry along so that searching keeps the filter.
    pub fn hidden(&self) -> Vec<(&'static str, String)> {
        FACETS.iter().filter_map(|f| Some((f.as_str(), self.filter.value(*f)?))).collect()
    }

    /// What narrows the list: name, value, and the address without it.
    pub fn chips(&self) -> Vec<(&'static str, String, String)> {
        let facets = FACETS.iter().filter_map(|f| {
            let value = self.filter.value(*f)?;
            Some((f.as_str(), value, self.filter.address_with(*f, None)))
        });
        let text = self.filter.text.clone().map(|text| {
            let without = Filter { text: None, ..self.filter.clone() };
            ("q", text, without.address(None))
        });
        facets.chain(text).collect()
    }
}

/// `/violations/{id}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViolationView {
    #[serde(flatten)]
    pub item: ViolationItem,
    /// What the rule says, as far as the policy set in force knows it.
    pub rule_description: Option<Text>,
    pub evidence: Evidence,
    /// What became of it, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Other violations on the same object.
    pub beside: Vec<ViolationItem>,
    /// Which of the names considered are requests with a page; the others are standing permissions.
    #[serde(skip)]
    pub requests: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryEntry {
    pub at: Timestamp,
    /// `acknowledge`, `assign`, `waive`, `resolve`, `comment`, `seen`.
    pub verb: String,
    pub by: Option<String>,
    /// To whom it was assigned, or until when it was waived.
    pub detail: Option<String>,
    pub reason: String,
    pub round: Option<u64>,
}

/// What a peer could check of a record, and where it stands on the way there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Position of its leaf in this operator's log.
    pub leaf: Option<u64>,
    /// The anchored log that holds it: its size, and when the chain accepted that.
    pub anchored_size: Option<u64>,
    pub anchored: Option<At>,
    /// Name under which the bundle is asked for, once its leaf is anchored.
    pub bundle: Option<String>,
}

impl Evidence {
    pub fn is_anchored(&self) -> bool {
        self.anchored_size.is_some()
    }
}

/// One change request in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeItem {
    pub id: String,
    /// Empty while the body is not here.
    pub title: String,
    pub ticket: String,
    pub kind: String,
    pub proposer: String,
    #[serde(flatten)]
    pub standing: Standing,
    /// Null until a round has looked at it.
    pub progress: Option<Progress>,
    pub window: Option<Window>,
    pub edits: usize,
    pub observed: usize,
    pub proposed: At,
}

/// `/changes/{id}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeView {
    #[serde(flatten)]
    pub item: ChangeItem,
    pub agreement: String,
    pub agreement_version: u32,
    /// Whether the body is here; without it edits cannot be shown.
    pub has_body: bool,
    pub scope: Option<String>,
    pub rollback: bool,
    pub approvals: Vec<ApprovalView>,
    pub expected: Vec<ExpectedEditView>,
    /// Objects of a baseline.
    pub baseline_objects: usize,
    pub statement: String,
    pub body: Option<String>,
    pub transaction: String,
    pub evidence: Evidence,
    /// Violations whose verdict names this request.
    pub violations: Vec<ViolationItem>,
}

/// One required member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalView {
    pub member: String,
    /// `approve`, `reject`, or null while it is missing.
    pub decision: Option<String>,
    pub at: Option<At>,
    /// A decision that was not asked for.
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpectedEditView {
    pub object: Dn,
    pub attribute: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
    /// The round that saw it carried out.
    pub observed: Option<u64>,
}

/// One round in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundItem {
    pub round: u64,
    /// Height of the opening; null for a round without one.
    pub opened: Option<u64>,
    pub started: Timestamp,
    pub finished: Option<Timestamp>,
    #[serde(flatten)]
    pub accounting: Accounting,
    pub balances: bool,
    pub changes: Changes,
    pub violations_opened: u64,
    pub violations_resolved: u64,
    pub attested: Option<u64>,
    /// Stations that were not read.
    pub failures: Vec<FailureView>,
}

impl RoundItem {
    /// Its share of the expected stations, in thousandths, for `collected`, `unchanged`, `failed`, `skipped`.
    pub fn shares(&self) -> [u64; 4] {
        let a = &self.accounting;
        let share = |n: u64| n.saturating_mul(1000) / a.expected.max(1);
        [share(a.collected), share(a.unchanged), share(a.failed), share(a.skipped)]
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub observed: u64,
    pub authorised: u64,
    pub unauthorised: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureView {
    pub element: Dn,
    pub reason: String,
    pub detail: String,
}

/// `/rounds/{n}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundView {
    #[serde(flatten)]
    pub item: RoundItem,
    pub opening: Option<At>,
    pub attestation: Option<At>,
    pub late: bool,
    pub missed: Option<At>,
    pub deadline: Option<Timestamp>,
    pub stations: Vec<StationResultView>,
    /// Differences previous → current.
    pub differences: Vec<DifferenceView>,
    pub opened_violations: Vec<ViolationItem>,
    pub resolved_violations: Vec<ViolationItem>,
    pub pins: Vec<PinView>,
    pub evidence: Evidence,
    /// Whether there is a round after this one.
    pub next: bool,
    /// Which of the names that differences rest on are requests with a page.
    #[serde(skip)]
    pub requests: BTreeSet<String>,
}

impl RoundView {
    /// Stations and differences that a page shows; the API has them all.
    pub fn shown(&self) -> usize {
        400
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StationResultView {
    pub element: Dn,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub read: Timestamp,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifferenceView {
    pub object: Dn,
    pub attribute: String,
    pub operation: Operation,
    pub old: Option<Value>,
    pub new: Option<Value>,
    pub authorisation: Option<&'static str>,
    pub request: Option<String>,
}

impl StationResultView {
    pub fn detail(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Failed { detail, .. } if !detail.is_empty() => Some(detail),
            _ => None,
        }
    }
}

/// What a round was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinView {
    /// `agreement`, `policy-set`, `inventory`, `profile`.
    pub subject: &'static str,
    pub hash: String,
}

/// `/api/v1/stations`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StationView {
    pub element: Dn,
    pub last_round: Option<u64>,
    pub last_outcome: Option<String>,
    pub failed_in_a_row: u64,
    /// The round and time of the last complete read.
    pub read_round: Option<u64>,
    pub read: Option<Timestamp>,
}

/// `/chain`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainView {
    pub status: ChainStatus,
    /// Newest first.
    pub blocks: Vec<BlockView>,
    /// Leaves in this operator's anchored log, and those that wait.
    pub log_size: u64,
    pub log_waiting: u64,
    pub anchored: Option<At>,
    pub anchored_root: Option<String>,
    /// Agreement, policy sets and inventories, newest versions, in force or not.
    pub registered: Vec<RegisteredView>,
}

/// What the chain node itself says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainStatus {
    pub chain_id: String,
    pub genesis: String,
    pub rules_version: u32,
    pub engine: String,
    pub height: u64,
    pub time: Timestamp,
    pub header: String,
    /// Whether this node votes; one that lost its history abstains at first.
    pub votes: bool,
    /// Why the node has stopped.
    pub stopped: Option<String>,
    pub pending: usize,
    pub validators: Vec<ValidatorView>,
    pub members: Vec<MemberView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValidatorView {
    pub key: String,
    pub power: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberView {
    pub id: String,
    pub name: String,
    /// `operator`, `tower`, `witness`.
    pub role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockView {
    pub height: u64,
    pub time: Timestamp,
    pub header: String,
    pub transactions: u64,
    /// Names of the actions in it, with how often.
    pub actions: Vec<(String, u64)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegisteredView {
    /// `agreement`, `policy-set`, `inventory`.
    pub kind: &'static str,
    pub id: String,
    pub version: u32,
    pub body: Option<String>,
    #[serde(flatten)]
    pub standing: Standing,
    pub in_force: bool,
    pub approvals: Vec<ApprovalView>,
}

/// `/rules/{name}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleView {
    pub name: String,
    pub description: Option<Text>,
    pub severity: Option<String>,
    pub scope: Option<String>,
    pub expression: Option<String>,
    /// The built-in rule that compares with what was approved.
    pub is_authorisation: bool,
    pub unresolved: u64,
}

impl RuleView {
    /// All judgements in the order in which they are tried.
    pub fn authorisations(&self) -> &'static [&'static str] {
        crate::metrics::AUTHORISATIONS
    }
}
