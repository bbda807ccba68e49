//! Reading XML: the tokens, the namespaces and the envelope around a configuration.

use std::borrow::Cow;

use model::Dn;

use super::ReadContext;
use super::again::{Again, Context, NOWHERE, TOP};
use super::build::{self, Builder, Built};
use super::error::{Fault, Problem, shown};
use super::scope::{Mark, Scope};
use super::spaces::Name;
use super::text::{decode, is_blank};
use super::tokens::{Tag, Token, Tokenizer};
use crate::wire::BASE_NAMESPACE;

/// Namespaces whose `<data>` holds a configuration: RFC 6241, RFC 8526, RFC 8040.
const DATA_NAMESPACES: [&str; 4] = [
    "",
    BASE_NAMESPACE,
    "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda",
    "urn:ietf:params:xml:ns:yang:ietf-restconf",
];

/// Of the attribute that marks a default (RFC 6243 §6).
const DEFAULT_NAMESPACE: &str = "urn:ietf:params:xml:ns:netconf:default:1.0";

/// With `again` pieces of the last document are taken over, and those of this one noted.
pub(super) fn read<'a, 'p>(
    bytes: &'a [u8],
    context: &ReadContext<'p>,
    again: Option<Again<'a>>,
) -> Result<(Built<'a, 'p>, Option<Again<'a>>), Fault>
where
    'p: 'a,
{
    let tokens = Tokenizer::new(bytes, context.limits.depth)?;
    let mut builder = Builder::new(context);
    let scope = Scope::new(context.namespaces, &mut builder.spaces)?;
    let noting = again.map(|again| Noting { again, prefix: context.prefix, open: vec![] });
    let mut walk = Walk {
        tokens,
        builder,
        scope,
        marks: Vec::new(),
        envelope: Vec::new(),
        data: false,
        reply: false,
        noting,
    };
    while walk.step()? {}
    if walk.reply && !walk.data {
        return Err(Fault::new(Problem::NotConfiguration("rpc-reply".to_owned()), walk.tokens.position()));
    }
    Ok((walk.builder.finish(), walk.noting.map(|noting| noting.again)))
}

/// An element around a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Envelope {
    Reply,
    Data,
}

/// Pieces of documents, and the elements that are open.
struct Noting<'a, 'p> {
    again: Again<'a>,
    prefix: &'p Dn,
    open: Vec<Open>,
}

/// An element that is open: where it began, and what was there then.
struct Open {
    start: usize,
    /// Where its start tag ended.
    inside: usize,
    /// Where its `attributes` ended, and how many values waited then.
    attributes: Option<(usize, usize)>,
    context: Context,
    mark: build::Mark,
}

impl Noting<'_, '_> {
    fn context(&self) -> Context {
        self.open.last().map_or(TOP, |open| open.context)
    }
}

struct Walk<'a, 'p> {
    tokens: Tokenizer<'a>,
    builder: Builder<'a, 'p>,
    scope: Scope<'a>,
    marks: Vec<Mark>,
    /// Open envelopes.
    envelope: Vec<Envelope>,
    /// A `<data>` was seen; an `<rpc-reply>` was seen.
    data: bool,
    reply: bool,
    noting: Option<Noting<'a, 'p>>,
}

impl<'a, 'p: 'a> Walk<'a, 'p> {
    /// Takes one token, or a piece of the last document; false when the input is over.
    fn step(&mut self) -> Result<bool, Fault> {
        if self.take_piece()? {
            return Ok(true);
        }
        match self.tokens.token()? {
            Token::Leaf(tag, text) => self.leaf(tag, text)?,
            Token::Open(tag) => self.open(tag)?,
            Token::Close => self.close()?,
            Token::Text { text, literal, offset } => self.text(text, literal, offset)?,
            Token::Done => return Ok(false),
        }
        Ok(true)
    }

    fn take_piece(&mut self) -> Result<bool, Fault> {
        let Some(noting) = &mut self.noting else { return Ok(false) };
        if !self.builder.takes_objects() {
            return Ok(false);
        }
        let Some(at) = self.tokens.at_start_tag() else { return Ok(false) };
        let (context, draft) = (noting.context(), self.builder.mark().drafts);
        let Some((found, length)) = noting.again.take(context, self.tokens.bytes(), at, draft) else {
            return Ok(false);
        };
        self.tokens.skip_element(length);
        self.builder.take(found, at)?;
        Ok(true)
    }

    #[inline]
    fn leaf(&mut self, tag: Tag<'a>, text: Cow<'a, str>) -> Result<(), Fault> {
        if self.tokens.attributes().is_empty() && !self.builder.at_top() {
            let name = self.scope.element(tag.prefix, tag.local, tag.offset)?;
            return self.builder.leaf(name, text, tag.offset, Some(&self.scope));
        }
        let mark = self.scope.mark();
        let name = self.declare(&tag)?;
        match self.envelope_role(name, &tag)? {
            Some(role) => {
                self.enter(role);
                self.envelope.pop();
                self.expect_blank(&text, tag.offset)?;
            }
            None => {
                self.xml_attributes(&tag)?;
                self.builder.leaf(name, text, tag.offset, Some(&self.scope))?;
            }
        }
        self.scope.restore(mark);
        Ok(())
    }

    fn open(&mut self, tag: Tag<'a>) -> Result<(), Fault> {
        self.marks.push(self.scope.mark());
        if let Some(noting) = &mut self.noting {
            // Inside attributes nothing is an object.
            let among_objects = self.builder.at_top() || self.builder.takes_objects();
            let tag_bytes = self.tokens.start_tag_from(tag.offset);
            let around = noting.context();
            let context = if among_objects { noting.again.inside(around, tag_bytes) } else { NOWHERE };
            let (inside, mark) = (self.tokens.position(), self.builder.mark());
            noting.open.push(Open { start: tag.offset, inside, attributes: None, context, mark });
        }
        let name = self.declare(&tag)?;
        match self.envelope_role(name, &tag)? {
            Some(role) => self.enter(role),
            None => {
                self.xml_attributes(&tag)?;
                self.builder.open(name, tag.offset)?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let (attributes, waiting) = (self.builder.in_attributes(), self.builder.waiting());
        if self.builder.at_top() {
            self.envelope.pop();
        } else {
            self.builder.close(Some(&self.scope))?;
        }
        if let Some(mark) = self.marks.pop() {
            self.scope.restore(mark);
        }
        self.note_piece(attributes, waiting);
        Ok(())
    }

    /// The element that has just ended may be found again in the next document. `attributes`: it was those of an object;
    /// `waiting`: values that waited before it ended.
    fn note_piece(&mut self, attributes: bool, waiting: usize) {
        let Some(noting) = &mut self.noting else { return };
        let Some(ended) = noting.open.pop() else { return };
        let (start, end) = (ended.start, self.tokens.position());
        if let Some(object) = noting.open.last_mut().filter(|_| attributes) {
            object.attributes = Some((end, self.builder.waiting()));
        }
        if !self.builder.takes_objects() {
            return;
        }
        let (context, prefix) = (noting.context(), noting.prefix);
        if let Some((draft, cost)) = self.builder.single_since(&ended.mark, start, prefix) {
            noting.again.note((start, end), context, cost, draft);
        } else if let Some((attributes, then)) = ended.attributes
            // Nothing behind its `attributes` is part of it.
            && then == waiting
            && let Some(draft) = self.builder.shell_since(&ended.mark, start, prefix)
        {
            noting.again.note_shell([start, ended.inside, attributes], context, draft);
        }
    }

    fn text(&mut self, text: Cow<'a, str>, literal: bool, offset: usize) -> Result<(), Fault> {
        if self.builder.at_top() {
            return self.expect_blank(&text, offset);
        }
        self.builder.text(text, literal, offset)
    }

    fn expect_blank(&self, text: &str, offset: usize) -> Result<(), Fault> {
        if is_blank(text) { Ok(()) } else { Err(Fault::syntax("text between top elements", offset)) }
    }

    fn declare(&mut self, tag: &Tag<'a>) -> Result<Name<'a>, Fault> {
        let attributes = self.tokens.attributes();
        if !attributes.is_empty() {
            self.scope.declare(attributes, &mut self.builder.spaces, tag.offset)?;
        }
        self.scope.element(tag.prefix, tag.local, tag.offset)
    }

    fn enter(&mut self, role: Envelope) {
        self.data |= role == Envelope::Data;
        self.reply |= role == Envelope::Reply;
        self.envelope.push(role);
    }

    /// What an element around the configuration is; other messages than configurations are refused.
    fn envelope_role(&self, name: Name<'_>, tag: &Tag<'_>) -> Result<Option<Envelope>, Fault> {
        if !self.builder.at_top() || self.envelope.last() == Some(&Envelope::Data) {
            return Ok(None);
        }
        let uri = self.builder.spaces.uri(name.space);
        let base = uri.is_empty() || uri == BASE_NAMESPACE;
        let other = || Fault::new(Problem::NotConfiguration(shown(tag.name)), tag.offset);
        match (name.local, self.envelope.is_empty()) {
            ("data", _) if DATA_NAMESPACES.contains(&uri) => Ok(Some(Envelope::Data)),
            (_, false) => Err(other()),
            ("config", true) if base => Ok(Some(Envelope::Data)),
            ("rpc-reply", true) if base => Ok(Some(Envelope::Reply)),
            ("rpc" | "hello" | "rpc-error" | "ok" | "filter", true) if base => Err(other()),
            ("notification", true) if uri == "urn:ietf:params:xml:ns:netconf:notification:1.0" => {
                Err(other())
            }
            _ => Ok(None),
        }
    }

    /// XML attributes are no configuration. That of RFC 6243 only repeats what the schema says; others are
    /// noted.
    fn xml_attributes(&mut self, tag: &Tag<'a>) -> Result<(), Fault> {
        for (name, raw) in self.tokens.attributes() {
            if *name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            // Also a value that nobody reads must be well-formed.
            decode(raw, tag.offset)?;
            if let Some((prefix, local)) = name.split_once(':')
                && prefix != "xml"
            {
                let uri = self.builder.spaces.uri(self.scope.bound(prefix, tag.offset)?);
                if uri == DEFAULT_NAMESPACE && local == "default" {
                    continue;
                }
            }
            self.builder.findings.xml_attribute(&shown(name), tag.offset);
        }
        Ok(())
    }
}
