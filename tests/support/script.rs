//! What happens on the network between two rounds of a test: it follows from the seed and what was approved before.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value as Json;
use sim::manager::{self, Edit};

use crate::radio::{STATIONS, World};

const POWER: &str = "configuredMaxTxPower";
/// In milliwatts; all within the agreed range.
const POWERS: &[&str] = &["110000", "120000", "130000", "140000", "160000", "170000", "180000", "190000"];

/// The story of a test, one step before each round.
pub struct Script {
    rng: StdRng,
    /// The carrier that was changed without approval last.
    changed: Option<model::Dn>,
}

impl Script {
    pub fn new(seed: u64) -> Script {
        Script { rng: StdRng::seed_from_u64(seed ^ 0x5c21_9700), changed: None }
    }

    /// Approved, unapproved, restored, carried out otherwise, and something deleted or reordered, in turn.
    pub fn play(&mut self, world: &World, step: u32) {
        let station = self.rng.random_range(1..=STATIONS);
        let carrier = |n: u32| world.object(station, &format!("GNBDUFunction=1,NRSectorCarrier={n}"));
        match step % 5 {
            0 => {
                let power = self.other_power(world, &carrier(1));
                world.agree_on(&format!("CR-{step}"), &carrier(1), POWER, power);
                world.edit(&carrier(1), Edit::set(carrier(1).as_str(), POWER, power));
            }
            1 => {
                let power = self.other_power(world, &carrier(2));
                world.edit(&carrier(2), Edit::set(carrier(2).as_str(), POWER, power));
                self.changed = Some(carrier(2));
            }
            2 => {
                let carrier = self.changed.take().unwrap();
                let approved = world.approved(&carrier, POWER);
                world.edit(&carrier, Edit::set(carrier.as_str(), POWER, approved.as_text().unwrap()));
                turn(world, &world.object(station, "GNBDUFunction=1,NRCellDU=1"));
            }
            3 => {
                let power = self.other_power(world, &carrier(3));
                world.agree_on(&format!("CR-{step}"), &carrier(3), POWER, power);
                let further = (power.parse::<u64>().unwrap() + 5_000).to_string();
                world.edit(&carrier(3), Edit::set(carrier(3).as_str(), POWER, further.as_str()));
            }
            _ => {
                let cell = world.object(station, "GNBCUCPFunction=1,NRCellCU=1");
                let relations = world.read(&cell)["contains"].as_array().unwrap().clone();
                if let Some(relation) = relations.first().and_then(Json::as_str) {
                    world.edit(&relation.parse().unwrap(), Edit::delete(relation));
                }
            }
        }
    }

    fn other_power(&mut self, world: &World, carrier: &model::Dn) -> &'static str {
        let approved = world.approved(carrier, POWER);
        let others: Vec<&&str> = POWERS.iter().filter(|p| Some(**p) != approved.as_text()).collect();
        others.choose(&mut self.rng).unwrap()
    }
}

/// Turns a cell's list of PLMNs round.
fn turn(world: &World, cell: &model::Dn) {
    let entries = world.read(cell)["attributes"]["pLMNInfoList"].as_array().unwrap().clone();
    let fields = |entry: &Json| {
        let fields = entry.as_object().unwrap().iter();
        fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    let turned = manager::Value::Entries(entries.iter().rev().map(fields).collect());
    world.edit(cell, Edit::set(cell.as_str(), "pLMNInfoList", turned));
}
