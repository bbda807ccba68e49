//! The YANG modules that an agent validates against, as its configuration says.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use collector::schema::WorkerCommand;
use collector::validation::{Schemas, TextCache, WorkerPool};

use crate::config::{AgentConfig, SchemaSource};
use crate::keys;

/// Reads the folder, or opens the cache of what stations gave. No worker is started before there is a reply.
pub(crate) fn open(config: &AgentConfig) -> Result<Option<Arc<Schemas>>> {
    let section = &config.collection.schemas;
    let pool = || {
        let command = WorkerCommand::this_program().context("cannot tell where this program lies")?;
        anyhow::Ok(WorkerPool::new(command, section.workers))
    };
    let schemas = match (section.from, &section.folder) {
        (SchemaSource::Device, _) => {
            let folder = config.data.join("schemas");
            let cache =
                TextCache::open(&folder).with_context(|| format!("cannot use {}", folder.display()))?;
            Schemas::from_devices(cache, pool()?, keys::random_bytes()?)
        }
        (SchemaSource::Folder, Some(folder)) => Schemas::from_folder(folder, pool()?).with_context(|| {
            format!("YANG modules in {}; hint: `ranproof schema check` says what is there", folder.display())
        })?,
        (SchemaSource::Folder | SchemaSource::None, _) => return Ok(None),
    };
    Ok(Some(Arc::new(schemas)))
}
