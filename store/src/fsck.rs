//! Hashing everything stored again: what a disk, an editor or a fault of ours changed is named by table and key.
//!
//! A clean report says that the database is what this program wrote. Whether it is what the operators saw is for
//! the log on the chain to say.

mod mirrors;
mod seconds;

use std::collections::BTreeMap;

use anchor::Hash;
use anchor::transaction::transaction_id;
use anchor::tree::{Frontier, leaf_hash};
use model::Dn;

use crate::Store;
use crate::columns::{Columns as _, int};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::objects::{Objects, with_bases};
use crate::openings::{OPENINGS, opening_row};
use crate::replies::Chain;
use crate::seal::{self, SEALED};
use crate::snapshots;

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Rows that were hashed, by table.
    pub checked: BTreeMap<&'static str, u64>,
    pub faults: Vec<Fault>,
}

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub table: String,
    /// The row's key, as far as it can be told.
    pub key: String,
    pub why: String,
}

impl FsckReport {
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, table: &str, key: impl ToString, why: impl ToString) {
        self.faults.push(Fault { table: table.to_owned(), key: key.to_string(), why: why.to_string() });
    }

    /// A column that cannot be read at all ends its part of the check and is a fault, not the end of `fsck`.
    fn unreadable(&mut self, table: &str, part: Result<()>) -> Result<()> {
        match part {
            Err(StoreError::Unreadable { column, why }) => {
                self.fault(table, column, why);
                Ok(())
            }
            other => other,
        }
    }

    fn count(&mut self, table: &'static str, rows: usize) {
        *self.checked.entry(table).or_default() += rows as u64;
    }
}

impl Store {
    /// Checks SQLite's own structure, references between tables, and every digest, in one consistent view. Reads
    /// the whole database.
    pub async fn fsck(&self) -> Result<FsckReport> {
        let mut link = self.reader().await?;
        let mut report = FsckReport::default();
        structure(&mut link, &mut report).await?;
        for table in SEALED {
            let (rows, broken) = seal::check(&mut link, table).await?;
            report.checked.insert(table, rows);
            for key in broken {
                report.fault(table, key, "the row is not the one that was sealed");
            }
        }
        let part = bodies(&mut link, &mut report).await;
        report.unreadable("bodies", part)?;
        let part = statements(&mut link, &mut report).await;
        report.unreadable("subjects", part)?;
        let part = outgoing(&mut link, &mut report).await;
        report.unreadable("outgoing", part)?;
        let part = stations(&mut link, &mut report).await;
        report.unreadable("stations", part)?;
        let part = raw_replies(&mut link, &mut report).await;
        report.unreadable("raw_replies", part)?;
        let part = log(&mut link, &mut report).await;
        report.unreadable("log_leaves", part)?;
        let part = rounds(&mut link, &mut report).await;
        report.unreadable("rounds", part)?;
        let part = mirrors::check(&mut link, &mut report).await;
        report.unreadable("mirror_leaves", part)?;
        let part = seconds::check(&mut link, &mut report).await;
        report.unreadable("judgements", part)?;
        Ok(report)
    }
}

async fn structure(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    for row in link.rows(sqlx::query("SELECT integrity_check AS line FROM pragma_integrity_check")).await? {
        let line = row.text("line")?;
        if line != "ok" {
            report.fault("sqlite", "integrity_check", line);
        }
    }
    let broken = "SELECT \"table\" AS name, coalesce(rowid, 0) AS row, parent FROM pragma_foreign_key_check";
    for row in link.rows(sqlx::query(broken)).await? {
        let why = format!("what it refers to in {} is missing", row.text("parent")?);
        report.fault(&row.text("name")?, row.id("row")?, why);
    }
    Ok(())
}

async fn bodies(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    for key in link.rows(sqlx::query("SELECT rowid AS row FROM bodies")).await? {
        // One at a time: a baseline's body is large.
        let query = sqlx::query("SELECT hash, bytes FROM bodies WHERE rowid = ?").bind(key.id("row")?);
        let Some(row) = link.row(query).await? else { continue };
        report.count("bodies", 1);
        let hash = row.hash("hash")?;
        if Hash::of(&row.blob("bytes")?) != hash {
            report.fault("bodies", hash, "the bytes have another SHA-256");
        }
    }
    Ok(())
}

/// What approvals signed is the hash of the action beside it (`docs/formats.md`, statement).
async fn statements(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let rows = link.rows(sqlx::query("SELECT kind, id, version, action, statement FROM subjects")).await?;
    for row in &rows {
        let statement = Hash::of_parts(&[b"ranproof/statement/1\n", &row.blob("action")?]);
        if statement != row.hash("statement")? {
            let key = format!("{} {} {}", row.text("kind")?, row.text("id")?, row.id("version")?);
            report.fault("subjects", key, "the action has another statement hash");
        }
    }
    Ok(())
}

async fn outgoing(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let query =
        "SELECT o.id, o.bytes, o.sequence, k.next FROM outgoing o LEFT JOIN key_sequences k USING (key)";
    for row in link.rows(sqlx::query(query)).await? {
        let id = row.hash("id")?;
        if transaction_id(&row.blob("bytes")?) != id {
            report.fault("outgoing", id, "the bytes have another SHA-256");
        }
        if row.opt_id("next")?.is_none() {
            report.fault("key_sequences", id, "the key of this transaction has no next sequence number");
        }
    }
    let query = "SELECT lower(hex(key)) AS name, next FROM key_sequences k WHERE next <= \
                 (SELECT max(sequence) FROM outgoing o WHERE o.key = k.key AND o.state <> 'refused')";
    for row in link.rows(sqlx::query(query)).await? {
        report.fault("key_sequences", row.text("name")?, "its next sequence number was used already");
    }
    Ok(())
}

/// Objects, snapshots and openings, one station at a time.
async fn stations(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    for row in link.rows(sqlx::query("SELECT id, element FROM stations ORDER BY id")).await? {
        let (station, element) = (row.id("id")?, row.dn("element")?);
        let all = with_bases!("SELECT o.id FROM objects o JOIN names n ON n.id = o.name WHERE n.station = ?");
        let objects = Objects::load(link, sqlx::query(all).bind(station)).await?;
        report.count("objects", objects.len());
        let faults: Vec<_> = objects.faults().collect();
        for (digest, why) in faults {
            report.fault("objects", digest, why);
        }
        check_snapshots(link, report, station, &element, &objects).await?;
        check_openings(link, report, station).await?;
    }
    Ok(())
}

async fn check_snapshots(
    link: &mut Link,
    report: &mut FsckReport,
    station: i64,
    element: &Dn,
    objects: &Objects,
) -> Result<()> {
    let query = "SELECT v.name, v.round, v.object FROM versions v JOIN names n ON n.id = v.name \
                 WHERE n.station = ? ORDER BY v.round";
    let versions = link.rows(sqlx::query(query).bind(station)).await?;
    let mut versions = versions.iter().peekable();
    let mut standing: BTreeMap<i64, Option<i64>> = BTreeMap::new();
    let query = sqlx::query("SELECT * FROM snapshots WHERE station = ? ORDER BY round").bind(station);
    for row in link.rows(query).await? {
        let round = row.id("round")?;
        while let Some(version) = versions.peek()
            && version.id("round")? <= round
        {
            standing.insert(version.id("name")?, version.opt_id("object")?);
            versions.next();
        }
        let present = standing.values().filter_map(|object| *object);
        let why = match snapshots::rebuild(&row, present, objects) {
            Err(error) => error.to_string(),
            Ok(snapshot) if *snapshot.root() != row.digest("root")? => "the objects give another root".into(),
            Ok(_) => continue,
        };
        report.fault("snapshots", format!("{element} in round {round}"), why);
    }
    Ok(())
}

async fn raw_replies(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let keys = sqlx::query("SELECT rowid AS row, station FROM raw_replies ORDER BY station, round");
    let (mut station, mut chain) = (None, Chain::default());
    for key in link.rows(keys).await? {
        if station.replace(key.id("station")?) != Some(key.id("station")?) {
            chain = Chain::default();
        }
        // One at a time: a reply is the largest thing stored.
        let query = "SELECT t.element, r.*, s.raw FROM raw_replies r JOIN stations t ON t.id = r.station \
                     LEFT JOIN snapshots s ON s.station = r.station AND s.round = r.round WHERE r.rowid = ?";
        let Some(row) = link.row(sqlx::query(query).bind(key.id("row")?)).await? else { continue };
        report.count("raw_replies", 1);
        let name = format!("{} in round {}", row.text("element")?, row.id("round")?);
        if let Some(why) = chain.decode(&row)? {
            report.fault("raw_replies", &name, why);
        }
        if row.opt_digest("raw")? != Some(row.digest("digest")?) {
            report.fault("raw_replies", &name, "the snapshot was read from another reply");
        }
    }
    Ok(())
}

async fn check_openings(link: &mut Link, report: &mut FsckReport, station: i64) -> Result<()> {
    let mut query = sqlx::QueryBuilder::new(OPENINGS);
    query.push("n.station = ").push_bind(station);
    let rows = link.rows(query.build()).await?;
    report.count("openings", rows.len());
    for row in &rows {
        let stored = opening_row(row)?;
        if stored.opening.commitment() != stored.commitment {
            let key = format!("{} {} v{}", stored.opening.dn, stored.opening.attribute, stored.version);
            report.fault("openings", key, "it opens another commitment");
        }
    }
    Ok(())
}

/// Rows looked at in one statement.
const PAGE: u64 = 4_096;

/// Leaves without a gap, each with its hash, and every checkpoint's root over them.
async fn log(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let mut roots = BTreeMap::new();
    for row in link.rows(sqlx::query("SELECT size, root FROM checkpoints")).await? {
        roots.insert(row.number("size")?, row.hash("root")?);
    }
    let mut frontier = Frontier::default();
    loop {
        let page = "SELECT leaf, envelope, hash FROM log_leaves WHERE leaf >= ? ORDER BY leaf LIMIT ?";
        let page = sqlx::query(page).bind(int(frontier.size())?).bind(int(PAGE)?);
        let rows = link.rows(page).await?;
        for row in &rows {
            let index = row.number("leaf")?;
            if index != frontier.size() {
                report.fault("log_leaves", frontier.size(), "the leaf is missing");
                return Ok(());
            }
            let hash = leaf_hash(&row.blob("envelope")?);
            if hash != row.hash("hash")? {
                report.fault("log_leaves", index, "the envelope has another leaf hash");
            }
            frontier.push(hash);
            if roots.remove(&frontier.size()).is_some_and(|root| root != frontier.root()) {
                report.fault("checkpoints", frontier.size(), "the leaves have another root");
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    for size in roots.keys() {
        report.fault("checkpoints", size, "leaves below it are missing");
    }
    Ok(())
}

/// A committed round's counts are those of its stations, and its attestation is the leaf it names.
async fn rounds(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let query = "SELECT r.round, r.expected, r.collected, r.unchanged, r.failed, r.skipped, \
                 r.attestation IS l.envelope OR r.leaf_index IS NULL AS logged, \
                 (SELECT count(*) FROM results s WHERE s.round = r.round) AS n, \
                 (SELECT count(*) FROM results s WHERE s.round = r.round AND s.outcome = 'collected') AS n_collected, \
                 (SELECT count(*) FROM results s WHERE s.round = r.round AND s.outcome = 'unchanged') AS n_unchanged, \
                 (SELECT count(*) FROM results s WHERE s.round = r.round AND s.outcome = 'failed') AS n_failed \
                 FROM rounds r LEFT JOIN log_leaves l ON l.leaf = r.leaf_index WHERE r.finished_at IS NOT NULL";
    for row in link.rows(sqlx::query(query)).await? {
        let round = row.id("round")?;
        let pairs = [
            ("expected", "n"),
            ("collected", "n_collected"),
            ("unchanged", "n_unchanged"),
            ("failed", "n_failed"),
        ];
        for (stated, counted) in pairs {
            if row.id(stated)? != row.id(counted)? {
                report.fault("rounds", round, format!("its {stated} is not the number of its results"));
            }
        }
        if row.id("logged")? == 0 {
            report.fault("rounds", round, "its attestation is not the leaf that it names");
        }
    }
    Ok(())
}
