//! The append-only Merkle tree of RFC 6962 §2.1 and RFC 9162 §2.1: root, inclusion, consistency.
//!
//! One tree hash serves the logs, the transactions and receipts of a block, and the history of headers.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// No proof over fewer than 2^64 leaves is longer. Longer ones are refused unread.
/// (A consistency proof has one node more than the tree has levels.)
pub const MAX_PROOF_HASHES: usize = 65;

/// Why a proof proves nothing, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("leaf {index} is not in a tree of {size} leaves")]
    IndexOutOfTree { index: u64, size: u64 },
    #[error("a tree of {new} leaves does not extend one of {old}")]
    Shrinks { old: u64, new: u64 },
    #[error("the tree has {have} leaves, not {asked}")]
    TreeTooSmall { have: u64, asked: u64 },
    #[error("the proof has {0} hashes, which is not the number that its sizes need")]
    WrongLength(usize),
    #[error("the proof leads to another root")]
    RootMismatch,
    #[error("the proof leads to another old root")]
    OldRootMismatch,
}

/// Hash of a leaf's bytes (RFC 9162 §2.1.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of_parts(&[&[0], data])
}

/// Hash of an inner node (RFC 9162 §2.1.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash::of(b"")
}

/// Root over the bytes of `leaves`.
pub fn root<L: AsRef<[u8]>>(leaves: &[L]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(leaf_hash(leaf.as_ref()));
    }
    frontier.root()
}

/// A tree with all its nodes: every proof for every earlier size can be made from it.
///
/// `levels[k][i]` is the root over the leaves `i * 2^k .. (i + 1) * 2^k`; only complete subtrees are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over the bytes of `leaves`.
    pub fn of<L: AsRef<[u8]>>(leaves: &[L]) -> Tree {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.push(leaf_hash(leaf.as_ref()));
        }
        tree
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf by its [`leaf_hash`] and returns its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut carry = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(carry);
            let [.., left, right] = nodes.as_slice() else { break };
            if nodes.len() % 2 == 1 {
                break;
            }
            carry = node_hash(left, right);
        }
        index
    }

    /// Root over the leaves `index * 2^level .. (index + 1) * 2^level`; `None` unless the tree has all of them.
    pub fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.levels.get(usize::try_from(level).ok()?)?.get(usize::try_from(index).ok()?).copied()
    }

    /// Root of the present tree.
    pub fn root(&self) -> Hash {
        self.root_at(self.size()).expect("the tree has its own size")
    }

    /// Root when the tree had `size` leaves.
    pub fn root_at(&self, size: u64) -> Result<Hash, ProofError> {
        self.has(size)?;
        Ok(if size == 0 { empty_root() } else { self.range(0, size) })
    }

    /// Path of leaf `index` in the tree of the first `size` leaves, sibling of the leaf first (RFC 9162 §2.1.3.1).
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
        self.has(size)?;
        if index >= size {
            return Err(ProofError::IndexOutOfTree { index, size });
        }
        let mut path = Vec::new();
        let (mut begin, mut end) = (0, size);
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(begin, middle));
                begin = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// Proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162 §2.1.4.1).
    /// Empty where `old` is 0 or equal to `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProofError> {
        self.has(new)?;
        if old > new {
            return Err(ProofError::Shrinks { old, new });
        }
        let mut proof = Vec::new();
        if old == 0 || old == new {
            return Ok(proof);
        }
        // SUBPROOF(old, D[begin..end], whole), unrolled from the root down.
        let (mut begin, mut end, mut whole) = (0, new, true);
        while end != old {
            let middle = begin + split(end - begin);
            if old <= middle {
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(begin, middle));
                begin = middle;
                whole = false;
            }
        }
        if !whole {
            proof.push(self.range(begin, end));
        }
        proof.reverse();
        Ok(proof)
    }

    fn has(&self, size: u64) -> Result<(), ProofError> {
        let have = self.size();
        if size > have { Err(ProofError::TreeTooSmall { have, asked: size }) } else { Ok(()) }
    }

    /// Root over the leaves `begin..end`, a subtree of some RFC 9162 tree: `begin` is a multiple of the power of
    /// two that is not less than the length. Not empty, and within the tree.
    fn range(&self, begin: u64, end: u64) -> Hash {
        let length = end - begin;
        if length.is_power_of_two() {
            let level = length.trailing_zeros();
            return self.levels[level as usize][(begin >> level) as usize];
        }
        let middle = begin + split(length);
        node_hash(&self.range(begin, middle), &self.range(middle, end))
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

/// Checks that the leaf with hash `leaf` stands at `index` of the tree of `size` leaves with `root`
/// (RFC 9162 §2.1.3.2). `size` must come from where `root` comes from: the path alone does not bind it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfTree { index, size });
    }
    if path.len() > MAX_PROOF_HASHES {
        return Err(ProofError::WrongLength(path.len()));
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::WrongLength(path.len()));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last == 0, hash == *root) {
        (false, _) => Err(ProofError::WrongLength(path.len())),
        (true, false) => Err(ProofError::RootMismatch),
        (true, true) => Ok(()),
    }
}

/// Checks that the tree of `new` leaves with `new_root` begins with the tree of `old` leaves with `old_root`
/// (RFC 9162 §2.1.4.2). Every tree extends the empty one, by the empty proof.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrinks { old, new });
    }
    if old == 0 || old == new {
        return verify_trivial_consistency(old, old_root, new_root, proof);
    }
    let wrong_length = Err(ProofError::WrongLength(proof.len()));
    if proof.is_empty() || proof.len() > MAX_PROOF_HASHES {
        return wrong_length;
    }
    // Where `old` is a power of two, its root is itself a node of the new tree and is left out of the proof.
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        (proof[0], proof.get(1..).unwrap_or_default())
    };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = (shift_right(old - 1, shift), shift_right(new - 1, shift));
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return wrong_length;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last == 0, old_hash == *old_root, new_hash == *new_root) {
        (false, ..) => wrong_length,
        (true, false, _) => Err(ProofError::OldRootMismatch),
        (true, true, false) => Err(ProofError::RootMismatch),
        (true, true, true) => Ok(()),
    }
}

fn verify_trivial_consistency(
    old: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if !proof.is_empty() {
        return Err(ProofError::WrongLength(proof.len()));
    }
    if old == 0 {
        return if *old_root == empty_root() { Ok(()) } else { Err(ProofError::OldRootMismatch) };
    }
    if old_root == new_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// A sibling on the way from a leaf to the root, and the side it stands on.
///
/// A path of these needs no index and no size: both would only say the sides, and where nothing signs the size
/// (a block's header does not), another size can give the same sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SidedNode {
    Left(Hash),
    Right(Hash),
}

/// The same path with sides instead of index and size.
pub fn sided_path(index: u64, size: u64, path: &[Hash]) -> Vec<SidedNode> {
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut sided = Vec::with_capacity(path.len());
    for sibling in path {
        if node & 1 == 1 || node == last {
            sided.push(SidedNode::Left(*sibling));
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            sided.push(SidedNode::Right(*sibling));
        }
        node >>= 1;
        last >>= 1;
    }
    sided
}

/// Checks that the leaf with hash `leaf` stands somewhere in the tree with `root`.
pub fn verify_sided(leaf: &Hash, path: &[SidedNode], root: &Hash) -> Result<(), ProofError> {
    if path.len() > MAX_PROOF_HASHES {
        return Err(ProofError::WrongLength(path.len()));
    }
    let found = path.iter().fold(*leaf, |hash, sibling| match sibling {
        SidedNode::Left(left) => node_hash(left, &hash),
        SidedNode::Right(right) => node_hash(&hash, right),
    });
    if found == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// `value >> shift` where a shift of all 64 bits gives 0.
fn shift_right(value: u64, shift: u32) -> u64 {
    value.checked_shr(shift).unwrap_or(0)
}

/// The right edge of a tree: enough to append and to know the root, in at most 64 hashes.
///
/// `peaks` are the roots of the complete subtrees that `size` decomposes into, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Hash) {
        let mut carry = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit of the size");
            carry = node_hash(&left, &carry);
        }
        self.peaks.push(carry);
        self.size += 1;
    }

    /// Root of the tree whose edge this is.
    pub fn root(&self) -> Hash {
        let fold = |right: Hash, left: &Hash| node_hash(left, &right);
        match self.peaks.split_last() {
            None => empty_root(),
            Some((last, others)) => others.iter().rev().fold(*last, fold),
        }
    }
}

impl BorshDeserialize for Frontier {
    /// Refuses a size that does not have as many bits as there are peaks.
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let size = u64::deserialize_reader(reader)?;
        let peaks = Vec::<Hash>::deserialize_reader(reader)?;
        if peaks.len() != size.count_ones() as usize {
            let reason = format!("frontier of {size} leaves with {} peaks", peaks.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Frontier { size, peaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Vec<u8>> {
        (0..count).map(|n| vec![n; usize::from(n)]).collect()
    }

    /// RFC 9162 §2.1.1 word for word.
    fn naive_root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => leaf_hash(leaf),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
            }
        }
    }

    #[test]
    fn every_leaf_of_every_tree_up_to_70_proves_and_only_there() {
        let leaves = leaves(70);
        let tree = Tree::of(&leaves);
        for size in 0..=70u64 {
            let root = tree.root_at(size).unwrap();
            assert_eq!(root, naive_root(&leaves[..size as usize]));
            for index in 0..size {
                let path = tree.inclusion(index, size).unwrap();
                let leaf = leaf_hash(&leaves[index as usize]);
                verify_inclusion(&leaf, index, size, &path, &root).unwrap();
                verify_sided(&leaf, &sided_path(index, size, &path), &root).unwrap();
                for other in (0..size).filter(|&o| o != index) {
                    assert!(verify_inclusion(&leaf, other, size, &path, &root).is_err());
                }
                let mut longer = path.clone();
                longer.push(root);
                assert!(verify_inclusion(&leaf, index, size, &longer, &root).is_err());
                if let Some((_, shorter)) = path.split_last() {
                    assert!(verify_inclusion(&leaf, index, size, shorter, &root).is_err());
                }
            }
            assert!(tree.inclusion(size, size).is_err());
        }
        assert_eq!(tree.root_at(71), Err(ProofError::TreeTooSmall { have: 70, asked: 71 }));
    }

    #[test]
    fn every_pair_of_sizes_up_to_70_is_consistent_and_no_other_roots_are() {
        let tree = Tree::of(&leaves(70));
        let roots: Vec<_> = (0..=70).map(|n| tree.root_at(n).unwrap()).collect();
        for new in 0..=70u64 {
            for old in 0..=new {
                let proof = tree.consistency(old, new).unwrap();
                let (a, b) = (&roots[old as usize], &roots[new as usize]);
                verify_consistency(old, new, a, b, &proof).unwrap();
                let wrong = Hash::of(b"wrong");
                assert!(verify_consistency(old, new, &wrong, b, &proof).is_err());
                if old != 0 {
                    assert!(verify_consistency(old, new, a, &wrong, &proof).is_err());
                }
                for position in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[position].0[5] ^= 1;
                    assert!(verify_consistency(old, new, a, b, &changed).is_err());
                    changed.remove(position);
                    assert!(verify_consistency(old, new, a, b, &changed).is_err());
                }
            }
            assert!(tree.consistency(new + 1, new).is_err());
        }
    }

    #[test]
    fn extreme_sizes_neither_overflow_nor_verify() {
        let (a, b) = (Hash::of(b"a"), Hash::of(b"b"));
        for proof in [vec![], vec![a; 1], vec![a; 63], vec![a; 64], vec![a; 65], vec![a; 1000]] {
            assert!(verify_inclusion(&a, u64::MAX - 1, u64::MAX, &proof, &b).is_err());
            assert!(verify_inclusion(&a, 0, u64::MAX, &proof, &b).is_err());
            assert!(verify_inclusion(&a, u64::MAX, u64::MAX, &proof, &b).is_err());
            assert!(verify_consistency(u64::MAX - 1, u64::MAX, &a, &b, &proof).is_err());
            assert!(verify_consistency(1 << 63, u64::MAX, &a, &b, &proof).is_err());
            assert!(verify_consistency(1, u64::MAX, &a, &b, &proof).is_err());
        }
    }

    #[test]
    fn frontier_agrees_with_the_tree_and_survives_encoding() {
        let leaves = leaves(70);
        let (mut frontier, mut tree) = (Frontier::default(), Tree::default());
        for leaf in &leaves {
            assert_eq!(frontier.root(), tree.root());
            frontier.push(leaf_hash(leaf));
            assert_eq!(tree.push(leaf_hash(leaf)) + 1, frontier.size());
            let encoded = borsh::to_vec(&frontier).unwrap();
            assert_eq!(borsh::from_slice::<Frontier>(&encoded).unwrap(), frontier);
        }
        assert_eq!(root(&leaves), frontier.root());
        let lying = borsh::to_vec(&(3u64, vec![Hash::ZERO])).unwrap();
        assert!(borsh::from_slice::<Frontier>(&lying).is_err());
    }
}
