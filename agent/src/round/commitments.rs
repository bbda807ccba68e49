//! Salted commitments to key attributes: one for each version of each value; an unchanged value keeps its own.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::commitment::{EpochSecret, Opening};
use model::{Agreement, Dn, OBJECT, Object, Snapshot};
use store::{CommittedAttribute, StoredOpening};

/// What a read changed in a station's commitments.
#[derive(Debug, Default)]
pub struct Recommitted {
    pub openings: Vec<CommittedAttribute>,
    /// Element, object, attribute of what is gone.
    pub closed: Vec<(Dn, Dn, String)>,
}

/// The objects of a read whose commitments may be others than before.
#[derive(Debug)]
pub enum Touched<'a> {
    /// All: nobody knows what was committed to last.
    All,
    /// Those that are, and names of those that were and are no more.
    These { objects: Vec<&'a Arc<Object>>, gone: Vec<&'a Dn> },
}

impl<'a> Touched<'a> {
    /// What differs from the snapshot that was committed to last under the same agreement.
    pub fn between(before: &'a Snapshot, now: &'a Snapshot) -> Touched<'a> {
        let (mut objects, mut gone) = (Vec::new(), Vec::new());
        let mut before = before.objects().iter().peekable();
        for object in now.objects() {
            loop {
                // Nearly all of them are those of before, and comparing names costs more than all the rest.
                let order = before.peek().map(|old| match Arc::ptr_eq(old, object) {
                    true => Ordering::Equal,
                    false => old.dn().cmp(object.dn()),
                });
                match (order, before.next_if(|_| order.is_some_and(Ordering::is_le))) {
                    (Some(Ordering::Less), Some(old)) => gone.push(old.dn()),
                    (Some(Ordering::Equal), Some(old)) if old.digest() == object.digest() => break,
                    _ => {
                        objects.push(object);
                        break;
                    }
                }
            }
        }
        gone.extend(before.map(|old| old.dn()));
        Touched::These { objects, gone }
    }

    /// The names of these objects.
    pub fn names(&self) -> impl Iterator<Item = &'a Dn> {
        let (objects, gone) = match self {
            Touched::All => (&[][..], &[][..]),
            Touched::These { objects, gone } => (&objects[..], &gone[..]),
        };
        objects.iter().map(|object| object.dn()).chain(gone.iter().copied())
    }
}

/// Compares a station's standing commitments, all of them or those of the objects that are touched, with what was read in
/// `round`, whose number is the version of all that is new: a value that vanishes and returns has another salt then.
pub fn recommit(
    round: u64,
    (element, snapshot, touched): (&Dn, &Snapshot, &Touched<'_>),
    standing: &[&StoredOpening],
    agreement: &Agreement,
    epoch: &EpochSecret,
) -> Recommitted {
    let mut before: BTreeMap<(String, String), &StoredOpening> =
        standing.iter().map(|s| ((s.opening.dn.clone(), s.opening.attribute.clone()), *s)).collect();
    let mut out = Recommitted::default();
    let values = match touched {
        Touched::All => committed_values(snapshot, agreement),
        Touched::These { objects, .. } => values_of(objects.iter().copied(), agreement),
    };
    for (dn, attribute, value) in values {
        let old = before.remove(&(dn.to_string(), attribute.clone()));
        if old.is_some_and(|old| old.opening.value == value) {
            continue;
        }
        let salt = epoch.salt(dn.as_str(), &attribute, round);
        let opening = Opening { dn: dn.to_string(), attribute, value, salt };
        out.openings.push(CommittedAttribute { element: element.clone(), version: round, opening });
    }
    for ((dn, attribute), _) in before {
        if let Ok(dn) = dn.parse::<Dn>() {
            out.closed.push((element.clone(), dn, attribute));
        }
    }
    out
}

/// Key attributes, and each object that has some as a whole, with canonical JSON values.
pub fn committed_values(snapshot: &Snapshot, agreement: &Agreement) -> Vec<(Dn, String, String)> {
    values_of(snapshot.objects(), agreement)
}

fn values_of<'a>(
    objects: impl IntoIterator<Item = &'a Arc<Object>>,
    agreement: &Agreement,
) -> Vec<(Dn, String, String)> {
    let mut out = Vec::new();
    for object in objects {
        let class = object.class();
        if agreement.is_key_attribute(class, OBJECT) {
            out.push((object.dn().clone(), OBJECT.to_owned(), object.as_value().canonical_json()));
        }
        for (name, value) in object.attributes() {
            if agreement.is_key_attribute(class, name) {
                out.push((object.dn().clone(), name.clone(), value.canonical_json()));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use model::{Digest, Interpretation};
    use proptest::prelude::*;

    use super::*;

    fn snapshot(objects: &BTreeMap<u8, u8>) -> Snapshot {
        let object = |(name, value): (&u8, &u8)| {
            let attributes = vec![("x".to_owned(), value.to_string().as_str().into())];
            Object::new(format!("A={name}").parse().unwrap(), attributes, vec![])
        };
        let interpretation = Interpretation::new("none", &Digest::of(b"p"));
        Snapshot::new(interpretation, objects.iter().map(object).collect(), vec![])
    }

    proptest! {
        #[test]
        fn touched_is_what_differs_by_name(
            before in prop::collection::btree_map(0u8..12, 0u8..2, 0..12),
            now in prop::collection::btree_map(0u8..12, 0u8..2, 0..12),
        ) {
            let (old, new) = (snapshot(&before), snapshot(&now));
            let touched = Touched::between(&old, &new);
            let mut names: Vec<String> = touched.names().map(ToString::to_string).collect();
            names.sort();
            let all = before.keys().chain(now.keys()).filter(|name| before.get(name) != now.get(name));
            let mut expected: Vec<String> = all.map(|name| format!("A={name}")).collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(names, expected);
        }
    }
}
