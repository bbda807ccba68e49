//! Where the claimed request stands in the contract's state, as of a header of the bundle.

use crate::bundle::Bundle;
use crate::hash::Hash;
use crate::standing::{Standing, change_key};

use super::chain::Chain;
use super::report::{Gaps, Refuted, refuted};

/// A standing, proven in the state after the block at `height`. Whether that block is final is for other steps.
#[derive(Debug)]
pub(super) struct Shown {
    pub height: u64,
    pub standing: Standing,
}

/// The standing of the request `id`, which must be of this very statement and say what its approvals say.
pub(super) fn shown(
    bundle: &Bundle,
    chain: &Chain,
    id: &str,
    statement: Hash,
    approved: Option<u64>,
) -> Result<Option<Shown>, Refuted> {
    let Some(evidence) = &bundle.chain.standing else { return Ok(None) };
    let (height, value) = (evidence.height, &evidence.value.0);
    let Some(header) = chain.headers.get(&height) else {
        return refuted(format!("the standing of `{id}` is of height {height}, which has no header"));
    };
    let verified = evidence.proof.verify(&header.state_root, change_key(id).as_bytes(), Some(value));
    verified.map_err(|e| Refuted(format!("the standing of `{id}` is not under header {height}: {e}")))?;
    let standing = Standing::decode(value).map_err(|e| Refuted(e.to_string()))?;
    if standing.statement != statement {
        return refuted(format!("the standing of `{id}` is of another statement"));
    }
    if let Some(rejected) = standing.rejected {
        return refuted(format!("`{id}` was rejected at {}", rejected.height));
    }
    let finalized = standing.finalized.map(|moment| moment.height);
    if let Some(approved) = approved.filter(|approved| *approved <= height)
        && finalized != Some(approved)
    {
        let said = finalized.map_or("never".to_owned(), |height| format!("at {height}"));
        return refuted(format!(
            "`{id}` was approved {said} by its standing, at {approved} by its approvals"
        ));
    }
    Ok(Some(Shown { height, standing }))
}

impl Shown {
    /// An approval that was taken back until the opening at `opened` authorises nothing that this round saw first.
    pub(super) fn check(&self, id: &str, opened: u64, gaps: &mut Gaps) -> Result<(), Refuted> {
        let height = self.height;
        match self.standing.withdrawn {
            Some(moment) if moment.height <= opened => refuted(format!(
                "expired: `{id}` was withdrawn at {}, not after the round opened at {opened}; `exact` does not hold",
                moment.height
            )),
            _ if height < opened => {
                gaps.add(format!(
                    "`{id}` is shown as it stood at {height}: it could have been withdrawn before the round opened at \
                     {opened}"
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
