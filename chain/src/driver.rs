//! Answers the consensus engine: one loop, on one thread, that owns the state machine. Every message of the
//! engine gets its answer ([`crate::proposing`] has those about proposals); a failure that makes an honest answer impossible ends the loop, and the node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anchor::Hash;
use arc_malachitebft_app::consensus::VoteExtensionError;
use arc_malachitebft_app::engine::host::Next;
use arc_malachitebft_app_channel::{AppMsg, NetworkMsg, Reply};
use arc_malachitebft_core_types::{CommitCertificate, HeightParams};
use arc_malachitebft_sync::RawDecidedValue;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::codec;
use crate::config::{Clock, MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES, NodeConfig};
use crate::context::{Address, Ctx, Height};
use crate::engine;
use crate::executor::{Executed, Executor, Inconsistent};
use crate::ledger::{Command, Life, SubmitError, Tip, lock};
use crate::mempool::{Full, Mempool};
use crate::proposals::{self, Assembler};
use crate::signing::{Keyholder, Scheme};
use crate::store::{Commit, Store, StoreError};

/// Most bytes of waiting transactions that are gossiped again when a round has failed.
const MAX_REGOSSIP_BYTES: usize = 1 << 20;
/// Most bytes of blocks in one answer to a peer that syncs.
const MAX_SYNC_BYTES: usize = 8 << 20;

pub(crate) struct Driver {
    pub executor: Executor,
    pub store: Arc<Store>,
    pub mempool: Arc<Mutex<Mempool>>,
    pub tip: watch::Sender<Tip>,
    pub network: mpsc::Sender<NetworkMsg<Ctx>>,
    pub peers_height: watch::Receiver<u64>,
    pub scheme: Scheme,
    pub keyholder: Keyholder,
    pub address: Address,
    pub settings: Settings,
    pub work: Work,
}

#[derive(Debug)]
pub(crate) struct Settings {
    heartbeat: Duration,
    /// Δ in milliseconds.
    pub max_clock_difference: u64,
    propose_timeout: Duration,
    pub clock: Clock,
    pub has_peers: bool,
    abstains_since: Option<u64>,
}

impl Settings {
    pub fn new(config: &NodeConfig, abstains_since: Option<u64>) -> Self {
        Settings {
            heartbeat: config.heartbeat,
            max_clock_difference: u64::try_from(config.max_clock_difference.as_millis()).unwrap_or(u64::MAX),
            propose_timeout: config.propose_timeout,
            clock: config.clock.clone(),
            has_peers: !config.peers.is_empty(),
            abstains_since,
        }
    }
}

/// What belongs to the height in progress.
#[derive(Default)]
pub(crate) struct Work {
    pub assembler: Assembler,
    pub executed: BTreeMap<Hash, Executed>,
    /// Values that the engine has been told of since it started this height.
    pub told: BTreeSet<Hash>,
    pub round: u32,
    /// The last block came by value sync: peers are ahead, so there is no time to idle.
    pub synced: bool,
    held: Option<Held>,
}

/// The next height, not begun because there is nothing to put into a block.
struct Held {
    reply: Reply<Next<Ctx>>,
    until: Instant,
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
    /// Runs until told to stop or until it cannot go on, and returns why it ended.
    pub async fn run(
        &mut self,
        first: AppMsg<Ctx>,
        mut engine: mpsc::Receiver<AppMsg<Ctx>>,
        mut commands: mpsc::Receiver<Command>,
        life: &watch::Sender<Life>,
    ) -> Arc<str> {
        let ended = match self.answer(first).await {
            Ok(()) => self.serve(&mut engine, &mut commands).await,
            Err(fatal) => Err(fatal),
        };
        let why: Arc<str> = match ended {
            Ok(()) => "it was told to".into(),
            Err(fatal) => {
                error!("The chain node cannot go on: {fatal}");
                fatal.to_string().into()
            }
        };
        // Before the channels close, so that whoever finds them closed reads the reason.
        life.send_replace(Life::Stopping(why.clone()));
        why
    }

    async fn serve(
        &mut self,
        engine: &mut mpsc::Receiver<AppMsg<Ctx>>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<(), Fatal> {
        loop {
            let held_until = self.work.held.as_ref().map(|held| held.until);
            tokio::select! {
                message = engine.recv() => match message {
                    Some(message) => self.answer(message).await?,
                    None => return Err(Fatal::EngineGone),
                },
                command = commands.recv() => match command {
                    Some(Command::Submit { transaction, reply }) => {
                        let result = self.submit(transaction).await?;
                        // The caller may have given up; the transaction waits all the same.
                        let _ = reply.send(result);
                    }
                    Some(Command::Shutdown) | None => return Ok(()),
                },
                Ok(()) = self.peers_height.changed() => {
                    let height = *self.peers_height.borrow_and_update();
                    self.follow(height);
                }
                () = tokio::time::sleep_until(held_until.unwrap_or_else(Instant::now)), if held_until.is_some() => {
                    self.begin_held_height();
                }
            }
        }
    }

    async fn answer(&mut self, message: AppMsg<Ctx>) -> Result<(), Fatal> {
        match message {
            AppMsg::ConsensusReady { reply } => {
                info!(height = self.executor.next_height(), "Consensus begins");
                respond(reply, (Height(self.executor.next_height()), self.height_params()));
            }
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                debug!(%height, %round, "Round begins");
                self.work.round = round.as_u32().unwrap_or(0);
                respond(reply_value, self.known_proposals(height)?);
                if self.work.round > 0 && self.settings.has_peers {
                    // The round before failed: perhaps the others never heard of what waits here.
                    let waiting = lock(&self.mempool).first(MAX_BLOCK_TRANSACTIONS, MAX_REGOSSIP_BYTES);
                    self.publish(waiting.into_iter().map(proposals::gossip).collect()).await;
                }
            }
            AppMsg::GetValue { height, round, reply, .. } => self.propose(height, round, reply).await?,
            AppMsg::ReceivedProposalPart { published_by, part, reply, .. } => {
                let publisher = published_by.map(|peer| peer.to_bytes()).unwrap_or_default();
                respond(reply, self.receive(publisher, part)?);
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                respond(reply, self.receive_synced(height, round, proposer, &value_bytes)?);
            }
            AppMsg::Decided { certificate, reply, .. } => {
                self.commit(&certificate)?;
                respond(reply, ());
            }
            AppMsg::Finalized { evidence, reply, certificate, .. } => {
                if !evidence.is_empty() {
                    warn!(height = %certificate.height, ?evidence, "Validators contradicted themselves");
                }
                self.hold_or_begin(reply);
            }
            AppMsg::RestreamProposal { height, round, valid_round, address, value_id } => {
                self.restream(height, round, valid_round, address, value_id).await?;
            }
            AppMsg::GetHistoryMinHeight { reply } => respond(reply, Height(1)),
            AppMsg::GetDecidedValues { range, reply } => {
                respond(reply, self.decided_values(range.start().0, range.end().0)?);
            }
            AppMsg::ExtendVote { reply, .. } => respond(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let refuse = |(address, _)| (address, Err(VoteExtensionError::InvalidVoteExtension));
                respond(reply, extensions.into_iter().map(refuse).collect());
            }
        }
        Ok(())
    }

    fn height_params(&self) -> HeightParams<Ctx> {
        engine::height_params(self.executor.validators(), self.settings.propose_timeout)
    }

    async fn submit(&mut self, transaction: Vec<u8>) -> Result<Result<Hash, SubmitError>, Fatal> {
        let id = Hash::of(&transaction);
        let new = match self.admit(id, &transaction)? {
            Ok(new) => new,
            Err(refused) => return Ok(Err(refused)),
        };
        if new {
            self.begin_held_height();
            if self.settings.has_peers {
                self.publish(vec![proposals::gossip(transaction)]).await;
            }
        }
        Ok(Ok(id))
    }

    /// Whether the transaction is new and waits now; `false` if it waited already or is final.
    pub(crate) fn admit(
        &self,
        id: Hash,
        transaction: &[u8],
    ) -> Result<Result<bool, SubmitError>, StoreError> {
        if transaction.len() > MAX_TRANSACTION_BYTES {
            return Ok(Err(SubmitError::TooLarge { bytes: transaction.len() }));
        }
        if lock(&self.mempool).contains(&id) || self.store.position(&id)?.is_some() {
            return Ok(Ok(false));
        }
        if let Err(refusal) = self.executor.check(transaction) {
            return Ok(Err(SubmitError::Refused { code: refusal.code, reason: refusal.reason }));
        }
        let inserted = lock(&self.mempool).insert(id, transaction.to_vec());
        Ok(inserted.map(|()| true).map_err(|Full| SubmitError::MempoolFull))
    }

    /// Makes the decided block final: store, then state machine, then everybody who waits.
    fn commit(&mut self, certificate: &CommitCertificate<Ctx>) -> Result<(), Fatal> {
        let certificate = engine::our_certificate(certificate);
        let executed = self.decided(certificate.height, certificate.header)?;
        certificate.verify(&executed.block.header.chain_id, self.executor.validators())?;

        let header = &executed.block.header;
        let height = header.height;
        let margin = self.settings.max_clock_difference;
        let end_abstention =
            self.settings.abstains_since.is_some_and(|since| header.time > since.saturating_add(margin));
        // The commit point. A crash before it: the engine's log decides the same block again at restart.
        self.store.commit(&Commit {
            block: &executed.block,
            certificate: &certificate,
            receipts: &executed.outcome.receipts,
            changes: &executed.outcome.changes,
            history: &self.executor.history_after(&executed),
            end_abstention,
        })?;
        if end_abstention {
            self.settings.abstains_since = None;
            warn!(
                height,
                "Every vote that this node may have forgotten is out of date: restart it to vote again"
            );
        }
        // A crash from here on leaves a final height that the restart reads back.
        let ids: Vec<_> = executed.outcome.receipts.iter().map(|receipt| receipt.transaction).collect();
        self.executor.commit(executed)?;
        let mut mempool = lock(&self.mempool);
        ids.iter().for_each(|id| mempool.remove(id));
        drop(mempool);
        self.work.executed.clear();
        self.work.told.clear();
        self.work.round = 0;
        self.tip.send_replace(*self.executor.tip());
        debug!(height, transactions = ids.len(), "Block is final");
        Ok(())
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

    /// The engine makes a block as soon as a height begins; so an idle chain does not begin the next one
    /// before there is something to put into it, or the heartbeat is due.
    fn hold_or_begin(&mut self, reply: Reply<Next<Ctx>>) {
        let until = Instant::now() + self.settings.heartbeat;
        self.work.held = Some(Held { reply, until });
        let synced = std::mem::take(&mut self.work.synced);
        if synced || !lock(&self.mempool).is_empty() {
            self.begin_held_height();
        }
    }

    pub(crate) fn begin_held_height(&mut self) {
        if let Some(Held { reply, .. }) = self.work.held.take() {
            respond(reply, Next::Start(Height(self.executor.next_height()), self.height_params()));
        }
    }

    /// Final blocks for a peer that syncs, as many as fit; the peer asks again for the rest.
    fn decided_values(&self, first: u64, last: u64) -> Result<Vec<RawDecidedValue<Ctx>>, StoreError> {
        let mut values = Vec::new();
        let mut bytes = 0;
        for height in first..=last.min(self.executor.tip().height) {
            let Some(found) = self.store.final_block(height)? else { break };
            let block = found.block.encode();
            bytes += block.len();
            if bytes > MAX_SYNC_BYTES && !values.is_empty() {
                break;
            }
            values.push(codec::synced(block, engine::engine_certificate(&found.certificate)));
        }
        Ok(values)
    }
}

/// The engine drops its end only when it stops, and then nobody needs the answer.
pub(crate) fn respond<T>(reply: Reply<T>, answer: T) {
    if reply.send(answer).is_err() {
        debug!("The consensus engine no longer waits for an answer");
    }
}
