//! Step `openings`: the rounds attested exactly the old and new values that the record tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bundle::{AttestedValue, Bundle, Observation};
use crate::commitment::commitment;
use crate::json;
use crate::trust::Trust;

use super::record::{Claim, Edit};
use super::report::{Finding, Gaps, Refuted, StepResult, refuted};

pub(super) fn openings(bundle: &Bundle, claim: &Claim<'_>, trust: &Trust) -> StepResult<()> {
    if let Claim::Round(_) = claim {
        return Ok(((), Finding::Skipped("a round's bundle opens no values".into())));
    }
    let mut gaps = Gaps::default();
    let edits = claim.edits();
    match &bundle.after {
        Some(after) => {
            if after.attestation.round != claim.round() {
                return refuted("the later attestation is not of the round that first saw it");
            }
            check_listed(bundle, claim, after, &mut gaps)?;
            let side = Side { name: "new", observation: after, trust };
            side.check(&edits, |edit| edit.new, &mut gaps)?;
        }
        None => gaps.add("nothing attests the new values"),
    }
    match &bundle.before {
        Some(before) => {
            if before.listed.is_some() {
                return refuted("the earlier attestation need not list the record");
            }
            let side = Side { name: "old", observation: before, trust };
            side.check(&edits, |edit| edit.old, &mut gaps)?;
        }
        None if needs_before(claim) => gaps.add("nothing attests the old values"),
        None => {}
    }
    let count = edits.len();
    check_secrets(bundle, trust, &mut gaps);
    let finding =
        gaps.finding(|| format!("values of {count} attributes opened as attested, map keys checked"));
    Ok(((), finding))
}

/// Without the secret a value could stand under any key, beside another under the attribute's own.
fn check_secrets(bundle: &Bundle, trust: &Trust, gaps: &mut Gaps) {
    let observations = [&bundle.before, &bundle.after].into_iter().flatten();
    let agreements = observations.map(|o| &o.attestation.agreement);
    let agreements: BTreeSet<_> = agreements.map(|a| (a.id.as_str(), a.version)).collect();
    for (id, version) in agreements {
        if trust.map_secret(id, version).is_none() {
            gaps.add(format!(
                "map keys are not checked without the map secret of agreement {id} v{version}; hint: `map_secrets`"
            ));
        }
    }
}

/// A violation that claims no old value needs none attested: a first collection has no round before it.
fn needs_before(claim: &Claim<'_>) -> bool {
    match claim {
        Claim::Change(_) => true,
        Claim::Violation(record) => record.old.is_some(),
        Claim::Round(_) => false,
    }
}

/// The round's own account lists the record.
fn check_listed(
    bundle: &Bundle,
    claim: &Claim<'_>,
    after: &Observation,
    gaps: &mut Gaps,
) -> Result<(), Refuted> {
    let (Some(record), Some(listed)) = (&bundle.record, &after.listed) else {
        gaps.add("that the round's account lists the record is not shown");
        return Ok(());
    };
    let root = match claim {
        Claim::Change(_) => &after.attestation.changes_root,
        _ => &after.attestation.violations_root,
    };
    let commitment = record.commitment().map_err(|e| Refuted(e.to_string()))?;
    let verified = listed.verify(root, record.id().as_bytes(), Some(commitment.as_bytes()));
    verified.map_err(|e| Refuted(format!("the round's account does not list the record: {e}")))
}

/// The values of one attestation.
struct Side<'a> {
    name: &'static str,
    observation: &'a Observation,
    trust: &'a Trust,
}

impl Side<'_> {
    fn check<'e>(
        &self,
        edits: &[Edit<'e>],
        value_of: impl Fn(&Edit<'e>) -> Option<&'e Value>,
        gaps: &mut Gaps,
    ) -> Result<(), Refuted> {
        let concerned: BTreeMap<_, _> = edits.iter().map(|e| ((e.dn, e.attribute), e)).collect();
        let mut opened = BTreeSet::new();
        for value in &self.observation.values {
            let name = (value.dn.as_str(), value.attribute.as_str());
            let Some(edit) = concerned.get(&name) else {
                let what = format!("{} {}", value.dn, value.attribute);
                return refuted(format!("{what} is opened although the record does not speak of it"));
            };
            let at =
                |e: String| Refuted(format!("{} value of {} {}: {e}", self.name, edit.dn, edit.attribute));
            self.check_value(value, value_of(edit)).map_err(|Refuted(e)| at(e))?;
            opened.insert(name);
        }
        for (dn, attribute) in concerned.into_keys().filter(|name| !opened.contains(name)) {
            gaps.add(format!("the {} value of {dn} {attribute} is not opened", self.name));
        }
        Ok(())
    }

    fn check_value(&self, attested: &AttestedValue, claimed: Option<&Value>) -> Result<(), Refuted> {
        let agreement = &self.observation.attestation.agreement;
        let secret = self.trust.map_secret(&agreement.id, agreement.version);
        if let Some(secret) = &secret
            && secret.attribute_key(&attested.dn, &attested.attribute) != attested.key
        {
            return refuted("the map key is not this attribute's");
        }
        let root = &self.observation.attestation.attributes_root;
        let key = attested.key.as_bytes();
        match (&attested.opening, claimed) {
            (Some(opening), Some(claimed)) => {
                let commitment = commitment(&opening.salt, &attested.dn, &attested.attribute, &opening.value);
                let verified = attested.proof.verify(root, key, Some(commitment.as_bytes()));
                verified.map_err(|e| Refuted(e.to_string()))?;
                let text = json::to_canonical(claimed).map_err(|e| Refuted(e.to_string()))?;
                if opening.value.as_bytes() != text { refuted("another value is attested") } else { Ok(()) }
            }
            (None, None) => attested.proof.verify(root, key, None).map_err(|e| Refuted(e.to_string())),
            (Some(_), None) => refuted("a value is opened where the record claims none"),
            (None, Some(_)) => refuted("no value is opened where the record claims one"),
        }
    }
}
