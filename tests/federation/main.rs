//! Four members, four processes, and what happens to them: killed, cut off, halved, losing packets, restarted all at
//! once, courted by a stranger, lied to by one of their own. Each test asserts that its fault happened, and then that nothing else did
//! ([`world::World::check`]). `RANPROOF_SEED` repeats a run, `RANPROOF_LONG=1` kills more often.
#![expect(clippy::unwrap_used, reason = "tests")]

mod alone;
mod check;
mod files;
mod impostor;
mod intruder;
mod kill;
mod load;
#[path = "../../chain/tests/chain/mallory.rs"]
#[expect(dead_code, reason = "shared with the tests of the chain")]
mod mallory;
mod network;
mod partition;
mod person;
#[path = "../support/process.rs"]
mod process;
mod traitor;
mod twofaced;
mod world;

use rand::Rng as _;

/// What kill instants and stations follow from.
fn seed() -> u64 {
    let seed = match std::env::var("RANPROOF_SEED") {
        Ok(text) => text.parse().expect("RANPROOF_SEED is a number"),
        Err(_) => rand::rng().random_range(0..1_000_000),
    };
    agent::cli::output::talk(&format!("RANPROOF_SEED={seed} repeats this"));
    seed
}
