//! A station judged again by its rules gets the word that it gets judged afresh.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ApprovedState, ApprovedValue, Digest, Dn, Interpretation, Object, Snapshot, Value};
use proptest::prelude::*;
use ranproof_policies::{Evaluated, NetworkIndex, PolicySet, RuleResult, StationCase};
use support::{agreement, dn};

/// Rules that look at everything a rule can look at, some of it in messages alone.
const RULES: [(&str, &str, &str, &str); 8] = [
    ("object-alone", "NRCellDU", "object.nRPCI < 4", "PCI {{ object.nRPCI }}"),
    (
        "all-neighbours",
        "NRCellDU",
        "neighbours.all(n, n.dn == dn || n.nRPCI != object.nRPCI)",
        "PCI {{ dn }}",
    ),
    (
        "no-old-ones",
        "NRCellDU",
        "neighbours.all(n, !n.stale)",
        "old: {{ neighbours.filter(n, n.stale).map(n, n.dn) }}",
    ),
    (
        "no-two-alike",
        "NRCellDU",
        "neighbours.all(a, neighbours.all(b, a.dn == b.dn || a.nRPCI != b.nRPCI))",
        "PCI {{ dn }}",
    ),
    ("its-cell", "NROperatorCellDU", "object.cellLocalId == cell.cellLocalId", "{{ cell.nRPCI }}"),
    ("cell-in-message", "NROperatorCellDU", "object.cellLocalId < 2", "{{ cell.nRPCI }}"),
    ("the-read-before", "NRCellDU", "previous == null || previous.nRPCI == object.nRPCI", "moved"),
    ("what-is-approved", "NRCellDU", "approved == null || approved.nRPCI == object.nRPCI", "not so"),
];

/// All rules, those by which a station need not be walked as a whole, and those that ask for nothing but what is around.
fn sets() -> [PolicySet; 3] {
    let of = |wanted: fn(&str) -> bool| {
        set(&RULES.into_iter().filter(|(_, _, expression, _)| wanted(expression)).collect::<Vec<_>>())
    };
    let around = |expression: &str| expression.contains("neighbours") || expression.contains("cell.");
    [set(&RULES), of(|expression| !expression.contains("previous")), of(around)]
}

fn set(rules: &[(&str, &str, &str, &str)]) -> PolicySet {
    let file = |(name, class, expression, message): &(&str, &str, &str, &str)| {
        let attribute = if *class == "NRCellDU" { "nRPCI" } else { "cellLocalId" };
        let needs = if expression.contains("neighbours") { "needs: [neighbours]\n" } else { "" };
        let text = format!(
            "format: ranproof/policy/1\nname: {name}\ndescription: {{en: a, zh: b}}\nseverity: minor\nscope: {class}\n\
             attribute: {attribute}\n{needs}expression: >-\n  {expression}\nmessage:\n  en: >-\n    {message}\n  zh: >-\n    {message}\n"
        );
        (format!("{name}.yaml"), text)
    };
    PolicySet::load(&rules.iter().map(file).collect::<Vec<_>>()).unwrap()
}

fn station(n: usize) -> Dn {
    dn(&format!("SubNetwork=bj,ManagedElement=g{n}"))
}

/// A cell with its PCI, the station and cell its relation points to, the local id of the operator's part, a label that no rule
/// reads, and what the operator's part and the unit refer to as their cell.
type Cell = (u8, usize, usize, u8, u8, u8);

/// Cells by number.
type Plan = BTreeMap<usize, Cell>;

fn object(name: String, attributes: &[(&str, String)]) -> Object {
    let attributes = attributes.iter().map(|(n, v)| ((*n).to_owned(), Value::text(v.as_str()))).collect();
    Object::new(dn(&name), attributes, vec![])
}

/// A station as its plan says; what `last` has of it already is shared.
fn snapshot(n: usize, plan: &Plan, last: Option<&Snapshot>) -> Arc<Snapshot> {
    let me = station(n);
    let mut objects = Vec::new();
    for (cell, (pci, to, to_cell, own, label, refers)) in plan {
        let unit = format!("{me},GNBCUCPFunction=1,NRCellCU={cell}");
        let adjacent = format!("{},GNBCUCPFunction=1,NRCellCU={to_cell}", station(*to));
        let label = ("userLabel", label.to_string());
        let pci = [("cellLocalId", cell.to_string()), ("nRPCI", pci.to_string()), label.clone()];
        objects.push(object(format!("{me},GNBDUFunction=1,NRCellDU={cell}"), &pci));
        // An object of a class that no cell is of may be referred to all the same, and one that is not there.
        let reference = match refers {
            1 => Some(format!("{me},GNBDUFunction=1,NRCellDU=0")),
            2 => Some(format!("{me},Odd=1")),
            3 => Some(format!("{me},Odd=7")),
            _ => None,
        };
        let with_reference = |attribute: (&'static str, String)| -> Vec<(&'static str, String)> {
            [attribute].into_iter().chain(reference.clone().map(|to| ("nRCellDURef", to))).collect()
        };
        objects.push(object(
            format!("{me},OperatorDU=u,NROperatorCellDU={cell}"),
            &with_reference(("cellLocalId", own.to_string())),
        ));
        objects.push(object(format!("{me},Odd={cell}"), &[("cellLocalId", "5".into()), ("nRPCI", label.1)]));
        objects.push(object(format!("{unit},NRCellRelation=1"), &[("adjacentNRCellRef", adjacent)]));
        objects.push(object(unit, &with_reference(("cellLocalId", cell.to_string()))));
    }
    let shared = |object: Object| {
        let last = last.and_then(|last| last.objects().iter().find(|last| ***last == object));
        last.map_or_else(|| Arc::new(object), Arc::clone)
    };
    let objects = objects.into_iter().map(shared).collect();
    Arc::new(Snapshot::shared(Interpretation::new("none", &Digest::of(b"p")), objects, vec![]))
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop::collection::btree_map(0usize..3, (0u8..6, 0usize..3, 0usize..3, 0u8..3, 0u8..3, 0u8..6), 0..4)
}

/// What a station is now: another one altogether, or with one thing about one cell changed.
#[derive(Debug, Clone)]
enum Read {
    Whole(Plan),
    Other(usize, u8, u8),
}

impl Read {
    fn take(self, plan: &mut Plan) {
        match self {
            Read::Whole(whole) => *plan = whole,
            Read::Other(cell, field, value) => {
                let Some(cell) = plan.get_mut(&cell) else { return };
                match field {
                    0 => cell.0 = value,
                    1 => cell.1 = usize::from(value % 3),
                    2 => cell.2 = usize::from(value % 3),
                    3 => cell.3 = value % 3,
                    4 => cell.4 = value % 3,
                    _ => cell.5 = value,
                }
            }
        }
    }
}

fn any_read() -> impl Strategy<Value = Read> {
    prop_oneof![
        1 => any_plan().prop_map(Read::Whole),
        4 => (0usize..3, 0u8..6, 0u8..6).prop_map(|(cell, field, value)| Read::Other(cell, field, value)),
    ]
}

/// One round: of which stations there is a new read, and what is approved of the first cell of the judged one.
type Round = (BTreeMap<usize, Read>, Option<u8>);

fn any_round() -> impl Strategy<Value = Round> {
    (prop::collection::btree_map(0usize..3, any_read(), 0..3), prop::option::of(0u8..2))
}

fn approved(pci: Option<u8>) -> ApprovedState {
    let mut state = ApprovedState::default();
    if let Some(pci) = pci {
        let value =
            ApprovedValue { value: pci.to_string().as_str().into(), request: "BL-1".into(), height: 1 };
        state.insert(dn(&format!("{},GNBDUFunction=1,NRCellDU=0", station(0))), "nRPCI".into(), value);
    }
    state
}

proptest! {
    #[test]
    fn judging_again_is_judging_afresh(
        first in prop::collection::btree_map(0usize..3, any_plan(), 3),
        rounds in prop::collection::vec(any_round(), 1..9),
    ) {
        let (sets, agreement) = (sets(), agreement());
        let mut index = NetworkIndex::default();
        let mut plans: BTreeMap<usize, Plan> = first;
        let mut newest: BTreeMap<usize, Arc<Snapshot>> = BTreeMap::new();
        let (mut last, mut previous): ([Option<Evaluated>; 3], Option<Arc<Snapshot>>) = (Default::default(), None);
        let mut standing: Option<(Option<u8>, Arc<ApprovedState>)> = None;
        for (reads, pci) in rounds {
            let read: BTreeSet<usize> = reads.keys().copied().chain([0]).collect();
            for (n, read) in reads {
                read.take(plans.entry(n).or_default());
            }
            // An index that has seen no round before says the same.
            let mut fresh = NetworkIndex::default();
            for (n, plan) in &plans {
                if read.contains(n) || !newest.contains_key(n) {
                    let read = snapshot(*n, plan, newest.get(n).map(|last| &**last));
                    newest.insert(*n, read);
                }
                for index in [&mut index, &mut fresh] {
                    index.update(&station(*n), Arc::clone(&newest[n]), !read.contains(n));
                }
            }
            let approved = match standing.take().filter(|(then, _)| *then == pci) {
                Some((_, approved)) => approved,
                None => Arc::new(approved(pci)),
            };
            standing = Some((pci, Arc::clone(&approved)));
            let current = Arc::clone(&newest[&0]);
            let case = |neighbours| StationCase {
                agreement: &agreement,
                current: &current,
                previous: previous.as_deref(),
                approved: Some(&approved),
                neighbours,
            };
            for (set, last) in sets.iter().zip(&mut last) {
                let again = set.evaluate_station(&case(&index), last.as_ref());
                let afresh = set.evaluate_station(&case(&fresh), None);
                let results = |of: &Evaluated| of.results().cloned().collect::<Vec<RuleResult>>();
                prop_assert_eq!(results(&again), results(&afresh));
                *last = Some(again);
            }
            previous = Some(Arc::clone(&current));
        }
    }
}

/// Judged again by a set whose rules have the same names and always another word, only what is evaluated anew shows.
#[test]
fn a_change_that_no_rule_reads_is_none_to_the_object_and_to_its_neighbours() {
    let words = |word: &'static str| {
        set(&[
            ("own", "NRCellDU", "object.nRPCI < 0", word),
            ("near", "NRCellDU", "neighbours.all(n, n.nRPCI < 0)", word),
            ("cell", "NROperatorCellDU", "cell.nRPCI < 0", word),
        ])
    };
    let (first, second, agreement) = (words("first"), words("second"), agreement());
    let plan = |pci, label| BTreeMap::from([(0, (pci, 1, 0, 0, label, 0))]);
    let judged = |set: &PolicySet, own: &Plan, near: &Plan, last: Option<&Evaluated>| {
        let mut index = NetworkIndex::default();
        let (current, approved) = (snapshot(0, own, None), Arc::new(ApprovedState::default()));
        index.update(&station(0), Arc::clone(&current), false);
        index.update(&station(1), snapshot(1, near, None), false);
        let case = StationCase {
            agreement: &agreement,
            current: &current,
            previous: None,
            approved: Some(&approved),
            neighbours: &index,
        };
        set.evaluate_station(&case, last)
    };
    let before = judged(&first, &plan(1, 0), &plan(2, 0), None);
    let anew = |own: Plan, near: Plan| {
        let after = judged(&second, &own, &near, Some(&before));
        // Nothing that was alike once is another thing the next time.
        let third = judged(&first, &own, &near, Some(&after));
        assert_eq!(third.results().collect::<Vec<_>>(), after.results().collect::<Vec<_>>());
        let anew = after.results().filter(|result| result.message.en.starts_with("second"));
        anew.map(|result| result.rule.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(anew(plan(1, 1), plan(2, 1)), BTreeSet::new());
    assert_eq!(anew(plan(1, 1), plan(3, 0)), BTreeSet::from(["near".to_owned()]));
    assert_eq!(anew(plan(4, 0), plan(2, 0)), ["cell", "near", "own"].map(str::to_owned).into());
}
