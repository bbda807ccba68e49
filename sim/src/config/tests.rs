use super::*;
use crate::edit::validate;
use crate::objects::objects;
use std::collections::{BTreeMap, BTreeSet};

fn network(stations: usize, west: usize) -> Vec<Element> {
    (1..=stations)
        .map(|station| StationPlan { seed: 7, station, stations, cells: 3, west }.configuration())
        .collect()
}

#[test]
fn generated_configurations_are_valid_and_repeatable() {
    let first = network(3, 0);
    assert_eq!(first, network(3, 0));
    for tree in &first {
        validate(std::slice::from_ref(tree)).unwrap();
    }
    let other = StationPlan { seed: 8, station: 1, stations: 3, cells: 3, west: 0 };
    assert_ne!(first[0], other.configuration());
}

#[test]
fn no_two_cells_share_a_pci_and_relations_are_mutual() {
    let trees = network(12, 0);
    let all: BTreeMap<String, BTreeMap<String, serde_json::Value>> = trees.iter().flat_map(objects).collect();
    let pcis: BTreeSet<String> =
        all.values().filter_map(|o| o.get("nRPCI")).map(ToString::to_string).collect();
    assert_eq!(pcis.len(), 36);
    let mut links = BTreeSet::new();
    for (dn, attributes) in &all {
        if let Some(target) = attributes.get("adjacentNRCellRef").and_then(|v| v.as_str()) {
            let (cell, _) = dn.rsplit_once(',').unwrap();
            assert!(all.contains_key(target), "{target}");
            links.insert((cell.to_owned(), target.to_owned()));
        }
    }
    assert!(links.iter().all(|(a, b)| links.contains(&(b.clone(), a.clone()))));
    // 12 stations of 3 cells: 6 inside each, 3 pairs in both directions between each two.
    assert_eq!(links.len(), 12 * 6 + 11 * 6);
}

#[test]
fn districts_have_their_own_order_of_operators_and_no_relation_between_them() {
    let trees = network(12, 3);
    let all: BTreeMap<_, _> = trees.iter().flat_map(objects).collect();
    let pcis: BTreeSet<String> =
        all.values().filter_map(|o| o.get("nRPCI")).map(ToString::to_string).collect();
    assert_eq!(pcis.len(), 36, "no PCI stands in both districts");
    let district = |dn: &str| dn.split(',').next().unwrap_or_default().to_owned();
    let mut stations = BTreeMap::new();
    for (dn, attributes) in &all {
        if let Some(prefix) = attributes.get("dnPrefix") {
            assert_eq!(prefix.as_str(), Some(district(dn).as_str()));
            *stations.entry(district(dn)).or_insert(0) += 1;
        }
        if let Some(target) = attributes.get("adjacentNRCellRef").and_then(|v| v.as_str()) {
            assert_eq!(district(target), district(dn), "{dn}");
        }
        if dn.contains("NRCellDU=") && !dn.contains("OperatorDU=") {
            let first = if dn.starts_with("SubNetwork=bj-west") { "01" } else { "11" };
            assert_eq!(attributes["pLMNInfoList"][0]["mnc"], first, "{dn}");
        }
    }
    assert_eq!(
        stations,
        BTreeMap::from([("SubNetwork=bj-east".into(), 9), ("SubNetwork=bj-west".into(), 3)])
    );
}

#[test]
fn carriers_lie_inside_the_band() {
    let hertz = |arfcn: u64| 3_000_000 + (arfcn - 600_000) * 15;
    assert_eq!((hertz(CARRIER), hertz(SSB)), (3_450_000, 3_449_280));
}
