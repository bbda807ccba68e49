//! Every metric there is: names, labels and help texts, which are the documentation.

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
    /// A share of a whole, 0 to 1.
    Ratio,
    Blocks,
    Leaves,
    Rounds,
}

/// A label with all its values; none listed: routes of the router, members of the chain, rules of the policy set, or
/// the collector's reasons of failures.
pub(super) type Label = (&'static str, &'static [&'static str]);

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [Label],
    pub help: &'static str,
}

pub(super) const OUTCOME: Label = ("outcome", &["collected", "unchanged", "failed", "skipped"]);
pub(super) const SEVERITY: Label = ("severity", &["critical", "major", "minor", "warning"]);
pub(super) const STATE: Label = ("state", &["open", "acknowledged", "waived", "resolved"]);
pub(super) const RESULT: Label = ("result", &["complete", "incomplete", "error"]);
pub(super) const ROUTE: Label = ("route", &[]);
pub(super) const CODE: Label = ("code", &["2xx", "3xx", "4xx", "5xx"]);
pub(super) const MEMBER: Label = ("member", &[]);
pub(super) const ORIGIN: Label = ("origin", &[]);
pub(super) const JUDGE: Label = ("judge", &[]);
pub(super) const VERDICT: Label = ("verdict", &["same", "differs", "missing", "extra", "unjudged"]);
pub(super) const DISPUTE_STATE: Label = ("state", &["open", "upheld", "withdrawn"]);
pub(super) const REFUSED: Label = ("why", &["stranger", "handshake", "crowded"]);
pub(super) const WHAT: Label =
    ("what", &["flooded", "transactions", "repeated", "proposals", "blocks", "synced"]);
pub(super) const VERSION: Label = ("version", &[env!("CARGO_PKG_VERSION")]);
pub(super) const AUTHORISATION: Label = ("authorisation", AUTHORISATIONS);
pub(super) const RULE: Label = ("rule", &[]);
pub(super) const WHY: Label = ("why", &[]);

/// What a violation's authorisation may be: those that open none are left out, rules of the policy set have none.
pub(super) const FINDING: Label = ("authorisation", &FINDINGS);

/// The unauthorised ones of [`AUTHORISATIONS`], and what stands in their place for rules of the policy set.
const FINDINGS: [&str; 12] = [
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
    "-",
];

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

pub(super) const BUILD: &str = "ranproof_build_info";
pub(super) const STARTED: &str = "ranproof_started_timestamp_seconds";
pub(super) const ROUNDS: &str = "ranproof_rounds_total";
pub(super) const ROUND_DURATION: &str = "ranproof_round_duration_seconds";
pub(super) const ROUND_FINISHED: &str = "ranproof_round_finished_timestamp_seconds";
pub(super) const ROUND_EXPECTED: &str = "ranproof_round_expected_stations";
pub(super) const ROUND_STATIONS: &str = "ranproof_round_stations";
pub(super) const FAILURES: &str = "ranproof_round_failures";
pub(super) const PERIOD: &str = "ranproof_collection_period_seconds";
pub(super) const VIOLATIONS: &str = "ranproof_violations";
pub(super) const OPENED: &str = "ranproof_violations_opened_total";
pub(super) const BY_AUTHORISATION: &str = "ranproof_unresolved_violations_by_authorisation";
pub(super) const BY_RULE: &str = "ranproof_unresolved_violations_by_rule";
pub(super) const AUDITED: &str = "ranproof_audited_objects";
pub(super) const CHANGES: &str = "ranproof_changes_observed_total";
pub(super) const HEIGHT: &str = "ranproof_chain_height";
pub(super) const BLOCK_TIME: &str = "ranproof_chain_block_timestamp_seconds";
pub(super) const MEMPOOL: &str = "ranproof_chain_mempool_transactions";
pub(super) const RUNNING: &str = "ranproof_chain_node_running";
pub(super) const VOTING_ROUND: &str = "ranproof_chain_round";
pub(super) const VALIDATORS: &str = "ranproof_chain_validators";
pub(super) const REACHABLE: &str = "ranproof_chain_validators_reachable";
pub(super) const REACHABLE_POWER: &str = "ranproof_chain_reachable_power_ratio";
pub(super) const CERTIFICATE_POWER: &str = "ranproof_chain_certificate_power_ratio";
pub(super) const CHAIN_FORKS: &str = "ranproof_chain_forked_members";
pub(super) const EQUIVOCATIONS: &str = "ranproof_chain_equivocations";
pub(super) const NODE_REFUSED: &str = "ranproof_chain_refused";
pub(super) const PEER_UP: &str = "ranproof_peer_up";
pub(super) const PEER_CLOCK: &str = "ranproof_peer_clock_difference_seconds";
pub(super) const PEER_BEHIND: &str = "ranproof_peer_behind_blocks";
pub(super) const PEER_REFUSED: &str = "ranproof_peer_refused_connections";
pub(super) const MIRROR_LAG: &str = "ranproof_mirror_lag_leaves";
pub(super) const COSIGNATURE_LAG: &str = "ranproof_cosignature_lag_leaves";
pub(super) const FORKS: &str = "ranproof_log_forks";
pub(super) const SECOND: &str = "ranproof_second_judgements";
pub(super) const DISPUTES: &str = "ranproof_disputes";
pub(super) const UNJUDGED: &str = "ranproof_second_judgement_lag_rounds";
pub(super) const UNOPENED: &str = "ranproof_rounds_unopened";
pub(super) const LOG_SIZE: &str = "ranproof_log_anchored_leaves";
pub(super) const LOG_WAITING: &str = "ranproof_log_waiting_leaves";
pub(super) const ANCHORED: &str = "ranproof_anchor_timestamp_seconds";
pub(super) const OUTBOX: &str = "ranproof_outbox_transactions";
pub(super) const OUTBOX_OLDEST: &str = "ranproof_outbox_oldest_timestamp_seconds";
pub(super) const REQUESTS: &str = "ranproof_http_requests_total";

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
        STARTED,
        Kind::Gauge,
        Unit::Timestamp,
        &[],
        "When this agent started. How often it changes is what to alert on: an agent that ends and is started again may answer each scrape.",
    ),
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
        FAILURES,
        Kind::Gauge,
        Unit::Count,
        &[WHY],
        "Stations that the last round could not read by reason; reasons that no station had are left out.",
    ),
    line(
        PERIOD,
        Kind::Gauge,
        Unit::Seconds,
        &[],
        "How far scheduled rounds lie apart; 0 while rounds are started by hand.",
    ),
    line(
        VIOLATIONS,
        Kind::Gauge,
        Unit::Count,
        &[STATE, SEVERITY],
        "Violations on record by state and perceived severity (X.733).",
    ),
    line(
        OPENED,
        Kind::Counter,
        Unit::Count,
        &[SEVERITY],
        "Violations that rounds opened since the agent started, by severity.",
    ),
    line(
        BY_AUTHORISATION,
        Kind::Gauge,
        Unit::Count,
        &[FINDING],
        "Violations that are not resolved by authorisation; `-` are those of the policy set's rules.",
    ),
    line(
        BY_RULE,
        Kind::Gauge,
        Unit::Count,
        &[RULE],
        "Violations that are not resolved by rule; every rule that has a violation on record is there.",
    ),
    line(
        AUDITED,
        Kind::Gauge,
        Unit::Count,
        &[RULE],
        "Objects that do not keep a rule in mode `audit`, or cannot be judged by it, at stations that the last round read; all such rules are there.",
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
        "1 while the chain node runs, 0 after it has stopped, which ends the agent.",
    ),
    line(
        VOTING_ROUND,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Round of the height being decided; above 0 a proposer was silent or wrong.",
    ),
    line(VALIDATORS, Kind::Gauge, Unit::Count, &[], "Validators of the chain."),
    line(
        REACHABLE,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Validators whose agent answers or whose node is connected, this one included.",
    ),
    line(
        REACHABLE_POWER,
        Kind::Gauge,
        Unit::Ratio,
        &[],
        "Their share of the voting power; at two thirds or below the chain halts and rounds go on unopened.",
    ),
    line(
        CERTIFICATE_POWER,
        Kind::Gauge,
        Unit::Ratio,
        &[],
        "Share of the voting power whose signatures stand under the newest block; only the first above two thirds are kept.",
    ),
    line(
        EQUIVOCATIONS,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Votes that contradict each other, seen by this node since it started; any is a reason to look.",
    ),
    line(
        CHAIN_FORKS,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Members whose agent has another final block than this node at the same height; any means that the chain has two histories.",
    ),
    line(
        NODE_REFUSED,
        Kind::Gauge,
        Unit::Count,
        &[WHAT],
        "What peers sent that this node would not take, since it started: transactions beyond a peer's share (flooded), refused by the contract (transactions) or known already (repeated), proposals out of turn (proposals), blocks it voted against (blocks) and wrong blocks served for catching up (synced).",
    ),
    line(PEER_UP, Kind::Gauge, Unit::Count, &[MEMBER], "1 while a member's agent answers, else 0."),
    line(
        PEER_CLOCK,
        Kind::Gauge,
        Unit::Seconds,
        &[MEMBER],
        "A member's clock minus this one's, as good as half the round trip; blocks further off than ten seconds are voted down.",
    ),
    line(
        PEER_BEHIND,
        Kind::Gauge,
        Unit::Blocks,
        &[MEMBER],
        "Blocks that a member's node lacks of the newest known here, as its agent says; this one included.",
    ),
    line(
        PEER_REFUSED,
        Kind::Gauge,
        Unit::Count,
        &[REFUSED],
        "Connections that the listener for other agents turned away since the agent started; a stranger is somebody whose certificate is no member's.",
    ),
    line(
        MIRROR_LAG,
        Kind::Gauge,
        Unit::Leaves,
        &[ORIGIN],
        "Anchored leaves of another member's log that are not mirrored here yet.",
    ),
    line(
        COSIGNATURE_LAG,
        Kind::Gauge,
        Unit::Leaves,
        &[ORIGIN, MEMBER],
        "Anchored leaves of a log that a member's newest cosignature known here does not cover.",
    ),
    line(
        FORKS,
        Kind::Gauge,
        Unit::Count,
        &[ORIGIN],
        "Times that a member's log told another story than the anchored one; any is a reason to look.",
    ),
    line(
        SECOND,
        Kind::Gauge,
        Unit::Count,
        &[JUDGE, VERDICT],
        "Second judgements of violations on record here by judge and by how they compare with the collecting side's.",
    ),
    line(
        UNJUDGED,
        Kind::Gauge,
        Unit::Rounds,
        &[ORIGIN],
        "Attested rounds of another operator that this agent has not judged yet; a number that grows means that its operator discloses nothing.",
    ),
    line(DISPUTES, Kind::Gauge, Unit::Count, &[DISPUTE_STATE], "Disputes on the chain by state."),
    line(
        UNOPENED,
        Kind::Gauge,
        Unit::Count,
        &[],
        "Finished rounds that began without an opening on the chain, because it was halted or out of reach.",
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
        OUTBOX_OLDEST,
        Kind::Gauge,
        Unit::Timestamp,
        &[],
        "When the oldest signed transaction that is not final yet was signed; 0 if none waits.",
    ),
    line(
        REQUESTS,
        Kind::Counter,
        Unit::Count,
        &[ROUTE, CODE],
        "Answers of pages and API by route and class of status code.",
    ),
];
