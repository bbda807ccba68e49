//! Whether a disclosure is the round that its origin attested: outcomes, map, openings, objects, records. Pure: what the
//! judge knew before is an argument, and nothing is fetched or stored here.

mod account;
mod map;
mod objects;

use std::collections::BTreeMap;

use anchor::Hash;
use anchor::map::Map;
use anchor::record::{JudgementCounts, ViolationRecord};
use anchor::standing::Moment;
use model::{Agreement, Dn};
use store::{CommittedAttribute, MapUpdate, StationResult, StationSnapshot, StoredOpening, StoredSnapshot};

use super::disclosing::Sight;
use super::disclosure::Disclosure;
use super::finding::Finding;
use crate::pins::InForce;
use crate::round::judging::CompleteRead;

/// What the judge knew of the origin before the round.
#[derive(Debug)]
pub struct Before<'a> {
    /// Hash of the attestation of the last round it looked at; `None`: it begins here.
    pub attestation: Option<Hash>,
    /// The attribute map of that round; `None` if it could not be followed.
    pub map: Option<&'a Map>,
    /// The openings that stood, by object and attribute.
    pub openings: &'a BTreeMap<(String, String), StoredOpening>,
    /// The newest snapshots.
    pub snapshots: &'a BTreeMap<Dn, StoredSnapshot>,
}

/// Blocks between which the origin must have read and judged: its round's opening and attestation on the chain.
#[derive(Debug, Clone, Copy)]
pub struct Heights {
    pub opened: Option<Moment>,
    /// Where the attestation, or the leaf that is it, was final.
    pub attested: Moment,
    /// Height at which the round that was kept before was judged.
    pub since: Option<u64>,
}

impl Heights {
    /// That no round can have been judged at `height`.
    pub fn finding(&self, height: u64) -> Option<Finding> {
        let first = self.opened.map_or(0, |opened| opened.height).max(self.since.unwrap_or(0));
        (!(first..=self.attested.height).contains(&height)).then(|| {
            let en = format!("the round cannot have been judged at height {height}");
            Finding::account("height", en, format!("该轮次不可能在高度 {height} 处判定"))
        })
    }
}

/// A violation as the origin recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub id: String,
    pub commitment: Hash,
    /// `None`: withheld, or not the one committed to.
    pub record: Option<ViolationRecord>,
}

/// A disclosure that was looked through, in the judge's own types.
#[derive(Debug)]
pub struct Checked {
    /// Every agreed station once.
    pub results: Vec<StationResult>,
    pub reads: Vec<CompleteRead>,
    /// Of stations that were collected, or that come whole.
    pub snapshots: Vec<StationSnapshot>,
    /// Openings that are new and do open.
    pub openings: Vec<CommittedAttribute>,
    pub closed: Vec<(Dn, Dn, String)>,
    /// The attested map; `None` if the disclosure does not lead to it.
    pub map: Option<Map>,
    pub update: MapUpdate,
    pub violations: Vec<Recorded>,
    pub findings: Vec<Finding>,
    pub counts: JudgementCounts,
    /// Values that are said to be, or to have been, defaults of a schema.
    pub defaults: u64,
}

/// The judge lacks what the disclosure builds on and must ask for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsWhole;

/// What every step looks at.
struct Look<'a> {
    disclosure: &'a Disclosure,
    in_force: &'a InForce,
    agreement: &'a Agreement,
    sight: Sight<'a>,
    before: &'a Before<'a>,
}

/// Looks a disclosure through. Its attestation was found to be the one that stands for the round.
pub fn check(
    disclosure: &Disclosure,
    in_force: &InForce,
    judge: &str,
    before: &Before<'_>,
    heights: Heights,
) -> Result<Checked, NeedsWhole> {
    if !disclosure.whole && (before.map.is_none() || before.attestation.is_none()) {
        return Err(NeedsWhole);
    }
    let agreement = &in_force.agreement;
    let look = Look { disclosure, in_force, agreement, sight: Sight { agreement, reader: judge }, before };
    let mut findings = Vec::new();
    account::check_story(&look, heights, &mut findings);
    account::check_times(&look, heights, &mut findings);
    let told = account::stations(&look, &mut findings);
    let objects = objects::read(&look, &told, &mut findings)?;
    let mut entries = map::follow(&look, &mut findings);
    objects::compare(&look, &told, &objects, &entries, &mut findings);
    let violations = account::records(&look, &mut findings);
    // A station that left the inventory keeps its entries in the map; nobody judges it any more.
    entries.openings.retain(|committed| told.contains_key(&committed.element));
    entries.closed.retain(|(element, ..)| told.contains_key(element));
    Ok(Checked {
        results: told.into_values().map(|told| told.result).collect(),
        reads: objects.reads,
        snapshots: objects.snapshots,
        openings: entries.openings,
        closed: entries.closed,
        map: entries.map,
        update: entries.update,
        violations,
        findings,
        counts: entries.counts,
        defaults: objects.defaults,
    })
}
