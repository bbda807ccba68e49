//! YANG: which modules a station runs, and their texts.
//!
//! [`Library`] is what a station says of itself (RFC 8525, RFC 7895, or its hello), [`ModuleId`] names one
//! module or submodule, [`ModuleHeader`] is what a text says of itself. Names and revisions are checked before
//! they enter these types, so that they may stand in a file's name.

mod header;
mod library;

pub use header::{HeaderError, ModuleHeader, ModuleKind};
pub use library::{InvalidId, Library, ModuleEntry, ModuleId};

pub(crate) use library::shown;
