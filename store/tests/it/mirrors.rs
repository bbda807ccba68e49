//! Other members' logs: mirrored without a gap, vouched for once, and never two stories, wherever it stops.

use std::collections::BTreeMap;

use anchor::{Hash, Tree};
use model::Timestamp;
use proptest::prelude::*;
use store::{CosignatureRow, ForkKind, HeadCheck, MirrorHead, ServedNote, Store, StoreError};

use crate::world::*;

const ORIGIN: &str = "unicom";

/// A leaf of the honest log, or of one that is forked from leaf `fork` on.
fn leaf(index: u64, fork: Option<u64>) -> Vec<u8> {
    let story = if fork.is_some_and(|from| index >= from) { "forked" } else { "honest" };
    format!("{story} {index}").into_bytes()
}

fn leaves(from: u64, to: u64, fork: Option<u64>) -> Vec<Vec<u8>> {
    (from..to).map(|index| leaf(index, fork)).collect()
}

fn head(size: u64, fork: Option<u64>) -> MirrorHead {
    MirrorHead {
        origin: ORIGIN.into(),
        size,
        root: Tree::of(&leaves(0, size, fork)).root(),
        note: format!("note of {size}"),
        transaction: Hash::of(&size.to_be_bytes()),
        checked: Timestamp(7),
    }
}

async fn reach(store: &Store, size: u64) -> HeadCheck {
    let held = store.mirror(ORIGIN).await.unwrap().held;
    store.append_mirror(ORIGIN, held, &leaves(held, size, None)).await.unwrap();
    store.check_mirror(&head(size, None)).await.unwrap()
}

fn conflicts<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
}

#[tokio::test]
async fn stopping_after_any_step_and_beginning_again_gives_the_same_mirror() {
    for stop in 0..6u32 {
        let (store, folder) = scratch().await;
        reach(&store, 5).await;
        for _again in 0..2 {
            let held = store.mirror(ORIGIN).await.unwrap().held;
            store.append_mirror(ORIGIN, held, &leaves(held, 300, None)).await.unwrap();
            if stop == 0 {
                break;
            }
            store.append_mirror(ORIGIN, 256, &leaves(256, 701, None)).await.unwrap();
            if stop == 1 {
                break;
            }
            assert_eq!(store.check_mirror(&head(701, None)).await.unwrap(), HeadCheck::Fits);
        }
        // Dropped, not closed: what was not committed is gone.
        drop(store);
        let store = open(folder.path()).await;
        assert_eq!(reach(&store, 701).await, HeadCheck::Fits);
        let mirror = store.mirror(ORIGIN).await.unwrap();
        assert_eq!((mirror.held, mirror.head), (701, Some(head(701, None))));
        assert_eq!(store.fsck().await.unwrap().faults, []);
    }
}

#[tokio::test]
async fn leaves_that_give_another_root_are_dropped_and_the_fork_stays_on_record() {
    let (store, _folder) = scratch().await;
    reach(&store, 10).await;
    store.append_mirror(ORIGIN, 10, &leaves(10, 20, Some(15))).await.unwrap();
    let HeadCheck::Forked { fork, new: true } = store.check_mirror(&head(20, None)).await.unwrap() else {
        panic!("a forked log fits, or is known")
    };
    assert_eq!((fork.kind, fork.size, fork.anchored_root), (ForkKind::Leaves, 20, head(20, None).root));
    assert_eq!(fork.served_root, head(20, Some(15)).root);
    assert_eq!(store.forks().await.unwrap(), [fork]);
    store.append_mirror(ORIGIN, 10, &leaves(10, 20, Some(15))).await.unwrap();
    let again = store.check_mirror(&head(20, None)).await.unwrap();
    assert!(matches!(again, HeadCheck::Forked { new: false, .. }), "{again:?}");
    let mirror = store.mirror(ORIGIN).await.unwrap();
    assert_eq!((mirror.held, mirror.head.map(|h| h.size)), (10, Some(10)));
    conflicts(store.vouch(ORIGIN, 20, &head(20, None).root, Timestamp(1)).await);
    conflicts(store.vouch(ORIGIN, 20, &head(20, Some(15)).root, Timestamp(1)).await);
    assert_eq!(reach(&store, 20).await, HeadCheck::Fits);
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

#[tokio::test]
async fn what_contradicts_a_checked_head_or_leaves_a_gap_is_refused() {
    let (store, _folder) = scratch().await;
    reach(&store, 10).await;
    conflicts(store.append_mirror(ORIGIN, 11, &leaves(11, 12, None)).await);
    conflicts(store.check_mirror(&head(11, None)).await);
    conflicts(store.check_mirror(&head(9, None)).await);
    conflicts(store.check_mirror(&head(10, Some(3))).await);
    assert_eq!(store.check_mirror(&head(10, None)).await.unwrap(), HeadCheck::Fits);
}

#[tokio::test]
async fn leaves_and_roots_are_told_below_the_newest_head_only() {
    let (store, _folder) = scratch().await;
    reach(&store, 10).await;
    reach(&store, 13).await;
    store.append_mirror(ORIGIN, 13, &leaves(13, 20, None)).await.unwrap();
    for size in 0..=13 {
        let root = store.mirror_root(ORIGIN, size).await.unwrap();
        assert_eq!(root, Some(Tree::of(&leaves(0, size, None)).root()));
    }
    assert_eq!(store.mirror_root(ORIGIN, 14).await.unwrap(), None);
    let proof = Tree::of(&leaves(0, 13, None)).consistency(6, 13).unwrap();
    assert_eq!(store.mirror_consistency(ORIGIN, 6, 13).await.unwrap(), Some(proof));
    assert_eq!(store.mirror_consistency(ORIGIN, 6, 14).await.unwrap(), None);
    conflicts(store.mirror_consistency(ORIGIN, 13, 12).await);
    assert_eq!(store.mirror_leaf(ORIGIN, 12).await.unwrap(), Some(leaf(12, None)));
    assert_eq!(store.mirror_leaf(ORIGIN, 13).await.unwrap(), None);
    let hash = |index| anchor::tree::leaf_hash(&leaf(index, None));
    assert_eq!(store.mirror_index(ORIGIN, &hash(12)).await.unwrap(), Some(12));
    assert_eq!(store.mirror_index(ORIGIN, &hash(13)).await.unwrap(), None);
    assert_eq!(store.mirror_index("tower", &hash(12)).await.unwrap(), None);
    assert_eq!(store.mirror_hashes(ORIGIN, 12, 99).await.unwrap().len(), 8);
    assert_eq!(store.mirror_head(ORIGIN, 10).await.unwrap(), Some(head(10, None)));
    assert_eq!(store.mirror_head(ORIGIN, 11).await.unwrap(), None);
}

#[tokio::test]
async fn a_killed_cosigner_makes_the_same_signature_again() {
    let (store, folder) = scratch().await;
    reach(&store, 10).await;
    let root = head(10, None).root;
    let first = store.vouch(ORIGIN, 10, &root, Timestamp(1_000)).await.unwrap();
    // The intention stands, the signature was never made.
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.cosignatures(ORIGIN).await.unwrap(), []);
    let again = store.vouch(ORIGIN, 10, &root, Timestamp(2_000)).await.unwrap();
    assert_eq!(again, first, "another time would be another signature");
    assert_eq!(store.vouched(ORIGIN).await.unwrap(), Some(first));
}

#[tokio::test]
async fn the_best_head_is_the_newest_that_most_of_the_asked_members_cosigned() {
    let (store, _folder) = scratch().await;
    let add = async |size: u64, member: &str, root: &str| {
        let row = CosignatureRow {
            origin: ORIGIN.into(),
            size,
            root: Hash::of(root.as_bytes()),
            member: member.into(),
            line: format!("line {member}"),
            time: Timestamp(9),
        };
        store.add_cosignature(&row).await
    };
    for (size, member) in [(5, "telecom"), (5, "tower"), (8, "telecom"), (9, "witness"), (9, "telecom")] {
        add(size, member, "root").await.unwrap();
        add(size, member, "root").await.unwrap();
    }
    conflicts(add(9, "witness", "other").await);
    let best = async |above, members: &[&str]| {
        let members: Vec<_> = members.iter().map(|m| (*m).to_owned()).collect();
        store.best_cosigned(ORIGIN, above, &members).await.unwrap()
    };
    assert_eq!(best(0, &["telecom", "tower"]).await, Some((5, 2)));
    assert_eq!(best(5, &["telecom", "tower"]).await, Some((9, 1)));
    assert_eq!(best(0, &["telecom", "tower", "witness"]).await, Some((9, 2)));
    assert_eq!(best(9, &["telecom"]).await, None);
    let newest = store.cosignatures(ORIGIN).await.unwrap();
    let newest: Vec<_> = newest.iter().map(|row| (row.member.as_str(), row.size)).collect();
    assert_eq!(newest, [("telecom", 9), ("tower", 5), ("witness", 9)]);
    assert_eq!(store.cosignatures_at(ORIGIN, 5).await.unwrap().len(), 2);
}

#[tokio::test]
async fn served_checkpoints_wait_in_bounded_number() {
    let (store, _folder) = scratch().await;
    let note = |size: u64| ServedNote {
        origin: ORIGIN.into(),
        size,
        root: Hash::of(&size.to_be_bytes()),
        note: "note".into(),
        served: Timestamp(1),
    };
    for size in 1..=100 {
        store.keep_served_note(&note(size)).await.unwrap();
    }
    assert_eq!(store.served_notes(ORIGIN, 1_000).await.unwrap().len(), 64);
    assert_eq!(store.served_notes(ORIGIN, 2).await.unwrap(), [note(1), note(2)]);
    store.drop_served_note(&note(1)).await.unwrap();
    store.keep_served_note(&note(65)).await.unwrap();
    assert_eq!(store.served_notes(ORIGIN, 1_000).await.unwrap().last(), Some(&note(65)));
    // What lies behind the largest makes room for what the chain will reach first, and not the other way round.
    store.keep_served_note(&note(1)).await.unwrap();
    store.keep_served_note(&note(900)).await.unwrap();
    let kept = store.served_notes(ORIGIN, 1_000).await.unwrap();
    assert_eq!((kept.len(), kept.first(), kept.last()), (64, Some(&note(1)), Some(&note(64))));
}

/// What may happen to a mirror, in any order.
#[derive(Debug, Clone)]
enum Step {
    /// Leaves up to a size come in, honest or forked from some leaf on.
    Append { size: u64, fork: Option<u64> },
    /// A head is checked, the anchored one or another.
    Check { size: u64, fork: Option<u64> },
    /// The cosigner is asked to vouch.
    Vouch { size: u64, fork: Option<u64> },
    /// The process dies and starts again.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let fork = || prop_oneof![4 => Just(None), 1 => (0u64..30).prop_map(Some)];
    prop_oneof![
        4 => (0u64..40, fork()).prop_map(|(size, fork)| Step::Append { size, fork }),
        4 => (1u64..40, fork()).prop_map(|(size, fork)| Step::Check { size, fork }),
        4 => (1u64..40, fork()).prop_map(|(size, fork)| Step::Vouch { size, fork }),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_cosigner_never_vouches_for_two_roots_or_a_smaller_size(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut store, folder) = scratch().await;
            // Every permission to sign that was ever given, in order.
            let mut given: Vec<(u64, Hash)> = vec![];
            for step in steps {
                match step {
                    Step::Append { size, fork } => {
                        let held = store.mirror(ORIGIN).await.unwrap().held;
                        store.append_mirror(ORIGIN, held, &leaves(held, size.max(held), fork)).await.unwrap();
                    }
                    // What cannot be is refused; here only what is given counts.
                    Step::Check { size, fork } => drop(store.check_mirror(&head(size, fork)).await),
                    Step::Vouch { size, fork } => {
                        let root = head(size, fork).root;
                        if let Ok(vouched) = store.vouch(ORIGIN, size, &root, Timestamp(given.len() as i64)).await {
                            assert_eq!((vouched.size, vouched.root), (size, root));
                            given.push((size, root));
                        }
                    }
                    Step::Kill => {
                        drop(store);
                        store = open(folder.path()).await;
                    }
                }
            }
            let mut roots = BTreeMap::new();
            let mut largest = 0;
            for (size, root) in given {
                let first = !roots.contains_key(&size);
                assert_eq!(*roots.entry(size).or_insert(root), root, "two roots of size {size}");
                assert!(!first || size > largest, "{size} after {largest}");
                largest = largest.max(size);
            }
            assert_eq!(store.fsck().await.unwrap().faults, []);
        });
    }
}
