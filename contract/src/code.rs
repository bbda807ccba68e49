//! Why the contract refuses: stable codes, one table.
//!
//! A refusal's reason stands in its receipt, and receipts are hashed into the header. The sentences of this
//! room are therefore part of the rules: changing one is a new `rules_version`, and no reason quotes the
//! error text of another crate.

use std::fmt;

/// A transaction that had, or would have, no effect but (in a block) the use of its sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Refusal {
    /// One of [`TABLE`]; programs compare this.
    pub code: &'static str,
    /// A sentence for people.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, reason: impl fmt::Display) -> Refusal {
        Refusal { code, reason: reason.to_string() }
    }
}

/// A code with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeEntry {
    pub code: &'static str,
    /// Whether a transaction of a block that is refused with this code uses up its sequence number.
    /// Where it does not, nobody's right to the sequence was shown, or the number itself was wrong.
    pub uses_sequence: bool,
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $uses:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*
        /// Every code that this version of the rules can answer.
        pub const TABLE: &[CodeEntry] =
            &[$(CodeEntry { code: $name, uses_sequence: $uses, meaning: $meaning },)*];
    };
}

codes! {
    MALFORMED = "malformed", false, "not a signed transaction of this version, or over 64 KiB";
    CHAIN = "chain", false, "meant for another chain";
    SIGNATURE = "signature", false, "the signature does not verify under the sender";
    NOT_A_MEMBER = "not-a-member", false, "the sender's key belongs to no member";
    SEQUENCE = "sequence", false, "not the key's next sequence number (admission: or more than 64 ahead)";

    DUTY = "duty", true, "a log key signed what an approval key must sign, or the other way round";
    FORM = "form", true, "a statement breaks a bound: alphabet or length of an id, order of a list, a zero or a range";
    DUPLICATE = "duplicate", true, "exactly this was accepted before; it stands, nothing happens twice";
    CONFLICT = "conflict", true, "the id, version or round already names something else";
    VERSION = "version", true, "a version is not the last registered one plus one";
    UNKNOWN_MEMBER = "unknown-member", true, "a statement names a member that does not exist";
    ROLE = "role", true, "the member's role does not allow it: a witness approves nothing, only operators have stations";
    NOT_A_PARTY = "not-a-party", true, "the member is not a party of the agreement";
    NOT_IN_FORCE = "not-in-force", true, "an agreement, policy set or inventory is not in force at this height, or not in this version";
    APPROVERS = "approvers", true, "the required approvers are not parties, or lack one whom the agreement names";
    WINDOW = "window", true, "the change request's window is over at the block's time";
    UNKNOWN_SUBJECT = "unknown-subject", true, "nothing of this name was registered or proposed";
    STATEMENT = "statement", true, "the approval is bound to another statement than the one proposed";
    NOT_REQUIRED = "not-required", true, "the member's approval was not asked for";
    DECIDED = "decided", true, "the member has already decided otherwise; a decision is not changed";
    REJECTED = "rejected", true, "a required member has rejected the subject";
    WITHDRAWN = "withdrawn", true, "the proposer has withdrawn the subject";
    SUPERSEDED = "superseded", true, "a newer version, or a newer agreement, became final since the subject was proposed";
    FINAL = "final", true, "a registration with all its approvals is not withdrawn, only replaced";
    NOT_PROPOSER = "not-proposer", true, "only the proposer withdraws";
    NOT_ORIGIN = "not-origin", true, "the log key is not the named origin's";
    ROUND_ORDER = "round-order", true, "not after the origin's last round, or more than a million after it";
    ROUND_OPEN = "round-open", true, "the origin's previous round is neither attested nor past its deadline";
    UNKNOWN_ROUND = "unknown-round", true, "the round was never opened";
    COUNT = "count", true, "expected differs from the agreed inventory, or the outcomes do not add up to it";
    LEAF = "leaf", true, "the attestation's leaf is not below the anchored size";
    CHECKPOINT = "checkpoint", true, "not a checkpoint signed by the origin's log key under the origin's name";
    OLD_SIZE = "old-size", true, "the swap does not start from the last anchored size";
    SHRINKS = "shrinks", true, "the checkpoint is smaller than the last anchored one";
    FORK = "fork", true, "another root at the size that is already anchored";
    INCONSISTENT = "inconsistent", true, "the consistency proof does not lead from the smaller tree to the larger one";
    NO_PROGRESS = "no-progress", true, "the checkpoint anchors nothing new";
    DISPUTE_ID = "dispute-id", true, "a dispute's id is not made of its sender, the disputed origin and round, and the kind";
    OWN_ROUND = "own-round", true, "a member disputes rounds of others, not its own";
    ATTESTATION = "attestation", true, "the disputed round has no attestation, or another than the one named";
    UNKNOWN_DISPUTE = "unknown-dispute", true, "no dispute of this id was opened";
    NOT_CONCERNED = "not-concerned", true, "only the accused origin answers a dispute, only the member who opened it ends it";
    NO_FORK = "no-fork", true, "the two checkpoints do not contradict each other";
}

/// The table's entry for `code`.
pub fn explain(code: &str) -> Option<&'static CodeEntry> {
    TABLE.iter().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_explained() {
        let distinct: BTreeSet<_> = TABLE.iter().map(|entry| entry.code).collect();
        assert_eq!(distinct.len(), TABLE.len());
        assert!(TABLE.iter().all(|entry| explain(entry.code) == Some(entry)));
        assert_eq!(explain("unheard-of"), None);
    }
}
