//! The demo's processes. Each exits when its standard input closes, so that nothing outlives the demo,
//! whatever ends it.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// This very program.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell which program this is")
}

/// A running process of the demo; dropping it closes its standard input and waits for its end.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Mutex<Child>,
    log: PathBuf,
}

/// How long a process may take to end by itself.
const GOODBYE: Duration = Duration::from_secs(10);

impl Running {
    /// Starts `ranproof ARGS`, its words going to `log`.
    pub fn start(name: &str, args: &[&str], log: &Path) -> Result<Running> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = Command::new(program()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(file.try_clone().context("cannot share the log file")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Running { name: name.to_owned(), child: Mutex::new(child), log: log.to_owned() })
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the process has ended, with the last words of its log.
    pub fn check_alive(&self) -> Result<()> {
        let status = self.child().try_wait().with_context(|| format!("cannot ask for {}", self.name))?;
        let Some(status) = status else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let tail =
            log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("{} ended ({status}); the end of {}:\n{tail}", self.name, self.log.display())
    }

    /// Ends it as `kill -9` does: at once, whatever it was doing.
    pub fn kill(self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        let status = child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        ensure!(status.signal() == Some(9), "{} had ended already ({status})", self.name);
        Ok(())
    }

    /// Tells it to end, by closing its standard input. Returns at once.
    pub fn dismiss(&self) {
        drop(self.child().stdin.take());
    }

    /// Closes its standard input and waits for its end; a process that does not end is killed.
    pub fn stop(&mut self) -> Result<()> {
        self.dismiss();
        let mut child = self.child();
        let deadline = Instant::now() + GOODBYE;
        while Instant::now() < deadline {
            if child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().and_then(|()| child.wait()).with_context(|| format!("cannot end {}", self.name))?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!("Could not stop `{}`: {error:#}", self.name);
        }
    }
}

/// Longest wait for a state that the world is to reach.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see. `Ok(None)` is "not yet"; so is an error, and the last one is told if the
/// time runs out.
pub fn wait_for<T>(
    what: &str,
    alive: impl Fn() -> Result<()>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if let Ok(Some(found)) = seen {
            return Ok(found);
        }
        alive()?;
        if Instant::now() > deadline {
            let why = seen.err().map_or_else(String::new, |error| format!("; at last: {error:#}"));
            bail!("{what} did not happen within {} seconds{why}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
