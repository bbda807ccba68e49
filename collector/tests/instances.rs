//! Configurations that others wrote, printed otherwise: the same objects, the same digests. One changed value: one edit.
//!
//! The documents are found through `RANPROOF_DATA`; twins of our own in `tests/data` are always read.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use model::{Dn, Profile, Snapshot, diff};
use proptest::prelude::*;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use ranproof_collector::file::read_file_bytes;
use ranproof_collector::reader::ReadContext;

/// An element with what it declares, so that prefixes inside values keep their meaning.
#[derive(Debug, Clone)]
struct Element {
    namespace: String,
    local: String,
    declared: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    /// Whether the reader takes it for an object by itself: its place among its like has no meaning.
    fn is_object(&self) -> bool {
        ["id", "attributes"].iter().all(|name| self.children.iter().any(|child| child.local == *name))
    }

    fn leaves(&mut self) -> Vec<&mut Element> {
        // Keys name objects, dummy keys are dropped, states are volatile: changing those is another matter.
        if ["id", "idx", "operationalState", "availabilityStatus"].contains(&self.local.as_str()) {
            return vec![];
        }
        if self.children.is_empty() {
            return vec![self];
        }
        self.children.iter_mut().flat_map(Element::leaves).collect()
    }
}

fn parse(text: &str) -> Element {
    let mut reader = quick_xml::NsReader::from_str(text);
    let mut open: Vec<Element> = vec![];
    loop {
        let (namespace, event) = reader.read_resolved_event().unwrap();
        let namespace = match namespace {
            ResolveResult::Bound(bound) => bound.0.to_owned(),
            _ => String::new(),
        };
        let ended = match event {
            Event::Start(tag) => {
                open.push(element(namespace, &tag));
                continue;
            }
            Event::Empty(tag) => element(namespace, &tag),
            Event::End(_) => open.pop().unwrap(),
            Event::Text(words) => {
                if let Some(last) = open.last_mut() {
                    last.text.push_str(&words);
                }
                continue;
            }
            Event::GeneralRef(name) => {
                open.last_mut().unwrap().text.push_str(&format!("&{};", &*name));
                continue;
            }
            Event::Eof => panic!("no root in {text}"),
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(ended),
            None => return ended,
        }
    }
}

fn element(namespace: String, tag: &quick_xml::events::BytesStart<'_>) -> Element {
    let declared = tag.attributes().flatten().filter_map(|attribute| {
        let prefix = attribute.key.as_ref().strip_prefix("xmlns:")?.to_owned();
        Some((prefix, attribute.value.into_owned()))
    });
    let (declared, local) = (declared.collect(), tag.local_name().as_ref().to_owned());
    Element { namespace, local, declared, children: vec![], text: String::new() }
}

/// A few bits at a time from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// Prints an element with other prefixes, other blanks, and its children in another order that means the same.
fn print(element: &Element, around: &str, dice: &mut Dice, out: &mut String) {
    let inherits = element.namespace == around && dice.roll(2) == 0;
    let prefix = format!("q{}", dice.roll(5));
    let prefixed = !inherits && dice.roll(2) == 0;
    let name = if prefixed { format!("{prefix}:{}", element.local) } else { element.local.clone() };
    let _ = write!(out, "<{name}");
    let mut inside = around;
    if prefixed {
        let _ = write!(out, " xmlns:{prefix}=\"{}\"", element.namespace);
    } else if !inherits {
        let _ = write!(out, "{}xmlns='{}'", ["\n ", " "][dice.roll(2)], element.namespace);
        inside = &element.namespace;
    }
    for (prefix, uri) in &element.declared {
        let _ = write!(out, " xmlns:{prefix}=\"{uri}\"");
    }
    out.push('>');
    if element.children.is_empty() {
        out.push_str(&element.text);
    }
    for child in shuffled(&element.children, dice) {
        out.push_str(["", "\n", "\n\t  ", "\r\n"][dice.roll(4)]);
        print(child, inside, dice, out);
    }
    if !element.children.is_empty() && dice.roll(2) == 0 {
        out.push('\n');
    }
    let _ = write!(out, "</{name}>");
}

/// Another order: among children of one name only objects may change places.
fn shuffled<'a>(children: &'a [Element], dice: &mut Dice) -> Vec<&'a Element> {
    let mut left: Vec<&Element> = children.iter().collect();
    let mut order = vec![];
    while !left.is_empty() {
        let chosen = left[dice.roll(left.len())];
        let same = |other: &&Element| (&other.local, &other.namespace) == (&chosen.local, &chosen.namespace);
        let all_objects = left.iter().copied().filter(same).all(Element::is_object);
        let chosen = if all_objects { Some(chosen) } else { left.iter().copied().find(same) };
        let at = left.iter().position(|other| std::ptr::eq(*other, chosen.unwrap())).unwrap();
        order.push(left.remove(at));
    }
    order
}

fn read(document: &[u8]) -> Option<Snapshot> {
    let profile = Profile::plain("instances");
    let prefix: Dn = "SubNetwork=s,ManagedElement=7".parse().unwrap();
    read_file_bytes(document, &ReadContext::new(&profile, &prefix)).ok()
}

fn documents(ending: &str) -> Vec<(PathBuf, String)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("RANPROOF_DATA").map_or(here.join("../../shared/data"), PathBuf::from);
    let mut folders = vec![here.join("tests/data")];
    match std::fs::read_dir(data.join("instances")) {
        Ok(entries) => folders.extend(entries.map(|entry| entry.unwrap().path())),
        Err(_) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs {}", data.display());
            eprintln!("SKIPPED: no instances in the shared data; hint: set RANPROOF_DATA");
        }
    }
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut found: Vec<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap()))
        // A notification, an inventory in YAML: no configuration.
        .filter(|(_, text)| read(text.as_bytes()).is_some())
        .collect();
    found.sort();
    found
}

static XML: LazyLock<Vec<(PathBuf, String)>> = LazyLock::new(|| documents("xml"));
static JSON: LazyLock<Vec<(PathBuf, String)>> = LazyLock::new(|| documents("json"));

fn any_xml() -> impl Strategy<Value = (PathBuf, String)> {
    any::<prop::sample::Index>().prop_map(|index| XML[index.index(XML.len())].clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn prefixes_blanks_and_the_order_of_objects_are_no_edit((path, text) in any_xml(), seed in any::<u64>()) {
        let before = read(text.as_bytes()).unwrap();
        let mut printed = String::new();
        print(&parse(&text), "", &mut Dice(seed), &mut printed);
        let after = read(printed.as_bytes()).unwrap_or_else(|| panic!("{}: {printed}", path.display()));
        let edits = diff(&before, &after).unwrap();
        prop_assert!(edits.is_empty(), "{}: {:?} from {}", path.display(), edits, printed);
        prop_assert_eq!(before.root(), after.root());
    }

    #[test]
    fn one_changed_value_is_one_edit((path, text) in any_xml(), which in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let before = read(text.as_bytes()).unwrap();
        let mut document = parse(&text);
        let mut leaves = document.leaves();
        prop_assume!(!leaves.is_empty());
        let count = leaves.len();
        leaves[which.index(count)].text.push_str("-changed");
        let mut printed = String::new();
        print(&document, "", &mut Dice(seed), &mut printed);
        let edits = diff(&before, &read(printed.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(edits.len(), 1, "{}: {:?}", path.display(), edits);
        let new = edits[0].new.as_ref().map(ToString::to_string).unwrap_or_default();
        prop_assert!(!edits[0].moved && new.contains("-changed"), "{:?}", edits);
    }

    #[test]
    fn the_order_of_members_and_blanks_in_json_are_no_edit(index in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let (path, text) = &JSON[index.index(JSON.len())];
        let before = read(text.as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut dice = Dice(seed);
        let other = reordered(&value, &mut dice);
        let printed = match dice.roll(2) {
            0 => serde_json::to_string(&other).unwrap(),
            _ => serde_json::to_string_pretty(&other).unwrap(),
        };
        let edits = diff(&before, &read(printed.as_bytes()).unwrap()).unwrap();
        prop_assert!(edits.is_empty(), "{}: {:?}", path.display(), edits);
    }
}

/// The same value with its members in another order.
fn reordered(value: &serde_json::Value, dice: &mut Dice) -> serde_json::Value {
    match value {
        serde_json::Value::Array(items) => items.iter().map(|item| reordered(item, dice)).collect(),
        serde_json::Value::Object(members) => {
            let mut left: Vec<_> = members.iter().collect();
            let mut other = serde_json::Map::new();
            while !left.is_empty() {
                let (name, member) = left.remove(dice.roll(left.len()));
                other.insert(name.clone(), reordered(member, dice));
            }
            other.into()
        }
        plain => plain.clone(),
    }
}
