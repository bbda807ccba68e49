//! Walks inside walks over all neighbours, joined by value.
//!
//! In `neighbours.all(a, neighbours.all(b, a.dn == b.dn || a.nRPCI != b.nRPCI))` a `b` of another number settles its
//! condition, whatever trouble the rest of it has; `exists` with `&&` and `==` likewise. So the inner walk looks at those
//! alone whose number is equal or cannot be read, in the order of the list: outcome and trouble are those of the whole
//! walk, and pairs cost no steps that nobody takes.

use std::rc::Rc;

use super::evaluate::Evaluation;
use super::node::{Comprehension, Field, Node, Sides, Variable};
use super::value::{List, Rec, Val};

/// The numbers that the neighbours have in one field.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// With the neighbours' places, sorted.
    by: Vec<(i64, usize)>,
    /// Places of those that have none, or none that can be read.
    unclear: Vec<usize>,
}

impl Numbers {
    fn of(list: &List<'_>, field: &Field) -> Numbers {
        let mut numbers = Numbers::default();
        for place in 0..list.len() {
            match list.get(place).ok().and_then(|one| number(&one, field)) {
                Some(number) => numbers.by.push((number, place)),
                None => numbers.unclear.push(place),
            }
        }
        numbers.by.sort_unstable();
        numbers
    }

    /// Places of those that may equal `wanted`, ascending.
    fn candidates(&self, wanted: i64) -> Vec<usize> {
        let begin = self.by.partition_point(|(number, _)| *number < wanted);
        let equal = self.by.iter().skip(begin).take_while(|(number, _)| *number == wanted);
        let mut places: Vec<usize> =
            equal.map(|(_, place)| *place).chain(self.unclear.iter().copied()).collect();
        places.sort_unstable();
        places
    }
}

fn number(one: &Val<'_>, field: &Field) -> Option<i64> {
    let Val::Record(record) = one else { return None };
    if let Rec::Neighbour(neighbour) = record
        && let Some(known) = neighbour.int(field)
    {
        return Some(known);
    }
    match record.field(field) {
        Ok(Some(Val::Int(number))) => Some(number),
        _ => None,
    }
}

impl<'a> Evaluation<'a> {
    /// The places that an inner walk has to look at; `None`: all. `settled` is what ends the walk.
    pub(super) fn join(
        &mut self,
        c: &'a Comprehension,
        range: &List<'a>,
        place: usize,
        settled: bool,
    ) -> Option<Vec<usize>> {
        if place == 0 || !matches!(c.range, Node::Variable(Variable::Neighbours)) {
            return None;
        }
        let mut best: Option<Vec<usize>> = None;
        for (key, field) in keys(c.predicate.as_ref()?, place, settled) {
            // Trouble with it is each element's, and told by the walk.
            let Ok(wanted) = self.int(key) else { continue };
            let candidates = self.numbers(range, field).candidates(wanted);
            if best.as_ref().is_none_or(|best| candidates.len() < best.len()) {
                best = Some(candidates);
            }
        }
        best
    }

    /// Sorted once for an object; the list itself was paid for by each evaluation.
    fn numbers(&mut self, list: &List<'a>, field: &'a Field) -> Rc<Numbers> {
        if let Some((_, known)) = self.seen.numbers.iter().find(|(name, _)| *name == field.name) {
            return Rc::clone(known);
        }
        let numbers = Rc::new(Numbers::of(list, field));
        self.seen.numbers.push((field.name.as_str(), Rc::clone(&numbers)));
        numbers
    }
}

/// Comparisons in the condition's chain that leave an element out: of a field of the walk's own variable, the one at
/// `place`, with a number that does not depend on it.
fn keys(condition: &Node, place: usize, settled: bool) -> Vec<(&Node, &Field)> {
    let mut found = vec![];
    let mut open = vec![condition];
    while let Some(node) = open.pop() {
        match node {
            Node::Or(a, b) if !settled => open.extend([&**a, &**b]),
            Node::And(a, b) if settled => open.extend([&**a, &**b]),
            Node::Equal { negated, sides, kind: Sides::Ints } if *negated != settled => {
                let [a, b] = &**sides;
                for (own, other) in [(a, b), (b, a)] {
                    let field = own_field(own, place).filter(|_| is_fixed(other, place));
                    found.extend(field.map(|field| (other, field)));
                }
            }
            _ => {}
        }
    }
    found
}

fn own_field(node: &Node, place: usize) -> Option<&Field> {
    match node {
        Node::Field { of, field } if matches!(**of, Node::Local(_, local) if local == place) => Some(field),
        _ => None,
    }
}

/// A number of another walk's element, of the object, or as it stands.
fn is_fixed(node: &Node, place: usize) -> bool {
    match node {
        Node::Int(_) => true,
        Node::Field { of, .. } => match **of {
            Node::Local(_, local) => local != place,
            Node::Variable(variable) => variable == Variable::Object,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use model::{Agreement, Dn, Object, Value};
    use proptest::prelude::*;

    use crate::catalogue;
    use crate::expression::check::{Environment, compile};
    use crate::expression::evaluate::{Inputs, evaluate};
    use crate::network::{NeighbourRef, Neighbourhood};

    /// Neighbours, some of which nobody has read.
    #[derive(Debug)]
    struct Around(Vec<(Dn, Option<Object>)>);

    impl Neighbourhood for Around {
        fn relations_of(&self, _: &Object) -> Option<Vec<NeighbourRef<'_>>> {
            let all = self.0.iter();
            Some(
                all.map(|(dn, cell)| NeighbourRef { dn: dn.clone(), cell: cell.as_ref(), stale: false })
                    .collect(),
            )
        }

        fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
            Some(object)
        }
    }

    fn cell(id: usize, pci: Option<&str>, frequency: Option<&str>) -> (Dn, Object) {
        let dn: Dn = format!("NRCellDU={id}").parse().unwrap();
        let value = |name: &str, text: Option<&str>| Some((name.to_owned(), Value::from(text?)));
        let attributes = [value("nRPCI", pci), value("ssbFrequency", frequency)];
        (dn.clone(), Object::new(dn, attributes.into_iter().flatten().collect(), vec![]))
    }

    /// The outcome with its trouble.
    fn outcome(source: &str, around: &Around) -> String {
        let environment = Environment { class: catalogue::class("NRCellDU").unwrap(), neighbours: true };
        let (node, _) = compile(source, environment).unwrap();
        let agreement: Agreement = serde_json::from_value(serde_json::json!({
            "format": "ranproof/agreement/1", "id": "a", "version": 1, "title": "",
            "parties": [{"id": "t", "name": "T", "kind": "operator"}, {"id": "u", "name": "U", "kind": "operator"}],
            "districts": [{"scope": "", "master_operator": "t"}], "sharing": [], "rights": [],
            "key_attributes": [], "ranges": [],
            "collection": {"period_minutes": 60, "attest_within_minutes": 30}, "map_secret": "00".repeat(32),
        }))
        .unwrap();
        let (_, object) = cell(1, Some("1"), Some("600000"));
        let inputs = Inputs {
            agreement: &agreement,
            object: &object,
            previous: None,
            approved: None,
            neighbours: around,
        };
        format!("{:?}", evaluate(&node, &inputs).map(|value| value.to_string()))
    }

    const SHIPPED: &str = "neighbours.all(a, neighbours.all(b, a.dn == b.dn || a.ssbFrequency != b.ssbFrequency || a.nRPCI != b.nRPCI))";

    const JOINED: [&str; 5] = [
        SHIPPED,
        "neighbours.all(a, neighbours.all(b, b.nRPCI != a.nRPCI || a.dn == b.dn))",
        "neighbours.exists(a, neighbours.exists(b, a.dn != b.dn && a.nRPCI == b.nRPCI && a.ssbFrequency == b.ssbFrequency))",
        "neighbours.filter(a, a.known && neighbours.exists(b, b.known && a.dn != b.dn && a.nRPCI == b.nRPCI)).size() == 0",
        "neighbours.all(a, neighbours.all(b, object.nRPCI != b.nRPCI || a.ssbFrequency < b.ssbFrequency))",
    ];

    fn number() -> impl Strategy<Value = Option<&'static str>> {
        prop_oneof![5 => prop::sample::select(vec![Some("1"), Some("2"), Some("03"), Some("3")]), 1 => Just(Some("x")), 1 => Just(None)]
    }

    proptest! {
        #[test]
        fn a_joined_walk_says_what_the_whole_walk_says(
            cells in prop::collection::vec((0usize..6, number(), number(), 0u8..8), 0..9),
        ) {
            let cells = cells.into_iter().map(|(id, pci, frequency, read)| {
                let (dn, object) = cell(id, pci, frequency);
                (dn, (read > 0).then_some(object))
            });
            let around = Around(cells.collect());
            for source in JOINED {
                // A list made by a filter is none of those that are joined.
                let (first, rest) = source.split_once("neighbours").unwrap();
                let whole = format!("{first}neighbours{}", rest.replace("neighbours.", "neighbours.filter(n, true)."));
                prop_assert_eq!(outcome(source, &around), outcome(&whole, &around), "{}", source);
            }
        }
    }

    #[test]
    fn a_thousand_neighbours_that_differ_are_within_the_budget_and_one_pair_is_found() {
        let unlike = |count: usize| {
            let pci = |id: usize| (id % 1008).to_string();
            (0..count)
                .map(move |id| cell(id + 2, Some(&pci(id)), Some("600000")))
                .map(|(dn, cell)| (dn, Some(cell)))
        };
        let all = Around(unlike(1_000).collect());
        assert_eq!(outcome(SHIPPED, &all), "Ok(\"true\")");
        let whole = SHIPPED
            .replacen("(b,", "(b, true && ", 1)
            .replace("neighbours.all(b", "neighbours.filter(n, true).all(b");
        assert!(outcome(&whole, &all).contains("Budget"), "the whole walk is too long");
        assert_eq!(outcome(SHIPPED, &Around(unlike(1_009).collect())), "Ok(\"false\")");
    }
}
