//! The story of the demo, told by the built program: what it prints, what it leaves behind, and what stands after
//! an agent starts again.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use anchor::tree::{Tree, leaf_hash};
use process::{PATIENCE, PROGRAM, Process, ranproof};
use serde_json::Value as Json;
use store::{Store, StoreConfig};

/// What the issue promises of the one JSON object.
const KEYS: &[&str] = &[
    "operators",
    "validators",
    "stations",
    "rounds",
    "collected",
    "unchanged",
    "skipped",
    "failed",
    "changes",
    "violations",
    "judgements",
    "disputes",
    "cosignatures",
    "height",
    "bundles",
    "pages",
];
const VIOLATION_KEYS: &[&str] =
    &["id", "element", "object", "attribute", "old", "new", "rule", "severity", "authorisation", "state"];

/// Station, attribute, authorisation, state of each unauthorised difference in Telecom's district.
const VERDICTS: &[(&str, &str, &str, &str)] = &[
    ("gnb-0002", "configuredMaxTxPower", "unapproved", "open"),
    ("gnb-0003", "pLMNInfoList", "unapproved", "open"),
    ("gnb-0004", "administrativeState", "no-right", "open"),
    ("gnb-0005", "configuredMaxTxPower", "exceeded", "open"),
    ("gnb-0006", "ssbPeriodicity", "early", "open"),
    ("gnb-0007", "ssbPeriodicity", "late", "open"),
    ("gnb-0008", "@object", "unapproved", "open"),
    ("gnb-0009", "configuredMaxTxPower", "unapproved", "resolved"),
];

/// Rounds of each operator.
const ROUNDS: [(&str, u64); 2] = [("telecom", 7), ("unicom", 5)];
/// The round that nobody could open, since the chain was halted.
const UNOPENED: u64 = 6;
/// The round of Telecom's of which a value was rewritten afterwards.
const REWRITTEN: u64 = 5;

/// The last quarter of the stations is Unicom's; its stations count from 1.
fn unicoms(stations: u64, number: u64) -> String {
    format!("gnb-{:04}", stations - stations / 4 + number)
}

fn demo(dir: &Path, more: &[&str]) -> Output {
    let output = Command::new(PROGRAM)
        .args(["demo", "--once", "--json", "--yes", "--dir", dir.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Standard output holds exactly one JSON object.
fn story(output: &Output) -> Json {
    let mut values = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Json>();
    let story = values.next().unwrap().unwrap();
    assert!(story.is_object() && values.next().is_none(), "{}", String::from_utf8_lossy(&output.stdout));
    story
}

fn list<'a>(story: &'a Json, name: &str) -> &'a [Json] {
    story[name].as_array().unwrap()
}

fn text<'a>(object: &'a Json, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

fn check(story: &Json, stations: u64) {
    for key in KEYS {
        assert!(story.get(key).is_some(), "no `{key}`");
    }
    let number = |name: &str| story[name].as_u64().unwrap();
    assert_eq!((number("operators"), number("validators"), number("stations")), (3, 4, stations));
    assert_eq!(number("rounds"), ROUNDS.iter().map(|(_, rounds)| rounds).sum::<u64>());
    assert!(number("height") > 40);
    let failed = list(story, "failed");
    let accounted = number("collected") + number("unchanged") + number("skipped") + failed.len() as u64;
    assert_eq!(accounted, stations);
    check_failed(failed, stations);
    let changes = |name: &str| story["changes"][name].as_u64().unwrap();
    // Exact four times and restored once; the eight verdicts above and one in Unicom's district.
    assert_eq!((changes("observed"), changes("authorised"), changes("unauthorised")), (14, 5, 9));
    check_violations(list(story, "violations"), stations);
    check_second_judgements(story);
    check_bundles(list(story, "bundles"));
    for (operator, peer) in [("telecom", "unicom"), ("unicom", "telecom")] {
        let cosigned = |member: &str| story["cosignatures"][operator][member].as_u64();
        assert!(cosigned(peer) > Some(10) && cosigned("tower") > Some(10), "{}", story["cosignatures"]);
    }
    let pages: BTreeSet<&str> = list(story, "pages").iter().map(|p| p.as_str().unwrap()).collect();
    assert!(pages.len() == 4 && pages.iter().all(|p| p.starts_with("http://127.0.0.1:")), "{pages:?}");
}

/// The operators' agents agree on everything but the round that was tampered with, which Unicom disputes.
fn check_second_judgements(story: &Json) {
    let judged = |name: &str| story["judgements"][name].as_u64().unwrap();
    assert_eq!((judged("same"), judged("differs")), (11, 1), "{}", story["judgements"]);
    assert_eq!((judged("unopened"), judged("verdicts_differing")), (1, 0), "{}", story["judgements"]);
    assert!(judged("verdicts_same") > VERDICTS.len() as u64, "{}", story["judgements"]);
    let disputes = list(story, "disputes");
    let about = |d: &Json| {
        (text(d, "origin").to_owned(), d["round"].as_u64().unwrap(), text(d, "disputer").to_owned())
    };
    assert_eq!(disputes.len(), 1, "{disputes:?}");
    assert_eq!(about(&disputes[0]), ("telecom".to_owned(), REWRITTEN, "unicom".to_owned()));
    assert_eq!((text(&disputes[0], "kind"), text(&disputes[0], "state")), ("opening", "upheld"));
    let height = |step: &str| disputes[0][step]["height"].as_u64().unwrap();
    assert!(height("opened") < height("answered") && height("answered") < height("ended"), "{disputes:?}");
}

fn check_failed(failed: &[Json], stations: u64) {
    let reasons: Vec<(&str, &str)> =
        failed.iter().map(|f| (text(f, "element").rsplit('=').next().unwrap(), text(f, "reason"))).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(reasons[0], (unicoms(stations, 1).as_str(), "unreachable"));
    // Garbage is not XML here; the collector's tests have all the other kinds.
    assert_eq!(reasons[1], (unicoms(stations, 2).as_str(), "not-xml"));
    assert_eq!(reasons[2], (unicoms(stations, 3).as_str(), "host-key-mismatch"));
    assert!(failed.iter().all(|f| text(f, "detail").contains(' ')), "{failed:?}");
}

fn check_violations(violations: &[Json], stations: u64) {
    let mut verdicts = BTreeSet::new();
    for violation in violations {
        let keys: Vec<&str> = VIOLATION_KEYS.iter().copied().filter(|k| violation.get(k).is_none()).collect();
        assert!(keys.is_empty(), "{} lacks {keys:?}", violation["id"]);
        assert!(text(violation, "object").starts_with(text(violation, "element")));
        if text(violation, "rule") == "authorisation" {
            let element = text(violation, "element").rsplit('=').next().unwrap();
            let authorisation = text(violation, "authorisation");
            verdicts.insert((element, text(violation, "attribute"), authorisation, text(violation, "state")));
        } else {
            assert!(violation["authorisation"].is_null(), "rules carry no authorisation: {violation}");
        }
    }
    let unicoms = unicoms(stations, 2);
    let ours = (unicoms.as_str(), "configuredMaxTxPower", "unapproved", "open");
    assert_eq!(verdicts, VERDICTS.iter().copied().chain([ours]).collect());
    let keys = violations.iter().map(|v| (text(v, "object"), text(v, "attribute"), text(v, "rule")));
    assert_eq!(
        keys.collect::<BTreeSet<_>>().len(),
        violations.len(),
        "one violation per object, attribute, rule"
    );
    let broken: BTreeSet<&str> = violations.iter().map(|v| text(v, "rule")).collect();
    for rule in ["plmn-list-order", "operator-cell-not-locked"] {
        assert!(broken.contains(rule), "no violation of {rule}: {broken:?}");
    }
    let deleted = violations.iter().find(|v| v["attribute"] == "@object").unwrap();
    assert!(deleted["new"].is_null() && deleted["old"].is_object(), "{deleted}");
}

/// Every bundle verifies with the other operator's trust file, which requires cosignatures and second judgements, by the
/// large program and by the small one where it was built.
fn check_bundles(bundles: &[Json]) {
    let subjects: BTreeSet<&str> = bundles.iter().map(|b| text(b, "subject")).collect();
    for subject in ["CR-1001", "CR-2001", "CR-1005", "round-7", "round-5"] {
        assert!(subjects.contains(subject), "{subjects:?}");
    }
    assert!(subjects.iter().filter(|s| s.starts_with("V-")).count() > VERDICTS.len());
    let small = Path::new(PROGRAM).with_file_name("ranproof-verify");
    for bundle in bundles {
        assert_eq!(text(bundle, "result"), "verified");
        let arguments = [text(bundle, "file"), "--trust", text(bundle, "trust")];
        let mut verifiers = vec![Command::new(PROGRAM)];
        verifiers[0].arg("verify");
        if small.exists() {
            verifiers.push(Command::new(&small));
        }
        for mut verifier in verifiers {
            let output = verifier.args(arguments).output().unwrap();
            let words = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{words}");
            if text(bundle, "subject").starts_with("V-") {
                let step = words.lines().find(|line| line.contains("judgements")).unwrap_or_default();
                let (own, other) = match text(bundle, "trust").contains("unicom") {
                    true => ("telecom: ", "unicom judged"),
                    false => ("unicom: ", "telecom judged"),
                };
                assert!(step.contains(own) && step.contains(other), "not both judgements are named: {words}");
            }
        }
    }
}

/// Processes with `dir` on their command line.
fn processes_on(dir: &Path) -> Vec<PathBuf> {
    let needle = dir.to_str().unwrap();
    let of_process = |entry: std::fs::DirEntry| {
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&words).contains(needle).then(|| entry.path())
    };
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| of_process(entry.ok()?)).collect()
}

fn wait_until_nothing_runs_on(dir: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !processes_on(dir).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?}", processes_on(dir));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What was anchored while the chain was away and back stands in the log once, and each round has one opening at most
/// and one attestation.
fn check_logs(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (operator, rounds) in ROUNDS {
            let path = dir.join(operator).join("data/ranproof.db");
            let store = Store::open(StoreConfig::new(path)).await.unwrap();
            check_log(&store, operator).await;
            check_rounds(&store, operator, rounds).await;
            store.close().await;
        }
    });
}

async fn check_log(store: &Store, operator: &str) {
    let anchored = store.chain_anchor(operator).await.unwrap().unwrap();
    let mut tree = Tree::default();
    let mut seen = BTreeSet::new();
    for index in 0..anchored.size {
        let leaf = store.leaf(index).await.unwrap().unwrap();
        assert!(
            seen.insert((leaf.kind.clone(), leaf.subject.clone())),
            "{} {} twice",
            leaf.kind,
            leaf.subject
        );
        tree.push(leaf_hash(&leaf.envelope));
    }
    assert_eq!(tree.root(), anchored.root, "the chain has another log of {operator}");
}

async fn check_rounds(store: &Store, operator: &str, rounds: u64) {
    let on_chain = store.chain_rounds(operator, 100).await.unwrap();
    let numbers: BTreeSet<u64> = on_chain.iter().map(|round| round.opening.round).collect();
    assert_eq!(numbers, (1..=rounds).collect());
    assert!(on_chain.iter().all(|round| round.attestation.is_some() && round.missed.is_none()));
    for round in store.rounds(None, 100).await.unwrap() {
        let unopened = operator == "telecom" && round.start.round == UNOPENED;
        assert_eq!(round.start.opened.is_none(), unopened, "{operator} {}", round.start.round);
    }
    let mut actions = Vec::new();
    for block in store.blocks(None, 100_000).await.unwrap() {
        for sent in store.transactions_at(block.height).await.unwrap() {
            if sent.refused.is_none() && sent.member.as_deref() == Some(operator) {
                actions.push(sent.action);
            }
        }
    }
    for action in ["OpenRound", "AttestRound"] {
        let count = actions.iter().filter(|sent| *sent == action).count() as u64;
        assert_eq!(count, rounds, "{action} of {operator}");
    }
}

#[test]
fn the_story_goes_as_told_twice_in_one_folder_and_an_agent_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("world");
    for _ in 0..2 {
        let output = demo(&dir, &[]);
        // The demo has waited for its children: nothing has to be waited for here.
        assert_eq!(processes_on(&dir), Vec::<PathBuf>::new());
        check(&story(&output), 12);
        check_logs(&dir);
    }

    let config = dir.join("telecom/agent.yaml");
    let log = folder.path().join("agent.log");
    let mut agent = Process::start(ranproof(&["agent", "--config", config.to_str().unwrap()]), log);
    let page = agent.wait_for_words("Pages at ");
    let ask = |args: &[&str]| -> Json {
        let page = page.trim_end().trim_end_matches('/');
        let output = Command::new(PROGRAM).args(args).args(["--json", "--agent", page]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(ask(&["change", "show", "CR-1001"])["progress"], "complete");
    assert_eq!(ask(&["change", "show", "CR-1002"])["progress"], "pending");
    let violations = ask(&["violation", "list"]);
    check_violations_after(list(&violations, "violations"));
    let file = folder.path().join("again.json");
    let bundle = ["bundle", "CR-1001", "--output", file.to_str().unwrap(), "--agent", page.trim_end()];
    assert!(Command::new(PROGRAM).args(bundle).status().unwrap().success());
    let trust = dir.join("trust-unicom.yaml");
    let verify = ["verify", file.to_str().unwrap(), "--trust", trust.to_str().unwrap()];
    assert!(Command::new(PROGRAM).args(verify).output().unwrap().status.success());
    agent.stop();
}

fn check_violations_after(violations: &[Json]) {
    let open: BTreeSet<&str> = violations.iter().map(|v| text(v, "authorisation")).collect();
    for (_, _, authorisation, state) in VERDICTS {
        assert!(*state != "open" || open.contains(authorisation), "{authorisation} is gone: {open:?}");
    }
}

#[test]
fn another_seed_tells_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    check(&story(&demo(&folder.path().join("world"), &["--seed", "2"])), 12);
}

#[test]
fn eighty_stations_in_one_process_tell_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    check(&story(&demo(&folder.path().join("world"), &["--stations", "80"])), 80);
}

#[test]
fn a_folder_that_is_no_demo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let mut command = Command::new(PROGRAM);
    let output = command.args(["demo", "--once", "--dir", folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: --dir another"));
    assert!(folder.path().join("thesis.txt").exists());
}

/// However it ends, and whenever, it takes everything with it that it started.
#[test]
fn nothing_outlives_a_demo_that_is_interrupted_or_killed() {
    for (signal, words) in
        [("INT", "Ctrl-C stops everything"), ("TERM", "Round 3 of"), ("KILL", "Round 1 of")]
    {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("world");
        let mut demo = interruptible(&dir, &folder.path().join("words"), words);
        assert!(processes_on(&dir).len() > 15);
        let kill = Command::new("kill").args(["-s", signal, &demo.id().to_string()]).status().unwrap();
        assert!(kill.success());
        demo.wait().unwrap();
        wait_until_nothing_runs_on(&dir);
    }
}

/// A demo that has said `awaited`.
fn interruptible(dir: &Path, words: &Path, awaited: &str) -> Child {
    let file = std::fs::File::create(words).unwrap();
    let mut demo = Command::new(PROGRAM)
        .args(["demo", "--yes", "--dir", dir.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + 3 * PATIENCE;
    while !std::fs::read_to_string(words).unwrap().contains(awaited) {
        let said = std::fs::read_to_string(words).unwrap();
        assert!(demo.try_wait().unwrap().is_none() && Instant::now() < deadline, "{said}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    demo
}
