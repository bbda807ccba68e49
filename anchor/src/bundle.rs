//! The bundle: everything a peer needs beside its own trust file to check one claim offline.
//!
//! A bundle is canonical JSON of at most [`MAX_BUNDLE_BYTES`]. It has no field that nothing authenticates: what can
//! be derived is not stored, lists have one order, and every hash and signature in it is checked, so that any
//! changed byte is caught.
//!
//! To make one: a [`TransactionEvidence::from_block`] for each transaction of the table of [`Role`]s, a
//! [`BlockEvidence`] for each block used, [`Observation`]s of the two rounds between which something changed, and
//! [`Bundle::assemble`] puts them in order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::certificate::CommitCertificate;
use crate::commitment::Salt;
use crate::hash::Hash;
use crate::header::{Block, Header, Receipt};
use crate::json::{self, JsonError};
use crate::map::MapProof;
use crate::proof::TlogProof;
use crate::record::{Attestation, Envelope, JudgementRecord, Record, format_line};
use crate::tree::{SidedNode, Tree, sided_path};

/// Longest bundle that is read or written, in bytes.
pub const MAX_BUNDLE_BYTES: usize = 16 * 1024 * 1024;

format_line!(
    /// Version line of a bundle.
    BundleFormat,
    "ranproof/bundle/2"
);

/// Evidence for one claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub format: BundleFormat,
    pub subject: Subject,
    /// The disclosed record; null for a round, whose leaf says all.
    pub record: Option<Record>,
    /// The leaf of the log: the record's envelope, or the round's attestation.
    pub leaf: Envelope,
    /// C2SP `tlog-proof` of the leaf, with checkpoint and cosignatures.
    pub proof: String,
    /// The disclosed body of the change request, if one is claimed; its hash stands in the proposal.
    pub request: Option<Value>,
    /// What a round that was opened earlier attested of the old values.
    pub before: Option<Observation>,
    /// What the round that first saw the new values attested of them.
    pub after: Option<Observation>,
    /// What other members' agents judged of the same: of the violation, or of the round. Sorted by judge, each once.
    pub judgements: Vec<JudgementEvidence>,
    pub chain: ChainEvidence,
}

/// A second judgement, disclosed, and that it stands in its judge's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementEvidence {
    pub record: JudgementRecord,
    /// C2SP `tlog-proof` of the record's leaf in the log of `record.judge`, with checkpoint and cosignatures.
    pub proof: String,
}

/// What a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub kind: SubjectKind,
    /// Id of the change or violation record, or the round's number in decimal.
    pub id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    Change,
    Violation,
    Round,
}

impl SubjectKind {
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Change => "change",
            SubjectKind::Violation => "violation",
            SubjectKind::Round => "round",
        }
    }
}

/// A round's attestation, that it stands in the log, and what it says of the attributes concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    pub attestation: Attestation,
    /// Its leaf's index in the tree of the bundle's checkpoint, and the path from there ([`Tree::inclusion`]).
    pub index: u64,
    pub path: Vec<Hash>,
    /// That the record is among the changes or violations of this round (`changes_root`, `violations_root`).
    /// Only in `after`.
    pub listed: Option<MapProof>,
    /// One for each edit of a change, or the one attribute of a violation; sorted by DN and attribute.
    pub values: Vec<AttestedValue>,
}

/// What an attestation says of one attribute: a value, opened, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedValue {
    pub dn: String,
    pub attribute: String,
    /// [`crate::commitment::MapSecret::attribute_key`].
    pub key: Hash,
    /// Path in `attributes_root`.
    pub proof: MapProof,
    /// Null where the attestation has no value under the key.
    pub opening: Option<OpenedValue>,
}

/// The rest of an [`crate::commitment::Opening`], whose DN and attribute stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedValue {
    /// Canonical JSON text of the value.
    pub value: String,
    pub salt: Salt,
}

/// What the chain says, and why it is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainEvidence {
    /// One for each height used, sorted by height.
    pub blocks: Vec<BlockEvidence>,
    /// Sorted by role, height and bytes.
    pub transactions: Vec<TransactionEvidence>,
    /// Where the request of `propose` stands, as of a block not before the opening of `after`. A change that is
    /// claimed `exact` needs it; null without a request.
    pub standing: Option<StandingEvidence>,
}

/// An entry of the contract's state: a change request's [`crate::Standing`] under [`crate::standing::change_key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingEvidence {
    /// The block after which it stands so.
    pub height: u64,
    /// Encoded [`crate::Standing`].
    pub value: Base64Bytes,
    /// To the header's `state_root`.
    pub proof: MapProof,
}

/// A header and the certificate that makes it final, both in their own encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockEvidence {
    pub header: Base64Bytes,
    pub certificate: Base64Bytes,
}

/// What a transaction is in a bundle for.
///
/// | Role | Needed for | Action |
/// |---|---|---|
/// | `anchor` | all | `AnchorCheckpoint` with exactly the checkpoint of `proof` (without cosignatures) |
/// | `open`, `attest` | all | of the round itself, or of `after`; none of both if the round is unopened |
/// | `open-before`, `attest-before` | where `before` is | of the round of `before` |
/// | `propose` | a change that claims a request; a violation that considered one, if all its approvals are there | the request's proposal |
/// | `register-agreement`, `register-policy-set`, `register-inventory` | all | the versions pinned by `open` |
/// | `approve` | each of the last four | one for each required member |
/// | `anchor-judgement` | each of `judgements` | `AnchorCheckpoint` with exactly the checkpoint of its `proof` (without cosignatures) |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Anchor,
    Open,
    Attest,
    OpenBefore,
    AttestBefore,
    Propose,
    Approve,
    RegisterAgreement,
    RegisterPolicySet,
    RegisterInventory,
    AnchorJudgement,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Anchor => "anchor",
            Role::Open => "open",
            Role::Attest => "attest",
            Role::OpenBefore => "open-before",
            Role::AttestBefore => "attest-before",
            Role::Propose => "propose",
            Role::Approve => "approve",
            Role::RegisterAgreement => "register-agreement",
            Role::RegisterPolicySet => "register-policy-set",
            Role::RegisterInventory => "register-inventory",
            Role::AnchorJudgement => "anchor-judgement",
        }
    }
}

/// A signed transaction, its receipt, and that both stand in the block at `height`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionEvidence {
    pub role: Role,
    pub height: u64,
    /// Encoded [`crate::SignedTransaction`].
    pub transaction: Base64Bytes,
    /// To the header's `txs_root`.
    pub path: Vec<SidedNode>,
    /// Encoded [`Receipt`].
    pub receipt: Base64Bytes,
    /// To the header's `receipts_root`.
    pub receipt_path: Vec<SidedNode>,
}

/// Bytes, written as base64 (RFC 4648 §4) with padding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base64Bytes(pub Vec<u8>);

/// Why a bundle cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("bundle of {0} bytes is over the limit of {MAX_BUNDLE_BYTES}")]
    TooLarge(usize),
    #[error("not a bundle of this version: {0}")]
    Json(#[from] JsonError),
    #[error("the bundle's {0} are not in their order, each once")]
    Unordered(&'static str),
    #[error("block {height} has no transaction {index}, or not as many receipts as transactions")]
    NoTransaction { height: u64, index: usize },
}

/// What [`Bundle::assemble`] orders: blocks may repeat and lists come in any order.
#[derive(Debug, Clone)]
pub struct BundleParts {
    pub subject: Subject,
    pub record: Option<Record>,
    pub leaf: Envelope,
    /// [`TlogProof::new`] with the checkpoint that carries the cosignatures.
    pub proof: TlogProof,
    pub request: Option<Value>,
    pub before: Option<Observation>,
    pub after: Option<Observation>,
    pub judgements: Vec<JudgementEvidence>,
    pub blocks: Vec<BlockEvidence>,
    pub transactions: Vec<TransactionEvidence>,
    pub standing: Option<StandingEvidence>,
}

impl Bundle {
    /// Puts parts in the order of the format. Whether they prove anything is for [`crate::verify()`] to say; make
    /// that check before handing a bundle out.
    pub fn assemble(parts: BundleParts) -> Bundle {
        let mut blocks: Vec<_> = parts.blocks.into_iter().map(|b| (b.height(), b)).collect();
        blocks.sort_by_key(|(height, _)| *height);
        // One final header has one certificate here, whichever of its valid ones came first.
        blocks.dedup_by(|(_, a), (_, b)| a.header == b.header);
        let mut transactions = parts.transactions;
        transactions.sort_by(|a, b| a.order().cmp(&b.order()));
        transactions.dedup();
        let sorted = |observation: Option<Observation>| {
            observation.map(|mut o| {
                o.values.sort_by(|a, b| a.order().cmp(&b.order()));
                o
            })
        };
        let mut judgements = parts.judgements;
        judgements.sort_by(|a, b| a.record.judge.cmp(&b.record.judge));
        Bundle {
            format: BundleFormat,
            subject: parts.subject,
            record: parts.record,
            leaf: parts.leaf,
            proof: parts.proof.to_string(),
            request: parts.request,
            before: sorted(parts.before),
            after: sorted(parts.after),
            judgements,
            chain: ChainEvidence {
                blocks: blocks.into_iter().map(|(_, b)| b).collect(),
                transactions,
                standing: parts.standing,
            },
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let bytes = json::encode(self)?;
        if bytes.len() > MAX_BUNDLE_BYTES { Err(BundleError::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads a file: canonical form, known fields, lists in their order. Believes nothing.
    pub fn decode(bytes: &[u8]) -> Result<Bundle, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let bundle: Bundle = json::decode(bytes)?;
        let chain = &bundle.chain;
        if !chain.transactions.is_sorted_by(|a, b| a.order() < b.order()) {
            return Err(BundleError::Unordered("transactions"));
        }
        if !bundle.judgements.is_sorted_by(|a, b| a.record.judge < b.record.judge) {
            return Err(BundleError::Unordered("judgements"));
        }
        for observation in [&bundle.before, &bundle.after].into_iter().flatten() {
            if !observation.values.is_sorted_by(|a, b| a.order() < b.order()) {
                return Err(BundleError::Unordered("attested values"));
            }
        }
        Ok(bundle)
    }
}

impl BlockEvidence {
    pub fn new(header: &Header, certificate: &CommitCertificate) -> BlockEvidence {
        BlockEvidence { header: Base64Bytes(header.encode()), certificate: Base64Bytes(certificate.encode()) }
    }

    /// For sorting only; a header that cannot be read sorts first and is refused in verification.
    fn height(&self) -> u64 {
        Header::decode(&self.header.0).map_or(0, |h| h.height)
    }
}

impl TransactionEvidence {
    /// Evidence for transaction number `index` of `block`. `receipts` are the encoded receipts of the whole block,
    /// in the order of its transactions.
    pub fn from_block<R: AsRef<[u8]>>(
        role: Role,
        block: &Block,
        receipts: &[R],
        index: usize,
    ) -> Result<TransactionEvidence, BundleError> {
        let height = block.header.height;
        let absent = BundleError::NoTransaction { height, index };
        let (Some(transaction), Some(receipt)) = (block.transactions.get(index), receipts.get(index)) else {
            return Err(absent);
        };
        if receipts.len() != block.transactions.len() {
            return Err(absent);
        }
        Ok(TransactionEvidence {
            role,
            height,
            transaction: Base64Bytes(transaction.clone()),
            path: path_in(&block.transactions, index),
            receipt: Base64Bytes(receipt.as_ref().to_vec()),
            receipt_path: path_in(receipts, index),
        })
    }

    /// [`TransactionEvidence::from_block`] with decoded receipts.
    pub fn with_receipts(
        role: Role,
        block: &Block,
        receipts: &[Receipt],
        index: usize,
    ) -> Result<TransactionEvidence, BundleError> {
        let encoded: Vec<_> = receipts.iter().map(Receipt::encode).collect();
        TransactionEvidence::from_block(role, block, &encoded, index)
    }

    fn order(&self) -> (Role, u64, &Base64Bytes) {
        (self.role, self.height, &self.transaction)
    }
}

impl AttestedValue {
    fn order(&self) -> (&str, &str) {
        (&self.dn, &self.attribute)
    }
}

/// Path of an existing leaf of a small tree.
fn path_in<L: AsRef<[u8]>>(leaves: &[L], index: usize) -> Vec<SidedNode> {
    let tree = Tree::of(leaves);
    let (index, size) = (index as u64, tree.size());
    let path = tree.inclusion(index, size).expect("the caller found the leaf");
    sided_path(index, size, &path)
}

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(Base64Bytes).map_err(|e| D::Error::custom(format_args!("not base64: {e}")))
    }
}
