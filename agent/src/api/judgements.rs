//! Second judgements as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::ApiError;
use crate::app::App;

/// `GET /api/v1/judgements/{origin}/{round}`: `{"judgements": […]}`, the records of all judges with the index of each
/// one's leaf in its judge's log, each judge's summary last.
pub(super) async fn of_round(
    State(app): State<Arc<App>>,
    Path((origin, round)): Path<(String, u64)>,
) -> Result<Json<Value>, ApiError> {
    let rows = app.store.round_judgements(&origin, round).await?;
    let shown = rows.into_iter().map(|row| json!({ "record": row.record, "leaf": row.leaf }));
    Ok(Json(json!({ "judgements": shown.collect::<Vec<_>>() })))
}
