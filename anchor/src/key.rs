//! Ed25519 keys and signatures (RFC 8032), always verified strictly.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::Signer as _;

use crate::hash::Hash;

/// An Ed25519 public key. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature. Written as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

/// A private key. Its bytes never appear in `Debug`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Text that is not the hexadecimal form of a key or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} of {digits} lower-case hexadecimal digits")]
pub struct InvalidKeyText {
    pub what: &'static str,
    pub digits: usize,
}

impl PublicKey {
    /// Whether `signature` is this key's over exactly `message` (strict: small-order keys and
    /// non-canonical encodings are refused, so that every verifier agrees).
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        ed25519_dalek::VerifyingKey::from_bytes(&self.0).is_ok_and(|key| {
            key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
        })
    }

    /// The validator address: the first 20 bytes of the key's SHA-256.
    pub fn address(&self) -> Address {
        let digest = Hash::of(&self.0);
        let mut out = [0; 20];
        out.copy_from_slice(&digest.0[..20]);
        Address(out)
    }
}

impl SigningKey {
    /// The key whose seed is `seed` (32 random bytes drawn by the caller).
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The seed, for writing the key to its file (mode 0600). Nothing else has a use for it.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", self.public())
    }
}

/// A validator's address in votes and certificates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Address(pub [u8; 20]);

/// Text and JSON form of a fixed number of bytes: lower-case hexadecimal, one spelling for each value.
macro_rules! hex_text {
    ($type:ident, $bytes:literal, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::key::InvalidKeyText;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::hash::fixed_hex::<$bytes>(text)
                    .map($type)
                    .ok_or($crate::key::InvalidKeyText { what: $what, digits: 2 * $bytes })
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_text;

hex_text!(PublicKey, 32, "public key");
hex_text!(Signature, 64, "signature");
hex_text!(Address, 20, "address");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_covers_every_bit_of_the_message() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign(b"message");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"messagf", &signature));
        assert!(!SigningKey::from_seed(&[8; 32]).public().verifies(b"message", &signature));
    }

    #[test]
    fn debug_of_a_signing_key_hides_its_seed() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(!format!("{key:?}").contains(&hex::encode([7; 32])));
    }
}
