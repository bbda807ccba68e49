//! What a gNB knows of the gNBs around it: their identities, and the frequency their cells are found on.

use super::{GNB_ID_LENGTH, Operator, SSB, StationPlan, element_name, gnb_id, leaf, object};
use crate::schema::NR;
use crate::tree::Element;

/// Band of 3300–3800 MHz (TS 38.104 §5.2).
const BAND: u64 = 78;

/// The one frequency of the network, by its number.
pub(super) fn frequency() -> Element {
    object(
        "NRFrequency",
        &SSB.to_string(),
        vec![
            leaf("absoluteFrequencySSB", SSB),
            leaf("sSBSubCarrierSpacing", 30),
            leaf("multiFrequencyBandListNR", BAND),
        ],
    )
}

impl StationPlan {
    /// A gNB around, with those of its cells that this station's have relations to: all of them.
    pub(super) fn external_gnb(&self, station: usize) -> Element {
        let [primary, _] = self.district().operators();
        let mut unit = object(
            "ExternalGNBCUCPFunction",
            &element_name(station),
            vec![
                leaf("gNBId", gnb_id(station)),
                leaf("gNBIdLength", GNB_ID_LENGTH),
                network("pLMNId", primary),
            ],
        );
        unit.children.extend((1..=self.cells).map(|cell| self.external_cell(station, cell)));
        unit
    }

    fn external_cell(&self, station: usize, cell: usize) -> Element {
        let mut operators = self.district().operators();
        // The order of this list means nothing, so it is the canonical one.
        operators.sort_by_key(|(_, mcc, mnc)| (*mcc, *mnc));
        let frequency = format!("{},GNBCUCPFunction=1,NRFrequency={SSB}", self.element_dn());
        let mut attributes = vec![leaf("cellLocalId", cell), leaf("nRPCI", self.pci(station, cell))];
        attributes.extend(operators.map(|operator| network("pLMNIdList", operator)));
        attributes.push(leaf("nRFrequencyRef", frequency));
        object("ExternalNRCellCU", &cell.to_string(), attributes)
    }
}

fn network(name: &str, (_, mcc, mnc): Operator) -> Element {
    Element::new(NR, name).with(leaf("mcc", mcc)).with(leaf("mnc", mnc))
}
