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
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::ApiError;
use crate::app::App;
use crate::{api, peer, round, web};

/// How long open connections may take to end once the agent is told to.
const DRAIN: Duration = Duration::from_secs(3);

const FOLLOWER_FAILED: &str = "the agent ended because the task that follows its chain node failed; hint: the log says where, please report it; start it again";

const NODE_ENDED: &str = "the agent ended because its chain node did; hint: the log says what came before; mend that and start it again";

/// Serves until the agent is told to end; ends the schedule and the node after the last request.
///
/// # Errors
/// Also if the agent ended because its node did, or nothing follows that any more: whoever restarts agents that fail has to see it.
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
    let outcome = end_of(follower).await;
    // A round under way ends its stations as cancelled and is continued at the next start.
    let _turn = tokio::time::timeout(Duration::from_secs(5), app.turn.lock()).await;
    app.ledger.node().shutdown().await;
    app.store.close().await;
    outcome
}

/// How the agent ends, told by whoever followed its node: well, if nothing ended that task but this.
async fn end_of(follower: JoinHandle<NodeStopped>) -> Result<()> {
    // One that has ended keeps what it said.
    follower.abort();
    match follower.await {
        Ok(stopped) => Err(stopped).context(NODE_ENDED),
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(error).context(FOLLOWER_FAILED),
    }
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

/// Ends the agent however the task that holds it ends, by a panic too.
struct EndsAgent(watch::Sender<bool>);

impl Drop for EndsAgent {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Takes over final blocks as they come; a node that has stopped ends the agent, which could not be trusted any more.
async fn follow(app: Arc<App>) -> NodeStopped {
    let _ends = EndsAgent(app.stopping.clone());
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
                // At once: what is still under way may take its time, or hang.
                tracing::error!("Ending with the chain node: {stopped}");
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
        let error = end_of(follower).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("hint: ") && text.ends_with("the chain node has stopped: its disk is full"),
            "{text}"
        );
        let following = tokio::spawn(std::future::pending());
        end_of(following).await.unwrap();
    }

    #[tokio::test]
    async fn a_follower_that_panics_ends_the_agent_and_fails_it() {
        let (stopping, mut told) = watch::channel(false);
        let follower: JoinHandle<NodeStopped> = tokio::spawn(async move {
            let _ends = EndsAgent(stopping);
            panic!("over a block")
        });
        told.wait_for(|stop| *stop).await.unwrap();
        while !follower.is_finished() {
            tokio::task::yield_now().await;
        }
        let error = end_of(follower).await.unwrap_err();
        assert!(
            format!("{error:#}").starts_with("the agent ended because the task that follows"),
            "{error:#}"
        );
    }
}
