//! Work through the API: rounds, baselines, previews, violations' verbs, bundles, objects.

use std::sync::Arc;

use anyhow::anyhow;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{ChangeRequest, Dn};
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};
use store::StoreError;

use super::error::{ApiError, Asked};
use super::types::{OriginQuery, Preview, RoundSummary};
use crate::acting::{Lack, Words};
use crate::app::App;
use crate::baseline::DraftError;
use crate::evidence::BundleError;
use crate::round::RoundError;
use crate::{baseline, clock, evidence, preview as previews, round as rounds};

type Answer<T> = Result<Json<T>, ApiError>;

/// Which stations; none means all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundRequest {
    #[serde(default)]
    elements: Vec<Dn>,
}

/// Runs a round and answers when it is done. It goes on if the caller gives up.
pub async fn round(State(app): State<Arc<App>>, Asked(request): Asked<RoundRequest>) -> Answer<RoundSummary> {
    if !app.is_operator() {
        return Err(ApiError::conflict(rounds::NO_ROUNDS).with_code("no-rounds"));
    }
    ready(&app)?;
    let running = tokio::spawn(async move { rounds::run(&app, &request.elements).await });
    let ended = running.await.map_err(|e| anyhow!("the round ended abnormally: {e}"))?;
    match ended {
        Ok(summary) => Ok(Json(summary)),
        Err(error @ RoundError::Unknown { .. }) => Err(ApiError::bad_request(error.to_string())),
        Err(RoundError::Failed(error)) => Err(error.into()),
    }
}

/// A round needs something to be judged by; without it nothing is wrong here, people have not agreed yet.
fn ready(app: &App) -> Result<(), ApiError> {
    let (id, height) = (&app.config.agreement, app.ledger.next_height());
    let contract = app.ledger.contract().read();
    let lacking = if contract.agreement_in_force(id, height).is_none() {
        format!("agreement `{id}` is not in force; hint: register it, and let every party approve it")
    } else if contract.policy_sets_in_force(id, height).is_empty() {
        format!("no policy set of agreement `{id}` is in force; hint: `ranproof policy register`")
    } else if contract.inventory_in_force(id, app.origin(), height).is_none() {
        format!("no inventory of `{}` is in force; hint: `ranproof inventory register`", app.origin())
    } else {
        return Ok(());
    };
    Err(ApiError::conflict(lacking).with_code("not-agreed"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineRequest {
    id: String,
    #[serde(default)]
    elements: Vec<Dn>,
}

pub async fn baseline(
    State(app): State<Arc<App>>,
    Asked(request): Asked<BaselineRequest>,
) -> Answer<ChangeRequest> {
    match baseline::draft(&app, &request.id, &request.elements).await {
        Ok(drafted) => Ok(Json(drafted)),
        Err(error @ DraftError::Unknown(_)) => Err(ApiError::bad_request(error.to_string())),
        Err(error @ DraftError::NotYet(_)) => Err(ApiError::conflict(error.to_string())),
        Err(DraftError::Failed(error)) => Err(error.into()),
    }
}

pub async fn preview(State(app): State<Arc<App>>, Asked(request): Asked<ChangeRequest>) -> Answer<Preview> {
    request.check().map_err(|e| ApiError::bad_request(e.to_string()))?;
    ready(&app)?;
    Ok(Json(previews::preview(&app, &request).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerbRequest {
    by: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    to: Option<String>,
}

pub async fn verb(
    State(app): State<Arc<App>>,
    Path((id, verb)): Path<(String, String)>,
    Query(query): Query<OriginQuery>,
    Asked(request): Asked<VerbRequest>,
) -> Answer<JsonValue> {
    let VerbRequest { by, comment, to } = &request;
    let words = Words { verb: &verb, by, comment, to: to.as_deref() };
    let action = words.read(clock::now()).map_err(|lack| match lack {
        Lack::Verb => ApiError::not_found(lack.to_string()),
        _ => ApiError::bad_request(lack.to_string()),
    })?;
    let store = match query.asked().filter(|origin| origin != app.origin()) {
        None => &app.store,
        Some(origin) => app.seconds.get(&origin).ok_or_else(|| ApiError::not_judged(&origin))?,
    };
    match store.act_on_violation(&id, &action).await {
        Ok(row) => Ok(Json(json!({ "id": id, "state": row.violation.state, "assignee": row.assignee }))),
        Err(error @ StoreError::Missing { .. }) => Err(ApiError::not_found(error.to_string())),
        Err(error @ StoreError::Conflict { .. }) => Err(ApiError::conflict(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// A bundle as a file to be saved.
pub async fn bundle(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let bytes = evidence::bundle(&app, &id).await.map_err(|error| match error {
        BundleError::Missing(_) => ApiError::not_found(error.to_string()),
        BundleError::NotYet { .. } => ApiError::conflict(error.to_string()),
        BundleError::Failed(error) => error.into(),
    })?;
    let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.json\"")),
    ];
    Ok((headers, bytes).into_response())
}

/// An object as last read, and what is approved of it.
pub async fn object(State(app): State<Arc<App>>, Path(dn): Path<String>) -> Answer<JsonValue> {
    let dn: Dn = dn.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    let element = dn.ancestor("ManagedElement");
    let element = element.ok_or_else(|| ApiError::bad_request("the name has no ManagedElement in it"))?;
    let stored = app.store.newest_snapshot(&element).await?;
    let stored = stored.ok_or_else(|| ApiError::not_found(format!("{element} was never read completely")))?;
    let approved = app.store.approved_state(&element).await?;
    let below = stored.snapshot.objects().iter().map(|o| o.dn()).filter(|d| d.parent().as_ref() == Some(&dn));
    let object = stored.snapshot.object(&dn);
    let attributes = object.map(|o| o.as_value());
    if attributes.is_none() && !approved.contains(&dn) {
        return Err(ApiError::not_found(format!("{dn} does not exist and is not approved to")));
    }
    Ok(Json(json!({
        "object": dn,
        "read": stored.read,
        "attributes": attributes,
        "approved": approved.objects().get(&dn),
        "contains": below.collect::<Vec<_>>(),
    })))
}
