//! Collecting one member's cosignatures over this agent's own log. Beside following its log, so that a long pull of
//! leaves does not keep them waiting.

use std::sync::Arc;
use std::time::Instant;

use super::cosign::{self, Cosigner};
use super::pull::{Agent, MirrorError};
use super::rest::Rest;
use super::{Log, cosigners};
use crate::app::App;

/// One other member, as a cosigner of ours.
#[derive(Debug)]
pub(super) struct Collector {
    app: Arc<App>,
    ours: Log,
    them: Cosigner,
    rest: Rest,
    /// The size of our log that is being asked for.
    asked: u64,
    /// The largest size that it vouched for.
    have: u64,
}

impl Collector {
    /// `None` for somebody who is no member, which the configuration excludes.
    pub fn new(app: Arc<App>, member: &str) -> Option<Collector> {
        let genesis = app.ledger.genesis();
        let ours = Log::of(genesis, app.origin())?;
        let them = cosigners(genesis).into_iter().find(|c| c.member == member)?;
        Some(Collector { ours, them, rest: Rest::default(), asked: 0, have: 0, app })
    }

    pub async fn run(mut self) {
        let mut stopping = self.app.stopping.subscribe();
        let member = self.them.member.clone();
        match self.app.store.cosignatures(&self.ours.member).await {
            Ok(rows) => self.have = rows.iter().find(|row| row.member == member).map_or(0, |row| row.size),
            // They are asked for again.
            Err(error) => {
                tracing::error!(peer = %member, "Cosignatures of `{member}` cannot be read: {error}")
            }
        }
        loop {
            tokio::select! {
                () = self.look() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            self.app.mirrors.update(&member, |status| status.cosigns_ours = self.have);
            tokio::select! {
                () = tokio::time::sleep(super::LOOK) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Asks for its newest cosignature while our newest anchored checkpoint lacks it.
    async fn look(&mut self) {
        let anchored = self.app.ledger.contract().read().last_checkpoint(&self.ours.member);
        let size = anchored.map_or(0, |a| a.size);
        if size != self.asked {
            self.asked = size;
            self.rest.over();
        }
        if size <= self.have || !self.rest.is_over(Instant::now()) {
            return;
        }
        match self.ask().await {
            Ok(found) => self.have = self.have.max(found.unwrap_or(0)),
            // The link to the peer has told of it.
            Err(error) if error.is_outage() => {}
            Err(error) => {
                let member = &self.them.member;
                tracing::debug!(peer = %member, "No cosignature of `{member}`: {error}");
            }
        }
        if self.have < size {
            self.rest.failed(Instant::now());
        }
    }

    async fn ask(&self) -> Result<Option<u64>, MirrorError> {
        let source = Agent { peers: &self.app.peers, member: &self.them.member };
        cosign::collect(&self.app.store, &source, &self.them, &self.ours).await
    }
}
