//! Test cases of rules: every rule is shown to fire and to stay silent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::agreement::Agreement;
use model::violation::RuleOutcome;
use model::{ApprovedValue, Dn, Object, Value};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::network::{NeighbourRef, Neighbourhood};
use crate::rule::{Rule, RuleCase};
use crate::set::PolicySet;
use crate::source;

/// First line of a test file.
pub const TEST_FORMAT: &str = "ranproof/policy-test/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    format: String,
    rule: String,
    /// Laid over the agreement every case starts from, part by part.
    #[serde(default)]
    agreement: BTreeMap<String, serde_json::Value>,
    cases: Vec<TestCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestCase {
    name: String,
    object: TestObject,
    #[serde(default)]
    previous: Option<Attributes>,
    #[serde(default)]
    approved: Option<Attributes>,
    /// The NRCellDU that the object belongs to.
    #[serde(default)]
    cell: Option<TestObject>,
    /// The cells it has relations to; left out, its relations are not in sight.
    #[serde(default)]
    neighbours: Option<Vec<TestNeighbour>>,
    #[serde(default)]
    agreement: BTreeMap<String, serde_json::Value>,
    expect: Expected,
    /// A part of the English or Chinese message.
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestObject {
    dn: Dn,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestNeighbour {
    dn: Dn,
    /// Left out, no snapshot of it is there.
    #[serde(default)]
    attributes: Option<Attributes>,
    #[serde(default)]
    stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Pass,
    Violated,
    Indeterminate,
}

impl Expected {
    fn of(outcome: Option<RuleOutcome>) -> Expected {
        match outcome {
            None => Expected::Pass,
            Some(RuleOutcome::Violated) => Expected::Violated,
            Some(RuleOutcome::Indeterminate) => Expected::Indeterminate,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Pass => "pass",
            Expected::Violated => "violated",
            Expected::Indeterminate => "indeterminate",
        })
    }
}

/// Attributes as a device would send them: numbers and booleans are taken as their text.
#[derive(Default)]
struct Attributes(BTreeMap<String, Value>);

struct DeviceValue(Value);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, DeviceValue>::deserialize(deserializer)?;
        Ok(Attributes(values.into_iter().map(|(name, value)| (name, value.0)).collect()))
    }
}

impl<'de> Deserialize<'de> for DeviceValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfDevice;
        impl<'de> Visitor<'de> for OfDevice {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, an integer, a boolean, a list or a mapping; quote anything else")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::text(text))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::text(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value::text(number.to_string()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::text(value.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(DeviceValue(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::Sequence(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, DeviceValue(value))) = map.next_entry::<String, DeviceValue>()? {
                    fields.insert(name, value);
                }
                Ok(Value::Fields(fields))
            }
        }
        deserializer.deserialize_any(OfDevice).map(DeviceValue)
    }
}

/// What became of a run of test cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// Rules in the set.
    pub rules: usize,
    pub cases: usize,
    pub failed: Vec<TestFailure>,
}

/// A case with another outcome, a file that cannot be read, or a rule without its two cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    pub file: String,
    pub rule: String,
    pub case: String,
    pub what: String,
}

impl fmt::Display for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.file, &self.rule, &self.case];
        let place: Vec<&str> =
            parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        write!(f, "{}: {}", place.join(": "), self.what)
    }
}

/// Runs test files, given as `(name, text)`, against a set. A rule without a case where it fires and one where
/// it stays silent is a failure.
pub fn run_tests(set: &PolicySet, files: &[(String, String)]) -> TestReport {
    let mut run = Run { set, report: TestReport::default(), fires: BTreeSet::new(), silent: BTreeSet::new() };
    run.report.rules = set.rules().len();
    for (file, text) in files {
        run.file(file, text);
    }
    for rule in set.rules() {
        for (seen, what) in [
            (&run.fires, "no case where it fires; hint: add one with `expect: violated`"),
            (&run.silent, "no case where it stays silent; hint: add one with `expect: pass`"),
        ] {
            if !seen.contains(&rule.name) {
                run.report.failed.push(TestFailure {
                    file: rule.file.clone(),
                    rule: rule.name.clone(),
                    case: String::new(),
                    what: what.to_owned(),
                });
            }
        }
    }
    run.report
}

struct Run<'a> {
    set: &'a PolicySet,
    report: TestReport,
    fires: BTreeSet<String>,
    silent: BTreeSet<String>,
}

impl Run<'_> {
    fn file(&mut self, file: &str, text: &str) {
        let fail = |rule: &str, case: &str, what: String| TestFailure {
            file: file.to_owned(),
            rule: rule.to_owned(),
            case: case.to_owned(),
            what,
        };
        let tests: TestFile = match source::read(file, text) {
            Ok(tests) => tests,
            Err(error) => {
                let what = error.to_string();
                let what = what.strip_prefix(&format!("{file}:")).unwrap_or(&what).trim().to_owned();
                return self.report.failed.push(fail("", "", what));
            }
        };
        if tests.format != TEST_FORMAT {
            let what = format!("format is `{}`; this version reads {TEST_FORMAT}", tests.format);
            return self.report.failed.push(fail("", "", what));
        }
        let Some(rule) = self.set.rule(&tests.rule) else {
            return self.report.failed.push(fail(&tests.rule, "", "the set has no such rule".into()));
        };
        for case in &tests.cases {
            self.report.cases += 1;
            match run_case(rule, &tests.agreement, case) {
                Err(what) => self.report.failed.push(fail(&tests.rule, &case.name, what)),
                Ok(Expected::Pass) => {
                    self.silent.insert(rule.name.clone());
                }
                Ok(Expected::Violated) => {
                    self.fires.insert(rule.name.clone());
                }
                Ok(Expected::Indeterminate) => {}
            }
        }
    }
}

/// The outcome if it is the one expected, else what is wrong.
fn run_case(
    rule: &Rule,
    common: &BTreeMap<String, serde_json::Value>,
    case: &TestCase,
) -> Result<Expected, String> {
    let agreement = agreement([common, &case.agreement])?;
    let object = case.object.build();
    if !rule.covers(&object) {
        return Err(format!("the rule is not about {}", object.dn()));
    }
    let surroundings = Surroundings::of(case);
    let previous = case.previous.as_ref().map(|attributes| build(object.dn(), attributes));
    let approved = case.approved.as_ref().map(|attributes| attributes.approved());
    let explanation = rule.explain(&RuleCase {
        agreement: &agreement,
        object: &object,
        previous: previous.as_ref(),
        approved: approved.as_ref(),
        neighbours: &surroundings,
    });
    let outcome = Expected::of(explanation.outcome);
    let message = &explanation.message;
    if outcome != case.expect {
        return Err(format!("expected {}, it is {outcome}: {}", case.expect, message.en));
    }
    match &case.message {
        Some(part) if !message.en.contains(part.as_str()) && !message.zh.contains(part.as_str()) => {
            Err(format!("the message lacks `{part}`: {} / {}", message.en, message.zh))
        }
        _ => Ok(outcome),
    }
}

/// The agreement every case starts from: two operators and a tower company, the first the master operator.
fn agreement<const N: usize>(layers: [&BTreeMap<String, serde_json::Value>; N]) -> Result<Agreement, String> {
    let mut base = serde_json::json!({
        "format": Agreement::FORMAT, "id": "test", "version": 1, "title": "Test",
        "parties": [
            {"id": "telecom", "name": "Telecom", "kind": "operator", "plmns": ["460-11"]},
            {"id": "unicom", "name": "Unicom", "kind": "operator", "plmns": ["460-01"]},
            {"id": "tower", "name": "Tower", "kind": "tower"}],
        "districts": [{"scope": "", "master_operator": "telecom"}],
        "sharing": [], "rights": [], "key_attributes": [],
        "collection": {"period_minutes": 60, "attest_within_minutes": 30},
        "map_secret": "00".repeat(32),
    });
    for (key, value) in layers.into_iter().flatten() {
        base[key.as_str()] = value.clone();
    }
    let agreement: Agreement = serde_json::from_value(base).map_err(|e| format!("the agreement: {e}"))?;
    agreement.check().map_err(|e| format!("the agreement: {e}"))?;
    Ok(agreement)
}

impl TestObject {
    fn build(&self) -> Object {
        build(&self.dn, &self.attributes)
    }
}

fn build(dn: &Dn, attributes: &Attributes) -> Object {
    Object::new(dn.clone(), attributes.0.clone().into_iter().collect(), vec![])
}

impl Attributes {
    fn approved(&self) -> BTreeMap<String, ApprovedValue> {
        let approve =
            |value: &Value| ApprovedValue { value: value.clone(), request: "BL-1".into(), height: 1 };
        self.0.iter().map(|(name, value)| (name.clone(), approve(value))).collect()
    }
}

/// What a case says lies around its object.
struct Surroundings {
    cell: Option<Object>,
    /// Name, the cell if known, and whether its snapshot is an old one.
    relations: Option<Vec<(Dn, Option<Object>, bool)>>,
}

impl Surroundings {
    fn of(case: &TestCase) -> Surroundings {
        let relation = |n: &TestNeighbour| {
            (n.dn.clone(), n.attributes.as_ref().map(|attributes| build(&n.dn, attributes)), n.stale)
        };
        Surroundings {
            cell: case.cell.as_ref().map(TestObject::build),
            relations: case.neighbours.as_ref().map(|list| list.iter().map(relation).collect()),
        }
    }
}

impl Neighbourhood for Surroundings {
    fn relations_of(&self, _: &Object) -> Option<Vec<NeighbourRef<'_>>> {
        let relations = self.relations.as_ref()?.iter();
        let neighbour = relations.map(|(dn, cell, stale)| NeighbourRef {
            dn: dn.clone(),
            cell: cell.as_ref(),
            stale: *stale,
        });
        Some(neighbour.collect())
    }

    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
        if object.class() == "NRCellDU" { Some(object) } else { self.cell.as_ref() }
    }
}
