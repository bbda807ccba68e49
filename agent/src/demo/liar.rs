//! The demo's liar: somebody at an operator who has its database and would rather another value had been read.

use std::path::Path;

use anyhow::Result;
use model::{Dn, Value};
use store::{Store, StoreConfig};

/// Rewrites the value that stands behind a commitment, over a connection of its own to the file, while the agent runs.
/// The commitment itself is on its way into a log that others copy: the liar must leave it.
pub fn rewrite(database: &Path, object: &Dn, attribute: &str, value: &Value) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(StoreConfig::new(database)).await?;
        let forged = store.forge_opening(object, attribute, &value.canonical_json()).await;
        store.close().await;
        Ok(forged?)
    })
}
