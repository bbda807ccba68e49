//! What a node tells about itself at any time, and the board on which its parts note it.

use std::collections::{BTreeMap, VecDeque};

use anchor::key::Address;
use anchor::{CommitCertificate, Header, ValidatorSet};

use crate::context::{Ctx, Height, KnownVote, Vote};
use crate::ledger::Tip;

/// Contradictions kept; the oldest gives way.
const MAX_EQUIVOCATIONS: usize = 64;

/// What a node knows of itself and of the others right now. For people and metrics: nothing here is evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The newest final block here.
    pub tip: Tip,
    /// The height being decided.
    pub height: u64,
    /// The round of it, from 0. Above 0, a proposer was silent or wrong.
    pub round: u32,
    /// Nothing waits, so that the height has not begun.
    pub idle: bool,
    /// Transactions that wait here for a block.
    pub pending: usize,
    /// Whether this node votes now.
    pub votes: bool,
    /// A validator that does not vote because it may have forgotten votes. It votes again by itself when every such
    /// vote is out of date.
    pub abstains: bool,
    /// A validator that has started and still asks the others whether it has voted more than it remembers.
    pub asks: bool,
    /// The newest final block's certificate.
    pub last: Option<LastBlock>,
    /// Peers with an open connection.
    pub connected: Vec<ConnectedPeer>,
    /// The newest vote heard of each other validator since this node started, by address.
    pub heard: Vec<HeardVote>,
    /// The newest contradictions seen since this node started, oldest first, at most 64.
    pub equivocations: Vec<Equivocation>,
    pub refused: Refused,
}

/// Who made a block final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastBlock {
    pub height: u64,
    pub round: u32,
    /// Milliseconds since 1970 UTC.
    pub time: u64,
    pub transactions: usize,
    /// The first validators, above two thirds of the power, whose signatures arrived: one that is missing here may be
    /// well, see [`NodeStatus::heard`].
    pub signers: Vec<Address>,
    /// Who proposed it; unknown after a restart if the validators have changed with this block.
    pub proposer: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedPeer {
    /// Its peer-to-peer identity.
    pub peer_id: String,
    /// What it calls itself.
    pub moniker: String,
    /// The validator that it has proved to be.
    pub validator: Option<Address>,
}

/// A vote whose signature was checked. It may be for nothing (nil).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardVote {
    pub address: Address,
    pub height: u64,
    pub round: u32,
    /// This node's time, milliseconds since 1970 UTC.
    pub at: u64,
}

/// A validator contradicted itself: its key is in two places, or it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    pub height: u64,
    pub address: Address,
    /// For people: `two prevotes in round 0`.
    pub what: String,
}

/// What this node would not take, counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Transactions from peers: more than a peer may send in that time.
    pub flooded: u64,
    /// Transactions from peers that the contract or the mempool refused.
    pub transactions: u64,
    /// Transactions from peers that wait here or are final already.
    pub repeated: u64,
    /// Proposals that were not their proposer's, out of date, too many, or sent too often.
    pub proposals: u64,
    /// Proposed blocks that this node voted against.
    pub blocks: u64,
    /// Blocks served for catching up that are not what their certificates say; their servers are blamed.
    pub synced: u64,
}

/// Whether this node may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No validator.
    Follows,
    Votes,
    Asks,
    Abstains,
}

/// Where the node's parts note what [`NodeStatus`] shows. Locked for moments only.
#[derive(Debug)]
pub(crate) struct Board {
    pub height: u64,
    pub round: u32,
    pub idle: bool,
    pub standing: Standing,
    pub last: Option<LastBlock>,
    pub connected: Vec<ConnectedPeer>,
    /// With the time of each.
    pub heard: BTreeMap<Address, (KnownVote, u64)>,
    equivocations: VecDeque<Equivocation>,
    pub refused: Refused,
}

impl Default for Board {
    fn default() -> Self {
        Board {
            height: 1,
            round: 0,
            idle: true,
            standing: Standing::Follows,
            last: None,
            connected: Vec::new(),
            heard: BTreeMap::new(),
            equivocations: VecDeque::new(),
            refused: Refused::default(),
        }
    }
}

impl Board {
    pub fn status(&self, tip: Tip, pending: usize) -> NodeStatus {
        NodeStatus {
            tip,
            height: self.height,
            round: self.round,
            idle: self.idle,
            pending,
            votes: self.standing == Standing::Votes,
            abstains: self.standing == Standing::Abstains,
            asks: self.standing == Standing::Asks,
            last: self.last.clone(),
            connected: self.connected.clone(),
            heard: self.heard.values().map(|(known, at)| HeardVote::new(known, *at)).collect(),
            equivocations: self.equivocations.iter().cloned().collect(),
            refused: self.refused,
        }
    }

    pub fn begins(&mut self, height: u64, round: u32) {
        (self.height, self.round, self.idle) = (height, round, false);
    }

    pub fn idles(&mut self, height: u64) {
        (self.height, self.round, self.idle) = (height, 0, true);
    }

    /// Whether the vote is later than what is known of its validator.
    pub fn is_news(&self, vote: &Vote) -> bool {
        self.heard.get(&vote.address.0).is_none_or(|(known, _)| known.when() < vote.when())
    }

    pub fn note_equivocation(&mut self, equivocation: Equivocation) {
        if self.equivocations.contains(&equivocation) {
            return;
        }
        if self.equivocations.len() >= MAX_EQUIVOCATIONS {
            self.equivocations.pop_front();
        }
        self.equivocations.push_back(equivocation);
    }
}

impl HeardVote {
    fn new(KnownVote { vote, .. }: &KnownVote, at: u64) -> Self {
        let round = vote.round.as_u32().unwrap_or(0);
        HeardVote { address: vote.address.0, height: vote.height.0, round, at }
    }
}

impl LastBlock {
    /// `validators` are those who finalized it, as far as known.
    pub fn new(
        header: &Header,
        transactions: usize,
        certificate: &CommitCertificate,
        validators: Option<&ValidatorSet>,
    ) -> Self {
        let round = u32::try_from(certificate.round).unwrap_or(0);
        let proposer = validators.and_then(|set| {
            let turn = Ctx::turn(set.0.len(), Height(header.height), round.into());
            set.0.get(turn).map(|validator| validator.key.address())
        });
        LastBlock {
            height: header.height,
            round,
            time: header.time,
            transactions,
            signers: certificate.signatures.iter().map(|signature| signature.address).collect(),
            proposer,
        }
    }
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_core_types::{NilOrVal, Round, VoteType};

    use super::*;

    fn equivocation(height: u64) -> Equivocation {
        Equivocation { height, address: Address([1; 20]), what: "two prevotes in round 0".into() }
    }

    #[test]
    fn contradictions_are_noted_once_and_bounded() {
        let mut board = Board::default();
        for height in 0..200 {
            board.note_equivocation(equivocation(height));
            board.note_equivocation(equivocation(height));
        }
        assert_eq!(board.equivocations.len(), MAX_EQUIVOCATIONS);
        assert_eq!(board.equivocations.back(), Some(&equivocation(199)));
        assert_eq!(board.equivocations.front(), Some(&equivocation(136)));
    }

    #[test]
    fn only_later_votes_are_news() {
        let vote = |height, round| Vote {
            kind: VoteType::Prevote,
            height: Height(height),
            round: Round::new(round),
            value: NilOrVal::Nil,
            address: crate::context::Address(Address([1; 20])),
        };
        let mut board = Board::default();
        assert!(board.is_news(&vote(1, 0)));
        let known = KnownVote { vote: vote(5, 1), signature: anchor::Signature([0; 64]) };
        board.heard.insert(Address([1; 20]), (known, 7));
        assert!(!board.is_news(&vote(5, 1)) && !board.is_news(&vote(4, 9)));
        assert!(board.is_news(&Vote { kind: VoteType::Precommit, ..vote(5, 1) }));
        assert!(board.is_news(&vote(5, 2)) && board.is_news(&vote(6, 0)));
        let heard = HeardVote { address: Address([1; 20]), height: 5, round: 1, at: 7 };
        let tip = Tip { height: 0, time: 0, header: anchor::Hash::ZERO };
        assert_eq!(board.status(tip, 0).heard, [heard]);
    }
}
