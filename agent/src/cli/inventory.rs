//! `ranproof inventory`

use std::path::{Path, PathBuf};

use anchor::Action;
use anchor::transaction::SubjectKind;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use model::Inventory;
use serde_json::json;

use super::approve::{self, ApproveArgs, SignOptions};
use super::output::{Exit, answer, done};
use crate::client::Client;
use crate::config::read_yaml;
use crate::{keys, statements};

#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// Check an inventory's file
    Check { file: PathBuf },
    /// Register a version; all parties of the agreement must then approve it
    Register {
        file: PathBuf,
        #[command(flatten)]
        sign: SignOptions,
    },
    /// Approve (or reject) the newest registered version of `agreement/operator`
    Approve(ApproveArgs),
}

fn load(file: &Path) -> Result<Inventory> {
    let inventory: Inventory = read_yaml(file)?;
    inventory.check().with_context(|| file.display().to_string())?;
    Ok(inventory)
}

pub fn run(command: &InventoryCommand, json: bool) -> Result<Exit> {
    match command {
        InventoryCommand::Check { file } => {
            let inventory = load(file)?;
            let Inventory { agreement, origin, version, stations, .. } = &inventory;
            let count = stations.len();
            let value =
                json!({ "agreement": agreement, "origin": origin, "version": version, "stations": count });
            answer(json, &value, &format!("{count} stations of {origin}"))?;
        }
        InventoryCommand::Register { file, sign } => {
            let inventory = load(file)?;
            let client = Client::new(&sign.agent)?;
            let agreement = approve::agreement_of(&client, &inventory.agreement)?;
            let (statement, body) = statements::inventory(&inventory, &agreement)?;
            client.put_body(&body)?;
            let count = statement.count;
            let result = client.submit(&keys::load(&sign.key)?, Action::RegisterInventory(statement))?;
            let words = format!("Registered an inventory of {count} stations in block {}", result.height);
            done(json, &result, &words)?;
        }
        InventoryCommand::Approve(args) => {
            let (_, result) = approve::decide(args, SubjectKind::Inventory)?;
            done(json, &result, &approve::describe(args, &result))?;
        }
    }
    Ok(Exit::Clean)
}
