//! Before the first vote after a start. A validator that has forgotten votes must not vote, but its folder does not
//! always show it: a new one may be a new validator's, or that of one that has lost everything; an old copy looks like
//! the real one. So the node asks the other validators for its newest vote, and votes itself when enough of them know
//! none that its folder does not remember: so many that, with its own power, they could make a block, which takes
//! nothing from a chain that could go on without it. If one of them shows it a newer one, it abstains. Every node keeps
//! the newest vote of each validator with its blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use anchor::key::Address as Validator;
use arc_malachitebft_app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::Reply;
use arc_malachitebft_core_types::HeightParams;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::context::{Answer, Ctx, Height, KnownVote, Memory, Part, Question};
use crate::driver::{Driver, Fatal, Turn, respond};
use crate::home;
use crate::ledger::lock;
use crate::status::Standing;

/// How long the engine is kept waiting for the answers. After that the node follows the chain without a signer, so that
/// it catches up and serves others, and goes on asking.
const HOLD: Duration = Duration::from_secs(3);
/// How often the question is repeated.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How often others' questions are answered at most.
const ANSWER_AGAIN: Duration = Duration::from_millis(20);

/// The engine's request to begin.
type Begin = Reply<(Height, HeightParams<Ctx>)>;

/// The questions of this node, while it does not know whether it may vote.
pub(crate) struct Asking {
    memory: home::Memory,
    /// Who knows no vote that this node does not remember, with its power.
    content: BTreeMap<Validator, u64>,
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
        Asking { memory, content: BTreeMap::new(), begin: None, again: now, hold_until, observes: false }
    }

    pub fn due(&self) -> Instant {
        self.again
    }
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
        let question = Question { nonce: asking.memory.nonce, asker: self.address };
        self.publish(vec![message(Memory::Question(question))]).await;
    }

    pub(crate) async fn hear(&mut self, memory: Memory) -> Result<(), Fatal> {
        match memory {
            Memory::Question(question) => {
                self.answer_question(question).await;
                Ok(())
            }
            Memory::Answer(answer) => self.hear_answer(&answer),
        }
    }

    async fn answer_question(&mut self, question: Question) {
        let now = Instant::now();
        let asker = question.asker;
        let known = self.executor.validators().by_address(&asker.0).is_some();
        let rested = self.answered.is_none_or(|last| now >= last + ANSWER_AGAIN);
        if asker == self.address || !known || !rested || self.standing == Standing::Follows {
            return;
        }
        self.answered = Some(now);
        let heard = lock(&self.board).heard.get(&asker.0).map(|(known, _)| known.clone());
        let stored = self.voters.get(&asker.0).cloned();
        let answer =
            self.keyholder.answer(question, heard.into_iter().chain(stored).max_by_key(KnownVote::when));
        self.publish(vec![message(Memory::Answer(Box::new(answer)))]).await;
    }

    fn hear_answer(&mut self, answer: &Answer) -> Result<(), Fatal> {
        let Some(asking) = &mut self.asking else { return Ok(()) };
        let Answer { question, validator, newest, signature } = answer;
        let other = self.executor.validators().by_address(&validator.0);
        let Some(other) = other.filter(|_| *validator != self.address) else { return Ok(()) };
        let ours = question.nonce == asking.memory.nonce && question.asker == self.address;
        let bytes = self.scheme.memory(question, validator, newest.as_ref());
        if !ours || !other.key.verifies(&bytes, signature) {
            return Ok(());
        }
        // Whatever else it may be, a vote that this node has not signed says nothing.
        let own = newest.as_ref().filter(|known| self.keyholder.has_signed(known));
        let height = own.map_or(0, |known| known.vote.height.0);
        if height <= asking.memory.height {
            asking.content.insert(validator.0, other.power);
            self.end_asking_if_known();
            return Ok(());
        }
        let now = self.settings.clock.now();
        warn!(
            height,
            remembered = asking.memory.height,
            "Validator `{}` has a vote of this node that its folder does not remember: it abstains until that is out \
             of date",
            other.member
        );
        self.store.set_meta("abstain-since", &now.to_be_bytes())?;
        self.settings.abstain_since(now);
        self.asking = None;
        self.turn = Some(Turn::Again);
        Ok(())
    }

    fn end_asking_if_known(&mut self) {
        let Some(asking) = &mut self.asking else { return };
        let set = self.executor.validators();
        let own = set.by_address(&self.address.0).map_or(0, |validator| validator.power);
        let content = asking.content.values().fold(own, |sum, power| sum.saturating_add(*power));
        let enough = u128::from(content) * 3 > u128::from(set.total_power()) * 2;
        if !enough {
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
