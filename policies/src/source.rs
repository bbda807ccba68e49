//! Rule files: strict YAML, every fault with file, line and column.

use std::fmt;

use model::{Scope, Severity, Text};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::catalogue;
use crate::expression::{self, Attributes, Environment, Fault};
use crate::place::{Place, locate};
use crate::rule::{Mode, Reads, Rule, RuleScope};
use crate::suggest::did_you_mean;
use crate::template::{Message, Template};

/// First line of a rule file.
pub const RULE_FORMAT: &str = "ranproof/policy/1";
/// Longest file, in bytes.
pub(crate) const MAX_FILE: usize = 256 * 1024;

/// A fault in a rule or test file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    pub file: String,
    /// From 1; 0 where the fault is nowhere in particular.
    pub line: usize,
    pub column: usize,
    pub message: String,
    /// What to try, or empty.
    pub hint: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; hint: {}", self.hint) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    format: Spanned<String>,
    name: Spanned<String>,
    #[serde(default)]
    description: Bilingual,
    severity: Severity,
    #[serde(default = "enforce")]
    mode: Mode,
    scope: RawScope,
    attribute: Spanned<String>,
    expression: Spanned<String>,
    message: Bilingual,
    #[serde(default)]
    needs: Vec<Need>,
}

fn enforce() -> Mode {
    Mode::Enforce
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Need {
    Neighbours,
}

/// A text, or one in each language.
#[derive(Default)]
struct Bilingual {
    en: Option<Spanned<String>>,
    zh: Option<Spanned<String>>,
}

struct RawScope {
    class: Spanned<String>,
    part: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Languages {
    en: Spanned<String>,
    #[serde(default)]
    zh: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassWhere {
    class: Spanned<String>,
    #[serde(default, rename = "where")]
    part: Option<Spanned<String>>,
}

/// Either a text or a mapping. Written by hand because an untagged enum would lose every place and reason.
enum TextOr<T> {
    Text(String),
    Mapping(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a mapping")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(TextOr::Mapping)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Bilingual {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<TextOr<Languages>>::deserialize(deserializer)?;
        let (referenced, defined) = (spanned.referenced, spanned.defined);
        Ok(match spanned.value {
            TextOr::Text(value) => Bilingual { en: Some(Spanned { value, referenced, defined }), zh: None },
            TextOr::Mapping(Languages { en, zh }) => Bilingual { en: Some(en), zh },
        })
    }
}

impl<'de> Deserialize<'de> for RawScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<TextOr<ClassWhere>>::deserialize(deserializer)?;
        let (referenced, defined) = (spanned.referenced, spanned.defined);
        Ok(match spanned.value {
            TextOr::Text(value) => RawScope { class: Spanned { value, referenced, defined }, part: None },
            TextOr::Mapping(ClassWhere { class, part }) => RawScope { class, part },
        })
    }
}

impl Bilingual {
    fn text(&self) -> Text {
        let text = |side: &Option<Spanned<String>>| side.as_ref().map_or("", |s| &s.value).to_owned();
        Text::new(text(&self.en), text(&self.zh))
    }
}

/// Reads a YAML document strictly: unknown and repeated keys, loose booleans and surplus documents are faults.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(file: &str, text: &str) -> Result<T, LoadError> {
    let fault = |line, column, message: String, hint: &str| LoadError {
        file: file.to_owned(),
        line,
        column,
        message,
        hint: hint.to_owned(),
    };
    if text.len() > MAX_FILE {
        return Err(fault(0, 0, format!("the file is {} bytes, {MAX_FILE} are allowed", text.len()), ""));
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let line = place.map_or(0, |l| usize::try_from(l.line()).unwrap_or_default());
        let column = place.map_or(0, |l| usize::try_from(l.column()).unwrap_or_default());
        let message = error.without_snippet().to_string();
        // The place is told before the message already.
        let message = message.lines().next().unwrap_or_default();
        let message = message.split(" at line ").next().unwrap_or(message).to_owned();
        fault(line, column, message, "")
    })
}

/// Loads one rule.
pub(crate) fn load_rule(file: &str, text: &str) -> Result<Rule, Vec<LoadError>> {
    let raw: RuleFile = read(file, text).map_err(|error| vec![error])?;
    let source = Source { file, text };
    let mut errors = Vec::new();
    if raw.format.value != RULE_FORMAT {
        let message = format!("format is `{}`; this version reads {RULE_FORMAT}", raw.format.value);
        errors.push(source.error(&raw.format, 0, message, ""));
    }
    if !is_name(&raw.name.value) {
        let message = format!("`{}` is no rule name", raw.name.value);
        errors.push(source.error(&raw.name, 0, message, "lower-case letters, digits and hyphens"));
    }
    let part = source.part(&raw.scope, &mut errors);
    let Some(class) = catalogue::class(&raw.scope.class.value) else {
        let name = &raw.scope.class.value;
        let hint = did_you_mean(name, catalogue::class_names());
        errors.push(source.error(&raw.scope.class, 0, format!("unknown class `{name}`"), &hint));
        return Err(errors);
    };
    if raw.attribute.value != model::OBJECT && class.field(&raw.attribute.value).is_none() {
        let hint = did_you_mean(&raw.attribute.value, class.names());
        let message = format!("{} has no attribute `{}`", class.name, raw.attribute.value);
        errors.push(source.error(&raw.attribute, 0, message, &hint));
    }
    let needs_neighbours = raw.needs.contains(&Need::Neighbours);
    let environment = Environment { class, neighbours: needs_neighbours };
    let compiled = expression::compile_condition(&raw.expression.value, environment)
        .map_err(|fault| errors.push(source.fault(&raw.expression, fault)));
    let mut template = |side: &Option<Spanned<String>>| match side {
        Some(side) => Template::compile(&side.value, environment)
            .map_err(|fault| errors.push(source.fault(side, fault)))
            .unwrap_or_default(),
        None => Template::default(),
    };
    let compiled_message = Message { en: template(&raw.message.en), zh: template(&raw.message.zh) };
    let (Ok(compiled), true) = (compiled, errors.is_empty()) else { return Err(errors) };
    let expressions = || std::iter::once(&compiled).chain(compiled_message.expressions());
    let (reads, attributes) = (Reads::of(expressions()), Attributes::of(expressions()));
    Ok(Rule {
        description: raw.description.text(),
        message: raw.message.text(),
        name: raw.name.value,
        severity: raw.severity,
        mode: raw.mode,
        scope: RuleScope { class: class.name.to_owned(), part },
        attribute: raw.attribute.value,
        expression: raw.expression.value,
        needs_neighbours,
        file: file.to_owned(),
        reads,
        attributes,
        compiled,
        compiled_message,
    })
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(good)
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, at: &Spanned<String>, character: usize, message: String, hint: &str) -> LoadError {
        let start = place_of(at);
        let (line, column) = locate(self.text, start, &at.value, character);
        LoadError { file: self.file.to_owned(), line, column, message, hint: hint.to_owned() }
    }

    fn fault(&self, at: &Spanned<String>, fault: Fault) -> LoadError {
        self.error(at, fault.at, fault.message, &fault.hint)
    }

    fn part(&self, scope: &RawScope, errors: &mut Vec<LoadError>) -> Scope {
        let Some(part) = &scope.part else { return Scope::default() };
        part.value.parse().unwrap_or_else(|error: model::dn::InvalidDn| {
            errors.push(self.error(part, 0, error.to_string(), ""));
            Scope::default()
        })
    }
}

fn place_of(at: &Spanned<String>) -> Place {
    let number = |n: u64| usize::try_from(n).unwrap_or(1).max(1);
    (number(at.referenced.line()), number(at.referenced.column()))
}
