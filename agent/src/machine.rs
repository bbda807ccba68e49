//! Plugs the contract into the chain: the chain orders bytes, the contract says what they mean.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

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

/// The contract as the chain sees it.
#[derive(Debug)]
pub struct Machine {
    pub genesis: Genesis,
    pub contract: SharedContract,
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
            Ok(_) => Ok(()),
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
        let execution = contract.execute(&context, input.transactions);
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
    use anchor::{Member, MemberRole, SigningKey};

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
        Machine { contract: SharedContract::from_genesis(&genesis).unwrap(), genesis }
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
}
