//! Transactions between nodes: sent in batches, looked at within bounds. Nothing here trusts a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arc_malachitebft_app::streaming::{StreamContent, StreamId, StreamMessage};
use bytes::Bytes;
use tokio::time::Instant;

use crate::config::MAX_TRANSACTION_BYTES;
use crate::context::Part;

/// Most transactions in one message.
pub(crate) const MAX_BATCH: usize = 256;
/// Most bytes of transactions in one message; one transaction of the largest size fits.
const MAX_BATCH_BYTES: usize = MAX_TRANSACTION_BYTES;
/// Under load, transactions of this time travel together. The first one after a pause goes at once.
const BATCH_TIME: Duration = Duration::from_millis(5);
/// What is looked at of one peer per second; twice that after a pause.
const PEER_TRANSACTIONS: f64 = 2_000.0;
const PEER_BYTES: f64 = 8_388_608.0;

/// Cuts transactions into messages.
pub(crate) fn batches(transactions: Vec<Vec<u8>>) -> Vec<StreamMessage<Part>> {
    let mut messages = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for transaction in transactions {
        if batch.len() >= MAX_BATCH || !batch.is_empty() && bytes + transaction.len() > MAX_BATCH_BYTES {
            messages.push(message(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += transaction.len();
        batch.push(transaction);
    }
    if !batch.is_empty() {
        messages.push(message(batch));
    }
    messages
}

/// A stream of one part. Nobody puts it together, so its id says nothing.
fn message(batch: Vec<Vec<u8>>) -> StreamMessage<Part> {
    let id = StreamId::new(Bytes::from_static(b"transactions"));
    StreamMessage::new(id, 0, StreamContent::Data(Part::Transactions(batch)))
}

/// Transactions that wait a moment for company.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Vec<Vec<u8>>,
    due: Option<Instant>,
    sent: Option<Instant>,
}

impl Outbox {
    pub fn push(&mut self, transaction: Vec<u8>, now: Instant) {
        self.waiting.push(transaction);
        let due = self.sent.map_or(now, |sent| (sent + BATCH_TIME).max(now));
        self.due.get_or_insert(due);
    }

    /// When to send what waits.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    pub fn take(&mut self, now: Instant) -> Vec<StreamMessage<Part>> {
        self.due = None;
        self.sent = Some(now);
        batches(std::mem::take(&mut self.waiting))
    }
}

/// Who publishes, as far as it matters: the listed peers each for itself, all others together. A peer may make up
/// as many identities as it likes, and relay messages that they sign.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Publisher {
    Listed(Vec<u8>),
    Other,
}

/// The peers that the configuration lists.
#[derive(Debug, Default)]
pub(crate) struct Listed(BTreeSet<Vec<u8>>);

impl Listed {
    pub fn new(peer_ids: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Listed(peer_ids.into_iter().collect())
    }

    pub fn publisher(&self, peer_id: &[u8]) -> Publisher {
        if self.0.contains(peer_id) { Publisher::Listed(peer_id.to_vec()) } else { Publisher::Other }
    }
}

/// How much of each publisher has been looked at lately.
#[derive(Debug, Default)]
pub(crate) struct Meter(BTreeMap<Publisher, Bucket>);

#[derive(Debug)]
struct Bucket {
    transactions: f64,
    bytes: f64,
    filled: Instant,
}

impl Meter {
    /// Whether another transaction of this publisher may be looked at.
    pub fn admits(&mut self, publisher: &Publisher, bytes: usize, now: Instant) -> bool {
        let full = || Bucket { transactions: 2.0 * PEER_TRANSACTIONS, bytes: 2.0 * PEER_BYTES, filled: now };
        let bucket = self.0.entry(publisher.clone()).or_insert_with(full);
        let seconds = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.filled = now;
        let fill = |level: f64, rate: f64| (level + seconds * rate).min(2.0 * rate);
        bucket.transactions = fill(bucket.transactions, PEER_TRANSACTIONS);
        bucket.bytes = fill(bucket.bytes, PEER_BYTES);
        let bytes = bytes as f64;
        if bucket.transactions < 1.0 || bucket.bytes < bytes {
            return false;
        }
        bucket.transactions -= 1.0;
        bucket.bytes -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(messages: &[StreamMessage<Part>]) -> Vec<usize> {
        let batch = |message: &StreamMessage<Part>| match &message.content {
            StreamContent::Data(Part::Transactions(batch)) => batch.len(),
            other => panic!("{other:?}"),
        };
        messages.iter().map(batch).collect()
    }

    #[test]
    fn batches_keep_to_both_bounds() {
        assert!(batches(vec![]).is_empty());
        assert_eq!(sizes(&batches(vec![vec![1; 10]; 600])), [256, 256, 88]);
        assert_eq!(sizes(&batches(vec![vec![1; 100_000]; 5])), [2, 2, 1]);
        assert_eq!(sizes(&batches(vec![vec![1; MAX_TRANSACTION_BYTES]; 2])), [1, 1]);
    }

    #[test]
    fn the_first_goes_at_once_and_the_next_wait_for_company() {
        let mut outbox = Outbox::default();
        let start = Instant::now();
        outbox.push(vec![1], start);
        assert_eq!(outbox.due(), Some(start));
        assert_eq!(sizes(&outbox.take(start)), [1]);
        assert_eq!(outbox.due(), None);
        outbox.push(vec![2], start + Duration::from_millis(1));
        outbox.push(vec![3], start + Duration::from_millis(2));
        assert_eq!(outbox.due(), Some(start + BATCH_TIME));
        assert_eq!(sizes(&outbox.take(start + BATCH_TIME)), [2]);
        let later = start + Duration::from_secs(1);
        outbox.push(vec![4], later);
        assert_eq!(outbox.due(), Some(later));
    }

    #[test]
    fn a_flood_is_cut_off_and_does_not_touch_others() {
        let listed = Listed::new([b"a".to_vec(), b"b".to_vec()]);
        let (a, b) = (listed.publisher(b"a"), listed.publisher(b"b"));
        assert_eq!(listed.publisher(b"made up"), listed.publisher(b"made up too"));
        let mut meter = Meter::default();
        let start = Instant::now();
        let seen = (0..50_000).filter(|_| meter.admits(&a, 100, start)).count();
        assert_eq!(seen, 4_000);
        assert!(meter.admits(&b, 100, start));
        let second = start + Duration::from_secs(1);
        let seen = (0..50_000).filter(|_| meter.admits(&a, 100, second)).count();
        assert_eq!(seen, 2_000);
        let later = start + Duration::from_secs(60);
        let seen = (0..50_000).filter(|_| meter.admits(&a, 1 << 18, later)).count();
        assert_eq!(seen, 64, "bytes are bounded as well");
        assert_eq!(meter.0.len(), 2);
    }
}
