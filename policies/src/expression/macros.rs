//! Which macro a comprehension came from: the parser has written it out, and walks are evaluated as what they
//! were.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::node::Quantifier;

/// The macro, its condition and its result.
pub(super) type Shape<'a> = (Quantifier, Option<&'a IdedExpr>, Option<&'a IdedExpr>);

/// Which macro a comprehension came from, with its condition and result.
pub(super) fn shape(c: &ComprehensionExpr) -> Option<Shape<'_>> {
    let is_result = |e: &IdedExpr| matches!(&e.expr, Expr::Ident(name) if *name == c.accu_var);
    let made = |e: &'_ IdedExpr| -> bool { matches!(&e.expr, Expr::Call(call) if call.func_name == "_+_") };
    let Expr::Call(step) = &c.loop_step.expr else { return None };
    match (step.func_name.as_str(), step.args.as_slice()) {
        ("_&&_", [accumulated, p]) if is_result(accumulated) => Some((Quantifier::All, Some(p), None)),
        ("_||_", [accumulated, p]) if is_result(accumulated) => Some((Quantifier::Exists, Some(p), None)),
        ("_+_", _) => Some((Quantifier::Map, None, Some(appended(step)?))),
        ("_?_:_", [p, step, otherwise]) if is_result(otherwise) && made(step) => {
            let Expr::Call(call) = &step.expr else { return None };
            if matches!(&c.accu_init.expr, Expr::Literal(LiteralValue::Int(_))) {
                return Some((Quantifier::ExistsOne, Some(p), None));
            }
            let result = appended(call)?;
            let same = matches!(&result.expr, Expr::Ident(name) if *name == c.iter_var);
            Some(match same {
                true => (Quantifier::Filter, Some(p), None),
                false => (Quantifier::Map, Some(p), Some(result)),
            })
        }
        _ => None,
    }
}

/// The element of `@result + [element]`.
fn appended(call: &CallExpr) -> Option<&IdedExpr> {
    let [_, list] = call.args.as_slice() else { return None };
    let Expr::List(list) = &list.expr else { return None };
    let [element] = list.elements.as_slice() else { return None };
    Some(element)
}
