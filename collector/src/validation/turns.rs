//! Which texts of a shared set the next station is asked for, to be compared.
//!
//! One after the other, from a place that no station can know: a short network, or one that is often started again, would
//! otherwise compare the same first texts each time. What was asked for and not answered was not compared: it is asked of
//! the stations after, beside what is theirs.

use std::collections::{BTreeSet, VecDeque};

use crate::schema::ModuleId;

/// Texts that a station is asked for as the next ones of the set.
const SAMPLES: usize = 3;

/// Texts that it is asked for because those before it did not give them.
const OWED: usize = 1;

/// The turns of the stations with one list of modules.
#[derive(Debug)]
pub(super) struct Turns {
    /// Where the next station begins; it counts on over the end of the set.
    next: usize,
    /// What nobody has answered since it was asked for, the oldest first.
    owed: VecDeque<ModuleId>,
}

impl Turns {
    /// Where they begin follows from a `seed` that no station knows and the name of the list.
    pub(super) fn new(seed: &[u8; 32], list: &[u8; 32]) -> Turns {
        let hash = blake3::keyed_hash(seed, list);
        let first = hash.as_bytes().first_chunk().map_or(0, |first| usize::from_le_bytes(*first));
        // Half of all numbers: counting on never gets to the last one.
        Turns { next: first >> 1, owed: VecDeque::new() }
    }

    /// What the next station is asked for, of the texts that there are. Nobody else is until they come round again, or are
    /// [`owed`](Turns::owe).
    pub(super) fn take(&mut self, texts: &[&ModuleId]) -> Vec<ModuleId> {
        // A set may be another one than those before with this list.
        let there: BTreeSet<&ModuleId> = texts.iter().copied().collect();
        self.owed.retain(|id| there.contains(id));
        let mut taken: Vec<ModuleId> = self.owed.drain(..OWED.min(self.owed.len())).collect();
        for _ in 0..SAMPLES.min(texts.len()) {
            let id = texts[self.next % texts.len()];
            self.next = self.next.wrapping_add(1);
            self.owed.retain(|owed| owed != id);
            if !taken.contains(id) {
                taken.push(id.clone());
            }
        }
        taken
    }

    /// Notes what a station was asked for and did not answer.
    pub(super) fn owe(&mut self, unanswered: Vec<ModuleId>) {
        for id in unanswered {
            if !self.owed.contains(&id) {
                self.owed.push_back(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &str) -> Vec<ModuleId> {
        names.chars().map(|name| ModuleId::new(&name.to_string(), Some("2020-01-01")).unwrap()).collect()
    }

    fn turns(first: usize) -> Turns {
        Turns { next: first, owed: VecDeque::new() }
    }

    fn take(turns: &mut Turns, texts: &[ModuleId]) -> String {
        turns.take(&texts.iter().collect::<Vec<_>>()).into_iter().map(|id| id.name).collect()
    }

    #[test]
    fn the_first_turn_is_elsewhere_for_another_seed_and_another_list() {
        let firsts: BTreeSet<usize> = (0..20).map(|n| Turns::new(&[n; 32], &[1; 32]).next % 100).collect();
        assert!(firsts.len() > 10, "{firsts:?}");
        let lists: BTreeSet<usize> = (0..20).map(|n| Turns::new(&[1; 32], &[n; 32]).next % 100).collect();
        assert!(lists.len() > 10, "{lists:?}");
        assert_eq!(Turns::new(&[1; 32], &[2; 32]).next, Turns::new(&[1; 32], &[2; 32]).next);
    }

    #[test]
    fn each_station_goes_on_where_the_one_before_ended() {
        let (texts, mut turns) = (ids("abcde"), turns(3));
        let taken: Vec<_> = (0..4).map(|_| take(&mut turns, &texts)).collect();
        assert_eq!(taken, ["dea", "bcd", "eab", "cde"]);
        assert_eq!(take(&mut self::turns(7), &ids("ab")), "ba");
        assert_eq!(take(&mut self::turns(7), &[]), "");
    }

    #[test]
    fn what_was_not_answered_is_asked_of_those_after_until_somebody_does() {
        let (texts, mut turns) = (ids("abcdefghi"), turns(0));
        assert_eq!(take(&mut turns, &texts), "abc");
        turns.owe(ids("bc"));
        assert_eq!(take(&mut turns, &texts), "bdef");
        turns.owe(ids("b"));
        assert_eq!(take(&mut turns, &texts), "cghi", "each in its turn");
        assert_eq!(take(&mut turns, &texts), "bac", "once, where it is its turn as well");
    }

    #[test]
    fn no_more_is_owed_than_there_are_texts() {
        let (texts, mut turns) = (ids("abcdefgh"), turns(0));
        for _ in 0..50 {
            let taken = turns.take(&texts.iter().collect::<Vec<_>>());
            assert!(taken.len() <= SAMPLES + OWED);
            turns.owe(taken);
            assert!(turns.owed.len() <= texts.len());
        }
        take(&mut turns, &ids("a"));
        assert_eq!(turns.owed, [], "of the set that there is now");
    }
}
