//! Subtree filtering (RFC 6241 §6).

use crate::schema::{Identity, identity};
use crate::tree::Element;

/// The part of the configuration a filter selects.
pub fn select(tree: &[Element], filter: &Element) -> Vec<Element> {
    // An empty filter selects nothing (RFC 6241 §6.4.2).
    select_children(tree, &filter.children)
}

fn select_children(data: &[Element], filters: &[Element]) -> Vec<Element> {
    data.iter()
        .filter_map(|element| {
            // Several filter nodes for one element add up (RFC 6241 §6.3).
            filters.iter().filter_map(|filter| select_one(element, filter)).reduce(unite)
        })
        .collect()
}

/// A filter without namespace matches in any (RFC 6241 §6.2.1), as does one in the envelope's own.
fn names_match(element: &Element, filter: &Element) -> bool {
    let any = filter.namespace.is_empty() || filter.namespace == collector::wire::BASE_NAMESPACE;
    element.name == filter.name && (any || element.namespace == filter.namespace)
}

fn select_one(element: &Element, filter: &Element) -> Option<Element> {
    if !names_match(element, filter) {
        return None;
    }
    if filter.children.is_empty() {
        // A selection node, or a content match on a leaf (RFC 6241 §6.2.4, §6.2.5).
        return (filter.text.is_empty() || filter.text == element.text).then(|| element.clone());
    }
    let (matches, inner): (Vec<&Element>, Vec<&Element>) =
        filter.children.iter().partition(|child| child.children.is_empty() && !child.text.is_empty());
    let holds = |wanted: &&Element| {
        element.children.iter().any(|child| names_match(child, wanted) && child.text == wanted.text)
    };
    if !matches.iter().all(holds) {
        return None;
    }
    if inner.is_empty() {
        // Only content matches: the whole element is selected.
        return Some(element.clone());
    }
    let inner: Vec<Element> = inner.into_iter().cloned().collect();
    let mut children = select_children(&element.children, &inner);
    let named =
        |child: &&Element| matches.iter().any(|wanted| names_match(child, wanted)) || is_key(element, child);
    if children.is_empty() && matches.is_empty() {
        return None;
    }
    let mut kept: Vec<Element> = element.children.iter().filter(named).cloned().collect();
    children.retain(|child| !kept.contains(child));
    kept.append(&mut children);
    Some(Element { children: kept, ..element.clone() })
}

/// Keys of an entry are always part of the answer, so that it can be told apart.
fn is_key(parent: &Element, child: &Element) -> bool {
    matches!(identity(&parent.name), Identity::Keys(keys) if keys.contains(&child.name.as_str()))
}

fn unite(mut first: Element, second: Element) -> Element {
    for child in second.children {
        match first.children.iter().position(|known| known.same_instance(&child)) {
            Some(at) => {
                let known = first.children.remove(at);
                first.children.insert(at, unite(known, child));
            }
            None => first.children.push(child),
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StationPlan;
    use crate::objects::objects;
    use crate::schema::{MANAGED_ELEMENT, NR};

    fn selected(inner: &str) -> Vec<Element> {
        let tree = vec![StationPlan { seed: 1, station: 1, stations: 2, cells: 3, west: 0 }.configuration()];
        let filter = format!("<filter xmlns:m='{MANAGED_ELEMENT}' xmlns:n='{NR}'>{inner}</filter>");
        select(&tree, &Element::parse(filter.as_bytes()).unwrap())
    }

    #[test]
    fn empty_filter_selects_nothing_and_the_root_everything() {
        assert!(selected("").is_empty());
        assert_eq!(objects(&selected("<m:ManagedElement/>")[0]).len(), 44);
        assert_eq!(objects(&selected("<ManagedElement/>")[0]).len(), 44);
        assert!(selected("<n:ManagedElement/>").is_empty());
    }

    #[test]
    fn containment_and_content_match_find_one_cell() {
        let found = selected(
            "<m:ManagedElement><n:GNBDUFunction><n:NRCellDU><n:id>2</n:id></n:NRCellDU></n:GNBDUFunction></m:ManagedElement>",
        );
        let names: Vec<String> = objects(&found[0]).into_keys().collect();
        assert!(names.iter().any(|dn| dn.ends_with("GNBDUFunction=1,NRCellDU=2")));
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn selection_of_one_attribute_keeps_the_keys() {
        let found = selected(
            "<m:ManagedElement><n:GNBDUFunction><n:NRCellDU><n:attributes><n:nRPCI/></n:attributes></n:NRCellDU></n:GNBDUFunction></m:ManagedElement>",
        );
        let all = objects(&found[0]);
        let cells: Vec<_> = all.iter().filter(|(dn, _)| dn.contains("NRCellDU=")).collect();
        assert_eq!(cells.len(), 3);
        assert!(cells.iter().all(|(_, attributes)| attributes.keys().eq(["nRPCI"])));
    }

    #[test]
    fn two_filters_for_one_element_add_up() {
        let cell = |id: &str| format!("<n:NRCellDU><n:id>{id}</n:id></n:NRCellDU>");
        let found = selected(&format!(
            "<m:ManagedElement><n:GNBDUFunction>{}{}</n:GNBDUFunction></m:ManagedElement>",
            cell("1"),
            cell("3")
        ));
        let cells = objects(&found[0]).into_keys().filter(|dn| dn.contains("NRCellDU=")).count();
        assert_eq!(cells, 2);
    }

    #[test]
    fn content_that_does_not_match_selects_nothing() {
        assert!(selected("<m:ManagedElement><m:id>gnb-0002</m:id></m:ManagedElement>").is_empty());
    }
}
