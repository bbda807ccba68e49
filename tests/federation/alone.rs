//! A test in network, mount and process namespaces of its own: what it sets up there touches nobody else, and all of
//! it, processes included, is gone when the test ends, however it ends.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Set for the copy of this program that runs inside.
const INSIDE: &str = "RANPROOF_TEST_INSIDE";

/// What the copy says when the test is through: none of its words alone would prove that it ran anything.
const THROUGH: &str = "the test inside is through";

/// Runs `body` in namespaces of its own. `test` is the test's full name, by which this program is told to run it once
/// more, inside. Prints `SKIPPED: why` where that cannot be had; with `RANPROOF_NO_SKIP` set nothing may be missing.
pub fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        say(THROUGH);
        return;
    }
    match prerequisites() {
        Ok(options) => inside(test, &options),
        Err(why) if std::env::var_os("RANPROOF_NO_SKIP").is_some() => panic!("{why}"),
        Err(why) => say(&format!("SKIPPED: {why}")),
    }
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

/// Options for `unshare`. Whoever is not root becomes root of a user namespace.
fn prerequisites() -> Result<Vec<&'static str>, String> {
    if wrong_clock().is_none() {
        return Err("no libfaketime; hint: install libfaketime".into());
    }
    let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let as_root = ["--user", "--map-root-user"];
    let trial = "mount -t tmpfs none /run && ip netns add trial && nft list ruleset && nsenter --version";
    let mut failure = String::new();
    for options in [namespaces.to_vec(), [&namespaces[..], &as_root[..]].concat()] {
        let output = unshare(&options).args(["sh", "-c", trial]).output();
        match output {
            Ok(output) if output.status.success() => return Ok(options),
            Ok(output) => failure = String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => failure = format!("cannot run unshare: {error}"),
        }
    }
    Err(format!(
        "no network namespaces: {failure}; hint: be root, and install util-linux, iproute2 and nftables"
    ))
}

/// The library that gives a process another time of day.
pub fn wrong_clock() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let library = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    folders.map(library).find(|path| path.is_file())
}

/// Its programs lie where only root looks.
fn unshare(options: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("unshare");
    command.args(options).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn inside(test: &str, options: &[&str]) {
    let output = unshare(options)
        .arg(std::env::current_exe().expect("this program has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare could be run before");
    let words =
        [output.stdout, output.stderr].map(|words| String::from_utf8_lossy(&words).into_owned()).concat();
    for line in words.lines().filter(|line| !line.is_empty()) {
        say(&format!("  | {line}"));
    }
    assert!(output.status.success(), "{test} failed inside: {}", output.status);
    assert!(words.contains(THROUGH), "{test} did not run inside; hint: is this its full name?");
}
