//! The routes over a real store.

mod dashboards;
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

/// A form as a browser sends it from a page of this agent, unless `headers` say otherwise.
async fn send(router: &Router, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
    let own = [
        ("host", "127.0.0.1:8420"),
        ("origin", "http://127.0.0.1:8420"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut request = Request::post(path);
    for (name, value) in own.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name)) {
        request = request.header(*name, *value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(form.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 16 << 20).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

fn led_to(answer: &Answer) -> &str {
    answer.headers.get(header::LOCATION).map(|to| to.to_str().unwrap()).unwrap_or_default()
}

/// Logs a person in; gives the cookie to send along.
async fn log_in(router: &Router) -> String {
    let form = format!("person=Li+Wei&token={}&back=%2Fchain", story::TOKEN);
    let answer = send(router, "/login", &form, &[]).await;
    assert_eq!((answer.status, led_to(&answer)), (StatusCode::SEE_OTHER, "/chain"), "{}", answer.text);
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
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
        "/login",
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
async fn pages_of_a_federation_answer_and_are_well_formed() {
    let (site, _folder) = story::federated().await;
    let router = routes(site);
    let foreign = story::foreign_violations();
    let more = [
        "/violations?origin=unicom".to_owned(),
        "/violations?origin=unicom&state=all&severity=critical".into(),
        format!("/violations/{}?origin=unicom", foreign[0].id),
        format!("/violations/{}?origin=unicom", foreign[1].id),
        "/rounds?origin=unicom".into(),
        "/rounds/2?origin=unicom".into(),
        "/rules/authorisation?origin=unicom".into(),
        "/rules/second-judgement?origin=unicom".into(),
        format!("/violations/{}?origin=unicom", foreign[2].id),
    ];
    let cookie = log_in(&router).await;
    for path in paths().into_iter().chain(more) {
        for language in ["en", "zh"] {
            for cookie in ["", cookie.as_str()] {
                let answer = ask(&router, &path, &[("accept-language", language), ("cookie", cookie)]).await;
                assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
                well_formed(&path, &answer.text);
            }
        }
    }
}

#[tokio::test]
async fn another_operators_stations_are_marked_and_stay_chosen() {
    let (site, _folder) = story::federated().await;
    let router = routes(site);
    let html = get(&router, "/violations?origin=unicom").await.text;
    for expected in [
        "As disclosed by China Unicom Beijing, judged here.",
        "aria-current=\"true\">China Unicom Beijing",
        "href=\"/violations?origin=unicom&#38;severity=critical\"",
        "/violations/V-",
        "?origin=unicom\"",
        "href=\"/rounds?origin=unicom\"",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    let own = get(&router, "/violations").await.text;
    assert!(own.contains("href=\"/violations?origin=unicom\"") && !own.contains("As disclosed by"));
    let unknown = get(&router, "/violations?origin=mobile").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.text);
    let id = story::foreign_violations()[0].id.clone();
    assert_eq!(get(&router, &format!("/violations/{id}")).await.status, StatusCode::NOT_FOUND);
    let page = get(&router, &format!("/violations/{id}?origin=unicom")).await;
    assert!(page.text.contains("The record itself and its bundle are with the operator"), "{}", page.text);
}

#[tokio::test]
async fn judgements_stand_side_by_side_with_their_dispute() {
    let (site, _folder) = story::federated().await;
    let router = routes(site.clone());
    let id = id_of("pLMNInfoList");
    let html = get(&router, &format!("/violations/{id}")).await.text;
    for expected in [
        "Judgements side by side",
        "collects and judges first",
        "second-differs\">differs",
        "unicom finds late, telecom found unapproved.",
        "leaf 5 of its log",
        "Another verdict",
        "D-unicom-telecom-3-verdict",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    let waits = get(&router, &format!("/violations/{}", id_of("userLabel"))).await.text;
    assert!(waits.contains("not yet"), "{waits}");
    let round = get(&router, "/rounds/3").await.text;
    assert!(round.contains("8 changed values: 7 opened, 1 not"), "{round}");
    let one = json(&api(&site), &format!("/api/v1/violations/{id}")).await;
    assert_eq!(
        (&one["judgements"][0]["judge"], &one["judgements"][0]["origin"]),
        (&"telecom".into(), &true.into())
    );
    assert_eq!(
        (&one["judgements"][1]["verdict"], &one["disputes"][0]["kind"]),
        (&"differs".into(), &"verdict".into())
    );
}

#[tokio::test]
async fn what_a_second_judgement_could_not_follow_is_shown_as_what_it_is() {
    let (site, _folder) = story::federated().await;
    let router = routes(site);
    let found = story::foreign_violations()[2].clone();
    let html = get(&router, &format!("/violations/{}?origin=unicom", found.id)).await.text;
    assert!(
        html.contains("does not open the commitment") && html.contains(">second judgement</a>"),
        "{html}"
    );
    for absent in ["class=\"pair\"", "Judgements side by side", "not yet"] {
        assert!(!html.contains(absent), "{absent} is in {html}");
    }
    let rule = get(&router, "/rules/second-judgement").await;
    assert!(rule.text.contains("could not follow"), "{}", rule.text);
}

#[tokio::test]
async fn a_member_without_stations_is_led_to_the_chain() {
    let (site, _folder) = story::empty().await;
    let known = site.chain.clone();
    let as_witness = move || {
        let mut status = known();
        status.federation.nodes.iter_mut().for_each(|node| node.own = node.member == "witness");
        status
    };
    let site = Site { operator: "witness".into(), chain: std::sync::Arc::new(as_witness), ..site };
    let router = routes(site);
    for path in ["/violations", "/rounds"] {
        let html = get(&router, path).await.text;
        assert!(html.contains("collects no stations") && !html.contains("ranproof collect"), "{html}");
    }
}

#[tokio::test]
async fn the_chain_page_says_who_votes_who_lags_and_who_cosigned() {
    let (site, _folder) = story::federated().await;
    let html = get(&routes(site.clone()), "/chain").await.text;
    for expected in [
        "China Unicom Beijing",
        "not reachable",
        "connection refused",
        "7 / 10",
        "signed with 7 of 10 of the power",
        "−14 ms",
        "Told another story at size 6",
        "China Unicom Beijing disputes round 3 of China Telecom Beijing",
        &format!("href=\"/violations/{}\"", id_of("pLMNInfoList")),
        "up to",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    let chain = json(&api(&site), "/api/v1/chain").await;
    assert_eq!((&chain["validators"], &chain["operators"][1]), (&4.into(), &"unicom".into()));
    assert_eq!((&chain["certificate"]["power"], &chain["nodes"][2]["behind"]), (&7.into(), &6.into()));
    assert_eq!(
        (&chain["logs"][0]["origin"], &chain["logs"][0]["mirrored"]),
        (&"telecom".into(), &Json::Null)
    );
}

#[tokio::test]
async fn a_halted_chain_says_so_on_its_page() {
    let (site, _folder) = story::site().await;
    let calm = site.chain.clone();
    let halted = move || {
        let mut status = calm();
        let last = model::Timestamp(NOW - 95_000);
        let halted = crate::federation::Trouble::Halted { last };
        let quorum = crate::federation::Trouble::NoQuorum { reachable: 4, power: 10 };
        status.federation.troubles = vec![halted, quorum];
        status
    };
    let html = get(&routes(Site { chain: std::sync::Arc::new(halted), ..site }), "/chain").await.text;
    for expected in ["No block for 95 s.", "Only 4 of 10 of the voting power", "Rounds go on unopened"] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
}

#[tokio::test]
async fn a_person_acts_after_a_login_and_without_script() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let (id, other) = (id_of("nRPCI"), id_of("userLabel"));
    let (page, act) = (format!("/violations/{id}"), format!("/violations/{id}/act"));
    let before = get(&router, &page).await.text;
    assert!(before.contains("/login?back=") && !before.contains("<form class=\"act\""));
    let refused = send(&router, &act, "verb=ack", &[]).await;
    assert!(led_to(&refused).starts_with("/login?back="), "{}", led_to(&refused));
    let cookie = log_in(&router).await;
    let with = [("cookie", cookie.as_str())];
    let html = ask(&router, &page, &with).await.text;
    assert!(html.contains("<form class=\"act\"") && html.contains("Li Wei"), "{html}");
    assert!(!html.contains(story::TOKEN), "the token is in the page");
    let done = send(&router, &act, "verb=ack&comment=asked+the+field+team", &with).await;
    assert_eq!((done.status, led_to(&done)), (StatusCode::SEE_OTHER, page.as_str()));
    send(&router, &act, "verb=assign&to=field-east", &with).await;
    let html = ask(&router, &page, &with).await.text;
    for expected in ["acknowledged", "Li Wei", "asked the field team", "field-east"] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    let empty = send(&router, &act, "verb=comment&comment=+", &with).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    let long = send(&router, &act, &format!("verb=comment&comment={}", "x".repeat(4_001)), &with).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.text.contains("longer than 4,000 characters"), "{}", long.text);
    let resolve = format!("/violations/{other}/act");
    assert_eq!(send(&router, &resolve, "verb=resolve", &with).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&router, &resolve, "verb=ack", &with).await.status, StatusCode::CONFLICT);
    send(&router, "/logout", "back=%2Fviolations", &with).await;
    let late = send(&router, &act, "verb=ack", &with).await;
    assert!(led_to(&late).starts_with("/login"), "the session is over");
}

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let cookie = log_in(&router).await;
    let act = format!("/violations/{}/act", id_of("nRPCI"));
    for origin in ["http://127.0.0.1:8421", "null", "http://evil.example"] {
        let answer = send(&router, &act, "verb=ack", &[("cookie", &cookie), ("origin", origin)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let wrong = send(&router, "/login", "person=Li&token=guess&back=%2F%2Fevil.example", &[]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.text.contains("not this agent") && !wrong.text.contains("evil"), "{}", wrong.text);
    assert!(get(&router, "/violations?state=acknowledged").await.text.contains("No violation matches"));
}

#[tokio::test]
async fn values_have_their_units_beside_them() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let html = get(&router, &format!("/violations/{}", id_of("configuredMaxTxPower"))).await.text;
    let beside = "<code class=\"value\">200000</code> <span class=\"unit\">mW (53.0 dBm)</span>";
    assert!(html.contains(beside), "{html}");
    assert!(get(&router, "/changes/CR-1001").await.text.contains("mW (50.0 dBm)"));
    let pci = get(&router, &format!("/violations/{}", id_of("nRPCI"))).await.text;
    assert!(!pci.contains("class=\"unit\""), "a PCI has no unit");
}

#[tokio::test]
async fn what_judge_and_rules_say_of_one_attribute_is_one_row() {
    let (site, _folder) = story::site().await;
    let router = routes(site);
    let html = get(&router, "/violations").await.text;
    assert_eq!(html.matches("<a class=\"row\"").count(), story::violations().len() - 1);
    assert!(html.contains("also breaks") && html.contains(">plmn-list-order</a>"), "{html}");
    assert!(html.contains("<a href=\"/changes/CR-1002\">CR-1002</a>"), "the nearest request is named");
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
        "<h1 class=\"verdict\">configuredMaxTxPower of NRSectorCarrier=1 on gnb-0003 was raised from 200000 to 400000 mW",
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
    for expected in ["<b>not-validated</b>", "first fault (line 3)", "compared and judged all the same"] {
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
    let early = get(&router, "/bundles/round-3").await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.text.contains("round-3 is not anchored yet"), "{}", early.text);
    assert_eq!(get(&router, "/bundles/round-1").await.status, StatusCode::INTERNAL_SERVER_ERROR);
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
    assert_eq!(round["findings"][0]["code"], "not-validated");
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
    let (site, _folder) = story::federated().await;
    let (nothing, _other) = story::empty().await;
    let router = routes(site);
    let cookie = log_in(&router).await;
    for name in ["page.css", "page.js", "icon.svg"] {
        let asset = get(&router, &format!("/static/{name}")).await.text;
        std::fs::write(target.join("static").join(name), asset).unwrap();
    }
    let local = |html: &str| html.replace("\"/static/", "\"static/");
    let foreign = story::foreign_violations();
    let more =
        ["/violations?origin=unicom".to_owned(), format!("/violations/{}?origin=unicom", foreign[0].id)];
    for path in paths().into_iter().chain(more) {
        for language in ["en", "zh"] {
            let page = ask(&router, &path, &[("accept-language", language), ("cookie", &cookie)]).await;
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
