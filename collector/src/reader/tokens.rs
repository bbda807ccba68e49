//! A strict tokenizer for XML that somebody else wrote, fast where configuration is plain.
//!
//! It knows elements whose names are YANG names, text, CDATA, comments and processing instructions, and
//! refuses the rest: DOCTYPE, undeclared entities, unbalanced or too deep nesting. It never recurses and
//! keeps nothing but the names of open elements.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::error::{Fault, Problem, shown};
use super::text::{decode, is_blank, leaf_text, normalise_line_ends};

/// XML attributes of one element; configuration has none but declarations.
const MAX_ATTRIBUTES: usize = 256;

/// Length of a name; YANG's own names stay below 64.
const MAX_NAME: usize = 256;

/// A start tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    /// As written, with prefix.
    pub(super) name: &'a str,
    /// Empty without one.
    pub(super) prefix: &'a str,
    pub(super) local: &'a str,
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) enum Token<'a> {
    /// An element that may have children begins.
    Open(Tag<'a>),
    /// A whole element without children, its text decoded.
    Leaf(Tag<'a>, Cow<'a, str>),
    /// Text that is not the whole content of its element; `literal` as written, without references or CDATA.
    Text { text: Cow<'a, str>, literal: bool, offset: usize },
    /// The innermost open element ends.
    Close,
    /// The input is over and was balanced.
    Done,
}

pub(super) struct Tokenizer<'a> {
    text: &'a str,
    position: usize,
    max_depth: usize,
    open: Vec<&'a str>,
    /// Raw XML attributes of the last start tag.
    attributes: Vec<(&'a str, &'a str)>,
    /// A sibling element has just ended: white space here is layout.
    after_child: bool,
    carriage_returns: bool,
    /// Where the document proper starts; an XML declaration is allowed there only.
    start: usize,
}

impl<'a> Tokenizer<'a> {
    /// Checks the encoding and looks for characters XML does not allow.
    pub(super) fn new(bytes: &'a [u8], max_depth: usize) -> Result<Tokenizer<'a>, Fault> {
        if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes {
            return Err(Fault::new(Problem::NotUtf8 { declared: Some("UTF-16".to_owned()) }, 0));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Fault::new(Problem::NotUtf8 { declared: None }, e.valid_up_to()))?;
        let carriage_returns = check_characters(bytes)?;
        // Several stations send a line feed before the declaration.
        let start = text.len() - text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).len();
        Ok(Tokenizer {
            text,
            position: start,
            max_depth,
            open: Vec::new(),
            attributes: Vec::new(),
            after_child: true,
            carriage_returns,
            start,
        })
    }

    /// XML attributes of the last [`Token::Open`] or [`Token::Leaf`], values as written.
    pub(super) fn attributes(&self) -> &[(&'a str, &'a str)] {
        &self.attributes
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The document.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The start tag of the last [`Token::Open`], as written.
    pub(super) fn start_tag_from(&self, offset: usize) -> &'a [u8] {
        self.bytes().get(offset..self.position).unwrap_or_default()
    }

    /// Where a start tag stands next, if it follows a start or end tag of an element with nothing but layout between.
    pub(super) fn at_start_tag(&mut self) -> Option<usize> {
        if !self.after_child {
            return None;
        }
        self.skip_blank();
        let next = (self.byte(self.position)?, self.byte(self.position + 1)?);
        matches!(next, (b'<', second) if !matches!(second, b'/' | b'!' | b'?')).then_some(self.position)
    }

    /// Goes over a whole element of this length, which was read before.
    pub(super) fn skip_element(&mut self, length: usize) {
        self.position += length;
        self.after_child = true;
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            if self.after_child {
                self.skip_blank();
            }
            let offset = self.position;
            match (self.byte(offset), self.byte(offset + 1)) {
                (None, _) => return self.done(),
                (Some(b'<'), Some(b'/')) => return self.end_tag(),
                (Some(b'<'), Some(b'!')) => {
                    if let Some(token) = self.markup()? {
                        return Ok(token);
                    }
                }
                (Some(b'<'), Some(b'?')) => self.instruction()?,
                (Some(b'<'), _) => return self.start_tag(),
                (Some(_), _) => return self.text_run(),
            }
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    #[inline]
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    #[inline]
    fn rest(&self, from: usize) -> &'a [u8] {
        self.text.as_bytes().get(from..).unwrap_or_default()
    }

    #[inline]
    fn skip_blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte(self.position) {
            self.position += 1;
        }
    }

    fn done(&self) -> Result<Token<'a>, Fault> {
        match self.open.last() {
            None => Ok(Token::Done),
            Some(name) => Err(self.truncated(name)),
        }
    }

    fn truncated(&self, inside: &str) -> Fault {
        Fault::new(Problem::Truncated(shown(inside)), self.text.len())
    }

    fn text_run(&mut self) -> Result<Token<'a>, Fault> {
        let offset = self.position;
        let end = memchr(b'<', self.rest(offset)).map_or(self.text.len(), |at| offset + at);
        let raw = self.slice(offset, end);
        self.position = end;
        if self.open.is_empty() && !is_blank(raw) {
            return Err(Fault::syntax("text outside any element", offset));
        }
        let literal = memchr(b'&', raw.as_bytes()).is_none();
        Ok(Token::Text { text: decode(raw, offset)?, literal, offset })
    }

    fn end_tag(&mut self) -> Result<Token<'a>, Fault> {
        let offset = self.position;
        let Some(expected) = self.open.pop() else {
            return Err(Fault::syntax("an end tag without a start tag", offset));
        };
        let after = offset + 2 + expected.len();
        let matches = self.rest(offset + 2).starts_with(expected.as_bytes());
        match (matches, self.byte(after)) {
            (true, Some(b'>')) => self.position = after + 1,
            (true, Some(b' ' | b'\n' | b'\t' | b'\r')) => {
                self.position = after;
                self.skip_blank();
                match self.byte(self.position) {
                    Some(b'>') => self.position += 1,
                    None => return Err(self.truncated(expected)),
                    Some(_) => return Err(Fault::syntax("an end tag with more than a name", offset)),
                }
            }
            _ => return Err(self.mismatched(expected, offset)),
        }
        self.after_child = true;
        Ok(Token::Close)
    }

    fn mismatched(&self, expected: &str, offset: usize) -> Fault {
        let rest = self.slice(offset + 2, self.text.len());
        let Some(end) = rest.find('>') else { return self.truncated(expected) };
        let found = shown(rest.get(..end).unwrap_or_default());
        Fault::new(Problem::Mismatched { expected: shown(expected), found }, offset)
    }

    fn start_tag(&mut self) -> Result<Token<'a>, Fault> {
        let offset = self.position;
        let (tag, name_end) = self.tag_name(offset)?;
        self.attributes.clear();
        let (after, empty) = match self.byte(name_end) {
            Some(b'>') => (name_end + 1, false),
            _ => self.rest_of_tag(name_end, tag.name)?,
        };
        if self.open.len() >= self.max_depth {
            let problem = Problem::OverLimit { what: "levels of nesting", limit: self.max_depth };
            return Err(Fault::new(problem, offset));
        }
        self.position = after;
        self.after_child = true;
        if empty {
            return Ok(Token::Leaf(tag, Cow::Borrowed("")));
        }
        if let Some(text) = self.leaf_content(tag.name, after)? {
            return Ok(Token::Leaf(tag, text));
        }
        self.after_child = false;
        self.open.push(tag.name);
        Ok(Token::Open(tag))
    }

    /// Takes `text</name>` if that is what follows.
    #[inline]
    fn leaf_content(&mut self, name: &str, from: usize) -> Result<Option<Cow<'a, str>>, Fault> {
        let rest = self.rest(from);
        let Some(stop) = memchr2(b'<', b'&', rest) else { return Ok(None) };
        let references = rest.get(stop) == Some(&b'&');
        let length = match references {
            false => stop,
            true => match memchr(b'<', rest.get(stop..).unwrap_or_default()) {
                Some(more) => stop + more,
                None => return Ok(None),
            },
        };
        let end_tag = rest.get(length..).unwrap_or_default();
        let (Some(b'/'), Some(b'>')) = (end_tag.get(1), end_tag.get(2 + name.len())) else { return Ok(None) };
        if end_tag.get(2..2 + name.len()) != Some(name.as_bytes()) {
            return Ok(None);
        }
        let raw = self.slice(from, from + length);
        let text = match (references, self.carriage_returns) {
            (false, false) => leaf_text(Cow::Borrowed(raw)),
            (false, true) => leaf_text(decode(raw, from)?),
            (true, _) => decode(raw, from)?,
        };
        self.position = from + length + 3 + name.len();
        Ok(Some(text))
    }

    fn tag_name(&self, offset: usize) -> Result<(Tag<'a>, usize), Fault> {
        let from = offset + 1;
        let mut end = from + name_length(self.rest(from));
        let mut prefix = "";
        let mut local = self.slice(from, end);
        if self.byte(end) == Some(b':') {
            prefix = local;
            let local_from = end + 1;
            end = local_from + name_length(self.rest(local_from));
            local = self.slice(local_from, end);
        }
        let name = self.slice(from, end);
        let begins = |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let named = begins(local) && (name.len() == local.len() || begins(prefix));
        match self.byte(end) {
            None => Err(self.truncated(if name.is_empty() { "a tag" } else { name })),
            Some(b'>' | b'/' | b' ' | b'\n' | b'\t' | b'\r') if named && name.len() <= MAX_NAME => {
                Ok((Tag { name, prefix, local, offset }, end))
            }
            Some(_) if named && name.len() > MAX_NAME => {
                let problem = Problem::OverLimit { what: "bytes in a name", limit: MAX_NAME };
                Err(Fault::new(problem, offset))
            }
            Some(_) => {
                let rest = self.slice(from, self.text.len());
                let whole: &str =
                    rest.split(['>', '/', ' ', '\n', '\t', '\r', '<']).next().unwrap_or_default();
                Err(Fault::new(Problem::BadName(shown(whole)), offset))
            }
        }
    }

    /// Reads the XML attributes; gives the position after the tag and whether the element is empty.
    fn rest_of_tag(&mut self, from: usize, element: &str) -> Result<(usize, bool), Fault> {
        let mut at = from;
        loop {
            let before = at;
            while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte(at) {
                at += 1;
            }
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'>'), _) => return Ok((at + 1, false)),
                (Some(b'/'), Some(b'>')) => return Ok((at + 2, true)),
                (None, _) | (Some(b'/'), None) => return Err(self.truncated(element)),
                _ if at == before => return Err(Fault::syntax("no space before an XML attribute", at)),
                _ => at = self.attribute(at, element)?,
            }
        }
    }

    fn attribute(&mut self, at: usize, element: &str) -> Result<usize, Fault> {
        let mut end = at + name_length(self.rest(at));
        if self.byte(end) == Some(b':') {
            end += 1 + name_length(self.rest(end + 1));
        }
        let name = self.slice(at, end);
        let begins = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        if !name.split(':').all(|part| part.bytes().next().is_some_and(begins)) {
            return Err(Fault::syntax("an XML attribute without a proper name", at));
        }
        let mut next = end;
        let bytes = self.text.as_bytes();
        let skip = |next: &mut usize| {
            while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(*next) {
                *next += 1;
            }
        };
        skip(&mut next);
        match self.byte(next) {
            Some(b'=') => {}
            None => return Err(self.truncated(element)),
            Some(_) => {
                return Err(Fault::syntax(format!("XML attribute `{}` without a value", shown(name)), at));
            }
        }
        next += 1;
        skip(&mut next);
        let quote = match self.byte(next) {
            Some(quote @ (b'"' | b'\'')) => quote,
            None => return Err(self.truncated(element)),
            Some(_) => return Err(Fault::syntax("an XML attribute value without quotes", next)),
        };
        let value_from = next + 1;
        let length = memchr(quote, self.rest(value_from)).ok_or_else(|| self.truncated(element))?;
        let value = self.slice(value_from, value_from + length);
        if memchr(b'<', value.as_bytes()).is_some() {
            return Err(Fault::syntax("`<` in an XML attribute value", value_from));
        }
        if self.attributes.iter().any(|(known, _)| *known == name) {
            return Err(Fault::syntax(format!("XML attribute `{}` given twice", shown(name)), at));
        }
        if self.attributes.len() >= MAX_ATTRIBUTES {
            let problem = Problem::OverLimit { what: "XML attributes in an element", limit: MAX_ATTRIBUTES };
            return Err(Fault::new(problem, at));
        }
        self.attributes.push((name, value));
        Ok(value_from + length + 1)
    }

    /// Comment, CDATA or what is refused.
    fn markup(&mut self) -> Result<Option<Token<'a>>, Fault> {
        let offset = self.position;
        let rest = self.rest(offset);
        if rest.starts_with(b"<!--") {
            self.position = self.after(offset + 4, b"-->", "a comment")?;
            return Ok(None);
        }
        if rest.starts_with(b"<![CDATA[") {
            let from = offset + 9;
            let end = self.after(from, b"]]>", "a CDATA section")?;
            if self.open.is_empty() {
                return Err(Fault::syntax("text outside any element", offset));
            }
            self.position = end;
            self.after_child = false;
            let text = normalise_line_ends(self.slice(from, end - 3));
            return Ok(Some(Token::Text { text, literal: false, offset }));
        }
        if rest.starts_with(b"<!DOCTYPE") {
            return Err(Fault::new(Problem::Doctype, offset));
        }
        // A cut inside `<!--` looks like neither.
        if b"<!--".starts_with(rest) || b"<![CDATA[".starts_with(rest) || b"<!DOCTYPE".starts_with(rest) {
            return Err(self.truncated("markup"));
        }
        Err(Fault::syntax("markup that is neither a comment nor CDATA", offset))
    }

    fn instruction(&mut self) -> Result<(), Fault> {
        let offset = self.position;
        let end = self.after(offset + 2, b"?>", "a processing instruction")?;
        let content = self.slice(offset + 2, end - 2);
        let target = content.split([' ', '\t', '\r', '\n']).next().unwrap_or_default();
        if target.is_empty() {
            return Err(Fault::syntax("a processing instruction without a target", offset));
        }
        if target.eq_ignore_ascii_case("xml") {
            if offset != self.start {
                return Err(Fault::syntax("an XML declaration that is not at the start", offset));
            }
            check_encoding(content, offset)?;
        }
        self.position = end;
        Ok(())
    }

    /// The position after `ending`.
    fn after(&self, from: usize, ending: &[u8], what: &str) -> Result<usize, Fault> {
        let found = memmem::find(self.rest(from), ending);
        found.map(|at| from + at + ending.len()).ok_or_else(|| self.truncated(what))
    }
}

/// Bytes that may stand in a YANG name (RFC 7950 §6.2).
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0usize;
    while byte < 128 {
        // Below 128 the cast is exact.
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        byte += 1;
    }
    table
};

#[inline]
fn name_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !NAME[usize::from(*b)]).unwrap_or(bytes.len())
}

fn check_encoding(declaration: &str, offset: usize) -> Result<(), Fault> {
    let Some((_, rest)) = declaration.split_once("encoding") else { return Ok(()) };
    let value = rest.trim_start_matches([' ', '\t', '\r', '\n', '=']);
    let name = value.get(1..).and_then(|v| v.split(['"', '\'']).next()).unwrap_or_default();
    if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") {
        return Ok(());
    }
    Err(Fault::new(Problem::NotUtf8 { declared: Some(shown(name)) }, offset))
}

/// Refuses control characters (XML 1.0 §2.2); says whether there is any CR to normalise.
fn check_characters(bytes: &[u8]) -> Result<bool, Fault> {
    let mut carriage_returns = false;
    for (index, chunk) in bytes.chunks(4096).enumerate() {
        // Written without an early exit so that it becomes vector code.
        let mut bad = false;
        let mut cr = false;
        for b in chunk {
            cr |= *b == b'\r';
            bad |= *b < 0x20 && *b != b'\n' && *b != b'\t' && *b != b'\r';
        }
        carriage_returns |= cr;
        if bad {
            let at = chunk.iter().position(|b| *b < 0x20 && !matches!(b, b'\n' | b'\t' | b'\r'));
            let offset = index * 4096 + at.unwrap_or(0);
            return Err(Fault::syntax("a control character that XML does not allow", offset));
        }
    }
    Ok(carriage_returns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> Result<String, Fault> {
        let mut tokens = Tokenizer::new(bytes, 64)?;
        let mut out = String::new();
        loop {
            match tokens.token()? {
                Token::Open(tag) => out.push_str(&format!("<{}>", tag.name)),
                Token::Leaf(tag, text) => out.push_str(&format!("<{}={text}>", tag.name)),
                Token::Text { text, .. } => out.push_str(&format!("[{text}]")),
                Token::Close => out.push_str("</>"),
                Token::Done => return Ok(out),
            }
        }
    }

    #[test]
    fn plain_documents_are_cut() {
        let doc = b"\n<?xml version='1.0' encoding=\"utf-8\"?>\n<a x='1'><!-- c --><b>1&amp;2</b> <c/><n:d >x</n:d\t></a>\n";
        assert_eq!(run(doc).unwrap(), "<a><b=1&2><c=><n:d=x></>".replace("<n:d=x>", "<n:d>[x]</>"));
        assert_eq!(run(b"<a>x<!-- c --><![CDATA[<y>]]></a>").unwrap(), "<a>[x][<y>]</>");
        assert_eq!(run(b"").unwrap(), "");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_at_its_place() {
        for (doc, offset) in [
            (&b"<a>\xff</a>"[..], 3),
            (b"\xff\xfe<\0a\0", 0),
            (b"<?xml version='1.0' encoding='GBK'?><a/>", 0),
            (b"<!DOCTYPE a SYSTEM 'x'><a/>", 0),
            (b"<a>&bomb;</a>", 3),
            (b"<a b='<'/>", 6),
            (b"<a b='1' b='2'/>", 9),
            (b"<a b='1'c='2'/>", 8),
            (b"<a b/>", 3),
            (b"<a b=1/>", 5),
            (b"<a>\x01</a>", 3),
            (b"<a></b>", 3),
            (b"<a><b></a>", 6),
            (b"<a></a >x", 8),
            (b"</a>", 0),
            (b"<a><?xml version='1.0'?></a>", 3),
            (b"<a><!ENTITY x></a>", 3),
            (b"<1a/>", 0),
            (b"<a:/>", 0),
            (b"<:a/>", 0),
            (b"<a:b:c/>", 0),
            ("<\u{e9}/>".as_bytes(), 0),
            (b"<a></a x>", 3),
        ] {
            let fault = run(doc).unwrap_err();
            assert_eq!(fault.offset, offset, "{} {fault:?}", String::from_utf8_lossy(doc));
        }
    }

    #[test]
    fn every_cut_is_named_as_one() {
        let doc = b"<?xml version='1.0'?><a x='1'><!-- c --><b>1</b><![CDATA[x]]></a>";
        for end in 22..doc.len() {
            let fault = run(&doc[..end]).unwrap_err();
            assert!(matches!(*fault.problem, Problem::Truncated(_)), "{end}: {fault:?}");
            assert_eq!(fault.offset, end);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "<a>".repeat(65);
        let fault = run(deep.as_bytes()).unwrap_err();
        assert_eq!(fault.offset, 64 * 3);
        assert!(matches!(*fault.problem, Problem::OverLimit { limit: 64, .. }));
    }
}
