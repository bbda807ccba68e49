//! `ranproof collect`

use anyhow::Result;
use clap::Args;
use model::Dn;
use serde_json::json;

use super::output::{Exit, answer};
use crate::api::types::RoundSummary;
use crate::client::{AgentOptions, Client};
use crate::web::view::FindingView;

/// Findings that are printed.
const MAX_FINDINGS: usize = 20;

/// Have the agent run a round now, and wait for it.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// One round; the default, and the only mode of this command (schedules are the agent's).
    #[arg(long)]
    pub once: bool,
    /// Read only these stations; the others are skipped, and attested as such.
    #[arg(long = "element", value_name = "DN")]
    pub elements: Vec<Dn>,
    #[command(flatten)]
    pub agent: AgentOptions,
}

pub fn run(args: &CollectArgs, json: bool) -> Result<Exit> {
    let client = Client::new(&args.agent)?;
    let summary: RoundSummary = client.post("/api/v1/rounds", &json!({ "elements": args.elements }))?;
    answer(json, &summary, &describe(&summary))?;
    Ok(if summary.failed > 0 || summary.violations_opened > 0 { Exit::Found } else { Exit::Clean })
}

fn describe(summary: &RoundSummary) -> String {
    let opened = summary.opened.map_or("unopened".into(), |h| format!("opened at height {h}"));
    let mut text = format!(
        "Round {} ({opened}): {} expected = {} collected + {} unchanged + {} failed + {} skipped\n",
        summary.round,
        summary.expected,
        summary.collected,
        summary.unchanged,
        summary.failed,
        summary.skipped
    );
    let changes = summary.changes;
    text.push_str(&format!(
        "{} changes seen, {} authorised, {} not; {} violations opened, {} resolved\n",
        changes.observed,
        changes.authorised,
        changes.unauthorised,
        summary.violations_opened,
        summary.violations_resolved
    ));
    if summary.unbaselined > 0 {
        let count = summary.unbaselined;
        text.push_str(&format!("{count} stations are unbaselined: authorisation is not claimed for them\n"));
    }
    for failure in &summary.failures {
        text.push_str(&format!("  {}: {}: {}\n", failure.element, failure.reason, failure.detail));
    }
    for finding in summary.findings.iter().take(MAX_FINDINGS) {
        let FindingView { element, code, place, message } = finding;
        text.push_str(&format!("  {element}: {code}: {place}: {message}\n"));
    }
    if let Some(more) = summary.findings.len().checked_sub(MAX_FINDINGS).filter(|more| *more > 0) {
        text.push_str(&format!("  {more} more findings: the round's page and --json have them\n"));
    }
    text
}
