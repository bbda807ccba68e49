//! Following one other member's log, and handing in what it signed against itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::AnchoredCheckpoint;
use store::MirrorHead;

use super::cosign::Cosigner;
use super::pull::{Agent, MirrorError};
use super::rest::Rest;
use super::served::Chain;
use super::step::Step;
use super::{Log, MirrorStatus, cosigners, report};
use crate::app::App;
use crate::clock;

/// How often a served checkpoint is compared without a reason.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// One other member, as this agent follows it.
#[derive(Debug)]
pub(super) struct Follower {
    app: Arc<App>,
    log: Log,
    us: Cosigner,
    status: MirrorStatus,
    mirroring: Rest,
    reporting: Rest,
    /// When the served checkpoint was compared last.
    compared: Option<Instant>,
    /// All evidence against the member is on the chain.
    reported: bool,
    /// The trouble that the log was told of last.
    told: Option<String>,
}

impl Follower {
    /// `None` for somebody who is no member, which the configuration excludes.
    pub fn new(app: Arc<App>, member: &str) -> Option<Follower> {
        let genesis = app.ledger.genesis();
        Some(Follower {
            log: Log::of(genesis, member)?,
            us: cosigners(genesis).into_iter().find(|c| c.member == app.origin())?,
            status: MirrorStatus { member: member.to_owned(), ..MirrorStatus::default() },
            mirroring: Rest::default(),
            reporting: Rest::default(),
            compared: None,
            reported: false,
            told: None,
            app,
        })
    }

    pub async fn run(mut self) {
        let mut stopping = self.app.stopping.subscribe();
        let member = self.log.member.clone();
        if let Err(error) = self.restore().await {
            tracing::error!(peer = %member, "What is mirrored of `{member}` cannot be read: {error}");
        }
        loop {
            tokio::select! {
                () = self.look() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(super::LOOK) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// What the last run left.
    async fn restore(&mut self) -> Result<(), MirrorError> {
        let (store, member) = (&self.app.store, self.log.member.as_str());
        self.status.mirrored = store.mirror(member).await?.head.map_or(0, |head| head.size);
        let ours = store.cosignatures(member).await?;
        let ours = ours.into_iter().find(|row| row.member == self.us.member);
        self.status.cosigned = ours.map_or(0, |row| row.size);
        self.status.forked = store.forks_of(member).await?.iter().any(|fork| fork.kind.is_signed());
        Ok(())
    }

    /// Does what there is to do. Reads nothing but memory where there is nothing.
    async fn look(&mut self) {
        let anchored = self.app.ledger.contract().read().last_checkpoint(&self.log.member);
        self.status.anchored = anchored.as_ref().map_or(0, |a| a.size);
        if let Some(anchored) = anchored.filter(|_| self.mirroring.is_over(Instant::now())) {
            let done = self.mirror(&anchored).await;
            self.conclude(done);
        }
        self.report().await;
        let MirrorStatus { anchored, mirrored, cosigned, forked, ref error, .. } = self.status;
        self.app.mirrors.update(&self.log.member, |status| {
            let (cosigns_ours, member) = (status.cosigns_ours, status.member.clone());
            *status = MirrorStatus {
                member,
                anchored,
                mirrored,
                cosigned,
                cosigns_ours,
                forked,
                error: error.clone(),
            };
        });
    }

    fn conclude(&mut self, done: Result<(), MirrorError>) {
        let Err(error) = done else {
            self.mirroring.over();
            (self.status.error, self.told) = (None, None);
            return;
        };
        self.mirroring.failed(Instant::now());
        let text = error.to_string();
        // The link tells of outages itself; everything else is told when it changes.
        if !error.is_outage() && self.told.as_ref() != Some(&text) {
            tracing::warn!(peer = %self.log.member, "The log of `{}` is not mirrored: {text}", self.log.member);
            self.told = Some(text.clone());
        }
        self.status.error = Some(text);
    }

    /// Nothing, while it is at the anchored size and was compared not long ago, or while the chain is behind it.
    async fn mirror(&mut self, anchored: &AnchoredCheckpoint) -> Result<(), MirrorError> {
        let idle = self.status.mirrored == anchored.size
            && (self.status.forked || self.status.cosigned == anchored.size)
            && self.compared.is_some_and(|at| at.elapsed() < COMPARE_EVERY);
        if idle || anchored.size < self.status.mirrored {
            return Ok(());
        }
        let app = self.app.clone();
        let step = Step {
            store: &app.store,
            source: Agent { peers: &app.peers, member: &self.log.member },
            chain: OnChain(&app),
            log: &self.log,
            us: &self.us,
            secret: &app.cosigner_key,
        };
        let taken = step.take(&head_of(&self.log, anchored), clock::now()).await?;
        self.status.mirrored = anchored.size;
        self.compared = Some(Instant::now());
        self.status.forked = !taken.cosigned;
        if taken.cosigned {
            self.status.cosigned = anchored.size;
        }
        if taken.convicted {
            self.reported = false;
        }
        Ok(())
    }

    /// Puts what the member signed against itself on the chain, once.
    async fn report(&mut self) {
        if self.reported || !self.reporting.is_over(Instant::now()) {
            return;
        }
        match report::report(&self.app, &self.log).await {
            Ok(()) => {
                self.reported = true;
                self.reporting.over();
            }
            Err(error) => {
                self.reporting.failed(Instant::now());
                let member = &self.log.member;
                tracing::debug!(peer = %member, "The evidence against `{member}` is not on the chain yet: {error:#}");
            }
        }
    }
}

fn head_of(log: &Log, anchored: &AnchoredCheckpoint) -> MirrorHead {
    MirrorHead {
        origin: log.member.clone(),
        size: anchored.size,
        root: anchored.root,
        note: anchored.checkpoint.clone(),
        transaction: anchored.transaction,
        checked: clock::now(),
    }
}

/// The chain as this agent's node has it.
#[derive(Debug)]
struct OnChain<'a>(&'a App);

impl Chain for OnChain<'_> {
    async fn note(&self, origin: &str, size: u64) -> Result<Option<String>, MirrorError> {
        let Some(anchor) = self.0.store.chain_anchor_at(origin, size).await? else { return Ok(None) };
        let note = report::anchored_note(self.0, &anchor.transaction).await;
        note.map(Some).map_err(|e| MirrorError::Chain(format!("{e:#}")))
    }

    fn convicts(&self, origin: &str) -> bool {
        self.0.ledger.contract().read().evidence().iter().any(|(of, ..)| of == origin)
    }
}
