//! How the federation stands, as this agent sees it: one account for the chain page, the API, `node status` and
//! metrics. Nothing in it is evidence; what is, is on the chain.

use anchor::certificate::Validator;
use anchor::key::Address;
use anchor::transaction::DisputeOutcome;
use anchor::{Hash, Member, MemberRole};
use chain::NodeStatus;
use contract::{Contract, DisputeRecord, EvidenceRecord};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock;
use crate::peer::{Fork, PeerStatus, Refused};

/// An idle chain makes a block every ten seconds; after three that did not come it counts as halted.
const HALTED_AFTER: i64 = 30_000;
/// Blocks by which a node may be behind while it only has not heard of the newest yet.
const MAY_LAG: u64 = 1;

/// The block in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    pub height: u64,
    pub time: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// The height being decided, and its round; above 0 a proposer was silent or wrong.
    pub deciding: u64,
    pub round: u32,
    /// Nothing waits, so that the height has not begun.
    pub idle: bool,
    /// Whether this node votes: `votes`, `abstains`, `asks`, `follows`.
    pub standing: Standing,
    /// Who made the newest block final.
    pub certificate: Option<Certificate>,
    /// Voting power of all validators, and of those that this agent or its node reaches, its own included.
    pub power: u64,
    pub reachable_power: u64,
    pub troubles: Vec<Trouble>,
    /// All members, those with most power first.
    pub nodes: Vec<NodeView>,
    /// Validators that contradicted themselves, newest first, since this node started.
    pub equivocations: Vec<EquivocationView>,
    /// Newest first.
    pub disputes: Vec<DisputeView>,
    /// Logs that told two stories, as the chain has it.
    pub evidence: Vec<EvidenceView>,
    /// Connections that the listener for other agents turned away since the start.
    pub refused: Refused,
    /// What this agent's node would not take since its start.
    pub node_refused: NodeRefused,
}

/// What peers sent that this agent's node would not take, counted since its start. A few of most kinds are daily business; many
/// of one kind mean a peer that is wrong or lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRefused {
    /// Transactions beyond what a peer may send in that time.
    pub flooded: u64,
    /// Transactions that the contract or the mempool refused.
    pub transactions: u64,
    /// Transactions that were here before.
    pub repeated: u64,
    /// Proposals that were not their proposer's, out of date, or too many.
    pub proposals: u64,
    /// Proposed blocks that this node voted against.
    pub blocks: u64,
    /// Blocks served for catching up that are not what their certificates say.
    pub synced: u64,
}

impl NodeRefused {
    pub fn any(&self) -> bool {
        *self != NodeRefused::default()
    }

    /// Each count with its name, as metrics and `node status` give it.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        let NodeRefused { flooded, transactions, repeated, proposals, blocks, synced } = *self;
        [
            ("flooded", flooded),
            ("transactions", transactions),
            ("repeated", repeated),
            ("proposals", proposals),
            ("blocks", blocks),
            ("synced", synced),
        ]
    }
}

impl From<chain::Refused> for NodeRefused {
    fn from(seen: chain::Refused) -> NodeRefused {
        let chain::Refused { flooded, transactions, repeated, proposals, blocks, synced } = seen;
        NodeRefused { flooded, transactions, repeated, proposals, blocks, synced }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Votes,
    /// It may have forgotten votes and waits until they are out of date.
    Abstains,
    /// It asks whether the chain has begun without it.
    Asks,
    /// No validator.
    Follows,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Votes => "votes",
            Standing::Abstains => "abstains",
            Standing::Asks => "asks",
            Standing::Follows => "follows",
        }
    }
}

/// The signatures under the newest block: the first above two thirds that arrived, so that one that is missing may be
/// well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub height: u64,
    pub round: u32,
    pub proposer: Option<String>,
    pub signers: Vec<String>,
    pub power: u64,
}

/// Why people should look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trouble", rename_all = "kebab-case")]
pub enum Trouble {
    /// No block for three heartbeats.
    Halted { last: Timestamp },
    /// Not more than two thirds of the power is reachable from here: no block can become final.
    NoQuorum { reachable: u64, power: u64 },
    /// Others are further: this node catches up.
    Behind { blocks: u64 },
    /// A member's agent has another final block than this node: the chain has two histories.
    Fork { member: String, height: u64, theirs: Hash, ours: Hash },
}

/// One member's agent and node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    pub member: String,
    pub name: String,
    /// `operator`, `tower`, `witness`.
    pub role: String,
    /// Whether it is this one.
    pub own: bool,
    /// Voting power; 0 for a member that does not validate.
    pub power: u64,
    /// Its consensus key.
    pub key: Option<String>,
    /// Whether its signature is under the newest block.
    pub voted: bool,
    /// Height and time (by this node's clock) of the newest vote heard of it.
    pub heard: Option<At>,
    /// As its agent says.
    pub height: Option<u64>,
    /// Blocks that it lacks of the newest known here.
    pub behind: Option<u64>,
    /// Its agent's clock minus ours.
    pub clock_difference_ms: Option<i64>,
    pub version: Option<String>,
    /// Whether its agent answers.
    pub reachable: bool,
    /// Whether its node is connected to ours.
    pub connected: bool,
    /// Why its agent does not answer, and when it did last.
    pub error: Option<String>,
    pub answered: Option<Timestamp>,
}

impl NodeView {
    pub fn is_validator(&self) -> bool {
        self.power > 0
    }

    /// Whether its votes can reach us.
    pub fn is_here(&self) -> bool {
        self.own || self.reachable || self.connected
    }

    pub fn lags(&self) -> bool {
        self.behind.is_some_and(|blocks| blocks > MAY_LAG)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquivocationView {
    pub height: u64,
    pub member: String,
    pub what: String,
}

/// A dispute on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeView {
    pub id: String,
    pub disputer: String,
    pub origin: String,
    pub round: u64,
    /// `opening`, `undisclosed`, `verdict`, `withheld`, `account`.
    pub kind: String,
    /// Commitment of the judgement that it rests on.
    pub judgement: String,
    /// `open`, `upheld`, `withdrawn`.
    pub state: String,
    pub opened: At,
    pub answered: Option<At>,
    /// SHA-256 of the answer's body (`ranproof/response/1`).
    pub answer: Option<Hash>,
    pub ended: Option<At>,
}

impl DisputeView {
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

/// Two checkpoints of one size and different roots, both signed by the log's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    pub origin: String,
    pub size: u64,
    pub by: String,
    pub at: At,
    pub first: String,
    pub second: String,
}

/// What an account is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    pub own: &'a str,
    pub node: &'a NodeStatus,
    pub members: &'a [Member],
    pub validators: &'a [Validator],
    pub peers: &'a [PeerStatus],
    pub now: Timestamp,
}

/// The whole account of a running agent.
pub fn look(app: &App) -> Federation {
    let status = app.ledger.node().status();
    let peers = app.peers.statuses();
    let contract = app.ledger.contract().read();
    let (members, validators) = (contract.members(), contract.validators().0);
    let facts = Facts {
        own: app.origin(),
        node: &status,
        members: &members,
        validators: &validators,
        peers: &peers,
        now: clock::now(),
    };
    let refused = app.peers.refused();
    Federation { disputes: disputes(&contract), evidence: evidence(&contract), refused, ..account(&facts) }
}

/// Everything but what the contract holds.
pub fn account(facts: &Facts<'_>) -> Federation {
    let status = facts.node;
    let nodes = nodes(facts);
    let power = facts.validators.iter().map(|v| v.power).sum();
    let reachable_power = nodes.iter().filter(|node| node.is_here()).map(|node| node.power).sum();
    let equivocations = status.equivocations.iter().rev().map(|seen| EquivocationView {
        height: seen.height,
        member: member_at(facts, &seen.address),
        what: seen.what.clone(),
    });
    Federation {
        deciding: status.height,
        round: status.round,
        idle: status.idle,
        standing: standing(status),
        certificate: certificate(facts),
        power,
        reachable_power,
        troubles: troubles(facts, reachable_power, power),
        nodes,
        equivocations: equivocations.collect(),
        disputes: vec![],
        evidence: vec![],
        refused: Refused::default(),
        node_refused: status.refused.into(),
    }
}

fn standing(status: &NodeStatus) -> Standing {
    match (status.votes, status.abstains, status.asks) {
        (true, ..) => Standing::Votes,
        (_, true, _) => Standing::Abstains,
        (.., true) => Standing::Asks,
        _ => Standing::Follows,
    }
}

fn member_at(facts: &Facts<'_>, address: &Address) -> String {
    let found = facts.validators.iter().find(|v| v.key.address() == *address);
    found.map_or_else(|| format!("{address}"), |v| v.member.clone())
}

fn certificate(facts: &Facts<'_>) -> Option<Certificate> {
    let last = facts.node.last.as_ref()?;
    let power_of = |address: &Address| {
        facts.validators.iter().filter(|v| v.key.address() == *address).map(|v| v.power).sum::<u64>()
    };
    Some(Certificate {
        height: last.height,
        round: last.round,
        proposer: last.proposer.as_ref().map(|address| member_at(facts, address)),
        signers: last.signers.iter().map(|address| member_at(facts, address)).collect(),
        power: last.signers.iter().map(power_of).sum(),
    })
}

fn newest(facts: &Facts<'_>) -> u64 {
    facts.peers.iter().filter(|p| p.reachable).filter_map(|p| p.height).fold(facts.node.tip.height, u64::max)
}

fn troubles(facts: &Facts<'_>, reachable: u64, power: u64) -> Vec<Trouble> {
    let last = Timestamp::from_unsigned(facts.node.tip.time);
    let mut troubles = Vec::new();
    if facts.now.since(last) > HALTED_AFTER {
        troubles.push(Trouble::Halted { last });
    }
    // Tendermint needs strictly more than two thirds.
    if u128::from(reachable) * 3 <= u128::from(power) * 2 {
        troubles.push(Trouble::NoQuorum { reachable, power });
    }
    let blocks = newest(facts).saturating_sub(facts.node.tip.height);
    if blocks > MAY_LAG {
        troubles.push(Trouble::Behind { blocks });
    }
    for peer in facts.peers {
        if let Some(Fork { height, theirs, ours }) = peer.fork {
            troubles.push(Trouble::Fork { member: peer.member.clone(), height, theirs, ours });
        }
    }
    troubles
}

fn nodes(facts: &Facts<'_>) -> Vec<NodeView> {
    let mut nodes: Vec<NodeView> = facts.members.iter().map(|member| node(facts, member)).collect();
    nodes.sort_by(|a, b| b.power.cmp(&a.power).then_with(|| a.member.cmp(&b.member)));
    nodes
}

fn node(facts: &Facts<'_>, member: &Member) -> NodeView {
    let status = facts.node;
    let own = member.id == facts.own;
    let validator = facts.validators.iter().find(|v| v.member == member.id);
    let address = validator.map(|v| v.key.address());
    let peer = facts.peers.iter().find(|peer| peer.member == member.id);
    let heard = status.heard.iter().find(|vote| Some(vote.address) == address);
    let height = if own { Some(status.tip.height) } else { peer.and_then(|peer| peer.height) };
    let signed = |address| status.last.as_ref().is_some_and(|last| last.signers.contains(&address));
    NodeView {
        member: member.id.clone(),
        name: member.name.clone(),
        role: role(member.role).to_owned(),
        own,
        power: validator.map_or(0, |v| v.power),
        key: validator.map(|v| v.key.to_string()),
        voted: address.is_some_and(signed),
        heard: heard.map(|vote| At { height: vote.height, time: Timestamp::from_unsigned(vote.at) }),
        height,
        behind: height.map(|height| newest(facts).saturating_sub(height)),
        clock_difference_ms: peer.and_then(|peer| peer.clock_difference_ms),
        version: if own {
            Some(env!("CARGO_PKG_VERSION").to_owned())
        } else {
            peer.and_then(|peer| peer.version.clone())
        },
        reachable: own || peer.is_some_and(|peer| peer.reachable),
        connected: address.is_some() && status.connected.iter().any(|peer| peer.validator == address),
        error: peer.and_then(|peer| peer.error.clone()),
        answered: peer.and_then(|peer| peer.answered),
    }
}

/// A member's role as it is written everywhere.
pub fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Operator => "operator",
        MemberRole::Tower => "tower",
        MemberRole::Witness => "witness",
    }
}

fn disputes(contract: &Contract) -> Vec<DisputeView> {
    let mut disputes: Vec<_> =
        contract.disputes().into_iter().map(|(id, record)| dispute(id, record)).collect();
    disputes.sort_by(|a, b| b.opened.height.cmp(&a.opened.height).then_with(|| a.id.cmp(&b.id)));
    disputes
}

fn dispute(id: String, record: DisputeRecord) -> DisputeView {
    let state = match &record.resolution {
        None => "open",
        Some(resolution) => match resolution.outcome {
            DisputeOutcome::Upheld => "upheld",
            DisputeOutcome::Withdrawn => "withdrawn",
        },
    };
    DisputeView {
        id,
        disputer: record.disputer,
        origin: record.statement.origin,
        round: record.statement.round,
        kind: record.statement.kind.as_str().to_owned(),
        judgement: record.statement.judgement.to_string(),
        state: state.to_owned(),
        opened: at(record.at),
        answered: record.response.as_ref().map(|response| at(response.at)),
        answer: record.response.map(|response| response.body),
        ended: record.resolution.map(|resolution| at(resolution.at)),
    }
}

fn evidence(contract: &Contract) -> Vec<EvidenceView> {
    let view = |(origin, size, record): (String, u64, EvidenceRecord)| EvidenceView {
        origin,
        size,
        by: record.by,
        at: at(record.at),
        first: record.statement.first,
        second: record.statement.second,
    };
    contract.evidence().into_iter().map(view).collect()
}

fn at(moment: contract::Moment) -> At {
    At { height: moment.height, time: Timestamp::from_unsigned(moment.time) }
}

#[cfg(test)]
pub(crate) mod tests;
