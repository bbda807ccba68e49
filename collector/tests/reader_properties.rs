//! What must hold of every configuration, however it is printed, and of every sequence of bytes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::profile::ObjectRule;
use model::{Dn, Object, Profile, Snapshot, Value, diff};
use proptest::prelude::*;
use ranproof_collector::reader::{
    Earlier, Pieces, ReadContext, ReadLimits, read_json, read_xml, read_xml_again,
};

/// An object as generated: attributes hold at least two occurrences in a sequence and one field in a
/// structure, because fewer look like something else without a schema.
#[derive(Debug, Clone)]
struct Tree {
    attributes: BTreeMap<String, Value>,
    children: BTreeMap<(String, String), Tree>,
}

fn text() -> impl Strategy<Value = Value> {
    "[a-z0-9 <>&'\"\u{e9}\u{4e2d}\t]{0,8}".prop_map(Value::Text)
}

fn structure() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-e][a-z]{0,2}", text(), 1..4).prop_map(Value::Fields)
}

fn attribute() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text(),
        1 => structure(),
        1 => prop::collection::vec(prop_oneof![text(), structure()], 2..4).prop_map(Value::Sequence),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    // Names from `f` on are of another namespace.
    let attributes = || prop::collection::btree_map("[a-g][a-z]{0,2}", attribute(), 0..6);
    let leaf = attributes().prop_map(|attributes| Tree { attributes, children: BTreeMap::new() });
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let children = prop::collection::btree_map(("[A-C]", "[1-5=,a*]{1,2}"), inner, 0..4);
        (attributes(), children).prop_map(|(attributes, children)| Tree { attributes, children })
    })
}

fn is_foreign(name: &str) -> bool {
    name >= "f"
}

fn profile() -> Profile {
    let mut profile = Profile::plain("p");
    profile.namespaces.insert("urn:foreign".into(), "foreign".into());
    profile
}

fn prefix() -> Dn {
    "SubNetwork=s,ManagedElement=m".parse().unwrap()
}

fn snapshot_of(tree: &Tree) -> Snapshot {
    fn collect(tree: &Tree, dn: Dn, out: &mut Vec<Object>) {
        let attributes = tree.attributes.iter().map(|(name, value)| {
            let name = if is_foreign(name) { format!("foreign:{name}") } else { name.clone() };
            (name, value.clone())
        });
        out.push(Object::new(dn.clone(), attributes.collect(), vec![]));
        for ((class, id), child) in &tree.children {
            collect(child, dn.child(class, id), out);
        }
    }
    let mut objects = vec![];
    collect(tree, prefix(), &mut objects);
    Snapshot::new(model::Interpretation::new("none", &profile().digest()), objects, vec![])
}

/// Prints a tree in one of many ways, chosen by a seed; seed 0 is plain.
struct Printer {
    state: u64,
    plain: bool,
    /// Some objects stand in containers, with values and entries of a list beside them.
    wraps: bool,
    out: String,
    depth: usize,
}

impl Printer {
    fn new(seed: u64) -> Printer {
        Printer { state: seed, plain: seed == 0, wraps: false, out: String::new(), depth: 0 }
    }

    fn pick(&mut self, choices: u64) -> u64 {
        if self.plain {
            return 0;
        }
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % choices
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = usize::try_from(self.pick(i as u64 + 1)).unwrap();
            if !self.plain {
                items.swap(i, j);
            }
        }
    }

    fn layout(&mut self) {
        match self.pick(5) {
            1 => self.out.push_str(&format!("\n{}", " ".repeat(self.depth))),
            2 => self.out.push_str("<!-- a <comment> & more -->"),
            3 => self.out.push_str("\r\n<?pi x?>\t"),
            _ => {}
        }
    }

    /// `prefixed` elements show their namespace by prefix, the others by default.
    fn tag(&mut self, local: &str, space: Option<&str>, prefix: &str) -> String {
        self.layout();
        let name = if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") };
        self.out.push_str(&format!("<{name}"));
        if let Some(space) = space {
            let colon = if prefix.is_empty() { "" } else { ":" };
            let quote = if self.pick(2) == 0 { '"' } else { '\'' };
            write!(self.out, " xmlns{colon}{prefix}={quote}{space}{quote}").unwrap();
        }
        if self.pick(4) == 1 {
            self.out.push(' ');
        }
        self.out.push('>');
        self.depth += 1;
        name
    }

    fn end(&mut self, name: &str) {
        self.depth -= 1;
        let space = if self.pick(4) == 1 { "\n" } else { "" };
        write!(self.out, "</{name}{space}>").unwrap();
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match (c, self.pick(6)) {
                (c, 1) => write!(self.out, "&#{};", u32::from(c)).unwrap(),
                (c, 2) => write!(self.out, "<![CDATA[{c}]]>").unwrap(),
                (c, 3) => write!(self.out, "<!-- -->&#x{:X};", u32::from(c)).unwrap(),
                ('<', _) => self.out.push_str("&lt;"),
                ('&', _) => self.out.push_str("&amp;"),
                ('>', _) => self.out.push_str("&gt;"),
                (c, _) => self.out.push(c),
            }
        }
    }

    fn value(&mut self, local: &str, value: &Value, space: Option<&str>, prefix: &str) {
        let name = self.tag(local, space, prefix);
        match value {
            Value::Text(text) => self.text(text),
            Value::Fields(fields) => self.fields(fields, prefix),
            Value::Sequence(_) => unreachable!("occurrences are printed one by one"),
        }
        self.end(&name);
    }

    /// Differently named siblings in any order, occurrences of one name in theirs.
    fn fields(&mut self, fields: &BTreeMap<String, Value>, prefix: &str) {
        let mut order: Vec<&str> = fields
            .iter()
            .flat_map(|(name, value)| std::iter::repeat_n(name.as_str(), value.occurrences().len()))
            .collect();
        self.shuffle(&mut order);
        let mut printed: BTreeMap<&str, usize> = BTreeMap::new();
        for name in order {
            let next = printed.entry(name).or_default();
            let value = &fields[name].occurrences()[*next];
            *next += 1;
            match (is_foreign(name), self.pick(2)) {
                (false, _) => self.value(name, value, None, prefix),
                (true, 0) => self.value(name, value, Some("urn:foreign"), ""),
                (true, _) => self.value(name, value, Some("urn:foreign"), "f"),
            }
        }
        self.layout();
    }

    fn object(&mut self, class: &str, id: &str, tree: &Tree) {
        let space = format!("urn:test:{class}");
        let prefix = ["", "p", "q"][usize::try_from(self.pick(3)).unwrap()];
        let name = self.tag(class, Some(&space), prefix);
        let mut parts: Vec<Option<Option<&(String, String)>>> = vec![None, Some(None)];
        parts.extend(tree.children.keys().map(|key| Some(Some(key))));
        self.shuffle(&mut parts);
        for part in parts {
            match part {
                None => self.value("id", &Value::from(id), None, prefix),
                Some(None) => {
                    let name = self.tag("attributes", None, prefix);
                    self.fields(&tree.attributes, prefix);
                    self.end(&name);
                }
                Some(Some(key)) => self.child(key, &tree.children[key], prefix),
            }
        }
        self.layout();
        self.end(&name);
    }
}

impl Printer {
    /// An object inside another, by its key in a container or not.
    fn child(&mut self, key: &(String, String), tree: &Tree, prefix: &str) {
        let kind = if self.wraps { (key.1.len() + tree.attributes.len()) % 4 } else { 0 };
        if kind == 0 {
            return self.object(&key.0, &key.1, tree);
        }
        let wrap = self.tag("wrap", None, prefix);
        if kind > 1 {
            self.value("leaf", &Value::from(key.1.as_str()), None, prefix);
        }
        if kind > 2 {
            let entry = self.tag("entry", Some("urn:entry"), "e");
            self.value("name", &Value::from(key.0.as_str()), None, "e");
            self.value("leaf", &Value::from(key.1.as_str()), None, "e");
            self.end(&entry);
        }
        self.object(&key.0, &key.1, tree);
        self.end(&wrap);
    }
}

/// With containers between objects, and an entry of a list that the profile calls an object.
fn wrapped_xml_of(tree: &Tree, seed: u64) -> String {
    let mut printer = Printer { wraps: true, ..Printer::new(seed) };
    printer.object("ManagedElement", "m", tree);
    printer.out
}

fn xml_of(tree: &Tree, seed: u64) -> String {
    let mut printer = Printer::new(seed);
    printer.object("ManagedElement", "m", tree);
    printer.out
}

fn json_of(tree: &Tree) -> String {
    fn object(id: &str, tree: &Tree) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        let attributes: serde_json::Map<_, _> = tree
            .attributes
            .iter()
            .map(|(name, value)| {
                let name = if is_foreign(name) { format!("foreign:{name}") } else { name.clone() };
                (name, plain(value))
            })
            .collect();
        out.insert("id".into(), id.into());
        out.insert("attributes".into(), attributes.into());
        for ((class, id), child) in &tree.children {
            let list = out.entry(format!("test-{class}:{class}")).or_insert_with(|| serde_json::json!([]));
            list.as_array_mut().unwrap().push(object(id, child));
        }
        out.into()
    }
    // Below a foreign member all names are of its module.
    fn plain(value: &Value) -> serde_json::Value {
        serde_json::to_value(value).unwrap()
    }
    serde_json::json!({ "test-ManagedElement:ManagedElement": [object("m", tree)] }).to_string()
}

fn read(document: &str) -> Snapshot {
    let (profile, prefix) = (profile(), prefix());
    read_xml(document.as_bytes(), &ReadContext::new(&profile, &prefix))
        .unwrap_or_else(|e| panic!("{e}: {document}"))
}

proptest! {
    #[test]
    fn print_never_changes_a_digest(tree in tree(), seed in any::<u64>()) {
        let expected = snapshot_of(&tree);
        let plain = read(&xml_of(&tree, 0));
        prop_assert_eq!(plain.objects(), expected.objects());
        let other = xml_of(&tree, seed | 1);
        let shuffled = read(&other);
        prop_assert_eq!(shuffled.root(), expected.root(), "{}", other);
        prop_assert!(shuffled.findings().is_empty());
        let (profile, prefix) = (profile(), prefix());
        let json = read_json(json_of(&tree).as_bytes(), &ReadContext::new(&profile, &prefix)).unwrap();
        prop_assert_eq!(json.objects(), expected.objects());
    }

    #[test]
    fn one_changed_attribute_is_one_edit(tree in tree(), name in "[a-g][a-z]{0,2}", new in text(), seed in any::<u64>()) {
        let mut changed = tree.clone();
        let old = changed.attributes.insert(name.clone(), new.clone());
        let edits = diff(&read(&xml_of(&tree, 0)), &read(&xml_of(&changed, seed))).unwrap();
        prop_assert_eq!(edits.len(), usize::from(old != Some(new)));
        for edit in edits {
            prop_assert!(edit.attribute.ends_with(&name));
            prop_assert_eq!(edit.object, prefix());
        }
    }

    #[test]
    fn no_cut_passes_for_a_whole_document(tree in tree(), seed in any::<u64>(), at in any::<prop::sample::Index>()) {
        let document = xml_of(&tree, seed);
        let start = document.find("<ManagedElement").or(document.find(":ManagedElement")).unwrap() + 1;
        let cut = start + at.index(document.len() - start);
        let (profile, prefix) = (profile(), prefix());
        prop_assert!(read_xml(&document.as_bytes()[..cut], &ReadContext::new(&profile, &prefix)).is_err());
        let json = json_of(&tree);
        let cut = at.index(json.len());
        prop_assert!(read_json(&json.as_bytes()[..cut], &ReadContext::new(&profile, &prefix)).is_err());
    }

    #[test]
    fn broken_documents_never_panic(
        tree in tree(),
        seed in any::<u64>(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        for document in [xml_of(&tree, seed), json_of(&tree)] {
            let mut bytes = document.into_bytes();
            for (at, byte, kind) in &wounds {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, b"<>&/\"'=[]{}:;!?-"[usize::from(*byte) % 16]),
                    2 => { let tail = bytes.split_off(at); bytes.extend_from_slice(&tail[tail.len() / 2..]); bytes.push(b' '); }
                    _ => { let copy = bytes[at..].to_vec(); bytes.extend(copy); }
                }
            }
            survive(&bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&bytes);
    }

    #[test]
    fn soup_of_markup_never_panics(pieces in prop::collection::vec(prop::sample::select(vec![
        "<a>", "</a>", "<a/>", "<A", " xmlns='u'", " xmlns:p='v'", ">", "<p:a>", "</p:a>", "<id>", "</id>", "<attributes>",
        "</attributes>", "&lt;", "&#1;", "<![CDATA[", "]]>", "<!--", "-->", "<?x", "?>", "\r", "\n", " ", "t", "=", "<data>", "</data>",
        "{", "}", "[", "]", "\"a:b\"", ":", ",", "1", "null", "\"@x\"", "\\u00", "\"",
    ]), 0..60)) {
        survive(pieces.concat().as_bytes());
    }
}

/// Limits that some documents pass.
const TIGHT: ReadLimits = ReadLimits { bytes: 1 << 16, depth: 16, nodes: 300, memory: 100_000 };

/// One step from a configuration to the next: where, and what becomes of it.
#[derive(Debug, Clone)]
enum Step {
    Set(String, Value),
    Unset(usize),
    Rename(usize, String),
    Copy(usize, String),
    Delete(usize),
    /// The first child of a child becomes a child of another.
    Move(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || "[1-5=,a*]{1,2}";
    prop_oneof![
        3 => ("[a-g][a-z]{0,2}", attribute()).prop_map(|(name, value)| Step::Set(name, value)),
        1 => (0usize..6).prop_map(Step::Unset),
        1 => (0usize..4, id()).prop_map(|(child, id)| Step::Rename(child, id)),
        1 => (0usize..4, id()).prop_map(|(child, id)| Step::Copy(child, id)),
        1 => (0usize..4).prop_map(Step::Delete),
        1 => (0usize..4, 0usize..4).prop_map(|(from, to)| Step::Move(from, to)),
    ]
}

impl Tree {
    /// Goes down along `way` and takes the step there.
    fn take(&mut self, way: &[usize], step: &Step) {
        if let Some((next, rest)) = way.split_first()
            && let Some(child) = self.children.values_mut().nth(*next)
        {
            return child.take(rest, step);
        }
        let key = |tree: &Tree, place: usize| tree.children.keys().nth(place).cloned();
        match step {
            Step::Set(name, value) => drop(self.attributes.insert(name.clone(), value.clone())),
            Step::Unset(place) => {
                let name = self.attributes.keys().nth(*place).cloned();
                name.map(|name| self.attributes.remove(&name));
            }
            Step::Rename(child, id) | Step::Copy(child, id) => {
                let Some(old) = key(self, *child) else { return };
                let tree = self.children[&old].clone();
                if matches!(step, Step::Rename(..)) {
                    self.children.remove(&old);
                }
                self.children.insert((old.0, id.clone()), tree);
            }
            Step::Delete(child) => drop(key(self, *child).map(|key| self.children.remove(&key))),
            Step::Move(from, to) => {
                let (Some(from), Some(to)) = (key(self, *from), key(self, *to)) else { return };
                let moved = self.children.get_mut(&from).and_then(|from| from.children.pop_first());
                if let (Some((name, tree)), Some(to)) = (moved, self.children.get_mut(&to)) {
                    to.children.insert(name, tree);
                }
            }
        }
    }
}

/// With secrets, which are hashed with the object's name, and with what is left out of the digests.
fn guarded() -> Profile {
    let mut profile = profile();
    profile.secret = vec!["A.a".parse().unwrap(), "A.b".parse().unwrap()];
    profile.volatile = vec!["B.a".parse().unwrap()];
    let (namespace, element) = ("urn:entry".into(), "entry".into());
    profile.objects.push(ObjectRule { namespace, element, key: Some("name".into()), class: None });
    profile
}

/// Reads documents one after the other, each with what the one before left, and each alone.
fn read_in_turn(documents: &[Vec<u8>], limits: ReadLimits) -> Result<usize, TestCaseError> {
    let (profile, prefix) = (guarded(), prefix());
    let context = ReadContext { secret_key: Some([7; 32]), limits, ..ReadContext::new(&profile, &prefix) };
    let mut last: Option<(&[u8], Snapshot, Pieces)> = None;
    let mut shared = 0;
    for document in documents {
        let earlier = last.as_ref().map(|(bytes, _, pieces)| Earlier { bytes, pieces });
        let again = read_xml_again(document, &context, earlier);
        let alone = read_xml(document, &context);
        match (again, alone) {
            (Ok((snapshot, pieces)), Ok(alone)) => {
                prop_assert_eq!(&snapshot, &alone, "{}", String::from_utf8_lossy(document));
                let before = last.as_ref().map_or(&[][..], |(_, snapshot, _)| snapshot.objects());
                let is_shared =
                    |o: &&std::sync::Arc<Object>| before.iter().any(|b| std::sync::Arc::ptr_eq(b, o));
                shared += snapshot.objects().iter().filter(is_shared).count();
                last = Some((document, snapshot, pieces));
            }
            (again, alone) => {
                let why = |read: Result<Snapshot, _>| {
                    read.err().map(|e: ranproof_collector::reader::ReadError| e.to_string())
                };
                prop_assert_eq!(why(again.map(|(snapshot, _)| snapshot)), why(alone));
            }
        }
    }
    Ok(shared)
}

proptest! {
    #[test]
    fn a_document_read_after_another_is_read_as_alone(
        tree in tree(),
        steps in prop::collection::vec((prop::collection::vec(0usize..4, 0..4), step()), 1..8),
        seed in prop_oneof![Just(0), any::<u64>()],
    ) {
        let mut documents = vec![wrapped_xml_of(&tree, seed).into_bytes()];
        let mut tree = tree;
        for (way, step) in steps {
            tree.take(&way, &step);
            documents.push(wrapped_xml_of(&tree, seed).into_bytes());
        }
        read_in_turn(&documents, TIGHT)?;
    }

    #[test]
    fn a_broken_document_after_a_good_one_is_refused_as_alone(
        tree in tree(),
        seed in any::<u64>(),
        wounds in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let good = wrapped_xml_of(&tree, seed).into_bytes();
        let mut bad = good.clone();
        for (at, to, byte, kind) in &wounds {
            let (at, to) = (at.index(bad.len()), to.index(bad.len()));
            match kind {
                0 => bad[at] = b"<>&/\"'=[]ab:;! \n"[usize::from(*byte) % 16],
                1 => drop(bad.drain(at.min(to)..(at.min(to) + usize::from(*byte) % 40).min(at.max(to)))),
                // What stands at one place stands at another too.
                _ => {
                    let piece = bad[at.min(to)..at.max(to)].to_vec();
                    bad.splice(at..at, piece);
                }
            }
        }
        read_in_turn(&[good.clone(), bad, good], TIGHT)?;
    }
}

#[test]
fn what_is_kept_of_a_document_shows_no_secret_key() {
    let (profile, prefix) = (guarded(), prefix());
    let context = ReadContext { secret_key: Some([171; 32]), ..ReadContext::new(&profile, &prefix) };
    let (_, pieces) = read_xml_again(b"<a><b>1</b></a>", &context, None).unwrap();
    let shown = format!("{pieces:?} {context:?}");
    assert!(shown.contains("hidden") && !shown.contains("171"), "{shown}");
}

#[test]
fn what_did_not_change_is_taken_over() {
    let leaf = |value: &str| Tree {
        attributes: BTreeMap::from([("x".to_owned(), Value::text(value))]),
        children: BTreeMap::new(),
    };
    let mut tree = leaf("station");
    for (class, n) in [("A", 3), ("B", 4)] {
        for id in 0..n {
            let mut object = leaf("container");
            object.children.extend((0..20).map(|id| (("C".to_owned(), id.to_string()), leaf("same"))));
            tree.children.insert((class.to_owned(), id.to_string()), object);
        }
    }
    let mut documents = vec![xml_of(&tree, 0).into_bytes()];
    // One value, an object more, nine fewer in a row.
    let first = ("A".to_owned(), "1".to_owned());
    let inner = |id: usize| ("C".to_owned(), id.to_string());
    tree.children.get_mut(&first).unwrap().children.insert(inner(7), leaf("other"));
    documents.push(xml_of(&tree, 0).into_bytes());
    tree.children.get_mut(&first).unwrap().children.insert(inner(20), leaf("same"));
    documents.push(xml_of(&tree, 0).into_bytes());
    let objects = &mut tree.children.get_mut(&("B".to_owned(), "2".to_owned())).unwrap().children;
    (0..7).for_each(|id| drop(objects.remove(&inner(id))));
    documents.push(xml_of(&tree, 0).into_bytes());
    // One other value, and it alone is read; else the station and the 7 that hold others are each time.
    assert_eq!(read_in_turn(&documents, ReadLimits::default()).unwrap(), 147 + 140 + 134);
}

/// Reads in both formats with tight limits; whatever comes out, it comes out.
fn survive(bytes: &[u8]) {
    let (profile, prefix) = (profile(), prefix());
    for limits in [TIGHT, ReadLimits::default()] {
        let context = ReadContext { limits, ..ReadContext::new(&profile, &prefix) };
        for snapshot in [read_xml(bytes, &context), read_json(bytes, &context)].into_iter().flatten() {
            assert!(diff(&snapshot, &snapshot).unwrap().is_empty());
            assert!(snapshot.objects().iter().all(|o| o.dn().is_within(&prefix)));
        }
    }
}
