//! Functions that expressions may call.

use std::borrow::Cow;

use model::Decimal;

use super::evaluate::Evaluation;
use super::node::{Function, Node};
use super::trouble::{Fail, Trouble};
use super::types::Type;
use super::value::Val;

/// Functions with the fewest and most values they take, a receiver counted.
pub(super) const FUNCTIONS: [(Function, usize, usize); 10] = [
    (Function::Size, 1, 1),
    (Function::StartsWith, 2, 2),
    (Function::EndsWith, 2, 2),
    (Function::Contains, 2, 2),
    (Function::Distinct, 1, 1),
    (Function::Join, 1, 2),
    (Function::ToInt, 1, 1),
    (Function::ToText, 1, 1),
    (Function::ToDecimal, 1, 1),
    (Function::NrArfcnKhz, 1, 1),
];

/// The type of a function's value, `None` if it does not take these.
pub(super) fn result_of(function: Function, types: &[Type]) -> Option<Type> {
    let texts = types.iter().all(Type::is_text);
    let first = types.first()?;
    match (function, first) {
        (Function::Size, Type::List(_)) => Some(Type::Int),
        (Function::Size, _) if texts => Some(Type::Int),
        (Function::StartsWith | Function::EndsWith | Function::Contains, _) if texts => Some(Type::Bool),
        (Function::Distinct, Type::List(_)) => Some(first.clone()),
        (Function::Join, Type::List(of)) if of.is_text() && types.iter().skip(1).all(Type::is_text) => {
            Some(Type::Text)
        }
        (Function::ToInt, _) if texts || *first == Type::Int => Some(Type::Int),
        (Function::ToText, Type::Bool | Type::Int | Type::Decimal) => Some(Type::Text),
        (Function::ToText, _) if texts => Some(Type::Text),
        (Function::ToDecimal, _) if texts || first.is_number() => Some(Type::Decimal),
        (Function::NrArfcnKhz, Type::Int) => Some(Type::Int),
        _ => None,
    }
}

pub(super) fn call<'a>(
    evaluation: &mut Evaluation<'a>,
    function: Function,
    arguments: &'a [Node],
) -> Result<Val<'a>, Fail> {
    let [first, rest @ ..] = arguments else {
        return Err(Trouble::Null { what: function.name().to_owned() }.into());
    };
    match (function, rest) {
        (Function::Size, _) => size(evaluation, first),
        (Function::StartsWith | Function::EndsWith | Function::Contains, [other]) => {
            let (text, part) = (evaluation.text(first)?, evaluation.text(other)?);
            evaluation.spend_on_text(text.len().saturating_add(part.len()))?;
            let part: &str = &part;
            Ok(Val::Bool(match function {
                Function::StartsWith => text.starts_with(part),
                Function::EndsWith => text.ends_with(part),
                _ => text.contains(part),
            }))
        }
        (Function::Distinct, _) => distinct(evaluation, first),
        (Function::Join, _) => {
            let separator = rest.first().map_or(Ok(Cow::Borrowed("")), |node| evaluation.text(node))?;
            join(evaluation, first, &separator)
        }
        (Function::ToInt, _) => match evaluation.value(first)? {
            Val::Text(text) => match text.parse() {
                Ok(number) => Ok(Val::Int(number)),
                Err(_) => Err(Trouble::NotConvertible { text: text.into_owned(), to: "an integer" }.into()),
            },
            Val::Int(number) => Ok(Val::Int(number)),
            _ => Err(Trouble::null(first).into()),
        },
        (Function::ToText, _) => match evaluation.value(first)? {
            value @ (Val::Text(_) | Val::Int(_) | Val::Decimal(_) | Val::Bool(_)) => {
                Ok(Val::text(value.to_string()))
            }
            _ => Err(Trouble::null(first).into()),
        },
        (Function::ToDecimal, _) => match evaluation.value(first)? {
            Val::Text(text) => match Decimal::parse(&text) {
                Some(number) => Ok(Val::Decimal(number)),
                None => {
                    Err(Trouble::NotConvertible { text: text.into_owned(), to: "a decimal number" }.into())
                }
            },
            Val::Int(number) => Ok(Val::Decimal(number.into())),
            value @ Val::Decimal(_) => Ok(value),
            _ => Err(Trouble::null(first).into()),
        },
        (Function::NrArfcnKhz, _) => Ok(Val::Int(nr_arfcn_khz(evaluation.int(first)?)?)),
        _ => Err(Trouble::null(first).into()),
    }
}

fn size<'a>(evaluation: &mut Evaluation<'a>, node: &'a Node) -> Result<Val<'a>, Fail> {
    let length = match evaluation.value(node)? {
        Val::Text(text) => {
            evaluation.spend_on_text(text.len())?;
            text.chars().count()
        }
        Val::List(list) => list.len(),
        _ => return Err(Trouble::null(node).into()),
    };
    i64::try_from(length).map(Val::Int).map_err(|_| Trouble::Overflow { operation: "size" }.into())
}

fn distinct<'a>(evaluation: &mut Evaluation<'a>, node: &'a Node) -> Result<Val<'a>, Fail> {
    let list = evaluation.list(node)?;
    let mut out: Vec<Val<'a>> = Vec::new();
    for index in 0..list.len() {
        let element = list.get(index)?;
        let mut seen = false;
        for earlier in &out {
            seen = seen || evaluation.equal(earlier, &element)?;
        }
        if !seen {
            out.push(element);
        }
    }
    Ok(Val::made(out))
}

fn join<'a>(evaluation: &mut Evaluation<'a>, node: &'a Node, separator: &str) -> Result<Val<'a>, Fail> {
    let list = evaluation.list(node)?;
    let mut out = String::new();
    for index in 0..list.len() {
        let Val::Text(text) = list.get(index)? else { return Err(Trouble::null(node).into()) };
        evaluation.spend_on_text(text.len().saturating_add(separator.len()))?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(&text);
    }
    Ok(Val::text(out))
}

/// Frequency of an NR-ARFCN in kHz (TS 38.104 §5.4.2.1, table 5.4.2.1-1).
fn nr_arfcn_khz(number: i64) -> Result<i64, Trouble> {
    match number {
        0..=599_999 => Ok(5 * number),
        600_000..=2_016_666 => Ok(3_000_000 + 15 * (number - 600_000)),
        2_016_667..=3_279_165 => Ok(24_250_080 + 60 * (number - 2_016_667)),
        _ => Err(Trouble::NotAnArfcn { number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_global_frequency_raster_of_38_104() {
        assert_eq!(nr_arfcn_khz(0), Ok(0));
        assert_eq!(nr_arfcn_khz(422_000), Ok(2_110_000));
        assert_eq!(nr_arfcn_khz(599_999), Ok(2_999_995));
        assert_eq!(nr_arfcn_khz(630_000), Ok(3_450_000));
        assert_eq!(nr_arfcn_khz(2_016_667), Ok(24_250_080));
        assert_eq!(nr_arfcn_khz(3_279_165), Ok(99_999_960));
        assert_eq!(nr_arfcn_khz(-1), Err(Trouble::NotAnArfcn { number: -1 }));
    }
}
