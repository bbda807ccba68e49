//! Members that are wrong or lie, with their own keys, in their own place on the network: a clock an hour off, blocks
//! that do not hold, one key in two places, everything heard said again, a flood, a log that tells two stories.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agent::api::types::ChainInfo;
use agent::cli::output::talk;
use agent::federation::{EquivocationView, NodeRefused};
use arc_malachitebft_network::Channel;
use store::ForkKind;

use crate::alone::alone;
use crate::impostor::{Crooked, Impostor, Parrot};
use crate::load::Load;
use crate::mallory;
use crate::seed;
use crate::twofaced::TwoFaced;
use crate::world::{MEMBERS, TELECOM, TOWER, UNICOM, WITNESS, World};

/// Proposers take turns, so that within so many heights each had one.
const HEIGHTS: u32 = 12;

/// Longest wait for a transaction beside a flood.
const BESIDE_A_FLOOD: Duration = Duration::from_secs(10);

impl World {
    pub fn chain(&self, member: usize) -> ChainInfo {
        self.client(member).get("/api/v1/chain").unwrap()
    }

    fn node_refused(&self, member: usize) -> NodeRefused {
        self.chain(member).federation.node_refused
    }

    /// Heights one after the other until `enough`; each transaction is final before the next is sent.
    fn finalize_until(&self, name: &str, enough: impl Fn(u32) -> bool) -> u32 {
        let begun = Instant::now();
        for n in 0.. {
            self.finalize(&format!("CR-{name}-{n}"));
            if n + 1 >= HEIGHTS && enough(n) {
                return n + 1;
            }
            assert!(begun.elapsed() < crate::world::PATIENCE, "not so: {name}\n{}", self.last_words());
        }
        unreachable!("it would have given up")
    }
}

#[test]
fn an_agent_whose_clock_is_an_hour_off_holds_up_and_misleads_nobody() {
    alone("traitor::an_agent_whose_clock_is_an_hour_off_holds_up_and_misleads_nobody", || {
        let mut world = World::build(seed());
        world.kill(TOWER);
        world.start_with_clock(TOWER, "+3600s");
        let latest = agent::clock::now().plus_millis(1_800_000);
        let load = Load::start(&world);
        world.wait_for("load", || (load.approved() > 2 && load.rounds() > 0).then_some(()));
        load.stop(&world);
        world.finalize_until("hour", |_| world.node_refused(TELECOM).blocks > 0);
        // It is seen, by whom it concerns and by itself.
        let nodes = world.chain(TELECOM).federation.nodes;
        let tower = nodes.iter().find(|node| node.member == MEMBERS[TOWER]).unwrap();
        let difference = tower.clock_difference_ms.unwrap();
        assert!((3_590_000..3_610_000).contains(&difference), "its clock differs by {difference} ms");
        assert!(world.node_refused(TOWER).blocks > 0, "it agreed to the others' time");
        for (height, time) in world.block_times(TELECOM) {
            assert!(time < latest, "block {height} is from the future");
        }
        // It knows what the others have made final, all the same.
        world.reach(TOWER, world.tip(TELECOM));
        world.check_chain();
        world.kill(TOWER);
        world.start(TOWER);
        world.finalize("CR-right-time");
        world.check();
        talk(&format!("tower's clock was {difference} ms off"));
    });
}

#[test]
fn a_validator_that_proposes_invalid_blocks_gets_no_vote_for_them() {
    alone("traitor::a_validator_that_proposes_invalid_blocks_gets_no_vote_for_them", || {
        let mut world = World::build(seed());
        world.kill(TOWER);
        let (crooked, lies) = Crooked::of(&world);
        let impostor = Impostor::start(&world, TOWER, crooked);
        let others = [TELECOM, UNICOM, WITNESS];
        let heights = world.finalize_until("crooked", |_| {
            lies.load(Ordering::Relaxed) > 1 && others.iter().all(|m| world.node_refused(*m).blocks > 0)
        });
        let refused = others.map(|member| world.node_refused(member).blocks);
        world.check_chain();
        impostor.stop();
        world.start(TOWER);
        world.finalize("CR-straight");
        world.check();
        let lies = lies.load(Ordering::Relaxed);
        talk(&format!("{lies} invalid blocks proposed in {heights} heights, refused {refused:?}"));
    });
}

#[test]
fn a_key_that_votes_in_two_places_is_seen_and_nothing_forks() {
    alone("traitor::a_key_that_votes_in_two_places_is_seen_and_nothing_forks", || {
        let mut world = World::build(seed());
        // The witness lends its place: tower's agent goes on beside its double.
        world.kill(WITNESS);
        let double = Impostor::start_double(&world, TOWER, WITNESS);
        let is_vote = |e: &EquivocationView| e.what.contains("prevote") || e.what.contains("precommit");
        let seen = |member: usize| world.chain(member).federation.equivocations;
        let heights = world
            .finalize_until("double", |_| [TELECOM, UNICOM].into_iter().flat_map(&seen).any(|e| is_vote(&e)));
        let seen = [seen(TELECOM), seen(UNICOM)].concat();
        assert!(seen.iter().all(|e| e.member == MEMBERS[TOWER]), "{seen:?}");
        world.check_chain();
        double.stop();
        world.start(WITNESS);
        world.finalize("CR-single");
        world.check();
        talk(&format!("seen in {heights} heights: {}", seen.iter().find(|e| is_vote(e)).unwrap().what));
    });
}

#[test]
fn everything_heard_said_again_changes_nothing() {
    alone("traitor::everything_heard_said_again_changes_nothing", || {
        let mut world = World::build(seed());
        world.kill(WITNESS);
        let parrot = Parrot::start(&world, WITNESS);
        world.collect();
        for n in 0..HEIGHTS {
            world.finalize(&format!("CR-heard-{n}"));
        }
        let (votes, parts) = (parrot.heard(Channel::Consensus), parrot.heard(Channel::ProposalParts));
        assert!(votes.len() > 50 && parts.len() > 30, "heard {} votes, {} parts", votes.len(), parts.len());
        let before = [TELECOM, UNICOM, TOWER].map(|member| world.node_refused(member));
        for n in 0..3 {
            parrot.publish(Channel::Consensus, &votes);
            parrot.publish(Channel::ProposalParts, &parts);
            world.finalize(&format!("CR-beside-{n}"));
        }
        for (member, before) in [TELECOM, UNICOM, TOWER].into_iter().zip(before) {
            world.wait_for("replays that came", || {
                let now = world.node_refused(member);
                (now.repeated > before.repeated && now.proposals > before.proposals).then_some(())
            });
            assert_eq!(world.chain(member).federation.equivocations, [], "a vote said twice is one vote");
        }
        world.check_chain();
        parrot.stop();
        world.start(WITNESS);
        world.finalize("CR-silence");
        world.check();
        talk(&format!("{} votes and {} parts said again three times", votes.len(), parts.len()));
    });
}

#[test]
fn a_member_that_floods_is_cut_off_and_the_others_get_their_turn() {
    alone("traitor::a_member_that_floods_is_cut_off_and_the_others_get_their_turn", || {
        let mut world = World::build(seed());
        world.kill(WITNESS);
        let parrot = Parrot::start(&world, WITNESS);
        let mut slowest = Duration::ZERO;
        for batch in 0..200u32 {
            let junk = |n: u32| [&b"junk"[..], &batch.to_be_bytes(), &n.to_be_bytes()].concat();
            let junk: Vec<_> = (0..256).map(junk).collect();
            parrot.publish(Channel::ProposalParts, &[mallory::transactions(&junk).into()]);
            if batch % 50 == 25 {
                slowest = slowest.max(world.finalize(&format!("CR-flood-{batch}")));
            }
        }
        for member in [TELECOM, UNICOM, TOWER] {
            world.wait_for("flood that is cut off", || {
                let refused = world.node_refused(member);
                (refused.flooded > 20_000 && refused.transactions > 1_000).then_some(())
            });
            world.wait_for("none of it waits", || (world.chain(member).pending == 0).then_some(()));
        }
        assert!(slowest < BESIDE_A_FLOOD, "a transaction took {slowest:?} beside the flood");
        world.check_chain();
        parrot.stop();
        world.start(WITNESS);
        world.finalize("CR-ebb");
        world.check();
        talk(&format!("51200 transactions of junk; the slowest honest request took {slowest:?}"));
    });
}

/// Telecom signs another beginning of its log than what it anchored, of a size between two anchored ones. Returns the size
/// at which everybody has it on the chain.
fn shows_a_size_that_was_never_anchored(world: &mut World) -> u64 {
    let head = world.vouched(TOWER, TELECOM).expect("tower has cosigned telecom's log");
    let size = head.size - 1;
    world.kill(TELECOM);
    let liar = TwoFaced::start(world, TELECOM, size);
    let judges = [UNICOM, TOWER, WITNESS];
    for member in judges {
        world.wait_for("evidence against telecom", || {
            let evidence = world.chain(member).federation.evidence;
            evidence.iter().any(|e| e.origin == MEMBERS[TELECOM] && e.size == size).then_some(())
        });
    }
    // Whoever handed it in had to prove it from the leaves; the others may not have asked for the checkpoint yet.
    let forks = judges.map(|member| world.forks(member, TELECOM)).concat();
    assert!(!forks.is_empty(), "nobody has it on record");
    assert!(forks.iter().all(|fork| (fork.kind, fork.size) == (ForkKind::Prefix, size)), "{forks:?}");
    assert!(liar.asked() > 0, "nobody asked for the checkpoint");
    liar.stop();
    world.start(TELECOM);
    world.convicted.insert(MEMBERS[TELECOM]);
    size
}

#[test]
fn a_log_that_shows_two_stories_is_convicted_and_never_cosigned_again() {
    alone("traitor::a_log_that_shows_two_stories_is_convicted_and_never_cosigned_again", || {
        let mut world = World::build(seed());
        // Unicom's judgement of it is the first leaf of Unicom's log.
        world.collect();
        world.check();
        let head = world.vouched(TOWER, UNICOM).expect("tower has cosigned unicom's log");
        world.kill(UNICOM);
        let liar = TwoFaced::start(&world, UNICOM, head.size);
        let judges = [TELECOM, TOWER, WITNESS];
        for member in judges {
            world.wait_for("evidence against unicom", || {
                let evidence = world.chain(member).federation.evidence;
                evidence.iter().any(|e| e.origin == MEMBERS[UNICOM] && e.size == head.size).then_some(())
            });
        }
        assert!(liar.asked() > 0, "nobody asked for the checkpoint");
        liar.stop();
        world.start(UNICOM);
        let unanchored = shows_a_size_that_was_never_anchored(&mut world);
        world.convicted.insert(MEMBERS[UNICOM]);
        world.collect();
        world.check();
        let grown = world.chain(TELECOM).logs.into_iter().find(|log| log.origin == MEMBERS[UNICOM]).unwrap();
        assert!(grown.size > head.size, "unicom's log has not grown since");
        for member in judges {
            let vouched = world.vouched(member, UNICOM).map_or(0, |head| head.size);
            assert!(vouched <= head.size, "{} cosigns a convicted log at {vouched}", MEMBERS[member]);
        }
        talk(&format!(
            "unicom's log was convicted at {} leaves and has {} now, telecom's at {unanchored} of more",
            head.size, grown.size
        ));
    });
}
