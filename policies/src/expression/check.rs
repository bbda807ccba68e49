//! Loads an expression: bounds first, then CEL's grammar, then names and types.

use cel::parser::{ParseErrors, Parser};

use super::compile::Compiler;
use super::node::Node;
use super::types::Type;
use crate::catalogue::Record;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 4096;
/// Deepest nesting of brackets.
const MAX_BRACKETS: usize = 24;
/// Most operators on one level of one expression; `&&` and `||` do not count, they chain flat.
const MAX_OPERATORS: usize = 120;

/// What names an expression may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// The class that `object`, `previous` and `approved` are of.
    pub class: &'static Record,
    /// Whether the rule asked for `neighbours`.
    pub neighbours: bool,
}

/// A fault in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Characters before the place.
    pub at: usize,
    pub message: String,
    /// What to try, or empty.
    pub hint: String,
}

impl Fault {
    pub fn new(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { at, message: message.into(), hint: hint.into() }
    }
}

/// Parses and checks an expression that must be true or false.
pub(crate) fn compile_condition(source: &str, environment: Environment) -> Result<Node, Fault> {
    let (node, of) = compile(source, environment)?;
    if of != Type::Bool {
        let message = format!("the expression is {of}; a rule's is true where the rule is kept");
        return Err(Fault::new(0, message, "compare it with something"));
    }
    Ok(node)
}

/// Parses and checks an expression.
pub(crate) fn compile(source: &str, environment: Environment) -> Result<(Node, Type), Fault> {
    within_bounds(source)?;
    let parser = Parser::new().enable_ident_escape_syntax(true).error_recovery_limit(4);
    let (expression, info) = parser.parse_with_source_info(source).map_err(|e| syntax_fault(source, &e))?;
    Compiler::new(environment, &info).compile(&expression)
}

/// The parser and everything after it recurse: what could go deep is refused before.
fn within_bounds(source: &str) -> Result<(), Fault> {
    if source.len() > MAX_LENGTH {
        let message = format!("the expression is {} bytes long, {MAX_LENGTH} are allowed", source.len());
        return Err(Fault::new(0, message, "split it into several rules"));
    }
    let (mut depth, mut operators, mut quote) = (0usize, 0usize, None);
    let mut before = ' ';
    for (at, c) in source.chars().enumerate() {
        match (quote, c) {
            (Some(_), '\\') if before == '\\' => {
                before = ' ';
                continue;
            }
            (Some(open), c) if c == open && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            // The operator `in`; names that end alike are counted with it.
            (None, 'n') if before == 'i' => operators += 1,
            (None, '!' | '-' | '+' | '*' | '/' | '%' | '?' | '<' | '>' | '=' | '.') => operators += 1,
            _ => {}
        }
        before = c;
        if depth > MAX_BRACKETS {
            let message = format!("brackets are nested deeper than {MAX_BRACKETS}");
            return Err(Fault::new(at, message, "split the rule"));
        }
        if operators > MAX_OPERATORS {
            let message = format!("there are more than {MAX_OPERATORS} operators");
            return Err(Fault::new(at, message, "split the rule"));
        }
    }
    Ok(())
}

fn syntax_fault(source: &str, errors: &ParseErrors) -> Fault {
    let Some(error) = errors.errors.first() else {
        return Fault::new(0, "the expression cannot be parsed", "");
    };
    let (line, column) = error.pos;
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or_default();
    let before: usize = source.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let message = in_plain_words(error.msg.lines().next().unwrap_or_default());
    let hint = if message == "unexpected `=`" { "equality is `==`" } else { "" };
    Fault::new(before + column.saturating_sub(1), format!("syntax error: {message}"), hint)
}

/// The parser generator's phrases name its tokens; people want to know what is wrong.
fn in_plain_words(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let quoted = message.split('\'').nth(1).unwrap_or_default().trim();
    if quoted == "<EOF>" {
        return "the expression ends too early".into();
    }
    if let Some(rest) = message.strip_prefix("missing ") {
        return format!("`{}` is missing", rest.split('\'').nth(1).unwrap_or_default());
    }
    let unexpected =
        ["mismatched input", "extraneous input", "token recognition error", "no viable alternative"];
    if unexpected.iter().any(|phrase| message.starts_with(phrase)) && !quoted.is_empty() {
        return format!("unexpected `{quoted}`");
    }
    message.to_owned()
}
