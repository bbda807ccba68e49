//! What one running agent holds, shared by rounds, anchoring, pages and API.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, PoisonError};

use anchor::commitment::EpochSecret;
use anchor::transaction::MemberId;
use anchor::{Genesis, Hash, MemberRole, SigningKey};
use anyhow::{Context as _, Result, bail};
use collector::validation::Schemas;
use model::Profile;
use store::{Store, StoreConfig};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::clock;
use crate::config::{AgentConfig, Targets, read_formatted};
use crate::keys;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::peer::Peers;
use crate::peer::bodies::Bodies;
use crate::projector;
use crate::round::memory::Memory;
use crate::schemas;
use crate::trees::Trees;

/// One operator's agent.
#[derive(Debug)]
pub struct App {
    pub config: AgentConfig,
    pub store: Store,
    pub ledger: Ledger,
    pub metrics: Metrics,
    /// The other members' agents.
    pub peers: Peers,
    /// Which bodies the chain names.
    pub bodies: Bodies,
    /// The other members' logs, and their cosignatures over this one's.
    pub mirrors: Mirrors,
    /// The trees of the logs that are held here.
    pub(crate) trees: Trees,
    /// Collection profiles by id.
    pub profiles: BTreeMap<String, Arc<Profile>>,
    pub targets: Targets,
    /// What replies of stations are validated against, if anything.
    pub(crate) schemas: Option<Arc<Schemas>>,
    /// Signs openings, attestations and checkpoints of this operator's log.
    pub(crate) log_key: SigningKey,
    /// Cosigns the checkpoints of other members' logs, and nothing else.
    pub(crate) cosigner_key: SigningKey,
    /// From it come the salts of all commitments.
    pub(crate) epoch: EpochSecret,
    /// Keyed hashes of secret attributes use this.
    pub(crate) secret_key: [u8; 32],
    /// Needed for whatever changes something through the API.
    pub(crate) token: String,
    /// One round or anchoring at a time; with it goes what rounds keep in memory.
    pub(crate) turn: Mutex<Memory>,
    /// One transaction of the log key at a time, so that sequence numbers have no gaps.
    pub(crate) sending: Mutex<()>,
    /// Chain height up to which the store follows; also serialises the following.
    projected: Mutex<u64>,
    /// Baselines that were looked at since the start: taken over, or found not to count.
    baselines: std::sync::Mutex<BTreeSet<String>>,
    /// Held while a round is judged: what is approved does not move under the judge.
    approved: Mutex<()>,
    /// What this operator knows and judges of each other operator's stations: see [`crate::second`].
    pub seconds: BTreeMap<MemberId, Store>,
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
        let cosigner_key = keys::load(&config.key_path("cosigner"))?;
        if genesis.member(&config.operator).map(|m| m.cosigner_key) != Some(cosigner_key.public()) {
            let (data, operator) = (config.data.display(), &config.operator);
            bail!(
                "the cosigner key in {data} is not the one genesis has for `{operator}`; hint: is it another operator's data?"
            );
        }
        let peers = Peers::of(&config, &genesis)?;
        let salt = keys::load_secret(&config.key_path("salt"))?;
        let store = Store::open(StoreConfig::new(config.data.join("ranproof.db"))).await?;
        let seconds = open_seconds(&config, &genesis).await?;
        let ledger = Ledger::start(&config, genesis).await?;
        // The last block taken over is looked at again: a database of another chain is noticed.
        let projected = store.applied().await?.map_or(0, |block| block.height.saturating_sub(1));
        let targets = config.targets.as_deref().map(Targets::load).transpose()?.unwrap_or_default();
        let profiles = load_profiles(&config)?;
        let schemas = schemas::open(&config)?;
        let token = load_or_create_token(&config)?;
        let metrics = Metrics::new(&config.operator)?;
        metrics.started(clock::now());
        let app = App {
            store,
            metrics,
            ledger,
            peers,
            bodies: Bodies::default(),
            mirrors: Mirrors::default(),
            trees: Trees::default(),
            profiles,
            targets,
            schemas,
            log_key,
            cosigner_key,
            epoch: EpochSecret(*Hash::of_parts(&[b"ranproof/epoch/1\n", &salt]).as_bytes()),
            secret_key: *Hash::of_parts(&[b"ranproof/secret-attributes/1\n", &salt]).as_bytes(),
            token,
            turn: Mutex::new(Memory::new(config.collection.memory_mb)),
            sending: Mutex::new(()),
            projected: Mutex::new(projected),
            baselines: std::sync::Mutex::default(),
            approved: Mutex::new(()),
            seconds,
            stopping: watch::Sender::new(false),
            config,
        };
        app.metrics.scheduled(app.config.collection.every_minutes);
        app.settle().await?;
        Ok(app)
    }

    /// Member id of this operator, which is also the origin of its rounds and log.
    pub fn origin(&self) -> &str {
        &self.config.operator
    }

    /// Whether this member collects: tower companies and witnesses follow the chain and run no rounds.
    pub fn is_operator(&self) -> bool {
        let member = self.ledger.genesis().member(self.origin());
        member.is_some_and(|member| member.role == MemberRole::Operator)
    }

    /// Takes over what the chain has finalized since the last call, and the baselines it approved.
    pub async fn settle(&self) -> Result<()> {
        let mut projected = self.projected.lock().await;
        *projected = projector::catch_up(&self.ledger, &self.store, projected.saturating_add(1)).await?;
        // While a round is judged, baselines wait for the next call.
        match self.approved.try_lock() {
            Ok(_free) => crate::baseline::take_over(self).await,
            Err(_) => Ok(()),
        }
    }

    /// Takes over what the chain has finalized, and then no baseline until the result is dropped: a round is judged by
    /// what was approved up to one height, which its account names, so that others can judge by the same.
    pub(crate) async fn hold_baselines(&self) -> Result<Held<'_>> {
        let guard = self.approved.lock().await;
        let mut projected = self.projected.lock().await;
        *projected = projector::catch_up(&self.ledger, &self.store, projected.saturating_add(1)).await?;
        crate::baseline::take_over(self).await?;
        Ok(Held { height: *projected, _guard: guard })
    }

    /// Whether this baseline was looked at since the start.
    pub(crate) fn taken_over(&self, request: &str) -> bool {
        self.baselines.lock().unwrap_or_else(PoisonError::into_inner).contains(request)
    }

    pub(crate) fn note_taken_over(&self, request: &str) {
        self.baselines.lock().unwrap_or_else(PoisonError::into_inner).insert(request.to_owned());
    }
}

/// Baselines do not move while this lives.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// The chain's word counts up to this height.
    pub height: u64,
    _guard: MutexGuard<'a, ()>,
}

/// One store for each other operator, if this member is one.
async fn open_seconds(config: &AgentConfig, genesis: &Genesis) -> Result<BTreeMap<MemberId, Store>> {
    let operators = genesis.members.iter().filter(|member| member.role == MemberRole::Operator);
    let mut others: Vec<_> = operators.map(|member| &member.id).collect();
    let all = others.len();
    others.retain(|id| **id != config.operator);
    let mut seconds = BTreeMap::new();
    if others.len() == all || others.is_empty() {
        return Ok(seconds);
    }
    let folder = config.data.join("second");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for id in others {
        // Raw replies are the origin's own; one writer and few pages read here.
        let store =
            StoreConfig { keep_raw: 1, readers: 2, ..StoreConfig::new(folder.join(format!("{id}.db"))) };
        seconds.insert(id.clone(), Store::open(store).await?);
    }
    Ok(seconds)
}

/// The built-in profile and those of the configuration, by id.
fn load_profiles(config: &AgentConfig) -> Result<BTreeMap<String, Arc<Profile>>> {
    let mut profiles = BTreeMap::from([("plain".to_owned(), Arc::new(Profile::plain("plain")))]);
    for path in &config.profiles {
        let profile: Profile = read_formatted(path)?;
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
