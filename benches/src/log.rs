//! The append-only log of RFC 6962 beside the crate that others would take.

use std::hint::black_box;

use anchor::{Tree, tree};
use anyhow::{Result, ensure};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use crate::meter::{Contestant, Race, Unit};

/// Leaves appended in one go.
const LEAVES: usize = 20_000;
/// The leaf that is proven.
const PROVEN: u64 = 12_345;

const APPEND_OVER_CT_MERKLE: f64 = 2.0;
const PROVE_OVER_CT_MERKLE: f64 = 0.3;

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

/// Leaves about as long as a record's.
fn leaves() -> Vec<Vec<u8>> {
    (0..LEAVES).map(|number| format!("{number:0>200}").into_bytes()).collect()
}

fn theirs(leaves: &[Vec<u8>]) -> Theirs {
    let mut tree = Theirs::new();
    for leaf in leaves {
        tree.push(leaf.clone());
    }
    tree
}

fn both(leaves: &[Vec<u8>]) -> Result<(Tree, Theirs)> {
    let (ours, theirs) = (Tree::of(leaves), theirs(leaves));
    ensure!(ours.root().as_bytes() == &theirs.root().as_bytes()[..], "the roots differ");
    Ok((ours, theirs))
}

/// Appending, leaf by leaf.
pub fn append() -> Result<Race<'static>> {
    let leaves = leaves();
    both(&leaves)?;
    let again = leaves.clone();
    let contestants = vec![
        Contestant::new("ours", "", move || {
            black_box(Tree::of(&leaves));
        }),
        Contestant::new("ct-merkle", "keeps the leaf's bytes too", move || {
            black_box(theirs(&again));
        })
        .at_least(APPEND_OVER_CT_MERKLE),
    ];
    Ok(Race {
        name: format!("log: append, {LEAVES} leaves of 200 bytes"),
        unit: Unit::Nanos(LEAVES),
        contestants,
    })
}

/// Making an inclusion proof of one leaf and checking it.
pub fn prove() -> Result<Race<'static>> {
    let leaves = leaves();
    let (ours, theirs) = both(&leaves)?;
    let place = usize::try_from(PROVEN)?;
    let leaf = leaves[place].clone();
    let (hash, root, their_root) = (tree::leaf_hash(&leaf), ours.root(), theirs.root());
    let size = ours.size();
    let prove_ours = move || {
        let path = ours.inclusion(PROVEN, size).ok()?;
        tree::verify_inclusion(&hash, PROVEN, size, &path, &root).ok()
    };
    let prove_theirs = move || {
        let proof = theirs.prove_inclusion(place);
        their_root.verify_inclusion(&leaf, PROVEN, &proof).ok()
    };
    ensure!(prove_ours().is_some() && prove_theirs().is_some(), "a proof of {PROVEN} does not verify");
    let contestants = vec![
        Contestant::new("ours", "", move || {
            black_box(prove_ours());
        }),
        Contestant::new("ct-merkle", "", move || {
            black_box(prove_theirs());
        })
        .at_least(PROVE_OVER_CT_MERKLE),
    ];
    Ok(Race { name: "log: prove one leaf and check it".into(), unit: Unit::Micros, contestants })
}
