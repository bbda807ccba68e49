//! Rounds with schemas from the device: netconfd lists its modules and serves their texts, the real worker validates.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use collector::schema::WorkerCommand;
use collector::sweep::Reading;
use collector::validation::{Schemas, TextCache, WorkerPool};
use model::profile::WithDefaults;
use model::{Authorisation, OBJECT, Operation, Value, diff};
use tempfile::TempDir;

use crate::scene::{CELL, How, Scene, collected, is_unchanged};
use crate::server::{Edited, Netconfd, modules_folder};

const FIRST_CARRIER: &str = "SubNetwork=bj,ManagedElement=gnb-101,GNBDUFunction=1,NRSectorCarrier=1";

/// Schemas from stations, their texts kept in `folder`.
fn from_devices(folder: &Path) -> How {
    let command = WorkerCommand::of(env!("CARGO_BIN_EXE_ranproof"));
    let cache = TextCache::open(folder).expect("a folder of ours");
    let schemas = Schemas::from_devices(cache, WorkerPool::new(command, 1), [7; 32]);
    How { schemas: Some(Arc::new(schemas)), with_defaults: None }
}

/// Our modules as a careless vendor has them: the same names and revisions, another range.
fn wider_modules() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for entry in fs::read_dir(modules_folder()).expect("our modules") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text");
        let name = path.file_name().expect("a file's name");
        let wider = text.replacen("range \"0..1007\";", "range \"0..65535\";", 1);
        fs::write(folder.path().join(name), wider).expect("the folder is ours");
    }
    folder
}

#[tokio::test]
async fn a_value_outside_its_range_is_not_validated_and_still_compared_and_judged() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let cache = TempDir::new().expect("a temporary folder can be made");
    // No finding: the modules that netconfd serves all load, and the configuration is valid.
    let mut scene = Scene::first_read_as(&server, from_devices(cache.path())).await;

    let modules = wider_modules();
    let Some(careless) = Netconfd::start_with(modules.path()) else { return };
    assert_eq!(careless.edit("station", false), Edited::Done);
    assert_eq!(careless.edit("pci-out-of-range", false), Edited::Done);
    let now = collected(scene.read(&careless).await);
    let [finding] = now.snapshot.findings() else { panic!("{:?}", now.snapshot.findings()) };
    assert_eq!(finding.code, "not-validated");
    let path = &finding.place;
    assert!(path.starts_with("/ranproof-nrm-managed-element:ManagedElement[id='gnb-101']/"), "{path}");
    assert!(path.contains("NRCellDU[id='1']/") && path.ends_with("/nRPCI"), "{path}");
    assert!(finding.message.contains("range") && !finding.message.contains("1008"), "{finding:?}");

    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let [edit] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!((edit.object.as_str(), edit.attribute.as_str()), (CELL, "nRPCI"));
    assert_eq!((&edit.old, &edit.new), (&Some(Value::from("77")), &Some(Value::from("1008"))));
    let judgement = scene.judge(&now.snapshot, &edits, &[]);
    assert_eq!(judgement.differences[0].verdict.authorisation, Authorisation::Unapproved);
}

#[tokio::test]
async fn a_reordered_attribute_is_a_move_and_reordered_siblings_with_keys_are_no_edit() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let cache = TempDir::new().expect("a temporary folder can be made");
    let mut scene = Scene::first_read_as(&server, from_devices(cache.path())).await;

    // An entry that was deleted and made again stands last.
    assert_eq!(server.edit("carrier-away", false), Edited::Done);
    assert_eq!(server.edit("carrier-back", false), Edited::Done);
    let reading = scene.read(&server).await;
    let Reading::Unchanged { fresh: Some(fresh), .. } = reading else { panic!("{reading:?}") };
    assert!(fresh.snapshot.findings().is_empty(), "{:?}", fresh.snapshot.findings());

    assert_eq!(server.edit("plmn-order", false), Edited::Done);
    let now = collected(scene.read(&server).await);
    assert!(now.snapshot.findings().is_empty(), "{:?}", now.snapshot.findings());
    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let [edit] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!((edit.object.as_str(), edit.attribute.as_str()), (CELL, "pLMNInfoList"));
    assert!(edit.moved && edit.operation == Operation::Replace, "{edit:?}");
}

#[tokio::test]
async fn a_default_made_explicit_is_no_edit_in_whatever_way_the_station_is_asked() {
    for with_defaults in
        [Some(WithDefaults::ReportAll), Some(WithDefaults::Explicit), Some(WithDefaults::Trim), None]
    {
        let Some(server) = Netconfd::start() else { return };
        assert_eq!(server.edit("station", false), Edited::Done);
        let cache = TempDir::new().expect("a temporary folder can be made");
        let how = How { with_defaults, ..from_devices(cache.path()) };
        let mut scene = Scene::first_read_as(&server, how).await;
        let cell = scene.first().object(&CELL.parse().expect("a DN")).expect("the cell").clone();
        let period = cell.attribute("ssbPeriodicity");
        assert_eq!(period, Some(&Value::from("20")), "its default, which nobody wrote: {with_defaults:?}");
        assert_ne!(server.edit("default-explicit", false), Edited::Refused);
        let reading = scene.read(&server).await;
        assert!(is_unchanged(&reading), "{with_defaults:?}: {reading:?}");
    }
}

#[tokio::test]
async fn a_deleted_list_entry_is_a_delete() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let cache = TempDir::new().expect("a temporary folder can be made");
    let mut scene = Scene::first_read_as(&server, from_devices(cache.path())).await;
    assert_eq!(server.edit("carrier-away", false), Edited::Done);
    let now = collected(scene.read(&server).await);
    assert!(now.snapshot.findings().is_empty(), "{:?}", now.snapshot.findings());
    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let [edit] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!((edit.object.as_str(), edit.attribute.as_str()), (FIRST_CARRIER, OBJECT));
    assert_eq!((edit.operation, &edit.new), (Operation::Delete, &None));
    let judgement = scene.judge(&now.snapshot, &edits, &[]);
    assert_eq!(judgement.differences[0].verdict.authorisation, Authorisation::Unapproved);
}
