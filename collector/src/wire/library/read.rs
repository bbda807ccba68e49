//! The walk over `<yang-library>` and `<modules-state>`.

use std::collections::BTreeSet;

use super::{LIBRARY_NAMESPACE, LibraryError, LibrarySource, MAX_MODULES, checked, finish};
use crate::schema::{Library, ModuleEntry, ModuleId, shown};
use crate::wire::reply::Scope;
use crate::wire::xml::{Token, Walk};

/// A module set of RFC 8525.
struct ModuleSet {
    name: String,
    modules: Vec<ModuleEntry>,
}

/// What RFC 8525 says beside module sets: which schema is made of which, and what the datastores use.
#[derive(Default)]
struct Assembly {
    sets: Vec<ModuleSet>,
    schemas: Vec<(String, Vec<String>)>,
    running: Option<String>,
}

impl Assembly {
    /// The modules of the running datastore. A station that says nothing of it has all its sets in use.
    fn modules(self) -> Result<Vec<ModuleEntry>, LibraryError> {
        let Some(schema) = self.running else {
            return Ok(self.sets.into_iter().flat_map(|set| set.modules).collect());
        };
        let dangling = |name: &str| LibraryError::Dangling { name: shown(name) };
        let found = self.schemas.iter().find(|(name, _)| *name == schema);
        let (_, wanted) = found.ok_or_else(|| dangling(&schema))?;
        if let Some(absent) = wanted.iter().find(|name| !self.sets.iter().any(|set| set.name == **name)) {
            return Err(dangling(absent));
        }
        let wanted: BTreeSet<&String> = wanted.iter().collect();
        let used = self.sets.into_iter().filter(|set| wanted.contains(&set.name));
        Ok(used.flat_map(|set| set.modules).collect())
    }
}

pub(super) struct Reader<'a> {
    walk: Walk<'a>,
    scope: Scope,
    modules: usize,
}

type Read<T = ()> = Result<T, LibraryError>;

impl<'a> Reader<'a> {
    pub(super) fn new(reply: &'a [u8]) -> Read<Reader<'a>> {
        Ok(Reader { walk: Walk::document(reply)?, scope: Scope::default(), modules: 0 })
    }

    /// Looks for the library anywhere in the reply: its name and namespace are enough.
    pub(super) fn find(&mut self, source: LibrarySource) -> Read<Library> {
        let mut found = None;
        loop {
            match self.walk.token()? {
                (Token::Start(tag), range) => {
                    self.scope.enter(&tag, self.walk.depth(), range.start)?;
                    let here = self.scope.is_in(&tag, LIBRARY_NAMESPACE);
                    match tag.local_name().into_inner() {
                        "yang-library" if here && source == LibrarySource::Rfc8525 => {
                            found = Some(self.yang_library()?);
                        }
                        "modules-state" if here && source == LibrarySource::Rfc7895 => {
                            found = Some(self.modules_state()?);
                        }
                        _ => {}
                    }
                }
                (Token::Done, _) => return found.ok_or(LibraryError::Nothing),
                (Token::End | Token::Text(_), _) => {}
            }
        }
    }

    /// Gives each child of the library's namespace to `take`, which must read it to its end.
    fn children(&mut self, mut take: impl FnMut(&mut Reader<'a>, &str) -> Read) -> Read {
        loop {
            match self.walk.token()? {
                (Token::Start(tag), range) => {
                    self.scope.enter(&tag, self.walk.depth(), range.start)?;
                    if self.scope.is_in(&tag, LIBRARY_NAMESPACE) {
                        take(self, tag.local_name().into_inner())?;
                    } else {
                        self.skip()?;
                    }
                }
                (Token::End | Token::Done, _) => return Ok(()),
                (Token::Text(_), _) => {}
            }
        }
    }

    fn skip(&mut self) -> Read {
        self.walk.skip_element()?;
        Ok(())
    }

    fn text(&mut self) -> Read<String> {
        Ok(self.walk.element_text()?.trim().to_owned())
    }

    /// RFC 8525 §3.
    fn yang_library(&mut self) -> Read<Library> {
        let mut assembly = Assembly::default();
        let mut content_id = None;
        self.children(|reader, name| {
            match name {
                "module-set" => assembly.sets.push(reader.module_set()?),
                "schema" => assembly.schemas.push(reader.schema()?),
                "datastore" => {
                    let (datastore, schema) = reader.datastore()?;
                    // An identity of ietf-datastores, with whatever prefix the station chose.
                    if datastore.rsplit(':').next() == Some("running") {
                        assembly.running = Some(schema);
                    }
                }
                "content-id" => content_id = Some(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(finish(assembly.modules()?, content_id))
    }

    fn module_set(&mut self) -> Read<ModuleSet> {
        let mut set = ModuleSet { name: String::new(), modules: Vec::new() };
        self.children(|reader, name| {
            match name {
                "name" => set.name = reader.text()?,
                "module" => set.modules.push(reader.module(true)?),
                "import-only-module" => set.modules.push(reader.module(false)?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(set)
    }

    fn schema(&mut self) -> Read<(String, Vec<String>)> {
        let (mut schema, mut sets) = (String::new(), Vec::new());
        self.children(|reader, name| {
            match name {
                "name" => schema = reader.text()?,
                "module-set" => sets.push(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok((schema, sets))
    }

    fn datastore(&mut self) -> Read<(String, String)> {
        let (mut datastore, mut schema) = (String::new(), String::new());
        self.children(|reader, name| {
            match name {
                "name" => datastore = reader.text()?,
                "schema" => schema = reader.text()?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok((datastore, schema))
    }

    /// RFC 7895 §2.2.
    fn modules_state(&mut self) -> Read<Library> {
        let (mut modules, mut set_id) = (Vec::new(), None);
        self.children(|reader, name| {
            match name {
                "module" => modules.push(reader.module(true)?),
                "module-set-id" => set_id = Some(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(finish(modules, set_id))
    }

    /// One module of either library; `implemented` where nothing in it says otherwise.
    fn module(&mut self, implemented: bool) -> Read<ModuleEntry> {
        self.modules += 1;
        let at = self.modules;
        if at > MAX_MODULES {
            return Err(LibraryError::TooMany { limit: MAX_MODULES });
        }
        let mut module = Listed { implemented, ..Listed::default() };
        self.children(|reader, name| {
            match name {
                "name" => module.name = reader.text()?,
                "revision" => module.revision = Some(reader.text()?),
                "namespace" => module.namespace = reader.text()?,
                "feature" => module.features.push(checked(&reader.text()?, at)?),
                "deviation" => module.deviations.push(reader.deviation(at)?),
                "submodule" => module.submodules.push(reader.submodule(at)?),
                "conformance-type" => module.implemented = reader.text()? == "implement",
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        module.entry(at)
    }

    fn submodule(&mut self, at: usize) -> Read<ModuleId> {
        let mut listed = Listed::default();
        self.children(|reader, name| {
            match name {
                "name" => listed.name = reader.text()?,
                "revision" => listed.revision = Some(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        listed.entry(at).map(|entry| entry.id)
    }

    /// RFC 8525 lists names, RFC 7895 entries with a name.
    fn deviation(&mut self, at: usize) -> Read<String> {
        let (mut named, mut text) = (None, String::new());
        loop {
            match self.walk.token()? {
                (Token::Start(tag), range) => {
                    self.scope.enter(&tag, self.walk.depth(), range.start)?;
                    if self.scope.is_in(&tag, LIBRARY_NAMESPACE) && tag.local_name().into_inner() == "name" {
                        named = Some(self.text()?);
                    } else {
                        self.skip()?;
                    }
                }
                (Token::Text(piece), _) => text.push_str(&piece),
                (Token::End | Token::Done, _) => break,
            }
        }
        checked(named.as_deref().unwrap_or_else(|| text.trim()), at)
    }
}

/// A module as it is being read.
#[derive(Default)]
struct Listed {
    name: String,
    revision: Option<String>,
    namespace: String,
    features: Vec<String>,
    deviations: Vec<String>,
    submodules: Vec<ModuleId>,
    implemented: bool,
}

impl Listed {
    fn entry(self, at: usize) -> Read<ModuleEntry> {
        if self.name.is_empty() {
            return Err(LibraryError::Nameless { at });
        }
        let id = ModuleId::new(&self.name, self.revision.as_deref());
        Ok(ModuleEntry {
            id: id.map_err(|error| LibraryError::Id { at, error })?,
            namespace: self.namespace,
            features: self.features,
            deviations: self.deviations,
            submodules: self.submodules,
            implemented: self.implemented,
        })
    }
}
