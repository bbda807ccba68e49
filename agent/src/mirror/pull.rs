//! Bringing another member's leaves here: a few at a time, kept as they come, believed once they give the anchored root.

use anchor::tiles::{self, TilePath};
use anchor::transaction::MemberId;
use store::{HeadCheck, MirrorHead, Store, StoreError};

use crate::peer::{PeerError, Peers};

/// Leaves brought here before their root is compared: what a member serves takes this agent's disk until then.
const MAX_GROWTH: u64 = 1_000_000;

/// The largest leaf taken, in bytes; attestations, the largest there are, have about two thousand.
const MAX_LEAF: usize = 8 << 10;

/// Where a log is read from.
pub(crate) trait Source {
    /// What stands at `path`, at most `limit` bytes and none of them checked; `None` where nothing is.
    fn get(
        &self,
        path: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PeerError>> + Send;
}

/// A member's agent as the source of its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent<'a> {
    pub peers: &'a Peers,
    pub member: &'a str,
}

impl Source for Agent<'_> {
    async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        self.peers.get(self.member, path, limit).await
    }
}

/// Why another member's log, or its word on a log, is not here.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It keeps back what the chain has a checkpoint of, or is behind the chain.
    #[error("{origin} does not serve {path}, though its log is anchored with {size} leaves")]
    Withheld { origin: MemberId, path: String, size: u64 },
    #[error(
        "the log of {origin} grew from {from} to {to} leaves at once, at most {MAX_GROWTH} are mirrored unseen"
    )]
    TooFar { origin: MemberId, from: u64, to: u64 },
    /// On record in the store.
    #[error("what {origin} serves as its log is not the one of {size} leaves that the chain anchored")]
    Forked { origin: MemberId, size: u64 },
    #[error("{member} answered {path} with what is not understood: {why}")]
    NotUnderstood { member: MemberId, path: String, why: String },
    /// A fault of ours, or a damaged database.
    #[error("what is stored of {0} does not fit its keys; hint: run `ranproof fsck`")]
    Damaged(MemberId),
    #[error("the chain's evidence cannot be read: {0}")]
    Chain(String),
}

impl MirrorError {
    /// Whether the link to the peer has told of it already.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, MirrorError::Peer(error) if error.is_outage() || matches!(error, PeerError::Resting { .. }))
    }
}

/// Brings the leaves up to `head` and compares. A crash anywhere leaves what was kept; the next call goes on there.
pub(crate) async fn pull(
    store: &Store,
    source: &impl Source,
    head: &MirrorHead,
) -> Result<HeadCheck, MirrorError> {
    let mirror = store.mirror(&head.origin).await?;
    let from = mirror.head.map_or(0, |checked| checked.size);
    if head.size.saturating_sub(from) > MAX_GROWTH {
        return Err(MirrorError::TooFar { origin: head.origin.clone(), from, to: head.size });
    }
    let mut held = mirror.held;
    while held < head.size {
        held = pull_bundle(store, source, head, held).await?;
    }
    Ok(store.check_mirror(head).await?)
}

/// The rest of the one bundle of entries that leaf `held` is in. No more than one is in memory.
async fn pull_bundle(
    store: &Store,
    source: &impl Source,
    head: &MirrorHead,
    held: u64,
) -> Result<u64, MirrorError> {
    let mut missing = TilePath::entries_between(held, head.size);
    let (Some(tile), origin) = (missing.next(), head.origin.clone()) else {
        return Err(MirrorError::Damaged(head.origin.clone()));
    };
    let path = format!("/peer/v1/log/{tile}");
    let Some(bytes) = source.get(&path, tiles::MAX_ENTRIES_BYTES).await? else {
        return Err(MirrorError::Withheld { origin, path, size: head.size });
    };
    let entries = match tiles::decode_entries(&tile, &bytes) {
        Ok(entries) => entries,
        Err(error) => {
            return Err(MirrorError::NotUnderstood { member: origin, path, why: error.to_string() });
        }
    };
    if let Some(large) = entries.iter().find(|entry| entry.len() > MAX_LEAF) {
        let why = format!("a leaf of {} bytes, at most {MAX_LEAF} are taken", large.len());
        return Err(MirrorError::NotUnderstood { member: origin, path, why });
    }
    let entries: Vec<Vec<u8>> = entries.into_iter().map(<[u8]>::to_vec).collect();
    // Leaves of the bundle that are held already are passed over by the store.
    let first = tile.first_leaf().ok_or_else(|| MirrorError::Damaged(origin.clone()))?;
    Ok(store.append_mirror(&origin, first, &entries).await?)
}
