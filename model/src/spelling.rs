//! Whether two values may be spellings of one: what a reader without the station's schema can tell.
//!
//! With a schema a value stands in its canonical form, without one as the station wrote it, so that one reply gives two
//! texts. Which pairs belong together only the schema says; here everything that some YANG type takes for one value counts
//! (RFC 7950 §9), and nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::number::Decimal;
use crate::value::Value;

/// Levels of lists inside lists in which entries may stand in another order: each may double the work.
const MAX_ORDERED: usize = 6;

/// Entries of a list that are looked for in any order. A longer one is put in order first.
const MAX_SEARCHED: usize = 64;

/// `None` if no schema makes these one value, else how many leaves only one of them has: a schema's defaults are
/// filled in, and which they are only it knows.
pub fn spelt_alike(a: &Value, b: &Value) -> Option<usize> {
    alike(a, b, 0)
}

/// How many leaves a value has, if all of it may be defaults of a schema: no default makes list entries.
pub fn default_leaves(value: &Value) -> Option<usize> {
    match value {
        Value::Text(_) => Some(1),
        Value::Sequence(_) => None,
        Value::Fields(fields) => fields.values().map(default_leaves).sum(),
    }
}

/// `lists`: how many lists there are around.
fn alike(a: &Value, b: &Value, lists: usize) -> Option<usize> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => text_alike(a, b).then_some(0),
        (Value::Fields(a), Value::Fields(b)) => {
            let mut filled = 0;
            for (name, value) in a {
                filled += match b.get(name) {
                    Some(other) => alike(value, other, lists)?,
                    None => default_leaves(value)?,
                };
            }
            for value in b.iter().filter(|(name, _)| !a.contains_key(*name)).map(|(_, value)| value) {
                filled += default_leaves(value)?;
            }
            Some(filled)
        }
        // An element without content may hold defaults.
        (Value::Text(text), fields @ Value::Fields(_)) | (fields @ Value::Fields(_), Value::Text(text)) => {
            if text.is_empty() {
                default_leaves(fields)
            } else {
                None
            }
        }
        (a, b) => occurrences_alike(a.occurrences(), b.occurrences(), lists),
    }
}

/// In one order, or in the order that a schema gives to what the station may order as it likes.
fn occurrences_alike(a: &[Value], b: &[Value], lists: usize) -> Option<usize> {
    if a.len() != b.len() {
        return None;
    }
    let in_step = |a: &[&Value], b: &[&Value]| {
        a.iter().zip(b).map(|(a, b)| alike(a, b, lists + 1)).sum::<Option<usize>>()
    };
    let (mut a, mut b): (Vec<&Value>, Vec<&Value>) = (a.iter().collect(), b.iter().collect());
    let filled = in_step(&a, &b);
    if filled.is_some() || lists >= MAX_ORDERED {
        return filled;
    }
    // Defaults in entries take part in any order that their values could give: there an entry is looked for instead.
    if lists == 0 && a.len() <= MAX_SEARCHED {
        return a.iter().try_fold(0, |filled, a| {
            let inside = MAX_ORDERED - 2;
            let found = b.iter().enumerate().find_map(|(at, b)| Some((at, alike(a, b, inside)?)))?;
            b.remove(found.0);
            Some(filled + found.1)
        });
    }
    a.sort_by_cached_key(|value| value_key(value));
    b.sort_by_cached_key(|value| value_key(value));
    in_step(&a, &b)
}

/// Equal for values that differ by spelling alone, but for filled-in defaults.
fn value_key(value: &Value) -> String {
    match value {
        Value::Text(text) => key(text),
        Value::Sequence(items) => items.iter().map(value_key).collect::<Vec<_>>().join("\u{1}"),
        Value::Fields(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}\u{2}{}", value_key(value));
            fields.iter().map(field).collect::<Vec<_>>().join("\u{1}")
        }
    }
}

fn text_alike(a: &str, b: &str) -> bool {
    a == b || key(a) == key(b) || same_words(a, b)
}

/// The bits of one set in any order.
fn same_words(a: &str, b: &str) -> bool {
    let words = |text: &'_ str| {
        let mut words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    words(a) == words(b)
}

/// What the spellings of one text have in common.
fn key(text: &str) -> String {
    let text = text.trim();
    // Hexadecimal and octal are for defaults in modules only (RFC 7950 §9.2.1).
    if let Some(number) = Decimal::parse(text) {
        return number.to_string();
    }
    if let Some(address) = address(text) {
        return address;
    }
    if text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'-') {
        return text.to_ascii_lowercase();
    }
    let mut key = String::with_capacity(text.len());
    for part in without_prefixes(text).chars().filter(|c| !c.is_whitespace()) {
        key.push(if part == '\'' { '"' } else { part });
    }
    key
}

/// An address, with its zone; a prefix with the bits past its length cleared (RFC 6991 §4).
fn address(text: &str) -> Option<String> {
    if let Some((address, zone)) = text.split_once('%') {
        return address.parse::<IpAddr>().ok().map(|address| format!("{address}%{zone}"));
    }
    let Some((address, length)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(|address| address.to_string());
    };
    let length: u32 = length.parse().ok()?;
    let network = match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(length)?).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(length)?).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    };
    Some(format!("{network}/{length}"))
}

/// Names of identities and steps of paths without prefix or module: `a:b` as `b`.
fn without_prefixes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut name = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let begins_name = |next: &char| next.is_alphabetic() || *next == '_';
        match c {
            ':' if !name.is_empty() && chars.peek().is_some_and(begins_name) => name.clear(),
            c if c.is_alphanumeric() || ['_', '-', '.'].contains(&c) => name.push(c),
            c => {
                out.push_str(&name);
                name.clear();
                out.push(c);
            }
        }
    }
    out.push_str(&name);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(a: &str, b: &str) -> bool {
        spelt_alike(&Value::from(a), &Value::from(b)).is_some()
    }

    fn fields(pairs: &[(&str, &str)]) -> Value {
        Value::Fields(pairs.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect())
    }

    #[test]
    fn what_some_type_takes_for_one_value_is_alike() {
        for (a, b) in [
            ("7.50", "7.5"),
            ("+46", "46"),
            ("-0.0", "0.0"),
            ("0061", "61"),
            (" 46\n", "46"),
            ("p:fdd", "ranproof-nrm-nr:fdd"),
            ("fdd", "m:fdd"),
            ("/a:x/a:y[a:k='1']", "/m:x/y[k=\"1\"]"),
            ("AA-BB-0c", "aa-bb-0c"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::1/0", "::/0"),
            ("b a", "a b"),
            ("QUJD\n  RA==", "QUJDRA=="),
        ] {
            assert!(texts(a, b) && texts(b, a), "{a} and {b}");
        }
    }

    #[test]
    fn other_values_are_not() {
        for (a, b) in [
            ("46", "49"),
            ("7.5", "7.05"),
            ("-1", "1"),
            ("0x1F", "31"),
            ("017", "15"),
            ("fdd", "tdd"),
            ("UNLOCKED", "LOCKED"),
            ("true", "TRUE"),
            ("10.0.0.0/8", "10.0.0.0/9"),
            ("10.0.0.1/33", "10.0.0.2/33"),
            ("http://a", "http://b"),
            ("", "0"),
            ("1.", "1"),
        ] {
            assert!(!texts(a, b) && !texts(b, a), "{a} and {b}");
        }
    }

    #[test]
    fn lists_may_be_ordered_and_structures_filled_but_nothing_may_be_lost() {
        let list = |items: &[&Value]| Value::Sequence(items.iter().map(|v| (*v).clone()).collect());
        let (one, two) = (fields(&[("id", "01"), ("p", "7.50")]), fields(&[("id", "2"), ("p", "8")]));
        let (one_again, full) =
            (fields(&[("id", "1"), ("p", "7.5")]), fields(&[("id", "2"), ("p", "8"), ("d", "20")]));
        assert_eq!(spelt_alike(&list(&[&two, &one]), &list(&[&one_again, &two])), Some(0));
        assert_eq!(spelt_alike(&two, &full), Some(1));
        assert_eq!(spelt_alike(&full, &two), Some(1));
        assert_eq!(spelt_alike(&list(&[&one]), &one_again), Some(0));
        assert_eq!(spelt_alike(&Value::from(""), &fields(&[("d", "20")])), Some(1));
        assert_eq!(spelt_alike(&Value::from("x"), &fields(&[("d", "20")])), None);
        assert_eq!(spelt_alike(&list(&[&one]), &list(&[&one, &two])), None);
        assert_eq!(spelt_alike(&one, &two), None);
        assert_eq!((default_leaves(&full), default_leaves(&list(&[&one]))), (Some(3), None));
        let (bare, full, small) =
            (fields(&[("id", "1")]), fields(&[("d", "20"), ("id", "1")]), fields(&[("d", "5"), ("id", "2")]));
        assert_eq!(spelt_alike(&list(&[&small, &bare]), &list(&[&full, &small])), Some(1));
        let nested = Value::Fields([("l".to_owned(), list(&[&one, &two]))].into());
        assert_eq!(spelt_alike(&Value::Fields([].into()), &nested), None, "no default makes list entries");
    }

    #[test]
    fn lists_inside_lists_cost_no_more_than_they_are_large() {
        let deep = |text: &str| {
            let pair = |value: &Value| Value::Sequence(vec![value.clone(), Value::from("x")]);
            (0..60).fold(Value::from(text), |value, _| pair(&value))
        };
        assert_eq!(spelt_alike(&deep("1.0"), &deep("1")), Some(0));
        assert_eq!(spelt_alike(&deep("1"), &deep("2")), None);
    }
}
