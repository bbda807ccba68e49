//! The agent's clock. Everything below the agent takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Now, by the machine's clock; a clock before 1970 reads as 1970.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
