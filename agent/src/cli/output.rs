//! Where words go: data to standard output, talk to standard error.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What a command's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: clean, or verified.
    Clean,
    /// 1: violations found, or proof refuted.
    Found,
    /// 2: could not do it.
    CouldNot,
    /// 3: evidence incomplete.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Clean => 0,
            Exit::Found => 1,
            Exit::CouldNot => 2,
            Exit::Incomplete => 3,
        })
    }
}

/// A line for people, on standard error. A closed standard error is not worth failing for.
pub fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text for whoever reads standard output. A reader that went away (`| head`) is an error of its own.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// What a command found: `value` for programs, `words` for people, on standard output.
pub fn answer<T: Serialize>(json: bool, value: &T, words: &str) -> Result<()> {
    if json { print_json(value) } else { print(words) }
}

/// What a command did: `words` on standard error, and `value` on standard output for programs.
pub fn done<T: Serialize>(json: bool, value: &T, words: &str) -> Result<()> {
    talk(words);
    if json { print_json(value) } else { Ok(()) }
}

/// One JSON value, indented, on standard output.
pub fn print_json<T: Serialize>(value: &T) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}
