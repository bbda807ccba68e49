//! Sets of rules: loaded together, hashed together, judged together.

use std::collections::BTreeMap;

use model::Object;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::expression::{Attributes, Evaluation};
use crate::network::{CELL_CU, CELL_DU};
use crate::rule::{Mode, Reads, Rule, RuleCase, RuleResult};
use crate::source::{LoadError, load_rule};

/// Loaded rules, by name.
#[derive(Debug)]
pub struct PolicySet {
    rules: Vec<Rule>,
    by_class: BTreeMap<String, About>,
    /// What any rule looks at, and the attributes that those read that look around their object.
    pub(crate) reads: Reads,
    pub(crate) attributes_around: Attributes,
    /// Only rules about cells and their units look at neighbours.
    pub(crate) neighbours_of_cells: bool,
}

impl PolicySet {
    /// Loads rules from `(file name, text)` pairs, one rule per file. Every fault of every file is reported.
    pub fn load(files: &[(String, String)]) -> Result<PolicySet, Vec<LoadError>> {
        let (mut rules, mut errors) = (Vec::<Rule>::new(), Vec::new());
        for (file, text) in files {
            match load_rule(file, text) {
                Ok(rule) => match rules.iter().find(|other| other.name == rule.name) {
                    Some(other) => errors.push(LoadError {
                        file: file.clone(),
                        line: 0,
                        column: 0,
                        message: format!("rule `{}` is in {} already", rule.name, other.file),
                        hint: "rename one of them".into(),
                    }),
                    None => rules.push(rule),
                },
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let mut by_class: BTreeMap<String, About> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.mode != Mode::Off) {
            let about = by_class.entry(rule.scope.class.clone()).or_insert_with(About::nothing);
            about.rules.push(index);
            about.reads = about.reads.and(rule.reads);
            if rule.reads.around() {
                about.attributes_around.add(&rule.attributes);
            }
        }
        let neighbours_of_cells = by_class
            .iter()
            .all(|(class, about)| !about.reads.neighbours || [CELL_DU, CELL_CU].contains(&class.as_str()));
        let (reads, attributes_around) = (Reads::NOTHING, Attributes::NONE);
        let mut set = PolicySet { rules, by_class, reads, attributes_around, neighbours_of_cells };
        for about in set.by_class.values() {
            set.reads = set.reads.and(about.reads);
            set.attributes_around.add(&about.attributes_around);
        }
        Ok(set)
    }

    /// Sorted by name.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, name: &str) -> Option<&Rule> {
        let index = self.rules.binary_search_by(|rule| rule.name.as_str().cmp(name)).ok()?;
        self.rules.get(index)
    }

    /// SHA-256 of a version line and every rule's canonical JSON, sorted by name: the same rules in other
    /// files, with other comments or layout, have the same hash.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"ranproof/policy-set/1\n");
        for rule in &self.rules {
            let json = serde_json::to_vec(&Canonical::from(rule)).expect("a rule always serialises");
            hasher.update(u64::try_from(json.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(&json);
        }
        hasher.finalize().into()
    }

    /// The rules that one object does not keep, and those that cannot be judged on it, by rule name.
    pub fn evaluate(&self, case: &RuleCase<'_>) -> Vec<RuleResult> {
        let mut evaluation = Evaluation::new(case.inputs());
        let about = self.about(case.object);
        self.rules_of(about).filter_map(|rule| rule.evaluate_in(&mut evaluation)).collect()
    }

    /// The rules about objects of this one's class.
    pub(crate) fn about(&self, object: &Object) -> &About {
        const NOTHING: &About = &About::nothing();
        self.by_class.get(object.class()).unwrap_or(NOTHING)
    }

    pub(crate) fn rules_of<'a>(&'a self, about: &'a About) -> impl Iterator<Item = &'a Rule> {
        about.rules.iter().filter_map(|place| self.rules.get(*place))
    }
}

/// The rules about one class.
#[derive(Debug)]
pub(crate) struct About {
    /// By their places in the set.
    rules: Vec<usize>,
    /// What any of them looks at.
    pub reads: Reads,
    /// The attributes that any of those reads that look around the object.
    pub attributes_around: Attributes,
}

impl About {
    const fn nothing() -> About {
        About { rules: Vec::new(), reads: Reads::NOTHING, attributes_around: Attributes::NONE }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// What of a rule is agreed: all but where it is written.
#[derive(Serialize)]
struct Canonical<'a> {
    name: &'a str,
    severity: model::Severity,
    mode: crate::rule::Mode,
    scope: &'a crate::rule::RuleScope,
    attribute: &'a str,
    expression: &'a str,
    needs_neighbours: bool,
    message: &'a model::Text,
    description: &'a model::Text,
}

impl<'a> From<&'a Rule> for Canonical<'a> {
    fn from(rule: &'a Rule) -> Canonical<'a> {
        Canonical {
            name: &rule.name,
            severity: rule.severity,
            mode: rule.mode,
            scope: &rule.scope,
            attribute: &rule.attribute,
            expression: rule.expression.trim(),
            needs_neighbours: rule.needs_neighbours,
            message: &rule.message,
            description: &rule.description,
        }
    }
}
