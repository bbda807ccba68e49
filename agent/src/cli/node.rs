//! `ranproof node`: keys, genesis, trust, status

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anchor::certificate::Validator;
use anchor::trust::{Requirements, Trust, TrustFile};
use anchor::{Genesis, Hash, Member, MemberRole, PublicKey};
use anyhow::{Context as _, Result};
use clap::Subcommand;
use model::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::output::{Exit, answer, done, talk};
use crate::api::types::ChainInfo;
use crate::client::{AgentOptions, Client};
use crate::config::{read_formatted, read_yaml};
use crate::keys;
use crate::peer::Identity;

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Draw what an agent holds (log, cosigner and consensus key, TLS certificate, salts) into `<data>/keys`
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
        /// Members whose cosignature every claim needs, separated by commas. A claim's own origin is never asked.
        #[arg(long, value_delimiter = ',', value_name = "MEMBERS")]
        require: Vec<String>,
        /// Members whose second judgement a violation needs.
        #[arg(long, value_delimiter = ',', value_name = "MEMBERS")]
        require_judgement: Vec<String>,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Where the chain stands: height, who voted, who lags, cosignatures, disputes
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
    cosigner_key: PublicKey,
    /// SHA-256 of the DER certificate of the member's agent.
    tls: Hash,
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
        NodeCommand::Key { file } => {
            let key = keys::create(file)?.public();
            answer(json, &json!({ "key": key, "file": file }), &keys::public_line(&key))?;
        }
        NodeCommand::Genesis { members, chain_id, output } => genesis(members, chain_id, output, json)?,
        NodeCommand::Trust { genesis, agreement, require, require_judgement, output } => {
            let trust = trust(genesis, agreement.as_deref(), require, require_judgement)?;
            write_trust(&trust, output, json)?;
        }
        NodeCommand::Status { agent } => {
            let info: ChainInfo = Client::new(agent)?.get("/api/v1/chain")?;
            answer(json, &info, &super::status::text(&info))?;
        }
    }
    Ok(Exit::Clean)
}

/// Everything but approval keys, which are people's. What is printed goes into the members file, and the peer id to
/// whoever lists this member's node.
fn init(data: &Path, json: bool) -> Result<()> {
    let folder = data.join("keys");
    let key = |name: &str| keys::create(&folder.join(format!("{name}.key")));
    let (log, cosigner, consensus) = (key("log")?, key("cosigner")?, key("consensus")?);
    keys::create_secret(&folder.join("salt.key"))?;
    let tls = Identity::create(&folder)?.fingerprint();
    let peer_id = chain::peer_id(&data.join("node"))?;
    let (log, cosigner, consensus) = (log.public(), cosigner.public(), consensus.public());
    let value = json!({
        "log_key": log,
        "cosigner_key": cosigner,
        "consensus_key": consensus,
        "tls": tls,
        "peer_id": peer_id,
    });
    let words = format!("log {log}\ncosigner {cosigner}\nconsensus {consensus}\ntls {tls}\npeer {peer_id}");
    answer(json, &value, &words)
}

/// What somebody who has this genesis and asks for these members' word would trust.
fn trust(
    genesis: &Path,
    agreement: Option<&Path>,
    cosigners: &[String],
    judges: &[String],
) -> Result<TrustFile> {
    let genesis = load_genesis(genesis)?;
    let mut trust = match agreement {
        Some(path) => crate::statements::trust(&genesis, &super::agreement::load(path)?)?,
        None => TrustFile::from_genesis(&genesis),
    };
    let distinct =
        |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let cosigners = distinct(cosigners);
    trust.require = Requirements {
        change: cosigners.clone(),
        violation: cosigners.clone(),
        round: cosigners,
        judgement: distinct(judges),
    };
    // Whoever is asked for must be a member.
    Trust::new(trust.clone())?;
    Ok(trust)
}

fn write_trust(trust: &TrustFile, output: &Path, json: bool) -> Result<()> {
    std::fs::write(output, trust.to_yaml()).with_context(|| format!("cannot write {}", output.display()))?;
    let Requirements { change, judgement, .. } = &trust.require;
    let asked = |ids: &[String]| if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") };
    let (cosigners, judges) = (asked(change), asked(judgement));
    let file = output.display();
    let wrote =
        format!("Wrote {file}; it asks for cosignatures of {cosigners} and second judgements of {judges}");
    if trust.agreements.is_empty() {
        talk("It names no agreement, so that verification stays incomplete; hint: `--agreement <file>`");
    }
    done(json, &json!({ "file": output, "genesis": trust.genesis }), &wrote)
}

/// Reads a genesis file.
pub fn load_genesis(path: &Path) -> Result<Genesis> {
    read_formatted(path)
}

fn genesis(members: &Path, chain_id: &str, output: &Path, json: bool) -> Result<()> {
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
                cosigner_key: m.cosigner_key,
                tls: m.tls,
            })
            .collect(),
        validators,
    };
    contract::Contract::from_genesis(&genesis)
        .with_context(|| format!("{}: the members do not make a usable genesis", members.display()))?;
    let text = serde_json::to_string_pretty(&genesis)?;
    std::fs::write(output, text + "\n").with_context(|| format!("cannot write {}", output.display()))?;
    let at = Timestamp::from_unsigned(genesis.time);
    let words = format!("Wrote {} at {at}; genesis hash {}", output.display(), genesis.hash());
    done(json, &json!({ "file": output, "genesis": genesis.hash(), "time": at }), &words)
}

#[cfg(test)]
mod tests {
    use anchor::SigningKey;

    use super::*;

    #[test]
    fn a_trust_file_asks_for_whom_it_was_told_to_ask_and_knows_them() {
        let folder = tempfile::tempdir().unwrap();
        let (genesis, output) = (folder.path().join("genesis.json"), folder.path().join("trust.yaml"));
        let key = |n: u8| SigningKey::from_seed(&[n; 32]).public();
        let member = |id: &str, n: u8| Member {
            id: id.into(),
            name: id.into(),
            role: MemberRole::Operator,
            log_key: key(n),
            approval_key: key(n + 1),
            cosigner_key: key(n + 2),
            tls: Hash::of(&[n]),
        };
        let file = Genesis {
            format: Genesis::FORMAT.into(),
            chain_id: "net".into(),
            time: 1,
            rules_version: 1,
            members: vec![member("telecom", 10), member("unicom", 20)],
            validators: vec![Validator { key: key(1), power: 3, member: "telecom".into() }],
        };
        std::fs::write(&genesis, serde_json::to_string(&file).unwrap()).unwrap();
        let ids = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let asked = trust(&genesis, None, &ids("unicom,telecom,unicom"), &ids("unicom")).unwrap();
        write_trust(&asked, &output, false).unwrap();
        let read = Trust::parse(&std::fs::read(&output).unwrap()).unwrap();
        assert_eq!(read.file().require.violation, ["telecom", "unicom"]);
        assert_eq!(read.file().require.judgement, ["unicom"]);
        assert_eq!(read.cosigners().len(), 2);
        assert!(trust(&genesis, None, &ids("mobile"), &[]).unwrap_err().to_string().contains("mobile"));
        assert!(trust(&genesis, None, &[], &ids("mobile")).unwrap_err().to_string().contains("mobile"));
    }
}
