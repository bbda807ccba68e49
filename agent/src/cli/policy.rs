//! `ranproof policy`

use std::path::{Path, PathBuf};

use anchor::Action;
use anchor::transaction::SubjectKind;
use anyhow::{Result, bail};
use clap::Subcommand;
use policies::PolicySet;
use serde_json::json;

use super::approve::{self, ApproveArgs, SignOptions};
use super::output::{Exit, answer, done, print_json, talk};
use crate::client::Client;
use crate::keys;
use crate::statements::{self, PolicyBody, PolicyFile};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Load a folder of rules and report every fault with file, line and hint
    Check { dir: PathBuf },
    /// Run the rules' test cases (`tests/` below the folder)
    Test { dir: PathBuf },
    /// Register a version of the set; all parties of the agreement must then approve it
    Register {
        dir: PathBuf,
        /// Id of the set.
        #[arg(long)]
        id: String,
        #[arg(long = "set-version")]
        version: u32,
        /// The agreement it belongs to.
        #[arg(long)]
        agreement: String,
        #[command(flatten)]
        sign: SignOptions,
    },
    /// Approve (or reject) the newest registered version
    Approve(ApproveArgs),
}

pub fn run(command: &PolicyCommand, json: bool) -> Result<Exit> {
    match command {
        PolicyCommand::Check { dir } => check(dir, json),
        PolicyCommand::Test { dir } => test(dir, json),
        PolicyCommand::Register { dir, id, version, agreement, sign } => {
            let pairs = statements::policy_files(dir)?;
            if let Err(faults) = PolicySet::load(&pairs) {
                faults.iter().for_each(|fault| talk(&fault.to_string()));
                bail!(
                    "{} has {} faults and nothing was registered; hint: each line above names its place",
                    dir.display(),
                    faults.len()
                );
            }
            let files = pairs.into_iter().map(|(name, text)| PolicyFile { name, text }).collect();
            let body =
                PolicyBody { format: PolicyBody::FORMAT.into(), id: id.clone(), version: *version, files };
            let (statement, bytes) = statements::policy_set(&body, agreement)?;
            let client = Client::new(&sign.agent)?;
            client.put_body(&bytes)?;
            let result = client.submit(&keys::load(&sign.key)?, Action::RegisterPolicySet(statement))?;
            done(json, &result, &format!("Registered {id} v{version} in block {}", result.height))?;
            Ok(Exit::Clean)
        }
        PolicyCommand::Approve(args) => {
            let (_, result) = approve::decide(args, SubjectKind::PolicySet)?;
            done(json, &result, &approve::describe(args, &result))?;
            Ok(Exit::Clean)
        }
    }
}

fn check(dir: &Path, json: bool) -> Result<Exit> {
    match PolicySet::load(&statements::policy_files(dir)?) {
        Ok(set) if set.rules().is_empty() => bail!("{} holds no rule; hint: *.yaml files", dir.display()),
        Ok(set) => {
            let rules = set.rules().len();
            answer(json, &json!({ "rules": rules, "faults": [] }), &format!("{rules} rules, no faults"))?;
            Ok(Exit::Clean)
        }
        Err(faults) => {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            if json {
                print_json(&json!({ "faults": lines }))?;
            }
            lines.iter().for_each(|line| talk(line));
            bail!("{} has {} faults; hint: each line above names its place", dir.display(), faults.len());
        }
    }
}

fn test(dir: &Path, json: bool) -> Result<Exit> {
    let set = match PolicySet::load(&statements::policy_files(dir)?) {
        Ok(set) => set,
        Err(faults) => {
            faults.iter().for_each(|fault| talk(&fault.to_string()));
            bail!(
                "{} has {} faults and no case was run; hint: each line above names its place",
                dir.display(),
                faults.len()
            );
        }
    };
    let report = policies::run_tests(&set, &statements::policy_test_files(dir)?);
    report.failed.iter().for_each(|failure| talk(&failure.to_string()));
    let (rules, cases, failed) = (report.rules, report.cases, report.failed.len());
    let value = json!({ "rules": rules, "cases": cases, "failed": failed });
    answer(json, &value, &format!("{rules} rules, {cases} cases, {failed} failed"))?;
    Ok(if report.failed.is_empty() { Exit::Clean } else { Exit::Found })
}
