//! Dashboards, recording and alert rules against the table of metrics, and against what Grafana expects of a good
//! dashboard. Their queries run against a real Prometheus, and their types are checked, in `tests/dashboards/`; their
//! links are asked of the router beside the pages.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agent::config::{parse_yaml, read_yaml};
use agent::metrics::{Kind, TABLE};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// The files of a folder below `dashboards/` whose names end so.
fn files(inside: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(inside)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "no file of dashboards/{inside} ends with {ending}");
    found
}

fn with_queries() -> Vec<PathBuf> {
    [files("json", ".json"), files("prometheus/rules", ".yml"), files("prometheus/tests", ".yml")].concat()
}

/// Names that stand where the name of a metric or of a recording rule may stand, each with its line.
fn named(text: &str) -> Vec<(usize, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.lines().enumerate().flat_map(|(at, line)| {
        line.split(move |c| !part(c)).map(move |word| (at + 1, word.trim_matches(':')))
    });
    words.filter(|(_, word)| word.contains("ranproof_")).collect()
}

/// Everything that a query may name.
fn known() -> BTreeSet<String> {
    let of_table = TABLE.iter().flat_map(|metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name)).to_vec(),
        _ => vec![metric.name.to_owned()],
    });
    of_table.chain(rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned()))).collect()
}

fn rules() -> Vec<Value> {
    let files = files("prometheus/rules", ".yml").into_iter().map(|path| read_yaml::<Value>(&path).unwrap());
    let groups = files.flat_map(|file| file["groups"].as_array().unwrap().clone());
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn unknown(file: &str, text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let unknown = named(text).into_iter().filter(|(_, name)| !known.contains(*name));
    unknown
        .map(|(line, name)| {
            format!(
                "{file}:{line}: `{name}` is no metric of ours; hint: agent/src/metrics/table.rs has them all"
            )
        })
        .collect()
}

#[test]
fn every_metric_that_a_query_names_is_in_the_table() {
    let known = known();
    let all = with_queries().into_iter().flat_map(|path| {
        let name = path.strip_prefix(folder().parent().unwrap()).unwrap().display().to_string();
        unknown(&name, &fs::read_to_string(&path).unwrap(), &known)
    });
    let all: Vec<_> = all.collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn an_unknown_metric_is_named_with_file_and_line() {
    let text = "{\n \"expr\": \"sum(ranproof_violations) / ranproof_violation{a=\\\"b\\\"}\"\n}";
    let found = unknown("dashboards/json/x.json", text, &known());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("dashboards/json/x.json:2: `ranproof_violation` "), "{found:?}");
}

/// A figure that nobody looks at is none.
#[test]
fn every_metric_of_the_table_is_looked_at() {
    let texts: String = [files("json", ".json"), files("prometheus/rules", ".yml")]
        .concat()
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    let used: BTreeSet<&str> = named(&texts).into_iter().map(|(_, name)| name).collect();
    for metric in TABLE {
        let here = used
            .iter()
            .any(|name| name.strip_prefix(metric.name).is_some_and(|rest| ["", "_bucket"].contains(&rest)));
        assert!(here, "{} is on no dashboard and in no rule", metric.name);
    }
}

#[test]
fn every_alert_says_what_and_why_and_is_tested_both_ways() {
    let tests = files("prometheus/tests", ".yml").into_iter().map(|path| read_yaml::<Value>(&path).unwrap());
    let cases: Vec<Value> = tests
        .flat_map(|file| file["tests"].as_array().unwrap().clone())
        .flat_map(|test| test["alert_rule_test"].as_array().cloned().unwrap_or_default())
        .collect();
    let rules = rules();
    for rule in &rules {
        let Some(name) = rule["alert"].as_str() else { continue };
        for annotation in ["summary", "description"] {
            let words = rule["annotations"][annotation].as_str().unwrap_or_default();
            assert!(words.len() > 20, "{name} has no {annotation}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning"].contains(&severity), "{name} has the severity `{severity}`");
        let of_it = cases.iter().filter(|case| case["alertname"] == name);
        let fires: Vec<bool> = of_it.map(|case| !case["exp_alerts"].as_array().unwrap().is_empty()).collect();
        assert!(fires.contains(&true) && fires.contains(&false), "{name} is tested as {fires:?}");
    }
    assert!(rules.iter().filter(|rule| rule["alert"].is_string()).count() > 10);
}

fn dashboards() -> Vec<(String, Value)> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).unwrap())
    };
    files("json", ".json").into_iter().map(read).collect()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

#[test]
fn dashboards_are_told_apart_and_cannot_be_edited_in_place() {
    let all = dashboards();
    let identities: BTreeSet<&str> = all.iter().map(|(_, d)| d["uid"].as_str().unwrap()).collect();
    assert_eq!(identities.len(), all.len());
    for (file, dashboard) in &all {
        assert_eq!(dashboard["editable"], false, "{file}: what is provisioned is edited as a file");
        let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
        let variables: Vec<_> = variables.map(|v| v["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "operator", "instance"], "{file}");
        let identities: BTreeSet<_> = panels(dashboard).map(|p| p["id"].as_u64().unwrap()).collect();
        assert_eq!(identities.len(), panels(dashboard).count(), "{file}: panels share an id");
    }
}

#[test]
fn panels_lie_side_by_side() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{file}: {} is too wide", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{file}: {} lies on another panel", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_follows_the_variables() {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard).filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            assert!(panel["description"].as_str().unwrap_or_default().len() > 20, "{file}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string() && defaults["thresholds"].is_object(), "{file}: {title}");
            for target in panel["targets"].as_array().unwrap() {
                query_is_sound(&format!("{file}: {title}"), target["expr"].as_str().unwrap());
            }
        }
    }
}

/// Each selector narrows by both variables; counters stand only in functions that know of restarts.
fn query_is_sound(place: &str, query: &str) {
    let selectors = named(query);
    let both = query.matches("operator=~\"$operator\",instance=~\"$instance\"").count();
    assert_eq!(both, selectors.len(), "{place}: `{query}`");
    for (_, name) in
        selectors.iter().filter(|(_, name)| name.ends_with("_total") || name.ends_with("_bucket"))
    {
        let known = ["rate(", "increase("].iter().any(|f| query.contains(&format!("{f}{name}{{")));
        assert!(known, "{place}: the counter {name} stands by itself");
    }
}

#[test]
fn the_examples_scrape_as_often_as_the_data_source_believes() {
    let read = |path: &str| -> Value {
        parse_yaml(&fs::read_to_string(folder().join(path)).unwrap(), path).unwrap()
    };
    let prometheus = read("prometheus/prometheus.yml");
    let source = read("provisioning/datasources/ranproof.yaml");
    assert_eq!(prometheus["global"]["scrape_interval"], source["datasources"][0]["jsonData"]["timeInterval"]);
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "ranproof", "alerts name the job");
    assert_eq!(read("provisioning/dashboards/ranproof.yaml")["providers"][0]["allowUiUpdates"], false);
}
