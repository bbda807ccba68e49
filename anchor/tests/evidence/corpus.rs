//! Vectors that others wrote: Merkle proofs, signed notes, canonical JSON, Ed25519. Skipped, loudly, where the data
//! folder is absent; the unit tests hold small twins.

#![expect(clippy::disallowed_methods, reason = "tests read their data from files")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ranproof_anchor::note::{NoteKey, SignedNote};
use ranproof_anchor::tree::{verify_consistency, verify_inclusion};
use ranproof_anchor::{Hash, PublicKey, Signature, json};
use serde_json::Value;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}

/// The folder `name` of the data, or `None` after saying that the test is skipped.
fn data(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("RANPROOF_DATA").map(PathBuf::from);
    let root = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let folder = root.join(name);
    if folder.exists() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{} is mandatory in CI", folder.display());
    skipped(&format!("{} is absent; set RANPROOF_DATA", folder.display()));
    None
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A hash in base64; bytes of another length cannot even be said in our types.
fn hash(value: &Value) -> Option<Hash> {
    Some(Hash(BASE64.decode(value.as_str()?).unwrap().try_into().ok()?))
}

fn hashes(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(vec![]), |items| items.iter().map(hash).collect())
}

#[test]
fn merkle_proofs_of_others_get_the_same_verdict() {
    let Some(folder) = data("tlog/merkle-proofs") else { return };
    let (mut good, mut bad) = (0, 0);
    for path in files(&folder.join("inclusion"), "json") {
        let case = read_json(&path);
        let (index, size) = (case["leafIdx"].as_u64().unwrap(), case["treeSize"].as_u64().unwrap());
        let verified = (|| {
            let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
            verify_inclusion(&leaf, index, size, &hashes(&case["proof"])?, &root).ok()
        })();
        assert_eq!(verified.is_none(), case["wantErr"].as_bool().unwrap(), "{}", path.display());
        *(if verified.is_some() { &mut good } else { &mut bad }) += 1;
    }
    for path in files(&folder.join("consistency"), "json") {
        let case = read_json(&path);
        let (old, new) = (case["size1"].as_u64().unwrap(), case["size2"].as_u64().unwrap());
        let verified = (|| {
            let (old_root, new_root) = (hash(&case["root1"])?, hash(&case["root2"])?);
            verify_consistency(old, new, &old_root, &new_root, &hashes(&case["proof"])?).ok()
        })();
        assert_eq!(verified.is_none(), case["wantErr"].as_bool().unwrap(), "{}", path.display());
        *(if verified.is_some() { &mut good } else { &mut bad }) += 1;
    }
    println!("{good} good and {bad} bad proofs");
    assert!(good >= 6 && bad >= 60, "{good} good and {bad} bad proofs");
}

#[test]
fn note_of_another_implementation_verifies() {
    let Some(folder) = data("tlog/notes") else { return };
    let vector = read_json(&folder.join("x-mod-note-vectors.json"));
    let signed = vector["signed"].as_str().unwrap();
    let key: NoteKey = vector["vkey"].as_str().unwrap().parse().unwrap();
    let note = SignedNote::parse(signed.as_bytes()).unwrap();
    assert_eq!(note.text, vector["text"].as_str().unwrap());
    assert!(key.check(&note.text, &note.signatures[0]).is_some());
    assert_eq!(note.to_string(), signed);
    assert_eq!(key.to_string(), vector["vkey"].as_str().unwrap());
}

#[test]
fn canonical_json_of_the_rfc_authors_comes_out_the_same() {
    let Some(folder) = data("crypto/jcs") else { return };
    let mut compared = 0;
    for path in files(&folder.join("input"), "json") {
        // The one other float among the inputs has an integer's value.
        let input = fs::read_to_string(&path).unwrap().replace("56.0", "56");
        let parsed = json::parse(input.as_bytes());
        if path.ends_with("values.json") {
            let refusal = parsed.unwrap_err().to_string();
            assert!(refusal.contains("not an integer"), "floats are refused: {refusal}");
            continue;
        }
        let expected = fs::read(folder.join("output").join(path.file_name().unwrap())).unwrap();
        let canonical = json::to_canonical(&parsed.unwrap()).unwrap();
        assert_eq!(String::from_utf8(canonical).unwrap(), String::from_utf8(expected).unwrap());
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    let Some(folder) = data("crypto") else { return };
    let file = read_json(&folder.join("ed25519_test.json"));
    let mut tests = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex::decode(group["publicKey"]["pk"].as_str().unwrap()).unwrap();
        let key = PublicKey(key.try_into().unwrap());
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
            let signature: Option<[u8; 64]> = bytes("sig").try_into().ok();
            let verified = signature.is_some_and(|s| key.verifies(&bytes("msg"), &Signature(s)));
            let valid = test["result"].as_str() == Some("valid");
            assert_eq!(verified, valid, "test {}: {}", test["tcId"], test["comment"]);
            tests += 1;
        }
    }
    assert_eq!(tests, file["numberOfTests"].as_u64().unwrap());
}
