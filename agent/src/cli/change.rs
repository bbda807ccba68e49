//! `ranproof change`

use std::path::{Path, PathBuf};

use anchor::Action;
use anchor::transaction::{Subject, SubjectKind, WithdrawStatement};
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use model::{ChangeRequest, Dn};
use serde_json::{Value as Json, json};

use super::approve::{self, ApproveArgs, SignOptions};
use super::output::{Exit, answer, done, print, print_json, talk};
use crate::api::types::{KeyInfo, Preview};
use crate::client::{AgentOptions, Client, percent};
use crate::config::read_yaml;
use crate::{keys, statements};

#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Write a baseline request from what the agent read last
    Baseline {
        /// Id of the request.
        #[arg(long)]
        id: String,
        /// Stations to cover; all that have no approved baseline by default.
        #[arg(long = "element", value_name = "DN")]
        elements: Vec<Dn>,
        /// Where to write it.
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Propose a request: store its body, put its hash on the chain
    Propose {
        /// YAML or JSON; a nonce is drawn if it has none.
        file: PathBuf,
        #[command(flatten)]
        sign: SignOptions,
    },
    /// Who must approve it, whether it still fits, what rules it would break
    Preview {
        file: PathBuf,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Approve (or reject) a request that was read and re-hashed
    Approve(ApproveArgs),
    /// Take a request back
    Withdraw {
        id: String,
        #[command(flatten)]
        sign: SignOptions,
    },
    /// List requests with where they stand and how far they were carried out
    List {
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Show one request
    Show {
        id: String,
        #[command(flatten)]
        agent: AgentOptions,
    },
}

pub fn run(command: &ChangeCommand, json: bool) -> Result<Exit> {
    match command {
        ChangeCommand::Baseline { id, elements, output, agent } => {
            let client = Client::new(agent)?;
            let request: Json =
                client.post("/api/v1/baselines", &json!({ "id": id, "elements": elements }))?;
            let text = serde_json::to_string_pretty(&request)?;
            std::fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))?;
            let value = json!({ "id": id, "title": request.get("title"), "file": output });
            done(json, &value, &format!("Wrote {}", output.display()))?;
        }
        ChangeCommand::Propose { file, sign } => propose(file, sign, json)?,
        ChangeCommand::Preview { file, agent } => preview(file, agent, json)?,
        ChangeCommand::Approve(args) => {
            let (read, result) = approve::decide(args, SubjectKind::Change)?;
            let request: ChangeRequest = serde_json::from_slice(&read.body)?;
            talk(&format!("{}: {} ({} edits)", request.id, request.title, request.edits.len()));
            done(json, &result, &approve::describe(args, &result))?;
        }
        ChangeCommand::Withdraw { id, sign } => {
            let subject = Subject { kind: SubjectKind::Change, id: id.clone(), version: 1 };
            let client = Client::new(&sign.agent)?;
            let action = Action::Withdraw(WithdrawStatement { subject });
            let result = client.submit(&keys::load(&sign.key)?, action)?;
            done(json, &result, &format!("Withdrew {id} in block {}", result.height))?;
        }
        ChangeCommand::List { agent } => {
            let changes: Json = Client::new(agent)?.get("/api/v1/changes")?;
            answer(json, &changes, &list(&changes))?;
        }
        ChangeCommand::Show { id, agent } => {
            let change: Json = Client::new(agent)?.get(&format!("/api/v1/changes/{}", percent(id)))?;
            print_json(&change)?;
        }
    }
    Ok(Exit::Clean)
}

/// Reads a request's file; the nonce is drawn where it is missing.
fn load(file: &Path) -> Result<ChangeRequest> {
    let mut request: ChangeRequest = read_yaml(file)?;
    if request.nonce.is_empty() {
        request.nonce = hex::encode(keys::random_bytes::<32>()?);
    }
    request.check().with_context(|| file.display().to_string())?;
    Ok(request)
}

fn propose(file: &Path, sign: &SignOptions, json: bool) -> Result<()> {
    let request = load(file)?;
    let client = Client::new(&sign.agent)?;
    let key = keys::load(&sign.key)?;
    let holder: KeyInfo = client.get(&format!("/api/v1/keys/{}", key.public()))?;
    if holder.member.as_deref() != Some(request.proposer.as_str()) {
        let signer = holder.member.unwrap_or_else(|| "nobody here".into());
        bail!(
            "the request names {} as proposer, the key is of {signer}; nothing was signed",
            request.proposer
        );
    }
    let agreement = approve::agreement_of(&client, &request.agreement)?;
    let (statement, body) = statements::proposal(&request, &agreement)?;
    client.put_body(&body)?;
    let required = statement.required.join(", ");
    let result = client.submit(&key, Action::Propose(statement))?;
    let words = format!("Proposed {} in block {}; to be approved by {required}", request.id, result.height);
    done(json, &result, &words)
}

fn preview(file: &Path, agent: &AgentOptions, json: bool) -> Result<()> {
    let request = load(file)?;
    let body = serde_json::to_value(&request)?;
    let preview: Preview = Client::new(agent)?.post("/api/v1/changes/preview", &body)?;
    if json {
        return print_json(&preview);
    }
    let mut text = format!("{}\n", preview.id);
    for required in &preview.required {
        text.push_str(&format!("  needs approval of {} ({} edits)\n", required.member, required.edits));
    }
    for edit in &preview.edits {
        text.push_str(&format!("  {} {}: {} {}\n", edit.object, edit.attribute, edit.status, edit.note));
    }
    for violation in &preview.would_violate {
        text.push_str(&format!("  would violate {violation}\n"));
    }
    print(&text)
}

fn list(changes: &Json) -> String {
    let field = |change: &Json, name: &str| change.get(name).and_then(Json::as_str).unwrap_or("-").to_owned();
    let rows = changes.get("changes").and_then(Json::as_array).cloned().unwrap_or_default();
    rows.iter()
        .map(|c| {
            format!(
                "{}  {}  {}  {}\n",
                field(c, "id"),
                field(c, "standing"),
                field(c, "progress"),
                field(c, "title")
            )
        })
        .collect()
}
