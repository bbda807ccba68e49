//! The nouns of ranproof: managed objects and their configuration, edits, the sharing agreement, change
//! requests, approved state, verdicts and violations.
//!
//! The main types are [`Snapshot`], [`Edit`], [`Agreement`], [`ChangeRequest`] and [`Violation`]. This room
//! knows no device, no database, no chain and no clock; it depends on no other room.

pub mod agreement;
pub mod approved;
pub mod change;
pub mod diff;
pub mod dn;
pub mod inventory;
pub mod number;
pub mod pattern;
pub mod profile;
pub mod snapshot;
pub mod spelling;
pub mod time;
pub mod value;
pub mod verdict;
pub mod violation;

pub use agreement::Agreement;
pub use approved::{ApprovedState, ApprovedValue, Difference};
pub use change::{ChangeKind, ChangeRequest, RequestView};
pub use diff::{Edit, OBJECT, Operation, apply, diff, respell, respellings};
pub use dn::{Dn, Scope};
pub use inventory::{Accounting, Inventory, Outcome, Station};
pub use number::Decimal;
pub use pattern::AttributePattern;
pub use profile::Profile;
pub use snapshot::{Digest, Finding, Interpretation, Object, Snapshot};
pub use spelling::{default_leaves, spelt_alike};
pub use time::Timestamp;
pub use value::Value;
pub use verdict::{Authorisation, AuthorisationVerdict, Severity, Text};
pub use violation::{Violation, ViolationState, Waiver};
