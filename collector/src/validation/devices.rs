//! Schemas from the stations themselves: each distinct list of modules is fetched and laid out once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::cache::{TextCache, library_name};
use crate::schema::{Library, ModuleEntry, ModuleId, ModuleSet, SchemaFault, SchemaSet};
use crate::session::{FetchError, Limits, PollError, SchemaError, Session, Target};
use crate::wire::ReplyError;

/// At least so long may it take to fetch the modules of one station: a hundred requests, one after the other.
const PATIENCE: Duration = Duration::from_secs(300);

/// Different sets in use at the same time. More kinds of station than this are no network but an attack.
const MAX_SETS: usize = 256;

/// A place for one set: whoever comes first fetches it, the others wait. It lives while a station has it.
type Place = Arc<AsyncMutex<Weak<SchemaSet>>>;

pub(super) struct Devices {
    cache: TextCache,
    /// By the list's name.
    sets: Mutex<HashMap<[u8; 32], Place>>,
}

impl Devices {
    pub(super) fn new(cache: TextCache) -> Devices {
        Devices { cache, sets: Mutex::default() }
    }

    /// The set of the modules that a station lists.
    pub(super) async fn fetch(&self, target: &Target, limits: &Limits) -> Result<Arc<SchemaSet>, String> {
        let limits = Limits { deadline: limits.deadline.max(PATIENCE), ..*limits };
        let session = Session::connect(target, &limits).await;
        let mut session = session.map_err(|error| PollError::from(error).full_message())?;
        let outcome = self.with(&mut session, target).await;
        session.close().await;
        outcome
    }

    async fn with(&self, session: &mut Session, target: &Target) -> Result<Arc<SchemaSet>, String> {
        let library = session.library().await.map_err(|error| error.full_message())?;
        let name = library_name(&library);
        let place = self.place(name)?;
        let mut held = place.lock().await;
        if let Some(set) = held.upgrade() {
            return Ok(set);
        }
        let texts = match self.cache.whole(&name) {
            Some(texts) => texts,
            None => {
                let texts = self.texts(session, target, &library).await?;
                if let Err(error) = self.cache.keep(&name, &texts) {
                    tracing::warn!(
                        "Texts of YANG modules cannot be kept, they will be fetched again: {error}"
                    );
                }
                texts
            }
        };
        let set = SchemaSet::of_library(&texts, &library)
            .map_err(|error| format!("its modules cannot be laid out: {error}; hint: is the disk full?"))?;
        let set = Arc::new(set);
        *held = Arc::downgrade(&set);
        Ok(set)
    }

    fn place(&self, name: [u8; 32]) -> Result<Place, String> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= MAX_SETS && !sets.contains_key(&name) {
            // Places that nobody waits at and whose set no station has any more.
            sets.retain(|_, place| {
                Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|set| set.strong_count() > 0)
            });
            if sets.len() >= MAX_SETS {
                return Err(format!(
                    "more than {MAX_SETS} different sets of modules are in use; hint: are stations listing others each time?"
                ));
            }
        }
        Ok(Arc::clone(sets.entry(name).or_default()))
    }

    /// Every text of the list, import-only modules and submodules included. A text that is refused, or is another
    /// module's, is a fault of the set; a session that breaks ends it.
    async fn texts(
        &self,
        session: &mut Session,
        target: &Target,
        library: &Library,
    ) -> Result<ModuleSet, String> {
        let mut set = ModuleSet::new();
        let mut faults = vec![];
        let ids = |entry: &ModuleEntry| std::iter::once(entry.id.clone()).chain(entry.submodules.clone());
        let wanted: Vec<ModuleId> = library.modules.iter().flat_map(ids).collect();
        for id in &wanted {
            if set.is_full() {
                return Err("its modules are too many or too large".to_owned());
            }
            // What is known stands; that the station has the same is looked at.
            self.cache.add_known(id, &mut set);
            match session.get_schema(id).await {
                Ok(text) => set.insert(text, &target.address.to_string()),
                Err(error) if session_goes_on(&error) => faults.push(fault(id, target, &error)),
                Err(error) => return Err(error.full_message()),
            }
        }
        set.add_faults(faults);
        Ok(set)
    }
}

fn fault(id: &ModuleId, target: &Target, error: &SchemaError) -> SchemaFault {
    SchemaFault {
        module: id.name.clone(),
        origin: Some(target.address.to_string()),
        line: None,
        message: error.full_message(),
        affects: vec![],
    }
}

/// Whether the two sides are still in step.
fn session_goes_on(error: &SchemaError) -> bool {
    match error {
        SchemaError::Another { .. } | SchemaError::NotAModule { .. } => true,
        SchemaError::Fetch { error: FetchError::Reply(ReplyError::Refused { .. }), .. } => true,
        SchemaError::Fetch { .. } | SchemaError::Library { .. } => false,
    }
}
