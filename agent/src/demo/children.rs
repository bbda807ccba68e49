//! The demo's processes. Each exits when its standard input closes, so that nothing outlives the demo,
//! whatever ends it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// This very program.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell which program this is")
}

/// A running process of the demo; dropping it closes its standard input and waits for its end.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
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
        Ok(Running { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Fails if the process has ended, with the last words of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait().with_context(|| format!("cannot ask for {}", self.name))?
        else {
            return Ok(());
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let tail =
            log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("{} ended ({status}); the end of {}:\n{tail}", self.name, self.log.display())
    }

    /// Closes its standard input and waits for its end; a process that does not end is killed.
    pub fn stop(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + GOODBYE;
        while Instant::now() < deadline {
            if self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .with_context(|| format!("cannot end {}", self.name))?;
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

/// Waits until `ready` says so, looking at the processes meanwhile.
pub fn wait_until(what: &str, processes: &mut [Running], mut ready: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        for process in processes.iter_mut() {
            process.check_alive()?;
        }
        if Instant::now() > deadline {
            bail!("{what} did not happen within a minute");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
