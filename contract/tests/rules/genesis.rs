//! The first state, and its return from storage.

use anchor::{Genesis, Hash, MemberRole, SigningKey};
use contract::{Contract, Duty, GenesisError, RestoreError};

use crate::world::*;

fn stored(contract: &Contract) -> Vec<(Vec<u8>, Vec<u8>)> {
    contract.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

#[test]
fn a_good_genesis_is_what_its_file_says() {
    let contract = World::empty().contract;
    assert_eq!(contract.chain_id(), "example.net/gd");
    assert_eq!(contract.genesis_hash(), genesis().hash());
    assert_eq!(contract.validators(), genesis().validator_set());
    assert_eq!(contract.members().len(), MEMBERS.len());
    let cosigner = contract.member("tower").unwrap().cosigner_key;
    assert_eq!(contract.member_by_key(&cosigner), None, "a cosigner's key signs no transactions");
    let holder = contract.member_by_key(&key("tower", Duty::Log).public()).unwrap();
    assert_eq!((holder.member.as_str(), holder.duty), ("tower", Duty::Log));
    assert_eq!(contract.member_by_key(&SigningKey::from_seed(&[9; 32]).public()), None);
}

#[test]
fn a_bad_genesis_is_refused_by_what_is_wrong_with_it() {
    let expect = |change: fn(&mut Genesis), error: fn(&GenesisError) -> bool| {
        let mut genesis = genesis();
        change(&mut genesis);
        let found = Contract::from_genesis(&genesis).unwrap_err();
        assert!(error(&found), "{found}");
    };
    expect(|g| g.format = "ranproof/genesis/1".into(), |e| matches!(e, GenesisError::Format(_)));
    expect(|g| g.rules_version = 2, |e| matches!(e, GenesisError::Rules(2)));
    expect(|g| g.chain_id = "a b".into(), |e| matches!(e, GenesisError::ChainId(_)));
    expect(|g| g.members.clear(), |e| matches!(e, GenesisError::MemberCount(0)));
    expect(
        |g| {
            let member = g.members[0].clone();
            g.members = vec![member; 65];
        },
        |e| matches!(e, GenesisError::MemberCount(65)),
    );
    expect(|g| g.members[0].id = "a/b".into(), |e| matches!(e, GenesisError::MemberId(_)));
    expect(|g| g.members[0].id = "unicom".into(), |e| matches!(e, GenesisError::DuplicateMember(_)));
    expect(|g| rename_operators(g, ["a", "b-c", "a-b", "c"]), |e| matches!(e, GenesisError::DisputeId(_)));
    expect(
        |g| {
            let long = "x".repeat(90);
            rename_operators(g, [&long, "abc"]);
        },
        |e| matches!(e, GenesisError::DisputeId(_)),
    );
    expect(|g| g.members[0].name = "\n".into(), |e| matches!(e, GenesisError::MemberName(_)));
    expect(|g| g.members[0].log_key = g.members[0].approval_key, is_duplicate_key);
    expect(|g| g.members[0].log_key = g.members[1].approval_key, is_duplicate_key);
    expect(|g| g.members[0].cosigner_key = g.members[0].log_key, is_duplicate_key);
    expect(|g| g.members[0].cosigner_key = g.members[1].cosigner_key, is_duplicate_key);
    expect(|g| g.members[0].cosigner_key = g.members[1].approval_key, is_duplicate_key);
    expect(|g| g.validators[0].key = g.members[1].cosigner_key, is_duplicate_key);
    expect(|g| g.validators[0].key = g.members[1].log_key, is_duplicate_key);
    expect(|g| g.members[0].tls = g.members[1].tls, |e| matches!(e, GenesisError::DuplicateCertificate(_)));
    expect(|g| g.validators.push(g.validators[0].clone()), is_duplicate_key);
    expect(|g| g.validators.clear(), |e| matches!(e, GenesisError::ValidatorCount(0)));
    expect(|g| g.validators[0].power = 0, |e| matches!(e, GenesisError::Powerless(_)));
    expect(|g| g.validators[0].power = u64::MAX, |e| matches!(e, GenesisError::TooMuchPower));
    expect(|g| g.validators[0].member = "vodacom".into(), |e| matches!(e, GenesisError::UnknownValidator(_)));
}

/// The first members, all of them operators.
fn rename_operators<const N: usize>(genesis: &mut Genesis, ids: [&str; N]) {
    for (member, id) in genesis.members.iter_mut().zip(ids) {
        (member.id, member.role) = (id.into(), MemberRole::Operator);
    }
}

fn is_duplicate_key(error: &GenesisError) -> bool {
    matches!(error, GenesisError::DuplicateKey(_))
}

#[test]
fn restored_entries_are_the_same_state() {
    let mut world = crate::disputes::disputed();
    world.accept("watch", crate::disputes::fork(&world.clone(), |_| ()));
    let mut entries = stored(&world.contract);
    entries.reverse();
    let restored = Contract::restore(&world.genesis, entries).unwrap();
    assert_eq!(restored.state_root(), world.contract.state_root());
    assert_eq!(restored.disputes(), world.contract.disputes());
    assert_eq!(restored.evidence(), world.contract.evidence());
    assert_eq!(restored.round("telecom", 1), world.contract.round("telecom", 1));
}

#[test]
fn entries_that_are_not_this_chains_state_are_refused() {
    let mut world = crate::disputes::disputed();
    world.accept("watch", crate::disputes::fork(&world.clone(), |_| ()));
    let good = stored(&world.contract);
    let mut other = world.genesis.clone();
    other.time += 1;
    assert_eq!(Contract::restore(&other, good.clone()).unwrap_err(), RestoreError::OtherChain);
    assert_eq!(Contract::restore(&world.genesis, []).unwrap_err(), RestoreError::OtherChain);

    let twice = [good.clone(), vec![good[0].clone()]].concat();
    assert!(matches!(Contract::restore(&world.genesis, twice), Err(RestoreError::DuplicateEntry(_))));

    for index in 0..good.len() {
        let mut short = good.clone();
        short[index].1.pop();
        let error = Contract::restore(&world.genesis, short).unwrap_err();
        assert!(matches!(error, RestoreError::MalformedEntry(_)), "{error}");
        let mut misnamed = good.clone();
        misnamed[index].0.insert(0, b'x');
        let error = Contract::restore(&world.genesis, misnamed).unwrap_err();
        assert!(matches!(error, RestoreError::MalformedEntry(_)), "{error}");
    }
}

#[test]
fn proofs_verify_under_the_state_root() {
    let contract = World::sweeping().contract;
    let root = contract.state_root();
    for (key, value) in contract.entries() {
        contract.prove(key).verify(&root, key, Some(value)).unwrap();
        assert!(contract.prove(key).verify(&root, key, None).is_err());
    }
    let absent = contract::key::missed("telecom", 1);
    assert_eq!(contract.entry(absent.as_bytes()), None);
    contract.prove(absent.as_bytes()).verify(&root, absent.as_bytes(), None).unwrap();
    assert_ne!(root, Hash::ZERO);
}
