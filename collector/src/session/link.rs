//! A connection that carries whole NETCONF messages, whatever they say.
//!
//! [`Link`] is SSH, the `netconf` subsystem and framing under one deadline. It knows no operation:
//! [`Session`](super::Session) is what gives it requests, and those only read.

use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, Disconnect};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::wire::framing::{Decoder, Framing, FramingError, encode};

use super::Limits;
use super::deadline::DeadlineStream;
use super::error::ConnectError;
use super::ssh::{self, Guard, HandshakeError, Login};
use super::target::{Address, Target};

/// How long after the deadline the library's own task may still live. The poll itself ends at the deadline.
const GRACE: Duration = Duration::from_secs(1);

/// Why a message could not be sent or received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The deadline of the poll passed.
    #[error(
        "{address}: no complete {step} within {seconds} s, {received} bytes of it had arrived; hint: the station is slow or stuck, compare its CPU load, or raise the deadline"
    )]
    Timeout {
        /// The station.
        address: Address,
        /// What was going on.
        step: &'static str,
        /// The deadline, counted from the start of the poll.
        seconds: u64,
        /// Bytes that had arrived in this step.
        received: usize,
    },
    /// The station closed the connection between messages or refused to take one.
    #[error("{address}: connection closed during {step}{}; hint: the station ended the session, look at its log and session limit", .detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Closed {
        /// The station.
        address: Address,
        /// What was going on.
        step: &'static str,
        /// The peer's last words or the local error.
        detail: Option<String>,
    },
    /// The bytes are no framed messages, are cut, or too many.
    #[error("{address}: {step} broken")]
    Framing {
        /// The station.
        address: Address,
        /// What was going on.
        step: &'static str,
        /// What is wrong.
        #[source]
        error: FramingError,
    },
}

impl LinkError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            LinkError::Timeout { .. } => "timeout",
            LinkError::Closed { .. } => "closed",
            LinkError::Framing { error: FramingError::TooLarge { .. }, .. } => "too-large",
            LinkError::Framing { .. } => "framing",
        }
    }
}

/// An authenticated connection with the NETCONF subsystem open.
pub struct Link {
    address: Address,
    handle: Handle<Guard>,
    channel: Channel<Msg>,
    farewell: watch::Receiver<Option<String>>,
    framing: Framing,
    decoder: Decoder,
    /// Arrived but not yet decoded.
    pending: Bytes,
    deadline: Instant,
    seconds: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, checks the host key, authenticates and opens the subsystem; nothing NETCONF yet.
    ///
    /// Framing starts as end-of-message, as both hellos are sent (RFC 6242 §4.1).
    ///
    /// # Errors
    /// [`ConnectError`]; no credential is sent to a station that does not show the pinned host key.
    pub async fn open(target: &Target, limits: &Limits, deadline: Instant) -> Result<Link, ConnectError> {
        let seconds = limits.deadline.as_secs();
        let address = &target.address;
        let late = |step: &'static str| {
            move |_| {
                let address = address.clone();
                ConnectError::from(LinkError::Timeout { address, step, seconds, received: 0 })
            }
        };
        let socket = timeout_at(deadline, connect_tcp(address)).await.map_err(late("TCP connection"))??;
        let (guard, farewell) = Guard::new(target.host_key.clone());
        let stream = DeadlineStream::new(socket, deadline + GRACE);
        let handshake = russh::client::connect_stream(ssh::config(target), stream, guard);
        let mut handle = timeout_at(deadline, handshake)
            .await
            .map_err(late("SSH key exchange"))?
            .map_err(|error| handshake_error(error, address))?;
        timeout_at(deadline, authenticate(&mut handle, target, &farewell))
            .await
            .map_err(late("authentication"))??;
        let channel = timeout_at(deadline, open_subsystem(&handle, address, &farewell))
            .await
            .map_err(late("NETCONF subsystem"))??;
        let framing = Framing::EndOfMessage;
        let decoder = Decoder::new(framing, limits.max_reply_bytes);
        let (channel, pending) = channel;
        let address = address.clone();
        Ok(Link { address, handle, channel, farewell, framing, decoder, pending, deadline, seconds })
    }

    /// The station.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Changes the framing in both directions, between two messages.
    pub fn switch(&mut self, framing: Framing) {
        self.framing = framing;
        self.decoder.switch(framing);
    }

    /// Bounds the content of messages to come.
    pub fn set_limit(&mut self, bytes: usize) {
        self.decoder.set_limit(bytes);
    }

    /// Sends one message; `step` names it in errors.
    pub async fn send(&mut self, message: &[u8], step: &'static str) -> Result<(), LinkError> {
        let framed = encode(self.framing, message, 0).map_err(|error| self.framing_error(step, error))?;
        match timeout_at(self.deadline, self.channel.data_bytes(framed)).await {
            Err(_) => Err(self.timeout(step, 0)),
            Ok(Err(_)) => Err(self.closed(step)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Waits for one message; `step` names what is awaited.
    pub async fn receive(&mut self, step: &'static str) -> Result<Vec<u8>, LinkError> {
        let mut received = 0;
        loop {
            while !self.pending.is_empty() {
                let (taken, message) =
                    self.decoder.feed(&self.pending).map_err(|error| self.framing_error(step, error))?;
                let _ = self.pending.split_to(taken);
                if let Some(message) = message {
                    return Ok(message);
                }
            }
            match timeout_at(self.deadline, self.channel.wait()).await {
                Err(_) => return Err(self.timeout(step, received)),
                Ok(Some(ChannelMsg::Data { data })) => {
                    received += data.len();
                    self.pending = data;
                }
                Ok(None | Some(ChannelMsg::Eof | ChannelMsg::Close)) => {
                    return Err(self.ended(step, received));
                }
                // Standard error, exit status and window changes are no part of NETCONF.
                Ok(Some(_)) => {}
            }
        }
    }

    /// Closes the connection without waiting for the peer.
    pub async fn disconnect(self) {
        // An error says that the connection is closed already.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }

    fn timeout(&self, step: &'static str, received: usize) -> LinkError {
        LinkError::Timeout { address: self.address.clone(), step, seconds: self.seconds, received }
    }

    fn closed(&self, step: &'static str) -> LinkError {
        LinkError::Closed { address: self.address.clone(), step, detail: last_words(&self.farewell) }
    }

    fn framing_error(&self, step: &'static str, error: FramingError) -> LinkError {
        LinkError::Framing { address: self.address.clone(), step, error }
    }

    /// The stream is over: inside a message that is a framing error, between messages a closed session.
    fn ended(&self, step: &'static str, received: usize) -> LinkError {
        if Instant::now() >= self.deadline {
            return self.timeout(step, received);
        }
        match self.decoder.finish() {
            Ok(()) => self.closed(step),
            Err(error) => self.framing_error(step, error),
        }
    }
}

async fn connect_tcp(address: &Address) -> Result<TcpStream, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { address: address.clone(), source };
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    Ok(socket)
}

fn handshake_error(error: HandshakeError, address: &Address) -> ConnectError {
    let address = address.clone();
    match error {
        HandshakeError::HostKey { expected, got } => ConnectError::HostKeyMismatch { address, expected, got },
        HandshakeError::Ssh(source) => ConnectError::Ssh { address, source },
    }
}

async fn authenticate(
    handle: &mut Handle<Guard>,
    target: &Target,
    farewell: &watch::Receiver<Option<String>>,
) -> Result<(), ConnectError> {
    let address = target.address.clone();
    match ssh::login(handle, target).await {
        Ok(Login::Accepted) => Ok(()),
        // The library reports a connection that died during login as a refusal without methods.
        Ok(Login::Refused(offered)) if offered.is_empty() && handle.is_closed() => {
            Err(LinkError::Closed { address, step: "authentication", detail: last_words(farewell) }.into())
        }
        Ok(Login::Refused(offered)) => Err(ConnectError::Authentication {
            address,
            user: target.user.clone(),
            method: target.credential.method(),
            offered: if offered.is_empty() { "nothing else".to_owned() } else { offered },
        }),
        Err(error) => {
            let detail = last_words(farewell).or_else(|| Some(error.to_string()));
            Err(LinkError::Closed { address, step: "authentication", detail }.into())
        }
    }
}

/// Opens a channel and asks for the subsystem (RFC 6242 §3.1). Bytes that came before the answer are kept.
async fn open_subsystem(
    handle: &Handle<Guard>,
    address: &Address,
    farewell: &watch::Receiver<Option<String>>,
) -> Result<(Channel<Msg>, Bytes), ConnectError> {
    let refused = |detail: String| ConnectError::NoSubsystem { address: address.clone(), detail };
    let closed = || LinkError::Closed {
        address: address.clone(),
        step: "NETCONF subsystem",
        detail: last_words(farewell),
    };
    let mut channel = match handle.channel_open_session().await {
        Ok(channel) => channel,
        Err(russh::Error::ChannelOpenFailure(why)) => return Err(refused(format!("{why:?}"))),
        Err(_) => return Err(closed().into()),
    };
    channel.request_subsystem(true, "netconf").await.map_err(|_| closed())?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok((channel, Bytes::new())),
            Some(ChannelMsg::Failure) => return Err(refused("request refused".to_owned())),
            Some(ChannelMsg::Data { data }) => return Ok((channel, data)),
            None | Some(ChannelMsg::Eof | ChannelMsg::Close) => {
                return Err(if handle.is_closed() {
                    closed().into()
                } else {
                    refused("channel closed".to_owned())
                });
            }
            Some(_) => {}
        }
    }
}

fn last_words(farewell: &watch::Receiver<Option<String>>) -> Option<String> {
    farewell.borrow().clone()
}
