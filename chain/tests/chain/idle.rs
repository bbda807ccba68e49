//! What four idle nodes cost, measured in a process of their own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::members::{Federation, stop, until};
use super::world::finalize;

const CHILD: &str = "RANPROOF_CHAIN_IDLE";
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
}

#[tokio::test]
async fn child() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let federation = Federation::new(&[3, 3, 3, 1]);
    let nodes = federation.start().await;
    finalize(&nodes[0], b"first").await;
    for node in &nodes {
        until(node, "it idles among three", |status| status.idle && status.connected.len() == 3).await;
    }
    let (height, begun, cpu) = (nodes[0].tip().height, Instant::now(), cpu_seconds());
    // Two heartbeats.
    tokio::time::sleep(Duration::from_secs(21)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let percent = (cpu_seconds() - cpu) / seconds / nodes.len() as f64 * 100.0;
    println!("\nidle {percent:.2} {}", nodes[0].tip().height - height);
    stop(&nodes).await;
}

#[tokio::test]
async fn an_idle_node_takes_at_most_two_percent_of_a_core() {
    let output = tokio::task::spawn_blocking(|| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["idle::child", "--exact", "--nocapture"]).env(CHILD, "1");
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap()
    });
    let output = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let line = output.lines().find_map(|line| line.strip_prefix("idle ")).expect("the child tells");
    let (percent, heights) = line.split_once(' ').unwrap();
    println!(
        "four idle nodes with heartbeats of 10 s: {percent} % of a core each, {heights} heights in 21 s"
    );
    assert!((1..=4).contains(&heights.parse::<u64>().unwrap()), "{line}");
    assert!(percent.parse::<f64>().unwrap() <= 2.0, "{line}");
}
