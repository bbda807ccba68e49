//! The other side: the Python pipeline of `benches/peers`, given the same replies.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::documents::Documents;
use super::{Measured, StationArgs};

/// Stations it works through in one pass: it takes a thousand times as long for one.
const STATIONS: &str = "10";

#[derive(Debug, Deserialize)]
struct Printed {
    cpu_ms_per_station: f64,
    diffs: usize,
    violations: usize,
    steps_ms: BTreeMap<String, f64>,
}

/// One pass over the first station's first round, or `None` where the script or its interpreter is absent.
pub fn measure(args: &StationArgs, documents: &Documents) -> Result<Option<Measured>> {
    if !args.python.exists() || !args.peer.exists() {
        return Ok(None);
    }
    let mark = hex::encode(crate::keys::random_bytes::<6>()?);
    let [previous, current] = ["previous", "current"]
        .map(|name| std::env::temp_dir().join(format!("ranproof-bench-{mark}-{name}.xml")));
    let outcome = std::fs::write(&previous, documents.previous(0))
        .and_then(|()| std::fs::write(&current, documents.current(0, 1)))
        .and_then(|()| {
            Command::new(&args.python)
                .arg(&args.peer)
                .args([&previous, &current])
                .args(["--stations", STATIONS])
                .output()
        });
    for file in [&previous, &current] {
        // Left to whoever cleans the temporary folder.
        let _ = std::fs::remove_file(file);
    }
    let output = outcome.with_context(|| format!("cannot run {}", args.peer.display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", args.peer.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let printed: Printed = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} printed no JSON as agreed", args.peer.display()))?;
    let Printed { cpu_ms_per_station, diffs, violations, steps_ms } = printed;
    Ok(Some(Measured { cpu_ms_per_station, diffs, violations, steps_ms }))
}
