//! `ranproof diff`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use collector::file::{Kind, read_file_bytes, sniff};
use collector::reader::ReadContext;
use collector::schema::{DocumentFormat, SchemaSet, SchemaTable, YangWorker};
use model::{Dn, Edit, Profile, diff};
use serde_json::json;

use super::output::{Exit, answer, talk};
use super::schema;
use crate::config::read_formatted;

/// Compare two configurations: NETCONF XML (a reply, its data, or a bare document) or RFC 7951 JSON.
#[derive(Debug, Args)]
pub struct DiffArgs {
    pub old: PathBuf,
    pub new: PathBuf,
    /// Collection profile; the built-in `plain` by default.
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// YANG modules of the station: values are compared in canonical form, and a file that does not validate says so.
    #[arg(long, value_name = "FOLDER")]
    pub schemas: Option<PathBuf>,
    /// Name of the station in the inventory, which the objects of both files are named below.
    #[arg(long, default_value = "ManagedElement=1")]
    pub element: Dn,
}

pub fn run(args: &DiffArgs, json: bool) -> Result<Exit> {
    let profile = match &args.profile {
        Some(path) => read_formatted(path)?,
        None => Profile::plain("plain"),
    };
    let mut schema = args.schemas.as_deref().map(Compiled::of_folder).transpose()?;
    let mut read = |path: &Path| {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = schema.as_ref().map(|schema| &schema.table);
        let context = ReadContext { schema: table, ..ReadContext::new(&profile, &args.element) };
        let snapshot = read_file_bytes(&bytes, &context).with_context(|| path.display().to_string())?;
        if let Some(schema) = &mut schema {
            schema.validate(path, &bytes)?;
        }
        anyhow::Ok(snapshot)
    };
    let edits = diff(&read(&args.old)?, &read(&args.new)?)?;
    answer(json, &json!({ "edits": edits }), &edits.iter().map(line).collect::<String>())?;
    Ok(if edits.is_empty() { Exit::Clean } else { Exit::Found })
}

/// A folder's modules, compiled by a worker that stays to validate.
struct Compiled {
    worker: YangWorker,
    table: SchemaTable,
}

impl Compiled {
    /// What does not load is said, and the rest is used.
    fn of_folder(folder: &Path) -> Result<Compiled> {
        let texts = schema::set_of(folder)?;
        let mut worker = schema::worker()?;
        let set = Arc::new(SchemaSet::whole(&texts).context("cannot lay out the YANG modules")?);
        let faults = worker.load_set(&set)?.faults.len();
        if faults > 0 {
            let folder = folder.display();
            talk(&format!("{folder}: {faults} faults; hint: `ranproof schema check {folder}` tells them"));
        }
        let table = worker.table(&set)?;
        Ok(Compiled { worker, table })
    }

    fn validate(&mut self, path: &Path, document: &[u8]) -> Result<()> {
        let format = match sniff(document).with_context(|| path.display().to_string())? {
            Kind::NetconfXml => DocumentFormat::Xml,
            Kind::Rfc7951Json => DocumentFormat::Json,
        };
        if let Some(fault) = self.worker.validate(document, format)? {
            let place = fault.path.as_deref().unwrap_or("document");
            talk(&format!("{}: not validated: {place}: {}", path.display(), fault.message));
        }
        Ok(())
    }
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
