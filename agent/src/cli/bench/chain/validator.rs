//! One validator of a measured chain: the node with the contract, without store, pages and rounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anchor::ReceiptOutcome;
use anyhow::{Context as _, Result};
use chain::{Finality, Node, NodeConfig, WaitError};
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::wire::{Answer, Ask, Reply, Request};
use crate::cli::daemon::start_logging;
use crate::cli::node::load_genesis;
use crate::keys;
use crate::machine::{Machine, SharedContract};

/// Longest wait for finality.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replies that may wait for a slow reader.
const REPLIES: usize = 4096;

#[derive(Debug, Args)]
pub struct ValidatorArgs {
    /// Holds the consensus key, the chain, and `address`: where questions are answered.
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub genesis: PathBuf,
    /// Where its peers connect.
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long)]
    pub peer: Vec<String>,
}

/// Runs until standard input closes.
pub fn run(args: &ValidatorArgs) -> Result<()> {
    start_logging();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(args))
}

async fn serve(args: &ValidatorArgs) -> Result<()> {
    let node = start(args).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port to listen on")?;
    tell_address(&args.folder, &listener)?;
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (connection, _) = accepted.context("cannot accept")?;
                tokio::spawn(converse(connection, node.clone()));
            }
            // Nothing is ever written there; whatever ends the read ends the validator.
            _ = stdin.read(&mut byte) => break,
            stopped = node.stopped() => {
                tracing::error!("{stopped}");
                break;
            }
        }
    }
    node.shutdown().await;
    Ok(())
}

async fn start(args: &ValidatorArgs) -> Result<Node> {
    let genesis = load_genesis(&args.genesis)?;
    let contract = SharedContract::from_genesis(&genesis)?;
    let key = keys::load(&args.folder.join("consensus.key"))?;
    let mut config = NodeConfig::new(args.folder.join("node"), genesis.clone(), key);
    config.listen = args.listen;
    config.peers.clone_from(&args.peer);
    Node::start(config, Box::new(Machine::new(genesis, contract))).await.context("the node does not start")
}

/// Under another name first, so that nobody reads half of it.
fn tell_address(folder: &Path, listener: &TcpListener) -> Result<()> {
    let address = listener.local_addr().context("the socket has no address")?;
    let (new, file) = (folder.join("address.new"), folder.join("address"));
    std::fs::write(&new, address.to_string())
        .and_then(|()| std::fs::rename(&new, &file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Answers one asker. Transactions are handed on in the order in which they came, as their sequence numbers want.
async fn converse(connection: TcpStream, node: Node) {
    let (reader, writer) = connection.into_split();
    let (replies, outbox) = mpsc::channel(REPLIES);
    tokio::spawn(write(writer, outbox));
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(Request { number, ask }) = serde_json::from_str(&line) else {
            tracing::error!("Not a question: {line}");
            return;
        };
        let (node, replies) = (node.clone(), replies.clone());
        match ask {
            Ask::Tip => reply(&replies, number, Answer::Tip(node.tip().height)).await,
            Ask::Submit(transaction) => match submit(&node, &transaction).await {
                Err(reason) => reply(&replies, number, Answer::Failed(reason)).await,
                Ok(id) => {
                    tokio::spawn(async move {
                        let answer = conclude(node.wait_final(&id, PATIENCE).await);
                        reply(&replies, number, answer).await;
                    });
                }
            },
        }
    }
}

async fn submit(node: &Node, transaction: &str) -> Result<anchor::Hash, String> {
    let bytes = hex::decode(transaction).map_err(|e| e.to_string())?;
    node.submit(bytes).await.map_err(|e| e.to_string())
}

fn conclude(waited: Result<Finality, WaitError>) -> Answer {
    match waited {
        Ok(Finality { height, receipt, .. }) => match receipt.outcome {
            ReceiptOutcome::Accepted => Answer::Final(height),
            ReceiptOutcome::Refused { code, reason } => Answer::Failed(format!("{code}: {reason}")),
        },
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn reply(replies: &mpsc::Sender<Reply>, number: u64, answer: Answer) {
    // A closed channel means that the asker is gone.
    let _ = replies.send(Reply { number, answer }).await;
}

async fn write(mut writer: OwnedWriteHalf, mut outbox: mpsc::Receiver<Reply>) {
    let mut ready = Vec::new();
    while outbox.recv_many(&mut ready, REPLIES).await > 0 {
        let mut text = String::new();
        for reply in ready.drain(..) {
            text.push_str(&serde_json::to_string(&reply).expect("a reply is plain data"));
            text.push('\n');
        }
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
