//! Step `receipts`: each transaction is signed, stands in a block, and was accepted; the checkpoint is anchored.

use std::collections::BTreeMap;

use crate::bundle::{Bundle, Role, TransactionEvidence};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::header::{Header, Receipt};
use crate::key::PublicKey;
use crate::transaction::{Action, SignedTransaction, Transaction, transaction_id};
use crate::tree::{leaf_hash, verify_sided};
use crate::trust::Trust;

use super::report::{Gaps, Refuted, StepResult, refuted};

/// The bundle's part of the chain, decoded.
#[derive(Debug)]
pub(super) struct Chain {
    pub headers: BTreeMap<u64, Header>,
    pub transactions: Vec<Proven>,
}

/// A transaction proven accepted under a header. Whether the header is final is for later steps.
#[derive(Debug)]
pub(super) struct Proven {
    pub role: Role,
    pub height: u64,
    pub transaction: Transaction,
}

impl Chain {
    /// The one transaction of a role that stands at most once.
    pub(super) fn only(&self, role: Role) -> Option<&Proven> {
        self.transactions.iter().find(|t| t.role == role)
    }

    pub(super) fn approvals(&self) -> impl Iterator<Item = &Proven> {
        self.transactions.iter().filter(|t| t.role == Role::Approve)
    }

    /// The time of the block at `height`.
    pub(super) fn time(&self, height: u64) -> Option<u64> {
        self.headers.get(&height).map(|h| h.time)
    }
}

impl Proven {
    pub(super) fn sender(&self) -> PublicKey {
        self.transaction.sender
    }
}

pub(super) fn receipts(
    bundle: &Bundle,
    checkpoint: &Checkpoint,
    origin: &str,
    trust: &Trust,
) -> StepResult<Chain> {
    let headers = headers(bundle)?;
    let mut transactions = Vec::new();
    for evidence in &bundle.chain.transactions {
        let at =
            |e: String| Refuted(format!("{} at height {}: {e}", evidence.role.as_str(), evidence.height));
        let proven = accepted(evidence, &headers, trust).map_err(|Refuted(e)| at(e))?;
        transactions.push(proven);
    }
    check_roles(&transactions)?;
    let chain = Chain { headers, transactions };
    let mut gaps = Gaps::default();
    match chain.only(Role::Anchor) {
        Some(anchor) => check_anchor(anchor, checkpoint, origin, trust)?,
        None => gaps.add("no transaction that anchors the checkpoint"),
    }
    let count = chain.transactions.len();
    let finding = gaps.finding(|| format!("{count} transactions signed, included and accepted"));
    Ok((chain, finding))
}

fn headers(bundle: &Bundle) -> Result<BTreeMap<u64, Header>, Refuted> {
    let mut headers = BTreeMap::new();
    let mut last = 0;
    for block in &bundle.chain.blocks {
        let header = Header::decode(&block.header.0).map_err(|e| Refuted(e.to_string()))?;
        if header.height <= last {
            let sentence = format!("headers are not sorted by height, each once, at {}", header.height);
            return refuted(sentence);
        }
        last = header.height;
        headers.insert(header.height, header);
    }
    Ok(headers)
}

fn accepted(
    evidence: &TransactionEvidence,
    headers: &BTreeMap<u64, Header>,
    trust: &Trust,
) -> Result<Proven, Refuted> {
    let Some(header) = headers.get(&evidence.height) else {
        return refuted("the bundle has no header of that height");
    };
    let encoded = &evidence.transaction.0;
    let signed = SignedTransaction::decode(encoded).map_err(|e| Refuted(e.to_string()))?;
    signed.verify().map_err(|e| Refuted(e.to_string()))?;
    if signed.transaction.chain_id != trust.chain_id() {
        return refuted(format!("signed for chain `{}`", signed.transaction.chain_id));
    }
    if !is_action_of(evidence.role, &signed.transaction.action) {
        return refuted(format!("it is {}", signed.transaction.action.name()));
    }
    verify_sided(&leaf_hash(encoded), &evidence.path, &header.txs_root)
        .map_err(|e| Refuted(format!("not under the header's txs_root: {e}")))?;
    let receipt = &evidence.receipt.0;
    verify_sided(&leaf_hash(receipt), &evidence.receipt_path, &header.receipts_root)
        .map_err(|e| Refuted(format!("receipt not under the header's receipts_root: {e}")))?;
    check_receipt(receipt, transaction_id(encoded))?;
    Ok(Proven { role: evidence.role, height: evidence.height, transaction: signed.transaction })
}

fn check_receipt(encoded: &[u8], transaction: Hash) -> Result<(), Refuted> {
    let receipt = Receipt::decode(encoded).map_err(|e| Refuted(e.to_string()))?;
    if receipt.transaction != transaction {
        return refuted("the receipt is of another transaction");
    }
    if !receipt.is_accepted() {
        return refuted("the receipt says refused");
    }
    Ok(())
}

fn is_action_of(role: Role, action: &Action) -> bool {
    matches!(
        (role, action),
        (Role::Anchor | Role::AnchorJudgement, Action::AnchorCheckpoint(_))
            | (Role::Open | Role::OpenBefore, Action::OpenRound(_))
            | (Role::Attest | Role::AttestBefore, Action::AttestRound(_))
            | (Role::Propose, Action::Propose(_))
            | (Role::Approve, Action::Approve(_))
            | (Role::RegisterAgreement, Action::RegisterAgreement(_))
            | (Role::RegisterPolicySet, Action::RegisterPolicySet(_))
            | (Role::RegisterInventory, Action::RegisterInventory(_))
    )
}

fn check_roles(transactions: &[Proven]) -> Result<(), Refuted> {
    let twice = transactions.windows(2).find(|pair| match pair {
        [a, b] => a.role == b.role && !matches!(a.role, Role::Approve | Role::AnchorJudgement),
        _ => false,
    });
    match twice {
        Some(pair) => refuted(format!("more than one transaction has the role {}", pair[0].role.as_str())),
        None => Ok(()),
    }
}

/// The chain holds exactly this checkpoint, put there by the log's own key.
pub(super) fn check_anchor(
    anchor: &Proven,
    checkpoint: &Checkpoint,
    origin: &str,
    trust: &Trust,
) -> Result<(), Refuted> {
    let Action::AnchorCheckpoint(statement) = &anchor.transaction.action else {
        return refuted("the anchor is no AnchorCheckpoint");
    };
    if statement.origin != origin || trust.log_key(origin) != Some(anchor.sender()) {
        return refuted(format!("the checkpoint was not anchored by the log key of `{origin}`"));
    }
    if statement.checkpoint != checkpoint.without_cosignatures().to_string() {
        return refuted("the anchored checkpoint is not the one of this proof");
    }
    Ok(())
}
