//! The SSH side of a connection: which algorithms are offered, whose key is accepted, how this side logs in.

use std::borrow::Cow;
use std::sync::Arc;

use russh::client::{self, AuthResult, DisconnectReason, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{MethodKind, Preferred, cipher, compression, kex};
use tokio::sync::watch;

use super::target::{Credential, HostKeyPin, Target, describe};

/// How the library's own task ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error("host key {got} is not the pinned {expected}")]
    HostKey { expected: String, got: String },
}

/// Watches one connection: checks the key, remembers the peer's last words.
#[derive(Debug)]
pub(super) struct Guard {
    pin: HostKeyPin,
    farewell: watch::Sender<Option<String>>,
}

impl Guard {
    pub(super) fn new(pin: HostKeyPin) -> (Guard, watch::Receiver<Option<String>>) {
        let (farewell, words) = watch::channel(None);
        (Guard { pin, farewell }, words)
    }
}

impl client::Handler for Guard {
    type Error = HandshakeError;

    /// Runs after the key exchange and before authentication; an error ends the connection at once.
    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        let got = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } if self.pin.matches(key) => return Ok(true),
            PublicKeyOrCertificate::PublicKey { key, .. } => describe(key),
            // None is ever asked for.
            PublicKeyOrCertificate::Certificate(_) => "a certificate".to_owned(),
        };
        Err(HandshakeError::HostKey { expected: self.pin.to_string(), got })
    }

    async fn disconnected(&mut self, reason: DisconnectReason<HandshakeError>) -> Result<(), HandshakeError> {
        let words = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("peer said `{}`", info.message),
            DisconnectReason::Error(error) => error.to_string(),
        };
        self.farewell.send_replace(Some(words));
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

/// The library's settings for one target.
pub(super) fn config(target: &Target) -> Arc<client::Config> {
    let key_exchange = vec![
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::MLKEM768X25519_SHA256,
        // Older basebands have no X25519.
        kex::ECDH_SHA2_NISTP256,
        kex::ECDH_SHA2_NISTP384,
        kex::DH_G16_SHA512,
        kex::DH_G14_SHA256,
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    let ciphers = vec![
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
        cipher::AES_128_CTR,
    ];
    let preferred = Preferred {
        kex: Cow::Owned(key_exchange),
        key: Cow::Owned(target.host_key.algorithms()),
        cipher: Cow::Owned(ciphers),
        compression: Cow::Owned(vec![compression::NONE]),
        ..Preferred::DEFAULT
    };
    Arc::new(client::Config {
        preferred,
        nodelay: true,
        // At most 32 packets of 32 KiB wait between the socket and the decoder.
        channel_buffer_size: 32,
        ..client::Config::default()
    })
}

/// How a login attempt ended, short of a broken connection.
pub(super) enum Login {
    Accepted,
    /// Refused; the methods the server would still take.
    Refused(String),
}

/// Offers the target's credential. To be called only on a connection whose host key was checked.
pub(super) async fn login(handle: &mut Handle<Guard>, target: &Target) -> Result<Login, russh::Error> {
    let result = match &target.credential {
        Credential::PrivateKey(key) => {
            let hash = match key.algorithm() {
                // Without word from the server the stronger of the two SHA-2 signatures is tried.
                Algorithm::Rsa { .. } => {
                    handle.best_supported_rsa_hash().await?.flatten().or(Some(HashAlg::Sha512))
                }
                _ => None,
            };
            let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            handle.authenticate_publickey(&target.user, key).await?
        }
        Credential::Password(password) => {
            let first = handle.authenticate_password(&target.user, password).await?;
            match &first {
                AuthResult::Failure { remaining_methods, .. }
                    if remaining_methods.contains(&MethodKind::KeyboardInteractive)
                        && !remaining_methods.contains(&MethodKind::Password) =>
                {
                    return prompted(handle, &target.user, password).await;
                }
                _ => first,
            }
        }
    };
    Ok(match result {
        AuthResult::Success => Login::Accepted,
        AuthResult::Failure { remaining_methods, .. } => Login::Refused(method_names(&remaining_methods)),
    })
}

/// Answers keyboard-interactive (RFC 4256) where it only asks for the password.
async fn prompted(handle: &mut Handle<Guard>, user: &str, password: &str) -> Result<Login, russh::Error> {
    let mut step = handle.authenticate_keyboard_interactive_start(user, None).await?;
    // One round with the prompt and one or two without, as PAM does.
    for _ in 0..3 {
        match step {
            KeyboardInteractiveAuthResponse::Success => return Ok(Login::Accepted),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                return Ok(Login::Refused(method_names(&remaining_methods)));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = match prompts.as_slice() {
                    [] => Vec::new(),
                    [prompt] if !prompt.echo => vec![password.to_owned()],
                    // Anything else is not a question for a password: it is not sent.
                    _ => return Ok(Login::Refused("keyboard-interactive with other questions".to_owned())),
                };
                step = handle.authenticate_keyboard_interactive_respond(answers).await?;
            }
        }
    }
    Ok(Login::Refused("keyboard-interactive without end".to_owned()))
}

fn method_names(methods: &[MethodKind]) -> String {
    methods.iter().map(<&str>::from).collect::<Vec<_>>().join(", ")
}
