//! How objects are stored: whole, or over the last one that was.

use model::Snapshot;
use store::Store;

use crate::world::*;

/// Id, encoding, base, depth and stored bytes of each object.
async fn rows(folder: &std::path::Path) -> Vec<(i64, i64, Option<i64>, i64, i64)> {
    let mut link = beside(folder).await;
    let query = "SELECT id, encoding, base, depth, length(bytes) FROM objects ORDER BY id";
    sqlx::query_as(query).fetch_all(&mut link).await.unwrap()
}

async fn round(store: &Store, round: u64) {
    store.begin_round(&start(round, 1)).await.unwrap();
    let mut found = commit(round);
    collect(&mut found, 1, one(round));
    store.commit_round(&found).await.unwrap();
}

/// One object, of which one attribute is another one in each round.
fn one(round: u64) -> Snapshot {
    snapshot(1, 1, 1_000 + round)
}

async fn read_back(store: &Store, rounds: u64) {
    for round in 1..=rounds {
        let stored = store.snapshot_at(&element(1), round).await.unwrap().unwrap();
        assert_eq!(*stored.snapshot, lasting(&one(round)));
    }
    assert_eq!(store.history(&cell(1, 1)).await.unwrap().len() as u64, rounds);
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

#[tokio::test]
async fn versions_are_stored_over_the_last_whole_one_in_a_few_bytes_and_now_and_then_whole() {
    let (store, folder) = scratch().await;
    for n in 1..=80 {
        round(&store, n).await;
    }
    read_back(&store, 80).await;
    let (mut root, mut whole) = (None, 0);
    for (id, encoding, base, depth, bytes) in rows(folder.path()).await {
        if base.is_none() {
            (root, whole) = (Some(id), whole + 1);
            assert_eq!(depth, 0);
        } else {
            assert_eq!((encoding, base, depth), (2, root, 1));
            assert!(bytes < 20, "{bytes}");
        }
    }
    // One in sixteen, as it falls, and the first.
    assert!((3..=11).contains(&whole), "{whole}");
}

#[tokio::test]
async fn a_version_that_is_another_object_altogether_becomes_a_root() {
    let (store, folder) = scratch().await;
    round(&store, 1).await;
    store.begin_round(&start(2, 1)).await.unwrap();
    let mut found = commit(2);
    let attributes = (0..30).map(|n| (format!("other{n:02}"), model::Value::text(format!("{}", n * n))));
    let other = model::Object::new(cell(1, 1), attributes.collect(), vec![]);
    let other = Snapshot::new(interpretation(), vec![other], vec![]);
    collect(&mut found, 1, other);
    store.commit_round(&found).await.unwrap();
    round(&store, 3).await;
    round(&store, 4).await;
    let bases: Vec<_> = rows(folder.path()).await.iter().map(|(id, _, base, ..)| (*id, *base)).collect();
    assert_eq!(bases, [(1, None), (2, None), (3, None), (4, Some(3))]);
}

/// Makes a chain of the objects as versions of this program before 0007 did: each over the one before, with its bytes as
/// dictionary.
async fn chain_as_before(folder: &std::path::Path, rounds: u64) {
    let mut link = beside(folder).await;
    let plain = |round: u64| serde_json::to_vec(one(round).objects()[0].attributes()).unwrap();
    let mut zstd = zstd::bulk::Compressor::new(3).unwrap();
    for (round, (id, ..)) in (2..=rounds).zip(&rows(folder).await[1..]) {
        zstd.set_dictionary(3, &plain(round - 1)).unwrap();
        let update = "UPDATE objects SET encoding = 2, base = ?, depth = ?, bytes = ? WHERE id = ?";
        let update = sqlx::query(update).bind(id - 1).bind(round as i64 - 1);
        update.bind(zstd.compress(&plain(round)).unwrap()).bind(id).execute(&mut link).await.unwrap();
    }
}

#[tokio::test]
async fn chains_of_before_are_read_and_what_comes_after_one_is_stored_whole() {
    let (store, folder) = scratch().await;
    for n in 1..=6 {
        round(&store, n).await;
    }
    chain_as_before(folder.path(), 6).await;
    read_back(&store, 6).await;
    for n in 7..=9 {
        round(&store, n).await;
    }
    read_back(&store, 9).await;
    let depths: Vec<_> = rows(folder.path()).await.iter().map(|(.., depth, _)| *depth).collect();
    assert_eq!(depths, [0, 1, 2, 3, 4, 5, 0, 1, 1]);
}

#[tokio::test]
async fn one_version_over_a_root_as_before_is_a_way_to_it() {
    let (store, folder) = scratch().await;
    round(&store, 1).await;
    round(&store, 2).await;
    chain_as_before(folder.path(), 2).await;
    round(&store, 3).await;
    read_back(&store, 3).await;
    assert_eq!(rows(folder.path()).await[2].2, Some(1));
}
