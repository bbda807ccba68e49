//! The YANG modules a station has, and how it tells of them.
//!
//! [`MODULES`] are the texts in `sim/yang/`; [`yang_library`] lists them as RFC 8525 wants, [`capabilities`] as
//! RFC 6020 §5.6.4 does for stations that have no library, and [`find`] is `<get-schema>` (RFC 6022 §3.1). Only
//! modules of the configuration are listed: the protocol's own are the IETF's, whose texts are not here.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::faults::Fault;
use crate::rpc::OperationError;
use crate::tree::{Element, XMLNS};

/// Namespace of `<yang-library>`.
pub const LIBRARY: &str = "urn:ietf:params:xml:ns:yang:ietf-yang-library";
/// Namespace of `<get-schema>`.
pub const MONITORING: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring";
const DATASTORES: &str = "urn:ietf:params:xml:ns:yang:ietf-datastores";

/// The one revision that all modules have.
pub const REVISION: &str = "2026-11-28";

/// The module whose text lacks what the loop fault adds.
const TYPES: &str = "ranproof-nrm-types";
const ROOT: &str = "ranproof-nrm-managed-element";

/// A module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// Its namespace.
    pub namespace: &'static str,
    /// Whether it has data of its own, or only lends types.
    pub implemented: bool,
    /// Its text.
    pub text: &'static str,
}

/// Every module, sorted by name.
pub const MODULES: &[Module] = &[
    Module {
        name: "ranproof-nrm-eutra",
        namespace: crate::schema::EUTRA,
        implemented: true,
        text: include_str!("../yang/ranproof-nrm-eutra.yang"),
    },
    Module {
        name: ROOT,
        namespace: crate::schema::MANAGED_ELEMENT,
        implemented: true,
        text: include_str!("../yang/ranproof-nrm-managed-element.yang"),
    },
    Module {
        name: "ranproof-nrm-nr",
        namespace: crate::schema::NR,
        implemented: true,
        text: include_str!("../yang/ranproof-nrm-nr.yang"),
    },
    Module {
        name: "ranproof-nrm-radio",
        namespace: crate::schema::OVERLAY,
        implemented: true,
        text: include_str!("../yang/ranproof-nrm-radio.yang"),
    },
    Module {
        name: TYPES,
        namespace: "urn:ranproof:nrm:types",
        implemented: false,
        text: include_str!("../yang/ranproof-nrm-types.yang"),
    },
];

/// What the set of modules is called: another text, another name.
pub static CONTENT_ID: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for module in MODULES {
        hash.update(module.name);
        hash.update(module.text);
    }
    hex::encode(hash.finalize().get(..8).unwrap_or_default())
});

/// `<yang-library>` with everything in one set (RFC 8525 §3).
pub fn yang_library() -> Element {
    let leaf = |name: &str, text: &str| Element::leaf(LIBRARY, name, text);
    let set =
        MODULES.iter().fold(Element::new(LIBRARY, "module-set").with(leaf("name", "all")), |set, module| {
            let kind = if module.implemented { "module" } else { "import-only-module" };
            let listed = Element::new(LIBRARY, kind)
                .with(leaf("name", module.name))
                .with(leaf("revision", REVISION))
                .with(leaf("namespace", module.namespace));
            set.with(listed)
        });
    let schema = Element::new(LIBRARY, "schema").with(leaf("name", "all")).with(leaf("module-set", "all"));
    let running = leaf("name", "ds:running").marked(XMLNS, "ds", DATASTORES);
    let datastore = Element::new(LIBRARY, "datastore").with(running).with(leaf("schema", "all"));
    Element::new(LIBRARY, "yang-library")
        .with(set)
        .with(schema)
        .with(datastore)
        .with(leaf("content-id", &CONTENT_ID))
}

/// The capability of a station with a library (RFC 8526 §2).
pub fn library_capability() -> String {
    let version = "urn:ietf:params:netconf:capability:yang-library:1.1";
    format!("{version}?revision=2019-01-04&content-id={}", *CONTENT_ID)
}

/// The capabilities of a station without one; a module that only lends types is not among them.
pub fn capabilities() -> impl Iterator<Item = String> {
    let implemented = MODULES.iter().filter(|module| module.implemented);
    implemented.map(|module| format!("{}?module={}&revision={REVISION}", module.namespace, module.name))
}

/// The module that a `<get-schema>` asks for.
///
/// # Errors
/// invalid-value for a module, revision or format that is not there; missing-element without an identifier.
pub fn find(request: &Element) -> Result<&'static Module, OperationError> {
    let invalid = |text: String| OperationError::new("invalid-value", text);
    if request.namespace != MONITORING {
        let text = format!("`get-schema` is an operation of {MONITORING}");
        return Err(OperationError::new("unknown-namespace", text));
    }
    let name = request
        .child_text("identifier")
        .ok_or_else(|| OperationError::new("missing-element", "get-schema without `<identifier>`"))?;
    // An identity with or without a prefix.
    let format = request.child_text("format").unwrap_or("yang");
    if format.rsplit(':').next() != Some("yang") {
        return Err(invalid(format!("format `{format}`: only yang is kept")));
    }
    let version = request.child_text("version").filter(|version| !version.is_empty());
    MODULES
        .iter()
        .find(|module| module.name == name && version.is_none_or(|version| version == REVISION))
        .ok_or_else(|| invalid(format!("no module `{name}` of revision `{}`", version.unwrap_or("any"))))
}

/// The text that is answered while a fault is set.
pub fn text(module: &'static Module, fault: Fault) -> String {
    match fault {
        Fault::SchemaOther => other(module).text.to_owned(),
        Fault::SchemaLoop if module.name == TYPES => {
            let import = format!("\n  import {ROOT} {{\n    prefix loop;\n  }}\n\n  organization");
            module.text.replacen("\n  organization", &import, 1)
        }
        _ => module.text.to_owned(),
    }
}

/// The next in the list.
fn other(module: &Module) -> &'static Module {
    let at = MODULES.iter().position(|known| known.name == module.name).unwrap_or(0);
    MODULES.get(at + 1).unwrap_or(&MODULES[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use collector::schema::read_head;

    fn request(inside: &str) -> Element {
        let text = format!("<get-schema xmlns='{MONITORING}'>{inside}</get-schema>");
        Element::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_list_says_what_the_texts_say() {
        for module in MODULES {
            let head = read_head(module.text).unwrap();
            assert_eq!(head.id.to_string(), format!("{}@{REVISION}", module.name));
            assert_eq!(head.namespace.as_deref(), Some(module.namespace));
            let data = ["\n  list ", "\n  augment "].iter().any(|word| module.text.contains(word));
            assert_eq!(module.implemented, data, "{}", module.name);
        }
        assert!(MODULES.is_sorted_by_key(|module| module.name));
    }

    #[test]
    fn what_is_not_kept_is_refused() {
        let found = find(&request("<identifier>ranproof-nrm-nr</identifier><format>x:yang</format>"));
        assert_eq!(found.unwrap().name, "ranproof-nrm-nr");
        for (inside, tag) in [
            ("", "missing-element"),
            ("<identifier>other</identifier>", "invalid-value"),
            ("<identifier>ranproof-nrm-nr</identifier><version>2020-01-01</version>", "invalid-value"),
            ("<identifier>ranproof-nrm-nr</identifier><format>yin</format>", "invalid-value"),
        ] {
            assert_eq!(find(&request(inside)).unwrap_err().tag, tag, "{inside}");
        }
        assert_eq!(find(&Element::new("urn:x", "get-schema")).unwrap_err().tag, "unknown-namespace");
    }

    #[test]
    fn a_loop_is_two_modules_that_import_each_other() {
        let named = |name: &str| MODULES.iter().find(|module| module.name == name).unwrap();
        let types = text(named(TYPES), Fault::SchemaLoop);
        let imports = |text: &str, of: &str| read_head(text).unwrap().imports.iter().any(|id| id.name == of);
        assert_eq!(read_head(&types).unwrap().id.name, TYPES);
        assert!(imports(&types, ROOT));
        assert!(imports(&text(named(ROOT), Fault::SchemaLoop), TYPES));
        assert!(!imports(named(TYPES).text, ROOT));
    }
}
