//! The exchange that opens a session: capabilities and the session id (RFC 6241 §8.1).

use crate::wire::framing::Framing;
use crate::wire::rpc::WithDefaults;
use crate::wire::xml::{Token, Walk, XmlError, escape};
use crate::wire::{BASE_NAMESPACE, reply::Scope};

/// Capability of the first protocol version, with `]]>]]>` framing.
pub const BASE_1_0: &str = "urn:ietf:params:netconf:base:1.0";
/// Capability of the second protocol version, with chunked framing.
pub const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";

const WITH_DEFAULTS: &str = "urn:ietf:params:netconf:capability:with-defaults:1.0";
const CANDIDATE: &str = "urn:ietf:params:netconf:capability:candidate:1.0";
const WRITABLE_RUNNING: &str = "urn:ietf:params:netconf:capability:writable-running:1.0";
const XPATH: &str = "urn:ietf:params:netconf:capability:xpath:1.0";
const YANG_LIBRARY: &str = "urn:ietf:params:netconf:capability:yang-library:";

/// Why a server's hello does not open a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The message is not acceptable XML.
    #[error("hello unreadable")]
    Xml(#[from] XmlError),
    /// Another element came first.
    #[error(
        "expected `<hello>` in the NETCONF namespace, found `<{found}>`; hint: the subsystem is not NETCONF, or writes a banner into it"
    )]
    NotHello {
        /// Name of the element that came.
        found: String,
    },
    /// A server must name the session (RFC 6241 §8.1).
    #[error("hello without a valid `<session-id>`{}; hint: RFC 6241 §8.1 asks the server for one", .found.as_ref().map(|f| format!(" (found `{f}`)")).unwrap_or_default())]
    NoSessionId {
        /// What stood there, if anything.
        found: Option<String>,
    },
    /// Neither base:1.0 nor base:1.1 is shared.
    #[error(
        "no protocol version in common; hint: the server offers neither {BASE_1_0} nor {BASE_1_1} that this side accepts"
    )]
    NoCommonVersion,
}

/// What a server said it can do, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    /// Capabilities from their URIs.
    pub fn new(uris: impl IntoIterator<Item = String>) -> Capabilities {
        Capabilities(uris.into_iter().collect())
    }

    /// All URIs, parameters included.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether a capability is there, whatever its parameters.
    pub fn has(&self, uri: &str) -> bool {
        self.find(uri).is_some()
    }

    /// `:candidate` (RFC 6241 §8.3): a configuration in the making, never judged.
    pub fn candidate(&self) -> bool {
        self.has(CANDIDATE)
    }

    /// `:writable-running` (RFC 6241 §8.2).
    pub fn writable_running(&self) -> bool {
        self.has(WRITABLE_RUNNING)
    }

    /// `:xpath` (RFC 6241 §8.9).
    pub fn xpath(&self) -> bool {
        self.has(XPATH)
    }

    /// How the server treats defaults unless asked (`basic-mode`, RFC 6243 §4.3), if it says so.
    pub fn with_defaults_basic_mode(&self) -> Option<WithDefaults> {
        self.parameter(WITH_DEFAULTS, "basic-mode").and_then(WithDefaults::from_name)
    }

    /// Whether the server answers a request for this mode of defaults (RFC 6243 §4.3).
    pub fn supports_with_defaults(&self, mode: WithDefaults) -> bool {
        let also = self.parameter(WITH_DEFAULTS, "also-supported").unwrap_or_default();
        self.with_defaults_basic_mode() == Some(mode)
            || also.split(',').any(|name| WithDefaults::from_name(name.trim()) == Some(mode))
    }

    /// The id of the module set the server runs (`module-set-id` or `content-id`, RFC 7950 §5.6.4,
    /// RFC 8526 §2), if it says so: equal ids mean equal schemas.
    pub fn schema_id(&self) -> Option<&str> {
        ["content-id", "module-set-id"].iter().find_map(|name| {
            self.iter().filter(|uri| uri.starts_with(YANG_LIBRARY)).find_map(|uri| parameter(uri, name))
        })
    }

    /// Whether the server has a YANG library of that version, `1.0` (RFC 7950 §5.6.4) or `1.1` (RFC 8526 §2).
    pub fn yang_library(&self, version: &str) -> bool {
        let has = |uri: &str| uri.strip_prefix(YANG_LIBRARY)?.split('?').next().map(|rest| rest == version);
        self.iter().any(|uri| has(uri).unwrap_or(false))
    }

    fn find(&self, uri: &str) -> Option<&str> {
        self.iter().find(|c| c.split('?').next() == Some(uri))
    }

    fn parameter(&self, uri: &str, name: &str) -> Option<&str> {
        self.find(uri).and_then(|found| parameter(found, name))
    }
}

fn parameter<'a>(uri: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = uri.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}

/// A server's hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The number the server gave to this session.
    pub session_id: u32,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl ServerHello {
    /// Reads a server's hello.
    pub fn parse(bytes: &[u8]) -> Result<ServerHello, HelloError> {
        let mut walk = Walk::document(bytes)?;
        let mut scope = Scope::default();
        let mut session_id = None;
        let mut uris = Vec::new();
        loop {
            let (token, range) = walk.token()?;
            let Token::Start(tag) = token else {
                match token {
                    Token::Done => break,
                    Token::Start(_) | Token::End | Token::Text(_) => continue,
                }
            };
            scope.enter(&tag, walk.depth(), range.start)?;
            let known = scope.is_base(&tag);
            match (walk.depth(), tag.local_name().into_inner()) {
                (1, "hello") if known => {}
                (1, _) => return Err(HelloError::NotHello { found: tag.name().0.to_owned() }),
                (2, "session-id") if known => session_id = Some(walk.element_text()?),
                (2, "capabilities") if known => {}
                (3, "capability") if known => uris.push(walk.element_text()?.trim().to_owned()),
                _ => {
                    walk.skip_element()?;
                }
            }
        }
        let parsed = session_id.as_deref().and_then(|text| text.trim().parse::<u32>().ok());
        match parsed.filter(|id| *id > 0) {
            Some(session_id) => Ok(ServerHello { session_id, capabilities: Capabilities::new(uris) }),
            None => Err(HelloError::NoSessionId { found: session_id }),
        }
    }

    /// The framing both sides use from here on: the highest version both offered (RFC 6241 §8.1).
    pub fn negotiate(&self) -> Result<Framing, HelloError> {
        if self.capabilities.has(BASE_1_1) {
            Ok(Framing::Chunked)
        } else if self.capabilities.has(BASE_1_0) {
            Ok(Framing::EndOfMessage)
        } else {
            Err(HelloError::NoCommonVersion)
        }
    }
}

/// The hello of this side: both protocol versions and nothing else.
///
/// It goes out as soon as the subsystem is open, and the first request a moment after the server's hello was
/// read: netconfd loses a request that it reads together with the hello.
pub fn client_hello() -> String {
    let mut hello =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><hello xmlns=\"{BASE_NAMESPACE}\"><capabilities>");
    for uri in [BASE_1_0, BASE_1_1] {
        hello.push_str("<capability>");
        hello.push_str(&escape(uri));
        hello.push_str("</capability>");
    }
    hello.push_str("</capabilities></hello>");
    hello
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(body: &str) -> Result<ServerHello, HelloError> {
        ServerHello::parse(format!("<nc:hello xmlns:nc=\"{BASE_NAMESPACE}\">{body}</nc:hello>").as_bytes())
    }

    #[test]
    fn capabilities_and_session_id_are_read_with_any_prefix() {
        let server = hello(
            "<nc:capabilities><nc:capability>\n urn:ietf:params:netconf:base:1.1 </nc:capability>\
             <nc:capability>urn:ietf:params:netconf:capability:with-defaults:1.0?basic-mode=explicit&amp;also-supported=report-all,trim</nc:capability>\
             <nc:capability>urn:ietf:params:netconf:capability:candidate:1.0</nc:capability>\
             <nc:capability>urn:ietf:params:netconf:capability:yang-library:1.1?revision=2019-01-04&amp;content-id=ab12</nc:capability>\
             </nc:capabilities><nc:session-id> 42 </nc:session-id><x:vendor xmlns:x='urn:x'><x:deep/></x:vendor>",
        )
        .unwrap();
        assert_eq!(server.session_id, 42);
        assert_eq!(server.negotiate(), Ok(Framing::Chunked));
        let caps = &server.capabilities;
        assert!(caps.candidate() && !caps.writable_running() && !caps.xpath());
        assert_eq!(caps.with_defaults_basic_mode(), Some(WithDefaults::Explicit));
        assert!(caps.supports_with_defaults(WithDefaults::Trim));
        assert!(!caps.supports_with_defaults(WithDefaults::ReportAllTagged));
        assert_eq!(caps.schema_id(), Some("ab12"));
        assert!(caps.yang_library("1.1") && !caps.yang_library("1.0") && !caps.yang_library("1"));
    }

    #[test]
    fn old_servers_keep_the_delimiter_and_strangers_are_refused() {
        let old = hello("<nc:capabilities><nc:capability>urn:ietf:params:netconf:base:1.0</nc:capability></nc:capabilities><nc:session-id>1</nc:session-id>").unwrap();
        assert_eq!(old.negotiate(), Ok(Framing::EndOfMessage));
        let other = hello("<nc:capabilities/><nc:session-id>1</nc:session-id>").unwrap();
        assert_eq!(other.negotiate(), Err(HelloError::NoCommonVersion));
    }

    #[test]
    fn broken_hellos_say_what_is_wrong() {
        assert_eq!(hello("<nc:capabilities/>"), Err(HelloError::NoSessionId { found: None }));
        assert_eq!(
            hello("<nc:session-id>0</nc:session-id>"),
            Err(HelloError::NoSessionId { found: Some("0".into()) })
        );
        assert!(matches!(
            ServerHello::parse(b"<hello><session-id>1</session-id></hello>"),
            Err(HelloError::NotHello { .. })
        ));
        assert!(matches!(ServerHello::parse(b"Welcome!"), Err(HelloError::Xml(_))));
    }

    #[test]
    fn own_hello_offers_both_versions() {
        let text = client_hello();
        assert!(text.contains(BASE_1_0) && text.contains(BASE_1_1) && !text.contains("session-id"));
    }
}
