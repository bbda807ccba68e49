//! The demo's people: they type commands.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

use super::children::program;

/// Somebody with an approval key at an agent.
#[derive(Debug, Clone)]
pub struct Person {
    pub key: PathBuf,
    pub agent: String,
    pub token_file: PathBuf,
}

impl Person {
    /// Runs `ranproof ARGS` as this person; its words are returned only if it fails.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program()?);
        command
            .args(args)
            .env("RANPROOF_AGENT", &self.agent)
            .env("RANPROOF_TOKEN_FILE", &self.token_file)
            .env("RANPROOF_KEY", &self.key);
        finish(command, args, &[0])
    }

    /// Runs a command whose answer is JSON. Exit code 1 (something was found) is an answer too.
    pub fn ask<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        let mut command = Command::new(program()?);
        command
            .args(args)
            .arg("--json")
            .env("RANPROOF_AGENT", &self.agent)
            .env("RANPROOF_TOKEN_FILE", &self.token_file)
            .env("RANPROOF_KEY", &self.key);
        let text = finish(command, args, &[0, 1])?;
        serde_json::from_str(&text).with_context(|| format!("`ranproof {}` gave no JSON", args.join(" ")))
    }
}

/// Runs `ranproof ARGS` as nobody in particular.
pub fn run(args: &[&str]) -> Result<String> {
    let mut command = Command::new(program()?);
    command.args(args);
    finish(command, args, &[0])
}

/// Runs `ranproof ARGS` and returns its exit code with what it printed.
pub fn exit_code(args: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(program()?).args(args).output().context("cannot run ranproof")?;
    let code = output.status.code().context("ranproof was ended by a signal")?;
    Ok((code, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn finish(mut command: Command, args: &[&str], allowed: &[i32]) -> Result<String> {
    let output = command.output().context("cannot run ranproof")?;
    let allowed = output.status.code().is_some_and(|code| allowed.contains(&code));
    if !allowed {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`ranproof {}` failed: {}", args.join(" "), words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
