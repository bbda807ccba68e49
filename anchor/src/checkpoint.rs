//! Checkpoints of a log (C2SP tlog-checkpoint): origin, size, root, and who vouches for them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::Hash;
use crate::key::{PublicKey, SigningKey};
use crate::note::{NoteError, NoteKey, NoteKeyKind, NoteSignature, SignedNote, is_key_name};

/// What a checkpoint says: the log `origin` had `size` leaves with this `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// A checkpoint as somebody sent it. [`UnverifiedCheckpoint::verify`] is the only way to a [`Checkpoint`]
/// for those who do not hold the log's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedCheckpoint {
    note: SignedNote,
    head: TreeHead,
}

/// A checkpoint that the log's key signed: made by [`Checkpoint::sign`] or by a successful verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    note: SignedNote,
    head: TreeHead,
}

/// A cosignature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the cosigner's key.
    pub name: String,
    /// When it was made, seconds since 1970 UTC by the cosigner's clock.
    pub time: u64,
}

/// Why a checkpoint is not one, or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("checkpoint text is not origin, size and root on three lines")]
    Malformed,
    #[error("checkpoint is of the log `{found}`, not `{expected}`")]
    WrongOrigin { found: String, expected: String },
    #[error("the first signature of the checkpoint is not made by the log key of `{0}`")]
    NotSignedByLog(String),
    #[error("the checkpoint carries a signature of `{0}`, a key that is not known here")]
    UnknownSigner(String),
    #[error("the cosignature of `{0}` does not verify")]
    BadCosignature(String),
    #[error("cosignatures are not in the order of their names, each once, at `{0}`")]
    UnorderedCosignatures(String),
}

impl TreeHead {
    /// The note's text.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.0))
    }

    /// Refuses extension lines: nothing of ours writes them.
    pub fn parse(text: &str) -> Result<TreeHead, CheckpointError> {
        parse_head(text).ok_or(CheckpointError::Malformed)
    }
}

fn parse_head(text: &str) -> Option<TreeHead> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    if lines.next().is_some() || !is_key_name(origin) {
        return None;
    }
    let root = Hash(BASE64.decode(root).ok()?.try_into().ok()?);
    Some(TreeHead { origin: origin.to_owned(), size: parse_decimal(size)?, root })
}

/// ASCII decimal without sign or leading zeroes.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    if canonical && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl UnverifiedCheckpoint {
    pub fn parse(bytes: &[u8]) -> Result<UnverifiedCheckpoint, CheckpointError> {
        let note = SignedNote::parse(bytes)?;
        let head = TreeHead::parse(&note.text)?;
        Ok(UnverifiedCheckpoint { note, head })
    }

    /// What it claims. Not to be used for anything but finding the key to verify with.
    pub fn claimed(&self) -> &TreeHead {
        &self.head
    }

    /// The note as received.
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Checks the origin and that the first signature is the log's. The key's name is the origin.
    pub fn verify(self, origin: &str, log_key: PublicKey) -> Result<Checkpoint, CheckpointError> {
        if self.head.origin != origin {
            return Err(CheckpointError::WrongOrigin {
                found: self.head.origin,
                expected: origin.to_owned(),
            });
        }
        let key = NoteKey::new(origin, NoteKeyKind::Ed25519, log_key)?;
        let signed = self.note.signatures.first().is_some_and(|s| key.check(&self.note.text, s).is_some());
        if !signed {
            return Err(CheckpointError::NotSignedByLog(origin.to_owned()));
        }
        Ok(Checkpoint { note: self.note, head: self.head })
    }
}

impl Checkpoint {
    /// Signs a tree head with the log's key. Fails only if `origin` cannot be a key name.
    pub fn sign(
        origin: &str,
        size: u64,
        root: Hash,
        log_key: &SigningKey,
    ) -> Result<Checkpoint, CheckpointError> {
        let key = NoteKey::new(origin, NoteKeyKind::Ed25519, log_key.public())?;
        let head = TreeHead { origin: origin.to_owned(), size, root };
        let text = head.to_text();
        let signature = key.sign(log_key, &text, 0);
        Ok(Checkpoint { note: SignedNote { text, signatures: vec![signature] }, head })
    }

    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    /// The note with all its signatures; its `Display` is their text.
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The checkpoint with the log's signature only: what `AnchorCheckpoint` carries.
    pub fn without_cosignatures(&self) -> Checkpoint {
        let mut bare = self.clone();
        bare.note.signatures.truncate(1);
        bare
    }

    /// A cosigner's signature line over this checkpoint (C2SP tlog-cosignature, Ed25519).
    /// `time` is in seconds since 1970 UTC. Fails only if `name` cannot be a key name.
    pub fn cosign(&self, name: &str, key: &SigningKey, time: u64) -> Result<NoteSignature, CheckpointError> {
        let note_key = NoteKey::new(name, NoteKeyKind::Cosignature, key.public())?;
        Ok(note_key.sign(key, &self.note.text, time))
    }

    /// Adds a cosigner's line, in the order of names; a second one of the same name replaces the first.
    /// The signature must verify under `key`.
    pub fn add_cosignature(
        &mut self,
        signature: NoteSignature,
        key: &NoteKey,
    ) -> Result<Cosignature, CheckpointError> {
        let time = key.check(&self.note.text, &signature);
        let time = time.ok_or_else(|| CheckpointError::BadCosignature(signature.name.clone()))?;
        let name = signature.name.clone();
        let (log, cosigners) = self.note.signatures.split_at(1);
        let mut cosigners: Vec<_> = cosigners.iter().filter(|s| s.name != name).cloned().collect();
        let place = cosigners.partition_point(|s| s.name < name);
        cosigners.insert(place, signature);
        self.note.signatures = [log, &cosigners].concat();
        Ok(Cosignature { name, time })
    }

    /// Checks every signature after the log's against `known` keys. Stricter than C2SP: a line of an unknown key
    /// refuses the checkpoint, so that no byte of it is idle.
    pub fn cosignatures(&self, known: &[NoteKey]) -> Result<Vec<Cosignature>, CheckpointError> {
        let mut verified: Vec<Cosignature> = Vec::new();
        for signature in self.note.signatures.iter().skip(1) {
            let name = signature.name.clone();
            let key = known.iter().find(|k| k.kind() == NoteKeyKind::Cosignature && k.is_named_by(signature));
            let key = key.ok_or_else(|| CheckpointError::UnknownSigner(name.clone()))?;
            let time = key.check(&self.note.text, signature);
            let time = time.ok_or_else(|| CheckpointError::BadCosignature(name.clone()))?;
            if verified.last().is_some_and(|last| last.name >= name) {
                return Err(CheckpointError::UnorderedCosignatures(name));
            }
            verified.push(Cosignature { name, time });
        }
        Ok(verified)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl fmt::Display for UnverifiedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SigningKey, Checkpoint) {
        let key = SigningKey::from_seed(&[1; 32]);
        let checkpoint = Checkpoint::sign("net/telecom", 7, Hash::of(b"root"), &key).unwrap();
        (key, checkpoint)
    }

    fn cosigner(seed: u8, name: &str) -> (SigningKey, NoteKey) {
        let key = SigningKey::from_seed(&[seed; 32]);
        let note_key = NoteKey::new(name, NoteKeyKind::Cosignature, key.public()).unwrap();
        (key, note_key)
    }

    #[test]
    fn checkpoint_is_believed_only_under_its_origin_and_key() {
        let (key, checkpoint) = signed();
        let parse = || UnverifiedCheckpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
        assert_eq!(parse().verify("net/telecom", key.public()).unwrap(), checkpoint);
        let other = SigningKey::from_seed(&[2; 32]).public();
        assert!(matches!(parse().verify("net/telecom", other), Err(CheckpointError::NotSignedByLog(_))));
        assert!(matches!(
            parse().verify("net/unicom", key.public()),
            Err(CheckpointError::WrongOrigin { .. })
        ));
    }

    #[test]
    fn cosignatures_are_sorted_checked_and_known() {
        let (_, mut checkpoint) = signed();
        let ((b, b_key), (a, a_key)) = (cosigner(3, "net/b"), cosigner(4, "net/a"));
        let line = checkpoint.cosign("net/b", &b, 100).unwrap();
        checkpoint.add_cosignature(line.clone(), &b_key).unwrap();
        let line_a = checkpoint.cosign("net/a", &a, 101).unwrap();
        assert!(checkpoint.add_cosignature(line_a.clone(), &b_key).is_err());
        checkpoint.add_cosignature(line_a, &a_key).unwrap();
        checkpoint.add_cosignature(line, &b_key).unwrap();
        let names = checkpoint.cosignatures(&[b_key.clone(), a_key.clone()]).unwrap();
        assert_eq!(
            names.iter().map(|c| (c.name.as_str(), c.time)).collect::<Vec<_>>(),
            [("net/a", 101), ("net/b", 100)]
        );
        let refused = checkpoint.cosignatures(std::slice::from_ref(&a_key));
        assert_eq!(refused, Err(CheckpointError::UnknownSigner("net/b".into())));
        let mut swapped = checkpoint.clone();
        swapped.note.signatures.swap(1, 2);
        assert!(matches!(
            swapped.cosignatures(&[b_key, a_key]),
            Err(CheckpointError::UnorderedCosignatures(_))
        ));
        assert_eq!(checkpoint.without_cosignatures().note().signatures.len(), 1);
    }

    #[test]
    fn every_changed_byte_of_a_checkpoint_is_refused() {
        let (key, checkpoint) = signed();
        let bytes = checkpoint.to_string().into_bytes();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let accepted = UnverifiedCheckpoint::parse(&changed)
                .is_ok_and(|c| c.verify("net/telecom", key.public()).is_ok());
            assert!(!accepted, "byte {index}");
        }
    }

    #[test]
    fn odd_tree_heads_are_refused() {
        let root = BASE64.encode([0; 32]);
        for text in [
            format!("o\n07\n{root}\n"),
            format!("o\n+7\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n7\n{root}\nextension\n"),
            format!("o\n7\n{root}"),
            format!("\n7\n{root}\n"),
            "o\n7\nAAAA\n".to_owned(),
        ] {
            assert!(TreeHead::parse(&text).is_err(), "{text:?}");
        }
        assert_eq!(TreeHead::parse(&format!("o\n0\n{root}\n")).unwrap().size, 0);
    }
}
