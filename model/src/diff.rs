//! Semantic difference of two configurations: RFC 8072's create, replace, delete, per whole attribute value.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dn::Dn;
use crate::snapshot::{Interpretation, Object, Snapshot};
use crate::value::Value;

/// The pseudo-attribute of an edit that creates or deletes a whole object.
pub const OBJECT: &str = "@object";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Create,
    Replace,
    Delete,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Replace => "replace",
            Operation::Delete => "delete",
        }
    }
}

/// One difference between two reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub object: Dn,
    /// The attribute's name, or [`OBJECT`] with all attributes as fields of `old` or `new`.
    pub attribute: String,
    pub operation: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// The same occurrences in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

impl Edit {
    /// The edit that turns `old` into `new`, `None` if they are equal.
    pub fn between(object: &Dn, attribute: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Edit> {
        let operation = match (old, new) {
            (None, None) => return None,
            (None, Some(_)) => Operation::Create,
            (Some(_), None) => Operation::Delete,
            (Some(a), Some(b)) if a == b => return None,
            (Some(_), Some(_)) => Operation::Replace,
        };
        let moved = matches!((old, new), (Some(a), Some(b)) if a.is_reorder_of(b));
        Some(Edit {
            object: object.clone(),
            attribute: attribute.to_owned(),
            operation,
            old: old.cloned(),
            new: new.cloned(),
            moved,
        })
    }

    /// `Class.attribute`, as agreements and rules name it.
    pub fn qualified_attribute(&self) -> String {
        format!("{}.{}", self.object.class(), self.attribute)
    }
}

/// Two snapshots that may not be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the two configurations were read under different interpretations; hint: read the stored raw reply of the older one again under the newer profile and schemas"
)]
pub struct InterpretationsDiffer;

/// Edits from `old` to `new`, sorted by object and attribute. Equal objects are skipped by digest.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Result<Vec<Edit>, InterpretationsDiffer> {
    if old.interpretation() != new.interpretation() {
        return Err(InterpretationsDiffer);
    }
    if old.root() == new.root() {
        return Ok(vec![]);
    }
    Ok(between(old, new))
}

/// Where two readings of one reply under two interpretations differ, as the edits that [`respell`] takes.
pub fn respellings(under_old: &Snapshot, under_new: &Snapshot) -> Vec<Edit> {
    between(under_old, under_new)
}

fn between(old: &Snapshot, new: &Snapshot) -> Vec<Edit> {
    let mut edits = Vec::new();
    merge(
        old.objects(),
        new.objects(),
        |o| o.dn(),
        |pair| match pair {
            Pair::Old(o) => edits.extend(Edit::between(o.dn(), OBJECT, Some(&o.as_value()), None)),
            Pair::New(n) => edits.extend(Edit::between(n.dn(), OBJECT, None, Some(&n.as_value()))),
            Pair::Both(o, n) if Arc::ptr_eq(o, n) || o.digest() == n.digest() => {}
            Pair::Both(o, n) => diff_object(o, n, &mut edits),
        },
    );
    edits
}

fn diff_object(old: &Object, new: &Object, edits: &mut Vec<Edit>) {
    merge(
        old.attributes(),
        new.attributes(),
        |a| &a.0,
        |pair| {
            let (name, a, b) = match pair {
                Pair::Old((name, value)) => (name, Some(value), None),
                Pair::New((name, value)) => (name, None, Some(value)),
                Pair::Both((name, a), (_, b)) => (name, Some(a), Some(b)),
            };
            edits.extend(Edit::between(new.dn(), name, a, b));
        },
    );
}

enum Pair<'a, T> {
    Old(&'a T),
    New(&'a T),
    Both(&'a T, &'a T),
}

/// Walks two sorted slices in step.
fn merge<'a, T, K: Ord + ?Sized>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> &K,
    mut visit: impl FnMut(Pair<'a, T>),
) {
    let (mut i, mut j) = (0, 0);
    loop {
        let order = match (old.get(i), new.get(j)) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Mostly one and the same name, which need not be compared.
            (Some(a), Some(b)) if std::ptr::eq(key(a), key(b)) => Ordering::Equal,
            (Some(a), Some(b)) => key(a).cmp(key(b)),
        };
        match order {
            Ordering::Less => visit(Pair::Old(&old[i])),
            Ordering::Greater => visit(Pair::New(&new[j])),
            Ordering::Equal => visit(Pair::Both(&old[i], &new[j])),
        }
        i += usize::from(order != Ordering::Greater);
        j += usize::from(order != Ordering::Less);
    }
}

/// Applies edits to a snapshot; the inverse of [`diff`]. Volatile attributes are not carried over.
pub fn apply(base: &Snapshot, edits: &[Edit]) -> Snapshot {
    respell(base, edits, base.interpretation())
}

/// The configuration of `base` under another interpretation, by its [`respellings`].
pub fn respell(base: &Snapshot, edits: &[Edit], interpretation: Interpretation) -> Snapshot {
    use std::collections::BTreeMap;
    let mut objects: BTreeMap<Dn, BTreeMap<String, Value>> =
        base.objects().iter().map(|o| (o.dn().clone(), o.attributes().iter().cloned().collect())).collect();
    for edit in edits {
        match (edit.attribute.as_str(), &edit.new) {
            (OBJECT, None) => {
                objects.remove(&edit.object);
            }
            (OBJECT, Some(Value::Fields(fields))) => {
                objects.insert(edit.object.clone(), fields.clone());
            }
            (OBJECT, Some(_)) => {}
            (name, None) => {
                if let Some(object) = objects.get_mut(&edit.object) {
                    object.remove(name);
                }
            }
            (name, Some(value)) => {
                objects.entry(edit.object.clone()).or_default().insert(name.to_owned(), value.clone());
            }
        }
    }
    let objects =
        objects.into_iter().map(|(dn, attributes)| Object::new(dn, attributes.into_iter().collect(), vec![]));
    Snapshot::new(interpretation, objects.collect(), vec![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Digest;
    use crate::value::tests::any_value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn interpretation() -> Interpretation {
        Interpretation::new("none", &Digest::of(b"p"))
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let object = prop::collection::btree_map("[a-d]", any_value(), 0..4);
        prop::collection::btree_map("[A-C]=[1-4](,[A-C]=[1-4])?", object, 0..8).prop_map(
            |objects: BTreeMap<String, BTreeMap<String, Value>>| {
                let objects = objects
                    .into_iter()
                    .map(|(dn, attrs)| Object::new(dn.parse().unwrap(), attrs.into_iter().collect(), vec![]));
                Snapshot::new(interpretation(), objects.collect(), vec![])
            },
        )
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_other_side(a in any_snapshot(), b in any_snapshot()) {
            let edits = diff(&a, &b).unwrap();
            let applied = apply(&a, &edits);
            prop_assert_eq!(applied.root(), b.root());
            prop_assert_eq!(edits.is_empty(), a.root() == b.root());
            prop_assert_eq!(diff(&b, &a).unwrap().len(), edits.len());
        }

        #[test]
        fn respelling_a_reply_gives_its_other_reading(a in any_snapshot(), b in any_snapshot()) {
            let other = Interpretation::new("canonical", &Digest::of(b"p"));
            let b = Snapshot::shared(other, b.objects().to_vec(), vec![]);
            let respelt = respell(&a, &respellings(&a, &b), other);
            prop_assert_eq!(respelt.root(), b.root());
            prop_assert!(diff(&respelt, &b).unwrap().is_empty());
        }
    }

    #[test]
    fn a_reordered_list_is_one_move() {
        let list = |items: [&str; 2]| Value::Sequence(items.map(Value::from).to_vec());
        let snapshot = |value| {
            let object = Object::new("C=1".parse().unwrap(), vec![("pLMNInfoList".into(), value)], vec![]);
            Snapshot::new(interpretation(), vec![object], vec![])
        };
        let edits = diff(&snapshot(list(["a", "b"])), &snapshot(list(["b", "a"]))).unwrap();
        assert_eq!(edits.len(), 1);
        assert!(edits[0].moved);
        assert_eq!(edits[0].operation, Operation::Replace);
    }

    #[test]
    fn different_interpretations_are_never_compared() {
        let a = Snapshot::new(interpretation(), vec![], vec![]);
        let b = Snapshot::new(Interpretation::new("other", &Digest::of(b"p")), vec![], vec![]);
        assert_eq!(diff(&a, &b), Err(InterpretationsDiffer));
    }
}
