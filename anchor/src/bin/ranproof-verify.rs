//! `ranproof-verify BUNDLE --trust trust.yaml [--json]`: checks a bundle offline, against the caller's own trust.
//!
//! Files are read here and nowhere below; there is no network, no database, no runtime.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ranproof_anchor::Trust;
use ranproof_anchor::bundle::MAX_BUNDLE_BYTES;
use ranproof_anchor::verify::{Report, verify};

const USAGE: &str = "usage: ranproof-verify BUNDLE --trust TRUST.yaml [--json]

Checks a bundle offline against your own trust file. Nothing in the bundle is trusted.

  BUNDLE          a file written by `ranproof bundle`
  --trust FILE    your trust file: chain, validators, logs, cosigners, approval keys
  --json          print the report as one JSON object
  --help, --version

exit code: 0 verified, 1 refuted, 2 could not do it, 3 evidence incomplete
example: ranproof-verify change-CR-1.bundle --trust trust.yaml
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Verify { bundle: PathBuf, trust: PathBuf, json: bool },
    Print(String),
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            // When even this cannot be written there is nobody left to tell; the code still says so.
            let _ = writeln!(io::stderr(), "ranproof-verify: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<u8, String> {
    match parse(arguments)? {
        Command::Print(text) => {
            print(&text)?;
            Ok(0)
        }
        Command::Verify { bundle, trust, json } => {
            let trust_bytes = read(&trust)?;
            let trust = Trust::parse(&trust_bytes).map_err(|e| format!("{}: {e}", trust.display()))?;
            let report = verify(&read(&bundle)?, &trust);
            print(&if json { as_json(&report)? } else { report.to_string() })?;
            Ok(report.outcome.exit_code())
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let (mut bundle, mut trust, mut json) = (None, None, false);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Command::Print(USAGE.to_owned())),
            Some("--version" | "-V") => {
                return Ok(Command::Print(
                    concat!("ranproof-verify ", env!("CARGO_PKG_VERSION"), "\n").into(),
                ));
            }
            Some("--json") => json = true,
            Some("--trust") => {
                let file = arguments.next().ok_or("--trust needs a file; hint: --trust trust.yaml")?;
                if trust.replace(PathBuf::from(file)).is_some() {
                    return Err("--trust is given twice".to_owned());
                }
            }
            Some(option) if option.starts_with('-') => {
                return Err(format!("unknown option `{option}`; hint: ranproof-verify --help"));
            }
            _ if bundle.is_none() => bundle = Some(PathBuf::from(argument)),
            _ => return Err("more than one bundle; hint: one at a time".to_owned()),
        }
    }
    let bundle = bundle.ok_or("no bundle given; hint: ranproof-verify --help")?;
    let trust = trust.ok_or("no trust given; hint: --trust trust.yaml, your own file")?;
    Ok(Command::Verify { bundle, trust, json })
}

/// Reads a file, at most one byte over the limit.
#[expect(clippy::disallowed_methods, reason = "this program is the shell around the pure room")]
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |e: io::Error| format!("cannot read {}: {e}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BUNDLE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(format!("{} is over the limit of {MAX_BUNDLE_BYTES} bytes", path.display()));
    }
    Ok(bytes)
}

fn as_json(report: &Report) -> Result<String, String> {
    let text = serde_json::to_string_pretty(report).map_err(|e| format!("cannot write the report: {e}"))?;
    Ok(text + "\n")
}

/// A reader that closed the pipe has seen what it wanted: no error, the exit code still tells the result.
fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {e}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn arguments_come_in_any_order_and_faults_carry_a_hint() {
        let expected = Command::Verify { bundle: "b".into(), trust: "t".into(), json: true };
        assert_eq!(parsed("b --trust t --json").unwrap(), expected);
        assert_eq!(parsed("--json --trust t b").unwrap(), expected);
        for line in ["", "b", "--trust t", "b --trust", "b c --trust t", "b --trust t --quick"] {
            assert!(parsed(line).unwrap_err().contains("hint:"), "{line}");
        }
        assert!(parsed("b --trust t --trust t").is_err());
        assert!(matches!(parsed("--help"), Ok(Command::Print(_))));
    }
}
