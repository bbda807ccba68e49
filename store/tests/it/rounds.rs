//! A round is all there or not at all, balances, and can be committed again without harm.

use model::change::Progress;
use model::{Accounting, Authorisation, Finding, Outcome, Snapshot, Timestamp};
use proptest::prelude::*;
use store::{
    Advance, Begun, ChangeCounts, Committed, RequestFilter, RequestProgress, RoundEdit, Store, StoreError,
};

use crate::world::*;

#[tokio::test]
async fn a_round_reads_back_as_it_was_committed_and_a_second_commit_changes_nothing() {
    let (store, _folder) = scratch().await;
    assert_eq!(store.next_round().await.unwrap(), 1);
    assert_eq!(store.begin_round(&start(1, 3)).await.unwrap(), Begun::New);
    assert_eq!(store.open_round().await.unwrap(), Some(start(1, 3)));
    let mut found = commit(1);
    collect(&mut found, 1, snapshot(1, 3, 7));
    let failed = Outcome::Failed { reason: "timeout".into(), detail: "no hello within 30 s".into() };
    found.stations.push(result(2, failed.clone(), 1));
    found.stations.push(result(3, Outcome::Skipped { reason: "restart".into() }, 1));
    found.edits.push(RoundEdit {
        element: element(1),
        edit: edit(cell(1, 1), "nRPCI", Some("1"), Some("7")),
        authorisation: Some(Authorisation::Exact),
        request: Some("CR-1".into()),
    });
    assert_eq!(store.commit_round(&found).await.unwrap(), Committed::Now);
    assert_eq!(store.commit_round(&found).await.unwrap(), Committed::AlreadyCommitted);
    assert_eq!(store.open_round().await.unwrap(), None);
    assert_eq!(store.next_round().await.unwrap(), 2);

    let row = store.round(1).await.unwrap().unwrap();
    assert_eq!((row.start, row.finished), (start(1, 3), Some(found.finished)));
    let accounting = Accounting { expected: 3, collected: 1, unchanged: 0, failed: 1, skipped: 1 };
    assert_eq!(row.accounting, accounting);
    assert_eq!(row.changes, ChangeCounts { observed: 1, authorised: 1, unauthorised: 0 });
    assert_eq!(store.station_results(1).await.unwrap(), found.stations);
    assert_eq!(store.failures(1).await.unwrap()[0].outcome, failed);
    assert_eq!(store.failure_reasons(1).await.unwrap(), [("timeout".to_owned(), 1)].into());
    let edits = store.edits(1).await.unwrap();
    assert_eq!((edits.len(), &edits[0].edit), (1, &found.edits[0]));
    assert_eq!(store.edits_of(&cell(1, 1), 9).await.unwrap(), edits);
    let recent = memory_of(&store, 1, Timestamp(0)).await.recent_changes(Timestamp(1_500));
    assert_eq!(recent.into_iter().collect::<Vec<_>>(), [((cell(1, 1), "nRPCI".into()), 1)]);
    assert!(memory_of(&store, 1, Timestamp(0)).await.recent_changes(Timestamp(1_501)).is_empty());
    assert!(memory_of(&store, 1, Timestamp(1_501)).await.recent_changes(Timestamp(0)).is_empty());
    let raw = store.raw_reply(&element(1), 1).await.unwrap().unwrap();
    assert_eq!(&raw, found.snapshots[0].raw.as_ref());
    assert!(store.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn findings_stand_while_the_snapshot_does_and_may_be_new_on_an_unchanged_one() {
    let (store, _folder) = scratch().await;
    let with = |codes: &[&str]| {
        let mut read = snapshot(1, 2, 7);
        read.add_findings(codes.iter().map(|code| Finding {
            code: (*code).into(),
            place: "document".into(),
            message: "odd".into(),
        }));
        read
    };
    let codes = async |round| -> Vec<String> {
        let all = store.findings(round, 10).await.unwrap();
        all.into_iter().flat_map(|(_, findings)| findings).map(|finding| finding.code).collect()
    };
    for (round, read, outcome) in [
        (1, Some(with(&["not-validated"])), Outcome::Collected),
        (2, None, Outcome::Unchanged),
        (3, Some(with(&["validation-failed"])), Outcome::Unchanged),
        (4, None, Outcome::Failed { reason: "timeout".into(), detail: String::new() }),
        (5, Some(with(&[])), Outcome::Unchanged),
    ] {
        store.begin_round(&start(round, 1)).await.unwrap();
        let mut found = commit(round);
        if let Some(read) = read {
            collect(&mut found, 1, read);
            found.stations.clear();
        }
        found.stations.push(result(1, outcome, round));
        store.commit_round(&found).await.unwrap();
    }
    assert_eq!(codes(1).await, ["not-validated"]);
    assert_eq!(codes(2).await, ["not-validated"]);
    assert_eq!(codes(3).await, ["validation-failed"]);
    assert_eq!(codes(4).await, Vec::<String>::new());
    assert_eq!(codes(5).await, Vec::<String>::new());
    assert!(store.findings(1, 0).await.unwrap().is_empty());
    assert!(store.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_round_that_does_not_balance_leaves_nothing() {
    let (store, _folder) = scratch().await;
    store.begin_round(&start(1, 2)).await.unwrap();
    let mut short = commit(1);
    collect(&mut short, 1, snapshot(1, 1, 1));
    assert!(matches!(store.commit_round(&short).await, Err(StoreError::Unbalanced { round: 1, .. })));

    let mut twice = short.clone();
    twice.stations.push(twice.stations[0].clone());
    assert!(matches!(store.commit_round(&twice).await, Err(StoreError::Conflict { .. })));

    let mut lost = short.clone();
    lost.stations.push(result(2, Outcome::Collected, 1));
    assert!(matches!(store.commit_round(&lost).await, Err(StoreError::Conflict { .. })));

    let mut invented = short.clone();
    collect(&mut invented, 2, snapshot(2, 1, 1));
    invented.stations[1].outcome = Outcome::Skipped { reason: "restart".into() };
    assert!(matches!(store.commit_round(&invented).await, Err(StoreError::Conflict { .. })));

    let mut foreign = short.clone();
    collect(&mut foreign, 2, snapshot(2, 1, 1));
    foreign.openings.push(opening(3, 1, "1"));
    assert!(matches!(store.commit_round(&foreign).await, Err(StoreError::Conflict { .. })));

    assert!(store.stations().await.unwrap().is_empty());
    assert_eq!(store.newest_snapshot(&element(1)).await.unwrap(), None);
    assert_eq!(store.open_round().await.unwrap().map(|s| s.round), Some(1));
    assert!(matches!(store.commit_round(&commit(2)).await, Err(StoreError::Missing { .. })));
}

#[tokio::test]
async fn one_round_is_open_at_a_time_and_numbers_only_grow() {
    let (store, _folder) = scratch().await;
    store.begin_round(&start(4, 0)).await.unwrap();
    let restarted = store::RoundStart { started: Timestamp(99), ..start(4, 0) };
    assert_eq!(store.begin_round(&restarted).await.unwrap(), Begun::Again);
    assert_eq!(store.open_round().await.unwrap(), Some(start(4, 0)), "the first start stays");
    for other in [start(5, 0), start(4, 1)] {
        assert!(matches!(store.begin_round(&other).await, Err(StoreError::Conflict { .. })));
    }
    store.commit_round(&commit(4)).await.unwrap();
    for other in [start(4, 0), start(3, 0), store::RoundStart { origin: "unicom".into(), ..start(5, 0) }] {
        assert!(matches!(store.begin_round(&other).await, Err(StoreError::Conflict { .. })));
    }
    store.begin_round(&start(5, 0)).await.unwrap();
}

/// Rounds over one station; each inner list is what its cells' PCIs are, `None` for a missing cell.
async fn write_history(store: &Store, history: &[Vec<Option<u64>>]) -> Vec<Snapshot> {
    let mut written = Vec::new();
    for (pcis, round) in history.iter().zip(1..) {
        let all = snapshot(1, pcis.len() as u32, 0);
        let cells = all.objects().iter().zip(pcis).filter_map(|(object, pci)| {
            let mut attributes = object.attributes().to_vec();
            attributes.push(("pci".into(), pci.as_ref()?.to_string().as_str().into()));
            Some(model::Object::new(object.dn().clone(), attributes, vec![]))
        });
        let finding = Finding { code: "odd".into(), place: round.to_string(), message: "odd".into() };
        let read = Snapshot::new(interpretation(), cells.collect(), vec![finding]);
        store.begin_round(&start(round, 1)).await.unwrap();
        let mut found = commit(round);
        collect(&mut found, 1, read.clone());
        // Told truly what stands, told wrongly, or not at all: what is stored is the same.
        found.snapshots[0].base = match round % 3 {
            0 => None,
            1 => written.last().cloned().map(Into::into),
            _ => written.first().cloned().map(Into::into),
        };
        store.commit_round(&found).await.unwrap();
        written.push(read);
    }
    written
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn every_snapshot_of_any_history_reads_back(
        history in prop::collection::vec(prop::collection::vec(prop::option::of(0u64..3), 1..5), 1..24)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = scratch().await;
            let written = write_history(&store, &history).await;
            for (snapshot, round) in written.iter().zip(1..) {
                let stored = store.snapshot_at(&element(1), round).await.unwrap().unwrap();
                assert_eq!((&*stored.snapshot, stored.round), (snapshot, round));
            }
            let newest = store.newest_snapshots().await.unwrap();
            assert_eq!(&*newest[0].snapshot, written.last().unwrap());
            for version in store.history(&cell(1, 1)).await.unwrap() {
                let there = written[version.round as usize - 1].object(&cell(1, 1));
                assert_eq!(version.object.as_ref(), there);
            }
            assert_eq!(store.fsck().await.unwrap().faults, []);
        });
    }
}

#[tokio::test]
async fn an_unchanged_station_costs_no_version_and_its_last_read_moves_on() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 1).await;
    store.begin_round(&start(2, 1)).await.unwrap();
    let mut quiet = commit(2);
    quiet.stations.push(result(1, Outcome::Unchanged, 2));
    store.commit_round(&quiet).await.unwrap();
    store.begin_round(&store::RoundStart { opened: None, ..start(3, 1) }).await.unwrap();
    let mut failed = commit(3);
    failed.stations.push(result(1, Outcome::Failed { reason: "timeout".into(), detail: String::new() }, 3));
    store.commit_round(&failed).await.unwrap();

    assert_eq!(store.history(&cell(1, 1)).await.unwrap().len(), 1);
    let stored = store.snapshot_at(&element(1), 3).await.unwrap().unwrap();
    assert_eq!((stored.round, &*stored.snapshot), (1, &lasting(&snapshot(1, 3, 1))));
    assert!(store.raw_reply(&element(1), 3).await.unwrap().is_some());
    let station = store.station(&element(1)).await.unwrap().unwrap();
    let read = store::LastRead { round: 2, opened: Some(102), read: Timestamp(2_500) };
    assert_eq!((station.last_read, station.failed_in_a_row), (Some(read), 1));
    assert_eq!((station.last_round, station.last_outcome.as_deref()), (Some(3), Some("failed")));
    assert_eq!(station.interpretation, Some(interpretation()));
    let coverage = store.coverage(1, 3).await.unwrap();
    assert_eq!((coverage[0].expected, coverage[0].read, coverage[0].reasons["timeout"]), (3, 2, 1));
}

#[tokio::test]
async fn only_the_newest_raw_replies_are_kept() {
    let (store, _folder) = scratch().await;
    for round in 1..=4 {
        full_round(&store, round, 1).await;
    }
    let mut kept = Vec::new();
    for round in 1..=4 {
        kept.push(store.raw_reply(&element(1), round).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, false, true, true]);
    assert!(store.snapshot_at(&element(1), 1).await.unwrap().is_some(), "its objects stay");
}

#[tokio::test]
async fn openings_stand_until_another_version_or_the_end_of_the_attribute() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 2).await;
    store.begin_round(&start(2, 2)).await.unwrap();
    let mut second = commit(2);
    second.stations.extend([1, 2].map(|s| result(s, Outcome::Unchanged, 2)));
    second.openings.push(opening(1, 2, "9"));
    second.closed.push((element(2), cell(2, 1), "nRPCI".into()));
    store.commit_round(&second).await.unwrap();

    let first = store.openings_at(1).await.unwrap();
    assert_eq!(first.iter().map(|o| o.version).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(first[0].commitment, first[0].opening.commitment());
    let now = store.openings_at(2).await.unwrap();
    assert_eq!(now.len(), 1);
    assert_eq!((now[0].version, now[0].since, now[0].until), (2, 2, None));
    assert_eq!(store.openings_of(&cell(2, 1), 2).await.unwrap(), []);
    let all = store.opening_history(&cell(1, 1), "nRPCI").await.unwrap();
    assert_eq!(all.iter().map(|o| o.until).collect::<Vec<_>>(), [Some(2), None]);
}

#[tokio::test]
async fn a_forged_opening_is_stored_like_any_other_and_does_not_open() {
    let (store, _folder) = scratch().await;
    full_round(&store, 1, 2).await;
    store.forge_opening(&cell(1, 1), "nRPCI", "\"7\"").await.unwrap();
    let now = store.openings_at(1).await.unwrap();
    assert_eq!(now[0].opening.value, "\"7\"");
    assert_ne!(now[0].commitment, now[0].opening.commitment());
    assert_eq!(now[1].commitment, now[1].opening.commitment());
    assert!(store.forge_opening(&cell(1, 1), "nRPCI", "\"7\"").await.is_err(), "it is no other value");
    assert!(store.forge_opening(&cell(9, 1), "nRPCI", "\"7\"").await.is_err(), "there is no such object");
    assert!(!store.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn progress_and_advances_are_remembered() {
    let (store, _folder) = scratch().await;
    store.begin_round(&start(1, 1)).await.unwrap();
    let mut found = commit(1);
    collect(&mut found, 1, snapshot(1, 1, 1));
    found.requests.push(RequestProgress {
        request: "CR-1".into(),
        progress: Progress::Partial,
        observed: vec![(cell(1, 1), "nRPCI".into())],
    });
    found.advances.push(Advance {
        element: element(1),
        edit: edit(cell(1, 1), "nRPCI", None, Some("1")),
        request: "CR-1".into(),
        height: 7,
    });
    store.commit_round(&found).await.unwrap();
    let carried_out = memory_of(&store, 1, Timestamp(0)).await.carried_out;
    assert_eq!(carried_out.into_iter().collect::<Vec<_>>(), [("CR-1".into(), cell(1, 1), "nRPCI".into())]);
    assert!(memory_of(&store, 2, Timestamp(0)).await.carried_out.is_empty());
    assert!(store.requests(&RequestFilter::default()).await.unwrap().is_empty());
}

/// One station-day: of 100 objects two have one changed leaf each.
#[tokio::test]
async fn a_station_day_costs_hundreds_of_bytes_and_not_the_configuration() {
    let (store, _folder) = scratch().await;
    let (stations, days) = (10u32, 40u64);
    let read = |station: u32, day: u64| {
        let before = snapshot(station, 100, 0);
        let objects = before.objects().iter().enumerate().map(|(n, object)| {
            let mut attributes = object.attributes().to_vec();
            if n < 2 {
                attributes[n].1 = model::Value::text(format!("changed on day {day}"));
            }
            model::Object::new(object.dn().clone(), attributes, vec![])
        });
        Snapshot::new(interpretation(), objects.collect(), vec![])
    };
    let mut first_day = 0;
    for day in 1..=days {
        store.begin_round(&start(day, stations.into())).await.unwrap();
        let mut found = commit(day);
        (1..=stations).for_each(|station| collect(&mut found, station, read(station, day)));
        store.commit_round(&found).await.unwrap();
        if day == 1 {
            first_day = store.size_bytes().await.unwrap();
        }
    }
    let grown = store.size_bytes().await.unwrap() - first_day;
    let each = grown / (u64::from(stations) * (days - 1));
    println!("first day {} B a station, then {each} B a station-day", first_day / u64::from(stations));
    assert!(each < 1_000, "{each}");
}
