//! The story of the demo, told by the built program: what it prints, what it leaves behind, and what stands after
//! its agent starts again.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use process::{PATIENCE, PROGRAM, Process};
use serde_json::Value as Json;

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
    "height",
    "bundles",
    "pages",
];
const VIOLATION_KEYS: &[&str] =
    &["id", "element", "object", "attribute", "old", "new", "rule", "severity", "authorisation", "state"];

/// Station, attribute, authorisation, state of each unauthorised difference.
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
    assert_eq!((number("operators"), number("validators"), number("stations")), (3, 1, stations));
    assert_eq!(number("rounds"), 4);
    assert!(number("height") > 20);
    let failed = list(story, "failed");
    let accounted = number("collected") + number("unchanged") + number("skipped") + failed.len() as u64;
    assert_eq!(accounted, stations);
    check_failed(failed);
    let changes = |name: &str| story["changes"][name].as_u64().unwrap();
    // Exact twice and restored once; the eight verdicts below.
    assert_eq!((changes("observed"), changes("authorised"), changes("unauthorised")), (11, 3, 8));
    check_violations(list(story, "violations"));
    check_bundles(list(story, "bundles"));
    assert!(list(story, "pages").iter().all(|p| p.as_str().unwrap().starts_with("http://127.0.0.1:")));
}

fn check_failed(failed: &[Json]) {
    let reasons: Vec<(&str, &str)> =
        failed.iter().map(|f| (text(f, "element").rsplit('=').next().unwrap(), text(f, "reason"))).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(reasons[0], ("gnb-0010", "unreachable"));
    // Garbage is not XML here; the collector's tests have all the other kinds.
    assert_eq!(reasons[1], ("gnb-0011", "not-xml"));
    assert_eq!(reasons[2], ("gnb-0012", "host-key-mismatch"));
    assert!(failed.iter().all(|f| text(f, "detail").contains(' ')), "{failed:?}");
}

fn check_violations(violations: &[Json]) {
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
    assert_eq!(verdicts, VERDICTS.iter().copied().collect());
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

/// Every bundle verifies, by the large program and by the small one where it was built, and no other trust does.
fn check_bundles(bundles: &[Json]) {
    let subjects: BTreeSet<&str> = bundles.iter().map(|b| text(b, "subject")).collect();
    assert!(subjects.contains("CR-1001") && subjects.contains("round-4"), "{subjects:?}");
    assert!(subjects.iter().filter(|s| s.starts_with("V-")).count() >= VERDICTS.len());
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
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
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

#[test]
fn the_story_goes_as_told_twice_in_one_folder_and_its_agent_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("world");
    for _ in 0..2 {
        let output = demo(&dir, &[]);
        // The demo has waited for its children: nothing has to be waited for here.
        assert_eq!(processes_on(&dir), Vec::<PathBuf>::new());
        check(&story(&output), 12);
    }

    let config = dir.join("telecom/agent.yaml");
    let log = folder.path().join("agent.log");
    let mut agent = Process::start(&["agent", "--config", config.to_str().unwrap()], log);
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
    let trust = dir.join("trust.yaml");
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

/// However it ends, it takes everything with it that it started.
#[test]
fn nothing_outlives_a_demo_that_is_interrupted_or_killed() {
    for signal in ["INT", "TERM", "KILL"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("world");
        let words = folder.path().join("words");
        let file = std::fs::File::create(&words).unwrap();
        let mut demo = Command::new(PROGRAM)
            .args(["demo", "--yes", "--dir", dir.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&words).unwrap().contains("Ctrl-C stops everything") {
            assert!(demo.try_wait().unwrap().is_none() && Instant::now() < deadline, "{words:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(processes_on(&dir).len() > 12);
        let kill = Command::new("kill").args(["-s", signal, &demo.id().to_string()]).status().unwrap();
        assert!(kill.success());
        demo.wait().unwrap();
        wait_until_nothing_runs_on(&dir);
    }
}
