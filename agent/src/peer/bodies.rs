//! Bodies that the chain names by hash: who may read which, and giving them to whom they concern. Whoever may not
//! read a body is told that there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anchor::transaction::{Decision, MemberId, Subject, SubjectKind};
use anchor::{Action, Hash, MemberRole, ReceiptOutcome, SignedTransaction};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chain::FinalBlock;
use contract::{Contract, Standing};
use tokio::sync::watch;

use super::server::Caller;
use crate::api::ApiError;
use crate::app::App;
use crate::projector::inventory_id;

/// Largest body given and taken, in bytes: a baseline of many stations.
pub const MAX_BODY: usize = 256 << 20;

/// What names a body on the chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naming {
    /// A registration or a change request.
    Subject(Subject),
    /// The accused's answer to the dispute with this id.
    Response(String),
}

/// A body and whom it concerns, as the contract stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub hash: Hash,
    /// What the store calls it.
    pub kind: &'static str,
    /// Who put it on the chain and therefore has it.
    pub proposer: MemberId,
    pub readers: BTreeSet<MemberId>,
}

/// The body that `naming` names, with its readers; `None` where the chain knows no such thing.
pub fn named(contract: &Contract, naming: &Naming) -> Option<Named> {
    match naming {
        Naming::Subject(subject) => of_subject(contract, subject),
        Naming::Response(id) => {
            let dispute = contract.dispute(id)?;
            let hash = dispute.response?.body;
            let origin = dispute.statement.origin;
            let opening = contract.round(&origin, dispute.statement.round)?.opening.statement;
            let mut readers = operators(contract, &opening.agreement, opening.agreement_version);
            readers.extend([origin.clone(), dispute.disputer]);
            Some(Named { hash, kind: "response", proposer: origin, readers })
        }
    }
}

/// The body of a registration or request.
pub fn body_of(contract: &Contract, subject: &Subject) -> Option<Hash> {
    of_subject(contract, subject).map(|named| named.hash)
}

fn of_subject(contract: &Contract, subject: &Subject) -> Option<Named> {
    let Subject { kind, id, version } = subject;
    let (hash, word, standing, concerned) = match kind {
        SubjectKind::Agreement => {
            let found = contract.agreement(id, *version)?;
            let parties = found.statement.parties.iter().cloned().collect();
            (found.statement.body, "agreement", found.standing, parties)
        }
        SubjectKind::PolicySet => {
            let found = contract.policy_set(id, *version)?;
            let parties = parties(contract, &found.statement.agreement, under(&found.standing));
            (found.statement.body, "policy-set", found.standing, parties)
        }
        SubjectKind::Inventory => {
            let (agreement, origin) = id.split_once('/')?;
            let found = contract.inventory(agreement, origin, *version)?;
            let parties = parties(contract, agreement, under(&found.standing));
            (found.statement.body, "inventory", found.standing, parties)
        }
        SubjectKind::Change => {
            let found = contract.change(id)?;
            let (agreement, version) = (&found.statement.agreement, found.statement.agreement_version);
            let operators = operators(contract, agreement, version);
            (found.statement.body, "change", found.standing, operators)
        }
    };
    let mut readers: BTreeSet<MemberId> = concerned;
    readers.extend(standing.required);
    readers.insert(standing.proposer.clone());
    Some(Named { hash, kind: word, proposer: standing.proposer, readers })
}

fn under(standing: &Standing) -> u32 {
    standing.under.as_ref().map_or(0, |under| under.version)
}

/// The parties of that version of an agreement and of the newest final one: who joins by a new version accepts what
/// is in force, and must be able to read it.
fn parties(contract: &Contract, agreement: &str, version: u32) -> BTreeSet<MemberId> {
    let pinned = contract.agreement(agreement, version);
    let newest = contract.agreement_in_force(agreement, u64::MAX);
    pinned.into_iter().chain(newest).flat_map(|found| found.statement.parties).collect()
}

fn operators(contract: &Contract, agreement: &str, version: u32) -> BTreeSet<MemberId> {
    let operator = |id: &MemberId| contract.member(id).is_some_and(|m| m.role == MemberRole::Operator);
    parties(contract, agreement, version).into_iter().filter(operator).collect()
}

/// Everything on the chain that names a body.
pub(super) fn all(contract: &Contract) -> Vec<Naming> {
    let kinds = [SubjectKind::Agreement, SubjectKind::PolicySet, SubjectKind::Inventory, SubjectKind::Change];
    let mut namings = Vec::new();
    for kind in kinds {
        for id in contract.ids(kind) {
            let last = if kind == SubjectKind::Change { 1 } else { contract.last_version(kind, &id) };
            let versions = (1..=last).map(|version| Subject { kind, id: id.clone(), version });
            namings.extend(versions.map(Naming::Subject));
        }
    }
    let answered = contract.disputes().into_iter().filter(|(_, dispute)| dispute.response.is_some());
    namings.extend(answered.map(|(id, _)| Naming::Response(id)));
    namings
}

/// What a final block says of bodies.
#[derive(Debug, Default)]
pub(super) struct News {
    pub namings: Vec<Naming>,
    /// An agreement was decided on: members may concern bodies now that did not before.
    pub parties_changed: bool,
}

/// What a final block names; transactions that were refused name nothing.
pub(super) fn news(block: &FinalBlock) -> News {
    let mut news = News::default();
    for (bytes, receipt) in block.block.transactions.iter().zip(&block.receipts) {
        if receipt.outcome != ReceiptOutcome::Accepted {
            continue;
        }
        // An honest proposer includes no bytes that are no transaction.
        let Ok(signed) = SignedTransaction::decode(bytes) else { continue };
        let (kind, id, version) = match signed.transaction.action {
            Action::RegisterAgreement(s) => (SubjectKind::Agreement, s.id, s.version),
            Action::RegisterPolicySet(s) => (SubjectKind::PolicySet, s.id, s.version),
            Action::RegisterInventory(s) => (SubjectKind::Inventory, inventory_id(&s), s.version),
            Action::Propose(s) => (SubjectKind::Change, s.id, 1),
            Action::Respond(s) => {
                news.namings.push(Naming::Response(s.id));
                continue;
            }
            Action::Approve(s) => {
                let final_agreement = s.subject.kind == SubjectKind::Agreement;
                news.parties_changed |= final_agreement && s.decision == Decision::Approve;
                continue;
            }
            _ => continue,
        };
        news.namings.push(Naming::Subject(Subject { kind, id, version }));
    }
    news
}

/// Which hash is named by what, as far as this agent has looked at the chain; and when a body arrived.
#[derive(Debug)]
pub struct Bodies {
    namings: Mutex<BTreeMap<Hash, BTreeSet<Naming>>>,
    arrived: watch::Sender<u64>,
}

impl Default for Bodies {
    fn default() -> Self {
        Bodies { namings: Mutex::default(), arrived: watch::Sender::new(0) }
    }
}

impl Bodies {
    pub(super) fn note(&self, hash: Hash, naming: Naming) {
        let mut namings = self.namings.lock().unwrap_or_else(PoisonError::into_inner);
        namings.entry(hash).or_default().insert(naming);
    }

    fn namings(&self, hash: &Hash) -> BTreeSet<Naming> {
        let namings = self.namings.lock().unwrap_or_else(PoisonError::into_inner);
        namings.get(hash).cloned().unwrap_or_default()
    }

    /// Counts the bodies that were pulled since the start; changes with each that arrives.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrived.subscribe()
    }

    pub(super) fn note_arrival(&self) {
        self.arrived.send_modify(|all| *all = all.saturating_add(1));
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/peer/v1/body/{sha256}", get(give))
}

async fn give(
    Caller(caller): Caller,
    State(app): State<Arc<App>>,
    Path(hash): Path<String>,
) -> Result<Response, ApiError> {
    let Ok(hash) = hash.parse::<Hash>() else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let concerned = {
        let contract = app.ledger.contract().read();
        let mut named = app.bodies.namings(&hash).into_iter().filter_map(|n| named(&contract, &n));
        named.any(|named| named.hash == hash && named.readers.contains(&caller))
    };
    if !concerned {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    Ok(match app.store.body(&hash).await? {
        Some(body) => body.bytes.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}
