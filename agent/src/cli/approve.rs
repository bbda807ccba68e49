//! Approving and rejecting: what is signed is recomputed here, never taken on trust from the agent.

use std::path::PathBuf;

use anchor::transaction::{
    ApprovalStatement, Decision, ProposalStatement, Subject, SubjectKind, statement_hash,
};
use anchor::{Action, Hash};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use model::change::{Stated, Window};
use model::{Agreement, ChangeRequest, Inventory, Timestamp};

use crate::api::types::{KeyInfo, SubjectInfo, SubmitResult};
use crate::client::{AgentOptions, Client};
use crate::{keys, statements};

/// Options of every command that signs.
#[derive(Debug, Args)]
pub struct SignOptions {
    #[command(flatten)]
    pub agent: AgentOptions,
    /// The approval key to sign with.
    #[arg(long, env = "RANPROOF_KEY")]
    pub key: PathBuf,
}

/// Approve or reject what a member registered or proposed.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// Its id; for an inventory `agreement/operator`.
    pub id: String,
    /// Reject it instead. One rejection is enough.
    #[arg(long)]
    pub reject: bool,
    #[command(flatten)]
    pub sign: SignOptions,
}

/// A registration or request whose statement and body were checked against each other.
#[derive(Debug)]
pub struct Read {
    pub info: SubjectInfo,
    pub action: Action,
    pub body: Vec<u8>,
}

/// Fetches the statement and the body behind it and checks that the one is about the other.
pub fn read_subject(client: &Client, kind: SubjectKind, id: &str) -> Result<Read> {
    read_as(client, kind, id, None)
}

/// Nobody approves a body that was not read: the agent is told who reads it.
fn read_as(client: &Client, kind: SubjectKind, id: &str, reader: Option<&str>) -> Result<Read> {
    let info = client.subject(kind, id)?;
    let bytes = hex::decode(&info.action).context("the agent's statement is not hexadecimal")?;
    let action: Action = borsh::from_slice(&bytes).context("the agent's statement is not of this version")?;
    let hash = info.body.with_context(|| {
        format!("the agent has no body for {kind:?} {id}; hint: nothing can be approved unread")
    })?;
    let body = client.body(&hash, reader)?;
    check_body(client, kind, id, &action, &hash, &body)?;
    if let Action::Propose(statement) = &action {
        check_request(client, statement, &info.proposer, &body)?;
    }
    Ok(Read { info, action, body })
}

fn check_body(
    client: &Client,
    kind: SubjectKind,
    id: &str,
    action: &Action,
    hash: &Hash,
    body: &[u8],
) -> Result<()> {
    let stated = match (kind, action) {
        (SubjectKind::Agreement, Action::RegisterAgreement(s)) if s.id == id => s.body,
        (SubjectKind::PolicySet, Action::RegisterPolicySet(s)) if s.id == id => s.body,
        (SubjectKind::Change, Action::Propose(s)) if s.id == id => s.body,
        (SubjectKind::Inventory, Action::RegisterInventory(s))
            if format!("{}/{}", s.agreement, s.origin) == id =>
        {
            let inventory: Inventory =
                serde_json::from_slice(body).context("the inventory's body is unreadable")?;
            let agreement = agreement_of(client, &s.agreement)?;
            let root = statements::inventory_root(&inventory, &statements::map_secret(&agreement)?)?;
            if root != s.root || inventory.stations.len() as u64 != s.count {
                bail!(
                    "the inventory's body has root {root}, its statement says {}; nothing was signed",
                    s.root
                );
            }
            s.body
        }
        (kind, action) => bail!("the agent sent a {} for {kind:?} {id}; nothing was signed", action.name()),
    };
    if stated != *hash {
        bail!("the statement is about body {stated}, the agent sent {hash}; nothing was signed");
    }
    Ok(())
}

/// Only the hash binds a request's body to its proposal: they must say the same, and the proposal must ask everybody
/// whom the agreement names for what the body touches.
fn check_request(client: &Client, statement: &ProposalStatement, proposer: &str, body: &[u8]) -> Result<()> {
    let request: ChangeRequest = serde_json::from_slice(body).context("the request's body is unreadable")?;
    request.check()?;
    let kind = serde_json::to_value(statement.kind)?;
    request.fits(&Stated {
        id: &statement.id,
        kind: kind.as_str().unwrap_or_default(),
        agreement: &statement.agreement,
        agreement_version: statement.agreement_version,
        proposer,
        window: Window {
            from: Timestamp::from_unsigned(statement.window_from),
            to: Timestamp::from_unsigned(statement.window_to),
        },
    })?;
    let agreement = agreement_of(client, &statement.agreement)?;
    if agreement.version != statement.agreement_version {
        bail!(
            "the request is written for {} v{}, the newest is v{}",
            agreement.id,
            statement.agreement_version,
            agreement.version
        );
    }
    let needed = statements::required_approvers(&request, &agreement);
    if let Some(missing) = needed.iter().find(|member| !statement.required.contains(member)) {
        bail!("the proposal does not ask {missing}, whom the agreement names for it; nothing was signed");
    }
    Ok(())
}

/// The newest registered version of an agreement, read and checked.
pub fn agreement_of(client: &Client, id: &str) -> Result<Agreement> {
    let read = read_subject(client, SubjectKind::Agreement, id)?;
    let agreement: Agreement =
        serde_json::from_slice(&read.body).context("the agreement's body is unreadable")?;
    agreement.check()?;
    Ok(agreement)
}

/// Signs a decision about exactly the statement that was read.
pub fn decide(args: &ApproveArgs, kind: SubjectKind) -> Result<(Read, SubmitResult)> {
    let client = Client::new(&args.sign.agent)?;
    let key = keys::load(&args.sign.key)?;
    let holder: KeyInfo = client.get(&format!("/api/v1/keys/{}", key.public()))?;
    let read = read_as(&client, kind, &args.id, holder.member.as_deref())?;
    let decision = if args.reject { Decision::Reject } else { Decision::Approve };
    let statement = ApprovalStatement {
        subject: Subject { kind, id: args.id.clone(), version: read.info.version },
        statement: statement_hash(&read.action),
        decision,
    };
    let result = client.submit(&key, Action::Approve(statement))?;
    Ok((read, result))
}

/// One line about a decision, for people.
pub fn describe(args: &ApproveArgs, result: &SubmitResult) -> String {
    let verb = if args.reject { "Rejected" } else { "Approved" };
    format!("{verb} {} in block {} (transaction {})", args.id, result.height, result.id.short())
}
