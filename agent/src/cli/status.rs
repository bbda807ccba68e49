//! `ranproof node status`, for people.

use std::fmt::Write as _;

use crate::api::types::ChainInfo;
use crate::federation::{Federation, NodeView, Trouble};

/// What an agent says of the chain and of the other members, as a person reads it.
pub fn text(info: &ChainInfo) -> String {
    let mut out = String::new();
    let federation = &info.federation;
    line(&mut out, format_args!("{}: height {} at {}", info.chain_id, info.height, info.time));
    line(&mut out, format_args!("{}", deciding(info)));
    if let Some(why) = &info.stopped {
        line(&mut out, format_args!("STOPPED: {why}; rounds go on unopened"));
    }
    for trouble in &federation.troubles {
        line(&mut out, format_args!("{}", trouble_line(trouble)));
    }
    if let Some(certificate) = &federation.certificate {
        let proposer = certificate.proposer.as_deref().unwrap_or("?");
        let signers = certificate.signers.join(", ");
        line(
            &mut out,
            format_args!(
                "block {}: proposed by {proposer}, signed by {signers} ({} of {} power; later votes are not in it)",
                certificate.height, certificate.power, federation.power
            ),
        );
    }
    out.push('\n');
    out.push_str(&members(federation));
    if !info.logs.is_empty() {
        out.push('\n');
        out.push_str(&logs(info));
    }
    out.push_str(&quarrels(federation));
    out
}

/// Writing to memory does not fail.
fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(out, "{words}").expect("writing to memory does not fail");
}

fn deciding(info: &ChainInfo) -> String {
    let federation = &info.federation;
    let (height, pending) = (federation.deciding, info.pending);
    let what = if federation.idle { "idle".to_owned() } else { format!("voting round {}", federation.round) };
    format!(
        "deciding height {height}: {what}, {pending} transactions wait; this node {}",
        federation.standing.as_str()
    )
}

fn trouble_line(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Halted { last } => format!("HALTED: no block since {last}; rounds go on unopened"),
        Trouble::NoQuorum { reachable, power } => {
            format!(
                "NO QUORUM: {reachable} of {power} power within reach, more than two thirds are needed; rounds go on unopened"
            )
        }
        Trouble::Fork { member, height, theirs, ours } => format!(
            "FORK: {member} has block {theirs} at height {height}, this node {ours}; stop approving and compare the certificates"
        ),
        Trouble::Behind { blocks } => format!("BEHIND: this node lacks {blocks} blocks and catches up"),
    }
}

fn members(federation: &Federation) -> String {
    let head = ["MEMBER", "ROLE", "POWER", "AGENT", "SIGNED", "HEIGHT", "BEHIND", "CLOCK", "VERSION", ""];
    let rows = federation.nodes.iter().map(member).collect::<Vec<_>>();
    table(&head, &rows)
}

fn member(node: &NodeView) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let agent = match (node.own, node.reachable, node.connected) {
        (true, ..) => "this",
        (_, true, _) => "up",
        (_, _, true) => "node only",
        _ => "away",
    };
    vec![
        node.member.clone(),
        node.role.clone(),
        if node.is_validator() { node.power.to_string() } else { "-".into() },
        agent.into(),
        if node.voted { "yes".into() } else { "-".into() },
        number(node.height),
        number(node.behind),
        node.clock_difference_ms.map_or("-".into(), |ms| format!("{ms:+} ms")),
        node.version.clone().unwrap_or_else(|| "-".into()),
        node.error.clone().unwrap_or_default(),
    ]
}

fn logs(info: &ChainInfo) -> String {
    let head = ["LOG", "ANCHORED", "MIRRORED", "COSIGNED", ""];
    let row = |log: &crate::web::view::LogView| {
        let cosigned = log.cosigned.iter().map(|c| format!("{} {}", c.member, c.size)).collect::<Vec<_>>();
        let forks = log.forks.iter().map(|fork| format!("FORKED at {}", fork.size)).collect::<Vec<_>>();
        vec![
            log.origin.clone(),
            log.size.to_string(),
            log.mirrored.map_or("own".into(), |size| size.to_string()),
            if cosigned.is_empty() { "-".into() } else { cosigned.join(", ") },
            forks.join(", "),
        ]
    };
    table(&head, &info.logs.iter().map(row).collect::<Vec<_>>())
}

fn quarrels(federation: &Federation) -> String {
    let mut out = String::new();
    for d in &federation.disputes {
        let (id, by, round, origin) = (&d.id, &d.disputer, d.round, &d.origin);
        line(
            &mut out,
            format_args!("dispute {id}: {by} disputes round {round} of {origin} ({}), {}", d.kind, d.state),
        );
    }
    for e in &federation.evidence {
        line(
            &mut out,
            format_args!(
                "evidence: {} signed two stories of its first {} leaves, handed in by {}",
                e.origin, e.size, e.by
            ),
        );
    }
    for e in &federation.equivocations {
        line(&mut out, format_args!("equivocation: {} at height {}: {}", e.member, e.height, e.what));
    }
    let refused = federation.node_refused.counts();
    let refused: Vec<_> =
        refused.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    if !refused.is_empty() {
        line(&mut out, format_args!("not taken from peers since the start: {}", refused.join(", ")));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// Columns as wide as their widest cell; no spaces at the ends of lines.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width =
        |n: usize| all().filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let text = cells.collect::<Vec<_>>().join("  ");
        line(&mut out, format_args!("{}", text.trim_end()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchor::Hash;
    use model::Timestamp;

    #[test]
    fn a_person_sees_who_is_away_and_what_it_means() {
        let mut federation = crate::federation::tests::four();
        federation.troubles = vec![Trouble::NoQuorum { reachable: 4, power: 10 }];
        let info = ChainInfo {
            chain_id: "ranproof-bj".into(),
            genesis: Hash::of(b"genesis"),
            height: 17,
            time: Timestamp(0).to_string(),
            operators: vec![],
            validators: 4,
            rules_version: 1,
            header: Hash::of(b"header"),
            stopped: None,
            pending: 2,
            federation,
            logs: vec![],
        };
        let text = text(&info);
        for expected in [
            "ranproof-bj: height 17",
            "deciding height 18: voting round 1, 2 transactions wait; this node votes",
            "NO QUORUM: 4 of 10 power",
            "block 17: proposed by tower, signed by telecom, tower, witness (7 of 10 power; later votes are not in it)",
            "telecom  operator  3      this   yes     17      0",
            "unicom   operator  3      away   -       11      6       -14 ms  0.3.0    connection refused",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let value = serde_json::to_value(&info).unwrap();
        let again: ChainInfo = serde_json::from_value(value).unwrap();
        assert_eq!(again.federation, info.federation, "what --json prints is read back");
    }
}
