//! The vectors of `docs/formats.md`: inputs and bytes of every format, in `tests/vectors/`. With
//! `RANPROOF_UPDATE_VECTORS=1` they are written anew; read the difference before it is committed.

#![expect(clippy::disallowed_methods, reason = "tests read and write their vectors as files")]

use std::fs;
use std::path::Path;

use ranproof_anchor::bundle::{BundleParts, Role};
use ranproof_anchor::certificate::{VoteKind, vote_bytes};
use ranproof_anchor::commitment::{EpochSecret, MapSecret, Opening, outcome_hash};
use ranproof_anchor::note::{NoteKey, NoteKeyKind};
use ranproof_anchor::proof::TlogProof;
use ranproof_anchor::record::{Envelope, Record};
use ranproof_anchor::transaction::{
    Action, DisputeKind, DisputeOutcome, DisputeStatement, EvidenceStatement, ResolveStatement,
    RespondStatement, statement_hash,
};
use ranproof_anchor::verify::{Outcome, verify};
use ranproof_anchor::{Checkpoint, Hash, Map, SignedTransaction, SigningKey, Tree, Trust, json, tree};
use serde_json::{Value, json};

use crate::parts::encode;
use crate::world::{CELL, CHAIN, Story, World};

#[track_caller]
fn same_as_file(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("RANPROOF_UPDATE_VECTORS").is_some() {
        fs::write(&path, content).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap();
    assert_eq!(content, stored, "{name} differs; if meant, set RANPROOF_UPDATE_VECTORS=1");
}

#[track_caller]
fn same_json(name: &str, content: &Value) {
    same_as_file(name, &(serde_json::to_string_pretty(content).unwrap() + "\n"));
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}

#[test]
fn tree_vectors() {
    let leaves =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let bytes: Vec<_> = leaves.iter().map(|l| hex::decode(l).unwrap()).collect();
    let tree = Tree::of(&bytes);
    let root = |size| tree.root_at(size).unwrap();
    let inclusion = |index, size| {
        let path = tree.inclusion(index, size).unwrap();
        json!({"index": index, "size": size, "path": texts(&path), "sided": tree::sided_path(index, size, &path)})
    };
    let consistency = |old, new| {
        let proof = tree.consistency(old, new).unwrap();
        json!({"old": old, "new": new, "old_root": root(old), "new_root": root(new), "proof": texts(&proof)})
    };
    same_json(
        "tree.json",
        &json!({
            "leaves": leaves,
            "leaf_hashes": texts(&bytes.iter().map(|l| tree::leaf_hash(l)).collect::<Vec<_>>()),
            "roots": (0..=8).map(|n| root(n).to_string()).collect::<Vec<_>>(),
            "inclusion": [inclusion(0, 1), inclusion(0, 8), inclusion(5, 8), inclusion(2, 3), inclusion(6, 7)],
            "consistency": [consistency(1, 1), consistency(1, 8), consistency(6, 8), consistency(2, 5), consistency(4, 8)],
        }),
    );
}

#[test]
fn map_vectors() {
    let pairs = [("alpha", "1"), ("beta", "2"), ("gamma", "3"), ("delta", "4"), ("epsilon", "5")];
    let map = Map::from_pairs(pairs);
    let proof = |key: &str| {
        let proof = map.prove(key.as_bytes());
        let value = map.get(key.as_bytes()).map(|v| String::from_utf8(v.to_vec()).unwrap());
        json!({"key": key, "value": value, "proof": proof})
    };
    let one = Map::from_pairs([("alpha", "1")]);
    same_json(
        "map.json",
        &json!({
            "empty_root": Map::default().root(),
            "one": {"pairs": {"alpha": "1"}, "root": one.root()},
            "pairs": pairs.iter().map(|(k, v)| (k.to_string(), Value::from(*v))).collect::<serde_json::Map<_, _>>(),
            "root": map.root(),
            "proofs": [proof("alpha"), proof("gamma"), proof("zeta"), proof("eta"), proof("theta")],
        }),
    );
}

#[test]
fn json_vectors() {
    let inputs = [
        r#"{"b": 2, "a": [1, -3, null, true], "€": "\u20ac", "\ud83d\ude02": 1, "\ufb33": 2}"#,
        r#""\u0008\u001f\"\\\/""#,
        r#"[9007199254740991, -9007199254740991]"#,
    ];
    let refused = ["1.0", "1e3", "-0", "9007199254740992", r#"{"a":1,"a":1}"#, "\"\\ud800\""];
    let cases = inputs.iter().map(|input| {
        let canonical = json::to_canonical(&json::parse(input.as_bytes()).unwrap()).unwrap();
        json!({"input": input, "canonical": String::from_utf8(canonical.clone()).unwrap(), "sha256": Hash::of(&canonical)})
    });
    for input in refused {
        json::parse(input.as_bytes()).unwrap_err();
    }
    same_json("json.json", &json!({"cases": cases.collect::<Vec<_>>(), "refused": refused}));
}

#[test]
fn note_vectors() {
    let log = SigningKey::from_seed(&[1; 32]);
    let cosigner = SigningKey::from_seed(&[2; 32]);
    let leaves: Vec<_> = (0..7).map(|n| format!("leaf {n}")).collect();
    let log_tree = Tree::of(&leaves);
    let mut checkpoint = Checkpoint::sign("net/telecom", 7, log_tree.root(), &log).unwrap();
    let bare = checkpoint.to_string();
    let note_key = NoteKey::new("net/unicom", NoteKeyKind::Cosignature, cosigner.public()).unwrap();
    let log_note_key = NoteKey::new("net/telecom", NoteKeyKind::Ed25519, log.public()).unwrap();
    let line = checkpoint.cosign("net/unicom", &cosigner, 1_790_000_000).unwrap();
    checkpoint.add_cosignature(line, &note_key).unwrap();
    let proof = TlogProof::new(3, log_tree.inclusion(3, 7).unwrap(), &checkpoint);
    same_json(
        "note.json",
        &json!({
            "log_seed": hex::encode([1; 32]), "log_vkey": log_note_key.to_string(),
            "cosigner_seed": hex::encode([2; 32]), "cosigner_vkey": note_key.to_string(),
            "cosigned_at": 1_790_000_000,
            "leaves": leaves,
            "checkpoint": bare,
            "cosigned_checkpoint": checkpoint.to_string(),
            "tlog_proof_of_leaf_3": proof.to_string(),
        }),
    );
}

#[test]
fn commitment_vectors() {
    let salt = EpochSecret([7; 32]).salt(CELL, "nRPCI", 3);
    let opening = Opening { dn: CELL.into(), attribute: "nRPCI".into(), value: "\"101\"".into(), salt };
    let station = "SubNetwork=bj,ManagedElement=g1";
    same_json(
        "commitment.json",
        &json!({
            "epoch_secret": hex::encode([7; 32]), "object_version": 3,
            "opening": opening, "commitment": opening.commitment(),
            "map_secret": hex::encode([9; 32]),
            "attribute_key": MapSecret([9; 32]).attribute_key(CELL, "nRPCI"),
            "station": station, "station_key": MapSecret([9; 32]).station_key(station),
            "outcome_failed_unreachable": outcome_hash("failed", "unreachable"),
            "outcome_collected": outcome_hash("collected", ""),
        }),
    );
}

#[test]
fn record_vectors() {
    let world = World::play(Story::default());
    let judgement = Record::Judgement(Box::new(world.judgement()));
    let records =
        [world.change.as_ref().unwrap(), world.violation.as_ref().unwrap(), &judgement].map(|record| {
            let leaf = record.envelope(CHAIN).unwrap();
            json!({
                "canonical": String::from_utf8(json::encode(record).unwrap()).unwrap(),
                "commitment": record.commitment().unwrap(),
                "leaf": String::from_utf8(leaf.encode().unwrap()).unwrap(),
                "leaf_hash": leaf.leaf_hash().unwrap(),
            })
        });
    let Envelope::Round(attestation) = &world.leaves[0] else { panic!("the first leaf is an attestation") };
    let leaf = String::from_utf8(attestation.encode().unwrap()).unwrap();
    let attestation = json!({"leaf": leaf, "hash": attestation.hash().unwrap(), "leaf_hash": world.leaves[0].leaf_hash().unwrap()});
    same_json("record.json", &json!({"records": records, "attestation": attestation}));
}

#[test]
fn chain_vectors() {
    let world = World::play(Story::default());
    let (block, receipts, certificate) = &world.blocks[0];
    let header = &block.header;
    let address = world.genesis.validators[0].key.address();
    let vote = vote_bytes(
        &world.genesis.hash(),
        VoteKind::Precommit,
        header.height,
        0,
        Some(&header.hash()),
        &address,
    );
    let (_, evidence) = world.evidence(|role, _| role == Role::RegisterAgreement);
    let signed = SignedTransaction::decode(&evidence[0].transaction.0).unwrap();
    let action: &Action = &signed.transaction.action;
    same_json(
        "chain.json",
        &json!({
            "genesis": world.genesis, "genesis_hash": world.genesis.hash(),
            "valset_hash": world.genesis.validator_set().hash(),
            "transaction": {
                "encoded": hex::encode(signed.encode()), "id": signed.id(),
                "signed_bytes": hex::encode(signed.transaction.signed_bytes()),
                "sender": signed.transaction.sender, "signature": signed.signature,
                "statement_hash": statement_hash(action),
            },
            "disputes": disputes(&world).iter().map(|action| {
                json!({"name": action.name(), "action": hex::encode(borsh::to_vec(action).unwrap()), "statement_hash": statement_hash(action)})
            }).collect::<Vec<_>>(),
            "header": {
                "chain_id": header.chain_id, "height": header.height, "time": header.time,
                "encoded": hex::encode(header.encode()), "hash": header.hash(),
                "txs_root": header.txs_root, "receipts_root": header.receipts_root,
            },
            "transactions": block.transactions.iter().map(hex::encode).collect::<Vec<_>>(),
            "receipts": receipts.iter().map(|r| hex::encode(r.encode())).collect::<Vec<_>>(),
            "certificate": hex::encode(certificate.encode()),
            "vote_of_validator_0": {"address": address, "signed_bytes": hex::encode(vote)},
        }),
    );
}

/// What Unicom says of Telecom's round, what Telecom answers, how it ends, and a log that forked.
fn disputes(world: &World) -> [Action; 4] {
    let judgement = world.judgement();
    let note = |root: &[u8]| {
        let origin = world.genesis.origin("telecom");
        Checkpoint::sign(&origin, 7, Hash::of(root), &world.log_keys["telecom"]).unwrap().to_string()
    };
    let id = "D-0001".to_owned();
    [
        Action::Dispute(DisputeStatement {
            id: id.clone(),
            origin: judgement.origin.clone(),
            round: judgement.round,
            attestation: judgement.attestation,
            kind: DisputeKind::Verdict,
            judgement: Record::Judgement(Box::new(judgement)).commitment().unwrap(),
        }),
        Action::Respond(RespondStatement { id: id.clone(), body: Hash::of(b"answer") }),
        Action::Resolve(ResolveStatement { id, outcome: DisputeOutcome::Upheld }),
        Action::Evidence(EvidenceStatement {
            origin: "telecom".into(),
            first: note(b"one story"),
            second: note(b"another"),
            root: Hash::of(b"another"),
            consistency: vec![],
        }),
    ]
}

#[test]
fn bundle_vectors_verify_with_their_trust_file() {
    let world = World::play(Story::default());
    let trust_yaml = world.trust_file().to_yaml();
    same_as_file("trust.yaml", &trust_yaml);
    let trust = Trust::parse(trust_yaml.as_bytes()).unwrap();
    let bundles = [
        ("change.bundle.json", world.change_parts()),
        ("violation.bundle.json", world.violation_parts()),
        ("round.bundle.json", world.round_parts()),
    ];
    let mut judged = World::play(Story::default());
    let judgements = vec![judged.judge(judged.judgement())];
    let judged = BundleParts { judgements, ..judged.violation_parts() };
    for (name, parts) in bundles.into_iter().chain([("judged.bundle.json", judged)]) {
        let bundle = encode(parts);
        same_as_file(name, std::str::from_utf8(&bundle).unwrap());
        assert_eq!(verify(&bundle, &trust).outcome, Outcome::Verified);
    }
}
