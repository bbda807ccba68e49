//! `ranproof fsck`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use store::{Fault, FsckReport, Store, StoreConfig, StoreError};

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
        let mut report = check(&path).await?;
        for second in seconds(&args.data)? {
            let name = second.strip_prefix(&args.data).unwrap_or(&second).display().to_string();
            let found = match check(&second).await {
                Ok(found) => found,
                // Nobody brings up to date what is kept of an operator who is none any more.
                Err(error @ StoreError::Older { .. }) => {
                    let (key, why) = (name.clone(), error.to_string());
                    report.faults.push(Fault { table: "second".to_owned(), key, why });
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (table, rows) in found.checked {
                *report.checked.entry(table).or_default() += rows;
            }
            let faults = found.faults.into_iter();
            report
                .faults
                .extend(faults.map(|fault| Fault { table: format!("{name}: {}", fault.table), ..fault }));
        }
        anyhow::Ok(report)
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

async fn check(path: &Path) -> Result<FsckReport, StoreError> {
    let store = Store::open_to_check(StoreConfig::new(path)).await?;
    let report = store.fsck().await;
    store.close().await;
    report
}

/// What the agent keeps of other operators, by name.
fn seconds(data: &Path) -> Result<Vec<PathBuf>> {
    let folder = data.join("second");
    if !folder.exists() {
        return Ok(vec![]);
    }
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.with_context(|| format!("cannot read {}", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;

    #[test]
    fn a_second_store_of_an_earlier_schema_is_a_fault_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let second = folder.path().join("second").join("unicom.db");
        std::fs::create_dir(folder.path().join("second")).unwrap();
        let version = |set: Option<i64>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut link = SqliteConnectOptions::new().filename(&second).connect().await.unwrap();
                if let Some(version) = set {
                    let set = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
                    sqlx::raw_sql(set).execute(&mut link).await.unwrap();
                }
                let (found,): (i64,) =
                    sqlx::query_as("PRAGMA user_version").fetch_one(&mut link).await.unwrap();
                link.close().await.unwrap();
                found
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for path in [&folder.path().join("ranproof.db"), &second] {
                Store::open(StoreConfig::new(path)).await.unwrap().close().await;
            }
        });
        let args = FsckArgs { data: folder.path().to_owned() };
        assert_eq!(run(&args, true).unwrap(), Exit::Clean);
        let earlier = version(None) - 1;
        version(Some(earlier));
        assert_eq!(run(&args, true).unwrap(), Exit::Found);
        assert_eq!(version(None), earlier, "nobody brought it up to date");
    }
}
