//! Who is asked, and how they are recognised.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use russh::keys::ssh_key::Fingerprint;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey, decode_secret_key};

/// Why a target's description cannot be used: an operator's mistake, found before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not host:port.
    #[error("address `{text}` is not host:port; hint: write `10.0.0.1:830` or `[2001:db8::1]:830`")]
    Address {
        /// What was given.
        text: String,
    },
    /// Neither a public key nor a fingerprint.
    #[error(
        "host key `{text}` is neither an OpenSSH public key nor a SHA256 fingerprint; hint: take the line `ssh-keyscan` prints without the host, or `SHA256:…` from `ssh-keygen -lf`"
    )]
    HostKey {
        /// The beginning of what was given.
        text: String,
    },
    /// The private key cannot be read; its text is never repeated.
    #[error(
        "private key unreadable: {why}; hint: an OpenSSH or PKCS#8 PEM file without passphrase is expected"
    )]
    PrivateKey {
        /// What the reader met.
        why: String,
    },
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port, 830 by default for NETCONF over SSH (RFC 6242 §6).
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Address, TargetError> {
        let wrong = || TargetError::Address { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() { Err(wrong()) } else { Ok(Address { host: host.to_owned(), port }) }
    }
}

/// The host key a station must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyPin {
    /// The key itself.
    Key(Box<PublicKey>),
    /// The SHA-256 of the key, and its algorithm where the description names it.
    ///
    /// Without the algorithm a station with several keys may show another than the pinned one.
    Fingerprint {
        /// SHA-256 over the public key blob.
        sha256: [u8; 32],
        /// The algorithm to ask the station for.
        algorithm: Option<Algorithm>,
    },
}

impl HostKeyPin {
    /// Whether this is the pinned key.
    pub fn matches(&self, key: &PublicKey) -> bool {
        match self {
            HostKeyPin::Key(pinned) => pinned.key_data() == key.key_data(),
            HostKeyPin::Fingerprint { sha256, .. } => {
                key.fingerprint(HashAlg::Sha256).sha256().as_ref() == Some(sha256)
            }
        }
    }

    /// Host key algorithms in the order to offer them: the pinned key's own first, so that a station with
    /// several keys shows that one.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let pinned = match self {
            HostKeyPin::Key(key) => Some(key.algorithm()),
            HostKeyPin::Fingerprint { algorithm, .. } => algorithm.clone(),
        };
        let mut order = vec![
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ];
        let same = |offered: &Algorithm, wanted: &Algorithm| {
            offered == wanted
                || (matches!(offered, Algorithm::Rsa { .. }) && matches!(wanted, Algorithm::Rsa { .. }))
        };
        // Stable: the rest keeps its order.
        order.sort_by_key(|offered| !pinned.as_ref().is_some_and(|wanted| same(offered, wanted)));
        order
    }
}

impl fmt::Display for HostKeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostKeyPin::Key(key) => f.write_str(&describe(key)),
            HostKeyPin::Fingerprint { sha256, algorithm } => {
                if let Some(algorithm) = algorithm {
                    write!(f, "{} ", plain_name(algorithm))?;
                }
                write!(f, "{}", Fingerprint::Sha256(*sha256))
            }
        }
    }
}

impl FromStr for HostKeyPin {
    type Err = TargetError;

    /// Reads `ssh-ed25519 AAAA… [comment]`, `SHA256:…`, or `ssh-rsa SHA256:…`.
    fn from_str(text: &str) -> Result<HostKeyPin, TargetError> {
        let text = text.trim();
        let wrong = || TargetError::HostKey { text: text.chars().take(60).collect() };
        let (algorithm, hash) = match text.split_once(' ') {
            Some((name, rest)) if rest.trim_start().starts_with("SHA256:") => {
                (Some(Algorithm::new(name).map_err(|_| wrong())?), rest.trim_start())
            }
            _ => (None, text),
        };
        if hash.starts_with("SHA256:") {
            let fingerprint: Fingerprint = hash.parse().map_err(|_| wrong())?;
            let sha256 = fingerprint.sha256().ok_or_else(wrong)?;
            return Ok(HostKeyPin::Fingerprint { sha256, algorithm });
        }
        PublicKey::from_openssh(text).map(|key| HostKeyPin::Key(Box::new(key))).map_err(|_| wrong())
    }
}

/// A key as people compare it: algorithm and SHA-256 fingerprint.
pub(crate) fn describe(key: &PublicKey) -> String {
    format!("{} {}", plain_name(&key.algorithm()), key.fingerprint(HashAlg::Sha256))
}

/// The key type's name; the hash of an RSA signature is not part of it.
fn plain_name(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// What this side proves its identity with. `Debug` shows the kind only.
#[derive(Clone)]
pub enum Credential {
    /// A password, also given to a keyboard-interactive prompt that asks for one.
    Password(String),
    /// A private key.
    PrivateKey(Arc<PrivateKey>),
}

impl Credential {
    /// A private key from PEM text.
    pub fn private_key(pem: &str) -> Result<Credential, TargetError> {
        let unreadable = |why: String| TargetError::PrivateKey { why };
        match decode_secret_key(pem, None) {
            Ok(key) => Ok(Credential::PrivateKey(Arc::new(key))),
            Err(russh::keys::Error::KeyIsEncrypted) => Err(unreadable("it has a passphrase".to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// The SSH method's name.
    pub fn method(&self) -> &'static str {
        match self {
            Credential::Password(_) => "password",
            Credential::PrivateKey(_) => "publickey",
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, hidden)", self.method())
    }
}

/// One station as the inventory describes it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// The account on it, which should be able to read and nothing else.
    pub user: String,
    /// The host key it must show.
    pub host_key: HostKeyPin,
    /// What proves this side.
    pub credential: Credential,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ station";

    #[test]
    fn addresses_read_back() {
        for text in ["10.0.0.1:830", "gnb.example:22", "[2001:db8::1]:830"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", ":830", "2001:db8::1:830", "h:99999", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_matches_itself_by_line_and_by_fingerprint() {
        let key = PublicKey::from_openssh(ED25519).unwrap();
        let by_line: HostKeyPin = ED25519.parse().unwrap();
        let print = key.fingerprint(HashAlg::Sha256).to_string();
        let by_print: HostKeyPin = print.parse().unwrap();
        let typed: HostKeyPin = format!("ssh-ed25519 {print}").parse().unwrap();
        assert!(by_line.matches(&key) && by_print.matches(&key) && typed.matches(&key));
        assert_eq!(by_line.to_string(), typed.to_string());
        let other = PublicKey::from(russh::keys::ssh_key::public::Ed25519PublicKey([7; 32]));
        assert!(!by_line.matches(&other) && !by_print.matches(&other));
        assert!(
            "SHA256:short".parse::<HostKeyPin>().is_err() && "ssh-ed25519 zzz".parse::<HostKeyPin>().is_err()
        );
    }

    #[test]
    fn the_pinned_algorithm_is_offered_first() {
        let rsa: HostKeyPin =
            format!("ssh-rsa {}", PublicKey::from_openssh(ED25519).unwrap().fingerprint(HashAlg::Sha256))
                .parse()
                .unwrap();
        let order = rsa.algorithms();
        assert_eq!(order[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(order[2], Algorithm::Ed25519);
        assert_eq!(order.len(), 6);
    }

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential::Password("hunter2".into());
        assert_eq!(format!("{credential:?}"), "Credential(password, hidden)");
        let error = Credential::private_key("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").unwrap_err();
        assert!(!error.to_string().contains("AAAA"));
    }
}
