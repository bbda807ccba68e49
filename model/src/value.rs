//! Attribute values: the unit of edit, right and approval is the whole value, order included.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The whole value of one attribute, as text decoded from the device. Numbers never pass through a float.
///
/// In JSON a text is a string, a repeated element an array, a structure an object; because a value holds
/// nothing but strings, its JSON with sorted keys is canonical (RFC 8785).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A leaf's text, verbatim without a schema, libyang's canonical form with one.
    Text(String),
    /// Occurrences of a repeated element, in document order unless the schema says system-ordered.
    Sequence(Vec<Value>),
    /// A structure; names are sorted because the order of differently named siblings carries no meaning.
    Fields(BTreeMap<String, Value>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The occurrences of a list-like attribute: a single structure or text counts as a list of one,
    /// because without a schema the two look alike.
    pub fn occurrences(&self) -> &[Value] {
        match self {
            Value::Sequence(items) => items,
            other => std::slice::from_ref(other),
        }
    }

    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Fields(fields) => fields.get(name),
            _ => None,
        }
    }

    /// Whether `other` holds the same occurrences in another order: a reorder, shown as a move.
    pub fn is_reorder_of(&self, other: &Value) -> bool {
        let (Value::Sequence(a), Value::Sequence(b)) = (self, other) else { return false };
        if a == b || a.len() != b.len() {
            return false;
        }
        let mut a: Vec<_> = a.iter().collect();
        let mut b: Vec<_> = b.iter().collect();
        a.sort();
        b.sort();
        a == b
    }

    /// Canonical JSON text, used in commitments and approvals.
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(self).expect("strings, arrays and string-keyed maps always serialise")
    }

    /// Appends the canonical bytes (`docs/formats.md`, object): a kind byte, then a length or count
    /// (LEB128) and the content. Unambiguous, so that equal bytes mean equal values.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => {
                out.push(b't');
                write_bytes(out, text.as_bytes());
            }
            Value::Sequence(items) => {
                out.push(b's');
                write_length(out, items.len());
                for item in items {
                    item.write_canonical(out);
                }
            }
            Value::Fields(fields) => {
                out.push(b'f');
                write_length(out, fields.len());
                for (name, value) in fields {
                    write_bytes(out, name.as_bytes());
                    value.write_canonical(out);
                }
            }
        }
    }
}

pub(crate) fn write_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// For people: a text as it is, anything else as JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            other => f.write_str(&other.canonical_json()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        "[a-z0-9]{0,6}".prop_map(Value::Text).prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(Value::Fields),
            ]
        })
    }

    #[test]
    fn a_reorder_is_told_from_a_change() {
        let list = |items: &[&str]| Value::Sequence(items.iter().map(|t| Value::from(*t)).collect());
        assert!(list(&["a", "b"]).is_reorder_of(&list(&["b", "a"])));
        assert!(!list(&["a", "b"]).is_reorder_of(&list(&["a", "b"])));
        assert!(!list(&["a", "a"]).is_reorder_of(&list(&["a", "b"])));
        assert!(!Value::from("a").is_reorder_of(&Value::from("b")));
    }

    proptest! {
        #[test]
        fn canonical_bytes_and_json_are_injective(a in any_value(), b in any_value()) {
            let bytes = |v: &Value| { let mut out = vec![]; v.write_canonical(&mut out); out };
            prop_assert_eq!(bytes(&a) == bytes(&b), a == b);
            prop_assert_eq!(serde_json::from_str::<Value>(&a.canonical_json()).unwrap(), a);
        }
    }
}
