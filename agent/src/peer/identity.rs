//! Who an agent is to the other agents: a key and a self-signed certificate, whose SHA-256 stands in genesis.

use std::path::{Path, PathBuf};

use anchor::Hash;
use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::keys;

/// An agent's certificate with its key. Nobody signs it: genesis pins it.
#[derive(Debug)]
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// The name in every certificate. It says nothing: a member is known by the certificate itself.
pub(super) const NAME: &str = "ranproof-agent";

impl Identity {
    /// Draws a key and writes `tls.key` (mode 0600) and `tls.crt` into the folder; existing files are never
    /// overwritten.
    pub fn create(folder: &Path) -> Result<Identity> {
        let key = KeyPair::generate().context("cannot draw a TLS key")?;
        let mut params =
            CertificateParams::new(vec![NAME.to_owned()]).context("cannot describe a certificate")?;
        params.distinguished_name.push(DnType::CommonName, NAME);
        let certificate = params.self_signed(&key).context("cannot sign the certificate")?;
        let (key_file, certificate_file) = files(folder);
        keys::write_private(&key_file, key.serialize_pem().as_bytes())?;
        keys::write_new(&certificate_file, certificate.pem().as_bytes(), 0o644)?;
        Identity::load(folder)
    }

    /// Reads `tls.key` and `tls.crt`. Refuses a key that others may read.
    pub fn load(folder: &Path) -> Result<Identity> {
        let (key_file, certificate_file) = files(folder);
        let key = keys::read_private(&key_file)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .with_context(|| format!("{} holds no private key in PEM", key_file.display()))?;
        let certificate = std::fs::read(&certificate_file)
            .with_context(|| format!("cannot read {}", certificate_file.display()))?;
        let certificate = CertificateDer::from_pem_slice(&certificate)
            .with_context(|| format!("{} holds no certificate in PEM", certificate_file.display()))?;
        Ok(Identity { certificate, key })
    }

    /// SHA-256 of the certificate's DER: what genesis pins.
    pub fn fingerprint(&self) -> Hash {
        fingerprint(&self.certificate)
    }
}

pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Hash {
    Hash::of(certificate)
}

fn files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("tls.key"), folder.join("tls.crt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_the_same_after_a_restart_and_never_drawn_over() {
        let folder = tempfile::tempdir().unwrap();
        let drawn = Identity::create(folder.path()).unwrap();
        assert_eq!(Identity::load(folder.path()).unwrap().fingerprint(), drawn.fingerprint());
        assert!(Identity::create(folder.path()).is_err());
        assert_eq!(Identity::load(folder.path()).unwrap().fingerprint(), drawn.fingerprint());
    }
}
