//! What the rest of the product sees of a chain: submit, ask, wait, follow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anchor::{Block, CommitCertificate, Hash, Receipt};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::MAX_TRANSACTION_BYTES;
use crate::mempool::Mempool;
use crate::status::{Board, NodeStatus, Standing};
use crate::store::Store;

/// A block with all that proves it: receipts under `receipts_root`, a certificate over the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalBlock {
    pub block: Block,
    pub receipts: Vec<Receipt>,
    pub certificate: CommitCertificate,
}

/// The newest final block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// 0 before the first block.
    pub height: u64,
    /// Milliseconds since 1970 UTC; genesis time before the first block.
    pub time: u64,
    /// Hash of the header; zero before the first block.
    pub header: Hash,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Neither waiting here nor final. A transaction that waited when the node stopped is unknown after it.
    Unknown,
    Pending,
    Final(Finality),
}

/// Where a transaction became final and what the contract said. The receipt may be a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finality {
    pub height: u64,
    /// Position in the block, from 0.
    pub index: u32,
    pub receipt: Receipt,
}

/// What evidence this kind of ledger gives. Weaker evidence must be shown as weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub engine: &'static str,
    /// Certificates prove finality to somebody without a connection.
    pub offline_finality: bool,
    /// Receipts are committed to by the header.
    pub receipt_proofs: bool,
    /// The state is committed to by the header.
    pub state_proofs: bool,
    pub max_transaction_bytes: usize,
}

/// The node no longer runs, and answers nothing: what it would say could be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chain node has stopped: {why}")]
pub struct NodeStopped {
    pub why: Arc<str>,
}

/// Why a transaction does not wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the contract refuses the transaction: {reason} ({code})")]
    Refused { code: String, reason: String },
    #[error("the transaction has {bytes} bytes, at most {MAX_TRANSACTION_BYTES} are allowed")]
    TooLarge { bytes: usize },
    #[error("the mempool is full; hint: try again after the next block")]
    MempoolFull,
    #[error("too many transactions of this sender wait already; hint: try again after the next block")]
    SenderFull,
    #[error(transparent)]
    Stopped(#[from] NodeStopped),
}

/// Why waiting for a transaction ended without its receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error("transaction {id} is not final after {within:?}; hint: it may still become so, ask again")]
    Deadline { id: Hash, within: Duration },
    #[error(transparent)]
    Stopped(#[from] NodeStopped),
}

#[derive(Debug)]
pub(crate) enum Command {
    Submit { transaction: Vec<u8>, reply: oneshot::Sender<Result<Hash, SubmitError>> },
    Shutdown,
}

#[derive(Debug, Clone)]
pub(crate) enum Life {
    Running,
    /// Answers nothing any more; files may still be open.
    Stopping(Arc<str>),
    /// Files are closed and threads have ended.
    Stopped(Arc<str>),
}

/// A running node of the embedded chain. Cloning it gives another handle; the node stops at
/// [`Node::shutdown`] or when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Weak, so that the file closes with the node and not with the last handle.
    pub(crate) store: Weak<Store>,
    pub(crate) mempool: Arc<Mutex<Mempool>>,
    pub(crate) tip: watch::Receiver<Tip>,
    pub(crate) life: watch::Receiver<Life>,
    pub(crate) board: Arc<Mutex<Board>>,
    pub(crate) peer_id: Arc<str>,
}

/// What is locked here is whole between any two statements, so that a panic elsewhere leaves nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Hands a transaction to the chain. `Ok` means that it waits for a block or is final already (the same
    /// bytes twice are one transaction); only [`Node::status_of`] tells whether it is final.
    pub async fn submit(&self, transaction: Vec<u8>) -> Result<Hash, SubmitError> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Submit { transaction, reply }).await.is_err() {
            return Err(self.stopped().await.into());
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.stopped().await.into()),
        }
    }

    /// What became of the transaction with this id (SHA-256 of its bytes).
    pub async fn status_of(&self, id: &Hash) -> Result<Status, NodeStopped> {
        // The mempool first: a transaction leaves it only after the store has it.
        let pending = lock(&self.mempool).contains(id);
        if pending {
            return self.running().map(|_| Status::Pending);
        }
        let store = self.running()?;
        let Some((height, index)) = self.read(store.position(id))? else { return Ok(Status::Unknown) };
        let block = self.read(store.final_block(height))?;
        let receipt = block.and_then(|b| b.receipts.into_iter().nth(index as usize));
        match receipt {
            Some(receipt) => Ok(Status::Final(Finality { height, index, receipt })),
            None => Err(NodeStopped { why: format!("no receipt for {id} at height {height}").into() }),
        }
    }

    /// Waits until the transaction is final, at most `within`.
    pub async fn wait_final(&self, id: &Hash, within: Duration) -> Result<Finality, WaitError> {
        let mut tip = self.tip.clone();
        let wait = async {
            loop {
                tip.mark_unchanged();
                if let Status::Final(finality) = self.status_of(id).await? {
                    return Ok(finality);
                }
                if tip.changed().await.is_err() {
                    return Err(self.stopped().await.into());
                }
            }
        };
        match tokio::time::timeout(within, wait).await {
            Ok(result) => result,
            Err(_) => Err(WaitError::Deadline { id: *id, within }),
        }
    }

    /// All final blocks from `height` (at least 1) on, in order, without end.
    pub fn subscribe_from(&self, height: u64) -> Subscription {
        Subscription { node: self.clone(), next: height.max(1) }
    }

    /// The final block at `height`, if there is one yet.
    pub async fn final_block(&self, height: u64) -> Result<Option<FinalBlock>, NodeStopped> {
        let store = self.running()?;
        self.read(store.final_block(height))
    }

    /// The newest final block.
    pub fn tip(&self) -> Tip {
        *self.tip.borrow()
    }

    /// What the node knows of itself and its peers now. Cheap: it asks nobody. After the node has stopped, what it knew
    /// last; see [`Node::stop_reason`].
    pub fn status(&self) -> NodeStatus {
        let (tip, pending) = (self.tip(), self.pending());
        lock(&self.board).status(tip, pending)
    }

    /// Transactions that wait here for a block.
    pub fn pending(&self) -> usize {
        lock(&self.mempool).len()
    }

    pub fn caps(&self) -> Caps {
        Caps {
            engine: "malachite",
            offline_finality: true,
            receipt_proofs: true,
            state_proofs: true,
            max_transaction_bytes: MAX_TRANSACTION_BYTES,
        }
    }

    /// The peer-to-peer identity that peers list.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Whether this node votes now. It does not if it is no validator, if it must first hear from the others that it has
    /// forgotten no votes, or if it must first see a block that is newer than every vote it may have forgotten.
    pub fn votes(&self) -> bool {
        lock(&self.board).standing == Standing::Votes
    }

    /// Why the node has stopped, `None` while it runs.
    pub fn stop_reason(&self) -> Option<NodeStopped> {
        match &*self.life.borrow() {
            Life::Running => None,
            Life::Stopping(why) | Life::Stopped(why) => Some(NodeStopped { why: why.clone() }),
        }
    }

    /// Stops the node and waits until its files are closed and its threads have ended.
    pub async fn shutdown(&self) -> NodeStopped {
        // A closed channel means that the node is stopping already.
        let _ = self.commands.send(Command::Shutdown).await;
        let mut life = self.life.clone();
        // An error means that the node's thread is gone, which is what is waited for.
        let _ = life.wait_for(|life| matches!(life, Life::Stopped(_))).await;
        self.stopped().await
    }

    /// Waits until the node stops by itself or by another handle.
    pub async fn stopped(&self) -> NodeStopped {
        let mut life = self.life.clone();
        match life.wait_for(|life| !matches!(life, Life::Running)).await.map(|life| life.clone()) {
            Ok(Life::Stopping(why) | Life::Stopped(why)) => NodeStopped { why },
            Ok(Life::Running) | Err(_) => NodeStopped { why: "its thread ended".into() },
        }
    }

    fn running(&self) -> Result<Arc<Store>, NodeStopped> {
        match self.stop_reason() {
            Some(stopped) => Err(stopped),
            None => self.store.upgrade().ok_or_else(|| NodeStopped { why: "its store is closed".into() }),
        }
    }

    /// A store that cannot be read is as bad as one that cannot be written: the node is told to stop.
    fn read<T>(&self, result: Result<T, crate::store::StoreError>) -> Result<T, NodeStopped> {
        result.map_err(|error| {
            tracing::error!(%error, "Cannot read the chain store, stopping the node");
            // Full or closed: it is stopping or will meet the same failure itself.
            let _ = self.commands.try_send(Command::Shutdown);
            NodeStopped { why: error.to_string().into() }
        })
    }
}

/// Final blocks in order. Each is read from the store when asked for, so a slow reader costs nothing and
/// misses nothing.
#[derive(Debug)]
pub struct Subscription {
    node: Node,
    next: u64,
}

impl Subscription {
    /// The next final block; waits for it if need be. Safe to cancel.
    pub async fn next(&mut self) -> Result<FinalBlock, NodeStopped> {
        let mut tip = self.node.tip.clone();
        if tip.wait_for(|tip| tip.height >= self.next).await.is_err() {
            return Err(self.node.stopped().await);
        }
        match self.node.final_block(self.next).await? {
            Some(block) => {
                self.next += 1;
                Ok(block)
            }
            None => Err(NodeStopped { why: format!("block {} is missing from its store", self.next).into() }),
        }
    }
}
