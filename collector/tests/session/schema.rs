//! A station's modules as it lists and serves them, right and wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::support::{BASE, Script, Server, Step, data, limits};
use ranproof_collector::schema::{Library, ModuleId};
use ranproof_collector::session::{Limits, SchemaError, Session};

const MONITORING: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring";
const LIBRARY: &str = "urn:ietf:params:xml:ns:yang:ietf-yang-library";
const NEW: &str = "urn:ietf:params:netconf:capability:yang-library:1.1?revision=2019-01-04&content-id=5";
const OLD: &str = "urn:ietf:params:netconf:capability:yang-library:1.0?revision=2016-06-21&module-set-id=5";
const MODULE: &str = "urn:hello?module=from-hello&revision=2020-01-01";

async fn connect(server: &Server) -> Session {
    Session::connect(&server.target(), &limits()).await.unwrap()
}

/// A server with these capabilities that answers requests holding a text with a message.
async fn server(capabilities: &[&str], answers: &[(&str, String)]) -> Server {
    let answers = answers.iter().map(|(text, reply)| ((*text).to_owned(), vec![Step::Reply(reply.clone())]));
    let capabilities = capabilities.iter().map(|uri| (*uri).to_owned()).collect();
    Server::start(Script { capabilities, answers: answers.collect(), ..Script::default() }).await
}

async fn library(capabilities: &[&str], answers: &[(&str, String)]) -> Result<Library, SchemaError> {
    connect(&server(capabilities, answers).await).await.library().await
}

fn names(library: Result<Library, SchemaError>) -> Vec<String> {
    library.unwrap().modules.iter().map(|module| module.id.to_string()).collect()
}

fn modules_state(name: &str) -> String {
    let module = format!("<module><name>{name}</name><revision/></module>");
    data(&format!("<modules-state xmlns=\"{LIBRARY}\">{module}</modules-state>"))
}

fn yang_library(name: &str) -> String {
    let set = format!("<module-set><name>s</name><module><name>{name}</name></module></module-set>");
    data(&format!("<yang-library xmlns=\"{LIBRARY}\">{set}</yang-library>"))
}

fn denied() -> String {
    format!(
        "<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\"><rpc-error><error-type>application</error-type>\
         <error-tag>access-denied</error-tag><error-severity>error</error-severity></rpc-error></rpc-reply>"
    )
}

fn schema(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<rpc-reply xmlns=\"{BASE}\" message-id=\"{{id}}\"><data xmlns=\"{MONITORING}\">{text}</data></rpc-reply>"
    )
}

fn id(name: &str, revision: &str) -> ModuleId {
    ModuleId::new(name, Some(revision)).unwrap()
}

#[tokio::test]
async fn the_best_list_that_a_station_has_is_read() {
    let both = [("<yang-library", yang_library("new")), ("<modules-state", modules_state("old"))];
    assert_eq!(names(library(&[MODULE, NEW], &both).await), ["new"]);
    assert_eq!(names(library(&[MODULE, OLD], &both).await), ["old"]);
    let listed = format!("{LIBRARY}?module=ietf-yang-library&revision=2016-06-21");
    assert_eq!(names(library(&[&listed], &both).await), ["old"]);
    assert_eq!(names(library(&[MODULE], &both).await), ["from-hello@2020-01-01"]);
}

#[tokio::test]
async fn a_library_that_is_withheld_leaves_the_hello() {
    for answer in [denied(), data("")] {
        let answers = [("<yang-library", answer)];
        assert_eq!(names(library(&[MODULE, NEW], &answers).await), ["from-hello@2020-01-01"]);
        let error = library(&[NEW], &answers).await.unwrap_err();
        assert!(error.full_message().contains("RFC 8525 §3"), "{}", error.full_message());
    }
    let error = library(&[], &[]).await.unwrap_err();
    assert_eq!(error.reason(), "schema-list");
}

#[tokio::test]
async fn a_broken_library_is_not_passed_over_for_the_hello() {
    let error = library(&[MODULE, NEW], &[("<yang-library", yang_library("../x"))]).await.unwrap_err();
    assert_eq!(error.reason(), "schema-list");
    let text = error.full_message();
    assert!(text.starts_with("127.0.0.1:") && text.contains("`../x` is no module name"), "{text}");
}

#[tokio::test]
async fn the_text_of_a_module_is_fetched_as_it_is() {
    let text = "module a {\n  revision 2020-01-01;\n  // <&> \"\u{e9}\"\n}\n";
    let server = server(&[], &[("<identifier>a</identifier>", schema(text))]).await;
    let mut session = connect(&server).await;
    assert_eq!(session.get_schema(&id("a", "2020-01-01")).await.unwrap(), text);
    assert_eq!(session.get_schema(&id("a", "")).await.unwrap(), text);
    session.close().await;
}

#[tokio::test]
async fn another_module_than_the_one_asked_for_is_refused_by_name() {
    let answers = [
        ("<identifier>a<", schema("module b { revision 2020-01-01; }")),
        ("<identifier>c<", schema("module c { revision 2019-01-01; }")),
        ("<identifier>d<", schema("module d { }")),
    ];
    let server = server(&[], &answers).await;
    let mut session = connect(&server).await;
    for (asked, got) in [("a", "b@2020-01-01"), ("c", "c@2019-01-01"), ("d", "d")] {
        let error = session.get_schema(&id(asked, "2020-01-01")).await.unwrap_err();
        assert_eq!(error.reason(), "schema-mismatch");
        let text = error.full_message();
        assert!(text.starts_with("127.0.0.1:") && text.contains(&format!("`{asked}@2020-01-01`")), "{text}");
        assert!(text.contains(&format!("answered `{got}`")), "{text}");
    }
    // The two sides are in step: only this set cannot be used.
    session.get_config(&ranproof_collector::session::Selection::default()).await.unwrap();
}

#[tokio::test]
async fn texts_that_are_no_module_are_named_with_their_line() {
    let answers = [
        ("<identifier>a<", schema("<html>\nnot found")),
        ("<identifier>b<", schema("module b {\n  revision 2020-01-01;\n")),
        ("<identifier>c<", schema("")),
        ("<identifier>d<", denied()),
    ];
    let server = server(&[], &answers).await;
    let mut session = connect(&server).await;
    for (asked, reason, words) in [
        ("a", "schema-text", "line 1"),
        ("b", "schema-text", "ends inside a statement"),
        ("c", "schema-text", "no `module` or `submodule` statement"),
        ("d", "rpc-error", "access-denied"),
    ] {
        let error = session.get_schema(&id(asked, "")).await.unwrap_err();
        assert_eq!(error.reason(), reason);
        let text = error.full_message();
        assert!(text.contains(words) && text.contains(&format!("`{asked}`")), "{text}");
    }
}

#[tokio::test]
async fn a_text_without_end_is_cut_off_and_named() {
    let head = schema("module a { description \"").replace("</data></rpc-reply>", "");
    let piece = format!("\n#{}\n{}", 1 << 15, "x".repeat(1 << 15)).into_bytes();
    let begin = format!("\n#{}\n{head}", head.len()).into_bytes();
    let answer = vec![Step::Raw(begin), Step::Drip(piece, Duration::ZERO)];
    let server = Server::start(Script { answer, ..Script::default() }).await;
    // Far more than a module's text is allowed for other replies.
    let limits = Limits { max_reply_bytes: 1 << 30, ..limits() };
    let mut session = Session::connect(&server.target(), &limits).await.unwrap();
    let error = session.get_schema(&id("a", "2020-01-01")).await.unwrap_err();
    assert_eq!(error.reason(), "too-large");
    assert!(error.full_message().contains("text of module `a@2020-01-01`"), "{}", error.full_message());
    assert_eq!(session.library().await.unwrap_err().reason(), "schema-list");
    assert_eq!(session.get_schema(&id("a", "")).await.unwrap_err().reason(), "closed");
}
