//! Logs between members: each agent mirrors the others' logs, compares them with what the chain anchored, cosigns what
//! fits, puts on record what does not, and collects the others' cosignatures over its own log.
//!
//! [`run`] has a [`Follower`] and a [`Collector`] for each other member. A follower takes a [`Step`](step::Step) whenever
//! the chain anchored more; what a crash leaves stands there, and every part is safe to do twice.

mod collect;
pub(crate) mod cosign;
mod follow;
pub(crate) mod pull;
mod report;
mod rest;
pub(crate) mod served;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anchor::transaction::MemberId;
use anchor::{Checkpoint, Genesis, PublicKey, UnverifiedCheckpoint};
use tokio::task::JoinSet;

pub use pull::MirrorError;

use crate::app::App;
use collect::Collector;
use cosign::Cosigner;
use follow::Follower;

/// Between two looks at the chain's state, which is in memory.
const LOOK: Duration = Duration::from_millis(200);

/// A log and the key by which it is believed.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub member: MemberId,
    /// First line of its checkpoints, and name of its key.
    pub name: String,
    pub key: PublicKey,
}

impl Log {
    /// `None` for somebody who is no member.
    pub fn of(genesis: &Genesis, member: &str) -> Option<Log> {
        let found = genesis.member(member)?;
        Some(Log { member: found.id.clone(), name: genesis.origin(member), key: found.log_key })
    }

    pub fn verified(&self, note: &[u8]) -> Option<Checkpoint> {
        UnverifiedCheckpoint::parse(note).ok()?.verify(&self.name, self.key).ok()
    }

    fn damaged(&self) -> MirrorError {
        MirrorError::Damaged(self.member.clone())
    }
}

/// All members' cosigner keys.
pub(crate) fn cosigners(genesis: &Genesis) -> Vec<Cosigner> {
    let members = genesis.members.iter();
    members.filter_map(|m| Cosigner::new(&m.id, &genesis.origin(&m.id), m.cosigner_key)).collect()
}

/// How another member's log is held here, for pages and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorStatus {
    pub member: MemberId,
    /// Leaves that the chain has a checkpoint of, as far as this agent knows the chain.
    pub anchored: u64,
    /// Leaves that are held here under a checked head.
    pub mirrored: u64,
    /// Leaves that this agent's cosigner vouches for.
    pub cosigned: u64,
    /// The size of this agent's own log that the member's cosigner vouches for.
    pub cosigns_ours: u64,
    /// Its origin signed two stories: it is mirrored and never cosigned again.
    pub forked: bool,
    /// Why the mirror is not at the anchored size, if it is not.
    pub error: Option<String>,
}

/// What the followers found.
#[derive(Debug, Default)]
pub struct Mirrors {
    statuses: Mutex<BTreeMap<MemberId, MirrorStatus>>,
    /// The newest size of the own log that a bundle was asked for, and when for the first time.
    asked: Mutex<Option<(u64, Instant)>>,
}

impl Mirrors {
    /// One for each other member whose agent is known by address, in the order of their ids.
    pub fn statuses(&self) -> Vec<MirrorStatus> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn update(&self, member: &str, change: impl FnOnce(&mut MirrorStatus)) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || MirrorStatus { member: member.to_owned(), ..MirrorStatus::default() };
        change(statuses.entry(member.to_owned()).or_insert_with(fresh));
    }

    /// When a bundle was first asked for while the own log's newest anchored size was this one: waiting for
    /// cosignatures is counted from there, however many bundles are made.
    pub(crate) fn first_asked(&self, size: u64) -> Instant {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match *asked {
            Some((newest, at)) if newest >= size => at,
            _ => {
                let now = Instant::now();
                *asked = Some((size, now));
                now
            }
        }
    }
}

/// Follows all other members' logs until the agent ends.
pub async fn run(app: Arc<App>) {
    let mut tasks = JoinSet::new();
    for member in app.peers.members() {
        if let Some(follower) = Follower::new(app.clone(), &member) {
            tasks.spawn(follower.run());
        }
        if let Some(collector) = Collector::new(app.clone(), &member) {
            tasks.spawn(collector.run());
        }
    }
    while tasks.join_next().await.is_some() {}
}
