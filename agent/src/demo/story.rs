//! The story that the demo tells, step by step, through the commands and the management sessions of an installation.
//! What becomes of it when agents are killed and somebody lies is told in `outage.rs`.

use anyhow::{Context as _, Result, ensure};
use model::{Dn, Value};

use super::network::Fault;
use super::outage;
use super::requests::Draft;
use super::world::World;
use crate::api::types::RoundSummary;

const POWER: &str = "configuredMaxTxPower";
const SSB: &str = "ssbPeriodicity";

/// What the story leaves behind for its report.
#[derive(Debug, Default)]
pub struct Told {
    /// Each operator's rounds, in order.
    pub telecom: Vec<RoundSummary>,
    pub unicom: Vec<RoundSummary>,
    /// Requests that were carried out exactly, with their proposers.
    pub exact: Vec<(&'static str, &'static str)>,
    /// Telecom's round whose disclosure was tampered with, and the object concerned.
    pub lie: Option<(u64, Dn)>,
    /// Telecom's round while the chain was halted.
    pub unopened: Option<u64>,
}

impl Told {
    /// Rounds of all operators.
    pub fn rounds(&self) -> impl Iterator<Item = &RoundSummary> {
        self.telecom.iter().chain(&self.unicom)
    }

    /// One operator's rounds.
    pub fn of(&self, operator: &str) -> &[RoundSummary] {
        if operator == "telecom" { &self.telecom } else { &self.unicom }
    }

    fn both(&mut self, (telecom, unicom): (RoundSummary, RoundSummary)) {
        self.telecom.push(telecom);
        self.unicom.push(unicom);
    }
}

/// Plays all acts.
pub fn play(world: &mut World) -> Result<Told> {
    let mut told = Told::default();
    agree(world)?;
    baseline(world, &mut told)?;
    approved_changes(world, &mut told)?;
    broken_rules(world, &mut told)?;
    aftermath(world, &mut told)?;
    outage::play(world, &mut told)?;
    Ok(told)
}

/// Agreement, policy set and inventories: registered by an operator, approved by all parties.
fn agree(world: &World) -> Result<()> {
    let parties = world.parties();
    let telecom = &world.member("telecom")?.person;
    world.say("Telecom registers the sharing agreement; Telecom, Unicom and the tower company approve it, each at the own agent");
    telecom.run(&["agreement", "register", &world.path("agreement.yaml")])?;
    world.approve("agreement", "bj-east", &parties)?;
    world.say("The policy set and both operators' inventories of stations likewise");
    let policies = world.path("policies");
    let set = ["--id", "nr-shared", "--set-version", "1", "--agreement", "bj-east"];
    telecom.run(&[&["policy", "register", &policies], &set[..]].concat())?;
    for operator in ["telecom", "unicom"] {
        let inventory = world.path(&format!("inventory-{operator}.yaml"));
        world.member(operator)?.person.run(&["inventory", "register", &inventory])?;
    }
    world.approve("policy", "nr-shared", &parties)?;
    world.approve("inventory", "bj-east/telecom", &parties)?;
    world.approve("inventory", "bj-east/unicom", &parties)
}

/// The first rounds find everything `unbaselined`; then what they read is proposed and approved as the baseline.
fn baseline(world: &World, told: &mut Told) -> Result<()> {
    world.say("Round 1 of each operator reads every station for the first time");
    told.both(world.collect_both()?);
    let read: u64 = told.rounds().map(|round| round.collected).sum();
    ensure!(read == world.stations() as u64, "the first rounds read {read} stations");
    let unbaselined: u64 = told.rounds().map(|round| round.unbaselined).sum();
    ensure!(unbaselined == read, "{unbaselined} stations are unbaselined");
    world.say("Each operator proposes what it read as the baseline of its district; both approve");
    for (operator, id) in [("telecom", "BL-2026-1"), ("unicom", "BL-2026-2")] {
        let file = world.path(&format!("{id}.json"));
        let person = &world.member(operator)?.person;
        person.run(&["change", "baseline", "--id", id, "--output", &file])?;
        person.run(&["change", "propose", &file])?;
    }
    for id in ["BL-2026-1", "BL-2026-2"] {
        world.approve("change", id, &["telecom", "unicom"])?;
    }
    for station in [1, world.network.east + 1] {
        world.approved(&world.network.object(station, "GNBDUFunction=1,NRCellDU=1")?, SSB)?;
    }
    Ok(())
}

/// Requests proposed, previewed, approved; the stations changed accordingly; the next rounds find them `exact`.
fn approved_changes(world: &World, told: &mut Told) -> Result<()> {
    world.say(
        "CR-1001 and CR-2001: each operator lowers the power of a carrier, previewed and approved by both",
    );
    for (proposer, id, station) in [("telecom", "CR-1001", 1), ("unicom", "CR-2001", world.network.east + 1)]
    {
        let carrier = world.network.object(station, "GNBDUFunction=1,NRSectorCarrier=1")?;
        let period = world.network.object(station, "GNBDUFunction=1,NRCellDU=1")?;
        let mut edits = vec![world.expect(&carrier, POWER, Value::from("150000"))?];
        if proposer == "telecom" {
            edits.push(world.expect(&period, SSB, Value::from("40"))?);
        }
        let title = "Lower the power after the site survey";
        Draft { id, title, proposer, window: Draft::NOW, edits: edits.clone() }.propose(world)?;
        world.approve("change", id, &["telecom", "unicom"])?;
        for edit in &edits {
            let new = edit.new.as_ref().context("the edit sets a value")?;
            world.network.set(&edit.object, &edit.attribute, new)?;
        }
        told.exact.push((proposer, id));
    }
    world.say("Management sessions carried them out; round 2 of each operator");
    told.both(world.collect_both()?);
    for round in [told.telecom.last(), told.unicom.last()].into_iter().flatten() {
        ensure!(round.violations_opened == 0, "round 2 opened {} violations", round.violations_opened);
    }
    Ok(())
}

/// What nobody approved, or approved otherwise.
fn broken_rules(world: &World, told: &mut Told) -> Result<()> {
    world.say(
        "Then things go wrong: power raised in both districts, PLMN list reordered, an operator cell locked,",
    );
    world.say("a change too far, one before its window, one before its approval, an object deleted");
    let network = &world.network;
    // unapproved
    for station in [2, network.east + 2] {
        let carrier = network.object(station, "GNBDUFunction=1,NRSectorCarrier=1")?;
        network.set(&carrier, POWER, &Value::from("230000"))?;
    }
    world.reorder(&network.object(3, "GNBDUFunction=1,NRCellDU=1")?, "pLMNInfoList")?;
    // no-right: the MOP locks what is Unicom's
    let locked = network.object(4, "GNBDUFunction=1,OperatorDU=unicom,NROperatorCellDU=1")?;
    network.set(&locked, "administrativeState", &Value::from("LOCKED"))?;
    // exceeded: approved 210000, set 225000
    let carrier = network.object(5, "GNBDUFunction=1,NRSectorCarrier=2")?;
    let exceeded = world.expect(&carrier, POWER, Value::from("210000"))?;
    of_telecom("CR-1002", "Raise the power of sector 2", Draft::NOW, exceeded).propose(world)?;
    world.approve("change", "CR-1002", &["telecom", "unicom"])?;
    network.set(&carrier, POWER, &Value::from("225000"))?;
    // early: the window begins in an hour
    let cell = network.object(6, "GNBDUFunction=1,NRCellDU=2")?;
    let early = world.expect(&cell, SSB, Value::from("80"))?;
    of_telecom("CR-1003", "Longer SSB period at night", (60, 240), early).propose(world)?;
    world.approve("change", "CR-1003", &["telecom", "unicom"])?;
    network.set(&cell, SSB, &Value::from("80"))?;
    // late: proposed now, approved only after the round that sees the change
    let cell = network.object(7, "GNBDUFunction=1,NRCellDU=3")?;
    let late = world.expect(&cell, SSB, Value::from("10"))?;
    of_telecom("CR-1004", "Shorter SSB period for the stadium", Draft::NOW, late).propose(world)?;
    network.set(&cell, SSB, &Value::from("10"))?;
    network.delete(&world.first_relation(8)?)?;
    // restored in the next act
    network.set(&network.object(9, "GNBDUFunction=1,NRSectorCarrier=3")?, POWER, &Value::from("235000"))?;
    world.say("Round 3 of each operator");
    told.both(world.collect_both()?);
    Ok(())
}

/// A request of Telecom's for one edit.
pub fn of_telecom(
    id: &'static str,
    title: &'static str,
    window: (i64, i64),
    edit: model::change::ExpectedEdit,
) -> Draft {
    Draft { id, title, proposer: "telecom", window, edits: vec![edit] }
}

/// A late approval, one value put back, three stations in trouble.
fn aftermath(world: &World, told: &mut Told) -> Result<()> {
    world.say("CR-1004 is approved after the change was seen; one value is put back");
    world.approve("change", "CR-1004", &["telecom", "unicom"])?;
    let carrier = world.network.object(9, "GNBDUFunction=1,NRSectorCarrier=3")?;
    let approved = world.approved(&carrier, POWER)?;
    world.network.set(&carrier, POWER, &approved)?;
    world.say("Of Unicom's stations one goes down, one talks garbage, one comes back with another host key");
    let first = world.network.east + 1;
    for (station, fault) in (first..).zip([Fault::Unreachable, Fault::Garbage, Fault::HostKey]) {
        world.network.fault(station, fault)?;
    }
    world.say("Round 4 of each operator");
    told.both(world.collect_both()?);
    Ok(())
}
