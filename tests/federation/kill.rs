//! `kill -9` of each member's agent at seeded instants, while people approve and rounds run.

use std::time::{Duration, Instant};

use agent::cli::output::talk;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::alone::alone;
use crate::load::Load;
use crate::seed;
use crate::world::{MEMBERS, World};

/// For all members together: each is killed at 20 instants, with `RANPROOF_LONG` at 50, which is 200 seeded instants.
fn instants() -> usize {
    if std::env::var_os("RANPROOF_LONG").is_some() { 200 } else { 80 }
}

/// Whom to kill, how long after the last was back, and how long it stays away.
fn plan(seed: u64) -> Vec<(usize, Duration, Duration)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut plan: Vec<_> = (0..instants())
        .map(|n| {
            let after = Duration::from_millis(rng.random_range(0..1_000));
            // Mostly as a supervisor does it, sometimes long enough for the others to go on without.
            let away = if rng.random_range(0..4) == 0 { rng.random_range(1_000..3_000) } else { 0 };
            (n % MEMBERS.len(), after, Duration::from_millis(away))
        })
        .collect();
    plan.shuffle(&mut rng);
    plan
}

/// What came of all kills together.
#[derive(Default)]
struct Total {
    kills: [usize; 4],
    /// How often one hit an agent at work.
    busy: u32,
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
        for (member, after, away) in plan(seed) {
            let load = Load::start(&world);
            std::thread::sleep(after);
            total.busy += u32::from(load.is_busy(member));
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
            "killed {kills:?}, {busy} times at work; slowest return {slowest:?}; {approved} requests approved and \
             {rounds} rounds run meanwhile, {retries} tries failed"
        ));
        assert_eq!(kills, [instants() / MEMBERS.len(); 4]);
        assert!(busy > 0, "no kill hit an agent at work");
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
