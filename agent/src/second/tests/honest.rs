//! Honest rounds.

use anchor::record::{Authorisation, JudgementVerdict, Record};
use model::{Severity, Timestamp, ViolationState};
use serde_json::json;
use store::judgements::JUDGEMENT;
use store::{RequestProgress, Store, StoreConfig};

use super::world::{JUDGE, ORIGIN, World, anchor, cell, delivery, element, request};
use crate::round::records;
use crate::second::checking::NeedsWhole;
use crate::second::judging::{Carried, Judged};

fn verdicts(judged: &Judged) -> Vec<(JudgementVerdict, Option<Authorisation>, Option<Authorisation>)> {
    delivery(judged).records.iter().map(|r| (r.verdict, r.theirs, r.own)).collect()
}

const SUMMARY_SAME: (JudgementVerdict, Option<Authorisation>, Option<Authorisation>) =
    (JudgementVerdict::Same, None, None);

#[tokio::test]
async fn honest_rounds_are_judged_the_same_and_both_remember_the_same() {
    let mut world = World::new().await;
    let first = world.honest_round().await;
    assert_eq!((first.wrong, verdicts(&first)), (0, vec![SUMMARY_SAME]));
    let counts = delivery(&first).records[0].counts.unwrap();
    assert_eq!((counts.changes, counts.opened), (6, 6), "two cells, two attributes and the object of each");

    world.approve_change(request("CR-1", 1, "2", 15));
    world.set(&cell(1), "nRPCI", "2");
    world.set(&cell(2), "nRPCI", "9");
    world.set(&cell(2), "ssbPeriodicity", "320");
    let second = world.honest_round().await;
    let same = |authorisation| (JudgementVerdict::Same, authorisation, authorisation);
    let unapproved = same(Some(Authorisation::Unapproved));
    assert_eq!(verdicts(&second), [unapproved, unapproved, same(None), SUMMARY_SAME]);
    assert_eq!(second.second.disputes, None);
    assert_eq!(delivery(&second).requests[0].request, "CR-1");
    for element in [element(1), element(2)] {
        let theirs = world.origin.approved_state(&element).await.unwrap();
        assert_eq!(world.judge.approved_state(&element).await.unwrap(), theirs);
        let theirs = world.origin.open_violations(&element).await.unwrap();
        assert_eq!(world.judge.open_violations(&element).await.unwrap(), theirs);
    }
    let map = world.judge.mirrored_attributes().await.unwrap();
    assert_eq!(map.len(), 6);
    assert!(world.judge.fsck().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_round_that_changes_nothing_tells_nothing_and_an_unread_station_stays_as_it_was() {
    let mut world = World::new().await;
    world.honest_round().await;
    let quiet = world.honest_round().await;
    assert_eq!((quiet.wrong, quiet.commit.snapshots.len(), quiet.commit.openings.len()), (0, 0, 0));
    world.set(&cell(1), "nRPCI", "9");
    world.origin_round(&[1]).await;
    let told = world.disclosure(false).await;
    assert!(told.attributes.is_empty() && told.stations.iter().all(|station| station.objects.is_empty()));
    assert_eq!(world.take(&told).await.wrong, 0);
    let seen = world.honest_round().await;
    assert_eq!(verdicts(&seen)[0].2, Some(Authorisation::Unapproved));
    assert_eq!(seen.wrong, 0);
}

#[tokio::test]
async fn a_rule_s_mode_says_how_it_is_shown_and_what_is_only_counted_is_resolved() {
    let mut world = World::new().await;
    world.set(&cell(1), "ssbPeriodicity", "320");
    world.set(&cell(2), "ssbPeriodicity", "320");
    for (mode, shown) in [
        ("enforce", Some((ViolationState::Open, Severity::Minor))),
        ("warn", Some((ViolationState::Open, Severity::Warning))),
        ("audit", Some((ViolationState::Resolved, Severity::Warning))),
        ("audit", None),
        ("off", None),
        ("warn", Some((ViolationState::Open, Severity::Warning))),
    ] {
        world.agree_on_mode(mode);
        let judged = world.honest_round().await;
        assert_eq!(judged.wrong, 0, "{mode}");
        let rules = judged.commit.violations.iter().filter(|v| v.rule == "period");
        let rules: Vec<_> = rules.map(|v| (v.state, v.severity)).collect();
        let both: Vec<_> = shown.into_iter().flat_map(|one| [one, one]).collect();
        assert_eq!(rules, both, "{mode}");
        let counted: Vec<_> = world.audited.iter().map(|(rule, n)| (rule.as_str(), *n)).collect();
        assert_eq!(counted, if mode == "audit" { vec![("period", 2)] } else { vec![] }, "{mode}");
    }
}

#[tokio::test]
async fn objects_come_and_go_and_are_judged_the_same() {
    let mut world = World::new().await;
    world.honest_round().await;
    let other = element(1).child("GNBDUFunction", "1").child("NRCellDU", "2");
    world.set(&other, "nRPCI", "7");
    world.set(&other, "ssbPeriodicity", "20");
    let created = world.honest_round().await;
    assert_eq!((created.wrong, verdicts(&created).len()), (0, 2));
    world.stations.get_mut(&element(1)).unwrap().remove(other.as_str());
    world.stations.get_mut(&element(1)).unwrap().remove(cell(1).as_str());
    let gone = world.honest_round().await;
    assert_eq!(gone.wrong, 0);
    assert_eq!(gone.commit.closed.len(), 6, "two attributes and the object of either cell");
    let resolved = gone.commit.violations.iter().filter(|v| v.state == ViolationState::Resolved).count();
    assert_eq!(resolved, 1, "the created object is gone again");
}

#[tokio::test]
async fn a_judge_that_comes_late_asks_for_the_whole_and_blames_nobody_for_what_stood_before() {
    let mut world = World::new().await;
    world.origin_round(&[]).await;
    world.set(&cell(2), "nRPCI", "9");
    world.origin_round(&[]).await;
    world.origin_round(&[]).await;
    let changes = world.disclosure(false).await;
    assert_eq!(world.check(&changes).await.unwrap_err(), NeedsWhole);
    let whole = world.disclosure(true).await;
    let judged = world.take(&whole).await;
    assert_eq!((judged.wrong, verdicts(&judged)), (0, vec![SUMMARY_SAME]));
    assert!(judged.second.began && delivery(&judged).records[0].why.contains("began with this round"));
    assert_eq!(world.judge.open_violations(&element(2)).await.unwrap().len(), 1, "it sees it all the same");
    assert_eq!(world.honest_round().await.wrong, 0);
}

#[tokio::test]
async fn an_approval_counts_up_to_the_height_at_which_the_origin_judged() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.set(&cell(1), "nRPCI", "2");
    // The origin judges round 2 at height 21 and cannot know; the judge reads it later and does.
    world.judge_requests.push(request("CR-1", 1, "2", 24));
    let judged = world.honest_round().await;
    assert_eq!((judged.wrong, verdicts(&judged)[0].2), (0, Some(Authorisation::Unapproved)));
}

#[tokio::test]
async fn what_the_agreement_withholds_is_not_told_and_not_judged() {
    let mut world = World::seeing(json!([{ "attributes": ["NRCellDU.nRPCI"], "to": [] }])).await;
    world.honest_round().await;
    world.set(&cell(1), "nRPCI", "9");
    world.set(&cell(2), "ssbPeriodicity", "40");
    world.origin_round(&[]).await;
    let told = world.disclosure(false).await;
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("\"9\"") && !text.contains("\\\"9\\\""), "{text}");
    let judged = world.take(&told).await;
    let counts = delivery(&judged).records.last().unwrap().counts.unwrap();
    assert_eq!(judged.wrong, 0);
    assert_eq!((counts.same, counts.differing), (1, 0));
    assert_eq!(counts.unopened, 3, "the PCI, and the objects that hold one");
    assert!(verdicts(&judged).iter().any(|v| v.0 == JudgementVerdict::Unjudged));
}

#[tokio::test]
async fn a_judgement_reaches_the_log_once_however_often_it_is_delivered() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.set(&cell(2), "nRPCI", "9");
    let judged = world.honest_round().await;
    let main = Store::open(StoreConfig::new(world.folder.path().join("main.db"))).await.unwrap();
    for attempt in 0..3 {
        let records = delivery(&judged).records;
        let leaf = |r: &anchor::record::JudgementRecord| {
            records::leaf(&Record::Judgement(Box::new(r.clone())), "net").unwrap()
        };
        let leaves: Vec<_> = records.iter().map(leaf).collect();
        let requests: Vec<RequestProgress> =
            delivery(&judged).requests.into_iter().map(Carried::progress).collect();
        main.add_own_judgements(2, &records, &leaves, &requests, Timestamp(5)).await.unwrap();
        if attempt == 1 {
            anchor(&main).await;
        }
    }
    assert_eq!((main.log_state().await.unwrap().size, main.log_state().await.unwrap().waiting), (2, 0));
    let rows = main.round_judgements(ORIGIN, 2).await.unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| (row.judge.as_str(), row.violation.is_some(), row.leaf)).collect();
    assert_eq!(shown, [(JUDGE, true, Some(0)), (JUDGE, false, Some(1))]);
    let violation = rows[0].violation.clone().unwrap();
    assert_eq!(main.judgements_of(ORIGIN, &violation).await.unwrap(), rows[..1]);
    assert_eq!(main.leaf_of(JUDGEMENT, &rows[1].record.id).await.unwrap().unwrap().round, None);
    assert_eq!(main.judged_rounds(JUDGE, ORIGIN, 0, 9).await.unwrap(), [(2, Some(1))]);
    assert!(main.fsck().await.unwrap().is_clean());
    // The second store gives the same round again only to be told that it stands.
    let again =
        world.judge.commit_second(&judged.start, &judged.commit, &judged.second, &judged.map).await.unwrap();
    assert_eq!(again, store::Committed::AlreadyCommitted);
    assert_eq!(world.judge.unfinished_seconds().await.unwrap().len(), 2);
    world.judge.mark_delivered(1).await.unwrap();
    world.judge.mark_delivered(2).await.unwrap();
    assert_eq!(world.judge.unfinished_seconds().await.unwrap(), []);
}
