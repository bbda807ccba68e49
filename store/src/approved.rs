//! Approved state of each station: the baseline's objects as wholes, shared with the snapshots' objects, and over
//! them the single attributes that executed approvals moved.

use std::collections::BTreeMap;

use model::change::BaselineObject;
use model::{ApprovedState, ApprovedValue, Dn, Edit, OBJECT, Object, Value};

use crate::Store;
use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::names;
use crate::objects::{self, Objects, Packer, Roots, with_bases};
use crate::projection::Applied;
use crate::rounds::RoundCommit;

/// An authorised difference whose new value becomes approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    pub element: Dn,
    pub edit: Edit,
    /// The request or standing permission that it rests on.
    pub request: String,
    /// Height at which that became final.
    pub height: u64,
}

/// The part of a baseline that is one station's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineStation {
    pub element: Dn,
    pub objects: Vec<BaselineObject>,
}

/// A station with an approved baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselinedStation {
    pub element: Dn,
    pub request: String,
    /// Height at which the baseline became final.
    pub height: u64,
}

const APPROVED_OBJECTS: &str = with_bases!(
    "SELECT a.object FROM names n JOIN approved_objects a ON a.name = n.id \
     WHERE n.station IN (SELECT value FROM json_each(?))"
);

impl Store {
    /// What was approved for a station; empty before its baseline.
    pub async fn approved_state(&self, element: &Dn) -> Result<ApprovedState> {
        let mut link = self.reader().await?;
        let Some(station) = names::find_station(&mut link, element).await? else {
            return Ok(ApprovedState::default());
        };
        let mut states = states(&mut link, &json(&[station])?).await?;
        Ok(states.remove(&station).unwrap_or_default())
    }

    /// Takes over an approved baseline: the approved state of its stations becomes exactly these objects. The same
    /// request again changes nothing, whatever was approved since.
    pub async fn apply_baseline(
        &self,
        request: &str,
        height: u64,
        stations: &[BaselineStation],
    ) -> Result<Applied> {
        let mut link = self.writer().await?;
        let insert = "INSERT INTO baselines (request, height) VALUES (?, ?) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(request).bind(int(height)?);
        if link.execute(insert).await? == 0 {
            return Ok(Applied::Before);
        }
        for station in stations {
            take_over(&mut link, request, height, station).await?;
        }
        link.commit().await?;
        Ok(Applied::Now)
    }

    /// Stations with an approved baseline, by element.
    pub async fn baselined(&self) -> Result<Vec<BaselinedStation>> {
        let query = "SELECT t.element, b.request, b.height FROM baseline_stations b \
                     JOIN stations t ON t.id = b.station ORDER BY t.element";
        let mut baselined = Vec::new();
        for row in self.reader().await?.rows(sqlx::query(query)).await? {
            let (element, request) = (row.dn("element")?, row.text("request")?);
            baselined.push(BaselinedStation { element, request, height: row.number("height")? });
        }
        Ok(baselined)
    }
}

/// The approved state of these stations, whose numbers are a JSON array; none of one without a baseline.
pub(crate) async fn states(link: &mut Link, stations: &str) -> Result<BTreeMap<i64, ApprovedState>> {
    let mut states: BTreeMap<i64, ApprovedState> = BTreeMap::new();
    let objects = Objects::load(link, sqlx::query(APPROVED_OBJECTS).bind(stations.to_owned())).await?;
    let query = "SELECT n.station, a.object, a.request, a.height FROM names n JOIN approved_objects a \
                 ON a.name = n.id WHERE n.station IN (SELECT value FROM json_each(?))";
    for row in link.rows(sqlx::query(query).bind(stations.to_owned())).await? {
        let state = states.entry(row.id("station")?).or_default();
        let object = objects.object(row.id("object")?)?;
        state.insert_object(object.dn().clone());
        let (request, height) = (row.text("request")?, row.number("height")?);
        for (name, value) in object.attributes() {
            let value = ApprovedValue { value: value.clone(), request: request.clone(), height };
            state.insert(object.dn().clone(), name.clone(), value);
        }
    }
    overlay(link, stations, &mut states).await?;
    Ok(states)
}

async fn overlay(link: &mut Link, stations: &str, states: &mut BTreeMap<i64, ApprovedState>) -> Result<()> {
    let query = "SELECT n.station, n.dn, a.attribute, a.value, a.request, a.height FROM names n \
                 JOIN approved_attributes a ON a.name = n.id \
                 WHERE n.station IN (SELECT value FROM json_each(?))";
    for row in link.rows(sqlx::query(query).bind(stations.to_owned())).await? {
        let (dn, attribute) = (row.dn("dn")?, row.text("attribute")?);
        // The edit is only the vehicle: what moved it was checked before it was stored.
        let edit = Edit {
            object: dn,
            attribute,
            operation: model::Operation::Replace,
            old: None,
            new: row.opt_json::<Value>("value")?,
            moved: false,
        };
        let state = states.entry(row.id("station")?).or_default();
        state.advance(&edit, &row.text("request")?, row.number("height")?);
    }
    Ok(())
}

async fn take_over(link: &mut Link, request: &str, height: u64, baseline: &BaselineStation) -> Result<()> {
    let station = names::station(link, &baseline.element).await?;
    let clear = "DELETE FROM approved_objects WHERE name IN (SELECT id FROM names WHERE station = ?)";
    link.execute(sqlx::query(clear).bind(station)).await?;
    let mark = "INSERT INTO baseline_stations (station, request, height) VALUES (?, ?, ?) \
                ON CONFLICT (station) DO UPDATE SET request = excluded.request, height = excluded.height";
    link.execute(sqlx::query(mark).bind(station).bind(request).bind(int(height)?)).await?;
    let whole = |object: &BaselineObject| {
        let attributes = object.attributes.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        Object::new(object.object.clone(), attributes, Vec::new())
    };
    let objects: Vec<Object> = baseline.objects.iter().map(whole).collect();
    approve_objects(link, station, &objects, request, height).await?;
    moved(link, station).await
}

/// What anybody holds of the station's approved state is out of date.
async fn moved(link: &mut Link, station: i64) -> Result<()> {
    let update = "UPDATE stations SET approved_version = approved_version + 1 WHERE id = ?";
    link.execute(sqlx::query(update).bind(station)).await.map(drop)
}

/// Approves objects as wholes; single attributes approved before are superseded.
async fn approve_objects(
    link: &mut Link,
    station: i64,
    objects: &[Object],
    request: &str,
    height: u64,
) -> Result<()> {
    let height = int(height)?;
    let dns: Vec<Dn> = objects.iter().map(|o| o.dn().clone()).collect();
    let names = names::objects(link, station, &dns).await?;
    let (mut encoded, mut rows) = (Vec::with_capacity(objects.len()), Vec::with_capacity(objects.len()));
    let mut packer = Packer::new()?;
    for object in objects {
        let name = names.get(object.dn()).copied();
        let name = name.ok_or_else(|| StoreError::missing("name", object.dn()))?;
        encoded.push(packer.encode((name, height), object, &Roots::default(), None)?);
        rows.push((name, object.digest().0.to_vec()));
    }
    objects::put(link, &encoded).await?;
    for (name, _) in &rows {
        link.execute(sqlx::query("DELETE FROM approved_attributes WHERE name = ?").bind(name)).await?;
    }
    let head = "INSERT INTO approved_objects (name, object, request, height) ";
    let tail = " ON CONFLICT (name) DO UPDATE SET object = excluded.object, request = excluded.request, \
                height = excluded.height";
    insert_many(link, head, tail, &rows, |tuple, (name, digest)| {
        tuple.push_bind(*name).push("(SELECT id FROM objects WHERE digest = ");
        tuple.push_bind_unseparated(digest.clone()).push_unseparated(")");
        tuple.push_bind(request.to_owned()).push_bind(height);
    })
    .await
    .map(drop)
}

/// Moves approved state by authorised differences, as `ApprovedState::advance` does in memory.
pub(crate) async fn advance(link: &mut Link, commit: &RoundCommit) -> Result<()> {
    for advance in &commit.advances {
        let station = names::station(link, &advance.element).await?;
        let edit = &advance.edit;
        let insert = "INSERT INTO advances (round, station, object, attribute, request, height) \
                      VALUES (?, ?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert).bind(int(commit.round)?).bind(station).bind(edit.object.as_str());
        let insert = insert.bind(edit.attribute.as_str()).bind(advance.request.as_str());
        link.execute(insert.bind(int(advance.height)?)).await?;
        take(link, station, advance).await?;
    }
    Ok(())
}

/// The new side of an edit becomes approved.
pub(crate) async fn take(link: &mut Link, station: i64, advance: &Advance) -> Result<()> {
    moved(link, station).await?;
    let edit = &advance.edit;
    match (edit.attribute.as_str(), &edit.new) {
        (OBJECT, None) => {
            let delete = "DELETE FROM approved_objects WHERE name = \
                          (SELECT id FROM names WHERE station = ? AND dn = ?)";
            link.execute(sqlx::query(delete).bind(station).bind(edit.object.as_str())).await.map(drop)
        }
        (OBJECT, Some(value)) => {
            let attributes = match value {
                Value::Fields(fields) => fields.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
                _ => Vec::new(),
            };
            let object = Object::new(edit.object.clone(), attributes, Vec::new());
            approve_objects(link, station, &[object], &advance.request, advance.height).await
        }
        (attribute, value) => approve_attribute(link, station, advance, attribute, value.as_ref()).await,
    }
}

async fn approve_attribute(
    link: &mut Link,
    station: i64,
    advance: &Advance,
    attribute: &str,
    value: Option<&Value>,
) -> Result<()> {
    let object = &advance.edit.object;
    let name = names::object(link, station, object).await?;
    let known = sqlx::query("SELECT 1 AS found FROM approved_objects WHERE name = ?").bind(name);
    if link.row(known).await?.is_none() {
        if value.is_none() {
            return Ok(());
        }
        let empty = Object::new(object.clone(), Vec::new(), Vec::new());
        approve_objects(link, station, &[empty], &advance.request, advance.height).await?;
    }
    let upsert = "INSERT INTO approved_attributes (name, attribute, value, request, height) VALUES (?, ?, ?, ?, ?) \
                  ON CONFLICT (name, attribute) DO UPDATE SET value = excluded.value, \
                  request = excluded.request, height = excluded.height";
    let upsert = sqlx::query(upsert)
        .bind(name)
        .bind(attribute)
        .bind(value.map(json).transpose()?)
        .bind(advance.request.as_str())
        .bind(int(advance.height)?);
    link.execute(upsert).await.map(drop)
}
