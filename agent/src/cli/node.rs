//! `ranproof node`: keys, genesis, trust, status

use std::path::{Path, PathBuf};

use anchor::certificate::Validator;
use anchor::trust::TrustFile;
use anchor::{Genesis, Member, MemberRole, PublicKey};
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use model::Timestamp;
use serde::Deserialize;

use super::output::{Exit, print, print_json, talk};
use crate::api::types::ChainInfo;
use crate::client::{AgentOptions, Client};
use crate::config::read_yaml;
use crate::keys;

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Draw the keys that an agent holds (log, consensus, salts) into `<data>/keys`
    Init {
        #[arg(long)]
        data: PathBuf,
    },
    /// Draw an approval key for a person
    Key { file: PathBuf },
    /// Write a genesis file from the members' public keys
    Genesis {
        /// Members, their roles, keys and voting power (see `examples/members.yaml`).
        #[arg(long)]
        members: PathBuf,
        #[arg(long)]
        chain_id: String,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Write a trust file for verifiers from a genesis file
    Trust {
        #[arg(long)]
        genesis: PathBuf,
        /// The agreement you are a party of; without it every verification stays incomplete.
        #[arg(long)]
        agreement: Option<PathBuf>,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Where the chain stands
    Status {
        #[command(flatten)]
        agent: AgentOptions,
    },
}

/// `members.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MembersFile {
    members: Vec<MemberEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberEntry {
    id: String,
    name: String,
    role: MemberRole,
    log_key: PublicKey,
    approval_key: PublicKey,
    /// Absent for a member that runs no node.
    #[serde(default)]
    consensus_key: Option<PublicKey>,
    /// Voting power of its node; 0 or absent for none.
    #[serde(default)]
    power: u64,
}

pub fn run(command: &NodeCommand, json: bool) -> Result<Exit> {
    match command {
        NodeCommand::Init { data } => init(data, json)?,
        NodeCommand::Key { file } => print(&keys::public_line(&keys::create(file)?.public()))?,
        NodeCommand::Genesis { members, chain_id, output } => genesis(members, chain_id, output)?,
        NodeCommand::Trust { genesis, agreement, output } => {
            let genesis = load_genesis(genesis)?;
            let trust = match agreement {
                Some(path) => crate::statements::trust(&genesis, &super::agreement::load(path)?)?,
                None => TrustFile::from_genesis(&genesis),
            };
            let trust = trust.to_yaml();
            std::fs::write(output, trust).with_context(|| format!("cannot write {}", output.display()))?;
            talk(&format!("Wrote {}; add cosigners and requirements as you trust them", output.display()));
            if agreement.is_none() {
                talk(
                    "It names no agreement, so that verification stays incomplete; hint: `--agreement <file>`",
                );
            }
        }
        NodeCommand::Status { agent } => {
            let info: ChainInfo = Client::new(agent)?.get("/api/v1/chain")?;
            if json {
                print_json(&info)?;
            } else {
                let (chain, height, time) = (info.chain_id, info.height, info.time);
                print(&format!("{chain}: height {height} at {time}, {} validators", info.validators))?;
            }
        }
    }
    Ok(Exit::Clean)
}

fn init(data: &Path, json: bool) -> Result<()> {
    let key = |name: &str| keys::create(&data.join("keys").join(format!("{name}.key")));
    let (log, consensus) = (key("log")?, key("consensus")?);
    keys::create_secret(&data.join("keys/salt.key"))?;
    let public = serde_json::json!({ "log_key": log.public(), "consensus_key": consensus.public() });
    if json {
        print_json(&public)
    } else {
        print(&format!("log {}\nconsensus {}", log.public(), consensus.public()))
    }
}

/// Reads a genesis file.
pub fn load_genesis(path: &Path) -> Result<Genesis> {
    let genesis: Genesis = read_yaml(path)?;
    if genesis.format != Genesis::FORMAT {
        bail!(
            "{}: format is `{}`; hint: this version reads {}",
            path.display(),
            genesis.format,
            Genesis::FORMAT
        );
    }
    Ok(genesis)
}

fn genesis(members: &Path, chain_id: &str, output: &Path) -> Result<()> {
    let file: MembersFile = read_yaml(members)?;
    let validators = file.members.iter().filter(|m| m.power > 0).map(|m| {
        let key =
            m.consensus_key.with_context(|| format!("member {} has power but no consensus_key", m.id))?;
        Ok(Validator { key, power: m.power, member: m.id.clone() })
    });
    let validators = validators.collect::<Result<Vec<_>>>()?;
    let genesis = Genesis {
        format: Genesis::FORMAT.into(),
        chain_id: chain_id.to_owned(),
        time: crate::clock::now().to_unsigned(),
        rules_version: contract::RULES_VERSION,
        members: file
            .members
            .into_iter()
            .map(|m| Member {
                id: m.id,
                name: m.name,
                role: m.role,
                log_key: m.log_key,
                approval_key: m.approval_key,
            })
            .collect(),
        validators,
    };
    contract::Contract::from_genesis(&genesis)
        .with_context(|| format!("{}: the members do not make a usable genesis", members.display()))?;
    let text = serde_json::to_string_pretty(&genesis)?;
    std::fs::write(output, text + "\n").with_context(|| format!("cannot write {}", output.display()))?;
    let at = Timestamp::from_unsigned(genesis.time);
    talk(&format!("Wrote {} at {at}; genesis hash {}", output.display(), genesis.hash()));
    Ok(())
}
