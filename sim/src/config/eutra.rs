//! The eNB: 4G cells that the same operators share, and what it knows of the eNBs around it.

use super::site::Antenna;
use super::{District, StationPlan, element_name, object};
use crate::schema::EUTRA;
use crate::seed;
use crate::tree::Element;

/// The most 4G cells of a station: a thin layer of coverage below the many 5G cells that carry the load.
const MOST_CELLS: usize = 2;
/// Physical cell identities of E-UTRA (TS 36.211 §6.11).
const IDENTITIES: u64 = 504;
/// From a downlink of band 3 to its uplink (TS 36.101 §5.7.3).
const DUPLEX: u64 = 18_000;

/// The global eNB id of a station.
fn enb_id(station: usize) -> u64 {
    460_000 + station as u64
}

impl StationPlan {
    /// How many 4G cells each station has.
    fn eutra_cells(&self) -> usize {
        self.cells.min(MOST_CELLS)
    }

    /// EARFCN in the middle of the 1.8 GHz that the master operator brought in: 1870 MHz of Telecom's, 1850 MHz of
    /// Unicom's, which is 1200 + (f − 1805 MHz) / 100 kHz (TS 36.101 §5.7.3).
    fn earfcn(&self) -> u64 {
        match self.district() {
            District::East => 1_850,
            District::West => 1_650,
        }
    }

    pub(super) fn enb(&self) -> Element {
        let attributes = vec![
            leaf("userLabel", format!("enb-{:04}", self.station)),
            leaf("eNBId", enb_id(self.station)),
            leaf("intraANRSwitch", "false"),
        ];
        let mut enb = object("ENBFunction", "1", attributes);
        enb.children.extend((1..=self.eutra_cells()).map(|cell| self.eutra_cell(cell)));
        enb.children.extend(self.stations_around().map(|other| self.external_enb(other)));
        enb
    }

    fn eutra_cell(&self, cell: usize) -> Element {
        let mut attributes =
            vec![leaf("administrativeState", "UNLOCKED"), leaf("operationalState", "ENABLED")];
        attributes.extend(self.eutra_identity(self.station, cell));
        attributes.extend([
            leaf("maximumTransmissionPower", 46),
            leaf("referenceSignalPower", 15),
            leaf("earfcnDl", self.earfcn()),
            leaf("earfcnUl", self.earfcn() + DUPLEX),
            self.antenna(Antenna::Passive, cell),
        ]);
        let mut object = object("EUtranCellFDD", &cell.to_string(), attributes);
        let neighbours = self.neighbours(cell, self.eutra_cells());
        object
            .children
            .extend(neighbours.map(|(station, neighbour)| self.eutra_relation(station, neighbour)));
        object
    }

    /// How a cell is known, to its own station and to those around.
    fn eutra_identity(&self, station: usize, cell: usize) -> Vec<Element> {
        let operators = self.district().operators();
        let mut attributes = vec![
            leaf("cellLocalId", cell),
            leaf("pci", self.eutra_pci(station, cell)),
            leaf("tac", self.tac_of(station)),
        ];
        attributes.extend(operators.map(|(_, mcc, mnc)| {
            Element::new(EUTRA, "plmnIdList").with(leaf("mcc", mcc)).with(leaf("mnc", mnc))
        }));
        attributes
    }

    /// Every 4G cell of the network has one of its own while there are at most 504.
    fn eutra_pci(&self, station: usize, cell: usize) -> u64 {
        let first = 3 * seed::number(self.seed, "eutra pci", 0, IDENTITIES / 3);
        (first + ((station - 1) * self.eutra_cells() + cell - 1) as u64) % IDENTITIES
    }

    /// The way to another cell of the station, or to one of another station as this one knows it.
    fn eutra_relation(&self, station: usize, cell: usize) -> Element {
        // ECI: eNB id and cell id in 28 bits (TS 36.300 §8.2).
        let identity = (enb_id(station) << 8) | cell as u64;
        let name = element_name(station);
        let target = if station == self.station {
            format!("EUtranCellFDD={cell}")
        } else {
            format!("ExternalENBFunction={name},ExternalEUtranCellFDD={cell}")
        };
        object(
            "EUtranRelation",
            &format!("{name}-{cell}"),
            vec![
                leaf("tCI", identity),
                leaf("adjacentCell", format!("{},ENBFunction=1,{target}", self.element_dn())),
                leaf("isHOAllowed", "true"),
                leaf("isLBAllowed", "true"),
            ],
        )
    }

    fn external_enb(&self, station: usize) -> Element {
        let mut enb =
            object("ExternalENBFunction", &element_name(station), vec![leaf("eNBId", enb_id(station))]);
        enb.children.extend((1..=self.eutra_cells()).map(|cell| {
            let mut attributes = self.eutra_identity(station, cell);
            attributes.extend([leaf("earfcnDl", self.earfcn()), leaf("earfcnUl", self.earfcn() + DUPLEX)]);
            object("ExternalEUtranCellFDD", &cell.to_string(), attributes)
        }));
        enb
    }
}

fn leaf(name: &str, value: impl ToString) -> Element {
    Element::leaf(EUTRA, name, value.to_string())
}
