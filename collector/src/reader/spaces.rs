//! Namespaces: interned, and named as the profile says.

use std::collections::HashMap;
use std::sync::Arc;

use model::Profile;
use model::profile::ObjectRule;

use super::error::{Fault, Problem};
use crate::schema::SchemaTable;

/// Distinct namespaces in one document; 3GPP's whole set has about 100.
const MAX_SPACES: usize = 2048;

/// An interned namespace; [`NO_SPACE`] is "none".
pub(super) type Space = u32;

pub(super) const NO_SPACE: Space = 0;

/// A resolved name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) space: Space,
    pub(super) local: &'a str,
}

struct Entry<'p> {
    uri: String,
    /// What stands before the local name where the name is qualified.
    label: String,
    rules: Vec<&'p ObjectRule>,
    /// The schema's module.
    module: Option<u32>,
}

/// All namespaces of a document.
pub(super) struct Spaces<'p> {
    profile: &'p Profile,
    schema: Option<&'p SchemaTable>,
    entries: Vec<Entry<'p>>,
    /// The namespace of each declaration so far.
    declared: Vec<Space>,
    index: HashMap<String, Space>,
    last: Space,
}

impl<'p> Spaces<'p> {
    pub(super) fn new(profile: &'p Profile, schema: Option<&'p SchemaTable>) -> Spaces<'p> {
        let rules = rules(profile, |uri| uri.is_empty());
        let none = Entry { uri: String::new(), label: "{}".to_owned(), rules, module: None };
        let index = HashMap::from([(String::new(), NO_SPACE)]);
        Spaces { profile, schema, entries: vec![none], declared: Vec::new(), index, last: NO_SPACE }
    }

    pub(super) fn schema(&self) -> Option<&'p SchemaTable> {
        self.schema
    }

    /// Where the schema has the module of a namespace.
    pub(super) fn module(&self, space: Space) -> Option<u32> {
        self.entries.get(space as usize)?.module
    }

    /// The namespace with this URI, as XML declares it.
    pub(super) fn of_uri(&mut self, uri: &str, offset: usize) -> Result<Space, Fault> {
        let space = self.find_uri(uri, offset)?;
        self.declared.push(space);
        Ok(space)
    }

    /// How many declarations there were.
    pub(super) fn declarations(&self) -> usize {
        self.declared.len()
    }

    /// The namespaces declared since there were so many declarations, each once, sorted.
    pub(super) fn declared_since(&self, declarations: usize) -> Arc<[Box<str>]> {
        let mut spaces = self.declared.get(declarations..).unwrap_or_default().to_vec();
        spaces.sort_unstable();
        spaces.dedup();
        let mut uris: Vec<Box<str>> = spaces.into_iter().map(|space| Box::from(self.uri(space))).collect();
        uris.sort_unstable();
        uris.into()
    }

    fn find_uri(&mut self, uri: &str, offset: usize) -> Result<Space, Fault> {
        if self.entries.get(self.last as usize).is_some_and(|entry| entry.uri == uri) {
            return Ok(self.last);
        }
        let (profile, schema) = (self.profile, self.schema);
        self.intern(uri, offset, || {
            let label = match profile.namespaces.get(uri) {
                Some(short) => format!("{short}:"),
                None => format!("{{{uri}}}"),
            };
            let module = schema.and_then(|schema| schema.module_of_namespace(uri));
            Entry { uri: uri.to_owned(), label, rules: rules(profile, |wanted| wanted == uri), module }
        })
    }

    /// The namespace of a module, as RFC 7951 names it. Which URI it has a schema says; without one, by
    /// convention the URI ends in the module's name, or the profile uses that name as short name.
    pub(super) fn of_module(&mut self, module: &str, offset: usize) -> Result<Space, Fault> {
        let (profile, schema) = (self.profile, self.schema);
        let known = schema.and_then(|schema| schema.module(schema.module_of_name(module)?));
        if let Some(known) = known {
            return self.of_uri(&known.namespace, offset);
        }
        let is_module = |uri: &str| {
            profile.namespaces.get(uri).is_some_and(|short| short == module)
                || uri.rsplit([':', '/']).next() == Some(module)
        };
        self.intern(module, offset, || {
            let known = profile.namespaces.iter().find(|(uri, _)| is_module(uri));
            let label = known.map_or(module, |(_, short)| short.as_str());
            let label = format!("{label}:");
            Entry { uri: module.to_owned(), label, rules: rules(profile, is_module), module: None }
        })
    }

    fn intern(
        &mut self,
        uri: &str,
        offset: usize,
        describe: impl FnOnce() -> Entry<'p>,
    ) -> Result<Space, Fault> {
        if let Some(space) = self.index.get(uri) {
            self.last = *space;
            return Ok(*space);
        }
        let next = self.entries.len();
        match Space::try_from(next) {
            Ok(space) if next < MAX_SPACES => {
                self.entries.push(describe());
                self.index.insert(uri.to_owned(), space);
                self.last = space;
                Ok(space)
            }
            _ => Err(Fault::new(Problem::OverLimit { what: "namespaces", limit: MAX_SPACES }, offset)),
        }
    }

    /// The URI, or in JSON the module's name.
    pub(super) fn uri(&self, space: Space) -> &str {
        self.entries.get(space as usize).map_or("", |entry| &entry.uri)
    }

    /// The profile's rule for elements of this name.
    pub(super) fn rule(&self, name: Name<'_>) -> Option<&'p ObjectRule> {
        let rules = &self.entries.get(name.space as usize)?.rules;
        rules.iter().find(|rule| rule.element == name.local).copied()
    }

    /// The name inside something of namespace `inside`: local there, qualified from elsewhere.
    pub(super) fn field_name(&self, name: Name<'_>, inside: Space) -> String {
        if name.space == inside {
            return name.local.to_owned();
        }
        let label = self.entries.get(name.space as usize).map_or("", |entry| &entry.label);
        [label, name.local].concat()
    }
}

fn rules(profile: &Profile, wanted: impl Fn(&str) -> bool) -> Vec<&ObjectRule> {
    profile.objects.iter().filter(|rule| wanted(&rule.namespace)).collect()
}
