//! Our reading with a schema beside libyang's: what libyang parsed, printed in any way that means the same, gives the
//! objects of the document that it parsed.

use std::fmt::Write as _;
use std::sync::LazyLock;

use model::profile::{ObjectRule, WithDefaults};
use model::{Dn, OBJECT, Profile, Snapshot, Value, diff, respellings, spelt_alike};
use proptest::prelude::*;
use yang5::context::Context;
use yang5::data::{
    Data as _, DataImplicitFlags, DataNodeRef, DataParserFlags, DataTree, DataValidationFlags,
};
use yang5::schema::{DataValueType, SchemaNodeKind};

use super::bare::bare;
use super::compile::compile;
use super::corpus::corpus;
use super::protocol::DocumentFormat;
use super::ready::SchemaSet;
use super::set::ModuleSet;
use super::table::SchemaTable;
use super::yang;
use crate::reader::{ReadContext, ReadLimits, read_json, read_xml};

/// A schema in this process.
pub(super) struct Compiled {
    context: Context,
    pub(super) table: SchemaTable,
}

pub(super) fn load(set: &ModuleSet) -> Compiled {
    let set = SchemaSet::whole(set).unwrap();
    let (context, loaded) = yang::load(set.folder(), set.modules()).unwrap();
    assert_eq!(loaded.faults, vec![]);
    let table = compile(&context).unwrap();
    Compiled { context, table }
}

fn parse<'c>(context: &'c Context, document: &[u8], format: DocumentFormat) -> Option<DataTree<'c>> {
    let format = yang::data_format(format);
    let flags = DataParserFlags::STRICT | DataParserFlags::NO_STATE | DataParserFlags::NO_VALIDATION;
    DataTree::parse_string(context, document, format, flags, DataValidationFlags::empty()).ok()
}

fn read(document: &[u8], schema: Option<&SchemaTable>) -> Snapshot {
    let (profile, prefix): (_, Dn) = (Profile::plain("p"), "SubNetwork=s,ManagedElement=7".parse().unwrap());
    let context = ReadContext { schema, ..ReadContext::new(&profile, &prefix) };
    let read = if document.trim_ascii_start().starts_with(b"{") { read_json } else { read_xml };
    read(document, &context).unwrap()
}

/// A few bits at a time from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// How a number may be written as well.
fn respelled(value: &str, of: DataValueType, dice: &mut Dice) -> String {
    use DataValueType::{Dec64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    let number = [Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Dec64].contains(&of);
    if !number || dice.roll(2) == 0 {
        return value.to_owned();
    }
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => (["", "+"][dice.roll(2)], value),
    };
    let digits = match digits.split_once('.') {
        Some((whole, "0")) if dice.roll(2) == 0 => whole.to_owned(),
        _ => digits.to_owned(),
    };
    format!("{sign}{}{digits}", "0".repeat(dice.roll(3)))
}

/// Prints as XML: other prefixes, other spellings, other orders where the schema says that they mean nothing.
fn print(node: &DataNodeRef<'_>, dice: &mut Dice, out: &mut String) {
    let schema = node.schema();
    let (module, prefix) = (schema.module(), ["", "a", "b"][dice.roll(3)]);
    let name =
        if prefix.is_empty() { schema.name().to_owned() } else { format!("{prefix}:{}", schema.name()) };
    let colon = if prefix.is_empty() { "" } else { ":" };
    let _ = write!(out, "<{name} xmlns{colon}{prefix}=\"{}\"", module.namespace());
    if let Some(value) = node.value_canonical() {
        let of = schema.leaf_type().map(|of| match of.leafref_real_type() {
            Some(real) => real.base_type(),
            None => of.base_type(),
        });
        // Whatever it names has its module's name as prefix.
        for part in value.split(|c: char| !(c.is_alphanumeric() || "_-.:".contains(c))) {
            let named = part.split_once(':').and_then(|(name, _)| node.context().get_module_latest(name));
            let declaration = named.map(|m| format!(" xmlns:{}=\"{}\"", m.name(), m.namespace()));
            let tag = out.rfind('<').unwrap_or(0);
            if let Some(declaration) = declaration.filter(|declaration| !out[tag..].contains(declaration)) {
                out.push_str(&declaration);
            }
        }
        let value = respelled(&value, of.unwrap_or(DataValueType::Unknown), dice);
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('\r', "&#13;");
        let _ = write!(out, ">{escaped}</{name}>");
        return;
    }
    out.push('>');
    for child in shuffled(node.children().collect(), dice) {
        out.push_str(["", "\n  "][dice.roll(2)]);
        print(&child, dice, out);
    }
    let _ = write!(out, "</{name}>");
}

/// Another order; occurrences of one name keep theirs where it means something.
fn shuffled<'a>(mut left: Vec<DataNodeRef<'a>>, dice: &mut Dice) -> Vec<DataNodeRef<'a>> {
    let mut order = vec![];
    while !left.is_empty() {
        let chosen = &left[dice.roll(left.len())];
        let schema = chosen.schema();
        let kept = schema.is_user_ordered() || schema.is_keyless_list() || !schema.is_config();
        let path = |node: &DataNodeRef<'_>| {
            (node.schema().module().name().to_owned(), node.schema().name().to_owned())
        };
        let at = match kept {
            true => left.iter().position(|other| path(other) == path(chosen)),
            false => left.iter().position(|other| other.as_raw() == chosen.as_raw()),
        };
        order.push(left.remove(at.unwrap()));
    }
    order
}

fn printed(tree: &DataTree<'_>, seed: u64) -> String {
    let (mut dice, mut out) = (Dice(seed), String::new());
    let top: Vec<_> = tree.reference().map(|first| first.inclusive_siblings().collect()).unwrap_or_default();
    for node in shuffled(top, &mut dice) {
        print(&node, &mut dice, &mut out);
    }
    out
}

fn is_plain(tree: &DataTree<'_>) -> bool {
    tree.traverse().all(|node| node.schema().kind() != SchemaNodeKind::AnyData)
}

fn check(compiled: &Compiled, document: &[u8], tree: &DataTree<'_>, seed: u64) {
    let as_written = read(document, Some(&compiled.table));
    let otherwise = printed(tree, seed);
    let again = read(otherwise.as_bytes(), Some(&compiled.table));
    let edits = diff(&as_written, &again).unwrap();
    assert_eq!(edits, [], "seed {seed}: {otherwise}");
    assert_eq!(as_written.root(), again.root());
}

/// What the library fills in and we do not, in objects that are there.
fn unfilled(compiled: &Compiled, document: &[u8], tree: &mut DataTree<'_>, seed: u64) -> Vec<model::Edit> {
    tree.add_implicit(DataImplicitFlags::NO_STATE).unwrap();
    let full = printed(tree, seed);
    let edits = diff(&read(document, Some(&compiled.table)), &read(full.as_bytes(), Some(&compiled.table)));
    edits.unwrap().into_iter().filter(|edit| edit.attribute != OBJECT).collect()
}

/// Between a document without its schema and with it: whoever has neither schema nor document must take each pair for
/// spellings of one value. Gives how many values were filled in.
fn respellings_may_be_ones(table: &SchemaTable, document: &[u8]) -> usize {
    let mut filled = 0;
    for edit in respellings(&read(document, None), &read(document, Some(table))) {
        match (&edit.old, &edit.new) {
            (Some(old), Some(new)) => {
                filled += spelt_alike(old, new).unwrap_or_else(|| panic!("{edit:?}"));
            }
            (None, Some(_)) if edit.attribute != OBJECT => filled += 1,
            // A container without content.
            (Some(old), None) => assert_eq!(old, &Value::from(""), "{edit:?}"),
            _ => panic!("{edit:?}"),
        }
    }
    filled
}

const TWIN: &str = "module twin { yang-version 1.1; namespace 'urn:ranproof:twin'; prefix t;
  import ietf-inet-types { prefix inet; } import ietf-yang-types { prefix yang; }
  identity colour; identity red { base colour; } identity dark-red { base red; }
  typedef own-address { type inet:ip-address; } typedef level { type uint8; default 11; }
  container radio {
    leaf power { type int16 { range '-10..460'; } units dBm; default 200; }
    leaf share { type decimal64 { fraction-digits 3; } }
    leaf huge { type uint64; }
    leaf colour { type identityref { base colour; } }
    leaf flags { type bits { bit a; bit b; bit c; } }
    leaf address { type own-address; }
    leaf network { type inet:ipv6-prefix; }
    leaf mac { type yang:mac-address; }
    leaf key { type binary; }
    leaf mixed { type union { type int8; type enumeration { enum auto; } type identityref { base colour; } type string; } }
    leaf number-of { type leafref { path '../power'; } }
    leaf path { type instance-identifier { require-instance false; } }
    leaf-list neighbours { type uint16; }
    leaf-list preferred { type uint16; ordered-by user; }
    list cell { key 'sector band'; leaf sector { type uint8; } leaf band { type string; } leaf pci { type uint16; }
      leaf offset { type int8; default 0; } }
    container timers { leaf t1 { type uint8; default 7; } container deep { leaf t2 { type uint8; default 3; } } }
    container sib { presence 'broadcast'; leaf period { type uint16; default 20; } }
    leaf conditional { when '../power > 5'; type uint8; default 1; }
    choice mode { default a; case a { leaf one { type uint8; default 4; } } case b { leaf other { type uint8; } } }
    leaf level { type level; }
    leaf-list bands { type uint8; default 1; default 2; }
    leaf state { config false; type uint8; default 9; }
    list plmn { key 'mcc mnc'; ordered-by user; leaf mcc { type string; } leaf mnc { type string; } }
    choice duplex { case tdd { leaf pattern { type string; } } leaf fdd { type empty; } }
    anydata vendor;
  }
}";

static OWN: LazyLock<Compiled> = LazyLock::new(|| {
    let mut set = ModuleSet::new();
    set.insert(TWIN.to_owned(), "twin.yang");
    load(&set)
});

fn radio(inside: &str) -> String {
    format!("<radio xmlns=\"urn:ranproof:twin\" xmlns:t=\"urn:ranproof:twin\">{inside}</radio>")
}

#[test]
fn one_value_has_one_digest_however_it_is_spelled() {
    for (one, other) in [
        ("<power>+045</power>", "<power> 45\n</power>"),
        ("<power>-0</power>", "<power>0</power>"),
        ("<share>01.50</share>", "<share>1.5</share>"),
        ("<share>7</share>", "<share>7.000</share>"),
        ("<huge>00018446744073709551615</huge>", "<huge>18446744073709551615</huge>"),
        ("<colour>t:dark-red</colour>", "<colour xmlns:x=\"urn:ranproof:twin\">x:dark-red</colour>"),
        ("<colour>red</colour>", "<colour>t:red</colour>"),
        ("<flags>c a</flags>", "<flags>a  c</flags>"),
        ("<address>2001:DB8:0:0::1</address>", "<address>2001:db8::1</address>"),
        ("<network>2001:db8::ff/32</network>", "<network>2001:DB8::/32</network>"),
        ("<mac>00:1B:2C:3D:4E:5F</mac>", "<mac>00:1b:2c:3d:4e:5f</mac>"),
        ("<key>YWJj\nZGVm</key>", "<key>YWJjZGVm</key>"),
        ("<mixed>+7</mixed>", "<mixed>7</mixed>"),
        ("<mixed>t:red</mixed>", "<mixed>red</mixed>"),
        ("<number-of>07</number-of>", "<number-of>7</number-of>"),
        (
            "<path>/t:radio/t:cell[t:sector='1'][t:band='n78']</path>",
            "<path>/radio/cell[sector=\"1\"][band=\"n78\"]</path>",
        ),
        (
            "<neighbours>30</neighbours><neighbours>4</neighbours>",
            "<neighbours>4</neighbours><neighbours>030</neighbours>",
        ),
        (
            "<cell><sector>2</sector><band>n78</band></cell><cell><sector>1</sector><band>n1</band><pci>7</pci></cell>",
            "<cell><pci>7</pci><band>n1</band><sector>01</sector></cell><cell><sector>2</sector><band>n78</band></cell>",
        ),
    ] {
        let (one, other) = (radio(one), radio(other));
        let (a, b) = (read(one.as_bytes(), Some(&OWN.table)), read(other.as_bytes(), Some(&OWN.table)));
        assert_eq!(diff(&a, &b).unwrap(), [], "{one} {other}");
        assert_ne!(read(one.as_bytes(), None).root(), read(other.as_bytes(), None).root(), "{one}");
        assert_ne!(a.interpretation(), read(one.as_bytes(), None).interpretation());
    }
}

#[test]
fn a_default_that_nobody_wrote_is_as_good_as_written() {
    let cell = "<sector>1</sector><band>n1</band>";
    for (one, other) in [
        ("", "<power>200</power><level>11</level>"),
        ("", "<power>0200</power><timers/>"),
        ("<timers><deep/></timers>", "<timers><t1>7</t1></timers>"),
        ("", "<timers><deep><t2>03</t2></deep></timers>"),
        ("<sib/>", "<sib><period>20</period></sib>"),
        (&format!("<cell>{cell}</cell>"), &format!("<cell>{cell}<offset>0</offset></cell>")),
    ] {
        let (one, other) = (radio(one), radio(other));
        let (a, b) = (read(one.as_bytes(), Some(&OWN.table)), read(other.as_bytes(), Some(&OWN.table)));
        assert_eq!(diff(&a, &b).unwrap(), [], "{one} {other}");
    }
    for (one, other) in [
        ("", "<power>201</power>"),
        ("", "<sib/>"),
        ("<timers><t1>8</t1></timers>", "<timers/>"),
        // Whether these are in use the element itself does not tell.
        ("", "<conditional>1</conditional>"),
        ("", "<one>4</one>"),
        ("", "<bands>1</bands><bands>2</bands>"),
        // It would be configuration of another kind.
        ("", "<state>9</state>"),
    ] {
        let (one, other) = (radio(one), radio(other));
        let (a, b) = (read(one.as_bytes(), Some(&OWN.table)), read(other.as_bytes(), Some(&OWN.table)));
        assert_eq!(diff(&a, &b).unwrap().len(), 1, "{one} {other}");
    }
}

#[test]
fn defaults_are_values_and_left_alone_where_the_station_is_asked_for_them() {
    let (prefix, document): (Dn, _) =
        ("SubNetwork=s,ManagedElement=7".parse().unwrap(), radio("<huge>1</huge>"));
    let power = |with_defaults| {
        let profile = Profile { with_defaults, ..Profile::plain("p") };
        let context = ReadContext { schema: Some(&OWN.table), ..ReadContext::new(&profile, &prefix) };
        let snapshot = read_xml(document.as_bytes(), &context).unwrap();
        let radio = snapshot.object(&prefix.child("radio", "1")).unwrap().clone();
        radio.attribute("power").cloned()
    };
    assert_eq!(power(None), Some(Value::from("200")));
    assert_eq!(power(Some(WithDefaults::Explicit)), Some(Value::from("200")));
    assert_eq!(
        power(Some(WithDefaults::ReportAll)),
        None,
        "asked for all, it said that this one is not in use"
    );
}

#[test]
fn what_is_filled_in_is_paid_for() {
    let prefix: Dn = "SubNetwork=s,ManagedElement=7".parse().unwrap();
    let profile = Profile::plain("p");
    let cells: String =
        (0..2_000).map(|n| format!("<cell><sector>1</sector><band>n{n}</band></cell>")).collect();
    let document = radio(&cells);
    let read = |fills, memory| {
        let limits = ReadLimits { memory, ..ReadLimits::default() };
        let context =
            ReadContext { schema: Some(&OWN.table), fills, limits, ..ReadContext::new(&profile, &prefix) };
        read_xml(document.as_bytes(), &context).map(drop).map_err(|error| error.reason().to_owned())
    };
    let enough = (1..).map(|n| n * 100_000).find(|memory| read(false, *memory).is_ok()).unwrap();
    assert_eq!(read(true, enough), Err("over-limit".to_owned()));
    assert_eq!(read(true, 2 * enough), Ok(()));
}

#[test]
fn what_the_profile_calls_an_object_is_not_filled_in() {
    let prefix: Dn = "SubNetwork=s,ManagedElement=7".parse().unwrap();
    let rule = ObjectRule {
        namespace: "urn:ranproof:twin".into(),
        element: "timers".into(),
        key: None,
        class: None,
    };
    let profile = Profile { objects: vec![rule], ..Profile::plain("p") };
    let context = ReadContext { schema: Some(&OWN.table), ..ReadContext::new(&profile, &prefix) };
    let snapshot = read_xml(radio("").as_bytes(), &context).unwrap();
    let radio = snapshot.object(&prefix.child("radio", "1")).unwrap();
    assert!(radio.attribute("power").is_some() && radio.attribute("timers").is_none());
}

#[test]
fn what_means_something_stays_an_edit() {
    for (one, other) in [
        ("<power>45</power>", "<power>46</power>"),
        ("<mixed>auto</mixed>", "<mixed>Auto</mixed>"),
        (
            "<preferred>30</preferred><preferred>4</preferred>",
            "<preferred>4</preferred><preferred>30</preferred>",
        ),
        (
            "<plmn><mcc>460</mcc><mnc>00</mnc></plmn><plmn><mcc>460</mcc><mnc>11</mnc></plmn>",
            "<plmn><mcc>460</mcc><mnc>11</mnc></plmn><plmn><mcc>460</mcc><mnc>00</mnc></plmn>",
        ),
        // A text with digits is no number.
        ("<plmn><mcc>460</mcc><mnc>01</mnc></plmn>", "<plmn><mcc>460</mcc><mnc>1</mnc></plmn>"),
        ("<colour>t:red</colour>", "<colour>t:dark-red</colour>"),
        ("<pattern> a</pattern>", "<pattern>a</pattern>"),
        // What the schema does not know, and what it does not look into.
        ("<unknown>05</unknown>", "<unknown>5</unknown>"),
        ("<vendor><power>05</power></vendor>", "<vendor><power>5</power></vendor>"),
    ] {
        let (one, other) = (radio(one), radio(other));
        let (a, b) = (read(one.as_bytes(), Some(&OWN.table)), read(other.as_bytes(), Some(&OWN.table)));
        assert_eq!(diff(&a, &b).unwrap().len(), 1, "{one} {other}");
    }
}

#[test]
fn json_and_xml_of_one_configuration_are_the_same() {
    let json = r#"{"twin:radio": {"power": 45, "colour": "dark-red", "mixed": "twin:red", "share": "1.50",
        "path": "/twin:radio/cell[sector='1'][band='n78']", "fdd": [null], "neighbours": [30, 4],
        "cell": [{"sector": 2, "band": "n78"}, {"sector": 1, "band": "n1"}]}}"#;
    let xml = radio(
        "<neighbours>4</neighbours><neighbours>30</neighbours><power>+45</power><colour>t:dark-red</colour>
         <mixed>t:red</mixed><share>1.5</share><path>/t:radio/t:cell[t:sector='1'][t:band='n78']</path><fdd/>
         <cell><sector>1</sector><band>n1</band></cell><cell><sector>2</sector><band>n78</band></cell>",
    );
    let (a, b) = (read(json.as_bytes(), Some(&OWN.table)), read(xml.as_bytes(), Some(&OWN.table)));
    assert_eq!(diff(&a, &b).unwrap(), []);
}

proptest! {
    #[test]
    fn what_libyang_read_is_what_we_read(seed: u64, power in -10i16..460, huge: u64, share in any::<i32>(),
        cells in prop::collection::btree_set((0u8..9, "n[1-9]"), 0..5), neighbours in prop::collection::btree_set(0u16..99, 0..6),
        plmns in prop::collection::btree_set("[0-9]{2,3}", 0..4)) {
        let mut inside = format!("<power>{power}</power><huge>{huge}</huge><share>{}.{:03}</share>", share / 1_000, share.unsigned_abs() % 1_000);
        for (sector, band) in cells { let _ = write!(inside, "<cell><sector>{sector}</sector><band>{band}</band></cell>"); }
        for neighbour in neighbours { let _ = write!(inside, "<neighbours>{neighbour}</neighbours>"); }
        for mnc in plmns { let _ = write!(inside, "<plmn><mcc>460</mcc><mnc>{mnc}</mnc></plmn>"); }
        let document = radio(&inside);
        let mut tree = parse(&OWN.context, document.as_bytes(), DocumentFormat::Xml).unwrap();
        check(&OWN, document.as_bytes(), &tree, seed);
        respellings_may_be_ones(&OWN.table, printed(&tree, seed).as_bytes());
        for edit in unfilled(&OWN, document.as_bytes(), &mut tree, seed) {
            prop_assert!(edit.old.is_none() && ["conditional", "one", "bands"].contains(&&*edit.attribute), "{edit:?}");
        }
    }
}

#[test]
fn corpus_documents_printed_otherwise_are_the_same() {
    let Some((set, documents)) = corpus() else { return };
    let compiled = load(&set);
    let bytes = serde_json::to_vec(&compiled.table).unwrap();
    println!("{} modules, {} nodes, {} bytes", set.len(), compiled.table.len(), bytes.len());
    assert_eq!(serde_json::from_slice::<SchemaTable>(&bytes).unwrap(), compiled.table);
    let (mut checked, mut filled) = (0, 0);
    for (path, mut document, format) in documents {
        if format == DocumentFormat::Xml {
            let text = bare(std::str::from_utf8(&document).unwrap()).map(|text| text.into_owned());
            document = text.map_or(document, String::into_bytes);
        }
        let Some(mut tree) = parse(&compiled.context, &document, format).filter(is_plain) else {
            println!("{}: not compared", path.display());
            continue;
        };
        for seed in 0..4 {
            check(&compiled, &document, &tree, seed);
        }
        let edits = unfilled(&compiled, &document, &mut tree, 0);
        // Some of its leaves are there only where the interface is of a certain type.
        let conditional = path.ends_with("ietf-interfaces-running.xml");
        assert_eq!(edits.is_empty(), !conditional, "{}: {edits:?}", path.display());
        filled += respellings_may_be_ones(&compiled.table, &document);
        checked += 1;
    }
    println!("{checked} documents, {filled} values filled in");
    assert!(checked >= 8 && filled > 20, "{checked} documents, {filled} values filled in");
}
