//! Schemas from the stations themselves.
//!
//! A list of modules whose texts were all given and compile is fetched once, from the first station that has it; every
//! other station with this list has the same set. Where something is wrong with a set, each station with that list
//! is asked for its own texts: what one station serves must not decide what is said of another. Equal texts are
//! one set even then. A set that a worker failed on, short of memory perhaps, is lent to nobody until one comes to an
//! answer: as long each station is asked itself, and nothing else is decided.
//!
//! A text that was altered and still compiles is nothing wrong. So each station that gets the set of another gives a few of
//! the texts itself, in turn; where one differs, the two stations and the module are named
//! beside every reply that is held against either set, and from then on each station is read by its own texts, if it gives
//! them all: until then by those that it was read by.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::cache::{TextCache, library_name};
use super::pool::WorkerPool;
use super::turns::Turns;
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

struct Shared {
    /// The set of all stations with this list. It lives while one of them has it.
    set: Weak<SchemaSet>,
    /// Something was wrong with it: each station is asked itself.
    apart: bool,
    /// What the next station is asked for, to be compared.
    turns: Arc<Mutex<Turns>>,
}

/// A station's set, and what was wrong with the texts that it gave.
pub(super) struct Fetched {
    pub(super) set: Arc<SchemaSet>,
    pub(super) faults: Vec<SchemaFault>,
    /// It gave all these texts itself.
    pub(super) own: bool,
}

/// What a station itself gives.
#[derive(Default)]
struct Given {
    texts: ModuleSet,
    faults: Vec<SchemaFault>,
    /// Modules of which another station gave another text.
    differing: Differing,
}

/// Modules, and what to say of each.
type Differing = Vec<(ModuleId, String)>;

pub(super) struct Devices {
    cache: TextCache,
    pool: Arc<WorkerPool>,
    /// Of the places where comparisons begin.
    seed: [u8; 32],
    /// By the list's name.
    lists: Mutex<HashMap<[u8; 32], Place>>,
    /// By the set's hash.
    sets: Mutex<HashMap<[u8; 32], Weak<SchemaSet>>>,
}

impl Devices {
    pub(super) fn new(cache: TextCache, pool: Arc<WorkerPool>, seed: [u8; 32]) -> Devices {
        Devices { cache, pool, seed, lists: Mutex::default(), sets: Mutex::default() }
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
        let mut set = shared.set.upgrade();
        if set.as_ref().is_some_and(|set| set.is_faulty()) {
            shared.apart = true;
            self.cache.forget(&name);
        }
        if set.is_none() && !shared.apart {
            set = self.kept(&name, &library).await?;
            shared.set = set.as_ref().map_or_else(Weak::new, Arc::downgrade);
        }
        // One that may end every worker is for no other station, until it is known not to.
        let unsure = set.as_ref().is_some_and(|set| self.pool.failed_on(set));
        if let Some(set) = set.as_ref().filter(|_| !shared.apart && !unsure) {
            let turns = Arc::clone(&shared.turns);
            // Who answers slowly holds up nobody else.
            drop(shared);
            let differing = self.compare(session, target, set, &turns).await;
            if differing.is_empty() {
                return Ok(Fetched { set: Arc::clone(set), faults: vec![], own: false });
            }
            place.lock().await.apart = true;
            self.cache.forget(&name);
            self.doubt(set, &differing);
            return self.own(session, target, &library, differing).await;
        }
        if shared.apart || unsure {
            drop(shared);
            // The set lives as long: where this station's texts are those, it is the same one.
            return self.own(session, target, &library, vec![]).await;
        }
        self.first(session, target, &library, &name, &mut shared).await
    }

    /// The set of the first station with this list, for those that come after it.
    async fn first(
        &self,
        session: &mut Session,
        target: &Target,
        library: &Library,
        name: &[u8; 32],
        shared: &mut Shared,
    ) -> Result<Fetched, String> {
        let given = self.texts(session, target, library).await?;
        let set = self.set(&given.texts, library)?;
        self.pool.compile(&set).await;
        self.doubt(&set, &given.differing);
        if !given.faults.is_empty() || !given.differing.is_empty() || set.is_faulty() {
            shared.apart = true;
            return Ok(Fetched { set, faults: given.faults, own: true });
        }
        shared.set = Arc::downgrade(&set);
        if self.pool.failed_on(&set) {
            return Ok(Fetched { set, faults: vec![], own: true });
        }
        if let Err(error) = self.cache.keep(name, &given.texts) {
            tracing::warn!("Texts of YANG modules cannot be kept, they will be fetched again: {error}");
        }
        Ok(Fetched { set, faults: vec![], own: true })
    }

    /// What the station itself gives, whatever others gave; some of it is known to differ.
    async fn own(
        &self,
        session: &mut Session,
        target: &Target,
        library: &Library,
        mut known: Differing,
    ) -> Result<Fetched, String> {
        let Given { texts, faults, differing } = self.texts(session, target, library).await?;
        let set = self.set(&texts, library)?;
        // What names both stations comes first, and stays.
        known.extend(differing);
        self.doubt(&set, &known);
        Ok(Fetched { set, faults, own: true })
    }

    /// Asks for a few texts of a set that another station gave: those that differ. A text that is refused says nothing, and
    /// is owed.
    async fn compare(
        &self,
        session: &mut Session,
        target: &Target,
        set: &SchemaSet,
        turns: &Mutex<Turns>,
    ) -> Differing {
        let turns = || turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = turns().take(&set.ids().collect::<Vec<_>>()).into_iter();
        let (mut differing, mut unanswered) = (vec![], vec![]);
        for id in asked.by_ref() {
            let Some((text, origin)) = set.text(&id) else {
                unanswered.push(id);
                continue;
            };
            match session.get_schema(&id).await {
                Ok(other) if same_words(&text, &other) => {}
                Ok(_) => {
                    let address = &target.address;
                    let message = format!(
                        "{origin} and {address} give different texts of {id}; each station that gives its own is read by it; hint: one of the two was changed without a new revision"
                    );
                    differing.push((id, message));
                }
                Err(error) => {
                    unanswered.push(id);
                    if !session_goes_on(&error) {
                        break;
                    }
                }
            }
        }
        unanswered.extend(asked);
        turns().owe(unanswered);
        differing
    }

    /// Notes beside a set which of its modules somebody has another text of; what was kept of these is kept no longer.
    fn doubt(&self, set: &SchemaSet, differing: &Differing) {
        for (id, message) in differing {
            set.doubt(id, message);
            self.cache.doubt(id);
        }
    }

    /// The set that was kept for this list, if nothing is wrong with it.
    async fn kept(&self, name: &[u8; 32], library: &Library) -> Result<Option<Arc<SchemaSet>>, String> {
        let Some(texts) = self.cache.whole(name) else { return Ok(None) };
        let set = self.set(&texts, library)?;
        self.pool.compile(&set).await;
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
        let shared = || Shared {
            set: Weak::new(),
            apart: false,
            turns: Arc::new(Mutex::new(Turns::new(&self.seed, &name))),
        };
        Ok(Arc::clone(lists.entry(name).or_insert_with(|| Arc::new(AsyncMutex::new(shared())))))
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
    ) -> Result<Given, String> {
        let (mut given, mut asked) = (Given::default(), BTreeSet::new());
        let ids = |entry: &ModuleEntry| std::iter::once(entry.id.clone()).chain(entry.submodules.clone());
        let mut wanted: Vec<ModuleId> = library.modules.iter().flat_map(ids).collect();
        let mut listed = true;
        while !wanted.is_empty() {
            for id in std::mem::take(&mut wanted) {
                if given.texts.is_full() {
                    return Err("its modules are too many or too large".to_owned());
                }
                let fault = self.text(session, target, &id, &mut given).await?;
                // What is not listed and not given libyang may have itself; if not, it says so.
                given.faults.extend(fault.filter(|_| listed));
                asked.insert(id);
            }
            listed = false;
            wanted = given.texts.missing().into_iter().filter(|id| !asked.contains(id)).collect();
        }
        Ok(given)
    }

    /// Adds one text; what is wrong with it is a fault.
    async fn text(
        &self,
        session: &mut Session,
        target: &Target,
        id: &ModuleId,
        given: &mut Given,
    ) -> Result<Option<SchemaFault>, String> {
        let known = self.cache.text(id);
        let (text, message) = match session.get_schema(id).await {
            Ok(text) => {
                if known.is_some_and(|known| !same_words(&known, &text)) {
                    let message = format!(
                        "another text of {id} than the one that another station gave; its own is used; hint: one of the two was changed without a new revision"
                    );
                    given.differing.push((id.clone(), message));
                }
                (Some(text), None)
            }
            Err(error) if session_goes_on(&error) => (known, Some(error.full_message())),
            Err(error) => return Err(error.full_message()),
        };
        let origin = target.address.to_string();
        if let Some(text) = text {
            given.texts.insert(text, &origin);
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
