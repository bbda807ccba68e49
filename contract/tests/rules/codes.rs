//! One line for each way to be refused: the state, who signs what, and the code that comes back.

use std::collections::BTreeSet;

use anchor::Hash;
use anchor::transaction::*;
use contract::{Duty, code};

use crate::disputes::{attested, dispute, dispute_by, dispute_named, disputed, fork, resolve, respond};
use crate::envelope::SHOWN;
use crate::world::*;

type Case = (&'static str, &'static str, fn() -> World, &'static str, fn(&World) -> Action);

const fn case(
    code: &'static str,
    what: &'static str,
    state: fn() -> World,
    member: &'static str,
    action: fn(&World) -> Action,
) -> Case {
    (code, what, state, member, action)
}

fn register_agreement(change: fn(&mut AgreementStatement)) -> Action {
    let mut statement = agreement(1);
    change(&mut statement);
    Action::RegisterAgreement(statement)
}

fn register_policy_set(change: fn(&mut PolicySetStatement)) -> Action {
    let mut statement = policy_set(1);
    change(&mut statement);
    Action::RegisterPolicySet(statement)
}

fn register_inventory(change: fn(&mut InventoryStatement)) -> Action {
    let mut statement = inventory(1);
    change(&mut statement);
    Action::RegisterInventory(statement)
}

fn propose(world: &World, change: fn(&mut ProposalStatement)) -> Action {
    let mut statement = world.proposal("CR-2");
    change(&mut statement);
    Action::Propose(statement)
}

fn open(change: fn(&mut OpenRoundStatement)) -> Action {
    let mut statement = opening(1);
    change(&mut statement);
    Action::OpenRound(statement)
}

fn attest(change: fn(&mut AttestRoundStatement)) -> Action {
    let mut statement = attestation(1);
    change(&mut statement);
    Action::AttestRound(statement)
}

/// Anchoring of three more leaves, changed.
fn anchoring(world: &World, change: fn(&mut AnchorCheckpointStatement)) -> Action {
    let Action::AnchorCheckpoint(mut statement) = world.clone().grow("telecom", 3) else { unreachable!() };
    change(&mut statement);
    Action::AnchorCheckpoint(statement)
}

/// The proposal in [`World::proposed`], as it was signed.
fn first_proposal() -> Action {
    Action::Propose(World::agreed().proposal("CR-1"))
}

fn change_subject(id: &str, version: u32) -> Subject {
    Subject { kind: SubjectKind::Change, id: id.into(), version }
}

fn approved_by_telecom() -> World {
    let mut world = World::proposed();
    world.accept("telecom", approve(&first_proposal()));
    world
}

fn rejected() -> World {
    let mut world = World::proposed();
    world.accept("telecom", decide(&first_proposal(), Decision::Reject));
    world
}

fn withdrawn() -> World {
    let mut world = World::proposed();
    world.accept("unicom", withdraw(&first_proposal()));
    world
}

fn second_agreement() -> World {
    let mut world = World::proposed();
    world.adopt("tower", Action::RegisterAgreement(agreement(2)));
    world
}

/// An agreement that names nobody who must approve every request.
fn no_approvers() -> World {
    let mut world = World::empty();
    world.adopt(
        "telecom",
        Action::RegisterAgreement(AgreementStatement { change_approvers: vec![], ..agreement(1) }),
    );
    world
}

fn rival_versions() -> World {
    let mut world = World::agreed();
    world.accept("unicom", Action::RegisterAgreement(agreement(2)));
    world.adopt("telecom", Action::RegisterAgreement(agreement(3)));
    world
}

fn window_over() -> World {
    let mut world = World::proposed();
    world.time += 7_200_000;
    world
}

fn answered() -> World {
    let mut world = disputed();
    world.accept("telecom", respond(b"answer"));
    world
}

fn resolved() -> World {
    let mut world = disputed();
    world.accept("unicom", resolve(DisputeOutcome::Upheld));
    world
}

fn forked() -> World {
    let mut world = World::ready();
    world.accept("watch", fork(&world.clone(), |_| ()));
    world
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Form
    case(code::FORM, "empty id", World::empty, "telecom", |_| register_agreement(|s| s.id = "".into())),
    case(code::FORM, "id over 128", World::empty, "telecom", |_| register_agreement(|s| s.id = "x".repeat(129))),
    case(code::FORM, "id with a slash", World::empty, "telecom", |_| register_agreement(|s| s.id = "a/b".into())),
    case(code::FORM, "version 0", World::empty, "telecom", |_| register_agreement(|s| s.version = 0)),
    case(code::FORM, "one party", World::empty, "telecom", |_| register_agreement(|s| { s.parties.truncate(1); s.change_approvers.truncate(1) })),
    case(code::FORM, "unsorted parties", World::empty, "telecom", |_| register_agreement(|s| s.parties.reverse())),
    case(code::FORM, "repeated party", World::empty, "telecom", |_| register_agreement(|s| s.parties.insert(0, "telecom".into()))),
    case(code::FORM, "too many parties", World::empty, "telecom", |_| register_agreement(|s| s.parties = (100..165).map(|n| format!("m{n}")).collect())),
    case(code::FORM, "approver outside", World::empty, "telecom", |_| register_agreement(|s| s.change_approvers = names(&["mobile"]))),
    case(code::FORM, "no time to attest", World::empty, "telecom", |_| register_agreement(|s| s.attest_within = 0)),
    case(code::FORM, "endless time to attest", World::empty, "telecom", |_| register_agreement(|s| s.attest_within = u64::MAX)),
    case(code::FORM, "policy set version 0", World::agreed, "telecom", |_| register_policy_set(|s| s.version = 0)),
    case(code::FORM, "inventory version 0", World::agreed, "telecom", |_| register_inventory(|s| s.version = 0)),
    case(code::FORM, "nobody required", World::agreed, "unicom", |w| propose(w, |s| s.required.clear())),
    case(code::FORM, "unsorted required", World::agreed, "unicom", |w| propose(w, |s| s.required.reverse())),
    case(code::FORM, "empty window", World::agreed, "unicom", |w| propose(w, |s| s.window_to = s.window_from)),
    case(code::FORM, "inventory subject without origin", World::agreed, "unicom", |_| Action::Withdraw(WithdrawStatement { subject: Subject { kind: SubjectKind::Inventory, id: "gd".into(), version: 1 } })),
    case(code::FORM, "round of a nameless origin", World::ready, "telecom", |_| open(|s| s.origin = "".into())),
    case(code::FORM, "attestation of a nameless origin", World::sweeping, "telecom", |_| attest(|s| s.origin = "".into())),
    case(code::FORM, "endless proof", World::ready, "telecom", |w| anchoring(w, |s| s.consistency = vec![Hash::ZERO; 66])),
    case(code::FORM, "endless checkpoint", World::ready, "telecom", |w| anchoring(w, |s| s.checkpoint = "x".repeat(8193))),

    // Registrations
    case(code::DUPLICATE, "same agreement", World::agreed, "telecom", |_| register_agreement(|_| {})),
    case(code::DUPLICATE, "same agreement by another party", World::agreed, "unicom", |_| register_agreement(|_| {})),
    case(code::CONFLICT, "another agreement of this version", World::agreed, "telecom", |_| register_agreement(|s| s.body = Hash::ZERO)),
    case(code::VERSION, "first version is 2", World::empty, "telecom", |_| register_agreement(|s| s.version = 2)),
    case(code::VERSION, "version skipped", World::agreed, "telecom", |_| register_agreement(|s| s.version = 3)),
    case(code::UNKNOWN_MEMBER, "foreign party", World::empty, "telecom", |_| register_agreement(|s| s.parties = names(&["telecom", "tower", "unicom", "vodacom"]))),
    case(code::ROLE, "witness as a party", World::empty, "telecom", |_| register_agreement(|s| s.parties.push("watch".into()))),
    case(code::ROLE, "witness registers", World::empty, "watch", |_| register_agreement(|_| {})),
    case(code::NOT_A_PARTY, "outsider registers", World::empty, "mobile", |_| register_agreement(|_| {})),
    case(code::DUPLICATE, "same policy set", World::ready, "telecom", |_| register_policy_set(|_| {})),
    case(code::CONFLICT, "another policy set of this version", World::ready, "telecom", |_| register_policy_set(|s| s.body = Hash::ZERO)),
    case(code::VERSION, "policy set version skipped", World::ready, "telecom", |_| register_policy_set(|s| s.version = 3)),
    case(code::NOT_IN_FORCE, "policy set of no agreement", World::empty, "telecom", |_| register_policy_set(|_| {})),
    case(code::NOT_A_PARTY, "outsider registers policies", World::agreed, "mobile", |_| register_policy_set(|_| {})),
    case(code::ROLE, "witness registers policies", World::agreed, "watch", |_| register_policy_set(|_| {})),
    case(code::DUPLICATE, "same inventory", World::ready, "telecom", |_| register_inventory(|_| {})),
    case(code::CONFLICT, "another inventory of this version", World::ready, "telecom", |_| register_inventory(|s| s.count = 11)),
    case(code::VERSION, "inventory version skipped", World::ready, "telecom", |_| register_inventory(|s| s.version = 3)),
    case(code::NOT_IN_FORCE, "inventory of no agreement", World::agreed, "telecom", |_| register_inventory(|s| s.agreement = "hn".into())),
    case(code::UNKNOWN_MEMBER, "inventory of a stranger", World::agreed, "telecom", |_| register_inventory(|s| s.origin = "vodacom".into())),
    case(code::ROLE, "inventory of the tower company", World::agreed, "telecom", |_| register_inventory(|s| s.origin = "tower".into())),
    case(code::NOT_A_PARTY, "inventory of an outsider", World::agreed, "telecom", |_| register_inventory(|s| s.origin = "mobile".into())),

    // Change requests
    case(code::DUPLICATE, "same change", World::proposed, "unicom", |_| first_proposal()),
    case(code::CONFLICT, "another change of this id", World::proposed, "unicom", |w| propose(w, |s| s.id = "CR-1".into())),
    case(code::ROLE, "witness proposes", World::agreed, "watch", |w| propose(w, |_| {})),
    case(code::NOT_A_PARTY, "outsider proposes", World::agreed, "mobile", |w| propose(w, |_| {})),
    case(code::NOT_IN_FORCE, "under no agreement", World::empty, "unicom", |w| propose(w, |_| {})),
    case(code::NOT_IN_FORCE, "under a version to come", World::agreed, "unicom", |w| propose(w, |s| s.agreement_version = 2)),
    case(code::NOT_IN_FORCE, "under a version gone by", second_agreement, "unicom", |w| propose(w, |_| {})),
    case(code::APPROVERS, "approver left out", World::agreed, "unicom", |w| propose(w, |s| s.required = names(&["unicom"]))),
    case(code::APPROVERS, "approver from outside", World::agreed, "unicom", |w| propose(w, |s| s.required.insert(0, "mobile".into()))),
    case(code::APPROVERS, "baseline without an operator", no_approvers, "unicom", |w| propose(w, |s| { s.kind = ProposalKind::Baseline; s.required = names(&["unicom"]); })),
    case(code::WINDOW, "window over", World::agreed, "unicom", |w| { let mut s = w.proposal("CR-2"); s.window_from = 0; s.window_to = w.time + 1000; Action::Propose(s) }),

    // Decisions
    case(code::UNKNOWN_SUBJECT, "never proposed", World::agreed, "telecom", |_| approve(&first_proposal())),
    case(code::UNKNOWN_SUBJECT, "version 2 of a change", World::proposed, "telecom", |_| Action::Approve(ApprovalStatement { subject: change_subject("CR-1", 2), statement: statement_hash(&first_proposal()), decision: Decision::Approve })),
    case(code::STATEMENT, "other words", World::proposed, "telecom", |_| Action::Approve(ApprovalStatement { subject: change_subject("CR-1", 1), statement: Hash::ZERO, decision: Decision::Approve })),
    case(code::ROLE, "witness approves", World::proposed, "watch", |_| approve(&first_proposal())),
    case(code::NOT_REQUIRED, "party not asked", World::proposed, "tower", |_| approve(&first_proposal())),
    case(code::NOT_REQUIRED, "outsider", World::proposed, "mobile", |_| approve(&first_proposal())),
    case(code::DUPLICATE, "same decision", approved_by_telecom, "telecom", |_| approve(&first_proposal())),
    case(code::DECIDED, "other decision", approved_by_telecom, "telecom", |_| decide(&first_proposal(), Decision::Reject)),
    case(code::DECIDED, "after the own rejection", rejected, "telecom", |_| approve(&first_proposal())),
    case(code::REJECTED, "after another's rejection", rejected, "unicom", |_| approve(&first_proposal())),
    case(code::WITHDRAWN, "after withdrawal", withdrawn, "telecom", |_| approve(&first_proposal())),
    case(code::SUPERSEDED, "after a new agreement", second_agreement, "telecom", |_| approve(&first_proposal())),
    case(code::SUPERSEDED, "after a rival version", rival_versions, "unicom", |_| approve(&Action::RegisterAgreement(agreement(2)))),
    case(code::WINDOW, "after the window", window_over, "telecom", |_| approve(&first_proposal())),

    // Withdrawals
    case(code::UNKNOWN_SUBJECT, "withdraw what is not there", World::agreed, "unicom", |_| withdraw(&first_proposal())),
    case(code::NOT_PROPOSER, "withdraw another's", World::proposed, "telecom", |_| withdraw(&first_proposal())),
    case(code::NOT_PROPOSER, "witness withdraws", World::proposed, "watch", |_| withdraw(&first_proposal())),
    case(code::DUPLICATE, "withdraw twice", withdrawn, "unicom", |_| withdraw(&first_proposal())),
    case(code::REJECTED, "withdraw what was rejected", rejected, "unicom", |_| withdraw(&first_proposal())),
    case(code::FINAL, "withdraw an agreement in force", World::agreed, "telecom", |_| withdraw(&Action::RegisterAgreement(agreement(1)))),

    // Rounds
    case(code::NOT_ORIGIN, "open another's round", World::ready, "unicom", |_| open(|_| {})),
    case(code::DUPLICATE, "open twice", World::sweeping, "telecom", |_| open(|_| {})),
    case(code::CONFLICT, "open differently", World::sweeping, "telecom", |_| open(|s| s.profile = Hash::ZERO)),
    case(code::ROUND_ORDER, "round 0", World::ready, "telecom", |_| open(|s| s.round = 0)),
    case(code::ROUND_ORDER, "round skipped", World::ready, "telecom", |_| open(|s| s.round = 1_000_001)),
    case(code::ROUND_OPEN, "previous round open", World::sweeping, "telecom", |_| open(|s| s.round = 1_000_001)),
    case(code::ROLE, "round of the tower company", World::ready, "tower", |_| open(|s| s.origin = "tower".into())),
    case(code::NOT_A_PARTY, "round of an outsider", World::ready, "mobile", |_| open(|s| s.origin = "mobile".into())),
    case(code::NOT_IN_FORCE, "no agreement", World::empty, "telecom", |_| open(|_| {})),
    case(code::NOT_IN_FORCE, "no policy set", World::agreed, "telecom", |_| open(|_| {})),
    case(code::NOT_IN_FORCE, "agreement version to come", World::ready, "telecom", |_| open(|s| s.agreement_version = 2)),
    case(code::NOT_IN_FORCE, "policy set version to come", World::ready, "telecom", |_| open(|s| s.policy_set_version = 2)),
    case(code::NOT_IN_FORCE, "inventory version to come", World::ready, "telecom", |_| open(|s| s.inventory_version = 2)),
    case(code::NOT_IN_FORCE, "no inventory", World::ready, "unicom", |_| open(|s| s.origin = "unicom".into())),

    // Attestations
    case(code::NOT_ORIGIN, "attest another's round", World::sweeping, "unicom", |_| attest(|_| {})),
    case(code::UNKNOWN_ROUND, "never opened", World::sweeping, "telecom", |_| attest(|s| s.round = 2)),
    case(code::DUPLICATE, "attest twice", attested, "telecom", |_| attest(|_| {})),
    case(code::CONFLICT, "attest differently", attested, "telecom", |_| attest(|s| s.attestation = Hash::ZERO)),
    case(code::COUNT, "not the inventory's", World::sweeping, "telecom", |_| attest(|s| { s.expected = 11; s.collected = 6 })),
    case(code::COUNT, "a station lost", World::sweeping, "telecom", |_| attest(|s| s.collected = 6)),
    case(code::COUNT, "overflow", World::sweeping, "telecom", |_| attest(|s| { s.collected = u64::MAX; s.failed = 11 })),
    case(code::LEAF, "leaf not anchored", World::sweeping, "telecom", |_| attest(|s| s.leaf_index = 3)),

    // Checkpoints
    case(code::NOT_ORIGIN, "anchor another's log", World::ready, "unicom", |w| anchoring(w, |_| {})),
    case(code::CHECKPOINT, "not a note", World::ready, "telecom", |w| anchoring(w, |s| s.checkpoint = "hello".into())),
    case(code::CHECKPOINT, "changed text", World::ready, "telecom", |w| anchoring(w, |s| s.checkpoint = s.checkpoint.replace("\n6\n", "\n7\n"))),
    case(code::CHECKPOINT, "a signature more", World::ready, "telecom", |w| anchoring(w, |s| { let line = s.checkpoint.lines().last().unwrap().to_owned(); s.checkpoint += &line; s.checkpoint += "\n" })),
    case(code::CHECKPOINT, "another member's log", World::ready, "telecom", |w| { let Action::AnchorCheckpoint(mut s) = w.clone().grow("unicom", 4) else { unreachable!() }; s.origin = "telecom".into(); Action::AnchorCheckpoint(s) }),
    case(code::OLD_SIZE, "swap from elsewhere", World::ready, "telecom", |w| anchoring(w, |s| s.old_size = 2)),
    case(code::OLD_SIZE, "swap as if first", World::ready, "telecom", |w| anchoring(w, |s| { s.old_size = 0; s.consistency.clear() })),
    case(code::SHRINKS, "smaller", World::ready, "telecom", |w| { let mut s = w.anchoring("telecom"); s.checkpoint = w.checkpoint("telecom", 2, w.logs["telecom"].root_at(2).unwrap()); Action::AnchorCheckpoint(s) }),
    case(code::FORK, "other root", World::ready, "telecom", |w| { let mut s = w.anchoring("telecom"); s.checkpoint = w.checkpoint("telecom", 3, Hash::ZERO); Action::AnchorCheckpoint(s) }),
    case(code::INCONSISTENT, "other history", World::ready, "telecom", |w| anchoring(w, |s| s.consistency.reverse())),
    case(code::INCONSISTENT, "no proof", World::ready, "telecom", |w| anchoring(w, |s| s.consistency.clear())),
    case(code::NO_PROGRESS, "nothing new", World::ready, "telecom", |w| Action::AnchorCheckpoint(w.anchoring("telecom"))),
    case(code::NO_PROGRESS, "same again after it was anchored", World::ready, "telecom", |w| { let mut s = w.anchoring("telecom"); s.old_size = 0; Action::AnchorCheckpoint(s) }),

    // Disputes
    case(code::FORM, "nameless dispute", attested, "unicom", |_| dispute_named("")),
    case(code::FORM, "dispute of a nameless origin", attested, "unicom", |_| dispute(|s| s.origin = "a/b".into())),
    case(code::FORM, "answer to a nameless dispute", disputed, "telecom", |_| Action::Respond(RespondStatement { id: "".into(), body: Hash::ZERO })),
    case(code::FORM, "end of a nameless dispute", disputed, "unicom", |_| Action::Resolve(ResolveStatement { id: "".into(), outcome: DisputeOutcome::Upheld })),
    case(code::DUPLICATE, "same dispute", disputed, "unicom", |_| dispute(|_| ())),
    case(code::CONFLICT, "another dispute of this id", disputed, "unicom", |_| dispute(|s| s.judgement = Hash::ZERO)),
    case(code::DISPUTE_ID, "same dispute by another", disputed, "telecom", |_| dispute(|_| ())),
    case(code::DISPUTE_ID, "another's dispute before it", attested, "telecom", |_| dispute(|_| ())),
    case(code::DISPUTE_ID, "dispute of any id", attested, "unicom", |_| dispute_named("D-1")),
    case(code::OWN_ROUND, "own round", attested, "telecom", |_| dispute_by("telecom", |_| ())),
    case(code::ROLE, "tower company disputes", attested, "tower", |_| dispute_by("tower", |_| ())),
    case(code::ROLE, "witness disputes", attested, "watch", |_| dispute_by("watch", |_| ())),
    case(code::NOT_A_PARTY, "outsider disputes", attested, "mobile", |_| dispute_by("mobile", |_| ())),
    case(code::UNKNOWN_MEMBER, "dispute of a stranger", attested, "unicom", |_| dispute(|s| s.origin = "vodacom".into())),
    case(code::UNKNOWN_ROUND, "dispute of a round never opened", attested, "unicom", |_| dispute(|s| s.round = 2)),
    case(code::ATTESTATION, "dispute before the attestation", World::sweeping, "unicom", |_| dispute(|_| ())),
    case(code::ATTESTATION, "dispute of another attestation", attested, "unicom", |_| dispute(|s| s.attestation = Hash::ZERO)),
    case(code::UNKNOWN_DISPUTE, "answer to nothing", attested, "telecom", |_| respond(b"answer")),
    case(code::NOT_CONCERNED, "answer by the disputer", disputed, "unicom", |_| respond(b"answer")),
    case(code::NOT_CONCERNED, "answer by the witness", disputed, "watch", |_| respond(b"answer")),
    case(code::DUPLICATE, "same answer", answered, "telecom", |_| respond(b"answer")),
    case(code::DECIDED, "another answer", answered, "telecom", |_| respond(b"other")),
    case(code::UNKNOWN_DISPUTE, "end of nothing", attested, "unicom", |_| resolve(DisputeOutcome::Withdrawn)),
    case(code::NOT_CONCERNED, "end by the accused", disputed, "telecom", |_| resolve(DisputeOutcome::Withdrawn)),
    case(code::DUPLICATE, "same end", resolved, "unicom", |_| resolve(DisputeOutcome::Upheld)),
    case(code::DECIDED, "another end", resolved, "unicom", |_| resolve(DisputeOutcome::Withdrawn)),

    // Evidence
    case(code::FORM, "evidence against nobody", World::ready, "watch", |w| fork(w, |s| s.origin = "".into())),
    case(code::FORM, "endless note", World::ready, "watch", |w| fork(w, |s| s.second = "x".repeat(8193))),
    case(code::UNKNOWN_MEMBER, "evidence against a stranger", World::ready, "watch", |w| fork(w, |s| s.origin = "vodacom".into())),
    case(code::CHECKPOINT, "evidence against another", World::ready, "watch", |w| fork(w, |s| s.origin = "unicom".into())),
    case(code::CHECKPOINT, "forged note", World::ready, "watch", |w| fork(w, |s| s.second = s.second.replace("\n5\n", "\n6\n"))),
    case(code::CHECKPOINT, "cosigned note", World::ready, "watch", |w| fork(w, |s| { let line = s.first.lines().last().unwrap().to_owned(); s.first += &line; s.first += "\n" })),
    case(code::NO_FORK, "one story twice", World::ready, "watch", |w| fork(w, |s| s.first = s.second.clone())),
    case(code::INCONSISTENT, "two sizes without a proof", World::ready, "watch", |w| fork(w, |s| s.second = w.checkpoint("telecom", 6, Hash::of(b"another")))),
    case(code::INCONSISTENT, "the larger first", World::ready, "watch", |w| fork(w, |s| s.first = w.checkpoint("telecom", 6, Hash::of(b"another")))),
    case(code::INCONSISTENT, "a root of nobody's", World::ready, "watch", |w| fork(w, |s| s.root = Hash::of(b"a third"))),
    case(code::FORM, "endless proof of a fork", World::ready, "watch", |w| fork(w, |s| s.consistency = vec![s.root; 129])),
    case(code::DUPLICATE, "evidence twice", forked, "unicom", |w| fork(w, |_| ())),
];

#[test]
fn each_refusal_has_its_code_and_no_effect_but_the_sequence_number() {
    for (code, what, state, member, action) in CASES {
        let mut world = state();
        let action = action(&world);
        let signed = world.sign(member, action);
        let execution = world.block(&[signed.encode()]);
        assert_eq!(answer(&execution.receipts[0]), refused(code), "{what}");
        let sequence = contract::key::sequence(&signed.transaction.sender);
        let changed: Vec<_> = execution.changes.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(changed, [sequence.as_bytes()], "{what}");
        assert!(execution.inadmissible.is_empty(), "{what}");
    }
}

#[test]
fn a_key_of_the_wrong_duty_is_refused() {
    let mut world = World::ready();
    for (duty, action) in [
        (Duty::Log, Action::RegisterAgreement(agreement(2))),
        (Duty::Log, approve(&first_proposal())),
        (Duty::Approval, Action::OpenRound(opening(1))),
        (Duty::Approval, Action::AttestRound(attestation(1))),
        (Duty::Approval, Action::AnchorCheckpoint(world.anchoring("telecom"))),
        (Duty::Approval, dispute(|_| ())),
        (Duty::Approval, fork(&world, |_| ())),
        (Duty::Log, respond(b"answer")),
        (Duty::Log, resolve(DisputeOutcome::Upheld)),
    ] {
        let signed = world.sign_with(&key("telecom", duty), action);
        assert_eq!(world.contract.check(&signed.encode()).unwrap_err().code, code::DUTY);
        assert_eq!(world.send(&signed), refused(code::DUTY));
    }
}

#[test]
fn every_code_of_the_table_is_shown_by_a_test() {
    let shown: BTreeSet<_> = CASES.iter().map(|case| case.0).chain([code::DUTY]).chain(SHOWN).collect();
    let all: BTreeSet<_> = code::TABLE.iter().map(|entry| entry.code).collect();
    assert_eq!(shown, all);
}
