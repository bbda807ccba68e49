//! Checked expressions: names resolved, types known, nothing left to look up but values.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Decimal, Object, Value};

use crate::catalogue::Kind;

/// A checked expression.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Decimal(String, Decimal),
    Variable(Variable),
    /// A variable of a comprehension, by its place among those around it.
    Local(String, usize),
    /// A part of the agreement that concerns the object.
    Agreement(Part),
    /// The agreed range of an attribute.
    Range(String),
    /// Whether the agreement has this for the object.
    HasAgreed(Box<Node>),
    Field {
        of: Box<Node>,
        field: Field,
    },
    Has {
        of: Box<Node>,
        field: Field,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Choose(Box<[Node; 3]>),
    Equal {
        negated: bool,
        sides: Box<[Node; 2]>,
        kind: Sides,
    },
    Order(Order, Box<[Node; 2]>, Sides),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    /// `+` of strings or lists.
    Concatenate(Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Index(Box<[Node; 2]>),
    List(Vec<Node>),
    Comprehension(Box<Comprehension>),
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    Matches {
        text: Box<Node>,
        pattern: regex_lite::Regex,
    },
}

/// An attribute of objects or a field of structures, with where it stood last time.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    pub kind: &'static Kind,
    /// Place among the attributes of the last object that had it: objects of one class mostly have the same ones. Only
    /// a hint, checked before it is believed, so that it never changes what is found.
    place: AtomicUsize,
    /// Place of the field in its record, by which neighbours remember its number.
    pub slot: usize,
}

impl Field {
    pub fn new(name: &str, kind: &'static Kind, slot: usize) -> Field {
        Field { name: name.to_owned(), kind, place: AtomicUsize::new(0), slot }
    }

    /// The object's attribute of this name.
    pub fn of<'a>(&self, object: &'a Object) -> Option<&'a Value> {
        let attributes = object.attributes();
        match attributes.get(self.place.load(Ordering::Relaxed)) {
            Some((name, value)) if *name == self.name => Some(value),
            _ => {
                let place = attributes.binary_search_by(|(name, _)| name.as_str().cmp(&self.name)).ok()?;
                self.place.store(place, Ordering::Relaxed);
                Some(&attributes[place].1)
            }
        }
    }
}

/// What the sides of a comparison are known to be when the rule is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    Ints,
    Texts,
    /// To be seen at each evaluation.
    Any,
}

impl Sides {
    pub fn of(sides: &[Node; 2]) -> Sides {
        match sides {
            [a, b] if a.is_int() && b.is_int() => Sides::Ints,
            [a, b] if a.is_text() && b.is_text() => Sides::Texts,
            _ => Sides::Any,
        }
    }
}

/// Variables every rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Object,
    Dn,
    Previous,
    Approved,
    Owner,
    Mop,
    Cell,
    Neighbours,
}

impl Variable {
    pub const ALL: [(&'static str, Variable); 8] = [
        ("object", Variable::Object),
        ("dn", Variable::Dn),
        ("previous", Variable::Previous),
        ("approved", Variable::Approved),
        ("owner", Variable::Owner),
        ("mop", Variable::Mop),
        ("cell", Variable::Cell),
        ("neighbours", Variable::Neighbours),
    ];

    fn name(self) -> &'static str {
        Variable::ALL.iter().find(|(_, v)| *v == self).map_or("", |(name, _)| name)
    }
}

/// Parts of the agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Id,
    Version,
    Parties,
    Plmns,
    PciPools,
    Spectrum,
    Tacs,
    TrackingAreas,
}

impl Part {
    pub const ALL: [(&'static str, Part); 8] = [
        ("id", Part::Id),
        ("version", Part::Version),
        ("parties", Part::Parties),
        ("plmns", Part::Plmns),
        ("pci_pools", Part::PciPools),
        ("spectrum", Part::Spectrum),
        ("tacs", Part::Tacs),
        ("tracking_areas", Part::TrackingAreas),
    ];

    pub fn name(self) -> &'static str {
        Part::ALL.iter().find(|(_, p)| *p == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub fn sign(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Distinct,
    Join,
    ToInt,
    ToText,
    ToDecimal,
    NrArfcnKhz,
}

impl Function {
    pub fn name(self) -> &'static str {
        match self {
            Function::Size => "size",
            Function::StartsWith => "startsWith",
            Function::EndsWith => "endsWith",
            Function::Contains => "contains",
            Function::Distinct => "distinct",
            Function::Join => "join",
            Function::ToInt => "int",
            Function::ToText => "string",
            Function::ToDecimal => "decimal",
            Function::NrArfcnKhz => "nr_arfcn_khz",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Quantifier {
    fn name(self) -> &'static str {
        match self {
            Quantifier::All => "all",
            Quantifier::Exists => "exists",
            Quantifier::ExistsOne => "exists_one",
            Quantifier::Map => "map",
            Quantifier::Filter => "filter",
        }
    }
}

/// A walk over a list.
#[derive(Debug)]
pub(crate) struct Comprehension {
    pub quantifier: Quantifier,
    pub range: Node,
    pub variable: String,
    /// The condition; for `map` without one, none.
    pub predicate: Option<Node>,
    /// What `map` makes of each element.
    pub result: Option<Node>,
}

impl Node {
    /// Whether a variable for which `wanted` holds is read anywhere in it.
    pub fn reads(&self, wanted: fn(Variable) -> bool) -> bool {
        matches!(self, Node::Variable(variable) if wanted(*variable))
            || self.children().into_iter().any(|child| child.reads(wanted))
    }

    /// The expressions directly inside.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Node::HasAgreed(a) | Node::Not(a) | Node::Negate(a) => vec![a],
            Node::Field { of, .. } | Node::Has { of, .. } => vec![of],
            Node::Matches { text, .. } => vec![text],
            Node::And(a, b) | Node::Or(a, b) => vec![a, b],
            Node::Choose(parts) => parts.iter().collect(),
            Node::Equal { sides, .. } => sides.iter().collect(),
            Node::Order(_, sides, _)
            | Node::Arithmetic(_, sides)
            | Node::Concatenate(sides)
            | Node::In(sides)
            | Node::Index(sides) => sides.iter().collect(),
            Node::List(nodes) | Node::Call { arguments: nodes, .. } => nodes.iter().collect(),
            Node::Comprehension(c) => {
                let inner = c.predicate.iter().chain(&c.result);
                std::iter::once(&c.range).chain(inner).collect()
            }
            _ => vec![],
        }
    }

    /// Whether its value is an int wherever it has one.
    fn is_int(&self) -> bool {
        match self {
            Node::Int(_) | Node::Arithmetic(..) | Node::Negate(_) => true,
            Node::Field { field, .. } => *field.kind == Kind::Int,
            Node::Call { function, .. } => {
                matches!(function, Function::Size | Function::ToInt | Function::NrArfcnKhz)
            }
            _ => false,
        }
    }

    /// Whether its value is a text wherever it has one.
    fn is_text(&self) -> bool {
        match self {
            Node::Text(_) | Node::Variable(Variable::Dn) => true,
            Node::Field { field, .. } => matches!(field.kind, Kind::Text | Kind::Word(_)),
            Node::Call { function, .. } => matches!(function, Function::Join | Function::ToText),
            _ => false,
        }
    }

    fn is_simple(&self) -> bool {
        !matches!(
            self,
            Node::And(..)
                | Node::Or(..)
                | Node::Choose(_)
                | Node::Equal { .. }
                | Node::Order(..)
                | Node::Arithmetic(..)
                | Node::Concatenate(_)
                | Node::In(_)
        )
    }
}

/// A side of an operator, in parentheses if it has one of its own.
struct Side<'a>(&'a Node);

impl fmt::Display for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_simple() { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}

/// The expression as somebody would write it.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let infix = |f: &mut fmt::Formatter<'_>, sign: &str, a: &Node, b: &Node| {
            write!(f, "{} {sign} {}", Side(a), Side(b))
        };
        match self {
            Node::Null => f.write_str("null"),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Int(value) => write!(f, "{value}"),
            Node::Text(text) => write!(f, "{text:?}"),
            Node::Decimal(text, _) => write!(f, "decimal({text:?})"),
            Node::Variable(variable) => f.write_str(variable.name()),
            Node::Local(name, _) => f.write_str(name),
            Node::Agreement(part) => write!(f, "agreement.{}", part.name()),
            Node::Range(attribute) => write!(f, "agreement.range.{attribute}"),
            Node::HasAgreed(of) => write!(f, "has({of})"),
            Node::Field { of, field } => write!(f, "{}.{}", Side(of), field.name),
            Node::Has { of, field } => write!(f, "has({}.{})", Side(of), field.name),
            Node::Not(a) => write!(f, "!{}", Side(a)),
            Node::Negate(a) => write!(f, "-{}", Side(a)),
            Node::And(a, b) => infix(f, "&&", a, b),
            Node::Or(a, b) => infix(f, "||", a, b),
            Node::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                write!(f, "{} ? {} : {}", Side(condition), Side(yes), Side(no))
            }
            Node::Equal { negated, sides, .. } => {
                infix(f, if *negated { "!=" } else { "==" }, &sides[0], &sides[1])
            }
            Node::Order(order, sides, _) => {
                let sign = match order {
                    Order::Less => "<",
                    Order::LessOrEqual => "<=",
                    Order::Greater => ">",
                    Order::GreaterOrEqual => ">=",
                };
                infix(f, sign, &sides[0], &sides[1])
            }
            Node::Arithmetic(operator, sides) => infix(f, operator.sign(), &sides[0], &sides[1]),
            Node::Concatenate(sides) => infix(f, "+", &sides[0], &sides[1]),
            Node::In(sides) => infix(f, "in", &sides[0], &sides[1]),
            Node::Index(sides) => write!(f, "{}[{}]", Side(&sides[0]), sides[1]),
            Node::List(nodes) => write!(f, "[{}]", Joined(nodes)),
            Node::Comprehension(c) => {
                write!(f, "{}.{}({}", Side(&c.range), c.quantifier.name(), c.variable)?;
                c.predicate.iter().chain(&c.result).try_for_each(|part| write!(f, ", {part}"))?;
                f.write_str(")")
            }
            Node::Call { function, arguments } => write!(f, "{}({})", function.name(), Joined(arguments)),
            Node::Matches { text, pattern } => write!(f, "{}.matches({:?})", Side(text), pattern.as_str()),
        }
    }
}

struct Joined<'a>(&'a [Node]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.0.iter().enumerate() {
            write!(f, "{}{node}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
