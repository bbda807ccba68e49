//! Pieces of the sentences that verdicts are made of, in English and Chinese, always with the figures compared.

use std::collections::BTreeSet;

use model::{Edit, Text, Value};

/// Longest value shown inside a sentence, in characters; the page shows the whole value beside it.
const LONGEST_VALUE: usize = 60;

/// A sentence under construction: both languages grow together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sentence {
    en: String,
    zh: String,
}

impl Sentence {
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Sentence {
        Sentence { en: en.into(), zh: zh.into() }
    }

    /// Adds a clause; the first follows a colon-free main clause, each with its own separator.
    pub fn and(&mut self, en: impl AsRef<str>, zh: impl AsRef<str>) {
        for (sentence, clause, separator) in
            [(&mut self.en, en.as_ref(), "; "), (&mut self.zh, zh.as_ref(), "；")]
        {
            if !sentence.is_empty() {
                sentence.push_str(separator);
            }
            sentence.push_str(clause);
        }
    }

    pub fn done(self) -> Text {
        Text::new(self.en + ".", self.zh + "。")
    }
}

/// `15→20`, with `(none)` where a side is absent.
pub(crate) fn change(old: &Option<Value>, new: &Option<Value>) -> Text {
    Text::new(
        format!("{}→{}", value(old, "(none)"), value(new, "(none)")),
        format!("{}→{}", value(old, "（无）"), value(new, "（无）")),
    )
}

/// The change an edit made; a reorder says so.
pub(crate) fn edit(edit: &Edit) -> Text {
    let mut text = change(&edit.old, &edit.new);
    if edit.moved {
        text.en.push_str(" (the same entries in another order)");
        text.zh.push_str("（条目相同，顺序不同）");
    }
    text
}

pub(crate) fn value(value: &Option<Value>, absent: &str) -> String {
    let Some(value) = value else { return absent.to_owned() };
    let text = value.to_string();
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_VALUE - 1).collect();
    format!("{start}…")
}

/// Names joined for reading, `nobody` if there is none.
pub(crate) fn names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Text {
    let names: BTreeSet<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() {
        return Text::new("nobody", "无人");
    }
    let join = |separator: &str| names.iter().map(String::as_str).collect::<Vec<_>>().join(separator);
    Text::new(join(", "), join("、"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = Some(Value::from("频".repeat(80).as_str()));
        assert_eq!(value(&long, "").chars().count(), LONGEST_VALUE);
        assert_eq!(change(&None, &Some("1".into())).en, "(none)→1");
    }
}
