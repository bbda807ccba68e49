//! Agents among themselves: only members are answered, each by the certificate that genesis pins; whatever else knocks
//! is refused with one clear error and harms nobody; bodies come to whom they concern, and nobody approves one unread.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agents;
#[path = "../support/process.rs"]
mod process;
mod wire;
