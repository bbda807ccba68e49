//! `ranproof agent` and `ranproof sim`: what runs until it is told to end.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::io::AsyncReadExt as _;
use tracing_subscriber::EnvFilter;

use super::node::load_genesis;
use super::output::Exit;
use crate::app::App;
use crate::config::AgentConfig;
use crate::server;

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The agent's configuration (see `examples/agent.yaml`).
    #[arg(long)]
    pub config: PathBuf,
    /// End when standard input closes, so that nothing outlives whoever started it.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Talk goes to standard error; `RUST_LOG` says how much.
pub fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{}", chain::ENGINE_LOG_FILTER)));
    // A second subscriber in one process is a test's; the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

pub fn run(args: &AgentArgs) -> Result<Exit> {
    start_logging();
    let config = AgentConfig::load(&args.config)?;
    let genesis = load_genesis(&config.genesis)?;
    runtime()?.block_on(async {
        let app = Arc::new(App::start(config, genesis).await?);
        let stopping = app.stopping.clone();
        let until_stdin_closes = args.until_stdin_closes;
        tokio::spawn(async move {
            wait_for_the_end(until_stdin_closes).await;
            stopping.send_replace(true);
        });
        server::serve(app).await
    })?;
    Ok(Exit::Clean)
}

async fn wait_for_the_end(until_stdin_closes: bool) {
    let stdin_closed = async {
        let mut buffer = [0; 256];
        let mut stdin = tokio::io::stdin();
        while matches!(stdin.read(&mut buffer).await, Ok(n) if n > 0) {}
    };
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::warn!("Cannot listen for SIGTERM: {error}");
            return stdin_closed.await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = stdin_closed, if until_stdin_closes => {}
    }
}

pub fn simulate(options: &sim::cli::SimArgs) -> Result<Exit> {
    start_logging();
    let runtime = runtime()?;
    runtime.block_on(sim::cli::run(options.clone()))?;
    // Open connections of stations are not worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(Exit::Clean)
}
