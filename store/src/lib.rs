//! What one operator's agent remembers, and the only SQL of the product: SQLite, one file.
//!
//! [`Store`] is the handle; all it can do stands in the file of its topic: [`bodies`], [`projection`],
//! [`subjects`] and [`requests`] (what the chain ordered), [`transactions`] (signed, persisted, then sent), [`rounds`] with
//! [`snapshots`], [`replies`], [`approved`], [`respellings`], [`violations`] and [`openings`] (one transaction per round), [`log`] (stage →
//! compare-and-swap → apply), [`mirrors`], [`forks`] and [`cosignatures`] (logs of other members), [`seconds`] and
//! [`judgements`] (rounds that are judged twice), [`stats`] for pages, and [`fsck`], which hashes everything again.
//!
//! Everything persisted is safe to do twice. After one I/O error the handle is poisoned and every call returns
//! [`StoreError::Fatal`], because SQLite goes on acknowledging after a failed fsync.
//!
//! It holds no opinions: what a difference means was decided before it is stored. It has no clock; times are arguments.

pub mod approved;
pub mod bodies;
pub mod bundles;
mod columns;
pub mod cosignatures;
mod database;
mod delta;
pub mod disclosed;
mod error;
pub mod forgery;
pub mod forks;
pub mod fsck;
pub mod judgements;
pub mod log;
pub mod memory;
mod migrate;
pub mod mirrors;
mod names;
mod objects;
pub mod openings;
pub mod projection;
mod reads;
pub mod replies;
pub mod requests;
pub mod respellings;
pub mod rounds;
mod seal;
pub mod seconds;
pub mod snapshots;
pub mod stations;
pub mod stats;
pub mod subjects;
pub mod transactions;
pub mod violation_pages;
pub mod violations;

pub use approved::{Advance, BaselineStation, BaselinedStation};
pub use bodies::StoredBody;
pub use bundles::BundleRow;
pub use cosignatures::{CosignatureRow, Vouched};
pub use database::{Store, StoreConfig};
pub use disclosed::ChangedStation;
pub use error::StoreError;
pub use forks::{ForkKind, ForkRow, ServedNote};
pub use fsck::{Fault, FsckReport};
pub use judgements::JudgementRow;
pub use log::{
    CheckpointRow, LogLeaf, LogState, OutboxLeaf, SavedCheckpoint, SendableAttestation, StagedGrowth,
};
pub use memory::StationMemory;
pub use mirrors::{HeadCheck, Mirror, MirrorHead};
pub use openings::{CommittedAttribute, StoredOpening};
pub use projection::{
    Applied, Event, Missed, ProjectedBlock, ProjectedTransaction, Refused, Registration, RequestTerms,
};
pub use replies::HeldReply;
pub use requests::{ObservedEdit, RequestFilter, RequestRow};
pub use respellings::Respelling;
pub use rounds::{
    Begun, Committed, RequestProgress, RoundCommit, RoundEdit, RoundPins, RoundStart, StationResult,
    StationSnapshot,
};
pub use seconds::{MapUpdate, SecondRound};
pub use snapshots::{ObjectVersion, StoredSnapshot};
pub use stations::{LastRead, StationRow};
pub use stats::{ChangeCounts, Coverage, EditRow, FailedStation, RoundRow};
pub use subjects::{AnchorRow, BlockRow, ChainRoundRow, DecisionRow, Moment, SubjectRow, TransactionRow};
pub use transactions::{OutgoingTransaction, TransactionState};
pub use violation_pages::{Cursor, Page, ViolationCounts, ViolationFilter, ViolationTally};
pub use violations::{ActionRow, Known, Verb, ViolationAction, ViolationRow};
