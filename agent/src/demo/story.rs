//! The story that the demo tells, step by step, through the commands and the management sessions of an
//! installation.

use anyhow::{Context as _, Result, ensure};
use model::change::{ExpectedEdit, Window};
use model::{ChangeKind, ChangeRequest, Dn, Value};

use super::world::{Fault, World};
use crate::api::types::{Preview, RoundSummary};
use crate::{clock, keys};

/// One minute in milliseconds.
const MINUTE: i64 = 60_000;

/// What the story leaves behind for its report.
#[derive(Debug, Default)]
pub struct Told {
    pub rounds: Vec<RoundSummary>,
    /// Id of the request that was carried out exactly.
    pub exact_request: String,
}

/// Plays all acts.
pub fn play(world: &mut World) -> Result<Told> {
    let mut told = Told::default();
    agree(world)?;
    baseline(world, &mut told)?;
    approved_change(world, &mut told)?;
    broken_rules(world, &mut told)?;
    aftermath(world, &mut told)?;
    Ok(told)
}

/// Agreement, policy set and inventory: registered by the MOP, approved by all parties.
fn agree(world: &World) -> Result<()> {
    world.say("Telecom registers the sharing agreement; Telecom, Unicom and the tower company approve it");
    world.telecom.run(&["agreement", "register", &world.path("agreement.yaml")])?;
    for person in world.people() {
        person.run(&["agreement", "approve", "bj-east"])?;
    }
    world.say("The policy set and the inventory of stations likewise");
    let policies = world.path("policies");
    let args = [
        "policy",
        "register",
        &policies,
        "--id",
        "nr-shared",
        "--set-version",
        "1",
        "--agreement",
        "bj-east",
    ];
    world.telecom.run(&args)?;
    world.telecom.run(&["inventory", "register", &world.path("inventory.yaml")])?;
    for person in world.people() {
        person.run(&["policy", "approve", "nr-shared"])?;
        person.run(&["inventory", "approve", "bj-east/telecom"])?;
    }
    Ok(())
}

/// The first round finds everything `unbaselined`; then what it read is proposed and approved as the baseline.
fn baseline(world: &World, told: &mut Told) -> Result<()> {
    world.say("Round 1 reads every station for the first time");
    let first = world.round()?;
    ensure!(first.collected == world.stations() as u64, "round 1 read {} stations", first.collected);
    ensure!(first.unbaselined == first.collected, "{} stations are unbaselined", first.unbaselined);
    told.rounds.push(first);
    world.say("Telecom proposes what was read as the baseline; both operators approve it");
    let file = world.path("baseline.json");
    world.telecom.run(&["change", "baseline", "--id", "BL-2026-1", "--output", &file])?;
    world.telecom.run(&["change", "propose", &file])?;
    world.approve("BL-2026-1")
}

/// A request proposed, previewed, approved; the station changed accordingly; the next round finds it `exact`.
fn approved_change(world: &World, told: &mut Told) -> Result<()> {
    world.say("CR-1001: lower the power of a carrier, previewed and approved by both operators");
    let carrier = world.object(1, "GNBDUFunction=1,NRSectorCarrier=1")?;
    let period = world.object(1, "GNBDUFunction=1,NRCellDU=1")?;
    let edits = vec![
        world.expect(&carrier, "configuredMaxTxPower", Value::from("150000"))?,
        world.expect(&period, "ssbPeriodicity", Value::from("40"))?,
    ];
    let request = change("CR-1001", "Lower the power after the site survey", 1, edits.clone(), (-5, 120))?;
    propose(world, &request)?;
    world.approve(&request.id)?;
    world.say("A management session carries it out");
    for edit in &edits {
        world.set(&edit.object, &edit.attribute, edit.new.as_ref().context("the edit sets a value")?)?;
    }
    world.say("Round 2");
    let round = world.round()?;
    ensure!(round.violations_opened == 0, "round 2 opened {} violations", round.violations_opened);
    told.rounds.push(round);
    told.exact_request = request.id;
    Ok(())
}

/// What nobody approved, or approved otherwise.
fn broken_rules(world: &World, told: &mut Told) -> Result<()> {
    world.say(
        "Then things go wrong: power raised, PLMN list reordered, an operator cell locked, a change too far,",
    );
    world.say("one before its window, one before its approval, an object deleted");
    let power = "configuredMaxTxPower";
    // unapproved
    world.set(&world.object(2, "GNBDUFunction=1,NRSectorCarrier=1")?, power, &Value::from("230000"))?;
    world.reorder(&world.object(3, "GNBDUFunction=1,NRCellDU=1")?, "pLMNInfoList")?;
    // no-right: the MOP locks what is Unicom's
    let locked = world.object(4, "GNBDUFunction=1,OperatorDU=unicom,NROperatorCellDU=1")?;
    world.set(&locked, "administrativeState", &Value::from("LOCKED"))?;
    // exceeded: approved 210000, set 225000
    let carrier = world.object(5, "GNBDUFunction=1,NRSectorCarrier=2")?;
    let edits = vec![world.expect(&carrier, power, Value::from("210000"))?];
    propose(world, &change("CR-1002", "Raise the power of sector 2", 5, edits, (-5, 120))?)?;
    world.approve("CR-1002")?;
    world.set(&carrier, power, &Value::from("225000"))?;
    // early: the window begins in an hour
    let cell = world.object(6, "GNBDUFunction=1,NRCellDU=2")?;
    let early = world.expect(&cell, "ssbPeriodicity", Value::from("80"))?;
    propose(world, &change("CR-1003", "Longer SSB period at night", 6, vec![early], (60, 240))?)?;
    world.approve("CR-1003")?;
    world.set(&cell, "ssbPeriodicity", &Value::from("80"))?;
    // late: proposed now, approved only after the round that sees the change
    let cell = world.object(7, "GNBDUFunction=1,NRCellDU=3")?;
    let late = world.expect(&cell, "ssbPeriodicity", Value::from("10"))?;
    propose(world, &change("CR-1004", "Shorter SSB period for the stadium", 7, vec![late], (-5, 120))?)?;
    world.set(&cell, "ssbPeriodicity", &Value::from("10"))?;
    world.delete(&world.first_relation(8)?)?;
    // restored in the next act
    world.set(&world.object(9, "GNBDUFunction=1,NRSectorCarrier=3")?, power, &Value::from("235000"))?;
    world.say("Round 3");
    told.rounds.push(world.round()?);
    Ok(())
}

/// A late approval, one value put back, three stations in trouble.
fn aftermath(world: &mut World, told: &mut Told) -> Result<()> {
    world.say("CR-1004 is approved after the change was seen; one value is put back");
    world.approve("CR-1004")?;
    let carrier = world.object(9, "GNBDUFunction=1,NRSectorCarrier=3")?;
    let approved = world.approved(&carrier, "configuredMaxTxPower")?;
    world.set(&carrier, "configuredMaxTxPower", &approved)?;
    world.say("One station goes down, one talks garbage, one comes back with another host key");
    world.fault(10, Fault::Unreachable)?;
    world.fault(11, Fault::Garbage)?;
    world.fault(12, Fault::HostKey)?;
    world.say("Round 4");
    told.rounds.push(world.round()?);
    Ok(())
}

fn propose(world: &World, request: &ChangeRequest) -> Result<()> {
    let file = world.path(&format!("{}.json", request.id));
    std::fs::write(&file, serde_json::to_string_pretty(request)?)
        .with_context(|| format!("cannot write {file}"))?;
    let preview: Preview = world.telecom.ask(&["change", "preview", &file])?;
    ensure!(
        preview.edits.iter().all(|edit| edit.status == "ready"),
        "{} does not fit: {:?}",
        request.id,
        preview.edits
    );
    world.telecom.run(&["change", "propose", &file]).map(drop)
}

/// A request of Telecom's on one station; the window is in minutes from now.
fn change(
    id: &str,
    title: &str,
    station: usize,
    edits: Vec<ExpectedEdit>,
    window: (i64, i64),
) -> Result<ChangeRequest> {
    let nonce = hex::encode(keys::random_bytes::<32>()?);
    let now = clock::now();
    let scope = edits.first().and_then(|e| e.object.ancestor("ManagedElement")).map(|dn: Dn| dn.to_string());
    Ok(ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.into(),
        kind: ChangeKind::Change,
        agreement: "bj-east".into(),
        agreement_version: 1,
        proposer: "telecom".into(),
        title: title.into(),
        ticket: format!("WO-{station:04}"),
        scope: scope.unwrap_or_default().parse().unwrap_or_default(),
        window: Window { from: now.plus_millis(window.0 * MINUTE), to: now.plus_millis(window.1 * MINUTE) },
        edits,
        rollback: false,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce,
    })
}
