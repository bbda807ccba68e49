//! The JSON API: what the command line, peers' people and scripts ask of an agent. Reading is open on the listening
//! address; whatever changes something needs the agent's token.

mod chain;
pub mod error;
mod judgements;
pub mod read;
pub mod types;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::limit::RequestBodyLimitLayer;

pub use error::ApiError;

use crate::app::App;
use crate::peer::bodies::MAX_BODY;
use crate::web::observe;

/// All routes below `/api/v1`.
pub fn router(app: Arc<App>) -> Router {
    let open = Router::new()
        .route("/api/v1/keys/{key}", get(chain::key))
        .route("/api/v1/subjects/{kind}/{id}", get(chain::subject))
        .route("/api/v1/bodies/{hash}", get(chain::body))
        .route("/api/v1/objects/{dn}", get(work::object))
        .route("/api/v1/bundles/{id}", get(work::bundle))
        .route("/api/v1/judgements/{origin}/{round}", get(judgements::of_round));
    let guarded = Router::new()
        .route("/api/v1/transactions", post(chain::submit))
        .route("/api/v1/bodies", post(chain::put_body))
        .route("/api/v1/rounds", post(work::round))
        .route("/api/v1/baselines", post(work::baseline))
        .route("/api/v1/changes/preview", post(work::preview))
        .route("/api/v1/violations/{id}/{verb}", post(work::verb))
        .route_layer(middleware::from_fn_with_state(app.clone(), need_token));
    let metrics = app.metrics.clone();
    let router = open
        .merge(guarded)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(middleware::map_response(error::as_json))
        .with_state(app);
    observe(router, metrics)
}

/// Refuses a request without the token.
async fn need_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, ApiError> {
    check_token(&app, request.headers())?;
    Ok(next.run(request).await)
}

/// Compared in constant time, as every secret is.
fn check_token(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let given = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if same(given.as_bytes(), app.token.as_bytes()) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "this needs the agent's own token; hint: --token-file <its data folder>/api.token",
    ))
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(same(b"abc", b"abc"));
        for other in [b"ab".as_slice(), b"abd", b"abcd", b""] {
            assert!(!same(other, b"abc"));
        }
    }
}
