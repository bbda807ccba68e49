//! The modules a station says it runs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest module name that is taken: what a file system takes as a name, with revision and suffix.
const MAX_NAME: usize = 200;

/// Why two words name no module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not an identifier.
    #[error(
        "`{name}` is no module name; hint: RFC 7950 §6.2 wants a letter or `_`, then letters, digits, `_`, `-`, `.`"
    )]
    Name {
        /// The beginning of what stood there.
        name: String,
    },
    /// Not a date.
    #[error("`{revision}` is no revision of module `{name}`; hint: RFC 7950 §7.1.9 wants YYYY-MM-DD")]
    Revision {
        /// The module.
        name: String,
        /// The beginning of what stood there.
        revision: String,
    },
}

/// One module or submodule. Displayed as `name@revision`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId {
    /// Its name, an identifier of RFC 7950 §6.2.
    pub name: String,
    /// Its revision date; none for a module that has no revision statement.
    pub revision: Option<String>,
}

impl ModuleId {
    /// A module by words that somebody else wrote. An empty revision is none (RFC 7895 §2.2).
    ///
    /// # Errors
    /// [`InvalidId`]; neither word can hold a path, white space or a control character afterwards.
    pub fn new(name: &str, revision: Option<&str>) -> Result<ModuleId, InvalidId> {
        if !is_identifier(name) {
            return Err(InvalidId::Name { name: shown(name) });
        }
        let revision = revision.filter(|text| !text.is_empty());
        if let Some(wrong) = revision.filter(|text| !is_date(text)) {
            return Err(InvalidId::Revision { name: name.to_owned(), revision: shown(wrong) });
        }
        Ok(ModuleId { name: name.to_owned(), revision: revision.map(str::to_owned) })
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

/// One module as a station's library lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleEntry {
    /// Name and revision.
    pub id: ModuleId,
    /// Its namespace; may be empty for a module that is only imported.
    pub namespace: String,
    /// The features the station supports, sorted.
    pub features: Vec<String>,
    /// Modules that deviate from this one, sorted.
    pub deviations: Vec<String>,
    /// What it includes, sorted.
    pub submodules: Vec<ModuleId>,
    /// Whether its data nodes exist on the station, or it only lends types and groupings.
    pub implemented: bool,
}

/// All modules of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Sorted by name, then revision, so that one set has one spelling.
    pub modules: Vec<ModuleEntry>,
    /// What the station calls this set: equal ids mean equal sets on one station (RFC 8525 §3).
    pub content_id: Option<String>,
}

/// `identifier` of RFC 7950 §14, bounded.
fn is_identifier(text: &str) -> bool {
    let begins = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let goes_on = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let mut bytes = text.bytes();
    text.len() <= MAX_NAME && bytes.next().is_some_and(begins) && bytes.all(goes_on)
}

/// `date-arg` of RFC 7950 §14: digits in the right places. The calendar is not asked, nor is it by others.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}

/// The beginning of foreign text, fit for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_dates_are_those_of_the_standard() {
        let id = ModuleId::new("_3gpp-nr-nrm-nrcelldu", Some("2022-05-12")).unwrap();
        assert_eq!(id.to_string(), "_3gpp-nr-nrm-nrcelldu@2022-05-12");
        assert_eq!(ModuleId::new("a", Some("")).unwrap(), ModuleId { name: "a".into(), revision: None });
        for name in ["", "../etc/passwd", "a/b", "1a", "-a", "a b", "a\n", "ä", "a@2020-01-01"] {
            assert!(matches!(ModuleId::new(name, None), Err(InvalidId::Name { .. })), "{name}");
        }
        assert!(ModuleId::new(&"a".repeat(MAX_NAME + 1), None).is_err());
        for revision in ["2022-5-12", "2022/05/12", "20220512--", "../../../x", "2022-05-12 "] {
            let error = ModuleId::new("a", Some(revision)).unwrap_err();
            assert!(matches!(error, InvalidId::Revision { .. }), "{revision}");
        }
    }

    #[test]
    fn foreign_text_in_messages_is_short_and_printable() {
        let error = ModuleId::new(&"\u{1b}[31m".repeat(100), None).unwrap_err().to_string();
        assert!(error.len() < 600 && !error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_plain_file_name(name in "\\PC{0,20}", revision in "[0-9/.-]{0,12}") {
            if let Ok(id) = ModuleId::new(&name, Some(&revision)) {
                let text = id.to_string();
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
                prop_assert!(text.chars().all(plain) && !text.starts_with(['.', '-']));
            }
        }
    }
}
