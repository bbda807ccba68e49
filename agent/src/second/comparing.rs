//! The origin's verdicts beside the judge's own: same, different, missing, extra. Pure; says no value of any attribute.

use std::collections::{BTreeMap, BTreeSet};

use anchor::record::{Authorisation, JudgedViolation, JudgementVerdict, ViolationRecord};
use model::violation::{AUTHORISATION_RULE, RuleOutcome};
use model::{Dn, OBJECT, Text, Violation};
use store::RoundEdit;

use super::checking::Recorded;
use super::disclosing::Sight;
use super::finding::{self, About, Finding};
use crate::round::judging::{Found, Place};

/// One judgement of one violation, before it becomes a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// As in the record; its commitment is the origin's, `None` for one that only the judge finds.
    pub violation: Told,
    pub verdict: JudgementVerdict,
    pub theirs: Option<Authorisation>,
    pub own: Option<Authorisation>,
    pub why: Text,
}

/// The violation that a draft is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The origin's, by its record's id and commitment.
    Theirs(JudgedViolation),
    /// Only the judge's.
    Own(Box<Violation>),
}

/// What the comparison rests on.
#[derive(Debug)]
pub struct Comparison<'a> {
    pub round: u64,
    pub recorded: &'a [Recorded],
    pub found: &'a Found,
    pub findings: &'a [Finding],
    pub sight: Sight<'a>,
    /// The judge knew nothing of the origin before: what stood already, the origin recorded in an earlier round.
    pub began: bool,
    pub unread: &'a Unread,
    /// Requests that were final when the origin judged, so that it had approved and read them.
    pub approved: &'a BTreeSet<String>,
}

/// Requests that the judge could not read, for want of their bodies.
#[derive(Debug, Default)]
pub struct Unread {
    pub requests: BTreeSet<String>,
    /// What the origin's changes rest on among them, by object and attribute.
    pub places: BTreeMap<(String, String), String>,
}

type Key = (Dn, String, String);

/// A draft for each violation that the origin recorded, then one for each that only the judge finds.
pub fn compare(comparison: &Comparison<'_>) -> Vec<Draft> {
    let standing: BTreeMap<Key, &Violation> = comparison
        .found
        .violations
        .iter()
        .filter(|v| v.resolved.is_none())
        .map(|v| ((v.object.clone(), v.attribute.clone(), v.rule.clone()), v))
        .collect();
    let mut drafts = Vec::new();
    let mut recorded = BTreeSet::new();
    for theirs in comparison.recorded {
        let Some(record) = &theirs.record else {
            drafts.push(unread(theirs));
            continue;
        };
        let key = record.dn.parse::<Dn>().ok().map(|dn| (dn, record.attribute.clone(), record.rule.clone()));
        let own = key.as_ref().and_then(|key| standing.get(key).copied());
        drafts.push(comparison.judge(theirs, record, own));
        recorded.extend(key);
    }
    for (key, own) in standing {
        if own.first_seen.round == comparison.round && !recorded.contains(&key) {
            drafts.extend(comparison.extra(own));
        }
    }
    drafts
}

/// A record that is withheld, or is not what was committed to.
fn unread(theirs: &Recorded) -> Draft {
    Draft {
        violation: Told::Theirs(JudgedViolation {
            id: theirs.id.clone(),
            commitment: theirs.commitment,
            dn: String::new(),
            attribute: String::new(),
            rule: String::new(),
        }),
        verdict: JudgementVerdict::Unjudged,
        theirs: None,
        own: None,
        why: Text::new("its record was not disclosed", "其记录未予披露"),
    }
}

impl Comparison<'_> {
    fn judge(&self, theirs: &Recorded, record: &ViolationRecord, own: Option<&Violation>) -> Draft {
        let place = record.dn.parse::<Dn>().ok().map(|dn| (dn, record.attribute.clone()));
        let found = own.map_or_else(|| place.as_ref().and_then(|place| self.allowed(place)), recorded);
        let (verdict, why) = self.weigh(record, place.as_ref(), own, found);
        Draft {
            violation: Told::Theirs(JudgedViolation {
                id: theirs.id.clone(),
                commitment: theirs.commitment,
                dn: record.dn.clone(),
                attribute: record.attribute.clone(),
                rule: record.rule.clone(),
            }),
            verdict,
            theirs: record.authorisation,
            own: found.filter(|_| record.rule == AUTHORISATION_RULE),
            why,
        }
    }

    fn weigh(
        &self,
        record: &ViolationRecord,
        place: Option<&Place>,
        own: Option<&Violation>,
        found: Option<Authorisation>,
    ) -> (JudgementVerdict, Text) {
        if let Some(own) = own.filter(|_| record.rule != AUTHORISATION_RULE || found == record.authorisation)
        {
            return self.same_word(record, own);
        }
        if let Some(why) = place.and_then(|place| self.beyond(place, &record.rule)) {
            return (JudgementVerdict::Unjudged, why);
        }
        let place = (record.dn.clone(), record.attribute.clone());
        let considered = record.considered.iter().map(|considered| &considered.request);
        let mut rests = considered.filter(|id| self.unread.requests.contains(*id));
        if let Some(id) = rests.next().or_else(|| self.unread.places.get(&place)) {
            return (JudgementVerdict::Unjudged, lacking(id));
        }
        let theirs = record.authorisation.map_or("violated", Authorisation::as_str);
        match own {
            Some(own) if own.first_seen.round < self.round => {
                let (round, word) = (own.first_seen.round, found.map_or("violated", Authorisation::as_str));
                let why = Text::new(
                    format!(
                        "judged {word} in round {round}, where it was first seen, and it stands since then"
                    ),
                    format!("首见于第 {round} 轮，当时判为 {word}，至今未变"),
                );
                (JudgementVerdict::Unjudged, why)
            }
            Some(_) => {
                let word = found.map_or("violated", Authorisation::as_str);
                let why = Text::new(
                    format!("judged {word}, the origin judged {theirs}"),
                    format!("复判为 {word}，原判为 {theirs}"),
                );
                (JudgementVerdict::Differs, why)
            }
            None => {
                let word = found.map_or("no violation", Authorisation::as_str);
                let why = Text::new(
                    format!("found {word}, the origin recorded {theirs}"),
                    format!("复判未发现违规（{word}），原记录为 {theirs}"),
                );
                (JudgementVerdict::Missing, why)
            }
        }
    }

    /// Both say the same of one place. The rest of the record may still tell another story.
    fn same_word(&self, record: &ViolationRecord, own: &Violation) -> (JudgementVerdict, Text) {
        if own.outcome == RuleOutcome::Indeterminate {
            let why = Text::new("the rule cannot be decided with what is here", "依现有数据无法判定该规则");
            return (JudgementVerdict::Unjudged, why);
        }
        let severity = own.severity.as_str();
        if severity != record.severity {
            let why = Text::new(
                format!("judged {severity}, the origin recorded {}", record.severity),
                format!("复判的严重程度为 {severity}，原记录为 {}", record.severity),
            );
            return (JudgementVerdict::Differs, why);
        }
        if let Some(request) = self.another_request(record, own) {
            let why = Text::new(
                format!("the origin considered request {request} otherwise"),
                format!("原方对变更申请 {request} 的考量不同"),
            );
            return (JudgementVerdict::Differs, why);
        }
        (JudgementVerdict::Same, Text::new("the same verdict", "结论相同"))
    }

    /// An approved request that nearly allowed the change to one side and not, or otherwise, to the other. Only for what both
    /// saw first in this round with all values and bodies at hand; of others the origin may not have had the body yet.
    fn another_request(&self, record: &ViolationRecord, own: &Violation) -> Option<String> {
        if own.first_seen.round != self.round || !self.sight.is_full() || !self.unread.requests.is_empty() {
            return None;
        }
        let approved = |(request, _): &(&str, &str)| self.approved.contains(*request);
        let theirs: BTreeSet<(&str, &str)> = record
            .considered
            .iter()
            .map(|c| (c.request.as_str(), c.verdict.as_str()))
            .filter(approved)
            .collect();
        let verdict = own.verdict.as_ref();
        let considered = verdict.map(|verdict| verdict.considered.as_slice()).unwrap_or_default();
        let ours = considered.iter().map(|c| (c.request.as_str(), c.authorisation.as_str()));
        let ours = ours.filter(approved).collect();
        let other = theirs.symmetric_difference(&ours).next();
        other.map(|(request, _)| (*request).to_owned())
    }

    /// A violation that the origin did not record, unless it may have done so before the judge began.
    fn extra(&self, own: &Violation) -> Option<Draft> {
        let place = (own.object.clone(), own.attribute.clone());
        if self.began || self.beyond(&place, &own.rule).is_some() {
            return None;
        }
        let word = recorded(own).map_or("violated", Authorisation::as_str);
        let rests = self.unread.places.get(&(own.object.to_string(), own.attribute.clone()));
        let (verdict, why) = match rests.filter(|_| own.rule == AUTHORISATION_RULE) {
            Some(id) => (JudgementVerdict::Unjudged, lacking(id)),
            None => {
                let en = format!("judged {word}, the origin recorded nothing");
                (JudgementVerdict::Extra, Text::new(en, format!("复判为 {word}，原方未记录")))
            }
        };
        Some(Draft {
            violation: Told::Own(Box::new(own.clone())),
            verdict,
            theirs: None,
            own: recorded(own),
            why,
        })
    }

    /// Why the judge could not judge there.
    fn beyond(&self, place: &Place, rule: &str) -> Option<Text> {
        let unclear = |finding: &Finding| {
            finding.place.as_ref().is_some_and(|(object, attribute)| {
                *object == place.0
                    && (*attribute == place.1 || [attribute, &place.1].contains(&&OBJECT.to_owned()))
            })
        };
        if self.findings.iter().any(unclear) {
            return Some(Text::new("its value is not the one committed to", "其值与承诺不符"));
        }
        if self.sight.is_full() {
            return None;
        }
        let whole = rule != AUTHORISATION_RULE || place.1 == OBJECT;
        (whole || !self.sight.sees(&place.0, &place.1))
            .then(|| Text::new("the agreement withholds values it rests on", "协议不允许查看其所依据的值"))
    }

    /// The judge's word on an edit that it found allowed.
    fn allowed(&self, place: &Place) -> Option<Authorisation> {
        let at = |edit: &&RoundEdit| (&edit.edit.object, &edit.edit.attribute) == (&place.0, &place.1);
        let edit = self.found.edits.iter().find(at)?;
        Authorisation::of_name(edit.authorisation?.as_str())
    }
}

fn lacking(request: &str) -> Text {
    Text::new(
        format!("it rests on request {request}, whose body is not here"),
        format!("其依据的变更申请 {request} 的正文不在此处"),
    )
}

fn recorded(violation: &Violation) -> Option<Authorisation> {
    Authorisation::of_name(violation.verdict.as_ref()?.authorisation.as_str())
}

impl Draft {
    pub fn differs(&self) -> bool {
        matches!(
            self.verdict,
            JudgementVerdict::Differs | JudgementVerdict::Missing | JudgementVerdict::Extra
        )
    }

    /// A difference as a violation of the judged round.
    pub fn violation(&self, about: About<'_>) -> Option<Violation> {
        let place = match &self.violation {
            Told::Theirs(told) => (told.dn.parse::<Dn>().ok()?, told.attribute.clone()),
            Told::Own(own) => (own.object.clone(), own.attribute.clone()),
        };
        let (en, zh) = finding::named(&place);
        let message = Text::new(format!("{en}: {}", self.why.en), format!("{zh}：{}", self.why.zh));
        self.differs().then(|| finding::violation(about, place.0, &place.1, message))
    }
}
