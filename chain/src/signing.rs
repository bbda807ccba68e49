//! Which bytes are signed, and by what key. Votes are signed over [`vote_bytes`], so that a commit
//! certificate is checked by `anchor` alone; every other message has a domain of its own.

use anchor::certificate::{VoteKind, vote_bytes};
use anchor::{Hash, SigningKey};
use arc_malachitebft_core_types::{NilOrVal, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use borsh::BorshSerialize;
use bytes::Bytes;

use crate::context::{Address, Answer, Ctx, Height, KnownVote, Proposal, ProposalInit, Question, Vote};

const PROPOSAL_DOMAIN: &[u8] = b"ranproof/proposal/2\n";
const PARTS_DOMAIN: &[u8] = b"ranproof/proposal-parts/2\n";
const MEMORY_DOMAIN: &[u8] = b"ranproof/memory/3\n";
const QUESTION_DOMAIN: &[u8] = b"ranproof/memory-question/2\n";
const EXTENSION_DOMAIN: &[u8] = b"ranproof/vote-extension/1\n";

/// Checks signatures of one chain's consensus messages.
#[derive(Debug, Clone)]
pub(crate) struct Scheme {
    genesis: Hash,
}

/// Signs for one validator of one chain.
#[derive(Debug, Clone)]
pub(crate) struct Keyholder {
    scheme: Scheme,
    key: SigningKey,
}

impl Scheme {
    /// Of the chain that began with `genesis`.
    pub fn new(genesis: Hash) -> Self {
        Scheme { genesis }
    }

    pub fn genesis(&self) -> &Hash {
        &self.genesis
    }

    fn domain_bytes(&self, domain: &[u8], message: &impl BorshSerialize) -> Vec<u8> {
        let mut bytes = domain.to_vec();
        borsh::to_writer(&mut bytes, &(&self.genesis, message)).expect("writing to memory does not fail");
        bytes
    }

    pub fn vote(&self, vote: &Vote) -> Vec<u8> {
        let kind = match vote.kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        };
        let value = match &vote.value {
            NilOrVal::Nil => None,
            NilOrVal::Val(id) => Some(&id.0),
        };
        vote_bytes(&self.genesis, kind, vote.height.0, vote.round.as_i64(), value, &vote.address.0)
    }

    fn proposal(&self, proposal: &Proposal) -> Vec<u8> {
        self.domain_bytes(PROPOSAL_DOMAIN, proposal)
    }

    /// What a proposer signs at the end of a stream of parts.
    pub fn parts(&self, init: &ProposalInit) -> Vec<u8> {
        self.domain_bytes(PARTS_DOMAIN, init)
    }

    /// What a validator signs when it asks the others what they remember of it.
    pub fn question(&self, question: &Question) -> Vec<u8> {
        self.domain_bytes(QUESTION_DOMAIN, question)
    }

    /// What a validator signs when it is asked what it remembers.
    pub fn memory(&self, answer: &Answer) -> Vec<u8> {
        let Answer { question, validator, height, newest, signature: _ } = answer;
        self.domain_bytes(MEMORY_DOMAIN, &(question, validator, height, newest))
    }
}

impl Keyholder {
    pub fn new(scheme: Scheme, key: SigningKey) -> Self {
        Keyholder { scheme, key }
    }

    pub fn sign_parts(&self, init: &ProposalInit) -> anchor::Signature {
        self.key.sign(&self.scheme.parts(init))
    }

    pub fn sign_question(&self, question: &Question) -> anchor::Signature {
        self.key.sign(&self.scheme.question(question))
    }

    pub fn answer(&self, question: Question, height: Height, newest: Option<KnownVote>) -> Answer {
        let validator = Address(self.key.public().address());
        let signature = anchor::Signature([0; 64]);
        let mut answer = Answer { question, validator, height, newest, signature };
        answer.signature = self.key.sign(&self.scheme.memory(&answer));
        answer
    }

    /// Whether this is a vote of this validator.
    pub fn has_signed(&self, KnownVote { vote, signature }: &KnownVote) -> bool {
        let key = self.key.public();
        vote.address.0 == key.address() && key.verifies(&self.scheme.vote(vote), signature)
    }

    /// Binds a peer-to-peer identity to this validator.
    pub fn validator_proof(&self, peer: Vec<u8>) -> ValidatorProof<Ctx> {
        let key = self.key.public().0.to_vec();
        let signature = self.key.sign(&ValidatorProof::<Ctx>::signing_bytes(&key, &peer));
        ValidatorProof::new(key, peer, signature)
    }
}

fn result(valid: bool) -> Result<VerificationResult, Error> {
    Ok(VerificationResult::from_bool(valid))
}

#[async_trait]
impl Verifier<Ctx> for Scheme {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &anchor::Signature,
        key: &anchor::PublicKey,
    ) -> Result<VerificationResult, Error> {
        result(key.verifies(&self.vote(vote), signature))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &anchor::Signature,
        key: &anchor::PublicKey,
    ) -> Result<VerificationResult, Error> {
        result(key.verifies(&self.proposal(proposal), signature))
    }

    /// No vote carries an extension on this chain, so none is valid.
    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Ctx>,
        _: &Bytes,
        _: &anchor::Signature,
        _: &anchor::PublicKey,
    ) -> Result<VerificationResult, Error> {
        result(false)
    }

    async fn verify_validator_proof(&self, proof: &ValidatorProof<Ctx>) -> Result<VerificationResult, Error> {
        result(proof.decoded_public_key().is_ok_and(|key| key.verifies(&proof.preimage(), &proof.signature)))
    }
}

#[async_trait]
impl Signer<Ctx> for Keyholder {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Ctx, Vote>, Error> {
        let signature = self.key.sign(&self.scheme.vote(&vote));
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Ctx, Proposal>, Error> {
        let signature = self.key.sign(&self.scheme.proposal(&proposal));
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        scope: VoteExtensionScope<Ctx>,
        extension: Bytes,
    ) -> Result<SignedMessage<Ctx, Bytes>, Error> {
        let scope = (scope.height, scope.round, scope.value_id, scope.validator_address, extension.as_ref());
        let signature = self.key.sign(&self.scheme.domain_bytes(EXTENSION_DOMAIN, &scope));
        Ok(SignedMessage::new(extension, signature))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer: Vec<u8>,
    ) -> Result<ValidatorProof<Ctx>, Error> {
        let signature = self.key.sign(&ValidatorProof::<Ctx>::signing_bytes(&public_key, &peer));
        Ok(ValidatorProof::new(public_key, peer, signature))
    }
}
