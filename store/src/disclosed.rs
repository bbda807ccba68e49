//! What one round changed, for whoever is told of it: objects, and entries of the attribute map.

use std::collections::BTreeMap;

use model::{Dn, Interpretation, Object, Timestamp};

use crate::Store;
use crate::columns::{Columns as _, int};
use crate::error::Result;
use crate::objects::{Objects, with_bases};
use crate::openings::{OPENINGS, StoredOpening, opening_row};

/// A station whose configuration a round read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedStation {
    pub element: Dn,
    pub interpretation: Interpretation,
    /// No complete read came before: the objects are all there are.
    pub first: bool,
    /// Objects that were not so before, by DN.
    pub objects: Vec<Object>,
    /// Objects that were there before.
    pub gone: Vec<Dn>,
}

/// Openings of stations that round `?1` collected: through the primary keys, since history has no index by round.
const OF_CHANGED: &str = "o.name IN (SELECT c.id FROM results r JOIN snapshots s ON s.station = r.station \
    AND s.round = r.round JOIN names c ON c.station = s.station WHERE r.round = ?1)";

impl Store {
    /// The stations that `round` collected, with what differed from the read before.
    pub async fn changed_stations(&self, round: u64) -> Result<Vec<ChangedStation>> {
        let mut link = self.reader().await?;
        let number = int(round)?;
        let all = with_bases!(
            "SELECT v.object FROM results r JOIN snapshots s ON s.station = r.station AND s.round = r.round \
             JOIN names n ON n.station = s.station JOIN versions v ON v.name = n.id AND v.round = r.round \
             WHERE r.round = ? AND v.object IS NOT NULL"
        );
        let objects = Objects::load(&mut link, sqlx::query(all).bind(number)).await?;
        let stations = "SELECT t.id, t.element, s.interpretation, NOT EXISTS (SELECT 1 FROM snapshots b \
                        WHERE b.station = s.station AND b.round < s.round) AS first \
                        FROM results r JOIN snapshots s ON s.station = r.station AND s.round = r.round \
                        JOIN stations t ON t.id = s.station WHERE r.round = ? ORDER BY t.element";
        let mut changed = Vec::new();
        for row in link.rows(sqlx::query(stations).bind(number)).await? {
            let mut station = ChangedStation {
                element: row.dn("element")?,
                interpretation: Interpretation(row.digest("interpretation")?),
                first: row.id("first")? == 1,
                objects: vec![],
                gone: vec![],
            };
            let versions = "SELECT n.dn, v.object FROM names n JOIN versions v ON v.name = n.id AND v.round = ? \
                            WHERE n.station = ? ORDER BY n.dn";
            for version in link.rows(sqlx::query(versions).bind(number).bind(row.id("id")?)).await? {
                match version.opt_id("object")? {
                    Some(id) => station.objects.push(objects.object(id)?),
                    None => station.gone.push(version.dn("dn")?),
                }
            }
            changed.push(station);
        }
        Ok(changed)
    }

    /// Rounds past `after` whose attestation stands below `size` in the log, ascending, with the attestation's bytes.
    pub async fn anchored_rounds(&self, after: u64, size: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>> {
        let query = "SELECT round, attestation FROM rounds WHERE round > ? AND leaf_index < ? \
                     AND attestation IS NOT NULL ORDER BY round LIMIT ?";
        let query = sqlx::query(query).bind(int(after)?).bind(int(size)?).bind(i64::from(limit));
        let rows = self.reader().await?.rows(query).await?;
        rows.iter().map(|row| Ok((row.number("round")?, row.blob("attestation")?))).collect()
    }

    /// When each station was last read completely before `round`.
    pub async fn reads_before(&self, round: u64) -> Result<BTreeMap<Dn, Timestamp>> {
        // SQLite takes a bare column from the row that has the maximum.
        let query = "SELECT t.element, r.read_at, max(r.round) FROM results r JOIN stations t ON t.id = r.station \
                     WHERE r.round < ? AND r.outcome IN ('collected', 'unchanged') GROUP BY r.station";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        rows.iter().map(|row| Ok((row.dn("element")?, row.time("read_at")?))).collect()
    }

    /// Commitments that `round` made, and those that it ended without another one in their place.
    pub async fn openings_changed(&self, round: u64) -> Result<(Vec<StoredOpening>, Vec<StoredOpening>)> {
        let mut link = self.reader().await?;
        let mut made = sqlx::QueryBuilder::new(OPENINGS);
        made.push(OF_CHANGED).push(" AND o.since = ?1 ORDER BY n.dn, o.attribute");
        let made = link.rows(made.build().bind(int(round)?)).await?;
        let mut ended = sqlx::QueryBuilder::new(OPENINGS);
        ended.push(OF_CHANGED);
        ended.push(
            " AND o.until = ?1 AND NOT EXISTS (SELECT 1 FROM openings p WHERE p.name = o.name \
             AND p.attribute = o.attribute AND p.since = ?1) ORDER BY n.dn, o.attribute",
        );
        let ended = link.rows(ended.build().bind(int(round)?)).await?;
        let read =
            |rows: Vec<sqlx::sqlite::SqliteRow>| rows.iter().map(opening_row).collect::<Result<Vec<_>>>();
        Ok((read(made)?, read(ended)?))
    }
}
