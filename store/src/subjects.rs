//! Questions about what the chain ordered: blocks, transactions, registrations, rounds and checkpoints of all origins.

use anchor::Hash;
use anchor::transaction::{
    AttestRoundStatement, Decision, MemberId, OpenRoundStatement, Subject, SubjectKind,
};
use model::Timestamp;
use model::change::Standing;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use crate::Store;
use crate::columns::{Columns as _, int, word};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::projection::{Refused, RequestTerms};

/// The block in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub height: u64,
    /// The block's time.
    pub time: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    pub height: u64,
    pub time: Timestamp,
    /// Hash of its header.
    pub header: Hash,
    /// Number of its transactions.
    pub transactions: u64,
}

/// Where a transaction stands: what a bundle needs to ask the chain for evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRow {
    pub id: Hash,
    pub at: Moment,
    /// Its place in the block.
    pub index: u32,
    pub member: Option<MemberId>,
    pub action: String,
    pub refused: Option<Refused>,
}

/// A registration or change request with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRow {
    pub subject: Subject,
    /// The registering action, borsh.
    pub action: Vec<u8>,
    /// What its approvals sign.
    pub statement: Hash,
    pub body: Option<Hash>,
    pub agreement: String,
    pub agreement_version: u32,
    pub proposer: MemberId,
    /// Whose approval it needs.
    pub required: Vec<MemberId>,
    /// For change requests.
    pub request: Option<RequestTerms>,
    /// The transaction that registered it.
    pub transaction: Hash,
    pub proposed: Moment,
    /// When its last approval landed. In force from the next height on.
    pub finalized: Option<Moment>,
    pub rejected: Option<Moment>,
    pub withdrawn: Option<Moment>,
    /// In the order of the chain.
    pub decisions: Vec<DecisionRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    pub member: MemberId,
    pub decision: Decision,
    pub at: Moment,
    pub transaction: Hash,
}

impl SubjectRow {
    /// Where it stands, as a judge reads it. Withdrawn before rejected before approved: the order of the contract.
    pub fn standing(&self) -> Standing {
        if let Some(at) = self.withdrawn {
            return Standing::Withdrawn { height: at.height, approved: self.finalized.map(|f| f.height) };
        }
        if let Some(at) = self.rejected {
            let by = self.decisions.iter().find(|d| d.decision == Decision::Reject);
            let by = by.map_or_else(String::new, |d| d.member.clone());
            return Standing::Rejected { by, height: at.height };
        }
        if let Some(at) = self.finalized {
            return Standing::Approved { height: at.height };
        }
        let approved = |member: &&MemberId| {
            self.decisions.iter().any(|d| d.member == **member && d.decision == Decision::Approve)
        };
        let (approved_by, missing): (Vec<_>, Vec<_>) = self.required.iter().partition(|m| approved(m));
        let owned = |members: Vec<&MemberId>| members.into_iter().cloned().collect();
        Standing::Proposed { approved_by: owned(approved_by), missing: owned(missing) }
    }

    /// When it was withdrawn, rejected or approved, whichever counts.
    pub fn decided_at(&self) -> Option<Timestamp> {
        self.withdrawn.or(self.rejected).or(self.finalized).map(|at| at.time)
    }
}

/// A round of any origin as the chain knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRoundRow {
    /// What was pinned at the opening.
    pub opening: OpenRoundStatement,
    pub opened: Moment,
    pub opened_by: Hash,
    pub deadline: Timestamp,
    /// Stations in the pinned inventory.
    pub expected: u64,
    pub attestation: Option<AttestRoundStatement>,
    pub attested: Option<Moment>,
    pub attested_by: Option<Hash>,
    /// It was attested past its deadline.
    pub late: bool,
    /// Its deadline passed without an attestation. Stays, even if a late one came.
    pub missed: Option<Moment>,
}

/// A checkpoint of any origin that the chain accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorRow {
    pub origin: MemberId,
    pub size: u64,
    pub root: Hash,
    pub at: Moment,
    pub transaction: Hash,
}

/// Registrations with the times of their blocks; a condition on `s` follows.
pub(crate) const SUBJECTS: &str = "SELECT s.*, p.time AS proposed_time, f.time AS finalized_time, r.time AS rejected_time, \
    w.time AS withdrawn_time FROM subjects s JOIN blocks p ON p.height = s.proposed_height \
    LEFT JOIN blocks f ON f.height = s.finalized_height LEFT JOIN blocks r ON r.height = s.rejected_height \
    LEFT JOIN blocks w ON w.height = s.withdrawn_height WHERE ";

impl Store {
    /// The last applied block; `None` before the first.
    pub async fn applied(&self) -> Result<Option<BlockRow>> {
        Ok(self.blocks(None, 1).await?.pop())
    }

    /// Blocks below height `before`, newest first.
    /// Header hash of the final block at `height`, if it is here.
    pub async fn block_header(&self, height: u64) -> Result<Option<Hash>> {
        let Ok(height) = int(height) else { return Ok(None) };
        let query = sqlx::query("SELECT header FROM blocks WHERE height = ?").bind(height);
        self.reader().await?.row(query).await?.map(|row| row.hash("header")).transpose()
    }

    pub async fn blocks(&self, before: Option<u64>, limit: u32) -> Result<Vec<BlockRow>> {
        let query = "SELECT height, time, header, (SELECT count(*) FROM chain_transactions t \
                     WHERE t.height = b.height) AS transactions FROM blocks b WHERE height < ? \
                     ORDER BY height DESC LIMIT ?";
        let before = before.map_or(Ok(i64::MAX), int)?;
        let query = sqlx::query(query).bind(before).bind(i64::from(limit));
        let rows = self.reader().await?.rows(query).await?;
        let block = |row: &SqliteRow| {
            Ok(BlockRow {
                height: row.number("height")?,
                time: row.time("time")?,
                header: row.hash("header")?,
                transactions: row.number("transactions")?,
            })
        };
        rows.iter().map(block).collect()
    }

    /// Where a transaction stands on the chain.
    pub async fn transaction(&self, id: &Hash) -> Result<Option<TransactionRow>> {
        let query = "SELECT t.*, b.time FROM chain_transactions t JOIN blocks b USING (height) WHERE id = ?";
        let row = self.reader().await?.row(sqlx::query(query).bind(id.0.to_vec())).await?;
        row.as_ref().map(transaction_row).transpose()
    }

    /// The transactions of a block, in order.
    pub async fn transactions_at(&self, height: u64) -> Result<Vec<TransactionRow>> {
        let query = "SELECT t.*, b.time FROM chain_transactions t JOIN blocks b USING (height) \
                     WHERE height = ? ORDER BY place";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(height)?)).await?;
        rows.iter().map(transaction_row).collect()
    }

    pub async fn subject(&self, subject: &Subject) -> Result<Option<SubjectRow>> {
        let mut query = QueryBuilder::<Sqlite>::new(SUBJECTS);
        query.push("s.kind = ").push_bind(word(&subject.kind));
        query.push(" AND s.id = ").push_bind(subject.id.clone());
        query.push(" AND s.version = ").push_bind(i64::from(subject.version));
        self.one_subject(query).await
    }

    /// The newest version of a registration, whatever its standing.
    pub async fn newest_subject(&self, kind: SubjectKind, id: &str) -> Result<Option<SubjectRow>> {
        let mut query = QueryBuilder::<Sqlite>::new(SUBJECTS);
        query.push("s.kind = ").push_bind(word(&kind)).push(" AND s.id = ").push_bind(id.to_owned());
        query.push(" ORDER BY s.version DESC LIMIT 1");
        self.one_subject(query).await
    }

    /// All versions of all registrations of a kind, oldest first.
    pub async fn subjects(&self, kind: SubjectKind) -> Result<Vec<SubjectRow>> {
        let mut query = QueryBuilder::<Sqlite>::new(SUBJECTS);
        query.push("s.kind = ").push_bind(word(&kind));
        query.push(" ORDER BY s.proposed_height, s.id, s.version");
        subject_rows(&mut self.reader().await?, query).await
    }

    /// The version in force in the block at `height`: the newest whose last approval lies before it and that was
    /// not withdrawn before it.
    pub async fn in_force(&self, kind: SubjectKind, id: &str, height: u64) -> Result<Option<SubjectRow>> {
        let mut query = QueryBuilder::<Sqlite>::new(SUBJECTS);
        query.push("s.kind = ").push_bind(word(&kind)).push(" AND s.id = ").push_bind(id.to_owned());
        query.push(" AND s.finalized_height < ").push_bind(int(height)?);
        query.push(" AND (s.withdrawn_height IS NULL OR s.withdrawn_height >= ").push_bind(int(height)?);
        query.push(") ORDER BY s.version DESC LIMIT 1");
        self.one_subject(query).await
    }

    async fn one_subject(&self, query: QueryBuilder<Sqlite>) -> Result<Option<SubjectRow>> {
        Ok(subject_rows(&mut self.reader().await?, query).await?.pop())
    }

    /// Rounds of an origin as the chain knows them, newest first.
    pub async fn chain_rounds(&self, origin: &str, limit: u32) -> Result<Vec<ChainRoundRow>> {
        self.rounds_of(origin, i64::MAX, i64::from(limit)).await
    }

    pub async fn chain_round(&self, origin: &str, round: u64) -> Result<Option<ChainRoundRow>> {
        let found = self.rounds_of(origin, int(round)?, 1).await?.pop();
        Ok(found.filter(|r| r.opening.round == round))
    }

    async fn rounds_of(&self, origin: &str, up_to: i64, limit: i64) -> Result<Vec<ChainRoundRow>> {
        let query = "SELECT c.*, o.time AS opened_time, a.time AS attested_time, m.time AS missed_time \
                     FROM chain_rounds c JOIN blocks o ON o.height = c.opened_height \
                     LEFT JOIN blocks a ON a.height = c.attested_height \
                     LEFT JOIN blocks m ON m.height = c.missed_height \
                     WHERE c.origin = ? AND c.round <= ? ORDER BY c.round DESC LIMIT ?";
        let query = sqlx::query(query).bind(origin).bind(up_to).bind(limit);
        self.reader().await?.rows(query).await?.iter().map(chain_round_row).collect()
    }

    /// The last checkpoint of an origin that the chain accepted.
    pub async fn chain_anchor(&self, origin: &str) -> Result<Option<AnchorRow>> {
        Ok(self.chain_anchors(origin, 1).await?.pop())
    }

    /// Checkpoints of an origin that the chain accepted, newest first.
    pub async fn chain_anchors(&self, origin: &str, limit: u32) -> Result<Vec<AnchorRow>> {
        let query = "SELECT a.*, b.time FROM chain_anchors a JOIN blocks b USING (height) WHERE origin = ? \
                     ORDER BY height DESC, size DESC LIMIT ?";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(origin).bind(i64::from(limit))).await?;
        rows.iter().map(anchor_row).collect()
    }

    /// The checkpoint of this size of an origin, if the chain accepted one.
    pub async fn chain_anchor_at(&self, origin: &str, size: u64) -> Result<Option<AnchorRow>> {
        let query = "SELECT a.*, b.time FROM chain_anchors a JOIN blocks b USING (height) \
                     WHERE origin = ? AND size = ?";
        let query = sqlx::query(query).bind(origin).bind(int(size)?);
        self.reader().await?.row(query).await?.as_ref().map(anchor_row).transpose()
    }
}

fn anchor_row(row: &SqliteRow) -> Result<AnchorRow> {
    Ok(AnchorRow {
        origin: row.text("origin")?,
        size: row.number("size")?,
        root: row.hash("root")?,
        at: Moment { height: row.number("height")?, time: row.time("time")? },
        transaction: row.hash("tx")?,
    })
}

fn transaction_row(row: &SqliteRow) -> Result<TransactionRow> {
    let refused = match row.opt_text("refused_code")? {
        Some(code) => Some(Refused { code, reason: row.opt_text("refused_reason")?.unwrap_or_default() }),
        None => None,
    };
    Ok(TransactionRow {
        id: row.hash("id")?,
        at: Moment { height: row.number("height")?, time: row.time("time")? },
        index: row.small("place")?,
        member: row.opt_text("member")?,
        action: row.text("action")?,
        refused,
    })
}

fn moment(row: &SqliteRow, height: &'static str, time: &'static str) -> Result<Option<Moment>> {
    match (row.opt_number(height)?, row.opt_time(time)?) {
        (Some(height), Some(time)) => Ok(Some(Moment { height, time })),
        _ => Ok(None),
    }
}

fn needed(moment: Option<Moment>, column: &'static str) -> Result<Moment> {
    moment.ok_or_else(|| StoreError::Unreadable { column, why: "no such block".into() })
}

pub(crate) async fn subject_rows(
    link: &mut Link,
    mut query: QueryBuilder<Sqlite>,
) -> Result<Vec<SubjectRow>> {
    let mut subjects = Vec::new();
    for row in link.rows(query.build()).await? {
        let mut subject = subject_row(&row)?;
        subject.decisions = decisions(link, &subject.subject).await?;
        subjects.push(subject);
    }
    Ok(subjects)
}

fn subject_row(row: &SqliteRow) -> Result<SubjectRow> {
    let request = match (row.opt_time("window_from_at")?, row.opt_time("window_to_at")?) {
        (Some(window_from), Some(window_to)) => {
            Some(RequestTerms { kind: row.word("request_kind")?, window_from, window_to })
        }
        _ => None,
    };
    Ok(SubjectRow {
        subject: Subject { kind: row.word("kind")?, id: row.text("id")?, version: row.small("version")? },
        action: row.blob("action")?,
        statement: row.hash("statement")?,
        body: row.opt_hash("body")?,
        agreement: row.text("agreement")?,
        agreement_version: row.small("agreement_version")?,
        proposer: row.text("proposer")?,
        required: row.json("required")?,
        request,
        transaction: row.hash("tx")?,
        proposed: needed(moment(row, "proposed_height", "proposed_time")?, "proposed_height")?,
        finalized: moment(row, "finalized_height", "finalized_time")?,
        rejected: moment(row, "rejected_height", "rejected_time")?,
        withdrawn: moment(row, "withdrawn_height", "withdrawn_time")?,
        decisions: Vec::new(),
    })
}

async fn decisions(link: &mut Link, subject: &Subject) -> Result<Vec<DecisionRow>> {
    let query = "SELECT d.member, d.decision, d.tx, d.height, b.time FROM decisions d JOIN blocks b USING (height) \
                 LEFT JOIN chain_transactions t ON t.id = d.tx \
                 WHERE d.kind = ? AND d.id = ? AND d.version = ? ORDER BY d.height, t.place, d.member";
    let query = sqlx::query(query).bind(word(&subject.kind)).bind(subject.id.as_str());
    let rows = link.rows(query.bind(i64::from(subject.version))).await?;
    let decision = |row: &SqliteRow| {
        Ok(DecisionRow {
            member: row.text("member")?,
            decision: row.word("decision")?,
            at: Moment { height: row.number("height")?, time: row.time("time")? },
            transaction: row.hash("tx")?,
        })
    };
    rows.iter().map(decision).collect()
}

fn chain_round_row(row: &SqliteRow) -> Result<ChainRoundRow> {
    Ok(ChainRoundRow {
        opening: row.json("statement")?,
        opened: needed(moment(row, "opened_height", "opened_time")?, "opened_height")?,
        opened_by: row.hash("opened_tx")?,
        deadline: row.time("deadline_at")?,
        expected: row.number("expected")?,
        attestation: row.opt_json("attestation")?,
        attested: moment(row, "attested_height", "attested_time")?,
        attested_by: row.opt_hash("attested_tx")?,
        late: row.number("late")? != 0,
        missed: moment(row, "missed_height", "missed_time")?,
    })
}
