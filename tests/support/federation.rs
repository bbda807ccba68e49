//! A federation on this machine for tests: the demo's files with Telecom as the only validator, and its agent as a
//! process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use agent::client::{AgentOptions, Client};
use agent::demo::files::{self, Ports, text};
use anyhow::{Context as _, Result, ensure};
use model::Agreement;

use crate::process::{Process, ranproof};

/// The folder with keys, genesis, agreement and configuration.
pub struct Federation {
    pub dir: PathBuf,
}

impl Federation {
    /// Everything but the stations, and the agreement: Telecom's targets have yet to be written.
    pub fn found(dir: &Path) -> (Federation, Agreement) {
        files::federation(dir, files::ALONE, |args| run(&mut ranproof(args))).unwrap();
        let agreement = files::agreement(&dir.join("agreement.yaml"), 12).unwrap();
        files::lone_agent(dir, &files::ALONE[0], Ports::default()).unwrap();
        (Federation { dir: dir.to_owned() }, agreement)
    }

    pub fn path(&self, name: &str) -> String {
        text(&self.dir.join(name))
    }
}

/// Telecom's running agent.
pub struct Agent {
    pub process: Process,
    pub url: String,
    pub token_file: PathBuf,
}

impl Agent {
    /// Starts it and waits until it answers; `log` is the file's name for its words.
    pub fn start(federation: &Federation, log: &str) -> Agent {
        let config = federation.path("telecom/agent.yaml");
        let mut process = Process::start(ranproof(&["agent", "--config", &config]), federation.dir.join(log));
        let page = process.wait_for_words("Pages at ");
        let url = page.trim_end().trim_end_matches('/').to_owned();
        Agent { process, url, token_file: federation.dir.join("telecom/data/api.token") }
    }

    pub fn client(&self) -> Client {
        Client::new(&AgentOptions { url: self.url.clone(), token_file: Some(self.token_file.clone()) })
            .unwrap()
    }
}

/// Runs a command that must succeed and returns what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run ranproof")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {words}");
    Ok(String::from_utf8(output.stdout)?)
}
