//! `kill -9` of each member's agent at seeded instants, while people approve and rounds run.

use std::time::{Duration, Instant};

use agent::cli::output::talk;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::alone::alone;
use crate::load::Load;
use crate::seed;
use crate::world::{MEMBERS, TELECOM, UNICOM, World};

/// For all members together: each is killed at 20 instants, with `RANPROOF_LONG` at 50. Each instant follows from a seed of its
/// own, so that `RANPROOF_LONG` plays 200 seeds, and `RANPROOF_SEED` with `RANPROOF_KILLS=1` repeats one of them.
fn instants() -> usize {
    match std::env::var("RANPROOF_KILLS") {
        Ok(text) => text.parse().expect("RANPROOF_KILLS is a number"),
        Err(_) if std::env::var_os("RANPROOF_LONG").is_some() => 200,
        Err(_) => 80,
    }
}

/// One kill: whom, how long after the last was back, and how long it stays away.
#[derive(Debug)]
struct Kill {
    seed: u64,
    member: usize,
    after: Duration,
    away: Duration,
}

fn kill(seed: u64) -> Kill {
    let mut rng = StdRng::seed_from_u64(seed);
    let after = Duration::from_millis(rng.random_range(0..1_000));
    // Mostly as a supervisor does it, sometimes long enough for the others to go on without.
    let away = if rng.random_range(0..4) == 0 { rng.random_range(1_000..3_000) } else { 0 };
    // Four seeds in a row are all four members.
    let member = usize::try_from(seed % MEMBERS.len() as u64).unwrap();
    Kill { seed, member, after, away: Duration::from_millis(away) }
}

fn plan(seed: u64) -> Vec<Kill> {
    let mut plan: Vec<_> = (seed..).take(instants()).map(kill).collect();
    plan.shuffle(&mut StdRng::seed_from_u64(seed));
    plan
}

/// What came of all kills together.
#[derive(Default)]
struct Total {
    kills: [usize; 4],
    /// How often one hit an agent at work for people or a round.
    busy: [u32; 4],
    slowest: Duration,
    approved: u64,
    rounds: u64,
    retries: u64,
}

#[test]
fn members_killed_at_seeded_instants_lose_and_double_nothing() {
    alone("kill::members_killed_at_seeded_instants_lose_and_double_nothing", || {
        let seed = seed();
        let mut world = World::build(seed);
        let mut total = Total::default();
        for Kill { seed, member, after, away } in plan(seed) {
            talk(&format!("RANPROOF_SEED={seed} RANPROOF_KILLS=1: {} after {after:?}", MEMBERS[member]));
            let load = Load::start(&world);
            std::thread::sleep(after);
            total.busy[member] += u32::from(load.is_busy(member));
            world.kill(member);
            total.kills[member] += 1;
            std::thread::sleep(away);
            let begun = Instant::now();
            world.start(member);
            // Whatever the others have finalized meanwhile, it gets.
            let newest = (0..MEMBERS.len()).map(|other| world.tip(other)).max().unwrap();
            world.reach(member, newest);
            total.slowest = total.slowest.max(begun.elapsed());
            total.approved += load.approved();
            total.rounds += load.rounds();
            total.retries += load.stop(&world);
            // What a schedule would do next: a round that the kill left open is the first to go on.
            world.collect();
            world.check();
        }
        let Total { kills, busy, slowest, approved, rounds, retries } = total;
        talk(&format!(
            "killed {kills:?}, {busy:?} times at work; slowest return {slowest:?}; {approved} requests approved and \
             {rounds} rounds run meanwhile, {retries} tries failed"
        ));
        assert_eq!(kills.iter().sum::<usize>(), instants());
        if instants() < 80 {
            return;
        }
        assert_eq!(kills, [instants() / MEMBERS.len(); 4]);
        // The tower company and the witness work only for the chain.
        assert!(busy[TELECOM] > 0 && busy[UNICOM] > 0, "no kill hit an agent at work: {busy:?}");
        assert!(retries > 0, "nobody noticed a kill");
        assert!(approved > 0 && rounds > 0, "the load came to nothing");
    });
}

#[test]
fn all_members_killed_at_once_go_on_where_they_were() {
    alone("kill::all_members_killed_at_once_go_on_where_they_were", || {
        let mut world = World::build(seed());
        let load = Load::start(&world);
        world.wait_for("load", || (load.approved() > 2).then_some(()));
        let before = world.tip(0);
        for member in 0..MEMBERS.len() {
            world.kill(member);
        }
        world.start_all();
        let approved = load.approved();
        world.wait_for("approvals after the restart", || (load.approved() > approved + 2).then_some(()));
        let retries = load.stop(&world);
        assert!(retries > 0, "nobody noticed the kill");
        assert!(world.tip(0) > before);
        world.check();
        // The same once more, as their members would do it.
        world.stop_all();
        world.start_all();
        world.finalize("CR-after-stop");
        world.check();
    });
}
