//! The connection itself, both ends in this process.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::config::PeerEntry;
use agent::peer::{Caller, Identity, Limits, Patience, PeerError, Peers, Pins, tls};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Short, so that tests of silence are.
const LIMITS: Limits = Limits {
    handshake: Duration::from_millis(300),
    head: Duration::from_millis(300),
    request: Duration::from_secs(2),
    lifetime: Duration::from_secs(60),
    handshakes: 32,
    connections: 3,
};

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        answer: Duration::from_millis(400),
        body: Duration::from_millis(400),
        at_once: 2,
        first_rest: Duration::from_millis(40),
        longest_rest: Duration::from_millis(200),
    }
}

/// Members with their certificates; `stranger` is none of them.
struct Folk {
    folder: tempfile::TempDir,
    pins: Pins,
}

const MEMBERS: [&str; 3] = ["telecom", "unicom", "witness"];

impl Folk {
    fn new() -> Folk {
        let folder = tempfile::tempdir().unwrap();
        let pins = MEMBERS.map(|id| {
            let identity = Identity::create(&folder.path().join(id)).unwrap();
            (id.to_owned(), identity.fingerprint())
        });
        Identity::create(&folder.path().join("stranger")).unwrap();
        Folk { pins: Pins::new(pins), folder }
    }

    fn identity(&self, who: &str) -> Identity {
        Identity::load(&self.folder.path().join(who)).unwrap()
    }

    /// `who` with the addresses that it knows.
    fn peers(&self, who: &str, known: &[(&str, SocketAddr)]) -> Peers {
        let entries: Vec<PeerEntry> = known
            .iter()
            .map(|(member, address)| PeerEntry {
                member: (*member).to_owned(),
                address: address.to_string(),
                node: None,
            })
            .collect();
        Peers::new(&self.identity(who), self.pins.clone(), &entries, patience()).unwrap()
    }

    /// `who` answers on a port of its own.
    async fn serve(&self, who: &str) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers = self.peers(who, &[]);
        let stop = watch::Sender::new(false);
        let server = peers.server(router(), LIMITS).unwrap();
        tokio::spawn(server.serve(listener, stop.subscribe()));
        Served { address, peers, stop }
    }

    /// A connection of `who` to `member`, by which anything can be sent.
    async fn raw(&self, who: &str, member: &str, to: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let config = tls::client(&self.identity(who), &Arc::new(self.pins.clone()), member).unwrap();
        let tcp = TcpStream::connect(to).await?;
        TlsConnector::from(config).connect(ServerName::try_from("x").unwrap(), tcp).await
    }
}

struct Served {
    address: SocketAddr,
    peers: Peers,
    stop: watch::Sender<bool>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn router() -> Router {
    let endless = || async {
        Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 4096]))))
    };
    let drip = || async {
        Body::from_stream(stream::unfold((), |()| async {
            sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        }))
    };
    Router::new()
        .route("/who", get(|Caller(member): Caller| async move { member }))
        .route("/endless", get(endless))
        .route("/drip", get(drip))
        .route("/silence", get(|| async { sleep(Duration::from_secs(60)).await }))
        .route("/broken", get(|| async { axum::http::StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/large", get(|| async { vec![1_u8; 1 << 20] }))
}

/// Asks for its own name, until a rest after a failure is over.
async fn who(peers: &Peers, member: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match peers.get(member, "/who", 100).await {
            Ok(name) => return String::from_utf8(name.unwrap()).unwrap(),
            Err(PeerError::Resting { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_pinned_pair_talks_and_each_knows_who_the_other_is() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    assert_eq!(telecom.members(), ["unicom"]);
    for _ in 0..20 {
        assert_eq!(who(&telecom, "unicom").await, "telecom");
    }
    let witness = folk.peers("witness", &[("unicom", unicom.address)]);
    assert_eq!(who(&witness, "unicom").await, "witness");
    assert_eq!(telecom.get("unicom", "/nothing", 100).await, Ok(None));
    let large = telecom.get("unicom", "/large", 1 << 20).await.unwrap().unwrap();
    assert_eq!(large.len(), 1 << 20);
    let broken = telecom.get("unicom", "/broken", 100).await.unwrap_err();
    assert!(matches!(broken, PeerError::Refused { status: 500, .. }), "{broken}");
    assert_eq!(who(&telecom, "unicom").await, "telecom", "an answer is no outage");
    let unlisted = telecom.get("witness", "/who", 100).await.unwrap_err();
    assert_eq!(unlisted, PeerError::Unlisted("witness".into()));
    assert_eq!(unicom.peers.refused(), Default::default());
}

#[tokio::test]
async fn a_connection_that_lay_idle_too_long_is_replaced_unnoticed() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    for _ in 0..3 {
        assert_eq!(who(&telecom, "unicom").await, "telecom");
        sleep(LIMITS.head + Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_unknown_certificate_ends_in_the_handshake_on_either_side() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let stranger = folk.peers("stranger", &[("unicom", unicom.address)]);
    let error = stranger.get("unicom", "/who", 100).await.unwrap_err();
    assert!(matches!(error, PeerError::Distrusted { .. }), "{error}");
    assert!(error.to_string().contains("it refused us"), "{error}");
    assert_eq!(unicom.peers.refused().strangers, 1);

    let false_unicom = folk.serve("stranger").await;
    let telecom = folk.peers("telecom", &[("unicom", false_unicom.address)]);
    let error = telecom.get("unicom", "/who", 100).await.unwrap_err();
    assert!(matches!(error, PeerError::Distrusted { .. }), "{error}");
    assert!(error.to_string().contains("is no member's"), "{error}");

    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    assert_eq!(who(&telecom, "unicom").await, "telecom", "nobody else is harmed");
}

#[tokio::test]
async fn a_member_under_another_members_name_is_found_out() {
    let folk = Folk::new();
    let witness = folk.serve("witness").await;
    let telecom = folk.peers("telecom", &[("unicom", witness.address), ("witness", witness.address)]);
    let error = telecom.get("unicom", "/who", 100).await.unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, PeerError::Distrusted { .. }), "{words}");
    assert!(words.contains("it shows the certificate of witness, not of unicom"), "{words}");
    assert_eq!(who(&telecom, "witness").await, "telecom", "under its own name it is answered");
}

#[tokio::test]
async fn plain_tcp_is_refused_on_either_side() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let mut plain = TcpStream::connect(unicom.address).await.unwrap();
    plain.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut plain).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    assert_eq!(unicom.peers.refused().handshakes, 1);
    // Whoever says nothing at all does not stay either.
    let mut silent = TcpStream::connect(unicom.address).await.unwrap();
    until_closed(&mut silent).await;
    assert_eq!(unicom.peers.refused().handshakes, 2);
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    assert_eq!(who(&telecom, "unicom").await, "telecom");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        until_closed(&mut stream).await;
    });
    let telecom = folk.peers("telecom", &[("unicom", address)]);
    let error = telecom.get("unicom", "/who", 100).await.unwrap_err();
    assert!(error.to_string().contains("no agent speaks TLS there"), "{error}");
}

/// What still comes until the other side closes, which it must do soon.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_half_sent_holds_its_own_connection_only() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let mut half = folk.raw("telecom", "unicom", unicom.address).await.unwrap();
    half.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nx-more: ").await.unwrap();
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    assert_eq!(who(&telecom, "unicom").await, "telecom");
    let answer = until_closed(&mut half).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{answer:?}");
    // A head without end is cut at its limit.
    let mut endless = folk.raw("telecom", "unicom", unicom.address).await.unwrap();
    let line = [b"x-more: ".as_slice(), &[b'a'; 4096], b"\r\n"].concat();
    endless.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    for _ in 0..64 {
        if endless.write_all(&line).await.is_err() {
            break;
        }
    }
    let answer = until_closed(&mut endless).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{answer:?}");
    assert_eq!(who(&telecom, "unicom").await, "telecom");
}

#[tokio::test]
async fn a_body_without_end_is_cut_by_size_and_by_time() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    let error = telecom.get("unicom", "/endless", 100_000).await.unwrap_err();
    assert!(matches!(error, PeerError::TooLarge { limit: 100_000, .. }), "{error}");
    let error = telecom.get("unicom", "/large", 1000).await.unwrap_err();
    assert!(matches!(error, PeerError::TooLarge { limit: 1000, .. }), "{error}");
    assert_eq!(who(&telecom, "unicom").await, "telecom");
    let error = telecom.get("unicom", "/drip", 100_000).await.unwrap_err();
    assert!(matches!(error, PeerError::Late { .. }), "{error}");
    assert_eq!(who(&telecom, "unicom").await, "telecom");
    let error = telecom.get("unicom", "/silence", 100).await.unwrap_err();
    assert!(matches!(error, PeerError::Late { .. }), "{error}");
    assert_eq!(who(&telecom, "unicom").await, "telecom");
}

#[tokio::test]
async fn a_long_answer_does_not_hold_up_a_small_question() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    let busy = (0..patience().at_once).map(|_| telecom.get("unicom", "/drip", 100_000));
    let small = async {
        sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        telecom.get_at_once("unicom", "/who", 100).await.unwrap();
        started.elapsed()
    };
    let (_, waited) = tokio::join!(futures_util::future::join_all(busy), small);
    assert!(waited < patience().body / 2, "{waited:?}");
}

#[tokio::test]
async fn one_member_cannot_take_all_connections() {
    let folk = Folk::new();
    let unicom = folk.serve("unicom").await;
    let mut held = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut stream = folk.raw("telecom", "unicom", unicom.address).await.unwrap();
        stream.write_all(b"GET /drip HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut one_more = folk.raw("telecom", "unicom", unicom.address).await.unwrap();
    until_closed(&mut one_more).await;
    assert_eq!(unicom.peers.refused().crowded, 1);
    let witness = folk.peers("witness", &[("unicom", unicom.address)]);
    assert_eq!(who(&witness, "unicom").await, "witness");
    held.clear();
    let telecom = folk.peers("telecom", &[("unicom", unicom.address)]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while telecom.get("unicom", "/who", 100).await.is_err() {
        assert!(Instant::now() < deadline, "what was given back can be taken again");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_dead_peer_is_left_alone_between_attempts_and_found_again() {
    let folk = Folk::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let telecom = folk.peers("telecom", &[("unicom", address)]);
    let error = telecom.get("unicom", "/who", 100).await.unwrap_err();
    assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("hint:"), "{error}");
    let (mut attempts, mut rests) = (0, 0);
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        match telecom.get("unicom", "/who", 100).await.unwrap_err() {
            PeerError::Resting { .. } => rests += 1,
            _ => attempts += 1,
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(rests > 10 && attempts <= 20, "{attempts} attempts, {rests} rests");

    let listener = TcpListener::bind(address).await.unwrap();
    let unicom = folk.peers("unicom", &[]);
    let stop = watch::Sender::new(false);
    tokio::spawn(unicom.server(router(), LIMITS).unwrap().serve(listener, stop.subscribe()));
    assert_eq!(who(&telecom, "unicom").await, "telecom");
    stop.send_replace(true);
}
