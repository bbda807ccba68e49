//! The agent's HTTP server: pages, API, metrics; and its schedule.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use chain::NodeStopped;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api::ApiError;
use crate::app::App;
use crate::{api, peer, round, web};

/// How long open connections may take to end once the agent is told to.
const DRAIN: Duration = Duration::from_secs(3);

const NODE_ENDED: &str = "the agent ended because its chain node did; hint: the log says what came before; mend that and start it again";

/// Serves until the agent is told to end; ends the schedule and the node after the last request.
///
/// # Errors
/// Also if the agent ended because its node did: whoever restarts agents that fail has to see it.
pub async fn serve(app: Arc<App>) -> Result<()> {
    let listener = TcpListener::bind(app.config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", app.config.listen))?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    tracing::info!("Pages at http://{address}/");
    let router =
        api::router(app.clone()).merge(api::read::read_api(app.clone())).merge(web::router(app.clone()));
    let router =
        if address.ip().is_loopback() { router.layer(middleware::from_fn(only_local_names)) } else { router };
    let listening = peer::bind(&app).await?;
    let peers = tokio::spawn(peer::run(app.clone(), listening));
    let schedule = tokio::spawn(schedule(app.clone()));
    let recovery = tokio::spawn(recover(app.clone()));
    let follower = tokio::spawn(follow(app.clone()));
    let mut stopping = app.stopping.subscribe();
    let stop = async move {
        // An error means that the sender is gone, which is the end as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let mut ending = app.stopping.subscribe();
    let drained = async move {
        let _ = ending.wait_for(|stop| *stop).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stop) => served.context("the server failed")?,
        // Whoever holds a request half sent does not hold the agent.
        () = drained => tracing::warn!("Closing connections that did not end by themselves"),
    }
    peers.abort();
    schedule.abort();
    recovery.abort();
    let stopped = end_of(follower).await;
    // A round under way ends its stations as cancelled and is continued at the next start.
    let _turn = tokio::time::timeout(Duration::from_secs(5), app.turn.lock()).await;
    app.ledger.node().shutdown().await;
    app.store.close().await;
    ended(stopped)
}

/// How the agent ends, after its node.
fn ended(stopped: Option<NodeStopped>) -> Result<()> {
    stopped.map_or(Ok(()), |stopped| Err(stopped).context(NODE_ENDED))
}

/// Why the node stopped by itself, if it did; else nothing follows it any more.
async fn end_of(follower: JoinHandle<NodeStopped>) -> Option<NodeStopped> {
    // One that has ended keeps what it said.
    follower.abort();
    follower.await.ok()
}

/// On loopback only this machine's own names are answered: a page from elsewhere that made its name point here would
/// otherwise read what the agent shows.
async fn only_local_names(request: Request, next: Next) -> std::result::Result<Response, ApiError> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let local = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if local {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!("this agent is not `{name}`; hint: use 127.0.0.1"),
    ))
}

/// What was under way when the agent ended last is finished beside the first requests.
async fn recover(app: Arc<App>) {
    if let Err(error) = round::recover(&app).await {
        tracing::error!("What the last run left cannot be finished: {error:#}");
    }
}

/// Runs rounds at the configured period.
async fn schedule(app: Arc<App>) {
    let minutes = app.config.collection.every_minutes;
    if minutes == 0 {
        return;
    }
    if !app.is_operator() {
        tracing::warn!("No rounds are scheduled: {}", round::NO_ROUNDS);
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(u64::from(minutes) * 60));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if let Err(error) = round::run(&app, &[]).await {
            tracing::error!("A scheduled round failed: {error:#}");
        }
    }
}

/// Takes over final blocks as they come; a node that has stopped ends the agent, which could not be trusted any more.
async fn follow(app: Arc<App>) -> NodeStopped {
    let node = app.ledger.node().clone();
    let mut blocks = node.subscribe_from(node.tip().height.saturating_add(1));
    loop {
        match blocks.next().await {
            Ok(_) => {
                if let Err(error) = app.settle().await {
                    tracing::error!("Cannot follow the chain: {error:#}");
                }
            }
            Err(stopped) => {
                // The error is told once, at the end.
                tracing::info!("Ending with the chain node");
                app.stopping.send_replace(true);
                return stopped;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_stopped_by_itself_fails_the_agent_and_one_that_was_told_to_does_not() {
        let follower = tokio::spawn(async { NodeStopped { why: "its disk is full".into() } });
        while !follower.is_finished() {
            tokio::task::yield_now().await;
        }
        let error = ended(end_of(follower).await).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("hint: ") && text.ends_with("the chain node has stopped: its disk is full"),
            "{text}"
        );
        let following = tokio::spawn(std::future::pending());
        ended(end_of(following).await).unwrap();
    }
}
