//! What the pages need of the agent, so that they can be shown over any store without a running chain.

use std::fmt;
use std::sync::Arc;

use anchor::genesis::MemberRole;
use futures_util::future::BoxFuture;
use model::Timestamp;
use store::Store;

use super::view::{ChainStatus, MemberView, ValidatorView};
use crate::app::App;
use crate::ledger::Ledger;
use crate::metrics::Metrics;

/// Asks the chain node how it is.
pub type ChainReader = Arc<dyn Fn() -> ChainStatus + Send + Sync>;

/// Assembles the bundle of a change, violation or round.
pub type BundleMaker = Arc<dyn Fn(String) -> BoxFuture<'static, anyhow::Result<Vec<u8>>> + Send + Sync>;

/// State of the page's and the reading API's routes. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    /// Name of the network in titles.
    pub network: Arc<str>,
    /// Member id of the operator whose agent this is.
    pub operator: Arc<str>,
    /// Id of the agreement that rounds are judged by.
    pub agreement: Arc<str>,
    pub store: Store,
    pub metrics: Metrics,
    pub chain: ChainReader,
    pub bundle: BundleMaker,
    pub now: fn() -> Timestamp,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("operator", &self.operator).finish_non_exhaustive()
    }
}

impl Site {
    pub fn of(app: &Arc<App>) -> Site {
        let (chain, bundles) = (Arc::clone(app), Arc::clone(app));
        Site {
            network: app.config.title.as_str().into(),
            operator: app.config.operator.as_str().into(),
            agreement: app.config.agreement.as_str().into(),
            store: app.store.clone(),
            metrics: app.metrics.clone(),
            chain: Arc::new(move || status(&chain.ledger)),
            bundle: Arc::new(move |id| {
                let app = Arc::clone(&bundles);
                Box::pin(async move { crate::evidence::bundle(&app, &id).await })
            }),
            now: crate::clock::now,
        }
    }
}

/// The node's own word and the contract's members.
fn status(ledger: &Ledger) -> ChainStatus {
    let node = ledger.node();
    let tip = node.tip();
    let contract = ledger.contract().read();
    let role = |role| match role {
        MemberRole::Operator => "operator",
        MemberRole::Tower => "tower",
        MemberRole::Witness => "witness",
    };
    let members = contract.members().into_iter();
    let members = members.map(|m| MemberView { role: role(m.role), id: m.id, name: m.name });
    let validators = contract.validators().0.into_iter();
    let validators = validators.map(|v| ValidatorView { key: v.key.to_string(), power: v.power });
    ChainStatus {
        chain_id: ledger.genesis().chain_id.clone(),
        genesis: ledger.genesis().hash().to_string(),
        rules_version: contract.rules_version(),
        engine: node.caps().engine.to_owned(),
        height: tip.height,
        time: Timestamp::from_unsigned(tip.time),
        header: tip.header.to_string(),
        votes: node.votes(),
        stopped: node.stop_reason().map(|stopped| stopped.why.to_string()),
        pending: node.pending(),
        validators: validators.collect(),
        members: members.collect(),
    }
}
