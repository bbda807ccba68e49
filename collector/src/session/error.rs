//! Why a station could not be read, in the words of who has to act on it.

use std::io;

use crate::wire::ReplyError;
use crate::wire::hello::HelloError;
use crate::wire::xml::XmlError;

use super::link::LinkError;
use super::target::Address;

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("{address}: not reachable; hint: check power, transport and the port in the inventory")]
    Unreachable {
        /// The station.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// Another machine answers, or the station was exchanged. Nothing secret was sent.
    #[error(
        "{address}: host key is {got}, the inventory pins {expected}; no credential was sent; hint: a swapped station needs an approved change of kind swap, anything else is an attack until shown otherwise"
    )]
    HostKeyMismatch {
        /// The station.
        address: Address,
        /// The pinned key, as algorithm and fingerprint.
        expected: String,
        /// The key that was shown.
        got: String,
    },
    /// Something listens that does not complete an SSH key exchange.
    #[error(
        "{address}: no SSH key exchange; hint: check that this port is NETCONF over SSH and which algorithms the station offers"
    )]
    Ssh {
        /// The station.
        address: Address,
        /// What the library met.
        source: russh::Error,
    },
    /// The account or credential is not accepted.
    #[error(
        "{address}: user `{user}` refused with {method}; the station would take: {offered}; hint: check the account on the station and the credential in the inventory"
    )]
    Authentication {
        /// The station.
        address: Address,
        /// The account.
        user: String,
        /// The method that was tried.
        method: &'static str,
        /// The methods the station names.
        offered: String,
    },
    /// SSH works, NETCONF is not offered.
    #[error(
        "{address}: no NETCONF subsystem ({detail}); hint: NETCONF may be switched off, listen on another port (often 830), or be closed to this account"
    )]
    NoSubsystem {
        /// The station.
        address: Address,
        /// What happened to the request.
        detail: String,
    },
    /// The subsystem does not introduce itself as NETCONF asks.
    #[error("the station's hello does not open a session")]
    Hello(#[from] HelloError),
    /// Deadline, closed connection, broken framing.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl ConnectError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            ConnectError::Unreachable { .. } => "unreachable",
            ConnectError::HostKeyMismatch { .. } => "host-key-mismatch",
            ConnectError::Ssh { .. } => "ssh",
            ConnectError::Authentication { .. } => "authentication",
            ConnectError::NoSubsystem { .. } => "no-subsystem",
            ConnectError::Hello(_) => "hello",
            ConnectError::Link(error) => error.reason(),
        }
    }
}

/// Why an open session gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The message is no valid answer, or the station refused.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// Deadline, closed connection, broken framing.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// An earlier failure left the session out of step.
    #[error("session unusable after an earlier failure ({reason}); hint: connect again")]
    Poisoned {
        /// The reason of that failure.
        reason: &'static str,
    },
}

impl FetchError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            FetchError::Reply(ReplyError::Xml(XmlError::NotUtf8 { .. })) => "not-utf8",
            FetchError::Reply(ReplyError::Xml(_)) => "not-xml",
            FetchError::Reply(ReplyError::Refused { .. }) => "rpc-error",
            FetchError::Reply(
                ReplyError::NotAReply { .. }
                | ReplyError::MessageId { .. }
                | ReplyError::Empty { .. }
                | ReplyError::SecondData { .. },
            ) => "bad-reply",
            FetchError::Link(error) => error.reason(),
            FetchError::Poisoned { .. } => "closed",
        }
    }
}

/// Why a poll brought no configuration.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// No session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A session, but no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl PollError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            PollError::Connect(error) => error.reason(),
            PollError::Fetch(error) => error.reason(),
        }
    }

    /// The message with all its causes, on one line.
    pub fn full_message(&self) -> String {
        full_message(self)
    }
}

pub(super) fn full_message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
