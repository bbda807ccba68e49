//! What the pages show and the API answers: plain data, without a word of either language.

use std::collections::{BTreeMap, BTreeSet};

use anchor::judgement::JudgementCounts;
use model::change::{Progress, Standing, Window};
use model::verdict::{Severity, Text};
use model::violation::{RuleOutcome, SECOND_JUDGEMENT_RULE, Violation, ViolationState};
use model::{Accounting, Dn, Operation, Outcome, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::filter::{FACETS, Facet, Filter};
pub use crate::federation::At;
use crate::federation::{DisputeView, Federation};

/// One violation in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViolationItem {
    #[serde(flatten)]
    pub violation: Violation,
    /// Null for rules written in CEL.
    pub authorisation: Option<&'static str>,
    pub assignee: Option<String>,
    /// The request or standing permission that came nearest.
    pub nearest: Option<String>,
}

impl ViolationItem {
    pub fn new(violation: Violation, assignee: Option<String>) -> ViolationItem {
        let authorisation = violation.verdict.as_ref().map(|v| v.authorisation.as_str());
        let nearest = violation.verdict.as_ref().and_then(|verdict| {
            let first = verdict.considered.first().map(|considered| &considered.request);
            verdict.request.as_ref().or(first).cloned()
        });
        ViolationItem { violation, authorisation, assignee, nearest }
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

/// What the judge and the rules say of one attribute of one object: one line of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ViolationGroup<'a> {
    /// The difference from what was approved, else the first rule's violation.
    pub head: &'a ViolationItem,
    /// Rules that the same value breaks.
    pub rules: Vec<&'a ViolationItem>,
}

impl<'a> ViolationGroup<'a> {
    /// In the order of `rows`, each group where its first member stands.
    pub fn of(rows: &'a [ViolationItem]) -> Vec<ViolationGroup<'a>> {
        let mut groups: Vec<ViolationGroup<'a>> = Vec::new();
        let mut places: BTreeMap<(&Dn, &str), Vec<usize>> = BTreeMap::new();
        for item in rows {
            let v = &item.violation;
            let open = places.entry((&v.object, &v.attribute)).or_default();
            // Two differences of one attribute, an old one and a new one, are two lines.
            let fits = open.iter().copied().find(|n| groups[*n].takes(item));
            match fits {
                Some(n) => groups[n].add(item),
                None => {
                    open.push(groups.len());
                    groups.push(ViolationGroup { head: item, rules: vec![] });
                }
            }
        }
        groups
    }

    fn takes(&self, item: &ViolationItem) -> bool {
        let members = || std::iter::once(self.head).chain(self.rules.iter().copied());
        let (v, head) = (&item.violation, &self.head.violation);
        let both_over = item.is_resolved() == self.head.is_resolved();
        both_over && v.new == head.new && members().all(|member| member.violation.rule != v.rule)
    }

    fn add(&mut self, item: &'a ViolationItem) {
        if item.authorisation.is_some() {
            let rule = std::mem::replace(&mut self.head, item);
            self.rules.insert(0, rule);
        } else {
            self.rules.push(item);
        }
    }

    /// The gravest of its members'.
    pub fn severity(&self) -> Severity {
        let others = self.rules.iter().map(|item| item.violation.severity);
        others.fold(self.head.violation.severity, Ord::max)
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
    /// Which of the nearest names are requests with a page.
    pub requests: BTreeSet<String>,
}

impl ViolationsView {
    /// What the search form must carry along so that searching keeps the filter.
    pub fn hidden(&self) -> Vec<(&'static str, String)> {
        let origin = self.filter.origin.clone().map(|origin| ("origin", origin));
        let facets = FACETS.iter().filter_map(|f| Some((f.as_str(), self.filter.value(*f)?)));
        origin.into_iter().chain(facets).collect()
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
    /// What this agent and each peer found of it, the origin first.
    pub judgements: Vec<JudgementView>,
    /// Disputes that rest on one of these judgements.
    pub disputes: Vec<DisputeView>,
    /// What became of it, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Other violations on the same object.
    pub beside: Vec<ViolationItem>,
    /// Which of the names considered are requests with a page; the others are standing permissions.
    #[serde(skip)]
    pub requests: BTreeSet<String>,
}

/// One member's word on a violation or on a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgementView {
    pub judge: String,
    /// It collected the values and judged first.
    pub origin: bool,
    /// Whether it is this agent.
    pub own: bool,
    /// `same`, `differs`, `missing`, `extra`, `unjudged`; null for the origin, and for a judge that is not done.
    pub verdict: Option<String>,
    /// The authorisation it found; null where it found none to judge, and for a rule written in CEL.
    pub authorisation: Option<String>,
    pub why: String,
    /// Leaf of its judgement in its own log.
    pub leaf: Option<u64>,
    /// In a round's summary: values changed, opened to the judge, not opened, not disclosed; verdicts that are the
    /// same, and those that are not.
    pub counts: Option<JudgementCounts>,
}

impl JudgementView {
    /// Whether it followed the origin; nothing while it is not done.
    pub fn agrees(&self) -> Option<bool> {
        self.verdict.as_deref().map(|verdict| verdict == "same")
    }
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
    /// Whoever cosigned a checkpoint that covers the leaf, with the newest one's size.
    pub cosigned: Vec<CosignedView>,
    /// What is in this operator's log is its judgement of what another one disclosed, not the record itself.
    pub of_judgement: bool,
}

/// A member's newest cosignature over a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CosignedView {
    pub member: String,
    pub size: u64,
    pub time: Timestamp,
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
    /// Which of the names nearest to them are requests with a page.
    #[serde(skip)]
    pub requests: BTreeSet<String>,
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
    /// What was noticed of the configurations that the round read; bounded.
    pub findings: Vec<FindingView>,
    pub pins: Vec<PinView>,
    pub evidence: Evidence,
    /// What each judge found in the whole round.
    pub judgements: Vec<JudgementView>,
    pub disputes: Vec<DisputeView>,
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

/// Something noticed of a station's configuration, which is judged all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    pub element: Dn,
    /// Stable code such as `not-validated`.
    pub code: String,
    /// A DN, a path of a schema, a module, or a byte offset.
    pub place: String,
    pub message: String,
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
    /// All members' logs, this operator's first.
    pub logs: Vec<LogView>,
    /// For each dispute the violation that it is about, where the judgement is known here.
    pub disputed: BTreeMap<String, String>,
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
    /// Why the node has stopped.
    pub stopped: Option<String>,
    pub pending: usize,
    pub members: Vec<MemberView>,
    #[serde(flatten)]
    pub federation: Federation,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    pub id: String,
    pub name: String,
}

/// One member's log, as the chain and this agent know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    pub origin: String,
    /// Leaves of the newest checkpoint on the chain.
    pub size: u64,
    pub anchored: Option<At>,
    /// Leaves that this agent holds and checked; null for its own log.
    pub mirrored: Option<u64>,
    /// By member, newest cosignature known here.
    pub cosigned: Vec<CosignedView>,
    /// Where it told another story than the anchored one, newest first.
    pub forks: Vec<ForkView>,
}

impl LogView {
    /// Anchored leaves that are not mirrored here yet.
    pub fn lag(&self) -> u64 {
        self.mirrored.map_or(0, |mirrored| self.size.saturating_sub(mirrored))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkView {
    pub size: u64,
    /// `notes`, `prefix`, `leaves`.
    pub kind: String,
    pub seen: Timestamp,
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
    /// The built-in rule for what a second judgement could not follow.
    pub fn is_second(&self) -> bool {
        self.name == SECOND_JUDGEMENT_RULE
    }

    /// All judgements in the order in which they are tried.
    pub fn authorisations(&self) -> &'static [&'static str] {
        crate::metrics::AUTHORISATIONS
    }
}
