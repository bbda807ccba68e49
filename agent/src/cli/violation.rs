//! `ranproof violation`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::output::{Exit, print, print_json, talk};
use crate::client::{AgentOptions, Client, percent};

#[derive(Debug, Subcommand)]
pub enum ViolationCommand {
    /// List violations, newest first
    List {
        /// open, acknowledged, waived, resolved; open ones by default.
        #[arg(long)]
        state: Option<String>,
        /// critical, major, minor, warning
        #[arg(long)]
        severity: Option<String>,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Show one violation
    Show {
        id: String,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Acknowledge: somebody looks after it
    Ack(VerbArgs),
    /// Assign to a person or team
    Assign {
        /// To whom.
        #[arg(long)]
        to: String,
        #[command(flatten)]
        verb: VerbArgs,
    },
}

#[derive(Debug, Args)]
pub struct VerbArgs {
    pub id: String,
    /// Who says so.
    #[arg(long, env = "USER")]
    pub by: String,
    /// Why.
    #[arg(long, default_value = "")]
    pub comment: String,
    #[command(flatten)]
    pub agent: AgentOptions,
}

pub fn run(command: &ViolationCommand, json: bool) -> Result<Exit> {
    match command {
        ViolationCommand::List { state, severity, agent } => {
            let mut path =
                format!("/api/v1/violations?state={}", percent(state.as_deref().unwrap_or("open")));
            if let Some(severity) = severity {
                path.push_str(&format!("&severity={}", percent(severity)));
            }
            let page: Json = Client::new(agent)?.get(&path)?;
            let rows = page.get("violations").and_then(Json::as_array).cloned().unwrap_or_default();
            if json {
                print_json(&page)?
            } else {
                print(&rows.iter().map(line).collect::<String>())?
            }
            Ok(if rows.is_empty() { Exit::Clean } else { Exit::Found })
        }
        ViolationCommand::Show { id, agent } => {
            let violation: Json = Client::new(agent)?.get(&format!("/api/v1/violations/{}", percent(id)))?;
            print_json(&violation)?;
            Ok(Exit::Clean)
        }
        ViolationCommand::Ack(verb) => act(verb, "ack", json!({})),
        ViolationCommand::Assign { to, verb } => act(verb, "assign", json!({ "to": to })),
    }
}

fn act(verb: &VerbArgs, name: &str, mut body: Json) -> Result<Exit> {
    body["by"] = json!(verb.by);
    body["comment"] = json!(verb.comment);
    let client = Client::new(&verb.agent)?;
    let _: Json = client.post(&format!("/api/v1/violations/{}/{name}", percent(&verb.id)), &body)?;
    talk(&format!("{name}: {}", verb.id));
    Ok(Exit::Clean)
}

fn line(violation: &Json) -> String {
    let field = |name: &str| match violation.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    format!(
        "{}  {:8}  {:12}  {} {}  {} → {}\n",
        field("id"),
        field("severity"),
        field("authorisation"),
        field("object"),
        field("attribute"),
        field("old"),
        field("new")
    )
}
