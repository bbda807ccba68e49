//! Violations: written by rounds, worked on by people, asked for by the judge.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::verdict::AuthorisationVerdict;
use model::violation::Sighting;
use model::{Dn, Timestamp, Value, Violation, ViolationState, Waiver};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json, parse};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::names;
use crate::rounds::RoundCommit;
use crate::seal::{seal, upsert_sealed};

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
        let station = names::station(&mut link, &row.violation.element).await?;
        let written =
            Written { violation: Cow::Borrowed(&row.violation), assignee: row.assignee.clone(), station };
        put(&mut link, &[written]).await?;
        note(&mut link, id, action, before, row.violation.state).await?;
        seal(&mut link, &["violation_actions", "waivers"]).await?;
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

/// Writes violations whole, new ones and over those of the same id.
async fn put(link: &mut Link, rows: &[Written<'_>]) -> Result<()> {
    let columns = [
        "id",
        "station",
        "element",
        "object",
        "attribute",
        "rule",
        "severity",
        "authorisation",
        "operator",
        "state",
        "first_round",
        "first_seen_at",
        "assignee",
        "violation",
    ];
    let mut cells = Vec::with_capacity(rows.len());
    for Written { violation, assignee, station } in rows {
        cells.push([
            violation.id.as_str().into(),
            (*station).into(),
            violation.element.as_str().into(),
            violation.object.as_str().into(),
            violation.attribute.as_str().into(),
            violation.rule.as_str().into(),
            violation.severity.as_str().into(),
            violation.authorisation().into(),
            violation.responsibility.accountable.as_str().into(),
            violation.state.as_str().into(),
            int(violation.first_seen.round)?.into(),
            violation.first_seen.read.0.into(),
            assignee.as_deref().into(),
            json(violation.as_ref())?.into(),
        ]);
    }
    upsert_sealed(link, "violations", "id", columns, cells).await
}

/// A violation to be written.
struct Written<'a> {
    violation: Cow<'a, Violation>,
    assignee: Option<String>,
    /// The station's number.
    station: i64,
}

/// Writes a violation that no committed round has; one that is there stays as it is.
pub(crate) async fn add(link: &mut Link, violation: &Violation) -> Result<()> {
    if find(link, &violation.id).await?.is_some() {
        return Ok(());
    }
    let station = names::station(link, &violation.element).await?;
    put(link, &[Written { violation: Cow::Borrowed(violation), assignee: None, station }]).await
}

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
        let mut found = Found { commit, waivers: &waivers, rows: BTreeMap::new(), moves: vec![] };
        for violation in violations {
            let station = match stations.get(&violation.element) {
                Some(station) => *station,
                None => names::station(link, &violation.element).await?,
            };
            found.take(violation, station, known.remove(&violation.id), &mut changed);
        }
        put(link, &found.rows.into_values().collect::<Vec<_>>()).await?;
        for (id, before, after) in found.moves {
            let (by, at, reason) = ("ranproof".to_owned(), commit.finished, String::new());
            let action = ViolationAction { by, at, reason, verb: Verb::Round { round: commit.round } };
            note(link, id, &action, before, after).await?;
        }
    }
    Ok(changed)
}

/// What becomes of some of a round's violations, by id.
struct Found<'a> {
    commit: &'a RoundCommit,
    waivers: &'a [Waiver],
    rows: BTreeMap<&'a str, Written<'a>>,
    /// Id, state before and after.
    moves: Vec<(&'a str, ViolationState, ViolationState)>,
}

impl<'a> Found<'a> {
    fn take(
        &mut self,
        violation: &'a Violation,
        station: i64,
        stored: Option<ViolationRow>,
        changed: &mut Changed,
    ) {
        // Told twice: the second time it is stored.
        let told = self.rows.get(violation.id.as_str()).map(|w| (w.violation.state, w.assignee.clone()));
        let stored = told.or_else(|| stored.map(|row| (row.violation.state, row.assignee)));
        let Some((before, assignee)) = stored else {
            changed.opened += u64::from(violation.state != ViolationState::Resolved);
            let written = Written { violation: Cow::Borrowed(violation), assignee: None, station };
            self.rows.insert(&violation.id, written);
            return;
        };
        if before == ViolationState::Resolved {
            return;
        }
        let after = merged_state(before, violation, self.waivers, self.commit.finished);
        changed.resolved += u64::from(after == ViolationState::Resolved);
        if before != after {
            self.moves.push((&violation.id, before, after));
        }
        let violation_now = Cow::Owned(Violation { state: after, ..violation.clone() });
        self.rows.insert(&violation.id, Written { violation: violation_now, assignee, station });
    }
}

/// Violations that are looked up by one statement.
const TOGETHER: usize = 256;

/// Those of them that are stored, by id.
async fn find_all(link: &mut Link, violations: &[Violation]) -> Result<BTreeMap<String, ViolationRow>> {
    let ids: Vec<&str> = violations.iter().map(|violation| violation.id.as_str()).collect();
    let query = "SELECT json_group_array(json_array(id, violation, assignee)) AS packed FROM violations \
                 WHERE id IN (SELECT value FROM json_each(?))";
    let rows: Vec<(String, String, Option<String>)> =
        link.packed(sqlx::query(query).bind(json(&ids)?)).await?;
    let row = |(id, violation, assignee): (_, String, _)| {
        Ok((id, ViolationRow { violation: parse("violation", &violation)?, assignee }))
    };
    rows.into_iter().map(row).collect()
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
        (ViolationState::Waived, judged) if judged != ViolationState::Resolved => {
            // A judge hands back the state that it read, so `judged` may be waived by what covers no longer.
            let covered = waivers.iter().any(|w| w.covers(violation, now));
            match judged {
                _ if covered => ViolationState::Waived,
                ViolationState::Waived => ViolationState::Open,
                judged => judged,
            }
        }
        (_, judged) => judged,
    }
}
