//! The pages: a frame, what they show, and the template that says how.

use askama::Template;

use super::frame::Frame;
use super::view::{
    ApprovalView, ChainView, ChangeItem, ChangeView, Evidence, RoundItem, RoundView, RuleView, ViolationItem,
    ViolationView, ViolationsView,
};

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
    rows: &'a [ViolationItem],
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
impl askama::filters::HtmlSafe for Balance<'_> {}
impl askama::filters::HtmlSafe for Approvals<'_> {}

impl Frame {
    pub fn violations<'a>(&'a self, rows: &'a [ViolationItem], caption: &'a str) -> ViolationTable<'a> {
        ViolationTable { f: self, rows, caption, brief: false }
    }

    pub fn brief<'a>(&'a self, rows: &'a [ViolationItem], caption: &'a str) -> ViolationTable<'a> {
        ViolationTable { f: self, rows, caption, brief: true }
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
