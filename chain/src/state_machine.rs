//! What the chain asks of the contract that it orders transactions for.

use std::any::Any;
use std::fmt;

use anchor::{Hash, Receipt, ValidatorSet};

/// A deterministic state machine over opaque transactions. Every node runs the same one; a node executes a
/// block before it votes for it, because the post-state roots stand in the header.
///
/// The chain owns the only instance, on one thread: implementations need no locks. They must read no clock,
/// file, network or random source.
pub trait StateMachine: Send + 'static {
    /// Replaces the whole state by `entries`, as stored after block `height`. At height 0 there are none and
    /// the state is the one that genesis describes.
    fn restore(&mut self, height: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError>;

    /// Whether `transaction` may wait for a block, judged on the last committed state. It says nothing final:
    /// only the receipt does.
    fn check(&self, transaction: &[u8]) -> Result<(), Refusal>;

    /// Whose `transaction` it is, so that no sender fills the room of the others; `None`, the default, shares one room.
    /// Asked only after [`StateMachine::check`] has accepted it.
    fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        let _ = transaction;
        None
    }

    /// Of the transactions that wait, in order of arrival, those that make a valid block now, in the order in which
    /// they do. All of them where the machine knows no order of its own.
    fn select(&self, waiting: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        waiting
    }

    /// Executes a block on the last committed state and leaves that state alone: several proposals for one
    /// height may be executed, and at most one of the outcomes is committed.
    fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock>;

    /// Makes `outcome` the committed state. It is the outcome of an [`StateMachine::execute`] on the present
    /// state, and its changes are already stored durably.
    fn commit(&mut self, outcome: Outcome);

    /// Root of the committed state; equals [`Outcome::state_root`] of the last committed outcome.
    fn state_root(&self) -> Hash;

    /// Who finalizes the next block.
    fn validators(&self) -> ValidatorSet;

    /// The version of the rules that execute the next block.
    fn rules_version(&self) -> u32;
}

/// A block as the state machine sees it.
#[derive(Debug, Clone, Copy)]
pub struct BlockInput<'a> {
    pub height: u64,
    /// Milliseconds since 1970 UTC; strictly greater than the previous block's.
    pub time: u64,
    pub transactions: &'a [Vec<u8>],
}

/// What executing a block yields.
pub struct Outcome {
    pub height: u64,
    /// One per transaction, in order.
    pub receipts: Vec<Receipt>,
    pub state_root: Hash,
    /// Who finalizes the block after this one.
    pub next_validators: ValidatorSet,
    /// State entries written (`Some`) and removed (`None`), each key at most once.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The machine's own post-state, handed back to it in [`StateMachine::commit`].
    pub post: Box<dyn Any + Send>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("height", &self.height)
            .field("receipts", &self.receipts.len())
            .field("state_root", &self.state_root)
            .field("changes", &self.changes.len())
            .finish_non_exhaustive()
    }
}

/// Why a transaction may not wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct Refusal {
    /// Stable, for programs: `sequence`, `not-a-member`, ….
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

/// Why no validator may vote for a block with these transactions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block cannot be executed: {reason}")]
pub struct InvalidBlock {
    pub reason: String,
}

/// Why stored entries are not a state of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored state at height {height} is unreadable: {reason}")]
pub struct RestoreError {
    pub height: u64,
    pub reason: String,
}
