//! Texts of modules that stations gave, on disk by name and revision.
//!
//! Rebuildable: without it the stations are asked again. A module's text never changes under one revision
//! (RFC 7950 §11), so the first text stays; another one under the same name is told, not stored.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::schema::set::MAX_MODULE_BYTES;
use crate::schema::{Library, ModuleId, ModuleSet, SchemaFault, read_head};

/// Bytes that are kept. All modules of 3GPP, O-RAN and IETF have 5 MB; what comes on top of this is asked for again
/// after each start.
const MAX_BYTES: u64 = 512 << 20;

/// Bytes of one record.
const MAX_RECORD: u64 = 16 << 20;

/// What a set of modules was when it was fetched whole: with it nothing has to be asked again.
#[derive(Serialize, Deserialize)]
struct Record {
    /// [`RECORD`].
    format: String,
    texts: Vec<RecordedText>,
    faults: Vec<SchemaFault>,
}

#[derive(Serialize, Deserialize)]
struct RecordedText {
    id: ModuleId,
    /// BLAKE3 of the text, hexadecimal.
    hash: String,
}

const RECORD: &str = "ranproof/schema-record/1";

/// A folder of texts, and of records of which belong together.
#[derive(Debug)]
pub struct TextCache {
    folder: PathBuf,
    bytes: AtomicU64,
}

impl TextCache {
    /// The cache in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub fn open(folder: &Path) -> io::Result<TextCache> {
        let mut bytes = 0;
        for part in ["texts", "sets"] {
            let path = folder.join(part);
            fs::create_dir_all(&path)?;
            for entry in fs::read_dir(&path)? {
                bytes += entry?.metadata()?.len();
            }
        }
        Ok(TextCache { folder: folder.to_owned(), bytes: AtomicU64::new(bytes) })
    }

    /// Puts the text that is kept of a module into a set, if there is one.
    pub(super) fn add_known(&self, id: &ModuleId, set: &mut ModuleSet) {
        // A module without revision has no name that lasts.
        let Some(revision) = &id.revision else { return };
        let path = self.text_path(id);
        if let Some(text) = read_bounded(&path, MAX_MODULE_BYTES as u64)
            && read_head(&text).is_ok_and(|head| &head.id == id)
        {
            set.insert(text, &format!("the text kept of {}@{revision}", id.name));
        }
    }

    /// Keeps what was fetched, and that it belongs together under `name`. What cannot be kept is asked for again.
    pub(super) fn keep(&self, name: &[u8; 32], set: &ModuleSet) -> io::Result<()> {
        let mut texts = vec![];
        for module in set.modules() {
            let id = &module.head.id;
            if id.revision.is_none() {
                return Ok(());
            }
            let path = self.text_path(id);
            if !path.exists() && !self.write(&path, module.text.as_bytes())? {
                return Ok(());
            }
            texts.push(RecordedText { id: id.clone(), hash: hash(&module.text) });
        }
        let record = Record { format: RECORD.to_owned(), texts, faults: set.faults().to_vec() };
        self.write(&self.record_path(name), &serde_json::to_vec(&record)?).map(drop)
    }

    /// The set that was kept under `name`, if all of it is still as it was.
    pub(super) fn whole(&self, name: &[u8; 32]) -> Option<ModuleSet> {
        let text = read_bounded(&self.record_path(name), MAX_RECORD)?;
        let record: Record =
            serde_json::from_str(&text).ok().filter(|record: &Record| record.format == RECORD)?;
        let mut set = ModuleSet::new();
        for RecordedText { id, hash: recorded } in &record.texts {
            // The name may have been edited: checked again before it becomes a path.
            let id = ModuleId::new(&id.name, id.revision.as_deref()).ok()?;
            let text = read_bounded(&self.text_path(&id), MAX_MODULE_BYTES as u64)?;
            if hash(&text) != *recorded {
                return None;
            }
            set.insert(text, &format!("the text kept of {id}"));
        }
        // What was wrong with texts that were left out then.
        set.add_faults(record.faults);
        Some(set)
    }

    fn text_path(&self, id: &ModuleId) -> PathBuf {
        self.folder.join("texts").join(format!("{id}.yang"))
    }

    fn record_path(&self, name: &[u8; 32]) -> PathBuf {
        self.folder.join("sets").join(format!("{}.json", hex::encode(name)))
    }

    /// Writes a file whole or not at all; false where the cache is full.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let length = bytes.len() as u64;
        if self.bytes.fetch_add(length, Ordering::Relaxed) + length > MAX_BYTES {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Ok(false);
        }
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&self.folder))?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(true)
    }
}

/// Name of what a station lists: stations with equal lists have equal modules.
pub(super) fn library_name(library: &Library) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ranproof/schema-library/1\n");
    // Sorted lists of texts: one spelling.
    hasher.update(serde_json::to_string(&library.modules).unwrap_or_default().as_bytes());
    *hasher.finalize().as_bytes()
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn read_bounded(path: &Path, limit: u64) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(limit + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= limit).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(texts: &[&str]) -> ModuleSet {
        let mut set = ModuleSet::new();
        for text in texts {
            set.insert((*text).to_owned(), "station:830");
        }
        set
    }

    const A: &str = "module a { namespace 'urn:a'; prefix a; revision 2020-01-01; }";
    const OTHER_A: &str = "module a { namespace 'urn:a'; prefix a; revision 2020-01-01; container c; }";
    const NO_REVISION: &str = "module n { namespace 'urn:n'; prefix n; }";

    #[test]
    fn a_set_comes_back_with_its_faults_until_a_text_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let mut set = set_of(&[A, "no module"]);
        set.insert(OTHER_A.to_owned(), "another station");
        assert_eq!(set.faults().len(), 2);
        TextCache::open(folder.path()).unwrap().keep(&[1; 32], &set).unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        let again = cache.whole(&[1; 32]).unwrap();
        assert_eq!((again.hash(), again.faults()), (set.hash(), set.faults()));
        assert!(cache.whole(&[2; 32]).is_none());
        fs::write(folder.path().join("texts/a@2020-01-01.yang"), OTHER_A).unwrap();
        assert!(cache.whole(&[1; 32]).is_none());
    }

    #[test]
    fn the_first_text_of_a_revision_stays_and_another_one_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        cache.keep(&[1; 32], &set_of(&[A])).unwrap();
        let mut second = ModuleSet::new();
        cache.add_known(&ModuleId::new("a", Some("2020-01-01")).unwrap(), &mut second);
        second.insert(OTHER_A.to_owned(), "192.0.2.7:830");
        cache.keep(&[2; 32], &second).unwrap();
        let fault = &cache.whole(&[2; 32]).unwrap().faults()[0].clone();
        assert_eq!(fault.origin.as_deref(), Some("192.0.2.7:830"));
        assert!(fault.message.starts_with("another text of a@2020-01-01 than the text kept"), "{fault:?}");
        assert_eq!(cache.whole(&[2; 32]).unwrap().hash(), set_of(&[A]).hash());
    }

    #[test]
    fn what_has_no_revision_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        cache.keep(&[1; 32], &set_of(&[NO_REVISION])).unwrap();
        assert!(cache.whole(&[1; 32]).is_none());
        let mut set = ModuleSet::new();
        cache.add_known(&ModuleId::new("n", None).unwrap(), &mut set);
        assert!(set.is_empty());
    }

    #[test]
    fn a_record_that_somebody_edited_names_no_file_outside() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        for record in [
            "{}",
            "[",
            r#"{"format":"ranproof/schema-record/1","faults":[],"texts":[{"id":{"name":"../../x","revision":null},"hash":""}]}"#,
        ] {
            fs::write(cache.record_path(&[1; 32]), record).unwrap();
            assert!(cache.whole(&[1; 32]).is_none(), "{record}");
        }
    }
}
