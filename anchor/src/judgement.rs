//! What another member's agent says of a round that was disclosed to it: the second judgement.
//!
//! One [`JudgementRecord`] for each violation that the origin recorded in the round, one for each violation that only
//! the judge finds, and one summary of the round. They are leaves of the *judge's* log, committed to like any record,
//! so that neither side can change its story.

use serde::{Deserialize, Serialize};

use crate::commitment::Nonce;
use crate::hash::Hash;
use crate::record::{Authorisation, format_line};
use crate::transaction::MemberId;

format_line!(JudgementLeafFormat, "ranproof/leaf/judgement/1");
format_line!(JudgementRecordFormat, "ranproof/record/judgement/1");

/// Leaf of a second judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementEnvelope {
    pub format: JudgementLeafFormat,
    pub chain: String,
    /// The judge, in whose log the leaf stands.
    pub origin: MemberId,
    /// The judged round, one of the record's `origin`.
    pub round: u64,
    pub id: String,
    /// [`crate::record::Record::commitment`] of the judgement record.
    pub commitment: Hash,
}

/// How the judge's own finding compares with the origin's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgementVerdict {
    /// The same verdict; in a summary, all of them.
    Same,
    /// Another verdict; in a summary, at least one.
    Differs,
    /// The judge finds no violation where the origin recorded one.
    Missing,
    /// The judge finds a violation that the origin did not record.
    Extra,
    /// Not disclosed, or not openable: the judge could not judge.
    Unjudged,
}

impl JudgementVerdict {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            JudgementVerdict::Same => "same",
            JudgementVerdict::Differs => "differs",
            JudgementVerdict::Missing => "missing",
            JudgementVerdict::Extra => "extra",
            JudgementVerdict::Unjudged => "unjudged",
        }
    }
}

/// The violation that a judgement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedViolation {
    pub id: String,
    /// [`crate::record::Record::commitment`] of the violation record: the origin's, or for `extra` the judge's own.
    pub commitment: Hash,
    /// Empty, like attribute and rule, where the record was not disclosed to the judge.
    pub dn: String,
    pub attribute: String,
    pub rule: String,
}

/// A round's second judgement in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementCounts {
    /// Attributes whose commitment changed since the previous attested round.
    pub changes: u64,
    /// Of these, opened to the judge and opening their commitment.
    pub opened: u64,
    /// Of these, withheld or not opening it.
    pub unopened: u64,
    /// Changes of the attested map that were not disclosed.
    pub undisclosed: u64,
    /// Verdicts that are the same, and those that are not (`differs`, `missing`, `extra`).
    pub same: u64,
    pub differing: u64,
    /// Violations that the judge could not judge.
    pub unjudged: u64,
}

/// A second judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementRecord {
    pub format: JudgementRecordFormat,
    /// [`JudgementRecord::violation_id`] or [`JudgementRecord::summary_id`].
    pub id: String,
    pub judge: MemberId,
    /// Whose round was judged.
    pub origin: MemberId,
    pub round: u64,
    /// [`crate::record::Attestation::hash`] of that round.
    pub attestation: Hash,
    /// Null in a round's summary.
    pub violation: Option<JudgedViolation>,
    pub verdict: JudgementVerdict,
    /// What the origin recorded; null in a summary, for `extra`, for a record that was not disclosed, and for a CEL
    /// rule, which carries none.
    pub theirs: Option<Authorisation>,
    /// What the judge found; null in a summary, where it finds no difference to authorise, and for a CEL rule.
    pub own: Option<Authorisation>,
    /// One sentence.
    pub why: String,
    /// Only in a round's summary.
    pub counts: Option<JudgementCounts>,
    pub nonce: Nonce,
}

impl JudgementRecord {
    /// The id of the judgement of a violation.
    pub fn violation_id(violation: &str) -> String {
        format!("J-{violation}")
    }

    /// The id of a round's summary.
    pub fn summary_id(origin: &str, round: u64) -> String {
        format!("J-{origin}-{round}")
    }
}
