//! What a second judge keeps of a foreign origin, in a store of that origin's: its rounds as judged here, the mirror of
//! its attribute map, and what of that the main store and the chain have still to get.
//!
//! The steps, each safe to repeat, and what a crash after it leaves:
//! 1. [`crate::Store::commit_second`]: the round is judged for good, its records wait in `delivery`.
//! 2. [`crate::Store::add_own_judgements`] in the main store: records and leaves stand there, by id. Done again, it adds
//!    nothing.
//! 3. [`crate::Store::mark_delivered`]: only disputes are left.
//! 4. [`crate::Store::mark_disputed`], once the chain has them.

use anchor::Hash;
use model::Violation;
use serde_json::Value as Json;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::Link;
use crate::error::Result;
use crate::rounds::{self, Committed, RoundCommit, RoundStart};
use crate::seal::seal;
use crate::violations;

/// A round of a foreign origin that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondRound {
    pub round: u64,
    /// Hash of the attestation that stands for it: the chain's, where the chain has one.
    pub attestation: Hash,
    /// The judge knew nothing of the origin before it.
    pub began: bool,
    /// The attribute map of this round is mirrored.
    pub mirrored: bool,
    /// What the main store has still to get.
    pub delivery: Option<Json>,
    /// What is still to be put on the chain.
    pub disputes: Option<Json>,
}

/// What a round does to the mirror of the attribute map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapUpdate {
    /// It was disclosed whole.
    Whole(Vec<(Hash, Hash)>),
    /// Keys with their new commitments; `None` for those that are gone.
    Delta(Vec<(Hash, Option<Hash>)>),
    /// It could not be followed; the next round needs the whole.
    Lost,
}

impl Store {
    /// Begins and writes a judged round, what is to be delivered of it, and the mirror of its map, in one transaction.
    ///
    /// # Errors
    /// As [`Store::begin_round`] and [`Store::commit_round`].
    pub async fn commit_second(
        &self,
        start: &RoundStart,
        commit: &RoundCommit,
        second: &SecondRound,
        map: &MapUpdate,
    ) -> Result<Committed> {
        let mut link = self.writer().await?;
        let done =
            sqlx::query("SELECT 1 AS found FROM second_rounds WHERE round = ?").bind(int(start.round)?);
        if link.row(done).await?.is_some() {
            return Ok(Committed::AlreadyCommitted);
        }
        rounds::begin(&mut link, start).await?;
        if rounds::write(&mut link, commit, self.config().keep_raw).await? == Committed::AlreadyCommitted {
            return Ok(Committed::AlreadyCommitted);
        }
        update_map(&mut link, map).await?;
        insert(&mut link, second).await?;
        seal(&mut link, &["second_rounds"]).await?;
        link.commit().await?;
        Ok(Committed::Now)
    }

    /// Notes a round of which nothing could be used, and the violation that says so.
    pub async fn refuse_second(&self, second: &SecondRound, why: &Violation) -> Result<()> {
        let mut link = self.writer().await?;
        insert(&mut link, second).await?;
        violations::add(&mut link, why).await?;
        seal(&mut link, &["second_rounds"]).await?;
        link.commit().await
    }

    /// The newest round that was looked at.
    pub async fn last_second(&self) -> Result<Option<SecondRound>> {
        let query = sqlx::query("SELECT * FROM second_rounds ORDER BY round DESC LIMIT 1");
        self.reader().await?.row(query).await?.as_ref().map(second_row).transpose()
    }

    /// Rounds with something left to deliver or to dispute, oldest first.
    pub async fn unfinished_seconds(&self) -> Result<Vec<SecondRound>> {
        let query =
            "SELECT * FROM second_rounds WHERE delivery IS NOT NULL OR disputes IS NOT NULL ORDER BY round";
        self.reader().await?.rows(sqlx::query(query)).await?.iter().map(second_row).collect()
    }

    /// The main store has what was to be delivered of a round.
    pub async fn mark_delivered(&self, round: u64) -> Result<()> {
        self.finish_second(
            "UPDATE second_rounds SET delivery = NULL, seal = zeroblob(32) WHERE round = ?",
            round,
        )
        .await
    }

    /// The chain has, or for good refused, what was to be disputed of a round.
    pub async fn mark_disputed(&self, round: u64) -> Result<()> {
        self.finish_second(
            "UPDATE second_rounds SET disputes = NULL, seal = zeroblob(32) WHERE round = ?",
            round,
        )
        .await
    }

    async fn finish_second(&self, update: &'static str, round: u64) -> Result<()> {
        let mut link = self.writer().await?;
        link.execute(sqlx::query(update).bind(int(round)?)).await?;
        seal(&mut link, &["second_rounds"]).await?;
        link.commit().await
    }

    /// The mirrored attribute map: keys and commitments.
    pub async fn mirrored_attributes(&self) -> Result<Vec<(Hash, Hash)>> {
        let query = sqlx::query("SELECT key, commitment FROM mirror_attributes ORDER BY key");
        let rows = self.reader().await?.rows(query).await?;
        rows.iter().map(|row| Ok((row.hash("key")?, row.hash("commitment")?))).collect()
    }
}

async fn update_map(link: &mut Link, map: &MapUpdate) -> Result<()> {
    let set: Vec<(Hash, Hash)> = match map {
        MapUpdate::Lost => return Ok(()),
        MapUpdate::Whole(entries) => {
            link.execute(sqlx::query("DELETE FROM mirror_attributes")).await?;
            entries.clone()
        }
        MapUpdate::Delta(changes) => {
            for (key, _) in changes.iter().filter(|(_, commitment)| commitment.is_none()) {
                let delete = sqlx::query("DELETE FROM mirror_attributes WHERE key = ?");
                link.execute(delete.bind(key.0.to_vec())).await?;
            }
            changes.iter().filter_map(|(key, commitment)| Some((*key, (*commitment)?))).collect()
        }
    };
    let head = "INSERT INTO mirror_attributes (key, commitment) ";
    let tail = " ON CONFLICT (key) DO UPDATE SET commitment = excluded.commitment";
    insert_many(link, head, tail, &set, |tuple, (key, commitment)| {
        tuple.push_bind(key.0.to_vec()).push_bind(commitment.0.to_vec());
    })
    .await
    .map(drop)
}

/// The first word on a round stays.
async fn insert(link: &mut Link, second: &SecondRound) -> Result<()> {
    let insert = "INSERT INTO second_rounds (round, attestation, began, mirrored, delivery, disputes) \
                  VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(int(second.round)?)
        .bind(second.attestation.0.to_vec())
        .bind(i64::from(second.began))
        .bind(i64::from(second.mirrored))
        .bind(second.delivery.as_ref().map(json).transpose()?)
        .bind(second.disputes.as_ref().map(json).transpose()?);
    link.execute(insert).await.map(drop)
}

fn second_row(row: &SqliteRow) -> Result<SecondRound> {
    Ok(SecondRound {
        round: row.number("round")?,
        attestation: row.hash("attestation")?,
        began: row.id("began")? == 1,
        mirrored: row.id("mirrored")? == 1,
        delivery: row.opt_json("delivery")?,
        disputes: row.opt_json("disputes")?,
    })
}
