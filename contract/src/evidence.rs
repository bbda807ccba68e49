//! Evidence that a log told two stories: two checkpoints of one size with different roots.

use anchor::transaction::EvidenceStatement;

use crate::call::Call;
use crate::checkpoint::verified_head;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::EvidenceRecord;
use crate::state::Writes;

/// Whoever saw both notes may hand them in; the origin's own signatures are what convicts it. One record for each
/// size is enough: a third root at the same size proves nothing more.
pub(crate) fn record(call: &Call<'_>, statement: &EvidenceStatement) -> Result<Writes, Refusal> {
    let origin = &statement.origin;
    let log_key = call.member(origin)?.log_key;
    let first = verified_head(call, origin, &statement.first, log_key)?;
    let second = verified_head(call, origin, &statement.second, log_key)?;
    if first.size != second.size || first.root == second.root {
        let reason = format!("the two checkpoints of `{origin}` are not of one size with different roots");
        return Err(Refusal::new(code::NO_FORK, reason));
    }
    let entry = key::evidence(origin, first.size);
    if call.view.get(&entry).is_some() {
        let reason = format!("that the log of `{origin}` forked at {} leaves is on record", first.size);
        return Err(Refusal::new(code::DUPLICATE, reason));
    }
    let record = EvidenceRecord {
        statement: statement.clone(),
        by: call.author_id().clone(),
        at: call.now,
        transaction: call.transaction,
    };
    let mut writes = Writes::default();
    writes.put(&entry, &record);
    Ok(writes)
}
