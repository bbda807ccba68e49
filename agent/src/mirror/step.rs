//! One step of following a log: its leaves, then what its origin says of them, then our word for it.

use anchor::SigningKey;
use model::Timestamp;
use store::{HeadCheck, MirrorHead, Store};

use super::Log;
use super::cosign::{self, Cosigner};
use super::pull::{self, MirrorError, Source};
use super::report;
use super::served::{self, Chain};

/// Who follows which log, and from where.
#[derive(Debug)]
pub(crate) struct Step<'a, S, C> {
    pub store: &'a Store,
    pub source: S,
    pub chain: C,
    pub log: &'a Log,
    pub us: &'a Cosigner,
    pub secret: &'a SigningKey,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Something signed against itself was found that was not on record.
    pub convicted: bool,
    /// The head has our cosignature now; it has none if the origin ever signed two stories.
    pub cosigned: bool,
}

impl<S: Source, C: Chain> Step<'_, S, C> {
    /// Takes it up to `head`, which the chain anchored. Safe to do again from any point.
    pub async fn take(&self, head: &MirrorHead, now: Timestamp) -> Result<Taken, MirrorError> {
        // A crash here: some leaves more are held, unbelieved. The next step goes on behind them.
        if let HeadCheck::Forked { fork, new } = pull::pull(self.store, &self.source, head).await? {
            if new {
                report::tell(&fork);
            }
            return Err(MirrorError::Forked { origin: fork.origin, size: fork.size });
        }
        // A crash here: the head is kept, and its origin's own word is asked for again.
        let forks = served::compare(self.store, &self.source, &self.chain, self.log, head, now).await?;
        forks.iter().for_each(report::tell);
        let convicted = !forks.is_empty();
        if self.chain.convicts(&self.log.member) {
            return Ok(Taken { convicted, cosigned: false });
        }
        // A crash here: nothing was vouched for. In `cosign`: the intention stands, the same signature is made.
        let row = cosign::cosign(self.store, self.us, self.secret, self.log, head, now).await?;
        Ok(Taken { convicted, cosigned: row.is_some() })
    }
}
