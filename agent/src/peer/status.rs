//! How the other agents are: asked of each every two seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anchor::Hash;
use anchor::transaction::MemberId;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::join_all;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::PeerError;
use super::server::Caller;
use crate::api::ApiError;
use crate::app::App;
use crate::clock;

const PATH: &str = "/peer/v1/status";

/// Between two questions to the same peer.
const EVERY: Duration = Duration::from_secs(2);

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// What an agent says of itself. Only the certificate proves who says it; the rest is its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusBody {
    /// `ranproof/peer-status/1`.
    pub format: String,
    pub member: MemberId,
    /// Version of the program.
    pub version: String,
    pub chain_id: String,
    pub genesis: Hash,
    /// Of the last final block that its node has.
    pub height: u64,
    pub header: Hash,
    /// The agent's clock, in milliseconds since 1970 UTC.
    pub time: i64,
    /// Leaves in its anchored log.
    pub log_size: u64,
}

impl StatusBody {
    pub const FORMAT: &'static str = "ranproof/peer-status/1";
}

/// Two final blocks at one height, which needs certificates of more than a third of the power on both. It is the peer's word
/// until the certificates are compared; but one of the two has lied or was lied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    pub height: u64,
    pub theirs: Hash,
    pub ours: Hash,
}

/// How a peer was when it was asked last. What it said last stays after it went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    pub member: MemberId,
    pub reachable: bool,
    /// Why not.
    pub error: Option<String>,
    pub version: Option<String>,
    pub height: Option<u64>,
    /// Header hash at that height.
    pub header: Option<Hash>,
    /// A height at which it has another final block than this node.
    pub fork: Option<Fork>,
    pub log_size: Option<u64>,
    /// Its clock minus ours, in milliseconds, as good as half the round trip.
    pub clock_difference_ms: Option<i64>,
    pub round_trip_ms: Option<u64>,
    /// How often it gave other bytes than those of the body it was asked for.
    pub wrong_bodies: u64,
    /// By our clock.
    pub asked: Timestamp,
    /// When it answered last, by our clock.
    pub answered: Option<Timestamp>,
}

impl PeerStatus {
    pub(super) fn unasked(member: &str) -> PeerStatus {
        PeerStatus {
            member: member.to_owned(),
            reachable: false,
            error: Some("not asked yet".into()),
            version: None,
            height: None,
            header: None,
            fork: None,
            log_size: None,
            clock_difference_ms: None,
            round_trip_ms: None,
            wrong_bodies: 0,
            asked: clock::now(),
            answered: None,
        }
    }

    /// `ours` is the header of this node's block at the height that the peer names, if it has come so far.
    fn answered(&mut self, body: StatusBody, ours: Option<Hash>, asked: Timestamp, round_trip: Duration) {
        let fork = match ours {
            Some(ours) if ours == body.header => None,
            Some(ours) => Some(Fork { height: body.height, theirs: body.header, ours }),
            // Not to be compared yet: what was seen before stands.
            None => self.fork,
        };
        // Said once: each later height differs too.
        if let (Some(Fork { height, theirs, ours }), None) = (fork, self.fork) {
            tracing::error!(
                member = self.member, height, %theirs, %ours,
                "two blocks are final at one height; stop approving and compare the certificates"
            );
        }
        let round_trip = i64::try_from(round_trip.as_millis()).unwrap_or(i64::MAX);
        let midpoint = asked.plus_millis(round_trip / 2);
        *self = PeerStatus {
            member: std::mem::take(&mut self.member),
            reachable: true,
            error: None,
            version: Some(body.version),
            height: Some(body.height),
            header: Some(body.header),
            fork,
            log_size: Some(body.log_size),
            clock_difference_ms: Some(body.time.saturating_sub(midpoint.millis())),
            round_trip_ms: Some(round_trip.unsigned_abs()),
            wrong_bodies: self.wrong_bodies,
            asked,
            answered: Some(asked.plus_millis(round_trip)),
        };
    }

    fn silent(&mut self, error: &PeerError, asked: Timestamp) {
        self.reachable = false;
        self.error = Some(match error {
            PeerError::Resting { why, .. } => why.clone(),
            other => other.to_string(),
        });
        self.round_trip_ms = None;
        self.asked = asked;
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(PATH, get(own))
}

async fn own(_caller: Caller, State(app): State<Arc<App>>) -> Result<Json<StatusBody>, ApiError> {
    let log_size = app.store.log_state().await?.size;
    let tip = app.ledger.node().tip();
    Ok(Json(StatusBody {
        format: StatusBody::FORMAT.into(),
        member: app.origin().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        chain_id: app.ledger.genesis().chain_id.clone(),
        genesis: app.ledger.genesis().hash(),
        height: tip.height,
        header: tip.header,
        time: clock::now().millis(),
        log_size,
    }))
}

/// Asks all peers until the agent ends.
pub async fn run(app: Arc<App>) {
    let mut stopping = app.stopping.subscribe();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let members = app.peers.members();
        join_all(members.iter().map(|member| refresh(&app, member))).await;
    }
}

/// Asks one peer and notes what it says, or why it says nothing.
async fn refresh(app: &App, member: &str) {
    let asked = clock::now();
    let started = Instant::now();
    let answer = app.peers.get_at_once(member, PATH, MAX_ANSWER).await;
    let round_trip = started.elapsed();
    let understood = answer.and_then(|bytes| understand(app, member, bytes));
    let ours = match &understood {
        Ok(body) => app.store.block_header(body.height).await.unwrap_or_else(|error| {
            tracing::warn!(member, %error, "its newest header cannot be compared");
            None
        }),
        Err(_) => None,
    };
    app.peers.note_status(member, |status| match understood {
        Ok(body) => status.answered(body, ours, asked, round_trip),
        Err(error) => status.silent(&error, asked),
    });
}

fn understand(app: &App, member: &str, bytes: Option<Vec<u8>>) -> Result<StatusBody, PeerError> {
    let wrong = |why: String| PeerError::NotUnderstood { member: member.to_owned(), path: PATH.into(), why };
    let bytes = bytes.ok_or_else(|| wrong("it has no status; hint: which version is it?".into()))?;
    let body: StatusBody = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if body.format != StatusBody::FORMAT {
        return Err(wrong(format!("format is `{}`", printable(&body.format))));
    }
    if body.member != member {
        return Err(wrong(format!("it says that it is `{}`", printable(&body.member))));
    }
    if body.genesis != app.ledger.genesis().hash() {
        return Err(wrong(format!("it follows another chain, `{}`", printable(&body.chain_id))));
    }
    Ok(StatusBody { version: printable(&body.version), ..body })
}

/// A peer's word, short and in one line.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(height: u64) -> StatusBody {
        StatusBody {
            format: StatusBody::FORMAT.into(),
            member: "unicom".into(),
            version: "1".into(),
            chain_id: "c".into(),
            genesis: Hash::of(b"g"),
            height,
            header: Hash::of(b"h"),
            time: 1_000_050,
            log_size: 3,
        }
    }

    #[test]
    fn another_block_at_the_same_height_is_a_fork_until_the_peer_has_ours() {
        let (trip, asked) = (Duration::from_millis(40), Timestamp(1_000_000));
        let mut status = PeerStatus::unasked("unicom");
        status.answered(body(7), None, asked, trip);
        assert_eq!(status.fork, None, "it is ahead of us");
        status.answered(body(7), Some(Hash::of(b"x")), asked, trip);
        let fork = Fork { height: 7, theirs: Hash::of(b"h"), ours: Hash::of(b"x") };
        assert_eq!(status.fork, Some(fork));
        status.answered(body(9), None, asked, trip);
        assert_eq!(status.fork, Some(fork), "going ahead does not hide it");
        status.answered(body(9), Some(Hash::of(b"h")), asked, trip);
        assert_eq!(status.fork, None);
    }

    #[test]
    fn the_clocks_are_compared_at_the_middle_of_the_round_trip() {
        let mut status = PeerStatus::unasked("unicom");
        status.answered(body(7), None, Timestamp(1_000_000), Duration::from_millis(40));
        assert_eq!(status.clock_difference_ms, Some(30));
        assert_eq!(status.round_trip_ms, Some(40));
        assert!(status.reachable && status.error.is_none());
    }

    #[test]
    fn what_a_peer_says_cannot_break_a_line() {
        assert_eq!(printable("a\n\u{1b}[31mb"), "a[31mb");
        assert_eq!(printable(&"x".repeat(1000)).len(), 64);
    }
}
