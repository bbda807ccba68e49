//! What is wrong with a disclosure, in words for both sides, and as a violation of the built-in rule `second-judgement`.

use anchor::transaction::DisputeKind;
use model::violation::{ActorClass, Responsibility, RuleOutcome, SECOND_JUDGEMENT_RULE, Sighting};
use model::{Dn, Severity, Text, Violation, ViolationState};

use crate::round::judging::Place;
use crate::round::violations::short;

/// Stands for an attribute where a finding is about the round as a whole.
pub const ROUND: &str = "@round";

/// Something that a second judge could not follow. Never tells a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: DisputeKind,
    /// Stable word.
    pub code: &'static str,
    /// What it is about; `None`: the round.
    pub place: Option<Place>,
    pub text: Text,
}

/// What a round's violations of the built-in rule have in common.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub origin: &'a str,
    /// Stands for the round where a finding names no station: the first of its inventory.
    pub station: &'a Dn,
    pub sighting: &'a Sighting,
}

impl Finding {
    pub fn at(kind: DisputeKind, code: &'static str, place: Place, text: Text) -> Finding {
        Finding { kind, code, place: Some(place), text }
    }

    pub fn of_round(kind: DisputeKind, code: &'static str, text: Text) -> Finding {
        Finding { kind, code, place: None, text }
    }

    pub fn does_not_open(place: Place) -> Finding {
        let (en, zh) = named(&place);
        let text = Text::new(
            format!("{en}: what was disclosed does not open the commitment"),
            format!("{zh}：披露的内容与承诺不符"),
        );
        Finding::at(DisputeKind::Opening, "does-not-open", place, text)
    }

    pub fn wrong_key(place: Place) -> Finding {
        let (en, zh) = named(&place);
        let text = Text::new(
            format!("{en}: its commitment stands under another attribute's key"),
            format!("{zh}：其承诺位于另一属性的键下"),
        );
        Finding::at(DisputeKind::Opening, "wrong-key", place, text)
    }

    pub fn other_value(place: Place) -> Finding {
        let (en, zh) = named(&place);
        let text = Text::new(
            format!("{en}: the disclosed value is not the one that was committed to"),
            format!("{zh}：披露的值不是所承诺的值"),
        );
        Finding::at(DisputeKind::Opening, "other-value", place, text)
    }

    pub fn withheld(place: Place) -> Finding {
        let (en, zh) = named(&place);
        let text = Text::new(
            format!("{en}: its value is withheld though the agreement lets it be seen"),
            format!("{zh}：协议允许查看，但其值未予披露"),
        );
        Finding::at(DisputeKind::Withheld, "withheld", place, text)
    }

    pub fn account(code: &'static str, en: impl Into<String>, zh: impl Into<String>) -> Finding {
        Finding::of_round(DisputeKind::Account, code, Text::new(en, zh))
    }

    /// The finding as a violation of the round that was judged.
    pub fn violation(&self, about: About<'_>) -> Violation {
        let (object, attribute) = match &self.place {
            Some((object, attribute)) => (object.clone(), attribute.clone()),
            None => (about.station.clone(), ROUND.to_owned()),
        };
        violation(about, object, &attribute, self.text.clone())
    }
}

/// A violation of the built-in rule.
pub fn violation(about: About<'_>, object: Dn, attribute: &str, message: Text) -> Violation {
    let element = object.ancestor("ManagedElement").unwrap_or_else(|| about.station.clone());
    Violation {
        id: Violation::derive_id(
            about.origin,
            &object,
            attribute,
            SECOND_JUDGEMENT_RULE,
            about.sighting.round,
        ),
        element,
        object,
        attribute: attribute.to_owned(),
        rule: SECOND_JUDGEMENT_RULE.to_owned(),
        severity: Severity::Critical,
        outcome: RuleOutcome::Violated,
        verdict: None,
        old: None,
        new: None,
        message,
        // Whoever accounts for a round answers for its account.
        responsibility: Responsibility { accountable: about.origin.to_owned(), cause: ActorClass::Unknown },
        first_seen: about.sighting.clone(),
        last_seen: about.sighting.clone(),
        state: ViolationState::Open,
        resolved: None,
    }
}

/// Object and attribute, in both languages.
pub fn named((object, attribute): &Place) -> (String, String) {
    let (en, zh) = short(object);
    (format!("{attribute} of {en}"), format!("{zh} 的 {attribute}"))
}
