//! A round's account: every agreed station's outcome, and commitments to what was read, changed and violated.

use anchor::commitment::{MapSecret, Opening, outcome_hash};
use anchor::map::Map;
use anchor::record::{Attestation, AttestationFormat, Counts, DocumentVersion, InventoryVersion, Record};
use anchor::{Hash, json};
use anyhow::{Context as _, Result};
use model::{Accounting, Dn, Timestamp};
use store::{CommittedAttribute, RoundStart, StationResult};

use crate::pins::InForce;

/// The map of stations to outcomes.
pub fn outcomes(stations: &[StationResult], secret: &MapSecret) -> Map {
    let mut map = Map::default();
    for station in stations {
        let key = secret.station_key(station.element.as_str());
        let outcome = outcome_hash(station.outcome.name(), station.outcome.reason().unwrap_or_default());
        map.insert(key.as_bytes(), outcome.as_bytes());
    }
    map
}

/// The map of key attributes to commitments.
pub fn attributes<'a>(openings: impl IntoIterator<Item = (&'a Opening, Hash)>, secret: &MapSecret) -> Map {
    Map::from_pairs(openings.into_iter().map(|(opening, commitment)| {
        let key = secret.attribute_key(&opening.dn, &opening.attribute);
        (*key.as_bytes(), *commitment.as_bytes())
    }))
}

/// The map of key attributes once these commitments are made and those places are gone.
pub fn renewed(
    mut map: Map,
    openings: &[CommittedAttribute],
    closed: &[(Dn, Dn, String)],
    secret: &MapSecret,
) -> Map {
    for (_, dn, attribute) in closed {
        map.remove(secret.attribute_key(dn.as_str(), attribute).as_bytes());
    }
    for CommittedAttribute { opening, .. } in openings {
        let key = secret.attribute_key(&opening.dn, &opening.attribute);
        map.insert(key.as_bytes(), opening.commitment().as_bytes());
    }
    map
}

/// The map of records' ids to their commitments.
pub fn records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Map> {
    let mut map = Map::default();
    for record in records {
        let commitment = record.commitment().context("a record has no canonical form")?;
        map.insert(record.id().as_bytes(), commitment.as_bytes());
    }
    Ok(map)
}

/// What the attestation of one round is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub chain: &'a str,
    pub start: &'a RoundStart,
    pub finished: Timestamp,
    pub in_force: &'a InForce,
    pub accounting: Accounting,
    pub outcomes: &'a Map,
    pub attributes: &'a Map,
    pub violations: &'a Map,
    pub changes: &'a Map,
    /// Hash of the previous round's attestation.
    pub previous: Option<Hash>,
}

/// The attestation and its canonical bytes.
pub fn attest(parts: &Parts<'_>) -> Result<(Attestation, Vec<u8>)> {
    let in_force = parts.in_force;
    let accounting = &parts.accounting;
    let attestation = Attestation {
        format: AttestationFormat,
        chain: parts.chain.to_owned(),
        origin: parts.start.origin.clone(),
        round: parts.start.round,
        opened: parts.start.opened,
        agreement: DocumentVersion {
            id: in_force.agreement.id.clone(),
            version: in_force.agreement.version,
            body: in_force.agreement_body,
        },
        policy_set: DocumentVersion {
            id: in_force.policy_id.clone(),
            version: in_force.policy_version,
            body: in_force.policy_body,
        },
        inventory: InventoryVersion {
            version: in_force.inventory.version,
            root: in_force.inventory_root,
            count: in_force.inventory.stations.len() as u64,
        },
        profile: in_force.profile,
        started: parts.start.started.to_unsigned(),
        finished: parts.finished.to_unsigned(),
        counts: Counts {
            expected: accounting.expected,
            collected: accounting.collected,
            unchanged: accounting.unchanged,
            failed: accounting.failed,
            skipped: accounting.skipped,
        },
        outcomes_root: parts.outcomes.root(),
        outcomes_count: parts.outcomes.len(),
        attributes_root: parts.attributes.root(),
        violations_root: parts.violations.root(),
        violations_count: parts.violations.len(),
        changes_root: parts.changes.root(),
        changes_count: parts.changes.len(),
        previous: parts.previous,
    };
    let bytes = json::encode(&attestation).context("the attestation has no canonical form")?;
    Ok((attestation, bytes))
}
