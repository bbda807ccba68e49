//! Approved state in the database moves exactly as in memory.

use std::collections::BTreeMap;

use model::change::BaselineObject;
use model::{ApprovedState, ApprovedValue, Edit, OBJECT, Outcome, Snapshot, Value};
use proptest::prelude::*;
use store::{Advance, Applied, BaselineStation, Respelling};

use crate::world::*;

fn baseline(snapshot: &Snapshot) -> Vec<BaselineObject> {
    let whole = |object: &std::sync::Arc<model::Object>| BaselineObject {
        object: object.dn().clone(),
        attributes: object.attributes().iter().cloned().collect(),
    };
    snapshot.objects().iter().map(whole).collect()
}

fn in_memory(snapshot: &Snapshot, request: &str, height: u64) -> ApprovedState {
    let mut state = ApprovedState::default();
    for object in snapshot.objects() {
        state.insert_object(object.dn().clone());
        for (name, value) in object.attributes() {
            let value = ApprovedValue { value: value.clone(), request: request.into(), height };
            state.insert(object.dn().clone(), name.clone(), value);
        }
    }
    state
}

/// A move: cell, attribute (0 for the whole object), new value (`None`: gone).
type Move = (u32, u8, Option<u8>);

fn edit_of((which, attribute, new): Move) -> Edit {
    let (attribute, new) = match (attribute, new) {
        (0, new) => {
            let fields = |v: u8| BTreeMap::from([("a".to_owned(), Value::text(v.to_string()))]);
            (OBJECT.to_owned(), new.map(|v| Value::Fields(fields(v))))
        }
        (n, new) => (format!("attribute{n:02}"), new.map(|v| Value::text(v.to_string()))),
    };
    let operation = model::Operation::Replace;
    Edit { object: cell(1, which), attribute, operation, old: None, new, moved: false }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn any_advances_give_the_state_that_they_give_in_memory(
        moves in prop::collection::vec((1u32..4, 0u8..3, prop::option::of(0u8..3)), 0..24)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = scratch().await;
            let read = snapshot(1, 2, 5);
            full_round(&store, 1, 1).await;
            let station = BaselineStation { element: element(1), objects: baseline(&read) };
            store.apply_baseline("BL-1", 4, &[station]).await.unwrap();
            let mut expected = in_memory(&read, "BL-1", 4);
            for (one, round) in moves.into_iter().zip(2..) {
                let (edit, request) = (edit_of(one), format!("CR-{round}"));
                expected.advance(&edit, &request, round);
                store.begin_round(&start(round, 1)).await.unwrap();
                let mut found = commit(round);
                found.stations.push(result(1, Outcome::Unchanged, round));
                found.advances.push(Advance { element: element(1), edit, request, height: round });
                store.commit_round(&found).await.unwrap();
                assert_eq!(store.approved_state(&element(1)).await.unwrap(), expected);
            }
            assert_eq!(store.fsck().await.unwrap().faults, []);
        });
    }
}

#[tokio::test]
async fn a_respelling_moves_what_was_approved_and_is_no_execution_of_anything() {
    let (store, _folder) = scratch().await;
    let read = snapshot(1, 2, 5);
    full_round(&store, 1, 1).await;
    let station = BaselineStation { element: element(1), objects: baseline(&read) };
    store.apply_baseline("BL-1", 4, &[station]).await.unwrap();
    let mut found = commit(2);
    found.stations.push(result(1, Outcome::Unchanged, 2));
    let respelt = edit(cell(1, 1), "nRPCI", Some("5"), Some("5.0"));
    let filled = edit(cell(1, 1), "qHyst", None, Some("4"));
    let by = |edit: &Edit, approved: Option<(String, u64)>| Respelling {
        element: element(1),
        edit: edit.clone(),
        approved,
    };
    let changed = edit(cell(1, 2), "nRPCI", Some("5"), Some("5.0"));
    let request = || Some(("BL-1".to_owned(), 4));
    found.respellings = vec![by(&respelt, request()), by(&filled, request()), by(&changed, request())];
    // What changed in the same round is approved as it is now.
    let change = edit(cell(1, 2), "nRPCI", Some("5"), Some("6"));
    found.advances.push(Advance { element: element(1), edit: change, request: "CR-1".into(), height: 9 });
    store.begin_round(&start(2, 1)).await.unwrap();
    store.commit_round(&found).await.unwrap();
    let state = store.approved_state(&element(1)).await.unwrap();
    let value = |which, attribute| {
        let approved = state.get(&cell(1, which), attribute).unwrap();
        (approved.value.as_text().unwrap(), approved.request.as_str(), approved.height)
    };
    assert_eq!(value(1, "nRPCI"), ("5.0", "BL-1", 4));
    assert_eq!(value(1, "qHyst"), ("4", "BL-1", 4));
    assert_eq!(value(2, "nRPCI"), ("6", "CR-1", 9));
    assert_eq!(memory_of(&store, 1, model::Timestamp(0)).await.carried_out.len(), 1);
    let kept = store.respellings(2).await.unwrap();
    assert_eq!(kept[&element(1)], [respelt, filled, changed]);
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

#[tokio::test]
async fn what_is_approved_is_read_again_once_it_has_moved() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 1).await;
    let baseline = |cells| BaselineStation { element: element(1), objects: baseline(&snapshot(1, cells, 5)) };
    let held = async |version| {
        let mut memory = store.memory_of(&[(&element(1), Some(version))], model::Timestamp(0)).await.unwrap();
        let station = memory.remove(&element(1)).unwrap();
        (station.approved, station.approved_version)
    };
    let moved = async |version: &mut u64| {
        let (approved, now) = held(*version).await;
        let read_again = approved.is_some_and(|approved| !approved.is_empty());
        *version = now;
        // It is held from now on.
        assert_eq!(held(now).await, (None, now));
        read_again
    };
    let mut version = memory_of(&store, 1, model::Timestamp(0)).await.approved_version;
    assert!(!moved(&mut version).await);
    store.apply_baseline("BL-1", 4, &[baseline(2)]).await.unwrap();
    assert!(moved(&mut version).await);
    store.apply_baseline("BL-1", 4, &[baseline(2)]).await.unwrap();
    assert!(!moved(&mut version).await);
    let round = async |round, advances, respellings| {
        let mut found = commit(round);
        found.stations.push(result(1, Outcome::Unchanged, round));
        (found.advances, found.respellings) = (advances, respellings);
        store.begin_round(&start(round, 1)).await.unwrap();
        store.commit_round(&found).await.unwrap();
    };
    round(2, vec![], vec![]).await;
    assert!(!moved(&mut version).await);
    let edit = edit(cell(1, 1), "nRPCI", Some("5"), Some("6"));
    let advance = Advance { element: element(1), edit: edit.clone(), request: "CR-1".into(), height: 9 };
    round(3, vec![advance], vec![]).await;
    assert!(moved(&mut version).await);
    let respelling = Respelling { element: element(1), edit, approved: Some(("CR-1".into(), 9)) };
    round(4, vec![], vec![respelling]).await;
    assert!(moved(&mut version).await);
    store.apply_baseline("BL-2", 12, &[baseline(1)]).await.unwrap();
    assert!(moved(&mut version).await);
}

#[tokio::test]
async fn a_baseline_taken_over_again_does_not_undo_what_was_approved_since() {
    let (store, _folder) = scratch().await;
    let read = snapshot(1, 2, 5);
    let stations = [BaselineStation { element: element(1), objects: baseline(&read) }];
    assert!(store.approved_state(&element(1)).await.unwrap().is_empty());
    assert_eq!(store.apply_baseline("BL-1", 4, &stations).await.unwrap(), Applied::Now);
    assert_eq!(store.approved_state(&element(1)).await.unwrap(), in_memory(&read, "BL-1", 4));
    store.begin_round(&start(1, 1)).await.unwrap();
    let mut found = commit(1);
    collect(&mut found, 1, snapshot(1, 2, 6));
    let edit = edit(cell(1, 1), "nRPCI", Some("5"), Some("6"));
    found.advances.push(Advance { element: element(1), edit, request: "CR-1".into(), height: 9 });
    store.commit_round(&found).await.unwrap();

    assert_eq!(store.apply_baseline("BL-1", 4, &stations).await.unwrap(), Applied::Before);
    let state = store.approved_state(&element(1)).await.unwrap();
    assert_eq!(state.get(&cell(1, 1), "nRPCI").unwrap().height, 9);
    assert!(state.differences(&snapshot(1, 2, 6)).is_empty());

    let smaller = [BaselineStation { element: element(1), objects: baseline(&snapshot(1, 1, 5)) }];
    assert_eq!(store.apply_baseline("BL-2", 12, &smaller).await.unwrap(), Applied::Now);
    let state = store.approved_state(&element(1)).await.unwrap();
    assert_eq!(state, in_memory(&snapshot(1, 1, 5), "BL-2", 12));
    let baselined = store.baselined().await.unwrap();
    assert_eq!((baselined[0].request.as_str(), baselined[0].height), ("BL-2", 12));
}
