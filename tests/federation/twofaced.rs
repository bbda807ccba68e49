//! A member's agent that shows another log than the chain anchored, signed with the member's own key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agent::cli::node::load_genesis;
use agent::keys;
use agent::peer::{self, Identity, Limits, Patience, Peers};
use anchor::{Checkpoint, Hash};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::network;
use crate::world::{MEMBERS, World};

pub struct TwoFaced {
    asked: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    runtime: Runtime,
}

impl TwoFaced {
    /// Answers in the member's place: its log of `size` leaves has another root now.
    pub fn start(world: &World, member: usize, size: u64) -> TwoFaced {
        let data = world.dir.join(MEMBERS[member]).join("data");
        let genesis = load_genesis(&world.dir.join("genesis.json")).unwrap();
        let name = genesis.origin(MEMBERS[member]);
        let key = keys::load(&data.join("keys/log.key")).unwrap();
        let root = Hash::of(b"what never was in it");
        let note = Checkpoint::sign(&name, size, root, &key).unwrap().to_string();

        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let checkpoint = move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(note.clone())
        };
        let router = Router::new().route("/peer/v1/log/checkpoint", get(checkpoint));
        let identity = Identity::load(&data.join("keys")).unwrap();
        let peers = Peers::new(&identity, peer::pins(&genesis), &[], Patience::default()).unwrap();
        let server = peers.server(router, Limits::default()).unwrap();

        let stop = watch::Sender::new(false);
        let (stopping, address) = (stop.subscribe(), world.places[member].peer);
        let runtime = network::runtime(MEMBERS[member]);
        let started = runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            tokio::spawn(server.serve(listener, stopping));
        });
        runtime.block_on(started).unwrap();
        TwoFaced { asked, stop, runtime }
    }

    /// How often somebody asked for the checkpoint.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns when the address is free again.
    pub fn stop(self) {
        self.stop.send_replace(true);
        drop(self.runtime);
    }
}
