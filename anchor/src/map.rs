//! A compact sparse Merkle map: which value stands under a key, and that a key is absent, provably.
//!
//! The position of a key is its SHA-256, most significant bit first. A subtree without keys hashes to
//! [`Hash::ZERO`]; a subtree with one key *is* that key's leaf; any other is an inner node. The root is therefore a
//! function of the contents alone, whatever the order of changes. A leaf's hash covers the full key hash, and
//! leaves and inner nodes have different domains, so no root, not even one made with ill intent, lets the same key
//! prove both present and absent.
//!
//! Nodes are shared between clones: [`Map::clone`] is one reference count, so that a block can be executed on a
//! copy before it is voted on, and the copy thrown away.

use std::fmt;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;

const LEAF_DOMAIN: &[u8] = b"ranproof/map-leaf/1\n";
const INNER_DOMAIN: &[u8] = b"ranproof/map-inner/1\n";

/// Depth of the deepest possible leaf: one level for each bit of a key hash.
const MAX_DEPTH: usize = 256;

/// An authenticated map from byte strings to byte strings. O(log n) hashes for each change.
#[derive(Clone, Default)]
pub struct Map {
    root: Child,
    len: u64,
}

type Child = Option<Arc<Node>>;

enum Node {
    Leaf { key: Hash, value: Arc<[u8]>, hash: Hash },
    Inner { left: Child, right: Child, hash: Hash },
}

/// A path from the root of a [`Map`] to where a key is, or would be.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapProof {
    /// Siblings from the root down.
    pub siblings: Vec<Hash>,
    /// For an absent key whose place another key's leaf occupies: that leaf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherLeaf>,
}

/// The leaf of another key that shares the absent key's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherLeaf {
    /// SHA-256 of the other key.
    pub key: Hash,
    /// SHA-256 of the other value.
    pub value: Hash,
}

/// Why a map proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapProofError {
    #[error("the map proof has {0} siblings, more than a key has bits")]
    TooLong(usize),
    #[error("the map proof names another leaf although the key is claimed present")]
    NotAbsence,
    #[error("the map proof's other leaf does not lie on the key's path")]
    OtherElsewhere,
    #[error("the map proof leads to another root")]
    RootMismatch,
}

impl Map {
    /// The map of `pairs`; of pairs with the same key the last counts. Hashes each node once.
    pub fn from_pairs<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (K, V)>) -> Map {
        let sorted: std::collections::BTreeMap<Hash, Arc<[u8]>> =
            pairs.into_iter().map(|(k, v)| (Hash::of(k.as_ref()), Arc::from(v.as_ref()))).collect();
        let leaves: Vec<_> = sorted.into_iter().collect();
        Map { len: leaves.len() as u64, root: build(&leaves, 0) }
    }

    /// Number of keys.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// [`Hash::ZERO`] for the empty map.
    pub fn root(&self) -> Hash {
        hash_of(&self.root)
    }

    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let key = Hash::of(key);
        let mut node = self.root.as_deref();
        for depth in 0.. {
            match node? {
                Node::Leaf { key: here, value, .. } => return (*here == key).then_some(&**value),
                Node::Inner { left, right, .. } => {
                    node = if bit(&key, depth) { right.as_deref() } else { left.as_deref() };
                }
            }
        }
        None
    }

    /// Sets `key` to `value`. Returns whether the key was new.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        let mut grew = true;
        self.root = insert(&self.root, Hash::of(key), value, 0, &mut grew);
        self.len += u64::from(grew);
        grew
    }

    /// Takes `key` out. Returns whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        match remove(&self.root, &Hash::of(key), 0) {
            Some(root) => {
                self.root = root;
                self.len -= 1;
                true
            }
            None => false,
        }
    }

    /// Proof of presence if the key is there, else of absence.
    pub fn prove(&self, key: &[u8]) -> MapProof {
        let key = Hash::of(key);
        let mut siblings = Vec::new();
        let mut node = self.root.as_deref();
        while let Some(Node::Inner { left, right, .. }) = node {
            let right_side = bit(&key, siblings.len());
            let (near, far) = if right_side { (right, left) } else { (left, right) };
            siblings.push(hash_of(far));
            node = near.as_deref();
        }
        let other = match node {
            Some(Node::Leaf { key: here, value, .. }) if *here != key => {
                Some(OtherLeaf { key: *here, value: Hash::of(value) })
            }
            _ => None,
        };
        MapProof { siblings, other }
    }

    /// Key hashes and values in the order of key hashes.
    pub fn iter(&self) -> impl Iterator<Item = (Hash, &[u8])> {
        let mut stack: Vec<&Node> = self.root.as_deref().into_iter().collect();
        std::iter::from_fn(move || {
            loop {
                match stack.pop()? {
                    Node::Leaf { key, value, .. } => return Some((*key, &**value)),
                    Node::Inner { left, right, .. } => {
                        stack.extend(right.as_deref());
                        stack.extend(left.as_deref());
                    }
                }
            }
        })
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} keys, root {})", self.len, self.root())
    }
}

impl PartialEq for Map {
    /// Equal roots are equal contents.
    fn eq(&self, other: &Map) -> bool {
        self.root() == other.root()
    }
}
impl Eq for Map {}

impl MapProof {
    /// Checks that under `root` the key has exactly `value`, or is absent if `value` is `None`.
    pub fn verify(&self, root: &Hash, key: &[u8], value: Option<&[u8]>) -> Result<(), MapProofError> {
        let depth = self.siblings.len();
        if depth > MAX_DEPTH {
            return Err(MapProofError::TooLong(depth));
        }
        let key = Hash::of(key);
        let end = match (value, &self.other) {
            (Some(_), Some(_)) => return Err(MapProofError::NotAbsence),
            (Some(value), None) => leaf(&key, &Hash::of(value)),
            (None, None) => Hash::ZERO,
            (None, Some(other)) => {
                let on_path = (0..depth).all(|d| bit(&other.key, d) == bit(&key, d));
                if other.key == key || !on_path {
                    return Err(MapProofError::OtherElsewhere);
                }
                leaf(&other.key, &other.value)
            }
        };
        let found = self.siblings.iter().enumerate().rev().fold(end, |hash, (depth, sibling)| {
            if bit(&key, depth) { inner(sibling, &hash) } else { inner(&hash, sibling) }
        });
        if found == *root { Ok(()) } else { Err(MapProofError::RootMismatch) }
    }
}

/// Bit `depth` of a key hash, most significant first.
fn bit(key: &Hash, depth: usize) -> bool {
    key.0.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

fn leaf(key: &Hash, value: &Hash) -> Hash {
    Hash::of_parts(&[LEAF_DOMAIN, key.as_bytes(), value.as_bytes()])
}

fn inner(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[INNER_DOMAIN, left.as_bytes(), right.as_bytes()])
}

fn hash_of(child: &Child) -> Hash {
    match child.as_deref() {
        None => Hash::ZERO,
        Some(Node::Leaf { hash, .. } | Node::Inner { hash, .. }) => *hash,
    }
}

fn leaf_node(key: Hash, value: Arc<[u8]>) -> Child {
    let hash = leaf(&key, &Hash::of(&value));
    Some(Arc::new(Node::Leaf { key, value, hash }))
}

/// Joins two subtrees; one that is empty and one that is a single leaf make that leaf.
fn join(left: Child, right: Child) -> Child {
    match (left.as_deref(), right.as_deref()) {
        (None, None) => None,
        (None, Some(Node::Leaf { .. })) => right,
        (Some(Node::Leaf { .. }), None) => left,
        _ => {
            let hash = inner(&hash_of(&left), &hash_of(&right));
            Some(Arc::new(Node::Inner { left, right, hash }))
        }
    }
}

fn build(leaves: &[(Hash, Arc<[u8]>)], depth: usize) -> Child {
    match leaves {
        [] => None,
        [(key, value)] => leaf_node(*key, value.clone()),
        _ => {
            let middle = leaves.partition_point(|(key, _)| !bit(key, depth));
            let (left, right) = leaves.split_at(middle);
            join(build(left, depth + 1), build(right, depth + 1))
        }
    }
}

fn insert(child: &Child, key: Hash, value: &[u8], depth: usize, grew: &mut bool) -> Child {
    match child.as_deref() {
        None => leaf_node(key, value.into()),
        Some(Node::Leaf { key: here, .. }) if *here == key => {
            *grew = false;
            leaf_node(key, value.into())
        }
        // Two leaves: both go one level down, until their bits differ.
        Some(Node::Leaf { key: here, .. }) => {
            let (mut left, mut right) = (None, None);
            *(if bit(here, depth) { &mut right } else { &mut left }) = child.clone();
            let side = if bit(&key, depth) { &mut right } else { &mut left };
            *side = insert(side, key, value, depth + 1, grew);
            join(left, right)
        }
        Some(Node::Inner { left, right, .. }) if bit(&key, depth) => {
            join(left.clone(), insert(right, key, value, depth + 1, grew))
        }
        Some(Node::Inner { left, right, .. }) => {
            join(insert(left, key, value, depth + 1, grew), right.clone())
        }
    }
}

/// The subtree without `key`, or `None` if the key is not in it.
fn remove(child: &Child, key: &Hash, depth: usize) -> Option<Child> {
    match child.as_deref()? {
        Node::Leaf { key: here, .. } => (here == key).then_some(None),
        Node::Inner { left, right, .. } if bit(key, depth) => {
            Some(join(left.clone(), remove(right, key, depth + 1)?))
        }
        Node::Inner { left, right, .. } => Some(join(remove(left, key, depth + 1)?, right.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The definition, without nodes: what the root of a set of (key hash, value hash) is.
    fn naive_root(pairs: &[(Hash, Hash)], depth: usize) -> Hash {
        match pairs {
            [] => Hash::ZERO,
            [(key, value)] => leaf(key, value),
            _ => {
                let (right, left): (Vec<_>, Vec<_>) = pairs.iter().partition(|(k, _)| bit(k, depth));
                inner(&naive_root(&left, depth + 1), &naive_root(&right, depth + 1))
            }
        }
    }

    fn naive(model: &BTreeMap<u8, u8>) -> Hash {
        let pairs: Vec<_> = model.iter().map(|(k, v)| (Hash::of(&[*k]), Hash::of(&[*v]))).collect();
        naive_root(&pairs, 0)
    }

    proptest! {
        #[test]
        fn any_sequence_of_changes_gives_the_root_of_its_contents(
            changes in prop::collection::vec((any::<u8>(), prop::option::of(any::<u8>())), 0..120),
        ) {
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            for (key, value) in changes {
                let before = map.clone();
                let old_root = naive(&model);
                match value {
                    Some(value) => {
                        prop_assert_eq!(map.insert(&[key], &[value]), model.insert(key, value).is_none());
                    }
                    None => prop_assert_eq!(map.remove(&[key]), model.remove(&key).is_some()),
                }
                prop_assert_eq!(map.root(), naive(&model));
                prop_assert_eq!(before.root(), old_root, "a clone does not see later changes");
                prop_assert_eq!(map.len(), model.len() as u64);
            }
            let built = Map::from_pairs(model.iter().map(|(k, v)| ([*k], [*v])));
            prop_assert_eq!(&built, &map);
            prop_assert_eq!(built.iter().count(), model.len());
            for key in 0..=255u8 {
                let value = model.get(&key).map(|v| [*v]);
                let value = value.as_ref().map(|v| &v[..]);
                prop_assert_eq!(map.get(&[key]), value);
                let proof = map.prove(&[key]);
                prop_assert_eq!(proof.verify(&map.root(), &[key], value), Ok(()));
                let wrong = if value.is_some() { None } else { Some(&b"x"[..]) };
                prop_assert!(proof.verify(&map.root(), &[key], wrong).is_err());
                prop_assert!(proof.verify(&map.root(), &[key], Some(b"other")).is_err());
            }
        }
    }

    #[test]
    fn emptied_map_has_the_zero_root() {
        let mut map = Map::default();
        assert_eq!(map.root(), Hash::ZERO);
        map.prove(b"k").verify(&Hash::ZERO, b"k", None).unwrap();
        map.insert(b"k", b"v");
        assert_ne!(map.root(), Hash::ZERO);
        assert!(map.remove(b"k"));
        assert!(!map.remove(b"k"));
        assert_eq!(map.root(), Hash::ZERO);
    }

    #[test]
    fn changed_proofs_are_refused() {
        let map = Map::from_pairs((0..50u8).map(|n| ([n], [n])));
        for key in 0..100u8 {
            let value = (key < 50).then_some([key]);
            let value = value.as_ref().map(|v| &v[..]);
            let proof = map.prove(&[key]);
            for position in 0..proof.siblings.len() {
                let mut changed = proof.clone();
                changed.siblings[position].0[31] ^= 1;
                assert!(changed.verify(&map.root(), &[key], value).is_err());
                changed.siblings.remove(position);
                assert!(changed.verify(&map.root(), &[key], value).is_err());
            }
            if let Some(other) = proof.other {
                let mut changed = proof.clone();
                changed.other = None;
                assert!(changed.verify(&map.root(), &[key], value).is_err());
                changed.other = Some(OtherLeaf { key: Hash::of(&[key]), ..other });
                let refused = changed.verify(&map.root(), &[key], value);
                assert_eq!(refused, Err(MapProofError::OtherElsewhere));
            }
        }
        let long = MapProof { siblings: vec![Hash::ZERO; 257], other: None };
        assert_eq!(long.verify(&map.root(), b"k", None), Err(MapProofError::TooLong(257)));
    }
}
