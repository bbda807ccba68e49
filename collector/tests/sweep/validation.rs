//! Stations with schemas of their own: who is asked for what, and what is said of their replies.
//!
//! The worker is a script that finds every document wrong; the real one is in `tests/netconfd` and `tests/schema.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::previous_of;
use crate::support::{BASE, Script, Server, Step, data, limits};
use model::{Dn, Finding, Profile, Timestamp};
use ranproof_collector::schema::WorkerCommand;
use ranproof_collector::sweep::{Collected, Previous, Reading, Replies, StationPlan, SweepOptions, sweep};
use ranproof_collector::validation::{Schemas, TextCache, WorkerPool};
use tokio_util::sync::CancellationToken;

const LOADED: &str = r#"{"version":3,"outcome":{"loaded":{"modules":[],"faults":[]}},"body":0}"#;
const INVALID: &str =
    r#"{"version":3,"outcome":{"validated":{"message":"out of range","path":"/a:x","line":1}},"body":0}"#;

/// Tables of a schema that knows nothing.
const TABLE: &str = r#"{"modules":[],"types":[],"nodes":[],"top":[]}"#;

const A: &str = "module a { namespace \"urn:a\"; prefix a; revision 2020-01-01; }";
const OTHER_A: &str =
    "module a { namespace \"urn:a\"; prefix a; revision 2020-01-01; leaf x { type string; } }";

fn worker(script: String) -> Arc<WorkerPool> {
    let command = WorkerCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
    WorkerPool::new(command, 1)
}

fn pool() -> Arc<WorkerPool> {
    // What stands on a line is a request, after the body of the one before.
    let table = format!(r#"{{"version":3,"outcome":"table","body":{}}}"#, TABLE.len());
    worker(format!(
        "while read line; do case $line in *'\"load\"'*) echo '{LOADED}';; \
         *'\"table\"'*) echo '{table}'; printf %s '{TABLE}';; *) echo '{INVALID}';; esac; done"
    ))
}

fn schemas(cache: &Path) -> Arc<Schemas> {
    seeded(cache, FROM_THE_FIRST)
}

fn seeded(cache: &Path, seed: u8) -> Arc<Schemas> {
    Arc::new(Schemas::from_devices(TextCache::open(cache).unwrap(), pool(), [seed; 32]))
}

/// For a text that a station refuses to give.
const REFUSED: &str = "<rpc-error><error-type>application</error-type><error-tag>invalid-value</error-tag><error-severity>error</error-severity></rpc-error>";

/// A station that lists module `a` and what else is given, and serves these texts.
async fn station(content: &str, more: &str, texts: &[(&str, &str)]) -> Server {
    station_with(content, &["a", more], texts).await
}

async fn station_with(content: &str, modules: &[&str], texts: &[(&str, &str)]) -> Server {
    let reply = |text: &str| {
        if text == REFUSED {
            return format!("<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\">{text}</rpc-reply>");
        }
        let text = text.replace('<', "&lt;");
        format!("<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\"><data xmlns=\"urn:m\">{text}</data></rpc-reply>")
            .replace("urn:m", "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring")
    };
    let answers = texts
        .iter()
        .map(|(name, text)| (format!("<identifier>{name}<"), vec![Step::Reply(reply(text))]))
        .collect();
    let mut capabilities = vec![];
    for module in modules {
        capabilities.push(format!("urn:{module}?module={module}&revision=2020-01-01"));
    }
    capabilities.dedup();
    let answer = vec![Step::Reply(data(content))];
    Server::start(Script { answer, answers, capabilities, ..Script::default() }).await
}

/// A station that lists module `a` and ends the session where it is asked for it.
async fn breaking_at_schemas(content: &str) -> Server {
    let answers = vec![("<get-schema".to_owned(), vec![Step::Close])];
    let capabilities = vec!["urn:a?module=a&revision=2020-01-01".to_owned()];
    let answer = vec![Step::Reply(data(content))];
    Server::start(Script { answer, answers, capabilities, ..Script::default() }).await
}

fn name(n: usize) -> Dn {
    format!("SubNetwork=bj,ManagedElement=g{n}").parse().unwrap()
}

async fn read(n: usize, server: &Server, schemas: &Arc<Schemas>, previous: Option<Previous>) -> Reading {
    read_as(
        n,
        server,
        previous,
        SweepOptions { schemas: Some(Arc::clone(schemas)), ..SweepOptions::default() },
    )
    .await
}

async fn read_as(n: usize, server: &Server, previous: Option<Previous>, options: SweepOptions) -> Reading {
    let profile = Arc::new(Profile::plain("p"));
    let plan = StationPlan { element: name(n), target: server.target(), profile, previous };
    let options = SweepOptions { limits: limits(), ..options };
    let clock = Arc::new(|| Timestamp::from_millis(1));
    sweep(vec![plan], options, clock, CancellationToken::new()).await.remove(0).reading
}

fn collected(reading: Reading) -> Collected {
    match reading {
        Reading::Collected(collected) => *collected,
        other => panic!("{other:?}"),
    }
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

const CONTENT: &str = "<x xmlns=\"urn:a\">1</x>";

#[tokio::test]
async fn a_wrong_reply_is_kept_with_its_finding_and_not_held_against_its_schema_twice() {
    let cache = tempfile::tempdir().unwrap();
    let server = station(CONTENT, "a", &[("a", A)]).await;
    let first_run = schemas(cache.path());
    let first = collected(read(0, &server, &first_run, None).await);
    assert_eq!(codes(first.snapshot.findings()), ["not-validated"]);
    assert_eq!(first.snapshot.findings()[0].place, "/a:x");
    assert_eq!(first.snapshot.objects().len(), 1);
    assert!(String::from_utf8_lossy(&first.raw).contains(CONTENT), "the reply is kept as it came");

    let again = read(0, &server, &first_run, Some(previous_of(&first))).await;
    assert!(matches!(again, Reading::Unchanged { fresh: None, .. }), "{again:?}");

    // After a start nothing is remembered: the same reply is validated once more, by the texts that were kept. The
    // station serves none any more.
    let mute = station(CONTENT, "a", &[]).await;
    let restarted = schemas(cache.path());
    let Reading::Unchanged { fresh: Some(fresh), .. } =
        read(0, &mute, &restarted, Some(previous_of(&first))).await
    else {
        panic!("not validated anew");
    };
    assert_eq!(fresh.snapshot.findings(), first.snapshot.findings());
}

#[tokio::test]
async fn stations_with_one_list_share_one_set_that_is_fetched_once() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    let first = station(CONTENT, "a", &[("a", A)]).await;
    let twin = station(CONTENT, "a", &[]).await;
    for (n, server) in [&first, &twin].into_iter().enumerate() {
        let read = collected(read(n, server, &schemas, None).await);
        assert_eq!(codes(read.snapshot.findings()), ["not-validated"], "{n}");
    }
}

#[tokio::test]
async fn what_one_station_serves_decides_nothing_about_others() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    // Both list the same; one serves something else for it.
    let b = "module b { namespace \"urn:b\"; prefix b; revision 2020-01-01; }";
    let liar = station(CONTENT, "a", &[("a", b)]).await;
    let honest = station(CONTENT, "a", &[("a", A)]).await;
    let first = collected(read(0, &liar, &schemas, None).await);
    assert_eq!(codes(first.snapshot.findings()), ["schema-not-loaded", "not-validated"]);
    let second = collected(read(1, &honest, &schemas, None).await);
    assert_eq!(codes(second.snapshot.findings()), ["not-validated"]);
}

#[tokio::test]
async fn what_a_list_leaves_out_is_asked_for_where_it_is_imported() {
    let cache = tempfile::tempdir().unwrap();
    let imports = A.replace("revision", "import lent { prefix l; } revision");
    let lent = "module lent { namespace \"urn:l\"; prefix l; revision 2019-01-01; include part; }";
    let part = "submodule part { belongs-to lent { prefix l; } revision 2018-01-01; }";
    let server = station(CONTENT, "a", &[("a", &imports), ("lent", lent), ("part", part)]).await;
    let read = collected(read(0, &server, &schemas(cache.path()), None).await);
    assert_eq!(codes(read.snapshot.findings()), ["not-validated"]);
    for text in ["a@2020-01-01", "lent@2019-01-01", "part@2018-01-01"] {
        assert!(cache.path().join(format!("texts/{text}.yang")).exists(), "{text}");
    }
}

#[tokio::test]
async fn another_text_of_a_known_revision_is_told_and_neither_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    let first = station(CONTENT, "a", &[("a", A)]).await;
    collected(read(0, &first, &schemas, None).await);
    let b = "module b { namespace \"urn:b\"; prefix b; revision 2020-01-01; }";
    let second = station(CONTENT, "b", &[("a", OTHER_A), ("b", b)]).await;
    let other = collected(read(1, &second, &schemas, None).await);
    assert_eq!(codes(other.snapshot.findings()), ["module-text-differs", "not-validated"]);
    let finding = &other.snapshot.findings()[0];
    assert_eq!(finding.place, "module a");
    assert!(finding.message.contains("another text of a@2020-01-01"), "{finding:?}");
    assert!(!cache.path().join("texts/a@2020-01-01.yang").exists(), "the first one may be the altered one");
    // Where a station does not give its own, neither stands in for it.
    let c = "module c { namespace \"urn:c\"; prefix c; revision 2020-01-01; }";
    let third = station(CONTENT, "c", &[("a", REFUSED), ("c", c)]).await;
    let read_third = collected(read(2, &third, &schemas, None).await);
    assert_eq!(codes(read_third.snapshot.findings()), ["schema-not-loaded", "not-validated"]);
    let only_c = station_with(CONTENT, &["c"], &[("c", c)]).await;
    let read_only_c = collected(read(3, &only_c, &schemas, None).await);
    assert_eq!(read_third.snapshot.interpretation(), read_only_c.snapshot.interpretation());
}

#[tokio::test]
async fn a_station_that_does_not_give_its_modules_is_collected_all_the_same() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    // It lists two modules, serves one, and answers another one for the other.
    let partly = station(CONTENT, "b", &[("a", A), ("b", A)]).await;
    let read_partly = collected(read(0, &partly, &schemas, None).await);
    assert_eq!(codes(read_partly.snapshot.findings()), ["schema-not-loaded", "not-validated"]);
    let finding = &read_partly.snapshot.findings()[0];
    assert!(
        finding.place == "module b" && finding.message.contains("answered `a@2020-01-01`"),
        "{finding:?}"
    );

    let mute = Server::start(Script { answer: vec![Step::Reply(data(CONTENT))], ..Script::default() }).await;
    let read_mute = collected(read(1, &mute, &schemas, None).await);
    assert_eq!(codes(read_mute.snapshot.findings()), ["schema-not-known"]);
    let again = read(1, &mute, &schemas, Some(previous_of(&read_mute))).await;
    assert!(matches!(again, Reading::Unchanged { fresh: None, .. }), "what was said of it stands: {again:?}");
}

/// A store that holds one reply.
struct Kept(Option<Vec<u8>>);

impl Replies for Kept {
    fn last<'a>(&'a self, _: &'a Dn) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>> {
        Box::pin(async { self.0.clone() })
    }
}

#[tokio::test]
async fn a_station_that_gets_a_schema_is_read_anew_with_its_last_reply() {
    let cache = tempfile::tempdir().unwrap();
    let server = station(CONTENT, "a", &[("a", A)]).await;
    let first = collected(read_as(0, &server, None, SweepOptions::default()).await);
    let schemas = schemas(cache.path());
    let other: Vec<u8> = first.raw.iter().rev().copied().collect();
    let right = || Some(first.raw.to_vec());
    // What stands in memory needs no store.
    for (kept, in_memory, known) in [
        (right(), false, true),
        (Some(other.clone()), false, false),
        (None, false, false),
        (Some(other), true, true),
        (None, true, true),
    ] {
        let options = SweepOptions {
            schemas: Some(Arc::clone(&schemas)),
            replies: Some(Arc::new(Kept(kept))),
            ..SweepOptions::default()
        };
        let mut previous = previous_of(&first);
        previous.reply = previous.reply.filter(|_| in_memory);
        let now = collected(read_as(0, &server, Some(previous), options).await);
        assert_ne!(now.snapshot.interpretation(), first.snapshot.interpretation());
        assert_eq!(now.before.is_some(), known, "only the very reply that was read then says what was there");
        if let Some(before) = &now.before {
            assert_eq!(before.interpretation(), now.snapshot.interpretation());
            assert_eq!(before.objects(), first.snapshot.objects());
        }
        // From then on an equal reply is an equal reply.
        let again = read(0, &server, &schemas, Some(previous_of(&now))).await;
        assert!(matches!(again, Reading::Unchanged { fresh: None, .. }), "{again:?}");
    }
}

#[tokio::test]
async fn a_station_whose_schema_cannot_be_had_for_once_is_not_read_without_it() {
    let cache = tempfile::tempdir().unwrap();
    let server = station(CONTENT, "a", &[("a", A)]).await;
    let first = collected(read(0, &server, &schemas(cache.path()), None).await);
    let mute = Server::start(Script { answer: vec![Step::Reply(data(CONTENT))], ..Script::default() }).await;
    let Reading::Failed { reason, detail } =
        read(0, &mute, &schemas(cache.path()), Some(previous_of(&first))).await
    else {
        panic!("read without its schema");
    };
    assert_eq!(reason, "schema-unavailable");
    assert!(detail.contains("; hint: "), "{detail}");
    // One that never had a schema goes on without, also when something else makes another interpretation of it.
    let without = collected(read(1, &mute, &schemas(cache.path()), None).await);
    let other = model::Interpretation::new("none", &model::Digest::of(b"another profile"));
    let objects = without.snapshot.objects().to_vec();
    let snapshot = model::Snapshot::shared(other, objects, without.snapshot.findings().to_vec());
    let previous = Previous { snapshot: snapshot.into(), ..previous_of(&without) };
    collected(read(1, &mute, &schemas(cache.path()), Some(previous)).await);
}

#[tokio::test]
async fn a_station_whose_schema_ends_the_worker_is_not_read_without_it() {
    let cache = tempfile::tempdir().unwrap();
    let server = station(CONTENT, "a", &[("a", A)]).await;
    let first = collected(read(0, &server, &schemas(cache.path()), None).await);
    let killed = worker("read line; kill -KILL $$".to_owned());
    let killed = Arc::new(Schemas::from_devices(TextCache::open(cache.path()).unwrap(), killed, [0; 32]));
    let Reading::Failed { reason, detail } = read(0, &server, &killed, Some(previous_of(&first))).await
    else {
        panic!("read without its schema");
    };
    assert_eq!(reason, "schema-unavailable");
    assert!(detail.contains("was killed"), "{detail}");
    // One that never had a schema goes on without, and the same reply is not read again for what failed.
    let without = collected(read(1, &server, &killed, None).await);
    assert_eq!(codes(without.snapshot.findings()), ["schema-not-used", "schema-not-loaded"]);
    let again = read(1, &server, &killed, Some(previous_of(&without))).await;
    assert!(matches!(again, Reading::Unchanged { fresh: None, .. }), "{again:?}");
}

#[tokio::test]
async fn what_was_found_goes_once_nothing_is_validated_any_more() {
    let cache = tempfile::tempdir().unwrap();
    // Its interpretation is the same with and without: nothing else makes the reply be read again.
    let mute = Server::start(Script { answer: vec![Step::Reply(data(CONTENT))], ..Script::default() }).await;
    let first = collected(read(0, &mute, &schemas(cache.path()), None).await);
    assert_eq!(codes(first.snapshot.findings()), ["schema-not-known"]);
    let off = |previous| read_as(0, &mute, Some(previous), SweepOptions::default());
    let Reading::Unchanged { fresh: Some(fresh), .. } = off(previous_of(&first)).await else {
        panic!("what was found stands");
    };
    assert_eq!((fresh.snapshot.root(), fresh.snapshot.findings()), (first.snapshot.root(), &[][..]));
    let again = off(previous_of(&fresh)).await;
    assert!(matches!(again, Reading::Unchanged { fresh: None, .. }), "once is enough: {again:?}");
}

#[tokio::test]
async fn an_altered_text_that_compiles_is_told_of_both_and_believed_for_nobody_else() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    let liar = station(CONTENT, "a", &[("a", OTHER_A)]).await;
    let honest = station(CONTENT, "a", &[("a", A)]).await;
    let first = collected(read(0, &liar, &schemas, None).await);
    assert_eq!(codes(first.snapshot.findings()), ["not-validated"], "nobody has said otherwise yet");
    let other = collected(read(1, &honest, &schemas, None).await);
    assert_ne!(
        other.snapshot.interpretation(),
        first.snapshot.interpretation(),
        "it is read by its own text"
    );
    let told = other.snapshot.findings();
    assert_eq!(codes(told), ["module-text-differs", "not-validated"]);
    assert_eq!(told[0].place, "module a");
    for server in [&liar, &honest] {
        assert!(told[0].message.contains(&server.target().address.to_string()), "{:?}", told[0]);
    }
    // Its own reply is as before, and what is said of it is not.
    let again = read(0, &liar, &schemas, Some(previous_of(&first))).await;
    let Reading::Unchanged { fresh: Some(fresh), .. } = again else { panic!("{again:?}") };
    assert_eq!(fresh.snapshot.findings(), told);
    let quiet = read(0, &liar, &schemas, Some(previous_of(&fresh))).await;
    assert!(matches!(quiet, Reading::Unchanged { fresh: None, .. }), "{quiet:?}");
}

/// Modules that the stations below list.
const EIGHT: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// With this seed the comparison of those begins with the first one.
const FROM_THE_FIRST: u8 = 3;

/// One that lists eight modules, has its own text of `altered`, and refuses all where it is `mute`.
async fn of_eight(altered: &str, mute: bool) -> Server {
    let texts = EIGHT.map(|name| {
        let inside = if name == altered { "leaf x { type string; }" } else { "" };
        format!("module {name} {{ namespace \"urn:{name}\"; prefix p; revision 2020-01-01; {inside} }}")
    });
    let text = |at: usize| if mute { REFUSED } else { texts[at].as_str() };
    let given: Vec<(&str, &str)> = EIGHT.iter().enumerate().map(|(at, name)| (*name, text(at))).collect();
    station_with(CONTENT, &EIGHT, &given).await
}

#[tokio::test]
async fn stations_that_share_a_set_are_asked_for_its_texts_in_turn() {
    let cache = tempfile::tempdir().unwrap();
    let (liar, honest) = (of_eight("h", false).await, of_eight("", false).await);
    let schemas = schemas(cache.path());
    let mut interpretations = vec![];
    for (n, server, differs) in [
        (0, &liar, false),
        (1, &honest, false),
        (2, &honest, false),
        // The last two are its turn.
        (3, &honest, true),
        // What this one was read by was another's word: it is asked itself now.
        (1, &honest, true),
        (0, &liar, true),
    ] {
        let read = collected(read(n, server, &schemas, None).await);
        let expected = ["module-text-differs", "not-validated"];
        assert_eq!(codes(read.snapshot.findings()), expected[usize::from(!differs)..], "{n}");
        interpretations.push(read.snapshot.interpretation());
    }
    let [first, believing, _, other, own, last] = interpretations[..] else { panic!("six reads") };
    assert_eq!((believing, own, last), (first, other, first));
    assert_ne!(other, first);
}

#[tokio::test]
async fn a_text_that_a_station_does_not_give_is_asked_of_the_next_one() {
    let cache = tempfile::tempdir().unwrap();
    let (liar, honest) = (of_eight("a", false).await, of_eight("", false).await);
    let accomplice = of_eight("", true).await;
    let schemas = schemas(cache.path());
    for (n, server, differs) in [(0, &liar, false), (1, &accomplice, false), (2, &honest, true)] {
        let read = collected(read(n, server, &schemas, None).await);
        let told = codes(read.snapshot.findings()).contains(&"module-text-differs");
        assert_eq!(told, differs, "{n}");
    }
}

#[tokio::test]
async fn where_a_comparison_begins_is_for_the_seed_to_say() {
    let (liar, honest) = (of_eight("h", false).await, of_eight("", false).await);
    let mut found_by_the_first = BTreeSet::new();
    for seed in 0..8 {
        let cache = tempfile::tempdir().unwrap();
        let schemas = seeded(cache.path(), seed);
        collected(read(0, &liar, &schemas, None).await);
        let other = collected(read(1, &honest, &schemas, None).await);
        found_by_the_first.insert(codes(other.snapshot.findings()).contains(&"module-text-differs"));
    }
    assert_eq!(found_by_the_first.len(), 2, "not always, and not never");
}

/// How many sets are recorded as whole.
fn records(cache: &Path) -> usize {
    std::fs::read_dir(cache.join("sets")).unwrap().count()
}

#[tokio::test]
async fn a_worker_that_ends_decides_nothing_about_the_texts_that_were_kept() {
    let cache = tempfile::tempdir().unwrap();
    let server = station(CONTENT, "a", &[("a", A)]).await;
    collected(read(0, &server, &schemas(cache.path()), None).await);
    assert_eq!(records(cache.path()), 1);
    let killed = worker("read line; kill -KILL $$".to_owned());
    let killed = Arc::new(Schemas::from_devices(TextCache::open(cache.path()).unwrap(), killed, [0; 32]));
    for n in 0..2 {
        // Nobody has the set by another's word meanwhile: the station is asked itself.
        let asked = server.seen.requests.load(Ordering::SeqCst);
        let without = collected(read(n, &server, &killed, None).await);
        assert_eq!(codes(without.snapshot.findings()), ["schema-not-used", "schema-not-loaded"]);
        // The configuration, the text, and the end of two sessions.
        assert_eq!(server.seen.requests.load(Ordering::SeqCst) - asked, 4);
    }
    assert_eq!(records(cache.path()), 1);
    // The next worker comes to an answer.
    let mute = station(CONTENT, "a", &[]).await;
    let fine = collected(read(0, &mute, &schemas(cache.path()), None).await);
    assert_eq!(codes(fine.snapshot.findings()), ["not-validated"]);
}

#[tokio::test]
async fn a_station_that_cannot_be_asked_anew_is_read_as_before_with_the_doubt_beside_it() {
    let cache = tempfile::tempdir().unwrap();
    let schemas = schemas(cache.path());
    let honest = station(CONTENT, "a", &[("a", A)]).await;
    // Both are read by the text that the first one gave: one refuses its own, one ends the session over it.
    let refusing = station(CONTENT, "a", &[("a", REFUSED)]).await;
    let breaking = breaking_at_schemas(CONTENT).await;
    let liar = station(CONTENT, "a", &[("a", OTHER_A)]).await;
    let servers = [&honest, &refusing, &breaking];
    let mut firsts = vec![];
    for (n, server) in servers.into_iter().enumerate() {
        let first = collected(read(n, server, &schemas, None).await);
        assert_eq!(codes(first.snapshot.findings()), ["not-validated"], "{n}");
        firsts.push(first);
    }
    let other = collected(read(3, &liar, &schemas, None).await);
    assert_ne!(other.snapshot.interpretation(), firsts[0].snapshot.interpretation());
    for (n, (server, first)) in servers.into_iter().zip(&firsts).enumerate() {
        let again = read(n, server, &schemas, Some(previous_of(first))).await;
        let Reading::Unchanged { fresh: Some(fresh), .. } = again else { panic!("{n}: {again:?}") };
        assert_eq!(fresh.snapshot.interpretation(), first.snapshot.interpretation(), "{n}");
        assert_eq!(codes(fresh.snapshot.findings()), ["module-text-differs", "not-validated"], "{n}");
        // Whoever was asked in vain is not asked each round.
        let connections = server.seen.connections.load(Ordering::SeqCst);
        let quiet = read(n, server, &schemas, Some(previous_of(&fresh))).await;
        assert!(matches!(quiet, Reading::Unchanged { fresh: None, .. }), "{n}: {quiet:?}");
        assert_eq!(server.seen.connections.load(Ordering::SeqCst), connections + 1, "{n}");
    }
}
