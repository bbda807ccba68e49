//! Figures for pages and metrics: rounds with their accounting, changes, coverage.

use std::collections::BTreeMap;

use model::{Accounting, Authorisation, Dn, Edit, Finding, Outcome, Timestamp};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json};
use crate::error::Result;
use crate::log::accounting_row;
use crate::rounds::{RoundEdit, RoundStart, StationResult, start_row};

/// A round of this operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundRow {
    pub start: RoundStart,
    /// `None`: under way, and the figures are 0.
    pub finished: Option<Timestamp>,
    pub accounting: Accounting,
    pub changes: ChangeCounts,
    pub violations_opened: u64,
    pub violations_resolved: u64,
    /// Canonical JSON of the attestation.
    pub attestation: Option<Vec<u8>>,
    /// Index of the attestation's leaf, once anchored.
    pub leaf_index: Option<u64>,
    /// Height and index of the attestation's transaction, once final.
    pub attested: Option<(u64, u32)>,
}

/// Differences previous → current.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    pub observed: u64,
    pub authorised: u64,
    /// Judged and not authorised; where authorisation is not claimed, a difference is only observed.
    pub unauthorised: u64,
}

/// A station that a round did not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStation {
    pub element: Dn,
    pub outcome: Outcome,
}

/// A difference with the round that saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditRow {
    pub round: u64,
    /// When the round was finished.
    pub seen: Timestamp,
    pub edit: RoundEdit,
}

/// How often a station was read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub element: Dn,
    /// Rounds that expected it.
    pub expected: u64,
    /// Rounds that read it completely.
    pub read: u64,
    /// Reasons of the other rounds, with their number.
    pub reasons: BTreeMap<String, u64>,
}

impl Store {
    /// Rounds below number `before`, newest first.
    pub async fn rounds(&self, before: Option<u64>, limit: u32) -> Result<Vec<RoundRow>> {
        let before = before.map_or(Ok(i64::MAX), int)?;
        let query = "SELECT * FROM rounds WHERE round < ? ORDER BY round DESC LIMIT ?";
        let query = sqlx::query(query).bind(before).bind(i64::from(limit));
        self.reader().await?.rows(query).await?.iter().map(round_row).collect()
    }

    pub async fn round(&self, round: u64) -> Result<Option<RoundRow>> {
        let query = sqlx::query("SELECT * FROM rounds WHERE round = ?").bind(int(round)?);
        self.reader().await?.row(query).await?.as_ref().map(round_row).transpose()
    }

    /// The newest round that was committed.
    pub async fn last_round(&self) -> Result<Option<RoundRow>> {
        let query = "SELECT * FROM rounds WHERE finished_at IS NOT NULL ORDER BY round DESC LIMIT 1";
        self.reader().await?.row(sqlx::query(query)).await?.as_ref().map(round_row).transpose()
    }

    /// What became of each station in a round, by element.
    pub async fn station_results(&self, round: u64) -> Result<Vec<StationResult>> {
        let query = "SELECT t.element, r.* FROM results r JOIN stations t ON t.id = r.station \
                     WHERE r.round = ? ORDER BY t.element";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        rows.iter().map(result_row).collect()
    }

    /// Stations that a round did not read, with the reasons, by element.
    pub async fn failures(&self, round: u64) -> Result<Vec<FailedStation>> {
        let query = "SELECT t.element, r.* FROM results r JOIN stations t ON t.id = r.station \
                     WHERE r.round = ? AND r.outcome IN ('failed', 'skipped') ORDER BY t.element";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        let failed = |row| result_row(row).map(|r| FailedStation { element: r.element, outcome: r.outcome });
        rows.iter().map(failed).collect()
    }

    /// What readers noticed of the configurations that a round read, by element: those read anew and those that equal
    /// an earlier read. Of at most `limit` stations.
    pub async fn findings(&self, round: u64, limit: u32) -> Result<Vec<(Dn, Vec<Finding>)>> {
        let query = "SELECT t.element, s.findings FROM results r JOIN stations t ON t.id = r.station \
                     JOIN snapshots s ON s.station = r.station AND s.round = \
                     (SELECT max(b.round) FROM snapshots b WHERE b.station = r.station AND b.round <= r.round) \
                     WHERE r.round = ? AND r.outcome IN ('collected', 'unchanged') AND s.findings IS NOT NULL \
                     ORDER BY t.element LIMIT ?";
        let query = sqlx::query(query).bind(int(round)?).bind(i64::from(limit));
        let rows = self.reader().await?.rows(query).await?;
        rows.iter()
            .map(|row| Ok((row.dn("element")?, row.opt_json("findings")?.unwrap_or_default())))
            .collect()
    }

    /// How many stations a round could not read, by reason.
    pub async fn failure_reasons(&self, round: u64) -> Result<BTreeMap<String, u64>> {
        let query = "SELECT reason, count(*) AS n FROM results WHERE round = ? AND outcome = 'failed' \
                     GROUP BY reason";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        rows.iter().map(|row| Ok((row.text("reason")?, row.number("n")?))).collect()
    }

    /// Differences that a round saw, in the order in which it wrote them.
    pub async fn edits(&self, round: u64) -> Result<Vec<EditRow>> {
        let query = "SELECT e.*, t.element, r.finished_at FROM edits e JOIN stations t ON t.id = e.station \
                     JOIN rounds r USING (round) WHERE e.round = ? ORDER BY e.id";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        rows.iter().map(edit_row).collect()
    }

    /// Differences seen on one object, newest first.
    pub async fn edits_of(&self, object: &Dn, limit: u32) -> Result<Vec<EditRow>> {
        // Among those of its station, which are read through: an index by object costs every round more than this saves.
        let query = "SELECT e.*, t.element, r.finished_at FROM (SELECT station FROM names WHERE dn = ?1 \
                     UNION SELECT id FROM stations WHERE element IN (SELECT value FROM json_each(?2))) s \
                     JOIN stations t ON t.id = s.station CROSS JOIN edits e ON e.station = t.id \
                     JOIN rounds r ON r.round = e.round WHERE e.object = ?1 ORDER BY e.round DESC, e.id LIMIT ?3";
        let within: Vec<Dn> = std::iter::successors(Some(object.clone()), Dn::parent).collect();
        let query = sqlx::query(query).bind(object.as_str()).bind(json(&within)?).bind(i64::from(limit));
        self.reader().await?.rows(query).await?.iter().map(edit_row).collect()
    }

    /// Differences seen in the rounds `from ..= to`.
    pub async fn changes(&self, from: u64, to: u64) -> Result<ChangeCounts> {
        let query = "SELECT coalesce(sum(observed), 0) AS observed, coalesce(sum(authorised), 0) AS authorised, \
                     coalesce(sum(unauthorised), 0) AS unauthorised FROM rounds WHERE round BETWEEN ? AND ?";
        let query = sqlx::query(query).bind(int(from)?).bind(int(to)?);
        self.reader().await?.row(query).await?.as_ref().map_or(Ok(ChangeCounts::default()), changes_row)
    }

    /// How completely each station was read in the rounds `from ..= to`, by element.
    pub async fn coverage(&self, from: u64, to: u64) -> Result<Vec<Coverage>> {
        let query = "SELECT t.element, r.outcome, r.reason, count(*) AS n FROM results r \
                     JOIN stations t ON t.id = r.station WHERE r.round BETWEEN ? AND ? \
                     GROUP BY t.element, r.outcome, r.reason ORDER BY t.element";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(from)?).bind(int(to)?)).await?;
        let mut coverage: Vec<Coverage> = Vec::new();
        for row in &rows {
            let (element, n) = (row.dn("element")?, row.number("n")?);
            if coverage.last().is_none_or(|c| c.element != element) {
                coverage.push(Coverage { element, expected: 0, read: 0, reasons: BTreeMap::new() });
            }
            let Some(station) = coverage.last_mut() else { continue };
            station.expected += n;
            match row.opt_text("reason")? {
                None => station.read += n,
                Some(reason) => *station.reasons.entry(reason).or_default() += n,
            }
        }
        Ok(coverage)
    }

    /// Finished rounds that began without an opening on the chain.
    pub async fn unopened_rounds(&self) -> Result<u64> {
        let query =
            "SELECT count(*) AS n FROM rounds WHERE opened_height IS NULL AND finished_at IS NOT NULL";
        self.reader().await?.row(sqlx::query(query)).await?.map_or(Ok(0), |row| row.number("n"))
    }

    /// Rounds of `origin` that the chain has attested, later than round `after`.
    pub async fn attested_after(&self, origin: &str, after: u64) -> Result<u64> {
        let query = "SELECT count(*) AS n FROM chain_rounds WHERE origin = ? AND round > ? AND attestation IS NOT NULL";
        let query = sqlx::query(query).bind(origin).bind(int(after)?);
        self.reader().await?.row(query).await?.map_or(Ok(0), |row| row.number("n"))
    }

    /// How many second judgements of violations there are, by judge and verdict.
    pub async fn judgement_counts(&self) -> Result<BTreeMap<(String, String), u64>> {
        let query = "SELECT judge, record ->> '$.verdict' AS verdict, count(*) AS n FROM judgements \
                     WHERE violation <> '' GROUP BY judge, verdict";
        let rows = self.reader().await?.rows(sqlx::query(query)).await?;
        rows.iter().map(|row| Ok(((row.text("judge")?, row.text("verdict")?), row.number("n")?))).collect()
    }

    /// Bytes of the database file without its write-ahead log.
    pub async fn size_bytes(&self) -> Result<u64> {
        let query = "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
        self.reader().await?.row(sqlx::query(query)).await?.map_or(Ok(0), |row| row.number("bytes"))
    }
}

fn round_row(row: &SqliteRow) -> Result<RoundRow> {
    let attested = match (row.opt_number("attested_height")?, row.opt_small("attested_place")?) {
        (Some(height), Some(index)) => Some((height, index)),
        _ => None,
    };
    Ok(RoundRow {
        start: start_row(row)?,
        finished: row.opt_time("finished_at")?,
        accounting: accounting_row(row)?,
        changes: changes_row(row)?,
        violations_opened: row.number("violations_opened")?,
        violations_resolved: row.number("violations_resolved")?,
        attestation: row.opt_blob("attestation")?,
        leaf_index: row.opt_number("leaf_index")?,
        attested,
    })
}

fn changes_row(row: &SqliteRow) -> Result<ChangeCounts> {
    Ok(ChangeCounts {
        observed: row.number("observed")?,
        authorised: row.number("authorised")?,
        unauthorised: row.number("unauthorised")?,
    })
}

fn result_row(row: &SqliteRow) -> Result<StationResult> {
    let reason = row.opt_text("reason")?.unwrap_or_default();
    let outcome = match row.text("outcome")?.as_str() {
        "collected" => Outcome::Collected,
        "unchanged" => Outcome::Unchanged,
        "failed" => Outcome::Failed { reason, detail: row.opt_text("detail")?.unwrap_or_default() },
        _ => Outcome::Skipped { reason },
    };
    let (element, read) = (row.dn("element")?, row.time("read_at")?);
    Ok(StationResult { element, outcome, read, duration_ms: row.number("duration_ms")? })
}

fn edit_row(row: &SqliteRow) -> Result<EditRow> {
    let authorisation: Option<Authorisation> = match row.opt_text("authorisation")? {
        Some(_) => Some(row.word("authorisation")?),
        None => None,
    };
    let edit: Edit = row.json("edit")?;
    let edit =
        RoundEdit { element: row.dn("element")?, edit, authorisation, request: row.opt_text("request")? };
    Ok(EditRow { round: row.number("round")?, seen: row.time("finished_at")?, edit })
}
