//! Plugs the contract into the chain: the chain orders bytes, the contract says what they mean.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use anchor::{Genesis, Hash, SignedTransaction, ValidatorSet};
use anyhow::{Context as _, Result};
use chain::{BlockInput, InvalidBlock, Outcome, Refusal, RestoreError, StateMachine};
use contract::{BlockContext, Contract, Execution};

/// The committed contract state, readable by everybody in the agent, written by the chain alone.
#[derive(Debug, Clone)]
pub struct SharedContract(Arc<RwLock<Contract>>);

impl SharedContract {
    pub fn from_genesis(genesis: &Genesis) -> Result<SharedContract> {
        let contract = Contract::from_genesis(genesis).context("the genesis file is not usable")?;
        Ok(SharedContract(Arc::new(RwLock::new(contract))))
    }

    /// A view of the committed state. Hold it briefly: the next block waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Contract> {
        // A writer replaces whole values only, so that a panic elsewhere leaves nothing half done.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, change: impl FnOnce(&mut Contract)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What the chain stores for a block. Nobody stores what genesis describes, so that the first block carries it: a
/// restart gets back what the chain stored and nothing else.
fn stored_changes(
    before: &Contract,
    context: &BlockContext,
    execution: &Execution,
) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    if context.height > 1 {
        return execution.changes.clone();
    }
    let genesis = before.entries().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
    let mut changes: BTreeMap<_, _> = genesis.collect();
    changes.extend(execution.changes.iter().cloned());
    changes.into_iter().collect()
}

/// Transactions remembered whose signatures were found good: more than the mempool holds, less than memory notices.
const MAX_VERIFIED: usize = 20_000;

/// Ids of transactions with good signatures, the oldest forgotten first. An id is the hash of all bytes, signature
/// included, so that it stands for nothing else.
#[derive(Debug, Default)]
struct Verified {
    ids: BTreeSet<Hash>,
    oldest_first: VecDeque<Hash>,
}

impl Verified {
    fn note(&mut self, id: Hash) {
        if self.ids.insert(id) {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > MAX_VERIFIED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// The contract as the chain sees it.
#[derive(Debug)]
pub struct Machine {
    genesis: Genesis,
    contract: SharedContract,
    /// What was checked when it came in is not checked again in its block.
    verified: Mutex<Verified>,
}

impl Machine {
    pub fn new(genesis: Genesis, contract: SharedContract) -> Machine {
        Machine { genesis, contract, verified: Mutex::default() }
    }
}

impl StateMachine for Machine {
    fn restore(&mut self, height: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError> {
        let restored = if height == 0 {
            Contract::from_genesis(&self.genesis)
                .map_err(|e| RestoreError { height, reason: e.to_string() })?
        } else {
            Contract::restore(&self.genesis, entries)
                .map_err(|e| RestoreError { height, reason: e.to_string() })?
        };
        self.contract.replace(|contract| *contract = restored);
        Ok(())
    }

    fn check(&self, transaction: &[u8]) -> Result<(), Refusal> {
        match self.contract.read().check(transaction) {
            Ok(_) => {
                let id = anchor::transaction::transaction_id(transaction);
                self.verified.lock().unwrap_or_else(PoisonError::into_inner).note(id);
                Ok(())
            }
            Err(refusal) => Err(Refusal { code: refusal.code.into(), reason: refusal.reason }),
        }
    }

    fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        SignedTransaction::decode(transaction).ok().map(|signed| signed.transaction.sender.0)
    }

    fn select(&self, waiting: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.contract.read().select(waiting.iter().map(Vec::as_slice), chain::MAX_BLOCK_BYTES)
    }

    fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock> {
        let context = BlockContext { height: input.height, time: input.time };
        let contract = self.contract.read().clone();
        let execution = {
            let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            contract.execute_verified(&context, input.transactions, |id| verified.ids.contains(id))
        };
        if let Some(position) = execution.inadmissible.first() {
            let reason = format!("transaction {position} could not have been admitted by an honest proposer");
            return Err(InvalidBlock { reason });
        }
        Ok(Outcome {
            height: input.height,
            receipts: execution.receipts.clone(),
            state_root: execution.state_root,
            next_validators: execution.next_validators.clone(),
            changes: stored_changes(&contract, &context, &execution),
            post: Box::new(execution),
        })
    }

    fn commit(&mut self, outcome: Outcome) {
        let execution = outcome.post.downcast::<Execution>().expect("the chain returns what execute gave it");
        self.contract.replace(|contract| {
            contract.commit(*execution).expect("the chain commits what it executed on this very state");
        });
    }

    fn state_root(&self) -> Hash {
        self.contract.read().state_root()
    }

    fn validators(&self) -> ValidatorSet {
        self.contract.read().validators()
    }

    fn rules_version(&self) -> u32 {
        self.contract.read().rules_version()
    }
}

#[cfg(test)]
mod tests {
    use anchor::certificate::Validator;
    use anchor::transaction::{Subject, SubjectKind, WithdrawStatement};
    use anchor::{Action, Member, MemberRole, SigningKey, Transaction};

    use super::*;

    fn genesis() -> Genesis {
        let key = |n: u8| SigningKey::from_seed(&[n; 32]).public();
        Genesis {
            format: Genesis::FORMAT.into(),
            chain_id: "test".into(),
            time: 1_000,
            rules_version: contract::RULES_VERSION,
            members: vec![Member {
                id: "telecom".into(),
                name: "Telecom".into(),
                role: MemberRole::Operator,
                log_key: key(1),
                approval_key: key(2),
                cosigner_key: key(4),
                tls: anchor::Hash::of(b"certificate"),
            }],
            validators: vec![Validator { key: key(3), power: 3, member: "telecom".into() }],
        }
    }

    fn machine() -> Machine {
        let genesis = genesis();
        let contract = SharedContract::from_genesis(&genesis).unwrap();
        Machine::new(genesis, contract)
    }

    #[test]
    fn what_the_chain_stored_since_block_1_restores_the_state() {
        let mut running = machine();
        let mut stored = BTreeMap::new();
        for height in 1..=2 {
            let input = BlockInput { height, time: 1_000 + height, transactions: &[] };
            let outcome = running.execute(&input).unwrap();
            for (key, value) in &outcome.changes {
                match value {
                    Some(value) => stored.insert(key.clone(), value.clone()),
                    None => stored.remove(key),
                };
            }
            running.commit(outcome);
        }
        let mut restarted = machine();
        restarted.restore(2, stored.into_iter().collect()).unwrap();
        assert_eq!(restarted.state_root(), running.state_root());
        assert_eq!(restarted.validators(), running.validators());
    }

    #[test]
    fn a_signature_is_remembered_for_exactly_these_bytes_and_changes_no_outcome() {
        let key = SigningKey::from_seed(&[2; 32]);
        let subject = Subject { kind: SubjectKind::Change, id: "CR-1".into(), version: 1 };
        let action = Action::Withdraw(WithdrawStatement { subject });
        let transaction = Transaction { chain_id: "test".into(), sender: key.public(), sequence: 1, action };
        let good = transaction.sign(&key).encode();
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;

        let (knows, fresh) = (machine(), machine());
        knows.check(&good).unwrap();
        assert_eq!(knows.check(&forged).unwrap_err().code, contract::code::SIGNATURE);
        let block = [good];
        let input = BlockInput { height: 1, time: 2_000, transactions: &block };
        let (a, b) = (knows.execute(&input).unwrap(), fresh.execute(&input).unwrap());
        assert_eq!((a.state_root, a.receipts), (b.state_root, b.receipts));
        let block = [forged];
        let input = BlockInput { height: 1, time: 2_000, transactions: &block };
        assert!(knows.execute(&input).is_err() && fresh.execute(&input).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut verified = Verified::default();
        for n in 0..=MAX_VERIFIED {
            verified.note(Hash::of(&n.to_be_bytes()));
        }
        assert_eq!((verified.ids.len(), verified.oldest_first.len()), (MAX_VERIFIED, MAX_VERIFIED));
        assert!(!verified.ids.contains(&Hash::of(&0usize.to_be_bytes())), "the oldest goes first");
    }
}
