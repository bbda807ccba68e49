//! A strict walk over XML that somebody else wrote.
//!
//! NETCONF messages are UTF-8 XML without a document type (RFC 6241 §3.2). [`Walk`] reports elements and
//! decoded text with their byte ranges and refuses the rest with a byte offset: other encodings, DOCTYPE,
//! undeclared entities, characters XML 1.0 forbids, duplicate attributes, unbalanced or too deep nesting.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::PrefixDeclaration;
use quick_xml::reader::Reader;

/// How deep elements may nest. The deepest 3GPP document known here uses 12 levels.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not acceptable XML. `offset` counts bytes from the start of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The bytes are not UTF-8.
    #[error(
        "invalid UTF-8 at byte {offset}; hint: NETCONF is UTF-8 only (RFC 6241 §3), the peer sends another encoding or broken text"
    )]
    NotUtf8 {
        /// The first byte that is not UTF-8.
        offset: usize,
    },
    /// A document type declaration is forbidden (RFC 6241 §3.2).
    #[error("DOCTYPE at byte {offset}; hint: RFC 6241 §3.2 forbids it, nothing in it is ever resolved")]
    Doctype {
        /// Where it begins.
        offset: usize,
    },
    /// A reference to something other than the five predefined entities or a legal character.
    #[error(
        "reference `&{name};` at byte {offset} is not predefined; hint: only lt, gt, amp, apos, quot and character references are read"
    )]
    Entity {
        /// Where the reference (or the tag that holds it) begins.
        offset: usize,
        /// What stands between `&` and `;`.
        name: String,
    },
    /// Elements nest too deep.
    #[error("elements nest deeper than {limit} at byte {offset}; hint: no configuration does that")]
    TooDeep {
        /// The element that is one too deep.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// Anything else that is not well-formed.
    #[error("not well-formed XML at byte {offset}: {detail}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What the parser met.
        detail: String,
    },
}

impl XmlError {
    /// The byte where reading stopped.
    pub fn offset(&self) -> usize {
        match self {
            XmlError::NotUtf8 { offset }
            | XmlError::Doctype { offset }
            | XmlError::Entity { offset, .. }
            | XmlError::TooDeep { offset, .. }
            | XmlError::Malformed { offset, .. } => *offset,
        }
    }
}

/// One piece of a document. An empty element is a start and an end.
#[derive(Debug)]
pub enum Token<'a> {
    /// An element begins.
    Start(BytesStart<'a>),
    /// The innermost element ends.
    End,
    /// Text with references resolved and line ends as LF.
    Text(Cow<'a, str>),
    /// The document is over and was balanced.
    Done,
}

/// The walk itself; [`Walk::token`] until [`Token::Done`] or an error.
pub struct Walk<'a> {
    reader: Reader<&'a [u8]>,
    base: usize,
    depth: usize,
    roots: usize,
    fragment: bool,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl<'a> Walk<'a> {
    /// A walk over one document: exactly one root element, an XML declaration allowed.
    ///
    /// A byte order mark and white space before the document are passed over: several stations send a
    /// line feed before `<?xml`.
    pub fn document(bytes: &'a [u8]) -> Result<Walk<'a>, XmlError> {
        Walk::new(bytes, false)
    }

    /// A walk over a fragment: any number of sibling elements, no declaration, as inside `<filter>`.
    pub fn fragment(bytes: &'a [u8]) -> Result<Walk<'a>, XmlError> {
        Walk::new(bytes, true)
    }

    fn new(bytes: &'a [u8], fragment: bool) -> Result<Walk<'a>, XmlError> {
        let text = std::str::from_utf8(bytes).map_err(|e| XmlError::NotUtf8 { offset: e.valid_up_to() })?;
        let body = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let mut reader = Reader::from_str(body);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.enable_all_checks(true);
        Ok(Walk { reader, base: bytes.len() - body.len(), depth: 0, roots: 0, fragment })
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The next token and the bytes it covers. The end that belongs to an empty element has an empty range.
    pub fn token(&mut self) -> Result<(Token<'a>, Range<usize>), XmlError> {
        loop {
            let start = self.position();
            let event = self.reader.read_event().map_err(|e| self.syntax_error(&e))?;
            let token = match event {
                Event::Start(tag) => self.start(tag, start)?,
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::End
                }
                Event::Text(text) => {
                    check_characters(&text, start)?;
                    self.text(text.xml10_content(), start)?
                }
                Event::CData(text) => {
                    check_characters(&text, start)?;
                    if self.depth == 0 {
                        return Err(malformed(start, "text outside the root element"));
                    }
                    Token::Text(text.xml10_content())
                }
                Event::GeneralRef(reference) => {
                    let resolved = resolve(&reference, start)?;
                    if self.depth == 0 {
                        return Err(malformed(start, "text outside the root element"));
                    }
                    Token::Text(Cow::Owned(resolved.to_string()))
                }
                Event::Decl(declaration) => {
                    self.declaration(&declaration, start)?;
                    continue;
                }
                Event::DocType(_) => return Err(XmlError::Doctype { offset: start }),
                Event::Comment(_) | Event::PI(_) | Event::Empty(_) => continue,
                Event::Eof => self.done(start)?,
            };
            return Ok((token, start..self.position()));
        }
    }

    /// Passes over the element whose start was just reported; the range is that of its content.
    pub fn skip_element(&mut self) -> Result<Range<usize>, XmlError> {
        let outside = self.depth.saturating_sub(1);
        let start = self.position();
        loop {
            let (token, range) = self.token()?;
            if matches!(token, Token::End) && self.depth == outside {
                return Ok(start..range.start);
            }
        }
    }

    /// Collects the text of the element whose start was just reported; an element inside is refused.
    pub fn element_text(&mut self) -> Result<String, XmlError> {
        let mut text = String::new();
        loop {
            match self.token()? {
                (Token::Text(piece), _) => text.push_str(&piece),
                (Token::End | Token::Done, _) => return Ok(text),
                (Token::Start(tag), range) => {
                    let detail = format!("element `{}` where only text is expected", tag.name().0);
                    return Err(XmlError::Malformed { offset: range.start, detail });
                }
            }
        }
    }

    fn position(&self) -> usize {
        self.base + usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn start(&mut self, tag: BytesStart<'a>, start: usize) -> Result<Token<'a>, XmlError> {
        if self.depth >= MAX_DEPTH {
            return Err(XmlError::TooDeep { offset: start, limit: MAX_DEPTH });
        }
        if self.depth == 0 {
            self.roots += 1;
            if self.roots > 1 && !self.fragment {
                return Err(malformed(start, "a second root element"));
            }
        }
        check_name(tag.name().0, start)?;
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|e| malformed(start, &e.to_string()))?;
            check_name(attribute.key.0, start)?;
            check_attribute_value(&attribute.value, start)?;
        }
        self.depth += 1;
        Ok(Token::Start(tag))
    }

    fn text(&self, text: Cow<'a, str>, start: usize) -> Result<Token<'a>, XmlError> {
        if self.depth == 0 && !text.trim_ascii().is_empty() {
            return Err(malformed(start, "text outside the root element"));
        }
        Ok(Token::Text(text))
    }

    fn declaration(&self, declaration: &BytesDecl<'_>, start: usize) -> Result<(), XmlError> {
        if start != self.base || self.fragment {
            return Err(malformed(start, "an XML declaration that is not at the start of the message"));
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") => {
                Ok(())
            }
            Some(Ok(name)) => {
                Err(malformed(start, &format!("encoding `{name}` declared, only UTF-8 is read")))
            }
            Some(Err(e)) => Err(malformed(start, &e.to_string())),
        }
    }

    fn done(&self, end: usize) -> Result<Token<'a>, XmlError> {
        if self.depth > 0 {
            return Err(malformed(end, &format!("the message ends with {} elements still open", self.depth)));
        }
        if self.roots == 0 && !self.fragment {
            return Err(malformed(end, "no element in the message"));
        }
        Ok(Token::Done)
    }

    fn syntax_error(&self, error: &quick_xml::Error) -> XmlError {
        let offset = self.base + usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
        malformed(offset, &error.to_string())
    }
}

/// The prefix of a namespace declaration as text, empty for the default namespace.
pub(crate) fn prefix_text<'a>(prefix: &PrefixDeclaration<'a>) -> &'a str {
    match prefix {
        PrefixDeclaration::Default => "",
        PrefixDeclaration::Named(name) => name,
    }
}

/// Escapes text for use between tags or in a quoted attribute value.
pub fn escape(text: &str) -> Cow<'_, str> {
    quick_xml::escape::escape(text)
}

fn malformed(offset: usize, detail: &str) -> XmlError {
    XmlError::Malformed { offset, detail: detail.to_owned() }
}

/// Whether XML 1.0 allows this character at all (XML 1.0 §2.2).
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn check_characters(text: &str, start: usize) -> Result<(), XmlError> {
    // Control characters are what a broken station sends; U+FFFE and U+FFFF are left to pass.
    let bad = text.bytes().position(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r'));
    match bad {
        None => Ok(()),
        Some(at) => Err(malformed(start + at, "a control character that XML does not allow")),
    }
}

fn check_attribute_value(value: &str, start: usize) -> Result<(), XmlError> {
    check_characters(value, start)?;
    if value.contains('<') {
        return Err(malformed(start, "`<` in an attribute value"));
    }
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('&') {
        let (name, tail) =
            after.split_once(';').ok_or_else(|| malformed(start, "`&` without `;` in an attribute value"))?;
        resolve(&BytesRef::new(name), start)?;
        rest = tail;
    }
    Ok(())
}

/// The character a reference stands for.
fn resolve(reference: &BytesRef<'_>, offset: usize) -> Result<char, XmlError> {
    let unknown = || {
        let name: String = reference.chars().take(40).collect();
        XmlError::Entity { offset, name }
    };
    match reference.as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => match reference.resolve_char_ref() {
            Ok(Some(c)) if is_xml_char(c) => Ok(c),
            Ok(_) | Err(_) => Err(unknown()),
        },
    }
}

fn check_name(name: &str, offset: usize) -> Result<(), XmlError> {
    let allowed = |b: u8| b >= 0x80 || b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-' | b'.');
    let begins = |b: u8| b >= 0x80 || b.is_ascii_alphabetic() || matches!(b, b'_' | b':');
    let mut bytes = name.bytes();
    if bytes.next().is_some_and(begins) && bytes.all(allowed) {
        Ok(())
    } else {
        let shown: String = name.chars().take(40).collect();
        Err(malformed(offset, &format!("`{shown}` is not a name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(bytes: &[u8]) -> Result<String, XmlError> {
        let mut walk = Walk::document(bytes)?;
        let mut text = String::new();
        loop {
            match walk.token()?.0 {
                Token::Text(piece) => text.push_str(&piece),
                Token::Done => return Ok(text),
                Token::Start(_) | Token::End => {}
            }
        }
    }

    #[test]
    fn text_is_decoded() {
        let doc = b"\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a x='&lt;'>1 &lt; 2 &#x20AC;<b/><![CDATA[<&>]]>\r\n</a>\n";
        assert_eq!(run(doc).unwrap().trim(), "1 < 2 \u{20ac}<&>");
    }

    #[test]
    fn hostile_documents_are_refused_at_their_place() {
        for (doc, offset) in [
            (&b"<a>\xff</a>"[..], 3),
            (b"<!DOCTYPE a SYSTEM 'x'><a/>", 0),
            (b"<a>&bomb;</a>", 3),
            (b"<a>&#0;</a>", 3),
            (b"<a>&#x1F;</a>", 3),
            (b"<a b='&x;'/>", 0),
            (b"<a>\x01</a>", 3),
            (b"<a></b>", 3),
            (b"<a><b></a>", 6),
            (b"<a/><b/>", 4),
            (b"<a/>text", 4),
            (b"<a b='1' b='2'/>", 0),
            (b"< a/>", 0),
            (b"<1a/>", 0),
            (b"<a>", 3),
            (b"hello", 0),
            (b"", 0),
        ] {
            let error = run(doc).expect_err(&format!("{:?}", String::from_utf8_lossy(doc)));
            assert_eq!(error.offset(), offset, "{:?}: {error}", String::from_utf8_lossy(doc));
        }
        assert!(run(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>").is_err());
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        assert!(matches!(run(deep.as_bytes()), Err(XmlError::TooDeep { limit: MAX_DEPTH, .. })));
    }

    #[test]
    fn skipped_content_has_its_exact_range() {
        let doc = b"\xef\xbb\xbf<r><d x='1'><k>v</k> </d ><e/></r>";
        let mut walk = Walk::document(doc).unwrap();
        walk.token().unwrap();
        walk.token().unwrap();
        let range = walk.skip_element().unwrap();
        assert_eq!(&doc[range], b"<k>v</k> ");
        assert!(matches!(walk.token().unwrap().0, Token::Start(_)));
        assert!(walk.skip_element().unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = run(&bytes);
        }

        #[test]
        fn arbitrary_markup_never_panics(pieces in prop::collection::vec(
            prop::sample::select(vec!["<a>", "</a>", "<a", " b='", "'", ">", "/>", "&", ";", "lt", "#x", "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "<!DOCTYPE", "x", "é", "\u{0}"]), 0..40)) {
            let _ = run(pieces.concat().as_bytes());
        }
    }
}
