//! From a judgement and the rules to violations: opened at first sight, seen again, resolved when the cause is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::violation::{
    AUTHORISATION_RULE, ActorClass, Responsibility, RuleOutcome, SECOND_JUDGEMENT_RULE, Sighting,
};
use model::{
    Agreement, ApprovedState, Authorisation, AuthorisationVerdict, Dn, Edit, OBJECT, Severity, Snapshot,
    Text, Value, Violation, ViolationState,
};
use policies::{
    Evaluated, GoneReason, JudgedDifference, Judgement, NetworkIndex, PolicySet, RuleResult, StationCase,
};

/// One station in one round, for its violations.
pub struct Context<'a> {
    pub origin: &'a str,
    pub agreement: &'a Agreement,
    pub policies: &'a PolicySet,
    pub index: &'a NetworkIndex,
    pub element: &'a Dn,
    pub current: &'a Arc<Snapshot>,
    pub previous: Option<&'a Snapshot>,
    pub approved: &'a Arc<ApprovedState>,
    pub edits: &'a [Edit],
    pub sighting: &'a Sighting,
}

/// Object, attribute, rule: there is one violation of each.
type Key = (Dn, String, String);

/// Violations that this round opens, sees again or resolves; `open` are those of the station that stood before.
pub fn update(
    context: &Context<'_>,
    open: Vec<Violation>,
    judgement: &Judgement,
    rules: &Evaluated,
) -> Vec<Violation> {
    let mut open: BTreeMap<Key, Violation> =
        open.into_iter().map(|v| ((v.object.clone(), v.attribute.clone(), v.rule.clone()), v)).collect();
    let mut out = Vec::new();
    for difference in &judgement.differences {
        let mut before =
            take(&mut open, &difference.edit.object, &difference.edit.attribute, AUTHORISATION_RULE);
        if difference.is_new {
            // The value changed again: what was violated before is over, and what is violated now has a first
            // sight, a verdict and a record of its own.
            out.extend(before.take().map(|violation| resolve(violation, context.sighting)));
        }
        out.push(context.unauthorised(difference, before));
    }
    for gone in &judgement.gone {
        // A regrouped difference lives on under another attribute; its violation ends all the same.
        debug_assert!(matches!(
            gone.reason,
            GoneReason::Restored | GoneReason::Advanced | GoneReason::Regrouped
        ));
        if let Some(before) = take(&mut open, &gone.object, &gone.attribute, AUTHORISATION_RULE) {
            out.push(resolve(before, context.sighting));
        }
    }
    for result in rules.results() {
        let Some(severity) = result.shown() else { continue };
        let before = take(&mut open, &result.object, &result.attribute, &result.rule);
        out.push(context.broken_rule(result, severity, before));
    }
    // What is left was not found again in a complete read, or its rule only counts now: its cause is gone.
    // Authorisation differences are left only if the station has no baseline any more, and then nothing is claimed of
    // them.
    // What a second judgement noted is no matter of this read.
    let rules = open
        .into_values()
        .filter(|v| ![AUTHORISATION_RULE, SECOND_JUDGEMENT_RULE].contains(&v.rule.as_str()));
    out.extend(rules.map(|violation| resolve(violation, context.sighting)));
    out
}

fn take(open: &mut BTreeMap<Key, Violation>, object: &Dn, attribute: &str, rule: &str) -> Option<Violation> {
    open.remove(&(object.clone(), attribute.to_owned(), rule.to_owned()))
}

fn resolve(mut violation: Violation, sighting: &Sighting) -> Violation {
    violation.state = ViolationState::Resolved;
    violation.resolved = Some(sighting.clone());
    violation
}

impl Context<'_> {
    /// What the rules say of the station; `last` is what they said of it under the same agreement.
    pub fn rules(&self, last: Option<&Evaluated>) -> Evaluated {
        let Context { policies, agreement, current, previous, approved, index, .. } = *self;
        let approved = Some(approved);
        let case = StationCase { agreement, current, previous, approved, neighbours: index };
        policies.evaluate_station(&case, last)
    }

    fn unauthorised(&self, difference: &JudgedDifference, before: Option<Violation>) -> Violation {
        let edit = &difference.edit;
        let verdict = &difference.verdict;
        let mut violation = before.unwrap_or_else(|| {
            self.blank(&edit.object, &edit.attribute, AUTHORISATION_RULE, &difference.first_seen)
        });
        violation.severity = verdict.authorisation.severity();
        violation.message = sentence(edit, verdict);
        violation.verdict = Some(verdict.clone());
        violation.old = edit.old.clone();
        violation.new = edit.new.clone();
        violation.last_seen = self.sighting.clone();
        violation
    }

    fn broken_rule(&self, result: &RuleResult, severity: Severity, before: Option<Violation>) -> Violation {
        let mut violation = before
            .unwrap_or_else(|| self.blank(&result.object, &result.attribute, &result.rule, self.sighting));
        violation.severity = severity;
        violation.outcome = result.outcome;
        violation.message = result.message.clone();
        violation.last_seen = self.sighting.clone();
        violation.new = self.current.value(&result.object, &result.attribute);
        let edit = self.edits.iter().find(|e| e.object == result.object && e.attribute == result.attribute);
        if let Some(edit) = edit {
            violation.old = edit.old.clone();
        }
        violation
    }

    fn blank(&self, object: &Dn, attribute: &str, rule: &str, first_seen: &Sighting) -> Violation {
        let accountable = self.agreement.master_operator(object).unwrap_or(self.origin).to_owned();
        Violation {
            id: Violation::derive_id(self.origin, object, attribute, rule, first_seen.round),
            element: self.element.clone(),
            object: object.clone(),
            attribute: attribute.to_owned(),
            rule: rule.to_owned(),
            severity: Severity::Warning,
            outcome: RuleOutcome::Violated,
            verdict: None,
            old: None,
            new: None,
            message: Text::default(),
            // Without notifications the actor is unknown, and accountability follows the agreement.
            responsibility: Responsibility { accountable, cause: ActorClass::Unknown },
            first_seen: first_seen.clone(),
            last_seen: self.sighting.clone(),
            state: ViolationState::Open,
            resolved: None,
        }
    }
}

/// What happened and what it lacks, in one line; the verdict tells the reasons with figures.
fn sentence(edit: &Edit, verdict: &AuthorisationVerdict) -> Text {
    let (place, zh_place) = short(&edit.object);
    let text = |value: &Option<Value>| value.as_ref().map_or("∅".to_owned(), ToString::to_string);
    let (old, new) = (text(&edit.old), text(&edit.new));
    let attribute = &edit.attribute;
    let (en, zh) = match (attribute.as_str(), &edit.new) {
        (OBJECT, None) => (format!("{place} was deleted"), format!("{zh_place} 已被删除")),
        (OBJECT, Some(_)) => (format!("{place} was created"), format!("{zh_place} 为新建对象")),
        _ if edit.moved => {
            (format!("{attribute} of {place} was reordered"), format!("{zh_place} 的 {attribute} 顺序被改动"))
        }
        _ if matches!((&edit.old, &edit.new), (Some(Value::Text(_)), Some(Value::Text(_)))) => (
            format!("{attribute} of {place} went from {old} to {new}"),
            format!("{zh_place} 的 {attribute} 由 {old} 变为 {new}"),
        ),
        _ => (format!("{attribute} of {place} changed"), format!("{zh_place} 的 {attribute} 被改动")),
    };
    let lack = lack(verdict);
    Text::new(format!("{en}: {}", lack.en), format!("{zh}：{}", lack.zh))
}

/// What an unauthorised difference lacks, with the request that came nearest.
fn lack(verdict: &AuthorisationVerdict) -> Text {
    let nearest = verdict.request.as_deref().or(verdict.considered.first().map(|c| c.request.as_str()));
    let request = nearest.unwrap_or("?");
    let (en, zh) = match verdict.authorisation {
        Authorisation::Exceeded => {
            (format!("further than {request} approves"), format!("超出 {request} 批准的范围"))
        }
        Authorisation::Deviating => {
            (format!("not what {request} approves"), format!("与 {request} 批准的值不符"))
        }
        Authorisation::Early => {
            (format!("before the window of {request}"), format!("早于 {request} 的时间窗"))
        }
        Authorisation::Expired => {
            (format!("after the window of {request}"), format!("晚于 {request} 的时间窗"))
        }
        Authorisation::Late => (
            format!("{request} was approved only after it was seen"),
            format!("{request} 在发现之后才获批准"),
        ),
        Authorisation::Stale => {
            (format!("{request} was approved for another old value"), format!("{request} 批准的原值不同"))
        }
        Authorisation::WrongObject => {
            (format!("{request} approves it for another object"), format!("{request} 批准的是另一对象"))
        }
        Authorisation::NoRight => {
            ("whoever manages the station has no right to change it".into(), "站点管理方无权更改".into())
        }
        Authorisation::Undetermined => {
            ("the order of events cannot be shown".into(), "无法证明先后顺序".into())
        }
        _ => ("no approval covers it".into(), "没有任何批准与之对应".into()),
    };
    Text { en, zh }
}

/// The object's own RDN and the station's id, in both languages.
pub(crate) fn short(dn: &Dn) -> (String, String) {
    let own = dn.rdns().last().map(|(class, id)| format!("{class}={id}")).unwrap_or_default();
    match dn.ancestor("ManagedElement") {
        Some(station) if station != *dn => {
            let id = station.id();
            (format!("{own} at {id}"), format!("{id} 的 {own}"))
        }
        _ => (own.clone(), own),
    }
}
