//! A network of stations in a folder: which there are, where they listen, who may log in.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::keys::ssh_key::LineEnding;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::{MAX_CELLS, StationPlan, gnb_id};
use crate::faults::Fault;
use crate::rpc::Role;
use crate::seed;
use crate::station::{Account, HostKeys, Station, Versions, serve};
use crate::store::{StationStore, StoreError, write_atomically};

/// Where free ports are looked for: below the range systems take for outgoing connections, so that a station
/// finds its port free after a restart.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Why a network cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Numbers that make no network.
    #[error("{0}")]
    Spec(String),
    /// The file system refuses.
    #[error("cannot use `{}`; hint: check space and permissions of the folder", .path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder belongs to another network.
    #[error("`{}` describes another network ({why}); hint: give the same numbers as at first, or an empty folder", .path.display())]
    Other {
        /// The description in the folder.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A station's port is taken.
    #[error(
        "station {station} cannot listen on {address}; hint: is another simulator running on this folder?"
    )]
    Port {
        /// The station.
        station: usize,
        /// The address that stations.json gives it.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No free port.
    #[error("no {0} free ports on 127.0.0.1; hint: give --first-port")]
    NoPorts(usize),
    /// A key cannot be written as text.
    #[error("cannot write a key")]
    Key(#[from] russh::keys::ssh_key::Error),
    /// A station's memory.
    #[error("station {station}")]
    Store {
        /// The station.
        station: usize,
        /// What is wrong.
        #[source]
        error: StoreError,
    },
}

/// A network to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldSpec {
    /// How many stations.
    pub stations: usize,
    /// Cells of each.
    pub cells: usize,
    /// How many stations, the last ones, lie in the western district.
    pub west: usize,
    /// What everything follows from, keys and passwords included.
    pub seed: u64,
    /// Where state is kept.
    pub dir: PathBuf,
    /// Serve this station alone, all without.
    pub only: Option<usize>,
    /// The first station's port, the others follow; 0 looks for free ones. Counts on the first start only.
    pub first_port: u16,
    /// Protocol versions the stations offer.
    pub versions: Versions,
}

/// What `stations.json` says: all that a collector and a manager need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Format of this file.
    pub version: u32,
    /// The network's seed.
    pub seed: u64,
    /// Cells of each station.
    pub cells: usize,
    /// The account that reads.
    pub collector: AccountFiles,
    /// The account that edits.
    pub manager: AccountFiles,
    /// The stations by number.
    pub stations: Vec<StationEntry>,
}

/// An account and the files, in the same folder, that hold its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFiles {
    /// The name to log in with.
    pub user: String,
    /// File with the private key, OpenSSH PEM.
    pub key_file: String,
    /// File with the password.
    pub password_file: String,
}

/// One station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationEntry {
    /// Its number, from 1.
    pub station: usize,
    /// DN of its managed element.
    pub element: String,
    /// Its global gNB id.
    pub gnb_id: u64,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its host key as an OpenSSH line.
    pub host_key: String,
}

impl Inventory {
    const VERSION: u32 = 1;

    /// The file's place in a folder.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("stations.json")
    }

    /// Reads the file.
    pub fn read(dir: &Path) -> Result<Inventory, WorldError> {
        let path = Inventory::path(dir);
        let bytes = fs::read(&path).map_err(|source| WorldError::Io { path: path.clone(), source })?;
        let inventory: Inventory = serde_json::from_slice(&bytes)
            .map_err(|e| WorldError::Other { path: path.clone(), why: e.to_string() })?;
        if inventory.version == Inventory::VERSION {
            Ok(inventory)
        } else {
            let why = format!("format {}, known is {}", inventory.version, Inventory::VERSION);
            Err(WorldError::Other { path, why })
        }
    }
}

impl WorldSpec {
    /// A network without a western district, on free ports, whose stations offer all versions.
    pub fn new(dir: impl Into<PathBuf>, stations: usize, cells: usize, seed: u64) -> WorldSpec {
        let (dir, versions) = (dir.into(), Versions::Both);
        WorldSpec { stations, cells, west: 0, seed, dir, only: None, first_port: 0, versions }
    }

    fn check(&self) -> Result<(), WorldError> {
        let wrong = |text: &str| Err(WorldError::Spec(text.to_owned()));
        if !(1..=9999).contains(&self.stations) {
            return wrong("stations must be 1 to 9999; hint: --stations 12");
        }
        if !(1..=MAX_CELLS).contains(&self.cells) {
            return Err(WorldError::Spec(format!("cells must be 1 to {MAX_CELLS}; hint: --cells 3")));
        }
        if self.west > self.stations {
            return wrong("--west must not be more than --stations; hint: --stations 12 --west 3");
        }
        if self.only.is_some_and(|only| !(1..=self.stations).contains(&only)) {
            return wrong("--only must name one of the stations, counted from 1");
        }
        Ok(())
    }

    fn plan(&self, station: usize) -> StationPlan {
        let WorldSpec { seed, stations, cells, west, .. } = *self;
        StationPlan { seed, station, stations, cells, west }
    }

    fn served(&self) -> impl Iterator<Item = usize> {
        let only = self.only;
        (1..=self.stations).filter(move |station| only.is_none_or(|only| only == *station))
    }

    fn host_key(&self, station: usize) -> russh::keys::PrivateKey {
        seed::key(self.seed, "host key", station as u64)
    }

    fn accounts(&self) -> Vec<Account> {
        [Role::Collector, Role::Manager]
            .map(|role| Account {
                role,
                password: seed::password(self.seed, role.user()),
                key: seed::key(self.seed, role.user(), 0).public_key().clone(),
            })
            .into()
    }
}

/// Writes what the folder lacks: `stations.json` with ports that were free, keys and passwords.
///
/// Processes may do this at the same time: the first `stations.json` stands and all use it. The listeners are
/// those bound while looking for free ports, empty when the file was there.
///
/// # Errors
/// [`WorldError::Other`] when the folder belongs to a network with other numbers.
pub fn prepare(spec: &WorldSpec) -> Result<(Inventory, Vec<StdListener>), WorldError> {
    spec.check()?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorldError::Io { path, source }
    };
    fs::create_dir_all(&spec.dir).map_err(failed(&spec.dir))?;
    let path = Inventory::path(&spec.dir);
    if path.exists() {
        return Ok((agreed(spec)?, Vec::new()));
    }
    write_secrets(spec)?;
    let listeners = free_ports(spec)?;
    let inventory = describe(spec, &listeners)?;
    let text = serde_json::to_vec_pretty(&inventory).map_err(|e| failed(&path)(e.into()))?;
    // A link fails where the file exists: of two processes at once, one describes the network.
    let aside = spec.dir.join(format!("stations.json.new-{}", std::process::id()));
    write_atomically(&aside, &text, 0o644).map_err(failed(&aside))?;
    let linked = fs::hard_link(&aside, &path);
    fs::remove_file(&aside).map_err(failed(&aside))?;
    match linked {
        Ok(()) => Ok((inventory, listeners)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((agreed(spec)?, Vec::new())),
        Err(source) => Err(failed(&path)(source)),
    }
}

/// The folder's description, if it is of this network.
fn agreed(spec: &WorldSpec) -> Result<Inventory, WorldError> {
    let inventory = Inventory::read(&spec.dir)?;
    let found = (inventory.seed, inventory.stations.len(), inventory.cells);
    let placed = |entry: &StationEntry| entry.element == spec.plan(entry.station).element_dn();
    if found == (spec.seed, spec.stations, spec.cells) && inventory.stations.iter().all(placed) {
        return Ok(inventory);
    }
    let why = format!("seed {}, {} stations of {} cells in its districts", found.0, found.1, found.2);
    Err(WorldError::Other { path: Inventory::path(&spec.dir), why })
}

fn describe(spec: &WorldSpec, listeners: &[StdListener]) -> Result<Inventory, WorldError> {
    let mut stations = Vec::new();
    for (station, listener) in (1..=spec.stations).zip(listeners) {
        let no_address = |source| WorldError::Io { path: Inventory::path(&spec.dir), source };
        stations.push(StationEntry {
            station,
            element: spec.plan(station).element_dn(),
            gnb_id: gnb_id(station),
            address: listener.local_addr().map_err(no_address)?,
            host_key: spec.host_key(station).public_key().to_openssh()?,
        });
    }
    let files = |role: Role| AccountFiles {
        user: role.user().to_owned(),
        key_file: format!("{}.key", role.user()),
        password_file: format!("{}.password", role.user()),
    };
    Ok(Inventory {
        version: Inventory::VERSION,
        seed: spec.seed,
        cells: spec.cells,
        collector: files(Role::Collector),
        manager: files(Role::Manager),
        stations,
    })
}

fn write_secrets(spec: &WorldSpec) -> Result<(), WorldError> {
    for role in [Role::Collector, Role::Manager] {
        let user = role.user();
        let key = seed::key(spec.seed, user, 0).to_openssh(LineEnding::LF)?;
        let password = seed::password(spec.seed, user);
        for (name, content) in
            [(format!("{user}.key"), key.as_str()), (format!("{user}.password"), &password)]
        {
            let path = spec.dir.join(name);
            write_atomically(&path, content.as_bytes(), 0o600)
                .map_err(|source| WorldError::Io { path, source })?;
        }
    }
    Ok(())
}

fn free_ports(spec: &WorldSpec) -> Result<Vec<StdListener>, WorldError> {
    let bind = |port: u16| StdListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    if spec.first_port > 0 {
        return (1..=spec.stations)
            .map(|station| {
                let port = usize::from(spec.first_port) + station - 1;
                let port = u16::try_from(port).map_err(|_| WorldError::NoPorts(spec.stations))?;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                bind(port).map_err(|source| WorldError::Port { station, address, source })
            })
            .collect();
    }
    // Another folder begins elsewhere, so that two networks rarely look at the same ports.
    let span = u64::from(PORTS.end - PORTS.start);
    let begin = seed::number(spec.seed, &spec.dir.to_string_lossy(), u64::from(std::process::id()), span);
    let candidates = (0..span).map(|step| (begin + step) % span).filter_map(|at| u16::try_from(at).ok());
    let found: Vec<StdListener> =
        candidates.filter_map(|at| bind(PORTS.start + at).ok()).take(spec.stations).collect();
    if found.len() == spec.stations { Ok(found) } else { Err(WorldError::NoPorts(spec.stations)) }
}

/// Binds a station's own port. It may be held for a moment: by a process that is just describing the network,
/// or by one that is just ending.
async fn bind_patiently(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// A network being played; it ends when dropped.
#[derive(Debug)]
pub struct World {
    inventory: Inventory,
    stations: Vec<Arc<Station>>,
    tasks: JoinSet<io::Result<()>>,
}

impl World {
    /// What there is, served here or not.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The stations served here.
    pub fn stations(&self) -> &[Arc<Station>] {
        &self.stations
    }

    /// Sets what is wrong with a station; `false` when it is not served here.
    pub fn set_fault(&self, station: usize, fault: Fault) -> bool {
        let found = self.stations.iter().find(|served| served.number == station);
        found.inspect(|station| station.set_fault(fault)).is_some()
    }

    /// Waits for ever, or until a station fails.
    pub async fn failed(&mut self) -> io::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(()),
        }
    }
}

/// Starts the stations of a network (or one of them) in this process.
///
/// # Errors
/// [`WorldError`]; nothing is left running then.
pub async fn serve_stations(spec: &WorldSpec) -> Result<World, WorldError> {
    let (inventory, listeners) = prepare(spec)?;
    let mut held: Vec<Option<StdListener>> = listeners.into_iter().map(Some).collect();
    let mut world = World { inventory, stations: Vec::new(), tasks: JoinSet::new() };
    for number in spec.served() {
        let Some(entry) = world.inventory.stations.iter().find(|entry| entry.station == number) else {
            return Err(WorldError::Spec(format!("stations.json lacks station {number}")));
        };
        let taken = |source| WorldError::Port { station: number, address: entry.address, source };
        let listener = match held.get_mut(number - 1).and_then(Option::take) {
            Some(listener) => {
                listener.set_nonblocking(true).map_err(taken)?;
                TcpListener::from_std(listener).map_err(taken)?
            }
            None => bind_patiently(entry.address).await.map_err(taken)?,
        };
        let plan = spec.plan(number);
        let store = StationStore::open(&spec.dir, number, || plan.configuration())
            .map_err(|error| WorldError::Store { station: number, error })?;
        let station = Arc::new(Station::new(number, spec.versions, spec.accounts(), store));
        let keys = HostKeys {
            right: spec.host_key(number),
            wrong: seed::key(spec.seed, "another host key", number as u64),
        };
        world.tasks.spawn(serve(Arc::clone(&station), listener, keys));
        world.stations.push(station);
    }
    Ok(world)
}
