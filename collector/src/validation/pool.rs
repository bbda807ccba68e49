//! Workers that validate, so many at a time and no more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Finding;
use tokio::sync::Semaphore;

use crate::schema::{
    DocumentFormat, Invalid, SchemaFault, SchemaSet, SchemaTable, WorkerCommand, WorkerError, WorkerLimits,
    YangWorker,
};

/// Faults of a schema that are told of each of its stations.
const MAX_FAULTS: usize = 20;

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
    compiled: Mutex<HashMap<[u8; 32], Compiled>>,
    /// What the reader goes by, by set.
    tables: Mutex<HashMap<[u8; 32], Table>>,
}

/// `Err`: why the library made none.
type Table = Result<Arc<SchemaTable>, String>;

#[derive(Clone)]
struct Compiled {
    usable: bool,
    findings: Vec<Finding>,
}

/// What came of one validation.
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// The answer is about schema and document. If not, it is about this machine, and another try may say more.
    pub(crate) settled: bool,
}

impl WorkerPool {
    /// At most `workers` processes, at least one.
    pub fn new(command: WorkerCommand, workers: usize) -> Arc<WorkerPool> {
        WorkerPool::with_limits(command, workers, WorkerLimits::default())
    }

    /// The same with other limits.
    pub fn with_limits(command: WorkerCommand, workers: usize, limits: WorkerLimits) -> Arc<WorkerPool> {
        let places = Arc::new(Semaphore::new(workers.max(1)));
        let (idle, compiled, tables) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(WorkerPool { command, limits, idle, places, compiled, tables })
    }

    /// Holds an XML document against a schema. Gives the document back.
    pub(crate) async fn validate(
        self: &Arc<Self>,
        set: Arc<SchemaSet>,
        document: Vec<u8>,
    ) -> (Verdict, Vec<u8>) {
        let work = move |pool: &WorkerPool| (pool.work(&set, Some(&document)), document);
        let failed = || (unsettled("the validating thread failed"), vec![]);
        self.beside(work).await.unwrap_or_else(failed)
    }

    /// Compiles a schema, if nobody has: then it knows whether something is wrong with it.
    pub(crate) async fn compile(self: &Arc<Self>, set: Arc<SchemaSet>) {
        // What goes wrong here goes wrong again, and is told, where the set is used.
        self.beside(move |pool: &WorkerPool| drop(pool.work(&set, None))).await;
    }

    /// What the reader goes by under a schema. `None` where the schema has faults that leave nothing of it: validation
    /// tells them.
    ///
    /// # Errors
    /// Why a reply is read without its schema though there is one.
    pub(crate) async fn table(
        self: &Arc<Self>,
        set: &Arc<SchemaSet>,
    ) -> Result<Option<Arc<SchemaTable>>, Finding> {
        let known = self.tables().get(&set.hash()).cloned();
        let found = match known {
            Some(found) => Ok(Some(found)),
            None => {
                let set = Arc::clone(set);
                let work = move |pool: &WorkerPool| pool.make_table(&set);
                self.beside(work).await.unwrap_or_else(|| Err("the compiling thread failed".to_owned()))
            }
        };
        let unread =
            |why: String| finding("schema-not-used", "document", format!("read as without one: {why}"));
        found.and_then(Option::transpose).map_err(unread)
    }

    /// `Err`: this machine could not, and another try may.
    fn make_table(&self, set: &Arc<SchemaSet>) -> Result<Option<Table>, String> {
        if let Some(found) = self.tables().get(&set.hash()) {
            // Somebody made it while this station waited for a place.
            return Ok(Some(found.clone()));
        }
        let mut worker = self.take(set);
        if self.known(set).is_none()
            && let Err(error) = self.load(&mut worker, set)
        {
            return Err(error.to_string());
        }
        if !self.known(set).is_some_and(|known| known.usable) {
            self.idle().push(worker);
            return Ok(None);
        }
        let found = match worker.table(set) {
            Ok(table) => Ok(Arc::new(table)),
            Err(error) if error.is_of_this_machine() => return Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.idle().push(worker);
        let mut tables = self.tables();
        if tables.len() >= MAX_TABLES {
            tables.clear();
        }
        tables.insert(set.hash(), found.clone());
        Ok(Some(found))
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

    fn work(&self, set: &Arc<SchemaSet>, document: Option<&[u8]>) -> Verdict {
        if let Some(Compiled { usable: false, findings }) = self.known(set) {
            return Verdict { findings, settled: true };
        }
        let mut worker = self.take(set);
        if (!worker.holds(set) || self.known(set).is_none())
            && let Err(error) = self.load(&mut worker, set)
        {
            return unsettled(&error.to_string());
        }
        let Some(Compiled { usable, mut findings }) = self.known(set) else {
            return unsettled("the schema was forgotten while it was used");
        };
        let mut settled = true;
        if let Some(document) = document.filter(|_| usable) {
            match worker.validate(document, DocumentFormat::Xml) {
                Ok(invalid) => findings.extend(invalid.map(not_validated)),
                Err(error) => {
                    settled = !error.is_of_this_machine();
                    findings.push(failed(&error.to_string()));
                }
            }
        }
        self.idle().push(worker);
        Verdict { findings, settled }
    }

    /// A worker that holds this schema, or else any.
    fn take(&self, set: &SchemaSet) -> YangWorker {
        let mut idle = self.idle();
        match idle.iter().position(|worker| worker.holds(set)) {
            Some(index) => idle.swap_remove(index),
            // Places bound how many there are.
            None => idle.pop().unwrap_or_else(|| YangWorker::new(self.command.clone(), self.limits)),
        }
    }

    /// Compiles, and remembers what is wrong with the schema.
    fn load(&self, worker: &mut YangWorker, set: &Arc<SchemaSet>) -> Result<(), WorkerError> {
        let (usable, faults) = match worker.load_set(set) {
            Ok(schema) => (true, schema.faults),
            Err(error) => (false, vec![error.into_fault()?]),
        };
        if !faults.is_empty() {
            set.note_faulty();
        }
        let findings = schema_findings(&faults, &hex::encode(set.hash()));
        let mut compiled = self.compiled();
        if compiled.len() >= MAX_REMEMBERED {
            compiled.clear();
        }
        compiled.insert(set.hash(), Compiled { usable, findings });
        Ok(())
    }

    fn known(&self, set: &SchemaSet) -> Option<Compiled> {
        self.compiled().get(&set.hash()).cloned()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<YangWorker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<[u8; 32], Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<[u8; 32], Compiled>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("free", &self.places.available_permits()).finish_non_exhaustive()
    }
}

fn unsettled(message: &str) -> Verdict {
    Verdict { findings: vec![failed(message)], settled: false }
}

fn failed(message: &str) -> Finding {
    finding("validation-failed", "document", format!("nothing is known of its validity: {message}"))
}

fn not_validated(invalid: Invalid) -> Finding {
    let line = invalid.line.map_or(String::new(), |line| format!(" (line {line})"));
    let place = invalid.path.as_deref().unwrap_or("document");
    finding("not-validated", place, format!("first fault{line}: {}", invalid.message))
}

/// What is wrong with a station's schema, each with module, line and the set.
pub(super) fn schema_findings(faults: &[SchemaFault], set: &str) -> Vec<Finding> {
    let name: String = set.chars().take(12).collect();
    let mut findings: Vec<Finding> = faults
        .iter()
        .take(MAX_FAULTS)
        .map(|fault| {
            let place = match (fault.module.is_empty(), &fault.origin) {
                (false, _) => format!("module {}", fault.module),
                (true, Some(origin)) => origin.clone(),
                (true, None) => "schema".to_owned(),
            };
            let line = fault.line.map_or(String::new(), |line| format!(" line {line}"));
            let left_out = match fault.affects.is_empty() {
                true => String::new(),
                false => format!("; left out: {}", fault.affects.join(", ")),
            };
            let message = format!("{}{left_out}; schema set {name}", fault.message);
            finding("schema-not-loaded", &[place, line].concat(), message)
        })
        .collect();
    if let Some(more) = faults.len().checked_sub(MAX_FAULTS).filter(|more| *more > 0) {
        findings.push(finding("more", "schema", format!("{more} more faults of schema set {name}")));
    }
    findings
}

fn finding(code: &str, place: &str, message: String) -> Finding {
    Finding { code: code.to_owned(), place: place.to_owned(), message }
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

    const LOADED: &str = r#"{"version":2,"outcome":{"loaded":{"modules":[],"faults":[{"module":"m","line":7,"message":"no such type","affects":["m@2020-01-01"]}]}},"body":0}"#;
    const INVALID: &str =
        r#"{"version":2,"outcome":{"validated":{"message":"out of range","path":"/m:a","line":3}},"body":0}"#;

    async fn codes(pool: &Arc<WorkerPool>) -> (Vec<String>, bool) {
        let (verdict, document) = pool.validate(set(), b"<a/>".to_vec()).await;
        assert_eq!(document, b"<a/>");
        (verdict.findings.into_iter().map(|finding| finding.code).collect(), verdict.settled)
    }

    #[tokio::test]
    async fn faults_of_schema_and_document_are_told_with_their_places() {
        let pool = pool(&format!("read l; echo '{LOADED}'; read l; echo '{INVALID}'; sleep 9"), 1);
        let (verdict, _) = pool.validate(set(), b"<a/>".to_vec()).await;
        let [schema, document] = verdict.findings.as_slice() else { panic!("{:?}", verdict.findings) };
        assert_eq!((schema.code.as_str(), schema.place.as_str()), ("schema-not-loaded", "module m line 7"));
        assert!(schema.message.contains("no such type; left out: m@2020-01-01; schema set "), "{schema:?}");
        assert_eq!((document.code.as_str(), document.place.as_str()), ("not-validated", "/m:a"));
        assert!(document.message.contains("(line 3)") && verdict.settled, "{document:?}");
    }

    #[tokio::test]
    async fn a_document_that_ends_the_worker_is_a_finding_and_the_next_one_is_validated() {
        // The first worker crashes on the document, those after it do not.
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark").display().to_string();
        let crash = format!(
            "read l; echo '{LOADED}'; read l; if mkdir {mark}; then kill -SEGV $$; fi; echo '{INVALID}'; sleep 9"
        );
        let pool = pool(&crash, 1);
        let failed = ["schema-not-loaded", "validation-failed"].map(String::from).to_vec();
        assert_eq!(codes(&pool).await, (failed.clone(), true));
        let fine = ["schema-not-loaded", "not-validated"].map(String::from).to_vec();
        assert_eq!(codes(&pool).await, (fine, true));
        let hangs = self::pool(&format!("read l; echo '{LOADED}'; exec sleep 1000"), 1);
        assert_eq!(codes(&hangs).await, (failed, true));
    }

    #[tokio::test]
    async fn a_schema_that_cannot_be_compiled_is_tried_once() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count").display().to_string();
        let pool = pool(&format!("read l; echo x >> {count}; kill -ABRT $$"), 2);
        for _ in 0..3 {
            assert_eq!(codes(&pool).await, (vec!["schema-not-loaded".to_owned()], true));
        }
        assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
    }

    #[tokio::test]
    async fn a_machine_that_starts_no_worker_says_nothing_about_the_schema() {
        let command = WorkerCommand { program: "/absent/program".into(), arguments: vec![] };
        assert_eq!(codes(&WorkerPool::new(command, 1)).await, (vec!["validation-failed".to_owned()], false));
    }

    #[test]
    fn many_faults_are_counted() {
        let fault = SchemaFault {
            module: String::new(),
            origin: Some("station".to_owned()),
            line: None,
            message: "not UTF-8".to_owned(),
            affects: vec![],
        };
        let findings = schema_findings(&vec![fault; MAX_FAULTS + 5], &"ab".repeat(32));
        assert_eq!(findings.len(), MAX_FAULTS + 1);
        assert_eq!(findings[0].place, "station");
        assert_eq!(findings[MAX_FAULTS].message, "5 more faults of schema set abababababab");
    }
}
