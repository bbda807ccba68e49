//! Evaluates checked expressions, within a budget of steps.

use std::borrow::Cow;

use model::{Agreement, ApprovedValue, Object};

use super::call;
use super::node::{Arithmetic, Field, Node, Variable};
use super::seen::Seen;
use super::trouble::{Fail, Trouble};
use super::value::{List, Rec, Val};
use crate::catalogue::Kind;
use crate::network::Neighbourhood;

/// Steps one evaluation may take. Pairs of 200 neighbours fit where none can be left out; it ends within some ten
/// milliseconds.
pub(super) const BUDGET: u32 = 500_000;

/// Characters that a text function goes through in one step.
const CHARACTERS_PER_STEP: usize = 64;

/// What an expression can see.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub agreement: &'a Agreement,
    pub object: &'a Object,
    pub previous: Option<&'a Object>,
    pub approved: Option<&'a std::collections::BTreeMap<String, ApprovedValue>>,
    pub neighbours: &'a dyn Neighbourhood,
}

/// The value of an expression.
pub(crate) fn evaluate<'a>(node: &'a Node, inputs: &Inputs<'a>) -> Result<Val<'a>, Trouble> {
    Evaluation::new(*inputs).value(node).map_err(|trouble| *trouble)
}

/// The value of an expression inside comprehensions, whose variables have these values, on what is left of a
/// budget.
pub(super) fn evaluate_inside<'a>(
    node: &'a Node,
    inputs: &Inputs<'a>,
    locals: Vec<Val<'a>>,
    left: &mut u32,
) -> Result<Val<'a>, Trouble> {
    let mut evaluation = Evaluation { locals, left: *left, ..Evaluation::new(*inputs) };
    let value = evaluation.value(node).map_err(|trouble| *trouble);
    // What failed for want of steps leaves none.
    *left = if value.as_ref().err() == Some(&Trouble::Budget) { 0 } else { evaluation.left };
    value
}

/// Evaluates expressions over one object after the other, each on a budget of its own.
pub(crate) struct Evaluation<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) locals: Vec<Val<'a>>,
    left: u32,
    pub(super) seen: Seen<'a>,
}

pub(super) type Outcome<'a> = Result<Val<'a>, Fail>;

fn missing(record: &Rec<'_>, field: &Field) -> Fail {
    Trouble::Missing { object: record.name(), attribute: field.name.clone() }.into()
}

impl<'a> Evaluation<'a> {
    pub fn new(inputs: Inputs<'a>) -> Evaluation<'a> {
        Evaluation { inputs, locals: Vec::new(), left: BUDGET, seen: Seen::default() }
    }

    /// Goes on to another object of the same station, under the same agreement.
    pub fn turn_to(&mut self, inputs: Inputs<'a>) {
        self.inputs = inputs;
        self.seen.forget_object();
    }

    pub fn inputs(&self) -> &Inputs<'a> {
        &self.inputs
    }

    /// Whether a condition holds. What it asked of the object and an earlier one did too is looked up once, and paid
    /// for by each.
    pub fn condition(&mut self, node: &'a Node) -> Result<bool, Trouble> {
        (self.left, self.seen.paid) = (BUDGET, false);
        self.locals.clear();
        self.truth(node).map_err(|trouble| *trouble)
    }

    /// Takes `steps` from the budget.
    #[inline]
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Fail> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps));
        self.left = left.ok_or_else(|| Fail::new(Trouble::Budget))?;
        Ok(())
    }

    #[inline]
    pub(super) fn spend_on_text(&mut self, length: usize) -> Result<(), Fail> {
        self.spend(length / CHARACTERS_PER_STEP + 1)
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::And(..)
            | Node::Or(..)
            | Node::Not(_)
            | Node::Has { .. }
            | Node::HasAgreed(_)
            | Node::Equal { .. }
            | Node::Order(..)
            | Node::In(_)
            | Node::Matches { .. } => return self.truth(node).map(Val::Bool),
            Node::Arithmetic(..) | Node::Negate(_) => return self.int(node).map(Val::Int),
            _ => {}
        }
        self.spend(1)?;
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(value) => Ok(Val::Bool(*value)),
            Node::Int(value) => Ok(Val::Int(*value)),
            Node::Text(text) => Ok(Val::text(text.as_str())),
            Node::Decimal(_, value) => Ok(Val::Decimal(*value)),
            Node::Variable(variable) => self.variable(*variable),
            Node::Local(_, place) => Ok(self.locals.get(*place).cloned().unwrap_or(Val::Null)),
            Node::Agreement(part) => self.part(*part),
            Node::Range(attribute) => self.range(attribute),
            Node::Field { of, field } => self.field(of, field),
            Node::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Node::Concatenate(sides) => self.concatenate(&sides[0], &sides[1]),
            Node::Index(sides) => self.index(&sides[0], &sides[1]),
            Node::List(nodes) => {
                nodes.iter().map(|node| self.value(node)).collect::<Result<_, Fail>>().map(Val::made)
            }
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
            Node::Call { function, arguments } => call::call(self, *function, arguments),
            _ => Err(Trouble::null(node).into()),
        }
    }

    fn variable(&mut self, variable: Variable) -> Outcome<'a> {
        let Inputs { agreement, object, previous, approved, neighbours } = self.inputs;
        let or_null = |text: Option<&'a str>| text.map_or(Val::Null, Val::text);
        let record = |object: Option<&'a Object>| object.map_or(Val::Null, |o| Val::Record(Rec::Object(o)));
        Ok(match variable {
            Variable::Object => record(Some(object)),
            Variable::Previous => record(previous),
            Variable::Approved => approved.map_or(Val::Null, |a| Val::Record(Rec::Approved(object.dn(), a))),
            Variable::Dn => Val::text(object.dn().as_str()),
            Variable::Owner => or_null(self.seen.owner(agreement, object)),
            Variable::Mop => or_null(self.seen.master(agreement, object)),
            Variable::Cell => record(self.seen.cell(neighbours, object)),
            Variable::Neighbours => return self.neighbours(),
        })
    }

    fn field(&mut self, of: &'a Node, field: &Field) -> Outcome<'a> {
        let found = |record: &Rec<'a>| record.field(field)?.ok_or_else(|| missing(record, field));
        // The two that rules are made of need no copy of the record.
        match of {
            Node::Variable(Variable::Object) => found(&Rec::Object(self.inputs.object)),
            Node::Local(_, place) => match self.locals.get(*place) {
                Some(Val::Record(record)) => found(record),
                _ => Err(Trouble::null(of).into()),
            },
            _ => found(&self.record(of)?),
        }
    }

    /// The same of a field that is an int, which most are.
    fn int_field(&mut self, of: &'a Node, field: &Field) -> Result<i64, Fail> {
        let neighbour = match of {
            Node::Local(_, place) => match self.locals.get(*place) {
                Some(Val::Record(Rec::Neighbour(neighbour))) => Some(neighbour),
                _ => None,
            },
            _ => None,
        };
        if let Some(known) = neighbour.and_then(|neighbour| neighbour.int(field)) {
            return Ok(known);
        }
        match self.field(of, field)? {
            Val::Int(number) => {
                if let Node::Local(_, place) = of
                    && let Some(Val::Record(Rec::Neighbour(neighbour))) = self.locals.get(*place)
                {
                    neighbour.remember(field, number);
                }
                Ok(number)
            }
            _ => Err(Trouble::null(of).into()),
        }
    }

    fn record(&mut self, node: &'a Node) -> Result<Rec<'a>, Fail> {
        match self.value(node)? {
            Val::Record(record) => Ok(record),
            _ => Err(Trouble::null(node).into()),
        }
    }

    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Fail> {
        if let Node::Bool(_) | Node::Choose(_) | Node::Comprehension(_) | Node::Call { .. } = node {
            return self.other_truth(node);
        }
        self.spend(1)?;
        match node {
            Node::And(a, b) => self.either(a, b, false),
            Node::Or(a, b) => self.either(a, b, true),
            Node::Not(a) => Ok(!self.truth(a)?),
            Node::Has { of, field } => Ok(self.record(of)?.field(field)?.is_some()),
            Node::HasAgreed(of) => match self.value(of) {
                Err(trouble) if matches!(*trouble, Trouble::NotAgreed { .. }) => Ok(false),
                other => other.map(|_| true),
            },
            Node::Equal { negated, sides, kind } => Ok(self.equal_sides(sides, *kind)? != *negated),
            Node::Order(order, sides, kind) => self.order(*order, sides, *kind),
            Node::In(sides) => {
                let (needle, list) = (self.value(&sides[0])?, self.list(&sides[1])?);
                self.contains(&list, &needle)
            }
            Node::Matches { text, pattern } => {
                let text = self.text(text)?;
                self.spend_on_text(text.len())?;
                Ok(pattern.is_match(&text))
            }
            Node::Field { of, field } => match self.field(of, field)? {
                Val::Bool(value) => Ok(value),
                _ => Err(Trouble::null(node).into()),
            },
            _ => {
                // Paid for again by what follows.
                self.left = self.left.saturating_add(1);
                self.other_truth(node)
            }
        }
    }

    fn other_truth(&mut self, node: &'a Node) -> Result<bool, Fail> {
        match self.value(node)? {
            Val::Bool(value) => Ok(value),
            _ => Err(Trouble::null(node).into()),
        }
    }

    pub(super) fn int(&mut self, node: &'a Node) -> Result<i64, Fail> {
        match node {
            Node::Int(number) => self.spend(1).map(|()| *number),
            Node::Field { of, field } if matches!(field.kind, Kind::Int) => {
                self.spend(1)?;
                self.int_field(of, field)
            }
            Node::Arithmetic(operator, sides) => {
                self.spend(1)?;
                self.arithmetic(*operator, &sides[0], &sides[1])
            }
            Node::Negate(a) => {
                self.spend(1)?;
                let negated = self.int(a)?.checked_neg();
                negated.ok_or_else(|| Trouble::Overflow { operation: "-" }.into())
            }
            _ => match self.value(node)? {
                Val::Int(value) => Ok(value),
                _ => Err(Trouble::null(node).into()),
            },
        }
    }

    pub(super) fn text(&mut self, node: &'a Node) -> Result<Cow<'a, str>, Fail> {
        match self.value(node)? {
            Val::Text(text) => Ok(text),
            _ => Err(Trouble::null(node).into()),
        }
    }

    pub(super) fn list(&mut self, node: &'a Node) -> Result<List<'a>, Fail> {
        match self.value(node)? {
            Val::List(list) => Ok(list),
            _ => Err(Trouble::null(node).into()),
        }
    }

    /// `&&` (settled by false) and `||` (settled by true): one side that settles it makes up for trouble on
    /// the other, as CEL has it, but for a budget used up.
    fn either(&mut self, a: &'a Node, b: &'a Node, settled: bool) -> Result<bool, Fail> {
        let settles = |side: &Result<bool, Fail>| match side {
            Ok(value) => *value == settled,
            Err(trouble) => **trouble == Trouble::Budget,
        };
        let first = self.truth(a);
        if settles(&first) {
            return first;
        }
        let second = self.truth(b);
        if settles(&second) {
            return second;
        }
        first.and(second)
    }

    fn arithmetic(&mut self, operator: Arithmetic, a: &'a Node, b: &'a Node) -> Result<i64, Fail> {
        let (a, b) = (self.int(a)?, self.int(b)?);
        if b == 0 && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) {
            return Err(Trouble::DivisionByZero.into());
        }
        let result = match operator {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        result.ok_or_else(|| Trouble::Overflow { operation: operator.sign() }.into())
    }

    fn concatenate(&mut self, a: &'a Node, b: &'a Node) -> Outcome<'a> {
        match (self.value(a)?, self.value(b)?) {
            (Val::Text(a), Val::Text(b)) => {
                self.spend_on_text(a.len().saturating_add(b.len()))?;
                Ok(Val::text(a.into_owned() + &b))
            }
            (Val::List(a), Val::List(b)) => {
                self.spend(a.len().saturating_add(b.len()))?;
                let all = (0..a.len()).map(|i| a.get(i)).chain((0..b.len()).map(|i| b.get(i)));
                all.collect::<Result<_, Fail>>().map(Val::made)
            }
            _ => Err(Trouble::null(a).into()),
        }
    }

    fn index(&mut self, list: &'a Node, index: &'a Node) -> Outcome<'a> {
        let (list, index) = (self.list(list)?, self.int(index)?);
        let length = list.len();
        let place = usize::try_from(index).ok().filter(|place| *place < length);
        list.get(place.ok_or_else(|| Fail::new(Trouble::OutOfRange { index, length }))?)
    }
}
