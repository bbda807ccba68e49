//! What lies in a node's data folder, and the mark of one in which no vote was cast: only that tells the folder of a new
//! validator from one that has lost everything. It is made with the peer-to-peer key and gone for good before the first
//! vote.

use std::fs;
use std::path::{Path, PathBuf};

use crate::home::{HomeError, io};
use crate::store::sync_folder;

/// What a start finds in the folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub store: bool,
    pub wal: bool,
    /// No engine ever ran here.
    pub unused: bool,
}

impl Found {
    pub fn look(folder: &Path) -> Result<Found, HomeError> {
        let exists = |path: PathBuf| path.try_exists().map_err(io("look for", &path));
        Ok(Found {
            store: exists(store_path(folder))?,
            wal: exists(wal_path(folder))?,
            unused: exists(unused_path(folder))?,
        })
    }

    /// That there is no store although there was one.
    pub fn lost_store(&self) -> Option<&'static str> {
        match (self.store || self.unused, self.wal) {
            (true, _) => None,
            (false, true) => Some("the write-ahead log is there, but no store"),
            (false, false) => Some("store and write-ahead log are gone"),
        }
    }
}

pub(crate) fn store_path(folder: &Path) -> PathBuf {
    folder.join("chain.redb")
}

pub(crate) fn wal_path(folder: &Path) -> PathBuf {
    folder.join("wal").join("consensus.wal")
}

/// The mark of a folder in which no vote was cast. It does not lie with the keys, of which people keep copies.
fn unused_path(folder: &Path) -> PathBuf {
    folder.join("unused")
}

/// After everything that a later start looks for is on disk, and before the engine signs anything.
pub(crate) fn no_longer_unused(folder: &Path) -> Result<(), HomeError> {
    let mark = unused_path(folder);
    match fs::remove_file(&mark) {
        Ok(()) => Ok(sync_folder(&mark)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io("remove", &mark)(e)),
    }
}

/// A folder that lost only its key is not unused.
pub(crate) fn mark_unused(folder: &Path) -> Result<(), HomeError> {
    let found = Found::look(folder)?;
    if found.store || found.wal {
        return Ok(());
    }
    let mark = unused_path(folder);
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    fs::write(&mark, "no vote was cast here\n").map_err(io("write", &mark))?;
    Ok(sync_folder(&mark)?)
}
