//! Transactions that this agent signs itself, with its log key: persisted before they are sent, sent again after a
//! crash, never twice with another meaning.

use anchor::{Action, Hash, Receipt, ReceiptOutcome, Transaction};
use anyhow::{Context as _, Result};
use chain::{Finality, SubmitError};
use contract::code;
use store::{OutgoingTransaction, TransactionState};

use crate::app::App;
use crate::clock;
use crate::ledger::LedgerError;

/// Why an own transaction is not final.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The chain is halted or out of reach; the transaction stays staged and is sent again.
    #[error("the chain did not take it in time: {0}")]
    OutOfReach(LedgerError),
    #[error("the contract refused it: {reason} ({code})")]
    Refused { code: String, reason: String },
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl App {
    /// Signs `action`, keeps the bytes, submits them and waits until they are final. Another call with the same
    /// `purpose` continues the first one.
    pub(crate) async fn send(&self, purpose: &str, action: Action) -> Result<(Hash, u64), SendError> {
        let _one_at_a_time = self.sending.lock().await;
        self.send_pending().await?;
        self.align().await?;
        let staged = self.stage(purpose, action).await.map_err(SendError::Other)?;
        match staged.state {
            TransactionState::Final { height, .. } => Ok((staged.id, height)),
            TransactionState::Refused { code, reason, .. } => Err(SendError::Refused { code, reason }),
            TransactionState::Staged => self.deliver(&staged).await,
        }
    }

    /// Sends again what was staged before a crash or while the chain was out of reach.
    pub(crate) async fn resend(&self) -> Result<(), SendError> {
        let _one_at_a_time = self.sending.lock().await;
        self.send_pending().await
    }

    async fn send_pending(&self) -> Result<(), SendError> {
        let pending = self.store.pending_transactions().await.context("cannot read staged transactions")?;
        for staged in pending {
            match self.deliver(&staged).await {
                // Its own purpose will meet the refusal again, with its reason.
                Ok(_) | Err(SendError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn align(&self) -> Result<(), SendError> {
        let key = self.log_key.public();
        let next = self.ledger.contract().read().next_sequence(&key);
        let next = next.context("the log key has used all its sequence numbers").map_err(SendError::Other)?;
        self.store
            .align_sequence(&key, next)
            .await
            .context("cannot align the key's sequence")
            .map_err(SendError::Other)
    }

    async fn stage(&self, purpose: &str, action: Action) -> Result<OutgoingTransaction> {
        let sender = self.log_key.public();
        let chain_id = self.ledger.genesis().chain_id.clone();
        let key = self.log_key.clone();
        let make = move |sequence| Transaction { chain_id, sender, sequence, action }.sign(&key).encode();
        let staged = self.store.stage_transaction(&sender, purpose, clock::now(), make).await;
        staged.context("cannot keep the signed transaction")
    }

    async fn deliver(&self, staged: &OutgoingTransaction) -> Result<(Hash, u64), SendError> {
        match self.ledger.submit(staged.bytes.clone()).await {
            Ok(finality) => self.conclude(staged, &finality).await,
            Err(LedgerError::Submit(SubmitError::Refused { code, reason })) => {
                let refused = self.store.mark_refused(&staged.id, None, &code, &reason).await;
                refused.context("cannot note a refusal").map_err(SendError::Other)?;
                Err(SendError::Refused { code, reason })
            }
            Err(error) => Err(SendError::OutOfReach(error)),
        }
    }

    async fn conclude(
        &self,
        staged: &OutgoingTransaction,
        finality: &Finality,
    ) -> Result<(Hash, u64), SendError> {
        let noted = match refusal(&finality.receipt) {
            None => self.store.mark_final(&staged.id, finality.height, finality.index).await,
            Some((code, reason)) => {
                self.store.mark_refused(&staged.id, Some(finality.height), &code, &reason).await
            }
        };
        noted.context("cannot note finality").map_err(SendError::Other)?;
        match refusal(&finality.receipt) {
            None => Ok((staged.id, finality.height)),
            Some((code, reason)) => Err(SendError::Refused { code, reason }),
        }
    }
}

fn refusal(receipt: &Receipt) -> Option<(String, String)> {
    match &receipt.outcome {
        ReceiptOutcome::Accepted => None,
        ReceiptOutcome::Refused { code, reason } => Some((code.clone(), reason.clone())),
    }
}

impl SendError {
    /// Whether the contract says that exactly this stands already.
    pub(crate) fn says_done(&self) -> bool {
        matches!(self, SendError::Refused { code, .. } if code == code::DUPLICATE || code == code::NO_PROGRESS)
    }
}
