//! The same rules in Rego by regorus, in a program of its own (`benches/peers/rego`): what it depends on would change features of
//! what ships.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use model::{Object, Value as Held};
use policies::catalogue::{Kind, Record, class};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The rules of this race, each as conditions on `input` of which one must hold.
const RULES: [&[&str]; 10] = [
    &["input.nRPCI >= 0; input.nRPCI <= 1007"],
    &["input.administrativeState in {\"LOCKED\", \"UNLOCKED\", \"SHUTTINGDOWN\"}"],
    &["every r in input.nRSectorCarrierRef { startswith(r, \"SubNetwork=\") }"],
    &["input.bSChannelBwDL == input.bSChannelBwUL", "input.arfcnUL != input.arfcnDL"],
    &["input.nRTAC != 0", "input.administrativeState != \"UNLOCKED\""],
    &["input.ssbPeriodicity in {5, 10, 20, 40, 80, 160}"],
    &["input.arfcnDL >= 626667; input.arfcnDL <= 633333"],
    &["input.ssbOffset < input.ssbPeriodicity; input.ssbDuration <= 5"],
    &["every p in input.pLMNInfoList { p.mcc == \"460\" }"],
    &["input.nRTAC % 2 == 0", "input.cellLocalId < 100"],
];

#[derive(Debug, Deserialize)]
pub struct Answer {
    /// Of each object that was to be checked, how many rules it does not keep.
    pub broken: Vec<usize>,
    /// CPU nanoseconds of one rule over one cell, from values made before, and from JSON text.
    pub made_before_ns: f64,
    pub from_json_ns: f64,
}

/// Runs the program: it is timed over the cells.
pub fn run(
    program: &Path,
    cells: &[Arc<Object>],
    checks: &[Object],
    (passes, turn_ms): (usize, u64),
) -> Result<Answer> {
    let cells = cells.iter().map(|cell| json_of(cell)).collect::<Result<Vec<_>>>()?;
    let checks = checks.iter().map(json_of).collect::<Result<Vec<_>>>()?;
    let task =
        json!({ "passes": passes, "turn_ms": turn_ms, "rules": RULES, "cells": cells, "checks": checks });
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("a child without standard input")?;
    input.write_all(task.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    serde_json::from_slice(&output.stdout).map_err(|error| anyhow!("{}: {error}", program.display()))
}

/// Attributes of the types that the rules' catalogue gives them.
fn json_of(object: &Object) -> Result<Value> {
    let record = class(object.class()).context("a class that rules do not know")?;
    Ok(fields(record, object.attributes().iter().map(|(name, value)| (name.as_str(), value))))
}

fn fields<'a>(record: &Record, held: impl Iterator<Item = (&'a str, &'a Held)>) -> Value {
    let known = held.filter_map(|(name, value)| record.field(name).map(|kind| (name, kind, value)));
    let fields: Map<String, Value> =
        known.map(|(name, kind, value)| (name.to_owned(), value_of(kind, value))).collect();
    fields.into()
}

fn value_of(kind: &Kind, held: &Held) -> Value {
    match (kind, held) {
        (Kind::List(of), held) => held.occurrences().iter().map(|held| value_of(of, held)).collect(),
        // What is no number stays a text, over which no rule about numbers holds.
        (Kind::Int, Held::Text(text)) => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        (Kind::Record(record), Held::Fields(held)) => {
            fields(record, held.iter().map(|(name, value)| (name.as_str(), value)))
        }
        (_, held) => held.as_text().map_or(Value::Null, Value::from),
    }
}
