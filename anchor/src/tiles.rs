//! A log as static files (C2SP tlog-tiles): names of tiles, the hashes in them, and bundles of entries.
//!
//! The tree is cut into tiles of 256 hashes. A tile of level 0 holds leaf hashes; one of level `L + 1` holds the roots
//! of 256 full tiles of level `L`. At the right edge tiles are partial, and a partial tile of one width never changes.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;
use crate::tree::Tree;

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Highest level that a path may name.
pub const MAX_LEVEL: u8 = 63;

/// Longest bundle of entries that is read, in bytes: 256 entries of the longest length, each with its two bytes.
pub const MAX_ENTRIES_BYTES: usize = TILE_WIDTH as usize * (2 + u16::MAX as usize);

/// What a file of the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileLevel {
    /// The entries themselves.
    Entries,
    /// Hashes; 0 are those of the leaves. At most [`MAX_LEVEL`].
    Hashes(u8),
}

/// Which file of a log: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    pub level: TileLevel,
    /// Counted from the left, 0 the first.
    pub index: u64,
    /// Hashes or entries in it, 1 to [`TILE_WIDTH`]; less than that is a partial tile.
    pub width: u64,
}

/// Text that names no tile, or bytes that are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    #[error("not a path of a tile; hint: `tile/<level>/<index>`, the index in groups of three digits")]
    Path,
    #[error("tile of {bytes} bytes does not hold {width} hashes")]
    Hashes { bytes: usize, width: u64 },
    #[error("bundle of {0} bytes is over the limit of {MAX_ENTRIES_BYTES}")]
    TooLarge(usize),
    #[error("the bundle ends within its entry {0}")]
    Truncated(usize),
    #[error("the bundle does not hold {width} entries")]
    EntryCount { width: u64 },
    #[error("an entry of {0} bytes is longer than its length can say")]
    EntryTooLong(usize),
}

impl TilePath {
    /// The path of tile `index` of a log with `size` leaves; `None` if it has none there.
    pub fn of(level: TileLevel, index: u64, size: u64) -> Option<TilePath> {
        let shift = match level {
            TileLevel::Entries => 0,
            TileLevel::Hashes(level) => 8 * u32::from(level),
        };
        let nodes = size.checked_shr(shift).unwrap_or(0);
        let width = nodes.checked_sub(index.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
        (width > 0).then_some(TilePath { level, index, width })
    }

    /// Whether a log of `size` leaves has all that this tile holds. Partial tiles stay true as the log grows.
    pub fn is_within(&self, size: u64) -> bool {
        TilePath::of(self.level, self.index, size).is_some_and(|whole| self.width <= whole.width)
    }

    /// All bundles of entries that hold leaves from `from` to `size`, exclusive, left to right.
    pub fn entries_between(from: u64, size: u64) -> impl Iterator<Item = TilePath> {
        let first = from / TILE_WIDTH;
        let bundles = if from < size { first..size.div_ceil(TILE_WIDTH) } else { 0..0 };
        bundles.filter_map(move |index| TilePath::of(TileLevel::Entries, index, size))
    }

    /// Index of the first leaf that the tile covers; `None` beyond 2^64.
    pub fn first_leaf(&self) -> Option<u64> {
        let level = match self.level {
            TileLevel::Entries => 0,
            TileLevel::Hashes(level) => u32::from(level),
        };
        let leaves = 1u64.checked_shl(8 * level).filter(|_| level < 8)?;
        self.index.checked_mul(TILE_WIDTH)?.checked_mul(leaves)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Entries => write!(f, "tile/entries/")?,
            TileLevel::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            let (mark, end) = if place > 0 { ("x", "/") } else { ("", "") };
            write!(f, "{mark}{group:03}{end}")?;
        }
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    /// Takes the one spelling that `Display` writes and no other.
    fn from_str(text: &str) -> Result<TilePath, TileError> {
        // The longest: level 63, seven groups of the index, a width.
        if text.len() > 64 {
            return Err(TileError::Path);
        }
        let path = parse(text).ok_or(TileError::Path)?;
        if path.to_string() == text { Ok(path) } else { Err(TileError::Path) }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => TileLevel::Entries,
        digits => TileLevel::Hashes(decimal(digits).filter(|n| *n <= u64::from(MAX_LEVEL))?.try_into().ok()?),
    };
    let (digits, width) = match rest.split_once(".p/") {
        Some((digits, width)) => (digits, decimal(width).filter(|w| (1..TILE_WIDTH).contains(w))?),
        None => (rest, TILE_WIDTH),
    };
    let mut index = 0u64;
    for group in digits.split('/') {
        let group = group.strip_prefix('x').unwrap_or(group);
        index = index.checked_mul(1000)?.checked_add(decimal(group).filter(|_| group.len() == 3)?)?;
    }
    Some(TilePath { level, index, width })
}

fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The bytes of a tile of hashes of a log that holds it; `None` where the log is smaller, or for entries.
pub fn tile_of(tree: &Tree, path: &TilePath) -> Option<Vec<u8>> {
    let TileLevel::Hashes(level) = path.level else { return None };
    if !path.is_within(tree.size()) {
        return None;
    }
    let first = path.index.checked_mul(TILE_WIDTH)?;
    let hashes: Option<Vec<Hash>> =
        (first..first + path.width).map(|n| tree.node(8 * u32::from(level), n)).collect();
    Some(hashes?.iter().flat_map(|hash| hash.0).collect())
}

/// The hashes of a tile, which must be exactly as many as its path says.
pub fn hashes_in(path: &TilePath, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() as u64 != path.width {
        return Err(TileError::Hashes { bytes: bytes.len(), width: path.width });
    }
    Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// The root over the hashes of a full tile: one hash of the tile above. Of a partial tile, what stands under its part
/// of the right edge.
pub fn tile_root(hashes: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for hash in hashes {
        tree.push(*hash);
    }
    tree.root()
}

/// A bundle of entries: for each its length in two bytes, big endian, and its bytes.
pub fn encode_entries<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong(entry.len()))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle, which must be exactly as many as its path says.
pub fn decode_entries<'b>(path: &TilePath, bytes: &'b [u8]) -> Result<Vec<&'b [u8]>, TileError> {
    if bytes.len() > MAX_ENTRIES_BYTES {
        return Err(TileError::TooLarge(bytes.len()));
    }
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if entries.len() as u64 == path.width {
            return Err(TileError::EntryCount { width: path.width });
        }
        let truncated = TileError::Truncated(entries.len());
        let (length, after) = rest.split_first_chunk::<2>().ok_or(truncated.clone())?;
        let (entry, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() as u64 != path.width {
        return Err(TileError::EntryCount { width: path.width });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree;

    fn hashes(level: u8, index: u64, width: u64) -> TilePath {
        TilePath { level: TileLevel::Hashes(level), index, width }
    }

    fn entries(index: u64, width: u64) -> TilePath {
        TilePath { level: TileLevel::Entries, index, width }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let cases = [
            (hashes(0, 0, 256), "tile/0/000"),
            (hashes(0, 273, 112), "tile/0/273.p/112"),
            (hashes(1, 1, 17), "tile/1/001.p/17"),
            (hashes(2, 0, 1), "tile/2/000.p/1"),
            (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (hashes(63, 1000, 256), "tile/63/x001/000"),
            (entries(0, 5), "tile/entries/000.p/5"),
            (entries(1_234_067, 8), "tile/entries/x001/x234/067.p/8"),
            (entries(u64::MAX, 256), "tile/entries/x018/x446/x744/x073/x709/x551/615"),
        ];
        for (path, text) in cases {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let refused = [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000",
            "tile/0/x000/001",
            "tile/0/x001/x002",
            "tile/0/001/002",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/00",
            "tile/0/000.p/05",
            "tile/0/000.p/256",
            "tile/0/000.p/1/",
            "tile/0/000/",
            "tile/0/../000",
            "/tile/0/000",
            "tile/data/000",
            "tile/0/000.p",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
            "tile/0/١٢٣",
        ];
        for text in refused {
            assert_eq!(text.parse::<TilePath>(), Err(TileError::Path), "{text}");
        }
        assert_eq!("0".repeat(1000).parse::<TilePath>(), Err(TileError::Path));
    }

    #[test]
    fn sizes_decide_which_tiles_there_are() {
        // The specification's example: 70,000 leaves.
        let all = |level| (0..300).map_while(|n| TilePath::of(level, n, 70_000)).collect::<Vec<_>>();
        let leaves = all(TileLevel::Hashes(0));
        assert_eq!((leaves.len(), leaves[273]), (274, hashes(0, 273, 112)));
        assert_eq!(all(TileLevel::Hashes(1)), [hashes(1, 0, 256), hashes(1, 1, 17)]);
        assert_eq!(all(TileLevel::Hashes(2)), [hashes(2, 0, 1)]);
        assert_eq!(all(TileLevel::Hashes(3)), []);
        assert_eq!(TilePath::of(TileLevel::Hashes(MAX_LEVEL), 0, u64::MAX), None);
        assert_eq!(TilePath::of(TileLevel::Entries, u64::MAX, u64::MAX), None);
        assert!(hashes(0, 273, 111).is_within(70_000) && !hashes(0, 273, 113).is_within(70_000));
        let wanted: Vec<_> = TilePath::entries_between(300, 600).collect();
        assert_eq!(wanted, [entries(1, 256), entries(2, 88)]);
        assert_eq!(TilePath::entries_between(600, 600).count(), 0);
        assert_eq!(wanted[1].first_leaf(), Some(512));
        assert_eq!(hashes(1, 1, 17).first_leaf(), Some(65_536));
        assert_eq!(hashes(8, 1, 1).first_leaf(), None);
        assert_eq!(hashes(7, 1, 1).first_leaf(), None);
    }

    #[test]
    fn tiles_hold_the_hashes_of_the_tree() {
        let leaves: Vec<_> = (0..600).map(|n| n.to_string()).collect();
        let tree = Tree::of(&leaves);
        let read = |path: TilePath| hashes_in(&path, &tile_of(&tree, &path).unwrap()).unwrap();
        let first = read(hashes(0, 0, 256));
        assert_eq!(first[3], tree::leaf_hash(b"3"));
        assert_eq!(read(hashes(0, 2, 88))[87], tree::leaf_hash(b"599"));
        assert_eq!(read(hashes(1, 0, 2)), [tile_root(&first), tile_root(&read(hashes(0, 1, 256)))]);
        assert_eq!(tile_root(&first), tree.root_at(256).unwrap());
        assert_eq!(tile_of(&tree, &hashes(0, 2, 89)), None);
        assert_eq!(tile_of(&tree, &entries(0, 256)), None);
        let path = hashes(0, 0, 2);
        assert_eq!(hashes_in(&path, &[0; 63]), Err(TileError::Hashes { bytes: 63, width: 2 }));
        assert_eq!(hashes_in(&path, &[0; 96]), Err(TileError::Hashes { bytes: 96, width: 2 }));
    }

    #[test]
    fn bundles_of_entries_are_exact() {
        let bytes = encode_entries(&[&b"ab"[..], b"", b"c"]).unwrap();
        assert_eq!(bytes, b"\0\x02ab\0\0\0\x01c");
        assert_eq!(decode_entries(&entries(0, 3), &bytes).unwrap(), [&b"ab"[..], b"", b"c"]);
        assert_eq!(decode_entries(&entries(0, 2), &bytes), Err(TileError::EntryCount { width: 2 }));
        assert_eq!(decode_entries(&entries(0, 4), &bytes), Err(TileError::EntryCount { width: 4 }));
        assert_eq!(decode_entries(&entries(0, 3), &bytes[..8]), Err(TileError::Truncated(2)));
        assert_eq!(decode_entries(&entries(0, 3), &bytes[..7]), Err(TileError::Truncated(2)));
        let long = vec![0; MAX_ENTRIES_BYTES + 1];
        assert_eq!(decode_entries(&entries(0, 256), &long), Err(TileError::TooLarge(long.len())));
        assert_eq!(encode_entries(&[vec![0; 65_536]]), Err(TileError::EntryTooLong(65_536)));
    }

    proptest! {
        #[test]
        fn paths_round_trip(level in 0u8..=64, index: u64, width in 1u64..=256) {
            let level = if level == 64 { TileLevel::Entries } else { TileLevel::Hashes(level) };
            let path = TilePath { level, index, width };
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn entries_round_trip(found in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..=256)) {
            let bytes = encode_entries(&found).unwrap();
            let read = decode_entries(&entries(0, found.len() as u64), &bytes).unwrap();
            prop_assert_eq!(read, found);
        }

        #[test]
        fn any_bytes_and_texts_are_read_or_refused(bytes: Vec<u8>, text in "[tile/x.p0-9]{0,40}", width in 1u64..=256) {
            let _ = decode_entries(&entries(0, width), &bytes);
            let _ = hashes_in(&hashes(0, 0, width), &bytes);
            let _ = text.parse::<TilePath>();
        }
    }
}
