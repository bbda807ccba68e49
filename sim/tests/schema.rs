//! The modules a station lists and serves, by its library and by its hello, right and disturbed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use collector::schema::Library;
use collector::session::{ConnectError, Limits, SchemaError, Session, Target};
use ranproof_sim::modules::{CONTENT_ID, MODULES, Module};
use ranproof_sim::{Fault, Versions, World, WorldSpec, manager, serve_stations};

async fn world(dir: &Path, versions: Versions) -> (World, Target) {
    let spec = WorldSpec { versions, ..WorldSpec::new(dir, 1, 1, 5) };
    let world = serve_stations(&spec).await.unwrap();
    let target = manager::target(dir, &world.inventory().stations[0], "collector").unwrap();
    (world, target)
}

async fn try_connect(target: &Target) -> Result<Session, ConnectError> {
    let limits = Limits { deadline: Duration::from_secs(20), max_reply_bytes: 64 << 20 };
    Session::connect(target, &limits).await
}

async fn connect(target: &Target) -> Session {
    try_connect(target).await.unwrap()
}

fn listed(library: &Library) -> Vec<(&str, &str, bool)> {
    library
        .modules
        .iter()
        .map(|module| (module.id.name.as_str(), module.namespace.as_str(), module.implemented))
        .collect()
}

fn expected(wanted: impl Fn(&&Module) -> bool) -> Vec<(&'static str, &'static str, bool)> {
    let modules = MODULES.iter().filter(wanted);
    modules.map(|module| (module.name, module.namespace, module.implemented)).collect()
}

#[tokio::test]
async fn the_library_and_every_text_are_those_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_world, target) = world(dir.path(), Versions::Both).await;
    let mut session = connect(&target).await;
    let library = session.library().await.unwrap();
    assert_eq!(listed(&library), expected(|_| true));
    assert_eq!(library.content_id.as_deref(), Some(CONTENT_ID.as_str()));
    assert_eq!(session.capabilities().schema_id(), Some(CONTENT_ID.as_str()));
    for (entry, module) in library.modules.iter().zip(MODULES) {
        assert_eq!(session.get_schema(&entry.id).await.unwrap(), module.text);
    }
    session.close().await;
}

#[tokio::test]
async fn an_old_station_names_its_modules_in_the_hello() {
    let dir = tempfile::tempdir().unwrap();
    let (_world, target) = world(dir.path(), Versions::OnlyOld).await;
    let mut session = connect(&target).await;
    let library = session.library().await.unwrap();
    assert_eq!(listed(&library), expected(|module| module.implemented));
    let text = session.get_schema(&library.modules[0].id).await.unwrap();
    assert_eq!(text, MODULES[0].text);
    session.close().await;
}

/// Asks for every module until one answer is an error.
async fn fetch_all(mut session: Session) -> Result<Vec<String>, SchemaError> {
    let mut texts = Vec::new();
    for entry in session.library().await?.modules {
        texts.push(session.get_schema(&entry.id).await?);
    }
    session.close().await;
    Ok(texts)
}

#[tokio::test]
async fn disturbed_texts_are_refused_by_name() {
    for (fault, reason, words) in [
        (Fault::SchemaOther, "schema-mismatch", "the station answered `ranproof-nrm-managed-element@"),
        (Fault::SchemaEndless, "too-large", "text of module `ranproof-nrm-eutra@"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (world, target) = world(dir.path(), Versions::Both).await;
        // The fault stands before the first session, which would end with a change.
        assert!(world.set_fault(1, fault));
        let error = fetch_until(&target, Result::is_err).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{}", error.full_message());
        let text = error.full_message();
        assert!(text.contains(words) && text.contains("RFC 6022"), "{text}");
        assert!(text.starts_with(&format!("{}:", target.address)), "{text}");
    }
}

#[tokio::test]
async fn a_loop_of_imports_arrives_as_the_station_serves_it() {
    let dir = tempfile::tempdir().unwrap();
    let (world, target) = world(dir.path(), Versions::Both).await;
    assert!(world.set_fault(1, Fault::SchemaLoop));
    let looped = |text: &String| text.contains("import ranproof-nrm-managed-element {\n    prefix loop;");
    let texts = fetch_until(&target, |outcome| outcome.as_ref().is_ok_and(|texts| texts.iter().any(looped)));
    let texts = texts.await.unwrap();
    assert_eq!(texts.len(), MODULES.len());
    assert_eq!(texts.iter().filter(|text| looped(text)).count(), 1);
}

/// Fetches until the station has taken up a fault, which it does on its own task.
async fn fetch_until(
    target: &Target,
    wanted: impl Fn(&Result<Vec<String>, SchemaError>) -> bool,
) -> Result<Vec<String>, SchemaError> {
    for _ in 0..200 {
        // A session that was open, or opening, while the fault changed ends early.
        let Ok(session) = try_connect(target).await else { continue };
        let outcome = fetch_all(session).await;
        let settled = !matches!(&outcome, Err(error) if matches!(error.reason(), "closed" | "ssh"));
        if settled && wanted(&outcome) {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the fault had no effect");
}
