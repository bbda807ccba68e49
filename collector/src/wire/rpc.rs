//! The requests a collector may send. They all read.
//!
//! [`Request`] has no variant that changes a station, and nothing else here writes a request: that a
//! collector cannot edit is a property of the types, not of a configuration switch.

use std::fmt::Write as _;

use crate::wire::xml::{Token, Walk, XmlError, escape};
use crate::wire::{BASE_NAMESPACE, MONITORING_NAMESPACE, WITH_DEFAULTS_NAMESPACE};

/// How values that equal the schema's default are reported (RFC 6243 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithDefaults {
    /// Every value.
    ReportAll,
    /// Every value, defaults marked.
    ReportAllTagged,
    /// Values that differ from their default.
    Trim,
    /// Values somebody set, even to the default.
    Explicit,
}

impl WithDefaults {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            WithDefaults::ReportAll => "report-all",
            WithDefaults::ReportAllTagged => "report-all-tagged",
            WithDefaults::Trim => "trim",
            WithDefaults::Explicit => "explicit",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<WithDefaults> {
        [Self::ReportAll, Self::ReportAllTagged, Self::Trim, Self::Explicit]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// A subtree filter (RFC 6241 §6): elements that say what to return.
///
/// It is checked to be balanced XML when it is made, so that text from a file cannot close `<filter>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtreeFilter(String);

impl SubtreeFilter {
    /// A filter from its elements; prefixes must be declared inside.
    pub fn new(elements: impl Into<String>) -> Result<SubtreeFilter, XmlError> {
        let elements = elements.into();
        let mut walk = Walk::fragment(elements.as_bytes())?;
        while !matches!(walk.token()?.0, Token::Done) {}
        Ok(SubtreeFilter(elements))
    }

    /// A filter for everything in one top element; both words are ours and need no check.
    pub(crate) fn element(name: &'static str, namespace: &'static str) -> SubtreeFilter {
        SubtreeFilter(format!("<{name} xmlns=\"{namespace}\"/>"))
    }

    /// The elements as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is asked from the station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `<get-config>` of the running datastore (RFC 6241 §7.1). Candidate is never collected.
    GetConfig {
        /// Which part, all of it without.
        filter: Option<SubtreeFilter>,
        /// How defaults are reported; the server's basic mode without.
        with_defaults: Option<WithDefaults>,
    },
    /// `<get>`: running configuration and state (RFC 6241 §7.7).
    Get {
        /// Which part.
        filter: Option<SubtreeFilter>,
    },
    /// `<get-schema>`: the text of a YANG module (RFC 6022 §3.1).
    GetSchema {
        /// The module's name.
        identifier: String,
        /// Its revision.
        version: Option<String>,
    },
    /// `<close-session>` (RFC 6241 §7.8).
    CloseSession,
}

impl Request {
    /// The whole message, unframed.
    pub fn to_xml(&self, message_id: u64) -> String {
        let mut xml = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rpc message-id=\"{message_id}\" xmlns=\"{BASE_NAMESPACE}\">"
        );
        match self {
            Request::GetConfig { filter, with_defaults } => {
                xml.push_str("<get-config><source><running/></source>");
                push_filter(&mut xml, filter.as_ref());
                if let Some(mode) = with_defaults {
                    let name = mode.name();
                    let _ = write!(
                        xml,
                        "<with-defaults xmlns=\"{WITH_DEFAULTS_NAMESPACE}\">{name}</with-defaults>"
                    );
                }
                xml.push_str("</get-config>");
            }
            Request::Get { filter } => {
                xml.push_str("<get>");
                push_filter(&mut xml, filter.as_ref());
                xml.push_str("</get>");
            }
            Request::GetSchema { identifier, version } => {
                let name = escape(identifier);
                let _ = write!(
                    xml,
                    "<get-schema xmlns=\"{MONITORING_NAMESPACE}\"><identifier>{name}</identifier>"
                );
                if let Some(version) = version {
                    let _ = write!(xml, "<version>{}</version>", escape(version));
                }
                xml.push_str("<format>yang</format></get-schema>");
            }
            Request::CloseSession => xml.push_str("<close-session/>"),
        }
        xml.push_str("</rpc>");
        xml
    }

    /// The operation's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Request::GetConfig { .. } => "get-config",
            Request::Get { .. } => "get",
            Request::GetSchema { .. } => "get-schema",
            Request::CloseSession => "close-session",
        }
    }
}

fn push_filter(xml: &mut String, filter: Option<&SubtreeFilter>) {
    if let Some(filter) = filter {
        let _ = write!(xml, "<filter type=\"subtree\">{}</filter>", filter.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_config_names_running_filter_and_defaults() {
        let filter = SubtreeFilter::new("<ManagedElement xmlns=\"urn:m\"/>").unwrap();
        let request =
            Request::GetConfig { filter: Some(filter), with_defaults: Some(WithDefaults::ReportAll) };
        insta::assert_snapshot!(request.to_xml(7), @r#"<?xml version="1.0" encoding="UTF-8"?><rpc message-id="7" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><get-config><source><running/></source><filter type="subtree"><ManagedElement xmlns="urn:m"/></filter><with-defaults xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults">report-all</with-defaults></get-config></rpc>"#);
    }

    #[test]
    fn get_schema_escapes_what_it_is_given() {
        let request = Request::GetSchema { identifier: "a<b".into(), version: Some("2022-01-01".into()) };
        assert!(request.to_xml(1).contains("<identifier>a&lt;b</identifier><version>2022-01-01</version>"));
    }

    #[test]
    fn every_request_is_well_formed() {
        let filter = SubtreeFilter::new("<a/><b x='1'>t</b>").ok();
        for request in [
            Request::GetConfig { filter: filter.clone(), with_defaults: None },
            Request::Get { filter },
            Request::GetSchema { identifier: "m".into(), version: None },
            Request::CloseSession,
        ] {
            let xml = request.to_xml(1);
            let mut walk = Walk::document(xml.as_bytes()).unwrap();
            while !matches!(walk.token().unwrap().0, Token::Done) {}
        }
    }

    #[test]
    fn filter_cannot_break_out_of_its_element() {
        assert!(SubtreeFilter::new("</filter></get-config><edit-config/>").is_err());
        assert!(SubtreeFilter::new("<a>").is_err());
        assert!(SubtreeFilter::new("<!DOCTYPE a><a/>").is_err());
        assert!(SubtreeFilter::new("").is_ok());
    }
}
