//! A process that writes rounds and anchors them is killed at seeded instants; what it acknowledged is there, and
//! nothing is there by half.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anchor::Tree;
use store::{Store, StoreConfig};

use crate::world::*;

const FOLDER: &str = "RANPROOF_STORE_KILL_FOLDER";
const STATIONS: u32 = 4;
const KILLS: u64 = 20;

/// The process that gets killed: rounds for ever, each acknowledged on standard output once it is committed.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // A log so short that it is folded all the time, also when somebody kills the process.
        let config =
            StoreConfig { fold_pages: 50, ..StoreConfig::new(Path::new(&folder).join("ranproof.db")) };
        let store = Store::open(config).await.unwrap();
        loop {
            let begun = store.open_round().await.unwrap().map(|start| start.round);
            let round = match begun {
                Some(round) => round,
                None => store.next_round().await.unwrap(),
            };
            store.begin_round(&start(round, STATIONS.into())).await.unwrap();
            store.commit_round(&full_commit(round, STATIONS)).await.unwrap();
            println!("ACK {round}");
            anchor(&store, round).await;
            println!("ANCHORED {round}");
        }
    });
}

async fn anchor(store: &Store, height: u64) {
    while let Some(growth) = store.stage_growth().await.unwrap() {
        let mut tree = Tree::default();
        for hash in store.leaf_hashes(0, growth.new_size).await.unwrap() {
            tree.push(hash);
        }
        let note = format!("note of {}", growth.new_size);
        store.save_checkpoint(growth.new_size, &tree.root(), &note).await.unwrap();
        store.mark_anchored(growth.new_size, height, 0).await.unwrap();
        store.apply_anchored().await.unwrap();
    }
}

/// What the child acknowledged before it was killed after `milliseconds` of writing.
fn killed_after(folder: &Path, milliseconds: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writer", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The clock starts at the first acknowledgement, so that every kill falls into the work.
    let mut said = Vec::new();
    while said.is_empty() {
        let line = lines.next().expect("the writer ended by itself").unwrap();
        said.extend(line.split_once("ACK ").map(|(_, round)| format!("ACK {round}")));
    }
    std::thread::sleep(Duration::from_millis(milliseconds));
    assert_killed(&mut child);
    let rest = lines.map_while(Result::ok).filter(|l| l.starts_with("ACK ") || l.starts_with("ANCHORED "));
    said.extend(rest);
    said
}

#[cfg(unix)]
fn assert_killed(child: &mut Child) {
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(child.try_wait().unwrap(), None, "the writer ended before it was killed");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[cfg(not(unix))]
fn assert_killed(child: &mut Child) {
    assert_eq!(child.try_wait().unwrap(), None, "the writer ended before it was killed");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[tokio::test]
async fn killed_at_any_instant_no_round_is_lost_doubled_or_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 0x5eed_u64;
    for _ in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let said = killed_after(folder.path(), (seed >> 33) % 120);
        let store = open(folder.path()).await;
        check(&store, &said).await;
        store.close().await;
    }
    let store = open(folder.path()).await;
    anchor(&store, 999).await;
    let rounds = store.rounds(None, u32::MAX).await.unwrap();
    let finished = rounds.iter().filter(|r| r.finished.is_some()).count() as u64;
    assert!(finished >= KILLS, "the kills fell into {finished} rounds");
    let state = store.log_state().await.unwrap();
    assert_eq!((state.size, state.waiting, state.staged), (2 * finished, 0, None), "no leaf lost or doubled");
    assert_eq!(store.sendable_attestations().await.unwrap().len() as u64, finished);
}

async fn check(store: &Store, said: &[String]) {
    let rounds = store.rounds(None, u32::MAX).await.unwrap();
    for row in &rounds {
        let round = row.start.round;
        let results = store.station_results(round).await.unwrap().len();
        if row.finished.is_none() {
            assert_eq!(results, 0, "round {round} is half there");
            assert_eq!(store.open_round().await.unwrap().map(|s| s.round), Some(round));
            continue;
        }
        assert!(row.accounting.balances());
        assert_eq!(results, STATIONS as usize);
    }
    for line in said {
        let (what, round) = line.split_once(' ').unwrap();
        let row = store.round(round.trim().parse().unwrap()).await.unwrap();
        let row = row.unwrap_or_else(|| panic!("acknowledged round {round} is lost"));
        assert!(row.finished.is_some(), "acknowledged round {round} is open");
        assert!(what == "ACK" || row.leaf_index.is_some(), "acknowledged anchor of {round} is lost");
    }
    let last = store.last_round().await.unwrap().unwrap().start.round;
    for station in 1..=STATIONS {
        let stored = store.newest_snapshot(&element(station)).await.unwrap().unwrap();
        assert_eq!((stored.round, &*stored.snapshot), (last, &lasting(&snapshot(station, 3, last))));
    }
    assert_eq!(store.fsck().await.unwrap().faults, []);
}
