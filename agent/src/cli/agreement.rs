//! `ranproof agreement`

use std::path::{Path, PathBuf};

use anchor::Action;
use anchor::transaction::SubjectKind;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use model::Agreement;

use super::approve::{self, ApproveArgs, SignOptions};
use super::output::{Exit, answer, done, print, print_json};
use crate::client::{AgentOptions, Client};
use crate::config::read_yaml;
use crate::{keys, statements};

#[derive(Debug, Subcommand)]
pub enum AgreementCommand {
    /// Check an agreement's file: parties, PLMNs, ranges, rights
    Check { file: PathBuf },
    /// Register a version; all parties must then approve it
    Register {
        file: PathBuf,
        #[command(flatten)]
        sign: SignOptions,
    },
    /// Approve (or reject) the newest registered version
    Approve(ApproveArgs),
    /// Show the newest registered version
    Show {
        id: String,
        #[command(flatten)]
        agent: AgentOptions,
    },
}

pub fn run(command: &AgreementCommand, json: bool) -> Result<Exit> {
    match command {
        AgreementCommand::Check { file } => {
            let (statement, _) = statements::agreement(&load(file)?)?;
            let words = format!("{} v{}: body {}", statement.id, statement.version, statement.body);
            answer(json, &statement, &words)?;
        }
        AgreementCommand::Register { file, sign } => {
            let agreement = load(file)?;
            let (statement, body) = statements::agreement(&agreement)?;
            let client = Client::new(&sign.agent)?;
            client.put_body(&body)?;
            let result = client.submit(&keys::load(&sign.key)?, Action::RegisterAgreement(statement))?;
            let words =
                format!("Registered {} v{} in block {}", agreement.id, agreement.version, result.height);
            done(json, &result, &words)?;
        }
        AgreementCommand::Approve(args) => {
            let (_, result) = approve::decide(args, SubjectKind::Agreement)?;
            done(json, &result, &approve::describe(args, &result))?;
        }
        AgreementCommand::Show { id, agent } => {
            let read = approve::read_subject(&Client::new(agent)?, SubjectKind::Agreement, id)?;
            if json {
                print_json(&read.info)?;
            } else {
                let agreement: Agreement = serde_json::from_slice(&read.body)?;
                print(&serde_json::to_string_pretty(&agreement)?)?;
            }
        }
    }
    Ok(Exit::Clean)
}

/// Reads an agreement that is right in itself.
pub fn load(file: &Path) -> Result<Agreement> {
    let agreement: Agreement = read_yaml(file)?;
    agreement.check().with_context(|| file.display().to_string())?;
    Ok(agreement)
}
