//! A set of modules as a worker takes it: the texts in a folder, and which of them are to be compiled.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Schema;
use super::library::{Library, ModuleId};
use super::protocol::{Loaded, Wanted};
use super::set::{ModuleSet, SchemaFault};

/// Modules of one set of which it is remembered that somebody has another text.
const MAX_DOUBTS: usize = 20;

/// One schema, before libyang has seen it. Its texts lie on disk for as long as this lives, not in memory: there may be
/// as many sets as there are kinds of station.
#[derive(Debug)]
pub struct SchemaSet {
    hash: [u8; 32],
    folder: tempfile::TempDir,
    modules: Vec<Wanted>,
    /// Where each text came from.
    origins: BTreeMap<ModuleId, String>,
    /// What is wrong with the texts themselves.
    faults: Vec<SchemaFault>,
    /// libyang came to the answer that something else is wrong too.
    faulty: AtomicBool,
    /// Modules of which another station gives another text, and who.
    doubts: Mutex<BTreeMap<ModuleId, String>>,
}

impl SchemaSet {
    /// All modules, of each name the newest, all features on. Its hash is that of the texts.
    ///
    /// # Errors
    /// If the texts cannot be written.
    pub fn whole(texts: &ModuleSet) -> io::Result<SchemaSet> {
        let modules = texts.to_load().into_iter().map(|id| Wanted { id, features: None }).collect();
        SchemaSet::lay_out(texts, modules, texts.hash())
    }

    /// What a station implements, with the features that it has; what it only imports is found when it is needed.
    ///
    /// # Errors
    /// If the texts cannot be written.
    pub fn of_library(texts: &ModuleSet, library: &Library) -> io::Result<SchemaSet> {
        let modules = implemented(texts, library);
        let hash = hash(texts, &modules);
        SchemaSet::lay_out(texts, modules, hash)
    }

    /// The hash that [`SchemaSet::of_library`] would have, without laying anything out.
    pub fn hash_of_library(texts: &ModuleSet, library: &Library) -> [u8; 32] {
        hash(texts, &implemented(texts, library))
    }

    /// Writes the texts where libyang finds them by name and revision.
    fn lay_out(texts: &ModuleSet, modules: Vec<Wanted>, hash: [u8; 32]) -> io::Result<SchemaSet> {
        let folder = tempfile::Builder::new().prefix("ranproof-yang-").tempdir()?;
        let mut origins = BTreeMap::new();
        for module in texts.modules() {
            let id = &module.head.id;
            std::fs::write(folder.path().join(format!("{id}.yang")), module.text.as_bytes())?;
            origins.insert(id.clone(), module.origin.clone());
        }
        let (faults, faulty) = (texts.faults().to_vec(), AtomicBool::new(false));
        Ok(SchemaSet { hash, folder, modules, origins, faults, faulty, doubts: Mutex::default() })
    }

    /// Name of the set: equal texts, modules and features have equal names.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether something is known to be wrong with it.
    pub(crate) fn is_faulty(&self) -> bool {
        !self.faults.is_empty() || self.faulty.load(Ordering::Relaxed)
    }

    /// Notes that libyang found something wrong. It would again: equal texts have equal faults.
    pub(crate) fn note_faulty(&self) {
        self.faulty.store(true, Ordering::Relaxed);
    }

    /// The modules and submodules whose texts it has.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ModuleId> {
        self.origins.keys()
    }

    /// A module's text as it was given, and by whom.
    pub(crate) fn text(&self, id: &ModuleId) -> Option<(String, &str)> {
        let origin = self.origins.get(id)?;
        let text = std::fs::read_to_string(self.folder.path().join(format!("{id}.yang"))).ok()?;
        Some((text, origin))
    }

    /// Notes that somebody has another text of a module; what was noted of it first stays.
    pub(crate) fn doubt(&self, id: &ModuleId, message: &str) {
        let mut doubts = self.doubted();
        if doubts.len() < MAX_DOUBTS {
            doubts.entry(id.clone()).or_insert_with(|| message.to_owned());
        }
    }

    /// Modules of which somebody has another text.
    pub(crate) fn doubts(&self) -> BTreeMap<ModuleId, String> {
        self.doubted().clone()
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeMap<ModuleId, String>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn modules(&self) -> &[Wanted] {
        &self.modules
    }

    /// What libyang made of it, with the faults of the texts and the places of all.
    pub(super) fn compiled(&self, mut loaded: Loaded) -> Schema {
        // libyang brings a few modules of its own.
        loaded.modules.retain(|module| self.origins.contains_key(&module.id));
        let mut faults = self.faults.clone();
        faults.extend(loaded.faults.into_iter().map(|fault| SchemaFault {
            origin: self.origin(&fault.module),
            module: fault.module,
            line: fault.line,
            message: fault.message,
            affects: fault.affects,
        }));
        Schema { set: self.hash, modules: loaded.modules, faults }
    }

    /// Of the newest text of this name.
    fn origin(&self, name: &str) -> Option<String> {
        self.origins.iter().rev().find(|(id, _)| id.name == name).map(|(_, origin)| origin.clone())
    }
}

fn implemented(texts: &ModuleSet, library: &Library) -> Vec<Wanted> {
    let implemented = library.modules.iter().filter(|entry| entry.implemented);
    let wanted = implemented.filter_map(|entry| {
        let id = texts.find(&entry.id)?.head.id.clone();
        Some(Wanted { id, features: Some(entry.features.clone()) })
    });
    wanted.collect()
}

fn hash(texts: &ModuleSet, modules: &[Wanted]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ranproof/schema-of-station/1\n");
    hasher.update(&texts.hash());
    for Wanted { id, features } in modules {
        let features = features.as_deref().unwrap_or_default();
        let id = id.to_string();
        hasher.update(&(features.len() as u64).to_be_bytes());
        for part in std::iter::once(&id).chain(features) {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::library::ModuleEntry;
    use super::*;

    fn entry(name: &str, implemented: bool, features: &[&str]) -> ModuleEntry {
        ModuleEntry {
            id: ModuleId::new(name, None).unwrap(),
            namespace: format!("urn:{name}"),
            features: features.iter().map(|f| (*f).to_owned()).collect(),
            deviations: vec![],
            submodules: vec![],
            implemented,
        }
    }

    #[test]
    fn a_station_has_what_it_implements_and_features_make_another_set() {
        let mut texts = ModuleSet::new();
        for name in ["a", "b", "lent"] {
            texts.insert(
                format!("module {name} {{ namespace 'urn:{name}'; prefix p; revision 2020-01-01; }}"),
                "x",
            );
        }
        let of = |features: &[&str]| {
            let modules =
                vec![entry("a", true, features), entry("absent", true, &[]), entry("lent", false, &[])];
            SchemaSet::of_library(&texts, &Library { modules, content_id: None }).unwrap()
        };
        let set = of(&["f"]);
        let names: Vec<_> = set.modules().iter().map(|wanted| wanted.id.to_string()).collect();
        assert_eq!(names, ["a@2020-01-01"]);
        assert_eq!(set.hash(), of(&["f"]).hash());
        assert_ne!(set.hash(), of(&[]).hash());
        assert_eq!(std::fs::read_dir(set.folder()).unwrap().count(), 3);
    }
}
