//! Transactions that wait for a block: first come, first served, bounded in number and bytes, in total and for each
//! sender, so that one member cannot take the others' room.
//! Kept in memory only; whoever submitted a transaction keeps it until it is final.

use std::collections::{BTreeMap, BTreeSet};

use anchor::Hash;

/// How much may wait here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    pub transactions: usize,
    pub bytes: usize,
    /// Of one sender, see [`crate::StateMachine::sender`].
    pub sender_transactions: usize,
    pub sender_bytes: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        MempoolLimits {
            transactions: 10_000,
            bytes: 32 << 20,
            sender_transactions: 2_000,
            sender_bytes: 8 << 20,
        }
    }
}

/// Whose room a transaction takes; those of unknown senders share one.
pub(crate) type Sender = Option<[u8; 32]>;

#[derive(Debug)]
pub(crate) struct Mempool {
    limits: MempoolLimits,
    arrivals: u64,
    total: Load,
    /// Only of senders of whom something waits.
    senders: BTreeMap<Sender, Load>,
    /// By arrival.
    queue: BTreeMap<u64, Waiting>,
    by_id: BTreeMap<Hash, u64>,
}

#[derive(Debug)]
struct Waiting {
    id: Hash,
    sender: Sender,
    transaction: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    transactions: usize,
    bytes: usize,
}

impl Load {
    fn takes(&self, bytes: usize, most: Load) -> bool {
        self.transactions < most.transactions && self.bytes.saturating_add(bytes) <= most.bytes
    }

    fn add(&mut self, bytes: usize) {
        self.transactions += 1;
        self.bytes += bytes;
    }

    fn subtract(&mut self, bytes: usize) {
        self.transactions -= 1;
        self.bytes -= bytes;
    }
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Mempool,
    Sender,
}

impl Mempool {
    pub fn new(limits: MempoolLimits) -> Self {
        Mempool {
            limits,
            arrivals: 0,
            total: Load::default(),
            senders: BTreeMap::new(),
            queue: BTreeMap::new(),
            by_id: BTreeMap::new(),
        }
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

    /// The one that waits longest.
    pub fn oldest(&self) -> Option<Hash> {
        self.queue.values().next().map(|waiting| waiting.id)
    }

    /// Adds `transaction`; one that waits already keeps its place.
    pub fn insert(&mut self, id: Hash, sender: Sender, transaction: Vec<u8>) -> Result<(), Full> {
        if self.contains(&id) {
            return Ok(());
        }
        let MempoolLimits { transactions, bytes, sender_transactions, sender_bytes } = self.limits;
        let size = transaction.len();
        if !self.total.takes(size, Load { transactions, bytes }) {
            return Err(Full::Mempool);
        }
        let own = self.senders.get(&sender).copied().unwrap_or_default();
        if !own.takes(size, Load { transactions: sender_transactions, bytes: sender_bytes }) {
            return Err(Full::Sender);
        }
        self.arrivals += 1;
        self.total.add(size);
        self.senders.entry(sender).or_default().add(size);
        self.by_id.insert(id, self.arrivals);
        self.queue.insert(self.arrivals, Waiting { id, sender, transaction });
        Ok(())
    }

    pub fn remove(&mut self, id: &Hash) {
        let Some(waiting) = self.by_id.remove(id).and_then(|arrival| self.queue.remove(&arrival)) else {
            return;
        };
        let size = waiting.transaction.len();
        self.total.subtract(size);
        if let Some(own) = self.senders.get_mut(&waiting.sender) {
            own.subtract(size);
            if own.transactions == 0 {
                self.senders.remove(&waiting.sender);
            }
        }
    }

    /// What waits longest, in order of arrival, within both limits. While several senders wait, each gets its share
    /// first and only then what others leave: what one of them piles up does not keep the others out. Of each sender
    /// it is a prefix, since its transactions may build on each other.
    pub fn first(&self, transactions: usize, bytes: usize) -> Vec<Vec<u8>> {
        let senders = self.senders.len().clamp(1, MAX_SHARES);
        let share = Load { transactions: transactions.div_ceil(senders), bytes: bytes / senders };
        let whole = Load { transactions, bytes };
        let mut choice = Choice::default();
        choice.extend(&self.queue, share, whole);
        choice.extend(&self.queue, whole, whole);
        let chosen = choice.arrivals.iter().filter_map(|arrival| self.queue.get(arrival));
        chosen.map(|waiting| waiting.transaction.clone()).collect()
    }
}

/// Shares of a block; more senders than that have to leave something for later blocks.
const MAX_SHARES: usize = 16;

/// Transactions chosen for a block.
#[derive(Debug, Default)]
struct Choice {
    arrivals: BTreeSet<u64>,
    total: Load,
    senders: BTreeMap<Sender, Load>,
}

impl Choice {
    /// Adds what fits, of each sender up to `share` in all.
    fn extend(&mut self, queue: &BTreeMap<u64, Waiting>, share: Load, whole: Load) {
        let mut closed = BTreeSet::new();
        for (arrival, waiting) in queue {
            if self.arrivals.contains(arrival) || closed.contains(&waiting.sender) {
                continue;
            }
            let size = waiting.transaction.len();
            let own = self.senders.entry(waiting.sender).or_default();
            if own.takes(size, share) && self.total.takes(size, whole) {
                own.add(size);
                self.total.add(size);
                self.arrivals.insert(*arrival);
            } else {
                closed.insert(waiting.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mempool(transactions: usize, bytes: usize) -> Mempool {
        let (sender_transactions, sender_bytes) = (transactions, bytes);
        Mempool::new(MempoolLimits { transactions, bytes, sender_transactions, sender_bytes })
    }

    fn insert(mempool: &mut Mempool, transaction: &[u8]) -> Result<(), Full> {
        mempool.insert(Hash::of(transaction), None, transaction.to_vec())
    }

    #[test]
    fn what_one_sender_piles_up_leaves_the_others_their_share() {
        let mut pool = mempool(1_000, 10_000);
        let mut send = |sender: u8, n: u8| {
            let transaction = vec![sender, n, 0, 0, 0];
            pool.insert(Hash::of(&transaction), Some([sender; 32]), transaction).unwrap();
        };
        (0..100).for_each(|n| send(1, n));
        (0..3).for_each(|n| send(2, n));
        let of = |sender: u8, found: &[Vec<u8>]| {
            found.iter().filter(|t| t[0] == sender).map(|t| t[1]).collect::<Vec<_>>()
        };
        let found = pool.first(10, 10_000);
        assert_eq!((of(1, &found), of(2, &found)), ((0..7).collect(), vec![0, 1, 2]));
        let found = pool.first(1_000, 40);
        assert_eq!((of(1, &found), of(2, &found)), ((0..5).collect(), vec![0, 1, 2]));
    }

    #[test]
    fn order_is_that_of_arrival_and_a_duplicate_keeps_its_place() {
        let mut pool = mempool(10, 100);
        for transaction in [b"b", b"a", b"b", b"c"] {
            insert(&mut pool, transaction).unwrap();
        }
        assert_eq!(pool.first(10, 100), [b"b", b"a", b"c"]);
        assert_eq!(pool.oldest(), Some(Hash::of(b"b")));
        pool.remove(&Hash::of(b"a"));
        assert_eq!(pool.first(10, 100), [b"b", b"c"]);
    }

    #[test]
    fn limits_hold_and_removal_makes_room() {
        let mut pool = mempool(2, 10);
        insert(&mut pool, b"1234567").unwrap();
        assert_eq!(insert(&mut pool, b"12345"), Err(Full::Mempool));
        insert(&mut pool, b"abc").unwrap();
        assert_eq!(insert(&mut pool, b""), Err(Full::Mempool));
        pool.remove(&Hash::of(b"1234567"));
        insert(&mut pool, b"12345").unwrap();
        assert_eq!(pool.first(10, 8).len(), 2);
        assert_eq!(pool.first(10, 7).len(), 1);
        assert_eq!(pool.first(1, 100).len(), 1);
    }

    #[test]
    fn a_sender_fills_its_own_room_and_no_other() {
        let mut pool = Mempool::new(MempoolLimits {
            transactions: 100,
            bytes: 1_000,
            sender_transactions: 3,
            sender_bytes: 20,
        });
        let mut add = |sender: u8, transaction: &[u8]| {
            pool.insert(Hash::of(transaction), Some([sender; 32]), transaction.to_vec())
        };
        for n in 0..3 {
            add(1, &[n]).unwrap();
        }
        assert_eq!(add(1, b"one more"), Err(Full::Sender));
        add(2, b"room for others").unwrap();
        assert_eq!(add(2, b"not for this"), Err(Full::Sender));
        add(2, b"small").unwrap();
        pool.remove(&Hash::of(&[0]));
        pool.insert(Hash::of(b"again"), Some([1; 32]), b"again".to_vec()).unwrap();
        for id in [Hash::of(b"room for others"), Hash::of(b"small")] {
            pool.remove(&id);
        }
        assert_eq!(pool.senders.len(), 1, "nothing is kept of a sender who has left");
    }
}
