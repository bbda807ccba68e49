//! What one running agent holds, shared by rounds, anchoring, pages and API.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, PoisonError};

use anchor::commitment::EpochSecret;
use anchor::{Genesis, Hash, SigningKey};
use anyhow::{Context as _, Result, bail};
use model::{Inventory, Profile};
use store::{Store, StoreConfig};
use tokio::sync::{Mutex, watch};

use crate::clock;
use crate::config::{AgentConfig, Targets, read_yaml};
use crate::keys;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::projector;

/// One operator's agent.
#[derive(Debug)]
pub struct App {
    pub config: AgentConfig,
    pub store: Store,
    pub ledger: Ledger,
    pub metrics: Metrics,
    /// Collection profiles by id.
    pub profiles: BTreeMap<String, Arc<Profile>>,
    pub targets: Targets,
    /// Signs openings, attestations and checkpoints of this operator's log.
    pub(crate) log_key: SigningKey,
    /// From it come the salts of all commitments.
    pub(crate) epoch: EpochSecret,
    /// Keyed hashes of secret attributes use this.
    pub(crate) secret_key: [u8; 32],
    /// Needed for whatever changes something through the API.
    pub(crate) token: String,
    /// One round or anchoring at a time.
    pub(crate) turn: Mutex<()>,
    /// One transaction of the log key at a time, so that sequence numbers have no gaps.
    pub(crate) sending: Mutex<()>,
    /// Chain height up to which the store follows; also serialises the following.
    projected: Mutex<u64>,
    /// Baselines that were looked at since the start: taken over, or found not to count.
    baselines: std::sync::Mutex<BTreeSet<String>>,
    /// Becomes true when the agent is to end.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// Opens everything on the data folder and catches up with the chain.
    pub async fn start(config: AgentConfig, genesis: Genesis) -> Result<App> {
        if genesis.member(&config.operator).is_none() {
            let (operator, genesis) = (&config.operator, config.genesis.display());
            bail!("operator `{operator}` is not a member in {genesis}; hint: `operator` is a member's id");
        }
        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("cannot create {}", config.data.display()))?;
        // Openings and raw replies lie here: nobody else's to read.
        std::fs::set_permissions(&config.data, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot restrict {}", config.data.display()))?;
        let log_key = keys::load(&config.key_path("log"))?;
        if genesis.member(&config.operator).map(|m| m.log_key) != Some(log_key.public()) {
            let (data, operator) = (config.data.display(), &config.operator);
            bail!(
                "the log key in {data} is not the one genesis has for `{operator}`; hint: is it another operator's data?"
            );
        }
        let salt = keys::load_secret(&config.key_path("salt"))?;
        let store = Store::open(StoreConfig::new(config.data.join("ranproof.db"))).await?;
        let ledger = Ledger::start(&config, genesis).await?;
        // The last block taken over is looked at again: a database of another chain is noticed.
        let projected = store.applied().await?.map_or(0, |block| block.height.saturating_sub(1));
        let targets = Targets::load(&config.targets)?;
        let profiles = load_profiles(&config)?;
        let token = load_or_create_token(&config)?;
        let app = App {
            store,
            metrics: Metrics::new(&config.operator)?,
            ledger,
            profiles,
            targets,
            log_key,
            epoch: EpochSecret(*Hash::of_parts(&[b"ranproof/epoch/1\n", &salt]).as_bytes()),
            secret_key: *Hash::of_parts(&[b"ranproof/secret-attributes/1\n", &salt]).as_bytes(),
            token,
            turn: Mutex::new(()),
            sending: Mutex::new(()),
            projected: Mutex::new(projected),
            baselines: std::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
            config,
        };
        app.settle().await?;
        Ok(app)
    }

    /// Member id of this operator, which is also the origin of its rounds and log.
    pub fn origin(&self) -> &str {
        &self.config.operator
    }

    /// Takes over what the chain has finalized since the last call, and the baselines it approved.
    pub async fn settle(&self) -> Result<()> {
        let mut projected = self.projected.lock().await;
        *projected = projector::catch_up(&self.ledger, &self.store, projected.saturating_add(1)).await?;
        crate::baseline::take_over(self).await
    }

    /// Whether this baseline was looked at since the start.
    pub(crate) fn taken_over(&self, request: &str) -> bool {
        self.baselines.lock().unwrap_or_else(PoisonError::into_inner).contains(request)
    }

    pub(crate) fn note_taken_over(&self, request: &str) {
        self.baselines.lock().unwrap_or_else(PoisonError::into_inner).insert(request.to_owned());
    }

    /// The body of an inventory is found by its root, since its statement names no body hash.
    pub async fn inventory_body(&self, root: &Hash) -> Result<Option<Hash>> {
        for body in self.store.bodies_of_kind("inventory").await? {
            let Ok(inventory) = serde_json::from_slice::<Inventory>(&body.bytes) else { continue };
            for (_, secret) in self.map_secrets(&inventory.agreement).await? {
                if crate::statements::inventory_root(&inventory, &secret)? == *root {
                    return Ok(Some(body.hash));
                }
            }
        }
        Ok(None)
    }
}

/// The built-in profile and those of the configuration, by id.
fn load_profiles(config: &AgentConfig) -> Result<BTreeMap<String, Arc<Profile>>> {
    let mut profiles = BTreeMap::from([("plain".to_owned(), Arc::new(Profile::plain("plain")))]);
    for path in &config.profiles {
        let profile: Profile = read_yaml(path)?;
        if profile.format != Profile::FORMAT {
            bail!(
                "{}: format is `{}`; hint: this version reads {}",
                path.display(),
                profile.format,
                Profile::FORMAT
            );
        }
        let id = profile.id.clone();
        if profiles.insert(id.clone(), Arc::new(profile)).is_some() {
            bail!("{}: there are two profiles `{id}`", path.display());
        }
    }
    Ok(profiles)
}

/// The API token: drawn at the first start, kept in a file of mode 0600.
fn load_or_create_token(config: &AgentConfig) -> Result<String> {
    let path = config.data.join("api.token");
    let secret = if path.exists() { keys::load_secret(&path)? } else { keys::create_secret(&path)? };
    tracing::info!("Opened the agent's data folder at {}", clock::now());
    Ok(hex::encode(secret))
}
