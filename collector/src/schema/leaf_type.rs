//! Canonical forms: one spelling for each value of a type.
//!
//! Those of RFC 7950 §9, and of the address and hexadecimal types of RFC 6991. Identity names and paths carry the
//! names of modules instead of prefixes, as in RFC 7951. What does not fit its type stays as written: it does not validate
//! either. Kept as written are also dates, whose form in libyang depends on where it runs.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::paths::canonical_path;

/// A resolved type: typedefs and leafrefs are not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeafType {
    /// As written; `free`: of any text at all.
    Text {
        free: bool,
    },
    /// Enumeration and boolean: one of these, as written.
    Word(Vec<String>),
    /// `empty`.
    Empty,
    /// Within one of these ranges.
    Integer(Vec<(i128, i128)>),
    /// With this many fraction digits; ranges in units of the last one.
    Decimal {
        digits: u8,
        ranges: Vec<(i64, i64)>,
    },
    /// Names in the order of their positions.
    Bits(Vec<String>),
    /// `module:name` of each that may stand here, sorted.
    Identity(Vec<String>),
    InstanceIdentifier,
    Binary,
    Lowercase,
    Address(Address),
    /// The first that fits.
    Union(Vec<LeafType>),
}

/// Types of ietf-inet-types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Address {
    V4,
    V6,
    /// A network: bits outside it are zero.
    V4Prefix,
    V6Prefix,
    /// An address with the length of its network.
    V4WithPrefix,
    V6WithPrefix,
}

/// What a text says of a type.
#[derive(Debug, PartialEq, Eq)]
enum Fit<'a> {
    /// It is one of its values, of this spelling.
    Yes(Cow<'a, str>),
    No,
    /// Only a regular expression or a length could tell.
    Unknown,
}

/// Which modules names mean where a value stands.
pub(crate) trait Prefixes {
    /// That of a prefix; in JSON, the module itself.
    fn module(&self, prefix: &str) -> Option<&str>;
    /// That of an identity without one.
    fn of_bare_identity(&self) -> Option<&str>;
    /// That of a step of a path without one; `None`: of the step before it.
    fn of_bare_step(&self) -> Option<&str>;
}

impl LeafType {
    /// The canonical spelling of `text`.
    pub fn canonical<'a>(&self, text: Cow<'a, str>, prefixes: &impl Prefixes) -> Cow<'a, str> {
        // What most values are, without a copy.
        if let LeafType::Text { .. } | LeafType::Word(_) | LeafType::Empty = self {
            return text;
        }
        if let LeafType::Integer(_) = self
            && is_plain_integer(&text)
        {
            return text;
        }
        let found = match self {
            // A number outside its range is still a number.
            LeafType::Integer(_) => integer(&text).map(|number| number.to_string()),
            LeafType::Decimal { digits, .. } => decimal(&text, *digits).map(|n| decimal_text(n, *digits)),
            // Prefixes are spelling, also where nothing of the name is known.
            LeafType::Identity(_) => identity(&text, prefixes),
            _ => match self.fit(&text, prefixes) {
                Fit::Yes(Cow::Owned(spelling)) => Some(spelling),
                Fit::Yes(Cow::Borrowed(spelling)) if spelling.len() != text.len() => {
                    Some(spelling.to_owned())
                }
                _ => None,
            },
        };
        found.map_or(text, Cow::Owned)
    }

    fn fit<'t>(&self, text: &'t str, prefixes: &impl Prefixes) -> Fit<'t> {
        let yes_if = |fits: bool| if fits { Fit::Yes(Cow::Borrowed(text)) } else { Fit::No };
        let owned = |found: Option<String>| found.map_or(Fit::No, |spelling| Fit::Yes(Cow::Owned(spelling)));
        match self {
            LeafType::Text { free: true } => Fit::Yes(Cow::Borrowed(text)),
            LeafType::Text { free: false } => Fit::Unknown,
            LeafType::Word(words) => yes_if(words.iter().any(|word| word == text)),
            LeafType::Empty => yes_if(text.is_empty()),
            LeafType::Integer(ranges) => {
                let number = integer(text).filter(|n| ranges.iter().any(|(min, max)| min <= n && n <= max));
                owned(number.map(|number| number.to_string()))
            }
            LeafType::Decimal { digits, ranges } => {
                let number = decimal(text, *digits);
                let number = number.filter(|n| ranges.iter().any(|(min, max)| min <= n && n <= max));
                owned(number.map(|number| decimal_text(number, *digits)))
            }
            LeafType::Bits(names) => owned(bits(text, names)),
            LeafType::Identity(known) => {
                owned(identity(text, prefixes).filter(|name| known.binary_search(name).is_ok()))
            }
            LeafType::InstanceIdentifier => owned(canonical_path(text, prefixes)),
            LeafType::Binary => owned(base64(text)),
            // What a pattern demands of these is all in their alphabet.
            LeafType::Lowercase => {
                match text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'-') {
                    true => Fit::Yes(Cow::Owned(text.to_ascii_lowercase())),
                    false => Fit::No,
                }
            }
            LeafType::Address(kind) => owned(address(text, *kind)),
            LeafType::Union(members) => union(members, text, prefixes),
        }
    }
}

fn union<'t>(members: &[LeafType], text: &'t str, prefixes: &impl Prefixes) -> Fit<'t> {
    for member in members {
        match member.fit(text, prefixes) {
            Fit::No => {}
            found => return found,
        }
    }
    Fit::No
}

/// XML's white space around numbers is none of them.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// Digits without a leading zero, not too many of them to be a number of YANG.
fn is_plain_integer(text: &str) -> bool {
    match text.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 20 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// RFC 7950 §9.2.1.
fn integer(text: &str) -> Option<i128> {
    let text = trimmed(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = (1..=38).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// RFC 7950 §9.3.1, in units of the last fraction digit.
fn decimal(text: &str, fraction: u8) -> Option<i64> {
    let text = trimmed(text);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || rest.is_some_and(|rest| !numeric(rest)) {
        return None;
    }
    let rest = rest.unwrap_or_default().trim_end_matches('0');
    let missing = usize::from(fraction).checked_sub(rest.len())?;
    let digits = [if negative { "-" } else { "" }, whole, rest, &"0".repeat(missing)].concat();
    digits.parse().ok()
}

/// RFC 7950 §9.3.2: at least one digit on either side of the point, and no other zeros at the ends.
fn decimal_text(number: i64, fraction: u8) -> String {
    let fraction = usize::from(fraction);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = fraction + 1);
    let (whole, rest) = digits.split_at(digits.len().saturating_sub(fraction));
    let rest = rest.trim_end_matches('0');
    let sign = if number < 0 { "-" } else { "" };
    [sign, whole, ".", if rest.is_empty() { "0" } else { rest }].concat()
}

/// RFC 7950 §9.7.2.
fn bits(text: &str, names: &[String]) -> Option<String> {
    let set: Vec<&str> = text.split_ascii_whitespace().collect();
    if !set.iter().all(|bit| names.iter().any(|name| name == bit)) {
        return None;
    }
    let in_order = names.iter().map(String::as_str).filter(|name| set.contains(name));
    Some(in_order.collect::<Vec<_>>().join(" "))
}

/// RFC 7951 §6.8.
fn identity(text: &str, prefixes: &impl Prefixes) -> Option<String> {
    let (module, name) = match text.split_once(':') {
        Some((prefix, name)) => (prefixes.module(prefix)?, name),
        None => (prefixes.of_bare_identity()?, text),
    };
    Some(format!("{module}:{name}"))
}

/// RFC 4648 §4, with the line ends that printers put into it left out.
fn base64(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    plain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).then_some(plain)
}

fn address(text: &str, kind: Address) -> Option<String> {
    match kind {
        Address::V4 => zoned(text, |address| address.parse::<Ipv4Addr>().ok().map(|a| a.to_string())),
        Address::V6 => zoned(text, |address| address.parse::<Ipv6Addr>().ok().map(|a| a.to_string())),
        Address::V4Prefix | Address::V4WithPrefix => {
            let (address, length) = split_prefix(text, 32)?;
            let bits = address.parse::<Ipv4Addr>().ok()?.to_bits();
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let kept = if kind == Address::V4Prefix { bits & mask } else { bits };
            Some(format!("{}/{length}", Ipv4Addr::from_bits(kept)))
        }
        Address::V6Prefix | Address::V6WithPrefix => {
            let (address, length) = split_prefix(text, 128)?;
            let bits = address.parse::<Ipv6Addr>().ok()?.to_bits();
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            let kept = if kind == Address::V6Prefix { bits & mask } else { bits };
            Some(format!("{}/{length}", Ipv6Addr::from_bits(kept)))
        }
    }
}

/// An address with its zone, which is a name on the station.
fn zoned(text: &str, canonical: impl Fn(&str) -> Option<String>) -> Option<String> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, zone)) => Some(format!("{}%{zone}", canonical(address)?)),
        None => canonical(text),
    }
}

fn split_prefix(text: &str, longest: u32) -> Option<(&str, u32)> {
    let (address, length) = text.split_once('/')?;
    let digits = (1..=3).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit());
    let length = digits.then(|| length.parse().ok()).flatten().filter(|length| *length <= longest)?;
    Some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Table(&'static [(&'static str, &'static str)]);

    impl Prefixes for Table {
        fn module(&self, prefix: &str) -> Option<&str> {
            self.0.iter().find(|(known, _)| *known == prefix).map(|(_, module)| *module)
        }

        fn of_bare_identity(&self) -> Option<&str> {
            self.module("")
        }

        fn of_bare_step(&self) -> Option<&str> {
            None
        }
    }

    const PREFIXES: Table = Table(&[("", "own"), ("t", "types"), ("b", "base")]);

    fn spelled(of: &LeafType, text: &str) -> String {
        of.canonical(Cow::Borrowed(text), &PREFIXES).into_owned()
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn every_type_has_one_spelling() {
        let integer = LeafType::Integer(vec![(-128, 127)]);
        let decimal = LeafType::Decimal { digits: 2, ranges: vec![(i64::MIN, i64::MAX)] };
        let bits = LeafType::Bits(words(&["read", "write", "run"]));
        let identity = LeafType::Identity(words(&["base:one", "types:two"]));
        for (of, text, canonical) in [
            (&integer, "+007", "7"),
            (&integer, " -0\n", "0"),
            (&integer, "-05", "-5"),
            // Out of its range, and still a number.
            (&integer, "+0999", "999"),
            // No numbers: as written.
            (&integer, "0x1F", "0x1F"),
            (&integer, "1 2", "1 2"),
            (&integer, "", ""),
            (&decimal, "1", "1.0"),
            (&decimal, "-00.50", "-0.5"),
            (&decimal, "+3.140", "3.14"),
            (&decimal, "3.141", "3.141"),
            (&decimal, ".5", ".5"),
            (&decimal, "5.", "5."),
            (&bits, "run  read", "read run"),
            (&bits, "run fly", "run fly"),
            (&identity, "t:two", "types:two"),
            (&identity, "one", "own:one"),
            (&identity, "x:two", "x:two"),
            (&LeafType::Binary, "YWJj\n  ZGVm", "YWJjZGVm"),
            (&LeafType::Lowercase, "00:1B:2c", "00:1b:2c"),
            (&LeafType::Address(Address::V6), "2001:DB8:0:0:0:0:0:1%eth0", "2001:db8::1%eth0"),
            (&LeafType::Address(Address::V4), "192.0.2.1", "192.0.2.1"),
            (&LeafType::Address(Address::V4), "192.0.2.01", "192.0.2.01"),
            (&LeafType::Address(Address::V4Prefix), "192.0.2.1/24", "192.0.2.0/24"),
            (&LeafType::Address(Address::V4Prefix), "192.0.2.1/0", "0.0.0.0/0"),
            (&LeafType::Address(Address::V4WithPrefix), "192.0.2.1/24", "192.0.2.1/24"),
            (&LeafType::Address(Address::V6Prefix), "2001:DB8::FF/32", "2001:db8::/32"),
            (&LeafType::Address(Address::V6Prefix), "2001:DB8::FF/129", "2001:DB8::FF/129"),
            (&LeafType::Text { free: true }, " 05 ", " 05 "),
            (&LeafType::Word(words(&["true", "false"])), "true", "true"),
        ] {
            assert_eq!(spelled(of, text), canonical, "{of:?} {text:?}");
        }
    }

    #[test]
    fn a_union_has_the_spelling_of_the_first_member_that_fits() {
        let small = LeafType::Integer(vec![(0, 9)]);
        let decimal = LeafType::Decimal { digits: 1, ranges: vec![(0, 1_000)] };
        let auto = LeafType::Word(words(&["auto", "007"]));
        let union =
            LeafType::Union(vec![auto, small.clone(), decimal.clone(), LeafType::Text { free: true }]);
        for (text, canonical) in
            [("auto", "auto"), ("007", "007"), ("07", "7"), ("10", "10.0"), ("0500", "0500"), ("x", "x")]
        {
            assert_eq!(spelled(&union, text), canonical, "{text}");
        }
        // A text that only its pattern tells apart may be the first member's value: it stays as written.
        let unclear = LeafType::Union(vec![LeafType::Text { free: false }, small]);
        assert_eq!(spelled(&unclear, "07"), "07");
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(text in "[-+ 0-9.a-fA-F:/%t]{0,24}", digits in 1u8..=18) {
            let types = [
                LeafType::Integer(vec![(i128::from(i64::MIN), i128::from(u64::MAX))]),
                LeafType::Decimal { digits, ranges: vec![(i64::MIN, i64::MAX)] },
                LeafType::Lowercase,
                LeafType::Address(Address::V6),
                LeafType::Address(Address::V6Prefix),
                LeafType::Address(Address::V4Prefix),
            ];
            for of in &types {
                let once = spelled(of, &text);
                prop_assert_eq!(spelled(of, &once), once);
            }
        }

        #[test]
        fn equal_numbers_are_spelled_equally(number in any::<i64>(), zeros in 0usize..4, plus: bool, digits in 1u8..=18) {
            let sign = if number < 0 { "-" } else if plus { "+" } else { "" };
            let odd = format!(" {sign}{}{}", "0".repeat(zeros), number.unsigned_abs());
            let integer = LeafType::Integer(vec![(i128::from(i64::MIN), i128::from(i64::MAX))]);
            prop_assert_eq!(spelled(&integer, &odd), number.to_string());
            let decimal = LeafType::Decimal { digits, ranges: vec![(i64::MIN, i64::MAX)] };
            let canonical = decimal_text(number, digits);
            prop_assert_eq!(spelled(&decimal, &canonical), canonical.clone());
            let odd = format!("{}{}", canonical, if canonical.split('.').nth(1).is_some_and(|f| f.len() + zeros <= usize::from(digits)) { "0".repeat(zeros) } else { String::new() });
            prop_assert_eq!(spelled(&decimal, &odd), canonical);
        }
    }
}
