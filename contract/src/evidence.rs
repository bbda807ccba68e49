//! Evidence that a log told two stories: two checkpoints that cannot both be of it.

use anchor::transaction::EvidenceStatement;
use anchor::tree::verify_consistency;

use crate::call::Call;
use crate::checkpoint::verified_head;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::EvidenceRecord;
use crate::state::Writes;

/// Whoever saw both notes may hand them in; the origin's own signatures are what convicts it. The proof makes the second
/// note say what root the log had at the size of the first. One record for each such size is enough: a third root there
/// proves nothing more.
pub(crate) fn record(call: &Call<'_>, statement: &EvidenceStatement) -> Result<Writes, Refusal> {
    let origin = &statement.origin;
    let log_key = call.member(origin)?.log_key;
    let first = verified_head(call, origin, &statement.first, log_key)?;
    let second = verified_head(call, origin, &statement.second, log_key)?;
    // RFC 9162 §2.1.4.2
    let shown =
        verify_consistency(first.size, second.size, &statement.root, &second.root, &statement.consistency);
    if shown.is_err() {
        let reason = format!(
            "the proof does not show which root the log of `{origin}` with {} leaves had at {}",
            second.size, first.size
        );
        return Err(Refusal::new(code::INCONSISTENT, reason));
    }
    if first.root == statement.root {
        let reason = format!("the two checkpoints of `{origin}` do not contradict each other");
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
