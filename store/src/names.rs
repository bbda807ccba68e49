//! Stations and object names as numbers, so that versions cost bytes and not names.

use std::collections::BTreeMap;

use model::Dn;

use crate::Store;
use crate::columns::{Columns as _, insert_many};
use crate::database::Link;
use crate::error::{Result, StoreError};

impl Store {
    /// The station that was named first, if any was.
    pub async fn first_station(&self) -> Result<Option<Dn>> {
        let query = sqlx::query("SELECT element FROM stations ORDER BY id LIMIT 1");
        self.reader().await?.row(query).await?.map(|row| row.dn("element")).transpose()
    }
}

/// The station's number, a new one if it was never seen.
pub(crate) async fn station(link: &mut Link, element: &Dn) -> Result<i64> {
    if let Some(id) = find_station(link, element).await? {
        return Ok(id);
    }
    let insert = sqlx::query("INSERT INTO stations (element) VALUES (?) RETURNING id").bind(element.as_str());
    let row = link.row(insert).await?;
    row.ok_or_else(|| StoreError::missing("station", element))?.id("id")
}

pub(crate) async fn find_station(link: &mut Link, element: &Dn) -> Result<Option<i64>> {
    let query = sqlx::query("SELECT id FROM stations WHERE element = ?").bind(element.as_str());
    link.row(query).await?.map(|row| row.id("id")).transpose()
}

/// Numbers of objects of one station, new ones for names never seen.
pub(crate) async fn objects(link: &mut Link, station: i64, names: &[Dn]) -> Result<BTreeMap<Dn, i64>> {
    let head = "INSERT INTO names (station, dn) ";
    insert_many(link, head, " ON CONFLICT (station, dn) DO NOTHING", names, |tuple, dn| {
        tuple.push_bind(station).push_bind(dn.to_string());
    })
    .await?;
    let mut found = BTreeMap::new();
    if names.len() > 16 {
        let query = sqlx::query("SELECT id, dn FROM names WHERE station = ?").bind(station);
        for row in link.rows(query).await? {
            found.insert(row.dn("dn")?, row.id("id")?);
        }
        return Ok(found);
    }
    for dn in names {
        let query = sqlx::query("SELECT id FROM names WHERE station = ? AND dn = ?").bind(station);
        if let Some(row) = link.row(query.bind(dn.as_str())).await? {
            found.insert(dn.clone(), row.id("id")?);
        }
    }
    Ok(found)
}

pub(crate) async fn object(link: &mut Link, station: i64, dn: &Dn) -> Result<i64> {
    let found = objects(link, station, std::slice::from_ref(dn)).await?;
    found.get(dn).copied().ok_or_else(|| StoreError::missing("name", dn))
}
