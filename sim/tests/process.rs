//! The simulator as a process of its own: killed at any instant, it loses no acknowledged edit.
//!
//! The process is this test program again, told by a variable to be the simulator.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use collector::session::{Limits, Target};
use ranproof_sim::cli::{self, SimArgs};
use ranproof_sim::control::{self, ControlRequest};
use ranproof_sim::manager::{self, Edit, Manager};
use ranproof_sim::store::read_journal;
use ranproof_sim::{Inventory, seed};

const VARIABLE: &str = "RANPROOF_SIM_TEST_ARGS";
const CELL: &str = "SubNetwork=bj-east,ManagedElement=gnb-0002,GNBDUFunction=1,NRCellDU=1";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    sim: SimArgs,
}

/// Not a test of its own: the simulator, when this program was started to be it.
#[test]
fn simulator_process() {
    let Ok(arguments) = std::env::var(VARIABLE) else { return };
    let arguments = Arguments::try_parse_from(std::iter::once("sim").chain(arguments.split('\n'))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(cli::run(arguments.sim)).unwrap();
}

/// A running simulator; killed and reaped when dropped.
struct Simulator(Child);

impl Simulator {
    fn start(dir: &Path, more: &[&str]) -> Simulator {
        let dir = dir.to_str().unwrap();
        let arguments = [&["--stations", "3", "--seed", "5", "--dir", dir], more].concat().join("\n");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "simulator_process", "--nocapture"])
            .env(VARIABLE, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Simulator(child)
    }

    /// Kills it as `kill -9` does, and tells whether that is how it ended.
    fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        self.0.wait().unwrap().signal() == Some(9)
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), ..Limits::default() }
}

/// Opens a management session as soon as the process accepts one.
async fn connect(dir: &Path, station: usize) -> Manager {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(target) = find(dir, station)
            && let Ok(manager) = Manager::connect(&target, &limits()).await
        {
            return manager;
        }
        assert!(Instant::now() < deadline, "the simulator does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn find(dir: &Path, station: usize) -> Result<Target, Box<dyn std::error::Error>> {
    let inventory = Inventory::read(dir)?;
    let entry = inventory.stations.get(station - 1).ok_or("no such station")?;
    Ok(manager::target(dir, entry, "manager")?)
}

async fn area_code(manager: &mut Manager) -> u64 {
    let tree = manager.configuration().await.unwrap();
    let unit = tree[0].child("GNBDUFunction").unwrap();
    let cell = unit.child("NRCellDU").unwrap().child("attributes").unwrap();
    cell.child_text("nRTAC").unwrap().parse().unwrap()
}

#[tokio::test]
async fn kill_at_twenty_instants_loses_no_acknowledged_edit() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0_u64;
    let mut kills = 0;
    for instant in 0..20 {
        let mut simulator = Simulator::start(dir.path(), &["--only", "2"]);
        let mut session = connect(dir.path(), 2).await;
        let value = area_code(&mut session).await;
        let journal = read_journal(dir.path(), 2).unwrap();
        // Before the first edit the value is the generated one.
        let found = if journal.is_empty() { 0 } else { value };
        if instant > 0 {
            // The edit under way at the kill either happened or did not; none before it is gone.
            assert!(found == acknowledged || found == acknowledged + 1, "{found} after {acknowledged}");
            acknowledged = found;
        }
        let values: Vec<u64> = journal
            .iter()
            .map(|entry| entry.changes[0].new.as_ref().unwrap().as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(values, (1..=acknowledged).collect::<Vec<u64>>());
        assert!(journal.iter().zip(1..).all(|(entry, number)| entry.sequence == number));
        let pause = Duration::from_micros(2_000 + seed::number(3, "kill", instant, 25_000));
        let mut edit = async || {
            let next = acknowledged + 1;
            session.edit(&Edit::set(CELL, "nRTAC", next.to_string().as_str())).await.unwrap();
            acknowledged = next;
        };
        // However slow the machine, there is something to lose.
        edit().await;
        let edits = async {
            loop {
                edit().await;
            }
        };
        // The kill falls wherever the edits are at that instant.
        assert!(tokio::time::timeout(pause, edits).await.is_err());
        assert!(simulator.kill());
        kills += 1;
    }
    assert_eq!(kills, 20);
    assert!(acknowledged >= 20, "only {acknowledged} edits in 20 runs: the kills hit nothing");
}

#[tokio::test]
async fn stations_of_one_network_run_in_processes_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let only = ["1", "2", "3"];
    let mut processes: Vec<Simulator> = only
        .iter()
        .map(|station| Simulator::start(dir.path(), &["--only", station, "--until-stdin-closes"]))
        .collect();
    for station in 1..=3 {
        connect(dir.path(), station).await.close().await.unwrap();
        let socket = control::socket_path(dir.path(), Some(station));
        let reply = control::request(&socket, &ControlRequest::List { list: true }).await.unwrap();
        assert_eq!(reply.stations.unwrap()[0].station, station);
    }
    for process in &mut processes {
        drop(process.0.stdin.take());
        assert_eq!(process.exit_code().await, Some(0));
    }
}
