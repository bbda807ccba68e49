//! The replies to measure with: a large station of the simulated network, before and after a change.

use std::ops::Range;

use clap::ValueEnum;
use serde::Serialize;
use sim::config::StationPlan;

/// Leaves that differ from one document to the next.
pub const CHANGED: usize = 3;

/// Which leaves change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A number of three objects, one from each third of the document; others at each station, the same in each round
    #[default]
    Numbers,
    /// A power out of its range, the PCI of a cell, the identity of a neighbour, at each station the first: rules about
    /// neighbours are judged again for all cells that have that cell as one
    Identities,
}

/// Cells of the station: its reply then has 150 KB, the middle class of shared stations.
const CELLS: usize = 16;

/// Message-id of every reply.
pub const MESSAGE_ID: u64 = 1;

/// The configurations of a network's stations, from which replies are made.
#[derive(Debug)]
pub struct Documents {
    configurations: Vec<Configuration>,
    change: Change,
}

#[derive(Debug)]
struct Configuration {
    text: String,
    /// Where the numbers are, by the object that has them as attributes.
    numbers: Vec<Vec<Range<usize>>>,
}

impl Documents {
    /// The same on every machine.
    pub fn generate(stations: usize, change: Change) -> Documents {
        Documents { change, ..Documents::with_cells(stations, CELLS) }
    }

    /// The same with so many cells at each station.
    pub fn with_cells(stations: usize, cells: usize) -> Documents {
        let plan = |station| StationPlan { seed: 1, station, stations, cells, west: 0 };
        let configurations = (1..=stations).map(|station| {
            let text = plan(station).configuration().to_xml();
            Configuration { numbers: numbers(&text), text }
        });
        Documents { configurations: configurations.collect(), change: Change::default() }
    }

    /// Number of stations.
    pub fn stations(&self) -> usize {
        self.configurations.len()
    }

    /// A station's reply before the change; stations count from 0.
    pub fn previous(&self, station: usize) -> Vec<u8> {
        reply(&self.configurations[station].text)
    }

    /// Its reply in the `round`-th round. Between two rounds, and from [`Documents::previous`], [`CHANGED`] leaves differ.
    pub fn current(&self, station: usize, round: usize) -> Vec<u8> {
        let configuration = &self.configurations[station];
        match self.change {
            Change::Numbers => reply(&with_numbers(configuration, station, round)),
            Change::Identities => reply(&with_identities(&configuration.text, round)),
        }
    }
}

/// The document with [`CHANGED`] other numbers than in the round before.
fn with_numbers(configuration: &Configuration, station: usize, round: usize) -> String {
    let Configuration { text: document, numbers: objects } = configuration;
    let third = objects.len() / CHANGED;
    // Primes, so that the places of one station say nothing of the next one's.
    let draw = |part: usize, among: usize, prime: usize| (station * CHANGED + part) * prime % among;
    let drawn = (0..CHANGED).map(|part| {
        let numbers = &objects[part * third + draw(part, third, 7919)];
        numbers[draw(part, numbers.len(), 104_729)].clone()
    });
    let (mut changed, mut done) = (String::with_capacity(document.len() + 8 * CHANGED), 0);
    for place in drawn {
        let old: i64 = document[place.clone()].parse().expect("it was found as a number");
        changed.push_str(&document[done..place.start]);
        changed.push_str(&(old + 1 + (round % 7) as i64).to_string());
        done = place.end;
    }
    changed + &document[done..]
}

fn numbers(document: &str) -> Vec<Vec<Range<usize>>> {
    let attributes = document.match_indices("<attributes").map(|(at, _)| at);
    let ends = attributes.clone().skip(1).chain([document.len()]);
    let of = |(from, to): (usize, usize)| {
        let inside = document[from..to].find("</attributes>").map_or(to, |end| from + end);
        document[from..inside]
            .match_indices("</")
            .filter_map(move |(at, _)| number(document, from + at))
            .collect()
    };
    attributes.zip(ends).map(of).filter(|numbers: &Vec<_>| !numbers.is_empty()).collect()
}

/// The number that ends at an end tag, if it is one and names nothing.
fn number(document: &str, end: usize) -> Option<Range<usize>> {
    let (tag, text) = document[document[..end].rfind('<')?..end].split_once('>')?;
    let is_number = (1..12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (is_number && !matches!(tag, "<id" | "<idx")).then(|| end - text.len()..end)
}

/// The document with another power, PCI and neighbour identity than in the round before.
fn with_identities(document: &str, round: usize) -> String {
    let changed = with_text(document, "configuredMaxTxPower", |_| 250_000 + round);
    // Far from what its neighbours have, and all first cells move alike.
    let changed = with_text(&changed, "nRPCI", |pci| (pci + 300 + round) % 1008);
    with_text(&changed, "nRTCI", |_| 7_000_000 + round)
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
        let documents = Documents::generate(12, Change::default());
        let size = documents.previous(0).len();
        assert!((140_000..154_000).contains(&size), "{size}");
    }

    #[test]
    fn so_many_lines_differ_from_round_to_round_and_from_the_first() {
        for change in Change::value_variants() {
            let documents = Documents::generate(4, *change);
            for station in 0..documents.stations() {
                let rounds = (1..9).map(|round| documents.current(station, round));
                let mut last = documents.previous(station);
                for next in rounds {
                    let lines = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let (before, after) = (lines(&last), lines(&next));
                    let differ = before.lines().zip(after.lines()).filter(|(a, b)| a != b).count();
                    assert_eq!(
                        (differ, before.lines().count()),
                        (CHANGED, after.lines().count()),
                        "{change:?}"
                    );
                    last = next;
                }
            }
        }
    }

    #[test]
    fn numbers_are_attributes_by_their_object_and_no_names() {
        let document = "<cell><id>7</id><attributes><pci>41</pci><label>a1</label><plmn><idx>1</idx><mcc>460</mcc></plmn>\
            </attributes></cell><other><attributes><x>a</x></attributes></other><cell><attributes><tac>5</tac></attributes><y>3</y></cell>";
        let text = |places: Vec<Range<usize>>| places.into_iter().map(|place| &document[place]).collect();
        let found: Vec<Vec<&str>> = numbers(document).into_iter().map(text).collect();
        assert_eq!(found, [vec!["41", "460"], vec!["5"]]);
    }
}
