//! Salted commitments to key attributes: one for each version of each value; an unchanged value keeps its own.

use std::collections::BTreeMap;

use anchor::commitment::{EpochSecret, Opening};
use model::{Agreement, Dn, OBJECT, Snapshot};
use store::{CommittedAttribute, StoredOpening};

/// What a read changed in a station's commitments.
#[derive(Debug, Default)]
pub struct Recommitted {
    pub openings: Vec<CommittedAttribute>,
    /// Element, object, attribute of what is gone.
    pub closed: Vec<(Dn, Dn, String)>,
}

/// Compares a station's standing commitments with what was read in `round`, whose number is the version of all
/// that is new: a value that vanishes and returns has another salt then.
pub fn recommit(
    round: u64,
    element: &Dn,
    snapshot: &Snapshot,
    standing: &[&StoredOpening],
    agreement: &Agreement,
    epoch: &EpochSecret,
) -> Recommitted {
    let mut before: BTreeMap<(String, String), &StoredOpening> =
        standing.iter().map(|s| ((s.opening.dn.clone(), s.opening.attribute.clone()), *s)).collect();
    let mut out = Recommitted::default();
    for (dn, attribute, value) in committed_values(snapshot, agreement) {
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
    let mut out = Vec::new();
    for object in snapshot.objects() {
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
