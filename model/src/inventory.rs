//! The stations that one master operator undertakes to read, agreed by all parties; and what became of each
//! in a round.

use serde::{Deserialize, Serialize};

use crate::dn::Dn;

/// The agreed list of stations of one master operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// `ranproof/inventory/1`.
    pub format: String,
    pub agreement: String,
    /// The master operator's member id.
    pub origin: String,
    pub version: u32,
    pub stations: Vec<Station>,
}

/// One station as agreed; address and credential are the collecting side's own matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// DN of the ManagedElement.
    pub element: Dn,
    /// gNBId (TS 28.541), as decimal text.
    pub gnb_id: String,
    /// The SSH host key, `ssh-ed25519 AAAA…`. A station with another key gets no credential.
    pub host_key: String,
    /// Id of the collection profile.
    pub profile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    #[error("inventory format is `{0}`; hint: this version reads {format}", format = Inventory::FORMAT)]
    UnknownFormat(String),
    #[error("station {0} is listed twice; hint: one entry for each managed element")]
    DuplicateElement(Dn),
    #[error(
        "stations {first} and {second} have the same host key; hint: a key copied between stations proves neither"
    )]
    SharedHostKey { first: Dn, second: Dn },
}

impl Inventory {
    pub const FORMAT: &'static str = "ranproof/inventory/1";

    /// Checks what the types do not say. Shared host keys are refused: pinning would prove nothing.
    pub fn check(&self) -> Result<(), InventoryError> {
        if self.format != Self::FORMAT {
            return Err(InventoryError::UnknownFormat(self.format.clone()));
        }
        let mut by_element = std::collections::BTreeSet::new();
        let mut by_key = std::collections::BTreeMap::new();
        for station in &self.stations {
            if !by_element.insert(&station.element) {
                return Err(InventoryError::DuplicateElement(station.element.clone()));
            }
            if let Some(first) = by_key.insert(station.host_key.trim(), &station.element) {
                return Err(InventoryError::SharedHostKey {
                    first: first.clone(),
                    second: station.element.clone(),
                });
            }
        }
        Ok(())
    }
}

/// What became of one station in a round. A failed station is an entry, never an error of the round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Read, and it differs from the last read or is the first.
    Collected,
    /// Read completely, and equal to the last read.
    Unchanged,
    /// Not read, or not completely.
    Failed {
        /// Stable code such as `unreachable`, `host-key-mismatch`, `not-xml`, `timeout`.
        reason: String,
        /// One line for people, without credentials or configuration values.
        detail: String,
    },
    /// Not tried.
    Skipped { reason: String },
}

impl Outcome {
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Collected => "collected",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed { .. } => "failed",
            Outcome::Skipped { .. } => "skipped",
        }
    }

    /// The reason of a failure or skip.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Failed { reason, .. } | Outcome::Skipped { reason } => Some(reason),
            _ => None,
        }
    }
}

/// A round's counts. Every expected station is in exactly one of the four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    pub expected: u64,
    pub collected: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Accounting {
    pub fn count<'a>(expected: u64, outcomes: impl IntoIterator<Item = &'a Outcome>) -> Accounting {
        let mut accounting = Accounting { expected, ..Accounting::default() };
        for outcome in outcomes {
            match outcome {
                Outcome::Collected => accounting.collected += 1,
                Outcome::Unchanged => accounting.unchanged += 1,
                Outcome::Failed { .. } => accounting.failed += 1,
                Outcome::Skipped { .. } => accounting.skipped += 1,
            }
        }
        accounting
    }

    pub fn balances(&self) -> bool {
        let parts = [self.collected, self.unchanged, self.failed, self.skipped];
        parts.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)) == Some(self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(n: u32, key: &str) -> Station {
        Station {
            element: format!("SubNetwork=a,ManagedElement=g{n}").parse().unwrap(),
            gnb_id: n.to_string(),
            host_key: key.into(),
            profile: "plain".into(),
        }
    }

    #[test]
    fn repeated_stations_and_keys_are_refused() {
        let inventory = |stations| Inventory {
            format: Inventory::FORMAT.into(),
            agreement: "a".into(),
            origin: "telecom".into(),
            version: 1,
            stations,
        };
        assert!(inventory(vec![station(1, "k1"), station(2, "k2")]).check().is_ok());
        assert!(inventory(vec![station(1, "k1"), station(1, "k2")]).check().is_err());
        assert!(inventory(vec![station(1, "k1"), station(2, "k1 ")]).check().is_err());
    }

    #[test]
    fn every_station_is_in_exactly_one_count() {
        let failed = Outcome::Failed { reason: "timeout".into(), detail: String::new() };
        let outcomes = [Outcome::Collected, Outcome::Unchanged, failed];
        assert!(Accounting::count(3, &outcomes).balances());
        assert!(!Accounting::count(4, &outcomes).balances());
    }
}
