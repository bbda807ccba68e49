//! Collection profiles: how a kind of station is read. Hashed, agreed by the operators and pinned by
//! attestations, because a profile must not be a way to hide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pattern::AttributePattern;
use crate::snapshot::Digest;

/// How the replies of a kind of station become objects and attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `ranproof/profile/1`.
    pub format: String,
    pub id: String,
    /// Namespace → short name. Elements of these namespaces that stand inside an object of another
    /// namespace are named `short:local`; unlisted ones `{namespace}local`.
    #[serde(default)]
    pub namespaces: BTreeMap<String, String>,
    /// Containers and list entries outside the 3GPP `id`/`attributes` pattern that are objects.
    #[serde(default)]
    pub objects: Vec<ObjectRule>,
    /// Attributes outside object digests: counters, operational states.
    #[serde(default)]
    pub volatile: Vec<AttributePattern>,
    /// Attributes replaced by a keyed hash before they are stored.
    #[serde(default)]
    pub secret: Vec<AttributePattern>,
    /// Top elements to ask for, as the subtree filter of `get-config`; empty asks for everything.
    #[serde(default)]
    pub filter: Vec<FilterElement>,
    /// Basic mode of RFC 6243 to ask for, none to take the server's.
    #[serde(default)]
    pub with_defaults: Option<WithDefaults>,
}

/// An element that is an object although it has no `id`/`attributes` pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRule {
    pub namespace: String,
    pub element: String,
    /// The class name in the DN; by default the element's name.
    #[serde(default)]
    pub class: Option<String>,
    /// The child whose text is the id; without one the object is a singleton with id `1`.
    #[serde(default)]
    pub key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterElement {
    pub namespace: String,
    pub element: String,
}

/// RFC 6243 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithDefaults {
    ReportAll,
    Trim,
    Explicit,
}

impl Profile {
    pub const FORMAT: &'static str = "ranproof/profile/1";

    /// A profile that reads 3GPP objects of any namespace and treats operational states as volatile.
    pub fn plain(id: &str) -> Profile {
        let pattern = |text: &str| text.parse().expect("a pattern of this crate's own");
        Profile {
            format: Self::FORMAT.into(),
            id: id.into(),
            namespaces: BTreeMap::new(),
            objects: vec![],
            volatile: vec![pattern("*.operationalState"), pattern("*.availabilityStatus")],
            secret: vec![],
            filter: vec![],
            with_defaults: None,
        }
    }

    pub fn digest(&self) -> Digest {
        let json = serde_json::to_vec(self).expect("a profile always serialises");
        Digest::of(&[b"ranproof/profile/1\n".as_slice(), &json].concat())
    }

    pub fn is_volatile(&self, class: &str, attribute: &str) -> bool {
        self.volatile.iter().any(|p| p.matches(class, attribute))
    }

    pub fn is_secret(&self, class: &str, attribute: &str) -> bool {
        self.secret.iter().any(|p| p.matches(class, attribute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_digest() {
        let plain = Profile::plain("a");
        let mut other = plain.clone();
        other.secret.push("*.key".parse().unwrap());
        assert_ne!(plain.digest(), other.digest());
        assert!(plain.is_volatile("NRCellDU", "operationalState"));
        assert!(!plain.is_volatile("NRCellDU", "administrativeState"));
    }
}
