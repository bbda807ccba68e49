//! The subset against CEL's own conformance tests and against the stock evaluator; bounds; faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Agreement, Object, Value};
use proptest::prelude::*;

use super::check::{Environment, Fault, compile, compile_condition};
use super::evaluate::{Inputs, evaluate};
use super::value::Val;
use super::{Trouble, witness};
use crate::catalogue;
use crate::network::{NeighbourRef, Neighbourhood};

struct Around {
    known: Vec<Object>,
}

impl Neighbourhood for Around {
    fn relations_of(&self, _: &Object) -> Option<Vec<NeighbourRef<'_>>> {
        let known = self.known.iter();
        Some(known.map(|o| NeighbourRef { dn: o.dn().clone(), cell: Some(o), stale: false }).collect())
    }

    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
        Some(object)
    }
}

fn environment() -> Environment {
    Environment { class: catalogue::class("NRCellDU").unwrap(), neighbours: true }
}

fn agreement() -> Agreement {
    serde_json::from_value(serde_json::json!({
        "format": "ranproof/agreement/1", "id": "a", "version": 1, "title": "",
        "parties": [{"id": "t", "name": "T", "kind": "operator"}, {"id": "u", "name": "U", "kind": "operator"}],
        "districts": [{"scope": "", "master_operator": "t"}],
        "sharing": [{"scope": "", "plmns": ["460-11"]}], "rights": [], "key_attributes": [],
        "ranges": [{"attribute": "NRCellDU.bSChannelBwDL", "min": "19.5", "max": "100.0"}],
        "collection": {"period_minutes": 60, "attest_within_minutes": 30},
        "map_secret": "00".repeat(32),
    }))
    .unwrap()
}

fn cell(attributes: &[(&str, &str)]) -> Object {
    let attributes = attributes.iter().map(|(n, v)| ((*n).into(), Value::from(*v))).collect();
    Object::new("NRCellDU=1".parse().unwrap(), attributes, vec![])
}

/// The value of an expression over `object`, or why there is none.
fn value_over(source: &str, object: &Object, neighbours: usize) -> Result<Result<String, Trouble>, Fault> {
    let (node, _) = compile(source, environment())?;
    let neighbour =
        |n| Object::new(format!("NRCellDU={n}").parse().unwrap(), vec![("nRPCI".into(), "7".into())], vec![]);
    let around = Around { known: (2..2 + neighbours).map(neighbour).collect() };
    let agreement = agreement();
    let inputs =
        Inputs { agreement: &agreement, object, previous: None, approved: None, neighbours: &around };
    // Explaining never panics, whatever the outcome.
    witness::parts(&node, &inputs);
    Ok(evaluate(&node, &inputs).map(|value| value.to_string()))
}

fn value(source: &str) -> Result<String, String> {
    let object = cell(&[("nRPCI", "7"), ("bSChannelBwDL", "100"), ("userLabel", "a"), ("nRTAC", "x")]);
    match value_over(source, &object, 2) {
        Err(fault) => Err(format!("{}: {} ({})", fault.at, fault.message, fault.hint)),
        Ok(value) => value.map_err(|trouble| trouble.to_string()),
    }
}

fn is(source: &str, expected: &str) {
    assert_eq!(value(source).as_deref(), Ok(expected), "{source}");
}

fn fails(source: &str, expected: &str) {
    let got = value(source).expect_err(source);
    assert!(got.contains(expected), "{source}: {got}");
}

#[test]
fn decimals_are_exact_and_compare_with_ints() {
    is("object.bSChannelBwDL <= agreement.range.bSChannelBwDL.max", "true");
    is("object.bSChannelBwDL == agreement.range.bSChannelBwDL.max", "true");
    is("decimal(\"0.1\") < decimal(\"0.11\")", "true");
    is("decimal(\"1.50\") == decimal(\"1.5\")", "true");
    is("string(agreement.range.bSChannelBwDL.min)", "19.5");
    is("has(agreement.range.bSChannelBwUL)", "false");
    fails("agreement.range.bSChannelBwUL.max > 1", "the agreement has no range of bSChannelBwUL");
    fails("1.5 > 1", "decimal(\"1.5\")");
}

#[test]
fn what_is_not_there_is_trouble_unless_the_other_side_settles_it() {
    fails("object.ssbOffset == 1", "NRCellDU=1 has no ssbOffset");
    fails("object.nRTAC == 1", "nRTAC is `x`, which is not int");
    is("object.ssbOffset == 1 || object.nRPCI == 7", "true");
    is("object.ssbOffset == 1 && object.nRPCI == 8", "false");
    fails("object.ssbOffset == 1 || object.nRPCI == 8", "has no ssbOffset");
    is("has(object.ssbOffset) ? object.ssbOffset : 3", "3");
    is("previous == null || previous.nRPCI == 7", "true");
    fails("previous.nRPCI == 7", "previous is null");
    is("[1, 2].exists(x, x == 2 || object.ssbOffset == 1)", "true");
    fails("object.nRPCI / (object.nRPCI - 7) == 1", "division by zero");
    fails("9223372036854775807 + object.nRPCI == 1", "exceeds 64 bits");
    fails("[1][object.nRPCI] == 1", "a list of 1 has no element 7");
}

#[test]
fn unknown_names_and_wrong_types_are_faults_with_place_and_hint() {
    fails("object.nRPCl == 1", "6: NRCellDU has no attribute `nRPCl` (did you mean `nRPCI`?)");
    fails("1 == 1 && objct.nRPCI == 1", "unknown name `objct` (did you mean `object`?)");
    fails("nRPCI == 1", "did you mean `object.nRPCI`?");
    fails("object.configuredMaxTxPower > 1", "`configuredMaxTxPower` is an attribute of NRSectorCarrier");
    fails("object.nRPCI == \"7\"", "they are never equal (write 7 without quotes)");
    fails("object.userLabel == 7", "write \"7\"");
    fails("object.nRPCI == null", "has(object.nRPCI) tells whether it is there");
    fails("object.administrativeState == \"LOKED\"", "did you mean `LOCKED`?");
    fails("object.administrativeState in [\"LOCKED\", \"OPEN\"]", "`OPEN` is none of its values");
    fails("object.nRPCI < \"7\"", "they have no order");
    fails("object.nRPCI && true", "`&&` needs bool");
    fails("object.nRPCI + object.userLabel", "string(…) writes a number as a string");
    fails("agreement.plmn == []", "did you mean `plmns`?");
    fails("object.userLabel.startWith(\"a\")", "did you mean `startsWith`?");
    fails("object.userLabel.matches(object.userLabel)", "must be written out");
    fails("object.userLabel.matches(\"(\")", "not a pattern");
    fails("{\"a\": 1}", "maps and messages");
    fails("timestamp(\"x\")", "unknown function");
    fails("object.nRPCI == ", "16: syntax error: the expression ends too early");
    fails("object.nRPCI = 1", "syntax error: unexpected `=` (equality is `==`)");
    fails("object.nRPCI == 1 1", "18: syntax error: unexpected `1`");
    fails("(object.nRPCI == 1", "syntax error: `)` is missing");
    fails("\"频道\" == \"x\" || object.nRPCI === 1", "equality is `==`");
    let fault = compile_condition("object.nRPCI", environment()).unwrap_err();
    assert!(fault.message.contains("the expression is int"));
}

#[test]
fn without_asking_for_them_a_rule_has_no_neighbours() {
    let environment = Environment { neighbours: false, ..environment() };
    let fault = compile("neighbours.size() == 0", environment).unwrap_err();
    assert!(fault.hint.contains("needs: [neighbours]"));
}

#[test]
fn a_place_counts_characters_not_bytes() {
    let fault = compile("\"频道\" == \"x\" || object.nRPCl == 1", environment()).unwrap_err();
    assert_eq!(fault.at, "\"频道\" == \"x\" || object".chars().count());
}

#[test]
fn a_hostile_expression_is_refused_or_stopped_and_never_overflows() {
    let around = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let deep = |n: usize| {
        vec![
            around("(", "true", ")", n),
            around("[", "1", "]", n),
            around("!(", "true", ")", n),
            around("[1].all(x,", "true", ")", n),
            around("true?(", "true", "):true", n),
            around("size([", "1", "])", n),
            format!("{}true", "!".repeat(n)),
            format!("{}1", "-".repeat(n)),
            vec!["1"; n].join("+"),
            vec!["1"; n].join(" in "),
            vec!["true"; n].join("&&"),
            vec!["true"; n].join("?true:"),
            vec!["1"; n].join("<"),
            format!("object{}", ".nRPCI".repeat(n)),
            format!("object{}", "[0]".repeat(n)),
            format!("[{}]", vec!["1"; n].join(",")),
            "[".repeat(n),
            "\"".repeat(n),
            "频".repeat(n),
        ]
    };
    for n in [3, 20, 24, 60, 100, 119, 500, 1300, 5000] {
        for source in deep(n) {
            let outcome = value(&source);
            if n > 1300 {
                assert!(outcome.is_err());
            }
        }
    }
    let pairs = "neighbours.all(a, neighbours.all(b, neighbours.all(c, neighbours.all(d, a.nRPCI + b.nRPCI + c.nRPCI + d.nRPCI > 0))))";
    let stopped = value_over(pairs, &cell(&[]), 100).unwrap();
    assert_eq!(stopped, Err(Trouble::Budget));
    // Running out of steps is not made up for by the other side of `||`.
    assert_eq!(value_over(&format!("{pairs} || true"), &cell(&[]), 100).unwrap(), Err(Trouble::Budget));
}

/// The stock evaluator's word on the same expression over the same values.
struct Stock {
    env: Arc<cel::Env>,
}

impl Stock {
    fn value(&self, source: &str, object: &BTreeMap<String, cel::Value>) -> Result<String, String> {
        let program = self.env.compile(source).map_err(|e| e.to_string())?;
        let mut context = cel::Context::with_env(self.env.clone());
        let map: std::collections::BTreeMap<_, _> = object.clone();
        #[expect(clippy::disallowed_types, reason = "the stock evaluator takes nothing else")]
        let map: std::collections::HashMap<String, cel::Value> = map.into_iter().collect();
        context.add_variable_from_value("object", cel::Value::from(map));
        program.execute(&context).map(|value| show(&value)).map_err(|e| e.to_string())
    }
}

fn show(value: &cel::Value) -> String {
    match value {
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => value.to_string(),
        cel::Value::String(text) => text.to_string(),
        cel::Value::List(list) => {
            format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

const INTS: [&str; 6] = ["nRPCI", "nRTAC", "arfcnDL", "cellLocalId", "ssbOffset", "ssbDuration"];

fn int_expression() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(INTS.to_vec()).prop_map(|name| format!("object.{name}")),
        8 => (-3i64..20).prop_map(|n| if n < 0 { format!("({n})") } else { n.to_string() }),
        1 => Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let two = (inner.clone(), inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]));
        prop_oneof![
            two.prop_map(|(a, b, sign)| format!("({a} {sign} {b})")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            prop::collection::vec(inner, 1..4).prop_map(|list| format!("size([{}])", list.join(", "))),
        ]
    })
    .boxed()
}

fn text_expression() -> BoxedStrategy<String> {
    prop_oneof![
        Just("object.userLabel".to_owned()),
        Just("object.victimSetRef".to_owned()),
        "[a-c]{0,3}".prop_map(|text| format!("\"{text}\"")),
        int_expression().prop_map(|n| format!("string({n})")),
    ]
    .prop_recursive(2, 6, 2, |inner| (inner.clone(), inner).prop_map(|(a, b)| format!("({a} + {b})")))
    .boxed()
}

fn bool_expression() -> BoxedStrategy<String> {
    let compare = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| value.to_string()),
        (int_expression(), compare.clone(), int_expression())
            .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        (text_expression(), compare, text_expression()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        (int_expression(), prop::collection::vec(int_expression(), 0..4))
            .prop_map(|(a, list)| format!("({a} in [{}])", list.join(", "))),
        prop::sample::select(INTS.to_vec()).prop_map(|name| format!("has(object.{name})")),
        (
            text_expression(),
            text_expression(),
            prop::sample::select(vec!["startsWith", "endsWith", "contains"])
        )
            .prop_map(|(a, b, f)| format!("{a}.{f}({b})")),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let list =
            prop::collection::vec(int_expression(), 1..4).prop_map(|list| format!("[{}]", list.join(", ")));
        let quantifier = prop::sample::select(vec!["all", "exists", "exists_one"]);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (list.clone(), quantifier, int_expression(), inner.clone())
                .prop_map(|(list, q, n, p)| format!("{list}.{q}(x, x > {n} || ({p} && x == 2))")),
            (list.clone(), list.clone(), int_expression())
                .prop_map(|(a, b, n)| format!("({a}.map(x, x + {n}) == {b}.filter(x, x != {n}))")),
            (list.clone(), list).prop_map(|(a, b)| format!("({a}.map(x, x > 1, x * 2) + {b} == {b})")),
        ]
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_subset_means_what_the_stock_evaluator_says(
        source in bool_expression(),
        ints in prop::collection::btree_map(prop::sample::select(INTS.to_vec()), -2i64..12, 2..7),
        label in prop::option::of("[a-c]{0,3}"),
    ) {
        let stock = Stock { env: Arc::new(cel::Env::stdlib()) };
        let mut object = BTreeMap::new();
        let mut attributes = Vec::new();
        for (name, number) in &ints {
            object.insert((*name).to_owned(), cel::Value::Int(*number));
            attributes.push(((*name).to_owned(), Value::text(number.to_string())));
        }
        if let Some(label) = &label {
            object.insert("userLabel".into(), cel::Value::String(Arc::new(label.clone())));
            attributes.push(("userLabel".into(), Value::text(label.as_str())));
        }
        let ours = Object::new("NRCellDU=1".parse().unwrap(), attributes, vec![]);
        let Ok(ours) = value_over(&source, &ours, 0) else { return Ok(()) };
        let theirs = stock.value(&source, &object);
        prop_assert_eq!(ours.clone().ok(), theirs.clone().ok(), "{}: {:?} against {:?}", source, ours, theirs);
    }
}

/// One conformance test: an expression with the value it has, `None` for an error.
struct Conformance {
    name: String,
    source: String,
    expected: Option<String>,
}

#[expect(clippy::disallowed_methods, reason = "a test reads the shared corpus")]
fn conformance() -> Option<Vec<Conformance>> {
    let root = std::env::var("RANPROOF_DATA").unwrap_or_else(|_| "../../shared/data".to_owned());
    let folder = std::path::Path::new(&root).join("cel/cel-spec-simple");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "textproto") {
            out.extend(conformance_of(&std::fs::read_to_string(path).unwrap()));
        }
    }
    Some(out)
}

/// Tests of the simple shape: name, expression, one scalar value or an error, nothing bound.
fn conformance_of(text: &str) -> Vec<Conformance> {
    let mut out = Vec::new();
    for block in text.split("  test {").skip(1) {
        let line = |key: &str| block.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
        let bound = ["bindings", "type_env", "container:", "disable_check", "disable_macros", "check_only"];
        let (Some(name), Some(source)) = (line("name:"), line("expr:")) else { continue };
        let Some(source) = unquote(source) else { continue };
        if bound.iter().any(|key| block.contains(key)) {
            continue;
        }
        let expected = if block.contains("eval_error") {
            None
        } else {
            let Some(value) = line("value: {").and_then(|value| value.strip_suffix('}')) else { continue };
            let Some((kind, value)) = value.trim().split_once(':') else { continue };
            match kind {
                "int64_value" | "bool_value" => Some(value.trim().to_owned()),
                "string_value" => match unquote(value.trim()) {
                    Some(text) => Some(text),
                    None => continue,
                },
                _ => continue,
            }
        };
        out.push(Conformance { name: name.to_owned(), source, expected });
    }
    out
}

/// A text-format string without escapes but those of quotes and backslashes.
fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('\\' | '"' | '\'') => out.push(c),
                'n' => out.push('\n'),
                _ => return None,
            },
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[test]
fn conformance_tests_inside_the_subset_pass() {
    let Some(tests) = conformance() else {
        println!("SKIPPED: the CEL conformance files are not at RANPROOF_DATA");
        return;
    };
    let (mut inside, mut wrong) = (0, Vec::new());
    for test in &tests {
        let Ok(ours) = value_over(&test.source, &cell(&[]), 0) else { continue };
        inside += 1;
        if ours.clone().ok() != test.expected {
            wrong.push(format!("{}: {} is {ours:?}, expected {:?}", test.name, test.source, test.expected));
        }
    }
    println!("{inside} of {} conformance tests are inside the subset", tests.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(inside >= 100, "only {inside} of {} tests are inside the subset", tests.len());
}

#[test]
fn reading_a_value_never_guesses() {
    let list = Value::Sequence(vec!["1".into(), "2".into()]);
    let object = Object::new("NRCellDU=1".parse().unwrap(), vec![("nRPCI".into(), list)], vec![]);
    let trouble = value_over("object.nRPCI == 1", &object, 0).unwrap().unwrap_err();
    assert!(matches!(trouble, Trouble::Unreadable { .. }));
    for (text, expected) in [("+5", Some("5")), ("05", Some("5")), ("5.0", None), ("", None), ("0x5", None)] {
        let ours = value_over("object.nRPCI", &cell(&[("nRPCI", text)]), 0).unwrap().ok();
        assert_eq!(ours.as_deref(), expected, "{text}");
    }
    assert!(matches!(Val::made(vec![]), Val::List(list) if list.len() == 0));
}
