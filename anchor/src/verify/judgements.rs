//! Step `judgements`: what other members' agents judged of exactly this claim, from their own anchored logs.
//!
//! A judge who differs refutes nothing: both verdicts are told. What is not about this claim, not by another party, or
//! not in the judge's anchored log, refutes the bundle that shows it.

use crate::bundle::{Bundle, JudgementEvidence, Role};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::proof::TlogProof;
use crate::record::{Authorisation, JudgementRecord, JudgementVerdict as Verdict, Record, ViolationRecord};
use crate::transaction::{Action, MemberId};
use crate::trust::Trust;

use super::agreement::Rounds;
use super::chain::{Chain, Proven, check_anchor};
use super::log;
use super::record::Claim;
use super::report::{Finding, Gaps, Refuted, StepResult, refuted};

pub(super) fn check(
    bundle: &Bundle,
    claim: &Claim<'_>,
    chain: &Chain,
    rounds: &Rounds<'_>,
    origin: &str,
    trust: &Trust,
) -> StepResult<()> {
    let context = Context { bundle, claim, chain, rounds, origin, trust };
    context.every_anchor_is_needed()?;
    let mut gaps = Gaps::default();
    let mut said = Vec::new();
    for evidence in &bundle.judgements {
        let judge = &evidence.record.judge;
        let sentence = context.judgement(evidence, &mut gaps);
        said.push(sentence.map_err(|Refuted(e)| Refuted(format!("judgement of `{judge}`: {e}")))?);
    }
    let required = context.required();
    for judge in required.iter().filter(|judge| !bundle.judgements.iter().any(|j| j.record.judge == ***judge))
    {
        gaps.add(format!("the second judgement of `{judge}` is required and missing"));
    }
    let finding = gaps.finding(|| format!("{}; {}", context.theirs(), said.join("; ")));
    match finding {
        Finding::Pass(_) if said.is_empty() => {
            Ok(((), Finding::Skipped("no second judgement is shown, none is required".into())))
        }
        finding => Ok(((), finding)),
    }
}

struct Context<'c> {
    bundle: &'c Bundle,
    claim: &'c Claim<'c>,
    chain: &'c Chain,
    rounds: &'c Rounds<'c>,
    origin: &'c str,
    trust: &'c Trust,
}

impl Context<'_> {
    /// Whose judgement the verifier asks for; of a violation only, and never the accused's own.
    fn required(&self) -> Vec<&MemberId> {
        match self.claim {
            Claim::Violation(_) => self.trust.required(&self.trust.file().require.judgement, self.origin),
            _ => vec![],
        }
    }

    fn judgement(&self, evidence: &JudgementEvidence, gaps: &mut Gaps) -> Result<String, Refuted> {
        let record = &evidence.record;
        if record.judge == self.origin {
            return refuted("nobody is its own second judge");
        }
        self.check_party(&record.judge)?;
        let checkpoint = self.logged(evidence)?;
        let anchor = self.anchor(&record.judge)?;
        match anchor {
            Some(anchor) => check_anchor(anchor, &checkpoint, &record.judge, self.trust)?,
            None => gaps.add(format!("no transaction anchors the judgement of `{}`", record.judge)),
        }
        self.check_round(record, anchor, gaps)?;
        match self.claim {
            Claim::Violation(violation) => {
                check_violation(record, violation, self.commitment()?)?;
                Ok(self.verdict(record, gaps))
            }
            Claim::Round(_) => summary(record),
            Claim::Change(_) => refuted("violations and rounds are judged, not single changes"),
        }
    }

    /// Only parties of the agreement are shown what they could judge.
    fn check_party(&self, judge: &MemberId) -> Result<(), Refuted> {
        match &self.rounds.parties {
            Some(parties) if !parties.contains(judge) => {
                refuted("it is not a party of the agreement, which discloses nothing to it")
            }
            _ => Ok(()),
        }
    }

    /// The record's leaf stands in the judge's log, under a checkpoint that the judge and known cosigners signed.
    fn logged(&self, evidence: &JudgementEvidence) -> Result<Checkpoint, Refuted> {
        let proof = TlogProof::parse(evidence.proof.as_bytes()).map_err(|e| Refuted(e.to_string()))?;
        if proof.extra.is_some() {
            return refuted("the tlog-proof has an `extra` line, which nothing authenticates");
        }
        let record = Record::Judgement(Box::new(evidence.record.clone()));
        let leaf = record.envelope(self.trust.chain_id()).and_then(|leaf| leaf.encode());
        let leaf = leaf.map_err(|e| Refuted(e.to_string()))?;
        proof.includes(&leaf).map_err(|e| Refuted(format!("leaf {}: {e}", proof.index)))?;
        let (checkpoint, member) = log::signed(&proof, self.trust)?;
        if *member != evidence.record.judge {
            return refuted(format!("it stands in the log of `{member}`"));
        }
        log::cosigners(&checkpoint, self.trust)?;
        Ok(checkpoint)
    }

    fn anchors(&self) -> impl Iterator<Item = (&Proven, &MemberId)> {
        self.chain.transactions.iter().filter_map(|proven| match &proven.transaction.action {
            Action::AnchorCheckpoint(statement) if proven.role == Role::AnchorJudgement => {
                Some((proven, &statement.origin))
            }
            _ => None,
        })
    }

    fn anchor(&self, judge: &MemberId) -> Result<Option<&Proven>, Refuted> {
        let mut of_judge = self.anchors().filter(|(_, origin)| *origin == judge).map(|(proven, _)| proven);
        let anchor = of_judge.next();
        match of_judge.next() {
            Some(_) => refuted("two transactions anchor it"),
            None => Ok(anchor),
        }
    }

    /// No anchoring rides along without a judgement.
    fn every_anchor_is_needed(&self) -> Result<(), Refuted> {
        let judged = |member: &MemberId| self.bundle.judgements.iter().any(|j| j.record.judge == *member);
        match self.anchors().find(|(_, origin)| !judged(origin)) {
            Some((_, origin)) => {
                refuted(format!("a checkpoint of `{origin}` is anchored for a judgement that is not here"))
            }
            None => Ok(()),
        }
    }

    /// It judged this very attestation of this round, and after that was on chain.
    fn check_round(
        &self,
        record: &JudgementRecord,
        anchor: Option<&Proven>,
        gaps: &mut Gaps,
    ) -> Result<(), Refuted> {
        let round = self.claim.round();
        if record.origin != self.origin || record.round != round {
            let (origin, other) = (&record.origin, record.round);
            return refuted(format!(
                "it is about round {other} of `{origin}`, not round {round} of `{}`",
                self.origin
            ));
        }
        let Some(after) = &self.rounds.after else {
            gaps.add(format!("which attestation `{}` judged cannot be compared", record.judge));
            return Ok(());
        };
        if after.attestation.hash().map_err(|e| Refuted(e.to_string()))? != record.attestation {
            return refuted(format!("it is about another attestation of round {round}"));
        }
        match (anchor, after.attested) {
            (Some(anchor), Some(attested)) if anchor.height <= attested => {
                let height = anchor.height;
                refuted(format!(
                    "it was anchored at {height}, not after the round was attested at {attested}"
                ))
            }
            _ => Ok(()),
        }
    }

    fn commitment(&self) -> Result<Hash, Refuted> {
        let record = self.bundle.record.as_ref().ok_or_else(|| Refuted("no record".into()))?;
        record.commitment().map_err(|e| Refuted(e.to_string()))
    }

    /// What the origin said.
    fn theirs(&self) -> String {
        match self.claim {
            Claim::Violation(record) => match record.authorisation {
                Some(verdict) => format!("{}: {}", self.origin, verdict.as_str()),
                None => format!("{}: a violation of rule {}", self.origin, record.rule),
            },
            _ => format!("{} attested round {}", self.origin, self.claim.round()),
        }
    }

    /// What the judge said. One that could not judge is no second judgement.
    fn verdict(&self, record: &JudgementRecord, gaps: &mut Gaps) -> String {
        let judge = &record.judge;
        let own = record.own.map_or("no violation", Authorisation::as_str);
        match record.verdict {
            Verdict::Same => format!("{judge} judged the same"),
            Verdict::Unjudged => {
                if self.required().contains(&judge) {
                    gaps.add(format!("`{judge}` could not judge it, and its second judgement is required"));
                }
                format!("{judge} could not judge it")
            }
            Verdict::Differs if record.own == record.theirs => {
                format!("{judge} judged otherwise ({}): they differ", line(&record.why))
            }
            Verdict::Differs | Verdict::Missing | Verdict::Extra => {
                format!("{judge} judged {own}: they differ")
            }
        }
    }
}

/// A judge's own words, on one line of a report.
fn line(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// It is about this violation, and its two verdicts say what its comparison says.
fn check_violation(
    record: &JudgementRecord,
    violation: &ViolationRecord,
    commitment: Hash,
) -> Result<(), Refuted> {
    let Some(judged) = &record.violation else {
        return refuted("it is the summary of a round, not about a violation");
    };
    let place = (judged.dn.as_str(), judged.attribute.as_str(), judged.rule.as_str());
    // A judge to whom the record was not disclosed knows its id and its commitment.
    let unread = record.verdict == Verdict::Unjudged && record.theirs.is_none() && place == ("", "", "");
    let told = (violation.dn.as_str(), violation.attribute.as_str(), violation.rule.as_str());
    let same = judged.id == violation.id && judged.commitment == commitment && (unread || place == told);
    if !same || record.id != JudgementRecord::violation_id(&violation.id) {
        return refuted(format!("it is about another violation, `{}`", judged.id));
    }
    if record.counts.is_some() {
        return refuted("only the summary of a round has counts");
    }
    if record.theirs != violation.authorisation && !unread {
        return refuted("it names another verdict of the origin than the record");
    }
    let agrees = record.own == record.theirs;
    let consistent = match record.verdict {
        Verdict::Same => agrees,
        // With the same word it is the severity or a considered request that differs; `why` says which.
        Verdict::Differs => true,
        Verdict::Missing => !agrees || record.theirs.is_none(),
        Verdict::Extra => return refuted("`extra` is for violations that the origin did not record"),
        Verdict::Unjudged => true,
    };
    if consistent {
        return Ok(());
    }
    let verdict = record.verdict.as_str();
    refuted(format!("`{verdict}` does not follow from the two verdicts that it names"))
}

/// It sums a round up.
fn summary(record: &JudgementRecord) -> Result<String, Refuted> {
    let bare = record.violation.is_none() && record.theirs.is_none() && record.own.is_none();
    let id = JudgementRecord::summary_id(&record.origin, record.round);
    let Some(counts) = record.counts.filter(|_| bare && record.id == id) else {
        return refuted("it is not the summary of a round");
    };
    let consistent = match record.verdict {
        Verdict::Same => counts.differing == 0 && counts.undisclosed == 0,
        // Outcomes or records that are not those attested are in no count.
        Verdict::Differs | Verdict::Unjudged => true,
        Verdict::Missing | Verdict::Extra => false,
    };
    if !consistent {
        return refuted(format!("`{}` does not follow from its counts", record.verdict.as_str()));
    }
    Ok(format!(
        "{} judged {}: {} of {} changes opened, {} undisclosed; {} verdicts the same, {} not, {} unjudged",
        record.judge,
        record.verdict.as_str(),
        counts.opened,
        counts.changes,
        counts.undisclosed,
        counts.same,
        counts.differing,
        counts.unjudged
    ))
}
