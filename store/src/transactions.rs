//! Outgoing transactions: the sequence number is taken and the signed bytes stand here before anybody sends them.

use anchor::transaction::transaction_id;
use anchor::{Hash, PublicKey};
use model::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::projection::Refused;
use crate::seal::seal;

/// A transaction signed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingTransaction {
    /// SHA-256 of `bytes`.
    pub id: Hash,
    pub key: PublicKey,
    pub sequence: u64,
    /// What it is for, such as `open/17`; at most one that is not refused for each purpose.
    pub purpose: String,
    /// The encoded signed transaction.
    pub bytes: Vec<u8>,
    pub staged: Timestamp,
    pub state: TransactionState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionState {
    /// Perhaps sent, perhaps not: send it (again).
    Staged,
    /// In the block at `height`, accepted.
    Final { height: u64, index: u32 },
    /// Refused: by the contract in the block at `height`, or (`None`) before it came into any block.
    Refused { height: Option<u64>, code: String, reason: String },
}

impl Store {
    /// Takes `key`'s next sequence number, has `make` sign with it, and keeps the bytes, in one transaction. A
    /// crash before leaves no trace; a crash after leaves a pending transaction, to be sent again as it is.
    ///
    /// If one with this purpose stands already, staged or final, that one is returned and `make` is not called:
    /// what was signed once is never signed differently.
    pub async fn stage_transaction(
        &self,
        key: &PublicKey,
        purpose: &str,
        now: Timestamp,
        make: impl FnOnce(u64) -> Vec<u8> + Send,
    ) -> Result<OutgoingTransaction> {
        let mut link = self.writer().await?;
        if let Some(standing) = standing(&mut link, purpose).await? {
            return Ok(standing);
        }
        let sequence = next_sequence(&mut link, key).await?;
        let bytes = make(sequence);
        let id = transaction_id(&bytes);
        // The same bytes may have been refused before they came into a block: a number given back is taken again.
        let insert = "INSERT INTO outgoing (id, key, sequence, purpose, bytes, staged_at, state) \
                      VALUES (?, ?, ?, ?, ?, ?, 'staged') ON CONFLICT (id) DO UPDATE SET state = 'staged', \
                      refused_code = NULL, refused_reason = NULL, staged_at = excluded.staged_at, \
                      seal = zeroblob(32) WHERE state = 'refused' AND height IS NULL";
        let insert = sqlx::query(insert)
            .bind(id.0.to_vec())
            .bind(key.0.to_vec())
            .bind(int(sequence)?)
            .bind(purpose)
            .bind(bytes.as_slice())
            .bind(now.0);
        link.execute(insert).await?;
        set_next(&mut link, key, sequence + 1).await?;
        seal(&mut link, &["outgoing"]).await?;
        link.commit().await?;
        let state = TransactionState::Staged;
        Ok(OutgoingTransaction {
            id,
            key: *key,
            sequence,
            purpose: purpose.to_owned(),
            bytes,
            staged: now,
            state,
        })
    }

    /// Transactions that are neither final nor refused, in the order in which they must be sent.
    pub async fn pending_transactions(&self) -> Result<Vec<OutgoingTransaction>> {
        let mut link = self.reader().await?;
        let query = "SELECT * FROM outgoing WHERE state = 'staged' ORDER BY key, sequence";
        link.rows(sqlx::query(query)).await?.iter().map(outgoing).collect()
    }

    /// The transaction of this purpose that is staged or final.
    pub async fn outgoing(&self, purpose: &str) -> Result<Option<OutgoingTransaction>> {
        standing(&mut self.reader().await?, purpose).await
    }

    /// It is in a block, accepted. [`Store::apply_block`] does this by itself; for chains that are not projected.
    pub async fn mark_final(&self, id: &Hash, height: u64, index: u32) -> Result<()> {
        let mut link = self.writer().await?;
        settle(&mut link, id, height, u64::from(index), None).await?;
        seal(&mut link, &["outgoing"]).await?;
        link.commit().await
    }

    /// It was refused. With `height` it is in that block and used its sequence number; without, no block will hold
    /// it and the number is given back, which is only possible while it is the last one taken.
    pub async fn mark_refused(&self, id: &Hash, height: Option<u64>, code: &str, reason: &str) -> Result<()> {
        let mut link = self.writer().await?;
        let refused = Refused { code: code.to_owned(), reason: reason.to_owned() };
        match height {
            Some(height) => settle(&mut link, id, height, 0, Some(&refused)).await?,
            None => give_back(&mut link, id, &refused).await?,
        }
        seal(&mut link, &["outgoing"]).await?;
        link.commit().await
    }

    /// Raises the key's next sequence number to `next`, what the chain expects, for a database that was restored
    /// from an older copy or a key that signed elsewhere. Never lowers it.
    pub async fn align_sequence(&self, key: &PublicKey, next: u64) -> Result<()> {
        let mut link = self.writer().await?;
        if next > next_sequence(&mut link, key).await? {
            set_next(&mut link, key, next).await?;
        }
        link.commit().await
    }
}

/// Notes in which block an outgoing transaction stands; others than ours and settled ones are left alone. One that
/// was given up may still have come into a block through another node. Where its number was taken again meanwhile it
/// stays given up, and the chain refuses the newer one.
pub(crate) async fn settle(
    link: &mut Link,
    id: &Hash,
    height: u64,
    place: u64,
    refused: Option<&Refused>,
) -> Result<()> {
    let update = "UPDATE OR IGNORE outgoing SET state = ?, height = ?, place = ?, refused_code = ?, \
                  refused_reason = ?, seal = zeroblob(32) WHERE id = ? AND state <> 'final' AND height IS NULL";
    let update = sqlx::query(update)
        .bind(if refused.is_some() { "refused" } else { "final" })
        .bind(int(height)?)
        .bind(int(place)?)
        .bind(refused.map(|r| r.code.as_str()))
        .bind(refused.map(|r| r.reason.as_str()))
        .bind(id.0.to_vec());
    link.execute(update).await.map(drop)
}

async fn give_back(link: &mut Link, id: &Hash, refused: &Refused) -> Result<()> {
    let query = sqlx::query("SELECT * FROM outgoing WHERE id = ?").bind(id.0.to_vec());
    let row = link.row(query).await?.ok_or_else(|| StoreError::missing("outgoing transaction", id))?;
    let transaction = outgoing(&row)?;
    if transaction.state != TransactionState::Staged {
        return Ok(());
    }
    if next_sequence(link, &transaction.key).await? != transaction.sequence + 1 {
        let why = "later transactions of its key are staged; refuse those first";
        return Err(StoreError::conflict("refusal of transaction", id, why));
    }
    let update = "UPDATE outgoing SET state = 'refused', refused_code = ?, refused_reason = ?, seal = zeroblob(32) \
                  WHERE id = ?";
    let update = sqlx::query(update).bind(refused.code.as_str()).bind(refused.reason.as_str());
    link.execute(update.bind(id.0.to_vec())).await?;
    set_next(link, &transaction.key, transaction.sequence).await
}

async fn standing(link: &mut Link, purpose: &str) -> Result<Option<OutgoingTransaction>> {
    let query = sqlx::query("SELECT * FROM outgoing WHERE purpose = ? AND state <> 'refused'").bind(purpose);
    link.row(query).await?.as_ref().map(outgoing).transpose()
}

async fn next_sequence(link: &mut Link, key: &PublicKey) -> Result<u64> {
    let query = sqlx::query("SELECT next FROM key_sequences WHERE key = ?").bind(key.0.to_vec());
    link.row(query).await?.map_or(Ok(1), |row| row.number("next"))
}

async fn set_next(link: &mut Link, key: &PublicKey, next: u64) -> Result<()> {
    let set = "INSERT INTO key_sequences (key, next) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET next = excluded.next";
    link.execute(sqlx::query(set).bind(key.0.to_vec()).bind(int(next)?)).await.map(drop)
}

fn outgoing(row: &SqliteRow) -> Result<OutgoingTransaction> {
    let id = row.hash("id")?;
    let state = match row.text("state")?.as_str() {
        "staged" => TransactionState::Staged,
        "final" => TransactionState::Final { height: row.number("height")?, index: row.small("place")? },
        _ => TransactionState::Refused {
            height: row.opt_number("height")?,
            code: row.text("refused_code")?,
            reason: row.text("refused_reason")?,
        },
    };
    let bytes = row.blob("bytes")?;
    if transaction_id(&bytes) != id {
        return Err(StoreError::damaged("outgoing", id, "the bytes have another SHA-256"));
    }
    Ok(OutgoingTransaction {
        id,
        key: PublicKey(row.bytes32("key")?),
        sequence: row.number("sequence")?,
        purpose: row.text("purpose")?,
        bytes,
        staged: row.time("staged_at")?,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::scratch;

    const KEY: PublicKey = PublicKey([7; 32]);

    async fn stage(store: &Store, purpose: &str) -> OutgoingTransaction {
        let make = |sequence: u64| format!("{purpose} signed with {sequence}").into_bytes();
        store.stage_transaction(&KEY, purpose, Timestamp(1), make).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_signed_once_for_a_purpose_is_returned_and_never_signed_differently() {
        let (store, _folder) = scratch().await;
        let first = stage(&store, "open/1").await;
        assert_eq!(first.sequence, 1);
        let again = store.stage_transaction(&KEY, "open/1", Timestamp(9), |_| unreachable!()).await;
        assert_eq!(again.unwrap(), first);
        let second = stage(&store, "anchor/5").await;
        assert_eq!(second.sequence, 2);
        assert_eq!(store.pending_transactions().await.unwrap(), [first.clone(), second.clone()]);
        store.mark_final(&first.id, 4, 1).await.unwrap();
        let state = store.outgoing("open/1").await.unwrap().unwrap().state;
        assert_eq!(state, TransactionState::Final { height: 4, index: 1 });
        assert_eq!(store.pending_transactions().await.unwrap(), [second]);
    }

    #[tokio::test]
    async fn a_refusal_before_any_block_gives_the_number_back_and_one_in_a_block_does_not() {
        let (store, _folder) = scratch().await;
        let a = stage(&store, "a").await;
        let b = stage(&store, "b").await;
        let early = store.mark_refused(&a.id, None, "malformed", "x").await;
        assert!(matches!(early, Err(StoreError::Conflict { .. })));
        store.mark_refused(&b.id, None, "malformed", "x").await.unwrap();
        let c = stage(&store, "b").await;
        assert_eq!((c.sequence, store.outgoing("b").await.unwrap().unwrap().id), (2, c.id));
        store.mark_refused(&c.id, Some(3), "duty", "x").await.unwrap();
        assert_eq!(stage(&store, "b2").await.sequence, 3);
        let given_up = stage(&store, "e").await;
        store.mark_refused(&given_up.id, None, "busy", "x").await.unwrap();
        store.mark_final(&given_up.id, 5, 0).await.unwrap();
        assert_eq!(
            store.outgoing("e").await.unwrap().map(|t| t.id),
            Some(given_up.id),
            "it came in after all"
        );
        store.align_sequence(&KEY, 2).await.unwrap();
        store.align_sequence(&KEY, 9).await.unwrap();
        assert_eq!(stage(&store, "d").await.sequence, 9);
    }
}
