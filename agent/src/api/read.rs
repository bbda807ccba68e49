//! The reading half of the API: what the pages show, as JSON.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::types::{ChainInfo, OriginQuery};
use crate::app::App;
use crate::web::filter::{Filter, FilterQuery, MAX_ROWS};
use crate::web::load::{self, LoadError};
use crate::web::observe;
use crate::web::site::Site;
use crate::web::view::{ChangeView, RoundView, ViolationView};

type Answer<T> = Result<Json<T>, ApiError>;

/// Rows of a list, unless another number is asked for.
const ROWS: u32 = 100;

/// `/api/v1/chain`, `violations`, `changes`, `rounds` and `stations`.
pub fn read_api(app: Arc<App>) -> Router {
    routes(Site::of(&app))
}

/// The same over any store.
pub fn routes(site: Site) -> Router {
    let metrics = site.metrics.clone();
    let router = Router::new()
        .route("/api/v1/chain", get(chain))
        .route("/api/v1/violations", get(violations))
        .route("/api/v1/violations/{id}", get(violation))
        .route("/api/v1/changes", get(changes))
        .route("/api/v1/changes/{id}", get(change))
        .route("/api/v1/rounds", get(rounds))
        .route("/api/v1/rounds/{round}", get(round))
        .route("/api/v1/stations", get(stations))
        .layer(axum::middleware::map_response(super::error::as_json))
        .with_state(site);
    observe(router, metrics)
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> ApiError {
        let status = match &error {
            LoadError::Bad(_) => StatusCode::BAD_REQUEST,
            LoadError::Missing { .. } => StatusCode::NOT_FOUND,
            LoadError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::new(status, format!("{error:#}"))
    }
}

fn bad(error: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(error.to_string())
}

/// The site over the stations that the address asks for.
struct At(Site);

impl FromRequestParts<Site> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, ApiError> {
        let query = Query::<OriginQuery>::try_from_uri(&parts.uri).map_err(|e| bad(e.body_text()))?;
        match query.0.asked() {
            None => Ok(At(site.clone())),
            Some(origin) => Ok(At(site.at(&origin).ok_or_else(|| ApiError::not_judged(&origin))?)),
        }
    }
}

async fn chain(State(site): State<Site>) -> Answer<ChainInfo> {
    let status = (site.chain)();
    let logs = load::logs(&site, &status.members).await?;
    let hash = |text: &str| text.parse().map_err(|e| anyhow::anyhow!("{text}: {e}"));
    let operators = status.federation.nodes.iter().filter(|node| node.role == "operator");
    Ok(Json(ChainInfo {
        genesis: hash(&status.genesis)?,
        header: hash(&status.header)?,
        operators: operators.map(|node| node.member.clone()).collect(),
        validators: status.federation.nodes.iter().filter(|node| node.is_validator()).count(),
        chain_id: status.chain_id,
        height: status.height,
        time: status.time.to_string(),
        rules_version: status.rules_version,
        stopped: status.stopped,
        pending: status.pending,
        federation: status.federation,
        logs,
    }))
}

/// `{"violations": […], "next": cursor or null, "total": n}`; `before=` takes the cursor.
async fn violations(At(site): At, query: Result<Query<FilterQuery>, QueryRejection>) -> Answer<Value> {
    let Query(query) = query.map_err(|e| bad(e.body_text()))?;
    let filter = Filter::parse(&query, false).map_err(bad)?;
    let limit = query.limit.unwrap_or(ROWS).clamp(1, MAX_ROWS);
    let before = query.before.as_deref().filter(|before| !before.is_empty());
    let slice = load::Slice { before, limit, whole_reads: false };
    let view = load::violations(&site, filter, slice).await?;
    Ok(Json(json!({ "violations": view.rows, "next": view.next, "total": view.total })))
}

async fn violation(At(site): At, Path(id): Path<String>) -> Answer<ViolationView> {
    Ok(Json(load::violation(&site, &id).await?))
}

/// `{"changes": […]}`
async fn changes(State(site): State<Site>) -> Answer<Value> {
    Ok(Json(json!({ "changes": load::changes(&site).await? })))
}

async fn change(State(site): State<Site>, Path(id): Path<String>) -> Answer<ChangeView> {
    Ok(Json(load::change(&site, &id).await?))
}

#[derive(Debug, Deserialize)]
struct RoundsQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

/// `{"rounds": […], "next": number or null}`
async fn rounds(At(site): At, query: Result<Query<RoundsQuery>, QueryRejection>) -> Answer<Value> {
    let Query(query) = query.map_err(|e| bad(e.body_text()))?;
    let limit = query.limit.unwrap_or(ROWS).clamp(1, MAX_ROWS);
    let (rounds, next) = load::rounds(&site, query.before, limit).await?;
    Ok(Json(json!({ "rounds": rounds, "next": next })))
}

async fn round(At(site): At, Path(round): Path<String>) -> Answer<RoundView> {
    let number =
        round.parse().map_err(|_| bad(format!("round `{round}` is not a number; hint: such as 7")))?;
    Ok(Json(load::round(&site, number).await?))
}

/// `{"stations": […]}`
async fn stations(At(site): At) -> Answer<Value> {
    Ok(Json(json!({ "stations": load::stations(&site).await? })))
}
