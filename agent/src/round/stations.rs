//! From inventory and targets to a sweep, and from its reads to a round's results.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use collector::reader::ReadLimits;
use collector::session::{Address, Credential, Limits, Target};
use collector::sweep::{MassDeletion, Previous, Replies, StationPlan, SweepOptions};
use model::{Dn, Outcome, Station};
use store::{StationResult, Store, StoredSnapshot};

use super::memory::Memory;
use crate::app::App;
use crate::clock;
use crate::config;

/// Stations that can be tried, and the results of those that cannot.
#[derive(Debug, Default)]
pub struct Plans {
    pub plans: Vec<StationPlan>,
    pub not_tried: Vec<StationResult>,
}

/// Sorts an inventory into stations to read and stations that this round leaves out. `only` restricts the round.
pub(super) fn plan(
    app: &App,
    memory: &Memory,
    stations: &[Station],
    only: &[Dn],
    previous: &BTreeMap<Dn, StoredSnapshot>,
) -> Plans {
    let targets: BTreeMap<&Dn, &config::TargetEntry> =
        app.targets.stations.iter().map(|t| (&t.element, t)).collect();
    let mut plans = Plans::default();
    for station in stations {
        if !only.is_empty() && !only.contains(&station.element) {
            plans.not_tried.push(skipped(&station.element, "not-asked"));
            continue;
        }
        let planned = match (targets.get(&station.element), app.profiles.get(&station.profile)) {
            (None, _) => {
                Err(anyhow::anyhow!("it has no entry in targets.yaml; hint: add its address and credential"))
            }
            (_, None) => {
                Err(anyhow::anyhow!("its collection profile `{}` is not configured", station.profile))
            }
            (Some(entry), Some(profile)) => {
                target(app, entry, station).map(|target| (target, profile.clone()))
            }
        };
        match planned {
            Ok((target, profile)) => plans.plans.push(StationPlan {
                element: station.element.clone(),
                target,
                profile,
                previous: previous.get(&station.element).map(|stored| remembered(stored, memory)),
            }),
            Err(error) => plans.not_tried.push(failed(&station.element, "no-target", format!("{error:#}"))),
        }
    }
    plans
}

fn target(app: &App, entry: &config::TargetEntry, station: &Station) -> Result<Target> {
    let account =
        app.targets.credentials.get(&entry.credential).context("its credential is not configured")?;
    let credential = match (&account.private_key_file, &account.password_file) {
        (Some(file), _) => {
            let pem =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Credential::private_key(&pem).with_context(|| format!("{} is not usable", file.display()))?
        }
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Credential::Password(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => anyhow::bail!("credential `{}` has no secret", entry.credential),
    };
    Ok(Target {
        address: Address { host: entry.host.clone(), port: entry.port },
        user: account.user.clone(),
        host_key: station.host_key.parse().context("its agreed host key is not readable")?,
        credential,
    })
}

fn remembered(stored: &StoredSnapshot, memory: &Memory) -> Previous {
    Previous {
        snapshot: Arc::clone(&stored.snapshot),
        raw_digest: stored.raw,
        reply: memory.reply(&stored.element),
    }
}

pub fn options(app: &App) -> SweepOptions {
    let collection = &app.config.collection;
    SweepOptions {
        concurrency: collection.concurrency,
        limits: Limits {
            deadline: Duration::from_secs(collection.deadline_seconds),
            max_reply_bytes: collection.max_reply_bytes,
        },
        read: ReadLimits { bytes: collection.max_reply_bytes, ..ReadLimits::default() },
        secret_key: Some(app.secret_key),
        mass_deletion: Some(MassDeletion {
            percent: usize::from(collection.mass_deletion_percent),
            ..MassDeletion::default()
        }),
        schemas: app.schemas.clone(),
        replies: Some(Arc::new(StoredReplies(app.store.clone()))),
    }
}

/// Replies as the store keeps them.
struct StoredReplies(Store);

impl Replies for StoredReplies {
    fn last<'a>(&'a self, element: &'a Dn) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>> {
        Box::pin(async move {
            match self.0.newest_reply(element).await {
                Ok(reply) => reply,
                Err(error) => {
                    tracing::warn!(target.id = %element, "The last reply of `{element}` cannot be read: {error}");
                    None
                }
            }
        })
    }
}

/// A station that was not tried.
pub fn skipped(element: &Dn, reason: &str) -> StationResult {
    let outcome = Outcome::Skipped { reason: reason.to_owned() };
    StationResult { element: element.clone(), outcome, read: clock::now(), duration_ms: 0 }
}

fn failed(element: &Dn, reason: &str, detail: String) -> StationResult {
    let outcome = Outcome::Failed { reason: reason.to_owned(), detail };
    StationResult { element: element.clone(), outcome, read: clock::now(), duration_ms: 0 }
}
