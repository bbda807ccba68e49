//! Before the first vote after a start. A validator that has forgotten votes must not vote, but its folder does not
//! always show it: a new one may be a new validator's, or that of one that has lost everything; an old copy looks like
//! the real one. So the node asks the other validators for its newest vote, and votes itself when enough of them know
//! none that its folder does not remember: so many that, with its own power, they could make a block, which takes
//! nothing from a chain that could go on without it. If one of them shows it a newer one, it abstains. Every node keeps
//! the newest vote of each validator with its blocks.
//!
//! One that abstains, for that reason or because it was told to rejoin, asks as well: how far the others are. A vote that
//! it has forgotten was for the height after one that more than two thirds had voted for, and who has is at that height
//! or above, also after a restart. So it votes when its blocks have passed every height that enough of them were at when
//! it asked, by one more, and every vote of its own that anybody has shown; and are later than its start by more than Δ.
//! The last alone would trust its own clock, which a restored machine may have set back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anchor::key::Address as Validator;
use anchor::{Header, ValidatorSet};
use arc_malachitebft_app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::Reply;
use arc_malachitebft_core_types::HeightParams;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::context::{Address, Answer, Ctx, Height, KnownVote, Memory, Part, Question};
use crate::driver::{Driver, Fatal, Turn, respond};
use crate::home;
use crate::ledger::lock;
use crate::status::Standing;

/// How long the engine is kept waiting for the answers. After that the node follows the chain without a signer, so that
/// it catches up and serves others, and goes on asking.
const HOLD: Duration = Duration::from_secs(3);
/// How often the question is repeated.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The engine's request to begin.
type Begin = Reply<(Height, HeightParams<Ctx>)>;

/// The questions of this node, while it does not know whether it may vote.
pub(crate) struct Asking {
    memory: home::Memory,
    /// Who knows no vote that this node does not remember.
    content: BTreeSet<Validator>,
    /// At which height each was when it first answered: nothing that this node has forgotten is younger.
    heights: BTreeMap<Validator, u64>,
    /// The greatest height of a vote of this node that anybody has shown.
    shown: u64,
    begin: Option<Begin>,
    again: Instant,
    hold_until: Instant,
    /// The engine runs without a signer meanwhile.
    pub observes: bool,
}

impl Asking {
    pub fn new(memory: home::Memory) -> Self {
        let now = Instant::now();
        let hold_until = now + HOLD;
        Asking {
            memory,
            content: BTreeSet::new(),
            heights: BTreeMap::new(),
            shown: 0,
            begin: None,
            again: now,
            hold_until,
            observes: false,
        }
    }

    pub fn question(&self, asker: Address) -> Question {
        Question { nonce: self.memory.nonce, asker }
    }

    pub fn due(&self) -> Instant {
        self.again
    }

    /// Whether a block of `height` is above every height at which this node may have voted, if these speak the truth.
    fn passed(&self, height: u64) -> impl Iterator<Item = &Validator> {
        let seen = self.shown <= height;
        self.heights.iter().filter(move |(_, at)| seen && **at < height).map(|(validator, _)| validator)
    }
}

/// Whether these validators, with `own`, have more than two thirds of the power: they could make a block.
fn are_enough<'a>(set: &ValidatorSet, own: &Address, others: impl Iterator<Item = &'a Validator>) -> bool {
    let power = |address: &Validator| set.by_address(address).map_or(0, |validator| validator.power);
    let sum = others.fold(power(&own.0), |sum, other| sum.saturating_add(power(other)));
    u128::from(sum) * 3 > u128::from(set.total_power()) * 2
}

fn message(memory: Memory) -> StreamMessage<Part> {
    let id = StreamId::new(Bytes::from_static(b"memory"));
    StreamMessage::new(id, 0, StreamContent::Data(Part::Memory(memory)))
}

impl Driver {
    /// The engine is ready. It begins, unless this node must ask first.
    pub(crate) fn ready(&mut self, begin: Begin) {
        match &mut self.asking {
            None => self.begin(begin),
            Some(Asking { observes: true, .. }) => self.begin(begin),
            Some(asking) => {
                info!("This node asks the other validators whether it has voted more than it remembers");
                asking.begin = Some(begin);
                self.end_asking_if_known();
            }
        }
    }

    fn begin(&mut self, begin: Begin) {
        let next = self.executor.next_height();
        info!(height = next, "Consensus begins");
        respond(begin, (Height(next), self.height_params()));
    }

    pub(crate) async fn ask(&mut self) {
        let Some(asking) = &mut self.asking else { return };
        let now = Instant::now();
        asking.again = now + ASK_AGAIN;
        if now >= asking.hold_until && !asking.observes {
            info!("Too few answers yet: this node follows the chain without voting meanwhile");
            asking.observes = true;
            self.turn = Some(Turn::Again);
            return;
        }
        let set = self.executor.validators();
        let open = |other: &anchor::Validator| {
            let address = other.key.address();
            address != self.address.0 && !asking.heights.contains_key(&address)
        };
        // Only validators are answered. One that abstains has heard enough when all have told how far they are.
        let done = self.settings.abstains_since.is_some() && !set.0.iter().any(open);
        if done || set.by_address(&self.address.0).is_none() {
            return;
        }
        let question = asking.question(self.address);
        let signature = self.keyholder.sign_question(&question);
        self.publish(vec![message(Memory::Question(question, signature))]).await;
    }

    pub(crate) async fn hear(&mut self, questions: Vec<Question>, answers: Vec<Answer>) -> Result<(), Fatal> {
        for question in questions {
            self.answer_question(question).await;
        }
        answers.iter().try_for_each(|answer| self.hear_answer(answer))
    }

    async fn answer_question(&mut self, question: Question) {
        let asker = question.asker;
        // One that abstains may have forgotten what it knew.
        let knows = matches!(self.standing, Standing::Votes | Standing::Asks);
        if asker == self.address || !knows || !self.answered.admits(&question, Instant::now()) {
            return;
        }
        let heard = lock(&self.board).heard.get(&asker.0).map(|(known, _)| known.clone());
        let stored = self.voters.get(&asker.0).cloned();
        let newest = heard.into_iter().chain(stored).max_by_key(KnownVote::when);
        let answer = self.keyholder.answer(question, Height(self.executor.next_height()), newest);
        self.publish(vec![message(Memory::Answer(Box::new(answer)))]).await;
    }

    /// An answer to this node's question, with its validator's signature.
    fn hear_answer(&mut self, answer: &Answer) -> Result<(), Fatal> {
        let Some(asking) = &mut self.asking else { return Ok(()) };
        let Answer { validator, newest, .. } = answer;
        let other = self.executor.validators().by_address(&validator.0);
        let Some(other) = other.filter(|_| *validator != self.address) else { return Ok(()) };
        asking.heights.entry(validator.0).or_insert(answer.height.0);
        // Whatever else it may be, a vote that this node has not signed says nothing.
        let own = newest.as_ref().filter(|known| self.keyholder.has_signed(known));
        asking.shown = asking.shown.max(own.map_or(0, |known| known.vote.height.0));
        if self.settings.abstains_since.is_some() {
            return Ok(());
        }
        let Some(vote) = own.map(KnownVote::when).filter(|vote| *vote > asking.memory.newest) else {
            asking.content.insert(validator.0);
            self.end_asking_if_known();
            return Ok(());
        };
        warn!(
            ?vote,
            remembered = ?asking.memory.newest,
            "Validator `{}` has a vote of this node that its folder does not remember: it abstains until that is out \
             of date",
            other.member
        );
        let now = self.settings.clock.now();
        self.store.set_meta("abstain-since", &now.to_be_bytes())?;
        self.abstain(now);
        self.turn = Some(Turn::Again);
        Ok(())
    }

    /// Stops voting for a time, and asks how far the others are.
    pub(crate) fn abstain(&mut self, since: u64) {
        // It is later than the newest block here, whatever the clock says.
        self.settings.abstains_since = Some(since.max(self.executor.tip().time));
        if let Some(asking) = &mut self.asking {
            asking.begin = None;
            asking.observes = true;
        }
    }

    /// Whether this block, which is becoming final, is younger than every vote that this node may have forgotten.
    pub(crate) fn ends_abstention(&self, header: &Header) -> bool {
        let (Some(since), Some(asking)) = (self.settings.abstains_since, &self.asking) else { return false };
        let set = self.executor.validators();
        header.time > since.saturating_add(self.settings.max_clock_difference)
            && are_enough(set, &self.address, asking.passed(header.height))
    }

    fn end_asking_if_known(&mut self) {
        let Some(asking) = &mut self.asking else { return };
        let set = self.executor.validators();
        if self.settings.abstains_since.is_some() || !are_enough(set, &self.address, asking.content.iter()) {
            return;
        }
        if asking.observes {
            self.asking = None;
            self.turn = Some(Turn::Again);
        } else if let Some(begin) = asking.begin.take() {
            self.asking = None;
            self.stand(Standing::Votes);
            self.begin(begin);
        }
    }
}
