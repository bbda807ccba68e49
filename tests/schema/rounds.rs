//! Simulated stations that serve their modules rightly and wrongly, validated by the real worker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use collector::schema::WorkerCommand;
use collector::session::Limits;
use collector::sweep::{Reading, StationPlan, StationRead, SweepOptions, sweep};
use collector::validation::{Schemas, TextCache, WorkerPool};
use model::{Finding, Profile, Timestamp};
use sim::{Fault, Versions, WorldSpec, manager, serve_stations};
use tokio_util::sync::CancellationToken;

fn schemas(cache: &Path) -> Arc<Schemas> {
    let command = WorkerCommand::of(super::PROGRAM);
    Arc::new(Schemas::from_devices(TextCache::open(cache).unwrap(), WorkerPool::new(command, 2), [7; 32]))
}

/// One round over stations with these faults, one after the other.
async fn round(dir: &Path, versions: Versions, faults: &[Fault]) -> Vec<StationRead> {
    let spec = WorldSpec { versions, ..WorldSpec::new(dir, faults.len(), 2, 5) };
    let world = serve_stations(&spec).await.unwrap();
    let mut plans = vec![];
    for (station, fault) in world.inventory().stations.iter().zip(faults) {
        let target = manager::target(dir, station, "collector").unwrap();
        let profile = Arc::new(Profile::plain("p"));
        let element = station.element.parse().unwrap();
        plans.push(StationPlan { element, target, profile, previous: None });
        assert!(world.set_fault(plans.len(), *fault));
    }
    let limits = Limits { deadline: Duration::from_secs(60), max_reply_bytes: 16 << 20 };
    let schemas = Some(schemas(&dir.join("schemas")));
    let options = SweepOptions { concurrency: 1, limits, schemas, ..SweepOptions::default() };
    let now = AtomicI64::new(0);
    let clock = Arc::new(move || Timestamp::from_millis(now.fetch_add(1, Ordering::SeqCst)));
    sweep(plans, options, clock, CancellationToken::new()).await
}

fn findings(read: &StationRead) -> &[Finding] {
    match &read.reading {
        Reading::Collected(collected) => collected.snapshot.findings(),
        other => panic!("{}: {other:?}", read.element),
    }
}

#[tokio::test]
async fn a_round_goes_on_over_stations_whose_modules_are_wrong_and_says_whose_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let faults = [Fault::SchemaEndless, Fault::SchemaOther, Fault::SchemaLoop, Fault::None];
    let reads = round(dir.path(), Versions::Both, &faults).await;
    let [endless, other, looping, right] = reads.as_slice() else { panic!("{reads:?}") };

    let [finding] = findings(endless) else { panic!("{:?}", findings(endless)) };
    assert_eq!(finding.code, "schema-not-known");
    assert!(finding.message.contains("ranproof-nrm-"), "{finding:?}");

    let first = &findings(other)[0];
    assert_eq!(first.code, "schema-not-loaded");
    assert!(
        first.place.starts_with("module ranproof-nrm-") && first.message.contains("answered"),
        "{first:?}"
    );
    assert!(first.message.contains("; schema set "), "{first:?}");

    let told = findings(looping);
    assert!(
        told.iter().any(|f| f.code == "schema-not-loaded" && f.place.contains("ranproof-nrm-")),
        "{told:?}"
    );

    assert_eq!(findings(right), [], "the same list, its own texts");
}

#[tokio::test]
async fn stations_that_tell_their_modules_in_the_hello_alone_are_validated_too() {
    let dir = tempfile::tempdir().unwrap();
    let reads = round(dir.path(), Versions::OnlyOld, &[Fault::None, Fault::None]).await;
    for read in &reads {
        assert_eq!(findings(read), []);
    }
}
