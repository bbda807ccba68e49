//! How many signed transactions four nodes make final, and how soon: a contract that does nothing but check
//! signatures, twice as a real one does, and callers who wait for finality before they submit again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anchor::{Hash, PublicKey, Receipt, ReceiptOutcome, Signature, SigningKey, ValidatorSet};
use ranproof_chain::{BlockInput, InvalidBlock, Node, Outcome, Refusal, RestoreError, StateMachine};

use super::members::{Federation, stop};
use super::world::{PATIENCE, key, show_logs};

/// Its state is how many it has accepted.
struct Signed(ValidatorSet, u64);

const PAYLOAD: usize = 200;

fn sign(key: &SigningKey, n: u64) -> Vec<u8> {
    let payload = [&n.to_be_bytes()[..], &[7; PAYLOAD - 8]].concat();
    [&key.public().0[..], &key.sign(&payload).0, &payload].concat()
}

fn verifies(transaction: &[u8]) -> bool {
    let Some((key, rest)) = transaction.split_first_chunk::<32>() else { return false };
    let Some((signature, payload)) = rest.split_first_chunk::<64>() else { return false };
    PublicKey(*key).verifies(payload, &Signature(*signature))
}

impl StateMachine for Signed {
    fn restore(&mut self, _: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), RestoreError> {
        self.1 = entries.first().map_or(0, |(_, value)| u64::from_be_bytes(value[..].try_into().unwrap()));
        Ok(())
    }

    fn check(&self, transaction: &[u8]) -> Result<(), Refusal> {
        let refusal = || Refusal { code: "signature".into(), reason: "it does not verify".into() };
        if verifies(transaction) { Ok(()) } else { Err(refusal()) }
    }

    fn sender(&self, transaction: &[u8]) -> Option<[u8; 32]> {
        transaction.first_chunk::<32>().copied()
    }

    fn execute(&self, input: &BlockInput<'_>) -> Result<Outcome, InvalidBlock> {
        if !input.transactions.iter().all(|transaction| verifies(transaction)) {
            return Err(InvalidBlock { reason: "a signature does not verify".into() });
        }
        let receipt = |t: &Vec<u8>| Receipt { transaction: Hash::of(t), outcome: ReceiptOutcome::Accepted };
        let count = self.1 + input.transactions.len() as u64;
        Ok(Outcome {
            height: input.height,
            receipts: input.transactions.iter().map(receipt).collect(),
            state_root: Hash::of(&count.to_be_bytes()),
            next_validators: self.0.clone(),
            changes: vec![(b"count".to_vec(), Some(count.to_be_bytes().to_vec()))],
            post: Box::new(count),
        })
    }

    fn commit(&mut self, outcome: Outcome) {
        self.1 = *outcome.post.downcast().unwrap();
    }

    fn state_root(&self) -> Hash {
        Hash::of(&self.1.to_be_bytes())
    }

    fn validators(&self) -> ValidatorSet {
        self.0.clone()
    }

    fn rules_version(&self) -> u32 {
        1
    }
}

/// `callers` submit and wait, again and again, until the time is up; returns each one's waits, sorted.
async fn load(nodes: &[Node], callers: u8, time: Duration) -> Vec<Duration> {
    let counter = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let tasks = (0..callers).map(|n| {
        let (node, counter, key) =
            (nodes[usize::from(n) % nodes.len()].clone(), counter.clone(), key(100 + n % 8));
        tokio::spawn(async move {
            let mut waits = vec![];
            while Instant::now() < until {
                let transaction = sign(&key, counter.fetch_add(1, Ordering::Relaxed));
                let begun = Instant::now();
                let id = node.submit(transaction).await.unwrap();
                node.wait_final(&id, PATIENCE).await.unwrap();
                waits.push(begun.elapsed());
            }
            waits
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut waits = vec![];
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    waits.sort();
    waits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_transactions_per_second() {
    show_logs();
    let federation = Federation::new(&[3, 3, 3, 1]);
    let mut nodes = vec![];
    for config in &federation.configs {
        let machine = Box::new(Signed(config.genesis.validator_set(), 0));
        nodes.push(Node::start(config.clone(), machine).await.unwrap());
    }
    // All are there, and nothing is cold.
    load(&nodes, 4, Duration::from_secs(2)).await;
    for (callers, time) in [(1, Duration::from_secs(2)), (160, Duration::from_secs(5))] {
        let (heights, begun) = (nodes[0].tip().height, Instant::now());
        let waits = load(&nodes, callers, time).await;
        let rate = waits.len() as f64 / begun.elapsed().as_secs_f64();
        let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        println!(
            "{callers} callers: {rate:.0} signed transactions/s, {} blocks, p50 {:?}, p99 {:?}",
            nodes[0].tip().height - heights,
            at(50),
            at(99)
        );
        // A floor that holds on a busy machine; the figures are what is printed.
        assert!(callers == 1 || rate > 100.0, "{rate}");
    }
    stop(&nodes).await;
}
