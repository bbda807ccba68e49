//! The figures of all races, for people and as JSON.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::Arguments;
use crate::meter::Race;

#[derive(Debug, Default, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub race: String,
    pub contestant: &'static str,
    pub figure: f64,
    pub unit: &'static str,
    /// Its CPU time divided by ours.
    pub ratio: f64,
    /// The ratio expected of it anywhere.
    pub at_least: Option<f64>,
    /// What it leaves out, or does besides.
    pub note: &'static str,
}

impl Table {
    /// Runs a race, unless others were asked for.
    pub fn run(&mut self, arguments: &Arguments, mut race: Race<'_>) -> Result<()> {
        if !race.name.contains(&arguments.only) {
            return Ok(());
        }
        let seconds = race.run(arguments.passes, Duration::from_millis(arguments.turn_ms));
        let ours = *seconds.first().context("a race without contestants")?;
        self.rows.extend(race.contestants.iter().zip(seconds).map(|(contestant, seconds)| Row {
            race: race.name.clone(),
            contestant: contestant.name,
            figure: race.unit.figure(seconds),
            unit: race.unit.name(),
            ratio: seconds / ours,
            at_least: contestant.at_least,
            note: contestant.note,
        }));
        Ok(())
    }

    /// Figures of a program of its own, beside the last race that was run.
    pub fn beside(&mut self, figures: &[(&'static str, f64)], note: &'static str) -> Result<()> {
        let last = self.rows.last().context("a peer beside no race")?.race.clone();
        let ours = self.rows.iter().find(|row| row.race == last).context("a race without contestants")?;
        let (unit, ours) = (ours.unit, ours.figure);
        self.rows.extend(figures.iter().map(|(contestant, figure)| Row {
            race: last.clone(),
            contestant,
            figure: *figure,
            unit,
            ratio: figure / ours,
            at_least: None,
            note,
        }));
        Ok(())
    }

    /// Rows whose ratio is below what is expected.
    pub fn short(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.at_least.is_some_and(|least| row.ratio < least)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut race = "";
        for row in &self.rows {
            if row.race != race {
                race = &row.race;
                writeln!(f, "{race}")?;
            }
            let Row { contestant, figure, unit, ratio, note, .. } = row;
            writeln!(f, "  {contestant:34} {figure:>12.2} {unit:4} {ratio:>9.2} ×  {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ratio_below_its_floor_is_short() {
        let row = |ratio, at_least| Row {
            race: "read".into(),
            contestant: "peer",
            figure: 1.0,
            unit: "µs",
            ratio,
            at_least,
            note: "",
        };
        let table = Table { rows: vec![row(0.5, None), row(1.9, Some(2.0)), row(2.1, Some(2.0))] };
        assert_eq!(table.short().iter().map(|row| row.ratio).collect::<Vec<_>>(), [1.9]);
        assert!(table.to_string().starts_with("read\n"));
    }
}
