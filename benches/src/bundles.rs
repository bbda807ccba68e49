//! Checking evidence offline. Nobody else reads these bundles, so the kinds stand beside each other.

use std::hint::black_box;

use anchor::verify::Outcome;
use anchor::{Trust, verify as check};
use anyhow::{Result, ensure};

use crate::meter::{Contestant, Race, Unit};

const TRUST: &[u8] = include_bytes!("../../anchor/tests/vectors/trust.yaml");

/// The bundles of `docs/formats.md`.
const BUNDLES: [(&str, &[u8]); 4] = [
    ("a violation", include_bytes!("../../anchor/tests/vectors/violation.bundle.json")),
    ("a change", include_bytes!("../../anchor/tests/vectors/change.bundle.json")),
    ("a round", include_bytes!("../../anchor/tests/vectors/round.bundle.json")),
    ("a violation, judged twice", include_bytes!("../../anchor/tests/vectors/judged.bundle.json")),
];

/// From a bundle's bytes to the verifier's word, every signature checked.
pub fn verify() -> Result<Race<'static>> {
    let mut contestants = Vec::new();
    for (name, bytes) in BUNDLES {
        let trust = Trust::parse(TRUST)?;
        let outcome = check(bytes, &trust).outcome;
        ensure!(outcome == Outcome::Verified, "the bundle of {name} is {outcome:?}");
        contestants.push(Contestant::new(name, "", move || {
            black_box(check(bytes, &trust));
        }));
    }
    Ok(Race { name: "verify a bundle".into(), unit: Unit::Micros, contestants })
}
