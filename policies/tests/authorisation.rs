//! Each verdict on the smallest story that gives it.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "authorisation/progress.rs"]
mod progress;
mod support;

use model::change::{BaselineObject, ChangeKind, Standing, Upgrade};
use model::{Authorisation, AuthorisationVerdict, Value};
use ranproof_policies::GoneReason;
use support::*;

/// The verdict on the only edit.
fn verdict(world: &World) -> AuthorisationVerdict {
    let judgement = world.judge();
    assert_eq!(judgement.edits.len(), 1, "{judgement:?}");
    let verdict = judgement.edits[0].1.clone();
    assert_eq!(judgement.differences.is_empty(), verdict.authorisation.is_authorised(), "{judgement:?}");
    verdict
}

fn power(new: &str) -> World {
    World::new().set(CARRIER, POWER, new)
}

fn raise() -> model::RequestView {
    request("CR-7", vec![edit(CARRIER, POWER, "15", "20")])
}

fn authorisation(world: World) -> Authorisation {
    verdict(&world).authorisation
}

#[test]
fn the_approved_edit_in_its_window_is_exact_and_moves_the_approved_state() {
    let world = power("20").with([raise()]);
    let judgement = world.judge();
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Exact);
    assert_eq!(judgement.edits[0].1.request_height, Some(10));
    let advance = &judgement.advances[0];
    assert_eq!((advance.request.as_str(), advance.height), ("CR-7", 10));
}

#[test]
fn without_a_request_it_is_unapproved() {
    let verdict = verdict(&power("23"));
    assert_eq!(verdict.authorisation, Authorisation::Unapproved);
    assert_eq!(verdict.why.en, "No request approves 15→23.");
    assert_eq!(verdict.why.zh, "没有任何申请批准 15→23。");
}

#[test]
fn further_than_approved_is_exceeded_with_the_figures() {
    let verdict = verdict(&power("23").with([raise()]));
    assert_eq!(verdict.authorisation, Authorisation::Exceeded);
    assert_eq!(verdict.request.as_deref(), Some("CR-7"));
    assert!(
        verdict.why.en.starts_with("CR-7 has 15→20; observed 15→23, exceeds the approved value by 3;"),
        "{}",
        verdict.why.en
    );
    assert!(verdict.why.zh.contains("超出批准值 3"), "{}", verdict.why.zh);
    assert_eq!(authorisation(power("18").with([raise()])), Authorisation::Deviating);
}

#[test]
fn before_its_window_is_early_and_after_it_expired() {
    let mut early = raise();
    early.request.window.from = minute(150);
    assert_eq!(authorisation(power("20").with([early])), Authorisation::Early);
    let mut over = raise();
    over.request.window.to = minute(120);
    assert_eq!(authorisation(power("20").with([over])), Authorisation::Expired);
}

#[test]
fn an_approval_final_at_or_after_the_opening_is_late() {
    for height in [20, 25] {
        let mut late = raise();
        late.standing = Standing::Approved { height };
        assert_eq!(authorisation(power("20").with([late])), Authorisation::Late);
    }
}

#[test]
fn a_pending_request_authorises_nothing_and_is_told_of() {
    let mut pending = raise();
    pending.standing = Standing::Proposed { approved_by: vec![], missing: vec!["tower".into()] };
    pending.approved_by.clear();
    let verdict = verdict(&power("20").with([pending]));
    assert_eq!(verdict.authorisation, Authorisation::Unapproved);
    assert!(verdict.considered[0].why.en.contains("not yet approved, tower has not decided"), "{verdict:?}");
}

#[test]
fn an_approval_that_arrives_later_makes_it_late_and_never_allows_it() {
    let mut pending = raise();
    pending.standing = Standing::Proposed { approved_by: vec![], missing: vec!["tower".into()] };
    let mut world = power("20").with([pending]).next();
    world.requests[0].standing = Standing::Approved { height: 25 };
    let judgement = world.judge();
    assert!(judgement.edits.is_empty() && judgement.advances.is_empty());
    let difference = &judgement.differences[0];
    assert_eq!(difference.verdict.authorisation, Authorisation::Late);
    assert_eq!((difference.first_seen.round, difference.is_new), (7, false));
    assert_eq!(world.next().judge().differences[0].verdict.authorisation, Authorisation::Late);
}

#[test]
fn early_stays_early_when_the_window_opens() {
    let mut early = raise();
    early.request.window.from = minute(150);
    let world = power("20").with([early]).next();
    let judgement = world.judge();
    assert_eq!(judgement.differences[0].verdict.authorisation, Authorisation::Early);
    assert_eq!(judgement.differences[0].first_seen.round, 7);
}

#[test]
fn a_withdrawn_request_counts_only_for_what_was_seen_before() {
    let mut withdrawn = raise();
    withdrawn.standing = Standing::Withdrawn { height: 15, approved: Some(10) };
    assert_eq!(authorisation(power("20").with([withdrawn.clone()])), Authorisation::Expired);
    withdrawn.standing = Standing::Withdrawn { height: 21, approved: Some(10) };
    assert_eq!(authorisation(power("20").with([withdrawn])), Authorisation::Exact);
}

#[test]
fn another_old_value_is_stale() {
    let stale = request("CR-8", vec![edit(CARRIER, POWER, "12", "20")]);
    assert_eq!(authorisation(power("20").with([stale])), Authorisation::Stale);
}

#[test]
fn the_same_edit_approved_for_another_object_is_wrong_object() {
    let other = request("CR-9", vec![edit(OTHER_CARRIER, POWER, "15", "20")]);
    let verdict = verdict(&power("20").with([other]));
    assert_eq!(verdict.authorisation, Authorisation::WrongObject);
    assert!(verdict.why.en.contains("NRSectorCarrier=2"));
}

#[test]
fn a_master_operator_has_no_right_over_the_other_s_cell() {
    let locked = || World::new().set(UNICOM_CELL, "administrativeState", "LOCKED");
    let verdict = verdict(&locked());
    assert_eq!(verdict.authorisation, Authorisation::NoRight);
    assert_eq!(
        verdict.why.en,
        "telecom, which alone reaches the station, may not change NROperatorCellDU.administrativeState here; unicom may."
    );
    // Its owner's approved request makes it exact; telecom's own does not count.
    let lock = || request("CR-1", vec![edit(UNICOM_CELL, "administrativeState", "UNLOCKED", "LOCKED")]);
    let mut by_owner = lock();
    by_owner.request.proposer = "unicom".into();
    assert_eq!(authorisation(locked().with([by_owner])), Authorisation::Exact);
    assert_eq!(authorisation(locked().with([lock()])), Authorisation::NoRight);
}

#[test]
fn whoever_may_change_without_asking_does_so_by_right() {
    let world = World::new().set(CELL, "userLabel", "b");
    assert_eq!(verdict(&world).authorisation, Authorisation::ByRight);
    assert_eq!(world.judge().advances[0].request, ranproof_policies::BY_RIGHT);
}

#[test]
fn a_standing_permission_is_bounded_by_range_and_rate() {
    assert_eq!(authorisation(World::new().set(CARRIER, "sleep", "3")), Authorisation::Standing);
    let beyond = verdict(&World::new().set(CARRIER, "sleep", "4"));
    assert_eq!(beyond.authorisation, Authorisation::Unapproved);
    assert!(beyond.considered[0].why.en.contains("allows 0..3, observed 4"));
    let mut often = World::new().set(CARRIER, "sleep", "3");
    often.recent.insert((dn(CARRIER), "sleep".into()), 2);
    assert_eq!(authorisation(often), Authorisation::Unapproved);
}

#[test]
fn without_an_opening_the_order_cannot_be_shown() {
    let mut world = power("20").with([raise()]);
    world.sighting.opened = None;
    let verdict = verdict(&world);
    assert_eq!(verdict.authorisation, Authorisation::Undetermined);
    assert!(verdict.why.en.contains("not opened on chain"));
}

#[test]
fn a_value_that_the_read_before_already_had_has_no_known_order() {
    let mut world = power("20").with([raise()]);
    world.previous = world.current.clone();
    let judgement = world.judge();
    assert_eq!(judgement.differences[0].verdict.authorisation, Authorisation::Undetermined);
}

#[test]
fn back_to_the_approved_value_is_restored_and_the_difference_gone() {
    let world = power("23").next().set(CARRIER, POWER, "15");
    let judgement = world.judge();
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Restored);
    assert_eq!(judgement.edits[0].1.request.as_deref(), Some("BL-1"));
    assert_eq!(judgement.gone[0].reason, GoneReason::Restored);
    assert_eq!(judgement.gone[0].why.en, "The value is the approved 15 again.");
    assert!(judgement.differences.is_empty());
}

#[test]
fn changed_again_it_is_judged_anew() {
    let world = power("23").next().set(CARRIER, POWER, "20").with([raise()]);
    let judgement = world.judge();
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Exact);
    assert_eq!(judgement.gone[0].reason, GoneReason::Advanced);
    let judgement = power("23").next().set(CARRIER, POWER, "24").judge();
    assert!(judgement.differences[0].is_new);
    assert_eq!(judgement.differences[0].first_seen.round, 8);
}

#[test]
fn an_approval_lacking_a_required_one_does_not_count() {
    let mut partial = raise();
    partial.approved_by = vec!["telecom".into(), "unicom".into()];
    let verdict = verdict(&power("20").with([partial]));
    assert_eq!(verdict.authorisation, Authorisation::Unapproved);
    assert!(verdict.considered[0].why.en.contains("needs the approval of tower too"), "{verdict:?}");
}

#[test]
fn an_approval_counts_once() {
    let back = request("CR-8", vec![edit(CARRIER, POWER, "20", "15")]);
    let world = power("20").with([raise(), back]).next().set(CARRIER, POWER, "15");
    assert_eq!(authorisation_of_only_edit(&world), Authorisation::Exact);
    let world = world.next().set(CARRIER, POWER, "20");
    let verdict = verdict(&world);
    assert_eq!(verdict.authorisation, Authorisation::Stale);
    assert!(verdict.why.en.contains("an approval counts once"), "{}", verdict.why.en);
}

fn authorisation_of_only_edit(world: &World) -> Authorisation {
    verdict(world).authorisation
}

#[test]
fn roll_back_is_approved_with_the_change_and_only_after_it() {
    let mut with_rollback = raise();
    with_rollback.request.rollback = true;
    let world = power("20").with([with_rollback.clone()]).next().set(CARRIER, POWER, "15");
    assert_eq!(authorisation_of_only_edit(&world), Authorisation::Exact);
    // Tried again in the same window.
    let world = world.next().set(CARRIER, POWER, "20");
    assert_eq!(authorisation_of_only_edit(&world), Authorisation::Exact);
    // Without it, going back is a change like any other.
    let world = power("20").with([raise()]).next().set(CARRIER, POWER, "15");
    assert!(!authorisation_of_only_edit(&world).is_authorised());
    // The value came from somewhere else: nothing to roll back.
    let mut elsewhere = request("CR-7", vec![edit(CARRIER, POWER, "10", "15")]);
    elsewhere.request.rollback = true;
    assert_eq!(authorisation(power("10").with([elsewhere])), Authorisation::Stale);
}

#[test]
fn an_emergency_is_flagged_and_then_ratified() {
    let world = power("20").next();
    assert_eq!(world.judge().differences[0].verdict.authorisation, Authorisation::Unapproved);
    let mut emergency = raise();
    emergency.request.kind = ChangeKind::Emergency;
    emergency.standing = Standing::Approved { height: 25 };
    let judgement = world.with([emergency]).judge();
    assert!(judgement.differences.is_empty());
    assert_eq!(judgement.advances[0].why.en, "CR-7 ratified 15→20 at height 25.");
    assert_eq!(judgement.gone[0].reason, GoneReason::Advanced);
}

#[test]
fn a_later_baseline_ratifies_and_an_older_one_does_not() {
    let baseline = |height| {
        let mut baseline = request("BL-2", vec![]);
        baseline.request.kind = ChangeKind::Baseline;
        let attributes = [(POWER.to_owned(), Value::from("20"))].into();
        baseline.request.baseline = vec![BaselineObject { object: dn(CARRIER), attributes }];
        baseline.standing = Standing::Approved { height };
        baseline
    };
    let judgement = power("20").next().with([baseline(25)]).judge();
    assert!(judgement.differences.is_empty());
    assert_eq!(judgement.advances[0].request, "BL-2");
    let judgement = power("20").next().with([baseline(12)]).judge();
    assert_eq!(judgement.differences.len(), 1);
}

#[test]
fn a_deleted_object_is_one_difference() {
    let mut world = World::new();
    world.current.remove(OTHER_CARRIER);
    let judgement = world.judge();
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Unapproved);
    assert_eq!(judgement.differences[0].edit.attribute, model::OBJECT);
    let mut delete = request("CR-3", vec![edit(OTHER_CARRIER, model::OBJECT, "", "")]);
    let fields = [(POWER.to_owned(), Value::from("15")), ("sleep".to_owned(), Value::from("0"))];
    delete.request.edits[0].old = Some(Value::Fields(fields.into()));
    assert_eq!(authorisation(world.with([delete])), Authorisation::Exact);
}

#[test]
fn creating_an_object_needs_the_rights_over_all_it_holds() {
    let mut world = World::new();
    world.agreement.rights.insert(
        0,
        serde_json::from_value(serde_json::json!({
            "attributes": ["NRSectorCarrier.@object"], "change": ["mop"], "approve": []
        }))
        .unwrap(),
    );
    let world = world.set("SubNetwork=bj,ManagedElement=g1,NRSectorCarrier=3", POWER, "99");
    assert_eq!(authorisation(world), Authorisation::Unapproved);
}

#[test]
fn an_upgrade_sets_its_class_of_attributes_but_nothing_common() {
    let upgrade = || {
        let mut upgrade = request("UP-1", vec![]);
        upgrade.request.kind = ChangeKind::Upgrade;
        let attributes = ["NRCellDU.tuning", "NRCellDU.nRPCI"].map(|p| p.parse().unwrap()).to_vec();
        upgrade.request.upgrade = Some(Upgrade { from: "5.1".into(), to: "5.2".into(), attributes });
        upgrade
    };
    let upgraded = World::new().set(STATION, "swVersion", "5.2").set(CELL, "tuning", "2");
    let judgement = upgraded.with([upgrade()]).judge();
    assert!(judgement.differences.is_empty(), "{judgement:?}");
    let common = World::new().set(STATION, "swVersion", "5.2").set(CELL, "nRPCI", "9");
    let judgement = common.with([upgrade()]).judge();
    assert_eq!(judgement.differences.len(), 1);
    assert!(judgement.differences[0].verdict.considered[0].why.en.contains("judged singly"));
    // The old software still runs: the class does not count yet.
    assert!(!authorisation(World::new().set(CELL, "tuning", "2").with([upgrade()])).is_authorised());
}

#[test]
fn a_station_without_a_baseline_is_unbaselined() {
    let mut world = power("20");
    world.state = Some(model::ApprovedState::default());
    let judgement = world.judge();
    assert!(judgement.unbaselined && judgement.differences.is_empty());
    assert_eq!(judgement.edits[0].1.authorisation, Authorisation::Unbaselined);
}
