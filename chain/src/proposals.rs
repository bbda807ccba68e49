//! Proposed blocks in transit: cut into signed parts, and put together again from parts that arrive in any
//! order from peers that may lie. Everything held here is bounded.

use std::collections::{BTreeMap, VecDeque};

use anchor::{Block, ValidatorSet};
use arc_malachitebft_app::streaming::{StreamContent, StreamId, StreamMessage};
use bytes::Bytes;

use crate::config::MAX_BLOCK_BYTES;
use crate::context::{Ctx, Part};
use crate::signing::Scheme;
use crate::store::Staged;

const PART_BYTES: usize = 128 << 10;
/// Streams put together at a time; the oldest gives way.
const MAX_STREAMS: usize = 32;
/// Header and length prefixes come on top of the transactions.
const MAX_STREAM_BYTES: usize = MAX_BLOCK_BYTES + (1 << 20);
const MAX_STREAM_PARTS: usize = MAX_STREAM_BYTES / PART_BYTES + 8;
/// Complete proposals kept for heights that are not ours yet.
const MAX_EARLY: usize = 16;

/// The messages that carry `staged` to the peers. Only a block with its proposer's signature can be sent.
pub(crate) fn parts(staged: &Staged) -> Option<Vec<StreamMessage<Part>>> {
    let signature = staged.signature?;
    let init = &staged.init;
    let mut id = init.value.0.0.to_vec();
    id.extend(init.round.as_i64().to_be_bytes());
    id.extend(init.pol_round.as_i64().to_be_bytes());
    let id = StreamId::new(Bytes::from(id));
    let block = staged.block.encode();
    let data = block.chunks(PART_BYTES).map(|chunk| Part::Data(chunk.to_vec()));
    let all = [Part::Init(init.clone())].into_iter().chain(data).chain([Part::Fin(signature)]);
    let contents = all.map(StreamContent::Data).chain([StreamContent::Fin]);
    Some((0..).zip(contents).map(|(n, content)| StreamMessage::new(id.clone(), n, content)).collect())
}

/// A stream of one part that carries a transaction.
pub(crate) fn gossip(transaction: Vec<u8>) -> StreamMessage<Part> {
    let id = StreamId::new(Bytes::copy_from_slice(&anchor::Hash::of(&transaction).0));
    StreamMessage::new(id, 0, StreamContent::Data(Part::Transaction(transaction)))
}

/// Who published a stream, and the stream's id.
pub(crate) type StreamKey = (Vec<u8>, Bytes);

/// Puts proposals together.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    streams: BTreeMap<StreamKey, Stream>,
    oldest_first: VecDeque<StreamKey>,
    early: VecDeque<Staged>,
}

#[derive(Debug, Default)]
struct Stream {
    parts: BTreeMap<u64, Option<Part>>,
    bytes: usize,
}

impl Stream {
    /// How many messages the stream has, once its end is known.
    fn length(&self) -> Option<u64> {
        self.parts.iter().find(|(_, part)| part.is_none()).map(|(n, _)| n + 1)
    }

    fn is_complete(&self) -> bool {
        self.length() == Some(self.parts.len() as u64)
    }

    fn fits(&self) -> bool {
        self.bytes <= MAX_STREAM_BYTES && self.parts.len() <= MAX_STREAM_PARTS
    }

    fn finish(self) -> Option<Staged> {
        let (mut init, mut signature, mut bytes) = (None, None, Vec::with_capacity(self.bytes));
        for part in self.parts.into_values().flatten() {
            match part {
                Part::Init(i) if init.is_none() => init = Some(i),
                Part::Data(data) => bytes.extend(data),
                Part::Fin(s) if signature.is_none() => signature = Some(s),
                _ => return None,
            }
        }
        let block = Block::decode(&bytes).ok()?;
        Some(Staged { init: init?, signature: Some(signature?), block })
    }
}

impl Assembler {
    /// Takes one message; returns the proposal that it completes, with nothing yet verified.
    pub fn add(&mut self, key: StreamKey, message: StreamMessage<Part>) -> Option<Staged> {
        if !self.streams.contains_key(&key) {
            if self.streams.len() >= MAX_STREAMS
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.streams.remove(&oldest);
            }
            self.oldest_first.push_back(key.clone());
        }
        let stream = self.streams.entry(key.clone()).or_default();
        let part = match message.content {
            StreamContent::Data(part) => Some(part),
            StreamContent::Fin => None,
        };
        if let Some(Part::Data(data)) = &part {
            stream.bytes += data.len();
        }
        stream.parts.entry(message.sequence).or_insert(part);
        if !stream.fits() {
            self.forget(&key);
            return None;
        }
        if stream.is_complete() { self.forget(&key)?.finish() } else { None }
    }

    fn forget(&mut self, key: &StreamKey) -> Option<Stream> {
        self.oldest_first.retain(|k| k != key);
        self.streams.remove(key)
    }

    /// Keeps a proposal for a height that this node has not reached.
    pub fn keep_early(&mut self, staged: Staged) {
        if self.early.len() >= MAX_EARLY {
            self.early.pop_front();
        }
        self.early.push_back(staged);
    }

    /// The kept proposals for `height`; those for lower ones are dropped.
    pub fn take_early(&mut self, height: u64) -> Vec<Staged> {
        let (now, later) = self
            .early
            .drain(..)
            .filter(|s| s.init.height.0 >= height)
            .partition(|s| s.init.height.0 == height);
        self.early = later;
        now.into_iter().collect()
    }
}

/// Whether this round's proposer signed this proposal, and the block is the one it names.
pub(crate) fn is_authentic(staged: &Staged, validators: &ValidatorSet, scheme: &Scheme) -> bool {
    let init = &staged.init;
    let header = &staged.block.header;
    let turn = Ctx::turn(validators.0.len(), init.height, init.round);
    let signed = validators.0.get(turn).is_some_and(|proposer| {
        let bytes = scheme.parts(init);
        proposer.key.address() == init.proposer.0
            && staged.signature.is_some_and(|signature| proposer.key.verifies(&bytes, &signature))
    });
    signed && header.height == init.height.0 && header.hash() == init.value.0
}

#[cfg(test)]
mod tests {
    use anchor::{Hash, Header, SigningKey, Validator};
    use arc_malachitebft_core_types::Round;

    use super::*;
    use crate::context::{Address, BlockId, Height, ProposalInit};
    use crate::signing::Keyholder;

    fn proposal(bytes: usize) -> (Staged, ValidatorSet, Scheme) {
        let key = SigningKey::from_seed(&[3; 32]);
        let scheme = Scheme::new("c");
        let header = Header {
            chain_id: "c".into(),
            height: 5,
            time: 1,
            previous: Hash::ZERO,
            txs_root: Hash::ZERO,
            receipts_root: Hash::ZERO,
            state_root: Hash::ZERO,
            history_root: Hash::ZERO,
            valset: Hash::ZERO,
            next_valset: Hash::ZERO,
            rules_version: 1,
        };
        let block = Block { header, transactions: vec![vec![7; bytes]] };
        let init = ProposalInit {
            height: Height(5),
            round: Round::new(0),
            pol_round: Round::Nil,
            proposer: Address(key.public().address()),
            value: BlockId(block.header.hash()),
        };
        let set = ValidatorSet(vec![Validator { key: key.public(), power: 1, member: "m".into() }]);
        let signature = Keyholder::new(scheme.clone(), key).sign_parts(&init);
        (Staged { init, signature: Some(signature), block }, set, scheme)
    }

    fn assemble(messages: impl IntoIterator<Item = StreamMessage<Part>>) -> Option<Staged> {
        let mut assembler = Assembler::default();
        let mut complete = None;
        for message in messages {
            let key = (b"peer".to_vec(), message.stream_id.to_bytes());
            complete = assembler.add(key, message).or(complete);
        }
        complete
    }

    #[test]
    fn parts_in_any_order_give_the_same_proposal() {
        let (staged, set, scheme) = proposal(700_000);
        let mut messages = parts(&staged).unwrap();
        assert!(messages.len() > 6);
        messages.reverse();
        messages.rotate_left(3);
        let found = assemble(messages).unwrap();
        assert_eq!(found, staged);
        assert!(is_authentic(&found, &set, &scheme));
    }

    #[test]
    fn missing_repeated_and_foreign_parts_complete_nothing() {
        let (staged, _, _) = proposal(300_000);
        let messages = parts(&staged).unwrap();
        for left_out in 0..messages.len() {
            let rest = messages.iter().enumerate().filter(|(n, _)| *n != left_out);
            assert_eq!(assemble(rest.map(|(_, m)| m.clone())), None);
        }
        assert_eq!(assemble(std::iter::repeat_n(messages[1].clone(), 100)), None);
    }

    #[test]
    fn a_changed_block_or_signature_is_not_authentic() {
        let (staged, set, scheme) = proposal(10);
        let mut other = staged.clone();
        other.block.header.time += 1;
        assert!(!is_authentic(&other, &set, &scheme));
        let mut other = staged.clone();
        other.init.round = Round::new(1);
        assert!(!is_authentic(&other, &set, &scheme));
        assert!(!is_authentic(&staged, &set, &Scheme::new("another chain")));
        assert!(!is_authentic(&staged, &ValidatorSet(vec![]), &scheme));
        // Height 5 is the first of two validators' turn.
        let other = Validator { key: SigningKey::from_seed(&[4; 32]).public(), power: 1, member: "o".into() };
        assert!(is_authentic(&staged, &ValidatorSet(vec![set.0[0].clone(), other.clone()]), &scheme));
        assert!(!is_authentic(&staged, &ValidatorSet(vec![other, set.0[0].clone()]), &scheme));
    }

    #[test]
    fn a_flood_of_streams_is_bounded() {
        let (staged, _, _) = proposal(10);
        let first = parts(&staged).unwrap().remove(0);
        let mut assembler = Assembler::default();
        for n in 0..1_000u32 {
            let id = StreamId::new(Bytes::copy_from_slice(&n.to_be_bytes()));
            let message = StreamMessage::new(id.clone(), 0, first.content.clone());
            assert_eq!(assembler.add((vec![], id.to_bytes()), message), None);
        }
        assert_eq!(assembler.streams.len(), MAX_STREAMS);
        assert_eq!(assembler.oldest_first.len(), MAX_STREAMS);
    }
}
