//! What the mast gives to both generations: antennas, and the clock.

use super::StationPlan;
use crate::schema::OVERLAY;
use crate::seed;
use crate::tree::Element;

/// How an antenna is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Antenna {
    /// It forms beams: a 5G carrier's.
    Active,
    /// Its pattern is fixed: a 4G cell's.
    Passive,
}

impl Antenna {
    /// Its identity in the overlay module, what its tilt follows from, and the tilt of its housing in tenths of a degree.
    fn kind(self) -> (&'static str, &'static str, u64) {
        match self {
            Antenna::Active => ("active-antenna", "tilt", 30),
            Antenna::Passive => ("passive-antenna", "passive tilt", 20),
        }
    }
}

impl StationPlan {
    /// The antenna of a cell. Three sectors divide the circle, and both generations' antennas of one sector look
    /// the same way.
    pub(super) fn antenna(&self, antenna: Antenna, cell: usize) -> Element {
        let (kind, purpose, mechanical) = antenna.kind();
        let place = |purpose: &str, bound: u64| seed::number(self.seed, purpose, self.station as u64, bound);
        // Directions and tilts count tenths of a degree, heights here tenths of a metre: 25 m to 55 m.
        let azimuth = 100 * place("azimuth", 12) + 1200 * ((cell as u64 - 1) % 3);
        let height = 250 + 5 * place("height", 61);
        let electrical = 30 + 10 * seed::number(self.seed, purpose, (self.station * 1000 + cell) as u64, 7);
        Element::new(OVERLAY, "antenna")
            .with(leaf("kind", kind))
            .with(leaf("azimuth", azimuth))
            .with(leaf("electricalTilt", electrical))
            .with(leaf("mechanicalTilt", mechanical))
            .with(leaf("height", format!("{}.{}", height / 10, height % 10)))
    }

    /// How the gNB keeps time with those around it, without which its TDD pattern is of no use. Some stations have a
    /// transport network that carries a clock as well.
    pub(super) fn synchronisation(&self) -> Element {
        let transport = seed::number(self.seed, "clock", self.station as u64, 3) == 0;
        let sources: &[&str] = if transport { &["GNSS", "PTP", "SYNCE"] } else { &["GNSS", "PTP"] };
        let mut clock = Element::new(OVERLAY, "synchronisation");
        clock.children.extend(sources.iter().map(|source| leaf("sourcePriority", source)));
        clock.with(leaf("fallback", "PTP")).with(leaf("ptpDomain", 24)).with(leaf("holdover", 720))
    }
}

fn leaf(name: &str, value: impl ToString) -> Element {
    Element::leaf(OVERLAY, name, value.to_string())
}
