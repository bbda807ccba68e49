//! `ranproof fsck`

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use store::{Store, StoreConfig};

use super::output::{Exit, print, print_json, talk};

/// Hash again everything that an agent stored, and name what is not what was written.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// The agent's data folder.
    #[arg(long)]
    pub data: PathBuf,
}

pub fn run(args: &FsckArgs, json: bool) -> Result<Exit> {
    let path = args.data.join("ranproof.db");
    ensure!(path.exists(), "{} does not exist; hint: --data names an agent's data folder", path.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("cannot start the runtime")?.block_on(async {
        let store = Store::open(StoreConfig::new(&path)).await?;
        let report = store.fsck().await;
        store.close().await;
        report
    })?;
    let faults = report.faults.iter().map(|f| json!({ "table": f.table, "key": f.key, "why": f.why }));
    if json {
        print_json(&json!({ "checked": report.checked, "faults": faults.collect::<Vec<_>>() }))?;
    } else {
        let rows: u64 = report.checked.values().sum();
        print(&format!("{rows} rows hashed, {} faults", report.faults.len()))?;
        report.faults.iter().for_each(|f| talk(&format!("{} {}: {}", f.table, f.key, f.why)));
    }
    Ok(if report.is_clean() { Exit::Clean } else { Exit::Found })
}
