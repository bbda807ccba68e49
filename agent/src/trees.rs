//! Merkle trees of the logs that are held here, kept in memory and grown. Leaves never change once they have an index,
//! so that a tree read once stays right; making it anew for every proof would cost the log's whole length each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use anchor::Tree;
use anchor::transaction::MemberId;
use anyhow::{Result, ensure};
use store::Store;
use tokio::sync::Mutex;

/// Hashes read in one go.
const PAGE: u64 = 65_536;

/// The own log's tree, and those of mirrored logs that somebody asked a proof from.
#[derive(Debug, Default)]
pub struct Trees {
    own: Mutex<Arc<Tree>>,
    mirrored: Mutex<BTreeMap<MemberId, Arc<Tree>>>,
}

/// Whose log.
#[derive(Debug, Clone, Copy)]
enum Log<'a> {
    Own,
    Of(&'a str),
}

impl Trees {
    /// The own log's tree with at least `size` leaves, staged ones included.
    pub async fn own(&self, store: &Store, size: u64) -> Result<Arc<Tree>> {
        let mut tree = self.own.lock().await;
        grow(&mut tree, store, Log::Own, size).await?;
        Ok(tree.clone())
    }

    /// The tree of `origin`'s mirrored log with at least `size` leaves, all of them below a checked head.
    pub async fn mirrored(&self, store: &Store, origin: &str, size: u64) -> Result<Arc<Tree>> {
        let mut trees = self.mirrored.lock().await;
        let tree = trees.entry(origin.to_owned()).or_default();
        grow(tree, store, Log::Of(origin), size).await?;
        Ok(tree.clone())
    }
}

async fn grow(tree: &mut Arc<Tree>, store: &Store, log: Log<'_>, size: u64) -> Result<()> {
    while tree.size() < size {
        let (from, to) = (tree.size(), size.min(tree.size().saturating_add(PAGE)));
        let hashes = match log {
            Log::Own => store.leaf_hashes(from, to).await?,
            Log::Of(origin) => store.mirror_hashes(origin, from, to).await?,
        };
        let found = from + hashes.len() as u64;
        ensure!(found == to, "{log} has {found} leaves in the store, {size} were expected");
        // Copied only while somebody makes proofs from the smaller one.
        let grown = Arc::make_mut(tree);
        for hash in hashes {
            grown.push(hash);
        }
    }
    Ok(())
}

impl std::fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Log::Own => f.write_str("the log"),
            Log::Of(origin) => write!(f, "the mirrored log of {origin}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use store::StoreConfig;

    use super::*;

    #[tokio::test]
    async fn a_tree_grows_with_its_log_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(folder.path().join("ranproof.db"))).await.unwrap();
        let leaves: Vec<_> = (0..300u32).map(|n| n.to_string().into_bytes()).collect();
        let trees = Trees::default();
        for size in [0usize, 7, 256, 300] {
            let held = store.mirror("unicom").await.unwrap().held;
            store.append_mirror("unicom", held, &leaves[held as usize..size]).await.unwrap();
            let tree = trees.mirrored(&store, "unicom", size as u64).await.unwrap();
            assert_eq!(tree.root(), Tree::of(&leaves[..size]).root());
        }
        let earlier = trees.mirrored(&store, "unicom", 7).await.unwrap();
        assert_eq!(earlier.root_at(7).unwrap(), Tree::of(&leaves[..7]).root());
        let missing = trees.mirrored(&store, "unicom", 301).await.unwrap_err().to_string();
        assert!(missing.contains("unicom") && missing.contains("301"), "{missing}");
        assert_eq!(trees.own(&store, 0).await.unwrap().size(), 0);
        assert!(trees.own(&store, 1).await.is_err());
    }
}
