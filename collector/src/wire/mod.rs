//! NETCONF without a network: bytes in, bytes out.
//!
//! [`framing`] cuts a byte stream into messages (RFC 6242), [`hello`] settles what both sides can do,
//! [`library`] reads which YANG modules a station says it runs,
//! [`rpc`] writes the few requests a collector may send and reads the envelope of a reply,
//! [`xml`] is the strict walk over foreign XML that the others share.
//!
//! Nothing here waits, opens, or decides how long something may take.

pub mod framing;
pub mod hello;
pub mod library;
pub mod rpc;
pub mod xml;

mod errors;
mod reply;

pub use errors::{RpcError, Severity};
pub use reply::{DataReply, Declarations, Reply, ReplyError, parse_envelope, parse_reply};

/// The namespace of every NETCONF message element (RFC 6241 §3.1).
pub const BASE_NAMESPACE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// The namespace of `<get-schema>` and of the `<data>` that answers it (RFC 6022 §3.1).
pub const MONITORING_NAMESPACE: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring";

/// The namespace of `<with-defaults>` (RFC 6243 §4.5.3).
pub const WITH_DEFAULTS_NAMESPACE: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults";
