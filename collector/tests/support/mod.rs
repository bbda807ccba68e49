//! A NETCONF server over real SSH on loopback that does what a test tells it, right or wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ranproof_collector::session::{Address, Credential, HostKeyPin, Limits, Target};
use ranproof_collector::wire::framing::{Decoder, Framing, encode};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const USER: &str = "collector";
pub const PASSWORD: &str = "correct horse";
pub const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// What the server does on receiving a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// A well-framed message; `{id}` stands for the request's message-id.
    Reply(String),
    /// A well-framed message of these bytes.
    Message(Vec<u8>),
    /// Bytes on the wire as they are.
    Raw(Vec<u8>),
    /// The same bytes again and again with a pause, for ever.
    Drip(Vec<u8>, Duration),
    /// The channel ends.
    Close,
}

/// How the server behaves.
#[derive(Clone)]
pub struct Script {
    pub host_keys: Vec<PrivateKey>,
    pub versions: Vec<&'static str>,
    /// The whole hello, instead of a right one.
    pub hello: Option<Vec<u8>>,
    pub subsystem: bool,
    pub prompted: bool,
    pub accepted_key: Option<PublicKey>,
    pub chunk: usize,
    pub answer: Vec<Step>,
    /// What is answered instead to a request that holds this text; the first that fits.
    pub answers: Vec<(String, Vec<Step>)>,
    /// Capabilities beside the protocol versions.
    pub capabilities: Vec<String>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            host_keys: vec![key(1)],
            versions: vec!["1.0", "1.1"],
            hello: None,
            subsystem: true,
            prompted: false,
            accepted_key: None,
            chunk: 0,
            answer: vec![Step::Reply(data("<a xmlns=\"urn:a\">1</a>"))],
            answers: Vec::new(),
            capabilities: Vec::new(),
        }
    }
}

/// What reached the server.
#[derive(Default, Debug)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub auth_attempts: AtomicUsize,
    pub hellos: AtomicUsize,
    pub requests: AtomicUsize,
    pub ended: AtomicUsize,
}

/// A running server; it ends when dropped.
pub struct Server {
    pub address: Address,
    pub seen: Arc<Seen>,
    script: Script,
    _tasks: JoinSet<()>,
}

/// An ed25519 key from one byte.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// A reply with data.
pub fn data(content: &str) -> String {
    format!("<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\"><data>{content}</data></rpc-reply>")
}

/// Limits that no healthy test comes near.
pub fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), max_reply_bytes: 1 << 20 }
}

impl Server {
    pub async fn start(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let seen = Arc::new(Seen::default());
        let config = Arc::new(server::Config {
            keys: script.host_keys.clone(),
            auth_rejection_time: Duration::ZERO,
            nodelay: true,
            ..server::Config::default()
        });
        let mut tasks = JoinSet::new();
        let (script_, seen_) = (script.clone(), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                seen_.connections.fetch_add(1, Ordering::SeqCst);
                let connection = Connection::new(script_.clone(), Arc::clone(&seen_));
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen_));
                sessions.spawn(async move {
                    if let Ok(running) = server::run_stream(config, socket, connection).await {
                        let _ = running.await;
                    }
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Server { address, seen, script, _tasks: tasks }
    }

    /// A target that this server accepts with the password.
    pub fn target(&self) -> Target {
        Target {
            address: self.address.clone(),
            user: USER.to_owned(),
            host_key: HostKeyPin::Key(Box::new(self.script.host_keys[0].public_key().clone())),
            credential: Credential::Password(PASSWORD.to_owned()),
        }
    }

    /// The same, pinned by a fingerprint.
    pub fn target_by_fingerprint(&self, host_key: usize) -> Target {
        let key = self.script.host_keys[host_key].public_key();
        let name = key.algorithm().to_string();
        let pin = format!("{name} {}", key.fingerprint(HashAlg::Sha256));
        Target { host_key: pin.parse().unwrap(), ..self.target() }
    }

    pub fn auth_attempts(&self) -> usize {
        self.seen.auth_attempts.load(Ordering::SeqCst)
    }

    /// Waits until so many connections have ended on the server's side.
    pub async fn wait_for_ended(&self, count: usize) {
        let waiting = async {
            while self.seen.ended.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("connection was not ended");
    }
}

struct Connection {
    script: Script,
    seen: Arc<Seen>,
    decoder: Decoder,
    framing: Framing,
    greeted: bool,
    work: JoinSet<()>,
}

impl Connection {
    fn new(script: Script, seen: Arc<Seen>) -> Connection {
        let framing = Framing::EndOfMessage;
        let decoder = Decoder::new(framing, 1 << 20);
        Connection { script, seen, decoder, framing, greeted: false, work: JoinSet::new() }
    }

    fn hello(&self) -> Vec<u8> {
        if let Some(hello) = &self.script.hello {
            return hello.clone();
        }
        let versions = self.script.versions.iter().map(|v| format!("urn:ietf:params:netconf:base:{v}"));
        let versions: String = versions
            .chain(self.script.capabilities.iter().map(|uri| uri.replace('&', "&amp;")))
            .map(|uri| format!("<capability>{uri}</capability>"))
            .collect();
        let hello = format!(
            "<hello xmlns=\"{BASE}\"><capabilities>{versions}</capabilities><session-id>7</session-id></hello>]]>]]>"
        );
        hello.into_bytes()
    }

    fn perform(&mut self, request: &str, channel: ChannelId, handle: server::Handle) {
        self.seen.requests.fetch_add(1, Ordering::SeqCst);
        let id = request.split("message-id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let (framing, chunk) = (self.framing, self.script.chunk);
        let closing = request.contains("<close-session");
        let steps = if closing {
            let ok = format!("<rpc-reply xmlns=\"{BASE}\" message-id=\"{id}\"><ok/></rpc-reply>");
            vec![Step::Reply(ok), Step::Close]
        } else {
            let fitting = self.script.answers.iter().find(|(text, _)| request.contains(text));
            fitting.map_or(&self.script.answer, |(_, steps)| steps).clone()
        };
        let id = id.to_owned();
        self.work.spawn(async move {
            for step in steps {
                match step {
                    Step::Reply(text) => {
                        let framed = encode(framing, text.replace("{id}", &id).as_bytes(), chunk).unwrap();
                        let _ = handle.data(channel, framed).await;
                    }
                    Step::Message(bytes) => {
                        let _ = handle.data(channel, encode(framing, &bytes, chunk).unwrap()).await;
                    }
                    Step::Raw(bytes) => {
                        let _ = handle.data(channel, bytes).await;
                    }
                    Step::Drip(bytes, pause) => {
                        while handle.data(channel, bytes.clone()).await.is_ok() {
                            tokio::time::sleep(pause).await;
                        }
                    }
                    Step::Close => {
                        let _ = handle.eof(channel).await;
                        let _ = handle.close(channel).await;
                    }
                }
            }
        });
    }
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        self.seen.auth_attempts.fetch_add(1, Ordering::SeqCst);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.seen.auth_attempts.fetch_add(1, Ordering::SeqCst);
        if self.script.prompted {
            let methods = [russh::MethodKind::KeyboardInteractive];
            let proceed_with_methods = Some(methods.as_slice().into());
            return Ok(Auth::Reject { proceed_with_methods, partial_success: false });
        }
        Ok(if user == USER && password == PASSWORD { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<server::Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response.and_then(|mut answers| answers.next()) {
            None => Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            }),
            Some(answer) if answer.as_ref() == PASSWORD.as_bytes() => Ok(Auth::Accept),
            Some(_) => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.seen.auth_attempts.fetch_add(1, Ordering::SeqCst);
        let known =
            self.script.accepted_key.as_ref().is_some_and(|k| k.key_data() == key.public_key.key_data());
        Ok(if user == USER && known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != "netconf" || !self.script.subsystem {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        session.data(channel, self.hello())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        bytes: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, message) = self.decoder.feed(rest).unwrap();
            rest = &rest[taken..];
            match message {
                Some(_) if !self.greeted => {
                    self.greeted = true;
                    self.seen.hellos.fetch_add(1, Ordering::SeqCst);
                    if self.script.versions.contains(&"1.1") {
                        self.framing = Framing::Chunked;
                    }
                    self.decoder.switch(self.framing);
                }
                Some(request) => {
                    self.perform(&String::from_utf8(request).unwrap(), channel, session.handle());
                }
                None => {}
            }
        }
        Ok(())
    }
}
