//! One station: a NETCONF server over SSH on a TCP port.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{self, Auth};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::faults::Fault;
use crate::rpc::Role;
use crate::store::StationStore;

/// More sessions than a real station allows; a bound all the same.
const MAX_SESSIONS: usize = 200;

/// One account of a station.
#[derive(Clone)]
pub struct Account {
    /// What it may do; also gives the name.
    pub role: Role,
    /// Its password.
    pub password: String,
    /// Its public key.
    pub key: PublicKey,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What all sessions of a station share.
#[derive(Debug)]
pub struct Station {
    /// Its number, from 1.
    pub number: usize,
    /// Protocol versions it offers.
    pub versions: Versions,
    accounts: Vec<Account>,
    store: Mutex<StationStore>,
    fault: watch::Sender<Fault>,
    next_session: AtomicU32,
}

/// Which NETCONF versions a station offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versions {
    /// 1.0 and 1.1, as nearly all do.
    #[default]
    Both,
    /// 1.0 only, as old ones do.
    OnlyOld,
}

impl Station {
    /// A station without a port yet.
    pub fn new(number: usize, versions: Versions, accounts: Vec<Account>, store: StationStore) -> Station {
        let (fault, _) = watch::channel(Fault::None);
        let (store, next_session) = (Mutex::new(store), AtomicU32::new(1));
        Station { number, versions, accounts, store, fault, next_session }
    }

    /// Sets what is wrong with it.
    pub fn set_fault(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What is wrong with it.
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    pub(crate) fn next_session(&self) -> u32 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs `work` on the configuration, one at a time.
    pub(crate) fn with_store<T>(&self, work: impl FnOnce(&mut StationStore) -> T) -> T {
        // A panic in `work` leaves the store as it was on disk: it changes memory last.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut store)
    }

    pub(crate) fn by_password(&self, user: &str, password: &str) -> Option<Role> {
        self.account(user).filter(|account| account.password == password).map(|account| account.role)
    }

    pub(crate) fn by_key(&self, user: &str, key: &PublicKey) -> Option<Role> {
        self.account(user)
            .filter(|account| account.key.key_data() == key.key_data())
            .map(|account| account.role)
    }

    fn account(&self, user: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.role.user() == user)
    }
}

/// Serves a station until the task is dropped. `listener` is its port for ever: a fault that refuses
/// connections keeps the port bound without listening.
///
/// # Errors
/// Only where the port cannot be taken back after such a fault.
pub async fn serve(station: Arc<Station>, listener: TcpListener, keys: HostKeys) -> io::Result<()> {
    let address = listener.local_addr()?;
    let right = Arc::new(server_config(keys.right));
    let wrong = Arc::new(server_config(keys.wrong));
    let mut fault = station.fault.subscribe();
    let mut listener = Some(listener);
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Unreachable {
            drop(listener.take());
            let _held = bind(address)?;
            // The sender lives in `station`, so this only ends with a change.
            if fault.changed().await.is_err() {
                return Ok(());
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => bind(address)?.listen(1024)?,
        };
        let config = if now == Fault::HostKey { &wrong } else { &right };
        accept_until_change(&station, &open, config, &mut fault).await;
        listener = Some(open);
    }
}

/// The key a station shows, and the one it shows while the host key fault is set.
#[derive(Debug, Clone)]
pub struct HostKeys {
    /// The inventory's.
    pub right: PrivateKey,
    /// Another.
    pub wrong: PrivateKey,
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn server_config(key: PrivateKey) -> server::Config {
    server::Config {
        keys: vec![key],
        // Nobody guesses passwords in a simulation.
        auth_rejection_time: Duration::from_millis(10),
        auth_rejection_time_initial: Some(Duration::ZERO),
        nodelay: true,
        ..server::Config::default()
    }
}

/// Accepts connections; a change of the fault ends those that are open, as a restart of the station would.
async fn accept_until_change(
    station: &Arc<Station>,
    listener: &TcpListener,
    config: &Arc<server::Config>,
    fault: &mut watch::Receiver<Fault>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            _ = fault.changed() => return,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept(), if sessions.len() < MAX_SESSIONS => match accepted {
                Ok((socket, _)) => {
                    sessions.spawn(run_session(Arc::clone(station), Arc::clone(config), socket, fault.clone()));
                }
                Err(error) => {
                    tracing::warn!(station = station.number, %error, "Accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn run_session(
    station: Arc<Station>,
    config: Arc<server::Config>,
    socket: TcpStream,
    mut fault: watch::Receiver<Fault>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "A connection ended before it began");
    }
    let connection = Connection::new(Arc::clone(&station));
    let running = match server::run_stream(config, socket, connection).await {
        Ok(running) => running,
        Err(error) => {
            tracing::debug!(station = station.number, %error, "A connection is not SSH");
            return;
        }
    };
    let handle = running.handle();
    tokio::select! {
        ended = running => {
            if let Err(error) = ended {
                tracing::debug!(station = station.number, %error, "A session ended with an error");
            }
        }
        _ = fault.changed() => {
            // An error says that the session is over already.
            let _ = handle.disconnect(russh::Disconnect::ByApplication, "restart".into(), String::new()).await;
        }
    }
}

/// The answer of SSH authentication for a role found or not.
pub(crate) fn verdict(role: Option<Role>) -> Auth {
    if role.is_some() { Auth::Accept } else { Auth::reject() }
}
