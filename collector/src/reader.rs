//! The streaming reader: from bytes to objects, attributes and digests, with a schema or without.
//!
//! [`read_xml`] and [`read_json`] take one document in one pass, keep no tree of it, never recurse, and give
//! a [`Snapshot`] or a [`ReadError`] with its place. What is odd but readable becomes a finding; nothing of a
//! configuration is dropped.
//!
//! **Input.** The content of `<data>`, a whole `<rpc-reply>`, `<data>` or `<config>`, or a bare document such
//! as `<ManagedElement>`; any number of top elements.
//!
//! **Objects.** An element outside `attributes` is an object if it has both an `id` and an `attributes`
//! child, or one of them and a name with a capital as 3GPP classes have, or if a rule of the profile names it.
//! Any other element at the top is one object of its local name with id `1`, each child one attribute. Objects
//! inside a container that is none belong to the next object around it. An `id` that is a DN ending in the
//! object's class means its last RDN's id. Objects whose key is missing are numbered by place, with a finding.
//!
//! **Names.** All objects are named below the prefix, the station's name in the inventory; the document's own
//! object of that class is the station, whatever id it gives itself (a different one is a finding). Top
//! elements of one name from two namespaces have the namespace as id.
//!
//! **Attributes.** The children of `attributes`, and those children of an object that are no objects. A
//! repeated name is a sequence in document order, an element with children a structure. In JSON a list of one
//! is that one, as in XML without a schema. A name from another namespace than its parent's is `short:local`
//! with the profile's short name, else `{namespace}local`; in JSON, where modules stand for namespaces,
//! `module:local`. The key `idx` in lists inside a 3GPP class's attributes is dropped: it is a dummy there.
//!
//! **Text** is decoded and otherwise verbatim, blanks at its ends included; prefixes inside values (identity
//! names) stay as written, because only a schema tells them from text. White space that holds a line break
//! and is all an element has counts as none: a printer put it there. Text beside child elements is kept as
//! `#text`, with a finding. XML attributes and `@` members are no configuration and become findings, except
//! the mark of defaults of RFC 6243.
//!
//! **With a schema** ([`ReadContext::schema`]) what it knows is read by it, and everything else as above: values in
//! canonical form (RFC 7950 §9; identities and paths with module names), entries of a list that the system orders by their
//! keys, such leaf-lists by their values, and in JSON a module's namespace as the schema says it.
//!
//! **Findings** by code: `duplicate-object`, `element-id-differs`, `other-element` (a second station in the
//! reply), `object-without-key`, `mixed-content`, `repeated-attributes`, `xml-attribute`, `metadata`,
//! `no-module` (JSON), `more`. They name elements and places, never values.

mod again;
mod build;
mod error;
mod findings;
mod json;
mod json_tokens;
mod objects;
mod patch;
mod probe;
mod scope;
mod spaces;
mod text;
mod tokens;
mod typed;
mod xml;

use std::fmt;
use std::sync::Arc;

use model::profile::WithDefaults;
use model::{Dn, Interpretation, Object, Profile, Snapshot};

use crate::schema::SchemaTable;

use again::{Again, ReadAs, Spent};
use objects::Finished;

pub use again::{Earlier, Pieces};
pub use error::{Problem, ReadError};
pub(crate) use probe::{RootElement, root_element};

/// What reading one document may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of input.
    pub bytes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Elements.
    pub nodes: usize,
    /// Bytes of memory for the result, roughly.
    pub memory: usize,
}

impl Default for ReadLimits {
    /// 64 MiB of input and its wrapper, several times the largest station known, and what that can need.
    fn default() -> ReadLimits {
        ReadLimits { bytes: 65 << 20, depth: 64, nodes: 4_000_000, memory: 512 << 20 }
    }
}

/// How a document is to be read.
#[derive(Clone, Copy)]
pub struct ReadContext<'a> {
    /// Objects, short names, volatile and secret attributes of this kind of station.
    pub profile: &'a Profile,
    /// The station's name in the inventory: the DN of its ManagedElement.
    pub prefix: &'a Dn,
    /// Namespace declarations around the input, as (prefix, namespace); the default has the empty prefix.
    pub namespaces: &'a [(String, String)],
    /// Key of the hashes that stand for secrets. Without one, meeting a secret attribute is an error.
    pub secret_key: Option<[u8; 32]>,
    /// What the station's modules say of its elements, where that is known.
    pub schema: Option<&'a SchemaTable>,
    /// Whether defaults of the schema are filled in. Not of a reply that was asked for all of them: it says which are in use.
    pub fills: bool,
    /// What reading may cost.
    pub limits: ReadLimits,
}

impl<'a> ReadContext<'a> {
    /// A whole document, no secret key, default limits.
    pub fn new(profile: &'a Profile, prefix: &'a Dn) -> ReadContext<'a> {
        let (schema, limits) = (None, ReadLimits::default());
        let fills = profile.with_defaults != Some(WithDefaults::ReportAll);
        ReadContext { profile, prefix, namespaces: &[], secret_key: None, schema, fills, limits }
    }

    /// Under what a document is read: digests under another interpretation are never compared with its.
    pub fn interpretation(&self) -> Interpretation {
        let schema = self.schema.map_or_else(|| "none".to_owned(), SchemaTable::name);
        Interpretation::new(&schema, &self.profile.digest())
    }

    fn admit(&self, bytes: &[u8]) -> Result<(), ReadError> {
        if bytes.len() <= self.limits.bytes {
            return Ok(());
        }
        let problem = Problem::OverLimit { what: "bytes of input", limit: self.limits.bytes };
        Err(ReadError::locate(error::Fault::new(problem, self.limits.bytes), bytes))
    }
}

impl fmt::Debug for ReadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadContext")
            .field("profile", &self.profile.id)
            .field("prefix", &self.prefix)
            .field("secret_key", &self.secret_key.map(|_| "hidden"))
            .finish_non_exhaustive()
    }
}

/// Reads XML: the content of `<data>` or a whole document.
///
/// # Errors
/// [`ReadError`] if the document is not well-formed, over a limit, another kind of message, or holds a secret
/// and there is no key. Nothing of it is to be used then: it may be half a configuration.
pub fn read_xml(bytes: &[u8], context: &ReadContext<'_>) -> Result<Snapshot, ReadError> {
    context.admit(bytes)?;
    let built = xml::read(bytes, context, None);
    let read = built.and_then(|(built, _)| objects::finish(built, context, None));
    let read = read.map_err(|fault| ReadError::locate(fault, bytes))?;
    Ok(snapshot(context.interpretation(), read).0)
}

/// [`read_xml`] of a station that was read before: what the document has in common with the earlier one is taken over from
/// there. The snapshot is the one that [`read_xml`] gives.
///
/// # Errors
/// As [`read_xml`].
pub fn read_xml_again(
    bytes: &[u8],
    context: &ReadContext<'_>,
    earlier: Option<Earlier<'_>>,
) -> Result<(Snapshot, Pieces), ReadError> {
    context.admit(bytes)?;
    let read_as = ReadAs::of(context);
    let earlier = earlier.filter(|earlier| earlier.pieces.fit(&read_as));
    if let Some(read) = earlier.and_then(|earlier| patch::read(bytes, context, earlier)) {
        return Ok(read);
    }
    let read = |earlier: Option<Earlier<'_>>| {
        let (built, again) = xml::read(bytes, context, Some(Again::new(earlier)))?;
        let read = objects::finish(built, context, earlier.map(|earlier| &earlier.pieces.snapshot))?;
        Ok((read, again.map(Again::into_noted).unwrap_or_default()))
    };
    let read = match read(earlier) {
        // Objects stand in others than before, or it is to be refused, and then with the place that is wrong.
        Ok((None, _)) | Err(_) if earlier.is_some() => read(None),
        other => other,
    };
    let (read, noted) = read.map_err(|fault| ReadError::locate(fault, bytes))?;
    let (snapshot, ranks, spent) = snapshot(read_as.interpretation, read);
    Ok((snapshot.clone(), noted.finish(read_as, snapshot, &ranks, spent)))
}

/// The snapshot, the places that its drafts have in it, none where names occur twice, and what reading it cost.
fn snapshot(interpretation: Interpretation, read: Option<Finished>) -> (Snapshot, Vec<u32>, Spent) {
    // Without an earlier document no object has another name than there.
    let Finished { objects: ranked, findings, spent } = read.unwrap_or_default();
    let places = objects::places(&ranked);
    let mut ranks = vec![0; ranked.len()];
    for (rank, draft) in (0..).zip(&places) {
        if let Some(slot) = ranks.get_mut(*draft) {
            *slot = rank;
        }
    }
    let objects: Vec<Arc<Object>> = ranked.into_iter().map(|(object, _)| object).collect();
    let sorted = places.iter().filter_map(|draft| objects.get(*draft).cloned()).collect();
    let snapshot = Snapshot::shared(interpretation, sorted, findings.finish());
    if snapshot.objects().len() < objects.len() {
        ranks.clear();
    }
    (snapshot, ranks, spent)
}

/// Reads RFC 7951 JSON.
///
/// # Errors
/// As [`read_xml`].
pub fn read_json(bytes: &[u8], context: &ReadContext<'_>) -> Result<Snapshot, ReadError> {
    context.admit(bytes)?;
    let built = json::read(bytes, context);
    let read = built.and_then(|built| objects::finish(built, context, None));
    let read = read.map_err(|fault| ReadError::locate(fault, bytes))?;
    Ok(snapshot(context.interpretation(), read).0)
}
