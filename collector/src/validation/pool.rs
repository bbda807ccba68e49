//! Workers that validate, so many at a time and no more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use model::{Digest, Finding};
use tokio::sync::Semaphore;

use super::failures::{Failure, Failures, Work};
use super::findings::{failed, finding, not_validated, schema_findings};
use crate::schema::{
    DocumentFormat, SchemaFault, SchemaSet, SchemaTable, WorkerCommand, WorkerError, WorkerLimits, YangWorker,
};

/// Schemas whose faults are remembered; one more forgets them all, and they are found again.
const MAX_REMEMBERED: usize = 1024;

/// Tables that are kept; one more forgets them all, and they are made again. The largest known takes some megabytes.
const MAX_TABLES: usize = 64;

/// Worker processes, started when they are needed and started again when they end. Each holds one schema at a time, so
/// as many of them as there are kinds of station compile each schema once.
pub struct WorkerPool {
    command: WorkerCommand,
    limits: WorkerLimits,
    /// Workers that nobody uses now.
    idle: Mutex<Vec<YangWorker>>,
    places: Arc<Semaphore>,
    /// Findings about schemas that were compiled, by set.
    compiled: Mutex<HashMap<[u8; 32], Vec<Finding>>>,
    /// What the reader goes by, by set.
    tables: Mutex<HashMap<[u8; 32], Table>>,
    failures: Failures,
}

/// `Err`: why the library makes none, at any time.
type Table = Result<Arc<SchemaTable>, String>;

/// What came of one validation.
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// When another try may say more; `None` if what is said is about schema and document.
    pub(crate) again: Option<Instant>,
}

/// Why a worker gave no answer.
enum Trouble {
    /// This machine could not ask one.
    Machine(WorkerError),
    /// It failed, now or before.
    Worker(Failure),
}

impl WorkerPool {
    /// At most `workers` processes, at least one.
    pub fn new(command: WorkerCommand, workers: usize) -> Arc<WorkerPool> {
        WorkerPool::with_limits(command, workers, WorkerLimits::default())
    }

    /// The same with other limits.
    pub fn with_limits(command: WorkerCommand, workers: usize, limits: WorkerLimits) -> Arc<WorkerPool> {
        Arc::new(WorkerPool {
            command,
            limits,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(workers.max(1))),
            compiled: Mutex::default(),
            tables: Mutex::default(),
            failures: Failures::default(),
        })
    }

    /// Holds an XML document of a station, by the hash of its name, against a schema. The caller keeps the document, whatever becomes of
    /// the thread that works on it.
    pub(crate) async fn validate(
        self: &Arc<Self>,
        set: Arc<SchemaSet>,
        document: Arc<Vec<u8>>,
        station: Digest,
    ) -> Verdict {
        let work = move |pool: &WorkerPool| {
            pool.with_worker(&set, |worker| pool.judge(worker, &set, &document, station))
        };
        let lost = || Verdict {
            findings: vec![failed("the validating thread failed")],
            again: Some(Instant::now()),
        };
        self.beside(work).await.unwrap_or_else(lost)
    }

    /// Compiles a schema and makes its table, if nobody has: then it knows whether something is wrong with it.
    pub(crate) async fn compile(self: &Arc<Self>, set: &Arc<SchemaSet>) {
        // What goes wrong here is told where the set is used.
        drop(self.table(set).await);
    }

    /// Whether a worker failed on a schema and none has come to an answer since: it may be the schema, and it may have been
    /// this machine.
    pub(crate) fn failed_on(&self, set: &SchemaSet) -> bool {
        [Work::Compile(set.hash()), Work::Table(set.hash())]
            .into_iter()
            .any(|work| self.failures.stands(work))
    }

    /// What the reader goes by under a schema.
    ///
    /// # Errors
    /// Why a reply is read without its schema though there is one.
    pub(crate) async fn table(self: &Arc<Self>, set: &Arc<SchemaSet>) -> Result<Arc<SchemaTable>, Finding> {
        let known = self.tables().get(&set.hash()).cloned();
        let found = match known {
            Some(found) => found,
            None => {
                let set = Arc::clone(set);
                let work = move |pool: &WorkerPool| pool.make_table(&set);
                self.beside(work).await.unwrap_or_else(|| Err("the compiling thread failed".to_owned()))
            }
        };
        found.map_err(|why| finding("schema-not-used", "document", format!("read as without one: {why}")))
    }

    fn make_table(&self, set: &Arc<SchemaSet>) -> Table {
        if let Some(found) = self.tables().get(&set.hash()) {
            // Somebody made it while this station waited for a place.
            return found.clone();
        }
        let made = self.with_worker(set, |worker| {
            self.ready(worker, set)?;
            self.attempt(Work::Table(set.hash()), || match worker.table(set) {
                Ok(table) => Ok(Ok(Arc::new(table))),
                // It would refuse again, and so it would for every station that had the set.
                Err(WorkerError::Refused { message }) => {
                    set.note_faulty();
                    Ok(Err(message))
                }
                Err(error) => Err(error),
            })
        });
        let found = made.map_err(|trouble| trouble.to_string())?;
        let mut tables = self.tables();
        if tables.len() >= MAX_TABLES {
            tables.clear();
        }
        tables.insert(set.hash(), found.clone());
        found
    }

    /// Waits for a place and works on a thread where it may block.
    async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&WorkerPool) -> T + Send + 'static,
    ) -> Option<T> {
        // The pool never closes its semaphore.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let pool = Arc::clone(self);
        let thread = tokio::task::spawn_blocking(move || {
            let outcome = work(&pool);
            drop(place);
            outcome
        });
        thread.await.ok()
    }

    /// A worker for one piece of work: one that holds this schema, or else any.
    fn with_worker<T>(&self, set: &SchemaSet, work: impl FnOnce(&mut YangWorker) -> T) -> T {
        let held = {
            let mut idle = self.idle();
            match idle.iter().position(|worker| worker.holds(set)) {
                Some(index) => Some(idle.swap_remove(index)),
                None => idle.pop(),
            }
        };
        // Places bound how many there are.
        let mut worker = held.unwrap_or_else(|| YangWorker::new(self.command.clone(), self.limits));
        let outcome = work(&mut worker);
        self.idle().push(worker);
        outcome
    }

    fn judge(
        &self,
        worker: &mut YangWorker,
        set: &Arc<SchemaSet>,
        document: &[u8],
        station: Digest,
    ) -> Verdict {
        let mut findings = match self.ready(worker, set) {
            Ok(findings) => findings,
            Err(Trouble::Worker(failure)) => {
                let fault = SchemaFault::of_set(failure.why);
                let findings = schema_findings(&[fault], &hex::encode(set.hash()));
                return Verdict { findings, again: Some(failure.again) };
            }
            Err(trouble) => {
                return Verdict { findings: vec![failed(&trouble)], again: Some(trouble.again()) };
            }
        };
        let validate = || worker.validate(document, DocumentFormat::Xml);
        match self.attempt(Work::Validate(set.hash(), station), validate) {
            Ok(invalid) => {
                findings.extend(invalid.map(not_validated));
                Verdict { findings, again: None }
            }
            Err(trouble) => {
                findings.push(failed(&trouble));
                Verdict { findings, again: Some(trouble.again()) }
            }
        }
    }

    /// Lets a worker hold a schema, and remembers what is wrong with that.
    fn ready(&self, worker: &mut YangWorker, set: &Arc<SchemaSet>) -> Result<Vec<Finding>, Trouble> {
        let known = self.compiled().get(&set.hash()).cloned();
        if let Some(findings) = known.filter(|_| worker.holds(set)) {
            return Ok(findings);
        }
        let schema = self.attempt(Work::Compile(set.hash()), || worker.load_set(set))?;
        if !schema.faults.is_empty() {
            set.note_faulty();
        }
        let findings = schema_findings(&schema.faults, &hex::encode(set.hash()));
        let mut compiled = self.compiled();
        if compiled.len() >= MAX_REMEMBERED {
            compiled.clear();
        }
        compiled.insert(set.hash(), findings.clone());
        Ok(findings)
    }

    /// Asks a worker, unless it failed on this and the time for another try has not come.
    fn attempt<T>(&self, work: Work, ask: impl FnOnce() -> Result<T, WorkerError>) -> Result<T, Trouble> {
        let leave = self.failures.may_try(work, Instant::now()).map_err(Trouble::Worker)?;
        match ask() {
            Ok(answer) => {
                self.failures.succeeded(leave);
                Ok(answer)
            }
            Err(error) if error.is_of_this_machine() => {
                self.failures.not_tried(leave);
                Err(Trouble::Machine(error))
            }
            Err(error) => {
                Err(Trouble::Worker(self.failures.failed(leave, error.to_string(), Instant::now())))
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<YangWorker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<[u8; 32], Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<[u8; 32], Vec<Finding>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("free", &self.places.available_permits()).finish_non_exhaustive()
    }
}

impl Trouble {
    fn again(&self) -> Instant {
        match self {
            // Nothing was spent on it.
            Trouble::Machine(_) => Instant::now(),
            Trouble::Worker(failure) => failure.again,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Machine(error) => write!(f, "{error}"),
            Trouble::Worker(failure) => f.write_str(&failure.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schema::ModuleSet;

    fn pool(script: &str, workers: usize) -> Arc<WorkerPool> {
        let command =
            WorkerCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
        let limits = WorkerLimits { time: Duration::from_secs(20), document: Duration::from_millis(300) };
        WorkerPool::with_limits(command, workers, limits)
    }

    fn set() -> Arc<SchemaSet> {
        Arc::new(SchemaSet::whole(&ModuleSet::new()).unwrap())
    }

    const WHOLE: &str = r#"{"version":3,"outcome":{"loaded":{"modules":[],"faults":[]}},"body":0}"#;
    const LOADED: &str = r#"{"version":3,"outcome":{"loaded":{"modules":[],"faults":[{"module":"m","line":7,"message":"no such type","affects":["m@2020-01-01"]}]}},"body":0}"#;
    const INVALID: &str =
        r#"{"version":3,"outcome":{"validated":{"message":"out of range","path":"/m:a","line":3}},"body":0}"#;

    async fn validate(pool: &Arc<WorkerPool>) -> Verdict {
        says(pool, "station", "<a/>").await
    }

    async fn says(pool: &Arc<WorkerPool>, station: &str, text: &str) -> Verdict {
        let document = Arc::new(text.as_bytes().to_vec());
        let verdict = pool.validate(set(), Arc::clone(&document), Digest::of(station.as_bytes())).await;
        assert_eq!(Arc::try_unwrap(document).unwrap(), text.as_bytes(), "nobody else has it any more");
        verdict
    }

    async fn codes(pool: &Arc<WorkerPool>) -> (Vec<String>, bool) {
        let verdict = validate(pool).await;
        (verdict.findings.into_iter().map(|finding| finding.code).collect(), verdict.again.is_none())
    }

    #[tokio::test]
    async fn faults_of_schema_and_document_are_told_with_their_places() {
        let pool = pool(&format!("read l; echo '{LOADED}'; read l; echo '{INVALID}'; sleep 9"), 1);
        let verdict = validate(&pool).await;
        let [schema, document] = verdict.findings.as_slice() else { panic!("{:?}", verdict.findings) };
        assert_eq!((schema.code.as_str(), schema.place.as_str()), ("schema-not-loaded", "module m line 7"));
        assert!(schema.message.contains("no such type; left out: m@2020-01-01; schema set "), "{schema:?}");
        assert_eq!((document.code.as_str(), document.place.as_str()), ("not-validated", "/m:a"));
        assert!(document.message.contains("(line 3)") && verdict.again.is_none(), "{document:?}");
    }

    #[tokio::test]
    async fn a_document_that_ends_the_worker_is_a_finding_and_is_tried_again_after_a_wait() {
        // The first worker crashes on the document, those after it do not.
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark").display().to_string();
        let crash = format!(
            "read l; echo '{LOADED}'; read l; if mkdir {mark}; then kill -SEGV $$; fi; echo '{INVALID}'; \
             while read l; do echo '{INVALID}'; done"
        );
        let pool = pool(&crash, 1);
        let failed = ["schema-not-loaded", "validation-failed"].map(String::from).to_vec();
        let fine = ["schema-not-loaded", "not-validated"].map(String::from).to_vec();
        assert_eq!(codes(&pool).await, (failed.clone(), false));
        assert_eq!(codes(&pool).await, (failed.clone(), false));
        let other = says(&pool, "station", "<b/>").await;
        assert_eq!(
            other.findings.last().unwrap().code,
            "validation-failed",
            "another document waits as well"
        );
        let other = says(&pool, "another", "<a/>").await;
        assert_eq!(other.findings.last().unwrap().code, "not-validated", "another station waits for nothing");
        pool.failures.let_time_pass();
        assert_eq!(codes(&pool).await, (fine, true));
        let hangs = self::pool(&format!("read l; echo '{LOADED}'; exec sleep 1000"), 1);
        assert_eq!(codes(&hangs).await, (failed, false));
    }

    #[tokio::test]
    async fn a_schema_that_a_worker_failed_on_once_is_used_after_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark").display().to_string();
        let table = r#"{"modules":[],"types":[],"nodes":[],"top":[]}"#;
        let answer = format!(r#"{{"version":3,"outcome":"table","body":{}}}"#, table.len());
        let pool = pool(
            &format!(
                "read l; if mkdir {mark}; then kill -KILL $$; fi; echo '{WHOLE}'; \
                 read l; echo '{answer}'; printf %s '{table}'; sleep 9"
            ),
            1,
        );
        let set = set();
        for _ in 0..2 {
            let unread = pool.table(&set).await.unwrap_err();
            assert_eq!(unread.code, "schema-not-used");
            assert!(unread.message.contains("was killed"), "{unread:?}");
            assert!(pool.failed_on(&set), "nobody else has it by this station's word");
            assert!(!set.is_faulty(), "no worker said so");
            assert_eq!(codes(&pool).await, (vec!["schema-not-loaded".to_owned()], false));
        }
        pool.failures.let_time_pass();
        pool.table(&set).await.unwrap();
        assert!(!pool.failed_on(&set) && !set.is_faulty());
    }

    #[tokio::test]
    async fn a_schema_that_ends_every_worker_is_tried_once_for_each_wait() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count").display().to_string();
        let pool = pool(&format!("read l; echo x >> {count}; kill -ABRT $$"), 2);
        for tries in 1..=3 {
            for _ in 0..3 {
                assert_eq!(codes(&pool).await, (vec!["schema-not-loaded".to_owned()], false));
                pool.table(&set()).await.unwrap_err();
            }
            assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n".repeat(tries));
            pool.failures.let_time_pass();
        }
    }

    #[tokio::test]
    async fn a_schema_that_the_library_refuses_a_table_for_is_not_asked_about_again() {
        let refused = r#"{"version":3,"outcome":{"refused":"the schema is too large"},"body":0}"#;
        let pool = pool(&format!("read l; echo '{WHOLE}'; read l; echo '{refused}'; sleep 9"), 1);
        for _ in 0..2 {
            let unread = pool.table(&set()).await.unwrap_err();
            assert_eq!(unread.message, "read as without one: the schema is too large");
            pool.failures.let_time_pass();
        }
    }

    #[tokio::test]
    async fn a_thread_that_cannot_be_started_says_nothing_about_the_document_and_leaves_it_there() {
        let pool = pool(&format!("read l; echo '{WHOLE}'; read l; echo '{INVALID}'; sleep 9"), 1);
        pool.idle().push(YangWorker::without_threads(pool.command.clone(), pool.limits));
        let verdict = validate(&pool).await;
        let [finding] = verdict.findings.as_slice() else { panic!("{:?}", verdict.findings) };
        assert_eq!(finding.code, "validation-failed");
        assert!(finding.message.contains("cannot start a thread"), "{finding:?}");
        assert!(verdict.again.is_some_and(|again| again <= Instant::now()), "the next round tries it again");
        pool.idle().clear();
        assert_eq!(codes(&pool).await, (vec!["not-validated".to_owned()], true));
    }

    #[tokio::test]
    async fn what_this_machine_could_not_try_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark").display().to_string();
        let script = format!(
            "read l; if mkdir {mark}; then kill -KILL $$; fi; echo '{WHOLE}'; read l; echo '{INVALID}'; sleep 9"
        );
        let pool = pool(&script, 1);
        assert_eq!(codes(&pool).await, (vec!["schema-not-loaded".to_owned()], false));
        pool.failures.let_time_pass();
        pool.idle().clear();
        pool.idle().push(YangWorker::without_threads(pool.command.clone(), pool.limits));
        assert_eq!(codes(&pool).await, (vec!["validation-failed".to_owned()], false));
        pool.idle().clear();
        assert_eq!(codes(&pool).await, (vec!["not-validated".to_owned()], true));
    }

    #[tokio::test]
    async fn a_thread_that_panics_gives_its_place_back() {
        let pool = pool("", 1);
        let document = Arc::new(b"<a/>".to_vec());
        let held = Arc::clone(&document);
        let outcome: Option<()> = pool.beside(move |_| panic!("over {} bytes", held.len())).await;
        assert_eq!(outcome, None);
        assert_eq!(Arc::try_unwrap(document).unwrap(), b"<a/>", "whoever gave it still has it");
        assert_eq!(pool.beside(|_| 1).await, Some(1));
    }

    #[tokio::test]
    async fn a_machine_that_starts_no_worker_says_nothing_about_the_schema() {
        let command = WorkerCommand { program: "/absent/program".into(), arguments: vec![] };
        assert_eq!(codes(&WorkerPool::new(command, 1)).await, (vec!["validation-failed".to_owned()], false));
    }
}
