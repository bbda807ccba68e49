//! The chain through the API: what is registered, whose key is whose, and signed bytes relayed to it.

use std::sync::Arc;

use anchor::transaction::{Decision, Subject, SubjectKind};
use anchor::{Action, Hash, MemberRole, PublicKey, ReceiptOutcome};
use anyhow::Context as _;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use contract::{Contract, Duty, Standing, Status};
use model::Timestamp;

use super::error::{ApiError, Asked};
use super::types::{
    ApprovalInfo, ChainInfo, KeyInfo, Refused, SubjectInfo, SubmitResult, SubmittedTransaction,
};
use crate::app::App;
use crate::clock;

type Answer<T> = Result<Json<T>, ApiError>;

pub async fn info(State(app): State<Arc<App>>) -> Answer<ChainInfo> {
    let tip = app.ledger.node().tip();
    let contract = app.ledger.contract().read();
    let operators = contract.members().into_iter().filter(|m| m.role == MemberRole::Operator).map(|m| m.id);
    Ok(Json(ChainInfo {
        chain_id: contract.chain_id(),
        genesis: contract.genesis_hash(),
        height: tip.height,
        time: Timestamp::from_unsigned(tip.time).to_string(),
        operators: operators.collect(),
        validators: contract.validators().0.len(),
        rules_version: contract.rules_version(),
        header: tip.header,
    }))
}

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
        Err(error) => Err(ApiError::new(axum::http::StatusCode::CONFLICT, error.to_string())),
    }
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

pub async fn body(State(app): State<Arc<App>>, Path(hash): Path<String>) -> Result<Vec<u8>, ApiError> {
    let hash: Hash = hash.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    match app.store.body(&hash).await? {
        Some(body) => Ok(body.bytes),
        None => Err(ApiError::not_found(format!("there is no body {hash} here"))),
    }
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
    let (info, inventory_root) = {
        let contract = app.ledger.contract().read();
        describe(&contract, kind, &id)
            .ok_or_else(|| ApiError::not_found(format!("{id} is not registered")))?
    };
    let mut info = info;
    if let Some(root) = inventory_root {
        info.body = app.inventory_body(&root).await?;
    }
    Ok(Json(info))
}

/// The newest registered version, final or not; and for an inventory its root, by which the body is found.
fn describe(contract: &Contract, kind: SubjectKind, id: &str) -> Option<(SubjectInfo, Option<Hash>)> {
    let version = if kind == SubjectKind::Change { 1 } else { contract.last_version(kind, id) };
    let (action, body, root, standing) = match kind {
        SubjectKind::Agreement => {
            let found = contract.agreement(id, version)?;
            let body = found.statement.body;
            (Action::RegisterAgreement(found.statement), Some(body), None, found.standing)
        }
        SubjectKind::PolicySet => {
            let found = contract.policy_set(id, version)?;
            let body = found.statement.body;
            (Action::RegisterPolicySet(found.statement), Some(body), None, found.standing)
        }
        SubjectKind::Inventory => {
            let (agreement, origin) = id.split_once('/')?;
            let found = contract.inventory(agreement, origin, version)?;
            let root = found.statement.root;
            (Action::RegisterInventory(found.statement), None, Some(root), found.standing)
        }
        SubjectKind::Change => {
            let found = contract.change(id)?;
            let body = found.statement.body;
            (Action::Propose(found.statement), Some(body), None, found.standing)
        }
    };
    let subject = Subject { kind, id: id.to_owned(), version };
    Some((subject_info(contract, &subject, &action, body, &standing), root))
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
