//! Mutual TLS 1.3 between agents: each side accepts exactly the certificate that genesis pins for a member. No
//! authority, no name and no date in a certificate counts; a rotated certificate is a new genesis entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::Hash;
use anchor::transaction::MemberId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::identity::{Identity, fingerprint};

/// Which certificate is whose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<Hash, MemberId>);

impl Pins {
    /// From members and the SHA-256 of their certificates.
    pub fn new(members: impl IntoIterator<Item = (MemberId, Hash)>) -> Pins {
        Pins(members.into_iter().map(|(member, pin)| (pin, member)).collect())
    }

    /// Whose certificate this is; `None` for a stranger's.
    pub fn member(&self, certificate: &CertificateDer<'_>) -> Option<&MemberId> {
        self.0.get(&fingerprint(certificate))
    }

    /// Whose certificate a finished handshake showed.
    pub(super) fn presented(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<MemberId> {
        chain.and_then(<[_]>::first).and_then(|certificate| self.member(certificate)).cloned()
    }
}

/// A certificate that was not the one to be expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPinned {
    #[error("certificate {0} is no member's; hint: genesis names each member's certificate in `tls`")]
    Stranger(Hash),
    #[error("it shows the certificate of {shown}, not of {expected}; hint: is `address` another member's?")]
    AnotherMember { expected: MemberId, shown: MemberId },
    #[error("it shows a chain of certificates; hint: the pinned one alone is enough")]
    Chain,
}

impl From<NotPinned> for Error {
    fn from(error: NotPinned) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    }
}

impl NotPinned {
    /// Finds it in what the TLS library reports.
    pub(super) fn within(error: &Error) -> Option<&NotPinned> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
            _ => None,
        }
    }
}

/// Accepts a pinned certificate: any member's, or one member's.
#[derive(Debug)]
struct Pinned {
    pins: Arc<Pins>,
    /// The member who is expected; `None` for any.
    expected: Option<MemberId>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(&self, shown: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), NotPinned> {
        if !rest.is_empty() {
            return Err(NotPinned::Chain);
        }
        let member = self.pins.member(shown).ok_or_else(|| NotPinned::Stranger(fingerprint(shown)))?;
        match &self.expected {
            Some(expected) if expected != member => {
                Err(NotPinned::AnotherMember { expected: expected.clone(), shown: member.clone() })
            }
            _ => Ok(()),
        }
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    /// The pin says whose certificate it is; this, that whoever shows it has its key. RFC 8446 §4.4.3.
    fn holds_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }
}

/// Nothing below TLS 1.3 is offered, so that this is never asked.
fn only_tls13() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("agents speak TLS 1.3 only".into()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holds_key(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holds_key(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Answers members, whoever of them it is. No session is resumed: every connection shows its certificate.
pub fn server(identity: &Identity, pins: &Arc<Pins>) -> Result<Arc<ServerConfig>, Error> {
    let provider = provider();
    let verifier = Pinned { pins: pins.clone(), expected: None, provider: provider.clone() };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Connects to `member` and to nobody else.
pub fn client(identity: &Identity, pins: &Arc<Pins>, member: &str) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider();
    let expected = Some(member.to_owned());
    let verifier = Pinned { pins: pins.clone(), expected, provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}
