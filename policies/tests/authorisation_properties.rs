//! What holds of every judgement, over random worlds.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use model::change::{ExpectedEdit, Standing};
use model::{Authorisation, Difference, RequestView};
use proptest::prelude::*;
use support::*;

const PLACES: [(&str, &str); 6] = [
    (CARRIER, POWER),
    (OTHER_CARRIER, POWER),
    (CARRIER, "sleep"),
    (CELL, "userLabel"),
    (CELL, "nRPCI"),
    (UNICOM_CELL, "administrativeState"),
];

fn any_place() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(PLACES.to_vec())
}

fn any_value() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["0", "2", "15", "20", "23"]).prop_map(str::to_owned)
}

fn any_standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        4 => (5u64..30).prop_map(|height| Standing::Approved { height }),
        1 => Just(Standing::Proposed { approved_by: vec![], missing: vec!["tower".into()] }),
        1 => Just(Standing::Rejected { by: "unicom".into(), height: 9 }),
        1 => (5u64..30, prop::option::of(5u64..30))
            .prop_map(|(height, approved)| Standing::Withdrawn { height, approved }),
    ]
}

fn any_request() -> impl Strategy<Value = RequestView> {
    let edits = prop::collection::btree_map(any_place(), (any_value(), any_value()), 1..3);
    let window = (60i64..180, 1i64..90);
    (edits, any_standing(), window, any::<bool>(), prop::bool::weighted(0.8), 0u8..8).prop_map(
        |(edits, standing, (from, length), rollback, complete, kind)| {
            let edits: Vec<ExpectedEdit> =
                edits.into_iter().map(|((o, a), (old, new))| edit(o, a, &old, &new)).collect();
            let mut view = request("", edits);
            view.standing = standing;
            view.request.window.from = minute(from);
            view.request.window.to = minute(from + length);
            view.request.rollback = rollback;
            if kind == 0 {
                view.request.kind = model::ChangeKind::Emergency;
            }
            if kind == 1 {
                view.request.proposer = "unicom".into();
            }
            if !complete {
                view.approved_by = vec!["unicom".into()];
            }
            view
        },
    )
}

fn any_world() -> impl Strategy<Value = World> {
    let changes = || prop::collection::btree_map(any_place(), any_value(), 0..4);
    let requests = prop::collection::vec(any_request(), 0..6);
    let deleted = prop::option::of(prop::sample::select(vec![OTHER_CARRIER, CELL]));
    (changes(), changes(), requests, prop::option::weighted(0.8, 10u64..30), deleted).prop_map(
        |(before, after, requests, opened, deleted)| {
            let mut world = World::new();
            for ((object, attribute), value) in before {
                world = world.set(object, attribute, &value);
            }
            world.previous = world.current.clone();
            for ((object, attribute), value) in after {
                world = world.set(object, attribute, &value);
            }
            if let Some(deleted) = deleted {
                world.current.remove(deleted);
            }
            world.sighting.opened = opened;
            let named = requests.into_iter().enumerate().map(|(index, mut view)| {
                view.request.id = format!("CR-{index}");
                view
            });
            world.with(named)
        },
    )
}

fn by_request_id(world: &World, id: &str) -> Option<RequestView> {
    world.requests.iter().find(|view| view.request.id == id).cloned()
}

proptest! {
    #[test]
    fn applying_the_advances_leaves_exactly_the_open_differences(world in any_world()) {
        let judgement = world.judge();
        let mut state = world.approved_state();
        for advance in &judgement.advances {
            state.advance(&advance.edit, &advance.request, advance.height);
        }
        let left: Vec<_> = state.differences(&snapshot(&world.current)).into_iter().map(|d| d.edit).collect();
        let open: Vec<_> = judgement.differences.into_iter().map(|d| d.edit).collect();
        prop_assert_eq!(left, open);
    }

    #[test]
    fn what_is_known_of_the_round_before_changes_no_word(
        world in any_world(),
        changes in prop::collection::btree_map(any_place(), any_value(), 0..4),
        gone in prop::option::of(prop::sample::select(vec![OTHER_CARRIER, CELL])),
    ) {
        let before = world.judge().differences.into_iter();
        let before: Vec<_> =
            before.map(|d| Difference { edit: d.edit, approved_by: d.approved_by }).collect();
        let mut next = world.next();
        prop_assert_eq!(&before, &next.approved_state().differences(&snapshot(&next.previous)));
        for ((object, attribute), value) in changes {
            next = next.set(object, attribute, &value);
        }
        gone.map(|object| next.current.remove(object));
        prop_assert_eq!(next.judge_after(Some(&before)), next.judge());
    }

    #[test]
    fn nothing_unauthorised_ever_moves_the_approved_state(world in any_world()) {
        let judgement = world.judge();
        for difference in &judgement.differences {
            prop_assert!(!difference.verdict.authorisation.is_authorised());
        }
        for advance in &judgement.advances {
            let edit = &advance.edit;
            if advance.request == ranproof_policies::BY_RIGHT {
                let attribute = &edit.attribute;
                prop_assert!(world.agreement.may_change(&edit.object, attribute).contains("telecom"));
                prop_assert!(world.agreement.must_approve(&edit.object, attribute).is_empty());
                continue;
            }
            if advance.request == "SP-1" {
                prop_assert_eq!(&edit.attribute, "sleep");
                continue;
            }
            let view = by_request_id(&world, &advance.request).expect("an advance names a request");
            let expected = view.request.edit(&edit.object, &edit.attribute).expect("that has the edit");
            let forward = expected.old == edit.old && expected.new == edit.new;
            prop_assert!(forward, "{advance:?}");
            let needed = world.agreement.must_approve(&edit.object, &edit.attribute);
            prop_assert!(needed.iter().all(|member| view.approved_by.contains(member)));
            if view.request.kind == model::ChangeKind::Change {
                let before = match view.standing {
                    Standing::Approved { height } => Some(height),
                    Standing::Withdrawn { height, approved } if Some(height) > world.sighting.opened => approved,
                    _ => None,
                };
                prop_assert!(before.is_some() && before < world.sighting.opened);
                prop_assert!(view.request.window.from < world.sighting.read);
                prop_assert!(Some(view.request.window.to) > world.sighting.after);
            }
        }
    }

    #[test]
    fn the_order_of_requests_does_not_matter(world in any_world(), seed in any::<u64>()) {
        let first = world.judge();
        let mut shuffled = world;
        let n = shuffled.requests.len();
        let mut state = seed;
        for i in (1..n).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.requests.swap(i, (state >> 33) as usize % (i + 1));
        }
        prop_assert_eq!(first, shuffled.judge());
    }

    #[test]
    fn no_considered_request_comes_nearer_than_the_verdict(world in any_world()) {
        for difference in world.judge().differences {
            let verdict = difference.verdict;
            let considered: Vec<_> = verdict.considered.iter().map(|c| c.authorisation).collect();
            prop_assert!(considered.is_sorted());
            prop_assert!(considered.iter().all(|c| *c >= verdict.authorisation));
            prop_assert!(!verdict.why.en.is_empty() && !verdict.why.zh.is_empty());
        }
    }

    #[test]
    fn there_is_one_difference_per_place_and_one_verdict_per_edit(world in any_world()) {
        let judgement = world.judge();
        let places: std::collections::BTreeSet<_> =
            judgement.differences.iter().map(|d| (&d.edit.object, &d.edit.attribute)).collect();
        prop_assert_eq!(places.len(), judgement.differences.len());
        let edits: Vec<_> = judgement.edits.iter().map(|(edit, _)| edit.clone()).collect();
        prop_assert_eq!(edits, world.edits());
    }

    #[test]
    fn the_same_state_seen_again_keeps_verdict_and_first_sight(world in any_world()) {
        let before = world.judge();
        let after = world.next().judge();
        for difference in &after.differences {
            let same = before.differences.iter().find(|d| d.edit == difference.edit);
            let same = same.expect("nothing changed, so nothing new is open");
            prop_assert_eq!(&same.first_seen, &difference.first_seen);
            prop_assert!(!difference.is_new);
            let allowed = [same.verdict.authorisation, Authorisation::Late];
            prop_assert!(allowed.contains(&difference.verdict.authorisation));
        }
        prop_assert!(after.edits.is_empty());
    }
}
