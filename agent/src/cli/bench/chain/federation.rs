//! Four validators as processes of their own, on loopback, with a connection to each.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anchor::certificate::Validator;
use anchor::{Genesis, Hash, Member, MemberRole, SigningKey};
use anyhow::{Context as _, Result, bail};

use super::link::{Link, Signer};
use crate::cli::bench::folder::Folder;
use crate::demo::children::Running;
use crate::keys;

/// Members with their voting power: as a federation of three operators and a witness has it.
pub const MEMBERS: [(&str, MemberRole, u64); 4] = [
    ("telecom", MemberRole::Operator, 3),
    ("unicom", MemberRole::Operator, 3),
    ("tower", MemberRole::Tower, 3),
    ("witness", MemberRole::Witness, 1),
];

/// Longest wait for a validator to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// One member's seat: what its validator is started with.
struct Seat {
    name: &'static str,
    folder: PathBuf,
    arguments: Vec<String>,
    /// Ends before the folder goes.
    process: Option<Running>,
    link: Option<Arc<Link>>,
}

/// The running validators.
pub struct Federation {
    seats: Vec<Seat>,
    pub signers: Vec<Arc<Signer>>,
    // Last, so that it goes after the processes that use it.
    _folder: Folder,
}

/// A key that is as good as any on a chain that lives for a minute.
fn key(member: &str, duty: &str) -> SigningKey {
    SigningKey::from_seed(&Hash::of(format!("bench {member} {duty}").as_bytes()).0)
}

fn genesis() -> Genesis {
    let members = MEMBERS.iter().map(|(id, role, _)| Member {
        id: (*id).into(),
        name: (*id).into(),
        role: *role,
        log_key: key(id, "log").public(),
        approval_key: key(id, "approval").public(),
        cosigner_key: key(id, "cosigner").public(),
        tls: Hash::of(id.as_bytes()),
    });
    let validators = MEMBERS.iter().map(|(id, _, power)| Validator {
        key: key(id, "consensus").public(),
        power: *power,
        member: (*id).into(),
    });
    Genesis {
        format: Genesis::FORMAT.into(),
        chain_id: super::CHAIN_ID.into(),
        time: crate::clock::now().to_unsigned(),
        rules_version: contract::RULES_VERSION,
        members: members.collect(),
        validators: validators.collect(),
    }
}

impl Federation {
    /// Founds the chain and starts all four.
    pub async fn start() -> Result<Federation> {
        let folder = Folder::create()?;
        let genesis_file = folder.path().join("genesis.json");
        std::fs::write(&genesis_file, serde_json::to_string(&genesis())?).context("cannot write genesis")?;
        let seats = seats(&folder, &genesis_file.to_string_lossy())?;
        let mut federation = Federation { seats, signers: Vec::new(), _folder: folder };
        for seat in 0..MEMBERS.len() {
            federation.launch(seat)?;
        }
        for seat in 0..MEMBERS.len() {
            federation.connect(seat).await?;
        }
        for (seat, (member, role, _)) in MEMBERS.iter().enumerate() {
            if *role != MemberRole::Witness {
                let link = federation.link(seat)?;
                federation.signers.push(Arc::new(Signer::new(member, key(member, "approval"), link)));
            }
        }
        Ok(federation)
    }

    pub fn link(&self, seat: usize) -> Result<Arc<Link>> {
        let seat = &self.seats[seat];
        seat.link.clone().with_context(|| format!("{} does not run", seat.name))
    }

    /// The processes that run, by member.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let running = self.seats.iter().filter_map(|seat| Some((seat.name, seat.process.as_ref()?.id())));
        running.collect()
    }

    /// Ends a member's validator. Its key sends through another's from now on.
    pub async fn stop(&mut self, seat: usize) -> Result<()> {
        self.seats[seat].link = None;
        if let Some(mut process) = self.seats[seat].process.take() {
            process.stop()?;
        }
        let other = (0..self.seats.len()).find_map(|n| self.seats[n].link.clone());
        let other = other.context("nobody runs any more")?;
        if let Some(signer) = self.signers.iter().find(|s| s.member == MEMBERS[seat].0) {
            signer.send_through(other).await;
        }
        Ok(())
    }

    /// Starts it again and returns once it answers.
    pub async fn restart(&mut self, seat: usize) -> Result<Arc<Link>> {
        self.launch(seat)?;
        self.connect(seat).await?;
        let link = self.link(seat)?;
        if let Some(signer) = self.signers.iter().find(|s| s.member == MEMBERS[seat].0) {
            signer.send_through(link.clone()).await;
        }
        Ok(link)
    }

    fn launch(&mut self, seat: usize) -> Result<()> {
        let seat = &mut self.seats[seat];
        let address = seat.folder.join("address");
        if address.exists() {
            std::fs::remove_file(&address).context("cannot remove the old address")?;
        }
        let arguments: Vec<&str> = seat.arguments.iter().map(String::as_str).collect();
        seat.process = Some(Running::start(seat.name, &arguments, &seat.folder.join("log"))?);
        Ok(())
    }

    async fn connect(&mut self, seat: usize) -> Result<()> {
        let seat = &mut self.seats[seat];
        let file = seat.folder.join("address");
        let begun = Instant::now();
        let address: SocketAddr = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.parse().context("the validator tells no address")?;
            }
            seat.process.as_mut().context("it was not launched")?.check_alive()?;
            if begun.elapsed() > PATIENCE {
                bail!("{} does not start within {PATIENCE:?}", seat.name);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        seat.link = Some(Arc::new(Link::connect(address).await?));
        Ok(())
    }
}

fn seats(folder: &Folder, genesis: &str) -> Result<Vec<Seat>> {
    // All bound at once, so that they differ; free again before the validators start.
    let held = MEMBERS.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut places = Vec::new();
    for ((name, ..), listener) in MEMBERS.iter().zip(held) {
        let address = listener.context("no free port")?.local_addr().context("no free port")?;
        let folder = folder.path().join(name);
        keys::write_private(
            &folder.join("consensus.key"),
            format!("{}\n", hex::encode(Hash::of(format!("bench {name} consensus").as_bytes()).0)).as_bytes(),
        )?;
        let id = chain::peer_id(&folder.join("node"))?;
        let peer = format!("/ip4/{}/tcp/{}/p2p/{id}", address.ip(), address.port());
        places.push((*name, folder, address, peer));
    }
    let seat = |(name, folder, address, _): &(&'static str, PathBuf, SocketAddr, String)| {
        let mut arguments: Vec<String> = ["bench", "validator", "--genesis", genesis].map(Into::into).into();
        arguments.extend(["--folder".into(), folder.to_string_lossy().into_owned()]);
        arguments.extend(["--listen".into(), address.to_string()]);
        for (_, _, _, peer) in places.iter().filter(|(other, ..)| other != name) {
            arguments.extend(["--peer".into(), peer.clone()]);
        }
        Seat { name, folder: folder.clone(), arguments, process: None, link: None }
    };
    Ok(places.iter().map(seat).collect())
}
