//! What validation says, as findings: they name places, never values.

use std::fmt;

use model::Finding;

use crate::schema::{Invalid, SchemaFault};

/// Faults of a schema that are told of each of its stations.
const MAX_FAULTS: usize = 20;

pub(super) fn failed(message: impl fmt::Display) -> Finding {
    finding("validation-failed", "document", format!("nothing is known of its validity: {message}"))
}

pub(super) fn not_validated(invalid: Invalid) -> Finding {
    let line = invalid.line.map_or(String::new(), |line| format!(" (line {line})"));
    let place = invalid.path.as_deref().unwrap_or("document");
    finding("not-validated", place, format!("first fault{line}: {}", invalid.message))
}

/// What is wrong with a station's schema, each with module, line and the set.
pub(super) fn schema_findings(faults: &[SchemaFault], set: &str) -> Vec<Finding> {
    let name: String = set.chars().take(12).collect();
    let mut findings: Vec<Finding> = faults
        .iter()
        .take(MAX_FAULTS)
        .map(|fault| {
            let place = match (fault.module.is_empty(), &fault.origin) {
                (false, _) => format!("module {}", fault.module),
                (true, Some(origin)) => origin.clone(),
                (true, None) => "schema".to_owned(),
            };
            let line = fault.line.map_or(String::new(), |line| format!(" line {line}"));
            let left_out = match fault.affects.is_empty() {
                true => String::new(),
                false => format!("; left out: {}", fault.affects.join(", ")),
            };
            let message = format!("{}{left_out}; schema set {name}", fault.message);
            finding("schema-not-loaded", &[place, line].concat(), message)
        })
        .collect();
    if let Some(more) = faults.len().checked_sub(MAX_FAULTS).filter(|more| *more > 0) {
        findings.push(finding("more", "schema", format!("{more} more faults of schema set {name}")));
    }
    findings
}

pub(super) fn finding(code: &str, place: &str, message: String) -> Finding {
    Finding { code: code.to_owned(), place: place.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_faults_are_counted() {
        let fault = SchemaFault {
            module: String::new(),
            origin: Some("station".to_owned()),
            line: None,
            message: "not UTF-8".to_owned(),
            affects: vec![],
        };
        let findings = schema_findings(&vec![fault; MAX_FAULTS + 5], &"ab".repeat(32));
        assert_eq!(findings.len(), MAX_FAULTS + 1);
        assert_eq!(findings[0].place, "station");
        assert_eq!(findings[MAX_FAULTS].message, "5 more faults of schema set abababababab");
    }
}
