//! A station's memory: its configuration and the journal of its edits, safe against `kill -9`.
//!
//! Order of a write: the journal line is appended and synced, then the configuration is replaced (write
//! aside, sync, rename, sync the folder), then the edit is acknowledged. The configuration file carries the
//! number of the last edit in it. A crash after the journal line leaves a line whose number the configuration
//! has not reached: that edit did not happen and was not acknowledged, so [`StationStore::open`] takes the line
//! back. A crash while writing aside leaves a file nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::objects::{Change, changes};
use crate::tree::Element;

const NAMESPACE: &str = "urn:ranproof:sim";

/// Why a station's memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("cannot use `{}`; hint: check space and permissions of the folder", .path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("`{}` is no station's configuration: {why}; hint: remove it to begin anew", .path.display())]
    Foreign {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// One line of the journal: the truth about what was changed and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Number of the edit, from 1.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The account.
    pub user: String,
    /// The NETCONF session.
    pub session: u32,
    /// What changed; empty where an edit asked for what was there already.
    pub changes: Vec<JournalChange>,
}

/// One change as read back from the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalChange {
    /// DN of the object.
    pub object: String,
    /// The attribute, or `@object`.
    pub attribute: String,
    /// `create`, `replace` or `delete`.
    pub operation: String,
    /// The value before.
    pub old: Option<Value>,
    /// The value after.
    pub new: Option<Value>,
}

impl From<Change> for JournalChange {
    fn from(change: Change) -> JournalChange {
        let Change { object, attribute, operation, old, new } = change;
        JournalChange { object, attribute, operation: operation.to_owned(), old, new }
    }
}

/// The configuration of one station and where it is kept.
#[derive(Debug)]
pub struct StationStore {
    tree: Vec<Element>,
    sequence: u64,
    file: PathBuf,
    journal: PathBuf,
}

impl StationStore {
    /// Opens a station's memory in `folder`, or begins it with `initial`.
    ///
    /// # Errors
    /// [`StoreError`]; a damaged file is never overwritten.
    pub fn open(
        folder: &Path,
        station: usize,
        initial: impl FnOnce() -> Element,
    ) -> Result<StationStore, StoreError> {
        let file = folder.join(format!("station-{station:04}.xml"));
        let journal = journal_path(folder, station);
        let mut store = match fs::read(&file) {
            Ok(bytes) => {
                let (tree, sequence) =
                    read_state(&bytes).map_err(|why| StoreError::Foreign { path: file.clone(), why })?;
                StationStore { tree, sequence, file, journal }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let store = StationStore { tree: vec![initial()], sequence: 0, file, journal };
                store.write_state(&store.tree, 0)?;
                store
            }
            Err(source) => return Err(StoreError::Io { path: file, source }),
        };
        store.recover_journal()?;
        Ok(store)
    }

    /// The configuration.
    pub fn tree(&self) -> &[Element] {
        &self.tree
    }

    /// Number of the last edit.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Makes `tree` the configuration; when this returns, it survives a crash.
    pub fn replace(&mut self, tree: Vec<Element>, user: &str, session: u32) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = JournalEntry {
            sequence,
            time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            user: user.to_owned(),
            session,
            changes: changes(&self.tree, &tree).into_iter().map(JournalChange::from).collect(),
        };
        self.append_journal(&entry)?;
        self.write_state(&tree, sequence)?;
        self.tree = tree;
        self.sequence = sequence;
        Ok(())
    }

    fn append_journal(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { path: self.journal.clone(), source };
        let mut line = serde_json::to_vec(entry).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        // A line left by an attempt that failed half-way must not be doubled.
        let known = self.acknowledged_bytes()?;
        let mut file = OpenOptions::new().create(true).append(true).open(&self.journal).map_err(failed)?;
        file.set_len(known).map_err(failed)?;
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Cuts lines off the journal whose edits never took effect.
    fn recover_journal(&mut self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { path: self.journal.clone(), source };
        let known = self.acknowledged_bytes()?;
        match OpenOptions::new().write(true).open(&self.journal) {
            Ok(file) => file.set_len(known).and_then(|()| file.sync_all()).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// How many bytes of the journal tell of edits up to the configuration's own number.
    fn acknowledged_bytes(&self) -> Result<u64, StoreError> {
        let bytes = match fs::read(&self.journal) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(source) => return Err(StoreError::Io { path: self.journal.clone(), source }),
        };
        let mut known = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice::<JournalEntry>(line) {
                Ok(entry) if entry.sequence <= self.sequence && line.ends_with(b"\n") => {
                    known += line.len() as u64
                }
                _ => break,
            }
        }
        Ok(known)
    }

    fn write_state(&self, tree: &[Element], sequence: u64) -> Result<(), StoreError> {
        let mut state = Element::new(NAMESPACE, "station").marked("", "sequence", &sequence.to_string());
        state.children = tree.to_vec();
        write_atomically(&self.file, state.to_xml().as_bytes(), 0o644)
            .map_err(|source| StoreError::Io { path: self.file.clone(), source })
    }
}

/// Where a station's journal lies.
pub fn journal_path(folder: &Path, station: usize) -> PathBuf {
    folder.join(format!("station-{station:04}.journal.jsonl"))
}

/// The journal of a station, empty where nothing was edited yet.
///
/// # Errors
/// [`StoreError`]; a line without its end is left out, since its edit was not acknowledged.
pub fn read_journal(folder: &Path, station: usize) -> Result<Vec<JournalEntry>, StoreError> {
    let path = journal_path(folder, station);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::Io { path, source }),
    };
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    whole
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|e| StoreError::Foreign { path: path.clone(), why: e.to_string() })
        })
        .collect()
}

/// Replaces a file so that a reader and a crash find either the old or the new content, and the new one once
/// this returned. `mode` is that of a new file.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn read_state(bytes: &[u8]) -> Result<(Vec<Element>, u64), String> {
    let state = Element::parse(bytes).map_err(|error| error.to_string())?;
    if state.name != "station" || state.namespace != NAMESPACE {
        return Err(format!("the root is `{}`", state.name));
    }
    let sequence = state.attribute("", "sequence").and_then(|text| text.parse().ok());
    Ok((state.children, sequence.ok_or("no sequence number")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StationPlan;

    fn initial() -> Element {
        StationPlan { seed: 1, station: 4, stations: 4, cells: 1, west: 0 }.configuration()
    }

    fn without_unit(store: &StationStore) -> Vec<Element> {
        let mut tree = store.tree().to_vec();
        tree[0].children.retain(|child| child.name != "GNBCUCPFunction");
        tree
    }

    #[test]
    fn edits_survive_and_are_journalled_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StationStore::open(folder.path(), 4, initial).unwrap();
        store.replace(without_unit(&store), "manager", 9).unwrap();
        let again = StationStore::open(folder.path(), 4, || panic!("it exists")).unwrap();
        assert_eq!((again.tree(), again.sequence()), (store.tree(), 1));
        let journal = read_journal(folder.path(), 4).unwrap();
        assert_eq!((journal.len(), journal[0].session), (1, 9));
        assert!(
            journal[0]
                .changes
                .iter()
                .any(|c| c.object.ends_with("GNBCUCPFunction=1") && c.operation == "delete")
        );
    }

    #[test]
    fn line_of_an_edit_that_never_happened_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StationStore::open(folder.path(), 4, initial).unwrap();
        store.replace(without_unit(&store), "manager", 9).unwrap();
        let whole = fs::read(journal_path(folder.path(), 4)).unwrap();
        let unreached = String::from_utf8(whole.clone()).unwrap().replace("\"sequence\":1", "\"sequence\":2");
        for tail in [unreached.as_bytes(), b"{\"sequence\":2,\"us"] {
            fs::write(journal_path(folder.path(), 4), [whole.as_slice(), tail].concat()).unwrap();
            StationStore::open(folder.path(), 4, initial).unwrap();
            assert_eq!(fs::read(journal_path(folder.path(), 4)).unwrap(), whole);
        }
    }

    #[test]
    fn damaged_configuration_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("station-0004.xml");
        for damaged in ["<station", "<other/>", "<station xmlns='urn:ranproof:sim'/>"] {
            fs::write(&file, damaged).unwrap();
            let error = StationStore::open(folder.path(), 4, initial).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }));
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
        }
    }
}
