//! Second judgements: each record gives its commitment, and a mirrored attribute map the root that its round attested.

use anchor::Map;
use anchor::record::{Attestation, JudgementRecord, Record};

use super::FsckReport;
use crate::columns::Columns as _;
use crate::database::Link;
use crate::error::Result;

pub(super) async fn check(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    for row in link.rows(sqlx::query("SELECT id, record, commitment FROM judgements")).await? {
        let record: JudgementRecord = row.json("record")?;
        let commitment = Record::Judgement(Box::new(record)).commitment();
        if commitment.ok() != Some(row.hash("commitment")?) {
            report.fault("judgements", row.text("id")?, "the record has another commitment");
        }
    }
    mirrored_map(link, report).await
}

async fn mirrored_map(link: &mut Link, report: &mut FsckReport) -> Result<()> {
    let newest = "SELECT s.round, r.attestation FROM second_rounds s JOIN rounds r USING (round) \
                  WHERE s.round = (SELECT max(round) FROM second_rounds) AND s.mirrored = 1";
    let Some(row) = link.row(sqlx::query(newest)).await? else { return Ok(()) };
    let attestation: Attestation = match anchor::json::decode(&row.blob("attestation")?) {
        Ok(attestation) => attestation,
        Err(error) => {
            report.fault("rounds", row.number("round")?, format!("its attestation is unreadable: {error}"));
            return Ok(());
        }
    };
    let rows = link.rows(sqlx::query("SELECT key, commitment FROM mirror_attributes")).await?;
    report.count("mirror_attributes", rows.len());
    let entries = rows.iter().map(|row| Ok((row.hash("key")?.0, row.hash("commitment")?.0)));
    let map = Map::from_pairs(entries.collect::<Result<Vec<_>>>()?);
    if map.root() != attestation.attributes_root {
        report.fault(
            "mirror_attributes",
            attestation.round,
            "the mirrored map has another root than was attested",
        );
    }
    Ok(())
}
