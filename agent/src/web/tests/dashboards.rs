//! Every link of dashboards and alerts leads to a page of ours, whatever the labels are.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::StatusCode;
use serde_json::Value as Json;

use super::{get, routes, story};
use crate::config::read_yaml;
use crate::metrics::TABLE;

/// An address of an agent, as Grafana and Prometheus write it.
const AGENT: [&str; 2] = ["http://${__field.labels.instance}", "http://{{ $labels.instance }}"];

fn folder(inside: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards").join(inside);
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// All texts behind a key anywhere in a document.
fn texts(document: &Json, key: &str, out: &mut BTreeSet<String>) {
    match document {
        Json::Object(members) => {
            for (name, value) in members {
                match value {
                    Json::String(text) if name == key && !text.is_empty() => drop(out.insert(text.clone())),
                    other => texts(other, key, out),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| texts(item, key, out)),
        _ => {}
    }
}

/// Every link with the queries whose series it is drawn beside.
fn links() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for file in folder("json") {
        let dashboard: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let mut urls = BTreeSet::new();
            texts(panel, "url", &mut urls);
            found.extend(urls.into_iter().map(|url| (url, panel["targets"].to_string())));
        }
    }
    for file in folder("prometheus/rules") {
        let mut pages = BTreeSet::new();
        texts(&read_yaml(&file).unwrap(), "page", &mut pages);
        found.extend(pages.into_iter().map(|page| (page, String::new())));
    }
    found
}

/// The values that a label of these queries can have: those of the table, or the story's where the table leaves them
/// open.
fn values(label: &str, queries: &str) -> Vec<&'static str> {
    if label == "rule" {
        return vec!["authorisation", "pci-in-range", "second-judgement"];
    }
    let asked = TABLE.iter().filter(|metric| queries.contains(metric.name));
    let labels = asked.flat_map(|metric| metric.labels).filter(|(name, _)| *name == label);
    labels.flat_map(|(_, values)| values.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A link's path with every value of its label.
fn paths(link: &str, queries: &str) -> Vec<String> {
    let path = AGENT.iter().find_map(|agent| link.strip_prefix(agent));
    let path = path.unwrap_or_else(|| panic!("{link} does not lead to the agent of its series"));
    let Some((before, rest)) = path.split_once("${__field.labels.") else { return vec![path.to_owned()] };
    let (label, after) = rest.split_once('}').unwrap_or_else(|| panic!("{link} leaves a variable open"));
    let values = values(label, queries);
    assert!(!values.is_empty(), "{link}: no metric of the panel has the label {label}");
    let with = |value: &&str| paths(&format!("{}{before}{value}{after}", AGENT[0]), queries);
    values.iter().flat_map(with).collect()
}

#[tokio::test]
async fn links_of_dashboards_and_alerts_resolve() {
    let (site, _folder) = story::federated().await;
    let router = routes(site);
    let links = links();
    assert!(links.len() > 10, "{links:?}");
    for (link, queries) in links {
        for path in paths(&link, &queries) {
            let answer = get(&router, &path).await;
            assert_eq!(answer.status, StatusCode::OK, "{link} leads to {path}: {}", answer.text);
        }
    }
}
