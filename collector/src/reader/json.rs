//! Reading RFC 7951 JSON: the same elements as XML would have.

use std::borrow::Cow;
use std::collections::HashSet;

use super::ReadContext;
use super::build::{Builder, Built};
use super::error::{Fault, Problem, shown};
use super::json_tokens::{Token, Tokenizer};
use super::spaces::{NO_SPACE, Name, Space};

/// Members around a configuration (RFC 8040 §3.3, RFC 9195 aside).
const ENVELOPES: [&str; 3] = ["ietf-restconf:data", "ietf-netconf:data", "ietf-netconf:config"];

/// Longest member name.
const MAX_NAME: usize = 256;

pub(super) fn read<'a, 'p: 'a>(bytes: &'a [u8], context: &ReadContext<'p>) -> Result<Built<'a, 'p>, Fault> {
    let tokens = Tokenizer::new(bytes, context.limits.depth)?;
    let mut walk =
        Walk { tokens, builder: Builder::new(context), levels: Vec::new(), pending: Pending::Document };
    while walk.step()? {}
    Ok(walk.builder.finish())
}

/// What the next value belongs to.
#[derive(Clone, Copy)]
enum Pending<'a> {
    Document,
    Envelope,
    Element(Name<'a>),
    /// A member set aside, with all that is in it.
    Metadata,
}

enum Level<'a> {
    /// The document or an envelope.
    Top(HashSet<String>),
    Element {
        space: Space,
        members: HashSet<String>,
    },
    Array(Name<'a>),
    /// Inside something set aside.
    Ignored,
}

struct Walk<'a, 'p> {
    tokens: Tokenizer<'a>,
    builder: Builder<'a, 'p>,
    levels: Vec<Level<'a>>,
    pending: Pending<'a>,
}

impl<'a, 'p: 'a> Walk<'a, 'p> {
    /// Takes one token; false when the input is over.
    fn step(&mut self) -> Result<bool, Fault> {
        let token = self.tokens.token()?;
        let offset = self.tokens.position();
        match token {
            Token::Member(name) => self.member(name, offset)?,
            Token::BeginObject => self.begin_object(offset)?,
            Token::BeginArray => self.begin_array(offset)?,
            Token::EndObject => {
                if let Some(Level::Element { .. }) = self.levels.pop() {
                    self.builder.close(None)?;
                }
            }
            Token::EndArray => {
                self.levels.pop();
            }
            Token::String(text) => self.leaf(text, offset)?,
            Token::Scalar(text) => self.leaf(Cow::Borrowed(text), offset)?,
            Token::Null => self.null(offset)?,
            Token::Done => return Ok(false),
        }
        Ok(true)
    }

    /// What the value that begins now belongs to.
    fn owner(&self) -> Pending<'a> {
        match self.levels.last() {
            Some(Level::Array(name)) => Pending::Element(*name),
            Some(Level::Ignored) => Pending::Metadata,
            _ => self.pending,
        }
    }

    fn member(&mut self, name: Cow<'a, str>, offset: usize) -> Result<(), Fault> {
        let (members, inside) = match self.levels.last_mut() {
            Some(Level::Top(members)) => (members, None),
            Some(Level::Element { space, members }) => (members, Some(*space)),
            _ => return Ok(()),
        };
        if !members.insert(name.clone().into_owned()) {
            return Err(Fault::new(Problem::DuplicateMember(shown(&name)), offset));
        }
        if name.starts_with('@') {
            self.builder.findings.metadata(offset);
            self.pending = Pending::Metadata;
            return Ok(());
        }
        if inside.is_none() && self.levels.len() == 1 && ENVELOPES.contains(&&*name) {
            self.pending = Pending::Envelope;
            return Ok(());
        }
        // A YANG name needs no escape, so the text is the document's own.
        let Cow::Borrowed(name) = name else {
            return Err(Fault::new(Problem::BadName(shown(&name)), offset));
        };
        self.pending = Pending::Element(self.resolve(name, inside, offset)?);
        Ok(())
    }

    /// RFC 7951 §4: qualified where the module changes, and always at the top.
    fn resolve(&mut self, name: &'a str, inside: Option<Space>, offset: usize) -> Result<Name<'a>, Fault> {
        let (module, local) = match name.split_once(':') {
            Some((module, local)) => (Some(module), local),
            None => (None, name),
        };
        for part in [module.unwrap_or(local), local] {
            if part.len() > MAX_NAME || !is_yang_name(part) {
                return Err(Fault::new(Problem::BadName(shown(name)), offset));
            }
        }
        let space = match (module, inside) {
            (Some(module), _) => self.builder.spaces.of_module(module, offset)?,
            (None, Some(space)) => space,
            (None, None) => {
                let message = format!("top member `{}` names no module (RFC 7951 §4)", shown(name));
                self.builder.findings.at("no-module", offset, message);
                NO_SPACE
            }
        };
        Ok(Name { space, local })
    }

    fn begin_object(&mut self, offset: usize) -> Result<(), Fault> {
        let level = match self.owner() {
            Pending::Document | Pending::Envelope => Level::Top(HashSet::new()),
            Pending::Metadata => Level::Ignored,
            Pending::Element(name) => {
                self.builder.open(name, offset)?;
                Level::Element { space: name.space, members: HashSet::new() }
            }
        };
        self.levels.push(level);
        Ok(())
    }

    fn begin_array(&mut self, offset: usize) -> Result<(), Fault> {
        let level = match self.owner() {
            Pending::Metadata => Level::Ignored,
            Pending::Element(name) if !matches!(self.levels.last(), Some(Level::Array(_))) => {
                Level::Array(name)
            }
            Pending::Element(_) => return Err(Fault::syntax("an array in an array (RFC 7951 §5.4)", offset)),
            Pending::Document | Pending::Envelope => return Err(not_configuration("array", offset)),
        };
        self.levels.push(level);
        Ok(())
    }

    fn leaf(&mut self, text: Cow<'a, str>, offset: usize) -> Result<(), Fault> {
        match self.owner() {
            Pending::Metadata => Ok(()),
            Pending::Element(name) => self.builder.leaf(name, text, offset, None),
            Pending::Document | Pending::Envelope => Err(not_configuration("value", offset)),
        }
    }

    /// `[null]` is the empty type (RFC 7951 §6.9); alone, null is nothing that YANG knows.
    fn null(&mut self, offset: usize) -> Result<(), Fault> {
        match (self.owner(), self.levels.last()) {
            (Pending::Metadata, _) => Ok(()),
            (Pending::Element(_), Some(Level::Array(_))) => self.leaf(Cow::Borrowed(""), offset),
            _ => Err(Fault::syntax("null outside `[null]` (RFC 7951 §6.9)", offset)),
        }
    }
}

fn not_configuration(what: &str, offset: usize) -> Fault {
    Fault::new(Problem::NotConfiguration(what.to_owned()), offset)
}

/// RFC 7950 §6.2.
fn is_yang_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
