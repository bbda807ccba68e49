//! `<edit-config>` on a tree (RFC 6241 §7.2), and what the schema allows.
//!
//! An edit is applied to a copy in document order; the copy replaces the configuration only when every
//! operation succeeded and the result is valid, so an edit happens whole or not at all.

use crate::rpc::OperationError;
use crate::schema::{self, Class, Field, Identity, Kind, STATE, identity};
use crate::tree::{Element, NETCONF, YANG};

/// What happens to an element (RFC 6241 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Create what is missing, keep what is there.
    Merge,
    /// Put this in the place of what is there.
    Replace,
    /// Create; it must not exist.
    Create,
    /// Delete; it must exist.
    Delete,
    /// Delete if it exists.
    Remove,
    /// Only look for operations further inside.
    None,
}

impl Operation {
    fn from_name(name: &str) -> Option<Operation> {
        Some(match name {
            "merge" => Operation::Merge,
            "replace" => Operation::Replace,
            "create" => Operation::Create,
            "delete" => Operation::Delete,
            "remove" => Operation::Remove,
            "none" => Operation::None,
            _ => return None,
        })
    }
}

/// Applies `<edit-config>`'s `config` and checks the result.
///
/// # Errors
/// The `rpc-error` to answer: data-exists, data-missing, bad-attribute, unknown-element, invalid-value,
/// operation-not-supported.
pub fn apply(current: &[Element], config: &Element, default: &str) -> Result<Vec<Element>, OperationError> {
    let mut tree = current.to_vec();
    let inherited = match default {
        "merge" => Operation::Merge,
        "none" => Operation::None,
        // The datastore's content is replaced as a whole (RFC 6241 §7.2, default-operation).
        "replace" => {
            tree.clear();
            Operation::Merge
        }
        other => return Err(OperationError::new("invalid-value", format!("default-operation `{other}`"))),
    };
    for edit in &config.children {
        apply_one(&mut tree, edit, inherited, "")?;
    }
    for element in &mut tree {
        follow_state(element);
    }
    validate(&tree)?;
    Ok(tree)
}

fn apply_one(
    siblings: &mut Vec<Element>,
    edit: &Element,
    inherited: Operation,
    parent: &str,
) -> Result<(), OperationError> {
    let path = path_below(parent, edit);
    let operation = match edit.attribute(NETCONF, "operation") {
        None => inherited,
        Some(name) => Operation::from_name(name)
            .filter(|operation| *operation != Operation::None)
            .ok_or_else(|| OperationError::new("bad-attribute", format!("operation `{name}`")).at(&path))?,
    };
    let found = siblings.iter().position(|sibling| sibling.same_instance(edit));
    match (operation, found) {
        (Operation::Delete | Operation::Remove, Some(at)) => {
            siblings.remove(at);
        }
        (Operation::Remove, None) => {}
        (Operation::Delete | Operation::None, None) => {
            return Err(OperationError::new("data-missing", "nothing there to change").at(&path));
        }
        (Operation::Create, Some(_)) => {
            return Err(OperationError::new("data-exists", "it exists already").at(&path));
        }
        (Operation::Create | Operation::Replace, _) => {
            let at = found.unwrap_or_else(|| place_for(siblings, edit));
            if found.is_some() {
                siblings.remove(at);
            }
            siblings.insert(at, edit.plain());
            return insert(siblings, at, edit, &path);
        }
        (Operation::Merge | Operation::None, found) => {
            let at = found.unwrap_or_else(|| place_for(siblings, edit));
            if found.is_none() {
                siblings.insert(at, Element::new(&edit.namespace, &edit.name));
            }
            if let Some(existing) = siblings.get_mut(at) {
                merge(existing, edit, operation, &path)?;
            }
            return insert(siblings, at, edit, &path);
        }
    }
    Ok(())
}

fn merge(
    existing: &mut Element,
    edit: &Element,
    operation: Operation,
    path: &str,
) -> Result<(), OperationError> {
    if operation == Operation::Merge && edit.children.is_empty() {
        existing.text.clone_from(&edit.text);
    }
    let keys = match identity(&edit.name) {
        Identity::Keys(keys) => keys,
        Identity::Single | Identity::Value => &[],
    };
    for child in &edit.children {
        // A key names the instance; it is never edited (RFC 7950 §7.8.5).
        let inherited = if keys.contains(&child.name.as_str()) { Operation::Merge } else { operation };
        apply_one(&mut existing.children, child, inherited, path)?;
    }
    Ok(())
}

/// Where a new element goes: behind the last of its name, else at the end.
fn place_for(siblings: &[Element], edit: &Element) -> usize {
    siblings.iter().rposition(|sibling| sibling.name == edit.name).map_or(siblings.len(), |at| at + 1)
}

/// Moves an entry of an ordered list as `insert` asks (RFC 7950 §7.8.6).
fn insert(siblings: &mut Vec<Element>, at: usize, edit: &Element, path: &str) -> Result<(), OperationError> {
    let Some(place) = edit.attribute(YANG, "insert") else { return Ok(()) };
    if at >= siblings.len() {
        return Ok(());
    }
    let entry = siblings.remove(at);
    let same = |sibling: &Element| sibling.name == edit.name;
    let to = match place {
        "first" => siblings.iter().position(same),
        "last" => siblings.iter().rposition(same).map(|last| last + 1),
        other => {
            let text = format!("insert `{other}`: this station moves entries to `first` or `last`");
            return Err(OperationError::new("operation-not-supported", text).at(path));
        }
    };
    siblings.insert(to.unwrap_or(at).min(siblings.len()), entry);
    Ok(())
}

/// A locked cell is out of service: the volatile state follows the configured one.
fn follow_state(object: &mut Element) {
    for child in &mut object.children {
        follow_state(child);
    }
    if let Some(attributes) = object.child_mut("attributes") {
        let locked = attributes.child_text("administrativeState") == Some("LOCKED");
        if let Some(state) = attributes.child_mut(STATE) {
            state.text = if locked { "DISABLED" } else { "ENABLED" }.to_owned();
        }
    }
}

/// Checks a whole configuration against the schema.
///
/// # Errors
/// unknown-element, unknown-namespace, invalid-value, missing-element with the path of the element.
pub fn validate(tree: &[Element]) -> Result<(), OperationError> {
    tree.iter().try_for_each(|element| validate_object(element, None, ""))
}

fn validate_object(element: &Element, parent: Option<&Class>, above: &str) -> Result<(), OperationError> {
    let path = path_below(above, element);
    let class = schema::class(&element.name)
        .filter(|class| class.parent == parent.map(|parent| parent.name))
        .ok_or_else(|| OperationError::new("unknown-element", "no such class here").at(&path))?;
    check_namespace(element, class.namespace, &path)?;
    if element.child_text("id").is_none_or(str::is_empty) {
        return Err(OperationError::new("missing-element", "an object needs an `id`").at(&path));
    }
    for child in &element.children {
        match child.name.as_str() {
            "id" | "attributes" => {
                check_namespace(child, class.namespace, &path)?;
                for attribute in &child.children {
                    let below = path_below(&path, child);
                    let field =
                        schema::attribute(class, &attribute.name).filter(|_| child.name == "attributes");
                    validate_field(attribute, field, class.namespace, &below)?;
                }
            }
            _ => validate_object(child, Some(class), &path)?,
        }
    }
    Ok(())
}

fn validate_field(
    element: &Element,
    field: Option<&Field>,
    namespace: &str,
    above: &str,
) -> Result<(), OperationError> {
    let path = path_below(above, element);
    let field =
        field.ok_or_else(|| OperationError::new("unknown-element", "no such attribute here").at(&path))?;
    check_namespace(element, field.namespace.unwrap_or(namespace), &path)?;
    let text = element.text.as_str();
    let valid = match field.kind {
        Kind::Fields(fields) | Kind::Entries(_, fields) => {
            for child in &element.children {
                let field = fields.iter().find(|field| field.name == child.name);
                validate_field(child, field, namespace, &path)?;
            }
            text.is_empty()
        }
        Kind::Text | Kind::Texts => element.children.is_empty() && !text.is_empty(),
        Kind::Integer(low, high) => text.parse::<i64>().is_ok_and(|n| (low..=high).contains(&n)),
        Kind::Word(words) => words.contains(&text),
    };
    if valid {
        Ok(())
    } else {
        let kind = field.kind;
        let shown: String = text.chars().take(40).collect();
        Err(OperationError::new("invalid-value", format!("`{shown}` is no value of {}", words(kind)))
            .at(&path))
    }
}

fn words(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Texts => "a text".to_owned(),
        Kind::Integer(low, high) => format!("an integer in {low}..{high}"),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
        Kind::Fields(_) | Kind::Entries(..) => "a structure".to_owned(),
    }
}

fn check_namespace(element: &Element, expected: &str, path: &str) -> Result<(), OperationError> {
    if element.namespace == expected {
        Ok(())
    } else {
        let text = format!("namespace `{}`, expected `{expected}`", element.namespace);
        Err(OperationError::new("unknown-namespace", text).at(path))
    }
}

/// A path for people and for `error-path`: names with the `id` where there is one.
fn path_below(parent: &str, element: &Element) -> String {
    match element.child_text("id") {
        Some(id) => format!("{parent}/{}[id='{id}']", element.name),
        None => format!("{parent}/{}", element.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StationPlan;
    use crate::objects::changes;
    use crate::schema::{MANAGED_ELEMENT, NR, OVERLAY};

    fn tree() -> Vec<Element> {
        vec![StationPlan { seed: 1, station: 1, stations: 1, cells: 2, west: 0 }.configuration()]
    }

    /// Wraps an edit of something below the first GNBDUFunction.
    fn below_unit(inner: &str) -> Element {
        let text = format!(
            "<config xmlns:nc='{NETCONF}' xmlns:y='{YANG}'><ManagedElement xmlns='{MANAGED_ELEMENT}'><id>gnb-0001</id>\
             <GNBDUFunction xmlns='{NR}'><id>1</id>{inner}</GNBDUFunction></ManagedElement></config>"
        );
        Element::parse(text.as_bytes()).unwrap()
    }

    fn outcome(inner: &str) -> Result<Vec<String>, String> {
        let old = tree();
        let new = apply(&old, &below_unit(inner), "merge").map_err(|e| e.tag.to_owned())?;
        let short = |dn: &str| dn.rsplit(',').next().unwrap_or_default().to_owned();
        Ok(changes(&old, &new)
            .iter()
            .map(|c| format!("{} {} {}", c.operation, short(&c.object), c.attribute))
            .collect())
    }

    #[test]
    fn merge_changes_one_leaf() {
        let edit = "<NRCellDU><id>2</id><attributes><nRPCI>77</nRPCI></attributes></NRCellDU>";
        assert_eq!(outcome(edit).unwrap(), ["replace NRCellDU=2 nRPCI"]);
    }

    #[test]
    fn locking_a_cell_takes_it_out_of_service() {
        let edit = "<NRCellDU><id>1</id><attributes><administrativeState>LOCKED</administrativeState></attributes></NRCellDU>";
        assert_eq!(
            outcome(edit).unwrap(),
            ["replace NRCellDU=1 administrativeState", "replace NRCellDU=1 operationalState"]
        );
    }

    #[test]
    fn delete_create_remove_follow_existence() {
        let cell = |operation: &str, id: &str| {
            format!("<NRCellDU nc:operation='{operation}'><id>{id}</id></NRCellDU>")
        };
        assert_eq!(outcome(&cell("delete", "2")).unwrap(), ["delete NRCellDU=2 @object"]);
        assert_eq!(outcome(&cell("delete", "9")).unwrap_err(), "data-missing");
        assert_eq!(outcome(&cell("remove", "9")).unwrap(), [""; 0]);
        assert_eq!(outcome(&cell("create", "1")).unwrap_err(), "data-exists");
        assert_eq!(outcome(&cell("create", "3")).unwrap(), ["create NRCellDU=3 @object"]);
        assert_eq!(outcome(&cell("explode", "3")).unwrap_err(), "bad-attribute");
    }

    #[test]
    fn replace_drops_what_the_edit_lacks() {
        let edit = "<NRSectorCarrier nc:operation='replace'><id>1</id><attributes><txDirection>DL</txDirection></attributes></NRSectorCarrier>";
        assert_eq!(outcome(edit).unwrap().len(), 7);
    }

    #[test]
    fn entries_move_to_the_end() {
        let edit = "<NRCellDU><id>1</id><attributes><pLMNInfoList y:insert='last'><mcc>460</mcc><mnc>11</mnc><sst>1</sst><sd>FFFFFF</sd></pLMNInfoList></attributes></NRCellDU>";
        assert_eq!(outcome(edit).unwrap(), ["replace NRCellDU=1 pLMNInfoList"]);
        let again = edit.replace("last", "first");
        assert_eq!(outcome(&again).unwrap(), [""; 0]);
        assert_eq!(outcome(&edit.replace("last", "before")).unwrap_err(), "operation-not-supported");
    }

    #[test]
    fn entries_inside_a_structure_are_told_apart_by_value() {
        let old = tree();
        let edit = below_unit(&format!(
            "<attributes><synchronisation xmlns='{OVERLAY}'><sourcePriority nc:operation='delete'>GNSS</sourcePriority>\
             <sourcePriority>FREERUNNING</sourcePriority></synchronisation></attributes>"
        ));
        let found = changes(&old, &apply(&old, &edit, "merge").unwrap());
        let [change] = found.as_slice() else { panic!("{found:?}") };
        let sources = |value: &Option<serde_json::Value>| value.as_ref().unwrap()["sourcePriority"].clone();
        assert_eq!(change.attribute, "synchronisation");
        assert_eq!(sources(&change.old), serde_json::json!(["GNSS", "PTP"]));
        assert_eq!(sources(&change.new), serde_json::json!(["PTP", "FREERUNNING"]));
    }

    #[test]
    fn invalid_edits_change_nothing_and_name_the_place() {
        let old = tree();
        let edit = below_unit(
            "<NRCellDU><id>1</id><attributes><nRTAC>5</nRTAC></attributes></NRCellDU>\
             <NRCellDU><id>2</id><attributes><nRPCI>1008</nRPCI></attributes></NRCellDU>",
        );
        let error = apply(&old, &edit, "merge").unwrap_err();
        assert_eq!(error.tag, "invalid-value");
        assert!(error.path.unwrap().ends_with("NRCellDU[id='2']/attributes/nRPCI"));
        assert_eq!(
            outcome("<NRCellDU><id>1</id><attributes><colour>red</colour></attributes></NRCellDU>")
                .unwrap_err(),
            "unknown-element"
        );
        assert_eq!(outcome("<NRCellCU><id>1</id></NRCellCU>").unwrap_err(), "unknown-element");
        assert_eq!(
            outcome("<NRCellDU xmlns='urn:x'><id>7</id></NRCellDU>").unwrap_err(),
            "unknown-namespace"
        );
        assert_eq!(outcome("<NRCellDU/>").unwrap_err(), "missing-element");
    }

    #[test]
    fn default_operation_none_only_looks_inside() {
        let old = tree();
        let edit = below_unit("<NRCellDU><id>9</id></NRCellDU>");
        assert_eq!(apply(&old, &edit, "none").unwrap_err().tag, "data-missing");
        let edit = below_unit(
            "<NRCellDU><id>1</id><attributes><nRPCI nc:operation='replace'>9</nRPCI></attributes></NRCellDU>",
        );
        assert_eq!(changes(&old, &apply(&old, &edit, "none").unwrap()).len(), 1);
        assert_eq!(apply(&old, &edit, "odd").unwrap_err().tag, "invalid-value");
    }
}
