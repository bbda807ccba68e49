//! The ten rules of `ranproof-benches` in Rego over the same cells, by regorus: compiled once, its virtual machine kept.
//!
//! Reads `{"passes", "turn_ms", "rules", "cells", "checks"}` from standard input: each rule as conditions of Rego on `input` of
//! which one must hold, the objects as JSON with typed values. Prints, for each of `checks`, how many rules it does not keep,
//! and the CPU nanoseconds of one rule over one of `cells`: from values made before, and from JSON text each time. A rule that
//! cannot be evaluated is one that is not kept.

use std::hint::black_box;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cpu_time::ProcessTime;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};
use serde::{Deserialize, Serialize};

const ENTRY: &str = "data.rules.broken";

#[derive(Deserialize)]
struct Task {
    passes: usize,
    turn_ms: u64,
    rules: Vec<Vec<String>>,
    cells: Vec<serde_json::Value>,
    checks: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct Answer {
    broken: Vec<usize>,
    made_before_ns: f64,
    from_json_ns: f64,
}

fn main() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let task: Task = serde_json::from_str(&text).context("the task is not readable")?;
    let mut vm = machine(&task.rules)?;
    let texts: Vec<String> = task.cells.iter().map(ToString::to_string).collect();
    let values = texts.iter().map(|text| Value::from_json_str(text)).collect::<Result<Vec<_>>>()?;
    let checks = task.checks.iter().map(|check| Value::from_json_str(&check.to_string()));
    let broken = checks.map(|check| judge(&mut vm, check?)).collect::<Result<_>>()?;
    let each = (task.cells.len() * task.rules.len()) as f64;
    let mut figure = |work: &mut dyn FnMut(&mut RegoVM) -> Result<()>| -> Result<f64> {
        let mut turns = Vec::with_capacity(task.passes);
        for _ in 0..task.passes {
            turns.push(turn(Duration::from_millis(task.turn_ms), || work(&mut vm))? * 1e9 / each);
        }
        turns.sort_by(f64::total_cmp);
        turns.get(turns.len() / 2).copied().context("no passes")
    };
    let made_before_ns = figure(&mut |vm| {
        values.iter().try_for_each(|value| {
            judge(vm, value.clone()).map(|count| {
                black_box(count);
            })
        })
    })?;
    let from_json_ns = figure(&mut |vm| {
        texts.iter().try_for_each(|text| {
            judge(vm, Value::from_json_str(text)?).map(|count| {
                black_box(count);
            })
        })
    })?;
    let answer = Answer { broken, made_before_ns, from_json_ns };
    std::io::Write::write_all(&mut std::io::stdout(), serde_json::to_string(&answer)?.as_bytes())?;
    Ok(())
}

/// The machine with all rules in it: `broken` is the set of those that the input does not keep.
fn machine(rules: &[Vec<String>]) -> Result<RegoVM> {
    let mut policy = "package rules\n\nimport rego.v1\n".to_owned();
    for (number, rule) in rules.iter().enumerate() {
        for conditions in rule {
            policy.push_str(&format!("\nkept_{number} if {{ {conditions} }}\n"));
        }
        policy.push_str(&format!("broken contains {number} if not kept_{number}\n"));
    }
    let mut engine = Engine::new();
    engine.add_policy("rules.rego".into(), policy)?;
    let compiled = engine.compile_with_entrypoint(&Rc::from(ENTRY))?;
    let program = Compiler::compile_from_policy(&compiled, &[ENTRY]).context("the rules do not compile")?;
    let mut vm = RegoVM::new();
    vm.load_program(program);
    vm.set_data(Value::new_object())?;
    Ok(vm)
}

/// How many rules a cell does not keep.
fn judge(vm: &mut RegoVM, cell: Value) -> Result<usize> {
    vm.set_input(cell);
    match vm.execute()? {
        Value::Set(broken) => Ok(broken.len()),
        other => bail!("the rules gave {other} instead of a set"),
    }
}

/// CPU seconds of one go.
fn turn(length: Duration, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let begun = ProcessTime::now();
    let mut goes = 0_u32;
    while begun.elapsed() < length {
        work()?;
        goes += 1;
    }
    Ok(begun.elapsed().as_secs_f64() / f64::from(goes))
}
