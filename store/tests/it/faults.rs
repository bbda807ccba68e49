//! A failed fsync poisons the handle: nothing is acknowledged after it.
//!
//! SQLite itself goes on acknowledging after one EIO, so each test asserts that the fault fired.

use std::path::Path;
use std::process::Command;

use store::{Store, StoreError};

use crate::world::*;

const FOLDER: &str = "RANPROOF_STORE_FAULT_FOLDER";

/// Writes rounds until one fails, then tries on, and says what happened.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder)).await;
        println!("OPEN");
        for round in 1..=40 {
            match one_round(&store, round).await {
                Ok(()) => println!("ACK {round}"),
                Err(StoreError::Fatal { why, .. }) => println!("FATAL {why}"),
                Err(error) => println!("OTHER {error}"),
            }
        }
        println!("READ {}", store.rounds(None, 9).await.is_ok());
    });
}

async fn one_round(store: &Store, round: u64) -> Result<(), StoreError> {
    store.begin_round(&start(round, 1)).await?;
    store.commit_round(&full_commit(round, 1)).await.map(drop)
}

/// Lines of the writer while its `nth` fsync fails once with EIO.
fn with_failing_fsync(folder: &Path, nth: u32) -> Vec<String> {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
    let output = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::writer", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn strace_works() -> Result<(), String> {
    let probe =
        Command::new("strace").args(["-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"]).output();
    match probe {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_fsync() {
    if let Err(why) = strace_works() {
        println!("SKIPPED: strace cannot inject a failing fsync here: {why}");
        return;
    }
    let mut fired = 0;
    // The first ones belong to opening: each step of the schema is a transaction.
    for nth in [20, 30, 45] {
        let folder = tempfile::tempdir().unwrap();
        let said = with_failing_fsync(folder.path(), nth);
        let Some(first) = said.iter().position(|line| line.starts_with("FATAL")) else { continue };
        fired += 1;
        let after = &said[first..];
        assert!(
            after.iter().all(|line| !line.starts_with("ACK")),
            "acknowledged after a failed fsync: {said:?}"
        );
        assert!(after.iter().any(|line| line == "READ false"), "reads go on: {said:?}");
        assert!(!said.iter().any(|line| line.starts_with("OTHER")), "{said:?}");
        let store = open(folder.path()).await;
        assert_eq!(store.fsck().await.unwrap().faults, []);
        for line in said.iter().filter_map(|line| line.strip_prefix("ACK ")) {
            let row =
                store.round(line.parse().unwrap()).await.unwrap().expect("an acknowledged round is lost");
            assert!(row.finished.is_some());
        }
    }
    assert_eq!(fired, 3, "the fault did not fire");
}
