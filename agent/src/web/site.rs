//! What the pages need of the agent, so that they can be shown over any store without a running chain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::Timestamp;
use store::Store;

use super::session::Sessions;
use super::units::UnitsCache;
use super::view::{ChainStatus, MemberView};
use crate::app::App;
use crate::evidence::BundleError;
use crate::metrics::Metrics;

/// Asks the chain node how it is.
pub type ChainReader = Arc<dyn Fn() -> ChainStatus + Send + Sync>;

/// Assembles the bundle of a change, violation or round.
pub type BundleMaker = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Vec<u8>, BundleError>> + Send + Sync>;

/// Stores of the second judgements, by the origin whose disclosures were judged here.
pub type SecondReader = Arc<dyn Fn() -> BTreeMap<String, Store> + Send + Sync>;

/// State of the page's and the reading API's routes. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    /// Name of the network in titles.
    pub network: Arc<str>,
    /// Member id of the operator whose agent this is.
    pub operator: Arc<str>,
    /// Id of the agreement that rounds are judged by.
    pub agreement: Arc<str>,
    /// Whose stations are shown: this operator's own, or those of one whose disclosures were judged here.
    pub origin: Arc<str>,
    /// What is known of the origin's stations: rounds, snapshots, violations.
    pub store: Store,
    /// What this agent holds besides: the chain, requests, bodies, its own log. The same as `store` for its own.
    pub main: Store,
    pub seconds: SecondReader,
    pub sessions: Sessions,
    pub units: UnitsCache,
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
        let seconds = app.seconds.clone();
        Site {
            network: app.config.title.as_str().into(),
            operator: app.config.operator.as_str().into(),
            agreement: app.config.agreement.as_str().into(),
            origin: app.config.operator.as_str().into(),
            store: app.store.clone(),
            main: app.store.clone(),
            seconds: Arc::new(move || seconds.clone()),
            sessions: Sessions::new(
                &app.config.operator,
                app.config.listen.ip().is_loopback().then(|| app.token.clone()),
            ),
            units: UnitsCache::default(),
            metrics: app.metrics.clone(),
            chain: Arc::new(move || status(&chain)),
            bundle: Arc::new(move |id| {
                let app = Arc::clone(&bundles);
                Box::pin(async move { crate::evidence::bundle(&app, &id).await })
            }),
            now: crate::clock::now,
        }
    }

    /// The same site over another origin's stations; `None` if nothing of that origin is judged here.
    pub fn at(&self, origin: &str) -> Option<Site> {
        if *self.operator == *origin {
            return Some(Site { origin: self.operator.clone(), store: self.main.clone(), ..self.clone() });
        }
        let store = (self.seconds)().remove(origin)?;
        Some(Site { origin: origin.into(), store, ..self.clone() })
    }

    /// Whether the stations shown are another operator's, known from what it disclosed.
    pub fn is_foreign(&self) -> bool {
        self.origin != self.operator
    }
}

/// The node's own word, the contract's members, and how the others are.
fn status(app: &App) -> ChainStatus {
    let (ledger, node) = (&app.ledger, app.ledger.node());
    let tip = node.tip();
    let federation = crate::federation::look(app);
    let contract = ledger.contract().read();
    let members = contract.members().into_iter().map(|m| MemberView { id: m.id, name: m.name });
    ChainStatus {
        chain_id: ledger.genesis().chain_id.clone(),
        genesis: ledger.genesis().hash().to_string(),
        rules_version: contract.rules_version(),
        engine: node.caps().engine.to_owned(),
        height: tip.height,
        time: Timestamp::from_unsigned(tip.time),
        header: tip.header.to_string(),
        stopped: node.stop_reason().map(|stopped| stopped.why.to_string()),
        pending: node.pending(),
        members: members.collect(),
        federation,
    }
}
