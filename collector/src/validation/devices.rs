//! Schemas from the stations themselves.
//!
//! A list of modules whose texts were all given and compile is fetched once, from the first station that has it; every
//! other station with this list has the same set. Where something is wrong with a set, each station with that list
//! is asked for its own texts: what one station serves must not decide what is said of another. Equal texts are
//! one set even then.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::cache::{TextCache, library_name};
use super::pool::WorkerPool;
use crate::schema::set::same_words;
use crate::schema::{Library, ModuleEntry, ModuleId, ModuleSet, SchemaFault, SchemaSet};
use crate::session::{FetchError, Limits, PollError, SchemaError, Session, Target};
use crate::wire::ReplyError;

/// At least so long may it take to fetch the modules of one station: a hundred requests, one after the other.
const PATIENCE: Duration = Duration::from_secs(300);

/// Different sets, and different lists, in use at the same time. More kinds of station than this are no network but an
/// attack.
const MAX_SETS: usize = 256;

/// One list of modules: whoever comes first fetches its texts, the others wait.
type Place = Arc<AsyncMutex<Shared>>;

#[derive(Default)]
struct Shared {
    /// The set of all stations with this list. It lives while one of them has it.
    set: Weak<SchemaSet>,
    /// Something was wrong with it: each station is asked itself.
    apart: bool,
}

/// A station's set, and what was wrong with the texts that it gave.
pub(super) struct Fetched {
    pub(super) set: Arc<SchemaSet>,
    pub(super) faults: Vec<SchemaFault>,
}

pub(super) struct Devices {
    cache: TextCache,
    pool: Arc<WorkerPool>,
    /// By the list's name.
    lists: Mutex<HashMap<[u8; 32], Place>>,
    /// By the set's hash.
    sets: Mutex<HashMap<[u8; 32], Weak<SchemaSet>>>,
}

impl Devices {
    pub(super) fn new(cache: TextCache, pool: Arc<WorkerPool>) -> Devices {
        Devices { cache, pool, lists: Mutex::default(), sets: Mutex::default() }
    }

    /// The set of the modules that a station lists.
    pub(super) async fn fetch(&self, target: &Target, limits: &Limits) -> Result<Fetched, String> {
        let limits = Limits { deadline: limits.deadline.max(PATIENCE), ..*limits };
        let session = Session::connect(target, &limits).await;
        let mut session = session.map_err(|error| PollError::from(error).full_message())?;
        let outcome = self.with(&mut session, target).await;
        session.close().await;
        outcome
    }

    async fn with(&self, session: &mut Session, target: &Target) -> Result<Fetched, String> {
        let library = session.library().await.map_err(|error| error.full_message())?;
        let name = library_name(&library);
        let place = self.place(name)?;
        let mut shared = place.lock().await;
        match shared.set.upgrade() {
            Some(set) if !set.is_faulty() => return Ok(Fetched { set, faults: vec![] }),
            Some(_) => {
                shared.apart = true;
                self.cache.forget(&name);
            }
            None => {}
        }
        if shared.apart {
            drop(shared);
            let (texts, faults) = self.texts(session, target, &library).await?;
            return Ok(Fetched { set: self.set(&texts, &library)?, faults });
        }
        if let Some(set) = self.kept(&name, &library).await? {
            shared.set = Arc::downgrade(&set);
            return Ok(Fetched { set, faults: vec![] });
        }
        let (texts, faults) = self.texts(session, target, &library).await?;
        let set = self.set(&texts, &library)?;
        self.pool.compile(Arc::clone(&set)).await;
        if !faults.is_empty() || set.is_faulty() {
            shared.apart = true;
            return Ok(Fetched { set, faults });
        }
        if let Err(error) = self.cache.keep(&name, &texts) {
            tracing::warn!("Texts of YANG modules cannot be kept, they will be fetched again: {error}");
        }
        shared.set = Arc::downgrade(&set);
        Ok(Fetched { set, faults })
    }

    /// The set that was kept for this list, if nothing is wrong with it.
    async fn kept(&self, name: &[u8; 32], library: &Library) -> Result<Option<Arc<SchemaSet>>, String> {
        let Some(texts) = self.cache.whole(name) else { return Ok(None) };
        let set = self.set(&texts, library)?;
        self.pool.compile(Arc::clone(&set)).await;
        if set.is_faulty() {
            self.cache.forget(name);
            return Ok(None);
        }
        Ok(Some(set))
    }

    fn place(&self, name: [u8; 32]) -> Result<Place, String> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= MAX_SETS && !lists.contains_key(&name) {
            // Places that nobody waits at and whose set no station has any more.
            lists.retain(|_, place| {
                let used = |shared: &Shared| shared.set.strong_count() > 0;
                Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|shared| used(&shared))
            });
            if lists.len() >= MAX_SETS {
                return Err(too_many());
            }
        }
        Ok(Arc::clone(lists.entry(name).or_default()))
    }

    /// The set of these texts, laid out once while somebody has it.
    fn set(&self, texts: &ModuleSet, library: &Library) -> Result<Arc<SchemaSet>, String> {
        let hash = SchemaSet::hash_of_library(texts, library);
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get(&hash).and_then(Weak::upgrade) {
            return Ok(set);
        }
        sets.retain(|_, set| set.strong_count() > 0);
        if sets.len() >= MAX_SETS {
            return Err(too_many());
        }
        let set = SchemaSet::of_library(texts, library)
            .map_err(|error| format!("its modules cannot be laid out: {error}; hint: is the disk full?"))?;
        let set = Arc::new(set);
        sets.insert(hash, Arc::downgrade(&set));
        Ok(set)
    }

    /// Every text of the list, import-only modules and submodules included, and what those import that the list lacks:
    /// a hello names no imports (RFC 6020 §5.6.4). A session that breaks ends it.
    async fn texts(
        &self,
        session: &mut Session,
        target: &Target,
        library: &Library,
    ) -> Result<(ModuleSet, Vec<SchemaFault>), String> {
        let (mut set, mut faults, mut asked) = (ModuleSet::new(), vec![], BTreeSet::new());
        let ids = |entry: &ModuleEntry| std::iter::once(entry.id.clone()).chain(entry.submodules.clone());
        let mut wanted: Vec<ModuleId> = library.modules.iter().flat_map(ids).collect();
        let mut listed = true;
        while !wanted.is_empty() {
            for id in std::mem::take(&mut wanted) {
                if set.is_full() {
                    return Err("its modules are too many or too large".to_owned());
                }
                let fault = self.text(session, target, &id, &mut set).await?;
                // What is not listed and not given libyang may have itself; if not, it says so.
                faults.extend(fault.filter(|_| listed));
                asked.insert(id);
            }
            listed = false;
            wanted = set.missing().into_iter().filter(|id| !asked.contains(id)).collect();
        }
        Ok((set, faults))
    }

    /// Adds one text; what is wrong with it is a fault.
    async fn text(
        &self,
        session: &mut Session,
        target: &Target,
        id: &ModuleId,
        set: &mut ModuleSet,
    ) -> Result<Option<SchemaFault>, String> {
        let known = self.cache.text(id);
        let (text, message) = match session.get_schema(id).await {
            Ok(text) => {
                let other = known.is_some_and(|known| !same_words(&known, &text));
                let message = format!(
                    "another text of {id} than the one that another station gave; its own is used; hint: one of the two was changed without a new revision"
                );
                (Some(text), other.then_some(message))
            }
            Err(error) if session_goes_on(&error) => (known, Some(error.full_message())),
            Err(error) => return Err(error.full_message()),
        };
        let origin = target.address.to_string();
        if let Some(text) = text {
            set.insert(text, &origin);
        }
        let module = id.name.clone();
        Ok(message.map(|message| SchemaFault {
            module,
            origin: Some(origin),
            line: None,
            message,
            affects: vec![],
        }))
    }
}

fn too_many() -> String {
    format!(
        "more than {MAX_SETS} different sets of modules are in use; hint: are stations listing others each time?"
    )
}

/// Whether the two sides are still in step.
fn session_goes_on(error: &SchemaError) -> bool {
    match error {
        SchemaError::Another { .. } | SchemaError::NotAModule { .. } => true,
        SchemaError::Fetch { error: FetchError::Reply(ReplyError::Refused { .. }), .. } => true,
        SchemaError::Fetch { .. } | SchemaError::Library { .. } => false,
    }
}
