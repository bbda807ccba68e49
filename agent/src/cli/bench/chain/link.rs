//! The asking side of a validator's connection, and a key that signs through it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anchor::{Action, SigningKey, Transaction};
use anyhow::{Context as _, Result, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, oneshot};

use super::wire::{Answer, Ask, Reply, Request};

type Waiting = Arc<Mutex<BTreeMap<u64, oneshot::Sender<(Answer, Instant)>>>>;

/// A connection to one validator. Questions may overlap.
#[derive(Debug)]
pub struct Link {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    number: AtomicU64,
}

impl Link {
    pub async fn connect(address: SocketAddr) -> Result<Link> {
        let connection = TcpStream::connect(address).await.context("cannot reach the validator")?;
        connection.set_nodelay(true).context("cannot set up the connection")?;
        let (reader, writer) = connection.into_split();
        let waiting = Waiting::default();
        tokio::spawn(listen(reader, waiting.clone()));
        Ok(Link { writer: tokio::sync::Mutex::new(writer), waiting, number: AtomicU64::new(1) })
    }

    /// Height of the validator's newest final block.
    pub async fn tip(&self) -> Result<u64> {
        match self.ask(Ask::Tip).await?.await.context("the validator is gone")?.0 {
            Answer::Tip(height) => Ok(height),
            other => bail!("the validator answers {other:?} when asked for its tip"),
        }
    }

    /// Sends a question; what comes back resolves with the answer and when it came.
    async fn ask(&self, ask: Ask) -> Result<oneshot::Receiver<(Answer, Instant)>> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, answer);
        let line = serde_json::to_string(&Request { number, ask })? + "\n";
        let mut writer = self.writer.lock().await;
        writer.write_all(line.as_bytes()).await.context("the validator does not listen")?;
        Ok(receiver)
    }
}

async fn listen(reader: OwnedReadHalf, waiting: Waiting) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let now = Instant::now();
        let Ok(Reply { number, answer }) = serde_json::from_str(&line) else {
            tracing::error!("Not an answer: {line}");
            break;
        };
        let asker = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if let Some(asker) = asker {
            // An asker that is gone has given up.
            let _ = asker.send((answer, now));
        }
    }
    // Whoever still waits learns that nothing comes.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// An approval key with its sequence numbers, sending through one validator.
#[derive(Debug)]
pub struct Signer {
    pub member: &'static str,
    key: SigningKey,
    state: tokio::sync::Mutex<Sending>,
    /// What the contract lets wait of one key.
    room: Semaphore,
}

#[derive(Debug)]
struct Sending {
    link: Arc<Link>,
    last_sequence: u64,
}

/// The contract admits 64 transactions of one key past the last final one; a validator that is a block behind must
/// still take what another sends it.
const IN_FLIGHT: usize = 40;

impl Signer {
    pub fn new(member: &'static str, key: SigningKey, link: Arc<Link>) -> Signer {
        let state = tokio::sync::Mutex::new(Sending { link, last_sequence: 0 });
        Signer { member, key, state, room: Semaphore::new(IN_FLIGHT) }
    }

    /// Sends through another validator from now on.
    pub async fn send_through(&self, link: Arc<Link>) {
        self.state.lock().await.link = link;
    }

    /// Signs, submits, and waits until it is final and accepted. Returns the seconds that took, the wait for a place
    /// among the key's own transactions not included.
    pub async fn submit(&self, action: Action) -> Result<f64> {
        let _place = self.room.acquire().await.context("the signer is gone")?;
        let name = action.name();
        let (begun, answer) = self.send(action).await?;
        match answer.await.map_err(|_| anyhow!("the validator is gone"))? {
            (Answer::Final(_), came) => Ok(came.duration_since(begun).as_secs_f64()),
            (Answer::Failed(reason), _) => bail!("{name} of {}: {reason}", self.member),
            (other, _) => bail!("{name} of {}: the validator answers {other:?}", self.member),
        }
    }

    /// Numbers leave in order: the lock is held until the line is written.
    async fn send(&self, action: Action) -> Result<(Instant, oneshot::Receiver<(Answer, Instant)>)> {
        let mut state = self.state.lock().await;
        state.last_sequence += 1;
        let transaction = Transaction {
            chain_id: super::CHAIN_ID.into(),
            sender: self.key.public(),
            sequence: state.last_sequence,
            action,
        };
        let begun = Instant::now();
        let encoded = hex::encode(transaction.sign(&self.key).encode());
        let answer = state.link.ask(Ask::Submit(encoded)).await?;
        Ok((begun, answer))
    }
}
