//! The rules, seen from outside: transactions in, receipts and state out.

#![expect(clippy::unwrap_used, reason = "tests")]

extern crate ranproof_contract as contract;

mod anchoring;
mod changes;
mod codes;
mod disputes;
mod envelope;
mod genesis;
mod properties;
mod registrations;
mod rounds;
mod world;
