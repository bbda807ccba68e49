//! The committed state, and how a block moves it.

use std::sync::Arc;

use anchor::{Genesis, Hash, Map, MapProof, SignedTransaction};

use crate::call::check_duty_and_form;
use crate::code::Refusal;
use crate::envelope;
use crate::execute::{self, BlockContext, Execution};
use crate::genesis::{GenesisError, first_entries};
use crate::key;
use crate::state::{Entries, View};

/// How far past the next sequence number a transaction is admitted to the mempool, so that one key can send
/// several without waiting for each.
pub const MAX_SEQUENCE_AHEAD: u64 = 64;

/// The committed state. A clone is two reference counts; it is copied only where a clone outlives a commit.
#[derive(Debug, Clone)]
pub struct Contract {
    entries: Arc<Entries>,
    map: Map,
}

/// Stored entries that are not a state of this chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("the chain's genesis is not usable")]
    Genesis(#[from] GenesisError),
    #[error("stored state has the entry `{0}` twice")]
    DuplicateEntry(String),
    #[error(
        "stored state has the entry `{0}`, which this version does not write so; hint: restore a copy or sync anew"
    )]
    MalformedEntry(String),
    #[error("stored state is not of this chain; hint: is it the data folder of another genesis?")]
    OtherChain,
}

/// The state has moved since the block was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block was executed on state {executed_on}, the state is now {found}; hint: execute it again")]
pub struct StaleExecution {
    pub executed_on: Hash,
    pub found: Hash,
}

impl Contract {
    /// The state before block 1.
    pub fn from_genesis(genesis: &Genesis) -> Result<Contract, GenesisError> {
        let entries = first_entries(genesis)?;
        Ok(Contract::from_entries(
            entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        ))
    }

    /// The state whose entries were stored. The caller compares [`Contract::state_root`] with the header's:
    /// here it is only made sure that each entry can be read.
    pub fn restore(
        genesis: &Genesis,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Contract, RestoreError> {
        let first = first_entries(genesis)?;
        let mut restored = Entries::new();
        for (key, value) in entries {
            if !key::is_well_formed(&key, &value) {
                return Err(RestoreError::MalformedEntry(printable(&key)));
            }
            if restored.contains_key(&key) {
                return Err(RestoreError::DuplicateEntry(printable(&key)));
            }
            restored.insert(key, value);
        }
        let chain = key::chain();
        if restored.get(chain.as_bytes()) != first.get(chain.as_bytes()).and_then(Option::as_ref) {
            return Err(RestoreError::OtherChain);
        }
        Ok(Contract::from_entries(restored))
    }

    fn from_entries(entries: Entries) -> Contract {
        let map = Map::from_pairs(&entries);
        Contract { entries: Arc::new(entries), map }
    }

    /// Admission to the mempool: a transaction that this state does not rule out. Whether the action is
    /// accepted is known when it is executed, in its place in the order.
    pub fn check(&self, transaction: &[u8]) -> Result<SignedTransaction, Refusal> {
        let opened = envelope::open(self.view(), transaction, MAX_SEQUENCE_AHEAD, false)?;
        check_duty_and_form(&opened.holder, &opened.signed.transaction.action)?;
        Ok(opened.signed)
    }

    /// Executes a block on this state without changing it. Any bytes get a receipt.
    pub fn execute(&self, context: &BlockContext, transactions: &[Vec<u8>]) -> Execution {
        self.execute_verified(context, transactions, |_| false)
    }

    /// As [`Contract::execute`], without checking a signature again of which `verified` says, by the transaction's id,
    /// that [`Contract::check`] found it good. Nothing but time depends on it.
    pub fn execute_verified(
        &self,
        context: &BlockContext,
        transactions: &[Vec<u8>],
        verified: impl Fn(&Hash) -> bool,
    ) -> Execution {
        let outcome = execute::run(&self.entries, context, transactions, &verified);
        let mut map = self.map.clone();
        for (key, value) in &outcome.changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(key),
            };
        }
        let after = View::through(&self.entries, &outcome.changes);
        Execution {
            receipts: outcome.receipts,
            state_root: map.root(),
            next_validators: after.get(&key::validators()).expect("genesis sets the validators"),
            changes: outcome.changes.into_iter().collect(),
            missed: outcome.missed,
            inadmissible: outcome.inadmissible,
            base_root: self.state_root(),
            map,
        }
    }

    /// Makes an executed block the state. Fails, changing nothing, if it was executed on another state.
    pub fn commit(&mut self, execution: Execution) -> Result<(), StaleExecution> {
        if execution.base_root != self.state_root() {
            return Err(StaleExecution { executed_on: execution.base_root, found: self.state_root() });
        }
        let entries = Arc::make_mut(&mut self.entries);
        for (key, value) in execution.changes {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
        self.map = execution.map;
        Ok(())
    }

    /// Root of the state map, as it stands in the header of the last committed block.
    pub fn state_root(&self) -> Hash {
        self.map.root()
    }

    /// Proof that `key` has its value, or that there is no such entry. Keys: see [`crate::key`].
    pub fn prove(&self, key: &[u8]) -> MapProof {
        self.map.prove(key)
    }

    /// The stored value of an entry.
    pub fn entry(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    /// All entries, sorted by key: what [`Contract::restore`] takes.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::committed(&self.entries)
    }

    /// What follows `prefix` in the keys that begin with it, in order.
    pub(crate) fn suffixes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries
            .range(prefix.as_bytes().to_vec()..)
            .map_while(move |(key, _)| key.strip_prefix(prefix.as_bytes()))
            .filter_map(|suffix| std::str::from_utf8(suffix).ok())
    }
}

fn printable(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(80).flat_map(char::escape_default).collect()
}
