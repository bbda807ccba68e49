//! What the measuring process and a validator say to each other: a line of JSON each way, matched by number.

use serde::{Deserialize, Serialize};

/// A line to a validator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker; the reply repeats it.
    pub number: u64,
    pub ask: Ask,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A signed transaction, hexadecimal; answered once it is final.
    Submit(String),
    /// Height of the newest final block.
    Tip,
}

/// A line from a validator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    pub number: u64,
    pub answer: Answer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// In the block at this height, accepted.
    Final(u64),
    Tip(u64),
    /// Not taken, refused or not final in time: the reason.
    Failed(String),
}
