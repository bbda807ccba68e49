//! The collector reads stations: over NETCONF, and from files.
//!
//! [`wire`] is NETCONF without a network (framing, hello, requests, replies), [`session`] speaks it over SSH
//! with a pinned host key, one deadline and one size limit per poll.
//!
//! This room does not know who may change what, stores nothing, and cannot change a station: there is no
//! request type that edits.

pub mod session;
pub mod wire;
