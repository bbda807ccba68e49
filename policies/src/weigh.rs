//! One request against one difference: what it authorises, or why it does not.

use model::change::{ChangeKind, ExpectedEdit};
use model::verdict::Considered;
use model::{Agreement, Authorisation, Difference, Edit, RequestView, Text};

use crate::fit::Fit;
use crate::rights::Rights;
use crate::sentence::{self, Sentence};
use crate::timing::{Observed, Order, Timing};

/// A difference with everything a request is weighed against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub agreement: &'a Agreement,
    pub difference: &'a Difference,
    pub rights: &'a Rights,
    pub observed: Observed,
}

/// A request's weight, nearest first when sorted by [`Weight::rank`].
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    pub considered: Considered,
    /// Height of its approval.
    pub height: Option<u64>,
    nearness: u8,
}

impl Weight {
    pub fn new(
        view: &RequestView,
        authorisation: Authorisation,
        height: Option<u64>,
        nearness: u8,
        why: Text,
    ) -> Weight {
        let considered = Considered { request: view.request.id.clone(), authorisation, why };
        Weight { considered, height, nearness }
    }

    /// A standing permission that names the attribute and does not allow the change.
    pub fn of_permission(id: String, why: Text) -> Weight {
        let considered = Considered { request: id, authorisation: Authorisation::Unapproved, why };
        Weight { considered, height: None, nearness: 1 }
    }

    /// Total order over weights of distinct requests, so that the order of the input does not matter.
    pub fn rank(&self) -> impl Ord + '_ {
        let considered = &self.considered;
        (
            considered.authorisation,
            self.nearness,
            std::cmp::Reverse(self.height),
            considered.request.as_str(),
            considered.why.en.as_str(),
        )
    }
}

/// Whether an edit of a request was already carried out, and whether the approved value still comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub carried_out: bool,
    pub in_force: bool,
}

impl Use {
    /// Only what a request did is rolled back by it. Of what it deleted no approved value is left to say so.
    fn may_roll_back(self, edit: &Edit) -> bool {
        self.in_force || (edit.old.is_none() && self.carried_out)
    }

    pub fn is_spent(self) -> bool {
        self.carried_out && !self.in_force
    }
}

/// Weighs a request that names the very attribute.
pub(crate) fn weigh(
    question: &Question<'_>,
    view: &RequestView,
    expected: &ExpectedEdit,
    used: Use,
) -> Weight {
    let edit = &question.difference.edit;
    let fit = Fit::of(expected, edit, view.request.rollback);
    let order = question.observed.order(view);
    let timing = question.observed.timing(&view.request.window);
    let mut sentence = opening(view, expected, &fit);
    let near = match fit {
        Fit::Exact | Fit::Inverse => 0,
        Fit::OtherOld | Fit::OtherNew | Fit::Beyond { .. } => 1,
        Fit::Other => 2,
    };
    let done = |authorisation, near, sentence: Sentence| {
        Weight::new(view, authorisation, order.height(), near, sentence.done())
    };
    if let Some(why) = refusal(question, view, &order) {
        sentence.and(why.en, why.zh);
        return done(Authorisation::Unapproved, near, sentence);
    }
    let verdict = match fit {
        Fit::Exact if used.is_spent() => spent_again(&mut sentence),
        Fit::Inverse if !used.may_roll_back(edit) => roll_back_of_nothing(&mut sentence),
        Fit::Exact | Fit::Inverse => by_time(&order, timing),
        _ if used.carried_out || used.in_force => {
            sentence.and("it was carried out before this change", "该申请在此变更之前已执行");
            return done(Authorisation::Unapproved, near + 4, sentence);
        }
        _ => by_value(&fit, &order, timing, question, expected, &mut sentence),
    };
    tell_time(&mut sentence, question, view, &order, timing);
    done(verdict, near, sentence)
}

/// Weighs a request that has the same edit for another object.
pub(crate) fn weigh_elsewhere(
    question: &Question<'_>,
    view: &RequestView,
    expected: &ExpectedEdit,
) -> Option<Weight> {
    let change = sentence::change(&expected.attribute, &expected.old, &expected.new);
    let (id, other) = (&view.request.id, &expected.object);
    let mut sentence = Sentence::new(
        format!("{id} has the same edit, {}, for another object, {other}", change.en),
        format!("{id} 对另一对象 {other} 含有相同的修改 {}", change.zh),
    );
    let order = question.observed.order(view);
    let timing = question.observed.timing(&view.request.window);
    let authorisation = match order {
        Order::Rejected { .. } | Order::Withdrawn { .. } => return None,
        Order::Pending { .. } => Authorisation::Unapproved,
        _ if timing == Timing::Over || view.request.agreement != question.agreement.id => return None,
        _ => Authorisation::WrongObject,
    };
    match not_decided(&order) {
        Some(why) => sentence.and(why.en, why.zh),
        None => tell_time(&mut sentence, question, view, &order, timing),
    }
    Some(Weight::new(view, authorisation, order.height(), 3, sentence.done()))
}

/// `CR-7 approves 15→20, observed 15→23`.
fn opening(view: &RequestView, expected: &ExpectedEdit, fit: &Fit) -> Sentence {
    let change = sentence::change(&expected.attribute, &expected.old, &expected.new);
    let id = &view.request.id;
    match fit {
        Fit::Inverse => Sentence::new(
            format!("{id} allows its edit {} to be rolled back", change.en),
            format!("{id} 允许回退其修改 {}", change.zh),
        ),
        _ => Sentence::new(format!("{id} has {}", change.en), format!("{id} 的内容为 {}", change.zh)),
    }
}

/// Why a request cannot authorise this attribute however well its values match.
pub(crate) fn does_not_count(question: &Question<'_>, view: &RequestView) -> Option<Text> {
    let (request, edit) = (&view.request, &question.difference.edit);
    if request.agreement != question.agreement.id {
        return Some(Text::new(
            format!("it belongs to agreement {}, not {}", request.agreement, question.agreement.id),
            format!("它属于协议 {}，而非 {}", request.agreement, question.agreement.id),
        ));
    }
    if !request.scope.covers(&edit.object) {
        return Some(Text::new(
            format!("its scope {} does not cover the object", request.scope),
            format!("其范围 {} 不包含该对象", request.scope),
        ));
    }
    let entitled = question.rights.may_change.contains(&request.proposer);
    // What was done first, and a state as found, may be put forward by whoever did or found it; then those
    // who are entitled must approve it.
    let stands_in = matches!(request.kind, ChangeKind::Emergency | ChangeKind::Baseline);
    let qualified = edit.qualified_attribute();
    if !entitled && !stands_in {
        let may = sentence::names(&question.rights.may_change);
        return Some(Text::new(
            format!("its proposer {} may not change {qualified} here, {} may", request.proposer, may.en),
            format!("其申请方 {} 无权在此修改 {qualified}，有权者为 {}", request.proposer, may.zh),
        ));
    }
    let mut needed = question.rights.must_approve.clone();
    if !entitled {
        needed.extend(question.rights.may_change.iter().cloned());
    }
    let missing: Vec<_> = needed.iter().filter(|member| !view.approved_by.contains(member)).collect();
    let undecided = matches!(view.standing, model::change::Standing::Proposed { .. });
    if missing.is_empty() || undecided {
        return None;
    }
    let missing = sentence::names(missing);
    Some(Text::new(
        format!("{qualified} needs the approval of {} too", missing.en),
        format!("{qualified} 还需 {} 批准", missing.zh),
    ))
}

/// Why a request authorises nothing here, whatever its values: it does not count, or was never approved.
pub(crate) fn refusal(question: &Question<'_>, view: &RequestView, order: &Order<'_>) -> Option<Text> {
    does_not_count(question, view).or_else(|| not_decided(order))
}

fn not_decided(order: &Order<'_>) -> Option<Text> {
    match order {
        Order::Pending { missing } => {
            let missing = sentence::names(missing.iter());
            Some(Text::new(
                format!("it is not yet approved, {} has not decided", missing.en),
                format!("尚未批准，{} 未表态", missing.zh),
            ))
        }
        Order::Rejected { by, height } => Some(Text::new(
            format!("{by} rejected it at height {height}"),
            format!("{by} 已在高度 {height} 拒绝"),
        )),
        Order::Withdrawn { height, approved: false } => Some(Text::new(
            format!("it was withdrawn at height {height}, before it was approved"),
            format!("在批准之前已于高度 {height} 撤回"),
        )),
        _ => None,
    }
}

pub(crate) fn spent_again(sentence: &mut Sentence) -> Authorisation {
    sentence.and(
        "it was carried out once and another request has replaced it; an approval counts once",
        "该申请已执行过一次，其后被其他申请取代；一次批准只生效一次",
    );
    Authorisation::Stale
}

fn roll_back_of_nothing(sentence: &mut Sentence) -> Authorisation {
    sentence.and(
        "but the approved value does not come from it, so there is nothing to roll back",
        "但当前批准值并非来自该申请，无可回退",
    );
    Authorisation::Stale
}

pub(crate) fn by_time(order: &Order<'_>, timing: Timing) -> Authorisation {
    match (order, timing) {
        (Order::Withdrawn { .. }, _) => Authorisation::Expired,
        (Order::After { .. }, _) => Authorisation::Late,
        (_, Timing::Early) => Authorisation::Early,
        (_, Timing::Over) => Authorisation::Expired,
        (Order::Before { .. }, Timing::Inside) => Authorisation::Exact,
        (Order::Unknown { .. }, Timing::Inside) => Authorisation::Undetermined,
        (Order::Pending { .. } | Order::Rejected { .. }, Timing::Inside) => Authorisation::Unapproved,
    }
}

/// A request whose values differ comes near only while it is alive: a lapsed one says nothing about today.
fn by_value(
    fit: &Fit,
    order: &Order<'_>,
    timing: Timing,
    question: &Question<'_>,
    expected: &ExpectedEdit,
    sentence: &mut Sentence,
) -> Authorisation {
    let edit = &question.difference.edit;
    let got = sentence::edit(edit);
    let verdict = match fit {
        Fit::OtherOld | Fit::Other => {
            let (named, approved) =
                (sentence::value(&expected.old, "none"), sentence::value(&edit.old, "none"));
            sentence.and(
                format!("it names the old value {named}, but {approved} was approved; observed {}", got.en),
                format!("其旧值为 {named}，而批准值为 {approved}；观测到 {}", got.zh),
            );
            Authorisation::Stale
        }
        Fit::Beyond { by } => {
            sentence.and(
                format!("observed {}, exceeds the approved value by {by}", got.en),
                format!("观测到 {}，超出批准值 {by}", got.zh),
            );
            Authorisation::Exceeded
        }
        _ => {
            sentence.and(
                format!("observed {}, another new value", got.en),
                format!("观测到 {}，新值不同", got.zh),
            );
            Authorisation::Deviating
        }
    };
    let alive = timing != Timing::Over && !matches!(order, Order::Withdrawn { .. });
    if alive { verdict } else { Authorisation::Unapproved }
}

/// The figures of order and window, whatever the verdict: other mismatches are told too.
pub(crate) fn tell_time(
    sentence: &mut Sentence,
    question: &Question<'_>,
    view: &RequestView,
    order: &Order<'_>,
    timing: Timing,
) {
    let observed = question.observed;
    tell_order(sentence, &observed, order);
    let window = view.request.window;
    match timing {
        Timing::Early => sentence.and(
            format!("seen at {}, before its window opens at {}", observed.read, window.from),
            format!("于 {} 观测到，早于窗口开始 {}", observed.read, window.from),
        ),
        Timing::Over => {
            let after = observed.after.unwrap_or(observed.read);
            sentence.and(
                format!("changed after {after}, when its window had ended at {}", window.to),
                format!("变更发生在 {after} 之后，窗口已于 {} 结束", window.to),
            );
        }
        Timing::Inside => sentence.and(
            format!("inside its window {} to {}", window.from, window.to),
            format!("在窗口 {} 至 {} 之内", window.from, window.to),
        ),
    }
}

fn tell_order(sentence: &mut Sentence, observed: &Observed, order: &Order<'_>) {
    let opened = observed.opened.unwrap_or_default();
    match order {
        Order::Before { height } => sentence.and(
            format!("approved at height {height}, before the round opened at height {opened}"),
            format!("于高度 {height} 批准，早于在高度 {opened} 开启的采集轮"),
        ),
        Order::After { height } => sentence.and(
            format!("approved only at height {height}; the round that saw the change opened at height {opened}"),
            format!("于高度 {height} 才批准；发现该变更的采集轮在高度 {opened} 开启"),
        ),
        Order::Unknown { height } if observed.seen_before => sentence.and(
            format!("approved at height {height}, but the value was already there at the read before, so the order cannot be shown"),
            format!("于高度 {height} 批准，但上一次读取时该值已存在，无法证明先后"),
        ),
        Order::Unknown { height } => sentence.and(
            format!("approved at height {height}, but the round was not opened on chain, so the order cannot be shown"),
            format!("于高度 {height} 批准，但该采集轮未在链上开启，无法证明先后"),
        ),
        Order::Withdrawn { height, .. } => sentence.and(
            format!("withdrawn at height {height}, before the round opened at height {opened}"),
            format!("已于高度 {height} 撤回，早于在高度 {opened} 开启的采集轮"),
        ),
        Order::Pending { .. } | Order::Rejected { .. } => {}
    }
}
