//! What a station says when it refuses: `<rpc-error>` (RFC 6241 §4.3), kept whole.

use std::fmt;

use serde::Serialize;

use crate::wire::xml::{Token, Walk, XmlError};

/// Whether the request failed or was merely remarked upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The request failed, in whole or in part.
    Error,
    /// The request was carried out.
    Warning,
}

impl Severity {
    fn from_name(name: &str) -> Severity {
        if name == "warning" { Severity::Warning } else { Severity::Error }
    }
}

/// One `<rpc-error>`. Absent fields were absent on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RpcError {
    /// Layer: transport, rpc, protocol or application.
    pub error_type: Option<String>,
    /// The condition, such as `access-denied` (RFC 6241 appendix A).
    pub tag: String,
    /// Anything but `warning` counts as an error, so that a new word never hides a failure.
    pub severity: Severity,
    /// The station's own condition.
    pub app_tag: Option<String>,
    /// The element concerned, as an XPath with the station's prefixes.
    pub path: Option<String>,
    /// Words for a person.
    pub message: Option<String>,
    /// Content of `<error-info>` as sent.
    pub info: Option<String>,
    /// The whole element as sent, whatever else it holds.
    pub raw: String,
}

impl RpcError {
    /// Reads the element whose start tag was just reported; `start` is that tag's first byte.
    pub(crate) fn read(walk: &mut Walk<'_>, bytes: &[u8], start: usize) -> Result<RpcError, XmlError> {
        let mut error = RpcError {
            error_type: None,
            tag: String::new(),
            severity: Severity::Error,
            app_tag: None,
            path: None,
            message: None,
            info: None,
            raw: String::new(),
        };
        let end = loop {
            match walk.token()? {
                (Token::Start(tag), _) => match tag.local_name().into_inner() {
                    "error-type" => error.error_type = Some(trimmed(walk)?),
                    "error-tag" => error.tag = trimmed(walk)?,
                    "error-severity" => error.severity = Severity::from_name(&trimmed(walk)?),
                    "error-app-tag" => error.app_tag = Some(trimmed(walk)?),
                    "error-path" => error.path = Some(trimmed(walk)?),
                    "error-message" => error.message = Some(trimmed(walk)?),
                    "error-info" => {
                        let range = walk.skip_element()?;
                        error.info = Some(slice(bytes, range.start, range.end));
                    }
                    _ => {
                        walk.skip_element()?;
                    }
                },
                (Token::End | Token::Done, range) => break range.end,
                (Token::Text(_), _) => {}
            }
        };
        error.raw = slice(bytes, start, end);
        Ok(error)
    }
}

fn trimmed(walk: &mut Walk<'_>) -> Result<String, XmlError> {
    Ok(walk.element_text()?.trim().to_owned())
}

fn slice(bytes: &[u8], start: usize, end: usize) -> String {
    bytes.get(start..end).map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default()
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = if self.tag.is_empty() { "without a tag" } else { &self.tag };
        f.write_str(tag)?;
        if let Some(app_tag) = &self.app_tag {
            write!(f, " ({app_tag})")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        Ok(())
    }
}
