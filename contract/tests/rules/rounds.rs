//! Rounds: opened on what is in force, attested once, missed on record.

use anchor::transaction::*;
use contract::code;

use crate::world::*;

#[test]
fn a_round_is_opened_attested_and_followed_by_the_next() {
    let mut world = World::sweeping();
    let opened = world.contract.round("telecom", 1).unwrap().opening;
    assert_eq!(opened.at.height, world.height);
    assert_eq!(opened.deadline, world.time + ATTEST_WITHIN);
    assert_eq!(opened.expected, STATIONS);
    assert_eq!(world.contract.open_round("telecom"), Some(1));

    world.accept("telecom", Action::AttestRound(attestation(1)));
    let state = world.contract.round("telecom", 1).unwrap();
    assert!(!state.attestation.unwrap().late);
    assert_eq!(state.missed, None);
    assert_eq!(world.contract.open_round("telecom"), None);
    assert_eq!(world.contract.last_round("telecom"), 1);
    world.accept("telecom", Action::OpenRound(opening(2)));
}

#[test]
fn the_deadline_itself_is_still_in_time() {
    let mut world = World::sweeping();
    world.time += ATTEST_WITHIN - 1000;
    world.accept("telecom", Action::AttestRound(attestation(1)));
    let state = world.contract.round("telecom", 1).unwrap();
    assert_eq!((state.attestation.unwrap().late, state.missed), (false, None));
}

#[test]
fn the_first_block_past_the_deadline_records_the_missed_round() {
    let mut world = World::sweeping();
    let deadline = world.contract.round("telecom", 1).unwrap().opening.deadline;
    world.time = deadline - 1000;
    assert_eq!(world.block(&[]).missed, []);
    world.time = deadline - 999;
    let execution = world.block(&[]);
    assert_eq!(execution.missed, [("telecom".to_owned(), 1)]);
    let missed = world.contract.missed_rounds("telecom");
    assert_eq!(missed.len(), 1);
    assert_eq!((missed[0].0, missed[0].1.at.height, missed[0].1.deadline), (1, world.height, deadline));

    let execution = world.block(&[]);
    assert!(execution.missed.is_empty() && execution.changes.is_empty());
}

#[test]
fn a_late_attestation_is_taken_and_the_round_stays_missed() {
    let mut world = World::sweeping();
    world.time += ATTEST_WITHIN;
    let all_skipped =
        AttestRoundStatement { collected: 0, unchanged: 0, failed: 0, skipped: STATIONS, ..attestation(1) };
    world.accept("telecom", Action::AttestRound(all_skipped));
    let state = world.contract.round("telecom", 1).unwrap();
    assert!(state.attestation.unwrap().late);
    assert_eq!(state.missed.unwrap().at.height, world.height);
}

#[test]
fn after_a_missed_round_the_next_can_open_and_the_missed_one_be_attested() {
    let mut world = World::sweeping();
    world.time += ATTEST_WITHIN;
    world.accept("telecom", Action::OpenRound(opening(2)));
    assert_eq!(world.contract.open_round("telecom"), Some(2));
    world.accept("telecom", Action::AttestRound(attestation(1)));
    assert_eq!(world.contract.open_round("telecom"), Some(2), "attesting round 1 leaves round 2 open");
    world.accept("telecom", Action::AttestRound(attestation(2)));
    assert_eq!(world.contract.open_round("telecom"), None);
    assert_eq!(world.contract.missed_rounds("telecom").len(), 1);
}

#[test]
fn a_round_is_judged_by_what_was_in_force_when_it_opened() {
    let mut world = World::sweeping();
    let mut larger = inventory(2);
    larger.count = 20;
    world.adopt("telecom", Action::RegisterInventory(larger));
    world.accept("telecom", Action::AttestRound(attestation(1)));
    assert_eq!(world.submit("telecom", Action::OpenRound(opening(2))), refused(code::NOT_IN_FORCE));
    let second = OpenRoundStatement { inventory_version: 2, ..opening(2) };
    world.accept("telecom", Action::OpenRound(second));
    assert_eq!(world.submit("telecom", Action::AttestRound(attestation(2))), refused(code::COUNT));
}

#[test]
fn a_policy_set_of_another_agreement_is_not_in_force_here() {
    let mut world = World::ready();
    let mut other = agreement(1);
    other.id = "hn".into();
    world.adopt("telecom", Action::RegisterAgreement(other));
    let foreign = PolicySetStatement { agreement: "hn".into(), id: "hn-core".into(), ..policy_set(1) };
    world.adopt("telecom", Action::RegisterPolicySet(foreign));
    let statement = OpenRoundStatement { policy_set: "hn-core".into(), ..opening(1) };
    assert_eq!(world.submit("telecom", Action::OpenRound(statement)), refused(code::NOT_IN_FORCE));
}
