//! A node that is behind: how fast it catches up, and that nobody can feed it a wrong block.

use std::path::Path;
use std::time::{Duration, Instant};

use anchor::{Block, Genesis, Hash};
use ranproof_chain::{BlockInput, Node, StateMachine as _};
use redb::{Database, ReadableTable as _, TableDefinition};

use super::members::{Federation, agree, reach, stop, until};
use super::toy::Toy;
use super::world::{check_chain, finalize, start};

type FinalRow<'a> = (&'a [u8], &'a [u8], &'a [u8]);
const FINAL: TableDefinition<'_, u64, FinalRow<'_>> = TableDefinition::new("final");

/// Makes blocks until `height`, each with a few transactions.
async fn grow(node: &Node, height: u64) {
    for n in 0u64.. {
        if node.tip().height >= height {
            return;
        }
        for part in 0..5u8 {
            node.submit([&n.to_be_bytes()[..], &[part; 100]].concat()).await.unwrap();
        }
        finalize(node, &n.to_be_bytes()).await;
    }
}

#[tokio::test]
async fn a_late_node_catches_up_at_more_than_twenty_blocks_per_second() {
    let mut federation = Federation::new(&[1, 1, 1]);
    let late = federation.add("late", 9);
    let nodes = federation.start().await;
    grow(&nodes[0], 300).await;
    let begun = Instant::now();
    let late = start(&late).await;
    reach(&late, 300).await;
    let rate = 300.0 / begun.elapsed().as_secs_f64();
    println!("a late node catches up with {rate:.0} blocks per second, start and connections included");
    assert!(rate >= 20.0, "{rate}");
    assert!(!late.votes());
    agree(&nodes[0], &late).await;
    check_chain(&late, federation.genesis()).await;
    stop(&nodes).await;
    late.shutdown().await;
}

/// Puts another block into a stopped node's store.
fn falsify(folder: &Path, height: u64, change: impl FnOnce(&Genesis, Block) -> Block, genesis: &Genesis) {
    let db = Database::open(folder.join("chain.redb")).unwrap();
    let write = db.begin_write().unwrap();
    {
        let mut table = write.open_table(FINAL).unwrap();
        let (block, certificate, receipts) = {
            let row = table.get(height).unwrap().unwrap();
            let (block, certificate, receipts) = row.value();
            (block.to_vec(), certificate.to_vec(), receipts.to_vec())
        };
        let block = change(genesis, Block::decode(&block).unwrap()).encode();
        table.insert(height, (&*block, &*certificate, &*receipts)).unwrap();
    }
    write.commit().unwrap();
}

/// The header is the real one, the body is not.
fn other_body(_: &Genesis, mut block: Block) -> Block {
    block.transactions.push(b"never submitted".to_vec());
    block
}

/// A block that is right in itself: it executes, and its roots fit. Only nobody has ever voted for it.
fn other_block(genesis: &Genesis, mut block: Block) -> Block {
    block.transactions = vec![b"never submitted".to_vec()];
    let header = &mut block.header;
    assert_eq!(header.height, 1, "on the empty state");
    let machine = Toy::new(genesis.validator_set());
    let (height, time) = (header.height, header.time);
    let outcome = machine.execute(&BlockInput { height, time, transactions: &block.transactions }).unwrap();
    let receipts: Vec<_> = outcome.receipts.iter().map(anchor::Receipt::encode).collect();
    header.txs_root = anchor::tree::root(&block.transactions);
    header.receipts_root = anchor::tree::root(&receipts);
    header.state_root = outcome.state_root;
    block
}

/// The values are the real ones, the header claims another state.
fn other_state(_: &Genesis, mut block: Block) -> Block {
    block.header.state_root = Hash::of(b"another state");
    block
}

/// A late node meets a liar first, alone, and then the honest ones.
async fn catch_up_past_a_liar(height: u64, change: fn(&Genesis, Block) -> Block) {
    let mut federation = Federation::new(&[1, 1, 1, 1]);
    let late = federation.add("late", 9);
    let mut nodes = federation.start().await;
    grow(&nodes[0], 12).await;
    let tip = nodes[0].tip().height;
    reach(&nodes[3], tip).await;
    stop(&nodes).await;
    let liar = &federation.configs[3];
    falsify(&liar.data_dir, height, change, federation.genesis());
    // It hears from too few to vote, and serves all the same.
    nodes[3] = start(liar).await;

    let late = start(&late).await;
    until(&late, "it has come to the wrong block", |status| status.tip.height == height - 1).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while late.status().refused.synced == 0 && Instant::now() < deadline {
        assert!(late.tip().height < height, "a wrong block is final");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (node, config) in nodes.iter_mut().zip(&federation.configs[..3]) {
        *node = start(config).await;
    }
    finalize(&nodes[0], b"the honest ones are back").await;
    let tip = nodes[0].tip().height;
    reach(&late, tip).await;
    agree(&nodes[0], &late).await;
    check_chain(&late, federation.genesis()).await;
    assert!(late.status().refused.synced > 0, "no wrong block was served");
    stop(&nodes).await;
    late.shutdown().await;
}

#[tokio::test]
async fn a_changed_body_under_a_genuine_header_is_refused() {
    catch_up_past_a_liar(7, other_body).await;
}

#[tokio::test]
async fn a_well_made_block_under_the_certificate_of_another_is_refused() {
    catch_up_past_a_liar(1, other_block).await;
}

#[tokio::test]
async fn a_block_with_altered_values_is_refused() {
    catch_up_past_a_liar(5, other_state).await;
}
