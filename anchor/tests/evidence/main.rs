//! Evidence as a whole: bundles over a synthetic chain and log, the program that checks them, the vectors of the
//! formats, and vectors that others wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod binary;
mod corpus;
mod judgements;
mod parts;
mod vectors;
mod verify;
mod world;
