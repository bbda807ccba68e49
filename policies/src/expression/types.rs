//! Types of expressions, known when a rule is loaded.

use std::fmt;
use std::sync::Arc;

use crate::catalogue::{Kind, Record};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Decimal,
    Text,
    Word(&'static [&'static str]),
    List(Arc<Type>),
    Record(&'static Record),
    /// A value or null.
    Nullable(Arc<Type>),
    /// Element of an empty list.
    Anything,
}

impl Type {
    pub fn list(of: Type) -> Type {
        Type::List(Arc::new(of))
    }

    pub fn nullable(of: Type) -> Type {
        match of {
            Type::Nullable(_) | Type::Null => of,
            of => Type::Nullable(Arc::new(of)),
        }
    }

    /// The type of what is there when it is not null.
    pub fn some(&self) -> &Type {
        match self {
            Type::Nullable(of) => of,
            other => other,
        }
    }

    pub fn is_text(&self) -> bool {
        matches!(self.some(), Type::Text | Type::Word(_))
    }

    pub fn is_number(&self) -> bool {
        matches!(self.some(), Type::Int | Type::Decimal)
    }

    /// Whether values of the two may be equal at all; comparing others is a slip, silently false in plain CEL.
    pub fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Anything, _) | (_, Type::Anything) => true,
            (Type::Null, Type::Nullable(_) | Type::Null) | (Type::Nullable(_), Type::Null) => true,
            (Type::Null, _) | (_, Type::Null) => false,
            _ => match (self.some(), other.some()) {
                (Type::List(a), Type::List(b)) => a.comparable(b),
                (Type::Record(a), Type::Record(b)) => a == b,
                (a, b) => a == b || (a.is_text() && b.is_text()) || (a.is_number() && b.is_number()),
            },
        }
    }

    /// The type of a value that comes from either side, as in a list or `?:`.
    pub fn unify(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Type::Anything, other) | (other, Type::Anything) => Some(other.clone()),
            (Type::Null, other) | (other, Type::Null) => Some(Type::nullable(other.clone())),
            (Type::Nullable(a), Type::Nullable(b)) => a.unify(b).map(Type::nullable),
            (Type::Nullable(a), other) | (other, Type::Nullable(a)) => a.unify(other).map(Type::nullable),
            (Type::List(a), Type::List(b)) => a.unify(b).map(Type::list),
            (a, b) if a.is_text() && b.is_text() => Some(Type::Text),
            (a, b) if a.is_number() && b.is_number() => Some(Type::Decimal),
            _ => None,
        }
    }
}

impl From<&Kind> for Type {
    fn from(kind: &Kind) -> Type {
        match kind {
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Decimal => Type::Decimal,
            Kind::Text => Type::Text,
            Kind::Word(words) => Type::Word(words),
            Kind::List(kind) => Type::list((*kind).into()),
            Kind::Record(record) => Type::Record(record),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Decimal => f.write_str("decimal"),
            Type::Text | Type::Word(_) => f.write_str("string"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Record(record) => f.write_str(record.name),
            Type::Nullable(of) => write!(f, "{of} or null"),
            Type::Anything => f.write_str("anything"),
        }
    }
}
