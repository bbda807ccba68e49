//! The values that led to an outcome, for people: each name an expression reads, each condition, and for a
//! walk over a list the element that settled it.

use super::evaluate::{BUDGET, Inputs, evaluate_inside};
use super::node::{Comprehension, Node, Quantifier};
use super::trouble::Trouble;
use super::value::Val;

/// A part of an expression with its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Observation {
    pub expression: String,
    pub value: String,
}

/// Most parts listed.
const MOST: usize = 40;

/// The parts of an expression with their values, in reading order, each once.
pub(crate) fn parts<'a>(node: &'a Node, inputs: &Inputs<'a>) -> Vec<Observation> {
    let mut witness = Witness { inputs: *inputs, left: BUDGET, out: Vec::new() };
    witness.visit(node, &[]);
    witness.out
}

/// One budget for all parts together.
struct Witness<'a> {
    inputs: Inputs<'a>,
    left: u32,
    out: Vec<Observation>,
}

impl<'a> Witness<'a> {
    fn value(&mut self, node: &'a Node, locals: &[Val<'a>]) -> Result<Val<'a>, Trouble> {
        evaluate_inside(node, &self.inputs, locals.to_vec(), &mut self.left)
    }

    fn visit(&mut self, node: &'a Node, locals: &[Val<'a>]) {
        let is_value = matches!(
            node,
            Node::Field { .. } | Node::Variable(_) | Node::Agreement(_) | Node::Range(_) | Node::Local(..)
        );
        if is_value {
            self.show(node, locals);
            return;
        }
        if let Node::Comprehension(comprehension) = node {
            self.visit(&comprehension.range, locals);
            self.show(node, locals);
            if let Some((predicate, inner)) = self.settled_by(comprehension, locals) {
                self.visit(predicate, &inner);
            }
            return;
        }
        for child in node.children() {
            self.visit(child, locals);
        }
        let is_condition = matches!(
            node,
            Node::Equal { .. }
                | Node::Order(..)
                | Node::In(_)
                | Node::Has { .. }
                | Node::HasAgreed(_)
                | Node::Matches { .. }
                | Node::Call { .. }
                | Node::Arithmetic(..)
        );
        if is_condition {
            self.show(node, locals);
        }
    }

    fn show(&mut self, node: &'a Node, locals: &[Val<'a>]) {
        if self.out.len() >= MOST {
            return;
        }
        let expression = node.to_string();
        let value = match self.value(node, locals) {
            Ok(value) => value.to_string(),
            Err(trouble) => format!("? ({trouble})"),
        };
        if self.out.iter().all(|part| part.expression != expression || part.value != value) {
            self.out.push(Observation { expression, value });
        }
    }

    /// The first element for which `all` fails or `exists` holds (or that has trouble), with the condition.
    fn settled_by(&mut self, c: &'a Comprehension, locals: &[Val<'a>]) -> Option<(&'a Node, Vec<Val<'a>>)> {
        let settling = match c.quantifier {
            Quantifier::All => false,
            Quantifier::Exists => true,
            _ => return None,
        };
        let predicate = c.predicate.as_ref()?;
        let Ok(Val::List(range)) = self.value(&c.range, locals) else { return None };
        let mut troubled = None;
        for index in 0..range.len() {
            let mut inner = locals.to_vec();
            inner.push(range.get(index).ok()?);
            match self.value(predicate, &inner) {
                Ok(Val::Bool(value)) if value == settling => return Some((predicate, inner)),
                Ok(_) => {}
                Err(_) => troubled = troubled.or(Some(inner)),
            }
        }
        troubled.map(|inner| (predicate, inner))
    }
}
