//! A set of YANG modules: texts under the names that stand in them, from a folder or from a device.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::head::{Head, read_head};
use super::library::ModuleId;

/// Bytes of one module; the largest of 3GPP and O-RAN has 140 kB.
pub const MAX_MODULE_BYTES: usize = 8 << 20;

/// Bytes of one set; all of 3GPP, O-RAN M-plane and IETF together have 5 MB.
const MAX_SET_BYTES: usize = 128 << 20;

/// Modules of one set.
const MAX_MODULES: usize = 4096;

/// Files and folders looked at.
const MAX_ENTRIES: usize = 100_000;

/// One module's text.
#[derive(Debug, Clone)]
pub struct Module {
    /// Who it is, by its own words.
    pub head: Head,
    /// The text.
    pub text: Arc<str>,
    /// Where it came from, for people.
    pub origin: String,
}

/// Something wrong with a schema: where, what, and which modules cannot be used because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaFault {
    /// The module in whose text it is; empty where no text could be read.
    pub module: String,
    /// The file or device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// Modules that are left out because of it.
    pub affects: Vec<String>,
}

/// Modules by name and revision.
#[derive(Debug, Clone, Default)]
pub struct ModuleSet {
    modules: BTreeMap<ModuleId, Module>,
    bytes: usize,
    faults: Vec<SchemaFault>,
}

impl SchemaFault {
    /// One that no module of the set can be blamed for.
    pub fn of_set(message: String) -> SchemaFault {
        SchemaFault { module: String::new(), origin: None, line: None, message, affects: vec![] }
    }
}

impl ModuleSet {
    /// An empty set.
    pub fn new() -> ModuleSet {
        ModuleSet::default()
    }

    /// All `.yang` files in a folder and its subfolders.
    ///
    /// # Errors
    /// Only if the folder itself cannot be read; a file that is no module is a fault of the set.
    pub fn from_folder(folder: &Path) -> std::io::Result<ModuleSet> {
        let mut set = ModuleSet::new();
        fs::read_dir(folder)?;
        for path in set.yang_files(folder) {
            match read_text(&path) {
                Ok(text) => set.insert(text, &path.display().to_string()),
                Err(message) => set.fault(String::new(), &path.display().to_string(), None, message),
            }
        }
        Ok(set)
    }

    /// Adds one module under the name that stands in its text. What cannot be added is a fault.
    pub fn insert(&mut self, text: String, origin: &str) {
        let head = match read_head(&text) {
            Ok(head) => head,
            Err(error) => {
                let message = format!("not a YANG module: {}", error.message);
                return self.fault(String::new(), origin, Some(error.line), message);
            }
        };
        if self.modules.len() >= MAX_MODULES || self.bytes + text.len() > MAX_SET_BYTES {
            let message = "too many modules, this one is left out; hint: load a smaller folder".to_owned();
            return self.fault(head.id.name, origin, None, message);
        }
        match self.modules.get(&head.id) {
            Some(known) if same_words(&known.text, &text) => {}
            Some(known) => {
                let message = format!(
                    "another text of {} than {}, which is used; hint: keep one of them",
                    head.id, known.origin
                );
                self.fault(head.id.name, origin, None, message);
            }
            None => {
                if let Some(other) = self.same_namespace(&head) {
                    let message =
                        format!("its namespace is also that of {other}; hint: only one of them can be meant");
                    self.fault(head.id.name.clone(), origin, None, message);
                }
                self.bytes += text.len();
                let module = Module { head, text: text.into(), origin: origin.to_owned() };
                self.modules.insert(module.head.id.clone(), module);
            }
        }
    }

    /// All modules and submodules.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there is a text of exactly this module.
    pub fn contains(&self, id: &ModuleId) -> bool {
        self.modules.contains_key(id)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Whether nothing more can be added.
    pub fn is_full(&self) -> bool {
        self.modules.len() >= MAX_MODULES || self.bytes >= MAX_SET_BYTES
    }

    /// The text of a module: of this revision, or where none is named the newest.
    pub fn find(&self, id: &ModuleId) -> Option<&Module> {
        match id.revision {
            Some(_) => self.modules.get(id),
            None => self.newest(&id.name),
        }
    }

    /// What the texts import and include and is not there.
    pub fn missing(&self) -> Vec<ModuleId> {
        let needed = self.modules.values().flat_map(|m| m.head.imports.iter().chain(&m.head.includes));
        let missing: BTreeSet<&ModuleId> = needed.filter(|id| self.find(id).is_none()).collect();
        missing.into_iter().cloned().collect()
    }

    /// What is wrong with the texts.
    pub fn faults(&self) -> &[SchemaFault] {
        &self.faults
    }

    /// The newest text of a name.
    pub fn newest(&self, name: &str) -> Option<&Module> {
        self.modules.values().rev().find(|module| module.head.id.name == name)
    }

    /// The modules to be loaded: of each name the newest, no submodules.
    pub fn to_load(&self) -> Vec<ModuleId> {
        let mut newest: BTreeMap<&str, &ModuleId> = BTreeMap::new();
        for module in self.modules.values().filter(|module| module.head.belongs_to.is_none()) {
            newest.insert(&module.head.id.name, &module.head.id);
        }
        newest.into_values().cloned().collect()
    }

    /// A name of exactly these texts: the same set has the same one wherever it lies.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"ranproof/schema-set/1\n");
        for (id, module) in &self.modules {
            for part in [&id.to_string(), &*module.text] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part.as_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// Another module with this one's namespace, which RFC 7950 §5.3 forbids and libyang lets pass.
    fn same_namespace(&self, head: &Head) -> Option<ModuleId> {
        let other = |module: &&Module| module.head.id.name != head.id.name;
        let same = |module: &&Module| head.namespace.is_some() && module.head.namespace == head.namespace;
        self.modules.values().filter(other).find(same).map(|module| module.head.id.clone())
    }

    fn fault(&mut self, module: String, origin: &str, line: Option<u64>, message: String) {
        if self.faults.len() < MAX_MODULES {
            let origin = Some(origin.to_owned());
            self.faults.push(SchemaFault { module, origin, line, message, affects: vec![] });
        }
    }

    /// In one order everywhere. Links to folders are not followed, so that there is no loop.
    fn yang_files(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut files = vec![];
        let mut folders = vec![folder.to_owned()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.fault(String::new(), &folder.display().to_string(), None, error.to_string());
                    continue;
                }
            };
            for entry in entries.flatten() {
                seen += 1;
                if seen > MAX_ENTRIES {
                    let message = "too many files; hint: name the folder of the modules".to_owned();
                    self.fault(String::new(), &folder.display().to_string(), None, message);
                    return files;
                }
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "yang") {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = vec![];
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("not a file".to_owned());
    }
    file.take(MAX_MODULE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > MAX_MODULE_BYTES {
        return Err(format!("larger than {MAX_MODULE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// Whether two texts differ in line ends and blanks at most: copies of one module do.
pub(crate) fn same_words(a: &str, b: &str) -> bool {
    a == b || a.split_ascii_whitespace().eq(b.split_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, revision: &str, rest: &str) -> String {
        format!("module {name} {{ namespace 'urn:{name}'; prefix p; revision {revision}; {rest} }}")
    }

    #[test]
    fn a_folder_gives_its_modules_and_its_faults() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        fs::write(folder.path().join("wrong-name.yang"), module("a", "2020-01-01", "")).unwrap();
        fs::write(folder.path().join("more/a.yang"), module("a", "2021-01-01", "")).unwrap();
        fs::write(folder.path().join("more/b.yang"), "\n\nnothing").unwrap();
        fs::write(folder.path().join("c.yang"), [0xff, 0xfe]).unwrap();
        fs::write(folder.path().join("d.txt"), "nothing").unwrap();
        let set = ModuleSet::from_folder(folder.path()).unwrap();
        assert_eq!(set.len(), 2);
        assert_eq!(set.to_load().iter().map(ToString::to_string).collect::<Vec<_>>(), ["a@2021-01-01"]);
        let faults: Vec<_> = set.faults().iter().map(|f| (f.line, f.message.as_str())).collect();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().any(|(line, m)| *line == Some(3) && m.contains("not a YANG module")));
        assert!(faults.iter().any(|(_, m)| *m == "not UTF-8"));
        assert!(ModuleSet::from_folder(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn two_texts_of_one_revision_are_a_fault_and_copies_are_not() {
        let mut set = ModuleSet::new();
        set.insert(module("a", "2020-01-01", ""), "first");
        let before = set.hash();
        set.insert(module("a", "2020-01-01", "").replace(' ', "\r\n"), "copy");
        assert!(set.faults().is_empty());
        set.insert(module("a", "2020-01-01", "container c;"), "second");
        assert!(set.faults()[0].message.contains("another text of a@2020-01-01 than first"));
        assert_eq!(set.hash(), before);
        set.insert(module("b", "2020-01-01", "import a { prefix a; } import c { prefix c; }"), "third");
        assert_ne!(set.hash(), before);
        assert_eq!(set.missing(), [ModuleId { name: "c".to_owned(), revision: None }]);
    }
}
