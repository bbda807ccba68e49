//! One disclosed round, judged: from what was checked and the judge's own memory to what its second store keeps, what its
//! log gets, and what is disputed.

use std::collections::{BTreeMap, BTreeSet};

use anchor::commitment::{EpochSecret, Nonce};
use anchor::record::{
    Attestation, JudgedViolation, JudgementCounts, JudgementRecord, JudgementRecordFormat, JudgementVerdict,
    Record,
};
use anchor::transaction::{DisputeKind, DisputeStatement};
use anchor::{Hash, json};
use anyhow::{Context as _, Result};
use model::change::Progress;
use model::violation::Sighting;
use model::{Dn, Station, Timestamp, Violation};
use serde::{Deserialize, Serialize};
use store::{
    MapUpdate, RequestProgress, RequestRow, RoundCommit, RoundStart, SecondRound, Store, StoredSnapshot,
};

use super::checking::Checked;
use super::comparing::{self, Comparison, Draft, Told, Unread};
use super::disclosing::Sight;
use super::disclosure::Disclosure;
use super::finding::{About, Finding};
use super::gathering::MAX_WHY;
use crate::pins::InForce;
use crate::round::judging::{self, Seat};
use crate::round::memory::Memory;
use crate::round::records;

/// Most places of one round that become violations of their own; the summary counts all.
const MAX_VIOLATIONS: usize = 200;

/// Most findings that a summary tells in words.
const MAX_TOLD: usize = 3;

/// Who judges, for its records.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    pub member: &'a str,
    /// From it come the nonces of records, so that they can be made again.
    pub epoch: &'a EpochSecret,
}

/// The round as it is told to the judge, with what the judge had.
#[derive(Debug)]
pub struct Case<'a> {
    pub judge: Judge<'a>,
    pub store: &'a Store,
    pub in_force: &'a InForce,
    /// Of the operators beside the origin.
    pub others: &'a [Station],
    pub requests: &'a [RequestRow],
    pub previous: &'a BTreeMap<Dn, StoredSnapshot>,
    pub disclosure: &'a Disclosure,
    /// The judge knew nothing of the origin before, and the origin has earlier rounds.
    pub began: bool,
    /// The chain has the attestation: what is wrong can be disputed there.
    pub attested: bool,
}

/// What a judged round leaves.
#[derive(Debug)]
pub struct Judged {
    pub start: RoundStart,
    pub commit: RoundCommit,
    pub second: SecondRound,
    pub map: MapUpdate,
    /// Findings and differences.
    pub wrong: usize,
}

/// What the main store gets of a judged round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The summary last.
    pub records: Vec<JudgementRecord>,
    pub requests: Vec<Carried>,
}

/// [`RequestProgress`] as it waits for delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub request: String,
    pub progress: Progress,
    pub observed: Vec<(Dn, String)>,
}

impl Carried {
    pub fn progress(self) -> RequestProgress {
        RequestProgress { request: self.request, progress: self.progress, observed: self.observed }
    }
}

/// Judges a checked disclosure.
pub async fn judge(case: &Case<'_>, checked: Checked) -> Result<Judged> {
    let attestation = &case.disclosure.attestation;
    let finished = Timestamp::from_unsigned(attestation.finished);
    let seat = Seat {
        store: case.store,
        origin: &attestation.origin,
        round: attestation.round,
        opened: attestation.opened,
        in_force: case.in_force,
        others: case.others,
        height: case.disclosure.height,
        requests: case.requests,
        sight: Some(case.judge.member),
        finished,
    };
    let found = judging::judge(&seat, &mut Memory::default(), case.previous, &checked.reads).await?;
    let comparison = Comparison {
        round: attestation.round,
        recorded: &checked.violations,
        found: &found,
        findings: &checked.findings,
        sight: Sight { agreement: &case.in_force.agreement, reader: case.judge.member },
        began: case.began,
        unread: &unread(case),
        approved: &approved(case),
    };
    let drafts = comparing::compare(&comparison);
    let hash = attestation.hash().context("the attestation has no canonical form")?;
    let writer = Writer { judge: case.judge, attestation, hash };
    let records = writer.records(&drafts, &checked, case.began)?;
    let disputes = writer.disputes(&drafts, &checked.findings, &records)?;
    let mut violations = found.violations;
    violations.extend(wrong(case, &drafts, &checked.findings));
    let wrong = checked.findings.len() + drafts.iter().filter(|draft| draft.differs()).count();
    let requests = found.requests.iter().map(carried).collect();
    let delivery = serde_json::to_value(Delivery { records, requests }).context("a delivery has no JSON")?;
    let start = start(case, attestation, finished);
    Ok(Judged {
        second: SecondRound {
            round: attestation.round,
            attestation: hash,
            began: case.began,
            mirrored: checked.map.is_some(),
            delivery: Some(delivery),
            disputes: (case.attested && !disputes.is_empty())
                .then(|| serde_json::to_value(disputes))
                .transpose()
                .context("a dispute has no JSON")?,
        },
        commit: RoundCommit {
            round: attestation.round,
            finished,
            height: case.disclosure.height,
            stations: checked.results,
            snapshots: checked.snapshots,
            edits: found.edits,
            respellings: found.respellings,
            advances: found.advances,
            violations,
            requests: found.requests,
            leaves: vec![],
            attestation: Some(json::encode(attestation).context("the attestation has no canonical form")?),
            openings: checked.openings,
            closed: checked.closed,
        },
        start,
        map: checked.update,
        wrong,
    })
}

/// A round of which nothing can be used: its summary and a violation say why, and there is nothing to commit. It is disputed
/// where the chain has its attestation.
pub fn refuse(
    judge: Judge<'_>,
    attestation: &Attestation,
    (hash, attested): (Hash, bool),
    station: &Dn,
    why: Finding,
) -> Result<(SecondRound, Violation)> {
    let writer = Writer { judge, attestation, hash };
    let sighting = sighting(attestation);
    let violation = why.violation(About { origin: &attestation.origin, station, sighting: &sighting });
    let findings = [why];
    let counts = JudgementCounts::default();
    let summary = writer.summary(JudgementVerdict::Unjudged, told(&findings, false).join("; "), counts);
    let records = vec![summary];
    let disputes = writer.disputes(&[], &findings, &records)?;
    let delivery = Delivery { records, requests: vec![] };
    let disputes = attested.then(|| serde_json::to_value(disputes)).transpose();
    let second = SecondRound {
        round: attestation.round,
        attestation: hash,
        began: false,
        mirrored: false,
        delivery: Some(serde_json::to_value(delivery).context("a delivery has no JSON")?),
        disputes: disputes.context("a dispute has no JSON")?,
    };
    Ok((second, violation))
}

/// What concerns a round as a whole was seen when it ended.
fn sighting(attestation: &Attestation) -> Sighting {
    Sighting {
        round: attestation.round,
        opened: attestation.opened,
        after: None,
        read: Timestamp::from_unsigned(attestation.finished),
    }
}

/// Requests that were final at the height at which the origin judged.
fn approved(case: &Case<'_>) -> BTreeSet<String> {
    let height = case.disclosure.height;
    let rows = case.requests.iter();
    let rows = rows.filter(|row| row.subject.finalized.is_some_and(|at| at.height <= height));
    rows.map(|row| row.subject.subject.id.clone()).collect()
}

/// Requests whose body is not here, and the places where the origin says that they were carried out.
fn unread(case: &Case<'_>) -> Unread {
    let lacking = case.requests.iter().filter(|row| {
        row.request.is_none() && row.unfit.is_none() && row.subject.proposed.height <= case.disclosure.height
    });
    let requests: BTreeSet<String> = lacking.map(|row| row.subject.subject.id.clone()).collect();
    let mut places = BTreeMap::new();
    for record in case.disclosure.changes.iter().filter_map(|change| change.record.as_ref()) {
        let Record::Change(change) = record else { continue };
        let named = change.request.as_ref().map(|request| &request.id);
        let Some(id) = named.filter(|id| requests.contains(*id)) else { continue };
        places.extend(change.edits.iter().map(|e| ((e.dn.clone(), e.attribute.clone()), id.clone())));
    }
    Unread { requests, places }
}

fn start(case: &Case<'_>, attestation: &Attestation, finished: Timestamp) -> RoundStart {
    RoundStart {
        origin: attestation.origin.clone(),
        round: attestation.round,
        opened: attestation.opened,
        started: Timestamp::from_unsigned(attestation.started).min(finished),
        pins: case.in_force.pins(),
        expected: case.in_force.inventory.stations.len() as u64,
    }
}

fn carried(progress: &RequestProgress) -> Carried {
    let RequestProgress { request, progress, observed } = progress.clone();
    Carried { request, progress, observed }
}

/// Findings and differences as violations, one for each place.
fn wrong(case: &Case<'_>, drafts: &[Draft], findings: &[Finding]) -> Vec<Violation> {
    let attestation = &case.disclosure.attestation;
    let Some(first) = case.in_force.inventory.stations.first() else { return vec![] };
    let sighting = sighting(attestation);
    let about = About { origin: &attestation.origin, station: &first.element, sighting: &sighting };
    let findings = findings.iter().map(|finding| finding.violation(about));
    let all = findings.chain(drafts.iter().filter_map(|draft| draft.violation(about)));
    let mut known = BTreeSet::new();
    all.filter(|violation| known.insert(violation.id.clone())).take(MAX_VIOLATIONS).collect()
}

/// Makes records.
struct Writer<'a> {
    judge: Judge<'a>,
    attestation: &'a Attestation,
    hash: Hash,
}

impl Writer<'_> {
    /// A record for each draft, and the summary.
    fn records(&self, drafts: &[Draft], checked: &Checked, began: bool) -> Result<Vec<JudgementRecord>> {
        let mut records = drafts.iter().map(|draft| self.record(draft)).collect::<Result<Vec<_>>>()?;
        let count = |which: fn(&Draft) -> bool| drafts.iter().filter(|draft| which(draft)).count() as u64;
        let counts = JudgementCounts {
            same: count(|draft| draft.verdict == JudgementVerdict::Same),
            differing: count(Draft::differs),
            unjudged: count(|draft| draft.verdict == JudgementVerdict::Unjudged),
            ..checked.counts
        };
        let verdict = match checked.findings.is_empty() && counts.differing == 0 {
            true => JudgementVerdict::Same,
            false => JudgementVerdict::Differs,
        };
        let mut why = told(&checked.findings, began);
        for (number, what) in
            [(counts.differing, "verdicts differ"), (counts.unjudged, "could not be judged")]
        {
            if number > 0 {
                why.push(format!("{number} {what}"));
            }
        }
        if checked.defaults > 0 {
            let told = "values came or went as a schema's defaults, which only the origin can tell";
            why.push(format!("{} {told}", checked.defaults));
        }
        if why.is_empty() {
            why.push("all commitments were followed and all verdicts are the same".to_owned());
        }
        records.push(self.summary(verdict, why.join("; "), counts));
        Ok(records)
    }

    fn record(&self, draft: &Draft) -> Result<JudgementRecord> {
        let violation = match &draft.violation {
            Told::Theirs(told) => told.clone(),
            Told::Own(own) => {
                let nonce = self.nonce(&own.id);
                let record: Record = records::violation(own, &self.attestation.origin, nonce)?;
                JudgedViolation {
                    id: own.id.clone(),
                    commitment: record.commitment().context("a violation has no canonical form")?,
                    dn: own.object.to_string(),
                    attribute: own.attribute.clone(),
                    rule: own.rule.clone(),
                }
            }
        };
        Ok(JudgementRecord {
            theirs: draft.theirs,
            own: draft.own,
            violation: Some(violation.clone()),
            ..self.blank(
                JudgementRecord::violation_id(&violation.id),
                draft.verdict,
                bounded(draft.why.en.clone()),
            )
        })
    }

    fn summary(&self, verdict: JudgementVerdict, why: String, counts: JudgementCounts) -> JudgementRecord {
        let id = JudgementRecord::summary_id(&self.attestation.origin, self.attestation.round);
        JudgementRecord { counts: Some(counts), ..self.blank(id, verdict, bounded(why)) }
    }

    /// What all records of the round have in common.
    fn blank(&self, id: String, verdict: JudgementVerdict, why: String) -> JudgementRecord {
        JudgementRecord {
            format: JudgementRecordFormat,
            nonce: self.nonce(&id),
            id,
            judge: self.judge.member.to_owned(),
            origin: self.attestation.origin.clone(),
            round: self.attestation.round,
            attestation: self.hash,
            violation: None,
            verdict,
            theirs: None,
            own: None,
            why,
            counts: None,
        }
    }

    /// Made from a secret and the record's name: a record made again after a loss is the same.
    fn nonce(&self, id: &str) -> Nonce {
        Nonce(
            self.judge
                .epoch
                .salt(&format!("{}/{}", self.attestation.origin, id), "@judgement", self.attestation.round)
                .0,
        )
    }

    /// One dispute for each kind of what is wrong. It names the record that tells: of a single differing verdict its own,
    /// otherwise the summary.
    fn disputes(
        &self,
        drafts: &[Draft],
        findings: &[Finding],
        records: &[JudgementRecord],
    ) -> Result<Vec<DisputeStatement>> {
        let differing: Vec<usize> =
            drafts.iter().enumerate().filter(|(_, draft)| draft.differs()).map(|(place, _)| place).collect();
        let mut kinds: BTreeSet<DisputeKind> = findings.iter().map(|finding| finding.kind).collect();
        kinds.extend((!differing.is_empty()).then_some(DisputeKind::Verdict));
        let summary = records.last();
        let mut disputes = Vec::new();
        for kind in kinds {
            let record = match differing.as_slice() {
                [only] if kind == DisputeKind::Verdict => records.get(*only),
                _ => summary,
            };
            let record = record.context("a round has no summary")?.clone();
            let (origin, round) = (self.attestation.origin.clone(), self.attestation.round);
            disputes.push(DisputeStatement {
                id: DisputeStatement::id_of(self.judge.member, &origin, round, kind),
                origin,
                round,
                attestation: self.hash,
                kind,
                judgement: Record::Judgement(Box::new(record))
                    .commitment()
                    .context("a record has no commitment")?,
            });
        }
        Ok(disputes)
    }
}

/// No longer than others keep it, however long the names are that the origin chose.
pub(super) fn bounded(mut why: String) -> String {
    const CUT: char = '…';
    if why.len() > MAX_WHY {
        let longest = MAX_WHY - CUT.len_utf8();
        let end = (0..=longest).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
        why.truncate(end);
        why.push(CUT);
    }
    why
}

/// The first findings in words, and how many more there are.
fn told(findings: &[Finding], began: bool) -> Vec<String> {
    let mut words: Vec<String> =
        findings.iter().take(MAX_TOLD).map(|finding| finding.text.en.clone()).collect();
    if findings.len() > MAX_TOLD {
        words.push(format!("{} more findings", findings.len() - MAX_TOLD));
    }
    if began {
        words.push("this judge began with this round and cannot say what stood before".to_owned());
    }
    words
}
