//! What a round changed, for whoever is told of it; rounds of a foreign origin as they are judged here.

use anchor::Hash;
use anchor::transaction::{Decision, ProposalKind, Subject, SubjectKind};
use model::change::Standing;
use model::{Outcome, Timestamp};
use store::{Committed, DecisionRow, MapUpdate, Moment, RequestRow, RequestTerms, SecondRound, SubjectRow};

use crate::world::*;

#[tokio::test]
async fn a_round_tells_the_objects_and_commitments_that_it_changed_and_no_others() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 2).await;
    let first = store.changed_stations(1).await.unwrap();
    assert_eq!(
        first.iter().map(|s| (s.first, s.objects.len(), s.gone.len())).collect::<Vec<_>>(),
        [(true, 3, 0); 2]
    );
    let (made, ended) = store.openings_changed(1).await.unwrap();
    assert_eq!((made.len(), ended.len()), (2, 0));

    store.begin_round(&start(2, 2)).await.unwrap();
    let mut second = commit(2);
    collect(&mut second, 1, snapshot(1, 2, 9));
    second.stations.push(result(2, Outcome::Unchanged, 2));
    second.closed.push((element(1), cell(1, 1), "nRPCI".into()));
    second.attestation = Some(b"{}".to_vec());
    store.commit_round(&second).await.unwrap();
    let changed = store.changed_stations(2).await.unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].first, &changed[0].gone), (false, &vec![cell(1, 3)]));
    assert_eq!(changed[0].objects.iter().map(|o| o.dn().clone()).collect::<Vec<_>>(), [cell(1, 1)]);
    let (made, ended) = store.openings_changed(2).await.unwrap();
    assert_eq!((made.len(), ended.len()), (0, 1));
    let before = store.reads_before(2).await.unwrap();
    assert_eq!(before[&element(2)], Timestamp(1_500));
    assert_eq!(store.judged_height(2).await.unwrap(), Some(103));
    assert_eq!(store.anchored_rounds(0, 9, 9).await.unwrap(), [], "nothing is anchored yet");
}

fn second(round: u64) -> SecondRound {
    SecondRound {
        round,
        attestation: Hash::of(&round.to_be_bytes()),
        began: round == 1,
        mirrored: true,
        delivery: Some(serde_json::json!({ "round": round })),
        disputes: None,
    }
}

#[tokio::test]
async fn a_judged_round_is_kept_once_with_its_map_and_what_waits() {
    let (store, _folder) = scratch().await;
    let key = |n: u8| Hash::of(&[n]);
    let whole = MapUpdate::Whole(vec![(key(1), key(11)), (key(2), key(12))]);
    let kept = store.commit_second(&start(1, 1), &full_commit(1, 1), &second(1), &whole).await.unwrap();
    assert_eq!(kept, Committed::Now);
    assert_eq!(store.log_state().await.unwrap().waiting, 0, "a foreign round is no leaf of this log");
    let again =
        store.commit_second(&start(1, 1), &full_commit(1, 1), &second(1), &MapUpdate::Lost).await.unwrap();
    assert_eq!(again, Committed::AlreadyCommitted);
    let delta = MapUpdate::Delta(vec![(key(1), None), (key(2), Some(key(22))), (key(3), Some(key(13)))]);
    store.commit_second(&start(2, 1), &full_commit(2, 1), &second(2), &delta).await.unwrap();
    let mut expected = vec![(key(2), key(22)), (key(3), key(13))];
    expected.sort();
    assert_eq!(store.mirrored_attributes().await.unwrap(), expected);
    let why = violation(1, "@round", 3);
    for _ in 0..2 {
        store.refuse_second(&SecondRound { mirrored: false, ..second(3) }, &why).await.unwrap();
    }
    assert_eq!(store.violation(&why.id).await.unwrap().map(|row| row.violation), Some(why));
    assert!(store.fsck().await.unwrap().is_clean());
    assert_eq!(store.last_second().await.unwrap().map(|s| (s.round, s.mirrored)), Some((3, false)));
    assert_eq!(store.unfinished_seconds().await.unwrap().len(), 3);
    store.mark_delivered(2).await.unwrap();
    store.mark_disputed(2).await.unwrap();
    let left: Vec<_> = store.unfinished_seconds().await.unwrap().iter().map(|s| s.round).collect();
    assert_eq!(left, [1, 3]);
}

#[test]
fn a_request_is_seen_as_it_stood_at_a_height() {
    let at = |height| Moment { height, time: Timestamp(height as i64) };
    let request = model::ChangeRequest {
        format: model::ChangeRequest::FORMAT.into(),
        id: "CR-1".into(),
        kind: model::change::ChangeKind::Change,
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        title: String::new(),
        ticket: String::new(),
        scope: model::Scope::default(),
        window: model::change::Window { from: Timestamp(0), to: Timestamp(9) },
        edits: vec![],
        rollback: false,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce: String::new(),
    };
    let decided = |member: &str, height| DecisionRow {
        member: member.into(),
        decision: Decision::Approve,
        at: at(height),
        transaction: Hash::ZERO,
    };
    let row = RequestRow {
        subject: SubjectRow {
            subject: Subject { kind: SubjectKind::Change, id: "CR-1".into(), version: 1 },
            action: vec![],
            statement: Hash::ZERO,
            body: None,
            agreement: "bj".into(),
            agreement_version: 1,
            proposer: "telecom".into(),
            required: vec!["telecom".into(), "unicom".into()],
            request: Some(RequestTerms {
                kind: ProposalKind::Change,
                window_from: Timestamp(0),
                window_to: Timestamp(9),
            }),
            transaction: Hash::ZERO,
            proposed: at(5),
            finalized: Some(at(8)),
            rejected: None,
            withdrawn: Some(at(10)),
            decisions: vec![decided("telecom", 6), decided("unicom", 8)],
        },
        request: Some(request),
        unfit: None,
        progress: None,
        observed: vec![],
    };
    let standing = |height| row.view_at(height).map(|view| view.standing);
    assert_eq!(standing(4), None);
    let missing = vec!["unicom".to_owned()];
    assert_eq!(standing(7), Some(Standing::Proposed { approved_by: vec!["telecom".into()], missing }));
    assert_eq!(standing(8), Some(Standing::Approved { height: 8 }));
    assert_eq!(standing(10), Some(Standing::Withdrawn { height: 10, approved: Some(8) }));
    assert_eq!(row.view_at(7).unwrap().approved_by, ["telecom"]);
    assert_eq!(
        (row.view_at(7).unwrap().decided_at, row.view_at(9).unwrap().decided_at),
        (None, Some(Timestamp(8)))
    );
}
