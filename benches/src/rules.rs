//! Ten rules over the cells of a station, beside the evaluator that CEL's own crate brings.
//!
//! The rules hold of every cell measured, as nearly all do nearly always: no side makes messages. That all sides also
//! agree where a rule is broken is made sure of before, on cells with other values.

mod rego;
mod view;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use cel::common::types::CelBool;
use cel::{Context, Env, Program, Value};
use model::{Agreement, Object, Snapshot, Value as Held};
use policies::{NetworkIndex, PolicySet, RuleCase};

use crate::documents::Documents;
use crate::meter::{Contestant, Race, Unit};
use view::{map, view};

const CLASS: &str = "NRCellDU";

/// As an agreement gives them: ranges, words, codes, one attribute against another, entries of lists.
const RULES: [&str; 10] = [
    "object.nRPCI >= 0 && object.nRPCI <= 1007",
    "object.administrativeState in ['LOCKED', 'UNLOCKED', 'SHUTTINGDOWN']",
    "object.nRSectorCarrierRef.all(r, r.startsWith('SubNetwork='))",
    "object.bSChannelBwDL == object.bSChannelBwUL || object.arfcnUL != object.arfcnDL",
    "!(object.nRTAC == 0 && object.administrativeState == 'UNLOCKED')",
    "object.ssbPeriodicity in [5, 10, 20, 40, 80, 160]",
    "object.arfcnDL >= 626667 && object.arfcnDL <= 633333",
    "object.ssbOffset < object.ssbPeriodicity && object.ssbDuration <= 5",
    "object.pLMNInfoList.all(p, p.mcc == '460')",
    "object.nRTAC % 2 == 0 || object.cellLocalId < 100",
];

const OVER_CEL_MAP: f64 = 3.0;
const OVER_CEL_VIEW: f64 = 1.5;

/// What both sides judge with.
struct Rules {
    set: PolicySet,
    agreement: Agreement,
    index: NetworkIndex,
    env: Arc<Env>,
    programs: Vec<Program>,
}

pub fn race(documents: &Documents) -> Result<Race<'static>> {
    let snapshot = documents.read(&documents.previous)?;
    let (rules, cells) = (Arc::new(Rules::load()?), Arc::new(cells(&snapshot)));
    agree(&rules, &cells)?;
    let maps: Vec<Value> = cells.iter().map(|cell| map(cell)).collect::<Result<_>>()?;
    let unit = Unit::Nanos(cells.len() * RULES.len());
    let side = |judge: fn(&Rules, &Object) -> usize| {
        let (rules, cells) = (Arc::clone(&rules), Arc::clone(&cells));
        move || {
            black_box(cells.iter().map(|cell| judge(&rules, cell)).sum::<usize>());
        }
    };
    let prebuilt = {
        let rules = Arc::clone(&rules);
        move || {
            black_box(maps.iter().map(|map| rules.with_value(map.clone())).sum::<usize>());
        }
    };
    let contestants = vec![
        Contestant::new("ours", "", side(Rules::ours)),
        Contestant::new("cel, a map for each object", "no names checked, no budget", side(Rules::map))
            .at_least(OVER_CEL_MAP),
        Contestant::new("cel, maps made before", "reads no attribute from its text", prebuilt),
        Contestant::new("cel, a view of each object", "no names checked, no budget", side(Rules::view))
            .at_least(OVER_CEL_VIEW),
        Contestant::new(
            "the same by hand in Rust",
            "not what anybody agreed on",
            side(|_, cell| by_hand(cell)),
        ),
    ];
    Ok(Race { name: format!("rules: {} over {} cells, each", RULES.len(), cells.len()), unit, contestants })
}

/// The same in Rego, by a program of its own: nanoseconds of one rule over one cell.
pub fn rego(documents: &Documents, program: &Path, turns: (usize, u64)) -> Result<[(&'static str, f64); 2]> {
    let snapshot = documents.read(&documents.previous)?;
    let (rules, cells) = (Rules::load()?, cells(&snapshot));
    let others = others(&cells);
    let answer = rego::run(program, &cells, &others, turns)?;
    let ours: Vec<usize> = others.iter().map(|other| rules.ours(other)).collect();
    ensure!(answer.broken == ours, "Rego finds {:?} rules broken, we {ours:?}", answer.broken);
    Ok([("regorus, values made before", answer.made_before_ns), ("regorus, from JSON", answer.from_json_ns)])
}

fn cells(snapshot: &Snapshot) -> Vec<Arc<Object>> {
    snapshot.objects().iter().filter(|object| object.class() == CLASS).cloned().collect()
}

/// Every side finds the same in each cell as it is, and with each attribute replaced.
fn agree(rules: &Rules, cells: &[Arc<Object>]) -> Result<()> {
    for cell in cells {
        ensure!(rules.ours(cell) == 0, "{} keeps not all rules", cell.dn());
    }
    let mut broken = 0;
    for other in others(cells) {
        let counts = [rules.ours(&other), rules.map(&other), rules.view(&other), by_hand(&other)];
        ensure!(counts.iter().all(|count| *count == counts[0]), "{other:?}: {counts:?} rules broken");
        broken += counts[0];
    }
    ensure!(broken > 0, "no rule was ever broken");
    Ok(())
}

/// The cells with each of some attributes replaced.
fn others(cells: &[Arc<Object>]) -> Vec<Object> {
    const REPLACED: [&str; 7] =
        ["nRPCI", "nRTAC", "ssbPeriodicity", "arfcnDL", "bSChannelBwUL", "ssbOffset", "administrativeState"];
    let replaced = |cell: &Arc<Object>| {
        let cell = Arc::clone(cell);
        REPLACED.iter().flat_map(move |name| {
            let cell = Arc::clone(&cell);
            ["0", "7", "1008"].map(move |text| with(&cell, name, text))
        })
    };
    cells.iter().flat_map(replaced).collect()
}

fn with(cell: &Object, name: &str, text: &str) -> Object {
    let attributes = cell
        .attributes()
        .iter()
        .map(|(own, value)| (own.clone(), if own == name { Held::from(text) } else { value.clone() }));
    Object::new(cell.dn().clone(), attributes.collect(), vec![])
}

impl Rules {
    fn load() -> Result<Rules> {
        let files: Vec<_> = (0..).zip(RULES).map(|(number, rule)| policy(number, rule)).collect();
        let set = PolicySet::load(&files).map_err(|faults| anyhow!("the rules do not load: {faults:?}"))?;
        let options = serde_saphyr::options! { strict_booleans: true };
        let agreement =
            serde_saphyr::from_str_with_options(include_str!("../../examples/agreement.yaml"), options)
                .context("examples/agreement.yaml")?;
        let env = Arc::new(Env::stdlib());
        let compile = |rule: &str| env.compile(rule).map_err(|fault| anyhow!("{rule}: {fault}"));
        let programs = RULES.iter().map(|rule| compile(rule)).collect::<Result<_>>()?;
        Ok(Rules { set, agreement, index: NetworkIndex::default(), env, programs })
    }

    /// How many rules the object does not keep, as the product says it.
    fn ours(&self, object: &Object) -> usize {
        let Rules { agreement, index, .. } = self;
        let case = RuleCase { agreement, object, previous: None, approved: None, neighbours: index };
        self.set.evaluate(&case).len()
    }

    /// The same by CEL's evaluator over a map of values.
    fn map(&self, object: &Object) -> usize {
        map(object).map_or(RULES.len(), |map| self.with_value(map))
    }

    fn with_value(&self, object: Value) -> usize {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("object", object);
        let kept = |program: &&Program| !matches!(program.execute(&context), Ok(Value::Bool(true)));
        self.programs.iter().filter(kept).count()
    }

    /// The same over a view that copies no text.
    fn view(&self, object: &Object) -> usize {
        let Ok(view) = view(object) else { return RULES.len() };
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_as_val("object", Box::new(view));
        let broken = |program: &&Program| match Value::resolve_val(program.expression(), &context) {
            Ok(value) => !value.downcast_ref::<CelBool>().is_some_and(|kept| kept.into_inner()),
            Err(_) => true,
        };
        self.programs.iter().filter(broken).count()
    }
}

fn policy(number: usize, rule: &str) -> (String, String) {
    let rule = serde_json::Value::from(rule);
    let text = format!(
        "format: ranproof/policy/1\nname: rule-{number}\ndescription: {{ en: measured, zh: 测量 }}\nseverity: minor\n\
         scope: {CLASS}\nattribute: nRPCI\nexpression: {rule}\nmessage: {{ en: broken, zh: 不符 }}\n"
    );
    (format!("rule-{number}.yaml"), text)
}

/// What somebody would write who may write Rust: a missing or unreadable attribute breaks the rule.
fn by_hand(object: &Object) -> usize {
    let text = |name: &str| object.attribute(name).and_then(Held::as_text);
    let int = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let list = |name: &str| object.attribute(name).map(Held::occurrences);
    let mcc = |plmn: &Held| matches!(plmn, Held::Fields(fields) if fields.get("mcc").and_then(Held::as_text) == Some("460"));
    let kept = [
        int("nRPCI").map(|pci| (0..=1007).contains(&pci)),
        text("administrativeState").map(|state| ["LOCKED", "UNLOCKED", "SHUTTINGDOWN"].contains(&state)),
        list("nRSectorCarrierRef")
            .map(|list| list.iter().all(|r| r.as_text().is_some_and(|r| r.starts_with("SubNetwork=")))),
        (|| Some(int("bSChannelBwDL")? == int("bSChannelBwUL")? || int("arfcnUL")? != int("arfcnDL")?))(),
        (|| Some(!(int("nRTAC")? == 0 && text("administrativeState")? == "UNLOCKED")))(),
        int("ssbPeriodicity").map(|period| [5, 10, 20, 40, 80, 160].contains(&period)),
        int("arfcnDL").map(|arfcn| (626_667..=633_333).contains(&arfcn)),
        (|| Some(int("ssbOffset")? < int("ssbPeriodicity")? && int("ssbDuration")? <= 5))(),
        list("pLMNInfoList").map(|list| list.iter().all(mcc)),
        (|| Some(int("nRTAC")? % 2 == 0 || int("cellLocalId")? < 100))(),
    ];
    kept.iter().filter(|kept| **kept != Some(true)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sides_find_the_same_rules_broken() {
        let documents = Documents::middle().unwrap();
        let snapshot = documents.read(&documents.previous).unwrap();
        agree(&Rules::load().unwrap(), &cells(&snapshot)).unwrap();
    }
}
