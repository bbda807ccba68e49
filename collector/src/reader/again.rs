//! Reading a reply of which most is what the station's last one said: objects whose bytes and surroundings are the same are
//! taken over, not read.
//!
//! What an element means follows from its own bytes and the start tags around it: from them come namespaces, the schema's node
//! and whether it stands among objects. So each object without objects in it is kept as a *piece*: where its bytes lay, and
//! inside which start tags, its *context*. The next reply's pieces are sought in the same order. One that is not where it is
//! expected is read as ever; nothing depends on finding them.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Dn, Interpretation, Object, Snapshot};

use super::{ReadContext, ReadLimits};

/// Contexts of one document; a station has some dozens. Objects in others are read each time.
const MAX_CONTEXTS: usize = 4096;

/// Pieces tried at one place: so many objects in a row may be gone before the others are read anew.
const WINDOW: usize = 8;

/// Documents above it are read whole each time: places are kept in 32 bits.
const MAX_BYTES: usize = u32::MAX as usize;

/// What a document was read to, to read the station's next one by.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    pub bytes: &'a [u8],
    pub snapshot: &'a Snapshot,
    pub pieces: &'a Pieces,
}

/// Which bytes of a document gave which object.
#[derive(Debug, Clone)]
pub struct Pieces {
    read_as: ReadAs,
    contexts: Contexts,
    /// In document order.
    list: Vec<Piece>,
}

/// Everything beside its bytes that a document's meaning follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// An object without objects in it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    start: u32,
    end: u32,
    context: Context,
    /// What it costs to read.
    pub nodes: usize,
    pub memory: usize,
    pub object: Arc<Object>,
    /// Its place in the snapshot.
    pub rank: u32,
}

/// A chain of start tags, by number; `None` where too many are known.
pub(super) type Context = Option<u32>;

/// Around everything.
pub(super) const TOP: Context = Some(0);

/// Start tags by what is around them.
#[derive(Debug, Clone, Default)]
struct Contexts(HashMap<(u32, Box<[u8]>), u32>);

impl Contexts {
    fn inside(&mut self, around: Context, tag: &[u8]) -> Context {
        let around = around?;
        let key = (around, Box::from(tag));
        if let Some(known) = self.0.get(&key) {
            return Some(*known);
        }
        let next = u32::try_from(self.0.len() + 1).ok().filter(|_| self.0.len() < MAX_CONTEXTS)?;
        self.0.insert(key, next);
        Some(next)
    }
}

/// A piece of the document under way: its object is named when the document ends.
struct Draft {
    start: usize,
    end: usize,
    context: Context,
    nodes: usize,
    memory: usize,
    /// Its place among the drafts.
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
}

impl<'e> Again<'e> {
    pub fn new(earlier: Option<Earlier<'e>>) -> Again<'e> {
        let contexts = earlier.map(|earlier| earlier.pieces.contexts.clone()).unwrap_or_default();
        Again { earlier, next: 0, missed: 0, noted: Noted { contexts, drafts: Vec::new() } }
    }

    /// The context inside a start tag.
    pub fn inside(&mut self, around: Context, tag: &[u8]) -> Context {
        self.noted.contexts.inside(around, tag)
    }

    /// The piece that the document has at `at`, which becomes one of this document, and its length.
    pub fn take(
        &mut self,
        context: Context,
        text: &[u8],
        at: usize,
        draft: usize,
    ) -> Option<(&'e Piece, usize)> {
        let Earlier { bytes, pieces, .. } = self.earlier?;
        let rest = text.get(at..)?;
        let ahead = (0..WINDOW).chain((self.missed >= WINDOW).then_some(self.missed));
        let candidates = ahead.map(|ahead| self.next + ahead);
        let found = candidates.filter_map(|place| Some((place, pieces.list.get(place)?))).find_map(
            |(place, piece)| {
                let lay = bytes.get(piece.start as usize..piece.end as usize)?;
                (piece.context == context && rest.starts_with(lay)).then_some((place, piece, lay.len()))
            },
        );
        let (place, piece, length) = found?;
        (self.next, self.missed) = (place + 1, 0);
        self.add((at, at + length), context, (piece.nodes, piece.memory), draft);
        Some((piece, length))
    }

    /// The element that was read from `start` to `end` is one object, and there is nothing to be said of it.
    pub fn note(&mut self, range: (usize, usize), context: Context, cost: (usize, usize), draft: usize) {
        self.missed += 1;
        self.add(range, context, cost, draft);
    }

    fn add(&mut self, (start, end): (usize, usize), context: Context, cost: (usize, usize), draft: usize) {
        if context.is_some() && end <= MAX_BYTES {
            let (nodes, memory) = cost;
            self.noted.drafts.push(Draft { start, end, context, nodes, memory, draft });
        }
    }

    pub fn into_noted(self) -> Noted {
        self.noted
    }
}

impl Noted {
    /// The pieces of this document; `objects` are those of its drafts, `ranks` their places in its snapshot.
    pub fn finish(self, read_as: ReadAs, objects: &[Arc<Object>], ranks: &[u32]) -> Pieces {
        let piece = |draft: &Draft| {
            let (object, rank) = (Arc::clone(objects.get(draft.draft)?), *ranks.get(draft.draft)?);
            let (start, end) = (u32::try_from(draft.start).ok()?, u32::try_from(draft.end).ok()?);
            let Draft { context, nodes, memory, .. } = *draft;
            Some(Piece { start, end, context, nodes, memory, object, rank })
        };
        let list = self.drafts.iter().filter_map(piece).collect();
        Pieces { read_as, contexts: self.contexts, list }
    }
}

impl Pieces {
    /// Whether a document that is read so means what this one meant.
    pub(super) fn fit(&self, read_as: &ReadAs) -> bool {
        self.read_as == *read_as
    }
}
