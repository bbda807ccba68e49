//! Bounds that a statement keeps by itself, whatever the state: ids, lists, ranges.

use anchor::Hash;
use anchor::transaction::{
    Action, AgreementStatement, AnchorCheckpointStatement, EvidenceStatement, InventoryStatement, MemberId,
    PolicySetStatement, ProposalStatement, Subject, SubjectKind,
};
use anchor::tree::MAX_PROOF_HASHES;

use crate::code::{self, Refusal};

/// Longest id, in bytes.
pub const MAX_ID: usize = 128;
/// Most members of a federation, and most names in a list.
pub const MAX_MEMBERS: usize = 64;
/// Longest signed checkpoint, in bytes.
pub const MAX_CHECKPOINT: usize = 8 * 1024;
/// Longest time from a round's opening to its deadline: 366 days, in milliseconds.
pub const MAX_ATTEST_WITHIN: u64 = 366 * 24 * 3600 * 1000;

/// Whether `text` is an id: 1 to 128 characters of `A–Z a–z 0–9 . _ : -`, the first a letter or digit.
///
/// Ids name entries of the state map, files and addresses of pages; the alphabet needs no escaping in any.
pub fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Whether `text` is a chain id: ids joined by `/`, together at most 128 characters.
pub fn is_chain_id(text: &str) -> bool {
    text.len() <= MAX_ID && text.split('/').all(is_id)
}

/// Refuses a statement that no state could make acceptable.
pub(crate) fn check_action(action: &Action) -> Result<(), Refusal> {
    match action {
        Action::RegisterAgreement(statement) => check_agreement(statement),
        Action::RegisterPolicySet(statement) => check_policy_set(statement),
        Action::RegisterInventory(statement) => check_inventory(statement),
        Action::Propose(statement) => check_proposal(statement),
        Action::Approve(statement) => check_subject(&statement.subject),
        Action::Withdraw(statement) => check_subject(&statement.subject),
        Action::OpenRound(statement) => {
            id("origin", &statement.origin)?;
            id("agreement", &statement.agreement)?;
            id("policy set", &statement.policy_set)
        }
        Action::AttestRound(statement) => id("origin", &statement.origin),
        Action::AnchorCheckpoint(statement) => check_anchor(statement),
        Action::Dispute(statement) => {
            id("dispute", &statement.id)?;
            id("origin", &statement.origin)
        }
        Action::Respond(statement) => id("dispute", &statement.id),
        Action::Resolve(statement) => id("dispute", &statement.id),
        Action::Evidence(statement) => check_evidence(statement),
    }
}

fn check_agreement(statement: &AgreementStatement) -> Result<(), Refusal> {
    id("agreement", &statement.id)?;
    version(statement.version)?;
    members("parties", &statement.parties)?;
    members("change_approvers", &statement.change_approvers)?;
    if statement.parties.len() < 2 {
        return refuse("a sharing agreement binds at least two parties");
    }
    if !is_subset(&statement.change_approvers, &statement.parties) {
        return refuse("`change_approvers` names a member that is not among `parties`");
    }
    if !(1..=MAX_ATTEST_WITHIN).contains(&statement.attest_within) {
        return refuse(format!("`attest_within` is not between 1 and {MAX_ATTEST_WITHIN} milliseconds"));
    }
    Ok(())
}

fn check_policy_set(statement: &PolicySetStatement) -> Result<(), Refusal> {
    id("agreement", &statement.agreement)?;
    id("policy set", &statement.id)?;
    version(statement.version)
}

fn check_inventory(statement: &InventoryStatement) -> Result<(), Refusal> {
    id("agreement", &statement.agreement)?;
    id("origin", &statement.origin)?;
    version(statement.version)
}

fn check_proposal(statement: &ProposalStatement) -> Result<(), Refusal> {
    id("change request", &statement.id)?;
    id("agreement", &statement.agreement)?;
    members("required", &statement.required)?;
    if statement.required.is_empty() {
        return refuse("`required` names nobody; hint: at least one party approves a change request");
    }
    if statement.window_from >= statement.window_to {
        return refuse("`window_from` is not before `window_to`");
    }
    Ok(())
}

fn check_subject(subject: &Subject) -> Result<(), Refusal> {
    match subject.kind {
        SubjectKind::Inventory => {
            let Some((agreement, origin)) = subject.id.split_once('/') else {
                return refuse("an inventory is named `agreement/origin`");
            };
            id("agreement", agreement)?;
            id("origin", origin)
        }
        _ => id("subject", &subject.id),
    }
}

fn check_anchor(statement: &AnchorCheckpointStatement) -> Result<(), Refusal> {
    id("origin", &statement.origin)?;
    if statement.checkpoint.len() > MAX_CHECKPOINT {
        return refuse(format!("the checkpoint is longer than {MAX_CHECKPOINT} bytes"));
    }
    proof(&statement.consistency)
}

fn check_evidence(statement: &EvidenceStatement) -> Result<(), Refusal> {
    id("origin", &statement.origin)?;
    let longest = statement.first.len().max(statement.second.len());
    if longest > MAX_CHECKPOINT {
        return refuse(format!("a checkpoint is longer than {MAX_CHECKPOINT} bytes"));
    }
    proof(&statement.consistency)
}

fn proof(hashes: &[Hash]) -> Result<(), Refusal> {
    if hashes.len() > MAX_PROOF_HASHES {
        return refuse(format!("the consistency proof has more than {MAX_PROOF_HASHES} hashes"));
    }
    Ok(())
}

fn id(what: &str, text: &str) -> Result<(), Refusal> {
    if is_id(text) {
        return Ok(());
    }
    refuse(format!(
        "the {what} id is not 1 to {MAX_ID} characters of letters, digits, `.`, `_`, `:`, `-` that begin with a letter or digit"
    ))
}

fn version(version: u32) -> Result<(), Refusal> {
    if version == 0 { refuse("versions start at 1") } else { Ok(()) }
}

fn members(what: &str, list: &[MemberId]) -> Result<(), Refusal> {
    if list.len() > MAX_MEMBERS {
        return refuse(format!("`{what}` names more than {MAX_MEMBERS} members"));
    }
    for member in list {
        id("member", member)?;
    }
    if list.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        refuse(format!("`{what}` is not sorted, or names a member twice"))
    }
}

/// Whether every name of `part` is in `whole`.
pub(crate) fn is_subset(part: &[MemberId], whole: &[MemberId]) -> bool {
    part.iter().all(|name| whole.contains(name))
}

fn refuse(reason: impl std::fmt::Display) -> Result<(), Refusal> {
    Err(Refusal::new(code::FORM, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_and_need_no_escaping() {
        for good in ["a", "CR-2026.11:7_b", "0", &"x".repeat(128)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "a\n", "é", "移动", &"x".repeat(129)] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(is_chain_id("ranproof.example/gd-1"));
        assert!(!is_chain_id("ranproof.example//gd"));
        assert!(!is_chain_id("/gd"));
    }
}
