//! What nodes ask each other, on its way past the engine, which keeps everything back while it waits to be told its first
//! height. Every member has a place of its own here: only what it has signed itself takes it up, so that one that floods
//! keeps nobody else's question waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anchor::ValidatorSet;
use anchor::key::Address as Validator;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::context::{Answer, Memory, Question};
use crate::ledger::lock;
use crate::signing::Scheme;

/// Questions of one member that wait, and that are answered within [`ANSWER_AGAIN`]. An honest one has one; others can
/// say again what it asked at earlier starts.
const MAX_QUESTIONS: usize = 4;
/// How often the same question is answered at most.
const ANSWER_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Tap {
    scheme: Scheme,
    validators: watch::Receiver<ValidatorSet>,
    /// What this node has asked: only answers to that are let in.
    asked: Option<Question>,
    letters: Arc<Mutex<Letters>>,
    bell: Arc<Notify>,
}

/// What waits for the driver, bounded by the number of validators.
#[derive(Debug, Default)]
struct Letters {
    questions: BTreeMap<Validator, Vec<Question>>,
    answers: BTreeMap<Validator, Answer>,
}

impl Tap {
    pub fn new(scheme: Scheme, validators: watch::Receiver<ValidatorSet>, asked: Option<Question>) -> Self {
        Tap { scheme, validators, asked, letters: Arc::default(), bell: Arc::default() }
    }

    /// Takes what the network has read, if a validator has signed it and its place is free.
    pub fn pour(&self, memory: &Memory) {
        let taken = match memory {
            Memory::Question(question, signature) => {
                self.has_room(question)
                    && self.is_signed(&question.asker.0, &self.scheme.question(question), signature)
                    && self.keep_question(*question)
            }
            Memory::Answer(answer) => {
                let taken = Some(answer.question) == self.asked
                    && self.is_signed(&answer.validator.0, &self.scheme.memory(answer), &answer.signature);
                if taken {
                    lock(&self.letters).answers.insert(answer.validator.0, Answer::clone(answer));
                }
                taken
            }
        };
        if taken {
            self.bell.notify_one();
        }
    }

    /// All that waits, as soon as anything does. Safe to cancel.
    pub async fn next(&self) -> (Vec<Question>, Vec<Answer>) {
        loop {
            let Letters { questions, answers } = std::mem::take(&mut *lock(&self.letters));
            if !questions.is_empty() || !answers.is_empty() {
                return (questions.into_values().flatten().collect(), answers.into_values().collect());
            }
            self.bell.notified().await;
        }
    }

    /// Before the signature is checked, which costs more.
    fn has_room(&self, question: &Question) -> bool {
        let letters = lock(&self.letters);
        letters.questions.get(&question.asker.0).is_none_or(|waiting| {
            waiting.len() < MAX_QUESTIONS && waiting.iter().all(|known| known.nonce != question.nonce)
        })
    }

    fn keep_question(&self, question: Question) -> bool {
        lock(&self.letters).questions.entry(question.asker.0).or_default().push(question);
        true
    }

    fn is_signed(&self, signer: &Validator, bytes: &[u8], signature: &anchor::Signature) -> bool {
        let key = self.validators.borrow().by_address(signer).map(|validator| validator.key);
        key.is_some_and(|key| key.verifies(bytes, signature))
    }
}

/// Whose questions were answered lately.
#[derive(Debug, Default)]
pub(crate) struct Answered(BTreeMap<Validator, Vec<([u8; 16], Instant)>>);

impl Answered {
    /// Whether a validator's question is to be answered now.
    pub fn admits(&mut self, question: &Question, now: Instant) -> bool {
        self.0.retain(|_, lately| {
            lately.retain(|(_, at)| now < *at + ANSWER_AGAIN);
            !lately.is_empty()
        });
        let lately = self.0.entry(question.asker.0).or_default();
        let rested = lately.iter().all(|(nonce, _)| *nonce != question.nonce);
        if !rested || lately.len() >= MAX_QUESTIONS {
            return false;
        }
        lately.push((question.nonce, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use anchor::{SigningKey, Validator as Member};

    use super::*;
    use crate::context::{Address, Height};
    use crate::signing::Keyholder;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32])
    }

    fn question(n: u8, nonce: u32) -> Question {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&nonce.to_be_bytes());
        Question { nonce: bytes, asker: Address(key(n).public().address()) }
    }

    /// Asked in the name of `asker` by `signer`.
    fn asked(asker: u8, signer: u8, nonce: u32) -> Memory {
        let question = question(asker, nonce);
        Memory::Question(question, keyholder(signer).sign_question(&question))
    }

    fn scheme() -> Scheme {
        Scheme::new(anchor::Hash::of(b"genesis"))
    }

    fn keyholder(n: u8) -> Keyholder {
        Keyholder::new(scheme(), key(n))
    }

    fn tap(own: Option<Question>) -> Tap {
        let member = |n| Member { key: key(n).public(), power: 1, member: n.to_string() };
        let set = ValidatorSet((1..=4).map(member).collect());
        Tap::new(scheme(), watch::Sender::new(set).subscribe(), own)
    }

    #[tokio::test]
    async fn a_flood_of_one_members_questions_keeps_no_other_waiting() {
        let tap = tap(None);
        let mut answered = Answered::default();
        let now = Instant::now();
        let mut answers = BTreeMap::new();
        for wave in 0..50 {
            for n in 0..100 {
                tap.pour(&asked(3, 3, wave * 100 + n));
                tap.pour(&asked(1, 3, wave * 100 + n));
                tap.pour(&asked(9, 9, n));
            }
            tap.pour(&asked(1, 1, u32::MAX));
            let (questions, _) = tap.next().await;
            assert!(questions.contains(&question(1, u32::MAX)), "crowded out");
            assert!(questions.len() <= MAX_QUESTIONS + 1, "{}", questions.len());
            for question in questions {
                *answers.entry(question.asker).or_insert(0) += usize::from(answered.admits(&question, now));
            }
        }
        let count = |n| answers.get(&question(n, 0).asker).copied();
        assert_eq!((count(1), count(3), count(9)), (Some(1), Some(MAX_QUESTIONS), None));
        assert!(answered.admits(&question(1, u32::MAX), now + ANSWER_AGAIN), "asked again");
        assert_eq!(answered.0.len(), 1, "those who rest are forgotten");
    }

    #[tokio::test]
    async fn only_answers_to_the_own_question_come_in_and_one_of_each_member() {
        let own = question(1, 7);
        let tap = tap(Some(own));
        for n in 0..100 {
            for question in [question(1, 8), question(2, 7)] {
                tap.pour(&Memory::Answer(Box::new(keyholder(3).answer(question, Height(n), None))));
            }
            tap.pour(&Memory::Answer(Box::new(keyholder(3).answer(own, Height(n), None))));
            let mut forged = keyholder(3).answer(own, Height(n), None);
            forged.validator = Address(key(2).public().address());
            tap.pour(&Memory::Answer(Box::new(forged)));
        }
        tap.pour(&Memory::Answer(Box::new(keyholder(4).answer(own, Height(1), None))));
        let (_, answers) = tap.next().await;
        let mut from: Vec<_> = answers.iter().map(|answer| (answer.validator, answer.height.0)).collect();
        from.sort();
        let mut expected = [(question(3, 0).asker, 99), (question(4, 0).asker, 1)];
        expected.sort();
        assert_eq!(from, expected);
    }
}
