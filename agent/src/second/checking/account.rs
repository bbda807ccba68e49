//! Outcomes, figures and records against what the attestation commits to.

use std::collections::{BTreeMap, BTreeSet};

use anchor::commitment::outcome_hash;
use anchor::map::Map;
use anchor::record::{Counts, Record, ViolationRecord};
use anchor::transaction::DisputeKind;
use anchor::verify::CLOCK_TOLERANCE;
use model::{Accounting, Dn, Outcome, Text, Violation};
use store::StationResult;

use super::{Heights, Look, Recorded};
use crate::second::disclosure::{DisclosedRecord, DisclosedStation};
use crate::second::finding::Finding;

/// What a disclosure tells of one agreed station.
pub(super) struct Told<'a> {
    /// `None`: nothing, though it is agreed.
    pub station: Option<&'a DisclosedStation>,
    pub result: StationResult,
}

/// The round follows the one before, and was judged between its opening and its attestation.
pub(super) fn check_story(look: &Look<'_>, heights: Heights, findings: &mut Vec<Finding>) {
    let attestation = &look.disclosure.attestation;
    if let Some(known) = look.before.attestation
        && attestation.previous != Some(known)
    {
        let en = "the round does not follow the last one that was disclosed: one in between is withheld or was replaced";
        findings.push(Finding::account(
            "previous",
            en,
            "该轮次不接续上一次披露的轮次：其间有轮次未披露或被替换",
        ));
    }
    findings.extend(heights.finding(look.disclosure.height));
}

/// The round was read between its opening and its attestation, and every station while the round was read.
pub(super) fn check_times(look: &Look<'_>, heights: Heights, findings: &mut Vec<Finding>) {
    let attestation = &look.disclosure.attestation;
    let (first, last) = (
        attestation.started.saturating_sub(CLOCK_TOLERANCE),
        attestation.finished.saturating_add(CLOCK_TOLERANCE),
    );
    if let Some(opened) = heights.opened {
        let early = attestation.started < opened.time.saturating_sub(CLOCK_TOLERANCE);
        let late = attestation.finished > heights.attested.time.saturating_add(CLOCK_TOLERANCE);
        if early || late {
            let en = "the round says it was read before its opening or after its attestation on the chain";
            findings.push(Finding::account("times", en, "该轮次所称的读取时间早于链上开启或晚于链上存证"));
        }
    }
    for station in &look.disclosure.stations {
        if !(first..=last).contains(&station.read.to_unsigned()) {
            let element = &station.element;
            let (en, zh) = (
                format!("station {element} was read outside of the round's time"),
                format!("站点 {element} 的读取时间不在该轮次的时间内"),
            );
            findings.push(Finding {
                place: Some((element.clone(), "@station".to_owned())),
                ..Finding::account("read-time", en, zh)
            });
        }
    }
}

/// The stations by element; one that is agreed and not told of counts as failed.
pub(super) fn stations<'a>(look: &Look<'a>, findings: &mut Vec<Finding>) -> BTreeMap<Dn, Told<'a>> {
    let attestation = &look.disclosure.attestation;
    let mut told: BTreeMap<&Dn, &DisclosedStation> = BTreeMap::new();
    let mut outcomes = Map::default();
    for station in &look.disclosure.stations {
        let key = look.in_force.map_secret.station_key(station.element.as_str());
        outcomes.insert(key.as_bytes(), outcome_hash(&station.outcome, &station.reason).as_bytes());
        told.insert(&station.element, station);
    }
    if (outcomes.root(), outcomes.len()) != (attestation.outcomes_root, attestation.outcomes_count)
        || look.disclosure.stations.len() as u64 != outcomes.len()
    {
        let en = "the disclosed outcomes are not those that were attested";
        findings.push(Finding::account("outcomes", en, "披露的站点结果与存证不符"));
    }
    let mut all = BTreeMap::new();
    for agreed in &look.in_force.inventory.stations {
        let station = told.remove(&agreed.element);
        let outcome = station.and_then(outcome);
        if outcome.is_none() {
            let element = &agreed.element;
            let (en, zh) =
                (format!("nothing is told of station {element}"), format!("未披露站点 {element} 的结果"));
            findings.push(Finding {
                place: Some((element.clone(), "@station".to_owned())),
                ..Finding::account("station-missing", en, zh)
            });
        }
        let lost = || Outcome::Failed { reason: "not-disclosed".into(), detail: String::new() };
        let result = StationResult {
            element: agreed.element.clone(),
            outcome: outcome.unwrap_or_else(lost),
            read: station.map(|station| station.read).unwrap_or_default(),
            duration_ms: 0,
        };
        all.insert(agreed.element.clone(), Told { station, result });
    }
    if let Some(stranger) = told.keys().next() {
        let en = format!("station {stranger} is told of and not agreed");
        findings.push(Finding::account("station-unknown", en, format!("站点 {stranger} 不在约定清单内")));
    }
    check_counts(look, &all, findings);
    all
}

fn outcome(station: &DisclosedStation) -> Option<Outcome> {
    let reason = station.reason.clone();
    match station.outcome.as_str() {
        "collected" => Some(Outcome::Collected),
        "unchanged" => Some(Outcome::Unchanged),
        "failed" => Some(Outcome::Failed { reason, detail: String::new() }),
        "skipped" => Some(Outcome::Skipped { reason }),
        _ => None,
    }
}

fn check_counts(look: &Look<'_>, all: &BTreeMap<Dn, Told<'_>>, findings: &mut Vec<Finding>) {
    let counted = Accounting::count(all.len() as u64, all.values().map(|told| &told.result.outcome));
    let Accounting { expected, collected, unchanged, failed, skipped } = counted;
    if (Counts { expected, collected, unchanged, failed, skipped }) != look.disclosure.attestation.counts {
        let en = "the figures of the round are not those of its stations";
        findings.push(Finding::account("counts", en, "该轮次的数字与其站点不符"));
    }
}

/// The origin's violations. Changes are checked and not needed: the judge finds its own.
pub(super) fn records(look: &Look<'_>, findings: &mut Vec<Finding>) -> Vec<Recorded> {
    let disclosure = look.disclosure;
    let attestation = &disclosure.attestation;
    let lists = [
        ("violations", &disclosure.violations, attestation.violations_root, attestation.violations_count),
        ("changes", &disclosure.changes, attestation.changes_root, attestation.changes_count),
    ];
    for (code, records, root, count) in lists {
        let map = Map::from_pairs(records.iter().map(|r| (r.id.as_bytes(), *r.commitment.as_bytes())));
        if (map.root(), map.len()) != (root, count) || records.len() as u64 != count {
            let (en, zh) = match code {
                "violations" => {
                    ("the disclosed violations are not those that were attested", "披露的违规记录与存证不符")
                }
                _ => ("the disclosed changes are not those that were attested", "披露的变更记录与存证不符"),
            };
            findings.push(Finding::account(code, en, zh));
        }
        for record in records {
            findings.extend(check_record(look, code, record));
        }
    }
    let mut known = BTreeSet::new();
    let named = disclosure.violations.iter().filter(|told| is_named(told) && known.insert(&told.id));
    named.map(recorded).collect()
}

/// Whether a violation has a name that it can have. Judgements are named after it: with another's name it would take
/// the place of what is yet to be judged.
fn is_named(disclosed: &DisclosedRecord) -> bool {
    let derived = match &disclosed.record {
        Some(Record::Violation(record)) if record.id == disclosed.id => derived_id(record),
        _ => Some(disclosed.id.clone()),
    };
    Violation::is_id(&disclosed.id) && derived.as_ref() == Some(&disclosed.id)
}

fn derived_id(record: &ViolationRecord) -> Option<String> {
    let object = record.dn.parse::<Dn>().ok()?;
    let (attribute, rule) = (&record.attribute, &record.rule);
    Some(Violation::derive_id(&record.origin, &object, attribute, rule, record.first_seen.round))
}

fn recorded(disclosed: &DisclosedRecord) -> Recorded {
    let record = match &disclosed.record {
        Some(record) if stands(disclosed, record) => match record {
            Record::Violation(violation) => Some((**violation).clone()),
            _ => None,
        },
        _ => None,
    };
    Recorded { id: disclosed.id.clone(), commitment: disclosed.commitment, record }
}

fn stands(disclosed: &DisclosedRecord, record: &Record) -> bool {
    record.id() == disclosed.id
        && record.commitment().is_ok_and(|commitment| commitment == disclosed.commitment)
}

fn check_record(look: &Look<'_>, code: &str, disclosed: &DisclosedRecord) -> Option<Finding> {
    let id = &disclosed.id;
    if code == "violations" && !is_named(disclosed) {
        let en = format!("violation {id} has a name that is not its own");
        return Some(Finding::account("record-name", en, format!("违规记录 {id} 的标识不是其应有的标识")));
    }
    let Some(record) = &disclosed.record else {
        // Which value it would tell cannot be known; an agreement that withholds nothing withholds no record.
        return look.sight.is_full().then(|| {
            let text = Text::new(format!("record {id} is withheld"), format!("记录 {id} 未予披露"));
            Finding::of_round(DisputeKind::Withheld, "record-withheld", text)
        });
    };
    let attestation = &look.disclosure.attestation;
    let fits =
        matches!((code, record), ("violations", Record::Violation(_)) | ("changes", Record::Change(_)))
            && record.origin() == attestation.origin
            && record.round() == attestation.round
            && stands(disclosed, record);
    (!fits).then(|| {
        let en = format!("record {id} is not the one that was committed to");
        Finding::account("record", en, format!("记录 {id} 不是所承诺的记录"))
    })
}
