//! Proposed blocks in transit: cut into signed parts, and put together again from parts that arrive in any
//! order from peers that may lie. Everything held here is bounded.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use anchor::{Block, ValidatorSet};
use arc_malachitebft_app::streaming::{StreamContent, StreamId, StreamMessage};
use bytes::Bytes;

use crate::config::MAX_BLOCK_BYTES;
use crate::context::{Ctx, Part};
use crate::gossip::Publisher;
use crate::signing::Scheme;
use crate::store::Staged;

const PART_BYTES: usize = 128 << 10;
/// Streams put together at a time for one publisher; its own oldest gives way, so that nobody pushes out another's.
const MAX_STREAMS: usize = 3;
/// Header and length prefixes come on top of the transactions.
const MAX_STREAM_BYTES: usize = MAX_BLOCK_BYTES + (1 << 20);
const MAX_STREAM_PARTS: usize = MAX_STREAM_BYTES / PART_BYTES + 8;
/// Complete proposals kept for heights that are not ours yet, and their bytes.
const MAX_EARLY: usize = 16;
const MAX_EARLY_BYTES: usize = 4 * MAX_BLOCK_BYTES;

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

/// Who published a stream, and the stream's id.
pub(crate) type StreamKey = (Vec<u8>, Bytes);

/// Puts proposals together.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    streams: BTreeMap<StreamKey, Stream>,
    oldest_first: BTreeMap<Publisher, VecDeque<StreamKey>>,
    early: VecDeque<Staged>,
}

#[derive(Debug, Default)]
struct Stream {
    parts: BTreeMap<u64, Option<Part>>,
    bytes: usize,
}

impl Stream {
    fn add(&mut self, message: StreamMessage<Part>) {
        // No honest stream is so long, and a peer's number is not to be counted on from.
        if message.sequence >= MAX_STREAM_PARTS as u64 {
            return;
        }
        let Entry::Vacant(place) = self.parts.entry(message.sequence) else { return };
        let part = match message.content {
            StreamContent::Data(part) => Some(part),
            StreamContent::Fin => None,
        };
        if let Some(Part::Data(data)) = &part {
            self.bytes += data.len();
        }
        place.insert(part);
    }

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
    pub fn add(
        &mut self,
        publisher: &Publisher,
        key: StreamKey,
        message: StreamMessage<Part>,
    ) -> Option<Staged> {
        if !self.streams.contains_key(&key) {
            let own = self.oldest_first.entry(publisher.clone()).or_default();
            if own.len() >= MAX_STREAMS
                && let Some(oldest) = own.pop_front()
            {
                self.streams.remove(&oldest);
            }
            own.push_back(key.clone());
        }
        let stream = self.streams.entry(key.clone()).or_default();
        stream.add(message);
        if !stream.fits() {
            self.forget(publisher, &key);
            return None;
        }
        if stream.is_complete() { self.forget(publisher, &key)?.finish() } else { None }
    }

    fn forget(&mut self, publisher: &Publisher, key: &StreamKey) -> Option<Stream> {
        if let Some(own) = self.oldest_first.get_mut(publisher) {
            own.retain(|k| k != key);
        }
        self.streams.remove(key)
    }

    /// Keeps a proposal for a height that this node has not reached.
    pub fn keep_early(&mut self, staged: Staged) {
        self.early.push_back(staged);
        let bytes = |staged: &Staged| staged.block.transactions.iter().map(Vec::len).sum::<usize>();
        while self.early.len() > MAX_EARLY || self.early.iter().map(bytes).sum::<usize>() > MAX_EARLY_BYTES {
            self.early.pop_front();
        }
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
    let turn = Ctx::turn(validators.0.len(), init.height, init.round);
    let in_turn = validators.0.get(turn).is_some_and(|proposer| proposer.key.address() == init.proposer.0);
    in_turn && is_signed(staged, validators, scheme)
}

/// Whether some validator signed this proposal, whoever's turn it is, and the block is the one it names.
pub(crate) fn is_signed(staged: &Staged, validators: &ValidatorSet, scheme: &Scheme) -> bool {
    let init = &staged.init;
    let header = &staged.block.header;
    let signed = validators.by_address(&init.proposer.0).is_some_and(|proposer| {
        let bytes = scheme.parts(init);
        staged.signature.is_some_and(|signature| proposer.key.verifies(&bytes, &signature))
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
        let scheme = Scheme::new(Hash::of(b"genesis"));
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
            complete = assembler.add(&Publisher::Other, key, message).or(complete);
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
    fn a_number_beyond_every_stream_is_ignored() {
        let (staged, _, _) = proposal(10);
        let mut messages = parts(&staged).unwrap();
        let id = messages[0].stream_id.clone();
        for sequence in [u64::MAX, MAX_STREAM_PARTS as u64] {
            messages.insert(0, StreamMessage::new(id.clone(), sequence, StreamContent::Fin));
        }
        assert_eq!(assemble(messages), Some(staged));
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
        assert!(!is_authentic(&staged, &set, &Scheme::new(Hash::of(b"another genesis"))));
        assert!(!is_authentic(&staged, &ValidatorSet(vec![]), &scheme));
        // Height 5 is the first of two validators' turn.
        let other = Validator { key: SigningKey::from_seed(&[4; 32]).public(), power: 1, member: "o".into() };
        assert!(is_authentic(&staged, &ValidatorSet(vec![set.0[0].clone(), other.clone()]), &scheme));
        assert!(!is_authentic(&staged, &ValidatorSet(vec![other, set.0[0].clone()]), &scheme));
    }

    #[test]
    fn a_flood_of_streams_is_bounded_and_touches_no_other_publisher() {
        let (staged, _, _) = proposal(300_000);
        let flooder = Publisher::Listed(b"flooder".to_vec());
        let honest = Publisher::Listed(b"honest".to_vec());
        let mut messages = parts(&staged).unwrap();
        let last = messages.pop().unwrap();
        let mut assembler = Assembler::default();
        let key = |who: &str, id: &StreamId| (who.as_bytes().to_vec(), id.to_bytes());
        let first = messages[0].content.clone();
        for message in messages {
            let key = key("honest", &message.stream_id);
            assert_eq!(assembler.add(&honest, key, message), None);
        }
        for n in 0..1_000u32 {
            let id = StreamId::new(Bytes::copy_from_slice(&n.to_be_bytes()));
            let message = StreamMessage::new(id.clone(), 0, first.clone());
            assert_eq!(assembler.add(&flooder, key("flooder", &id), message), None);
        }
        assert_eq!(assembler.streams.len(), MAX_STREAMS + 1);
        assert_eq!(assembler.oldest_first[&flooder].len(), MAX_STREAMS);
        assert_eq!(assembler.add(&honest, key("honest", &last.stream_id), last), Some(staged));
    }

    #[test]
    fn early_proposals_are_bounded_in_number_and_bytes() {
        let (small, _, _) = proposal(10);
        let (large, _, _) = proposal(3 << 20);
        let mut assembler = Assembler::default();
        for _ in 0..100 {
            assembler.keep_early(small.clone());
        }
        assert_eq!(assembler.early.len(), MAX_EARLY);
        for _ in 0..100 {
            assembler.keep_early(large.clone());
        }
        assert_eq!(assembler.early.len(), MAX_EARLY_BYTES / (3 << 20));
        assert_eq!(assembler.take_early(5).len(), MAX_EARLY_BYTES / (3 << 20));
    }
}
