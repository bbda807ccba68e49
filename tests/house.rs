//! The house keeps its own rules: who may use whom, what pure rooms may not call, and that the documents tell of
//! every format there is.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// `docs/ARCHITECTURE.md`, the map: a room and the rooms that it may use.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("anchor", &[]),
    ("contract", &["model", "anchor"]),
    ("policies", &["model"]),
    ("collector", &["model"]),
    ("chain", &["anchor"]),
    ("store", &["model", "anchor", "contract"]),
    ("sim", &["model", "collector"]),
    ("benches", &["model", "anchor", "policies", "collector", "sim"]),
    ("agent", &["model", "anchor", "contract", "policies", "collector", "chain", "store", "sim"]),
];

/// Rooms without clock, files, network, randomness and threads.
const PURE: [&str; 4] = ["model", "anchor", "contract", "policies"];

/// What a pure room's `clippy.toml` refuses.
const BANNED: [&str; 16] = [
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "jiff::Timestamp::now",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::fs::File::open",
    "std::fs::File::create",
    "std::env::var",
    "std::net::TcpStream::connect",
    "std::net::TcpListener::bind",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::process::Command::new",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

/// Crates that would bring a runtime, a database, a network or randomness into a pure room.
const IMPURE: [&str; 14] = [
    "tokio",
    "async-std",
    "smol",
    "mio",
    "sqlx",
    "rusqlite",
    "libsqlite3-sys",
    "redb",
    "hyper",
    "ureq",
    "russh",
    "rustls",
    "rand",
    "getrandom",
];

/// So many crates fit on a screen of three columns.
const VERIFIER_CRATES: usize = 70;

/// Longest file that somebody still reads from top to bottom.
const MAX_LINES: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A package's room: `agent` is the root package, the others are named `ranproof-<room>`.
fn room(package: &str) -> Option<&str> {
    if package == "ranproof" { Some("agent") } else { package.strip_prefix("ranproof-") }
}

/// Each room with the rooms that its manifest names, for its code, its tests or its build.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]))
            .unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies.filter(|d| d["path"].is_string());
            let rooms = ours.filter_map(|d| room(d["name"].as_str().unwrap())).map(str::to_owned);
            (room(package["name"].as_str().unwrap()).unwrap().to_owned(), rooms.collect())
        })
        .collect()
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let uses = uses();
    let rooms: BTreeSet<&str> = uses.keys().map(String::as_str).collect();
    assert_eq!(rooms, MAY_USE.iter().map(|(room, _)| *room).collect(), "the rooms of the house");
    for (room, may) in MAY_USE {
        for used in &uses[room] {
            assert!(may.contains(&used.as_str()), "{room} uses {used}; it may use {may:?}");
        }
    }
    assert_eq!(uses["agent"].len(), MAY_USE.len() - 2, "the application wires every room but the benches");
}

#[test]
fn pure_rooms_refuse_clock_files_network_and_threads() {
    for room in PURE {
        let rules = text(format!("{room}/clippy.toml"));
        for banned in BANNED {
            assert!(
                rules.contains(&format!("path = \"{banned}\"")),
                "{room}/clippy.toml lets {banned} through"
            );
        }
    }
}

/// A waiver would undo the ban. Programs around a pure room and tests may have one; the room itself not.
#[test]
fn pure_rooms_waive_no_ban_outside_tests_and_programs() {
    for room in PURE {
        for (path, source) in sources(&format!("{room}/src")) {
            let is_program = path.contains("/bin/");
            assert!(is_program || !source.contains("disallowed_"), "{path} waives a ban of its room");
        }
    }
}

#[test]
fn pure_rooms_have_no_runtime_database_or_randomness_in_their_trees() {
    for room in PURE {
        let package = format!("ranproof-{room}");
        let tree = crates_of(&package);
        for impure in IMPURE {
            assert!(!tree.contains(impure), "{package} depends on {impure}");
        }
    }
}

#[test]
fn the_verifier_fits_on_a_screen() {
    let tree = crates_of("ranproof-anchor");
    assert!(tree.len() <= VERIFIER_CRATES, "{} crates: {tree:?}", tree.len());
    let futures = tree.iter().find(|name| name.starts_with("futures"));
    assert_eq!(futures, None, "the verifier needs no async runtime");
}

fn crates_of(package: &str) -> BTreeSet<String> {
    let tree = cargo(&["tree", "-p", package, "-e", "normal", "--offline", "--locked", "--prefix", "none"]);
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn unsafe_code_is_denied_everywhere_but_in_the_binding_of_libyang() {
    assert!(text("Cargo.toml").contains("[workspace.lints.rust]\nunsafe_code = \"deny\""));
    let allows = |path: &String| path.ends_with(".rs") && text(path).contains("(unsafe_code)");
    let allowing: Vec<String> = files().into_iter().filter(allows).collect();
    assert_eq!(allowing, ["collector/src/schema/c_types.rs", "tests/house.rs"]);
    for (room, _) in MAY_USE {
        let manifest = if room == "agent" { "Cargo.toml".to_owned() } else { format!("{room}/Cargo.toml") };
        assert!(text(&manifest).contains("[lints]\nworkspace = true"), "{manifest} leaves the lints out");
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for path in files() {
        let lines = fs::read(root().join(&path)).unwrap().iter().filter(|byte| **byte == b'\n').count();
        assert!(lines <= MAX_LINES, "{path} has {lines} lines; hint: look for two ideas in it");
    }
}

#[test]
fn no_file_names_a_place_of_one_machine_or_a_package_registry() {
    let places = [concat!("/wo", "rk"), concat!("/ro", "ot"), concat!("/tm", "p"), concat!("/ho", "me")];
    let registries = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("npm", "js.org"),
        concat!("proxy.go", "lang.org"),
    ];
    for path in files() {
        let content = String::from_utf8_lossy(&fs::read(root().join(&path)).unwrap()).into_owned();
        for place in places {
            assert!(!names_place(&content, place), "{path} names {place}");
        }
        for registry in registries {
            assert!(!content.contains(registry), "{path} names {registry}");
        }
    }
}

/// Whether `place` begins an absolute path somewhere: not in the middle of a longer one.
fn names_place(content: &str, place: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || "_-./<$})".contains(c);
    content.match_indices(place).any(|(at, _)| {
        let before = content[..at].chars().next_back();
        let after = content[at + place.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(|c| c.is_alphanumeric() || "_-".contains(c))
    })
}

#[test]
fn the_formats_document_has_every_version_line_and_no_other() {
    let mut in_code = BTreeSet::new();
    for (room, _) in MAY_USE {
        for (_, source) in sources(&format!("{room}/src")) {
            in_code.extend(version_lines(&source));
        }
    }
    let in_document = version_lines(&text("docs/formats.md"));
    let missing: Vec<_> = in_code.difference(&in_document).collect();
    let unknown: Vec<_> = in_document.difference(&in_code).collect();
    assert!(missing.is_empty(), "docs/formats.md lacks {missing:?}");
    assert!(unknown.is_empty(), "no room has {unknown:?}, of which docs/formats.md tells");
}

/// All `ranproof/<words>/<number>` of a text.
fn version_lines(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, start) in text.match_indices("ranproof/") {
        let rest = &text[at + start.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c)));
        let line = rest[..end.unwrap_or(rest.len())].trim_end_matches('/');
        if let Some((words, version)) = line.rsplit_once('/')
            && !words.is_empty()
            && version.parse::<u32>().is_ok()
        {
            found.insert(format!("{start}{line}"));
        }
    }
    found
}

/// What is printed in the document was computed: it stands in a file of vectors that a test checks.
#[test]
fn every_digest_in_the_formats_document_is_a_tested_vector() {
    let mut vectors = text("model/tests/vectors.rs") + &text("tests/vectors/bodies.json");
    for entry in fs::read_dir(root().join("anchor/tests/vectors")).unwrap() {
        vectors += &text(entry.unwrap().path());
    }
    let document = text("docs/formats.md");
    let words = document.split(|c: char| !c.is_ascii_alphanumeric());
    let digests: Vec<_> =
        words.filter(|w| w.len() >= 40 && w.bytes().all(|b| b.is_ascii_hexdigit())).collect();
    assert!(digests.len() > 20, "the document has lost its vectors");
    for digest in digests {
        assert!(vectors.contains(digest), "{digest} stands in no vector file");
    }
}

#[test]
fn documents_name_only_files_that_exist() {
    let tops: BTreeSet<String> =
        files().iter().filter_map(|f| Some(f.split_once('/')?.0.to_owned())).collect();
    for document in files().iter().filter(|f| f.ends_with(".md")) {
        for name in text(document).split('`').skip(1).step_by(2) {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            let here = name.split_once('/').is_some_and(|(top, rest)| tops.contains(top) && !rest.is_empty());
            assert!(
                !(plain && here) || root().join(name).exists(),
                "{document} names {name}, which is not there"
            );
        }
    }
}

#[test]
fn the_glossary_has_the_pages_words_for_every_verdict() {
    let page = text("agent/src/web/text/zh.txt");
    let pairs = page.lines().filter_map(|line| line.strip_prefix("authorisation.")?.split_once(" = "));
    let page: BTreeMap<_, _> = pairs.filter(|(name, _)| *name != "-").collect();
    let glossary = text("docs/glossary.md");
    let rows = glossary.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let glossary: BTreeMap<_, _> =
        rows.filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0))).collect();
    assert_eq!(glossary, page);
}

/// Rust sources below a folder without their tests, by path.
fn sources(folder: &str) -> Vec<(String, String)> {
    let inside = format!("{folder}/");
    let ours = files().into_iter().filter(|f| f.starts_with(&inside) && f.ends_with(".rs"));
    let code = ours.filter(|f| !f.ends_with("/tests.rs") && !f.contains("/tests/"));
    code.map(|path| {
        let source = text(&path);
        let end = source.find("mod tests {").unwrap_or(source.len());
        (path, source[..end].to_owned())
    })
    .collect()
}

/// Every file of this repository, as a path from its root. `Cargo.lock` is written by cargo alone.
fn files() -> Vec<String> {
    const NOT_OURS: [&str; 7] =
        ["target", ".git", ".demo", ".venv", "node_modules", "__pycache__", "Cargo.lock"];
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if NOT_OURS.contains(&name.as_str()) || name.ends_with(".log") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn version_lines_are_found_in_running_text() {
    let text =
        "b\"ranproof/map-key/attribute/1\\n\" and `ranproof/object/12`, not ranproof/x or target/ranproof/";
    let found: Vec<_> = version_lines(text).into_iter().collect();
    assert_eq!(found, ["ranproof/map-key/attribute/1", "ranproof/object/12"]);
}
