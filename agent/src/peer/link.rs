//! The way to one other agent: a few connections kept alive, deadlines, limits, and rest after a failure.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anchor::transaction::MemberId;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use futures_util::StreamExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::PeerError;
use super::identity::NAME;
use super::tls::NotPinned;
use crate::keys;

/// How long the other side may take, and how much at once is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To the end of the TLS handshake.
    pub connect: Duration,
    /// From the request to the head of its answer.
    pub answer: Duration,
    /// For the answer's body, and a second more for every [`SLOWEST`] bytes of it that came.
    pub body: Duration,
    /// Requests under way at the same time.
    pub at_once: usize,
    /// Rest after the first failure; it doubles with each further one.
    pub first_rest: Duration,
    pub longest_rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(4),
            answer: Duration::from_secs(10),
            body: Duration::from_secs(60),
            at_once: 4,
            first_rest: Duration::from_millis(250),
            longest_rest: Duration::from_secs(5),
        }
    }
}

/// Bytes per second below which a long answer is given up.
const SLOWEST: u64 = 128 << 10;

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// One peer, as asked by this agent.
#[derive(Debug)]
pub(super) struct Link {
    pub member: MemberId,
    address: String,
    tls: Arc<ClientConfig>,
    patience: Patience,
    idle: Mutex<Vec<SendRequest<Body>>>,
    slots: Semaphore,
    standing: Mutex<Standing>,
}

/// What the last attempts showed.
#[derive(Debug)]
struct Standing {
    /// Kind of the present trouble, `None` while it answers.
    trouble: Option<&'static str>,
    /// Nothing was tried yet.
    fresh: bool,
    failures: u32,
    rest_until: Option<Instant>,
    why: String,
}

impl Link {
    pub fn new(member: MemberId, address: String, tls: Arc<ClientConfig>, patience: Patience) -> Link {
        let standing =
            Standing { trouble: None, fresh: true, failures: 0, rest_until: None, why: String::new() };
        Link {
            member,
            address,
            tls,
            patience,
            idle: Mutex::default(),
            slots: Semaphore::new(patience.at_once.max(1)),
            standing: Mutex::new(standing),
        }
    }

    /// `None` where the peer has nothing at `path`. Waits for its turn behind other requests to this peer.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        self.get_at_once(path, limit).await
    }

    /// As [`Link::get`], beside the others: a long answer under way does not make the peer look dead.
    pub async fn get_at_once(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        self.rested()?;
        let answer = self.exchange(path, limit).await;
        match &answer {
            Err(error) if error.is_outage() => self.failed(error),
            _ => self.answered(),
        }
        answer
    }

    fn rested(&self) -> Result<(), PeerError> {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = standing.rest_until.and_then(|until| until.checked_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            None => Ok(()),
            Some(left) => Err(PeerError::Resting {
                member: self.member.clone(),
                millis: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                why: standing.why.clone(),
            }),
        }
    }

    fn answered(&self) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.fresh || standing.trouble.is_some() {
            tracing::info!(peer = %self.member, "`{}` answers at {}", self.member, self.address);
        }
        *standing =
            Standing { trouble: None, fresh: false, failures: 0, rest_until: None, why: String::new() };
    }

    fn failed(&self, error: &PeerError) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.trouble != Some(error.kind()) {
            tracing::warn!(peer = %self.member, "{error}");
        }
        let doubled = self.patience.first_rest.saturating_mul(1 << standing.failures.min(16));
        let rest = doubled.min(self.patience.longest_rest).mul_f64(jitter());
        *standing = Standing {
            trouble: Some(error.kind()),
            fresh: false,
            failures: standing.failures.saturating_add(1),
            rest_until: Some(Instant::now() + rest),
            why: error.to_string(),
        };
    }

    async fn exchange(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        // The other side may have closed what lay idle: then the same question goes over a new connection.
        while let Some(mut kept) = self.kept() {
            if matches!(timeout(self.patience.answer, kept.ready()).await, Ok(Ok(())))
                && let Ok(response) = self.ask(&mut kept, path).await?
            {
                return self.take(kept, path, response, limit).await;
            }
        }
        let mut connection = self.connect().await?;
        let response = self.ask(&mut connection, path).await?.map_err(|e| self.trouble(path, &e))?;
        self.take(connection, path, response, limit).await
    }

    fn kept(&self) -> Option<SendRequest<Body>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| !kept.is_closed());
        if idle.len() < self.patience.at_once {
            idle.push(connection);
        }
    }

    /// The outer error is the peer's silence, the inner one the connection's end.
    async fn ask(
        &self,
        connection: &mut SendRequest<Body>,
        path: &str,
    ) -> Result<hyper::Result<Response<Incoming>>, PeerError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::HOST, NAME)
            .body(Body::empty())
            .map_err(|e| self.not_understood(path, &e))?;
        match timeout(self.patience.answer, connection.send_request(request)).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.late(path)),
        }
    }

    async fn take(
        &self,
        connection: SendRequest<Body>,
        path: &str,
        response: Response<Incoming>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, PeerError> {
        let status = response.status();
        let limit = if status == StatusCode::OK { limit } else { MAX_HEAD };
        let bytes = self.read(path, response.into_body(), limit).await?;
        // Only a connection whose answer was read to its end can serve again.
        self.keep(connection);
        match status {
            StatusCode::OK => Ok(Some(bytes)),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(PeerError::Refused {
                member: self.member.clone(),
                path: path.to_owned(),
                status: other.as_u16(),
            }),
        }
    }

    async fn read(&self, path: &str, body: Incoming, limit: usize) -> Result<Vec<u8>, PeerError> {
        let too_large = || PeerError::TooLarge { member: self.member.clone(), path: path.to_owned(), limit };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut pieces = Body::new(body).into_data_stream();
        let mut bytes = Vec::new();
        let started = tokio::time::Instant::now();
        loop {
            let allowed = self.patience.body + Duration::from_secs(bytes.len() as u64 / SLOWEST);
            let piece = timeout_at(started + allowed, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| self.late(path))? else { return Ok(bytes) };
            let piece = piece.map_err(|e| self.trouble(path, &e))?;
            if piece.len() > limit.saturating_sub(bytes.len()) {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, PeerError> {
        let opened = timeout(self.patience.connect, async {
            let tcp = TcpStream::connect(&self.address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
            TlsConnector::from(self.tls.clone()).connect(name, tcp).await
        });
        let stream = match opened.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(_) => return Err(self.unreachable(&io::Error::from(io::ErrorKind::TimedOut))),
        };
        let (connection, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await
            .map_err(|e| self.unreachable(&io::Error::other(e)))?;
        // Ends with the last handle on the connection; what goes wrong is told to whoever waits for an answer.
        tokio::spawn(async move { drop(driver.await) });
        Ok(connection)
    }

    fn late(&self, path: &str) -> PeerError {
        PeerError::Late { member: self.member.clone(), path: path.to_owned() }
    }

    fn not_understood(&self, path: &str, error: &dyn StdError) -> PeerError {
        let (member, path) = (self.member.clone(), path.to_owned());
        PeerError::NotUnderstood { member, path, why: causes(error) }
    }

    fn unreachable(&self, error: &io::Error) -> PeerError {
        let (member, address) = (self.member.clone(), self.address.clone());
        match distrust(error) {
            Some(why) => PeerError::Distrusted { member, address, why },
            None => PeerError::Unreachable { member, address, why: causes(error) },
        }
    }

    /// In TLS 1.3 a server's refusal of our certificate comes with the first answer.
    fn trouble(&self, path: &str, error: &(dyn StdError + 'static)) -> PeerError {
        let member = self.member.clone();
        match distrust(error) {
            Some(why) => PeerError::Distrusted { member, address: self.address.clone(), why },
            None => PeerError::Broken { member, path: path.to_owned(), why: causes(error) },
        }
    }
}

/// What the TLS library found wrong, in our words, wherever in the chain of causes it stands.
fn distrust(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = cause.downcast_ref::<rustls::Error>();
        if let Some(tls) = tls.or_else(|| inner.and_then(|i| i.downcast_ref::<rustls::Error>())) {
            return Some(match (NotPinned::within(tls), tls) {
                (Some(not_pinned), _) => not_pinned.to_string(),
                (None, rustls::Error::AlertReceived(alert)) => {
                    format!("it refused us ({alert:?}); hint: does its genesis pin this agent's certificate?")
                }
                (None, other) => format!("no agent speaks TLS there: {other}"),
            });
        }
        next = cause.source();
    }
    None
}

/// An error with its causes in one line.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Between one half and three halves, so that agents that lost each other do not all come back at once.
fn jitter() -> f64 {
    let drawn = keys::random_bytes::<1>().map_or(128, |[byte]| byte);
    0.5 + f64::from(drawn) / 255.0
}
