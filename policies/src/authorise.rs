//! The judge of authorisation: was this difference allowed, by which request, and if not, what came nearest.

use std::collections::BTreeMap;

use model::verdict::Considered;
use model::violation::Sighting;
use model::{ApprovedState, Authorisation, AuthorisationVerdict, Difference, Dn, Edit, OBJECT, Text};

use crate::case::{Advance, BY_RIGHT, Case, Gone, GoneReason, JudgedDifference, Judgement};
use crate::ratify;
use crate::rights::Rights;
use crate::sentence;
use crate::standing;
use crate::timing::Observed;
use crate::weigh::{Question, Weight};

/// Judges one station in one round. The result depends on nothing but the case, and not on the order of
/// its requests.
pub fn judge(case: &Case<'_>) -> Judgement {
    let Some(approved) = case.approved.filter(|approved| !approved.is_empty()) else {
        return unbaselined(case);
    };
    let differences = differences(case, approved);
    let judge = Judge { case, approved };
    let judged: Vec<Judged> = differences.into_iter().map(|d| judge.difference(d)).collect();
    let by_place: BTreeMap<_, _> = judged
        .iter()
        .map(|j| ((&j.difference.edit.object, j.difference.edit.attribute.as_str()), j))
        .collect();
    let edits = case.edits.iter().map(|edit| (edit.clone(), judge.edit(edit, &by_place))).collect();
    let gone = judge.gone(&by_place);
    let (mut differences, mut advances) = (Vec::new(), Vec::new());
    for one in judged {
        match one.advance {
            Some(advance) => advances.push(advance),
            None => differences.push(JudgedDifference {
                edit: one.difference.edit,
                verdict: one.verdict,
                first_seen: one.first_seen,
                is_new: one.is_new,
                approved_by: one.difference.approved_by,
            }),
        }
    }
    Judgement { edits, differences, advances, gone, unbaselined: false }
}

fn differences(case: &Case<'_>, approved: &ApprovedState) -> Vec<Difference> {
    let Some(before) = case.before else { return approved.differences(case.current) };
    approved.differences_again(case.current, before, case.edits.iter().map(|edit| &edit.object))
}

fn unbaselined(case: &Case<'_>) -> Judgement {
    let verdict = AuthorisationVerdict {
        authorisation: Authorisation::Unbaselined,
        request: None,
        request_height: None,
        why: Text::new(
            "The station has no approved baseline yet, so authorisation is not claimed.",
            "该基站尚无批准的基线，暂不判定授权。",
        ),
        considered: vec![],
    };
    Judgement {
        edits: case.edits.iter().map(|edit| (edit.clone(), verdict.clone())).collect(),
        unbaselined: true,
        ..Judgement::default()
    }
}

struct Judge<'a> {
    case: &'a Case<'a>,
    approved: &'a ApprovedState,
}

struct Judged {
    difference: Difference,
    verdict: AuthorisationVerdict,
    first_seen: Sighting,
    is_new: bool,
    /// Set if the difference was allowed or ratified.
    advance: Option<Advance>,
}

type ByPlace<'a> = BTreeMap<(&'a Dn, &'a str), &'a Judged>;

impl Judge<'_> {
    fn difference(&self, difference: Difference) -> Judged {
        let edit = &difference.edit;
        let rights = Rights::over(self.case.agreement, edit);
        let key = (edit.object.clone(), edit.attribute.clone());
        let known = self.case.known.get(&key).filter(|known| {
            known.new == edit.new
                && !known.verdict.authorisation.is_authorised()
                && known.verdict.authorisation != Authorisation::Unbaselined
        });
        let observed = match known {
            Some(known) => Observed::by(&known.first_seen),
            None if self.was_there_before(edit) => Observed::before(&self.case.sighting),
            None => Observed::by(&self.case.sighting),
        };
        let question =
            Question { agreement: self.case.agreement, difference: &difference, rights: &rights, observed };
        let (verdict, first_seen) = match known {
            Some(known) => (self.sharpened(&known.verdict, &question), known.first_seen.clone()),
            None => (self.verdict(&question), self.case.sighting.clone()),
        };
        let advance = if verdict.authorisation.is_authorised() {
            Some(self.advance(&verdict, edit))
        } else {
            ratify::ratification(self.case, self.approved, self.case.requests, &question, &first_seen)
        };
        Judged { verdict, first_seen, is_new: known.is_none(), advance, difference }
    }

    /// Whether the read before already had the value: then this round's interval says nothing about it.
    fn was_there_before(&self, edit: &Edit) -> bool {
        let touches = |seen: &Edit| {
            seen.object == edit.object
                && (seen.attribute == edit.attribute || seen.attribute == OBJECT || edit.attribute == OBJECT)
        };
        self.case.previous.is_some() && !self.case.edits.iter().any(touches)
    }

    /// A verdict is fixed at first sight. A matching approval that arrives later sharpens its label to `late`
    /// and never allows anything.
    fn sharpened(&self, known: &AuthorisationVerdict, question: &Question<'_>) -> AuthorisationVerdict {
        if known.authorisation > Authorisation::Late {
            let now = self.verdict(question);
            if now.authorisation == Authorisation::Late {
                return now;
            }
        }
        known.clone()
    }

    fn verdict(&self, question: &Question<'_>) -> AuthorisationVerdict {
        let edit = &question.difference.edit;
        let mut weights = self.case.requests.weigh(self.case, question);
        let mut best = self.by_itself(question, &mut weights);
        if let Some(nearest) = weights.first()
            && nearest.considered.authorisation < best.authorisation
        {
            let Considered { request, authorisation, why } = nearest.considered.clone();
            let (request, request_height) = (Some(request), nearest.height);
            best = AuthorisationVerdict { authorisation, request, request_height, why, considered: vec![] };
        } else if best.authorisation == Authorisation::Unapproved {
            best.why = no_request(edit, weights.first());
        }
        best.considered = weights.into_iter().map(|weight| weight.considered).collect();
        best
    }

    /// What holds without a request: a right, a standing permission, the lack of a right, or nothing at all.
    fn by_itself(&self, question: &Question<'_>, weights: &mut Vec<Weight>) -> AuthorisationVerdict {
        let (case, edit) = (self.case, &question.difference.edit);
        let rights = question.rights;
        let entitled = rights.may_change.contains(case.collector);
        let verdict = |authorisation, request, why| AuthorisationVerdict {
            authorisation,
            request,
            request_height: None,
            why,
            considered: vec![],
        };
        let (collector, qualified) = (case.collector, edit.qualified_attribute());
        if entitled && rights.must_approve.is_empty() {
            let why = Text::new(
                format!("{collector} may change {qualified} here without asking anybody."),
                format!("{collector} 有权在此自行修改 {qualified}。"),
            );
            return verdict(Authorisation::ByRight, None, why);
        }
        let key = (edit.object.clone(), edit.attribute.clone());
        let recent = case.recent_changes.get(&key).copied().unwrap_or_default();
        let mut near = Vec::new();
        for permission in standing::permissions(case.agreement, edit, &question.observed, recent) {
            if permission.allowed {
                return verdict(Authorisation::Standing, Some(permission.id), permission.why);
            }
            near.push(Weight::of_permission(permission.id, permission.why));
        }
        weights.append(&mut near);
        weights.sort_by(|a, b| a.rank().cmp(&b.rank()));
        if !entitled {
            let may = sentence::names(&rights.may_change);
            let why = Text::new(
                format!(
                    "{collector}, which alone reaches the station, may not change {qualified} here; {} may.",
                    may.en
                ),
                format!(
                    "{collector} 是唯一可操作该基站的一方，但无权在此修改 {qualified}；有权者为 {}。",
                    may.zh
                ),
            );
            return verdict(Authorisation::NoRight, None, why);
        }
        verdict(Authorisation::Unapproved, None, Text::default())
    }

    fn advance(&self, verdict: &AuthorisationVerdict, edit: &Edit) -> Advance {
        let request = verdict.request.clone().unwrap_or_else(|| BY_RIGHT.to_owned());
        let opened = self.case.sighting.opened.unwrap_or_default();
        let height = verdict.request_height.unwrap_or(opened);
        Advance { edit: edit.clone(), request, height, why: verdict.why.clone() }
    }

    /// The verdict on one observed edit is that on the difference it led to; without one it led back.
    fn edit(&self, edit: &Edit, judged: &ByPlace<'_>) -> AuthorisationVerdict {
        let object = &edit.object;
        let one = judged.get(&(object, edit.attribute.as_str())).or_else(|| judged.get(&(object, OBJECT)));
        if let Some(one) = one {
            return one.verdict.clone();
        }
        if edit.attribute == OBJECT {
            // A deleted object that came back with other values: the gravest of them.
            let within = judged.range((object, "")..).take_while(|((dn, _), _)| *dn == object);
            if let Some((_, one)) = within.max_by_key(|(_, one)| one.verdict.authorisation) {
                return one.verdict.clone();
            }
        }
        self.restored(edit)
    }

    fn restored(&self, edit: &Edit) -> AuthorisationVerdict {
        let approved = self.approved.get(&edit.object, &edit.attribute);
        let value = sentence::change(&edit.attribute, &edit.old, &edit.new);
        let (mut en, mut zh) =
            (format!("{} leads back to what was approved", value.en), format!("{} 恢复为批准值", value.zh));
        if let Some(approved) = approved {
            en.push_str(&format!(" by {} at height {}", approved.request, approved.height));
            zh.push_str(&format!("（{}，高度 {}）", approved.request, approved.height));
        }
        AuthorisationVerdict {
            authorisation: Authorisation::Restored,
            request: approved.map(|value| value.request.clone()),
            request_height: approved.map(|value| value.height),
            why: Text::new(en + ".", zh + "。"),
            considered: vec![],
        }
    }

    fn gone(&self, judged: &ByPlace<'_>) -> Vec<Gone> {
        let mut out = Vec::new();
        for (object, attribute) in self.case.known.keys() {
            let (reason, why) = match judged.get(&(object, attribute.as_str())) {
                Some(Judged { advance: None, .. }) => continue,
                Some(Judged { advance: Some(advance), .. }) => (GoneReason::Advanced, advance.why.clone()),
                None => self.why_gone(object, attribute, judged),
            };
            out.push(Gone { object: object.clone(), attribute: attribute.clone(), reason, why });
        }
        out
    }

    fn why_gone(&self, object: &Dn, attribute: &str, judged: &ByPlace<'_>) -> (GoneReason, Text) {
        let regrouped = if attribute == OBJECT {
            judged.range((object, "")..).next().is_some_and(|((dn, _), _)| *dn == object)
        } else {
            judged.contains_key(&(object, OBJECT))
        };
        if regrouped {
            let why = Text::new(
                "The difference now shows on the object as a whole or on its attributes.",
                "该差异现归于整个对象或其各属性。",
            );
            return (GoneReason::Regrouped, why);
        }
        let approved = self.approved.get(object, attribute);
        let value = sentence::value(&approved.map(|a| a.value.clone()), "");
        let why = match approved {
            Some(_) => Text::new(
                format!("The value is the approved {value} again."),
                format!("该值已恢复为批准值 {value}。"),
            ),
            None => Text::new("The state is as approved again.", "状态已恢复为批准状态。"),
        };
        (GoneReason::Restored, why)
    }
}

fn no_request(edit: &Edit, nearest: Option<&Weight>) -> Text {
    let change = sentence::edit(edit);
    let mut text =
        Text::new(format!("No request approves {}.", change.en), format!("没有任何申请批准 {}。", change.zh));
    if let Some(nearest) = nearest {
        text.en.push_str(&format!(" Nearest: {}", nearest.considered.why.en));
        text.zh.push_str(&format!("最接近者：{}", nearest.considered.why.zh));
    }
    text
}
