//! `ranproof violation`

use anyhow::Result;
use clap::{Args, Subcommand};
use model::{OBJECT, Value};
use serde_json::{Value as Json, json};

use super::output::{Exit, answer, done, print_json};
use crate::acting::Words;
use crate::client::{AgentOptions, Client, percent};
use crate::clock;
use crate::web::compare::compact;

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
        origin: OriginArgs,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Show one violation
    Show {
        id: String,
        #[command(flatten)]
        origin: OriginArgs,
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
    /// Add a comment
    Comment(VerbArgs),
    /// Resolve by hand; if the cause is still there, the next round opens a new violation
    Resolve(VerbArgs),
}

/// Whose stations.
#[derive(Debug, Args)]
pub struct OriginArgs {
    /// Another operator's stations, as it disclosed them and as this agent judged them; a member id.
    #[arg(long)]
    pub origin: Option<String>,
}

impl OriginArgs {
    /// The path with the origin in its query.
    fn path(&self, path: &str) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        match &self.origin {
            Some(origin) => format!("{path}{joint}origin={}", percent(origin)),
            None => path.to_owned(),
        }
    }
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
    pub origin: OriginArgs,
    #[command(flatten)]
    pub agent: AgentOptions,
}

pub fn run(command: &ViolationCommand, json: bool) -> Result<Exit> {
    match command {
        ViolationCommand::List { state, severity, origin, agent } => {
            let mut path =
                format!("/api/v1/violations?state={}", percent(state.as_deref().unwrap_or("open")));
            if let Some(severity) = severity {
                path.push_str(&format!("&severity={}", percent(severity)));
            }
            let page: Json = Client::new(agent)?.get(&origin.path(&path))?;
            let rows = page.get("violations").and_then(Json::as_array).cloned().unwrap_or_default();
            answer(json, &page, &rows.iter().map(line).collect::<String>())?;
            Ok(if rows.is_empty() { Exit::Clean } else { Exit::Found })
        }
        ViolationCommand::Show { id, origin, agent } => {
            let path = origin.path(&format!("/api/v1/violations/{}", percent(id)));
            let violation: Json = Client::new(agent)?.get(&path)?;
            print_json(&violation)?;
            Ok(Exit::Clean)
        }
        ViolationCommand::Ack(verb) => act(verb, "ack", None, json),
        ViolationCommand::Assign { to, verb } => act(verb, "assign", Some(to), json),
        ViolationCommand::Comment(verb) => act(verb, "comment", None, json),
        ViolationCommand::Resolve(verb) => act(verb, "resolve", None, json),
    }
}

fn act(verb: &VerbArgs, name: &str, to: Option<&str>, json: bool) -> Result<Exit> {
    let words = Words { verb: name, by: &verb.by, comment: &verb.comment, to };
    words.read(clock::now())?;
    let body = json!({ "by": words.by, "comment": words.comment, "to": words.to });
    let client = Client::new(&verb.agent)?;
    let path = verb.origin.path(&format!("/api/v1/violations/{}/{name}", percent(&verb.id)));
    let violation: Json = client.post(&path, &body)?;
    done(json, &violation, &format!("{name}: {}", verb.id))?;
    Ok(Exit::Clean)
}

fn line(violation: &Json) -> String {
    let field = |name: &str| match violation.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    format!(
        "{}  {:8}  {:12}  {} {}  {}\n",
        field("id"),
        field("severity"),
        field("authorisation"),
        field("object"),
        field("attribute"),
        difference(violation)
    )
}

/// Old and new value as people write them; an object that came or went, in words.
fn difference(violation: &Json) -> String {
    let value =
        |name: &str| violation.get(name).and_then(|v| serde_json::from_value::<Value>(v.clone()).ok());
    let (old, new) = (value("old"), value("new"));
    let size = |value: &Option<Value>| match value {
        Some(Value::Fields(fields)) => fields.len(),
        _ => 0,
    };
    if violation.get("attribute").and_then(Json::as_str) == Some(OBJECT) {
        match (&old, &new) {
            (Some(_), None) => return format!("deleted, with {} attributes", size(&old)),
            (None, Some(_)) => return format!("created, with {} attributes", size(&new)),
            _ => {}
        }
    }
    let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), compact);
    format!("{} → {}", text(&old), text(&new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_values_as_people_write_them() {
        let base = json!({ "id": "V-1", "severity": "major", "authorisation": null, "object": "A=1" });
        let with = |more: Json| {
            let mut violation = base.clone();
            violation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            line(&violation)
        };
        let list = json!([{ "mcc": "460", "mnc": "01" }, { "mcc": "460", "mnc": "11" }]);
        let plmn = with(json!({ "attribute": "pLMNInfoList", "old": null, "new": list }));
        assert!(plmn.ends_with("A=1 pLMNInfoList  - → [460-01, 460-11]\n"), "{plmn}");
        let gone =
            with(json!({ "attribute": "@object", "old": { "nRPCI": "1", "nRTAC": "2" }, "new": null }));
        assert!(gone.ends_with("deleted, with 2 attributes\n"), "{gone}");
    }
}
