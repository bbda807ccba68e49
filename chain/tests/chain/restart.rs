//! Stopping and starting again.

use anchor::Hash;
use ranproof_chain::{HomeError, Node, StartError, Status};

use super::toy::Toy;
use super::world::{alone, check_chain, finalize, start};

#[tokio::test]
async fn restart_continues_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let mut known: Vec<(Vec<u8>, u64)> = vec![];
    for round in 0..4u8 {
        let node = start(&config).await;
        let tip = node.tip().height;
        for (transaction, height) in &known {
            let status = node.status_of(&Hash::of(transaction)).await.unwrap();
            assert!(matches!(status, Status::Final(f) if f.height == *height));
        }
        for n in 0..3u8 {
            let transaction = vec![round, n];
            let height = finalize(&node, &transaction).await;
            assert!(height > tip);
            known.push((transaction, height));
        }
        check_chain(&node, &config.genesis).await;
        node.shutdown().await;
    }
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    finalize(&node, b"a").await;
    drop(node);
    // The folder is free once the node has stopped.
    let node = loop {
        match Node::start(config.clone(), super::world::toy(&config)).await {
            Ok(node) => break node,
            Err(StartError::Home(HomeError::Locked(_))) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(matches!(node.status_of(&Hash::of(b"a")).await.unwrap(), Status::Final(_)));
    node.shutdown().await;
}

#[tokio::test]
async fn a_machine_that_restores_to_another_root_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let node = start(&config).await;
    finalize(&node, b"a").await;
    node.shutdown().await;
    let other = Box::new(Toy::salted(config.genesis.validator_set(), 1));
    let error = Node::start(config.clone(), other).await.unwrap_err();
    assert!(matches!(&error, StartError::Restore(why) if why.contains("another root")), "{error}");
    start(&config).await.shutdown().await;
}
