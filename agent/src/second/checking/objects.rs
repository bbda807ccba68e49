//! Objects: the snapshot that a station has after the round, and whether it is what the map commits to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    Digest, Dn, Edit, Interpretation, OBJECT, Object, Outcome, Snapshot, default_leaves, respellings,
    spelt_alike,
};
use store::StationSnapshot;

use super::account::Told;
use super::map::Entries;
use super::{Look, NeedsWhole};
use crate::round::committed_values;
use crate::round::judging::CompleteRead;
use crate::second::disclosure::{DisclosedRespelling, DisclosedStation};
use crate::second::finding::{Finding, named};

/// What was read, as far as it was told.
pub(super) struct Objects {
    pub reads: Vec<CompleteRead>,
    pub snapshots: Vec<StationSnapshot>,
    /// Values that are said to be, or to have been, defaults of a schema: nobody can tell without it.
    pub defaults: u64,
}

/// The snapshot of every station that was read completely.
pub(super) fn read(
    look: &Look<'_>,
    told: &BTreeMap<Dn, Told<'_>>,
    findings: &mut Vec<Finding>,
) -> Result<Objects, NeedsWhole> {
    let mut objects = Objects { reads: vec![], snapshots: vec![], defaults: 0 };
    for (element, told) in told {
        let Some(station) = told.station else { continue };
        let complete = matches!(told.result.outcome, Outcome::Collected | Outcome::Unchanged);
        let silent = station.objects.is_empty() && station.gone.is_empty();
        let quiet = !complete || (told.result.outcome == Outcome::Unchanged && !station.whole);
        if quiet && !silent {
            findings.push(of_station(
                element,
                "objects",
                "has changed objects and was not read anew",
                "未重新读取却有变化的对象",
            ));
        }
        if !complete {
            continue;
        }
        let snapshot = Arc::new(snapshot(look, element, station, findings)?);
        if told.result.outcome == Outcome::Collected || station.whole {
            // A judge never sees replies.
            let raw = Arc::new(vec![]);
            objects.snapshots.push(StationSnapshot {
                element: element.clone(),
                read: station.read,
                snapshot: Arc::clone(&snapshot),
                base: look.before.snapshots.get(element).map(|known| Arc::clone(&known.snapshot)),
                raw_digest: Digest::of(&raw),
                raw,
                held: None,
            });
        }
        let respellings = match look.before.snapshots.get(element) {
            Some(known) => believed(station, &known.snapshot, &snapshot, &mut objects.defaults),
            None => vec![],
        };
        let (element, read, after) = (element.clone(), station.read, station.after);
        objects.reads.push(CompleteRead { element, read, after, current: snapshot, respellings });
    }
    Ok(objects)
}

/// The respellings that are told and can be ones. Anything else is a change to this judge, whatever it is called. What is
/// not told, because the interpretation changed in a round that was not followed, is taken from the values themselves.
fn believed(
    station: &DisclosedStation,
    last: &Snapshot,
    current: &Snapshot,
    defaults: &mut u64,
) -> Vec<Edit> {
    if last.interpretation() == current.interpretation() {
        return vec![];
    }
    if station.respellings.is_empty() {
        let mut believed = respellings(last, current);
        believed.retain(|edit| edit.attribute != OBJECT && filled(edit).is_some());
        *defaults += believed.iter().filter_map(filled).sum::<usize>() as u64;
        return believed;
    }
    let mut believed = Vec::new();
    for DisclosedRespelling { dn, attribute, value } in &station.respellings {
        let Some(object) = last.object(dn).filter(|_| attribute != OBJECT) else { continue };
        let Some(edit) = Edit::between(dn, attribute, object.attribute(attribute), value.as_ref()) else {
            continue;
        };
        if let Some(filled) = filled(&edit) {
            *defaults += filled as u64;
            believed.push(edit);
        }
    }
    believed
}

/// How many defaults it takes to call an edit a respelling; `None` if nothing can.
fn filled(edit: &Edit) -> Option<usize> {
    match (&edit.old, &edit.new) {
        (Some(old), Some(new)) => spelt_alike(old, new),
        (Some(value), None) | (None, Some(value)) => default_leaves(value),
        (None, None) => None,
    }
}

fn of_station(element: &Dn, code: &'static str, en: &str, zh: &str) -> Finding {
    Finding {
        place: Some((element.clone(), "@station".to_owned())),
        ..Finding::account(code, format!("station {element} {en}"), format!("站点 {element} {zh}"))
    }
}

/// The station as it was before the round with what the round changed, or the whole that is told.
fn snapshot(
    look: &Look<'_>,
    element: &Dn,
    station: &DisclosedStation,
    findings: &mut Vec<Finding>,
) -> Result<Snapshot, NeedsWhole> {
    let known = look.before.snapshots.get(element);
    let mut objects: BTreeMap<&Dn, Arc<Object>> = BTreeMap::new();
    if !station.whole {
        let known = known.ok_or(NeedsWhole)?;
        objects.extend(known.snapshot.objects().iter().map(|object| (object.dn(), Arc::clone(object))));
    }
    for dn in &station.gone {
        objects.remove(dn);
    }
    let mut seen = BTreeSet::new();
    for disclosed in &station.objects {
        if !disclosed.dn.is_within(element) || !seen.insert(&disclosed.dn) {
            findings.push(of_station(
                element,
                "objects",
                "is told of with objects that are not its own",
                "披露了不属于它的对象",
            ));
            continue;
        }
        let attributes =
            disclosed.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let object = Object::new(disclosed.dn.clone(), attributes, vec![]);
        objects.insert(&disclosed.dn, Arc::new(object));
    }
    let told = station.interpretation.as_deref().and_then(interpretation);
    let interpretation = told.or(known.map(|known| known.snapshot.interpretation()));
    let interpretation = interpretation.unwrap_or_else(|| {
        findings.push(of_station(
            element,
            "objects",
            "has objects without an interpretation",
            "的对象没有解释标识",
        ));
        Interpretation(Digest([0; 32]))
    });
    Ok(Snapshot::shared(interpretation, objects.into_values().collect(), vec![]))
}

fn interpretation(text: &str) -> Option<Interpretation> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Interpretation(Digest(bytes)))
}

/// Compares the snapshots of stations that the disclosure touches with the commitments that stand for them: a value that
/// changed without its commitment, a commitment that changed without its value, and an object that was left out.
pub(super) fn compare(
    look: &Look<'_>,
    told: &BTreeMap<Dn, Told<'_>>,
    objects: &Objects,
    entries: &Entries,
    findings: &mut Vec<Finding>,
) {
    let mut standing: BTreeMap<Dn, BTreeMap<(String, String), &str>> = BTreeMap::new();
    let touched = touched(look, told);
    for ((dn, attribute), value) in &entries.standing {
        let element = dn.parse::<Dn>().ok().and_then(|dn| dn.ancestor("ManagedElement"));
        if let Some(element) = element.filter(|element| touched.contains(element)) {
            standing.entry(element).or_default().insert((dn.clone(), attribute.clone()), value);
        }
    }
    check_untouched(look, told, findings);
    for read in objects.reads.iter().filter(|read| touched.contains(&read.element)) {
        let mut committed = standing.remove(&read.element).unwrap_or_default();
        for (dn, attribute, value) in committed_values(&read.current, look.agreement) {
            let place = (dn.to_string(), attribute.clone());
            let stands = committed.remove(&place);
            if entries.unopened.contains(&place) || !comparable(look, &dn, &attribute) {
                continue;
            }
            if stands != Some(value.as_str()) {
                findings.push(Finding::other_value((dn, attribute)));
            }
        }
        for (dn, attribute) in committed.into_keys() {
            if let Ok(dn) = dn.parse::<Dn>()
                && comparable(look, &dn, &attribute)
            {
                findings.push(Finding::other_value((dn, attribute)));
            }
        }
    }
}

/// Stations with something new in this round, among those that were read.
fn touched(look: &Look<'_>, told: &BTreeMap<Dn, Told<'_>>) -> BTreeSet<Dn> {
    let entries = look.disclosure.attributes.iter();
    let mut touched: BTreeSet<Dn> =
        entries.filter_map(|entry| entry.dn.parse::<Dn>().ok()?.ancestor("ManagedElement")).collect();
    let objects = told.iter().filter(|(_, told)| {
        told.station.is_some_and(|station| !station.objects.is_empty() || !station.gone.is_empty())
    });
    touched.extend(objects.map(|(element, _)| element.clone()));
    touched
}

/// A commitment that moved while its station was not read anew. A whole disclosure tells standing ones too.
fn check_untouched(look: &Look<'_>, told: &BTreeMap<Dn, Told<'_>>, findings: &mut Vec<Finding>) {
    if look.disclosure.whole {
        return;
    }
    for entry in &look.disclosure.attributes {
        let element = entry.dn.parse::<Dn>().ok().and_then(|dn| dn.ancestor("ManagedElement"));
        let outcome = element.as_ref().and_then(|element| told.get(element)).map(|told| &told.result.outcome);
        if outcome != Some(&Outcome::Collected)
            && let Ok(dn) = entry.dn.parse::<Dn>()
        {
            let (en, zh) = named(&(dn.clone(), entry.attribute.clone()));
            let finding = Finding::account(
                "unread",
                format!("{en} has another commitment though its station was not read anew"),
                format!("{zh} 的承诺已变，但站点未重新读取"),
            );
            findings.push(Finding { place: Some((dn, entry.attribute.clone())), ..finding });
        }
    }
}

/// Whether the reader sees all that the commitment covers.
fn comparable(look: &Look<'_>, dn: &Dn, attribute: &str) -> bool {
    look.sight.is_full() || (attribute != OBJECT && look.sight.sees(dn, attribute))
}
