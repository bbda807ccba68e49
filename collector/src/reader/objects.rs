//! From drafts to named objects: distinguished names, volatile and secret attributes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use model::{Dn, Object, Profile, Snapshot, Value};

use super::ReadContext;
use super::build::{Built, append};
use super::error::{Fault, Problem, shown};
use super::findings::Findings;
use super::spaces::Space;

/// Longest id; 3GPP's own bound for a whole DN is 400 (TS 32.300 §7.3).
const MAX_ID: usize = 1024;

/// An object whose name is not known before the document ends.
pub(super) struct Draft<'a> {
    pub(super) class: Cow<'a, str>,
    pub(super) space: Space,
    pub(super) identity: Identity<'a>,
    /// By pattern or rule, not by the default for top elements.
    pub(super) pattern: bool,
    pub(super) attributes: Vec<(String, Value)>,
    /// The object around it, which ends later and so has a higher index.
    pub(super) parent: Option<usize>,
    pub(super) offset: usize,
}

/// Where an object's id comes from.
pub(super) enum Identity<'a> {
    Id(Cow<'a, str>),
    /// There is only one: id `1`.
    Singleton,
    /// There should be a key and is none.
    Missing,
}

/// Names all objects and makes the snapshot.
pub(super) fn finish(built: Built<'_, '_>, context: &ReadContext<'_>) -> Result<Snapshot, Fault> {
    let Built { spaces, mut findings, drafts, memory_left, max_memory } = built;
    let ids = ids(&drafts, |space| spaces.uri(space), &mut findings)?;
    let anchors = anchors(&drafts, &ids, context.prefix, &mut findings);
    let mut budget = Budget { left: memory_left, max: max_memory };
    let names = names(&drafts, &ids, &anchors, context.prefix, &mut budget)?;
    let mut classes = Classes { profile: context.profile, known: BTreeMap::new() };
    let mut objects = Vec::with_capacity(drafts.len());
    for (draft, dn) in drafts.into_iter().zip(names) {
        let place = draft.offset;
        let attributes = merged(draft.attributes);
        objects
            .push(classes.object(&draft.class, dn, attributes, context).map_err(|p| Fault::new(p, place))?);
    }
    let interpretation = context.interpretation();
    Ok(Snapshot::new(interpretation, objects, findings.finish()))
}

/// Sorts attributes by name and joins repeated ones into a sequence in document order.
fn merged(mut attributes: Vec<(String, Value)>) -> Vec<(String, Value)> {
    if attributes.is_sorted_by(|a, b| a.0 < b.0) {
        return attributes;
    }
    // Stable: occurrences stay in document order.
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
    attributes.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            append(&mut first.1, std::mem::replace(&mut next.1, Value::Sequence(vec![])));
        }
        same
    });
    attributes
}

/// The id of every draft. Objects without one are numbered among those of their class in their container.
fn ids<'s>(
    drafts: &[Draft<'_>],
    uri: impl Fn(Space) -> &'s str,
    findings: &mut Findings,
) -> Result<Vec<String>, Fault> {
    let mut groups: BTreeMap<(Option<usize>, &str), BTreeMap<Space, u32>> = BTreeMap::new();
    for draft in drafts {
        if !matches!(draft.identity, Identity::Id(_)) {
            let spaces = groups.entry((draft.parent, &draft.class)).or_default();
            spaces.insert(draft.space, 0);
        }
    }
    let mut ids = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let id = match &draft.identity {
            Identity::Id(text) => reduced(&draft.class, text.trim_matches([' ', '\t', '\r', '\n'])),
            _ => String::new(),
        };
        if id.len() > MAX_ID {
            let problem = Problem::OverLimit { what: "bytes in an id", limit: MAX_ID };
            return Err(Fault::new(problem, draft.offset));
        }
        if !id.is_empty() {
            ids.push(id);
            continue;
        }
        let spaces = groups.entry((draft.parent, &draft.class)).or_default();
        let shared = spaces.len() > 1;
        let number = spaces.entry(draft.space).or_default();
        *number += 1;
        if *number > 1 || !matches!(draft.identity, Identity::Singleton) {
            let message = format!(
                "`{}` has no key and is numbered by its place; hint: name its key in the profile",
                draft.class
            );
            findings.at("object-without-key", draft.offset, message);
        }
        // Equal names of two modules: the namespace tells them apart, whatever their order.
        ids.push(match (shared, *number) {
            (false, number) => number.to_string(),
            (true, 1) => uri(draft.space).chars().take(MAX_ID).collect(),
            (true, number) => format!("{}#{number}", shown(uri(draft.space))),
        });
    }
    Ok(ids)
}

/// An id that is itself a name ending in this class, such as `ManagedElement=1,GNBDUFunction=1`, means its
/// last RDN's id.
fn reduced(class: &str, id: &str) -> String {
    if id.contains('=')
        && let Ok(name) = id.parse::<Dn>()
        && name.class() == class
    {
        return name.id();
    }
    id.to_owned()
}

/// Which drafts are the station itself, as the inventory names it.
fn anchors(drafts: &[Draft<'_>], ids: &[String], prefix: &Dn, findings: &mut Findings) -> BTreeSet<usize> {
    let station = prefix.class();
    let above: Vec<&str> = prefix.rdns().map(|(class, _)| class).collect();
    let above = above.split_last().map_or(&[][..], |(_, rest)| rest);
    // Containers come after their content: from the end, parents are known first.
    let mut transparent = vec![false; drafts.len()];
    let mut candidates = Vec::new();
    for (index, draft) in drafts.iter().enumerate().rev() {
        let reachable = draft.parent.is_none_or(|parent| transparent.get(parent) == Some(&true));
        if reachable && draft.pattern && draft.class == station {
            candidates.push(index);
        } else if let Some(slot) = transparent.get_mut(index) {
            *slot = reachable && (!draft.pattern || above.contains(&&*draft.class));
        }
    }
    let own = prefix.id();
    let same: BTreeSet<usize> =
        candidates.iter().copied().filter(|index| ids.get(*index) == Some(&own)).collect();
    let anchors = match (same.is_empty(), candidates.as_slice()) {
        (true, [only]) => BTreeSet::from([*only]),
        _ => same,
    };
    for index in candidates.into_iter().rev() {
        let id = shown(ids.get(index).map_or("", String::as_str));
        if !anchors.contains(&index) {
            let message = format!("the reply holds another {station}, `{id}`; it is kept below the station");
            findings.add("other-element", prefix, message);
        } else if id != own {
            let message = format!("the station calls itself `{id}`; the inventory's name is used");
            findings.add("element-id-differs", prefix, message);
        }
    }
    anchors
}

/// What names may still cost: every object repeats the names above it.
struct Budget {
    left: usize,
    max: usize,
}

fn names(
    drafts: &[Draft<'_>],
    ids: &[String],
    anchors: &BTreeSet<usize>,
    prefix: &Dn,
    budget: &mut Budget,
) -> Result<Vec<Dn>, Fault> {
    let mut names = vec![prefix.clone(); drafts.len()];
    for (index, draft) in drafts.iter().enumerate().rev() {
        if anchors.contains(&index) {
            continue;
        }
        let above = draft.parent.and_then(|parent| names.get(parent)).unwrap_or(prefix);
        let name = above.child(&draft.class, ids.get(index).map_or("1", String::as_str));
        budget.left = budget.left.checked_sub(name.as_str().len()).ok_or_else(|| {
            Fault::new(Problem::OverLimit { what: "bytes of memory", limit: budget.max }, draft.offset)
        })?;
        if let Some(slot) = names.get_mut(index) {
            *slot = name;
        }
    }
    Ok(names)
}

/// The profile's patterns, sorted out once per class.
struct Classes<'p> {
    profile: &'p Profile,
    known: BTreeMap<String, Patterns<'p>>,
}

#[derive(Clone)]
struct Patterns<'p> {
    volatile: Vec<&'p str>,
    secret: Vec<&'p str>,
}

impl Patterns<'_> {
    fn is_volatile(&self, attribute: &str) -> bool {
        self.volatile.iter().any(|pattern| *pattern == "*" || *pattern == attribute)
    }

    /// Also by local name: an attribute of another module is no less secret.
    fn is_secret(&self, attribute: &str) -> bool {
        let local = attribute.rsplit(['}', ':']).next().unwrap_or(attribute);
        self.secret.iter().any(|pattern| *pattern == "*" || *pattern == attribute || *pattern == local)
    }
}

impl<'p> Classes<'p> {
    fn object(
        &mut self,
        class: &str,
        dn: Dn,
        mut attributes: Vec<(String, Value)>,
        context: &ReadContext<'_>,
    ) -> Result<Object, Problem> {
        let patterns = self.patterns(class);
        if !patterns.secret.is_empty() {
            for (name, value) in &mut attributes {
                if patterns.is_secret(name) {
                    *value = keyed(&dn, name, value, context)?;
                }
            }
        }
        let volatile = match attributes.iter().any(|(name, _)| patterns.is_volatile(name)) {
            true => attributes.extract_if(.., |(name, _)| patterns.is_volatile(name)).collect(),
            false => vec![],
        };
        Ok(Object::new(dn, attributes, volatile))
    }

    fn patterns(&mut self, class: &str) -> &Patterns<'p> {
        let profile = self.profile;
        let of = |list: &'p [model::AttributePattern]| {
            let here =
                list.iter().filter(|pattern| matches!(pattern.class(), "*") || pattern.class() == class);
            here.map(|pattern| pattern.attribute()).collect()
        };
        if !self.known.contains_key(class) {
            let patterns = Patterns { volatile: of(&profile.volatile), secret: of(&profile.secret) };
            self.known.insert(class.to_owned(), patterns);
        }
        &self.known[class]
    }
}

/// What is kept of a secret: whether it changed, and nothing else. The name is hashed with it, so that equal
/// secrets in two places do not show as equal.
fn keyed(dn: &Dn, attribute: &str, value: &Value, context: &ReadContext<'_>) -> Result<Value, Problem> {
    let Some(key) = context.secret_key else {
        return Err(Problem::SecretWithoutKey(format!("{}.{}", dn.class(), shown(attribute))));
    };
    let mut bytes = b"ranproof/secret/1\n".to_vec();
    for part in [dn.as_str(), attribute] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    value.write_canonical(&mut bytes);
    Ok(Value::Text(format!("keyed:{}", blake3::keyed_hash(&key, &bytes).to_hex())))
}
