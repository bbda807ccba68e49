//! A configuration as a tree of elements, read from and written to XML.

use collector::wire::xml::{Token, Walk, XmlError, escape};
use quick_xml::events::BytesStart;
use quick_xml::name::{NamespaceResolver, ResolveResult};

use crate::schema::{Identity, STATE, identity};

/// The namespace of edit operations (RFC 6241 §7.2).
pub const NETCONF: &str = collector::wire::BASE_NAMESPACE;
/// The namespace of declarations (Namespaces in XML §3); a prefix that stands in text needs one.
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// The namespace of `insert` (RFC 7950 §7.8.6).
pub const YANG: &str = "urn:ietf:params:xml:ns:yang:1";

/// One element. It has text or children, never both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Attributes as (namespace, local name, value), declarations left out.
    pub attributes: Vec<(String, String, String)>,
    /// Elements inside.
    pub children: Vec<Element>,
    /// Text inside, trimmed.
    pub text: String,
}

impl Element {
    /// An element without content.
    pub fn new(namespace: &str, name: &str) -> Element {
        Element { name: name.to_owned(), namespace: namespace.to_owned(), ..Element::default() }
    }

    /// An element with text.
    pub fn leaf(namespace: &str, name: &str, text: impl Into<String>) -> Element {
        Element { text: text.into(), ..Element::new(namespace, name) }
    }

    /// The same with one more child.
    #[must_use]
    pub fn with(mut self, child: Element) -> Element {
        self.children.push(child);
        self
    }

    /// The same with one more attribute.
    #[must_use]
    pub fn marked(mut self, namespace: &str, name: &str, value: &str) -> Element {
        self.attributes.push((namespace.to_owned(), name.to_owned(), value.to_owned()));
        self
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of that name, to change it.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// The value of an attribute.
    pub fn attribute(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, local, _)| n == namespace && local == name)
            .map(|(_, _, v)| v.as_str())
    }

    /// Text of the child of that name.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Whether two elements mean the same instance: name, namespace, and keys or value where siblings repeat.
    pub fn same_instance(&self, other: &Element) -> bool {
        self.name == other.name
            && self.namespace == other.namespace
            && match identity(&self.name) {
                Identity::Single => true,
                Identity::Value => self.text == other.text,
                Identity::Keys(keys) => keys
                    .iter()
                    .all(|key| self.child_text(key) == other.child_text(key) && self.child(key).is_some()),
            }
    }

    /// Without attributes, all the way down: what a datastore keeps of an edit.
    #[must_use]
    pub fn plain(&self) -> Element {
        Element {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            attributes: Vec::new(),
            children: self.children.iter().map(Element::plain).collect(),
            text: self.text.clone(),
        }
    }

    /// Without what the station works out itself, all the way down.
    #[must_use]
    pub fn without_state(&self) -> Element {
        let configured = self.children.iter().filter(|child| child.name != STATE);
        Element {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            attributes: self.attributes.clone(),
            children: configured.map(Element::without_state).collect(),
            text: self.text.clone(),
        }
    }

    /// Reads a document.
    pub fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
        let mut walk = Walk::document(bytes)?;
        let mut resolver = NamespaceResolver::default();
        // The virtual root collects the one real root.
        let mut open = vec![Element::default()];
        loop {
            match walk.token()? {
                (Token::Start(tag), range) => open.push(read_start(&tag, &mut resolver, range.start)?),
                (Token::Text(text), _) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text);
                    }
                }
                (Token::End, _) => {
                    resolver.pop();
                    if let (Some(mut done), Some(parent)) = (open.pop(), open.last_mut()) {
                        done.text = if done.children.is_empty() {
                            done.text.trim().to_owned()
                        } else {
                            String::new()
                        };
                        parent.children.push(done);
                    }
                }
                (Token::Done, range) => {
                    let root = open.pop().and_then(|mut outer| outer.children.pop());
                    let detail = "no element in the message".to_owned();
                    return root.ok_or(XmlError::Malformed { offset: range.end, detail });
                }
            }
        }
    }

    /// Writes the element, two spaces per level; `scope` is the default namespace around it.
    pub fn write(&self, xml: &mut String, scope: &str, level: usize) {
        indent(xml, level);
        xml.push('<');
        xml.push_str(&self.name);
        if self.namespace != scope {
            xml.push_str(&format!(" xmlns=\"{}\"", escape(&self.namespace)));
        }
        for (at, (namespace, name, value)) in self.attributes.iter().enumerate() {
            if namespace == XMLNS {
                xml.push_str(&format!(" xmlns:{name}=\"{}\"", escape(value)));
            } else if namespace.is_empty() {
                xml.push_str(&format!(" {name}=\"{}\"", escape(value)));
            } else {
                let uri = escape(namespace);
                xml.push_str(&format!(" xmlns:a{at}=\"{uri}\" a{at}:{name}=\"{}\"", escape(value)));
            }
        }
        if self.children.is_empty() && self.text.is_empty() {
            xml.push_str("/>\n");
            return;
        }
        xml.push('>');
        if self.children.is_empty() {
            xml.push_str(&escape(&self.text));
        } else {
            xml.push('\n');
            for child in &self.children {
                child.write(xml, &self.namespace, level + 1);
            }
            indent(xml, level);
        }
        xml.push_str(&format!("</{}>\n", self.name));
    }

    /// The element as text of its own.
    pub fn to_xml(&self) -> String {
        let mut xml = String::new();
        self.write(&mut xml, "", 0);
        xml
    }
}

fn indent(xml: &mut String, level: usize) {
    for _ in 0..level {
        xml.push_str("  ");
    }
}

fn read_start(
    tag: &BytesStart<'_>,
    resolver: &mut NamespaceResolver,
    offset: usize,
) -> Result<Element, XmlError> {
    let malformed = |detail: String| XmlError::Malformed { offset, detail };
    resolver.push(tag).map_err(|e| malformed(e.to_string()))?;
    let resolved = |result: ResolveResult<'_>| match result {
        // The resolver keeps a declaration's text as it stands in the document.
        ResolveResult::Bound(namespace) => quick_xml::escape::unescape(namespace.0)
            .map(std::borrow::Cow::into_owned)
            .map_err(|e| malformed(e.to_string())),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(prefix) => Err(malformed(format!("prefix `{prefix}` is not declared"))),
    };
    let (namespace, local) = resolver.resolve_element(tag.name());
    let mut element = Element::new(&resolved(namespace)?, local.into_inner());
    for attribute in tag.attributes().flatten() {
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (namespace, local) = resolver.resolve_attribute(attribute.key);
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|e| malformed(e.to_string()))?;
        element.attributes.push((resolved(namespace)?, local.into_inner().to_owned(), value.into_owned()));
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_reads_back() {
        let element = Element::new("urn:a", "top").with(Element::leaf("urn:a", "k", "x < y & \"z\"")).with(
            Element::new("urn:b", "other")
                .marked(NETCONF, "operation", "delete")
                .with(Element::new("", "none")),
        );
        assert_eq!(Element::parse(element.to_xml().as_bytes()).unwrap(), element);
    }

    #[test]
    fn prefixes_are_resolved_and_undeclared_ones_refused() {
        let element = Element::parse(b"<p:a xmlns:p='urn:p' p:x='1' y='2'><b/></p:a>").unwrap();
        assert_eq!((element.namespace.as_str(), element.children[0].namespace.as_str()), ("urn:p", ""));
        assert_eq!((element.attribute("urn:p", "x"), element.attribute("", "y")), (Some("1"), Some("2")));
        assert!(Element::parse(b"<q:a/>").is_err());
    }

    #[test]
    fn instances_are_told_apart_by_their_keys() {
        let cell = |id: &str| Element::new("n", "NRCellDU").with(Element::leaf("n", "id", id));
        assert!(cell("1").same_instance(&cell("1")) && !cell("1").same_instance(&cell("2")));
        assert!(!Element::new("n", "NRCellDU").same_instance(&Element::new("n", "NRCellDU")));
        assert!(Element::leaf("n", "nRPCI", "1").same_instance(&Element::leaf("n", "nRPCI", "2")));
    }

    fn any_element() -> impl Strategy<Value = Element> {
        let name = prop::sample::select(vec!["a", "NRCellDU", "pLMNInfoList", "id"]);
        let namespace = prop::sample::select(vec!["", "urn:a", "urn:b?x=1&y='2'"]);
        let leaf = (name, namespace, "[ -~é]{0,12}")
            .prop_map(|(name, namespace, text)| Element::leaf(namespace, name, text.trim()));
        leaf.prop_recursive(4, 40, 5, |inner| {
            (inner.clone(), prop::collection::vec(inner, 0..5)).prop_map(|(outer, children)| {
                let text = if children.is_empty() { outer.text.clone() } else { String::new() };
                Element { children, text, attributes: Vec::new(), ..outer }
                    .marked(NETCONF, "operation", "<&>")
                    .marked("", "y", "\"'")
            })
        })
    }

    proptest! {
        #[test]
        fn any_tree_reads_back(element in any_element()) {
            prop_assert_eq!(Element::parse(element.to_xml().as_bytes()).unwrap(), element);
        }
    }
}
