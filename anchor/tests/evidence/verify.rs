//! Verification of whole bundles over a synthetic chain and log: what holds, and what does not.

use std::collections::BTreeMap;
use std::ops::Range;

use ranproof_anchor::bundle::{Bundle, BundleParts, Role};
use ranproof_anchor::json;
use ranproof_anchor::record::Authorisation;
use ranproof_anchor::standing::Standing;
use ranproof_anchor::trust::{Trust, TrustFile};
use ranproof_anchor::verify::{Outcome, Report, Status, verify};
use serde_json::Value;

use crate::parts::{encode, without_request};
use crate::world::{Story, World};

fn change(story: Story) -> Report {
    let world = World::play(story);
    verify(&encode(world.change_parts()), &world.trust())
}

fn changed(world: &World, change: impl FnOnce(&mut BundleParts)) -> Report {
    let mut parts = world.change_parts();
    change(&mut parts);
    verify(&encode(parts), &world.trust())
}

/// Outcome, decisive step, and its sentence must hold `part`.
#[track_caller]
pub fn assert_at(report: &Report, outcome: Outcome, step: &str, part: &str) {
    let decisive = report.decisive_step().unwrap_or_else(|| panic!("nothing decisive in\n{report}"));
    assert_eq!((report.outcome, decisive.name), (outcome, step), "{report}");
    assert!(decisive.sentence.contains(part), "`{part}` not in\n{report}");
}

#[test]
fn bundles_of_all_three_kinds_verify() {
    let world = World::play(Story::default());
    for parts in [world.change_parts(), world.violation_parts(), world.round_parts()] {
        let report = verify(&encode(parts), &world.trust());
        assert_eq!(report.outcome, Outcome::Verified, "{report}");
        assert!(report.steps.iter().all(|s| matches!(s.status, Status::Pass | Status::Skipped)));
        let text = report.to_string();
        assert!(text.contains("VERIFIED") && text.contains("does not prove"), "{text}");
    }
    let report = verify(&encode(world.change_parts()), &world.trust());
    insta::assert_snapshot!(report.to_string());
}

/// The whole point: no byte of a bundle is idle.
pub fn every_byte_matters(bundle: &[u8], trust: &Trust) -> BTreeMap<&'static str, usize> {
    bytes_matter(bundle, 0..bundle.len(), trust)
}

pub fn bytes_matter(bundle: &[u8], range: Range<usize>, trust: &Trust) -> BTreeMap<&'static str, usize> {
    let mut steps = BTreeMap::new();
    for index in range {
        let mut changed = bundle.to_vec();
        changed[index] ^= 1;
        let report = verify(&changed, trust);
        let refused = matches!(report.outcome, Outcome::Refuted | Outcome::Malformed);
        let around = String::from_utf8_lossy(&bundle[index.saturating_sub(40)..index]).into_owned();
        assert!(refused, "byte {index} changed after …{around}\n{report}");
        *steps.entry(report.decisive_step().unwrap().name).or_insert(0) += 1;
    }
    steps
}

#[test]
fn every_changed_byte_of_a_change_bundle_is_caught() {
    let world = World::play(Story::default());
    let steps = every_byte_matters(&encode(world.change_parts()), &world.trust());
    for step in ["format", "record", "inclusion", "checkpoint", "cosignatures", "receipts", "certificates"] {
        assert!(steps.contains_key(step), "no byte was caught at {step}: {steps:?}");
    }
}

#[test]
fn every_changed_byte_of_a_violation_bundle_is_caught() {
    let world = World::play(Story::default());
    every_byte_matters(&encode(world.violation_parts()), &world.trust());
}

#[test]
fn every_changed_byte_of_a_round_bundle_is_caught() {
    let world = World::play(Story::default());
    every_byte_matters(&encode(world.round_parts()), &world.trust());
}

/// A small generator, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn random_damage_never_verifies_and_never_panics() {
    let world = World::play(Story::default());
    let (bundle, trust) = (encode(world.change_parts()), world.trust());
    let mut random = Random(0x5eed);
    for round in 0..2000 {
        let mut damaged = bundle.clone();
        match random.below(6) {
            0 => damaged.truncate(random.below(bundle.len())),
            1 => drop(damaged.remove(random.below(bundle.len()))),
            2 => damaged.insert(random.below(bundle.len()), random.below(256) as u8),
            4 => damaged[random.below(bundle.len())] ^= 1 + random.below(255) as u8,
            3 => damaged.swap(random.below(bundle.len()), random.below(bundle.len())),
            _ => {
                let (from, to) = (random.below(bundle.len()), random.below(bundle.len()));
                let piece: Vec<u8> = damaged[from..(from + 60).min(bundle.len())].to_vec();
                damaged.splice(to..(to + piece.len()).min(bundle.len()), piece);
            }
        }
        let verified = verify(&damaged, &trust).outcome == Outcome::Verified;
        assert!(!verified || damaged == bundle, "damage {round} verified");
    }
}

/// Takes out each member of each object and each item of each list in turn.
fn removals(value: &Value, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
        _ => vec![],
    };
    for (key, child) in children {
        path.push(key);
        out.push(path.clone());
        removals(child, path, out);
        path.pop();
    }
}

fn without(value: &Value, path: &[String]) -> Value {
    let mut value = value.clone();
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().fold(&mut value, |v, key| match v {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        other => &mut other[key.as_str()],
    });
    match parent {
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Object(members) => drop(members.shift_remove(last)),
        _ => unreachable!(),
    }
    value
}

#[test]
fn nothing_can_be_left_out() {
    let world = World::play(Story::default());
    let trust = world.trust();
    for parts in [world.change_parts(), world.violation_parts(), world.round_parts()] {
        nothing_can_be_left_out_of(&encode(parts), &trust);
    }
}

pub fn nothing_can_be_left_out_of(bundle: &[u8], trust: &Trust) {
    let value = json::parse(bundle).unwrap();
    let mut paths = vec![];
    removals(&value, &mut vec![], &mut paths);
    assert!(paths.len() > 100);
    for path in paths {
        let report = verify(&json::to_canonical(&without(&value, &path)).unwrap(), trust);
        assert_ne!(report.outcome, Outcome::Verified, "without {}\n{report}", path.join("."));
    }
}

#[test]
fn missing_evidence_is_incomplete_and_says_what() {
    let world = World::play(Story::default());
    let cases: [(Role, &str, &str); 9] = [
        (Role::Anchor, "receipts", "anchors the checkpoint"),
        (Role::Open, "agreement", "opening of round 2"),
        (Role::Attest, "agreement", "AttestRound of round 2"),
        (Role::OpenBefore, "agreement", "opening of round 1"),
        (Role::AttestBefore, "agreement", "AttestRound of round 1"),
        (Role::Approve, "approvals", "lacks the approval of telecom, unicom"),
        (Role::RegisterPolicySet, "agreement", "register-policy-set"),
        (Role::RegisterInventory, "agreement", "register-inventory"),
        (Role::RegisterAgreement, "agreement", "registration"),
    ];
    for (role, step, part) in cases {
        let (mut blocks, transactions) = world.evidence(|r, action| {
            // With a registration go its approvals, else they would ride along unchecked.
            let of_registration = match (role, action) {
                (Role::RegisterPolicySet, ranproof_anchor::Action::Approve(a)) => {
                    a.subject.kind == ranproof_anchor::transaction::SubjectKind::PolicySet
                }
                (Role::RegisterInventory, ranproof_anchor::Action::Approve(a)) => {
                    a.subject.kind == ranproof_anchor::transaction::SubjectKind::Inventory
                }
                (Role::RegisterAgreement, ranproof_anchor::Action::Approve(a)) => {
                    a.subject.kind != ranproof_anchor::transaction::SubjectKind::Change
                }
                (Role::RegisterAgreement, ranproof_anchor::Action::RegisterPolicySet(_)) => true,
                (Role::RegisterAgreement, ranproof_anchor::Action::RegisterInventory(_)) => true,
                _ => false,
            };
            r != role && !of_registration
        });
        blocks.push(world.standing_at(10).0);
        let report = changed(&world, |parts| {
            parts.blocks = blocks;
            parts.transactions = transactions;
        });
        assert_at(&report, Outcome::Incomplete, step, part);
    }
    assert_at(&changed(&world, |p| p.before = None), Outcome::Refuted, "agreement", "open-before");
    assert_at(&changed(&world, |p| p.request = None), Outcome::Incomplete, "approvals", "body is missing");
    let no_list = changed(&world, |p| p.after.as_mut().unwrap().listed = None);
    assert_at(&no_list, Outcome::Incomplete, "openings", "lists the record");
    let unopened = changed(&world, |p| drop(p.after.as_mut().unwrap().values.pop()));
    assert_at(&unopened, Outcome::Incomplete, "openings", "is not opened");
}

#[test]
fn missing_cosignature_is_incomplete_only_where_it_is_required() {
    let world = World::play(Story { cosigners: vec!["witness"], ..Story::default() });
    let report = verify(&encode(world.change_parts()), &world.trust());
    assert_at(&report, Outcome::Incomplete, "cosignatures", "`unicom` is required and missing");
    assert_eq!(report.outcome.exit_code(), 3);
    let report = verify(&encode(world.violation_parts()), &world.trust());
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
}

#[test]
fn approval_after_the_opening_refutes_exact_and_supports_late() {
    let report = change(Story { late: true, ..Story::default() });
    assert_at(&report, Outcome::Refuted, "order", "late: `CR-1`");
    let late = Story { late: true, verdict: Authorisation::Late, ..Story::default() };
    assert_eq!(change(late).outcome, Outcome::Verified);
    let report = change(Story { verdict: Authorisation::Late, ..Story::default() });
    assert_at(&report, Outcome::Refuted, "order", "`late` does not hold");
}

/// Round 1 has the old values, round 2 sees the new ones, then CR-1 is approved, and the origin shows rounds 1 and 3.
#[test]
fn round_between_that_is_not_shown_leaves_exact_unproven() {
    for forged_previous in [false, true] {
        let lie = Story { hidden_round: true, forged_previous, ..Story::default() };
        assert_at(&change(lie), Outcome::Incomplete, "order", "rounds between them could have seen it first");
    }
    let late = Story { hidden_round: true, late: true, verdict: Authorisation::Late, ..Story::default() };
    assert_eq!(change(late).outcome, Outcome::Verified, "seen even earlier is late all the more");
}

#[test]
fn withdrawal_before_the_change_refutes_exact_and_one_after_it_does_not() {
    let report = change(Story { withdrawn_after: Some(1), ..Story::default() });
    assert_at(&report, Outcome::Refuted, "order", "expired: `CR-1` was withdrawn at 8");
    let report = change(Story { withdrawn_after: Some(2), ..Story::default() });
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
}

#[test]
fn standing_that_is_missing_or_too_old_leaves_exact_incomplete() {
    let world = World::play(Story { withdrawn_after: Some(1), ..Story::default() });
    let hidden = world.evidence(|_, _| true);
    let report = changed(&world, |parts| {
        parts.standing = None;
        parts.blocks = hidden.0;
    });
    assert_at(&report, Outcome::Incomplete, "approvals", "its standing is missing");
    // Height 7 has the last approval, 8 the withdrawal, 9 the opening.
    let hidden = world.evidence(|_, _| true);
    let report = changed(&world, |parts| {
        parts.standing = Some(world.standing_at(7).1);
        parts.blocks = hidden.0;
    });
    assert_at(
        &report,
        Outcome::Incomplete,
        "order",
        "could have been withdrawn before the round opened at 9",
    );
}

#[test]
fn standing_of_another_state_or_statement_is_refuted() {
    let world = World::play(Story::default());
    let report = changed(&world, |parts| parts.standing.as_mut().unwrap().height = 9);
    assert_at(&report, Outcome::Refuted, "approvals", "not under header 9");
    let report = changed(&world, |parts| parts.standing.as_mut().unwrap().height = 99);
    assert_at(&report, Outcome::Refuted, "approvals", "no header");
    let report = changed(&world, |parts| {
        let standing = parts.standing.as_mut().unwrap();
        let mut told = Standing::decode(&standing.value.0).unwrap();
        told.withdrawn = Some(told.proposed);
        standing.value.0 = told.encode();
    });
    assert_at(&report, Outcome::Refuted, "approvals", "not under header 10");
    let other = World::play(Story { other_standing: true, ..Story::default() });
    let report = verify(&encode(other.change_parts()), &other.trust());
    assert_at(&report, Outcome::Refuted, "approvals", "another statement");
}

#[test]
fn what_nothing_checks_is_incomplete() {
    for verdict in [Authorisation::ByRight, Authorisation::Standing, Authorisation::Restored] {
        let story = Story { verdict, ..Story::default() };
        assert_at(&change(story.clone()), Outcome::Incomplete, "approvals", "is the origin's word");
        let world = World::play(Story { named: false, ..story });
        let (blocks, transactions) = world.evidence(without_request);
        let report = changed(&world, |parts| {
            (parts.request, parts.standing) = (None, None);
            (parts.blocks, parts.transactions) = (blocks, transactions);
        });
        assert_at(&report, Outcome::Incomplete, "approvals", "is the origin's word");
    }
    let world = World::play(Story::default());
    let text = verify(&encode(world.change_parts()), &world.trust()).to_string();
    assert!(text.contains("only the agreement's minimal approvers were checked"), "{text}");
}

#[test]
fn reads_wholly_outside_the_window_refute_exact() {
    let report = change(Story { window: (900_000_000, 1_000_000_000), ..Story::default() });
    assert_at(&report, Outcome::Refuted, "order", "early");
    let report = change(Story { window: (0, 1), ..Story::default() });
    assert_at(&report, Outcome::Refuted, "order", "expired");
}

/// A sweep starts 100 ms after the opening's block and ends 1800 ms before that of the `AttestRound`.
#[test]
fn sweep_that_the_chains_times_contradict_leaves_the_claim_incomplete() {
    let parts = [World::violation_parts, World::round_parts];
    for (start, end, part) in [
        (-3_600_000, -3_600_000, "round 2 says that it started 3600 s before the block that opened it"),
        (-60_101, 0, "round 2 says that it started"),
        (0, 61_801, "round 2 says that it finished"),
        (3_600_000, 3_600_000, "finished 3599 s after the block that attested it"),
        (101, 0, "round 2 says that it finished before it started"),
        (i64::MIN, 0, "started"),
        (0, 1 << 52, "finished"),
    ] {
        let world = World::play(Story { wrong_clock: Some((2, start, end)), ..Story::default() });
        for parts in parts {
            let report = verify(&encode(parts(&world)), &world.trust());
            assert_at(&report, Outcome::Incomplete, "order", part);
        }
    }
    for (start, end) in [(-60_100, 0), (0, 61_800)] {
        let world = World::play(Story { wrong_clock: Some((2, start, end)), ..Story::default() });
        for parts in parts {
            let report = verify(&encode(parts(&world)), &world.trust());
            assert_eq!(report.outcome, Outcome::Verified, "{report}");
        }
    }
}

/// The window begins an hour after the round that saw the change was attested, or was over before the one that saw
/// the old value was opened; the collector says otherwise of its reads.
#[test]
fn exact_does_not_rest_on_times_that_the_chain_contradicts() {
    let hour = 3_600_000;
    let early = Story { window: (hour as u64, 2 * hour as u64), ..Story::default() };
    assert_at(&change(early.clone()), Outcome::Refuted, "order", "early");
    let report = change(Story { wrong_clock: Some((2, hour, hour)), ..early });
    assert_at(&report, Outcome::Incomplete, "order", "round 2 says that it finished 3599 s after");
    let expired = Story { window: (0, 1), ..Story::default() };
    assert_at(&change(expired.clone()), Outcome::Refuted, "order", "expired");
    let report = change(Story { wrong_clock: Some((1, -hour, -hour)), ..expired });
    assert_at(&report, Outcome::Incomplete, "order", "round 1 says that it started 3600 s before");
}

/// A claim of the last round alone does not rest on the first.
#[test]
fn earlier_round_is_held_to_the_chains_times_where_it_is_used() {
    let world = World::play(Story { wrong_clock: Some((1, 0, 61_801)), ..Story::default() });
    let report = verify(&encode(world.change_parts()), &world.trust());
    assert_at(&report, Outcome::Incomplete, "order", "round 1 says that it finished 61 s after");
    let report = verify(&encode(world.round_parts()), &world.trust());
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
}

#[test]
fn edits_other_than_the_approved_ones_refute_exact() {
    let report = change(Story { approved_pci: "103", ..Story::default() });
    assert_at(&report, Outcome::Refuted, "approvals", "does not name this edit");
}

#[test]
fn old_value_other_than_the_attested_one_is_refuted() {
    let report = change(Story { first_pci: "100", ..Story::default() });
    assert_at(&report, Outcome::Refuted, "openings", "another value is attested");
}

#[test]
fn two_thirds_of_the_power_exactly_are_not_enough() {
    // 3 + 3 of 10 is less than two thirds, 3 + 3 + 1 more; with the witness at 0 … so take 3:3:3.
    let mut world = World::play(Story { signers: vec![0, 1], ..Story::default() });
    let report = verify(&encode(world.change_parts()), &world.trust());
    assert_at(&report, Outcome::Refuted, "certificates", "6 of 10");
    let mut file = world.trust_file();
    file.validators.pop();
    let report = verify(&encode(world.change_parts()), &Trust::new(file).unwrap());
    assert_at(&report, Outcome::Refuted, "certificates", "6 of 9");
    world = World::play(Story { signers: vec![0, 1, 2], ..Story::default() });
    assert_eq!(verify(&encode(world.change_parts()), &world.trust()).outcome, Outcome::Verified);
}

#[test]
fn foreign_trust_refutes_at_the_step_that_differs() {
    let world = World::play(Story::default());
    let bundle = encode(world.change_parts());
    let under = |change: fn(&mut TrustFile)| {
        let mut file = world.trust_file();
        change(&mut file);
        verify(&bundle, &Trust::new(file).unwrap())
    };
    let other = ranproof_anchor::SigningKey::from_seed(&[99; 32]).public();
    assert_at(
        &under(|f| f.origins.retain(|o| o.member != "telecom")),
        Outcome::Refuted,
        "checkpoint",
        "no log",
    );
    assert_at(&under(|f| f.chain_id = "other".into()), Outcome::Refuted, "origin", "chain `bj-share`");
    assert_at(
        &under(|f| f.cosigners.retain(|c| c.member == "unicom")),
        Outcome::Refuted,
        "cosignatures",
        "not known",
    );
    let founded_anew = under(|f| f.genesis = ranproof_anchor::Hash::of(b"the same members, another day"));
    assert_at(&founded_anew, Outcome::Refuted, "certificates", "does not verify on the chain of genesis");
    assert_at(&under(|f| f.validators.rotate_left(1)), Outcome::Refuted, "validators", "other validators");
    assert_at(
        &under(|f| f.validators.truncate(2)),
        Outcome::Refuted,
        "certificates",
        "not in the validator set",
    );
    let approvers = under(|f| f.approval_keys.retain(|member, _| member != "unicom"));
    assert_at(&approvers, Outcome::Refuted, "approvals", "not known");
    let agreements = under(|f| f.agreements[0].id = "other".into());
    assert_at(&agreements, Outcome::Refuted, "agreement", "not named in the trust file");
    let agreements = under(|f| f.agreements[0].parties.push("tower".into()));
    assert_at(&agreements, Outcome::Refuted, "agreement", "does not bind `tower`");
    let unnamed = under(|f| f.agreements.clear());
    assert_at(&unnamed, Outcome::Incomplete, "agreement", "names no agreement");
    let secrets = under(|f| f.map_secrets.clear());
    assert_at(&secrets, Outcome::Incomplete, "openings", "map secret");
    let secrets = under(|f| f.map_secrets[0].secret.0[0] ^= 1);
    assert_at(&secrets, Outcome::Refuted, "openings", "map key");
    let mut file = world.trust_file();
    file.origins[0].log_key = other;
    let report = verify(&bundle, &Trust::new(file).unwrap());
    assert_at(&report, Outcome::Refuted, "checkpoint", "not made by the log key");
}

#[test]
fn swapped_heights_and_blocks_are_refuted() {
    let world = World::play(Story::default());
    let report = changed(&world, |parts| {
        let open = parts.transactions.iter().position(|t| t.role == Role::Open).unwrap();
        let before = parts.transactions.iter().position(|t| t.role == Role::OpenBefore).unwrap();
        let heights = (parts.transactions[open].height, parts.transactions[before].height);
        (parts.transactions[before].height, parts.transactions[open].height) = heights;
    });
    assert_at(&report, Outcome::Refuted, "receipts", "txs_root");
    let report = changed(&world, |parts| {
        for transaction in &mut parts.transactions {
            transaction.role = match transaction.role {
                Role::Open => Role::OpenBefore,
                Role::OpenBefore => Role::Open,
                role => role,
            };
        }
    });
    assert_at(&report, Outcome::Refuted, "agreement", "was not opened at this height");
    let report = changed(&world, |parts| {
        let certificate = parts.blocks[0].certificate.clone();
        parts.blocks.last_mut().unwrap().certificate = certificate;
    });
    assert_at(&report, Outcome::Refuted, "certificates", "another header");
    let mut bundle = Bundle::assemble(world.change_parts());
    bundle.chain.blocks.swap(0, 1);
    let report = verify(&bundle.encode().unwrap(), &world.trust());
    assert_at(&report, Outcome::Refuted, "receipts", "sorted by height");
    bundle.chain.blocks.swap(0, 1);
    bundle.chain.transactions.swap(0, 1);
    let report = verify(&bundle.encode().unwrap(), &world.trust());
    assert_at(&report, Outcome::Malformed, "format", "order");
}

#[test]
fn refused_transactions_prove_nothing() {
    for role in [Role::Propose, Role::Approve, Role::Attest] {
        let report = change(Story { refused: Some(role), ..Story::default() });
        assert_at(&report, Outcome::Refuted, "receipts", "the receipt says refused");
    }
}

#[test]
fn unopened_round_leaves_the_order_undetermined() {
    let report = change(Story { opened: false, ..Story::default() });
    assert_at(&report, Outcome::Incomplete, "agreement", "not opened on chain");
    assert_eq!(report.steps.last().unwrap().status, Status::Incomplete, "{report}");
}

#[test]
fn changed_validators_are_refused_by_rules_version_1() {
    let report = change(Story { new_validators: true, ..Story::default() });
    assert_at(&report, Outcome::Refuted, "validators", "changes the validators");
}

#[test]
fn idle_evidence_is_refuted() {
    let world = World::play(Story::default());
    let mut parts = world.violation_parts();
    let (blocks, transactions) = world.evidence(|_, _| true);
    (parts.blocks, parts.transactions) = (blocks.clone(), transactions.clone());
    let report = verify(&encode(parts), &world.trust());
    assert_eq!(report.outcome, Outcome::Verified, "CR-1 was considered: its approvals belong\n{report}");
    let mut parts = world.round_parts();
    (parts.blocks, parts.transactions) = (blocks, transactions);
    let report = verify(&encode(parts), &world.trust());
    assert_at(&report, Outcome::Refuted, "approvals", "does not speak of");
    let mut parts = world.violation_parts();
    parts.request = Some(serde_json::json!({}));
    let report = verify(&encode(parts), &world.trust());
    assert_at(&report, Outcome::Refuted, "approvals", "nothing authenticates");
    let mut parts = world.violation_parts();
    parts.standing = Some(world.standing_at(10).1);
    let report = verify(&encode(parts), &world.trust());
    assert_at(&report, Outcome::Refuted, "approvals", "standing without its proposal");
    let report = changed(&world, |parts| parts.blocks.push(world.standing_at(9).0));
    assert_eq!(report.outcome, Outcome::Verified, "the block of the anchor\n{report}");
    let later = World::play(Story { withdrawn_after: Some(2), ..Story::default() });
    let report = changed(&later, |parts| parts.standing = Some(later.standing_at(10).1));
    assert_at(&report, Outcome::Refuted, "headers", "header 11 belongs to nothing");
    let report = changed(&world, |parts| parts.proof.extra = Some(b"x".to_vec()));
    assert_at(&report, Outcome::Refuted, "inclusion", "extra");
}

#[test]
fn what_is_no_bundle_is_malformed() {
    let world = World::play(Story::default());
    let bundle = String::from_utf8(encode(world.change_parts())).unwrap();
    for text in ["", "{}", "null", "not json", &bundle[1..], &bundle.replace("bundle/2", "bundle/3")] {
        let report = verify(text.as_bytes(), &world.trust());
        assert_eq!((report.outcome, report.outcome.exit_code()), (Outcome::Malformed, 2), "{report}");
        assert_eq!(report.steps.len(), ranproof_anchor::verify::STEPS.len());
    }
    let report = verify(&vec![b' '; 17 * 1024 * 1024], &world.trust());
    assert_at(&report, Outcome::Malformed, "format", "over the limit");
}
