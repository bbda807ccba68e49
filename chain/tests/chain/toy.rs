//! A contract that counts how often it applied each transaction. `bad…` is refused at the door, `odd…` by a
//! receipt, `poison…` passes the door and then makes every block with it impossible, `panic…` is a bug. `@x…` is sent
//! by `x`, all others by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anchor::{Hash, Receipt, ReceiptOutcome, ValidatorSet};
use ranproof_chain::{BlockInput, InvalidBlock, Outcome, Refusal, RestoreError, StateMachine};

pub struct Toy {
    validators: ValidatorSet,
    counts: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Mixed into the root: two machines with different salts disagree about every block.
    salt: u8,
    /// How often it met poison.
    pub poisoned: Arc<AtomicUsize>,
}

impl Toy {
    pub fn new(validators: ValidatorSet) -> Self {
        Toy::salted(validators, 0)
    }

    pub fn salted(validators: ValidatorSet, salt: u8) -> Self {
        Toy { validators, counts: BTreeMap::new(), salt, poisoned: Arc::default() }
    }

    pub fn applied(&self, transaction: &[u8]) -> u64 {
        self.counts.get(transaction).map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
    }
}

fn root(counts: &BTreeMap<Vec<u8>, Vec<u8>>, salt: u8) -> Hash {
    let leaves: Vec<_> = counts.iter().map(|(key, value)| [&[salt], &key[..], &value[..]].concat()).collect();
    if salt == 0 { anchor::tree::root(&leaves) } else { Hash::of(&[&[salt], &leaves.concat()[..]].concat()) }
}

impl StateMachine for Toy {
    fn restore(&mut self, _: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError> {
        self.counts = entries.into_iter().collect();
        Ok(())
    }

    fn check(&self, transaction: &[u8]) -> Result<(), Refusal> {
        if transaction.starts_with(b"bad") {
            return Err(Refusal { code: "bad".into(), reason: "it says so itself".into() });
        }
        Ok(())
    }

    fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        transaction.strip_prefix(b"@")?.first().map(|sender| [*sender; 32])
    }

    fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock> {
        let mut counts = self.counts.clone();
        let (mut receipts, mut changes) = (vec![], BTreeMap::new());
        for transaction in input.transactions {
            assert!(!transaction.starts_with(b"panic"), "the contract has a bug");
            if transaction.starts_with(b"poison") {
                self.poisoned.fetch_add(1, Ordering::Relaxed);
                return Err(InvalidBlock { reason: "poison".into() });
            }
            let outcome = if transaction.starts_with(b"odd") {
                ReceiptOutcome::Refused { code: "odd".into(), reason: "an odd one".into() }
            } else {
                let count = (self.applied(transaction) + 1).to_be_bytes().to_vec();
                counts.insert(transaction.clone(), count.clone());
                changes.insert(transaction.clone(), Some(count));
                ReceiptOutcome::Accepted
            };
            receipts.push(Receipt { transaction: Hash::of(transaction), outcome });
        }
        Ok(Outcome {
            height: input.height,
            receipts,
            state_root: root(&counts, self.salt),
            next_validators: self.validators.clone(),
            changes: changes.into_iter().collect(),
            post: Box::new(counts),
        })
    }

    fn commit(&mut self, outcome: Outcome) {
        self.counts = *outcome.post.downcast().unwrap();
    }

    fn state_root(&self) -> Hash {
        root(&self.counts, self.salt)
    }

    fn validators(&self) -> ValidatorSet {
        self.validators.clone()
    }

    fn rules_version(&self) -> u32 {
        1
    }
}
