//! Approved state: what the operators agreed a station's configuration to be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diff::{Edit, OBJECT};
use crate::dn::Dn;
use crate::snapshot::{Object, Snapshot};
use crate::value::Value;

/// An approved attribute value and where its approval stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedValue {
    pub value: Value,
    /// The request that approved it: a baseline or a change.
    pub request: String,
    /// Height at which that request became final.
    pub height: u64,
}

/// Jointly approved baseline plus executed approvals of one station. Advances when an authorised edit is
/// observed, not when it is approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovedState {
    objects: BTreeMap<Dn, BTreeMap<String, ApprovedValue>>,
}

/// Where current state is not what was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// From approved (`old`) to current (`new`).
    pub edit: Edit,
    /// The request that approved the old value, if there was one.
    pub approved_by: Option<String>,
}

impl ApprovedState {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn insert_object(&mut self, object: Dn) {
        self.objects.entry(object).or_default();
    }

    pub fn insert(&mut self, object: Dn, attribute: String, value: ApprovedValue) {
        self.objects.entry(object).or_default().insert(attribute, value);
    }

    pub fn get(&self, object: &Dn, attribute: &str) -> Option<&ApprovedValue> {
        self.objects.get(object)?.get(attribute)
    }

    pub fn contains(&self, object: &Dn) -> bool {
        self.objects.contains_key(object)
    }

    /// Objects with their attributes, sorted by DN.
    pub fn objects(&self) -> &BTreeMap<Dn, BTreeMap<String, ApprovedValue>> {
        &self.objects
    }

    /// The approved value of an attribute, or of [`OBJECT`] the structure of all attributes.
    pub fn value(&self, object: &Dn, attribute: &str) -> Option<Value> {
        let attributes = self.objects.get(object)?;
        if attribute == OBJECT {
            return Some(Value::Fields(
                attributes.iter().map(|(n, v)| (n.clone(), v.value.clone())).collect(),
            ));
        }
        attributes.get(attribute).map(|v| v.value.clone())
    }

    /// Moves the approved state by one authorised edit (its `new` becomes approved).
    pub fn advance(&mut self, edit: &Edit, request: &str, height: u64) {
        let approve =
            |value: &Value| ApprovedValue { value: value.clone(), request: request.to_owned(), height };
        match (edit.attribute.as_str(), &edit.new) {
            (OBJECT, None) => {
                self.objects.remove(&edit.object);
            }
            (OBJECT, Some(value)) => {
                let fields = match value {
                    Value::Fields(fields) => fields.iter().map(|(n, v)| (n.clone(), approve(v))).collect(),
                    _ => BTreeMap::new(),
                };
                self.objects.insert(edit.object.clone(), fields);
            }
            (name, None) => {
                if let Some(attributes) = self.objects.get_mut(&edit.object) {
                    attributes.remove(name);
                }
            }
            (name, Some(value)) => self.insert(edit.object.clone(), name.to_owned(), approve(value)),
        }
    }

    /// Follows the [`respellings`](crate::respellings) of a station's last reply: what was approved and stood in it is
    /// approved in its new spelling, by the same request. Gives the edits that moved something, with that request and its
    /// height. An approved value that the reply did not hold keeps its spelling: nothing tells the other.
    pub fn respell(&mut self, edits: &[Edit]) -> Vec<(Edit, String, u64)> {
        let mut moved = Vec::new();
        for edit in edits.iter().filter(|edit| edit.attribute != OBJECT) {
            let Some(attributes) = self.objects.get(&edit.object) else { continue };
            let approved = attributes.get(&edit.attribute);
            if approved.map(|approved| &approved.value) != edit.old.as_ref() {
                continue;
            }
            // A default that the schema fills in was approved with the object that it belongs to; one without attributes
            // does not say by what, and the station's first approval stands for it.
            let any = || self.objects.values().find_map(|attributes| attributes.values().next());
            let Some(by) = approved.or_else(|| attributes.values().next()).or_else(any) else { continue };
            let (request, height) = (by.request.clone(), by.height);
            self.advance(edit, &request, height);
            moved.push((edit.clone(), request, height));
        }
        moved
    }

    /// Every (object, attribute) where approved and current differ, sorted. A created or deleted object is one
    /// difference on [`OBJECT`] and subsumes its attributes.
    pub fn differences(&self, current: &Snapshot) -> Vec<Difference> {
        let mut out = Vec::new();
        for dn in self.objects.keys() {
            self.differences_of(dn, current.object(dn), &mut out);
        }
        for object in current.objects().iter().filter(|object| !self.objects.contains_key(object.dn())) {
            self.differences_of(object.dn(), Some(object), &mut out);
        }
        sort(&mut out);
        out
    }

    /// [`ApprovedState::differences`] where they were `before`, what is approved is what it was, and of the configuration
    /// only these objects moved.
    pub fn differences_again<'a>(
        &self,
        current: &Snapshot,
        before: &[Difference],
        moved: impl IntoIterator<Item = &'a Dn>,
    ) -> Vec<Difference> {
        let moved: BTreeSet<&Dn> = moved.into_iter().collect();
        let stand = before.iter().filter(|difference| !moved.contains(&difference.edit.object));
        let mut out: Vec<Difference> = stand.cloned().collect();
        for dn in moved {
            self.differences_of(dn, current.object(dn), &mut out);
        }
        sort(&mut out);
        out
    }

    /// Where an object, `None` if there is none, differs from what is approved of it.
    fn differences_of(&self, dn: &Dn, object: Option<&Object>, out: &mut Vec<Difference>) {
        let (attributes, object) = match (self.objects.get(dn), object) {
            (None, None) => return,
            (Some(_), None) => return self.push(out, dn, OBJECT, self.value(dn, OBJECT).as_ref(), None),
            (None, Some(object)) => return self.push(out, dn, OBJECT, None, Some(&object.as_value())),
            (Some(attributes), Some(object)) => (attributes, object),
        };
        for (name, approved) in attributes {
            self.push(out, dn, name, Some(&approved.value), object.attribute(name));
        }
        for (name, value) in object.attributes() {
            if !attributes.contains_key(name) {
                self.push(out, dn, name, None, Some(value));
            }
        }
    }

    fn push(&self, out: &mut Vec<Difference>, dn: &Dn, name: &str, old: Option<&Value>, new: Option<&Value>) {
        let approved_by = match name {
            OBJECT => self.objects.get(dn).and_then(|a| a.values().next()).map(|v| v.request.clone()),
            name => self.get(dn, name).map(|v| v.request.clone()),
        };
        out.extend(Edit::between(dn, name, old, new).map(|edit| Difference { edit, approved_by }));
    }
}

fn sort(differences: &mut [Difference]) {
    differences.sort_by(|a, b| (&a.edit.object, &a.edit.attribute).cmp(&(&b.edit.object, &b.edit.attribute)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Digest, Interpretation};

    fn snapshot(objects: &[(&str, &[(&str, &str)])]) -> Snapshot {
        let objects = objects.iter().map(|(dn, attributes)| {
            let attributes = attributes.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect();
            Object::new(dn.parse().unwrap(), attributes, vec![])
        });
        Snapshot::new(Interpretation::new("none", &Digest::of(b"p")), objects.collect(), vec![])
    }

    fn approved(of: &Snapshot) -> ApprovedState {
        let mut state = ApprovedState::default();
        for object in of.objects() {
            state.insert_object(object.dn().clone());
            for (name, value) in object.attributes() {
                let value = ApprovedValue { value: value.clone(), request: "BL-1".into(), height: 3 };
                state.insert(object.dn().clone(), name.clone(), value);
            }
        }
        state
    }

    #[test]
    fn differences_close_once_the_state_has_advanced_by_them() {
        let before = snapshot(&[("A=1", &[("x", "1"), ("y", "2")]), ("B=1", &[("z", "1")])]);
        let after = snapshot(&[("A=1", &[("x", "9"), ("w", "2")]), ("C=1", &[("z", "1")])]);
        let mut state = approved(&before);
        assert!(state.differences(&before).is_empty());
        let differences = state.differences(&after);
        let names: Vec<_> =
            differences.iter().map(|d| format!("{} {}", d.edit.object, d.edit.attribute)).collect();
        assert_eq!(names, ["A=1 w", "A=1 x", "A=1 y", "B=1 @object", "C=1 @object"]);
        assert_eq!(differences[1].approved_by.as_deref(), Some("BL-1"));
        for difference in &differences {
            state.advance(&difference.edit, "CR-1", 7);
        }
        assert!(state.differences(&after).is_empty());
        assert_eq!(state.get(&"A=1".parse().unwrap(), "x").unwrap().height, 7);
    }

    #[test]
    fn a_new_spelling_of_what_was_approved_is_approved_and_of_anything_else_is_not() {
        let reply = snapshot(&[("A=1", &[("x", "7.50"), ("y", "2.0")]), ("B=1", &[])]);
        let canonical =
            snapshot(&[("A=1", &[("x", "7.5"), ("y", "2"), ("d", "20")]), ("B=1", &[("d", "20")])]);
        let mut state = approved(&reply);
        // It went from 3.0 to 2.0 and nobody allowed it.
        let other = ApprovedValue { value: Value::from("3.0"), request: "CR-1".into(), height: 5 };
        state.insert("A=1".parse().unwrap(), "y".into(), other);
        let moved = state.respell(&crate::respellings(&reply, &canonical));
        let names: Vec<_> = moved
            .iter()
            .map(|(edit, request, height)| (edit.attribute.as_str(), &**request, *height))
            .collect();
        assert_eq!(names, [("d", "BL-1", 3), ("x", "BL-1", 3), ("d", "BL-1", 3)]);
        let left: Vec<_> =
            state.differences(&canonical).iter().map(|d| d.edit.qualified_attribute()).collect();
        assert_eq!(left, ["A.y"]);
    }
}
