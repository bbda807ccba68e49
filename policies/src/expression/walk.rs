//! Walks over lists: `all`, `exists`, `exists_one`, `map`, `filter`.

use super::evaluate::{Evaluation, Outcome};
use super::node::{Comprehension, Quantifier};
use super::trouble::{Fail, Trouble};
use super::value::{List, Val};

impl<'a> Evaluation<'a> {
    pub fn comprehension(&mut self, c: &'a Comprehension) -> Outcome<'a> {
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

    fn holds(&mut self, c: &'a Comprehension) -> Result<bool, Fail> {
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
        let joined = self.join(c, range, place, settled);
        let count = joined.as_ref().map_or(range.len(), Vec::len);
        for turn in 0..count {
            let index = joined.as_ref().and_then(|places| places.get(turn)).copied().unwrap_or(turn);
            let element = range.get(index);
            let holds = element.and_then(|element| {
                self.locals[place] = element;
                self.holds(c)
            });
            match holds {
                Ok(value) if value == settled => return Ok(Val::Bool(settled)),
                Ok(_) => {}
                Err(why) if *why == Trouble::Budget => return Err(why),
                Err(why) => trouble = trouble.or(Some(why)),
            }
        }
        trouble.map_or(Ok(Val::Bool(!settled)), Err)
    }

    fn select(&mut self, c: &'a Comprehension, range: &List<'a>, place: usize) -> Result<Vec<Val<'a>>, Fail> {
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
