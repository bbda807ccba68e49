//! What the parts of the path cost beside the peers that do the same, all in one run.
//!
//! Each race gives all its contestants the same input and takes turns between them, so that whatever else the machine does
//! meets them alike. What counts is CPU time of this process and the median over the passes; read the ratios, the figures
//! are of one machine. A race first makes sure that its contestants agree on the answer. `docs/performance.md` has the
//! figures and says what each peer leaves out.

mod bundles;
mod documents;
mod log;
mod meter;
mod reading;
mod rules;
mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

use documents::Documents;
use table::Table;

/// CPU of reading, comparing, rules, log and bundles, beside their peers
#[derive(Debug, Parser)]
struct Arguments {
    /// Passes; in each, all contestants take their turn, and the median counts.
    #[arg(long, default_value_t = 7)]
    passes: usize,
    /// Milliseconds of each turn.
    #[arg(long, default_value_t = 40)]
    turn_ms: u64,
    /// Only the races whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// The rules in Rego; left out where it was not built: `cargo build --release --manifest-path benches/peers/rego/Cargo.toml
    /// --target-dir target/peers`.
    #[arg(long, default_value = "target/peers/release/rego-peer")]
    rego: PathBuf,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Exit with 1 where a ratio is below what is expected of it anywhere.
    #[arg(long)]
    strict: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.passes > 0 && arguments.turn_ms > 0,
        "nothing to measure: --passes and --turn-ms begin at 1"
    );
    let (middle, large) = (Documents::middle()?, Documents::large()?);
    let mut table = Table::default();
    for documents in [&middle, &large] {
        table.run(&arguments, reading::read(documents)?)?;
    }
    table.run(&arguments, reading::compare(&large)?)?;
    let race = rules::race(&middle)?;
    let judged = race.name.contains(&arguments.only);
    table.run(&arguments, race)?;
    if judged && arguments.rego.exists() {
        let turns = (arguments.passes, arguments.turn_ms);
        table
            .beside(&rules::rego(&middle, &arguments.rego, turns)?, "no names checked, no budget of steps")?;
    }
    table.run(&arguments, log::append()?)?;
    table.run(&arguments, log::prove()?)?;
    table.run(&arguments, bundles::verify()?)?;
    let text = if arguments.json { serde_json::to_string_pretty(&table)? + "\n" } else { table.to_string() };
    std::io::stdout().write_all(text.as_bytes())?;
    let short = table.short();
    for row in &short {
        let (is, least) = (row.ratio, row.at_least.unwrap_or_default());
        let line = format!(
            "{}: {} takes {is:.2} times ours, expected is {least} or more\n",
            row.race, row.contestant
        );
        std::io::stderr().write_all(line.as_bytes())?;
    }
    Ok(if arguments.strict && !short.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
