//! Why a document cannot be read, with the place.

/// Why a document is no configuration that can be read completely.
///
/// Messages name elements and places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset} (line {line}, column {column}); hint: {}", .problem.hint())]
pub struct ReadError {
    /// What is wrong.
    pub problem: Problem,
    /// Bytes from the start of the input.
    pub offset: usize,
    /// From 1.
    pub line: usize,
    /// Characters from 1.
    pub column: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes are not UTF-8, or declare another encoding.
    #[error("not UTF-8{}", .declared.as_ref().map(|name| format!(" but {name}")).unwrap_or_default())]
    NotUtf8 {
        /// The encoding the document claims.
        declared: Option<String>,
    },
    /// A document type declaration.
    #[error("a DOCTYPE")]
    Doctype,
    /// A reference that is neither predefined nor a legal character.
    #[error("reference `&{0};` that is not predefined")]
    Entity(String),
    /// A prefix nobody declared.
    #[error("undeclared prefix `{0}`")]
    UndeclaredPrefix(String),
    /// A name that no YANG node can have.
    #[error("`{0}` is not a YANG name")]
    BadName(String),
    /// An end tag that does not match.
    #[error("`</{found}>` where `</{expected}>` should be")]
    Mismatched {
        /// Name of the innermost open element.
        expected: String,
        /// Name in the end tag.
        found: String,
    },
    /// The input ends early.
    #[error("the document ends inside `{0}`")]
    Truncated(String),
    /// Any other violation of XML's or JSON's grammar.
    #[error("{0}")]
    Syntax(String),
    /// A bound of [`ReadLimits`](super::ReadLimits) was reached.
    #[error("more than {limit} {what}")]
    OverLimit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Well-formed, but another kind of message.
    #[error("`{0}` is not a configuration")]
    NotConfiguration(String),
    /// A JSON object names one member twice (RFC 7493 §2.3).
    #[error("member `{0}` appears twice")]
    DuplicateMember(String),
    /// The profile calls an attribute secret, and there is no key to hash it with.
    #[error("secret attribute `{0}` and no key to hash it with")]
    SecretWithoutKey(String),
}

impl Problem {
    fn hint(&self) -> &'static str {
        match self {
            Problem::NotUtf8 { .. } => {
                "NETCONF and RFC 7951 are UTF-8 only; convert a file before reading it"
            }
            Problem::Doctype => "RFC 6241 §3.2 forbids it, and nothing in it is ever resolved",
            Problem::Entity(_) => "only lt, gt, amp, apos, quot and character references are read",
            Problem::UndeclaredPrefix(_) => {
                "the writer is broken, or the part was cut from a document that declares the prefix"
            }
            Problem::BadName(_) => "RFC 7950 §6.2 allows ASCII letters, digits, `_`, `-` and `.`",
            Problem::Mismatched { .. } | Problem::Truncated(_) => {
                "the document was cut or edited by hand; read it again from the station"
            }
            Problem::Syntax(_) => "the document is broken; read it again from the station",
            Problem::OverLimit { .. } => "no configuration needs that much; raise the limit if this one does",
            Problem::NotConfiguration(_) => {
                "expected the content of <data>, a <config>, or a ManagedElement document"
            }
            Problem::DuplicateMember(_) => "which of the two counts is not for a reader to guess",
            Problem::SecretWithoutKey(_) => "give the collector its secret key before it reads such stations",
        }
    }
}

impl ReadError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match &self.problem {
            Problem::NotUtf8 { .. } => "not-utf8",
            Problem::OverLimit { .. } => "over-limit",
            Problem::NotConfiguration(_) => "not-configuration",
            Problem::SecretWithoutKey(_) => "no-secret-key",
            _ => "malformed",
        }
    }

    pub(crate) fn locate(fault: Fault, bytes: &[u8]) -> ReadError {
        let offset = fault.offset.min(bytes.len());
        let before = bytes.get(..offset).unwrap_or_default();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let on_line = before.get(line_start..).unwrap_or_default();
        let column = 1 + String::from_utf8_lossy(on_line).chars().count();
        ReadError { problem: *fault.problem, offset, line, column }
    }
}

/// A problem and its byte; the line is counted once, at the end.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) problem: Box<Problem>,
    pub(crate) offset: usize,
}

impl Fault {
    pub(crate) fn new(problem: Problem, offset: usize) -> Fault {
        Fault { problem: Box::new(problem), offset }
    }

    pub(crate) fn syntax(detail: impl Into<String>, offset: usize) -> Fault {
        Fault::new(Problem::Syntax(detail.into()), offset)
    }
}

/// The beginning of a foreign name, short enough for a message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let at = |offset| {
            let error = ReadError::locate(Fault::new(Problem::Doctype, offset), "a\nü<b".as_bytes());
            (error.line, error.column)
        };
        assert_eq!([at(0), at(1), at(2), at(4), at(99)], [(1, 1), (1, 2), (2, 1), (2, 2), (2, 4)]);
    }
}
