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
use model::{ApprovedState, Difference, Dn, Snapshot};
use policies::{Evaluated, NetworkIndex, Since};
use store::{RoundCommit, StoredSnapshot};

use super::judging::CompleteRead;
use crate::pins::InForce;

/// Objects and commitments of which an agent keeps something in memory; together some gigabytes.
const MOST: usize = 5_000_000;

#[derive(Debug, Default)]
pub(crate) struct Memory {
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

    /// The pieces of a reply that the round will store.
    pub fn keep_pieces(&mut self, element: &Dn, pieces: Pieces) {
        self.pieces.insert(element.clone(), pieces);
    }

    /// After the commit of a round that began with `newest`; the replies are taken out of it.
    pub fn keep(&mut self, mut newest: BTreeMap<Dn, StoredSnapshot>, commit: &mut RoundCommit) {
        for read in &mut commit.snapshots {
            if let Some(pieces) = self.pieces.remove(&read.element) {
                let (bytes, snapshot) = (std::mem::take(&mut read.raw), Arc::clone(&read.snapshot));
                let reply = LastReply { bytes, snapshot, pieces };
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
        self.replies.retain(|element, _| newest.contains_key(element));
        self.newest = newest;
        let objects: usize = self.newest.values().map(|stored| stored.snapshot.objects().len()).sum();
        let commitments = self.attributes.as_ref().map_or(0, |(_, map)| map.len());
        if objects.saturating_add(usize::try_from(commitments).unwrap_or(usize::MAX)) > MOST {
            *self = Memory::default();
        }
    }
}

impl Remembered {
    /// What is known of a comparison of `last` with what is approved in this version.
    pub fn since(&self, last: &Snapshot, version: u64) -> Option<Since<'_>> {
        static NOTHING: std::collections::BTreeSet<Dn> = std::collections::BTreeSet::new();
        let differences = self.differences.as_deref().filter(|_| self.version == version)?;
        let same =
            Arc::as_ptr(&self.snapshot) == std::ptr::from_ref(last) || self.snapshot.root() == last.root();
        same.then_some(Since { differences, moved: &NOTHING })
    }
}
