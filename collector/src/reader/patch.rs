//! Reading a reply that differs from the station's last one inside some objects alone, which is what most changes are.
//!
//! Where all bytes outside of some pieces and shells are the same, so are all objects but those of these, and each of them is
//! read by itself: as a document of the start tags around it, its element, and the end tags. What it may become is what it
//! was, with other attributes: of the same name, declaring the same namespaces, without a word to be said of it. Everything
//! else is read the long way, which says the same of what is read here.
//!
//! A shell is only part of its object's element. Nothing in the rest of it was part of the object but what stands in it, or it
//! were none (`xml.rs`), and the rest is the same. What its last text gives by itself must be the object that it was.

use std::sync::Arc;

use memchr::memmem;
use model::{Object, Snapshot};

use super::again::{Again, Cost, Earlier, Piece, Pieces, Shell};
use super::{ReadContext, objects, xml};

/// Objects that differ; of more the long way costs little more.
const MAX_CHANGED: usize = 64;

/// Bytes that are compared at once before the place where they differ is sought.
const BLOCK: usize = 512;

#[derive(Clone, Copy)]
enum What {
    /// By its place among all.
    Piece(usize),
    Shell(usize),
}

/// Where an object's bytes lay and lie.
struct Changed {
    what: What,
    then: (usize, usize),
    now: (usize, usize),
}

/// An object read anew, and what reading it cost before and costs now.
struct Renewed {
    rank: u32,
    object: Object,
    before: Cost,
    after: Cost,
}

/// The snapshot of the document and what to read the next one by; `None` where it must be read the long way.
pub(super) fn read(
    bytes: &[u8],
    context: &ReadContext<'_>,
    earlier: Earlier<'_>,
) -> Option<(Snapshot, Pieces)> {
    let pieces = earlier.pieces;
    let findings = pieces.lasting_findings()?;
    let changed = changed(earlier, bytes)?;
    let (mut list, shells) = moved(pieces, &changed)?;
    let mut spent = pieces.spent;
    let mut objects = Vec::with_capacity(changed.len());
    for change in &changed {
        let Renewed { rank, object, before, after } = renew(change, bytes, context, earlier)?;
        if before.spaces != after.spaces {
            return None;
        }
        spent.nodes = (spent.nodes + after.spent.nodes).checked_sub(before.spent.nodes)?;
        spent.memory = (spent.memory + after.spent.memory).checked_sub(before.spent.memory)?;
        if let What::Piece(place) = change.what {
            list.get_mut(place)?.spent = after.spent;
        }
        objects.push((rank as usize, Arc::new(object)));
    }
    // What is over a limit is told by the long way, with its place.
    if spent.nodes > context.limits.nodes || spent.memory > context.limits.memory {
        return None;
    }
    let snapshot = pieces.snapshot.with(&objects, findings)?;
    Some((snapshot.clone(), pieces.with(list, shells, snapshot, spent)))
}

fn renew(
    change: &Changed,
    bytes: &[u8],
    context: &ReadContext<'_>,
    Earlier { bytes: earlier, pieces }: Earlier<'_>,
) -> Option<Renewed> {
    let now = bytes.get(change.now.0..change.now.1)?;
    match change.what {
        What::Piece(place) => {
            let piece = pieces.list.get(place)?;
            let (rank, before) = (piece.rank, pieces.cost(piece)?);
            let (object, after) = one(now, context, pieces, (piece.context, rank), None)?;
            Some(Renewed { rank, object, before, after })
        }
        What::Shell(place) => {
            let shell = pieces.shells.get(place)?;
            let (rank, then) = (shell.rank, earlier.get(change.then.0..change.then.1)?);
            let alone =
                |element| one(element, context, pieces, (shell.context, rank), Some(end_tag(element)?));
            let ((old, before), (object, after)) = (alone(then)?, alone(now)?);
            let is_all = **pieces.snapshot.objects().get(rank as usize)? == old;
            is_all.then_some(Renewed { rank, object, before, after })
        }
    }
}

/// All pieces and shells where they lie now.
fn moved(pieces: &Pieces, changed: &[Changed]) -> Option<(Vec<Piece>, Vec<Shell>)> {
    let moves = Moves::of(changed)?;
    let mut list = pieces.list.clone();
    for piece in &mut list {
        (piece.start, piece.end) = (moves.moved(piece.start)?, moves.moved(piece.end)?);
    }
    let mut shells = pieces.shells.clone();
    for shell in &mut shells {
        shell.start = moves.moved(shell.start)?;
        (shell.inside, shell.end) = (moves.moved(shell.inside)?, moves.moved(shell.end)?);
    }
    Some((list, shells))
}

/// Reads one element as the object that has this place in the snapshot, with the start tags around it. `end`: its own end
/// tag where it lacks it.
fn one(
    element: &[u8],
    context: &ReadContext<'_>,
    pieces: &Pieces,
    (around, rank): (u32, u32),
    end: Option<Vec<u8>>,
) -> Option<(Object, Cost)> {
    let dn = pieces.snapshot.objects().get(rank as usize)?.dn();
    let around = pieces.tags(around)?;
    let mut document = around.concat();
    let start = document.len();
    document.extend_from_slice(element);
    document.extend(end.into_iter().flatten());
    let range = (start, document.len());
    for tag in around.iter().rev() {
        document.extend(end_tag(tag)?);
    }
    let (built, again) = xml::read(&document, context, Some(Again::new(None))).ok()?;
    // Whatever was said outside of it is of the tags without their other content.
    let (draft, cost) = again?.into_noted().only(range)?;
    Some((objects::one(built, draft, dn, context)?, cost))
}

/// The objects that differ, if nothing else does.
fn changed(Earlier { bytes: before, pieces }: Earlier<'_>, now: &[u8]) -> Option<Vec<Changed>> {
    let mut changed: Vec<Changed> = Vec::new();
    let (mut then, mut at, mut next) = (0, 0, 0);
    loop {
        let synced = then;
        let same = common(before.get(then..)?, now.get(at..)?);
        (then, at) = (then + same, at + same);
        if then == before.len() && at == now.len() {
            return Some(changed);
        }
        next += pieces.list.get(next..)?.iter().take_while(|piece| piece.end as usize <= then).count();
        let (what, old) = at_place(pieces, next, then)?;
        if old.0 < synced || changed.len() >= MAX_CHANGED {
            return None;
        }
        let start = at - (then - old.0);
        let tag = match what {
            What::Piece(_) => end_tag(now.get(start..)?)?,
            What::Shell(_) => {
                let element = before.get(old.0..old.1)?;
                element.get(memmem::rfind(element, b"</")?..)?.to_vec()
            }
        };
        let end = end_of(now, start, at, &tag)?;
        changed.push(Changed { what, then: old, now: (start, end) });
        (then, at) = (old.1, end);
    }
}

/// The piece, from the `next`th on, or the shell inside which this place is, and where that lay.
fn at_place(pieces: &Pieces, next: usize, place: usize) -> Option<(What, (usize, usize))> {
    if let Some(piece) = pieces.list.get(next).filter(|piece| (piece.start as usize) < place) {
        return Some((What::Piece(next), (piece.start as usize, piece.end as usize)));
    }
    let shell = pieces.shells.partition_point(|shell| shell.inside as usize <= place).checked_sub(1)?;
    let found = pieces.shells.get(shell).filter(|shell| place < shell.end as usize)?;
    Some((What::Shell(shell), (found.start as usize, found.end as usize)))
}

/// Where this end tag ends, if no other such ends first; the element that began at `start` goes on until `at` at least.
fn end_of(bytes: &[u8], start: usize, at: usize, tag: &[u8]) -> Option<usize> {
    // The difference may lie in the end tag itself.
    let from = at.saturating_sub(tag.len()).max(start);
    let found = memmem::find(bytes.get(from..)?, tag)?;
    Some(from + found + tag.len())
}

/// The end tag that a start tag wants.
fn end_tag(tag: &[u8]) -> Option<Vec<u8>> {
    let rest = tag.strip_prefix(b"<")?;
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'))?;
    Some([b"</", rest.get(..end)?, b">"].concat())
}

/// How many bytes two texts have in common at their beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    let blocks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
    let same = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let rest = one.iter().zip(other).skip(same);
    same + rest.take_while(|(one, other)| one == other).count()
}

/// How far what follows each change has moved.
struct Moves(Vec<(u32, i32)>);

impl Moves {
    fn of(changed: &[Changed]) -> Option<Moves> {
        let shift = |change: &Changed| {
            let (then, now) = (u32::try_from(change.then.1).ok()?, u32::try_from(change.now.1).ok()?);
            Some((then, i32::try_from(i64::from(now) - i64::from(then)).ok()?))
        };
        changed.iter().map(shift).collect::<Option<_>>().map(Moves)
    }

    fn moved(&self, place: u32) -> Option<u32> {
        let before = self.0.partition_point(|(end, _)| *end <= place);
        let shift = before.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, shift)| *shift);
        place.checked_add_signed(shift)
    }
}

#[cfg(test)]
mod tests {
    use model::{Dn, Profile};

    use super::*;
    use crate::reader::{read_xml, read_xml_again};

    const BEFORE: &str = "<data xmlns=\"urn:d\">\n<M><id>1</id>\n<attributes><a>1</a></attributes>\n\
        <C><id>1</id><attributes><a>1</a></attributes></C>\n\
        <C><id>2</id><attributes><a>22</a><n:b xmlns:n=\"urn:n\">2</n:b></attributes></C>\n\
        <C><id>3</id><attributes><a>3</a></attributes></C>\n\
        <G><id>4</id><attributes><g>44</g></attributes>\n<C><id>5</id><attributes><a>3</a></attributes></C></G>\n\
        <H><id>6</id><attributes><g>66</g></attributes><h>5</h><C><id>5</id><attributes><a>3</a></attributes></C></H></M>\n</data>";

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
        read(now.as_bytes(), &context, earlier).is_some()
    }

    #[test]
    fn other_attributes_of_objects_are_read_by_themselves() {
        for (from, to) in [
            ("<a>22</a>", "<a>23</a>"),
            ("<a>22</a>", "<a>longer</a>"),
            ("<a>22</a>", ""),
            ("<a>22</a>", "<a>22</a><c/><d>&amp;</d>"),
            ("<id>3</id>", "<id> 3\n</id>"),
            ("<g>44</g>", "<g>5</g>"),
            ("<g>44</g>", "<g>44</g><i>2</i>"),
            ("<id>4</id>", "<id> 4 </id>"),
        ] {
            assert!(is_patched(&BEFORE.replace(from, to)), "{to}");
        }
        let two = BEFORE.replace("<g>44</g>", "<g>4</g>").replace("<a>3</a>", "<a>333</a>");
        assert!(is_patched(&two));
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
            ("</C></G>", "</C ></G>"),
            ("<G>", "<G a=\"\">"),
            ("<G><id>4</id>", "<G><id>7</id>"),
            // It says more of itself than its `attributes`.
            ("<g>66</g>", "<g>5</g>"),
            ("<h>5</h>", "<h>6</h>"),
            // Not one object without others any more.
            ("<a>22</a>", "<a>22</a></attributes><D><id>1</id></D><attributes>"),
            ("<a>22</a>", "<a>22</a></attributes></C><C><id>5</id><attributes>"),
            ("<a>22</a>", "<C>2</C>"),
            ("<g>44</g>", "<g>44</g></attributes><attributes>"),
            ("<g>44</g>", "<g>44</g></attributes></G><G><id>9</id><attributes>"),
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
