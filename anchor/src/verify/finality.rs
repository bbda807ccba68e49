//! Steps `headers`, `certificates`, `validators`: the blocks are final on the verifier's own chain.

use std::collections::BTreeSet;

use crate::bundle::Bundle;
use crate::certificate::CommitCertificate;
use crate::hash::Hash;
use crate::header::Header;
use crate::trust::Trust;

use super::chain::Chain;
use super::report::{Finding, Refuted, StepResult, refuted};

/// The rules that this verifier knows. Later ones may change validators or the meaning of transactions.
const RULES_VERSION: u32 = 1;

pub(super) fn headers(bundle: &Bundle, chain: &Chain, trust: &Trust) -> StepResult<()> {
    let mut used: BTreeSet<u64> = chain.transactions.iter().map(|t| t.height).collect();
    used.extend(bundle.chain.standing.as_ref().map(|s| s.height));
    let mut previous: Option<&Header> = None;
    for (height, header) in &chain.headers {
        if header.chain_id != trust.chain_id() {
            return refuted(format!("header {height} is of chain `{}`", header.chain_id));
        }
        if header.rules_version != RULES_VERSION {
            let version = header.rules_version;
            return refuted(format!("header {height} has rules version {version}; this verifier knows 1"));
        }
        if !used.contains(height) {
            return refuted(format!("header {height} belongs to nothing in the bundle"));
        }
        if *height == 1 && header.previous != Hash::ZERO {
            return refuted("the first header has a predecessor");
        }
        if let Some(previous) = previous {
            check_successor(previous, header)?;
        }
        previous = Some(header);
    }
    let sentence = match (chain.headers.keys().next(), chain.headers.keys().next_back()) {
        (Some(first), Some(last)) => format!("{} headers between {first} and {last}", chain.headers.len()),
        _ => "none".to_owned(),
    };
    Ok(((), Finding::Pass(sentence)))
}

fn check_successor(earlier: &Header, later: &Header) -> Result<(), Refuted> {
    if later.time <= earlier.time {
        let heights = (earlier.height, later.height);
        return refuted(format!("time does not grow between headers {} and {}", heights.0, heights.1));
    }
    if Some(later.height) == earlier.height.checked_add(1) && later.previous != earlier.hash() {
        return refuted(format!("header {} does not follow header {}", later.height, earlier.height));
    }
    Ok(())
}

/// More than two thirds of the trusted power signed each header, distinct signers.
pub(super) fn certificates(bundle: &Bundle, chain: &Chain, trust: &Trust) -> StepResult<()> {
    for (block, header) in bundle.chain.blocks.iter().zip(chain.headers.values()) {
        let at = |e: String| Refuted(format!("header {}: {e}", header.height));
        let certificate = CommitCertificate::decode(&block.certificate.0).map_err(|e| at(e.to_string()))?;
        if certificate.height != header.height || certificate.header != header.hash() {
            return Err(at("the certificate is for another header".into()));
        }
        certificate.verify(trust.genesis(), trust.validators()).map_err(|e| at(e.to_string()))?;
    }
    let total = trust.validators().total_power();
    let count = chain.headers.len();
    let sentence = format!("{count} headers signed by more than two thirds of the voting power {total}");
    Ok(((), Finding::Pass(sentence)))
}

/// The headers name the verifier's validators, before and after.
pub(super) fn validators(chain: &Chain, trust: &Trust) -> StepResult<()> {
    let trusted = trust.validators().hash();
    for (height, header) in &chain.headers {
        if header.valset != trusted {
            return refuted(format!("header {height} is of other validators than the trust file's"));
        }
        if header.next_valset != header.valset {
            let sentence = "changes the validators, which rules version 1 does not provide for";
            return refuted(format!("header {height} {sentence}"));
        }
    }
    let count = trust.validators().0.len();
    Ok(((), Finding::Pass(format!("the {count} of the trust file, unchanged"))))
}
