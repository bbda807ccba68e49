//! Which prefix means which namespace, while elements open and close.

use super::error::{Fault, Problem, shown};
use super::spaces::{NO_SPACE, Name, Space, Spaces};
use super::text::decode;

/// Declarations in force at one place. Looked through from the innermost, so they are bounded.
const MAX_BINDINGS: usize = 256;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// The state to go back to when an element ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    bindings: usize,
    default: Space,
}

pub(super) struct Scope<'a> {
    bindings: Vec<(&'a str, Space)>,
    default: Space,
}

impl<'a> Scope<'a> {
    /// Starts from declarations on elements around the input; the default namespace has the empty prefix.
    pub(super) fn new(
        inherited: &'a [(String, String)],
        spaces: &mut Spaces<'_>,
    ) -> Result<Scope<'a>, Fault> {
        let mut scope = Scope { bindings: Vec::new(), default: NO_SPACE };
        for (prefix, uri) in inherited {
            let space = spaces.of_uri(uri, 0)?;
            scope.bind(prefix, space, 0)?;
        }
        Ok(scope)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bindings: self.bindings.len(), default: self.default }
    }

    pub(super) fn restore(&mut self, mark: Mark) {
        self.bindings.truncate(mark.bindings);
        self.default = mark.default;
    }

    /// Takes the declarations among an element's XML attributes (Namespaces in XML 1.0 §3).
    pub(super) fn declare(
        &mut self,
        attributes: &[(&'a str, &'a str)],
        spaces: &mut Spaces<'_>,
        offset: usize,
    ) -> Result<(), Fault> {
        for (name, raw) in attributes {
            let prefix = match name.strip_prefix("xmlns") {
                Some("") => "",
                Some(rest) if rest.starts_with(':') => rest.get(1..).unwrap_or_default(),
                _ => continue,
            };
            let uri = decode(raw, offset)?;
            if prefix == "xmlns" || (prefix == "xml" && uri != XML_NAMESPACE) {
                return Err(Fault::syntax(format!("prefix `{prefix}` cannot be declared"), offset));
            }
            if !prefix.is_empty() && uri.is_empty() {
                return Err(Fault::syntax(format!("prefix `{}` without a namespace", shown(prefix)), offset));
            }
            let space = spaces.of_uri(&uri, offset)?;
            self.bind(prefix, space, offset)?;
        }
        Ok(())
    }

    fn bind(&mut self, prefix: &'a str, space: Space, offset: usize) -> Result<(), Fault> {
        if prefix.is_empty() {
            self.default = space;
            return Ok(());
        }
        if self.bindings.len() >= MAX_BINDINGS {
            let problem = Problem::OverLimit { what: "prefixes in force", limit: MAX_BINDINGS };
            return Err(Fault::new(problem, offset));
        }
        self.bindings.push((prefix, space));
        Ok(())
    }

    /// The resolved name of an element.
    #[inline]
    pub(super) fn element(&self, prefix: &str, local: &'a str, offset: usize) -> Result<Name<'a>, Fault> {
        let space = if prefix.is_empty() { self.default } else { self.bound(prefix, offset)? };
        Ok(Name { space, local })
    }

    /// The namespace of a prefix, the default one's of the empty prefix.
    pub(super) fn find(&self, prefix: &str) -> Option<Space> {
        if prefix.is_empty() {
            return Some(self.default);
        }
        self.bindings.iter().rev().find(|(known, _)| *known == prefix).map(|(_, space)| *space)
    }

    /// The namespace of a prefix, which must be declared.
    pub(super) fn bound(&self, prefix: &str, offset: usize) -> Result<Space, Fault> {
        let found = self.bindings.iter().rev().find(|(known, _)| *known == prefix).map(|(_, space)| *space);
        found.ok_or_else(|| Fault::new(Problem::UndeclaredPrefix(shown(prefix)), offset))
    }
}
