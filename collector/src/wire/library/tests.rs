use proptest::prelude::*;

use super::*;
use crate::wire::BASE_NAMESPACE;

fn reply(body: &str) -> String {
    format!(
        "<rpc-reply xmlns=\"{BASE_NAMESPACE}\" message-id=\"1\"><data>\
         <l:top xmlns:l=\"{LIBRARY_NAMESPACE}\" xmlns=\"urn:x\">{body}</l:top></data></rpc-reply>"
    )
}

/// A library of RFC 8525 in its own element; `l:top` above stands for whatever a station wraps around.
fn new_style(body: &str) -> Result<Library, LibraryError> {
    let text = reply(&format!("<l:yang-library>{body}</l:yang-library>"));
    read_library(text.as_bytes(), LibrarySource::Rfc8525)
}

fn old_style(body: &str) -> Result<Library, LibraryError> {
    let text = reply(&format!("<l:modules-state>{body}</l:modules-state>"));
    read_library(text.as_bytes(), LibrarySource::Rfc7895)
}

fn names(library: &Library) -> Vec<String> {
    let mark = |module: &ModuleEntry| if module.implemented { "" } else { " imported" };
    library.modules.iter().map(|module| format!("{}{}", module.id, mark(module))).collect()
}

const SETS: &str = "<l:module-set><l:name>one</l:name>\
    <l:module><l:name>b</l:name><l:revision>2020-01-01</l:revision><l:namespace>urn:b?a&amp;c</l:namespace>\
      <l:feature>y</l:feature><l:feature>x</l:feature><l:deviation>d</l:deviation><l:location>x:y</l:location>\
      <l:submodule><l:name>b-part</l:name><l:revision>2019-01-01</l:revision></l:submodule></l:module>\
    <l:import-only-module><l:name>a</l:name><l:revision/><l:namespace>urn:a</l:namespace></l:import-only-module>\
    <vendor><l:module><l:name>hidden</l:name></l:module></vendor></l:module-set>\
  <l:module-set><l:name>two</l:name><l:module><l:name>c</l:name></l:module>\
    <l:module><l:name>a</l:name></l:module></l:module-set>";

#[test]
fn the_running_datastores_schema_is_what_counts() {
    let both = "<l:schema><l:name>all</l:name><l:module-set>two</l:module-set><l:module-set>one</l:module-set></l:schema>\
        <l:schema><l:name>small</l:name><l:module-set>one</l:module-set></l:schema>";
    let datastore = |name: &str, schema: &str| {
        format!(
            "<l:datastore><l:name xmlns:ds='urn:ds'>ds:{name}</l:name><l:schema>{schema}</l:schema></l:datastore>"
        )
    };
    let with =
        |datastores: String| new_style(&format!("{SETS}{both}{datastores}<l:content-id>7</l:content-id>"));
    let small = with(datastore("operational", "all") + &datastore("running", "small")).unwrap();
    assert_eq!(names(&small), ["a imported", "b@2020-01-01"]);
    assert_eq!(small.content_id.as_deref(), Some("7"));
    let module = &small.modules[1];
    assert_eq!((module.features.join(" "), module.deviations.join(" ")), ("x y".into(), "d".into()));
    assert_eq!(
        (module.submodules[0].to_string(), module.namespace.as_str()),
        ("b-part@2019-01-01".into(), "urn:b?a&c")
    );
    // What one set implements is not also merely imported.
    let all = with(datastore("running", "all")).unwrap();
    assert_eq!(names(&all), ["a", "b@2020-01-01", "c"]);
    assert_eq!(names(&with(String::new()).unwrap()), names(&all));
    let dangling = with(datastore("running", "gone")).unwrap_err();
    assert_eq!(dangling, LibraryError::Dangling { name: "gone".into() });
}

#[test]
fn the_older_library_is_read() {
    let library = old_style(
        "<l:module-set-id>42</l:module-set-id>\
         <l:module><l:name>m</l:name><l:revision>2016-06-21</l:revision><l:namespace>urn:m</l:namespace>\
           <l:deviation><l:name>dev</l:name><l:revision/></l:deviation><l:conformance-type>implement</l:conformance-type></l:module>\
         <l:module><l:name>t</l:name><l:revision></l:revision><l:conformance-type>import</l:conformance-type></l:module>",
    )
    .unwrap();
    assert_eq!(names(&library), ["m@2016-06-21", "t imported"]);
    assert_eq!(
        (library.modules[0].deviations.join(" "), library.content_id.as_deref()),
        ("dev".into(), Some("42"))
    );
}

#[test]
fn a_hello_lists_modules_in_its_capabilities() {
    let uris = [
        "urn:ietf:params:netconf:base:1.1",
        "urn:b?module=b&revision=2020-01-01&features=y,x&deviations=d",
        "urn:a?revision=&module=a",
        "urn:ietf:params:netconf:capability:yang-library:1.0?revision=2016-06-21&module-set-id=9",
    ];
    let library = hello_library(&Capabilities::new(uris.map(str::to_owned))).unwrap();
    assert_eq!(names(&library), ["a", "b@2020-01-01"]);
    assert_eq!(library.modules[1].features, ["x", "y"]);
    assert_eq!(
        (library.modules[1].deviations.join(""), library.content_id.as_deref()),
        ("d".into(), Some("9"))
    );
    assert_eq!(hello_library(&Capabilities::default()), Err(LibraryError::Nothing));
    let hostile = Capabilities::new(["urn:x?module=../../etc/passwd".to_owned()]);
    assert!(matches!(hello_library(&hostile), Err(LibraryError::Id { at: 1, .. })));
}

#[test]
fn one_set_has_one_spelling() {
    let module = |name: &str| format!("<l:module><l:name>{name}</l:name></l:module>");
    let forth = old_style(&[module("a"), module("b"), module("a")].concat()).unwrap();
    assert_eq!(forth, old_style(&[module("b"), module("a")].concat()).unwrap());
}

#[test]
fn broken_libraries_say_what_is_wrong() {
    assert_eq!(old_style(""), Err(LibraryError::Nothing));
    assert_eq!(
        new_style("<module-set><module><name>a</name></module></module-set>"),
        Err(LibraryError::Nothing)
    );
    let second = old_style("<l:module><l:name>a</l:name></l:module><l:module><l:revision/></l:module>");
    assert_eq!(second, Err(LibraryError::Nameless { at: 2 }));
    for text in [
        "<l:name>a/b</l:name>",
        "<l:name>a</l:name><l:revision>now</l:revision>",
        "<l:name>a</l:name><l:feature>..</l:feature>",
    ] {
        let error = old_style(&format!("<l:module>{text}</l:module>")).unwrap_err();
        assert!(matches!(error, LibraryError::Id { at: 1, .. }), "{text}: {error}");
    }
    assert!(matches!(old_style("<l:module><l:name><l:x/></l:name></l:module>"), Err(LibraryError::Xml(_))));
    let many = "<l:module><l:name>a</l:name></l:module>".repeat(MAX_MODULES + 1);
    assert_eq!(old_style(&many), Err(LibraryError::TooMany { limit: MAX_MODULES }));
}

proptest! {
    #[test]
    fn any_single_changed_byte_never_panics(at in 0usize..2000, byte in any::<u8>(), old in any::<bool>()) {
        let body = format!("<l:yang-library>{SETS}</l:yang-library><l:modules-state><l:module><l:name>a</l:name></l:module></l:modules-state>");
        let mut text = reply(&body).into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let source = if old { LibrarySource::Rfc7895 } else { LibrarySource::Rfc8525 };
        if let Ok(library) = read_library(&text, source) {
            for module in library.modules {
                prop_assert!(ModuleId::new(&module.id.name, module.id.revision.as_deref()).is_ok());
            }
        }
    }

    #[test]
    fn arbitrary_capabilities_never_panic(uris in prop::collection::vec("[a-z:?&=,./@-]{0,40}", 0..6)) {
        let _ = hello_library(&Capabilities::new(uris));
    }
}
