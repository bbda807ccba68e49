//! Blocks as the chain finalizes them: header, transactions, receipts.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::certificate::ValidatorSet;
use crate::hash::Hash;

const HEADER_DOMAIN: &[u8] = b"ranproof/header/1\n";

/// A block's header. Its [`Header::hash`] is the value that validators vote on; because the post-state
/// roots stand in it, a validator executes a block before it votes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    pub chain_id: String,
    /// Starts at 1.
    pub height: u64,
    /// Milliseconds since 1970 UTC; strictly greater than the previous header's.
    pub time: u64,
    /// Hash of the previous header, [`Hash::ZERO`] at height 1.
    pub previous: Hash,
    /// Merkle root (RFC 9162 tree hash) over the encoded transactions.
    pub txs_root: Hash,
    /// Merkle root over the encoded receipts: proves *accepted*, not merely included.
    pub receipts_root: Hash,
    /// Root of the contract's state map after this block.
    pub state_root: Hash,
    /// Merkle root over the hashes of all earlier headers, so that one recent certificate covers old heights.
    pub history_root: Hash,
    /// Hash of the validator set that finalizes this block.
    pub valset: Hash,
    /// Hash of the validator set of the next block.
    pub next_valset: Hash,
    /// Version of the contract's rules that executed this block.
    pub rules_version: u32,
}

impl Header {
    /// What validators vote on.
    pub fn hash(&self) -> Hash {
        Hash::of_parts(&[HEADER_DOMAIN, &self.encode()])
    }

    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<Header, MalformedBlock> {
        borsh::from_slice(bytes).map_err(|e| MalformedBlock { what: "header", reason: e.to_string() })
    }
}

/// Bytes that are not a header, block or receipt of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} of this version: {reason}")]
pub struct MalformedBlock {
    pub what: &'static str,
    pub reason: String,
}

/// A header with the transactions it orders, as opaque bytes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    pub header: Header,
    pub transactions: Vec<Vec<u8>>,
}

impl Block {
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<Block, MalformedBlock> {
        borsh::from_slice(bytes).map_err(|e| MalformedBlock { what: "block", reason: e.to_string() })
    }
}

/// What the contract said of one transaction of a block.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// SHA-256 of the encoded transaction.
    pub transaction: Hash,
    pub outcome: ReceiptOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ReceiptOutcome {
    Accepted,
    /// Stable code (`sequence`, `not-a-member`, …) and a sentence for people.
    Refused {
        code: String,
        reason: String,
    },
}

impl Receipt {
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<Receipt, MalformedBlock> {
        borsh::from_slice(bytes).map_err(|e| MalformedBlock { what: "receipt", reason: e.to_string() })
    }

    pub fn is_accepted(&self) -> bool {
        self.outcome == ReceiptOutcome::Accepted
    }
}

/// What executing a block yields; everything a header says about the post-state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionRoots {
    pub txs_root: Hash,
    pub receipts_root: Hash,
    pub state_root: Hash,
    pub history_root: Hash,
    pub next_validators: ValidatorSet,
    pub rules_version: u32,
}
