//! What members say of another's account on chain: that a second judgement did not follow it, what the accused
//! answers, how it ended, and that a log told two stories.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::transaction::MemberId;

/// What a second judgement could not follow.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DisputeKind {
    /// A disclosed value does not open its commitment, or not under its map key.
    Opening,
    /// The disclosed changes do not lead to the attested maps: something changed that was not disclosed.
    Undisclosed,
    /// The same values give another verdict.
    Verdict,
    /// What the agreement lets the disputer see was not disclosed.
    Withheld,
    /// The disclosed outcomes, records or counts are not those that the attestation commits to.
    Account,
}

impl DisputeKind {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            DisputeKind::Opening => "opening",
            DisputeKind::Undisclosed => "undisclosed",
            DisputeKind::Verdict => "verdict",
            DisputeKind::Withheld => "withheld",
            DisputeKind::Account => "account",
        }
    }
}

/// A member disputes a round of another. Its agent opens it, under its log key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct DisputeStatement {
    /// [`DisputeStatement::id_of`] its sender and what it disputes.
    pub id: String,
    /// Whose round it is: the accused.
    pub origin: MemberId,
    pub round: u64,
    /// The attestation that `AttestRound` of that round carries.
    pub attestation: Hash,
    pub kind: DisputeKind,
    /// [`crate::record::Record::commitment`] of the disputing member's judgement record.
    pub judgement: Hash,
}

impl DisputeStatement {
    /// The only id under which `disputer` may dispute that round of `origin` in this way:
    /// `D-<disputer>-<origin>-<round>-<kind>`. It names the disputer, so that nobody else can take it first.
    pub fn id_of(disputer: &str, origin: &str, round: u64, kind: DisputeKind) -> String {
        format!("D-{disputer}-{origin}-{round}-{}", kind.as_str())
    }
}

/// The accused answers, under its approval key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct RespondStatement {
    /// Id of the dispute.
    pub id: String,
    /// SHA-256 of the answer's canonical JSON body.
    pub body: Hash,
}

/// How the disputing member ends its dispute.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DisputeOutcome {
    /// It stands by it.
    Upheld,
    /// It takes it back.
    Withdrawn,
}

impl DisputeOutcome {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            DisputeOutcome::Upheld => "upheld",
            DisputeOutcome::Withdrawn => "withdrawn",
        }
    }
}

/// The disputing member ends its dispute, under its approval key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ResolveStatement {
    /// Id of the dispute.
    pub id: String,
    pub outcome: DisputeOutcome,
}

/// Two checkpoints of one log that cannot both be of it: that its origin split its story. Any member may hand them in,
/// under its log key. They need not be of one size, nor need the chain have anchored either.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct EvidenceStatement {
    /// Whose log it is.
    pub origin: MemberId,
    /// Signed checkpoints (C2SP tlog-checkpoint) with the log's signature alone, UTF-8. The second is not the smaller.
    pub first: String,
    pub second: String,
    /// The root that the log of the second has at the size of the first, and not the one that the first signs.
    pub root: Hash,
    /// That it has (RFC 9162 §2.1.4), so that nobody needs the leaves. Empty where both are of one size.
    pub consistency: Vec<Hash>,
}
