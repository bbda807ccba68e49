//! Transactions as they come in, from here and from peers, and as they go on to the peers.

use std::time::Duration;

use anchor::Hash;
use tokio::time::Instant;
use tracing::debug;

use crate::config::{MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES};
use crate::driver::{Driver, Fatal};
use crate::gossip::{self, MAX_BATCH, Publisher};
use crate::ledger::{SubmitError, lock};
use crate::mempool::Full;
use crate::store::StoreError;

/// Most bytes of waiting transactions that are gossiped again at a time, and how often.
const MAX_REGOSSIP_BYTES: usize = 1 << 20;
const REGOSSIP: Duration = Duration::from_secs(2);

/// What waited longest when it was last looked at.
#[derive(Debug)]
pub(crate) struct Overdue {
    oldest: Option<Hash>,
    since: Instant,
}

impl Default for Overdue {
    fn default() -> Self {
        Overdue { oldest: None, since: Instant::now() }
    }
}

impl Driver {
    pub(crate) fn submit(&mut self, transaction: Vec<u8>) -> Result<Result<Hash, SubmitError>, Fatal> {
        let id = Hash::of(&transaction);
        match self.admit(id, &transaction)? {
            Ok(true) => {
                self.begin_held_height();
                if self.settings.has_peers {
                    self.outbox.push(transaction, Instant::now());
                }
                Ok(Ok(id))
            }
            Ok(false) => Ok(Ok(id)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Takes what a peer passed on, as far as it keeps to the bounds.
    pub(crate) fn receive_batch(&mut self, publisher: &Publisher, batch: Vec<Vec<u8>>) -> Result<(), Fatal> {
        let now = Instant::now();
        let count = batch.len();
        if count > MAX_BATCH {
            lock(&self.board).refused.flooded += count as u64;
            return Ok(());
        }
        let (mut flooded, mut refused, mut repeated, mut new) = (0, 0, 0, false);
        for transaction in batch {
            if !self.meter.admits(publisher, transaction.len(), now) {
                flooded += 1;
                continue;
            }
            match self.admit(Hash::of(&transaction), &transaction)? {
                Ok(true) => new = true,
                Ok(false) => repeated += 1,
                Err(reason) => {
                    debug!(%reason, "A peer passed on a transaction that is not taken");
                    refused += 1;
                }
            }
        }
        if flooded + refused + repeated > 0 {
            let mut board = lock(&self.board);
            board.refused.flooded += flooded;
            board.refused.transactions += refused;
            board.refused.repeated += repeated;
        }
        if new {
            self.begin_held_height();
        }
        Ok(())
    }

    /// Whether the transaction is new and waits now; `false` if it waited already or is final.
    fn admit(&self, id: Hash, transaction: &[u8]) -> Result<Result<bool, SubmitError>, StoreError> {
        if transaction.len() > MAX_TRANSACTION_BYTES {
            return Ok(Err(SubmitError::TooLarge { bytes: transaction.len() }));
        }
        if lock(&self.mempool).contains(&id) || self.store.position(&id)?.is_some() {
            return Ok(Ok(false));
        }
        if let Err(refusal) = self.executor.check(transaction) {
            return Ok(Err(SubmitError::Refused { code: refusal.code, reason: refusal.reason }));
        }
        let sender = self.executor.sender(transaction);
        let inserted = lock(&self.mempool).insert(id, sender, transaction.to_vec());
        Ok(match inserted {
            Ok(()) => Ok(true),
            Err(Full::Mempool) => Err(SubmitError::MempoolFull),
            Err(Full::Sender) => Err(SubmitError::SenderFull),
        })
    }

    pub(crate) async fn send_outbox(&mut self) {
        let messages = self.outbox.take(Instant::now());
        self.publish(messages).await;
    }

    /// Gossips what waits once more if the oldest of it has waited for long, or a round has failed: perhaps the others
    /// never heard of it, or had no room for it then.
    pub(crate) async fn send_overdue(&mut self, failed_round: bool) {
        let pause = if failed_round { REGOSSIP / 4 } else { REGOSSIP };
        if !self.settings.has_peers || self.overdue.since.elapsed() < pause {
            return;
        }
        let (oldest, waiting) = {
            let mempool = lock(&self.mempool);
            let oldest = mempool.oldest();
            let stuck = failed_round || oldest.is_some() && oldest == self.overdue.oldest;
            let waiting =
                if stuck { mempool.first(MAX_BLOCK_TRANSACTIONS, MAX_REGOSSIP_BYTES) } else { vec![] };
            (oldest, waiting)
        };
        self.overdue = Overdue { oldest, since: Instant::now() };
        self.publish(gossip::batches(waiting)).await;
    }
}
