//! A compiled schema as the streaming reader needs it: which element is what, and how its value is spelled.
//!
//! The worker makes it from what libyang compiled; nothing of C is left in it. Equal subtrees stand in it once, since
//! YANG expands every use of a grouping. Indices come from another process and are looked up, never trusted.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::leaf_type::LeafType;

/// An element without a schema: unknown to it, or inside `anydata`.
pub(crate) const UNKNOWN: NodeId = NodeId(u32::MAX);

/// A node of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeId(pub u32);

/// Which order of the occurrences of one name means something (RFC 7950 §7.7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// None: the station may give them in any.
    System,
    /// That of the document: `ordered-by user`, lists without keys, and state.
    Document,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Means nothing by itself: without content it is as good as not there (RFC 7950 §7.5.1).
    Container,
    /// A container whose being there means something.
    Presence,
    List {
        keys: Vec<String>,
        order: Order,
    },
    Leaf {
        /// Index into the types.
        of: u32,
        /// In canonical form.
        default: Option<String>,
        units: Option<String>,
    },
    LeafList {
        of: u32,
        order: Order,
        units: Option<String>,
    },
    /// `anydata`, `anyxml`: kept as written.
    Any,
}

/// A data node: choices and cases are not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Index into the modules.
    pub module: u32,
    pub name: String,
    pub kind: Kind,
    pub config: bool,
    /// There though nobody wrote it, wherever its parent is (RFC 7950 §7.6.1): configuration with a default, under no
    /// condition and in no choice, and [`Kind::Container`]s that hold such.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub implied: bool,
    /// Sorted by module and name.
    pub children: Vec<NodeId>,
    /// Those of the children that are implied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<NodeId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableModule {
    pub name: String,
    pub namespace: String,
}

/// The tables of a schema. Made by the worker, read by the reader.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaTable {
    /// Hash of the set it was compiled from; set by whoever asked the worker.
    #[serde(skip)]
    set: [u8; 32],
    modules: Vec<TableModule>,
    types: Vec<LeafType>,
    nodes: Vec<Node>,
    /// Sorted like children.
    top: Vec<NodeId>,
}

/// Says what a canonical form is; another one reads the same texts otherwise.
const VERSION: &str = "ranproof/canonical/2";

impl SchemaTable {
    pub(crate) fn of_set(mut self, set: [u8; 32]) -> SchemaTable {
        self.set = set;
        self
    }

    /// What stands for this schema in an interpretation: equal texts, modules and features have equal names, and so have
    /// equal rules of spelling.
    pub fn name(&self) -> String {
        format!("{VERSION} {}", hex::encode(self.set))
    }

    /// Data nodes, equal subtrees counted once.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    pub(crate) fn leaf_type(&self, index: u32) -> Option<&LeafType> {
        self.types.get(index as usize)
    }

    /// Where a module of this namespace stands.
    pub(crate) fn module_of_namespace(&self, namespace: &str) -> Option<u32> {
        self.position(|module| module.namespace == namespace)
    }

    pub(crate) fn module_of_name(&self, name: &str) -> Option<u32> {
        self.position(|module| module.name == name)
    }

    pub(crate) fn module(&self, index: u32) -> Option<&TableModule> {
        self.modules.get(index as usize)
    }

    fn position(&self, wanted: impl Fn(&TableModule) -> bool) -> Option<u32> {
        self.modules.iter().position(wanted).and_then(|index| u32::try_from(index).ok())
    }

    /// The node of this name inside `parent`, at the top where there is none.
    pub(crate) fn child(&self, parent: Option<NodeId>, module: u32, name: &str) -> NodeId {
        let children = match parent {
            None => &self.top,
            Some(parent) => match self.node(parent) {
                Some(node) => &node.children,
                None => return UNKNOWN,
            },
        };
        let key = |id: &NodeId| self.node(*id).map_or((u32::MAX, ""), |node| (node.module, &node.name));
        let found = children.binary_search_by(|id| key(id).cmp(&(module, name)));
        found.ok().and_then(|index| children.get(index)).copied().unwrap_or(UNKNOWN)
    }
}

/// Puts a table together, every part once.
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    table: SchemaTable,
    nodes: HashMap<Node, NodeId>,
    types: HashMap<LeafType, u32>,
}

impl TableBuilder {
    pub fn module(&mut self, name: &str, namespace: &str) -> u32 {
        if let Some(index) = self.table.module_of_name(name) {
            return index;
        }
        self.table.modules.push(TableModule { name: name.to_owned(), namespace: namespace.to_owned() });
        index(self.table.modules.len() - 1)
    }

    pub fn leaf_type(&mut self, leaf: LeafType) -> u32 {
        let (types, table) = (&mut self.types, &mut self.table.types);
        *types.entry(leaf).or_insert_with_key(|leaf| {
            table.push(leaf.clone());
            index(table.len() - 1)
        })
    }

    pub fn node(&mut self, mut node: Node) -> NodeId {
        node.children = self.sorted(node.children);
        node.filled = node.children.iter().copied().filter(|id| self.implies(&[*id])).collect();
        let (nodes, table) = (&mut self.nodes, &mut self.table.nodes);
        *nodes.entry(node).or_insert_with_key(|node| {
            table.push(node.clone());
            NodeId(index(table.len() - 1))
        })
    }

    /// Whether a node has to be there because of one of these.
    pub fn implies(&self, children: &[NodeId]) -> bool {
        children.iter().any(|id| self.table.node(*id).is_some_and(|node| node.implied))
    }

    pub fn finish(mut self, top: Vec<NodeId>) -> SchemaTable {
        self.table.top = self.sorted(top);
        self.table
    }

    fn sorted(&self, mut children: Vec<NodeId>) -> Vec<NodeId> {
        children.sort_by_key(|id| self.table.node(*id).map(|node| (node.module, node.name.clone())));
        children
    }
}

/// A schema with four thousand million parts would not have fitted into the worker.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, kind: Kind, children: Vec<NodeId>) -> Node {
        let (implied, filled) = (false, vec![]);
        Node { module: 0, name: name.into(), kind, config: true, implied, children, filled }
    }

    fn leaf(name: &str, of: u32) -> Node {
        let kind = Kind::Leaf { of, default: None, units: None };
        node(name, kind, vec![])
    }

    fn container(name: &str, children: Vec<NodeId>) -> Node {
        node(name, Kind::Container, children)
    }

    #[test]
    fn equal_subtrees_stand_once_and_children_are_found_by_module_and_name() {
        let mut builder = TableBuilder::default();
        builder.module("a", "urn:a");
        let (b, _) = (builder.module("b", "urn:b"), builder.module("a", "urn:a"));
        let text = builder.leaf_type(LeafType::Text { free: true });
        assert_eq!(builder.leaf_type(LeafType::Text { free: true }), text);
        let children =
            |builder: &mut TableBuilder| ["y", "x"].map(|name| builder.node(leaf(name, text))).to_vec();
        let inner = children(&mut builder);
        let one = builder.node(container("one", inner));
        let inner = children(&mut builder);
        let again = builder.node(container("one", inner));
        assert_eq!(one, again);
        let other = builder.node(Node { module: b, ..container("one", vec![]) });
        let table = builder.finish(vec![other, one]);
        assert_eq!(table.len(), 4);
        assert_eq!(table.child(None, 0, "one"), one);
        assert_eq!(table.child(None, b, "one"), other);
        assert_eq!(table.child(None, b, "two"), UNKNOWN);
        assert_eq!(table.child(Some(one), 0, "x"), NodeId(1));
        assert_eq!(table.child(Some(UNKNOWN), 0, "x"), UNKNOWN);
        assert_eq!(table.child(Some(other), 0, "x"), UNKNOWN);
    }

    #[test]
    fn indices_that_lead_nowhere_are_no_nodes() {
        let table = SchemaTable { top: vec![NodeId(7), UNKNOWN], ..SchemaTable::default() };
        assert_eq!(table.child(None, 0, "x"), UNKNOWN);
        assert!(table.leaf_type(3).is_none() && table.module(1).is_none());
    }
}
