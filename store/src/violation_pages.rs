//! Violations as pages ask for them: filtered, one page after the other, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model::{Dn, Severity, Timestamp, ViolationState};
use sqlx::{QueryBuilder, Sqlite};

use crate::Store;
use crate::columns::{Columns as _, int, json};
use crate::error::Result;
use crate::violations::{ViolationRow, violation_row};

/// Which violations; empty fields ask for all.
#[derive(Debug, Clone, Default)]
pub struct ViolationFilter {
    pub states: Vec<ViolationState>,
    pub severities: Vec<Severity>,
    pub rule: Option<String>,
    /// Name of the authorisation, `-` for those of CEL rules.
    pub authorisation: Option<String>,
    pub element: Option<Dn>,
    pub object: Option<Dn>,
    /// Member id of the accountable operator.
    pub operator: Option<String>,
    /// First seen in this round.
    pub first_round: Option<u64>,
    /// Resolved in this round.
    pub resolved_round: Option<u64>,
    /// Part of the id, the object, the attribute, the rule or the message in either language; ASCII letters in any
    /// case.
    pub text: Option<String>,
}

/// Where a page ends: the next one begins behind it, whatever was added meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub first_seen: Timestamp,
    pub id: String,
}

/// Text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a page; hint: take it from the page before")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.first_seen.0, self.id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> std::result::Result<Cursor, InvalidCursor> {
        let (first_seen, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let first_seen = Timestamp(first_seen.parse().map_err(|_| InvalidCursor)?);
        Ok(Cursor { first_seen, id: id.to_owned() })
    }
}

/// Some violations, first seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<ViolationRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// How many violations a filter matches, by each property's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViolationCounts {
    pub total: u64,
    pub by_state: BTreeMap<String, u64>,
    pub by_severity: BTreeMap<String, u64>,
    pub by_rule: BTreeMap<String, u64>,
    pub by_authorisation: BTreeMap<String, u64>,
    pub by_operator: BTreeMap<String, u64>,
}

/// How many violations have these properties, each by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolationTally {
    pub state: String,
    pub severity: String,
    pub rule: String,
    /// `-` for those of CEL rules.
    pub authorisation: String,
    pub count: u64,
}

impl Store {
    /// One page, newest first seen first.
    pub async fn violations(
        &self,
        filter: &ViolationFilter,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT violation, assignee FROM violations WHERE ");
        push_filter(&mut query, filter)?;
        if let Some(cursor) = before {
            query.push(" AND (first_seen_at, id) < (").push_bind(cursor.first_seen.0);
            query.push(", ").push_bind(cursor.id.clone()).push(")");
        }
        query.push(" ORDER BY first_seen_at DESC, id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = self.reader().await?.rows(query.build()).await?;
        let mut rows = rows.iter().map(violation_row).collect::<Result<Vec<_>>>()?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more).map(|row| &row.violation);
        let next = last.map(|v| Cursor { first_seen: v.first_seen.read, id: v.id.clone() });
        Ok(Page { rows, next })
    }

    /// Counts of what a filter matches.
    pub async fn violation_counts(&self, filter: &ViolationFilter) -> Result<ViolationCounts> {
        let mut link = self.reader().await?;
        let columns =
            "SELECT state, severity, rule, authorisation, operator, count(*) AS n FROM violations WHERE ";
        let mut query = QueryBuilder::<Sqlite>::new(columns);
        push_filter(&mut query, filter)?;
        query.push(" GROUP BY state, severity, rule, authorisation, operator");
        let mut counts = ViolationCounts::default();
        for row in link.rows(query.build()).await? {
            let n = row.number("n")?;
            counts.total += n;
            *counts.by_state.entry(row.text("state")?).or_default() += n;
            *counts.by_severity.entry(row.text("severity")?).or_default() += n;
            *counts.by_rule.entry(row.text("rule")?).or_default() += n;
            *counts.by_authorisation.entry(row.text("authorisation")?).or_default() += n;
            *counts.by_operator.entry(row.text("operator")?).or_default() += n;
        }
        Ok(counts)
    }

    /// All violations on record, counted by state, severity, rule and authorisation: what metrics are made of.
    pub async fn violation_tally(&self) -> Result<Vec<ViolationTally>> {
        let query = "SELECT state, severity, rule, authorisation, count(*) AS n FROM violations \
                     GROUP BY state, severity, rule, authorisation";
        let rows = self.reader().await?.rows(sqlx::query(query)).await?;
        let tally = |row: &sqlx::sqlite::SqliteRow| {
            Ok(ViolationTally {
                state: row.text("state")?,
                severity: row.text("severity")?,
                rule: row.text("rule")?,
                authorisation: row.text("authorisation")?,
                count: row.number("n")?,
            })
        };
        rows.iter().map(tally).collect()
    }

    /// The stations with most violations that a filter matches, with their numbers.
    pub async fn violations_by_element(
        &self,
        filter: &ViolationFilter,
        limit: u32,
    ) -> Result<Vec<(Dn, u64)>> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT element, count(*) AS n FROM violations WHERE ");
        push_filter(&mut query, filter)?;
        query.push(" GROUP BY element ORDER BY n DESC, element LIMIT ").push_bind(i64::from(limit));
        let rows = self.reader().await?.rows(query.build()).await?;
        rows.iter().map(|row| Ok((row.dn("element")?, row.number("n")?))).collect()
    }
}

fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &ViolationFilter) -> Result<()> {
    query.push("1 = 1");
    if !filter.states.is_empty() {
        let states: Vec<_> = filter.states.iter().map(|s| s.as_str()).collect();
        query.push(" AND state IN (SELECT value FROM json_each(").push_bind(json(&states)?).push("))");
    }
    if !filter.severities.is_empty() {
        let severities: Vec<_> = filter.severities.iter().map(|s| s.as_str()).collect();
        query.push(" AND severity IN (SELECT value FROM json_each(").push_bind(json(&severities)?).push("))");
    }
    let equal = [
        (" AND rule = ", filter.rule.clone()),
        (" AND authorisation = ", filter.authorisation.clone()),
        (" AND operator = ", filter.operator.clone()),
        (" AND element = ", filter.element.as_ref().map(Dn::to_string)),
        (" AND object = ", filter.object.as_ref().map(Dn::to_string)),
    ];
    for (condition, value) in equal {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(round) = filter.first_round {
        query.push(" AND first_round = ").push_bind(int(round)?);
    }
    if let Some(round) = filter.resolved_round {
        query.push(" AND state = 'resolved' AND json_extract(violation, '$.resolved.round') = ");
        query.push_bind(int(round)?);
    }
    if let Some(text) = &filter.text {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let searched = " AND (id || ' ' || object || ' ' || attribute || ' ' || rule || ' ' || \
                        coalesce(violation ->> '$.message.en', '') || ' ' || \
                        coalesce(violation ->> '$.message.zh', '')) LIKE ";
        query.push(searched).push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
    }
    Ok(())
}
