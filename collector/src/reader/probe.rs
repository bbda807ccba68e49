//! The first element of an XML document, to tell what kind of document it is.

use super::error::{Fault, Problem, ReadError};
use super::scope::Scope;
use super::spaces::Spaces;
use super::tokens::{Token, Tokenizer};
use model::Profile;

/// Name of a document's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootElement {
    pub(crate) namespace: String,
    pub(crate) local: String,
}

/// The root element; nothing after its start tag is looked at.
pub(crate) fn root_element(bytes: &[u8]) -> Result<RootElement, ReadError> {
    find(bytes).map_err(|fault| ReadError::locate(fault, bytes))
}

fn find(bytes: &[u8]) -> Result<RootElement, Fault> {
    let profile = Profile::plain("probe");
    let mut spaces = Spaces::new(&profile, None);
    let mut scope = Scope::new(&[], &mut spaces)?;
    let mut tokens = Tokenizer::new(bytes, 1)?;
    match tokens.token()? {
        Token::Open(tag) | Token::Leaf(tag, _) => {
            scope.declare(tokens.attributes(), &mut spaces, tag.offset)?;
            let name = scope.element(tag.prefix, tag.local, tag.offset)?;
            Ok(RootElement { namespace: spaces.uri(name.space).to_owned(), local: name.local.to_owned() })
        }
        _ => Err(Fault::new(Problem::NotConfiguration("a document without an element".to_owned()), 0)),
    }
}
