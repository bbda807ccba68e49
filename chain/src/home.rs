//! The node's data folder: its lock, its peer-to-peer key, and whether store and write-ahead log belong
//! together. A validator that has forgotten its votes may contradict them, so it must not vote.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anchor::Hash;
use arc_malachitebft_app::consensus::Input;
use arc_malachitebft_app::engine::wal::log_entries;
use arc_malachitebft_app::types::Keypair;
use arc_malachitebft_app::wal::Log;
use arc_malachitebft_core_types::{Round, VoteType};

use crate::codec::BorshCodec;
use crate::config::NodeConfig;
use crate::context::{Address, Ctx, Height, When};
use crate::folder::{Found, mark_unused, no_longer_unused, store_path, wal_path};
use crate::store::{Store, StoreError, sync_folder};

/// A folder that this process has to itself, with a store and a log that fit together.
#[derive(Debug)]
pub(crate) struct Home {
    pub store: Store,
    pub wal: PathBuf,
    pub p2p_key: Keypair,
    /// Among other validators: what to ask them before this node votes.
    pub question: Option<Memory>,
    /// The time since which this node must not vote: a block from after it ends that, if the others were not further.
    pub abstains_since: Option<u64>,
    /// Held until the node has stopped.
    pub lock: File,
}

/// What the folder remembers of this node's votes: those up to one. An old copy of the folder remembers less
/// than was voted, and nothing in it shows that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub newest: When,
    /// Marks the question to the others.
    pub nonce: [u8; 16],
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("cannot {what} {path}; hint: check the folder's owner and the free space")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("another process uses {0}; hint: one data folder serves one node, stop the other first")]
    Locked(PathBuf),
    #[error("{path} holds no key; hint: it is 64 hexadecimal digits, restore it from its backup")]
    BadKey { path: PathBuf },
    #[error(
        "{what} in {path}: this node may have forgotten votes, and voting again could contradict them; \
         hint: restore the folder as a whole, or start with `rejoin` to abstain until that is safe"
    )]
    Amnesia { what: String, path: PathBuf },
    #[error(
        "the only validator of the chain has lost its store in {path}, and nobody else has a copy; \
         hint: restore the folder from its backup, or found a new chain"
    )]
    NothingToRejoin { path: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> HomeError {
    move |source| HomeError::Io { what, path: path.to_owned(), source }
}

impl Home {
    pub fn open(config: &NodeConfig) -> Result<Self, HomeError> {
        let folder = &config.data_dir;
        fs::create_dir_all(folder.join("wal")).map_err(io("create", folder))?;
        let lock = take_lock(&folder.join("LOCK"))?;
        let p2p_key = p2p_key(folder)?;
        let found = Found::look(folder)?;
        let amnesia = |what: &str| HomeError::Amnesia { what: what.into(), path: folder.clone() };
        let alone = config.genesis.validators.len() == 1;
        // Before a store is made: an empty one would look like that of a first start.
        if let Some(what) = found.lost_store() {
            if !config.rejoin {
                return Err(amnesia(what));
            }
            if alone {
                return Err(HomeError::NothingToRejoin { path: folder.clone() });
            }
        }
        let store = Store::open_or_create(&store_path(folder), &config.genesis.hash())?;
        let wal = wal_path(folder);
        let mut home = Home { store, wal, p2p_key, question: None, abstains_since: None, lock };
        match home.forgotten(&found)? {
            None => {}
            Some(what) if !config.rejoin => return Err(amnesia(&what)),
            Some(what) => home.forget_votes(&what, alone, config.clock.now())?,
        }
        home.finish(alone, &Address(config.consensus_key.public().address()))?;
        no_longer_unused(folder)?;
        Ok(home)
    }

    /// A home whose store is already open elsewhere than in a plain file; for tests of failing disks.
    pub fn with_store(config: &NodeConfig, store: Store) -> Result<Self, HomeError> {
        let folder = &config.data_dir;
        fs::create_dir_all(folder.join("wal")).map_err(io("create", folder))?;
        let lock = take_lock(&folder.join("LOCK"))?;
        let wal = wal_path(folder);
        let p2p_key = p2p_key(folder)?;
        Ok(Home { store, wal, p2p_key, question: None, abstains_since: None, lock })
    }

    /// What is missing of the votes that this node may have cast, if anything.
    fn forgotten(&self, found: &Found) -> Result<Option<String>, HomeError> {
        if found.unused {
            // The first start, or one that a crash ended before the engine could sign anything.
            return Ok(None);
        }
        if let Some(what) = found.lost_store() {
            return Ok(Some(what.into()));
        }
        if self.store.meta("ready")?.is_none() {
            return Ok(Some("a start with `rejoin` was broken off".into()));
        }
        if !found.wal {
            return Ok(Some("the store is there, but no write-ahead log".into()));
        }
        let tip = self.store.tip_height()?;
        let logged = open_log(&self.wal)?.sequence();
        // The log is at the height being voted on, or still at the tip if the next one has not begun.
        let fits = logged == tip || logged == tip + 1;
        let what = || format!("the write-ahead log is at height {logged}, but the store ends at {tip}");
        Ok((!fits).then(what))
    }

    /// Drops the log, which is of no use, and remembers from when on this node must see blocks before it
    /// may vote. A sole validator has nobody who holds its votes: it goes on at once.
    fn forget_votes(&mut self, what: &str, alone: bool, now: u64) -> Result<(), HomeError> {
        tracing::warn!("Rejoining because {what}");
        if !alone {
            self.store.set_meta("abstain-since", &now.to_be_bytes())?;
        }
        match fs::remove_file(&self.wal) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &self.wal)(e)),
            _ => Ok(()),
        }
    }

    /// Creates the log if need be and marks the folder as one in which votes may have been cast.
    fn finish(&mut self, alone: bool, own: &Address) -> Result<(), HomeError> {
        let tip = self.store.tip_height()?;
        let newest = newest_vote(&mut open_log(&self.wal)?, own, tip).map_err(io("read", &self.wal))?;
        sync_folder(&self.wal)?;
        if self.store.meta("ready")?.is_none() {
            // A crash before this line repeats the first start; the engine has not run yet.
            self.store.set_meta("ready", b"1")?;
        }
        if !alone {
            let mut nonce = [0; 16];
            draw(&mut nonce, &self.wal)?;
            self.question = Some(Memory { newest, nonce });
        }
        let since = self.store.meta("abstain-since")?;
        self.abstains_since = since.map(|bytes| bytes.try_into().map_or(u64::MAX, u64::from_be_bytes));
        Ok(())
    }
}

fn take_lock(path: &Path) -> Result<File, HomeError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HomeError::Locked(path.to_owned())),
        Err(TryLockError::Error(e)) => Err(io("lock", path)(e)),
    }
}

/// Opens the engine's log. The thread that wrote it for an earlier node of this process may need a moment to
/// let go of it.
fn open_log(path: &Path) -> Result<Log, HomeError> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        match Log::open(path) {
            Ok(log) => return Ok(log),
            Err(e) if Instant::now() >= deadline => return Err(io("open", path)(e)),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// The newest vote that this node remembers. Votes for final heights it cannot contradict any more; of those for the next
/// one it remembers what stands in the log, where each is before anybody hears of it. A halt may last for many rounds of
/// one height, and an old copy of its log lacks the later ones.
fn newest_vote(log: &mut Log, own: &Address, tip: u64) -> std::io::Result<When> {
    let none = (Height(tip.saturating_add(1)), Round::Nil, VoteType::Prevote);
    if log.is_empty() {
        return Ok(none);
    }
    let codec = BorshCodec::default();
    // What stands behind an entry that cannot be read is not remembered either.
    let entries = log_entries::<Ctx, _>(log, &codec).map_err(std::io::Error::other)?.map_while(Result::ok);
    let votes = entries.filter_map(|entry| match entry {
        Input::Vote(vote) if vote.message.address == *own => Some(vote.message.when()),
        _ => None,
    });
    Ok(votes.fold(none, Ord::max))
}

/// The node's peer-to-peer identity, made at its first use.
fn p2p_key(folder: &Path) -> Result<Keypair, HomeError> {
    let keys = folder.join("keys");
    let path = keys.join("p2p.key");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let mut seed = [0; 32];
            hex::decode_to_slice(text.trim(), &mut seed)
                .map_err(|_| HomeError::BadKey { path: path.clone() })?;
            Keypair::ed25519_from_bytes(seed).map_err(|_| HomeError::BadKey { path })
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            mark_unused(folder)?;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys).map_err(io("create", &keys))?;
            let mut seed = [0; 32];
            draw(&mut seed, &path)?;
            write_key(&path, &seed).map_err(io("write", &path))?;
            sync_folder(&path)?;
            Keypair::ed25519_from_bytes(seed).map_err(|_| HomeError::BadKey { path })
        }
        Err(e) => Err(io("read", &path)(e)),
    }
}

fn draw(bytes: &mut [u8], path: &Path) -> Result<(), HomeError> {
    getrandom::fill(bytes)
        .map_err(|e| io("draw random bytes for", path)(std::io::Error::other(e.to_string())))
}

/// Under another name first: a crash must not leave half a key.
fn write_key(path: &Path, seed: &[u8; 32]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", hex::encode(seed))?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The peer-to-peer identity of the node in `data_dir`, made if there is none: what its peers list.
pub fn peer_id(data_dir: &Path) -> Result<String, HomeError> {
    Ok(p2p_key(data_dir)?.public().to_peer_id().to_string())
}

/// A name for the chain in which nothing of it can be read, for the peers' handshake.
pub(crate) fn network_name(genesis: &Hash) -> String {
    format!("/ranproof/{}", genesis.short())
}
