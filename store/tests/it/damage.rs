//! One flipped byte in any blob of any table is named by `fsck`.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};
use std::collections::BTreeSet;

use anchor::commitment::Nonce;
use anchor::record::{JudgementCounts, JudgementRecord, JudgementRecordFormat, JudgementVerdict};
use anchor::transaction::{Subject, SubjectKind, WithdrawStatement, statement_hash};
use anchor::{Action, Hash, Map, PublicKey, Tree};
use model::Timestamp;
use store::{
    BundleRow, CosignatureRow, Event, HeadCheck, MapUpdate, MirrorHead, ProjectedBlock, ProjectedTransaction,
    Registration, SecondRound, ServedNote, Store, Verb, ViolationAction,
};

use crate::world::*;

/// Something in every table that has a blob.
async fn fill(store: &Store) {
    let body = store.put_body("agreement", b"{\"body\":1}", Timestamp(1)).await.unwrap();
    store.mark_read(&body, "unicom", Timestamp(2)).await.unwrap();
    let key = PublicKey([7; 32]);
    store.stage_transaction(&key, "open/1", Timestamp(1), |_| b"signed".to_vec()).await.unwrap();
    for round in 1..=3 {
        store.begin_round(&start(round, 2)).await.unwrap();
        let mut found = full_commit(round, 2);
        found.violations.push(violation(1, &format!("a{round}"), round));
        found.edits.push(store::RoundEdit {
            element: element(1),
            edit: edit(cell(1, 1), "nRPCI", Some("1"), Some("2")),
            authorisation: Some(model::Authorisation::Late),
            request: Some("CR-1".into()),
        });
        store.commit_round(&found).await.unwrap();
        if round < 3 {
            anchor(store).await;
        }
    }
    let id = violation(1, "a1", 1).id;
    let action =
        ViolationAction { by: "li".into(), at: Timestamp(9), reason: "x".into(), verb: Verb::Acknowledge };
    store.act_on_violation(&id, &action).await.unwrap();
    let waiver = model::Waiver {
        id: "W-1".into(),
        rule: "pci-range".into(),
        scope: "SubNetwork=bj".parse().unwrap(),
        reason: "trial".into(),
        ticket: "T-1".into(),
        expires: Timestamp(9),
        approved_by: vec![],
    };
    store.put_waiver(&waiver, Timestamp(1)).await.unwrap();
    let bundle = BundleRow {
        subject: "V".into(),
        file: "V.json".into(),
        created: Timestamp(1),
        trust: "trust.yaml".into(),
    };
    store.add_bundle(&bundle).await.unwrap();
    project(store, body).await;
    mirror(store).await;
    judge(store).await;
}

/// A round that was judged twice, with the map that it attested.
async fn judge(store: &Store) {
    let record = JudgementRecord {
        format: JudgementRecordFormat,
        id: "J-telecom-4".into(),
        judge: "unicom".into(),
        origin: "telecom".into(),
        round: 4,
        attestation: Hash::of(b"a"),
        violation: None,
        verdict: JudgementVerdict::Same,
        theirs: None,
        own: None,
        why: "the same".into(),
        counts: Some(JudgementCounts::default()),
        nonce: Nonce([4; 32]),
    };
    store.add_judgements(&[(record, 7)], Timestamp(6)).await.unwrap();
    let entries = vec![(Hash::of(b"k"), Hash::of(b"v"))];
    let map = Map::from_pairs(entries.iter().map(|(key, value)| (key.0, value.0)));
    let (zero, document) = (Hash::ZERO, serde_json::json!({ "id": "x", "version": 1, "body": Hash::ZERO }));
    let attestation = serde_json::json!({
        "format": "ranproof/attestation/1", "chain": "net", "origin": "telecom", "round": 4, "opened": null,
        "agreement": document, "policy_set": document, "inventory": { "version": 1, "root": zero, "count": 0 },
        "profile": zero, "started": 1, "finished": 2,
        "counts": { "expected": 0, "collected": 0, "unchanged": 0, "failed": 0, "skipped": 0 },
        "outcomes_root": zero, "outcomes_count": 0, "attributes_root": map.root(), "violations_root": zero,
        "violations_count": 0, "changes_root": zero, "changes_count": 0, "previous": null,
    });
    let mut found = commit(4);
    found.attestation = Some(anchor::json::encode(&attestation).unwrap());
    let second = SecondRound {
        round: 4,
        attestation: Hash::of(b"a"),
        began: false,
        mirrored: true,
        delivery: Some(serde_json::json!({})),
        disputes: Some(serde_json::json!([])),
    };
    store.commit_second(&start(4, 0), &found, &second, &MapUpdate::Whole(entries)).await.unwrap();
}

/// Another member's log, mirrored and vouched for, and what it served beside.
async fn mirror(store: &Store) {
    let leaves = [b"a".to_vec(), b"b".to_vec()];
    store.append_mirror("unicom", 0, &leaves).await.unwrap();
    let root = Tree::of(&leaves).root();
    let head = MirrorHead {
        origin: "unicom".into(),
        size: 2,
        root,
        note: "note".into(),
        transaction: Hash::of(b"t"),
        checked: Timestamp(3),
    };
    assert_eq!(store.check_mirror(&head).await.unwrap(), HeadCheck::Fits);
    store.vouch("unicom", 2, &root, Timestamp(4)).await.unwrap();
    let line = CosignatureRow {
        origin: "unicom".into(),
        size: 2,
        root,
        member: "telecom".into(),
        line: "line".into(),
        time: Timestamp(4),
    };
    store.add_cosignature(&line).await.unwrap();
    let served = ServedNote {
        origin: "unicom".into(),
        size: 9,
        root: Hash::of(b"served"),
        note: "served".into(),
        served: Timestamp(5),
    };
    store.keep_served_note(&served).await.unwrap();
    store.append_mirror("unicom", 2, &[b"c".to_vec()]).await.unwrap();
    let other = MirrorHead { size: 3, ..head };
    assert!(matches!(store.check_mirror(&other).await.unwrap(), HeadCheck::Forked { .. }));
}

async fn anchor(store: &Store) {
    let growth = store.stage_growth().await.unwrap().unwrap();
    let mut tree = Tree::default();
    for hash in store.leaf_hashes(0, growth.new_size).await.unwrap() {
        tree.push(hash);
    }
    store.save_checkpoint(growth.new_size, &tree.root(), "note").await.unwrap();
    store.mark_anchored(growth.new_size, 5, 0).await.unwrap();
    store.apply_anchored().await.unwrap().unwrap();
}

async fn project(store: &Store, body: Hash) {
    let subject = Subject { kind: SubjectKind::Agreement, id: "bj".into(), version: 1 };
    let action = Action::Withdraw(WithdrawStatement { subject: subject.clone() });
    let encoded = [&[5, 0, 2, 0, 0, 0][..], b"bj", &[1, 0, 0, 0]].concat();
    let registration = Registration {
        subject: subject.clone(),
        action: encoded,
        statement: statement_hash(&action),
        body: Some(body),
        agreement: "bj".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        required: vec![],
        request: None,
    };
    let opening = anchor::transaction::OpenRoundStatement {
        origin: "telecom".into(),
        round: 1,
        agreement: "bj".into(),
        agreement_version: 1,
        policy_set: "core".into(),
        policy_set_version: 1,
        inventory_version: 1,
        profile: Hash::of(b"profile"),
    };
    let attestation = anchor::transaction::AttestRoundStatement {
        origin: "telecom".into(),
        round: 1,
        attestation: Hash::of(b"a"),
        leaf_index: 1,
        expected: 2,
        collected: 2,
        unchanged: 0,
        failed: 0,
        skipped: 0,
    };
    let events = vec![
        Event::Registered(registration),
        Event::Decided { subject, member: "unicom".into(), decision: anchor::transaction::Decision::Approve },
        Event::RoundOpened { statement: opening, deadline: Timestamp(9), expected: 2 },
        Event::RoundAttested { statement: attestation, late: false },
        Event::Anchored { origin: "telecom".into(), size: 2, root: Hash::of(b"root") },
    ];
    let transaction = ProjectedTransaction {
        id: Hash::of(b"t"),
        sender: PublicKey([7; 32]),
        member: None,
        action: "Approve".into(),
        refused: None,
        events,
    };
    let header = Hash::of(b"header");
    let block = ProjectedBlock {
        height: 1,
        time: Timestamp(10),
        header,
        transactions: vec![transaction],
        missed: vec![],
    };
    store.apply_block(&block).await.unwrap();
}

/// Every blob column of every table.
async fn blob_columns(link: &mut SqliteConnection) -> Vec<(String, String)> {
    let query = "SELECT m.name AS t, c.name AS c FROM sqlite_schema m, pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.type = 'BLOB' ORDER BY 1, 2";
    let rows = sqlx::query(query).fetch_all(link).await.unwrap();
    rows.iter().map(|row| (row.get("t"), row.get("c"))).collect()
}

async fn set(link: &mut SqliteConnection, table: &str, column: &str, from: &[u8], to: &[u8]) -> u64 {
    let update = format!("UPDATE {table} SET {column} = ? WHERE {column} = ?");
    let update = sqlx::query(AssertSqlSafe(update)).bind(to.to_vec()).bind(from.to_vec());
    update.execute(link).await.unwrap().rows_affected()
}

#[tokio::test]
async fn one_flipped_byte_in_any_blob_is_named_with_its_table() {
    let (store, folder) = scratch().await;
    fill(&store).await;
    let clean = store.fsck().await.unwrap();
    assert_eq!(clean.faults, []);
    assert!(clean.checked["objects"] >= 6 && clean.checked["log_leaves"] == 4, "{:?}", clean.checked);
    store.close().await;

    let options = SqliteConnectOptions::new().filename(folder.path().join("ranproof.db")).foreign_keys(false);
    let mut link = options.connect().await.unwrap();
    let columns = blob_columns(&mut link).await;
    assert!(columns.len() > 40, "{columns:?}");
    let store = open(folder.path()).await;
    let mut flips = 0;
    for (table, column) in &columns {
        let values = format!(
            "SELECT DISTINCT {column} AS v FROM {table} WHERE {column} IS NOT NULL AND length({column}) > 0"
        );
        let values = sqlx::query(AssertSqlSafe(values)).fetch_all(&mut link).await.unwrap();
        assert!(!values.is_empty(), "nothing to flip in {table}.{column}");
        let Some(value) = values.last().map(|row| row.get::<Vec<u8>, _>("v")) else { continue };
        let mut flipped = value.clone();
        flipped[value.len() / 2] ^= 0x10;
        assert!(set(&mut link, table, column, &value, &flipped).await > 0);
        let report = store.fsck().await.unwrap();
        let tables: BTreeSet<_> = report.faults.iter().map(|f| f.table.as_str()).collect();
        assert!(tables.contains(table.as_str()), "{table}.{column} flipped, fsck names {:?}", report.faults);
        set(&mut link, table, column, &flipped, &value).await;
        flips += 1;
    }
    assert!(flips > 40, "{flips}");
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

/// Replaces one value by another in a column that is no blob.
async fn replace(link: &mut SqliteConnection, table: &str, column: &str, from: &str, to: &str) {
    let update = format!("UPDATE {table} SET {column} = {to} WHERE {column} = {from}");
    assert!(sqlx::query(AssertSqlSafe(update)).execute(link).await.unwrap().rows_affected() > 0);
}

#[tokio::test]
async fn any_changed_column_of_a_sealed_row_is_named() {
    let (store, folder) = scratch().await;
    fill(&store).await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("ranproof.db")).foreign_keys(false);
    let mut link = options.pragma("ignore_check_constraints", "ON").connect().await.unwrap();
    let query = "SELECT m.name AS t, c.name AS c FROM sqlite_schema m, pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.type IN ('TEXT', 'INTEGER') AND EXISTS \
                 (SELECT 1 FROM pragma_table_info(m.name) s WHERE s.name = 'seal')";
    let mut changed = 0;
    for row in sqlx::query(query).fetch_all(&mut link).await.unwrap() {
        let (table, column): (String, String) = (row.get("t"), row.get("c"));
        let value = format!(
            "SELECT quote({column}) AS a, quote(iif(typeof({column}) = 'text', {column} || 'x', {column} + 7777777)) AS b \
             FROM {table} WHERE {column} IS NOT NULL LIMIT 1"
        );
        let value = sqlx::query(AssertSqlSafe(value)).fetch_optional(&mut link).await.unwrap();
        let Some(value) = value else { continue };
        let (before, after): (String, String) = (value.get("a"), value.get("b"));
        replace(&mut link, &table, &column, &before, &after).await;
        let report = store.fsck().await.unwrap();
        assert!(report.faults.iter().any(|f| f.table == table), "{table}.{column}: {:?}", report.faults);
        replace(&mut link, &table, &column, &after, &before).await;
        changed += 1;
    }
    assert!(changed > 80, "{changed}");
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

#[tokio::test]
async fn a_wrong_depth_of_an_object_is_named_and_stops_no_round() {
    let (store, folder) = scratch().await;
    full_round(&store, 1, 1).await;
    let mut link = beside(folder.path()).await;
    for (round, depth) in [(2, -1), (3, 1), (4, i64::MAX), (5, 7)] {
        let update = sqlx::query("UPDATE objects SET depth = ?").bind(depth);
        assert!(update.execute(&mut link).await.unwrap().rows_affected() > 0);
        let faults = store.fsck().await.unwrap().faults;
        assert!(faults.iter().any(|fault| fault.table == "objects"), "{depth}: {faults:?}");
        full_round(&store, round, 1).await;
        store.newest_snapshot(&element(1)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn damaged_bytes_are_an_error_when_they_are_read_and_never_an_answer() {
    let (store, folder) = scratch().await;
    full_round(&store, 1, 1).await;
    let hash = store.put_body("agreement", b"{}", Timestamp(1)).await.unwrap();
    let mut link = beside(folder.path()).await;
    for statement in [
        "UPDATE bodies SET bytes = x'7b20'",
        "UPDATE objects SET bytes = x'00' WHERE id = 1",
        "UPDATE raw_replies SET bytes = x'00'",
    ] {
        sqlx::query(statement).execute(&mut link).await.unwrap();
    }
    let damaged = |error: store::StoreError| matches!(error, store::StoreError::Damaged { .. });
    assert!(damaged(store.body(&hash).await.unwrap_err()));
    assert!(damaged(store.newest_snapshot(&element(1)).await.unwrap_err()));
    assert!(damaged(store.raw_reply(&element(1), 1).await.unwrap_err()));
    store.check_health().expect("damage to one row is not a failing disk");
}

#[tokio::test]
async fn files_of_other_programs_and_of_newer_versions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranproof.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut link = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE t (a)").execute(&mut link).await.unwrap();
    let refused = Store::open(store::StoreConfig::new(&path)).await.unwrap_err();
    assert!(matches!(refused, store::StoreError::Foreign(_)), "{refused}");

    let (store, folder) = scratch().await;
    store.close().await;
    let path = folder.path().join("ranproof.db");
    let mut link = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("PRAGMA user_version = 99").execute(&mut link).await.unwrap();
    let refused = Store::open(store::StoreConfig::new(&path)).await.unwrap_err();
    assert!(matches!(refused, store::StoreError::Newer { found: 99, .. }), "{refused}");
    let missing = Store::open(store::StoreConfig::new(folder.path().join("none/ranproof.db"))).await;
    assert!(matches!(missing.unwrap_err(), store::StoreError::Open { .. }));
}
