//! Rounds of this operator: begun, swept, and committed with all they found in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anchor::Hash;
use model::change::Progress;
use model::{Accounting, Authorisation, Digest, Dn, Edit, Outcome, Snapshot, Timestamp, Violation};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::approved::{self, Advance};
use crate::columns::{Columns as _, insert_many, int, json, opt_int, word};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::log::{self, OutboxLeaf};
use crate::openings::{self, CommittedAttribute};
use crate::replies::HeldReply;
use crate::respellings::{self, Respelling};
use crate::seal::{insert_sealed, seal};
use crate::stations::{self, is_complete};
use crate::{reads, violations};

/// What a round is judged by: everything in force at its opening, by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundPins {
    pub agreement: Hash,
    pub policy_set: Hash,
    pub inventory: Hash,
    pub profile: Hash,
}

/// A round at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundStart {
    /// The operator whose round it is; always the same in one database.
    pub origin: String,
    pub round: u64,
    /// Height at which its opening is final; `None` for an unopened round.
    pub opened: Option<u64>,
    pub started: Timestamp,
    pub pins: RoundPins,
    /// Number of stations in the agreed inventory.
    pub expected: u64,
}

/// What a round found.
#[derive(Debug, Clone)]
pub struct RoundCommit {
    pub round: u64,
    pub finished: Timestamp,
    /// Chain height up to which requests and baselines counted when the round was judged.
    pub height: u64,
    /// Every expected station once.
    pub stations: Vec<StationResult>,
    /// One for each collected station; none for failed and skipped ones. An unchanged one has a snapshot only where
    /// its reply was read again under another interpretation, or another word was found on its validity.
    pub snapshots: Vec<StationSnapshot>,
    /// Differences previous → current.
    pub edits: Vec<RoundEdit>,
    /// Where the last replies of stations read otherwise than before, of those whose interpretation is another one now.
    pub respellings: Vec<Respelling>,
    /// Authorised differences that become approved state.
    pub advances: Vec<Advance>,
    /// New, seen again, and resolved ones, whole, by id.
    pub violations: Vec<Violation>,
    pub requests: Vec<RequestProgress>,
    /// Records for the log, in the order in which they get their indices.
    pub leaves: Vec<OutboxLeaf>,
    /// Canonical JSON of the attestation. Becomes the round's last leaf, of kind [`log::ATTESTATION`].
    pub attestation: Option<Vec<u8>>,
    /// Openings of commitments that are new in this round; unchanged ones stand as they are.
    pub openings: Vec<CommittedAttribute>,
    /// Committed attributes that are gone: element, object, attribute.
    pub closed: Vec<(Dn, Dn, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationResult {
    pub element: Dn,
    pub outcome: Outcome,
    /// When it was read, or tried.
    pub read: Timestamp,
    pub duration_ms: u64,
}

#[derive(Debug, Clone)]
pub struct StationSnapshot {
    pub element: Dn,
    pub read: Timestamp,
    pub snapshot: Arc<Snapshot>,
    /// The newest stored snapshot where the caller holds it: then it need not be read again. Another one, which its
    /// root tells, does no harm.
    pub base: Option<Arc<Snapshot>>,
    /// The reply as it came; stored compressed.
    pub raw: Arc<Vec<u8>>,
    /// BLAKE3 of it.
    pub raw_digest: Digest,
    /// The reply of the newest stored snapshot where the caller holds it: then only what differs from it is stored. Another one,
    /// which its digest tells, does no harm.
    pub held: Option<HeldReply>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundEdit {
    pub element: Dn,
    pub edit: Edit,
    /// What the judge said of it; `None` where authorisation is not claimed.
    pub authorisation: Option<Authorisation>,
    /// The request that it rests on.
    pub request: Option<String>,
}

/// How far a request has been carried out, and which of its edits this round saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestProgress {
    pub request: String,
    pub progress: Progress,
    /// Object and attribute.
    pub observed: Vec<(Dn, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    New,
    /// It was begun before a restart and never committed: sweep again under the same number.
    Again,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    Now,
    /// The same round was committed before; nothing was changed.
    AlreadyCommitted,
}

impl Store {
    /// The number of the next new round.
    pub async fn next_round(&self) -> Result<u64> {
        let query = "SELECT coalesce(max(round), 0) + 1 AS next FROM rounds";
        self.reader().await?.row(sqlx::query(query)).await?.map_or(Ok(1), |row| row.number("next"))
    }

    /// Notes that a round begins. A crash after it leaves an open round, which [`Store::open_round`] finds.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another round is open, or this one was begun with other pins, or committed.
    pub async fn begin_round(&self, start: &RoundStart) -> Result<Begun> {
        let mut link = self.writer().await?;
        let begun = begin(&mut link, start).await?;
        link.commit().await?;
        Ok(begun)
    }

    /// The round that was begun and not committed.
    pub async fn open_round(&self) -> Result<Option<RoundStart>> {
        open(&mut self.reader().await?).await
    }

    /// Writes all that a round found, in one transaction: a crash leaves all of it, with the records and the
    /// attestation waiting in the outbox, or nothing, and then the round is still open.
    ///
    /// # Errors
    /// [`StoreError::Unbalanced`] unless every expected station is accounted for once; [`StoreError::Conflict`] if
    /// snapshots and outcomes do not fit; [`StoreError::Missing`] if the round was never begun.
    pub async fn commit_round(&self, commit: &RoundCommit) -> Result<Committed> {
        let mut link = self.writer().await?;
        if write(&mut link, commit, self.config().keep_raw).await? == Committed::AlreadyCommitted {
            return Ok(Committed::AlreadyCommitted);
        }
        log::enqueue(&mut link, commit).await?;
        link.commit().await?;
        Ok(Committed::Now)
    }

    /// Up to which chain height requests and baselines counted when a round was judged; `None` for a round that is
    /// not committed.
    pub async fn judged_height(&self, round: u64) -> Result<Option<u64>> {
        let query = sqlx::query("SELECT height FROM round_heights WHERE round = ?").bind(int(round)?);
        self.reader().await?.row(query).await?.map(|row| row.number("height")).transpose()
    }
}

/// The row of a round under way.
pub(crate) async fn begin(link: &mut Link, start: &RoundStart) -> Result<Begun> {
    if let Some(open) = open(link).await? {
        let same = RoundStart { started: open.started, opened: open.opened, ..start.clone() } == open;
        let compatible = open.opened == start.opened || open.opened.is_none();
        if same && compatible {
            return Ok(Begun::Again);
        }
        let why = format!("round {} is open and is not this one", open.round);
        return Err(StoreError::conflict("round", start.round, why));
    }
    let insert = "INSERT INTO rounds (round, origin, opened_height, started_at, agreement, policy_set, inventory, \
                  profile, expected) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
                  WHERE NOT EXISTS (SELECT 1 FROM rounds WHERE round >= ?1 OR origin <> ?2)";
    let pins = &start.pins;
    let insert = sqlx::query(insert)
        .bind(int(start.round)?)
        .bind(start.origin.as_str())
        .bind(opt_int(start.opened)?)
        .bind(start.started.0)
        .bind(pins.agreement.0.to_vec())
        .bind(pins.policy_set.0.to_vec())
        .bind(pins.inventory.0.to_vec())
        .bind(pins.profile.0.to_vec())
        .bind(int(start.expected)?);
    if link.execute(insert).await? == 0 {
        let why = "a later round, or one of another origin, stands already";
        return Err(StoreError::conflict("round", start.round, why));
    }
    seal(link, &["rounds"]).await?;
    Ok(Begun::New)
}

/// All that a round found, but for what goes into the log. Nothing if it was committed before.
pub(crate) async fn write(link: &mut Link, commit: &RoundCommit, keep_raw: u32) -> Result<Committed> {
    let query = sqlx::query("SELECT * FROM rounds WHERE round = ?").bind(int(commit.round)?);
    let row = link.row(query).await?.ok_or_else(|| StoreError::missing("round", commit.round))?;
    if row.opt_time("finished_at")?.is_some() {
        return Ok(Committed::AlreadyCommitted);
    }
    let start = start_row(&row)?;
    let accounting = check_balance(&start, commit)?;
    let stations = stations::write(link, commit, opt_int(start.opened)?).await?;
    write_snapshots(link, commit, &stations, keep_raw).await?;
    write_edits(link, commit, &stations).await?;
    // What was approved takes its new spelling before it moves.
    respellings::write(link, commit, &stations).await?;
    approved::advance(link, commit).await?;
    let changed = violations::upsert(link, commit, &stations).await?;
    write_progress(link, commit.round, &commit.requests).await?;
    openings::write(link, commit, &stations).await?;
    finish(link, commit, &accounting, changed).await?;
    let height = sqlx::query("INSERT INTO round_heights (round, height) VALUES (?, ?)");
    link.execute(height.bind(int(commit.round)?).bind(int(commit.height)?)).await?;
    seal(link, &["rounds", "respellings", "violation_actions"]).await?;
    Ok(Committed::Now)
}

async fn open(link: &mut Link) -> Result<Option<RoundStart>> {
    let query = sqlx::query("SELECT * FROM rounds WHERE finished_at IS NULL");
    link.row(query).await?.as_ref().map(start_row).transpose()
}

pub(crate) fn start_row(row: &SqliteRow) -> Result<RoundStart> {
    Ok(RoundStart {
        origin: row.text("origin")?,
        round: row.number("round")?,
        opened: row.opt_number("opened_height")?,
        started: row.time("started_at")?,
        pins: RoundPins {
            agreement: row.hash("agreement")?,
            policy_set: row.hash("policy_set")?,
            inventory: row.hash("inventory")?,
            profile: row.hash("profile")?,
        },
        expected: row.number("expected")?,
    })
}

fn check_balance(start: &RoundStart, commit: &RoundCommit) -> Result<Accounting> {
    let conflict = |key: &Dn, why: &str| Err(StoreError::conflict("station", key, why));
    let mut complete = BTreeMap::new();
    for result in &commit.stations {
        if complete.insert(&result.element, &result.outcome).is_some() {
            return conflict(&result.element, "it has two outcomes in one round");
        }
    }
    let outcomes = commit.stations.iter().map(|s| &s.outcome);
    let accounting = Accounting::count(start.expected, outcomes);
    if !accounting.balances() {
        return Err(StoreError::Unbalanced { round: start.round, accounting });
    }
    let mut read = BTreeSet::new();
    for snapshot in &commit.snapshots {
        let fits = complete.get(&snapshot.element).is_some_and(|outcome| is_complete(outcome));
        if !fits || !read.insert(&snapshot.element) {
            return conflict(&snapshot.element, "it has a snapshot without a complete read, or two");
        }
    }
    for (element, outcome) in complete {
        if *outcome == Outcome::Collected && !read.contains(element) {
            return conflict(element, "it was collected and has no snapshot");
        }
    }
    Ok(accounting)
}

/// The station's number; elements of a commit are those of its results.
pub(crate) fn station_of(stations: &BTreeMap<Dn, i64>, element: &Dn) -> Result<i64> {
    let why = "the round has no outcome for it";
    stations.get(element).copied().ok_or_else(|| StoreError::conflict("station", element, why))
}

async fn write_snapshots(
    link: &mut Link,
    commit: &RoundCommit,
    stations: &BTreeMap<Dn, i64>,
    keep_raw: u32,
) -> Result<()> {
    let mut ordered = Vec::with_capacity(commit.snapshots.len());
    for read in &commit.snapshots {
        ordered.push((station_of(stations, &read.element)?, read));
    }
    ordered.sort_unstable_by_key(|(station, _)| *station);
    reads::write(link, int(commit.round)?, &ordered, keep_raw).await
}

async fn write_edits(link: &mut Link, commit: &RoundCommit, stations: &BTreeMap<Dn, i64>) -> Result<()> {
    let round = int(commit.round)?;
    let last = link.row(sqlx::query("SELECT coalesce(max(id), 0) AS last FROM edits")).await?;
    let first = last.map_or(Ok(0), |row| row.id("last"))? + 1;
    let mut rows = Vec::with_capacity(commit.edits.len());
    for (row, id) in commit.edits.iter().zip(first..) {
        rows.push([
            id.into(),
            round.into(),
            station_of(stations, &row.element)?.into(),
            row.edit.object.as_str().into(),
            row.edit.attribute.as_str().into(),
            json(&row.edit)?.into(),
            row.authorisation.map(Authorisation::as_str).into(),
            row.request.as_deref().into(),
        ]);
    }
    let columns = ["id", "round", "station", "object", "attribute", "edit", "authorisation", "request"];
    insert_sealed(link, "edits", columns, rows).await
}

/// `round` is one of the operator in whose district the edits were seen.
pub(crate) async fn write_progress(link: &mut Link, round: u64, requests: &[RequestProgress]) -> Result<()> {
    let round = int(round)?;
    for request in requests {
        let upsert = "INSERT INTO request_progress (request, progress, round) VALUES (?, ?, ?) \
                      ON CONFLICT (request) DO UPDATE SET progress = excluded.progress, round = excluded.round";
        let upsert =
            sqlx::query(upsert).bind(request.request.as_str()).bind(word(&request.progress)).bind(round);
        link.execute(upsert).await?;
        let head = "INSERT INTO request_edits (request, object, attribute, round) ";
        let tail = " ON CONFLICT DO NOTHING";
        insert_many(link, head, tail, &request.observed, |tuple, (object, attribute)| {
            tuple.push_bind(request.request.clone()).push_bind(object.to_string());
            tuple.push_bind(attribute.clone()).push_bind(round);
        })
        .await?;
    }
    Ok(())
}

async fn finish(
    link: &mut Link,
    commit: &RoundCommit,
    accounting: &Accounting,
    violations: violations::Changed,
) -> Result<()> {
    let count = |which: fn(&Authorisation) -> bool| {
        commit.edits.iter().filter(|e| e.authorisation.as_ref().is_some_and(which)).count() as u64
    };
    let authorised = count(|a| a.is_authorised());
    let unauthorised = count(|a| !a.is_authorised() && *a != Authorisation::Unbaselined);
    let update = "UPDATE rounds SET finished_at = ?, collected = ?, unchanged = ?, failed = ?, skipped = ?, \
                  observed = ?, authorised = ?, unauthorised = ?, violations_opened = ?, violations_resolved = ?, \
                  attestation = ?, seal = zeroblob(32) WHERE round = ?";
    let update = sqlx::query(update)
        .bind(commit.finished.0)
        .bind(int(accounting.collected)?)
        .bind(int(accounting.unchanged)?)
        .bind(int(accounting.failed)?)
        .bind(int(accounting.skipped)?)
        .bind(int(commit.edits.len() as u64)?)
        .bind(int(authorised)?)
        .bind(int(unauthorised)?)
        .bind(int(violations.opened)?)
        .bind(int(violations.resolved)?)
        .bind(commit.attestation.as_deref())
        .bind(int(commit.round)?);
    link.execute(update).await.map(drop)
}
