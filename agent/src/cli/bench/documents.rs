//! The replies to measure with: a large station of the simulated network, before and after a change.

use sim::config::StationPlan;

/// Leaves that differ from one document to the next.
pub const CHANGED: usize = 3;

/// Cells of the station: its reply then has 150 KB, the middle class of shared stations.
const CELLS: usize = 16;

/// Message-id of every reply.
pub const MESSAGE_ID: u64 = 1;

/// The configurations of a network's stations, from which replies are made.
#[derive(Debug)]
pub struct Documents {
    configurations: Vec<String>,
}

impl Documents {
    /// The same on every machine.
    pub fn generate(stations: usize) -> Documents {
        Documents::with_cells(stations, CELLS)
    }

    /// The same with so many cells at each station.
    pub fn with_cells(stations: usize, cells: usize) -> Documents {
        let plan = |station| StationPlan { seed: 1, station, stations, cells, west: 0 };
        let configurations = (1..=stations).map(|station| plan(station).configuration().to_xml());
        Documents { configurations: configurations.collect() }
    }

    /// Number of stations.
    pub fn stations(&self) -> usize {
        self.configurations.len()
    }

    /// A station's reply before the change; stations count from 0.
    pub fn previous(&self, station: usize) -> Vec<u8> {
        reply(&self.configurations[station])
    }

    /// Its reply in the `round`-th round: a power out of its range, another PCI, another neighbour identity.
    /// Between two rounds, and from [`Documents::previous`], [`CHANGED`] leaves differ.
    pub fn current(&self, station: usize, round: usize) -> Vec<u8> {
        let document = &self.configurations[station];
        let changed = with_text(document, "configuredMaxTxPower", |_| 250_000 + round);
        // Far from what its neighbours have, and all first cells move alike.
        let changed = with_text(&changed, "nRPCI", |pci| (pci + 300 + round) % 1008);
        reply(&with_text(&changed, "nRTCI", |_| 7_000_000 + round))
    }
}

fn reply(configuration: &str) -> Vec<u8> {
    let head = format!(
        "<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"{MESSAGE_ID}\">\n<data>\n"
    );
    [head.as_str(), configuration, "</data>\n</rpc-reply>\n"].concat().into_bytes()
}

/// The document with another number in its first element of this name.
fn with_text(document: &str, name: &str, change: impl Fn(usize) -> usize) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = document.split_once(&open).expect("the simulator gives each cell this leaf");
    let (old, after) = rest.split_once(&close).expect("what is opened is closed");
    let new = change(old.parse().expect("the leaf is a number"));
    [before, &open, &new.to_string(), &close, after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_is_of_the_size_that_is_spoken_of() {
        let documents = Documents::generate(12);
        let size = documents.previous(0).len();
        assert!((140_000..154_000).contains(&size), "{size}");
        let (one, other) = (documents.current(0, 1), documents.current(0, 2));
        assert_ne!(one, other);
        assert_ne!(one, documents.previous(0));
    }
}
