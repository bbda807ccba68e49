//! `ranproof diff` with a station's modules: spelling is no edit, and what does not validate says so.

use std::path::Path;
use std::process::{Command, Output};

use super::PROGRAM;

const YANG: &str = "sim/yang";

fn cell(attributes: &str, after: &str) -> String {
    format!(
        "<ManagedElement xmlns=\"urn:ranproof:nrm:managed-element\"><id>1</id><attributes/>\
         <ENBFunction xmlns=\"urn:ranproof:nrm:eutra\"><id>1</id><attributes><eNBId>{attributes}</eNBId>{after}</attributes>\
         </ENBFunction></ManagedElement>"
    )
}

fn diff(folder: &Path, old: &str, new: &str, schemas: Option<&str>) -> (i32, String, String) {
    let [old, new] = [("old.xml", old), ("new.xml", new)].map(|(name, text)| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    });
    let mut command = Command::new(PROGRAM);
    command.arg("diff").arg(old).arg(new).args(schemas.iter().flat_map(|folder| ["--schemas", folder]));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_spelling_is_an_edit_only_without_the_modules() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (cell("+0007", ""), cell("7", ""));
    let (code, edits, _) = diff(folder.path(), &one, &other, None);
    assert_eq!(code, 1);
    assert!(edits.contains("eNBId: +0007 → 7"), "{edits}");
    let (code, edits, words) = diff(folder.path(), &one, &other, Some(YANG));
    assert_eq!((code, edits.trim(), &*words), (0, "", ""));
}

#[test]
fn what_does_not_validate_says_so_and_is_compared_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (code, edits, words) = diff(folder.path(), &cell("7", ""), &cell("1048576", ""), Some(YANG));
    assert_eq!(code, 1);
    assert!(edits.contains("eNBId: 7 → 1048576"), "{edits}");
    assert!(words.contains("new.xml: not validated: /") && words.contains("eNBId"), "{words}");
    assert!(!words.contains("old.xml") && !words.contains("1048576"), "{words}");
}

#[test]
fn a_folder_without_modules_is_no_schema() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, words) = diff(folder.path(), &cell("7", ""), &cell("7", ""), Some("tests/schema"));
    assert_eq!(code, 2);
    assert!(words.contains("no YANG modules in tests/schema; hint: "), "{words}");
}
