//! Second judgements: what other agents found in a round, and what this one found in others' rounds.

use anchor::Hash;
use anchor::record::{Authorisation, JudgementRecord, JudgementVerdict, Record};
use anchor::transaction::MemberId;
use model::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json, opt_int};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::log::{self, OutboxLeaf};
use crate::rounds::{RequestProgress, write_progress};
use crate::seal::seal;

/// Kind of the leaf that commits to a second judgement; its subject is the record's id.
pub const JUDGEMENT: &str = "judgement";

/// A second judgement as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgementRow {
    pub judge: MemberId,
    pub origin: MemberId,
    pub round: u64,
    /// Id of the violation it is about; `None` in a round's summary.
    pub violation: Option<String>,
    pub verdict: JudgementVerdict,
    /// What the origin recorded, where that is an authorisation.
    pub theirs: Option<Authorisation>,
    /// What the judge found.
    pub own: Option<Authorisation>,
    /// One sentence.
    pub why: String,
    /// The whole record, as its leaf commits to it.
    pub record: JudgementRecord,
    pub commitment: Hash,
    /// Index of its leaf in the judge's log; `None` until it has one. Others' judgements always have one, below a
    /// mirrored head.
    pub leaf: Option<u64>,
}

const JUDGEMENTS: &str = "SELECT j.record, j.commitment, coalesce(j.leaf, (SELECT max(l.leaf) FROM log_leaves l \
    WHERE l.kind = 'judgement' AND l.subject = j.id)) AS leaf FROM judgements j WHERE ";

impl Store {
    /// Takes over a round's own second judgement: its records, the leaves that commit to them, and how far requests
    /// were seen carried out. In one transaction; done again, it adds nothing.
    pub async fn add_own_judgements(
        &self,
        round: u64,
        records: &[JudgementRecord],
        leaves: &[OutboxLeaf],
        requests: &[RequestProgress],
        now: Timestamp,
    ) -> Result<()> {
        let mut link = self.writer().await?;
        for record in records {
            insert(&mut link, record, None, now).await?;
        }
        log::enqueue_others(&mut link, leaves).await?;
        write_progress(&mut link, round, requests).await?;
        seal(&mut link, &["judgements"]).await?;
        link.commit().await
    }

    /// Keeps others' judgements, each with the index of its leaf, which the caller found in the mirror of the judge's
    /// log. What stands already stays.
    pub async fn add_judgements(&self, judgements: &[(JudgementRecord, u64)], now: Timestamp) -> Result<()> {
        let mut link = self.writer().await?;
        for (record, leaf) in judgements {
            insert(&mut link, record, Some(*leaf), now).await?;
        }
        seal(&mut link, &["judgements"]).await?;
        link.commit().await
    }

    /// All judgements of one violation of `origin`, by judge.
    pub async fn judgements_of(&self, origin: &str, violation: &str) -> Result<Vec<JudgementRow>> {
        let mut query = sqlx::QueryBuilder::new(JUDGEMENTS);
        query.push("j.origin = ? AND j.violation = ? AND j.violation <> '' ORDER BY j.judge, j.round");
        let rows = self.reader().await?.rows(query.build().bind(origin).bind(violation)).await?;
        rows.iter().map(judgement_row).collect()
    }

    /// All judgements of a round of `origin`, by judge, each judge's summary last.
    pub async fn round_judgements(&self, origin: &str, round: u64) -> Result<Vec<JudgementRow>> {
        let mut query = sqlx::QueryBuilder::new(JUDGEMENTS);
        query.push("j.origin = ? AND j.round = ? ORDER BY j.judge, j.violation = '', j.id");
        let rows = self.reader().await?.rows(query.build().bind(origin).bind(int(round)?)).await?;
        rows.iter().map(judgement_row).collect()
    }

    /// Rounds past `after` that `judge` summed up, ascending, with the index of the summary's leaf.
    pub async fn judged_rounds(
        &self,
        judge: &str,
        origin: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Option<u64>)>> {
        let query = "SELECT j.round, coalesce(j.leaf, (SELECT max(l.leaf) FROM log_leaves l \
                     WHERE l.kind = 'judgement' AND l.subject = j.id)) AS leaf FROM judgements j \
                     WHERE j.judge = ? AND j.origin = ? AND j.violation = '' AND j.round > ? ORDER BY j.round LIMIT ?";
        let query = sqlx::query(query).bind(judge).bind(origin).bind(int(after)?).bind(i64::from(limit));
        let rows = self.reader().await?.rows(query).await?;
        rows.iter().map(|row| Ok((row.number("round")?, row.opt_number("leaf")?))).collect()
    }

    /// The newest round of `origin` that `judge` summed up.
    pub async fn last_judged(&self, judge: &str, origin: &str) -> Result<Option<u64>> {
        let query =
            "SELECT max(round) AS round FROM judgements WHERE judge = ? AND origin = ? AND violation = ''";
        let row = self.reader().await?.row(sqlx::query(query).bind(judge).bind(origin)).await?;
        row.map_or(Ok(None), |row| row.opt_number("round"))
    }
}

async fn insert(link: &mut Link, record: &JudgementRecord, leaf: Option<u64>, now: Timestamp) -> Result<()> {
    let commitment = commitment(record)?;
    let violation = record.violation.as_ref().map_or("", |violation| violation.id.as_str());
    let insert = "INSERT INTO judgements (judge, origin, round, id, violation, record, commitment, leaf, stored_at) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(record.judge.as_str())
        .bind(record.origin.as_str())
        .bind(int(record.round)?)
        .bind(record.id.as_str())
        .bind(violation)
        .bind(json(record)?)
        .bind(commitment.0.to_vec())
        .bind(opt_int(leaf)?)
        .bind(now.0);
    link.execute(insert).await.map(drop)
}

fn commitment(record: &JudgementRecord) -> Result<Hash> {
    Record::Judgement(Box::new(record.clone()))
        .commitment()
        .map_err(|e| StoreError::Unreadable { column: "record", why: e.to_string() })
}

fn judgement_row(row: &SqliteRow) -> Result<JudgementRow> {
    let record: JudgementRecord = row.json("record")?;
    let stored = row.hash("commitment")?;
    if commitment(&record)? != stored {
        return Err(StoreError::damaged("judgements", &record.id, "the record has another commitment"));
    }
    Ok(JudgementRow {
        judge: record.judge.clone(),
        origin: record.origin.clone(),
        round: record.round,
        violation: record.violation.as_ref().map(|violation| violation.id.clone()),
        verdict: record.verdict,
        theirs: record.theirs,
        own: record.own,
        why: record.why.clone(),
        commitment: stored,
        leaf: row.opt_number("leaf")?,
        record,
    })
}
