//! Judges configurations: was a change allowed, and does what is there keep the rules.
//!
//! [`judge`] says of each difference between approved and current state whether it was authorised, from the
//! agreement and the requests of a [`Case`], as a [`Judgement`]. A [`PolicySet`] holds rules written in YAML
//! with CEL and says which an object does not keep, seeing its neighbours through a [`NetworkIndex`];
//! [`progress`](fn@progress) says how far a request has been carried out;
//! [`run_tests`] runs the rules' own test cases. The shipped rules lie in `packs/`.
//!
//! This room knows no device, no database, no chain, no file and no clock: the same case gives the same word
//! anywhere.

mod agreed;
mod around;
mod authorise;
mod case;
pub mod catalogue;
mod evaluated;
mod expression;
mod fit;
mod network;
pub mod packs;
mod place;
mod progress;
mod ratify;
mod requests;
mod rights;
mod rule;
mod sentence;
mod set;
mod sight;
mod source;
mod standing;
mod suggest;
mod template;
mod testing;
mod timing;
mod upgrade;
mod weigh;

pub use authorise::judge;
pub use case::{Advance, BY_RIGHT, Case, Gone, GoneReason, JudgedDifference, Judgement, Known};
pub use evaluated::{Evaluated, StationCase};
pub use expression::Observation;
pub use network::{NeighbourRef, Neighbourhood, NetworkIndex};
pub use progress::{HOST_KEY, is_swapped, progress, software_places};
pub use requests::Requests;
pub use rule::{Explanation, Mode, Rule, RuleCase, RuleResult, RuleScope};
pub use set::PolicySet;
pub use sight::Sight;
pub use source::{LoadError, RULE_FORMAT};
pub use testing::{TEST_FORMAT, TestFailure, TestReport, run_tests};
