//! `kill -9` at any instant, restart: nothing doubled or missing, the accounting balances, the state is that of a run
//! that nobody killed. `RANPROOF_SEED` repeats a run, `RANPROOF_LONG=1` kills ten times as often.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/audit.rs"]
mod audit;
#[path = "support/federation.rs"]
mod federation;
#[path = "support/process.rs"]
mod process;
#[path = "support/radio.rs"]
mod radio;
#[path = "support/script.rs"]
mod script;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use agent::api::types::RoundSummary;
use agent::cli::output::talk;
use anchor::verify::Outcome;
use audit::{Essence, check, check_bundles, verify};
use model::Dn;
use radio::{STATIONS, World};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use script::Script;
use serde_json::{Value as Json, json};
use store::Store;

/// What the kill instants, the networks and the stories follow from.
fn seed() -> u64 {
    let seed = match std::env::var("RANPROOF_SEED") {
        Ok(text) => text.parse().expect("RANPROOF_SEED is a number"),
        Err(_) => rand::rng().random_range(0..1_000_000),
    };
    talk(&format!("RANPROOF_SEED={seed} repeats this"));
    seed
}

fn instants() -> u32 {
    if std::env::var_os("RANPROOF_LONG").is_some() { 200 } else { 20 }
}

/// Instants in each equal part of `whole`, in an order of their own.
fn offsets(seed: u64, count: u32, whole: Duration) -> Vec<Duration> {
    let mut rng = StdRng::seed_from_u64(seed);
    let part = whole / count;
    let mut offsets: Vec<Duration> =
        (0..count).map(|n| part * n + part.mul_f64(rng.random_range(0.0..1.0))).collect();
    offsets.shuffle(&mut rng);
    offsets
}

/// What a round must have reached before the time to its kill begins to count.
#[derive(Debug, Clone, Copy)]
enum Reached {
    Nothing,
    Begun,
    Committed,
}

/// The instants of one run: spread evenly over its opening, its sweep, and what follows its commit.
fn kills(seed: u64, count: u32, typical: Duration) -> Vec<(Reached, Duration)> {
    let each = count.div_ceil(4);
    let from = |state, part: u64, number, share| {
        offsets(seed + part, number, typical.mul_f64(share)).into_iter().map(move |offset| (state, offset))
    };
    let mut kills: Vec<_> = from(Reached::Nothing, 0, each, 0.25)
        .chain(from(Reached::Begun, 1, each, 0.6))
        .chain(from(Reached::Committed, 2, count - 2 * each, 0.2))
        .collect();
    kills.shuffle(&mut StdRng::seed_from_u64(seed));
    kills
}

/// The story without a kill, each round by an agent that has just started; also how long a round then takes.
fn unkilled(seed: u64, count: u32) -> (Essence, Duration) {
    let mut world = World::build(seed);
    let mut script = Script::new(seed);
    let mut times = Vec::new();
    for step in 0..count {
        script.play(&world, step);
        world.agent.process.stop();
        world.restart_agent();
        let begun = Instant::now();
        world.round();
        times.push(begun.elapsed());
        // Whoever is killed reads once more, and so does this one: the same things are seen as often.
        world.round();
    }
    check(&world);
    times.sort();
    (Essence::of(&world), times[times.len() / 2])
}

/// Kills the agent in the midst of a round and tells how far that had come.
fn kill_in_round(world: &mut World, (reached, after): (Reached, Duration)) -> &'static str {
    let round = world.next_round();
    let client = world.client();
    let running = std::thread::spawn(move || client.post::<RoundSummary>("/api/v1/rounds", &json!({})));
    let client = world.client();
    world.agent.process.wait_for(&format!("{reached:?}"), || {
        let rounds: Json = client.get("/api/v1/rounds?limit=1").unwrap();
        let newest = &rounds["rounds"][0];
        let begun = newest["round"] == round;
        match reached {
            Reached::Nothing => Some(()),
            Reached::Begun => begun.then_some(()),
            Reached::Committed => (begun && !newest["finished"].is_null()).then_some(()),
        }
    });
    std::thread::sleep(after);
    assert_eq!(world.agent.process.kill(), Some(9), "the agent did not die of the kill");
    // The caller has an answer only if the round was over.
    let answered = running.join().unwrap().is_ok();
    let phase = phase(world, round);
    assert!(!answered || phase == "attested", "answered while {phase}");
    phase
}

#[test]
fn agent_killed_at_twenty_instants_ends_where_an_unkilled_one_does() {
    let (seed, count) = (seed(), instants());
    let (expected, typical) = unkilled(seed, count);
    assert!(expected.violations() > 0, "the story violates nothing");

    let mut world = World::build(seed);
    let mut script = Script::new(seed);
    let mut phases: BTreeMap<&str, u32> = BTreeMap::new();
    let again = kills(seed ^ 1, count, typical);
    for ((step, first), second) in (0..count).zip(kills(seed, count, typical)).zip(again) {
        script.play(&world, step);
        world.agent.process.stop();
        world.restart_agent();
        let phase = kill_in_round(&mut world, first);
        *phases.entry(phase).or_default() += 1;
        world.restart_agent();
        // Every third time the recovery does not come through either.
        if step % 3 == 0 {
            kill_in_round(&mut world, second);
            world.restart_agent();
        }
        let next = world.round();
        assert_eq!(next.failed + next.skipped, 0, "after a kill while {phase}: {:?}", next.failures);
        check(&world);
    }
    talk(&format!("a round takes {typical:?}; killed while {phases:?}"));
    let before = phases.keys().filter(|name| BEFORE_COMMIT.contains(name)).count();
    assert!(before > 0 && before < phases.len(), "kills fell on one side of a commit only: {phases:?}");
    assert_eq!(Essence::of(&world), expected);
    assert!(check_bundles(&world) > count as usize);
}

/// Phases of a round of which nothing but its number remains.
const BEFORE_COMMIT: &[&str] = &["not begun", "opening", "opened", "sweeping"];

/// How far a round had come when its agent was killed.
fn phase(world: &World, round: u64) -> &'static str {
    let (store, _copy) = world.store_as_left();
    world.runtime.block_on(async {
        let phase = phase_in(&store, round).await;
        store.close().await;
        phase
    })
}

async fn phase_in(store: &Store, round: u64) -> &'static str {
    let state = store.log_state().await.unwrap();
    let row = store.round(round).await.unwrap();
    let sent = store.outgoing(&format!("open/{round}")).await.unwrap();
    match (sent, row) {
        (None, _) => "not begun",
        (Some(sent), None) if sent.state == store::TransactionState::Staged => "opening",
        (Some(_), None) => "opened",
        (Some(_), Some(row)) if row.finished.is_none() => "sweeping",
        (Some(_), Some(row)) if row.attested.is_some() => "attested",
        (Some(_), Some(row)) if row.leaf_index.is_some() => "attesting",
        _ if state.waiting > 0 => "committed",
        _ => match state.staged {
            None => "anchored",
            Some(size) => match store.checkpoint(size).await.unwrap() {
                None => "staged",
                Some(saved) if saved.anchored.is_none() => "anchoring",
                Some(_) => "anchored",
            },
        },
    }
}

#[test]
fn stations_killed_at_twenty_instants_lose_no_acknowledged_edit() {
    let (seed, count) = (seed(), instants());
    let mut world = World::build(seed);
    let begun = Instant::now();
    world.round();
    let typical = begun.elapsed();
    let cells: Vec<Dn> = (1..=STATIONS).map(|n| world.object(n, "GNBDUFunction=1,NRCellDU=1")).collect();
    let mut stand: Vec<u64> = cells.iter().map(|cell| tracking_area(&world, cell)).collect();
    let (mut failed, mut acknowledged) = (0, 0);
    for (step, offset) in (0..count).zip(offsets(seed, count, typical.mul_f64(1.1))) {
        let edited = step as usize % STATIONS;
        // Values nobody had before, so that it can be told which edits happened.
        let first = 100_000 * u64::from(step + 1);
        let edits = world.edits_until_the_end(cells[edited].clone(), TRACKING_AREA, first);
        let client = world.client();
        let begun = Instant::now();
        let running = std::thread::spawn(move || client.post::<RoundSummary>("/api/v1/rounds", &json!({})));
        let editing = std::thread::spawn(edits);
        std::thread::sleep(offset.saturating_sub(begun.elapsed()));
        assert_eq!(world.stations.kill(), Some(9), "the stations did not die of the kill");
        let through = editing.join().unwrap();
        let round = running.join().unwrap().unwrap();
        assert_eq!(round.collected + round.unchanged + round.failed, STATIONS as u64, "{round:?}");
        for failure in &round.failures {
            assert!(!failure.reason.is_empty() && !failure.detail.is_empty(), "{failure:?}");
        }
        failed += round.failed;
        acknowledged += through.len();

        world.restart_stations();
        let next = world.round();
        assert_eq!((next.failed, next.skipped), (0, 0), "{:?}", next.failures);
        check(&world);
        let journalled = world.journalled();
        for (number, cell) in cells.iter().enumerate() {
            let read = tracking_area(&world, cell);
            // The edit under way at the kill may have happened too.
            let last = through.last().copied().unwrap_or(stand[number]);
            let under_way = through.last().map_or(first, |last| last + 1);
            let may_be = if number == edited { [last, under_way] } else { [stand[number]; 2] };
            assert!(may_be.contains(&read), "{cell} has {read}, not one of {may_be:?}");
            let journal = journalled.get(&(cell.to_string(), TRACKING_AREA.to_owned()));
            let text = read.to_string();
            assert!(journal.is_none_or(|value| *value == text), "{journal:?} but {read}");
            stand[number] = read;
        }
    }
    talk(&format!("a round takes {typical:?}; {failed} reads failed, {acknowledged} edits acknowledged"));
    assert!(failed > 0, "no kill fell into a read");
    assert!(acknowledged > 0, "no edit came through");
    check_bundles(&world);
}

const TRACKING_AREA: &str = "nRTAC";

/// As the agent read it last.
fn tracking_area(world: &World, cell: &Dn) -> u64 {
    let value = world.read(cell)["attributes"][TRACKING_AREA].clone();
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_round_whose_opening_comes_too_late_is_attested_as_unopened_and_the_next_one_is_opened() {
    let mut world = World::build(seed());
    let config = world.federation.dir.join("telecom/agent.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    // Nothing is ever final in time: for the agent, the chain is out of reach.
    let impatient = text.replace("\"node\": {", "\"node\": {\n \"finality_seconds\": 0,");
    assert_ne!(impatient, text);
    std::fs::write(&config, impatient).unwrap();
    world.agent.process.stop();
    world.restart_agent();
    let unopened = world.round();
    assert_eq!((unopened.opened, unopened.collected + unopened.unchanged), (None, STATIONS as u64));

    std::fs::write(&config, text).unwrap();
    world.agent.process.stop();
    world.restart_agent();
    let next = world.round();
    assert_eq!(next.round, unopened.round + 1);
    assert!(next.opened.is_some(), "{next:?}");
    let store = world.store();
    let chain = world.runtime.block_on(store.chain_rounds("telecom", 9)).unwrap();
    let attested: Vec<bool> = chain.iter().map(|round| round.attestation.is_some()).collect();
    assert_eq!(attested, [true, true, true], "no round stays open or is missed");
    world.runtime.block_on(store.close());
    let outcome = |round: u64| verify(&world, &format!("round-{round}")).outcome;
    assert_eq!(outcome(unopened.round), Outcome::Incomplete, "the order of things is not proven there");
    assert_eq!(outcome(next.round), Outcome::Verified);
}
