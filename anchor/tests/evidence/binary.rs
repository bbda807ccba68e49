//! `ranproof-verify` as a person runs it: exit codes, output, limits.

#![expect(clippy::disallowed_methods, reason = "the program under test is a process that reads files")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::parts::encode;
use crate::world::{Story, World};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ranproof-verify"))
}

fn run(bundle: &PathBuf, trust: &PathBuf, more: &[&str]) -> Output {
    command().arg(bundle).arg("--trust").arg(trust).args(more).output().unwrap()
}

#[test]
fn exit_codes_tell_verified_refuted_unreadable_and_incomplete() {
    let folder = Folder::new("codes");
    let world = World::play(Story::default());
    let trust = folder.write("trust.yaml", world.trust_file().to_yaml().as_bytes());
    let good = folder.write("good", &encode(world.change_parts()));
    let output = run(&good, &trust, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("VERIFIED: change CR-1") && text.contains("does not prove"), "{text}");
    assert!(output.stderr.is_empty());

    let output = run(&good, &trust, &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "verified");
    assert_eq!(report["steps"].as_array().unwrap().len(), 15);

    let late = World::play(Story { late: true, ..Story::default() });
    let late = folder.write("late", &encode(late.change_parts()));
    assert_eq!(run(&late, &trust, &[]).status.code(), Some(1));

    let garbage = folder.write("garbage", b"\0\xff");
    assert_eq!(run(&garbage, &trust, &[]).status.code(), Some(2));

    let alone = World::play(Story { cosigners: vec![], ..Story::default() });
    let alone = folder.write("alone", &encode(alone.change_parts()));
    assert_eq!(run(&alone, &trust, &[]).status.code(), Some(3));
}

#[test]
fn what_cannot_be_read_is_one_line_with_code_2() {
    let folder = Folder::new("faults");
    let world = World::play(Story::default());
    let yaml = world.trust_file().to_yaml();
    let trust = folder.write("trust.yaml", yaml.as_bytes());
    let good = folder.write("good", &encode(world.change_parts()));
    let huge = folder.write("huge", &vec![b' '; 16 * 1024 * 1024 + 1]);
    let broken = folder.write("broken.yaml", yaml.replace("origins:", "origin:").as_bytes());
    let absent = folder.0.join("absent");
    for (bundle, trust, part) in [
        (&absent, &trust, "absent"),
        (&good, &absent, "absent"),
        (&huge, &trust, "over the limit"),
        (&good, &broken, "line "),
    ] {
        let output = run(bundle, trust, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn reader_that_goes_away_changes_nothing_but_the_output() {
    let folder = Folder::new("pipe");
    let world = World::play(Story::default());
    let trust = folder.write("trust.yaml", world.trust_file().to_yaml().as_bytes());
    let good = folder.write("good", &encode(world.change_parts()));
    let mut child = command();
    child.arg(&good).arg("--trust").arg(&trust).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
