//! The attribute map, followed entry by entry from the last round's, and what opens its commitments.

use std::collections::{BTreeMap, BTreeSet};

use anchor::Hash;
use anchor::commitment::{Opening, commitment};
use anchor::map::Map;
use anchor::record::JudgementCounts;
use anchor::transaction::DisputeKind;
use model::{Dn, OBJECT, Text};
use store::{CommittedAttribute, MapUpdate};

use super::Look;
use crate::second::disclosure::DisclosedAttribute;
use crate::second::finding::Finding;

/// What a disclosure says of the map.
pub(super) struct Entries {
    /// New openings that open.
    pub openings: Vec<CommittedAttribute>,
    pub closed: Vec<(Dn, Dn, String)>,
    pub map: Option<Map>,
    pub update: MapUpdate,
    pub counts: JudgementCounts,
    /// Committed values as they stand now, opened ones, by object and attribute.
    pub standing: BTreeMap<(String, String), String>,
    /// Objects and attributes whose entry did not open: what they hold cannot be compared.
    pub unopened: BTreeSet<(String, String)>,
}

/// Applies the disclosed entries to the map that the judge has. The one that comes out must be the attested one; if not,
/// something changed that was not disclosed.
pub(super) fn follow(look: &Look<'_>, findings: &mut Vec<Finding>) -> Entries {
    let whole = look.disclosure.whole;
    let (map, update) = followed(look);
    let mut entries = Entries {
        openings: vec![],
        closed: vec![],
        map: None,
        update: MapUpdate::Lost,
        counts: JudgementCounts::default(),
        standing: BTreeMap::new(),
        unopened: BTreeSet::new(),
    };
    if !whole {
        entries.standing =
            look.before.openings.iter().map(|(place, o)| (place.clone(), o.opening.value.clone())).collect();
    }
    let mut seen = BTreeSet::new();
    for entry in &look.disclosure.attributes {
        if seen.insert((&entry.dn, &entry.attribute)) {
            take(look, entry, &mut entries, findings);
        } else {
            let en = format!("{} of {} is told of twice", entry.attribute, entry.dn);
            findings.push(Finding::account(
                "entry",
                en,
                format!("{} 的 {} 被披露两次", entry.dn, entry.attribute),
            ));
        }
    }
    if whole {
        close_the_rest(look, &mut entries);
    }
    if map.root() == look.disclosure.attestation.attributes_root {
        (entries.map, entries.update) = (Some(map), update);
    } else {
        entries.counts.undisclosed = 1;
        let text = Text::new(
            "the disclosed entries do not lead to the attested attribute map: something changed that was not disclosed",
            "披露的条目推不出所存证的属性表：有变化未予披露",
        );
        findings.push(Finding::of_round(DisputeKind::Undisclosed, "undisclosed", text));
    }
    entries
}

fn followed(look: &Look<'_>) -> (Map, MapUpdate) {
    let entries = &look.disclosure.attributes;
    let whole = look.disclosure.whole;
    if let Some(known) = look.before.map.filter(|_| !whole) {
        let mut map = known.clone();
        for entry in entries {
            match &entry.commitment {
                Some(commitment) => map.insert(entry.key.as_bytes(), commitment.as_bytes()),
                None => map.remove(entry.key.as_bytes()),
            };
        }
        return (map, MapUpdate::Delta(entries.iter().map(|entry| (entry.key, entry.commitment)).collect()));
    }
    // Of entries with the same key the last counts, in both.
    let all: BTreeMap<Hash, Hash> =
        entries.iter().filter_map(|entry| Some((entry.key, entry.commitment?))).collect();
    let map = Map::from_pairs(all.iter().map(|(key, commitment)| (key.as_bytes(), commitment.as_bytes())));
    (map, MapUpdate::Whole(all.into_iter().collect()))
}

fn take(look: &Look<'_>, entry: &DisclosedAttribute, entries: &mut Entries, findings: &mut Vec<Finding>) {
    let place = (entry.dn.clone(), entry.attribute.clone());
    let known = look.before.openings.get(&place);
    let news = known.map(|known| known.commitment) != entry.commitment;
    entries.counts.changes += u64::from(news);
    let parsed = entry.dn.parse::<Dn>().ok().and_then(|dn| Some((dn.ancestor("ManagedElement")?, dn)));
    let Some((element, dn)) = parsed else {
        let en = "an entry of the attribute map names no object of a station";
        findings.push(Finding::account("entry", en, "属性表有条目不属于任何站点对象"));
        entries.unopened.insert(place);
        return;
    };
    let at = || (dn.clone(), entry.attribute.clone());
    if look.in_force.map_secret.attribute_key(&entry.dn, &entry.attribute) != entry.key {
        findings.push(Finding::wrong_key(at()));
        entries.unopened.insert(place);
        return;
    }
    let Some(committed) = entry.commitment else {
        entries.standing.remove(&place);
        if known.is_some() {
            entries.closed.push((element, dn, entry.attribute.clone()));
        }
        return;
    };
    let opens = entry.opening.as_ref().is_some_and(|opening| {
        commitment(&opening.salt, &entry.dn, &entry.attribute, &opening.value) == committed
    });
    match &entry.opening {
        Some(opening) if opens => {
            entries.counts.opened += u64::from(news);
            entries.standing.insert(place, opening.value.clone());
            if news {
                let (attribute, value, salt) = (entry.attribute.clone(), opening.value.clone(), opening.salt);
                let opening = Opening { dn: entry.dn.clone(), attribute, value, salt };
                let version = look.disclosure.attestation.round;
                entries.openings.push(CommittedAttribute { element, version, opening });
            }
        }
        Some(_) => {
            entries.counts.unopened += 1;
            findings.push(Finding::does_not_open(at()));
            lose(entries, place, known.is_some(), element, dn);
        }
        None => {
            entries.counts.unopened += u64::from(news);
            if must_open(look, &dn, &entry.attribute) {
                findings.push(Finding::withheld(at()));
            }
            lose(entries, place, known.is_some(), element, dn);
        }
    }
}

/// The value that the entry had before no longer stands, and the one it has now is not known.
fn lose(entries: &mut Entries, place: (String, String), known: bool, element: Dn, dn: Dn) {
    entries.standing.remove(&place);
    if known {
        entries.closed.push((element, dn, place.1.clone()));
    }
    entries.unopened.insert(place);
}

/// Whether the agreement lets the reader see the value. A whole object may hold something that it may not see, which only
/// whoever sees it could tell.
fn must_open(look: &Look<'_>, dn: &Dn, attribute: &str) -> bool {
    look.sight.is_full() || (attribute != OBJECT && look.sight.sees(dn, attribute))
}

/// In a whole disclosure what is not there stands no more.
fn close_the_rest(look: &Look<'_>, entries: &mut Entries) {
    let told: BTreeSet<(&str, &str)> =
        look.disclosure.attributes.iter().map(|e| (e.dn.as_str(), e.attribute.as_str())).collect();
    for ((dn, attribute), opening) in look.before.openings {
        if !told.contains(&(dn.as_str(), attribute.as_str()))
            && let Ok(object) = dn.parse::<Dn>()
        {
            entries.closed.push((opening.element.clone(), object, attribute.clone()));
        }
    }
}
