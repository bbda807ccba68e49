//! The table of `docs/threat-model.md` that says who may fail and who would have to collude, computed by trying every
//! split of the voting power.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

/// Weight of an operator; the witness has 1.
const OPERATOR: u64 = 3;

/// The least power that is strictly more than two thirds.
fn quorum(total: u64) -> u64 {
    total * 2 / 3 + 1
}

/// How many operators may be down while the others still make a quorum.
fn may_be_down(operators: u64, witness: bool) -> u64 {
    let needed = quorum(OPERATOR * operators + 1);
    let up = |down: u64| OPERATOR * (operators - down) + u64::from(witness);
    (0..=operators).filter(|down| up(*down) >= needed).max().unwrap()
}

/// Whether liars of this kind, each voting twice, can complete two quorums out of honest members kept apart.
fn can_fork(operators: u64, liars: u64, lying_witness: bool) -> bool {
    let needed = quorum(OPERATOR * operators + 1);
    let lying = OPERATOR * liars + u64::from(lying_witness);
    let mut honest = vec![OPERATOR; usize::try_from(operators - liars).unwrap()];
    honest.extend((!lying_witness).then_some(1));
    let all: u64 = honest.iter().sum();
    (0u32..1 << honest.len()).any(|split| {
        let one: u64 = honest.iter().enumerate().filter(|(n, _)| split >> n & 1 == 1).map(|(_, w)| w).sum();
        lying + one >= needed && lying + all - one >= needed
    })
}

/// The groups of which no part can do it alone.
fn smallest_groups(operators: u64) -> Vec<(u64, bool)> {
    let groups = (0..=operators).flat_map(|liars| [(liars, false), (liars, true)]);
    let able: Vec<_> = groups.filter(|(liars, witness)| can_fork(operators, *liars, *witness)).collect();
    let part = |a: &(u64, bool), b: &(u64, bool)| a != b && a.0 <= b.0 && a.1 <= b.1;
    let mut smallest: Vec<_> =
        able.iter().copied().filter(|group| !able.iter().any(|other| part(other, group))).collect();
    smallest.sort();
    smallest
}

fn words(group: &(u64, bool)) -> String {
    let (liars, witness) = group;
    let operators = if *liars == 1 { "operator" } else { "operators" };
    format!("{liars} {operators}{}", if *witness { " + witness" } else { "" })
}

#[test]
fn the_table_of_the_threat_model_is_what_the_weights_lead_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
    let text = fs::read_to_string(path).unwrap();
    for operators in 2..=7 {
        let power = OPERATOR * operators + 1;
        let groups: Vec<_> = smallest_groups(operators).iter().map(words).collect();
        let row = format!(
            "| {operators} | {power} | {} | {} | {} | {} |",
            quorum(power),
            may_be_down(operators, true),
            may_be_down(operators, false),
            groups.join("; ")
        );
        assert!(text.contains(&row), "docs/threat-model.md lacks the row\n{row}");
    }
}

#[test]
fn no_member_alone_can_finalise_two_histories() {
    for operators in 2..=7 {
        assert!(!can_fork(operators, 1, false) && !can_fork(operators, 0, true), "{operators} operators");
    }
}
