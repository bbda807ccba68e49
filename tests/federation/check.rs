//! The whole-system check after a fault: one chain, nothing lost or doubled, no log that changed its story, and books
//! that balance.

use std::collections::{BTreeMap, BTreeSet};

use anchor::Hash;
use anchor::record::{Attestation, Counts};
use anchor::tree::{Tree, leaf_hash};
use model::inventory::Accounting;
use model::{Dn, Outcome};
use store::{BlockRow, RoundRow, Store, Vouched};

use crate::person::Acknowledged;
use crate::world::{MEMBERS, STATIONS, TELECOM, UNICOM, World};

/// More than any test here has of anything.
const ALL: u32 = 1_000_000;

/// What was once seen of the chain and must be found there for ever.
#[derive(Debug, Default)]
pub struct Seen {
    /// Header by height.
    headers: BTreeMap<u64, Hash>,
    /// Root of an origin's log by its size.
    checkpoints: BTreeMap<(String, u64), Hash>,
    /// Where each transaction stands, by member, as far as was looked at.
    places: [Places; 4],
    /// Largest size of an origin's log that a member's cosigner vouched for, by member and origin.
    vouched: BTreeMap<(&'static str, &'static str), u64>,
}

/// A member's transactions up to a height.
#[derive(Debug, Default)]
struct Places {
    height: u64,
    places: BTreeMap<Hash, (u64, u32)>,
}

impl World {
    /// Asserts what must hold at any instant, whoever is down: the members agree on all that is final, and what an agent
    /// acknowledged stands there once. Looks at the databases of the agents, which may run.
    pub fn check_chain(&mut self) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for (member, name) in MEMBERS.into_iter().enumerate() {
            let store = self.store(member);
            let places = &mut self.seen.places[member];
            let (blocks, anchors, vouched) = self.runtime.block_on(async {
                let blocks = store.blocks(None, ALL).await.unwrap();
                places.extend(&store, &blocks, name).await;
                places.check(&acknowledged, name);
                let (mut anchors, mut vouched) = (Vec::new(), Vec::new());
                for origin in MEMBERS {
                    anchors.extend(store.chain_anchors(origin, ALL).await.unwrap());
                    vouched.extend(store.vouched(origin).await.unwrap().map(|head| (origin, head)));
                }
                store.close().await;
                (blocks, anchors, vouched)
            });
            let heights: Vec<u64> = blocks.iter().rev().map(|block| block.height).collect();
            assert_eq!(heights, (1..=blocks.len() as u64).collect::<Vec<_>>(), "{}", name);
            for block in blocks {
                let first = *self.seen.headers.entry(block.height).or_insert(block.header);
                assert_eq!(first, block.header, "two blocks are final at {}: {}", block.height, name);
            }
            for anchor in anchors {
                let key = (anchor.origin.clone(), anchor.size);
                let first = *self.seen.checkpoints.entry(key).or_insert(anchor.root);
                assert_eq!(first, anchor.root, "{} has two logs of size {}", anchor.origin, anchor.size);
            }
            for (origin, head) in vouched {
                self.check_vouched(name, origin, &head);
            }
        }
    }

    /// A cosigner never goes back, and vouches only for what the chain anchored.
    fn check_vouched(&mut self, member: &'static str, origin: &'static str, head: &Vouched) {
        let anchored = self.seen.checkpoints.get(&(origin.to_owned(), head.size));
        assert_eq!(anchored, Some(&head.root), "{member} vouches for another log of {origin}");
        let last = self.seen.vouched.entry((member, origin)).or_default();
        assert!(head.size >= *last, "{member} went back from {last} to {} in {origin}'s log", head.size);
        *last = head.size;
    }

    /// Asserts all that must hold once everybody runs, is connected and has nothing left to do. Waits for that.
    pub fn check(&mut self) {
        self.settle();
        // Once more from the first block, not from where the last look ended.
        self.seen.places = Default::default();
        self.check_chain();
        for (member, name) in MEMBERS.into_iter().enumerate() {
            let store = self.store(member);
            self.runtime.block_on(async {
                let newest = store.blocks(None, 1).await.unwrap().pop().map_or(0, |block| block.height);
                for acknowledged in self.acknowledged.lock().unwrap().iter() {
                    assert!(acknowledged.height <= newest, "{} lacks {acknowledged:?}", name);
                }
                log(&store, name, &self.seen).await;
                for origin in MEMBERS.into_iter().filter(|origin| *origin != name) {
                    mirror(&store, name, origin, &self.seen).await;
                }
                let report = store.fsck().await.unwrap();
                assert!(report.is_clean(), "{}: {report:?}", name);
                store.close().await;
            });
        }
        let store = self.store(TELECOM);
        self.runtime.block_on(async {
            rounds(&store).await;
            store.close().await;
        });
    }

    /// Waits until all members have every block, every log is anchored whole, and every round attested.
    fn settle(&self) {
        let stores: Vec<Store> = (0..MEMBERS.len()).map(|member| self.store(member)).collect();
        let wait = |what: &str, member: usize, ready: &dyn Fn(&Store) -> bool| {
            self.wait_for(&format!("{what} of {}", MEMBERS[member]), || ready(&stores[member]).then_some(()));
        };
        let members = || 0..MEMBERS.len();
        // What one waits for makes the work that the next one waits for.
        wait("rest", TELECOM, &|store| self.runtime.block_on(is_at_rest(store)));
        self.level();
        wait("judgement", UNICOM, &|store| self.runtime.block_on(is_judged(store)));
        members().for_each(|member| wait("rest", member, &|store| self.runtime.block_on(is_at_rest(store))));
        self.level();
        for (member, origin) in members().flat_map(|member| MEMBERS.map(|origin| (member, origin))) {
            if origin != MEMBERS[member] {
                let cosigned = !self.convicted.contains(origin);
                wait(&format!("mirror of {origin}'s log"), member, &|store| {
                    self.runtime.block_on(is_mirrored(store, origin, cosigned))
                });
            }
        }
        stores.iter().for_each(|store| self.runtime.block_on(store.close()));
    }

    /// Waits until everybody has the newest block.
    fn level(&self) {
        let newest = (0..MEMBERS.len()).map(|member| self.tip(member)).max().unwrap();
        for member in 0..MEMBERS.len() {
            self.reach(member, newest);
        }
    }
}

async fn is_at_rest(store: &Store) -> bool {
    let log = store.log_state().await.unwrap();
    let rounds = store.rounds(None, ALL).await.unwrap();
    let attested = rounds.iter().all(|row| row.finished.is_some() && row.attested.is_some());
    let sent = store.pending_transactions().await.unwrap().is_empty();
    log.waiting == 0 && log.staged.is_none() && attested && sent
}

/// Unicom has judged the last round that Telecom attested, and its log holds the summary.
async fn is_judged(store: &Store) -> bool {
    let rounds = store.chain_rounds(MEMBERS[TELECOM], ALL).await.unwrap();
    let attested = rounds.iter().filter(|round| round.attestation.is_some());
    let last = attested.map(|round| round.opening.round).max().unwrap_or(0);
    let judged =
        store.judged_rounds(MEMBERS[UNICOM], MEMBERS[TELECOM], last.saturating_sub(1), 1).await.unwrap();
    last == 0 || judged.iter().any(|(round, leaf)| *round == last && leaf.is_some())
}

/// The newest anchored head is mirrored, and vouched for unless its origin is convicted.
async fn is_mirrored(store: &Store, origin: &str, cosigned: bool) -> bool {
    let anchored = store.chain_anchor(origin).await.unwrap().map_or(0, |anchor| anchor.size);
    let reached = match cosigned {
        true => store.vouched(origin).await.unwrap().map(|head| head.size),
        false => store.mirror(origin).await.unwrap().head.map(|head| head.size),
    };
    reached.unwrap_or(0) == anchored
}

impl Places {
    /// Looks at what is new, in which no known transaction stands a second time.
    async fn extend(&mut self, store: &Store, blocks: &[BlockRow], member: &str) {
        for block in blocks.iter().rev().filter(|block| block.height > self.height) {
            let transactions = store.transactions_at(block.height).await.unwrap();
            for transaction in transactions {
                let place = (block.height, transaction.index);
                let earlier = self.places.insert(transaction.id, place);
                assert_eq!(earlier, None, "{member} has transaction {} at {place:?} again", transaction.id);
            }
        }
        self.height = blocks.first().map_or(0, |block| block.height);
    }

    /// Each acknowledged transaction stands where its agent said, unless this member has not come so far yet.
    fn check(&self, acknowledged: &[Acknowledged], member: &str) {
        for Acknowledged { id, height, index } in acknowledged.iter().filter(|a| a.height <= self.height) {
            assert_eq!(
                self.places.get(id),
                Some(&(*height, *index)),
                "{member}: acknowledged transaction {id}"
            );
        }
    }
}

/// The member's own log gives the root of each of its checkpoints that anybody ever saw on the chain.
async fn log(store: &Store, origin: &str, seen: &Seen) {
    let state = store.log_state().await.unwrap();
    let mut tree = Tree::default();
    let mut subjects = BTreeSet::new();
    for index in 0..state.size {
        let leaf = store.leaf(index).await.unwrap().unwrap();
        let subject = (leaf.kind.clone(), leaf.subject.clone());
        assert!(subjects.insert(subject), "{origin}: {} {} twice", leaf.kind, leaf.subject);
        tree.push(leaf_hash(&leaf.envelope));
        let at_this_size = seen.checkpoints.get(&(origin.to_owned(), tree.size()));
        assert!(at_this_size.is_none_or(|root| *root == tree.root()), "{origin} changed its log");
    }
    let largest = seen.checkpoints.keys().filter(|(of, _)| of == origin).map(|(_, size)| *size).max();
    assert_eq!(largest.unwrap_or(0), state.size, "{origin}: the chain has another log");
}

/// The mirror of another's log gives the root of each of its checkpoints that anybody ever saw on the chain.
async fn mirror(store: &Store, member: &str, origin: &str, seen: &Seen) {
    for ((_, size), root) in seen.checkpoints.range((origin.to_owned(), 0)..=(origin.to_owned(), u64::MAX)) {
        let mirrored = store.mirror_root(origin, *size).await.unwrap();
        assert_eq!(mirrored, Some(*root), "{member}'s mirror of {origin}'s log at {size}");
    }
}

/// The outcomes of a round's stations, counted again one by one.
async fn count(store: &Store, round: u64) -> Accounting {
    let results = store.station_results(round).await.unwrap();
    let stations: BTreeSet<&Dn> = results.iter().map(|result| &result.element).collect();
    assert_eq!(stations.len(), results.len(), "round {round} has a station twice");
    let of = |wanted: fn(&Outcome) -> bool| results.iter().filter(|r| wanted(&r.outcome)).count() as u64;
    Accounting {
        expected: results.len() as u64,
        collected: of(|outcome| matches!(outcome, Outcome::Collected)),
        unchanged: of(|outcome| matches!(outcome, Outcome::Unchanged)),
        failed: of(|outcome| matches!(outcome, Outcome::Failed { .. })),
        skipped: of(|outcome| matches!(outcome, Outcome::Skipped { .. })),
    }
}

/// The member's transactions that opened or attested a round and that the contract took: one for each.
async fn accepted(store: &Store, member: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::from([("OpenRound", 0), ("AttestRound", 0)]);
    for block in store.blocks(None, ALL).await.unwrap() {
        for transaction in store.transactions_at(block.height).await.unwrap() {
            let taken = transaction.refused.is_none() && transaction.member.as_deref() == Some(member);
            if let Some(count) = counts.get_mut(transaction.action.as_str()).filter(|_| taken) {
                *count += 1;
            }
        }
    }
    counts
}

/// What the origin attested of a round, from its own bytes.
fn attested(row: &RoundRow) -> Attestation {
    anchor::json::decode(row.attestation.as_ref().unwrap()).unwrap()
}

/// Rounds are numbered without gaps and account for every station; the chain has one opening and attestation of each.
async fn rounds(store: &Store) {
    let rounds = store.rounds(None, ALL).await.unwrap();
    let numbers: Vec<u64> = rounds.iter().rev().map(|row| row.start.round).collect();
    assert_eq!(numbers, (1..=rounds.len() as u64).collect::<Vec<_>>());
    let chain = store.chain_rounds(MEMBERS[TELECOM], ALL).await.unwrap();
    let openings: BTreeSet<u64> = chain.iter().map(|round| round.opening.round).collect();
    for (action, count) in accepted(store, MEMBERS[TELECOM]).await {
        let expected = if action == "OpenRound" {
            openings.len()
        } else {
            chain.iter().filter(|r| r.attestation.is_some()).count()
        };
        assert_eq!(count, expected, "{action} transactions");
    }
    for row in &rounds {
        let round = row.start.round;
        let told = attested(row).counts;
        let counted = count(store, round).await;
        assert_eq!(counted.expected, STATIONS as u64, "round {round}");
        assert_eq!(
            row.accounting, counted,
            "round {round} is shown with other numbers than its stations give"
        );
        let Counts { expected, collected, unchanged, failed, skipped } = told;
        let told = Accounting { expected, collected, unchanged, failed, skipped };
        assert_eq!(told, counted, "round {round} is attested with other numbers than its stations give");
        assert!(row.start.opened.is_none() || openings.contains(&round), "round {round} lost its opening");
    }
    for round in chain {
        let attestation = round.attestation.map(|statement| statement.attestation);
        let row = rounds.iter().find(|row| row.start.round == round.opening.round).unwrap();
        let own = row.attestation.as_ref().map(|bytes| Hash::of(bytes));
        assert_eq!(attestation, own, "round {} is attested as something else", row.start.round);
    }
}
