//! `ranproof demo`: a seeded world on this machine, acting only through the command line, the API and management
//! sessions, as people would.

pub(crate) mod children;
mod command;
pub mod files;
mod judged;
mod liar;
mod member;
mod network;
mod outage;
mod report;
mod requests;
mod story;
mod world;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::cli::output::{Exit, print, print_json, talk};

#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Play the story, print the summary and exit; without it the pages stay up until Ctrl-C.
    #[arg(long)]
    pub once: bool,
    /// Ask nothing. The demo itself never asks; `./demo` does before it installs something.
    #[arg(long)]
    pub yes: bool,
    /// Number of stations, at least 12, the last quarter of them Unicom's; up to 64 each is a process of its own.
    #[arg(long, default_value_t = 12)]
    pub stations: usize,
    /// What the stations' configurations and keys follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of the world. An earlier demo in it is replaced.
    #[arg(long, default_value = ".demo")]
    pub dir: PathBuf,
}

/// Builds the world, plays the story, reports.
pub fn run(options: &DemoOptions, json: bool) -> Result<Exit> {
    ensure!(options.stations >= 12, "the story needs at least 12 stations");
    let mut world = world::World::build(options)?;
    let told = story::play(&mut world)?;
    let report = report::collect(&world, &told)?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
    }
    if !options.once {
        talk(&format!("The pages are at {}. Ctrl-C stops everything.", world.pages().join(" ")));
        world.stay()?;
    }
    world.stop()?;
    Ok(Exit::Clean)
}
