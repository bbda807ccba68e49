//! A station's configuration as read once: objects, attributes, digests.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diff::OBJECT;
use crate::dn::Dn;
use crate::value::{Value, write_bytes, write_length};

/// A BLAKE3 digest; inside one operator only, never sent to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", hex::encode(&self.0[..6]))
    }
}

/// Under which schema set, profile and canonical version a reply was read. Digests under different
/// interpretations are never compared: the stored raw reply is read again under the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interpretation(pub Digest);

/// Version line of the canonical object bytes.
pub const CANONICAL_VERSION: &str = "ranproof/object/1\n";

impl Interpretation {
    /// `schema` is the id of the schema set (`none` without one), `profile` the profile's digest.
    pub fn new(schema: &str, profile: &Digest) -> Interpretation {
        let mut bytes = CANONICAL_VERSION.as_bytes().to_vec();
        write_bytes(&mut bytes, schema.as_bytes());
        bytes.extend_from_slice(&profile.0);
        Interpretation(Digest::of(&bytes))
    }
}

/// An instance of a 3GPP class, with its own attributes only; contained objects are objects of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    dn: Dn,
    attributes: Vec<(String, Value)>,
    volatile: Vec<(String, Value)>,
    digest: Digest,
    size: usize,
    /// Where the class stands in the name: rules and readers ask for it again and again.
    class: (usize, usize),
}

impl Object {
    /// Builds an object; attributes may come in any order. `volatile` ones (counters, operational
    /// states, as the profile says) are kept beside and outside the digest.
    pub fn new(dn: Dn, mut attributes: Vec<(String, Value)>, mut volatile: Vec<(String, Value)>) -> Object {
        attributes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        volatile.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let canonical = canonical_bytes(&dn, &attributes);
        let (digest, size) = (Digest::of(&canonical), canonical.len());
        let parent = dn.parent_str().map_or(0, |parent| parent.len() + 1);
        let class = (parent, parent + dn.class().len());
        Object { dn, attributes, volatile, digest, size, class }
    }

    pub fn dn(&self) -> &Dn {
        &self.dn
    }

    pub fn class(&self) -> &str {
        let (from, to) = self.class;
        self.dn.as_str().get(from..to).unwrap_or_default()
    }

    /// Non-volatile attributes, sorted by name.
    pub fn attributes(&self) -> &[(String, Value)] {
        &self.attributes
    }

    pub fn volatile(&self) -> &[(String, Value)] {
        &self.volatile
    }

    /// The value of a non-volatile attribute.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let index = self.attributes.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.attributes[index].1)
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Length of its canonical bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The non-volatile attributes as one value, as `@object` edits carry it.
    pub fn as_value(&self) -> Value {
        Value::Fields(self.attributes.iter().cloned().collect())
    }
}

fn canonical_bytes(dn: &Dn, attributes: &[(String, Value)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + attributes.len() * 24);
    out.extend_from_slice(CANONICAL_VERSION.as_bytes());
    write_bytes(&mut out, dn.as_str().as_bytes());
    write_length(&mut out, attributes.len());
    for (name, value) in attributes {
        write_bytes(&mut out, name.as_bytes());
        value.write_canonical(&mut out);
    }
    out
}

/// Something a reader noticed that does not stop it: kept, shown, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code such as `duplicate-object` or `not-validated`.
    pub code: String,
    /// Where: a DN or a byte offset.
    pub place: String,
    pub message: String,
}

/// All objects of one station from one complete, error-free read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    interpretation: Interpretation,
    /// Each shared with the snapshots before and after it where nothing changed, and all of them with clones.
    objects: Arc<Vec<Arc<Object>>>,
    findings: Vec<Finding>,
    root: Digest,
    size: usize,
}

impl Snapshot {
    /// Builds a snapshot; objects may come in any order. Of two objects with one DN the first is kept and
    /// the second becomes a finding.
    pub fn new(interpretation: Interpretation, objects: Vec<Object>, findings: Vec<Finding>) -> Snapshot {
        Snapshot::shared(interpretation, objects.into_iter().map(Arc::new).collect(), findings)
    }

    /// [`Snapshot::new`] of objects that other snapshots hold too.
    pub fn shared(
        interpretation: Interpretation,
        mut objects: Vec<Arc<Object>>,
        mut findings: Vec<Finding>,
    ) -> Snapshot {
        if !objects.is_sorted_by(|a, b| a.dn < b.dn) {
            objects.sort_by(|a, b| a.dn.cmp(&b.dn));
            objects.dedup_by(|second, first| {
                let same = first.dn == second.dn;
                if same {
                    findings.push(Finding {
                        code: "duplicate-object".into(),
                        place: second.dn.to_string(),
                        message: "two objects have this name; the first is kept".into(),
                    });
                }
                same
            });
        }
        let root = snapshot_root(&interpretation, &objects);
        let size = objects.iter().map(|object| object.size).sum();
        Snapshot { interpretation, objects: Arc::new(objects), findings, root, size }
    }

    /// The same with other objects in some places, each of the name that the one there has.
    ///
    /// `None` where one has another name, or there is no such place.
    pub fn with(&self, changed: &[(usize, Arc<Object>)], findings: Vec<Finding>) -> Option<Snapshot> {
        let mut objects = Vec::clone(&self.objects);
        for (place, object) in changed {
            let slot = objects.get_mut(*place).filter(|slot| slot.dn == object.dn)?;
            *slot = Arc::clone(object);
        }
        let root = snapshot_root(&self.interpretation, &objects);
        let size = objects.iter().map(|object| object.size).sum();
        Some(Snapshot {
            interpretation: self.interpretation,
            objects: Arc::new(objects),
            findings,
            root,
            size,
        })
    }

    pub fn interpretation(&self) -> Interpretation {
        self.interpretation
    }

    /// Objects sorted by DN.
    pub fn objects(&self) -> &[Arc<Object>] {
        &self.objects
    }

    pub fn object(&self, dn: &Dn) -> Option<&Object> {
        let index = self.objects.binary_search_by(|o| o.dn.cmp(dn)).ok()?;
        Some(&self.objects[index])
    }

    /// The value of a non-volatile attribute, or of [`OBJECT`] the structure of all of them.
    pub fn value(&self, object: &Dn, attribute: &str) -> Option<Value> {
        let object = self.object(object)?;
        if attribute == OBJECT { Some(object.as_value()) } else { object.attribute(attribute).cloned() }
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Adds what somebody noticed after the reading. Findings are beside the configuration: no digest changes.
    pub fn add_findings(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Length of the canonical bytes of all objects.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Digest over all objects' digests under this interpretation.
    pub fn root(&self) -> &Digest {
        &self.root
    }
}

fn snapshot_root(interpretation: &Interpretation, objects: &[Arc<Object>]) -> Digest {
    // In one piece, of which BLAKE3 takes many blocks at a time.
    let mut bytes = b"ranproof/snapshot/1\n".to_vec();
    bytes.reserve(32 * (objects.len() + 1));
    bytes.extend_from_slice(&interpretation.0.0);
    for object in objects {
        bytes.extend_from_slice(&object.digest.0);
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, pci: &str) -> Object {
        let attributes = vec![("nRPCI".into(), Value::from(pci)), ("cellLocalId".into(), Value::from("1"))];
        Object::new(name.parse().unwrap(), attributes, vec![])
    }

    #[test]
    fn order_of_attributes_and_objects_never_changes_a_digest() {
        let a = object("A=1", "5");
        let b = Object::new(
            "A=1".parse().unwrap(),
            vec![("cellLocalId".into(), "1".into()), ("nRPCI".into(), "5".into())],
            vec![("operationalState".into(), "ENABLED".into())],
        );
        assert_eq!(a.digest(), b.digest());
        let interpretation = Interpretation::new("none", &Digest::of(b"profile"));
        let one = Snapshot::new(interpretation, vec![object("A=1", "5"), object("B=1", "5")], vec![]);
        let two = Snapshot::new(interpretation, vec![object("B=1", "5"), object("A=1", "5")], vec![]);
        assert_eq!(one.root(), two.root());
        assert_ne!(one.root(), Snapshot::new(interpretation, vec![object("A=1", "6")], vec![]).root());
    }

    #[test]
    fn a_snapshot_with_another_object_is_what_is_read_with_it() {
        let interpretation = Interpretation::new("none", &Digest::of(b"profile"));
        let all = |pci| Snapshot::new(interpretation, vec![object("A=1", "5"), object("B=1", pci)], vec![]);
        let other = Arc::new(object("B=1", "71"));
        assert_eq!(all("5").with(&[(1, Arc::clone(&other))], vec![]), Some(all("71")));
        assert_eq!(all("5").with(&[(0, Arc::clone(&other))], vec![]), None);
        assert_eq!(all("5").with(&[(2, other)], vec![]), None);
    }

    #[test]
    fn the_class_is_that_of_the_name() {
        for (name, class) in [("A=1", "A"), (r"A=1\,B", "A"), (r"A=1,Bee=2\=3\,", "Bee")] {
            assert_eq!(object(name, "5").class(), class, "{name}");
        }
    }

    #[test]
    fn a_duplicate_object_is_a_finding() {
        let interpretation = Interpretation::new("none", &Digest::of(b"profile"));
        let snapshot = Snapshot::new(interpretation, vec![object("A=1", "5"), object("A=1", "6")], vec![]);
        assert_eq!(snapshot.objects().len(), 1);
        assert_eq!(snapshot.findings()[0].code, "duplicate-object");
        assert_eq!(snapshot.objects()[0].attribute("nRPCI"), Some(&Value::from("5")));
    }

    #[test]
    fn an_added_finding_changes_no_digest() {
        let interpretation = Interpretation::new("none", &Digest::of(b"profile"));
        let plain = Snapshot::new(interpretation, vec![object("A=1", "5")], vec![]);
        let mut noted = plain.clone();
        let finding =
            Finding { code: "not-validated".into(), place: "A=1".into(), message: "out of range".into() };
        noted.add_findings([finding.clone()]);
        assert_eq!((noted.root(), noted.findings()), (plain.root(), &[finding][..]));
    }
}
