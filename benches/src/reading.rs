//! Reading a configuration, and comparing it with the last one.

use std::collections::HashMap;
use std::hint::black_box;

use anyhow::{Result, ensure};
use quick_xml::events::Event;
use roxmltree::{Document, Node};
use yang5::data::{DataDiffFlags, DataTree};

use crate::documents::{CHANGED, Documents};
use crate::meter::{Contestant, Race, Unit};

/// From bytes to objects with names, sorted attributes and digests, beside parsers that stop earlier.
pub fn read(documents: &Documents) -> Result<Race<'_>> {
    let text = documents.previous.as_str();
    let snapshot = documents.read(text)?;
    let objects = snapshot.objects().len();
    documents.parse(text)?;
    ensure!(events(text)? > objects && elements(text)? > objects, "the contestants read different documents");
    // Every contestant has read the document once: what it could not read, it could not above.
    let contestants = vec![
        Contestant::new("ours: objects and digests", "", || {
            black_box(documents.read(text).ok());
        }),
        Contestant::new("quick-xml, bare events", "no names, namespaces, values, objects, digests", || {
            black_box(events(text).ok());
        })
        .at_least(READ_OVER_EVENTS),
        Contestant::new("roxmltree, document", "no objects, digests", || {
            black_box(Document::parse(text).ok());
        })
        .at_least(READ_OVER_TREE),
        Contestant::new("libyang, typed tree", "no objects, digests; types are checked", || {
            black_box(documents.parse(text).ok());
        })
        .at_least(READ_OVER_LIBYANG),
    ];
    Ok(Race {
        name: format!("read, {} KB, {objects} objects", text.len() / 1000),
        unit: Unit::Throughput(text.len()),
        contestants,
    })
}

/// Ratios below which something is wrong with the reader.
const READ_OVER_EVENTS: f64 = 0.3;
const READ_OVER_TREE: f64 = 0.35;
const READ_OVER_LIBYANG: f64 = 2.0;
const COMPARE_OVER_MAP: f64 = 2.0;
const COMPARE_OVER_LIBYANG: f64 = 2.0;

fn events(text: &str) -> Result<usize> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut count = 0;
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(count),
            event => {
                black_box(&event);
                count += 1;
            }
        }
    }
}

fn elements(text: &str) -> Result<usize> {
    Ok(Document::parse(text)?.descendants().filter(Node::is_element).count())
}

/// A new reply against what was read last, from its bytes to the edits; what was read last is at hand.
pub fn compare(documents: &Documents) -> Result<Race<'_>> {
    let (text, previous) = (documents.current.as_str(), documents.read(&documents.previous)?);
    let current = documents.read(text)?;
    let leaves = leaves(&documents.previous)?;
    let (ours, theirs) = (model::diff(&previous, &current)?.len(), changed(&leaves, text)?);
    ensure!(ours == CHANGED && theirs == CHANGED, "{ours} and {theirs} differences instead of {CHANGED}");
    let before = documents.parse(&documents.previous)?;
    let by_libyang = edits(&before, &documents.parse(text)?)?;
    ensure!(by_libyang == CHANGED, "libyang finds {by_libyang} differences instead of {CHANGED}");
    let kept = previous.clone();
    let contestants = vec![
        Contestant::new("ours: read and compare", "", move || {
            let edits = documents.read(text).ok().and_then(|current| model::diff(&previous, &current).ok());
            black_box(edits);
        }),
        Contestant::new(
            "roxmltree, map by path",
            "no digests; a move or a structure is many leaves",
            move || {
                black_box(changed(&leaves, text).ok());
            },
        )
        .at_least(COMPARE_OVER_MAP),
        Contestant::new("libyang, typed tree and diff", "no digests; types are checked", move || {
            black_box(documents.parse(text).ok().and_then(|current| edits(&before, &current).ok()));
        })
        .at_least(COMPARE_OVER_LIBYANG),
        Contestant::new("ours: compare alone", "both are read", move || {
            black_box(model::diff(&kept, &current).ok());
        }),
    ];
    Ok(Race {
        name: format!("compare, {} KB, {CHANGED} leaves changed", text.len() / 1000),
        unit: Unit::Micros,
        contestants,
    })
}

/// Nodes that libyang's diff replaces, adds or drops.
fn edits<'a>(previous: &DataTree<'a>, current: &DataTree<'a>) -> Result<usize> {
    let edits = previous.diff(current, DataDiffFlags::empty())?;
    Ok(edits.iter().count())
}

type Leaves = HashMap<String, String>;

fn changed(previous: &Leaves, text: &str) -> Result<usize> {
    let current = leaves(text)?;
    let gone = previous.keys().filter(|path| !current.contains_key(*path)).count();
    Ok(gone + current.iter().filter(|(path, value)| previous.get(*path) != Some(*value)).count())
}

/// Every leaf by its path, list entries by their id or their place.
fn leaves(text: &str) -> Result<Leaves> {
    let document = Document::parse(text)?;
    let mut found = Leaves::new();
    walk(document.root_element(), "", 0, &mut found);
    Ok(found)
}

fn walk(node: Node<'_, '_>, above: &str, place: usize, found: &mut Leaves) {
    let id = node.children().find(|child| child.tag_name().name() == "id").and_then(|id| id.text());
    let name = node.tag_name().name();
    let path = id.map_or_else(|| format!("{above}/{name}[{place}]"), |id| format!("{above}/{name}[{id}]"));
    let mut places: HashMap<&str, usize> = HashMap::new();
    for child in node.children().filter(Node::is_element) {
        let place = places.entry(child.tag_name().name()).or_default();
        walk(child, &path, *place, found);
        *place += 1;
    }
    if places.is_empty() {
        found.insert(path, node.text().unwrap_or_default().to_owned());
    }
}
