//! Proposals: made, received in parts or by value sync, and judged by executing them.

use anchor::{Block, Hash};
use arc_malachitebft_app::consensus::ProposedValue;
use arc_malachitebft_app::engine::host::SyncedValueOutcome;
use arc_malachitebft_app::streaming::{StreamContent, StreamMessage};
use arc_malachitebft_app::types::LocallyProposedValue;
use arc_malachitebft_app_channel::{NetworkMsg, Reply};
use arc_malachitebft_core_types::{Round, Validity};
use tracing::{debug, error, warn};

use crate::config::{MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS};
use crate::context::{Address, BlockId, Ctx, Height, Part, ProposalInit};
use crate::driver::{Driver, Fatal, respond};
use crate::executor::{Executed, Executor, Rejection};
use crate::judged::{Judged, Met};
use crate::ledger::lock;
use crate::proposals;
use crate::store::{Staged, StoreError};

/// Executed proposals kept for the decision; more are executed again.
const MAX_EXECUTED: usize = 4;
/// Blocks served for one height that are remembered, to count the wrong ones.
const MAX_SERVED: usize = 64;
/// From this round on blocks are empty. Rounds go on while too few validators are there, each leaves a
/// staged block behind, and they must not fill the disk.
const FIRST_EMPTY_ROUND: u32 = 4;
/// How far ahead of ours a round may be for its proposal to be looked at.
const MAX_ROUNDS_AHEAD: u32 = 8;

impl Driver {
    pub(crate) async fn propose(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<LocallyProposedValue<Ctx>>,
    ) -> Result<(), Fatal> {
        if height.0 != self.executor.next_height() {
            warn!(%height, next = self.executor.next_height(), "Asked for a block of another height");
            return Ok(());
        }
        let Some(staged) = self.own_proposal(height, round)? else { return Ok(()) };
        self.work.told.insert(staged.init.value.0);
        respond(reply, LocallyProposedValue::new(height, round, staged.init.value));
        if self.settings.has_peers {
            self.publish(proposals::parts(&staged).unwrap_or_default()).await;
        }
        Ok(())
    }

    /// The block that this node proposed for the round before a crash, or a new one, staged either way.
    fn own_proposal(&mut self, height: Height, round: Round) -> Result<Option<Staged>, Fatal> {
        for staged in self.store.staged_at(height.0)? {
            let mine = staged.init.proposer == self.address && staged.init.round == round;
            let timely = self.check_clock(&staged.block).is_ok();
            if mine && timely && self.judge(staged.block.clone())?.is_ok() {
                return Ok(Some(staged));
            }
        }
        let Some(executed) = self.build(round) else { return Ok(None) };
        let init = ProposalInit {
            height,
            round,
            pol_round: Round::Nil,
            proposer: self.address,
            value: BlockId(executed.hash),
        };
        let signature = Some(self.keyholder.sign_parts(&init));
        let staged = Staged { init, signature, block: executed.block.clone() };
        // The engine's log will name this block by its hash, so the block itself must be durable first.
        self.store.stage(&staged)?;
        self.remember(executed);
        Ok(Some(staged))
    }

    /// A block of what waits in the mempool; an empty one if no block can be made of that.
    fn build(&mut self, round: Round) -> Option<Executed> {
        let now = self.settings.clock.now();
        let most = if round < Round::new(FIRST_EMPTY_ROUND) { MAX_BLOCK_TRANSACTIONS } else { 0 };
        let waiting = lock(&self.mempool).first(most, MAX_BLOCK_BYTES);
        let transactions = self.executor.select(waiting.clone());
        if transactions.is_empty() {
            // None of them has its turn, and nothing that waits can give it to them: kept, they would make one empty
            // block after the other.
            waiting.iter().for_each(|transaction| lock(&self.mempool).remove(&Hash::of(transaction)));
        }
        let invalid = match self.executor.compose(now, transactions.clone()) {
            Ok(executed) => return Some(executed),
            Err(invalid) => invalid,
        };
        warn!(%invalid, "Cannot make a block of the waiting transactions, dropping those that fail alone");
        for transaction in transactions {
            if self.executor.compose(now, vec![transaction.clone()]).is_err() {
                lock(&self.mempool).remove(&Hash::of(&transaction));
            }
        }
        let empty = self.executor.compose(now, Vec::new());
        empty.inspect_err(|invalid| error!(%invalid, "Cannot make even an empty block")).ok()
    }

    /// Sends a proposal again. One of another proposer goes out as it came in, with that one's signature.
    pub(crate) async fn restream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        proposer: Address,
        value: BlockId,
    ) -> Result<(), Fatal> {
        let Some(mut staged) = self.store.staged(height.0, &value.0)? else {
            warn!(%height, %value, "Asked to send a block again that is not staged");
            return Ok(());
        };
        if proposer == self.address {
            staged.init = ProposalInit { height, round, pol_round: valid_round, proposer, value };
            staged.signature = Some(self.keyholder.sign_parts(&staged.init));
        }
        self.publish(proposals::parts(&staged).unwrap_or_default()).await;
        Ok(())
    }

    pub(crate) async fn publish(&self, messages: Vec<StreamMessage<Part>>) {
        for message in messages {
            if self.lines.network.send(NetworkMsg::PublishProposalPart(message)).await.is_err() {
                // The engine is stopping; its closed inbox ends the loop next.
                debug!("Nothing is published any more");
                return;
            }
        }
    }

    pub(crate) fn receive(
        &mut self,
        publisher: Vec<u8>,
        message: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Ctx>>, Fatal> {
        let bucket = self.listed.publisher(&publisher);
        match message.content {
            StreamContent::Data(Part::Transactions(batch)) => {
                self.receive_batch(&bucket, batch)?;
                return Ok(None);
            }
            // It came by the tap already.
            StreamContent::Data(Part::Memory(_)) => return Ok(None),
            _ => {}
        }
        let key = (publisher, message.stream_id.to_bytes());
        let Some(staged) = self.work.assembler.add(&bucket, key, message) else { return Ok(None) };
        let height = staged.init.height.0;
        if height < self.executor.next_height() {
            lock(&self.board).refused.proposals += 1;
            return Ok(None);
        }
        if !proposals::is_signed(&staged, self.executor.validators(), &self.scheme) {
            debug!(height, "Dropped a proposal that no validator has signed");
            lock(&self.board).refused.proposals += 1;
            return Ok(None);
        }
        self.follow(height);
        if height > self.executor.next_height() {
            self.work.assembler.keep_early(staged);
            return Ok(None);
        }
        self.consider(staged)
    }

    /// Somebody is at `height`. If it is one that this node has not begun, it must, or they wait for its vote.
    pub(crate) fn follow(&mut self, height: u64) {
        if height >= self.executor.next_height() {
            self.begin_held_height();
        }
    }

    fn check_clock(&self, block: &Block) -> Result<(), Rejection> {
        let allowed = self.settings.max_clock_difference;
        Executor::check_clock(&block.header, self.settings.clock.now(), allowed)
    }

    /// How a proposal is to be met: whether it is worth its execution and its place on the disk.
    fn meet(&mut self, init: &ProposalInit) -> Result<Met, StoreError> {
        if init.round > Round::new(self.work.round.saturating_add(MAX_ROUNDS_AHEAD)) {
            return Ok(Met::Refused);
        }
        if self.work.judged.height != init.height.0 {
            self.work.judged = Judged::new(init.height.0, &self.store.staged_at(init.height.0)?);
        }
        Ok(self.work.judged.meet(init))
    }

    /// Judges a complete proposal for the next height, unless that is done already.
    fn consider(&mut self, staged: Staged) -> Result<Option<ProposedValue<Ctx>>, Fatal> {
        let init = staged.init.clone();
        let authentic = proposals::is_authentic(&staged, self.executor.validators(), &self.scheme);
        let met = if authentic { self.meet(&init)? } else { Met::Refused };
        let validity = match met {
            Met::New => self.find(staged)?,
            Met::Known(validity) => validity,
            Met::Refused => {
                debug!(height = %init.height, authentic, "Dropped a proposal");
                lock(&self.board).refused.proposals += 1;
                return Ok(None);
            }
        };
        if validity == Validity::Valid {
            self.work.told.insert(init.value.0);
        }
        Ok(Some(proposed(&init, validity)))
    }

    /// Executes a proposed block, and remembers what it was found to be.
    fn find(&mut self, staged: Staged) -> Result<Validity, StoreError> {
        let judged = match self.check_clock(&staged.block) {
            Ok(()) => self.judge(staged.block.clone())?,
            Err(rejection) => Err(rejection),
        };
        let (found, validity) = match judged {
            Ok(()) => {
                self.store.stage(&staged)?;
                (Some(Validity::Valid), Validity::Valid)
            }
            Err(rejection) => {
                let (height, proposer) = (staged.init.height, staged.init.proposer);
                warn!(%height, %proposer, "Voting against the proposed block: {rejection}");
                lock(&self.board).refused.blocks += 1;
                // It may be sent again when its time has come.
                let passes = matches!(rejection, Rejection::Clock { .. });
                ((!passes).then_some(Validity::Invalid), Validity::Invalid)
            }
        };
        self.work.judged.note(&staged.init, found);
        Ok(validity)
    }

    /// Proposals that the engine may not know: staged before a crash, or received too early.
    pub(crate) fn known_proposals(&mut self, height: Height) -> Result<Vec<ProposedValue<Ctx>>, Fatal> {
        let mut known = Vec::new();
        for staged in self.store.staged_at(height.0)? {
            // It was found valid before it was staged. The clock was asked where it was proposed to this node, not where
            // it was served with the votes of those whose clocks had agreed.
            if self.work.told.insert(staged.init.value.0) {
                known.push(proposed(&staged.init, Validity::Valid));
            }
        }
        if height.0 == self.executor.next_height() {
            for staged in self.work.assembler.take_early(height.0) {
                known.extend(self.consider(staged)?);
            }
        }
        Ok(known)
    }

    /// A block with a certificate that the engine has checked. Its time is not compared with the clock: that
    /// was for those who voted.
    pub(crate) fn receive_synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: &[u8],
    ) -> Result<SyncedValueOutcome<Ctx>, Fatal> {
        if height.0 != self.executor.next_height() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok(block) = Block::decode(bytes) else { return Ok(self.blame(height, "it is no block")) };
        let value = BlockId(block.header.hash());
        let init = ProposalInit { height, round, pol_round: Round::Nil, proposer, value };
        let validity = match self.judge(block.clone())? {
            Ok(()) => {
                self.store.stage(&Staged { init: init.clone(), signature: None, block })?;
                self.work.synced = true;
                Validity::Valid
            }
            // The header may be right and the body not the one that it commits to.
            Err(rejection @ (Rejection::Field("txs_root") | Rejection::TooLarge)) => {
                return Ok(self.blame(height, &rejection.to_string()));
            }
            // The engine compares the hash with the certificate's: nearly always, this is another block.
            Err(rejection) => {
                error!(%height, "A block served for catching up is wrong here: {rejection}");
                lock(&self.board).refused.synced += 1;
                Validity::Invalid
            }
        };
        if validity == Validity::Valid && self.work.served.len() < MAX_SERVED {
            self.work.served.insert(value.0);
        }
        Ok(SyncedValueOutcome::Verdict(proposed(&init, validity)))
    }

    fn blame(&self, height: Height, reason: &str) -> SyncedValueOutcome<Ctx> {
        warn!(%height, "A peer serves a wrong block for catching up: {reason}");
        lock(&self.board).refused.synced += 1;
        SyncedValueOutcome::PeerFault
    }

    /// Executes a block, unless that is done already, and keeps the outcome.
    fn judge(&mut self, block: Block) -> Result<Result<(), Rejection>, StoreError> {
        if self.work.executed.get(&block.header.hash()).is_some_and(|known| known.block == block) {
            return Ok(Ok(()));
        }
        Ok(self.executor.replay(block, &self.store)?.map(|executed| self.remember(executed)))
    }

    fn remember(&mut self, executed: Executed) {
        if self.work.executed.len() >= MAX_EXECUTED {
            self.work.executed.pop_first();
        }
        self.work.executed.insert(executed.hash, executed);
    }
}

fn proposed(init: &ProposalInit, validity: Validity) -> ProposedValue<Ctx> {
    ProposedValue {
        height: init.height,
        round: init.round,
        valid_round: init.pol_round,
        proposer: init.proposer,
        value: init.value,
        validity,
    }
}
