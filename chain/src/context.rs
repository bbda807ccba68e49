//! The consensus engine's type parameters, as thin wrappers over `anchor`'s types.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anchor::Hash;
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{LinearTimeouts, NilOrVal, Round, SigningScheme, VoteType};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

#[derive(Debug, Clone)]
pub(crate) struct Ctx;

#[derive(
    Debug, Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub(crate) struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Height for Height {
    const ZERO: Self = Height(0);
    const INITIAL: Self = Height(1);

    fn increment_by(&self, n: u64) -> Self {
        Height(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Height)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub(crate) struct Address(pub anchor::key::Address);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Address for Address {}

/// What is voted on: the hash of a header. The block's body travels as proposal parts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub(crate) struct BlockId(pub Hash);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Value for BlockId {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        *self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validator {
    address: Address,
    key: anchor::PublicKey,
    power: u64,
}

impl core::Validator<Ctx> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &anchor::PublicKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validators(Arc<Vec<Validator>>);

impl From<&anchor::ValidatorSet> for Validators {
    fn from(set: &anchor::ValidatorSet) -> Self {
        let wrap = |v: &anchor::Validator| Validator {
            address: Address(v.key.address()),
            key: v.key,
            power: v.power,
        };
        Validators(Arc::new(set.0.iter().map(wrap).collect()))
    }
}

impl core::ValidatorSet<Ctx> for Validators {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.0.iter().fold(0, |sum, v| sum.saturating_add(v.power))
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.0.iter().find(|v| v.address == *address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Proposal {
    pub height: Height,
    pub round: Round,
    pub value: BlockId,
    pub pol_round: Round,
    pub address: Address,
}

impl core::Proposal<Ctx> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockId {
        &self.value
    }

    fn take_value(self) -> BlockId {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.address
    }
}

/// A prevote or precommit. Vote extensions are not used, so none can be attached.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Vote {
    pub kind: VoteType,
    pub height: Height,
    pub round: Round,
    pub value: NilOrVal<BlockId>,
    pub address: Address,
}

impl core::Vote<Ctx> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.address
    }

    fn extension(&self) -> Option<&core::SignedExtension<Ctx>> {
        None
    }

    fn take_extension(&mut self) -> Option<core::SignedExtension<Ctx>> {
        None
    }

    fn extend(self, _: core::SignedExtension<Ctx>) -> Self {
        self
    }
}

/// What opens a stream of proposal parts. Its signature, in [`Part::Fin`], binds the whole block, since the
/// value is the hash of a header that commits to the transactions.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ProposalInit {
    pub height: Height,
    pub round: Round,
    pub pol_round: Round,
    pub proposer: Address,
    pub value: BlockId,
}

/// One message of the proposal channel. Transactions and what nodes ask each other travel over the same channel, as
/// streams of one part, so that there is one peer-to-peer network and one list of peers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Part {
    Init(ProposalInit),
    Data(Vec<u8>),
    Fin(anchor::Signature),
    Transactions(Vec<Vec<u8>>),
    Memory(Memory),
}

/// The newest vote known of each validator, by address. Any newer one than a node remembers of its own proves to it
/// that it has forgotten some.
pub(crate) type Voters = BTreeMap<anchor::key::Address, KnownVote>;

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct KnownVote {
    pub vote: Vote,
    pub signature: anchor::Signature,
}

/// The place of a vote among those of its validator, in the order in which they are cast.
pub(crate) type When = (Height, Round, VoteType);

impl Vote {
    pub fn when(&self) -> When {
        (self.height, self.round, self.kind)
    }
}

impl KnownVote {
    pub fn when(&self) -> When {
        self.vote.when()
    }
}

/// How a node that starts learns whether it has voted more than it remembers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Memory {
    /// With the asker's signature.
    Question(Question, anchor::Signature),
    Answer(Box<Answer>),
}

/// Asks every validator for the newest vote of the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Question {
    /// Drawn for this start, so that no older answer fits.
    pub nonce: [u8; 16],
    pub asker: Address,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Answer {
    pub question: Question,
    pub validator: Address,
    /// The height that the answerer was at.
    pub height: Height,
    /// The asker's own vote, with its own signature: nobody can talk a node out of voting with a lie.
    pub newest: Option<KnownVote>,
    pub signature: anchor::Signature,
}

impl core::ProposalPart<Ctx> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Part::Init(_) | Part::Transactions(_) | Part::Memory(_))
    }

    fn is_last(&self) -> bool {
        matches!(self, Part::Fin(_) | Part::Transactions(_) | Part::Memory(_))
    }
}

/// Ed25519 with strict verification, as `anchor` does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ed25519;

impl SigningScheme for Ed25519 {
    type DecodingError = &'static str;
    type Signature = anchor::Signature;
    type PublicKey = anchor::PublicKey;
    type PrivateKey = anchor::SigningKey;

    fn decode_signature(bytes: &[u8]) -> Result<anchor::Signature, &'static str> {
        bytes.try_into().map(anchor::Signature).map_err(|_| "a signature has 64 bytes")
    }

    fn encode_signature(signature: &anchor::Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<anchor::PublicKey, &'static str> {
        bytes.try_into().map(anchor::PublicKey).map_err(|_| "a public key has 32 bytes")
    }

    fn encode_public_key(key: &anchor::PublicKey) -> Vec<u8> {
        key.0.to_vec()
    }
}

impl Ctx {
    /// Whose turn it is to propose: round robin in the set's own order, one step per height and per round.
    pub fn turn(count: usize, height: Height, round: Round) -> usize {
        let steps = height.0.wrapping_add(u64::from(round.as_u32().unwrap_or(0))).wrapping_sub(1);
        usize::try_from(steps % count.max(1) as u64).expect("less than a count of validators")
    }
}

impl core::Context for Ctx {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = Validators;
    type Timeouts = LinearTimeouts;
    type Value = BlockId;
    type Vote = Vote;
    type Extension = Bytes;
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a Validators, height: Height, round: Round) -> &'a Validator {
        let turn = Ctx::turn(set.0.len(), height, round);
        set.0.get(turn).expect("the engine refuses an empty validator set")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockId,
        pol_round: Round,
        address: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, address }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<BlockId>, address: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, address }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockId>,
        address: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, address }
    }
}
