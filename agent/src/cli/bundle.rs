//! `ranproof bundle` and `ranproof verify`

use std::path::PathBuf;

use anchor::trust::Trust;
use anchor::verify::Outcome;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

use super::output::{Exit, answer, done};
use crate::client::{AgentOptions, Client, percent};

#[derive(Debug, Args)]
pub struct BundleArgs {
    /// A violation's id, a change's id, or `round-7`.
    pub id: String,
    #[arg(short, long)]
    pub output: PathBuf,
    #[command(flatten)]
    pub agent: AgentOptions,
}

pub fn fetch(args: &BundleArgs, json: bool) -> Result<Exit> {
    let bytes = Client::new(&args.agent)?.get_bytes(&format!("/api/v1/bundles/{}", percent(&args.id)))?;
    std::fs::write(&args.output, &bytes)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    let value = json!({ "id": args.id, "file": args.output, "bytes": bytes.len() });
    done(json, &value, &format!("Wrote {} ({} bytes)", args.output.display(), bytes.len()))?;
    Ok(Exit::Clean)
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    pub file: PathBuf,
    /// What you trust: your own file, never one that came with the bundle.
    #[arg(long)]
    pub trust: PathBuf,
}

pub fn verify(args: &VerifyArgs, json: bool) -> Result<Exit> {
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let trust = Trust::parse(&read(&args.trust)?).with_context(|| args.trust.display().to_string())?;
    let report = anchor::verify(&read(&args.file)?, &trust);
    if report.outcome == Outcome::Malformed && !json {
        // Of what is no bundle there is nothing to report but why.
        let step = report.decisive_step();
        let (name, why) = step.map_or(("format", "unreadable"), |s| (s.name, s.sentence.as_str()));
        let hint = if why.contains("hint:") { "" } else { "; hint: `ranproof bundle` writes bundles" };
        bail!("{}: refused at step {name}: {why}{hint}", args.file.display());
    }
    answer(json, &report, &report.to_string())?;
    Ok(match report.outcome.exit_code() {
        0 => Exit::Clean,
        1 => Exit::Found,
        3 => Exit::Incomplete,
        _ => Exit::CouldNot,
    })
}
