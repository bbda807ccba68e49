//! The collector reads stations: over NETCONF, and from files.
//!
//! [`wire`] is NETCONF without a network (framing, hello, requests, replies), [`session`] speaks it over SSH
//! with a pinned host key, one deadline and one size limit per poll. [`reader`] turns what came into objects
//! and digests, [`file`] does the same for files, and [`sweep`] reads many stations at once and loses none.
//! [`schema`] names the YANG modules a station runs and compiles them, [`validation`] holds replies against them.
//!
//! This room does not know who may change what, stores nothing, and cannot change a station: there is no
//! request type that edits.

pub mod file;
pub mod reader;
pub mod schema;
pub mod session;
pub mod sweep;
pub mod validation;
pub mod wire;
