//! `ranproof dispute`: what a second judgement could not follow, answered by the accused and ended by the accuser.

use std::path::PathBuf;

use anchor::transaction::{DisputeOutcome, ResolveStatement, RespondStatement};
use anchor::{Action, Hash};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::approve::SignOptions;
use super::output::{Exit, answer, done};
use crate::api::types::{ChainInfo, KeyInfo};
use crate::client::{AgentOptions, Client};
use crate::federation::DisputeView;
use crate::statements::{self, DisputeAnswer};
use crate::{config::read_yaml, keys};

#[derive(Debug, Subcommand)]
pub enum DisputeCommand {
    /// List disputes, newest first; exit code 1 where one is open
    List {
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Show one dispute with its answer
    Show {
        id: String,
        #[command(flatten)]
        agent: AgentOptions,
    },
    /// Answer a dispute that accuses you; once, and seen by the operators of the agreement
    Respond(RespondArgs),
    /// End a dispute that you opened; a violation that it led to is resolved apart, `ranproof violation resolve`
    Resolve {
        id: String,
        #[command(flatten)]
        outcome: Outcome,
        #[command(flatten)]
        sign: SignOptions,
    },
}

#[derive(Debug, Args)]
pub struct RespondArgs {
    pub id: String,
    /// The answer in words.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub text: Option<String>,
    /// A ticket of yours.
    #[arg(long, default_value = "", conflicts_with = "file")]
    pub ticket: String,
    /// The answer as YAML or JSON (`ranproof/response/1`) instead.
    #[arg(long)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub sign: SignOptions,
}

/// One of the two must be said: nothing ends a dispute by default.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Outcome {
    /// Stand by it.
    #[arg(long)]
    pub uphold: bool,
    /// Take it back.
    #[arg(long)]
    pub withdraw: bool,
}

pub fn run(command: &DisputeCommand, json: bool) -> Result<Exit> {
    match command {
        DisputeCommand::List { agent } => list(agent, json),
        DisputeCommand::Show { id, agent } => show(id, agent, json),
        DisputeCommand::Respond(args) => respond(args, json),
        DisputeCommand::Resolve { id, outcome, sign } => resolve(id, outcome, sign, json),
    }
}

fn list(agent: &AgentOptions, json: bool) -> Result<Exit> {
    let chain: ChainInfo = Client::new(agent)?.get("/api/v1/chain")?;
    let disputes = chain.federation.disputes;
    answer(json, &json!({ "disputes": disputes }), &disputes.iter().map(line).collect::<String>())?;
    let open = disputes.iter().any(DisputeView::is_open);
    Ok(if open { Exit::Found } else { Exit::Clean })
}

fn line(d: &DisputeView) -> String {
    let answered = d.answered.map_or(String::new(), |at| format!(", answered in block {}", at.height));
    let (id, by, kind, round, origin) = (&d.id, &d.disputer, &d.kind, d.round, &d.origin);
    format!("{id}  {}  {by} disputes round {round} of {origin} ({kind}){answered}\n", d.state)
}

fn find(client: &Client, id: &str) -> Result<DisputeView> {
    let chain: ChainInfo = client.get("/api/v1/chain")?;
    let found = chain.federation.disputes.into_iter().find(|dispute| dispute.id == id);
    found.with_context(|| format!("no dispute `{id}` is on the chain; hint: `ranproof dispute list`"))
}

fn show(id: &str, agent: &AgentOptions, json: bool) -> Result<Exit> {
    let client = Client::new(agent)?;
    let dispute = find(&client, id)?;
    let answered = dispute.answer.map(|body| read_answer(&client, &body)).transpose()?;
    let mut text = line(&dispute);
    if let Some(DisputeAnswer { ticket, text: words, .. }) = &answered {
        let ticket = if ticket.is_empty() { String::new() } else { format!(" ({ticket})") };
        text.push_str(&format!("  {} answers{ticket}: {words}\n", dispute.origin));
    }
    answer(json, &json!({ "dispute": dispute, "answer": answered }), &text)?;
    Ok(Exit::Clean)
}

/// The client compares the body with its hash.
fn read_answer(client: &Client, body: &Hash) -> Result<DisputeAnswer> {
    let bytes = client.body(body, None)?;
    serde_json::from_slice(&bytes).context("the answer's body is not understood")
}

fn respond(args: &RespondArgs, json: bool) -> Result<Exit> {
    let client = Client::new(&args.sign.agent)?;
    let dispute = find(&client, &args.id)?;
    let key = keys::load(&args.sign.key)?;
    concerns(&client, &key, &dispute.origin, "answered")?;
    let answer = match &args.file {
        Some(file) => read_yaml(file)?,
        None => DisputeAnswer {
            format: DisputeAnswer::FORMAT.into(),
            dispute: args.id.clone(),
            text: args.text.clone().unwrap_or_default(),
            ticket: args.ticket.clone(),
        },
    };
    answer.check(&args.id)?;
    let body = statements::canonical(&answer)?;
    client.put_body(&body)?;
    let statement = RespondStatement { id: args.id.clone(), body: Hash::of(&body) };
    let result = client.submit(&key, Action::Respond(statement))?;
    done(json, &result, &format!("Answered {} in block {}", args.id, result.height))?;
    Ok(Exit::Clean)
}

fn resolve(id: &str, outcome: &Outcome, sign: &SignOptions, json: bool) -> Result<Exit> {
    let client = Client::new(&sign.agent)?;
    let dispute = find(&client, id)?;
    let key = keys::load(&sign.key)?;
    concerns(&client, &key, &dispute.disputer, "ended")?;
    let outcome = if outcome.uphold { DisputeOutcome::Upheld } else { DisputeOutcome::Withdrawn };
    let statement = ResolveStatement { id: id.to_owned(), outcome };
    let result = client.submit(&key, Action::Resolve(statement))?;
    done(json, &result, &format!("Ended {id} as {} in block {}", outcome.as_str(), result.height))?;
    Ok(Exit::Clean)
}

/// The contract would refuse it too; here nothing is signed.
fn concerns(client: &Client, key: &anchor::SigningKey, member: &str, what: &str) -> Result<()> {
    let holder: KeyInfo = client.get(&format!("/api/v1/keys/{}", key.public()))?;
    if holder.member.as_deref() == Some(member) {
        return Ok(());
    }
    let signer = holder.member.unwrap_or_else(|| "nobody here".into());
    bail!("the dispute can be {what} by {member} alone, the key is of {signer}; nothing was signed");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: DisputeCommand,
    }

    fn parse(words: &str) -> Result<DisputeCommand, clap::Error> {
        Line::try_parse_from(["dispute"].into_iter().chain(words.split(' '))).map(|line| line.command)
    }

    #[test]
    fn nothing_ends_a_dispute_by_default() {
        assert!(parse("resolve D-1 --key k").is_err());
        assert!(parse("resolve D-1 --key k --uphold --withdraw").is_err());
        assert!(parse("resolve D-1 --key k --withdraw").is_ok());
    }

    #[test]
    fn an_answer_must_be_one_to_this_dispute() {
        let answer = |format: &str, dispute: &str, text: &str| DisputeAnswer {
            format: format.into(),
            dispute: dispute.into(),
            text: text.into(),
            ticket: String::new(),
        };
        answer(DisputeAnswer::FORMAT, "D-1", "We put it back.").check("D-1").unwrap();
        let long = "x".repeat(4_001);
        for (wrong, words) in [
            (answer("ranproof/response/9", "D-1", "x"), "`ranproof/response/1` is understood"),
            (answer(DisputeAnswer::FORMAT, "D-2", "x"), "about dispute `D-2`, not `D-1`"),
            (answer(DisputeAnswer::FORMAT, "D-1", " "), "1 to 4000 are wanted"),
            (answer(DisputeAnswer::FORMAT, "D-1", &long), "4001 characters"),
        ] {
            let error = wrong.check("D-1").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_answer_is_words_or_a_file() {
        assert!(parse("respond D-1 --key k").is_err());
        assert!(parse("respond D-1 --key k --text sorry --file f").is_err());
        assert!(parse("respond D-1 --key k --text sorry --ticket T-1").is_ok());
        assert!(parse("respond D-1 --key k --file f").is_ok());
    }
}
