//! A tree seen as objects and attributes, as the journal records it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::District;
use crate::schema::{Identity, class, identity};
use crate::tree::Element;

/// The attributes of an object by name; a repeated attribute is one array, in order.
pub type Attributes = BTreeMap<String, Value>;

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// DN of the object.
    pub object: String,
    /// The attribute, or `@object` for the object as a whole.
    pub attribute: String,
    /// `create`, `replace` or `delete`.
    pub operation: &'static str,
    /// The value before.
    pub old: Option<Value>,
    /// The value after.
    pub new: Option<Value>,
}

/// Every object below (and including) a managed element, by DN, which begins as the element's `dnPrefix` says.
pub fn objects(root: &Element) -> BTreeMap<String, Attributes> {
    let prefix = root.child("attributes").and_then(|attributes| attributes.child_text("dnPrefix"));
    let mut found = BTreeMap::new();
    collect(root, prefix.unwrap_or(District::East.subnetwork()), &mut found);
    found
}

fn collect(element: &Element, parent: &str, found: &mut BTreeMap<String, Attributes>) {
    let dn = format!("{parent},{}={}", element.name, element.child_text("id").unwrap_or_default());
    let attributes = element.child("attributes").map(|container| values(&container.children));
    for child in element.children.iter().filter(|child| class(&child.name).is_some()) {
        collect(child, &dn, found);
    }
    found.insert(dn, attributes.unwrap_or_default());
}

/// What elements side by side hold, by name.
fn values(elements: &[Element]) -> Attributes {
    let mut values = Attributes::new();
    for element in elements {
        let value = value_of(element);
        match identity(&element.name) {
            Identity::Single => {
                values.insert(element.name.clone(), value);
            }
            Identity::Keys(_) | Identity::Value => {
                let entries = values.entry(element.name.clone()).or_insert_with(|| json!([]));
                if let Value::Array(entries) = entries {
                    entries.push(value);
                }
            }
        }
    }
    values
}

fn value_of(element: &Element) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text.clone());
    }
    let fields: Map<String, Value> = values(&element.children).into_iter().collect();
    Value::Object(fields)
}

/// What changed from one configuration to the other, in the order of DNs.
pub fn changes(old: &[Element], new: &[Element]) -> Vec<Change> {
    let old: BTreeMap<_, _> = old.iter().flat_map(objects).collect();
    let new: BTreeMap<_, _> = new.iter().flat_map(objects).collect();
    let mut found = Vec::new();
    for dn in old.keys().chain(new.keys().filter(|dn| !old.contains_key(*dn))) {
        match (old.get(dn), new.get(dn)) {
            (Some(before), Some(after)) => attribute_changes(dn, before, after, &mut found),
            (before, after) => found.push(Change {
                object: dn.clone(),
                attribute: "@object".to_owned(),
                operation: if after.is_some() { "create" } else { "delete" },
                old: before.map(|b| json!(b)),
                new: after.map(|a| json!(a)),
            }),
        }
    }
    found
}

fn attribute_changes(dn: &str, before: &Attributes, after: &Attributes, found: &mut Vec<Change>) {
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(name).cloned(), after.get(name).cloned());
        if old == new {
            continue;
        }
        let operation = match (&old, &new) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "replace",
        };
        found.push(Change { object: dn.to_owned(), attribute: name.clone(), operation, old, new });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StationPlan;

    #[test]
    fn changes_name_object_attribute_and_both_values() {
        let old = StationPlan { seed: 1, station: 1, stations: 1, cells: 2, west: 0 }.configuration();
        let mut new = old.clone();
        let unit = new.child_mut("GNBDUFunction").unwrap();
        let entries = &mut unit.children[2].child_mut("attributes").unwrap().children;
        entries.swap(3, 4);
        unit.children.remove(3);
        let found = changes(&[old], &[new]);
        let brief: Vec<_> =
            found.iter().map(|c| (c.object.as_str(), c.attribute.as_str(), c.operation)).collect();
        let cell = "SubNetwork=bj-east,ManagedElement=gnb-0001,GNBDUFunction=1,NRCellDU";
        assert_eq!(
            brief,
            [
                (format!("{cell}=1").as_str(), "pLMNInfoList", "replace"),
                (format!("{cell}=2").as_str(), "@object", "delete"),
            ]
        );
        assert_eq!(found[0].old.as_ref().unwrap()[0]["mnc"], "11");
        assert_eq!(found[0].new.as_ref().unwrap()[0]["mnc"], "01");
    }
}
