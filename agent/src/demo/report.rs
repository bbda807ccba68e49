//! What the demo says at its end: one JSON object, or the same for people.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value as Json;

use super::command;
use super::judged::{self, Cosignatures, Judgements};
use super::story::Told;
use super::world::{World, cosigners};
use crate::api::types::{ChangeCounts, FailedStation};
use crate::federation::DisputeView;

/// The demo's result; the keys are a contract with whoever reads it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Operators that take part, the tower company among them.
    pub operators: usize,
    pub validators: usize,
    pub stations: usize,
    /// Of all operators.
    pub rounds: usize,
    /// Of each operator's last round; with `unchanged`, `skipped` and the length of `failed` they make up `stations`.
    pub collected: u64,
    pub unchanged: u64,
    pub skipped: u64,
    pub failed: Vec<FailedStation>,
    /// Differences previous → current seen after the first rounds.
    pub changes: ChangeCounts,
    /// What each operator found in its own district.
    pub violations: Vec<Json>,
    /// What each operator's agent said of what the other found.
    pub judgements: Judgements,
    /// Up to which size others have cosigned each operator's log.
    pub cosignatures: BTreeMap<&'static str, Cosignatures>,
    /// What stands on the chain because a second judgement differed.
    pub disputes: Vec<DisputeView>,
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
            "last rounds: {} collected + {} unchanged + {} failed + {} skipped",
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
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {}", line(violation)))?;
        let Judgements { same, differs, unopened, .. } = self.judgements;
        writeln!(
            f,
            "second judgements: {same} rounds the same, {differs} not ({unopened} commitments do not open); {} disputes",
            self.disputes.len()
        )?;
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

/// A violation for people.
fn line(violation: &Json) -> String {
    let text = |name: &str| match violation.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Null) | None => "-".to_owned(),
        Some(other) => {
            other.get("en").and_then(Json::as_str).map_or_else(|| other.to_string(), str::to_owned)
        }
    };
    let (id, severity, authorisation) = (text("id"), text("severity"), text("authorisation"));
    format!("{id} {severity:9} {authorisation:12} {:8} {}", text("state"), text("message"))
}

/// Collects the report and checks that the story went as told.
pub fn collect(world: &World, told: &Told) -> Result<Report> {
    let chain = world.member("telecom")?.chain()?;
    let mut violations = Vec::new();
    for operator in OPERATORS {
        violations.extend(world.violations(operator)?);
    }
    // The API leaves out what is not there, such as the new value of a deleted object.
    for violation in violations.iter_mut().filter_map(Json::as_object_mut) {
        for key in ["old", "new", "authorisation"] {
            violation.entry(key).or_insert(Json::Null);
        }
    }
    let mut changes = ChangeCounts::default();
    for round in told.rounds().filter(|round| round.round > 1) {
        changes.observed += round.changes.observed;
        changes.authorised += round.changes.authorised;
        changes.unauthorised += round.changes.unauthorised;
    }
    let last: Vec<_> = [told.telecom.last(), told.unicom.last()].into_iter().flatten().collect();
    let report = Report {
        operators: world.parties().len(),
        validators: chain.validators,
        stations: world.stations(),
        rounds: told.rounds().count(),
        collected: last.iter().map(|r| r.collected).sum(),
        unchanged: last.iter().map(|r| r.unchanged).sum(),
        skipped: last.iter().map(|r| r.skipped).sum(),
        failed: last.iter().flat_map(|r| r.failures.clone()).collect(),
        changes,
        cosignatures: cosignatures(world)?,
        bundles: bundles(world, told)?,
        violations,
        judgements: judged::counts(world, told)?,
        disputes: judged::disputes(world)?,
        height: chain.height,
        pages: world.pages(),
    };
    check(world, told, &report)?;
    Ok(report)
}

/// Members with stations.
const OPERATORS: [&str; 2] = ["telecom", "unicom"];

/// Each operator with the one that looks at its claims.
const CLAIMS: [(&str, &str); 2] = [("telecom", "unicom"), ("unicom", "telecom")];

/// Waits until each operator's log has the cosignatures that its claims need.
fn cosignatures(world: &World) -> Result<BTreeMap<&'static str, Cosignatures>> {
    let of =
        |(operator, peer)| Ok((operator, judged::wait_for_cosignatures(world, operator, &cosigners(peer))?));
    CLAIMS.into_iter().map(of).collect()
}

/// Fetches bundles of what each operator did and found, and verifies each with the other one's trust file, as a peer
/// would: with its cosignature and the tower company's, and for a violation with its second judgement.
fn bundles(world: &World, told: &Told) -> Result<Vec<BundleResult>> {
    let mut out = Vec::new();
    for (operator, peer) in CLAIMS {
        let trust = world.path(&format!("trust-{peer}.yaml"));
        let exact = told.exact.iter().filter(|(proposer, _)| *proposer == operator);
        let mut subjects: Vec<String> = exact.map(|(_, id)| (*id).to_owned()).collect();
        let violations = world.violations(operator)?;
        subjects.extend(violations.iter().filter_map(|v| v.get("id")?.as_str().map(str::to_owned)));
        subjects.extend(told.of(operator).last().map(|round| format!("round-{}", round.round)));
        for subject in subjects {
            let file = world.path(&format!("bundles/{operator}-{subject}.json"));
            world.member(operator)?.person.run(&["bundle", &subject, "--output", &file])?;
            let (code, _) = command::exit_code(&["verify", &file, "--trust", &trust])?;
            let result = match code {
                0 => "verified",
                1 => "refuted",
                3 => "incomplete",
                _ => "unreadable",
            };
            out.push(BundleResult { file, trust: trust.clone(), subject, result });
        }
    }
    Ok(out)
}

/// Verdicts that the story must lead to in Telecom's district, with the object's station.
const EXPECTED: &[(usize, &str, &str)] = &[
    (2, "configuredMaxTxPower", "unapproved"),
    (3, "pLMNInfoList", "unapproved"),
    (4, "administrativeState", "no-right"),
    (5, "configuredMaxTxPower", "exceeded"),
    (6, "ssbPeriodicity", "early"),
    (7, "ssbPeriodicity", "late"),
    (8, "@object", "unapproved"),
    (9, "configuredMaxTxPower", "unapproved"),
];

/// Reasons that Unicom's first three stations must be named with.
const TROUBLES: &[&str] = &["unreachable", "garbage", "host-key-mismatch"];

fn check(world: &World, told: &Told, report: &Report) -> Result<()> {
    check_violations(world, report)?;
    for (station, reason) in (world.network.east + 1..).zip(TROUBLES) {
        let name = sim::config::element_name(station);
        let found = report.failed.iter().any(|f| f.element.ends_with(&name) && is_reason(&f.reason, reason));
        ensure!(found, "{name} is not reported as {reason}: {:?}", report.failed);
    }
    let accounted = report.collected + report.unchanged + report.skipped + report.failed.len() as u64;
    ensure!(accounted == report.stations as u64, "the last rounds account for {accounted} stations");
    for (proposer, id) in &told.exact {
        ensure!(world.progress(proposer, id)? == "complete", "{id} is not complete");
    }
    for bundle in &report.bundles {
        ensure!(bundle.result == "verified", "the bundle of {} is {}", bundle.subject, bundle.result);
    }
    ensure!(report.judgements.differs > 0 && !report.disputes.is_empty(), "nobody found the lie");
    Ok(())
}

fn check_violations(world: &World, report: &Report) -> Result<()> {
    let text = |v: &Json, name: &str| v.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let ours = (world.network.east + 2, "configuredMaxTxPower", "unapproved");
    for (station, attribute, authorisation) in EXPECTED.iter().copied().chain([ours]) {
        let element = sim::config::element_name(station);
        let found = report.violations.iter().any(|v| {
            text(v, "element").ends_with(&element)
                && text(v, "attribute") == attribute
                && text(v, "authorisation") == authorisation
        });
        ensure!(found, "the story lacks the violation {authorisation} of {element} {attribute}");
    }
    let restored = report.violations.iter().find(|v| text(v, "element").ends_with("gnb-0009"));
    ensure!(
        restored.is_some_and(|v| text(v, "state") == "resolved"),
        "the restored value left its violation open"
    );
    Ok(())
}

/// Garbage may fail as framing, as bad text or as bad XML, depending on what the station happens to say.
fn is_reason(found: &str, expected: &str) -> bool {
    match expected {
        "garbage" => ["framing", "not-utf8", "not-xml", "hello", "closed"].contains(&found),
        expected => found == expected,
    }
}
