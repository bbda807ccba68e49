//! Evaluates checked expressions, within a budget of steps.

use std::borrow::Cow;
use std::cmp::Ordering;

use model::{Agreement, ApprovedValue, Object};

use super::call;
use super::node::{Arithmetic, Comprehension, Node, Order, Quantifier, Variable};
use super::trouble::Trouble;
use super::value::{List, Rec, Val};
use crate::agreed;
use crate::catalogue::Kind;
use crate::network::Neighbourhood;

/// Steps one evaluation may take. Pairs of 200 neighbours fit; it ends within some ten milliseconds.
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
    Evaluation { inputs: *inputs, locals: Vec::new(), left: BUDGET, neighbours: None }.value(node)
}

/// The value of an expression inside comprehensions, whose variables have these values, on what is left of a
/// budget.
pub(super) fn evaluate_inside<'a>(
    node: &'a Node,
    inputs: &Inputs<'a>,
    locals: Vec<Val<'a>>,
    left: &mut u32,
) -> Result<Val<'a>, Trouble> {
    let mut evaluation = Evaluation { inputs: *inputs, locals, left: *left, neighbours: None };
    let value = evaluation.value(node);
    // What failed for want of steps leaves none.
    *left = if value.as_ref().err() == Some(&Trouble::Budget) { 0 } else { evaluation.left };
    value
}

pub(super) struct Evaluation<'a> {
    pub inputs: Inputs<'a>,
    locals: Vec<Val<'a>>,
    left: u32,
    neighbours: Option<List<'a>>,
}

type Outcome<'a> = Result<Val<'a>, Trouble>;

fn field_of<'a>(record: &Rec<'a>, name: &str, kind: &'static Kind) -> Outcome<'a> {
    let missing = || Trouble::Missing { object: record.name(), attribute: name.to_owned() };
    record.field(name, kind)?.ok_or_else(missing)
}

impl<'a> Evaluation<'a> {
    /// Takes `steps` from the budget.
    pub fn spend(&mut self, steps: usize) -> Result<(), Trouble> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.left = self.left.checked_sub(steps).ok_or(Trouble::Budget)?;
        Ok(())
    }

    pub fn spend_on_text(&mut self, length: usize) -> Result<(), Trouble> {
        self.spend(length / CHARACTERS_PER_STEP + 1)
    }

    pub fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        self.spend(1)?;
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(value) => Ok(Val::Bool(*value)),
            Node::Int(value) => Ok(Val::Int(*value)),
            Node::Text(text) => Ok(Val::text(text.as_str())),
            Node::Decimal(_, value) => Ok(Val::Decimal(*value)),
            Node::Variable(variable) => self.variable(*variable),
            Node::Local(_, place) => Ok(self.locals.get(*place).cloned().unwrap_or(Val::Null)),
            Node::Agreement(part) => agreed::part(&self.inputs, *part),
            Node::Range(attribute) => agreed::range(&self.inputs, attribute),
            Node::HasAgreed(of) => match self.value(of) {
                Err(Trouble::NotAgreed { .. }) => Ok(Val::Bool(false)),
                other => other.map(|_| Val::Bool(true)),
            },
            Node::Field { of, name, kind } => self.field(of, name, kind),
            Node::Has { of, name, kind } => Ok(Val::Bool(self.record(of)?.field(name, kind)?.is_some())),
            Node::Not(a) => Ok(Val::Bool(!self.truth(a)?)),
            Node::Negate(a) => {
                let negated = self.int(a)?.checked_neg();
                negated.map(Val::Int).ok_or(Trouble::Overflow { operation: "-" })
            }
            Node::And(a, b) => self.either(a, b, false),
            Node::Or(a, b) => self.either(a, b, true),
            Node::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Node::Equal { negated, sides } => {
                let (a, b) = (self.value(&sides[0])?, self.value(&sides[1])?);
                Ok(Val::Bool(self.equal(&a, &b)? != *negated))
            }
            Node::Order(order, sides) => self.order(*order, &sides[0], &sides[1]),
            Node::Arithmetic(operator, sides) => self.arithmetic(*operator, &sides[0], &sides[1]),
            Node::Concatenate(sides) => self.concatenate(&sides[0], &sides[1]),
            Node::In(sides) => {
                let (needle, list) = (self.value(&sides[0])?, self.list(&sides[1])?);
                Ok(Val::Bool(self.contains(&list, &needle)?))
            }
            Node::Index(sides) => self.index(&sides[0], &sides[1]),
            Node::List(nodes) => {
                nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>().map(Val::made)
            }
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
            Node::Call { function, arguments } => call::call(self, *function, arguments),
            Node::Matches { text, pattern } => {
                let text = self.text(text)?;
                self.spend_on_text(text.len())?;
                Ok(Val::Bool(pattern.is_match(&text)))
            }
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
            Variable::Owner => or_null(agreement.owner(object.dn())),
            Variable::Mop => or_null(agreement.master_operator(object.dn())),
            Variable::Cell => record(neighbours.cell_of(object)),
            Variable::Neighbours => return self.neighbours(),
        })
    }

    /// Walks inside walks ask for the neighbours again and again.
    fn neighbours(&mut self) -> Outcome<'a> {
        if let Some(neighbours) = &self.neighbours {
            return Ok(Val::List(neighbours.clone()));
        }
        let relations =
            self.inputs.neighbours.relations_of(self.inputs.object).ok_or(Trouble::NoRelations)?;
        self.spend(relations.len())?;
        let all = relations.into_iter().map(|neighbour| Val::Record(Rec::Neighbour(neighbour.into())));
        let all = List::Made(all.collect::<Vec<_>>().into());
        self.neighbours = Some(all.clone());
        Ok(Val::List(all))
    }

    fn field(&mut self, of: &'a Node, name: &str, kind: &'static Kind) -> Outcome<'a> {
        // The two that rules are made of need no copy of the record.
        match of {
            Node::Variable(Variable::Object) => field_of(&Rec::Object(self.inputs.object), name, kind),
            Node::Local(_, place) => match self.locals.get(*place) {
                Some(Val::Record(record)) => field_of(record, name, kind),
                _ => Err(Trouble::null(of)),
            },
            _ => field_of(&self.record(of)?, name, kind),
        }
    }

    fn record(&mut self, node: &'a Node) -> Result<Rec<'a>, Trouble> {
        match self.value(node)? {
            Val::Record(record) => Ok(record),
            _ => Err(Trouble::null(node)),
        }
    }

    pub fn truth(&mut self, node: &'a Node) -> Result<bool, Trouble> {
        match self.value(node)? {
            Val::Bool(value) => Ok(value),
            _ => Err(Trouble::null(node)),
        }
    }

    pub fn int(&mut self, node: &'a Node) -> Result<i64, Trouble> {
        match self.value(node)? {
            Val::Int(value) => Ok(value),
            _ => Err(Trouble::null(node)),
        }
    }

    pub fn text(&mut self, node: &'a Node) -> Result<Cow<'a, str>, Trouble> {
        match self.value(node)? {
            Val::Text(text) => Ok(text),
            _ => Err(Trouble::null(node)),
        }
    }

    pub fn list(&mut self, node: &'a Node) -> Result<List<'a>, Trouble> {
        match self.value(node)? {
            Val::List(list) => Ok(list),
            _ => Err(Trouble::null(node)),
        }
    }

    /// `&&` (settled by false) and `||` (settled by true): one side that settles it makes up for trouble on
    /// the other, as CEL has it, but for a budget used up.
    fn either(&mut self, a: &'a Node, b: &'a Node, settled: bool) -> Outcome<'a> {
        let first = self.truth(a);
        if first == Ok(settled) || first == Err(Trouble::Budget) {
            return first.map(Val::Bool);
        }
        let second = self.truth(b);
        if second == Ok(settled) || second == Err(Trouble::Budget) {
            return second.map(Val::Bool);
        }
        first.and(second).map(Val::Bool)
    }

    fn order(&mut self, order: Order, a: &'a Node, b: &'a Node) -> Outcome<'a> {
        let (left, right) = (self.value(a)?, self.value(b)?);
        let ordering = match (&left, &right) {
            (Val::Int(a), Val::Int(b)) => a.cmp(b),
            (Val::Text(a), Val::Text(b)) => {
                self.spend_on_text(a.len().min(b.len()))?;
                a.cmp(b)
            }
            (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
            (Val::Int(a), Val::Decimal(b)) => model::Decimal::from(*a).cmp(b),
            (Val::Decimal(a), Val::Int(b)) => a.cmp(&model::Decimal::from(*b)),
            (Val::Decimal(a), Val::Decimal(b)) => a.cmp(b),
            _ => return Err(Trouble::null(if matches!(left, Val::Null) { a } else { b })),
        };
        Ok(Val::Bool(match order {
            Order::Less => ordering == Ordering::Less,
            Order::LessOrEqual => ordering != Ordering::Greater,
            Order::Greater => ordering == Ordering::Greater,
            Order::GreaterOrEqual => ordering != Ordering::Less,
        }))
    }

    fn arithmetic(&mut self, operator: Arithmetic, a: &'a Node, b: &'a Node) -> Outcome<'a> {
        let (a, b) = (self.int(a)?, self.int(b)?);
        if b == 0 && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) {
            return Err(Trouble::DivisionByZero);
        }
        let result = match operator {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Remainder => a.checked_rem(b),
        };
        result.map(Val::Int).ok_or(Trouble::Overflow { operation: operator.sign() })
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
                all.collect::<Result<_, _>>().map(Val::made)
            }
            _ => Err(Trouble::null(a)),
        }
    }

    fn index(&mut self, list: &'a Node, index: &'a Node) -> Outcome<'a> {
        let (list, index) = (self.list(list)?, self.int(index)?);
        let length = list.len();
        let place = usize::try_from(index).ok().filter(|place| *place < length);
        list.get(place.ok_or(Trouble::OutOfRange { index, length })?)
    }

    pub fn contains(&mut self, list: &List<'a>, needle: &Val<'a>) -> Result<bool, Trouble> {
        for index in 0..list.len() {
            if self.equal(&list.get(index)?, needle)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn equal(&mut self, a: &Val<'a>, b: &Val<'a>) -> Result<bool, Trouble> {
        self.spend(1)?;
        Ok(match (a, b) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Int(a), Val::Int(b)) => a == b,
            (Val::Decimal(a), Val::Decimal(b)) => a == b,
            (Val::Int(a), Val::Decimal(b)) | (Val::Decimal(b), Val::Int(a)) => model::Decimal::from(*a) == *b,
            (Val::Text(a), Val::Text(b)) => {
                self.spend_on_text(a.len().min(b.len()))?;
                a == b
            }
            (Val::List(a), Val::List(b)) => return self.equal_lists(a, b),
            (Val::Record(Rec::Fields(a)), Val::Record(Rec::Fields(b))) => {
                self.spend(a.len())?;
                a == b
            }
            (Val::Record(Rec::Object(a)), Val::Record(Rec::Object(b))) => a == b,
            _ => false,
        })
    }

    fn equal_lists(&mut self, a: &List<'a>, b: &List<'a>) -> Result<bool, Trouble> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for index in 0..a.len() {
            if !self.equal(&a.get(index)?, &b.get(index)?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn comprehension(&mut self, c: &'a Comprehension) -> Outcome<'a> {
        let range = self.list(&c.range)?;
        let place = self.locals.len();
        self.locals.push(Val::Null);
        let outcome = match c.quantifier {
            Quantifier::All => self.quantify(c, &range, place, false),
            Quantifier::Exists => self.quantify(c, &range, place, true),
            Quantifier::ExistsOne => self.select(c, &range, place).map(|found| Val::Bool(found.len() == 1)),
            Quantifier::Map | Quantifier::Filter => self.select(c, &range, place).map(Val::made),
        };
        self.locals.truncate(place);
        outcome
    }

    fn holds(&mut self, c: &'a Comprehension) -> Result<bool, Trouble> {
        c.predicate.as_ref().map_or(Ok(true), |predicate| self.truth(predicate))
    }

    /// One element that settles it makes up for trouble with others.
    fn quantify(
        &mut self,
        c: &'a Comprehension,
        range: &List<'a>,
        place: usize,
        settled: bool,
    ) -> Outcome<'a> {
        let mut trouble = None;
        for index in 0..range.len() {
            let element = range.get(index);
            let holds = element.and_then(|element| {
                self.locals[place] = element;
                self.holds(c)
            });
            match holds {
                Ok(value) if value == settled => return Ok(Val::Bool(settled)),
                Ok(_) => {}
                Err(Trouble::Budget) => return Err(Trouble::Budget),
                Err(why) => trouble = trouble.or(Some(why)),
            }
        }
        trouble.map_or(Ok(Val::Bool(!settled)), Err)
    }

    fn select(
        &mut self,
        c: &'a Comprehension,
        range: &List<'a>,
        place: usize,
    ) -> Result<Vec<Val<'a>>, Trouble> {
        let mut found = Vec::new();
        for index in 0..range.len() {
            self.spend(1)?;
            let element = range.get(index)?;
            self.locals[place] = element.clone();
            if self.holds(c)? {
                found.push(match &c.result {
                    Some(result) => self.value(result)?,
                    None => element,
                });
            }
        }
        Ok(found)
    }
}
