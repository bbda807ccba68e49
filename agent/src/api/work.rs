//! Work through the API: rounds, baselines, previews, violations' verbs, bundles, objects.

use std::sync::Arc;

use anyhow::anyhow;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{ChangeRequest, Dn};
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};
use store::{StoreError, Verb, ViolationAction};

use super::error::{ApiError, Asked};
use super::types::{Preview, RoundSummary};
use crate::app::App;
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
    let running = tokio::spawn(async move { rounds::run(&app, &request.elements).await });
    let summary = running.await.map_err(|e| anyhow!("the round ended abnormally: {e}"))??;
    Ok(Json(summary))
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
    let drafted = baseline::draft(&app, &request.id, &request.elements).await;
    Ok(Json(drafted.map_err(|e| ApiError::bad_request(format!("{e:#}")))?))
}

pub async fn preview(State(app): State<Arc<App>>, Asked(request): Asked<ChangeRequest>) -> Answer<Preview> {
    request.check().map_err(|e| ApiError::bad_request(e.to_string()))?;
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
    Asked(request): Asked<VerbRequest>,
) -> Answer<JsonValue> {
    let verb = match (verb.as_str(), request.to) {
        ("ack", None) => Verb::Acknowledge,
        ("comment", None) => Verb::Comment,
        ("resolve", None) => Verb::Resolve,
        ("assign", Some(to)) => Verb::Assign { to },
        (other, _) => return Err(ApiError::not_found(format!("there is no verb `{other}` of this shape"))),
    };
    if request.by.trim().is_empty() {
        return Err(ApiError::bad_request("`by` is empty; hint: who says so?"));
    }
    let action = ViolationAction { by: request.by, at: clock::now(), reason: request.comment, verb };
    match app.store.act_on_violation(&id, &action).await {
        Ok(row) => Ok(Json(json!({ "id": id, "state": row.violation.state, "assignee": row.assignee }))),
        Err(error @ StoreError::Missing { .. }) => Err(ApiError::not_found(error.to_string())),
        Err(error @ StoreError::Conflict { .. }) => {
            Err(ApiError::new(StatusCode::CONFLICT, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// A bundle as a file to be saved.
pub async fn bundle(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let bytes = evidence::bundle(&app, &id).await.map_err(|e| ApiError::not_found(format!("{e:#}")))?;
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
