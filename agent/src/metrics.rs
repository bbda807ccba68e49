//! Metrics, declared in one table: its help texts are the documentation. No label per cell or station.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;
use model::inventory::Accounting;
use model::verdict::Authorisation;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What a metric counts; base units stand in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
    /// Seconds since 1970 UTC.
    Timestamp,
    Info,
}

/// A label with all its values; none listed: the routes of the router.
type Label = (&'static str, &'static [&'static str]);

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [Label],
    pub help: &'static str,
}

const OUTCOME: Label = ("outcome", &["collected", "unchanged", "failed", "skipped"]);
const SEVERITY: Label = ("severity", &["critical", "major", "minor", "warning"]);
const STATE: Label = ("state", &["open", "acknowledged", "waived", "resolved"]);
const RESULT: Label = ("result", &["complete", "incomplete", "error"]);
const ROUTE: Label = ("route", &[]);
const CODE: Label = ("code", &["2xx", "3xx", "4xx", "5xx"]);
const VERSION: Label = ("version", &[env!("CARGO_PKG_VERSION")]);
const AUTHORISATION: Label = ("authorisation", AUTHORISATIONS);

/// Names of all judgements, in the order in which they are tried.
pub const AUTHORISATIONS: &[&str] = &[
    "restored",
    "exact",
    "by-right",
    "standing",
    "undetermined",
    "no-right",
    "late",
    "early",
    "expired",
    "stale",
    "exceeded",
    "deviating",
    "wrong-object",
    "unapproved",
    "unbaselined",
];

const BUILD: &str = "ranproof_build_info";
const ROUNDS: &str = "ranproof_rounds_total";
const ROUND_DURATION: &str = "ranproof_round_duration_seconds";
const ROUND_FINISHED: &str = "ranproof_round_finished_timestamp_seconds";
const ROUND_EXPECTED: &str = "ranproof_round_expected_stations";
const ROUND_STATIONS: &str = "ranproof_round_stations";
const VIOLATIONS: &str = "ranproof_violations";
const CHANGES: &str = "ranproof_changes_observed_total";
const HEIGHT: &str = "ranproof_chain_height";
const BLOCK_TIME: &str = "ranproof_chain_block_timestamp_seconds";
const MEMPOOL: &str = "ranproof_chain_mempool_transactions";
const RUNNING: &str = "ranproof_chain_node_running";
const LOG_SIZE: &str = "ranproof_log_anchored_leaves";
const LOG_WAITING: &str = "ranproof_log_waiting_leaves";
const ANCHORED: &str = "ranproof_anchor_timestamp_seconds";
const OUTBOX: &str = "ranproof_outbox_transactions";
const REQUESTS: &str = "ranproof_http_requests_total";

const fn line(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [Label],
    help: &'static str,
) -> Definition {
    Definition { name, kind, unit, labels, help }
}

/// Every metric there is. All carry the label `operator` besides: whose agent it is.
pub const TABLE: &[Definition] = &[
    line(BUILD, Kind::Gauge, Unit::Info, &[VERSION], "Always 1; the version of this agent."),
    line(
        ROUNDS,
        Kind::Counter,
        Unit::Count,
        &[RESULT],
        "Rounds since the agent started: complete (every station read), incomplete (some failed or skipped), error (could not be stored).",
    ),
    line(
        ROUND_DURATION,
        Kind::Histogram,
        Unit::Seconds,
        &[],
        "How long a round took, from its opening to its last write.",
    ),
    line(
        ROUND_FINISHED,
        Kind::Gauge,
        Unit::Timestamp,
        &[],
        "When the last round was finished; 0 before the first. Its age is what to alert on.",
    ),
    line(
        ROUND_EXPECTED,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Stations that the agreed inventory expected of the last round.",
    ),
    line(
        ROUND_STATIONS,
        Kind::Gauge,
        Unit::Count,
        &[OUTCOME],
        "Stations of the last round by outcome; they sum to the expected ones.",
    ),
    line(
        VIOLATIONS,
        Kind::Gauge,
        Unit::Count,
        &[STATE, SEVERITY],
        "Violations on record by state and perceived severity (X.733).",
    ),
    line(
        CHANGES,
        Kind::Counter,
        Unit::Count,
        &[AUTHORISATION],
        "Differences between two reads that were judged, by authorisation, since the agent started.",
    ),
    line(HEIGHT, Kind::Gauge, Unit::Count, &[], "Height of the newest final block."),
    line(
        BLOCK_TIME,
        Kind::Gauge,
        Unit::Timestamp,
        &[],
        "Chain time of the newest final block; an idle chain makes one every ten seconds.",
    ),
    line(MEMPOOL, Kind::Gauge, Unit::Count, &[], "Transactions that wait at this node for a block."),
    line(
        RUNNING,
        Kind::Gauge,
        Unit::Count,
        &[],
        "1 while the chain node runs, 0 after it has stopped; rounds then go on unopened.",
    ),
    line(
        LOG_SIZE,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Leaves of this operator's log that are anchored on the chain.",
    ),
    line(LOG_WAITING, Kind::Gauge, Unit::Count, &[], "Leaves that are stored but not anchored yet."),
    line(
        ANCHORED,
        Kind::Gauge,
        Unit::Timestamp,
        &[],
        "Chain time of the last anchored checkpoint; 0 before the first.",
    ),
    line(OUTBOX, Kind::Gauge, Unit::Count, &[], "Signed transactions of this agent that are not final yet."),
    line(
        REQUESTS,
        Kind::Counter,
        Unit::Count,
        &[ROUTE, CODE],
        "Answers of pages and API by route and class of status code.",
    ),
];

/// Upper bounds of a round's duration, in seconds: twelve simulated stations to a province.
const DURATIONS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// What is read at each scrape rather than counted along the way.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// Of the last finished round.
    pub accounting: Option<(Accounting, Timestamp)>,
    /// By state and severity.
    pub violations: BTreeMap<(String, String), u64>,
    pub height: u64,
    pub block_time: Timestamp,
    pub mempool: usize,
    pub node_running: bool,
    pub log_size: u64,
    pub log_waiting: u64,
    pub anchored: Option<Timestamp>,
    pub outbox: usize,
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
        };
        for definition in TABLE {
            inner.declare(definition)?;
        }
        let metrics = Metrics(Arc::new(inner));
        metrics.gauge(BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(metrics)
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
        for state in STATE.1 {
            for severity in SEVERITY.1 {
                let count = readings.violations.get(&((*state).to_owned(), (*severity).to_owned()));
                self.gauge(VIOLATIONS, &[state, severity]).set(count.copied().unwrap_or(0) as f64);
            }
        }
        self.gauge(HEIGHT, &[]).set(readings.height as f64);
        self.gauge(BLOCK_TIME, &[]).set(seconds(readings.block_time));
        self.gauge(MEMPOOL, &[]).set(readings.mempool as f64);
        self.gauge(RUNNING, &[]).set(f64::from(u8::from(readings.node_running)));
        self.gauge(LOG_SIZE, &[]).set(readings.log_size as f64);
        self.gauge(LOG_WAITING, &[]).set(readings.log_waiting as f64);
        self.gauge(ANCHORED, &[]).set(readings.anchored.map_or(0.0, seconds));
        self.gauge(OUTBOX, &[]).set(readings.outbox as f64);
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
    use std::collections::BTreeSet;

    fn names(text: &str) -> BTreeSet<&str> {
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).filter_map(|l| l.split(' ').next()).collect()
    }

    #[test]
    fn what_is_exported_is_the_table() {
        let metrics = Metrics::new("telecom").unwrap();
        metrics.answered("/violations", 200);
        let text = metrics.render(&Readings::default());
        let table: BTreeSet<&str> = TABLE.iter().map(|d| d.name).collect();
        assert_eq!(names(&text), table);
        assert_eq!(table.len(), TABLE.len(), "a name is there twice");
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
