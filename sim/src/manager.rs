//! The management session that changes stations: what an engineer at the MOP does by hand.
//!
//! It shares the connection layer with the collector and has requests of its own; the collector has no way
//! to send them.

use std::path::Path;

use collector::session::{
    ConnectError, Credential, HostKeyPin, Limits, Link, LinkError, Target, TargetError,
};
use collector::wire::hello::{HelloError, ServerHello, client_hello};
use collector::wire::{Reply, ReplyError, parse_reply};
use tokio::time::Instant;

use crate::schema::{self, Class, Field, Identity};
use crate::tree::{Element, NETCONF, YANG};
use crate::world::{Inventory, StationEntry, WorldError};

/// Why an edit was not made.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// No session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The station's hello.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The station refused, or answered something else.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The edit names what no station has.
    #[error("cannot express the edit: {0}")]
    Edit(String),
    /// The station's own configuration cannot be read.
    #[error("the station's configuration is unreadable")]
    Unreadable(#[from] collector::wire::xml::XmlError),
    /// The inventory's files.
    #[error(transparent)]
    World(#[from] WorldError),
    /// An address or key in them.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A secret's file.
    #[error("cannot read `{path}`")]
    Secret {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value.
    Text(String),
    /// A structure, as (field, value).
    Fields(Vec<(String, String)>),
    /// A list of structures, in order.
    Entries(Vec<Vec<(String, String)>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// One change. `object` is a DN; what stands before `ManagedElement=` is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The attribute has this value afterwards, whatever it had.
    Set {
        /// DN of the object.
        object: String,
        /// Its attribute.
        attribute: String,
        /// The whole value.
        value: Value,
    },
    /// The attribute is gone afterwards; it must have been there.
    Unset {
        /// DN of the object.
        object: String,
        /// Its attribute.
        attribute: String,
    },
    /// The object exists afterwards; it must not have before.
    Create {
        /// DN of the object.
        object: String,
        /// Its attributes.
        attributes: Vec<(String, Value)>,
    },
    /// The object and all below it are gone afterwards; it must have existed.
    Delete {
        /// DN of the object.
        object: String,
    },
}

impl Edit {
    /// Sets a single-valued attribute.
    pub fn set(object: &str, attribute: &str, value: impl Into<Value>) -> Edit {
        Edit::Set { object: object.to_owned(), attribute: attribute.to_owned(), value: value.into() }
    }

    /// Locks an object: `administrativeState` becomes `LOCKED`.
    pub fn lock(object: &str) -> Edit {
        Edit::set(object, "administrativeState", "LOCKED")
    }

    /// Unlocks an object.
    pub fn unlock(object: &str) -> Edit {
        Edit::set(object, "administrativeState", "UNLOCKED")
    }

    /// Deletes an object.
    pub fn delete(object: &str) -> Edit {
        Edit::Delete { object: object.to_owned() }
    }

    fn object(&self) -> &str {
        match self {
            Edit::Set { object, .. }
            | Edit::Unset { object, .. }
            | Edit::Create { object, .. }
            | Edit::Delete { object } => object,
        }
    }
}

/// How to reach a station of a simulated network with one of its accounts.
///
/// # Errors
/// [`ManagerError::Secret`] when the key file cannot be read.
pub fn target(dir: &Path, entry: &StationEntry, user: &str) -> Result<Target, ManagerError> {
    let inventory = Inventory::read(dir)?;
    let account = if user == inventory.manager.user { &inventory.manager } else { &inventory.collector };
    let path = dir.join(&account.key_file);
    let pem = std::fs::read_to_string(&path)
        .map_err(|source| ManagerError::Secret { path: path.display().to_string(), source })?;
    let host_key: HostKeyPin = entry.host_key.parse()?;
    Ok(Target {
        address: entry.address.to_string().parse()?,
        user: account.user.clone(),
        host_key,
        credential: Credential::private_key(&pem)?,
    })
}

/// Logs in, makes the edits one after the other, each whole or not at all, and logs out.
///
/// # Errors
/// [`ManagerError`]; edits before the one that failed have been made.
pub async fn edit(target: &Target, edits: &[Edit]) -> Result<(), ManagerError> {
    let mut manager = Manager::connect(target, &Limits::default()).await?;
    for edit in edits {
        manager.edit(edit).await?;
    }
    manager.close().await
}

/// A management session.
#[derive(Debug)]
pub struct Manager {
    link: Link,
    next_id: u64,
}

impl Manager {
    /// Opens a session; `limits` bound it as a whole.
    pub async fn connect(target: &Target, limits: &Limits) -> Result<Manager, ManagerError> {
        let mut link = Link::open(target, limits, Instant::now() + limits.deadline).await?;
        link.send(client_hello().as_bytes(), "hello").await?;
        let hello = ServerHello::parse(&link.receive("hello").await?)?;
        link.switch(hello.negotiate()?);
        Ok(Manager { link, next_id: 1 })
    }

    /// Makes one change.
    pub async fn edit(&mut self, edit: &Edit) -> Result<(), ManagerError> {
        let before = match edit {
            // An ordered list is set entry by entry, so the entries that are there must be known.
            Edit::Set { value: Value::Entries(_), .. } => self.configuration().await?,
            _ => Vec::new(),
        };
        let config = Element::new(NETCONF, "config").with(express(edit, &before)?);
        self.edit_config(&config.to_xml()).await
    }

    /// Sends a `<config>` element as it is (RFC 6241 §7.2).
    pub async fn edit_config(&mut self, config: &str) -> Result<(), ManagerError> {
        let body = format!("<edit-config><target><running/></target>{config}</edit-config>");
        match self.ask("edit-config", &body).await? {
            Reply::Ok { .. } => Ok(()),
            Reply::Data(_) => Err(ReplyError::Empty { found: Some("data".to_owned()) }.into()),
        }
    }

    /// The running configuration.
    pub async fn configuration(&mut self) -> Result<Vec<Element>, ManagerError> {
        let body = "<get-config><source><running/></source></get-config>";
        match self.ask("get-config", body).await? {
            Reply::Data(data) => {
                let reply = Element::parse(data.bytes())?;
                Ok(reply.child("data").map(|data| data.children.clone()).unwrap_or_default())
            }
            Reply::Ok { .. } => Err(ReplyError::Empty { found: Some("ok".to_owned()) }.into()),
        }
    }

    /// Ends the session.
    pub async fn close(mut self) -> Result<(), ManagerError> {
        self.ask("close-session", "<close-session/>").await?;
        self.link.disconnect().await;
        Ok(())
    }

    async fn ask(&mut self, step: &'static str, body: &str) -> Result<Reply, ManagerError> {
        let id = self.next_id;
        self.next_id += 1;
        let message = format!("<rpc xmlns=\"{NETCONF}\" message-id=\"{id}\">{body}</rpc>");
        self.link.send(message.as_bytes(), step).await?;
        Ok(parse_reply(self.link.receive(step).await?, id)?)
    }
}

/// The edit as elements from the managed element down to what changes.
fn express(edit: &Edit, before: &[Element]) -> Result<Element, ManagerError> {
    let path = parse_dn(edit.object())?;
    let Some(((class, id), above)) = path.split_last() else {
        return Err(ManagerError::Edit(format!("`{}` names no object", edit.object())));
    };
    let namespace = class.namespace;
    let mut object = Element::new(namespace, class.name).with(Element::leaf(namespace, "id", *id));
    let mut container = Element::new(namespace, "attributes");
    match edit {
        Edit::Set { attribute, value, .. } => {
            let there = find(before, &path).and_then(|object| object.child("attributes"));
            container.children = express_value(class, attribute, value, there)?;
            object.children.push(container);
        }
        Edit::Unset { attribute, .. } => {
            let gone = leaf_of(class, attribute)?.marked(NETCONF, "operation", "delete");
            object.children.push(container.with(gone));
        }
        Edit::Create { attributes, .. } => {
            for (attribute, value) in attributes {
                container.children.extend(express_value(class, attribute, value, None)?);
            }
            object.children.push(container);
            object = object.marked(NETCONF, "operation", "create");
        }
        Edit::Delete { .. } => object = object.marked(NETCONF, "operation", "delete"),
    }
    Ok(above.iter().rev().fold(object, |inner, (class, id)| {
        Element::new(class.namespace, class.name).with(Element::leaf(class.namespace, "id", *id)).with(inner)
    }))
}

fn express_value(
    class: &Class,
    attribute: &str,
    value: &Value,
    there: Option<&Element>,
) -> Result<Vec<Element>, ManagerError> {
    let element = leaf_of(class, attribute)?;
    let structure = |fields: &[(String, String)]| {
        let mut entry = element.clone();
        entry.children =
            fields.iter().map(|(name, text)| Element::leaf(&element.namespace, name, text)).collect();
        // Keys come first and in the order of the `key` statement (RFC 7950 §7.8.5).
        if let Identity::Keys(keys) = schema::identity(attribute) {
            let place =
                |child: &Element| keys.iter().position(|key| *key == child.name).unwrap_or(keys.len());
            entry.children.sort_by_key(place);
        }
        entry
    };
    Ok(match value {
        Value::Text(text) => vec![Element { text: text.clone(), ..element }],
        Value::Fields(fields) => vec![structure(fields).marked(NETCONF, "operation", "replace")],
        Value::Entries(entries) => {
            let wanted: Vec<Element> = entries.iter().map(|fields| structure(fields)).collect();
            let present = there.map(|attributes| attributes.children.as_slice()).unwrap_or_default();
            let surplus = present
                .iter()
                .filter(|old| old.name == attribute && !wanted.iter().any(|new| new.same_instance(old)))
                .map(|old| old.plain().marked(NETCONF, "operation", "delete"));
            // Each wanted entry is moved to the end in turn, which leaves them in the wanted order.
            let placed = wanted.iter().map(|new| {
                new.clone().marked(NETCONF, "operation", "replace").marked(YANG, "insert", "last")
            });
            surplus.chain(placed).collect()
        }
    })
}

fn leaf_of(class: &Class, attribute: &str) -> Result<Element, ManagerError> {
    let field: &Field = schema::attribute(class, attribute)
        .ok_or_else(|| ManagerError::Edit(format!("{} has no attribute `{attribute}`", class.name)))?;
    Ok(Element::new(field.namespace.unwrap_or(class.namespace), field.name))
}

fn find<'a>(siblings: &'a [Element], path: &[(&Class, &str)]) -> Option<&'a Element> {
    let ((class, id), below) = path.split_first()?;
    let found = siblings.iter().find(|e| e.name == class.name && e.child_text("id") == Some(id))?;
    if below.is_empty() { Some(found) } else { find(&found.children, below) }
}

/// Class and id of each object from the managed element down.
fn parse_dn(dn: &str) -> Result<Vec<(&'static Class, &str)>, ManagerError> {
    let wrong = |why: &str| ManagerError::Edit(format!("`{dn}`: {why}"));
    let mut path: Vec<(&'static Class, &str)> = Vec::new();
    for rdn in dn.split(',') {
        let (name, id) = rdn.split_once('=').ok_or_else(|| wrong("an RDN is written Class=id"))?;
        if path.is_empty() && name != "ManagedElement" {
            continue;
        }
        let class = schema::class(name).ok_or_else(|| wrong("no such class"))?;
        if class.parent != path.last().map(|(above, _)| above.name) {
            return Err(wrong("a class does not stand where it may"));
        }
        path.push((class, id));
    }
    if path.is_empty() { Err(wrong("no ManagedElement in it")) } else { Ok(path) }
}
