//! Expressions of rules: a typed, bounded subset of CEL.
//!
//! The grammar is CEL's own (parsed by the `cel` crate); the subset is checked and typed at load and evaluated
//! here, because a rule needs three things the general evaluator has not: unknown names and wrong types are
//! errors at load, every evaluation has a budget of steps, and a value that is not there makes the outcome
//! indeterminate instead of an error or a false.
//!
//! In the subset: `bool`, `int` and `string` literals, `null`, lists; `! - + * / %`, comparisons, `&& || ?:`,
//! `in`, indexing of lists, `has()`, `all`, `exists`, `exists_one`, `map`, `filter`; `size`, `startsWith`,
//! `endsWith`, `contains`, `matches` (with a literal pattern), `distinct`, `join`, `int`, `string`. Added:
//! `decimal("1.5")`, an exact number that compares with decimals and ints, and `nr_arfcn_khz(n)`. Not in it:
//! floats, unsigned numbers, bytes, maps, messages, timestamps.

mod attributes;
mod call;
mod check;
mod compare;
mod compile;
mod evaluate;
mod join;
mod macros;
mod node;
mod seen;
#[cfg(test)]
mod tests;
mod trouble;
mod types;
mod value;
mod walk;
mod witness;

pub(crate) use attributes::Attributes;
pub(crate) use check::{Environment, Fault, compile, compile_condition};
pub(crate) use evaluate::{Evaluation, Inputs, evaluate};
pub(crate) use node::{Node, Part as AgreedPart, Variable};
pub(crate) use trouble::Trouble;
pub(crate) use value::{Rec, Val};
pub use witness::Observation;
pub(crate) use witness::parts;
