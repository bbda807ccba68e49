//! `ranproof diff`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use collector::file::read_file_bytes;
use collector::reader::ReadContext;
use model::{Dn, Edit, Profile, diff};
use serde_json::json;

use super::output::{Exit, print, print_json};
use crate::config::read_yaml;

/// Compare two configurations: NETCONF XML (a reply, its data, or a bare document) or RFC 7951 JSON.
#[derive(Debug, Args)]
pub struct DiffArgs {
    pub old: PathBuf,
    pub new: PathBuf,
    /// Collection profile; the built-in `plain` by default.
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// Name of the station in the inventory, which the objects of both files are named below.
    #[arg(long, default_value = "ManagedElement=1")]
    pub element: Dn,
}

pub fn run(args: &DiffArgs, json: bool) -> Result<Exit> {
    let profile = match &args.profile {
        Some(path) => read_yaml(path)?,
        None => Profile::plain("plain"),
    };
    let read = |path: &Path| {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        read_file_bytes(&bytes, &ReadContext::new(&profile, &args.element))
            .with_context(|| path.display().to_string())
    };
    let edits = diff(&read(&args.old)?, &read(&args.new)?)?;
    if json {
        print_json(&json!({ "edits": edits }))?;
    } else {
        print(&edits.iter().map(line).collect::<String>())?;
    }
    Ok(if edits.is_empty() { Exit::Clean } else { Exit::Found })
}

fn line(edit: &Edit) -> String {
    let text = |value: &Option<model::Value>| value.as_ref().map_or("∅".to_owned(), ToString::to_string);
    let moved = if edit.moved { " (reordered)" } else { "" };
    format!(
        "{} {} {}: {} → {}{moved}\n",
        edit.operation.as_str(),
        edit.object,
        edit.attribute,
        text(&edit.old),
        text(&edit.new)
    )
}
