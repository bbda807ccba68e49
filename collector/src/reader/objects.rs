//! From drafts to named objects: distinguished names, volatile and secret attributes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dn, Object, Profile, Snapshot, Value};

use super::ReadContext;
use super::again::Spent;
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
    /// It is an object of the last document, and its place there.
    Known(&'a Arc<Object>, u32),
    /// There is only one: id `1`.
    Singleton,
    /// There should be a key and is none.
    Missing,
}

/// An object with its place in the last snapshot, where it has one.
pub(super) type Ranked = (Arc<Object>, Option<u32>);

/// All objects of a document, in the order of their drafts.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) objects: Vec<Ranked>,
    pub(super) findings: Findings,
    pub(super) spent: Spent,
}

/// Names all objects. `None` if an object of the last document has another name now.
pub(super) fn finish(
    built: Built<'_, '_>,
    context: &ReadContext<'_>,
    last: Option<&Snapshot>,
) -> Result<Option<Finished>, Fault> {
    let Built { spaces, mut findings, drafts, memory_left, max_memory, nodes } = built;
    let ids = ids(&drafts, |space| spaces.uri(space), &mut findings)?;
    let anchors = anchors(&drafts, &ids, context.prefix, &mut findings);
    let mut budget = Budget { left: memory_left, max: max_memory };
    let Some(names) = names(&drafts, &ids, &anchors, context.prefix, &mut budget)? else { return Ok(None) };
    let mut classes = Classes { profile: context.profile, known: BTreeMap::new() };
    let mut objects = Vec::with_capacity(drafts.len());
    for (draft, dn) in drafts.into_iter().zip(names) {
        if let Identity::Known(object, rank) = draft.identity {
            objects.push((Arc::clone(object), Some(rank)));
            continue;
        }
        let place = draft.offset;
        let rank = last.and_then(|last| last.objects().binary_search_by(|o| o.dn().cmp(&dn)).ok());
        let attributes = merged(draft.attributes);
        let object =
            classes.object(&draft.class, dn, attributes, context).map_err(|p| Fault::new(p, place))?;
        objects.push((Arc::new(object), rank.and_then(|rank| u32::try_from(rank).ok())));
    }
    let spent = Spent { nodes, memory: max_memory - budget.left };
    Ok(Some(Finished { objects, findings, spent }))
}

/// The object of one draft, if its class and id are those of this name.
pub(super) fn one(built: Built<'_, '_>, draft: usize, dn: &Dn, context: &ReadContext<'_>) -> Option<Object> {
    let draft = built.drafts.into_iter().nth(draft)?;
    let Identity::Id(id) = &draft.identity else { return None };
    if dn.parent()?.child(&draft.class, &reduced(&draft.class, id)) != *dn {
        return None;
    }
    let mut classes = Classes { profile: context.profile, known: BTreeMap::new() };
    classes.object(&draft.class, dn.clone(), merged(draft.attributes), context).ok()
}

/// The places that objects have in the order of their names, by draft. Where all stood in the last snapshot, that has
/// compared their names already.
pub(super) fn places(objects: &[Ranked]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..objects.len()).collect();
    let known: Option<Vec<u32>> = objects.iter().map(|(_, rank)| *rank).collect();
    match known {
        Some(ranks) => places.sort_by_key(|draft| ranks.get(*draft).copied()),
        None => places.sort_by(|a, b| objects[*a].0.dn().cmp(objects[*b].0.dn())),
    }
    places
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
        if !matches!(draft.identity, Identity::Id(_) | Identity::Known(..)) {
            let spaces = groups.entry((draft.parent, &draft.class)).or_default();
            spaces.insert(draft.space, 0);
        }
    }
    let mut ids = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let id = match &draft.identity {
            // It has its name.
            Identity::Known(..) => {
                ids.push(String::new());
                continue;
            }
            Identity::Id(text) => reduced(&draft.class, text),
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
pub(super) fn reduced(class: &str, id: &str) -> String {
    let id = id.trim_matches([' ', '\t', '\r', '\n']);
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
) -> Result<Option<Vec<Dn>>, Fault> {
    let mut names = vec![prefix.clone(); drafts.len()];
    for (index, draft) in drafts.iter().enumerate().rev() {
        if anchors.contains(&index) {
            continue;
        }
        let above = draft.parent.and_then(|parent| names.get(parent)).unwrap_or(prefix);
        let name = match &draft.identity {
            Identity::Known(object, _) if object.dn().parent_str() == Some(above.as_str()) => {
                object.dn().clone()
            }
            Identity::Known(..) => return Ok(None),
            _ => above.child(&draft.class, ids.get(index).map_or("1", String::as_str)),
        };
        budget.left = budget.left.checked_sub(name.as_str().len()).ok_or_else(|| {
            Fault::new(Problem::OverLimit { what: "bytes of memory", limit: budget.max }, draft.offset)
        })?;
        if let Some(slot) = names.get_mut(index) {
            *slot = name;
        }
    }
    Ok(Some(names))
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
