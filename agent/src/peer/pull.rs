//! Pulls every body that the chain names, that concerns this member and that is not here: first from whoever put it
//! on the chain, then from the others it concerns; again and again until it is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anchor::Hash;
use anchor::transaction::MemberId;
use chain::{FinalBlock, NodeStopped};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep_until;

use super::bodies::{self, MAX_BODY, Named, Naming};
use super::error::PeerError;
use crate::app::App;
use crate::clock;

/// Bodies pulled at the same time, and of those that one member put on the chain: each may be large, and no member is
/// to hold up what another proposed.
const AT_ONCE: usize = 6;
const AT_ONCE_OF_ONE: usize = 2;

/// Rest of a body that nobody had; it doubles up to the longest.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(8);

/// A member that gave other bytes than asked for is not asked for that body for so long.
const DISTRUST: Duration = Duration::from_secs(600);

/// A body that is not here yet.
#[derive(Debug)]
struct Wanted {
    naming: Naming,
    proposer: MemberId,
    failures: u32,
    due: Instant,
    /// It is being asked for.
    running: bool,
}

/// What is wanted, and who gave wrong bytes for what.
#[derive(Debug, Default)]
struct Puller {
    wanted: BTreeMap<Hash, Wanted>,
    liars: BTreeMap<(Hash, MemberId), Instant>,
}

/// A body to be asked for once.
#[derive(Debug)]
struct Attempt {
    hash: Hash,
    naming: Naming,
    /// Who is not asked for it.
    distrusted: BTreeSet<MemberId>,
}

/// What became of it.
#[derive(Debug)]
struct Attempted {
    hash: Hash,
    stored: bool,
    liars: Vec<MemberId>,
}

/// Pulls until the agent ends or its node has stopped.
pub async fn run(app: Arc<App>) {
    let mut stopping = app.stopping.subscribe();
    tokio::select! {
        NodeStopped { why } = follow(&app) => tracing::debug!("No more bodies are pulled: {why}"),
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

async fn follow(app: &App) -> NodeStopped {
    let node = app.ledger.node();
    // Blocks first, then the state: what is in both is looked at twice, nothing is missed.
    let mut blocks = node.subscribe_from(node.tip().height.saturating_add(1));
    let mut puller = Puller::default();
    puller.want_everything(app).await;
    let mut running = FuturesUnordered::new();
    loop {
        running.extend(puller.start(Instant::now()).into_iter().map(|next| attempt(app, next)));
        tokio::select! {
            block = blocks.next() => match block {
                Ok(block) => puller.read(app, &block).await,
                Err(stopped) => return stopped,
            },
            Some(attempted) = running.next() => {
                if puller.finish(attempted, Instant::now()) {
                    settle(app).await;
                }
            }
            () = at(puller.next_due()) => {}
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

impl Puller {
    async fn want_everything(&mut self, app: &App) {
        let everything = bodies::all(&app.ledger.contract().read());
        self.want(app, everything).await;
    }

    async fn read(&mut self, app: &App, block: &FinalBlock) {
        let news = bodies::news(block);
        self.want(app, news.namings).await;
        if news.parties_changed {
            self.want_everything(app).await;
        }
    }

    /// Notes what is named, and wants of it what concerns this member and is not here.
    async fn want(&mut self, app: &App, namings: Vec<Naming>) {
        let mut concerning = Vec::new();
        {
            let contract = app.ledger.contract().read();
            for naming in namings {
                let Some(named) = bodies::named(&contract, &naming) else { continue };
                app.bodies.note(named.hash, naming.clone());
                if named.readers.contains(app.origin()) && !self.wanted.contains_key(&named.hash) {
                    concerning.push((named.hash, naming, named.proposer));
                }
            }
        }
        for (hash, naming, proposer) in concerning {
            match app.store.has_body(&hash).await {
                Ok(true) => {}
                Ok(false) => {
                    let due = Instant::now();
                    self.wanted.insert(hash, Wanted { naming, proposer, failures: 0, due, running: false });
                }
                Err(error) => tracing::error!("Cannot look for body {hash}: {error:#}"),
            }
        }
    }

    /// What is due and may be asked for beside what is being asked for.
    fn start(&mut self, now: Instant) -> Vec<Attempt> {
        self.liars.retain(|_, since| now.duration_since(*since) < DISTRUST);
        let mut of_one: BTreeMap<MemberId, usize> = BTreeMap::new();
        for wanted in self.wanted.values().filter(|wanted| wanted.running) {
            *of_one.entry(wanted.proposer.clone()).or_default() += 1;
        }
        let mut running: usize = of_one.values().sum();
        let mut attempts = Vec::new();
        for (hash, wanted) in &mut self.wanted {
            if running >= AT_ONCE {
                break;
            }
            let of_this = of_one.entry(wanted.proposer.clone()).or_default();
            if wanted.running || wanted.due > now || *of_this >= AT_ONCE_OF_ONE {
                continue;
            }
            wanted.running = true;
            *of_this += 1;
            running += 1;
            let liars = self.liars.keys().filter(|(of, _)| of == hash).map(|(_, member)| member.clone());
            let (hash, naming) = (*hash, wanted.naming.clone());
            attempts.push(Attempt { hash, naming, distrusted: liars.collect() });
        }
        attempts
    }

    /// When something can be asked for that cannot now; what waits for its turn only, the end of others starts.
    fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let resting = self.wanted.values().filter(|wanted| !wanted.running && wanted.due > now);
        resting.map(|wanted| wanted.due).min()
    }

    /// Whether a body arrived.
    fn finish(&mut self, attempted: Attempted, now: Instant) -> bool {
        let Attempted { hash, stored, liars } = attempted;
        self.liars.extend(liars.into_iter().map(|member| ((hash, member), now)));
        if stored {
            self.wanted.remove(&hash);
        } else if let Some(wanted) = self.wanted.get_mut(&hash) {
            let rest = FIRST_REST.saturating_mul(1 << wanted.failures.min(8)).min(LONGEST_REST);
            wanted.failures = wanted.failures.saturating_add(1);
            wanted.due = now + rest;
            wanted.running = false;
        }
        stored
    }
}

/// What waited for a body is done now: an approved baseline is taken over, a second judgement goes on.
async fn settle(app: &App) {
    if let Err(error) = app.settle().await {
        tracing::error!("Cannot take over what a body was missing for: {error:#}");
    }
    app.bodies.note_arrival();
}

/// Asks everybody who may have the body, until one gives the right bytes.
async fn attempt(app: &App, attempt: Attempt) -> Attempted {
    let Attempt { hash, naming, distrusted } = attempt;
    let mut liars = Vec::new();
    // Somebody of this member may have put it here meanwhile; an error here comes again where it is stored.
    let mut stored = app.store.has_body(&hash).await.unwrap_or(false);
    let named = bodies::named(&app.ledger.contract().read(), &naming);
    if let Some(named) = named.filter(|_| !stored) {
        for member in holders(app, &named).into_iter().filter(|member| !distrusted.contains(member)) {
            match fetch(app, &member, &named).await {
                Fetched::Stored => {
                    stored = true;
                    break;
                }
                Fetched::Nothing => {}
                Fetched::Lied => liars.push(member),
            }
        }
    }
    Attempted { hash, stored, liars }
}

/// The proposer first, then the others whom it concerns; those whose agents are known here.
fn holders(app: &App, named: &Named) -> Vec<MemberId> {
    let known: BTreeSet<MemberId> = app.peers.members().into_iter().collect();
    let others = named.readers.iter().filter(|member| **member != named.proposer);
    std::iter::once(&named.proposer).chain(others).filter(|m| known.contains(*m)).cloned().collect()
}

enum Fetched {
    Stored,
    Nothing,
    /// Other bytes than those with this hash, or more than a body may have.
    Lied,
}

async fn fetch(app: &App, member: &str, named: &Named) -> Fetched {
    let hash = named.hash;
    let bytes = match app.peers.get(member, &super::body_path(&hash), MAX_BODY).await {
        Ok(Some(bytes)) => bytes,
        // Outages are told where they are noticed, once.
        Ok(None) => return Fetched::Nothing,
        Err(error @ PeerError::TooLarge { .. }) => {
            tracing::warn!(peer = %member, "Body {hash} is not taken: {error}");
            return Fetched::Lied;
        }
        Err(error) => {
            tracing::debug!(peer = %member, "Body {hash} is not here yet: {error}");
            return Fetched::Nothing;
        }
    };
    if Hash::of(&bytes) != hash {
        tracing::warn!(
            peer = %member,
            "`{member}` gave {} bytes for body {hash} that have another SHA-256; hint: its store is damaged or it lies, it is not asked for this body again for a while",
            bytes.len()
        );
        app.peers.note_wrong_body(member);
        return Fetched::Lied;
    }
    match app.store.put_body(named.kind, &bytes, clock::now()).await {
        Ok(_) => {
            tracing::info!(peer = %member, "Pulled {} body {} from `{member}`", named.kind, hash.short());
            Fetched::Stored
        }
        Err(error) => {
            tracing::error!("Cannot store body {hash}: {error:#}");
            Fetched::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use anchor::transaction::{Subject, SubjectKind};

    use super::*;

    fn wanted(proposer: &str, due: Instant) -> Wanted {
        let subject = Subject { kind: SubjectKind::Change, id: "CR".into(), version: 1 };
        let naming = Naming::Subject(subject);
        Wanted { naming, proposer: proposer.into(), failures: 0, due, running: false }
    }

    #[test]
    fn no_member_takes_the_turns_of_another() {
        let now = Instant::now();
        let mut puller = Puller::default();
        for n in 0..20_u8 {
            puller.wanted.insert(Hash::of(&[n]), wanted("unicom", now));
        }
        assert_eq!(puller.start(now).len(), AT_ONCE_OF_ONE);
        puller.wanted.insert(Hash::of(b"other"), wanted("tower", now));
        let started: Vec<Hash> = puller.start(now).into_iter().map(|a| a.hash).collect();
        assert_eq!(started, [Hash::of(b"other")]);
        assert!(puller.start(now).is_empty());
        assert_eq!(puller.next_due(), None, "what waits for its turn does not wake anybody");
    }

    #[test]
    fn what_nobody_had_rests_and_what_arrived_is_forgotten() {
        let now = Instant::now();
        let hash = Hash::of(b"x");
        let mut puller = Puller::default();
        puller.wanted.insert(hash, wanted("unicom", now));
        let mut at = now;
        let mut rests = Vec::new();
        for _ in 0..8 {
            assert_eq!(puller.start(at).len(), 1);
            assert!(!puller.finish(Attempted { hash, stored: false, liars: vec![] }, at));
            assert!(puller.start(at).is_empty());
            let due = puller.wanted[&hash].due;
            rests.push(due - at);
            at = due;
        }
        assert_eq!((rests[0], rests[7]), (FIRST_REST, LONGEST_REST));
        assert!(rests.is_sorted());
        puller.start(at);
        assert!(puller.finish(Attempted { hash, stored: true, liars: vec![] }, at));
        assert!(puller.wanted.is_empty());
    }

    #[test]
    fn who_lied_is_not_asked_for_that_body_for_a_while() {
        let now = Instant::now();
        let hash = Hash::of(b"x");
        let mut puller = Puller::default();
        puller.wanted.insert(hash, wanted("unicom", now));
        puller.start(now);
        puller.finish(Attempted { hash, stored: false, liars: vec!["unicom".into()] }, now);
        let distrusted = |puller: &mut Puller, at| puller.start(at).remove(0).distrusted;
        let soon = now + LONGEST_REST;
        assert_eq!(distrusted(&mut puller, soon), ["unicom".to_owned()].into());
        puller.finish(Attempted { hash, stored: false, liars: vec![] }, soon);
        assert_eq!(distrusted(&mut puller, now + DISTRUST), BTreeSet::new());
    }
}
