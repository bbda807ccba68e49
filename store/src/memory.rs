//! What a judge remembers of stations: all that the judging of a round asks a store, of many stations at once. A question
//! goes to a thread of SQLite and back; one for each station costs ten times its answer.

use std::collections::{BTreeMap, BTreeSet};

use model::violation::AUTHORISATION_RULE;
use model::{ApprovedState, Dn, Timestamp, Violation};

use crate::Store;
use crate::approved;
use crate::columns::{Columns as _, json, parse};
use crate::database::Link;
use crate::error::Result;
use crate::violations::Known;

/// What is remembered of one station.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StationMemory {
    /// `None` where whoever asks holds it.
    pub approved: Option<ApprovedState>,
    /// Grows with each move of the approved state.
    pub approved_version: u64,
    /// Violations that are not resolved, of whatever rule, by object, attribute, rule and id.
    pub open: Vec<Violation>,
    /// (request, object, attribute) of every advance that its approved state has made: an approval counts once.
    pub carried_out: BTreeSet<(String, Dn, String)>,
    /// When it was last read completely.
    pub last_read: Option<Timestamp>,
    /// Places that were seen changed, and when.
    changes: Vec<((Dn, String), Timestamp)>,
}

impl StationMemory {
    /// Open authorisation differences by object and attribute.
    pub fn known_differences(&self) -> BTreeMap<(Dn, String), Known> {
        let open = self.open.iter().filter(|violation| violation.rule == AUTHORISATION_RULE);
        let known = open.filter_map(|violation| {
            let known = Known {
                id: violation.id.clone(),
                new: violation.new.clone(),
                verdict: violation.verdict.clone()?,
                first_seen: violation.first_seen.clone(),
            };
            Some(((violation.object.clone(), violation.attribute.clone()), known))
        });
        known.collect()
    }

    /// How often each place was seen changed at or after `since`.
    pub fn recent_changes(&self, since: Timestamp) -> BTreeMap<(Dn, String), u32> {
        let mut counts = BTreeMap::new();
        for (place, _) in self.changes.iter().filter(|(_, read)| *read >= since) {
            *counts.entry(place.clone()).or_default() += 1;
        }
        counts
    }
}

impl Store {
    /// What is remembered of each of these stations, of changes those since `since`; of one that was never seen, nothing.
    /// Beside a station stands the version of its approved state that the caller holds: that one is not read again.
    pub async fn memory_of(
        &self,
        elements: &[(&Dn, Option<u64>)],
        since: Timestamp,
    ) -> Result<BTreeMap<Dn, StationMemory>> {
        let mut link = self.reader().await?;
        let held: BTreeMap<&str, Option<u64>> =
            elements.iter().map(|(element, version)| (element.as_str(), *version)).collect();
        let query = "SELECT json_group_array(json_array(id, element, read_at, approved_version)) AS packed \
                     FROM stations WHERE element IN (SELECT value FROM json_each(?))";
        let query = sqlx::query(query).bind(json(&held.keys().collect::<Vec<_>>())?);
        let (mut memory, mut wanted) = (Memory::default(), Vec::new());
        for (id, element, read, version) in link.packed::<(i64, Dn, Option<i64>, u64)>(query).await? {
            let is_held = held.get(element.as_str()) == Some(&Some(version));
            if !is_held {
                wanted.push(id);
            }
            let known = StationMemory {
                approved: (!is_held).then(ApprovedState::default),
                approved_version: version,
                last_read: read.map(Timestamp),
                ..StationMemory::default()
            };
            memory.0.insert(id, (element, known));
        }
        for (station, state) in approved::states(&mut link, &json(&wanted)?).await? {
            memory.of(station, |known| known.approved = Some(state));
        }
        let ids = json(&memory.0.keys().collect::<Vec<_>>())?;
        memory.take_violations(&mut link, &ids).await?;
        memory.take_advances(&mut link, &ids).await?;
        memory.take_changes(&mut link, &ids, since).await?;
        Ok(memory.0.into_values().collect())
    }
}

/// By the station's number.
#[derive(Default)]
struct Memory(BTreeMap<i64, (Dn, StationMemory)>);

impl Memory {
    fn of(&mut self, station: i64, take: impl FnOnce(&mut StationMemory)) {
        if let Some((_, known)) = self.0.get_mut(&station) {
            take(known);
        }
    }

    async fn take_violations(&mut self, link: &mut Link, ids: &str) -> Result<()> {
        let query = "SELECT json_group_array(json_array(v.station, v.violation)) AS packed FROM violations v \
                     WHERE v.station IN (SELECT value FROM json_each(?)) AND v.state <> 'resolved' GROUP BY v.station";
        let rows: Vec<(i64, String)> = link.packed(sqlx::query(query).bind(ids.to_owned())).await?;
        for (station, violation) in rows {
            let violation = parse("violation", &violation)?;
            self.of(station, |known| known.open.push(violation));
        }
        let place = |v: &Violation| (v.object.clone(), v.attribute.clone(), v.rule.clone(), v.id.clone());
        for (_, known) in self.0.values_mut() {
            known.open.sort_by_cached_key(place);
        }
        Ok(())
    }

    async fn take_advances(&mut self, link: &mut Link, ids: &str) -> Result<()> {
        let query = "SELECT a.station, a.request, a.object, a.attribute FROM advances a \
                     WHERE a.station IN (SELECT value FROM json_each(?))";
        for row in link.rows(sqlx::query(query).bind(ids.to_owned())).await? {
            let advance = (row.text("request")?, row.dn("object")?, row.text("attribute")?);
            self.of(row.id("station")?, |known| {
                known.carried_out.insert(advance);
            });
        }
        Ok(())
    }

    async fn take_changes(&mut self, link: &mut Link, ids: &str, since: Timestamp) -> Result<()> {
        let query = "SELECT e.station, e.object, e.attribute, r.read_at FROM edits e \
                     JOIN results r ON r.round = e.round AND r.station = e.station \
                     WHERE e.station IN (SELECT value FROM json_each(?)) AND r.read_at >= ?";
        for row in link.rows(sqlx::query(query).bind(ids.to_owned()).bind(since.0)).await? {
            let change = ((row.dn("object")?, row.text("attribute")?), row.time("read_at")?);
            self.of(row.id("station")?, |known| known.changes.push(change));
        }
        Ok(())
    }
}
