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
            log_size: None,
            clock_difference_ms: None,
            round_trip_ms: None,
            wrong_bodies: 0,
            asked: clock::now(),
            answered: None,
        }
    }

    fn answered(&mut self, body: StatusBody, asked: Timestamp, round_trip: Duration) {
        let round_trip = i64::try_from(round_trip.as_millis()).unwrap_or(i64::MAX);
        let midpoint = asked.plus_millis(round_trip / 2);
        *self = PeerStatus {
            member: std::mem::take(&mut self.member),
            reachable: true,
            error: None,
            version: Some(body.version),
            height: Some(body.height),
            header: Some(body.header),
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
    app.peers.note_status(member, |status| match understood {
        Ok(body) => status.answered(body, asked, round_trip),
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

    #[test]
    fn the_clocks_are_compared_at_the_middle_of_the_round_trip() {
        let body = StatusBody {
            format: StatusBody::FORMAT.into(),
            member: "unicom".into(),
            version: "1".into(),
            chain_id: "c".into(),
            genesis: Hash::of(b"g"),
            height: 7,
            header: Hash::of(b"h"),
            time: 1_000_050,
            log_size: 3,
        };
        let mut status = PeerStatus::unasked("unicom");
        status.answered(body, Timestamp(1_000_000), Duration::from_millis(40));
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
