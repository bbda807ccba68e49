//! What the two rounds around a change attested of its values.

use std::collections::BTreeMap;

use anchor::bundle::{AttestedValue, Observation, OpenedValue};
use anchor::map::Map;
use anchor::record::{Attestation, Record};
use anyhow::{Context as _, Result, bail};
use model::{Dn, Value};
use store::{StoredOpening, log};

use super::Builder;
use crate::round::{attribute_map, record_map};

/// How many rounds back an old value is looked for.
const LOOK_BACK: u32 = 1000;

/// One attribute that a record speaks of.
struct Told {
    dn: String,
    attribute: String,
    old: Option<String>,
}

impl Builder<'_> {
    /// What the round of the record attested of the new values, and that it lists the record.
    pub(super) async fn after(&self, attestation: &Attestation, record: &Record) -> Result<Observation> {
        let leaves = self.app.store.leaves_of_round(attestation.round).await?;
        let kind = match record {
            Record::Change(_) => "change",
            Record::Violation(_) => "violation",
            Record::Judgement(_) => bail!("a judgement opens no values"),
        };
        let records = leaves.into_iter().filter(|leaf| leaf.kind == kind).filter_map(|leaf| leaf.record);
        let records = records.map(serde_json::from_value::<Record>).collect::<Result<Vec<_>, _>>()?;
        let listed = record_map(&records)?.prove(record.id().as_bytes());
        let mut observation = self.observe(attestation, &told(record)?).await?;
        observation.listed = Some(listed);
        Ok(observation)
    }

    /// The last opened round before `round` that attested all old values; `None` where nothing old is claimed or no
    /// round attested it.
    pub(super) async fn before(&self, round: u64, record: &Record) -> Result<Option<Observation>> {
        let told = told(record)?;
        let claims_old = match record {
            Record::Change(_) => true,
            Record::Violation(violation) => violation.old.is_some(),
            Record::Judgement(_) => false,
        };
        if !claims_old {
            return Ok(None);
        }
        for row in self.app.store.rounds(Some(round), LOOK_BACK).await? {
            if row.start.opened.is_none() || row.attestation.is_none() || row.leaf_index.is_none() {
                continue;
            }
            if self.attested_old(row.start.round, &told).await? {
                let attestation = self.attestation(row.start.round).await?;
                return Ok(Some(self.observe(&attestation, &told).await?));
            }
        }
        Ok(None)
    }

    async fn attested_old(&self, round: u64, told: &[Told]) -> Result<bool> {
        for one in told {
            let dn: Dn = one.dn.parse()?;
            let openings = self.app.store.openings_of(&dn, round).await?;
            let found = openings.iter().find(|o| o.opening.attribute == one.attribute);
            if found.map(|o| &o.opening.value) != one.old.as_ref() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn observe(&self, attestation: &Attestation, told: &[Told]) -> Result<Observation> {
        let round = attestation.round;
        let secret = self.app.map_secret(&attestation.agreement.id, attestation.agreement.version).await?;
        let secret = secret.with_context(|| format!("agreement {} is not here", attestation.agreement.id))?;
        let openings = self.app.store.openings_at(round).await?;
        let map: Map = attribute_map(openings.iter().map(|o| (&o.opening, o.commitment)), &secret);
        let by_name: BTreeMap<(&str, &str), &StoredOpening> =
            openings.iter().map(|o| ((o.opening.dn.as_str(), o.opening.attribute.as_str()), o)).collect();
        let values: Vec<_> = told
            .iter()
            .map(|one| {
                let key = secret.attribute_key(&one.dn, &one.attribute);
                let opening = by_name.get(&(one.dn.as_str(), one.attribute.as_str())).map(|stored| {
                    OpenedValue { value: stored.opening.value.clone(), salt: stored.opening.salt }
                });
                AttestedValue {
                    dn: one.dn.clone(),
                    attribute: one.attribute.clone(),
                    proof: map.prove(key.as_bytes()),
                    key,
                    opening,
                }
            })
            .collect();
        let leaf = self.app.store.leaf_of(log::ATTESTATION, &format!("round/{round}")).await?;
        let index =
            leaf.with_context(|| format!("the attestation of round {round} is not in the log"))?.index;
        Ok(Observation {
            attestation: attestation.clone(),
            index,
            path: self.tree.inclusion(index, self.checkpoint.head().size)?,
            listed: None,
            values,
        })
    }
}

fn told(record: &Record) -> Result<Vec<Told>> {
    let text = |value: &Option<serde_json::Value>| -> Result<Option<String>> {
        let value = value.clone().map(serde_json::from_value::<Value>).transpose()?;
        Ok(value.map(|v| v.canonical_json()))
    };
    match record {
        Record::Change(change) => change
            .edits
            .iter()
            .map(|e| Ok(Told { dn: e.dn.clone(), attribute: e.attribute.clone(), old: text(&e.old)? }))
            .collect(),
        Record::Violation(v) => {
            Ok(vec![Told { dn: v.dn.clone(), attribute: v.attribute.clone(), old: text(&v.old)? }])
        }
        Record::Judgement(_) => bail!("a judgement opens no values"),
    }
}
