//! The chain through the API: what is registered, whose key is whose, and signed bytes relayed to it.

use std::sync::Arc;
use std::time::Duration;

use anchor::transaction::{Decision, Subject, SubjectKind};
use anchor::{Action, Hash, PublicKey, ReceiptOutcome, SignedTransaction};
use anyhow::Context as _;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use contract::{Contract, Duty, Standing, Status};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::error::{ApiError, Asked};
use super::types::{ApprovalInfo, KeyInfo, Refused, SubjectInfo, SubmitResult, SubmittedTransaction};
use crate::app::App;
use crate::clock;
use crate::peer::bodies;

type Answer<T> = Result<Json<T>, ApiError>;

pub async fn key(State(app): State<Arc<App>>, Path(key): Path<String>) -> Answer<KeyInfo> {
    let key: PublicKey = key.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    let contract = app.ledger.contract().read();
    let holder = contract.member_by_key(&key);
    let duty = holder.as_ref().map(|h| match h.duty {
        Duty::Log => "log".to_owned(),
        Duty::Approval => "approval".to_owned(),
    });
    let next_sequence = contract.next_sequence(&key).context("the key has used all its sequence numbers")?;
    Ok(Json(KeyInfo { member: holder.map(|h| h.member), duty, next_sequence }))
}

/// Relays signed bytes and answers once they are final; a refusal is an answer.
pub async fn submit(
    State(app): State<Arc<App>>,
    Asked(body): Asked<SubmittedTransaction>,
) -> Answer<SubmitResult> {
    let bytes = hex::decode(&body.transaction)
        .map_err(|_| ApiError::bad_request("the transaction is not hexadecimal"))?;
    if let Some(why) = unread(&app, &bytes).await? {
        return Err(ApiError::new(StatusCode::CONFLICT, why).with_code("body-unread"));
    }
    let id = anchor::transaction::transaction_id(&bytes);
    match app.ledger.submit(bytes).await {
        Ok(finality) => {
            let refused = match finality.receipt.outcome {
                ReceiptOutcome::Accepted => None,
                ReceiptOutcome::Refused { code, reason } => Some(Refused { code, reason }),
            };
            app.settle().await?;
            Ok(Json(SubmitResult { id, height: finality.height, index: finality.index, refused }))
        }
        Err(error) => Err(ApiError::new(StatusCode::CONFLICT, error.to_string())),
    }
}

/// Why an approval is not relayed: its body is not here, or whoever approves has not read it through this agent.
/// Rejecting needs no reading, and what the contract will refuse is the contract's to refuse.
async fn unread(app: &App, transaction: &[u8]) -> Result<Option<String>, ApiError> {
    let Ok(signed) = SignedTransaction::decode(transaction) else { return Ok(None) };
    let Action::Approve(statement) = signed.transaction.action else { return Ok(None) };
    if statement.decision != Decision::Approve {
        return Ok(None);
    }
    let subject = statement.subject;
    let (holder, body) = {
        let contract = app.ledger.contract().read();
        (contract.member_by_key(&signed.transaction.sender), bodies::body_of(&contract, &subject))
    };
    let Some(member) = holder.map(|holder| holder.member) else { return Ok(None) };
    let Some(body) = body else {
        // Other nodes may know it already and would take the approval.
        return Ok(Some(format!(
            "this agent knows no {subject}, so that nobody can have read its body here; hint: is the id right, and has its node caught up?"
        )));
    };
    if !app.store.has_body(&body).await? {
        return Ok(Some(format!(
            "the body {body} of {subject} is not here, so that nobody can have read it; hint: it is pulled from its proposer's agent once that can be reached"
        )));
    }
    Ok(app.store.read_at(&body, &member).await?.is_none().then(|| {
        format!(
            "{member} has not read the body of {subject} through this agent; hint: GET /api/v1/bodies/{body}?reader={member}"
        )
    }))
}

pub async fn put_body(State(app): State<Arc<App>>, body: Bytes) -> Answer<Hash> {
    let value = anchor::json::parse_canonical(&body).map_err(|e| ApiError::bad_request(e.to_string()))?;
    // `ranproof/inventory/1` is of the kind `inventory`.
    let format = value.get("format").and_then(serde_json::Value::as_str).unwrap_or_default();
    let Some(kind) = format.strip_prefix("ranproof/").and_then(|rest| rest.split('/').next()) else {
        return Err(ApiError::bad_request(
            "the body has no `format` of ours; hint: ranproof/change/1 and the like",
        ));
    };
    Ok(Json(app.store.put_body(kind, &body, clock::now()).await?))
}

/// How long a reader waits for a body that is on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// Whoever is to approve often asks before the body has come from its proposer's agent.
async fn await_body(app: &App, hash: &Hash) -> Result<(), ApiError> {
    let mut arrivals = app.bodies.arrivals();
    if app.peers.is_alone() || app.store.has_body(hash).await? {
        return Ok(());
    }
    let deadline = Instant::now() + ON_ITS_WAY;
    while let Ok(Ok(())) = timeout_at(deadline, arrivals.changed()).await {
        if app.store.has_body(hash).await? {
            break;
        }
    }
    Ok(())
}

/// Who is shown a body, if that is to be remembered.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    reader: Option<String>,
}

/// A body. With `reader` it is remembered that this member read it, which needs the token like everything that
/// changes something.
pub async fn body(
    State(app): State<Arc<App>>,
    Path(hash): Path<String>,
    Query(reading): Query<Reading>,
    headers: HeaderMap,
) -> Result<Vec<u8>, ApiError> {
    let hash: Hash = hash.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    if reading.reader.is_some() {
        super::check_token(&app, &headers)?;
        await_body(&app, &hash).await?;
    }
    let Some(body) = app.store.body(&hash).await? else {
        return Err(ApiError::not_found(format!(
            "there is no body {hash} here; hint: it is pulled from its proposer's agent once that can be reached"
        )));
    };
    if let Some(reader) = reading.reader {
        if app.ledger.contract().read().member(&reader).is_none() {
            return Err(ApiError::bad_request(format!("there is no member `{reader}`")));
        }
        app.store.mark_read(&hash, &reader, clock::now()).await?;
    }
    Ok(body.bytes)
}

pub async fn subject(
    State(app): State<Arc<App>>,
    Path((kind, id)): Path<(String, String)>,
) -> Answer<SubjectInfo> {
    let kind = match kind.as_str() {
        "agreement" => SubjectKind::Agreement,
        "policy-set" => SubjectKind::PolicySet,
        "inventory" => SubjectKind::Inventory,
        "change" => SubjectKind::Change,
        other => return Err(ApiError::not_found(format!("there is no kind of subject `{other}`"))),
    };
    let info = {
        let contract = app.ledger.contract().read();
        describe(&contract, kind, &id)
            .ok_or_else(|| ApiError::not_found(format!("{id} is not registered")))?
    };
    Ok(Json(info))
}

/// The newest registered version, final or not.
fn describe(contract: &Contract, kind: SubjectKind, id: &str) -> Option<SubjectInfo> {
    let version = if kind == SubjectKind::Change { 1 } else { contract.last_version(kind, id) };
    let (action, body, standing) = match kind {
        SubjectKind::Agreement => {
            let found = contract.agreement(id, version)?;
            let body = found.statement.body;
            (Action::RegisterAgreement(found.statement), body, found.standing)
        }
        SubjectKind::PolicySet => {
            let found = contract.policy_set(id, version)?;
            let body = found.statement.body;
            (Action::RegisterPolicySet(found.statement), body, found.standing)
        }
        SubjectKind::Inventory => {
            let (agreement, origin) = id.split_once('/')?;
            let found = contract.inventory(agreement, origin, version)?;
            let body = found.statement.body;
            (Action::RegisterInventory(found.statement), body, found.standing)
        }
        SubjectKind::Change => {
            let found = contract.change(id)?;
            let body = found.statement.body;
            (Action::Propose(found.statement), body, found.standing)
        }
    };
    let subject = Subject { kind, id: id.to_owned(), version };
    Some(subject_info(contract, &subject, &action, Some(body), &standing))
}

fn subject_info(
    contract: &Contract,
    subject: &Subject,
    action: &Action,
    body: Option<Hash>,
    standing: &Standing,
) -> SubjectInfo {
    let approvals = contract.approvals(subject).into_iter().map(|(member, record)| ApprovalInfo {
        member,
        decision: match record.decision {
            Decision::Approve => "approve".into(),
            Decision::Reject => "reject".into(),
        },
        height: record.at.height,
    });
    SubjectInfo {
        kind: action.name().to_owned(),
        id: subject.id.clone(),
        version: subject.version,
        action: hex::encode(borsh::to_vec(action).expect("writing to memory does not fail")),
        body,
        proposer: standing.proposer.clone(),
        status: status_name(standing.status()).to_owned(),
        required: standing.required.clone(),
        approvals: approvals.collect(),
        proposed_height: standing.proposed.height,
        final_height: standing.finalized.map(|m| m.height),
    }
}

/// `pending`, `final`, `rejected`, `withdrawn`.
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Final => "final",
        Status::Rejected => "rejected",
        Status::Withdrawn => "withdrawn",
    }
}
