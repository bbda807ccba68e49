//! What the rules say, read from the body of the policy set that all operators approved.

use anchor::transaction::SubjectKind;
use model::Text;
use model::violation::{AUTHORISATION_RULE, SECOND_JUDGEMENT_RULE, ViolationState};
use serde_json::Value as Json;
use store::ViolationFilter;

use super::LoadError;
use crate::config::parse_yaml;
use crate::statements::PolicyBody;
use crate::web::site::Site;
use crate::web::view::RuleView;

pub async fn rule(site: &Site, name: &str) -> Result<RuleView, LoadError> {
    let mut filter = ViolationFilter { rule: Some(name.to_owned()), ..ViolationFilter::default() };
    let ever = site.store.violation_counts(&filter).await?.total;
    filter.states = vec![ViolationState::Open, ViolationState::Acknowledged, ViolationState::Waived];
    let unresolved = site.store.violation_counts(&filter).await?.total;
    let is_authorisation = name == AUTHORISATION_RULE;
    let found = find(site, name).await?;
    if found.is_none() && ever == 0 && !is_authorisation && name != SECOND_JUDGEMENT_RULE {
        return Err(LoadError::Missing { what: "rule", id: name.to_owned() });
    }
    let found = found.unwrap_or_else(|| RuleView {
        name: name.to_owned(),
        description: None,
        severity: None,
        scope: None,
        expression: None,
        is_authorisation,
        unresolved: 0,
    });
    Ok(RuleView { unresolved, ..found })
}

/// The rule `name` of the policy set in force.
pub(super) async fn find(site: &Site, name: &str) -> Result<Option<RuleView>, LoadError> {
    let sets = site.main.subjects(SubjectKind::PolicySet).await?;
    let in_force = sets.iter().filter(|set| set.agreement == *site.agreement);
    let in_force = in_force.filter(|set| set.finalized.is_some() && set.withdrawn.is_none());
    let Some(newest) = in_force.max_by_key(|set| set.subject.version) else { return Ok(None) };
    let Some(hash) = newest.body else { return Ok(None) };
    let Some(body) = site.main.body(&hash).await? else { return Ok(None) };
    let body: PolicyBody = serde_json::from_slice(&body.bytes)
        .map_err(|e| LoadError::Failed(anyhow::anyhow!("policy body {hash} is not understood: {e}")))?;
    Ok(body.files.iter().find_map(|file| in_file(&file.text, name)))
}

/// Files were checked by the policies room before anybody approved them; here they are only read for people.
fn in_file(text: &str, name: &str) -> Option<RuleView> {
    let file: Json = parse_yaml(text, "policy").ok()?;
    let rules = match file.get("rules").unwrap_or(&file) {
        Json::Array(rules) => rules.clone(),
        single => vec![single.clone()],
    };
    let rule = rules.into_iter().find(|rule| rule.get("name").and_then(Json::as_str) == Some(name))?;
    let field = |key: &str| match rule.get(key) {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let description = match rule.get("description") {
        Some(Json::String(text)) => Some(Text::new(text.clone(), "")),
        Some(other) => serde_json::from_value(other.clone()).ok(),
        None => None,
    };
    Some(RuleView {
        name: name.to_owned(),
        description,
        severity: field("severity"),
        scope: field("scope"),
        expression: field("expression"),
        is_authorisation: false,
        unresolved: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_with_its_description_in_either_form() {
        let plain = "name: pci\ndescription: PCI in range.\nseverity: major\nscope: NRCellDU\nexpression: \"a < 1\"\n";
        let rule = in_file(plain, "pci").unwrap();
        assert_eq!(rule.description.unwrap().en, "PCI in range.");
        assert_eq!(rule.expression.as_deref(), Some("a < 1"));
        let both = "rules:\n- name: pci\n  description: {en: PCI, zh: 物理小区标识}\n";
        assert_eq!(in_file(both, "pci").unwrap().description.unwrap().zh, "物理小区标识");
        assert!(in_file(both, "other").is_none());
        assert!(in_file(": :", "other").is_none());
    }
}
