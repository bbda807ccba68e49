//! What rounds and people do to violations at the same time, and what pages ask.

use model::violation::Waiver;
use model::{
    Authorisation, Edit, Object, Outcome, Severity, Snapshot, Timestamp, Value, Violation, ViolationState,
};
use store::{RoundEdit, Store, StoreError, Verb, ViolationAction, ViolationFilter};

use crate::world::*;

async fn round_with(store: &Store, round: u64, violations: Vec<Violation>) {
    store.begin_round(&start(round, 1)).await.unwrap();
    let mut found = commit(round);
    found.stations.push(result(1, Outcome::Unchanged, round));
    found.violations = violations;
    store.commit_round(&found).await.unwrap();
}

fn action(at: i64, verb: Verb) -> ViolationAction {
    ViolationAction { by: "li.na".into(), at: Timestamp(at), reason: "seen".into(), verb }
}

fn waiver(expires: i64) -> Waiver {
    Waiver {
        id: "W-1".into(),
        rule: "authorisation".into(),
        scope: "SubNetwork=bj".parse().unwrap(),
        reason: "trial".into(),
        ticket: "T-1".into(),
        expires: Timestamp(expires),
        approved_by: vec!["unicom".into()],
    }
}

async fn state(store: &Store, id: &str) -> ViolationState {
    store.violation(id).await.unwrap().unwrap().violation.state
}

#[tokio::test]
async fn what_people_did_outlasts_the_next_round() {
    let (store, _folder) = scratch().await;
    let seen = violation(1, "nRPCI", 1);
    round_with(&store, 1, vec![seen.clone()]).await;
    store.act_on_violation(&seen.id, &action(10, Verb::Acknowledge)).await.unwrap();
    let assigned = store.act_on_violation(&seen.id, &action(11, Verb::Assign { to: "wang".into() })).await;
    assert_eq!(assigned.unwrap().assignee.as_deref(), Some("wang"));

    let again = Violation { last_seen: sighting(2), ..seen.clone() };
    round_with(&store, 2, vec![again.clone()]).await;
    let row = store.violation(&seen.id).await.unwrap().unwrap();
    assert_eq!(row.violation, Violation { state: ViolationState::Acknowledged, ..again.clone() });
    assert_eq!(row.assignee.as_deref(), Some("wang"));

    let restored =
        Violation { state: ViolationState::Resolved, resolved: Some(sighting(3)), ..again.clone() };
    round_with(&store, 3, vec![restored.clone()]).await;
    assert_eq!(store.violation(&seen.id).await.unwrap().unwrap().violation, restored);
    let round = store.round(3).await.unwrap().unwrap();
    assert_eq!((round.violations_opened, round.violations_resolved), (0, 1));

    let done = store.actions_on(&seen.id).await.unwrap();
    let verbs: Vec<_> = done.iter().map(|a| (a.action.verb.name(), a.after)).collect();
    use ViolationState::{Acknowledged, Resolved};
    assert_eq!(verbs, [("acknowledge", Acknowledged), ("assign", Acknowledged), ("round", Resolved)]);
    assert_eq!(done[2].action.verb, Verb::Round { round: 3 });
    assert_eq!(done[0].action, action(10, Verb::Acknowledge));
}

#[tokio::test]
async fn a_waiver_holds_while_it_covers_and_not_longer() {
    let (store, _folder) = scratch().await;
    let seen = violation(1, "nRPCI", 1);
    round_with(&store, 1, vec![seen.clone()]).await;
    let late = store.act_on_violation(&seen.id, &action(4_000, Verb::Waive { waiver: waiver(3_000) })).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
    assert!(store.waivers().await.unwrap().is_empty(), "a refused action leaves nothing");
    store.act_on_violation(&seen.id, &action(1_950, Verb::Waive { waiver: waiver(3_000) })).await.unwrap();
    assert_eq!(store.waivers().await.unwrap(), [waiver(3_000)]);
    // A judge that read it before the waiver says open, one that read it since says what it read.
    round_with(&store, 2, vec![seen.clone()]).await;
    assert_eq!(state(&store, &seen.id).await, ViolationState::Waived);
    let waived = Violation { state: ViolationState::Waived, ..seen.clone() };
    round_with(&store, 3, vec![waived]).await;
    assert_eq!(state(&store, &seen.id).await, ViolationState::Open);
    let verbs: Vec<_> = store.actions_on(&seen.id).await.unwrap().iter().map(|a| a.after).collect();
    assert_eq!(verbs, [ViolationState::Waived, ViolationState::Open], "the end of a waiver is on record");
}

#[tokio::test]
async fn a_resolved_violation_takes_comments_only_and_stays_resolved() {
    let (store, _folder) = scratch().await;
    let seen = violation(1, "nRPCI", 1);
    round_with(&store, 1, vec![seen.clone()]).await;
    let row = store.act_on_violation(&seen.id, &action(1_950, Verb::Resolve)).await.unwrap();
    assert_eq!(row.violation.resolved.map(|s| (s.round, s.read)), Some((1, Timestamp(1_950))));
    let refused = store.act_on_violation(&seen.id, &action(1_960, Verb::Acknowledge)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    store.act_on_violation(&seen.id, &action(1_970, Verb::Comment)).await.unwrap();
    round_with(&store, 2, vec![seen.clone()]).await;
    assert_eq!(state(&store, &seen.id).await, ViolationState::Resolved);
    let absent = store.act_on_violation("V-none", &action(1, Verb::Comment)).await;
    assert!(matches!(absent, Err(StoreError::Missing { .. })));
}

#[tokio::test]
async fn known_differences_are_the_standing_ones_of_the_authorisation_rule() {
    let (store, _folder) = scratch().await;
    let standing = violation(1, "nRPCI", 1);
    let gone = Violation { state: ViolationState::Resolved, ..violation(1, "tac", 1) };
    let rule = Violation { rule: "pci-range".into(), verdict: None, ..violation(1, "arfcn", 1) };
    let rule = Violation { id: "V-rule".into(), ..rule };
    let elsewhere = violation(2, "nRPCI", 1);
    round_with(&store, 1, vec![standing.clone(), gone, rule, elsewhere]).await;
    let known = memory_of(&store, 1, Timestamp(0)).await.known_differences();
    assert_eq!(known.len(), 1);
    let known = &known[&(cell(1, 1), "nRPCI".to_owned())];
    assert_eq!((known.id.as_str(), &known.new), (standing.id.as_str(), &standing.new));
    assert_eq!((&known.first_seen, known.verdict.authorisation), (&sighting(1), Authorisation::Unapproved));
    assert_eq!(store.open_violations(&element(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn pages_cover_each_match_once_and_counts_agree() {
    let (store, _folder) = scratch().await;
    let mut all = Vec::new();
    for round in 1..=3u64 {
        for n in 0..5 {
            let severity = if n % 2 == 0 { Severity::Critical } else { Severity::Minor };
            all.push(Violation { severity, ..violation(1, &format!("a{n}"), round) });
        }
        round_with(&store, round, all[all.len() - 5..].to_vec()).await;
    }
    let filter = ViolationFilter { severities: vec![Severity::Critical], ..ViolationFilter::default() };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.violations(&filter, cursor.as_ref(), 2).await.unwrap();
        seen.extend(page.rows.into_iter().map(|r| r.violation));
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(seen.len(), 9);
    assert!(seen.is_sorted_by(|a, b| (b.first_seen.read, &b.id) < (a.first_seen.read, &a.id)));
    let counts = store.violation_counts(&ViolationFilter::default()).await.unwrap();
    assert_eq!((counts.total, counts.by_severity["critical"], counts.by_severity["minor"]), (15, 9, 6));
    assert_eq!((counts.by_state["open"], counts.by_operator["telecom"]), (15, 15));

    let tally = store.violation_tally().await.unwrap();
    let tally: Vec<_> = tally.iter().map(|t| (t.state.as_str(), t.severity.as_str(), t.count)).collect();
    assert_eq!(tally, [("open", "critical", 9), ("open", "minor", 6)]);

    let count = async |filter: ViolationFilter| store.violation_counts(&filter).await.unwrap().total;
    let text = |text: &str| ViolationFilter { text: Some(text.into()), ..ViolationFilter::default() };
    assert_eq!(count(text("NRCELLDU=1")).await, 15);
    assert_eq!(count(text("pci is 2")).await, 15);
    assert_eq!(count(text("为 2")).await, 15);
    assert_eq!(count(text("\"state\"")).await, 0, "only what people see is searched");
    assert_eq!(count(text("100%")).await, 0);
    assert_eq!(count(text("_")).await, 0, "signs of the search language mean themselves");
    let by = |f: fn(&mut ViolationFilter)| {
        let mut filter = ViolationFilter::default();
        f(&mut filter);
        filter
    };
    assert_eq!(count(by(|f| f.states = vec![ViolationState::Waived])).await, 0);
    assert_eq!(count(by(|f| f.authorisation = Some("unapproved".into()))).await, 15);
    assert_eq!(count(by(|f| f.element = Some(element(2)))).await, 0);
    assert_eq!(count(by(|f| f.operator = Some("unicom".into()))).await, 0);
}

/// A value so deep as the deepest reply that a reader takes: 62 elements below its object, each a list of structures.
fn deepest() -> Value {
    (0..62).fold(Value::text("leaf"), |inner, _| {
        Value::Sequence(vec![Value::Fields([("inner".to_owned(), inner)].into())])
    })
}

#[tokio::test]
async fn the_deepest_value_that_is_read_can_be_stored_and_read_back_everywhere() {
    let (store, _folder) = scratch().await;
    let object = Object::new(cell(1, 1), vec![("deep".to_owned(), deepest())], vec![]);
    let snapshot = Snapshot::new(interpretation(), vec![object], vec![]);
    let edit = Edit::between(&cell(1, 1), "deep", None, Some(&deepest())).unwrap();
    let seen = Violation { old: None, new: Some(deepest()), ..violation(1, "deep", 1) };
    for round in 1..=2 {
        store.begin_round(&start(round, 1)).await.unwrap();
        let mut found = commit(round);
        collect(&mut found, 1, snapshot.clone());
        let (authorisation, request) = (Some(Authorisation::Unapproved), None);
        found.edits.push(RoundEdit { element: element(1), edit: edit.clone(), authorisation, request });
        found.violations.push(Violation { last_seen: sighting(round), ..seen.clone() });
        store.commit_round(&found).await.unwrap();
    }
    assert_eq!(store.newest_snapshot(&element(1)).await.unwrap().unwrap().snapshot.as_ref(), &snapshot);
    assert_eq!(memory_of(&store, 1, Timestamp(0)).await.open[0].new, Some(deepest()));
    assert_eq!(store.violation(&seen.id).await.unwrap().unwrap().violation.last_seen, sighting(2));
    assert!(store.fsck().await.unwrap().faults.is_empty());
}

#[tokio::test]
async fn a_damaged_violation_is_named_by_whatever_reads_it() {
    let (store, folder) = scratch().await;
    let seen = violation(1, "nRPCI", 1);
    round_with(&store, 1, vec![seen.clone()]).await;
    let damage = "UPDATE violations SET violation = '{\"id\":'";
    sqlx::query(damage).execute(&mut beside(folder.path()).await).await.unwrap();
    store.begin_round(&start(2, 1)).await.unwrap();
    let mut found = commit(2);
    found.stations.push(result(1, Outcome::Unchanged, 2));
    found.violations.push(seen);
    let unreadable = |error: &StoreError| matches!(error, StoreError::Unreadable { column: "violation", .. });
    assert!(unreadable(&store.commit_round(&found).await.unwrap_err()));
    assert!(unreadable(&store.memory_of(&[(&element(1), None)], Timestamp(0)).await.unwrap_err()));
    assert!(!store.fsck().await.unwrap().faults.is_empty());
}
