//! Blocks and the state machine: composes headers, executes proposals and synced blocks alike, and compares
//! every field of their headers with what execution yields here.

use std::collections::BTreeSet;

use anchor::tree::{self, Frontier};
use anchor::{Block, Genesis, Hash, Header, ValidatorSet};

use crate::config::{MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES};
use crate::ledger::Tip;
use crate::state_machine::{BlockInput, InvalidBlock, Outcome, Refusal, StateMachine};
use crate::store::{Store, StoreError};

/// The committed state, and what the next header needs to know of the past.
pub(crate) struct Executor {
    machine: Box<dyn StateMachine>,
    chain_id: String,
    tip: Tip,
    history: Frontier,
    validators: ValidatorSet,
}

/// A block with the outcome of its execution on the present state.
#[derive(Debug)]
pub(crate) struct Executed {
    pub block: Block,
    pub hash: Hash,
    pub outcome: Outcome,
}

/// Why this node does not vote for a block.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("its {0} is not what this node's state leads to")]
    Field(&'static str),
    #[error("its time {time} is not after {previous}")]
    Time { time: u64, previous: u64 },
    #[error("its time {time} is more than {allowed} ms from this node's clock, {now}")]
    Clock { time: u64, now: u64, allowed: u64 },
    #[error("it is larger than a block may be")]
    TooLarge,
    #[error("transaction {0} is in it twice, or in an earlier block")]
    Repeated(Hash),
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
}

/// The state machine broke its contract, or the store does not fit it: nothing can be trusted from here on.
#[derive(Debug, thiserror::Error)]
#[error("the state machine and the store disagree at height {height}: {what}; hint: restore or rejoin")]
pub struct Inconsistent {
    pub height: u64,
    pub what: String,
}

impl Executor {
    /// The executor at the store's tip, with the machine restored to it and its root compared.
    pub fn restore(
        mut machine: Box<dyn StateMachine>,
        genesis: &Genesis,
        store: &Store,
    ) -> Result<Self, RestoreFailure> {
        let height = store.tip_height()?;
        let inconsistent = |what: String| Inconsistent { height, what };
        machine.restore(height, store.entries()?).map_err(|e| inconsistent(e.reason))?;
        let validators = machine.validators();
        if validators.total_power() == 0 {
            return Err(inconsistent("nobody could finalize the next block".into()).into());
        }
        let (tip, history) = match store.header(height)? {
            None => (Tip { height: 0, time: genesis.time, header: Hash::ZERO }, Frontier::default()),
            Some(header) => {
                let bytes = store.meta("history")?.unwrap_or_default();
                let history: Frontier =
                    borsh::from_slice(&bytes).map_err(|e| inconsistent(format!("header history: {e}")))?;
                (Tip { height, time: header.time, header: header.hash() }, history)
            }
        };
        let stored = store.header(height)?;
        let root = stored.as_ref().map(|h| h.state_root);
        if root.is_some_and(|root| root != machine.state_root()) {
            return Err(inconsistent("the restored state has another root".into()).into());
        }
        let expected = stored.map_or_else(|| genesis.validator_set().hash(), |h| h.next_valset);
        if expected != validators.hash() {
            return Err(inconsistent("the restored state names other validators".into()).into());
        }
        if history.size() != height {
            return Err(inconsistent(format!("the header history has {} entries", history.size())).into());
        }
        Ok(Executor { machine, chain_id: genesis.chain_id.clone(), tip, history, validators })
    }

    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    pub fn next_height(&self) -> u64 {
        self.tip.height + 1
    }

    /// Who finalizes the next block.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    pub fn check(&self, transaction: &[u8]) -> Result<(), Refusal> {
        self.machine.check(transaction)
    }

    /// Whose room among the waiting a transaction takes.
    pub fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        self.machine.sender(transaction)
    }

    /// Of the waiting transactions those that may make the next block.
    pub fn select(&self, waiting: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.machine.select(waiting)
    }

    /// The next block with these transactions, at `now` or as soon after as time may be.
    pub fn compose(&self, now: u64, transactions: Vec<Vec<u8>>) -> Result<Executed, InvalidBlock> {
        self.execute(now.max(self.tip.time + 1), transactions)
    }

    /// Executes a block made elsewhere. [`Executor::check_clock`] is separate: a block that more than two
    /// thirds of the power have finalized is right whatever the time is here.
    pub fn replay(&self, block: Block, store: &Store) -> Result<Result<Executed, Rejection>, StoreError> {
        if let Err(rejection) = self.check_shape(&block) {
            return Ok(Err(rejection));
        }
        let mut seen = BTreeSet::new();
        for transaction in &block.transactions {
            let id = Hash::of(transaction);
            if !seen.insert(id) {
                return Ok(Err(Rejection::Repeated(id)));
            }
        }
        if let Some(id) = store.first_final(&seen)? {
            return Ok(Err(Rejection::Repeated(id)));
        }
        let header = block.header;
        let executed = match self.execute(header.time, block.transactions) {
            Ok(executed) => executed,
            Err(invalid) => return Ok(Err(invalid.into())),
        };
        Ok(match differing_field(&header, &executed.block.header) {
            Some(field) => Err(Rejection::Field(field)),
            None => Ok(executed),
        })
    }

    /// What needs no execution, so that a wrong block costs little.
    fn check_shape(&self, block: &Block) -> Result<(), Rejection> {
        let header = &block.header;
        let bytes = block.transactions.iter().fold(0usize, |sum, t| sum.saturating_add(t.len()));
        let largest = block.transactions.iter().map(Vec::len).max().unwrap_or(0);
        if header.height != self.next_height() {
            return Err(Rejection::Field("height"));
        }
        if header.previous != self.tip.header {
            return Err(Rejection::Field("previous"));
        }
        if header.time <= self.tip.time {
            return Err(Rejection::Time { time: header.time, previous: self.tip.time });
        }
        if block.transactions.len() > MAX_BLOCK_TRANSACTIONS
            || bytes > MAX_BLOCK_BYTES
            || largest > MAX_TRANSACTION_BYTES
        {
            return Err(Rejection::TooLarge);
        }
        if header.txs_root != tree::root(&block.transactions) {
            return Err(Rejection::Field("txs_root"));
        }
        Ok(())
    }

    /// A vote says that the time is plausible; `allowed` is Δ in milliseconds.
    pub fn check_clock(header: &Header, now: u64, allowed: u64) -> Result<(), Rejection> {
        if header.time.abs_diff(now) <= allowed {
            Ok(())
        } else {
            Err(Rejection::Clock { time: header.time, now, allowed })
        }
    }

    fn execute(&self, time: u64, transactions: Vec<Vec<u8>>) -> Result<Executed, InvalidBlock> {
        let height = self.next_height();
        let outcome = self.machine.execute(&BlockInput { height, time, transactions: &transactions })?;
        let fits = outcome.height == height
            && outcome.receipts.len() == transactions.len()
            && outcome.receipts.iter().zip(&transactions).all(|(r, t)| r.transaction == Hash::of(t));
        if !fits {
            return Err(InvalidBlock { reason: "its receipts do not answer its transactions".into() });
        }
        if outcome.next_validators.total_power() == 0 {
            return Err(InvalidBlock { reason: "nobody could finalize the next block".into() });
        }
        let receipts: Vec<_> = outcome.receipts.iter().map(anchor::Receipt::encode).collect();
        let header = Header {
            chain_id: self.chain_id.clone(),
            height,
            time,
            previous: self.tip.header,
            txs_root: tree::root(&transactions),
            receipts_root: tree::root(&receipts),
            state_root: outcome.state_root,
            history_root: self.history.root(),
            valset: self.validators.hash(),
            next_valset: outcome.next_validators.hash(),
            rules_version: self.machine.rules_version(),
        };
        let hash = header.hash();
        Ok(Executed { block: Block { header, transactions }, hash, outcome })
    }

    /// The encoded header history after `executed`, to be stored with it.
    pub fn history_after(&self, executed: &Executed) -> Vec<u8> {
        let mut history = self.history.clone();
        history.push(tree::leaf_hash(executed.hash.as_bytes()));
        borsh::to_vec(&history).expect("writing to memory does not fail")
    }

    /// Moves to the state after `executed`, which is stored already.
    pub fn commit(&mut self, executed: Executed) -> Result<(), Inconsistent> {
        let Executed { block, hash, outcome } = executed;
        let Header { height, time, state_root, next_valset, .. } = block.header;
        self.machine.commit(outcome);
        self.history.push(tree::leaf_hash(hash.as_bytes()));
        self.validators = self.machine.validators();
        self.tip = Tip { height, time, header: hash };
        if self.machine.state_root() != state_root {
            return Err(Inconsistent { height, what: "the committed state has another root".into() });
        }
        if self.validators.hash() != next_valset {
            return Err(Inconsistent { height, what: "the committed state names other validators".into() });
        }
        Ok(())
    }
}

/// Why a node cannot continue where it stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreFailure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

fn differing_field(theirs: &Header, ours: &Header) -> Option<&'static str> {
    // Destructured, so that a new field of the header cannot be forgotten here.
    let Header {
        chain_id,
        height,
        time,
        previous,
        txs_root,
        receipts_root,
        state_root,
        history_root,
        valset,
        next_valset,
        rules_version,
    } = theirs;
    let fields = [
        ("chain_id", *chain_id == ours.chain_id),
        ("height", *height == ours.height),
        ("time", *time == ours.time),
        ("previous", *previous == ours.previous),
        ("rules_version", *rules_version == ours.rules_version),
        ("valset", *valset == ours.valset),
        ("next_valset", *next_valset == ours.next_valset),
        ("txs_root", *txs_root == ours.txs_root),
        ("receipts_root", *receipts_root == ours.receipts_root),
        ("state_root", *state_root == ours.state_root),
        ("history_root", *history_root == ours.history_root),
    ];
    fields.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use anchor::{Receipt, ReceiptOutcome, SigningKey, Validator};
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::context::Voters;
    use crate::state_machine::{Refusal, RestoreError};
    use crate::store::Commit;

    /// Accepts everything; its state is the number of transactions.
    struct Counter(u64);

    fn validators() -> ValidatorSet {
        let key = SigningKey::from_seed(&[1; 32]).public();
        ValidatorSet(vec![Validator { key, power: 1, member: "m".into() }])
    }

    impl StateMachine for Counter {
        fn restore(&mut self, _: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError> {
            self.0 = entries.len() as u64;
            Ok(())
        }
        fn check(&self, _: &[u8]) -> Result<(), Refusal> {
            Ok(())
        }
        fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock> {
            let receipt =
                |t: &Vec<u8>| Receipt { transaction: Hash::of(t), outcome: ReceiptOutcome::Accepted };
            let count = self.0 + input.transactions.len() as u64;
            Ok(Outcome {
                height: input.height,
                receipts: input.transactions.iter().map(receipt).collect(),
                state_root: Hash::of(&count.to_be_bytes()),
                next_validators: validators(),
                changes: input.transactions.iter().map(|t| (t.clone(), Some(vec![]))).collect(),
                post: Box::new(count),
            })
        }
        fn commit(&mut self, outcome: Outcome) {
            self.0 = *outcome.post.downcast().unwrap();
        }
        fn state_root(&self) -> Hash {
            Hash::of(&self.0.to_be_bytes())
        }
        fn validators(&self) -> ValidatorSet {
            validators()
        }
        fn rules_version(&self) -> u32 {
            1
        }
    }

    type Change = fn(&mut Header, Hash);

    /// An executor after one block with the transaction `old`.
    fn world() -> (Executor, Store) {
        let genesis = Genesis {
            format: Genesis::FORMAT.into(),
            chain_id: "c".into(),
            time: 1_000,
            rules_version: 1,
            members: vec![],
            validators: validators().0,
        };
        let store = Store::with_backend(InMemoryBackend::new(), &genesis.hash()).unwrap();
        let mut executor = Executor::restore(Box::new(Counter(0)), &genesis, &store).unwrap();
        let executed = executor.compose(2_000, vec![b"old".to_vec()]).unwrap();
        let certificate =
            anchor::CommitCertificate { height: 1, round: 0, header: executed.hash, signatures: vec![] };
        let commit = Commit {
            block: &executed.block,
            certificate: &certificate,
            receipts: &executed.outcome.receipts,
            changes: &executed.outcome.changes,
            history: &executor.history_after(&executed),
            end_abstention: false,
            voters: &Voters::default(),
        };
        store.commit(&commit).unwrap();
        executor.commit(executed).unwrap();
        assert_eq!(Executor::restore(Box::new(Counter(0)), &genesis, &store).unwrap().tip(), executor.tip());
        (executor, store)
    }

    #[test]
    fn a_block_made_here_is_right_and_each_changed_field_is_named() {
        let (executor, store) = world();
        let right = executor.compose(3_000, vec![b"new".to_vec()]).unwrap().block;
        assert!(executor.replay(right.clone(), &store).unwrap().is_ok());

        let other = Hash::of(b"other");
        let changes: [(&str, Change); 10] = [
            ("chain_id", |h, _| h.chain_id.push('x')),
            ("height", |h, _| h.height += 1),
            ("previous", |h, o| h.previous = o),
            ("txs_root", |h, o| h.txs_root = o),
            ("receipts_root", |h, o| h.receipts_root = o),
            ("state_root", |h, o| h.state_root = o),
            ("history_root", |h, o| h.history_root = o),
            ("valset", |h, o| h.valset = o),
            ("next_valset", |h, o| h.next_valset = o),
            ("rules_version", |h, _| h.rules_version += 1),
        ];
        for (field, change) in changes {
            let mut wrong = right.clone();
            change(&mut wrong.header, other);
            let rejection = executor.replay(wrong, &store).unwrap().unwrap_err();
            assert_eq!(rejection, Rejection::Field(field));
        }
    }

    #[test]
    fn time_must_move_and_be_near_the_clock() {
        let (executor, store) = world();
        let mut block = executor.compose(3_000, vec![]).unwrap().block;
        assert!(Executor::check_clock(&block.header, 13_000, 10_000).is_ok());
        assert!(Executor::check_clock(&block.header, 13_001, 10_000).is_err());
        assert!(Executor::check_clock(&block.header, 0, 2_999).is_err());
        block.header.time = 2_000;
        let rejection = executor.replay(block, &store).unwrap().unwrap_err();
        assert_eq!(rejection, Rejection::Time { time: 2_000, previous: 2_000 });
        // A clock that is behind still gives a later time.
        assert_eq!(executor.compose(0, vec![]).unwrap().block.header.time, 2_001);
    }

    #[test]
    fn transactions_are_taken_once_and_within_bounds() {
        let (executor, store) = world();
        for transactions in [vec![b"old".to_vec()], vec![b"a".to_vec(), b"a".to_vec()]] {
            let repeated = Hash::of(&transactions[0]);
            let block = executor.compose(3_000, transactions).unwrap().block;
            assert_eq!(executor.replay(block, &store).unwrap().unwrap_err(), Rejection::Repeated(repeated));
        }
        let large = executor.compose(3_000, vec![vec![0; MAX_TRANSACTION_BYTES + 1]]).unwrap().block;
        assert_eq!(executor.replay(large, &store).unwrap().unwrap_err(), Rejection::TooLarge);
    }
}
