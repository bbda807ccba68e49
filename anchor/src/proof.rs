//! Offline proofs of inclusion (C2SP tlog-proof): index, path and checkpoint in one text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, CheckpointError, UnverifiedCheckpoint, parse_decimal};
use crate::hash::Hash;
use crate::note::MAX_NOTE_BYTES;
use crate::tree::{self, MAX_PROOF_HASHES, ProofError};

/// First line of every proof.
pub const TLOG_PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest proof that is parsed, in bytes.
pub const MAX_TLOG_PROOF_BYTES: usize = 2 * MAX_NOTE_BYTES;

/// That some leaf stands at `index` of the tree of `checkpoint`, as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque, authenticated by nothing. Ours have none.
    pub extra: Option<Vec<u8>>,
    pub index: u64,
    /// Sibling of the leaf first.
    pub path: Vec<Hash>,
    pub checkpoint: UnverifiedCheckpoint,
}

/// Text that is not a `tlog-proof`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    #[error("tlog-proof of {0} bytes is over the limit of {MAX_TLOG_PROOF_BYTES}")]
    TooLarge(usize),
    #[error("not a tlog-proof; hint: the first line is `{TLOG_PROOF_HEADER}`")]
    WrongHeader,
    #[error("line {0} of the tlog-proof is not what the format says")]
    BadLine(usize),
    #[error("tlog-proof has more than {MAX_PROOF_HASHES} hashes")]
    TooManyHashes,
    #[error("tlog-proof has no blank line before its checkpoint")]
    NoCheckpoint,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl TlogProof {
    /// A proof of ours, from the path of [`tree::Tree::inclusion`] and the checkpoint of the same size.
    pub fn new(index: u64, path: Vec<Hash>, checkpoint: &Checkpoint) -> TlogProof {
        let text = checkpoint.to_string();
        let checkpoint =
            UnverifiedCheckpoint::parse(text.as_bytes()).expect("a checkpoint's own text parses back");
        TlogProof { extra: None, index, path, checkpoint }
    }

    pub fn parse(bytes: &[u8]) -> Result<TlogProof, TlogProofError> {
        if bytes.len() > MAX_TLOG_PROOF_BYTES {
            return Err(TlogProofError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError::WrongHeader)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n').enumerate().map(|(number, line)| (number + 1, line)).peekable();
        if lines.next().map(|(_, line)| line) != Some(TLOG_PROOF_HEADER) {
            return Err(TlogProofError::WrongHeader);
        }
        let mut extra = None;
        if let Some((number, encoded)) = lines.peek().and_then(|(n, l)| Some((*n, l.strip_prefix("extra ")?)))
        {
            extra = Some(BASE64.decode(encoded).map_err(|_| TlogProofError::BadLine(number))?);
            lines.next();
        }
        let (number, line) = lines.next().ok_or(TlogProofError::BadLine(2))?;
        let index = line.strip_prefix("index ").and_then(parse_decimal);
        let index = index.ok_or(TlogProofError::BadLine(number))?;
        let mut path = Vec::new();
        for (number, line) in lines {
            if path.len() == MAX_PROOF_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            let hash = BASE64.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
            path.push(Hash(hash.ok_or(TlogProofError::BadLine(number))?));
        }
        Ok(TlogProof { extra, index, path, checkpoint: UnverifiedCheckpoint::parse(checkpoint.as_bytes())? })
    }

    /// Whether `leaf` (the record's bytes) stands at the index of the tree that the checkpoint claims.
    /// The checkpoint itself is still to be verified.
    pub fn includes(&self, leaf: &[u8]) -> Result<(), ProofError> {
        let head = self.checkpoint.claimed();
        tree::verify_inclusion(&tree::leaf_hash(leaf), self.index, head.size, &self.path, &head.root)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TLOG_PROOF_HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use crate::tree::Tree;

    fn proof(index: u64, size: u64) -> TlogProof {
        let leaves: Vec<_> = (0..size).map(|n| n.to_string()).collect();
        let tree = Tree::of(&leaves);
        let key = SigningKey::from_seed(&[1; 32]);
        let checkpoint = Checkpoint::sign("net/telecom", size, tree.root(), &key).unwrap();
        TlogProof::new(index, tree.inclusion(index, size).unwrap(), &checkpoint)
    }

    #[test]
    fn proof_round_trips_and_includes_its_leaf_only() {
        for (index, size) in [(0, 1), (3, 7), (6, 7)] {
            let proof = proof(index, size);
            let text = proof.to_string();
            assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
            proof.includes(index.to_string().as_bytes()).unwrap();
            assert_eq!(proof.includes(b"other"), Err(ProofError::RootMismatch));
        }
    }

    #[test]
    fn extra_data_is_read_and_written() {
        let mut proof = proof(1, 3);
        proof.extra = Some(b"more".to_vec());
        assert_eq!(TlogProof::parse(proof.to_string().as_bytes()).unwrap(), proof);
    }

    #[test]
    fn broken_proofs_name_the_line() {
        let text = proof(3, 7).to_string();
        let cases = [
            (text.replace("@v1", "@v2"), TlogProofError::WrongHeader),
            (text.replace("index 3", "index 03"), TlogProofError::BadLine(2)),
            (text.replace("index 3\n", ""), TlogProofError::BadLine(2)),
            (text.replace("index 3\n", "extra !\nindex 3\n"), TlogProofError::BadLine(2)),
            (text.replace("index 3\n", "index 3\nAAAA\n"), TlogProofError::BadLine(3)),
            (text.replace("\n\n", "\n"), TlogProofError::NoCheckpoint),
            ("x".repeat(MAX_TLOG_PROOF_BYTES + 1), TlogProofError::TooLarge(MAX_TLOG_PROOF_BYTES + 1)),
        ];
        for (text, error) in cases {
            assert_eq!(TlogProof::parse(text.as_bytes()), Err(error));
        }
        let hash = format!("{}\n", BASE64.encode([0; 32]));
        let long = text.replace("index 3\n", &format!("index 3\n{}", hash.repeat(66)));
        assert_eq!(TlogProof::parse(long.as_bytes()), Err(TlogProofError::TooManyHashes));
    }
}
