//! Texts of modules that stations gave, on disk by name and revision.
//!
//! Rebuildable: without it the stations are asked again. A module's text never changes under one revision
//! (RFC 7950 §11), so the first text stays here until a station has another one under the same name: which of the two is
//! right nobody here knows, so that the file goes and, until the next start, neither is kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::schema::set::MAX_MODULE_BYTES;
use crate::schema::{Library, ModuleId, ModuleSet, read_head};

/// Bytes that are kept. All modules of 3GPP, O-RAN and IETF have 5 MB; what comes on top of this is asked for again
/// after each start.
const MAX_BYTES: u64 = 512 << 20;

/// Bytes of one record.
const MAX_RECORD: u64 = 16 << 20;

/// Modules of which it is remembered that two stations gave different texts. Where there are more, nothing is kept or
/// given any more.
const MAX_DOUBTED: usize = 4096;

/// What a set of modules was when it was fetched whole: with it nothing has to be asked again.
#[derive(Serialize, Deserialize)]
struct Record {
    /// [`RECORD`].
    format: String,
    texts: Vec<RecordedText>,
}

#[derive(Serialize, Deserialize)]
struct RecordedText {
    id: ModuleId,
    /// BLAKE3 of the text, hexadecimal.
    hash: String,
    /// Which station gave it; records of before do not say.
    #[serde(default)]
    origin: Option<String>,
}

const RECORD: &str = "ranproof/schema-record/1";

/// A folder of texts, and of records of which belong together.
#[derive(Debug)]
pub struct TextCache {
    folder: PathBuf,
    bytes: AtomicU64,
    /// Modules of which two stations gave different texts.
    doubted: Mutex<BTreeSet<ModuleId>>,
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
        Ok(TextCache { folder: folder.to_owned(), bytes: AtomicU64::new(bytes), doubted: Mutex::default() })
    }

    /// The text that is kept of a module, if there is one that nobody contradicted.
    pub(super) fn text(&self, id: &ModuleId) -> Option<String> {
        // A module without revision has no name that lasts.
        id.revision.as_ref().filter(|_| !self.is_doubted(id))?;
        let text = read_bounded(&self.text_path(id), MAX_MODULE_BYTES as u64)?;
        read_head(&text).is_ok_and(|head| &head.id == id).then_some(text)
    }

    /// Keeps a set that was fetched whole and without faults, under `name`. What cannot be kept is asked for again.
    pub(super) fn keep(&self, name: &[u8; 32], set: &ModuleSet) -> io::Result<()> {
        let cannot = |id: &ModuleId| id.revision.is_none() || self.is_doubted(id);
        if set.modules().any(|module| cannot(&module.head.id)) {
            return Ok(());
        }
        let mut texts = vec![];
        for module in set.modules() {
            let id = &module.head.id;
            let path = self.text_path(id);
            if !path.exists() && !self.write(&path, module.text.as_bytes())? {
                return Ok(());
            }
            let origin = Some(module.origin.clone());
            texts.push(RecordedText { id: id.clone(), hash: hash(&module.text), origin });
        }
        let record = Record { format: RECORD.to_owned(), texts };
        self.write(&self.record_path(name), &serde_json::to_vec(&record)?).map(drop)
    }

    /// The set that was kept under `name`, if all of it is still as it was.
    pub(super) fn whole(&self, name: &[u8; 32]) -> Option<ModuleSet> {
        let text = read_bounded(&self.record_path(name), MAX_RECORD)?;
        let record: Record =
            serde_json::from_str(&text).ok().filter(|record: &Record| record.format == RECORD)?;
        let mut set = ModuleSet::new();
        for RecordedText { id, hash: recorded, origin } in record.texts {
            // The name may have been edited: checked again before it becomes a path.
            let id =
                ModuleId::new(&id.name, id.revision.as_deref()).ok().filter(|id| !self.is_doubted(id))?;
            let text = read_bounded(&self.text_path(&id), MAX_MODULE_BYTES as u64)?;
            if hash(&text) != recorded {
                return None;
            }
            set.insert(text, &origin.unwrap_or_else(|| format!("the text kept of {id}")));
        }
        Some(set)
    }

    /// Forgets what belongs together under `name`: something was wrong with it.
    pub(super) fn forget(&self, name: &[u8; 32]) {
        self.remove(&self.record_path(name));
    }

    /// Forgets the text of a module of which two stations gave different ones, and takes none from then on.
    pub(super) fn doubt(&self, id: &ModuleId) {
        let mut doubted = self.doubted();
        if doubted.len() < MAX_DOUBTED {
            doubted.insert(id.clone());
        }
        drop(doubted);
        self.remove(&self.text_path(id));
    }

    fn is_doubted(&self, id: &ModuleId) -> bool {
        let doubted = self.doubted();
        doubted.len() >= MAX_DOUBTED || doubted.contains(id)
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeSet<ModuleId>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
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
            self.give_back(length);
            return Ok(false);
        }
        let replaced = length_of(path);
        let written = self.replace(path, bytes);
        self.give_back(if written.is_ok() { replaced } else { length });
        written.map(|()| true)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&self.folder))?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }

    fn remove(&self, path: &Path) {
        let length = length_of(path);
        match fs::remove_file(path) {
            Ok(()) => self.give_back(length),
            // It may never have been kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!("{} cannot be removed, it is not used any more: {error}", path.display())
            }
        }
    }

    /// Room for so many bytes again. Somebody else may have changed the files: there is never less than none in use.
    fn give_back(&self, length: u64) {
        let less = |bytes: u64| Some(bytes.saturating_sub(length));
        // It always gives a number.
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

fn length_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
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
    fn a_set_comes_back_until_a_text_is_touched_or_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let set = set_of(&[A]);
        TextCache::open(folder.path()).unwrap().keep(&[1; 32], &set).unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        let whole = cache.whole(&[1; 32]).unwrap();
        assert_eq!(whole.hash(), set.hash());
        assert!(whole.modules().all(|module| module.origin == "station:830"), "who gave it is kept with it");
        assert!(cache.whole(&[2; 32]).is_none());
        cache.keep(&[2; 32], &set).unwrap();
        cache.forget(&[2; 32]);
        assert!(cache.whole(&[2; 32]).is_none());
        fs::write(folder.path().join("texts/a@2020-01-01.yang"), OTHER_A).unwrap();
        assert!(cache.whole(&[1; 32]).is_none());
    }

    #[test]
    fn the_first_text_of_a_revision_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        let id = ModuleId::new("a", Some("2020-01-01")).unwrap();
        assert_eq!(cache.text(&id), None);
        cache.keep(&[1; 32], &set_of(&[A])).unwrap();
        cache.keep(&[2; 32], &set_of(&[OTHER_A])).unwrap();
        assert_eq!(cache.text(&id).as_deref(), Some(A));
        assert!(cache.whole(&[1; 32]).is_some() && cache.whole(&[2; 32]).is_none());
    }

    #[test]
    fn a_text_that_was_doubted_is_gone_and_neither_it_nor_another_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        let id = ModuleId::new("a", Some("2020-01-01")).unwrap();
        cache.keep(&[1; 32], &set_of(&[A])).unwrap();
        cache.doubt(&id);
        assert!(!folder.path().join("texts/a@2020-01-01.yang").exists());
        for text in [A, OTHER_A] {
            cache.keep(&[1; 32], &set_of(&[text])).unwrap();
            assert_eq!(cache.text(&id), None);
            assert!(cache.whole(&[1; 32]).is_none());
        }
        let restarted = TextCache::open(folder.path()).unwrap();
        assert_eq!(restarted.text(&id), None);
        restarted.keep(&[1; 32], &set_of(&[A])).unwrap();
        assert!(restarted.whole(&[1; 32]).is_some(), "the stations are asked again after a start");
    }

    #[test]
    fn what_is_gone_or_written_over_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        let in_use = || cache.bytes.load(Ordering::Relaxed);
        let on_disk = || TextCache::open(folder.path()).unwrap().bytes.into_inner();
        for name in [[1; 32], [1; 32], [2; 32]] {
            cache.keep(&name, &set_of(&[A])).unwrap();
            assert_eq!(in_use(), on_disk());
        }
        cache.forget(&[1; 32]);
        cache.forget(&[1; 32]);
        cache.doubt(&ModuleId::new("a", Some("2020-01-01")).unwrap());
        assert_eq!(in_use(), on_disk());
        cache.forget(&[2; 32]);
        assert_eq!(in_use(), 0);
        assert!(cache.write(&folder.path().join("absent/file"), b"text").is_err());
        assert_eq!(in_use(), 0);
    }

    #[test]
    fn what_has_no_revision_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        cache.keep(&[1; 32], &set_of(&[NO_REVISION])).unwrap();
        assert!(cache.whole(&[1; 32]).is_none());
        assert_eq!(cache.text(&ModuleId::new("n", None).unwrap()), None);
    }

    #[test]
    fn a_record_that_somebody_edited_names_no_file_outside() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path()).unwrap();
        for record in [
            "{}",
            "[",
            r#"{"format":"ranproof/schema-record/1","texts":[{"id":{"name":"../../x","revision":null},"hash":""}]}"#,
        ] {
            fs::write(cache.record_path(&[1; 32]), record).unwrap();
            assert!(cache.whole(&[1; 32]).is_none(), "{record}");
        }
    }
}
