//! What the demo says at its end: one JSON object, or the same for people.

use std::fmt;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value as Json;

use super::command;
use super::story::Told;
use super::world::World;
use crate::api::types::{ChainInfo, ChangeCounts, FailedStation};

/// The demo's result; the keys are a contract with whoever reads it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Operators that take part, the tower company among them.
    pub operators: usize,
    pub validators: usize,
    pub stations: usize,
    pub rounds: usize,
    /// Of the last round; with `unchanged`, `skipped` and the length of `failed` they make up `stations`.
    pub collected: u64,
    pub unchanged: u64,
    pub skipped: u64,
    pub failed: Vec<FailedStation>,
    /// Differences previous → current seen after the first round.
    pub changes: ChangeCounts,
    pub violations: Vec<Json>,
    pub height: u64,
    pub bundles: Vec<BundleResult>,
    pub pages: Vec<String>,
}

/// A bundle and what `ranproof verify` said of it.
#[derive(Debug, Serialize)]
pub struct BundleResult {
    pub file: String,
    pub trust: String,
    pub subject: String,
    /// `verified`, `refuted`, `incomplete` or `unreadable`.
    pub result: &'static str,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = &self.changes;
        writeln!(f, "{} rounds over {} stations; height {}", self.rounds, self.stations, self.height)?;
        writeln!(
            f,
            "last round: {} collected + {} unchanged + {} failed + {} skipped",
            self.collected,
            self.unchanged,
            self.failed.len(),
            self.skipped
        )?;
        writeln!(
            f,
            "changes seen: {}, authorised {}, unauthorised {}",
            changes.observed, changes.authorised, changes.unauthorised
        )?;
        for failed in &self.failed {
            writeln!(f, "  {} not read: {}: {}", failed.element, failed.reason, failed.detail)?;
        }
        for violation in &self.violations {
            let text = |name: &str| match violation.get(name) {
                Some(Json::String(text)) => text.clone(),
                Some(Json::Null) | None => "-".to_owned(),
                Some(other) => {
                    other.get("en").and_then(Json::as_str).map_or_else(|| other.to_string(), str::to_owned)
                }
            };
            writeln!(
                f,
                "  {} {:9} {:12} {:8} {}",
                text("id"),
                text("severity"),
                text("authorisation"),
                text("state"),
                text("message")
            )?;
        }
        if let Some(bundle) = self.bundles.first() {
            writeln!(f, "a bundle: {}", bundle.file)?;
            let verifier = super::children::program()
                .map_or_else(|_| "ranproof-verify".into(), |p| p.with_file_name("ranproof-verify"));
            writeln!(f, "verify it: {} {} --trust {}", verifier.display(), bundle.file, bundle.trust)?;
        }
        for page in &self.pages {
            writeln!(f, "page: {page}")?;
        }
        Ok(())
    }
}

/// Collects the report and checks that the story went as told.
pub fn collect(world: &World, told: &Told) -> Result<Report> {
    let chain: ChainInfo = world.telecom.ask(&["node", "status"])?;
    let mut violations = world.violations()?;
    // The API leaves out what is not there, such as the new value of a deleted object.
    for violation in violations.iter_mut().filter_map(Json::as_object_mut) {
        for key in ["old", "new", "authorisation"] {
            violation.entry(key).or_insert(Json::Null);
        }
    }
    let last = told.rounds.last();
    let mut changes = ChangeCounts::default();
    for round in told.rounds.iter().skip(1) {
        changes.observed += round.changes.observed;
        changes.authorised += round.changes.authorised;
        changes.unauthorised += round.changes.unauthorised;
    }
    let report = Report {
        operators: world.people().len(),
        validators: chain.validators,
        stations: world.stations(),
        rounds: told.rounds.len(),
        collected: last.map_or(0, |r| r.collected),
        unchanged: last.map_or(0, |r| r.unchanged),
        skipped: last.map_or(0, |r| r.skipped),
        failed: last.map_or(vec![], |r| r.failures.clone()),
        changes,
        bundles: bundles(world, told, &violations)?,
        violations,
        height: chain.height,
        pages: vec![world.page()],
    };
    check(world, told, &report)?;
    Ok(report)
}

/// Fetches a bundle of the executed change, of each open violation and of the last round, and verifies each
/// with the trust file, as a peer would.
fn bundles(world: &World, told: &Told, violations: &[Json]) -> Result<Vec<BundleResult>> {
    let mut subjects = vec![told.exact_request.clone()];
    subjects.extend(violations.iter().filter_map(|v| v.get("id")?.as_str().map(str::to_owned)));
    subjects.push(format!("round-{}", told.rounds.len()));
    let mut out = Vec::new();
    for subject in subjects {
        let file = world.path(&format!("bundles/{subject}.json"));
        world.telecom.run(&["bundle", &subject, "--output", &file])?;
        let trust = world.path("trust.yaml");
        let (code, _) = command::exit_code(&["verify", &file, "--trust", &trust])?;
        let result = match code {
            0 => "verified",
            1 => "refuted",
            3 => "incomplete",
            _ => "unreadable",
        };
        out.push(BundleResult { file, trust, subject, result });
    }
    Ok(out)
}

/// Verdicts that the story must lead to, with the object's station.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("gnb-0002", "configuredMaxTxPower", "unapproved"),
    ("gnb-0003", "pLMNInfoList", "unapproved"),
    ("gnb-0004", "administrativeState", "no-right"),
    ("gnb-0005", "configuredMaxTxPower", "exceeded"),
    ("gnb-0006", "ssbPeriodicity", "early"),
    ("gnb-0007", "ssbPeriodicity", "late"),
    ("gnb-0008", "@object", "unapproved"),
    ("gnb-0009", "configuredMaxTxPower", "unapproved"),
];

/// Stations in trouble and the reason each must be named with.
const TROUBLES: &[(&str, &str)] =
    &[("gnb-0010", "unreachable"), ("gnb-0011", "garbage"), ("gnb-0012", "host-key-mismatch")];

fn check(world: &World, told: &Told, report: &Report) -> Result<()> {
    let text = |v: &Json, name: &str| v.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    for (element, attribute, authorisation) in EXPECTED {
        let found = report.violations.iter().any(|v| {
            text(v, "element").ends_with(element)
                && text(v, "attribute") == *attribute
                && text(v, "authorisation") == *authorisation
        });
        ensure!(found, "the story lacks the violation {authorisation} of {element} {attribute}");
    }
    let restored = report.violations.iter().find(|v| text(v, "element").ends_with("gnb-0009"));
    ensure!(
        restored.is_some_and(|v| text(v, "state") == "resolved"),
        "the restored value left its violation open"
    );
    for (element, reason) in TROUBLES {
        let found =
            report.failed.iter().any(|f| f.element.ends_with(element) && is_reason(&f.reason, reason));
        ensure!(found, "{element} is not reported as {reason}: {:?}", report.failed);
    }
    let accounted = report.collected + report.unchanged + report.skipped + report.failed.len() as u64;
    ensure!(accounted == report.stations as u64, "the last round accounts for {accounted} stations");
    ensure!(world.progress(&told.exact_request)? == "complete", "{} is not complete", told.exact_request);
    for bundle in &report.bundles {
        ensure!(bundle.result == "verified", "the bundle of {} is {}", bundle.subject, bundle.result);
    }
    Ok(())
}

/// Garbage may fail as framing, as bad text or as bad XML, depending on what the station happens to say.
fn is_reason(found: &str, expected: &str) -> bool {
    match expected {
        "garbage" => ["framing", "not-utf8", "not-xml", "hello", "closed"].contains(&found),
        expected => found == expected,
    }
}
