//! What the engine tells without being asked: the others' votes, and who is connected. Noted on the board.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anchor::ValidatorSet;
use arc_malachitebft_app::consensus::SignedConsensusMsg;
use arc_malachitebft_app::engine::network::NetworkStateDump;
use arc_malachitebft_app::engine::util::events::{Event, TxEvent};
use arc_malachitebft_app_channel::NetworkRequest;
use arc_malachitebft_core_types::SignedVote;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Clock;
use crate::context::{Ctx, KnownVote};
use crate::ledger::lock;
use crate::signing::Scheme;
use crate::status::{Board, ConnectedPeer};

/// How often the network is asked who is connected.
const LOOK: Duration = Duration::from_secs(1);

/// What judging a vote takes.
pub(crate) struct Watcher {
    pub scheme: Scheme,
    pub validators: watch::Receiver<ValidatorSet>,
    pub board: Arc<Mutex<Board>>,
    pub clock: Clock,
}

impl Watcher {
    /// The greatest height for which a validator has voted, from now on.
    pub fn follow_votes(self, events: &TxEvent<Ctx>) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let mut events = events.subscribe();
        tokio::spawn(async move {
            loop {
                let height = match events.recv().await {
                    Ok(Event::Received(SignedConsensusMsg::Vote(vote))) => self.note(&vote),
                    Ok(_) | Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => return,
                };
                let Some(height) = height else { continue };
                sender.send_if_modified(|known| {
                    let greater = height > *known;
                    *known = height.max(*known);
                    greater
                });
            }
        });
        receiver
    }

    /// Notes a vote that is later than all of its validator before. The engine shows votes before it has checked
    /// them, so that is done here, twice at most per validator and round.
    fn note(&self, signed: &SignedVote<Ctx>) -> Option<u64> {
        let vote = &signed.message;
        if !lock(&self.board).is_news(vote) {
            return None;
        }
        let key = self.validators.borrow().by_address(&vote.address.0).map(|validator| validator.key)?;
        if !key.verifies(&self.scheme.vote(vote), &signed.signature) {
            return None;
        }
        let known = KnownVote { vote: vote.clone(), signature: signed.signature };
        lock(&self.board).heard.insert(vote.address.0, (known, self.clock.now()));
        Some(vote.height.0)
    }
}

/// Keeps the board's list of connections.
pub(crate) fn follow_connections(requests: mpsc::Sender<NetworkRequest>, board: Arc<Mutex<Board>>) {
    tokio::spawn(async move {
        loop {
            let (reply, answer) = oneshot::channel();
            if requests.send(NetworkRequest::DumpState(reply)).await.is_err() {
                return;
            }
            // No answer: the network is starting or stopping.
            if let Ok(Some(dump)) = answer.await {
                lock(&board).connected = connected(&dump);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
}

fn connected(dump: &NetworkStateDump) -> Vec<ConnectedPeer> {
    let peers = dump.peers.iter().map(|(id, peer)| ConnectedPeer {
        peer_id: id.to_string(),
        moniker: peer.moniker.clone(),
        validator: peer.consensus_address.as_ref().and_then(|text| text.parse().ok()),
    });
    let mut peers: Vec<_> = peers.collect();
    peers.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
    peers
}
