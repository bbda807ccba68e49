//! Transactions that wait for a block: first come, first served, bounded in number and bytes.
//! Kept in memory only; whoever submitted a transaction keeps it until it is final.

use std::collections::BTreeMap;

use anchor::Hash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    pub transactions: usize,
    pub bytes: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        MempoolLimits { transactions: 10_000, bytes: 32 << 20 }
    }
}

#[derive(Debug)]
pub(crate) struct Mempool {
    limits: MempoolLimits,
    arrivals: u64,
    bytes: usize,
    /// By arrival.
    queue: BTreeMap<u64, Vec<u8>>,
    by_id: BTreeMap<Hash, u64>,
}

/// The mempool holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Mempool {
    pub fn new(limits: MempoolLimits) -> Self {
        Mempool { limits, arrivals: 0, bytes: 0, queue: BTreeMap::new(), by_id: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn contains(&self, id: &Hash) -> bool {
        self.by_id.contains_key(id)
    }

    /// Adds `transaction`; one that waits already keeps its place.
    pub fn insert(&mut self, id: Hash, transaction: Vec<u8>) -> Result<(), Full> {
        if self.contains(&id) {
            return Ok(());
        }
        let fits = self.queue.len() < self.limits.transactions
            && self.bytes.saturating_add(transaction.len()) <= self.limits.bytes;
        if !fits {
            return Err(Full);
        }
        self.arrivals += 1;
        self.bytes += transaction.len();
        self.by_id.insert(id, self.arrivals);
        self.queue.insert(self.arrivals, transaction);
        Ok(())
    }

    pub fn remove(&mut self, id: &Hash) {
        if let Some(transaction) = self.by_id.remove(id).and_then(|arrival| self.queue.remove(&arrival)) {
            self.bytes -= transaction.len();
        }
    }

    /// The longest prefix of the queue within both limits.
    pub fn first(&self, transactions: usize, bytes: usize) -> Vec<Vec<u8>> {
        let mut left = bytes;
        let fits = |transaction: &&Vec<u8>| match left.checked_sub(transaction.len()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        self.queue.values().take(transactions).take_while(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mempool(transactions: usize, bytes: usize) -> Mempool {
        Mempool::new(MempoolLimits { transactions, bytes })
    }

    fn insert(mempool: &mut Mempool, transaction: &[u8]) -> Result<(), Full> {
        mempool.insert(Hash::of(transaction), transaction.to_vec())
    }

    #[test]
    fn order_is_that_of_arrival_and_a_duplicate_keeps_its_place() {
        let mut pool = mempool(10, 100);
        for transaction in [b"b", b"a", b"b", b"c"] {
            insert(&mut pool, transaction).unwrap();
        }
        assert_eq!(pool.first(10, 100), [b"b", b"a", b"c"]);
        pool.remove(&Hash::of(b"a"));
        assert_eq!(pool.first(10, 100), [b"b", b"c"]);
    }

    #[test]
    fn limits_hold_and_removal_makes_room() {
        let mut pool = mempool(2, 10);
        insert(&mut pool, b"1234567").unwrap();
        assert_eq!(insert(&mut pool, b"12345"), Err(Full));
        insert(&mut pool, b"abc").unwrap();
        assert_eq!(insert(&mut pool, b""), Err(Full));
        pool.remove(&Hash::of(b"1234567"));
        insert(&mut pool, b"12345").unwrap();
        assert_eq!(pool.first(10, 8).len(), 2);
        assert_eq!(pool.first(10, 7).len(), 1);
        assert_eq!(pool.first(1, 100).len(), 1);
    }
}
