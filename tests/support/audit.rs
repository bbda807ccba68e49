//! The whole-system check after a crash: nothing doubled, nothing missing, everything balances; and what two runs of
//! the same story must have in common.

use std::collections::{BTreeMap, BTreeSet};

use agent::config::read_yaml;
use agent::statements;
use anchor::tree::Tree;
use anchor::trust::Trust;
use anchor::verify::{Outcome, Report};
use model::{Agreement, Dn, Violation, ViolationState};
use store::{EditRow, RequestFilter, Store, ViolationFilter};

use crate::radio::{STATIONS, World};

const ORIGIN: &str = "telecom";

/// More than any test here has of anything.
const ALL: u32 = 100_000;

/// Asserts that the agent, at rest, left no thread loose.
pub fn check(world: &World) {
    let store = world.store();
    world.runtime.block_on(async {
        rounds(&store).await;
        log(&store).await;
        violations(&store).await;
        bundles(&store).await;
        let report = store.fsck().await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        store.close().await;
    });
}

/// Rounds are numbered without gaps, balance, and have one opening and one attestation each on the chain.
async fn rounds(store: &Store) {
    let rounds = store.rounds(None, ALL).await.unwrap();
    let numbers: Vec<u64> = rounds.iter().rev().map(|r| r.start.round).collect();
    assert_eq!(numbers, (1..=rounds.len() as u64).collect::<Vec<_>>());
    for row in &rounds {
        let round = row.start.round;
        assert!(row.finished.is_some(), "round {round} was left open");
        assert_eq!(row.accounting.expected, STATIONS as u64);
        assert!(row.accounting.balances(), "round {round}: {:?}", row.accounting);
        let outcomes = store.station_results(round).await.unwrap();
        let elements: BTreeSet<&Dn> = outcomes.iter().map(|o| &o.element).collect();
        assert_eq!((outcomes.len(), elements.len()), (STATIONS, STATIONS), "round {round}");
    }
    let on_chain = store.chain_rounds(ORIGIN, ALL).await.unwrap();
    assert_eq!(on_chain.len(), rounds.len(), "each round was opened");
    for (row, chain) in rounds.iter().zip(&on_chain) {
        let round = row.start.round;
        assert_eq!(chain.opening.round, round);
        assert_eq!(row.start.opened, Some(chain.opened.height), "round {round} knows its opening");
        let attested = chain.attestation.as_ref();
        assert!(attested.is_some() || chain.missed.is_some(), "round {round} is neither attested nor missed");
        assert_eq!(row.attested.map(|(height, _)| height), chain.attested.map(|at| at.height));
        let bytes = row.attestation.as_ref().unwrap();
        assert_eq!(attested.map(|a| a.attestation), Some(anchor::Hash::of(bytes)));
        assert_eq!(attested.map(|a| Some(a.leaf_index)), Some(row.leaf_index));
    }
    for (action, count) in accepted(store).await {
        if ["OpenRound", "AttestRound"].contains(&action.as_str()) {
            assert_eq!(count, rounds.len(), "{action} transactions");
        }
    }
    assert_eq!(store.pending_transactions().await.unwrap(), [], "transactions left unsent");
}

/// Accepted transactions of this origin by action.
async fn accepted(store: &Store) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::from([("OpenRound".to_owned(), 0), ("AttestRound".to_owned(), 0)]);
    for block in store.blocks(None, ALL).await.unwrap() {
        for transaction in store.transactions_at(block.height).await.unwrap() {
            if transaction.refused.is_none() {
                *counts.entry(transaction.action).or_default() += 1;
            }
        }
    }
    counts
}

/// The outbox is empty, each leaf stands once, and they give the root that the chain anchored.
async fn log(store: &Store) {
    let state = store.log_state().await.unwrap();
    assert_eq!((state.waiting, state.staged), (0, None), "the outbox is not drained");
    let mut tree = Tree::default();
    let mut seen = BTreeSet::new();
    for index in 0..state.size {
        let leaf = store.leaf(index).await.unwrap().unwrap();
        assert!(
            seen.insert((leaf.kind.clone(), leaf.subject.clone())),
            "{} {} twice",
            leaf.kind,
            leaf.subject
        );
        tree.push(anchor::tree::leaf_hash(&leaf.envelope));
    }
    let checkpoint = state.checkpoint.unwrap();
    let anchored = store.chain_anchor(ORIGIN).await.unwrap().unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (state.size, tree.root()));
    assert_eq!((anchored.size, anchored.root), (state.size, tree.root()), "the chain has another log");
}

/// There is at most one unresolved violation of each (object, attribute, rule), and each has its leaf.
async fn violations(store: &Store) {
    let mut unresolved = BTreeSet::new();
    for violation in all_violations(store).await {
        let leaf = store.leaf_of("violation", &violation.id).await.unwrap();
        assert!(leaf.is_some(), "violation {} is not in the log", violation.id);
        let key = (violation.object.clone(), violation.attribute.clone(), violation.rule.clone());
        if violation.state != ViolationState::Resolved {
            assert!(
                unresolved.insert(key),
                "{} {} {} twice",
                violation.object,
                violation.attribute,
                violation.rule
            );
        }
    }
}

/// Each request that was carried out has its bundle written, as a file.
async fn bundles(store: &Store) {
    assert_eq!(store.subjects_without_bundle("change").await.unwrap(), Vec::<String>::new());
    for bundle in store.bundles().await.unwrap() {
        assert!(std::path::Path::new(&bundle.file).is_file(), "{} is gone", bundle.file);
    }
}

async fn all_violations(store: &Store) -> Vec<Violation> {
    let page = store.violations(&ViolationFilter::default(), None, ALL).await.unwrap();
    page.rows.into_iter().map(|row| row.violation).collect()
}

/// Bundles of every violation, every carried out request and every round verify with a party's own trust file.
pub fn check_bundles(world: &World) -> usize {
    let store = world.store();
    let subjects: Vec<String> = world.runtime.block_on(async {
        let mut subjects = Vec::new();
        for index in 0..store.log_state().await.unwrap().size {
            let leaf = store.leaf(index).await.unwrap().unwrap();
            subjects.push(leaf.subject.replace("round/", "round-"));
        }
        store.close().await;
        subjects
    });
    for subject in &subjects {
        let report = verify(world, subject);
        assert_eq!(report.outcome, Outcome::Verified, "{subject}:\n{report}");
    }
    subjects.len()
}

/// What a party finds that verifies the bundle of `subject`.
pub fn verify(world: &World, subject: &str) -> Report {
    let genesis = agent::cli::node::load_genesis(&world.federation.dir.join("genesis.json")).unwrap();
    let agreement: Agreement = read_yaml(&world.federation.dir.join("agreement.yaml")).unwrap();
    let trust = Trust::new(statements::trust(&genesis, &agreement).unwrap()).unwrap();
    let bytes = world.client().get_bytes(&format!("/api/v1/bundles/{subject}")).unwrap();
    anchor::verify(&bytes, &trust)
}

/// What follows from the story alone, whatever was killed while it was played. Heights, round numbers, times and
/// all that hangs on drawn nonces (log roots, ids of violations, signatures) differ between any two runs; the
/// configurations' roots, the approved state, the verdicts and the values that can be opened do not.
#[derive(Debug, PartialEq, Eq)]
pub struct Essence {
    /// Roots of the newest snapshots, by station.
    roots: BTreeMap<String, String>,
    /// Approved values with the requests they rest on.
    approved: Vec<String>,
    /// Every violation there ever was, oldest first within its key.
    violations: Vec<String>,
    /// Every edit seen, in order for each attribute: nothing is seen twice and nothing is overlooked.
    edits: Vec<String>,
    /// Values that standing commitments open to.
    openings: Vec<String>,
    /// Requests with how far they were carried out.
    requests: Vec<String>,
    /// What the log's leaves record, but for attestations.
    records: Vec<String>,
}

impl Essence {
    pub fn of(world: &World) -> Essence {
        let store = world.store();
        world.runtime.block_on(async {
            let essence = Essence {
                roots: roots(&store).await,
                approved: approved(&store).await,
                violations: sorted(all_violations(&store).await.iter().map(told).collect()),
                edits: edits(&store).await,
                openings: openings(&store).await,
                requests: requests(&store).await,
                records: records(&store).await,
            };
            store.close().await;
            essence
        })
    }

    /// How much there is to compare, for a test that must not compare nothing with nothing.
    pub fn violations(&self) -> usize {
        self.violations.len()
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn told(violation: &Violation) -> String {
    let Violation { object, attribute, rule, state, old, new, severity, .. } = violation;
    let authorisation = violation.authorisation();
    format!("{object} {attribute} {rule} {authorisation} {severity} {} {old:?} {new:?}", state.as_str())
}

async fn roots(store: &Store) -> BTreeMap<String, String> {
    let newest = store.newest_snapshots().await.unwrap();
    newest.into_iter().map(|s| (s.element.to_string(), s.snapshot.root().to_string())).collect()
}

async fn approved(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for station in store.stations().await.unwrap() {
        let state = store.approved_state(&station.element).await.unwrap();
        for (object, attributes) in state.objects() {
            lines.push(object.to_string());
            lines.extend(
                attributes
                    .iter()
                    .map(|(name, value)| format!("{object} {name} {:?} by {}", value.value, value.request)),
            );
        }
    }
    sorted(lines)
}

async fn edits(store: &Store) -> Vec<String> {
    let mut by_attribute: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let rounds = store.rounds(None, ALL).await.unwrap().len() as u64;
    for round in 1..=rounds {
        for EditRow { edit, .. } in store.edits(round).await.unwrap() {
            let (seen, request) = (edit.edit, edit.request);
            let key = (seen.object.to_string(), seen.attribute.clone());
            let line = format!("{:?} {:?} {:?} {:?}", seen.old, seen.new, edit.authorisation, request);
            by_attribute.entry(key).or_default().push(line);
        }
    }
    by_attribute.into_iter().map(|(key, lines)| format!("{key:?}: {lines:?}")).collect()
}

async fn openings(store: &Store) -> Vec<String> {
    let standing = store.openings_at(u64::MAX >> 1).await.unwrap();
    sorted(
        standing
            .iter()
            .map(|o| format!("{} {} {}", o.opening.dn, o.opening.attribute, o.opening.value))
            .collect(),
    )
}

async fn requests(store: &Store) -> Vec<String> {
    let rows = store.requests(&RequestFilter::default()).await.unwrap();
    let line = |row: &store::RequestRow| {
        let observed: Vec<_> = row.observed.iter().map(|o| format!("{} {}", o.object, o.attribute)).collect();
        format!("{} {:?} {observed:?}", row.subject.subject.id, row.progress)
    };
    sorted(rows.iter().map(line).collect())
}

async fn records(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for index in 0..store.log_state().await.unwrap().size {
        let Some(record) = store.leaf(index).await.unwrap().unwrap().record else { continue };
        let part = |names: &[&str]| names.iter().map(|n| record[n].to_string()).collect::<Vec<_>>().join(" ");
        let violation = ["dn", "attribute", "rule", "severity", "authorisation", "old", "new"];
        lines.push(format!("{} {}", part(&violation), part(&["request", "edits"])));
    }
    // The reference to a request holds its body's hash, which is of this run alone.
    let without_hashes = lines.iter().map(|line| {
        let words =
            line.split('"').filter(|word| !(word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit())));
        words.collect::<Vec<_>>().join("\"")
    });
    sorted(without_hashes.collect())
}
