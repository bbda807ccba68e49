//! What this node has found of the proposals for the height in progress. A proposer may sign as many blocks as it
//! likes, and executing one costs far more than signing it: so a few of each round are looked at, each once, and what
//! was found is remembered, whether good or bad.

use std::collections::BTreeMap;

use anchor::Hash;
use arc_malachitebft_core_types::{Round, Validity};

use crate::context::{Address, ProposalInit};
use crate::store::Staged;

/// Blocks of one proposer and round that are looked at: an honest proposer makes one.
pub(crate) const MAX_PER_ROUND: usize = 4;
/// How often the engine is told of one of them: proposals are sent again, but not without end.
const MAX_ANSWERS: u32 = 8;
/// Rounds remembered. Later ones push out the oldest, of which nothing is taken any more; timeouts grow with each round,
/// so that a chain gets here after days without a decision.
const MAX_ROUNDS: usize = 1024;

/// How a proposal is to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// It is to be judged.
    New,
    Known(Validity),
    /// Too many, too often or too old.
    Refused,
}

#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub height: u64,
    rounds: BTreeMap<(Round, Address), BTreeMap<Hash, Verdict>>,
    /// Of this round and those before it nothing is taken any more.
    forgotten: Option<Round>,
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    /// `None` if only its time was wrong, which passes.
    validity: Option<Validity>,
    answers: u32,
}

impl Judged {
    /// For a height of which these blocks are staged. What was synced is not its proposer's doing.
    pub fn new(height: u64, staged: &[Staged]) -> Self {
        let mut judged = Judged { height, ..Judged::default() };
        for staged in staged.iter().filter(|staged| staged.signature.is_some()) {
            judged.note(&staged.init, Some(Validity::Valid));
        }
        judged
    }

    /// How to meet this proposal, which its proposer has signed.
    pub fn meet(&mut self, init: &ProposalInit) -> Met {
        if self.forgotten.is_some_and(|forgotten| init.round <= forgotten) {
            return Met::Refused;
        }
        let Some(round) = self.rounds.get_mut(&(init.round, init.proposer)) else { return Met::New };
        let full = round.len() >= MAX_PER_ROUND;
        match round.get_mut(&init.value.0) {
            Some(verdict) if verdict.answers >= MAX_ANSWERS => Met::Refused,
            Some(verdict) => {
                verdict.answers += 1;
                verdict.validity.map_or(Met::New, Met::Known)
            }
            None if full => Met::Refused,
            None => Met::New,
        }
    }

    /// Remembers what was found; `None` if it may be found otherwise later.
    pub fn note(&mut self, init: &ProposalInit, validity: Option<Validity>) {
        let round = self.rounds.entry((init.round, init.proposer)).or_default();
        round.entry(init.value.0).or_insert(Verdict { validity, answers: 0 }).validity = validity;
        if self.rounds.len() > MAX_ROUNDS {
            let oldest = self.rounds.pop_first();
            self.forgotten = self.forgotten.max(oldest.map(|((round, _), _)| round));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{BlockId, Height};

    fn init(round: u32, n: u32) -> ProposalInit {
        ProposalInit {
            height: Height(1),
            round: Round::new(round),
            pol_round: Round::Nil,
            proposer: Address(anchor::key::Address([1; 20])),
            value: BlockId(Hash::of(&n.to_be_bytes())),
        }
    }

    #[test]
    fn a_few_of_a_round_are_looked_at_and_each_once() {
        let mut judged = Judged::default();
        let mut looked_at = 0;
        for n in 0..1_000 {
            if judged.meet(&init(0, n)) == Met::New {
                judged.note(&init(0, n), Some(Validity::Invalid));
                looked_at += 1;
            }
        }
        assert_eq!(looked_at, MAX_PER_ROUND);
        let answers: Vec<_> = (0..100).map(|_| judged.meet(&init(0, 0))).collect();
        let known = answers.iter().filter(|met| **met == Met::Known(Validity::Invalid)).count();
        assert_eq!((known, answers[99]), (MAX_ANSWERS as usize, Met::Refused));
        assert_eq!(judged.meet(&init(1, 5_000)), Met::New, "another round is another matter");
    }

    #[test]
    fn a_block_before_its_time_is_looked_at_again() {
        let mut judged = Judged::default();
        judged.note(&init(0, 0), None);
        assert_eq!(judged.meet(&init(0, 0)), Met::New);
        judged.note(&init(0, 0), Some(Validity::Valid));
        assert_eq!(judged.meet(&init(0, 0)), Met::Known(Validity::Valid));
        let refused = (1..1_000).filter(|n| {
            let met = judged.meet(&init(0, *n));
            judged.note(&init(0, 0), None);
            if met == Met::New {
                judged.note(&init(0, *n), None);
            }
            met == Met::Refused
        });
        assert_eq!(refused.count(), 999 - (MAX_PER_ROUND - 1), "its place is taken meanwhile");
    }

    #[test]
    fn the_oldest_rounds_give_way_and_do_not_come_back() {
        let mut judged = Judged::default();
        for round in 0..2_000 {
            assert_eq!(judged.meet(&init(round, 0)), Met::New);
            judged.note(&init(round, 0), Some(Validity::Valid));
        }
        assert_eq!(judged.rounds.len(), MAX_ROUNDS);
        assert_eq!(judged.meet(&init(10, 7)), Met::Refused);
        assert_eq!(judged.meet(&init(1_999, 0)), Met::Known(Validity::Valid));
    }
}
