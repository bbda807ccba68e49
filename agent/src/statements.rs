//! From files people write to bodies that are hashed and statements that are signed.

use std::collections::BTreeSet;
use std::path::Path;

use anchor::commitment::MapSecret;
use anchor::transaction::{
    AgreementStatement, InventoryStatement, PolicySetStatement, ProposalKind, ProposalStatement,
};
use anchor::trust::{TrustFile, TrustedAgreement, TrustedMapSecret};
use anchor::{Genesis, Hash, json, map::Map};
use anyhow::{Context as _, Result, bail};
use model::change::ChangeKind;
use model::{Agreement, ChangeRequest, Inventory, Station};
use serde::{Deserialize, Serialize};

/// A body's canonical JSON: what is hashed, stored and sent between the agents concerned.
pub fn canonical<T: Serialize>(body: &T) -> Result<Vec<u8>> {
    json::encode(body).context("the body has no canonical form")
}

/// The statement that registers an agreement's version.
pub fn agreement(agreement: &Agreement) -> Result<(AgreementStatement, Vec<u8>)> {
    agreement.check()?;
    let body = canonical(agreement)?;
    let sorted =
        |ids: &mut dyn Iterator<Item = &String>| ids.cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let statement = AgreementStatement {
        id: agreement.id.clone(),
        version: agreement.version,
        body: Hash::of(&body),
        parties: sorted(&mut agreement.parties.iter().map(|p| &p.id)),
        change_approvers: sorted(&mut agreement.change_approvers.iter()),
        attest_within: u64::from(agreement.collection.attest_within_minutes) * 60_000,
    };
    Ok((statement, body))
}

/// A policy set as it is agreed: its files, whole, so that any operator can replay any verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// `ranproof/policy-set/1`.
    pub format: String,
    pub id: String,
    pub version: u32,
    /// Sorted by name.
    pub files: Vec<PolicyFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    pub name: String,
    pub text: String,
}

impl PolicyBody {
    pub const FORMAT: &'static str = "ranproof/policy-set/1";

    /// The files as the policies room loads them.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.files.iter().map(|f| (f.name.clone(), f.text.clone())).collect()
    }
}

/// What the accused of a dispute says; the operators of the agreement and the two sides may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeAnswer {
    /// `ranproof/response/1`.
    pub format: String,
    /// Id of the dispute.
    pub dispute: String,
    /// In words, at most 4,000 characters.
    pub text: String,
    /// A ticket of the accused; may be empty.
    #[serde(default)]
    pub ticket: String,
}

impl DisputeAnswer {
    pub const FORMAT: &'static str = "ranproof/response/1";
    const MAX_TEXT: usize = 4_000;

    /// That it can be an answer to this dispute.
    pub fn check(&self, dispute: &str) -> Result<()> {
        if self.format != Self::FORMAT {
            bail!("the answer has format `{}`; hint: `{}` is understood here", self.format, Self::FORMAT);
        }
        if self.dispute != dispute {
            bail!("the answer is about dispute `{}`, not `{dispute}`; nothing was signed", self.dispute);
        }
        let length = self.text.chars().count();
        if self.text.trim().is_empty() || length > Self::MAX_TEXT {
            bail!("the answer has {length} characters; hint: 1 to {} are wanted", Self::MAX_TEXT);
        }
        Ok(())
    }
}

/// Reads the YAML files (`.yaml`, `.yml`) of a folder and of its sub-folders except `tests`, sorted by name.
pub fn policy_files(dir: &Path) -> Result<Vec<(String, String)>> {
    yaml_files(dir, |relative| !relative.split('/').any(|part| part == "tests"))
}

/// The test files of a policy folder.
pub fn policy_test_files(dir: &Path) -> Result<Vec<(String, String)>> {
    yaml_files(dir, |relative| relative.split('/').any(|part| part == "tests"))
}

fn yaml_files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                if wanted(&name) {
                    let text = std::fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    out.push((name, text));
                }
            }
        }
    }
    out.sort();
    Ok(out)
}

/// The statement that registers a policy set's version.
pub fn policy_set(body: &PolicyBody, agreement: &str) -> Result<(PolicySetStatement, Vec<u8>)> {
    let bytes = canonical(body)?;
    let statement = PolicySetStatement {
        agreement: agreement.to_owned(),
        id: body.id.clone(),
        version: body.version,
        body: Hash::of(&bytes),
    };
    Ok((statement, bytes))
}

/// What stands in the inventory's map for a station: the hash of its canonical JSON.
pub fn station_commitment(station: &Station) -> Result<Hash> {
    Ok(Hash::of(&canonical(station)?))
}

/// Root of the map of an inventory's stations; keys are the agreement's keyed hashes of their DNs.
pub fn inventory_root(inventory: &Inventory, secret: &MapSecret) -> Result<Hash> {
    let mut map = Map::default();
    for station in &inventory.stations {
        let key = secret.station_key(station.element.as_str());
        map.insert(key.as_bytes(), station_commitment(station)?.as_bytes());
    }
    Ok(map.root())
}

/// The statement that registers an inventory's version.
pub fn inventory(inventory: &Inventory, agreement: &Agreement) -> Result<(InventoryStatement, Vec<u8>)> {
    inventory.check()?;
    if inventory.agreement != agreement.id {
        bail!("the inventory belongs to agreement `{}`, not `{}`", inventory.agreement, agreement.id);
    }
    for station in &inventory.stations {
        let mop = agreement.master_operator(&station.element);
        if mop != Some(inventory.origin.as_str()) {
            bail!(
                "station {} is in the district of {}, not of {}",
                station.element,
                mop.unwrap_or("nobody"),
                inventory.origin
            );
        }
    }
    let body = canonical(inventory)?;
    let statement = InventoryStatement {
        agreement: inventory.agreement.clone(),
        origin: inventory.origin.clone(),
        version: inventory.version,
        root: inventory_root(inventory, &map_secret(agreement)?)?,
        count: inventory.stations.len() as u64,
        body: Hash::of(&body),
    };
    Ok((statement, body))
}

/// The secret with which the agreement's parties name map entries.
pub fn map_secret(agreement: &Agreement) -> Result<MapSecret> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(&agreement.map_secret, &mut bytes).ok().context("map_secret is not 32 bytes")?;
    Ok(MapSecret(bytes))
}

/// The trust file of a party: the federation's keys, the agreement it signed and that agreement's secret. It asks
/// for nobody's cosignature; the party adds what it wants.
pub fn trust(genesis: &Genesis, agreement: &Agreement) -> Result<TrustFile> {
    let mut trust = TrustFile::from_genesis(genesis);
    trust.agreements.push(TrustedAgreement {
        id: agreement.id.clone(),
        parties: agreement
            .parties
            .iter()
            .map(|p| p.id.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    });
    trust.map_secrets.push(TrustedMapSecret {
        agreement: agreement.id.clone(),
        version: agreement.version,
        secret: map_secret(agreement)?,
    });
    Ok(trust)
}

/// Members who must approve a request: those the agreement always asks, and those whom the rights name for
/// the attributes it touches.
pub fn required_approvers(request: &ChangeRequest, agreement: &Agreement) -> BTreeSet<String> {
    let mut required: BTreeSet<String> = agreement.change_approvers.iter().cloned().collect();
    for edit in &request.edits {
        required.extend(agreement.must_approve(&edit.object, &edit.attribute));
    }
    if matches!(request.kind, ChangeKind::Baseline | ChangeKind::Swap | ChangeKind::Upgrade) {
        required.extend(agreement.operators().map(|p| p.id.clone()));
    }
    required
}

/// The statement that proposes a request.
pub fn proposal(request: &ChangeRequest, agreement: &Agreement) -> Result<(ProposalStatement, Vec<u8>)> {
    request.check()?;
    if (request.agreement.as_str(), request.agreement_version) != (agreement.id.as_str(), agreement.version) {
        bail!(
            "the request is written for agreement {} v{}, in force is {} v{}",
            request.agreement,
            request.agreement_version,
            agreement.id,
            agreement.version
        );
    }
    let body = canonical(request)?;
    let statement = ProposalStatement {
        id: request.id.clone(),
        kind: proposal_kind(request.kind),
        agreement: request.agreement.clone(),
        agreement_version: request.agreement_version,
        body: Hash::of(&body),
        required: required_approvers(request, agreement).into_iter().collect(),
        window_from: request.window.from.to_unsigned(),
        window_to: request.window.to.to_unsigned(),
    };
    Ok((statement, body))
}

fn proposal_kind(kind: ChangeKind) -> ProposalKind {
    match kind {
        ChangeKind::Change => ProposalKind::Change,
        ChangeKind::Baseline => ProposalKind::Baseline,
        ChangeKind::Upgrade => ProposalKind::Upgrade,
        ChangeKind::Swap => ProposalKind::Swap,
        ChangeKind::Emergency => ProposalKind::Emergency,
    }
}
