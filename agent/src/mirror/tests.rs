//! Logs served and mirrored in one process, honest and forked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anchor::tiles::{self, TileLevel, TilePath};
use anchor::tree::verify_consistency;
use anchor::{Checkpoint, Genesis, Hash, Member, MemberRole, SigningKey, Tree, UnverifiedCheckpoint};
use anyhow::Result;
use model::Timestamp;
use store::{
    Event, ForkKind, HeadCheck, MirrorHead, ProjectedBlock, ProjectedTransaction, Store, StoreConfig,
};

use super::cosign::{self, Cosigner, cosigned_note};
use super::pull::{MirrorError, Source, pull};
use super::served::Chain;
use super::step::{Step, Taken};
use super::{Log, cosigners, report};
use crate::peer::PeerError;
use crate::peer::log::{Leaves, read_tile};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// Telecom keeps the log, unicom mirrors it.
fn genesis() -> Genesis {
    let member = |id: &str, seed: u8| Member {
        id: id.into(),
        name: id.into(),
        role: MemberRole::Operator,
        log_key: key(seed).public(),
        approval_key: key(seed + 1).public(),
        cosigner_key: key(seed + 2).public(),
        tls: Hash::of(&[seed]),
    };
    Genesis {
        format: Genesis::FORMAT.into(),
        chain_id: "net".into(),
        time: 1_000,
        rules_version: 1,
        members: vec![member("telecom", 10), member("unicom", 20)],
        validators: vec![],
    }
}

const LOG_SEED: u8 = 10;
const COSIGNER_SEED: u8 = 22;

fn log() -> Log {
    Log::of(&genesis(), "telecom").unwrap()
}

fn us() -> Cosigner {
    cosigners(&genesis()).into_iter().find(|c| c.member == "unicom").unwrap()
}

fn leaves(count: u64, fork: Option<u64>) -> Vec<Vec<u8>> {
    let leaf = |n: u64| match fork {
        Some(from) if n >= from => format!("another story {n}"),
        _ => format!("leaf {n}"),
    };
    (0..count).map(|n| leaf(n).into_bytes()).collect()
}

/// A signed checkpoint over a log's first leaves.
fn note(size: u64, fork: Option<u64>) -> String {
    let root = Tree::of(&leaves(size, fork)).root();
    Checkpoint::sign("net/telecom", size, root, &key(LOG_SEED)).unwrap().to_string()
}

/// The head as the chain anchored it: always the honest one.
fn head(size: u64) -> MirrorHead {
    MirrorHead {
        origin: "telecom".into(),
        size,
        root: Tree::of(&leaves(size, None)).root(),
        note: note(size, None),
        transaction: Hash::of(&size.to_be_bytes()),
        checked: Timestamp(1),
    }
}

/// An agent that serves a log, as it says.
#[derive(Debug, Clone)]
struct Serving {
    leaves: Arc<Vec<Vec<u8>>>,
    tree: Arc<Tree>,
    note: Option<String>,
    /// Answers that are not made from the log.
    instead: BTreeMap<String, Option<Vec<u8>>>,
}

impl Serving {
    fn new(size: u64, fork: Option<u64>) -> Serving {
        let leaves = leaves(size, fork);
        let tree = Arc::new(Tree::of(&leaves));
        Serving { leaves: Arc::new(leaves), tree, note: Some(note(size, fork)), instead: BTreeMap::new() }
    }

    fn saying(self, note: String) -> Serving {
        Serving { note: Some(note), ..self }
    }
}

impl Leaves for Serving {
    async fn envelopes(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
        Ok(self.leaves[from as usize..to as usize].to_vec())
    }

    async fn tree(&self, _size: u64) -> Result<Arc<Tree>> {
        Ok(self.tree.clone())
    }
}

impl Source for Serving {
    async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        let found = match (self.instead.get(path), path) {
            (Some(answer), _) => answer.clone(),
            (None, super::served::PATH) => self.note.clone().map(String::into_bytes),
            (None, path) => {
                let tile: TilePath = path.strip_prefix("/peer/v1/log/").unwrap().parse().unwrap();
                read_tile(self, self.leaves.len() as u64, &tile).await.unwrap()
            }
        };
        assert!(found.as_ref().is_none_or(|bytes| bytes.len() <= limit), "{path}");
        Ok(found)
    }
}

/// A chain that anchored every tenth size up to one, and perhaps knows of evidence.
#[derive(Debug, Clone, Copy)]
struct Tenths {
    up_to: u64,
    evidence: bool,
}

impl Chain for Tenths {
    async fn note(&self, _origin: &str, size: u64) -> Result<Option<String>, MirrorError> {
        Ok((size.is_multiple_of(10) && size <= self.up_to).then(|| note(size, None)))
    }

    fn convicts(&self, _origin: &str) -> bool {
        self.evidence
    }
}

async fn open(folder: &Path) -> Store {
    Store::open(StoreConfig::new(folder.join("ranproof.db"))).await.unwrap()
}

async fn scratch() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()).await, folder)
}

async fn step(store: &Store, serving: Serving, size: u64) -> Result<Taken, MirrorError> {
    step_on(Tenths { up_to: size, evidence: false }, store, serving, size).await
}

async fn step_on(chain: Tenths, store: &Store, source: Serving, size: u64) -> Result<Taken, MirrorError> {
    let (log, us, secret) = (log(), us(), key(COSIGNER_SEED));
    let step = Step { store, source, chain, log: &log, us: &us, secret: &secret };
    step.take(&head(size), Timestamp(5_000)).await
}

const HONEST: Taken = Taken { convicted: false, cosigned: true };

#[tokio::test]
async fn a_log_of_any_size_is_served_in_tiles_and_mirrored_with_the_same_root() {
    for size in [0, 1, 255, 256, 257, 70_000] {
        let serving = Serving::new(size, None);
        let (store, _folder) = scratch().await;
        if size > 0 {
            assert_eq!(pull(&store, &serving, &head(size)).await.unwrap(), HeadCheck::Fits);
        }
        let mirror = store.mirror("telecom").await.unwrap();
        assert_eq!((mirror.held, mirror.head.map(|h| h.size)), (size, Some(size).filter(|s| *s > 0)));
        assert_eq!(
            store.mirror_root("telecom", size).await.unwrap(),
            (size > 0).then(|| serving.tree.root())
        );
        // The tiles of hashes say the same.
        let mut hashes = Vec::new();
        for index in 0..size.div_ceil(tiles::TILE_WIDTH) {
            let tile = TilePath::of(TileLevel::Hashes(0), index, size).unwrap();
            let bytes = read_tile(&serving, size, &tile).await.unwrap().unwrap();
            hashes.extend(tiles::hashes_in(&tile, &bytes).unwrap());
        }
        let mut tree = Tree::default();
        for hash in hashes {
            tree.push(hash);
        }
        assert_eq!(tree.root(), serving.tree.root());
    }
}

#[tokio::test]
async fn nothing_past_the_published_size_is_served() {
    let serving = Serving::new(600, None);
    for path in
        ["tile/entries/001", "tile/0/001", "tile/0/000.p/201", "tile/1/000.p/1", "tile/entries/000.p/201"]
    {
        let tile = path.parse().unwrap();
        assert_eq!(read_tile(&serving, 200, &tile).await.unwrap(), None, "{path}");
    }
    for path in ["tile/entries/000.p/200", "tile/0/000.p/200", "tile/0/000.p/7"] {
        assert!(read_tile(&serving, 200, &path.parse().unwrap()).await.unwrap().is_some(), "{path}");
    }
}

#[tokio::test]
async fn a_mirror_that_stops_after_any_bundle_goes_on_there() {
    let (mut store, folder) = scratch().await;
    for stopped in 0..3 {
        let bundle = format!("/peer/v1/log/tile/entries/{stopped:03}");
        let mut serving = Serving::new(1_000, None);
        serving.instead.insert(bundle, None);
        let withheld = pull(&store, &serving, &head(1_000)).await.unwrap_err();
        assert!(matches!(withheld, MirrorError::Withheld { size: 1_000, .. }), "{withheld}");
        assert_eq!(store.mirror("telecom").await.unwrap().held, stopped * 256);
        drop(store);
        store = open(folder.path()).await;
    }
    assert_eq!(step(&store, Serving::new(1_000, None), 1_000).await.unwrap(), HONEST);
    assert_eq!(step(&store, Serving::new(1_300, None), 1_300).await.unwrap(), HONEST);
    assert_eq!(store.vouched("telecom").await.unwrap().map(|v| v.size), Some(1_300));
    assert_eq!(store.fsck().await.unwrap().faults, []);
}

#[tokio::test]
async fn what_is_no_bundle_of_the_asked_size_is_not_kept() {
    let (store, _folder) = scratch().await;
    let full = tiles::encode_entries(&leaves(256, None)).unwrap();
    let short = tiles::encode_entries(&leaves(255, None)).unwrap();
    let long = tiles::encode_entries(&leaves(257, None)).unwrap();
    for answer in [vec![], short, long, full[..full.len() - 1].to_vec(), vec![0xff; 300]] {
        let mut serving = Serving::new(300, None);
        serving.instead.insert("/peer/v1/log/tile/entries/000".into(), Some(answer));
        let refused = step(&store, serving, 300).await.unwrap_err();
        assert!(matches!(refused, MirrorError::NotUnderstood { .. }), "{refused}");
        assert_eq!(store.mirror("telecom").await.unwrap().held, 0);
    }
    assert_eq!(step(&store, Serving::new(300, None), 300).await.unwrap(), HONEST);
}

#[tokio::test]
async fn a_log_that_grows_beyond_all_measure_takes_no_disk() {
    let (store, _folder) = scratch().await;
    let far = MirrorHead { size: 1_000_001, ..head(1) };
    let error = pull(&store, &Serving::new(300, None), &far).await.unwrap_err();
    assert!(matches!(error, MirrorError::TooFar { from: 0, to: 1_000_001, .. }), "{error}");
    assert_eq!(store.mirror("telecom").await.unwrap().held, 0);
}

#[tokio::test]
async fn a_leaf_larger_than_any_of_ours_is_not_kept() {
    let (store, _folder) = scratch().await;
    let serving = Serving { leaves: Arc::new(vec![vec![b'x'; (8 << 10) + 1]]), ..Serving::new(1, None) };
    let error = pull(&store, &serving, &head(1)).await.unwrap_err();
    assert!(matches!(&error, MirrorError::NotUnderstood { why, .. } if why.contains("8193")), "{error}");
    assert_eq!(store.mirror("telecom").await.unwrap().held, 0);
}

#[tokio::test]
async fn a_cosigner_shown_forked_leaves_does_not_sign_and_records_evidence() {
    let (store, _folder) = scratch().await;
    assert_eq!(step(&store, Serving::new(300, None), 300).await.unwrap(), HONEST);
    for _again in 0..2 {
        let refused = step(&store, Serving::new(400, Some(350)), 400).await.unwrap_err();
        assert!(matches!(refused, MirrorError::Forked { size: 400, .. }), "{refused}");
    }
    let forks = store.forks().await.unwrap();
    let [fork] = forks.as_slice() else { panic!("{forks:?}") };
    assert_eq!((fork.kind, fork.size, &fork.anchored_note), (ForkKind::Leaves, 400, &note(400, None)));
    assert_eq!(fork.served_root, Tree::of(&leaves(400, Some(350))).root());
    assert_eq!(store.vouched("telecom").await.unwrap().map(|v| v.size), Some(300));
    assert_eq!(store.cosignatures("telecom").await.unwrap().len(), 1);
    // Its word alone convicts nobody: the right leaves are mirrored and cosigned when they come.
    assert_eq!(step(&store, Serving::new(400, None), 400).await.unwrap(), HONEST);
}

#[tokio::test]
async fn a_cosigner_shown_another_checkpoint_of_the_anchored_size_never_signs_that_log_again() {
    let (store, _folder) = scratch().await;
    let false_note = note(300, Some(7));
    let taken = step(&store, Serving::new(300, None).saying(false_note.clone()), 300).await.unwrap();
    assert_eq!(taken, Taken { convicted: true, cosigned: false });
    let forks = store.forks_of("telecom").await.unwrap();
    let [fork] = forks.as_slice() else { panic!("{forks:?}") };
    assert_eq!(fork.kind, ForkKind::Notes);
    // What anybody can check: two checkpoints of one size under one key, with different roots.
    let read = |note: &str| log().verified(note.as_bytes()).unwrap().head().clone();
    let (first, second) = (read(&fork.anchored_note), read(fork.served_note.as_deref().unwrap()));
    assert_eq!((first.size, second.size), (300, 300));
    assert_ne!(first.root, second.root);
    assert_eq!(fork.served_note.as_deref(), Some(false_note.as_str()));
    // Later honesty does not make it undone, and it is told once.
    let later = step(&store, Serving::new(310, None), 310).await.unwrap();
    assert_eq!(later, Taken { convicted: false, cosigned: false });
    let again = step(&store, Serving::new(310, None).saying(false_note), 310).await.unwrap();
    assert_eq!(again, Taken { convicted: false, cosigned: false });
    assert_eq!(store.mirror("telecom").await.unwrap().held, 310);
    assert_eq!(store.vouched("telecom").await.unwrap(), None);
    assert_eq!(store.cosignatures("telecom").await.unwrap(), []);
}

/// Checks the only evidence here as one would who holds neither leaf nor anchor; the size that it is about.
async fn convicts(store: &Store) -> u64 {
    let [fork] = store.forks().await.unwrap().try_into().unwrap();
    let evidence = report::statement(store, &log(), &fork).await.unwrap().unwrap();
    let read = |note: &str| log().verified(note.as_bytes()).unwrap().head().clone();
    let (first, second) = (read(&evidence.first), read(&evidence.second));
    assert_ne!(first.root, evidence.root);
    verify_consistency(first.size, second.size, &evidence.root, &second.root, &evidence.consistency).unwrap();
    first.size
}

#[tokio::test]
async fn a_served_checkpoint_of_any_size_is_compared_sooner_or_later() {
    // Smaller, of a size that was anchored: two signed notes of one size.
    let (store, _folder) = scratch().await;
    let taken = step(&store, Serving::new(300, None).saying(note(100, Some(7))), 300).await.unwrap();
    assert_eq!(taken, Taken { convicted: true, cosigned: false });
    assert_eq!(store.forks().await.unwrap()[0].kind, ForkKind::Notes);
    assert_eq!(store.forks().await.unwrap()[0].anchored_note, note(100, None));
    assert_eq!(convicts(&store).await, 100);

    // Smaller, of a size that never was anchored: the anchored log does not begin with it.
    let (store, _folder) = scratch().await;
    let taken = step(&store, Serving::new(300, None).saying(note(101, Some(7))), 300).await.unwrap();
    assert_eq!(taken, Taken { convicted: true, cosigned: false });
    assert_eq!(store.forks().await.unwrap()[0].kind, ForkKind::Prefix);
    assert_eq!(convicts(&store).await, 101);

    // Larger: it waits for the chain, and an honest one in the same place is forgotten.
    let (store, _folder) = scratch().await;
    for (served, later) in
        [(note(310, None), HONEST), (note(340, Some(7)), Taken { convicted: true, cosigned: false })]
    {
        let size = store.mirror("telecom").await.unwrap().held.max(290) + 10;
        assert_eq!(step(&store, Serving::new(size, None).saying(served), size).await.unwrap(), HONEST);
        let next = size + 20;
        assert_eq!(step(&store, Serving::new(next, None), next).await.unwrap(), later, "{size}");
        assert_eq!(store.served_notes("telecom", 1_000).await.unwrap(), []);
    }

    // Smaller and honest is an agent that is behind; without a checkpoint nothing is cosigned.
    let (store, _folder) = scratch().await;
    assert_eq!(step(&store, Serving::new(300, None).saying(note(1, None)), 300).await.unwrap(), HONEST);
    let silent = Serving { note: None, ..Serving::new(310, None) };
    assert!(matches!(step(&store, silent, 310).await, Err(MirrorError::Withheld { .. })));
    let forged = Checkpoint::sign("net/telecom", 310, head(310).root, &key(99)).unwrap().to_string();
    let forged = step(&store, Serving::new(310, None).saying(forged), 310).await;
    assert!(matches!(forged, Err(MirrorError::NotUnderstood { .. })));
    assert_eq!(store.vouched("telecom").await.unwrap().map(|v| v.size), Some(300));
}

#[tokio::test]
async fn a_log_that_others_convicted_is_mirrored_and_not_cosigned() {
    let (store, _folder) = scratch().await;
    let chain = Tenths { up_to: 300, evidence: true };
    let taken = step_on(chain, &store, Serving::new(300, None), 300).await.unwrap();
    assert_eq!(taken, Taken { convicted: false, cosigned: false });
    assert_eq!(store.mirror("telecom").await.unwrap().held, 300);
    assert_eq!(store.vouched("telecom").await.unwrap(), None);
}

#[tokio::test]
async fn a_cosigner_killed_before_its_signature_makes_the_one_that_it_meant() {
    let (store, folder) = scratch().await;
    pull(&store, &Serving::new(300, None), &head(300)).await.unwrap();
    store.vouch("telecom", 300, &head(300).root, Timestamp(1_234_567)).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(step(&store, Serving::new(300, None), 300).await.unwrap(), HONEST);
    let rows = store.cosignatures("telecom").await.unwrap();
    let meant = us().key.sign(
        &key(COSIGNER_SEED),
        &head(300).note.split("\n\n").next().map(|t| format!("{t}\n")).unwrap(),
        1_234,
    );
    assert_eq!(rows[0].line, meant.to_string());
    assert_eq!(rows[0].time, Timestamp(1_234_000));
}

#[tokio::test]
async fn nobody_cosigns_its_own_log() {
    let (store, _folder) = scratch().await;
    pull(&store, &Serving::new(300, None), &head(300)).await.unwrap();
    let own = cosigners(&genesis()).into_iter().find(|c| c.member == "telecom").unwrap();
    let signed = cosign::cosign(&store, &own, &key(12), &log(), &head(300), Timestamp(1)).await.unwrap();
    assert_eq!(signed, None);
    assert_eq!(store.vouched("telecom").await.unwrap(), None);
}

/// The origin's own store, whose chain anchored a checkpoint.
async fn anchored(store: &Store, size: u64, root: Hash) {
    let event = Event::Anchored { origin: "telecom".into(), size, root };
    let transaction = ProjectedTransaction {
        id: Hash::of(b"anchor"),
        sender: key(LOG_SEED).public(),
        member: Some("telecom".into()),
        action: "AnchorCheckpoint".into(),
        refused: None,
        events: vec![event],
    };
    let block = ProjectedBlock {
        height: 1,
        time: Timestamp(1),
        header: Hash::of(b"header"),
        transactions: vec![transaction],
        missed: vec![],
    };
    store.apply_block(&block).await.unwrap();
}

/// Answers one question with these bytes.
#[derive(Debug)]
struct Answer(Option<Vec<u8>>);

impl Source for Answer {
    async fn get(&self, path: &str, _limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
        assert_eq!(path, "/peer/v1/cosignatures/telecom");
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_cosignature_comes_back_to_the_log_it_is_over_and_is_believed_only_if_it_verifies() {
    let (mirror, _folder) = scratch().await;
    assert_eq!(step(&mirror, Serving::new(300, None), 300).await.unwrap(), HONEST);
    let line = mirror.cosignatures("telecom").await.unwrap().remove(0).line;
    let answer = cosigned_note(&head(300).note, &line).into_bytes();

    let (store, _folder) = scratch().await;
    let collect = async |bytes: Option<Vec<u8>>| cosign::collect(&store, &Answer(bytes), &us(), &log()).await;
    assert_eq!(collect(None).await.unwrap(), None);
    assert_eq!(collect(Some(answer.clone())).await.unwrap(), None, "our chain has not got that far");
    anchored(&store, 300, head(300).root).await;
    for index in [20, answer.len() - 20] {
        let mut changed = answer.clone();
        changed[index] ^= 1;
        assert!(
            matches!(collect(Some(changed)).await, Err(MirrorError::NotUnderstood { .. })),
            "byte {index}"
        );
    }
    let bare = head(300).note.into_bytes();
    assert!(matches!(collect(Some(bare)).await, Err(MirrorError::NotUnderstood { .. })));
    assert_eq!(collect(Some(answer)).await.unwrap(), Some(300));

    let note = UnverifiedCheckpoint::parse(head(300).note.as_bytes()).unwrap();
    let mut checkpoint = note.verify("net/telecom", key(LOG_SEED).public()).unwrap();
    cosign::add_all(&mut checkpoint, &store, &genesis(), "telecom").await.unwrap();
    let verified = checkpoint.cosignatures(&[us().key]).unwrap();
    assert_eq!(verified.iter().map(|c| (c.name.as_str(), c.time)).collect::<Vec<_>>(), [("net/unicom", 5)]);
}
