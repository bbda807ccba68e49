//! The parent's side of the worker: starts it, waits so long, ends it, starts it again.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::bare::bare;
use super::frame;
use super::protocol::{Answer, DocumentFormat, Invalid, Outcome, Request, Task, VERSION};
use super::ready::SchemaSet;
use super::set::{ModuleSet, SchemaFault};
use super::table::SchemaTable;

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
        Ok(WorkerCommand::of(std::env::current_exe()?))
    }

    /// `ranproof yang-worker`, by this program.
    pub fn of(program: impl Into<PathBuf>) -> WorkerCommand {
        WorkerCommand { program: program.into(), arguments: vec!["yang-worker".into()] }
    }
}

/// What one request may take by the clock on the wall.
#[derive(Debug, Clone, Copy)]
pub struct WorkerLimits {
    /// Time for compiling a schema.
    pub time: Duration,
    /// Time for validating one configuration.
    pub document: Duration,
}

impl Default for WorkerLimits {
    /// Twice the processor time that the worker allows itself, for a busy machine. The largest configuration known
    /// takes a second; one that takes longer than thirty must not hold up the others of a round.
    fn default() -> WorkerLimits {
        WorkerLimits { time: Duration::from_secs(120), document: Duration::from_secs(30) }
    }
}

/// Stack of the thread that talks to a worker.
const STACK: usize = 2 << 20;

/// Why a worker gave no answer. All but [`WorkerError::Start`], [`WorkerError::Thread`] and [`WorkerError::Folder`] say
/// something about the modules or the document.
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
    /// Nobody could talk to it.
    #[error("cannot start a thread for the YANG worker; hint: how many tasks may this user have?")]
    Thread(#[source] io::Error),
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
    /// It understood, and does not do it: the same again gives the same.
    #[error("the YANG library does not take this: {message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// It answered something else.
    #[error("the YANG worker answers nonsense: {message}; hint: restart, so that both are one version")]
    Garbled {
        /// What.
        message: String,
    },
}

impl WorkerError {
    /// Whether it says something about this machine only: another try may go better.
    pub fn is_of_this_machine(&self) -> bool {
        matches!(self, WorkerError::Start { .. } | WorkerError::Thread(_) | WorkerError::Folder(_))
    }

    /// As a fault of a schema, where it is one.
    ///
    /// # Errors
    /// Gives the error back if it is about this machine.
    pub fn into_fault(self) -> Result<SchemaFault, WorkerError> {
        if self.is_of_this_machine() {
            return Err(self);
        }
        Ok(SchemaFault::of_set(self.to_string()))
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
    /// The schema that is loaded, or will be before the next configuration.
    schema: Option<Arc<SchemaSet>>,
    /// [`STACK`].
    stack: usize,
}

struct Running {
    child: Child,
    pipes: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl YangWorker {
    /// None is started before there is something to do.
    pub fn new(command: WorkerCommand, limits: WorkerLimits) -> YangWorker {
        YangWorker { command, limits, running: None, schema: None, stack: STACK }
    }

    /// One that this machine has no thread for.
    #[cfg(test)]
    pub(crate) fn without_threads(command: WorkerCommand, limits: WorkerLimits) -> YangWorker {
        YangWorker { stack: usize::MAX / 2, ..YangWorker::new(command, limits) }
    }

    /// Compiles all modules of a set, all features on.
    ///
    /// # Errors
    /// [`WorkerError`] if there is no schema at all. A module that does not load is a fault of the schema.
    pub fn load(&mut self, set: &ModuleSet) -> Result<Schema, WorkerError> {
        let set = SchemaSet::whole(set).map_err(WorkerError::Folder)?;
        self.load_set(&Arc::new(set))
    }

    /// Compiles a set that lies ready.
    ///
    /// # Errors
    /// As [`YangWorker::load`].
    pub fn load_set(&mut self, set: &Arc<SchemaSet>) -> Result<Schema, WorkerError> {
        self.schema = Some(Arc::clone(set));
        match self.ask_to_load()? {
            Outcome::Loaded(loaded) => Ok(set.compiled(loaded)),
            other => Err(unexpected(other)),
        }
    }

    /// Whether this set is what the worker has loaded.
    pub(crate) fn holds(&self, set: &SchemaSet) -> bool {
        self.running.is_some() && self.schema.as_ref().is_some_and(|held| held.hash() == set.hash())
    }

    /// Validates one configuration against the loaded schema: `None`, or its first fault. A worker that ended since is
    /// started again and loads the schema again.
    ///
    /// # Errors
    /// [`WorkerError`] if there is no answer: then nothing is known of the configuration.
    pub fn validate(
        &mut self,
        document: &[u8],
        format: DocumentFormat,
    ) -> Result<Option<Invalid>, WorkerError> {
        if self.running.is_none() {
            match self.ask_to_load()? {
                Outcome::Loaded(_) => {}
                other => return Err(unexpected(other)),
            }
        }
        let document = match format {
            DocumentFormat::Json => document.to_vec(),
            DocumentFormat::Xml => {
                let bare = std::str::from_utf8(document).ok().and_then(bare);
                bare.map_or_else(|| document.to_vec(), |text| text.into_owned().into_bytes())
            }
        };
        match self.ask(Task::Validate { format }, document)?.0 {
            Outcome::Validated(invalid) => Ok(invalid),
            other => Err(unexpected(other)),
        }
    }

    /// The tables of a set that lies ready, for the reader.
    ///
    /// # Errors
    /// [`WorkerError`] if there is no answer, or one that is none.
    pub fn table(&mut self, set: &Arc<SchemaSet>) -> Result<SchemaTable, WorkerError> {
        if !self.holds(set) {
            self.load_set(set)?;
        }
        match self.ask(Task::Table, vec![])? {
            (Outcome::Table, table) => {
                let table: SchemaTable = serde_json::from_slice(&table)
                    .map_err(|e| WorkerError::Garbled { message: format!("a table that is none: {e}") })?;
                Ok(table.of_set(set.hash()))
            }
            (other, _) => Err(unexpected(other)),
        }
    }

    fn ask_to_load(&mut self) -> Result<Outcome, WorkerError> {
        let Some(set) = &self.schema else {
            return Err(WorkerError::Garbled { message: "no schema was loaded".to_owned() });
        };
        let task = Task::Load { folder: set.folder().to_owned(), modules: set.modules().to_vec() };
        Ok(self.ask(task, vec![])?.0)
    }

    fn ask(&mut self, task: Task, body: Vec<u8>) -> Result<(Outcome, Vec<u8>), WorkerError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.command)?,
        };
        let time = match &task {
            Task::Load { .. } | Task::Table => self.limits.time,
            Task::Validate { .. } => self.limits.document,
        };
        let request = Request { version: VERSION, task, body: body.len() };
        // A worker that failed is not used again: dropping it ends it.
        let answer = running.exchange(request, body, time, self.stack)?;
        if matches!(answer.0, Outcome::WithoutMemory) {
            return Err(WorkerError::Died { how: WITHOUT_MEMORY.to_owned() });
        }
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
        stack: usize,
    ) -> Result<(Outcome, Vec<u8>), WorkerError> {
        let Some((mut stdin, mut stdout)) = self.pipes.take() else {
            return Err(WorkerError::Garbled { message: "it is busy".to_owned() });
        };
        let (sender, receiver) = mpsc::channel();
        let talk = move || {
            let written = frame::write(&mut stdin, &request, &body);
            let answer = written.and_then(|()| frame::read(&mut stdout, |answer: &Answer| answer.body));
            // Nobody waits any more if it took too long.
            let _ = sender.send((answer, stdin, stdout));
        };
        // Where there is none, the pipes are gone with what it would have done, and the worker ends.
        thread::Builder::new().stack_size(stack).spawn(talk).map_err(WorkerError::Thread)?;
        let (answer, stdin, stdout) = match receiver.recv_timeout(time) {
            Ok(answered) => answered,
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                return Err(WorkerError::TooLong { seconds: time.as_secs() });
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.end();
                return Err(WorkerError::Garbled { message: "the thread that reads it failed".to_owned() });
            }
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

const WITHOUT_MEMORY: &str = "gave up, as it does without memory,";

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

fn unexpected(outcome: Outcome) -> WorkerError {
    match outcome {
        Outcome::Refused(message) => WorkerError::Refused { message },
        Outcome::Loaded(_) | Outcome::Table | Outcome::Validated(_) | Outcome::WithoutMemory => {
            WorkerError::Garbled { message: "an answer to another question".to_owned() }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(SIGXCPU), _) => "used all the processor time it may".to_owned(),
        (Some(SIGABRT), _) => WITHOUT_MEMORY.to_owned(),
        (Some(SIGKILL), _) => "was killed".to_owned(),
        (Some(signal), _) => format!("crashed (signal {signal})"),
        (None, Some(code)) => format!("ended with {code}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> YangWorker {
        let arguments = vec!["-c".into(), script.into()];
        let command = WorkerCommand { program: "/bin/sh".into(), arguments };
        YangWorker::new(
            command,
            WorkerLimits { time: Duration::from_secs(20), document: Duration::from_secs(20) },
        )
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
    fn a_library_without_memory_says_nothing_about_modules_and_is_ended() {
        let answer = format!(r#"{{"version":{VERSION},"outcome":"without-memory","body":0}}"#);
        let mut worker = shell(&format!("read line; echo '{answer}'; sleep 1000"));
        let error = failure(&mut worker);
        assert!(matches!(&error, WorkerError::Died { how } if how == WITHOUT_MEMORY), "{error}");
        assert!(worker.running.is_none());
    }

    #[test]
    fn what_a_message_says_of_memory_is_a_message() {
        let fault =
            r#"{"module":"m","line":7,"message":"Memory allocation failed (lys_parse()).","affects":[]}"#;
        let loaded = format!(
            r#"{{"version":{VERSION},"outcome":{{"loaded":{{"modules":[],"faults":[{fault}]}}}},"body":0}}"#
        );
        let mut worker = shell(&format!("read line; echo '{loaded}'; sleep 1000"));
        assert_eq!(worker.load(&ModuleSet::new()).unwrap().faults[0].module, "m");
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
    fn a_thread_that_cannot_start_is_no_fault_of_the_schema() {
        let mut worker = YangWorker::without_threads(shell("cat").command, WorkerLimits::default());
        let error = failure(&mut worker);
        assert!(matches!(error, WorkerError::Thread(_)), "{error}");
        assert!(worker.running.is_none() && error.into_fault().is_err());
    }

    #[test]
    fn a_worker_that_cannot_start_is_no_fault_of_the_schema() {
        let command = WorkerCommand { program: "/absent/program".into(), arguments: vec![] };
        let error = failure(&mut YangWorker::new(command, WorkerLimits::default()));
        assert!(error.to_string().contains("; hint: "), "{error}");
        assert!(error.into_fault().is_err());
    }
}
