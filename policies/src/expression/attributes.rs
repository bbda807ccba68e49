//! Which attributes an expression reads, so that a change of others is none to it.

use std::collections::BTreeSet;

use model::{Digest, Object};

use super::node::{Comprehension, Function, Node, Quantifier, Variable};

/// Attributes by name, of whatever objects a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    These(BTreeSet<String>),
    /// Objects are compared, or may be, as a whole.
    All,
}

impl Attributes {
    pub const NONE: Attributes = Attributes::These(BTreeSet::new());

    /// What any of the expressions reads.
    pub fn of<'a>(mut expressions: impl Iterator<Item = &'a Node>) -> Attributes {
        let mut reading = Reading { names: BTreeSet::new(), locals: Vec::new() };
        match expressions.try_for_each(|expression| reading.read(expression)) {
            Ok(()) => Attributes::These(reading.names),
            Err(Whole) => Attributes::All,
        }
    }

    pub fn add(&mut self, other: &Attributes) {
        match (&mut *self, other) {
            (Attributes::These(names), Attributes::These(more)) => names.extend(more.iter().cloned()),
            _ => *self = Attributes::All,
        }
    }

    /// Whether two states of an object are the same to whoever reads these.
    pub fn alike(&self, one: &Object, other: &Object) -> bool {
        match self {
            Attributes::These(names) => {
                one.dn() == other.dn()
                    && names.iter().all(|name| one.attribute(name) == other.attribute(name))
            }
            Attributes::All => one.digest() == other.digest(),
        }
    }

    /// The same for all states in which the object is alike.
    pub fn digest(&self, object: &Object) -> Digest {
        let Attributes::These(names) = self else { return *object.digest() };
        let mut bytes = object.dn().as_str().as_bytes().to_vec();
        for value in names.iter().map(|name| object.attribute(name)) {
            // No value begins so, and no name holds it.
            bytes.push(0);
            if let Some(value) = value {
                value.write_canonical(&mut bytes);
            }
        }
        Digest::of(&bytes)
    }
}

/// An object may be compared as a whole.
struct Whole;

struct Reading {
    names: BTreeSet<String>,
    /// Whether the variable of each comprehension around may stand for an object.
    locals: Vec<bool>,
}

impl Reading {
    fn read(&mut self, node: &Node) -> Result<(), Whole> {
        match node {
            Node::Field { field, .. } | Node::Has { field, .. } => {
                self.names.insert(field.name.clone());
            }
            Node::Equal { sides, .. } => {
                // Whether there is one at all shows in what is around an object.
                let with_null = sides.iter().any(|side| matches!(side, Node::Null));
                if !with_null && sides.iter().all(|side| self.may_be_object(side)) {
                    return Err(Whole);
                }
            }
            Node::In(sides) if self.may_be_object(&sides[0]) => return Err(Whole),
            Node::Call { function, arguments }
                if *function != Function::Size && arguments.iter().any(|one| self.may_be_object(one)) =>
            {
                return Err(Whole);
            }
            Node::Comprehension(comprehension) => return self.comprehension(comprehension),
            _ => {}
        }
        node.children().into_iter().try_for_each(|child| self.read(child))
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> Result<(), Whole> {
        self.read(&comprehension.range)?;
        self.inside(comprehension, |reading| {
            comprehension
                .predicate
                .iter()
                .chain(&comprehension.result)
                .try_for_each(|part| reading.read(part))
        })
    }

    fn inside<T>(&mut self, comprehension: &Comprehension, then: impl FnOnce(&mut Reading) -> T) -> T {
        let objects = self.may_be_object(&comprehension.range);
        self.locals.push(objects);
        let outcome = then(self);
        self.locals.pop();
        outcome
    }

    /// Whether the value may be an object, or a list with one in it.
    fn may_be_object(&mut self, node: &Node) -> bool {
        match node {
            Node::Variable(variable) => !matches!(variable, Variable::Dn | Variable::Owner | Variable::Mop),
            Node::Local(_, place) => self.locals.get(*place) != Some(&false),
            Node::Choose(parts) => parts.iter().skip(1).any(|part| self.may_be_object(part)),
            Node::Concatenate(sides) => sides.iter().any(|side| self.may_be_object(side)),
            Node::Index(sides) => self.may_be_object(&sides[0]),
            Node::List(nodes) => nodes.iter().any(|node| self.may_be_object(node)),
            Node::Call { arguments, .. } => arguments.iter().any(|argument| self.may_be_object(argument)),
            Node::Comprehension(comprehension) => match (comprehension.quantifier, &comprehension.result) {
                (Quantifier::All | Quantifier::Exists | Quantifier::ExistsOne, _) => false,
                (_, Some(result)) => self.inside(comprehension, |reading| reading.may_be_object(result)),
                (_, None) => self.may_be_object(&comprehension.range),
            },
            // Attributes, which are read by their names, and what is no object.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::expression::{Environment, compile};

    fn attributes(source: &str) -> Attributes {
        let environment = Environment { class: catalogue::class("NRCellDU").unwrap(), neighbours: true };
        let (node, _) = compile(source, environment).unwrap();
        Attributes::of(std::iter::once(&node))
    }

    fn these(names: &[&str]) -> Attributes {
        Attributes::These(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn attributes_are_those_that_are_named_of_whatever_object() {
        for (source, names) in [
            ("true", &[][..]),
            ("neighbours.all(n, n.dn == dn || n.nRPCI != object.nRPCI)", &["dn", "nRPCI"]),
            ("has(object.nRTAC) && previous != null && cell == null", &["nRTAC"]),
            ("object.pLMNInfoList.map(p, p.mcc + p.mnc) == agreement.plmns", &["mcc", "mnc", "pLMNInfoList"]),
            ("agreement.plmns.all(p, agreement.plmns.exists(q, p == q))", &[]),
            ("neighbours.filter(n, n.known).map(n, n.dn).distinct()", &["dn", "known"]),
            ("(size(neighbours) > 0 ? neighbours[0] : neighbours[1]).nRPCI == 1", &["nRPCI"]),
            ("object.nRPCI in neighbours.map(n, n.nRPCI)", &["nRPCI"]),
        ] {
            assert_eq!(attributes(source), these(names), "{source}");
        }
    }

    #[test]
    fn objects_that_are_compared_are_read_as_a_whole() {
        for source in [
            "object == previous",
            "neighbours.exists(a, neighbours.exists(b, a == b))",
            "neighbours.exists(a, a in neighbours)",
            "[object] == [cell]",
            "[neighbours] == neighbours.map(n, [n])",
        ] {
            assert_eq!(attributes(source), Attributes::All, "{source}");
        }
    }

    #[test]
    fn an_object_is_alike_as_long_as_what_is_read_of_it_stays() {
        let object = |dn: &str, attributes: &[(&str, &str)]| {
            let attributes = attributes.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
            Object::new(dn.parse().unwrap(), attributes, vec![])
        };
        let read = these(&["nRPCI", "nRTAC"]);
        let one = object("NRCellDU=1", &[("nRPCI", "1"), ("label", "a")]);
        for (other, alike) in [
            (object("NRCellDU=1", &[("nRPCI", "1"), ("label", "b")]), true),
            (object("NRCellDU=1", &[("nRPCI", "2"), ("label", "a")]), false),
            (object("NRCellDU=1", &[("nRPCI", "1"), ("nRTAC", "")]), false),
            (object("NRCellDU=1", &[("nRTAC", "1"), ("label", "a")]), false),
            (object("NRCellDU=2", &[("nRPCI", "1"), ("label", "a")]), false),
        ] {
            assert_eq!(read.alike(&one, &other), alike, "{other:?}");
            assert_eq!(read.digest(&one) == read.digest(&other), alike, "{other:?}");
            assert!(!Attributes::All.alike(&one, &other));
        }
    }
}
