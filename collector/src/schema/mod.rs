//! YANG: which modules a station runs, and their texts.
//!
//! [`Library`] is what a station says of itself (RFC 8525, RFC 7895, or its hello), [`ModuleId`] names one
//! module or submodule, [`Head`] is what a text says of itself. Names and revisions are checked before
//! they enter these types, so that they may stand in a file's name.
//!
//! A [`ModuleSet`] is texts from a folder or a device. libyang, a C library, compiles them in a process of its own:
//! [`worker`] is that process, [`YangWorker`] starts it, bounds it and starts it again. What crashes, hangs or fills the
//! worker is a finding about the schema, never the end of a round. What the reader has to know of a schema for each
//! element, it gets from there as a [`SchemaTable`], once.

mod bare;
mod c_types;
pub mod client;
mod compile;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod differential;
mod frame;
mod head;
mod leaf_type;
mod library;
mod paths;
pub mod protocol;
mod ready;
#[cfg(test)]
mod rereading;
pub mod set;
mod table;
pub mod worker;
mod yang;

pub use client::{WorkerCommand, WorkerError, WorkerLimits, YangWorker};
pub use head::{Head, HeadError, read_head};
pub use library::{InvalidId, Library, ModuleEntry, ModuleId};
pub use protocol::{DocumentFormat, Invalid, Loaded, LoadedModule};
pub use ready::SchemaSet;
pub use set::{ModuleSet, SchemaFault};
pub use table::SchemaTable;

pub(crate) use leaf_type::{LeafType, Prefixes};
pub(crate) use library::shown;
pub(crate) use table::{Kind, NodeId, Order, UNKNOWN};
