//! The network between the members fails: one is cut off, two stand against two, packets are lost.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agent::cli::output::talk;

use crate::alone::alone;
use crate::load::Load;
use crate::network::Fault;
use crate::person::change_request;
use crate::seed;
use crate::world::{MEMBERS, TELECOM, TOWER, UNICOM, WITNESS, World};

/// Requests made final one after the other, without and with loss.
const REQUESTS: u32 = 20;

/// Longer than a heartbeat and many rounds of consensus: whoever makes no block in it makes none.
const STANDSTILL: Duration = Duration::from_secs(13);

#[test]
fn one_member_cut_off_stands_still_while_the_others_go_on_and_then_catches_up() {
    alone("partition::one_member_cut_off_stands_still_while_the_others_go_on_and_then_catches_up", || {
        let mut world = World::build(seed());
        for cut_off in [TOWER, WITNESS] {
            let others: Vec<usize> = (0..MEMBERS.len()).filter(|member| *member != cut_off).collect();
            let load = Load::start(&world);
            world.wait_for("load", || (load.approved() > 0).then_some(()));
            let fault = Fault::partition(&[cut_off], &others);
            // A block that was under way may still have come through.
            std::thread::sleep(Duration::from_secs(1));
            let stands = world.tip(cut_off);
            let (went, approved) = (world.tip(TELECOM), load.approved());
            world.wait_for("approvals without the one cut off", || {
                (load.approved() > approved + 2).then_some(())
            });
            assert!(world.tip(TELECOM) > went, "the others stand still");
            assert_eq!(world.tip(cut_off), stands, "{} went on alone", MEMBERS[cut_off]);
            world.check_chain();
            let dropped = fault.heal();
            assert!(dropped > 0, "nothing was cut off");
            let took = world.reach(cut_off, world.tip(TELECOM));
            load.stop(&world);
            world.check();
            talk(&format!(
                "{} was back {took:?} after the cut, which took {dropped} packets",
                MEMBERS[cut_off]
            ));
        }
    });
}

#[test]
fn two_against_two_halt_and_go_on_without_a_fork_when_they_meet_again() {
    alone("partition::two_against_two_halt_and_go_on_without_a_fork_when_they_meet_again", || {
        let mut world = World::build(seed());
        world.collect();
        let fault = Fault::partition(&[TELECOM, TOWER], &[UNICOM, WITNESS]);
        std::thread::sleep(Duration::from_secs(1));
        let stands = [0, 1, 2, 3].map(|member| world.tip(member));
        // Somebody on each side asks for something, and a round goes on without the chain.
        let mut people = [TELECOM, UNICOM].map(|member| {
            let mut person = world.person(member);
            let (action, ..) = change_request(&world.agreement, &format!("CR-halt-{}", MEMBERS[member]));
            let signed = person.sign(action);
            (person, signed)
        });
        std::thread::scope(|scope| {
            for (person, signed) in &mut people {
                let told_to_give_up = AtomicBool::new(true);
                scope.spawn(move || {
                    person.send(signed, &told_to_give_up).expect_err("final without a quorum")
                });
            }
            let round = world.collect();
            assert_eq!(round.opened, None, "a round was opened while the chain stood still");
            std::thread::sleep(STANDSTILL);
        });
        assert_eq!([0, 1, 2, 3].map(|member| world.tip(member)), stands, "somebody went on without a quorum");
        world.check_chain();
        let dropped = fault.heal();
        assert!(dropped > 0, "nothing was cut");
        let next = stands.into_iter().max().unwrap() + 1;
        let took = world.reach(UNICOM, next) + world.reach(TELECOM, next);
        // The same bytes, final once, whether they waited in a mempool or come again now.
        for (person, signed) in &mut people {
            person.send(signed, &AtomicBool::new(false)).unwrap();
            world.note(person);
        }
        world.finalize("CR-healed");
        let next = world.collect();
        assert!(next.opened.is_some(), "{next:?}");
        world.check();
        talk(&format!("two against two: {dropped} packets dropped, the next block {took:?} after"));
    });
}

#[test]
fn with_a_third_of_all_packets_lost_approvals_still_become_final() {
    alone("partition::with_a_third_of_all_packets_lost_approvals_still_become_final", || {
        let mut world = World::build(seed());
        world.finalize("CR-warm");
        let without: Duration = (0..REQUESTS).map(|n| world.finalize(&format!("CR-fine-{n}"))).sum();
        let fault = Fault::loss(30);
        let with: Duration = (0..REQUESTS).map(|n| world.finalize(&format!("CR-lossy-{n}"))).sum();
        world.collect();
        let dropped = fault.heal();
        assert!(dropped > 100, "{dropped} packets were lost");
        world.check();
        let (without, with) = (without / REQUESTS, with / REQUESTS);
        talk(&format!("{dropped} packets lost; {with:?} to finality instead of {without:?}"));
    });
}
