//! Patterns over qualified attribute names, as agreements, profiles and rules use them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `Class.attribute`; either side may be `*`. Matches an attribute of one class, all attributes of a class,
/// or an attribute wherever it occurs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributePattern {
    class: String,
    attribute: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an attribute pattern: `{0}`; hint: Class.attribute, such as NRCellDU.nRPCI or NROperatorCellDU.*"
)]
pub struct InvalidPattern(pub String);

impl AttributePattern {
    pub fn matches(&self, class: &str, attribute: &str) -> bool {
        (self.class == "*" || self.class == class) && (self.attribute == "*" || self.attribute == attribute)
    }

    /// The class, or `*`.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The attribute, or `*`.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }
}

impl FromStr for AttributePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |part: &str| {
            part == "*"
                || (!part.is_empty() && !part.contains(['*', '.', ' ', ',', '=']) || part == "@object")
        };
        match text.split_once('.') {
            Some((class, attribute)) if valid(class) && valid(attribute) => {
                Ok(AttributePattern { class: class.to_owned(), attribute: attribute.to_owned() })
            }
            _ => Err(InvalidPattern(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for AttributePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.attribute)
    }
}

impl Serialize for AttributePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_side_may_be_open() {
        let pattern = |t: &str| t.parse::<AttributePattern>().unwrap();
        assert!(pattern("NRCellDU.*").matches("NRCellDU", "nRPCI"));
        assert!(!pattern("NRCellDU.*").matches("NRCellCU", "nRPCI"));
        assert!(pattern("*.administrativeState").matches("NRCellDU", "administrativeState"));
        for text in ["NRCellDU", ".x", "x.", "a.b.c", "a*.b"] {
            assert!(text.parse::<AttributePattern>().is_err(), "{text}");
        }
    }
}
