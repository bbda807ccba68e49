//! What the API's answers hold; shared with the command line, which reads them.

use anchor::Hash;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::federation::Federation;
use crate::web::view::{FindingView, LogView};

/// `GET /api/v1/chain`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChainInfo {
    pub chain_id: String,
    pub genesis: Hash,
    pub height: u64,
    /// Chain time of the last block, RFC 3339.
    pub time: String,
    /// Member ids of the operators.
    pub operators: Vec<String>,
    pub validators: usize,
    pub rules_version: u32,
    /// Header hash of the last block.
    pub header: Hash,
    /// Why the node has stopped.
    pub stopped: Option<String>,
    /// Transactions that wait at this node.
    pub pending: usize,
    #[serde(flatten)]
    pub federation: Federation,
    pub logs: Vec<LogView>,
}

/// `GET /api/v1/keys/{public key}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyInfo {
    pub member: Option<String>,
    /// `log` or `approval`.
    pub duty: Option<String>,
    pub next_sequence: u64,
}

/// Body of `POST /api/v1/transactions`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmittedTransaction {
    /// The signed transaction's encoding, hexadecimal.
    pub transaction: String,
}

/// Answer of `POST /api/v1/transactions`: the transaction is final.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubmitResult {
    pub id: Hash,
    pub height: u64,
    pub index: u32,
    #[serde(default)]
    pub refused: Option<Refused>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refused {
    pub code: String,
    pub reason: String,
}

/// `GET /api/v1/subjects/{kind}/{id}`: the newest version of a registration or a change request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubjectInfo {
    pub kind: String,
    pub id: String,
    pub version: u32,
    /// The registering or proposing action, borsh, hexadecimal: its hash is what an approval signs.
    pub action: String,
    /// Where the body can be fetched: `/api/v1/bodies/{hash}`.
    #[serde(default)]
    pub body: Option<Hash>,
    /// Whose key signed it.
    pub proposer: String,
    /// `pending`, `final`, `rejected`, `withdrawn`.
    pub status: String,
    pub required: Vec<String>,
    pub approvals: Vec<ApprovalInfo>,
    pub proposed_height: u64,
    pub final_height: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalInfo {
    pub member: String,
    pub decision: String,
    pub height: u64,
}

/// Answer of `POST /api/v1/rounds`: one finished round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoundSummary {
    pub round: u64,
    /// Height of the opening; absent for an unopened round.
    pub opened: Option<u64>,
    pub expected: u64,
    pub collected: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Stations that were not read, with the reason.
    pub failures: Vec<FailedStation>,
    /// What was noticed of the configurations that were read, as on the round's page.
    #[serde(default)]
    pub findings: Vec<FindingView>,
    /// Stations that were read and have no approved baseline: authorisation is not claimed there.
    pub unbaselined: u64,
    /// Differences previous → current seen in this round.
    pub changes: ChangeCounts,
    pub violations_opened: u64,
    pub violations_resolved: u64,
    /// Size of the log anchored after it, absent while the chain is out of reach.
    pub anchored: Option<u64>,
    /// Bundle files written.
    pub bundles: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedStation {
    pub element: String,
    pub reason: String,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    pub observed: u64,
    pub authorised: u64,
    pub unauthorised: u64,
}

/// Answer of `POST /api/v1/changes/preview`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Preview {
    pub id: String,
    /// Who must approve, and for which edits.
    pub required: Vec<RequiredApproval>,
    /// One line per edit: whether the approved and the present value are the request's `old`.
    pub edits: Vec<PreviewEdit>,
    /// Rules that the planned configuration would violate and the present one does not.
    pub would_violate: Vec<Json>,
    /// Digest of each touched object after the change.
    pub expected: Vec<ExpectedObject>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequiredApproval {
    pub member: String,
    pub edits: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewEdit {
    pub object: String,
    pub attribute: String,
    /// `ready`, `approved-differs`, `current-differs`, `unknown-object`, `no-right`.
    pub status: String,
    pub note: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExpectedObject {
    pub object: String,
    pub digest: String,
}

/// `?origin=`: another operator's stations, as it disclosed them and as they were judged here.
#[derive(Debug, Default, Deserialize)]
pub struct OriginQuery {
    origin: Option<String>,
}

impl OriginQuery {
    /// Whose; `None` where the address names nobody: this operator's own.
    pub fn asked(self) -> Option<String> {
        self.origin.filter(|origin| !origin.is_empty())
    }
}
