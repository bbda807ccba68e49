//! The origin's side: a round as another operator is told of it.
//!
//! A whole disclosure reads every station's snapshot and every standing commitment of the round and grows with the
//! network; any other with what the round changed.

use std::collections::{BTreeMap, BTreeSet};

use anchor::commitment::MapSecret;
use anchor::record::{Attestation, Record};
use anchor::{Hash, json};
use anyhow::{Context as _, Result};
use model::{Agreement, Dn, Edit, OBJECT, Object};
use store::{StationResult, Store, StoredOpening, log};

use super::disclosure::{
    DisclosedAttribute, DisclosedObject, DisclosedOpening, DisclosedRecord, DisclosedRespelling,
    DisclosedRound, DisclosedRounds, DisclosedStation, Disclosure,
};

/// Rounds listed in one answer.
const LISTED: usize = 100;

/// What one reader may see under one agreement.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    pub agreement: &'a Agreement,
    pub reader: &'a str,
}

impl Sight<'_> {
    /// Whether the agreement withholds nothing from the reader.
    pub fn is_full(&self) -> bool {
        self.agreement.visibility.is_empty()
    }

    pub fn sees(&self, object: &Dn, attribute: &str) -> bool {
        self.agreement.may_see(object, attribute, self.reader)
    }

    /// Whether the reader sees the whole object: the pseudo-attribute holds all attributes.
    pub fn sees_whole<'n>(&self, object: &Dn, mut names: impl Iterator<Item = &'n str>) -> bool {
        self.is_full() || (self.sees(object, OBJECT) && names.all(|name| self.sees(object, name)))
    }

    fn sees_value(&self, opening: &StoredOpening) -> bool {
        let Ok(dn) = opening.opening.dn.parse::<Dn>() else { return false };
        if opening.opening.attribute != OBJECT || self.is_full() {
            return self.sees(&dn, &opening.opening.attribute);
        }
        let fields: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&opening.opening.value).unwrap_or_default();
        self.sees_whole(&dn, fields.keys().map(String::as_str))
    }
}

/// Rounds past `after` whose attestation stands in the anchored log.
pub async fn list(store: &Store, after: u64) -> Result<DisclosedRounds> {
    let size = store.log_state().await?.size;
    let anchored = store.anchored_rounds(after, size, LISTED as u32).await?;
    let rounds =
        anchored.into_iter().map(|(round, bytes)| DisclosedRound { round, attestation: Hash::of(&bytes) });
    Ok(DisclosedRounds { rounds: rounds.collect() })
}

/// The attestation of a round, if it stands in the anchored log.
pub async fn attestation(store: &Store, round: u64) -> Result<Option<Attestation>> {
    let Some(row) = store.round(round).await? else { return Ok(None) };
    let size = store.log_state().await?.size;
    let anchored = row.leaf_index.is_some_and(|index| index < size);
    let Some(bytes) = row.attestation.filter(|_| anchored) else { return Ok(None) };
    let attestation = json::decode(&bytes);
    Ok(Some(attestation.with_context(|| format!("the attestation of round {round} is unreadable"))?))
}

/// One round as `sight` allows. Where the agreement changed, and with it map keys and sight, the whole is told, as when it
/// is asked for. `secret` is that of the round's agreement.
pub async fn disclose(
    store: &Store,
    attestation: Attestation,
    sight: Sight<'_>,
    secret: &MapSecret,
    whole: bool,
) -> Result<Disclosure> {
    let round = attestation.round;
    let height = store.judged_height(round).await?;
    let height = height.with_context(|| format!("nothing tells at which height round {round} was judged"))?;
    let whole = whole || starts_anew(store, &attestation).await?;
    let stations = stations(store, round, sight, whole).await?;
    let mut attributes = attributes(store, round, sight, secret, whole).await?;
    attributes.sort_by_key(|entry| entry.key);
    let (mut violations, mut changes) = (vec![], vec![]);
    for leaf in store.leaves_of_round(round).await?.into_iter().filter(|leaf| leaf.kind != log::ATTESTATION) {
        let record = leaf.record.with_context(|| format!("leaf {} has lost its record", leaf.index))?;
        let record: Record = serde_json::from_value(record).context("a record is unreadable")?;
        match &record {
            Record::Violation(_) => violations.push(disclosed(record, sight)?),
            Record::Change(_) => changes.push(disclosed(record, sight)?),
            Record::Judgement(_) => {}
        }
    }
    violations.sort_by(|a, b| a.id.cmp(&b.id));
    changes.sort_by(|a, b| a.id.cmp(&b.id));
    let (format, to) = (Disclosure::FORMAT.to_owned(), sight.reader.to_owned());
    Ok(Disclosure { format, to, attestation, height, whole, stations, attributes, violations, changes })
}

/// Whether the round before had other terms, or there was none: then a reader cannot go by what changed.
async fn starts_anew(store: &Store, attestation: &Attestation) -> Result<bool> {
    let before = store.rounds(Some(attestation.round), 1).await?.pop().and_then(|row| row.attestation);
    let Some(bytes) = before else { return Ok(true) };
    let before: Attestation = json::decode(&bytes).context("the attestation before is unreadable")?;
    Ok(before.agreement.body != attestation.agreement.body)
}

async fn stations(store: &Store, round: u64, sight: Sight<'_>, whole: bool) -> Result<Vec<DisclosedStation>> {
    let before = store.reads_before(round).await?;
    let mut respellings = store.respellings(round).await?;
    let changed = store.changed_stations(round).await?;
    let mut changed: BTreeMap<Dn, _> =
        changed.into_iter().map(|station| (station.element.clone(), station)).collect();
    let mut stations = Vec::new();
    for result in store.station_results(round).await? {
        let StationResult { element, outcome, read, .. } = result;
        let mut station = DisclosedStation {
            after: before.get(&element).copied(),
            outcome: outcome.name().to_owned(),
            reason: outcome.reason().unwrap_or_default().to_owned(),
            read,
            interpretation: None,
            whole: false,
            objects: vec![],
            gone: vec![],
            respellings: respelt(respellings.remove(&element).unwrap_or_default(), sight),
            element,
        };
        let complete = matches!(outcome, model::Outcome::Collected | model::Outcome::Unchanged);
        if whole && complete {
            let stored = store.snapshot_at(&station.element, round).await?;
            let stored = stored.with_context(|| format!("{} has no snapshot", station.element))?;
            station.interpretation = Some(hex::encode(stored.snapshot.interpretation().0.0));
            station.objects = objects(stored.snapshot.objects().iter().map(|object| &**object), sight);
            station.whole = true;
        } else if let Some(changed) = changed.remove(&station.element) {
            station.interpretation = Some(hex::encode(changed.interpretation.0.0));
            station.objects = objects(changed.objects.iter(), sight);
            station.whole = changed.first;
            station.gone = changed.gone;
        }
        stations.push(station);
    }
    Ok(stations)
}

fn respelt(edits: Vec<Edit>, sight: Sight<'_>) -> Vec<DisclosedRespelling> {
    let seen = edits.into_iter().filter(|edit| sight.sees(&edit.object, &edit.attribute));
    let told =
        |Edit { object, attribute, new, .. }| DisclosedRespelling { dn: object, attribute, value: new };
    seen.map(told).collect()
}

fn objects<'a>(objects: impl Iterator<Item = &'a Object>, sight: Sight<'_>) -> Vec<DisclosedObject> {
    let told = |object: &Object| {
        let attributes = object.attributes().iter().filter(|(name, _)| sight.sees(object.dn(), name));
        DisclosedObject { dn: object.dn().clone(), attributes: attributes.cloned().collect() }
    };
    objects.map(told).collect()
}

async fn attributes(
    store: &Store,
    round: u64,
    sight: Sight<'_>,
    secret: &MapSecret,
    whole: bool,
) -> Result<Vec<DisclosedAttribute>> {
    let (made, ended) = match whole {
        true => (store.openings_at(round).await?, vec![]),
        false => store.openings_changed(round).await?,
    };
    let entry = |stored: StoredOpening, stands: bool| {
        let seen = stands && sight.sees_value(&stored);
        let opening = stored.opening;
        DisclosedAttribute {
            key: secret.attribute_key(&opening.dn, &opening.attribute),
            dn: opening.dn,
            attribute: opening.attribute,
            commitment: stands.then_some(stored.commitment),
            opening: seen.then_some(DisclosedOpening { value: opening.value, salt: opening.salt }),
        }
    };
    let made = made.into_iter().map(|stored| entry(stored, true));
    Ok(made.chain(ended.into_iter().map(|stored| entry(stored, false))).collect())
}

/// A record, told whole or by its commitment alone.
fn disclosed(record: Record, sight: Sight<'_>) -> Result<DisclosedRecord> {
    let commitment = record.commitment().context("a record has no canonical form")?;
    let seen = sight.is_full()
        || places(&record).iter().all(|(dn, attribute, fields)| {
            let Ok(dn) = dn.parse::<Dn>() else { return false };
            match attribute.as_str() {
                OBJECT => sight.sees_whole(&dn, fields.iter().map(String::as_str)),
                _ => sight.sees(&dn, attribute),
            }
        });
    Ok(DisclosedRecord { id: record.id().to_owned(), commitment, record: seen.then_some(record) })
}

/// Objects and attributes whose values a record tells, with the attributes inside.
fn places(record: &Record) -> Vec<(String, String, BTreeSet<String>)> {
    let inside = |values: [&Option<serde_json::Value>; 2]| {
        let objects = values.into_iter().flatten().filter_map(serde_json::Value::as_object);
        objects.flat_map(|object| object.keys().cloned()).collect()
    };
    match record {
        Record::Violation(v) => vec![(v.dn.clone(), v.attribute.clone(), inside([&v.old, &v.new]))],
        Record::Change(change) => {
            let edits = change.edits.iter();
            edits.map(|e| (e.dn.clone(), e.attribute.clone(), inside([&e.old, &e.new]))).collect()
        }
        Record::Judgement(_) => vec![],
    }
}
