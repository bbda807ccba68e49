//! How foreign text, names and times are shown: readable, short, and never able to play tricks on the reader.

use model::{Dn, Timestamp};

/// Characters shown of a value before the rest is folded away.
pub const SHORT: usize = 96;
/// Characters shown of a value at all; the bundle and the API have the whole.
pub const LONGEST: usize = 8_192;

/// Text from a device with control and direction-changing characters made visible.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('⏎'),
            '\t' => out.push('⇥'),
            c if is_deceptive(c) => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Controls, and what changes direction or hides between letters (Unicode TR 36).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The first `max` characters, and whether that is all.
pub fn cut(text: &str, max: usize) -> (&str, bool) {
    match text.char_indices().nth(max) {
        Some((end, _)) => (&text[..end], false),
        None => (text, true),
    }
}

/// A name's parts for people: those before the last, and the last. At most the two lowest RDNs.
pub fn short_name(dn: &Dn) -> (String, String) {
    let rdns: Vec<String> = dn.rdns().map(|(class, id)| visible(&format!("{class}={id}"))).collect();
    match rdns.as_slice() {
        [.., above, own] => (above.clone(), own.clone()),
        [own] => (String::new(), own.clone()),
        [] => (String::new(), String::new()),
    }
}

/// The station's id alone, such as `gnb-0001`.
pub fn station_name(element: &Dn) -> String {
    visible(&element.id())
}

/// `2026-11-22 02:13:05`, UTC.
pub fn clock(time: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(time.millis()) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => time.to_string(),
    }
}

/// A length of time: number and unit of the largest unit that fits, and the unit's catalogue key.
pub fn span(millis: i64) -> (i64, &'static str) {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..=119 => (seconds, "unit.seconds"),
        120..=7_199 => (seconds / 60, "unit.minutes"),
        7_200..=172_799 => (seconds / 3_600, "unit.hours"),
        _ => (seconds / 86_400, "unit.days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_and_control_characters_are_made_visible() {
        assert_eq!(visible("a\u{202e}b\u{0}\n"), "a⟨U+202E⟩b⟨U+0000⟩⏎");
        assert_eq!(visible("华为 5G"), "华为 5G");
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("电信联通", 2), ("电信", false));
        assert_eq!(cut("电信", 2), ("电信", true));
    }

    #[test]
    fn a_name_is_shown_by_its_two_lowest_parts() {
        let cell: Dn = "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRCellDU=2".parse().unwrap();
        assert_eq!(short_name(&cell), ("GNBDUFunction=1".into(), "NRCellDU=2".into()));
        assert_eq!(short_name(&Dn::root("SubNetwork", "bj")), (String::new(), "SubNetwork=bj".into()));
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(clock("2026-11-22T10:00:00.250+08:00".parse().unwrap()), "2026-11-22 02:00:00");
        assert_eq!(span(61_000), (61, "unit.seconds"));
        assert_eq!(span(7_200_000), (2, "unit.hours"));
        assert_eq!(span(-5), (0, "unit.seconds"));
    }
}
