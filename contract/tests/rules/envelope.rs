//! Chain, key, sequence number, signature: what leaves no trace when it is wrong.

use anchor::transaction::*;
use anchor::{Hash, SigningKey};
use contract::{Duty, MAX_SEQUENCE_AHEAD, code};

use crate::world::*;

/// The codes that the tests below show.
pub const SHOWN: [&str; 5] =
    [code::MALFORMED, code::SIGNATURE, code::NOT_A_MEMBER, code::CHAIN, code::SEQUENCE];

fn no_trace(world: &World, bytes: &[u8], code: &str) {
    assert!(SHOWN.contains(&code));
    let mut after = world.clone();
    let root = world.contract.state_root();
    let execution = after.block(&[bytes.to_vec()]);
    assert_eq!(answer(&execution.receipts[0]), refused(code));
    assert_eq!(execution.receipts[0].transaction, Hash::of(bytes));
    assert_eq!(execution.inadmissible, [0]);
    assert!(execution.changes.is_empty());
    assert_eq!(after.contract.state_root(), root);
    assert!(!code::explain(code).unwrap().uses_sequence);
}

#[test]
fn what_is_not_a_members_transaction_in_its_turn_leaves_no_trace() {
    let world = World::empty();
    let action = || Action::RegisterAgreement(agreement(1));
    let good = world.sign("telecom", action());

    no_trace(&world, b"", code::MALFORMED);
    no_trace(&world, &vec![0; MAX_TRANSACTION_BYTES + 1], code::MALFORMED);
    no_trace(&world, &[good.encode(), vec![0]].concat(), code::MALFORMED);

    let mut forged = good.clone();
    forged.signature = world.sign("unicom", action()).signature;
    no_trace(&world, &forged.encode(), code::SIGNATURE);

    let stranger = SigningKey::from_seed(&[77; 32]);
    no_trace(&world, &world.sign_with(&stranger, action()).encode(), code::NOT_A_MEMBER);

    let approval = key("telecom", Duty::Approval);
    let mut elsewhere = good.transaction.clone();
    elsewhere.chain_id = "example.net/hn".into();
    no_trace(&world, &elsewhere.sign(&approval).encode(), code::CHAIN);

    for sequence in [0, 2, u64::MAX] {
        let mut out_of_turn = good.transaction.clone();
        out_of_turn.sequence = sequence;
        no_trace(&world, &out_of_turn.sign(&approval).encode(), code::SEQUENCE);
    }
}

#[test]
fn a_transaction_is_executed_once() {
    let mut world = World::empty();
    let signed = world.sign("telecom", Action::RegisterAgreement(agreement(1)));
    assert_eq!(world.send(&signed), Ok(()));
    no_trace(&world, &signed.encode(), code::SEQUENCE);

    let refused_one = world.sign("mobile", Action::RegisterAgreement(agreement(2)));
    assert_eq!(world.send(&refused_one), refused(code::NOT_A_PARTY));
    no_trace(&world, &refused_one.encode(), code::SEQUENCE);
}

#[test]
fn a_refused_transaction_does_not_hold_up_those_behind_it() {
    let mut world = World::empty();
    let approval = key("telecom", Duty::Approval);
    let transaction = |sequence, action| {
        let chain_id = world.genesis.chain_id.clone();
        Transaction { chain_id, sender: approval.public(), sequence, action }.sign(&approval).encode()
    };
    let block = [
        transaction(1, Action::RegisterAgreement(agreement(2))),
        transaction(2, Action::RegisterAgreement(agreement(1))),
    ];
    let receipts = world.block(&block).receipts;
    assert_eq!(answer(&receipts[0]), refused(code::VERSION));
    assert_eq!(answer(&receipts[1]), Ok(()));
    assert_eq!(world.contract.next_sequence(&approval.public()), Some(3));
}

#[test]
fn admission_takes_a_bounded_number_ahead_and_the_proposer_leaves_no_gap() {
    let world = World::empty();
    let approval = key("telecom", Duty::Approval);
    let transaction = |sequence| {
        let chain_id = world.genesis.chain_id.clone();
        let action = Action::RegisterAgreement(agreement(1));
        Transaction { chain_id, sender: approval.public(), sequence, action }.sign(&approval).encode()
    };
    let (one, two, four) = (transaction(1), transaction(2), transaction(4));
    assert!(world.contract.check(&transaction(1 + MAX_SEQUENCE_AHEAD)).is_ok());
    let refusal = world.contract.check(&transaction(2 + MAX_SEQUENCE_AHEAD)).unwrap_err();
    assert_eq!(refusal.code, code::SEQUENCE);

    let waiting = [two.as_slice(), b"garbage", &four, &one, &one];
    assert_eq!(world.contract.select(waiting, usize::MAX), [one.clone(), two.clone()]);
    assert_eq!(world.contract.select(waiting, one.len()), std::slice::from_ref(&one));
    assert_eq!(world.contract.select([four.as_slice(), &two], usize::MAX), [] as [Vec<u8>; 0]);

    let chosen = world.contract.select(waiting, usize::MAX);
    assert!(world.clone().block(&chosen).inadmissible.is_empty());
}

#[test]
fn admission_refuses_what_no_state_could_accept() {
    let world = World::empty();
    let mut statement = agreement(1);
    statement.id = "not an id".into();
    let signed = world.sign("telecom", Action::RegisterAgreement(statement));
    assert_eq!(world.contract.check(&signed.encode()).unwrap_err().code, code::FORM);
}
