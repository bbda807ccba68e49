//! The shipped rules load, and do what their test cases say.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use ranproof_policies::{PolicySet, run_tests};

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path)))
        .collect();
    files.sort();
    files
}

#[expect(clippy::disallowed_methods, reason = "tests read the shipped files")]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_shipped_rule_fires_and_stays_silent_as_its_cases_say() {
    let set = PolicySet::load(&files("nr")).unwrap_or_else(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"));
    });
    let report = run_tests(&set, &files("nr/tests"));
    let failed: Vec<_> = report.failed.iter().map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(report.cases >= 2 * report.rules);
    for rule in set.rules() {
        for text in [&rule.message, &rule.description] {
            assert!(!text.en.is_empty() && !text.zh.is_empty(), "{} lacks a language", rule.name);
        }
        assert_eq!(rule.file, format!("{}.yaml", rule.name));
    }
}

#[test]
fn the_hash_depends_on_what_rules_say_and_not_on_files_or_comments() {
    let load = |files: &[(String, String)]| PolicySet::load(files).unwrap().hash();
    let original = files("nr");
    let hash = load(&original);
    let mut renamed: Vec<_> =
        original.iter().map(|(name, text)| (format!("x-{name}"), format!("# note\n{text}"))).collect();
    renamed.reverse();
    assert_eq!(load(&renamed), hash);
    renamed[0].1 = renamed[0].1.replace("severity: major", "severity: minor");
    assert_ne!(load(&renamed), hash);
}
