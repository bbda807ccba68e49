//! Rounds in which stations are read under another interpretation than before.

use anchor::record::JudgementVerdict;
use model::violation::{AUTHORISATION_RULE, SECOND_JUDGEMENT_RULE};
use model::{Authorisation, Value, ViolationState};

use super::world::{World, cell, delivery, element, request};
use crate::second::judging::Judged;

const CANONICAL: &str = "canonical";

fn verdicts(judged: &Judged) -> Vec<(String, JudgementVerdict)> {
    let records = delivery(judged).records;
    records
        .iter()
        .map(|r| (r.violation.as_ref().map_or(String::new(), |v| v.id.clone()), r.verdict))
        .collect()
}

fn summary(judged: &Judged) -> String {
    delivery(judged).records.last().unwrap().why.clone()
}

async fn assert_both_remember_the_same(world: &World) {
    for element in [element(1), element(2)] {
        let theirs = world.origin.approved_state(&element).await.unwrap();
        assert_eq!(world.judge.approved_state(&element).await.unwrap(), theirs);
        let theirs = world.origin.open_violations(&element).await.unwrap();
        assert_eq!(world.judge.open_violations(&element).await.unwrap(), theirs);
    }
    for store in [&world.origin, &world.judge] {
        assert!(store.fsck().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn another_spelling_is_no_change_and_stays_approved_by_the_same_request() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.read_by(CANONICAL, &[(&cell(1), "nRPCI", "1.0"), (&cell(1), "qHyst", "4")]);
    let judged = world.honest_round().await;
    assert_eq!((judged.wrong, judged.commit.edits.len(), judged.commit.violations.len()), (0, 0, 0));
    assert!(
        summary(&judged).starts_with("1 values came or went as a schema's defaults"),
        "{}",
        summary(&judged)
    );
    let approved = world.judge.approved_state(&element(1)).await.unwrap();
    for (attribute, value) in [("nRPCI", "1.0"), ("qHyst", "4")] {
        let now = approved.get(&cell(1), attribute).unwrap();
        assert_eq!((now.value.clone(), now.request.as_str()), (Value::from(value), "BL-1"), "{attribute}");
    }
    assert_both_remember_the_same(&world).await;

    let quiet = world.honest_round().await;
    assert_eq!((quiet.wrong, quiet.commit.respellings.len()), (0, 0));
    world.set(&cell(1), "nRPCI", "40");
    let changed = world.honest_round().await;
    let edit = &changed.commit.edits[0];
    assert_eq!((changed.wrong, edit.authorisation), (0, Some(Authorisation::Unapproved)));
    assert_eq!(edit.edit.old, Some(Value::from("1.0")));
}

#[tokio::test]
async fn what_changed_in_the_same_round_is_judged_and_keeps_its_old_spelling() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.approve_change(request("CR-1", 1, "2", 15));
    // Both PCIs have another spelling now, and both changed: one as approved from the old spelling.
    world.read_by(CANONICAL, &[(&cell(1), "nRPCI", "1.0"), (&cell(2), "nRPCI", "1.0")]);
    world.set(&cell(1), "nRPCI", "2");
    world.set(&cell(2), "nRPCI", "9");
    let judged = world.honest_round().await;
    assert_eq!(judged.wrong, 0);
    let edits: Vec<_> = judged
        .commit
        .edits
        .iter()
        .map(|e| (e.edit.old.clone().unwrap(), e.authorisation.unwrap().is_authorised()))
        .collect();
    assert_eq!(edits, [(Value::from("1"), true), (Value::from("1"), false)]);
    assert_eq!(delivery(&judged).requests[0].request, "CR-1");
    assert_both_remember_the_same(&world).await;

    // What was approved is compared in the new spelling from then on.
    world.set(&cell(2), "nRPCI", "1.0");
    let restored = world.honest_round().await;
    assert_eq!(restored.wrong, 0);
    let states: Vec<_> = restored.commit.violations.iter().map(|v| v.state).collect();
    assert_eq!(states, [ViolationState::Resolved]);
}

#[tokio::test]
async fn an_open_violation_stays_the_same_one() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.set(&cell(2), "nRPCI", "9");
    let opened = world.honest_round().await;
    world.read_by(CANONICAL, &[(&cell(2), "nRPCI", "9.0")]);
    let judged = world.honest_round().await;
    assert_eq!((judged.wrong, judged.commit.edits.len()), (0, 0));
    let [violation] = judged.commit.violations.as_slice() else { panic!("{:?}", judged.commit.violations) };
    assert_eq!((&violation.id, violation.state), (&opened.commit.violations[0].id, ViolationState::Open));
    assert_eq!(violation.new, Some(Value::from("9.0")));
    assert_both_remember_the_same(&world).await;
}

#[tokio::test]
async fn without_the_last_reply_values_that_may_be_one_count_as_one_and_the_way_back_is_the_same() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.read_by(CANONICAL, &[(&cell(1), "nRPCI", "1.0")]);
    world.again.clear();
    let judged = world.honest_round().await;
    assert_eq!((judged.wrong, judged.commit.edits.len(), judged.commit.respellings.len()), (0, 0, 1));
    world.read_by("none", &[(&cell(1), "nRPCI", "1")]);
    let back = world.honest_round().await;
    assert_eq!((back.wrong, back.commit.edits.len(), back.commit.violations.len()), (0, 0, 0));
    assert_both_remember_the_same(&world).await;
}

#[tokio::test]
async fn a_change_that_is_called_a_spelling_is_a_change_to_the_judge() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.read_by(CANONICAL, &[(&cell(2), "nRPCI", "9")]);
    let judged = world.honest_round().await;
    assert!(judged.wrong > 0 && judged.second.disputes.is_some());
    let own: Vec<_> = judged.commit.violations.iter().filter(|v| v.rule == AUTHORISATION_RULE).collect();
    assert_eq!((own.len(), &own[0].object), (1, &cell(2)), "the judge's own word on it");
    assert!(judged.commit.violations.iter().any(|v| v.rule == SECOND_JUDGEMENT_RULE));
    assert!(verdicts(&judged).iter().any(|(_, verdict)| *verdict == JudgementVerdict::Differs));
}

#[tokio::test]
async fn respellings_of_things_that_are_not_there_are_nothing() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.read_by(CANONICAL, &[(&cell(1), "nRPCI", "1.0")]);
    world.origin_round(&[]).await;
    let mut told = world.disclosure(false).await;
    let mut stray = told.stations[0].respellings[0].clone();
    stray.dn = cell(9);
    told.stations[0].respellings.push(stray.clone());
    (stray.dn, stray.attribute) = (cell(1), "@object".into());
    told.stations[0].respellings.push(stray);
    assert_eq!(world.take(&told).await.wrong, 0);
    assert_both_remember_the_same(&world).await;
}

#[tokio::test]
async fn what_is_deleted_in_the_same_round_as_approved_is_deleted_in_its_old_spelling() {
    let mut world = World::new().await;
    world.honest_round().await;
    let mut row = request("CR-1", 1, "2", 15);
    let whole = world.origin.newest_snapshot(&element(1)).await.unwrap().unwrap();
    let whole = whole.snapshot.object(&cell(1)).unwrap().as_value();
    let edit = &mut row.request.as_mut().unwrap().edits[0];
    (edit.attribute, edit.old, edit.new) = ("@object".into(), Some(whole), None);
    world.approve_change(row);
    world.read_by(CANONICAL, &[(&cell(1), "nRPCI", "1.0"), (&cell(1), "qHyst", "4")]);
    world.stations.get_mut(&element(1)).unwrap().remove(cell(1).as_str());
    let judged = world.honest_round().await;
    assert_eq!(judged.wrong, 0);
    let verdicts: Vec<_> =
        judged.commit.edits.iter().map(|e| e.authorisation.unwrap().is_authorised()).collect();
    assert_eq!(verdicts, [true], "{:?}", judged.commit.edits);
    assert_both_remember_the_same(&world).await;
}
