//! All that a peer's auditor needs: encodings of transactions and statements, the Merkle log and map,
//! checkpoints and cosignatures, block headers and commit certificates, the bundle, and its verification.
//!
//! Knows no clock, file, network or database, and no other room: the tree of what it depends on fits on a
//! screen, so that a suspicious peer can read all of it.

pub mod certificate;
pub mod checkpoint;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod key;
pub mod map;
pub mod note;
pub mod transaction;
pub mod tree;

pub use certificate::{CommitCertificate, Validator, ValidatorSet};
pub use checkpoint::{Checkpoint, UnverifiedCheckpoint};
pub use genesis::{Genesis, Member, MemberRole};
pub use hash::Hash;
pub use header::{Block, Header, Receipt, ReceiptOutcome};
pub use key::{PublicKey, Signature, SigningKey};
pub use map::{Map, MapProof};
pub use transaction::{Action, SignedTransaction, Transaction};
pub use tree::{Frontier, Tree};
