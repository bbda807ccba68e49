//! Faults of rule and test files: each one line with place and hint, and never a panic.

use proptest::prelude::*;
use ranproof_policies::{PolicySet, run_tests};

const RULE: &str = "format: ranproof/policy/1
name: pci
severity: major
scope: NRCellDU
attribute: nRPCI
expression: object.nRPCI <= 1007
message: PCI {{ object.nRPCI }}
";

fn faults(text: &str) -> Vec<String> {
    let files = [("pci.yaml".to_owned(), text.to_owned())];
    PolicySet::load(&files).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn fault(from: &str, to: &str) -> String {
    assert!(RULE.contains(from));
    let faults = faults(&RULE.replace(from, to));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].lines().count(), 1);
    faults[0].clone()
}

#[test]
fn a_good_rule_loads() {
    assert_eq!(faults(RULE), Vec::<String>::new());
    assert_eq!(faults(&RULE.replace("severity: major", "severity: major\nmode: off")), Vec::<String>::new());
}

#[test]
fn expression_faults_lead_to_line_and_column() {
    assert_eq!(
        fault("object.nRPCI <=", "object.nRPCl <="),
        "pci.yaml:6:19: NRCellDU has no attribute `nRPCl`; hint: did you mean `nRPCI`?"
    );
    assert_eq!(
        fault(
            "expression: object.nRPCI <= 1007",
            "expression: >-\n  object.nRPCI <= 1007 &&\n  objct.nRPCI > 0"
        ),
        "pci.yaml:8:3: unknown name `objct`; hint: did you mean `object`?"
    );
    assert!(fault("<= 1007", "<= ").starts_with("pci.yaml:6:"), "{}", fault("<= 1007", "<= "));
    assert!(fault("<= 1007", "<= \"7\"").contains("they have no order"));
}

#[test]
fn message_faults_lead_into_the_message() {
    assert_eq!(
        fault("{{ object.nRPCI }}", "{{ object.nRPC }}"),
        "pci.yaml:7:23: NRCellDU has no attribute `nRPC`; hint: did you mean `nRPCI`?"
    );
    assert!(fault("{{ object.nRPCI }}", "{{ object.nRPCI").contains("never closed"));
}

#[test]
fn yaml_faults_lead_to_their_line() {
    assert!(fault("severity: major", "severity: grave").starts_with("pci.yaml:3:"));
    assert!(fault("severity: major", "severity: major\nseverity: minor").starts_with("pci.yaml:4:"));
    assert!(fault("severity: major", "severity: major\ncolour: red").contains("colour"));
    assert!(fault("scope: NRCellDU", "scope: NRCelDU").contains("did you mean `NRCellDU`?"));
    assert!(fault("scope: NRCellDU", "scope: {class: NRCellDU, wher: A=1}").starts_with("pci.yaml:4:"));
    assert!(
        fault("scope: NRCellDU", "scope: {class: NRCellDU, where: nonsense}")
            .contains("not a distinguished name")
    );
    assert!(fault("attribute: nRPCI", "attribute: nRTCA").contains("did you mean `nRTAC`?"));
    assert!(fault("policy/1", "policy/9").contains("this version reads"));
    assert!(fault("name: pci", "name: PCI!").contains("no rule name"));
    assert!(fault("name: pci", "name: [pci").starts_with("pci.yaml:"));
    assert!(fault("message: PCI", "message: \"PCI").starts_with("pci.yaml:"));
}

#[test]
fn every_fault_of_every_file_is_told() {
    let broken = RULE.replace("object.nRPCI <=", "x <=").replace("{{ object.nRPCI }}", "{{ y }}");
    let files = [
        ("a.yaml".to_owned(), broken),
        ("b.yaml".to_owned(), RULE.into()),
        ("c.yaml".to_owned(), RULE.into()),
    ];
    let errors: Vec<_> = PolicySet::load(&files).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[2].contains("rule `pci` is in b.yaml already"));
}

#[test]
fn a_rule_without_its_two_cases_is_a_failure() {
    let set = PolicySet::load(&[("pci.yaml".to_owned(), RULE.to_owned())]).unwrap();
    let test = |cases: &str| {
        let text = format!("format: ranproof/policy-test/1\nrule: pci\ncases:\n{cases}");
        let report = run_tests(&set, &[("t.yaml".to_owned(), text)]);
        report.failed.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let case = |pci: &str, expect: &str| {
        format!("- {{name: c, object: {{dn: NRCellDU=1, attributes: {{nRPCI: {pci}}}}}, expect: {expect}}}\n")
    };
    assert!(test(&(case("1", "pass") + &case("1008", "violated"))).is_empty());
    assert!(test(&case("1", "pass"))[0].contains("no case where it fires"));
    assert!(test(&case("1008", "violated"))[0].contains("no case where it stays silent"));
    let wrong = test(&(case("1", "violated") + &case("1008", "violated")));
    assert!(wrong[0].contains("expected violated, it is pass"), "{wrong:?}");
    assert!(test("- {name: c}\n")[0].starts_with("t.yaml"));
    assert!(test(&case("1.5", "pass")).iter().any(|f| f.contains("quote anything else")));
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(place in 0usize..200, insert in "\\PC{0,6}", cut in 0usize..12) {
        let mut text: Vec<char> = RULE.chars().collect();
        let place = place.min(text.len());
        let end = (place + cut).min(text.len());
        text.splice(place..end, insert.chars());
        let text: String = text.into_iter().collect();
        for fault in faults(&text) {
            prop_assert!(fault.starts_with("pci.yaml"));
            prop_assert_eq!(fault.lines().count(), 1);
        }
    }
}
