//! Everything that looks random in a simulated network follows from its seed.

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use sha2::{Digest as _, Sha256};

/// 32 bytes for one purpose.
pub fn bytes(seed: u64, purpose: &str, index: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ranproof-sim/1\0");
    hash.update(seed.to_le_bytes());
    hash.update(index.to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.finalize().into()
}

/// A number below `bound` for one purpose; 0 for an empty range.
pub fn number(seed: u64, purpose: &str, index: u64, bound: u64) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(bytes(seed, purpose, index)) {
        *to = from;
    }
    u64::from_le_bytes(first).checked_rem(bound).unwrap_or(0)
}

/// An ed25519 key for one purpose. Who knows the seed knows the key: this is for simulated networks only.
pub fn key(seed: u64, purpose: &str, index: u64) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&bytes(seed, purpose, index)))
}

/// A password for one purpose, under the same condition.
pub fn password(seed: u64, purpose: &str) -> String {
    let secret = bytes(seed, purpose, 0);
    hex::encode(secret.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_indexes_are_independent_and_repeatable() {
        assert_eq!(bytes(1, "a", 1), bytes(1, "a", 1));
        assert_ne!(bytes(1, "a", 1), bytes(1, "a", 2));
        assert_ne!(bytes(1, "a", 1), bytes(1, "b", 1));
        assert_ne!(bytes(1, "a", 1), bytes(2, "a", 1));
        assert!((0..100).all(|i| number(7, "n", i, 10) < 10));
        assert_eq!(number(7, "n", 0, 0), 0);
    }
}
