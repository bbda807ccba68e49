//! The pages: a frame, what they show, and the template that says how.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use super::frame::Frame;
use super::view::{
    ApprovalView, ChainStatus, ChainView, ChangeItem, ChangeView, CosignedView, Evidence, JudgementView,
    RoundItem, RoundView, RuleView, ViolationGroup, ViolationItem, ViolationView, ViolationsView,
};
use crate::federation::{DisputeView, Trouble};

#[derive(Debug, Template)]
#[template(path = "violations.html")]
pub struct ViolationsPage<'a> {
    pub f: &'a Frame,
    pub view: &'a ViolationsView,
}

#[derive(Debug, Template)]
#[template(path = "violation.html")]
pub struct ViolationPage<'a> {
    pub f: &'a Frame,
    pub view: &'a ViolationView,
}

#[derive(Debug, Template)]
#[template(path = "changes.html")]
pub struct ChangesPage<'a> {
    pub f: &'a Frame,
    pub rows: &'a [ChangeItem],
}

#[derive(Debug, Template)]
#[template(path = "change.html")]
pub struct ChangePage<'a> {
    pub f: &'a Frame,
    pub view: &'a ChangeView,
}

#[derive(Debug, Template)]
#[template(path = "rounds.html")]
pub struct RoundsPage<'a> {
    pub f: &'a Frame,
    pub rows: &'a [RoundItem],
    /// The round to continue before, on the next page.
    pub next: Option<u64>,
}

#[derive(Debug, Template)]
#[template(path = "round.html")]
pub struct RoundPage<'a> {
    pub f: &'a Frame,
    pub view: &'a RoundView,
}

#[derive(Debug, Template)]
#[template(path = "chain.html")]
pub struct ChainPage<'a> {
    pub f: &'a Frame,
    pub view: &'a ChainView,
}

#[derive(Debug, Template)]
#[template(path = "rule.html")]
pub struct RulePage<'a> {
    pub f: &'a Frame,
    pub view: &'a RuleView,
}

/// Where a person says who they are.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage<'a> {
    pub f: &'a Frame,
    /// Where to go on afterwards.
    pub back: &'a str,
    /// Why the last attempt failed.
    pub fault: Option<&'a str>,
}

/// Something is not there, or could not be done.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage<'a> {
    pub f: &'a Frame,
    pub title: &'a str,
    pub message: &'a str,
}

/// A table of violations, as several pages show it.
#[derive(Debug, Template)]
#[template(path = "parts/violations.html")]
pub struct ViolationTable<'a> {
    f: &'a Frame,
    groups: Vec<ViolationGroup<'a>>,
    requests: &'a BTreeSet<String>,
    caption: &'a str,
    /// Without the columns that the page around it says.
    brief: bool,
}

/// All lines of a difference.
#[derive(Debug, Template)]
#[template(path = "parts/comparison.html")]
pub struct ComparisonTable<'a> {
    f: &'a Frame,
    comparison: &'a super::compare::Comparison,
    old_title: &'static str,
}

/// What a person may do about a violation.
#[derive(Debug, Template)]
#[template(path = "parts/acting.html")]
pub struct Acting<'a> {
    f: &'a Frame,
    item: &'a ViolationItem,
}

/// Whose stations a list shows, and whose it could.
#[derive(Debug, Template)]
#[template(path = "parts/seats.html")]
pub struct Switch<'a> {
    f: &'a Frame,
    path: &'static str,
}

/// Why people should look at the chain.
#[derive(Debug, Template)]
#[template(path = "parts/troubles.html")]
pub struct Troubles<'a> {
    f: &'a Frame,
    status: &'a ChainStatus,
}

/// Who cosigned a log up to where; done are those that cover `size`.
#[derive(Debug, Template)]
#[template(path = "parts/cosigned.html")]
pub struct Cosigned<'a> {
    f: &'a Frame,
    rows: &'a [CosignedView],
    size: u64,
}

/// Disputes, with the violations they are about where these are known.
#[derive(Debug, Template)]
#[template(path = "parts/disputes.html")]
pub struct Disputes<'a> {
    f: &'a Frame,
    rows: &'a [DisputeView],
    violations: &'a BTreeMap<String, String>,
}

impl Disputes<'_> {
    fn violation(&self, dispute: &DisputeView) -> Option<&String> {
        self.violations.get(&dispute.id).filter(|_| self.f.knows(&dispute.origin))
    }
}

/// What each member's agent found, side by side; nothing while there is but one.
#[derive(Debug, Template)]
#[template(path = "parts/judgements.html")]
pub struct Judgements<'a> {
    f: &'a Frame,
    rows: &'a [JudgementView],
    disputes: &'a [DisputeView],
    /// The page around it is about the violation already.
    none: &'static BTreeMap<String, String>,
}

impl Judgements<'_> {
    /// Whether anybody but the origin is to judge.
    fn has_seconds(&self) -> bool {
        self.rows.iter().any(|row| !row.origin)
    }
}

/// Disputes on the page of what they are about need no link to it.
static NO_LINKS: BTreeMap<String, String> = BTreeMap::new();

/// Where a record stands on its way to a peer, and how to check it.
#[derive(Debug, Template)]
#[template(path = "parts/evidence.html")]
pub struct EvidencePanel<'a> {
    f: &'a Frame,
    evidence: &'a Evidence,
    boundary: String,
}

/// expected = collected + unchanged + failed + skipped, as figures and as a bar.
#[derive(Debug, Template)]
#[template(path = "parts/balance.html")]
pub struct Balance<'a> {
    f: &'a Frame,
    round: &'a RoundItem,
    /// Outcome, where its piece of the bar begins and how wide it is, in thousandths.
    pieces: Vec<(&'static str, u64, u64)>,
}

/// Who approved, and who is missing.
#[derive(Debug, Template)]
#[template(path = "parts/approvals.html")]
pub struct Approvals<'a> {
    f: &'a Frame,
    approvals: &'a [ApprovalView],
}

impl askama::filters::HtmlSafe for ViolationTable<'_> {}
impl askama::filters::HtmlSafe for ComparisonTable<'_> {}
impl askama::filters::HtmlSafe for EvidencePanel<'_> {}
impl askama::filters::HtmlSafe for Acting<'_> {}
impl askama::filters::HtmlSafe for Troubles<'_> {}
impl askama::filters::HtmlSafe for Cosigned<'_> {}
impl askama::filters::HtmlSafe for Disputes<'_> {}
impl askama::filters::HtmlSafe for Judgements<'_> {}
impl askama::filters::HtmlSafe for Switch<'_> {}
impl askama::filters::HtmlSafe for Balance<'_> {}
impl askama::filters::HtmlSafe for Approvals<'_> {}

impl Frame {
    /// `requests`: which of the names nearest to the rows are requests with a page.
    pub fn violations<'a>(
        &'a self,
        rows: &'a [ViolationItem],
        requests: &'a BTreeSet<String>,
        caption: &'a str,
    ) -> ViolationTable<'a> {
        ViolationTable { f: self, groups: ViolationGroup::of(rows), requests, caption, brief: false }
    }

    pub fn brief<'a>(
        &'a self,
        rows: &'a [ViolationItem],
        requests: &'a BTreeSet<String>,
        caption: &'a str,
    ) -> ViolationTable<'a> {
        ViolationTable { brief: true, ..self.violations(rows, requests, caption) }
    }

    pub fn acting<'a>(&'a self, item: &'a ViolationItem) -> Acting<'a> {
        Acting { f: self, item }
    }

    pub fn troubles<'a>(&'a self, status: &'a ChainStatus) -> Troubles<'a> {
        Troubles { f: self, status }
    }

    pub fn cosigned<'a>(&'a self, rows: &'a [CosignedView], size: impl Borrow<u64>) -> Cosigned<'a> {
        Cosigned { f: self, rows, size: *size.borrow() }
    }

    pub fn disputes<'a>(
        &'a self,
        rows: &'a [DisputeView],
        violations: &'a BTreeMap<String, String>,
    ) -> Disputes<'a> {
        Disputes { f: self, rows, violations }
    }

    pub fn judgements<'a>(
        &'a self,
        rows: &'a [JudgementView],
        disputes: &'a [DisputeView],
    ) -> Judgements<'a> {
        Judgements { f: self, rows, disputes, none: &NO_LINKS }
    }

    pub fn switch(&self, path: &'static str) -> Switch<'_> {
        Switch { f: self, path }
    }

    pub fn evidence<'a>(&'a self, evidence: &'a Evidence) -> EvidencePanel<'a> {
        // The verifier prints the same words; in Chinese the page translates them.
        let boundary = match self.language {
            super::text::Language::En => anchor::verify::BOUNDARY.to_owned(),
            super::text::Language::Zh => self.t("evidence.boundary").to_owned(),
        };
        EvidencePanel { f: self, evidence, boundary }
    }

    pub fn balance<'a>(&'a self, round: &'a RoundItem) -> Balance<'a> {
        let mut start = 0;
        let names = ["collected", "unchanged", "failed", "skipped"];
        let pieces = names.into_iter().zip(round.shares()).map(|(name, width)| {
            let piece = (name, start, width);
            start += width;
            piece
        });
        Balance { f: self, round, pieces: pieces.collect() }
    }

    pub fn approvals<'a>(&'a self, approvals: &'a [ApprovalView]) -> Approvals<'a> {
        Approvals { f: self, approvals }
    }

    /// `approved`: the old side is what was approved, else what was there before.
    pub fn compared<'a>(
        &'a self,
        comparison: &'a super::compare::Comparison,
        approved: bool,
    ) -> ComparisonTable<'a> {
        let old_title =
            if approved { self.t("violation.approved_value") } else { self.t("violation.previous_value") };
        ComparisonTable { f: self, comparison, old_title }
    }

    /// A path segment.
    pub fn segment(&self, text: &str) -> String {
        crate::client::percent(text)
    }

    /// Eight digits of a hash.
    pub fn short_hash<'a>(&self, hash: &'a str) -> &'a str {
        super::shown::cut(hash, 12).0
    }
}
