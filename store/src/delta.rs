//! What a text differs by from another one that is at hand: how much of that one is passed over, what is put in, how much is
//! copied, and so on to the end. Where a few values are others this takes tens of bytes, and little more time than comparing
//! the two; a compressor first has to learn the whole text that it works over.
//!
//! The bytes are a mark and steps to the end, each `passed over`, `put in`, the bytes put in, `copied`; numbers are LEB128. No zstd
//! frame begins with the mark (RFC 8878 §3.1), so that both may stand in one column.

/// The first byte.
const MARK: u8 = 1;

/// Bytes that must be the same for two places to be taken for the same place.
const RUN: usize = 32;

/// How far from a difference the texts may go on together.
const REACH: usize = 4 << 10;

/// Behind a difference, where runs are looked for in the other text: a value is mostly short, a part that came or went is not.
const AHEAD: [usize; 6] = [RUN / 4, RUN, 4 * RUN, 16 * RUN, 64 * RUN, 0];

/// Where a value of another length is mostly told from one of the same.
const NEAR: usize = 256;

/// Work for a difference in however short a text.
const LOOKS: usize = 4 * REACH;

/// Compared at once.
const BLOCK: usize = 256;

/// Whether these are bytes of [`encode`].
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MARK)
}

/// What `text` differs by from `over`; `None` where that takes more than `limit` bytes, or more work than such a limit is worth,
/// which is never more than a few looks at each byte of `text`, or [`LOOKS`].
pub(crate) fn encode(over: &[u8], text: &[u8], limit: usize) -> Option<Vec<u8>> {
    let front = equal_front(over, text);
    let tail = equal_tail(&over[front..], &text[front..]);
    let (over, text) = (&over[..over.len() - tail], &text[..text.len() - tail]);
    let mut steps = Steps { bytes: vec![MARK], limit };
    let (mut from, mut to) = (front, front);
    let (mut passed, mut put) = (0, 0);
    let mut copied = front;
    let mut looks = LOOKS.max(text.len() / 2);
    while to < text.len() {
        steps.push(passed, &text[to - copied - put..to - copied], copied)?;
        (passed, put) = together_again(&over[from..], &text[to..], &mut looks);
        (from, to) = (from + passed, to + put);
        copied = equal_front(&over[from..], &text[to..]);
        (from, to) = (from + copied, to + copied);
    }
    if from == over.len() {
        steps.push(passed, &text[to - copied - put..to - copied], copied + tail)?;
    } else {
        steps.push(passed, &text[to - copied - put..to - copied], copied)?;
        steps.push(over.len() - from, &[], tail)?;
    }
    Some(steps.bytes)
}

/// The text of `length` bytes that was encoded over this one.
pub(crate) fn decode(over: &[u8], bytes: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "a difference that ends too early";
    let mut rest = bytes.strip_prefix(&[MARK]).ok_or("a difference without its mark")?;
    // However much it says, no more can come of it.
    let mut text = Vec::with_capacity(length.min(over.len() + bytes.len()));
    let mut over = over;
    while !rest.is_empty() {
        let passed = number(&mut rest).ok_or(SHORT)?;
        let put = number(&mut rest).and_then(|put| rest.split_at_checked(put));
        let (put, after) = put.ok_or(SHORT)?;
        rest = after;
        let copied = number(&mut rest).ok_or(SHORT)?;
        let copy = over.get(passed..).and_then(|over| over.split_at_checked(copied));
        let (copy, after) = copy.ok_or("a difference from a longer text")?;
        over = after;
        if text.len() + put.len() + copy.len() > length {
            return Err("a difference to a longer text");
        }
        text.extend_from_slice(put);
        text.extend_from_slice(copy);
    }
    if text.len() == length { Ok(text) } else { Err("a difference to a shorter text") }
}

struct Steps {
    bytes: Vec<u8>,
    limit: usize,
}

impl Steps {
    /// `None` past the limit.
    fn push(&mut self, passed: usize, put: &[u8], copied: usize) -> Option<()> {
        if put.len() > self.limit {
            return None;
        }
        push_number(&mut self.bytes, passed);
        push_number(&mut self.bytes, put.len());
        self.bytes.extend_from_slice(put);
        push_number(&mut self.bytes, copied);
        (self.bytes.len() <= self.limit).then_some(())
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return usize::try_from(number).ok();
        }
    }
    None
}

/// Both texts begin with a difference: how much of each lies before the place from which they go on together. All of both, where
/// none is found in `looks`.
fn together_again(over: &[u8], text: &[u8], looks: &mut usize) -> (usize, usize) {
    // Mostly one value stands in the place of another of the same length.
    if let Some(place) = in_step(over, text, NEAR, looks) {
        return (place, place);
    }
    for ahead in AHEAD {
        let run = |of: &[u8]| of.get(ahead..).and_then(|of| of.first_chunk::<RUN>()).copied();
        let found = run(text).and_then(|run| Some((nearest(over, &run, ahead, looks)?, ahead)));
        let found = found.or_else(|| Some((ahead, nearest(text, &run(over)?, ahead, looks)?)));
        if let Some((passed, put)) = found {
            let same = over[..passed].iter().rev().zip(text[..put].iter().rev());
            let same = same.take_while(|(before, now)| before == now).count();
            return (passed - same, put - same);
        }
    }
    in_step(over, text, REACH, looks).map_or((over.len(), text.len()), |place| (place, place))
}

/// The place from which both go on together, the same in both.
fn in_step(over: &[u8], text: &[u8], reach: usize, looks: &mut usize) -> Option<usize> {
    let mut same = 0;
    let reach = reach.min(*looks).min(over.len()).min(text.len());
    for (at, (before, now)) in over.iter().zip(text).take(reach).enumerate() {
        same = if before == now { same + 1 } else { 0 };
        if same == RUN {
            *looks -= at;
            return Some(at + 1 - RUN);
        }
    }
    *looks -= reach;
    None
}

/// Where the run stands in a text, as near as can be to a place.
fn nearest(text: &[u8], run: &[u8; RUN], place: usize, looks: &mut usize) -> Option<usize> {
    let stands = |at: usize| text.get(at..).and_then(|text| text.first_chunk()) == Some(run);
    let reach = REACH.min(*looks / 2).min(text.len());
    for far in 0..reach {
        let found = if stands(place + far) { Some(place + far) } else { None };
        let found = found.or_else(|| place.checked_sub(far).filter(|at| stands(*at)));
        if found.is_some() {
            *looks -= 2 * far;
            return found;
        }
    }
    *looks -= 2 * reach;
    None
}

fn equal_front(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let at = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

fn equal_tail(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK));
    let tail = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - tail], &b[..b.len() - tail]);
    tail + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A large reply; `value` is what stands in some of its places.
    fn reply(value: impl Fn(u32) -> u32) -> Vec<u8> {
        let cell = |n: u32| format!("<cell><id>{n}</id><power>{}</power><pci>7</pci></cell>\n", value(n));
        (0..2_000).map(cell).collect::<String>().into_bytes()
    }

    #[test]
    fn a_few_other_values_cost_a_few_bytes_whatever_their_lengths() {
        let before = reply(|n| n);
        for others in [
            [(3, 4), (900, 901), (1_999, 1_998)],
            [(3, 12_345), (900, 1), (1_999, 0)],
            [(0, 1_000_000), (1, 1_000_000), (1_000, 2)],
        ] {
            let now = reply(|n| others.iter().find(|(at, _)| *at == n).map_or(n, |(_, other)| *other));
            let delta = encode(&before, &now, now.len() / 32).unwrap();
            assert!(delta.len() < 100, "{}", delta.len());
            assert_eq!(decode(&before, &delta, now.len()).unwrap(), now);
        }
    }

    #[test]
    fn many_values_of_other_lengths_in_a_short_text_cost_themselves() {
        let text = |attributes: u64, value: &dyn Fn(u64) -> u64| -> Vec<u8> {
            let pairs: Vec<String> =
                (0..attributes).map(|n| format!(r#"["attribute{n}","{}"]"#, value(n))).collect();
            format!("[{}]", pairs.join(",")).into_bytes()
        };
        for (attributes, changed) in [(10, 2), (60, 8), (300, 40)] {
            let before = text(attributes, &|n| n * n);
            let step = attributes / changed;
            let now = text(attributes, &|n| if n % step == 0 { n * 1_000 + 7 } else { n * n });
            let delta = encode(&before, &now, now.len()).unwrap();
            // Passed over, put in, copied, and what is put in.
            let most = 2 + 14 * (attributes.div_ceil(step) as usize);
            assert!(delta.len() <= most, "{attributes}: {} of {}, at most {most}", delta.len(), now.len());
            assert_eq!(decode(&before, &delta, now.len()).unwrap(), now);
        }
    }

    #[test]
    fn a_part_that_came_or_went_costs_itself_or_nothing() {
        let long = reply(|n| n);
        let mut short = long.clone();
        short.drain(30_000..31_000);
        short.drain(60_000..60_100);
        let delta = encode(&long, &short, short.len() / 32).unwrap();
        assert!(delta.len() < 50, "{}", delta.len());
        assert_eq!(decode(&long, &delta, short.len()).unwrap(), short);
        let delta = encode(&short, &long, long.len() / 32).unwrap();
        assert!(delta.len() < 1_250, "{}", delta.len());
        assert_eq!(decode(&short, &delta, long.len()).unwrap(), long);
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_given_up() {
        let (one, other) = (vec![b'a'; 1 << 20], (0..1 << 20).map(|n| n as u8 | 1).collect::<Vec<_>>());
        assert_eq!(encode(&one, &other, other.len() / 32), None);
        assert_eq!(encode(&other, &one, one.len() / 32), None);
        assert_eq!(encode(b"", b"", 0), None);
        assert_eq!(decode(b"", &encode(b"", b"", 9).unwrap(), 0).unwrap(), b"");
    }

    /// A text and one that some edits made of it.
    fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        // Few letters, so that runs stand in many places.
        let text = prop::collection::vec(0..3u8, 0..3_000);
        let edit = (any::<prop::sample::Index>(), 0..200usize, prop::collection::vec(0..3u8, 0..200));
        (text, prop::collection::vec(edit, 0..8)).prop_map(|(text, edits)| {
            let mut now = text.clone();
            for (at, gone, put) in edits {
                let at = at.index(now.len() + 1);
                now.splice(at..(at + gone).min(now.len()), put);
            }
            (text, now)
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_over_a_text_decodes_over_it((over, text) in related(), limit in 0..4_000usize) {
            if let Some(delta) = encode(&over, &text, limit) {
                prop_assert!(delta.len() <= limit && is_one(&delta));
                prop_assert_eq!(decode(&over, &delta, text.len()).unwrap(), text.clone());
                prop_assert!(decode(&over, &delta, text.len() + 1).is_err());
            }
            let whole = encode(&over, &text, usize::MAX).unwrap();
            prop_assert_eq!(decode(&over, &whole, text.len()).unwrap(), text);
        }

        #[test]
        fn any_two_texts_round_trip(
            over in prop::collection::vec(any::<u8>(), 0..500),
            text in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let delta = encode(&over, &text, usize::MAX).unwrap();
            prop_assert_eq!(decode(&over, &delta, text.len()).unwrap(), text);
        }

        #[test]
        fn a_damaged_difference_is_an_error_or_a_text_of_the_stated_length(
            (over, text) in related(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<bool>(),
        ) {
            let mut delta = encode(&over, &text, usize::MAX).unwrap();
            let at = at.index(delta.len());
            delta[at] = byte;
            delta.truncate(if cut { at } else { delta.len() });
            if let Ok(read) = decode(&over, &delta, text.len()) {
                prop_assert_eq!(read.len(), text.len());
            }
        }

        #[test]
        fn foreign_bytes_are_no_panic(
            over in prop::collection::vec(any::<u8>(), 0..100),
            mut bytes in prop::collection::vec(any::<u8>(), 1..100),
            length in any::<usize>(),
        ) {
            bytes[0] = MARK;
            if let Ok(text) = decode(&over, &bytes, length) {
                prop_assert_eq!(text.len(), length);
            }
        }
    }
}
