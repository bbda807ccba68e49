//! Disputes of rounds, and evidence of logs that told two stories.

use anchor::Hash;
use anchor::transaction::*;
use contract::code;

use crate::world::*;

/// Telecom's round 1 is attested.
pub fn attested() -> World {
    let mut world = World::sweeping();
    world.accept("telecom", Action::AttestRound(attestation(1)));
    world
}

/// Unicom disputes it.
pub fn disputed() -> World {
    let mut world = attested();
    world.accept("unicom", dispute(|_| ()));
    world
}

/// The id of Unicom's dispute of round 1.
const ID: &str = "D-unicom-telecom-1-verdict";

/// By Unicom, under the id that `change` leads to.
pub fn dispute(change: impl FnOnce(&mut DisputeStatement)) -> Action {
    dispute_by("unicom", change)
}

pub fn dispute_by(disputer: &str, change: impl FnOnce(&mut DisputeStatement)) -> Action {
    let mut statement = statement();
    change(&mut statement);
    let DisputeStatement { origin, round, kind, .. } = &statement;
    statement.id = DisputeStatement::id_of(disputer, origin, *round, *kind);
    Action::Dispute(statement)
}

/// The same under any id.
pub fn dispute_named(id: &str) -> Action {
    Action::Dispute(DisputeStatement { id: id.into(), ..statement() })
}

fn statement() -> DisputeStatement {
    DisputeStatement {
        id: ID.into(),
        origin: "telecom".into(),
        round: 1,
        attestation: attestation(1).attestation,
        kind: DisputeKind::Verdict,
        judgement: Hash::of(b"judgement"),
    }
}

pub fn respond(body: &[u8]) -> Action {
    Action::Respond(RespondStatement { id: ID.into(), body: Hash::of(body) })
}

pub fn resolve(outcome: DisputeOutcome) -> Action {
    Action::Resolve(ResolveStatement { id: ID.into(), outcome })
}

/// Two roots for five leaves of Telecom's log.
pub fn fork(world: &World, change: impl FnOnce(&mut EvidenceStatement)) -> Action {
    let note = |root: &[u8]| world.checkpoint("telecom", 5, Hash::of(root));
    let mut statement = EvidenceStatement {
        origin: "telecom".into(),
        first: note(b"one"),
        second: note(b"another"),
        root: Hash::of(b"another"),
        consistency: vec![],
    };
    change(&mut statement);
    Action::Evidence(statement)
}

#[test]
fn a_dispute_is_opened_answered_and_ended_once_each() {
    let mut world = disputed();
    let opened = world.contract.dispute(ID).unwrap();
    assert_eq!((opened.disputer.as_str(), opened.at.height), ("unicom", world.height));
    assert_eq!((opened.response, opened.resolution), (None, None));
    world.accept("telecom", respond(b"answer"));
    let at = world.height;
    world.accept("unicom", resolve(DisputeOutcome::Upheld));
    let ended = world.contract.dispute(ID).unwrap();
    let response = ended.response.unwrap();
    assert_eq!((response.body, response.at.height), (Hash::of(b"answer"), at));
    assert_eq!(ended.resolution.unwrap().outcome, DisputeOutcome::Upheld);
    assert_eq!(world.contract.disputes(), [(ID.to_owned(), ended)]);
    assert_eq!(world.submit("telecom", respond(b"answer")), refused(code::DUPLICATE));
    assert_eq!(world.submit("unicom", resolve(DisputeOutcome::Withdrawn)), refused(code::DECIDED));
}

#[test]
fn the_accused_may_answer_what_was_ended_before_it_could() {
    let mut world = disputed();
    world.accept("unicom", resolve(DisputeOutcome::Upheld));
    world.accept("telecom", respond(b"answer"));
    let record = world.contract.dispute(ID).unwrap();
    assert!(record.response.is_some() && record.resolution.is_some());
}

#[test]
fn what_the_round_pinned_decides_who_may_dispute_it() {
    let mut world = attested();
    let without_unicom = AgreementStatement {
        parties: names(&["mobile", "telecom"]),
        change_approvers: names(&["telecom"]),
        ..agreement(2)
    };
    world.adopt("telecom", Action::RegisterAgreement(without_unicom));
    world.accept("unicom", dispute(|_| ()));
    assert_eq!(world.submit("mobile", dispute_by("mobile", |_| ())), refused(code::NOT_A_PARTY));
}

#[test]
fn disputes_are_listed_by_id() {
    let mut world = disputed();
    for kind in [DisputeKind::Withheld, DisputeKind::Account] {
        world.accept("unicom", dispute(|s| s.kind = kind));
    }
    let ids: Vec<_> = world.contract.disputes().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["D-unicom-telecom-1-account", ID, "D-unicom-telecom-1-withheld"]);
    assert_eq!(world.contract.dispute("D-unicom-telecom-1-opening"), None);
}

/// Neither the accused nor a third member.
#[test]
fn nobody_can_take_the_id_of_another_members_dispute() {
    let mut world = attested();
    for member in ["telecom", "tower", "mobile", "watch"] {
        assert_eq!(world.submit(member, dispute_named(ID)), refused(code::DISPUTE_ID), "{member}");
    }
    world.accept("unicom", dispute_named(ID));
}

#[test]
fn one_dispute_for_each_disputer_origin_round_and_kind() {
    let mut world = disputed();
    let again = dispute(|s| s.judgement = Hash::of(b"another judgement"));
    assert_eq!(world.submit("unicom", again), refused(code::CONFLICT));
    for id in ["D-unicom-telecom-1-verdict-2", "D-unicom-telecom-2-verdict", "D-unicom-telecom-1-account"] {
        assert_eq!(world.submit("unicom", dispute_named(id)), refused(code::DISPUTE_ID), "{id}");
    }
    world.accept("unicom", dispute(|s| s.kind = DisputeKind::Account));
}

#[test]
fn any_member_may_hand_in_that_a_log_forked_also_the_witness() {
    for member in ["watch", "mobile", "tower", "telecom"] {
        let mut world = World::ready();
        let action = fork(&world, |_| ());
        world.accept(member, action.clone());
        let [(origin, size, record)] = world.contract.evidence().try_into().unwrap();
        assert_eq!((origin.as_str(), size, record.by.as_str()), ("telecom", 5, member));
        assert_eq!(Action::Evidence(record.statement), action);
    }
}

/// The same two checkpoints, the other way round.
pub fn turned(statement: &mut EvidenceStatement) {
    std::mem::swap(&mut statement.first, &mut statement.second);
    statement.root = Hash::of(b"one");
}

/// A checkpoint of a size that was never anchored convicts as well: any later one says what its root should have been.
#[test]
fn two_checkpoints_of_different_sizes_convict_by_a_proof_and_not_without_it() {
    let mut world = World::empty();
    world.grow("telecom", 20);
    let tree = world.logs["telecom"].clone();
    for (smaller, larger) in [(0, 20), (1, 2), (7, 20), (8, 20), (16, 17), (20, 20)] {
        let mut world = world.clone();
        let evidence = |world: &World, told: Hash, size: u64| {
            fork(world, |s| {
                s.first = world.checkpoint("telecom", size, told);
                s.second = world.checkpoint("telecom", larger, tree.root_at(larger).unwrap());
                s.root = tree.root_at(smaller).unwrap();
                s.consistency = tree.consistency(smaller, larger).unwrap();
            })
        };
        let honest = evidence(&world, tree.root_at(smaller).unwrap(), smaller);
        assert_eq!(world.submit("unicom", honest), refused(code::NO_FORK), "{smaller} of {larger}");
        let lie = Hash::of(b"another story");
        let another = evidence(&world, lie, (smaller + 1) % 20);
        assert_eq!(world.submit("unicom", another), refused(code::INCONSISTENT), "{smaller} of {larger}");
        let convicts = evidence(&world, lie, smaller);
        world.accept("unicom", convicts);
        let [(_, size, _)] = world.contract.evidence().try_into().unwrap();
        assert_eq!(size, smaller);
    }
}

/// What was anchored convicts as well as what was shown to somebody alone.
#[test]
fn one_record_for_each_size_of_a_forked_log() {
    let mut world = World::ready();
    let anchored = world.contract.last_checkpoint("telecom").unwrap().checkpoint;
    let shown = world.checkpoint("telecom", 3, Hash::of(b"shown to Unicom alone"));
    let root = world.logs["telecom"].root();
    world.accept("unicom", fork(&world.clone(), |s| (s.first, s.second, s.root) = (shown, anchored, root)));
    let five = fork(&world, |_| ());
    world.accept("watch", five);
    let turned = fork(&world, turned);
    assert_eq!(world.submit("unicom", turned), refused(code::DUPLICATE));
    let sizes: Vec<_> = world.contract.evidence().into_iter().map(|(_, size, _)| size).collect();
    assert_eq!(sizes, [3, 5]);
}
