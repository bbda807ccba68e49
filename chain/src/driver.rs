//! What the node's thread owns: the state machine, the store, the ways to the engine and the peers, and whether it may
//! sign. [`crate::answering`] is its loop. A failure that makes an honest answer impossible ends the loop, and the node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anchor::{Hash, ValidatorSet};
use arc_malachitebft_app::engine::host::Next;
use arc_malachitebft_app_channel::{NetworkMsg, Reply};
use arc_malachitebft_core_types::{CommitCertificate, HeightParams};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error, info};

use crate::config::{Clock, NodeConfig};
use crate::context::{Address, Ctx, Voters};
use crate::engine;
use crate::executor::{Executed, Executor, Inconsistent};
use crate::gossip::{Listed, Meter, Outbox};
use crate::gossiping::Overdue;
use crate::home;
use crate::joining::Asking;
use crate::judged::Judged;
use crate::ledger::{Tip, lock};
use crate::mempool::Mempool;
use crate::proposals::Assembler;
use crate::signing::{Keyholder, Scheme};
use crate::status::{Board, LastBlock, Standing};
use crate::store::{Commit, Store, StoreError};
use crate::tap::{Answered, Tap};
use crate::watching::Watcher;

pub(crate) struct Driver {
    pub executor: Executor,
    pub store: Arc<Store>,
    pub mempool: Arc<Mutex<Mempool>>,
    pub board: Arc<Mutex<Board>>,
    pub tip: watch::Sender<Tip>,
    /// For those who check votes beside the engine.
    pub validators: watch::Sender<ValidatorSet>,
    pub lines: Lines,
    pub scheme: Scheme,
    pub keyholder: Keyholder,
    pub address: Address,
    pub settings: Settings,
    pub standing: Standing,
    pub work: Work,
    pub asking: Option<Asking>,
    /// The newest vote of each validator, as stored.
    pub voters: Voters,
    /// When other nodes' questions were answered.
    pub answered: Answered,
    pub listed: Listed,
    pub meter: Meter,
    pub outbox: Outbox,
    pub overdue: Overdue,
    /// Set when this engine has done its part.
    pub turn: Option<Turn>,
}

/// The ways to and from one run of the engine.
pub(crate) struct Lines {
    pub network: mpsc::Sender<NetworkMsg<Ctx>>,
    pub peers_height: watch::Receiver<u64>,
    pub tap: Tap,
}

impl Lines {
    /// To and from nobody.
    fn cut(tap: Tap) -> Self {
        Lines { network: mpsc::channel(1).0, peers_height: watch::channel(0).1, tap }
    }
}

/// What comes after a run of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The node ends, for this reason.
    End(Arc<str>),
    /// Another run, with or without a signer: that cannot change within one.
    Again,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub heartbeat: Duration,
    /// Δ in milliseconds.
    pub max_clock_difference: u64,
    propose_timeout: Duration,
    pub clock: Clock,
    pub has_peers: bool,
    pub abstains_since: Option<u64>,
}

impl Settings {
    pub fn new(config: &NodeConfig) -> Self {
        Settings {
            heartbeat: config.heartbeat,
            max_clock_difference: u64::try_from(config.max_clock_difference.as_millis()).unwrap_or(u64::MAX),
            propose_timeout: config.propose_timeout,
            clock: config.clock.clone(),
            has_peers: !config.peers.is_empty(),
            abstains_since: None,
        }
    }
}

/// What belongs to the height in progress.
#[derive(Default)]
pub(crate) struct Work {
    pub assembler: Assembler,
    pub executed: BTreeMap<Hash, Executed>,
    /// Staged values that the engine has been told of since it started this height.
    pub told: BTreeSet<Hash>,
    pub judged: Judged,
    pub round: u32,
    /// Blocks that peers served for this height, to catch up.
    pub served: BTreeSet<Hash>,
    /// The last block came by value sync: peers are ahead, so there is no time to idle.
    pub synced: bool,
    pub held: Option<Held>,
}

/// The next height, not begun because there is nothing to put into a block.
pub(crate) struct Held {
    pub reply: Reply<Next<Ctx>>,
    pub until: Instant,
}

/// Why the node cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    #[error("the consensus engine decided {0}, which this node never saw or does not accept")]
    Decided(Hash),
    #[error("the consensus engine gave a certificate that proves nothing: {0}")]
    Certificate(#[from] anchor::certificate::CertificateError),
    #[error("the consensus engine has stopped; hint: its reason is in the log, just before")]
    EngineGone,
}

impl Driver {
    pub fn new(
        config: &NodeConfig,
        executor: Executor,
        store: Arc<Store>,
        (mempool, board): (Arc<Mutex<Mempool>>, Arc<Mutex<Board>>),
        tip: watch::Sender<Tip>,
    ) -> Result<Driver, StoreError> {
        let scheme = Scheme::new(config.genesis.hash());
        tip.send_replace(*executor.tip());
        lock(&board).last = store.final_block(executor.tip().height)?.map(|found| {
            let header = &found.block.header;
            let set = (header.valset == header.next_valset).then(|| executor.validators());
            LastBlock::new(header, found.block.transactions.len(), &found.certificate, set)
        });
        lock(&board).idles(executor.next_height());
        let validators = watch::Sender::new(executor.validators().clone());
        Ok(Driver {
            voters: store.voters()?,
            executor,
            store,
            mempool,
            board,
            tip,
            lines: Lines::cut(Tap::new(scheme.clone(), validators.subscribe(), None)),
            keyholder: Keyholder::new(scheme.clone(), config.consensus_key.clone()),
            validators,
            scheme,
            address: Address(config.consensus_key.public().address()),
            settings: Settings::new(config),
            standing: Standing::Follows,
            work: Work::default(),
            asking: None,
            answered: Answered::default(),
            listed: Listed::new(engine::peer_ids(config)),
            meter: Meter::default(),
            outbox: Outbox::default(),
            overdue: Overdue::default(),
            turn: None,
        })
    }

    /// Takes from the folder whether this node may vote.
    pub fn recall(&mut self, question: Option<home::Memory>, abstains_since: Option<u64>) {
        let validator = self.executor.validators().by_address(&self.address.0).is_some();
        if validator || abstains_since.is_some() {
            self.asking = question.map(Asking::new);
        }
        if let Some(since) = abstains_since {
            self.abstain(since);
        }
    }

    /// Prepares a run of the engine: what it signs with, if it may sign.
    pub fn prepare(&mut self) -> Option<Keyholder> {
        self.work = Work::default();
        let validator = self.executor.validators().by_address(&self.address.0).is_some();
        let standing = match (&self.asking, self.settings.abstains_since) {
            _ if !validator => Standing::Follows,
            (_, Some(_)) => Standing::Abstains,
            (Some(_), None) => Standing::Asks,
            (None, None) => Standing::Votes,
        };
        self.stand(standing);
        let observes = self.asking.as_ref().is_some_and(|asking| asking.observes);
        (self.settings.abstains_since.is_none() && !observes).then(|| self.keyholder.clone())
    }

    /// Where the network puts what other nodes ask and answer.
    pub fn tap(&self) -> Tap {
        let asked = self.asking.as_ref().map(|asking| asking.question(self.address));
        Tap::new(self.scheme.clone(), self.validators.subscribe(), asked)
    }

    pub fn watcher(&self) -> Watcher {
        Watcher {
            scheme: self.scheme.clone(),
            validators: self.validators.subscribe(),
            board: self.board.clone(),
            clock: self.settings.clock.clone(),
        }
    }

    pub(crate) fn stand(&mut self, standing: Standing) {
        self.standing = standing;
        lock(&self.board).standing = standing;
    }

    pub(crate) fn height_params(&self) -> HeightParams<Ctx> {
        engine::height_params(self.executor.validators(), self.settings.propose_timeout)
    }

    /// Makes the decided block final: store, then state machine, then everybody who waits.
    pub(crate) fn commit(&mut self, certificate: &CommitCertificate<Ctx>) -> Result<(), Fatal> {
        let certificate = engine::our_certificate(certificate);
        let executed = self.decided(certificate.height, certificate.header)?;
        certificate.verify(self.scheme.genesis(), self.executor.validators())?;

        let header = &executed.block.header;
        let height = header.height;
        let set = self.executor.validators();
        let last = LastBlock::new(header, executed.block.transactions.len(), &certificate, Some(set));
        let end_abstention = self.ends_abstention(header);
        let voters = self.voters_with(&certificate);
        // The commit point. A crash before it: the engine's log decides the same block again at restart.
        self.store.commit(&Commit {
            block: &executed.block,
            certificate: &certificate,
            receipts: &executed.outcome.receipts,
            changes: &executed.outcome.changes,
            history: &self.executor.history_after(&executed),
            end_abstention,
            voters: &voters,
        })?;
        self.voters = voters;
        if end_abstention {
            self.settings.abstains_since = None;
            self.asking = None;
            info!(height, "Every vote that this node may have forgotten is out of date: it votes again");
            self.turn = Some(Turn::Again);
        }
        // A crash from here on leaves a final height that the restart reads back.
        let ids: Vec<_> = executed.outcome.receipts.iter().map(|receipt| receipt.transaction).collect();
        self.executor.commit(executed)?;
        let mut mempool = lock(&self.mempool);
        ids.iter().for_each(|id| mempool.remove(id));
        drop(mempool);
        debug!(height, transactions = ids.len(), "Block is final");
        self.turn_to_next(last, certificate.header);
        Ok(())
    }

    /// Tells everybody of the block that has just become final, and forgets what belonged to its height.
    fn turn_to_next(&mut self, last: LastBlock, header: Hash) {
        let work = &mut self.work;
        work.executed.clear();
        work.told.clear();
        work.judged = Judged::default();
        work.round = 0;
        let served = std::mem::take(&mut work.served);
        let wrong = served.iter().filter(|served| **served != header).count();
        {
            let mut board = lock(&self.board);
            board.last = Some(last);
            board.refused.synced += wrong as u64;
        }
        let validators = self.executor.validators();
        self.validators.send_if_modified(|known| {
            let changed = known != validators;
            known.clone_from(validators);
            changed
        });
        self.tip.send_replace(*self.executor.tip());
    }

    /// The newest vote of each validator: stored, heard, or in this certificate.
    fn voters_with(&self, certificate: &anchor::CommitCertificate) -> Voters {
        let mut voters = self.voters.clone();
        let heard: Vec<_> = lock(&self.board).heard.values().map(|(known, _)| known.clone()).collect();
        for known in engine::precommits(certificate).chain(heard) {
            let newest = voters.entry(known.vote.address.0).or_insert_with(|| known.clone());
            if newest.when() < known.when() {
                *newest = known;
            }
        }
        voters
    }

    fn decided(&mut self, height: u64, hash: Hash) -> Result<Executed, Fatal> {
        if let Some(executed) = self.work.executed.remove(&hash) {
            return Ok(executed);
        }
        let staged = self.store.staged(height, &hash)?.ok_or(Fatal::Decided(hash))?;
        self.executor.replay(staged.block, &self.store)?.map_err(|rejection| {
            error!(height, "The decided block is wrong here: {rejection}");
            Fatal::Decided(hash)
        })
    }
}

/// The engine drops its end only when it stops, and then nobody needs the answer.
pub(crate) fn respond<T>(reply: Reply<T>, answer: T) {
    if reply.send(answer).is_err() {
        debug!("The consensus engine no longer waits for an answer");
    }
}
