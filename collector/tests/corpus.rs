//! Documents that others wrote: each is read, or refused with a clear error; none differs from itself.
//!
//! The documents are found through `RANPROOF_DATA`; twins of our own in `tests/data` are always read.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{Dn, Profile, Snapshot, diff};
use ranproof_collector::file::{FileError, Kind, read_file_bytes, sniff};
use ranproof_collector::reader::{Problem, ReadContext};

fn read(bytes: &[u8]) -> Result<Snapshot, FileError> {
    let profile = Profile::plain("corpus");
    let prefix: Dn = "ManagedElement=7".parse().unwrap();
    read_file_bytes(bytes, &ReadContext::new(&profile, &prefix))
}

fn twin(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// The shared data, or `None` with a word about it.
fn shared(folder: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("RANPROOF_DATA").map_or(default, PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs {}", path.display());
    eprintln!("SKIPPED: no {folder} in the shared data; hint: set RANPROOF_DATA");
    None
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Reads twice; what is refused is refused with place and hint.
fn judge(path: &Path, bytes: &[u8]) -> Result<Snapshot, FileError> {
    let result = read(bytes);
    match &result {
        Ok(snapshot) => {
            let again = read(bytes).unwrap();
            assert!(diff(snapshot, &again).unwrap().is_empty(), "{}", path.display());
            assert!(snapshot.findings().iter().all(|f| !f.message.is_empty()));
        }
        Err(error) => assert!(error.to_string().contains("; hint: "), "{}: {error}", path.display()),
    }
    result
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e == ending)
}

#[test]
fn our_twins_agree_across_formats() {
    let xml = judge(Path::new("station.xml"), &twin("station.xml")).unwrap();
    let json = judge(Path::new("station.json"), &twin("station.json")).unwrap();
    assert_eq!(xml.objects().len(), 4);
    assert_eq!(xml.root(), json.root());
    assert!(xml.findings().is_empty() && json.findings().is_empty());
    let interfaces = judge(Path::new("interfaces.xml"), &twin("interfaces.xml")).unwrap();
    assert_eq!(interfaces.objects()[0].dn().as_str(), "ManagedElement=7,interfaces=1");
    let Err(FileError::Read(error)) = judge(Path::new("entities.xml"), &twin("entities.xml")) else {
        panic!("entities were read")
    };
    assert_eq!((error.problem, error.line), (Problem::Doctype, 2));
}

#[test]
fn configurations_of_real_stations_are_read() {
    let Some(folder) = shared("instances") else { return };
    let mut read = 0;
    for (path, bytes) in files(&folder) {
        if !ends_in(&path, "xml") && !ends_in(&path, "json") {
            continue;
        }
        let snapshot = judge(&path, &bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!snapshot.objects().is_empty(), "{}", path.display());
        read += 1;
    }
    assert!(read >= 12, "only {read} documents");
}

#[test]
fn a_real_gnb_has_its_objects() {
    let Some(folder) = shared("instances/nts-o-du-rel18") else { return };
    let bytes = std::fs::read(folder.join("_3gpp-common-managed-element-running.xml")).unwrap();
    let snapshot = read(&bytes).unwrap();
    let names: Vec<_> = snapshot.objects().iter().map(|o| o.dn().as_str()).collect();
    let below = |rest: &str| format!("ManagedElement=7{rest}");
    assert_eq!(
        names,
        [
            below(""),
            below(",GNBDUFunction=1"),
            below(",GNBDUFunction=1,NRCellDU=1"),
            below(",GNBDUFunction=1,NRCellDU=1,ManagedNFService=1"),
            below(",GNBDUFunction=1,NRSectorCarrier=1"),
            below(",GNBDUFunction=1,NRSectorCarrier=1,ManagedNFService=1"),
        ]
    );
    let cell = &snapshot.objects()[2];
    assert_eq!(
        cell.attribute("nPNIdentityList").unwrap().canonical_json(),
        r#"{"cAGIdList":"cAGId-1","nIDList":"nID-1","plmnid":{"mcc":"001","mnc":"001"}}"#
    );
    let codes: Vec<_> = snapshot.findings().iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["element-id-differs"]);
}

#[test]
fn messages_of_the_rfcs_are_read_or_named() {
    let Some(folder) = shared("netconf/rfc-examples") else { return };
    let (mut read, mut refused) = (0, 0);
    for (path, bytes) in files(&folder) {
        match judge(&path, &bytes) {
            Ok(_) => read += 1,
            Err(FileError::Read(error)) if error.reason() == "not-configuration" => refused += 1,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    assert!(read >= 15 && refused >= 80, "{read} read, {refused} refused");
}

#[test]
fn hostile_documents_are_refused_at_once() {
    let Some(folder) = shared("xml-hostile") else { return };
    let started = std::time::Instant::now();
    for (path, bytes) in files(&folder).iter().filter(|(path, _)| ends_in(path, "xml")) {
        let Err(FileError::Read(error)) = judge(path, bytes) else { panic!("{} was read", path.display()) };
        assert_eq!(error.problem, Problem::Doctype, "{}", path.display());
    }
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn files_of_formats_to_come_are_named() {
    let Some(folder) = shared("bulkcm") else { return };
    for (path, bytes) in files(&folder).iter().filter(|(path, _)| ends_in(path, "xml")) {
        let error = judge(path, bytes).unwrap_err();
        assert!(error.to_string().contains("3GPP bulk CM"), "{}: {error}", path.display());
    }
    assert_eq!(sniff(&twin("station.json")), Ok(Kind::Rfc7951Json));
}
