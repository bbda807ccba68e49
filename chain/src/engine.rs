//! Starts and stops the consensus engine, and translates between its types and `anchor`'s.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anchor::ValidatorSet;
use arc_malachitebft_app::config::{ConsensusConfig, NodeConfig as EngineConfig, ValueSyncConfig};
use arc_malachitebft_app::consensus::MisbehaviorEvidence;
use arc_malachitebft_app::net::Multiaddr;
use arc_malachitebft_app::types::codec::Codec as _;
use arc_malachitebft_app::types::{Keypair, PeerId};
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkContext, NetworkIdentity, RequestContext,
    SyncContext, WalContext,
};
use arc_malachitebft_core_types::{
    CommitCertificate, CommitSignature, HeightParams, LinearTimeouts, NilOrVal, Round, VoteType,
};

use crate::codec::BorshCodec;
use crate::config::{MAX_TRANSACTION_BYTES, NodeConfig};
use crate::context::{Address, BlockId, Ctx, Height, KnownVote, Validators, Vote};
use crate::home::network_name;
use crate::signing::{Keyholder, Scheme};
use crate::status::Equivocation;
use crate::tap::Tap;

/// The engine's settings, in the shape that it wants.
#[derive(Debug, Clone)]
struct Settings {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl EngineConfig for Settings {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("`{text}` is no address of a peer: {reason}; hint: /ip4/192.0.2.1/tcp/26656/p2p/<peer id>")]
    BadPeer { text: String, reason: String },
    #[error("the consensus engine does not start: {reason}; hint: is the listen address free?")]
    Start { reason: String },
}

/// The identities in a node's list of peers.
pub(crate) fn peer_ids(config: &NodeConfig) -> impl Iterator<Item = Vec<u8>> + '_ {
    let id = |text: &String| text.rsplit_once("/p2p/")?.1.parse::<PeerId>().ok().map(|id| id.to_bytes());
    config.peers.iter().filter_map(id)
}

fn settings(config: &NodeConfig) -> Result<Settings, EngineError> {
    let mut consensus = ConsensusConfig::default();
    consensus.p2p.listen_addr = listen_address(config.listen);
    consensus.p2p.persistent_peers = config
        .peers
        .iter()
        .map(|text| {
            let bad = |reason: String| EngineError::BadPeer { text: text.clone(), reason };
            let address: Multiaddr = text.parse().map_err(|e| bad(format!("{e}")))?;
            let named = address.iter().any(|part| part.tag() == "p2p");
            if named { Ok(address) } else { Err(bad("its peer id is missing".into())) }
        })
        .collect::<Result<_, _>>()?;
    consensus.p2p.persistent_peers_only = true;
    // Several operators' nodes may share an address: behind one NAT, or on one machine in a test.
    consensus.p2p.discovery.max_connections_per_ip = 100;
    // A batch of transactions or a part of a block is the largest message that anybody has a reason to send.
    let mut largest = consensus.p2p.pubsub_max_size;
    largest.0 = 2 * MAX_TRANSACTION_BYTES as u64;
    consensus.p2p.pubsub_max_size_per_topic.proposal_parts = Some(largest);
    // Nodes of another chain do not even complete the handshake.
    let network = network_name(&config.genesis.hash());
    let names = &mut consensus.p2p.protocol_names;
    for name in [
        &mut names.consensus,
        &mut names.discovery_kad,
        &mut names.discovery_regres,
        &mut names.sync,
        &mut names.validator_proof,
    ] {
        *name = format!("{network}{name}");
    }
    let sync = ValueSyncConfig { status_update_interval: Duration::from_secs(2), ..Default::default() };
    Ok(Settings { moniker: config.moniker.clone(), consensus, sync })
}

fn listen_address(socket: SocketAddr) -> Multiaddr {
    let family = if socket.is_ipv4() { "ip4" } else { "ip6" };
    let text = format!("/{family}/{}/tcp/{}", socket.ip(), socket.port());
    text.parse().expect("every socket address has this form")
}

/// The engine makes a node vote if its address is a validator's, signer or not. No key has this one.
const NOBODY: Address = Address(anchor::key::Address([0; 20]));

/// Starts the engine on the present runtime. Without a keyholder it follows the chain and never votes.
pub(crate) async fn start(
    config: &NodeConfig,
    p2p_key: Keypair,
    wal: &Path,
    scheme: &Scheme,
    keyholder: Option<&Keyholder>,
    tap: Tap,
) -> Result<(Channels<Ctx>, EngineHandle), EngineError> {
    let failed = |e: &dyn std::fmt::Display| EngineError::Start { reason: e.to_string() };
    let settings = settings(config)?;
    let address = Address(config.consensus_key.public().address());
    let verifier = Box::new(scheme.clone());
    let moniker = config.moniker.clone();
    let (identity, consensus) = match keyholder {
        Some(keyholder) => {
            let proof = keyholder.validator_proof(p2p_key.public().to_peer_id().to_bytes());
            let proof = BorshCodec::default().encode(&proof).map_err(|e| failed(&e))?;
            let identity = NetworkIdentity::new_validator(moniker, p2p_key, address.to_string(), proof);
            (identity, ConsensusContext::new_validator(address, verifier, Box::new(keyholder.clone())))
        }
        None => {
            let identity = NetworkIdentity::new(moniker, p2p_key, None);
            (identity, ConsensusContext::new_full_node(NOBODY, verifier))
        }
    };
    EngineBuilder::new(Ctx, settings)
        .with_default_wal(WalContext::new(wal.to_owned(), BorshCodec::default()))
        .with_default_network(NetworkContext::new(identity, BorshCodec { tap: Some(tap) }))
        .with_default_consensus(consensus)
        .with_default_sync(SyncContext::new(BorshCodec::default()))
        .with_default_request(RequestContext::new(8))
        .build()
        .await
        .map_err(|e| failed(&format!("{e:#}")))
}

/// Stops the engine's actors and waits for them.
pub(crate) async fn stop(handle: EngineHandle) {
    let patience = Duration::from_secs(3);
    handle.actor.stop_children_and_wait(Some("the node stops".into()), Some(patience)).await;
    // It may have stopped already, since its children did.
    handle.actor.stop(Some("the node stops".into()));
    if tokio::time::timeout(patience, handle.handle).await.is_err() {
        tracing::warn!("The consensus engine did not stop in time, its tasks are cancelled");
    }
}

/// The votes that a certificate is made of.
pub(crate) fn precommits(certificate: &anchor::CommitCertificate) -> impl Iterator<Item = KnownVote> + '_ {
    certificate.signatures.iter().map(|s| KnownVote {
        vote: Vote {
            kind: VoteType::Precommit,
            height: Height(certificate.height),
            round: Round::from(certificate.round),
            value: NilOrVal::Val(BlockId(certificate.header)),
            address: Address(s.address),
        },
        signature: s.signature,
    })
}

/// What the engine has found of validators that signed two things where one may be signed.
pub(crate) fn equivocations(height: Height, evidence: &MisbehaviorEvidence<Ctx>) -> Vec<Equivocation> {
    let found = |address: &Address, what| Equivocation { height: height.0, address: address.0, what };
    let votes = evidence.votes.iter().flat_map(|(address, pairs)| {
        pairs.iter().map(move |(vote, _)| {
            let kind = match vote.message.kind {
                VoteType::Prevote => "prevotes",
                VoteType::Precommit => "precommits",
            };
            found(address, format!("two {kind} in round {}", vote.message.round))
        })
    });
    let proposals = evidence.proposals.iter().flat_map(|(address, pairs)| {
        let text = |round| format!("two proposals in round {round}");
        pairs.iter().map(move |(proposal, _)| found(address, text(proposal.message.round)))
    });
    votes.chain(proposals).collect()
}

/// What the engine must know to start a height.
pub(crate) fn height_params(validators: &ValidatorSet, propose: Duration) -> HeightParams<Ctx> {
    let timeouts = LinearTimeouts {
        propose,
        prevote: propose / 2,
        precommit: propose / 2,
        rebroadcast: propose * 5 / 2,
        ..Default::default()
    };
    HeightParams::new(Validators::from(validators), timeouts, None)
}

/// The certificate in our own encoding, which is the one that is stored and shown.
pub(crate) fn our_certificate(theirs: &CommitCertificate<Ctx>) -> anchor::CommitCertificate {
    let signatures = theirs.commit_signatures.iter();
    let signatures = signatures
        .map(|s| anchor::certificate::CommitSignature { address: s.address.0, signature: s.signature });
    anchor::CommitCertificate {
        height: theirs.height.0,
        round: theirs.round.as_i64(),
        header: theirs.value_id.0,
        signatures: signatures.collect(),
    }
}

/// The engine's certificate, for peers that sync.
pub(crate) fn engine_certificate(ours: &anchor::CommitCertificate) -> CommitCertificate<Ctx> {
    let signatures = ours.signatures.iter();
    let signatures = signatures.map(|s| CommitSignature::new(Address(s.address), s.signature));
    CommitCertificate {
        height: Height(ours.height),
        round: Round::from(ours.round),
        value_id: BlockId(ours.header),
        commit_signatures: signatures.collect(),
    }
}
