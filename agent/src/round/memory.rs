//! What the rounds of one origin leave in memory for the next, so that a round costs what changed and not what is there.
//!
//! All of it follows from the database. A round that does not end in its commit leaves nothing here, and neither does a
//! restart: the next one then reads everything again.

use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::Hash;
use anchor::map::Map;
use collector::reader::Pieces;
use collector::sweep::LastReply;
use model::{ApprovedState, Difference, Dn, Snapshot, Value};
use policies::{Evaluated, NetworkIndex};
use store::{HeldReply, RoundCommit, StoredSnapshot};

use super::judging::CompleteRead;
use crate::pins::InForce;

/// Roughly what an object costs beyond the bytes of its values, which stand in its snapshot and in what is approved, each text
/// with its name and its place.
const OBJECT: usize = 800;
const COPIES: usize = 4;

/// Roughly what a difference costs, or a broken rule with its messages.
const FOUND: usize = 2_000;

/// Roughly what a commitment costs in the map.
const COMMITMENT: usize = 250;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Bytes that may be kept, roughly.
    limit: usize,
    /// Under what the stations were judged.
    under: Option<Under>,
    /// The newest snapshots after the last round, by element.
    newest: BTreeMap<Dn, StoredSnapshot>,
    /// Replies of before, and the pieces of those read in this round.
    replies: BTreeMap<Dn, Arc<LastReply>>,
    pieces: BTreeMap<Dn, Pieces>,
    pub index: NetworkIndex,
    pub stations: BTreeMap<Dn, Remembered>,
    /// The attribute map of the last attestation, and its round.
    attributes: Option<(u64, Map)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Under {
    agreement: Hash,
    policies: Hash,
}

/// What a judgement leaves of one station.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// What was judged.
    pub snapshot: Arc<Snapshot>,
    /// What was approved, and its version in the database.
    pub approved: Arc<ApprovedState>,
    pub version: u64,
    /// Where the two differ. Nothing was advanced: then this is left out altogether.
    pub differences: Option<Vec<Difference>>,
    pub rules: Evaluated,
}

impl Memory {
    /// Keeps nothing yet, and never more than about so many megabytes.
    pub fn new(megabytes: usize) -> Memory {
        Memory { limit: megabytes.saturating_mul(1_000_000), ..Memory::default() }
    }

    /// Another one of the same size, with nothing in it.
    pub fn emptied(&self) -> Memory {
        Memory { limit: self.limit, ..Memory::default() }
    }

    /// Forgets what was judged under something else.
    pub fn turn_to(&mut self, in_force: &InForce) {
        let under = Under { agreement: in_force.agreement_body, policies: in_force.policy_body };
        if self.under.replace(under) != Some(under) {
            self.stations.clear();
            self.attributes = None;
        }
    }

    /// The newest snapshots, as far as they are held.
    pub fn take_newest(&mut self) -> BTreeMap<Dn, StoredSnapshot> {
        std::mem::take(&mut self.newest)
    }

    /// Whether the station said the same when it was judged last: then its commitments are those of then.
    pub fn has_judged(&self, read: &CompleteRead) -> bool {
        let same = |known: &Remembered| known.snapshot.root() == read.current.root();
        self.stations.get(&read.element).is_some_and(same)
    }

    /// What a station said when it was judged last, which is what was committed to.
    pub fn judged(&self, element: &Dn) -> Option<&Snapshot> {
        self.stations.get(element).map(|known| &*known.snapshot)
    }

    /// The attribute map as `round` left it.
    pub fn attributes_after(&mut self, round: u64) -> Option<Map> {
        self.attributes.take().filter(|(last, _)| *last == round).map(|(_, map)| map)
    }

    pub fn keep_attributes(&mut self, round: u64, map: Map) {
        self.attributes = Some((round, map));
    }

    /// The reply to read a station's next one by.
    pub fn reply(&self, element: &Dn) -> Option<Arc<LastReply>> {
        self.replies.get(element).cloned()
    }

    /// The same for the store, which keeps only what differs from it.
    pub fn held(&self, element: &Dn) -> Option<HeldReply> {
        let reply = self.replies.get(element)?;
        Some(HeldReply { bytes: Arc::clone(&reply.bytes), digest: reply.digest })
    }

    /// The pieces of a reply that the round will store.
    pub fn keep_pieces(&mut self, element: &Dn, pieces: Pieces) {
        self.pieces.insert(element.clone(), pieces);
    }

    /// After the commit of a round that began with `newest`.
    pub fn keep(&mut self, mut newest: BTreeMap<Dn, StoredSnapshot>, commit: &RoundCommit) {
        for read in &commit.snapshots {
            if let Some(pieces) = self.pieces.remove(&read.element) {
                let (bytes, digest) = (Arc::clone(&read.raw), read.raw_digest);
                let reply = LastReply { bytes, digest, snapshot: Arc::clone(&read.snapshot), pieces };
                self.replies.insert(read.element.clone(), Arc::new(reply));
            }
            let stored = StoredSnapshot {
                element: read.element.clone(),
                round: commit.round,
                read: read.read,
                raw: read.raw_digest,
                snapshot: Arc::clone(&read.snapshot),
            };
            newest.insert(read.element.clone(), stored);
        }
        self.pieces.clear();
        self.newest = newest;
        self.shrink();
    }

    /// Drops what is beyond the limit: the map of all commitments, then station after station.
    fn shrink(&mut self) {
        let mut left = self.limit;
        let mut fits = |cost: usize| {
            let after = left.checked_sub(cost);
            left = after.unwrap_or(left);
            after.is_some()
        };
        let commitments = self.attributes.as_ref().map_or(0, |(_, map)| map.len());
        if !fits(usize::try_from(commitments).unwrap_or(usize::MAX).saturating_mul(COMMITMENT)) {
            self.attributes = None;
        }
        let (all, replies, stations) = (self.newest.len(), &self.replies, &self.stations);
        self.newest.retain(|element, stored| {
            let reply = replies.get(element).map_or(0, |reply| {
                // Its snapshot is another one where nothing but its volatile values, or a finding, is.
                let other = !Arc::ptr_eq(&reply.snapshot, &stored.snapshot);
                let snapshot = if other { size(&reply.snapshot) } else { 0 };
                snapshot + reply.bytes.len() + reply.pieces.size()
            });
            fits(size(&stored.snapshot) + reply + stations.get(element).map_or(0, Remembered::size))
        });
        if self.newest.len() < all {
            // It holds every station's snapshot.
            self.index = NetworkIndex::default();
        }
        let newest = &self.newest;
        self.replies.retain(|element, _| newest.contains_key(element));
        let known = self.stations.len();
        self.stations.retain(|element, _| newest.contains_key(element));
        if self.stations.len() < known {
            // What they saw of the ones that were dropped would stay.
            self.stations.values_mut().for_each(|station| station.rules.forget_sight());
        }
    }
}

/// Bytes of memory of a snapshot, roughly.
fn size(snapshot: &Snapshot) -> usize {
    let objects = snapshot.objects();
    let volatile = objects.iter().flat_map(|object| object.volatile());
    let volatile: usize = volatile.map(|(name, value)| name.len() + text_of(value)).sum();
    objects.len().saturating_mul(OBJECT) + snapshot.size().saturating_mul(COPIES) + volatile
}

/// Bytes of a value, roughly, with the places of its parts.
fn text_of(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) => text.len(),
            Value::Sequence(values) => values.iter().map(text_of).sum(),
            Value::Fields(fields) => fields.iter().map(|(name, value)| name.len() + text_of(value)).sum(),
        }
}

impl Remembered {
    /// Where `last` differs from what is approved in this version, if that is known.
    pub fn differences(&self, last: &Snapshot, version: u64) -> Option<&[Difference]> {
        let same = self.version == version && self.snapshot.root() == last.root();
        self.differences.as_deref().filter(|_| same)
    }

    /// Bytes of memory, roughly, beside snapshot and approved state.
    fn size(&self) -> usize {
        let differences = self.differences.as_ref().map_or(0, Vec::len);
        (differences + self.rules.results().count()).saturating_mul(FOUND)
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Interpretation, Object, Timestamp};

    use super::*;

    fn stored(n: usize) -> (Dn, StoredSnapshot) {
        let element: Dn = format!("ManagedElement={n}").parse().unwrap();
        let objects = (0..4).map(|id| Object::new(element.child("C", &id.to_string()), vec![], vec![]));
        let interpretation = Interpretation::new("none", &Digest::of(b"p"));
        let snapshot = Arc::new(Snapshot::new(interpretation, objects.collect(), vec![]));
        let (read, raw) = (Timestamp(0), Digest::of(b"r"));
        (element.clone(), StoredSnapshot { element, round: 1, read, raw, snapshot })
    }

    #[test]
    fn volatile_values_count() {
        let of = |volatile: Vec<(String, Value)>| {
            let object = Object::new("ManagedElement=1".parse().unwrap(), vec![], volatile);
            let interpretation = Interpretation::new("none", &Digest::of(b"p"));
            size(&Snapshot::new(interpretation, vec![object], vec![]))
        };
        let counters = Value::Sequence(vec![Value::text("1".repeat(1_000)); 9]);
        assert!(of(vec![("counters".to_owned(), counters)]) >= of(vec![]) + 9_000);
    }

    #[test]
    fn what_is_kept_stays_below_the_limit() {
        let cost = 4 * OBJECT + COPIES * stored(100).1.snapshot.size();
        for (megabytes, kept) in [(0, 0), (1, (1_000_000 - COMMITMENT) / cost), (2, 400)] {
            let mut memory = Memory::new(megabytes);
            memory.newest = (100..500).map(stored).collect();
            for (element, stored) in &memory.newest {
                memory.index.update(element, Arc::clone(&stored.snapshot), false);
            }
            memory.keep_attributes(1, Map::from_pairs([(b"k", b"v")]));
            memory.shrink();
            assert_eq!(memory.newest.len(), kept);
            assert_eq!(memory.index.is_empty(), kept < 400);
            assert_eq!(memory.attributes_after(1).is_some(), megabytes > 0);
        }
    }
}
