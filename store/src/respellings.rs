//! What a station's last reply means under the interpretation that a round began: the same configuration in other
//! spellings. Kept for whoever judges the round again without the reply.

use std::collections::BTreeMap;

use model::{Dn, Edit};

use crate::Store;
use crate::approved::{self, Advance};
use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::Link;
use crate::error::Result;
use crate::rounds::{RoundCommit, station_of};

/// One place where the two readings differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respelling {
    pub element: Dn,
    /// From the reading before to the one now.
    pub edit: Edit,
    /// The request, and the height at which it became final, by which the old spelling was approved: then the new one is.
    pub approved: Option<(String, u64)>,
}

impl Store {
    /// The respellings that `round` began with, by station.
    pub async fn respellings(&self, round: u64) -> Result<BTreeMap<Dn, Vec<Edit>>> {
        let query = "SELECT t.element, r.edit FROM respellings r JOIN stations t ON t.id = r.station \
                     WHERE r.round = ? ORDER BY r.id";
        let rows = self.reader().await?.rows(sqlx::query(query).bind(int(round)?)).await?;
        let mut found: BTreeMap<Dn, Vec<Edit>> = BTreeMap::new();
        for row in rows {
            found.entry(row.dn("element")?).or_default().push(row.json("edit")?);
        }
        Ok(found)
    }
}

/// Keeps the respellings, and moves the approved state along without an approval: nothing was changed.
pub(crate) async fn write(link: &mut Link, commit: &RoundCommit, stations: &BTreeMap<Dn, i64>) -> Result<()> {
    let mut rows = Vec::with_capacity(commit.respellings.len());
    for respelling in &commit.respellings {
        let station = station_of(stations, &respelling.element)?;
        rows.push((station, json(&respelling.edit)?));
        if let Some((request, height)) = &respelling.approved {
            let (element, edit) = (respelling.element.clone(), respelling.edit.clone());
            let moved = Advance { element, edit, request: request.clone(), height: *height };
            approved::take(link, station, &moved).await?;
        }
    }
    let round = int(commit.round)?;
    insert_many(
        link,
        "INSERT INTO respellings (round, station, edit) ",
        "",
        &rows,
        |tuple, (station, edit)| {
            tuple.push_bind(round).push_bind(*station).push_bind(edit.clone());
        },
    )
    .await
    .map(drop)
}
