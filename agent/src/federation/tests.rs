//! Accounts of four members in all kinds of trouble.

use super::*;
use anchor::key::SigningKey;
use anchor::{Hash, PublicKey};
use chain::{HeardVote, LastBlock, Tip};

pub const NOW: i64 = 1_795_315_620_000;
const WEIGHTS: [(&str, &str, MemberRole, u64); 4] = [
    ("telecom", "China Telecom Beijing", MemberRole::Operator, 3),
    ("unicom", "China Unicom Beijing", MemberRole::Operator, 3),
    ("tower", "China Tower", MemberRole::Tower, 3),
    ("witness", "Beijing Witness Office", MemberRole::Witness, 1),
];

fn key(n: u8) -> PublicKey {
    SigningKey::from_seed(&[n; 32]).public()
}

fn members() -> Vec<Member> {
    let member = |(n, (id, name, role, _)): (usize, &(&str, &str, MemberRole, u64))| Member {
        id: (*id).into(),
        name: (*name).into(),
        role: *role,
        log_key: key(n as u8),
        approval_key: key(10 + n as u8),
        cosigner_key: key(20 + n as u8),
        tls: Hash::of(id.as_bytes()),
    };
    WEIGHTS.iter().enumerate().map(member).collect()
}

fn validators() -> Vec<Validator> {
    let validator = |(n, (id, _, _, power)): (usize, &(&str, &str, MemberRole, u64))| Validator {
        key: key(30 + n as u8),
        power: *power,
        member: (*id).into(),
    };
    WEIGHTS.iter().enumerate().map(validator).collect()
}

fn peer(member: &str, reachable: bool, height: u64) -> PeerStatus {
    PeerStatus {
        member: member.into(),
        reachable,
        error: (!reachable).then(|| "connection refused".to_owned()),
        version: Some("0.3.0".into()),
        height: Some(height),
        header: None,
        fork: None,
        log_size: Some(12),
        clock_difference_ms: Some(-14),
        round_trip_ms: Some(1),
        asked: Timestamp(NOW),
        answered: Some(Timestamp(NOW - 42_000)),
        wrong_bodies: 0,
    }
}

fn status(height: u64, age: i64) -> NodeStatus {
    let time = (NOW - age) as u64;
    let address = |n: u8| key(30 + n).address();
    NodeStatus {
        tip: Tip { height, header: Hash::of(b"header"), time },
        height: height + 1,
        round: 1,
        idle: false,
        pending: 2,
        votes: true,
        abstains: false,
        asks: false,
        last: Some(LastBlock {
            height,
            round: 0,
            time,
            transactions: 1,
            signers: vec![address(0), address(2), address(3)],
            proposer: Some(address(2)),
        }),
        connected: vec![],
        heard: vec![HeardVote { address: address(3), height, round: 0, at: time }],
        equivocations: vec![],
        refused: Default::default(),
    }
}

/// As telecom's agent sees four members while unicom is away.
pub fn four() -> Federation {
    seen(&status(17, 4_000), &[peer("unicom", false, 11), peer("tower", true, 17), peer("witness", true, 17)])
}

fn seen(node: &NodeStatus, peers: &[PeerStatus]) -> Federation {
    let (members, validators) = (members(), validators());
    let facts = Facts {
        own: "telecom",
        node,
        members: &members,
        validators: &validators,
        peers,
        now: Timestamp(NOW),
    };
    account(&facts)
}

#[test]
fn who_voted_who_lags_and_who_is_away_is_told_by_member() {
    let federation = four();
    let names: Vec<_> = federation.nodes.iter().map(|node| node.member.as_str()).collect();
    assert_eq!(names, ["telecom", "tower", "unicom", "witness"], "by power, then by id");
    let unicom = &federation.nodes[2];
    assert!(!unicom.reachable && !unicom.voted && unicom.lags());
    assert_eq!((unicom.behind, unicom.error.as_deref()), (Some(6), Some("connection refused")));
    let certificate = federation.certificate.unwrap();
    assert_eq!((certificate.power, certificate.proposer.as_deref()), (7, Some("tower")));
    assert_eq!((federation.reachable_power, federation.power), (7, 10));
    assert_eq!(federation.troubles, [], "7 of 10 is more than two thirds");
}

#[test]
fn a_chain_without_quorum_or_blocks_is_called_halted() {
    let peers = [peer("unicom", false, 17), peer("tower", false, 17), peer("witness", true, 17)];
    let federation = seen(&status(17, 31_000), &peers);
    let last = Timestamp(NOW - 31_000);
    assert_eq!(
        federation.troubles,
        [Trouble::Halted { last }, Trouble::NoQuorum { reachable: 4, power: 10 }]
    );
}

#[test]
fn a_node_that_returns_says_how_far_it_is_behind() {
    let peers = [peer("unicom", true, 40), peer("tower", true, 41), peer("witness", true, 41)];
    let federation = seen(&status(17, 4_000), &peers);
    assert_eq!(federation.troubles, [Trouble::Behind { blocks: 24 }]);
}

#[test]
fn a_member_with_another_block_at_the_same_height_is_named() {
    let (height, theirs, ours) = (17, Hash::of(b"theirs"), Hash::of(b"header"));
    let mut tower = peer("tower", true, height);
    tower.fork = Some(crate::peer::Fork { height, theirs, ours });
    let federation = seen(&status(17, 4_000), &[peer("unicom", true, 17), tower]);
    assert_eq!(federation.troubles, [Trouble::Fork { member: "tower".into(), height, theirs, ours }]);
}

#[test]
fn two_thirds_exactly_are_not_enough() {
    let validators: Vec<_> = validators().into_iter().take(3).collect();
    let members = members();
    let node = status(17, 1_000);
    let peers = [peer("tower", true, 17)];
    let facts = Facts {
        own: "telecom",
        node: &node,
        members: &members,
        validators: &validators,
        peers: &peers,
        now: Timestamp(NOW),
    };
    assert_eq!(account(&facts).troubles, [Trouble::NoQuorum { reachable: 6, power: 9 }]);
}
