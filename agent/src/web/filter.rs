//! The violations page's filter: the address is the state.

use model::Dn;
use model::verdict::{Authorisation, Severity};
use model::violation::ViolationState;
use serde::Deserialize;

/// Rows of one page.
pub const PAGE_ROWS: u32 = 50;
/// Rows that the API gives at most at once.
pub const MAX_ROWS: u32 = 500;
/// Longest text to search for, in characters.
const MAX_TEXT: usize = 200;

/// The query as it came; what is empty counts as absent, so that a form may send all its fields.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct FilterQuery {
    pub origin: Option<String>,
    pub state: Option<String>,
    pub severity: Option<String>,
    pub authorisation: Option<String>,
    pub rule: Option<String>,
    pub element: Option<String>,
    pub operator: Option<String>,
    pub q: Option<String>,
    pub before: Option<String>,
    pub limit: Option<u32>,
}

/// What a list of violations shows. Lists of names are joined by commas in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose stations, unless this operator's own.
    pub origin: Option<String>,
    /// Empty: all states.
    pub states: Vec<ViolationState>,
    /// Whether the states were asked for, or are the page's own choice.
    pub states_given: bool,
    pub severities: Vec<Severity>,
    pub authorisation: Option<String>,
    pub rule: Option<String>,
    /// The station.
    pub element: Option<Dn>,
    /// The accountable member.
    pub operator: Option<String>,
    pub text: Option<String>,
}

/// A dimension that the list is narrowed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    State,
    Severity,
    Authorisation,
    Rule,
    Operator,
    Element,
}

impl Facet {
    pub fn as_str(self) -> &'static str {
        match self {
            Facet::State => "state",
            Facet::Severity => "severity",
            Facet::Authorisation => "authorisation",
            Facet::Rule => "rule",
            Facet::Operator => "operator",
            Facet::Element => "element",
        }
    }
}

pub const SEVERITIES: [Severity; 4] =
    [Severity::Critical, Severity::Major, Severity::Minor, Severity::Warning];
pub const STATES: [ViolationState; 4] =
    [ViolationState::Open, ViolationState::Acknowledged, ViolationState::Waived, ViolationState::Resolved];
/// Those that still need somebody's eye: what the page shows unless asked otherwise.
const UNRESOLVED: [ViolationState; 3] =
    [ViolationState::Open, ViolationState::Acknowledged, ViolationState::Waived];
/// `state=all`
const ALL: &str = "all";

/// A filter that names something unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: `{value}` is unknown; hint: {hint}")]
pub struct BadFilter {
    pub field: &'static str,
    pub value: String,
    pub hint: String,
}

impl Filter {
    /// `page`: without a state the page shows what is not resolved, the API everything.
    pub fn parse(query: &FilterQuery, page: bool) -> Result<Filter, BadFilter> {
        let state = given(&query.state);
        let states = match state {
            None if page => UNRESOLVED.to_vec(),
            None | Some(ALL) => vec![],
            Some(text) => names("state", text, &STATES, ViolationState::as_str)?,
        };
        let severities = match given(&query.severity) {
            None => vec![],
            Some(text) => names("severity", text, &SEVERITIES, Severity::as_str)?,
        };
        let authorisation = given(&query.authorisation).map(check_authorisation).transpose()?;
        Ok(Filter {
            origin: given(&query.origin).map(short),
            states,
            states_given: state.is_some(),
            severities,
            authorisation,
            rule: given(&query.rule).map(short),
            element: given(&query.element).map(check_element).transpose()?,
            operator: given(&query.operator).map(short),
            text: given(&query.q).map(short),
        })
    }

    /// The value of one dimension as it stands in the address, `None` if the list is not narrowed by it.
    pub fn value(&self, facet: Facet) -> Option<String> {
        let joined = |names: Vec<&str>| (!names.is_empty()).then(|| names.join(","));
        match facet {
            Facet::State if !self.states_given => None,
            Facet::State if self.states.is_empty() => Some(ALL.to_owned()),
            Facet::State => joined(self.states.iter().map(|s| s.as_str()).collect()),
            Facet::Severity => joined(self.severities.iter().map(|s| s.as_str()).collect()),
            Facet::Authorisation => self.authorisation.clone(),
            Facet::Rule => self.rule.clone(),
            Facet::Operator => self.operator.clone(),
            Facet::Element => self.element.as_ref().map(Dn::to_string),
        }
    }

    /// The same filter without one dimension; for states that means all of them.
    pub fn without(&self, facet: Facet) -> Filter {
        let mut other = self.clone();
        match facet {
            Facet::State => (other.states, other.states_given) = (vec![], true),
            Facet::Severity => other.severities.clear(),
            Facet::Authorisation => other.authorisation = None,
            Facet::Rule => other.rule = None,
            Facet::Operator => other.operator = None,
            Facet::Element => other.element = None,
        }
        other
    }

    /// The page's address with one dimension set to `value`, or freed.
    pub fn address_with(&self, facet: Facet, value: Option<&str>) -> String {
        let pairs = FACETS.iter().map(|f| {
            let chosen = if *f == facet { value.map(str::to_owned) } else { self.value(*f) };
            (f.as_str(), chosen)
        });
        self.address_of(pairs.chain([("q", self.text.clone())]))
    }

    /// The page's address with this filter, from the row `before` on.
    pub fn address(&self, before: Option<&str>) -> String {
        let pairs = FACETS.iter().map(|f| (f.as_str(), self.value(*f)));
        self.address_of(pairs.chain([("q", self.text.clone()), ("before", before.map(str::to_owned))]))
    }

    /// The list of the same origin with nothing narrowed.
    pub fn whole(&self) -> String {
        self.address_of([].into_iter())
    }

    fn address_of(&self, pairs: impl Iterator<Item = (&'static str, Option<String>)>) -> String {
        address([("origin", self.origin.clone())].into_iter().chain(pairs))
    }

    /// Whether anything but the page's own choice narrows the list.
    pub fn is_narrowed(&self) -> bool {
        self.text.is_some() || FACETS.iter().any(|f| self.value(*f).is_some())
    }
}

pub const FACETS: [Facet; 6] =
    [Facet::State, Facet::Severity, Facet::Authorisation, Facet::Rule, Facet::Operator, Facet::Element];

fn address(pairs: impl Iterator<Item = (&'static str, Option<String>)>) -> String {
    let mut out = String::from("/violations");
    for (name, value) in pairs.filter_map(|(name, value)| Some((name, value?))) {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&format!("{name}={}", crate::client::percent(&value)));
    }
    out
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|t| !t.is_empty())
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn names<T: Copy>(
    field: &'static str,
    text: &str,
    known: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, BadFilter> {
    let find = |part: &str| known.iter().copied().find(|k| name(*k) == part.trim());
    let hint = || known.iter().map(|k| name(*k)).collect::<Vec<_>>().join(", ");
    text.split(',')
        .take(known.len())
        .map(|part| find(part).ok_or_else(|| BadFilter { field, value: short(part), hint: hint() }))
        .collect()
}

fn check_element(text: &str) -> Result<Dn, BadFilter> {
    text.parse().map_err(|_| BadFilter {
        field: "element",
        value: short(text),
        hint: "the station's distinguished name, as in SubNetwork=a,ManagedElement=b".into(),
    })
}

/// `-` stands for violations of rules written in CEL.
fn check_authorisation(text: &str) -> Result<String, BadFilter> {
    if text == "-" {
        return Ok(text.to_owned());
    }
    let known: Result<Authorisation, _> = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    known.map(|a| a.as_str().to_owned()).map_err(|_| BadFilter {
        field: "authorisation",
        value: short(text),
        hint: "see /rules/authorisation for the names".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(state: &str) -> FilterQuery {
        FilterQuery { state: Some(state.into()), ..FilterQuery::default() }
    }

    #[test]
    fn the_address_gives_the_filter_back() {
        let mut asked = query("open,waived");
        asked.severity = Some("critical".into());
        asked.element = Some("SubNetwork=a,ManagedElement=b&c".into());
        let filter = Filter::parse(&asked, true).unwrap();
        let expected = "/violations?state=open%2Cwaived&severity=critical&element=SubNetwork%3Da%2CManagedElement%3Db%26c";
        assert_eq!(filter.address(None), expected);
        assert_eq!(filter.address_with(Facet::Element, None), expected.split("&element").next().unwrap());
    }

    #[test]
    fn another_origin_stays_while_the_list_is_narrowed() {
        let mut asked = query("open");
        asked.origin = Some("unicom".into());
        let filter = Filter::parse(&asked, true).unwrap();
        assert_eq!(
            filter.address_with(Facet::Rule, Some("r")),
            "/violations?origin=unicom&state=open&rule=r"
        );
        assert_eq!(filter.whole(), "/violations?origin=unicom");
    }

    #[test]
    fn without_a_state_the_page_shows_the_unresolved_and_the_api_all() {
        let nothing = FilterQuery::default();
        assert_eq!(Filter::parse(&nothing, true).unwrap().states.len(), 3);
        assert!(Filter::parse(&nothing, false).unwrap().states.is_empty());
        assert!(Filter::parse(&query("all"), true).unwrap().states.is_empty());
        assert!(!Filter::parse(&nothing, true).unwrap().is_narrowed());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = Filter::parse(&query("opened"), true).unwrap_err();
        assert!(error.to_string().contains("open, acknowledged, waived, resolved"), "{error}");
        let bad = FilterQuery { authorisation: Some("maybe".into()), ..FilterQuery::default() };
        assert!(Filter::parse(&bad, true).is_err());
    }
}
