//! Rights over an edit: those over its attribute, or over a whole object and everything in it.

use std::collections::BTreeSet;

use model::{Agreement, Dn, Edit, OBJECT, Value};

/// Who may change, and who must approve, what an edit touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rights {
    pub may_change: BTreeSet<String>,
    pub must_approve: BTreeSet<String>,
}

impl Rights {
    /// Creating or deleting an object needs the rights over the object and over each of its attributes;
    /// otherwise an attribute that needs approval could be set by creating its object anew.
    pub fn over(agreement: &Agreement, edit: &Edit) -> Rights {
        let object = &edit.object;
        let mut rights = Rights::over_attribute(agreement, object, &edit.attribute);
        if edit.attribute == OBJECT {
            for name in names(&edit.old).chain(names(&edit.new)) {
                let one = Rights::over_attribute(agreement, object, name);
                rights.may_change.retain(|member| one.may_change.contains(member));
                rights.must_approve.extend(one.must_approve);
            }
        }
        rights
    }

    fn over_attribute(agreement: &Agreement, object: &Dn, attribute: &str) -> Rights {
        Rights {
            may_change: agreement.may_change(object, attribute),
            must_approve: agreement.must_approve(object, attribute),
        }
    }

    /// Whether every operator must approve: common resources are judged singly, never by class.
    pub fn is_common(&self, agreement: &Agreement) -> bool {
        agreement.operators().all(|party| self.must_approve.contains(&party.id))
    }
}

fn names(value: &Option<Value>) -> impl Iterator<Item = &str> {
    let fields = match value {
        Some(Value::Fields(fields)) => Some(fields),
        _ => None,
    };
    fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}
