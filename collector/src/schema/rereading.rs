//! Reading a reply by a schema and by the station's last one is reading it by the schema alone.

use std::sync::LazyLock;

use model::{Dn, Profile};
use proptest::prelude::*;

use super::differential::{Compiled, load};
use super::set::ModuleSet;
use crate::reader::{Earlier, ReadContext, read_xml, read_xml_again};

/// Objects with others in them, values beside their `attributes`, defaults in both, lists without an order.
const NESTED: &str = "module nested { yang-version 1.1; namespace 'urn:ranproof:nested'; prefix n;
  list M { key id; leaf id { type string; }
    list G { key id; leaf id { type string; } leaf h { type uint8; default 5; }
      container c { leaf x { type uint8; default 2; } }
      container attributes { leaf g { type uint8; default 9; } leaf-list s { type uint8; }
        choice mode { default a; case a { leaf one { type uint8; default 4; } } case b { leaf other { type uint8; } } } }
      list C { key id; leaf id { type string; }
        container attributes { leaf a { type uint8; } leaf-list s { type uint8; } leaf d { type uint8; default 3; } } } } } }";

static TABLE: LazyLock<Compiled> = LazyLock::new(|| {
    let mut set = ModuleSet::new();
    set.insert(NESTED.to_owned(), "nested.yang");
    load(&set)
});

/// A part of an object, by what is drawn: in any place, again, or not at all.
fn part(kind: u8, value: u8) -> String {
    match kind {
        0 => format!("<h>{value}</h>"),
        1 => format!("<c><x>{value}</x></c>"),
        2 => "<c/>".to_owned(),
        3 => format!("<attributes><g>{value}</g></attributes>"),
        4 => format!("<attributes><s>{value}</s><s>1</s><other>{value}</other></attributes>"),
        5 => "<attributes/>".to_owned(),
        6 => format!("<C><id>1</id><attributes><a>{value}</a><s>{value}</s><s>2</s></attributes></C>"),
        _ => format!("<C><attributes><d>{value}</d></attributes><id>2</id></C>"),
    }
}

fn document(parts: &[(u8, u8)]) -> Vec<u8> {
    let inside: String = parts.iter().map(|(kind, value)| part(*kind, *value)).collect();
    format!("<M xmlns=\"urn:ranproof:nested\"><id>m</id><G><id>1</id>{inside}</G></M>").into_bytes()
}

proptest! {
    #[test]
    fn a_reply_after_another_is_read_as_alone(
        first in prop::collection::vec((0u8..8, 1u8..10), 1..7),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0u8..12, 1u8..10), 1..8),
    ) {
        let (profile, prefix): (_, Dn) = (Profile::plain("p"), "M=m".parse().unwrap());
        let context = ReadContext { schema: Some(&TABLE.table), ..ReadContext::new(&profile, &prefix) };
        let mut parts = first;
        let mut last: Option<(Vec<u8>, crate::reader::Pieces)> = None;
        for (at, kind, value) in [(None, 12, 0)].into_iter().chain(steps.into_iter().map(|(at, k, v)| (Some(at), k, v))) {
            match (at, kind) {
                // Mostly only a value is another one.
                (Some(at), 8..) if !parts.is_empty() => { let at = at.index(parts.len()); parts[at].1 = value; }
                (Some(at), kind) if kind < 8 => { let at = at.index(parts.len() + 1); parts.insert(at, (kind, value)); }
                _ => {}
            }
            let now = document(&parts);
            let earlier = last.as_ref().map(|(bytes, pieces)| Earlier { bytes, pieces });
            let (snapshot, pieces) = read_xml_again(&now, &context, earlier).unwrap();
            prop_assert_eq!(snapshot, read_xml(&now, &context).unwrap(), "{}", String::from_utf8_lossy(&now));
            last = Some((now, pieces));
        }
    }
}
