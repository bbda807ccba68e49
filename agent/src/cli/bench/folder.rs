//! A folder for what a measurement leaves.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A folder of this process's own that vanishes with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn create() -> Result<Folder> {
        let mark = hex::encode(crate::keys::random_bytes::<6>()?);
        let path = std::env::temp_dir().join(format!("ranproof-bench-{mark}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Folder(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
