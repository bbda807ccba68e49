//! Reading a reply that differs from the station's last one inside some objects alone, which is what most changes are.
//!
//! Where all bytes outside of some pieces are the same, so are all objects but those of these pieces, and each of them is
//! read by itself: as a document of the start tags around it, its element, and the end tags. What it may become is what it
//! was, with other attributes: of the same name, declaring the same namespaces, without a word to be said of it. Everything
//! else is read the long way, which says the same of what is read here.

use std::sync::Arc;

use memchr::memmem;
use model::{Object, Snapshot};

use super::again::{Again, Cost, Earlier, Piece, Pieces, ReadAs, Spent};
use super::{ReadContext, objects, xml};

/// Pieces that differ; of more the long way costs little more.
const MAX_CHANGED: usize = 64;

/// Bytes that are compared at once before the place where they differ is sought.
const BLOCK: usize = 512;

/// A piece that differs: its place among all, and where it lies now.
struct Changed {
    place: usize,
    start: usize,
    end: usize,
}

/// The snapshot of the document and what to read the next one by; `read_as` back where it must be read the long way.
pub(super) fn read(
    bytes: &[u8],
    context: &ReadContext<'_>,
    earlier: Earlier<'_>,
    read_as: ReadAs,
) -> Result<(Snapshot, Pieces), ReadAs> {
    match patched(bytes, context, earlier) {
        Some((snapshot, list, spent)) => {
            let pieces = earlier.pieces.with(read_as, list, snapshot.clone(), spent);
            Ok((snapshot, pieces))
        }
        None => Err(read_as),
    }
}

fn patched(
    bytes: &[u8],
    context: &ReadContext<'_>,
    Earlier { bytes: before, pieces }: Earlier<'_>,
) -> Option<(Snapshot, Vec<Piece>, Spent)> {
    let findings = pieces.lasting_findings()?;
    let changed = changed(before, bytes, &pieces.list)?;
    let mut spent = pieces.spent;
    let mut renewed = Vec::with_capacity(changed.len());
    let mut list = moved(&pieces.list, &changed)?;
    for Changed { place, start, end } in changed {
        let piece = list.get_mut(place)?;
        let (object, cost) = renew(bytes.get(start..end)?, context, pieces, piece)?;
        spent.nodes = (spent.nodes + cost.spent.nodes).checked_sub(piece.spent.nodes)?;
        spent.memory = (spent.memory + cost.spent.memory).checked_sub(piece.spent.memory)?;
        piece.spent = cost.spent;
        renewed.push((piece.rank as usize, Arc::new(object)));
    }
    // What is over a limit is told by the long way, with its place.
    if spent.nodes > context.limits.nodes || spent.memory > context.limits.memory {
        return None;
    }
    Some((pieces.snapshot.with(&renewed, findings)?, list, spent))
}

/// Reads one piece with the start tags around it.
fn renew(
    element: &[u8],
    context: &ReadContext<'_>,
    pieces: &Pieces,
    piece: &Piece,
) -> Option<(Object, Cost)> {
    let before = pieces.snapshot.objects().get(piece.rank as usize)?;
    let around = pieces.around(piece)?;
    let mut document = around.concat();
    let start = document.len();
    document.extend_from_slice(element);
    let range = (start, document.len());
    for tag in around.iter().rev() {
        document.extend_from_slice(&[b"</", name(tag)?, b">"].concat());
    }
    let (built, again) = xml::read(&document, context, Some(Again::new(None))).ok()?;
    let (draft, cost) = again?.into_noted().only(range)?;
    // Whatever was said outside of it is of the tags without their other content.
    let object = objects::one(built, draft, before.dn(), context)?;
    pieces.declares(piece, &cost).then_some((object, cost))
}

/// The pieces that differ, if nothing else does.
fn changed(before: &[u8], now: &[u8], list: &[Piece]) -> Option<Vec<Changed>> {
    let mut changed = Vec::new();
    let (mut then, mut at, mut place) = (0, 0, 0);
    loop {
        let same = common(before.get(then..)?, now.get(at..)?);
        (then, at) = (then + same, at + same);
        if then == before.len() && at == now.len() {
            return Some(changed);
        }
        while list.get(place)?.end as usize <= then {
            place += 1;
        }
        let piece = list.get(place)?;
        let inside = then.checked_sub(piece.start as usize).filter(|inside| *inside > 0)?;
        let start = at - inside;
        let end = end_of(now, start, at)?;
        if changed.len() >= MAX_CHANGED {
            return None;
        }
        changed.push(Changed { place, start, end });
        (then, at, place) = (piece.end as usize, end, place + 1);
    }
}

/// Where the element that begins at `start` ends, if no other of its name ends first; it goes on until `at` at least.
fn end_of(bytes: &[u8], start: usize, at: usize) -> Option<usize> {
    let end_tag = [b"</", name(bytes.get(start..)?)?, b">"].concat();
    // The difference may lie in the end tag itself.
    let from = at.saturating_sub(end_tag.len()).max(start);
    let found = memmem::find(bytes.get(from..)?, &end_tag)?;
    Some(from + found + end_tag.len())
}

/// The name in a start tag, as written.
fn name(tag: &[u8]) -> Option<&[u8]> {
    let rest = tag.strip_prefix(b"<")?;
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'))?;
    rest.get(..end)
}

/// How many bytes two texts have in common at their beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    let blocks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
    let same = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let rest = one.iter().zip(other).skip(same);
    same + rest.take_while(|(one, other)| one == other).count()
}

/// All pieces where they lie now.
fn moved(list: &[Piece], changed: &[Changed]) -> Option<Vec<Piece>> {
    let mut list = list.to_vec();
    let mut shift = 0;
    let mut changed = changed.iter().peekable();
    for (place, piece) in list.iter_mut().enumerate() {
        piece.start = piece.start.checked_add_signed(shift)?;
        if let Some(change) = changed.next_if(|change| change.place == place) {
            let end = u32::try_from(change.end).ok()?;
            shift = i32::try_from(i64::from(end) - i64::from(piece.end)).ok()?;
            piece.end = end;
        } else {
            piece.end = piece.end.checked_add_signed(shift)?;
        }
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use model::{Dn, Profile};

    use super::*;
    use crate::reader::{read_xml, read_xml_again};

    const BEFORE: &str = "<data xmlns=\"urn:d\">\n<M><id>1</id>\n<attributes><a>1</a></attributes>\n\
        <C><id>1</id><attributes><a>1</a></attributes></C>\n\
        <C><id>2</id><attributes><a>22</a><n:b xmlns:n=\"urn:n\">2</n:b></attributes></C>\n\
        <C><id>3</id><attributes><a>3</a></attributes></C></M>\n</data>";

    /// Whether the document is read by its differences; by whichever way it is read as it is alone.
    fn is_patched(now: &str) -> bool {
        let (profile, prefix): (_, Dn) = (Profile::plain("plain"), "M=1".parse().unwrap());
        let context = ReadContext::new(&profile, &prefix);
        let (_, pieces) = read_xml_again(BEFORE.as_bytes(), &context, None).unwrap();
        let earlier = Earlier { bytes: BEFORE.as_bytes(), pieces: &pieces };
        let again = read_xml_again(now.as_bytes(), &context, Some(earlier));
        let alone = read_xml(now.as_bytes(), &context);
        assert_eq!(again.as_ref().map(|(snapshot, _)| snapshot), alone.as_ref(), "{now}");
        if let Ok((snapshot, pieces)) = &again {
            // The next document after this one is read as after any other.
            let earlier = Earlier { bytes: now.as_bytes(), pieces };
            let back = read_xml_again(BEFORE.as_bytes(), &context, Some(earlier)).unwrap();
            assert_eq!(back.0, read_xml(BEFORE.as_bytes(), &context).unwrap(), "{now}");
            assert_eq!(snapshot.objects().len(), pieces.snapshot.objects().len());
        }
        patched(now.as_bytes(), &context, earlier).is_some()
    }

    #[test]
    fn other_attributes_of_objects_are_read_by_themselves() {
        for (from, to) in [
            ("<a>22</a>", "<a>23</a>"),
            ("<a>22</a>", "<a>longer</a>"),
            ("<a>22</a>", ""),
            ("<a>22</a>", "<a>22</a><c/><d>&amp;</d>"),
            ("<id>3</id>", "<id> 3\n</id>"),
            ("</C></M>", "</C ></M>"),
        ] {
            assert_eq!(is_patched(&BEFORE.replace(from, to)), !to.contains(" >"), "{to}");
        }
        let two = BEFORE.replace("<a>22</a>", "<a>5</a>").replace("<a>3</a>", "<a>333</a>");
        assert!(is_patched(&two) && is_patched(BEFORE));
    }

    #[test]
    fn whatever_else_differs_is_read_the_long_way() {
        for (from, to) in [
            // Around the objects, or another object.
            ("<M>", "<M >"),
            ("</C>\n<C><id>2", "</C><C><id>2"),
            ("<id>2</id>", "<id>4</id>"),
            ("<id>2</id>", "<id>1</id>"),
            ("<C><id>2", "<C><id>7</id></C>\n<C><id>2"),
            ("<C><id>2", "<D><id>2</id></D>\n<C><id>2"),
            ("<C><id>3</id><attributes><a>3</a></attributes></C>", ""),
            // Not one object without others any more.
            ("<a>22</a>", "<a>22</a></attributes><D><id>1</id></D><attributes>"),
            ("<a>22</a>", "<a>22</a></attributes></C><C><id>5</id><attributes>"),
            ("<a>22</a>", "<C>2</C>"),
            // There is something to be said of it, or it declares something else.
            ("<a>22</a>", "<a why=\"\">22</a>"),
            ("urn:n", "urn:o"),
            // Not well-formed.
            ("<a>22</a>", "<a>22<a>"),
            ("<a>22</a>", "<a>22</a><!-- </C>"),
            ("<a>22</a>", "<a>22</a>]]><b>&none;</b>"),
        ] {
            assert!(!is_patched(&BEFORE.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn what_texts_have_in_common_is_counted_to_the_byte() {
        let text: Vec<u8> = (0..2 * BLOCK + 7).map(|n| (n % 251) as u8).collect();
        for at in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 6] {
            let mut other = text.clone();
            other[at] ^= 1;
            assert_eq!(common(&text, &other), at);
            assert_eq!(common(&text, &text[..at]), at);
        }
        assert_eq!(common(&text, &text), text.len());
    }
}
