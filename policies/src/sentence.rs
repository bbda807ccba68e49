//! Pieces of the sentences that verdicts are made of, in English and Chinese, always with the figures compared.

use std::collections::BTreeSet;

use model::{Edit, OBJECT, Text, Value};

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

/// `15→20`, with `(none)` where a side is absent; an object that came or went, in words.
pub(crate) fn change(attribute: &str, old: &Option<Value>, new: &Option<Value>) -> Text {
    match (attribute == OBJECT, old, new) {
        (true, Some(old), None) => {
            let n = attributes(old);
            Text::new(
                format!("the deletion of the object (it had {})", n.en),
                format!("对象的删除（原有 {}）", n.zh),
            )
        }
        (true, None, Some(new)) => {
            let n = attributes(new);
            Text::new(
                format!("the creation of the object (with {})", n.en),
                format!("对象的创建（含 {}）", n.zh),
            )
        }
        _ => {
            if let (Some(before), Some(after)) = (names_of_list(old), names_of_list(new))
                && before != after
            {
                let text = format!("{}→{}", shortened(before), shortened(after));
                return Text::new(text.clone(), text);
            }
            Text::new(
                format!("{}→{}", value(old, "(none)"), value(new, "(none)")),
                format!("{}→{}", value(old, "（无）"), value(new, "（无）")),
            )
        }
    }
}

/// The change an edit made; a reorder says so.
pub(crate) fn edit(edit: &Edit) -> Text {
    let mut text = change(&edit.attribute, &edit.old, &edit.new);
    if edit.moved {
        text.en.push_str(" (the same entries in another order)");
        text.zh.push_str("（条目相同，顺序不同）");
    }
    text
}

pub(crate) fn value(value: &Option<Value>, absent: &str) -> String {
    value.as_ref().map_or_else(|| absent.to_owned(), |value| shortened(written(value)))
}

fn attributes(object: &Value) -> Text {
    let n = match object {
        Value::Fields(fields) => fields.len(),
        _ => 0,
    };
    Text::new(format!("{n} attribute{}", if n == 1 { "" } else { "s" }), format!("{n} 个属性"))
}

fn shortened(text: String) -> String {
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_VALUE - 1).collect();
    format!("{start}…")
}

/// The PLMNs of a list whose entries are known by them: what they carry beside is on the page.
fn names_of_list(value: &Option<Value>) -> Option<String> {
    let Some(Value::Sequence(entries)) = value else { return None };
    let name = |entry: &Value| plmn(entry).or_else(|| entry.field("pLMNId").and_then(plmn));
    let names: Option<Vec<String>> = entries.iter().map(name).collect();
    names.map(|names| format!("[{}]", names.join(", ")))
}

/// A value as people write it: `460-01` for a PLMN id, lists in brackets, fields by name. Not for machines.
fn written(value: &Value) -> String {
    let all = |fields: &mut dyn Iterator<Item = String>| fields.collect::<Vec<_>>().join(", ");
    match value {
        Value::Text(text) => text.clone(),
        Value::Sequence(entries) => {
            let entry = |entry: &Value| match entry {
                Value::Fields(fields) if plmn(entry).is_none() || fields.len() > 2 => {
                    format!("({})", written(entry))
                }
                _ => written(entry),
            };
            format!("[{}]", all(&mut entries.iter().map(entry)))
        }
        Value::Fields(fields) => {
            let plmn = plmn(value);
            let rest =
                fields.iter().filter(|(name, _)| plmn.is_none() || !matches!(name.as_str(), "mcc" | "mnc"));
            let field = |(name, value): (&String, &Value)| match value {
                Value::Fields(_) if self::plmn(value).is_none() => format!("{name} ({})", written(value)),
                _ => format!("{name} {}", written(value)),
            };
            all(&mut plmn.clone().into_iter().chain(rest.map(field)))
        }
    }
}

/// A PLMN id as operators write it. TS 28.541 PLMNId holds mcc and mnc; lists often hold them flat.
fn plmn(value: &Value) -> Option<String> {
    Some(format!("{}-{}", value.field("mcc")?.as_text()?, value.field("mnc")?.as_text()?))
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
        assert_eq!(change("x", &None, &Some("1".into())).en, "(none)→1");
    }

    fn fields(pairs: &[(&str, Value)]) -> Value {
        Value::Fields(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn entry(mnc: &str, sst: &str) -> Value {
        fields(&[("mcc", "460".into()), ("mnc", mnc.into()), ("sst", sst.into())])
    }

    #[test]
    fn a_plmn_list_reads_as_operators_write_it() {
        let list = |entries: &[Value]| Some(Value::Sequence(entries.to_vec()));
        let (a, b) = (entry("11", "1"), entry("01", "1"));
        let moved = change("pLMNInfoList", &list(&[a.clone(), b.clone()]), &list(&[b, a.clone()]));
        assert_eq!(moved.en, "[460-11, 460-01]→[460-01, 460-11]");
        let slice = change("pLMNInfoList", &list(&[a]), &list(&[entry("11", "2")]));
        assert_eq!(slice.zh, "[(460-11, sst 1)]→[(460-11, sst 2)]");
    }

    #[test]
    fn an_object_that_went_is_a_sentence() {
        let object = Some(fields(&[("nRPCI", "12".into()), ("nRTAC", "4321".into())]));
        assert_eq!(change(OBJECT, &object, &None).en, "the deletion of the object (it had 2 attributes)");
        assert_eq!(change(OBJECT, &None, &object).zh, "对象的创建（含 2 个属性）");
    }
}
