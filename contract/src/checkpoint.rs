//! Anchoring: a compare-and-swap on an origin's last checkpoint that only lets a log grow.

use std::cmp::Ordering;

use anchor::checkpoint::TreeHead;
use anchor::transaction::AnchorCheckpointStatement;
use anchor::tree::{empty_root, verify_consistency};
use anchor::{PublicKey, UnverifiedCheckpoint};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::AnchoredCheckpoint;
use crate::state::Writes;

pub(crate) fn anchor(call: &Call<'_>, statement: &AnchorCheckpointStatement) -> Result<Writes, Refusal> {
    let origin = &statement.origin;
    call.author_is_origin(origin)?;
    let log_key = call.member(origin)?.log_key;
    let new = verified_head(call, origin, &statement.checkpoint, log_key)?;
    let (old_size, old_root) = match call.view.get(&key::checkpoint(origin)) {
        Some(head) => (head.size, head.root),
        None => (0, empty_root()),
    };
    check_swap(statement, &new, old_size, &old_root)?;
    // RFC 9162 §2.1.4.2
    if verify_consistency(old_size, new.size, &old_root, &new.root, &statement.consistency).is_err() {
        let reason = format!(
            "the proof does not show that the log of `{origin}` with {} leaves extends the one with {old_size}",
            new.size
        );
        return Err(Refusal::new(code::INCONSISTENT, reason));
    }
    let head = AnchoredCheckpoint {
        size: new.size,
        root: new.root,
        checkpoint: statement.checkpoint.clone(),
        at: call.now,
        transaction: call.transaction,
    };
    let mut writes = Writes::default();
    writes.put(&key::checkpoint(origin), &head);
    Ok(writes)
}

/// The note is the origin's, in its one spelling and with the log's signature alone: cosignatures are made
/// after finality, and nothing that nobody checks gets into the state.
pub(crate) fn verified_head(
    call: &Call<'_>,
    origin: &str,
    note: &str,
    log_key: PublicKey,
) -> Result<TreeHead, Refusal> {
    let chain = call.view.get(&key::chain()).map(|chain| chain.chain_id).unwrap_or_default();
    let name = format!("{chain}/{origin}");
    let checkpoint =
        UnverifiedCheckpoint::parse(note.as_bytes()).and_then(|unverified| unverified.verify(&name, log_key));
    match checkpoint {
        Ok(checkpoint) if checkpoint.note().signatures.len() == 1 && checkpoint.to_string() == note => {
            Ok(checkpoint.head().clone())
        }
        _ => Err(Refusal::new(
            code::CHECKPOINT,
            format!("not a checkpoint of `{name}` with the signature of its log key and no other"),
        )),
    }
}

fn check_swap(
    statement: &AnchorCheckpointStatement,
    new: &TreeHead,
    old_size: u64,
    old_root: &anchor::Hash,
) -> Result<(), Refusal> {
    let origin = &statement.origin;
    let same_root = new.root == *old_root;
    match new.size.cmp(&old_size) {
        Ordering::Equal if same_root => Err(Refusal::new(
            code::NO_PROGRESS,
            format!("the log of `{origin}` is already anchored at {old_size} leaves with this root"),
        )),
        Ordering::Equal => Err(Refusal::new(
            code::FORK,
            format!("the log of `{origin}` is already anchored at {old_size} leaves with another root"),
        )),
        Ordering::Less | Ordering::Greater if statement.old_size != old_size => Err(Refusal::new(
            code::OLD_SIZE,
            format!("the log of `{origin}` is anchored at {old_size} leaves, not {}", statement.old_size),
        )),
        Ordering::Less => Err(Refusal::new(
            code::SHRINKS,
            format!("{} leaves are fewer than the {old_size} anchored of `{origin}`", new.size),
        )),
        Ordering::Greater => Ok(()),
    }
}
