//! All that a peer's auditor needs: encodings of transactions and statements, the Merkle log and map,
//! checkpoints and cosignatures, block headers and commit certificates, the bundle, and its verification.
//!
//! To read first: [`verify()`] (what a peer runs), [`Bundle`] (what it is given), [`Trust`] (what it brings),
//! [`Tree`] and [`Map`] (what holds it together), [`Checkpoint`], [`Header`], [`CommitCertificate`].
//!
//! Knows no clock, file, network or database, and no other room: the tree of what it depends on fits on a
//! screen, so that a suspicious peer can read all of it.

pub mod bundle;
pub mod certificate;
pub mod checkpoint;
pub mod commitment;
pub mod dispute;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod json;
pub mod judgement;
pub mod key;
pub mod map;
pub mod note;
pub mod proof;
pub mod record;
pub mod standing;
pub mod tiles;
pub mod transaction;
pub mod tree;
pub mod trust;
pub mod verify;

pub use bundle::Bundle;
pub use certificate::{CommitCertificate, Validator, ValidatorSet};
pub use checkpoint::{Checkpoint, UnverifiedCheckpoint};
pub use genesis::{Genesis, Member, MemberRole};
pub use hash::Hash;
pub use header::{Block, Header, Receipt, ReceiptOutcome};
pub use key::{PublicKey, Signature, SigningKey};
pub use map::{Map, MapProof};
pub use standing::Standing;
pub use transaction::{Action, SignedTransaction, Transaction};
pub use tree::{Frontier, Tree};
pub use trust::Trust;
pub use verify::verify;
