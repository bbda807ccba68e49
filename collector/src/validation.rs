//! Schemas of a round: which one a station has, what the reader goes by under it, and whether a reply is valid.
//!
//! [`Schemas`] knows the schema of every station that was read, and one for all stations with equal modules; a bounded
//! [`WorkerPool`] compiles it and holds the replies against it. What comes out is tables and findings, never an error of
//! the round: a configuration that does not validate, or of which nothing can be said, is kept, compared and judged all
//! the same.
//!
//! **Findings** by code: `not-validated` (the first fault, with its path), `validation-failed` (nothing is known: the
//! library crashed, hung, or could not be started), `schema-not-loaded` (a module of the station's set, with its line),
//! `module-text-differs` (of which another station gives another text), `schema-not-known` (the station does not tell its modules), `schema-not-used` (there is one, and the reply was read as
//! without), `more`. They name places, never values.

mod cache;
mod devices;
mod failures;
mod findings;
mod pool;
mod turns;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Digest, Dn, Finding};

use crate::schema::{ModuleId, ModuleSet, SchemaSet, SchemaTable};
use crate::session::{Limits, Target};
use crate::wire::hello::Capabilities;

pub use cache::TextCache;
pub use pool::WorkerPool;

use devices::{Devices, Fetched};
use findings::{finding, schema_findings};

/// A station that could not be asked for its own texts goes on as it is so long before it is asked again: each time is a
/// session, and one that answers slowly holds up its round.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// Where the schemas of stations come from, what is known of each, and who validates.
pub struct Schemas {
    source: Source,
    pool: Arc<WorkerPool>,
    stations: Mutex<HashMap<Dn, Known>>,
}

enum Source {
    /// One set for all stations.
    Folder(Arc<SchemaSet>),
    /// What each station says and serves.
    Devices(Box<Devices>),
}

/// What is remembered of a station, for as long as this program runs.
struct Known {
    /// What its hello said of its modules.
    announced: Digest,
    schema: StationSchema,
    checked: Option<Checked>,
    /// It was asked for its own texts in vain: not again before then.
    ask_again: Option<Instant>,
}

impl Known {
    fn new(announced: Digest, schema: StationSchema) -> Known {
        Known { announced, schema, checked: None, ask_again: None }
    }

    /// Whether there is nothing to ask the station for.
    fn stands(&self) -> bool {
        !self.schema.is_hearsay() || self.ask_again.is_some_and(|again| again > Instant::now())
    }
}

/// A reply that was held against its schema.
struct Checked {
    raw: Digest,
    /// When another try may say more of it.
    again: Option<Instant>,
    /// Modules of which others were known to have another text.
    doubts: usize,
}

/// Whether a finding came from validation, and not from the reader.
pub fn found(finding: &Finding) -> bool {
    let codes = [
        "not-validated",
        "validation-failed",
        "schema-not-loaded",
        "schema-not-known",
        "schema-not-used",
        "module-text-differs",
    ];
    codes.contains(&&*finding.code)
}

/// Whether a finding says that a reply was read without a schema that was asked for.
pub fn is_schemaless(finding: &Finding) -> bool {
    ["schema-not-known", "schema-not-used"].contains(&&*finding.code)
}

/// What a station is validated against, and what is wrong with the texts that it gave.
#[derive(Clone)]
pub(crate) struct StationSchema {
    set: Arc<SchemaSet>,
    findings: Arc<[Finding]>,
    /// Its texts are those that the station itself gives.
    own: bool,
}

impl StationSchema {
    /// Whether it rests on the word of another station whose texts differ from a third one's.
    fn is_hearsay(&self) -> bool {
        !self.own && !self.set.doubts().is_empty()
    }
}

/// The schema of one station in one round, or why there is none.
pub(crate) type Found = Result<StationSchema, Finding>;

impl Schemas {
    /// All modules of a folder, for every station.
    ///
    /// # Errors
    /// If the folder cannot be read, holds no module, or its texts cannot be laid out for the workers.
    pub fn from_folder(folder: &Path, pool: Arc<WorkerPool>) -> io::Result<Schemas> {
        let texts = ModuleSet::from_folder(folder)?;
        if texts.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it holds no YANG modules"));
        }
        let set = Arc::new(SchemaSet::whole(&texts)?);
        Ok(Schemas { source: Source::Folder(set), pool, stations: Mutex::default() })
    }

    /// The modules that each station lists, by `<get-schema>`; texts that were fetched once are kept in `cache`. From the
    /// `seed`, random bytes that no station knows, follows which texts are compared first.
    pub fn from_devices(cache: TextCache, pool: Arc<WorkerPool>, seed: [u8; 32]) -> Schemas {
        let devices = Box::new(Devices::new(cache, Arc::clone(&pool), seed));
        Schemas { source: Source::Devices(devices), pool, stations: Mutex::default() }
    }

    /// The schema of a station whose hello has just been read. Another session is opened where the hello says that its
    /// modules are others than before, and where others doubt the texts that it is read by.
    pub(crate) async fn find(
        &self,
        element: &Dn,
        target: &Target,
        limits: &Limits,
        capabilities: &Capabilities,
    ) -> Found {
        let devices = match &self.source {
            Source::Folder(set) => {
                return Ok(StationSchema { set: Arc::clone(set), findings: Arc::default(), own: true });
            }
            Source::Devices(devices) => devices,
        };
        let announced = announced(capabilities);
        let same = |known: &&Known| known.announced == announced;
        let known =
            self.stations().get(element).filter(same).map(|known| (known.schema.clone(), known.stands()));
        let doubted = match known {
            Some((schema, true)) => return Ok(schema),
            Some((schema, false)) => Some(schema),
            None => None,
        };
        let Fetched { set, faults, own } = match (devices.fetch(target, limits).await, doubted) {
            (Err(why), Some(doubted)) => return Ok(self.keep(element, doubted, &why)),
            // What it leaves out makes another schema of it, and a worse one.
            (Ok(Fetched { faults, .. }), Some(doubted)) if !faults.is_empty() => {
                return Ok(self.keep(element, doubted, &faults[0].message));
            }
            (Err(message), None) => {
                return Err(finding("schema-not-known", "document", format!("not validated: {message}")));
            }
            (Ok(fetched), _) => fetched,
        };
        let findings = schema_findings(&faults, &hex::encode(set.hash())).into();
        let schema = StationSchema { set, findings, own };
        self.stations().insert(element.clone(), Known::new(announced, schema.clone()));
        Ok(schema)
    }

    /// A station that others' texts are doubted for and that does not give its own is read as before, with the doubt
    /// beside it: one altered answer of another station ends no reading.
    fn keep(&self, element: &Dn, schema: StationSchema, why: &str) -> StationSchema {
        tracing::warn!(target.id = %element, "`{element}` does not give the texts of its modules, so that it is still read by those of another station, which are doubted: {why}");
        if let Some(known) = self.stations().get_mut(element) {
            known.ask_again = Some(Instant::now() + ASK_AGAIN);
        }
        schema
    }

    /// What the reader goes by under a station's schema.
    pub(crate) async fn table(&self, schema: &StationSchema) -> Result<Arc<SchemaTable>, Finding> {
        self.pool.table(&schema.set).await
    }

    /// Whether this very reply was held against this very schema before: then its findings stand, until what failed is
    /// to be tried again.
    pub(crate) fn was_checked(&self, element: &Dn, schema: &StationSchema, raw: &Digest) -> bool {
        let stations = self.stations();
        let same = |known: &&Known| known.schema.set.hash() == schema.set.hash();
        let checked = stations.get(element).filter(same).and_then(|known| known.checked.as_ref());
        let doubts = schema.set.doubts().len();
        let stands = |again: Instant| again > Instant::now();
        checked.is_some_and(|checked| {
            checked.raw == *raw && checked.doubts == doubts && checked.again.is_none_or(stands)
        })
    }

    /// What is to be said of a reply.
    pub(crate) async fn check(
        &self,
        element: &Dn,
        schema: StationSchema,
        document: Arc<Vec<u8>>,
        raw: Digest,
    ) -> Vec<Finding> {
        let station = Digest::of(element.to_string().as_bytes());
        let verdict = self.pool.validate(Arc::clone(&schema.set), document, station).await;
        let doubts = schema.set.doubts();
        let checked = Some(Checked { raw, again: verdict.again, doubts: doubts.len() });
        let differs = |(id, message): (ModuleId, String)| {
            finding("module-text-differs", &format!("module {}", id.name), message)
        };
        let told = schema.findings.iter().cloned().chain(doubts.into_iter().map(differs));
        let findings = told.chain(verdict.findings).collect();
        let hash = schema.set.hash();
        let known = || Known::new(Digest([0; 32]), schema);
        let mut stations = self.stations();
        let known = stations.entry(element.clone()).or_insert_with(known);
        if known.schema.set.hash() == hash {
            known.checked = checked;
        }
        findings
    }

    fn stations(&self) -> MutexGuard<'_, HashMap<Dn, Known>> {
        self.stations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Folder(_) => "folder",
            Source::Devices(_) => "devices",
        };
        f.debug_struct("Schemas").field("source", &source).finish_non_exhaustive()
    }
}

/// What a hello says of the station's modules: their id where it has one, else everything that it says.
fn announced(capabilities: &Capabilities) -> Digest {
    let mut words = Vec::new();
    match capabilities.schema_id() {
        Some(id) => words.extend_from_slice(id.as_bytes()),
        None => {
            // The order is the server's whim.
            let mut all: Vec<&str> = capabilities.iter().collect();
            all.sort_unstable();
            words.extend(all.join("\n").into_bytes());
        }
    }
    Digest::of(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_with_other_modules_is_another_schema() {
        let hello = |uris: &[&str]| announced(&Capabilities::new(uris.iter().map(|uri| (*uri).to_owned())));
        let library = "urn:ietf:params:netconf:capability:yang-library:1.1?revision=2019-01-04&content-id=";
        let with_id = |id: &str, more: &str| hello(&[&format!("{library}{id}"), more]);
        assert_eq!(with_id("1", "urn:a"), with_id("1", "urn:b"));
        assert_ne!(with_id("1", "urn:a"), with_id("2", "urn:a"));
        assert_eq!(hello(&["urn:a?module=a", "urn:b"]), hello(&["urn:b", "urn:a?module=a"]));
        assert_ne!(hello(&["urn:a?module=a"]), hello(&["urn:a?module=b"]));
    }

    #[test]
    fn a_folder_without_modules_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pool = || WorkerPool::new(crate::schema::WorkerCommand::this_program().unwrap(), 1);
        for path in [folder.path().to_owned(), folder.path().join("absent")] {
            assert!(Schemas::from_folder(&path, pool()).is_err());
        }
    }
}
