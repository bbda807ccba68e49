//! Decoding of XML character data.

use std::borrow::Cow;

use super::error::{Fault, Problem, shown};

/// Text with references resolved and line ends as LF (XML 1.0 §2.11, §4.6). `offset` is the place of `raw`.
pub(super) fn decode(raw: &str, offset: usize) -> Result<Cow<'_, str>, Fault> {
    if memchr::memchr2(b'&', b'\r', raw.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut at = offset;
    while let Some(found) = memchr::memchr2(b'&', b'\r', rest.as_bytes()) {
        let (plain, special) = rest.split_at(found);
        out.push_str(plain);
        at += found;
        let taken = if special.starts_with('&') {
            let (c, taken) = reference(special, at)?;
            out.push(c);
            taken
        } else {
            out.push('\n');
            if special.starts_with("\r\n") { 2 } else { 1 }
        };
        rest = special.get(taken..).unwrap_or_default();
        at += taken;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// CDATA: line ends only.
pub(super) fn normalise_line_ends(raw: &str) -> Cow<'_, str> {
    if raw.contains('\r') {
        Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(raw)
    }
}

/// The character of the reference `text` begins with, and the reference's length.
fn reference(text: &str, offset: usize) -> Result<(char, usize), Fault> {
    // The longest legal one is `&#x10FFFF;`, with leading zeros allowed.
    let end = text.bytes().take(40).position(|b| b == b';');
    let Some(end) = end else {
        return Err(Fault::syntax("`&` that begins no reference", offset));
    };
    let name = text.get(1..end).unwrap_or_default();
    let character = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => numeric(name).filter(|c| is_xml_character(*c)),
    };
    match character {
        Some(c) => Ok((c, end + 1)),
        None => Err(Fault::new(Problem::Entity(shown(name)), offset)),
    }
}

fn numeric(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = match digits.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    // `from_str_radix` alone would take a sign.
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten().and_then(char::from_u32)
}

/// XML 1.0 §2.2.
fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Whether text is white space only.
pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
}

/// The value of an element without child elements whose text is `text` as written: white space with a line
/// break in it is layout of an empty element, without one it is a value.
#[inline]
pub(super) fn leaf_text(text: Cow<'_, str>) -> Cow<'_, str> {
    let layout = text.as_bytes().first().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n'))
        && text.contains('\n')
        && is_blank(&text);
    if layout { Cow::Borrowed("") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_line_ends_are_resolved() {
        assert_eq!(decode("a&lt;&#x20AC;&#65;\r\nb\rc&#13;", 0).unwrap(), "a<\u{20ac}A\nb\nc\r");
        assert!(matches!(decode("plain", 0), Ok(Cow::Borrowed("plain"))));
    }

    #[test]
    fn other_references_are_refused_at_their_place() {
        for (raw, offset) in [
            ("ab&bomb;", 12),
            ("&#0;", 10),
            ("&#xD800;", 10),
            ("&#+5;", 10),
            ("&;", 10),
            ("&", 10),
            ("a\r\n& ;", 13),
            ("&#xFFFE;", 10),
        ] {
            assert_eq!(decode(raw, 10).unwrap_err().offset, offset, "{raw}");
        }
    }

    #[test]
    fn layout_is_told_from_blank_values() {
        assert_eq!(leaf_text("\n   ".into()), "");
        assert_eq!(leaf_text("  ".into()), "  ");
        assert_eq!(leaf_text("\n x".into()), "\n x");
    }
}
