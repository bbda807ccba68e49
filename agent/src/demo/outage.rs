//! The story's second half: agents are killed, somebody lies meanwhile, the chain halts and heals.

use anyhow::{Context as _, Result, ensure};
use model::Value;

use super::children::wait_for;
use super::judged;
use super::liar;
use super::requests::Draft;
use super::story::{Told, of_telecom};
use super::world::World;
use crate::federation::Trouble;

const POWER: &str = "configuredMaxTxPower";

/// Plays all acts.
pub fn play(world: &mut World, told: &mut Told) -> Result<()> {
    world.say("Each operator's agent judges what the other's found with its own eyes");
    judged::wait_for_all(world, told)?;
    one_away(world, told)?;
    found_out(world, told)?;
    halted(world, told)?;
    healed(world, told)
}

/// Unicom's agent dies; the chain goes on. A change is carried out as approved, and then somebody at Telecom rewrites
/// what the round read.
fn one_away(world: &mut World, told: &mut Told) -> Result<()> {
    let carrier = world.network.object(9, "GNBDUFunction=1,NRSectorCarrier=1")?;
    let edit = world.expect(&carrier, POWER, Value::from("150000"))?;
    let (old, new) = (edit.old.clone().context("there is a value")?, Value::from("150000"));
    of_telecom("CR-1005", "Lower the power that disturbs a neighbour", Draft::NOW, edit).propose(world)?;
    world.approve("change", "CR-1005", &["telecom", "unicom"])?;
    world.say("Unicom's agent is killed; Telecom carries out CR-1005, and the chain goes on: round 5");
    world.member_mut("unicom")?.kill()?;
    world.network.set(&carrier, POWER, &new)?;
    let round = world.collect("telecom")?;
    ensure!(round.opened.is_some(), "the chain stopped when one operator did: {round:?}");
    ensure!(round.changes.authorised == 1, "CR-1005 was not seen as carried out: {:?}", round.changes);
    told.exact.push(("telecom", "CR-1005"));
    told.lie = Some((round.round, carrier.clone()));
    wait_attested(world, round.round)?;
    told.telecom.push(round);
    world.say("Somebody at Telecom rewrites the value that the round read: the power was never lowered");
    liar::rewrite(&world.member("telecom")?.data("ranproof.db"), &carrier, POWER, &old)
}

/// Unicom's agent returns, catches up, pulls what it missed, and finds that it does not open.
fn found_out(world: &mut World, told: &Told) -> Result<()> {
    world.say("Unicom's agent returns and catches up");
    world.member_mut("unicom")?.start()?;
    world.member("unicom")?.wait_ready()?;
    let height = world.member("telecom")?.chain()?.height;
    world.follow(height)?;
    judged::wait_for_all(world, told)?;
    let (round, object) = told.lie.as_ref().context("somebody lied")?;
    let dispute = judged::wait_for_dispute(world, *round, object)?;
    let (id, kind, height) = (&dispute.id, &dispute.kind, dispute.opened.height);
    world.say(&format!(
        "A commitment of round {round} does not open: dispute {id} ({kind}) in block {height}"
    ));
    world.say("Found out, Telecom puts the value back and answers; Unicom stands by its dispute, which stays on the chain");
    liar::rewrite(&world.member("telecom")?.data("ranproof.db"), object, POWER, &Value::from("150000"))?;
    let answer = "The stored value was rewritten by hand. It is put back, and who did it answers for it.";
    world
        .member("telecom")?
        .person
        .run(&["dispute", "respond", id, "--text", answer, "--ticket", "INC-7"])?;
    judged::wait_for_answer(world, id)?;
    world.member("unicom")?.person.run(&["dispute", "resolve", id, "--uphold"])?;
    world.follow(world.member("unicom")?.chain()?.height)
}

/// With two operators away the chain halts; Telecom's round goes on without it.
fn halted(world: &mut World, told: &mut Told) -> Result<()> {
    world
        .say("Unicom's and the tower company's agents are killed: the chain halts, round 6 goes on unopened");
    for member in ["unicom", "tower"] {
        world.member_mut(member)?.kill()?;
    }
    let stands = world.member("telecom")?.chain()?.height;
    let round = world.collect("telecom")?;
    ensure!(round.opened.is_none(), "a chain without a quorum opened round {}", round.round);
    let telecom = world.member("telecom")?;
    wait_for(
        "the word that the quorum is gone",
        || Ok(()),
        || {
            let is_it = |trouble: &Trouble| matches!(trouble, Trouble::NoQuorum { .. });
            Ok(telecom.chain()?.federation.troubles.iter().any(is_it).then_some(()))
        },
    )?;
    // What was signed before the kill may still have become final.
    let height = telecom.chain()?.height;
    ensure!(height <= stands + 1, "the chain went on from {stands} to {height} without a quorum");
    told.unopened = Some(round.round);
    told.telecom.push(round);
    Ok(())
}

/// Both return. What waited is anchored, once; rounds are opened again.
fn healed(world: &mut World, told: &mut Told) -> Result<()> {
    world.say("Both return: what waited is anchored once, and round 7 is opened");
    let height = world.member("telecom")?.chain()?.height;
    for member in ["unicom", "tower"] {
        world.member_mut(member)?.start()?;
    }
    for member in ["unicom", "tower"] {
        world.member(member)?.wait_ready()?;
    }
    // Telecom's opening of round 6 still waits to be final: the first block is not far.
    world.follow(height + 1)?;
    let (telecom, unicom) = world.collect_both()?;
    for round in [&telecom, &unicom] {
        ensure!(round.opened.is_some(), "round {} is unopened though the chain goes on", round.round);
    }
    told.telecom.push(telecom);
    told.unicom.push(unicom);
    for round in told.telecom.iter().map(|round| round.round) {
        wait_attested(world, round)?;
    }
    judged::wait_for_all(world, told)
}

/// Waits until the chain has Telecom's attestation of a round.
fn wait_attested(world: &World, round: u64) -> Result<()> {
    let telecom = world.member("telecom")?;
    world.wait(&format!("the attestation of round {round}"), || {
        let shown = telecom.ask(&format!("rounds/{round}"))?;
        Ok(shown.get("attestation").filter(|at| !at.is_null()).map(drop))
    })
}
