//! Metrics, declared in one [`table`]: its help texts are the documentation. No label per cell or station.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use model::Timestamp;
use model::ViolationState;
use model::inventory::Accounting;
use model::verdict::{Authorisation, Severity};
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder,
};

use store::ViolationTally;

use crate::federation::{Federation, Trouble};
use crate::peer::Refused;
use crate::web::view::LogView;

use table::*;
pub use table::{AUTHORISATIONS, Definition, Kind, TABLE, Unit};

/// Upper bounds of a round's duration, in seconds: twelve simulated stations to a province.
const DURATIONS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// What is read at each scrape rather than counted along the way.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// Of the last finished round.
    pub accounting: Option<(Accounting, Timestamp)>,
    /// Stations that it could not read, by reason.
    pub failures: BTreeMap<String, u64>,
    pub violations: Vec<ViolationTally>,
    pub height: u64,
    pub block_time: Timestamp,
    pub mempool: usize,
    pub node_running: bool,
    pub log_size: u64,
    pub log_waiting: u64,
    pub anchored: Option<Timestamp>,
    pub outbox: usize,
    /// When the oldest transaction in it was signed.
    pub outbox_oldest: Option<Timestamp>,
    /// How the other members are.
    pub federation: Option<Federation>,
    pub logs: Vec<LogView>,
    /// By judge and verdict.
    pub second_judgements: BTreeMap<(String, String), u64>,
    /// Attested rounds of another operator that were not judged here yet.
    pub unjudged_rounds: BTreeMap<String, u64>,
    pub unopened_rounds: u64,
}

/// The agent's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    counters: BTreeMap<&'static str, IntCounterVec>,
    gauges: BTreeMap<&'static str, GaugeVec>,
    histograms: BTreeMap<&'static str, HistogramVec>,
    /// Held from the first reading to the text: gauges whose labels come and go are emptied in between.
    rendering: Mutex<()>,
}

impl Metrics {
    /// All metrics of the table, every combination of labels at 0, so that the first event is an increase.
    ///
    /// # Errors
    /// Only for a table with a malformed or repeated name, which a test excludes.
    pub fn new(operator: &str) -> Result<Metrics, prometheus::Error> {
        let common = [("operator".to_owned(), operator.to_owned())].into();
        let mut inner = Inner {
            registry: Registry::new_custom(None, Some(common))?,
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            rendering: Mutex::default(),
        };
        for definition in TABLE {
            inner.declare(definition)?;
        }
        let metrics = Metrics(Arc::new(inner));
        metrics.gauge(BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(metrics)
    }

    /// When the agent started.
    pub fn started(&self, at: Timestamp) {
        self.gauge(STARTED, &[]).set(seconds(at));
    }

    /// A round was stored, from start to finish.
    pub fn round_finished(&self, accounting: &Accounting, started: Timestamp, finished: Timestamp) {
        let complete = accounting.failed == 0 && accounting.skipped == 0;
        self.counter(ROUNDS, &[if complete { "complete" } else { "incomplete" }]).inc();
        self.histogram(ROUND_DURATION).observe(finished.since(started).max(0) as f64 / 1000.0);
    }

    /// A round could not be stored.
    pub fn round_broken(&self) {
        self.counter(ROUNDS, &["error"]).inc();
    }

    /// How far scheduled rounds lie apart; 0: they are started by hand.
    pub fn scheduled(&self, every_minutes: u32) {
        self.gauge(PERIOD, &[]).set(f64::from(every_minutes) * 60.0);
    }

    /// Violations that a round opened.
    pub fn violations_opened(&self, severities: impl IntoIterator<Item = Severity>) {
        for severity in severities {
            self.counter(OPENED, &[severity.as_str()]).inc();
        }
    }

    /// What the rules that only count said in a round, all of them.
    pub fn audited(&self, objects: &BTreeMap<String, u64>) {
        let _rendering = self.0.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(AUDITED, objects);
    }

    /// Differences of a round, each with what the judge said.
    pub fn changes_observed(&self, verdicts: impl IntoIterator<Item = Authorisation>) {
        for authorisation in verdicts {
            self.counter(CHANGES, &[authorisation.as_str()]).inc();
        }
    }

    /// One answer. `route` is the router's pattern, never the path.
    pub fn answered(&self, route: &str, status: u16) {
        let code = match status {
            0..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.counter(REQUESTS, &[route, code]).inc();
    }

    /// The text that Prometheus reads.
    pub fn render(&self, readings: &Readings) -> String {
        let _rendering = self.0.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(readings);
        let mut out = Vec::new();
        TextEncoder::new()
            .encode(&self.0.registry.gather(), &mut out)
            .expect("writing to memory does not fail");
        String::from_utf8(out).expect("the encoder writes text")
    }

    fn take(&self, readings: &Readings) {
        if let Some((accounting, finished)) = &readings.accounting {
            let set = |outcome: &str, n: u64| self.gauge(ROUND_STATIONS, &[outcome]).set(n as f64);
            set("collected", accounting.collected);
            set("unchanged", accounting.unchanged);
            set("failed", accounting.failed);
            set("skipped", accounting.skipped);
            self.gauge(ROUND_EXPECTED, &[]).set(accounting.expected as f64);
            self.gauge(ROUND_FINISHED, &[]).set(seconds(*finished));
        }
        self.replace(FAILURES, &readings.failures);
        self.take_violations(&readings.violations);
        self.gauge(HEIGHT, &[]).set(readings.height as f64);
        self.gauge(BLOCK_TIME, &[]).set(seconds(readings.block_time));
        self.gauge(MEMPOOL, &[]).set(readings.mempool as f64);
        self.gauge(RUNNING, &[]).set(f64::from(u8::from(readings.node_running)));
        self.gauge(LOG_SIZE, &[]).set(readings.log_size as f64);
        self.gauge(LOG_WAITING, &[]).set(readings.log_waiting as f64);
        self.gauge(ANCHORED, &[]).set(readings.anchored.map_or(0.0, seconds));
        self.gauge(OUTBOX, &[]).set(readings.outbox as f64);
        self.gauge(OUTBOX_OLDEST, &[]).set(readings.outbox_oldest.map_or(0.0, seconds));
        self.gauge(UNOPENED, &[]).set(readings.unopened_rounds as f64);
        for (origin, rounds) in &readings.unjudged_rounds {
            self.gauge(UNJUDGED, &[origin]).set(*rounds as f64);
        }
        if let Some(federation) = &readings.federation {
            self.take_federation(federation);
            self.take_logs(&readings.logs, federation);
        }
        let judges: BTreeSet<&String> = readings.second_judgements.keys().map(|(judge, _)| judge).collect();
        for judge in judges {
            for verdict in VERDICT.1 {
                let count = readings.second_judgements.get(&(judge.clone(), (*verdict).to_owned()));
                self.gauge(SECOND, &[judge, verdict]).set(count.copied().unwrap_or(0) as f64);
            }
        }
    }

    fn take_violations(&self, tallies: &[ViolationTally]) {
        let count = |matches: &dyn Fn(&ViolationTally) -> bool| -> f64 {
            tallies.iter().filter(|t| matches(t)).map(|t| t.count).sum::<u64>() as f64
        };
        let unresolved = |t: &ViolationTally| t.state != ViolationState::Resolved.as_str();
        for state in STATE.1 {
            for severity in SEVERITY.1 {
                let number = count(&|t| t.state == *state && t.severity == *severity);
                self.gauge(VIOLATIONS, &[state, severity]).set(number);
            }
        }
        for finding in FINDING.1 {
            let number = count(&|t| unresolved(t) && t.authorisation == *finding);
            self.gauge(BY_AUTHORISATION, &[finding]).set(number);
        }
        let mut rules: BTreeMap<String, u64> = BTreeMap::new();
        for tally in tallies {
            let number = if unresolved(tally) { tally.count } else { 0 };
            *rules.entry(tally.rule.clone()).or_default() += number;
        }
        self.replace(BY_RULE, &rules);
    }

    /// Sets a gauge whose label has no fixed values: what is not there any more is gone.
    fn replace(&self, name: &str, values: &BTreeMap<String, u64>) {
        self.0.gauges.get(name).expect("gauges are named by constants of the table").reset();
        for (label, number) in values {
            self.gauge(name, &[label]).set(*number as f64);
        }
    }

    fn take_federation(&self, federation: &Federation) {
        let validators = || federation.nodes.iter().filter(|node| node.is_validator());
        let share = |part: u64| part as f64 / federation.power.max(1) as f64;
        self.gauge(VOTING_ROUND, &[]).set(f64::from(federation.round));
        self.gauge(VALIDATORS, &[]).set(validators().count() as f64);
        self.gauge(REACHABLE, &[]).set(validators().filter(|node| node.is_here()).count() as f64);
        self.gauge(REACHABLE_POWER, &[]).set(share(federation.reachable_power));
        self.gauge(CERTIFICATE_POWER, &[])
            .set(federation.certificate.as_ref().map_or(0.0, |c| share(c.power)));
        self.gauge(EQUIVOCATIONS, &[]).set(federation.equivocations.len() as f64);
        let forked = federation.troubles.iter().filter(|trouble| matches!(trouble, Trouble::Fork { .. }));
        self.gauge(CHAIN_FORKS, &[]).set(forked.count() as f64);
        for node in &federation.nodes {
            if let Some(blocks) = node.behind {
                self.gauge(PEER_BEHIND, &[&node.member]).set(blocks as f64);
            }
            if node.own {
                continue;
            }
            self.gauge(PEER_UP, &[&node.member]).set(f64::from(u8::from(node.reachable)));
            if let Some(difference) = node.clock_difference_ms {
                self.gauge(PEER_CLOCK, &[&node.member]).set(difference as f64 / 1000.0);
            }
        }
        let Refused { strangers, handshakes, crowded } = federation.refused;
        for (why, count) in [("stranger", strangers), ("handshake", handshakes), ("crowded", crowded)] {
            self.gauge(PEER_REFUSED, &[why]).set(count as f64);
        }
        for (what, count) in federation.node_refused.counts() {
            self.gauge(NODE_REFUSED, &[what]).set(count as f64);
        }
        for state in DISPUTE_STATE.1 {
            let count = federation.disputes.iter().filter(|dispute| dispute.state == *state).count();
            self.gauge(DISPUTES, &[state]).set(count as f64);
        }
    }

    /// Of other members' logs this agent knows its own cosignature for certain, of its own log everybody's.
    fn take_logs(&self, logs: &[LogView], federation: &Federation) {
        for log in logs {
            self.gauge(FORKS, &[&log.origin]).set(log.forks.len() as f64);
            let own_log = log.mirrored.is_none();
            if !own_log {
                self.gauge(MIRROR_LAG, &[&log.origin]).set(log.lag() as f64);
            }
            for node in federation.nodes.iter().filter(|node| node.own != own_log) {
                let covered = log.cosigned.iter().find(|c| c.member == node.member).map_or(0, |c| c.size);
                let lag = log.size.saturating_sub(covered);
                self.gauge(COSIGNATURE_LAG, &[&log.origin, &node.member]).set(lag as f64);
            }
        }
    }

    fn counter(&self, name: &str, labels: &[&str]) -> IntCounter {
        self.0
            .counters
            .get(name)
            .expect("counters are named by constants of the table")
            .with_label_values(labels)
    }

    fn gauge(&self, name: &str, labels: &[&str]) -> Gauge {
        self.0.gauges.get(name).expect("gauges are named by constants of the table").with_label_values(labels)
    }

    fn histogram(&self, name: &str) -> Histogram {
        let found = self.0.histograms.get(name).expect("histograms are named by constants of the table");
        found.with_label_values::<&str>(&[])
    }
}

impl Inner {
    fn declare(&mut self, definition: &Definition) -> Result<(), prometheus::Error> {
        let names: Vec<&str> = definition.labels.iter().map(|(name, _)| *name).collect();
        let options = Opts::new(definition.name, definition.help);
        match definition.kind {
            Kind::Counter => {
                let made = IntCounterVec::new(options, &names)?;
                self.registry.register(Box::new(made.clone()))?;
                combinations(definition.labels, |values| drop(made.with_label_values(values)));
                self.counters.insert(definition.name, made);
            }
            Kind::Gauge => {
                let made = GaugeVec::new(options, &names)?;
                self.registry.register(Box::new(made.clone()))?;
                combinations(definition.labels, |values| drop(made.with_label_values(values)));
                self.gauges.insert(definition.name, made);
            }
            Kind::Histogram => {
                let options = HistogramOpts::from(options).buckets(DURATIONS.to_vec());
                let made = HistogramVec::new(options, &names)?;
                self.registry.register(Box::new(made.clone()))?;
                combinations(definition.labels, |values| drop(made.with_label_values(values)));
                self.histograms.insert(definition.name, made);
            }
        }
        Ok(())
    }
}

/// Every combination of label values; none where a label's values are not listed.
fn combinations(labels: &[Label], mut make: impl FnMut(&[&str])) {
    let mut all: Vec<Vec<&str>> = vec![vec![]];
    for (_, values) in labels {
        all = all.iter().flat_map(|head| values.iter().map(|v| [head.as_slice(), &[*v]].concat())).collect();
    }
    all.iter().for_each(|values| make(values));
}

fn seconds(time: Timestamp) -> f64 {
    time.millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federation::tests::four;
    use crate::web::view::CosignedView;

    fn names(text: &str) -> BTreeSet<&str> {
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).filter_map(|l| l.split(' ').next()).collect()
    }

    #[test]
    fn what_is_exported_is_the_table() {
        let metrics = Metrics::new("telecom").unwrap();
        metrics.answered("/violations", 200);
        metrics.audited(&[("period".to_owned(), 3)].into());
        let text = metrics.render(&federated());
        let table: BTreeSet<&str> = TABLE.iter().map(|d| d.name).collect();
        assert_eq!(names(&text), table);
        assert_eq!(table.len(), TABLE.len(), "a name is there twice");
    }

    /// Four members; unicom's agent is away and its log mirrored in part.
    fn federated() -> Readings {
        let cosigned = |member: &str, size| CosignedView { member: member.into(), size, time: Timestamp(0) };
        let log = |origin: &str, mirrored, cosigned| LogView {
            origin: origin.into(),
            size: 40,
            anchored: None,
            mirrored,
            cosigned,
            forks: vec![],
        };
        let second = [(("unicom".to_owned(), "differs".to_owned()), 1)];
        Readings {
            federation: Some(four()),
            logs: vec![
                log("telecom", None, vec![cosigned("witness", 40)]),
                log("unicom", Some(31), vec![cosigned("telecom", 31)]),
            ],
            second_judgements: second.into(),
            unjudged_rounds: [("unicom".to_owned(), 2)].into(),
            violations: vec![tally("open", "authorisation", "late", 1)],
            failures: [("timeout".to_owned(), 1)].into(),
            ..Readings::default()
        }
    }

    #[test]
    fn the_federation_is_told_per_member() {
        let text = Metrics::new("telecom").unwrap().render(&federated());
        for expected in [
            r#"ranproof_peer_up{member="unicom",operator="telecom"} 0"#,
            r#"ranproof_peer_up{member="witness",operator="telecom"} 1"#,
            r#"ranproof_chain_validators_reachable{operator="telecom"} 3"#,
            r#"ranproof_chain_reachable_power_ratio{operator="telecom"} 0.7"#,
            r#"ranproof_mirror_lag_leaves{origin="unicom",operator="telecom"} 9"#,
            r#"ranproof_cosignature_lag_leaves{member="witness",origin="telecom",operator="telecom"} 0"#,
            r#"ranproof_cosignature_lag_leaves{member="tower",origin="telecom",operator="telecom"} 40"#,
            r#"ranproof_second_judgements{judge="unicom",verdict="differs",operator="telecom"} 1"#,
            r#"ranproof_second_judgement_lag_rounds{origin="unicom",operator="telecom"} 2"#,
            r#"ranproof_disputes{state="open",operator="telecom"} 0"#,
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(!text.contains(r#"ranproof_peer_up{member="telecom""#), "an agent is not its own peer");
    }

    fn tally(state: &str, rule: &str, authorisation: &str, count: u64) -> ViolationTally {
        let severity = "major".to_owned();
        ViolationTally {
            state: state.into(),
            severity,
            rule: rule.into(),
            authorisation: authorisation.into(),
            count,
        }
    }

    #[test]
    fn violations_are_counted_by_rule_and_authorisation_until_they_are_resolved() {
        let metrics = Metrics::new("telecom").unwrap();
        let violations = vec![
            tally("open", "authorisation", "late", 2),
            tally("waived", "authorisation", "late", 1),
            tally("resolved", "authorisation", "late", 9),
            tally("resolved", "pci-in-range", "-", 4),
        ];
        let failures = [("timeout".to_owned(), 3)].into();
        let text = metrics.render(&Readings { violations, failures, ..Readings::default() });
        for expected in [
            r#"ranproof_violations{severity="major",state="resolved",operator="telecom"} 13"#,
            r#"ranproof_unresolved_violations_by_authorisation{authorisation="late",operator="telecom"} 3"#,
            r#"ranproof_unresolved_violations_by_authorisation{authorisation="-",operator="telecom"} 0"#,
            r#"ranproof_unresolved_violations_by_rule{rule="authorisation",operator="telecom"} 3"#,
            r#"ranproof_unresolved_violations_by_rule{rule="pci-in-range",operator="telecom"} 0"#,
            r#"ranproof_round_failures{why="timeout",operator="telecom"} 3"#,
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        let later = metrics.render(&Readings::default());
        assert!(!later.contains("timeout"), "a reason that no station has any more stays: {later}");
    }

    #[test]
    fn what_a_round_opens_is_counted_by_severity() {
        let metrics = Metrics::new("telecom").unwrap();
        metrics.violations_opened([Severity::Major, Severity::Major]);
        metrics.scheduled(15);
        metrics.audited(&[("was-audited".to_owned(), 4)].into());
        metrics.audited(&[("period".to_owned(), 3), ("kept".to_owned(), 0)].into());
        let waiting = Readings { outbox_oldest: Some(Timestamp(2500)), ..Readings::default() };
        let text = metrics.render(&waiting);
        for expected in [
            r#"ranproof_violations_opened_total{severity="major",operator="telecom"} 2"#,
            r#"ranproof_violations_opened_total{severity="minor",operator="telecom"} 0"#,
            r#"ranproof_collection_period_seconds{operator="telecom"} 900"#,
            r#"ranproof_audited_objects{rule="period",operator="telecom"} 3"#,
            r#"ranproof_audited_objects{rule="kept",operator="telecom"} 0"#,
            r#"ranproof_outbox_oldest_timestamp_seconds{operator="telecom"} 2.5"#,
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(!text.contains("was-audited"), "a rule that is enforced now stays: {text}");
    }

    #[test]
    fn every_authorisation_that_is_none_can_be_found() {
        let named = |name: &str| serde_json::from_value::<Authorisation>(serde_json::json!(name)).unwrap();
        let open: Vec<&str> =
            AUTHORISATIONS.iter().copied().filter(|name| !named(name).is_authorised()).collect();
        assert_eq!([open.as_slice(), &["-"]].concat(), FINDING.1);
    }

    #[test]
    fn names_follow_the_conventions() {
        for definition in TABLE {
            let name = definition.name;
            assert!(name.starts_with("ranproof_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), definition.kind == Kind::Counter, "{name}");
            let suffix = match definition.unit {
                Unit::Count => "",
                Unit::Seconds => "_seconds",
                Unit::Timestamp => "_timestamp_seconds",
                Unit::Info => "_info",
                Unit::Ratio => "_ratio",
                Unit::Blocks => "_blocks",
                Unit::Leaves => "_leaves",
                Unit::Rounds => "_rounds",
            };
            assert!(name.ends_with(suffix), "{name} lacks {suffix}");
            assert!(definition.help.ends_with('.') && definition.help.len() > 20, "{name} has no help");
            let combinations: usize = definition.labels.iter().map(|(_, v)| v.len().max(1)).product();
            assert!(combinations <= 32, "{name} has too many series");
        }
    }

    #[test]
    fn every_bounded_series_is_there_before_the_first_event() {
        let text = Metrics::new("telecom").unwrap().render(&Readings::default());
        assert!(text.contains(r#"ranproof_rounds_total{result="error",operator="telecom"} 0"#), "{text}");
        assert!(text.contains(r#"authorisation="wrong-object",operator="telecom"} 0"#), "{text}");
        assert!(text.contains("ranproof_round_duration_seconds_count"), "{text}");
    }

    #[test]
    fn the_labels_are_the_names_of_the_model() {
        for name in AUTHORISATION.1 {
            let known: Result<Authorisation, _> = serde_json::from_value(serde_json::json!(name));
            assert_eq!(known.unwrap().as_str(), *name);
        }
        let all = Authorisation::Unbaselined as usize + 1;
        assert_eq!(AUTHORISATION.1.len(), all);
    }

    #[test]
    fn a_round_counts_by_whether_every_station_was_read() {
        let metrics = Metrics::new("telecom").unwrap();
        let accounting = Accounting { expected: 3, collected: 2, failed: 1, ..Accounting::default() };
        metrics.round_finished(&accounting, Timestamp(0), Timestamp(1500));
        metrics.changes_observed([Authorisation::Late]);
        let finished = Some((accounting, Timestamp(1500)));
        let text = metrics.render(&Readings { accounting: finished, ..Readings::default() });
        assert!(text.contains(r#"result="incomplete",operator="telecom"} 1"#), "{text}");
        assert!(
            text.contains(r#"ranproof_round_stations{outcome="collected",operator="telecom"} 2"#),
            "{text}"
        );
        assert!(text.contains(r#"authorisation="late",operator="telecom"} 1"#), "{text}");
        assert!(
            text.contains(r#"ranproof_round_finished_timestamp_seconds{operator="telecom"} 1.5"#),
            "{text}"
        );
    }
}
