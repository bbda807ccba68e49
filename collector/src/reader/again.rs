//! Reading a reply of which most is what the station's last one said: objects whose bytes and surroundings are the same are
//! taken over, not read.
//!
//! What an element means follows from its own bytes and the start tags around it: from them come namespaces, the schema's node
//! and whether it stands among objects. So each object without objects in it is kept as a *piece*: where its bytes lay, and
//! inside which start tags, its *context*. The next reply's pieces are sought in the same order. One that is not where it is
//! expected is read as ever; nothing depends on finding them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use model::{Dn, Finding, Interpretation, Object, Snapshot};

use super::findings::BYTE;
use super::{ReadContext, ReadLimits};

/// Contexts of one document; a station has some dozens. Objects in others are read each time.
const MAX_CONTEXTS: usize = 4096;

/// Bytes of a start tag that may be part of a context.
const MAX_TAG: usize = 1024;

/// Pieces tried at one place: so many objects in a row may be gone before the others are read anew.
const WINDOW: usize = 8;

/// Documents above it are read whole each time: places are kept in 32 bits.
const MAX_BYTES: usize = u32::MAX as usize;

/// What a document was read to, to read the station's next one by.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    pub bytes: &'a [u8],
    pub pieces: &'a Pieces,
}

/// Which bytes of a document gave which object.
#[derive(Debug, Clone)]
pub struct Pieces {
    read_as: Arc<ReadAs>,
    contexts: Arc<Contexts>,
    /// The namespaces that pieces declare.
    spaces: Arc<Vec<Arc<[Box<str>]>>>,
    /// In document order.
    pub(super) list: Vec<Piece>,
    /// The same of objects with others in them.
    pub(super) shells: Vec<Shell>,
    /// What the document was read to.
    pub(super) snapshot: Snapshot,
    /// What the whole document counts against the limits.
    pub(super) spent: Spent,
}

/// Everything beside its bytes that a document's meaning follows from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ReadAs {
    pub interpretation: Interpretation,
    prefix: Dn,
    namespaces: Vec<(String, String)>,
    secret_key: Option<[u8; 32]>,
    fills: bool,
    limits: ReadLimits,
}

impl ReadAs {
    pub fn of(context: &ReadContext<'_>) -> ReadAs {
        ReadAs {
            interpretation: context.interpretation(),
            prefix: context.prefix.clone(),
            namespaces: context.namespaces.to_vec(),
            secret_key: context.secret_key,
            fills: context.fills,
            limits: context.limits,
        }
    }
}

impl fmt::Debug for ReadAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAs")
            .field("prefix", &self.prefix)
            .field("secret_key", &self.secret_key.map(|_| "hidden"))
            .finish_non_exhaustive()
    }
}

/// An object without objects in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub start: u32,
    pub end: u32,
    pub context: u32,
    pub spent: Spent,
    /// The namespaces declared in it, by their place among those of all pieces.
    spaces: u32,
    /// Its object's place in the snapshot.
    pub rank: u32,
}

/// What an object with others in it says of itself: its element up to the end of its `attributes`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shell {
    pub start: u32,
    /// Where its start tag ends, which is part of what the objects in it mean.
    pub inside: u32,
    pub end: u32,
    pub context: u32,
    pub rank: u32,
}

/// What reading counts against the limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub nodes: usize,
    pub memory: usize,
}

/// What reading a piece costs.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    pub spent: Spent,
    /// The namespaces declared in it.
    pub spaces: Arc<[Box<str>]>,
}

/// A piece found again.
pub(super) struct Found<'e> {
    pub object: &'e Arc<Object>,
    pub rank: u32,
    pub spent: Spent,
    pub spaces: &'e [Box<str>],
}

/// A chain of start tags, by its number in the last document and in this one; `None` where it is not known, or too many are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    last: Option<u32>,
    now: Option<u32>,
}

/// Around everything.
pub(super) const TOP: Context = Context { last: Some(0), now: Some(0) };

/// Nothing in it is an object.
pub(super) const NOWHERE: Context = Context { last: None, now: None };

/// Start tags by what is around them, numbered from 1.
#[derive(Debug, Clone, Default)]
struct Contexts(HashMap<(u32, Box<[u8]>), u32>);

impl Contexts {
    fn find(&self, around: Option<u32>, tag: &[u8]) -> Option<u32> {
        self.0.get(&(around?, Box::from(tag))).copied()
    }

    fn enter(&mut self, around: Option<u32>, tag: &[u8]) -> Option<u32> {
        let next = u32::try_from(self.0.len()).ok()?.checked_add(1)?;
        let full = self.0.len() >= MAX_CONTEXTS || tag.len() > MAX_TAG;
        match self.0.entry((around?, Box::from(tag))) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(new) => Some(*new.insert(next)),
        }
    }

    fn size(&self) -> usize {
        self.0.keys().map(|(_, tag)| tag.len() + size_of::<(u32, Box<[u8]>, u32)>()).sum()
    }
}

/// A piece of the document under way: its object is named when the document ends.
struct Draft {
    start: usize,
    end: usize,
    context: u32,
    cost: Cost,
    /// Its place among the drafts.
    draft: usize,
}

/// A shell likewise.
struct ShellDraft {
    range: [usize; 3],
    context: u32,
    draft: usize,
}

/// Finds pieces of the last document in this one, and notes those of the next.
pub(super) struct Again<'e> {
    earlier: Option<Earlier<'e>>,
    /// The piece expected next, and the objects read since the last one was found: they may be what became of as many.
    next: usize,
    missed: usize,
    noted: Noted,
}

/// What there is to be found of a document in the next one.
#[derive(Default)]
pub(super) struct Noted {
    contexts: Contexts,
    drafts: Vec<Draft>,
    shells: Vec<ShellDraft>,
}

impl<'e> Again<'e> {
    pub fn new(earlier: Option<Earlier<'e>>) -> Again<'e> {
        Again { earlier, next: 0, missed: 0, noted: Noted::default() }
    }

    /// The context inside a start tag.
    pub fn inside(&mut self, around: Context, tag: &[u8]) -> Context {
        let last = self.earlier.and_then(|earlier| earlier.pieces.contexts.find(around.last, tag));
        Context { last, now: self.noted.contexts.enter(around.now, tag) }
    }

    /// The piece that the document has at `at`, which becomes one of this document, and its length.
    pub fn take(
        &mut self,
        context: Context,
        text: &[u8],
        at: usize,
        draft: usize,
    ) -> Option<(Found<'e>, usize)> {
        let Earlier { bytes, pieces } = self.earlier?;
        let rest = text.get(at..).filter(|_| context.last.is_some())?;
        let ahead = (0..WINDOW).chain((self.missed >= WINDOW).then_some(self.missed));
        let candidates = ahead.map(|ahead| self.next + ahead);
        let found = candidates.filter_map(|place| Some((place, pieces.list.get(place)?))).find_map(
            |(place, piece)| {
                let lay = bytes.get(piece.start as usize..piece.end as usize)?;
                (Some(piece.context) == context.last && rest.starts_with(lay)).then_some((
                    place,
                    piece,
                    lay.len(),
                ))
            },
        );
        let (place, piece, length) = found?;
        let object = pieces.snapshot.objects().get(piece.rank as usize)?;
        let spaces = pieces.spaces.get(piece.spaces as usize)?;
        (self.next, self.missed) = (place + 1, 0);
        let cost = Cost { spent: piece.spent, spaces: Arc::clone(spaces) };
        self.add((at, at + length), context, cost, draft);
        Some((Found { object, rank: piece.rank, spent: piece.spent, spaces }, length))
    }

    /// The element that was read from `start` to `end` is one object, and there is nothing to be said of it.
    pub fn note(&mut self, range: (usize, usize), context: Context, cost: Cost, draft: usize) {
        self.missed += 1;
        let shared = self.noted.drafts.last().map(|last| &last.cost.spaces);
        let shared = shared.filter(|spaces| **spaces == cost.spaces).map(Arc::clone);
        let spaces = shared.unwrap_or(cost.spaces);
        self.add(range, context, Cost { spaces, ..cost }, draft);
    }

    /// The element whose start tag and `attributes` are at these places is one object with others in it.
    pub fn note_shell(&mut self, range: [usize; 3], context: Context, draft: usize) {
        if let Some(context) = context.now.filter(|_| range[2] <= MAX_BYTES) {
            self.noted.shells.push(ShellDraft { range, context, draft });
        }
    }

    fn add(&mut self, (start, end): (usize, usize), context: Context, cost: Cost, draft: usize) {
        if let Some(context) = context.now.filter(|_| end <= MAX_BYTES) {
            self.noted.drafts.push(Draft { start, end, context, cost, draft });
        }
    }

    pub fn into_noted(self) -> Noted {
        self.noted
    }
}

impl Noted {
    /// The pieces of this document, which was read to `snapshot`; `ranks` are the places of its drafts there.
    pub fn finish(self, read_as: ReadAs, snapshot: Snapshot, ranks: &[u32], spent: Spent) -> Pieces {
        let mut spaces: Vec<Arc<[Box<str>]>> = Vec::new();
        let mut list = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            // Mostly those of the piece before, and then in the same place of memory.
            if spaces.last().is_none_or(|last| !Arc::ptr_eq(last, &draft.cost.spaces)) {
                spaces.push(draft.cost.spaces);
            }
            let narrow = |number: usize| u32::try_from(number).ok();
            let place = (narrow(draft.start), narrow(draft.end), narrow(spaces.len() - 1));
            let (Some(start), Some(end), Some(spaces)) = place else { continue };
            let Some(rank) = ranks.get(draft.draft).copied() else { continue };
            list.push(Piece { start, end, context: draft.context, spent: draft.cost.spent, spaces, rank });
        }
        let shell = |ShellDraft { range, context, draft }: &ShellDraft| {
            let [start, inside, end] = range.map(u32::try_from);
            let (start, inside, end) = (start.ok()?, inside.ok()?, end.ok()?);
            Some(Shell { start, inside, end, context: *context, rank: *ranks.get(*draft)? })
        };
        let mut shells: Vec<Shell> = self.shells.iter().filter_map(shell).collect();
        shells.sort_unstable_by_key(|shell| shell.start);
        let (read_as, contexts, spaces) = (Arc::new(read_as), Arc::new(self.contexts), Arc::new(spaces));
        Pieces { read_as, contexts, spaces, list, shells, snapshot, spent }
    }

    /// The draft of the only piece, if it lies there.
    pub fn only(mut self, range: (usize, usize)) -> Option<(usize, Cost)> {
        let draft = self.drafts.pop().filter(|draft| (draft.start, draft.end) == range)?;
        self.drafts.is_empty().then_some((draft.draft, draft.cost))
    }
}

impl Pieces {
    /// Whether a document that is read so means what this one meant.
    pub(super) fn fit(&self, read_as: &ReadAs) -> bool {
        *self.read_as == *read_as
    }

    /// The start tags that a context is made of, the outermost first.
    pub(super) fn tags(&self, mut context: u32) -> Option<Vec<&[u8]>> {
        let mut tags = Vec::new();
        while context != 0 {
            let ((around, tag), _) = self.contexts.0.iter().find(|(_, number)| **number == context)?;
            tags.push(&**tag);
            context = *around;
        }
        tags.reverse();
        Some(tags)
    }

    /// What reading a piece cost.
    pub(super) fn cost(&self, piece: &Piece) -> Option<Cost> {
        Some(Cost { spent: piece.spent, spaces: Arc::clone(self.spaces.get(piece.spaces as usize)?) })
    }

    /// What was said of the document, if none of it names a place that another length would move.
    pub(super) fn lasting_findings(&self) -> Option<Vec<Finding>> {
        let findings = self.snapshot.findings();
        let moves = findings.iter().any(|finding| finding.place.starts_with(BYTE));
        (!moves).then(|| findings.to_vec())
    }

    /// The same of a document that differs in some pieces alone.
    pub(super) fn with(
        &self,
        list: Vec<Piece>,
        shells: Vec<Shell>,
        snapshot: Snapshot,
        spent: Spent,
    ) -> Pieces {
        let (read_as, contexts) = (Arc::clone(&self.read_as), Arc::clone(&self.contexts));
        Pieces { read_as, contexts, spaces: Arc::clone(&self.spaces), list, shells, snapshot, spent }
    }

    /// Bytes of memory, roughly, without the objects.
    pub fn size(&self) -> usize {
        let declared = |spaces: &Arc<[Box<str>]>| -> usize {
            spaces.iter().map(|space| space.len() + size_of::<Box<str>>()).sum()
        };
        let declared: usize = self.spaces.iter().map(declared).sum();
        let places = self.list.len() * size_of::<Piece>() + self.shells.len() * size_of::<Shell>();
        self.contexts.size() + places + declared + size_of_val(self.snapshot.objects())
    }
}
