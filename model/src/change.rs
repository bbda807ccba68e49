//! Change requests: the exact edits that operators approve before anybody carries them out.

use serde::{Deserialize, Serialize};

use crate::diff::OBJECT;
use crate::dn::{Dn, Scope};
use crate::pattern::AttributePattern;
use crate::time::Timestamp;
use crate::value::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Exact edits.
    Change,
    /// The first approved state of stations: every non-volatile attribute value.
    Baseline,
    /// Software and module set from → to, with a bounded class of attributes; common attributes are still judged singly.
    Upgrade,
    /// New hardware: serial or host key. No credential before the new pin is approved.
    Swap,
    /// Carried out first and flagged; to be ratified.
    Emergency,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Change => "change",
            ChangeKind::Baseline => "baseline",
            ChangeKind::Upgrade => "upgrade",
            ChangeKind::Swap => "swap",
            ChangeKind::Emergency => "emergency",
        }
    }
}

/// A change request's body. Its canonical JSON is what everybody signs the hash of; it travels between the
/// agents concerned and never stands on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// `ranproof/change/1`.
    pub format: String,
    pub id: String,
    pub kind: ChangeKind,
    pub agreement: String,
    pub agreement_version: u32,
    /// Member id of the proposer.
    pub proposer: String,
    pub title: String,
    /// The work order in the proposer's ticket system.
    #[serde(default)]
    pub ticket: String,
    /// The part of the network that the request may touch.
    pub scope: Scope,
    pub window: Window,
    #[serde(default)]
    pub edits: Vec<ExpectedEdit>,
    /// Whether the inverse edits are approved with it, for roll-back within the window.
    #[serde(default)]
    pub rollback: bool,
    /// For a baseline: the objects of every station it covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<BaselineObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
    /// 32 random bytes, hexadecimal, so that the hash on chain does not reveal a guessable body. A file may leave it
    /// to be drawn when it is proposed; [`ChangeRequest::check`] refuses a request without.
    #[serde(default)]
    pub nonce: String,
}

/// When the change may happen; end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// One edit exactly as approved. `old` absent: the attribute (or object) is created; `new` absent: deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEdit {
    pub object: Dn,
    /// The attribute's name, or `@object` for a whole object.
    pub attribute: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// One object of a baseline with every non-volatile attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineObject {
    pub object: Dn,
    pub attributes: std::collections::BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    pub from: String,
    pub to: String,
    /// Attributes that the upgrade may set; those the agreement calls common are not covered.
    pub attributes: Vec<AttributePattern>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    pub element: Dn,
    pub new_host_key: String,
}

/// A fault in a request's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("request format is `{0}`; hint: this version reads {format}", format = ChangeRequest::FORMAT)]
    UnknownFormat(String),
    #[error(
        "the window ends ({to}) before or when it begins ({from}); hint: `to` is the first moment past it"
    )]
    EmptyWindow { from: Timestamp, to: Timestamp },
    #[error("a {kind} request needs {missing}; hint: see examples/change.yaml", kind = .kind.as_str())]
    Incomplete { kind: ChangeKind, missing: &'static str },
    #[error("edits[{index}] on {object} changes nothing: old and new are equal; hint: leave it out")]
    NoEffect { index: usize, object: Dn },
    #[error(
        "edits[{index}]: {object} lies outside the request's scope {scope}; hint: widen the scope or leave it out"
    )]
    OutsideScope { index: usize, object: Dn, scope: Scope },
    #[error("edits[{index}]: {object} {attribute} is listed twice; hint: one edit for each attribute")]
    Repeated { index: usize, object: Dn, attribute: String },
    #[error(
        "nonce is not 32 bytes of hexadecimal; hint: leave it out of the file, `change propose` draws it"
    )]
    BadNonce,
    #[error(
        "edits[{index}]: the old and new value of {OBJECT} are structures; hint: all attributes of the object by name"
    )]
    ObjectValue { index: usize },
}

impl ChangeRequest {
    pub const FORMAT: &'static str = "ranproof/change/1";

    /// Checks what the types do not say.
    pub fn check(&self) -> Result<(), ChangeError> {
        if self.format != Self::FORMAT {
            return Err(ChangeError::UnknownFormat(self.format.clone()));
        }
        if self.window.from >= self.window.to {
            return Err(ChangeError::EmptyWindow { from: self.window.from, to: self.window.to });
        }
        if hex::decode(&self.nonce).map(|n| n.len()) != Ok(32) {
            return Err(ChangeError::BadNonce);
        }
        let missing = match self.kind {
            ChangeKind::Change | ChangeKind::Emergency if self.edits.is_empty() => Some("at least one edit"),
            ChangeKind::Baseline if self.baseline.is_empty() => Some("the baseline's objects"),
            ChangeKind::Upgrade if self.upgrade.is_none() => Some("an `upgrade` section"),
            ChangeKind::Swap if self.swap.is_none() => Some("a `swap` section"),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(ChangeError::Incomplete { kind: self.kind, missing });
        }
        self.check_edits()
    }

    fn check_edits(&self) -> Result<(), ChangeError> {
        let mut seen = std::collections::BTreeSet::new();
        for (index, edit) in self.edits.iter().enumerate() {
            let object = edit.object.clone();
            if edit.old == edit.new {
                return Err(ChangeError::NoEffect { index, object });
            }
            if !self.scope.covers(&object) {
                return Err(ChangeError::OutsideScope { index, object, scope: self.scope.clone() });
            }
            if !seen.insert((&edit.object, &edit.attribute)) {
                return Err(ChangeError::Repeated { index, object, attribute: edit.attribute.clone() });
            }
            let structured = |v: &Option<Value>| v.as_ref().is_none_or(|v| matches!(v, Value::Fields(_)));
            if edit.attribute == OBJECT && !(structured(&edit.old) && structured(&edit.new)) {
                return Err(ChangeError::ObjectValue { index });
            }
        }
        Ok(())
    }

    /// The expected edit of an attribute, if the request has one.
    pub fn edit(&self, object: &Dn, attribute: &str) -> Option<&ExpectedEdit> {
        self.edits.iter().find(|e| e.object == *object && e.attribute == attribute)
    }
}

/// What the chain says of a request: its body is worth nothing where it says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Stated<'a> {
    pub id: &'a str,
    /// [`ChangeKind::as_str`].
    pub kind: &'a str,
    pub agreement: &'a str,
    pub agreement_version: u32,
    /// Whose key signed the proposal.
    pub proposer: &'a str,
    pub window: Window,
}

/// A body that speaks otherwise than the proposal that carries its hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the body's {what} is {body}, the proposal on the chain says {stated}; hint: it counts for nothing, propose it anew"
)]
pub struct Misfit {
    pub what: &'static str,
    pub body: String,
    pub stated: String,
}

impl ChangeRequest {
    /// Whether the body says what its proposal says. Only the hash binds the two, so that this must be asked
    /// before a body is signed, judged by or believed.
    pub fn fits(&self, stated: &Stated<'_>) -> Result<(), Misfit> {
        let pairs = [
            ("id", self.id.clone(), stated.id.to_owned()),
            ("kind", self.kind.as_str().to_owned(), stated.kind.to_owned()),
            ("agreement", self.agreement.clone(), stated.agreement.to_owned()),
            ("agreement version", self.agreement_version.to_string(), stated.agreement_version.to_string()),
            ("proposer", self.proposer.clone(), stated.proposer.to_owned()),
            ("window's begin", self.window.from.to_string(), stated.window.from.to_string()),
            ("window's end", self.window.to.to_string(), stated.window.to.to_string()),
        ];
        match pairs.into_iter().find(|(_, body, stated)| body != stated) {
            Some((what, body, stated)) => Err(Misfit { what, body, stated }),
            None => Ok(()),
        }
    }
}

/// Where a request stands on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// Not all required approvals are final.
    Proposed {
        approved_by: Vec<String>,
        missing: Vec<String>,
    },
    /// All required approvals are final since this height.
    Approved {
        height: u64,
    },
    Rejected {
        by: String,
        height: u64,
    },
    /// Withdrawn at `height`; `approved` is the height of approval if it had been approved before.
    Withdrawn {
        height: u64,
        approved: Option<u64>,
    },
}

impl Standing {
    pub fn name(&self) -> &'static str {
        match self {
            Standing::Proposed { .. } => "proposed",
            Standing::Approved { .. } => "approved",
            Standing::Rejected { .. } => "rejected",
            Standing::Withdrawn { .. } => "withdrawn",
        }
    }
}

/// How far an approved request has been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing seen yet.
    Pending,
    /// Some of its edits were observed.
    Partial,
    /// All of its edits were observed.
    Complete,
    /// The window closed before all were observed.
    Lapsed,
}

/// A request as a judge sees it: its body and where it stands on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    pub request: ChangeRequest,
    pub standing: Standing,
    /// Members whose approval is final, whatever the standing. Proposing is no approval.
    #[serde(default)]
    pub approved_by: Vec<String>,
    /// Chain time of the block in which it became final, or was withdrawn.
    pub decided_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ChangeRequest {
        ChangeRequest {
            format: ChangeRequest::FORMAT.into(),
            id: "CR-1".into(),
            kind: ChangeKind::Change,
            agreement: "bj".into(),
            agreement_version: 1,
            proposer: "telecom".into(),
            title: "retune".into(),
            ticket: String::new(),
            scope: "A=1".parse().unwrap(),
            window: Window { from: Timestamp(1), to: Timestamp(2) },
            edits: vec![ExpectedEdit {
                object: "A=1,B=2".parse().unwrap(),
                attribute: "x".into(),
                old: Some("1".into()),
                new: Some("2".into()),
            }],
            rollback: false,
            baseline: vec![],
            upgrade: None,
            swap: None,
            nonce: "00".repeat(32),
        }
    }

    #[test]
    fn a_body_that_speaks_otherwise_than_its_proposal_does_not_fit() {
        let request = request();
        let stated = Stated {
            id: "CR-1",
            kind: "change",
            agreement: "bj",
            agreement_version: 1,
            proposer: "telecom",
            window: Window { from: Timestamp(1), to: Timestamp(2) },
        };
        assert_eq!(request.fits(&stated), Ok(()));
        let others = [
            Stated { id: "CR-2", ..stated },
            Stated { kind: "emergency", ..stated },
            Stated { agreement: "sh", ..stated },
            Stated { agreement_version: 2, ..stated },
            Stated { proposer: "unicom", ..stated },
            Stated { window: Window { from: Timestamp(0), to: Timestamp(2) }, ..stated },
            Stated { window: Window { from: Timestamp(1), to: Timestamp(3) }, ..stated },
        ];
        for other in others {
            assert!(request.fits(&other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(request().check(), Ok(()));
        let faulty = |change: fn(&mut ChangeRequest)| {
            let mut request = request();
            change(&mut request);
            request.check().unwrap_err()
        };
        assert!(matches!(faulty(|r| r.window.to = Timestamp(1)), ChangeError::EmptyWindow { .. }));
        assert!(matches!(faulty(|r| r.nonce = "ab".into()), ChangeError::BadNonce));
        assert!(matches!(faulty(|r| r.edits.clear()), ChangeError::Incomplete { .. }));
        assert!(matches!(faulty(|r| r.edits[0].new = Some("1".into())), ChangeError::NoEffect { .. }));
        assert!(matches!(faulty(|r| r.scope = "A=2".parse().unwrap()), ChangeError::OutsideScope { .. }));
        assert!(matches!(faulty(|r| r.edits.push(r.edits[0].clone())), ChangeError::Repeated { .. }));
        assert!(matches!(faulty(|r| r.kind = ChangeKind::Baseline), ChangeError::Incomplete { .. }));
    }
}
