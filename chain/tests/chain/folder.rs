//! The data folder: who may use it, and what it must not have lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ranproof_chain::{HomeError, Node, StartError};

use super::world::{alone, check_chain, finalize, genesis, key, start, toy};

async fn refusal(config: &ranproof_chain::NodeConfig) -> HomeError {
    match Node::start(config.clone(), toy(config)).await {
        Err(StartError::Home(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_folder_serves_one_node() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    assert!(matches!(refusal(&config).await, HomeError::Locked(_)));
    finalize(&node, b"the first goes on").await;
    node.shutdown().await;
}

#[tokio::test]
async fn another_genesis_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    start(&config).await.shutdown().await;
    let mut other = config.clone();
    other.genesis.time += 1;
    let error = refusal(&other).await;
    assert!(error.to_string().contains("genesis"), "{error}");
}

#[tokio::test]
async fn lost_votes_keep_the_node_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = alone(folder.path());
    let wal = folder.path().join("wal/consensus.wal");
    let store = folder.path().join("chain.redb");
    let node = start(&config).await;
    let height = finalize(&node, b"a").await;
    node.shutdown().await;

    fs::copy(&wal, folder.path().join("old.wal")).unwrap();
    fs::remove_file(&wal).unwrap();
    let error = refusal(&config).await;
    assert!(matches!(error, HomeError::Amnesia { .. }) && error.to_string().contains("rejoin"), "{error}");

    config.rejoin = true;
    let node = start(&config).await;
    assert!(node.votes() && node.tip().height >= height);
    for n in 0..4u8 {
        finalize(&node, &[n]).await;
    }
    check_chain(&node, &config.genesis).await;
    node.shutdown().await;

    config.rejoin = false;
    fs::copy(folder.path().join("old.wal"), &wal).unwrap();
    let error = refusal(&config).await;
    assert!(matches!(error, HomeError::Amnesia { .. }), "an old copy of the log: {error}");

    fs::remove_file(&store).unwrap();
    for _ in 0..2 {
        config.rejoin = false;
        assert!(matches!(refusal(&config).await, HomeError::Amnesia { .. }));
        config.rejoin = true;
        assert!(matches!(refusal(&config).await, HomeError::NothingToRejoin { .. }));
        fs::remove_dir_all(folder.path().join("wal")).unwrap();
    }
}

/// Its name among peers is all that is left, of a copy perhaps: neither the folder nor its absence says what was voted.
#[tokio::test]
async fn an_emptied_folder_is_no_new_one() {
    let folder = tempfile::tempdir().unwrap();
    // Its own power decides, so that nobody need answer its first question.
    let mut config = ranproof_chain::NodeConfig::new(folder.path(), genesis(&[9, 1, 1, 1]), key(1));
    let (unused, store) = (folder.path().join("unused"), folder.path().join("chain.redb"));
    ranproof_chain::peer_id(folder.path()).unwrap();
    assert!(unused.exists());
    let node = start(&config).await;
    assert!(node.votes() && !unused.exists(), "the mark is gone before the first vote");
    node.shutdown().await;

    // Another name does not make it new.
    fs::remove_dir_all(folder.path().join("keys")).unwrap();
    ranproof_chain::peer_id(folder.path()).unwrap();
    assert!(!unused.exists());
    fs::remove_file(&store).unwrap();
    fs::remove_dir_all(folder.path().join("wal")).unwrap();
    for _ in 0..2 {
        let error = refusal(&config).await;
        assert!(matches!(error, HomeError::Amnesia { .. }) && error.to_string().contains("gone"), "{error}");
        assert!(!store.exists(), "a refused start leaves what looks like a first one");
    }
    config.rejoin = true;
    let node = start(&config).await;
    assert!(!node.votes() && node.status().abstains);
    node.shutdown().await;
}

#[tokio::test]
async fn rejoining_among_others_abstains_until_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    // Its own power decides, so that nobody need answer its first question.
    let mut config = ranproof_chain::NodeConfig::new(folder.path(), genesis(&[9, 1, 1, 1]), key(1));
    let node = start(&config).await;
    assert!(node.votes());
    node.shutdown().await;
    fs::remove_file(folder.path().join("wal/consensus.wal")).unwrap();
    assert!(matches!(refusal(&config).await, HomeError::Amnesia { .. }));
    config.rejoin = true;
    for _ in 0..2 {
        let node = start(&config).await;
        assert!(!node.votes() && node.status().abstains);
        node.shutdown().await;
        // Forgetting the flag does not bring the votes back.
        config.rejoin = false;
    }
}

#[tokio::test]
async fn an_interrupted_first_start_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    // What a crash while the store was being created leaves.
    fs::create_dir_all(folder.path().join("wal")).unwrap();
    fs::write(folder.path().join("chain.new"), b"half a file").unwrap();
    let node = start(&config).await;
    finalize(&node, b"a").await;
    node.shutdown().await;
}

#[tokio::test]
async fn the_identity_among_peers_is_kept_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let announced = ranproof_chain::peer_id(folder.path()).unwrap();
    let node = start(&config).await;
    assert_eq!(node.peer_id(), announced);
    node.shutdown().await;
    let path = folder.path().join("keys/p2p.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, "no key").unwrap();
    assert!(matches!(refusal(&config).await, HomeError::BadKey { .. }));
}
