//! What a station says of its modules: three spellings, one [`Library`].
//!
//! [`Library`] is read from `<yang-library>` (RFC 8525), from `<modules-state>` (RFC 7895), or from the
//! capabilities of the hello (RFC 6020 §5.6.4). Leaves and lists outside the library's own namespace are passed
//! over; names and revisions that are none refuse the whole, since a set with a hole is another set.

mod read;
#[cfg(test)]
mod tests;

use crate::schema::{InvalidId, Library, ModuleEntry, ModuleId};
use crate::wire::hello::Capabilities;
use crate::wire::xml::XmlError;

/// The namespace of both libraries.
pub const LIBRARY_NAMESPACE: &str = "urn:ietf:params:xml:ns:yang:ietf-yang-library";

/// The most modules that are taken; the largest station known here has 300.
const MAX_MODULES: usize = 10_000;

/// Which spelling was read, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LibrarySource {
    /// `<yang-library>`.
    Rfc8525,
    /// `<modules-state>`.
    Rfc7895,
    /// Capabilities of the hello.
    Hello,
}

impl LibrarySource {
    /// The clause that says how it is written.
    pub fn clause(self) -> &'static str {
        match self {
            LibrarySource::Rfc8525 => "RFC 8525 §3",
            LibrarySource::Rfc7895 => "RFC 7895 §2.2",
            LibrarySource::Hello => "RFC 6020 §5.6.4",
        }
    }

    /// The element that holds it, for a filter.
    pub(crate) fn element(self) -> Option<&'static str> {
        match self {
            LibrarySource::Rfc8525 => Some("yang-library"),
            LibrarySource::Rfc7895 => Some("modules-state"),
            LibrarySource::Hello => None,
        }
    }
}

/// Why a station's list of modules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The answer is not acceptable XML.
    #[error("unreadable")]
    Xml(#[from] XmlError),
    /// A name or a date is none.
    #[error("module {at}")]
    Id {
        /// Which module of the list, from 1.
        at: usize,
        /// What is wrong.
        #[source]
        error: InvalidId,
    },
    /// A list entry without its key.
    #[error("module {at} has no name; hint: the station's library is broken")]
    Nameless {
        /// Which module of the list, from 1.
        at: usize,
    },
    /// The running datastore's schema names a set that is not there.
    #[error("schema or module set `{name}` is named and not there; hint: the station's library is broken")]
    Dangling {
        /// The name.
        name: String,
    },
    /// More than anybody runs.
    #[error("more than {limit} modules; hint: no station has so many")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Nothing is listed.
    #[error("lists no modules; hint: give the station's profile a folder of modules")]
    Nothing,
}

/// Reads `<modules-state>` or `<yang-library>` from a whole `<rpc-reply>`.
pub(crate) fn read_library(reply: &[u8], source: LibrarySource) -> Result<Library, LibraryError> {
    let library = read::Reader::new(reply)?.find(source)?;
    if library.modules.is_empty() { Err(LibraryError::Nothing) } else { Ok(library) }
}

/// Reads the modules among a hello's capabilities: `namespace?module=…&revision=…&features=…&deviations=…`.
///
/// # Errors
/// [`LibraryError::Nothing`] for a hello that names no modules, as those of YANG 1.1 stations may not
/// (RFC 7950 §5.6.4).
pub fn hello_library(capabilities: &Capabilities) -> Result<Library, LibraryError> {
    let mut modules = Vec::new();
    for uri in capabilities.iter() {
        let Some((namespace, query)) = uri.split_once('?') else { continue };
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, v)| v)
        };
        let Some(name) = parameter("module") else { continue };
        if modules.len() == MAX_MODULES {
            return Err(LibraryError::TooMany { limit: MAX_MODULES });
        }
        let at = modules.len() + 1;
        let id =
            ModuleId::new(name, parameter("revision")).map_err(|error| LibraryError::Id { at, error })?;
        modules.push(ModuleEntry {
            id,
            namespace: namespace.to_owned(),
            features: names(parameter("features"), at)?,
            deviations: names(parameter("deviations"), at)?,
            submodules: Vec::new(),
            implemented: true,
        });
    }
    if modules.is_empty() {
        return Err(LibraryError::Nothing);
    }
    Ok(finish(modules, capabilities.schema_id().map(str::to_owned)))
}

fn names(list: Option<&str>, at: usize) -> Result<Vec<String>, LibraryError> {
    let words = list.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| checked(word, at)).collect()
}

/// A feature or a module's name, which are identifiers alike.
fn checked(word: &str, at: usize) -> Result<String, LibraryError> {
    ModuleId::new(word, None).map(|id| id.name).map_err(|error| LibraryError::Id { at, error })
}

/// One set, one spelling: sorted, entries said twice said once.
fn finish(mut modules: Vec<ModuleEntry>, content_id: Option<String>) -> Library {
    for module in &mut modules {
        for list in [&mut module.features, &mut module.deviations] {
            list.sort();
            list.dedup();
        }
        module.submodules.sort();
        module.submodules.dedup();
    }
    // An implemented module before its copy that is only imported.
    modules.sort_by(|a, b| (&a.id, !a.implemented, &a.namespace).cmp(&(&b.id, !b.implemented, &b.namespace)));
    modules.dedup_by(|later, earlier| later == earlier || (later.id == earlier.id && !later.implemented));
    Library { modules, content_id: content_id.filter(|id| !id.is_empty()) }
}
