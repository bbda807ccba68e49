//! From what libyang compiled to a [`SchemaTable`]. Runs in the worker.

use std::collections::HashMap;
use std::io::Write as _;

use yang5::context::{Context, ContextFlags};
use yang5::schema::{SchemaInputFormat, SchemaModule, SchemaNode, SchemaNodeKind};

use super::c_types;
use super::leaf_type::{Address, LeafType};
use super::table::{Kind, Node, NodeId, Order, SchemaTable, TableBuilder};

/// Levels of nodes; what lies deeper is read as without a schema.
const MAX_DEPTH: usize = 128;

/// Data nodes that are looked at, each use of a grouping anew: several times the whole of 3GPP, O-RAN and IETF.
const MAX_VISITS: usize = 4_000_000;

/// Types whose canonical form libyang gives by code of its own.
const SPECIAL: [(&str, &str, LeafType); 12] = [
    ("ietf-inet-types", "ipv4-address", LeafType::Address(Address::V4)),
    ("ietf-inet-types", "ipv4-address-no-zone", LeafType::Address(Address::V4)),
    ("ietf-inet-types", "ipv6-address", LeafType::Address(Address::V6)),
    ("ietf-inet-types", "ipv6-address-no-zone", LeafType::Address(Address::V6)),
    ("ietf-inet-types", "ipv4-prefix", LeafType::Address(Address::V4Prefix)),
    ("ietf-inet-types", "ipv6-prefix", LeafType::Address(Address::V6Prefix)),
    ("ietf-inet-types", "ipv4-address-and-prefix", LeafType::Address(Address::V4WithPrefix)),
    ("ietf-inet-types", "ipv6-address-and-prefix", LeafType::Address(Address::V6WithPrefix)),
    ("ietf-yang-types", "mac-address", LeafType::Lowercase),
    ("ietf-yang-types", "phys-address", LeafType::Lowercase),
    ("ietf-yang-types", "hex-string", LeafType::Lowercase),
    ("ietf-yang-types", "uuid", LeafType::Lowercase),
];

/// The table of all implemented modules of `context`.
pub(super) fn compile(context: &Context) -> Result<SchemaTable, String> {
    let mut walk = Walk { builder: TableBuilder::default(), special: special_types()?, left: MAX_VISITS };
    let mut top = vec![];
    for module in context.modules(true).filter(SchemaModule::is_implemented) {
        top.extend(walk.nodes(module.data(), 0, true)?);
    }
    // Also those that lend names only: identities have their modules.
    for module in context.modules(false) {
        walk.builder.module(module.name(), module.namespace());
    }
    Ok(walk.builder.finish(top))
}

struct Walk {
    builder: TableBuilder,
    special: HashMap<usize, LeafType>,
    left: usize,
}

impl Walk {
    /// Choices and cases give their nodes, none of which is `certain` to be there.
    fn nodes<'a>(
        &mut self,
        siblings: impl Iterator<Item = SchemaNode<'a>>,
        depth: usize,
        certain: bool,
    ) -> Result<Vec<NodeId>, String> {
        let mut found = vec![];
        for node in siblings {
            self.left = self.left.checked_sub(1).ok_or("the schema has too many nodes")?;
            match node.kind() {
                SchemaNodeKind::Choice | SchemaNodeKind::Case if depth < MAX_DEPTH => {
                    found.extend(self.nodes(node.children(), depth + 1, false)?);
                }
                _ => found.extend(self.node(&node, depth, certain)?),
            }
        }
        Ok(found)
    }

    /// `None` for what is no data: operations and notifications.
    fn node(&mut self, node: &SchemaNode<'_>, depth: usize, certain: bool) -> Result<Option<NodeId>, String> {
        let kind = match node.kind() {
            SchemaNodeKind::Container if node.is_np_container() => Kind::Container,
            SchemaNodeKind::Container => Kind::Presence,
            SchemaNodeKind::List => Kind::List {
                keys: node.list_keys().map(|key| key.name().to_owned()).collect(),
                order: order(node),
            },
            SchemaNodeKind::Leaf => Kind::Leaf {
                of: self.leaf_type(node),
                default: default_of(node),
                units: node.units().map(str::to_owned),
            },
            SchemaNodeKind::LeafList => Kind::LeafList {
                of: self.leaf_type(node),
                order: order(node),
                units: node.units().map(str::to_owned),
            },
            SchemaNodeKind::AnyData => Kind::Any,
            _ => return Ok(None),
        };
        let children = match kind {
            Kind::Container | Kind::Presence | Kind::List { .. } if depth < MAX_DEPTH => {
                self.nodes(node.children(), depth + 1, true)?
            }
            _ => vec![],
        };
        let module = self.builder.module(node.module().name(), node.module().namespace());
        let (name, config) = (node.name().to_owned(), node.is_config());
        let holds = match &kind {
            Kind::Leaf { default, .. } => default.is_some(),
            Kind::Container => self.builder.implies(&children),
            _ => false,
        };
        // Whether a condition holds, only the whole configuration tells.
        let implied = holds && certain && config && node.whens().count() == 0;
        let filled = vec![];
        Ok(Some(self.builder.node(Node { module, name, kind, config, implied, children, filled })))
    }

    fn leaf_type(&mut self, node: &SchemaNode<'_>) -> u32 {
        let special = |plugin: usize| self.special.get(&plugin).cloned();
        let described = node.leaf_type().map(|of| c_types::describe(&of, &special));
        self.builder.leaf_type(described.unwrap_or(LeafType::Text { free: false }))
    }
}

/// The library gives the empty text for a leaf without a default whose type takes that. A typedef's default is not
/// flagged, so that an empty one of a typedef is taken for none.
fn default_of(leaf: &SchemaNode<'_>) -> Option<String> {
    let default = leaf.default_value_canonical().ok().flatten();
    default.filter(|default| !default.is_empty() || leaf.has_default())
}

/// RFC 7950 §7.7.7: state may be in any order that means something to whoever reads it.
fn order(node: &SchemaNode<'_>) -> Order {
    match node.is_user_ordered() || node.is_keyless_list() || !node.is_config() {
        true => Order::Document,
        false => Order::System,
    }
}

/// By the library's code behind each of [`SPECIAL`]: a typedef derived from one keeps that code under another name. The
/// texts of those modules are the library's own.
fn special_types() -> Result<HashMap<usize, LeafType>, String> {
    let mut text = b"module ranproof-probe { namespace 'urn:ranproof:probe'; prefix p; \
        import ietf-inet-types { prefix ietf-inet-types; } import ietf-yang-types { prefix ietf-yang-types; }"
        .to_vec();
    for (index, (module, name, _)) in SPECIAL.iter().enumerate() {
        write!(text, " leaf l{index} {{ type {module}:{name}; }}").map_err(|e| e.to_string())?;
    }
    text.extend_from_slice(b" leaf plain { type string; } }");
    let flags = ContextFlags::NO_YANGLIBRARY | ContextFlags::DISABLE_SEARCHDIR_CWD;
    let context = Context::new(flags).map_err(|e| e.to_string())?;
    let text = String::from_utf8(text).map_err(|e| e.to_string())?;
    let module = SchemaModule::parse_string(&context, &text, SchemaInputFormat::YANG);
    let module = module.map_err(|e| format!("the YANG library does not know its own types: {e}"))?;
    let plugins: Vec<usize> =
        module.data().filter_map(|leaf| Some(c_types::plugin(&leaf.leaf_type()?))).collect();
    let Some((plain, own)) = plugins.split_last().filter(|(_, own)| own.len() == SPECIAL.len()) else {
        return Err("the YANG library does not know its own types".to_owned());
    };
    // One without code of its own is an ordinary string to the library, and is one here.
    let own = own.iter().zip(SPECIAL).filter(|(plugin, _)| *plugin != plain);
    Ok(own.map(|(plugin, (.., of))| (*plugin, of)).collect())
}
