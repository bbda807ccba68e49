//! Which waiting transactions a proposer puts into a block.

use std::collections::BTreeMap;

use anchor::PublicKey;

use crate::contract::Contract;

impl Contract {
    /// Of `waiting` (in order of arrival) those that this state admits and whose sequence numbers leave no gap,
    /// each key's in ascending order, up to `max_bytes` together. None of them is inadmissible in the next
    /// block.
    pub fn select<'a>(&self, waiting: impl IntoIterator<Item = &'a [u8]>, max_bytes: usize) -> Vec<Vec<u8>> {
        let mut early: BTreeMap<(PublicKey, u64), &[u8]> = BTreeMap::new();
        let mut next: BTreeMap<PublicKey, u64> = BTreeMap::new();
        let mut chosen = Vec::new();
        let mut room = max_bytes;
        for bytes in waiting {
            let Ok(signed) = self.check(bytes) else { continue };
            let (sender, sequence) = (signed.transaction.sender, signed.transaction.sequence);
            early.entry((sender, sequence)).or_insert(bytes);
            let Some(first) = self.next_sequence(&sender) else { continue };
            let turn = next.entry(sender).or_insert(first);
            while let Some(bytes) = early.get(&(sender, *turn)).filter(|bytes| bytes.len() <= room) {
                room -= bytes.len();
                chosen.push(bytes.to_vec());
                early.remove(&(sender, *turn));
                *turn = turn.saturating_add(1);
            }
        }
        chosen
    }
}
