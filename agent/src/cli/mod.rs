//! The command line: data on standard output, talk on standard error, exit codes that mean something.

mod agreement;
mod approve;
mod bench;
mod bundle;
mod change;
mod collect;
mod daemon;
mod diff;
mod dispute;
mod fsck;
mod inventory;
pub mod node;
pub mod output;
mod policy;
mod schema;
mod status;
mod violation;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use output::Exit;

/// Joint configuration audit for operators who share one radio network.
#[derive(Debug, Parser)]
#[command(
    name = "ranproof",
    version,
    about,
    after_help = "Exit codes: 0 clean or verified, 1 violations found or proof refuted, 2 could not do it, 3 evidence incomplete."
)]
struct Cli {
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the whole idea on this machine: stations, operators, a chain, violations, evidence
    Demo(crate::demo::DemoOptions),
    /// Run one operator's agent: collector, judge, node, page, metrics
    Agent(daemon::AgentArgs),
    /// Run a round now
    Collect(collect::CollectArgs),
    /// Compare two configurations by meaning, not by text
    Diff(diff::DiffArgs),
    /// Check YANG modules: what loads, what does not and why
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Compile YANG for the process that started this one
    #[command(hide = true)]
    YangWorker,
    /// Check, test and register rules
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check, register and approve sharing agreements
    #[command(subcommand)]
    Agreement(agreement::AgreementCommand),
    /// Register and approve the stations to be read
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
    /// Propose, preview, approve and follow change requests
    #[command(subcommand)]
    Change(change::ChangeCommand),
    /// Review violations
    #[command(subcommand)]
    Violation(violation::ViolationCommand),
    /// Look at disputes, answer and end them
    #[command(subcommand)]
    Dispute(dispute::DisputeCommand),
    /// Fetch evidence as one file
    Bundle(bundle::BundleArgs),
    /// Check evidence, offline
    Verify(bundle::VerifyArgs),
    /// Set up and look at the chain node
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Hash again everything that an agent stored
    Fsck(fsck::FsckArgs),
    /// Play stations: real NETCONF over real SSH
    Sim(sim::cli::SimArgs),
    /// Measure
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// Parses the arguments, runs the command, prints one error with its causes.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli.command, json) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::talk(&format!("error: {error:#}"));
            Exit::CouldNot.into()
        }
    }
}

fn run(command: Command, json: bool) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(options) => crate::demo::run(&options, json),
        Command::Agent(args) => daemon::run(&args),
        Command::Collect(args) => collect::run(&args, json),
        Command::Diff(args) => diff::run(&args, json),
        Command::Schema(command) => schema::run(&command, json),
        Command::YangWorker => schema::work(),
        Command::Policy(command) => policy::run(&command, json),
        Command::Agreement(command) => agreement::run(&command, json),
        Command::Inventory(command) => inventory::run(&command, json),
        Command::Change(command) => change::run(&command, json),
        Command::Violation(command) => violation::run(&command, json),
        Command::Dispute(command) => dispute::run(&command, json),
        Command::Bundle(args) => bundle::fetch(&args, json),
        Command::Verify(args) => bundle::verify(&args, json),
        Command::Node(command) => node::run(&command, json),
        Command::Fsck(args) => fsck::run(&args, json),
        Command::Sim(options) => daemon::simulate(&options),
        Command::Bench(command) => bench::run(&command, json),
    }
}
