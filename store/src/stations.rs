//! Stations: what became of each in a round, and what is known of it now.

use std::collections::BTreeMap;

use model::{Digest, Dn, Interpretation, Outcome, Timestamp};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, insert_many, int};
use crate::database::Link;
use crate::error::Result;
use crate::rounds::{RoundCommit, StationResult};

/// What is known of a station now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationRow {
    pub element: Dn,
    /// The last round that expected it.
    pub last_round: Option<u64>,
    /// Name of its outcome there.
    pub last_outcome: Option<String>,
    /// Rounds since then in which it failed or was skipped; 0 after a complete read.
    pub failed_in_a_row: u64,
    /// The last complete read, changed or not.
    pub last_read: Option<LastRead>,
    /// Under which interpretation the newest snapshot stands; `None` before the first.
    pub interpretation: Option<Interpretation>,
    /// BLAKE3 of the raw reply of the newest snapshot: an equal one need not be parsed.
    pub raw: Option<Digest>,
}

/// A complete read: the change interval of the next one begins at `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRead {
    pub round: u64,
    /// Height of that round's opening, `None` for an unopened round.
    pub opened: Option<u64>,
    pub read: Timestamp,
}

const STATIONS: &str = "SELECT t.*, s.interpretation, s.raw FROM stations t LEFT JOIN snapshots s \
    ON s.station = t.id AND s.round = (SELECT max(round) FROM snapshots WHERE station = t.id) \
    WHERE t.element >= ?1 AND t.element <= ?2 ORDER BY t.element";

/// Sorts after every name.
const LAST: &str = "\u{10ffff}";

impl Store {
    pub async fn station(&self, element: &Dn) -> Result<Option<StationRow>> {
        let query = sqlx::query(STATIONS).bind(element.as_str()).bind(element.as_str());
        self.reader().await?.row(query).await?.as_ref().map(station_row).transpose()
    }

    /// All stations ever seen, by element.
    pub async fn stations(&self) -> Result<Vec<StationRow>> {
        let query = sqlx::query(STATIONS).bind("").bind(LAST);
        self.reader().await?.rows(query).await?.iter().map(station_row).collect()
    }
}

fn station_row(row: &SqliteRow) -> Result<StationRow> {
    let last_read = match (row.opt_number("read_round")?, row.opt_time("read_at")?) {
        (Some(round), Some(read)) => Some(LastRead { round, opened: row.opt_number("read_opened")?, read }),
        _ => None,
    };
    Ok(StationRow {
        element: row.dn("element")?,
        last_round: row.opt_number("last_round")?,
        last_outcome: row.opt_text("last_outcome")?,
        failed_in_a_row: row.number("failed_in_a_row")?,
        last_read,
        interpretation: row.opt_digest("interpretation")?.map(Interpretation),
        raw: row.opt_digest("raw")?,
    })
}

/// Writes the results of a round and returns the numbers of its stations.
pub(crate) async fn write(
    link: &mut Link,
    commit: &RoundCommit,
    opened: Option<i64>,
) -> Result<BTreeMap<Dn, i64>> {
    let round = int(commit.round)?;
    update_stations(link, commit, round, opened).await?;
    let query = "SELECT json_group_array(json_array(element, id)) AS packed FROM stations WHERE last_round = ? \
                 GROUP BY id / 1000";
    let stations: Vec<(Dn, i64)> = link.packed(sqlx::query(query).bind(round)).await?;
    let stations: BTreeMap<Dn, i64> = stations.into_iter().collect();
    let mut rows = Vec::with_capacity(commit.stations.len());
    for result in &commit.stations {
        if let Some(station) = stations.get(&result.element) {
            rows.push((*station, int(result.duration_ms)?, result));
        }
    }
    rows.sort_unstable_by_key(|(station, ..)| *station);
    let head = "INSERT INTO results (round, station, outcome, reason, detail, read_at, duration_ms) ";
    insert_many(link, head, "", &rows, |tuple, (station, duration, result)| {
        let detail = match &result.outcome {
            Outcome::Failed { detail, .. } => Some(detail.clone()),
            _ => None,
        };
        tuple.push_bind(round).push_bind(*station).push_bind(result.outcome.name());
        tuple.push_bind(result.outcome.reason().map(str::to_owned)).push_bind(detail);
        tuple.push_bind(result.read.0).push_bind(*duration);
    })
    .await?;
    Ok(stations)
}

async fn update_stations(
    link: &mut Link,
    commit: &RoundCommit,
    round: i64,
    opened: Option<i64>,
) -> Result<()> {
    let head = "INSERT INTO stations (element, last_round, last_outcome, failed_in_a_row, read_round, read_opened, \
                read_at) ";
    let tail = " ON CONFLICT (element) DO UPDATE SET last_round = excluded.last_round, \
                last_outcome = excluded.last_outcome, \
                failed_in_a_row = iif(excluded.failed_in_a_row = 0, 0, failed_in_a_row + 1), \
                read_opened = iif(excluded.read_round IS NULL, read_opened, excluded.read_opened), \
                read_at = coalesce(excluded.read_at, read_at), \
                read_round = coalesce(excluded.read_round, read_round)";
    insert_many(link, head, tail, &commit.stations, |tuple, result: &StationResult| {
        let complete = is_complete(&result.outcome);
        tuple.push_bind(result.element.to_string()).push_bind(round).push_bind(result.outcome.name());
        tuple.push_bind(i64::from(!complete)).push_bind(complete.then_some(round));
        tuple.push_bind(opened.filter(|_| complete)).push_bind(complete.then_some(result.read.0));
    })
    .await
    .map(drop)
}

/// Whether the station was read completely.
pub(crate) fn is_complete(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Collected | Outcome::Unchanged)
}
