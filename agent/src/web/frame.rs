//! What every page needs beside its data: language, navigation, and the small parts that all pages share.

use std::borrow::Borrow;
use std::fmt::Display;
use std::sync::Arc;

use anchor::judgement::JudgementCounts;
use askama::Template;
use askama::filters::HtmlSafe;
use model::change::{Progress, Standing, Window};
use model::verdict::{Authorisation, Severity, Text};
use model::violation::{ActorClass, ViolationState};
use model::{Dn, OBJECT, Timestamp, Value};

use super::assets;
use super::compare::{Comparison, Line, Mark, compact};
use super::filter::Facet;
use super::shown::{SHORT, clock, cut, short_name, span, station_name, visible};
use super::text::Language;
use super::units::Units;
use super::view::{ChangeItem, ForkView};
use crate::federation::{Certificate, DisputeView, EvidenceView};

/// Around every page.
#[derive(Debug, Clone)]
pub struct Frame {
    pub language: Language,
    /// Name of the network in titles.
    pub network: String,
    /// Whose agent this is.
    pub operator: String,
    /// The part of the site that the navigation marks: `violations`, `changes`, `rounds`, `chain`.
    pub section: &'static str,
    /// Path and query of this page without `lang`, for the language switch.
    pub here: String,
    pub now: Timestamp,
    /// Whose stations this page shows, and whose it could show; this operator first.
    pub seats: Vec<Seat>,
    /// Names of the members by id.
    pub members: Vec<(String, String)>,
    /// Whether this member has stations to collect: tower companies and witnesses have none.
    pub collects: bool,
    /// Whether there are other members' agents at all.
    pub has_peers: bool,
    pub units: Arc<Units>,
    /// Whether people may act through these pages, and who logged in to do so.
    pub may_act: bool,
    pub person: Option<String>,
}

/// An operator whose stations are known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub id: String,
    pub name: String,
    /// Not this operator: known from what it disclosed.
    pub is_foreign: bool,
    pub is_current: bool,
}

impl Frame {
    /// The text of `key`. A key without a text shows itself; a test keeps that from happening.
    pub fn t<'a>(&self, key: &'a str) -> &'a str {
        self.language.find(key).unwrap_or(key)
    }

    /// The text of `key` with `{n}` replaced.
    pub fn n(&self, key: &str, value: impl Display) -> String {
        self.t(key).replace("{n}", &value.to_string())
    }

    /// A counted noun: `key.one` or `key.many`, with `{n}` replaced.
    pub fn count(&self, key: &str, value: impl Display) -> String {
        let value = value.to_string();
        let form = if value == "1" { "one" } else { "many" };
        self.n(&format!("{key}.{form}"), value)
    }

    /// The name of a value of a closed set; a value that is not known shows itself.
    pub fn label(&self, kind: &str, value: &str) -> String {
        match self.language.find(&format!("{kind}.{value}")) {
            Some(text) => text.to_owned(),
            None => visible(value),
        }
    }

    pub fn text<'a>(&self, text: &'a Text) -> &'a str {
        text.get(self.language.code())
    }

    /// A sentence of a rule or judge; it may quote device values.
    pub fn sentence(&self, text: &Text) -> String {
        visible(text.get(self.language.code()))
    }

    /// The operator whose disclosures this page shows, judged here; `None` for this operator's own stations.
    pub fn foreign(&self) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.is_current && seat.is_foreign)
    }

    /// What an address needs to stay with this page's origin: `?origin=unicom` or nothing.
    pub fn stay(&self) -> String {
        self.joined('?')
    }

    /// The same behind another query.
    pub fn and_stay(&self) -> String {
        self.joined('&')
    }

    fn joined(&self, joint: char) -> String {
        let seat = self.foreign();
        seat.map_or_else(String::new, |seat| format!("{joint}origin={}", crate::client::percent(&seat.id)))
    }

    /// The list `path` of a seat's stations.
    pub fn seat_address(&self, path: &str, seat: &Seat) -> String {
        if seat.is_foreign {
            format!("{path}?origin={}", crate::client::percent(&seat.id))
        } else {
            path.to_owned()
        }
    }

    /// This page as a form sends it along, to come back to.
    pub fn back(&self) -> String {
        crate::client::percent(&self.here)
    }

    /// Whether this agent has pages about an origin's stations.
    pub fn knows(&self, origin: &str) -> bool {
        origin == self.operator || self.seats.iter().any(|seat| seat.id == origin)
    }

    /// What leads an address to an origin's stations.
    pub fn origin_query(&self, origin: &str) -> String {
        if origin == self.operator {
            return String::new();
        }
        format!("?origin={}", crate::client::percent(origin))
    }

    pub fn member_name(&self, id: &str) -> String {
        let found = self.members.iter().find(|(member, _)| member == id);
        visible(found.map_or(id, |(_, name)| name))
    }

    /// How long ago.
    pub fn ago(&self, time: &Timestamp) -> String {
        self.n("time.ago", self.span(self.now.since(*time)))
    }

    /// A length of time in milliseconds.
    pub fn span(&self, millis: i64) -> String {
        match u64::try_from(millis) {
            Ok(short) if short < 10_000 => self.seconds(&short),
            _ => {
                let (number, unit) = span(millis);
                format!("{number} {}", self.t(unit))
            }
        }
    }

    /// Tenths of seconds, for durations of reads and rounds; what is shorter in milliseconds.
    pub fn seconds(&self, millis: &u64) -> String {
        if *millis < 1000 {
            return format!("{millis} ms");
        }
        format!("{}.{} {}", millis / 1000, millis % 1000 / 100, self.t("unit.seconds"))
    }

    /// This page in the other language.
    pub fn other_language(&self) -> (Language, String) {
        let other = if self.language == Language::En { Language::Zh } else { Language::En };
        let joint = if self.here.contains('?') { '&' } else { '?' };
        (other, format!("{}{joint}lang={}", self.here, other.code()))
    }

    pub fn asset(&self, name: &'static str) -> String {
        assets::address(name)
    }

    pub fn time(&self, time: &Timestamp) -> TimeTag {
        TimeTag { shown: clock(*time), exact: time.to_string() }
    }

    pub fn dn(&self, dn: &Dn) -> DnTag {
        let (above, own) = short_name(dn);
        DnTag { above, own, full: visible(dn.as_str()) }
    }

    pub fn station(&self, element: &Dn) -> DnTag {
        DnTag { above: String::new(), own: station_name(element), full: visible(element.as_str()) }
    }

    /// Where an object is: its station, then its two lowest RDNs.
    pub fn place(&self, object: &Dn) -> PlaceTag {
        let station = object.ancestor("ManagedElement").map(|element| station_name(&element));
        let inside = object.class() != "ManagedElement";
        PlaceTag { station: station.unwrap_or_default(), name: inside.then(|| self.dn(object)) }
    }

    pub fn severity(&self, severity: impl Borrow<Severity>) -> Badge {
        let name = severity.borrow().as_str();
        Badge::new(format!("sev sev-{name}"), self.label("severity", name))
    }

    pub fn state(&self, state: &ViolationState) -> Badge {
        let name = state.as_str();
        Badge::new(format!("state state-{name}"), self.label("state", name))
    }

    /// The badge of an authorisation; its meaning is its title and stands on the rule's page.
    pub fn authorisation(&self, name: &str) -> Badge {
        let known: Option<Authorisation> =
            serde_json::from_value(serde_json::Value::String(name.to_owned())).ok();
        let tone = match known {
            Some(a) if a.is_authorised() => "good",
            Some(Authorisation::Unbaselined | Authorisation::Undetermined) => "open",
            _ => "bad",
        };
        let badge = Badge::new(format!("auth auth-{tone}"), self.label("authorisation", name));
        Badge { title: self.label("meaning", name), ..badge }
    }

    pub fn standing(&self, name: &str) -> Badge {
        Badge::new(format!("standing standing-{name}"), self.label("standing", name))
    }

    pub fn outcome(&self, name: &str) -> Badge {
        Badge::new(format!("outcome outcome-{name}"), self.label("outcome", name))
    }

    /// How far a request has been carried out.
    pub fn progress_badge(&self, progress: &Progress) -> Badge {
        let name = progress_name(*progress);
        Badge::new(format!("progress progress-{name}"), self.label("progress", name))
    }

    /// The badge in a list, with how many edits were seen.
    pub fn progress(&self, item: &ChangeItem) -> ProgressTag {
        let badge = item.progress.as_ref().map(|p| self.progress_badge(p));
        let figure = (item.edits > 0).then(|| format!("{} / {}", item.observed, item.edits));
        ProgressTag { badge, figure: figure.unwrap_or_default() }
    }

    /// Who decided, or who is missing.
    pub fn standing_note(&self, standing: &Standing) -> String {
        match standing {
            Standing::Proposed { missing, .. } => self.n("change.missing", missing.join(", ")),
            Standing::Approved { height } => self.n("change.approved_at", height),
            Standing::Rejected { by, .. } => self.n("change.rejected_by", by),
            Standing::Withdrawn { height, .. } => self.n("change.withdrawn_at", height),
        }
    }

    /// Whether a window is ahead, open, or past.
    pub fn window_note(&self, window: &Window) -> String {
        if self.now < window.from {
            self.n("change.window_future", self.span(window.from.since(self.now)))
        } else if self.now < window.to {
            self.n("change.window_open", self.span(window.to.since(self.now)))
        } else {
            self.n("change.window_past", self.span(self.now.since(window.to)))
        }
    }

    pub fn actor(&self, cause: &ActorClass) -> String {
        let name = match cause {
            ActorClass::Person => "person",
            ActorClass::Orchestrator => "orchestrator",
            ActorClass::Son => "son",
            ActorClass::ResetOrUpgrade => "reset-or-upgrade",
            ActorClass::Unknown => "unknown",
        };
        self.label("actor", name)
    }

    /// A facet's value in words.
    pub fn option(&self, facet: &Facet, value: &str) -> String {
        self.shown_value(facet.as_str(), value)
    }

    /// A filter's value in words, by the filter's name.
    pub fn shown_value(&self, name: &str, value: &str) -> String {
        match name {
            "state" | "severity" => {
                value.split(',').map(|part| self.label(name, part)).collect::<Vec<_>>().join(", ")
            }
            "authorisation" => self.label(name, value),
            "element" => value.parse().map_or_else(|_| visible(value), |dn| station_name(&dn)),
            _ => visible(value),
        }
    }

    /// Foreign text with nothing hidden in it.
    pub fn clean(&self, text: &str) -> String {
        visible(text)
    }

    /// A rule's name; of the built-in ones in words.
    pub fn rule(&self, name: &str) -> String {
        self.label("rulename", name)
    }

    /// The attribute's name; a whole object in words.
    pub fn attribute(&self, name: &str) -> String {
        if name == OBJECT { self.t("object.whole").to_owned() } else { visible(name) }
    }

    pub fn value(&self, object: &Dn, attribute: &str, value: &Value) -> ValueTag {
        ValueTag { unit: self.units.beside(object, attribute, value), ..self.folded(compact(value)) }
    }

    /// Long text with only its beginning shown.
    pub fn folded(&self, text: impl AsRef<str>) -> ValueTag {
        let text = text.as_ref();
        let (head, whole) = cut(text, SHORT);
        let more = self.t("value.more").to_owned();
        ValueTag { head: head.to_owned(), whole, more, text: text.to_owned(), unit: String::new() }
    }

    /// Old → new on one or a few lines, for lists.
    pub fn difference(
        &self,
        object: &Dn,
        attribute: &str,
        old: &Option<Value>,
        new: &Option<Value>,
    ) -> DifferenceTag {
        DifferenceTag::new(self, (object, attribute), old.as_ref(), new.as_ref())
    }

    /// All lines of a difference of structures or lists; nothing for plain values.
    pub fn comparison(&self, old: &Option<Value>, new: &Option<Value>) -> Option<Comparison> {
        let plain = |value: &Option<Value>| value.as_ref().is_none_or(|v| v.as_text().is_some());
        (!(plain(old) && plain(new))).then(|| Comparison::of(old.as_ref(), new.as_ref()))
    }
}

/// The federation in words.
impl Frame {
    /// `5 of 10`
    pub fn of(&self, part: impl Display, whole: impl Display) -> String {
        self.t("figure.of").replace("{part}", &part.to_string()).replace("{whole}", &whole.to_string())
    }

    /// Another clock against ours: `+12 ms`, `−3.0 s`.
    pub fn clock_difference(&self, millis: &i64) -> String {
        let sign = if *millis < 0 { '−' } else { '+' };
        let size = i64::try_from(millis.unsigned_abs()).unwrap_or(i64::MAX);
        if size == 0 { "0 ms".to_owned() } else { format!("{sign}{}", self.span(size)) }
    }

    pub fn certificate(&self, certificate: &Certificate, power: impl Display) -> String {
        let text = self.n("chain.certificate", certificate.height);
        let proposer = certificate.proposer.as_deref().map_or("?".into(), |id| self.member_name(id));
        text.replace("{power}", &self.of(certificate.power, power)).replace("{proposer}", &proposer)
    }

    /// Where a log told another story, and how strongly that is shown.
    pub fn fork(&self, fork: &ForkView) -> String {
        let strength = self.label("fork", &fork.kind);
        self.n("chain.forked", fork.size).replace("{strength}", &strength)
    }

    pub fn split_log(&self, evidence: &EvidenceView) -> String {
        self.n("chain.split", evidence.size).replace("{origin}", &self.member_name(&evidence.origin))
    }

    /// Foreign lines, each with nothing hidden in it.
    pub fn lines(&self, text: &str) -> String {
        text.lines().map(visible).collect::<Vec<_>>().join("\n")
    }

    /// Who disputes whose round.
    pub fn dispute_sides(&self, dispute: &DisputeView) -> String {
        let (by, origin) = (self.member_name(&dispute.disputer), self.member_name(&dispute.origin));
        self.n("dispute.sides", dispute.round).replace("{by}", &by).replace("{origin}", &origin)
    }

    /// A round's second judgement in figures.
    pub fn counts(&self, counts: &JudgementCounts) -> String {
        let text = self.t("second.counts");
        let pairs = [
            ("{changes}", counts.changes),
            ("{opened}", counts.opened),
            ("{unopened}", counts.unopened),
            ("{undisclosed}", counts.undisclosed),
            ("{same}", counts.same),
            ("{differing}", counts.differing),
            ("{unjudged}", counts.unjudged),
        ];
        pairs.iter().fold(text.to_owned(), |text, (place, n)| text.replace(place, &n.to_string()))
    }
}

/// A moment: short for people, exact for machines.
#[derive(Debug, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ exact }}">{{ shown }}</time>"#)]
pub struct TimeTag {
    shown: String,
    exact: String,
}

/// A name by its two lowest parts, whole in the title.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<span class="dn" title="{{ full }}">{% if !above.is_empty() %}<span class="above">{{ above }},</span><wbr>{% endif %}<span class="own">{{ own }}</span></span>"#
)]
pub struct DnTag {
    above: String,
    own: String,
    full: String,
}

/// A line below an attribute: where it is.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<span class="sub place">{% if !station.is_empty() %}<span class="station">{{ station }}</span> {% endif %}{% if let Some(name) = name %}<span class="note">{{ name }}</span>{% endif %}</span>"#
)]
pub struct PlaceTag {
    station: String,
    name: Option<DnTag>,
}

/// A word with colour and shape.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ class }}"{% if !title.is_empty() %} title="{{ title }}"{% endif %}>{{ text }}</span>"#
)]
pub struct Badge {
    class: String,
    text: String,
    title: String,
}

impl Badge {
    fn new(class: String, text: String) -> Badge {
        Badge { class, text, title: String::new() }
    }
}

/// How far a request is, in a list.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(badge) = badge %}{{ badge }}{% else %}–{% endif %}{% if !figure.is_empty() %}<span class="sub note">{{ figure }}</span>{% endif %}"#
)]
pub struct ProgressTag {
    badge: Option<Badge>,
    figure: String,
}

fn progress_name(progress: Progress) -> &'static str {
    match progress {
        Progress::Pending => "pending",
        Progress::Partial => "partial",
        Progress::Complete => "complete",
        Progress::Lapsed => "lapsed",
    }
}

/// A value; what is long is folded.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"{% if whole %}<code class="value">{{ text }}</code>{% if !unit.is_empty() %} <span class="unit">{{ unit }}</span>{% endif %}{% else %}<details class="value"><summary><code>{{ head }}…</code> <span class="more">{{ more }}</span></summary><code>{{ text }}</code></details>{% endif %}"#
)]
pub struct ValueTag {
    head: String,
    whole: bool,
    more: String,
    text: String,
    unit: String,
}

/// Old → new in a list's cell.
#[derive(Debug, Template)]
#[template(path = "parts/difference.html")]
pub struct DifferenceTag {
    shape: Shape,
    /// For plain values.
    old: Option<ValueTag>,
    new: Option<ValueTag>,
    /// For structures and lists.
    lines: Vec<Line>,
    more: String,
    words: Words,
}

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Lines,
    /// A whole object; the text says how much.
    Object(String),
}

/// Words that the parts need for those who do not see colour or signs.
#[derive(Debug)]
struct Words {
    old: &'static str,
    new: &'static str,
    absent: &'static str,
    reordered: &'static str,
}

/// Changed lines shown in a list's cell.
const LIST_LINES: usize = 3;

impl DifferenceTag {
    fn new(
        frame: &Frame,
        (object, attribute): (&Dn, &str),
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> DifferenceTag {
        let words = Words {
            old: frame.t("value.old"),
            new: frame.t("value.new"),
            absent: frame.t("value.absent"),
            reordered: frame.t("value.reordered"),
        };
        let mut tag = DifferenceTag {
            shape: Shape::Plain,
            old: None,
            new: None,
            lines: vec![],
            more: String::new(),
            words,
        };
        let fields = |value: Option<&Value>| match value {
            Some(Value::Fields(fields)) => fields.len(),
            _ => 0,
        };
        match (attribute == OBJECT, old, new) {
            (_, None, None) => tag.shape = Shape::Object("–".to_owned()),
            (true, Some(_), None) => tag.shape = Shape::Object(frame.count("object.deleted", fields(old))),
            (true, None, Some(_)) => tag.shape = Shape::Object(frame.count("object.created", fields(new))),
            (_, Some(a), Some(b)) if a.as_text().is_none() || b.as_text().is_none() => {
                tag.shape = Shape::Lines;
                tag.take_lines(frame, Comparison::of(old, new));
            }
            _ => {
                tag.old = old.map(|v| frame.value(object, attribute, v));
                tag.new = new.map(|v| frame.value(object, attribute, v));
            }
        }
        tag
    }

    fn take_lines(&mut self, frame: &Frame, comparison: Comparison) {
        let changes: Vec<Line> = comparison.changes().cloned().collect();
        let left = changes.len().saturating_sub(LIST_LINES);
        self.lines = changes.into_iter().take(LIST_LINES).collect();
        for line in &mut self.lines {
            for text in [&mut line.old, &mut line.new].into_iter().flatten() {
                let (head, whole) = cut(text, SHORT);
                if !whole {
                    *text = format!("{head}…");
                }
            }
        }
        if left > 0 {
            self.more = frame.count("value.lines", left);
        }
    }

    fn is_move(&self, line: &Line) -> bool {
        line.mark == Mark::Moved
    }
}

impl HtmlSafe for TimeTag {}
impl HtmlSafe for DnTag {}
impl HtmlSafe for PlaceTag {}
impl HtmlSafe for Badge {}
impl HtmlSafe for ProgressTag {}
impl HtmlSafe for ValueTag {}
impl HtmlSafe for DifferenceTag {}
