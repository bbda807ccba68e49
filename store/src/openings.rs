//! Openings of the commitments to key attributes: durable, because failing to open one is on record for ever.

use std::collections::BTreeMap;

use anchor::Hash;
use anchor::commitment::{Opening, Salt};
use model::Dn;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;

use crate::Store;
use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::names;
use crate::rounds::{RoundCommit, station_of};

/// A value committed to anew. The commitment follows from the opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedAttribute {
    pub element: Dn,
    /// The object version in which this value appeared; grows for each (object, attribute).
    pub version: u64,
    pub opening: Opening,
}

/// An opening as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOpening {
    pub element: Dn,
    pub version: u64,
    pub opening: Opening,
    pub commitment: Hash,
    /// The first round that attested it.
    pub since: u64,
    /// The round from which it no longer stood.
    pub until: Option<u64>,
}

pub(crate) const OPENINGS: &str = "SELECT t.element, n.dn, o.* FROM openings o JOIN names n ON n.id = o.name \
    JOIN stations t ON t.id = n.station WHERE ";

/// Objects that are asked for by one statement: their names are one value.
const OBJECTS: usize = 4_096;

/// Whose commitments.
#[derive(Clone, Copy)]
enum Of<'a> {
    Stations(&'a [&'a Dn]),
    /// Station and object.
    Objects(&'a [(&'a Dn, &'a Dn)]),
}

impl Store {
    /// Every commitment that stood in `round`, by object and attribute: the attribute map of its attestation.
    pub async fn openings_at(&self, round: u64) -> Result<Vec<StoredOpening>> {
        self.standing(round, None).await
    }

    /// Of them, those of some stations.
    pub async fn openings_at_stations(&self, round: u64, elements: &[&Dn]) -> Result<Vec<StoredOpening>> {
        if elements.is_empty() {
            return Ok(vec![]);
        }
        self.standing(round, Some(Of::Stations(elements))).await
    }

    /// Of them, those of some objects, each named by its station and itself.
    pub async fn openings_at_objects(
        &self,
        round: u64,
        objects: &[(&Dn, &Dn)],
    ) -> Result<Vec<StoredOpening>> {
        let mut standing = Vec::new();
        for objects in objects.chunks(OBJECTS) {
            standing.extend(self.standing(round, Some(Of::Objects(objects))).await?);
        }
        Ok(standing)
    }

    async fn standing(&self, round: u64, of: Option<Of<'_>>) -> Result<Vec<StoredOpening>> {
        // Each row is handed from SQLite's thread to ours, which costs more than what stands in it: one for a station.
        let mut query = sqlx::QueryBuilder::new(
            "SELECT t.element, json_group_array(json_array(n.dn, o.attribute, o.version, lower(hex(o.salt)), o.value, \
             lower(hex(o.commitment)), o.since, o.until)) AS packed FROM ",
        );
        match of {
            Some(Of::Stations(elements)) => {
                query.push("json_each(").push_bind(json(elements)?).push(
                    ") j CROSS JOIN stations t ON t.element = j.value CROSS JOIN names n ON n.station = t.id \
                     CROSS JOIN openings o ON o.name = n.id",
                );
            }
            Some(Of::Objects(objects)) => {
                query.push("json_each(").push_bind(json(objects)?).push(
                    ") j CROSS JOIN stations t ON t.element = j.value ->> 0 \
                     CROSS JOIN names n ON n.station = t.id AND n.dn = j.value ->> 1 \
                     CROSS JOIN openings o ON o.name = n.id",
                );
            }
            None => {
                query.push("openings o JOIN names n ON n.id = o.name JOIN stations t ON t.id = n.station");
            }
        }
        let round = int(round)?;
        query.push(" WHERE o.since <= ").push_bind(round);
        query.push(" AND (o.until IS NULL OR o.until > ").push_bind(round).push(") GROUP BY t.id");
        let rows = self.reader().await?.rows(query.build()).await?;
        let mut standing = Vec::new();
        for row in rows {
            let element = row.dn("element")?;
            for packed in row.json::<Vec<Packed>>("packed")? {
                standing.push(packed.unpacked(element.clone()));
            }
        }
        standing.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        Ok(standing)
    }

    /// The commitments of one object that stood in `round`.
    pub async fn openings_of(&self, object: &Dn, round: u64) -> Result<Vec<StoredOpening>> {
        let condition =
            "n.dn = ?2 AND o.since <= ?1 AND (o.until IS NULL OR o.until > ?1) ORDER BY o.attribute";
        let mut query = sqlx::QueryBuilder::new(OPENINGS);
        query.push(condition);
        let query = query.build().bind(int(round)?).bind(object.to_string());
        self.reader().await?.rows(query).await?.iter().map(opening_row).collect()
    }

    /// All versions of one attribute's commitment, oldest first.
    pub async fn opening_history(&self, object: &Dn, attribute: &str) -> Result<Vec<StoredOpening>> {
        let mut query = sqlx::QueryBuilder::new(OPENINGS);
        query.push("n.dn = ? AND o.attribute = ? ORDER BY o.version");
        let query = query.build().bind(object.to_string()).bind(attribute.to_owned());
        self.reader().await?.rows(query).await?.iter().map(opening_row).collect()
    }
}

fn place(stored: &StoredOpening) -> (&str, &str) {
    (&stored.opening.dn, &stored.opening.attribute)
}

/// A row of `openings` in JSON: DN, attribute, version, salt, value, commitment, since, until; bytes in hexadecimal.
#[derive(Deserialize)]
struct Packed(String, String, u64, Salt, String, Hash, u64, Option<u64>);

impl Packed {
    fn unpacked(self, element: Dn) -> StoredOpening {
        let Packed(dn, attribute, version, salt, value, commitment, since, until) = self;
        let opening = Opening { dn, attribute, value, salt };
        StoredOpening { element, version, opening, commitment, since, until }
    }
}

pub(crate) fn opening_row(row: &SqliteRow) -> Result<StoredOpening> {
    let opening = Opening {
        dn: row.text("dn")?,
        attribute: row.text("attribute")?,
        value: row.text("value")?,
        salt: Salt(row.bytes32("salt")?),
    };
    Ok(StoredOpening {
        element: row.dn("element")?,
        version: row.number("version")?,
        commitment: row.hash("commitment")?,
        since: row.number("since")?,
        until: row.opt_number("until")?,
        opening,
    })
}

/// Ends what is superseded or gone and adds what is new. Part of a round's one transaction.
pub(crate) async fn write(link: &mut Link, commit: &RoundCommit, stations: &BTreeMap<Dn, i64>) -> Result<()> {
    let round = int(commit.round)?;
    let mut rows = Vec::with_capacity(commit.openings.len());
    let mut by_station: BTreeMap<i64, Vec<(Dn, &CommittedAttribute)>> = BTreeMap::new();
    for committed in &commit.openings {
        let dn: Dn = committed.opening.dn.parse().map_err(|e: model::dn::InvalidDn| {
            StoreError::conflict("opening", &committed.opening.dn, e.to_string())
        })?;
        by_station.entry(station_of(stations, &committed.element)?).or_default().push((dn, committed));
    }
    for (station, openings) in by_station {
        let dns: Vec<Dn> = openings.iter().map(|(dn, _)| dn.clone()).collect();
        let names = names::objects(link, station, &dns).await?;
        let mut places = Vec::with_capacity(openings.len());
        for (dn, committed) in openings {
            let name = *names.get(&dn).ok_or_else(|| StoreError::missing("name", &dn))?;
            places.push((name, committed.opening.attribute.as_str()));
            rows.push((name, int(committed.version)?, committed));
        }
        end(link, &places, round).await?;
    }
    let head = "INSERT INTO openings (name, attribute, version, salt, value, commitment, since) ";
    insert_many(link, head, "", &rows, |tuple, (name, version, committed)| {
        let opening = &committed.opening;
        tuple.push_bind(*name).push_bind(opening.attribute.clone()).push_bind(*version);
        tuple.push_bind(opening.salt.0.to_vec()).push_bind(opening.value.clone());
        tuple.push_bind(opening.commitment().0.to_vec()).push_bind(round);
    })
    .await?;
    for (element, object, attribute) in &commit.closed {
        let name = names::object(link, station_of(stations, element)?, object).await?;
        end(link, &[(name, attribute)], round).await?;
    }
    Ok(())
}

/// What stood at these places, names of objects and attributes, stands no more.
async fn end(link: &mut Link, places: &[(i64, &str)], round: i64) -> Result<()> {
    let update = "UPDATE openings SET until = ?1 WHERE until IS NULL AND (name, attribute) IN \
                  (SELECT value ->> 0, value ->> 1 FROM json_each(?2))";
    link.execute(sqlx::query(update).bind(round).bind(json(places)?)).await.map(drop)
}
