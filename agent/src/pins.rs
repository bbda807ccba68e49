//! What a round is judged by: everything in force at its opening, by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use anchor::commitment::MapSecret;
use anchor::record::Attestation;
use anchor::transaction::{AgreementStatement, InventoryStatement, PolicySetStatement, Subject, SubjectKind};
use anyhow::{Context as _, Result, bail, ensure};
use contract::Contract;
use model::change::{ChangeKind, Progress};
use model::{Agreement, Inventory, Station};
use policies::PolicySet;
use store::{RequestRow, RoundPins};

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

/// What an attestation pins, as far as it can be had.
#[derive(Debug)]
pub(crate) enum Pinned {
    Ready(Box<InForce>),
    /// A body that is not here yet.
    Missing(Hash),
    /// It names what the chain does not have so.
    Wrong(String),
}

struct Named {
    agreement: AgreementStatement,
    policies: PolicySetStatement,
    inventory: InventoryStatement,
}

fn load(body: &PolicyBody, statement: &PolicySetStatement) -> Result<PolicySet> {
    PolicySet::load(&body.pairs()).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        anyhow::anyhow!("policy set {} v{} does not load: {first}", statement.id, statement.version)
    })
}

/// Nothing on the chain pinned an unopened round: what it rests on must have been final when it was judged, and not have
/// been replaced when the round before was.
fn in_force_between(
    contract: &Contract,
    attestation: &Attestation,
    judged: u64,
    since: Option<u64>,
) -> Result<(), String> {
    let (agreement, policies) = (&attestation.agreement, &attestation.policy_set);
    let inventory = format!("{}/{}", agreement.id, attestation.origin);
    // What is final at a height is in force from the next on.
    let (first, last) = (since.map(|since| since.saturating_add(1)), judged.saturating_add(1));
    let (agreement_then, policies_then, inventory_then) = match first {
        Some(first) => (
            contract.agreement_in_force(&agreement.id, first).map(|found| found.statement.version),
            contract.policy_set_in_force(&policies.id, first).map(|found| found.statement.version),
            contract
                .inventory_in_force(&agreement.id, &attestation.origin, first)
                .map(|found| found.statement.version),
        ),
        None => (None, None, None),
    };
    for (kind, id, version, then) in [
        (SubjectKind::Agreement, &agreement.id, agreement.version, agreement_then),
        (SubjectKind::PolicySet, &policies.id, policies.version, policies_then),
        (SubjectKind::Inventory, &inventory, attestation.inventory.version, inventory_then),
    ] {
        let subject = Subject { kind, id: id.clone(), version };
        let is_final = contract.standing(&subject).is_some_and(|standing| standing.in_force(last));
        if !is_final || then.is_some_and(|then| version < then) {
            return Err(format!("{subject}, which was not in force"));
        }
    }
    Ok(())
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
        let policies = load(&policy_body, &policy)?;
        let stations = self.inventory(&inventory).await?;
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

    /// What a round was judged by, as its attestation pins it and the chain has it in force.
    /// `judged` is the height at which it was judged, `since` that of the round before.
    pub(crate) async fn pinned(
        &self,
        attestation: &Attestation,
        judged: u64,
        since: Option<u64>,
    ) -> Result<Pinned> {
        let pins = match self.named(attestation, judged, since) {
            Ok(pins) => pins,
            Err(why) => return Ok(Pinned::Wrong(why)),
        };
        for body in [&pins.agreement.body, &pins.policies.body, &pins.inventory.body] {
            if !self.store.has_body(body).await? {
                return Ok(Pinned::Missing(*body));
            }
        }
        let agreement: Agreement = self.read_body(&pins.agreement.body, "agreement").await?;
        let policy_body: PolicyBody = self.read_body(&pins.policies.body, "policy set").await?;
        let policies = load(&policy_body, &pins.policies)?;
        Ok(Pinned::Ready(Box::new(InForce {
            map_secret: statements::map_secret(&agreement)?,
            agreement,
            agreement_body: pins.agreement.body,
            policies: Arc::new(policies),
            policy_id: pins.policies.id,
            policy_version: pins.policies.version,
            policy_body: pins.policies.body,
            inventory_root: pins.inventory.root,
            inventory: self.inventory(&pins.inventory).await?,
            profile: attestation.profile,
        })))
    }

    /// The registrations that an attestation pins, or how they are not those of the chain.
    fn named(&self, attestation: &Attestation, judged: u64, since: Option<u64>) -> Result<Named, String> {
        let contract = self.ledger.contract().read();
        let (agreement, policies, inventory) =
            (&attestation.agreement, &attestation.policy_set, &attestation.inventory);
        let pins = Named {
            agreement: contract
                .agreement(&agreement.id, agreement.version)
                .map(|found| found.statement)
                .filter(|statement| statement.body == agreement.body)
                .ok_or_else(|| format!("agreement {} v{}", agreement.id, agreement.version))?,
            policies: contract
                .policy_set(&policies.id, policies.version)
                .map(|found| found.statement)
                .filter(|statement| statement.body == policies.body && statement.agreement == agreement.id)
                .ok_or_else(|| format!("policy set {} v{}", policies.id, policies.version))?,
            inventory: contract
                .inventory(&agreement.id, &attestation.origin, inventory.version)
                .map(|found| found.statement)
                .filter(|statement| (statement.root, statement.count) == (inventory.root, inventory.count))
                .ok_or_else(|| format!("inventory v{}", inventory.version))?,
        };
        let opening = contract.round(&attestation.origin, attestation.round).map(|state| state.opening);
        if let (Some(opening), Some(height)) = (opening, attestation.opened) {
            let opened = &opening.statement;
            let same = opening.at.height == height
                && (&opened.agreement, opened.agreement_version) == (&agreement.id, agreement.version)
                && (&opened.policy_set, opened.policy_set_version) == (&policies.id, policies.version)
                && (opened.inventory_version, opened.profile) == (inventory.version, attestation.profile);
            if !same {
                return Err("what was not pinned at the round's opening".to_owned());
            }
        } else if attestation.opened.is_some() {
            return Err("an opening that the chain does not know".to_owned());
        } else {
            in_force_between(&contract, attestation, judged, since)?;
        }
        Ok(pins)
    }

    /// A registered inventory's body. Its root must be the one registered, under a secret of the agreement: root and
    /// body are approved together, but nothing on chain says that they agree.
    pub async fn inventory(&self, statement: &InventoryStatement) -> Result<Inventory> {
        let inventory: Inventory = self.read_body(&statement.body, "inventory").await?;
        for (_, secret) in self.map_secrets(&statement.agreement).await? {
            if statements::inventory_root(&inventory, &secret)? == statement.root {
                return Ok(inventory);
            }
        }
        bail!("inventory v{} was registered with another root than its body has", statement.version)
    }

    /// Stations of the operators beside `origin` whose inventories are in force for the block at `height` and here, if an
    /// upgrade among these requests waits for any.
    pub(crate) async fn other_stations(
        &self,
        origin: &str,
        height: u64,
        requests: &[RequestRow],
    ) -> Result<Vec<Station>> {
        let waits = |row: &RequestRow| {
            let upgrade = row.request.as_ref().is_some_and(|request| request.kind == ChangeKind::Upgrade);
            upgrade && row.progress != Some(Progress::Complete)
        };
        if !requests.iter().any(waits) {
            return Ok(vec![]);
        }
        let members = self.ledger.genesis().members.iter().map(|member| member.id.as_str());
        let statements: Vec<InventoryStatement> = {
            let contract = self.ledger.contract().read();
            let id = &self.config.agreement;
            let others = members.filter(|member| *member != origin);
            others
                .filter_map(|member| Some(contract.inventory_in_force(id, member, height)?.statement))
                .collect()
        };
        let mut stations = Vec::new();
        for statement in statements {
            if self.store.has_body(&statement.body).await? {
                stations.extend(self.inventory(&statement).await?.stations);
            }
        }
        Ok(stations)
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
