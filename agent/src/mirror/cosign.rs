//! This agent as a cosigner of other members' logs, and others as cosigners of its own.

use anchor::note::{MAX_NOTE_BYTES, NoteKey, NoteKeyKind, SignedNote};
use anchor::transaction::MemberId;
use anchor::{Checkpoint, Genesis, SigningKey, UnverifiedCheckpoint};
use anyhow::Context as _;
use model::Timestamp;
use store::{CosignatureRow, MirrorHead, Store};

use super::Log;
use super::pull::{MirrorError, Source};

/// A member whose cosignatures count.
#[derive(Debug, Clone)]
pub(crate) struct Cosigner {
    pub member: MemberId,
    pub key: NoteKey,
}

impl Cosigner {
    /// `name` is the key name, the same as that of the member's log. `None` if it cannot be one.
    pub fn new(member: &str, name: &str, key: anchor::PublicKey) -> Option<Cosigner> {
        let key = NoteKey::new(name, NoteKeyKind::Cosignature, key).ok()?;
        Some(Cosigner { member: member.to_owned(), key })
    }
}

/// Vouches for a mirrored head and signs it; `None` for a log whose origin signed two stories, and for one's own.
///
/// The intention is durable before the signature exists. A crash between leaves the intention, and the next call makes
/// the same signature: Ed25519 draws nothing and the time comes from the record.
pub(crate) async fn cosign(
    store: &Store,
    us: &Cosigner,
    secret: &SigningKey,
    log: &Log,
    head: &MirrorHead,
    now: Timestamp,
) -> Result<Option<CosignatureRow>, MirrorError> {
    if us.member == log.member {
        return Ok(None);
    }
    if store.forks_of(&log.member).await?.iter().any(|fork| fork.kind.is_signed()) {
        return Ok(None);
    }
    let checkpoint = log.verified(head.note.as_bytes()).ok_or_else(|| log.damaged())?;
    let vouched = store.vouch(&log.member, head.size, &head.root, now).await?;
    if (checkpoint.head().size, checkpoint.head().root) != (vouched.size, vouched.root) {
        return Err(log.damaged());
    }
    let seconds = vouched.signed.to_unsigned() / 1_000;
    let signature = us.key.sign(secret, &checkpoint.note().text, seconds);
    let row = CosignatureRow {
        origin: log.member.clone(),
        size: vouched.size,
        root: vouched.root,
        member: us.member.clone(),
        line: signature.to_string(),
        time: Timestamp::from_unsigned(seconds.saturating_mul(1_000)),
    };
    store.add_cosignature(&row).await?;
    Ok(Some(row))
}

/// An anchored checkpoint with one cosignature line: what one agent answers another.
pub(crate) fn cosigned_note(note: &str, line: &str) -> String {
    format!("{note}{line}\n")
}

/// Asks `cosigner` for its newest cosignature over our log, and keeps it. Returns the size it is over; `None` where it
/// has none that counts yet.
pub(crate) async fn collect(
    store: &Store,
    source: &impl Source,
    cosigner: &Cosigner,
    log: &Log,
) -> Result<Option<u64>, MirrorError> {
    let path = format!("/peer/v1/cosignatures/{}", log.member);
    let Some(bytes) = source.get(&path, MAX_NOTE_BYTES).await? else { return Ok(None) };
    let wrong =
        |why: String| MirrorError::NotUnderstood { member: cosigner.member.clone(), path: path.clone(), why };
    let note = UnverifiedCheckpoint::parse(&bytes).and_then(|note| note.verify(&log.name, log.key));
    let note = note.map_err(|e| wrong(e.to_string()))?;
    let signed = note.cosignatures(std::slice::from_ref(&cosigner.key)).map_err(|e| wrong(e.to_string()))?;
    let ([signed], Some(line)) = (signed.as_slice(), note.note().signatures.get(1)) else {
        return Err(wrong("it carries no cosignature of its own".into()));
    };
    let (size, root) = (note.head().size, note.head().root);
    let anchored = store.chain_anchor_at(&log.member, size).await?;
    if anchored.is_none_or(|anchor| anchor.root != root) {
        // Our own view of the chain is behind, or somebody signs with our key. The next look tells.
        return Ok(None);
    }
    let row = CosignatureRow {
        origin: log.member.clone(),
        size,
        root,
        member: cosigner.member.clone(),
        line: line.to_string(),
        time: Timestamp::from_unsigned(signed.time.saturating_mul(1_000)),
    };
    store.add_cosignature(&row).await?;
    Ok(Some(size))
}

/// Adds to a checkpoint of `member`'s log all cosignatures over it that are here.
pub(crate) async fn add_all(
    checkpoint: &mut Checkpoint,
    store: &Store,
    genesis: &Genesis,
    member: &str,
) -> anyhow::Result<()> {
    let keys = super::cosigners(genesis);
    for row in store.cosignatures_at(member, checkpoint.head().size).await? {
        let Some(cosigner) = keys.iter().find(|c| c.member == row.member) else { continue };
        // A line is read as part of a note.
        let note = SignedNote::parse(
            cosigned_note(&checkpoint.without_cosignatures().to_string(), &row.line).as_bytes(),
        )?;
        let signature = note.signatures.into_iter().nth(1).context("a cosignature without its line")?;
        checkpoint.add_cosignature(signature, &cosigner.key)?;
    }
    Ok(())
}
