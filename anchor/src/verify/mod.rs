//! Offline verification of a bundle against the verifier's own trust file, step by named step.
//!
//! Pure: bytes and trust in, [`Report`] out. The steps, in order, are [`STEPS`]; the first that fails ends the
//! verification, missing evidence lets the others run and makes the result incomplete.

mod agreement;
mod approvals;
mod chain;
mod finality;
mod judgements;
mod log;
mod observations;
mod order;
mod record;
mod report;
mod standing;

pub use order::CLOCK_TOLERANCE;
pub use report::{BOUNDARY, Outcome, Report, STEPS, Status, Step};

use crate::bundle::Bundle;
use crate::trust::Trust;
use report::{Run, Stopped};

/// Verifies the bytes of a bundle.
pub fn verify(bytes: &[u8], trust: &Trust) -> Report {
    let bundle = match Bundle::decode(bytes) {
        Ok(bundle) => bundle,
        Err(error) => return Report::malformed(trust, &error.to_string()),
    };
    let mut run = Run::new(trust, &bundle.subject, bytes.len());
    // A stopped run has the failing step on record; nothing else is to be done about it.
    let _: Result<(), Stopped> = steps(&bundle, trust, &mut run);
    run.finish()
}

/// The verification on one screen: what each step takes from those before it.
fn steps(bundle: &Bundle, trust: &Trust, run: &mut Run) -> Result<(), Stopped> {
    let claim = run.step("record", record::check(bundle))?;
    let proof = run.step("inclusion", log::inclusion(bundle))?;
    let checkpoint = run.step("checkpoint", log::checkpoint(&proof, trust))?;
    let origin = run.step("origin", log::origin(bundle, &checkpoint, trust))?;
    run.step("cosignatures", log::cosignatures(&checkpoint, bundle.subject.kind, &origin, trust))?;
    let chain = run.step("receipts", chain::receipts(bundle, &checkpoint, &origin, trust))?;
    run.step("headers", finality::headers(bundle, &chain, trust))?;
    run.step("certificates", finality::certificates(bundle, &chain, trust))?;
    run.step("validators", finality::validators(&chain, trust))?;
    let request = run.step("approvals", approvals::request(bundle, &claim, &chain, trust))?;
    let rounds = run.step("agreement", agreement::check(bundle, &claim, &chain, &request, &origin, trust))?;
    run.step("openings", observations::openings(bundle, &claim, trust))?;
    run.step("judgements", judgements::check(bundle, &claim, &chain, &rounds, &origin, trust))?;
    run.step("order", order::check(&claim, &request, &rounds))
}
