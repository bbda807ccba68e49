//! `ranproof schema` and the worker process behind it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use collector::schema::client::Schema;
use collector::schema::worker::{self, WorkerBounds};
use collector::schema::{ModuleSet, SchemaFault, WorkerCommand, WorkerLimits, YangWorker};
use serde_json::json;

use super::output::{Exit, print, print_json};

/// YANG modules in folders.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Compile all modules of a folder and its subfolders, and say what does not load
    #[command(
        after_help = "Example: ranproof schema check ./yang\nExit codes: 0 all load, 1 faults, 2 could not do it."
    )]
    Check {
        /// The folder.
        folder: PathBuf,
    },
    /// List the modules of a folder and its subfolders, without compiling them
    List {
        /// The folder.
        folder: PathBuf,
    },
}

pub fn run(command: &SchemaCommand, json: bool) -> Result<Exit> {
    match command {
        SchemaCommand::Check { folder } => check(folder, json),
        SchemaCommand::List { folder } => list(folder, json),
    }
}

/// The worker's whole life.
pub fn work() -> Result<Exit> {
    worker::run(WorkerBounds::default()).context("the YANG worker")?;
    Ok(Exit::Clean)
}

/// One that is not started yet.
pub(super) fn worker() -> Result<YangWorker> {
    let command = WorkerCommand::this_program().context("cannot tell where this program lies")?;
    Ok(YangWorker::new(command, WorkerLimits::default()))
}

pub(super) fn set_of(folder: &Path) -> Result<ModuleSet> {
    let set = ModuleSet::from_folder(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    anyhow::ensure!(
        !set.is_empty() || !set.faults().is_empty(),
        "no YANG modules in {}; hint: their names end in .yang",
        folder.display()
    );
    Ok(set)
}

fn check(folder: &Path, json: bool) -> Result<Exit> {
    let set = set_of(folder)?;
    let mut worker = worker()?;
    let schema = match worker.load(&set) {
        Ok(schema) => schema,
        Err(error) => {
            let mut faults = set.faults().to_vec();
            faults.push(error.into_fault()?);
            Schema { set: set.hash(), modules: vec![], faults }
        }
    };
    if json {
        print_json(&json!({
            "set": hex::encode(schema.set),
            "texts": set.len(),
            "loaded": schema.modules.len(),
            "modules": schema.modules,
            "faults": schema.faults,
        }))?;
    } else {
        let lines: String = schema.faults.iter().map(line).collect();
        let count = format!("{} modules load, {} faults\n", schema.modules.len(), schema.faults.len());
        print(&[lines, count].concat())?;
    }
    Ok(if schema.faults.is_empty() { Exit::Clean } else { Exit::Found })
}

/// `file:line: module: message`, as editors understand it.
fn line(fault: &SchemaFault) -> String {
    let mut place = fault.origin.clone().unwrap_or_default();
    if let Some(line) = fault.line {
        place.push_str(&format!(":{line}"));
    }
    let parts = [place.as_str(), &fault.module, &fault.message];
    let mut text = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ");
    if !fault.affects.is_empty() {
        text.push_str(&format!("; left out: {}", fault.affects.join(", ")));
    }
    text.push('\n');
    text
}

fn list(folder: &Path, json: bool) -> Result<Exit> {
    let set = set_of(folder)?;
    if json {
        let modules: Vec<_> = set
            .modules()
            .map(|module| {
                json!({
                    "id": module.head.id,
                    "namespace": module.head.namespace,
                    "belongs-to": module.head.belongs_to,
                    "origin": module.origin,
                })
            })
            .collect();
        print_json(&json!({ "modules": modules, "faults": set.faults() }))?;
    } else {
        let module = |head: &collector::schema::Head| match (&head.namespace, &head.belongs_to) {
            (_, Some(module)) => format!("{} (submodule of {module})\n", head.id),
            (namespace, None) => format!("{} {}\n", head.id, namespace.as_deref().unwrap_or("-")),
        };
        let lines = set.modules().map(|m| module(&m.head)).chain(set.faults().iter().map(line));
        print(&lines.collect::<String>())?;
    }
    Ok(if set.faults().is_empty() { Exit::Clean } else { Exit::Found })
}
