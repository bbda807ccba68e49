//! What the rules of one object ask for again and again, looked up once: neighbours, parts of the agreement, the owner.

use std::rc::Rc;

use model::{Agreement, Object};

use super::evaluate::{Evaluation, Outcome};
use super::join::Numbers;
use super::node::Part;
use super::trouble::Trouble;
use super::value::{List, Neighbour, Rec, Val};
use crate::agreed;
use crate::network::{NeighbourRef, Neighbourhood};

#[derive(Default)]
pub(super) struct Seen<'a> {
    /// `Some(None)`: the relations are not in sight.
    neighbours: Option<Option<List<'a>>>,
    /// What they have in fields that walks were joined by, by the fields' names.
    pub numbers: Vec<(&'a str, Rc<Numbers>)>,
    /// Whether the present evaluation has paid for them.
    pub paid: bool,
    parts: [Option<Outcome<'a>>; Part::ALL.len()],
    /// By attribute.
    ranges: Vec<(&'a str, Outcome<'a>)>,
    owner: Option<Option<&'a str>>,
    master: Option<Option<&'a str>>,
    cell: Option<Option<&'a Object>>,
}

impl<'a> Seen<'a> {
    /// What does not depend on the object stays.
    pub fn forget_object(&mut self) {
        let parties = self.parts[Part::Parties as usize].take();
        *self = Seen::default();
        self.parts[Part::Parties as usize] = parties;
    }

    pub fn owner(&mut self, agreement: &'a Agreement, object: &Object) -> Option<&'a str> {
        *self.owner.get_or_insert_with(|| agreement.owner(object.dn()))
    }

    pub fn master(&mut self, agreement: &'a Agreement, object: &Object) -> Option<&'a str> {
        *self.master.get_or_insert_with(|| agreement.master_operator(object.dn()))
    }

    pub fn cell(&mut self, around: &'a dyn Neighbourhood, object: &'a Object) -> Option<&'a Object> {
        *self.cell.get_or_insert_with(|| around.cell_of(object))
    }
}

impl<'a> Evaluation<'a> {
    /// The cells that the object has relations to, where whoever evaluates has looked them up.
    pub fn give_neighbours(&mut self, relations: Option<Vec<NeighbourRef<'a>>>) {
        self.seen.neighbours = Some(relations.map(list));
    }

    pub fn part(&mut self, part: Part) -> Outcome<'a> {
        let inputs = &self.inputs;
        let known = &mut self.seen.parts[part as usize];
        known.get_or_insert_with(|| agreed::part(inputs, part).map_err(Box::new)).clone()
    }

    pub fn range(&mut self, attribute: &'a str) -> Outcome<'a> {
        if let Some((_, known)) = self.seen.ranges.iter().find(|(name, _)| *name == attribute) {
            return known.clone();
        }
        let range = agreed::range(&self.inputs, attribute).map_err(Box::new);
        self.seen.ranges.push((attribute, range.clone()));
        range
    }

    /// The first time in an evaluation they cost as many steps as there are.
    pub fn neighbours(&mut self) -> Outcome<'a> {
        let inputs = self.inputs;
        let known = self
            .seen
            .neighbours
            .get_or_insert_with(|| inputs.neighbours.relations_of(inputs.object).map(list));
        let all = known.clone().ok_or_else(|| Box::new(Trouble::NoRelations))?;
        if !self.seen.paid {
            self.spend(all.len())?;
            self.seen.paid = true;
        }
        Ok(Val::List(all))
    }
}

fn list(relations: Vec<NeighbourRef<'_>>) -> List<'_> {
    let all = relations.into_iter().map(|one| Val::Record(Rec::Neighbour(Rc::new(Neighbour::new(one)))));
    List::Made(Rc::new(all.collect()))
}
