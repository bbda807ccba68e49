//! Agreements, policy sets, inventories: who must approve, and from when they hold.

use anchor::transaction::*;
use contract::{Status, code};

use crate::world::*;

fn status(world: &World, action: &Action) -> Status {
    world.contract.standing(&subject_of(action)).unwrap().status()
}

#[test]
fn an_agreement_is_in_force_one_height_after_the_last_approval() {
    let mut world = World::empty();
    let action = Action::RegisterAgreement(agreement(1));
    world.accept("unicom", action.clone());
    for party in ["telecom", "unicom"] {
        world.accept(party, approve(&action));
        assert_eq!(status(&world, &action), Status::Pending);
    }
    world.accept("tower", approve(&action));
    assert_eq!(status(&world, &action), Status::Final);
    let height = world.height;
    assert_eq!(world.contract.agreement_in_force("gd", height), None);
    let found = world.contract.agreement_in_force("gd", height + 1).unwrap();
    assert_eq!(found.statement, agreement(1));
    assert_eq!(found.standing.finalized.unwrap().height, height);

    let approvals = world.contract.approvals(&subject_of(&action));
    let members: Vec<_> = approvals.iter().map(|(member, _)| member.as_str()).collect();
    assert_eq!(members, PARTIES);
    assert_eq!(approvals[1].1.at.height, height);
}

#[test]
fn nothing_can_rest_on_an_agreement_in_the_block_of_its_last_approval() {
    let mut world = World::empty();
    let action = Action::RegisterAgreement(agreement(1));
    world.accept("telecom", action.clone());
    world.accept("telecom", approve(&action));
    world.accept("unicom", approve(&action));
    let last = world.sign("tower", approve(&action)).encode();
    let policies = world.sign("telecom", Action::RegisterPolicySet(policy_set(1))).encode();
    let receipts = world.block(&[last, policies]).receipts;
    assert_eq!(answer(&receipts[0]), Ok(()));
    assert_eq!(answer(&receipts[1]), refused(code::NOT_IN_FORCE));
    world.accept("telecom", Action::RegisterPolicySet(policy_set(1)));
}

#[test]
fn a_new_version_needs_those_it_writes_out_too() {
    let mut world = World::agreed();
    let mut without_unicom = agreement(2);
    without_unicom.parties = names(&["mobile", "telecom"]);
    without_unicom.change_approvers = names(&["telecom"]);
    let action = Action::RegisterAgreement(without_unicom);
    world.accept("telecom", action.clone());
    let standing = world.contract.standing(&subject_of(&action)).unwrap();
    assert_eq!(standing.required, ["mobile", "telecom", "tower", "unicom"]);
    for member in ["mobile", "telecom", "tower"] {
        world.accept(member, approve(&action));
    }
    assert_eq!(world.contract.agreement_in_force("gd", u64::MAX).unwrap().statement.version, 1);
    world.accept("unicom", decide(&action, Decision::Reject));
    assert_eq!(status(&world, &action), Status::Rejected);
}

#[test]
fn the_version_in_force_at_an_earlier_height_stays_known() {
    let mut world = World::agreed();
    let first = world.height + 1;
    world.adopt("tower", Action::RegisterAgreement(agreement(2)));
    let second = world.height + 1;
    world.accept("unicom", Action::RegisterAgreement(agreement(3)));
    world.adopt("telecom", Action::RegisterAgreement(agreement(4)));
    let fourth = world.height + 1;
    let at = |height| world.contract.agreement_in_force("gd", height).map(|found| found.statement.version);
    assert_eq!(at(first - 1), None);
    assert_eq!(at(first), Some(1));
    assert_eq!(at(second - 1), Some(1));
    assert_eq!(at(second), Some(2));
    assert_eq!(at(fourth - 1), Some(2));
    assert_eq!(at(fourth), Some(4));
    assert_eq!(world.contract.last_version(SubjectKind::Agreement, "gd"), 4);
}

#[test]
fn policy_set_and_inventory_need_all_parties_and_are_found_when_in_force() {
    let mut world = World::agreed();
    for action in [Action::RegisterPolicySet(policy_set(1)), Action::RegisterInventory(inventory(1))] {
        world.accept("tower", action.clone());
        assert_eq!(world.contract.standing(&subject_of(&action)).unwrap().required, PARTIES);
        for party in PARTIES {
            assert_eq!(status(&world, &action), Status::Pending);
            world.accept(party, approve(&action));
        }
        assert_eq!(status(&world, &action), Status::Final);
    }
    let next = world.height + 1;
    let sets = world.contract.policy_sets_in_force("gd", next);
    assert_eq!(sets.iter().map(|set| &set.statement).collect::<Vec<_>>(), [&policy_set(1)]);
    assert_eq!(world.contract.policy_sets_in_force("hn", next), []);
    let found = world.contract.inventory_in_force("gd", "telecom", next).unwrap();
    assert_eq!(found.statement, inventory(1));
    assert_eq!(world.contract.inventory_in_force("gd", "telecom", next - 1), None);
    assert_eq!(world.contract.ids(SubjectKind::Inventory), ["gd/telecom"]);
    assert_eq!(world.contract.ids(SubjectKind::PolicySet), ["core"]);
}

#[test]
fn what_waits_for_approvals_when_the_agreement_changes_must_be_proposed_anew() {
    let mut world = World::agreed();
    let policies = Action::RegisterPolicySet(policy_set(1));
    world.accept("telecom", policies.clone());
    world.adopt("telecom", Action::RegisterAgreement(agreement(2)));
    assert_eq!(world.submit("telecom", approve(&policies)), refused(code::SUPERSEDED));
    world.adopt("telecom", Action::RegisterPolicySet(policy_set(2)));
}

#[test]
fn a_policy_set_stays_with_its_agreement() {
    let mut world = World::ready();
    let mut other = agreement(1);
    other.id = "hn".into();
    world.adopt("telecom", Action::RegisterAgreement(other));
    let mut moved = policy_set(2);
    moved.agreement = "hn".into();
    assert_eq!(world.submit("telecom", Action::RegisterPolicySet(moved)), refused(code::CONFLICT));
}

#[test]
fn a_registration_is_withdrawn_only_while_it_waits() {
    let mut world = World::agreed();
    let action = Action::RegisterAgreement(agreement(2));
    world.accept("unicom", action.clone());
    world.accept("unicom", withdraw(&action));
    assert_eq!(status(&world, &action), Status::Withdrawn);
    assert_eq!(world.submit("telecom", approve(&action)), refused(code::WITHDRAWN));
    world.adopt("unicom", Action::RegisterAgreement(agreement(3)));
}
