//! The node's loop: takes what comes, from the engine, from callers, from the other validators and from the clock, and
//! sees to it that every message of the engine gets its answer. [`crate::proposing`] has the answers about proposals,
//! [`crate::joining`] those before the first vote.

use std::sync::Arc;

use arc_malachitebft_app::consensus::{MisbehaviorEvidence, VoteExtensionError};
use arc_malachitebft_app::engine::host::Next;
use arc_malachitebft_app_channel::{AppMsg, Reply};
use arc_malachitebft_sync::RawDecidedValue;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::codec;
use crate::context::{Ctx, Height};
use crate::driver::{Driver, Fatal, Held, Turn, respond};
use crate::engine;
use crate::joining::Asking;
use crate::ledger::{Command, Life, lock};
use crate::status::Equivocation;
use crate::store::StoreError;

/// Most bytes of blocks in one answer to a peer that syncs.
const MAX_SYNC_BYTES: usize = 8 << 20;
/// Submissions taken at a time, before the engine gets its turn again.
const MAX_SUBMISSIONS: usize = 64;

impl Driver {
    /// Runs until told to stop, until it cannot go on, or until this engine has done its part.
    pub async fn run(
        &mut self,
        first: AppMsg<Ctx>,
        mut engine: mpsc::Receiver<AppMsg<Ctx>>,
        commands: &mut mpsc::Receiver<Command>,
        started: impl FnOnce(&Driver),
        life: &watch::Sender<Life>,
    ) -> Turn {
        let ended = match self.answer(first).await {
            Ok(()) => {
                started(self);
                self.serve(&mut engine, commands).await
            }
            Err(fatal) => Err(fatal),
        };
        let why: Arc<str> = match ended {
            Ok(Turn::Again) => return Turn::Again,
            Ok(Turn::End(why)) => why,
            Err(fatal) => {
                error!("The chain node cannot go on: {fatal}");
                fatal.to_string().into()
            }
        };
        // Before the channels close, so that whoever finds them closed reads the reason.
        life.send_replace(Life::Stopping(why.clone()));
        Turn::End(why)
    }

    async fn serve(
        &mut self,
        engine: &mut mpsc::Receiver<AppMsg<Ctx>>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<Turn, Fatal> {
        loop {
            if let Some(turn) = self.turn.take() {
                return Ok(turn);
            }
            let held_until = self.work.held.as_ref().map(|held| held.until);
            let (outbox, question) = (self.outbox.due(), self.asking.as_ref().map(Asking::due));
            tokio::select! {
                message = engine.recv() => match message {
                    Some(message) => self.answer(message).await?,
                    None => return Err(Fatal::EngineGone),
                },
                command = commands.recv() => {
                    let Some(command) = command else { return Ok(Turn::End("it was told to".into())) };
                    self.obey(command, commands)?;
                }
                (questions, answers) = self.lines.tap.next() => self.hear(questions, answers).await?,
                Ok(()) = self.lines.peers_height.changed() => {
                    let height = *self.lines.peers_height.borrow_and_update();
                    self.follow(height);
                }
                () = at(outbox), if outbox.is_some() => self.send_outbox().await,
                () = at(question), if question.is_some() => self.ask().await,
                () = at(held_until), if held_until.is_some() => self.begin_held_height(),
            }
        }
    }

    /// Takes what is to be taken at once, so that transactions submitted together are judged together.
    fn obey(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) -> Result<(), Fatal> {
        let mut next = Some(first);
        for _ in 0..MAX_SUBMISSIONS {
            match next.take().or_else(|| commands.try_recv().ok()) {
                Some(Command::Submit { transaction, reply }) => {
                    let result = self.submit(transaction)?;
                    // The caller may have given up; the transaction waits all the same.
                    let _ = reply.send(result);
                }
                Some(Command::Shutdown) => {
                    self.turn = Some(Turn::End("it was told to".into()));
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn answer(&mut self, message: AppMsg<Ctx>) -> Result<(), Fatal> {
        match message {
            AppMsg::ConsensusReady { reply } => self.ready(reply),
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                debug!(%height, %round, "Round begins");
                self.work.round = round.as_u32().unwrap_or(0);
                lock(&self.board).begins(height.0, self.work.round);
                respond(reply_value, self.known_proposals(height)?);
                if self.work.round > 0 {
                    self.send_overdue(true).await;
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
                self.note_evidence(certificate.height, &evidence);
                self.hold_or_begin(reply);
                self.send_overdue(false).await;
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

    fn note_evidence(&self, height: Height, evidence: &MisbehaviorEvidence<Ctx>) {
        for equivocation in engine::equivocations(height, evidence) {
            let Equivocation { height, address, what } = &equivocation;
            warn!(height, %address, "A validator contradicted itself: {what}");
            lock(&self.board).note_equivocation(equivocation);
        }
    }

    /// The engine makes a block as soon as a height begins; so an idle chain does not begin the next one
    /// before there is something to put into it, or the heartbeat is due.
    fn hold_or_begin(&mut self, reply: Reply<Next<Ctx>>) {
        let until = Instant::now() + self.settings.heartbeat;
        self.work.held = Some(Held { reply, until });
        let synced = std::mem::take(&mut self.work.synced);
        if synced || !lock(&self.mempool).is_empty() {
            self.begin_held_height();
        } else {
            lock(&self.board).idles(self.executor.next_height());
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

async fn at(instant: Option<Instant>) {
    tokio::time::sleep_until(instant.unwrap_or_else(Instant::now)).await;
}
