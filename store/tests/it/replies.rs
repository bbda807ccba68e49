//! Raw replies, by themselves and over the one before.

use std::sync::Arc;

use model::Digest;
use proptest::prelude::*;
use store::{HeldReply, Store, StoreError};

use crate::world::*;

/// One round in which the station said this; `held` is what the caller holds of before.
async fn said(store: &Store, round: u64, raw: &[u8], held: Option<HeldReply>) -> HeldReply {
    store.begin_round(&start(round, 1)).await.unwrap();
    let mut found = commit(round);
    collect(&mut found, 1, snapshot(1, 1, round));
    let read = &mut found.snapshots[0];
    (read.raw, read.raw_digest, read.held) = (Arc::new(raw.to_vec()), Digest::of(raw), held);
    let reply = HeldReply { bytes: Arc::clone(&read.raw), digest: read.raw_digest };
    store.commit_round(&found).await.unwrap();
    reply
}

/// A large reply in which one number is another one each time.
fn reply(round: u64) -> Vec<u8> {
    let cell = |n: u64| format!("<cell><id>{n}</id><pci>{}</pci></cell>", n * 7_919 % 1_008);
    let cells: String = (0..2_000).map(cell).collect();
    format!("<data>{cells}<last>{round}</last></data>").into_bytes()
}

async fn rows(folder: &std::path::Path) -> Vec<(i64, i64, i64)> {
    let mut link = beside(folder).await;
    let query = "SELECT round, depth, length(bytes) FROM raw_replies ORDER BY round";
    sqlx::query_as(query).fetch_all(&mut link).await.unwrap()
}

#[tokio::test]
async fn a_reply_costs_what_differs_from_the_last_one_and_old_ones_go_with_their_chain() {
    let (store, folder) = scratch().await;
    let mut held = None;
    for round in 1..=40 {
        held = Some(said(&store, round, &reply(round), held).await);
        for kept in [round, round.max(2) - 1] {
            assert_eq!(store.raw_reply(&element(1), kept).await.unwrap(), Some(reply(kept)));
        }
    }
    let rows = rows(folder.path()).await;
    let depths: Vec<_> = rows.iter().map(|(round, depth, _)| (*round, *depth)).collect();
    // Eight to a chain, of which the last one begins here.
    assert_eq!(depths, [(33, 0), (34, 1), (35, 2), (36, 3), (37, 4), (38, 5), (39, 6), (40, 7)]);
    assert!(rows[1..].iter().all(|(_, _, bytes)| *bytes < 20), "{rows:?}");
    assert_eq!(store.raw_reply(&element(1), 32).await.unwrap(), None);
    assert!(store.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_reply_that_is_not_the_newest_stored_one_is_no_base() {
    let (store, folder) = scratch().await;
    let first = said(&store, 1, &reply(1), None).await;
    said(&store, 2, &reply(2), Some(first.clone())).await;
    said(&store, 3, &reply(3), Some(first)).await;
    let depths: Vec<_> = rows(folder.path()).await.iter().map(|(_, depth, _)| *depth).collect();
    assert_eq!(depths, [0, 1, 0]);
    assert_eq!(store.newest_reply(&element(1)).await.unwrap(), Some(reply(3)));
}

#[tokio::test]
async fn replies_over_replies_of_before_are_read_and_stored_over() {
    let (store, folder) = scratch().await;
    let mut held = None;
    for round in 1..=3 {
        held = Some(said(&store, round, &reply(round), held).await);
    }
    // As versions of this program before 0007 wrote them: zstd with the last reply as its prefix.
    let mut link = beside(folder.path()).await;
    for round in 2..=3 {
        let (last, mut bytes) = (reply(round - 1), vec![]);
        let mut zstd = zstd::zstd_safe::CCtx::create();
        zstd.ref_prefix(&last).unwrap();
        bytes.reserve(1 << 20);
        zstd.compress2(&mut bytes, &reply(round)).unwrap();
        let update = sqlx::query("UPDATE raw_replies SET bytes = ? WHERE round = ?").bind(bytes);
        update.bind(round as i64).execute(&mut link).await.unwrap();
    }
    said(&store, 4, &reply(4), held).await;
    for round in 1..=4 {
        assert_eq!(store.raw_reply(&element(1), round).await.unwrap(), Some(reply(round)));
    }
    assert!(store.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_reply_of_which_much_is_new_is_compressed_over_the_last_one() {
    let (store, folder) = scratch().await;
    // All of the second stands in the first, but far away.
    let cell = |n: u64| format!("<cell>{}</cell>", Digest::of(&n.to_le_bytes()));
    let mut cells: Vec<String> = (0..2_000).map(cell).collect();
    let first = cells.concat().into_bytes();
    cells.reverse();
    let second = cells.concat().into_bytes();
    let held = said(&store, 1, &first, None).await;
    said(&store, 2, &second, Some(held)).await;
    let rows = rows(folder.path()).await;
    assert_eq!(rows[1].1, 1);
    assert!(rows[1].2 > second.len() as i64 / 32, "{rows:?}");
    assert_eq!(store.newest_reply(&element(1)).await.unwrap(), Some(second));
}

#[tokio::test]
async fn damage_to_one_reply_is_named_for_all_that_are_stored_over_it_and_for_no_other() {
    let (store, folder) = scratch().await;
    let mut held = None;
    for round in 1..=5 {
        held = Some(said(&store, round, &reply(round), held).await);
    }
    let mut link = beside(folder.path()).await;
    for damage in [
        "UPDATE raw_replies SET bytes = x'00' WHERE round = 3",
        "UPDATE raw_replies SET bytes = x'0100' WHERE round = 3",
        "DELETE FROM raw_replies WHERE round = 3",
    ] {
        sqlx::query(damage).execute(&mut link).await.unwrap();
        for round in 1..=5 {
            let read = store.raw_reply(&element(1), round).await;
            match round {
                1 | 2 => assert_eq!(read.unwrap(), Some(reply(round))),
                3 if damage.starts_with("DELETE") => assert_eq!(read.unwrap(), None),
                _ => assert!(matches!(read.unwrap_err(), StoreError::Damaged { table: "raw_replies", .. })),
            }
        }
        let faults = store.fsck().await.unwrap().faults;
        let named: Vec<_> = faults.iter().filter(|fault| fault.table == "raw_replies").collect();
        assert_eq!(named.len(), if damage.starts_with("DELETE") { 2 } else { 3 }, "{named:?}");
    }
}

#[derive(Debug, Clone)]
struct Said {
    raw: Vec<u8>,
    is_held: bool,
}

fn history() -> impl Strategy<Value = Vec<Said>> {
    let piece = prop::collection::vec(any::<u8>(), 0..300);
    let said = (0..6usize, piece, 0..2_000usize, any::<bool>());
    prop::collection::vec(said, 1..24).prop_map(|steps| {
        let mut last: Vec<u8> = Vec::new();
        let mut history = Vec::new();
        for (kind, piece, at, is_held) in steps {
            let at = at.min(last.len());
            match kind {
                0 => last.clone_from(&piece),
                1 => last.truncate(at),
                _ => drop(last.splice(at..at, piece)),
            }
            history.push(Said { raw: last.clone(), is_held });
        }
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_reply_that_is_kept_reads_back_as_it_came(history in history()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = scratch().await;
            let mut held = None;
            for (said_now, round) in history.iter().zip(1..) {
                held = Some(said(&store, round, &said_now.raw, held.filter(|_| said_now.is_held)).await);
            }
            let count = history.len() as u64;
            for (said_then, round) in history.iter().zip(1..) {
                match store.raw_reply(&element(1), round).await.unwrap() {
                    Some(raw) => assert_eq!(raw, said_then.raw),
                    None => assert!(round + 2 <= count, "one of the newest two is gone"),
                }
            }
            assert!(store.fsck().await.unwrap().is_clean());
        });
    }
}
