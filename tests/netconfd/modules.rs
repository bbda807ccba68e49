//! Our YANG modules before compilers that others wrote, and the simulated stations before our modules.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sim::config::StationPlan;
use sim::modules::MODULES;

use crate::server::{modules_folder, python};

const YANGLINT: &str = "/usr/bin/yanglint";

/// The texts' files, or none where a compiler is missing and that is allowed.
fn files(compilers: &[(&str, bool)]) -> Option<Vec<PathBuf>> {
    let Some((absent, _)) = compilers.iter().find(|(_, there)| !there) else {
        let file = |name: &str| modules_folder().join(name).with_extension("yang");
        return Some(MODULES.iter().map(|module| file(module.name)).collect());
    };
    let why = format!("{absent} is missing; hint: ./check installs it");
    assert!(std::env::var_os("RANPROOF_NO_SKIP").is_none(), "{why}");
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("standard error is open");
    None
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn yanglint(files: &[PathBuf], data: Option<&Path>) -> Output {
    let mut command = Command::new(YANGLINT);
    command.arg("-p").arg(modules_folder());
    if data.is_some() {
        command.args(["-t", "config"]);
    }
    run(command.args(files).args(data))
}

#[test]
fn two_compilers_take_every_module_without_a_word() {
    let pyang = ["-c", "import sys; from pyang.scripts.pyang_tool import run; run()"];
    let there = run(Command::new(python()).args(["-c", "import pyang"])).status.success();
    let Some(files) = files(&[("yanglint", Path::new(YANGLINT).exists()), ("pyang", there)]) else { return };
    for file in &files {
        let mut command = Command::new(python());
        command.args(pyang).args(["--strict", "--path"]).arg(modules_folder()).arg(file);
        for output in [run(&mut command), yanglint(std::slice::from_ref(file), None)] {
            assert!(output.status.success(), "{}: {}", file.display(), words(&output));
            assert_eq!(words(&output), "", "{}", file.display());
        }
    }
}

#[test]
fn what_every_station_is_configured_with_is_valid() {
    let Some(files) = files(&[("yanglint", Path::new(YANGLINT).exists())]) else { return };
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    let data = folder.path().join("station.xml");
    let check = |text: &str| {
        fs::write(&data, text).expect("the folder is ours");
        yanglint(&files, Some(&data))
    };
    for station in 1..=12 {
        let plan = StationPlan { seed: 1, station, stations: 12, cells: 3, west: 3 };
        let text = plan.configuration().without_state().to_xml();
        let output = check(&text);
        assert!(output.status.success(), "station {station}: {}", words(&output));
        let pci = text.split_once("<nRPCI>").and_then(|(_, rest)| rest.split_once('<'));
        let (pci, _) = pci.expect("a station has cells");
        // One more than the range allows, and a leaf that no module has.
        let broken = format!("<nRPCI>{pci}<");
        for wrong in ["<nRPCI>1008<", "<nRPCX>1</nRPCX><nRPCI>1<"] {
            assert!(!check(&text.replacen(&broken, wrong, 1)).status.success(), "{wrong}");
        }
    }
    let state = StationPlan { seed: 1, station: 1, stations: 1, cells: 1, west: 0 }.configuration();
    assert!(!check(&state.to_xml()).status.success(), "state is no configuration");
}
