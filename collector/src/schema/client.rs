//! The parent's side of the worker: starts it, waits so long, ends it, starts it again.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::frame;
use super::library::ModuleId;
use super::protocol::{Answer, Outcome, Request, Task, VERSION, Wanted};
use super::set::{ModuleSet, SchemaFault};

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl WorkerCommand {
    /// `ranproof yang-worker`, by the program that is running.
    ///
    /// # Errors
    /// If the system does not say which that is.
    pub fn this_program() -> io::Result<WorkerCommand> {
        Ok(WorkerCommand { program: std::env::current_exe()?, arguments: vec!["yang-worker".into()] })
    }
}

/// What one request may take by the clock on the wall.
#[derive(Debug, Clone, Copy)]
pub struct WorkerLimits {
    /// Time for one request.
    pub time: Duration,
}

impl Default for WorkerLimits {
    /// Twice the processor time that the worker allows itself, for a busy machine.
    fn default() -> WorkerLimits {
        WorkerLimits { time: Duration::from_secs(120) }
    }
}

/// Why a worker gave no answer. All but [`WorkerError::Start`] and [`WorkerError::Folder`] say something about the modules or the document.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Not started.
    #[error("cannot start the YANG worker {program}; hint: the program may have been replaced, restart it")]
    Start {
        /// What was to be started.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The texts could not be laid out for it.
    #[error("cannot write the modules for the YANG worker; hint: is the disk full?")]
    Folder(#[source] io::Error),
    /// It ended in the middle.
    #[error("the YANG library {how} over this; hint: `ranproof schema check` on fewer modules finds which")]
    Died {
        /// How.
        how: String,
    },
    /// It took too long and was ended.
    #[error("the YANG library did not finish within {seconds} s and was stopped")]
    TooLong {
        /// The limit.
        seconds: u64,
    },
    /// It answered something else.
    #[error("the YANG worker answers nonsense: {message}; hint: restart, so that both are one version")]
    Garbled {
        /// What.
        message: String,
    },
}

impl WorkerError {
    /// As a fault of a schema, where it is one.
    ///
    /// # Errors
    /// Gives the error back if it is about this machine.
    pub fn into_fault(self) -> Result<SchemaFault, WorkerError> {
        match self {
            WorkerError::Start { .. } | WorkerError::Folder(_) => Err(self),
            found => Ok(SchemaFault {
                module: String::new(),
                origin: None,
                line: None,
                message: found.to_string(),
                affects: vec![],
            }),
        }
    }
}

/// A schema as the worker compiled it.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Name of the set of texts.
    pub set: [u8; 32],
    /// What is in it.
    pub modules: Vec<super::LoadedModule>,
    /// What is wrong with it.
    pub faults: Vec<SchemaFault>,
}

/// A worker and what it was told.
pub struct YangWorker {
    command: WorkerCommand,
    limits: WorkerLimits,
    running: Option<Running>,
    /// The texts of the schema that is loaded, for as long as it is.
    folder: Option<tempfile::TempDir>,
}

struct Running {
    child: Child,
    pipes: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl YangWorker {
    /// None is started before there is something to do.
    pub fn new(command: WorkerCommand, limits: WorkerLimits) -> YangWorker {
        YangWorker { command, limits, running: None, folder: None }
    }

    /// Compiles a set of modules, all features on.
    ///
    /// # Errors
    /// [`WorkerError`] if there is no schema at all. A module that does not load is a fault of the schema.
    pub fn load(&mut self, set: &ModuleSet) -> Result<Schema, WorkerError> {
        let folder = lay_out(set).map_err(WorkerError::Folder)?;
        let modules = set.to_load().into_iter().map(|id| Wanted { id, features: None }).collect();
        let task = Task::Load { folder: folder.path().to_owned(), modules };
        self.folder = Some(folder);
        match self.ask(task, vec![])?.0 {
            Outcome::Loaded(mut loaded) => {
                // libyang brings a few modules of its own.
                loaded.modules.retain(|module| set.contains(&module.id));
                let mut faults = set.faults().to_vec();
                faults.extend(loaded.faults.into_iter().map(|fault| SchemaFault {
                    origin: set.newest(&fault.module).map(|module| module.origin.clone()),
                    module: fault.module,
                    line: fault.line,
                    message: fault.message,
                    affects: fault.affects,
                }));
                Ok(Schema { set: set.hash(), modules: loaded.modules, faults })
            }
            Outcome::Refused(message) => Err(WorkerError::Garbled { message }),
        }
    }

    fn ask(&mut self, task: Task, body: Vec<u8>) -> Result<(Outcome, Vec<u8>), WorkerError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.command)?,
        };
        let request = Request { version: VERSION, task, body: body.len() };
        // A worker that failed is not used again: dropping it ends it.
        let answer = running.exchange(request, body, self.limits.time)?;
        self.running = Some(running);
        Ok(answer)
    }
}

impl fmt::Debug for YangWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.running.as_ref().map(|running| running.child.id());
        f.debug_struct("YangWorker").field("process", &id).finish_non_exhaustive()
    }
}

impl Running {
    /// Without this process's environment, which may hold passwords.
    fn start(command: &WorkerCommand) -> Result<Running, WorkerError> {
        let spawned = Command::new(&command.program)
            .args(&command.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let failed = |source| WorkerError::Start { program: command.program.display().to_string(), source };
        let mut child = spawned.map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        Ok(Running { child, pipes })
    }

    /// One question, one answer. The pipes are in a thread's hands meanwhile, so that a worker that reads or writes nothing
    /// holds up that thread only; it ends with the worker.
    fn exchange(
        &mut self,
        request: Request,
        body: Vec<u8>,
        time: Duration,
    ) -> Result<(Outcome, Vec<u8>), WorkerError> {
        let Some((mut stdin, mut stdout)) = self.pipes.take() else {
            return Err(WorkerError::Garbled { message: "it is busy".to_owned() });
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let written = frame::write(&mut stdin, &request, &body);
            let answer = written.and_then(|()| frame::read(&mut stdout, |answer: &Answer| answer.body));
            // Nobody waits any more if it took too long.
            let _ = sender.send((answer, stdin, stdout));
        });
        let Ok((answer, stdin, stdout)) = receiver.recv_timeout(time) else {
            self.end();
            return Err(WorkerError::TooLong { seconds: time.as_secs() });
        };
        let nonsense = match answer {
            Ok(Some((Answer { version: VERSION, outcome, .. }, body))) => {
                self.pipes = Some((stdin, stdout));
                return Ok((outcome, body));
            }
            Ok(Some((answer, _))) => Some(format!("version {}", answer.version)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(error.to_string()),
            Ok(None) | Err(_) => None,
        };
        Err(match (self.end(), nonsense) {
            // Ended by us or of its own will: what it said is what went wrong.
            (Some(status), Some(message)) if status.success() || status.signal() == Some(SIGKILL) => {
                WorkerError::Garbled { message }
            }
            (status, _) => WorkerError::Died { how: status.map_or("ended".to_owned(), describe) },
        })
    }

    /// Ends it if it has not ended, and says how it did. A process that is ending by itself keeps its own way out.
    fn end(&mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(SIGXCPU), _) => "used all the processor time it may".to_owned(),
        (Some(SIGABRT), _) => "gave up, as it does without memory,".to_owned(),
        (Some(SIGKILL), _) => "was killed".to_owned(),
        (Some(signal), _) => format!("crashed (signal {signal})"),
        (None, Some(code)) => format!("ended with {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Writes the texts where libyang finds them by name and revision.
fn lay_out(set: &ModuleSet) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("ranproof-yang-").tempdir()?;
    for module in set.modules() {
        std::fs::write(file_of(folder.path(), &module.head.id), module.text.as_bytes())?;
    }
    Ok(folder)
}

fn file_of(folder: &Path, id: &ModuleId) -> PathBuf {
    folder.join(format!("{id}.yang"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> YangWorker {
        let arguments = vec!["-c".into(), script.into()];
        let command = WorkerCommand { program: "/bin/sh".into(), arguments };
        YangWorker::new(command, WorkerLimits { time: Duration::from_secs(20) })
    }

    fn failure(worker: &mut YangWorker) -> WorkerError {
        worker.load(&ModuleSet::new()).unwrap_err()
    }

    #[test]
    fn a_worker_that_crashes_is_a_fault_of_the_schema_and_the_next_one_starts() {
        let mut worker = shell("read line; kill -SEGV $$");
        for _ in 0..2 {
            let fault = failure(&mut worker).into_fault().unwrap();
            assert!(fault.message.contains("crashed (signal 11)"), "{}", fault.message);
        }
        let out_of_memory = failure(&mut shell("read line; kill -ABRT $$"));
        assert!(out_of_memory.to_string().contains("without memory"), "{out_of_memory}");
    }

    #[test]
    fn a_worker_that_hangs_is_ended() {
        let mut worker = shell("exec sleep 1000");
        worker.limits.time = Duration::from_millis(50);
        assert!(matches!(failure(&mut worker), WorkerError::TooLong { .. }));
        assert!(worker.running.is_none());
    }

    #[test]
    fn a_worker_that_talks_nonsense_is_not_believed() {
        let version = r#"{"version":9,"outcome":{"refused":"x"},"body":0}"#;
        for script in [
            "read line; echo hello".to_owned(),
            format!("read line; echo '{version}'; sleep 1000"),
            "read line; while :; do echo -n aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"
                .to_owned(),
        ] {
            let error = failure(&mut shell(&script));
            assert!(matches!(error, WorkerError::Garbled { .. }), "{script}: {error}");
        }
    }

    #[test]
    fn a_worker_that_cannot_start_is_no_fault_of_the_schema() {
        let command = WorkerCommand { program: "/absent/program".into(), arguments: vec![] };
        let error = failure(&mut YangWorker::new(command, WorkerLimits::default()));
        assert!(error.to_string().contains("; hint: "), "{error}");
        assert!(error.into_fault().is_err());
    }
}
