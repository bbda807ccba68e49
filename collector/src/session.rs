//! A read-only NETCONF session over SSH.
//!
//! [`Session::connect`] takes a [`Target`] and [`Limits`] and gives a session that can only read. The host
//! key is compared with the pinned one before anything secret is sent; one deadline spans the whole poll,
//! from the first TCP packet to the last byte of the reply, so that a station that drips bytes cannot hold a
//! round; replies are bounded. [`poll`] is connect, read, close in one step. [`Session::library`] and
//! [`Session::get_schema`] read which YANG modules the station runs and their texts.
//!
//! Every error has a short stable [`reason`](PollError::reason) for records and metrics, and a message with
//! place and hint for a person.

mod deadline;
mod error;
mod link;
mod schema;
mod ssh;
mod target;

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::framing::Framing;
use crate::wire::hello::{Capabilities, ServerHello, client_hello};
use crate::wire::rpc::{Request, SubtreeFilter, WithDefaults};
use crate::wire::{DataReply, Reply, ReplyError, parse_envelope, parse_reply};

pub use error::{ConnectError, FetchError, PollError};
pub use link::{Link, LinkError};
pub use schema::SchemaError;
pub use target::{Address, Credential, HostKeyPin, Target, TargetError};

/// The longest hello that is read; netconfd with 90 modules sends 12 KB.
const MAX_HELLO_BYTES: usize = 4 * 1024 * 1024;

/// Pause between the hellos and the first request.
///
/// netconfd loses a request that it reads together with the client's hello, and then never answers. That its
/// own hello has arrived does not say that it has read ours: it greets on connect. Without a pause one session
/// in seventy hung on a busy machine. It costs time only, never processor.
const HELLO_GAP: Duration = Duration::from_millis(100);

/// How long a polite goodbye may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What a poll may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from the first packet to the last byte of the last reply, all steps together.
    pub deadline: Duration,
    /// Content of one reply, framing removed.
    pub max_reply_bytes: usize,
}

impl Default for Limits {
    /// One minute and 64 MiB: several times what the largest shared station was seen to need.
    fn default() -> Limits {
        Limits { deadline: Duration::from_secs(60), max_reply_bytes: 64 * 1024 * 1024 }
    }
}

/// Which part of the running configuration is read, and how defaults are shown.
///
/// Both belong to the interpretation of what comes back: replies to different selections never compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// A subtree filter, everything without.
    pub filter: Option<SubtreeFilter>,
    /// The mode of defaults, the server's own without.
    pub with_defaults: Option<WithDefaults>,
}

/// An open session that can only read.
#[derive(Debug)]
pub struct Session {
    link: Link,
    hello: ServerHello,
    framing: Framing,
    next_id: u64,
    max_reply_bytes: usize,
    /// Why the session can no longer be used, once something went wrong on it.
    poisoned: Option<&'static str>,
}

impl Session {
    /// Connects, checks the host key, authenticates, opens the subsystem and exchanges hellos.
    ///
    /// The deadline of `limits` starts here and bounds everything this session will do.
    ///
    /// # Errors
    /// [`ConnectError`]; with another host key than the pinned one no credential has left this side.
    pub async fn connect(target: &Target, limits: &Limits) -> Result<Session, ConnectError> {
        let deadline = Instant::now() + limits.deadline;
        let mut link = Link::open(target, limits, deadline).await?;
        link.set_limit(MAX_HELLO_BYTES.min(limits.max_reply_bytes));
        // Both sides speak at once (RFC 6241 §8.1).
        link.send(client_hello().as_bytes(), "hello").await?;
        let bytes = link.receive("hello").await?;
        let hello = ServerHello::parse(&bytes)?;
        let framing = hello.negotiate()?;
        link.switch(framing);
        link.set_limit(limits.max_reply_bytes);
        tokio::time::sleep(HELLO_GAP).await;
        let max_reply_bytes = limits.max_reply_bytes;
        Ok(Session { link, hello, framing, next_id: 1, max_reply_bytes, poisoned: None })
    }

    /// What the server said about itself.
    pub fn hello(&self) -> &ServerHello {
        &self.hello
    }

    /// What the server can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.hello.capabilities
    }

    /// The framing both sides agreed on.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Reads the running configuration (RFC 6241 §7.1).
    ///
    /// # Errors
    /// [`FetchError`]. A whole `rpc-error` leaves the session usable; after anything else the two sides may
    /// be out of step and every further call answers [`FetchError::Poisoned`].
    pub async fn get_config(&mut self, selection: &Selection) -> Result<DataReply, FetchError> {
        let Selection { filter, with_defaults } = selection.clone();
        self.data(&Request::GetConfig { filter, with_defaults }).await
    }

    /// Reads configuration and state (RFC 6241 §7.7).
    pub async fn get(&mut self, filter: Option<SubtreeFilter>) -> Result<DataReply, FetchError> {
        self.data(&Request::Get { filter }).await
    }

    /// Says goodbye and closes the connection; the server's answer is awaited for a moment only.
    pub async fn close(mut self) {
        if self.poisoned.is_none() {
            let goodbye = tokio::time::timeout(CLOSE_PATIENCE, self.ask(&Request::CloseSession)).await;
            if let Ok(Err(error)) = goodbye {
                tracing::debug!(reason = error.reason(), "The station did not answer close-session");
            }
        }
        self.link.disconnect().await;
    }

    async fn data(&mut self, request: &Request) -> Result<DataReply, FetchError> {
        match self.ask(request).await? {
            Reply::Data(data) => Ok(data),
            Reply::Ok { .. } => Err(FetchError::Reply(ReplyError::Empty { found: Some("ok".to_owned()) })),
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Reply, FetchError> {
        if let Some(reason) = self.poisoned {
            return Err(FetchError::Poisoned { reason });
        }
        let id = self.next_id;
        self.next_id += 1;
        // Held until the answer is whole: a caller that gives up in between leaves a poisoned session.
        self.poisoned = Some("abandoned");
        let outcome = self.exchange(request, id).await;
        self.poisoned = match &outcome {
            Ok(_) | Err(FetchError::Reply(ReplyError::Refused { .. })) => None,
            Err(error) => Some(error.reason()),
        };
        outcome
    }

    async fn exchange(&mut self, request: &Request, id: u64) -> Result<Reply, FetchError> {
        let name = request.name();
        self.link.send(request.to_xml(id).as_bytes(), name).await?;
        let bytes = self.link.receive(name).await?;
        Ok(match request {
            // A reader takes the configuration apart.
            Request::GetConfig { .. } => parse_envelope(bytes, id)?,
            _ => parse_reply(bytes, id)?,
        })
    }
}

/// What one poll of a station brought.
#[derive(Debug)]
pub struct Poll {
    /// The reply, whole.
    pub reply: DataReply,
    /// What the server said about itself.
    pub hello: ServerHello,
}

/// Connects, reads the running configuration once and closes, all within one deadline.
///
/// # Errors
/// [`PollError`], which is what a round records of a station that could not be read.
pub async fn poll(target: &Target, limits: &Limits, selection: &Selection) -> Result<Poll, PollError> {
    let mut session = Session::connect(target, limits).await?;
    let outcome = session.get_config(selection).await;
    let hello = session.hello().clone();
    session.close().await;
    Ok(Poll { reply: outcome?, hello })
}
