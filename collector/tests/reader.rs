//! What the reader makes of documents, one rule at a time.

#![expect(clippy::unwrap_used, reason = "tests")]

use model::profile::ObjectRule;
use model::{Dn, Profile, Snapshot, Value};
use ranproof_collector::reader::{Problem, ReadContext, ReadError, ReadLimits, read_json, read_xml};

const NS: &str = "urn:3gpp:sa5:_3gpp-common-managed-element";

fn prefix() -> Dn {
    "SubNetwork=bj,ManagedElement=g1".parse().unwrap()
}

fn read_with(profile: &Profile, document: &str) -> Result<Snapshot, ReadError> {
    read_xml(document.as_bytes(), &ReadContext::new(profile, &prefix()))
}

fn read(document: &str) -> Snapshot {
    read_with(&Profile::plain("plain"), document).unwrap()
}

/// A ManagedElement around `content`, which stands beside its attributes.
fn element(content: &str) -> String {
    format!(
        "<ManagedElement xmlns=\"{NS}\"><id>g1</id><attributes><userLabel>x</userLabel></attributes>{content}</ManagedElement>"
    )
}

fn attributes(content: &str) -> Snapshot {
    read(&format!(
        "<ManagedElement xmlns=\"{NS}\"><id>g1</id><attributes>{content}</attributes></ManagedElement>"
    ))
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.objects().iter().map(|o| o.dn().as_str()).collect()
}

fn codes(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.findings().iter().map(|f| f.code.as_str()).collect()
}

fn value<'a>(snapshot: &'a Snapshot, dn: &str, attribute: &str) -> &'a Value {
    let object = snapshot.object(&dn.parse().unwrap()).unwrap_or_else(|| panic!("no {dn}"));
    object.attribute(attribute).unwrap_or_else(|| panic!("no {attribute} in {object:?}"))
}

fn json_of(value: &Value) -> String {
    value.canonical_json()
}

#[test]
fn objects_are_named_below_the_station() {
    let content = "<GNBDUFunction xmlns=\"urn:du\"><id>1</id><attributes><gNBId>7</gNBId></attributes><NRCellDU><attributes/><id>ManagedElement=1,GNBDUFunction=1,NRCellDU=3</id></NRCellDU></GNBDUFunction>";
    let bare = read(&element(content));
    assert_eq!(
        names(&bare),
        [
            "SubNetwork=bj,ManagedElement=g1",
            "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1",
            "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRCellDU=3"
        ]
    );
    assert_eq!(codes(&bare), [""; 0]);
    let base = "urn:ietf:params:xml:ns:netconf:base:1.0";
    for around in [
        format!(
            "<?xml version=\"1.0\"?>\n<rpc-reply xmlns=\"{base}\" message-id=\"9\">\n <data>{{}}</data></rpc-reply>\n"
        ),
        format!("<n:data xmlns:n=\"{base}\">{{}}</n:data>"),
        format!("<config xmlns=\"{base}\">{{}}</config>"),
        "<data>{}</data>".to_owned(),
        "<SubNetwork xmlns=\"urn:s\">{}</SubNetwork>".to_owned(),
    ] {
        let document = around.replace("{}", &element(content));
        let snapshot = read(&document);
        let own: Vec<_> = names(&snapshot).into_iter().filter(|n| !n.contains("g1,SubNetwork")).collect();
        assert_eq!(own, names(&bare), "{document}");
    }
}

#[test]
fn a_station_with_another_id_is_still_the_station() {
    let snapshot = read(&element("").replace("g1", "other"));
    assert_eq!(names(&snapshot), ["SubNetwork=bj,ManagedElement=g1"]);
    assert_eq!(codes(&snapshot), ["element-id-differs"]);
}

#[test]
fn a_second_station_cannot_pass_for_another_ones_objects() {
    for order in [["g1", "g2"], ["g2", "g1"]] {
        let both: String = order.iter().map(|id| element("").replace("g1", id)).collect();
        let snapshot = read(&both);
        assert_eq!(
            names(&snapshot),
            ["SubNetwork=bj,ManagedElement=g1", "SubNetwork=bj,ManagedElement=g1,ManagedElement=g2"]
        );
        assert_eq!(codes(&snapshot), ["other-element"]);
    }
}

#[test]
fn values_are_whole_and_in_document_order() {
    let snapshot = attributes(
        "<pLMNInfoList><idx>1</idx><mcc>460</mcc><mnc>11</mnc></pLMNInfoList><a/><pLMNInfoList>\n <mnc>01</mnc>\n <mcc>460</mcc>\n<sNSSAI><sst>1</sst></sNSSAI></pLMNInfoList><b>2</b><b>1</b><idx>5</idx>",
    );
    let dn = "SubNetwork=bj,ManagedElement=g1";
    assert_eq!(
        json_of(value(&snapshot, dn, "pLMNInfoList")),
        r#"[{"mcc":"460","mnc":"11"},{"mcc":"460","mnc":"01","sNSSAI":{"sst":"1"}}]"#
    );
    assert_eq!(json_of(value(&snapshot, dn, "b")), r#"["2","1"]"#);
    assert_eq!(value(&snapshot, dn, "a"), &Value::from(""));
    // Directly below `attributes` it is an attribute like any other.
    assert_eq!(value(&snapshot, dn, "idx"), &Value::from("5"));
}

#[test]
fn text_is_decoded_and_otherwise_verbatim() {
    let snapshot = attributes(
        "<a> x &amp;&#x20AC;<!-- c -->\u{e9}<?pi?><![CDATA[<&>]]> </a><b>  </b><c>\n  </c><d>&#10;</d><e>t:x</e><f>1\r\n2</f>",
    );
    let dn = "SubNetwork=bj,ManagedElement=g1";
    let text = |name| value(&snapshot, dn, name).as_text().unwrap().to_owned();
    assert_eq!(text("a"), " x &\u{20ac}\u{e9}<&> ");
    assert_eq!([text("b"), text("c"), text("d")], ["  ", "", "\n"]);
    assert_eq!([text("e"), text("f")], ["t:x", "1\n2"]);
}

#[test]
fn names_of_other_namespaces_are_qualified() {
    let mut profile = Profile::plain("p");
    profile.namespaces.insert("urn:vendor".into(), "v".into());
    let document = element("").replace(
        "<userLabel>x</userLabel>",
        "<q:vs xmlns:q=\"urn:vendor\"><q:in>1</q:in><out xmlns=\"urn:other\"/></q:vs><z xmlns=\"urn:other\">2</z>",
    );
    let snapshot = read_with(&profile, &document).unwrap();
    let dn = "SubNetwork=bj,ManagedElement=g1";
    assert_eq!(json_of(value(&snapshot, dn, "v:vs")), r#"{"in":"1","{urn:other}out":""}"#);
    assert_eq!(value(&snapshot, dn, "{urn:other}z"), &Value::from("2"));
}

#[test]
fn other_yang_is_one_object_per_top_element() {
    let snapshot = read(
        "<interfaces xmlns=\"urn:i\"><interface><name>a</name><id>9</id></interface><interface><name>b</name></interface><enabled/></interfaces><hostname xmlns=\"urn:h\">h1</hostname><empty xmlns=\"urn:e\">\n</empty>",
    );
    let below = |name: &str| format!("SubNetwork=bj,ManagedElement=g1,{name}");
    assert_eq!(names(&snapshot), [below("empty=1"), below("hostname=1"), below("interfaces=1")]);
    assert_eq!(
        json_of(value(&snapshot, &below("interfaces=1"), "interface")),
        r#"[{"id":"9","name":"a"},{"name":"b"}]"#
    );
    assert_eq!(value(&snapshot, &below("hostname=1"), "hostname"), &Value::from("h1"));
    assert_eq!(codes(&snapshot), [""; 0]);
}

#[test]
fn equal_top_names_of_two_modules_do_not_depend_on_order() {
    let one = "<interfaces xmlns=\"urn:one\"><a>1</a></interfaces>";
    let two = "<interfaces xmlns=\"urn:two\"><a>2</a></interfaces>";
    let (forth, back) = (read(&[one, two].concat()), read(&[two, one].concat()));
    assert_eq!(forth.root(), back.root());
    assert_eq!(forth.objects().len(), 2);
}

#[test]
fn rules_of_the_profile_make_objects() {
    let mut profile = Profile::plain("p");
    let rule = |element: &str, class: Option<&str>, key: Option<&str>| ObjectRule {
        namespace: "urn:i".into(),
        element: element.into(),
        class: class.map(str::to_owned),
        key: key.map(str::to_owned),
    };
    profile.objects = vec![rule("interface", Some("Interface"), Some("name")), rule("system", None, None)];
    let document = "<interfaces xmlns=\"urn:i\"><list><interface><mtu>9</mtu><name>eth0</name></interface><n>1</n></list><interface><mtu>1</mtu></interface><system><id>4</id></system></interfaces>";
    let snapshot = read_with(&profile, document).unwrap();
    let below = |name: &str| format!("SubNetwork=bj,ManagedElement=g1,interfaces=1{name}");
    assert_eq!(
        names(&snapshot),
        [below(""), below(",Interface=1"), below(",Interface=eth0"), below(",system=1")]
    );
    assert_eq!(value(&snapshot, &below(",Interface=eth0"), "mtu"), &Value::from("9"));
    assert_eq!(json_of(value(&snapshot, &below(""), "list")), r#"{"n":"1"}"#);
    assert_eq!(value(&snapshot, &below(",system=1"), "id"), &Value::from("4"));
    assert_eq!(codes(&snapshot), ["object-without-key"]);
}

#[test]
fn nothing_is_dropped_where_the_pattern_is_broken() {
    let twice = element(
        "<NRCellDU><attributes><a>1</a></attributes></NRCellDU><NRCellDU><attributes><a>2</a></attributes></NRCellDU><loose>3</loose><list><id>1</id></list>",
    );
    let snapshot = read(&twice);
    let below = |name: &str| format!("SubNetwork=bj,ManagedElement=g1{name}");
    assert_eq!(value(&snapshot, &below(",NRCellDU=2"), "a"), &Value::from("2"));
    assert_eq!(value(&snapshot, &below(""), "loose"), &Value::from("3"));
    assert_eq!(json_of(value(&snapshot, &below(""), "list")), r#"{"id":"1"}"#);
    assert_eq!(codes(&snapshot), ["object-without-key", "object-without-key"]);

    let mixed = attributes("<a>one<b>2</b>three</a>");
    assert_eq!(json_of(value(&mixed, &below(""), "a")), r##"{"#text":"onethree","b":"2"}"##);
    assert_eq!(codes(&mixed), ["mixed-content"]);

    let same = element(
        "<A><id>1</id><attributes><v>1</v></attributes></A><A><id>1</id><attributes><v>2</v></attributes></A>",
    );
    let snapshot = read(&same);
    assert_eq!(value(&snapshot, &below(",A=1"), "v"), &Value::from("1"));
    assert_eq!(codes(&snapshot), ["duplicate-object"]);
}

#[test]
fn xml_attributes_are_noted_once_and_marks_of_defaults_not_at_all() {
    let document = element("").replace(
        "<userLabel>",
        "<a xmlns:wd=\"urn:ietf:params:xml:ns:netconf:default:1.0\" wd:default=\"true\">1</a><b c=\"1\"/><b c='2'/><userLabel>",
    );
    let snapshot = read(&document);
    assert_eq!(codes(&snapshot), ["xml-attribute"]);
    assert!(snapshot.findings()[0].message.contains("`c` on 2 elements"));
}

#[test]
fn volatile_attributes_are_outside_the_digest_and_secrets_are_hashed() {
    let mut profile = Profile::plain("p");
    profile.secret = vec!["ManagedElement.password".parse().unwrap()];
    let document = |state: &str, password: &str| {
        element("").replace(
            "<userLabel>",
            &format!(
                "<operationalState>{state}</operationalState><password>{password}</password><userLabel>"
            ),
        )
    };
    let read = |document: &str, key| {
        let prefix = prefix();
        let context = ReadContext { secret_key: key, ..ReadContext::new(&profile, &prefix) };
        read_xml(document.as_bytes(), &context)
    };
    let error = read(&document("ENABLED", "hunter2"), None).unwrap_err();
    assert_eq!(
        (error.reason(), error.problem),
        ("no-secret-key", Problem::SecretWithoutKey("ManagedElement.password".into()))
    );
    let key = Some([7; 32]);
    let one = read(&document("ENABLED", "hunter2"), key).unwrap();
    let object = &one.objects()[0];
    assert_eq!(object.volatile(), [("operationalState".to_owned(), Value::from("ENABLED"))]);
    let hashed = object.attribute("password").unwrap().as_text().unwrap();
    assert!(hashed.len() == 70 && hashed.starts_with("keyed:"));
    assert!(!format!("{one:?}").contains("hunter2"));
    assert_eq!(one.root(), read(&document("DISABLED", "hunter2"), key).unwrap().root());
    assert_ne!(one.root(), read(&document("ENABLED", "hunter3"), key).unwrap().root());
    assert_ne!(one.root(), read(&document("ENABLED", "hunter2"), Some([8; 32])).unwrap().root());
}

#[test]
fn broken_documents_are_refused_with_place_and_hint() {
    for (document, reason, line, column) in [
        ("<a xmlns='urn:a'>\n <b>\u{1}</b></a>", "malformed", 2, 5),
        ("<a>\n<x:b/></a>", "malformed", 2, 1),
        ("<a><b x:y='1'/></a>", "malformed", 1, 4),
        ("<a>\n <b></c></a>", "malformed", 2, 5),
        ("<a><b>", "malformed", 1, 7),
        ("<!DOCTYPE a><a/>", "malformed", 1, 1),
        ("<a b='&x;'/>", "malformed", 1, 1),
        ("<a/>tail", "malformed", 1, 5),
        ("<data><a/>tail</data>", "malformed", 1, 11),
        ("<rpc xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'/>", "not-configuration", 1, 1),
        (
            "<rpc-reply xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'><ok/></rpc-reply>",
            "not-configuration",
            1,
            60,
        ),
        (
            "<rpc-reply xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'></rpc-reply>",
            "not-configuration",
            1,
            72,
        ),
        (
            "<notification xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>",
            "not-configuration",
            1,
            1,
        ),
    ] {
        let error = read_with(&Profile::plain("p"), document).unwrap_err();
        assert_eq!((error.reason(), error.line, error.column), (reason, line, column), "{document}: {error}");
        assert!(error.to_string().contains("; hint: "), "{error}");
    }
}

#[test]
fn inherited_declarations_are_in_force() {
    let profile = Profile::plain("p");
    let prefix = prefix();
    let namespaces = [(String::new(), NS.to_owned()), ("n".to_owned(), NS.to_owned())];
    let context = ReadContext { namespaces: &namespaces, ..ReadContext::new(&profile, &prefix) };
    let content = "<n:ManagedElement><id>g1</id><n:attributes><userLabel>x</userLabel></n:attributes></n:ManagedElement>";
    assert_eq!(read_xml(content.as_bytes(), &context).unwrap().objects(), read(&element("")).objects());
}

#[test]
fn every_limit_holds() {
    let profile = Profile::plain("p");
    let prefix = prefix();
    let base = ReadLimits::default();
    let limited = |document: &str, limits| {
        let context = ReadContext { limits, ..ReadContext::new(&profile, &prefix) };
        read_xml(document.as_bytes(), &context).unwrap_err()
    };
    let flat = format!("<a>{}</a>", "<b/>".repeat(1000));
    let long_id = format!("<A><id>{}</id><attributes/></A>", "x".repeat(2000));
    let wide =
        format!("<A><id>{}</id><attributes/>{}</A>", "x".repeat(1000), "<B><id>1</id></B>".repeat(200));
    let spaces: String = (0..3000).map(|n| format!("<a xmlns='u:{n}'/>")).collect();
    let prefixes: String = (100..400).map(|n| format!(" xmlns:p{n}='u'")).collect();
    let nested: String = ["a", "b", "c"].map(|name| format!("<{name}{}>", &prefixes[..200 * 15])).concat();
    for (document, limits, what) in [
        (flat.as_str(), ReadLimits { nodes: 1000, ..base }, "elements"),
        (&flat, ReadLimits { memory: 10_000, ..base }, "bytes of memory"),
        (&flat, ReadLimits { bytes: 10, ..base }, "bytes of input"),
        (&"<a>".repeat(65), base, "levels of nesting"),
        (&long_id, base, "bytes in an id"),
        (&wide, ReadLimits { memory: 300_000, ..base }, "bytes of memory"),
        (&spaces, base, "namespaces"),
        (&format!("<a{prefixes}/>"), base, "XML attributes in an element"),
        ("<a/>", ReadLimits { depth: 0, ..base }, "levels of nesting"),
        (&nested, base, "prefixes in force"),
        (&format!("<{}/>", "a".repeat(300)), base, "bytes in a name"),
    ] {
        let error = limited(document, limits);
        let Problem::OverLimit { what: found, .. } = error.problem else { panic!("{what}: {error}") };
        assert_eq!((found, error.reason()), (what, "over-limit"));
    }
}

#[test]
fn findings_are_bounded() {
    let many: String = (0..3000).map(|_| "<A><attributes/></A>").collect();
    let snapshot = read(&element(&many));
    assert_eq!(snapshot.findings().len(), 1001);
    assert_eq!(snapshot.findings().last().unwrap().message, "2000 more findings are not listed");
}

const JSON: &str = r#"{"m-me:ManagedElement": [{"id": "g1", "attributes": {"userLabel": "x",
  "pLMNInfoList": [{"idx": 0, "mcc": "460", "mnc": "01"}], "power": -1.50, "on": true, "flag": [null], "list": [], "sub": {},
  "m-vendor:vs": {"in": 1}, "@power": {"o:origin": "x"}},
  "m-du:GNBDUFunction": [{"id": "1", "attributes": {"a": [2, 1]}}]}]}"#;

#[test]
fn json_gives_the_digests_of_the_same_xml() {
    let mut profile = Profile::plain("p");
    profile.namespaces.insert("urn:vendor".into(), "m-vendor".into());
    let prefix = prefix();
    let context = ReadContext::new(&profile, &prefix);
    let xml = "<ManagedElement xmlns='urn:m'><attributes><userLabel>x</userLabel><power>-1.50</power><pLMNInfoList><mcc>460</mcc><mnc>01</mnc></pLMNInfoList><on>true</on><flag/><sub/><vs xmlns='urn:vendor'><in>1</in></vs></attributes><id>g1</id><GNBDUFunction xmlns='urn:du'><id>1</id><attributes><a>2</a><a>1</a></attributes></GNBDUFunction></ManagedElement>";
    let from_xml = read_xml(xml.as_bytes(), &context).unwrap();
    let from_json = read_json(JSON.as_bytes(), &context).unwrap();
    assert_eq!(from_xml.objects(), from_json.objects());
    assert_eq!(from_xml.root(), from_json.root());
    assert_eq!(codes(&from_json), ["metadata"]);
    let wrapped = format!("{{\"ietf-restconf:data\": {JSON}}}");
    assert_eq!(read_json(wrapped.as_bytes(), &context).unwrap().root(), from_xml.root());
}

#[test]
fn broken_json_is_refused_with_its_place() {
    let profile = Profile::plain("p");
    let prefix = prefix();
    let context = ReadContext::new(&profile, &prefix);
    for (document, reason) in [
        ("[1]", "not-configuration"),
        ("3", "not-configuration"),
        ("{\"a:b\": null}", "malformed"),
        ("{\"a:b\": [[1]]}", "malformed"),
        ("{\"a:b\": 1, \"a:b\": 2}", "malformed"),
        ("{\"a:b c\": 1}", "malformed"),
        ("{\"a:\\u0062\": 1}", "malformed"),
        ("{\"a:b\": {", "malformed"),
        ("{\"a:b\": \"\u{1}\"}", "malformed"),
    ] {
        let error = read_json(document.as_bytes(), &context).unwrap_err();
        assert_eq!(error.reason(), reason, "{document}: {error}");
    }
    let bare = read_json(br#"{"b": 1}"#, &context).unwrap();
    assert_eq!(codes(&bare), ["no-module"]);
}
