//! `kill -9` at seeded instants: a child process runs the node, this one kills it and looks at what is left.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anchor::Hash;
use ranproof_chain::Status;

use super::world::{PATIENCE, alone, check_chain, start};

const FOLDER: &str = "RANPROOF_CHAIN_KILL_FOLDER";
const ROUND: &str = "RANPROOF_CHAIN_KILL_ROUND";

fn transaction(round: u32, n: u32) -> Vec<u8> {
    format!("{round}.{n}").into_bytes()
}

/// What the child does until it is killed: submits three at a time and prints what became final.
#[tokio::test]
async fn child() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let round: u32 = round.parse().unwrap();
    println!("\nbegin");
    let node = start(&alone(Path::new(&folder))).await;
    println!("\nready");
    for n in (0u32..).step_by(3) {
        let mut ids = vec![];
        for n in n..n + 3 {
            ids.push((n, node.submit(transaction(round, n)).await.unwrap()));
        }
        for (n, id) in ids {
            let height = node.wait_final(&id, PATIENCE).await.unwrap().height;
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nfinal {n} {height}").unwrap();
            out.flush().unwrap();
        }
    }
}

fn spawn(folder: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child `delay` after it printed `cue`; returns what it acknowledged.
fn kill_after(mut child: Child, cue: &str, delay: Duration) -> BTreeMap<u32, u64> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let seen = lines.by_ref().any(|line| line == cue);
    assert!(seen, "the child ended before `{cue}`: {:?}", child.wait());
    let killer = std::thread::spawn(move || {
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap()
    });
    let mut acknowledged = BTreeMap::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        if let ["final", n, height] = words[..] {
            acknowledged.insert(n.parse().unwrap(), height.parse().unwrap());
        }
    }
    assert_eq!(killer.join().unwrap().signal(), Some(9), "the child was not killed");
    acknowledged
}

#[tokio::test]
async fn kill_at_any_instant_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let mut seed = 0x5eed_u64;
    let mut acknowledged = BTreeMap::new();
    for round in 0..20u32 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A quarter of the kills hit the start, the others a busy chain.
        let (cue, most) = if round % 4 == 0 { ("begin", 120_000) } else { ("ready", 400_000) };
        let delay = Duration::from_micros((seed >> 33) % most);
        let path = folder.path().to_owned();
        let finals = tokio::task::spawn_blocking(move || kill_after(spawn(&path, round), cue, delay));
        for (n, height) in finals.await.unwrap() {
            acknowledged.insert((round, n), height);
        }
        let node = start(&config).await;
        let blocks = check_chain(&node, &config.genesis).await;
        for ((round, n), height) in &acknowledged {
            let transaction = transaction(*round, *n);
            let holders: Vec<_> =
                blocks.iter().filter(|b| b.block.transactions.contains(&transaction)).collect();
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0].block.header.height, *height);
            let status = node.status_of(&Hash::of(&transaction)).await.unwrap();
            assert!(matches!(status, Status::Final(f) if f.height == *height));
        }
        node.shutdown().await;
    }
    println!("20 kills, {} transactions acknowledged, none lost or doubled", acknowledged.len());
    assert!(acknowledged.len() > 20);
}
