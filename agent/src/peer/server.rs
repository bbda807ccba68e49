//! The listener for other agents: mutual TLS, and for each request the member who asks. Whoever is no member ends in
//! the handshake; whoever is one takes a bounded share.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anchor::transaction::MemberId;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::tls::{NotPinned, Pins};

/// The member whose agent asks, by the certificate of its connection. An extractor of every handler here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub MemberId);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| (StatusCode::FORBIDDEN, "only members are answered here").into_response())
    }
}

/// What one caller, known or not, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accepting a connection to the end of its handshake.
    pub handshake: Duration,
    /// For a request's head, and how long a connection may lie idle.
    pub head: Duration,
    /// From a request to the head of its answer.
    pub request: Duration,
    /// After so long a connection ends with the answer under way.
    pub lifetime: Duration,
    /// Handshakes under way from one address; from all together eight times as many.
    pub handshakes: usize,
    /// Connections of one member.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
            lifetime: Duration::from_secs(600),
            handshakes: 32,
            connections: 12,
        }
    }
}

/// Addresses remembered for the log; an intruder has more than we have memory.
const MAX_TOLD: usize = 1024;

/// The same address is named in the log once in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Longest body of a request, in bytes: everything is asked by GET.
const MAX_REQUEST: usize = 16 << 10;

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How many connections were turned away since the start, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Their certificate is no member's.
    pub strangers: u64,
    /// They spoke no TLS 1.3 or did not finish the handshake in time.
    pub handshakes: u64,
    /// There were too many of them.
    pub crowded: u64,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    Stranger,
    Handshake,
    Crowded,
}

/// Counts who was turned away and says so once per address and minute.
#[derive(Debug, Default)]
pub struct Door {
    strangers: AtomicU64,
    handshakes: AtomicU64,
    crowded: AtomicU64,
    told: Mutex<BTreeMap<IpAddr, Instant>>,
    /// Handshakes under way by address.
    entering: Mutex<BTreeMap<IpAddr, usize>>,
    /// Connections by member.
    inside: Mutex<BTreeMap<MemberId, usize>>,
}

impl Door {
    pub fn refused(&self) -> Refused {
        Refused {
            strangers: self.strangers.load(Ordering::Relaxed),
            handshakes: self.handshakes.load(Ordering::Relaxed),
            crowded: self.crowded.load(Ordering::Relaxed),
        }
    }

    fn refuse(&self, from: IpAddr, why: Why, words: &str) {
        let counter = match why {
            Why::Stranger => &self.strangers,
            Why::Handshake => &self.handshakes,
            Why::Crowded => &self.crowded,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.duration_since(*at) < TELL_EVERY);
        if !told.contains_key(&from) && told.len() < MAX_TOLD {
            told.insert(from, now);
            tracing::warn!("Turned away {from} at the agents' door: {words}");
        }
    }

    fn enter(self: &Arc<Self>, from: IpAddr, limit: usize) -> Option<Place> {
        let mut entering = self.entering.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, here) = (entering.values().sum::<usize>(), entering.get(&from).copied().unwrap_or(0));
        if here >= limit || all >= limit.saturating_mul(8) {
            return None;
        }
        entering.insert(from, here + 1);
        Some(Place { door: self.clone(), of: Of::Entering(from) })
    }

    fn admit(self: &Arc<Self>, member: &MemberId, limit: usize) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let here = inside.get(member).copied().unwrap_or(0);
        if here >= limit {
            return None;
        }
        inside.insert(member.clone(), here + 1);
        Some(Place { door: self.clone(), of: Of::Inside(member.clone()) })
    }
}

/// A place taken, given back when dropped.
#[derive(Debug)]
struct Place {
    door: Arc<Door>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Entering(IpAddr),
    Inside(MemberId),
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.of {
            Of::Entering(from) => give_back(&self.door.entering, from),
            Of::Inside(member) => give_back(&self.door.inside, member),
        }
    }
}

fn give_back<K: Ord>(places: &Mutex<BTreeMap<K, usize>>, key: &K) {
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(n) = places.get_mut(key) {
        *n = n.saturating_sub(1);
        if *n == 0 {
            places.remove(key);
        }
    }
}

/// Answers members on one listener.
#[derive(Debug, Clone)]
pub struct Server {
    tls: Arc<ServerConfig>,
    pins: Arc<Pins>,
    router: Router,
    limits: Limits,
    door: Arc<Door>,
}

impl Server {
    pub fn new(
        tls: Arc<ServerConfig>,
        pins: Arc<Pins>,
        router: Router,
        limits: Limits,
        door: Arc<Door>,
    ) -> Server {
        let router = router
            .layer(RequestBodyLimitLayer::new(MAX_REQUEST))
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.request));
        Server { tls, pins, router, limits, door }
    }

    /// Serves until `stopping` is true.
    pub async fn serve(self, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, from)) => self.take(stream, from, stopping.clone()),
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give some back.
                    tracing::warn!("Cannot accept another agent's connection: {error}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, from: SocketAddr, mut stopping: watch::Receiver<bool>) {
        let Some(place) = self.door.enter(from.ip(), self.limits.handshakes) else {
            return self.door.refuse(from.ip(), Why::Crowded, "too many handshakes at the same time");
        };
        let server = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = server.talk(stream, from, place) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        });
    }

    async fn talk(&self, stream: TcpStream, from: SocketAddr, entering: Place) {
        let Some(stream) = self.handshake(stream, from).await else { return };
        drop(entering);
        let Some(member) = self.pins.presented(stream.get_ref().1.peer_certificates()) else {
            return self.door.refuse(from.ip(), Why::Stranger, "it showed no member's certificate");
        };
        let Some(_place) = self.door.admit(&member, self.limits.connections) else {
            let words = format!("{member} has {} connections already", self.limits.connections);
            return self.door.refuse(from.ip(), Why::Crowded, &words);
        };
        self.answer(stream, member).await;
    }

    async fn handshake(&self, stream: TcpStream, from: SocketAddr) -> Option<TlsStream<TcpStream>> {
        // An answer's last bytes are not to wait for more; without it they come later, nothing worse.
        let _ = stream.set_nodelay(true);
        let accepting = TlsAcceptor::from(self.tls.clone()).accept(stream).into_fallible();
        match timeout(self.limits.handshake, accepting).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err((error, stream))) => {
                let (why, words) = explain(&error);
                self.door.refuse(from.ip(), why, &words);
                part(stream).await;
            }
            Err(_) => {
                let words = "it did not finish the TLS handshake in time";
                self.door.refuse(from.ip(), Why::Handshake, words);
            }
        }
        None
    }

    async fn answer(&self, stream: TlsStream<TcpStream>, member: MemberId) {
        let router = self.router.clone().layer(Extension(Caller(member.clone())));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = sleep(self.limits.lifetime) => {
                connection.as_mut().graceful_shutdown();
                // Whoever reads its answer for longer than this does not want it.
                match timeout(self.limits.request, connection).await {
                    Ok(ended) => ended,
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %member, "A connection of `{member}` broke off: {error}");
        }
    }
}

/// Lets the refused side read why: closing with its bytes unread would take the alert away from it.
async fn part(mut stream: TcpStream) {
    let mut unread = [0; 1024];
    let parted = async {
        stream.shutdown().await?;
        for _ in 0..64 {
            if stream.read(&mut unread).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // It is gone or does not listen: there is nothing more to be done for it.
    let _ = timeout(Duration::from_millis(500), parted).await;
}

fn explain(error: &io::Error) -> (Why, String) {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => match (NotPinned::within(tls), tls) {
            (Some(not_pinned), _) => (Why::Stranger, not_pinned.to_string()),
            (None, rustls::Error::NoCertificatesPresented) => {
                (Why::Stranger, "it shows no certificate".into())
            }
            (None, other) => (Why::Handshake, format!("no TLS handshake of an agent: {other}")),
        },
        None => (Why::Handshake, format!("it broke off the TLS handshake: {error}")),
    }
}
