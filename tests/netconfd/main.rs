//! Our collector and judge against netconfd and ncclient: a NETCONF server and a manager nobody here wrote.

mod modules;
mod scene;
mod schemas;
mod server;

use std::time::Duration;

use collector::schema::ModuleId;
use collector::session::{ConnectError, Limits, Session, poll};
use model::{Authorisation, Operation, Value, diff};
use scene::{CARRIER, CELL, POWER, Scene, collected, is_unchanged, selection};
use server::{Edited, Netconfd};
use sim::modules::{MODULES, REVISION};

const LIMITS: Limits = Limits { deadline: Duration::from_secs(20), max_reply_bytes: 1024 * 1024 };

#[tokio::test]
async fn a_change_by_another_manager_is_the_one_edit_found_and_is_unapproved() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let mut scene = Scene::first_read(&server).await;
    assert!(is_unchanged(&scene.read(&server).await), "nothing was changed in between");

    assert_eq!(server.edit("power", false), Edited::Done);
    let now = collected(scene.read(&server).await);
    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let [edit] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!((edit.object.as_str(), edit.attribute.as_str()), (CARRIER, POWER));
    assert_eq!((&edit.old, &edit.new), (&Some(Value::from("40000")), &Some(Value::from("46000"))));

    let judgement = scene.judge(&now.snapshot, &edits, &[]);
    let [difference] = judgement.differences.as_slice() else { panic!("{judgement:?}") };
    assert_eq!(difference.verdict.authorisation, Authorisation::Unapproved);
    assert_eq!(difference.edit, *edit);
    assert!(judgement.advances.is_empty());
}

#[tokio::test]
async fn the_same_change_is_exact_when_it_was_approved() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let mut scene = Scene::first_read(&server).await;
    assert_eq!(server.edit("power", false), Edited::Done);
    let now = collected(scene.read(&server).await);
    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let judgement = scene.judge(&now.snapshot, &edits, &[scene.request_for(&edits)]);
    assert!(judgement.differences.is_empty(), "{judgement:?}");
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Exact);
}

#[tokio::test]
async fn a_reordered_plmn_list_is_one_move_and_is_unapproved() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let mut scene = Scene::first_read(&server).await;
    assert_eq!(server.edit("plmn-order", false), Edited::Done);
    let now = collected(scene.read(&server).await);
    let edits = diff(scene.first(), &now.snapshot).expect("read in one way");
    let [edit] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!((edit.object.as_str(), edit.attribute.as_str()), (CELL, "pLMNInfoList"));
    assert!(edit.moved && edit.operation == Operation::Replace, "{edit:?}");
    let judgement = scene.judge(&now.snapshot, &edits, &[]);
    assert_eq!(judgement.differences[0].verdict.authorisation, Authorisation::Unapproved);
}

#[tokio::test]
async fn an_edit_that_was_refused_or_only_said_ok_is_no_change() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    let mut scene = Scene::first_read(&server).await;
    assert_eq!(server.edit("pci-out-of-range", false), Edited::Refused);
    // netconfd answers ok to validate and to the commit after it, and commits nothing.
    assert_eq!(server.edit("power", true), Edited::NotThere);
    assert!(is_unchanged(&scene.read(&server).await));
}

#[tokio::test]
async fn the_first_request_is_answered_in_every_session() {
    let Some(server) = Netconfd::start() else { return };
    assert_eq!(server.edit("station", false), Edited::Done);
    // netconfd loses a request that it reads together with the hello, and then never answers. Sent at once
    // after the server's hello, one first request in seventy was lost on a busy machine.
    for _ in 0..20 {
        let read = poll(&server.target(), &LIMITS, &selection()).await.expect("every poll is answered");
        assert!(read.hello.capabilities.has("urn:ietf:params:netconf:base:1.1"));
        assert!(String::from_utf8_lossy(read.reply.content()).contains("<nRPCI>77</nRPCI>"));
    }
}

#[tokio::test]
async fn every_module_of_ours_is_listed_and_its_text_comes_back() {
    let Some(server) = Netconfd::start() else { return };
    let mut session = Session::connect(&server.target(), &LIMITS).await.expect("it accepts us");
    let library = session.library().await.expect("it lists its modules");
    assert!(library.content_id.is_some(), "netconfd names the set");
    for module in MODULES {
        let id = ModuleId::new(module.name, Some(REVISION)).expect("a module of ours");
        let listed = library.modules.iter().find(|entry| entry.id == id);
        assert_eq!(listed.map(|entry| entry.namespace.as_str()), Some(module.namespace), "{id}");
        let text = session.get_schema(&id).await.expect("it serves its modules");
        // netconfd adds empty lines around it.
        assert!(text.trim() == module.text.trim(), "{id} came back as {text}");
    }
    session.close().await;
}

#[tokio::test]
async fn another_host_key_gets_no_credential() {
    let Some(server) = Netconfd::start() else { return };
    let refused = Session::connect(&server.target_with_another_pin(), &LIMITS).await;
    assert!(matches!(refused, Err(ConnectError::HostKeyMismatch { .. })), "{refused:?}");
    let log = server.ssh_log();
    assert!(log.contains("Connection from"), "sshd saw us: {log}");
    for word in ["Accepted", "Failed", "Postponed"] {
        assert!(!log.contains(word), "sshd saw a credential: {log}");
    }
}
