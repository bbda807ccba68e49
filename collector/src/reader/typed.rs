//! What a schema adds: one spelling for each value, one order where the station's means nothing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use model::Value;

use super::build::{Budget, Field, LEAF_COST};
use super::error::Fault;
use super::scope::Scope;
use super::spaces::{Name, Space, Spaces};
use crate::schema::{Kind, LeafType, NodeId, Order, Prefixes, SchemaTable, UNKNOWN};

/// The schema's node for an element of this name inside `parent`, at the top where there is none.
#[inline]
pub(super) fn node(spaces: &Spaces<'_>, parent: Option<NodeId>, name: Name<'_>) -> NodeId {
    let Some(table) = spaces.schema() else { return UNKNOWN };
    match spaces.module(name.space) {
        Some(module) => table.child(parent, module, name.local),
        None => UNKNOWN,
    }
}

/// The canonical form of a leaf's text. `scope`: the prefixes in force, in JSON none.
#[inline]
pub(super) fn canonical<'a>(
    spaces: &Spaces<'_>,
    node: NodeId,
    text: Cow<'a, str>,
    scope: Option<&Scope<'_>>,
) -> Cow<'a, str> {
    let Some((table, own, of)) = leaf_type(spaces, node) else { return text };
    of.canonical(text, &Names { table, spaces, scope, own })
}

fn leaf_type<'s>(spaces: &Spaces<'s>, node: NodeId) -> Option<(&'s SchemaTable, u32, &'s LeafType)> {
    let table = spaces.schema()?;
    let node = table.node(node)?;
    match node.kind {
        Kind::Leaf { of, .. } | Kind::LeafList { of, .. } => Some((table, node.module, table.leaf_type(of)?)),
        Kind::Container | Kind::Presence | Kind::List { .. } | Kind::Any => None,
    }
}

/// Modules of names in values.
struct Names<'s, 'p> {
    table: &'s SchemaTable,
    spaces: &'s Spaces<'p>,
    scope: Option<&'s Scope<'s>>,
    /// Module of the leaf.
    own: u32,
}

impl Names<'_, '_> {
    fn name(&self, module: u32) -> Option<&str> {
        self.table.module(module).map(|module| module.name.as_str())
    }
}

impl Prefixes for Names<'_, '_> {
    fn module(&self, prefix: &str) -> Option<&str> {
        let module = match self.scope {
            Some(scope) => self.spaces.module(scope.find(prefix)?)?,
            None => self.table.module_of_name(prefix)?,
        };
        self.name(module)
    }

    fn of_bare_identity(&self) -> Option<&str> {
        match self.scope {
            Some(_) => self.of_bare_step(),
            None => self.name(self.own),
        }
    }

    fn of_bare_step(&self) -> Option<&str> {
        self.name(self.spaces.module(self.scope?.find("")?)?)
    }
}

/// Whether a value is as good as none: that of a container without content which means nothing by itself.
pub(super) fn is_nothing(spaces: &Spaces<'_>, node: NodeId, value: &Value) -> bool {
    let kind = |table: &SchemaTable| table.node(node).is_some_and(|node| node.kind == Kind::Container);
    value.as_text() == Some("") && spaces.schema().is_some_and(kind)
}

/// Whether an element is there though nobody wrote it.
pub(super) fn is_implied(spaces: &Spaces<'_>, node: NodeId) -> bool {
    spaces.schema().and_then(|table| table.node(node)).is_some_and(|node| node.implied)
}

/// Levels of containers that are filled inside each other; a worker that means well gives no more.
const MAX_FILLED: usize = 128;

/// Beyond so many steps what is written is looked up instead of searched.
const MAX_SEARCHED: usize = 4_096;

/// Fills in what is there though nobody wrote it.
pub(super) struct Filler<'b, 'p> {
    pub(super) spaces: &'b mut Spaces<'p>,
    pub(super) budget: &'b mut Budget,
    /// Of the element that is filled, for errors.
    pub(super) offset: usize,
}

impl<'p> Filler<'_, 'p> {
    /// What is inside an element and not among `written`. `space`: the element's.
    pub(super) fn fill<'a>(
        &mut self,
        node: NodeId,
        space: Space,
        written: &[Field<'a>],
        depth: usize,
    ) -> Result<Vec<Field<'a>>, Fault>
    where
        'p: 'a,
    {
        let schema = self.spaces.schema().and_then(|table| Some((table, table.node(node)?)));
        let Some((table, element)) = schema.filter(|_| depth < MAX_FILLED) else { return Ok(vec![]) };
        let many = element.filled.len().saturating_mul(written.len()) > MAX_SEARCHED;
        let looked_up: Option<HashSet<NodeId>> =
            many.then(|| written.iter().map(|field| field.node).collect());
        let is_written = |id: &NodeId| match &looked_up {
            Some(all) => all.contains(id),
            None => written.iter().any(|field| field.node == *id),
        };
        let mut added = Vec::new();
        for id in element.filled.iter().filter(|id| !is_written(id)) {
            let Some(child) = table.node(*id) else { continue };
            // Almost always the element's own module: no look-up then.
            let space = match (child.module == element.module, table.module(child.module)) {
                (false, Some(module)) => self.spaces.of_uri(&module.namespace, self.offset)?,
                _ => space,
            };
            let name = Name { space, local: &child.name };
            // What the profile calls an object is there or not.
            if self.spaces.rule(name).is_some() {
                continue;
            }
            self.budget.charge(LEAF_COST + child.name.len(), self.offset)?;
            let value = match &child.kind {
                Kind::Leaf { default: Some(default), .. } => {
                    self.budget.charge(default.len(), self.offset)?;
                    Value::Text(default.clone())
                }
                _ => {
                    let inside = self.fill(*id, space, &[], depth + 1)?.into_iter();
                    Value::Fields(inside.map(|field| field.named(self.spaces, space)).collect())
                }
            };
            added.push(Field::new(name, *id, value));
        }
        Ok(added)
    }
}

/// Puts occurrences whose order means nothing into one order: lists by their keys, leaf-lists by their values. Those of
/// one name come together; the order of different names carries no meaning either.
pub(super) fn settle(spaces: &Spaces<'_>, fields: &mut [Field<'_>]) {
    let Some(table) = spaces.schema() else { return };
    if !fields.iter().any(|field| unordered(table, field.node).is_some()) {
        return;
    }
    fields.sort_by(|a, b| {
        // By what namespaces are and not by when they were met: two may have one short name.
        let spaces = || spaces.uri(a.name.space).cmp(spaces.uri(b.name.space));
        let same = a.name.space == b.name.space;
        let names =
            if same { Ordering::Equal } else { spaces() }.then_with(|| a.name.local.cmp(b.name.local));
        names.then_with(|| match unordered(table, a.node) {
            Some(keys) if a.node == b.node => by_keys(keys, &a.value, &b.value),
            _ => Ordering::Equal,
        })
    });
}

/// The keys of a list whose order means nothing; none for such a leaf-list.
fn unordered(table: &SchemaTable, node: NodeId) -> Option<&[String]> {
    match &table.node(node)?.kind {
        Kind::List { keys, order: Order::System } => Some(keys),
        Kind::LeafList { order: Order::System, .. } => Some(&[]),
        _ => None,
    }
}

fn by_keys(keys: &[String], a: &Value, b: &Value) -> Ordering {
    let by_key = |key: &String| a.field(key).cmp(&b.field(key));
    keys.iter().map(by_key).find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(b))
}
