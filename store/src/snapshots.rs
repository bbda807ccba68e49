//! Snapshots as versions of objects: a round adds only what differed, and the newest snapshot, any earlier one and
//! one object's history are read from the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Digest, Dn, Finding, Interpretation, Object, Snapshot, Timestamp, Value};
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, int, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::names;
use crate::objects::{Objects, root_of, with_bases};

/// A snapshot read back. Volatile attributes are not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    pub element: Dn,
    /// The round that read it; it stood until the next one.
    pub round: u64,
    pub read: Timestamp,
    /// BLAKE3 of the raw reply: an equal reply need not be parsed.
    pub raw: Digest,
    pub snapshot: Arc<Snapshot>,
}

/// What one object was from a round on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    pub round: u64,
    pub read: Timestamp,
    /// `None`: a complete read lacked it.
    pub object: Option<Object>,
}

impl ObjectVersion {
    /// Non-volatile attributes, sorted by name; none where the object was gone.
    pub fn attributes(&self) -> &[(String, Value)] {
        self.object.as_ref().map_or(&[], |o| o.attributes())
    }
}

/// The last round that a database can number.
pub(crate) const NEWEST: u64 = u64::MAX >> 1;

impl Store {
    /// The newest snapshot of a station; `None` before its first complete read.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the objects do not give the stored root.
    pub async fn newest_snapshot(&self, element: &Dn) -> Result<Option<StoredSnapshot>> {
        self.snapshot_at(element, NEWEST).await
    }

    /// The newest snapshot of every station, by element: what a judge's index is built from.
    pub async fn newest_snapshots(&self) -> Result<Vec<StoredSnapshot>> {
        let mut link = self.reader().await?;
        let stations = link.rows(sqlx::query("SELECT id FROM stations ORDER BY element")).await?;
        let stations = stations.iter().map(|row| row.id("id")).collect::<Result<Vec<i64>>>()?;
        let mut snapshots = Vec::new();
        // A question for each station would cost more than its answer.
        for together in stations.chunks(TOGETHER) {
            let mut found = read_at(&mut link, together, i64::MAX).await?;
            snapshots.extend(together.iter().filter_map(|station| found.remove(station)));
        }
        Ok(snapshots)
    }

    /// [`Store::newest_snapshots`] by element, of which `held` are not read again where they are still the newest.
    pub async fn newest_snapshots_beside(
        &self,
        mut held: BTreeMap<Dn, StoredSnapshot>,
    ) -> Result<BTreeMap<Dn, StoredSnapshot>> {
        let mut link = self.reader().await?;
        let query = "SELECT json_group_array(json_array(id, element, \
                     (SELECT max(round) FROM snapshots WHERE station = stations.id))) AS packed \
                     FROM stations GROUP BY id / 1000";
        let (mut newest, mut wanted) = (BTreeMap::new(), Vec::new());
        for (id, element, round) in link.packed::<(i64, Dn, Option<u64>)>(sqlx::query(query)).await? {
            match held.remove(&element).filter(|held| Some(held.round) == round) {
                Some(held) => drop(newest.insert(element, held)),
                None if round.is_some() => wanted.push(id),
                None => {}
            }
        }
        for together in wanted.chunks(TOGETHER) {
            let found = read_at(&mut link, together, i64::MAX).await?.into_values();
            newest.extend(found.map(|stored| (stored.element.clone(), stored)));
        }
        Ok(newest)
    }

    /// The snapshot that stood in `round`: read in it or, unchanged since, before it.
    pub async fn snapshot_at(&self, element: &Dn, round: u64) -> Result<Option<StoredSnapshot>> {
        let mut link = self.reader().await?;
        let Some(station) = names::find_station(&mut link, element).await? else { return Ok(None) };
        Ok(read_at(&mut link, &[station], int(round)?).await?.remove(&station))
    }

    /// All versions of the object with this name, oldest first.
    pub async fn history(&self, dn: &Dn) -> Result<Vec<ObjectVersion>> {
        let mut link = self.reader().await?;
        let statement = with_bases!(
            "SELECT v.object FROM versions v JOIN names n ON n.id = v.name WHERE n.dn = ? AND v.object IS NOT NULL"
        );
        let objects = Objects::load(&mut link, sqlx::query(statement).bind(dn.as_str())).await?;
        let query = "SELECT v.round, v.object, s.read_at FROM names n JOIN versions v ON v.name = n.id \
                     JOIN snapshots s ON s.station = n.station AND s.round = v.round WHERE n.dn = ? ORDER BY v.round";
        let mut versions = Vec::new();
        for row in link.rows(sqlx::query(query).bind(dn.as_str())).await? {
            let object = row.opt_id("object")?.map(|id| objects.object(id)).transpose()?;
            versions.push(ObjectVersion { round: row.number("round")?, read: row.time("read_at")?, object });
        }
        Ok(versions)
    }
}

/// One name of a station and the object it stood for, if any.
pub(crate) struct Standing {
    pub name: i64,
    pub object: Option<StandingObject>,
}

pub(crate) struct StandingObject {
    pub digest: Digest,
    /// The row that its next version is stored over, if there is one.
    pub root: Option<i64>,
}

/// Stations read by one statement.
const TOGETHER: usize = 256;

/// Every name of a station with what it stood for in `round`.
pub(crate) async fn manifest(link: &mut Link, station: i64, round: i64) -> Result<BTreeMap<Dn, Standing>> {
    let query = "SELECT n.id AS name, n.dn, o.id AS object, o.base, o.depth, o.digest FROM names n \
                 LEFT JOIN versions v ON v.name = n.id AND v.round = \
                 (SELECT max(w.round) FROM versions w WHERE w.name = n.id AND w.round <= ?2) \
                 LEFT JOIN objects o ON o.id = v.object WHERE n.station = ?1";
    let mut manifest = BTreeMap::new();
    for row in link.rows(sqlx::query(query).bind(station).bind(round)).await? {
        let object = match row.opt_id("object")? {
            Some(id) => {
                let root = root_of(id, row.opt_id("base")?, row.id("depth")?);
                Some(StandingObject { digest: row.digest("digest")?, root })
            }
            None => None,
        };
        manifest.insert(row.dn("dn")?, Standing { name: row.id("name")?, object });
    }
    Ok(manifest)
}

const OBJECTS: &str = with_bases!(
    "SELECT v.object FROM names n JOIN versions v ON v.name = n.id \
     WHERE n.station IN (SELECT value FROM json_each(?1)) AND v.object IS NOT NULL \
     AND v.round = (SELECT max(w.round) FROM versions w WHERE w.name = n.id AND w.round <= ?2)"
);

/// The snapshots that stood in `round`, by the station's number.
async fn read_at(link: &mut Link, stations: &[i64], round: i64) -> Result<BTreeMap<i64, StoredSnapshot>> {
    let list = json(stations)?;
    let query = "SELECT s.*, t.element FROM snapshots s JOIN stations t ON t.id = s.station \
                 WHERE s.station IN (SELECT value FROM json_each(?1)) AND s.round = \
                 (SELECT max(round) FROM snapshots x WHERE x.station = s.station AND x.round <= ?2)";
    let rows = link.rows(sqlx::query(query).bind(list.clone()).bind(round)).await?;
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let objects = Objects::load(link, sqlx::query(OBJECTS).bind(list.clone()).bind(round)).await?;
    let query = "SELECT n.station, v.object FROM names n JOIN versions v ON v.name = n.id \
                 WHERE n.station IN (SELECT value FROM json_each(?1)) AND v.object IS NOT NULL \
                 AND v.round = (SELECT max(w.round) FROM versions w WHERE w.name = n.id AND w.round <= ?2) \
                 ORDER BY n.dn";
    let mut standing: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in link.rows(sqlx::query(query).bind(list).bind(round)).await? {
        standing.entry(row.id("station")?).or_default().push(row.id("object")?);
    }
    let mut snapshots = BTreeMap::new();
    for row in rows {
        let (station, element, round) = (row.id("station")?, row.dn("element")?, row.number("round")?);
        let ids = standing.remove(&station).unwrap_or_default();
        let snapshot = rebuild(&row, ids.into_iter(), &objects)?;
        if *snapshot.root() != row.digest("root")? {
            let why = format!("the objects of {element} give another root");
            return Err(StoreError::damaged("snapshots", format!("{element} in round {round}"), why));
        }
        let (read, raw) = (row.time("read_at")?, row.digest("raw")?);
        let snapshot = Arc::new(snapshot);
        snapshots.insert(station, StoredSnapshot { element, round, read, raw, snapshot });
    }
    Ok(snapshots)
}

/// The snapshot of a row of `snapshots`, whose root is still to be compared.
pub(crate) fn rebuild(
    row: &SqliteRow,
    ids: impl Iterator<Item = i64>,
    objects: &Objects,
) -> Result<Snapshot> {
    let findings: Vec<Finding> = row.opt_json("findings")?.unwrap_or_default();
    let interpretation = Interpretation(row.digest("interpretation")?);
    let objects = ids.map(|id| objects.object(id)).collect::<Result<_>>()?;
    Ok(Snapshot::new(interpretation, objects, findings))
}
