//! Follows the chain and writes what it ordered into the store, where pages and judges find it. The chain's own
//! database stays the truth; applying a height twice changes nothing.

use anchor::transaction::{
    Decision, InventoryStatement, Subject, SubjectKind, statement_hash, transaction_id,
};
use anchor::{Action, Receipt, ReceiptOutcome, SignedTransaction};
use anyhow::{Context as _, Result};
use chain::FinalBlock;
use contract::Contract;
use model::Timestamp;
use store::{
    Event, Missed, ProjectedBlock, ProjectedTransaction, Refused, Registration, RequestTerms, Store,
};

use crate::ledger::Ledger;

/// Applies all final blocks up to the present tip and returns its height.
pub async fn catch_up(ledger: &Ledger, store: &Store, from: u64) -> Result<u64> {
    let tip = ledger.node().tip().height;
    for height in from.max(1)..=tip {
        let block = ledger.node().final_block(height).await?;
        let block = block.with_context(|| format!("the chain has no block {height}"))?;
        let projected = project(&ledger.contract().read(), &block);
        store.apply_block(&projected).await.with_context(|| format!("cannot take over block {height}"))?;
    }
    Ok(tip)
}

/// A final block as rows. The contract may be ahead of the block: what it says of moments names their heights.
fn project(contract: &Contract, block: &FinalBlock) -> ProjectedBlock {
    let header = &block.block.header;
    let transactions = block.block.transactions.iter().zip(&block.receipts);
    let missed = contract.members().into_iter().flat_map(|member| {
        let rounds = contract.missed_rounds(&member.id).into_iter();
        let here = rounds.filter(|(_, missed)| missed.at.height == header.height);
        here.map(move |(round, _)| Missed { origin: member.id.clone(), round }).collect::<Vec<_>>()
    });
    ProjectedBlock {
        height: header.height,
        time: Timestamp::from_unsigned(header.time),
        header: header.hash(),
        transactions: transactions
            .filter_map(|(bytes, receipt)| project_transaction(contract, header.height, bytes, receipt))
            .collect(),
        missed: missed.collect(),
    }
}

/// `None` for bytes that are no transaction, which an honest proposer never includes.
fn project_transaction(
    contract: &Contract,
    height: u64,
    bytes: &[u8],
    receipt: &Receipt,
) -> Option<ProjectedTransaction> {
    let signed = SignedTransaction::decode(bytes).ok()?;
    let sender = signed.transaction.sender;
    let member = contract.member_by_key(&sender).map(|holder| holder.member);
    let refused = match &receipt.outcome {
        ReceiptOutcome::Accepted => None,
        ReceiptOutcome::Refused { code, reason } => {
            Some(Refused { code: code.clone(), reason: reason.clone() })
        }
    };
    let action = &signed.transaction.action;
    let events = match (&refused, &member) {
        (None, Some(member)) => events(contract, height, transaction_id(bytes), member, action),
        _ => vec![],
    };
    let action = action.name().to_owned();
    Some(ProjectedTransaction { id: transaction_id(bytes), sender, member, action, refused, events })
}

fn events(contract: &Contract, height: u64, id: anchor::Hash, member: &str, action: &Action) -> Vec<Event> {
    match action {
        Action::RegisterAgreement(_)
        | Action::RegisterPolicySet(_)
        | Action::RegisterInventory(_)
        | Action::Propose(_) => {
            registration(contract, member, action).map(Event::Registered).into_iter().collect()
        }
        Action::Approve(statement) => {
            let subject = statement.subject.clone();
            let mut events = vec![Event::Decided {
                subject: subject.clone(),
                member: member.to_owned(),
                decision: statement.decision,
            }];
            if statement.decision == Decision::Approve && completes(contract, height, &id, &subject) {
                events.push(Event::Finalized { subject });
            }
            events
        }
        Action::Withdraw(statement) => vec![Event::Withdrawn { subject: statement.subject.clone() }],
        Action::OpenRound(statement) => contract
            .round(&statement.origin, statement.round)
            .map(|round| Event::RoundOpened {
                statement: statement.clone(),
                deadline: Timestamp::from_unsigned(round.opening.deadline),
                expected: round.opening.expected,
            })
            .into_iter()
            .collect(),
        Action::AttestRound(statement) => {
            let late = contract
                .round(&statement.origin, statement.round)
                .and_then(|round| round.attestation)
                .is_some_and(|attestation| attestation.late);
            vec![Event::RoundAttested { statement: statement.clone(), late }]
        }
        Action::AnchorCheckpoint(statement) => {
            anchor::UnverifiedCheckpoint::parse(statement.checkpoint.as_bytes())
                .map(|checkpoint| Event::Anchored {
                    origin: statement.origin.clone(),
                    size: checkpoint.claimed().size,
                    root: checkpoint.claimed().root,
                })
                .into_iter()
                .collect()
        }
        // The contract's own state is small and tells all of them.
        Action::Dispute(_) | Action::Respond(_) | Action::Resolve(_) | Action::Evidence(_) => vec![],
    }
}

/// Whether the approval in transaction `id` is the last of those that made `subject` final in this block.
fn completes(contract: &Contract, height: u64, id: &anchor::Hash, subject: &Subject) -> bool {
    let finalized = contract.standing(subject).and_then(|standing| standing.finalized);
    let here = finalized.is_some_and(|moment| moment.height == height);
    let approvals = contract.approvals(subject);
    let in_block: Vec<_> = approvals.iter().filter(|(_, record)| record.at.height == height).collect();
    here && (in_block.len() == 1 || in_block.iter().map(|(_, r)| r.transaction).max() == Some(*id))
}

fn registration(contract: &Contract, member: &str, action: &Action) -> Option<Registration> {
    let (subject, body, agreement, agreement_version, request) = match action {
        Action::RegisterAgreement(s) => {
            let subject = Subject { kind: SubjectKind::Agreement, id: s.id.clone(), version: s.version };
            (subject, Some(s.body), s.id.clone(), s.version, None)
        }
        Action::RegisterPolicySet(s) => {
            let subject = Subject { kind: SubjectKind::PolicySet, id: s.id.clone(), version: s.version };
            (subject, Some(s.body), s.agreement.clone(), 0, None)
        }
        Action::RegisterInventory(s) => {
            let subject = Subject { kind: SubjectKind::Inventory, id: inventory_id(s), version: s.version };
            (subject, Some(s.body), s.agreement.clone(), 0, None)
        }
        Action::Propose(s) => {
            let subject = Subject { kind: SubjectKind::Change, id: s.id.clone(), version: 1 };
            let terms = RequestTerms {
                kind: s.kind,
                window_from: Timestamp::from_unsigned(s.window_from),
                window_to: Timestamp::from_unsigned(s.window_to),
            };
            (subject, Some(s.body), s.agreement.clone(), s.agreement_version, Some(terms))
        }
        _ => return None,
    };
    let standing = contract.standing(&subject)?;
    let under = standing.under.as_ref().map_or(agreement_version, |under| under.version);
    Some(Registration {
        action: borsh::to_vec(action).expect("writing to memory does not fail"),
        statement: statement_hash(action),
        body,
        agreement,
        agreement_version: under,
        proposer: member.to_owned(),
        required: standing.required,
        request,
        subject,
    })
}

/// The subject id of an inventory: `agreement/operator`.
pub fn inventory_id(statement: &InventoryStatement) -> String {
    format!("{}/{}", statement.agreement, statement.origin)
}
