//! What differs between two values, line by line, for people: fields of structures, occurrences of lists, moves.

use std::collections::BTreeSet;

use model::Value;
use serde::Serialize;

use super::shown::visible;

/// Lines that one comparison holds at most.
pub const MAX_LINES: usize = 400;
/// Occurrences of a list up to which the shortest alignment is looked for (its cost is their product).
const MAX_ALIGNED: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Kept,
    Added,
    Removed,
    Changed,
    Moved,
}

impl Mark {
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Kept => "kept",
            Mark::Added => "added",
            Mark::Removed => "removed",
            Mark::Changed => "changed",
            Mark::Moved => "moved",
        }
    }

    /// The sign in the margin.
    pub fn sign(self) -> &'static str {
        match self {
            Mark::Kept => "\u{a0}",
            Mark::Added => "+",
            Mark::Removed => "−",
            Mark::Changed => "~",
            Mark::Moved => "⇅",
        }
    }
}

/// One leaf or occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub mark: Mark,
    /// Where in the value: `pLMNId.mnc`, `#2` for the second occurrence; empty for the whole.
    pub path: String,
    pub old: Option<String>,
    pub new: Option<String>,
    /// Positions in a list, from 1, before and after, where they differ.
    pub positions: Option<(usize, usize)>,
    /// What an occurrence of a list is known by, such as its PLMN.
    pub name: Option<String>,
}

/// All lines of one difference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Comparison {
    pub lines: Vec<Line>,
    /// The difference has more lines than are held.
    pub cut: bool,
}

impl Comparison {
    pub fn of(old: Option<&Value>, new: Option<&Value>) -> Comparison {
        let mut comparison = Comparison::default();
        comparison.walk(String::new(), old, new);
        comparison
    }

    /// Lines that differ.
    pub fn changes(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.mark != Mark::Kept)
    }

    /// Whether only the order differs.
    pub fn is_reorder(&self) -> bool {
        let mut changes = self.changes().peekable();
        changes.peek().is_some() && changes.all(|line| line.mark == Mark::Moved)
    }

    fn push(&mut self, line: Line) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(line);
        } else {
            self.cut = true;
        }
    }

    fn leaf(&mut self, path: String, old: Option<&Value>, new: Option<&Value>) {
        let mark = match (old, new) {
            (Some(a), Some(b)) if a == b => Mark::Kept,
            (Some(_), Some(_)) => Mark::Changed,
            (Some(_), None) => Mark::Removed,
            (None, _) => Mark::Added,
        };
        let (old, new) = (old.map(compact), new.map(compact));
        self.push(Line { mark, path, old, new, positions: None, name: None });
    }

    fn walk(&mut self, path: String, old: Option<&Value>, new: Option<&Value>) {
        if self.cut {
            return;
        }
        match (old, new) {
            (Some(a), Some(b)) if a == b => self.leaf(path, old, new),
            (Some(Value::Fields(a)), Some(Value::Fields(b))) => {
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    self.walk(join(&path, &visible(name)), a.get(name), b.get(name));
                }
            }
            // An object that came or went: its attributes one by one.
            (Some(Value::Fields(a)), None) if path.is_empty() => {
                a.iter().for_each(|(name, value)| self.leaf(visible(name), Some(value), None));
            }
            (None, Some(Value::Fields(b))) if path.is_empty() => {
                b.iter().for_each(|(name, value)| self.leaf(visible(name), None, Some(value)));
            }
            (Some(a @ Value::Sequence(_)), Some(b)) | (Some(a), Some(b @ Value::Sequence(_))) => {
                self.list(&path, a.occurrences(), b.occurrences());
            }
            _ => self.leaf(path, old, new),
        }
    }

    fn list(&mut self, path: &str, old: &[Value], new: &[Value]) {
        let mut pairing = Pairing::of(old, new);
        pairing.pair_moved(old, new);
        pairing.pair_similar(old, new);
        let at = |position: usize| format!("{path}#{}", position + 1);
        let gone = old.iter().enumerate().filter(|(i, _)| pairing.of_old[*i].is_none());
        for (i, a) in gone.take(MAX_LINES + 1) {
            self.leaf(at(i), Some(a), None);
        }
        for (j, b) in new.iter().enumerate() {
            if self.cut {
                return;
            }
            match pairing.of_new[j] {
                None => self.leaf(at(j), None, Some(b)),
                Some((i, Paired::Similar)) => self.walk(at(j), Some(&old[i]), Some(b)),
                Some((i, paired)) => self.push(Line {
                    mark: if paired == Paired::Moved { Mark::Moved } else { Mark::Kept },
                    path: at(j),
                    old: Some(compact(b)),
                    new: Some(compact(b)),
                    positions: (i != j).then_some((i + 1, j + 1)),
                    name: Some(name_of(b)),
                }),
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paired {
    Kept,
    Moved,
    Similar,
}

/// Which occurrence of the new list each one of the old list became, seen from both sides.
struct Pairing {
    of_old: Vec<Option<(usize, Paired)>>,
    of_new: Vec<Option<(usize, Paired)>>,
}

impl Pairing {
    /// Pairs the longest common subsequence; for long lists what is equal at both ends.
    fn of(old: &[Value], new: &[Value]) -> Pairing {
        let mut pairing = Pairing { of_old: vec![None; old.len()], of_new: vec![None; new.len()] };
        if old.len() > MAX_ALIGNED || new.len() > MAX_ALIGNED {
            for i in (0..old.len().min(new.len())).filter(|i| old[*i] == new[*i]) {
                pairing.pair(i, i, Paired::Kept);
            }
            return pairing;
        }
        let width = new.len() + 1;
        let mut lengths = vec![0u32; (old.len() + 1) * width];
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                lengths[i * width + j] = if old[i] == new[j] {
                    lengths[(i + 1) * width + j + 1] + 1
                } else {
                    lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < old.len() && j < new.len() {
            if old[i] == new[j] {
                pairing.pair(i, j, Paired::Kept);
                (i, j) = (i + 1, j + 1);
            } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
        pairing
    }

    fn pair(&mut self, old: usize, new: usize, how: Paired) {
        self.of_old[old] = Some((new, how));
        self.of_new[new] = Some((old, how));
    }

    /// What is equal at another place moved.
    fn pair_moved(&mut self, old: &[Value], new: &[Value]) {
        self.pair_where(|i, j| old[i] == new[j], Paired::Moved);
    }

    /// Two structures that share a field are one that changed.
    fn pair_similar(&mut self, old: &[Value], new: &[Value]) {
        self.pair_where(
            |i, j| match (&old[i], &new[j]) {
                (Value::Fields(a), Value::Fields(b)) => {
                    a.iter().any(|(name, value)| b.get(name) == Some(value))
                }
                _ => false,
            },
            Paired::Similar,
        );
    }

    fn pair_where(&mut self, belongs: impl Fn(usize, usize) -> bool, how: Paired) {
        for i in 0..self.of_old.len().min(MAX_ALIGNED) {
            if self.of_old[i].is_some() {
                continue;
            }
            let free =
                (0..self.of_new.len().min(MAX_ALIGNED)).find(|j| self.of_new[*j].is_none() && belongs(i, *j));
            if let Some(j) = free {
                self.pair(i, j, how);
            }
        }
    }
}

/// A value on one line: `460-01`, `[a, b]`, `sst: 1, sd: 2`. Cut, with an ellipsis, past [`super::shown::LONGEST`].
pub fn compact(value: &Value) -> String {
    let mut out = Compact { text: String::new(), left: super::shown::LONGEST };
    out.value(value, true);
    out.text
}

struct Compact {
    text: String,
    left: usize,
}

impl Compact {
    fn push(&mut self, text: &str) {
        if self.left == 0 {
            return;
        }
        let (head, whole) = super::shown::cut(text, self.left);
        self.text.push_str(head);
        self.left = if whole { self.left - head.chars().count() } else { 0 };
        if self.left == 0 {
            self.text.push('…');
        }
    }

    fn value(&mut self, value: &Value, outermost: bool) {
        if self.left == 0 {
            return;
        }
        match value {
            Value::Text(text) => self.push(&visible(text)),
            Value::Sequence(items) => self.all("[", "]", items.iter().map(|item| (None, item))),
            Value::Fields(fields) => {
                let plmn = plmn(value);
                let bare = outermost || (plmn.is_some() && fields.len() == 2);
                let (open, close) = if bare { ("", "") } else { ("{", "}") };
                let shown = fields.iter().filter(|(name, _)| plmn.is_none() || !is_plmn_part(name));
                let shown = shown.map(|(name, value)| (Some(name), value));
                self.push(open);
                if let Some(plmn) = &plmn {
                    self.push(plmn);
                    self.push(if fields.len() > 2 { ", " } else { "" });
                }
                self.all("", close, shown);
            }
        }
    }

    fn all<'a>(
        &mut self,
        open: &str,
        close: &str,
        items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    ) {
        self.push(open);
        for (n, (name, value)) in items.enumerate() {
            if self.left == 0 {
                return;
            }
            if n > 0 {
                self.push(", ");
            }
            if let Some(name) = name {
                self.push(&visible(name));
                self.push(": ");
            }
            self.value(value, false);
        }
        self.push(close);
    }
}

/// What an occurrence is known by: its PLMN, a field that is an id, else the whole.
fn name_of(value: &Value) -> String {
    let Value::Fields(fields) = value else { return compact(value) };
    let id = fields.iter().find(|(name, _)| name.ends_with("Id") || name.as_str() == "id");
    plmn(value).unwrap_or_else(|| compact(id.map_or(value, |(_, id)| id)))
}

/// A PLMN id as operators write it: `460-01`. TS 28.541 PLMNId holds mcc and mnc; lists often hold them flat.
fn plmn(value: &Value) -> Option<String> {
    let (mcc, mnc) = (value.field("mcc")?.as_text()?, value.field("mnc")?.as_text()?);
    Some(visible(&format!("{mcc}-{mnc}")))
}

fn is_plmn_part(name: &str) -> bool {
    matches!(name, "mcc" | "mnc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, Value)]) -> Value {
        Value::Fields(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    fn plmn_info(mnc: &str, sst: &str) -> Value {
        let id = fields(&[("mcc", "460".into()), ("mnc", mnc.into())]);
        fields(&[("pLMNId", id), ("sst", sst.into())])
    }

    fn changes(old: &Value, new: &Value) -> Vec<(Mark, String)> {
        Comparison::of(Some(old), Some(new)).changes().map(|l| (l.mark, l.path.clone())).collect()
    }

    #[test]
    fn a_reorder_is_one_move() {
        let old = Value::Sequence(vec![plmn_info("01", "1"), plmn_info("11", "1")]);
        let new = Value::Sequence(vec![plmn_info("11", "1"), plmn_info("01", "1")]);
        let comparison = Comparison::of(Some(&old), Some(&new));
        assert!(comparison.is_reorder());
        let moved: Vec<_> = comparison.changes().collect();
        assert_eq!(moved.len(), 1);
        assert_eq!(moved[0].positions, Some((1, 2)));
        assert_eq!(moved[0].new.as_deref(), Some("pLMNId: 460-01, sst: 1"));
        assert_eq!(moved[0].name.as_deref(), Some("460-01"));
    }

    #[test]
    fn a_plmn_reads_as_operators_write_it() {
        let id = fields(&[("mcc", "460".into()), ("mnc", "01".into())]);
        let flat = fields(&[("mcc", "460".into()), ("mnc", "01".into()), ("sst", "1".into())]);
        assert_eq!(compact(&id), "460-01");
        assert_eq!(compact(&flat), "460-01, sst: 1");
        assert_eq!(compact(&Value::Sequence(vec![flat.clone(), id])), "[{460-01, sst: 1}, 460-01]");
        assert_eq!(name_of(&flat), "460-01");
    }

    #[test]
    fn one_field_of_one_occurrence_is_one_line() {
        let old = Value::Sequence(vec![plmn_info("01", "1"), plmn_info("11", "1")]);
        let new = Value::Sequence(vec![plmn_info("01", "1"), plmn_info("11", "2")]);
        assert_eq!(changes(&old, &new), vec![(Mark::Changed, "#2.sst".to_owned())]);
    }

    #[test]
    fn an_occurrence_more_is_added_even_beside_a_single_one() {
        let new = Value::Sequence(vec![plmn_info("01", "1"), plmn_info("15", "3")]);
        assert_eq!(changes(&plmn_info("01", "1"), &new), vec![(Mark::Added, "#2".to_owned())]);
    }

    #[test]
    fn a_deleted_object_lists_its_attributes() {
        let object = fields(&[("a", "1".into()), ("b", "2".into())]);
        let comparison = Comparison::of(Some(&object), None);
        assert_eq!(comparison.lines.len(), 2);
        assert!(comparison.lines.iter().all(|l| l.mark == Mark::Removed));
    }

    #[test]
    fn huge_values_stay_bounded() {
        let list = |offset: usize| {
            Value::Sequence((0..5_000).map(|n| Value::text((n + offset).to_string())).collect())
        };
        let comparison = Comparison::of(Some(&list(0)), Some(&list(1)));
        assert!(comparison.cut);
        assert_eq!(comparison.lines.len(), MAX_LINES);
        let text = compact(&Value::text("x".repeat(1 << 20)));
        assert_eq!(text.chars().count(), super::super::shown::LONGEST + 1);
    }
}
