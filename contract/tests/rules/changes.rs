//! Change requests from proposal to finality, and back.

use anchor::transaction::*;
use contract::{Status, code};

use crate::world::*;

fn proposal(world: &World) -> Action {
    Action::Propose(world.contract.change("CR-1").unwrap().statement)
}

#[test]
fn a_change_is_final_at_the_height_of_its_last_approval() {
    let mut world = World::proposed();
    let action = proposal(&world);
    let standing = |world: &World| world.contract.change("CR-1").unwrap().standing;
    assert_eq!(standing(&world).proposer, "unicom");
    world.accept("telecom", approve(&action));
    assert_eq!(standing(&world).status(), Status::Pending);
    world.accept("unicom", approve(&action));
    assert_eq!(standing(&world).status(), Status::Final);
    assert_eq!(standing(&world).finalized.unwrap().height, world.height);
    assert_eq!(world.contract.ids(SubjectKind::Change), ["CR-1"]);
}

#[test]
fn proposing_is_not_approving() {
    let mut world = World::proposed();
    let action = proposal(&world);
    world.accept("telecom", approve(&action));
    assert_eq!(world.contract.change("CR-1").unwrap().standing.finalized, None);
}

#[test]
fn one_rejection_is_the_end() {
    let mut world = World::proposed();
    let action = proposal(&world);
    world.accept("telecom", approve(&action));
    world.accept("unicom", decide(&action, Decision::Reject));
    let standing = world.contract.change("CR-1").unwrap().standing;
    assert_eq!((standing.status(), standing.finalized), (Status::Rejected, None));
    assert_eq!(standing.rejected.unwrap().height, world.height);
}

#[test]
fn a_final_change_can_be_withdrawn_and_both_heights_stay_known() {
    let mut world = World::proposed();
    let action = proposal(&world);
    world.accept("telecom", approve(&action));
    world.accept("unicom", approve(&action));
    let final_at = world.height;
    world.accept("unicom", withdraw(&action));
    let standing = world.contract.change("CR-1").unwrap().standing;
    assert_eq!(standing.status(), Status::Withdrawn);
    assert_eq!(standing.finalized.unwrap().height, final_at);
    assert_eq!(standing.withdrawn.unwrap().height, final_at + 1);
    assert!(!standing.in_force(final_at) && standing.in_force(final_at + 1));
    assert!(!standing.in_force(final_at + 2));
}

#[test]
fn the_last_moment_of_the_window_still_counts() {
    let mut world = World::proposed();
    let action = proposal(&world);
    let end = world.contract.change("CR-1").unwrap().statement.window_to;
    world.time = end - 1 - 1000;
    world.accept("telecom", approve(&action));
    world.time = end - 1000;
    assert_eq!(world.submit("unicom", approve(&action)), refused(code::WINDOW));
}

#[test]
fn more_parties_than_the_agreement_names_may_be_required() {
    let mut world = World::agreed();
    let mut statement = world.proposal("CR-1");
    statement.required = names(&PARTIES);
    let action = Action::Propose(statement);
    world.accept("telecom", action.clone());
    for party in PARTIES {
        world.accept(party, approve(&action));
    }
    assert!(world.contract.change("CR-1").unwrap().standing.finalized.is_some());
}
