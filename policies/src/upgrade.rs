//! Upgrades: a new software sets a bounded class of attributes; what is common is still judged singly.

use model::change::{ChangeKind, ExpectedEdit, Upgrade};
use model::{Authorisation, Dn, Edit, RequestView, Snapshot, Value};

use crate::sentence::{self, Sentence};
use crate::weigh::{self, Question, Use, Weight};

/// TS 28.622: the software version of a ManagedElement.
pub(crate) const SOFTWARE: &str = "swVersion";

/// The edit of the software version itself that an upgrade expects on a station.
pub(crate) fn software_edit(upgrade: &Upgrade, element: &Dn) -> ExpectedEdit {
    ExpectedEdit {
        object: element.clone(),
        attribute: SOFTWARE.to_owned(),
        old: Some(Value::text(&upgrade.from)),
        new: Some(Value::text(&upgrade.to)),
    }
}

/// Weighs an upgrade against a difference that no edit of it names; `None` if it does not touch it.
pub(crate) fn weigh(
    question: &Question<'_>,
    view: &RequestView,
    element: &Dn,
    current: &Snapshot,
    used: Use,
) -> Option<Weight> {
    let upgrade = view.request.upgrade.as_ref().filter(|_| view.request.kind == ChangeKind::Upgrade)?;
    let edit = &question.difference.edit;
    if edit.object == *element && edit.attribute == SOFTWARE {
        return Some(weigh::weigh(question, view, &software_edit(upgrade, element), used));
    }
    let touches = upgrade.attributes.iter().any(|p| p.matches(edit.object.class(), &edit.attribute));
    (touches && view.request.scope.covers(&edit.object))
        .then(|| weigh_class(question, view, upgrade, running(current, element), used))
}

/// The software the station says it runs.
fn running<'a>(current: &'a Snapshot, element: &Dn) -> Option<&'a str> {
    current.object(element)?.attribute(SOFTWARE)?.as_text()
}

fn weigh_class(
    question: &Question<'_>,
    view: &RequestView,
    upgrade: &Upgrade,
    running: Option<&str>,
    used: Use,
) -> Weight {
    let edit: &Edit = &question.difference.edit;
    let (id, to, qualified) = (&view.request.id, &upgrade.to, edit.qualified_attribute());
    let mut sentence = Sentence::new(
        format!("{id} lets the upgrade to {to} set {qualified}"),
        format!("{id} 允许升级到 {to} 时设置 {qualified}"),
    );
    let order = question.observed.order(view);
    let timing = question.observed.timing(&view.request.window);
    let refused = if question.rights.is_common(question.agreement) {
        Some(model::Text::new(
            "but it is common to all operators and judged singly",
            "但该属性为各方公共属性，须逐项批准",
        ))
    } else {
        weigh::refusal(question, view, &order)
    };
    let authorisation = if let Some(why) = refused {
        sentence.and(why.en, why.zh);
        Authorisation::Unapproved
    } else if used.is_spent() {
        weigh::spent_again(&mut sentence)
    } else {
        let by_time = weigh::by_time(&order, timing);
        let verdict = by_software(by_time, to, running, &mut sentence);
        weigh::tell_time(&mut sentence, question, view, &order, timing);
        verdict
    };
    let got = sentence::edit(edit);
    sentence.and(format!("observed {}", got.en), format!("观测到 {}", got.zh));
    Weight::new(view, authorisation, order.height(), 1, sentence.done())
}

/// The class of attributes counts only on a station that runs the new software.
fn by_software(
    by_time: Authorisation,
    to: &str,
    running: Option<&str>,
    sentence: &mut Sentence,
) -> Authorisation {
    match running {
        Some(running) if running == to => by_time,
        Some(running) => {
            sentence.and(format!("but the station runs {running}"), format!("但该基站当前软件为 {running}"));
            Authorisation::Unapproved
        }
        None => {
            sentence.and("but the station does not say which software it runs", "但该基站未给出软件版本");
            by_time.max(Authorisation::Undetermined)
        }
    }
}
