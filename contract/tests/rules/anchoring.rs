//! Checkpoints: the log only grows, and every step is a swap from the last.

use anchor::transaction::Action;
use contract::code;

use crate::world::*;

#[test]
fn a_log_grows_by_proven_steps() {
    let mut world = World::empty();
    let mut size = 0;
    for step in [1, 1, 2, 3, 1, 8, 13] {
        size += step;
        let action = world.grow("telecom", step);
        world.accept("telecom", action);
        let head = world.contract.last_checkpoint("telecom").unwrap();
        assert_eq!((head.size, head.root), (size, world.logs["telecom"].root()));
        assert_eq!(head.at.height, world.height);
    }
}

#[test]
fn every_member_has_a_log_of_its_own_also_the_witness() {
    let mut world = World::empty();
    for (member, _) in MEMBERS {
        let action = world.grow(member, 2);
        world.accept(member, action);
    }
    let action = world.grow("watch", 5);
    world.accept("watch", action);
    assert_eq!(world.contract.last_checkpoint("watch").unwrap().size, 7);
    assert_eq!(world.contract.last_checkpoint("mobile").unwrap().size, 2);
}

#[test]
fn of_two_swaps_from_one_size_the_first_wins() {
    let mut world = World::ready();
    let Action::AnchorCheckpoint(first) = world.grow("telecom", 2) else { unreachable!() };
    let Action::AnchorCheckpoint(second) = world.grow("telecom", 2) else { unreachable!() };
    world.accept("telecom", Action::AnchorCheckpoint(first.clone()));
    assert_eq!(world.submit("telecom", Action::AnchorCheckpoint(second)), refused(code::OLD_SIZE));
    assert_eq!(world.submit("telecom", Action::AnchorCheckpoint(first)), refused(code::NO_PROGRESS));
    let again = Action::AnchorCheckpoint(world.anchoring("telecom"));
    world.accept("telecom", again);
}

#[test]
fn an_empty_log_is_no_progress_and_a_first_anchor_has_no_proof() {
    let mut world = World::empty();
    let empty = world.grow("telecom", 0);
    assert_eq!(world.submit("telecom", empty), refused(code::NO_PROGRESS));
    let Action::AnchorCheckpoint(mut first) = world.grow("telecom", 4) else { unreachable!() };
    first.consistency = vec![anchor::Hash::ZERO];
    assert_eq!(world.submit("telecom", Action::AnchorCheckpoint(first.clone())), refused(code::INCONSISTENT));
    first.consistency.clear();
    world.accept("telecom", Action::AnchorCheckpoint(first));
}
