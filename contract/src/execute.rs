//! A block's transactions, one after the other, on a copy of the state.

use anchor::transaction::MemberId;
use anchor::{Hash, Map, Receipt, ReceiptOutcome, ValidatorSet};

use crate::call::Call;
use crate::code::Refusal;
use crate::envelope;
use crate::key;
use crate::record::Moment;
use crate::round;
use crate::state::{Changes, Entries, View, Writes};

/// The block in which transactions are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext {
    pub height: u64,
    /// The block's time, milliseconds since 1970 UTC. The chain sees to it that it grows.
    pub time: u64,
}

/// What executing a block yields. Nothing is changed until [`crate::Contract::commit`].
#[derive(Debug, Clone)]
pub struct Execution {
    /// One for each transaction, in order.
    pub receipts: Vec<Receipt>,
    /// Root of the state map after the block.
    pub state_root: Hash,
    /// Entries that differ from before, sorted by key: the new value, or none where the entry is gone.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The validators of the next block.
    pub next_validators: ValidatorSet,
    /// Origin and number of each round whose deadline this block is the first to be past.
    pub missed: Vec<(MemberId, u64)>,
    /// Positions of transactions that used no sequence number (see [`crate::CodeEntry::uses_sequence`]). An
    /// honest proposer includes none: a node should not vote for a block in which there are some.
    pub inadmissible: Vec<usize>,
    pub(crate) base_root: Hash,
    pub(crate) map: Map,
}

/// What became of a block's transactions, before roots are taken.
pub(crate) struct Outcome {
    pub receipts: Vec<Receipt>,
    pub changes: Changes,
    pub missed: Vec<(MemberId, u64)>,
    pub inadmissible: Vec<usize>,
}

pub(crate) fn run(
    entries: &Entries,
    context: &BlockContext,
    transactions: &[Vec<u8>],
    verified: &dyn Fn(&Hash) -> bool,
) -> Outcome {
    let now = Moment { height: context.height, time: context.time };
    let mut changes = Changes::new();
    let (writes, missed) = round::sweep(entries, now);
    writes.merge_into(&mut changes);

    let mut receipts = Vec::with_capacity(transactions.len());
    let mut inadmissible = Vec::new();
    for (position, bytes) in transactions.iter().enumerate() {
        let transaction = envelope::id(bytes);
        let outcome = match run_one(
            View::through(entries, &changes),
            now,
            (transaction, bytes),
            verified(&transaction),
        ) {
            Ok((writes, outcome)) => {
                writes.merge_into(&mut changes);
                outcome
            }
            Err(refusal) => {
                inadmissible.push(position);
                refused(refusal)
            }
        };
        receipts.push(Receipt { transaction, outcome });
    }
    changes.retain(|key, value| entries.get(key) != value.as_ref());
    Outcome { receipts, changes, missed, inadmissible }
}

/// An error is a transaction without any trace. Everything else uses its sequence number, accepted or refused,
/// so that it can never be executed again and those behind it are not stuck.
fn run_one(
    view: View<'_>,
    now: Moment,
    (transaction, bytes): (Hash, &[u8]),
    verified: bool,
) -> Result<(Writes, ReceiptOutcome), Refusal> {
    let opened = envelope::open(view, bytes, 0, verified)?;
    let signed = &opened.signed.transaction;
    let call = Call { view, now, transaction, author: &opened.holder, action: &signed.action };
    let (mut writes, outcome) = match call.run() {
        Ok(writes) => (writes, ReceiptOutcome::Accepted),
        Err(refusal) => (Writes::default(), refused(refusal)),
    };
    writes.put(&key::sequence(&signed.sender), &signed.sequence);
    Ok((writes, outcome))
}

fn refused(refusal: Refusal) -> ReceiptOutcome {
    ReceiptOutcome::Refused { code: refusal.code.to_owned(), reason: refusal.reason }
}
