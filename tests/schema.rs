//! YANG schemas by way of the real worker: what loads, what does not, and what that says.
//!
//! The models of 3GPP and O-RAN are found through `RANPROOF_DATA`; small ones of our own are always there.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

#[path = "schema/rounds.rs"]
mod rounds;
#[path = "schema/spelling.rs"]
mod spelling;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ranproof");

const TWINS: &str = "collector/tests/data/yang";

/// The shared data, or `None` with a word about it.
fn shared(folder: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("RANPROOF_DATA").map_or(default, PathBuf::from).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs {}", path.display());
    eprintln!("SKIPPED: no {folder} in the shared data; hint: set RANPROOF_DATA");
    None
}

/// The report of `schema check`, and its exit code.
fn check(folder: &Path) -> (Json, i32) {
    let output = Command::new(PROGRAM).args(["schema", "check", "--json"]).arg(folder).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code < 2), "{words}");
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

fn names(report: &Json) -> Vec<String> {
    let modules = report["modules"].as_array().unwrap().iter();
    modules.map(|module| module["id"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Our twins, with one more file or a changed one.
fn twins_with(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(TWINS).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join(name), text).unwrap();
    folder
}

#[test]
fn our_twins_load_and_are_the_same_set_wherever_they_lie() {
    let (report, code) = check(Path::new(TWINS));
    assert_eq!(
        (code, names(&report)),
        (0, vec!["twin-radio".to_owned(), "twin-types".to_owned()]),
        "{report}"
    );
    assert_eq!(report["texts"], 3, "a submodule is a text and no module");
    let copy = twins_with("readme.txt", "");
    assert_eq!(check(copy.path()).0["set"], report["set"]);
}

#[test]
fn a_fault_is_told_by_module_line_and_what_it_affects_and_the_rest_loads() {
    let broken = "module broken {\n namespace 'urn:broken'; prefix b;\n leaf x { type no-such-type; }\n}\n";
    let folder = twins_with("broken.yang", broken);
    std::fs::write(folder.path().join("user.yang"),
        "module user { namespace 'urn:user'; prefix u; import broken { prefix b; } container c { uses b:g; } }").unwrap();
    let (report, code) = check(folder.path());
    assert_eq!(code, 1);
    assert_eq!(names(&report), ["twin-radio", "twin-types"], "{report}");
    let text = report["faults"].to_string();
    assert!(text.contains("no-such-type") && text.contains("\"affects\":[\"broken\"]"), "{text}");
    assert!(text.contains("\"user\""), "{text}");
}

#[test]
fn syntax_errors_have_their_line_and_their_file() {
    let folder = twins_with(
        "lines.yang",
        "module lines {\n namespace 'urn:l';\n prefix l;\n leaf x {\n  tipe string;\n }\n}\n",
    );
    let (report, _) = check(folder.path());
    let fault = &report["faults"][0];
    assert_eq!((&fault["module"], &fault["line"]), (&"lines".into(), &5.into()), "{report}");
    assert!(fault["origin"].as_str().unwrap().ends_with("lines.yang"), "{report}");
    assert!(fault["message"].as_str().unwrap().contains("tipe"), "{report}");
}

#[test]
fn hostile_modules_are_faults_and_take_nothing_with_them() {
    let folder = twins_with(
        "loop-a.yang",
        "module loop-a { namespace 'urn:a'; prefix a; import loop-b { prefix b; } }",
    );
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("loop-b.yang", "module loop-b { namespace 'urn:b'; prefix b; import loop-a { prefix a; } }");
    write(
        "deep.yang",
        &format!(
            "module deep {{ namespace 'urn:d'; prefix d; {}{} }}",
            "container c { ".repeat(150),
            "}".repeat(150)
        ),
    );
    write("self.yang", "module self { namespace 'urn:s'; prefix s; grouping g { uses g; } uses g; }");
    write("twice.yang", "module twice { namespace 'urn:ranproof:twin-radio'; prefix t; }");
    write("absent.yang", "module absent { namespace 'urn:ab'; prefix ab; import not-there { prefix n; } }");
    write(
        "regex.yang",
        "module regex { namespace 'urn:r'; prefix r; leaf x { type string { pattern '((a*)*)*(['; } } }",
    );
    write("binary.yang", "\u{1}\u{2}");
    let (report, code) = check(folder.path());
    assert_eq!(code, 1);
    let loaded = names(&report);
    assert!(
        loaded.contains(&"twin-radio".to_owned()) && loaded.contains(&"twin-types".to_owned()),
        "{report}"
    );
    let faults = report["faults"].to_string();
    for word in ["loop-", "self", "twice", "not-there", "regex", "binary.yang"] {
        assert!(faults.contains(word), "{word}: {faults}");
    }
}

#[test]
fn what_holds_no_module_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("absent")] {
        let output = Command::new(PROGRAM).args(["schema", "check"]).arg(&path).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(words.starts_with("error: ") && words.lines().count() == 1, "{words}");
    }
}

#[test]
fn corpus_models_of_3gpp_oran_and_ietf_all_load() {
    let Some(folder) = shared("yang") else { return };
    // The models of O-RAN import those of IETF and others; together they are one folder.
    let oran = tempfile::tempdir().unwrap();
    for part in ["o-ran-ru", "o-ran-ru-imports", "ietf"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let to = oran.path().join(part);
            std::fs::create_dir_all(&to).unwrap();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    for (folder, at_least) in
        [(folder.join("3gpp-rel18"), 92), (folder.join("ietf"), 30), (oran.path().to_owned(), 77)]
    {
        let (report, code) = check(&folder);
        assert_eq!(code, 0, "{}: {}", folder.display(), report["faults"]);
        let loaded = names(&report).len();
        assert!(
            loaded >= at_least && loaded as u64 <= report["texts"].as_u64().unwrap(),
            "{}: {report}",
            folder.display()
        );
    }
}
