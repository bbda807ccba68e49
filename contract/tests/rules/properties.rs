//! What holds for every sequence of transactions, also for hostile ones.

use std::collections::{BTreeMap, BTreeSet};

use anchor::transaction::*;
use anchor::{Hash, PublicKey};
use contract::{BlockContext, Contract, duty_of};
use proptest::prelude::*;

use crate::disputes::{dispute, fork, resolve, respond};
use crate::world::*;

/// Something a member may try, good or bad.
#[derive(Debug, Clone)]
enum Attempt {
    Act {
        member: usize,
        action: Action,
    },
    /// The n-th transaction again.
    Replay(usize),
    Garbage(Vec<u8>),
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    // Mostly the right member for the kind of action, so that much of it is accepted.
    let people = prop_oneof![9 => prop::sample::select(vec![0, 1, 3]), 1 => 0..MEMBERS.len()];
    let nodes = prop_oneof![6 => Just(0), 3 => Just(1), 1 => 0..MEMBERS.len()];
    let act = prop_oneof![
        3 => (people, approval_action()),
        1 => (nodes, log_action()),
    ];
    let act = act.prop_map(|(member, action)| Attempt::Act { member, action });
    let other = prop_oneof![
        (0..40usize).prop_map(Attempt::Replay),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Attempt::Garbage),
    ];
    proptest::collection::vec(prop_oneof![9 => act, 1 => other], 1..80)
}

/// Registrations and requests of few names, so that attempts meet.
fn proposals() -> impl Strategy<Value = Action> {
    let versions = prop_oneof![1 => Just(1), 4 => Just(2), 1 => Just(3)].boxed();
    prop_oneof![
        (versions.clone(), prop::bool::weighted(0.2)).prop_map(|(version, other)| {
            let mut statement = agreement(version);
            if other {
                statement.parties = names(&["mobile", "telecom", "unicom"]);
            }
            Action::RegisterAgreement(statement)
        }),
        versions.clone().prop_map(|version| Action::RegisterPolicySet(policy_set(version))),
        versions.clone().prop_map(|version| Action::RegisterInventory(inventory(version))),
        (0..3u32, prop_oneof![4 => Just(1), 1 => Just(2)]).prop_map(|(id, version)| proposal(id, version)),
    ]
}

fn proposal(id: u32, agreement_version: u32) -> Action {
    let statement = World::empty().proposal(&format!("CR-{id}"));
    Action::Propose(ProposalStatement { agreement_version, ..statement })
}

fn approval_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => proposals(),
        9 => (proposals(), prop::bool::weighted(0.95)).prop_map(|(proposal, yes)| {
            decide(&proposal, if yes { Decision::Approve } else { Decision::Reject })
        }),
        1 => proposals().prop_map(|proposal| withdraw(&proposal)),
        1 => any::<bool>().prop_map(|other| respond(if other { b"other" } else { b"answer" })),
        1 => any::<bool>().prop_map(|upheld| {
            resolve(if upheld { DisputeOutcome::Upheld } else { DisputeOutcome::Withdrawn })
        }),
    ]
}

fn log_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1..3u64, 1..3u32).prop_map(|(round, version)| {
            Action::OpenRound(OpenRoundStatement { inventory_version: version, ..opening(round) })
        }),
        (1..3u64, 0..4u64).prop_map(|(round, leaf_index)| {
            Action::AttestRound(AttestRoundStatement { leaf_index, ..attestation(round) })
        }),
        (prop_oneof![2 => Just(3), 1 => 0..6u64], 0..6u64).prop_map(|(old, more)| {
            let mut world = World::empty();
            world.grow("telecom", old + more);
            let tree = &world.logs["telecom"];
            let mut statement = world.anchoring("telecom");
            statement.old_size = old;
            statement.consistency = tree.consistency(old, old + more).unwrap();
            Action::AnchorCheckpoint(statement)
        }),
        (1..3u64, any::<bool>(), any::<bool>()).prop_map(|(round, verdict, turned)| {
            dispute(|statement| {
                statement.round = round;
                statement.kind = if verdict { DisputeKind::Verdict } else { DisputeKind::Opening };
                statement.judgement = Hash::of(if turned { b"another" } else { b"judgement" });
            })
        }),
        any::<bool>().prop_map(|turned| {
            fork(&World::empty(), |statement| {
                if turned {
                    crate::disputes::turned(statement);
                }
            })
        }),
    ]
}

fn start() -> impl Strategy<Value = World> {
    let disputed = Just(crate::disputes::disputed());
    prop_oneof![1 => Just(World::agreed()), 1 => Just(World::ready()), 1 => disputed, 3 => Just(busy())]
}

/// Something of each kind waits for approvals.
fn busy() -> World {
    let mut world = World::ready();
    world.accept("telecom", Action::RegisterAgreement(agreement(2)));
    world.accept("unicom", Action::RegisterPolicySet(policy_set(2)));
    world.accept("tower", Action::RegisterInventory(inventory(2)));
    world.accept("unicom", proposal(0, 1));
    world.accept("telecom", proposal(1, 1));
    world
}

/// Signs the attempts in order, each key's sequence numbers without a gap.
fn transactions(world: &World, attempts: &[Attempt]) -> Vec<Vec<u8>> {
    let mut used: BTreeMap<PublicKey, u64> = BTreeMap::new();
    let mut signed: Vec<Vec<u8>> = Vec::new();
    for attempt in attempts {
        signed.push(match attempt {
            Attempt::Act { member, action } => {
                let mut unsigned = world.sign(MEMBERS[*member].0, action.clone()).transaction;
                let used = used.entry(unsigned.sender).or_insert(0);
                unsigned.sequence += *used;
                *used += 1;
                unsigned.sign(&key(MEMBERS[*member].0, duty_of(action))).encode()
            }
            Attempt::Replay(index) => signed.get(*index).cloned().unwrap_or_default(),
            Attempt::Garbage(bytes) => bytes.clone(),
        });
    }
    signed
}

/// What an accepted transaction did, by a name under which it must not be done twice.
fn effect(bytes: &[u8]) -> String {
    let transaction = SignedTransaction::decode(bytes).unwrap().transaction;
    match &transaction.action {
        Action::Approve(s) => format!("{} {}", s.subject, transaction.sender),
        Action::Withdraw(s) => format!("withdrawn {}", s.subject),
        Action::OpenRound(s) => format!("open {}", s.round),
        Action::AttestRound(s) => format!("attest {}", s.round),
        Action::AnchorCheckpoint(s) => format!("anchor {}", s.checkpoint),
        Action::Dispute(s) => format!("dispute {}", s.id),
        Action::Respond(s) => format!("respond {}", s.id),
        Action::Resolve(s) => format!("resolve {}", s.id),
        Action::Evidence(s) => format!("evidence {}", s.first.lines().nth(1).unwrap()),
        proposal => subject_of(proposal).to_string(),
    }
}

fn context(world: &World) -> BlockContext {
    BlockContext { height: world.height + 1, time: world.time + 1000 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_gets_a_receipt_and_changes_nothing(
        block in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
    ) {
        let world = World::sweeping();
        let execution = world.contract.execute(&context(&world), &block);
        prop_assert_eq!(execution.receipts.len(), block.len());
        prop_assert!(execution.changes.is_empty());
        prop_assert_eq!(execution.state_root, world.contract.state_root());
    }

    #[test]
    fn a_transaction_with_any_byte_changed_leaves_no_trace(at in any::<prop::sample::Index>(), xor in 1..=255u8) {
        let world = World::sweeping();
        let mut bytes = world.sign("telecom", Action::AttestRound(attestation(1))).encode();
        let index = at.index(bytes.len());
        bytes[index] ^= xor;
        let execution = world.contract.execute(&context(&world), &[bytes]);
        prop_assert_eq!(execution.inadmissible, [0]);
        prop_assert!(execution.changes.is_empty());
    }

    #[test]
    fn the_same_transactions_give_the_same_state_however_they_are_cut(
        attempts in attempts(),
        cut in any::<prop::sample::Index>(),
        world in start(),
    ) {
        let all = transactions(&world, &attempts);
        let context = context(&world);
        let whole = world.contract.execute(&context, &all);
        prop_assert_eq!(&world.contract.execute(&context, &all).receipts, &whole.receipts);

        let (front, back) = all.split_at(cut.index(all.len()));
        let mut contract = world.contract.clone();
        let first = contract.execute(&context, front);
        let mut receipts = first.receipts.clone();
        contract.commit(first).unwrap();
        let second = contract.execute(&context, back);
        receipts.extend(second.receipts.clone());
        prop_assert_eq!(&receipts, &whole.receipts);
        prop_assert_eq!(second.state_root, whole.state_root);
    }

    #[test]
    fn state_root_storage_and_effects_agree_block_by_block(attempts in attempts(), start in start()) {
        let mut world = start;
        let mut effects = BTreeSet::new();
        for chunk in transactions(&world, &attempts).chunks(5) {
            let before = world.contract.clone();
            let execution = world.block(chunk);
            let same_root = execution.state_root == before.state_root();
            prop_assert_eq!(same_root, execution.changes.is_empty());
            prop_assert_eq!(execution.state_root, world.contract.state_root());
            for (key, value) in &execution.changes {
                prop_assert_ne!(before.entry(key), value.as_deref());
                prop_assert_eq!(world.contract.entry(key), value.as_deref());
            }
            let stored = world.contract.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
            let restored = Contract::restore(&world.genesis, stored).unwrap();
            prop_assert_eq!(restored.state_root(), execution.state_root);

            check_standings(&world.contract);

            for (receipt, bytes) in execution.receipts.iter().zip(chunk) {
                prop_assert_eq!(receipt.transaction, Hash::of(bytes));
                if receipt.is_accepted() {
                    prop_assert!(effects.insert(effect(bytes)), "twice: {}", effect(bytes));
                }
            }
        }
    }
}

/// Final means: approved by all who had to, rejected by none, and replacing exactly the final one before it.
fn check_standings(contract: &Contract) {
    use SubjectKind::{Agreement, Change, Inventory, PolicySet};
    for kind in [Agreement, PolicySet, Inventory, Change] {
        for id in contract.ids(kind) {
            let mut newest_final = 0;
            let last = if kind == Change { 1 } else { contract.last_version(kind, &id) };
            for version in 1..=last {
                let subject = Subject { kind, id: id.clone(), version };
                let standing = contract.standing(&subject).unwrap();
                let approvals = contract.approvals(&subject);
                let count = |decision| approvals.iter().filter(|(_, a)| a.decision == decision).count();
                assert!(approvals.iter().all(|(member, _)| standing.required.contains(member)));
                let all_approved = count(Decision::Approve) == standing.required.len();
                assert_eq!(standing.finalized.is_some(), all_approved, "{subject}");
                assert_eq!(standing.rejected.is_some(), count(Decision::Reject) == 1, "{subject}");
                if standing.finalized.is_some() {
                    assert_eq!(standing.base, newest_final, "{subject}");
                    newest_final = version;
                }
            }
        }
    }
}

#[test]
fn a_block_executed_on_another_state_is_not_committed() {
    let mut world = World::agreed();
    let stale = world.contract.execute(&context(&world), &[]);
    let proposal = world.proposal("CR-1");
    world.accept("unicom", Action::Propose(proposal));
    let root = world.contract.state_root();
    assert!(world.contract.commit(stale).is_err());
    assert_eq!(world.contract.state_root(), root);
}

/// Receipts and state are hashed into headers: who changes a rule, a sentence or an encoding sees it here, and
/// raises [`contract::RULES_VERSION`].
#[test]
fn the_rules_of_version_1_give_these_roots() {
    let mut world = World::sweeping();
    let refused = world.sign("unicom", Action::OpenRound(opening(1))).encode();
    let attested = world.sign("telecom", Action::AttestRound(attestation(1))).encode();
    let first = world.block(&[refused, attested, b"garbage".to_vec()]);
    let disputed = world.sign("unicom", dispute(|_| ())).encode();
    let forked = world.sign("watch", fork(&world, |_| ())).encode();
    let second = world.block(&[disputed, forked]);
    assert_eq!(contract::RULES_VERSION, 1);
    let roots = [&first, &second].map(|execution| {
        let receipts: Vec<_> = execution.receipts.iter().map(|receipt| receipt.encode()).collect();
        (anchor::tree::root(&receipts).to_string(), execution.state_root.to_string())
    });
    let text = |root: &str| root.to_owned();
    assert_eq!(
        roots,
        [
            (
                text("0c61198914f8f327f2e26a0ca7369b56ceeebca3567edf57c442761b6fa24f7e"),
                text("7e3562eb978af36c1e516f0f71a9914fdcf5f395b94bd0e6937aeea5d108c12c")
            ),
            (
                text("28ba218143328f59083f04c5369fb6574365c476115097c1637f8d85f090b30e"),
                text("d530a53e5317240a2c0eae78e5d5377eec432f4bdbc711dde4357fc8e97da745")
            ),
        ]
    );
}
