//! The routes over a real store.

mod story;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value as Json;
use store::{Verb, ViolationAction};
use tower::ServiceExt as _;

use super::guard::CONTENT_SECURITY_POLICY;
use super::routes;
use super::site::Site;
use story::{HOSTILE, NOW};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 16 << 20).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, path, &[]).await
}

async fn json(router: &Router, path: &str) -> Json {
    let answer = get(router, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

fn api(site: &Site) -> Router {
    crate::api::read::routes(site.clone())
}

fn id_of(attribute: &str) -> String {
    story::violations().into_iter().find(|v| v.attribute == attribute).unwrap().id
}

fn paths() -> Vec<String> {
    let mut paths: Vec<String> =
        story::violations().iter().map(|v| format!("/violations/{}", v.id)).collect();
    let fixed = [
        "/violations",
        "/violations?severity=critical&state=open",
        "/violations?q=nothing-like-this",
        "/changes",
        "/changes/CR-1001",
        "/changes/CR-1003",
        "/rounds",
        "/rounds/1",
        "/rounds/3",
        "/chain",
        "/rules/authorisation",
        "/rules/pci-in-range",
    ];
    paths.extend(fixed.map(str::to_owned));
    paths
}

#[tokio::test]
async fn every_page_answers_in_both_languages_under_a_strict_policy() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    for path in paths() {
        for language in ["en", "zh"] {
            let answer = ask(&router, &path, &[("accept-language", language)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
            assert_eq!(answer.headers[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
            assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            well_formed(&path, &answer.text);
        }
    }
}

/// What the policy forbids is not there, ids are single, and references have targets.
fn well_formed(path: &str, html: &str) {
    for forbidden in [" style=", "<style", " onclick", "javascript:", "<script>", "http://", "https://"] {
        assert!(!html.contains(forbidden), "{path} has {forbidden}");
    }
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "{path} has an id twice");
    for attribute in [" for=\"", " aria-labelledby=\"", " aria-describedby=\""] {
        for target in html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&target), "{path}: {target} does not exist");
        }
    }
    for tag in ["table", "section", "ul", "ol", "dl", "div", "span", "td", "tr", "a", "details", "li", "p"] {
        let opened = html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{path}: <{tag}> is not balanced");
    }
    assert_eq!(html.matches("<h1").count(), 1, "{path} has not one heading");
}

#[tokio::test]
async fn what_a_device_says_is_never_markup() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    for path in
        ["/violations".to_owned(), format!("/violations/{}", id_of("userLabel")), "/rounds/3".to_owned()]
    {
        let html = get(&router, &path).await.text;
        assert!(!html.contains("<script>alert"), "{path}");
        assert!(!html.contains('\u{202e}'), "{path} lets a value turn the direction");
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;⟨U+202E⟩"), "{path}");
    }
    let asked = format!("/violations?q={}", crate::client::percent(HOSTILE));
    assert!(!get(&router, &asked).await.text.contains("<script>alert"));
}

#[tokio::test]
async fn a_long_value_is_folded_and_a_reorder_is_a_move() {
    let (site, _folder) = story::site().await;
    let html = get(&routes(site), "/violations").await.text;
    assert!(html.contains("<details class=\"value\"><summary>"));
    assert!(html.contains("moved 2 → 1") || html.contains("moved 1 → 2"), "{html}");
    assert!(html.contains("deleted, with 2 attributes"));
}

#[tokio::test]
async fn a_violation_says_what_when_why_and_how_to_check_it() {
    let (site, _folder) = story::site().await;
    let id = id_of("configuredMaxTxPower");
    let html = get(&routes(site), &format!("/violations/{id}")).await.text;
    for expected in [
        "<h1 class=\"verdict\">configuredMaxTxPower of NRSectorCarrier=1 on gnb-0003 was raised from 33 to 43 dBm",
        "SubNetwork=bj-east,ManagedElement=gnb-0003,GNBDUFunction=1,NRSectorCarrier=1",
        "Why each approval did not match",
        "/changes/CR-1001",
        "opened at block",
        "Anchored by the checkpoint of size",
        anchor::verify::BOUNDARY,
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    assert!(html.contains(&format!("ranproof verify {id}.json --trust trust.yaml")));
    assert!(html.contains(&format!("href=\"/bundles/{id}\"")));
}

#[tokio::test]
async fn the_address_is_the_filter() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let html = get(&router, "/violations?severity=critical&authorisation=exceeded").await.text;
    assert_eq!(html.matches("<a class=\"row\"").count(), 1);
    assert!(html.contains("href=\"/violations?authorisation=exceeded\""), "a chip frees one condition");
    let bad = get(&router, "/violations?severity=terrible").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.text.contains("critical, major, minor, warning"));
    let twice = get(&router, "/violations?state=open&state=open").await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_round_balances_visibly_and_names_every_failure() {
    let (site, _folder) = story::site().await;
    let html = get(&routes(site), "/rounds/3").await.text;
    for expected in ["<b>12</b> expected", "<b>3</b> failed", "balances", "another host key", "not XML"] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
}

#[tokio::test]
async fn an_empty_list_says_what_it_means() {
    let (site, _folder) = story::empty().await;
    let html = get(&routes(site), "/violations").await.text;
    assert!(html.contains("No round has been finished yet"), "{html}");
    let (site, _folder) = story::site().await;
    let html = get(&routes(site), "/violations?q=nothing-like-this").await.text;
    assert!(html.contains("No violation matches this filter"), "{html}");
}

#[tokio::test]
async fn the_language_is_chosen_by_address_and_kept() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let chosen = ask(&router, "/violations?lang=zh", &[("accept-language", "en")]).await;
    assert!(chosen.text.contains("<html lang=\"zh-Hans\">") && chosen.text.contains("违规"));
    assert!(chosen.headers[header::SET_COOKIE].to_str().unwrap().starts_with("lang=zh;"));
    let kept = ask(&router, "/violations/", &[("cookie", "lang=zh")]).await;
    assert_eq!(kept.status, StatusCode::NOT_FOUND);
    assert!(kept.text.contains("未找到"));
}

#[tokio::test]
async fn unknown_things_are_not_found_and_home_leads_to_the_violations() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    for path in
        ["/violations/V-1", "/changes/x", "/rounds/9", "/rounds/x", "/rules/none", "/nothing", "/static/x"]
    {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let home = get(&router, "/").await;
    assert_eq!(
        (home.status, home.headers[header::LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/violations")
    );
    let api = get(&router, "/api/v1/nothing").await;
    assert!(api.text.starts_with("{\"error\":"), "{}", api.text);
}

#[tokio::test]
async fn assets_are_served_with_their_types_under_the_addresses_of_the_page() {
    let (site, _folder) = story::empty().await;
    let router = routes(site);
    let html = get(&router, "/violations").await.text;
    for (name, kind) in
        [("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let address = super::assets::address(name);
        assert!(html.contains(&format!("\"{address}\"")), "{address}");
        let answer = get(&router, &address).await;
        assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind));
        assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }
}

#[tokio::test]
async fn a_bundle_is_a_file_and_a_missing_one_a_sentence() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let id = id_of("nRPCI");
    let bundle = get(&router, &format!("/bundles/{id}")).await;
    assert_eq!(bundle.status, StatusCode::OK);
    let disposition = bundle.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"{id}.json\""));
    let missing = get(&router, "/bundles/%3Cscript%3E").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.contains("there is no evidence about `&#60;script&#62;`"), "{}", missing.text);
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    get(&router, "/violations").await;
    let health = get(&router, "/healthz").await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, "store: ok\nchain: ok\n"));
    let metrics = get(&router, "/metrics").await.text;
    for expected in [
        r#"ranproof_round_stations{outcome="failed",operator="telecom"} 3"#,
        r#"ranproof_violations{severity="critical",state="open",operator="telecom"} 2"#,
        r#"ranproof_http_requests_total{code="2xx",route="/violations",operator="telecom"} 1"#,
        r#"ranproof_chain_height{operator="telecom"} 17"#,
    ] {
        assert!(metrics.contains(expected), "{expected} is not in {metrics}");
    }
}

#[tokio::test]
async fn the_api_pages_through_all_violations_by_its_cursor() {
    let (site, _folder) = story::site().await;
    let router = api(&site);
    let (mut seen, mut path) = (vec![], "/api/v1/violations?limit=4".to_owned());
    loop {
        let page = json(&router, &path).await;
        assert_eq!(page["total"], story::violations().len());
        seen.extend(
            page["violations"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/violations?limit=4&before={next}");
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (story::violations().len(), story::violations().len()));
}

#[tokio::test]
async fn the_api_answers_what_the_command_line_expects() {
    let (site, _folder) = story::site().await;
    let router = api(&site);
    let list = json(&router, "/api/v1/violations?state=open&severity=critical").await;
    let first = &list["violations"][0];
    for field in
        ["id", "element", "object", "attribute", "rule", "severity", "authorisation", "state", "message"]
    {
        assert!(!first[field].is_null(), "{field} is missing in {first}");
    }
    let rule = json(&router, "/api/v1/violations?rule=pci-in-range").await;
    assert!(rule["violations"][0]["authorisation"].is_null());
    let one = json(&router, &format!("/api/v1/violations/{}", id_of("configuredMaxTxPower"))).await;
    assert_eq!(one["evidence"]["bundle"], one["id"]);
    assert_eq!(one["history"][0]["verb"], "seen");
    let changes = json(&router, "/api/v1/changes").await;
    let completed =
        changes["changes"].as_array().unwrap().iter().find(|c| c["id"] == "CR-1001").unwrap().clone();
    assert_eq!((&completed["standing"], &completed["progress"]), (&"approved".into(), &"complete".into()));
    let change = json(&router, "/api/v1/changes/CR-1003").await;
    assert_eq!((&change["standing"], &change["missing"][0]), (&"proposed".into(), &"unicom".into()));
    let rounds = json(&router, "/api/v1/rounds").await;
    assert_eq!((&rounds["rounds"][0]["round"], &rounds["rounds"][0]["balances"]), (&3.into(), &true.into()));
    let round = json(&router, "/api/v1/rounds/3").await;
    assert_eq!(round["stations"][0]["reason"], "unreachable");
    assert_eq!(json(&router, "/api/v1/stations").await["stations"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn the_api_names_its_errors() {
    let (site, _folder) = story::site().await;
    let router = api(&site);
    for (path, status) in [
        ("/api/v1/violations?state=opened", StatusCode::BAD_REQUEST),
        ("/api/v1/violations?before=x", StatusCode::BAD_REQUEST),
        ("/api/v1/violations?limit=many", StatusCode::BAD_REQUEST),
        ("/api/v1/violations/V-1", StatusCode::NOT_FOUND),
        ("/api/v1/rounds/99", StatusCode::NOT_FOUND),
    ] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        let body: Json = serde_json::from_str(&answer.text).unwrap();
        assert!(!body["error"].as_str().unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn what_people_do_stands_in_the_history() {
    let (site, _folder) = story::site().await;
    let id = id_of("nRPCI");
    let action = |verb| ViolationAction {
        by: "noc-bj-2".into(),
        at: model::Timestamp(NOW),
        reason: "asked the field team".into(),
        verb,
    };
    site.store.act_on_violation(&id, &action(Verb::Acknowledge)).await.unwrap();
    site.store.act_on_violation(&id, &action(Verb::Assign { to: "field-east".into() })).await.unwrap();
    let router = routes(site);
    let html = get(&router, &format!("/violations/{id}")).await.text;
    for expected in ["noc-bj-2", "asked the field team", "field-east", "acknowledged"] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    assert!(get(&router, "/violations?state=acknowledged").await.text.contains(&id));
}

/// Writes every page of the story beside the build, for eyes and browsers: `target/pages/*.html`.
#[tokio::test]
async fn pages_are_written_for_looking_at() {
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    std::fs::create_dir_all(target.join("static")).unwrap();
    let (site, _folder) = story::site().await;
    let (nothing, _other) = story::empty().await;
    let router = routes(site);
    for name in ["page.css", "page.js", "icon.svg"] {
        let asset = get(&router, &format!("/static/{name}")).await.text;
        std::fs::write(target.join("static").join(name), asset).unwrap();
    }
    let local = |html: &str| html.replace("\"/static/", "\"static/");
    for path in paths() {
        for language in ["en", "zh"] {
            let page = ask(&router, &path, &[("accept-language", language)]).await;
            let name: String = path
                .trim_start_matches('/')
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            std::fs::write(target.join(format!("{name}.{language}.html")), local(&page.text)).unwrap();
        }
    }
    let page = get(&routes(nothing), "/violations").await.text;
    std::fs::write(target.join("empty.en.html"), local(&page)).unwrap();
}
