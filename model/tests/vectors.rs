//! The vectors of `docs/formats.md` that belong to this room. Each constant stands in the document as it stands
//! here; another value of one of them is another format and needs another version line.

#![expect(clippy::unwrap_used, reason = "tests")]

use ranproof_model::violation::AUTHORISATION_RULE;
use ranproof_model::{Digest, Dn, Interpretation, Object, Profile, Snapshot, Value, Violation};

const DOCUMENT: &str = include_str!("../../docs/formats.md");

const CELL: &str = "SubNetwork=a,ManagedElement=b,NRCellDU=1";

/// Version line, DN and count; then a text; then a sequence of two structures.
const OBJECT_BYTES: [&str; 3] = [
    "72616e70726f6f662f6f626a6563742f310a285375624e6574776f726b3d612c4d616e61676564456c656d656e743d622c4e5243656c6c44553d3102",
    "056e525043497403313031",
    "0c704c4d4e496e666f4c69737473026602036d63637403343630036d6e63740231316602036d63637403343630036d6e6374023031",
];
const OBJECT_DIGEST: &str = "3c2b2c1c8f6a4cb201db86954d1edbd14988beaf9d6d11e7783fb9ddf1f1d90f";
const PROFILE_DIGEST: &str = "08ef8a1be4087d31b276f3d0d466de9ea13fc490bdf96fc43750e079ba6dfe77";
const INTERPRETATION: &str = "c5bbbd6b68b37b7a95ae060961a671e78e92d17adbdcd0c4080ad4aeda916457";
const SNAPSHOT_ROOT: &str = "fda6cd2e98f44a0b8100f34def0a5528d975b29e3c0fac2ccf24abed27f743e8";
const VIOLATION_ID: &str = "V-3-8aeda9d9b6c204ff";

fn cell() -> Object {
    let plmn = |mnc: &str| {
        Value::Fields([("mnc".to_owned(), Value::from(mnc)), ("mcc".to_owned(), Value::from("460"))].into())
    };
    let list = Value::Sequence(vec![plmn("11"), plmn("01")]);
    let attributes = vec![("pLMNInfoList".to_owned(), list), ("nRPCI".to_owned(), Value::from("101"))];
    let volatile = vec![("operationalState".to_owned(), Value::from("ENABLED"))];
    Object::new(CELL.parse().unwrap(), attributes, volatile)
}

#[test]
fn an_objects_digest_is_blake3_over_its_canonical_bytes() {
    let bytes = hex::decode(OBJECT_BYTES.concat()).unwrap();
    assert_eq!(Digest::of(&bytes).to_string(), OBJECT_DIGEST);
    assert_eq!(cell().digest().to_string(), OBJECT_DIGEST);
}

#[test]
fn profile_interpretation_and_snapshot_have_the_documented_digests() {
    let profile = Profile::plain("plain").digest();
    let interpretation = Interpretation::new("none", &profile);
    let snapshot = Snapshot::new(interpretation, vec![cell()], vec![]);
    let found = [profile, interpretation.0, *snapshot.root()].map(|digest| digest.to_string());
    assert_eq!(found, [PROFILE_DIGEST, INTERPRETATION, SNAPSHOT_ROOT]);
}

#[test]
fn a_violations_id_is_the_documented_one() {
    let cell: Dn = CELL.parse().unwrap();
    assert_eq!(Violation::derive_id("telecom", &cell, "nRPCI", AUTHORISATION_RULE, 3), VIOLATION_ID);
}

#[test]
fn every_vector_stands_in_the_document() {
    let digests = [OBJECT_DIGEST, PROFILE_DIGEST, INTERPRETATION, SNAPSHOT_ROOT, VIOLATION_ID];
    for vector in OBJECT_BYTES.into_iter().chain(digests) {
        assert!(DOCUMENT.contains(vector), "docs/formats.md lacks {vector}");
    }
}
