//! Round after round of one other operator: fetched, checked, judged and kept, strictly in order.

use std::collections::BTreeMap;

use anchor::map::Map;
use anchor::record::Attestation;
use anchor::standing::Moment;
use anchor::tree::leaf_hash;
use anchor::{Hash, json};
use anyhow::{Context as _, Result, bail, ensure};
use model::Dn;
use model::change::Standing;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{RequestFilter, RequestRow, SecondRound, Store, StoredOpening, StoredSnapshot};

use super::checking::{self, Before, Checked, Heights, NeedsWhole};
use super::disclosure::{DisclosedRound, DisclosedRounds, Disclosure, MAX_DISCLOSURE};
use super::finding::Finding;
use super::judging::{self, Case, Judge};
use super::{Progress, settling};
use crate::app::App;
use crate::baseline;
use crate::pins::{InForce, Pinned};

/// Longest list of rounds taken, in bytes.
const MAX_LIST: usize = 1 << 20;

/// What is kept between rounds of one origin.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The attribute map, of this round. Building it costs as many hashes as the origin has commitments.
    map: Option<(u64, Map)>,
    /// What the chain showed of the origin when there was nothing more to do, and how often in a row.
    seen: Option<(Seen, u32)>,
}

/// The chain tells of a leaf a moment before its origin lists it: so often an empty list is asked for again.
const EMPTY: u32 = 3;

/// What moves on the chain when an origin has something new to disclose.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    anchored: u64,
    opened: u64,
    attested: Option<Hash>,
    missed: bool,
}

/// Takes all rounds of `origin` that can be taken now, after finishing what an earlier call left.
pub(crate) async fn advance(app: &App, origin: &str, memory: &mut Memory) -> Result<Progress> {
    let store = app.seconds.get(origin).with_context(|| format!("there is no second store of {origin}"))?;
    if let waits @ Progress::Waits(_) = settling::settle(app, store).await? {
        return Ok(waits);
    }
    let seen = look(app, origin);
    let empty = memory.seen.as_ref().filter(|(before, _)| *before == seen).map_or(0, |(_, times)| *times);
    if empty >= EMPTY || seen.anchored == 0 {
        return Ok(Progress::Done);
    }
    loop {
        let last = store.last_second().await?;
        let Some(next) = next(app, origin, last.as_ref()).await? else {
            memory.seen = Some((seen, empty + 1));
            return Ok(Progress::Done);
        };
        memory.seen = None;
        if let waits @ Progress::Waits(_) = take(app, origin, store, last, &next, memory).await? {
            return Ok(waits);
        }
        if let waits @ Progress::Waits(_) = settling::settle(app, store).await? {
            return Ok(waits);
        }
    }
}

fn look(app: &App, origin: &str) -> Seen {
    let contract = app.ledger.contract().read();
    let opened = contract.last_round(origin);
    let state = contract.round(origin, opened);
    Seen {
        anchored: contract.last_checkpoint(origin).map_or(0, |checkpoint| checkpoint.size),
        opened,
        attested: state.as_ref().and_then(|s| s.attestation.as_ref()).map(|a| a.statement.attestation),
        missed: state.is_some_and(|s| s.missed.is_some()),
    }
}

/// The round after the last one that was looked at, as the origin lists it. However far its number lies ahead, the judge
/// goes on with what it knows: an origin that jumps must not make it forget.
async fn next(app: &App, origin: &str, last: Option<&SecondRound>) -> Result<Option<DisclosedRound>> {
    let listed = list(app, origin, last.map_or(0, |last| last.round)).await?;
    Ok(listed.rounds.into_iter().next())
}

async fn list(app: &App, origin: &str, after: u64) -> Result<DisclosedRounds> {
    let path = format!("/peer/v1/disclosures?after={after}");
    let listed: Option<DisclosedRounds> = ask(app, origin, &path, MAX_LIST).await?;
    let listed = listed.unwrap_or(DisclosedRounds { rounds: vec![] });
    let ascending = listed
        .rounds
        .iter()
        .map(|round| round.round)
        .try_fold(after, |last, round| (round > last).then_some(round));
    ensure!(ascending.is_some(), "{origin} lists rounds out of order");
    Ok(listed)
}

/// A peer's answer as canonical JSON; `None` where it has nothing there for us.
pub(super) async fn ask<T: DeserializeOwned + Serialize>(
    app: &App,
    member: &str,
    path: &str,
    limit: usize,
) -> Result<Option<T>> {
    let Some(bytes) = app.peers.get(member, path, limit).await? else { return Ok(None) };
    let read = json::decode(&bytes);
    Ok(Some(read.with_context(|| format!("what {member} answers to {path} is not understood"))?))
}

/// What the chain says of a round that an origin claims to have attested.
enum Word {
    /// The attestation that stands for it, the blocks of its opening and of itself, and whether the chain has it itself.
    Stands {
        hash: Hash,
        opened: Option<Moment>,
        at: Moment,
        attested: bool,
    },
    Waits(String),
}

async fn word(app: &App, origin: &str, claimed: &DisclosedRound, attestation: &Attestation) -> Result<Word> {
    let (state, anchored) = {
        let contract = app.ledger.contract().read();
        (contract.round(origin, claimed.round), contract.last_checkpoint(origin).map(|c| c.at))
    };
    let round = claimed.round;
    let opened = state.as_ref().filter(|_| attestation.opened.is_some()).map(|state| state.opening.at);
    if let Some(state) = state {
        if let Some(attested) = state.attestation {
            let (hash, at) = (attested.statement.attestation, attested.at);
            return Ok(Word::Stands { hash, opened, at, attested: true });
        }
        if state.missed.is_none() {
            return Ok(Word::Waits(format!("round {round} is not attested yet")));
        }
    }
    // The chain never had it: then it must stand in the log that the chain anchored and this agent mirrored.
    let bytes = attestation.encode().context("an attestation has no canonical form")?;
    match (app.store.mirror_index(origin, &leaf_hash(&bytes)).await?, anchored) {
        (Some(_), Some(at)) => Ok(Word::Stands { hash: Hash::of(&bytes), opened, at, attested: false }),
        _ => Ok(Word::Waits(format!("round {round}, which the chain did not open, is not mirrored yet"))),
    }
}

/// One round.
async fn take(
    app: &App,
    origin: &str,
    store: &Store,
    last: Option<SecondRound>,
    next: &DisclosedRound,
    memory: &mut Memory,
) -> Result<Progress> {
    let known = last.as_ref().filter(|last| last.mirrored);
    let Some(disclosure) = fetch(app, origin, next.round, known.is_none()).await? else {
        return Ok(Progress::Waits(format!("{origin} lists round {} and does not disclose it", next.round)));
    };
    let attestation = &disclosure.attestation;
    let hash = attestation.hash().context("an attestation has no canonical form")?;
    let (standing, opened, at, attested) = match word(app, origin, next, attestation).await? {
        Word::Stands { hash, opened, at, attested } => (hash, opened, at, attested),
        Word::Waits(why) => return Ok(Progress::Waits(why)),
    };
    let judge = Judge { member: app.origin(), epoch: &app.epoch };
    let chain = &app.ledger.genesis().chain_id;
    let about =
        (attestation.origin.as_str(), attestation.round, &attestation.chain) == (origin, next.round, chain);
    let to = disclosure.to == app.origin() && disclosure.format == Disclosure::FORMAT;
    if hash != standing || !about || !to {
        let finding = Finding::account(
            "attestation",
            "what was disclosed is not the round that was attested",
            "披露的内容不是所存证的轮次",
        );
        let told = Attestation { origin: origin.to_owned(), round: next.round, ..attestation.clone() };
        return refuse(app, store, &told, (standing, attested), finding).await;
    }
    let heights = Heights { opened, attested: at, since: last_height(store).await? };
    // Before anything is taken over up to that height.
    if let Some(finding) = heights.finding(disclosure.height) {
        return refuse(app, store, attestation, (standing, attested), finding).await;
    }
    let in_force = match app.pinned(attestation, disclosure.height, heights.since).await? {
        Pinned::Ready(in_force) => in_force,
        Pinned::Missing(body) => return Ok(Progress::Waits(format!("body {body} is not here yet"))),
        Pinned::Wrong(what) => {
            let (en, zh) = (format!("the round rests on {what}"), format!("该轮次依据的是 {what}"));
            return refuse(app, store, attestation, (standing, attested), Finding::account("pins", en, zh))
                .await;
        }
    };
    let waiting = baseline::take_over_of(app, origin, store, disclosure.height).await?;
    if let Some(id) = waiting.first() {
        return Ok(Progress::Waits(format!("the body of baseline {id} is not here yet")));
    }
    let began = last.is_none() && attestation.previous.is_some();
    let round = Round { app, origin, store, last, in_force: &in_force, heights, began, attested };
    round.judge(disclosure, judge, memory).await
}

/// At which height the newest round was judged that the judge kept.
async fn last_height(store: &Store) -> Result<Option<u64>> {
    let Some(newest) = store.rounds(None, 1).await?.pop() else { return Ok(None) };
    Ok(store.judged_height(newest.start.round).await?)
}

async fn fetch(app: &App, origin: &str, round: u64, whole: bool) -> Result<Option<Disclosure>> {
    let path = format!("/peer/v1/disclosures/{round}{}", if whole { "?whole=1" } else { "" });
    ask(app, origin, &path, MAX_DISCLOSURE).await
}

/// Notes a round of which nothing can be used, and goes on behind it.
async fn refuse(
    app: &App,
    store: &Store,
    attestation: &Attestation,
    standing: (Hash, bool),
    why: Finding,
) -> Result<Progress> {
    note_refused(store, Judge { member: app.origin(), epoch: &app.epoch }, attestation, standing, why)
        .await?;
    settling::settle(app, store).await
}

/// `standing`: the attestation's hash, and whether the chain has it.
pub(super) async fn note_refused(
    store: &Store,
    judge: Judge<'_>,
    attestation: &Attestation,
    standing: (Hash, bool),
    why: Finding,
) -> Result<()> {
    let (origin, round) = (&attestation.origin, attestation.round);
    tracing::warn!(round.id = round, "Round {round} of {origin} cannot be judged: {}", why.text.en);
    // Its violation stands at a station. Before the first one is known there is only the origin's name.
    let station = match store.first_station().await? {
        Some(station) => station,
        None => Dn::root("SubNetwork", origin),
    };
    let (second, violation) = judging::refuse(judge, attestation, standing, &station, why)?;
    Ok(store.refuse_second(&second, &violation).await?)
}

/// What looking a disclosure through comes to.
enum Look {
    Through(Box<Disclosure>, Box<Checked>),
    Waits(String),
    /// Even the whole lacks something.
    Incomplete(Box<Disclosure>),
}

/// A round that is what the chain says, about to be judged.
struct Round<'a> {
    app: &'a App,
    origin: &'a str,
    store: &'a Store,
    last: Option<SecondRound>,
    in_force: &'a InForce,
    heights: Heights,
    began: bool,
    attested: bool,
}

impl Round<'_> {
    async fn judge(&self, disclosure: Disclosure, judge: Judge<'_>, memory: &mut Memory) -> Result<Progress> {
        let round = disclosure.attestation.round;
        let requests = match self.requests(&disclosure).await? {
            Ok(requests) => requests,
            Err(id) => return Ok(Progress::Waits(format!("the body of request {id} is not here yet"))),
        };
        let previous = self.store.newest_snapshots().await?;
        let previous: BTreeMap<Dn, StoredSnapshot> =
            previous.into_iter().map(|stored| (stored.element.clone(), stored)).collect();
        let openings = self.openings(round).await?;
        self.recall(memory).await?;
        let map = memory.map.as_ref().map(|(_, map)| map);
        let before = Before {
            attestation: self.last.as_ref().map(|last| last.attestation),
            map,
            openings: &openings,
            snapshots: &previous,
        };
        let (disclosure, checked) = match self.check(disclosure, judge.member, &before).await? {
            Look::Through(disclosure, checked) => (*disclosure, *checked),
            Look::Waits(why) => return Ok(Progress::Waits(why)),
            Look::Incomplete(whole) => {
                let en = "stations come without their objects though the whole was asked for";
                let finding = Finding::account("incomplete", en, "要求完整披露，但站点缺少对象");
                let standing = (whole.attestation.hash()?, self.attested);
                return refuse(self.app, self.store, &whole.attestation, standing, finding).await;
            }
        };
        let map = checked.map.clone();
        let others = self.app.other_stations(self.origin, disclosure.height, &requests).await?;
        let case = Case {
            judge,
            store: self.store,
            in_force: self.in_force,
            others: &others,
            requests: &requests,
            previous: &previous,
            disclosure: &disclosure,
            began: self.began,
            attested: self.attested,
        };
        let judged = judging::judge(&case, checked).await?;
        // A crash before it leaves nothing, after it everything, with the delivery waiting.
        self.store.commit_second(&judged.start, &judged.commit, &judged.second, &judged.map).await?;
        memory.map = map.map(|map| (round, map));
        let (origin, wrong) = (self.origin, judged.wrong);
        if wrong == 0 {
            tracing::info!(round.id = round, "Round {round} of {origin}: judged the same");
        } else {
            tracing::warn!(round.id = round, "Round {round} of {origin}: {wrong} findings and differences");
        }
        Ok(Progress::Done)
    }

    /// Looks the disclosure through, and the whole one if what changed tells too little.
    async fn check(&self, disclosure: Disclosure, judge: &str, before: &Before<'_>) -> Result<Look> {
        let check = |told: &Disclosure| checking::check(told, self.in_force, judge, before, self.heights);
        if let Ok(checked) = check(&disclosure) {
            return Ok(Look::Through(Box::new(disclosure), Box::new(checked)));
        }
        let Some(whole) = self.whole(&disclosure).await? else {
            return Ok(Look::Waits(format!("round {} is not disclosed whole", disclosure.attestation.round)));
        };
        Ok(match check(&whole) {
            Ok(checked) => Look::Through(Box::new(whole), Box::new(checked)),
            Err(NeedsWhole) => Look::Incomplete(Box::new(whole)),
        })
    }

    /// The same round once more, whole; it must be the same one.
    async fn whole(&self, told: &Disclosure) -> Result<Option<Disclosure>> {
        let whole = fetch(self.app, self.origin, told.attestation.round, true).await?;
        if whole.as_ref().is_some_and(|whole| whole.attestation != told.attestation || whole.to != told.to) {
            bail!("{} discloses round {} differently each time", self.origin, told.attestation.round);
        }
        Ok(whole)
    }

    /// The requests of the round's agreement, or one that this judge approved by then and whose body is not here yet.
    /// Others may be approved without this judge; whoever keeps the body of such a one back must not stop it.
    async fn requests(
        &self,
        disclosure: &Disclosure,
    ) -> Result<std::result::Result<Vec<RequestRow>, String>> {
        let agreement = Some(disclosure.attestation.agreement.id.clone());
        let rows = self.app.store.requests(&RequestFilter { agreement, ..RequestFilter::default() }).await?;
        let missing = |row: &&RequestRow| {
            let approved = row.subject.finalized.is_some_and(|at| at.height <= disclosure.height);
            let rejected = matches!(row.subject.standing(), Standing::Rejected { .. });
            let ours = row.subject.required.iter().any(|member| member == self.app.origin());
            ours && approved && !rejected && row.request.is_none() && row.unfit.is_none()
        };
        if let Some(row) = rows.iter().find(missing) {
            return Ok(Err(row.subject.subject.id.clone()));
        }
        Ok(Ok(rows))
    }

    async fn openings(&self, round: u64) -> Result<BTreeMap<(String, String), StoredOpening>> {
        let standing = self.store.openings_at(round.saturating_sub(1)).await?;
        let named = |o: StoredOpening| ((o.opening.dn.clone(), o.opening.attribute.clone()), o);
        Ok(standing.into_iter().map(named).collect())
    }

    /// Builds the map of the last round, unless it is in memory.
    async fn recall(&self, memory: &mut Memory) -> Result<()> {
        let Some(last) = self.last.as_ref().filter(|last| last.mirrored) else {
            memory.map = None;
            return Ok(());
        };
        if memory.map.as_ref().is_none_or(|(round, _)| *round != last.round) {
            let entries = self.store.mirrored_attributes().await?;
            let map = Map::from_pairs(entries.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
            memory.map = Some((last.round, map));
        }
        Ok(())
    }
}
