//! Starts a node: its folder, its thread, its runtime; and ends it in the reverse order.

use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anchor::Hash;
use arc_malachitebft_app::types::Keypair;
use arc_malachitebft_app_channel::AppMsg;
use redb::StorageBackend;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::NodeConfig;
use crate::context::Ctx;
use crate::driver::{Driver, Lines, Turn};
use crate::engine::{self, EngineError};
use crate::executor::{Executor, RestoreFailure};
use crate::home::{Home, HomeError};
use crate::ledger::{Command, Life, Node, Tip};
use crate::mempool::Mempool;
use crate::state_machine::StateMachine;
use crate::status::Board;
use crate::store::{Store, StoreError};
use crate::watching;

/// How long the engine may take to listen, and its tasks to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the stored chain cannot be continued: {0}")]
    Restore(String),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot start the node's thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the node's thread ended while it started: {0}")]
    Ended(Arc<str>),
}

/// Opens the folder and the store in it.
type OpenHome = Box<dyn FnOnce(&NodeConfig) -> Result<Home, HomeError> + Send>;

/// The ends of the channels that the node's thread keeps.
struct Inside {
    commands: mpsc::Receiver<Command>,
    mempool: Arc<Mutex<Mempool>>,
    board: Arc<Mutex<Board>>,
    tip: watch::Sender<Tip>,
    ready: oneshot::Sender<Result<Ready, StartError>>,
}

/// What the handle learns from a start that succeeded.
struct Ready {
    store: Weak<Store>,
    peer_id: Arc<str>,
}

impl Node {
    /// Starts a node and returns once the engine runs. `machine` is restored to the stored state first.
    pub async fn start(config: NodeConfig, machine: Box<dyn StateMachine>) -> Result<Node, StartError> {
        spawn(config, machine, Box::new(Home::open)).await
    }

    /// Starts a node whose store lies in `backend` instead of a file, so that tests can make a disk fail.
    pub async fn start_on(
        config: NodeConfig,
        machine: Box<dyn StateMachine>,
        backend: impl StorageBackend,
    ) -> Result<Node, StartError> {
        let open = |config: &NodeConfig| {
            let store = Store::with_backend(backend, &config.genesis.hash())?;
            Home::with_store(config, store)
        };
        spawn(config, machine, Box::new(open)).await
    }
}

async fn spawn(
    config: NodeConfig,
    machine: Box<dyn StateMachine>,
    open: OpenHome,
) -> Result<Node, StartError> {
    let mempool = Arc::new(Mutex::new(Mempool::new(config.mempool)));
    let board = Arc::new(Mutex::new(Board::default()));
    let (commands, inbox) = mpsc::channel(64);
    let (tip_sender, tip) = watch::channel(Tip { height: 0, time: 0, header: Hash::ZERO });
    let (life_sender, mut life) = watch::channel(Life::Running);
    let (ready, started) = oneshot::channel();
    let (mempool_inside, board_inside) = (mempool.clone(), board.clone());
    let inside =
        Inside { commands: inbox, mempool: mempool_inside, board: board_inside, tip: tip_sender, ready };
    thread::Builder::new()
        .name("chain".into())
        .spawn(move || live(config, machine, open, inside, &life_sender))?;
    match started.await {
        Ok(Ok(Ready { store, peer_id })) => Ok(Node { commands, store, mempool, tip, life, board, peer_id }),
        // The folder is free again when the caller learns of the failure. An error of the wait means that
        // the thread is gone, which is as good.
        failed => {
            let ended = life.wait_for(|life| matches!(life, Life::Stopped(_))).await;
            let why = match ended.as_deref() {
                Ok(Life::Stopped(why)) => why.clone(),
                _ => "without a reason".into(),
            };
            match failed {
                Ok(Err(error)) => Err(error),
                _ => Err(StartError::Ended(why)),
            }
        }
    }
}

/// The life of the node's thread. Whatever ends it, `life` says so before anything else can be asked, and
/// once more when every file is closed.
fn live(
    config: NodeConfig,
    machine: Box<dyn StateMachine>,
    open: OpenHome,
    inside: Inside,
    life: &watch::Sender<Life>,
) {
    let moniker = config.moniker.clone();
    let ended = catch_unwind(AssertUnwindSafe(|| serve(&config, machine, open, inside, life)));
    let why = match ended {
        Ok(why) => why,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let why = format!("its thread panicked: {text}").into();
            tracing::error!("Chain node `{moniker}` has stopped: {why}");
            why
        }
    };
    life.send_replace(Life::Stopped(why));
}

/// Runs the node to its end and returns why it ended. The engine may run more than once: whether it can sign is
/// settled when it starts.
fn serve(
    config: &NodeConfig,
    machine: Box<dyn StateMachine>,
    open: OpenHome,
    inside: Inside,
    life: &watch::Sender<Life>,
) -> Arc<str> {
    let (home, executor) = match prepare(config, machine, open) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(Some(inside.ready), error),
    };
    let Home { store, wal, p2p_key, question, abstains_since, lock } = home;
    let Inside { mut commands, mempool, board, tip, ready } = inside;
    let mut ready = Some(ready);
    let mut driver = match Driver::new(config, executor, Arc::new(store), (mempool, board), tip) {
        Ok(driver) => driver,
        Err(error) => return refuse(ready, error.into()),
    };
    driver.recall(question, abstains_since);
    let why = loop {
        let turn = run_engine(config, &mut driver, (&p2p_key, &wal), &mut commands, &mut ready, life);
        wait_for_log(&wal);
        match turn {
            Turn::Again => {}
            Turn::End(why) => break why,
        }
    };
    drop(driver);
    drop(lock);
    why
}

/// One run of the engine, from its start until all of it has ended.
fn run_engine(
    config: &NodeConfig,
    driver: &mut Driver,
    (p2p_key, wal): (&Keypair, &Path),
    commands: &mut mpsc::Receiver<Command>,
    ready: &mut Option<oneshot::Sender<Result<Ready, StartError>>>,
    life: &watch::Sender<Life>,
) -> Turn {
    // A runtime of its own: the engine's timers do not wait for the product's work, and ending it ends
    // every task of the engine.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("chain-engine")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Turn::End(refuse(ready.take(), error.into())),
    };
    let turn = runtime.block_on(async {
        let (tap, signer) = (driver.tap(), driver.prepare());
        let started =
            engine::start(config, p2p_key.clone(), wal, &driver.scheme, signer.as_ref(), tap.clone()).await;
        let (mut channels, handle) = match started {
            Ok(started) => started,
            Err(error) => return Turn::End(refuse(ready.take(), error.into())),
        };
        let Some(first) = first_message(&mut channels.consensus).await else {
            engine::stop(handle).await;
            let reason = format!("it does not come to listen on {}", config.listen);
            return Turn::End(refuse(ready.take(), EngineError::Start { reason }.into()));
        };
        watching::follow_connections(channels.net_requests, driver.board.clone());
        let peers_height = driver.watcher().follow_votes(&channels.events);
        driver.lines = Lines { network: channels.network, peers_height, tap };
        let started = |driver: &Driver| {
            if let Some(ready) = ready.take() {
                let peer_id = p2p_key.public().to_peer_id().to_string().into();
                // Dropped: the caller gave up starting, and its end of the commands closes next.
                let _ = ready.send(Ok(Ready { store: Arc::downgrade(&driver.store), peer_id }));
            }
        };
        let turn = driver.run(first, channels.consensus, commands, started, life).await;
        engine::stop(handle).await;
        turn
    });
    runtime.shutdown_timeout(PATIENCE);
    turn
}

/// The engine writes its log on a thread of its own, which nobody can join: it is over when it has given the log's
/// lock back. A log that stays locked is left to the next start, which names it.
fn wait_for_log(wal: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match File::open(wal).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => thread::sleep(Duration::from_millis(2)),
            _ => return,
        }
    }
    tracing::warn!("The engine still holds its log {}", wal.display());
}

/// The engine's first message says that it listens and is ready to begin.
async fn first_message(inbox: &mut mpsc::Receiver<AppMsg<Ctx>>) -> Option<AppMsg<Ctx>> {
    tokio::time::timeout(PATIENCE, inbox.recv()).await.ok().flatten()
}

fn prepare(
    config: &NodeConfig,
    machine: Box<dyn StateMachine>,
    open: OpenHome,
) -> Result<(Home, Executor), StartError> {
    let home = open(config)?;
    let executor =
        Executor::restore(machine, &config.genesis, &home.store).map_err(|failure| match failure {
            RestoreFailure::Store(error) => HomeError::from(error).into(),
            RestoreFailure::Inconsistent(error) => StartError::Restore(error.to_string()),
        })?;
    Ok((home, executor))
}

fn refuse(ready: Option<oneshot::Sender<Result<Ready, StartError>>>, error: StartError) -> Arc<str> {
    let why: Arc<str> = error.to_string().into();
    match ready {
        // Dropped: nobody waits for the start any more.
        Some(ready) => drop(ready.send(Err(error))),
        None => tracing::error!("The chain node cannot go on: {why}"),
    }
    why
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        StartError::Home(error.into())
    }
}
