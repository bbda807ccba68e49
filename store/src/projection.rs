//! What the chain ordered, as rows. The chain's own database is the truth; this is a projection of it that pages and
//! judges can query, idempotent by height.

use anchor::transaction::{
    AttestRoundStatement, Decision, MemberId, OpenRoundStatement, ProposalKind, Subject,
};
use anchor::{Hash, PublicKey};
use model::Timestamp;

use crate::Store;
use crate::columns::{Columns as _, int, json, opt_int, word};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::seal::seal;
use crate::transactions;

/// A final block as the agent read it.
#[derive(Debug, Clone)]
pub struct ProjectedBlock {
    pub height: u64,
    /// The block's own time.
    pub time: Timestamp,
    /// Hash of its header.
    pub header: Hash,
    /// All of its transactions; the index of each is its place here.
    pub transactions: Vec<ProjectedTransaction>,
    /// Rounds whose deadline this block is the first to be past.
    pub missed: Vec<Missed>,
}

/// A transaction and what it did.
#[derive(Debug, Clone)]
pub struct ProjectedTransaction {
    pub id: Hash,
    pub sender: PublicKey,
    /// Whose key the sender is.
    pub member: Option<MemberId>,
    /// Name of the action, as `anchor::Action::name` gives it.
    pub action: String,
    /// Why the contract refused it; `None`: accepted.
    pub refused: Option<Refused>,
    /// Empty for a refused one.
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub origin: MemberId,
    pub round: u64,
}

/// One effect of an accepted transaction.
#[derive(Debug, Clone)]
pub enum Event {
    Registered(Registration),
    /// One member approved or rejected.
    Decided {
        subject: Subject,
        member: MemberId,
        decision: Decision,
    },
    /// The last approval that it needed landed in this transaction.
    Finalized {
        subject: Subject,
    },
    Withdrawn {
        subject: Subject,
    },
    RoundOpened {
        statement: OpenRoundStatement,
        deadline: Timestamp,
        expected: u64,
    },
    RoundAttested {
        statement: AttestRoundStatement,
        late: bool,
    },
    Anchored {
        origin: MemberId,
        size: u64,
        root: Hash,
    },
}

/// A registration or change request.
#[derive(Debug, Clone)]
pub struct Registration {
    pub subject: Subject,
    /// The action's borsh encoding.
    pub action: Vec<u8>,
    /// `anchor::transaction::statement_hash` of the action: what approvals sign.
    pub statement: Hash,
    /// The body that the action names by hash; an inventory has only a root.
    pub body: Option<Hash>,
    /// The agreement that it stands under; its own id and version for an agreement.
    pub agreement: String,
    pub agreement_version: u32,
    pub proposer: MemberId,
    /// Members whose approval is needed.
    pub required: Vec<MemberId>,
    /// For change requests.
    pub request: Option<RequestTerms>,
}

/// What the chain knows of a change request beside its body's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTerms {
    pub kind: ProposalKind,
    pub window_from: Timestamp,
    /// Exclusive.
    pub window_to: Timestamp,
}

/// Whether a step did something or had been done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Now,
    Before,
}

impl Store {
    /// Takes one final block over, in one transaction; a crash leaves all of it or nothing. A height at or below the
    /// last applied one changes nothing, so that after a restart the agent may begin anywhere below.
    ///
    /// Own outgoing transactions found in the block become final or refused in the same step.
    ///
    /// # Errors
    /// [`StoreError::Gap`] if a height is missing between; [`StoreError::Conflict`] if another block was applied at
    /// this height: the chain forked, or the database belongs to another chain.
    pub async fn apply_block(&self, block: &ProjectedBlock) -> Result<Applied> {
        let mut link = self.writer().await?;
        let last = "SELECT coalesce(max(height), 0) AS height FROM blocks";
        let applied = link.row(sqlx::query(last)).await?.map_or(Ok(0), |r| r.number("height"))?;
        if block.height <= applied {
            check_same(&mut link, block).await?;
            return Ok(Applied::Before);
        }
        if block.height != applied + 1 {
            return Err(StoreError::Gap { applied, found: block.height });
        }
        let insert = sqlx::query("INSERT INTO blocks (height, time, header) VALUES (?, ?, ?)");
        let insert = insert.bind(int(block.height)?).bind(block.time.0).bind(block.header.0.to_vec());
        link.execute(insert).await?;
        for (place, transaction) in block.transactions.iter().enumerate() {
            apply_transaction(&mut link, block, place as u64, transaction).await?;
        }
        for missed in &block.missed {
            let update = "UPDATE chain_rounds SET missed_height = ?, seal = zeroblob(32) WHERE origin = ? AND round = ?";
            let update = sqlx::query(update).bind(int(block.height)?).bind(missed.origin.as_str());
            link.execute(update.bind(int(missed.round)?)).await?;
        }
        let tables = [
            "blocks",
            "chain_transactions",
            "subjects",
            "decisions",
            "chain_rounds",
            "chain_anchors",
            "outgoing",
        ];
        seal(&mut link, &tables).await?;
        link.commit().await?;
        Ok(Applied::Now)
    }
}

async fn check_same(link: &mut Link, block: &ProjectedBlock) -> Result<()> {
    let query = sqlx::query("SELECT header FROM blocks WHERE height = ?").bind(int(block.height)?);
    match link.row(query).await? {
        Some(row) if row.hash("header")? != block.header => {
            let why = format!("its header is {}, not {}", row.hash("header")?, block.header);
            Err(StoreError::conflict("block", block.height, why))
        }
        _ => Ok(()),
    }
}

/// Where an event stands in the order of things.
struct At<'a> {
    height: i64,
    transaction: &'a Hash,
}

async fn apply_transaction(
    link: &mut Link,
    block: &ProjectedBlock,
    place: u64,
    transaction: &ProjectedTransaction,
) -> Result<()> {
    let refused = transaction.refused.as_ref();
    let insert = "INSERT INTO chain_transactions (id, height, place, sender, member, action, refused_code, \
                  refused_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(transaction.id.0.to_vec())
        .bind(int(block.height)?)
        .bind(int(place)?)
        .bind(transaction.sender.0.to_vec())
        .bind(transaction.member.as_deref())
        .bind(transaction.action.as_str())
        .bind(refused.map(|r| r.code.as_str()))
        .bind(refused.map(|r| r.reason.as_str()));
    if link.execute(insert).await? == 0 {
        let why = format!("it stands in block {} again", block.height);
        return Err(StoreError::conflict("transaction", transaction.id, why));
    }
    transactions::settle(link, &transaction.id, block.height, place, refused).await?;
    let at = At { height: int(block.height)?, transaction: &transaction.id };
    for event in &transaction.events {
        apply_event(link, &at, event).await?;
    }
    Ok(())
}

async fn apply_event(link: &mut Link, at: &At<'_>, event: &Event) -> Result<()> {
    match event {
        Event::Registered(registration) => register(link, at, registration).await,
        Event::Decided { subject, member, decision } => decide(link, at, subject, member, *decision).await,
        Event::Finalized { subject } => {
            let update = "UPDATE subjects SET finalized_height = coalesce(finalized_height, ?), seal = zeroblob(32) \
                          WHERE kind = ? AND id = ? AND version = ?";
            mark_subject(link, at, subject, update).await
        }
        Event::Withdrawn { subject } => {
            let update = "UPDATE subjects SET withdrawn_height = coalesce(withdrawn_height, ?), seal = zeroblob(32) \
                          WHERE kind = ? AND id = ? AND version = ?";
            mark_subject(link, at, subject, update).await
        }
        Event::RoundOpened { statement, deadline, expected } => {
            open_round(link, at, statement, *deadline, *expected).await
        }
        Event::RoundAttested { statement, late } => attest_round(link, at, statement, *late).await,
        Event::Anchored { origin, size, root } => {
            let insert = "INSERT INTO chain_anchors (origin, size, root, height, tx) VALUES (?, ?, ?, ?, ?)";
            let insert = sqlx::query(insert).bind(origin.as_str()).bind(int(*size)?).bind(root.0.to_vec());
            link.execute(insert.bind(at.height).bind(at.transaction.0.to_vec())).await.map(drop)
        }
    }
}

async fn register(link: &mut Link, at: &At<'_>, registration: &Registration) -> Result<()> {
    let Registration { subject, request, .. } = registration;
    let insert = "INSERT INTO subjects (kind, id, version, action, statement, body, agreement, agreement_version, \
                  proposer, required, request_kind, window_from_at, window_to_at, tx, proposed_height) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert)
        .bind(word(&subject.kind))
        .bind(subject.id.as_str())
        .bind(i64::from(subject.version))
        .bind(registration.action.as_slice())
        .bind(registration.statement.0.to_vec())
        .bind(registration.body.map(|b| b.0.to_vec()))
        .bind(registration.agreement.as_str())
        .bind(i64::from(registration.agreement_version))
        .bind(registration.proposer.as_str())
        .bind(json(&registration.required)?)
        .bind(request.map(|r| word(&r.kind)))
        .bind(request.map(|r| r.window_from.0))
        .bind(request.map(|r| r.window_to.0))
        .bind(at.transaction.0.to_vec())
        .bind(at.height);
    link.execute(insert).await.map(drop)
}

async fn decide(
    link: &mut Link,
    at: &At<'_>,
    subject: &Subject,
    member: &str,
    decision: Decision,
) -> Result<()> {
    let insert = "INSERT INTO decisions (kind, id, version, member, decision, height, tx) \
                  VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id, version, member) DO UPDATE SET \
                  decision = excluded.decision, height = excluded.height, tx = excluded.tx, seal = zeroblob(32)";
    let insert = sqlx::query(insert)
        .bind(word(&subject.kind))
        .bind(subject.id.as_str())
        .bind(i64::from(subject.version))
        .bind(member)
        .bind(word(&decision))
        .bind(at.height)
        .bind(at.transaction.0.to_vec());
    link.execute(insert).await?;
    if decision == Decision::Approve {
        return Ok(());
    }
    let update = "UPDATE subjects SET rejected_height = coalesce(rejected_height, ?), seal = zeroblob(32) \
                  WHERE kind = ? AND id = ? AND version = ?";
    mark_subject(link, at, subject, update).await
}

async fn mark_subject(link: &mut Link, at: &At<'_>, subject: &Subject, update: &'static str) -> Result<()> {
    let update = sqlx::query(update).bind(at.height).bind(word(&subject.kind)).bind(subject.id.as_str());
    match link.execute(update.bind(i64::from(subject.version))).await? {
        0 => Err(StoreError::missing("registration", subject)),
        _ => Ok(()),
    }
}

async fn open_round(
    link: &mut Link,
    at: &At<'_>,
    statement: &OpenRoundStatement,
    deadline: Timestamp,
    expected: u64,
) -> Result<()> {
    let insert = "INSERT INTO chain_rounds (origin, round, statement, opened_height, opened_tx, deadline_at, expected) \
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert)
        .bind(statement.origin.as_str())
        .bind(int(statement.round)?)
        .bind(json(statement)?)
        .bind(at.height)
        .bind(at.transaction.0.to_vec())
        .bind(deadline.0)
        .bind(opt_int(Some(expected))?);
    link.execute(insert).await.map(drop)
}

async fn attest_round(
    link: &mut Link,
    at: &At<'_>,
    statement: &AttestRoundStatement,
    late: bool,
) -> Result<()> {
    let update = "UPDATE chain_rounds SET attestation = ?, attested_height = ?, attested_tx = ?, late = ?, \
                  seal = zeroblob(32) WHERE origin = ? AND round = ?";
    let update = sqlx::query(update)
        .bind(json(statement)?)
        .bind(at.height)
        .bind(at.transaction.0.to_vec())
        .bind(i64::from(late))
        .bind(statement.origin.as_str())
        .bind(int(statement.round)?);
    match link.execute(update).await? {
        0 => Err(StoreError::missing("opened round", format!("{} {}", statement.origin, statement.round))),
        _ => Ok(()),
    }
}
