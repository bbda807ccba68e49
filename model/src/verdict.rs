//! What a judge says of one difference: authorised or not, by which request, and why the others did not match.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Authorisation of an observed difference; the first that matches, in this order. Only the first four
/// are authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorisation {
    /// Back to the approved value.
    Restored,
    /// Exactly the edit that was approved, in its window, approved before it was seen.
    Exact,
    /// The one who may change this attribute alone changed it.
    ByRight,
    /// Within the bounds of a standing permission.
    Standing,
    /// The order or the evidence is missing.
    Undetermined,
    /// Nobody on the collecting side may change this attribute.
    NoRight,
    /// The request became final only after the change was seen.
    Late,
    /// Seen before the request's window.
    Early,
    /// Seen after the window, or after the request was withdrawn.
    Expired,
    /// The request names another old value.
    Stale,
    /// Another new value than approved, beyond it in the direction of change (ordered values).
    Exceeded,
    /// Another new value than approved.
    Deviating,
    /// The same edit is approved for another object.
    WrongObject,
    /// No request comes near it.
    Unapproved,
    /// The station has no approved baseline yet: authorisation is not claimed.
    Unbaselined,
}

impl Authorisation {
    /// Whether the difference was allowed.
    pub fn is_authorised(self) -> bool {
        matches!(
            self,
            Authorisation::Restored | Authorisation::Exact | Authorisation::ByRight | Authorisation::Standing
        )
    }

    /// How bad a violation with this verdict is.
    pub fn severity(self) -> Severity {
        match self {
            Authorisation::NoRight => Severity::Critical,
            Authorisation::Exceeded
            | Authorisation::Deviating
            | Authorisation::WrongObject
            | Authorisation::Unapproved => Severity::Major,
            Authorisation::Late | Authorisation::Early | Authorisation::Expired | Authorisation::Stale => {
                Severity::Minor
            }
            _ => Severity::Warning,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Authorisation::Restored => "restored",
            Authorisation::Exact => "exact",
            Authorisation::ByRight => "by-right",
            Authorisation::Standing => "standing",
            Authorisation::Undetermined => "undetermined",
            Authorisation::NoRight => "no-right",
            Authorisation::Late => "late",
            Authorisation::Early => "early",
            Authorisation::Expired => "expired",
            Authorisation::Stale => "stale",
            Authorisation::Exceeded => "exceeded",
            Authorisation::Deviating => "deviating",
            Authorisation::WrongObject => "wrong-object",
            Authorisation::Unapproved => "unapproved",
            Authorisation::Unbaselined => "unbaselined",
        }
    }
}

impl fmt::Display for Authorisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one request did or did not authorise a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    pub request: String,
    pub authorisation: Authorisation,
    /// One sentence with the figures compared.
    pub why: Text,
}

/// The judge's word on one difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationVerdict {
    pub authorisation: Authorisation,
    /// The request or standing permission it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Height at which that request became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_height: Option<u64>,
    pub why: Text,
    /// Every request that touches the attribute or makes the same edit elsewhere, nearest first.
    #[serde(default)]
    pub considered: Vec<Considered>,
}

/// A sentence in the languages of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub en: String,
    #[serde(default)]
    pub zh: String,
}

impl Text {
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Text {
        Text { en: en.into(), zh: zh.into() }
    }

    /// The sentence in `language` (`zh` or anything else for English); English where no Chinese was written.
    pub fn get(&self, language: &str) -> &str {
        if language == "zh" && !self.zh.is_empty() { &self.zh } else { &self.en }
    }
}

/// X.733 perceived severity of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Warning,
    Minor,
    Major,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Minor => "minor",
            Severity::Major => "major",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for authorisation in [Authorisation::ByRight, Authorisation::NoRight, Authorisation::Unbaselined] {
            let json = serde_json::to_string(&authorisation).unwrap();
            assert_eq!(json, format!("\"{authorisation}\""));
        }
        assert!(Authorisation::Standing.is_authorised());
        assert!(!Authorisation::Undetermined.is_authorised());
    }

    #[test]
    fn english_stands_in_where_no_chinese_was_written() {
        assert_eq!(Text::new("a", "").get("zh"), "a");
        assert_eq!(Text::new("a", "b").get("zh"), "b");
    }
}
