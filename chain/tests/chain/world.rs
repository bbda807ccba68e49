//! Genesis, nodes, and the check that every test ends with.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anchor::tree::{self, Frontier};
use anchor::{Genesis, Hash, SigningKey, Validator};
use ranproof_chain::{BlockInput, FinalBlock, Node, NodeConfig, StateMachine as _};

use super::toy::Toy;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

pub fn genesis(powers: &[u64]) -> Genesis {
    let validators = (1u8..).zip(powers).map(|(n, power)| Validator {
        key: key(n).public(),
        power: *power,
        member: format!("m{n}"),
    });
    Genesis {
        format: Genesis::FORMAT.into(),
        chain_id: "toy".into(),
        time: 1_700_000_000_000,
        rules_version: 1,
        members: vec![],
        validators: validators.collect(),
    }
}

/// A chain of one validator.
pub fn alone(folder: &Path) -> NodeConfig {
    NodeConfig::new(folder, genesis(&[1]), key(1))
}

pub fn toy(config: &NodeConfig) -> Box<Toy> {
    Box::new(Toy::new(config.genesis.validator_set()))
}

/// `RUST_LOG=info` shows what the nodes of a test say.
pub fn show_logs() {
    let quiet = format!("error,{}", ranproof_chain::ENGINE_LOG_FILTER);
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet.into());
    // Another test of this process may have done it.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

pub async fn start(config: &NodeConfig) -> Node {
    show_logs();
    Node::start(config.clone(), toy(config)).await.unwrap()
}

/// Submits and waits; returns the height.
pub async fn finalize(node: &Node, transaction: &[u8]) -> u64 {
    let id = node.submit(transaction.to_vec()).await.unwrap();
    node.wait_final(&id, PATIENCE).await.unwrap().height
}

/// All final blocks of the node, checked from the outside: heights, times and hashes form a chain,
/// certificates verify, a fresh machine reproduces every root, and no transaction stands in two blocks.
pub async fn check_chain(node: &Node, genesis: &Genesis) -> Vec<FinalBlock> {
    let mut subscription = node.subscribe_from(1);
    let mut blocks = vec![];
    // The heartbeat may add a block while this goes on.
    let tip = node.tip();
    for _ in 1..=tip.height {
        blocks.push(subscription.next().await.unwrap());
    }
    let validators = genesis.validator_set();
    let mut machine = Toy::new(validators.clone());
    let (mut previous, mut time) = (Hash::ZERO, genesis.time);
    let (mut history, mut seen) = (Frontier::default(), BTreeSet::new());
    for (height, final_block) in (1..).zip(&blocks) {
        let header = &final_block.block.header;
        let transactions = &final_block.block.transactions;
        assert_eq!((header.height, header.previous), (height, previous));
        assert!(header.time > time, "time stands still at {height}");
        assert_eq!(final_block.certificate.header, header.hash());
        assert_eq!(final_block.certificate.height, height);
        final_block.certificate.verify(&genesis.hash(), &validators).unwrap();
        assert_eq!(header.history_root, history.root());
        assert_eq!(header.txs_root, tree::root(transactions));
        let receipts: Vec<_> = final_block.receipts.iter().map(anchor::Receipt::encode).collect();
        assert_eq!(header.receipts_root, tree::root(&receipts));
        assert_eq!((header.valset, header.next_valset), (validators.hash(), validators.hash()));
        let outcome = machine.execute(&BlockInput { height, time: header.time, transactions }).unwrap();
        assert_eq!(header.state_root, outcome.state_root);
        assert_eq!(outcome.receipts, final_block.receipts);
        machine.commit(outcome);
        for transaction in transactions {
            assert!(seen.insert(transaction.clone()), "a transaction stands in two blocks");
            let refused = transaction.starts_with(b"odd");
            assert_eq!(machine.applied(transaction), u64::from(!refused));
        }
        (previous, time) = (header.hash(), header.time);
        history.push(tree::leaf_hash(previous.as_bytes()));
    }
    assert_eq!(tip.header, previous);
    blocks
}
