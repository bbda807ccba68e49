//! From elements to objects and attributes: the rules that XML and JSON share.
//!
//! Elements come as open, leaf and close. Whether an element is an object shows only when it ends, because
//! its `id` may come last; until then its children wait on two stacks, one of values and one of objects.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::profile::ObjectRule;
use model::{Dn, Value};

use super::ReadContext;
use super::again::{Cost, Found, Spent};
use super::error::{Fault, Problem};
use super::findings::Findings;
use super::objects::{Draft, Identity, reduced};
use super::scope::Scope;
use super::spaces::{NO_SPACE, Name, Space, Spaces};
use super::text::{is_blank, leaf_text};
use super::typed::{self, Filler};
use crate::schema::{NodeId, UNKNOWN};

/// Container of a 3GPP object's attributes (TS 32.160 §6.2).
const ATTRIBUTES: &str = "attributes";

/// Field that holds text standing beside child elements.
const MIXED: &str = "#text";

/// Roughly what a text and its name cost in memory beyond their bytes.
pub(super) const LEAF_COST: usize = 96;

/// Roughly what an element with children costs: a map node.
const CONTAINER_COST: usize = 768;

/// What an open element is, as far as known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Object, or part of a value: shown at its end.
    Node,
    /// The `attributes` of a 3GPP object.
    Attributes,
    /// Inside one attribute of a 3GPP object: always part of its value.
    Value,
}

struct Frame<'a, 'p> {
    kind: Kind,
    name: Name<'a>,
    offset: usize,
    /// What the schema knows of it.
    node: NodeId,
    /// Length of the stacks when it began.
    values: usize,
    orphans: usize,
    rule: Option<&'p ObjectRule>,
    id: Option<Cow<'a, str>>,
    has_attributes: bool,
    has_children: bool,
    /// Inside a 3GPP class, whose lists carry a dummy key.
    dummy_key: bool,
    text: Cow<'a, str>,
    /// The text is more than layout.
    significant: bool,
}

impl Frame<'_, '_> {
    /// The id/attributes pattern of TS 32.160: both, or either in an element named as a class.
    fn follows_pattern(&self) -> bool {
        match (self.id.is_some(), self.has_attributes) {
            (true, true) => true,
            (false, false) => false,
            _ => names_a_class(self.name.local),
        }
    }

    fn begins_child(&mut self) {
        if !self.has_children && !self.significant {
            self.text = Cow::Borrowed("");
        }
        self.has_children = true;
    }

    fn key(&self) -> Option<&str> {
        match self.rule {
            Some(rule) => rule.key.as_deref(),
            None => Some("id"),
        }
    }
}

/// 3GPP classes begin with a capital, attributes and other YANG nodes do not (TS 32.156 §5.2).
fn names_a_class(local: &str) -> bool {
    local.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
}

pub(super) struct Field<'a> {
    pub(super) name: Name<'a>,
    pub(super) node: NodeId,
    pub(super) value: Value,
    in_attributes: bool,
}

impl<'a> Field<'a> {
    pub(super) fn new(name: Name<'a>, node: NodeId, value: Value) -> Field<'a> {
        Field { name, node, value, in_attributes: false }
    }

    /// As part of something of namespace `inside`.
    pub(super) fn named(self, spaces: &Spaces<'_>, inside: Space) -> (String, Value) {
        (spaces.field_name(self.name, inside), self.value)
    }
}

/// Takes elements, gives objects.
pub(super) struct Builder<'a, 'p> {
    pub(super) spaces: Spaces<'p>,
    pub(super) findings: Findings,
    frames: Vec<Frame<'a, 'p>>,
    values: Vec<Field<'a>>,
    /// Finished objects whose container is still open.
    orphans: Vec<usize>,
    drafts: Vec<Draft<'a>>,
    nodes: usize,
    max_nodes: usize,
    budget: Budget,
    /// Stations do not say which defaults are in use.
    fills: bool,
}

/// How far a builder was.
pub(super) struct Mark {
    pub(super) drafts: usize,
    nodes: usize,
    memory: usize,
    said: usize,
    declarations: usize,
}

/// What the stacks hold when everything has ended.
pub(super) struct Built<'a, 'p> {
    pub(super) spaces: Spaces<'p>,
    pub(super) findings: Findings,
    pub(super) drafts: Vec<Draft<'a>>,
    /// Bytes that names may still cost.
    pub(super) memory_left: usize,
    pub(super) max_memory: usize,
    pub(super) nodes: usize,
}

impl<'a, 'p: 'a> Builder<'a, 'p> {
    pub(super) fn new(context: &ReadContext<'p>) -> Builder<'a, 'p> {
        Builder {
            spaces: Spaces::new(context.profile, context.schema),
            findings: Findings::default(),
            frames: Vec::new(),
            values: Vec::new(),
            orphans: Vec::new(),
            drafts: Vec::new(),
            nodes: 0,
            max_nodes: context.limits.nodes,
            budget: Budget { used: 0, max: context.limits.memory },
            fills: context.fills,
        }
    }

    /// Whether an element that begins now may be an object inside another.
    pub(super) fn takes_objects(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.kind == Kind::Node)
    }

    /// How far it is.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            drafts: self.drafts.len(),
            nodes: self.nodes,
            memory: self.budget.used,
            said: self.findings.said(),
            declarations: self.spaces.declarations(),
        }
    }

    /// The draft of the element that began at `start`, which has just ended, if it may be taken over into a later reading: it
    /// is an object with an id of its own and no other in it, there was nothing to be said of it, and it is not of the
    /// station's class or one around that. With what reading it cost.
    pub(super) fn single_since(&self, mark: &Mark, start: usize, prefix: &Dn) -> Option<(usize, Cost)> {
        let draft = self.drafts.get(mark.drafts).filter(|_| self.drafts.len() == mark.drafts + 1)?;
        // An element around an object that is none itself may be part of a value as well.
        let itself = draft.pattern && draft.offset == start;
        let named = matches!(&draft.identity, Identity::Id(id) if !reduced(&draft.class, id).is_empty());
        let quiet = self.findings.said() == mark.said;
        let above = prefix.rdns().any(|(class, _)| class == draft.class);
        let cost = || Cost {
            spent: Spent { nodes: self.nodes - mark.nodes, memory: self.budget.used - mark.memory },
            spaces: self.spaces.declared_since(mark.declarations),
        };
        (itself && named && quiet && !above).then(|| (mark.drafts, cost()))
    }

    /// The draft of the object that began at `start` and has just ended with others in it, if it has an id of its own and is not
    /// of the station's class or one around that.
    pub(super) fn shell_since(&self, mark: &Mark, start: usize, prefix: &Dn) -> Option<usize> {
        let place = self.drafts.len().checked_sub(1).filter(|place| *place > mark.drafts)?;
        let draft = self.drafts.get(place)?;
        let named = matches!(&draft.identity, Identity::Id(id) if !reduced(&draft.class, id).is_empty());
        let above = prefix.rdns().any(|(class, _)| class == draft.class);
        (draft.pattern && draft.offset == start && named && !above).then_some(place)
    }

    /// Values that wait for the elements around them to end.
    pub(super) fn waiting(&self) -> usize {
        self.values.len()
    }

    /// Whether the innermost open element is the `attributes` of an object.
    pub(super) fn in_attributes(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.kind == Kind::Attributes)
    }

    /// An object of the last reply stands here again.
    pub(super) fn take(&mut self, found: Found<'a>, offset: usize) -> Result<(), Fault> {
        self.nodes += found.spent.nodes;
        for uri in found.spaces {
            self.spaces.of_uri(uri, offset)?;
        }
        if self.nodes > self.max_nodes {
            return Err(Fault::new(Problem::OverLimit { what: "elements", limit: self.max_nodes }, offset));
        }
        self.charge_memory(found.spent.memory, offset)?;
        if let Some(parent) = self.frames.last_mut() {
            parent.begins_child();
        }
        self.orphans.push(self.drafts.len());
        self.drafts.push(Draft {
            class: Cow::Borrowed(found.object.class()),
            space: NO_SPACE,
            identity: Identity::Known(found.object, found.rank),
            pattern: true,
            attributes: vec![],
            parent: None,
            offset,
        });
        Ok(())
    }

    /// Whether no element is open.
    pub(super) fn at_top(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn finish(self) -> Built<'a, 'p> {
        let Builder { spaces, findings, drafts, nodes, budget: Budget { used, max: max_memory }, .. } = self;
        Built { spaces, findings, drafts, memory_left: max_memory.saturating_sub(used), max_memory, nodes }
    }

    /// An element that may have children begins.
    pub(super) fn open(&mut self, name: Name<'a>, offset: usize) -> Result<(), Fault> {
        self.charge(CONTAINER_COST, offset)?;
        let mut kind = Kind::Node;
        let mut dummy_key = false;
        if let Some(parent) = self.frames.last_mut() {
            parent.begins_child();
            dummy_key = parent.dummy_key;
            kind = match parent.kind {
                Kind::Attributes | Kind::Value => Kind::Value,
                Kind::Node if name.local == ATTRIBUTES && name.space == parent.name.space => {
                    dummy_key = names_a_class(parent.name.local);
                    let again = std::mem::replace(&mut parent.has_attributes, true);
                    if again {
                        self.findings.at(
                            "repeated-attributes",
                            offset,
                            "a second `attributes` of one object",
                        );
                    }
                    Kind::Attributes
                }
                Kind::Node => Kind::Node,
            };
        }
        let rule = if kind == Kind::Node { self.spaces.rule(name) } else { None };
        let node = self.node(name);
        self.frames.push(Frame {
            kind,
            name,
            offset,
            node,
            values: self.values.len(),
            orphans: self.orphans.len(),
            rule,
            id: None,
            has_attributes: false,
            has_children: false,
            dummy_key,
            text: Cow::Borrowed(""),
            significant: false,
        });
        Ok(())
    }

    /// A whole element without children. `scope`: the prefixes in force, in JSON none.
    pub(super) fn leaf(
        &mut self,
        name: Name<'a>,
        text: Cow<'a, str>,
        offset: usize,
        scope: Option<&Scope<'_>>,
    ) -> Result<(), Fault> {
        self.charge(LEAF_COST + text.len(), offset)?;
        let node = self.node(name);
        if let Some(parent) = self.frames.last_mut() {
            parent.begins_child();
        }
        self.take_leaf(name, node, typed::canonical(&self.spaces, node, text, scope), offset)
    }

    fn node(&self, name: Name<'_>) -> NodeId {
        typed::node(&self.spaces, self.frames.last().map(|parent| parent.node), name)
    }

    fn take_leaf(
        &mut self,
        name: Name<'a>,
        node: NodeId,
        text: Cow<'a, str>,
        offset: usize,
    ) -> Result<(), Fault> {
        let Some(parent) = self.frames.last_mut() else { return self.top_leaf(name, node, text, offset) };
        let same_space = name.space == parent.name.space;
        match parent.kind {
            Kind::Attributes => {}
            // The key that 3GPP's YANG gives lists without one (TS 32.160 §6.2): never identity.
            Kind::Value if parent.dummy_key && same_space && name.local == "idx" => return Ok(()),
            Kind::Value => {}
            Kind::Node if same_space && parent.id.is_none() && parent.key() == Some(name.local) => {
                parent.id = Some(text);
                return Ok(());
            }
            Kind::Node if same_space && name.local == ATTRIBUTES && is_blank(&text) => {
                parent.has_attributes = true;
                return Ok(());
            }
            Kind::Node => {
                if let Some(rule) = self.spaces.rule(name) {
                    self.rule_leaf(rule, name, text, offset);
                    return Ok(());
                }
            }
        }
        let added = self.filled(name, node, &text, offset)?;
        let value = match added.is_empty() {
            true => Value::Text(text.into_owned()),
            false => Value::Fields(added.into_iter().collect()),
        };
        self.push(name, node, value);
        Ok(())
    }

    /// The defaults in use inside an element that was written without content.
    fn filled(
        &mut self,
        name: Name<'a>,
        node: NodeId,
        text: &str,
        offset: usize,
    ) -> Result<Vec<(String, Value)>, Fault> {
        if !self.fills || !text.is_empty() {
            return Ok(vec![]);
        }
        let mut filler = Filler { spaces: &mut self.spaces, budget: &mut self.budget, offset };
        let added = filler.fill(node, name.space, &[], 0)?;
        Ok(added.into_iter().map(|field| field.named(&self.spaces, name.space)).collect())
    }

    /// Text inside the innermost open element; `literal` if it has no reference and no CDATA in it.
    pub(super) fn text(&mut self, text: Cow<'a, str>, literal: bool, offset: usize) -> Result<(), Fault> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let significant = !literal || !is_blank(&text);
        if frame.has_children && !significant {
            return Ok(());
        }
        frame.significant |= significant;
        let length = text.len();
        if frame.text.is_empty() {
            frame.text = text;
        } else {
            frame.text.to_mut().push_str(&text);
        }
        self.charge_memory(length, offset)
    }

    /// The innermost open element ends. `scope`: the prefixes in force inside it, in JSON none.
    pub(super) fn close(&mut self, scope: Option<&Scope<'_>>) -> Result<(), Fault> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if frame.has_children && frame.significant {
            let message = format!("`{}` has text beside child elements", frame.name.local);
            self.findings.at("mixed-content", frame.offset, message);
        }
        match frame.kind {
            Kind::Node | Kind::Value if !frame.has_children => {
                let text = if frame.significant { frame.text } else { leaf_text(frame.text) };
                let text = typed::canonical(&self.spaces, frame.node, text, scope);
                self.take_leaf(frame.name, frame.node, text, frame.offset)?;
            }
            Kind::Node => self.close_node(frame)?,
            Kind::Value => self.close_value(frame)?,
            Kind::Attributes => self.close_attributes(frame),
        }
        Ok(())
    }

    fn close_value(&mut self, mut frame: Frame<'a, 'p>) -> Result<(), Fault> {
        self.fill(&frame, frame.node, false)?;
        let value = self.take_value(&mut frame);
        self.push(frame.name, frame.node, value);
        Ok(())
    }

    /// Adds the defaults in use inside `node`: the element itself, or its `attributes`.
    fn fill(&mut self, frame: &Frame<'a, 'p>, node: NodeId, in_attributes: bool) -> Result<(), Fault> {
        if !self.fills {
            return Ok(());
        }
        let written = self.values.get(frame.values..).unwrap_or_default();
        let (spaces, budget, offset) = (&mut self.spaces, &mut self.budget, frame.offset);
        let added = Filler { spaces, budget, offset }.fill(node, frame.name.space, written, 0)?;
        for mut field in added {
            // An object's `attributes` are its own.
            if !in_attributes && field.name == (Name { space: frame.name.space, local: ATTRIBUTES }) {
                continue;
            }
            field.in_attributes = in_attributes;
            self.values.push(field);
        }
        Ok(())
    }

    /// The attributes stay on the stack, marked, until their object ends.
    fn close_attributes(&mut self, frame: Frame<'a, 'p>) {
        if frame.significant {
            let name = Name { space: frame.name.space, local: MIXED };
            let value = Value::Text(frame.text.into_owned());
            self.values.push(Field { name, node: UNKNOWN, value, in_attributes: true });
        }
    }

    fn close_node(&mut self, mut frame: Frame<'a, 'p>) -> Result<(), Fault> {
        let pattern = frame.rule.is_some() || frame.follows_pattern();
        if pattern {
            return self.close_object(frame);
        }
        self.fill(&frame, frame.node, false)?;
        if self.frames.is_empty() {
            self.close_top(frame);
            return Ok(());
        }
        let has_objects = self.orphans.len() > frame.orphans;
        let has_values = self.values.len() > frame.values || frame.id.is_some() || frame.significant;
        // A container of objects only is implied by them.
        if has_values || !has_objects {
            let value = self.take_value(&mut frame);
            self.push(frame.name, frame.node, value);
        }
        Ok(())
    }

    fn close_object(&mut self, mut frame: Frame<'a, 'p>) -> Result<(), Fault> {
        let space = frame.name.space;
        self.fill(&frame, frame.node, false)?;
        let attributes = typed::node(&self.spaces, Some(frame.node), Name { space, local: ATTRIBUTES });
        if frame.has_attributes || typed::is_implied(&self.spaces, attributes) {
            self.fill(&frame, attributes, true)?;
        }
        self.settle(&frame);
        let mut attributes = Vec::with_capacity(self.values.len() - frame.values);
        for field in self.values.drain(frame.values..) {
            attributes.push(field.named(&self.spaces, space));
        }
        if frame.significant {
            let text = std::mem::take(&mut frame.text).into_owned();
            attributes.push((MIXED.to_owned(), Value::Text(text)));
        }
        let identity = match (frame.rule, frame.id.take()) {
            (Some(ObjectRule { key: None, .. }), _) => Identity::Singleton,
            (_, Some(id)) => Identity::Id(id),
            (_, None) => Identity::Missing,
        };
        self.draft(&frame, true, identity, attributes);
        Ok(())
    }

    /// A top element that follows no pattern: one object, its children are its attributes.
    fn close_top(&mut self, mut frame: Frame<'a, 'p>) {
        let attributes = match self.take_value(&mut frame) {
            Value::Fields(fields) => fields.into_iter().collect(),
            // Nothing but objects in it.
            Value::Text(_) | Value::Sequence(_) => vec![],
        };
        self.draft(&frame, false, Identity::Singleton, attributes);
    }

    fn draft(
        &mut self,
        frame: &Frame<'a, 'p>,
        pattern: bool,
        identity: Identity<'a>,
        attributes: Vec<(String, Value)>,
    ) {
        let index = self.drafts.len();
        for child in self.orphans.drain(frame.orphans..) {
            if let Some(draft) = self.drafts.get_mut(child) {
                draft.parent = Some(index);
            }
        }
        self.orphans.push(index);
        let class = match frame.rule.and_then(|rule| rule.class.as_deref()) {
            Some(class) => Cow::Owned(class.to_owned()),
            None => Cow::Borrowed(frame.name.local),
        };
        self.drafts.push(Draft {
            class,
            space: frame.name.space,
            identity,
            pattern,
            attributes,
            parent: None,
            offset: frame.offset,
        });
    }

    fn top_leaf(
        &mut self,
        name: Name<'a>,
        node: NodeId,
        text: Cow<'a, str>,
        offset: usize,
    ) -> Result<(), Fault> {
        if let Some(rule) = self.spaces.rule(name) {
            self.rule_leaf(rule, name, text, offset);
            return Ok(());
        }
        let added = self.filled(name, node, &text, offset)?;
        self.leaf_draft(Cow::Borrowed(name.local), name, Identity::Singleton, text, offset);
        if let Some(draft) = self.drafts.last_mut() {
            draft.attributes.extend(added);
        }
        Ok(())
    }

    /// An element that the profile calls an object has only text.
    fn rule_leaf(&mut self, rule: &ObjectRule, name: Name<'a>, text: Cow<'a, str>, offset: usize) {
        let class = rule.class.clone().map_or(Cow::Borrowed(name.local), Cow::Owned);
        let identity = if rule.key.is_some() { Identity::Missing } else { Identity::Singleton };
        self.leaf_draft(class, name, identity, text, offset);
    }

    fn leaf_draft(
        &mut self,
        class: Cow<'a, str>,
        name: Name<'a>,
        identity: Identity<'a>,
        text: Cow<'a, str>,
        offset: usize,
    ) {
        let attributes = match text.is_empty() {
            true => vec![],
            false => vec![(name.local.to_owned(), Value::Text(text.into_owned()))],
        };
        self.orphans.push(self.drafts.len());
        let (space, parent) = (name.space, None);
        self.drafts.push(Draft { class, space, identity, pattern: false, attributes, parent, offset });
    }

    fn push(&mut self, name: Name<'a>, node: NodeId, value: Value) {
        if typed::is_nothing(&self.spaces, node, &value) {
            return;
        }
        let in_attributes = self.frames.last().is_some_and(|frame| frame.kind == Kind::Attributes);
        self.values.push(Field { name, node, value, in_attributes });
    }

    fn settle(&mut self, frame: &Frame<'a, 'p>) {
        typed::settle(&self.spaces, self.values.get_mut(frame.values..).unwrap_or_default());
    }

    /// The structure that an element with children is if it is no object.
    fn take_value(&mut self, frame: &mut Frame<'a, 'p>) -> Value {
        self.settle(frame);
        let space = frame.name.space;
        let mut fields = BTreeMap::new();
        let mut attributes = BTreeMap::new();
        for field in self.values.drain(frame.values..) {
            let name = self.spaces.field_name(field.name, space);
            add(
                if field.in_attributes && frame.kind == Kind::Node { &mut attributes } else { &mut fields },
                name,
                field.value,
            );
        }
        if frame.has_attributes {
            let value = if attributes.is_empty() { Value::from("") } else { Value::Fields(attributes) };
            add(&mut fields, ATTRIBUTES.to_owned(), value);
        }
        if let (Some(id), Some(key)) = (frame.id.take(), frame.key()) {
            // It stood before the others of its name, or it would not be the id.
            let rest = fields.remove(key);
            let id = Value::Text(id.into_owned());
            fields.insert(key.to_owned(), rest.map_or(id.clone(), |rest| before(id, rest)));
        }
        if frame.significant {
            add(&mut fields, MIXED.to_owned(), Value::Text(std::mem::take(&mut frame.text).into_owned()));
        }
        // Only a dropped dummy key: nothing is left to tell it from an empty element.
        if fields.is_empty() { Value::from("") } else { Value::Fields(fields) }
    }

    fn charge(&mut self, cost: usize, offset: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > self.max_nodes {
            return Err(Fault::new(Problem::OverLimit { what: "elements", limit: self.max_nodes }, offset));
        }
        self.charge_memory(cost, offset)
    }

    fn charge_memory(&mut self, cost: usize, offset: usize) -> Result<(), Fault> {
        self.budget.charge(cost, offset)
    }
}

/// Bytes of memory for the result, roughly.
pub(super) struct Budget {
    used: usize,
    max: usize,
}

impl Budget {
    pub(super) fn charge(&mut self, cost: usize, offset: usize) -> Result<(), Fault> {
        self.used = self.used.saturating_add(cost);
        if self.used <= self.max {
            return Ok(());
        }
        Err(Fault::new(Problem::OverLimit { what: "bytes of memory", limit: self.max }, offset))
    }
}

/// Adds an occurrence: the second of a name makes a sequence.
fn add(fields: &mut BTreeMap<String, Value>, name: String, value: Value) {
    match fields.entry(name) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(value);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => append(entry.get_mut(), value),
    }
}

/// Values read are texts and structures, so that a sequence is always one of occurrences.
pub(super) fn append(first: &mut Value, next: Value) {
    match first {
        Value::Sequence(items) => items.push(next),
        _ => {
            let one = std::mem::replace(first, Value::Sequence(vec![]));
            *first = Value::Sequence(vec![one, next]);
        }
    }
}

fn before(first: Value, rest: Value) -> Value {
    match rest {
        Value::Sequence(mut items) => {
            items.insert(0, first);
            Value::Sequence(items)
        }
        one => Value::Sequence(vec![first, one]),
    }
}
