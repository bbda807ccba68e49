//! Stage, swap, apply: at whatever step it stops, doing all again gives the same log.

use anchor::{Hash, Tree};
use model::Timestamp;
use store::{BundleRow, Store, StoreError};

use crate::world::*;

fn root_of(hashes: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for hash in hashes {
        tree.push(*hash);
    }
    tree.root()
}

/// Runs the whole of it up to and including step `last`, as recovery does.
async fn anchor_up_to(store: &Store, last: u32) {
    let Some(growth) = store.stage_growth().await.unwrap() else { return };
    if last < 2 {
        return;
    }
    let root = root_of(&store.leaf_hashes(0, growth.new_size).await.unwrap());
    let note = format!("note {} {root}", growth.new_size);
    let saved = store.save_checkpoint(growth.new_size, &root, &note).await.unwrap();
    assert_eq!((saved.root, saved.note), (root, note));
    if last < 3 {
        return;
    }
    store.mark_anchored(growth.new_size, 7, 1).await.unwrap();
    if last < 4 {
        return;
    }
    let applied = store.apply_anchored().await.unwrap().unwrap();
    assert_eq!((applied.new_size, applied.anchored), (growth.new_size, Some((7, 1))));
}

#[tokio::test]
async fn stopping_after_any_step_and_beginning_again_gives_the_same_log() {
    for stop in 1..=4 {
        let (store, folder) = scratch().await;
        full_round(&store, 1, 1).await;
        anchor_up_to(&store, stop).await;
        full_round(&store, 2, 1).await;
        store.close().await;
        let store = open(folder.path()).await;
        anchor_up_to(&store, 4).await;
        anchor_up_to(&store, 4).await;
        assert_eq!(store.stage_growth().await.unwrap(), None);
        assert_eq!(store.apply_anchored().await.unwrap(), None);

        let state = store.log_state().await.unwrap();
        assert_eq!((state.size, state.staged, state.waiting), (4, None, 0));
        let subjects = ["V-1", "round/1", "V-2", "round/2"];
        for (index, subject) in subjects.iter().enumerate() {
            assert_eq!(store.leaf(index as u64).await.unwrap().unwrap().subject, *subject);
        }
        let sendable = store.sendable_attestations().await.unwrap();
        let sendable: Vec<_> = sendable.iter().map(|a| (a.round, a.leaf_index)).collect();
        assert_eq!(sendable, [(1, 1), (2, 3)]);
        assert_eq!(store.fsck().await.unwrap().faults, []);
    }
}

#[tokio::test]
async fn leaves_that_come_during_growth_wait_for_the_next() {
    let (store, _folder) = scratch().await;
    assert_eq!(store.stage_growth().await.unwrap(), None);
    full_round(&store, 1, 1).await;
    let first = store.stage_growth().await.unwrap().unwrap();
    full_round(&store, 2, 1).await;
    assert_eq!(store.stage_growth().await.unwrap(), Some(first.clone()));
    assert_eq!((first.old_size, first.new_size), (0, 2));
    let state = store.log_state().await.unwrap();
    assert_eq!((state.size, state.staged, state.waiting), (0, Some(2), 2));
    assert!(store.sendable_attestations().await.unwrap().is_empty(), "not anchored yet");
    anchor_up_to(&store, 4).await;
    let second = store.stage_growth().await.unwrap().unwrap();
    assert_eq!((second.old_size, second.new_size), (2, 4));
    let staged = store.leaves_of_round(2).await.unwrap();
    assert_eq!(staged.iter().map(|leaf| leaf.index).collect::<Vec<_>>(), [2, 3]);
    let found = store.leaf_of("violation", "V-1").await.unwrap().unwrap();
    assert_eq!((found.index, found.record), (0, Some(serde_json::json!({ "id": "V-1" }))));
}

#[tokio::test]
async fn a_second_story_for_one_size_is_refused() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 1).await;
    let early = store.save_checkpoint(2, &Hash::of(b"a"), "note").await;
    assert!(matches!(early, Err(StoreError::Conflict { .. })), "nothing is staged");
    store.stage_growth().await.unwrap();
    store.save_checkpoint(2, &Hash::of(b"a"), "first note").await.unwrap();
    let other = store.save_checkpoint(2, &Hash::of(b"b"), "note").await;
    assert!(matches!(other, Err(StoreError::Conflict { .. })));
    let again = store.save_checkpoint(2, &Hash::of(b"a"), "second note").await.unwrap();
    assert_eq!(again.note, "first note");
    assert_eq!(store.apply_anchored().await.unwrap(), None, "the chain has not accepted it");
    assert!(matches!(store.mark_anchored(9, 1, 1).await, Err(StoreError::Missing { .. })));
}

#[tokio::test]
async fn an_attestation_is_sendable_until_it_is_final_and_never_for_an_unopened_round() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 1).await;
    store.begin_round(&store::RoundStart { opened: None, ..start(2, 1) }).await.unwrap();
    store.commit_round(&full_commit(2, 1)).await.unwrap();
    anchor_up_to(&store, 4).await;
    let sendable = store.sendable_attestations().await.unwrap();
    assert_eq!(sendable.iter().map(|a| a.round).collect::<Vec<_>>(), [1]);
    assert_eq!(sendable[0].attestation, b"{\"round\":1}");
    assert!(sendable[0].accounting.balances());
    store.mark_attested(1, 12, 3).await.unwrap();
    assert!(store.sendable_attestations().await.unwrap().is_empty());
    let row = store.round(1).await.unwrap().unwrap();
    assert_eq!((row.leaf_index, row.attested), (Some(1), Some((12, 3))));
    assert_eq!(store.round(2).await.unwrap().unwrap().leaf_index, Some(3));
}

#[tokio::test]
async fn a_subject_lacks_its_bundle_from_its_anchoring_until_the_bundle_is_noted() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 1).await;
    let lacking = || async { store.subjects_without_bundle("violation").await.unwrap() };
    anchor_up_to(&store, 3).await;
    assert_eq!(lacking().await, Vec::<String>::new(), "not anchored yet");
    anchor_up_to(&store, 4).await;
    assert_eq!(lacking().await, ["V-1"]);
    let bundle = BundleRow {
        subject: "V-1".into(),
        file: "V-1.json".into(),
        created: Timestamp(1),
        trust: String::new(),
    };
    store.add_bundle(&bundle).await.unwrap();
    assert_eq!(lacking().await, Vec::<String>::new());
    full_round(&store, 2, 1).await;
    anchor_up_to(&store, 4).await;
    assert_eq!(lacking().await, ["V-2"]);
}
