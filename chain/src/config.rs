//! What a node is told at its start.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anchor::{Genesis, SigningKey};

use crate::mempool::MempoolLimits;

/// Rules of every chain, the same on all its nodes.
pub const MAX_TRANSACTION_BYTES: usize = 256 << 10;
/// Most transactions in a block.
pub const MAX_BLOCK_TRANSACTIONS: usize = 5_000;
/// Most bytes of transactions in a block.
pub const MAX_BLOCK_BYTES: usize = 4 << 20;

/// Where the node gets the time from: milliseconds since 1970 UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Clock::from_fn(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// Any other clock; tests turn its hands.
    pub fn from_fn(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Holds `chain.redb`, `wal/`, `keys/p2p.key` and a lock, and `unused` until the first start; belongs to this node alone.
    pub data_dir: PathBuf,
    pub genesis: Genesis,
    /// Votes. Never on two machines at once.
    pub consensus_key: SigningKey,
    /// The node's name in logs and among peers.
    pub moniker: String,
    /// Where peers connect. Port 0 picks a free one, which suits a chain of one validator.
    pub listen: SocketAddr,
    /// The only peers that may connect: `/ip4/…/tcp/…/p2p/<peer id>`.
    pub peers: Vec<String>,
    /// Start although the write-ahead log, the store or both are gone, without voting until that is safe.
    pub rejoin: bool,
    /// An idle chain makes one empty block per this time.
    pub heartbeat: Duration,
    /// How far a proposal's time may be from this node's clock for its vote (Δ).
    pub max_clock_difference: Duration,
    /// How long to wait for a proposal before voting nil.
    pub propose_timeout: Duration,
    pub mempool: MempoolLimits,
    pub clock: Clock,
}

impl NodeConfig {
    /// The defaults of an installation, for a node that talks to nobody.
    pub fn new(data_dir: impl Into<PathBuf>, genesis: Genesis, consensus_key: SigningKey) -> Self {
        NodeConfig {
            data_dir: data_dir.into(),
            genesis,
            consensus_key,
            moniker: "node".into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: Vec::new(),
            rejoin: false,
            heartbeat: Duration::from_secs(10),
            max_clock_difference: Duration::from_secs(10),
            propose_timeout: Duration::from_secs(1),
            mempool: MempoolLimits::default(),
            clock: Clock::system(),
        }
    }
}
