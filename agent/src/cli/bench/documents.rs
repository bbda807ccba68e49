//! The replies to measure with: a large station of the simulated network, before and after a change.

use sim::config::StationPlan;

/// Leaves that differ from one document to the next.
pub const CHANGED: usize = 3;

/// Cells of the station: its reply then has 147 KB, the middle class of shared stations.
const CELLS: usize = 17;

/// Message-id of every reply.
pub const MESSAGE_ID: u64 = 1;

/// A station's configuration, from which replies are made.
#[derive(Debug)]
pub struct Documents {
    configuration: String,
}

impl Documents {
    /// The same on every machine.
    pub fn generate() -> Documents {
        let plan = StationPlan { seed: 1, station: 1, stations: 12, cells: CELLS };
        Documents { configuration: plan.configuration().to_xml() }
    }

    /// The reply before the change.
    pub fn previous(&self) -> Vec<u8> {
        reply(&self.configuration)
    }

    /// The reply of the `round`-th round: a power out of its range, another PCI, another neighbour identity.
    /// Between two rounds, and from [`Documents::previous`], [`CHANGED`] leaves differ.
    pub fn current(&self, round: usize) -> Vec<u8> {
        let changed = with_text(&self.configuration, "configuredMaxTxPower", &(250_000 + round).to_string());
        let changed = with_text(&changed, "nRPCI", &(900 + round % 100).to_string());
        reply(&with_text(&changed, "nRTCI", &(7_000_000 + round).to_string()))
    }
}

fn reply(configuration: &str) -> Vec<u8> {
    let head = format!(
        "<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"{MESSAGE_ID}\">\n<data>\n"
    );
    [head.as_str(), configuration, "</data>\n</rpc-reply>\n"].concat().into_bytes()
}

/// The document with another text in its first element of this name.
fn with_text(document: &str, name: &str, text: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = document.split_once(&open).expect("the simulator gives each cell this leaf");
    let (_, after) = rest.split_once(&close).expect("what is opened is closed");
    [before, &open, text, &close, after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_is_of_the_size_that_is_spoken_of() {
        let documents = Documents::generate();
        let size = documents.previous().len();
        assert!((140_000..154_000).contains(&size), "{size}");
        let (one, other) = (documents.current(1), documents.current(2));
        assert_ne!(one, other);
        assert_ne!(one, documents.previous());
    }
}
