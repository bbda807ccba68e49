//! Reading entries through what the present block has already changed, and collecting what a rule writes.

use std::collections::BTreeMap;

use anchor::transaction::{Subject, SubjectKind};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::key::{self, Key};
use crate::record::Versions;

/// Committed entries.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a block changes: a new value, or none where the entry goes.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The committed entries, seen through the changes of the block so far.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    entries: &'a Entries,
    changes: Option<&'a Changes>,
}

impl<'a> View<'a> {
    pub fn committed(entries: &'a Entries) -> View<'a> {
        View { entries, changes: None }
    }

    pub fn through(entries: &'a Entries, changes: &'a Changes) -> View<'a> {
        View { entries, changes: Some(changes) }
    }

    pub fn get<R: BorshDeserialize>(&self, key: &Key<R>) -> Option<R> {
        let changed = self.changes.and_then(|changes| changes.get(key.as_bytes()));
        let value = match changed {
            Some(value) => value.as_ref(),
            None => self.entries.get(key.as_bytes()),
        };
        value.map(|bytes| {
            borsh::from_slice(bytes).expect("entries are written by this room or were checked on restore")
        })
    }

    /// The versions of a registered thing; all zero for one that was never registered.
    pub fn versions(&self, kind: SubjectKind, id: &str) -> Versions {
        self.get(&key::versions(kind, id)).unwrap_or_default()
    }

    /// The newest version whose approvals had all landed before `height`.
    pub fn in_force(&self, kind: SubjectKind, id: &str, height: u64) -> Option<u32> {
        let mut version = self.versions(kind, id).newest_final;
        while version > 0 {
            let standing = self.get(&key::standing(&Subject { kind, id: id.into(), version }))?;
            if standing.in_force(height) {
                return Some(version);
            }
            // A base is always an earlier version; `min` ends the walk on any state.
            version = standing.base.min(version - 1);
        }
        None
    }
}

/// What an accepted action writes. A rule returns all of it or a refusal, so that nothing is done by half.
#[derive(Default)]
pub(crate) struct Writes(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Writes {
    pub fn put<R: BorshSerialize>(&mut self, key: &Key<R>, record: &R) {
        let value = borsh::to_vec(record).expect("writing to memory does not fail");
        self.0.push((key.as_bytes().to_vec(), Some(value)));
    }

    pub fn remove<R>(&mut self, key: &Key<R>) {
        self.0.push((key.as_bytes().to_vec(), None));
    }

    pub fn merge_into(self, changes: &mut Changes) {
        changes.extend(self.0);
    }
}
