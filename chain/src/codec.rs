//! How consensus messages are written on the wire and in the write-ahead log: borsh throughout. Decoding
//! refuses trailing bytes and never allocates more than the bytes at hand justify.

use std::io::{Error, ErrorKind};

use arc_malachitebft_app::consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_app::streaming::{StreamContent, StreamMessage};
use arc_malachitebft_app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_core_types::{
    CommitCertificate, ExtendedCommitCertificate, PolkaCertificate, ValidatorProof, VoteExtensions,
};
use arc_malachitebft_sync as sync;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

use crate::context::{Ctx, Height, Part};
use crate::tap::Tap;

/// The network's codec has a tap: what nodes ask each other reaches the application as soon as it is read, even while
/// the engine still waits to be told its first height and keeps everything else back.
#[derive(Debug, Clone, Default)]
pub(crate) struct BorshCodec {
    pub tap: Option<Tap>,
}

fn encode(message: &impl BorshSerialize) -> Result<Bytes, Error> {
    borsh::to_vec(message).map(Into::into)
}

fn encode_tagged(tag: u8, message: &impl BorshSerialize) -> Result<Bytes, Error> {
    let mut bytes = vec![tag];
    message.serialize(&mut bytes)?;
    Ok(bytes.into())
}

fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, Error> {
    borsh::from_slice(bytes)
}

fn split_tag(bytes: &[u8]) -> Result<(u8, &[u8]), Error> {
    bytes.split_first().map(|(tag, rest)| (*tag, rest)).ok_or_else(|| unknown("empty message"))
}

fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

macro_rules! plain {
    ($($type:ty),+ $(,)?) => {$(
        impl Codec<$type> for BorshCodec {
            type Error = Error;

            fn decode(&self, bytes: Bytes) -> Result<$type, Error> {
                decode(&bytes)
            }

            fn encode(&self, message: &$type) -> Result<Bytes, Error> {
                encode(message)
            }
        }
    )+};
}
plain!(Part, PolkaCertificate<Ctx>, sync::Status<Ctx>, sync::Request<Ctx>);

impl Codec<StreamMessage<Part>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<StreamMessage<Part>, Error> {
        let message: StreamMessage<Part> = decode(&bytes)?;
        if let (Some(tap), StreamContent::Data(Part::Memory(memory))) = (&self.tap, &message.content) {
            tap.pour(memory);
        }
        Ok(message)
    }

    fn encode(&self, message: &StreamMessage<Part>) -> Result<Bytes, Error> {
        encode(message)
    }
}

impl Codec<SignedConsensusMsg<Ctx>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<Ctx>, Error> {
        match split_tag(&bytes)? {
            (0, rest) => decode(rest).map(SignedConsensusMsg::Vote),
            (1, rest) => decode(rest).map(SignedConsensusMsg::Proposal),
            _ => Err(unknown("unknown consensus message")),
        }
    }

    fn encode(&self, message: &SignedConsensusMsg<Ctx>) -> Result<Bytes, Error> {
        match message {
            SignedConsensusMsg::Vote(vote) => encode_tagged(0, vote),
            SignedConsensusMsg::Proposal(proposal) => encode_tagged(1, proposal),
        }
    }
}

impl Codec<LivenessMsg<Ctx>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<LivenessMsg<Ctx>, Error> {
        match split_tag(&bytes)? {
            (0, rest) => decode(rest).map(LivenessMsg::Vote),
            (1, rest) => decode(rest).map(LivenessMsg::PolkaCertificate),
            (2, rest) => decode(rest).map(LivenessMsg::SkipRoundCertificate),
            _ => Err(unknown("unknown liveness message")),
        }
    }

    fn encode(&self, message: &LivenessMsg<Ctx>) -> Result<Bytes, Error> {
        match message {
            LivenessMsg::Vote(vote) => encode_tagged(0, vote),
            LivenessMsg::PolkaCertificate(certificate) => encode_tagged(1, certificate),
            LivenessMsg::SkipRoundCertificate(certificate) => encode_tagged(2, certificate),
        }
    }
}

impl Codec<ValidatorProof<Ctx>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<ValidatorProof<Ctx>, Error> {
        let (key, peer, signature): (Vec<u8>, Vec<u8>, anchor::Signature) = decode(&bytes)?;
        Ok(ValidatorProof::new(key, peer, signature))
    }

    fn encode(&self, proof: &ValidatorProof<Ctx>) -> Result<Bytes, Error> {
        encode(&(&proof.public_key, &proof.peer_id, proof.signature))
    }
}

impl Codec<ProposedValue<Ctx>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<Ctx>, Error> {
        let (height, round, valid_round, proposer, value, validity) = decode(&bytes)?;
        Ok(ProposedValue { height, round, valid_round, proposer, value, validity })
    }

    fn encode(&self, v: &ProposedValue<Ctx>) -> Result<Bytes, Error> {
        encode(&(v.height, v.round, v.valid_round, v.proposer, v.value, v.validity))
    }
}

/// A synced block on the wire: its bytes and the certificate that finalized it.
type WireResponse = (Height, Vec<(Vec<u8>, CommitCertificate<Ctx>)>);

impl Codec<sync::Response<Ctx>> for BorshCodec {
    type Error = Error;

    fn decode(&self, bytes: Bytes) -> Result<sync::Response<Ctx>, Error> {
        let (start, values): WireResponse = decode(&bytes)?;
        let values = values.into_iter().map(|(block, certificate)| synced(block, certificate)).collect();
        Ok(sync::Response::ValueResponse(sync::ValueResponse::new(start, values)))
    }

    fn encode(&self, response: &sync::Response<Ctx>) -> Result<Bytes, Error> {
        let sync::Response::ValueResponse(response) = response;
        let values = response.values.iter();
        let values = values.map(|v| (v.value_bytes.to_vec(), v.certificate.trim_vote_extensions()));
        let wire: WireResponse = (response.start_height, values.collect());
        encode(&wire)
    }
}

impl HasEncodedLen<sync::Response<Ctx>> for BorshCodec {
    fn encoded_len(&self, response: &sync::Response<Ctx>) -> Result<usize, Error> {
        self.encode(response).map(|bytes| bytes.len())
    }
}

/// A decided block as the engine's sync protocol carries it.
pub(crate) fn synced(block: Vec<u8>, certificate: CommitCertificate<Ctx>) -> sync::RawDecidedValue<Ctx> {
    let certificate = ExtendedCommitCertificate::from_commit_certificate_and_extensions(
        certificate,
        VoteExtensions::default(),
    );
    sync::RawDecidedValue::new(block.into(), certificate)
}
