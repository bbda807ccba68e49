//! Processes that tests start: each ended by its own handle, its words in a file of its own.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ranproof");

/// Longest wait for a state that a process is to reach.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The command `ranproof ARGS`.
pub fn ranproof(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args);
    command
}

/// A running `ranproof`; killed and reaped when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `ranproof` with its words going to `log`. It is told to end when its standard input closes, so that
    /// nothing outlives this test, whatever ends that.
    pub fn start(mut command: Command, log: PathBuf) -> Process {
        let file = File::create(&log).unwrap();
        let child = command
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Process { child, log }
    }

    /// Ends it as `kill -9` does and tells by which signal it ended.
    pub fn kill(&mut self) -> Option<i32> {
        // Fails only where it has ended already, which the signal tells.
        let _ = self.child.kill();
        self.child.wait().unwrap().signal()
    }

    /// Ends it as whoever started it would, and asserts that it says so itself.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", words(&self.log));
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}:\n{}", words(&self.log));
    }

    /// Waits until `ready` gives something; fails with the process's words if it ends before.
    pub fn wait_for<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ready() {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) before {what}:\n{}", words(&self.log));
            assert!(Instant::now() < deadline, "no {what} in time:\n{}", words(&self.log));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for `marker` in its words and returns what follows it in the line.
    pub fn wait_for_words(&mut self, marker: &str) -> String {
        let log = self.log.clone();
        self.wait_for(marker, || {
            let words = words(&log);
            let (_, rest) = words.split_once(marker)?;
            let (line, _) = rest.split_once('\n')?;
            Some(line.to_owned())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn words(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
