//! The configuration a shared station starts with: a gNB, and an eNB on the same mast.
//!
//! Generated from (seed, station, cells): the same three give the same bytes anywhere. What the operators
//! share is consistent at first: no two cells of the network have one PCI, relations are mutual, carriers lie
//! in 3400–3500 MHz, both PLMNs stand in the agreed order: that of the district, whose master operator comes first.
//! What a station knows of its neighbours' cells is what they are.

mod eutra;
mod external;
mod site;
#[cfg(test)]
mod tests;

use self::site::Antenna;
use crate::schema::{self, MANAGED_ELEMENT, NR, OVERLAY};
use crate::seed;
use crate::tree::Element;

/// An operator on every cell: name, MCC, MNC.
type Operator = (&'static str, &'static str, &'static str);

const TELECOM: Operator = ("telecom", "460", "11");
const UNICOM: Operator = ("unicom", "460", "01");

/// A part of the network that one master operator manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum District {
    /// Telecom's.
    East,
    /// Unicom's.
    West,
}

impl District {
    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            District::East => "bj-east",
            District::West => "bj-west",
        }
    }

    /// The first RDN of every DN here.
    pub fn subnetwork(self) -> &'static str {
        match self {
            District::East => "SubNetwork=bj-east",
            District::West => "SubNetwork=bj-west",
        }
    }

    /// The operators on every cell here, in the order of `pLMNInfoList`.
    fn operators(self) -> [Operator; 2] {
        match self {
            District::East => [TELECOM, UNICOM],
            District::West => [UNICOM, TELECOM],
        }
    }
}

/// The most cells a station has: relations grow with the square.
pub const MAX_CELLS: usize = 64;

/// ARFCN of 3450 MHz, the middle of 3400–3500: 600000 + (3450 − 3000) MHz / 15 kHz (TS 38.104 §5.4.2.1).
const CARRIER: u64 = 630_000;
/// ARFCN of the SSB: raster point 3000 MHz + 312 × 1.44 MHz (TS 38.104 §5.4.3.1).
const SSB: u64 = 629_952;
/// Bits of the gNB id in a cell identity.
const GNB_ID_LENGTH: u64 = 24;

/// One station of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StationPlan {
    /// The network's seed.
    pub seed: u64,
    /// The station, from 1.
    pub station: usize,
    /// How many stations the network has.
    pub stations: usize,
    /// Cells per station.
    pub cells: usize,
    /// How many stations, the last ones, lie in the western district.
    pub west: usize,
}

/// The name of a station's managed element.
pub fn element_name(station: usize) -> String {
    format!("gnb-{station:04}")
}

/// The global gNB id of a station.
pub fn gnb_id(station: usize) -> u64 {
    4_600_000 + station as u64
}

impl StationPlan {
    /// Where the station lies.
    pub fn district(&self) -> District {
        self.district_of(self.station)
    }

    fn district_of(&self, station: usize) -> District {
        if station + self.west > self.stations { District::West } else { District::East }
    }

    /// The DN of the station's managed element.
    pub fn element_dn(&self) -> String {
        self.dn_of(self.station)
    }

    fn dn_of(&self, station: usize) -> String {
        format!("{},ManagedElement={}", self.district_of(station).subnetwork(), element_name(station))
    }

    /// The whole initial configuration.
    pub fn configuration(&self) -> Element {
        let station = self.station;
        let vendor = seed::number(self.seed, "vendor", station as u64, 2);
        let attributes = Element::new(MANAGED_ELEMENT, "attributes")
            .with(Element::leaf(MANAGED_ELEMENT, "dnPrefix", self.district().subnetwork()))
            .with(Element::leaf(MANAGED_ELEMENT, "managedElementTypeList", "ENB"))
            .with(Element::leaf(MANAGED_ELEMENT, "managedElementTypeList", "GNB"))
            .with(Element::leaf(MANAGED_ELEMENT, "userLabel", element_name(station)))
            .with(Element::leaf(
                MANAGED_ELEMENT,
                "locationName",
                format!("{} site {station:04}", self.district().name()),
            ))
            .with(Element::leaf(
                MANAGED_ELEMENT,
                "vendorName",
                ["sim-north", "sim-south"][usize::from(vendor == 1)],
            ))
            .with(Element::leaf(
                MANAGED_ELEMENT,
                "swVersion",
                ["N-24.2.1", "S.9.40"][usize::from(vendor == 1)],
            ));
        Element::new(MANAGED_ELEMENT, "ManagedElement")
            .with(Element::leaf(MANAGED_ELEMENT, "id", element_name(station)))
            .with(attributes)
            .with(self.distributed_unit())
            .with(self.central_unit())
            .with(self.enb())
    }

    fn distributed_unit(&self) -> Element {
        let mut unit = object(
            "GNBDUFunction",
            "1",
            vec![
                leaf("gNBId", gnb_id(self.station)),
                leaf("gNBIdLength", GNB_ID_LENGTH),
                leaf("gNBDUId", 1),
                leaf("gNBDUName", format!("{}-du", element_name(self.station))),
                self.synchronisation(),
            ],
        );
        unit.children.extend((1..=self.cells).map(|cell| self.cell_du(cell)));
        unit.children.extend((1..=self.cells).map(|cell| self.sector_carrier(cell)));
        unit.children.extend(self.district().operators().map(|operator| self.operator(operator)));
        unit
    }

    fn cell_du(&self, cell: usize) -> Element {
        let carrier = format!("{},GNBDUFunction=1,NRSectorCarrier={cell}", self.element_dn());
        let mut attributes = vec![
            leaf("administrativeState", "UNLOCKED"),
            leaf("operationalState", "ENABLED"),
            leaf("cellLocalId", cell),
        ];
        attributes.extend(self.district().operators().map(plmn));
        attributes.extend([
            leaf("nRPCI", self.pci(self.station, cell)),
            leaf("nRTAC", self.tac()),
            leaf("arfcnDL", CARRIER),
            leaf("arfcnUL", CARRIER),
            leaf("bSChannelBwDL", 100),
            leaf("bSChannelBwUL", 100),
            leaf("ssbFrequency", SSB),
            leaf("ssbPeriodicity", 20),
            leaf("ssbSubCarrierSpacing", 30),
            leaf("ssbOffset", 0),
            leaf("ssbDuration", 1),
            leaf("nRSectorCarrierRef", carrier),
            Element::leaf(OVERLAY, "prachRootSequenceIndex", ((self.station * 10 + cell) % 838).to_string()),
            tdd_pattern(),
        ]);
        object("NRCellDU", &cell.to_string(), attributes)
    }

    fn sector_carrier(&self, cell: usize) -> Element {
        let step = seed::number(self.seed, "power", (self.station * 1000 + cell) as u64, 3);
        object(
            "NRSectorCarrier",
            &cell.to_string(),
            vec![
                leaf("txDirection", "DL_AND_UL"),
                leaf("configuredMaxTxPower", 160_000 + 20_000 * step),
                leaf("arfcnDL", CARRIER),
                leaf("arfcnUL", CARRIER),
                leaf("bSChannelBwDL", 100),
                leaf("bSChannelBwUL", 100),
                self.antenna(Antenna::Active, cell),
            ],
        )
    }

    fn operator(&self, operator: Operator) -> Element {
        let mut unit = object(
            "OperatorDU",
            operator.0,
            vec![
                leaf("userLabel", operator.0),
                leaf("gNBId", gnb_id(self.station)),
                leaf("gNBIdLength", GNB_ID_LENGTH),
            ],
        );
        unit.children.extend((1..=self.cells).map(|cell| {
            object(
                "NROperatorCellDU",
                &cell.to_string(),
                vec![
                    leaf("cellLocalId", cell),
                    leaf("administrativeState", "UNLOCKED"),
                    leaf("nRTAC", self.tac()),
                    plmn(operator),
                ],
            )
        }));
        unit
    }

    fn central_unit(&self) -> Element {
        let mut unit = object(
            "GNBCUCPFunction",
            "1",
            vec![
                leaf("gNBId", gnb_id(self.station)),
                leaf("gNBIdLength", GNB_ID_LENGTH),
                leaf("gNBCUName", format!("{}-cu", element_name(self.station))),
            ],
        );
        unit.children.extend((1..=self.cells).map(|cell| {
            let mut attributes = vec![leaf("cellLocalId", cell)];
            attributes.extend(self.district().operators().map(plmn));
            let mut cell_cu = object("NRCellCU", &cell.to_string(), attributes);
            cell_cu.children.extend(
                self.neighbours(cell, self.cells).map(|(at, neighbour)| self.relation(at, neighbour)),
            );
            cell_cu
        }));
        unit.children.push(external::frequency());
        unit.children.extend(self.stations_around().map(|other| self.external_gnb(other)));
        unit
    }

    /// The other of the station's `cells`, then the cell of the same number on the stations around.
    fn neighbours(&self, cell: usize, cells: usize) -> impl Iterator<Item = (usize, usize)> {
        let station = self.station;
        let own = (1..=cells).filter(move |other| *other != cell).map(move |other| (station, other));
        own.chain(self.stations_around().map(move |other| (other, cell)))
    }

    /// The stations before and after, as far as they lie in the same district: nobody judges relations into a
    /// district that another operator reads.
    fn stations_around(&self) -> impl Iterator<Item = usize> {
        let around = [self.station - 1, self.station + 1].into_iter();
        around.filter(|other| self.exists(*other) && self.district_of(*other) == self.district())
    }

    fn exists(&self, station: usize) -> bool {
        (1..=self.stations).contains(&station)
    }

    fn relation(&self, station: usize, cell: usize) -> Element {
        // NCI: gNB id and cell id in 36 bits (TS 38.300 §8.2).
        let identity = (gnb_id(station) << (36 - GNB_ID_LENGTH)) | cell as u64;
        let target = format!("{},GNBCUCPFunction=1,NRCellCU={cell}", self.dn_of(station));
        object(
            "NRCellRelation",
            &format!("{}-{cell}", element_name(station)),
            vec![leaf("nRTCI", identity), leaf("adjacentNRCellRef", target), leaf("isHOAllowed", "true")],
        )
    }

    /// Every cell of the network has a PCI of its own while there are at most 1008.
    fn pci(&self, station: usize, cell: usize) -> u64 {
        let first = 3 * seed::number(self.seed, "pci", 0, 336);
        (first + ((station - 1) * self.cells + cell - 1) as u64) % 1008
    }

    fn tac(&self) -> u64 {
        self.tac_of(self.station)
    }

    /// Eight neighbouring stations share a tracking area.
    fn tac_of(&self, station: usize) -> u64 {
        4_601 + (station as u64 - 1) / 8
    }
}

fn leaf(name: &str, value: impl ToString) -> Element {
    Element::leaf(NR, name, value.to_string())
}

/// An object in the namespace of its class.
fn object(class: &str, id: &str, attributes: Vec<Element>) -> Element {
    let known = schema::class(class);
    debug_assert!(known.is_some(), "{class} is in the schema");
    let namespace = known.map_or(NR, |class| class.namespace);
    let mut container = Element::new(namespace, "attributes");
    container.children = attributes;
    Element::new(namespace, class).with(Element::leaf(namespace, "id", id)).with(container)
}

fn plmn((_, mcc, mnc): Operator) -> Element {
    Element::new(NR, "pLMNInfoList")
        .with(leaf("mcc", mcc))
        .with(leaf("mnc", mnc))
        .with(leaf("sst", 1))
        .with(leaf("sd", "FFFFFF"))
}

fn tdd_pattern() -> Element {
    let part = |name: &str, value: &str| Element::leaf(OVERLAY, name, value);
    Element::new(OVERLAY, "tddPattern")
        .with(part("dlULTransmissionPeriodicity", "ms5"))
        .with(part("nrofDownlinkSlots", "7"))
        .with(part("nrofDownlinkSymbols", "6"))
        .with(part("nrofUplinkSlots", "2"))
        .with(part("nrofUplinkSymbols", "4"))
}
