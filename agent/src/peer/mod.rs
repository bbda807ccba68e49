//! Agents among themselves: everything is pulled by GET over mutual TLS, checked by content, and asked for again
//! until it is there. Nobody pushes; the chain says what there is to pull.
//!
//! [`Peers`] asks the others, [`server::Server`] answers them, [`tls::Pins`] says who they are. [`bodies`] are what the
//! chain names by hash, [`status`] is how each of them is.

pub mod bodies;
pub mod error;
pub mod identity;
mod link;
pub mod log;
mod pull;
mod second;
pub mod server;
pub mod status;
pub mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anchor::transaction::MemberId;
use anchor::{Genesis, Hash};
use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use error::PeerError;
pub use identity::Identity;
pub use link::Patience;
pub use server::{Caller, Limits, Refused};
pub use status::{Fork, PeerStatus};
pub use tls::Pins;

use crate::app::App;
use crate::config::{AgentConfig, PeerEntry};
use link::Link;
use server::{Door, Server};

/// The other members' agents, as this one knows them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    links: BTreeMap<MemberId, Link>,
    statuses: Mutex<BTreeMap<MemberId, PeerStatus>>,
    door: Arc<Door>,
    /// What the listener needs; an agent alone has none.
    listening: Option<(Arc<ServerConfig>, Arc<Pins>)>,
}

impl Peers {
    /// An agent that talks to nobody.
    pub fn alone() -> Peers {
        Peers(Arc::new(Inner {
            links: BTreeMap::new(),
            statuses: Mutex::default(),
            door: Arc::default(),
            listening: None,
        }))
    }

    /// Connects to nobody yet. `pins` are all members' certificates.
    pub fn new(identity: &Identity, pins: Pins, entries: &[PeerEntry], patience: Patience) -> Result<Peers> {
        let pins = Arc::new(pins);
        let mut links = BTreeMap::new();
        for entry in entries {
            let tls = tls::client(identity, &pins, &entry.member).context("TLS cannot be set up")?;
            let link = Link::new(entry.member.clone(), entry.address.clone(), tls, patience);
            if links.insert(entry.member.clone(), link).is_some() {
                bail!("`{}` is listed twice in `peers.members`", entry.member);
            }
        }
        let tls = tls::server(identity, &pins).context("TLS cannot be set up")?;
        let statuses = links.keys().map(|member| (member.clone(), PeerStatus::unasked(member)));
        Ok(Peers(Arc::new(Inner {
            statuses: Mutex::new(statuses.collect()),
            links,
            door: Arc::default(),
            listening: Some((tls, pins)),
        })))
    }

    /// From an agent's configuration: its certificate must be the one that genesis pins for it.
    pub fn of(config: &AgentConfig, genesis: &Genesis) -> Result<Peers> {
        let entries = &config.peers.members;
        if entries.is_empty() {
            return Ok(Peers::alone());
        }
        for PeerEntry { member, .. } in entries {
            ensure!(
                genesis.member(member).is_some(),
                "`peers.members` names `{member}`, who is no member in genesis; hint: check its spelling"
            );
            ensure!(
                *member != config.operator,
                "`peers.members` names `{member}`, who is this agent itself; hint: list the others"
            );
        }
        let identity = Identity::load(&config.data.join("keys"))?;
        if genesis.member(&config.operator).map(|m| m.tls) != Some(identity.fingerprint()) {
            let (data, operator) = (config.data.display(), &config.operator);
            bail!(
                "the TLS certificate in {data} is not the one genesis has for `{operator}`; hint: is it another member's data?"
            );
        }
        Peers::new(&identity, pins(genesis), entries, Patience::default())
    }

    /// The members whose agents are known by address, in the order of their ids.
    pub fn members(&self) -> Vec<MemberId> {
        self.0.links.keys().cloned().collect()
    }

    pub fn is_alone(&self) -> bool {
        self.0.links.is_empty()
    }

    /// What `member` answers to `GET path`; `None` where it has nothing there for us. The answer is at most `limit`
    /// bytes and none of them is checked.
    ///
    /// # Errors
    /// [`PeerError`]; after an outage the peer is left alone for a while, and this returns at once.
    pub async fn get(&self, member: &str, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        self.link(member)?.get(path, limit).await
    }

    /// As [`Peers::get`], but not queued behind long answers of the same peer: for small questions.
    pub async fn get_at_once(
        &self,
        member: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, PeerError> {
        self.link(member)?.get_at_once(path, limit).await
    }

    fn link(&self, member: &str) -> Result<&Link, PeerError> {
        self.0.links.get(member).ok_or_else(|| PeerError::Unlisted(member.to_owned()))
    }

    /// How each peer was when it was asked last, in the order of their ids.
    pub fn statuses(&self) -> Vec<PeerStatus> {
        self.0.statuses.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn note_status(&self, member: &str, note: impl FnOnce(&mut PeerStatus)) {
        let mut statuses = self.0.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = statuses.get_mut(member) {
            note(status);
        }
    }

    fn note_wrong_body(&self, member: &str) {
        self.note_status(member, |status| status.wrong_bodies = status.wrong_bodies.saturating_add(1));
    }

    /// Who was turned away at the listener since the start.
    pub fn refused(&self) -> Refused {
        self.0.door.refused()
    }

    /// Answers members through `router`; `None` for an agent alone.
    pub fn server(&self, router: Router, limits: Limits) -> Option<Server> {
        let (tls, pins) = self.0.listening.clone()?;
        Some(Server::new(tls, pins, router, limits, self.0.door.clone()))
    }
}

/// The certificates of all members.
pub fn pins(genesis: &Genesis) -> Pins {
    Pins::new(genesis.members.iter().map(|m| (m.id.clone(), m.tls)))
}

/// Everything that one agent answers another.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(status::routes())
        .merge(bodies::routes())
        .merge(second::routes())
        .merge(log::routes())
        .with_state(app)
}

/// Binds the listener for other agents; `None` for an agent alone.
pub async fn bind(app: &App) -> Result<Option<TcpListener>> {
    if app.peers.is_alone() {
        return Ok(None);
    }
    let address = app.config.peers.listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen for other agents on {address}; hint: is the port taken?"))?;
    tracing::info!("Other agents at {}", local(&listener)?);
    Ok(Some(listener))
}

fn local(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().context("the listening socket has no address")
}

/// Answers the other agents and pulls from them until the agent ends.
pub async fn run(app: Arc<App>, listener: Option<TcpListener>) {
    let Some(listener) = listener else { return };
    let Some(server) = app.peers.server(router(app.clone()), Limits::default()) else { return };
    // Each on its own: one that fails or takes long holds up no other. All end with this.
    let mut loops = JoinSet::new();
    loops.spawn(server.serve(listener, app.stopping.subscribe()));
    loops.spawn(status::run(app.clone()));
    loops.spawn(pull::run(app.clone()));
    loops.spawn(crate::mirror::run(app.clone()));
    loops.spawn(crate::second::run(app.clone()));
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended {
            tracing::error!("What runs between agents ended abnormally: {error}");
        }
    }
}

/// Where the body with this hash is asked for.
pub fn body_path(hash: &Hash) -> String {
    format!("/peer/v1/body/{hash}")
}
