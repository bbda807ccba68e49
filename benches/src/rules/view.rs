//! An object as CEL's own evaluator takes it: as a map of values, or as a view that borrows its texts.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, Result, bail};
use cel::common::traits::Indexer;
use cel::common::types::{CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::{ExecutionError, Value};
use model::{Object, Value as Held};
use policies::catalogue::{Kind, Record, class};

/// The object's attributes by name, of the types that the rules' catalogue gives them.
pub fn map(object: &Object) -> Result<Value> {
    let record = class(object.class()).context("a class that rules do not know")?;
    fields(record, object.attributes().iter().map(|(name, value)| (name.as_str(), value)))
}

fn fields<'a>(record: &Record, held: impl Iterator<Item = (&'a str, &'a Held)>) -> Result<Value> {
    let known = held.filter_map(|(name, value)| record.field(name).map(|kind| (name, kind, value)));
    let values: HashMap<String, Value> = known
        .map(|(name, kind, value)| Ok((name.to_owned(), value_of(kind, value)?)))
        .collect::<Result<_>>()?;
    Ok(Value::from(values))
}

fn value_of(kind: &Kind, held: &Held) -> Result<Value> {
    Ok(match (kind, held) {
        (Kind::List(of), held) => {
            let values: Vec<_> =
                held.occurrences().iter().map(|held| value_of(of, held)).collect::<Result<_>>()?;
            Value::List(Arc::new(values))
        }
        (Kind::Int, Held::Text(text)) => Value::Int(text.parse()?),
        (Kind::Text | Kind::Word(_), Held::Text(text)) => Value::String(Arc::new(text.clone())),
        (Kind::Record(record), Held::Fields(held)) => {
            fields(record, held.iter().map(|(name, value)| (name.as_str(), value)))?
        }
        _ => bail!("no rule here reads a value of this kind"),
    })
}

static VIEW: LazyLock<Type> = LazyLock::new(|| Type::new_unspecified_type("object"));

/// Names with their values, sorted.
#[derive(Debug)]
pub struct View<'v>(Vec<(&'v str, Box<dyn Val + 'v>)>);

/// A view of the object: its texts are borrowed, its numbers read once.
pub fn view(object: &Object) -> Result<View<'_>> {
    let record = class(object.class()).context("a class that rules do not know")?;
    view_of(record, object.attributes().iter().map(|(name, value)| (name.as_str(), value)))
}

fn view_of<'v>(record: &Record, held: impl Iterator<Item = (&'v str, &'v Held)>) -> Result<View<'v>> {
    let known = held.filter_map(|(name, value)| record.field(name).map(|kind| (name, kind, value)));
    Ok(View(known.map(|(name, kind, value)| Ok((name, val_of(kind, value)?))).collect::<Result<_>>()?))
}

fn val_of<'v>(kind: &Kind, held: &'v Held) -> Result<Box<dyn Val + 'v>> {
    Ok(match (kind, held) {
        (Kind::List(of), held) => {
            let values: Vec<_> =
                held.occurrences().iter().map(|held| val_of(of, held)).collect::<Result<_>>()?;
            Box::new(CelList::from(values))
        }
        (Kind::Int, Held::Text(text)) => Box::new(CelInt::from(text.parse::<i64>()?)),
        (Kind::Text | Kind::Word(_), Held::Text(text)) => Box::new(CelString::from(text.as_str())),
        (Kind::Record(record), Held::Fields(held)) => {
            Box::new(view_of(record, held.iter().map(|(name, value)| (name.as_str(), value)))?)
        }
        _ => bail!("no rule here reads a value of this kind"),
    })
}

impl<'x> Val for View<'x> {
    fn get_type(&self) -> &Type {
        &VIEW
    }

    fn cel_type() -> &'static Type {
        &VIEW
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        let fields = self.0.iter().map(|(name, value)| (*name, value.clone_as_boxed()));
        Box::new(View::<'x>(fields.collect()))
    }
}

impl Indexer for View<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = name.downcast_ref::<CelString>().ok_or_else(|| ExecutionError::no_such_key("?"))?.inner();
        let place = self.0.binary_search_by(|(own, _)| (*own).cmp(name));
        let place = place.map_err(|_| ExecutionError::no_such_key(name))?;
        Ok(CowVal::Borrowed(&*self.0[place].1))
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}
