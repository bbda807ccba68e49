//! From CEL's syntax tree to a checked expression: names resolved, types inferred, everything else refused.

use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo};
use model::Decimal;

use super::call::{FUNCTIONS, result_of};
use super::check::{Environment, Fault};
use super::macros::shape;
use super::node::{Arithmetic, Comprehension, Field, Node, Order, Part, Quantifier, Sides, Variable};
use super::types::Type;
use crate::agreed;
use crate::catalogue::{self, Kind, NR_CELL_DU, Record};
use crate::suggest::did_you_mean;

/// Deepest nesting of the checked expression; evaluation recurses as deep.
const MAX_DEPTH: usize = 100;
/// Deepest nesting of comprehensions: the budget bounds the work, this bounds what anybody can read.
const MAX_COMPREHENSIONS: usize = 4;

/// A neighbour: its name, whether it is known and fresh, and its attributes.
static NEIGHBOUR: Record = Record {
    name: "neighbour",
    fields: &[("dn", Kind::Text), ("known", Kind::Bool), ("stale", Kind::Bool)],
    base: Some(&NR_CELL_DU),
};

pub(super) struct Compiler<'a> {
    environment: Environment,
    info: &'a SourceInfo,
    locals: Vec<(String, Type)>,
    depth: usize,
}

type Checked = Result<(Node, Type), Fault>;

impl<'a> Compiler<'a> {
    pub fn new(environment: Environment, info: &'a SourceInfo) -> Compiler<'a> {
        Compiler { environment, info, locals: Vec::new(), depth: 0 }
    }

    pub fn compile(&mut self, expression: &IdedExpr) -> Checked {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault(expression, "the expression is nested too deeply", "split the rule"));
        }
        let checked = match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(expression, name),
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => self.list(expression, &list.elements),
            Expr::Comprehension(comprehension) => self.comprehension(expression, comprehension),
            Expr::Map(_) | Expr::Struct(_) => {
                Err(self.fault(expression, "maps and messages are not part of rules", ""))
            }
            Expr::Unspecified => Err(self.fault(expression, "the expression is empty", "")),
        };
        self.depth -= 1;
        checked
    }

    fn fault(&self, at: &IdedExpr, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        // The parser counts bytes.
        let start = self.info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        let before = self.info.source.char_indices().take_while(|(byte, _)| *byte < start).count();
        Fault::new(before, message, hint)
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Checked {
        Ok(match literal {
            LiteralValue::Boolean(value) => (Node::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Node::Int(*value.inner()), Type::Int),
            LiteralValue::String(text) => (Node::Text(text.inner().to_owned()), Type::Text),
            LiteralValue::Null => (Node::Null, Type::Null),
            LiteralValue::Double(_) => {
                let hint = "write decimal(\"1.5\"), which is exact";
                return Err(self.fault(at, "rules have no floating-point numbers", hint));
            }
            LiteralValue::UInt(_) => {
                return Err(self.fault(at, "rules have no unsigned numbers", "leave out the `u`"));
            }
            LiteralValue::Bytes(_) => return Err(self.fault(at, "rules have no bytes", "")),
        })
    }

    fn name(&self, at: &IdedExpr, name: &str) -> Checked {
        if let Some(place) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok((Node::Local(name.to_owned(), place), self.locals[place].1.clone()));
        }
        if name == "agreement" {
            return Err(self.fault(
                at,
                "the agreement as a whole is no value",
                "name a part, such as agreement.plmns",
            ));
        }
        let Some((_, variable)) = Variable::ALL.iter().find(|(known, _)| *known == name) else {
            let known = Variable::ALL.iter().map(|(name, _)| *name).chain(["agreement"]);
            let locals = self.locals.iter().map(|(name, _)| name.as_str());
            let mut hint = did_you_mean(name, known.chain(locals));
            if hint.is_empty() && self.environment.class.field(name).is_some() {
                hint = format!("did you mean `object.{name}`?");
            }
            return Err(self.fault(at, format!("unknown name `{name}`"), hint));
        };
        let class = Type::Record(self.environment.class);
        let of = match variable {
            Variable::Object => class,
            Variable::Previous | Variable::Approved => Type::nullable(class),
            Variable::Dn => Type::Text,
            Variable::Owner | Variable::Mop => Type::nullable(Type::Text),
            Variable::Cell => Type::nullable(Type::Record(&NR_CELL_DU)),
            Variable::Neighbours if !self.environment.neighbours => {
                let hint = "add `needs: [neighbours]` to the rule";
                return Err(self.fault(at, "the rule does not say that it needs neighbours", hint));
            }
            Variable::Neighbours => Type::list(Type::Record(&NEIGHBOUR)),
        };
        Ok((Node::Variable(*variable), of))
    }

    fn select(&mut self, at: &IdedExpr, select: &SelectExpr) -> Checked {
        let field = select.field.as_str();
        if matches!(&select.operand.expr, Expr::Ident(name) if name == "agreement" && !self.is_local(name)) {
            let (node, of) = self.part(at, field)?;
            return Ok(if select.test { (Node::HasAgreed(Box::new(node)), Type::Bool) } else { (node, of) });
        }
        if self.is_ranges(&select.operand) {
            self.check_field(at, self.environment.class, field)?;
            let node = Node::Range(field.to_owned());
            return Ok(match select.test {
                true => (Node::HasAgreed(Box::new(node)), Type::Bool),
                false => (node, Type::Record(&agreed::RANGE)),
            });
        }
        let (of, of_type) = self.compile(&select.operand)?;
        let Type::Record(record) = of_type.some() else {
            let message = format!("{of} is {of_type} and has no `{field}`");
            return Err(self.fault(at, message, ""));
        };
        let kind = self.check_field(at, record, field)?;
        let (of, field) = (Box::new(of), Field::new(field, kind, record.slot(field)));
        Ok(match select.test {
            true => (Node::Has { of, field }, Type::Bool),
            false => (Node::Field { of, field }, kind.into()),
        })
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name)
    }

    fn is_ranges(&self, expression: &IdedExpr) -> bool {
        let Expr::Select(select) = &expression.expr else { return false };
        let agreement = matches!(&select.operand.expr, Expr::Ident(name) if name == "agreement");
        agreement && select.field == "range" && !select.test && !self.is_local("agreement")
    }

    fn part(&self, at: &IdedExpr, field: &str) -> Checked {
        if field == "range" {
            let hint = "name an attribute, such as agreement.range.configuredMaxTxPower.max";
            return Err(self.fault(at, "agreement.range is no value by itself", hint));
        }
        match Part::ALL.iter().find(|(name, _)| *name == field) {
            Some((_, part)) => Ok((Node::Agreement(*part), agreed::kind(*part).into())),
            None => {
                let known = Part::ALL.iter().map(|(name, _)| *name).chain(["range"]);
                let hint = did_you_mean(field, known);
                Err(self.fault(at, format!("the agreement has no `{field}`"), hint))
            }
        }
    }

    fn check_field(&self, at: &IdedExpr, record: &Record, field: &str) -> Result<&'static Kind, Fault> {
        if let Some(kind) = record.field(field) {
            return Ok(kind);
        }
        let mut hint = did_you_mean(field, record.names());
        if hint.is_empty()
            && let Some(class) = catalogue::attributes_anywhere().get(field)
        {
            hint = format!("`{field}` is an attribute of {class}");
        }
        if hint.is_empty() {
            hint = format!("it has {}", record.names().join(", "));
        }
        Err(self.fault(at, format!("{} has no attribute `{field}`", record.name), hint))
    }

    fn list(&mut self, at: &IdedExpr, elements: &[IdedExpr]) -> Checked {
        let (mut nodes, mut of) = (Vec::with_capacity(elements.len()), Type::Anything);
        for element in elements {
            let (node, one) = self.compile(element)?;
            let Some(both) = of.unify(&one) else {
                return Err(self.fault(at, format!("the list mixes {of} and {one}"), ""));
            };
            of = both;
            nodes.push(node);
        }
        Ok((Node::List(nodes), Type::list(of)))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Checked {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), arguments.as_slice()) {
            ("_&&_", [a, b]) => {
                let (a, b) = (self.boolean(a, "&&")?, self.boolean(b, "&&")?);
                Ok((Node::And(a.into(), b.into()), Type::Bool))
            }
            ("_||_", [a, b]) => {
                let (a, b) = (self.boolean(a, "||")?, self.boolean(b, "||")?);
                Ok((Node::Or(a.into(), b.into()), Type::Bool))
            }
            ("!_", [a]) => Ok((Node::Not(self.boolean(a, "!")?.into()), Type::Bool)),
            ("-_", [a]) => Ok((Node::Negate(self.expect(a, &Type::Int, "-")?.into()), Type::Int)),
            ("_?_:_", [condition, yes, no]) => self.choose(at, condition, yes, no),
            ("_==_", [a, b]) => self.equal(at, a, b, false),
            ("_!=_", [a, b]) => self.equal(at, a, b, true),
            ("_<_", [a, b]) => self.order(at, a, b, Order::Less),
            ("_<=_", [a, b]) => self.order(at, a, b, Order::LessOrEqual),
            ("_>_", [a, b]) => self.order(at, a, b, Order::Greater),
            ("_>=_", [a, b]) => self.order(at, a, b, Order::GreaterOrEqual),
            ("_+_", [a, b]) => self.add(at, a, b),
            ("_-_", [a, b]) => self.arithmetic(a, b, Arithmetic::Subtract),
            ("_*_", [a, b]) => self.arithmetic(a, b, Arithmetic::Multiply),
            ("_/_", [a, b]) => self.arithmetic(a, b, Arithmetic::Divide),
            ("_%_", [a, b]) => self.arithmetic(a, b, Arithmetic::Remainder),
            ("@in", [needle, list]) => self.membership(at, needle, list),
            ("_[_]", [list, index]) => self.index(list, index),
            (name, arguments) => self.function(at, name, arguments),
        }
    }

    /// An argument of exactly this type.
    fn expect(&mut self, argument: &IdedExpr, wanted: &Type, by: &str) -> Result<Node, Fault> {
        let (node, got) = self.compile(argument)?;
        let fits = got.some() == wanted || (*wanted == Type::Text && got.is_text());
        if fits {
            return Ok(node);
        }
        let hint = match (wanted, got.some()) {
            (Type::Bool, _) => "compare it with something",
            (Type::Int, Type::Decimal) => "decimals can be compared but not computed with",
            (Type::Int, Type::Text) => "int(…) reads a number from a string",
            (Type::Text, Type::Int) => "string(…) writes a number as a string",
            _ => "",
        };
        Err(self.fault(argument, format!("`{by}` needs {wanted}, but {node} is {got}"), hint))
    }

    fn boolean(&mut self, argument: &IdedExpr, by: &str) -> Result<Node, Fault> {
        self.expect(argument, &Type::Bool, by)
    }

    fn choose(&mut self, at: &IdedExpr, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Checked {
        let condition = self.boolean(condition, "?:")?;
        let ((yes, a), (no, b)) = (self.compile(yes)?, self.compile(no)?);
        let Some(of) = a.unify(&b) else {
            return Err(self.fault(at, format!("the sides of `?:` are {a} and {b}"), ""));
        };
        Ok((Node::Choose(Box::new([condition, yes, no])), of))
    }

    fn equal(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr, negated: bool) -> Checked {
        let ((left, a_type), (right, b_type)) = (self.compile(a)?, self.compile(b)?);
        if !a_type.comparable(&b_type) {
            return Err(self.never_equal(at, (&left, &a_type), (&right, &b_type)));
        }
        self.check_word(a, &left, &b_type)?;
        self.check_word(b, &right, &a_type)?;
        let sides = Box::new([left, right]);
        let kind = Sides::of(&sides);
        Ok((Node::Equal { negated, sides, kind }, Type::Bool))
    }

    fn never_equal(&self, at: &IdedExpr, a: (&Node, &Type), b: (&Node, &Type)) -> Fault {
        let message = format!("{} is {}, {} is {}: they are never equal", a.0, a.1, b.0, b.1);
        let hint = match (a, b) {
            ((Node::Null, _), (other, _)) | ((other, _), (Node::Null, _)) => match other {
                Node::Field { .. } => format!("has({other}) tells whether it is there"),
                _ => String::new(),
            },
            ((_, Type::Int), (Node::Text(text), _)) | ((Node::Text(text), _), (_, Type::Int)) => {
                match text.parse::<i64>() {
                    Ok(number) => format!("write {number} without quotes"),
                    Err(_) => String::new(),
                }
            }
            ((_, one), (Node::Int(number), _)) | ((Node::Int(number), _), (_, one)) if one.is_text() => {
                format!("write \"{number}\"")
            }
            _ => String::new(),
        };
        self.fault(at, message, hint)
    }

    /// A literal compared with an enumeration must be one of its words.
    fn check_word(&self, at: &IdedExpr, literal: &Node, other: &Type) -> Result<(), Fault> {
        let (Node::Text(text), Type::Word(words)) = (literal, other.some()) else { return Ok(()) };
        if words.contains(&text.as_str()) {
            return Ok(());
        }
        let mut hint = did_you_mean(text, words.iter().copied());
        if hint.is_empty() {
            hint = format!("it is one of {}", words.join(", "));
        }
        Err(self.fault(at, format!("`{text}` is none of its values"), hint))
    }

    fn order(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr, order: Order) -> Checked {
        let ((left, a_type), (right, b_type)) = (self.compile(a)?, self.compile(b)?);
        let both = |test: fn(&Type) -> bool| test(&a_type) && test(&b_type);
        let bools = *a_type.some() == Type::Bool && *b_type.some() == Type::Bool;
        if !(both(Type::is_number) || both(Type::is_text) || bools) {
            let message = format!("{left} is {a_type}, {right} is {b_type}: they have no order");
            return Err(self.fault(at, message, ""));
        }
        let sides = Box::new([left, right]);
        let kind = Sides::of(&sides);
        Ok((Node::Order(order, sides, kind), Type::Bool))
    }

    fn arithmetic(&mut self, a: &IdedExpr, b: &IdedExpr, operator: Arithmetic) -> Checked {
        let sign = operator.sign();
        let (a, b) = (self.expect(a, &Type::Int, sign)?, self.expect(b, &Type::Int, sign)?);
        Ok((Node::Arithmetic(operator, Box::new([a, b])), Type::Int))
    }

    fn add(&mut self, at: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Checked {
        let ((left, a_type), (right, b_type)) = (self.compile(a)?, self.compile(b)?);
        let sides = Box::new([left, right]);
        match (a_type.some(), b_type.some()) {
            (Type::Int, Type::Int) => Ok((Node::Arithmetic(Arithmetic::Add, sides), Type::Int)),
            (a, b) if a.is_text() && b.is_text() => Ok((Node::Concatenate(sides), Type::Text)),
            (a @ Type::List(_), b @ Type::List(_)) if a.unify(b).is_some() => {
                let of = a.unify(b).unwrap_or_else(|| a.clone());
                Ok((Node::Concatenate(sides), of))
            }
            _ => {
                let message = format!("`+` cannot join {} ({a_type}) and {} ({b_type})", sides[0], sides[1]);
                let mixed = a_type.is_text() != b_type.is_text();
                let hint = if mixed { "string(…) writes a number as a string" } else { "" };
                Err(self.fault(at, message, hint))
            }
        }
    }

    fn membership(&mut self, at: &IdedExpr, needle: &IdedExpr, list: &IdedExpr) -> Checked {
        let ((left, one), (right, list_type)) = (self.compile(needle)?, self.compile(list)?);
        let Type::List(of) = list_type.some() else {
            return Err(self.fault(list, format!("`in` needs a list, but {right} is {list_type}"), ""));
        };
        if !one.comparable(of) {
            let message = format!("{left} is {one}, {right} holds {of}: it is never in it");
            return Err(self.fault(at, message, ""));
        }
        if let (Expr::List(literal), Node::List(nodes)) = (&list.expr, &right) {
            for (element, node) in literal.elements.iter().zip(nodes) {
                self.check_word(element, node, &one)?;
            }
        }
        Ok((Node::In(Box::new([left, right])), Type::Bool))
    }

    fn index(&mut self, list: &IdedExpr, index: &IdedExpr) -> Checked {
        let (node, list_type) = self.compile(list)?;
        let Type::List(of) = list_type.some() else {
            return Err(self.fault(list, format!("{node} is {list_type}, not a list"), ""));
        };
        let of = Type::clone(of);
        let index = self.expect(index, &Type::Int, "[]")?;
        Ok((Node::Index(Box::new([node, index])), of))
    }

    fn function(&mut self, at: &IdedExpr, name: &str, arguments: &[&IdedExpr]) -> Checked {
        if name == "matches" {
            return self.matches(at, arguments);
        }
        if name == "decimal"
            && let [argument] = arguments
            && let Expr::Literal(LiteralValue::String(text)) = &argument.expr
        {
            let text = text.inner().to_owned();
            let number = Decimal::parse(&text);
            let number =
                number.ok_or_else(|| self.fault(argument, format!("`{text}` is not a number"), ""))?;
            return Ok((Node::Decimal(text, number), Type::Decimal));
        }
        let Some((function, fewest, most)) = FUNCTIONS.iter().find(|f| f.0.name() == name) else {
            let known = FUNCTIONS.iter().map(|f| f.0.name());
            let macros = ["matches", "has", "all", "exists", "exists_one", "map", "filter"];
            let hint = did_you_mean(name, known.chain(macros));
            return Err(self.fault(at, format!("unknown function `{name}`"), hint));
        };
        if arguments.len() < *fewest || arguments.len() > *most {
            let message = format!("`{name}` takes {fewest} to {most} values, {} are given", arguments.len());
            return Err(self.fault(at, message, ""));
        }
        let (mut nodes, mut types) = (Vec::new(), Vec::new());
        for argument in arguments {
            let (node, of) = self.compile(argument)?;
            nodes.push(node);
            types.push(of.some().clone());
        }
        let Some(of) = result_of(*function, &types) else {
            let given: Vec<_> = types.iter().map(Type::to_string).collect();
            return Err(self.fault(at, format!("`{name}` cannot take {}", given.join(", ")), ""));
        };
        Ok((Node::Call { function: *function, arguments: nodes }, of))
    }

    fn matches(&mut self, at: &IdedExpr, arguments: &[&IdedExpr]) -> Checked {
        let [text, pattern] = arguments else {
            return Err(self.fault(at, "`matches` takes a string and a pattern", ""));
        };
        let node = self.expect(text, &Type::Text, "matches")?;
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            return Err(self.fault(pattern, "the pattern of `matches` must be written out", ""));
        };
        let compiled = regex_lite::RegexBuilder::new(source.inner()).size_limit(1 << 18).build();
        let pattern = compiled.map_err(|e| self.fault(pattern, format!("not a pattern: {e}"), ""))?;
        Ok((Node::Matches { text: Box::new(node), pattern }, Type::Bool))
    }

    fn comprehension(&mut self, at: &IdedExpr, c: &ComprehensionExpr) -> Checked {
        if self.locals.len() >= MAX_COMPREHENSIONS {
            let message = format!("more than {MAX_COMPREHENSIONS} comprehensions stand inside each other");
            return Err(self.fault(at, message, "split the rule"));
        }
        let (range, range_type) = self.compile(&c.iter_range)?;
        let Type::List(element) = range_type.some() else {
            return Err(self.fault(&c.iter_range, format!("{range} is {range_type}, not a list"), ""));
        };
        let Some((quantifier, predicate, result)) = shape(c) else {
            return Err(self.fault(at, "rules have no such comprehension", ""));
        };
        let element = Type::clone(element);
        self.locals.push((c.iter_var.clone(), element.clone()));
        let inside = self.inside(predicate, result);
        self.locals.pop();
        let (predicate, result) = inside?;
        let of = match (quantifier, &result) {
            (Quantifier::Map, Some((_, of))) => Type::list(of.clone()),
            (Quantifier::Filter | Quantifier::Map, _) => Type::List(Arc::new(element)),
            _ => Type::Bool,
        };
        let result = result.map(|(node, _)| node);
        let variable = c.iter_var.clone();
        let comprehension = Comprehension { quantifier, range, variable, predicate, result };
        Ok((Node::Comprehension(Box::new(comprehension)), of))
    }

    fn inside(&mut self, predicate: Option<&IdedExpr>, result: Option<&IdedExpr>) -> Result<Inside, Fault> {
        let predicate = predicate.map(|p| self.boolean(p, "a condition")).transpose()?;
        Ok((predicate, result.map(|r| self.compile(r)).transpose()?))
    }
}

/// A comprehension's condition and result, checked.
type Inside = (Option<Node>, Option<(Node, Type)>);
