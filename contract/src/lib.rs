//! The smart contract: the rules that every operator's node enforces, as a deterministic state machine.
//!
//! [`Contract`] is the committed state. [`Contract::check`] admits a transaction, [`Contract::execute`] runs a
//! block on a copy and yields an [`Execution`] (receipts, changes, root), [`Contract::commit`] makes it the state.
//! The same transactions in the same blocks give the same receipts and the same root on every node. Why something
//! is refused stands in one table, [`code::TABLE`]; what the state holds, in [`key`].
//!
//! Knows no clock, file, network or engine: a block's height and time are arguments, and the order of transactions
//! is decided elsewhere. Knows ids, commitments and signatures only, never the bodies that they stand for.

mod approve;
mod call;
mod change;
mod checkpoint;
pub mod code;
mod contract;
mod dispute;
mod envelope;
mod evidence;
mod execute;
mod form;
mod genesis;
pub mod key;
mod query;
mod record;
mod register;
mod round;
mod select;
mod state;
mod withdraw;

pub use call::duty_of;
pub use code::{CodeEntry, Refusal};
pub use contract::{Contract, MAX_SEQUENCE_AHEAD, RestoreError, StaleExecution};
pub use execute::{BlockContext, Execution};
pub use form::{MAX_ATTEST_WITHIN, MAX_CHECKPOINT, MAX_ID, MAX_MEMBERS, is_chain_id, is_id};
pub use genesis::{GenesisError, MAX_VALIDATORS};
pub use query::{Registered, RoundState};
pub use record::{
    AgreementVersion, AnchoredCheckpoint, ApprovalRecord, AttestationRecord, ChainRecord, DisputeRecord,
    Duty, EvidenceRecord, KeyHolder, Missed, Moment, Opening, Resolution, Response, Standing, Status,
    Versions,
};

/// The version of the rules in this room; it stands in every header.
pub const RULES_VERSION: u32 = 1;
