//! The projection of the chain.

use anchor::transaction::{
    Action, AttestRoundStatement, Decision, OpenRoundStatement, ProposalKind, Subject, SubjectKind,
    WithdrawStatement, statement_hash,
};
use anchor::{Hash, PublicKey};
use model::change::{ChangeKind, ExpectedEdit, Standing, Window};
use model::{ChangeRequest, Timestamp};
use store::{
    Applied, Event, Missed, ProjectedBlock, ProjectedTransaction, Refused, Registration, RequestFilter,
    RequestTerms, StoreError, TransactionState,
};

use crate::world::*;

fn subject(kind: SubjectKind, id: &str, version: u32) -> Subject {
    Subject { kind, id: id.into(), version }
}

fn transaction(name: &str, events: Vec<Event>) -> ProjectedTransaction {
    ProjectedTransaction {
        id: Hash::of(name.as_bytes()),
        sender: PublicKey([1; 32]),
        member: Some("telecom".into()),
        action: "Approve".into(),
        refused: None,
        events,
    }
}

fn block(height: u64, transactions: Vec<ProjectedTransaction>) -> ProjectedBlock {
    let header = Hash::of(&height.to_be_bytes());
    ProjectedBlock { height, time: Timestamp(height as i64 * 10), header, transactions, missed: vec![] }
}

fn registration(subject: &Subject, body: Option<Hash>) -> Registration {
    let action = Action::Withdraw(WithdrawStatement { subject: subject.clone() });
    Registration {
        subject: subject.clone(),
        action: borsh_of(&action),
        statement: statement_hash(&action),
        body,
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        required: vec!["telecom".into(), "unicom".into()],
        request: (subject.kind == SubjectKind::Change).then_some(RequestTerms {
            kind: ProposalKind::Change,
            window_from: Timestamp(50),
            window_to: Timestamp(90),
        }),
    }
}

/// Borsh of a withdrawal: variant 5, variant of the kind, id with its length, version (see `anchor`).
fn borsh_of(action: &Action) -> Vec<u8> {
    let Action::Withdraw(WithdrawStatement { subject }) = action else { unreachable!() };
    let mut bytes = vec![5, subject.kind as u8];
    bytes.extend((subject.id.len() as u32).to_le_bytes());
    bytes.extend(subject.id.as_bytes());
    bytes.extend(subject.version.to_le_bytes());
    bytes
}

fn decided(subject: &Subject, member: &str, decision: Decision) -> Event {
    Event::Decided { subject: subject.clone(), member: member.into(), decision }
}

#[tokio::test]
async fn heights_apply_once_in_order_and_a_fork_is_named() {
    let (store, _folder) = scratch().await;
    assert_eq!(store.applied().await.unwrap(), None);
    assert_eq!(store.apply_block(&block(1, vec![])).await.unwrap(), Applied::Now);
    let gap = store.apply_block(&block(3, vec![])).await;
    assert!(matches!(gap, Err(StoreError::Gap { applied: 1, found: 3 })));
    assert_eq!(store.apply_block(&block(1, vec![])).await.unwrap(), Applied::Before);
    let fork = ProjectedBlock { header: Hash::of(b"fork"), ..block(1, vec![]) };
    assert!(matches!(store.apply_block(&fork).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.applied().await.unwrap().unwrap().height, 1);
}

#[tokio::test]
async fn a_transaction_that_is_final_in_two_blocks_is_named_and_nothing_of_the_second_stays() {
    let (store, _folder) = scratch().await;
    store.apply_block(&block(1, vec![transaction("t", vec![])])).await.unwrap();
    let twice = block(2, vec![transaction("other", vec![]), transaction("t", vec![])]);
    let Err(StoreError::Conflict { what, key, .. }) = store.apply_block(&twice).await else {
        panic!("taken")
    };
    assert_eq!((what, key), ("transaction", transaction("t", vec![]).id.to_string()));
    assert_eq!(store.applied().await.unwrap().unwrap().height, 1);
    assert_eq!(store.transactions_at(2).await.unwrap().len(), 0);
    assert_eq!(store.block_header(1).await.unwrap(), Some(block(1, vec![]).header));
    assert_eq!(store.block_header(2).await.unwrap(), None);
}

#[tokio::test]
async fn a_version_is_in_force_from_the_height_after_its_last_approval() {
    let (store, _folder) = scratch().await;
    let v1 = subject(SubjectKind::Agreement, "bj", 1);
    let v2 = subject(SubjectKind::Agreement, "bj", 2);
    let approve = |s: &Subject, name: &str| {
        transaction(
            name,
            vec![decided(s, "unicom", Decision::Approve), Event::Finalized { subject: s.clone() }],
        )
    };
    let blocks = [
        block(1, vec![transaction("r1", vec![Event::Registered(registration(&v1, None))])]),
        block(2, vec![approve(&v1, "a1")]),
        block(3, vec![transaction("r2", vec![Event::Registered(registration(&v2, None))])]),
        block(4, vec![approve(&v2, "a2")]),
        block(5, vec![transaction("w2", vec![Event::Withdrawn { subject: v2.clone() }])]),
    ];
    for block in &blocks {
        store.apply_block(block).await.unwrap();
    }
    let mut versions = Vec::new();
    for height in 1..=6 {
        let row = store.in_force(SubjectKind::Agreement, "bj", height).await.unwrap();
        versions.push(row.map_or(0, |r| r.subject.version));
    }
    assert_eq!(versions, [0, 0, 1, 1, 2, 1]);
    let newest = store.newest_subject(SubjectKind::Agreement, "bj").await.unwrap().unwrap();
    assert_eq!(newest.subject, v2);
    assert_eq!(newest.standing(), Standing::Withdrawn { height: 5, approved: Some(4) });
    assert_eq!(newest.decided_at(), Some(Timestamp(50)));
    assert_eq!(store.subjects(SubjectKind::Agreement).await.unwrap().len(), 2);
    let found = store.transaction(&Hash::of(b"a1")).await.unwrap().unwrap();
    assert_eq!((found.at.height, found.index), (2, 0));
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

fn request(id: &str) -> ChangeRequest {
    ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.into(),
        kind: ChangeKind::Change,
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        title: "Retune cell 1".into(),
        ticket: "WO-7".into(),
        scope: "SubNetwork=bj".parse().unwrap(),
        window: Window { from: Timestamp(50), to: Timestamp(90) },
        edits: vec![ExpectedEdit {
            object: cell(1, 1),
            attribute: "nRPCI".into(),
            old: Some("1".into()),
            new: Some("2".into()),
        }],
        rollback: false,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce: "00".repeat(32),
    }
}

#[tokio::test]
async fn requests_carry_their_body_once_it_is_here_and_their_standing() {
    let (store, _folder) = scratch().await;
    let (a, b) = (subject(SubjectKind::Change, "CR-1", 1), subject(SubjectKind::Change, "CR-2", 1));
    let body = serde_json::to_vec(&request("CR-1")).unwrap();
    let register = |s: &Subject, body| Event::Registered(registration(s, body));
    let first = block(
        1,
        vec![
            transaction("p1", vec![register(&a, Some(Hash::of(&body)))]),
            transaction("p2", vec![register(&b, Some(Hash::of(b"elsewhere")))]),
            transaction("a1", vec![decided(&a, "telecom", Decision::Approve)]),
        ],
    );
    store.apply_block(&first).await.unwrap();
    let all = store.requests(&RequestFilter::default()).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].view(), None, "the body has not come yet");
    store.put_body("change", &body, Timestamp(1)).await.unwrap();
    let by_text = RequestFilter { text: Some("retune".into()), ..RequestFilter::default() };
    let found = store.requests(&by_text).await.unwrap();
    assert_eq!(found.len(), 1);
    let view = found[0].view().unwrap();
    assert_eq!(view.request, request("CR-1"));
    assert_eq!(view.approved_by, ["telecom"]);
    let missing = Standing::Proposed { approved_by: vec!["telecom".into()], missing: vec!["unicom".into()] };
    assert_eq!((view.standing, view.decided_at), (missing, None));

    let second = block(
        2,
        vec![
            transaction(
                "a2",
                vec![decided(&a, "unicom", Decision::Approve), Event::Finalized { subject: a.clone() }],
            ),
            transaction("a3", vec![decided(&b, "unicom", Decision::Reject)]),
        ],
    );
    store.apply_block(&second).await.unwrap();
    let standing = |name: &str| RequestFilter { standing: Some(name.into()), ..RequestFilter::default() };
    let approved = store.requests(&standing("approved")).await.unwrap();
    assert_eq!(approved[0].view().unwrap().standing, Standing::Approved { height: 2 });
    let decisions: Vec<_> = approved[0].subject.decisions.iter().map(|d| d.member.as_str()).collect();
    assert_eq!(decisions, ["telecom", "unicom"]);
    let rejected = store.requests(&standing("rejected")).await.unwrap();
    assert_eq!(rejected[0].subject.standing(), Standing::Rejected { by: "unicom".into(), height: 2 });
    let ids = RequestFilter { ids: vec!["CR-2".into(), "CR-9".into()], ..RequestFilter::default() };
    assert_eq!(store.requests(&ids).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rounds_anchors_and_own_transactions_follow_the_blocks() {
    let (store, _folder) = scratch().await;
    let opening = |round| OpenRoundStatement {
        origin: "telecom".into(),
        round,
        agreement: "bj".into(),
        agreement_version: 1,
        policy_set: "core".into(),
        policy_set_version: 1,
        inventory_version: 1,
        profile: Hash::of(b"profile"),
    };
    let opened =
        |round| Event::RoundOpened { statement: opening(round), deadline: Timestamp(25), expected: 3 };
    let attestation = AttestRoundStatement {
        origin: "telecom".into(),
        round: 1,
        attestation: Hash::of(b"attestation"),
        leaf_index: 1,
        expected: 3,
        collected: 3,
        unchanged: 0,
        failed: 0,
        skipped: 0,
    };
    let key = PublicKey([1; 32]);
    let own = store.stage_transaction(&key, "open/1", Timestamp(1), |_| b"own".to_vec()).await.unwrap();
    let refused =
        store.stage_transaction(&key, "other", Timestamp(1), |_| b"refused".to_vec()).await.unwrap();
    let why = Refused { code: "duty".into(), reason: "wrong key".into() };
    let refusal = ProjectedTransaction { id: refused.id, refused: Some(why), ..transaction("", vec![]) };
    let blocks = [
        block(1, vec![ProjectedTransaction { id: own.id, ..transaction("", vec![opened(1)]) }, refusal]),
        block(2, vec![transaction("o2", vec![opened(2)])]),
        ProjectedBlock {
            missed: vec![Missed { origin: "telecom".into(), round: 2 }],
            ..block(
                3,
                vec![
                    transaction(
                        "at",
                        vec![Event::RoundAttested { statement: attestation.clone(), late: true }],
                    ),
                    transaction(
                        "an",
                        vec![Event::Anchored { origin: "telecom".into(), size: 2, root: Hash::of(b"root") }],
                    ),
                ],
            )
        },
    ];
    for block in &blocks {
        store.apply_block(block).await.unwrap();
    }
    let state = store.outgoing("open/1").await.unwrap().unwrap().state;
    assert_eq!(state, TransactionState::Final { height: 1, index: 0 });
    assert_eq!(store.outgoing("other").await.unwrap(), None);
    assert!(store.pending_transactions().await.unwrap().is_empty());
    let rounds = store.chain_rounds("telecom", 9).await.unwrap();
    assert_eq!(rounds.len(), 2);
    assert_eq!((rounds[0].opening.round, rounds[0].missed.map(|m| m.height)), (2, Some(3)));
    let first = store.chain_round("telecom", 1).await.unwrap().unwrap();
    assert_eq!((first.attestation, first.late, first.opened.height), (Some(attestation), true, 1));
    assert_eq!(store.chain_round("telecom", 3).await.unwrap(), None);
    let anchor = store.chain_anchor("telecom").await.unwrap().unwrap();
    assert_eq!((anchor.size, anchor.root, anchor.at.time), (2, Hash::of(b"root"), Timestamp(30)));
    let block = &store.transactions_at(1).await.unwrap()[1];
    assert_eq!(block.refused.as_ref().map(|r| r.code.as_str()), Some("duty"));
    assert_eq!(store.blocks(Some(3), 9).await.unwrap().len(), 2);
}
