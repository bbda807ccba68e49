//! What an origin may lie about, each lie named by what catches it.

use anchor::Hash;
use anchor::commitment::{EpochSecret, Opening, Salt};
use anchor::record::{Authorisation, JudgementRecord, JudgementVerdict, Record, ViolationRecord};
use anchor::standing::Moment;
use anchor::transaction::{DisputeKind, DisputeStatement};
use model::violation::SECOND_JUDGEMENT_RULE;
use model::{Dn, Severity, Value};
use store::{RequestRow, ViolationFilter};

use super::world::{JUDGE, ORIGIN, World, cell, delivery, element, opened, request};
use crate::second::checking::Heights;
use crate::second::disclosure::{DisclosedAttribute, DisclosedOpening, Disclosure};
use crate::second::finding::Finding;
use crate::second::judging::{Judge, Judged};
use crate::second::taking;

/// The second round, in which the PCI of station 2 changed without an approval, told with a lie.
async fn told(lie: impl FnOnce(&mut Disclosure)) -> (World, Judged) {
    let mut world = World::new().await;
    world.honest_round().await;
    world.set(&cell(2), "nRPCI", "9");
    world.origin_round(&[]).await;
    let mut told = world.disclosure(false).await;
    lie(&mut told);
    let judged = world.take(&told).await;
    (world, judged)
}

/// Kinds of the disputes it comes to, and codes of what is found, by message.
async fn caught(lie: impl FnOnce(&mut Disclosure)) -> (Vec<DisputeKind>, Vec<String>) {
    let (_, judged) = told(lie).await;
    (kinds(&judged), messages(&judged))
}

fn disputes(judged: &Judged) -> Vec<DisputeStatement> {
    statements(judged.second.disputes.clone())
}

fn statements(disputes: Option<serde_json::Value>) -> Vec<DisputeStatement> {
    disputes.map(|d| serde_json::from_value(d).unwrap()).unwrap_or_default()
}

fn kinds(judged: &Judged) -> Vec<DisputeKind> {
    kinds_of(judged.second.disputes.clone())
}

fn kinds_of(disputes: Option<serde_json::Value>) -> Vec<DisputeKind> {
    statements(disputes).into_iter().map(|dispute| dispute.kind).collect()
}

fn messages(judged: &Judged) -> Vec<String> {
    let second = judged.commit.violations.iter().filter(|v| v.rule == SECOND_JUDGEMENT_RULE);
    second
        .map(|violation| {
            assert_eq!(violation.severity, Severity::Critical);
            assert!(!violation.message.zh.is_empty());
            violation.message.en.clone()
        })
        .collect()
}

fn entry<'a>(told: &'a mut Disclosure, attribute: &str) -> &'a mut DisclosedAttribute {
    let cell = cell(2).to_string();
    told.attributes.iter_mut().find(|e| e.dn == cell && e.attribute == attribute).unwrap()
}

fn opening<'a>(told: &'a mut Disclosure, attribute: &str) -> &'a mut DisclosedOpening {
    entry(told, attribute).opening.as_mut().unwrap()
}

fn set_object(told: &mut Disclosure, object: &Dn, attribute: &str, value: &str) {
    let objects = told.stations.iter_mut().flat_map(|station| station.objects.iter_mut());
    let found = objects.into_iter().find(|o| o.dn == *object).unwrap();
    found.attributes.insert(attribute.into(), Value::from(value));
}

#[tokio::test]
async fn the_truth_is_not_disputed() {
    let (kinds, messages) = caught(|_| {}).await;
    assert_eq!((kinds, messages), (vec![], vec![]));
}

#[tokio::test]
async fn another_salt_or_value_does_not_open() {
    for lie in [(|told| opening(told, "nRPCI").salt = Salt([1; 32])) as fn(&mut Disclosure), |told| {
        opening(told, "nRPCI").value = "\"8\"".into()
    }] {
        let (world, judged) = told(lie).await;
        assert_eq!(kinds(&judged), [DisputeKind::Opening]);
        let messages = messages(&judged);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(
            messages[0].contains("nRPCI of NRCellDU=1 at g2: what was disclosed does not open"),
            "{messages:?}"
        );
        let records = delivery(&judged).records;
        assert_eq!(
            records[0].verdict,
            JudgementVerdict::Same,
            "the object tells the truth, and they agree on it"
        );
        let summary = records.last().unwrap();
        assert_eq!((summary.verdict, summary.counts.unwrap().unopened), (JudgementVerdict::Differs, 1));
        let summary = Record::Judgement(Box::new(summary.clone())).commitment().unwrap();
        assert_eq!(disputes(&judged)[0].judgement, summary);
        assert!(world.judge.fsck().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn the_next_round_follows_one_that_did_not_open_without_blaming_it_again() {
    let (mut world, _) = told(|told| opening(told, "nRPCI").salt = Salt([1; 32])).await;
    let next = world.honest_round().await;
    assert_eq!((next.wrong, messages(&next)), (0, vec![]));
    let standing = world.judge.open_violations(&element(2)).await.unwrap();
    assert_eq!(standing.iter().filter(|v| v.rule == SECOND_JUDGEMENT_RULE).count(), 1, "it stays open");
}

#[tokio::test]
async fn a_commitment_left_out_is_missed_and_the_next_round_needs_the_whole() {
    let (mut world, judged) = told(|told| told.attributes.retain(|entry| entry.attribute != "nRPCI")).await;
    assert!(kinds(&judged).contains(&DisputeKind::Undisclosed), "{:?}", kinds(&judged));
    assert!(!judged.second.mirrored);
    assert_eq!(delivery(&judged).records.last().unwrap().counts.unwrap().undisclosed, 1);
    world.origin_round(&[]).await;
    let changes = world.disclosure(false).await;
    world.check(&changes).await.unwrap_err();
    let whole = world.disclosure(true).await;
    let judged = world.take(&whole).await;
    assert!(judged.second.mirrored);
    assert_eq!(kinds(&judged), []);
}

#[tokio::test]
async fn an_altered_commitment_does_not_lead_to_the_attested_map() {
    let (kinds, _) = caught(|told| {
        let value = opening(told, "nRPCI").value.clone();
        let other =
            Opening { dn: cell(2).to_string(), attribute: "nRPCI".into(), value, salt: Salt([1; 32]) };
        let commitment = other.commitment();
        opening(told, "nRPCI").salt = other.salt;
        entry(told, "nRPCI").commitment = Some(commitment);
    })
    .await;
    assert_eq!(kinds, [DisputeKind::Undisclosed]);
}

#[tokio::test]
async fn a_value_under_another_attribute_s_key_is_found() {
    let (kinds, messages) = caught(|told| entry(told, "nRPCI").attribute = "ssbPeriodicity".into()).await;
    assert!(kinds.contains(&DisputeKind::Opening));
    assert!(messages.iter().any(|m| m.contains("under another attribute's key")), "{messages:?}");
}

#[tokio::test]
async fn an_object_that_is_told_otherwise_than_it_was_committed_to_is_found() {
    let (kinds, messages) = caught(|told| set_object(told, &cell(2), "nRPCI", "1")).await;
    assert!(kinds.contains(&DisputeKind::Opening));
    assert!(
        messages.iter().any(|m| m.starts_with("nRPCI of NRCellDU=1 at g2: the disclosed value is not")),
        "{messages:?}"
    );
}

#[tokio::test]
async fn a_value_that_changed_without_its_commitment_is_found() {
    let (kinds, messages) = caught(|told| set_object(told, &cell(2), "ssbPeriodicity", "40")).await;
    assert!(kinds.contains(&DisputeKind::Opening));
    assert!(messages.iter().any(|m| m.starts_with("ssbPeriodicity of")), "{messages:?}");
}

#[tokio::test]
async fn an_object_that_is_left_out_or_declared_gone_is_found() {
    for lie in [(|told| told.stations[1].objects.clear()) as fn(&mut Disclosure), |told| {
        told.stations[1].objects.clear();
        told.stations[1].gone.push(cell(2));
    }] {
        let (kinds, messages) = caught(lie).await;
        assert!(kinds.contains(&DisputeKind::Opening), "{kinds:?} {messages:?}");
    }
}

#[tokio::test]
async fn an_opening_that_is_kept_back_is_found() {
    let (kinds, messages) = caught(|told| entry(told, "nRPCI").opening = None).await;
    assert_eq!(kinds, [DisputeKind::Withheld]);
    assert!(messages[0].contains("withheld though the agreement lets it be seen"), "{messages:?}");
}

#[tokio::test]
async fn other_outcomes_missing_stations_and_other_figures_are_found() {
    for (lie, words) in [
        (
            (|told: &mut Disclosure| told.stations[0].outcome = "collected".into()) as fn(&mut Disclosure),
            "outcomes are not those",
        ),
        (|told| drop(told.stations.remove(0)), "nothing is told of station"),
        (|told| told.stations[0].reason = "x".into(), "outcomes are not those"),
        (|told| told.stations[0].outcome = "asleep".into(), "nothing is told of station"),
        (
            |told| {
                let twice = told.stations[0].clone();
                told.stations.push(twice);
            },
            "outcomes are not those",
        ),
    ] {
        let (kinds, messages) = caught(lie).await;
        assert!(kinds.contains(&DisputeKind::Account), "{words}: {kinds:?}");
        assert!(messages.iter().any(|m| m.contains(words)), "{words}: {messages:?}");
    }
}

#[tokio::test]
async fn a_violation_left_out_kept_back_or_changed_is_found() {
    let (kinds, messages) = caught(|told| told.violations.clear()).await;
    assert_eq!(kinds, [DisputeKind::Verdict, DisputeKind::Account]);
    assert!(
        messages.iter().any(|m| m.contains("violations are not those that were attested")),
        "{messages:?}"
    );

    let (kinds, _) = caught(|told| told.violations[0].record = None).await;
    assert!(kinds.contains(&DisputeKind::Withheld), "{kinds:?}");

    let (kinds, messages) = caught(|told| {
        let Some(Record::Violation(record)) = &mut told.violations[0].record else { unreachable!() };
        record.authorisation = Some(Authorisation::Exact);
    })
    .await;
    assert!(kinds.contains(&DisputeKind::Account), "{kinds:?}");
    assert!(messages.iter().any(|m| m.contains("not the one that was committed to")), "{messages:?}");
}

#[tokio::test]
async fn a_round_that_does_not_follow_the_last_or_was_judged_at_no_such_height_is_found() {
    let (kinds, messages) = caught(|told| told.attestation.previous = Some(Hash::of(b"another"))).await;
    assert_eq!(kinds, [DisputeKind::Account]);
    assert!(messages[0].contains("does not follow"), "{messages:?}");
    let (kinds, messages) = caught(|told| told.height = 99).await;
    assert!(kinds.contains(&DisputeKind::Account) && messages.iter().any(|m| m.contains("height 99")));
}

/// Where nothing of a round can be used, there is no comparison; but a violation, and a dispute where the chain has it.
#[tokio::test]
async fn a_round_of_which_nothing_can_be_used_is_a_violation() {
    for (attested, disputes) in [(true, vec![DisputeKind::Account]), (false, vec![])] {
        let mut world = World::new().await;
        world.honest_round().await;
        world.origin_round(&[]).await;
        let attestation = world.disclosure(false).await.attestation;
        let standing = (attestation.hash().unwrap(), attested);
        let judge = Judge { member: JUDGE, epoch: &EpochSecret([8; 32]) };
        let why = Finding::account("pins", "the round rests on other rules", "该轮次依据的是其他规则");
        taking::note_refused(&world.judge, judge, &attestation, standing, why).await.unwrap();
        let stored = world.judge.violations(&ViolationFilter::default(), None, 10).await.unwrap();
        let [row] = stored.rows.as_slice() else { panic!("{stored:?}") };
        assert_eq!((row.violation.rule.as_str(), row.violation.first_seen.round), (SECOND_JUDGEMENT_RULE, 2));
        assert_eq!((&row.violation.element, row.violation.attribute.as_str()), (&element(1), "@round"));
        assert_eq!(row.violation.message.en, "the round rests on other rules");
        let second = world.judge.last_second().await.unwrap().unwrap();
        assert_eq!(kinds_of(second.disputes), disputes, "attested: {attested}");
    }
}

#[tokio::test]
async fn a_commitment_that_moves_while_its_station_is_not_read_is_found() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.set(&cell(2), "nRPCI", "9");
    world.origin_round(&[]).await;
    let mut told = world.disclosure(false).await;
    told.stations[1].outcome = "unchanged".into();
    let judged = world.take(&told).await;
    assert!(messages(&judged).iter().any(|m| m.contains("was not read anew")), "{:?}", messages(&judged));
}

#[tokio::test]
async fn another_approved_state_gives_another_verdict_on_either_side() {
    // The origin knows of an approval that the judge does not: the judge finds a violation more.
    let mut world = World::new().await;
    world.honest_round().await;
    world.requests.push(request("CR-1", 2, "9", 15));
    world.set(&cell(2), "nRPCI", "9");
    let extra = world.honest_round().await;
    let record = delivery(&extra).records[0].clone();
    assert_eq!((record.verdict, record.own), (JudgementVerdict::Extra, Some(Authorisation::Unapproved)));
    assert_eq!(kinds(&extra), [DisputeKind::Verdict]);
    let commitment = Record::Judgement(Box::new(record)).commitment().unwrap();
    assert_eq!(disputes(&extra)[0].judgement, commitment, "a single difference is named itself");

    // The other way round: what the origin calls a violation was approved.
    let mut world = World::new().await;
    world.honest_round().await;
    world.judge_requests.push(request("CR-1", 2, "9", 15));
    world.set(&cell(2), "nRPCI", "9");
    let missing = world.honest_round().await;
    let record = delivery(&missing).records[0].clone();
    assert_eq!(record.verdict, JudgementVerdict::Missing);
    assert_eq!((record.theirs, record.own), (Some(Authorisation::Unapproved), Some(Authorisation::Exact)));
    assert!(
        messages(&missing)[0].contains("found exact, the origin recorded unapproved"),
        "{:?}",
        messages(&missing)
    );

    // Both see one, for different reasons.
    let mut world = World::new().await;
    world.honest_round().await;
    world.judge_requests.push(request("CR-1", 2, "8", 15));
    world.set(&cell(2), "nRPCI", "9");
    let differs = world.honest_round().await;
    assert_eq!(delivery(&differs).records[0].verdict, JudgementVerdict::Differs);
}

/// One word is not the whole record: what a record makes lighter, or leaves out, is a difference.
#[tokio::test]
async fn the_same_word_with_another_severity_or_without_a_request_differs() {
    for (words, lie) in [
        ("the origin recorded warning", (|r| r.severity = "warning".into()) as fn(&mut ViolationRecord)),
        ("considered request CR-1 otherwise", |r| r.considered.clear()),
    ] {
        let mut world = World::new().await;
        world.honest_round().await;
        let row = request("CR-1", 2, "8", 15);
        world.judge_requests.push(row.clone());
        world.requests.push(row);
        world.set(&cell(2), "nRPCI", "9");
        world.origin_round(&[]).await;
        let told = world.disclosure(false).await;
        let mut checked = world.check(&told).await.unwrap();
        // As if the origin had committed to it.
        let Some(record) = &mut checked.violations[0].record else { unreachable!() };
        lie(record);
        let judged = world.take_checked(&told, checked).await;
        let record = &delivery(&judged).records[0];
        assert_eq!(record.verdict, JudgementVerdict::Differs, "{words}: {}", record.why);
        assert!(record.why.contains(words), "{words}: {}", record.why);
        assert_eq!(record.own, record.theirs, "the word itself is the same");
        assert_eq!(kinds(&judged), [DisputeKind::Verdict]);
    }
}

/// Approved only after the round that saw it: one side calls it late, the other, which does not know of it, unapproved.
#[tokio::test]
async fn late_and_unapproved_are_two_verdicts() {
    let mut world = World::new().await;
    world.honest_round().await;
    world.requests.push(request("CR-1", 2, "9", opened(2) + 1));
    world.set(&cell(2), "nRPCI", "9");
    let judged = world.honest_round().await;
    let record = &delivery(&judged).records[0];
    assert_eq!((record.theirs, record.own), (Some(Authorisation::Late), Some(Authorisation::Unapproved)));
    assert_eq!(record.verdict, JudgementVerdict::Differs);
}

#[tokio::test]
async fn what_rests_on_a_request_that_cannot_be_read_is_not_judged() {
    // The origin alone approved it and keeps its body back.
    let kept_back = |row: &RequestRow| {
        let mut row = RequestRow { request: None, ..row.clone() };
        row.subject.required = vec![ORIGIN.into()];
        row
    };
    for (new, own) in [("9", "carried out"), ("8", "considered")] {
        let mut world = World::new().await;
        world.honest_round().await;
        let row = request("CR-1", 2, new, 15);
        world.judge_requests.push(kept_back(&row));
        world.requests.push(row);
        world.set(&cell(2), "nRPCI", "9");
        let judged = world.honest_round().await;
        let record = delivery(&judged).records[0].clone();
        assert_eq!(record.verdict, JudgementVerdict::Unjudged, "{own}: {record:?}");
        assert!(record.why.contains("request CR-1, whose body is not here"), "{own}: {}", record.why);
        assert_eq!((kinds(&judged), judged.wrong), (vec![], 0), "{own}");
    }
}

#[tokio::test]
async fn a_violation_under_another_s_name_is_found_and_takes_no_judgement_s_place() {
    for name in ["telecom-9", "V-2-0123456789abcdef", "V-x"] {
        let (_, judged) = told(|told| {
            let violation = &mut told.violations[0];
            violation.id = name.into();
            let Some(Record::Violation(record)) = &mut violation.record else { unreachable!() };
            record.id = name.into();
            violation.commitment = violation.record.as_ref().unwrap().commitment().unwrap();
        })
        .await;
        assert!(kinds(&judged).contains(&DisputeKind::Account));
        let records = delivery(&judged).records;
        let taken = JudgementRecord::violation_id(name);
        assert!(records.iter().all(|record| record.id != taken), "{name}");
        assert!(records.last().unwrap().why.contains("a name that is not its own"), "{name}");
    }
}

#[tokio::test]
async fn reads_outside_of_the_round_and_a_round_outside_of_its_blocks_are_found() {
    const TWO_MINUTES: i64 = 120_000;
    for (lie, words) in [
        (
            (|told: &mut Disclosure| told.attestation.started -= 120_000) as fn(&mut Disclosure),
            "before its opening",
        ),
        (|told| told.attestation.finished += 120_000, "after its attestation"),
        (|told| told.stations[0].read = told.stations[0].read.plus_millis(TWO_MINUTES), "was read outside"),
        (|told| told.stations[0].read = told.stations[0].read.plus_millis(-TWO_MINUTES), "was read outside"),
    ] {
        let (kinds, messages) = caught(lie).await;
        assert_eq!(kinds, [DisputeKind::Account], "{words}");
        assert!(messages.iter().any(|m| m.contains(words)), "{words}: {messages:?}");
    }
}

#[test]
fn a_round_is_judged_between_its_blocks_and_not_before_the_last_one() {
    let block = |height| Moment { height, time: 0 };
    let heights = Heights { opened: Some(block(10)), attested: block(20), since: Some(12) };
    let refused = |heights: Heights| (9..=21).filter(|h| heights.finding(*h).is_some()).collect::<Vec<_>>();
    assert_eq!(refused(heights), [9, 10, 11, 21]);
    assert_eq!(refused(Heights { since: None, ..heights }), [9, 21]);
    assert_eq!(refused(Heights { since: None, opened: None, ..heights }), [21]);
}

#[tokio::test]
async fn hostile_names_and_figures_are_findings_and_no_failures() {
    for lie in [
        (|told| told.attributes[0].dn = "not a name".into()) as fn(&mut Disclosure),
        |told| told.attributes[0].dn = "SubNetwork=elsewhere".into(),
        |told| told.stations[1].interpretation = Some("zz".into()),
        |told| told.stations[1].objects[0].dn = cell(1),
        |told| told.stations[1].objects[0].dn = "SubNetwork=elsewhere,ManagedElement=x".parse().unwrap(),
        |told| told.stations[0].element = "SubNetwork=elsewhere,ManagedElement=x".parse().unwrap(),
        |told| told.attestation.counts.expected = u64::MAX >> 12,
        |told| {
            let twice = told.attributes[0].clone();
            told.attributes.push(twice);
        },
    ] {
        let (world, _) = told(lie).await;
        assert!(world.judge.fsck().await.unwrap().is_clean());
    }
}
