//! What a round is judged by: everything in force at its opening, by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use anchor::commitment::MapSecret;
use anyhow::{Context as _, Result, bail, ensure};
use model::{Agreement, Inventory};
use policies::PolicySet;
use store::RoundPins;

use crate::app::App;
use crate::statements::{self, PolicyBody};

/// The agreement, policy set, inventory and profiles in force at a height, with their bodies read and checked.
#[derive(Debug)]
pub struct InForce {
    pub agreement: Agreement,
    pub agreement_body: Hash,
    pub map_secret: MapSecret,
    pub policies: Arc<PolicySet>,
    pub policy_id: String,
    pub policy_version: u32,
    pub policy_body: Hash,
    pub inventory: Inventory,
    pub inventory_root: Hash,
    /// Hash over the collection profiles that the inventory names.
    pub profile: Hash,
}

impl InForce {
    pub fn pins(&self) -> RoundPins {
        RoundPins {
            agreement: self.agreement_body,
            policy_set: self.policy_body,
            inventory: self.inventory_root,
            profile: self.profile,
        }
    }
}

impl App {
    /// What is in force for the block at `height`.
    pub async fn in_force(&self, height: u64) -> Result<InForce> {
        let id = &self.config.agreement;
        let (agreement, policy, inventory) = {
            let contract = self.ledger.contract().read();
            let agreement = contract.agreement_in_force(id, height);
            let policies = contract.policy_sets_in_force(id, height);
            let inventory = contract.inventory_in_force(id, self.origin(), height);
            let agreement = agreement.with_context(|| {
                format!("agreement `{id}` is not in force; hint: all parties must approve it")
            })?;
            ensure!(policies.len() <= 1, "agreement `{id}` has several policy sets in force");
            let policy = policies.into_iter().next();
            let policy = policy.with_context(|| format!("no policy set of agreement `{id}` is in force"))?;
            let inventory =
                inventory.with_context(|| format!("no inventory of `{}` is in force", self.origin()))?;
            (agreement.statement, policy.statement, inventory.statement)
        };
        let body: Agreement = self.read_body(&agreement.body, "agreement").await?;
        let policy_body: PolicyBody = self.read_body(&policy.body, "policy set").await?;
        let policies = PolicySet::load(&policy_body.pairs()).map_err(|faults| {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            anyhow::anyhow!("policy set {} v{} does not load: {first}", policy.id, policy.version)
        })?;
        let hash = self.inventory_body(&inventory.root).await?;
        let hash =
            hash.with_context(|| format!("the body of inventory v{} is not here", inventory.version))?;
        let stations: Inventory = self.read_body(&hash, "inventory").await?;
        let profile = self.profile_hash(&stations)?;
        Ok(InForce {
            map_secret: statements::map_secret(&body)?,
            agreement: body,
            agreement_body: agreement.body,
            policies: Arc::new(policies),
            policy_id: policy.id,
            policy_version: policy.version,
            policy_body: policy.body,
            inventory: stations,
            inventory_root: inventory.root,
            profile,
        })
    }

    /// A body that the chain names by hash, read into `T`.
    pub async fn read_body<T: serde::de::DeserializeOwned>(&self, hash: &Hash, what: &str) -> Result<T> {
        let body = self.store.body(hash).await?;
        let body = body.with_context(|| format!("the {what}'s body {hash} is not here"))?;
        serde_json::from_slice(&body.bytes).with_context(|| format!("the {what}'s body {hash} is unreadable"))
    }

    /// The secrets by which an agreement's parties name map entries, newest version first. What was named under an
    /// earlier version stays so.
    pub async fn map_secrets(&self, agreement: &str) -> Result<Vec<(u32, MapSecret)>> {
        let last = self
            .ledger
            .contract()
            .read()
            .last_version(anchor::transaction::SubjectKind::Agreement, agreement);
        let mut secrets = Vec::new();
        for version in (1..=last).rev() {
            secrets.extend(self.map_secret(agreement, version).await?.map(|secret| (version, secret)));
        }
        Ok(secrets)
    }

    /// The secret of one version of an agreement; `None` if its body is not here.
    pub async fn map_secret(&self, agreement: &str, version: u32) -> Result<Option<MapSecret>> {
        let found = self.ledger.contract().read().agreement(agreement, version);
        let Some(statement) = found.map(|found| found.statement) else { return Ok(None) };
        let Some(body) = self.store.body(&statement.body).await? else { return Ok(None) };
        let body: Agreement = serde_json::from_slice(&body.bytes)
            .with_context(|| format!("the body of agreement {agreement} v{version} is unreadable"))?;
        Ok(Some(statements::map_secret(&body)?))
    }

    fn profile_hash(&self, inventory: &Inventory) -> Result<Hash> {
        let ids: BTreeSet<&String> = inventory.stations.iter().map(|s| &s.profile).collect();
        let mut profiles = BTreeMap::new();
        for id in ids {
            let Some(profile) = self.profiles.get(id) else {
                bail!("the inventory names collection profile `{id}`, which is not configured here");
            };
            profiles.insert(id, profile.as_ref());
        }
        Ok(Hash::of(&statements::canonical(&profiles)?))
    }
}
