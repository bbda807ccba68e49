//! Validator sets, votes and commit certificates: why a header is final.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::key::{Address, PublicKey, Signature};

const VOTE_DOMAIN: &[u8] = b"ranproof/vote/2\n";
const VALSET_DOMAIN: &[u8] = b"ranproof/valset/1\n";

/// A member of the validator set.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Validator {
    /// The consensus key.
    pub key: PublicKey,
    /// Voting power, at least 1.
    pub power: u64,
    /// The member that runs this node.
    pub member: String,
}

/// The validators of one height, in proposer order.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidatorSet(pub Vec<Validator>);

impl ValidatorSet {
    pub fn hash(&self) -> Hash {
        let encoded = borsh::to_vec(self).expect("writing to memory does not fail");
        Hash::of_parts(&[VALSET_DOMAIN, &encoded])
    }

    pub fn total_power(&self) -> u64 {
        self.0.iter().fold(0, |sum, v| sum.saturating_add(v.power))
    }

    pub fn by_address(&self, address: &Address) -> Option<&Validator> {
        self.0.iter().find(|v| v.key.address() == *address)
    }
}

/// The two voting steps of Tendermint consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteKind {
    Prevote,
    Precommit,
}

/// The bytes a validator signs: a vote on the chain that began with `genesis` ([`crate::Genesis::hash`]). `value` is
/// the hash of the header voted for, `None` for nil.
/// A third party needs nothing but this function and a key to check a certificate.
///
/// The genesis and not the chain's id, which a chain that is founded anew may carry too: an honest validator's votes
/// on both would look like a fork.
pub fn vote_bytes(
    genesis: &Hash,
    kind: VoteKind,
    height: u64,
    round: i64,
    value: Option<&Hash>,
    address: &Address,
) -> Vec<u8> {
    let mut bytes = VOTE_DOMAIN.to_vec();
    let kind = match kind {
        VoteKind::Prevote => 0u8,
        VoteKind::Precommit => 1u8,
    };
    borsh::to_writer(&mut bytes, &(genesis, kind, height, round, value, address))
        .expect("writing to memory does not fail");
    bytes
}

/// Precommits of more than two thirds of the voting power for one header.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitCertificate {
    pub height: u64,
    pub round: i64,
    /// [`crate::Header::hash`] of the final header.
    pub header: Hash,
    pub signatures: Vec<CommitSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitSignature {
    pub address: Address,
    pub signature: Signature,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("not a commit certificate of this version: {0}")]
    Malformed(String),
    #[error("signer {0} is not in the validator set")]
    UnknownSigner(Address),
    #[error("signer {0} appears twice")]
    DuplicateSigner(Address),
    #[error("signature of {signer} does not verify on the chain of genesis {}", genesis.short())]
    BadSignature { signer: Address, genesis: Hash },
    #[error("signed by {signed} of {total} voting power; strictly more than two thirds is needed")]
    NotEnoughPower { signed: u64, total: u64 },
}

impl CommitCertificate {
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<CommitCertificate, CertificateError> {
        borsh::from_slice(bytes).map_err(|e| CertificateError::Malformed(e.to_string()))
    }

    /// Checks every signature (an extra wrong one refuses the certificate, so that no byte of it is idle) and
    /// that distinct signers hold strictly more than two thirds of the power of the chain that began with `genesis`.
    pub fn verify(&self, genesis: &Hash, validators: &ValidatorSet) -> Result<(), CertificateError> {
        let mut seen = BTreeSet::new();
        let mut signed = 0u64;
        for entry in &self.signatures {
            let validator = validators
                .by_address(&entry.address)
                .ok_or(CertificateError::UnknownSigner(entry.address))?;
            if !seen.insert(entry.address) {
                return Err(CertificateError::DuplicateSigner(entry.address));
            }
            let message = vote_bytes(
                genesis,
                VoteKind::Precommit,
                self.height,
                self.round,
                Some(&self.header),
                &entry.address,
            );
            if !validator.key.verifies(&message, &entry.signature) {
                return Err(CertificateError::BadSignature { signer: entry.address, genesis: *genesis });
            }
            signed = signed.saturating_add(validator.power);
        }
        let total = validators.total_power();
        if u128::from(signed) * 3 > u128::from(total) * 2 {
            Ok(())
        } else {
            Err(CertificateError::NotEnoughPower { signed, total })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn world() -> (Vec<SigningKey>, ValidatorSet) {
        let keys: Vec<_> = (1..=4).map(|n| SigningKey::from_seed(&[n; 32])).collect();
        let powers = [3, 3, 3, 1];
        let set = keys.iter().zip(powers).enumerate().map(|(n, (k, power))| Validator {
            key: k.public(),
            power,
            member: format!("m{n}"),
        });
        let set = ValidatorSet(set.collect());
        (keys, set)
    }

    fn genesis() -> Hash {
        Hash::of(b"genesis")
    }

    fn certificate(keys: &[&SigningKey]) -> CommitCertificate {
        let header = Hash::of(b"header");
        let sign = |k: &&SigningKey| {
            let address = k.public().address();
            let bytes = vote_bytes(&genesis(), VoteKind::Precommit, 5, 0, Some(&header), &address);
            CommitSignature { address, signature: k.sign(&bytes) }
        };
        CommitCertificate { height: 5, round: 0, header, signatures: keys.iter().map(sign).collect() }
    }

    #[test]
    fn strictly_more_than_two_thirds_is_needed() {
        let (k, set) = world();
        assert!(certificate(&[&k[0], &k[1], &k[3]]).verify(&genesis(), &set).is_ok());
        let error = certificate(&[&k[0], &k[1]]).verify(&genesis(), &set).unwrap_err();
        assert_eq!(error, CertificateError::NotEnoughPower { signed: 6, total: 10 });
    }

    #[test]
    fn repeated_foreign_and_wrong_signatures_are_refused() {
        let (k, set) = world();
        assert!(certificate(&[&k[0], &k[0], &k[1], &k[2]]).verify(&genesis(), &set).is_err());
        let stranger = SigningKey::from_seed(&[9; 32]);
        assert!(certificate(&[&k[0], &k[1], &k[2], &stranger]).verify(&genesis(), &set).is_err());
        assert!(certificate(&[&k[0], &k[1], &k[2]]).verify(&Hash::of(b"another genesis"), &set).is_err());
    }
}
