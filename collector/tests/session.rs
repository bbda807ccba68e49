//! Sessions against a server that behaves, and against many that do not.

#[path = "session/schema.rs"]
mod schema;
mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ranproof_collector::session::{
    ConnectError, Credential, FetchError, Limits, PollError, Selection, Session, Target, poll,
};
use ranproof_collector::wire::ReplyError;
use ranproof_collector::wire::framing::Framing;
use ranproof_collector::wire::rpc::{SubtreeFilter, WithDefaults};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};
use support::{BASE, PASSWORD, Script, Server, Step, data, key, limits};

async fn failure(script: Script, limits: &Limits) -> PollError {
    let server = Server::start(script).await;
    poll(&server.target(), limits, &Selection::default()).await.expect_err("the poll should fail")
}

async fn answered(steps: Vec<Step>) -> PollError {
    failure(Script { answer: steps, ..Script::default() }, &limits()).await
}

#[tokio::test]
async fn configuration_is_read_with_chunks_and_with_delimiters() {
    for (versions, framing) in [(vec!["1.0", "1.1"], Framing::Chunked), (vec!["1.0"], Framing::EndOfMessage)]
    {
        for chunk in [0, 1, 17] {
            let server =
                Server::start(Script { versions: versions.clone(), chunk, ..Script::default() }).await;
            let mut session = Session::connect(&server.target(), &limits()).await.unwrap();
            assert_eq!((session.framing(), session.hello().session_id), (framing, 7));
            let filter = SubtreeFilter::new("<a xmlns=\"urn:a\"/>").ok();
            let selection = Selection { filter, with_defaults: Some(WithDefaults::ReportAll) };
            for _ in 0..2 {
                let reply = session.get_config(&selection).await.unwrap();
                assert_eq!(reply.content(), b"<a xmlns=\"urn:a\">1</a>");
            }
            session.close().await;
            server.wait_for_ended(1).await;
            assert_eq!(server.seen.requests.load(Ordering::SeqCst), 3);
        }
    }
}

#[tokio::test]
async fn large_replies_arrive_whole() {
    let content = "<k xmlns=\"urn:a\">0123456789</k>".repeat(300_000);
    let script = Script { answer: vec![Step::Reply(data(&content))], chunk: 65_000, ..Script::default() };
    let server = Server::start(script).await;
    let limits = Limits { max_reply_bytes: 64 << 20, ..limits() };
    let poll = poll(&server.target(), &limits, &Selection::default()).await.unwrap();
    assert!(poll.reply.content() == content.as_bytes());
}

#[tokio::test]
async fn another_host_key_gets_no_credential() {
    let server = Server::start(Script::default()).await;
    let pin = key(2).public_key().to_openssh().unwrap();
    for credential in [
        Credential::Password(PASSWORD.into()),
        Credential::private_key(&key(3).to_openssh(LineEnding::LF).unwrap()).unwrap(),
    ] {
        let target = Target { host_key: pin.parse().unwrap(), credential, ..server.target() };
        let error = Session::connect(&target, &limits()).await.unwrap_err();
        let ConnectError::HostKeyMismatch { expected, got, .. } = &error else { panic!("{error}") };
        assert_eq!(error.reason(), "host-key-mismatch");
        assert!(expected.starts_with("ssh-ed25519 SHA256:") && got.starts_with("ssh-ed25519 SHA256:"));
        assert_ne!(expected, got);
    }
    server.wait_for_ended(2).await;
    assert_eq!((server.auth_attempts(), server.seen.connections.load(Ordering::SeqCst)), (0, 2));
    // The counter does count: with the right pin the same server sees an attempt.
    Session::connect(&server.target(), &limits()).await.unwrap().close().await;
    assert_eq!(server.auth_attempts(), 1);
}

#[tokio::test]
async fn pinned_key_is_found_among_several_of_a_station() {
    let mut rng = russh::keys::key::safe_rng();
    let ecdsa = PrivateKey::random(&mut rng, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).unwrap();
    let rsa = PrivateKey::random(&mut rng, Algorithm::Rsa { hash: None }).unwrap();
    let server = Server::start(Script { host_keys: vec![key(1), ecdsa, rsa], ..Script::default() }).await;
    for index in 0..3 {
        let target = server.target_by_fingerprint(index);
        Session::connect(&target, &limits()).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn public_keys_log_in_and_strangers_do_not() {
    let mut rng = russh::keys::key::safe_rng();
    for user_key in [key(9), PrivateKey::random(&mut rng, Algorithm::Rsa { hash: None }).unwrap()] {
        let accepted_key = Some(user_key.public_key().clone());
        let server = Server::start(Script { accepted_key, ..Script::default() }).await;
        let pem = user_key.to_openssh(LineEnding::LF).unwrap();
        let credential = Credential::private_key(&pem).unwrap();
        let target = Target { credential, ..server.target() };
        Session::connect(&target, &limits()).await.unwrap().close().await;
    }
    let server = Server::start(Script::default()).await;
    let stranger = Credential::private_key(&key(8).to_openssh(LineEnding::LF).unwrap()).unwrap();
    for credential in [stranger, Credential::Password("wrong".into())] {
        let target = Target { credential, ..server.target() };
        let error = Session::connect(&target, &limits()).await.unwrap_err();
        assert_eq!(error.reason(), "authentication", "{error}");
        assert!(!error.to_string().contains("wrong"));
    }
}

#[tokio::test]
async fn password_answers_a_prompt_for_it() {
    let server = Server::start(Script { prompted: true, ..Script::default() }).await;
    Session::connect(&server.target(), &limits()).await.unwrap().close().await;
    let target = Target { credential: Credential::Password("wrong".into()), ..server.target() };
    let error = Session::connect(&target, &limits()).await.unwrap_err();
    assert_eq!(error.reason(), "authentication");
}

#[tokio::test]
async fn station_that_is_not_there_is_unreachable() {
    let server = Server::start(Script::default()).await;
    let target = server.target();
    drop(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    let error = Session::connect(&Target { address, ..target }, &limits()).await.unwrap_err();
    assert_eq!(error.reason(), "unreachable", "{error}");
}

#[tokio::test]
async fn what_is_not_ssh_or_not_netconf_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let web = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let server = Server::start(Script { subsystem: false, ..Script::default() }).await;
    let error = Session::connect(&Target { address, ..server.target() }, &limits()).await.unwrap_err();
    assert_eq!(error.reason(), "ssh", "{error}");
    web.await.unwrap();
    let error = Session::connect(&server.target(), &limits()).await.unwrap_err();
    assert_eq!(error.reason(), "no-subsystem", "{error}");
}

#[tokio::test]
async fn broken_hellos_do_not_open_a_session() {
    let no_id = format!("<hello xmlns=\"{BASE}\"><capabilities/></hello>]]>]]>").into_bytes();
    for hello in [no_id, b"Welcome]]>]]>".to_vec(), b"<hello>\xff</hello>]]>]]>".to_vec()] {
        let error = failure(Script { hello: Some(hello), ..Script::default() }, &limits()).await;
        assert_eq!(error.reason(), "hello", "{}", error.full_message());
    }
}

#[tokio::test]
async fn frame_cut_by_a_close_is_a_framing_error_with_its_place() {
    let error = answered(vec![Step::Raw(b"\n#500\n<rpc-reply".to_vec()), Step::Close]).await;
    assert_eq!(error.reason(), "framing");
    let line = error.full_message();
    assert!(line.contains("inside a chunk") && line.contains("hint:") && !line.contains('\n'), "{line}");
    let error = answered(vec![Step::Raw(b"garbage without any frame".to_vec())]).await;
    assert_eq!(error.reason(), "framing");
    let error = answered(vec![Step::Close]).await;
    assert_eq!(error.reason(), "closed", "{}", error.full_message());
}

#[tokio::test]
async fn garbage_in_right_frames_is_named() {
    for (bytes, reason) in [
        (&b"%PDF-1.4 not xml at all"[..], "not-xml"),
        (
            b"<rpc-reply xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'><data><a></data></rpc-reply>",
            "not-xml",
        ),
        (b"<!DOCTYPE x><rpc-reply/>", "not-xml"),
        (b"<rpc-reply>\xc3\x28</rpc-reply>", "not-utf8"),
        (b"<hello/>", "bad-reply"),
    ] {
        let error = answered(vec![Step::Message(bytes.to_vec())]).await;
        assert_eq!(error.reason(), reason, "{}", error.full_message());
    }
}

#[tokio::test]
async fn reply_over_the_limit_is_refused_before_it_is_held() {
    let limits = Limits { max_reply_bytes: 10_000, ..limits() };
    for versions in [vec!["1.0", "1.1"], vec!["1.0"]] {
        let answer = vec![Step::Reply(data(&"<a xmlns=\"urn:a\"/>".repeat(1000)))];
        let error = failure(Script { answer, versions, ..Script::default() }, &limits).await;
        assert_eq!(error.reason(), "too-large", "{}", error.full_message());
    }
    let announced = vec![Step::Raw(b"\n#4294967295\n<".to_vec())];
    let error = failure(Script { answer: announced, ..Script::default() }, &limits).await;
    assert_eq!(error.reason(), "too-large");
}

#[tokio::test]
async fn rpc_errors_arrive_whole_and_leave_the_session_usable() {
    let denied = format!(
        "<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\"><rpc-error><error-type>protocol</error-type>\
         <error-tag>access-denied</error-tag><error-severity>error</error-severity>\
         <error-message>no</error-message><error-info><x/></error-info></rpc-error></rpc-reply>"
    );
    let server = Server::start(Script { answer: vec![Step::Reply(denied)], ..Script::default() }).await;
    let mut session = Session::connect(&server.target(), &limits()).await.unwrap();
    for _ in 0..2 {
        let error = session.get_config(&Selection::default()).await.unwrap_err();
        assert_eq!(error.reason(), "rpc-error");
        let FetchError::Reply(ReplyError::Refused { errors, .. }) = error else { panic!("{error}") };
        assert_eq!(errors[0].info.as_deref(), Some("<x/>"));
        assert!(errors[0].raw.starts_with("<rpc-error>") && errors[0].raw.ends_with("</rpc-error>"));
    }
}

#[tokio::test]
async fn dripped_bytes_hit_the_deadline_and_poison_the_session() {
    let drip = Step::Drip(b"\n#1\n<".to_vec(), Duration::from_millis(20));
    let server = Server::start(Script { answer: vec![drip], ..Script::default() }).await;
    let limits = Limits { deadline: Duration::from_millis(700), ..limits() };
    let began = Instant::now();
    let mut session = Session::connect(&server.target(), &limits).await.unwrap();
    let error = session.get_config(&Selection::default()).await.unwrap_err();
    assert_eq!(error.reason(), "timeout", "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let again = session.get_config(&Selection::default()).await.unwrap_err();
    assert!(matches!(again, FetchError::Poisoned { reason: "timeout" }));
    session.close().await;
    server.wait_for_ended(1).await;
}

#[tokio::test]
async fn peer_that_never_speaks_hits_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let server = Server::start(Script { hello: Some(Vec::new()), ..Script::default() }).await;
    let limits = Limits { deadline: Duration::from_millis(600), ..limits() };
    let silent = Target { address, ..server.target() };
    for target in [silent, server.target()] {
        let error = Session::connect(&target, &limits).await.unwrap_err();
        assert_eq!(error.reason(), "timeout", "{error}");
    }
    drop(listener);
    // The connection given up is closed, not left behind.
    server.wait_for_ended(1).await;
    // The own hello does not wait for the other, the first request does: netconfd needs both.
    let seen = (server.seen.hellos.load(Ordering::SeqCst), server.seen.requests.load(Ordering::SeqCst));
    assert_eq!(seen, (1, 0));
}

#[tokio::test]
async fn abandoned_request_poisons_the_session() {
    let script = Script { answer: vec![], ..Script::default() };
    let server = Server::start(script).await;
    let mut session = Session::connect(&server.target(), &limits()).await.unwrap();
    let selection = Selection::default();
    let given_up = tokio::time::timeout(Duration::from_millis(50), session.get_config(&selection)).await;
    assert!(given_up.is_err());
    let error = session.get_config(&selection).await.unwrap_err();
    assert!(matches!(error, FetchError::Poisoned { reason: "abandoned" }));
}
