//! Rules: what an author writes, and what it becomes when it is loaded.

use std::collections::BTreeMap;

use model::{Agreement, ApprovedValue, Dn, Object, Scope, Severity, Text, violation::RuleOutcome};
use serde::{Deserialize, Serialize};

use crate::expression::{self, Attributes, Evaluation, Inputs, Node, Observation, Variable};
use crate::network::Neighbourhood;
use crate::template::Message;

/// What happens with a rule's outcome: see [`RuleResult::shown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A violation to be dealt with.
    Enforce,
    /// Shown as a warning, whatever the severity.
    Warn,
    /// Counted only.
    Audit,
    /// Not evaluated.
    Off,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Warn => "warn",
            Mode::Audit => "audit",
            Mode::Off => "off",
        }
    }
}

/// The class of objects a rule is about, and in which part of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleScope {
    pub class: String,
    #[serde(rename = "where")]
    pub part: Scope,
}

/// A loaded rule.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub description: Text,
    pub severity: Severity,
    pub mode: Mode,
    pub scope: RuleScope,
    /// The attribute a violation is shown on, of the scope's class.
    pub attribute: String,
    /// The expression as written.
    pub expression: String,
    /// The messages as written.
    pub message: Text,
    /// Whether it looks at neighbours, and is judged again when they change.
    pub needs_neighbours: bool,
    /// The file it came from.
    pub file: String,
    /// What it looks at, itself or in its messages.
    pub(crate) reads: Reads,
    /// The attributes that it reads there.
    pub(crate) attributes: Attributes,
    pub(crate) compiled: Node,
    pub(crate) compiled_message: Message,
}

/// What a rule looks at beside the object itself and the agreement: what may change while both stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// The object in the read before.
    pub previous: bool,
    /// What is approved of it.
    pub approved: bool,
    pub cell: bool,
    pub neighbours: bool,
}

impl Reads {
    pub const NOTHING: Reads = Reads { previous: false, approved: false, cell: false, neighbours: false };

    pub fn of<'a>(expressions: impl Iterator<Item = &'a Node>) -> Reads {
        let read = |expression: &Node| Reads {
            previous: expression.reads(|v| v == Variable::Previous),
            approved: expression.reads(|v| v == Variable::Approved),
            cell: expression.reads(|v| v == Variable::Cell),
            neighbours: expression.reads(|v| v == Variable::Neighbours),
        };
        expressions.map(read).fold(Reads::default(), Reads::and)
    }

    /// Whether it looks at more than the object.
    pub fn around(self) -> bool {
        self.cell || self.neighbours
    }

    pub fn and(self, other: Reads) -> Reads {
        Reads {
            previous: self.previous || other.previous,
            approved: self.approved || other.approved,
            cell: self.cell || other.cell,
            neighbours: self.neighbours || other.neighbours,
        }
    }
}

/// One object as rules see it.
#[derive(Clone, Copy)]
pub struct RuleCase<'a> {
    pub agreement: &'a Agreement,
    pub object: &'a Object,
    /// The same object in the read before.
    pub previous: Option<&'a Object>,
    /// The object's approved attributes, `None` if it or the station has none.
    pub approved: Option<&'a BTreeMap<String, ApprovedValue>>,
    pub neighbours: &'a dyn Neighbourhood,
}

/// A rule that an object does not keep, or that cannot be judged on it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleResult {
    pub rule: String,
    pub object: Dn,
    pub attribute: String,
    pub outcome: RuleOutcome,
    pub severity: Severity,
    pub mode: Mode,
    pub message: Text,
}

/// What a rule says of an object, also where it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// `None`: the rule is kept.
    pub outcome: Option<RuleOutcome>,
    pub message: Text,
    /// The parts of the expression with their values.
    pub why: Vec<Observation>,
}

impl RuleResult {
    /// How severe a violation it is; `None`: it is none, and only counted.
    pub fn shown(&self) -> Option<Severity> {
        match self.mode {
            Mode::Enforce => Some(self.severity),
            Mode::Warn => Some(Severity::Warning),
            Mode::Audit | Mode::Off => None,
        }
    }
}

impl Rule {
    /// Whether the rule is about this object.
    pub fn covers(&self, object: &Object) -> bool {
        object.class() == self.scope.class && self.scope.part.covers(object.dn())
    }

    /// `None` where the rule is kept, or is not about this object.
    pub fn evaluate(&self, case: &RuleCase<'_>) -> Option<RuleResult> {
        self.evaluate_in(&mut Evaluation::new(case.inputs()))
    }

    /// The same for the object that an evaluation is at.
    pub(crate) fn evaluate_in<'a>(&'a self, evaluation: &mut Evaluation<'a>) -> Option<RuleResult> {
        let object = evaluation.inputs().object;
        if self.mode == Mode::Off || !self.covers(object) {
            return None;
        }
        let (outcome, message) = self.judge(evaluation)?;
        Some(RuleResult {
            rule: self.name.clone(),
            object: object.dn().clone(),
            attribute: self.attribute.clone(),
            outcome,
            severity: self.severity,
            mode: self.mode,
            message,
        })
    }

    /// The outcome with the values that led to it, whatever it is.
    pub fn explain(&self, case: &RuleCase<'_>) -> Explanation {
        let inputs = case.inputs();
        let why = expression::parts(&self.compiled, &inputs);
        match self.judge(&mut Evaluation::new(inputs)) {
            Some((outcome, message)) => Explanation { outcome: Some(outcome), message, why },
            None => {
                Explanation { outcome: None, message: Text::new("The rule is kept.", "符合规则。"), why }
            }
        }
    }

    fn judge<'a>(&'a self, evaluation: &mut Evaluation<'a>) -> Option<(RuleOutcome, Text)> {
        match evaluation.condition(&self.compiled) {
            Ok(true) => None,
            Ok(false) => Some((RuleOutcome::Violated, self.compiled_message.render(evaluation.inputs()))),
            Err(trouble) => {
                let why = trouble.text();
                let message = Text::new(
                    format!("{} cannot be judged: {}.", self.name, why.en),
                    format!("无法判定规则 {}：{}。", self.name, why.zh),
                );
                Some((RuleOutcome::Indeterminate, message))
            }
        }
    }
}

impl<'a> RuleCase<'a> {
    pub(crate) fn inputs(&self) -> Inputs<'a> {
        let RuleCase { agreement, object, previous, approved, neighbours } = *self;
        Inputs { agreement, object, previous, approved, neighbours }
    }
}

impl std::fmt::Debug for RuleCase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleCase").field("object", &self.object.dn()).finish_non_exhaustive()
    }
}
