//! What people do about a violation, from words to a verb: read once for page, API and command line.

use model::Timestamp;
use store::{Verb, ViolationAction};

/// Longest comment, in characters; a line's end counts as one.
pub const LONGEST_COMMENT: usize = 4_000;
/// Longest name, of whoever acts or of whom something is assigned to, in characters.
pub const LONGEST_NAME: usize = 80;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// `ack`, `assign`, `comment` or `resolve`.
    pub verb: &'a str,
    pub by: &'a str,
    /// May be empty, but for the verb `comment`.
    pub comment: &'a str,
    /// For `assign` alone.
    pub to: Option<&'a str>,
}

/// What the words lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    #[error("there is no such verb; hint: ack, assign, comment or resolve")]
    Verb,
    #[error("`by` is empty; hint: who says so?")]
    Person,
    #[error("nobody is named to assign it to; hint: `to` is a person or a team")]
    Assignee,
    #[error("only `assign` has a `to`; hint: leave it out")]
    ToNobody,
    #[error("the comment is empty; hint: say what is to be known")]
    Comment,
    #[error("the comment is longer than {LONGEST_COMMENT} characters; hint: name a ticket that has the rest")]
    LongComment,
    #[error(
        "a name is longer than {LONGEST_NAME} characters; hint: a person or a team, and the rest as comment"
    )]
    LongName,
}

impl Words<'_> {
    /// The action, trimmed.
    ///
    /// # Errors
    /// What is missing, or too long to be kept.
    pub fn read(&self, at: Timestamp) -> Result<ViolationAction, Lack> {
        let by = name(self.by, Lack::Person)?;
        let reason = self.comment.trim().replace("\r\n", "\n");
        if reason.chars().count() > LONGEST_COMMENT {
            return Err(Lack::LongComment);
        }
        let verb = match (self.verb, self.to) {
            ("assign", to) => Verb::Assign { to: name(to.unwrap_or_default(), Lack::Assignee)? },
            ("ack" | "comment" | "resolve", Some(_)) => return Err(Lack::ToNobody),
            ("ack", None) => Verb::Acknowledge,
            ("resolve", None) => Verb::Resolve,
            ("comment", None) if reason.is_empty() => return Err(Lack::Comment),
            ("comment", None) => Verb::Comment,
            _ => return Err(Lack::Verb),
        };
        Ok(ViolationAction { by, at, reason, verb })
    }
}

fn name(text: &str, lack: Lack) -> Result<String, Lack> {
    let name = text.trim();
    match name.chars().count() {
        0 => Err(lack),
        1..=LONGEST_NAME => Ok(name.to_owned()),
        _ => Err(Lack::LongName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: &str, comment: &str, to: Option<&str>) -> Result<Verb, Lack> {
        Words { verb, by: "Li Wei", comment, to }.read(Timestamp(1)).map(|action| action.verb)
    }

    #[test]
    fn what_is_lacking_or_too_long_is_refused() {
        assert_eq!(read("assign", "", Some(" field-east ")), Ok(Verb::Assign { to: "field-east".into() }));
        assert_eq!(read("assign", "", Some(" ")), Err(Lack::Assignee));
        assert_eq!(read("assign", "", None), Err(Lack::Assignee));
        assert!(read("assign", "", Some(&"局".repeat(80))).is_ok());
        assert_eq!(read("assign", "", Some(&"局".repeat(81))), Err(Lack::LongName));
        assert_eq!(read("ack", "", Some("field-east")), Err(Lack::ToNobody));
        assert_eq!(read("ack", "", None), Ok(Verb::Acknowledge));
        assert_eq!(read("comment", " \n", None), Err(Lack::Comment));
        assert_eq!(read("comment", &"x\r\n".repeat(2_000), None), Ok(Verb::Comment));
        assert_eq!(read("resolve", &"x".repeat(4_001), None), Err(Lack::LongComment));
        assert_eq!(read("close", "", None), Err(Lack::Verb));
        let nobody = Words { verb: "ack", by: "\t", comment: "", to: None };
        assert_eq!(nobody.read(Timestamp(1)).unwrap_err(), Lack::Person);
    }

    #[test]
    fn what_is_kept_is_trimmed() {
        let words = Words { verb: "comment", by: " Li ", comment: " asked\r\nthem \n", to: None };
        let action = words.read(Timestamp(1)).unwrap();
        assert_eq!((action.by.as_str(), action.reason.as_str()), ("Li", "asked\nthem"));
    }
}
