//! Violations: what a NOC engineer reviews, from first sight to resolution, and waivers.

use serde::{Deserialize, Serialize};

use crate::dn::{Dn, Scope};
use crate::snapshot::Digest;
use crate::time::Timestamp;
use crate::value::Value;
use crate::verdict::{AuthorisationVerdict, Severity, Text};

/// The built-in rule whose violations carry an authorisation; rules written in CEL carry none.
pub const AUTHORISATION_RULE: &str = "authorisation";

/// The built-in rule under which an agent keeps what a second judgement of somebody else's round could not follow.
pub const SECOND_JUDGEMENT_RULE: &str = "second-judgement";

/// Where in the order of things a read stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub round: u64,
    /// Height at which the round's opening is final; `None` for an unopened round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<u64>,
    /// The read before, in the collector's time; the change happened after it. `None` at the first read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// The read that saw it, in the collector's time.
    pub read: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViolationState {
    Open,
    Acknowledged,
    /// Still evaluated, visible and counted; accepted until its waiver expires.
    Waived,
    Resolved,
}

impl ViolationState {
    pub fn as_str(self) -> &'static str {
        match self {
            ViolationState::Open => "open",
            ViolationState::Acknowledged => "acknowledged",
            ViolationState::Waived => "waived",
            ViolationState::Resolved => "resolved",
        }
    }
}

/// What caused a change, as far as evidence tells; notifications and logs are hints, the snapshot is the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorClass {
    Person,
    Orchestrator,
    Son,
    ResetOrUpgrade,
    Unknown,
}

/// Whose matter it is. An unknown cause never moves accountability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responsibility {
    /// Follows the agreement: the master operator of the object's district by default.
    pub accountable: String,
    pub cause: ActorClass,
}

/// Outcome of one rule on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleOutcome {
    Violated,
    /// The rule could not be evaluated: shown and counted, never a pass.
    Indeterminate,
}

/// One violation per (object, attribute, rule), open until the cause is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// See [`Violation::derive_id`].
    pub id: String,
    /// The station.
    pub element: Dn,
    pub object: Dn,
    pub attribute: String,
    pub rule: String,
    pub severity: Severity,
    pub outcome: RuleOutcome,
    /// For the rule [`AUTHORISATION_RULE`]; fixed at first sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<AuthorisationVerdict>,
    /// The approved value, or for a CEL rule the previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// One sentence: what, from what to what, against what.
    pub message: Text,
    pub responsibility: Responsibility,
    pub first_seen: Sighting,
    pub last_seen: Sighting,
    pub state: ViolationState,
    /// When and in which round it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Sighting>,
}

/// Hexadecimal digits of a violation's name, 64 bits.
const DIGITS: usize = 16;

impl Violation {
    /// The name of a violation: the same difference seen again by a repeated round has the same name, the
    /// same attribute violated anew later has another. It begins with the round, so that two can share a name only if
    /// they were first seen in one round, and those of a round stand together in every index.
    pub fn derive_id(origin: &str, object: &Dn, attribute: &str, rule: &str, first_round: u64) -> String {
        let text = format!("ranproof/violation/1\n{origin}\n{object}\n{attribute}\n{rule}\n{first_round}");
        let digest = Digest::of(text.as_bytes()).to_string();
        format!("V-{first_round}-{}", &digest[..DIGITS])
    }

    /// Whether a text is formed as such a name.
    pub fn is_id(text: &str) -> bool {
        let parts = text.strip_prefix("V-").and_then(|rest| rest.split_once('-'));
        parts.is_some_and(|(round, digits)| {
            let hexadecimal = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let number = round.parse::<u64>().is_ok_and(|number| number.to_string() == round);
            number && digits.len() == DIGITS && hexadecimal
        })
    }

    /// The authorisation's name, or `-` for a CEL rule.
    pub fn authorisation(&self) -> &'static str {
        self.verdict.as_ref().map_or("-", |v| v.authorisation.as_str())
    }
}

/// An accepted exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    pub id: String,
    pub rule: String,
    pub scope: Scope,
    pub reason: String,
    pub ticket: String,
    pub expires: Timestamp,
    pub approved_by: Vec<String>,
}

impl Waiver {
    /// Whether the waiver covers a violation at `now`. The only place that decides it.
    pub fn covers(&self, violation: &Violation, now: Timestamp) -> bool {
        self.rule == violation.rule && self.scope.covers(&violation.object) && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_every_part() {
        let dn: Dn = "A=1".parse().unwrap();
        let id = Violation::derive_id("telecom", &dn, "x", "r", 1);
        assert_eq!(id, Violation::derive_id("telecom", &dn, "x", "r", 1));
        assert_ne!(id, Violation::derive_id("telecom", &dn, "x", "r", 2));
        assert_ne!(id, Violation::derive_id("unicom", &dn, "x", "r", 1));
        assert!(Violation::is_id(&id) && id.starts_with("V-1-"), "{id}");
        for other in [
            "V-1",
            "V-01-0123456789abcdef",
            "V-1-0123456789abcdeF",
            "V-1-0123456789abcde",
            "V--0123456789abcdef",
        ] {
            assert!(!Violation::is_id(other), "{other}");
        }
    }
}
