//! What the judge of authorisation is given and what it says.

use std::collections::{BTreeMap, BTreeSet};

use model::violation::Sighting;
use model::{Agreement, ApprovedState, AuthorisationVerdict, Difference, Dn, Edit, Snapshot, Text, Value};

use crate::requests::Requests;

/// An open authorisation difference from an earlier round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The value it was judged for; another value now is judged anew.
    pub new: Option<Value>,
    pub verdict: AuthorisationVerdict,
    pub first_seen: Sighting,
}

/// One station in one round, from a complete, error-free read: what is absent from `current` is deleted.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The version in force at the round's opening.
    pub agreement: &'a Agreement,
    /// The station's ManagedElement.
    pub element: &'a Dn,
    /// Member id of the operator whose agent read the station: the only one who can act on it.
    pub collector: &'a str,
    /// The last complete read before, `None` at the first.
    pub previous: Option<&'a Snapshot>,
    pub current: &'a Snapshot,
    /// From `previous` to `current`; empty at the first read.
    pub edits: &'a [Edit],
    /// `None` or empty: the station has no approved baseline yet.
    pub approved: Option<&'a ApprovedState>,
    /// Where `previous` differs from `approved`, if that is known: it spares a comparison of every object. `None` comes to the
    /// same.
    pub before: Option<&'a [Difference]>,
    /// Requests that may concern the station.
    pub requests: &'a Requests<'a>,
    /// Where this round stands in the order of things.
    pub sighting: Sighting,
    /// Open authorisation differences of this station by (object, attribute).
    pub known: &'a BTreeMap<(Dn, String), Known>,
    /// Observed changes per (object, attribute) in the 24 hours before this read, those of `edits` not counted.
    pub recent_changes: &'a BTreeMap<(Dn, String), u32>,
    /// (request, object, attribute) of every advance this station's approved state has made so far: an
    /// approval counts once.
    pub carried_out: &'a BTreeSet<(String, Dn, String)>,
}

/// A place where current state is not what was approved, and nobody allowed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedDifference {
    /// From approved (`old`) to current (`new`).
    pub edit: Edit,
    /// Fixed at first sight; only its label may sharpen to `late` when a matching approval arrives.
    pub verdict: AuthorisationVerdict,
    pub first_seen: Sighting,
    /// Whether the verdict was reached in this round: first seen, or its value changed again.
    pub is_new: bool,
    /// The request that approved the old value.
    pub approved_by: Option<String>,
}

/// A move of the approved state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// From approved to current.
    pub edit: Edit,
    /// The request or standing permission that allows it, or [`BY_RIGHT`].
    pub request: String,
    /// Height at which that request became final; for rights and standing permissions the round's opening.
    pub height: u64,
    pub why: Text,
}

/// Stands for a request where the one who may change an attribute alone changed it.
pub const BY_RIGHT: &str = "by-right";

/// A known difference that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub object: Dn,
    pub attribute: String,
    pub reason: GoneReason,
    pub why: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReason {
    /// The value is the approved one again.
    Restored,
    /// An exact request for the value it has now was carried out, or the difference was ratified.
    Advanced,
    /// The difference now shows on the whole object, or the object's on its attributes.
    Regrouped,
}

/// The judge's word on a case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// One verdict per observed edit from previous to current, for the history.
    pub edits: Vec<(Edit, AuthorisationVerdict)>,
    /// Open authorisation violations, at most one per (object, attribute), sorted.
    pub differences: Vec<JudgedDifference>,
    /// By what the approved state moves. Applying them leaves exactly `differences`.
    pub advances: Vec<Advance>,
    pub gone: Vec<Gone>,
    pub unbaselined: bool,
}
