//! Distinguished names: the identity of a managed object (TS 32.300), and patterns over them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A distinguished name: RDNs `class=id` from the root down, joined by commas, such as
/// `SubNetwork=bj-east,ManagedElement=gnb-0001,GNBDUFunction=1,NRCellDU=2`. Cheap to clone.
///
/// In an id, `\`, `,`, `=` and `*` are written with a backslash before them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dn(Arc<str>);

/// Text that is not a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a distinguished name: `{text}`: {why}; hint: class=id pairs joined by commas, as in SubNetwork=a,ManagedElement=b"
)]
pub struct InvalidDn {
    pub text: String,
    pub why: &'static str,
}

impl Dn {
    /// Appends the RDN `class=id`; `id` is taken verbatim and escaped.
    pub fn child(&self, class: &str, id: &str) -> Dn {
        let mut text = String::with_capacity(self.0.len() + class.len() + id.len() + 2);
        text.push_str(&self.0);
        text.push(',');
        push_rdn(&mut text, class, id);
        Dn(text.into())
    }

    /// The name of a single RDN.
    pub fn root(class: &str, id: &str) -> Dn {
        let mut text = String::new();
        push_rdn(&mut text, class, id);
        Dn(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// RDNs from the root down, as `(class, escaped id)`.
    pub fn rdns(&self) -> impl Iterator<Item = (&str, &str)> {
        split_rdns(&self.0).map(|rdn| rdn.split_once('=').unwrap_or((rdn, "")))
    }

    /// Class of the object itself: that of the last RDN.
    pub fn class(&self) -> &str {
        let rdn = last_rdn(&self.0);
        rdn.split_once('=').map_or(rdn, |(class, _)| class)
    }

    /// Id of the object itself, unescaped.
    pub fn id(&self) -> String {
        last_rdn(&self.0).split_once('=').map_or_else(String::new, |(_, id)| unescape(id))
    }

    /// The containing object's name, `None` at the root.
    pub fn parent(&self) -> Option<Dn> {
        self.parent_str().map(|parent| Dn(parent.into()))
    }

    /// The text of [`Dn::parent`].
    pub fn parent_str(&self) -> Option<&str> {
        let end = self.0.len().checked_sub(last_rdn(&self.0).len() + 1)?;
        self.0.get(..end)
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &Dn) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
    }

    /// The name up to and including the first RDN of `class`, such as the station of a cell.
    pub fn ancestor(&self, class: &str) -> Option<Dn> {
        let mut end = 0;
        for rdn in split_rdns(&self.0) {
            end += rdn.len();
            if rdn.split_once('=').is_some_and(|(c, _)| c == class) {
                return Some(Dn(self.0[..end].into()));
            }
            end += 1;
        }
        None
    }
}

fn push_rdn(text: &mut String, class: &str, id: &str) {
    text.push_str(class);
    text.push('=');
    for c in id.chars() {
        if matches!(c, ',' | '=' | '\\' | '*') {
            text.push('\\');
        }
        text.push(c);
    }
}

fn split_rdns(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut from = 0;
        while let Some(comma) = text[from..].find(',').map(|at| from + at) {
            if !is_escaped(text, comma) {
                rest = Some(&text[comma + 1..]);
                return Some(&text[..comma]);
            }
            from = comma + 1;
        }
        Some(text)
    })
}

/// From behind, since names of one station share long beginnings and classes are asked for often.
fn last_rdn(text: &str) -> &str {
    let mut end = text.len();
    while let Some(comma) = text[..end].rfind(',') {
        if !is_escaped(text, comma) {
            return &text[comma + 1..];
        }
        end = comma;
    }
    text
}

/// Whether an odd number of backslashes stands before it.
fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn unescape(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    let mut chars = id.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

/// Number of `=` outside escapes, and whether the last escape is complete.
fn equals_in(rdn: &str) -> Option<usize> {
    let (mut count, mut chars) = (0, rdn.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next()?;
            }
            '=' => count += 1,
            _ => {}
        }
    }
    Some(count)
}

fn check(text: &str) -> Result<(), &'static str> {
    for rdn in split_rdns(text) {
        let (class, id) = rdn.split_once('=').ok_or("an RDN lacks `=`")?;
        let well_named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        if class.is_empty() || !class.bytes().all(well_named) {
            return Err("a class name is empty or has an unusual character");
        }
        if id.is_empty() {
            return Err("an id is empty");
        }
        if equals_in(rdn) != Some(1) {
            return Err("an id has a bare `=` or ends in a backslash");
        }
    }
    Ok(())
}

impl FromStr for Dn {
    type Err = InvalidDn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match check(text) {
            Ok(()) => Ok(Dn(text.into())),
            Err(why) => Err(InvalidDn { text: text.chars().take(120).collect(), why }),
        }
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dn({})", self.0)
    }
}

impl Serialize for Dn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Dn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A part of the network: a DN whose ids may be `*`, matching every object at or below such a name.
/// `SubNetwork=bj-east,ManagedElement=*,GNBDUFunction=*,OperatorDU=unicom` is Unicom's part of every
/// station of the district. The empty text is the whole network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(String);

impl Scope {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the object named `dn` is in this part of the network.
    pub fn covers(&self, dn: &Dn) -> bool {
        if self.0.is_empty() {
            return true;
        }
        // Without wildcards and escapes it is the beginning of the name.
        if !self.0.contains(['*', '\\']) {
            return dn.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(','));
        }
        let mut names = dn.rdns();
        split_rdns(&self.0).all(|rdn| {
            let (class, id) = rdn.split_once('=').unwrap_or((rdn, ""));
            names.next().is_some_and(|(c, i)| c == class && (id == "*" || id == i))
        })
    }
}

impl FromStr for Scope {
    type Err = InvalidDn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Scope::default());
        }
        check(text).map_err(|why| InvalidDn { text: text.chars().take(120).collect(), why })?;
        Ok(Scope(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "*" } else { &self.0 })
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dn(text: &str) -> Dn {
        text.parse().unwrap()
    }

    #[test]
    fn parts_of_a_name() {
        let cell = dn("SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRCellDU=2");
        assert_eq!(cell.class(), "NRCellDU");
        assert_eq!(cell.id(), "2");
        assert_eq!(cell.parent(), Some(dn("SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1")));
        assert_eq!(cell.ancestor("ManagedElement"), Some(dn("SubNetwork=bj,ManagedElement=g1")));
        assert!(cell.is_within(&dn("SubNetwork=bj,ManagedElement=g1")));
        assert!(!cell.is_within(&dn("SubNetwork=bj,ManagedElement=g")));
        assert_eq!(dn("SubNetwork=bj").parent(), None);
    }

    #[test]
    fn a_scope_covers_at_and_below_with_wildcard_ids() {
        let scope: Scope = "SubNetwork=bj,ManagedElement=*,OperatorDU=unicom".parse().unwrap();
        assert!(scope.covers(&dn("SubNetwork=bj,ManagedElement=g1,OperatorDU=unicom,NROperatorCellDU=1")));
        assert!(!scope.covers(&dn("SubNetwork=bj,ManagedElement=g1,OperatorDU=telecom")));
        assert!(!scope.covers(&dn("SubNetwork=bj,ManagedElement=g1")));
        assert!(Scope::default().covers(&dn("X=1")));
        let plain: Scope = "SubNetwork=bj,ManagedElement=g1".parse().unwrap();
        assert!(plain.covers(&dn("SubNetwork=bj,ManagedElement=g1")));
        assert!(plain.covers(&dn("SubNetwork=bj,ManagedElement=g1,OperatorDU=unicom")));
        assert!(!plain.covers(&dn("SubNetwork=bj,ManagedElement=g10")));
        assert!(!plain.covers(&dn("SubNetwork=bj,ManagedElement=g1\\,x")));
        assert!(!plain.covers(&dn("SubNetwork=bj")));
    }

    #[test]
    fn bad_names_are_refused() {
        for text in ["", "a", "a=", "=b", "a=b,,c=d", "a=b=c", "a b=c", "a=b\\"] {
            assert!(text.parse::<Dn>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_id_survives_escaping(id in "[^\u{0}]{1,20}") {
            let name = Dn::root("SubNetwork", "a").child("ManagedElement", &id);
            prop_assert_eq!(name.id(), id);
            prop_assert_eq!(name.to_string().parse::<Dn>().unwrap(), name.clone());
            prop_assert_eq!(name.parent().unwrap(), Dn::root("SubNetwork", "a"));
            prop_assert_eq!(name.class(), "ManagedElement");
            prop_assert_eq!(split_rdns(name.as_str()).last(), Some(last_rdn(name.as_str())));
        }
    }
}
