//! What leaves an operator is blinded: salted commitments to attribute values, keyed names for map entries.
//!
//! A PCI has 1,008 values, so a bare hash of one is as good as the value. A commitment is opened by its salt, one
//! value at a time. Every input is length-prefixed: `u32` big-endian, then the bytes, written `lp(x)` below.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac as _};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::hash::{Hash, fixed_hex};
use crate::key::{InvalidKeyText, hex_text};

const COMMITMENT_DOMAIN: &[u8] = b"ranproof/commitment/1\n";
const SALT_DOMAIN: &[u8] = b"ranproof/salt/1\n";
const ATTRIBUTE_KEY_DOMAIN: &[u8] = b"ranproof/map-key/attribute/1\n";
const STATION_KEY_DOMAIN: &[u8] = b"ranproof/map-key/station/1\n";
const OUTCOME_DOMAIN: &[u8] = b"ranproof/outcome/1\n";

/// 32 bytes that blind one version of one attribute value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);
hex_text!(Salt, 32, "salt");

/// 32 random bytes, drawn by the caller, that blind a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);
hex_text!(Nonce, 32, "nonce");

/// The collector's secret from which it derives all salts of an epoch. Never leaves its data folder.
#[derive(Clone)]
pub struct EpochSecret(pub [u8; 32]);

/// The secret of an agreement's parties that names map entries. Stands in the agreement's body, never on chain.
#[derive(Clone, PartialEq, Eq)]
pub struct MapSecret(pub [u8; 32]);

/// What discloses one committed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    pub dn: String,
    /// The attribute's name, or `@object` for a whole object.
    pub attribute: String,
    /// Canonical JSON text of the value.
    pub value: String,
    pub salt: Salt,
}

impl Opening {
    /// SHA-256(`ranproof/commitment/1\n` ‖ lp(salt) ‖ lp(dn) ‖ lp(attribute) ‖ lp(value)).
    pub fn commitment(&self) -> Hash {
        commitment(&self.salt, &self.dn, &self.attribute, &self.value)
    }
}

/// The commitment to `value`, the canonical JSON text of an attribute's value. See [`Opening::commitment`].
pub fn commitment(salt: &Salt, dn: &str, attribute: &str, value: &str) -> Hash {
    let mut bytes = COMMITMENT_DOMAIN.to_vec();
    for part in [&salt.0[..], dn.as_bytes(), attribute.as_bytes(), value.as_bytes()] {
        prefixed(&mut bytes, part);
    }
    Hash::of(&bytes)
}

/// What stands in a round's outcome map for a station: SHA-256(`ranproof/outcome/1\n` ‖ lp(outcome) ‖ lp(reason)).
/// `outcome` is `collected`, `unchanged`, `failed` or `skipped`; `reason` is empty for the first two.
pub fn outcome_hash(outcome: &str, reason: &str) -> Hash {
    let mut bytes = OUTCOME_DOMAIN.to_vec();
    prefixed(&mut bytes, outcome.as_bytes());
    prefixed(&mut bytes, reason.as_bytes());
    Hash::of(&bytes)
}

impl EpochSecret {
    /// HMAC-SHA-256(secret, `ranproof/salt/1\n` ‖ lp(dn) ‖ lp(attribute) ‖ version as `u64` big-endian).
    /// `version` is the object version in which this value appeared: while it stands, so does its commitment.
    pub fn salt(&self, dn: &str, attribute: &str, version: u64) -> Salt {
        let mut bytes = SALT_DOMAIN.to_vec();
        prefixed(&mut bytes, dn.as_bytes());
        prefixed(&mut bytes, attribute.as_bytes());
        bytes.extend(version.to_be_bytes());
        Salt(keyed(&self.0, &bytes))
    }
}

impl MapSecret {
    /// Key of an attribute's commitment in an attestation's attribute map:
    /// HMAC-SHA-256(secret, `ranproof/map-key/attribute/1\n` ‖ lp(dn) ‖ lp(attribute)).
    pub fn attribute_key(&self, dn: &str, attribute: &str) -> Hash {
        let mut bytes = ATTRIBUTE_KEY_DOMAIN.to_vec();
        prefixed(&mut bytes, dn.as_bytes());
        prefixed(&mut bytes, attribute.as_bytes());
        Hash(keyed(&self.0, &bytes))
    }

    /// Key of a station in the outcome map and in the inventory's map:
    /// HMAC-SHA-256(secret, `ranproof/map-key/station/1\n` ‖ lp(dn)).
    pub fn station_key(&self, dn: &str) -> Hash {
        let mut bytes = STATION_KEY_DOMAIN.to_vec();
        prefixed(&mut bytes, dn.as_bytes());
        Hash(keyed(&self.0, &bytes))
    }
}

impl FromStr for MapSecret {
    type Err = InvalidKeyText;

    fn from_str(text: &str) -> Result<MapSecret, InvalidKeyText> {
        fixed_hex(text).map(MapSecret).ok_or(InvalidKeyText { what: "map secret", digits: 64 })
    }
}

/// 64 lower-case hexadecimal digits, as in an agreement's body and a trust file.
impl Serialize for MapSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for MapSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(hidden)")
    }
}

impl fmt::Debug for MapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapSecret(hidden)")
    }
}

fn prefixed(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("names and values are bounded far below 4 GiB where read");
    out.extend(length.to_be_bytes());
    out.extend(part);
}

fn keyed(secret: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_parts_changes_the_commitment() {
        let salt = Salt([1; 32]);
        assert_ne!(commitment(&salt, "a", "bc", "d"), commitment(&salt, "ab", "c", "d"));
        assert_ne!(commitment(&salt, "a", "b", "cd"), commitment(&salt, "a", "bc", "d"));
        assert_ne!(outcome_hash("a", "bc"), outcome_hash("ab", "c"));
    }

    #[test]
    fn salts_differ_by_attribute_object_and_version_and_repeat_otherwise() {
        let secret = EpochSecret([2; 32]);
        let salt = secret.salt("A=1", "x", 1);
        assert_eq!(salt, secret.salt("A=1", "x", 1));
        for other in [secret.salt("A=2", "x", 1), secret.salt("A=1", "y", 1), secret.salt("A=1", "x", 2)] {
            assert_ne!(salt, other);
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let shown = format!("{:?} {:?}", EpochSecret([0xab; 32]), MapSecret([0xab; 32]));
        assert!(!shown.contains("ab"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }

    /// Computed by another implementation (`docs/formats.md`, commitments).
    #[test]
    fn vectors_hold() {
        let opening = Opening {
            dn: "SubNetwork=1,ManagedElement=g1,GNBDUFunction=1,NRCellDU=1".into(),
            attribute: "nRPCI".into(),
            value: "\"101\"".into(),
            salt: EpochSecret([7; 32]).salt(
                "SubNetwork=1,ManagedElement=g1,GNBDUFunction=1,NRCellDU=1",
                "nRPCI",
                3,
            ),
        };
        let key = MapSecret([9; 32]).attribute_key(&opening.dn, "nRPCI");
        let station = MapSecret([9; 32]).station_key("SubNetwork=1,ManagedElement=g1");
        let shown = [
            opening.salt.to_string(),
            opening.commitment().to_string(),
            key.to_string(),
            station.to_string(),
            outcome_hash("failed", "host-key-changed").to_string(),
        ];
        assert_eq!(shown, VECTORS);
    }

    const VECTORS: [&str; 5] = [
        "7893f3689254af0e0c01cd3c5686635d3709df0e1c0e96cbe0f2634b479494f0",
        "138306a0bce3a582f535e21465b94459644465e48e43a232638dc10d263d273a",
        "e5eb6b3ee93ea01c9c1f965b52d88e6f1cecb2e25b9eb3a0f5e088b6fc4c0a63",
        "86ad0328853fb10934ca88bd217462a9ebc5f701a366935fa4b48253158b1c47",
        "53a9ec095e4392720df6ab276b0937b41674c8aec09e3ca6a99215f155fbe2b0",
    ];
}
