//! What stations start with: valid by the modules they serve, and about one network.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ranproof_sim::config::StationPlan;
use ranproof_sim::modules::MODULES;
use ranproof_sim::objects::{Attributes, objects};
use serde_json::Value;
use yang5::context::{Context, ContextFlags};
use yang5::data::{DataFormat, DataParserFlags, DataTree, DataValidationFlags};

fn modules() -> Context {
    let mut context =
        Context::new(ContextFlags::NO_YANGLIBRARY | ContextFlags::DISABLE_SEARCHDIR_CWD).unwrap();
    context.set_searchdir(concat!(env!("CARGO_MANIFEST_DIR"), "/yang")).unwrap();
    for module in MODULES.iter().filter(|module| module.implemented) {
        context.load_module(module.name, None, &[]).unwrap();
    }
    context
}

fn validate(context: &Context, text: &str) -> Result<(), yang5::Error> {
    let (parse, check) = (DataParserFlags::STRICT | DataParserFlags::NO_STATE, DataValidationFlags::NO_STATE);
    DataTree::parse_string(context, text, DataFormat::XML, parse, check).map(|_| ())
}

/// Stations of any network: few or many cells, in one district or two.
fn any_network() -> impl Strategy<Value = Vec<StationPlan>> {
    (any::<u64>(), 1..=12_usize, 1..=7_usize).prop_flat_map(|(seed, stations, cells)| {
        (0..=stations).prop_map(move |west| {
            (1..=stations).map(|station| StationPlan { seed, station, stations, cells, west }).collect()
        })
    })
}

#[test]
fn the_largest_station_and_the_smallest_are_valid_by_their_modules_and_wrong_ones_are_not() {
    let context = modules();
    for (seed, cells) in [(1, 1), (2, 2), (3, 3), (4, 64)] {
        let plan = StationPlan { seed, station: 2, stations: 3, cells, west: 0 };
        let text = plan.configuration().without_state().to_xml();
        validate(&context, &text).unwrap();
        // Out of its range, no name, a source that is not among those of the clock, no identity.
        for (right, wrong) in [
            ("<pci>", "<pci>504"),
            ("<adjacentCell>", "<adjacentCell>="),
            ("<fallback>PTP<", "<fallback>FREERUNNING<"),
            ("<kind>passive", "<kind>round"),
        ] {
            assert!(text.contains(right), "{right}");
            assert!(validate(&context, &text.replacen(right, wrong, 1)).is_err(), "{wrong}");
        }
    }
}

/// The objects of all stations by name.
struct Network(BTreeMap<String, Attributes>);

impl Network {
    fn of(plans: &[StationPlan]) -> Network {
        Network(plans.iter().flat_map(|plan| objects(&plan.configuration())).collect())
    }

    fn all(&self, class: &'static str) -> impl Iterator<Item = (&str, &Attributes)> {
        let found =
            move |dn: &str| dn.rsplit(',').next().and_then(|name| name.split('=').next()) == Some(class);
        self.0.iter().filter(move |(dn, _)| found(dn)).map(|(dn, attributes)| (dn.as_str(), attributes))
    }

    fn object(&self, dn: &str) -> &Attributes {
        self.0.get(dn).unwrap_or_else(|| panic!("nothing is named {dn}"))
    }

    /// Global identity of a cell: the number of the node above it, and its own behind that in so many bits.
    fn identity(&self, cell: &str, node: &str, bits: u32) -> u64 {
        number(&self.object(above(cell))[node]) << bits | number(&self.object(cell)["cellLocalId"])
    }

    /// Cells of a class by their global identity, each of which there is once.
    fn cells(&self, class: &'static str, node: &str, bits: u32) -> BTreeMap<u64, &Attributes> {
        let cells: Vec<_> = self.all(class).map(|(dn, cell)| (self.identity(dn, node, bits), cell)).collect();
        let known: BTreeMap<_, _> = cells.iter().copied().collect();
        assert_eq!(known.len(), cells.len(), "{class}");
        known
    }
}

fn above(dn: &str) -> &str {
    dn.rsplit_once(',').unwrap().0
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap()
}

/// (MCC, MNC) of each entry of a list, in its order.
fn networks(list: &Value) -> Vec<(&str, &str)> {
    list.as_array().unwrap().iter().map(|entry| (text(&entry["mcc"]), text(&entry["mnc"]))).collect()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

/// Bits of a cell's own number in an NCI with gNB ids of 24 bits, and in an ECI.
const NR_BITS: u32 = 12;
const EUTRA_BITS: u32 = 8;

fn nr_agrees(network: &Network) {
    let cells = network.cells("NRCellDU", "gNBId", NR_BITS);
    let mut known = BTreeSet::new();
    for (dn, external) in network.all("ExternalNRCellCU") {
        let identity = network.identity(dn, "gNBId", NR_BITS);
        let cell = cells[&identity];
        assert_eq!(external["nRPCI"], cell["nRPCI"], "{dn}");
        let operators = networks(&cell["pLMNInfoList"]);
        let gnb = &network.object(above(dn))["pLMNId"];
        assert_eq!((text(&gnb["mcc"]), text(&gnb["mnc"])), operators[0], "{dn}");
        assert_eq!(sorted(networks(&external["pLMNIdList"])), sorted(operators), "{dn}");
        let frequency = network.object(text(&external["nRFrequencyRef"]));
        assert_eq!(frequency["absoluteFrequencySSB"], cell["ssbFrequency"], "{dn}");
        assert_eq!(frequency["sSBSubCarrierSpacing"], cell["ssbSubCarrierSpacing"], "{dn}");
        known.insert((station(dn), identity));
    }
    let relations = network.all("NRCellRelation").map(|(dn, relation)| {
        (station(dn), number(&relation["nRTCI"]), station(text(&relation["adjacentNRCellRef"])))
    });
    let abroad: BTreeSet<_> =
        relations.filter(|(from, _, to)| from != to).map(|(from, cell, _)| (from, cell)).collect();
    assert_eq!(known, abroad, "each station knows the cells of others that it has relations to");
}

fn eutra_agrees(network: &Network) {
    let cells = network.cells("EUtranCellFDD", "eNBId", EUTRA_BITS);
    for (dn, external) in network.all("ExternalEUtranCellFDD") {
        let cell = cells[&network.identity(dn, "eNBId", EUTRA_BITS)];
        assert!(external.iter().all(|(name, value)| cell[name] == *value), "{dn}");
    }
    let links: BTreeSet<(u64, u64)> = network
        .all("EUtranRelation")
        .map(|(dn, relation)| {
            let target = text(&relation["adjacentCell"]);
            assert_eq!(station(target), station(dn), "{dn}: a station names what it knows itself");
            let identity = network.identity(target, "eNBId", EUTRA_BITS);
            assert_eq!(number(&relation["tCI"]), identity, "{dn}");
            assert!(cells.contains_key(&identity), "{dn}");
            (network.identity(above(dn), "eNBId", EUTRA_BITS), identity)
        })
        .collect();
    assert!(links.iter().all(|(a, b)| a != b && links.contains(&(*b, *a))), "{links:?}");
    let identities: BTreeSet<u64> = cells.values().map(|cell| number(&cell["pci"])).collect();
    assert_eq!(identities.len(), cells.len());
}

fn station(dn: &str) -> &str {
    dn.split(',').nth(1).unwrap()
}

/// The eNB of a station has the operators of its gNB, in their order, and one antenna for each transmitter.
fn generations_agree(network: &Network) {
    for (dn, cell) in network.all("EUtranCellFDD") {
        let unit = format!("{},GNBDUFunction=1", above(above(dn)));
        let number = text(&cell["cellLocalId"]);
        let nr = network.object(&format!("{unit},NRCellDU={number}"));
        assert_eq!(networks(&cell["plmnIdList"]), networks(&nr["pLMNInfoList"]), "{dn}");
        assert_eq!(cell["tac"], nr["nRTAC"], "{dn}");
        let carrier = network.object(&format!("{unit},NRSectorCarrier={number}"));
        for place in ["azimuth", "height"] {
            assert_eq!(cell["antenna"][place], carrier["antenna"][place], "{dn}");
        }
    }
    assert!(network.all("NRSectorCarrier").all(|(_, carrier)| carrier.contains_key("antenna")));
    for (dn, unit) in network.all("GNBDUFunction") {
        let clock = &unit["synchronisation"];
        assert!(clock["sourcePriority"].as_array().unwrap().contains(&clock["fallback"]), "{dn}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_network_is_valid_by_its_modules(plans in any_network()) {
        let context = modules();
        for plan in plans {
            let text = plan.configuration().without_state().to_xml();
            validate(&context, &text).map_err(|error| TestCaseError::fail(format!("{plan:?}: {error}")))?;
        }
    }

    #[test]
    fn what_stations_say_of_each_other_is_what_they_are(plans in any_network()) {
        let network = Network::of(&plans);
        nr_agrees(&network);
        eutra_agrees(&network);
        generations_agree(&network);
    }
}
