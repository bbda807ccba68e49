//! Values of expressions: views of the objects judged, copied only where an expression makes something new.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use model::{ApprovedValue, Decimal, Dn, Object, Value};

use super::node::Field;
use super::trouble::{Fail, Trouble};
use crate::catalogue::Kind;
use crate::network::NeighbourRef;

#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Text(Cow<'a, str>),
    List(List<'a>),
    Record(Rec<'a>),
}

#[derive(Debug, Clone)]
pub(crate) enum List<'a> {
    /// Occurrences of an attribute, read as they are needed.
    Values(&'a [Value], &'static Kind),
    Made(Rc<Vec<Val<'a>>>),
}

#[derive(Debug, Clone)]
pub(crate) enum Rec<'a> {
    Object(&'a Object),
    Approved(&'a Dn, &'a BTreeMap<String, ApprovedValue>),
    Fields(&'a BTreeMap<String, Value>),
    Neighbour(Rc<Neighbour<'a>>),
    Made(Rc<Vec<(&'static str, Val<'a>)>>),
}

impl<'a> Val<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Val<'a> {
        Val::Text(text.into())
    }

    pub fn made(values: Vec<Val<'a>>) -> Val<'a> {
        Val::List(List::Made(Rc::new(values)))
    }

    /// What an attribute's value says under its kind.
    pub fn read(name: &str, value: &'a Value, kind: &'static Kind) -> Result<Val<'a>, Fail> {
        let unreadable = || {
            Fail::new(Trouble::Unreadable {
                attribute: name.to_owned(),
                text: value.to_string().chars().take(60).collect(),
                kind: kind.to_string(),
            })
        };
        match (kind, value) {
            (Kind::List(of), value) => Ok(Val::List(List::Values(value.occurrences(), of))),
            (Kind::Record(_), Value::Fields(fields)) => Ok(Val::Record(Rec::Fields(fields))),
            (Kind::Text | Kind::Word(_), Value::Text(text)) => Ok(Val::text(text.as_str())),
            (Kind::Int, Value::Text(text)) => int(text).map(Val::Int).ok_or_else(unreadable),
            (Kind::Decimal, Value::Text(text)) => {
                Decimal::parse(text).map(Val::Decimal).ok_or_else(unreadable)
            }
            (Kind::Bool, Value::Text(text)) => match text.trim() {
                "true" | "1" => Ok(Val::Bool(true)),
                "false" | "0" => Ok(Val::Bool(false)),
                _ => Err(unreadable()),
            },
            _ => Err(unreadable()),
        }
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Values(values, _) => values.len(),
            List::Made(values) => values.len(),
        }
    }

    /// The element at `index`, which is below the length.
    pub fn get(&self, index: usize) -> Result<Val<'a>, Fail> {
        let length = self.len();
        let outside =
            || Fail::new(Trouble::OutOfRange { index: i64::try_from(index).unwrap_or(i64::MAX), length });
        match self {
            List::Values(values, kind) => Val::read("an entry", values.get(index).ok_or_else(outside)?, kind),
            List::Made(values) => values.get(index).cloned().ok_or_else(outside),
        }
    }
}

impl<'a> Rec<'a> {
    /// A field's value, `None` if it is not there.
    pub fn field(&self, field: &Field) -> Result<Option<Val<'a>>, Fail> {
        let name = field.name.as_str();
        let value = match self {
            Rec::Object(object) => field.of(object),
            Rec::Approved(_, attributes) => attributes.get(name).map(|approved| &approved.value),
            Rec::Fields(fields) => fields.get(name),
            Rec::Neighbour(neighbour) => return neighbour.field(field),
            Rec::Made(fields) => {
                return Ok(fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()));
            }
        };
        value.map(|value| Val::read(name, value, field.kind)).transpose()
    }

    /// What it is, for messages.
    pub fn name(&self) -> String {
        match self {
            Rec::Object(object) => object.dn().to_string(),
            Rec::Approved(dn, _) => format!("the approved state of {dn}"),
            Rec::Neighbour(neighbour) => neighbour.of.dn.to_string(),
            Rec::Fields(_) | Rec::Made(_) => "the structure".to_owned(),
        }
    }
}

/// A number as a device writes it.
fn int(text: &str) -> Option<i64> {
    let digits = text.as_bytes();
    // What 18 digits say fits; signs, blanks and longer texts go the long way.
    if (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) {
        return Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
    }
    text.trim().parse().ok()
}

/// Numbers of a neighbour that are remembered.
const REMEMBERED: usize = 32;
/// Stands for a number not read yet; the number itself is read each time.
const UNREAD: i64 = i64::MIN;

/// A neighbour with the numbers that walks inside walks have read already.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour<'a> {
    of: NeighbourRef<'a>,
    /// By the fields' slots.
    ints: [Cell<i64>; REMEMBERED],
}

impl<'a> Neighbour<'a> {
    pub fn new(of: NeighbourRef<'a>) -> Neighbour<'a> {
        Neighbour { of, ints: [const { Cell::new(UNREAD) }; REMEMBERED] }
    }

    pub fn int(&self, field: &Field) -> Option<i64> {
        self.ints.get(field.slot).map(Cell::get).filter(|number| *number != UNREAD)
    }

    pub fn remember(&self, field: &Field, number: i64) {
        if let Some(place) = self.ints.get(field.slot) {
            place.set(number);
        }
    }

    fn field(&self, field: &Field) -> Result<Option<Val<'a>>, Fail> {
        let NeighbourRef { dn, cell, stale } = &self.of;
        match (field.name.as_str(), cell) {
            ("dn", Some(cell)) => Ok(Some(Val::text(cell.dn().as_str()))),
            ("dn", None) => Ok(Some(Val::text(dn.to_string()))),
            ("known", cell) => Ok(Some(Val::Bool(cell.is_some()))),
            ("stale", _) => Ok(Some(Val::Bool(*stale))),
            (_, None) => Err(Trouble::UnknownNeighbour { dn: dn.to_string() }.into()),
            (_, Some(cell)) => Rec::Object(cell).field(field),
        }
    }
}

/// Most entries of a list shown to people.
const SHOWN: usize = 12;

/// For messages and explanations; long lists are cut.
impl fmt::Display for Val<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::Null => f.write_str("null"),
            Val::Bool(value) => write!(f, "{value}"),
            Val::Int(value) => write!(f, "{value}"),
            Val::Decimal(value) => write!(f, "{value}"),
            Val::Text(text) => f.write_str(text),
            Val::List(list) => {
                f.write_str("[")?;
                for index in 0..list.len().min(SHOWN) {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    match list.get(index) {
                        Ok(value) => value.fmt(f)?,
                        Err(_) => f.write_str("?")?,
                    }
                }
                f.write_str(if list.len() > SHOWN { ", …]" } else { "]" })
            }
            Val::Record(Rec::Fields(fields)) => {
                let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
            Val::Record(Rec::Made(fields)) => {
                let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
            Val::Record(record) => f.write_str(&record.name()),
        }
    }
}
