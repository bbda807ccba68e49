//! Comparisons: equality and order of values, each paid for by what it goes through.

use std::cmp::Ordering;

use super::evaluate::Evaluation;
use super::node::{Node, Order, Sides};
use super::trouble::{Fail, Trouble};
use super::value::{List, Rec, Val};

impl<'a> Evaluation<'a> {
    pub fn order(&mut self, order: Order, sides: &'a [Node; 2], kind: Sides) -> Result<bool, Fail> {
        let [a, b] = sides;
        let ordering = match kind {
            Sides::Ints => self.int(a)?.cmp(&self.int(b)?),
            _ => self.ordering(a, b)?,
        };
        Ok(match order {
            Order::Less => ordering == Ordering::Less,
            Order::LessOrEqual => ordering != Ordering::Greater,
            Order::Greater => ordering == Ordering::Greater,
            Order::GreaterOrEqual => ordering != Ordering::Less,
        })
    }

    fn ordering(&mut self, a: &'a Node, b: &'a Node) -> Result<Ordering, Fail> {
        let (left, right) = (self.value(a)?, self.value(b)?);
        Ok(match (&left, &right) {
            (Val::Int(a), Val::Int(b)) => a.cmp(b),
            (Val::Text(a), Val::Text(b)) => {
                self.spend_on_text(a.len().min(b.len()))?;
                a.cmp(b)
            }
            (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
            (Val::Int(a), Val::Decimal(b)) => model::Decimal::from(*a).cmp(b),
            (Val::Decimal(a), Val::Int(b)) => a.cmp(&model::Decimal::from(*b)),
            (Val::Decimal(a), Val::Decimal(b)) => a.cmp(b),
            _ => return Err(Trouble::null(if matches!(left, Val::Null) { a } else { b }).into()),
        })
    }

    pub fn equal_sides(&mut self, sides: &'a [Node; 2], kind: Sides) -> Result<bool, Fail> {
        let [a, b] = sides;
        match kind {
            Sides::Ints => {
                let (a, b) = (self.int(a)?, self.int(b)?);
                self.spend(1)?;
                Ok(a == b)
            }
            Sides::Texts => {
                let (a, b) = (self.text(a)?, self.text(b)?);
                self.spend(1)?;
                self.spend_on_text(a.len().min(b.len()))?;
                Ok(a == b)
            }
            Sides::Any => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.equal(&a, &b)
            }
        }
    }

    pub fn contains(&mut self, list: &List<'a>, needle: &Val<'a>) -> Result<bool, Fail> {
        for index in 0..list.len() {
            if self.equal(&list.get(index)?, needle)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn equal(&mut self, a: &Val<'a>, b: &Val<'a>) -> Result<bool, Fail> {
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

    fn equal_lists(&mut self, a: &List<'a>, b: &List<'a>) -> Result<bool, Fail> {
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
}
