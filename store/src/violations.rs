//! Violations: written by rounds, worked on by people, asked for by the judge.

use std::collections::{BTreeMap, BTreeSet};

use model::verdict::AuthorisationVerdict;
use model::violation::Sighting;
use model::{Dn, Timestamp, Value, Violation, ViolationState, Waiver};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use crate::Store;
use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::names;
use crate::rounds::RoundCommit;
use crate::seal::seal;

/// A violation with what people added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolationRow {
    pub violation: Violation,
    pub assignee: Option<String>,
}

/// What somebody does to a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolationAction {
    pub by: String,
    pub at: Timestamp,
    /// In the person's words; may be empty where the verb asks for none.
    pub reason: String,
    pub verb: Verb,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    Acknowledge,
    Assign {
        to: String,
    },
    /// Stores the waiver too; it must cover the violation.
    Waive {
        waiver: Waiver,
    },
    /// If its cause is still there, the next round opens a new violation.
    Resolve,
    Comment,
    /// Written by a round, never by people: seen restored, or its waiver ended.
    Round {
        round: u64,
    },
}

impl Verb {
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Acknowledge => "acknowledge",
            Verb::Assign { .. } => "assign",
            Verb::Waive { .. } => "waive",
            Verb::Resolve => "resolve",
            Verb::Comment => "comment",
            Verb::Round { .. } => "round",
        }
    }
}

/// What was done, and what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRow {
    pub action: ViolationAction,
    pub before: ViolationState,
    pub after: ViolationState,
}

/// A difference that was judged before and still stands: its authorisation is fixed at first sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: String,
    /// The value when it was judged; another one is a new difference.
    pub new: Option<Value>,
    pub verdict: AuthorisationVerdict,
    pub first_seen: Sighting,
}

/// What a round changed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changed {
    pub opened: u64,
    pub resolved: u64,
}

impl Store {
    pub async fn violation(&self, id: &str) -> Result<Option<ViolationRow>> {
        find(&mut self.reader().await?, id).await
    }

    /// Does what a person asks, and notes who, when and why. Returns the violation as it is then.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without such a violation; [`StoreError::Conflict`] if the verb does not fit its state.
    pub async fn act_on_violation(&self, id: &str, action: &ViolationAction) -> Result<ViolationRow> {
        let mut link = self.writer().await?;
        let mut row = find(&mut link, id).await?.ok_or_else(|| StoreError::missing("violation", id))?;
        let before = row.violation.state;
        perform(&mut row, action)?;
        if let Verb::Waive { waiver } = &action.verb {
            write_waiver(&mut link, waiver, action.at).await?;
        }
        update(&mut link, std::slice::from_ref(&row)).await?;
        note(&mut link, id, action, before, row.violation.state).await?;
        seal(&mut link, &["violations", "violation_actions", "waivers"]).await?;
        link.commit().await?;
        Ok(row)
    }

    /// All that was done to a violation, oldest first.
    pub async fn actions_on(&self, id: &str) -> Result<Vec<ActionRow>> {
        let query = sqlx::query("SELECT * FROM violation_actions WHERE violation = ? ORDER BY id").bind(id);
        self.reader().await?.rows(query).await?.iter().map(action_row).collect()
    }

    /// All violations of a station that are not resolved, of whatever rule.
    pub async fn open_violations(&self, element: &Dn) -> Result<Vec<Violation>> {
        let query = "SELECT v.violation, v.assignee FROM violations v JOIN stations t ON t.id = v.station \
                     WHERE t.element = ? AND v.state <> 'resolved' ORDER BY v.object, v.attribute, v.rule, v.id";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(element.as_str())).await?;
        rows.iter().map(|row| row.json("violation")).collect()
    }

    /// Keeps an approved exception; the same id again replaces it.
    pub async fn put_waiver(&self, waiver: &Waiver, now: Timestamp) -> Result<()> {
        let mut link = self.writer().await?;
        write_waiver(&mut link, waiver, now).await?;
        seal(&mut link, &["waivers"]).await?;
        link.commit().await
    }

    /// All waivers, expired ones too: [`Waiver::covers`] decides.
    pub async fn waivers(&self) -> Result<Vec<Waiver>> {
        waivers(&mut self.reader().await?).await
    }
}

fn perform(row: &mut ViolationRow, action: &ViolationAction) -> Result<()> {
    let violation = &mut row.violation;
    let refuse = |why: &str| Err(StoreError::conflict("violation", &violation.id, why));
    match &action.verb {
        Verb::Comment => {}
        Verb::Round { .. } => return refuse("only a round speaks as a round"),
        _ if violation.state == ViolationState::Resolved => return refuse("it is resolved"),
        Verb::Acknowledge => violation.state = ViolationState::Acknowledged,
        Verb::Assign { to } => row.assignee = Some(to.clone()),
        Verb::Waive { waiver } if waiver.covers(violation, action.at) => {
            violation.state = ViolationState::Waived;
        }
        Verb::Waive { .. } => return refuse("the waiver does not cover it"),
        Verb::Resolve => {
            violation.state = ViolationState::Resolved;
            let seen = &violation.last_seen;
            violation.resolved =
                Some(Sighting { round: seen.round, opened: seen.opened, after: None, read: action.at });
        }
    }
    Ok(())
}

pub(crate) fn violation_row(row: &SqliteRow) -> Result<ViolationRow> {
    Ok(ViolationRow { violation: row.json("violation")?, assignee: row.opt_text("assignee")? })
}

fn action_row(row: &SqliteRow) -> Result<ActionRow> {
    let action = ViolationAction {
        by: row.text("actor")?,
        at: row.time("acted_at")?,
        reason: row.text("reason")?,
        verb: row.json("detail")?,
    };
    Ok(ActionRow { action, before: row.word("state_before")?, after: row.word("state_after")? })
}

async fn find(link: &mut Link, id: &str) -> Result<Option<ViolationRow>> {
    let query = sqlx::query("SELECT violation, assignee FROM violations WHERE id = ?").bind(id);
    link.row(query).await?.as_ref().map(violation_row).transpose()
}

async fn waivers(link: &mut Link) -> Result<Vec<Waiver>> {
    let query = sqlx::query("SELECT waiver FROM waivers ORDER BY id");
    link.rows(query).await?.iter().map(|row| row.json("waiver")).collect()
}

async fn write_waiver(link: &mut Link, waiver: &Waiver, now: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO waivers (id, rule, expires_at, stored_at, waiver) VALUES (?, ?, ?, ?, ?) \
                  ON CONFLICT (id) DO UPDATE SET rule = excluded.rule, expires_at = excluded.expires_at, \
                  stored_at = excluded.stored_at, waiver = excluded.waiver, seal = zeroblob(32)";
    let upsert = sqlx::query(upsert).bind(waiver.id.as_str()).bind(waiver.rule.as_str());
    link.execute(upsert.bind(waiver.expires.0).bind(now.0).bind(json(waiver)?)).await.map(drop)
}

/// New violations, of stations with these numbers.
async fn insert(link: &mut Link, fresh: &[&Violation], stations: &BTreeMap<Dn, i64>) -> Result<()> {
    let mut rows = Vec::with_capacity(fresh.len());
    for violation in fresh {
        let station = match stations.get(&violation.element) {
            Some(station) => *station,
            None => names::station(link, &violation.element).await?,
        };
        rows.push((*violation, station, int(violation.first_seen.round)?, json(violation)?));
    }
    let head = "INSERT INTO violations (id, station, element, object, attribute, rule, severity, authorisation, \
                operator, state, first_round, first_seen_at, violation) ";
    insert_many(link, head, "", &rows, |tuple, (violation, station, first_round, whole)| {
        tuple.push_bind(violation.id.clone()).push_bind(*station).push_bind(violation.element.to_string());
        tuple.push_bind(violation.object.to_string()).push_bind(violation.attribute.clone());
        tuple.push_bind(violation.rule.clone()).push_bind(violation.severity.as_str());
        tuple.push_bind(violation.authorisation());
        tuple.push_bind(violation.responsibility.accountable.clone()).push_bind(violation.state.as_str());
        tuple.push_bind(*first_round).push_bind(violation.first_seen.read.0).push_bind(whole.clone());
    })
    .await
    .map(drop)
}

/// Writes a violation that no committed round has; one that is there stays as it is.
pub(crate) async fn add(link: &mut Link, violation: &Violation) -> Result<()> {
    match find(link, &violation.id).await? {
        Some(_) => Ok(()),
        None => insert(link, &[violation], &BTreeMap::new()).await,
    }
}

/// Writes what changed of violations that are stored; each stands there once.
async fn update(link: &mut Link, rows: &[ViolationRow]) -> Result<()> {
    for rows in rows.chunks(WRITTEN) {
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            values.push((row, int(row.violation.first_seen.round)?, json(&row.violation)?));
        }
        let mut update = QueryBuilder::<Sqlite>::new(
            "UPDATE violations SET severity = now.column2, authorisation = now.column3, operator = now.column4, \
             state = now.column5, assignee = now.column6, first_round = now.column7, first_seen_at = now.column8, \
             violation = now.column9, seal = zeroblob(32) FROM (",
        );
        update.push_values(&values, |mut tuple, (row, first_round, whole)| {
            let violation = &row.violation;
            tuple.push_bind(violation.id.clone()).push_bind(violation.severity.as_str());
            tuple.push_bind(violation.authorisation());
            tuple.push_bind(violation.responsibility.accountable.clone()).push_bind(violation.state.as_str());
            tuple.push_bind(row.assignee.clone()).push_bind(*first_round);
            tuple.push_bind(violation.first_seen.read.0).push_bind(whole.clone());
        });
        update.push(") AS now WHERE violations.id = now.column1");
        link.execute(update.build().persistent(rows.len() == WRITTEN)).await?;
    }
    Ok(())
}

/// Violations that are written by one statement.
const WRITTEN: usize = 64;

async fn note(
    link: &mut Link,
    id: &str,
    action: &ViolationAction,
    before: ViolationState,
    after: ViolationState,
) -> Result<()> {
    let insert = "INSERT INTO violation_actions (violation, verb, actor, acted_at, reason, detail, state_before, \
                  state_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert)
        .bind(id)
        .bind(action.verb.name())
        .bind(action.by.as_str())
        .bind(action.at.0)
        .bind(action.reason.as_str())
        .bind(json(&action.verb)?)
        .bind(before.as_str())
        .bind(after.as_str());
    link.execute(insert).await.map(drop)
}

/// Writes a round's violations. What people did while the round was under way stays: see [`merged_state`].
pub(crate) async fn upsert(
    link: &mut Link,
    commit: &RoundCommit,
    stations: &BTreeMap<Dn, i64>,
) -> Result<Changed> {
    let waivers = waivers(link).await?;
    let mut changed = Changed::default();
    for violations in commit.violations.chunks(TOGETHER) {
        let mut known = find_all(link, violations).await?;
        let (mut fresh, mut seen) = (BTreeMap::<&str, &Violation>::new(), BTreeSet::new());
        let mut again = Vec::new();
        for violation in violations {
            if !seen.insert(violation.id.as_str()) {
                // Told twice: the second time it is stored.
                insert(link, fresh.remove(violation.id.as_str()).as_slice(), stations).await?;
                update(link, &std::mem::take(&mut again)).await?;
                known.extend(find(link, &violation.id).await?.map(|row| (violation.id.clone(), row)));
            }
            let Some(stored) = known.remove(&violation.id) else {
                fresh.insert(&violation.id, violation);
                changed.opened += u64::from(violation.state != ViolationState::Resolved);
                continue;
            };
            again.extend(seen_again(link, commit, violation, stored, &waivers, &mut changed).await?);
        }
        update(link, &again).await?;
        insert(link, &fresh.into_values().collect::<Vec<_>>(), stations).await?;
    }
    Ok(changed)
}

/// Violations that are looked up, and inserted, by one statement.
const TOGETHER: usize = 256;

/// Those of them that are stored, by id.
async fn find_all(link: &mut Link, violations: &[Violation]) -> Result<BTreeMap<String, ViolationRow>> {
    let ids: Vec<&str> = violations.iter().map(|violation| violation.id.as_str()).collect();
    let query = "SELECT json_group_array(json_array(json(violation), assignee)) AS packed FROM violations \
                 WHERE id IN (SELECT value FROM json_each(?))";
    let rows: Vec<(Violation, Option<String>)> = link.packed(sqlx::query(query).bind(json(&ids)?)).await?;
    let row =
        |(violation, assignee): (Violation, _)| (violation.id.clone(), ViolationRow { violation, assignee });
    Ok(rows.into_iter().map(row).collect())
}

/// What becomes of a violation that is stored already; nothing if it was over.
async fn seen_again(
    link: &mut Link,
    commit: &RoundCommit,
    violation: &Violation,
    stored: ViolationRow,
    waivers: &[Waiver],
    changed: &mut Changed,
) -> Result<Option<ViolationRow>> {
    let before = stored.violation.state;
    let after = merged_state(before, violation, waivers, commit.finished);
    if before == ViolationState::Resolved {
        return Ok(None);
    }
    let row = ViolationRow {
        violation: Violation { state: after, ..violation.clone() },
        assignee: stored.assignee,
    };
    changed.resolved += u64::from(after == ViolationState::Resolved);
    if before != after {
        let verb = Verb::Round { round: commit.round };
        let (by, at, reason) = ("ranproof".to_owned(), commit.finished, String::new());
        note(link, &violation.id, &ViolationAction { by, at, reason, verb }, before, after).await?;
    }
    Ok(Some(row))
}

/// The judge read the state at the beginning of its work; people may have acted since. A round resolves anything,
/// ends a waiver that no longer covers, and otherwise leaves what people set. What a person resolved stays
/// resolved: seen again, it is a new violation.
fn merged_state(
    before: ViolationState,
    violation: &Violation,
    waivers: &[Waiver],
    now: Timestamp,
) -> ViolationState {
    match (before, violation.state) {
        (ViolationState::Resolved, _) => ViolationState::Resolved,
        (ViolationState::Acknowledged, ViolationState::Open) => ViolationState::Acknowledged,
        (ViolationState::Waived, ViolationState::Open | ViolationState::Acknowledged)
            if waivers.iter().any(|w| w.covers(violation, now)) =>
        {
            ViolationState::Waived
        }
        (_, judged) => judged,
    }
}
