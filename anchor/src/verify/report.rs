//! What a verification found, for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::bundle::Subject;
use crate::hash::Hash;
use crate::trust::Trust;

/// The steps of a verification in their order.
pub const STEPS: [&str; 15] = [
    "format",
    "record",
    "inclusion",
    "checkpoint",
    "origin",
    "cosignatures",
    "receipts",
    "headers",
    "certificates",
    "validators",
    "approvals",
    "agreement",
    "openings",
    "judgements",
    "order",
];

/// What evidence proves and what it does not; printed with every result.
pub const BOUNDARY: &str = "What this proves: the collector committed to these values in this order, and cannot \
    change or split its story. What it does not prove: that the station held these values, nor anything between \
    two reads; complete means complete within what was attested.";

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub outcome: Outcome,
    /// Null if the bundle could not be read.
    pub subject: Option<Subject>,
    /// The chain that the verifier trusts, and the genesis its trust file was made from.
    pub chain: String,
    pub genesis: Hash,
    pub steps: Vec<Step>,
    pub boundary: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step passed or did not apply.
    Verified,
    /// A step failed.
    Refuted,
    /// Not a bundle of this version.
    Malformed,
    /// Nothing failed, but evidence that the claim or the trust file asks for is missing.
    Incomplete,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub name: &'static str,
    pub status: Status,
    pub sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Pass,
    Fail,
    Incomplete,
    Skipped,
}

impl Outcome {
    /// 0 verified, 1 refuted, 2 not a bundle, 3 incomplete.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Verified => 0,
            Outcome::Refuted => 1,
            Outcome::Malformed => 2,
            Outcome::Incomplete => 3,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Verified => "verified",
            Outcome::Refuted => "refuted",
            Outcome::Malformed => "malformed",
            Outcome::Incomplete => "incomplete",
        }
    }
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "FAIL",
            Status::Incomplete => "incomplete",
            Status::Skipped => "skipped",
        }
    }
}

impl Report {
    pub(super) fn malformed(trust: &Trust, reason: &str) -> Report {
        let mut report = Report {
            outcome: Outcome::Malformed,
            subject: None,
            chain: trust.chain_id().to_owned(),
            genesis: trust.file().genesis,
            steps: vec![Step { name: STEPS[0], status: Status::Fail, sentence: reason.to_owned() }],
            boundary: BOUNDARY,
        };
        report.skip_rest();
        report
    }

    /// The first step that failed, or else the first that lacks evidence.
    pub fn decisive_step(&self) -> Option<&Step> {
        let first = |status| self.steps.iter().find(|s| s.status == status);
        first(Status::Fail).or_else(|| first(Status::Incomplete))
    }

    fn skip_rest(&mut self) {
        for name in STEPS.iter().skip(self.steps.len()) {
            self.steps.push(Step { name, status: Status::Skipped, sentence: "not reached".into() });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{:<13} {:<10} {}", step.name, step.status.as_str(), step.sentence)?;
        }
        let subject = match &self.subject {
            Some(subject) => format!("{} {}", subject.kind.as_str(), subject.id),
            None => "bundle".to_owned(),
        };
        writeln!(
            f,
            "\n{} {subject} on chain {} (genesis {})",
            self.headline(),
            self.chain,
            self.genesis.short()
        )?;
        writeln!(f, "{}", self.boundary)
    }
}

impl Report {
    fn headline(&self) -> String {
        match (self.outcome, self.decisive_step()) {
            (Outcome::Verified, _) | (_, None) => "VERIFIED:".to_owned(),
            (outcome, Some(step)) => format!("{} at step {}:", outcome.as_str().to_uppercase(), step.name),
        }
    }
}

/// A step's failure. Ends the verification.
#[derive(Debug)]
pub(super) struct Refuted(pub String);

/// The verification has ended before its last step.
#[derive(Debug)]
pub(super) struct Stopped;

/// What a step that did not fail found.
#[derive(Debug)]
pub(super) enum Finding {
    Pass(String),
    Incomplete(String),
    /// The claim does not need this step.
    Skipped(String),
}

/// A step's result: what later steps take from it, and what it found.
pub(super) type StepResult<T> = Result<(T, Finding), Refuted>;

/// Refutes with a sentence.
pub(super) fn refuted<T>(sentence: impl Into<String>) -> Result<T, Refuted> {
    Err(Refuted(sentence.into()))
}

/// Findings of one step: the first gap makes it incomplete, else the sentence says what passed.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<String>);

impl Gaps {
    pub(super) fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    pub(super) fn finding(self, passed: impl FnOnce() -> String) -> Finding {
        if self.0.is_empty() { Finding::Pass(passed()) } else { Finding::Incomplete(self.0.join("; ")) }
    }
}

/// Collects steps as they run.
#[derive(Debug)]
pub(super) struct Run {
    report: Report,
}

impl Run {
    pub(super) fn new(trust: &Trust, subject: &Subject, bytes: usize) -> Run {
        let sentence = format!("canonical `ranproof/bundle/2` of {bytes} bytes");
        let step = Step { name: STEPS[0], status: Status::Pass, sentence };
        let report = Report {
            outcome: Outcome::Verified,
            subject: Some(subject.clone()),
            chain: trust.chain_id().to_owned(),
            genesis: trust.file().genesis,
            steps: vec![step],
            boundary: BOUNDARY,
        };
        Run { report }
    }

    pub(super) fn step<T>(&mut self, name: &'static str, result: StepResult<T>) -> Result<T, Stopped> {
        debug_assert_eq!(STEPS.get(self.report.steps.len()), Some(&name));
        let (value, status, sentence) = match result {
            Ok((value, Finding::Pass(sentence))) => (Ok(value), Status::Pass, sentence),
            Ok((value, Finding::Skipped(sentence))) => (Ok(value), Status::Skipped, sentence),
            Ok((value, Finding::Incomplete(sentence))) => {
                self.report.outcome = Outcome::Incomplete;
                (Ok(value), Status::Incomplete, sentence)
            }
            Err(Refuted(sentence)) => {
                self.report.outcome = Outcome::Refuted;
                (Err(Stopped), Status::Fail, sentence)
            }
        };
        self.report.steps.push(Step { name, status, sentence });
        value
    }

    pub(super) fn finish(mut self) -> Report {
        self.report.skip_rest();
        self.report
    }
}
