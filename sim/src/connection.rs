//! One SSH connection of a station and the NETCONF session in it.

use std::sync::Arc;

use bytes::Bytes;
use collector::wire::framing::{Decoder, Framing, encode};
use collector::wire::hello::{BASE_1_0, BASE_1_1};
use collector::wire::xml::escape;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::sync::mpsc;

use crate::answer::{self, Step, disturbed, whole};
use crate::modules;
use crate::rpc::{Action, OperationError, Request, Role, data_reply, error_reply, reply, schema_reply};
use crate::station::{Station, Versions, verdict};
use crate::tree::{Element, NETCONF};

/// The longest request that is read.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Packets that may wait for the session; a client that sends more without reading is cut off.
const WAITING_PACKETS: usize = 256;

/// The SSH side: who is there, and packets for the session.
#[derive(Debug)]
pub struct Connection {
    station: Arc<Station>,
    role: Option<Role>,
    input: Option<(ChannelId, mpsc::Sender<Bytes>)>,
}

impl Connection {
    pub(crate) fn new(station: Arc<Station>) -> Connection {
        Connection { station, role: None, input: None }
    }
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.role = self.station.by_password(user, password);
        Ok(verdict(self.role))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.role = self.station.by_key(user, key.public_key);
        Ok(verdict(self.role))
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        match self.role {
            Some(role) if name == "netconf" && self.input.is_none() => {
                session.channel_success(channel)?;
                let (sender, receiver) = mpsc::channel(WAITING_PACKETS);
                self.input = Some((channel, sender));
                let netconf = Netconf::new(Arc::clone(&self.station), role, channel, session.handle());
                tokio::spawn(netconf.run(receiver));
                Ok(())
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        match &self.input {
            // Waiting here would stop the connection that the session needs to answer.
            Some((own, input)) if *own == channel && input.try_send(Bytes::copy_from_slice(data)).is_ok() => {
                Ok(())
            }
            _ => session.close(channel),
        }
    }

    async fn channel_eof(&mut self, _: ChannelId, _: &mut server::Session) -> Result<(), russh::Error> {
        self.input = None;
        Ok(())
    }

    async fn channel_close(&mut self, _: ChannelId, _: &mut server::Session) -> Result<(), russh::Error> {
        self.input = None;
        Ok(())
    }
}

/// The session is over; there is nobody left to tell.
struct Gone;

struct Netconf {
    station: Arc<Station>,
    role: Role,
    session: u32,
    channel: ChannelId,
    handle: Handle,
    framing: Framing,
    answered: u64,
}

impl Netconf {
    fn new(station: Arc<Station>, role: Role, channel: ChannelId, handle: Handle) -> Netconf {
        let session = station.next_session();
        Netconf { station, role, session, channel, handle, framing: Framing::EndOfMessage, answered: 0 }
    }

    /// Says hello, then answers requests one by one until either side ends it.
    async fn run(mut self, mut input: mpsc::Receiver<Bytes>) {
        let hello = encode(Framing::EndOfMessage, self.hello().as_bytes(), 0);
        let greeted = match hello {
            Ok(hello) => self.send(hello).await,
            Err(_) => Err(Gone),
        };
        let mut decoder = Decoder::new(Framing::EndOfMessage, MAX_REQUEST_BYTES);
        let mut heard_hello = false;
        let mut alive = greeted.is_ok();
        while alive {
            let Some(packet) = input.recv().await else { break };
            let mut rest = packet;
            while alive && !rest.is_empty() {
                let Ok((taken, message)) = decoder.feed(&rest) else {
                    // Out of step for good (RFC 6242 §4.2: close on a framing error).
                    alive = false;
                    break;
                };
                let _ = rest.split_to(taken);
                match message {
                    Some(hello) if !heard_hello => {
                        heard_hello = true;
                        self.framing = self.agree(&hello);
                        decoder.switch(self.framing);
                    }
                    Some(request) => alive = self.answer(&request).await.is_ok(),
                    None => {}
                }
            }
        }
        // Errors say that the channel is closed already.
        let _ = self.handle.eof(self.channel).await;
        let _ = self.handle.close(self.channel).await;
    }

    fn hello(&self) -> String {
        let versions: &[&str] = match self.station.versions {
            Versions::Both => &[BASE_1_0, BASE_1_1],
            Versions::OnlyOld => &[BASE_1_0],
        };
        let more = [
            "urn:ietf:params:netconf:capability:writable-running:1.0",
            "urn:ietf:params:netconf:capability:rollback-on-error:1.0",
            "urn:ietf:params:netconf:capability:with-defaults:1.0?basic-mode=explicit",
        ];
        // Old stations have no library: their hello names the modules.
        let modules: Vec<String> = match self.station.versions {
            Versions::Both => vec![modules::library_capability()],
            Versions::OnlyOld => modules::capabilities().collect(),
        };
        let capabilities: String = versions
            .iter()
            .chain(&more)
            .copied()
            .chain(modules.iter().map(String::as_str))
            .map(|uri| format!("<capability>{}</capability>", escape(uri)))
            .collect();
        format!(
            "<hello xmlns=\"{NETCONF}\"><capabilities>{capabilities}</capabilities><session-id>{}</session-id></hello>",
            self.session
        )
    }

    /// Chunks when both sides offered 1.1 (RFC 6242 §4.1).
    fn agree(&self, hello: &[u8]) -> Framing {
        let offered = Element::parse(hello).is_ok_and(|hello| {
            let capabilities = hello.child("capabilities").map(|c| c.children.as_slice()).unwrap_or_default();
            capabilities.iter().any(|capability| capability.text == BASE_1_1)
        });
        match self.station.versions {
            Versions::Both if offered => Framing::Chunked,
            Versions::Both | Versions::OnlyOld => Framing::EndOfMessage,
        }
    }

    async fn answer(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.answered += 1;
        let request = match Request::parse(bytes) {
            Ok(request) => request,
            Err(error) => return self.send_whole(&error_reply(None, &error)).await,
        };
        let id = request.message_id.clone();
        let outcome = self.carry_out(request.clone()).await;
        let fault = self.station.fault();
        let salt = u64::from(self.session) + self.answered;
        let (text, last) = match &outcome {
            Ok(Action::Schema(module)) => {
                let text = schema_reply(id.as_deref(), &modules::text(module, fault));
                let steps = answer::schema(fault, self.framing, text.as_bytes(), salt);
                return self.perform(steps.map_err(|_| Gone)?).await;
            }
            Ok(Action::Read(tree)) => (data_reply(id.as_deref(), tree), false),
            Ok(Action::Write(_)) => (reply(id.as_deref(), "<ok/>"), false),
            Ok(Action::Close) => (reply(id.as_deref(), "<ok/>"), true),
            Err(error) => (error_reply(id.as_deref(), error), false),
        };
        if request.reads() {
            let steps = disturbed(fault, self.framing, text.as_bytes(), id.as_deref(), salt);
            self.perform(steps.map_err(|_| Gone)?).await?;
        } else {
            self.send_whole(&text).await?;
        }
        if last { Err(Gone) } else { Ok(()) }
    }

    /// Decides and, for a write, makes it durable. Off the async threads: an edit waits for the disk.
    async fn carry_out(&self, request: Request) -> Result<Action, OperationError> {
        let (station, role, session) = (Arc::clone(&self.station), self.role, self.session);
        let work = move || {
            station.with_store(|store| {
                let action = request.decide(role, store.tree())?;
                if let Action::Write(tree) = &action {
                    store.replace(tree.clone(), role.user(), session).map_err(|error| {
                        tracing::error!(station = station.number, %error, "An edit could not be stored");
                        OperationError::new("operation-failed", error.to_string())
                    })?;
                }
                Ok(action)
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(OperationError::new("operation-failed", error.to_string())),
        }
    }

    async fn send_whole(&mut self, text: &str) -> Result<(), Gone> {
        let steps = whole(self.framing, text.as_bytes(), u64::from(self.session) + self.answered);
        self.perform(steps.map_err(|_| Gone)?).await
    }

    async fn perform(&mut self, steps: Vec<Step>) -> Result<(), Gone> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.send(bytes).await?,
                Step::Repeat(bytes, pause) => loop {
                    self.send(bytes.clone()).await?;
                    tokio::time::sleep(pause).await;
                },
                Step::Close => return Err(Gone),
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.handle.data(self.channel, bytes).await.map_err(|_| Gone)
    }
}
