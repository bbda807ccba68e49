//! The classes and attributes the simulated stations know.
//!
//! Names and structure follow TS 28.622, TS 28.541 and TS 28.658; the namespaces are ours, since the standard's own
//! modules may not be redistributed. `tddPattern`, `prachRootSequenceIndex`, `antenna` and `synchronisation` are in no
//! module of 3GPP's and stand in an overlay namespace, as vendors put them.

mod classes;

pub use self::classes::CLASSES;

/// Namespace of `ManagedElement`.
pub const MANAGED_ELEMENT: &str = "urn:ranproof:nrm:managed-element";
/// Namespace of the NR classes.
pub const NR: &str = "urn:ranproof:nrm:nr";
/// Namespace of the E-UTRA classes.
pub const EUTRA: &str = "urn:ranproof:nrm:eutra";
/// Namespace of radio attributes outside 3GPP's classes.
pub const OVERLAY: &str = "urn:ranproof:nrm:radio";

/// The attribute that a station sets itself; it is no configuration.
pub const STATE: &str = "operationalState";

/// What an attribute may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, not empty.
    Text,
    /// A decimal integer in a range.
    Integer(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any number of texts, told apart by value (a leaf-list).
    Texts,
    /// A structure.
    Fields(&'static [Field]),
    /// An ordered list of structures, told apart by these fields.
    Entries(&'static [&'static str], &'static [Field]),
}

/// A named place for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Element name.
    pub name: &'static str,
    /// Namespace, that of the class without.
    pub namespace: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
}

/// A class of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Class {
    /// Element name.
    pub name: &'static str,
    /// Namespace of the class and of its attributes.
    pub namespace: &'static str,
    /// The class that contains it, none for the root.
    pub parent: Option<&'static str>,
    /// Its attributes.
    pub attributes: &'static [Field],
}

/// How siblings of one name are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// There is at most one.
    Single,
    /// By these child elements.
    Keys(&'static [&'static str]),
    /// By their text.
    Value,
}

/// The class of that name.
pub fn class(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name == name)
}

/// The attribute of a class.
pub fn attribute(class: &Class, name: &str) -> Option<&'static Field> {
    class.attributes.iter().find(|field| field.name == name)
}

/// How elements of that name are told apart. Names mean the same everywhere in this schema.
pub fn identity(name: &str) -> Identity {
    if class(name).is_some() {
        return Identity::Keys(&["id"]);
    }
    match CLASSES.iter().find_map(|class| kind_of(class.attributes, name)) {
        Some(Kind::Entries(keys, _)) => Identity::Keys(keys),
        Some(Kind::Texts) => Identity::Value,
        _ => Identity::Single,
    }
}

/// What a field of that name holds, here or in a structure here.
fn kind_of(fields: &'static [Field], name: &str) -> Option<Kind> {
    fields.iter().find_map(|field| match field.kind {
        kind if field.name == name => Some(kind),
        Kind::Fields(inside) | Kind::Entries(_, inside) => kind_of(inside, name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_hangs_below_another_and_keys_are_fields() {
        for class_ in CLASSES {
            assert!(class_.parent.is_none_or(|parent| class(parent).is_some()), "{}", class_.name);
            for field in class_.attributes {
                if let Kind::Entries(keys, fields) = field.kind {
                    assert!(keys.iter().all(|key| fields.iter().any(|f| f.name == *key)), "{}", field.name);
                }
            }
        }
    }

    #[test]
    fn a_name_means_the_same_everywhere() {
        fn walk(fields: &'static [Field]) {
            for field in fields {
                let expected = match field.kind {
                    Kind::Entries(keys, _) => Identity::Keys(keys),
                    Kind::Texts => Identity::Value,
                    _ => Identity::Single,
                };
                assert_eq!(identity(field.name), expected, "{}", field.name);
                if let Kind::Fields(inside) | Kind::Entries(_, inside) = field.kind {
                    walk(inside);
                }
            }
        }
        CLASSES.iter().for_each(|class| walk(class.attributes));
    }

    #[test]
    fn identities_follow_the_schema() {
        assert_eq!(identity("NRCellDU"), Identity::Keys(&["id"]));
        assert_eq!(identity("pLMNInfoList"), Identity::Keys(&["mcc", "mnc", "sst", "sd"]));
        assert_eq!(identity("plmnIdList"), Identity::Keys(&["mcc", "mnc"]));
        assert_eq!(identity("managedElementTypeList"), Identity::Value);
        assert_eq!(identity("sourcePriority"), Identity::Value);
        assert_eq!(identity("nRPCI"), Identity::Single);
    }
}
