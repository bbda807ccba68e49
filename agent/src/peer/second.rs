//! What an operator tells others of its rounds, and of its judgements of theirs: see [`crate::second`]. Whoever is no
//! operator of the agreement is told that there is nothing.

use std::sync::Arc;

use anchor::record::Attestation;
use anchor::{MemberRole, json};
use anyhow::Context as _;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::server::Caller;
use crate::api::ApiError;
use crate::app::App;
use crate::second::disclosing::{self, Sight};
use crate::second::gathering::{JudgedRounds, Judgements};

/// Rounds listed in one answer.
const LISTED: u32 = 100;

/// Disclosures that are built at a time, whoever asks: each may take as much memory as a round has values.
const AT_ONCE: usize = 2;

/// Room for disclosures that are being built.
#[derive(Debug, Clone)]
struct Building(Arc<Semaphore>);

pub(super) fn routes() -> Router<Arc<App>> {
    let building = Building(Arc::new(Semaphore::new(AT_ONCE)));
    Router::new()
        .route("/peer/v1/disclosures", get(list))
        .route("/peer/v1/disclosures/{round}", get(disclose).layer(Extension(building)))
        .route("/peer/v1/judgements/{origin}", get(judged))
        .route("/peer/v1/judgements/{origin}/{round}", get(judgements))
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

#[derive(Debug, Deserialize)]
struct Extent {
    whole: Option<u8>,
}

fn canonical<T: Serialize>(answer: &T) -> Result<Response, ApiError> {
    Ok(json_answer(json::encode(answer).context("an answer has no canonical form")?))
}

fn json_answer(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// Whether the member is an operator; the parties of an agreement among them are told its rounds.
fn is_operator(app: &App, member: &str) -> bool {
    app.ledger.genesis().member(member).is_some_and(|member| member.role == MemberRole::Operator)
}

fn is_party(app: &App, member: &str, attestation: &Attestation) -> bool {
    let contract = app.ledger.contract().read();
    let agreement = contract.agreement(&attestation.agreement.id, attestation.agreement.version);
    agreement.is_some_and(|found| found.statement.parties.iter().any(|party| party == member))
}

/// `GET /peer/v1/disclosures?after=N`
async fn list(
    Caller(caller): Caller,
    State(app): State<Arc<App>>,
    Query(After { after }): Query<After>,
) -> Result<Response, ApiError> {
    if !is_operator(&app, &caller) || !app.is_operator() {
        return Ok(nothing());
    }
    canonical(&disclosing::list(&app.store, after).await?)
}

/// `GET /peer/v1/disclosures/{round}`, `?whole=1` for all and not what changed. 503 while others are told at length.
async fn disclose(
    Caller(caller): Caller,
    State(app): State<Arc<App>>,
    Extension(Building(building)): Extension<Building>,
    Path(round): Path<u64>,
    Query(extent): Query<Extent>,
) -> Result<Response, ApiError> {
    let attestation = disclosing::attestation(&app.store, round).await?;
    let Some(attestation) = attestation.filter(|a| is_operator(&app, &caller) && is_party(&app, &caller, a))
    else {
        return Ok(nothing());
    };
    let Ok(turn) = building.try_acquire_owned() else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let agreement: model::Agreement = app.read_body(&attestation.agreement.body, "agreement").await?;
    let secret = crate::statements::map_secret(&agreement)?;
    let sight = Sight { agreement: &agreement, reader: &caller };
    let whole = extent.whole == Some(1);
    let told = disclosing::disclose(&app.store, attestation, sight, &secret, whole).await?;
    let encoding = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        json::encode(&told)
    });
    let bytes = encoding.await.context("a disclosure was not encoded")?;
    Ok(json_answer(bytes.context("a disclosure has no canonical form")?))
}

/// `GET /peer/v1/judgements/{origin}?after=N`
async fn judged(
    Caller(caller): Caller,
    State(app): State<Arc<App>>,
    Path(origin): Path<String>,
    Query(After { after }): Query<After>,
) -> Result<Response, ApiError> {
    if !is_operator(&app, &caller) {
        return Ok(nothing());
    }
    let size = app.store.log_state().await?.size;
    let judged = app.store.judged_rounds(app.origin(), &origin, after, LISTED).await?;
    let anchored = judged.into_iter().take_while(|(_, leaf)| leaf.is_some_and(|leaf| leaf < size));
    canonical(&JudgedRounds { rounds: anchored.map(|(round, _)| round).collect() })
}

/// `GET /peer/v1/judgements/{origin}/{round}`
async fn judgements(
    Caller(caller): Caller,
    State(app): State<Arc<App>>,
    Path((origin, round)): Path<(String, u64)>,
) -> Result<Response, ApiError> {
    if !is_operator(&app, &caller) {
        return Ok(nothing());
    }
    let size = app.store.log_state().await?.size;
    let mut rows = app.store.round_judgements(&origin, round).await?;
    rows.retain(|row| row.judge == app.origin());
    // The summary's leaf is the last of a round's: where it is anchored, all are.
    let anchored =
        rows.last().is_some_and(|row| row.violation.is_none() && row.leaf.is_some_and(|leaf| leaf < size));
    if !anchored {
        return Ok(nothing());
    }
    let records = rows.into_iter().map(|row| row.record).collect();
    canonical(&Judgements { format: Judgements::FORMAT.to_owned(), records })
}
