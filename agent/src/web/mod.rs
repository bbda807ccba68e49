//! The page: server-rendered, readable without script, and the only thing of ranproof that most people see.
//!
//! [`router`] serves it. A page is a view ([`view`], plain data) that [`load`] took from the store, a frame
//! ([`frame`]: language, navigation, small parts) and a template. The only thing that people change through it is
//! what they do about a violation ([`acting`]), after a login; every other verb is the API's.

mod acting;
mod assets;
pub mod compare;
pub mod filter;
mod frame;
mod guard;
mod handlers;
pub mod load;
mod pages;
mod session;
mod shown;
pub mod site;
#[cfg(test)]
mod tests;
mod text;
mod units;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

pub use guard::{CONTENT_SECURITY_POLICY, observe};

use crate::app::App;
use site::Site;

/// Pages, assets, `/bundles/{id}`, `/healthz` and `/metrics`; with a fallback that answers every other path.
pub fn router(app: Arc<App>) -> Router {
    routes(Site::of(&app))
}

/// The same over any store.
pub fn routes(site: Site) -> Router {
    let metrics = site.metrics.clone();
    let forms = Router::new()
        .route("/login", get(acting::login_page).post(acting::login))
        .route("/logout", post(acting::logout))
        .route("/violations/{id}/act", post(acting::act))
        .layer(DefaultBodyLimit::max(acting::LONGEST_FORM));
    let router = forms
        .route("/", get(handlers::home))
        .route("/violations", get(handlers::violations))
        .route("/violations/{id}", get(handlers::violation))
        .route("/changes", get(handlers::changes))
        .route("/changes/{id}", get(handlers::change))
        .route("/rounds", get(handlers::rounds))
        .route("/rounds/{round}", get(handlers::round))
        .route("/chain", get(handlers::chain))
        .route("/rules/{name}", get(handlers::rule))
        .route("/bundles/{id}", get(handlers::bundle))
        .route("/healthz", get(handlers::health))
        .route("/metrics", get(handlers::metrics))
        .route("/static/{name}", get(assets::serve))
        .fallback(handlers::nothing)
        .with_state(site);
    observe(router, metrics)
}
