//! The envelope of a reply: what was answered, and where the data lies in it.

use std::ops::Range;

use quick_xml::events::BytesStart;
use quick_xml::name::{Namespace, NamespaceResolver, ResolveResult};

use crate::wire::errors::{RpcError, Severity};
use crate::wire::xml::{Token, Walk, XmlError, prefix_text};
use crate::wire::{BASE_NAMESPACE, MONITORING_NAMESPACE};

/// Why a message does not answer the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The message is not acceptable XML.
    #[error("reply unreadable")]
    Xml(#[from] XmlError),
    /// The message is not an `<rpc-reply>`.
    #[error(
        "expected `<rpc-reply>` in the NETCONF namespace, found `<{found}>`; hint: no notifications were asked for, the peer is out of step"
    )]
    NotAReply {
        /// Name of the element that came.
        found: String,
    },
    /// The reply answers another request (RFC 6241 §4.1).
    #[error("reply carries message-id {}, expected `{expected}`; hint: the peer is out of step (RFC 6241 §4.1)", .got.as_ref().map_or("none".to_owned(), |id| format!("`{id}`")))]
    MessageId {
        /// The id of the request.
        expected: u64,
        /// The id in the reply.
        got: Option<String>,
    },
    /// The station refused, or could not answer in full: data beside an error is an incomplete read.
    #[error("station answered {}{}", list(.errors), if *.with_data { "; the data that came with it is incomplete and was set aside" } else { "" })]
    Refused {
        /// Every `<rpc-error>`, warnings included, in order.
        errors: Vec<RpcError>,
        /// Whether data came too.
        with_data: bool,
    },
    /// Neither data nor ok nor an error.
    #[error("reply holds neither `<data>`, `<ok/>` nor `<rpc-error>`{}; hint: the peer answered something else", .found.as_ref().map(|f| format!(" but `<{f}>`")).unwrap_or_default())]
    Empty {
        /// The first element that is there instead.
        found: Option<String>,
    },
    /// Two `<data>` elements: which one counts is not for a reader to guess.
    #[error("reply holds a second `<data>` at byte {offset}; hint: the peer breaks RFC 6241 §4.2")]
    SecondData {
        /// Where it begins.
        offset: usize,
    },
}

fn list(errors: &[RpcError]) -> String {
    match errors {
        [] => "an error".to_owned(),
        [one] => one.to_string(),
        [one, rest @ ..] => format!("{one} (and {} more)", rest.len()),
    }
}

/// A reply that answers its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `<ok/>`, or an empty reply to an operation without output.
    Ok {
        /// Remarks of severity warning.
        warnings: Vec<RpcError>,
    },
    /// `<data>`.
    Data(DataReply),
}

/// Namespace declarations as (prefix, namespace), the default namespace with the empty prefix. References in
/// a namespace are resolved: it must be escaped again to be written.
pub type Declarations = Vec<(String, String)>;

/// A reply with `<data>`, whole as it came, framing removed.
///
/// [`DataReply::content`] is what lies between the data tags, byte for byte. Prefixes it uses may be
/// declared on the envelope: [`DataReply::namespaces`] are the declarations in scope there, to be given
/// to whoever reads the content alone. The document was checked to be balanced, without DOCTYPE,
/// with predefined references only and at most [`MAX_DEPTH`](crate::wire::xml::MAX_DEPTH) deep; prefixes
/// inside the content were not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataReply {
    bytes: Vec<u8>,
    data: Range<usize>,
    namespaces: Declarations,
    warnings: Vec<RpcError>,
}

impl DataReply {
    /// The whole message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the whole message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The content of `<data>` between a head and an end of its own, in the message's own memory.
    pub fn into_content(self, head: &[u8], end: &[u8]) -> Vec<u8> {
        let DataReply { mut bytes, data, .. } = self;
        bytes.truncate(data.end);
        bytes.splice(..data.start.min(bytes.len()), head.iter().copied());
        bytes.extend_from_slice(end);
        // It is kept, and the framing doubled the room as it went.
        bytes.shrink_to_fit();
        bytes
    }

    /// Where the content of `<data>` lies in [`DataReply::bytes`].
    pub fn data_range(&self) -> Range<usize> {
        self.data.clone()
    }

    /// The content of `<data>`, UTF-8.
    pub fn content(&self) -> &[u8] {
        self.bytes.get(self.data.clone()).unwrap_or_default()
    }

    /// Declarations in scope for the content as (prefix, namespace); the default namespace has the empty
    /// prefix. Sorted by prefix.
    pub fn namespaces(&self) -> &[(String, String)] {
        &self.namespaces
    }

    /// Remarks of severity warning that came with the data.
    pub fn warnings(&self) -> &[RpcError] {
        &self.warnings
    }

    /// The content as decoded text, as `<get-schema>` answers it; an element inside is refused.
    pub fn text(&self) -> Result<String, XmlError> {
        let mut walk = Walk::document(&self.bytes)?;
        loop {
            match walk.token()? {
                (Token::Start(_), range) if range.end == self.data.start => return walk.element_text(),
                (Token::Done, _) => return Ok(String::new()),
                _ => {}
            }
        }
    }
}

/// Reads the envelope of the reply to request `message_id`.
///
/// # Errors
/// A reply with any error of severity `error` is [`ReplyError::Refused`], whatever else it holds: a read
/// that failed in part must not look like a configuration with objects missing.
pub fn parse_reply(bytes: Vec<u8>, message_id: u64) -> Result<Reply, ReplyError> {
    let envelope = Envelope::read(&bytes)?;
    envelope.judge(bytes, message_id)
}

/// The same without a look at the content of `<data>`, for whoever gives it to the streaming reader next, which is as strict: two
/// walks over each reply cost as much as the reading. Of a reply with data, [`DataReply`]'s word on the content is then the reader's to
/// keep.
///
/// The content is taken to end at the last end tag of that name. One that ends before leaves an end tag too many in what the reader
/// gets, which it refuses: nothing beside the data is ever taken for data, or passed over.
///
/// # Errors
/// As [`parse_reply`]; but what is wrong between the data's tags is found by its reader.
pub fn parse_envelope(bytes: Vec<u8>, message_id: u64) -> Result<Reply, ReplyError> {
    let Some(content) = content(&bytes) else { return parse_reply(bytes, message_id) };
    let (Some(head), Some(tail)) = (bytes.get(..content.start), bytes.get(content.end..)) else {
        return parse_reply(bytes, message_id);
    };
    match Envelope::read(&[head, tail].concat()) {
        Ok(Envelope { data: Some((_, namespaces)), errors, message_id: id, .. })
            if is_id(id.as_deref(), message_id) && !failed(&errors) =>
        {
            Ok(Reply::Data(DataReply { bytes, data: content, namespaces, warnings: errors }))
        }
        // What is wrong is said of the whole message, with its own places.
        _ => parse_reply(bytes, message_id),
    }
}

fn is_id(found: Option<&str>, expected: u64) -> bool {
    found == Some(expected.to_string().as_str())
}

fn failed(errors: &[RpcError]) -> bool {
    errors.iter().any(|error| error.severity == Severity::Error)
}

/// Where the content of the first `<data>` lies, if there is a plain one.
fn content(bytes: &[u8]) -> Option<Range<usize>> {
    let mut walk = Walk::document(bytes).ok()?;
    let mut scope = Scope::default();
    loop {
        let (token, range) = walk.token().ok()?;
        let Token::Start(tag) = token else {
            if matches!(token, Token::Done) {
                return None;
            }
            continue;
        };
        scope.enter(&tag, walk.depth(), range.start).ok()?;
        match (walk.depth(), tag.local_name().into_inner()) {
            (1, _) => {}
            (_, "data") if scope.is_base(&tag) => {
                let name = tag.name().0;
                return match bytes.get(range.clone())?.ends_with(b"/>") {
                    true => None,
                    false => Some(range.end..last_end_tag(bytes, range.end, name)?),
                };
            }
            _ => {
                walk.skip_element().ok()?;
            }
        }
    }
}

/// Where the last end tag of this name begins, behind `from`.
fn last_end_tag(bytes: &[u8], from: usize, name: &str) -> Option<usize> {
    let wanted = format!("</{name}");
    let mut rest = bytes.get(from..)?;
    loop {
        let at = memchr::memmem::rfind(rest, wanted.as_bytes())?;
        match bytes.get(from + at + wanted.len())? {
            b'>' | b' ' | b'\t' | b'\r' | b'\n' => return Some(from + at),
            // Of a longer name.
            _ => rest = rest.get(..at)?,
        }
    }
}

/// The namespaces in scope on the outer levels of a message.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    resolver: NamespaceResolver,
    levels: usize,
}

impl Scope {
    /// Enters an element at `depth` (1 for the root); elements left meanwhile lose their declarations.
    pub(crate) fn enter(
        &mut self,
        tag: &BytesStart<'_>,
        depth: usize,
        offset: usize,
    ) -> Result<(), XmlError> {
        while self.levels >= depth {
            self.resolver.pop();
            self.levels -= 1;
        }
        self.levels += 1;
        self.resolver.push(tag).map_err(|e| XmlError::Malformed { offset, detail: e.to_string() })
    }

    pub(crate) fn is_base(&self, tag: &BytesStart<'_>) -> bool {
        self.is_in(tag, BASE_NAMESPACE)
    }

    pub(crate) fn is_in(&self, tag: &BytesStart<'_>, namespace: &str) -> bool {
        self.resolver.resolve_element(tag.name()).0 == ResolveResult::Bound(Namespace(namespace))
    }

    fn declarations(&self) -> Declarations {
        let mut found: Declarations = self
            .resolver
            .bindings()
            .map(|(prefix, namespace)| {
                // The walk has checked the references, so decoding cannot fail here.
                let decoded = quick_xml::escape::unescape(namespace.0).unwrap_or_default();
                (prefix_text(&prefix).to_owned(), decoded.into_owned())
            })
            .collect();
        found.sort();
        found
    }
}

#[derive(Default)]
struct Envelope {
    message_id: Option<String>,
    ok: bool,
    data: Option<(Range<usize>, Declarations)>,
    errors: Vec<RpcError>,
    other: Option<String>,
}

impl Envelope {
    fn read(bytes: &[u8]) -> Result<Envelope, ReplyError> {
        let mut walk = Walk::document(bytes)?;
        let mut scope = Scope::default();
        let mut envelope = Envelope::default();
        loop {
            match walk.token()? {
                (Token::Start(tag), range) => {
                    scope.enter(&tag, walk.depth(), range.start)?;
                    if walk.depth() == 1 {
                        envelope.root(&tag, &scope)?;
                    } else {
                        envelope.child(&tag, &scope, &mut walk, (bytes, range.start))?;
                    }
                }
                (Token::Done, _) => return Ok(envelope),
                (Token::End | Token::Text(_), _) => {}
            }
        }
    }

    fn root(&mut self, tag: &BytesStart<'_>, scope: &Scope) -> Result<(), ReplyError> {
        if tag.local_name().into_inner() != "rpc-reply" || !scope.is_base(tag) {
            return Err(ReplyError::NotAReply { found: tag.name().0.to_owned() });
        }
        // The walk has checked every attribute, so the iterator cannot fail here.
        let id = tag.attributes().flatten().find(|attribute| attribute.key.0 == "message-id");
        self.message_id = id.map(|attribute| attribute.value.into_owned());
        Ok(())
    }

    fn child(
        &mut self,
        tag: &BytesStart<'_>,
        scope: &Scope,
        walk: &mut Walk<'_>,
        (bytes, start): (&[u8], usize),
    ) -> Result<(), ReplyError> {
        let base = scope.is_base(tag);
        match tag.local_name().into_inner() {
            "data" if base || scope.is_in(tag, MONITORING_NAMESPACE) => {
                if self.data.is_some() {
                    return Err(ReplyError::SecondData { offset: start });
                }
                let declarations = scope.declarations();
                self.data = Some((walk.skip_element()?, declarations));
            }
            "ok" if base => {
                self.ok = true;
                walk.skip_element()?;
            }
            "rpc-error" if base => self.errors.push(RpcError::read(walk, bytes, start)?),
            _ => {
                self.other.get_or_insert_with(|| tag.name().0.to_owned());
                walk.skip_element()?;
            }
        }
        Ok(())
    }

    fn judge(self, bytes: Vec<u8>, expected: u64) -> Result<Reply, ReplyError> {
        let failed = failed(&self.errors);
        let ours = is_id(self.message_id.as_deref(), expected);
        // A station that could not read the request answers without an id (RFC 6241 §4.3, missing-attribute).
        let unread = failed && self.message_id.is_none();
        if !(ours || unread) {
            return Err(ReplyError::MessageId { expected, got: self.message_id });
        }
        if failed {
            return Err(ReplyError::Refused { errors: self.errors, with_data: self.data.is_some() });
        }
        match self.data {
            Some((data, namespaces)) => {
                Ok(Reply::Data(DataReply { bytes, data, namespaces, warnings: self.errors }))
            }
            None if self.ok => Ok(Reply::Ok { warnings: self.errors }),
            None => Err(ReplyError::Empty { found: self.other }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(body: &str) -> Result<Reply, ReplyError> {
        let text = format!(
            "<rpc-reply xmlns=\"{BASE_NAMESPACE}\" xmlns:v=\"urn:v\" message-id=\"5\">{body}</rpc-reply>"
        );
        parse_reply(text.into_bytes(), 5)
    }

    const DENIED: &str = "<rpc-error><error-type>application</error-type><error-tag>access-denied</error-tag><error-severity>error</error-severity><error-app-tag>too-curious</error-app-tag><error-path xmlns:m=\"urn:m\">/m:a/m:b</error-path><error-message xml:lang=\"en\">not &amp; never</error-message><error-info><bad-element>b</bad-element></error-info><vendor/></rpc-error>";
    const WARNING: &str = "<rpc-error><error-type>rpc</error-type><error-tag>partial</error-tag><error-severity>warning</error-severity></rpc-error>";

    #[test]
    fn content_and_inherited_namespaces_are_exact() {
        let Ok(Reply::Data(data)) =
            reply(" <data xmlns:w=\"urn:w?a&amp;b\"><v:a><w:b>1</w:b></v:a>\n</data>")
        else {
            panic!("no data");
        };
        assert_eq!(data.content(), b"<v:a><w:b>1</w:b></v:a>\n");
        let namespaces: Vec<_> = data.namespaces().iter().map(|(p, n)| (p.as_str(), n.as_str())).collect();
        assert_eq!(namespaces, [("", BASE_NAMESPACE), ("v", "urn:v"), ("w", "urn:w?a&b")]);
        assert_eq!(&data.bytes()[data.data_range()], data.content());
    }

    #[test]
    fn prefixed_envelope_and_empty_data_are_read() {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<n:rpc-reply message-id='9' xmlns:n='{BASE_NAMESPACE}'><n:data/></n:rpc-reply>"
        );
        let Ok(Reply::Data(data)) = parse_reply(text.into_bytes(), 9) else { panic!("no data") };
        assert!(data.content().is_empty());
    }

    #[test]
    fn rpc_errors_are_kept_whole() {
        let Err(ReplyError::Refused { errors, with_data }) = reply(&format!("{DENIED}{WARNING}")) else {
            panic!("not refused");
        };
        assert!(!with_data);
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].raw, DENIED);
        assert_eq!(errors[0].info.as_deref(), Some("<bad-element>b</bad-element>"));
        assert_eq!(errors[0].to_string(), "access-denied (too-curious): not & never at /m:a/m:b");
        assert_eq!((errors[0].severity, errors[1].severity), (Severity::Error, Severity::Warning));
        assert_eq!(errors[1].error_type.as_deref(), Some("rpc"));
    }

    #[test]
    fn data_beside_an_error_is_an_incomplete_read() {
        for body in [format!("<data><a/></data>{DENIED}"), format!("{DENIED}<data><a/></data>")] {
            let error = reply(&body).unwrap_err();
            assert!(matches!(error, ReplyError::Refused { with_data: true, .. }));
            assert!(error.to_string().contains("incomplete"));
        }
    }

    #[test]
    fn data_beside_a_warning_is_data() {
        let Ok(Reply::Data(data)) = reply(&format!("{WARNING}<data><a/></data>")) else { panic!("no data") };
        assert_eq!(data.warnings().len(), 1);
        assert!(
            matches!(reply(&format!("<ok/>{WARNING}")), Ok(Reply::Ok { warnings }) if warnings.len() == 1)
        );
    }

    #[test]
    fn severity_nobody_knows_counts_as_error() {
        let odd = WARNING.replace("warning", "fatal");
        assert!(matches!(reply(&format!("{odd}<data/>")), Err(ReplyError::Refused { .. })));
    }

    #[test]
    fn foreign_or_empty_replies_are_named() {
        assert!(matches!(reply(""), Err(ReplyError::Empty { found: None })));
        assert!(matches!(reply("<v:out/>"), Err(ReplyError::Empty { found: Some(name) }) if name == "v:out"));
        assert!(matches!(reply("<v:data/>"), Err(ReplyError::Empty { .. })));
        assert!(matches!(reply("<data/><data/>"), Err(ReplyError::SecondData { .. })));
        let other = parse_reply(b"<notification xmlns='urn:n'/>".to_vec(), 5).unwrap_err();
        assert!(matches!(other, ReplyError::NotAReply { .. }));
        let text = format!("<rpc-reply xmlns=\"{BASE_NAMESPACE}\" message-id=\"4\"><data/></rpc-reply>");
        assert!(matches!(parse_reply(text.into_bytes(), 5), Err(ReplyError::MessageId { expected: 5, .. })));
        let text = format!("<rpc-reply xmlns=\"{BASE_NAMESPACE}\"><data/></rpc-reply>");
        assert!(matches!(parse_reply(text.into_bytes(), 5), Err(ReplyError::MessageId { got: None, .. })));
        let text = format!("<rpc-reply xmlns=\"{BASE_NAMESPACE}\">{DENIED}</rpc-reply>");
        assert!(matches!(parse_reply(text.into_bytes(), 5), Err(ReplyError::Refused { .. })));
    }

    #[test]
    fn schema_text_is_decoded() {
        let body = format!(
            "<data xmlns=\"{MONITORING_NAMESPACE}\">module a {{ if x &lt; 1; }}<![CDATA[<&>]]></data>"
        );
        let Ok(Reply::Data(data)) = reply(&body) else { panic!("no data") };
        assert_eq!(data.text().unwrap(), "module a { if x < 1; }<&>");
    }

    /// What the reader says of the content that either way of reading the envelope gives.
    fn objects(reply: Result<Reply, ReplyError>) -> Option<(Vec<u8>, Declarations, usize)> {
        let Ok(Reply::Data(data)) = reply else { return None };
        let (profile, prefix) = (model::Profile::plain("p"), "ManagedElement=1".parse().unwrap());
        let context = crate::reader::ReadContext {
            namespaces: data.namespaces(),
            ..crate::reader::ReadContext::new(&profile, &prefix)
        };
        let snapshot = crate::reader::read_xml(data.content(), &context).ok()?;
        Some((data.content().to_vec(), data.namespaces().to_vec(), snapshot.objects().len()))
    }

    #[test]
    fn an_envelope_read_alone_gives_the_same_or_content_that_no_reader_takes() {
        let object = "<a><id>1</id><attributes><b>2</b></attributes></a>";
        for (body, alike) in [
            (format!("<data>{object}</data>"), true),
            (format!(" <data xmlns:w='urn:w'>{object}</data\n> {WARNING}"), true),
            (format!("{WARNING}<data>{object}</data>"), true),
            ("<data/>".to_owned(), true),
            ("<data></data>".to_owned(), true),
            (format!("<data>{object}</data>{DENIED}"), true),
            (format!("<data>{object}</data><data-model/></data-model>"), true),
            (format!("<data>{object}<data>1</data></data>"), true),
            // Two at once, and errors between: nobody must take the one for the other.
            (format!("<data>{object}</data><data>{object}</data>"), true),
            (format!("<data>{object}</data>{DENIED}<data>{object}</data>"), true),
            (format!("<data>{object}</data><!-- </data> -->"), false),
            (format!("<data>{object}</data><x><![CDATA[</data>]]></x>"), true),
            (format!("<data>{object}"), true),
        ] {
            let text = format!("<rpc-reply xmlns=\"{BASE_NAMESPACE}\" message-id=\"5\">{body}</rpc-reply>");
            let whole = objects(parse_reply(text.clone().into_bytes(), 5));
            let alone = objects(parse_envelope(text.into_bytes(), 5));
            assert!(alone.is_none() || alone == whole, "{body}");
            assert_eq!(alone == whole, alike, "{body}");
        }
    }

    proptest! {
        /// Whatever stands in it, what a reader takes through one way is what it takes through the other.
        #[test]
        fn no_reply_reads_as_another_through_its_envelope(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "<data>", "</data>", "<data/>", "<ok/>", "</ok>", DENIED, WARNING, "<a>", "</a>", "<id>1</id>", "<attributes>",
                "</attributes>", "<b>2</b>", "<!--", "-->", "<![CDATA[", "]]>", "</data >", "</data-model>", "<n:data>", " ", "x", "&lt;",
            ]), 0..14),
        ) {
            let text = format!(
                "<rpc-reply xmlns=\"{BASE_NAMESPACE}\" xmlns:n=\"{BASE_NAMESPACE}\" message-id=\"5\">{}</rpc-reply>",
                parts.concat()
            );
            let whole = objects(parse_reply(text.clone().into_bytes(), 5));
            let alone = objects(parse_envelope(text.into_bytes(), 5));
            prop_assert!(alone.is_none() || alone == whole, "{:?} {:?}", alone, whole);
        }

        #[test]
        fn any_single_changed_byte_never_panics(at in 0usize..400, byte in any::<u8>()) {
            let mut text = format!("<rpc-reply xmlns=\"{BASE_NAMESPACE}\" message-id=\"5\"><data><a b='1'>x</a></data>{DENIED}</rpc-reply>").into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let _ = parse_reply(text, 5);
        }
    }
}
