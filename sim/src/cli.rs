//! `ranproof sim`: a radio network to try things on.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use tokio::sync::oneshot;

use crate::control;
use crate::station::Versions;
use crate::world::{Inventory, WorldError, WorldSpec, serve_stations};

/// Arguments of `ranproof sim`.
#[derive(Debug, Clone, Args)]
pub struct SimArgs {
    /// How many stations the network has.
    #[arg(long, default_value_t = 12)]
    pub stations: usize,
    /// Cells of each station.
    #[arg(long, default_value_t = 3)]
    pub cells: usize,
    /// How many stations, the last ones, lie in SubNetwork=bj-west, where Unicom comes first on every cell.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub west: usize,
    /// What configurations, keys and passwords follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder for stations.json, configurations, journals and the control socket.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Serve this station alone, counted from 1.
    #[arg(long, value_name = "I")]
    pub only: Option<usize>,
    /// Port of the first station, the others follow; 0 finds free ones and keeps them.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub first_port: u16,
    /// Offer NETCONF 1.0 only, as old stations do.
    #[arg(long)]
    pub netconf_1_0: bool,
    /// Exit when standard input reaches its end.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Why the simulator stopped.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The network cannot be played.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The control socket cannot be opened.
    #[error("cannot listen on `{}`; hint: the path of a Unix socket has at most 107 bytes", .path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of it stopped.
    #[error("the simulator stopped")]
    Stopped(#[source] io::Error),
}

impl SimArgs {
    /// The network these arguments describe.
    pub fn spec(&self) -> WorldSpec {
        WorldSpec {
            stations: self.stations,
            cells: self.cells,
            west: self.west,
            seed: self.seed,
            dir: self.dir.clone(),
            only: self.only,
            first_port: self.first_port,
            versions: if self.netconf_1_0 { Versions::OnlyOld } else { Versions::Both },
        }
    }
}

/// Plays the network until interrupted or, if asked, until standard input closes.
///
/// One JSON line on standard output says when all ports are open.
///
/// # Errors
/// [`SimError`].
pub async fn run(args: SimArgs) -> Result<(), SimError> {
    let mut world = serve_stations(&args.spec()).await?;
    let path = control::socket_path(&args.dir, args.only);
    let listener =
        control::listen(&path).map_err(|source| SimError::Control { path: path.clone(), source })?;
    let controls = control::serve(listener, world.stations().to_vec());
    let ready = serde_json::json!({
        "ready": true,
        "stations": world.stations().len(),
        "inventory": Inventory::path(&args.dir),
        "control": path,
    });
    let mut out = io::stdout();
    writeln!(out, "{ready}").and_then(|()| out.flush()).map_err(SimError::Stopped)?;
    tokio::select! {
        outcome = world.failed() => outcome.map_err(SimError::Stopped),
        outcome = controls => outcome.map_err(SimError::Stopped),
        outcome = tokio::signal::ctrl_c() => outcome.map_err(SimError::Stopped),
        () = stdin_closed(), if args.until_stdin_closes => Ok(()),
    }
}

/// Resolves when standard input ends. The thread that waits for it is no task of the runtime: a runtime does
/// not end before its blocking reads do.
async fn stdin_closed() {
    let (sender, closed) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while !matches!(io::stdin().read(&mut buffer), Ok(0) | Err(_)) {}
        // The receiver is gone when the simulator stopped for another reason.
        let _ = sender.send(());
    });
    let _ = closed.await;
}
