//! The agent's chain node: start, submit and wait, and evidence of what is final.

use std::sync::Arc;
use std::time::Duration;

use anchor::bundle::{BlockEvidence, Role, TransactionEvidence};
use anchor::{Genesis, Hash};
use anyhow::{Context as _, Result, anyhow};
use chain::{Finality, Node, NodeConfig, Status, SubmitError, WaitError};

use crate::config::AgentConfig;
use crate::keys;
use crate::machine::{Machine, SharedContract};

/// The embedded chain with the contract's committed state beside it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    node: Node,
    contract: SharedContract,
    genesis: Arc<Genesis>,
    /// How long finality is waited for.
    patience: Duration,
}

/// Why a transaction is not known to be final.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Wait(#[from] WaitError),
}

impl Ledger {
    /// Starts the node of `config.operator` on its data folder.
    pub async fn start(config: &AgentConfig, genesis: Genesis) -> Result<Ledger> {
        let contract = SharedContract::from_genesis(&genesis)?;
        let consensus_key = keys::load(&config.key_path("consensus"))?;
        let mut node = NodeConfig::new(config.data.join("node"), genesis.clone(), consensus_key);
        node.moniker = config.operator.clone();
        node.listen = config.node.listen;
        node.rejoin = config.node.rejoin;
        node.peers = config.peers.members.iter().filter_map(|peer| peer.node.clone()).collect();
        let machine = Machine::new(genesis.clone(), contract.clone());
        let node = Node::start(node, Box::new(machine)).await.context("the chain node does not start")?;
        let patience = Duration::from_secs(config.node.finality_seconds);
        Ok(Ledger { node, contract, genesis: Arc::new(genesis), patience })
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn contract(&self) -> &SharedContract {
        &self.contract
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Height that the next block will have: what is in force is asked for this height.
    pub fn next_height(&self) -> u64 {
        self.node.tip().height.saturating_add(1)
    }

    /// Submits and waits until it is final. The receipt may be a refusal. Submitting the same bytes again is
    /// harmless.
    pub async fn submit(&self, transaction: Vec<u8>) -> Result<Finality, LedgerError> {
        let id = self.node.submit(transaction).await?;
        Ok(self.node.wait_final(&id, self.patience).await?)
    }

    /// The transaction `id` as evidence, with the block that holds it.
    pub async fn evidence(&self, role: Role, id: &Hash) -> Result<(TransactionEvidence, BlockEvidence)> {
        let Status::Final(finality) = self.node.status_of(id).await? else {
            return Err(anyhow!("transaction {id} is not final"));
        };
        let block = self
            .node
            .final_block(finality.height)
            .await?
            .with_context(|| format!("block {} is not in the store", finality.height))?;
        let index = usize::try_from(finality.index)?;
        let evidence = TransactionEvidence::with_receipts(role, &block.block, &block.receipts, index)?;
        Ok((evidence, BlockEvidence::new(&block.block.header, &block.certificate)))
    }
}
