//! Approving and rejecting: what is signed is recomputed here, never taken on trust from the agent.

use std::path::PathBuf;

use anchor::transaction::{ApprovalStatement, Decision, Subject, SubjectKind, statement_hash};
use anchor::{Action, Hash};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use model::{Agreement, Inventory};

use crate::api::types::{SubjectInfo, SubmitResult};
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

/// Fetches the statement and the body behind it and checks that the one is about the other. Nobody approves a
/// body that was not read.
pub fn read_subject(client: &Client, kind: SubjectKind, id: &str) -> Result<Read> {
    let info = client.subject(kind, id)?;
    let bytes = hex::decode(&info.action).context("the agent's statement is not hexadecimal")?;
    let action: Action = borsh::from_slice(&bytes).context("the agent's statement is not of this version")?;
    let hash = info.body.with_context(|| {
        format!("the agent has no body for {kind:?} {id}; hint: nothing can be approved unread")
    })?;
    let body = client.body(&hash)?;
    check_body(client, kind, id, &action, &hash, &body)?;
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
            return Ok(());
        }
        (kind, action) => bail!("the agent sent a {} for {kind:?} {id}; nothing was signed", action.name()),
    };
    if stated != *hash {
        bail!("the statement is about body {stated}, the agent sent {hash}; nothing was signed");
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
    let read = read_subject(&client, kind, &args.id)?;
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
